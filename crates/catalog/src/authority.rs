//! Roles, what they are members of, and what access lists let them do. Pure look-ups in one picture of the catalog.
//!
//! # Role
//! The engine asks here before it carries anything out; the answers hold for the picture that they were asked of.

use std::collections::HashSet;
use std::sync::Arc;

use ochre_base::Oid;
pub use ochre_types::acl::{AclItem, Privileges};

use crate::CatalogSnapshot;
use crate::descriptor::{Membership, RelationDescriptor, RelationKind};
use crate::oids;

/// An access list.
pub type Acl = Arc<[AclItem]>;

/// What kind of object an access list belongs to: it decides which privileges there are, and who has them from the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AclKind {
    Relation,
    Column,
    Sequence,
    Database,
    Function,
    Language,
    LargeObject,
    Namespace,
    Tablespace,
    ForeignDataWrapper,
    ForeignServer,
    Type,
    Parameter,
}

impl AclKind {
    /// The kind of `acldefault`'s letter.
    pub const fn from_letter(letter: u8) -> Option<AclKind> {
        Some(match letter {
            b'r' => AclKind::Relation,
            b'c' => AclKind::Column,
            b's' => AclKind::Sequence,
            b'd' => AclKind::Database,
            b'f' => AclKind::Function,
            b'l' => AclKind::Language,
            b'L' => AclKind::LargeObject,
            b'n' => AclKind::Namespace,
            b't' => AclKind::Tablespace,
            b'F' => AclKind::ForeignDataWrapper,
            b'S' => AclKind::ForeignServer,
            b'T' => AclKind::Type,
            b'p' => AclKind::Parameter,
            _ => return None,
        })
    }

    /// Every privilege that there is on such an object.
    pub const fn all(self) -> Privileges {
        use Privileges as P;
        match self {
            AclKind::Relation => P(P::INSERT.0
                | P::SELECT.0
                | P::UPDATE.0
                | P::DELETE.0
                | P::TRUNCATE.0
                | P::REFERENCES.0
                | P::TRIGGER.0
                | P::MAINTAIN.0),
            AclKind::Column => P(P::INSERT.0 | P::SELECT.0 | P::UPDATE.0 | P::REFERENCES.0),
            AclKind::Sequence => P(P::USAGE.0 | P::SELECT.0 | P::UPDATE.0),
            AclKind::Database => P(P::CREATE.0 | P::TEMPORARY.0 | P::CONNECT.0),
            AclKind::Function => P::EXECUTE,
            AclKind::LargeObject => P(P::SELECT.0 | P::UPDATE.0),
            AclKind::Namespace => P(P::USAGE.0 | P::CREATE.0),
            AclKind::Tablespace => P::CREATE,
            AclKind::Language | AclKind::ForeignDataWrapper | AclKind::ForeignServer | AclKind::Type => {
                P::USAGE
            }
            AclKind::Parameter => P(P::SET.0 | P::ALTER_SYSTEM.0),
        }
    }

    /// What everybody may do with an object that nothing was granted or revoked on.
    pub const fn of_public(self) -> Privileges {
        match self {
            AclKind::Database => Privileges(Privileges::TEMPORARY.0 | Privileges::CONNECT.0),
            AclKind::Function => Privileges::EXECUTE,
            AclKind::Language | AclKind::Type => Privileges::USAGE,
            _ => Privileges::NONE,
        }
    }

    /// The list of an object that nothing was granted or revoked on: `acldefault`.
    pub fn default_list(self, owner: Oid) -> Vec<AclItem> {
        let item =
            |grantee, privileges| AclItem { grantee, grantor: owner, privileges, options: Privileges::NONE };
        let mut list = Vec::new();
        if !self.of_public().is_empty() {
            list.push(item(Oid::INVALID, self.of_public()));
        }
        let own = if self == AclKind::Column { Privileges::NONE } else { self.all() };
        if !own.is_empty() {
            list.push(item(owner, own));
        }
        list
    }
}

/// A role with all roles whose privileges it has.
#[derive(Debug, Clone)]
pub struct RoleSet {
    pub role: Oid,
    pub superuser: bool,
    /// The role itself among them.
    has: HashSet<Oid>,
}

impl RoleSet {
    /// Whether it has another role's privileges, so that it may act as the owner of that role's objects.
    pub fn has_role(&self, role: Oid) -> bool {
        self.superuser || self.has.contains(&role)
    }

    /// Which of the wanted privileges an access list gives it; `None` stands for the list of the start.
    pub fn allowed(&self, acl: Option<&Acl>, kind: AclKind, owner: Oid, wanted: Privileges) -> Privileges {
        if self.superuser {
            return wanted;
        }
        let Some(acl) = acl else {
            let own = if self.has.contains(&owner) && kind != AclKind::Column {
                kind.all()
            } else {
                Privileges::NONE
            };
            return wanted.within(own.with(kind.of_public()));
        };
        let mut found = Privileges::NONE;
        for item in acl.iter() {
            if !item.grantee.is_valid() || self.has.contains(&item.grantee) {
                found = found.with(item.privileges);
            }
        }
        wanted.within(found)
    }

    /// The privileges of a list that it may grant on; an owner may grant all.
    pub fn grantable(&self, acl: Option<&Acl>, kind: AclKind, owner: Oid) -> Privileges {
        if self.has_role(owner) {
            return kind.all();
        }
        let items = acl.into_iter().flat_map(|acl| acl.iter());
        items
            .filter(|item| self.has.contains(&item.grantee))
            .fold(Privileges::NONE, |all, item| all.with(item.options))
    }
}

/// Which memberships lead on from a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MembershipUse {
    /// Any.
    Member,
    /// Those that hand privileges down.
    Inherit,
    /// Those by which SET ROLE goes.
    Set,
}

impl CatalogSnapshot {
    /// The roles that memberships lead to, itself included.
    pub fn roles_reached(&self, role: Oid, by: MembershipUse) -> HashSet<Oid> {
        let mut reached = HashSet::from([role]);
        let mut next = vec![role];
        while let Some(role) = next.pop() {
            let fits = |membership: &&Membership| match by {
                MembershipUse::Member => true,
                MembershipUse::Inherit => membership.inherit,
                MembershipUse::Set => membership.set,
            };
            let own = self.role(role).map(|role| &role.memberships[..]).unwrap_or_default();
            // Who owns the database is a member of this role, which nothing is stored of.
            let owns = self.database(self.database).is_some_and(|database| database.owner == role);
            let implicit = owns.then_some(oids::PG_DATABASE_OWNER);
            for found in own.iter().filter(fits).map(|membership| membership.role).chain(implicit) {
                if reached.insert(found) {
                    next.push(found);
                }
            }
        }
        reached
    }

    /// A role with those whose privileges it has. One that is gone has nobody's.
    pub fn role_set(&self, role: Oid) -> RoleSet {
        let superuser = self.role(role).is_some_and(|role| role.superuser);
        RoleSet { role, superuser, has: self.roles_reached(role, MembershipUse::Inherit) }
    }

    /// Whether a role is another, or a member of it, directly or not; a superuser is of all.
    pub fn is_member(&self, role: Oid, of: Oid, by: MembershipUse) -> bool {
        role == of
            || self.role(role).is_some_and(|role| role.superuser)
            || self.roles_reached(role, by).contains(&of)
    }

    /// Whether a role may grant membership in another.
    pub fn is_admin(&self, role: Oid, of: Oid) -> bool {
        if self.role(role).is_some_and(|role| role.superuser) {
            return true;
        }
        self.admin_of(role, of).is_some()
    }

    /// The role, among those whose privileges `role` has, that has the admin option on another.
    pub fn admin_of(&self, role: Oid, of: Oid) -> Option<Oid> {
        let reached = self.roles_reached(role, MembershipUse::Inherit);
        let has_admin = |known: &Oid| {
            self.role(*known).is_some_and(|known| known.memberships.iter().any(|m| m.role == of && m.admin))
        };
        if has_admin(&role) {
            return Some(role);
        }
        let mut admins: Vec<Oid> = reached.into_iter().filter(has_admin).collect();
        admins.sort_unstable();
        admins.first().copied()
    }

    /// Which of the wanted privileges a role has on a whole relation.
    pub fn relation_privileges(
        &self,
        roles: &RoleSet,
        relation: &RelationDescriptor,
        wanted: Privileges,
    ) -> Privileges {
        if roles.superuser {
            // Views may be changed: what becomes of that is checked for their tables.
            return wanted;
        }
        let kind =
            if relation.kind == RelationKind::Sequence { AclKind::Sequence } else { AclKind::Relation };
        let mut found = roles.allowed(relation.acl.as_ref(), kind, relation.owner, wanted);
        let reads = Privileges::SELECT;
        let writes = Privileges::INSERT.with(Privileges::UPDATE).with(Privileges::DELETE);
        if relation.builtin {
            return found;
        }
        for (role, gives) in [
            (oids::PG_READ_ALL_DATA, reads),
            (oids::PG_WRITE_ALL_DATA, writes),
            (oids::PG_MAINTAIN, Privileges::MAINTAIN),
        ] {
            if !wanted.within(gives).is_empty() && roles.has_role(role) {
                found = found.with(wanted.within(gives));
            }
        }
        found
    }

    /// Which of the wanted privileges a role has on a column by the column's own list.
    pub fn column_privileges(
        &self,
        roles: &RoleSet,
        relation: &RelationDescriptor,
        number: i16,
        wanted: Privileges,
    ) -> Privileges {
        match relation.column(number) {
            Some(column) if !column.dropped => {
                roles.allowed(column.acl.as_ref(), AclKind::Column, relation.owner, wanted)
            }
            _ => Privileges::NONE,
        }
    }

    /// Which of the wanted privileges a role has on a namespace.
    pub fn namespace_privileges(&self, roles: &RoleSet, namespace: Oid, wanted: Privileges) -> Privileges {
        let Some(namespace) = self.namespace(namespace) else { return Privileges::NONE };
        let mut found = roles.allowed(namespace.acl.as_ref(), AclKind::Namespace, namespace.owner, wanted);
        let usage = wanted.within(Privileges::USAGE);
        if !found.has(usage)
            && (roles.has_role(oids::PG_READ_ALL_DATA) || roles.has_role(oids::PG_WRITE_ALL_DATA))
        {
            found = found.with(usage);
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_the_start_are_postgresqls() {
        let list = AclKind::Database.default_list(Oid(10));
        assert_eq!(list.len(), 2);
        assert_eq!((list[0].grantee, list[0].privileges), (Oid::INVALID, AclKind::Database.of_public()));
        assert!(AclKind::Column.default_list(Oid(10)).is_empty());
    }

    #[test]
    fn monitors_read_all_settings() {
        let catalog = CatalogSnapshot::new(oids::POSTGRES);
        let roles = catalog.role_set(oids::PG_MONITOR);
        assert!(!roles.superuser && roles.has_role(oids::PG_READ_ALL_SETTINGS));
        assert!(!roles.has_role(oids::PG_READ_ALL_DATA));
        let class = catalog.relation(oids::PG_CLASS).expect("pg_class");
        let both = Privileges::SELECT.with(Privileges::UPDATE);
        assert_eq!(catalog.relation_privileges(&roles, class, both), Privileges::SELECT);
    }
}
