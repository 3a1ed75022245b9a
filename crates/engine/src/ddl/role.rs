//! CREATE, ALTER, RENAME and DROP ROLE.
//!
//! # Not done
//! Passwords; settings of roles.

use std::sync::Arc;

use ochre_base::{Error, Oid, Result, Severity, SqlState};
use ochre_catalog::{RoleDescriptor, oids};
use ochre_parser::ast::{
    AlterRoleStmt, CreateRoleStmt, DropRoleStmt, NumericValue, RoleKind, RoleOption, RoleOptionKind,
    RoleSpec, RoleSpecKind,
};
use ochre_types::{Datum, SqlType};

use crate::authority::{MembershipOptions, forbidden, unknown_role};
use crate::session::Session;
use crate::tag::CommandTag;

#[cold]
fn refused(what: &str, detail: String) -> Error {
    forbidden(format!("permission denied to {what} role")).detail(detail)
}

fn connection_limit(value: &NumericValue) -> Result<i32> {
    let number = match value {
        NumericValue::Integer(value) => i32::try_from(*value).ok(),
        NumericValue::Other(text) => text.parse().ok(),
    };
    number.filter(|limit| *limit >= -1).ok_or_else(|| {
        let text = match value {
            NumericValue::Integer(value) => value.to_string(),
            NumericValue::Other(text) => text.to_string(),
        };
        Error::new(SqlState::INVALID_PARAMETER_VALUE, format!("invalid connection limit: {text}"))
    })
}

/// Refuses names that are the system's.
fn refuse_reserved(name: &str) -> Result<()> {
    let error = || Error::new(SqlState::RESERVED_NAME, format!("role name \"{name}\" is reserved"));
    if name.starts_with("pg_") {
        return Err(error().detail("Role names starting with \"pg_\" are reserved."));
    }
    if name == "public" || name == "none" {
        return Err(error());
    }
    Ok(())
}

impl Session {
    /// The role that a clause names.
    pub(crate) fn role_of(&self, spec: &RoleSpec) -> Result<Oid> {
        match &spec.kind {
            RoleSpecKind::Name(name) => {
                let catalog = self.state.catalog();
                Ok(catalog.role_named(name).ok_or_else(|| unknown_role(name))?.oid)
            }
            RoleSpecKind::Public => Err(unknown_role("public")),
            RoleSpecKind::SessionUser => Ok(self.state.session_role()),
            RoleSpecKind::CurrentRole | RoleSpecKind::CurrentUser => Ok(self.state.user_oid()),
        }
    }

    fn apply_role_options(&self, role: &mut RoleDescriptor, options: &[RoleOption]) -> Result<()> {
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
                RoleOptionKind::ConnectionLimit(value) => role.connection_limit = connection_limit(value)?,
                RoleOptionKind::ValidUntil(text) => {
                    let ty = SqlType::TIMESTAMPTZ;
                    let moment = ochre_types::parse_text(ty, text, &self.state.format_context())?;
                    role.valid_until = if let Datum::Int64(moment) = moment { Some(moment) } else { None };
                }
                RoleOptionKind::SysId(_)
                | RoleOptionKind::Admin(_)
                | RoleOptionKind::Role(_)
                | RoleOptionKind::InRole(_) => {}
            }
        }
        Ok(())
    }

    fn own_role(&self) -> Option<Arc<RoleDescriptor>> {
        self.state.catalog().role(self.state.user_oid()).cloned()
    }

    pub(crate) fn create_role(&self, statement: &CreateRoleStmt) -> Result<CommandTag> {
        let name = statement.name.as_str();
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
            memberships: Vec::new(),
        };
        if name == "public" || name == "none" {
            refuse_reserved(name)?;
        }
        self.apply_role_options(&mut role, &statement.options)?;
        let is_superuser = self.state.is_superuser();
        if !is_superuser {
            self.check_new_role(&role)?;
        }
        refuse_reserved(name)?;
        self.lock_role_name(name)?;
        if self.state.catalog().role_named(name).is_some() {
            return Err(Error::new(SqlState::DUPLICATE_OBJECT, format!("role \"{name}\" already exists")));
        }
        let oid = role.oid;
        self.put_role(role)?;
        let plain = MembershipOptions::default();
        if !is_superuser {
            // Who makes a role may grant it, without having its privileges.
            let own = MembershipOptions { admin: Some(true), inherit: Some(false), set: Some(false) };
            self.add_members(oid, &[self.state.user_oid()], oids::BOOTSTRAP_ROLE, own)?;
        }
        for option in &statement.options {
            match &option.kind {
                RoleOptionKind::InRole(groups) => {
                    for group in groups {
                        let group = self.role_of(group)?;
                        self.require_may_grant(group, true)?;
                        let grantor = self.grantor_of(group, None)?;
                        self.add_members(group, &[oid], grantor, plain)?;
                    }
                }
                RoleOptionKind::Role(members) | RoleOptionKind::Admin(members) => {
                    let members: Vec<Oid> = members.iter().map(|m| self.role_of(m)).collect::<Result<_>>()?;
                    let admin = matches!(option.kind, RoleOptionKind::Admin(_)).then_some(true);
                    let grantor = self.grantor_of(oid, None)?;
                    self.add_members(oid, &members, grantor, MembershipOptions { admin, ..plain })?;
                }
                _ => {}
            }
        }
        Ok(CommandTag::Plain("CREATE ROLE"))
    }

    /// What a role that is no superuser may give to a new one: what it has.
    fn check_new_role(&self, role: &RoleDescriptor) -> Result<()> {
        let own = self.own_role();
        let has = |flag: fn(&RoleDescriptor) -> bool| own.as_ref().is_some_and(|own| flag(own));
        if !has(|own| own.create_role) {
            let detail = "Only roles with the CREATEROLE attribute may create roles.";
            return Err(refused("create", detail.to_owned()));
        }
        for (wanted, has, word) in [
            (role.superuser, false, "SUPERUSER"),
            (role.create_database, has(|own| own.create_database), "CREATEDB"),
            (role.replication, has(|own| own.replication), "REPLICATION"),
            (role.bypass_rls, has(|own| own.bypass_rls), "BYPASSRLS"),
        ] {
            if wanted && !has {
                let detail = format!(
                    "Only roles with the {word} attribute may create roles with the {word} attribute."
                );
                return Err(refused("create", detail));
            }
        }
        Ok(())
    }

    pub(crate) fn lock_role_name(&self, name: &str) -> Result<()> {
        let process = self.state.process_id;
        self.state.instance.locks().lock_name(&self.txn().waiter(), process, oids::PG_AUTHID, name)
    }

    /// A role's descriptor that nobody else changes until this transaction ends.
    pub(crate) fn locked_role(&self, oid: Oid) -> Result<RoleDescriptor> {
        self.lock_role_name(&format!("role {oid}"))?;
        let role = self.state.catalog().role(oid).map(|role| (**role).clone());
        role.ok_or_else(|| {
            Error::new(SqlState::UNDEFINED_OBJECT, format!("role with OID {oid} does not exist"))
        })
    }

    pub(crate) fn put_role(&self, role: RoleDescriptor) -> Result<()> {
        let transaction = self.transaction.as_ref().expect("N1: a statement runs in a transaction");
        self.state.catalog.borrow_mut().put_role(&self.state.database, transaction, role)
    }

    fn refuse_predefined(&self, role: &RoleDescriptor) -> Result<()> {
        if role.name.starts_with("pg_") {
            return refuse_reserved(&role.name);
        }
        Ok(())
    }

    pub(crate) fn alter_role(&self, statement: &AlterRoleStmt) -> Result<CommandTag> {
        let oid = self.role_of(&statement.role)?;
        let before = self.locked_role(oid)?;
        self.refuse_predefined(&before)?;
        let mut role = before.clone();
        self.apply_role_options(&mut role, &statement.options)?;
        if !self.state.is_superuser() {
            self.check_altered_role(&before, &statement.options)?;
        }
        if oid == oids::BOOTSTRAP_ROLE && !role.superuser {
            let detail = "The bootstrap superuser must have the SUPERUSER attribute.";
            return Err(
                Error::new(SqlState::FEATURE_NOT_SUPPORTED, "permission denied to alter role").detail(detail)
            );
        }
        self.put_role(role)?;
        for option in &statement.options {
            if let RoleOptionKind::Role(members) = &option.kind {
                let members: Vec<Oid> = members.iter().map(|m| self.role_of(m)).collect::<Result<_>>()?;
                let grantor = self.grantor_of(oid, None)?;
                self.add_members(oid, &members, grantor, MembershipOptions::default())?;
            }
        }
        Ok(CommandTag::Plain("ALTER ROLE"))
    }

    fn check_altered_role(&self, role: &RoleDescriptor, options: &[RoleOption]) -> Result<()> {
        let only = |word: &str| {
            refused("alter", format!("Only roles with the {word} attribute may change the {word} attribute."))
        };
        if role.superuser {
            let detail =
                "Only roles with the SUPERUSER attribute may alter roles with the SUPERUSER attribute.";
            return Err(refused("alter", detail.to_owned()));
        }
        if options.iter().any(|option| matches!(option.kind, RoleOptionKind::Superuser(_))) {
            return Err(only("SUPERUSER"));
        }
        let own = self.own_role();
        let has = |flag: fn(&RoleDescriptor) -> bool| own.as_ref().is_some_and(|own| flag(own));
        let catalog = self.state.catalog();
        if !has(|own| own.create_role) || !catalog.is_admin(self.state.user_oid(), role.oid) {
            let own_password = role.oid == self.state.user_oid()
                && options.iter().all(|option| matches!(option.kind, RoleOptionKind::Password(_)));
            if own_password {
                return Ok(());
            }
            return Err(refused(
                "alter",
                format!(
                    "Only roles with the CREATEROLE attribute and the ADMIN option on role \"{}\" may alter this role.",
                    role.name
                ),
            ));
        }
        for option in options {
            match option.kind {
                RoleOptionKind::CreateDb(_) if !has(|own| own.create_database) => {
                    return Err(only("CREATEDB"));
                }
                RoleOptionKind::IsReplication(_) if !has(|own| own.replication) => {
                    return Err(only("REPLICATION"));
                }
                RoleOptionKind::BypassRls(_) if !has(|own| own.bypass_rls) => return Err(only("BYPASSRLS")),
                _ => {}
            }
        }
        Ok(())
    }

    pub(crate) fn rename_role(&self, old: &str, new: &str) -> Result<CommandTag> {
        let catalog = self.state.catalog();
        let oid = catalog.role_named(old).ok_or_else(|| unknown_role(old))?.oid;
        let mut role = self.locked_role(oid)?;
        for (current, word) in [(self.state.session_role(), "session"), (self.state.user_oid(), "current")] {
            if current == oid {
                let message = format!("{word} user cannot be renamed");
                return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message));
            }
        }
        self.refuse_predefined(&role)?;
        refuse_reserved(new)?;
        self.lock_role_name(new)?;
        let catalog = self.state.catalog();
        if catalog.role_named(new).is_some() {
            return Err(Error::new(SqlState::DUPLICATE_OBJECT, format!("role \"{new}\" already exists")));
        }
        if !self.state.is_superuser() {
            if role.superuser {
                let detail =
                    "Only roles with the SUPERUSER attribute may rename roles with the SUPERUSER attribute.";
                return Err(refused("rename", detail.to_owned()));
            }
            let creates = self.own_role().is_some_and(|own| own.create_role);
            if !creates || !catalog.is_admin(self.state.user_oid(), oid) {
                return Err(refused(
                    "rename",
                    format!(
                        "Only roles with the CREATEROLE attribute and the ADMIN option on role \"{old}\" may rename this role."
                    ),
                ));
            }
        }
        role.name = new.into();
        self.put_role(role)?;
        Ok(CommandTag::Plain("ALTER ROLE"))
    }

    pub(crate) fn drop_role(&self, statement: &DropRoleStmt) -> Result<CommandTag> {
        let is_superuser = self.state.is_superuser();
        if !is_superuser && !self.own_role().is_some_and(|own| own.create_role) {
            let detail = "Only roles with the CREATEROLE attribute and the ADMIN option on the target roles may drop roles.";
            return Err(refused("drop", detail.to_owned()));
        }
        let mut doomed = Vec::new();
        for spec in &statement.roles {
            let RoleSpecKind::Name(name) = &spec.kind else {
                return Err(Error::new(
                    SqlState::INVALID_PARAMETER_VALUE,
                    "cannot use special role specifier in DROP ROLE",
                ));
            };
            let Some(role) = self.state.catalog().role_named(name).map(Arc::clone) else {
                if !statement.if_exists {
                    return Err(unknown_role(name));
                }
                self.state.notice(Error::with_severity(
                    Severity::Notice,
                    SqlState::UNDEFINED_OBJECT,
                    format!("role \"{name}\" does not exist, skipping"),
                ));
                continue;
            };
            let role = self.locked_role(role.oid)?;
            for (current, word) in [
                (self.state.user_oid(), "current"),
                (self.state.login, "current"),
                (self.state.session_role(), "session"),
            ] {
                if role.oid == current {
                    return Err(Error::new(
                        SqlState::OBJECT_IN_USE,
                        format!("{word} user cannot be dropped"),
                    ));
                }
            }
            if !is_superuser {
                if role.superuser {
                    let detail = "Only roles with the SUPERUSER attribute may drop roles with the SUPERUSER attribute.";
                    return Err(refused("drop", detail.to_owned()));
                }
                if !self.state.catalog().is_admin(self.state.user_oid(), role.oid) {
                    return Err(refused(
                        "drop",
                        format!(
                            "Only roles with the CREATEROLE attribute and the ADMIN option on role \"{name}\" may drop this role."
                        ),
                    ));
                }
            }
            if ochre_catalog::builtin::roles().iter().any(|builtin| builtin.oid == role.oid) {
                return Err(Error::new(
                    SqlState::DEPENDENT_OBJECTS_STILL_EXIST,
                    format!("cannot drop role {name} because it is required by the database system"),
                ));
            }
            doomed.push(role);
        }
        // Memberships among those that go are in nobody's way.
        for role in &doomed {
            self.drop_memberships_in(role.oid)?;
        }
        for role in doomed {
            self.refuse_while_needed(role.oid)?;
            let transaction = self.transaction.as_ref().expect("N1: a statement runs in a transaction");
            self.state.catalog.borrow_mut().drop_role(&self.state.database, transaction, role.oid)?;
        }
        Ok(CommandTag::Plain("DROP ROLE"))
    }
}
