//! Arrays, records and polymorphic comparison.

use std::cmp::Ordering;
use std::sync::Arc;

use ochre_base::{Error, Result, SqlState};
use ochre_types::array::MAX_DIMENSIONS;
use ochre_types::{ArrayDimension, ArrayValue, Datum, SqlType, compare};

use super::Implementations;
use super::kernels::Arr;
use crate::CallContext;
use crate::errors::wrong_form;
use crate::eval::{DatumSet, RowSet};

/// The most elements of an array.
const MAX_ELEMENTS: i64 = 134_217_727;

pub(super) fn register(r: &mut Implementations) {
    shape(r);
    compare_arrays(r);
    combine(r);
    search(r);
    reorder(r);
    sets(r);
    records(r);
}

fn subscript_error(message: impl Into<String>) -> Error {
    Error::new(SqlState::ARRAY_SUBSCRIPT_ERROR, message)
}

pub(crate) fn array(datum: &Datum) -> Result<&Arc<ArrayValue>> {
    if let Datum::Array(array) = datum { Ok(array) } else { Err(wrong_form("an array")) }
}

/// The dimension with number `n`, counted from 1.
fn dimension(array: &ArrayValue, n: i32) -> Option<ArrayDimension> {
    usize::try_from(n).ok()?.checked_sub(1).and_then(|n| array.dimensions.get(n)).copied()
}

#[rustfmt::skip]
fn shape(r: &mut Implementations) {
    r.f1::<Arr, Option<i32>>("array_ndims", |a| Ok((!a.dimensions.is_empty()).then_some(a.dimensions.len() as i32)));
    r.f1::<Arr, i32>("array_cardinality", |a| Ok(a.len() as i32));
    r.f2::<Arr, i32, Option<i32>>("array_length", |a, n| Ok(dimension(a, n).map(|d| d.length)));
    r.f2::<Arr, i32, Option<i32>>("array_lower", |a, n| Ok(dimension(a, n).map(|d| d.lower)));
    r.f2::<Arr, i32, Option<i32>>("array_upper", |a, n| Ok(dimension(a, n).map(|d| d.lower + d.length - 1)));
    r.f1::<Arr, Option<String>>("array_dims", |a| {
        if a.dimensions.is_empty() { return Ok(None); }
        Ok(Some(a.dimensions.iter().map(|d| format!("[{}:{}]", d.lower, d.lower + d.length - 1)).collect()))
    });
    r.row("array_fill", |call, args| fill(call, &args[0], &args[1], None));
    r.row("array_fill_with_lower_bounds", |call, args| fill(call, &args[0], &args[1], Some(&args[2])));
}

/// Small integers of a one-dimensional array argument.
fn integers(datum: &Datum, what: &str) -> Result<Vec<i32>> {
    let null =
        || Error::new(SqlState::NULL_VALUE_NOT_ALLOWED, "dimension array or low bound array cannot be null");
    let Datum::Array(values) = datum else { return Err(null()) };
    if values.dimensions.len() > 1 {
        return Err(subscript_error("wrong number of array subscripts")
            .detail("Dimension array must be one dimensional."));
    }
    if values.has_nulls() {
        return Err(Error::new(SqlState::NULL_VALUE_NOT_ALLOWED, "dimension values cannot be null"));
    }
    let integer = |value: &Datum| value.as_i64().map(|v| v as i32).ok_or_else(|| wrong_form(what));
    values.elements.iter().map(integer).collect()
}

fn fill(call: &CallContext<'_, '_>, value: &Datum, lengths: &Datum, lowers: Option<&Datum>) -> Result<Datum> {
    let lengths = integers(lengths, "an integer")?;
    let lowers = lowers.map(|lowers| integers(lowers, "an integer")).transpose()?;
    if lowers.as_ref().is_some_and(|lowers| lowers.len() != lengths.len()) {
        return Err(subscript_error("wrong number of array subscripts")
            .detail("Low bound array has different size than dimensions array."));
    }
    let element = call.result.element().or(call.arg_types.first().copied()).unwrap_or(SqlType::TEXT);
    if lengths.len() > MAX_DIMENSIONS {
        return Err(too_many_dimensions(lengths.len()));
    }
    let mut count = 1i64;
    for length in &lengths {
        count = count.saturating_mul((*length).into());
    }
    if lengths.iter().any(|length| *length < 0) || count > MAX_ELEMENTS {
        return Err(too_large());
    }
    if count == 0 || lengths.is_empty() {
        return Ok(Datum::Array(Arc::new(ArrayValue::empty(element))));
    }
    let lower = |i: usize| lowers.as_ref().map_or(1, |lowers| lowers[i]);
    let dimensions = lengths
        .iter()
        .enumerate()
        .map(|(i, length)| ArrayDimension { length: *length, lower: lower(i) })
        .collect();
    let elements = vec![value.clone(); count as usize];
    Ok(Datum::Array(Arc::new(ArrayValue { element, dimensions, elements })))
}

#[cold]
fn too_large() -> Error {
    Error::new(
        SqlState::PROGRAM_LIMIT_EXCEEDED,
        format!("array size exceeds the maximum allowed ({MAX_ELEMENTS})"),
    )
}

#[cold]
fn too_many_dimensions(count: usize) -> Error {
    Error::new(
        SqlState::PROGRAM_LIMIT_EXCEEDED,
        format!("number of array dimensions ({count}) exceeds the maximum allowed ({MAX_DIMENSIONS})"),
    )
}

/// Arrays in SQL's order: element by element, then number of elements, dimensions, bounds.
fn order(args: &[Datum]) -> Result<Ordering> {
    compare::try_compare(&args[0], &args[1])
}

#[rustfmt::skip]
fn compare_arrays(r: &mut Implementations) {
    for (array_source, record_source, holds) in [
        ("array_eq", "record_eq", Ordering::is_eq as fn(Ordering) -> bool), ("array_ne", "record_ne", Ordering::is_ne),
        ("array_lt", "record_lt", Ordering::is_lt), ("array_le", "record_le", Ordering::is_le),
        ("array_gt", "record_gt", Ordering::is_gt), ("array_ge", "record_ge", Ordering::is_ge),
    ] {
        r.row(array_source, move |_, args| Ok(Datum::Bool(holds(order(args)?))));
        r.row(record_source, move |_, args| Ok(Datum::Bool(holds(order(args)?))));
    }
    for source in ["btarraycmp", "btrecordcmp"] {
        r.row(source, |_, args| Ok(Datum::Int32(order(args)? as i32)));
    }
    r.row("array_larger", |_, args| Ok(args[usize::from(order(args)?.is_lt())].clone()));
    r.row("array_smaller", |_, args| Ok(args[usize::from(order(args)?.is_gt())].clone()));
    r.f2::<Arr, Arr, bool>("arraycontains", |a, b| Ok(b.elements.iter().all(|e| has(a, e))));
    r.f2::<Arr, Arr, bool>("arraycontained", |a, b| Ok(a.elements.iter().all(|e| has(b, e))));
    r.f2::<Arr, Arr, bool>("arrayoverlap", |a, b| Ok(a.elements.iter().any(|e| has(b, e))));
}

/// Whether an element that is not null occurs; a null never does.
fn has(array: &ArrayValue, wanted: &Datum) -> bool {
    let order = array.element.order();
    !wanted.is_null()
        && array.elements.iter().any(|e| !e.is_null() && compare::equal_datums(e, wanted, order))
}

#[rustfmt::skip]
fn combine(r: &mut Implementations) {
    r.row("array_append", |call, args| {
        let element = element_type(call, &args[0], 1);
        let mut base = flat(&args[0], element)?;
        let lower = base.dimensions.first().map_or(1, |d| d.lower);
        base.elements.push(args[1].clone());
        Ok(one_dimension(base, lower))
    });
    r.row("array_prepend", |call, args| {
        let element = element_type(call, &args[1], 0);
        let mut base = flat(&args[1], element)?;
        let lower = base.dimensions.first().map_or(1, |d| d.lower);
        base.elements.insert(0, args[0].clone());
        Ok(one_dimension(base, lower))
    });
    r.row("array_cat", |_, args| match (&args[0], &args[1]) {
        (Datum::Null, other) | (other, Datum::Null) => Ok(other.clone()),
        (a, b) => Ok(Datum::Array(concatenate(array(a)?, array(b)?)?)),
    });
}

/// The element type of an array argument; without an array, the other argument's type.
fn element_type(call: &CallContext<'_, '_>, value: &Datum, other: usize) -> SqlType {
    match value {
        Datum::Array(array) if !array.is_empty() => array.element,
        _ => call.result.element().or(call.arg_types.get(other).copied()).unwrap_or(SqlType::TEXT),
    }
}

fn flat(value: &Datum, element: SqlType) -> Result<ArrayValue> {
    match value {
        Datum::Null => Ok(ArrayValue::empty(element)),
        value => {
            let array = array(value)?;
            if array.dimensions.len() > 1 {
                return Err(Error::new(
                    SqlState::DATA_EXCEPTION,
                    "argument must be empty or one-dimensional array",
                ));
            }
            Ok(ArrayValue::clone(array))
        }
    }
}

fn one_dimension(mut array: ArrayValue, lower: i32) -> Datum {
    let length = array.elements.len() as i32;
    array.dimensions.clear();
    array.dimensions.push(ArrayDimension { length, lower });
    Datum::Array(Arc::new(array))
}

/// `a || b`: along the first dimension; an array of one dimension less is one more element.
fn concatenate(a: &Arc<ArrayValue>, b: &Arc<ArrayValue>) -> Result<Arc<ArrayValue>> {
    if a.is_empty() {
        return Ok(b.clone());
    }
    if b.is_empty() {
        return Ok(a.clone());
    }
    let incompatible =
        |detail: String| subscript_error("cannot concatenate incompatible arrays").detail(detail);
    let (na, nb) = (a.dimensions.len(), b.dimensions.len());
    if na.abs_diff(nb) > 1 {
        return Err(incompatible(format!(
            "Arrays of {na} and {nb} dimensions are not compatible for concatenation."
        )));
    }
    let mut dimensions = if na >= nb { a.dimensions.clone() } else { b.dimensions.clone() };
    let (tail_a, tail_b) = match na.cmp(&nb) {
        Ordering::Equal => (&a.dimensions[1..], &b.dimensions[1..]),
        Ordering::Greater => (&a.dimensions[1..], &b.dimensions[..]),
        Ordering::Less => (&a.dimensions[..], &b.dimensions[1..]),
    };
    if tail_a != tail_b {
        return Err(incompatible(if na == nb {
            "Arrays with differing element dimensions are not compatible for concatenation.".to_owned()
        } else {
            "Arrays with differing dimensions are not compatible for concatenation.".to_owned()
        }));
    }
    dimensions[0].length = match na.cmp(&nb) {
        Ordering::Equal => a.dimensions[0].length + b.dimensions[0].length,
        _ => dimensions[0].length + 1,
    };
    let elements: Vec<Datum> = a.elements.iter().chain(&b.elements).cloned().collect();
    if elements.len() as i64 > MAX_ELEMENTS {
        return Err(too_large());
    }
    Ok(Arc::new(ArrayValue { element: a.element, dimensions, elements }))
}

#[rustfmt::skip]
fn search(r: &mut Implementations) {
    r.row("array_position", |_, args| position(&args[0], &args[1], None));
    r.row("array_position_start", |_, args| position(&args[0], &args[1], Some(&args[2])));
    r.row("array_positions", |_, args| {
        let Datum::Array(array) = &args[0] else { return Ok(Datum::Null) };
        only_one_dimension(array, "searching for elements in multidimensional arrays is not supported")?;
        let lower = array.dimensions.first().map_or(1, |d| d.lower);
        let found = array.elements.iter().enumerate().filter(|(_, e)| same(array, e, &args[1]));
        let places = found.map(|(i, _)| Datum::Int32(lower + i as i32)).collect();
        Ok(Datum::Array(Arc::new(ArrayValue::vector(SqlType::INT4, places))))
    });
    r.row("array_remove", |_, args| {
        let Datum::Array(array) = &args[0] else { return Ok(Datum::Null) };
        only_one_dimension(array, "removing elements from multidimensional arrays is not supported")?;
        let kept: Vec<Datum> = array.elements.iter().filter(|e| !same(array, e, &args[1])).cloned().collect();
        if kept.len() == array.len() { return Ok(args[0].clone()); }
        let lower = array.dimensions.first().map_or(1, |d| d.lower);
        if kept.is_empty() { return Ok(Datum::Array(Arc::new(ArrayValue::empty(array.element)))); }
        Ok(one_dimension(ArrayValue::vector(array.element, kept), lower))
    });
    r.row("array_replace", |_, args| {
        let Datum::Array(array) = &args[0] else { return Ok(Datum::Null) };
        let mut copy = ArrayValue::clone(array);
        for element in &mut copy.elements {
            if same(array, element, &args[1]) { *element = args[2].clone(); }
        }
        Ok(Datum::Array(Arc::new(copy)))
    });
}

/// IS NOT DISTINCT FROM.
fn same(array: &ArrayValue, a: &Datum, b: &Datum) -> bool {
    match (a.is_null(), b.is_null()) {
        (false, false) => compare::equal_datums(a, b, array.element.order()),
        (a_null, b_null) => a_null && b_null,
    }
}

fn only_one_dimension(array: &ArrayValue, message: &str) -> Result<()> {
    if array.dimensions.len() > 1 {
        return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message));
    }
    Ok(())
}

fn position(array: &Datum, wanted: &Datum, start: Option<&Datum>) -> Result<Datum> {
    let Datum::Array(array) = array else { return Ok(Datum::Null) };
    only_one_dimension(array, "searching for elements in multidimensional arrays is not supported")?;
    let lower = array.dimensions.first().map_or(1, |d| d.lower);
    let from = match start {
        None => lower,
        Some(Datum::Int32(from)) => *from,
        Some(_) => {
            return Err(Error::new(SqlState::NULL_VALUE_NOT_ALLOWED, "initial position must not be null"));
        }
    };
    let skip = (i64::from(from) - i64::from(lower)).max(0) as usize;
    let found = array.elements.iter().enumerate().skip(skip).find(|(_, e)| same(array, e, wanted));
    Ok(found.map_or(Datum::Null, |(i, _)| Datum::Int32(lower + i as i32)))
}

/// Elements of one slice along the first dimension.
fn slice_length(array: &ArrayValue) -> usize {
    let first = array.dimensions.first().map_or(1, |d| d.length.max(1) as usize);
    array.len() / first
}

#[rustfmt::skip]
fn reorder(r: &mut Implementations) {
    r.f2::<Arr, i32, ArrayValue>("trim_array", |a, n| {
        let length = a.dimensions.first().map_or(0, |d| d.length);
        if n < 0 || n > length {
            return Err(Error::new(SqlState::new("2202E"), format!("number of elements to trim must be between 0 and {length}")));
        }
        let mut copy = ArrayValue::clone(a);
        copy.elements.truncate(slice_length(a) * (length - n) as usize);
        if copy.elements.is_empty() { return Ok(ArrayValue::empty(a.element)); }
        if let Some(first) = copy.dimensions.first_mut() { *first = ArrayDimension { length: length - n, lower: 1 }; }
        copy.dimensions.iter_mut().for_each(|d| d.lower = 1);
        Ok(copy)
    });
    r.f1::<Arr, ArrayValue>("array_reverse", |a| {
        let mut copy = ArrayValue::clone(a);
        let length = slice_length(a).max(1);
        copy.elements = a.elements.chunks(length).rev().flatten().cloned().collect();
        Ok(copy)
    });
    r.c1::<Arr, ArrayValue>("array_shuffle", |call, a| shuffled(call, a, None));
    r.c2::<Arr, i32, ArrayValue>("array_sample", |call, a, n| {
        let length = a.dimensions.first().map_or(0, |d| d.length);
        if n < 0 || n > length {
            return Err(crate::errors::invalid_parameter(format!("sample size must be between 0 and {length}")));
        }
        shuffled(call, a, Some(n as usize))
    });
    r.f1::<Arr, ArrayValue>("array_sort", |a| sorted(a, false, false));
    r.f2::<Arr, bool, ArrayValue>("array_sort_order", |a, descending| sorted(a, descending, descending));
    r.f3::<Arr, bool, bool, ArrayValue>("array_sort_order_nulls_first", |a, descending, nulls_first| sorted(a, descending, nulls_first));
}

fn shuffled(call: &CallContext<'_, '_>, a: &ArrayValue, keep: Option<usize>) -> Result<ArrayValue> {
    let length = slice_length(a).max(1);
    let mut slices: Vec<&[Datum]> = a.elements.chunks(length).collect();
    let keep = keep.unwrap_or(slices.len());
    for i in 0..keep.min(slices.len()) {
        let rest = slices.len() - i;
        let chosen = i + (call.eval.session.random() * rest as f64) as usize;
        let last = slices.len() - 1;
        slices.swap(i, chosen.min(last));
    }
    let elements: Vec<Datum> = slices.into_iter().take(keep).flatten().cloned().collect();
    if elements.is_empty() {
        return Ok(ArrayValue::empty(a.element));
    }
    let mut dimensions = a.dimensions.clone();
    dimensions[0].length = keep as i32;
    if keep < a.dimensions[0].length as usize {
        dimensions[0].lower = 1;
    }
    Ok(ArrayValue { element: a.element, dimensions, elements })
}

fn sorted(a: &ArrayValue, descending: bool, nulls_first: bool) -> Result<ArrayValue> {
    if a.dimensions.len() > 1 {
        return Err(Error::unsupported("sorting arrays of several dimensions"));
    }
    let mut copy = a.clone();
    let by = a.element.order();
    copy.elements.sort_by(|x, y| match (x.is_null(), y.is_null()) {
        (true, true) => Ordering::Equal,
        (true, false) => {
            if nulls_first {
                Ordering::Less
            } else {
                Ordering::Greater
            }
        }
        (false, true) => {
            if nulls_first {
                Ordering::Greater
            } else {
                Ordering::Less
            }
        }
        (false, false) => {
            let order = compare::compare_datums(x, y, by);
            if descending { order.reverse() } else { order }
        }
    });
    Ok(copy)
}

fn sets(r: &mut Implementations) {
    r.set("array_unnest", |call, args| {
        let array = array(&args[0])?.clone();
        let values = (0..array.len()).map(move |i| Ok(array.elements[i].clone()));
        Ok(Box::new(DatumSet::new(call.result.physical, values)))
    });
    r.set("_pg_expandarray", |_, args| {
        let array = array(&args[0])?;
        let rows = array.elements.iter().zip(1..).map(|(value, n)| vec![value.clone(), Datum::Int32(n)]);
        let value = array.element.physical;
        let types = vec![value, ochre_types::PhysicalType::Int32];
        Ok(Box::new(RowSet::new(types, rows.collect())))
    });
    for source in ["generate_subscripts", "generate_subscripts_nodir"] {
        r.set(source, |call, args| {
            let array = array(&args[0])?;
            let wanted = args[1].as_i64().unwrap_or(0) as i32;
            let reverse = args.get(2) == Some(&Datum::Bool(true));
            let subscripts: Vec<i32> =
                dimension(array, wanted).map_or(Vec::new(), |d| (d.lower..d.lower + d.length).collect());
            let in_order: Vec<i32> =
                if reverse { subscripts.into_iter().rev().collect() } else { subscripts };
            let values = in_order.into_iter().map(|subscript| Ok(Datum::Int32(subscript)));
            Ok(Box::new(DatumSet::new(call.result.physical, values)))
        });
    }
    for source in ["text_to_table", "text_to_table_null"] {
        r.set(source, |_, args| {
            let fields = match args[0].as_str() {
                None => Vec::new(),
                Some(text) => {
                    super::text::split_fields(text, args[1].as_str(), args.get(2).and_then(Datum::as_str))
                }
            };
            let rows = fields.into_iter().map(|field| vec![field]).collect();
            Ok(Box::new(RowSet::new(vec![ochre_types::PhysicalType::Bytes], rows)))
        });
    }
}

#[rustfmt::skip]
fn records(r: &mut Implementations) {
    r.row("pg_num_nulls", |call, args| Ok(count(call, args, true)));
    r.row("pg_num_nonnulls", |call, args| Ok(count(call, args, false)));
}

fn count(call: &CallContext<'_, '_>, args: &[Datum], nulls: bool) -> Datum {
    let values = match args {
        [Datum::Array(array)] if call.variadic_array => &array.elements[..],
        [Datum::Null] if call.variadic_array => return Datum::Null,
        args => args,
    };
    Datum::Int32(values.iter().filter(|value| value.is_null() == nulls).count() as i32)
}

/// An array over elements, for ARRAY(subquery); of arrays, one of a dimension more.
pub(crate) fn from_elements(
    element: SqlType,
    elements: Vec<Datum>,
    of_arrays: bool,
) -> Result<Arc<ArrayValue>> {
    // The vectors of the catalogs are elements, not dimensions.
    if !of_arrays || element.physical == ochre_types::PhysicalType::Array {
        return Ok(Arc::new(ArrayValue::vector(element, elements)));
    }
    let null = || Error::new(SqlState::NULL_VALUE_NOT_ALLOWED, "cannot accumulate null arrays");
    let first = match elements.first() {
        None => return Ok(Arc::new(ArrayValue::vector(element, elements))),
        Some(Datum::Array(first)) if first.is_empty() => {
            return Err(subscript_error("cannot accumulate empty arrays"));
        }
        Some(Datum::Array(first)) => first,
        Some(_) => return Err(null()),
    };
    let mut dimensions = first.dimensions.clone();
    let mut all = Vec::new();
    for value in &elements {
        let Datum::Array(inner) = value else { return Err(null()) };
        if inner.dimensions != first.dimensions {
            return Err(subscript_error("cannot accumulate arrays of different dimensionality"));
        }
        all.extend(inner.elements.iter().cloned());
    }
    dimensions.insert(0, ArrayDimension { length: elements.len() as i32, lower: 1 });
    Ok(Arc::new(ArrayValue { element: first.element, dimensions, elements: all }))
}
