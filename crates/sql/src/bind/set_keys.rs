//! Sets that GROUP BY, PARTITION BY or a window's ORDER BY mention: they are expanded before the step that needs them.
//!
//! # How
//! The calls of a select list that return sets are columns of a step after grouping and windows. A call in a key comes before:
//! each element is a value to group by. What equals the key then means the key's column. An expression that holds the call
//! otherwise, `f(x) + 1` beside `GROUP BY f(x) + 2`, gets a call of its own after the step, as PostgreSQL evaluates it.

use ochre_base::limits;
use ochre_expr::Expr;

use super::Binder;
use super::level::Level;
use super::scope::Scope;
use super::select::project_sets;
use crate::logical::{ColumnId, Logical, SetItem, WindowExpr};

/// The sets taken from a level for its keys.
struct KeySets<'k> {
    keys: &'k [Expr],
    taken: Vec<(ColumnId, SetItem)>,
    /// For a set that is needed after the step, too, the one that is expanded there.
    copies: Vec<(ColumnId, ColumnId)>,
}

impl Binder<'_> {
    /// Expands the sets of GROUP BY keys below the grouping.
    pub(super) fn expand_key_sets(
        &mut self,
        plan: Logical,
        keys: &[Expr],
        exprs: &mut [&mut Expr],
        level: &mut Level,
        scope: &Scope<'_>,
    ) -> Logical {
        let mut sets = KeySets { keys, taken: take_sets(keys, level), copies: Vec::new() };
        if sets.taken.is_empty() {
            return plan;
        }
        for expr in exprs.iter_mut() {
            self.detach(expr, &mut sets, scope);
        }
        let mut windows = std::mem::take(&mut level.windows);
        for (definition, calls) in &mut windows {
            let order = definition.order.iter_mut().map(|key| &mut key.expr);
            for expr in definition.partition.iter_mut().chain(order) {
                self.detach(expr, &mut sets, scope);
            }
            for (_, call) in calls {
                let args = match call {
                    WindowExpr::Function { args, .. } => args,
                    WindowExpr::Aggregate(aggregate) => &mut aggregate.args,
                };
                args.iter_mut().for_each(|arg| self.detach(arg, &mut sets, scope));
            }
        }
        level.windows = windows;
        self.finish_key_sets(plan, sets, level, scope)
    }

    /// Expands the sets of windows below them.
    pub(super) fn expand_window_sets(
        &mut self,
        plan: Logical,
        exprs: Vec<&mut Expr>,
        level: &mut Level,
        scope: &Scope<'_>,
    ) -> Logical {
        let mut keys = Vec::new();
        for (definition, _) in &level.windows {
            keys.extend(definition.partition.iter().cloned());
            keys.extend(definition.order.iter().map(|key| key.expr.clone()));
        }
        let mut sets = KeySets { keys: &keys, taken: take_sets(&keys, level), copies: Vec::new() };
        if sets.taken.is_empty() {
            return plan;
        }
        for expr in exprs {
            self.detach(expr, &mut sets, scope);
        }
        self.finish_key_sets(plan, sets, level, scope)
    }

    /// The step of the sets that were taken; those that copy them join the level's.
    fn finish_key_sets(
        &mut self,
        plan: Logical,
        mut sets: KeySets<'_>,
        level: &mut Level,
        scope: &Scope<'_>,
    ) -> Logical {
        for (_, item) in &mut level.sets {
            self.detach_args(item, &mut sets, scope);
        }
        let mut done = 0;
        while let Some((old, new)) = sets.copies.get(done).copied() {
            done += 1;
            let original = sets.taken.iter().find(|(id, _)| *id == old);
            let Some(mut item) = original.map(|(_, item)| item.clone()) else { continue };
            self.detach_args(&mut item, &mut sets, scope);
            level.sets.push((new, item));
        }
        project_sets(plan, sets.taken)
    }

    fn detach_args(&mut self, item: &mut SetItem, sets: &mut KeySets<'_>, scope: &Scope<'_>) {
        if let SetItem::Set { args, .. } = item {
            args.iter_mut().for_each(|arg| self.detach(arg, sets, scope));
        }
    }

    /// Makes an expression read copies of the sets that were taken wherever it does not read a key.
    fn detach(&mut self, expr: &mut Expr, sets: &mut KeySets<'_>, scope: &Scope<'_>) {
        stacker::maybe_grow(limits::STACK_RED_ZONE_BYTES, limits::STACK_GROWTH_BYTES, || {
            if sets.keys.contains(expr) {
                return;
            }
            if let Expr::Column { index, ty } = expr {
                if !sets.taken.iter().any(|(id, _)| id == index) {
                    return;
                }
                let known = sets.copies.iter().find(|(old, _)| old == index).map(|(_, new)| *new);
                *index = known.unwrap_or_else(|| {
                    let name = std::sync::Arc::clone(&self.columns[*index].name);
                    let new = self.new_column(name, *ty, scope.depth);
                    sets.copies.push((*index, new));
                    new
                });
                return;
            }
            for child in expr.children_mut() {
                self.detach(child, sets, scope);
            }
        });
    }
}

/// Takes out of a level the sets that keys mention, and those that these are made of.
fn take_sets(keys: &[Expr], level: &mut Level) -> Vec<(ColumnId, SetItem)> {
    let wanted = with_sets(keys.iter().flat_map(Expr::columns).collect(), level);
    let (taken, left) = std::mem::take(&mut level.sets).into_iter().partition(|(id, _)| wanted.contains(id));
    level.sets = left;
    taken
}

/// Columns, and those that the sets among them are made of.
pub(super) fn with_sets(mut ids: Vec<ColumnId>, level: &Level) -> Vec<ColumnId> {
    // A set comes after those in its arguments.
    for (id, item) in level.sets.iter().rev() {
        if let SetItem::Set { args, .. } = item
            && ids.contains(id)
        {
            ids.extend(args.iter().flat_map(Expr::columns));
        }
    }
    ids
}
