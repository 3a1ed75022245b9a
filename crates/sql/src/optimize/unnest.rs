//! Subqueries in conditions become joins: EXISTS and IN semi-joins, NOT EXISTS anti-joins, NOT IN null-aware anti-joins.
//!
//! A subquery that mentions the outer query can be unnested when it does so only in the WHERE clause of its outermost level:
//! those conditions become the join's. Others stay subqueries. A condition there that is a subquery itself and reads none of its
//! rows becomes one of the outer query, beside the join.

use std::collections::VecDeque;

use ochre_base::Result;
use ochre_expr::{Comparison, Expr, SubPlanKind, Volatility};
use ochre_types::SqlType;

use super::correlated::substitute;
use super::mark_joins::{Compared, Sense};
use super::never_fails::{never_fails, plan_never_fails};
use super::{RuleContext, each_plan};
use crate::idset::IdSet;
use crate::logical::{
    ColumnId, Join, JoinKind, Logical, LogicalCte, LogicalStatement, Query, Subquery, TableUse,
};
use crate::plan::Operation;
use crate::plan::operation_of;
use crate::walk::{Parts, contains_locks, free_columns, inputs_mut, is_volatile, is_volatile_expr, produced};

/// Unnests in every query of a statement, inner ones first.
pub(super) fn apply(statement: &mut LogicalStatement, _context: &RuleContext<'_>) -> Result<()> {
    if statement.subqueries.is_empty() {
        return Ok(());
    }
    each_plan(statement, &mut |statement, plan, place| {
        let LogicalStatement { tables, subqueries, ctes, .. } = statement;
        Unnester { tables, subqueries, ctes, frame: place.frame }.rewrite(plan);
    });
    Ok(())
}

/// The join that a condition becomes.
struct Unnested {
    kind: JoinKind,
    right: Logical,
    on: Vec<Expr>,
    /// Conditions of the outer query that stood in the subquery.
    beside: Vec<Expr>,
}

struct Unnester<'a> {
    tables: &'a mut Vec<TableUse>,
    subqueries: &'a mut Vec<Subquery>,
    ctes: &'a mut Vec<LogicalCte>,
    /// The frame that is being rewritten.
    frame: usize,
}

impl Unnester<'_> {
    fn parts(&self) -> Parts<'_> {
        Parts { tables: self.tables, subqueries: self.subqueries, ctes: self.ctes }
    }

    fn rewrite(&mut self, plan: &mut Logical) {
        stacker::maybe_grow(
            ochre_base::limits::STACK_RED_ZONE_BYTES,
            ochre_base::limits::STACK_GROWTH_BYTES,
            || {
                self.lift_join_conditions(plan);
                if let Logical::Filter { predicates, .. } = plan
                    && predicates.iter().any(is_candidate)
                {
                    let taken = std::mem::replace(plan, Logical::Dummy { row: false });
                    let Logical::Filter { input, predicates } = taken else { return };
                    *plan = self.unnest_filter(*input, predicates);
                }
                for input in inputs_mut(plan) {
                    self.rewrite(input);
                }
            },
        );
    }

    /// What an inner join's condition asks of a subquery may as well be asked above the join; what an outer join's asks of
    /// the nullable side alone, below it.
    fn lift_join_conditions(&self, plan: &mut Logical) {
        let Logical::Join(join) = plan else { return };
        if !join.on.iter().any(is_candidate) {
            return;
        }
        match join.kind {
            JoinKind::Inner => {
                let predicates = split_candidates(&mut join.on);
                let input = Box::new(std::mem::replace(plan, Logical::Dummy { row: false }));
                *plan = Logical::Filter { input, predicates };
            }
            JoinKind::Left => {
                let left = produced(&join.left, self.tables);
                let (of_right, others): (Vec<_>, Vec<_>) =
                    split_candidates(&mut join.on).into_iter().partition(|on| {
                        !self.mentioned(on).intersects(&left) && !is_volatile_expr(on, self.subqueries)
                    });
                join.on.extend(others);
                if !of_right.is_empty() {
                    let input = Box::new(std::mem::replace(&mut join.right, Logical::Dummy { row: false }));
                    join.right = Logical::Filter { input, predicates: of_right };
                }
            }
            _ => {}
        }
    }

    fn unnest_filter(&mut self, input: Logical, predicates: Vec<Expr>) -> Logical {
        let mut plan = input;
        let mut kept = Vec::new();
        let mut left = VecDeque::from(predicates);
        while let Some(predicate) = left.pop_front() {
            if !is_candidate(&predicate) {
                kept.push(predicate);
                continue;
            }
            let outer = produced(&plan, self.tables);
            match self.join_of(&predicate, &plan, &outer) {
                Some(Unnested { kind, right, on, beside }) => {
                    plan = Logical::Join(Box::new(Join { kind, left: plan, right, on, lateral: false }));
                    left.extend(beside);
                }
                None => kept.push(predicate),
            }
        }
        if kept.is_empty() { plan } else { Logical::Filter { input: Box::new(plan), predicates: kept } }
    }

    /// The join that a condition is, if it can be one.
    fn join_of(&mut self, predicate: &Expr, rows: &Logical, outer: &IdSet) -> Option<Unnested> {
        let (negated, subplan) = match predicate {
            Expr::Not(inner) => (true, &**inner),
            other => (false, other),
        };
        let Expr::SubPlan { plan: index, kind, .. } = subplan else { return None };
        let index = *index;
        match kind {
            SubPlanKind::Exists => {
                let mut inner = self.subqueries[index].query.plan.clone();
                strip_for_exists(&mut inner)?;
                let mut on = Vec::new();
                let beside = if negated { Vec::new() } else { self.take_outer_conditions(&mut inner, outer) };
                self.pull_up(&mut inner, outer, &mut on, None)?;
                // Without a condition it is a question to be asked once.
                if on.is_empty() {
                    return None;
                }
                self.adopt(index);
                let kind = if negated { JoinKind::Anti } else { JoinKind::Semi };
                Some(Unnested { kind, right: inner, on, beside })
            }
            SubPlanKind::AnyAll { all, left, functions, op }
                if *all || negated && self.reads(index, outer) =>
            {
                let asked = Compared::of(*all, left, functions, *op)?;
                if !left.iter().all(|part| self.is_of(part, outer)) {
                    return None;
                }
                self.compared(index, &asked, if negated { Sense::Falsity } else { Sense::Truth }, rows, outer)
            }
            SubPlanKind::AnyAll { left, functions, op, .. } => {
                // Rows are compared column by column only for equality.
                let asked = Compared::of(false, left, functions, *op)?;
                let equal = *op == Comparison::Equal
                    && functions.iter().all(|f| operation_of(f.oid) == Some(Operation::Equal));
                if !equal
                    && (negated || functions.len() != 1 || functions[0].volatility == Volatility::Volatile)
                {
                    return None;
                }
                if !left.iter().all(|part| self.is_of(part, outer)) {
                    return None;
                }
                let query = &self.subqueries[index].query;
                let types: Vec<SqlType> = query.output.iter().map(|(_, column)| column.ty).collect();
                let (mut inner, output) = match negated {
                    true => (query.plan.clone(), columns_of(query)),
                    false => unprojected(query),
                };
                let mut on = asked.comparison(&output).conjuncts();
                if negated {
                    let free = free_columns(&inner, self.parts());
                    if on.len() != 1 || free.intersects(outer) || !same_kind(left[0].ty(), types[0]) {
                        return None;
                    }
                    self.adopt(index);
                    let kind = JoinKind::AntiNullAware;
                    return Some(Unnested { kind, right: inner, on, beside: Vec::new() });
                }
                // Without an equality a join looks at each pair of rows: only where the subquery would be run for each row.
                if !equal && !free_columns(&inner, self.parts()).intersects(outer) {
                    return None;
                }
                let beside = self.take_outer_conditions(&mut inner, outer);
                self.pull_up(&mut inner, outer, &mut on, None)?;
                self.adopt(index);
                Some(Unnested { kind: JoinKind::Semi, right: inner, on, beside })
            }
            _ => None,
        }
    }

    /// The join that an ALL is, or a NOT ANY, of a subquery that reads outer rows: it asks for a row that makes it false. Run for
    /// each row it would not look at others' partners, so nothing of it may fail.
    fn compared(
        &mut self,
        index: usize,
        asked: &Compared<'_>,
        sense: Sense,
        rows: &Logical,
        outer: &IdSet,
    ) -> Option<Unnested> {
        let query = &self.subqueries[index].query;
        let (mut inner, output) = unprojected(query);
        if is_volatile(&inner, self.subqueries) || contains_locks(&inner) || !self.reads(index, outer) {
            return None;
        }
        let mut on = Vec::new();
        self.pull_up(&mut inner, outer, &mut on, None)?;
        let comparison = asked.comparison(&output);
        let total = !has_subplan(&comparison) && on.iter().chain([&comparison]).all(never_fails);
        if !total || !plan_never_fails(&inner, self.ctes) {
            return None;
        }
        let two_valued = asked.is_two_valued(rows, &inner, &output, self.tables);
        on.push(asked.decisive(&comparison, sense, two_valued));
        self.adopt(index);
        // NOT ALL is true where such a row is.
        let kind = if asked.all && sense == Sense::Falsity { JoinKind::Semi } else { JoinKind::Anti };
        Some(Unnested { kind, right: inner, on, beside: Vec::new() })
    }

    /// Whether a subquery reads outer columns.
    fn reads(&self, index: usize, outer: &IdSet) -> bool {
        free_columns(&self.subqueries[index].query.plan, self.parts()).intersects(outer)
    }

    /// Whether the left side of a comparison comes from this query's own rows.
    fn is_of(&self, part: &Expr, outer: &IdSet) -> bool {
        let columns = part.columns();
        let own = !columns.is_empty() && columns.iter().all(|id| outer.contains(*id));
        own && part.volatility() != Volatility::Volatile && !has_subplan(part)
    }

    /// The subquery's frame becomes part of this one.
    fn adopt(&mut self, index: usize) {
        let from = self.subqueries[index].frame;
        for cte in self.ctes.iter_mut() {
            if cte.frame == from {
                cte.frame = self.frame;
            }
        }
    }

    /// Takes conditions with subqueries that read outer columns and none of the plan's own from the top of a plan: it has rows
    /// only where they hold.
    fn take_outer_conditions(&self, plan: &mut Logical, outer: &IdSet) -> Vec<Expr> {
        let free = free_columns(plan, self.parts());
        let mut taken = Vec::new();
        pull_filters(plan, &mut taken, &|predicate| {
            let ids = self.mentioned(predicate);
            has_subplan(predicate)
                && ids.intersects(outer)
                && ids.is_subset(&free)
                && !is_volatile_expr(predicate, self.subqueries)
        });
        taken
    }

    fn mentioned(&self, predicate: &Expr) -> IdSet {
        let mut ids = IdSet::default();
        crate::walk::mentioned(predicate, self.parts(), &mut ids);
        ids
    }

    /// Makes semi-joins that mention outer columns inner joins, so that their conditions can be moved. How often a row comes
    /// does not matter to who only asks whether there is one.
    fn loosen(&self, plan: &mut Logical, outer: &IdSet) {
        match plan {
            Logical::Filter { input, .. } | Logical::Project { input, .. } => self.loosen(input, outer),
            Logical::Join(join) if matches!(join.kind, JoinKind::Inner | JoinKind::Semi) => {
                if join.kind == JoinKind::Semi {
                    let mut ids = free_columns(&join.right, self.parts());
                    join.on.iter().for_each(|on| ids.extend(&self.mentioned(on)));
                    if ids.intersects(outer) {
                        join.kind = JoinKind::Inner;
                    }
                }
                self.loosen(&mut join.left, outer);
                if join.kind == JoinKind::Inner {
                    self.loosen(&mut join.right, outer);
                }
            }
            _ => {}
        }
    }

    /// Moves conditions on outer columns from the top of a plan to `on`. `None`: the plan mentions outer columns elsewhere.
    fn pull_up(
        &self,
        plan: &mut Logical,
        outer: &IdSet,
        on: &mut Vec<Expr>,
        output: Option<&[ColumnId]>,
    ) -> Option<()> {
        let free = free_columns(plan, self.parts());
        if !free.intersects(outer) {
            return Some(());
        }
        let mut pulled = Vec::new();
        self.loosen(plan, outer);
        pull_filters(plan, &mut pulled, &is_outer_condition(outer, self.parts()));
        if pulled.is_empty() || free_columns(plan, self.parts()).intersects(outer) {
            return None;
        }
        // What the conditions read must come out of the plan.
        let available = produced(plan, self.tables);
        let mut needed = IdSet::default();
        pulled.iter().for_each(|predicate| needed.add_expr(predicate));
        for id in needed.iter().filter(|id| !outer.contains(*id)).collect::<Vec<_>>() {
            if !available.contains(id) && !pass_through(plan, id, self.tables) {
                return None;
            }
        }
        if let Some(output) = output {
            debug_assert!(output.iter().all(|id| produced(plan, self.tables).contains(*id)));
        }
        on.extend(pulled);
        Some(())
    }
}

/// What a correlated subquery asks of outer rows, as the other side of a join and its condition. Of one for EXISTS the rows count,
/// not what they are.
pub(super) fn marked_join(
    statement: &mut LogicalStatement,
    index: usize,
    outer: &IdSet,
    for_exists: bool,
) -> Option<(Logical, Vec<Expr>)> {
    let LogicalStatement { tables, subqueries, ctes, .. } = statement;
    let unnester = Unnester { tables, subqueries, ctes, frame: 0 };
    let query = &unnester.subqueries[index].query;
    let wanted: Vec<ColumnId> = query.output.iter().map(|(id, _)| *id).collect();
    let mut inner = query.plan.clone();
    if is_volatile(&inner, unnester.subqueries) || contains_locks(&inner) {
        return None;
    }
    if for_exists {
        strip_for_exists(&mut inner)?;
    }
    let mut on = Vec::new();
    unnester.pull_up(&mut inner, outer, &mut on, (!for_exists).then_some(&*wanted))?;
    (!on.is_empty()).then_some((inner, on))
}

/// The columns that a query gives.
fn columns_of(query: &Query) -> Vec<Expr> {
    query.output.iter().map(|(id, column)| Expr::Column { index: *id, ty: column.ty }).collect()
}

/// A query without the projections at its top, where nothing is lost with them, and what it gives: an index of a table can then
/// be asked for each row of a join.
fn unprojected(query: &Query) -> (Logical, Vec<Expr>) {
    let (mut plan, mut output) = (query.plan.clone(), columns_of(query));
    loop {
        match plan {
            Logical::Project { input, items }
                if !items
                    .iter()
                    .any(|(_, expr)| has_subplan(expr) || expr.volatility() == Volatility::Volatile) =>
            {
                output.iter_mut().for_each(|value| substitute(value, &items));
                plan = *input;
            }
            plan => return (plan, output),
        }
    }
}

/// Splits conditions into those that may become joins and the others.
fn split_candidates(predicates: &mut Vec<Expr>) -> Vec<Expr> {
    let (candidates, others) = std::mem::take(predicates).into_iter().partition(is_candidate);
    *predicates = others;
    candidates
}

fn is_candidate(predicate: &Expr) -> bool {
    let inner = match predicate {
        Expr::Not(inner) => inner,
        other => other,
    };
    matches!(inner, Expr::SubPlan { kind: SubPlanKind::Exists | SubPlanKind::AnyAll { .. }, .. })
}

pub(super) fn has_subplan(expr: &Expr) -> bool {
    expr.any(|node| matches!(node, Expr::SubPlan { .. }))
}

/// Whether a hash join can compare the types.
fn same_kind(a: SqlType, b: SqlType) -> bool {
    use ochre_types::oids;
    let integer = |ty: SqlType| matches!(ty.oid, oids::INT2 | oids::INT4 | oids::INT8);
    let text = |ty: SqlType| matches!(ty.oid, oids::TEXT | oids::VARCHAR);
    a.oid == b.oid || integer(a) && integer(b) || text(a) && text(b)
}

/// Takes off what does not matter to EXISTS: the select list, ORDER BY, DISTINCT, a LIMIT that leaves a row. `None` when the
/// plan has a row whatever its input, or another LIMIT.
fn strip_for_exists(plan: &mut Logical) -> Option<()> {
    loop {
        let taken = std::mem::replace(plan, Logical::Dummy { row: false });
        *plan = match taken {
            Logical::Project { input, .. }
            | Logical::Sort { input, .. }
            | Logical::Distinct { input, .. }
            | Logical::DistinctOn { input, .. } => *input,
            Logical::Limit { input, limit: Some(Expr::Constant { value, .. }), offset: None, .. }
                if value.as_i64().is_some_and(|rows| rows > 0) =>
            {
                *input
            }
            Logical::Limit { .. } => return None,
            Logical::Aggregate(grouping) if grouping.keys.is_empty() || grouping.sets.is_some() => {
                return None;
            }
            other => {
                *plan = other;
                return Some(());
            }
        };
    }
}

/// Whether a condition without subqueries mentions outer columns and may be asked elsewhere.
pub(super) fn is_outer_condition<'a>(outer: &'a IdSet, parts: Parts<'a>) -> impl Fn(&Expr) -> bool + 'a {
    move |predicate| {
        let mut ids = IdSet::default();
        crate::walk::mentioned(predicate, parts, &mut ids);
        ids.intersects(outer) && !has_subplan(predicate) && predicate.volatility() != Volatility::Volatile
    }
}

/// Takes conditions out of the filters at the top of a plan, through projections, inner joins, and the left sides of others.
pub(super) fn pull_filters(plan: &mut Logical, pulled: &mut Vec<Expr>, movable: &dyn Fn(&Expr) -> bool) {
    match plan {
        Logical::Filter { input, predicates } => {
            let taken = std::mem::take(predicates);
            let (moved, stay): (Vec<_>, Vec<_>) = taken.into_iter().partition(movable);
            *predicates = stay;
            pulled.extend(moved);
            pull_filters(input, pulled, movable);
            if predicates.is_empty() {
                let input = std::mem::replace(&mut **input, Logical::Dummy { row: false });
                *plan = input;
            }
        }
        Logical::Project { input, .. } => pull_filters(input, pulled, movable),
        Logical::Join(join) if join.kind == JoinKind::Inner => {
            let taken = std::mem::take(&mut join.on);
            let (moved, stay): (Vec<_>, Vec<_>) = taken.into_iter().partition(movable);
            join.on = stay;
            pulled.extend(moved);
            pull_filters(&mut join.left, pulled, movable);
            pull_filters(&mut join.right, pulled, movable);
        }
        // A row of the left side comes out as often whether it is asked before or after.
        Logical::Join(join) if !matches!(join.kind, JoinKind::Right | JoinKind::Full) && !join.lateral => {
            pull_filters(&mut join.left, pulled, movable);
        }
        _ => {}
    }
}

/// Makes projections at the top of a plan hand an id on that stands below them.
pub(super) fn pass_through(plan: &mut Logical, id: ColumnId, tables: &[TableUse]) -> bool {
    match plan {
        Logical::Project { input, items } => {
            let below = produced(input, tables).contains(id) || pass_through(input, id, tables);
            if below {
                let ty = column_type(input, id, tables);
                match ty {
                    Some(ty) => items.push((id, Expr::Column { index: id, ty })),
                    None => return false,
                }
            }
            below
        }
        Logical::Filter { input, .. } | Logical::Sort { input, .. } => pass_through(input, id, tables),
        _ => produced(plan, tables).contains(id),
    }
}

/// The type of an id that a plan hands out, where it comes from a table.
fn column_type(plan: &Logical, id: ColumnId, tables: &[TableUse]) -> Option<SqlType> {
    let found = tables.iter().find_map(|used| {
        let (column, _) = used.columns.iter().find(|(_, known)| *known == id)?;
        match column {
            crate::physical::ScanColumn::Table(position) => Some(used.table.columns[*position].ty),
            system => Some(crate::bind::system_column_type(*system).1),
        }
    });
    if found.is_some() {
        return found;
    }
    match plan {
        Logical::Project { items, .. } => {
            items.iter().find(|(known, _)| *known == id).map(|(_, expr)| expr.ty())
        }
        _ => None,
    }
}
