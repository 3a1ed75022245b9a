//! Which partitions a query need not read.
//!
//! # How
//! A condition on the partition key says of each partition whether it can have rows that satisfy it: the partition's values, or
//! the ends of its range, are put into the condition, or the value that the condition fixes into the partition's own
//! condition. What comes out holds no columns. It is computed at once, or, when it asks for parameters, for sub-queries
//! or for rows of other items that a nested loop has at hand, kept as a guard of the partition's scan.
//!
//! # Not done
//! Conditions on expressions that are not the key's own, and those that join partitions with other tables.

use std::sync::Arc;

use ochre_catalog::RelationDescriptor;
use ochre_expr::{EvalContext, Expr, Volatility, btree_comparison, eval_const};
use ochre_types::{Datum, SqlType};

use super::PlanBuilder;
use super::index_match::{Operation, comparison_of, operation_of, strip_relabel};
use crate::inherit::column_map;
use crate::logical::{Logical, TableId};
use crate::partition::{Bound, Detaching, Division, Edge, read_bound};
use crate::physical::ScanColumn;

/// What is known of a partition before it is read.
#[derive(Debug, Clone)]
pub(super) enum Verdict {
    /// It may have rows.
    Read,
    /// It has none.
    Skip,
    /// It has none unless this is true, which holds no columns.
    Ask(Expr),
}

/// The conditions of the filters above a table.
fn conditions<'p>(plan: &'p Logical, found: &mut Vec<&'p Expr>) {
    if let Logical::Filter { input, predicates } = plan {
        found.extend(predicates);
        conditions(input, found);
    }
}

fn or(mut parts: Vec<Expr>) -> Expr {
    match parts.len() {
        0 => Expr::bool(false),
        1 => parts.remove(0),
        _ => Expr::Or(parts),
    }
}

fn is_free(expr: &Expr) -> bool {
    !expr.any(|node| matches!(node, Expr::Column { .. }))
}

/// The predicate with a value in the place of a key; `None` when it reads anything else of the row.
fn with_value(predicate: &Expr, key: &Expr, value: &Expr) -> Option<Expr> {
    let mut found = false;
    let replaced = replace(predicate, key, value, &mut found);
    (found && is_free(&replaced)).then_some(replaced)
}

fn replace(expr: &Expr, key: &Expr, value: &Expr, found: &mut bool) -> Expr {
    if expr == key {
        *found = true;
        return value.clone();
    }
    let mut own = expr.clone();
    for child in own.children_mut() {
        *child = replace(child, key, value, found);
    }
    own
}

/// A value of the key's own type.
fn of_type(value: &Expr, ty: SqlType) -> Option<Expr> {
    let value = strip_relabel(value);
    if value.ty().oid == ty.oid {
        return Some(value.clone());
    }
    let text = |ty: SqlType| matches!(ty.oid, ochre_types::oids::TEXT | ochre_types::oids::VARCHAR);
    if text(value.ty()) && text(ty) {
        return Some(value.clone());
    }
    let Expr::Constant { value: datum, .. } = value else { return None };
    let number = datum.as_i64()?;
    let datum = match ty {
        _ if ty == SqlType::INT2 => Datum::Int16(i16::try_from(number).ok()?),
        _ if ty == SqlType::INT4 => Datum::Int32(i32::try_from(number).ok()?),
        _ if ty == SqlType::INT8 => Datum::Int64(number),
        _ => return None,
    };
    Some(Expr::constant(datum, ty))
}

/// The values that a predicate lets a key have, if they are finitely many.
fn alternatives(predicate: &Expr, key: &Expr) -> Option<Vec<Expr>> {
    let is_key = |expr: &Expr| strip_relabel(expr) == strip_relabel(key);
    match predicate {
        Expr::IsNull { arg, negated: false, row: false } if is_key(arg) => {
            Some(vec![Expr::null(SqlType::new(key.ty().oid, -1))])
        }
        Expr::Or(parts) => {
            let mut all = Vec::new();
            for part in parts {
                all.extend(alternatives(part, key)?);
            }
            Some(all)
        }
        Expr::And(parts) => parts.iter().find_map(|part| alternatives(part, key)),
        Expr::ScalarArrayOp { function, all: false, left, array, .. } if is_key(left) => {
            if operation_of(function.oid) != Some(Operation::Equal) {
                return None;
            }
            match &**array {
                Expr::Constant { value: Datum::Array(array), .. } => {
                    let element = array.element;
                    let values = array.elements.iter().filter(|value| !value.is_null());
                    values.map(|value| of_type(&Expr::constant(value.clone(), element), key.ty())).collect()
                }
                Expr::ArrayLiteral { elements, nested: false, .. } => elements
                    .iter()
                    .filter(|value| is_free(value))
                    .map(|value| of_type(value, key.ty()))
                    .collect::<Option<Vec<_>>>()
                    .filter(|values| values.len() == elements.len()),
                _ => None,
            }
        }
        other => {
            let (Operation::Equal, left, right) = comparison_of(other)? else { return None };
            let value = match (is_key(left), is_key(right)) {
                (true, false) => right,
                (false, true) => left,
                _ => return None,
            };
            if !is_free(value) {
                return None;
            }
            Some(vec![of_type(value, key.ty())?])
        }
    }
}

/// What the values that a predicate allows say of a key's ends: whether some value from `lower` up to `upper` satisfies it.
fn within(predicate: &Expr, key: &Expr, lower: &Edge, upper: &Edge, alone: bool) -> Option<Expr> {
    let is_key = |expr: &Expr| strip_relabel(expr) == strip_relabel(key);
    if let Expr::Or(parts) = predicate {
        let parts = parts.iter().map(|part| within(part, key, lower, upper, alone));
        return Some(or(parts.collect::<Option<Vec<_>>>()?));
    }
    if let Expr::And(parts) = predicate {
        let parts: Vec<Expr> =
            parts.iter().filter_map(|part| within(part, key, lower, upper, alone)).collect();
        return (!parts.is_empty()).then(|| Expr::and(parts));
    }
    if let Expr::IsNull { arg, negated: false, row: false } = predicate
        && is_key(arg)
    {
        return Some(Expr::bool(false));
    }
    let (operation, left, right) = comparison_of(predicate)?;
    let (operation, value) = match (is_key(left), is_key(right)) {
        (true, false) => (operation, right),
        (false, true) => (operation.commuted(), left),
        _ => return None,
    };
    if !is_free(value) {
        return None;
    }
    let ty = SqlType::new(key.ty().oid, -1);
    match (operation, lower, upper) {
        (Operation::Less | Operation::LessOrEqual, Edge::Value(lower), _) => {
            with_value(predicate, strip_relabel(key), &Expr::constant(lower.clone(), ty))
        }
        (Operation::Greater | Operation::GreaterOrEqual, _, Edge::Value(upper)) => {
            let end = Expr::constant(upper.clone(), ty);
            // The end itself is not in the range of a key of one column.
            let strict = alone.then(|| of_type(value, key.ty())).flatten();
            if let (Some(value), Some(comparison)) = (strict, btree_comparison(ty.oid))
                && comparison.greater.left == ty.oid
            {
                return Some(Expr::call(comparison.greater.function, vec![end, value], SqlType::BOOL));
            }
            with_value(predicate, strip_relabel(key), &end)
        }
        _ => None,
    }
}

impl PlanBuilder<'_> {
    /// What the conditions on a partition say of it.
    pub(super) fn verdict(&self, plan: &Logical, table: TableId) -> Verdict {
        let used = &self.tables[table];
        if !used.table.is_partition() || !self.settings().enable_partition_pruning {
            return Verdict::Read;
        }
        let mut found = Vec::new();
        conditions(plan, &mut found);
        let predicates: Vec<Expr> = found.into_iter().filter_map(|p| self.own_condition(p, table)).collect();
        if predicates.is_empty() {
            return Verdict::Read;
        }
        let Some(guards) = self.guards(&used.table, &predicates) else { return Verdict::Read };
        let mut asked = Vec::new();
        for guard in guards {
            let open = guard.any(|node| {
                matches!(
                    node,
                    Expr::Parameter { .. }
                        | Expr::SessionValue { .. }
                        | Expr::SubPlan { .. }
                        | Expr::Correlated { .. }
                )
            });
            if open || guard.volatility() != Volatility::Immutable {
                asked.push(guard);
                continue;
            }
            let session = self.planner.session;
            let eval = EvalContext { params: &[], correlated: &[], session, subplans: None };
            match eval_const(&guard, &eval) {
                Ok(Datum::Bool(true)) | Err(_) => {}
                Ok(_) => return Verdict::Skip,
            }
        }
        if asked.is_empty() {
            return Verdict::Read;
        }
        Verdict::Ask(Expr::and(asked).transform(&mut |node| match node {
            Expr::Correlated { slot, ty } => Expr::Column { index: slot, ty },
            other => other,
        }))
    }

    /// A condition over a table's positions; `None` when it may not be asked twice, or asks a subquery for each row. What it
    /// reads of other items' rows, which is known before the table is read, stands there as `Correlated`, by its id.
    fn own_condition(&self, predicate: &Expr, table: TableId) -> Option<Expr> {
        if self.has_row_subplan(predicate) || predicate.volatility() == Volatility::Volatile {
            return None;
        }
        let columns = &self.tables[table].columns;
        let position = |id: usize| {
            columns.iter().find_map(|(column, known)| match column {
                ScanColumn::Table(position) if *known == id => Some(*position),
                _ => None,
            })
        };
        let system = |id: usize| columns.iter().any(|(_, known)| *known == id) && position(id).is_none();
        if predicate.columns().into_iter().any(system) {
            return None;
        }
        Some(predicate.clone().transform(&mut |node| match node {
            Expr::Column { index, ty } => match position(index) {
                Some(position) => Expr::Column { index: position, ty },
                None => Expr::Correlated { slot: index, ty },
            },
            other => other,
        }))
    }

    /// What must all be true for a partition to have rows, level by level upwards.
    fn guards(&self, table: &Arc<RelationDescriptor>, predicates: &[Expr]) -> Option<Vec<Expr>> {
        let catalog = self.planner.catalog;
        let mut guards = Vec::new();
        let mut current = Arc::clone(table);
        while let (Some(bound), Some(parent)) =
            (&current.inheritance.bound, current.inheritance.parents.first())
        {
            let parent = catalog.relation(*parent).cloned()?;
            let division = Division::of(catalog, &parent, Detaching::Counted).ok()?;
            let bound = read_bound(bound, &division.types()).ok()?;
            let keys = division.keys_of(&column_map(&parent, table).ok()?);
            guards.extend(level_guards(&division, &bound, &keys, predicates));
            current = parent;
        }
        Some(guards)
    }
}

fn level_guards(division: &Division, bound: &Bound, keys: &[Expr], predicates: &[Expr]) -> Vec<Expr> {
    let mut guards = Vec::new();
    if let Bound::List(values) = bound {
        let ty = SqlType::new(keys[0].ty().oid, -1);
        let key = strip_relabel(&keys[0]);
        for predicate in predicates {
            let possible =
                values.iter().map(|value| with_value(predicate, key, &Expr::constant(value.clone(), ty)));
            if let Some(possible) = possible.collect::<Option<Vec<_>>>() {
                guards.push(or(possible));
            }
        }
        return guards;
    }
    if let Bound::Range { lower, upper } = bound {
        for predicate in predicates {
            guards.extend(within(predicate, &keys[0], &lower[0], &upper[0], keys.len() == 1));
        }
    }
    // Values for the keys, as far as predicates fix them.
    let fixed: Vec<Option<Vec<Expr>>> =
        keys.iter().map(|key| predicates.iter().find_map(|predicate| alternatives(predicate, key))).collect();
    if fixed.iter().all(Option::is_none) {
        return guards;
    }
    let complete = fixed.iter().all(Option::is_some);
    let combinations = fixed.iter().flatten().map(Vec::len).product::<usize>();
    if combinations > 100 || (!complete && !matches!(bound, Bound::Range { .. })) {
        return guards;
    }
    let mut possible = Vec::new();
    for number in 0..combinations {
        let mut rest = number;
        let values: Vec<Option<Expr>> = fixed
            .iter()
            .map(|values| {
                let values = values.as_ref()?;
                let value = values[rest % values.len()].clone();
                rest /= values.len();
                Some(value)
            })
            .collect();
        let given: Vec<Expr> = values
            .iter()
            .zip(keys)
            .map(|(value, key)| value.clone().unwrap_or_else(|| key.clone()))
            .collect();
        match division.constraint(bound, &given) {
            Ok(condition) => possible.push(weakened(condition)),
            Err(_) => return guards,
        }
    }
    guards.push(or(possible));
    guards
}

/// The condition with TRUE in the place of what columns decide.
fn weakened(condition: Expr) -> Expr {
    if is_free(&condition) {
        return condition;
    }
    match condition {
        Expr::And(parts) => Expr::and(parts.into_iter().map(weakened)),
        Expr::Or(parts) => Expr::Or(parts.into_iter().map(weakened).collect()),
        _ => Expr::bool(true),
    }
}
