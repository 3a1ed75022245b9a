//! Roles.

use std::sync::Arc;

use ochre_base::{Error, Oid, Result, Severity, SqlState};
use ochre_catalog::{RelationKind, RoleDescriptor};
use ochre_parser::ast::{
    AlterRoleStmt, CreateRoleStmt, DropRoleStmt, NumericValue, RoleKind, RoleOption, RoleOptionKind,
    RoleSpec, RoleSpecKind,
};

use crate::session::Session;
use crate::tag::CommandTag;

fn undefined_role(name: &str) -> Error {
    Error::new(SqlState::UNDEFINED_OBJECT, format!("role \"{name}\" does not exist"))
}

fn apply(role: &mut RoleDescriptor, options: &[RoleOption]) -> Result<()> {
    for option in options {
        match &option.kind {
            RoleOptionKind::Password(None) => role.password = None,
            RoleOptionKind::Password(Some(_)) => return Err(Error::unsupported("PASSWORD of a role")),
            RoleOptionKind::Superuser(value) => role.superuser = *value,
            RoleOptionKind::CreateDb(value) => role.create_database = *value,
            RoleOptionKind::CreateRole(value) => role.create_role = *value,
            RoleOptionKind::Inherit(value) => role.inherit = *value,
            RoleOptionKind::CanLogin(value) => role.can_login = *value,
            RoleOptionKind::IsReplication(value) => role.replication = *value,
            RoleOptionKind::BypassRls(value) => role.bypass_rls = *value,
            RoleOptionKind::ConnectionLimit(NumericValue::Integer(value)) => {
                role.connection_limit = i32::try_from(*value)
                    .map_err(|_| Error::new(SqlState::INVALID_PARAMETER_VALUE, "invalid connection limit"))?;
            }
            RoleOptionKind::ConnectionLimit(NumericValue::Other(text)) => {
                return Err(Error::new(
                    SqlState::INVALID_PARAMETER_VALUE,
                    format!("invalid connection limit: {text}"),
                ));
            }
            RoleOptionKind::ValidUntil(_) => return Err(Error::unsupported("VALID UNTIL of a role")),
            RoleOptionKind::SysId(_) => {}
            RoleOptionKind::Admin(_) | RoleOptionKind::Role(_) | RoleOptionKind::InRole(_) => {
                return Err(Error::unsupported("role membership"));
            }
        }
    }
    Ok(())
}

impl Session {
    /// The role that a clause names.
    pub(crate) fn role_of(&self, spec: &RoleSpec) -> Result<Oid> {
        match &spec.kind {
            RoleSpecKind::Name(name) => {
                let catalog = self.state.catalog();
                Ok(catalog.role_named(name).ok_or_else(|| undefined_role(name))?.oid)
            }
            RoleSpecKind::Public => {
                Err(Error::new(SqlState::UNDEFINED_OBJECT, "role \"public\" does not exist"))
            }
            _ => Ok(self.state.user_oid()),
        }
    }

    pub(crate) fn create_role(&self, statement: &CreateRoleStmt) -> Result<CommandTag> {
        let name = statement.name.as_str();
        if name.starts_with("pg_") || name == "public" || name == "none" {
            return Err(Error::new(SqlState::RESERVED_NAME, format!("role name \"{name}\" is reserved")));
        }
        if self.state.catalog().role_named(name).is_some() {
            return Err(Error::new(SqlState::DUPLICATE_OBJECT, format!("role \"{name}\" already exists")));
        }
        let mut role = RoleDescriptor {
            oid: self.new_oid(),
            name: name.into(),
            superuser: false,
            inherit: true,
            create_role: false,
            create_database: false,
            can_login: statement.kind == RoleKind::User,
            replication: false,
            bypass_rls: false,
            connection_limit: -1,
            password: None,
            valid_until: None,
            comment: None,
        };
        apply(&mut role, &statement.options)?;
        self.put_role(role)?;
        Ok(CommandTag::Plain("CREATE ROLE"))
    }

    fn put_role(&self, role: RoleDescriptor) -> Result<()> {
        let transaction = self.transaction.as_ref().expect("N1: a statement runs in a transaction");
        self.state.catalog.borrow_mut().put_role(&self.state.database, transaction, role)
    }

    pub(crate) fn alter_role(&self, statement: &AlterRoleStmt) -> Result<CommandTag> {
        let oid = self.role_of(&statement.role)?;
        let catalog = self.state.catalog();
        let mut role = (**catalog.role(oid).ok_or_else(|| undefined_role("?"))?).clone();
        apply(&mut role, &statement.options)?;
        self.put_role(role)?;
        Ok(CommandTag::Plain("ALTER ROLE"))
    }

    pub(crate) fn rename_role(&self, old: &str, new: &str) -> Result<CommandTag> {
        let catalog = self.state.catalog();
        let mut role = (**catalog.role_named(old).ok_or_else(|| undefined_role(old))?).clone();
        if catalog.role_named(new).is_some() {
            return Err(Error::new(SqlState::DUPLICATE_OBJECT, format!("role \"{new}\" already exists")));
        }
        role.name = new.into();
        self.put_role(role)?;
        Ok(CommandTag::Plain("ALTER ROLE"))
    }

    pub(crate) fn drop_role(&self, statement: &DropRoleStmt) -> Result<CommandTag> {
        for spec in &statement.roles {
            let RoleSpecKind::Name(name) = &spec.kind else {
                return Err(Error::new(
                    SqlState::INVALID_PARAMETER_VALUE,
                    "cannot use special role specifier in DROP ROLE",
                ));
            };
            let catalog = self.state.catalog();
            let Some(role) = catalog.role_named(name).map(Arc::clone) else {
                if !statement.if_exists {
                    return Err(undefined_role(name));
                }
                self.state.notice(Error::with_severity(
                    Severity::Notice,
                    SqlState::UNDEFINED_OBJECT,
                    format!("role \"{name}\" does not exist, skipping"),
                ));
                continue;
            };
            if role.oid == self.state.user_oid() {
                return Err(Error::new(SqlState::OBJECT_IN_USE, "current user cannot be dropped"));
            }
            if role.oid == ochre_catalog::oids::BOOTSTRAP_ROLE {
                return Err(Error::new(
                    SqlState::DEPENDENT_OBJECTS_STILL_EXIST,
                    format!("cannot drop role {name} because it is required by the database system"),
                ));
            }
            let owned = catalog
                .relations()
                .find(|relation| relation.owner == role.oid && relation.kind != RelationKind::Index);
            if let Some(relation) = owned {
                return Err(Error::new(
                    SqlState::DEPENDENT_OBJECTS_STILL_EXIST,
                    format!("role \"{name}\" cannot be dropped because some objects depend on it"),
                )
                .detail(format!("owner of {} {}", relation.kind.word(), relation.name)));
            }
            let transaction = self.transaction.as_ref().expect("N1: a statement runs in a transaction");
            self.state.catalog.borrow_mut().drop_role(&self.state.database, transaction, role.oid)?;
        }
        Ok(CommandTag::Plain("DROP ROLE"))
    }
}
