//! Functions of `json`.

use ochre_base::{Result, limits};
use ochre_types::jsonb::print_long_string;
use ochre_types::{Datum, Pace, PhysicalType};

use super::raw::{Raw, RawKind};
use super::texts;
use crate::CallContext;
use crate::errors::invalid_parameter;
use crate::eval::RowSet;
use crate::functions::Implementations;
use crate::functions::kernels::{Arr, Text};

type Found = Option<Vec<u8>>;

#[rustfmt::skip]
pub(super) fn register(r: &mut Implementations) {
    for (source, text) in [("json_object_field", false), ("json_object_field_text", true)] {
        r.c2::<Text, Text, Found>(source, move |call, json, key| {
            let pace = &mut call.pace();
            found(Raw::new(json).get(key, pace)?, text, pace)
        });
    }
    for (source, text) in [("json_array_element", false), ("json_array_element_text", true)] {
        r.c2::<Text, i32, Found>(source, move |call, json, i| {
            let pace = &mut call.pace();
            found(Raw::new(json).element(i.into(), pace)?, text, pace)
        });
    }
    for (source, text) in [("json_extract_path", false), ("json_extract_path_text", true)] {
        r.c2::<Text, Arr, Found>(source, move |call, json, path| {
            let pace = &mut call.pace();
            found(follow(json, path, pace)?, text, pace)
        });
    }
    r.f1::<Text, &'static str>("json_typeof", |json| Ok(Raw::new(json).kind().word()));
    r.c1::<Text, i32>("json_array_length", |call, json| match Raw::new(json).kind() {
        RawKind::Array => Ok(Raw::new(json).count(&mut call.pace())? as i32),
        RawKind::Object => Err(invalid_parameter("cannot get array length of a non-array")),
        _ => Err(invalid_parameter("cannot get array length of a scalar")),
    });
    r.c2::<Text, bool, Vec<u8>>("json_strip_nulls", |call, json, in_arrays| {
        let mut out = Vec::new();
        strip(Raw::new(json), in_arrays, &mut call.pace(), &mut out)?;
        Ok(out)
    });
    for (source, as_text) in [("json_array_elements", false), ("json_array_elements_text", true)] {
        r.set(source, move |call, args| {
            let json = Raw::new(args[0].as_str().unwrap_or_default());
            match json.kind() {
                RawKind::Array => {}
                RawKind::Object => return Err(invalid_parameter(format!("cannot call {source} on a non-array"))),
                _ => return Err(invalid_parameter(format!("cannot call {source} on a scalar"))),
            }
            let pace = &mut call.pace();
            let mut rows = Vec::new();
            let mut elements = json.elements();
            while let Some(element) = elements.next(pace)? {
                rows.push(vec![shown(element, as_text, pace)?]);
            }
            Ok(Box::new(RowSet::new(vec![PhysicalType::Bytes], rows)))
        });
    }
    for (source, as_text) in [("json_each", false), ("json_each_text", true)] {
        r.set(source, move |call, args| {
            let pace = &mut call.pace();
            let rows = members(call, args, source, |key, value| {
                Ok(vec![Datum::text(key), shown(value, as_text, pace)?])
            })?;
            Ok(Box::new(RowSet::new(vec![PhysicalType::Bytes; 2], rows)))
        });
    }
    r.set("json_object_keys", |call, args| {
        let rows = members(call, args, "json_object_keys", |key, _| Ok(vec![Datum::text(key)]))?;
        Ok(Box::new(RowSet::new(vec![PhysicalType::Bytes], rows)))
    });
}

fn found(value: Option<Raw<'_>>, as_text: bool, pace: &mut Pace<'_>) -> Result<Found> {
    match value {
        None => Ok(None),
        Some(value) if as_text => value.as_text(pace),
        Some(value) => value.copied(pace).map(Some),
    }
}

fn shown(value: Raw<'_>, as_text: bool, pace: &mut Pace<'_>) -> Result<Datum> {
    pace.advance(size_of::<Vec<Datum>>())?;
    Ok(found(Some(value), as_text, pace)?.map_or(Datum::Null, Datum::text))
}

/// What `row` makes of each member of an object.
fn members(
    call: &CallContext<'_, '_>,
    args: &[Datum],
    function: &str,
    mut row: impl FnMut(String, Raw<'_>) -> Result<Vec<Datum>>,
) -> Result<Vec<Vec<Datum>>> {
    let json = Raw::new(args[0].as_str().unwrap_or_default());
    match json.kind() {
        RawKind::Object => {
            let pace = &mut call.pace();
            let mut rows = Vec::new();
            let mut members = json.members();
            while let Some((key, value)) = members.next(pace)? {
                rows.push(row(key, value)?);
            }
            Ok(rows)
        }
        RawKind::Array if function == "json_object_keys" => {
            Err(invalid_parameter(format!("cannot call {function} on an array")))
        }
        RawKind::Array => Err(invalid_parameter("cannot deconstruct an array as an object")),
        _ if function == "json_object_keys" => {
            Err(invalid_parameter(format!("cannot call {function} on a scalar")))
        }
        _ => Err(invalid_parameter("cannot deconstruct a scalar")),
    }
}

fn follow<'a>(json: &'a str, path: &ochre_types::ArrayValue, pace: &mut Pace<'_>) -> Result<Option<Raw<'a>>> {
    if path.has_nulls() {
        return Ok(None);
    }
    let mut value = Raw::new(json);
    for step in texts(path) {
        let next = match (value.kind(), step.trim().parse()) {
            (RawKind::Object, _) => value.get(step, pace)?,
            (RawKind::Array, Ok(index)) => value.element(index, pace)?,
            _ => None,
        };
        match next {
            Some(next) => value = next,
            None => return Ok(None),
        }
    }
    Ok(Some(value))
}

/// Without members that are null; with `in_arrays`, without such elements too. Blanks go.
fn strip(value: Raw<'_>, in_arrays: bool, pace: &mut Pace<'_>, out: &mut Vec<u8>) -> Result<()> {
    // JSON may be nested deeper than the stack is.
    stacker::maybe_grow(limits::STACK_RED_ZONE_BYTES, limits::STACK_GROWTH_BYTES, || {
        strip_node(value, in_arrays, pace, out)
    })
}

fn strip_node(value: Raw<'_>, in_arrays: bool, pace: &mut Pace<'_>, out: &mut Vec<u8>) -> Result<()> {
    let mut first = true;
    match value.kind() {
        RawKind::Object => {
            out.push(b'{');
            let mut members = value.members();
            while let Some((key, member)) = members.next(pace)? {
                if member.kind() == RawKind::Null {
                    continue;
                }
                if !first {
                    out.push(b',');
                }
                first = false;
                print_long_string(key.as_bytes(), pace, out)?;
                out.push(b':');
                strip(member, in_arrays, pace, out)?;
            }
            out.push(b'}');
        }
        RawKind::Array => {
            out.push(b'[');
            let mut elements = value.elements();
            while let Some(element) = elements.next(pace)? {
                if in_arrays && element.kind() == RawKind::Null {
                    continue;
                }
                if !first {
                    out.push(b',');
                }
                first = false;
                strip(element, in_arrays, pace, out)?;
            }
            out.push(b']');
        }
        _ => pace.append(value.0.as_bytes(), out)?,
    }
    Ok(())
}
