//! Which statement it is, and the smaller statements of the catalog.

use super::Printer;
use crate::ast::*;

impl Printer {
    pub(super) fn statement(&mut self, statement: &Statement) {
        self.nested(|p| p.statement_unguarded(statement));
    }

    fn statement_unguarded(&mut self, statement: &Statement) {
        use Statement as S;
        match statement {
            S::Select(s) => self.select(s),
            S::Insert(s) => self.insert(s),
            S::Update(s) => self.update(s),
            S::Delete(s) => self.delete(s),
            S::Merge(s) => self.merge(s),
            S::Copy(s) => self.copy(s),
            S::Truncate(s) => self.truncate(s),
            S::Transaction(s) => self.transaction(s),
            S::Set(s) => self.set(s),
            S::Show(s) => self.show(s),
            S::Explain(s) => self.explain(s),
            S::Prepare(s) => self.prepare(s),
            S::Execute(s) => self.execute(s),
            S::Deallocate(s) => self.name_or_all("DEALLOCATE", s.name.as_ref()),
            S::DeclareCursor(s) => self.declare_cursor(s),
            S::Fetch(s) => self.fetch(s),
            S::ClosePortal(s) => self.name_or_all("CLOSE", s.name.as_ref()),
            S::Discard(target) => self.discard(*target),
            S::Lock(s) => self.lock(s),
            S::Listen(name) => self.words_and_name("LISTEN", name),
            S::Unlisten(Some(name)) => self.words_and_name("UNLISTEN", name),
            S::Unlisten(None) => self.word("UNLISTEN *"),
            S::Notify(s) => self.notify(s),
            S::Load(file) => self.words_and_string("LOAD", file),
            S::Checkpoint => self.word("CHECKPOINT"),
            S::Vacuum(s) => self.vacuum(s),
            S::Cluster(s) => self.cluster(s),
            S::Reindex(s) => self.reindex(s),
            S::SetConstraints(s) => self.set_constraints(s),
            S::Do(s) => self.do_block(s),
            S::Call(call) => {
                self.word("CALL");
                self.plain_call(call);
            }
            S::Comment(s) => self.comment(s),
            S::SecurityLabel(s) => self.security_label(s),
            S::CreateTable(s) => self.create_table(s),
            S::CreateTableAs(s) => self.create_table_as(s),
            S::AlterTable(s) => self.alter_table(s),
            S::AlterTableMoveAll(s) => self.alter_table_move_all(s),
            S::CreateIndex(s) => self.create_index(s),
            S::CreateSequence(s) => self.create_sequence(s),
            S::AlterSequence(s) => self.alter_sequence(s),
            S::CreateView(s) => self.create_view(s),
            S::RefreshMaterializedView(s) => self.refresh_materialized_view(s),
            S::CreateStatistics(s) => self.create_statistics(s),
            S::AlterStatistics(s) => {
                self.word("ALTER STATISTICS");
                self.word_if(s.if_exists, "IF EXISTS");
                self.object_name(&s.name);
                self.word("SET STATISTICS");
                self.statistics_target(s.target);
            }
            S::CreateTrigger(s) => self.create_trigger(s),
            S::CreateEventTrigger(s) => self.create_event_trigger(s),
            S::AlterEventTrigger(s) => self.alter_event_trigger(s),
            S::CreateRule(s) => self.create_rule(s),
            S::CreatePolicy(s) => self.create_policy(s),
            S::AlterPolicy(s) => self.alter_policy(s),
            S::Drop(s) => self.drop_objects(s),
            S::Rename(s) => self.rename(s),
            S::AlterObjectSchema(s) => self.alter_object_schema(s),
            S::AlterOwner(s) => self.alter_owner(s),
            S::AlterObjectDepends(s) => self.alter_object_depends(s),
            other => self.catalog_statement(other),
        }
    }

    fn catalog_statement(&mut self, statement: &Statement) {
        use Statement as S;
        match statement {
            S::CreateSchema(s) => self.create_schema(s),
            S::CreateDatabase(s) => {
                self.words_and_name("CREATE DATABASE", &s.name);
                self.database_options(&s.options);
            }
            S::AlterDatabase(s) => self.alter_database(s),
            S::DropDatabase(s) => {
                self.word("DROP DATABASE");
                self.word_if(s.if_exists, "IF EXISTS");
                self.name(&s.name);
                self.utility_options(&s.options);
            }
            S::AlterSystem(s) => {
                self.word("ALTER SYSTEM");
                self.set(s);
            }
            S::CreateTablespace(s) => {
                self.words_and_name("CREATE TABLESPACE", &s.name);
                if let Some(owner) = &s.owner {
                    self.word("OWNER");
                    self.role(owner);
                }
                self.words_and_string("LOCATION", &s.location);
                self.with_options(&s.options);
            }
            S::AlterTablespace(s) => {
                self.words_and_name("ALTER TABLESPACE", &s.name);
                self.word(if s.reset { "RESET" } else { "SET" });
                self.definition(&s.options);
            }
            S::DropTablespace(s) => {
                self.word("DROP TABLESPACE");
                self.word_if(s.if_exists, "IF EXISTS");
                self.name(&s.name);
            }
            S::CreateRole(s) => self.create_role(s),
            S::AlterRole(s) => self.alter_role(s),
            S::AlterRoleSet(s) => self.alter_role_set(s),
            S::AlterGroup(s) => self.alter_group(s),
            S::DropRole(s) => {
                self.word("DROP ROLE");
                self.word_if(s.if_exists, "IF EXISTS");
                self.roles(&s.roles);
            }
            S::Grant(s) => self.grant(s),
            S::GrantRole(s) => self.grant_role(s),
            S::AlterDefaultPrivileges(s) => self.alter_default_privileges(s),
            S::ReassignOwned(s) => self.reassign_owned(s),
            S::DropOwned(s) => {
                self.word("DROP OWNED BY");
                self.roles(&s.roles);
                self.behavior(s.behavior);
            }
            S::CreateFunction(s) => self.create_function(s),
            S::AlterFunction(s) => self.alter_function(s),
            S::Return(expr) => {
                self.word("RETURN");
                self.expr(expr);
            }
            S::Define(s) => self.define(s),
            S::CreateType(s) => self.create_type(s),
            S::AlterType(s) => {
                self.words_and_object("ALTER TYPE", &s.name);
                self.word("SET");
                self.definition_with_none(&s.options);
            }
            S::AlterEnum(s) => self.alter_enum(s),
            S::CreateDomain(s) => self.create_domain(s),
            S::AlterDomain(s) => self.alter_domain(s),
            S::AlterOperator(s) => {
                self.word("ALTER OPERATOR");
                self.operator_signature(&s.signature);
                self.word("SET");
                self.definition_with_none(&s.options);
            }
            S::CreateOperatorClass(s) => self.create_operator_class(s),
            S::CreateOperatorFamily(s) => {
                self.words_and_object("CREATE OPERATOR FAMILY", &s.name);
                self.words_and_name("USING", &s.method);
            }
            S::AlterOperatorFamily(s) => self.alter_operator_family(s),
            S::CreateCast(s) => self.create_cast(s),
            S::CreateConversion(s) => self.create_conversion(s),
            S::CreateTransform(s) => self.create_transform(s),
            S::CreateLanguage(s) => self.create_language(s),
            S::CreateAccessMethod(s) => {
                self.words_and_name("CREATE ACCESS METHOD", &s.name);
                self.word(if s.table { "TYPE TABLE" } else { "TYPE INDEX" });
                self.words_and_object("HANDLER", &s.handler);
            }
            S::CreateAssertion(s) => {
                self.words_and_object("CREATE ASSERTION", &s.name);
                self.word("CHECK");
                self.parens(|p| p.expr(&s.check));
            }
            S::AlterCollationRefresh(name) => {
                self.words_and_object("ALTER COLLATION", name);
                self.word("REFRESH VERSION");
            }
            other => self.extension_statement(other),
        }
    }

    fn extension_statement(&mut self, statement: &Statement) {
        use Statement as S;
        match statement {
            S::CreateExtension(s) => {
                self.word("CREATE EXTENSION");
                self.word_if(s.if_not_exists, "IF NOT EXISTS");
                self.name(&s.name);
                self.extension_options(&s.options);
            }
            S::AlterExtension(s) => {
                self.words_and_name("ALTER EXTENSION", &s.name);
                self.word("UPDATE");
                for option in &s.options {
                    if let Some(value) = &option.value {
                        self.words_and_string("TO", &value.as_text());
                    }
                }
            }
            S::AlterExtensionContents(s) => {
                self.words_and_name("ALTER EXTENSION", &s.name);
                self.word(if s.add { "ADD" } else { "DROP" });
                self.object(&s.object);
            }
            S::AlterTextSearchDictionary(s) => {
                self.words_and_object("ALTER TEXT SEARCH DICTIONARY", &s.name);
                self.definition(&s.options);
            }
            S::AlterTextSearchConfiguration(s) => self.alter_text_search(s),
            S::CreateForeignDataWrapper(s) => {
                self.words_and_name("CREATE FOREIGN DATA WRAPPER", &s.name);
                self.fdw_handlers(&s.handlers);
                self.generic_options(&s.options);
            }
            S::AlterForeignDataWrapper(s) => {
                self.words_and_name("ALTER FOREIGN DATA WRAPPER", &s.name);
                self.fdw_handlers(&s.handlers);
                self.generic_options(&s.options);
            }
            S::CreateServer(s) => {
                self.word("CREATE SERVER");
                self.word_if(s.if_not_exists, "IF NOT EXISTS");
                self.name(&s.name);
                if let Some(server_type) = &s.server_type {
                    self.words_and_string("TYPE", server_type);
                }
                if let Some(version) = &s.version {
                    self.words_and_string("VERSION", version);
                }
                self.words_and_name("FOREIGN DATA WRAPPER", &s.wrapper);
                self.generic_options(&s.options);
            }
            S::AlterServer(s) => {
                self.words_and_name("ALTER SERVER", &s.name);
                match &s.version {
                    None => {}
                    Some(None) => self.word("VERSION NULL"),
                    Some(Some(version)) => self.words_and_string("VERSION", version),
                }
                self.generic_options(&s.options);
            }
            S::CreateUserMapping(s) => {
                self.word("CREATE USER MAPPING");
                self.word_if(s.if_not_exists, "IF NOT EXISTS");
                self.user_mapping(&s.user, &s.server);
                self.generic_options(&s.options);
            }
            S::AlterUserMapping(s) => {
                self.word("ALTER USER MAPPING");
                self.user_mapping(&s.user, &s.server);
                self.generic_options(&s.options);
            }
            S::DropUserMapping(s) => {
                self.word("DROP USER MAPPING");
                self.word_if(s.if_exists, "IF EXISTS");
                self.user_mapping(&s.user, &s.server);
            }
            S::ImportForeignSchema(s) => self.import_foreign_schema(s),
            S::CreatePublication(s) => {
                self.words_and_name("CREATE PUBLICATION", &s.name);
                self.word_if(s.all_tables, "FOR ALL TABLES");
                if !s.objects.is_empty() {
                    self.word("FOR");
                    self.publication_objects(&s.objects);
                }
                self.with_options(&s.options);
            }
            S::AlterPublication(s) => self.alter_publication(s),
            S::CreateSubscription(s) => {
                self.words_and_name("CREATE SUBSCRIPTION", &s.name);
                self.words_and_string("CONNECTION", &s.connection);
                self.word("PUBLICATION");
                self.names(&s.publications);
                self.with_options(&s.options);
            }
            S::AlterSubscription(s) => self.alter_subscription(s),
            S::DropSubscription(s) => {
                self.word("DROP SUBSCRIPTION");
                self.word_if(s.if_exists, "IF EXISTS");
                self.name(&s.name);
                self.behavior(s.behavior);
            }
            _ => {}
        }
    }

    fn create_schema(&mut self, stmt: &CreateSchemaStmt) {
        self.word("CREATE SCHEMA");
        self.word_if(stmt.if_not_exists, "IF NOT EXISTS");
        if let Some(name) = &stmt.name {
            self.name(name);
        }
        if let Some(role) = &stmt.authorization {
            self.word("AUTHORIZATION");
            self.role(role);
        }
        for element in &stmt.elements {
            self.statement(element);
        }
    }

    fn database_options(&mut self, options: &[DefElem]) {
        for option in options {
            match option.name.as_str() {
                "connection_limit" => self.word("CONNECTION LIMIT"),
                _ => self.utility_option(&DefElem { value: None, ..option.clone() }),
            }
            self.word("=");
            match &option.value {
                Some(value) => self.def_value(value),
                None => self.word("DEFAULT"),
            }
        }
    }

    fn alter_database(&mut self, stmt: &AlterDatabaseStmt) {
        self.words_and_name("ALTER DATABASE", &stmt.name);
        match &stmt.action {
            AlterDatabaseAction::Options(options) => match options.as_slice() {
                [option] if option.name == "tablespace" => {
                    self.word("SET TABLESPACE");
                    if let Some(value) = &option.value {
                        self.name(&value.as_text());
                    }
                }
                options => self.database_options(options),
            },
            AlterDatabaseAction::Set(set) => self.set(set),
            AlterDatabaseAction::RefreshCollationVersion => self.word("REFRESH COLLATION VERSION"),
        }
    }

    fn extension_options(&mut self, options: &[DefElem]) {
        for option in options {
            let text = option.value.as_ref().map(DefValue::as_text).unwrap_or_default();
            match option.name.as_str() {
                "schema" => self.words_and_name("SCHEMA", &text),
                "new_version" => self.words_and_string("VERSION", &text),
                _ => self.word("CASCADE"),
            }
        }
    }

    fn alter_text_search(&mut self, stmt: &AlterTextSearchConfigurationStmt) {
        self.words_and_object("ALTER TEXT SEARCH CONFIGURATION", &stmt.name);
        match &stmt.action {
            TextSearchMapping::Set { alter, tokens, dictionaries } => {
                self.word(if *alter { "ALTER MAPPING FOR" } else { "ADD MAPPING FOR" });
                self.names(tokens);
                self.word("WITH");
                self.object_names(dictionaries);
            }
            TextSearchMapping::Replace { tokens, old, new } => {
                self.word("ALTER MAPPING");
                if !tokens.is_empty() {
                    self.word("FOR");
                    self.names(tokens);
                }
                self.words_and_object("REPLACE", old);
                self.words_and_object("WITH", new);
            }
            TextSearchMapping::Drop { tokens, if_exists } => {
                self.word("DROP MAPPING");
                self.word_if(*if_exists, "IF EXISTS");
                self.word("FOR");
                self.names(tokens);
            }
        }
    }

    fn fdw_handlers(&mut self, handlers: &[FdwHandler]) {
        for handler in handlers {
            match handler {
                FdwHandler::Handler(name) => self.words_and_object("HANDLER", name),
                FdwHandler::NoHandler => self.word("NO HANDLER"),
                FdwHandler::Validator(name) => self.words_and_object("VALIDATOR", name),
                FdwHandler::NoValidator => self.word("NO VALIDATOR"),
            }
        }
    }

    fn user_mapping(&mut self, user: &RoleSpec, server: &Name) {
        self.word("FOR");
        self.role(user);
        self.words_and_name("SERVER", server);
    }

    fn import_foreign_schema(&mut self, stmt: &ImportForeignSchemaStmt) {
        self.words_and_name("IMPORT FOREIGN SCHEMA", &stmt.remote_schema);
        match &stmt.filter {
            ImportFilter::All => {}
            ImportFilter::LimitTo(tables) => {
                self.word("LIMIT TO");
                self.parens(|p| p.object_names(tables));
            }
            ImportFilter::Except(tables) => {
                self.word("EXCEPT");
                self.parens(|p| p.object_names(tables));
            }
        }
        self.words_and_name("FROM SERVER", &stmt.server);
        self.words_and_name("INTO", &stmt.local_schema);
        self.generic_options(&stmt.options);
    }

    fn publication_objects(&mut self, objects: &[PublicationObject]) {
        self.list(objects, |p, object| match object {
            PublicationObject::Table { relation, columns, where_clause, .. } => {
                p.word("TABLE");
                p.relation(relation);
                p.column_list(columns);
                if let Some(condition) = where_clause {
                    p.word("WHERE");
                    p.parens(|p| p.expr(condition));
                }
            }
            PublicationObject::Schema(name, _) => {
                p.word("TABLES IN SCHEMA");
                match name {
                    Some(name) => p.name(name),
                    None => p.word("CURRENT_SCHEMA"),
                }
            }
        });
    }

    fn alter_publication(&mut self, stmt: &AlterPublicationStmt) {
        use AlterPublicationAction as A;
        self.words_and_name("ALTER PUBLICATION", &stmt.name);
        match &stmt.action {
            A::Options(options) => {
                self.word("SET");
                self.definition(options);
            }
            A::Add(objects) => {
                self.word("ADD");
                self.publication_objects(objects);
            }
            A::Set(objects) => {
                self.word("SET");
                self.publication_objects(objects);
            }
            A::Drop(objects) => {
                self.word("DROP");
                self.publication_objects(objects);
            }
        }
    }

    fn alter_subscription(&mut self, stmt: &AlterSubscriptionStmt) {
        use AlterSubscriptionAction as A;
        self.words_and_name("ALTER SUBSCRIPTION", &stmt.name);
        let publications = |p: &mut Self, words: &str, names: &[Name], options: &[DefElem]| {
            p.word(words);
            p.names(names);
            p.with_options(options);
        };
        match &stmt.action {
            A::Options(options) => {
                self.word("SET");
                self.definition(options);
            }
            A::Connection(text) => self.words_and_string("CONNECTION", text),
            A::Refresh(options) => {
                self.word("REFRESH PUBLICATION");
                self.with_options(options);
            }
            A::AddPublication(names, options) => publications(self, "ADD PUBLICATION", names, options),
            A::DropPublication(names, options) => publications(self, "DROP PUBLICATION", names, options),
            A::SetPublication(names, options) => publications(self, "SET PUBLICATION", names, options),
            A::Enable => self.word("ENABLE"),
            A::Disable => self.word("DISABLE"),
            A::Skip(options) => {
                self.word("SKIP");
                self.definition(options);
            }
        }
    }
}
