//! Queries: SELECT, VALUES, set operations, ORDER BY, LIMIT, FOR UPDATE.

use std::sync::Arc;

use ochre_base::{Error, Result, SqlState, limits};
use ochre_expr::Expr;
use ochre_parser::ast::{self, Pos};
use ochre_types::{SqlType, oids};

use super::Binder;
use super::coerce::CoercionContext;
use super::level::{Clause, Level};
use super::locking::{Asked, Locks};
use super::scope::{ItemColumns, Scope};
use super::target::{TargetEntry, check_target_count};
use crate::logical::{ColumnId, Logical, Ordering, Query, SetInputs, SetItem, TableId, WindowStep};
use crate::physical::{OutputColumn, SetOpKind};

impl Binder<'_> {
    /// Binds a query. The scope is empty and made for it: it knows what is around the query.
    pub(crate) fn bind_query(&mut self, select: &ast::SelectStmt, scope: &Scope<'_>) -> Result<Query> {
        self.bind_query_with(select, scope, true)
    }

    /// As [`Binder::bind_query`]; without `resolve`, literals of unknown type stay so in the output.
    pub(crate) fn bind_query_with(
        &mut self,
        select: &ast::SelectStmt,
        scope: &Scope<'_>,
        resolve: bool,
    ) -> Result<Query> {
        // What rows of a join around it come without is the query's rows, not those of its tables.
        let beside_missing = std::mem::take(&mut self.beside_missing);
        let asked = std::mem::take(&mut self.asked);
        let query = stacker::maybe_grow(limits::STACK_RED_ZONE_BYTES, limits::STACK_GROWTH_BYTES, || {
            let mut inner = scope.clone();
            if let Some(with) = &select.with {
                inner.ctes = self.bind_with(with, scope)?;
            }
            match &select.body {
                ast::SelectBody::Select(core) => self.bind_select(core, select, inner, resolve, asked),
                ast::SelectBody::Values(rows) => self.bind_values_query(rows, select, &inner, resolve),
                ast::SelectBody::SetOp(operation) => {
                    self.refuse_set_lock(&select.locking, asked.lock)?;
                    self.bind_set_operation(operation, select, &inner)
                }
            }
        });
        self.beside_missing = beside_missing;
        query
    }

    fn bind_select(
        &mut self,
        core: &ast::SelectCore,
        select: &ast::SelectStmt,
        mut scope: Scope<'_>,
        resolve: bool,
        asked: Asked,
    ) -> Result<Query> {
        if core.into.is_some() {
            let error = Error::new(SqlState::SYNTAX_ERROR, "SELECT ... INTO is not allowed here");
            return Err(self.at(error, select.pos));
        }
        self.enter_level(Clause::From, scope.depth);
        let result = self.bind_select_clauses(core, select, &mut scope, resolve, asked);
        match result {
            Ok(query) => {
                self.leave_level()?;
                Ok(query)
            }
            Err(error) => {
                self.levels.pop();
                Err(error)
            }
        }
    }

    fn bind_select_clauses(
        &mut self,
        core: &ast::SelectCore,
        select: &ast::SelectStmt,
        scope: &mut Scope<'_>,
        resolve: bool,
        asked: Asked,
    ) -> Result<Query> {
        let item_locks = self.item_locks(&select.locking, asked.lock);
        let around = std::mem::replace(&mut self.item_locks, item_locks);
        let from = self.bind_from(&core.from, scope);
        self.item_locks = around;
        let mut plan = from?;
        let scope = &*scope;
        self.set_clause(Clause::Window);
        self.bind_window_clause(&core.windows, scope)?;
        self.set_clause(Clause::Select);
        let mut entries = self.bind_targets(&core.targets, scope)?;
        if resolve {
            self.resolve_targets(&mut entries)?;
        }
        let visible = entries.len();
        if let Some(condition) = &core.where_clause {
            self.set_clause(Clause::Where);
            let bound = self.bind_expr(condition, scope)?;
            let bound = self.coerce_to_boolean(bound, "WHERE", condition.pos())?;
            plan = filter(plan, bound.conjuncts());
        }
        let having = match &core.having {
            Some(condition) => {
                self.set_clause(Clause::Having);
                let bound = self.bind_expr(condition, scope)?;
                self.coerce_to_boolean(bound, "HAVING", condition.pos())?.conjuncts()
            }
            None => Vec::new(),
        };
        self.set_clause(Clause::OrderBy);
        let mut sort: Vec<(usize, Ordering)> = Vec::with_capacity(select.order_by.len());
        for item in &select.order_by {
            let index = self.sort_entry(&item.expr, "ORDER BY", &mut entries, visible, scope)?;
            let key = self.sort_key(item, entries[index].expr.clone())?;
            // A repeated key adds nothing.
            if !sort.iter().any(|(known, _)| *known == index) {
                sort.push((index, key));
            }
        }
        self.set_clause(Clause::GroupBy);
        let grouping = self.bind_group_by(core, &entries, visible, scope)?;
        self.set_clause(Clause::DistinctOn);
        let distinct = self.bind_distinct_clause(&core.distinct, &mut entries, visible, &sort, scope)?;
        if !resolve {
            // Hidden entries never stay unknown; visible ones are the caller's business.
            self.resolve_targets(&mut entries[visible..])?;
        }

        let mut level = std::mem::replace(self.level()?, Level::placeholder(scope.depth));
        let grouped = grouping.is_some() || !level.aggregates.is_empty() || core.having.is_some();
        if !grouped && !level.groupings.is_empty() {
            let pos = level.groupings[0].pos;
            let error = Error::new(
                SqlState::GROUPING_ERROR,
                "arguments to GROUPING must be grouping expressions of the associated query level",
            );
            return Err(self.at(error, pos));
        }
        let mut sort_keys: Vec<Ordering> = sort.iter().map(|(_, key)| key.clone()).collect();
        if !level.aggregates.is_empty() && reads_work_table(&plan) {
            let error = Error::new(
                SqlState::INVALID_RECURSION,
                "aggregate functions are not allowed in a recursive query's recursive term",
            );
            return Err(error);
        }
        if grouped {
            let mut exprs: Vec<&mut Expr> = Vec::new();
            exprs.extend(entries.iter_mut().map(|entry| &mut entry.expr));
            exprs.extend(sort_keys.iter_mut().map(|key| &mut key.expr));
            plan =
                self.build_grouping(plan, grouping.unwrap_or_default(), having, exprs, &mut level, scope)?;
        }
        if !level.windows.is_empty() && !level.sets.is_empty() {
            let exprs = entries.iter_mut().map(|entry| &mut entry.expr);
            let exprs = exprs.chain(sort_keys.iter_mut().map(|key| &mut key.expr)).collect();
            plan = self.expand_window_sets(plan, exprs, &mut level, scope);
        }
        let locking = self.bind_locking(&select.locking, asked.lock, core, grouped, &level, scope)?;
        let one_by_one = !grouped && level.windows.is_empty() && level.sets.is_empty();
        for (definition, calls) in std::mem::take(&mut level.windows) {
            plan = Logical::Window(Box::new(WindowStep {
                input: plan,
                partition: definition.partition,
                order: definition.order,
                frame: definition.frame,
                calls,
                run: Vec::new(),
            }));
        }
        let sets = std::mem::take(&mut level.sets);
        let has_sets = !sets.is_empty();
        if has_sets {
            plan = project_sets(plan, sets);
        }
        // The level is needed no more but for what it mentioned of outer queries.
        *self.level()? = level;

        if let Some(locks) = locking {
            if self.is_lifted(asked.lock, select, core, &entries, &plan) {
                let (items, ids) = self.project_entries(&plan, &entries, scope.depth);
                let output = entries.iter().zip(&ids);
                let output =
                    output.map(|(entry, id)| (*id, self.describe(&entry.name, &entry.expr))).collect();
                self.lifted = Some(locks.into_iter().map(|(table, _)| table).collect());
                return Ok(Query { plan: project(plan, items), output });
            }
            if !locks.is_empty() || !select.locking.is_empty() {
                return self.finish_locking(plan, entries, visible, sort_keys, locks, asked, select, scope);
            }
        }
        // A cursor's query: where the row of the table is, behind its columns.
        let mut tail = 0;
        if asked.row_ids
            && one_by_one
            && matches!(distinct, DistinctClause::All)
            && let Some(id) = self.only_row_id(core, scope)
        {
            entries.push(TargetEntry { expr: self.column_expr(id), name: "ctid".into(), pos: Pos::NONE });
            tail = 1;
        }
        // What has effects is computed for the rows that are returned, in their order.
        let after_limit = !has_sets
            && matches!(distinct, DistinctClause::All)
            && (!sort.is_empty() || select.limit.is_some())
            && entries[..visible]
                .iter()
                .any(|entry| entry.expr.volatility() == ochre_expr::Volatility::Volatile);
        if after_limit {
            return self.finish_late(plan, entries, visible, tail, &sort, select, scope);
        }
        let (items, ids) = self.project_entries(&plan, &entries, scope.depth);
        plan = project(plan, items);
        let sort_keys: Vec<Ordering> = sort
            .iter()
            .map(|(index, key)| Ordering {
                expr: self.column_expr(ids[*index]),
                descending: key.descending,
                nulls_first: key.nulls_first,
            })
            .collect();
        plan = match distinct {
            DistinctClause::All => sort_plan(plan, sort_keys.clone()),
            DistinctClause::Distinct => {
                let mut columns: Vec<ColumnId> = ids[..visible].to_vec();
                columns.sort_unstable();
                columns.dedup();
                sort_plan(Logical::Distinct { input: Box::new(plan), columns }, sort_keys.clone())
            }
            DistinctClause::On(on) => {
                let on: Vec<ColumnId> = on.into_iter().map(|index| ids[index]).collect();
                let mut keys = sort_keys.clone();
                for id in &on {
                    let expr = self.column_expr(*id);
                    if !keys.iter().any(|key| key.expr == expr) {
                        keys.push(Ordering { expr, descending: false, nulls_first: false });
                    }
                }
                Logical::DistinctOn { input: Box::new(plan), on, sort: keys }
            }
        };
        plan = self.bind_limit(plan, select, sort_keys, scope)?;
        let output = shown(entries.len(), visible, tail)
            .map(|index| (ids[index], self.describe(&entries[index].name, &entries[index].expr)))
            .collect();
        Ok(Query { plan, output })
    }

    /// Sorts and limits before volatile targets are computed.
    #[allow(clippy::too_many_arguments, reason = "the parts of a query on their way to a plan")]
    fn finish_late(
        &mut self,
        plan: Logical,
        entries: Vec<TargetEntry>,
        visible: usize,
        tail: usize,
        sort: &[(usize, Ordering)],
        select: &ast::SelectStmt,
        scope: &Scope<'_>,
    ) -> Result<Query> {
        let is_late = |index: usize, entry: &TargetEntry| {
            index < visible
                && !sort.iter().any(|(key, _)| *key == index)
                && entry.expr.volatility() == ochre_expr::Volatility::Volatile
        };
        let late: Vec<bool> = entries.iter().enumerate().map(|(i, entry)| is_late(i, entry)).collect();
        let early: Vec<TargetEntry> =
            entries.iter().zip(&late).filter(|(_, late)| !**late).map(|(entry, _)| entry.clone()).collect();
        let (mut items, early_ids) = self.project_entries(&plan, &early, scope.depth);
        let mut needed = Vec::new();
        for (entry, _) in entries.iter().zip(&late).filter(|(_, late)| **late) {
            needed.extend(entry.expr.columns());
            self.subquery_mentions(&entry.expr, &mut needed);
        }
        let produced = crate::walk::produced(&plan, &self.tables);
        for id in needed {
            if produced.contains(id) && !items.iter().any(|(known, _)| *known == id) {
                items.push((id, self.column_expr(id)));
            }
        }
        let mut early_ids = early_ids.into_iter();
        let ids: Vec<Option<ColumnId>> =
            late.iter().map(|late| if *late { None } else { early_ids.next() }).collect();
        let mut plan = project(plan, items);
        let sort_keys: Vec<Ordering> = sort
            .iter()
            .filter_map(|(index, key)| ids[*index].map(|id| (id, key)))
            .map(|(id, key)| Ordering {
                expr: self.column_expr(id),
                descending: key.descending,
                nulls_first: key.nulls_first,
            })
            .collect();
        plan = sort_plan(plan, sort_keys.clone());
        plan = self.bind_limit(plan, select, sort_keys, scope)?;
        // Rows that OFFSET skips are computed too.
        let mut skip = None;
        if let Logical::Limit { input, limit, offset: Some(offset), ties: None } = plan {
            let both = match &limit {
                Some(limit) => {
                    let op = ast::Operator::plain(ast::Name::from_static("+"));
                    Some(self.bind_operator(&op, Some(limit.clone()), offset.clone(), Pos::NONE)?)
                }
                None => None,
            };
            skip = Some((limit, offset));
            plan = match both {
                Some(both) => Logical::Limit { input, limit: Some(both), offset: None, ties: None },
                None => *input,
            };
        }
        let (entries, ids): (Vec<&TargetEntry>, Vec<Option<ColumnId>>) =
            shown(entries.len(), visible, tail).map(|index| (&entries[index], ids[index])).unzip();
        let shown: Vec<TargetEntry> = entries
            .iter()
            .zip(&ids)
            .map(|(entry, id)| match id {
                Some(id) => TargetEntry { expr: self.column_expr(*id), ..(*entry).clone() },
                None => (*entry).clone(),
            })
            .collect();
        let (items, ids) = self.project_entries(&plan, &shown, scope.depth);
        let output = entries
            .iter()
            .zip(&shown)
            .zip(&ids)
            .map(|((entry, shown), id)| {
                let described =
                    if matches!(entry.expr, Expr::Column { .. }) { &entry.expr } else { &shown.expr };
                (*id, self.describe(&entry.name, described))
            })
            .collect();
        let mut plan = project(plan, items);
        if let Some((limit, offset)) = skip {
            plan = Logical::Limit { input: Box::new(plan), limit, offset: Some(offset), ties: None };
        }
        Ok(Query { plan, output })
    }

    /// An id for each entry; a plain column keeps its own.
    fn project_entries(
        &mut self,
        plan: &Logical,
        entries: &[TargetEntry],
        depth: u32,
    ) -> (Vec<(ColumnId, Expr)>, Vec<ColumnId>) {
        let mut items: Vec<(ColumnId, Expr)> = Vec::with_capacity(entries.len());
        let mut ids = Vec::with_capacity(entries.len());
        // A column of an outer query or of an item beside this one is a value here: under its own id, two relations would
        // make the same column.
        let own = (depth > 0).then(|| crate::walk::produced(plan, &self.tables));
        for entry in entries {
            let id = match &entry.expr {
                Expr::Column { index, .. } if own.as_ref().is_none_or(|own| own.contains(*index)) => *index,
                expr => {
                    // Equal stable expressions are computed once.
                    let known = items.iter().find(|(_, known)| known == expr);
                    match known {
                        Some((id, _)) if expr.volatility() != ochre_expr::Volatility::Volatile => *id,
                        _ => self.new_column(Arc::clone(&entry.name), expr.ty(), depth),
                    }
                }
            };
            if !items.iter().any(|(known, _)| *known == id) {
                items.push((id, entry.expr.clone()));
            }
            ids.push(id);
        }
        (items, ids)
    }

    fn bind_distinct_clause(
        &mut self,
        distinct: &ast::Distinct,
        entries: &mut Vec<TargetEntry>,
        visible: usize,
        sort: &[(usize, Ordering)],
        scope: &Scope<'_>,
    ) -> Result<DistinctClause> {
        match distinct {
            ast::Distinct::All => Ok(DistinctClause::All),
            ast::Distinct::Distinct => {
                if let Some((hidden, _)) = sort.iter().find(|(index, _)| *index >= visible) {
                    let error = Error::new(
                        SqlState::INVALID_COLUMN_REFERENCE,
                        "for SELECT DISTINCT, ORDER BY expressions must appear in select list",
                    );
                    return Err(self.at(error, entries[*hidden].pos));
                }
                for entry in &entries[..visible] {
                    self.require_ordering(entry.expr.ty(), true, entry.pos)?;
                }
                Ok(DistinctClause::Distinct)
            }
            ast::Distinct::On(exprs) => {
                let mut on = Vec::with_capacity(exprs.len());
                for expr in exprs {
                    let index = self.sort_entry(expr, "DISTINCT ON", entries, visible, scope)?;
                    self.require_ordering(entries[index].expr.ty(), true, expr.pos())?;
                    if !on.contains(&index) {
                        on.push(index);
                    }
                }
                let mut skipped = false;
                let mut matched = 0;
                for (index, _) in sort.iter() {
                    if on.contains(index) {
                        if skipped {
                            let error = Error::new(
                                SqlState::INVALID_COLUMN_REFERENCE,
                                "SELECT DISTINCT ON expressions must match initial ORDER BY expressions",
                            );
                            return Err(self.at(error, entries[*index].pos));
                        }
                        matched += 1;
                    } else {
                        skipped = true;
                    }
                }
                if skipped && matched < on.len() {
                    let missing = on.iter().find(|index| !sort.iter().any(|(known, _)| known == *index));
                    let error = Error::new(
                        SqlState::INVALID_COLUMN_REFERENCE,
                        "SELECT DISTINCT ON expressions must match initial ORDER BY expressions",
                    );
                    let pos = missing.map_or(Pos::NONE, |index| entries[*index].pos);
                    return Err(self.at(error, pos));
                }
                Ok(DistinctClause::On(on))
            }
        }
    }

    /// LIMIT and OFFSET.
    fn bind_limit(
        &mut self,
        plan: Logical,
        select: &ast::SelectStmt,
        sort: Vec<Ordering>,
        scope: &Scope<'_>,
    ) -> Result<Logical> {
        let Some(clause) = &select.limit else { return Ok(plan) };
        let limit = match &clause.count {
            Some(count) => Some(self.bind_limit_expr(count, "LIMIT", Clause::Limit, scope)?),
            None => None,
        };
        let offset = match &clause.offset {
            Some(offset) => Some(self.bind_limit_expr(offset, "OFFSET", Clause::Offset, scope)?),
            None => None,
        };
        if clause.with_ties {
            if sort.is_empty() {
                let error = Error::new(
                    SqlState::SYNTAX_ERROR,
                    "WITH TIES cannot be specified without ORDER BY clause",
                );
                return Err(self.at(error, clause.pos));
            }
            if matches!(&limit, Some(Expr::Constant { value: ochre_types::Datum::Null, .. })) {
                return Err(Error::new(
                    SqlState::INVALID_ROW_COUNT_IN_LIMIT_CLAUSE,
                    "row count cannot be null in FETCH FIRST ... WITH TIES clause",
                ));
            }
            return Ok(Logical::Limit { input: Box::new(plan), limit, offset, ties: Some(sort) });
        }
        let no_limit = matches!(&limit, None | Some(Expr::Constant { value: ochre_types::Datum::Null, .. }));
        if no_limit && offset.is_none() {
            return Ok(plan);
        }
        Ok(Logical::Limit { input: Box::new(plan), limit, offset, ties: None })
    }

    fn bind_limit_expr(
        &mut self,
        expr: &ast::Expr,
        word: &str,
        clause: Clause,
        scope: &Scope<'_>,
    ) -> Result<Expr> {
        let bound = self.in_clause(clause, scope.depth, |binder| binder.bind_expr(expr, scope))?;
        if bound.columns().into_iter().any(|id| self.columns[id].depth >= scope.depth) {
            let error = Error::new(
                SqlState::INVALID_COLUMN_REFERENCE,
                format!("argument of {word} must not contain variables"),
            );
            return Err(self.at(error, expr.pos()));
        }
        let bound = match bound {
            Expr::Constant { value: ochre_types::Datum::Null, .. } => Expr::null(SqlType::INT8),
            other => self.coerce_to_specific(other, SqlType::INT8, word, expr.pos())?,
        };
        let bound = match bound {
            Expr::Cast { arg, kind, ty, pos } => match (*arg, ty.oid) {
                (Expr::Constant { value: ochre_types::Datum::Int32(value), .. }, oids::INT8) => {
                    Self::bigint(i64::from(value))
                }
                (arg, _) => Expr::Cast { arg: Box::new(arg), kind, ty, pos },
            },
            other => other,
        };
        Ok(bound)
    }

    /// A query with row locks: its rows are sorted first, then locked, and only what survives is computed.
    #[allow(clippy::too_many_arguments, reason = "the parts of a query on their way to a plan")]
    fn finish_locking(
        &mut self,
        plan: Logical,
        entries: Vec<TargetEntry>,
        visible: usize,
        sort_keys: Vec<Ordering>,
        locks: Locks,
        asked: Asked,
        select: &ast::SelectStmt,
        scope: &Scope<'_>,
    ) -> Result<Query> {
        let tables: Vec<TableId> = locks.iter().map(|(table, _)| *table).collect();
        let plan = sort_plan(plan, sort_keys.clone());
        let plan = self.lock_rows(plan, locks, asked.lock.is_some(), scope.depth);
        let plan = self.bind_limit(plan, select, sort_keys, scope)?;
        let (items, ids) = self.project_entries(&plan, &entries[..visible], scope.depth);
        let output = entries[..visible]
            .iter()
            .zip(&ids)
            .map(|(entry, id)| (*id, self.describe(&entry.name, &entry.expr)))
            .collect();
        let mut query = Query { plan: project(plan, items), output };
        if asked.row_ids {
            self.add_row_ids(&mut query, &tables, scope.depth);
        }
        Ok(query)
    }

    /// VALUES as a query.
    fn bind_values_query(
        &mut self,
        rows: &[Vec<ast::Expr>],
        select: &ast::SelectStmt,
        scope: &Scope<'_>,
        resolve: bool,
    ) -> Result<Query> {
        if let Some(clause) = select.locking.first() {
            let message = format!("{} cannot be applied to VALUES", super::locking::clause_name(clause));
            return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message));
        }
        let bound =
            self.in_level(Clause::Values, scope.depth, |binder| binder.bind_value_rows(rows, scope))?;
        let width = bound.first().map_or(0, Vec::len);
        check_target_count(width)?;
        let mut columns: Vec<Vec<Expr>> = (0..bound.len()).map(|_| Vec::with_capacity(width)).collect();
        let mut ids = Vec::with_capacity(width);
        let mut output = Vec::with_capacity(width);
        for column in 0..width {
            let cells: Vec<(Expr, Pos)> = bound.iter().map(|row| row[column].clone()).collect();
            let all_unknown = cells.iter().all(|(cell, _)| cell.ty().oid == oids::UNKNOWN);
            let ty = if all_unknown && !resolve {
                SqlType::UNKNOWN
            } else {
                self.select_common_type(&cells, "VALUES")?
            };
            for (row, (cell, pos)) in columns.iter_mut().zip(cells) {
                let cell = if ty.oid == oids::UNKNOWN {
                    cell
                } else {
                    self.coerce_to_common(cell, ty, "VALUES", pos)?
                };
                row.push(cell);
            }
            let name: Arc<str> = Arc::from(format!("column{}", column + 1));
            ids.push(self.new_column(Arc::clone(&name), ty, scope.depth));
            output.push(OutputColumn { name, ty, origin: None });
        }
        let mut plan = Logical::Values { rows: columns, columns: ids.clone(), alias: "*VALUES*".into() };
        let output: Vec<(ColumnId, OutputColumn)> = ids.into_iter().zip(output).collect();
        let sort = self.bind_output_order(&select.order_by, &output, scope)?;
        plan = sort_plan(plan, sort.clone());
        plan = self.bind_limit(plan, select, sort, scope)?;
        Ok(Query { plan, output })
    }

    /// Rows of expressions, all of one length.
    pub(crate) fn bind_value_rows(
        &mut self,
        rows: &[Vec<ast::Expr>],
        scope: &Scope<'_>,
    ) -> Result<Vec<Vec<(Expr, Pos)>>> {
        let mut bound = Vec::with_capacity(rows.len());
        for row in rows {
            let cells = self.bind_expr_list(row, scope)?;
            if bound.first().is_some_and(|first: &Vec<(Expr, Pos)>| first.len() != cells.len()) {
                let error = Error::new(SqlState::SYNTAX_ERROR, "VALUES lists must all be the same length");
                let pos = row.first().map_or(Pos::NONE, ast::Expr::pos);
                return Err(self.at(error, pos));
            }
            bound.push(cells);
        }
        Ok(bound)
    }

    /// ORDER BY of a set operation or VALUES: only output names and positions.
    fn bind_output_order(
        &mut self,
        order_by: &[ast::SortItem],
        output: &[(ColumnId, OutputColumn)],
        scope: &Scope<'_>,
    ) -> Result<Vec<Ordering>> {
        if order_by.is_empty() {
            return Ok(Vec::new());
        }
        let entries: Vec<TargetEntry> = output
            .iter()
            .map(|(id, column)| TargetEntry {
                expr: Expr::Column { index: *id, ty: column.ty },
                name: Arc::clone(&column.name),
                pos: Pos::NONE,
            })
            .collect();
        let mut keys: Vec<Ordering> = Vec::with_capacity(order_by.len());
        for item in order_by {
            let index = match self.entry_named(&item.expr, "ORDER BY", &entries)? {
                Some(index) => Some(index),
                None => self.ordinal(&item.expr, "ORDER BY", entries.len())?,
            };
            let Some(index) = index else {
                // Complains about names that do not exist before it complains about expressions.
                let mut inner = scope.clone();
                inner.items = vec![super::scope::ScopeItem::visible(
                    None,
                    ItemColumns::Listed(
                        entries
                            .iter()
                            .map(|entry| super::scope::ItemColumn {
                                name: Arc::clone(&entry.name),
                                expr: entry.expr.clone(),
                            })
                            .collect(),
                    ),
                )];
                self.in_level(Clause::OrderBy, scope.depth, |binder| binder.bind_expr(&item.expr, &inner))?;
                let error = Error::new(
                    SqlState::FEATURE_NOT_SUPPORTED,
                    "invalid UNION/INTERSECT/EXCEPT ORDER BY clause",
                )
                .detail("Only result column names can be used, not expressions or functions.")
                .hint("Add the expression/function to every SELECT, or move the UNION into a FROM clause.");
                return Err(self.at(error, item.expr.pos()));
            };
            let key = self.sort_key(item, entries[index].expr.clone())?;
            if !keys.iter().any(|known| known.expr == key.expr) {
                keys.push(key);
            }
        }
        Ok(keys)
    }

    fn bind_set_operation(
        &mut self,
        operation: &ast::SetOperation,
        select: &ast::SelectStmt,
        scope: &Scope<'_>,
    ) -> Result<Query> {
        let Query { mut plan, output } = self.bind_set_tree(operation, scope)?;
        let sort = self.bind_output_order(&select.order_by, &output, scope)?;
        plan = sort_plan(plan, sort.clone());
        plan = self.bind_limit(plan, select, sort, scope)?;
        Ok(Query { plan, output })
    }

    /// One set operation, inner ones first; without ORDER BY and LIMIT.
    fn bind_set_tree(&mut self, operation: &ast::SetOperation, scope: &Scope<'_>) -> Result<Query> {
        stacker::maybe_grow(limits::STACK_RED_ZONE_BYTES, limits::STACK_GROWTH_BYTES, || {
            let left = self.bind_set_input(&operation.left, scope)?;
            if matches!(&operation.right.body, ast::SelectBody::Select(core) if core.into.is_some()) {
                let message = "INTO is only allowed on first SELECT of UNION/INTERSECT/EXCEPT";
                return Err(self.at(Error::new(SqlState::SYNTAX_ERROR, message), operation.right.pos));
            }
            let right = self.bind_set_input(&operation.right, scope)?;
            let word = match operation.op {
                ast::SetOp::Union => "UNION",
                ast::SetOp::Intersect => "INTERSECT",
                ast::SetOp::Except => "EXCEPT",
            };
            self.combine_sets(operation, word, left, right, scope)
        })
    }

    fn combine_sets(
        &mut self,
        operation: &ast::SetOperation,
        word: &str,
        mut left: Query,
        mut right: Query,
        scope: &Scope<'_>,
    ) -> Result<Query> {
        let right_pos = set_position(&operation.right);
        if left.output.len() != right.output.len() {
            let error = Error::new(
                SqlState::SYNTAX_ERROR,
                format!("each {word} query must have the same number of columns"),
            );
            return Err(self.at(error, right_pos));
        }
        let mut types = Vec::with_capacity(left.output.len());
        for ((a, left_column), (b, right_column)) in left.output.iter().zip(&right.output) {
            let pair = [
                (Expr::Column { index: *a, ty: left_column.ty }, set_position(&operation.left)),
                (Expr::Column { index: *b, ty: right_column.ty }, right_pos),
            ];
            let ty = self.select_common_type(&pair, word)?;
            if !(operation.op == ast::SetOp::Union && operation.all) {
                self.require_ordering(ty, true, right_pos)?;
            }
            types.push(ty);
        }
        self.coerce_output(
            &mut left,
            &types,
            word,
            set_position(&operation.left),
            CoercionContext::Implicit,
        )?;
        self.coerce_output(&mut right, &types, word, right_pos, CoercionContext::Implicit)?;
        let mut columns = Vec::with_capacity(types.len());
        let mut output = Vec::with_capacity(types.len());
        for ((_, column), ty) in left.output.iter().zip(types) {
            let id = self.new_column(Arc::clone(&column.name), ty, scope.depth);
            columns.push(id);
            output.push((id, OutputColumn { name: Arc::clone(&column.name), ty, origin: None }));
        }
        let ids = |query: &Query| query.output.iter().map(|(id, _)| *id).collect::<Vec<_>>();
        let (left_ids, right_ids) = (ids(&left), ids(&right));
        let inputs = match (operation.op, operation.all, left.plan) {
            // A chain of UNION ALL is one Append.
            (ast::SetOp::Union, true, Logical::Append(inner)) if inner.columns == left_ids => {
                let mut inputs = inner.inputs;
                inputs.push((right.plan, right_ids));
                inputs
            }
            (_, _, plan) => vec![(plan, left_ids), (right.plan, right_ids)],
        };
        let inputs = Box::new(SetInputs { columns: columns.clone(), inputs, set: None });
        let plan = match (operation.op, operation.all) {
            (ast::SetOp::Union, true) => Logical::Append(inputs),
            (ast::SetOp::Union, false) => {
                Logical::Distinct { input: Box::new(Logical::Append(inputs)), columns }
            }
            (ast::SetOp::Intersect, true) => Logical::SetOp(SetOpKind::IntersectAll, inputs),
            (ast::SetOp::Intersect, false) => Logical::SetOp(SetOpKind::Intersect, inputs),
            (ast::SetOp::Except, true) => Logical::SetOp(SetOpKind::ExceptAll, inputs),
            (ast::SetOp::Except, false) => Logical::SetOp(SetOpKind::Except, inputs),
        };
        Ok(Query { plan, output })
    }

    fn bind_set_input(&mut self, select: &ast::SelectStmt, scope: &Scope<'_>) -> Result<Query> {
        if let ast::SelectBody::SetOp(inner) = &select.body
            && select.with.is_none()
            && select.order_by.is_empty()
            && select.limit.is_none()
            && select.locking.is_empty()
        {
            return self.bind_set_tree(inner, scope);
        }
        let mut inner = scope.sibling();
        inner.depth = scope.depth + 1;
        self.bind_query_with(select, &inner, false)
    }

    /// Converts a query's output columns to types.
    pub(crate) fn coerce_output(
        &mut self,
        query: &mut Query,
        types: &[SqlType],
        what: &str,
        pos: Pos,
        context: CoercionContext,
    ) -> Result<()> {
        let mut items: Vec<(ColumnId, Expr)> = Vec::with_capacity(types.len());
        let mut changed = false;
        for ((id, column), ty) in query.output.iter_mut().zip(types) {
            if column.ty.oid == oids::UNKNOWN && self.retype_literal(&mut query.plan, *id, *ty, pos)? {
                column.ty = *ty;
                items.push((*id, Expr::Column { index: *id, ty: *ty }));
                continue;
            }
            let expr = Expr::Column { index: *id, ty: column.ty };
            if column.ty == *ty {
                items.push((*id, expr));
                continue;
            }
            let source = column.ty;
            let coerced = match self.coerce_to(expr, *ty, context, pos)? {
                Some(coerced) => coerced,
                None => {
                    let error = Error::new(
                        SqlState::CANNOT_COERCE,
                        format!(
                            "{what} could not convert type {} to {}",
                            self.type_text(source),
                            self.type_text(*ty)
                        ),
                    );
                    return Err(self.at(error, pos));
                }
            };
            if let Expr::Column { index, .. } = coerced {
                items.push((index, coerced));
                continue;
            }
            changed = true;
            let depth = self.columns[*id].depth;
            let new = self.new_column(Arc::clone(&column.name), coerced.ty(), depth);
            column.ty = coerced.ty();
            column.origin = None;
            *id = new;
            items.push((new, coerced));
        }
        if changed {
            let input = std::mem::replace(&mut query.plan, Logical::Dummy { row: false });
            let mut seen: Vec<ColumnId> = Vec::new();
            items.retain(|(id, _)| {
                let first = !seen.contains(id);
                seen.push(*id);
                first
            });
            query.plan = Logical::Project { input: Box::new(input), items };
        }
        Ok(())
    }

    /// Gives a type to an output column that is a literal or parameter of unknown type, where the plan computes it.
    fn retype_literal(&mut self, plan: &mut Logical, id: ColumnId, ty: SqlType, pos: Pos) -> Result<bool> {
        match plan {
            Logical::Project { items, .. } => {
                let Some((_, expr)) = items.iter_mut().find(|(known, _)| *known == id) else {
                    return Ok(false);
                };
                if expr.ty().oid != oids::UNKNOWN
                    || !matches!(expr, Expr::Constant { .. } | Expr::Parameter { .. })
                {
                    return Ok(false);
                }
                let taken = std::mem::replace(expr, Expr::null(SqlType::TEXT));
                let Some(coerced) = self.coerce_to(taken, ty, CoercionContext::Implicit, pos)? else {
                    return Ok(false);
                };
                *expr = coerced;
            }
            Logical::Values { rows, columns, .. } => {
                let Some(position) = columns.iter().position(|known| *known == id) else { return Ok(false) };
                for row in rows {
                    let taken = std::mem::replace(&mut row[position], Expr::null(SqlType::TEXT));
                    if let Some(coerced) = self.coerce_to(taken, ty, CoercionContext::Implicit, pos)? {
                        row[position] = coerced;
                    }
                }
            }
            Logical::Limit { input, .. } => return self.retype_literal(input, id, ty, pos),
            _ => return Ok(false),
        }
        self.columns[id].ty = ty;
        Ok(true)
    }
}

/// The entries that a query shows, by position: the visible ones, and as many from the end.
fn shown(entries: usize, visible: usize, tail: usize) -> impl Iterator<Item = usize> {
    (0..visible).chain(entries - tail..entries)
}

/// What DISTINCT says.
enum DistinctClause {
    All,
    Distinct,
    On(Vec<usize>),
}

/// A filter, if there is anything to filter by.
pub(crate) fn filter(plan: Logical, predicates: Vec<Expr>) -> Logical {
    if predicates.is_empty() { plan } else { Logical::Filter { input: Box::new(plan), predicates } }
}

/// A sort, if there are keys.
pub(crate) fn sort_plan(plan: Logical, keys: Vec<Ordering>) -> Logical {
    if keys.is_empty() { plan } else { Logical::Sort { input: Box::new(plan), keys } }
}

/// A projection.
fn project(plan: Logical, items: Vec<(ColumnId, Expr)>) -> Logical {
    Logical::Project { input: Box::new(plan), items }
}

/// Sets of a select list; those whose arguments are sets themselves come in a later step.
pub(crate) fn project_sets(mut plan: Logical, mut sets: Vec<(ColumnId, SetItem)>) -> Logical {
    while !sets.is_empty() {
        let pending: Vec<ColumnId> = sets.iter().map(|(id, _)| *id).collect();
        let ready = |item: &SetItem| match item {
            SetItem::Set { args, .. } => {
                !args.iter().any(|arg| arg.columns().iter().any(|id| pending.contains(id)))
            }
            SetItem::Scalar(_) => true,
        };
        let (now, later): (Vec<_>, Vec<_>) = sets.into_iter().partition(|(_, item)| ready(item));
        if now.is_empty() {
            break;
        }
        plan = Logical::ProjectSet { input: Box::new(plan), items: now };
        sets = later;
    }
    plan
}

/// Every condition that each row of a plan satisfies by its filters and inner joins.
pub(crate) fn collect_predicates(plan: &Logical, found: &mut Vec<Expr>) {
    match plan {
        Logical::Filter { input, predicates } => {
            found.extend(predicates.iter().cloned());
            collect_predicates(input, found);
        }
        Logical::Join(join) if join.kind == crate::logical::JoinKind::Inner => {
            found.extend(join.on.iter().cloned());
            collect_predicates(&join.left, found);
            collect_predicates(&join.right, found);
        }
        _ => {}
    }
}

/// Where an error about an input of a set operation points: its first target.
fn set_position(select: &ast::SelectStmt) -> Pos {
    match &select.body {
        ast::SelectBody::Select(core) => core.targets.first().map_or(select.pos, |target| target.expr.pos()),
        ast::SelectBody::Values(rows) => {
            rows.first().and_then(|row| row.first()).map_or(select.pos, ast::Expr::pos)
        }
        ast::SelectBody::SetOp(inner) => set_position(&inner.left),
    }
}

/// Whether a query's FROM reads the rows of the last round of a recursive query, by itself.
fn reads_work_table(plan: &Logical) -> bool {
    match plan {
        Logical::WorkTable { .. } => true,
        Logical::Join(join) => reads_work_table(&join.left) || reads_work_table(&join.right),
        Logical::Filter { input, .. } => reads_work_table(input),
        _ => false,
    }
}
