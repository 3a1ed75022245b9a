//! GROUP BY, HAVING, aggregates: the rule that whatever is not aggregated must be grouped by.

use ochre_base::{Error, Result, SqlState, limits};
use ochre_catalog::ConstraintKind;
use ochre_expr::Expr;
use ochre_parser::ast::{self, Pos};
use ochre_types::{Datum, SqlType};

use super::Binder;
use super::level::{GroupingCall, Level};
use super::scope::{ItemColumns, Scope};
use super::select::filter;
use super::set_keys::with_sets;
use super::target::TargetEntry;
use crate::logical::{ColumnId, Grouping, Logical, LogicalBody, LogicalCte, SetItem, WindowExpr};
use crate::physical::ScanColumn;

/// PostgreSQL's limit on the sets of one query.
const MAX_GROUPING_SETS: usize = 4096;

/// GROUP BY, bound.
#[derive(Debug, Default)]
pub(crate) struct GroupClause {
    /// The keys.
    pub keys: Vec<Expr>,
    /// Positions of keys for each grouping set; `None` without grouping sets.
    pub sets: Option<Vec<Vec<usize>>>,
}

impl Binder<'_> {
    /// Binds GROUP BY.
    pub(crate) fn bind_group_by(
        &mut self,
        core: &ast::SelectCore,
        entries: &[TargetEntry],
        visible: usize,
        scope: &Scope<'_>,
    ) -> Result<Option<GroupClause>> {
        if core.group_by.is_empty() {
            return Ok(None);
        }
        let mut clause = GroupClause::default();
        let plain = core.group_by.iter().all(|item| matches!(item, ast::GroupItem::Expr(_)));
        let mut product: Vec<Vec<usize>> = vec![Vec::new()];
        for item in &core.group_by {
            let sets = self.bind_group_item(item, &mut clause, entries, visible, scope)?;
            let mut next = Vec::with_capacity(product.len() * sets.len());
            for left in &product {
                for right in &sets {
                    let mut set = left.clone();
                    for key in right {
                        if !set.contains(key) {
                            set.push(*key);
                        }
                    }
                    next.push(set);
                }
            }
            if next.len() > MAX_GROUPING_SETS {
                return Err(Error::new(
                    SqlState::STATEMENT_TOO_COMPLEX,
                    format!("too many grouping sets present (maximum {MAX_GROUPING_SETS})"),
                ));
            }
            product = next;
        }
        if !plain {
            if core.group_distinct {
                let mut seen: Vec<Vec<usize>> = Vec::new();
                product.retain(|set| {
                    let mut sorted = set.clone();
                    sorted.sort_unstable();
                    let first = !seen.contains(&sorted);
                    seen.push(sorted);
                    first
                });
            }
            clause.sets = Some(product);
        }
        Ok(Some(clause))
    }

    /// The sets that one item stands for.
    fn bind_group_item(
        &mut self,
        item: &ast::GroupItem,
        clause: &mut GroupClause,
        entries: &[TargetEntry],
        visible: usize,
        scope: &Scope<'_>,
    ) -> Result<Vec<Vec<usize>>> {
        match item {
            ast::GroupItem::Expr(ast::Expr::Row(row)) if !row.explicit => {
                let mut set = Vec::with_capacity(row.args.len());
                for expr in &row.args {
                    set.push(self.bind_group_key(expr, clause, entries, visible, scope)?);
                }
                Ok(vec![set])
            }
            ast::GroupItem::Expr(expr) => {
                Ok(vec![vec![self.bind_group_key(expr, clause, entries, visible, scope)?]])
            }
            ast::GroupItem::Empty(_) => Ok(vec![Vec::new()]),
            ast::GroupItem::Rollup(exprs, _) => {
                let parts = self.bind_group_parts(exprs, clause, entries, visible, scope)?;
                Ok((0..=parts.len()).rev().map(|n| parts[..n].concat()).collect())
            }
            ast::GroupItem::Cube(exprs, pos) => {
                let parts = self.bind_group_parts(exprs, clause, entries, visible, scope)?;
                if parts.len() > 12 {
                    let error = Error::new(SqlState::TOO_MANY_COLUMNS, "CUBE is limited to 12 elements");
                    return Err(self.at(error, *pos));
                }
                let all = 1usize << parts.len();
                let subset = |mask: usize| {
                    let chosen =
                        parts.iter().enumerate().filter(|(i, _)| mask & (1 << (parts.len() - 1 - i)) != 0);
                    chosen.flat_map(|(_, part)| part.iter().copied()).collect()
                };
                Ok((0..all).rev().map(subset).collect())
            }
            ast::GroupItem::Sets(items, _) => {
                let mut sets = Vec::new();
                for item in items {
                    sets.extend(self.bind_group_item(item, clause, entries, visible, scope)?);
                }
                Ok(sets)
            }
        }
    }

    fn bind_group_parts(
        &mut self,
        exprs: &[ast::Expr],
        clause: &mut GroupClause,
        entries: &[TargetEntry],
        visible: usize,
        scope: &Scope<'_>,
    ) -> Result<Vec<Vec<usize>>> {
        let mut parts = Vec::with_capacity(exprs.len());
        for expr in exprs {
            let list = match expr {
                ast::Expr::Row(row) if !row.explicit => row.args.as_slice(),
                single => std::slice::from_ref(single),
            };
            let mut part = Vec::with_capacity(list.len());
            for expr in list {
                part.push(self.bind_group_key(expr, clause, entries, visible, scope)?);
            }
            parts.push(part);
        }
        Ok(parts)
    }

    /// One key: a column, then an output name, a position, or an expression.
    fn bind_group_key(
        &mut self,
        expr: &ast::Expr,
        clause: &mut GroupClause,
        entries: &[TargetEntry],
        visible: usize,
        scope: &Scope<'_>,
    ) -> Result<usize> {
        let bound = if let Some(index) = self.ordinal(expr, "GROUP BY", visible)? {
            self.check_group_entry(&entries[index])?;
            entries[index].expr.clone()
        } else {
            let is_input = match expr {
                ast::Expr::Column(column) if !column.star && column.parts.len() == 1 => {
                    let name = column.parts[0].as_str();
                    scope.items.iter().any(|item| {
                        item.columns_visible
                            && match &item.columns {
                                ItemColumns::Table(table) => {
                                    self.tables[*table].table.column_named(name).is_some()
                                }
                                ItemColumns::Listed(columns) => {
                                    columns.iter().any(|column| &*column.name == name)
                                }
                            }
                    })
                }
                _ => true,
            };
            let named =
                if is_input { None } else { self.entry_named(expr, "GROUP BY", &entries[..visible])? };
            match named {
                Some(index) => {
                    self.check_group_entry(&entries[index])?;
                    entries[index].expr.clone()
                }
                None => {
                    let bound = self.bind_expr(expr, scope)?;
                    self.resolve_unknown(bound, expr.pos())?
                }
            }
        };
        self.require_ordering(bound.ty(), true, expr.pos())?;
        match clause.keys.iter().position(|key| *key == bound) {
            Some(index) => Ok(index),
            None => {
                clause.keys.push(bound);
                Ok(clause.keys.len() - 1)
            }
        }
    }

    fn check_group_entry(&mut self, entry: &TargetEntry) -> Result<()> {
        let level = self.level()?;
        let ids = with_sets(entry.expr.columns(), level);
        if level.aggregates.iter().any(|(id, _)| ids.contains(id)) {
            let error =
                Error::new(SqlState::GROUPING_ERROR, "aggregate functions are not allowed in GROUP BY");
            return Err(self.at(error, entry.pos));
        }
        if level.windows.iter().flat_map(|(_, calls)| calls).any(|(id, _)| ids.contains(id)) {
            let error = Error::new(SqlState::WINDOWING_ERROR, "window functions are not allowed in GROUP BY");
            return Err(self.at(error, entry.pos));
        }
        Ok(())
    }

    /// Puts the grouping into the plan and makes every later expression read its output.
    pub(crate) fn build_grouping(
        &mut self,
        plan: Logical,
        mut clause: GroupClause,
        having: Vec<Expr>,
        mut exprs: Vec<&mut Expr>,
        level: &mut Level,
        scope: &Scope<'_>,
    ) -> Result<Logical> {
        let plan = match level.sets.is_empty() {
            true => plan,
            false => self.expand_key_sets(plan, &clause.keys, &mut exprs, level, scope),
        };
        let mut keys: Vec<(ColumnId, Expr)> = Vec::with_capacity(clause.keys.len());
        for key in std::mem::take(&mut clause.keys) {
            let id = match &key {
                Expr::Column { index, .. } => *index,
                other => self.new_column("group key", other.ty(), scope.depth),
            };
            keys.push((id, key));
        }
        let set_id =
            clause.sets.as_ref().map(|_| self.new_column("grouping set", SqlType::INT4, scope.depth));
        let outward: Vec<ColumnId> =
            level.groupings.iter().filter(|call| call.from_subquery).map(|call| call.id).collect();
        let groupings = self.resolve_groupings(level, &keys, clause.sets.as_deref(), set_id)?;
        // What subqueries read is to be a column of the plan.
        let (computed, groupings): (Vec<_>, Vec<_>) =
            groupings.into_iter().partition(|(id, _)| outward.contains(id));

        let mut made: Vec<ColumnId> = level.aggregates.iter().map(|(id, _)| *id).collect();
        made.extend(level.windows_ids());
        made.extend(level.sets.iter().map(|(id, _)| *id));
        made.extend(set_id);
        made.extend(&outward);
        let mentions = std::mem::take(&mut level.mentions);
        let mut aggregates = std::mem::take(&mut level.aggregates);
        let mut direct = std::mem::take(&mut level.direct_args);
        if clause.sets.is_some() && direct.iter().any(|expr| !expr.columns().is_empty()) {
            return Err(Error::unsupported("a group key as argument of a hypothetical-set aggregate"));
        }
        let mut having = having;
        let mut later: Vec<&mut Expr> = exprs;
        if clause.sets.is_some() {
            // A constant that is a key reads as null in the rows of sets without it.
            for expr in &mut later {
                let key = keys.iter().find(|(_, key)| matches!(key, Expr::Constant { .. }) && *key == **expr);
                if let Some((id, key)) = key {
                    **expr = Expr::Column { index: *id, ty: key.ty() };
                }
            }
        }
        later.extend(having.iter_mut());
        for (definition, calls) in &mut level.windows {
            later.extend(definition.partition.iter_mut());
            later.extend(definition.order.iter_mut().map(|key| &mut key.expr));
            for (_, call) in calls {
                match call {
                    WindowExpr::Function { args, .. } => later.extend(args.iter_mut()),
                    WindowExpr::Aggregate(aggregate) => {
                        later.extend(aggregate.args.iter_mut());
                        later.extend(aggregate.order_by.iter_mut().map(|key| &mut key.expr));
                        later.extend(aggregate.filter.iter_mut());
                    }
                }
            }
        }
        for (_, item) in &mut level.sets {
            if let SetItem::Set { args, .. } = item {
                later.extend(args.iter_mut());
            }
        }
        // From here on, what is not grouped by is in direct arguments.
        let others = later.len();
        later.extend(direct.iter_mut());
        later.extend(aggregates.iter_mut().flat_map(|(_, aggregate)| &mut aggregate.direct_args));
        // Keys that every set has decide as much as those of a plain GROUP BY.
        let common: Vec<(ColumnId, Expr)> = match &clause.sets {
            None => keys.clone(),
            Some(sets) => {
                let everywhere = |position: &usize| sets.iter().all(|set| set.contains(position));
                (0..keys.len()).filter(everywhere).map(|position| keys[position].clone()).collect()
            }
        };
        let mut extra: Vec<(ColumnId, Expr)> = Vec::new();
        // What the subqueries mention that are left once keys are replaced.
        let mut from_subqueries: Vec<ColumnId> = Vec::new();
        for (number, expr) in later.into_iter().enumerate() {
            replace_keys(expr, &keys, &groupings);
            self.subquery_mentions(expr, &mut from_subqueries);
            for id in expr.columns() {
                if self.columns[id].depth < scope.depth
                    || made.contains(&id)
                    || keys.iter().chain(&extra).any(|(known, _)| *known == id)
                {
                    continue;
                }
                if self.depends_on_keys(id, &common, scope) {
                    extra.push((id, self.column_expr(id)));
                    continue;
                }
                let error = self.ungrouped(id, &mentions, scope);
                return Err(match number < others {
                    true => error,
                    false => error.detail(
                        "Direct arguments of an ordered-set aggregate must use only grouped columns.",
                    ),
                });
            }
        }
        // Subqueries read plain key columns only.
        for (id, pos, in_subquery) in &mentions {
            if !*in_subquery
                || !from_subqueries.contains(id)
                || self.columns[*id].depth < scope.depth
                || keys.iter().chain(&extra).any(|(known, _)| known == id)
                || made.contains(id)
            {
                continue;
            }
            if self.depends_on_keys(*id, &common, scope) {
                extra.push((*id, self.column_expr(*id)));
                continue;
            }
            let error = Error::new(
                SqlState::GROUPING_ERROR,
                format!("subquery uses ungrouped column \"{}\" from outer query", self.qualified(*id, scope)),
            );
            return Err(self.at(error, *pos));
        }
        if let Some(sets) = &mut clause.sets {
            let added = keys.len()..keys.len() + extra.len();
            sets.iter_mut().for_each(|set| set.extend(added.clone()));
        }
        keys.extend(extra);
        level.mentions = mentions;
        let passed = keys.iter().map(|(id, _)| *id).chain(aggregates.iter().map(|(id, _)| *id)).chain(set_id);
        let mut items = computed;
        if !items.is_empty() {
            items.extend(passed.map(|id| (id, self.column_expr(id))));
        }
        let grouping = Grouping { input: plan, keys, aggregates, sets: clause.sets.zip(set_id) };
        let mut plan = Logical::Aggregate(Box::new(grouping));
        if !items.is_empty() {
            plan = Logical::Project { input: Box::new(plan), items };
        }
        Ok(filter(plan, having))
    }

    /// Adds every id that the subqueries of an expression mention.
    pub(crate) fn subquery_mentions(&self, expr: &Expr, found: &mut Vec<ColumnId>) {
        let _ = expr.walk(&mut |node| {
            if let Expr::SubPlan { plan, .. } = node
                && let Some(Some(subquery)) = self.subqueries.get(*plan)
            {
                self.plan_mentions(&subquery.query.plan, found);
            }
            std::ops::ControlFlow::<()>::Continue(())
        });
    }

    fn plan_mentions(&self, plan: &Logical, found: &mut Vec<ColumnId>) {
        if let Logical::CteScan { cte, .. } = plan
            && let Some(Some(LogicalCte { body: LogicalBody::Query(query), .. })) = self.ctes.get(*cte)
        {
            self.plan_mentions(&query.plan, found);
        }
        crate::walk::each_expr(plan, &mut |expr| {
            found.extend(expr.columns());
            self.subquery_mentions(expr, found);
        });
        for input in crate::walk::inputs(plan) {
            self.plan_mentions(input, found);
        }
    }

    /// What each GROUPING call is: a CASE over the number of the set.
    fn resolve_groupings(
        &mut self,
        level: &mut Level,
        keys: &[(ColumnId, Expr)],
        sets: Option<&[Vec<usize>]>,
        set_id: Option<ColumnId>,
    ) -> Result<Vec<(ColumnId, Expr)>> {
        let mut resolved = Vec::new();
        for GroupingCall { id, args, pos, .. } in std::mem::take(&mut level.groupings) {
            let mut positions = Vec::with_capacity(args.len());
            for arg in &args {
                match keys.iter().position(|(_, key)| key == arg) {
                    Some(position) => positions.push(position),
                    None => {
                        let error = Error::new(
                            SqlState::GROUPING_ERROR,
                            "arguments to GROUPING must be grouping expressions of the associated query level",
                        );
                        return Err(self.at(error, pos));
                    }
                }
            }
            let int = |value: i32| Expr::constant(Datum::Int32(value), SqlType::INT4);
            let expr = match (sets, set_id) {
                (Some(sets), Some(set_id)) => {
                    let number = self.column_expr(set_id);
                    let mut branches = Vec::with_capacity(sets.len());
                    for (n, set) in sets.iter().enumerate() {
                        let mask =
                            positions.iter().fold(0, |mask, key| (mask << 1) | i32::from(!set.contains(key)));
                        let n = i32::try_from(n).unwrap_or(i32::MAX);
                        let op = ast::Operator::plain(ast::Name::from_static("="));
                        let test = self.bind_operator(&op, Some(number.clone()), int(n), pos)?;
                        branches.push((test, int(mask)));
                    }
                    Expr::Case { operand: None, branches, otherwise: None, ty: SqlType::INT4 }
                }
                _ => int(0),
            };
            resolved.push((id, expr));
        }
        Ok(resolved)
    }

    /// Whether a column is decided by the keys because they hold its table's primary key. A column of a sub-query is not: what
    /// comes out of it need not have the table's rows once.
    fn depends_on_keys(&self, id: ColumnId, keys: &[(ColumnId, Expr)], scope: &Scope<'_>) -> bool {
        let Some(table) = self.columns[id].table else { return false };
        if !scope.items.iter().any(|item| item.table == Some(table)) {
            return false;
        }
        let used = &self.tables[table];
        let primary =
            used.table.constraints.iter().find(|constraint| constraint.kind == ConstraintKind::PrimaryKey);
        let columns: Vec<i16> = match primary {
            Some(constraint) => constraint.columns.clone(),
            None => return false,
        };
        columns.iter().all(|number| {
            let position = usize::try_from(*number - 1).unwrap_or(usize::MAX);
            let known = used.columns.iter().find(|(column, _)| *column == ScanColumn::Table(position));
            known.is_some_and(|(_, id)| {
                keys.iter().any(|(key, expr)| key == id && matches!(expr, Expr::Column { .. }))
            })
        })
    }

    fn ungrouped(&self, id: ColumnId, mentions: &[(ColumnId, Pos, bool)], scope: &Scope<'_>) -> Error {
        let error = Error::new(
            SqlState::GROUPING_ERROR,
            format!(
                "column \"{}\" must appear in the GROUP BY clause or be used in an aggregate function",
                self.qualified(id, scope)
            ),
        );
        let pos = mentions.iter().find(|(known, ..)| *known == id).map_or(Pos::NONE, |(_, pos, _)| *pos);
        self.at(error, pos)
    }

    /// A column's name as this query sees it.
    fn qualified(&self, id: ColumnId, scope: &Scope<'_>) -> String {
        for item in &scope.items {
            let Some(alias) = &item.alias else { continue };
            match &item.columns {
                ItemColumns::Table(table) => {
                    if self.columns[id].table == Some(*table) {
                        return format!("{alias}.{}", self.columns[id].name);
                    }
                }
                ItemColumns::Listed(columns) => {
                    let found = columns
                        .iter()
                        .find(|column| matches!(column.expr, Expr::Column { index, .. } if index == id));
                    if let Some(column) = found {
                        return format!("{alias}.{}", column.name);
                    }
                }
            }
        }
        self.columns[id].name.to_string()
    }
}

impl Level {
    /// Stands in for a level while its parts are being taken apart.
    pub(crate) fn placeholder(depth: u32) -> Level {
        Level::new(super::level::Clause::Select, depth)
    }

    fn windows_ids(&self) -> impl Iterator<Item = ColumnId> + '_ {
        self.windows.iter().flat_map(|(_, calls)| calls.iter().map(|(id, _)| *id))
    }
}

/// Replaces whatever equals a key by the key's column, outermost matches first.
fn replace_keys(expr: &mut Expr, keys: &[(ColumnId, Expr)], groupings: &[(ColumnId, Expr)]) {
    stacker::maybe_grow(limits::STACK_RED_ZONE_BYTES, limits::STACK_GROWTH_BYTES, || {
        if let Expr::Column { index, .. } = expr {
            if let Some((_, value)) = groupings.iter().find(|(id, _)| id == index) {
                *expr = value.clone();
            }
            return;
        }
        if !matches!(expr, Expr::Constant { .. })
            && let Some((id, key)) = keys.iter().find(|(_, key)| key == expr)
        {
            *expr = Expr::Column { index: *id, ty: key.ty() };
            return;
        }
        for child in expr.children_mut() {
            replace_keys(child, keys, groupings);
        }
    });
}
