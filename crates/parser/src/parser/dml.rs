//! INSERT, UPDATE, DELETE, MERGE, COPY and TRUNCATE.

use ochre_base::Result;

use super::{K, Parser};
use crate::ast::*;
use crate::lexer::Tok;

impl Parser<'_> {
    pub(super) fn insert(&mut self, with: Option<P<With>>) -> Result<InsertStmt> {
        let pos = self.take();
        self.expect_kw(K::Into)?;
        let table = self.qualified_name()?;
        let alias = if self.eat_kw(K::As) { Some(self.col_id()?) } else { None };
        let mut columns = Vec::new();
        if self.is(Tok::LeftParen) && !self.paren_holds_select() {
            columns = self.paren_list(Self::assign_target)?;
        }
        let mut overriding = Overriding::None;
        let source = if columns.is_empty() && self.eat_words(&[K::Default, K::Values]) {
            None
        } else {
            overriding = self.overriding()?;
            Some(P::new(self.select_statement()?))
        };
        let on_conflict = if self.is_kw(K::On) { Some(P::new(self.on_conflict()?)) } else { None };
        let returning = self.returning()?;
        Ok(InsertStmt { with, table, alias, columns, overriding, source, on_conflict, returning, pos })
    }

    /// Whether the parentheses that start here hold a query.
    pub(super) fn paren_holds_select(&self) -> bool {
        matches!(self.peek(1), Tok::LeftParen | Tok::Kw(K::Select | K::Values | K::With | K::Table))
    }

    fn overriding(&mut self) -> Result<Overriding> {
        if !self.eat_kw(K::Overriding) {
            return Ok(Overriding::None);
        }
        let overriding = if self.eat_kw(K::User) {
            Overriding::User
        } else {
            self.expect_kw(K::System)?;
            Overriding::System
        };
        self.expect_kw(K::Value)?;
        Ok(overriding)
    }

    /// insert_column_item and set_target.
    fn assign_target(&mut self) -> Result<AssignTarget> {
        let pos = self.pos();
        let column = self.col_id()?;
        Ok(AssignTarget { column, indirection: self.indirection()?, pos })
    }

    fn on_conflict(&mut self) -> Result<OnConflict> {
        let pos = self.take();
        self.expect_kw(K::Conflict)?;
        let at = self.pos();
        let target = if self.is(Tok::LeftParen) {
            let elems = self.paren_list(Self::index_elem)?;
            Some(ConflictTarget::Index { elems, predicate: self.where_clause()?, pos: at })
        } else if self.eat_words(&[K::On, K::Constraint]) {
            Some(ConflictTarget::Constraint(self.col_id()?, at))
        } else {
            None
        };
        self.expect_kw(K::Do)?;
        let action = if self.eat_kw(K::Nothing) {
            ConflictAction::Nothing
        } else {
            self.expect_words(&[K::Update, K::Set])?;
            let set = self.set_list()?;
            ConflictAction::Update { set, where_clause: self.where_clause()? }
        };
        Ok(OnConflict { target, action, pos })
    }

    fn returning(&mut self) -> Result<Option<Returning>> {
        if !self.eat_kw(K::Returning) {
            return Ok(None);
        }
        let mut options = Vec::new();
        if self.is_kw(K::With) && self.peek(1) == Tok::LeftParen {
            self.advance();
            options = self.paren_list(|p| {
                let pos = p.pos();
                let new = p.eat_kw(K::New);
                if !new {
                    p.expect_kw(K::Old)?;
                }
                p.expect_kw(K::As)?;
                Ok(ReturningOption { new, name: p.col_id()?, pos })
            })?;
        }
        Ok(Some(Returning { options, targets: self.target_list()? }))
    }

    /// set_clause_list.
    fn set_list(&mut self) -> Result<Vec<Assignment>> {
        self.comma_list(|p| {
            let pos = p.pos();
            if p.is(Tok::LeftParen) {
                let targets = p.paren_list(Self::assign_target)?;
                p.expect(Tok::Equals)?;
                return Ok(Assignment::Multi { targets, source: p.expr()?, pos });
            }
            let target = p.assign_target()?;
            p.expect(Tok::Equals)?;
            Ok(Assignment::Single { target, value: p.expr()? })
        })
    }

    /// The alias of relation_expr_opt_alias; SET is never one.
    fn target_alias(&mut self) -> Result<Option<Name>> {
        if self.eat_kw(K::As) {
            return Ok(Some(self.col_id()?));
        }
        if !self.is_kw(K::Set) && Self::is_col_id(self.tok()) { Ok(Some(self.col_id()?)) } else { Ok(None) }
    }

    /// where_or_current_clause.
    fn where_or_current(&mut self) -> Result<Option<Expr>> {
        if self.is_kw(K::Where) && self.peek_kw(1, K::Current) && self.peek_kw(2, K::Of) {
            self.advance();
            let pos = self.pos();
            self.at += 2;
            let cursor = self.col_id()?;
            return Ok(Some(Expr::CurrentOf(P::new(CurrentOf { cursor, pos }))));
        }
        self.where_clause()
    }

    pub(super) fn update(&mut self, with: Option<P<With>>) -> Result<UpdateStmt> {
        let pos = self.take();
        let table = self.relation()?;
        let alias = self.target_alias()?;
        self.expect_kw(K::Set)?;
        let set = self.set_list()?;
        let from = if self.eat_kw(K::From) { self.table_list()? } else { Vec::new() };
        let where_clause = self.where_or_current()?;
        let returning = self.returning()?;
        Ok(UpdateStmt { with, table, alias, set, from, where_clause, returning, pos })
    }

    pub(super) fn delete(&mut self, with: Option<P<With>>) -> Result<DeleteStmt> {
        let pos = self.take();
        self.expect_kw(K::From)?;
        let table = self.relation()?;
        let alias = self.target_alias()?;
        let using = if self.eat_kw(K::Using) { self.table_list()? } else { Vec::new() };
        let where_clause = self.where_or_current()?;
        let returning = self.returning()?;
        Ok(DeleteStmt { with, table, alias, using, where_clause, returning, pos })
    }

    pub(super) fn merge(&mut self, with: Option<P<With>>) -> Result<MergeStmt> {
        let pos = self.take();
        self.expect_kw(K::Into)?;
        let table = self.relation()?;
        let alias = self.target_alias()?;
        self.expect_kw(K::Using)?;
        let source = self.table_ref()?;
        self.expect_kw(K::On)?;
        let on = self.expr()?;
        let mut when = vec![self.merge_when()?];
        while self.is_kw(K::When) {
            when.push(self.merge_when()?);
        }
        let returning = self.returning()?;
        Ok(MergeStmt { with, table, alias, source, on, when, returning, pos })
    }

    fn merge_when(&mut self) -> Result<MergeWhen> {
        let pos = self.pos();
        self.expect_kw(K::When)?;
        let kind = if self.eat_kw(K::Matched) {
            MergeMatch::Matched
        } else {
            self.expect_words(&[K::Not, K::Matched])?;
            if self.eat_words(&[K::By, K::Source]) {
                MergeMatch::NotMatchedBySource
            } else {
                if self.eat_kw(K::By) {
                    self.expect_kw(K::Target)?;
                }
                MergeMatch::NotMatchedByTarget
            }
        };
        let condition = if self.eat_kw(K::And) { Some(self.expr()?) } else { None };
        self.expect_kw(K::Then)?;
        let row_exists = kind != MergeMatch::NotMatchedByTarget;
        let action = match self.kw() {
            Some(K::Do) => {
                self.advance();
                self.expect_kw(K::Nothing)?;
                MergeAction::Nothing
            }
            Some(K::Delete) if row_exists => {
                self.advance();
                MergeAction::Delete
            }
            Some(K::Update) if row_exists => {
                self.advance();
                self.expect_kw(K::Set)?;
                MergeAction::Update(self.set_list()?)
            }
            Some(K::Insert) if !row_exists => self.merge_insert()?,
            _ => return Err(self.unexpected()),
        };
        Ok(MergeWhen { kind, condition, action, pos })
    }

    fn merge_insert(&mut self) -> Result<MergeAction> {
        self.advance();
        if self.eat_words(&[K::Default, K::Values]) {
            return Ok(MergeAction::Insert {
                columns: Vec::new(),
                overriding: Overriding::None,
                values: None,
            });
        }
        let columns = self.optional_paren_list(Self::assign_target)?;
        let overriding = self.overriding()?;
        self.expect_kw(K::Values)?;
        let values = Some(self.paren_list(Self::expr)?);
        Ok(MergeAction::Insert { columns, overriding, values })
    }

    pub(super) fn truncate(&mut self) -> Result<Statement> {
        self.advance();
        self.eat_kw(K::Table);
        let relations = self.comma_list(Self::relation)?;
        let restart_identity = self.eat_words(&[K::Restart, K::Identity]);
        if !restart_identity {
            self.eat_words(&[K::Continue, K::Identity]);
        }
        let behavior = self.behavior();
        Ok(Statement::Truncate(P::new(TruncateStmt { relations, restart_identity, behavior })))
    }

    pub(super) fn copy(&mut self) -> Result<Statement> {
        let pos = self.take();
        let mut options = Vec::new();
        let source = if self.is(Tok::LeftParen) {
            self.advance();
            let query = self.preparable()?;
            self.expect(Tok::RightParen)?;
            CopySource::Query(query)
        } else {
            if self.is_kw(K::Binary) {
                options.push(word_option("format", "binary", self.take()));
            }
            let name = self.qualified_name()?;
            CopySource::Table { name, columns: self.optional_column_list()? }
        };
        let from = match self.kw() {
            Some(K::From) if matches!(source, CopySource::Table { .. }) => true,
            Some(K::To) => false,
            _ => return Err(self.unexpected()),
        };
        self.advance();
        let program = self.eat_kw(K::Program);
        let target = if !program && (self.eat_kw(K::Stdin) || self.eat_kw(K::Stdout)) {
            CopyTarget::Std
        } else if program {
            CopyTarget::Program(self.string()?)
        } else {
            CopyTarget::File(self.string()?)
        };
        if matches!(source, CopySource::Table { .. }) {
            self.copy_delimiter(&mut options)?;
        }
        self.eat_kw(K::With);
        if self.is(Tok::LeftParen) {
            options.extend(self.paren_list(Self::copy_generic_option)?);
        } else {
            self.copy_options(&mut options)?;
        }
        let where_pos = self.pos();
        let where_clause =
            if matches!(source, CopySource::Table { .. }) { self.where_clause()? } else { None };
        if !from && where_clause.is_some() {
            return Err(Self::syntax("WHERE clause not allowed with COPY TO", where_pos));
        }
        Ok(Statement::Copy(P::new(CopyStmt { source, from, target, options, where_clause, pos })))
    }

    /// `[USING] DELIMITERS 'x'` of the oldest syntax.
    fn copy_delimiter(&mut self, options: &mut Vec<DefElem>) -> Result<()> {
        let pos = self.pos();
        if self.eat_words(&[K::Using, K::Delimiters]) || self.eat_kw(K::Delimiters) {
            let value = Some(DefValue::String(self.string()?));
            options.push(DefElem { namespace: None, name: Name::from_static("delimiter"), value, pos });
        }
        Ok(())
    }

    /// copy_opt_list: options of the old syntax.
    fn copy_options(&mut self, options: &mut Vec<DefElem>) -> Result<()> {
        loop {
            let pos = self.pos();
            let Some(kw) = self.kw() else { return Ok(()) };
            let option = match kw {
                K::Binary => {
                    self.advance();
                    word_option("format", "binary", pos)
                }
                K::Csv => {
                    self.advance();
                    word_option("format", "csv", pos)
                }
                K::Freeze | K::Header => {
                    self.advance();
                    let value = Some(DefValue::Word(Name::from_static("true")));
                    DefElem { namespace: None, name: Name::from_static(kw.as_str()), value, pos }
                }
                K::Delimiter | K::Null | K::Quote | K::Escape => {
                    self.advance();
                    self.eat_kw(K::As);
                    let value = Some(DefValue::String(self.string()?));
                    DefElem { namespace: None, name: Name::from_static(kw.as_str()), value, pos }
                }
                K::Encoding => {
                    self.advance();
                    let value = Some(DefValue::String(self.string()?));
                    DefElem { namespace: None, name: Name::from_static("encoding"), value, pos }
                }
                K::Force => {
                    self.advance();
                    self.copy_force(pos)?
                }
                _ => return Ok(()),
            };
            options.push(option);
        }
    }

    fn copy_force(&mut self, pos: Pos) -> Result<DefElem> {
        let name = if self.eat_kw(K::Quote) {
            "force_quote"
        } else if self.eat_kw(K::Null) {
            "force_null"
        } else {
            self.expect_words(&[K::Not, K::Null])?;
            "force_not_null"
        };
        let value = if self.eat(Tok::Star) {
            DefValue::Star
        } else {
            DefValue::Columns(self.comma_list(Self::col_id)?)
        };
        Ok(DefElem { namespace: None, name: Name::from_static(name), value: Some(value), pos })
    }

    /// copy_generic_opt_elem.
    fn copy_generic_option(&mut self) -> Result<DefElem> {
        let pos = self.pos();
        let name = self.col_label()?;
        let value = match self.tok() {
            Tok::Comma | Tok::RightParen => None,
            Tok::Star => {
                self.advance();
                Some(DefValue::Star)
            }
            Tok::LeftParen => Some(DefValue::Columns(
                self.paren_list(|p| Ok(Name::from(p.boolean_or_string()?.as_text())))?,
            )),
            Tok::Kw(K::Default) => {
                self.advance();
                Some(DefValue::Word(Name::from_static("default")))
            }
            Tok::Integer | Tok::Numeric | Tok::Plus | Tok::Minus => Some(DefValue::Number(self.numeric()?)),
            _ => Some(self.boolean_or_string()?),
        };
        Ok(DefElem { namespace: None, name, value, pos })
    }
}

fn word_option(name: &'static str, value: &'static str, pos: Pos) -> DefElem {
    let value = Some(DefValue::Word(Name::from_static(value)));
    DefElem { namespace: None, name: Name::from_static(name), value, pos }
}
