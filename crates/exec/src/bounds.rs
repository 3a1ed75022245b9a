//! From an index scan's conditions to ranges of keys.
//!
//! # How
//! Each combination of the conditions on leading key columns is a prefix of key bytes; the range on the column after
//! them narrows what lies behind the prefix. Values are evaluated when the scan is opened. For a descending column the
//! ends are exchanged, because the smallest value has the largest key.

use ochre_access::btree::KeyBound as TreeBound;
use ochre_base::{Error, Result};
use ochre_sql::physical::{
    BoundConversion, IndexBounds, KeyBound, KeyCondition, KeyRange, KeyValue, RowBound,
};
use ochre_types::{Datum, KeyOrder, PhysicalType, SqlType, key};

use crate::context::ExecContext;
use crate::relation::IndexAccess;

/// One contiguous part of an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySpan {
    low: End,
    high: End,
}

/// One end of a span, as bytes that keys begin with.
#[derive(Debug, Clone, PartialEq, Eq)]
enum End {
    Open,
    Included(Vec<u8>),
    Excluded(Vec<u8>),
}

impl End {
    fn bound(&self) -> TreeBound<'_> {
        match self {
            End::Open => TreeBound::Unbounded,
            End::Included(prefix) => TreeBound::IncludedPrefix(prefix),
            End::Excluded(prefix) => TreeBound::ExcludedPrefix(prefix),
        }
    }

    fn of_prefix(prefix: &[u8]) -> End {
        if prefix.is_empty() { End::Open } else { End::Included(prefix.to_vec()) }
    }
}

impl KeySpan {
    /// The ends, as the tree takes them.
    pub fn bounds(&self) -> (TreeBound<'_>, TreeBound<'_>) {
        (self.low.bound(), self.high.bound())
    }
}

/// A range of keys as SERIALIZABLE locks it.
pub fn key_range(low: TreeBound<'_>, high: TreeBound<'_>) -> ochre_txn::KeyRange {
    use ochre_txn::KeyRange as Locked;
    let low = match low {
        TreeBound::Unbounded => Some(Box::default()),
        TreeBound::Included(key) | TreeBound::IncludedPrefix(key) => Some(key.into()),
        TreeBound::Excluded(key) => Some(Locked::above(key)),
        TreeBound::ExcludedPrefix(prefix) => Locked::above_prefix(prefix),
    };
    let high = match high {
        TreeBound::Unbounded => None,
        TreeBound::Included(key) => Some(Locked::above(key)),
        TreeBound::Excluded(key) | TreeBound::ExcludedPrefix(key) => Some(key.into()),
        TreeBound::IncludedPrefix(prefix) => Locked::above_prefix(prefix),
    };
    match low {
        Some(low) => Locked { low, high },
        // Above a prefix that nothing is above: no key.
        None => Locked { low: Box::default(), high: Some(Box::default()) },
    }
}

/// What a value that is compared with integers of a narrower type means for a key.
enum Converted {
    Value(Datum),
    /// Smaller than every key.
    Below,
    /// Larger than every key.
    Above,
}

/// The spans of an index that satisfy conditions, in index order and without overlaps. None when nothing does.
///
/// # Errors
/// Those of the conditions' expressions.
pub fn key_spans(ctx: &ExecContext<'_>, index: &IndexAccess, bounds: &IndexBounds) -> Result<Vec<KeySpan>> {
    let mut prefixes: Vec<Vec<u8>> = vec![index.key_prefix().to_vec()];
    for (condition, (ty, order)) in bounds.keys.iter().zip(&index.keys) {
        let suffixes = match condition {
            KeyCondition::Equal(value) => match evaluate(ctx, value, *ty)? {
                Some(Converted::Value(value)) => vec![encode(&value, *order)?],
                _ => return Ok(Vec::new()),
            },
            KeyCondition::IsNull => vec![encode(&Datum::Null, *order)?],
            KeyCondition::Any(value) => any_suffixes(ctx, value, *ty, *order)?,
        };
        let mut longer = Vec::with_capacity(prefixes.len() * suffixes.len());
        for prefix in &prefixes {
            for suffix in &suffixes {
                longer.push([prefix.as_slice(), suffix].concat());
            }
        }
        prefixes = longer;
    }
    let range = bounds.range.as_ref().zip(index.keys.get(bounds.keys.len()));
    let mut spans = Vec::with_capacity(prefixes.len());
    if let Some(row) = &bounds.row {
        let keys = index.keys.get(bounds.keys.len()..).unwrap_or_default();
        if keys.len() < row.values.len() {
            return Err(Error::internal("a row is compared with more columns than an index has"));
        }
        let mut values = Vec::with_capacity(row.values.len());
        for (value, (ty, _)) in row.values.iter().zip(keys) {
            values.push(evaluate(ctx, value, *ty)?);
        }
        let row = RowSpans { row, values, keys, range: bounds.range.as_ref() };
        for prefix in prefixes {
            row.add(ctx, 0, prefix, &mut spans)?;
        }
        return Ok(spans);
    }
    for prefix in prefixes {
        match range {
            None => spans.push(KeySpan { low: End::of_prefix(&prefix), high: End::of_prefix(&prefix) }),
            Some((range, (ty, order))) => spans.extend(range_span(ctx, &prefix, range, *ty, *order)?),
        }
    }
    Ok(spans)
}

fn encode(value: &Datum, order: KeyOrder) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    key::encode_key(value, order, &mut bytes)?;
    Ok(bytes)
}

/// The distinct keys of an array's elements, in index order.
fn any_suffixes(
    ctx: &ExecContext<'_>,
    value: &KeyValue,
    ty: SqlType,
    order: KeyOrder,
) -> Result<Vec<Vec<u8>>> {
    let array = match ctx.eval_value(&value.expr)? {
        Datum::Null => return Ok(Vec::new()),
        Datum::Array(array) => array,
        _ => return Err(Error::internal("an index condition compares with something that is no array")),
    };
    let mut suffixes = Vec::with_capacity(array.elements.len());
    for element in &array.elements {
        if let Some(Converted::Value(value)) = convert(element.clone(), value.conversion, ty)? {
            suffixes.push(encode(&value, order)?);
        }
    }
    suffixes.sort_unstable();
    suffixes.dedup();
    Ok(suffixes)
}

/// The parts of an index that a comparison of rows selects: for `(a, b, c) > (x, y, z)` those of `a > x`, of `a = x` and
/// `b > y`, and of `a = x`, `b = y` and `c > z`.
struct RowSpans<'a> {
    row: &'a RowBound,
    values: Vec<Option<Converted>>,
    keys: &'a [(SqlType, KeyOrder)],
    /// What bounds the first column on the other side.
    range: Option<&'a KeyRange>,
}

impl RowSpans<'_> {
    /// Adds the parts in which the columns before `column` have the values whose keys are `prefix`, in index order.
    fn add(
        &self,
        ctx: &ExecContext<'_>,
        column: usize,
        prefix: Vec<u8>,
        spans: &mut Vec<KeySpan>,
    ) -> Result<()> {
        let Some(value) = &self.values[column] else { return Ok(()) };
        let (ty, order) = self.keys[column];
        let last = column + 1 == self.values.len();
        let own = converted_end(&prefix, value, order, self.row.inclusive && last, !self.row.upper)?;
        let other = match self.range.filter(|_| column == 0) {
            Some(range) if self.row.upper => value_end(ctx, &prefix, range.lower.as_ref(), ty, order, true)?,
            Some(range) => value_end(ctx, &prefix, range.upper.as_ref(), ty, order, false)?,
            None => Ok(End::Open),
        };
        let Ok(other) = other else { return Ok(()) };
        let mut deeper = Vec::new();
        if let (false, Converted::Value(value)) = (last, value) {
            let longer = [prefix.as_slice(), &encode(value, order)?].concat();
            // In index order the other bound is behind the values of a lower bound, if the column ascends.
            let within = match &other {
                End::Open => true,
                End::Included(end) | End::Excluded(end) if longer == *end => {
                    matches!(other, End::Included(_))
                }
                End::Included(end) | End::Excluded(end) => {
                    (longer < *end) == (self.row.upper == order.descending)
                }
            };
            if within {
                self.add(ctx, column + 1, longer, &mut deeper)?;
            }
        }
        let own = match own {
            Ok(own) if self.row.upper => Some(span_between(&prefix, other, own, order)?),
            Ok(own) => Some(span_between(&prefix, own, other, order)?),
            Err(()) => None,
        };
        if self.row.upper == order.descending {
            spans.append(&mut deeper);
            spans.extend(own);
        } else {
            spans.extend(own);
            spans.append(&mut deeper);
        }
        Ok(())
    }
}

fn range_span(
    ctx: &ExecContext<'_>,
    prefix: &[u8],
    range: &KeyRange,
    ty: SqlType,
    order: KeyOrder,
) -> Result<Option<KeySpan>> {
    let Ok(lower) = value_end(ctx, prefix, range.lower.as_ref(), ty, order, true)? else { return Ok(None) };
    let Ok(upper) = value_end(ctx, prefix, range.upper.as_ref(), ty, order, false)? else { return Ok(None) };
    span_between(prefix, lower, upper, order).map(Some)
}

/// What lies behind a prefix between two ends, nulls excepted.
fn span_between(prefix: &[u8], lower: End, upper: End, order: KeyOrder) -> Result<KeySpan> {
    let (mut low, mut high) = if order.descending { (upper, lower) } else { (lower, upper) };
    // Where nothing bounds the values, nulls are kept out, and otherwise only the prefix counts.
    let null = [prefix, &encode(&Datum::Null, order)?].concat();
    if low == End::Open {
        low = if order.nulls_first { End::Excluded(null.clone()) } else { End::of_prefix(prefix) };
    }
    if high == End::Open {
        high = if order.nulls_first { End::of_prefix(prefix) } else { End::Excluded(null) };
    }
    Ok(KeySpan { low, high })
}

/// One end of a range of values; `Err` when no key lies within it.
fn value_end(
    ctx: &ExecContext<'_>,
    prefix: &[u8],
    bound: Option<&KeyBound>,
    ty: SqlType,
    order: KeyOrder,
    is_lower: bool,
) -> Result<std::result::Result<End, ()>> {
    let Some(bound) = bound else { return Ok(Ok(End::Open)) };
    match evaluate(ctx, &bound.value, ty)? {
        None => Ok(Err(())),
        Some(value) => converted_end(prefix, &value, order, bound.inclusive, is_lower),
    }
}

/// The end that a value makes; `Err` when no key lies within it.
fn converted_end(
    prefix: &[u8],
    value: &Converted,
    order: KeyOrder,
    inclusive: bool,
    is_lower: bool,
) -> Result<std::result::Result<End, ()>> {
    Ok(match value {
        Converted::Below if is_lower => Ok(End::Open),
        Converted::Above if !is_lower => Ok(End::Open),
        Converted::Below | Converted::Above => Err(()),
        Converted::Value(value) => {
            let key = [prefix, &encode(value, order)?].concat();
            Ok(if inclusive { End::Included(key) } else { End::Excluded(key) })
        }
    })
}

/// The compared value in the key's type; `None` for NULL, with which nothing compares.
fn evaluate(ctx: &ExecContext<'_>, value: &KeyValue, ty: SqlType) -> Result<Option<Converted>> {
    convert(ctx.eval_value(&value.expr)?, value.conversion, ty)
}

/// A value in the key's type.
fn convert(value: Datum, conversion: BoundConversion, ty: SqlType) -> Result<Option<Converted>> {
    if value.is_null() {
        return Ok(None);
    }
    if conversion == BoundConversion::None {
        return Ok(Some(Converted::Value(value)));
    }
    let Some(number) = value.as_i64() else {
        return Err(Error::internal("an integer index condition compares with another type"));
    };
    let (smallest, largest) = match ty.physical {
        PhysicalType::Int16 => (i64::from(i16::MIN), i64::from(i16::MAX)),
        PhysicalType::Int32 => (i64::from(i32::MIN), i64::from(i32::MAX)),
        _ => (i64::MIN, i64::MAX),
    };
    Ok(Some(match number {
        n if n < smallest => Converted::Below,
        n if n > largest => Converted::Above,
        n => Converted::Value(match ty.physical {
            PhysicalType::Int16 => Datum::Int16(n as i16),
            PhysicalType::Int32 => Datum::Int32(n as i32),
            _ => Datum::Int64(n),
        }),
    }))
}

/// Writes the key of an equality on every key column into `out`; false when nothing can equal it. Allocates nothing
/// when the values are constants or parameters.
///
/// # Errors
/// Those of the conditions' expressions.
pub fn point_key(
    ctx: &ExecContext<'_>,
    index: &IndexAccess,
    bounds: &IndexBounds,
    out: &mut Vec<u8>,
) -> Result<bool> {
    out.clear();
    out.extend_from_slice(index.key_prefix());
    for (condition, (ty, order)) in bounds.keys.iter().zip(&index.keys) {
        let KeyCondition::Equal(value) = condition else {
            return Err(Error::internal("a point lookup has another condition than an equality"));
        };
        match evaluate(ctx, value, *ty)? {
            Some(Converted::Value(value)) => key::encode_key(&value, *order, out)?,
            _ => return Ok(false),
        }
    }
    Ok(bounds.keys.len() == index.keys.len())
}
