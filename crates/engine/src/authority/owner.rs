//! ALTER … OWNER TO.

use std::sync::Arc;

use ochre_base::{Error, Oid, Result, Severity, SqlState};
use ochre_catalog::RelationDescriptor;
use ochre_catalog::authority::{Acl, AclItem, Privileges};
use ochre_expr::{Function, FunctionKind};
use ochre_parser::ast::{AlterOwnerStmt, ObjectKind, ObjectRef};

use super::{AclObject, denied, forbidden};
use crate::errors;
use crate::session::Session;
use crate::tag::CommandTag;

/// The word for a routine in messages.
pub(super) fn routine_word(function: &Function) -> &'static str {
    match function.kind {
        FunctionKind::Procedure => "procedure",
        FunctionKind::Aggregate => "aggregate",
        _ => "function",
    }
}

/// A list of an object that has gone to another owner: what was the old one's is the new one's.
pub(super) fn list_for_owner(acl: Option<&Acl>, old: Oid, new: Oid) -> Option<Acl> {
    let exchanged = |role: Oid| if role == old { new } else { role };
    let mut items: Vec<AclItem> = Vec::new();
    for item in acl?.iter() {
        let item = AclItem { grantee: exchanged(item.grantee), grantor: exchanged(item.grantor), ..*item };
        let same = |known: &&mut AclItem| known.grantee == item.grantee && known.grantor == item.grantor;
        match items.iter_mut().find(same) {
            Some(known) => {
                known.privileges = known.privileges.with(item.privileges);
                known.options = known.options.with(item.options);
            }
            None => items.push(item),
        }
    }
    Some(items.into())
}

impl Session {
    pub(crate) fn alter_owner(&self, statement: &AlterOwnerStmt) -> Result<CommandTag> {
        let owner = self.role_of(&statement.owner)?;
        match &statement.object {
            ObjectRef::Named { kind: ObjectKind::Schema, name } => {
                let catalog = self.state.catalog();
                let namespace = catalog.namespace_named(name.name());
                let namespace = namespace.ok_or_else(|| errors::undefined_schema(name.name()))?;
                if namespace.owner != owner {
                    self.require_owner_of_namespace(namespace)?;
                    self.require_may_become(owner)?;
                    self.require_database(Privileges::CREATE)?;
                }
                self.give(AclObject::Namespace(namespace.oid), owner)?;
                Ok(CommandTag::Plain("ALTER SCHEMA"))
            }
            ObjectRef::Named { kind: ObjectKind::Database, name } => {
                let catalog = self.state.catalog();
                let database = catalog.database_named(name.name());
                let database = database.ok_or_else(|| errors::undefined_database(name.name()))?;
                if database.owner != owner {
                    self.require_owner_of_database(database)?;
                    self.require_may_become(owner)?;
                    let own = catalog.role(self.state.user_oid());
                    if !own.is_some_and(|own| own.superuser || own.create_database) {
                        return Err(forbidden("permission denied to change owner of database"));
                    }
                }
                self.give(AclObject::Database(database.oid), owner)?;
                Ok(CommandTag::Plain("ALTER DATABASE"))
            }
            ObjectRef::Routine { kind, signature } => {
                let Some(routine) = self.find_routine(*kind, signature, false)? else {
                    return Err(Error::internal("a routine that must be there is not"));
                };
                if routine.owner != owner {
                    self.require_owner_of_routine(&routine, false)?;
                    self.require_may_become(owner)?;
                    self.require_creation_for(owner, routine.namespace)?;
                }
                self.give(AclObject::Routine(routine.oid), owner)?;
                Ok(CommandTag::Plain(match routine_word(&routine.function) {
                    "procedure" => "ALTER PROCEDURE",
                    _ => "ALTER FUNCTION",
                }))
            }
            _ => Err(Error::unsupported("ALTER … OWNER TO of objects of this kind")),
        }
    }

    /// Fails unless a new owner may make objects where the object is.
    fn require_creation_for(&self, owner: Oid, namespace: Oid) -> Result<()> {
        let catalog = self.state.catalog();
        let roles = self.state.roles_of(owner);
        if self.state.is_superuser()
            || !catalog.namespace_privileges(&roles, namespace, Privileges::CREATE).is_empty()
        {
            return Ok(());
        }
        Err(denied("schema", catalog.namespace(namespace).map_or("", |namespace| &namespace.name)))
    }

    /// Fails unless the acting role has privileges on the database.
    pub(crate) fn require_database(&self, wanted: Privileges) -> Result<()> {
        if self.state.may_in_database(wanted) {
            return Ok(());
        }
        Err(denied("database", &self.state.activity.database_name))
    }

    /// Hands an object to a role.
    pub(super) fn give(&self, object: AclObject, owner: Oid) -> Result<()> {
        self.lock_object(object)?;
        let Some((_, old, acl)) = self.list_of(object) else { return Ok(()) };
        if old == owner {
            return Ok(());
        }
        self.put_list(object, list_for_owner(acl.as_ref(), old, owner), owner)
    }

    /// ALTER TABLE … OWNER TO, of a relation that the acting role owns.
    pub(crate) fn set_relation_owner(&self, relation: &Arc<RelationDescriptor>, owner: Oid) -> Result<()> {
        if relation.kind.is_index() {
            self.state.notice(
                Error::with_severity(
                    Severity::Warning,
                    SqlState::WRONG_OBJECT_TYPE,
                    format!("cannot change owner of index \"{}\"", relation.name),
                )
                .hint("Change the ownership of the index's table instead."),
            );
            return Ok(());
        }
        if let Some((table, _)) = relation.sequence.as_ref().and_then(|sequence| sequence.owned_by)
            && relation.owner != owner
        {
            let message = format!("cannot change owner of sequence \"{}\"", relation.name);
            let detail = format!(
                "Sequence \"{}\" is linked to table \"{}\".",
                relation.name,
                self.relation(table).name
            );
            return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message).detail(detail));
        }
        if relation.owner != owner {
            self.require_may_become(owner)?;
            self.require_creation_for(owner, relation.namespace)?;
        }
        self.give_relation(relation.oid, owner)
    }

    /// Hands a relation to a role, with its indexes and the sequences of its columns.
    pub(super) fn give_relation(&self, oid: Oid, owner: Oid) -> Result<()> {
        let relation = self.relation(oid);
        let old = relation.owner;
        if old == owner {
            return Ok(());
        }
        let mut changed = (*relation).clone();
        changed.owner = owner;
        changed.acl = list_for_owner(relation.acl.as_ref(), old, owner);
        for column in &mut changed.columns {
            column.acl = list_for_owner(column.acl.as_ref(), old, owner);
        }
        let indexes = changed.indexes.clone();
        self.put_relation(changed)?;
        for index in indexes {
            let mut index = (*index).clone();
            index.owner = owner;
            self.replace_index(index)?;
        }
        for sequence in self.owned_sequences(oid, None) {
            self.lock_relation(sequence.oid, ochre_txn::locks::RelationLockMode::AccessExclusive)?;
            self.give_relation(sequence.oid, owner)?;
        }
        Ok(())
    }
}
