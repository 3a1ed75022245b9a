//! From an index scan's conditions to ranges of keys.
//!
//! # How
//! Each combination of the conditions on leading key columns is a prefix of key bytes; the range on the column after
//! them narrows what lies behind the prefix. Values are evaluated when the scan is opened. For a descending column the
//! ends are exchanged, because the smallest value has the largest key.

use ochre_access::btree::KeyBound as TreeBound;
use ochre_base::{Error, Result};
use ochre_sql::physical::{BoundConversion, IndexBounds, KeyBound, KeyCondition, KeyRange, KeyValue};
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

fn range_span(
    ctx: &ExecContext<'_>,
    prefix: &[u8],
    range: &KeyRange,
    ty: SqlType,
    order: KeyOrder,
) -> Result<Option<KeySpan>> {
    let Ok(lower) = value_end(ctx, prefix, range.lower.as_ref(), ty, order, true)? else { return Ok(None) };
    let Ok(upper) = value_end(ctx, prefix, range.upper.as_ref(), ty, order, false)? else { return Ok(None) };
    let (mut low, mut high) = if order.descending { (upper, lower) } else { (lower, upper) };
    // Where nothing bounds the values, nulls are kept out, and otherwise only the prefix counts.
    let null = [prefix, &encode(&Datum::Null, order)?].concat();
    if low == End::Open {
        low = if order.nulls_first { End::Excluded(null.clone()) } else { End::of_prefix(prefix) };
    }
    if high == End::Open {
        high = if order.nulls_first { End::of_prefix(prefix) } else { End::Excluded(null) };
    }
    Ok(Some(KeySpan { low, high }))
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
    Ok(match evaluate(ctx, &bound.value, ty)? {
        None => Err(()),
        Some(Converted::Below) => {
            if is_lower {
                Ok(End::Open)
            } else {
                Err(())
            }
        }
        Some(Converted::Above) => {
            if is_lower {
                Err(())
            } else {
                Ok(End::Open)
            }
        }
        Some(Converted::Value(value)) => {
            let key = [prefix, &encode(&value, order)?].concat();
            Ok(if bound.inclusive { End::Included(key) } else { End::Excluded(key) })
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
