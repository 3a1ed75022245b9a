//! Rows made of JSON objects: `json_to_record`, `json_populate_recordset` and their kin.
//!
//! # How
//! All work on JSON text; a `jsonb` is printed first, as its parts are converted by their text, too. A member's value becomes
//! its column's: a string by its characters, anything else by its text; arrays and objects, where the column is of an array or
//! a row type, by their parts.

use std::sync::Arc;

use ochre_base::{Error, Result, SqlState};
use ochre_types::array::MAX_DIMENSIONS;
use ochre_types::jsonb::JsonRef;
use ochre_types::{
    ArrayDimension, ArrayValue, Datum, FormatContext, Pace, PhysicalType, SqlType, oids, parse_text, typmod,
};

use super::raw::{Raw, RawKind};
use crate::CallContext;
use crate::errors::invalid_parameter;
use crate::eval::RowSet;
use crate::functions::Implementations;

pub(super) fn register(r: &mut Implementations) {
    for (source, binary) in [("json_to_record", false), ("jsonb_to_record", true)] {
        r.row(source, move |call, args| record(call, None, &args[0], binary, source));
    }
    for (source, binary) in [("json_populate_record", false), ("jsonb_populate_record", true)] {
        r.row(source, move |call, args| record(call, Some(&args[0]), &args[1], binary, source));
    }
    for (source, binary) in [("json_to_recordset", false), ("jsonb_to_recordset", true)] {
        r.set(source, move |call, args| Ok(Box::new(records(call, None, &args[0], binary, source)?)));
    }
    for (source, binary) in [("json_populate_recordset", false), ("jsonb_populate_recordset", true)] {
        r.set(source, move |call, args| {
            Ok(Box::new(records(call, Some(&args[0]), &args[1], binary, source)?))
        });
    }
}

/// The columns of the rows to make.
struct Columns {
    names: Vec<Arc<str>>,
    types: Arc<[SqlType]>,
}

impl Columns {
    /// The columns of a row type.
    fn of(ty: SqlType, format: &FormatContext) -> Option<Columns> {
        let known = format.names.as_ref();
        let types = ochre_types::record_fields(ty).or_else(|| known.and_then(|n| n.record_fields(ty)))?;
        let names = ochre_types::record_names(ty).or_else(|| known.and_then(|n| n.record_names(ty)));
        let names = match names {
            Some(names) => names.iter().cloned().collect(),
            None => (1..=types.len()).map(|number| Arc::from(format!("f{number}"))).collect(),
        };
        Some(Columns { names, types })
    }

    /// The columns of a call's result, which a column definition list says, or the row that is given.
    fn of_result(call: &CallContext<'_, '_>, base: Option<&Datum>, source: &str) -> Result<Columns> {
        let format = call.eval.session.format();
        if base.is_some() && call.arg_types[0].physical != PhysicalType::Record {
            let message = format!("first argument of {source} must be a row type");
            return Err(Error::new(SqlState::DATATYPE_MISMATCH, message));
        }
        let given = base.and_then(|_| Columns::of(call.arg_types[0], format));
        Columns::of(call.result, format).or(given).ok_or_else(|| {
            let message = format!("could not determine row type for result of {source}");
            Error::new(SqlState::FEATURE_NOT_SUPPORTED, message).hint(
                "Provide a non-null record argument, or call the function in the FROM clause using a column definition list.",
            )
        })
    }

    /// A row of an object's members; what it lacks is the base's.
    fn row(&self, object: Raw<'_>, base: Option<&[Datum]>, format: &FormatContext) -> Result<Datum> {
        let pace = &mut Pace::from(format, 0);
        let mut values: Vec<Option<Raw<'_>>> = vec![None; self.names.len()];
        let mut members = object.members();
        while let Some((key, value)) = members.next(pace)? {
            let named = values.iter_mut().zip(&self.names).filter(|(_, name)| ***name == *key);
            named.for_each(|(known, _)| *known = Some(value));
        }
        let mut row = Vec::with_capacity(self.types.len());
        for (i, (name, ty)) in self.names.iter().zip(self.types.iter()).enumerate() {
            row.push(match values[i] {
                Some(value) => convert(value, *ty, &Place { key: name, indexes: &[] }, format)?,
                None => base.and_then(|base| base.get(i)).cloned().unwrap_or(Datum::Null),
            });
        }
        Ok(Datum::Record(row.into()))
    }
}

/// Where in an object a value stands, for hints.
#[derive(Clone, Copy)]
struct Place<'a> {
    key: &'a str,
    indexes: &'a [usize],
}

impl Place<'_> {
    fn hint(&self) -> String {
        if self.indexes.is_empty() {
            return format!("See the value of key \"{}\".", self.key);
        }
        let indexes: String = self.indexes.iter().map(|index| format!("[{index}]")).collect();
        format!("See the array element {indexes} of key \"{}\".", self.key)
    }
}

/// The columns of the rows that a call makes, and its argument, which `buffer` keeps the text of.
fn open<'t>(
    call: &CallContext<'_, '_>,
    base: Option<&Datum>,
    json: &'t Datum,
    binary: bool,
    source: &str,
    buffer: &'t mut Vec<u8>,
) -> Result<(Columns, Raw<'t>)> {
    let columns = Columns::of_result(call, base, source)?;
    let text = if binary {
        let json = JsonRef::new(json.as_bytes().unwrap_or_default());
        json.print(call.eval.session.format(), buffer)?;
        std::str::from_utf8(buffer).unwrap_or_default()
    } else {
        json.as_str().unwrap_or_default()
    };
    Ok((columns, Raw::new(text)))
}

/// The fields of a row that is there.
fn fields(base: Option<&Datum>) -> Option<&[Datum]> {
    match base {
        Some(Datum::Record(fields)) => Some(fields),
        _ => None,
    }
}

fn record(
    call: &CallContext<'_, '_>,
    base: Option<&Datum>,
    json: &Datum,
    binary: bool,
    source: &str,
) -> Result<Datum> {
    if json.is_null() {
        return Ok(base.cloned().unwrap_or(Datum::Null));
    }
    let format = call.eval.session.format();
    let mut buffer = Vec::new();
    let (columns, json) = open(call, base, json, binary, source, &mut buffer)?;
    match json.kind() {
        RawKind::Object => columns.row(json, fields(base), format),
        other => Err(no_object(other)),
    }
}

fn no_object(kind: RawKind) -> Error {
    let what = if kind == RawKind::Array { "an array" } else { "a scalar" };
    invalid_parameter(format!("cannot call populate_composite on {what}"))
}

fn records(
    call: &CallContext<'_, '_>,
    base: Option<&Datum>,
    json: &Datum,
    binary: bool,
    source: &str,
) -> Result<RowSet> {
    let format = call.eval.session.format();
    let result = vec![call.result.physical];
    if json.is_null() {
        return Ok(RowSet::new(result, Vec::new()));
    }
    let mut buffer = Vec::new();
    let (columns, json) = open(call, base, json, binary, source, &mut buffer)?;
    match json.kind() {
        RawKind::Array => {}
        _ if binary => return Err(invalid_parameter(format!("cannot call {source} on a non-array"))),
        RawKind::Object => return Err(invalid_parameter(format!("cannot call {source} on an object"))),
        _ => return Err(invalid_parameter(format!("cannot call {source} on a scalar"))),
    }
    let mut rows = Vec::new();
    let (mut elements, pace) = (json.elements(), &mut Pace::from(format, 0));
    while let Some(element) = elements.next(pace)? {
        if element.kind() != RawKind::Object {
            return Err(invalid_parameter(format!("argument of {source} must be an array of objects")));
        }
        call.eval.session.check_interrupts()?;
        rows.push(vec![columns.row(element, fields(base), format)?]);
    }
    Ok(RowSet::new(result, rows))
}

/// A JSON value as one of a type.
fn convert(value: Raw<'_>, ty: SqlType, place: &Place<'_>, format: &FormatContext) -> Result<Datum> {
    let kind = value.kind();
    match (kind, ty.oid) {
        (RawKind::Null, _) => return Ok(Datum::Null),
        (_, oids::JSON) => return Ok(Datum::text(value.0)),
        (_, oids::JSONB) => return parse_text(ty, value.0, format),
        _ => {}
    }
    match (kind, ty.physical) {
        (RawKind::Array, PhysicalType::Array) => return array(value, ty, place, format),
        (RawKind::String, _) => {}
        (_, PhysicalType::Array) => return Err(no_array(place)),
        (RawKind::Object, PhysicalType::Record) => {
            return match Columns::of(ty, format) {
                Some(columns) => columns.row(value, None, format),
                None => Err(Error::unsupported("a row of an unknown type made of JSON")),
            };
        }
        (other, PhysicalType::Record) => return Err(no_object(other)),
        _ => {}
    }
    let text = value.as_text(&mut Pace::from(format, 0))?.unwrap_or_default();
    let text = String::from_utf8(text).map_err(|_| Error::internal("a JSON string is no text"))?;
    typmod::apply(parse_text(ty.with_typmod(-1), &text, format)?, ty, false)
}

fn no_array(place: &Place<'_>) -> Error {
    Error::new(SqlState::INVALID_TEXT_REPRESENTATION, "expected JSON array").hint(place.hint())
}

/// A JSON array as an array: its first elements tell how many dimensions it has.
fn array(value: Raw<'_>, ty: SqlType, place: &Place<'_>, format: &FormatContext) -> Result<Datum> {
    let element = ty.element().ok_or_else(|| Error::internal("an array type has elements"))?;
    let element = element.with_typmod(ty.typmod);
    let mut lengths = Vec::new();
    let mut first = Some(value);
    while let Some(nested) = first.filter(|value| value.kind() == RawKind::Array) {
        let pace = &mut Pace::from(format, 0);
        lengths.push(nested.count(pace)?);
        first = nested.elements().next(pace)?;
        if lengths.len() > MAX_DIMENSIONS {
            return Err(Error::new(
                SqlState::PROGRAM_LIMIT_EXCEEDED,
                format!("number of JSON array dimensions exceeds the maximum allowed ({MAX_DIMENSIONS})"),
            ));
        }
    }
    let mut elements = Vec::new();
    let mut indexes = place.indexes.to_vec();
    collect(value, &lengths, element, place.key, &mut indexes, &mut elements, format)?;
    if elements.is_empty() {
        return Ok(Datum::Array(Arc::new(ArrayValue::empty(element))));
    }
    let dimensions =
        lengths.iter().map(|length| ArrayDimension { length: *length as i32, lower: 1 }).collect();
    Ok(Datum::Array(Arc::new(ArrayValue { element, dimensions, elements })))
}

/// Adds an array's elements, the lengths of whose dimensions are `lengths`.
fn collect(
    value: Raw<'_>,
    lengths: &[usize],
    element: SqlType,
    key: &str,
    indexes: &mut Vec<usize>,
    found: &mut Vec<Datum>,
    format: &FormatContext,
) -> Result<()> {
    let Some((length, inner)) = lengths.split_first() else {
        found.push(convert(value, element, &Place { key, indexes }, format)?);
        return Ok(());
    };
    if value.kind() != RawKind::Array {
        return Err(no_array(&Place { key, indexes }));
    }
    let pace = &mut Pace::from(format, 0);
    if value.count(pace)? != *length {
        return Err(Error::new(SqlState::INVALID_TEXT_REPRESENTATION, "malformed JSON array")
            .detail("Multidimensional arrays must have sub-arrays with matching dimensions."));
    }
    let mut elements = value.elements();
    for index in 0..*length {
        let Some(value) = elements.next(pace)? else { break };
        indexes.push(index);
        collect(value, inner, element, key, indexes, found, format)?;
        indexes.pop();
    }
    Ok(())
}
