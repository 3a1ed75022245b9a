//! Walks over logical plans: which ids a plan produces, mentions, and needs from outside.

use ochre_base::limits;
use ochre_expr::{Expr, Volatility};

use crate::idset::IdSet;
use crate::logical::{
    AggregateExpr, Bound, ColumnId, FunctionCall, JoinKind, Logical, LogicalBody, LogicalCte, SetItem,
    Subquery, TableUse, WindowExpr,
};

/// What plans refer to by number.
#[derive(Clone, Copy)]
pub(crate) struct Parts<'a> {
    pub tables: &'a [TableUse],
    pub subqueries: &'a [Subquery],
    pub ctes: &'a [LogicalCte],
}

/// Calls `visit` with a plan and all plans below it, from the top.
pub(crate) fn each_node_mut(plan: &mut Logical, visit: &mut dyn FnMut(&mut Logical)) {
    stacker::maybe_grow(limits::STACK_RED_ZONE_BYTES, limits::STACK_GROWTH_BYTES, || {
        visit(plan);
        inputs_mut(plan).into_iter().for_each(|input| each_node_mut(input, visit));
    });
}

/// Calls `visit` with each expression of the operator itself.
pub(crate) fn each_expr<'p>(plan: &'p Logical, visit: &mut dyn FnMut(&'p Expr)) {
    fn aggregate<'p>(call: &'p AggregateExpr, visit: &mut dyn FnMut(&'p Expr)) {
        call.args.iter().chain(&call.direct_args).for_each(&mut *visit);
        call.order_by.iter().for_each(|key| visit(&key.expr));
        call.filter.iter().for_each(&mut *visit);
    }
    match plan {
        Logical::Dummy { .. } | Logical::Get(_) | Logical::CteScan { .. } | Logical::WorkTable { .. } => {}
        Logical::Sample(sample) => {
            visit(&sample.percent);
            sample.seed.iter().for_each(visit);
        }
        Logical::Values { rows, .. } => rows.iter().flatten().for_each(visit),
        Logical::Function(function) => {
            for (call, _) in &function.functions {
                match call {
                    FunctionCall::Set { args, .. } => args.iter().for_each(&mut *visit),
                    FunctionCall::Scalar(expr) => visit(expr),
                }
            }
        }
        Logical::Filter { predicates, .. } => predicates.iter().for_each(visit),
        Logical::Project { items, .. } => items.iter().for_each(|(_, expr)| visit(expr)),
        Logical::ProjectSet { items, .. } => {
            for (_, item) in items {
                match item {
                    SetItem::Scalar(expr) => visit(expr),
                    SetItem::Set { args, .. } => args.iter().for_each(&mut *visit),
                }
            }
        }
        Logical::Join(join) => join.on.iter().for_each(visit),
        Logical::Aggregate(grouping) => {
            grouping.keys.iter().for_each(|(_, key)| visit(key));
            grouping.aggregates.iter().for_each(|(_, call)| aggregate(call, visit));
        }
        Logical::Window(window) => {
            window.partition.iter().for_each(&mut *visit);
            window.order.iter().for_each(|key| visit(&key.expr));
            window.run.iter().for_each(&mut *visit);
            for bound in [&window.frame.start, &window.frame.end] {
                if let Bound::Preceding(expr) | Bound::Following(expr) = bound {
                    visit(expr);
                }
            }
            for (_, call) in &window.calls {
                match call {
                    WindowExpr::Function { args, .. } => args.iter().for_each(&mut *visit),
                    WindowExpr::Aggregate(call) => aggregate(call, visit),
                }
            }
        }
        Logical::DistinctOn { sort, .. } => sort.iter().for_each(|key| visit(&key.expr)),
        Logical::Sort { keys, .. } => keys.iter().for_each(|key| visit(&key.expr)),
        Logical::Limit { limit, offset, ties, .. } => {
            limit.iter().chain(offset).for_each(&mut *visit);
            ties.iter().flatten().for_each(|key| visit(&key.expr));
        }
        Logical::LockRows { predicates, .. } => predicates.iter().for_each(visit),
        Logical::Distinct { .. }
        | Logical::Append(_)
        | Logical::SetOp(..)
        | Logical::RecursiveUnion { .. } => {}
    }
}

/// Calls `visit` with each expression of the operator itself, to be changed.
pub(crate) fn each_expr_mut(plan: &mut Logical, visit: &mut dyn FnMut(&mut Expr)) {
    fn aggregate(call: &mut AggregateExpr, visit: &mut dyn FnMut(&mut Expr)) {
        call.args.iter_mut().chain(&mut call.direct_args).for_each(&mut *visit);
        call.order_by.iter_mut().for_each(|key| visit(&mut key.expr));
        call.filter.iter_mut().for_each(&mut *visit);
    }
    match plan {
        Logical::Dummy { .. } | Logical::Get(_) | Logical::CteScan { .. } | Logical::WorkTable { .. } => {}
        Logical::Sample(sample) => {
            visit(&mut sample.percent);
            sample.seed.iter_mut().for_each(visit);
        }
        Logical::Values { rows, .. } => rows.iter_mut().flatten().for_each(visit),
        Logical::Function(function) => {
            for (call, _) in &mut function.functions {
                match call {
                    FunctionCall::Set { args, .. } => args.iter_mut().for_each(&mut *visit),
                    FunctionCall::Scalar(expr) => visit(expr),
                }
            }
        }
        Logical::Filter { predicates, .. } => predicates.iter_mut().for_each(visit),
        Logical::Project { items, .. } => items.iter_mut().for_each(|(_, expr)| visit(expr)),
        Logical::ProjectSet { items, .. } => {
            for (_, item) in items {
                match item {
                    SetItem::Scalar(expr) => visit(expr),
                    SetItem::Set { args, .. } => args.iter_mut().for_each(&mut *visit),
                }
            }
        }
        Logical::Join(join) => join.on.iter_mut().for_each(visit),
        Logical::Aggregate(grouping) => {
            grouping.keys.iter_mut().for_each(|(_, key)| visit(key));
            grouping.aggregates.iter_mut().for_each(|(_, call)| aggregate(call, visit));
        }
        Logical::Window(window) => {
            window.partition.iter_mut().for_each(&mut *visit);
            window.order.iter_mut().for_each(|key| visit(&mut key.expr));
            window.run.iter_mut().for_each(&mut *visit);
            for bound in [&mut window.frame.start, &mut window.frame.end] {
                if let Bound::Preceding(expr) | Bound::Following(expr) = bound {
                    visit(expr);
                }
            }
            for (_, call) in &mut window.calls {
                match call {
                    WindowExpr::Function { args, .. } => args.iter_mut().for_each(&mut *visit),
                    WindowExpr::Aggregate(call) => aggregate(call, visit),
                }
            }
        }
        Logical::DistinctOn { sort, .. } => sort.iter_mut().for_each(|key| visit(&mut key.expr)),
        Logical::Sort { keys, .. } => keys.iter_mut().for_each(|key| visit(&mut key.expr)),
        Logical::Limit { limit, offset, ties, .. } => {
            limit.iter_mut().chain(offset).for_each(&mut *visit);
            ties.iter_mut().flatten().for_each(|key| visit(&mut key.expr));
        }
        Logical::LockRows { predicates, .. } => predicates.iter_mut().for_each(visit),
        Logical::Distinct { .. }
        | Logical::Append(_)
        | Logical::SetOp(..)
        | Logical::RecursiveUnion { .. } => {}
    }
}

/// The inputs of an operator.
pub(crate) fn inputs(plan: &Logical) -> Vec<&Logical> {
    match plan {
        Logical::Dummy { .. }
        | Logical::Get(_)
        | Logical::Sample(_)
        | Logical::Values { .. }
        | Logical::Function(_)
        | Logical::CteScan { .. }
        | Logical::WorkTable { .. } => Vec::new(),
        Logical::Filter { input, .. }
        | Logical::Project { input, .. }
        | Logical::ProjectSet { input, .. }
        | Logical::Distinct { input, .. }
        | Logical::DistinctOn { input, .. }
        | Logical::Sort { input, .. }
        | Logical::Limit { input, .. }
        | Logical::LockRows { input, .. } => vec![input],
        Logical::Join(join) => vec![&join.left, &join.right],
        Logical::Aggregate(grouping) => vec![&grouping.input],
        Logical::Window(window) => vec![&window.input],
        Logical::Append(set) | Logical::SetOp(_, set) | Logical::RecursiveUnion { inputs: set, .. } => {
            set.inputs.iter().map(|(plan, _)| plan).collect()
        }
    }
}

/// The inputs of an operator, to be changed.
pub(crate) fn inputs_mut(plan: &mut Logical) -> Vec<&mut Logical> {
    match plan {
        Logical::Dummy { .. }
        | Logical::Get(_)
        | Logical::Sample(_)
        | Logical::Values { .. }
        | Logical::Function(_)
        | Logical::CteScan { .. }
        | Logical::WorkTable { .. } => Vec::new(),
        Logical::Filter { input, .. }
        | Logical::Project { input, .. }
        | Logical::ProjectSet { input, .. }
        | Logical::Distinct { input, .. }
        | Logical::DistinctOn { input, .. }
        | Logical::Sort { input, .. }
        | Logical::Limit { input, .. }
        | Logical::LockRows { input, .. } => vec![input],
        Logical::Join(join) => vec![&mut join.left, &mut join.right],
        Logical::Aggregate(grouping) => vec![&mut grouping.input],
        Logical::Window(window) => vec![&mut window.input],
        Logical::Append(set) | Logical::SetOp(_, set) | Logical::RecursiveUnion { inputs: set, .. } => {
            set.inputs.iter_mut().map(|(plan, _)| plan).collect()
        }
    }
}

/// Ids in a plan's output.
pub(crate) fn produced(plan: &Logical, tables: &[TableUse]) -> IdSet {
    stacker::maybe_grow(limits::STACK_RED_ZONE_BYTES, limits::STACK_GROWTH_BYTES, || match plan {
        Logical::Dummy { .. } => IdSet::default(),
        Logical::Get(table) => IdSet::of(tables[*table].columns.iter().map(|(_, id)| *id)),
        Logical::Sample(sample) => IdSet::of(tables[sample.table].columns.iter().map(|(_, id)| *id)),
        Logical::Values { columns, .. } => IdSet::of(columns.iter().copied()),
        Logical::Function(function) => {
            let mut ids = IdSet::of(function.functions.iter().flat_map(|(_, ids)| ids.iter().copied()));
            if let Some(id) = function.ordinality {
                ids.insert(id);
            }
            ids
        }
        Logical::CteScan { columns, .. } | Logical::WorkTable { columns, .. } => {
            IdSet::of(columns.iter().map(|(_, id)| *id))
        }
        Logical::Filter { input, .. }
        | Logical::Sort { input, .. }
        | Logical::Limit { input, .. }
        | Logical::LockRows { input, .. }
        | Logical::DistinctOn { input, .. } => produced(input, tables),
        Logical::Distinct { columns, .. } => IdSet::of(columns.iter().copied()),
        Logical::Project { items, .. } => IdSet::of(items.iter().map(|(id, _)| *id)),
        Logical::ProjectSet { input, items } => {
            let mut ids = produced(input, tables);
            items.iter().for_each(|(id, _)| ids.insert(*id));
            ids
        }
        Logical::Join(join) => {
            let mut ids = produced(&join.left, tables);
            if join.kind.keeps_right() {
                ids.extend(&produced(&join.right, tables));
            }
            if let JoinKind::Mark(id) = join.kind {
                ids.insert(id);
            }
            ids
        }
        Logical::Aggregate(grouping) => {
            let mut ids = IdSet::of(grouping.keys.iter().map(|(id, _)| *id));
            grouping.aggregates.iter().for_each(|(id, _)| ids.insert(*id));
            if let Some((_, id)) = &grouping.sets {
                ids.insert(*id);
            }
            ids
        }
        Logical::Window(window) => {
            let mut ids = produced(&window.input, tables);
            window.calls.iter().for_each(|(id, _)| ids.insert(*id));
            ids
        }
        Logical::Append(set) | Logical::SetOp(_, set) | Logical::RecursiveUnion { inputs: set, .. } => {
            IdSet::of(set.columns.iter().copied())
        }
    })
}

/// Whether a plan locks rows.
pub(crate) fn contains_locks(plan: &Logical) -> bool {
    matches!(plan, Logical::LockRows { .. }) || inputs(plan).into_iter().any(contains_locks)
}

/// Whether a plan has a volatile expression or set, in its subqueries too.
pub(crate) fn is_volatile(plan: &Logical, subqueries: &[Subquery]) -> bool {
    let mut volatile = match plan {
        Logical::Function(function) => function.functions.iter().any(|(call, _)| {
            matches!(call, FunctionCall::Set { function, .. } if function.volatility == Volatility::Volatile)
        }),
        Logical::ProjectSet { items, .. } => items.iter().any(|(_, item)| {
            matches!(item, SetItem::Set { function, .. } if function.volatility == Volatility::Volatile)
        }),
        _ => false,
    };
    each_expr(plan, &mut |expr| volatile |= is_volatile_expr(expr, subqueries));
    volatile || inputs(plan).into_iter().any(|input| is_volatile(input, subqueries))
}

/// Whether an expression is volatile, in its subqueries too.
pub(crate) fn is_volatile_expr(expr: &Expr, subqueries: &[Subquery]) -> bool {
    expr.volatility() == Volatility::Volatile
        || expr.any(|node| match node {
            Expr::SubPlan { plan, .. } => is_volatile(&subqueries[*plan].query.plan, subqueries),
            _ => false,
        })
}

/// Ids that an expression mentions, in its subqueries too.
pub(crate) fn mentioned(expr: &Expr, parts: Parts<'_>, ids: &mut IdSet) {
    let _ = expr.walk(&mut |node| {
        match node {
            Expr::Column { index, .. } => ids.insert(*index),
            Expr::SubPlan { plan, .. } => {
                ids.extend(&free_columns(&parts.subqueries[*plan].query.plan, parts))
            }
            _ => {}
        }
        std::ops::ControlFlow::<()>::Continue(())
    });
}

/// Ids that a plan mentions and does not produce itself.
pub(crate) fn free_columns(plan: &Logical, parts: Parts<'_>) -> IdSet {
    let (mut used, mut made) = (IdSet::default(), IdSet::default());
    collect(plan, parts, &mut used, &mut made);
    used.remove_all(&made);
    used
}

fn collect(plan: &Logical, parts: Parts<'_>, used: &mut IdSet, made: &mut IdSet) {
    stacker::maybe_grow(limits::STACK_RED_ZONE_BYTES, limits::STACK_GROWTH_BYTES, || {
        each_expr(plan, &mut |expr| mentioned(expr, parts, used));
        match plan {
            Logical::Project { items, .. } => {
                for (id, expr) in items {
                    // A column passed on is not made here.
                    if !matches!(expr, Expr::Column { index, .. } if index == id) {
                        made.insert(*id);
                    }
                }
            }
            Logical::Aggregate(grouping) => {
                for (id, key) in &grouping.keys {
                    if !matches!(key, Expr::Column { index, .. } if index == id) {
                        made.insert(*id);
                    }
                }
                grouping.aggregates.iter().for_each(|(id, _)| made.insert(*id));
                if let Some((_, id)) = &grouping.sets {
                    made.insert(*id);
                }
            }
            Logical::ProjectSet { items, .. } => items.iter().for_each(|(id, _)| made.insert(*id)),
            Logical::Window(window) => window.calls.iter().for_each(|(id, _)| made.insert(*id)),
            Logical::Join(join) => {
                if let JoinKind::Mark(id) = join.kind {
                    made.insert(id);
                }
            }
            Logical::CteScan { cte, .. } => {
                made.extend(&produced(plan, parts.tables));
                if let Some(LogicalCte { body: LogicalBody::Query(query), .. }) = parts.ctes.get(*cte) {
                    used.extend(&free_columns(&query.plan, parts));
                }
            }
            Logical::Dummy { .. }
            | Logical::Get(_)
            | Logical::Sample(_)
            | Logical::Values { .. }
            | Logical::Function(_)
            | Logical::WorkTable { .. }
            | Logical::Append(_)
            | Logical::SetOp(..)
            | Logical::RecursiveUnion { .. } => made.extend(&produced(plan, parts.tables)),
            Logical::Filter { .. }
            | Logical::Distinct { .. }
            | Logical::DistinctOn { .. }
            | Logical::Sort { .. }
            | Logical::Limit { .. }
            | Logical::LockRows { .. } => {}
        }
        for input in inputs(plan) {
            collect(input, parts, used, made);
        }
    });
}

/// Which of an operator's inputs' ids it needs, and what is above it through it, when these of its own are read. The same
/// for each input: of another one's ids an input has none.
pub(crate) fn needed_below(plan: &Logical, required: &IdSet, parts: Parts<'_>) -> IdSet {
    let mut needed = IdSet::default();
    let add = |expr: &Expr, needed: &mut IdSet| mentioned(expr, parts, needed);
    let all =
        |plan: &Logical, needed: &mut IdSet| each_expr(plan, &mut |expr| mentioned(expr, parts, needed));
    match plan {
        Logical::Project { items, .. } => {
            let read = items.iter().filter(|(id, expr)| required.contains(*id) || has_effects(expr, parts));
            read.for_each(|(_, expr)| add(expr, &mut needed));
        }
        Logical::Aggregate(grouping) => {
            grouping.keys.iter().for_each(|(_, key)| add(key, &mut needed));
            let read = |(id, call): &&(ColumnId, AggregateExpr)| {
                required.contains(*id) || each_of_aggregate(call).any(|expr| has_effects(expr, parts))
            };
            for (_, call) in grouping.aggregates.iter().filter(read) {
                each_of_aggregate(call).for_each(|expr| add(expr, &mut needed));
            }
        }
        Logical::Distinct { columns, .. } => columns.iter().for_each(|id| needed.insert(*id)),
        Logical::Append(set) => {
            let read = (0..set.columns.len()).filter(|at| required.contains(set.columns[*at]));
            for at in read {
                set.inputs.iter().for_each(|(_, ids)| needed.insert(ids[at]));
            }
        }
        Logical::SetOp(_, set) | Logical::RecursiveUnion { inputs: set, .. } => {
            set.inputs.iter().flat_map(|(_, ids)| ids).for_each(|id| needed.insert(*id));
        }
        Logical::LockRows { input, .. } => {
            // A row that has changed is made anew, with all that is read of it.
            needed = produced(input, parts.tables);
            all(plan, &mut needed);
        }
        Logical::DistinctOn { on, .. } => {
            needed = required.clone();
            on.iter().for_each(|id| needed.insert(*id));
            all(plan, &mut needed);
        }
        Logical::Join(join) => {
            needed = required.clone();
            all(plan, &mut needed);
            // What a lateral side mentions is the other's.
            needed.extend(&free_columns(&join.right, parts));
            if join.lateral {
                needed.extend(&free_columns(&join.left, parts));
            }
        }
        _ => {
            needed = required.clone();
            all(plan, &mut needed);
        }
    }
    needed
}

/// The expressions of a call of an aggregate.
pub(crate) fn each_of_aggregate(call: &AggregateExpr) -> impl Iterator<Item = &Expr> {
    let orders = call.order_by.iter().map(|key| &key.expr);
    call.args.iter().chain(&call.direct_args).chain(orders).chain(&call.filter)
}

/// Whether something may happen when an expression is evaluated, so that it is evaluated though nothing reads its value.
pub(crate) fn has_effects(expr: &Expr, parts: Parts<'_>) -> bool {
    is_volatile_expr(expr, parts.subqueries)
}
