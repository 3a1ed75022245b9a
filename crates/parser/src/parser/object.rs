//! Triggers, rules, policies, extensions, text search, foreign data and replication.

use ochre_base::Result;

use super::{K, Parser};
use crate::ast::*;
use crate::lexer::Tok;

impl Parser<'_> {
    /// `[CONSTRAINT] TRIGGER …` behind CREATE.
    pub(super) fn create_trigger(&mut self, or_replace: bool) -> Result<Statement> {
        let constraint = self.eat_kw(K::Constraint);
        self.expect_kw(K::Trigger)?;
        let name = self.col_id()?;
        let timing = if constraint {
            self.expect_kw(K::After)?;
            TriggerTiming::After
        } else if self.eat_kw(K::Before) {
            TriggerTiming::Before
        } else if self.eat_kw(K::After) {
            TriggerTiming::After
        } else {
            self.expect_words(&[K::Instead, K::Of])?;
            TriggerTiming::InsteadOf
        };
        let events = self.trigger_events()?;
        self.expect_kw(K::On)?;
        let table = self.qualified_name()?;
        let mut stmt = CreateTriggerStmt {
            name,
            or_replace,
            constraint,
            timing,
            events,
            table,
            from_table: None,
            attributes: ConstraintAttributes::default(),
            transitions: Vec::new(),
            for_each_row: false,
            when: None,
            function: ObjectName::unqualified(Name::from_static(""), Pos::NONE),
            args: Vec::new(),
        };
        if constraint {
            if self.eat_kw(K::From) {
                stmt.from_table = Some(self.qualified_name()?);
            }
            stmt.attributes = self.constraint_attributes()?.checked("TRIGGER")?;
            self.expect_words(&[K::For, K::Each, K::Row])?;
            stmt.for_each_row = true;
        } else {
            if self.eat_kw(K::Referencing) {
                while matches!(self.kw(), Some(K::Old | K::New)) {
                    stmt.transitions.push(self.trigger_transition()?);
                }
                if stmt.transitions.is_empty() {
                    return Err(self.unexpected());
                }
            }
            if self.eat_kw(K::For) {
                self.eat_kw(K::Each);
                stmt.for_each_row = self.eat_kw(K::Row);
                if !stmt.for_each_row {
                    self.expect_kw(K::Statement)?;
                }
            }
        }
        if self.eat_kw(K::When) {
            stmt.when = Some(self.paren_expr()?);
        }
        self.execute_function()?;
        stmt.function = self.func_name()?;
        self.expect(Tok::LeftParen)?;
        if !self.is(Tok::RightParen) {
            // The list may begin with a comma: its first argument may be missing.
            self.eat(Tok::Comma);
            stmt.args = self.comma_list(Self::trigger_arg)?;
        }
        self.expect(Tok::RightParen)?;
        Ok(Statement::CreateTrigger(P::new(stmt)))
    }

    fn execute_function(&mut self) -> Result<()> {
        self.expect_kw(K::Execute)?;
        if self.eat_kw(K::Function) { Ok(()) } else { self.expect_kw(K::Procedure) }
    }

    fn trigger_events(&mut self) -> Result<Vec<TriggerEvent>> {
        let mut events: Vec<TriggerEvent> = Vec::new();
        loop {
            let event = match self.kw() {
                Some(K::Insert) => TriggerEvent::Insert,
                Some(K::Delete) => TriggerEvent::Delete,
                Some(K::Update) => TriggerEvent::Update(Vec::new()),
                Some(K::Truncate) => TriggerEvent::Truncate,
                _ => return Err(self.unexpected()),
            };
            self.advance();
            let event = match event {
                TriggerEvent::Update(_) if self.eat_kw(K::Of) => {
                    TriggerEvent::Update(self.comma_list(Self::col_id)?)
                }
                event => event,
            };
            let same = |other: &TriggerEvent| std::mem::discriminant(other) == std::mem::discriminant(&event);
            if events.iter().any(same) {
                return Err(self.error_near("duplicate trigger events specified"));
            }
            events.push(event);
            if !self.eat_kw(K::Or) {
                return Ok(events);
            }
        }
    }

    fn trigger_transition(&mut self) -> Result<TriggerTransition> {
        let new = self.is_kw(K::New);
        self.advance();
        let table = self.eat_kw(K::Table);
        if !table {
            self.expect_kw(K::Row)?;
        }
        self.eat_kw(K::As);
        Ok(TriggerTransition { new, table, name: self.col_id()? })
    }

    /// TriggerFuncArg.
    fn trigger_arg(&mut self) -> Result<Box<str>> {
        match self.tok() {
            Tok::Integer | Tok::Numeric => {
                let text = match crate::literal::number(self.raw(), self.tok()) {
                    LiteralValue::Integer(value) => value.to_string().into(),
                    _ => self.raw().into(),
                };
                self.advance();
                Ok(text)
            }
            tok if Self::is_string(tok) => self.string(),
            _ => Ok(self.col_label()?.as_str().into()),
        }
    }

    /// `EVENT TRIGGER …` behind CREATE.
    pub(super) fn create_event_trigger(&mut self) -> Result<Statement> {
        self.expect_words(&[K::Event, K::Trigger])?;
        let name = self.col_id()?;
        self.expect_kw(K::On)?;
        let event = self.col_label()?;
        let mut filters = Vec::new();
        if self.eat_kw(K::When) {
            loop {
                let variable = self.col_id()?;
                self.expect_kw(K::In)?;
                filters.push((variable, self.paren_list(Self::string)?));
                if !self.eat_kw(K::And) {
                    break;
                }
            }
        }
        self.execute_function()?;
        let function = self.func_name()?;
        self.expect(Tok::LeftParen)?;
        self.expect(Tok::RightParen)?;
        Ok(Statement::CreateEventTrigger(P::new(CreateEventTriggerStmt { name, event, filters, function })))
    }

    /// `RULE …` behind CREATE.
    pub(super) fn create_rule(&mut self, or_replace: bool) -> Result<Statement> {
        self.advance();
        let name = self.col_id()?;
        self.expect_words(&[K::As, K::On])?;
        let event = match self.kw() {
            Some(K::Select) => RuleEvent::Select,
            Some(K::Update) => RuleEvent::Update,
            Some(K::Delete) => RuleEvent::Delete,
            Some(K::Insert) => RuleEvent::Insert,
            _ => return Err(self.unexpected()),
        };
        self.advance();
        self.expect_kw(K::To)?;
        let table = self.qualified_name()?;
        let where_clause = self.where_clause()?;
        self.expect_kw(K::Do)?;
        let instead = self.eat_kw(K::Instead);
        if !instead {
            self.eat_kw(K::Also);
        }
        let actions = self.rule_actions()?;
        let stmt = CreateRuleStmt { name, or_replace, event, table, where_clause, instead, actions };
        Ok(Statement::CreateRule(P::new(stmt)))
    }

    fn rule_actions(&mut self) -> Result<Vec<Statement>> {
        if self.eat_kw(K::Nothing) {
            return Ok(Vec::new());
        }
        if !self.is(Tok::LeftParen) {
            return Ok(vec![self.rule_action()?]);
        }
        self.advance();
        let mut actions = Vec::new();
        loop {
            while self.eat(Tok::Semicolon) {}
            if self.eat(Tok::RightParen) {
                return Ok(actions);
            }
            actions.push(self.rule_action()?);
            if !self.is(Tok::Semicolon) {
                self.expect(Tok::RightParen)?;
                return Ok(actions);
            }
        }
    }

    fn rule_action(&mut self) -> Result<Statement> {
        if self.is_kw(K::Notify) {
            return self.notify();
        }
        if self.is_kw(K::Merge) {
            return Err(self.unexpected());
        }
        self.preparable()
    }

    /// `POLICY …` behind CREATE.
    pub(super) fn create_policy(&mut self) -> Result<Statement> {
        self.advance();
        let name = self.col_id()?;
        self.expect_kw(K::On)?;
        let table = self.qualified_name()?;
        let mut permissive = true;
        if self.eat_kw(K::As) {
            let pos = self.pos();
            if !self.is(Tok::Ident) {
                return Err(self.unexpected());
            }
            let word = self.take_name()?;
            permissive = match word.as_str() {
                "permissive" => true,
                "restrictive" => false,
                _ => {
                    let message = format!("unrecognized row security option \"{word}\"");
                    return Err(Self::syntax(message, pos)
                        .hint("Only PERMISSIVE or RESTRICTIVE policies are supported currently."));
                }
            };
        }
        let command = self.policy_command()?;
        let roles = if self.eat_kw(K::To) {
            self.role_list()?
        } else {
            vec![RoleSpec { kind: RoleSpecKind::Public, pos: Pos::NONE }]
        };
        let using = if self.eat_kw(K::Using) { Some(self.paren_expr()?) } else { None };
        let check = if self.eat_words(&[K::With, K::Check]) { Some(self.paren_expr()?) } else { None };
        let stmt = CreatePolicyStmt { name, table, permissive, command, roles, using, check };
        Ok(Statement::CreatePolicy(P::new(stmt)))
    }

    fn policy_command(&mut self) -> Result<PolicyCommand> {
        if !self.eat_kw(K::For) {
            return Ok(PolicyCommand::All);
        }
        let command = match self.kw() {
            Some(K::All) => PolicyCommand::All,
            Some(K::Select) => PolicyCommand::Select,
            Some(K::Insert) => PolicyCommand::Insert,
            Some(K::Update) => PolicyCommand::Update,
            Some(K::Delete) => PolicyCommand::Delete,
            _ => return Err(self.unexpected()),
        };
        self.advance();
        Ok(command)
    }

    /// `POLICY …` behind ALTER.
    pub(super) fn alter_policy(&mut self) -> Result<Statement> {
        self.advance();
        let if_exists = self.if_exists();
        let name = self.col_id()?;
        self.expect_kw(K::On)?;
        let table = self.qualified_name()?;
        if self.is_kw(K::Rename) {
            return self
                .alter_common(ObjectRef::OnTable { kind: ObjectKind::Policy, name, table }, if_exists);
        }
        if if_exists {
            return Err(self.unexpected());
        }
        let roles = if self.eat_kw(K::To) { Some(self.role_list()?) } else { None };
        let using = if self.eat_kw(K::Using) { Some(self.paren_expr()?) } else { None };
        let check = if self.eat_words(&[K::With, K::Check]) { Some(self.paren_expr()?) } else { None };
        Ok(Statement::AlterPolicy(P::new(AlterPolicyStmt { name, table, roles, using, check })))
    }

    /// `EXTENSION …` behind CREATE.
    pub(super) fn create_extension(&mut self) -> Result<Statement> {
        self.advance();
        let if_not_exists = self.if_not_exists();
        let name = self.col_id()?;
        self.eat_kw(K::With);
        let mut options = Vec::new();
        loop {
            let pos = self.pos();
            match self.kw() {
                Some(K::Schema) => {
                    self.advance();
                    options.push(Self::option("schema", DefValue::Word(self.col_id()?), pos));
                }
                Some(K::Version) => {
                    self.advance();
                    options.push(Self::option("new_version", DefValue::String(self.word_or_string()?), pos));
                }
                Some(K::From) => {
                    self.advance();
                    self.word_or_string()?;
                    let message = "CREATE EXTENSION ... FROM is no longer supported";
                    return Err(Self::unsupported(message, pos));
                }
                Some(K::Cascade) => {
                    self.advance();
                    options.push(Self::option("cascade", DefValue::Bool(true), pos));
                }
                _ => break,
            }
        }
        Ok(Statement::CreateExtension(P::new(CreateExtensionStmt { name, if_not_exists, options })))
    }

    /// `EXTENSION …` behind ALTER.
    pub(super) fn alter_extension(&mut self) -> Result<Statement> {
        self.advance();
        let pos = self.pos();
        let name = self.col_id()?;
        match self.kw() {
            Some(K::Update) => {
                self.advance();
                let mut options = Vec::new();
                let pos = self.pos();
                while self.eat_kw(K::To) {
                    options.push(Self::option("new_version", DefValue::String(self.word_or_string()?), pos));
                }
                Ok(Statement::AlterExtension(P::new(AlterExtensionStmt { name, options })))
            }
            Some(kw @ (K::Add | K::Drop)) => {
                self.advance();
                let kind = self.object_kind()?;
                let object = self.object_of_kind(kind)?;
                let stmt = AlterExtensionContentsStmt { name, add: kw == K::Add, object };
                Ok(Statement::AlterExtensionContents(P::new(stmt)))
            }
            _ => {
                let name = ObjectName::unqualified(name, pos);
                self.alter_common(ObjectRef::Named { kind: ObjectKind::Extension, name }, false)
            }
        }
    }

    /// `TEXT SEARCH …` behind ALTER.
    pub(super) fn alter_text_search(&mut self) -> Result<Statement> {
        self.expect_words(&[K::Text, K::Search])?;
        let kind = self.text_search_kind()?;
        let name = self.any_name()?;
        if kind == ObjectKind::TextSearchDictionary && self.is(Tok::LeftParen) {
            let options = self.definition()?;
            let stmt = AlterTextSearchDictionaryStmt { name, options };
            return Ok(Statement::AlterTextSearchDictionary(P::new(stmt)));
        }
        let mapping = kind == ObjectKind::TextSearchConfiguration
            && matches!(self.kw(), Some(K::Add | K::Alter | K::Drop))
            && self.peek_kw(1, K::Mapping);
        if mapping {
            let action = self.text_search_mapping()?;
            let stmt = AlterTextSearchConfigurationStmt { name, action };
            return Ok(Statement::AlterTextSearchConfiguration(P::new(stmt)));
        }
        self.alter_common(ObjectRef::Named { kind, name }, false)
    }

    fn text_search_mapping(&mut self) -> Result<TextSearchMapping> {
        let kw = self.kw();
        self.at += 2;
        if kw == Some(K::Drop) {
            let if_exists = self.if_exists();
            self.expect_kw(K::For)?;
            return Ok(TextSearchMapping::Drop { tokens: self.comma_list(Self::col_id)?, if_exists });
        }
        let alter = kw == Some(K::Alter);
        let tokens = if alter && self.is_kw(K::Replace) {
            Vec::new()
        } else {
            self.expect_kw(K::For)?;
            self.comma_list(Self::col_id)?
        };
        if alter && self.eat_kw(K::Replace) {
            let old = self.any_name()?;
            self.expect_kw(K::With)?;
            return Ok(TextSearchMapping::Replace { tokens, old, new: self.any_name()? });
        }
        self.expect_kw(K::With)?;
        Ok(TextSearchMapping::Set { alter, tokens, dictionaries: self.comma_list(Self::any_name)? })
    }

    /// `DATA WRAPPER …` behind CREATE FOREIGN.
    pub(super) fn create_fdw(&mut self) -> Result<Statement> {
        self.expect_words(&[K::Data, K::Wrapper])?;
        let name = self.col_id()?;
        let handlers = self.fdw_handlers()?;
        let options = self.generic_options()?;
        let stmt = CreateForeignDataWrapperStmt { name, handlers, options };
        Ok(Statement::CreateForeignDataWrapper(P::new(stmt)))
    }

    fn fdw_handlers(&mut self) -> Result<Vec<FdwHandler>> {
        let mut handlers = Vec::new();
        loop {
            if self.eat_kw(K::Handler) {
                handlers.push(FdwHandler::Handler(self.any_name()?));
            } else if self.eat_words(&[K::No, K::Handler]) {
                handlers.push(FdwHandler::NoHandler);
            } else if self.eat_kw(K::Validator) {
                handlers.push(FdwHandler::Validator(self.any_name()?));
            } else if self.eat_words(&[K::No, K::Validator]) {
                handlers.push(FdwHandler::NoValidator);
            } else {
                return Ok(handlers);
            }
        }
    }

    /// `FOREIGN DATA WRAPPER …` behind ALTER.
    pub(super) fn alter_fdw(&mut self) -> Result<Statement> {
        self.expect_words(&[K::Foreign, K::Data, K::Wrapper])?;
        let pos = self.pos();
        let name = self.col_id()?;
        if matches!(self.kw(), Some(K::Rename | K::Owner)) {
            let name = ObjectName::unqualified(name, pos);
            return self.alter_common(ObjectRef::Named { kind: ObjectKind::ForeignDataWrapper, name }, false);
        }
        let handlers = self.fdw_handlers()?;
        let options = if self.is_kw(K::Options) || handlers.is_empty() {
            self.alter_generic_options()?
        } else {
            Vec::new()
        };
        let stmt = AlterForeignDataWrapperStmt { name, handlers, options };
        Ok(Statement::AlterForeignDataWrapper(P::new(stmt)))
    }

    /// `SERVER …` behind CREATE.
    pub(super) fn create_server(&mut self) -> Result<Statement> {
        self.advance();
        let if_not_exists = self.if_not_exists();
        let name = self.col_id()?;
        let server_type = if self.eat_kw(K::Type) { Some(self.string()?) } else { None };
        let version = self.server_version()?.flatten();
        self.expect_words(&[K::Foreign, K::Data, K::Wrapper])?;
        let wrapper = self.col_id()?;
        let options = self.generic_options()?;
        let stmt = CreateServerStmt { name, if_not_exists, server_type, version, wrapper, options };
        Ok(Statement::CreateServer(P::new(stmt)))
    }

    /// foreign_server_version.
    fn server_version(&mut self) -> Result<Option<Option<Box<str>>>> {
        if !self.eat_kw(K::Version) {
            return Ok(None);
        }
        if self.eat_kw(K::Null) { Ok(Some(None)) } else { Ok(Some(Some(self.string()?))) }
    }

    /// `SERVER …` behind ALTER.
    pub(super) fn alter_server(&mut self) -> Result<Statement> {
        self.advance();
        let pos = self.pos();
        let name = self.col_id()?;
        if matches!(self.kw(), Some(K::Rename | K::Owner)) {
            let name = ObjectName::unqualified(name, pos);
            return self.alter_common(ObjectRef::Named { kind: ObjectKind::Server, name }, false);
        }
        let version = self.server_version()?;
        let options = if self.is_kw(K::Options) || version.is_none() {
            self.alter_generic_options()?
        } else {
            Vec::new()
        };
        Ok(Statement::AlterServer(P::new(AlterServerStmt { name, version, options })))
    }

    /// `USER MAPPING …` behind ALTER.
    pub(super) fn alter_user_mapping(&mut self) -> Result<Statement> {
        self.at += 2;
        self.expect_kw(K::For)?;
        let user = self.mapping_user()?;
        self.expect_kw(K::Server)?;
        let server = self.col_id()?;
        let options = self.alter_generic_options()?;
        Ok(Statement::AlterUserMapping(P::new(AlterUserMappingStmt { user, server, options })))
    }

    pub(super) fn import_foreign_schema(&mut self) -> Result<Statement> {
        self.advance();
        self.expect_words(&[K::Foreign, K::Schema])?;
        let remote_schema = self.col_id()?;
        let relations = |p: &mut Self| p.paren_list(|p| Ok(p.relation()?.name));
        let filter = if self.eat_words(&[K::Limit, K::To]) {
            ImportFilter::LimitTo(relations(self)?)
        } else if self.eat_kw(K::Except) {
            ImportFilter::Except(relations(self)?)
        } else {
            ImportFilter::All
        };
        self.expect_words(&[K::From, K::Server])?;
        let server = self.col_id()?;
        self.expect_kw(K::Into)?;
        let local_schema = self.col_id()?;
        let options = self.generic_options()?;
        let stmt = ImportForeignSchemaStmt { remote_schema, filter, server, local_schema, options };
        Ok(Statement::ImportForeignSchema(P::new(stmt)))
    }

    /// `PUBLICATION …` behind CREATE.
    pub(super) fn create_publication(&mut self) -> Result<Statement> {
        self.advance();
        let name = self.col_id()?;
        let mut stmt =
            CreatePublicationStmt { name, all_tables: false, objects: Vec::new(), options: Vec::new() };
        if self.eat_kw(K::For) {
            if self.eat_words(&[K::All, K::Tables]) {
                stmt.all_tables = true;
            } else {
                stmt.objects = self.publication_objects()?;
            }
        }
        stmt.options = self.with_definition()?;
        Ok(Statement::CreatePublication(P::new(stmt)))
    }

    /// `PUBLICATION …` behind ALTER.
    pub(super) fn alter_publication(&mut self) -> Result<Statement> {
        use AlterPublicationAction as A;
        self.advance();
        let pos = self.pos();
        let name = self.col_id()?;
        let action = match (self.kw(), self.peek(1)) {
            (Some(K::Set), Tok::LeftParen) => {
                self.advance();
                A::Options(self.definition()?)
            }
            (Some(K::Add), _) => {
                self.advance();
                A::Add(self.publication_objects()?)
            }
            (Some(K::Set), _) => {
                self.advance();
                A::Set(self.publication_objects()?)
            }
            (Some(K::Drop), _) => {
                self.advance();
                A::Drop(self.publication_objects()?)
            }
            _ => {
                let name = ObjectName::unqualified(name, pos);
                return self.alter_common(ObjectRef::Named { kind: ObjectKind::Publication, name }, false);
            }
        };
        Ok(Statement::AlterPublication(P::new(AlterPublicationStmt { name, action })))
    }

    /// pub_obj_list: an item without words continues the kind of the one before it.
    fn publication_objects(&mut self) -> Result<Vec<PublicationObject>> {
        let parsed = self.comma_list(Self::publication_item)?;
        if !matches!(self.tok(), Tok::Eof | Tok::Semicolon | Tok::Kw(K::With)) {
            return Err(self.unexpected());
        }
        let mut objects = Vec::with_capacity(parsed.len());
        let mut tables = None;
        for item in parsed {
            tables = item.tables.or(tables);
            let invalid = |message: &str| Self::syntax(message, item.pos);
            match tables {
                None => {
                    return Err(invalid("invalid publication object list").detail(
                        "One of TABLE or TABLES IN SCHEMA must be specified before a standalone table or schema name.",
                    ));
                }
                Some(true) => {
                    let Some(relation) = item.relation else { return Err(invalid("invalid table name")) };
                    objects.push(PublicationObject::Table {
                        relation,
                        columns: item.columns,
                        where_clause: item.where_clause,
                        pos: item.pos,
                    });
                }
                Some(false) => {
                    if item.where_clause.is_some() {
                        return Err(invalid("WHERE clause not allowed for schema"));
                    }
                    if !item.columns.is_empty() {
                        return Err(invalid("column specification not allowed for schema"));
                    }
                    let name = match item.relation {
                        None => None,
                        Some(relation) if relation.name.parts.len() == 1 && !item.extended => {
                            relation.name.parts.into_iter().next()
                        }
                        Some(_) => return Err(invalid("invalid schema name")),
                    };
                    objects.push(PublicationObject::Schema(name, item.pos));
                }
            }
        }
        Ok(objects)
    }

    /// PublicationObjSpec.
    fn publication_item(&mut self) -> Result<PublicationItem> {
        let start = self.pos();
        if self.eat_words(&[K::Tables, K::In, K::Schema]) {
            let pos = self.pos();
            let relation = if self.eat_kw(K::CurrentSchema) {
                None
            } else {
                Some(Relation { name: self.single_name()?, only: false })
            };
            return Ok(PublicationItem {
                tables: Some(false),
                relation,
                columns: Vec::new(),
                where_clause: None,
                extended: false,
                pos,
            });
        }
        let table = self.is_kw(K::Table);
        if table {
            self.advance();
        } else if self.is_kw(K::CurrentSchema) {
            let pos = self.take();
            return Ok(PublicationItem {
                tables: None,
                relation: None,
                columns: Vec::new(),
                where_clause: None,
                extended: false,
                pos,
            });
        }
        let pos = if table { start } else { self.pos() };
        let only = self.is_kw(K::Only);
        let relation = self.relation()?;
        let star = self.tokens[self.at - 1].tok == Tok::Star;
        let columns = self.optional_column_list()?;
        let where_clause = if self.eat_kw(K::Where) { Some(self.paren_expr()?) } else { None };
        let tables = table.then_some(true);
        Ok(PublicationItem {
            tables,
            relation: Some(relation),
            columns,
            where_clause,
            extended: only || star,
            pos,
        })
    }

    /// `SUBSCRIPTION …` behind CREATE.
    pub(super) fn create_subscription(&mut self) -> Result<Statement> {
        self.advance();
        let name = self.col_id()?;
        self.expect_kw(K::Connection)?;
        let connection = self.string()?;
        self.expect_kw(K::Publication)?;
        let publications = self.comma_list(Self::col_id)?;
        let options = self.with_definition()?;
        let stmt = CreateSubscriptionStmt { name, connection, publications, options };
        Ok(Statement::CreateSubscription(P::new(stmt)))
    }

    /// `SUBSCRIPTION …` behind ALTER.
    pub(super) fn alter_subscription(&mut self) -> Result<Statement> {
        use AlterSubscriptionAction as A;
        self.advance();
        let pos = self.pos();
        let name = self.col_id()?;
        let publication = self.peek_kw(1, K::Publication);
        let action = match self.kw() {
            Some(K::Set) if self.peek(1) == Tok::LeftParen => {
                self.advance();
                A::Options(self.definition()?)
            }
            Some(K::Connection) => {
                self.advance();
                A::Connection(self.string()?)
            }
            Some(K::Refresh) => {
                self.advance();
                self.expect_kw(K::Publication)?;
                A::Refresh(self.with_definition()?)
            }
            Some(kw @ (K::Add | K::Drop | K::Set)) if publication => {
                self.at += 2;
                let names = self.comma_list(Self::col_id)?;
                let options = self.with_definition()?;
                match kw {
                    K::Add => A::AddPublication(names, options),
                    K::Drop => A::DropPublication(names, options),
                    _ => A::SetPublication(names, options),
                }
            }
            Some(K::Enable) => {
                self.advance();
                A::Enable
            }
            Some(K::Disable) => {
                self.advance();
                A::Disable
            }
            Some(K::Skip) => {
                self.advance();
                A::Skip(self.definition()?)
            }
            _ => {
                let name = ObjectName::unqualified(name, pos);
                return self.alter_common(ObjectRef::Named { kind: ObjectKind::Subscription, name }, false);
            }
        };
        Ok(Statement::AlterSubscription(P::new(AlterSubscriptionStmt { name, action })))
    }
}

/// An item of a publication's list before the kinds are settled.
struct PublicationItem {
    /// TABLE, or TABLES IN SCHEMA; `None` where neither is written.
    tables: Option<bool>,
    /// Absent for CURRENT_SCHEMA.
    relation: Option<Relation>,
    columns: Vec<Name>,
    where_clause: Option<Expr>,
    /// Written with ONLY or a star.
    extended: bool,
    pos: Pos,
}
