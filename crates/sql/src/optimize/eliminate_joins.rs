//! Outer joins that change nothing are left out: `a LEFT JOIN b ON …` is `a` when no row of `a` has two partners and nothing
//! reads a column of `b`.
//!
//! # Conditions
//! The nullable side has at most one match for each row ([`super::uniqueness`]), is read nowhere else than in the join's
//! condition, and neither it nor the condition is volatile or locks rows. Who is asked for rows again (locks, changes) reads
//! all that is known of them, so below such an operator nothing is left out.
//!
//! # Differences
//! PostgreSQL leaves out a side with at most one row (`LEFT JOIN LATERAL (SELECT count(*) …) ON true`) only where a unique
//! key says so.

use ochre_base::{Result, limits};

use super::uniqueness::Uniqueness;
use super::{RuleContext, each_query};
use crate::idset::IdSet;
use crate::logical::{Join, JoinKind, Logical, LogicalStatement};
use crate::walk::{
    Parts, contains_locks, has_effects, inputs, inputs_mut, is_volatile, needed_below, produced,
};

/// Leaves joins out of every query of a statement.
pub(super) fn apply(statement: &mut LogicalStatement, context: &RuleContext<'_>) -> Result<()> {
    each_query(statement, &mut |plan, required, parts| eliminate(plan, required, parts, context));
    Ok(())
}

fn eliminate(plan: &mut Logical, required: &IdSet, parts: Parts<'_>, context: &RuleContext<'_>) {
    stacker::maybe_grow(limits::STACK_RED_ZONE_BYTES, limits::STACK_GROWTH_BYTES, || {
        while let Logical::Join(join) = plan
            && let Some(kept) = superfluous(join, required, parts, context)
        {
            *plan = kept;
        }
        if inputs(plan).is_empty() {
            return;
        }
        let needed = needed_below(plan, required, parts);
        inputs_mut(plan).into_iter().for_each(|input| eliminate(input, &needed, parts, context));
    });
}

/// What is left of an outer join that changes nothing.
fn superfluous(
    join: &mut Join,
    required: &IdSet,
    parts: Parts<'_>,
    context: &RuleContext<'_>,
) -> Option<Logical> {
    let (kept, other) = match join.kind {
        JoinKind::Left => (&join.left, &join.right),
        JoinKind::Right => (&join.right, &join.left),
        _ => return None,
    };
    let made = produced(other, parts.tables);
    let uniqueness = Uniqueness { tables: parts.tables, settings: context.settings };
    let left_out = !made.intersects(required)
        && !made.intersects(&produced(kept, parts.tables))
        && uniqueness.has_one_match(other, &join.on)
        && !join.on.iter().any(|on| has_effects(on, parts))
        && !is_volatile(other, parts.subqueries)
        && !contains_locks(other);
    if !left_out {
        return None;
    }
    let kept = if join.kind == JoinKind::Left { &mut join.left } else { &mut join.right };
    Some(std::mem::replace(kept, Logical::Dummy { row: false }))
}
