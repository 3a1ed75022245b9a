//! What nothing reads is not computed: columns of subqueries, of UNION ALL and of WITH entries, aggregates, and window
//! functions with the sorts that they need.
//!
//! # Conditions
//! A column stays whatever reads it when evaluating it does something (a volatile function), decides how many rows there
//! are (a set, a column of DISTINCT, a group key), or may be read by an operator that looks at rows again (locks, and the
//! source of a statement that changes rows). Errors of what is not computed are not raised.
//!
//! A WITH entry loses a column when no scan of it reads the column; only then can the entry's own query lose more. So the
//! rule runs until no entry has become narrower. A recursive entry keeps its columns: its rounds are compared by all of them.

use ochre_base::{Result, limits};

use super::{RuleContext, each_query};
use crate::idset::IdSet;
use crate::logical::{ColumnId, Logical, LogicalBody, LogicalStatement, SetItem};
use crate::walk::{Parts, each_of_aggregate, has_effects, inputs, inputs_mut, needed_below};

/// Prunes every query of a statement.
pub(super) fn apply(statement: &mut LogicalStatement, _context: &RuleContext<'_>) -> Result<()> {
    loop {
        each_query(statement, &mut |plan, required, parts| prune(plan, required, parts));
        if !narrow_ctes(statement) {
            return Ok(());
        }
    }
}

/// Takes off what is not required below a plan.
fn prune(plan: &mut Logical, required: &IdSet, parts: Parts<'_>) {
    stacker::maybe_grow(limits::STACK_RED_ZONE_BYTES, limits::STACK_GROWTH_BYTES, || {
        prune_operator(plan, required, parts);
        if inputs(plan).is_empty() {
            return;
        }
        let needed = needed_below(plan, required, parts);
        inputs_mut(plan).into_iter().for_each(|input| prune(input, &needed, parts));
    });
}

fn prune_operator(plan: &mut Logical, required: &IdSet, parts: Parts<'_>) {
    match plan {
        Logical::Project { items, .. } => {
            items.retain(|(id, expr)| required.contains(*id) || has_effects(expr, parts));
        }
        Logical::ProjectSet { items, .. } => items.retain(|(id, item)| match item {
            SetItem::Scalar(expr) => required.contains(*id) || has_effects(expr, parts),
            SetItem::Set { .. } => true,
        }),
        Logical::Aggregate(grouping) => grouping.aggregates.retain(|(id, call)| {
            required.contains(*id) || each_of_aggregate(call).any(|expr| has_effects(expr, parts))
        }),
        Logical::Window(window) => {
            window.calls.retain(|(id, call)| {
                required.contains(*id) || call.exprs().any(|expr| has_effects(expr, parts))
            });
            if window.calls.is_empty() {
                let input = std::mem::replace(&mut window.input, Logical::Dummy { row: false });
                *plan = input;
                prune_operator(plan, required, parts);
            }
        }
        Logical::CteScan { columns, .. } => columns.retain(|(_, id)| required.contains(*id)),
        Logical::Append(set) if set.set.is_none() => {
            let kept: Vec<usize> =
                (0..set.columns.len()).filter(|at| required.contains(set.columns[*at])).collect();
            if kept.len() < set.columns.len() {
                set.columns = kept.iter().map(|at| set.columns[*at]).collect();
                for (_, ids) in &mut set.inputs {
                    *ids = kept.iter().map(|at| ids[*at]).collect();
                }
            }
        }
        _ => {}
    }
}

/// Takes the columns off WITH entries that no scan reads; says whether there were any.
fn narrow_ctes(statement: &mut LogicalStatement) -> bool {
    let mut narrowed = false;
    for index in 0..statement.ctes.len() {
        let cte = &statement.ctes[index];
        let LogicalBody::Query(query) = &cte.body else { continue };
        if cte.recursive || cte.references == 0 || query.output.is_empty() {
            continue;
        }
        let width = query.output.len();
        let mut read = vec![false; width];
        each_scan(statement, index, &mut |columns| columns.iter().for_each(|(at, _)| read[*at] = true));
        if read.iter().all(|read| *read) {
            continue;
        }
        let place: Vec<usize> =
            (0..width).map(|at| read[..at].iter().filter(|read| **read).count()).collect();
        each_scan(statement, index, &mut |columns| columns.iter_mut().for_each(|(at, _)| *at = place[*at]));
        let cte = &mut statement.ctes[index];
        let LogicalBody::Query(query) = &mut cte.body else { continue };
        for output in [&mut query.output, &mut cte.output] {
            let mut at = 0;
            output.retain(|_| {
                at += 1;
                read[at - 1]
            });
        }
        narrowed = true;
    }
    narrowed
}

/// The columns of a scan of a WITH entry: their positions and ids.
type ScanColumns = Vec<(usize, ColumnId)>;

/// Calls `visit` with the columns of each scan of a WITH entry.
fn each_scan(statement: &mut LogicalStatement, index: usize, visit: &mut dyn FnMut(&mut ScanColumns)) {
    each_query(statement, &mut |plan, _, _| {
        crate::walk::each_node_mut(plan, &mut |node| {
            if let Logical::CteScan { cte, columns, .. } = node
                && *cte == index
            {
                visit(columns);
            }
        });
    });
}
