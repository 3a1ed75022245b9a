//! Roles, GRANT and REVOKE, user mappings.

use ochre_base::Result;

use super::{K, Parser};
use crate::ast::*;
use crate::lexer::Tok;

impl Parser<'_> {
    /// `ROLE`, `USER`, `GROUP` and `USER MAPPING` behind CREATE.
    pub(super) fn create_role_or_mapping(&mut self, pos: Pos) -> Result<Statement> {
        if self.at_words(&[K::User, K::Mapping]) {
            self.at += 2;
            let if_not_exists = self.if_not_exists();
            self.expect_kw(K::For)?;
            let user = self.mapping_user()?;
            self.expect_kw(K::Server)?;
            let server = self.col_id()?;
            let options = self.generic_options()?;
            let stmt = CreateUserMappingStmt { if_not_exists, user, server, options };
            return Ok(Statement::CreateUserMapping(P::new(stmt)));
        }
        let kind = match self.kw() {
            Some(K::User) => RoleKind::User,
            Some(K::Group) => RoleKind::Group,
            _ => RoleKind::Role,
        };
        self.advance();
        let name = self.role_id()?;
        self.eat_kw(K::With);
        let options = self.role_options(true)?;
        Ok(Statement::CreateRole(P::new(CreateRoleStmt { kind, name, options, pos })))
    }

    /// RoleId: a name, not one of the words.
    pub(super) fn role_id(&mut self) -> Result<Name> {
        let role = self.role()?;
        let reserved = |what: &str| {
            let error = ochre_base::Error::new(ochre_base::SqlState::RESERVED_NAME, what.to_string());
            Err(error.at(role.pos.offset()))
        };
        match role.kind {
            RoleSpecKind::Name(name) => Ok(name),
            RoleSpecKind::Public => reserved("role name \"public\" is reserved"),
            RoleSpecKind::SessionUser => reserved("SESSION_USER cannot be used as a role name here"),
            RoleSpecKind::CurrentUser => reserved("CURRENT_USER cannot be used as a role name here"),
            RoleSpecKind::CurrentRole => reserved("CURRENT_ROLE cannot be used as a role name here"),
        }
    }

    /// auth_ident: a role, or USER.
    pub(super) fn mapping_user(&mut self) -> Result<RoleSpec> {
        let pos = self.pos();
        if self.eat_kw(K::User) {
            return Ok(RoleSpec { kind: RoleSpecKind::CurrentUser, pos });
        }
        self.role()
    }

    /// OptRoleList; `create` adds what only CREATE ROLE has.
    pub(super) fn role_options(&mut self, create: bool) -> Result<Vec<RoleOption>> {
        let mut options = Vec::new();
        loop {
            let pos = self.pos();
            match self.role_option(create)? {
                Some(kind) => options.push(RoleOption { kind, pos }),
                None => return Ok(options),
            }
        }
    }

    fn role_option(&mut self, create: bool) -> Result<Option<RoleOptionKind>> {
        use RoleOptionKind as R;
        let pos = self.pos();
        let kind = match self.tok() {
            Tok::Kw(K::Password) => {
                self.advance();
                R::Password(if self.eat_kw(K::Null) { None } else { Some(self.string()?) })
            }
            Tok::Kw(K::Encrypted) => {
                self.advance();
                self.expect_kw(K::Password)?;
                R::Password(Some(self.string()?))
            }
            Tok::Kw(K::Unencrypted) => {
                self.advance();
                self.expect_kw(K::Password)?;
                self.string()?;
                return Err(Self::unsupported("UNENCRYPTED PASSWORD is no longer supported", pos)
                    .hint("Remove UNENCRYPTED to store the password in encrypted form instead."));
            }
            Tok::Kw(K::Inherit) => {
                self.advance();
                R::Inherit(true)
            }
            Tok::Kw(K::Connection) => {
                self.advance();
                self.expect_kw(K::Limit)?;
                R::ConnectionLimit(NumericValue::Integer(i64::from(self.signed_integer()?)))
            }
            Tok::Kw(K::Valid) => {
                self.advance();
                self.expect_kw(K::Until)?;
                R::ValidUntil(self.string()?)
            }
            Tok::Kw(K::User) if !create => {
                self.advance();
                R::Role(self.role_list()?)
            }
            Tok::Kw(K::Sysid) if create => {
                self.advance();
                R::SysId(NumericValue::Integer(i64::from(self.integer()?)))
            }
            Tok::Kw(K::Admin) if create => {
                self.advance();
                R::Admin(self.role_list()?)
            }
            Tok::Kw(K::Role | K::User) if create => {
                self.advance();
                R::Role(self.role_list()?)
            }
            Tok::Kw(K::In) if create => {
                self.advance();
                if !self.eat_kw(K::Role) {
                    self.expect_kw(K::Group)?;
                }
                R::InRole(self.role_list()?)
            }
            Tok::Ident => self.role_flag(pos)?,
            _ => return Ok(None),
        };
        Ok(Some(kind))
    }

    /// The options that are plain identifiers: `superuser`, `nologin` …
    fn role_flag(&mut self, pos: Pos) -> Result<RoleOptionKind> {
        use RoleOptionKind as R;
        let name = self.take_name()?;
        Ok(match name.as_str() {
            "superuser" => R::Superuser(true),
            "nosuperuser" => R::Superuser(false),
            "createrole" => R::CreateRole(true),
            "nocreaterole" => R::CreateRole(false),
            "replication" => R::IsReplication(true),
            "noreplication" => R::IsReplication(false),
            "createdb" => R::CreateDb(true),
            "nocreatedb" => R::CreateDb(false),
            "login" => R::CanLogin(true),
            "nologin" => R::CanLogin(false),
            "bypassrls" => R::BypassRls(true),
            "nobypassrls" => R::BypassRls(false),
            "noinherit" => R::Inherit(false),
            _ => return Err(Self::syntax(format!("unrecognized role option \"{name}\""), pos)),
        })
    }

    /// GRANT of privileges and of roles.
    pub(super) fn grant(&mut self) -> Result<Statement> {
        self.advance();
        let (privileges, all_columns, all) = self.privileges()?;
        if self.eat_kw(K::On) {
            let target = self.grant_target()?;
            self.expect_kw(K::To)?;
            let grantees = self.grantees()?;
            let grant_option = self.eat_words(&[K::With, K::Grant, K::Option]);
            let granted_by = self.granted_by()?;
            return Ok(Statement::Grant(P::new(GrantStmt {
                grant: true,
                privileges,
                all_columns,
                target,
                grantees,
                grant_option,
                granted_by,
                behavior: Behavior::Restrict,
            })));
        }
        if all {
            return Err(self.unexpected());
        }
        self.expect_kw(K::To)?;
        let grantees = self.role_list()?;
        let options =
            if self.eat_kw(K::With) { self.comma_list(Self::grant_role_option)? } else { Vec::new() };
        let granted_by = self.granted_by()?;
        Ok(Statement::GrantRole(P::new(GrantRoleStmt {
            grant: true,
            roles: privileges,
            grantees,
            options,
            granted_by,
            behavior: Behavior::Restrict,
        })))
    }

    /// `ADMIN OPTION`, `INHERIT TRUE` …
    fn grant_role_option(&mut self) -> Result<GrantRoleOption> {
        let pos = self.pos();
        let name = self.col_label()?;
        let value = if self.eat_kw(K::Option) || self.eat_kw(K::True) {
            true
        } else {
            self.expect_kw(K::False)?;
            false
        };
        Ok(GrantRoleOption { name, value, pos })
    }

    pub(super) fn revoke(&mut self) -> Result<Statement> {
        self.advance();
        let pos = self.pos();
        let mut grant_option = false;
        let mut options = Vec::new();
        if self.eat_words(&[K::Grant, K::Option, K::For]) {
            grant_option = true;
        } else if Self::is_name(self.tok(), |_| true) && self.peek_kw(1, K::Option) && self.peek_kw(2, K::For)
        {
            let name = self.col_label()?;
            self.at += 2;
            options.push(GrantRoleOption { name, value: false, pos });
        }
        let (privileges, all_columns, all) = self.privileges()?;
        if options.is_empty() && self.eat_kw(K::On) {
            let target = self.grant_target()?;
            self.expect_kw(K::From)?;
            let grantees = self.grantees()?;
            let granted_by = self.granted_by()?;
            let behavior = self.behavior();
            return Ok(Statement::Grant(P::new(GrantStmt {
                grant: false,
                privileges,
                all_columns,
                target,
                grantees,
                grant_option,
                granted_by,
                behavior,
            })));
        }
        if all || grant_option {
            return Err(self.unexpected());
        }
        self.expect_kw(K::From)?;
        let grantees = self.role_list()?;
        let granted_by = self.granted_by()?;
        let behavior = self.behavior();
        Ok(Statement::GrantRole(P::new(GrantRoleStmt {
            grant: false,
            roles: privileges,
            grantees,
            options,
            granted_by,
            behavior,
        })))
    }

    fn granted_by(&mut self) -> Result<Option<RoleSpec>> {
        if self.eat_words(&[K::Granted, K::By]) { Ok(Some(self.role()?)) } else { Ok(None) }
    }

    /// grantee_list.
    fn grantees(&mut self) -> Result<Vec<RoleSpec>> {
        self.comma_list(|p| {
            p.eat_kw(K::Group);
            p.role()
        })
    }

    /// privileges: the list (empty for ALL), the columns of ALL, and whether it was ALL.
    fn privileges(&mut self) -> Result<(Vec<Privilege>, Vec<Name>, bool)> {
        if self.eat_kw(K::All) {
            self.eat_kw(K::Privileges);
            return Ok((Vec::new(), self.optional_column_list()?, true));
        }
        let list = self.comma_list(|p| {
            let pos = p.pos();
            if p.eat_words(&[K::Alter, K::System]) {
                return Ok(Privilege { name: Name::from_static("alter system"), columns: Vec::new(), pos });
            }
            let name = match p.kw() {
                Some(K::Select | K::References | K::Create) => p.take_name()?,
                _ => p.col_id()?,
            };
            Ok(Privilege { name, columns: p.optional_column_list()?, pos })
        })?;
        Ok((list, Vec::new(), false))
    }

    /// privilege_target.
    fn grant_target(&mut self) -> Result<GrantTarget> {
        use ObjectKind as O;
        if self.is_kw(K::All) && matches!(self.peek(2), Tok::Kw(K::In)) {
            let kind = match self.peek(1) {
                Tok::Kw(K::Tables) => O::Table,
                Tok::Kw(K::Sequences) => O::Sequence,
                Tok::Kw(K::Functions) => O::Function,
                Tok::Kw(K::Procedures) => O::Procedure,
                Tok::Kw(K::Routines) => O::Routine,
                _ => return Err(self.unexpected()),
            };
            self.at += 3;
            self.expect_kw(K::Schema)?;
            return Ok(GrantTarget::AllInSchema(kind, self.comma_list(Self::col_id)?));
        }
        let qualified =
            |p: &mut Self, kind| Ok(GrantTarget::Objects(kind, p.comma_list(Self::qualified_name)?));
        let any = |p: &mut Self, kind| Ok(GrantTarget::Objects(kind, p.comma_list(Self::any_name)?));
        let single = |p: &mut Self, kind| Ok(GrantTarget::Objects(kind, p.comma_list(Self::single_name)?));
        let routines =
            |p: &mut Self, kind| Ok(GrantTarget::Routines(kind, p.comma_list(Self::routine_signature)?));
        // The words are unreserved: a table may be named `schema`.
        let named =
            Self::is_non_reserved_word(self.peek(1)) || matches!(self.peek(1), Tok::Integer | Tok::Numeric);
        let kw = if named { self.kw() } else { None };
        match kw {
            Some(K::Table) => {
                self.advance();
                qualified(self, O::Table)
            }
            Some(K::Sequence) => {
                self.advance();
                qualified(self, O::Sequence)
            }
            Some(K::Foreign) => {
                self.advance();
                if self.eat_kw(K::Server) {
                    return single(self, O::Server);
                }
                self.expect_words(&[K::Data, K::Wrapper])?;
                single(self, O::ForeignDataWrapper)
            }
            Some(K::Function) => {
                self.advance();
                routines(self, O::Function)
            }
            Some(K::Procedure) => {
                self.advance();
                routines(self, O::Procedure)
            }
            Some(K::Routine) => {
                self.advance();
                routines(self, O::Routine)
            }
            Some(K::Database) => {
                self.advance();
                single(self, O::Database)
            }
            Some(K::Domain) => {
                self.advance();
                any(self, O::Domain)
            }
            Some(K::Language) => {
                self.advance();
                single(self, O::Language)
            }
            Some(K::Large) if self.peek_kw(1, K::Object) => {
                self.at += 2;
                Ok(GrantTarget::LargeObjects(self.comma_list(Self::numeric)?))
            }
            Some(K::Parameter) => {
                self.advance();
                any(self, O::Parameter)
            }
            Some(K::Schema) => {
                self.advance();
                single(self, O::Schema)
            }
            Some(K::Tablespace) => {
                self.advance();
                single(self, O::Tablespace)
            }
            Some(K::Type) => {
                self.advance();
                any(self, O::Type)
            }
            _ => qualified(self, O::Table),
        }
    }

    /// `ALTER DEFAULT PRIVILEGES …` behind ALTER.
    pub(super) fn alter_default_privileges(&mut self) -> Result<Statement> {
        self.expect_words(&[K::Default, K::Privileges])?;
        let mut roles = Vec::new();
        let mut schemas = Vec::new();
        loop {
            if self.eat_words(&[K::In, K::Schema]) {
                schemas.extend(self.comma_list(Self::col_id)?);
            } else if self.eat_words(&[K::For, K::Role]) || self.eat_words(&[K::For, K::User]) {
                roles.extend(self.role_list()?);
            } else {
                break;
            }
        }
        let grant = self.is_kw(K::Grant);
        if !grant && !self.is_kw(K::Revoke) {
            return Err(self.unexpected());
        }
        self.advance();
        let mut grant_option = !grant && self.eat_words(&[K::Grant, K::Option, K::For]);
        let (privileges, all_columns, _) = self.privileges()?;
        self.expect_kw(K::On)?;
        let kind = match self.tok() {
            Tok::Kw(K::Tables) => ObjectKind::Table,
            Tok::Kw(K::Functions | K::Routines) => ObjectKind::Function,
            Tok::Kw(K::Sequences) => ObjectKind::Sequence,
            Tok::Kw(K::Types) => ObjectKind::Type,
            Tok::Kw(K::Schemas) => ObjectKind::Schema,
            Tok::Kw(K::Large) if self.peek_kw(1, K::Objects) => {
                self.advance();
                ObjectKind::LargeObject
            }
            _ => return Err(self.unexpected()),
        };
        self.advance();
        self.expect_kw(if grant { K::To } else { K::From })?;
        let grantees = self.grantees()?;
        let mut behavior = Behavior::Restrict;
        if grant {
            grant_option = self.eat_words(&[K::With, K::Grant, K::Option]);
        } else {
            behavior = self.behavior();
        }
        let action = GrantStmt {
            grant,
            privileges,
            all_columns,
            target: GrantTarget::Defaults(kind),
            grantees,
            grant_option,
            granted_by: None,
            behavior,
        };
        let stmt = AlterDefaultPrivilegesStmt { roles, schemas, action };
        Ok(Statement::AlterDefaultPrivileges(P::new(stmt)))
    }

    /// `REASSIGN OWNED BY … TO …`.
    pub(super) fn reassign_owned(&mut self) -> Result<Statement> {
        self.advance();
        self.expect_words(&[K::Owned, K::By])?;
        let roles = self.role_list()?;
        self.expect_kw(K::To)?;
        let new_role = self.role()?;
        Ok(Statement::ReassignOwned(P::new(ReassignOwnedStmt { roles, new_role })))
    }

    /// `ROLE …` and `USER …` behind ALTER, renaming apart.
    pub(super) fn alter_role(&mut self) -> Result<Statement> {
        self.advance();
        if self.eat_kw(K::All) {
            return self.alter_role_set(None);
        }
        let role = self.role()?;
        if self.is_kw(K::Set) || self.is_kw(K::Reset) || self.is_kw(K::In) {
            return self.alter_role_set(Some(role));
        }
        if self.is_kw(K::Rename) {
            return self.rename_role(role);
        }
        self.eat_kw(K::With);
        let options = self.role_options(false)?;
        Ok(Statement::AlterRole(P::new(AlterRoleStmt { role, options })))
    }

    fn alter_role_set(&mut self, role: Option<RoleSpec>) -> Result<Statement> {
        let database = if self.eat_kw(K::In) {
            self.expect_kw(K::Database)?;
            Some(self.col_id()?)
        } else {
            None
        };
        let set = self.set_or_reset()?;
        Ok(Statement::AlterRoleSet(P::new(AlterRoleSetStmt { role, database, set })))
    }

    fn rename_role(&mut self, role: RoleSpec) -> Result<Statement> {
        let RoleSpecKind::Name(name) = role.kind else { return Err(self.unexpected()) };
        self.expect_words(&[K::Rename, K::To])?;
        let new_name = self.role_id()?;
        let object =
            ObjectRef::Named { kind: ObjectKind::Role, name: ObjectName::unqualified(name, role.pos) };
        let target = RenameTarget::Object(object);
        let stmt = RenameStmt { target, new_name, if_exists: false, behavior: Behavior::Restrict };
        Ok(Statement::Rename(P::new(stmt)))
    }

    /// `GROUP …` behind ALTER.
    pub(super) fn alter_group(&mut self) -> Result<Statement> {
        self.advance();
        let group = self.role()?;
        if self.is_kw(K::Rename) {
            return self.rename_role(group);
        }
        let add = self.eat_kw(K::Add);
        if !add {
            self.expect_kw(K::Drop)?;
        }
        self.expect_kw(K::User)?;
        let members = self.role_list()?;
        Ok(Statement::AlterGroup(P::new(AlterGroupStmt { group, add, members })))
    }
}
