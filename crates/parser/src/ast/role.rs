//! Roles and privileges.

use super::{Behavior, Name, NumericValue, ObjectKind, ObjectName, Pos, RoutineSignature, SetStmt};

/// A role in a clause: by name, or one of the words.
#[derive(Debug, Clone, PartialEq)]
pub struct RoleSpec {
    pub kind: RoleSpecKind,
    pub pos: Pos,
}

#[derive(Debug, Clone, PartialEq)]
pub enum RoleSpecKind {
    Name(Name),
    CurrentRole,
    CurrentUser,
    SessionUser,
    Public,
}

/// CREATE ROLE, USER and GROUP.
#[derive(Debug, Clone, PartialEq)]
pub struct CreateRoleStmt {
    pub kind: RoleKind,
    pub name: Name,
    pub options: Vec<RoleOption>,
    pub pos: Pos,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoleKind {
    Role,
    User,
    Group,
}

#[derive(Debug, Clone, PartialEq)]
pub struct RoleOption {
    pub kind: RoleOptionKind,
    pub pos: Pos,
}

#[derive(Debug, Clone, PartialEq)]
pub enum RoleOptionKind {
    /// `None` for PASSWORD NULL.
    Password(Option<Box<str>>),
    Superuser(bool),
    CreateDb(bool),
    CreateRole(bool),
    Inherit(bool),
    CanLogin(bool),
    IsReplication(bool),
    BypassRls(bool),
    ConnectionLimit(NumericValue),
    ValidUntil(Box<str>),
    /// Accepted and ignored.
    SysId(NumericValue),
    /// `ADMIN roles`: members with the admin option.
    Admin(Vec<RoleSpec>),
    /// `ROLE roles`, `USER roles`: members.
    Role(Vec<RoleSpec>),
    /// `IN ROLE roles`, `IN GROUP roles`.
    InRole(Vec<RoleSpec>),
}

#[derive(Debug, Clone, PartialEq)]
pub struct AlterRoleStmt {
    pub role: RoleSpec,
    pub options: Vec<RoleOption>,
}

/// `ALTER ROLE name | ALL [IN DATABASE db] SET …`.
#[derive(Debug, Clone, PartialEq)]
pub struct AlterRoleSetStmt {
    /// `None` for ALL.
    pub role: Option<RoleSpec>,
    pub database: Option<Name>,
    pub set: SetStmt,
}

/// `ALTER GROUP name ADD | DROP USER roles`.
#[derive(Debug, Clone, PartialEq)]
pub struct AlterGroupStmt {
    pub group: RoleSpec,
    pub add: bool,
    pub members: Vec<RoleSpec>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct DropRoleStmt {
    pub roles: Vec<RoleSpec>,
    pub if_exists: bool,
}

/// GRANT and REVOKE of privileges on objects.
#[derive(Debug, Clone, PartialEq)]
pub struct GrantStmt {
    pub grant: bool,
    /// Empty for ALL PRIVILEGES.
    pub privileges: Vec<Privilege>,
    /// ALL PRIVILEGES (columns).
    pub all_columns: Vec<Name>,
    pub target: GrantTarget,
    pub grantees: Vec<RoleSpec>,
    /// WITH GRANT OPTION; for REVOKE: GRANT OPTION FOR.
    pub grant_option: bool,
    pub granted_by: Option<RoleSpec>,
    pub behavior: Behavior,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Privilege {
    /// Lower case: `select`, `insert` …
    pub name: Name,
    pub columns: Vec<Name>,
    pub pos: Pos,
}

#[derive(Debug, Clone, PartialEq)]
pub enum GrantTarget {
    /// Tables (also without the word), sequences, databases, domains, languages, schemas, tablespaces, types, foreign
    /// data wrappers, foreign servers, parameters.
    Objects(ObjectKind, Vec<ObjectName>),
    LargeObjects(Vec<NumericValue>),
    Routines(ObjectKind, Vec<RoutineSignature>),
    /// `ALL TABLES IN SCHEMA …`.
    AllInSchema(ObjectKind, Vec<Name>),
    /// Of ALTER DEFAULT PRIVILEGES: `ON TABLES`.
    Defaults(ObjectKind),
}

/// GRANT and REVOKE of roles.
#[derive(Debug, Clone, PartialEq)]
pub struct GrantRoleStmt {
    pub grant: bool,
    /// Role names; the grammar also reads column lists here, which the engine refuses.
    pub roles: Vec<Privilege>,
    pub grantees: Vec<RoleSpec>,
    /// `WITH ADMIN OPTION`, `WITH INHERIT FALSE` …; for REVOKE: `ADMIN OPTION FOR`.
    pub options: Vec<GrantRoleOption>,
    pub granted_by: Option<RoleSpec>,
    pub behavior: Behavior,
}

#[derive(Debug, Clone, PartialEq)]
pub struct GrantRoleOption {
    pub name: Name,
    pub value: bool,
    pub pos: Pos,
}

#[derive(Debug, Clone, PartialEq)]
pub struct AlterDefaultPrivilegesStmt {
    /// `FOR ROLE roles`.
    pub roles: Vec<RoleSpec>,
    pub schemas: Vec<Name>,
    pub action: GrantStmt,
}

#[derive(Debug, Clone, PartialEq)]
pub struct ReassignOwnedStmt {
    pub roles: Vec<RoleSpec>,
    pub new_role: RoleSpec,
}

#[derive(Debug, Clone, PartialEq)]
pub struct DropOwnedStmt {
    pub roles: Vec<RoleSpec>,
    pub behavior: Behavior,
}
