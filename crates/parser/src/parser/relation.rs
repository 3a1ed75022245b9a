//! Indexes, sequences, views and statistics.

use ochre_base::Result;

use super::{K, Parser};
use crate::ast::*;
use crate::lexer::Tok;

impl Parser<'_> {
    /// `[UNIQUE] INDEX …` behind CREATE.
    pub(super) fn create_index(&mut self, pos: Pos) -> Result<Statement> {
        let unique = self.eat_kw(K::Unique);
        self.expect_kw(K::Index)?;
        let concurrently = self.eat_kw(K::Concurrently);
        let if_not_exists = self.if_not_exists();
        let name = if self.is_kw(K::On) && !if_not_exists { None } else { Some(self.col_id()?) };
        self.expect_kw(K::On)?;
        let table = self.relation()?;
        let method = if self.eat_kw(K::Using) { Some(self.col_id()?) } else { None };
        let elements = self.paren_list(Self::index_elem)?;
        let include = if self.eat_kw(K::Include) { self.paren_list(Self::index_elem)? } else { Vec::new() };
        let nulls_not_distinct = self.nulls_not_distinct()?;
        let options = if self.eat_kw(K::With) { self.reloptions()? } else { Vec::new() };
        let tablespace = self.tablespace()?;
        let predicate = self.where_clause()?;
        Ok(Statement::CreateIndex(P::new(CreateIndexStmt {
            name,
            unique,
            concurrently,
            if_not_exists,
            table,
            method,
            elements,
            include,
            nulls_not_distinct,
            options,
            tablespace,
            predicate,
            pos,
        })))
    }

    /// A column, a function call, or an expression in parentheses.
    pub(super) fn index_key(&mut self) -> Result<IndexKey> {
        if self.is(Tok::LeftParen) {
            return Ok(IndexKey::Expr(self.paren_expr()?));
        }
        if self.at_function() {
            return Ok(IndexKey::Expr(self.func_expr_windowless()?));
        }
        Ok(IndexKey::Column(self.col_id()?))
    }

    /// index_elem.
    pub(super) fn index_elem(&mut self) -> Result<IndexElem> {
        let pos = self.pos();
        let key = self.index_key()?;
        let collation = if self.eat_kw(K::Collate) { Some(self.any_name()?) } else { None };
        let nulls = self.is_kw(K::Nulls) && matches!(self.peek(1), Tok::Kw(K::First | K::Last));
        let mut opclass = None;
        let mut opclass_options = Vec::new();
        if !nulls && Self::is_col_id(self.tok()) {
            opclass = Some(self.any_name()?);
            if self.is(Tok::LeftParen) {
                opclass_options = self.reloptions()?;
            }
        }
        let direction = self.asc_desc();
        let nulls = self.nulls_order()?;
        Ok(IndexElem { key, collation, opclass, opclass_options, direction, nulls, pos })
    }

    /// `SEQUENCE …` behind CREATE.
    pub(super) fn create_sequence(&mut self, persistence: Persistence) -> Result<Statement> {
        self.expect_kw(K::Sequence)?;
        let if_not_exists = self.if_not_exists();
        let name = self.qualified_name()?;
        let options = self.sequence_options()?;
        Ok(Statement::CreateSequence(P::new(CreateSequenceStmt {
            name,
            persistence,
            if_not_exists,
            options,
        })))
    }

    /// Zero or more SeqOptElem.
    pub(super) fn sequence_options(&mut self) -> Result<Vec<SequenceOption>> {
        let mut options = Vec::new();
        while let Some(option) = self.sequence_option()? {
            options.push(option);
        }
        Ok(options)
    }

    /// SeqOptElem, if one starts here.
    pub(super) fn sequence_option(&mut self) -> Result<Option<SequenceOption>> {
        use SequenceOptionKind as S;
        let pos = self.pos();
        let Some(kw) = self.kw() else { return Ok(None) };
        let kind = match kw {
            K::As => {
                self.advance();
                S::As(self.simple_type_name()?)
            }
            K::Cache => {
                self.advance();
                S::Cache(self.numeric()?)
            }
            K::Cycle => {
                self.advance();
                S::Cycle(true)
            }
            K::Increment => {
                self.advance();
                self.eat_kw(K::By);
                S::Increment(self.numeric()?)
            }
            K::Maxvalue => {
                self.advance();
                S::MaxValue(Some(self.numeric()?))
            }
            K::Minvalue => {
                self.advance();
                S::MinValue(Some(self.numeric()?))
            }
            K::No => {
                self.advance();
                match self.kw() {
                    Some(K::Maxvalue) => {
                        self.advance();
                        S::MaxValue(None)
                    }
                    Some(K::Minvalue) => {
                        self.advance();
                        S::MinValue(None)
                    }
                    _ => {
                        self.expect_kw(K::Cycle)?;
                        S::Cycle(false)
                    }
                }
            }
            K::Owned => {
                self.advance();
                self.expect_kw(K::By)?;
                S::OwnedBy(self.any_name()?)
            }
            K::Sequence => {
                self.advance();
                self.expect_kw(K::Name)?;
                S::SequenceName(self.any_name()?)
            }
            K::Start => {
                self.advance();
                self.eat_kw(K::With);
                S::Start(self.numeric()?)
            }
            K::Restart => {
                self.advance();
                let with = self.eat_kw(K::With);
                let number = matches!(self.tok(), Tok::Integer | Tok::Numeric | Tok::Plus | Tok::Minus);
                S::Restart(if with || number { Some(self.numeric()?) } else { None })
            }
            K::Logged => {
                self.advance();
                S::Logged(true)
            }
            K::Unlogged => {
                self.advance();
                S::Logged(false)
            }
            _ => return Ok(None),
        };
        Ok(Some(SequenceOption { kind, pos }))
    }

    /// `[RECURSIVE] VIEW …` behind CREATE.
    pub(super) fn create_view(
        &mut self,
        or_replace: bool,
        persistence: Persistence,
        pos: Pos,
    ) -> Result<Statement> {
        let recursive = self.eat_kw(K::Recursive);
        self.expect_kw(K::View)?;
        let name = self.qualified_name()?;
        let columns = if recursive { self.column_list()? } else { self.optional_column_list()? };
        let options = self.with_options()?;
        self.expect_kw(K::As)?;
        let mut query = self.select_statement()?;
        let check_pos = self.pos();
        let check_option = self.check_option()?;
        if recursive {
            if check_option != ViewCheckOption::None {
                return Err(Self::unsupported(
                    "WITH CHECK OPTION not supported on recursive views",
                    check_pos,
                ));
            }
            query = recursive_view_query(name.name().clone(), columns.clone(), query);
        }
        Ok(Statement::CreateView(P::new(CreateViewStmt {
            name,
            persistence,
            or_replace,
            recursive,
            columns,
            options,
            query: P::new(query),
            check_option,
            pos,
        })))
    }

    fn check_option(&mut self) -> Result<ViewCheckOption> {
        if !self.is_kw(K::With) {
            return Ok(ViewCheckOption::None);
        }
        self.advance();
        let option = if self.eat_kw(K::Local) {
            ViewCheckOption::Local
        } else {
            self.eat_kw(K::Cascaded);
            ViewCheckOption::Cascaded
        };
        self.expect_words(&[K::Check, K::Option])?;
        Ok(option)
    }

    /// `MATERIALIZED VIEW …` behind CREATE.
    pub(super) fn create_materialized_view(
        &mut self,
        persistence: Persistence,
        pos: Pos,
    ) -> Result<Statement> {
        self.expect_words(&[K::Materialized, K::View])?;
        let if_not_exists = self.if_not_exists();
        let into = IntoClause { name: self.qualified_name()?, persistence };
        self.create_table_as(into, if_not_exists, true, pos)
    }

    pub(super) fn refresh_materialized_view(&mut self) -> Result<Statement> {
        self.advance();
        self.expect_words(&[K::Materialized, K::View])?;
        let concurrently = self.eat_kw(K::Concurrently);
        let name = self.qualified_name()?;
        let with_data = self.with_data()?;
        Ok(Statement::RefreshMaterializedView(P::new(RefreshMaterializedViewStmt {
            name,
            concurrently,
            with_data,
        })))
    }

    /// `STATISTICS …` behind CREATE.
    pub(super) fn create_statistics(&mut self) -> Result<Statement> {
        self.expect_kw(K::Statistics)?;
        let if_not_exists = self.if_not_exists();
        let unnamed = !if_not_exists && (self.is(Tok::LeftParen) || self.is_kw(K::On));
        let name = if unnamed { None } else { Some(self.any_name()?) };
        let kinds = self.optional_column_list()?;
        self.expect_kw(K::On)?;
        let exprs = self.comma_list(|p| {
            if p.is(Tok::LeftParen) {
                return Ok(IndexKey::Expr(p.paren_expr()?));
            }
            if p.at_function() {
                return Ok(IndexKey::Expr(p.func_expr_windowless()?));
            }
            Ok(IndexKey::Column(p.col_id()?))
        })?;
        self.expect_kw(K::From)?;
        let from = self.table_list()?;
        Ok(Statement::CreateStatistics(P::new(CreateStatisticsStmt {
            name,
            if_not_exists,
            kinds,
            exprs,
            from,
        })))
    }
}

/// `WITH RECURSIVE name (columns) AS (query) SELECT columns FROM name`.
fn recursive_view_query(name: Name, columns: Vec<Name>, query: SelectStmt) -> SelectStmt {
    let pos = Pos::NONE;
    let targets = columns
        .iter()
        .map(|column| Target {
            expr: Expr::Column(ColumnRef {
                parts: ObjectName::unqualified(column.clone(), pos).parts,
                star: false,
                pos,
            }),
            alias: None,
            pos,
        })
        .collect();
    let table = FromTable {
        relation: Relation { name: ObjectName::unqualified(name.clone(), pos), only: false },
        alias: None,
        sample: None,
        pos,
    };
    let cte = Cte {
        name,
        columns,
        materialized: None,
        query: Statement::Select(P::new(query)),
        search: None,
        cycle: None,
        pos,
    };
    let core = SelectCore {
        distinct: Distinct::All,
        targets,
        into: None,
        from: vec![FromItem::Table(P::new(table))],
        where_clause: None,
        group_by: Vec::new(),
        group_distinct: false,
        having: None,
        windows: Vec::new(),
    };
    SelectStmt {
        with: Some(P::new(With { recursive: true, ctes: vec![cte], pos })),
        body: SelectBody::Select(P::new(core)),
        order_by: Vec::new(),
        limit: None,
        locking: Vec::new(),
        pos,
    }
}
