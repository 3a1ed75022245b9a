//! COMMENT ON.

use std::sync::Arc;

use ochre_base::{Error, Result, SqlState};
use ochre_catalog::RelationKind;
use ochre_parser::ast::{CommentStmt, ObjectKind, ObjectName, ObjectRef};
use ochre_txn::locks::RelationLockMode;

use super::require_kind;
use crate::authority::Need;
use crate::errors;
use crate::session::Session;
use crate::tag::CommandTag;

impl Session {
    pub(crate) fn comment(&self, statement: &CommentStmt) -> Result<CommandTag> {
        // An empty comment removes it, as NULL does.
        let comment: Option<Arc<str>> =
            statement.comment.as_deref().filter(|text| !text.is_empty()).map(Arc::from);
        match &statement.object {
            ObjectRef::Named { kind, name } => self.comment_named(*kind, name, comment)?,
            ObjectRef::Column { relation, column } => {
                let found = self.require_and_lock(
                    relation,
                    RelationLockMode::ShareUpdateExclusive,
                    Need::OwnerOfPart,
                )?;
                self.require_user_relation(&found)?;
                let number = found
                    .column_named(column)
                    .ok_or_else(|| errors::undefined_column(column, &found.name))?
                    .number;
                let mut changed = (*found).clone();
                changed.columns[number as usize - 1].comment = comment;
                self.put_relation(changed)?;
            }
            ObjectRef::OnTable { kind: ObjectKind::Constraint, name, table } => {
                let found =
                    self.require_and_lock(table, RelationLockMode::ShareUpdateExclusive, Need::OwnerOfPart)?;
                let mut changed = (*found).clone();
                let slot = changed.constraints.iter_mut().find(|c| *c.name == **name).ok_or_else(|| {
                    Error::new(
                        SqlState::UNDEFINED_OBJECT,
                        format!("constraint \"{name}\" for table \"{}\" does not exist", found.name),
                    )
                })?;
                Arc::make_mut(slot).comment = comment;
                self.put_relation(changed)?;
            }
            ObjectRef::Routine { kind, signature } => {
                let Some(routine) = self.find_routine(*kind, signature, false)? else {
                    return Err(Error::internal("a routine that must be there is not"));
                };
                self.require_owner_of_routine(&routine, false)?;
                let mut changed = (*routine).clone();
                changed.comment = comment;
                self.put_routine(changed)?;
            }
            ObjectRef::OnTable { kind: ObjectKind::Trigger, name, table } => {
                let found =
                    self.require_and_lock(table, RelationLockMode::ShareUpdateExclusive, Need::OwnerOfPart)?;
                let mut changed = (*found).clone();
                let slot = changed.triggers.iter_mut().find(|trigger| *trigger.name == **name);
                let slot = slot.ok_or_else(|| super::trigger::undefined_trigger(name, &found))?;
                Arc::make_mut(slot).comment = comment;
                self.put_relation(changed)?;
            }
            _ => return Err(Error::unsupported("COMMENT ON objects of this kind")),
        }
        Ok(CommandTag::Plain("COMMENT"))
    }

    fn comment_role(&self, name: &str, comment: Option<Arc<str>>) -> Result<()> {
        let catalog = self.state.catalog();
        let oid = catalog.role_named(name).ok_or_else(|| crate::authority::unknown_role(name))?.oid;
        let mut role = self.locked_role(oid)?;
        let own = self.state.user_oid();
        let (is_superuser, creates) =
            (self.state.is_superuser(), catalog.role(own).is_some_and(|own| own.create_role));
        if !is_superuser && role.superuser {
            let detail = "The current user must have the SUPERUSER attribute.";
            return Err(crate::authority::forbidden("permission denied").detail(detail));
        }
        let is_admin = creates && catalog.is_admin(own, oid);
        if !is_superuser && !is_admin {
            let detail = format!(
                "The current user must have the CREATEROLE attribute and the ADMIN option on role \"{name}\"."
            );
            return Err(crate::authority::forbidden("permission denied").detail(detail));
        }
        if ochre_catalog::builtin::roles()
            .iter()
            .any(|builtin| builtin.oid == oid && builtin.name.starts_with("pg_"))
        {
            return Err(Error::unsupported("COMMENT ON ROLE of predefined roles"));
        }
        role.comment = comment;
        self.put_role(role)
    }

    fn comment_named(&self, kind: ObjectKind, name: &ObjectName, comment: Option<Arc<str>>) -> Result<()> {
        let relation_kind = match kind {
            ObjectKind::Table => RelationKind::Table,
            ObjectKind::Index => RelationKind::Index,
            ObjectKind::Sequence => RelationKind::Sequence,
            ObjectKind::View => RelationKind::View,
            ObjectKind::MaterializedView => RelationKind::MaterializedView,
            ObjectKind::Schema => {
                let catalog = self.state.catalog();
                let namespace = catalog
                    .namespace_named(name.name())
                    .ok_or_else(|| errors::undefined_schema(name.name()))?;
                self.require_owner_of_namespace(namespace)?;
                let mut namespace = (**namespace).clone();
                namespace.comment = comment;
                return self.put_namespace(namespace);
            }
            ObjectKind::Database => {
                let catalog = self.state.catalog();
                let database = catalog
                    .database_named(name.name())
                    .ok_or_else(|| errors::undefined_database(name.name()))?;
                self.require_owner_of_database(database)?;
                let mut database = (**database).clone();
                database.comment = comment;
                return self.put_database(database);
            }
            ObjectKind::Role => return self.comment_role(name.name(), comment),
            other => return Err(Error::unsupported(format!("COMMENT ON {}", other.as_sql()))),
        };
        let found = self.require_and_lock(name, RelationLockMode::ShareUpdateExclusive, Need::Owner)?;
        self.require_user_relation(&found)?;
        require_kind(&found, relation_kind)?;
        if let Some(index) = &found.index {
            let mut index = (**index).clone();
            index.comment = comment;
            return self.replace_index(index);
        }
        let mut changed = (*found).clone();
        changed.comment = comment;
        self.put_relation(changed)?;
        Ok(())
    }
}
