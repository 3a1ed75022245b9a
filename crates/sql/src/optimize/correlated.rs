//! What a sub-query asks of the rows around it, taken off it: then it can be evaluated by itself, and what it asked is the condition
//! of a join.
//!
//! # How
//! Conditions of a sub-query's WHERE clause go to the join as they are ([`super::unnest::pull_filters`]). Where rows are grouped,
//! made distinct, or the first of them taken, that happens for each outer row by itself: only equalities may be taken off then,
//! and their inner sides become keys of the group, so that all outer rows are served at once. Groups of other keys than any
//! outer row asks for are made as well, so nothing of them may fail ([`super::never_fails`]).

use ochre_expr::Expr;
use ochre_types::{Datum, SqlType};

use super::never_fails::{is_plain, never_fails, plan_never_fails};
use super::outer_join::{null_ids, strict_ids};
use super::unnest::{has_subplan, is_outer_condition, pass_through, pull_filters};
use crate::idset::IdSet;
use crate::logical::{ColumnId, ColumnInfo, Grouping, Logical, LogicalStatement, Ordering};
use crate::plan::{Operation, comparison_of};
use crate::walk::{Parts, free_columns, produced};

/// A plan without the projections and filters at its top.
pub(super) struct Top {
    /// The columns that come out, over those of `base`.
    pub items: Vec<(ColumnId, Expr)>,
    /// What rows of `base` must satisfy.
    pub conditions: Vec<Expr>,
    pub base: Logical,
}

impl Top {
    /// Takes a plan apart.
    pub fn of(plan: Logical, statement: &LogicalStatement) -> Top {
        let ids = produced(&plan, &statement.tables);
        let column = |id: ColumnId| (id, Expr::Column { index: id, ty: statement.columns[id].ty });
        let mut top = Top { items: ids.iter().map(column).collect(), conditions: Vec::new(), base: plan };
        loop {
            match top.base {
                Logical::Filter { input, predicates } => {
                    top.conditions.extend(predicates);
                    top.base = *input;
                }
                Logical::Project { input, items } => {
                    top.items.iter_mut().for_each(|(_, expr)| substitute(expr, &items));
                    top.conditions.iter_mut().for_each(|expr| substitute(expr, &items));
                    top.base = *input;
                }
                base => {
                    top.base = base;
                    return top;
                }
            }
        }
    }

    /// The value of a column that comes out.
    pub fn item(&self, id: ColumnId) -> Option<&Expr> {
        self.items.iter().find(|(known, _)| *known == id).map(|(_, expr)| expr)
    }

    /// The rows that its items are computed of.
    pub fn rows(&mut self) -> Logical {
        let base = std::mem::replace(&mut self.base, Logical::Dummy { row: false });
        filtered(base, std::mem::take(&mut self.conditions))
    }
}

/// Puts values in the places of columns.
pub(super) fn substitute(expr: &mut Expr, values: &[(ColumnId, Expr)]) {
    expr.transform_in_place(&mut |node| match node {
        Expr::Column { index, ty } => match values.iter().find(|(id, _)| *id == index) {
            Some((_, value)) => value.clone(),
            None => Expr::Column { index, ty },
        },
        other => other,
    });
}

/// A plan with conditions on its rows.
pub(super) fn filtered(plan: Logical, predicates: Vec<Expr>) -> Logical {
    match predicates.is_empty() {
        true => plan,
        false => Logical::Filter { input: Box::new(plan), predicates },
    }
}

/// Takes what a plan asks of outer rows off it: what is left, and the condition of the join. `None`: it mentions outer columns
/// otherwise, or may fail for rows that nobody asks for.
pub(super) fn detach(
    plan: Logical,
    outer: &IdSet,
    statement: &mut LogicalStatement,
) -> Option<(Logical, Vec<Expr>)> {
    let (plan, on) = detach_from(plan, outer, statement)?;
    let parts = parts_of(statement);
    (!on.is_empty() && !free_columns(&plan, parts).intersects(outer)).then_some((plan, on))
}

fn detach_from(
    plan: Logical,
    outer: &IdSet,
    statement: &mut LogicalStatement,
) -> Option<(Logical, Vec<Expr>)> {
    match plan {
        Logical::Filter { input, predicates } if makes_groups(&input) => {
            let (input, mut on) = detach_from(*input, outer, statement)?;
            let asks = is_outer_condition(outer, parts_of(statement));
            let (asked, stay): (Vec<_>, Vec<_>) =
                predicates.into_iter().partition(|predicate| asks(predicate));
            on.extend(asked);
            safe(filtered(input, stay), on, statement)
        }
        Logical::Aggregate(grouping) if grouping.sets.is_none() && !grouping.keys.is_empty() => {
            detach_groups(grouping, outer, statement)
        }
        Logical::Distinct { mut input, mut columns } => {
            let (keys, on) = take_column_keys(&mut input, outer, statement)?;
            let made = produced(&input, &statement.tables);
            columns.extend(keys.into_iter().filter(|id| !columns.contains(id)).collect::<Vec<_>>());
            if !columns.iter().all(|id| made.contains(*id)) {
                return None;
            }
            safe(Logical::Distinct { input, columns }, on, statement)
        }
        Logical::DistinctOn { mut input, on: mut columns, sort } => {
            let (keys, on) = take_column_keys(&mut input, outer, statement)?;
            let sort = sorted_by_keys(&keys, sort, statement);
            columns.extend(keys.into_iter().filter(|id| !columns.contains(id)).collect::<Vec<_>>());
            safe(Logical::DistinctOn { input, on: columns, sort }, on, statement)
        }
        Logical::Limit { input, limit: Some(Expr::Constant { value, .. }), offset: None, ties: None }
            if value.as_i64() == Some(1) =>
        {
            let FirstOf { mut rows, order, projections } = FirstOf::of(*input)?;
            let (keys, on) = take_column_keys(&mut rows, outer, statement)?;
            let sort = sorted_by_keys(&keys, order, statement);
            let mut plan = Logical::DistinctOn { input: Box::new(rows), on: keys.clone(), sort };
            for items in projections.into_iter().rev() {
                plan = Logical::Project { input: Box::new(plan), items };
            }
            for id in keys {
                if !produced(&plan, &statement.tables).contains(id)
                    && !pass_through(&mut plan, id, &statement.tables)
                {
                    return None;
                }
            }
            safe(plan, on, statement)
        }
        mut plan => {
            let mut on = Vec::new();
            pull_filters(&mut plan, &mut on, &is_outer_condition(outer, parts_of(statement)));
            hand_on(&mut plan, &on, outer, statement)?;
            Some((plan, on))
        }
    }
}

fn detach_groups(
    mut grouping: Box<Grouping>,
    outer: &IdSet,
    statement: &mut LogicalStatement,
) -> Option<(Logical, Vec<Expr>)> {
    let (keys, on) = take_keys(&mut grouping.input, outer, statement)?;
    for (id, key) in keys {
        if !grouping.keys.iter().any(|(known, _)| *known == id) {
            grouping.keys.push((id, key));
        }
    }
    safe(Logical::Aggregate(grouping), on, statement)
}

/// As [`detach`], of aggregates of all rows, which have a result though there are none: it has no row then.
pub(super) fn detach_aggregates(
    grouping: Box<Grouping>,
    outer: &IdSet,
    statement: &mut LogicalStatement,
) -> Option<(Logical, Vec<Expr>)> {
    let (plan, on) = detach_groups(grouping, outer, statement)?;
    (!free_columns(&plan, parts_of(statement)).intersects(outer)).then_some((plan, on))
}

/// Whether an operator looks at all rows that come for an outer row.
pub(super) fn makes_groups(plan: &Logical) -> bool {
    match plan {
        Logical::Aggregate(_)
        | Logical::Distinct { .. }
        | Logical::DistinctOn { .. }
        | Logical::Limit { .. } => true,
        Logical::Filter { input, .. } => makes_groups(input),
        _ => false,
    }
}

fn parts_of(statement: &LogicalStatement) -> Parts<'_> {
    Parts { tables: &statement.tables, subqueries: &statement.subqueries, ctes: &statement.ctes }
}

/// What is computed of groups that nobody asks for must not fail.
fn safe(plan: Logical, on: Vec<Expr>, statement: &LogicalStatement) -> Option<(Logical, Vec<Expr>)> {
    (plan_never_fails(&plan, &statement.ctes) && on.iter().all(never_fails)).then_some((plan, on))
}

/// What LIMIT 1 takes the first of.
struct FirstOf {
    rows: Logical,
    order: Vec<Ordering>,
    /// What is computed of the first row, from the top.
    projections: Vec<Vec<(ColumnId, Expr)>>,
}

impl FirstOf {
    fn of(plan: Logical) -> Option<FirstOf> {
        let mut first = FirstOf { rows: plan, order: Vec::new(), projections: Vec::new() };
        loop {
            match first.rows {
                Logical::Project { input, items } => {
                    first.projections.push(items);
                    first.rows = *input;
                }
                Logical::Sort { input, keys } => return Some(FirstOf { rows: *input, order: keys, ..first }),
                // It may be another operator's order that counts.
                Logical::Get(_) | Logical::Join(_) | Logical::Aggregate(_) => return Some(first),
                Logical::Filter { ref input, .. }
                    if matches!(**input, Logical::Get(_) | Logical::Join(_)) =>
                {
                    return Some(first);
                }
                _ => return None,
            }
        }
    }
}

fn sorted_by_keys(keys: &[ColumnId], order: Vec<Ordering>, statement: &LogicalStatement) -> Vec<Ordering> {
    let key = |id: &ColumnId| Ordering {
        expr: Expr::Column { index: *id, ty: statement.columns[*id].ty },
        descending: false,
        nulls_first: false,
    };
    keys.iter().map(key).chain(order).collect()
}

/// Makes a plan hand on what conditions read of it.
fn hand_on(plan: &mut Logical, on: &[Expr], outer: &IdSet, statement: &LogicalStatement) -> Option<()> {
    let mut needed = IdSet::default();
    on.iter().for_each(|predicate| needed.add_expr(predicate));
    let available = produced(plan, &statement.tables);
    let missing: Vec<_> =
        needed.iter().filter(|id| !outer.contains(*id) && !available.contains(*id)).collect();
    if !missing.into_iter().all(|id| pass_through(plan, id, &statement.tables)) {
        return None;
    }
    Some(())
}

/// Keys of groups with their ids, and the conditions on them that were taken off a plan.
type Keys = (Vec<(ColumnId, Expr)>, Vec<Expr>);

fn take_keys(plan: &mut Logical, outer: &IdSet, statement: &mut LogicalStatement) -> Option<Keys> {
    let mut pulled = Vec::new();
    pull_filters(plan, &mut pulled, &is_outer_condition(outer, parts_of(statement)));
    hand_on(plan, &pulled, outer, statement)?;
    keys_of(pulled, outer, statement)
}

/// As [`take_keys`], of keys that are columns.
fn take_column_keys(
    plan: &mut Logical,
    outer: &IdSet,
    statement: &mut LogicalStatement,
) -> Option<(Vec<ColumnId>, Vec<Expr>)> {
    let (keys, on) = take_keys(plan, outer, statement)?;
    let ids = keys.into_iter().map(|(id, key)| matches!(key, Expr::Column { .. }).then_some(id));
    Some((ids.collect::<Option<_>>()?, on))
}

/// The inner sides of equalities with outer columns as keys of groups. A condition that reads outer columns alone stays as it
/// is.
pub(super) fn keys_of(
    conditions: Vec<Expr>,
    outer: &IdSet,
    statement: &mut LogicalStatement,
) -> Option<Keys> {
    let mut keys: Vec<(ColumnId, Expr)> = Vec::new();
    let mut on = Vec::with_capacity(conditions.len());
    for condition in conditions {
        if IdSet::of(condition.columns()).is_subset(outer) {
            on.push(condition);
            continue;
        }
        let (Operation::Equal, left, right) = comparison_of(&condition)? else { return None };
        let is_outer = |expr: &Expr| {
            let ids = IdSet::of(expr.columns());
            match (ids.is_empty(), ids.is_subset(outer), ids.intersects(outer)) {
                (false, true, _) => Some(true),
                (false, _, false) => Some(false),
                _ => None,
            }
        };
        let key_is_left = match (is_outer(left)?, is_outer(right)?) {
            (false, true) => true,
            (true, false) => false,
            _ => return None,
        };
        let key = if key_is_left { left } else { right };
        if !is_plain(key.ty()) {
            return None;
        }
        let known = keys.iter().find(|(_, known)| known == key).map(|(id, _)| *id);
        let id = match (known, key) {
            (Some(id), _) => id,
            (None, Expr::Column { index, .. }) => *index,
            (None, _) => new_column(statement, "?column?", key.ty()),
        };
        if known.is_none() {
            keys.push((id, key.clone()));
        }
        let column = Expr::Column { index: id, ty: key.ty() };
        let Expr::Call { function, args, variadic_array, ty, pos } = condition.clone() else { return None };
        let [left, right]: [Expr; 2] = args.try_into().ok()?;
        let args = if key_is_left { vec![column, right] } else { vec![left, column] };
        on.push(Expr::Call { function, args, variadic_array, ty, pos });
    }
    (!keys.is_empty()).then_some((keys, on))
}

/// A column that a rule makes.
pub(super) fn new_column(statement: &mut LogicalStatement, name: &str, ty: SqlType) -> ColumnId {
    statement.columns.push(ColumnInfo { name: name.into(), ty, origin: None, depth: 0, table: None });
    statement.columns.len() - 1
}

/// A value over aggregates that a left join makes NULL where there are no rows: counts are 0 there.
pub(super) fn with_counts(value: Expr, grouping: &Grouping) -> Expr {
    let is_count = |name: &str| matches!(name, "count" | "regr_count");
    let counts = grouping.aggregates.iter().filter(|(_, call)| is_count(&call.function.0.function.name));
    let zero = |ty: SqlType| Expr::constant(Datum::Int64(0), ty);
    let counts: Vec<(ColumnId, Expr)> = counts
        .map(|(id, call)| {
            let column = Expr::Column { index: *id, ty: call.ty };
            (*id, Expr::Coalesce { args: vec![column, zero(call.ty)], ty: call.ty })
        })
        .collect();
    let mut value = value;
    substitute(&mut value, &counts);
    value
}

/// A value that is NULL where a left join on these conditions found no row on its right side, which has these columns.
pub(super) fn of_found(value: Expr, on: &[Expr], right: &IdSet) -> Option<Expr> {
    let mut nulls = IdSet::default();
    null_ids(&value, &mut nulls);
    if nulls.intersects(right) {
        return Some(value);
    }
    let mut strict = IdSet::default();
    on.iter().for_each(|on| strict_ids(on, &mut strict));
    let id = strict.iter().find(|id| right.contains(*id))?;
    // Which type the column has does not matter to the test.
    let column = on.iter().find_map(|on| find_column(on, id))?;
    let found = Expr::IsNull { arg: Box::new(column), negated: true, row: false };
    let ty = value.ty();
    Some(Expr::Case { operand: None, branches: vec![(found, value)], otherwise: None, ty })
}

fn find_column(expr: &Expr, id: ColumnId) -> Option<Expr> {
    let mut found = None;
    let _ = expr.walk(&mut |node| match node {
        Expr::Column { index, .. } if *index == id => {
            found = Some(node.clone());
            std::ops::ControlFlow::Break(())
        }
        _ => std::ops::ControlFlow::Continue(()),
    });
    found
}

/// Whether any of these expressions has a subquery.
pub(super) fn any_subplan<'e>(exprs: impl IntoIterator<Item = &'e Expr>) -> bool {
    exprs.into_iter().any(has_subplan)
}
