//! `min` and `max` of an indexed column: the first non-null value in index order, through a subquery with ORDER BY and
//! LIMIT 1 that the planner answers by the index.

use std::sync::Arc;

use ochre_base::Result;
use ochre_expr::{Expr, SubPlanKind, btree_comparison};
use ochre_types::{Datum, SqlType};

use super::RuleContext;
use crate::logical::{Grouping, Logical, LogicalBody, LogicalStatement, Ordering, Query, Subquery, TableUse};
use crate::physical::{OutputColumn, ScanColumn};
use crate::walk::each_node_mut;

/// Rewrites the main query and those of WITH.
pub(super) fn apply(statement: &mut LogicalStatement, _context: &RuleContext<'_>) -> Result<()> {
    let LogicalStatement { body, tables, subqueries, ctes, columns, .. } = statement;
    let mut frames = 1 + subqueries.iter().map(|subquery| subquery.frame).max().unwrap_or(0);
    let mut visit = |body: &mut LogicalBody| {
        if let LogicalBody::Query(query) = body {
            each_node_mut(&mut query.plan, &mut |node| {
                if let Logical::Aggregate(grouping) = node
                    && let Some(items) = replacements(grouping, tables, subqueries, &mut frames, columns)
                {
                    *node = Logical::Project { input: Box::new(Logical::Dummy { row: true }), items };
                }
            });
        }
    };
    visit(body);
    ctes.iter_mut().for_each(|cte| visit(&mut cte.body));
    Ok(())
}

/// A scalar subquery for each aggregate, if an index answers it.
fn replacements(
    grouping: &Grouping,
    tables: &[TableUse],
    subqueries: &mut Vec<Subquery>,
    frames: &mut usize,
    columns: &[crate::logical::ColumnInfo],
) -> Option<Vec<(usize, Expr)>> {
    // One aggregate: the subquery takes the input over with its ids.
    let [(id, call)] = grouping.aggregates.as_slice() else { return None };
    if !grouping.keys.is_empty()
        || grouping.sets.is_some()
        || call.filter.is_some()
        || !call.order_by.is_empty()
    {
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
    let (table, predicates) = match &grouping.input {
        Logical::Get(table) => (*table, Vec::new()),
        Logical::Filter { input, predicates } => match &**input {
            Logical::Get(table) => (*table, predicates.clone()),
            _ => return None,
        },
        _ => return None,
    };
    let used = &tables[table];
    let (ScanColumn::Table(position), _) = used.columns.iter().find(|(_, known)| known == index)? else {
        return None;
    };
    let number = i16::try_from(position + 1).ok()?;
    let indexed = used.table.indexes.iter().any(|index| {
        let usable = index.valid && index.predicate.is_none() && index.is_ordered();
        usable && index.keys.first().is_some_and(|key| key.number == number)
    });
    if !indexed {
        return None;
    }
    let column = Expr::Column { index: *index, ty: *ty };
    let mut all = predicates;
    all.push(Expr::IsNull { arg: Box::new(column.clone()), negated: true, row: false });
    let filtered = Logical::Filter { input: Box::new(Logical::Get(table)), predicates: all };
    let sorted = Logical::Sort {
        input: Box::new(filtered),
        keys: vec![Ordering { expr: column, descending, nulls_first: descending }],
    };
    let first = Logical::Limit {
        input: Box::new(sorted),
        limit: Some(Expr::constant(Datum::Int64(1), SqlType::INT8)),
        offset: None,
        ties: None,
    };
    let info = &columns[*index];
    let output =
        vec![(*index, OutputColumn { name: Arc::clone(&info.name), ty: info.ty, origin: info.origin })];
    let frame = *frames;
    *frames += 1;
    subqueries.push(Subquery { query: Query { plan: first, output }, depth: info.depth + 1, frame });
    let plan = subqueries.len() - 1;
    Some(vec![(*id, Expr::SubPlan { plan, kind: SubPlanKind::Scalar, args: Vec::new(), ty: call.ty })])
}
