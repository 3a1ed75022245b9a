//! `min` and `max` of indexed columns: for each the first non-null value in index order, through a subquery with ORDER BY and
//! LIMIT 1 that the planner answers by the index. Of several tables (the relations of a set, UNION ALL) the planner merges
//! what their indexes give, or takes them one after the other where their bounds have that order.
//!
//! # Conditions
//! All aggregates of a query must be such: for any other one the rows are read anyway. Each table below that has no fitting
//! index is read as a whole for each aggregate, and all of these together must be no more than there is to read without the
//! rule. An index fits when the column is its first one, or when conditions equate those before it with constants. A subquery
//! that mentions the query around it is run often, and better by an index on what it mentions.
//!
//! What is volatile is not asked twice, and what a query below computes for each row is computed for each: so several
//! aggregates need conditions that are not volatile, and a projection with effects keeps the rule away.

use std::sync::Arc;

use ochre_base::Result;
use ochre_expr::{Expr, SubPlanKind, Volatility, btree_comparison};
use ochre_types::{Datum, SqlType};

use super::RuleContext;
use super::unnest::has_subplan;
use crate::logical::{
    AggregateExpr, ColumnId, Grouping, Logical, LogicalBody, LogicalStatement, Ordering, Query, Subquery,
    TableUse,
};
use crate::physical::{OutputColumn, ScanColumn};
use crate::plan::{Operation, comparison_of};
use crate::walk::{Parts, each_node_mut, free_columns, has_effects, inputs};

/// Rewrites every query of a statement that mentions no other.
pub(super) fn apply(statement: &mut LogicalStatement, _context: &RuleContext<'_>) -> Result<()> {
    let own = |statement: &LogicalStatement, index: usize| {
        let LogicalStatement { tables, subqueries, ctes, .. } = statement;
        let parts = Parts { tables, subqueries, ctes };
        free_columns(&subqueries[index].query.plan, parts).is_empty()
    };
    let uncorrelated: Vec<usize> =
        (0..statement.subqueries.len()).filter(|index| own(statement, *index)).collect();
    for index in uncorrelated {
        let plan = &mut statement.subqueries[index].query.plan;
        let mut plan = std::mem::replace(plan, Logical::Dummy { row: false });
        rewrite(&mut plan, statement);
        statement.subqueries[index].query.plan = plan;
    }
    for index in 0..=statement.ctes.len() {
        let empty = LogicalBody::Query(Query { plan: Logical::Dummy { row: false }, output: Vec::new() });
        let place = |statement: &mut LogicalStatement, body| match statement.ctes.get_mut(index) {
            Some(cte) => std::mem::replace(&mut cte.body, body),
            None => std::mem::replace(&mut statement.body, body),
        };
        let mut body = place(statement, empty);
        if let LogicalBody::Query(query) = &mut body {
            rewrite(&mut query.plan, statement);
        }
        place(statement, body);
    }
    Ok(())
}

fn rewrite(plan: &mut Logical, statement: &mut LogicalStatement) {
    each_node_mut(plan, &mut |node| {
        if let Logical::Aggregate(grouping) = node
            && let Some(found) = first_values(grouping, statement)
        {
            let items = found.into_iter().map(|first| subquery(first, &grouping.input, statement)).collect();
            *node = Logical::Project { input: Box::new(Logical::Dummy { row: true }), items };
        }
    });
}

/// An aggregate that is the first value of a column in an order.
struct FirstValue {
    /// The aggregate's id and type.
    id: ColumnId,
    ty: SqlType,
    column: ColumnId,
    descending: bool,
}

/// A table whose column is a column of the plan above it.
struct Source<'a> {
    used: &'a TableUse,
    column: ColumnId,
    /// What its rows satisfy.
    predicates: &'a [Expr],
}

/// What the aggregates of a grouping are, if indexes answer them.
fn first_values(grouping: &Grouping, statement: &LogicalStatement) -> Option<Vec<FirstValue>> {
    if grouping.aggregates.is_empty() || !grouping.keys.is_empty() || grouping.sets.is_some() {
        return None;
    }
    // What is asked once must not be asked again and again.
    if grouping.aggregates.len() > 1 && has_costly_conditions(&grouping.input) {
        return None;
    }
    let LogicalStatement { tables, subqueries, ctes, .. } = statement;
    let parts = Parts { tables, subqueries, ctes };
    let mut found = Vec::with_capacity(grouping.aggregates.len());
    // Pages that are read without the rule, and those of tables that no index answers for.
    let (mut all, mut read) = (0, 0);
    for (id, call) in &grouping.aggregates {
        let (column, descending) = first_value(call)?;
        let mut sources = Vec::new();
        collect_sources(&grouping.input, column, parts, &mut sources)?;
        let pages = |source: &Source<'_>| u64::from(source.used.table.page_estimate.max(1));
        let unanswered = |source: &&Source<'_>| !is_answered(source);
        all = sources.iter().map(pages).sum::<u64>();
        read += sources.iter().filter(unanswered).map(pages).sum::<u64>();
        if sources.iter().all(|source| !is_answered(source)) {
            return None;
        }
        found.push(FirstValue { id: *id, ty: call.ty, column, descending });
    }
    (read <= all).then_some(found)
}

/// The column whose first value in an order a call is.
fn first_value(call: &AggregateExpr) -> Option<(ColumnId, bool)> {
    if call.filter.is_some() || !call.order_by.is_empty() {
        return None;
    }
    let aggregate = &call.function.0;
    let [Expr::Column { index, ty }] = call.args.as_slice() else { return None };
    if !aggregate.sort_operator.is_valid() {
        return None;
    }
    let comparison = btree_comparison(ty.oid)?;
    let descending = comparison.greater.oid == aggregate.sort_operator;
    (descending || comparison.less.oid == aggregate.sort_operator).then_some((*index, descending))
}

/// Whether a plan has a condition that is to be asked once only.
fn has_costly_conditions(plan: &Logical) -> bool {
    let own = match plan {
        Logical::Filter { predicates, .. } => predicates
            .iter()
            .any(|predicate| predicate.volatility() == Volatility::Volatile || has_subplan(predicate)),
        _ => false,
    };
    own || inputs(plan).into_iter().any(has_costly_conditions)
}

/// The tables that a column of a plan comes from; `None` when it comes from anything else.
fn collect_sources<'a>(
    plan: &'a Logical,
    column: ColumnId,
    parts: Parts<'a>,
    found: &mut Vec<Source<'a>>,
) -> Option<()> {
    match plan {
        Logical::Get(table) => {
            found.push(Source { used: &parts.tables[*table], column, predicates: &[] });
            Some(())
        }
        Logical::Filter { input, predicates } => match &**input {
            Logical::Get(table) => {
                found.push(Source { used: &parts.tables[*table], column, predicates });
                Some(())
            }
            other => collect_sources(other, column, parts, found),
        },
        Logical::Project { input, items } => {
            if items.iter().any(|(_, expr)| has_effects(expr, parts)) {
                return None;
            }
            collect_sources(input, passed_on(items, column)?, parts, found)
        }
        Logical::Append(set) => {
            let position = set.columns.iter().position(|id| *id == column)?;
            set.inputs.iter().try_for_each(|(input, ids)| collect_sources(input, ids[position], parts, found))
        }
        _ => None,
    }
}

/// The column that a projection passes on under this id.
fn passed_on(items: &[(ColumnId, Expr)], id: ColumnId) -> Option<ColumnId> {
    match items.iter().find(|(known, _)| *known == id)? {
        (_, Expr::Column { index, .. }) => Some(*index),
        _ => None,
    }
}

/// Whether an index gives a table's rows in the order of a column.
fn is_answered(source: &Source<'_>) -> bool {
    let Source { used, column, predicates } = source;
    let number = |id: ColumnId| match used.columns.iter().find(|(_, known)| *known == id)?.0 {
        ScanColumn::Table(position) => i16::try_from(position + 1).ok(),
        _ => None,
    };
    let Some(wanted) = number(*column) else { return false };
    let fixed = |key: i16| {
        predicates.iter().any(|predicate| match comparison_of(predicate) {
            Some((Operation::Equal, Expr::Column { index, .. }, value))
            | Some((Operation::Equal, value, Expr::Column { index, .. })) => {
                number(*index) == Some(key) && value.columns().is_empty()
            }
            _ => false,
        })
    };
    used.table.indexes.iter().any(|index| {
        let usable = index.valid && index.predicate.is_none() && index.is_ordered();
        let mut keys = index.keys.iter().skip_while(|key| key.number != wanted && fixed(key.number));
        usable && keys.next().is_some_and(|key| key.number == wanted)
    })
}

/// Leaves the rows out of a plan of which a column is NULL, as far below as an index can tell them.
fn leave_out_nulls(plan: &mut Logical, column: ColumnId, statement: &LogicalStatement) {
    match plan {
        Logical::Append(set) => {
            let position = set.columns.iter().position(|id| *id == column);
            let position = position.expect("the column comes from each input");
            for (input, ids) in &mut set.inputs {
                leave_out_nulls(input, ids[position], statement);
            }
        }
        Logical::Project { input, items } => {
            let below = passed_on(items, column).expect("the column is passed on");
            leave_out_nulls(input, below, statement);
        }
        Logical::Filter { input, .. } if !matches!(**input, Logical::Get(_)) => {
            leave_out_nulls(input, column, statement);
        }
        other => {
            let arg = Box::new(Expr::Column { index: column, ty: statement.columns[column].ty });
            let known = Expr::IsNull { arg, negated: true, row: false };
            match other {
                Logical::Filter { predicates, .. } => predicates.push(known),
                _ => {
                    let input = Box::new(std::mem::replace(other, Logical::Dummy { row: false }));
                    *other = Logical::Filter { input, predicates: vec![known] };
                }
            }
        }
    }
}

/// The subquery that a first value is.
fn subquery(first: FirstValue, rows: &Logical, statement: &mut LogicalStatement) -> (ColumnId, Expr) {
    let FirstValue { id, ty, column: index, descending } = first;
    let mut rows = rows.clone();
    leave_out_nulls(&mut rows, index, statement);
    let column = Expr::Column { index, ty: statement.columns[index].ty };
    let sorted = Logical::Sort {
        input: Box::new(rows),
        keys: vec![Ordering { expr: column, descending, nulls_first: descending }],
    };
    let plan = Logical::Limit {
        input: Box::new(sorted),
        limit: Some(Expr::constant(Datum::Int64(1), SqlType::INT8)),
        offset: None,
        ties: None,
    };
    let info = &statement.columns[index];
    let output =
        vec![(index, OutputColumn { name: Arc::clone(&info.name), ty: info.ty, origin: info.origin })];
    let frame = 1 + statement.subqueries.iter().map(|subquery| subquery.frame).max().unwrap_or(0);
    let depth = info.depth + 1;
    statement.subqueries.push(Subquery { query: Query { plan, output }, depth, frame });
    let plan = statement.subqueries.len() - 1;
    (id, Expr::SubPlan { plan, kind: SubPlanKind::Scalar, args: Vec::new(), ty })
}
