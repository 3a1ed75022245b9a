//! CREATE: which one it is, and the ones of namespaces, databases and tablespaces.

use ochre_base::Result;

use super::{K, Parser};
use crate::ast::*;
use crate::lexer::Tok;

impl Parser<'_> {
    /// Every CREATE.
    pub(super) fn create(&mut self) -> Result<Statement> {
        let pos = self.take();
        let or_replace = self.eat_words(&[K::Or, K::Replace]);
        let before = self.at;
        let persistence = self.persistence();
        let explicit = self.at > before;
        let Some(kw) = self.kw() else { return Err(self.unexpected()) };
        match kw {
            K::Table if !or_replace => return self.create_table(persistence, pos),
            K::View | K::Recursive => return self.create_view(or_replace, persistence, pos),
            K::Sequence if !or_replace => return self.create_sequence(persistence),
            K::Materialized if !or_replace && persistence != Persistence::Temporary => {
                return self.create_materialized_view(persistence, pos);
            }
            _ if explicit => return Err(self.unexpected()),
            _ => {}
        }
        if or_replace {
            return match kw {
                K::Function | K::Procedure => self.create_function(true, pos),
                K::Aggregate => self.create_aggregate(true, pos),
                K::Rule => self.create_rule(true),
                K::Trigger | K::Constraint => self.create_trigger(true),
                K::Language | K::Trusted | K::Procedural => self.create_language(true),
                K::Transform => self.create_transform(true),
                _ => Err(self.unexpected()),
            };
        }
        match kw {
            K::Unique | K::Index => self.create_index(pos),
            K::Schema => self.create_schema(),
            K::Database => self.create_database(),
            K::Tablespace => self.create_tablespace(),
            K::Role | K::User | K::Group => self.create_role_or_mapping(pos),
            K::Statistics => self.create_statistics(),
            K::Function | K::Procedure => self.create_function(false, pos),
            K::Aggregate => self.create_aggregate(false, pos),
            K::Rule => self.create_rule(false),
            K::Trigger | K::Constraint => self.create_trigger(false),
            K::Event => self.create_event_trigger(),
            K::Policy => self.create_policy(),
            K::Language | K::Trusted | K::Procedural => self.create_language(false),
            K::Transform => self.create_transform(false),
            K::Type => self.create_type(pos),
            K::Domain => self.create_domain(),
            K::Operator => self.create_operator(pos),
            K::Collation => self.create_collation(pos),
            K::Text => self.create_text_search(pos),
            K::Cast => self.create_cast(),
            K::Conversion | K::Default => self.create_conversion(),
            K::Access => self.create_access_method(),
            K::Assertion => self.create_assertion(),
            K::Extension => self.create_extension(),
            K::Foreign => {
                self.advance();
                if self.is_kw(K::Table) { self.create_foreign_table(pos) } else { self.create_fdw() }
            }
            K::Server => self.create_server(),
            K::Publication => self.create_publication(),
            K::Subscription => self.create_subscription(),
            _ => Err(self.unexpected()),
        }
    }

    fn create_schema(&mut self) -> Result<Statement> {
        self.advance();
        let if_not_exists = self.if_not_exists();
        let mut name = None;
        let mut authorization = None;
        if self.eat_kw(K::Authorization) {
            authorization = Some(self.role()?);
        } else {
            name = Some(self.col_id()?);
            if self.eat_kw(K::Authorization) {
                authorization = Some(self.role()?);
            }
        }
        let mut elements = Vec::new();
        loop {
            let at = self.pos();
            let element = match self.kw() {
                Some(K::Create) => {
                    let start = self.at;
                    let element = self.nested(Self::create)?;
                    let allowed = matches!(
                        element,
                        Statement::CreateTable(_)
                            | Statement::CreateIndex(_)
                            | Statement::CreateSequence(_)
                            | Statement::CreateTrigger(_)
                            | Statement::CreateView(_)
                    );
                    if !allowed {
                        self.at = start;
                        return Err(self.unexpected());
                    }
                    element
                }
                Some(K::Grant) => self.grant()?,
                _ => break,
            };
            if if_not_exists {
                let message = "CREATE SCHEMA IF NOT EXISTS cannot include schema elements";
                return Err(Self::unsupported(message, at));
            }
            elements.push(element);
        }
        let stmt = CreateSchemaStmt { name, authorization, if_not_exists, elements };
        Ok(Statement::CreateSchema(P::new(stmt)))
    }

    fn create_database(&mut self) -> Result<Statement> {
        self.advance();
        let name = self.col_id()?;
        self.eat_kw(K::With);
        let options = self.database_options()?;
        Ok(Statement::CreateDatabase(P::new(CreateDatabaseStmt { name, options })))
    }

    /// createdb_opt_list, perhaps empty.
    pub(super) fn database_options(&mut self) -> Result<Vec<DefElem>> {
        let mut options = Vec::new();
        loop {
            let pos = self.pos();
            let name = match self.tok() {
                Tok::Kw(K::Connection) => {
                    self.advance();
                    self.expect_kw(K::Limit)?;
                    Name::from_static("connection_limit")
                }
                Tok::Kw(K::Encoding | K::Location | K::Owner | K::Tablespace | K::Template)
                | Tok::Ident
                | Tok::QuotedIdent
                | Tok::UnicodeIdent => self.take_name()?,
                _ => return Ok(options),
            };
            self.eat(Tok::Equals);
            let value = match self.tok() {
                Tok::Kw(K::Default) => {
                    self.advance();
                    None
                }
                Tok::Integer | Tok::Numeric | Tok::Plus | Tok::Minus => {
                    Some(DefValue::Number(self.numeric()?))
                }
                _ => Some(self.boolean_or_string()?),
            };
            options.push(DefElem { namespace: None, name, value, pos });
        }
    }

    fn create_tablespace(&mut self) -> Result<Statement> {
        self.advance();
        let name = self.col_id()?;
        let owner = if self.eat_kw(K::Owner) { Some(self.role()?) } else { None };
        self.expect_kw(K::Location)?;
        let location = self.string()?;
        let options = self.with_options()?;
        Ok(Statement::CreateTablespace(P::new(CreateTablespaceStmt { name, owner, location, options })))
    }
}
