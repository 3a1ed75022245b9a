//! FROM: relations, functions, subqueries and joins.

use ochre_base::Result;

use super::{K, Parser};
use crate::ast::*;
use crate::lexer::Tok;

/// What stands between parentheses in FROM.
enum FromParen {
    Select(SelectStmt),
    Join(FromItem),
}

impl Parser<'_> {
    /// table_list.
    pub(super) fn table_list(&mut self) -> Result<Vec<FromItem>> {
        self.comma_list(Self::table_ref)
    }

    /// table_ref: an item with the joins that follow it.
    pub(super) fn table_ref(&mut self) -> Result<FromItem> {
        self.nested(|p| {
            let first = p.table_primary()?;
            p.joins(first)
        })
    }

    fn joins(&mut self, mut left: FromItem) -> Result<FromItem> {
        let mut links = 0;
        loop {
            let pos = self.pos();
            let natural = self.is_kw(K::Natural);
            let ahead = usize::from(natural);
            let (kind, words) = match self.peek(ahead) {
                Tok::Kw(K::Join) => (JoinKind::Inner, 1),
                Tok::Kw(K::Inner) => (JoinKind::Inner, 2),
                Tok::Kw(K::Cross) if !natural => (JoinKind::Cross, 2),
                Tok::Kw(kw @ (K::Left | K::Right | K::Full)) => {
                    let kind = match kw {
                        K::Left => JoinKind::Left,
                        K::Right => JoinKind::Right,
                        _ => JoinKind::Full,
                    };
                    (kind, if self.peek_kw(ahead + 1, K::Outer) { 3 } else { 2 })
                }
                _ if natural => {
                    self.advance();
                    return Err(self.unexpected());
                }
                _ => return Ok(left),
            };
            self.link(&mut links)?;
            self.at += ahead + words - 1;
            self.expect_kw(K::Join)?;
            let (right, constraint) = if natural || kind == JoinKind::Cross {
                (self.nested(Self::table_primary)?, JoinConstraint::None)
            } else {
                let right = self.table_ref()?;
                (right, self.join_qualification()?)
            };
            left = FromItem::Join(P::new(Join { kind, natural, left, right, constraint, alias: None, pos }));
        }
    }

    fn join_qualification(&mut self) -> Result<JoinConstraint> {
        if self.eat_kw(K::Using) {
            let columns = self.column_list()?;
            let alias = if self.eat_kw(K::As) { Some(self.col_id()?) } else { None };
            return Ok(JoinConstraint::Using { columns, alias });
        }
        self.expect_kw(K::On)?;
        Ok(JoinConstraint::On(self.expr()?))
    }

    fn table_primary(&mut self) -> Result<FromItem> {
        let pos = self.pos();
        let lateral = self.eat_kw(K::Lateral);
        match self.tok() {
            Tok::LeftParen if lateral => {
                let query = P::new(self.select_with_parens()?);
                let alias = self.optional_alias()?;
                Ok(FromItem::Subquery(P::new(FromSubquery { lateral, query, alias, pos })))
            }
            Tok::LeftParen => match self.table_paren()? {
                FromParen::Select(query) => {
                    let alias = self.optional_alias()?;
                    Ok(FromItem::Subquery(P::new(FromSubquery { lateral, query: P::new(query), alias, pos })))
                }
                FromParen::Join(item) => self.aliased_join(item),
            },
            Tok::Kw(K::Rows) if self.peek_kw(1, K::From) => {
                self.at += 2;
                let functions = self.paren_list(Self::rows_function)?;
                self.function_in_from(lateral, functions, true, pos)
            }
            Tok::Kw(K::Xmltable) if self.peek(1) == Tok::LeftParen => self.xml_table(lateral, pos),
            Tok::Kw(K::JsonTable) if self.peek(1) == Tok::LeftParen => self.json_table(lateral, pos),
            _ if lateral || self.at_function() => {
                let call = self.func_expr_windowless()?;
                self.function_in_from(lateral, vec![RowsFunction { call, columns: Vec::new() }], false, pos)
            }
            tok if Self::is_type_function_name(tok) && !Self::is_col_id(tok) => {
                // The name of a function: its parenthesis is missing.
                self.advance();
                Err(self.unexpected())
            }
            _ => {
                let relation = self.relation()?;
                let alias = self.optional_alias()?;
                let sample = self.table_sample()?;
                Ok(FromItem::Table(P::new(FromTable { relation, alias, sample, pos })))
            }
        }
    }

    /// `( query )` or `( join )`; as in expressions, only the end of nested parentheses tells them apart.
    fn table_paren(&mut self) -> Result<FromParen> {
        self.nested(|p| {
            p.expect(Tok::LeftParen)?;
            if p.at_select() {
                let query = p.select_no_parens()?;
                p.expect(Tok::RightParen)?;
                return Ok(FromParen::Select(query));
            }
            let item = if p.is(Tok::LeftParen) {
                let pos = p.pos();
                let first = match p.table_paren()? {
                    FromParen::Select(query) => {
                        if p.at_select_rest() {
                            let query = p.select_rest(query)?;
                            p.expect(Tok::RightParen)?;
                            return Ok(FromParen::Select(query));
                        }
                        let alias = p.optional_alias()?;
                        FromItem::Subquery(P::new(FromSubquery {
                            lateral: false,
                            query: P::new(query),
                            alias,
                            pos,
                        }))
                    }
                    FromParen::Join(item) => p.aliased_join(item)?,
                };
                p.joins(first)?
            } else {
                p.table_ref()?
            };
            // Only joins may stand in parentheses.
            if !matches!(item, FromItem::Join(_)) {
                return Err(p.unexpected());
            }
            p.expect(Tok::RightParen)?;
            Ok(FromParen::Join(item))
        })
    }

    /// The alias of a join in parentheses.
    fn aliased_join(&mut self, mut item: FromItem) -> Result<FromItem> {
        if let (Some(alias), FromItem::Join(join)) = (self.optional_alias()?, &mut item) {
            if join.alias.is_some() {
                return Err(self.unexpected());
            }
            join.alias = Some(alias);
        }
        Ok(item)
    }

    /// Whether a function call, and not a relation, starts here.
    pub(super) fn at_function(&self) -> bool {
        let mut ahead = 0;
        if let Tok::Kw(kw) = self.tok()
            && matches!(
                kw,
                K::CurrentDate
                    | K::CurrentTime
                    | K::CurrentTimestamp
                    | K::Localtime
                    | K::Localtimestamp
                    | K::CurrentRole
                    | K::CurrentUser
                    | K::SessionUser
                    | K::SystemUser
                    | K::User
                    | K::CurrentCatalog
                    | K::CurrentSchema
                    | K::Cast
                    | K::Collation
            )
        {
            return true;
        }
        loop {
            match self.peek(ahead) {
                Tok::Ident | Tok::QuotedIdent | Tok::UnicodeIdent | Tok::Kw(_) => {}
                _ => return false,
            }
            if self.peek_kw(ahead, K::Only) {
                return false;
            }
            match self.peek(ahead + 1) {
                Tok::Dot => ahead += 2,
                Tok::LeftParen => return true,
                _ => return false,
            }
        }
    }

    /// func_expr_windowless.
    pub(super) fn func_expr_windowless(&mut self) -> Result<Expr> {
        if let Tok::Kw(kw) = self.tok()
            && let Some(expr) = self.special_function(kw)?
        {
            return Ok(expr);
        }
        let name = self.func_name()?;
        Ok(Expr::Func(P::new(self.application(name)?)))
    }

    fn rows_function(&mut self) -> Result<RowsFunction> {
        let call = self.func_expr_windowless()?;
        let columns =
            if self.eat_kw(K::As) { self.paren_list(Self::table_func_element)? } else { Vec::new() };
        Ok(RowsFunction { call, columns })
    }

    fn function_in_from(
        &mut self,
        lateral: bool,
        functions: Vec<RowsFunction>,
        rows_from: bool,
        pos: Pos,
    ) -> Result<FromItem> {
        let ordinality = self.eat_words(&[K::With, K::Ordinality]);
        let (alias, columns) = self.func_alias()?;
        Ok(FromItem::Function(P::new(FromFunction {
            lateral,
            functions,
            rows_from,
            ordinality,
            alias,
            columns,
            pos,
        })))
    }

    /// func_alias_clause.
    fn func_alias(&mut self) -> Result<(Option<Alias>, Vec<ColumnDef>)> {
        let explicit = self.eat_kw(K::As);
        if explicit && self.is(Tok::LeftParen) {
            return Ok((None, self.paren_list(Self::table_func_element)?));
        }
        if !explicit && !Self::is_col_id(self.tok()) {
            return Ok((None, Vec::new()));
        }
        let name = self.col_id()?;
        if self.is(Tok::LeftParen) {
            let names_only = matches!(self.peek(2), Tok::Comma | Tok::RightParen);
            if names_only {
                return Ok((Some(Alias { name, columns: self.column_list()? }), Vec::new()));
            }
            let columns = self.paren_list(Self::table_func_element)?;
            return Ok((Some(Alias { name, columns: Vec::new() }), columns));
        }
        Ok((Some(Alias { name, columns: Vec::new() }), Vec::new()))
    }

    /// TableFuncElement.
    pub(super) fn table_func_element(&mut self) -> Result<ColumnDef> {
        let pos = self.pos();
        let name = self.col_id()?;
        let type_name = self.type_name()?;
        let collation = if self.eat_kw(K::Collate) { Some(self.any_name()?) } else { None };
        Ok(ColumnDef { collation, ..ColumnDef::new(name, Some(type_name), pos) })
    }

    /// opt_alias_clause.
    pub(super) fn optional_alias(&mut self) -> Result<Option<Alias>> {
        if !self.eat_kw(K::As) && !Self::is_col_id(self.tok()) {
            return Ok(None);
        }
        let name = self.col_id()?;
        Ok(Some(Alias { name, columns: self.optional_column_list()? }))
    }

    /// relation_expr.
    pub(super) fn relation(&mut self) -> Result<Relation> {
        if self.eat_kw(K::Only) {
            if self.eat(Tok::LeftParen) {
                let name = self.qualified_name()?;
                self.expect(Tok::RightParen)?;
                return Ok(Relation { name, only: true });
            }
            return Ok(Relation { name: self.qualified_name()?, only: true });
        }
        let name = self.qualified_name()?;
        self.eat(Tok::Star);
        Ok(Relation { name, only: false })
    }

    fn table_sample(&mut self) -> Result<Option<TableSample>> {
        if !self.is_kw(K::Tablesample) {
            return Ok(None);
        }
        let pos = self.take();
        let method = self.func_name()?;
        let args = self.paren_list(Self::expr)?;
        let repeatable = if self.eat_kw(K::Repeatable) {
            self.expect(Tok::LeftParen)?;
            let seed = self.expr()?;
            self.expect(Tok::RightParen)?;
            Some(seed)
        } else {
            None
        };
        Ok(Some(TableSample { method, args, repeatable, pos }))
    }
}
