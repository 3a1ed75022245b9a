//! GRANT and REVOKE of privileges on objects: how access lists change.
//!
//! # Invariants
//! - A privilege that was granted on by somebody whose grant option goes, goes too (CASCADE), or nothing goes (RESTRICT).
//! - Grant options never come back to who they were granted by.
//!
//! # Concurrency
//! A relation is locked against other changes of its descriptor, not against readers and writers.

use std::sync::Arc;

use ochre_base::{Error, Oid, Result, Severity, SqlState};
use ochre_catalog::authority::{Acl, AclItem, AclKind, Privileges, RoleSet};
use ochre_catalog::{RelationDescriptor, RelationKind};
use ochre_expr::FunctionKind;
use ochre_parser::ast::{
    Behavior, GrantStmt, GrantTarget, Name, ObjectKind, Privilege, RoleSpec, RoleSpecKind,
};
use ochre_txn::locks::RelationLockMode;

use super::{clauses::unknown_role, denied, has_list};
use crate::errors;
use crate::session::Session;
use crate::tag::CommandTag;

/// An object with an access list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AclObject {
    Relation(Oid),
    Namespace(Oid),
    Database(Oid),
    Routine(Oid),
}

/// What is done to lists.
pub(crate) struct Change {
    pub(crate) grant: bool,
    /// WITH GRANT OPTION, GRANT OPTION FOR.
    pub(crate) option: bool,
    /// ALL PRIVILEGES.
    pub(crate) all: bool,
    pub(crate) grantees: Vec<Oid>,
    pub(crate) behavior: Behavior,
}

/// A list as the object had it, and who may do what with it.
struct Subject<'a> {
    kind: AclKind,
    /// The word in messages about what may not be done.
    word: &'static str,
    name: &'a str,
    owner: Oid,
    acl: Option<&'a Acl>,
}

#[cold]
fn invalid_grant(message: impl Into<String>) -> Error {
    Error::new(SqlState::new("0LP01"), message)
}

#[cold]
fn dependent_privileges() -> Error {
    Error::new(SqlState::DEPENDENT_OBJECTS_STILL_EXIST, "dependent privileges exist")
        .hint("Use CASCADE to revoke them too.")
}

impl Session {
    pub(crate) fn grant(&self, statement: &GrantStmt) -> Result<CommandTag> {
        let tag = CommandTag::Plain(if statement.grant { "GRANT" } else { "REVOKE" });
        if let Some(grantor) = &statement.granted_by
            && self.role_of(grantor)? != self.state.user_oid()
        {
            return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, "grantor must be current user"));
        }
        let change = self.change_of(statement)?;
        match &statement.target {
            GrantTarget::Objects(kind, names) => {
                for name in names {
                    match kind {
                        ObjectKind::Table | ObjectKind::Sequence => {
                            let found = self.state.find_relation(name)?;
                            let found = found.ok_or_else(|| crate::ddl::undefined(name))?;
                            self.grant_on_relation(found.oid, *kind, statement, &change)?;
                        }
                        ObjectKind::Schema => {
                            let catalog = self.state.catalog();
                            let found = catalog.namespace_named(name.name());
                            let oid = found.ok_or_else(|| errors::undefined_schema(name.name()))?.oid;
                            self.grant_on(AclObject::Namespace(oid), statement, &change)?;
                        }
                        ObjectKind::Database => {
                            let catalog = self.state.catalog();
                            let found = catalog.database_named(name.name());
                            let oid = found.ok_or_else(|| errors::undefined_database(name.name()))?.oid;
                            self.grant_on(AclObject::Database(oid), statement, &change)?;
                        }
                        other => {
                            return Err(Error::unsupported(format!("privileges on {}", other.as_sql())));
                        }
                    }
                }
            }
            GrantTarget::Routines(kind, signatures) => {
                for signature in signatures {
                    let Some(found) = self.find_routine(*kind, signature, false)? else {
                        return Err(Error::internal("a routine that must be there is not"));
                    };
                    self.grant_on(AclObject::Routine(found.oid), statement, &change)?;
                }
            }
            GrantTarget::AllInSchema(kind, schemas) => {
                self.grant_in_schemas(*kind, schemas, statement, &change)?
            }
            GrantTarget::LargeObjects(_) => return Err(Error::unsupported("privileges on LARGE OBJECT")),
            GrantTarget::Defaults(_) => {
                return Err(Error::internal("default privileges are granted by a statement of their own"));
            }
        }
        Ok(tag)
    }

    /// What a statement does to lists, whatever they are of.
    pub(crate) fn change_of(&self, statement: &GrantStmt) -> Result<Change> {
        let mut grantees = Vec::with_capacity(statement.grantees.len());
        for grantee in &statement.grantees {
            let oid = self.grantee(grantee)?;
            if !oid.is_valid() && statement.grant && statement.grant_option {
                return Err(invalid_grant("grant options can only be granted to roles"));
            }
            grantees.push(oid);
        }
        Ok(Change {
            grant: statement.grant,
            option: statement.grant_option,
            all: statement.privileges.is_empty(),
            grantees,
            behavior: statement.behavior,
        })
    }

    /// A role that something is granted to; zero for PUBLIC.
    fn grantee(&self, spec: &RoleSpec) -> Result<Oid> {
        match &spec.kind {
            RoleSpecKind::Public => Ok(Oid::INVALID),
            RoleSpecKind::Name(name) => {
                Ok(self.state.catalog().role_named(name).ok_or_else(|| unknown_role(name))?.oid)
            }
            _ => self.role_of(spec),
        }
    }

    fn grant_in_schemas(
        &self,
        kind: ObjectKind,
        schemas: &[Name],
        statement: &GrantStmt,
        change: &Change,
    ) -> Result<()> {
        let catalog = self.state.catalog();
        for schema in schemas {
            let namespace =
                catalog.namespace_named(schema).ok_or_else(|| errors::undefined_schema(schema))?;
            self.state.require_namespace(namespace.oid)?;
            match kind {
                ObjectKind::Table | ObjectKind::Sequence => {
                    let wanted = |relation: &&Arc<RelationDescriptor>| {
                        relation.namespace == namespace.oid
                            && has_list(relation)
                            && (relation.kind == RelationKind::Sequence) == (kind == ObjectKind::Sequence)
                    };
                    let mut found: Vec<Oid> = catalog.relations().filter(wanted).map(|r| r.oid).collect();
                    found.sort_unstable();
                    for oid in found {
                        self.grant_on_relation(oid, kind, statement, change)?;
                    }
                }
                _ => {
                    let fits = |routine: FunctionKind| match kind {
                        ObjectKind::Procedure => routine == FunctionKind::Procedure,
                        ObjectKind::Function => routine != FunctionKind::Procedure,
                        _ => true,
                    };
                    let inside = catalog.routines().filter(|routine| routine.namespace == namespace.oid);
                    let inside = inside.filter(|routine| fits(routine.function.kind));
                    let mut found: Vec<Oid> = inside.map(|routine| routine.oid).collect();
                    found.sort_unstable();
                    for oid in found {
                        self.grant_on(AclObject::Routine(oid), statement, change)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn grant_on_relation(
        &self,
        oid: Oid,
        kind: ObjectKind,
        statement: &GrantStmt,
        change: &Change,
    ) -> Result<()> {
        self.lock_relation(oid, RelationLockMode::ShareUpdateExclusive)?;
        let Some(relation) = self.state.catalog().relation(oid).cloned() else {
            return Err(Error::new(
                SqlState::UNDEFINED_TABLE,
                format!("relation with OID {oid} does not exist"),
            ));
        };
        if !has_list(&relation) {
            let message = format!("\"{}\" is an index", relation.name);
            return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message));
        }
        let is_sequence = relation.kind == RelationKind::Sequence;
        if kind == ObjectKind::Sequence && !is_sequence {
            let message = format!("\"{}\" is not a sequence", relation.name);
            return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message));
        }
        if relation.builtin {
            return Err(Error::unsupported("privileges on system catalogs"));
        }
        let of_sequence = kind == ObjectKind::Sequence;
        let valid = if of_sequence { AclKind::Sequence } else { AclKind::Relation };
        let mut changed = (*relation).clone();
        let mut whole = Privileges::NONE;
        // Privileges on columns, by their numbers.
        let mut parts: Vec<(i16, Privileges)> = Vec::new();
        for privilege in &statement.privileges {
            let bit = privilege_of(privilege)?;
            if privilege.columns.is_empty() {
                // A sequence takes USAGE where a table is named, too.
                let of_its_kind = is_sequence && AclKind::Sequence.all().has(bit);
                if !valid.all().has(bit) && !of_its_kind {
                    return Err(invalid_privilege(bit, if of_sequence { "sequence" } else { "relation" }));
                }
                whole = whole.with(bit);
                continue;
            }
            if of_sequence {
                return Err(invalid_grant("column privileges are only valid for relations"));
            }
            if !AclKind::Column.all().has(bit) {
                return Err(invalid_privilege(bit, "column"));
            }
            self.note_columns(&relation, &privilege.columns, bit, &mut parts)?;
        }
        if !statement.all_columns.is_empty() {
            self.note_columns(&relation, &statement.all_columns, AclKind::Column.all(), &mut parts)?;
        } else if change.all {
            whole = if is_sequence { AclKind::Sequence.all() } else { AclKind::Relation.all() };
        }
        if is_sequence && !of_sequence && !AclKind::Sequence.all().has(whole) {
            self.state.notice(Error::with_severity(
                Severity::Warning,
                SqlState::new("0LP01"),
                format!("sequence \"{}\" only supports USAGE, SELECT, and UPDATE privileges", relation.name),
            ));
            whole = whole.within(AclKind::Sequence.all());
        }
        let list_kind = if is_sequence { AclKind::Sequence } else { AclKind::Relation };
        if !change.grant && !is_sequence {
            // What goes for the table goes for its columns.
            let bits = whole.within(AclKind::Column.all());
            if !bits.is_empty() {
                for column in relation.live_columns().filter(|column| column.acl.is_some()) {
                    note_column(&mut parts, column.number, bits);
                }
            }
        }
        if !whole.is_empty() {
            let subject = Subject {
                kind: list_kind,
                word: relation.kind.word(),
                name: &relation.name,
                owner: relation.owner,
                acl: relation.acl.as_ref(),
            };
            if let Some(acl) = self.changed_list(&subject, whole, change, None)? {
                changed.acl = Some(acl);
            }
        }
        for (number, bits) in parts {
            let position = number as usize - 1;
            let column = &relation.columns[position];
            let subject = Subject {
                kind: AclKind::Column,
                word: relation.kind.word(),
                name: &relation.name,
                owner: relation.owner,
                acl: column.acl.as_ref(),
            };
            let around = Some((&*column.name, relation.acl.as_ref()));
            // A revoke that was spread from the table says nothing where nothing was granted.
            if let Some(acl) = self.changed_list(&subject, bits, change, around)? {
                changed.columns[position].acl = Some(acl).filter(|acl| !acl.is_empty());
            }
        }
        self.put_relation(changed)?;
        Ok(())
    }

    fn note_columns(
        &self,
        relation: &RelationDescriptor,
        names: &[Name],
        bits: Privileges,
        parts: &mut Vec<(i16, Privileges)>,
    ) -> Result<()> {
        for name in names {
            let column =
                relation.column_named(name).ok_or_else(|| errors::undefined_column(name, &relation.name))?;
            note_column(parts, column.number, bits);
        }
        Ok(())
    }

    fn grant_on(&self, object: AclObject, statement: &GrantStmt, change: &Change) -> Result<()> {
        let (kind, what) = match object {
            AclObject::Relation(_) => (AclKind::Relation, "relation"),
            AclObject::Namespace(_) => (AclKind::Namespace, "schema"),
            AclObject::Database(_) => (AclKind::Database, "database"),
            AclObject::Routine(_) => (AclKind::Function, "function"),
        };
        if !statement.all_columns.is_empty() {
            return Err(invalid_grant("column privileges are only valid for relations"));
        }
        let mut wanted = if change.all { kind.all() } else { Privileges::NONE };
        for privilege in &statement.privileges {
            let bit = privilege_of(privilege)?;
            if !privilege.columns.is_empty() {
                return Err(invalid_grant("column privileges are only valid for relations"));
            }
            if !kind.all().has(bit) {
                return Err(invalid_privilege(bit, what));
            }
            wanted = wanted.with(bit);
        }
        self.lock_object(object)?;
        let Some((name, owner, acl)) = self.list_of(object) else { return Ok(()) };
        let word = match object {
            AclObject::Routine(oid) => {
                self.routine(oid).map_or("function", |routine| super::owner::routine_word(&routine.function))
            }
            _ => what,
        };
        let subject = Subject { kind, word, name: &name, owner, acl: acl.as_ref() };
        if let Some(acl) = self.changed_list(&subject, wanted, change, None)? {
            self.put_list(object, Some(acl), owner)?;
        }
        Ok(())
    }

    /// Keeps others from changing an object's list until this transaction ends.
    pub(crate) fn lock_object(&self, object: AclObject) -> Result<()> {
        let (class, oid) = match object {
            AclObject::Relation(oid) => {
                return self.lock_relation(oid, RelationLockMode::ShareUpdateExclusive);
            }
            AclObject::Namespace(oid) => (ochre_catalog::oids::PG_NAMESPACE, oid),
            AclObject::Database(oid) => (ochre_catalog::oids::PG_DATABASE, oid),
            AclObject::Routine(oid) => (ochre_catalog::oids::PG_PROC, oid),
        };
        let name = format!("acl {oid}");
        let process = self.state.process_id;
        self.state.instance.locks().lock_name(&self.txn().waiter(), process, class, &name)
    }

    /// An object's name, owner and list.
    pub(crate) fn list_of(&self, object: AclObject) -> Option<(Arc<str>, Oid, Option<Acl>)> {
        let catalog = self.state.catalog();
        match object {
            AclObject::Relation(oid) => {
                catalog.relation(oid).map(|found| (Arc::clone(&found.name), found.owner, found.acl.clone()))
            }
            AclObject::Namespace(oid) => {
                catalog.namespace(oid).map(|found| (Arc::clone(&found.name), found.owner, found.acl.clone()))
            }
            AclObject::Database(oid) => {
                catalog.database(oid).map(|found| (Arc::clone(&found.name), found.owner, found.acl.clone()))
            }
            AclObject::Routine(oid) => {
                catalog.routine(oid).map(|found| (found.name().into(), found.owner, found.acl.clone()))
            }
        }
    }

    /// Gives an object a list and an owner.
    pub(crate) fn put_list(&self, object: AclObject, acl: Option<Acl>, owner: Oid) -> Result<()> {
        let catalog = self.state.catalog();
        match object {
            AclObject::Relation(oid) => {
                let mut changed = (*self.relation(oid)).clone();
                (changed.acl, changed.owner) = (acl, owner);
                self.put_relation(changed)?;
            }
            AclObject::Namespace(oid) => {
                let Some(found) = catalog.namespace(oid) else { return Ok(()) };
                if ochre_catalog::builtin::namespaces().iter().any(|builtin| builtin.oid == oid) {
                    return Err(Error::unsupported("privileges on system schemas"));
                }
                let mut changed = (**found).clone();
                (changed.acl, changed.owner) = (acl, owner);
                self.put_namespace(changed)?;
            }
            AclObject::Database(oid) => {
                let Some(found) = catalog.database(oid) else { return Ok(()) };
                let mut changed = (**found).clone();
                (changed.acl, changed.owner) = (acl, owner);
                self.put_database(changed)?;
            }
            AclObject::Routine(oid) => {
                let Some(found) = catalog.routine(oid) else { return Ok(()) };
                let mut changed = (**found).clone();
                (changed.acl, changed.owner) = (acl, owner);
                self.put_routine(changed)?;
            }
        }
        Ok(())
    }

    /// A list after a change by the role that acts; `None` when it may change nothing of it. `around` is the column's name
    /// and the table's list.
    fn changed_list(
        &self,
        subject: &Subject<'_>,
        wanted: Privileges,
        change: &Change,
        around: Option<(&str, Option<&Acl>)>,
    ) -> Result<Option<Acl>> {
        let mut old: Vec<AclItem> = match subject.acl {
            Some(acl) => acl.to_vec(),
            None => subject.kind.default_list(subject.owner),
        };
        let mut seen = old.clone();
        if let Some((_, table)) = around {
            match table {
                Some(acl) => seen.extend(acl.iter().copied()),
                None => seen.extend(AclKind::Relation.default_list(subject.owner)),
            }
        }
        let roles = self.state.roles();
        let (grantor, available) = best_grantor(&roles, &seen, subject.owner, wanted);
        if available.is_empty() {
            let whole = match around {
                Some(_) => AclKind::Relation.all(),
                None => subject.kind.all(),
            };
            let any = seen.iter().any(|item| {
                (!item.grantee.is_valid() || roles.has_role(item.grantee))
                    && !item.privileges.with(item.options).within(whole).is_empty()
            });
            if !any {
                return Err(denied(subject.word, subject.name));
            }
        }
        let privileges = wanted.within(available);
        self.tell_what_was_left(subject, wanted, privileges, change, around.map(|(column, _)| column));
        if privileges.is_empty() {
            return Ok(None);
        }
        self.grant_by(&mut old, grantor, subject.owner, privileges, change)?;
        Ok(Some(old.into()))
    }

    fn grant_by(
        &self,
        list: &mut Vec<AclItem>,
        grantor: Oid,
        owner: Oid,
        privileges: Privileges,
        change: &Change,
    ) -> Result<()> {
        let update = ListUpdate { session: self, owner, behavior: change.behavior };
        for grantee in &change.grantees {
            let item = AclItem {
                grantee: *grantee,
                grantor,
                privileges: if change.grant || !change.option { privileges } else { Privileges::NONE },
                options: if !change.grant || change.option { privileges } else { Privileges::NONE },
            };
            update.apply(list, item, change.grant)?;
        }
        Ok(())
    }

    /// Changes a list as its owner would.
    pub(super) fn update_list(
        &self,
        list: &mut Vec<AclItem>,
        owner: Oid,
        privileges: Privileges,
        change: &Change,
    ) -> Result<()> {
        self.grant_by(list, owner, owner, privileges, change)
    }

    /// Warns of what could not be done for want of grant options.
    fn tell_what_was_left(
        &self,
        subject: &Subject<'_>,
        wanted: Privileges,
        done: Privileges,
        change: &Change,
        column: Option<&str>,
    ) {
        let verb = if change.grant { "were granted" } else { "could be revoked" };
        let many = match (done.is_empty(), change.all) {
            (true, _) => "no",
            (false, false) if done != wanted => "not all",
            _ => return,
        };
        let code = if change.grant { "01007" } else { "01006" };
        let message = match column {
            Some(column) => {
                format!("{many} privileges {verb} for column \"{column}\" of relation \"{}\"", subject.name)
            }
            None => format!("{many} privileges {verb} for \"{}\"", subject.name),
        };
        self.state.notice(Error::with_severity(Severity::Warning, SqlState::new(code), message));
    }

    /// Takes everything out of an object's list that was granted to, or by, a role.
    pub(crate) fn strip_role(&self, acl: &Acl, owner: Oid, role: Oid) -> Result<Vec<AclItem>> {
        let mut items = acl.to_vec();
        let update = ListUpdate { session: self, owner, behavior: Behavior::Cascade };
        while let Some(item) = items.iter().copied().find(|item| item.grantee == role) {
            update.apply(&mut items, item, false)?;
        }
        items.retain(|item| item.grantor != role || role == owner);
        Ok(items)
    }
}

fn note_column(parts: &mut Vec<(i16, Privileges)>, number: i16, bits: Privileges) {
    match parts.iter_mut().find(|(known, _)| *known == number) {
        Some((_, known)) => *known = known.with(bits),
        None => parts.push((number, bits)),
    }
}

fn privilege_of(privilege: &Privilege) -> Result<Privileges> {
    Privileges::named(&privilege.name).ok_or_else(|| {
        let error =
            Error::new(SqlState::SYNTAX_ERROR, format!("unrecognized privilege type \"{}\"", privilege.name));
        match privilege.pos.get() {
            Some(position) => error.at(position),
            None => error,
        }
    })
}

#[cold]
fn invalid_privilege(bit: Privileges, what: &str) -> Error {
    let word = bit.words().next().map_or("", |(_, word)| word);
    invalid_grant(format!("invalid privilege type {word} for {what}"))
}

/// Whose grant a change is, and what that role may grant.
fn best_grantor(roles: &RoleSet, list: &[AclItem], owner: Oid, wanted: Privileges) -> (Oid, Privileges) {
    if roles.has_role(owner) {
        return (owner, wanted);
    }
    let options_of = |role: Oid| {
        let own = list.iter().filter(|item| item.grantee == role);
        own.fold(Privileges::NONE, |all, item| all.with(item.options)).within(wanted)
    };
    let mut best = (roles.role, options_of(roles.role));
    let mut others: Vec<Oid> = list
        .iter()
        .map(|item| item.grantee)
        .filter(|role| role.is_valid() && roles.has_role(*role))
        .collect();
    others.sort_unstable();
    for role in others {
        let options = options_of(role);
        if options.0.count_ones() > best.1.0.count_ones() {
            best = (role, options);
        }
    }
    best
}

/// Changes of one list.
struct ListUpdate<'a> {
    session: &'a Session,
    owner: Oid,
    behavior: Behavior,
}

impl ListUpdate<'_> {
    /// Adds what an item says, or takes it away with all that hangs on it.
    fn apply(&self, list: &mut Vec<AclItem>, item: AclItem, add: bool) -> Result<()> {
        if add && !item.options.is_empty() {
            self.check_circle(list, item)?;
        }
        let same = |known: &AclItem| known.grantee == item.grantee && known.grantor == item.grantor;
        let place = match list.iter().position(same) {
            Some(place) => place,
            None if add => {
                list.push(AclItem { privileges: Privileges::NONE, options: Privileges::NONE, ..item });
                list.len() - 1
            }
            None => return Ok(()),
        };
        let known = &mut list[place];
        let options_before = known.options;
        if add {
            known.privileges = known.privileges.with(item.privileges);
            known.options = known.options.with(item.options);
        } else {
            known.privileges = known.privileges.without(item.privileges);
            known.options = known.options.without(item.options);
        }
        let lost = options_before.without(known.options);
        if known.privileges.is_empty() {
            list.remove(place);
        }
        if lost.is_empty() || !item.grantee.is_valid() {
            return Ok(());
        }
        self.revoke_dependents(list, item.grantee, lost)
    }

    /// The grant options that a role has by a list.
    fn options_of(&self, list: &[AclItem], role: Oid) -> Privileges {
        if role == self.owner {
            return Privileges(u32::MAX);
        }
        let roles = self.session.state.roles_of(role);
        let own = list.iter().filter(|item| item.grantee.is_valid() && roles.has_role(item.grantee));
        own.fold(Privileges::NONE, |all, item| all.with(item.options))
    }

    /// Takes away what a role has granted that may not any more.
    fn revoke_dependents(&self, list: &mut Vec<AclItem>, role: Oid, lost: Privileges) -> Result<()> {
        if role == self.owner {
            return Ok(());
        }
        let lost = lost.without(self.options_of(list, role));
        if lost.is_empty() {
            return Ok(());
        }
        let hangs = |item: &&AclItem| item.grantor == role && !item.privileges.within(lost).is_empty();
        while let Some(item) = list.iter().find(hangs).copied() {
            if self.behavior == Behavior::Restrict {
                return Err(dependent_privileges());
            }
            self.apply(list, AclItem { privileges: lost, options: lost, ..item }, false)?;
        }
        Ok(())
    }

    /// Refuses a grant option that the grantor has from the grantee.
    fn check_circle(&self, list: &[AclItem], item: AclItem) -> Result<()> {
        if item.grantor == self.owner {
            return Ok(());
        }
        let mut without = list.to_vec();
        let cascade = ListUpdate { behavior: Behavior::Cascade, ..*self };
        let has_options = |known: &&AclItem| known.grantee == item.grantee && !known.options.is_empty();
        while let Some(known) = without.iter().find(has_options).copied() {
            cascade.apply(&mut without, known, false)?;
        }
        if self.options_of(&without, item.grantor).has(item.options) {
            return Ok(());
        }
        Err(invalid_grant("grant options cannot be granted back to your own grantor"))
    }
}
