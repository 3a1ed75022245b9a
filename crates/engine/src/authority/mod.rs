//! Who may do what: the roles that a session acts as, and the checks that statements make.
//!
//! # Role
//! A session has three roles: the one that connected, the one of SET SESSION AUTHORIZATION, and the one that acts, by SET
//! ROLE or as the owner of a routine with SECURITY DEFINER. Plans carry what they need ([`Requirement`]) and are
//! checked at each execution; DDL says what it needs where it looks a relation up ([`Need`]), so that nobody waits for, or
//! takes, a lock on what he may not touch.
//!
//! # Invariants
//! - A role that is gone has no privileges but PUBLIC's.
//! - What a session knows of a role holds for one number of the catalog.
//!
//! # Not done
//! Row-level security; privileges on languages, types, tablespaces, large objects and parameters; rows of `pg_shdepend`.

mod clauses;
mod defaults;
mod functions;
mod grant;
mod membership;
mod owned;
mod owner;

use std::sync::Arc;

use ochre_base::{Error, Oid, Result, Severity, SqlState};
use ochre_catalog::authority::{AclKind, Privileges, RoleSet};
use ochre_catalog::{CatalogSnapshot, RelationDescriptor, RelationKind};
use ochre_sql::physical::{PlannedStatement, Requirement};

use crate::session::{Session, State};

pub(crate) use clauses::{is_role_setting, unknown_role};
pub(crate) use functions::{acl_default, explode, has_privilege, make_item};
pub(crate) use grant::AclObject;
pub(crate) use membership::MembershipOptions;

/// What a statement needs of a relation that it names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// To own it.
    Owner,
    /// To own it, for something that is a part of it.
    OwnerOfPart,
    /// To own it or its namespace.
    OwnerToDrop,
    /// All of these privileges on it.
    Privileges(Privileges),
    /// One of these privileges on it or on the table of the index that it is.
    OneOf(Privileges),
    /// Nothing yet: whoever asks knows more and checks.
    CheckedByCaller,
}

/// Role sets of one number of the catalog.
#[derive(Debug, Default)]
pub(crate) struct KnownRoles {
    catalog: u64,
    known: Vec<Arc<RoleSet>>,
}

/// `permission denied for table x`.
#[cold]
pub(crate) fn denied(what: &str, name: &str) -> Error {
    Error::new(SqlState::INSUFFICIENT_PRIVILEGE, format!("permission denied for {what} {name}"))
}

/// `must be owner of table x`.
#[cold]
pub(crate) fn not_owner(what: &str, name: &str) -> Error {
    Error::new(SqlState::INSUFFICIENT_PRIVILEGE, format!("must be owner of {what} {name}"))
}

/// 42501 with a message of its own.
#[cold]
pub(crate) fn forbidden(message: impl Into<String>) -> Error {
    Error::new(SqlState::INSUFFICIENT_PRIVILEGE, message)
}

impl State {
    /// A role with those whose privileges it has.
    pub(crate) fn roles_of(&self, role: Oid) -> Arc<RoleSet> {
        let version = self.catalog_version();
        {
            let kept = self.known_roles.borrow();
            if kept.catalog == version
                && let Some(found) = kept.known.iter().find(|known| known.role == role)
            {
                return Arc::clone(found);
            }
        }
        let found = Arc::new(self.catalog().role_set(role));
        let mut kept = self.known_roles.borrow_mut();
        if kept.catalog != version {
            *kept = KnownRoles { catalog: version, known: Vec::new() };
        }
        kept.known.push(Arc::clone(&found));
        found
    }

    /// The role that acts, with those whose privileges it has.
    pub(crate) fn roles(&self) -> Arc<RoleSet> {
        self.roles_of(self.user_oid())
    }

    /// Whether the role that acts may do everything.
    #[inline]
    pub(crate) fn is_superuser(&self) -> bool {
        let (version, role) = (self.catalog_version(), self.user_oid());
        let kept = self.known_roles.borrow();
        match kept.known.first() {
            Some(known) if kept.catalog == version && known.role == role => known.superuser,
            _ => {
                drop(kept);
                self.roles_of(role).superuser
            }
        }
    }

    /// Runs something as another role.
    pub(crate) fn acting_as<R>(&self, role: Oid, run: impl FnOnce() -> R) -> R {
        let outer = self.acting.replace(Some(role));
        let result = run();
        self.acting.set(outer);
        result
    }

    /// Whether the acting role may use a namespace: its own temporary one always.
    pub(crate) fn may_use_namespace(&self, namespace: Oid) -> bool {
        let roles = self.roles();
        roles.superuser
            || self.temporary_namespace() == Some(namespace)
            || !self.catalog().namespace_privileges(&roles, namespace, Privileges::USAGE).is_empty()
    }

    /// Fails unless the acting role may use a namespace.
    pub(crate) fn require_namespace(&self, namespace: Oid) -> Result<()> {
        if self.may_use_namespace(namespace) {
            return Ok(());
        }
        Err(self.denied_namespace(namespace))
    }

    #[cold]
    fn denied_namespace(&self, namespace: Oid) -> Error {
        let catalog = self.catalog();
        denied("schema", catalog.namespace(namespace).map_or("", |namespace| &namespace.name))
    }

    /// Fails unless the acting role may make objects in a namespace.
    pub(crate) fn require_creation(&self, namespace: Oid) -> Result<()> {
        let roles = self.roles();
        if roles.superuser || self.temporary_namespace() == Some(namespace) {
            return Ok(());
        }
        let catalog = self.catalog();
        if catalog.namespace_privileges(&roles, namespace, Privileges::CREATE).is_empty() {
            return Err(self.denied_namespace(namespace));
        }
        Ok(())
    }

    /// Whether the acting role has privileges on the database of the session.
    pub(crate) fn may_in_database(&self, wanted: Privileges) -> bool {
        let roles = self.roles();
        let catalog = self.catalog();
        roles.superuser
            || catalog.database(self.database.oid()).is_some_and(|database| {
                roles.allowed(database.acl.as_ref(), AclKind::Database, database.owner, wanted).has(wanted)
            })
    }

    /// Fails unless the acting role may call a user's routine.
    pub(crate) fn require_execute(&self, oid: Oid) -> Result<()> {
        if self.is_superuser() {
            return Ok(());
        }
        let catalog = self.catalog();
        let Some(routine) = catalog.routine(oid) else { return Ok(()) };
        let wanted = Privileges::EXECUTE;
        if self.roles().allowed(routine.acl.as_ref(), AclKind::Function, routine.owner, wanted).is_empty() {
            let what = owner::routine_word(&routine.function);
            return Err(denied(what, routine.name()));
        }
        Ok(())
    }

    /// Fails unless the acting role has one of these privileges on a sequence.
    pub(crate) fn require_sequence(&self, sequence: &RelationDescriptor, one_of: Privileges) -> Result<()> {
        if self.is_superuser()
            || !self.catalog().relation_privileges(&self.roles(), sequence, one_of).is_empty()
        {
            return Ok(());
        }
        Err(denied("sequence", &sequence.name))
    }

    /// Fails unless the acting role has what a statement needs of a relation.
    pub(crate) fn require(&self, relation: &RelationDescriptor, need: Need) -> Result<()> {
        if need == Need::CheckedByCaller || self.is_superuser() {
            return Ok(());
        }
        let (catalog, roles) = (self.catalog(), self.roles());
        // An index has no access list of its own.
        let table = relation.index.as_ref().and_then(|index| catalog.relation(index.table));
        let checked = table.map_or(relation, |table| &**table);
        let allowed = match need {
            Need::Owner => return self.require_owner(relation),
            Need::OwnerOfPart if roles.has_role(relation.owner) => return Ok(()),
            Need::OwnerOfPart => return Err(not_owner("relation", &relation.name)),
            Need::OwnerToDrop => {
                let namespace = catalog.namespace(relation.namespace);
                if namespace.is_some_and(|namespace| roles.has_role(namespace.owner)) {
                    return Ok(());
                }
                return self.require_owner(relation);
            }
            Need::Privileges(all) => catalog.relation_privileges(&roles, checked, all).has(all),
            Need::OneOf(any) => !catalog.relation_privileges(&roles, checked, any).is_empty(),
            Need::CheckedByCaller => true,
        };
        if allowed { Ok(()) } else { Err(denied(relation.kind.word(), &relation.name)) }
    }

    /// Fails unless the acting role owns a relation.
    pub(crate) fn require_owner(&self, relation: &RelationDescriptor) -> Result<()> {
        if self.roles().has_role(relation.owner) {
            return Ok(());
        }
        Err(not_owner(relation.kind.word(), &relation.name))
    }

    /// Fails unless the acting role has privileges on a table, or on each of some of its columns.
    pub(crate) fn require_on_columns(
        &self,
        relation: &RelationDescriptor,
        wanted: Privileges,
        columns: &[i16],
    ) -> Result<()> {
        if self.is_superuser() {
            return Ok(());
        }
        let (catalog, roles) = (self.catalog(), self.roles());
        let whole = catalog.relation_privileges(&roles, relation, wanted);
        if whole.has(wanted) || has_on_columns(&catalog, &roles, relation, wanted.without(whole), columns) {
            return Ok(());
        }
        Err(denied(relation.kind.word(), &relation.name))
    }

    /// Fails unless each role that a plan names may do what the plan does.
    ///
    /// # Errors
    /// 42501.
    pub(crate) fn check_plan(&self, plan: &PlannedStatement) -> Result<()> {
        if plan.requirements.is_empty() && plan.namespaces.is_empty() {
            return Ok(());
        }
        let is_superuser = self.is_superuser();
        for requirement in &plan.requirements {
            if requirement.checked_as.is_valid() || !is_superuser {
                self.check_requirement(requirement)?;
            }
        }
        if !is_superuser {
            plan.namespaces.iter().try_for_each(|namespace| self.require_namespace(*namespace))?;
        }
        Ok(())
    }

    fn check_requirement(&self, requirement: &Requirement) -> Result<()> {
        let roles = match requirement.checked_as.is_valid() {
            true => self.roles_of(requirement.checked_as),
            false => self.roles(),
        };
        if roles.superuser {
            return Ok(());
        }
        let catalog = self.catalog();
        let Some(relation) = catalog.relation(requirement.relation) else { return Ok(()) };
        let whole = catalog.relation_privileges(&roles, relation, requirement.privileges);
        let missing = requirement.privileges.without(whole);
        if missing.is_empty() {
            return Ok(());
        }
        let columns = |privilege| match privilege {
            Privileges::SELECT => Some(&requirement.selected),
            Privileges::INSERT => Some(&requirement.inserted),
            Privileges::UPDATE => Some(&requirement.updated),
            _ => None,
        };
        let allowed = missing.words().all(|(privilege, _)| {
            columns(privilege)
                .is_some_and(|columns| has_on_columns(&catalog, &roles, relation, privilege, columns))
        });
        if allowed { Ok(()) } else { Err(denied(relation.kind.word(), &relation.name)) }
    }

    /// A role's name, as messages and functions give it.
    pub(crate) fn name_of_role(&self, role: Oid) -> Arc<str> {
        let catalog = self.catalog();
        catalog.role(role).map_or_else(|| role.0.to_string().into(), |role| Arc::clone(&role.name))
    }
}

/// Whether a role has a privilege on each of some columns by their own lists: on any column when none is named, on all when
/// the whole row is meant. Nothing is granted on system columns alone.
fn has_on_columns(
    catalog: &CatalogSnapshot,
    roles: &RoleSet,
    relation: &RelationDescriptor,
    privilege: Privileges,
    columns: &[i16],
) -> bool {
    let on = |number: i16| catalog.column_privileges(roles, relation, number, privilege).has(privilege);
    if columns.is_empty() {
        return relation.live_columns().any(|column| on(column.number));
    }
    columns.iter().all(|number| match number {
        0 => relation.live_columns().all(|column| on(column.number)),
        number => on(*number),
    })
}

impl Session {
    /// Fails unless the acting role owns a namespace.
    pub(crate) fn require_owner_of_namespace(
        &self,
        namespace: &ochre_catalog::NamespaceDescriptor,
    ) -> Result<()> {
        if self.state.roles().has_role(namespace.owner) {
            return Ok(());
        }
        Err(not_owner("schema", &namespace.name))
    }

    /// Fails unless the acting role owns a database.
    pub(crate) fn require_owner_of_database(
        &self,
        database: &ochre_catalog::DatabaseDescriptor,
    ) -> Result<()> {
        if self.state.roles().has_role(database.owner) {
            return Ok(());
        }
        Err(not_owner("database", &database.name))
    }

    /// Fails unless the acting role owns a routine, or, to drop it, its namespace.
    pub(crate) fn require_owner_of_routine(
        &self,
        routine: &ochre_catalog::RoutineDescriptor,
        to_drop: bool,
    ) -> Result<()> {
        let (catalog, roles) = (self.state.catalog(), self.state.roles());
        let namespace = catalog.namespace(routine.namespace).filter(|_| to_drop);
        if roles.has_role(routine.owner) || namespace.is_some_and(|namespace| roles.has_role(namespace.owner))
        {
            return Ok(());
        }
        Err(not_owner(owner::routine_word(&routine.function), routine.name()))
    }

    /// Whether the acting role may vacuum or analyze a table; a warning says so where it may not.
    pub(crate) fn may_maintain(&self, relation: &RelationDescriptor, what: &str) -> bool {
        let (catalog, roles) = (self.state.catalog(), self.state.roles());
        let database = catalog.database(self.state.database.oid());
        let owns = database.is_some_and(|database| roles.has_role(database.owner)) && !relation.shared;
        if owns || !catalog.relation_privileges(&roles, relation, Privileges::MAINTAIN).is_empty() {
            return true;
        }
        self.state.notice(Error::with_severity(
            Severity::Warning,
            SqlState::WARNING,
            format!("permission denied to {what} \"{}\", skipping it", relation.name),
        ));
        false
    }

    /// Fails unless the acting role may hand an object to a role: it must be able to become that role.
    pub(crate) fn require_may_become(&self, role: Oid) -> Result<()> {
        let catalog = self.state.catalog();
        if catalog.is_member(self.state.user_oid(), role, ochre_catalog::authority::MembershipUse::Set) {
            return Ok(());
        }
        Err(forbidden(format!("must be able to SET ROLE \"{}\"", self.state.name_of_role(role))))
    }
}

/// Whether a relation is something that has an access list.
pub(crate) fn has_list(relation: &RelationDescriptor) -> bool {
    !matches!(relation.kind, RelationKind::Index | RelationKind::PartitionedIndex)
}
