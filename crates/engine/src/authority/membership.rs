//! GRANT and REVOKE of roles: who is a member of whom.

use std::sync::Arc;

use ochre_base::{Error, Oid, Result, Severity, SqlState};
use ochre_catalog::authority::MembershipUse;
use ochre_catalog::{Membership, RoleDescriptor, oids};
use ochre_parser::ast::{AlterGroupStmt, Behavior, GrantRoleStmt, RoleSpec};

use super::clauses::unknown_role;
use super::forbidden;
use crate::session::Session;
use crate::tag::CommandTag;

/// The options of a membership that a statement says.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct MembershipOptions {
    pub(crate) admin: Option<bool>,
    pub(crate) inherit: Option<bool>,
    pub(crate) set: Option<bool>,
}

impl MembershipOptions {
    fn read(statement: &GrantRoleStmt) -> Result<MembershipOptions> {
        let mut options = MembershipOptions::default();
        for option in &statement.options {
            let slot = match option.name.as_str() {
                "admin" => &mut options.admin,
                "inherit" => &mut options.inherit,
                "set" => &mut options.set,
                other => {
                    let message = format!("unrecognized role option \"{other}\"");
                    return Err(Error::new(SqlState::SYNTAX_ERROR, message));
                }
            };
            *slot = Some(option.value);
        }
        Ok(options)
    }

    fn are_none(self) -> bool {
        self.admin.is_none() && self.inherit.is_none() && self.set.is_none()
    }
}

#[cold]
fn invalid_grant(message: impl Into<String>) -> Error {
    Error::new(SqlState::new("0LP01"), message)
}

impl Session {
    pub(crate) fn grant_role(&self, statement: &GrantRoleStmt) -> Result<CommandTag> {
        let options = MembershipOptions::read(statement)?;
        let members: Vec<Oid> =
            statement.grantees.iter().map(|spec| self.role_of(spec)).collect::<Result<_>>()?;
        let asked = statement.granted_by.as_ref().map(|spec| self.role_of(spec)).transpose()?;
        for role in &statement.roles {
            if !role.columns.is_empty() {
                return Err(invalid_grant("column names cannot be included in GRANT/REVOKE ROLE"));
            }
            let name = role.name.as_str();
            let role = self.state.catalog().role_named(name).ok_or_else(|| unknown_role(name))?.oid;
            self.require_may_grant(role, statement.grant)?;
            let grantor = self.grantor_of(role, asked)?;
            if statement.grant {
                self.add_members(role, &members, grantor, options)?;
            } else {
                self.remove_members(role, &members, grantor, options, statement.behavior)?;
            }
        }
        Ok(CommandTag::Plain(if statement.grant { "GRANT ROLE" } else { "REVOKE ROLE" }))
    }

    pub(crate) fn alter_group(&self, statement: &AlterGroupStmt) -> Result<CommandTag> {
        let group = self.role_of(&statement.group)?;
        let members: Vec<Oid> =
            statement.members.iter().map(|spec: &RoleSpec| self.role_of(spec)).collect::<Result<_>>()?;
        self.require_may_grant(group, statement.add)?;
        let grantor = self.grantor_of(group, None)?;
        let options = MembershipOptions::default();
        if statement.add {
            self.add_members(group, &members, grantor, options)?;
        } else {
            self.remove_members(group, &members, grantor, options, Behavior::Restrict)?;
        }
        Ok(CommandTag::Plain("ALTER ROLE"))
    }

    /// Fails unless the acting role may grant or revoke membership in a role.
    pub(crate) fn require_may_grant(&self, role: Oid, grant: bool) -> Result<()> {
        let catalog = self.state.catalog();
        let name = self.state.name_of_role(role);
        if role == oids::PG_DATABASE_OWNER {
            let message = format!("role \"{name}\" cannot have explicit members");
            return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message));
        }
        if self.state.is_superuser() {
            return Ok(());
        }
        let verb = if grant { "grant" } else { "revoke" };
        let detail = if catalog.role(role).is_some_and(|role| role.superuser) {
            format!("Only roles with the SUPERUSER attribute may {verb} roles with the SUPERUSER attribute.")
        } else if !catalog.is_admin(self.state.user_oid(), role) {
            format!("Only roles with the ADMIN option on role \"{name}\" may {verb} this role.")
        } else {
            return Ok(());
        };
        Err(forbidden(format!("permission denied to {verb} role \"{name}\"")).detail(detail))
    }

    /// Whose grant of a role a statement's is: as asked, or of somebody with the admin option.
    pub(crate) fn grantor_of(&self, role: Oid, asked: Option<Oid>) -> Result<Oid> {
        let catalog = self.state.catalog();
        let own = self.state.user_oid();
        let Some(asked) = asked else {
            if self.state.is_superuser() {
                return Ok(oids::BOOTSTRAP_ROLE);
            }
            return Ok(catalog.admin_of(own, role).unwrap_or(own));
        };
        let (name, of) = (self.state.name_of_role(asked), self.state.name_of_role(role));
        let refused = |detail: String| {
            Err(forbidden(format!("permission denied to grant privileges as role \"{name}\"")).detail(detail))
        };
        if !self.state.roles().has_role(asked) {
            return refused(format!(
                "Only roles with privileges of role \"{name}\" may grant privileges as this role."
            ));
        }
        let has_admin = catalog
            .role(asked)
            .is_some_and(|asked| asked.memberships.iter().any(|known| known.role == role && known.admin));
        if asked != oids::BOOTSTRAP_ROLE && !has_admin {
            return refused(format!("The grantor must have the ADMIN option on role \"{of}\"."));
        }
        Ok(asked)
    }

    /// Makes roles members of another.
    pub(crate) fn add_members(
        &self,
        role: Oid,
        members: &[Oid],
        grantor: Oid,
        options: MembershipOptions,
    ) -> Result<()> {
        // Somebody who drops the role waits.
        self.locked_role(role)?;
        for member in members {
            let mut descriptor = self.locked_role(*member)?;
            let catalog = self.state.catalog();
            if catalog.roles_reached(role, MembershipUse::Member).contains(member) {
                return Err(invalid_grant(format!(
                    "role \"{}\" is a member of role \"{}\"",
                    self.state.name_of_role(role),
                    descriptor.name
                )));
            }
            if descriptor.name.starts_with("pg_")
                && ochre_catalog::builtin::roles().iter().any(|builtin| builtin.oid == *member)
            {
                return Err(Error::unsupported("members of roles that are predefined roles"));
            }
            if options.admin == Some(true) && self.admin_comes_from(role, grantor, *member) {
                return Err(invalid_grant("ADMIN option cannot be granted back to your own grantor"));
            }
            let inherits = descriptor.inherit;
            let known = descriptor
                .memberships
                .iter_mut()
                .find(|known| known.role == role && known.grantor == grantor);
            match known {
                Some(known) => {
                    let before = *known;
                    known.admin = options.admin.unwrap_or(known.admin);
                    known.inherit = options.inherit.unwrap_or(known.inherit);
                    known.set = options.set.unwrap_or(known.set);
                    if *known == before {
                        self.state.notice(Error::with_severity(
                            Severity::Notice,
                            SqlState::SUCCESSFUL_COMPLETION,
                            format!(
                                "role \"{}\" has already been granted membership in role \"{}\" by role \"{}\"",
                                descriptor.name,
                                self.state.name_of_role(role),
                                self.state.name_of_role(grantor)
                            ),
                        ));
                        continue;
                    }
                }
                None => descriptor.memberships.push(Membership {
                    oid: self.new_oid(),
                    role,
                    grantor,
                    admin: options.admin.unwrap_or(false),
                    inherit: options.inherit.unwrap_or(inherits),
                    set: options.set.unwrap_or(true),
                }),
            }
            self.put_role(descriptor)?;
            self.txn().advance_command()?;
        }
        Ok(())
    }

    /// Whether a role has the admin option on another, directly or not, by a grant of `member`.
    fn admin_comes_from(&self, role: Oid, grantor: Oid, member: Oid) -> bool {
        let catalog = self.state.catalog();
        let mut next = vec![grantor];
        let mut seen = Vec::new();
        while let Some(current) = next.pop() {
            if current == oids::BOOTSTRAP_ROLE || seen.contains(&current) {
                continue;
            }
            if current == member {
                return true;
            }
            seen.push(current);
            let own = catalog.role(current).map(|role| &role.memberships[..]).unwrap_or_default();
            next.extend(
                own.iter().filter(|known| known.role == role && known.admin).map(|known| known.grantor),
            );
        }
        false
    }

    fn remove_members(
        &self,
        role: Oid,
        members: &[Oid],
        grantor: Oid,
        options: MembershipOptions,
        behavior: Behavior,
    ) -> Result<()> {
        for member in members {
            let descriptor = self.locked_role(*member)?;
            let known = descriptor.memberships.iter().any(|m| m.role == role && m.grantor == grantor);
            if !known {
                self.state.notice(Error::with_severity(
                    Severity::Warning,
                    SqlState::WARNING,
                    format!(
                        "role \"{}\" has not been granted membership in role \"{}\" by role \"{}\"",
                        descriptor.name,
                        self.state.name_of_role(role),
                        self.state.name_of_role(grantor)
                    ),
                ));
                continue;
            }
            self.remove_membership(role, *member, grantor, options, behavior)?;
        }
        Ok(())
    }

    /// Takes a membership, or options of it, and all that hangs on it.
    fn remove_membership(
        &self,
        role: Oid,
        member: Oid,
        grantor: Oid,
        options: MembershipOptions,
        behavior: Behavior,
    ) -> Result<()> {
        let mut descriptor = self.locked_role(member)?;
        let is_it = |known: &Membership| known.role == role && known.grantor == grantor;
        if options.are_none() {
            descriptor.memberships.retain(|known| !is_it(known));
        } else {
            for known in descriptor.memberships.iter_mut().filter(|known| is_it(known)) {
                known.admin &= options.admin.is_none();
                known.inherit &= options.inherit.is_none();
                known.set &= options.set.is_none();
            }
        }
        let still_admin = descriptor.memberships.iter().any(|known| known.role == role && known.admin);
        self.put_role(descriptor)?;
        self.txn().advance_command()?;
        if still_admin {
            return Ok(());
        }
        for (other, known) in self.memberships_by(member) {
            if known.role != role {
                continue;
            }
            if behavior == Behavior::Restrict {
                return Err(Error::new(
                    SqlState::DEPENDENT_OBJECTS_STILL_EXIST,
                    "dependent privileges exist",
                )
                .hint("Use CASCADE to revoke them too."));
            }
            self.remove_membership(role, other.oid, member, MembershipOptions::default(), behavior)?;
        }
        Ok(())
    }

    /// The memberships that a role has granted, with their members, in the order of their ids.
    pub(crate) fn memberships_by(&self, grantor: Oid) -> Vec<(Arc<RoleDescriptor>, Membership)> {
        let catalog = self.state.catalog();
        let mut found = Vec::new();
        for role in catalog.roles() {
            let granted = role.memberships.iter().filter(|known| known.grantor == grantor);
            found.extend(granted.map(|known| (Arc::clone(role), *known)));
        }
        found.sort_by_key(|(_, known)| known.oid);
        found
    }

    /// Removes the memberships of others in a role that goes.
    pub(crate) fn drop_memberships_in(&self, role: Oid) -> Result<()> {
        let members: Vec<Oid> = self
            .state
            .catalog()
            .roles()
            .filter(|member| member.memberships.iter().any(|known| known.role == role))
            .map(|member| member.oid)
            .collect();
        for member in members {
            let mut descriptor = self.locked_role(member)?;
            descriptor.memberships.retain(|known| known.role != role);
            self.put_role(descriptor)?;
        }
        let mut own = self.locked_role(role)?;
        if !own.memberships.is_empty() {
            own.memberships.clear();
            self.put_role(own)?;
        }
        self.txn().advance_command()
    }
}
