//! `min` and `max` of indexed columns: for each the first non-null value in index order, through a subquery with ORDER BY and
//! LIMIT 1 that the planner answers by the index.
//!
//! All aggregates of a query must be such: for any other one the rows are read anyway. A subquery that mentions the query
//! around it is run often, and better by an index on what it mentions.

use std::sync::Arc;

use ochre_base::Result;
use ochre_expr::{Expr, SubPlanKind, Volatility, btree_comparison};
use ochre_types::{Datum, SqlType};

use super::RuleContext;
use super::unnest::has_subplan;
use crate::logical::{
    AggregateExpr, ColumnId, Grouping, Logical, LogicalBody, LogicalStatement, Ordering, Query, Subquery,
    TableId, TableUse,
};
use crate::physical::{OutputColumn, ScanColumn};
use crate::walk::{Parts, each_node_mut, free_columns};

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
            && let Some(found) = first_values(grouping, &statement.tables)
        {
            let items = found.into_iter().map(|first| subquery(first, statement)).collect();
            *node = Logical::Project { input: Box::new(Logical::Dummy { row: true }), items };
        }
    });
}

/// An aggregate that is the first value of a column in an order.
struct FirstValue {
    /// The aggregate's id and type.
    id: ColumnId,
    ty: SqlType,
    table: TableId,
    predicates: Vec<Expr>,
    column: Expr,
    descending: bool,
}

/// What the aggregates of a grouping are, if an index answers each of them.
fn first_values(grouping: &Grouping, tables: &[TableUse]) -> Option<Vec<FirstValue>> {
    if grouping.aggregates.is_empty() || !grouping.keys.is_empty() || grouping.sets.is_some() {
        return None;
    }
    let (table, predicates) = match &grouping.input {
        Logical::Get(table) => (*table, Vec::new()),
        Logical::Filter { input, predicates } => match &**input {
            Logical::Get(table) => (*table, predicates.clone()),
            _ => return None,
        },
        _ => return None,
    };
    let one = |(id, call): &(ColumnId, AggregateExpr)| {
        let (column, descending) = first_value(call, &tables[table])?;
        Some(FirstValue { id: *id, ty: call.ty, table, predicates: predicates.clone(), column, descending })
    };
    let many = grouping.aggregates.len() > 1;
    // What is asked once must not be asked again and again.
    if many
        && predicates
            .iter()
            .any(|predicate| predicate.volatility() == Volatility::Volatile || has_subplan(predicate))
    {
        return None;
    }
    grouping.aggregates.iter().map(one).collect()
}

/// The column whose first value in an order a call is, if an index of the table has that order.
fn first_value(call: &AggregateExpr, used: &TableUse) -> Option<(Expr, bool)> {
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
    if !descending && comparison.less.oid != aggregate.sort_operator {
        return None;
    }
    let (ScanColumn::Table(position), _) = used.columns.iter().find(|(_, known)| known == index)? else {
        return None;
    };
    let number = i16::try_from(position + 1).ok()?;
    let indexed = used.table.indexes.iter().any(|index| {
        let usable = index.valid && index.predicate.is_none() && index.is_ordered();
        usable && index.keys.first().is_some_and(|key| key.number == number)
    });
    indexed.then(|| (Expr::Column { index: *index, ty: *ty }, descending))
}

/// The subquery that a first value is.
fn subquery(first: FirstValue, statement: &mut LogicalStatement) -> (ColumnId, Expr) {
    let FirstValue { id, ty, table, predicates, column, descending } = first;
    let Expr::Column { index, .. } = column else { unreachable!("it is made of a column") };
    let mut all = predicates;
    all.push(Expr::IsNull { arg: Box::new(column.clone()), negated: true, row: false });
    let filtered = Logical::Filter { input: Box::new(Logical::Get(table)), predicates: all };
    let sorted = Logical::Sort {
        input: Box::new(filtered),
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
