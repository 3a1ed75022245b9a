//! Partitioned tables: how their rows are divided, which partition takes a row, and which partitions a query need not read.
//!
//! # How
//! A [`Division`] is a partitioned table's key as expressions with its partitions in the order of their bounds. The condition
//! that a partition's rows satisfy is an expression over the key ([`Division::constraint`]). Rows are checked by it, and a query
//! is kept from partitions by it: a predicate that fixes a key column puts its value into the condition, which is then
//! false, or a question about parameters that is asked when the statement runs.

use std::cmp::Ordering;
use std::sync::Arc;

use ochre_base::{Error, Lsn, Oid, Result};
use ochre_catalog::{
    BoundValue, CatalogSnapshot, IMPLICIT_NAMESPACES, PartitionBound, PartitionStrategy, RelationDescriptor,
    RelationKind,
};
use ochre_expr::{CastKind, Expr, NoSession, Operator, SourcePos, btree_comparison, functions_named};
use ochre_types::compare::compare_datums;
use ochre_types::{ArrayValue, Datum, FormatContext, SqlType, parse_text};

use crate::bind::{RowExpression, RowExpressionBinder};
use crate::inherit::{ColumnMap, column_map};
use crate::physical::{RouteNode, RoutePlace, Routes};

/// One end of a range in one column.
#[derive(Debug, Clone, PartialEq)]
pub enum Edge {
    Minimum,
    Value(Datum),
    Maximum,
}

/// Which rows a partition takes.
#[derive(Debug, Clone)]
pub enum Bound {
    Default,
    List(Vec<Datum>),
    Range { lower: Vec<Edge>, upper: Vec<Edge> },
    Hash { modulus: i32, remainder: i32 },
}

/// A partition of a table.
#[derive(Debug, Clone)]
pub struct Partition {
    pub table: Arc<RelationDescriptor>,
    pub bound: Bound,
}

/// Whether partitions count that are being detached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detaching {
    /// They do.
    Counted,
    /// They do not.
    Omitted,
    /// Those do that a transaction with this snapshot sees in their tables.
    SeenBy(Lsn),
}

impl Detaching {
    /// What counts for a transaction; `snapshot` is its own if that may be older than a detachment.
    pub fn of_transaction(snapshot: Option<Lsn>) -> Detaching {
        snapshot.map_or(Detaching::Omitted, Detaching::SeenBy)
    }

    fn counts(self, partition: &RelationDescriptor) -> bool {
        match (partition.inheritance.detaching, self) {
            (None, _) | (_, Detaching::Counted) => true,
            (Some(_), Detaching::Omitted) => false,
            (Some(begun), Detaching::SeenBy(snapshot)) => snapshot < begun,
        }
    }
}

/// How a partitioned table's rows are divided.
#[derive(Debug, Clone)]
pub struct Division {
    /// The partitioned table.
    pub table: Oid,
    pub strategy: PartitionStrategy,
    /// The key, over the table's columns by position.
    pub keys: Vec<Expr>,
    /// In the order of their bounds; the default partition stands last.
    pub partitions: Vec<Partition>,
}

/// Compares two ends of ranges.
pub fn compare_edges(a: &[Edge], b: &[Edge], types: &[SqlType]) -> Ordering {
    for ((a, b), ty) in a.iter().zip(b).zip(types) {
        let order = match (a, b) {
            (Edge::Value(a), Edge::Value(b)) => compare_datums(a, b, ty.order()),
            (Edge::Minimum, Edge::Minimum) | (Edge::Maximum, Edge::Maximum) => return Ordering::Equal,
            (Edge::Minimum, _) | (_, Edge::Maximum) => Ordering::Less,
            (Edge::Maximum, _) | (_, Edge::Minimum) => Ordering::Greater,
        };
        if order != Ordering::Equal {
            return order;
        }
    }
    Ordering::Equal
}

/// The expressions of a partitioned table's key.
fn key_exprs(catalog: &CatalogSnapshot, table: &Arc<RelationDescriptor>) -> Result<Vec<Expr>> {
    let Some(key) = &table.inheritance.key else {
        return Err(Error::internal(format!("relation \"{}\" is not partitioned", table.name)));
    };
    let session = NoSession::default();
    let binder = RowExpressionBinder::new(catalog, &IMPLICIT_NAMESPACES, &session, table);
    key.columns
        .iter()
        .map(|column| match &column.expression {
            Some(text) => binder.bind_text(text, RowExpression::IndexKey, None),
            None => match table.column(column.number) {
                Some(found) => Ok(Expr::column(column.number as usize - 1, found.ty)),
                None => Err(Error::internal("a partition key is over a column that its table lacks")),
            },
        })
        .collect()
}

impl Division {
    /// The division of a partitioned table.
    ///
    /// # Errors
    /// XX000 for a catalog that contradicts itself.
    pub fn of(
        catalog: &CatalogSnapshot,
        table: &Arc<RelationDescriptor>,
        detaching: Detaching,
    ) -> Result<Division> {
        let keys = key_exprs(catalog, table)?;
        let types: Vec<SqlType> = keys.iter().map(Expr::ty).collect();
        let strategy = table.inheritance.key.as_ref().map_or(PartitionStrategy::List, |key| key.strategy);
        let mut partitions = Vec::new();
        for child in catalog.children(table.oid).iter().filter_map(|oid| catalog.relation(*oid)) {
            let Some(bound) = child.inheritance.bound.as_ref().filter(|_| detaching.counts(child)) else {
                continue;
            };
            partitions.push(Partition { table: Arc::clone(child), bound: read_bound(bound, &types)? });
        }
        partitions.sort_by(|a, b| in_order(&a.bound, &b.bound, &types));
        Ok(Division { table: table.oid, strategy, keys, partitions })
    }

    /// The types of the key's columns.
    pub fn types(&self) -> Vec<SqlType> {
        self.keys.iter().map(Expr::ty).collect()
    }

    /// The condition that the rows of a partition satisfy, over its key.
    ///
    /// # Errors
    /// XX000 for a key whose type has no order.
    pub fn constraint(&self, bound: &Bound, keys: &[Expr]) -> Result<Expr> {
        match bound {
            Bound::Default => {
                let mut others = Vec::new();
                for partition in self.partitions.iter().filter(|p| !matches!(p.bound, Bound::Default)) {
                    others.push(self.constraint(&partition.bound, keys)?);
                }
                Ok(match others.len() {
                    0 => Expr::bool(true),
                    1 => not(others.remove(0)),
                    _ => not(Expr::Or(others)),
                })
            }
            Bound::List(values) => list_constraint(values, &keys[0]),
            Bound::Range { lower, upper } => range_constraint(lower, upper, keys),
            Bound::Hash { modulus, remainder } => {
                let [function, ..] = functions_named("satisfies_hash_partition") else {
                    return Err(Error::internal("satisfies_hash_partition is not built in"));
                };
                let mut args = vec![
                    Expr::constant(Datum::UInt32(self.table.0), SqlType::OID),
                    Expr::constant(Datum::Int32(*modulus), SqlType::INT4),
                    Expr::constant(Datum::Int32(*remainder), SqlType::INT4),
                ];
                args.extend(keys.iter().cloned());
                Ok(Expr::call(*function, args, SqlType::BOOL))
            }
        }
    }

    /// The key over the columns of one of the partitions.
    ///
    /// # Errors
    /// XX000 when the partition lacks a column.
    pub fn keys_of(&self, map: &ColumnMap) -> Vec<Expr> {
        self.keys.iter().map(|key| moved(key, map)).collect()
    }
}

/// An expression over a table's columns as one over a member's.
pub(crate) fn moved(expr: &Expr, map: &ColumnMap) -> Expr {
    expr.clone().transform(&mut |node| match node {
        Expr::Column { index, ty } => {
            Expr::Column { index: map.get(index).copied().flatten().unwrap_or(index), ty }
        }
        other => other,
    })
}

fn not(expr: Expr) -> Expr {
    Expr::Not(Box::new(expr))
}

/// The place of partitions among each other: ranges and lists by what they begin with, NULL behind the values.
fn in_order(a: &Bound, b: &Bound, types: &[SqlType]) -> Ordering {
    let least = |values: &[Datum]| {
        let known = values.iter().filter(|value| !value.is_null());
        known.min_by(|a, b| compare_datums(a, b, types[0].order())).cloned()
    };
    match (a, b) {
        (Bound::Default, Bound::Default) => Ordering::Equal,
        (Bound::Default, _) => Ordering::Greater,
        (_, Bound::Default) => Ordering::Less,
        (Bound::Range { lower: a, .. }, Bound::Range { lower: b, .. }) => compare_edges(a, b, types),
        (Bound::List(a), Bound::List(b)) => match (least(a), least(b)) {
            (Some(a), Some(b)) => compare_datums(&a, &b, types[0].order()),
            (a, b) => a.is_none().cmp(&b.is_none()),
        },
        (Bound::Hash { modulus: a, remainder: x }, Bound::Hash { modulus: b, remainder: y }) => {
            a.cmp(b).then(x.cmp(y))
        }
        _ => Ordering::Equal,
    }
}

fn read_value(value: &BoundValue, ty: SqlType) -> Result<Edge> {
    Ok(match value {
        BoundValue::Minimum => Edge::Minimum,
        BoundValue::Maximum => Edge::Maximum,
        BoundValue::Null => Edge::Value(Datum::Null),
        BoundValue::Text { text, .. } => {
            let plain = SqlType::new(ty.oid, -1);
            Edge::Value(parse_text(plain, text, &FormatContext::default())?)
        }
    })
}

/// A stored bound with its values in their types.
///
/// # Errors
/// Those of reading the values.
pub fn read_bound(bound: &PartitionBound, types: &[SqlType]) -> Result<Bound> {
    let edges = |values: &[BoundValue]| -> Result<Vec<Edge>> {
        values.iter().zip(types).map(|(value, ty)| read_value(value, *ty)).collect()
    };
    Ok(match bound {
        PartitionBound::Default => Bound::Default,
        PartitionBound::List(values) => {
            let mut list = Vec::with_capacity(values.len());
            for value in values {
                if let Edge::Value(value) = read_value(value, types[0])? {
                    list.push(value);
                }
            }
            Bound::List(list)
        }
        PartitionBound::Range { lower, upper } => Bound::Range { lower: edges(lower)?, upper: edges(upper)? },
        PartitionBound::Hash { modulus, remainder } => {
            Bound::Hash { modulus: *modulus, remainder: *remainder }
        }
    })
}

/// An operator between a key and a constant.
fn compare(operator: &'static Operator, key: &Expr, value: &Datum) -> Expr {
    let ty = key.ty();
    let input = SqlType::new(operator.left, -1);
    let relabel = |expr: Expr| {
        if ty.oid == operator.left
            || ochre_types::type_info(operator.left).is_none_or(|info| info.kind == b'p')
        {
            return expr;
        }
        Expr::Cast { arg: Box::new(expr), kind: CastKind::Relabel, ty: input, pos: SourcePos::NONE }
    };
    let constant = match ty.oid == operator.left {
        true => Expr::constant(value.clone(), SqlType::new(ty.oid, -1)),
        false => relabel(Expr::constant(value.clone(), SqlType::new(ty.oid, -1))),
    };
    Expr::call(operator.function, vec![relabel(key.clone()), constant], SqlType::BOOL)
}

fn comparison(ty: SqlType) -> Result<&'static ochre_expr::BtreeComparison> {
    btree_comparison(ty.oid).ok_or_else(|| Error::internal("a partition key's type has no order"))
}

fn is_null(key: &Expr, negated: bool) -> Expr {
    Expr::IsNull { arg: Box::new(key.clone()), negated, row: false }
}

fn list_constraint(values: &[Datum], key: &Expr) -> Result<Expr> {
    let null = values.iter().any(Datum::is_null);
    let known: Vec<Datum> = values.iter().filter(|value| !value.is_null()).cloned().collect();
    let equal = comparison(key.ty())?.equal;
    let one = match known.as_slice() {
        [] => None,
        [value] => Some(compare(equal, key, value)),
        _ => {
            let single = compare(equal, key, &Datum::Null);
            let Expr::Call { function, args, .. } = single else {
                return Err(Error::internal("a comparison is a call"));
            };
            let element = args[1].ty();
            let array = ochre_types::type_info(element.oid).map_or(Oid::INVALID, |info| info.array);
            let array_type = SqlType::new(array, -1);
            let value = Datum::Array(Arc::new(ArrayValue::vector(element, known)));
            Some(Expr::ScalarArrayOp {
                function,
                all: false,
                left: Box::new(args[0].clone()),
                array: Box::new(Expr::constant(value, array_type)),
                pos: SourcePos::NONE,
            })
        }
    };
    Ok(match (null, one) {
        (true, None) => is_null(key, false),
        (true, Some(one)) => Expr::Or(vec![is_null(key, false), one]),
        (false, Some(one)) => Expr::And(vec![is_null(key, true), one]),
        (false, None) => Expr::bool(false),
    })
}

/// `lower <= keys < upper`, column by column.
fn range_constraint(lower: &[Edge], upper: &[Edge], keys: &[Expr]) -> Result<Expr> {
    let mut all: Vec<Expr> = keys.iter().map(|key| is_null(key, true)).collect();
    all.extend(one_side(lower, keys, true)?);
    all.extend(one_side(upper, keys, false)?);
    Ok(Expr::And(all))
}

/// The condition of one end of a range; `None` where it has no end.
fn one_side(edges: &[Edge], keys: &[Expr], lower: bool) -> Result<Option<Expr>> {
    let mut branches = Vec::new();
    let mut equal = Vec::new();
    for (position, (edge, key)) in edges.iter().zip(keys).enumerate() {
        let comparison = comparison(key.ty())?;
        let last = position + 1 == edges.len();
        let mut branch = equal.clone();
        match edge {
            Edge::Value(value) => {
                let operator = match (lower, last) {
                    (true, true) => comparison.greater_or_equal,
                    (true, false) => comparison.greater,
                    (false, _) => comparison.less,
                };
                branch.push(compare(operator, key, value));
                branches.push(conjunction(branch));
                equal.push(compare(comparison.equal, key, value));
            }
            // Everything with what stands before is above the minimum, and below the maximum.
            Edge::Minimum if lower => {
                branches.push(conjunction(branch));
                break;
            }
            Edge::Maximum if !lower => {
                branches.push(conjunction(branch));
                break;
            }
            // And nothing is below the minimum.
            Edge::Minimum | Edge::Maximum => break,
        }
    }
    if branches.iter().any(|branch| matches!(branch, Expr::Constant { value: Datum::Bool(true), .. })) {
        return Ok(None);
    }
    Ok(Some(match branches.len() {
        0 => Expr::bool(false),
        1 => branches.remove(0),
        _ => Expr::Or(branches),
    }))
}

fn conjunction(mut parts: Vec<Expr>) -> Expr {
    match parts.len() {
        0 => Expr::bool(true),
        1 => parts.remove(0),
        _ => Expr::And(parts),
    }
}

/// The partitions with rows below a partitioned table, in the order of their bounds.
///
/// # Errors
/// XX000 for a catalog that contradicts itself.
pub(crate) fn leaves(
    catalog: &CatalogSnapshot,
    table: &Arc<RelationDescriptor>,
    detaching: Detaching,
    found: &mut Vec<Arc<RelationDescriptor>>,
) -> Result<()> {
    for partition in Division::of(catalog, table, detaching)?.partitions {
        match partition.table.kind {
            RelationKind::PartitionedTable => leaves(catalog, &partition.table, detaching, found)?,
            _ => found.push(partition.table),
        }
    }
    Ok(())
}

/// The conditions that the rows of a partition satisfy for the tables that it is a part of, over its own columns; empty for what
/// is no partition.
///
/// # Errors
/// XX000 for a catalog that contradicts itself.
pub fn partition_constraints(
    catalog: &CatalogSnapshot,
    table: &Arc<RelationDescriptor>,
) -> Result<Vec<Expr>> {
    let mut conditions = Vec::new();
    let mut current = Arc::clone(table);
    while let (Some(bound), Some(parent)) = (&current.inheritance.bound, current.inheritance.parents.first())
    {
        let Some(parent) = catalog.relation(*parent).cloned() else {
            return Err(Error::internal("a partition's table is gone"));
        };
        let division = Division::of(catalog, &parent, Detaching::Counted)?;
        let bound = read_bound(bound, &division.types())?;
        let keys = division.keys_of(&column_map(&parent, table)?);
        conditions.push(division.constraint(&bound, &keys)?);
        current = parent;
    }
    conditions.reverse();
    Ok(conditions)
}

/// How rows of a partitioned table find their partition.
///
/// # Errors
/// XX000 for a catalog that contradicts itself.
pub(crate) fn routes(
    catalog: &CatalogSnapshot,
    table: &Arc<RelationDescriptor>,
    detaching: Detaching,
) -> Result<Routes> {
    let mut leaves = Vec::new();
    let root = route_node(catalog, table, detaching, &mut leaves)?;
    Ok(Routes { root, leaves })
}

fn route_node(
    catalog: &CatalogSnapshot,
    table: &Arc<RelationDescriptor>,
    detaching: Detaching,
    leaves: &mut Vec<Arc<RelationDescriptor>>,
) -> Result<RouteNode> {
    let division = Division::of(catalog, table, detaching)?;
    let mut places = Vec::with_capacity(division.partitions.len());
    for partition in &division.partitions {
        let place = match partition.table.kind {
            RelationKind::PartitionedTable => RoutePlace::Node {
                map: column_map(table, &partition.table)?,
                node: Box::new(route_node(catalog, &partition.table, detaching, leaves)?),
            },
            _ => {
                leaves.push(Arc::clone(&partition.table));
                RoutePlace::Leaf(leaves.len() - 1)
            }
        };
        places.push((partition.bound.clone(), place));
    }
    let text = key_columns_text(table);
    Ok(RouteNode::new(Arc::clone(table), division.strategy, division.keys, text, places))
}

/// The key's columns as messages show them: `a, lower(b)`.
pub fn key_columns_text(table: &RelationDescriptor) -> String {
    let Some(key) = &table.inheritance.key else { return String::new() };
    let columns = key.columns.iter().map(|column| match &column.expression {
        Some(text) => text.to_string(),
        None => table
            .column(column.number)
            .map(|found| ochre_parser::quote_identifier(&found.name))
            .unwrap_or_default(),
    });
    columns.collect::<Vec<_>>().join(", ")
}
