//! What hangs on a role: DROP ROLE is refused while anything does; DROP OWNED and REASSIGN OWNED see to it.
//!
//! # Not done
//! Other databases are looked through for DROP ROLE, and counted, as they are at that moment.

use ochre_base::{Error, Oid, Result, SqlState};
use ochre_catalog::authority::Acl;
use ochre_catalog::{CatalogSnapshot, RelationKind, oids};
use ochre_parser::ast::{Behavior, DropOwnedStmt, DropStmt, ObjectKind, ReassignOwnedStmt, RoleSpec};
use ochre_txn::locks::RelationLockMode;

use super::{AclObject, forbidden};
use crate::session::Session;
use crate::tag::CommandTag;

/// Something of a database that names a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hanging {
    Relation(Oid),
    Column(Oid, i16),
    Namespace(Oid),
    Routine(Oid),
    Default(Oid),
}

fn names(acl: Option<&Acl>, role: Oid) -> bool {
    acl.is_some_and(|acl| acl.iter().any(|item| item.grantee == role || item.grantor == role))
}

/// What names a role in a database: its id to sort by, whether the role owns it, what it is.
fn hanging(catalog: &CatalogSnapshot, role: Oid) -> Vec<(Oid, bool, Hanging)> {
    let mut found = Vec::new();
    for relation in catalog.relations().filter(|relation| !relation.builtin && !relation.kind.is_index()) {
        if relation.owner == role {
            found.push((relation.oid, true, Hanging::Relation(relation.oid)));
        } else if names(relation.acl.as_ref(), role) {
            found.push((relation.oid, false, Hanging::Relation(relation.oid)));
        }
        for column in relation.columns.iter().filter(|column| names(column.acl.as_ref(), role)) {
            if relation.owner != role {
                found.push((relation.oid, false, Hanging::Column(relation.oid, column.number)));
            }
        }
    }
    for namespace in catalog.namespaces() {
        if namespace.owner == role {
            found.push((namespace.oid, true, Hanging::Namespace(namespace.oid)));
        } else if names(namespace.acl.as_ref(), role) {
            found.push((namespace.oid, false, Hanging::Namespace(namespace.oid)));
        }
    }
    for routine in catalog.routines() {
        if routine.owner == role {
            found.push((routine.oid, true, Hanging::Routine(routine.oid)));
        } else if names(routine.acl.as_ref(), role) {
            found.push((routine.oid, false, Hanging::Routine(routine.oid)));
        }
    }
    for default in catalog.default_acls() {
        if default.role == role {
            found.push((default.oid, true, Hanging::Default(default.oid)));
        } else if names(Some(&default.acl), role) {
            found.push((default.oid, false, Hanging::Default(default.oid)));
        }
    }
    found.sort_by_key(|(oid, ..)| *oid);
    found
}

impl Session {
    /// 2BP01 while a role owns anything or anything was granted to it.
    pub(crate) fn refuse_while_needed(&self, role: Oid) -> Result<()> {
        let catalog = self.state.catalog();
        let mut lines: Vec<(Oid, String)> = Vec::new();
        for (oid, owns, what) in hanging(&catalog, role) {
            let what = self.described(what);
            let line = match (owns, what.starts_with("default privileges")) {
                (true, false) => format!("owner of {what}"),
                (true, true) => format!("owner of {what}"),
                (false, _) => format!("privileges for {what}"),
            };
            lines.push((oid, line));
        }
        for database in catalog.databases() {
            if database.owner == role {
                lines.push((database.oid, format!("owner of database {}", database.name)));
            } else if names(database.acl.as_ref(), role) {
                lines.push((database.oid, format!("privileges for database {}", database.name)));
            }
        }
        for (member, membership) in self.memberships_by(role) {
            let of = self.state.name_of_role(membership.role);
            let line = format!("privileges for membership of role {} in role {of}", member.name);
            lines.push((membership.oid, line));
        }
        lines.sort_by_key(|(oid, _)| *oid);
        let mut lines: Vec<String> = lines.into_iter().map(|(_, line)| line).collect();
        for database in catalog.databases() {
            if database.oid == self.state.database.oid() {
                continue;
            }
            let Ok(other) = self.state.instance.shared().open_by_oid(database.oid) else { continue };
            let count = hanging(&other.catalog(), role).len();
            match count {
                0 => {}
                1 => lines.push(format!("1 object in database {}", database.name)),
                count => lines.push(format!("{count} objects in database {}", database.name)),
            }
        }
        if lines.is_empty() {
            return Ok(());
        }
        Err(Error::new(
            SqlState::DEPENDENT_OBJECTS_STILL_EXIST,
            format!(
                "role \"{}\" cannot be dropped because some objects depend on it",
                self.state.name_of_role(role)
            ),
        )
        .detail(lines.join("\n")))
    }

    fn described(&self, what: Hanging) -> String {
        let catalog = self.state.catalog();
        match what {
            Hanging::Relation(oid) => self.shown_name(&self.relation(oid)),
            Hanging::Column(oid, number) => {
                let relation = self.relation(oid);
                let name = relation.column(number).map_or("", |column| &column.name);
                format!("column {name} of {}", self.shown_name(&relation))
            }
            Hanging::Namespace(oid) => format!("schema {}", self.namespace_name(oid)),
            Hanging::Routine(oid) => {
                catalog.routine(oid).map(|routine| self.routine_shown(routine)).unwrap_or_default()
            }
            Hanging::Default(oid) => {
                let Some(default) = catalog.default_acls().find(|known| known.oid == oid) else {
                    return String::new();
                };
                let objects = match default.kind {
                    b'r' => "relations",
                    b'S' => "sequences",
                    b'f' => "functions",
                    _ => "schemas",
                };
                let role = self.state.name_of_role(default.role);
                let place = match default.namespace.is_valid() {
                    true => format!(" in schema {}", self.namespace_name(default.namespace)),
                    false => String::new(),
                };
                format!("default privileges on new {objects} belonging to role {role}{place}")
            }
        }
    }

    /// The roles of a statement about what they own, each of which the acting role must have the privileges of.
    fn owners(&self, specs: &[RoleSpec], verb: &str, detail: &str) -> Result<Vec<Oid>> {
        let mut roles = Vec::with_capacity(specs.len());
        for spec in specs {
            let role = self.role_of(spec)?;
            if !self.state.roles().has_role(role) {
                let name = self.state.name_of_role(role);
                let detail = format!("Only roles with privileges of role \"{name}\" may {detail}.");
                return Err(forbidden(format!("permission denied to {verb} objects")).detail(detail));
            }
            roles.push(role);
        }
        Ok(roles)
    }

    fn refuse_system_role(&self, role: Oid, what: &str) -> Result<()> {
        if ochre_catalog::builtin::roles().iter().any(|builtin| builtin.oid == role) {
            return Err(Error::new(
                SqlState::DEPENDENT_OBJECTS_STILL_EXIST,
                format!(
                    "cannot {what} objects owned by role {} because they are required by the database system",
                    self.state.name_of_role(role)
                ),
            ));
        }
        Ok(())
    }

    pub(crate) fn reassign_owned(&self, statement: &ReassignOwnedStmt) -> Result<CommandTag> {
        let roles = self.owners(&statement.roles, "reassign", "reassign objects owned by it")?;
        let to = std::slice::from_ref(&statement.new_role);
        let new = self.owners(to, "reassign", "reassign objects to it")?[0];
        for role in roles {
            self.refuse_system_role(role, "reassign ownership of")?;
            let catalog = self.state.catalog();
            for (_, owns, what) in hanging(&catalog, role) {
                if !owns {
                    continue;
                }
                match what {
                    Hanging::Relation(oid) => {
                        self.lock_relation(oid, RelationLockMode::AccessExclusive)?;
                        if self.state.catalog().relation(oid).is_some() {
                            self.give_relation(oid, new)?;
                        }
                    }
                    Hanging::Namespace(oid) => self.give(AclObject::Namespace(oid), new)?,
                    Hanging::Routine(oid) => self.give(AclObject::Routine(oid), new)?,
                    // Who lays down what new objects begin with does so for himself.
                    Hanging::Default(_) | Hanging::Column(..) => {}
                }
            }
            for database in catalog.databases().filter(|database| database.owner == role) {
                self.give(AclObject::Database(database.oid), new)?;
            }
        }
        Ok(CommandTag::Plain("REASSIGN OWNED"))
    }

    pub(crate) fn drop_owned(&self, statement: &DropOwnedStmt) -> Result<CommandTag> {
        let roles = self.owners(&statement.roles, "drop", "drop objects owned by it")?;
        for role in roles {
            self.refuse_system_role(role, "drop")?;
            let catalog = self.state.catalog();
            let all = hanging(&catalog, role);
            for (_, owns, what) in &all {
                if !owns {
                    self.revoke_all_from(*what, role)?;
                }
            }
            for database in catalog.databases().filter(|found| names(found.acl.as_ref(), role)) {
                let object = AclObject::Database(database.oid);
                self.lock_object(object)?;
                if let Some((_, owner, Some(acl))) = self.list_of(object)
                    && owner != role
                {
                    let items = self.strip_role(&acl, owner, role)?;
                    self.put_list(object, Some(items.into()), owner)?;
                }
            }
            for (member, membership) in self.memberships_by(role) {
                let mut member = self.locked_role(member.oid)?;
                member.memberships.retain(|known| known.oid != membership.oid);
                self.put_role(member)?;
            }
            self.drop_all(&all, statement.behavior)?;
        }
        Ok(CommandTag::Plain("DROP OWNED"))
    }

    fn revoke_all_from(&self, what: Hanging, role: Oid) -> Result<()> {
        let object = match what {
            Hanging::Relation(oid) | Hanging::Column(oid, _) => {
                self.lock_object(AclObject::Relation(oid))?;
                let Some(relation) = self.state.catalog().relation(oid).cloned() else { return Ok(()) };
                let mut changed = (*relation).clone();
                if let Some(acl) = &relation.acl {
                    changed.acl = Some(self.strip_role(acl, relation.owner, role)?.into());
                }
                for column in &mut changed.columns {
                    if let Some(acl) = &column.acl {
                        let items = self.strip_role(acl, relation.owner, role)?;
                        column.acl = Some(items.into()).filter(|items: &Acl| !items.is_empty());
                    }
                }
                self.put_relation(changed)?;
                return Ok(());
            }
            Hanging::Default(oid) => {
                let catalog = self.state.catalog();
                if let Some(default) = catalog.default_acls().find(|known| known.oid == oid) {
                    let mut default = (**default).clone();
                    default.acl = self.strip_role(&default.acl, default.role, role)?.into();
                    let transaction = self.txn();
                    let mut changes = self.state.catalog.borrow_mut();
                    changes.put_default_acl(&self.state.database, transaction, default)?;
                }
                return Ok(());
            }
            Hanging::Namespace(oid) => AclObject::Namespace(oid),
            Hanging::Routine(oid) => AclObject::Routine(oid),
        };
        self.lock_object(object)?;
        if let Some((_, owner, Some(acl))) = self.list_of(object) {
            let items = self.strip_role(&acl, owner, role)?;
            self.put_list(object, Some(items.into()), owner)?;
        }
        Ok(())
    }

    /// Drops what a role owns: tables with what belongs to them, then the rest, namespaces last.
    fn drop_all(&self, all: &[(Oid, bool, Hanging)], behavior: Behavior) -> Result<()> {
        let owned = || all.iter().filter(|(_, owns, _)| *owns).map(|(.., what)| *what);
        let mut relations: Vec<Oid> = Vec::new();
        for what in owned() {
            let Hanging::Relation(oid) = what else { continue };
            let relation = self.relation(oid);
            // A column's sequence goes with the column.
            if relation.sequence.as_ref().is_none_or(|sequence| sequence.owned_by.is_none()) {
                self.lock_relation(oid, RelationLockMode::AccessExclusive)?;
                relations.push(oid);
            }
        }
        relations.retain(|oid| self.state.catalog().relation(*oid).is_some());
        relations.sort_by_key(|oid| {
            let kind = self.relation(*oid).kind;
            (kind == RelationKind::Sequence, !matches!(kind, RelationKind::View), std::cmp::Reverse(*oid))
        });
        if !relations.is_empty() {
            self.drop_foreign_keys_of(&relations, behavior)?;
            self.drop_relations(&relations, behavior)?;
        }
        for what in owned() {
            match what {
                Hanging::Routine(oid) => self.drop_routine(oid, behavior)?,
                Hanging::Default(oid) => {
                    let transaction = self.txn();
                    self.state.catalog.borrow_mut().drop_default_acl(
                        &self.state.database,
                        transaction,
                        oid,
                    )?;
                }
                _ => {}
            }
        }
        for what in owned() {
            let Hanging::Namespace(oid) = what else { continue };
            if oid == oids::PUBLIC || self.state.catalog().namespace(oid).is_none() {
                continue;
            }
            let statement = DropStmt {
                kind: ObjectKind::Schema,
                objects: Vec::new(),
                if_exists: false,
                behavior,
                concurrently: false,
            };
            self.drop_schema(&self.namespace_name(oid), &statement)?;
        }
        Ok(())
    }
}
