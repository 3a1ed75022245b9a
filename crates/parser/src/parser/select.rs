//! Queries.

use ochre_base::{Error, Result, SqlState};

use super::{K, Parser};
use crate::ast::*;
use crate::keywords::Class;
use crate::lexer::Tok;

impl Parser<'_> {
    /// select_no_parens: a query with WITH, ORDER BY, LIMIT and locking.
    pub(super) fn select_no_parens(&mut self) -> Result<SelectStmt> {
        let with = self.optional_with()?;
        self.select_after_with(with)
    }

    /// The rest of a query whose WITH has been read.
    pub(super) fn select_after_with(&mut self, with: Option<P<With>>) -> Result<SelectStmt> {
        self.nested(|p| {
            let first = p.select_primary()?;
            let mut query = p.set_operations(first, 0)?;
            p.select_options(&mut query)?;
            if let Some(with) = with {
                if query.with.is_some() {
                    return Err(Self::syntax("multiple WITH clauses not allowed", with.pos));
                }
                query.with = Some(with);
            }
            Ok(query)
        })
    }

    /// select_with_parens.
    pub(super) fn select_with_parens(&mut self) -> Result<SelectStmt> {
        self.nested(|p| {
            p.expect(Tok::LeftParen)?;
            let query = if p.is(Tok::LeftParen) {
                let inner = p.select_with_parens()?;
                p.select_rest(inner)?
            } else if p.at_select() {
                p.select_no_parens()?
            } else {
                return Err(p.unexpected());
            };
            p.expect(Tok::RightParen)?;
            Ok(query)
        })
    }

    /// SelectStmt: with or without parentheses around it.
    pub(super) fn select_statement(&mut self) -> Result<SelectStmt> {
        if self.at_select() || self.is(Tok::LeftParen) {
            self.select_no_parens()
        } else {
            Err(self.unexpected())
        }
    }

    /// Whether what follows a parenthesised query makes a larger query of it, or ends one.
    pub(super) fn at_select_rest(&self) -> bool {
        matches!(
            self.tok(),
            Tok::RightParen
                | Tok::Kw(
                    K::Union | K::Intersect | K::Except | K::Order | K::Limit | K::Offset | K::Fetch | K::For
                )
        )
    }

    /// Set operations and options behind a parenthesised query.
    pub(super) fn select_rest(&mut self, left: SelectStmt) -> Result<SelectStmt> {
        let mut query = self.set_operations(left, 0)?;
        self.select_options(&mut query)?;
        Ok(query)
    }

    fn select_primary(&mut self) -> Result<SelectStmt> {
        let pos = self.pos();
        let body = match self.tok() {
            Tok::LeftParen => return self.select_with_parens(),
            Tok::Kw(K::Select) => SelectBody::Select(P::new(self.simple_select()?)),
            Tok::Kw(K::Values) => {
                self.advance();
                SelectBody::Values(self.comma_list(|p| p.paren_list(Self::expr))?)
            }
            Tok::Kw(K::Table) => {
                self.advance();
                SelectBody::Select(P::new(self.table_command(pos)?))
            }
            _ => return Err(self.unexpected()),
        };
        Ok(SelectStmt { with: None, body, order_by: Vec::new(), limit: None, locking: Vec::new(), pos })
    }

    fn set_operations(&mut self, mut left: SelectStmt, min: u8) -> Result<SelectStmt> {
        let mut links = 0;
        loop {
            let (op, level) = match self.kw() {
                Some(K::Union) => (SetOp::Union, 1),
                Some(K::Except) => (SetOp::Except, 1),
                Some(K::Intersect) => (SetOp::Intersect, 2),
                _ => return Ok(left),
            };
            if level < min {
                return Ok(left);
            }
            self.link(&mut links)?;
            self.advance();
            let all = self.eat_kw(K::All);
            if !all {
                self.eat_kw(K::Distinct);
            }
            let right = self.select_primary()?;
            let right = self.set_operations(right, level + 1)?;
            let pos = left.pos;
            let operation = SetOperation { op, all, left: P::new(left), right: P::new(right) };
            left = SelectStmt {
                with: None,
                body: SelectBody::SetOp(P::new(operation)),
                order_by: Vec::new(),
                limit: None,
                locking: Vec::new(),
                pos,
            };
        }
    }

    /// ORDER BY, LIMIT and locking, added to a query that may have some from within its parentheses.
    fn select_options(&mut self, query: &mut SelectStmt) -> Result<()> {
        let order_by = self.sort_clause()?;
        if let Some(first) = order_by.first() {
            if !query.order_by.is_empty() {
                return Err(Self::syntax("multiple ORDER BY clauses not allowed", first.expr.start_pos()));
            }
            query.order_by = order_by;
        }
        if self.is_kw(K::For) {
            self.locking(&mut query.locking)?;
            self.limit(query)?;
        } else if self.limit(query)? {
            self.locking(&mut query.locking)?;
        }
        if let Some(limit) = &query.limit
            && limit.with_ties
        {
            check_ties(query, limit.pos)?;
        }
        Ok(())
    }

    fn limit(&mut self, query: &mut SelectStmt) -> Result<bool> {
        if !matches!(self.kw(), Some(K::Limit | K::Offset | K::Fetch)) {
            return Ok(false);
        }
        let pos = self.pos();
        let mut new = Limit { count: None, offset: None, with_ties: false, pos };
        let mut offset_pos = None;
        let mut count_pos = None;
        loop {
            match self.kw() {
                Some(K::Limit) if count_pos.is_none() => {
                    count_pos = Some(self.take());
                    let at = self.pos();
                    new.count = Some(if self.eat_kw(K::All) {
                        Expr::Literal(Literal { value: LiteralValue::Null, pos: at })
                    } else {
                        self.expr()?
                    });
                    if self.is(Tok::Comma) {
                        self.advance();
                        self.expr()?;
                        return Err(Self::syntax(
                            "LIMIT #,# syntax is not supported",
                            count_pos.unwrap_or(Pos::NONE),
                        )
                        .hint("Use separate LIMIT and OFFSET clauses."));
                    }
                }
                Some(K::Fetch) if count_pos.is_none() => {
                    count_pos = Some(self.take());
                    self.fetch_first(&mut new)?;
                }
                Some(K::Offset) if offset_pos.is_none() => {
                    offset_pos = Some(self.take());
                    new.offset = Some(self.expr()?);
                    if !self.eat_kw(K::Rows) {
                        self.eat_kw(K::Row);
                    }
                }
                _ => break,
            }
        }
        let Some(old) = &mut query.limit else {
            query.limit = Some(P::new(new));
            return Ok(true);
        };
        if new.offset.is_some() {
            if old.offset.is_some() {
                let pos = offset_pos.unwrap_or(pos);
                return Err(Self::syntax("multiple OFFSET clauses not allowed", pos));
            }
            old.offset = new.offset;
        }
        if new.count.is_some() {
            if old.count.is_some() {
                return Err(Self::syntax("multiple LIMIT clauses not allowed", count_pos.unwrap_or(pos)));
            }
            old.count = new.count;
            old.with_ties = new.with_ties;
            old.pos = new.pos;
        }
        Ok(true)
    }

    /// `FIRST n ROWS ONLY` behind FETCH.
    fn fetch_first(&mut self, limit: &mut Limit) -> Result<()> {
        if !self.eat_kw(K::First) {
            self.expect_kw(K::Next)?;
        }
        let at = self.pos();
        limit.count = Some(if matches!(self.kw(), Some(K::Row | K::Rows)) {
            Expr::Literal(Literal { value: LiteralValue::Integer(1), pos: at })
        } else {
            self.fetch_count()?
        });
        if !self.eat_kw(K::Rows) {
            self.expect_kw(K::Row)?;
        }
        if self.eat_words(&[K::With, K::Ties]) {
            limit.with_ties = true;
            limit.pos = at;
            Ok(())
        } else {
            self.expect_kw(K::Only)
        }
    }

    fn locking(&mut self, clauses: &mut Vec<LockingClause>) -> Result<()> {
        if self.eat_words(&[K::For, K::Read]) {
            return self.expect_kw(K::Only);
        }
        while self.is_kw(K::For) {
            let pos = self.take();
            let strength = if self.eat_kw(K::Update) {
                LockStrength::Update
            } else if self.eat_words(&[K::No, K::Key, K::Update]) {
                LockStrength::NoKeyUpdate
            } else if self.eat_kw(K::Share) {
                LockStrength::Share
            } else {
                self.expect_kw(K::Key)?;
                self.expect_kw(K::Share)?;
                LockStrength::KeyShare
            };
            let relations =
                if self.eat_kw(K::Of) { self.comma_list(Self::qualified_name)? } else { Vec::new() };
            let wait = if self.eat_kw(K::Nowait) {
                LockWait::NoWait
            } else if self.eat_kw(K::Skip) {
                self.expect_kw(K::Locked)?;
                LockWait::SkipLocked
            } else {
                LockWait::Block
            };
            clauses.push(LockingClause { strength, relations, wait, pos });
        }
        Ok(())
    }

    /// `TABLE name` is `SELECT * FROM name`.
    fn table_command(&mut self, pos: Pos) -> Result<SelectCore> {
        let at = self.pos();
        let relation = self.relation()?;
        let star = Expr::Column(ColumnRef { parts: NameParts::new(), star: true, pos });
        Ok(SelectCore {
            distinct: Distinct::All,
            targets: vec![Target { expr: star, alias: None, pos }],
            into: None,
            from: vec![FromItem::Table(P::new(FromTable { relation, alias: None, sample: None, pos: at }))],
            where_clause: None,
            group_by: Vec::new(),
            group_distinct: false,
            having: None,
            windows: Vec::new(),
        })
    }

    fn simple_select(&mut self) -> Result<SelectCore> {
        self.advance();
        let mut distinct = Distinct::All;
        if self.eat_kw(K::Distinct) {
            distinct = if self.eat_kw(K::On) {
                Distinct::On(self.paren_list(Self::expr)?)
            } else {
                Distinct::Distinct
            };
        } else {
            self.eat_kw(K::All);
        }
        let targets =
            if distinct == Distinct::All && !self.at_target() { Vec::new() } else { self.target_list()? };
        let into = if self.eat_kw(K::Into) { Some(P::new(self.select_into_target()?)) } else { None };
        let from = if self.eat_kw(K::From) { self.table_list()? } else { Vec::new() };
        let where_clause = self.where_clause()?;
        let (group_by, group_distinct) = self.group_clause()?;
        let having = if self.eat_kw(K::Having) { Some(self.expr()?) } else { None };
        let windows = if self.eat_kw(K::Window) {
            self.comma_list(|p| {
                let name = p.col_id()?;
                p.expect_kw(K::As)?;
                p.window_specification(Some(name))
            })?
        } else {
            Vec::new()
        };
        Ok(SelectCore {
            distinct,
            targets,
            into,
            from,
            where_clause,
            group_by,
            group_distinct,
            having,
            windows,
        })
    }

    /// Whether the current token can begin a select list.
    fn at_target(&self) -> bool {
        match self.tok() {
            Tok::Kw(kw) => {
                kw.class() != Class::Reserved
                    || matches!(
                        kw,
                        K::Not
                            | K::Null
                            | K::True
                            | K::False
                            | K::Case
                            | K::Cast
                            | K::Array
                            | K::Default
                            | K::Unique
                            | K::User
                            | K::SessionUser
                            | K::SystemUser
                            | K::CurrentCatalog
                            | K::CurrentDate
                            | K::CurrentRole
                            | K::CurrentTime
                            | K::CurrentTimestamp
                            | K::CurrentUser
                            | K::Localtime
                            | K::Localtimestamp
                    )
            }
            Tok::Eof | Tok::Semicolon | Tok::RightParen => false,
            _ => true,
        }
    }

    pub(super) fn where_clause(&mut self) -> Result<Option<Expr>> {
        if self.eat_kw(K::Where) { Ok(Some(self.expr()?)) } else { Ok(None) }
    }

    /// target_list.
    pub(super) fn target_list(&mut self) -> Result<Vec<Target>> {
        self.comma_list(Self::target)
    }

    fn target(&mut self) -> Result<Target> {
        let pos = self.pos();
        if self.eat(Tok::Star) {
            let expr = Expr::Column(ColumnRef { parts: NameParts::new(), star: true, pos });
            return Ok(Target { expr, alias: None, pos });
        }
        let expr = self.target_expr()?;
        let alias = if self.eat_kw(K::As) {
            Some(self.col_label()?)
        } else {
            match self.tok() {
                Tok::Ident | Tok::QuotedIdent | Tok::UnicodeIdent => Some(self.take_name()?),
                Tok::Kw(kw) if kw.is_bare_label() => Some(self.take_name()?),
                _ => None,
            }
        };
        Ok(Target { expr, alias, pos })
    }

    /// The expression of a target. `SELECT a IN` and its like end in a label that an operator begins with: where an
    /// operand is missing and a target may end, the expression is read again up to that word.
    fn target_expr(&mut self) -> Result<Expr> {
        let start = self.at;
        let broken = match self.expr() {
            Err(error) => error,
            expr => return expr,
        };
        let label = self.at.saturating_sub(1);
        let is_label = label > start && matches!(self.tokens[label].tok, Tok::Kw(kw) if kw.is_bare_label());
        if !is_label || label == self.label_at || !self.at_target_end() {
            return Err(broken);
        }
        let failed_at = self.at;
        self.label_at = label;
        self.at = start;
        match self.expr() {
            Ok(expr) if self.at == label => Ok(expr),
            _ => {
                self.at = failed_at;
                Err(broken)
            }
        }
    }

    /// Whether the current token may follow a select list's item.
    fn at_target_end(&self) -> bool {
        matches!(
            self.tok(),
            Tok::Eof
                | Tok::Semicolon
                | Tok::Comma
                | Tok::RightParen
                | Tok::Kw(
                    K::From
                        | K::Into
                        | K::Where
                        | K::Group
                        | K::Having
                        | K::Window
                        | K::Union
                        | K::Intersect
                        | K::Except
                        | K::Order
                        | K::Limit
                        | K::Offset
                        | K::Fetch
                        | K::For
                )
        )
    }

    /// OptTempTableName.
    fn select_into_target(&mut self) -> Result<IntoClause> {
        let persistence = self.persistence();
        self.eat_kw(K::Table);
        Ok(IntoClause { name: self.qualified_name()?, persistence })
    }

    /// OptTemp, where a name may follow.
    pub(super) fn persistence(&mut self) -> Persistence {
        if matches!(self.kw(), Some(K::Local | K::Global))
            && matches!(self.peek(1), Tok::Kw(K::Temp | K::Temporary))
        {
            self.at += 2;
            return Persistence::Temporary;
        }
        if self.eat_kw(K::Temp) || self.eat_kw(K::Temporary) {
            return Persistence::Temporary;
        }
        if self.eat_kw(K::Unlogged) { Persistence::Unlogged } else { Persistence::Permanent }
    }

    fn group_clause(&mut self) -> Result<(Vec<GroupItem>, bool)> {
        if !self.eat_kw(K::Group) {
            return Ok((Vec::new(), false));
        }
        self.expect_kw(K::By)?;
        let distinct = self.eat_kw(K::Distinct);
        if !distinct {
            self.eat_kw(K::All);
        }
        Ok((self.comma_list(Self::group_item)?, distinct))
    }

    fn group_item(&mut self) -> Result<GroupItem> {
        let pos = self.pos();
        match self.tok() {
            Tok::LeftParen if self.peek(1) == Tok::RightParen => {
                self.at += 2;
                Ok(GroupItem::Empty(pos))
            }
            Tok::Kw(K::Rollup) if self.peek(1) == Tok::LeftParen => {
                self.advance();
                Ok(GroupItem::Rollup(self.paren_list(Self::expr)?, pos))
            }
            Tok::Kw(K::Cube) if self.peek(1) == Tok::LeftParen => {
                self.advance();
                Ok(GroupItem::Cube(self.paren_list(Self::expr)?, pos))
            }
            Tok::Kw(K::Grouping) if self.peek_kw(1, K::Sets) => {
                self.at += 2;
                let items = self.nested(|p| p.paren_list(Self::group_item))?;
                Ok(GroupItem::Sets(P::new(items), pos))
            }
            _ => Ok(GroupItem::Expr(self.expr()?)),
        }
    }

    /// ORDER BY, if it is there.
    pub(super) fn sort_clause(&mut self) -> Result<Vec<SortItem>> {
        if !self.is_kw(K::Order) {
            return Ok(Vec::new());
        }
        self.advance();
        self.expect_kw(K::By)?;
        self.comma_list(Self::sort_item)
    }

    fn sort_item(&mut self) -> Result<SortItem> {
        let expr = self.expr()?;
        let mut pos = Pos::NONE;
        let direction = if self.eat_kw(K::Using) {
            pos = self.pos();
            SortDirection::Using(self.qual_all_op()?)
        } else {
            self.asc_desc()
        };
        let nulls = self.nulls_order()?;
        if pos.get().is_none() {
            pos = expr.pos();
        }
        Ok(SortItem { expr, direction, nulls, pos })
    }

    pub(super) fn asc_desc(&mut self) -> SortDirection {
        if self.eat_kw(K::Asc) {
            SortDirection::Asc
        } else if self.eat_kw(K::Desc) {
            SortDirection::Desc
        } else {
            SortDirection::Default
        }
    }

    pub(super) fn nulls_order(&mut self) -> Result<NullsOrder> {
        if !self.is_kw(K::Nulls) {
            return Ok(NullsOrder::Default);
        }
        if self.eat_words(&[K::Nulls, K::First]) {
            Ok(NullsOrder::First)
        } else if self.eat_words(&[K::Nulls, K::Last]) {
            Ok(NullsOrder::Last)
        } else {
            Ok(NullsOrder::Default)
        }
    }

    /// window_specification.
    pub(super) fn window_specification(&mut self, name: Option<Name>) -> Result<WindowSpec> {
        let pos = self.pos();
        self.expect(Tok::LeftParen)?;
        let keyword = matches!(self.kw(), Some(K::Partition | K::Range | K::Rows | K::Groups));
        let base = if !keyword && Self::is_col_id(self.tok()) { Some(self.col_id()?) } else { None };
        let partition_by = if self.eat_kw(K::Partition) {
            self.expect_kw(K::By)?;
            self.expr_list()?
        } else {
            Vec::new()
        };
        let order_by = self.sort_clause()?;
        let frame = self.frame()?;
        self.expect(Tok::RightParen)?;
        Ok(WindowSpec { name, base, partition_by, order_by, frame, pos })
    }

    fn frame(&mut self) -> Result<Option<P<WindowFrame>>> {
        let unit = match self.kw() {
            Some(K::Range) => FrameUnit::Range,
            Some(K::Rows) => FrameUnit::Rows,
            Some(K::Groups) => FrameUnit::Groups,
            _ => return Ok(None),
        };
        let pos = self.take();
        let between = self.eat_kw(K::Between);
        let start_pos = self.pos();
        let start = self.frame_bound()?;
        let mut end = None;
        let mut end_pos = start_pos;
        if between {
            self.expect_kw(K::And)?;
            end_pos = self.pos();
            end = Some(self.frame_bound()?);
        }
        check_frame(&start, end.as_ref(), start_pos, end_pos)?;
        let exclude = if self.eat_kw(K::Exclude) {
            if self.eat_words(&[K::Current, K::Row]) {
                FrameExclude::CurrentRow
            } else if self.eat_kw(K::Group) {
                FrameExclude::Group
            } else if self.eat_kw(K::Ties) {
                FrameExclude::Ties
            } else {
                self.expect_words(&[K::No, K::Others])?;
                FrameExclude::NoOthers
            }
        } else {
            FrameExclude::NoOthers
        };
        Ok(Some(P::new(WindowFrame { unit, start, end, exclude, pos })))
    }

    fn frame_bound(&mut self) -> Result<FrameBound> {
        if self.eat_words(&[K::Unbounded, K::Preceding]) {
            return Ok(FrameBound::UnboundedPreceding);
        }
        if self.eat_words(&[K::Unbounded, K::Following]) {
            return Ok(FrameBound::UnboundedFollowing);
        }
        if self.eat_words(&[K::Current, K::Row]) {
            return Ok(FrameBound::CurrentRow);
        }
        let offset = self.expr()?;
        if self.eat_kw(K::Preceding) {
            return Ok(FrameBound::Preceding(offset));
        }
        self.expect_kw(K::Following)?;
        Ok(FrameBound::Following(offset))
    }

    /// WITH, if it is there.
    pub(super) fn optional_with(&mut self) -> Result<Option<P<With>>> {
        if !self.is_kw(K::With) {
            return Ok(None);
        }
        let pos = self.take();
        let recursive = self.eat_kw(K::Recursive);
        let ctes = self.comma_list(Self::cte)?;
        Ok(Some(P::new(With { recursive, ctes, pos })))
    }

    fn cte(&mut self) -> Result<Cte> {
        let pos = self.pos();
        let name = self.col_id()?;
        let columns = self.optional_column_list()?;
        self.expect_kw(K::As)?;
        let materialized = if self.eat_kw(K::Materialized) {
            Some(true)
        } else if self.eat_words(&[K::Not, K::Materialized]) {
            Some(false)
        } else {
            None
        };
        self.expect(Tok::LeftParen)?;
        let query = self.nested(Self::preparable)?;
        self.expect(Tok::RightParen)?;
        let search = if self.is_kw(K::Search) { Some(P::new(self.cte_search()?)) } else { None };
        let cycle = if self.is_kw(K::Cycle) { Some(P::new(self.cte_cycle()?)) } else { None };
        Ok(Cte { name, columns, materialized, query, search, cycle, pos })
    }

    fn cte_search(&mut self) -> Result<CteSearch> {
        let pos = self.take();
        let breadth_first = self.eat_kw(K::Breadth);
        if !breadth_first {
            self.expect_kw(K::Depth)?;
        }
        self.expect_words(&[K::First, K::By])?;
        let columns = self.comma_list(Self::col_id)?;
        self.expect_kw(K::Set)?;
        Ok(CteSearch { breadth_first, columns, sequence_column: self.col_id()?, pos })
    }

    fn cte_cycle(&mut self) -> Result<CteCycle> {
        let pos = self.take();
        let columns = self.comma_list(Self::col_id)?;
        self.expect_kw(K::Set)?;
        let mark_column = self.col_id()?;
        let (mut mark_value, mut mark_default) = (None, None);
        if self.eat_kw(K::To) {
            mark_value = Some(self.constant()?);
            self.expect_kw(K::Default)?;
            mark_default = Some(self.constant()?);
        }
        self.expect_kw(K::Using)?;
        let path_column = self.col_id()?;
        Ok(CteCycle { columns, mark_column, mark_value, mark_default, path_column, pos })
    }
}

fn check_ties(query: &SelectStmt, pos: Pos) -> Result<()> {
    let error = |message: &str| Err(Error::new(SqlState::SYNTAX_ERROR, message).at(pos.offset()));
    if query.order_by.is_empty() {
        return error("WITH TIES cannot be specified without ORDER BY clause");
    }
    if query.locking.iter().any(|clause| clause.wait == LockWait::SkipLocked) {
        return error("SKIP LOCKED and WITH TIES options cannot be used together");
    }
    Ok(())
}

fn check_frame(start: &FrameBound, end: Option<&FrameBound>, start_pos: Pos, end_pos: Pos) -> Result<()> {
    use FrameBound::{CurrentRow, Following, Preceding, UnboundedFollowing, UnboundedPreceding};
    let error =
        |message: &str, pos: Pos| Err(Error::new(SqlState::WINDOWING_ERROR, message).at(pos.offset()));
    match (start, end) {
        (UnboundedFollowing, _) => error("frame start cannot be UNBOUNDED FOLLOWING", start_pos),
        (Following(_), None) => {
            error("frame starting from following row cannot end with current row", start_pos)
        }
        (_, Some(UnboundedPreceding)) => error("frame end cannot be UNBOUNDED PRECEDING", end_pos),
        (CurrentRow, Some(Preceding(_))) => {
            error("frame starting from current row cannot have preceding rows", end_pos)
        }
        (Following(_), Some(Preceding(_) | CurrentRow)) => {
            error("frame starting from following row cannot have preceding rows", end_pos)
        }
        _ => Ok(()),
    }
}
