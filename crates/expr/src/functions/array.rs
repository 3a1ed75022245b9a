//! Arrays, records and polymorphic comparison.

use std::cmp::Ordering;
use std::sync::Arc;

use hashbrown::HashTable;
use ochre_base::{Error, Result, SqlState, limits};
use ochre_types::array::MAX_DIMENSIONS;
use ochre_types::{
    ArrayDimension, ArrayValue, Batch, ColumnBuilder, Datum, Pace, PhysicalType, SqlType, ValueOrder,
    compare, sorted_order,
};

use super::Implementations;
use super::kernels::Arr;
use super::large::Fields;
use crate::errors::wrong_form;
use crate::eval::{DatumSet, RowSet, SetCursor};
use crate::{CallContext, EvalContext};

/// The most elements of an array.
const MAX_ELEMENTS: i64 = 134_217_727;
/// Elements that are passed between two looks at whether to go on where each takes next to no time.
const LOOKED_AT: usize = 1 << 12;

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
    let mut elements = Vec::with_capacity(count as usize);
    call.pace().extend(std::iter::repeat_n(value.clone(), count as usize), &mut elements)?;
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
fn order(call: &CallContext<'_, '_>, args: &[Datum]) -> Result<Ordering> {
    let (Datum::Array(a), Datum::Array(b)) = (&args[0], &args[1]) else {
        return compare::try_compare(&args[0], &args[1]);
    };
    let by = a.element.order();
    let records = a.element.physical == PhysicalType::Record;
    let pace = &mut call.pace();
    for (a, b) in a.elements.iter().zip(&b.elements) {
        pace.advance(a.weight())?;
        let order = if records { compare::try_compare(a, b)? } else { compare::compare_datums(a, b, by) };
        if order.is_ne() {
            return Ok(order);
        }
    }
    Ok(compare::compare_shapes(a, b))
}

#[rustfmt::skip]
fn compare_arrays(r: &mut Implementations) {
    for (array_source, record_source, holds) in [
        ("array_eq", "record_eq", Ordering::is_eq as fn(Ordering) -> bool), ("array_ne", "record_ne", Ordering::is_ne),
        ("array_lt", "record_lt", Ordering::is_lt), ("array_le", "record_le", Ordering::is_le),
        ("array_gt", "record_gt", Ordering::is_gt), ("array_ge", "record_ge", Ordering::is_ge),
    ] {
        r.row(array_source, move |call, args| Ok(Datum::Bool(holds(order(call, args)?))));
        r.row(record_source, move |call, args| Ok(Datum::Bool(holds(order(call, args)?))));
    }
    for source in ["btarraycmp", "btrecordcmp"] {
        r.row(source, |call, args| Ok(Datum::Int32(order(call, args)? as i32)));
    }
    r.row("array_larger", |call, args| Ok(args[usize::from(order(call, args)?.is_lt())].clone()));
    r.row("array_smaller", |call, args| Ok(args[usize::from(order(call, args)?.is_gt())].clone()));
    r.c2::<Arr, Arr, bool>("arraycontains", |call, a, b| contains(call, a, b));
    r.c2::<Arr, Arr, bool>("arraycontained", |call, a, b| contains(call, b, a));
    r.c2::<Arr, Arr, bool>("arrayoverlap", |call, a, b| {
        // The table is made of the shorter one.
        let (wanted, held) = if a.len() < b.len() { (b, a) } else { (a, b) };
        let pace = &mut call.pace();
        let known = Known::new(held, wanted.len(), pace)?;
        for element in &wanted.elements {
            if known.has(element, pace)? { return Ok(true); }
        }
        Ok(false)
    });
}

/// Whether each element of another array occurs in this one.
fn contains(call: &CallContext<'_, '_>, held: &ArrayValue, wanted: &ArrayValue) -> Result<bool> {
    let pace = &mut call.pace();
    let known = Known::new(held, wanted.len(), pace)?;
    for element in &wanted.elements {
        if !known.has(element, pace)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Comparisons that are made rather than a table of hashes.
const FEW_COMPARISONS: usize = 256;

/// The elements of an array to be asked for. A null is never there. Values of one type that are equal hash alike, so a table
/// of hashes and the comparison give what comparing with each would.
struct Known<'a> {
    array: &'a ArrayValue,
    by: ValueOrder,
    /// Positions by hash, one of each value; `None` where comparing with each is no work.
    table: Option<HashTable<u32>>,
}

impl<'a> Known<'a> {
    fn new(array: &'a ArrayValue, questions: usize, pace: &mut Pace<'_>) -> Result<Known<'a>> {
        let mut known = Known { array, by: array.element.order(), table: None };
        if array.len().saturating_mul(questions) > FEW_COMPARISONS && questions > 2 && array.len() > 2 {
            let mut table = HashTable::with_capacity(array.len());
            for (position, element) in array.elements.iter().enumerate() {
                pace.advance(element.weight())?;
                let hash = known.hash(element);
                let same = |other: &u32| known.equal(*other, element);
                if !element.is_null() && table.find(hash, same).is_none() {
                    table.insert_unique(hash, position as u32, |other| {
                        known.hash(&array.elements[*other as usize])
                    });
                }
            }
            known.table = Some(table);
        }
        Ok(known)
    }

    fn hash(&self, value: &Datum) -> u64 {
        compare::hash_datum(value, self.by, 0)
    }

    fn equal(&self, position: u32, value: &Datum) -> bool {
        compare::equal_datums(&self.array.elements[position as usize], value, self.by)
    }

    fn has(&self, wanted: &Datum, pace: &mut Pace<'_>) -> Result<bool> {
        if wanted.is_null() {
            return Ok(false);
        }
        if let Some(table) = &self.table {
            pace.advance(wanted.weight())?;
            return Ok(table.find(self.hash(wanted), |position| self.equal(*position, wanted)).is_some());
        }
        for element in &self.array.elements {
            pace.advance(element.weight())?;
            if !element.is_null() && compare::equal_datums(element, wanted, self.by) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

#[rustfmt::skip]
fn combine(r: &mut Implementations) {
    r.row("array_append", |call, args| {
        let element = element_type(call, &args[0], 1);
        let base = flat(&args[0])?;
        let lower = base.and_then(|base| base.dimensions.first()).map_or(1, |d| d.lower);
        let known = base.map_or(&[][..], |base| &base.elements);
        let mut elements = Vec::with_capacity(known.len() + 1);
        call.pace().extend(known.iter().cloned(), &mut elements)?;
        elements.push(args[1].clone());
        Ok(one_dimension(element, elements, lower))
    });
    r.row("array_prepend", |call, args| {
        let element = element_type(call, &args[1], 0);
        let base = flat(&args[1])?;
        let lower = base.and_then(|base| base.dimensions.first()).map_or(1, |d| d.lower);
        let known = base.map_or(&[][..], |base| &base.elements);
        let mut elements = Vec::with_capacity(known.len() + 1);
        elements.push(args[0].clone());
        call.pace().extend(known.iter().cloned(), &mut elements)?;
        Ok(one_dimension(element, elements, lower))
    });
    r.row("array_cat", |call, args| match (&args[0], &args[1]) {
        (Datum::Null, other) | (other, Datum::Null) => Ok(other.clone()),
        (a, b) => Ok(Datum::Array(concatenate(array(a)?, array(b)?, &mut call.pace())?)),
    });
}

/// The element type of an array argument; without an array, the other argument's type.
fn element_type(call: &CallContext<'_, '_>, value: &Datum, other: usize) -> SqlType {
    match value {
        Datum::Array(array) if !array.is_empty() => array.element,
        _ => call.result.element().or(call.arg_types.get(other).copied()).unwrap_or(SqlType::TEXT),
    }
}

/// An array without dimensions or with one.
fn flat(value: &Datum) -> Result<Option<&ArrayValue>> {
    match value {
        Datum::Null => Ok(None),
        value => {
            let array = array(value)?;
            if array.dimensions.len() > 1 {
                return Err(Error::new(
                    SqlState::DATA_EXCEPTION,
                    "argument must be empty or one-dimensional array",
                ));
            }
            Ok(Some(array))
        }
    }
}

fn one_dimension(element: SqlType, elements: Vec<Datum>, lower: i32) -> Datum {
    let mut array = ArrayValue::vector(element, elements);
    if let Some(dimension) = array.dimensions.first_mut() {
        dimension.lower = lower;
    }
    Datum::Array(Arc::new(array))
}

/// `a || b`: along the first dimension; an array of one dimension less is one more element.
fn concatenate(a: &Arc<ArrayValue>, b: &Arc<ArrayValue>, pace: &mut Pace<'_>) -> Result<Arc<ArrayValue>> {
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
    if (a.len() + b.len()) as i64 > MAX_ELEMENTS {
        return Err(too_large());
    }
    let mut elements = Vec::with_capacity(a.len() + b.len());
    pace.extend(a.elements.iter().chain(&b.elements).cloned(), &mut elements)?;
    Ok(Arc::new(ArrayValue { element: a.element, dimensions, elements }))
}

#[rustfmt::skip]
fn search(r: &mut Implementations) {
    r.row("array_position", |call, args| position(call, &args[0], &args[1], None));
    r.row("array_position_start", |call, args| position(call, &args[0], &args[1], Some(&args[2])));
    r.row("array_positions", |call, args| {
        let Datum::Array(array) = &args[0] else { return Ok(Datum::Null) };
        only_one_dimension(array, "searching for elements in multidimensional arrays is not supported")?;
        let lower = array.dimensions.first().map_or(1, |d| d.lower);
        let pace = &mut call.pace();
        let mut places = Vec::new();
        for (i, element) in array.elements.iter().enumerate() {
            pace.advance(element.weight())?;
            if same(array, element, &args[1]) { places.push(Datum::Int32(lower + i as i32)); }
        }
        Ok(Datum::Array(Arc::new(ArrayValue::vector(SqlType::INT4, places))))
    });
    r.row("array_remove", |call, args| {
        let Datum::Array(array) = &args[0] else { return Ok(Datum::Null) };
        only_one_dimension(array, "removing elements from multidimensional arrays is not supported")?;
        let pace = &mut call.pace();
        let mut kept = Vec::new();
        for element in &array.elements {
            pace.advance(element.weight())?;
            if !same(array, element, &args[1]) { kept.push(element.clone()); }
        }
        if kept.len() == array.len() { return Ok(args[0].clone()); }
        let lower = array.dimensions.first().map_or(1, |d| d.lower);
        Ok(one_dimension(array.element, kept, lower))
    });
    r.row("array_replace", |call, args| {
        let Datum::Array(array) = &args[0] else { return Ok(Datum::Null) };
        let pace = &mut call.pace();
        let mut elements = Vec::with_capacity(array.len());
        for element in &array.elements {
            pace.advance(element.weight())?;
            elements.push(if same(array, element, &args[1]) { &args[2] } else { element }.clone());
        }
        Ok(Datum::Array(Arc::new(ArrayValue { element: array.element, dimensions: array.dimensions.clone(), elements })))
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

fn position(
    call: &CallContext<'_, '_>,
    array: &Datum,
    wanted: &Datum,
    start: Option<&Datum>,
) -> Result<Datum> {
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
    let pace = &mut call.pace();
    for (i, element) in array.elements.iter().enumerate().skip(skip) {
        pace.advance(element.weight())?;
        if same(array, element, wanted) {
            return Ok(Datum::Int32(lower + i as i32));
        }
    }
    Ok(Datum::Null)
}

/// Elements of one slice along the first dimension.
fn slice_length(array: &ArrayValue) -> usize {
    let first = array.dimensions.first().map_or(1, |d| d.length.max(1) as usize);
    array.len() / first
}

#[rustfmt::skip]
fn reorder(r: &mut Implementations) {
    r.c2::<Arr, i32, ArrayValue>("trim_array", |call, a, n| {
        let length = a.dimensions.first().map_or(0, |d| d.length);
        if n < 0 || n > length {
            return Err(Error::new(SqlState::new("2202E"), format!("number of elements to trim must be between 0 and {length}")));
        }
        let kept = slice_length(a) * (length - n) as usize;
        if kept == 0 { return Ok(ArrayValue::empty(a.element)); }
        let mut elements = Vec::with_capacity(kept);
        call.pace().extend(a.elements[..kept].iter().cloned(), &mut elements)?;
        let mut dimensions = a.dimensions.clone();
        if let Some(first) = dimensions.first_mut() { first.length = length - n; }
        dimensions.iter_mut().for_each(|d| d.lower = 1);
        Ok(ArrayValue { element: a.element, dimensions, elements })
    });
    r.c1::<Arr, ArrayValue>("array_reverse", |call, a| {
        let length = slice_length(a).max(1);
        let mut elements = Vec::with_capacity(a.len());
        call.pace().extend(a.elements.chunks(length).rev().flatten().cloned(), &mut elements)?;
        Ok(ArrayValue { element: a.element, dimensions: a.dimensions.clone(), elements })
    });
    r.c1::<Arr, ArrayValue>("array_shuffle", |call, a| shuffled(call, a, None));
    r.c2::<Arr, i32, ArrayValue>("array_sample", |call, a, n| {
        let length = a.dimensions.first().map_or(0, |d| d.length);
        if n < 0 || n > length {
            return Err(crate::errors::invalid_parameter(format!("sample size must be between 0 and {length}")));
        }
        shuffled(call, a, Some(n as usize))
    });
    r.c1::<Arr, ArrayValue>("array_sort", |call, a| sorted(call, a, false, false));
    r.c2::<Arr, bool, ArrayValue>("array_sort_order", |call, a, descending| sorted(call, a, descending, descending));
    r.c3::<Arr, bool, bool, ArrayValue>("array_sort_order_nulls_first", |call, a, descending, nulls_first| sorted(call, a, descending, nulls_first));
}

fn shuffled(call: &CallContext<'_, '_>, a: &ArrayValue, keep: Option<usize>) -> Result<ArrayValue> {
    let length = slice_length(a).max(1);
    let count = a.len().div_ceil(length);
    let keep = keep.unwrap_or(count);
    let pace = &mut call.pace();
    let mut slices: Vec<u32> = Vec::with_capacity(count);
    for first in (0..count).step_by(LOOKED_AT) {
        slices.extend(first as u32..(first + LOOKED_AT).min(count) as u32);
        pace.advance(LOOKED_AT)?;
    }
    for i in 0..keep.min(count) {
        pace.advance(size_of::<Datum>())?;
        let rest = count - i;
        let chosen = i + (call.eval.session.random() * rest as f64) as usize;
        slices.swap(i, chosen.min(count - 1));
    }
    let mut elements = Vec::with_capacity(keep.min(count) * length);
    let chosen = slices.into_iter().take(keep);
    let of_slice = |slice: u32| a.elements.chunks(length).nth(slice as usize).unwrap_or_default();
    pace.extend(chosen.flat_map(of_slice).cloned(), &mut elements)?;
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

fn sorted(
    call: &CallContext<'_, '_>,
    a: &ArrayValue,
    descending: bool,
    nulls_first: bool,
) -> Result<ArrayValue> {
    if a.dimensions.len() > 1 {
        return Err(Error::unsupported("sorting arrays of several dimensions"));
    }
    let by = a.element.order();
    let compare = |x: &u32, y: &u32| {
        let (one, other) = (&a.elements[*x as usize], &a.elements[*y as usize]);
        let order = match (one.is_null(), other.is_null()) {
            (false, false) => {
                let order = compare::compare_datums(one, other, by);
                if descending { order.reverse() } else { order }
            }
            // True is above false.
            (one, other) if nulls_first => other.cmp(&one),
            (one, other) => one.cmp(&other),
        };
        order.then_with(|| x.cmp(y))
    };
    let pace = &mut call.pace();
    let order = sorted_order(a.len(), |i| a.elements[i as usize].weight(), compare, pace)?;
    let mut elements = Vec::with_capacity(a.len());
    pace.extend(order.iter().map(|i| a.elements[*i as usize].clone()), &mut elements)?;
    Ok(ArrayValue { element: a.element, dimensions: a.dimensions.clone(), elements })
}

fn sets(r: &mut Implementations) {
    r.set("array_unnest", |call, args| {
        let array = array(&args[0])?.clone();
        let values = (0..array.len()).map(move |i| Ok(array.elements[i].clone()));
        Ok(Box::new(DatumSet::new(call.result.physical, values)))
    });
    r.set("_pg_expandarray", |call, args| {
        let array = array(&args[0])?;
        let pace = &mut call.pace();
        let mut rows = Vec::with_capacity(array.len());
        for (value, n) in array.elements.iter().zip(1..) {
            pace.advance(2 * size_of::<Datum>())?;
            rows.push(vec![value.clone(), Datum::Int32(n)]);
        }
        let value = array.element.physical;
        Ok(Box::new(RowSet::new(vec![value, PhysicalType::Int32], rows)))
    });
    for source in ["generate_subscripts", "generate_subscripts_nodir"] {
        r.set(source, |call, args| {
            let array = array(&args[0])?;
            let wanted = args[1].as_i64().unwrap_or(0) as i32;
            let reverse = args.get(2) == Some(&Datum::Bool(true));
            let (lower, length) = dimension(array, wanted).map_or((0, 0), |d| (d.lower, d.length));
            let values = (0..length)
                .map(move |n| Ok(Datum::Int32(if reverse { lower + (length - 1 - n) } else { lower + n })));
            Ok(Box::new(DatumSet::new(call.result.physical, values)))
        });
    }
    for source in ["text_to_table", "text_to_table_null"] {
        r.set(source, |call, args| {
            let fields = super::text::fields(&args[0], &args[1], args.get(2), &mut call.pace())?;
            Ok(Box::new(FieldSet { fields }))
        });
    }
}

/// The fields of a text, cut off as they are asked for.
struct FieldSet {
    fields: Option<Fields>,
}

impl SetCursor for FieldSet {
    fn next_batch(&mut self, max_rows: usize, ctx: &EvalContext<'_>) -> Result<Option<Batch>> {
        ctx.session.check_interrupts()?;
        let Some(fields) = &mut self.fields else { return Ok(None) };
        let pace = &mut Pace::from(ctx.session.format(), 0);
        let mut builder = ColumnBuilder::new(PhysicalType::Bytes, 0);
        while builder.len() < max_rows.min(limits::BATCH_ROWS)
            && let Some(field) = fields.next(pace)?
        {
            builder.push(&field);
        }
        let rows = builder.len();
        Ok((rows > 0).then(|| Batch::new(vec![Arc::new(builder.finish())], rows)))
    }
}

#[rustfmt::skip]
fn records(r: &mut Implementations) {
    r.row("pg_num_nulls", |call, args| count(call, args, true));
    r.row("pg_num_nonnulls", |call, args| count(call, args, false));
}

fn count(call: &CallContext<'_, '_>, args: &[Datum], nulls: bool) -> Result<Datum> {
    let values = match args {
        [Datum::Array(array)] if call.variadic_array => &array.elements[..],
        [Datum::Null] if call.variadic_array => return Ok(Datum::Null),
        args => args,
    };
    let pace = &mut call.pace();
    let mut count = 0;
    for values in values.chunks(LOOKED_AT) {
        count += values.iter().filter(|value| value.is_null() == nulls).count();
        pace.advance(size_of_val(values))?;
    }
    Ok(Datum::Int32(count as i32))
}

/// An array over elements, for ARRAY(subquery); of arrays, one of a dimension more.
pub(crate) fn from_elements(
    element: SqlType,
    elements: Vec<Datum>,
    of_arrays: bool,
    pace: &mut Pace<'_>,
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
        pace.extend(inner.elements.iter().cloned(), &mut all)?;
    }
    dimensions.insert(0, ArrayDimension { length: elements.len() as i32, lower: 1 });
    Ok(Arc::new(ArrayValue { element: first.element, dimensions, elements: all }))
}
