//! Roles and privileges.

use super::Printer;
use crate::ast::*;

impl Printer {
    pub(super) fn role(&mut self, role: &RoleSpec) {
        match &role.kind {
            RoleSpecKind::Name(name) => self.name(name),
            RoleSpecKind::CurrentRole => self.word("CURRENT_ROLE"),
            RoleSpecKind::CurrentUser => self.word("CURRENT_USER"),
            RoleSpecKind::SessionUser => self.word("SESSION_USER"),
            RoleSpecKind::Public => self.word("PUBLIC"),
        }
    }

    pub(super) fn roles(&mut self, roles: &[RoleSpec]) {
        self.list(roles, |p, role| p.role(role));
    }

    pub(super) fn create_role(&mut self, stmt: &CreateRoleStmt) {
        self.word(match stmt.kind {
            RoleKind::Role => "CREATE ROLE",
            RoleKind::User => "CREATE USER",
            RoleKind::Group => "CREATE GROUP",
        });
        self.name(&stmt.name);
        self.role_options(&stmt.options, "ROLE");
    }

    pub(super) fn alter_role(&mut self, stmt: &AlterRoleStmt) {
        self.word("ALTER ROLE");
        self.role(&stmt.role);
        self.role_options(&stmt.options, "USER");
    }

    fn role_options(&mut self, options: &[RoleOption], members: &str) {
        for option in options {
            self.role_option(&option.kind, members);
        }
    }

    fn role_option(&mut self, option: &RoleOptionKind, members: &str) {
        use RoleOptionKind as R;
        let flag = |yes: bool, word: &str| if yes { word.to_string() } else { format!("NO{word}") };
        let text = match option {
            R::Password(Some(password)) => return self.words_and_string("PASSWORD", password),
            R::Password(None) => "PASSWORD NULL".to_string(),
            R::Superuser(yes) => flag(*yes, "SUPERUSER"),
            R::CreateDb(yes) => flag(*yes, "CREATEDB"),
            R::CreateRole(yes) => flag(*yes, "CREATEROLE"),
            R::Inherit(yes) => flag(*yes, "INHERIT"),
            R::CanLogin(yes) => flag(*yes, "LOGIN"),
            R::IsReplication(yes) => flag(*yes, "REPLICATION"),
            R::BypassRls(yes) => flag(*yes, "BYPASSRLS"),
            R::ConnectionLimit(limit) => {
                self.word("CONNECTION LIMIT");
                return self.number(limit);
            }
            R::ValidUntil(time) => return self.words_and_string("VALID UNTIL", time),
            R::SysId(id) => {
                self.word("SYSID");
                return self.number(id);
            }
            R::Admin(roles) => {
                self.word("ADMIN");
                return self.roles(roles);
            }
            R::Role(roles) => {
                self.word(members);
                return self.roles(roles);
            }
            R::InRole(roles) => {
                self.word("IN ROLE");
                return self.roles(roles);
            }
        };
        self.word(&text);
    }

    pub(super) fn alter_role_set(&mut self, stmt: &AlterRoleSetStmt) {
        self.word("ALTER ROLE");
        match &stmt.role {
            Some(role) => self.role(role),
            None => self.word("ALL"),
        }
        if let Some(database) = &stmt.database {
            self.words_and_name("IN DATABASE", database);
        }
        self.set(&stmt.set);
    }

    pub(super) fn alter_group(&mut self, stmt: &AlterGroupStmt) {
        self.word("ALTER GROUP");
        self.role(&stmt.group);
        self.word(if stmt.add { "ADD USER" } else { "DROP USER" });
        self.roles(&stmt.members);
    }

    fn privileges(&mut self, privileges: &[Privilege], all_columns: &[Name]) {
        if privileges.is_empty() {
            self.word("ALL PRIVILEGES");
            self.column_list(all_columns);
            return;
        }
        self.list(privileges, |p, privilege| {
            match privilege.name.as_str() {
                word @ ("select" | "references" | "create" | "alter system") => p.word(&word.to_uppercase()),
                name => p.name(name),
            }
            p.column_list(&privilege.columns);
        });
    }

    pub(super) fn grant(&mut self, stmt: &GrantStmt) {
        self.word(if stmt.grant { "GRANT" } else { "REVOKE" });
        self.word_if(!stmt.grant && stmt.grant_option, "GRANT OPTION FOR");
        self.privileges(&stmt.privileges, &stmt.all_columns);
        self.word("ON");
        self.grant_target(&stmt.target);
        self.word(if stmt.grant { "TO" } else { "FROM" });
        self.roles(&stmt.grantees);
        self.word_if(stmt.grant && stmt.grant_option, "WITH GRANT OPTION");
        self.granted_by(stmt.granted_by.as_ref());
        self.behavior(stmt.behavior);
    }

    fn granted_by(&mut self, role: Option<&RoleSpec>) {
        if let Some(role) = role {
            self.word("GRANTED BY");
            self.role(role);
        }
    }

    fn grant_target(&mut self, target: &GrantTarget) {
        match target {
            GrantTarget::Objects(kind, names) => {
                self.word(if *kind == ObjectKind::Server { "FOREIGN SERVER" } else { kind.as_sql() });
                self.object_names(names);
            }
            GrantTarget::LargeObjects(numbers) => {
                self.word("LARGE OBJECT");
                self.list(numbers, |p, number| p.number(number));
            }
            GrantTarget::Routines(kind, signatures) => {
                self.word(kind.as_sql());
                self.list(signatures, |p, signature| p.routine_signature(signature));
            }
            GrantTarget::AllInSchema(kind, schemas) => {
                self.word(&format!("ALL {}S IN SCHEMA", kind.as_sql()));
                self.names(schemas);
            }
            GrantTarget::Defaults(kind) => self.word(&format!("{}S", kind.as_sql())),
        }
    }

    pub(super) fn grant_role(&mut self, stmt: &GrantRoleStmt) {
        self.word(if stmt.grant { "GRANT" } else { "REVOKE" });
        if !stmt.grant {
            for option in &stmt.options {
                self.name(&option.name);
                self.word("OPTION FOR");
            }
        }
        self.privileges(&stmt.roles, &[]);
        self.word(if stmt.grant { "TO" } else { "FROM" });
        self.roles(&stmt.grantees);
        if stmt.grant && !stmt.options.is_empty() {
            self.word("WITH");
            self.list(&stmt.options, |p, option| {
                p.name(&option.name);
                p.word(if option.value { "TRUE" } else { "FALSE" });
            });
        }
        self.granted_by(stmt.granted_by.as_ref());
        self.behavior(stmt.behavior);
    }

    pub(super) fn alter_default_privileges(&mut self, stmt: &AlterDefaultPrivilegesStmt) {
        self.word("ALTER DEFAULT PRIVILEGES");
        if !stmt.roles.is_empty() {
            self.word("FOR ROLE");
            self.roles(&stmt.roles);
        }
        if !stmt.schemas.is_empty() {
            self.word("IN SCHEMA");
            self.names(&stmt.schemas);
        }
        self.grant(&stmt.action);
    }

    pub(super) fn reassign_owned(&mut self, stmt: &ReassignOwnedStmt) {
        self.word("REASSIGN OWNED BY");
        self.roles(&stmt.roles);
        self.word("TO");
        self.role(&stmt.new_role);
    }

    pub(super) fn create_policy(&mut self, stmt: &CreatePolicyStmt) {
        self.words_and_name("CREATE POLICY", &stmt.name);
        self.words_and_object("ON", &stmt.table);
        self.word_if(!stmt.permissive, "AS RESTRICTIVE");
        self.word(match stmt.command {
            PolicyCommand::All => "FOR ALL",
            PolicyCommand::Select => "FOR SELECT",
            PolicyCommand::Insert => "FOR INSERT",
            PolicyCommand::Update => "FOR UPDATE",
            PolicyCommand::Delete => "FOR DELETE",
        });
        self.word("TO");
        self.roles(&stmt.roles);
        self.policy_conditions(stmt.using.as_ref(), stmt.check.as_ref());
    }

    pub(super) fn alter_policy(&mut self, stmt: &AlterPolicyStmt) {
        self.words_and_name("ALTER POLICY", &stmt.name);
        self.words_and_object("ON", &stmt.table);
        if let Some(roles) = &stmt.roles {
            self.word("TO");
            self.roles(roles);
        }
        self.policy_conditions(stmt.using.as_ref(), stmt.check.as_ref());
    }

    fn policy_conditions(&mut self, using: Option<&Expr>, check: Option<&Expr>) {
        if let Some(using) = using {
            self.word("USING");
            self.parens(|p| p.expr(using));
        }
        if let Some(check) = check {
            self.word("WITH CHECK");
            self.parens(|p| p.expr(check));
        }
    }
}
