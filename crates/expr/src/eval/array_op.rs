//! `column = ANY (constant array)`: a search in a set instead of a comparison with each element.

use std::hash::Hash;
use std::sync::Arc;

use hashbrown::HashSet;
use ochre_base::Result;
use ochre_types::{ArrayValue, Bitmap, Column, ColumnValues, Datum, Pace, Selection};

use super::Rows;
use crate::Function;
use crate::functions::trim_blanks;

/// The answer for each row, where the function is an equality of integers or strings (or, for ALL, an inequality) and
/// the array has only values of the column's own form; `None` otherwise.
pub(super) fn search(
    function: &Function,
    all: bool,
    column: &Column,
    array: &ArrayValue,
    rows: usize,
    selection: Option<&Selection>,
    pace: &mut Pace<'_>,
) -> Result<Option<Arc<Column>>> {
    let (is_integer, is_inequality) = match &*function.source {
        "int2eq" | "int4eq" | "int8eq" | "oideq" | "int24eq" | "int42eq" | "int28eq" | "int82eq"
        | "int48eq" | "int84eq" | "date_eq" | "timestamp_eq" => (true, false),
        "int2ne" | "int4ne" | "int8ne" | "oidne" | "date_ne" | "timestamp_ne" => (true, true),
        "texteq" | "nameeq" | "byteaeq" => (false, false),
        "textne" | "namene" | "byteane" => (false, true),
        // Trailing blanks do not count.
        "bpchareq" => (false, false),
        "bpcharne" => (false, true),
        _ => return Ok(None),
    };
    if is_inequality != all || array.is_empty() || column.is_constant() {
        return Ok(None);
    }
    let has_null = array.has_nulls();
    let selected = Rows::new(rows, selection);
    let mut found = vec![false; rows];
    if is_integer {
        let Some(set) = set_of(array, Datum::as_i64, pace)? else { return Ok(None) };
        match column.values() {
            ColumnValues::Int16(v) => selected.each(|i| found[i] = set.contains(&i64::from(v[i]))),
            ColumnValues::Int32(v) => selected.each(|i| found[i] = set.contains(&i64::from(v[i]))),
            ColumnValues::Int64(v) => selected.each(|i| found[i] = set.contains(&v[i])),
            ColumnValues::UInt32(v) => selected.each(|i| found[i] = set.contains(&i64::from(v[i]))),
            _ => return Ok(None),
        }
    } else {
        let ColumnValues::Bytes(v) = column.values() else { return Ok(None) };
        if function.source.starts_with("bpchar") {
            let value = |value| Datum::as_bytes(value).map(trim_blanks);
            let Some(set) = set_of(array, value, pace)? else { return Ok(None) };
            selected.each(|i| found[i] = set.contains(trim_blanks(v.get(i))));
        } else {
            let Some(set) = set_of(array, Datum::as_bytes, pace)? else { return Ok(None) };
            selected.each(|i| found[i] = set.contains(v.get(i)));
        }
    }
    // A value that is not found among elements with a null may or may not equal it: unknown.
    let validity = (has_null || column.validity().is_some())
        .then(|| Bitmap::from_bools((0..rows).map(|i| column.is_valid(i) && (found[i] || !has_null))));
    if all {
        found.iter_mut().for_each(|found| *found = !*found);
    }
    Ok(Some(Arc::new(Column::new(ColumnValues::Bool(found), validity))))
}

/// The elements of an array that are not null; `None` where one has another form.
fn set_of<'a, T: Eq + Hash>(
    array: &'a ArrayValue,
    value: impl Fn(&'a Datum) -> Option<T>,
    pace: &mut Pace<'_>,
) -> Result<Option<HashSet<T>>> {
    let mut set = HashSet::with_capacity(array.len());
    for element in array.elements.iter().filter(|element| !element.is_null()) {
        pace.advance(element.weight())?;
        let Some(value) = value(element) else { return Ok(None) };
        set.insert(value);
    }
    Ok(Some(set))
}
