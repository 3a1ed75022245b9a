//! Conditions, orders and windows as text.

use std::sync::Arc;

use ochre_catalog::IndexDescriptor;
use ochre_expr::Expr;

use super::names::Names;
use crate::physical::{
    FrameBound, FrameExclusion, FrameMode, IndexBounds, KeyCondition, PhysicalPlan, ScanSource, SortKey,
    WindowPlan,
};

pub(super) fn window_definition(names: &Names<'_>, window: &WindowPlan) -> String {
    let mut parts = Vec::new();
    if !window.partition.is_empty() {
        let texts: Vec<String> =
            window.partition.iter().map(|expr| names.text(expr, &[&window.input])).collect();
        parts.push(format!("PARTITION BY {}", texts.join(", ")));
    }
    if !window.order.is_empty() {
        parts.push(format!("ORDER BY {}", sort_text(names, &window.order, &window.input)));
    }
    let bound = |bound: &FrameBound| match bound {
        FrameBound::UnboundedPreceding => "UNBOUNDED PRECEDING".to_owned(),
        FrameBound::Preceding(expr) => format!("{} PRECEDING", names.text(expr, &[])),
        FrameBound::CurrentRow => "CURRENT ROW".to_owned(),
        FrameBound::Following(expr) => format!("{} FOLLOWING", names.text(expr, &[])),
        FrameBound::UnboundedFollowing => "UNBOUNDED FOLLOWING".to_owned(),
    };
    let frame = &window.frame;
    let mode = match frame.mode {
        FrameMode::Rows => "ROWS",
        FrameMode::Range => "RANGE",
        FrameMode::Groups => "GROUPS",
    };
    let usual = frame.mode == FrameMode::Range && matches!(frame.start, FrameBound::UnboundedPreceding);
    match &frame.end {
        FrameBound::CurrentRow if usual => {}
        FrameBound::CurrentRow => parts.push(format!("{mode} {}", bound(&frame.start))),
        end => parts.push(format!("{mode} BETWEEN {} AND {}", bound(&frame.start), bound(end))),
    }
    match frame.exclusion {
        FrameExclusion::NoOthers => {}
        FrameExclusion::CurrentRow => parts.push("EXCLUDE CURRENT ROW".to_owned()),
        FrameExclusion::Group => parts.push("EXCLUDE GROUP".to_owned()),
        FrameExclusion::Ties => parts.push("EXCLUDE TIES".to_owned()),
    }
    parts.join(" ")
}

pub(super) fn join_cond(
    names: &Names<'_>,
    keys: (&[Expr], &[Expr]),
    outer: &Arc<PhysicalPlan>,
    inner: &Arc<PhysicalPlan>,
) -> String {
    let parts: Vec<String> = keys
        .0
        .iter()
        .zip(keys.1)
        .map(|(l, r)| format!("({} = {})", names.text(l, &[outer]), names.text(r, &[inner])))
        .collect();
    conjunction(parts)
}

fn conjunction(mut parts: Vec<String>) -> String {
    if parts.len() == 1 { parts.remove(0) } else { format!("({})", parts.join(" AND ")) }
}

/// The keys of a sort: what one computes stands in parentheses.
pub(super) fn sort_texts(names: &Names<'_>, keys: &[SortKey], input: &Arc<PhysicalPlan>) -> Vec<String> {
    keys.iter()
        .map(|key| match &key.expr {
            Expr::Column { .. } => sort_key(names.text(&key.expr, &[input]), key),
            computed => sort_key(format!("({})", names.text(computed, &[input])), key),
        })
        .collect()
}

/// A key with its order.
pub(super) fn sort_key(mut text: String, key: &SortKey) -> String {
    if key.descending {
        text.push_str(" DESC");
    }
    if key.nulls_first != key.descending {
        text.push_str(if key.nulls_first { " NULLS FIRST" } else { " NULLS LAST" });
    }
    text
}

/// ORDER BY of an aggregate or a window.
pub(super) fn sort_text(names: &Names<'_>, keys: &[SortKey], input: &Arc<PhysicalPlan>) -> String {
    let texts: Vec<String> = keys.iter().map(|key| sort_key(names.text(&key.expr, &[input]), key)).collect();
    texts.join(", ")
}

pub(super) fn index_cond(
    names: &Names<'_>,
    source: &ScanSource,
    index: &IndexDescriptor,
    bounds: &IndexBounds,
) -> Option<String> {
    bounds_text(names, index, bounds, |position| {
        let key = &index.keys[position];
        match &key.expression {
            // A call of a user's function.
            Some(text) if text.starts_with(crate::bind::view::OID_NAMESPACE) && text.ends_with(')') => {
                text.to_string()
            }
            Some(text) => format!("({text})"),
            None => match source.table.column(key.number) {
                Some(column) => names.qualified(&source.alias, &column.name),
                None => index.column_names[position].to_string(),
            },
        }
    })
}

fn bounds_text(
    names: &Names<'_>,
    index: &IndexDescriptor,
    bounds: &IndexBounds,
    key_name: impl Fn(usize) -> String,
) -> Option<String> {
    let mut parts = Vec::new();
    for (position, key) in bounds.keys.iter().enumerate() {
        let name = key_name(position);
        parts.push(match key {
            KeyCondition::Equal(value) => format!("({name} = {})", names.text(&value.expr, &[])),
            KeyCondition::Any(value) => format!("({name} = ANY ({}))", names.text(&value.expr, &[])),
            KeyCondition::IsNull => format!("({name} IS NULL)"),
        });
    }
    for condition in &bounds.gin {
        let (name, operator) = (key_name(condition.column), condition.strategy.operator());
        parts.push(format!("({name} {operator} {})", names.text(&condition.value, &[])));
    }
    if let Some(row) = &bounds.row {
        let first = bounds.keys.len();
        let columns: Vec<String> = (first..first + row.values.len()).map(&key_name).collect();
        let values: Vec<String> = row.values.iter().map(|value| names.text(&value.expr, &[])).collect();
        let op = match (row.upper, row.inclusive) {
            (false, false) => ">",
            (false, true) => ">=",
            (true, false) => "<",
            (true, true) => "<=",
        };
        parts.push(format!("(ROW({}) {op} ROW({}))", columns.join(", "), values.join(", ")));
    }
    if let Some(range) = &bounds.range {
        let name = key_name(bounds.keys.len().min(index.keys.len().saturating_sub(1)));
        if let Some(lower) = &range.lower {
            let op = if lower.inclusive { ">=" } else { ">" };
            parts.push(format!("({name} {op} {})", names.text(&lower.value.expr, &[])));
        }
        if let Some(upper) = &range.upper {
            let op = if upper.inclusive { "<=" } else { "<" };
            parts.push(format!("({name} {op} {})", names.text(&upper.value.expr, &[])));
        }
        if range.not_null && range.lower.is_none() && range.upper.is_none() {
            parts.push(format!("({name} IS NOT NULL)"));
        }
    }
    if parts.is_empty() { None } else { Some(conjunction(parts)) }
}
