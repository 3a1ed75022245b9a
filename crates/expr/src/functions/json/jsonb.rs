//! Functions of `jsonb`.

use std::cmp::Ordering;
use std::collections::HashSet;

use ochre_base::{Error, Result, SqlState};
use ochre_types::jsonb::{Json, JsonKind, JsonRef};
use ochre_types::{ArrayValue, Datum, FormatContext, Numeric, Pace, PhysicalType};

use super::{position, texts};
use crate::CallContext;
use crate::errors::invalid_parameter;
use crate::eval::RowSet;
use crate::functions::Implementations;
use crate::functions::kernels::{Arr, Bytes, Text};

type Binary = Option<Vec<u8>>;

/// How many elements an assignment beyond an array's end may make: what about fits into a value.
const MAX_JSON_ELEMENTS: usize = 0x0FFF_FFFF / size_of::<u32>();

fn binary(value: Option<JsonRef<'_>>) -> Result<Binary> {
    Ok(value.map(|value| value.as_bytes().to_vec()))
}

fn printed(value: JsonRef<'_>, format: &FormatContext) -> Result<String> {
    let mut out = Vec::new();
    value.print(format, &mut out)?;
    Ok(String::from_utf8(out).unwrap_or_default())
}

/// The value as SQL text: a string as it is, null as nothing.
fn as_text(value: JsonRef<'_>, format: &FormatContext) -> Result<Option<String>> {
    Ok(match value.kind() {
        JsonKind::Null => None,
        JsonKind::String => value.as_str().map(str::to_owned),
        _ => Some(printed(value, format)?),
    })
}

fn text_of(value: Option<JsonRef<'_>>, call: &CallContext<'_, '_>) -> Result<Option<String>> {
    value.map_or(Ok(None), |value| as_text(value, call.eval.session.format()))
}

fn element(value: JsonRef<'_>, index: i64) -> Option<JsonRef<'_>> {
    if value.kind() != JsonKind::Array {
        return None;
    }
    value.element(position(index, value.len())?)
}

fn follow<'a>(value: JsonRef<'a>, path: &ArrayValue) -> Option<JsonRef<'a>> {
    if path.has_nulls() {
        return None;
    }
    texts(path).try_fold(value, |value, step| match value.kind() {
        JsonKind::Object => value.get(step),
        JsonKind::Array => element(value, step.trim().parse().ok()?),
        _ => None,
    })
}

#[rustfmt::skip]
pub(super) fn register(r: &mut Implementations) {
    r.f2::<Bytes, Text, Binary>("jsonb_object_field", |json, key| binary(JsonRef::new(json).get(key)));
    r.c2::<Bytes, Text, Option<String>>("jsonb_object_field_text", |call, json, key| text_of(JsonRef::new(json).get(key), call));
    r.f2::<Bytes, i32, Binary>("jsonb_array_element", |json, i| binary(element(JsonRef::new(json), i.into())));
    r.c2::<Bytes, i32, Option<String>>("jsonb_array_element_text", |call, json, i| text_of(element(JsonRef::new(json), i.into()), call));
    r.f2::<Bytes, Arr, Binary>("jsonb_extract_path", |json, path| binary(follow(JsonRef::new(json), path)));
    r.c2::<Bytes, Arr, Option<String>>("jsonb_extract_path_text", |call, json, path| text_of(follow(JsonRef::new(json), path), call));
    r.f1::<Bytes, &'static str>("jsonb_typeof", |json| Ok(JsonRef::new(json).kind().as_str()));
    r.f1::<Bytes, i32>("jsonb_array_length", |json| match JsonRef::new(json).kind() {
        JsonKind::Array => Ok(JsonRef::new(json).len() as i32),
        JsonKind::Object => Err(invalid_parameter("cannot get array length of a non-array")),
        _ => Err(invalid_parameter("cannot get array length of a scalar")),
    });
    r.c1::<Bytes, String>("jsonb_pretty", |call, json| {
        let mut out = Vec::new();
        JsonRef::new(json).print_pretty(call.eval.session.format(), &mut out)?;
        Ok(String::from_utf8(out).unwrap_or_default())
    });
    r.c2::<Bytes, bool, Vec<u8>>("jsonb_strip_nulls", |call, json, in_arrays| {
        let pace = &mut Pace::from(call.eval.session.format(), 0);
        made(call, &strip(tree(call, json)?, in_arrays, pace)?)
    });
    compare(r);
    change(r);
    casts(r);
    sets(r);
}

#[rustfmt::skip]
fn compare(r: &mut Implementations) {
    for (source, holds) in [
        ("jsonb_eq", Ordering::is_eq as fn(Ordering) -> bool), ("jsonb_ne", Ordering::is_ne), ("jsonb_lt", Ordering::is_lt),
        ("jsonb_le", Ordering::is_le), ("jsonb_gt", Ordering::is_gt), ("jsonb_ge", Ordering::is_ge),
    ] {
        r.c2::<Bytes, Bytes, bool>(source, move |call, a, b| Ok(holds(ordering(call, a, b)?)));
    }
    r.c2::<Bytes, Bytes, i32>("jsonb_cmp", |call, a, b| Ok(ordering(call, a, b)? as i32));
    r.c2::<Bytes, Bytes, bool>("jsonb_contains", |call, a, b| JsonRef::new(a).contains(JsonRef::new(b), call.eval.session.format()));
    r.c2::<Bytes, Bytes, bool>("jsonb_contained", |call, a, b| JsonRef::new(b).contains(JsonRef::new(a), call.eval.session.format()));
    r.c2::<Bytes, Text, bool>("jsonb_exists", |call, json, key| exists(JsonRef::new(json), key, &mut call.pace()));
    r.c2::<Bytes, Arr, bool>("jsonb_exists_any", |call, json, keys| any_key(call, json, keys, true));
    r.c2::<Bytes, Arr, bool>("jsonb_exists_all", |call, json, keys| Ok(!any_key(call, json, keys, false)?));
}

fn ordering(call: &CallContext<'_, '_>, a: &[u8], b: &[u8]) -> Result<Ordering> {
    JsonRef::new(a).compare_within(JsonRef::new(b), call.eval.session.format())
}

/// Whether any key is there, or is not there.
fn any_key(call: &CallContext<'_, '_>, json: &[u8], keys: &ArrayValue, there: bool) -> Result<bool> {
    let json = JsonRef::new(json);
    let pace = &mut Pace::from(call.eval.session.format(), 0);
    for key in texts(keys) {
        if exists(json, key, pace)? == there {
            return Ok(true);
        }
        pace.advance(size_of::<Datum>() + key.len())?;
    }
    Ok(false)
}

/// Whether a string is a key, an element, or the value itself.
fn exists(json: JsonRef<'_>, key: &str, pace: &mut Pace<'_>) -> Result<bool> {
    Ok(match json.kind() {
        JsonKind::Object => json.get(key).is_some(),
        JsonKind::Array => {
            for element in json.elements() {
                pace.advance(size_of::<JsonRef<'_>>() + element.as_bytes().len())?;
                if element.as_str() == Some(key) {
                    return Ok(true);
                }
            }
            false
        }
        _ => json.as_str() == Some(key),
    })
}

fn strip(json: Json, in_arrays: bool, pace: &mut Pace<'_>) -> Result<Json> {
    pace.advance(2 * size_of::<Json>())?;
    Ok(match json {
        Json::Object(members) => {
            let kept = members.into_iter().filter(|(_, value)| *value != Json::Null);
            let stripped = kept.map(|(key, value)| Ok((key, strip(value, in_arrays, pace)?)));
            Json::Object(stripped.collect::<Result<_>>()?)
        }
        Json::Array(elements) => {
            let kept = elements.into_iter().filter(|value| !in_arrays || *value != Json::Null);
            Json::Array(kept.map(|value| strip(value, in_arrays, pace)).collect::<Result<_>>()?)
        }
        scalar => scalar,
    })
}

fn tree(call: &CallContext<'_, '_>, bytes: &[u8]) -> Result<Json> {
    JsonRef::new(bytes).to_json_within(call.eval.session.format())
}

fn made(call: &CallContext<'_, '_>, json: &Json) -> Result<Vec<u8>> {
    json.to_bytes_within(call.eval.session.format())
}

#[rustfmt::skip]
fn change(r: &mut Implementations) {
    r.c2::<Bytes, Bytes, Vec<u8>>("jsonb_concat", |call, a, b| made(call, &match (tree(call, a)?, tree(call, b)?) {
        (Json::Object(mut a), Json::Object(b)) => {
            a.extend(b);
            Json::Object(a)
        }
        (a, b) => {
            let mut all = listed(a);
            all.extend(listed(b));
            Json::Array(all)
        }
    }));
    r.c2::<Bytes, Text, Vec<u8>>("jsonb_delete", |call, json, key| made(call, &without(tree(call, json)?, &mut call.pace(), |name| name == key)?));
    r.c2::<Bytes, Arr, Vec<u8>>("jsonb_delete_array", |call, json, keys| {
        let keys: HashSet<&str> = texts(keys).collect();
        made(call, &without(tree(call, json)?, &mut call.pace(), |name| keys.contains(name))?)
    });
    r.c2::<Bytes, i32, Vec<u8>>("jsonb_delete_idx", |call, json, index| match tree(call, json)? {
        Json::Array(mut elements) => {
            if let Some(at) = position(index.into(), elements.len()) { elements.remove(at); }
            made(call, &Json::Array(elements))
        }
        Json::Object(_) => Err(invalid_parameter("cannot delete from object using integer index")),
        _ => Err(invalid_parameter("cannot delete from scalar")),
    });
    r.c2::<Bytes, Arr, Vec<u8>>("jsonb_delete_path", |call, json, path| {
        let mut json = tree(call, json)?;
        if is_scalar(&json) { return Err(invalid_parameter("cannot delete path in scalar")); }
        let steps: Vec<&str> = texts(path).collect();
        remove(&mut json, &steps, 1)?;
        made(call, &json)
    });
    r.c4::<Bytes, Arr, Bytes, bool, Vec<u8>>("jsonb_set", |call, json, path, new, create| set_path(call, [json, new], path, create, SetMode::Replace));
    r.c4::<Bytes, Arr, Bytes, bool, Vec<u8>>("jsonb_insert", |call, json, path, new, after| set_path(call, [json, new], path, after, SetMode::Insert));
}

/// Without members of some names, or string elements that are such a name.
fn without(json: Json, pace: &mut Pace<'_>, goes: impl Fn(&str) -> bool) -> Result<Json> {
    Ok(match json {
        Json::Object(members) => {
            let mut kept = Vec::with_capacity(members.len());
            for (name, value) in members {
                pace.advance(2 * size_of::<Json>() + name.len())?;
                if !goes(&name) {
                    kept.push((name, value));
                }
            }
            Json::Object(kept)
        }
        Json::Array(elements) => {
            let mut kept = Vec::with_capacity(elements.len());
            for element in elements {
                pace.advance(2 * size_of::<Json>())?;
                if !matches!(&element, Json::String(text) if goes(text)) {
                    kept.push(element);
                }
            }
            Json::Array(kept)
        }
        _ => return Err(invalid_parameter("cannot delete from scalar")),
    })
}

fn listed(json: Json) -> Vec<Json> {
    if let Json::Array(elements) = json { elements } else { vec![json] }
}

fn is_scalar(json: &Json) -> bool {
    !matches!(json, Json::Array(_) | Json::Object(_))
}

/// Removes what a path leads to; one that leads nowhere changes nothing.
fn remove(json: &mut Json, steps: &[&str], number: usize) -> Result<()> {
    let Some((step, rest)) = steps.split_first() else { return Ok(()) };
    match json {
        Json::Object(members) => match members.iter().position(|(key, _)| key == step) {
            Some(at) if !rest.is_empty() => remove(&mut members[at].1, rest, number + 1)?,
            Some(at) => drop(members.remove(at)),
            None => {}
        },
        Json::Array(elements) => match position(path_index(step, number)?, elements.len()) {
            Some(at) if !rest.is_empty() => remove(&mut elements[at], rest, number + 1)?,
            Some(at) => drop(elements.remove(at)),
            None => {}
        },
        _ => {}
    }
    Ok(())
}

fn path_index(step: &str, number: usize) -> Result<i64> {
    step.trim().parse::<i32>().map(i64::from).map_err(|_| not_an_index(step, number))
}

fn not_an_index(step: &str, number: usize) -> Error {
    Error::new(
        SqlState::INVALID_TEXT_REPRESENTATION,
        format!("path element at position {number} is not an integer: \"{step}\""),
    )
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SetMode {
    /// `jsonb_set`; the flag tells whether to create what is missing.
    Replace,
    /// `jsonb_insert`; the flag tells whether to insert behind.
    Insert,
}

fn set_path(
    call: &CallContext<'_, '_>,
    [json, new]: [&[u8]; 2],
    path: &ArrayValue,
    flag: bool,
    mode: SetMode,
) -> Result<Vec<u8>> {
    let mut json = tree(call, json)?;
    if is_scalar(&json) {
        return Err(invalid_parameter("cannot set path in scalar"));
    }
    if path.has_nulls() {
        return Err(Error::new(SqlState::NULL_VALUE_NOT_ALLOWED, "path element at position 1 is null"));
    }
    let steps: Vec<&str> = texts(path).collect();
    set(&mut json, &steps, 1, tree(call, new)?, flag, mode)?;
    made(call, &json)
}

fn set(json: &mut Json, steps: &[&str], number: usize, new: Json, flag: bool, mode: SetMode) -> Result<()> {
    let Some((step, rest)) = steps.split_first() else { return Ok(()) };
    match json {
        Json::Object(members) => match members.iter_mut().find(|(key, _)| key == step) {
            Some((_, value)) if !rest.is_empty() => return set(value, rest, number + 1, new, flag, mode),
            Some((_, value)) => {
                if mode == SetMode::Insert {
                    return Err(invalid_parameter("cannot replace existing key")
                        .hint("Try using the function jsonb_set to replace key value."));
                }
                *value = new;
            }
            None if rest.is_empty() && (flag || mode == SetMode::Insert) => {
                members.push(((*step).to_owned(), new))
            }
            None => {}
        },
        Json::Array(elements) => {
            let index = path_index(step, number)?;
            match position(index, elements.len()) {
                Some(at) if !rest.is_empty() => {
                    return set(&mut elements[at], rest, number + 1, new, flag, mode);
                }
                Some(at) if mode == SetMode::Insert => elements.insert(at + usize::from(flag), new),
                Some(at) => elements[at] = new,
                None if !rest.is_empty() || (mode == SetMode::Replace && !flag) => {}
                None if index < 0 => elements.insert(0, new),
                None => elements.push(new),
            }
        }
        _ => {}
    }
    Ok(())
}

/// A JSON value with the part replaced that subscripts lead to; what is missing on the way is made: objects for names, arrays
/// for numbers, with nulls in the places before. Without a value to begin with it is an array if `array` says so.
pub(crate) fn assign_subscript(
    json: Option<&[u8]>,
    array: bool,
    steps: &[&str],
    new: Option<&[u8]>,
    format: &FormatContext,
) -> Result<Vec<u8>> {
    let parse = |bytes: &[u8]| JsonRef::new(bytes).to_json_within(format);
    let mut json = match json {
        Some(json) => parse(json)?,
        None if array => Json::Array(Vec::new()),
        None => Json::Object(Vec::new()),
    };
    let new = new.map_or(Ok(Json::Null), parse)?;
    assign_step(&mut json, steps, 1, new)?;
    json.to_bytes_within(format)
}

/// Takes the step with this number, which is the first of `steps`.
fn assign_step(json: &mut Json, steps: &[&str], number: usize, new: Json) -> Result<()> {
    let Some((step, rest)) = steps.split_first() else {
        *json = new;
        return Ok(());
    };
    match json {
        Json::Object(members) => match members.iter_mut().find(|(key, _)| key == step) {
            Some((_, value)) => assign_step(value, rest, number + 1, new),
            None => {
                members.push(((*step).to_owned(), chain(rest, new)?));
                Ok(())
            }
        },
        Json::Array(elements) => {
            let index: i32 = step.trim_start().parse().map_err(|_| not_an_index(step, number))?;
            if index < 0 {
                let Some(at) = position(index.into(), elements.len()) else {
                    return Err(invalid_parameter(format!(
                        "path element at position {number} is out of range: {index}"
                    )));
                };
                return assign_step(&mut elements[at], rest, number + 1, new);
            }
            let at = index as usize;
            if let Some(element) = elements.get_mut(at) {
                return assign_step(element, rest, number + 1, new);
            }
            let value = chain(rest, new)?;
            fill(elements, at)?;
            elements.push(value);
            Ok(())
        }
        _ => Err(invalid_parameter("cannot replace existing key")
            .detail("The path assumes key is a composite object, but it is a scalar value.")),
    }
}

/// What steps that lead nowhere yet make.
fn chain(steps: &[&str], new: Json) -> Result<Json> {
    steps.iter().rev().try_fold(new, |inner, step| {
        let Ok(index) = step.trim_start().parse::<i32>() else {
            return Ok(Json::Object(vec![((*step).to_owned(), inner)]));
        };
        let mut elements = Vec::new();
        fill(&mut elements, usize::try_from(index).unwrap_or(0))?;
        elements.push(inner);
        Ok(Json::Array(elements))
    })
}

/// Makes an array so long, with nulls.
fn fill(elements: &mut Vec<Json>, length: usize) -> Result<()> {
    if length > MAX_JSON_ELEMENTS {
        return Err(Error::new(
            SqlState::PROGRAM_LIMIT_EXCEEDED,
            format!("number of jsonb array elements exceeds the maximum allowed ({MAX_JSON_ELEMENTS})"),
        ));
    }
    elements.resize(length.max(elements.len()), Json::Null);
    Ok(())
}

#[rustfmt::skip]
fn casts(r: &mut Implementations) {
    r.f1::<Bytes, Option<bool>>("jsonb_bool", |json| {
        let json = JsonRef::new(json);
        match json.kind() {
            JsonKind::Null => Ok(None),
            JsonKind::Bool => Ok(json.as_bool()),
            _ => Err(cannot_cast(json, "boolean")),
        }
    });
    r.f1::<Bytes, Option<Numeric>>("jsonb_numeric", |json| number(json, "numeric"));
    r.f1::<Bytes, Option<i16>>("jsonb_int2", |json| number(json, "smallint")?.map(|n| n.to_i16()).transpose());
    r.f1::<Bytes, Option<i32>>("jsonb_int4", |json| number(json, "integer")?.map(|n| n.to_i32()).transpose());
    r.f1::<Bytes, Option<i64>>("jsonb_int8", |json| number(json, "bigint")?.map(|n| n.to_i64()).transpose());
    r.f1::<Bytes, Option<f32>>("jsonb_float4", |json| number(json, "real")?.map(|n| n.to_f32()).transpose());
    r.f1::<Bytes, Option<f64>>("jsonb_float8", |json| number(json, "double precision")?.map(|n| n.to_f64()).transpose());
}

fn cannot_cast(json: JsonRef<'_>, target: &str) -> Error {
    let what = match json.kind() {
        JsonKind::Array | JsonKind::Object => "array or object",
        JsonKind::Bool => "boolean",
        JsonKind::Number => "numeric",
        JsonKind::String => "string",
        JsonKind::Null => "null",
    };
    let what = match json.kind() {
        JsonKind::Array => "array",
        JsonKind::Object => "object",
        _ => what,
    };
    invalid_parameter(format!("cannot cast jsonb {what} to type {target}"))
}

fn number(json: &[u8], target: &str) -> Result<Option<Numeric>> {
    let json = JsonRef::new(json);
    match json.kind() {
        JsonKind::Null => Ok(None),
        JsonKind::Number => Ok(json.as_number()),
        _ => Err(cannot_cast(json, target)),
    }
}

fn sets(r: &mut Implementations) {
    fn shown(value: JsonRef<'_>, text: bool, format: &FormatContext) -> Result<Datum> {
        if !text {
            return Ok(Datum::text(value.as_bytes()));
        }
        Ok(as_text(value, format)?.map_or(Datum::Null, Datum::text))
    }
    for (source, text) in [("jsonb_array_elements", false), ("jsonb_array_elements_text", true)] {
        r.set(source, move |call, args| {
            let format = call.eval.session.format();
            let json = JsonRef::new(args[0].as_bytes().unwrap_or_default());
            match json.kind() {
                JsonKind::Array => {}
                JsonKind::Object => return Err(invalid_parameter("cannot extract elements from an object")),
                _ => return Err(invalid_parameter("cannot extract elements from a scalar")),
            }
            let mut pace = Pace::from(format, 0);
            let row = |(i, element): (usize, JsonRef<'_>)| {
                pace.look(i * size_of::<Vec<Datum>>())?;
                Ok(vec![shown(element, text, format)?])
            };
            let rows = json.elements().enumerate().map(row).collect::<Result<_>>()?;
            Ok(Box::new(RowSet::new(vec![PhysicalType::Bytes], rows)))
        });
    }
    for (source, text) in [("jsonb_each", false), ("jsonb_each_text", true)] {
        r.set(source, move |call, args| {
            let format = call.eval.session.format();
            let json = JsonRef::new(args[0].as_bytes().unwrap_or_default());
            if json.kind() != JsonKind::Object {
                return Err(invalid_parameter(format!("cannot call {source} on a non-object")));
            }
            let mut pace = Pace::from(format, 0);
            let row = |(i, (key, value)): (usize, (&str, JsonRef<'_>))| {
                pace.look(i * size_of::<Vec<Datum>>())?;
                Ok(vec![Datum::text(key), shown(value, text, format)?])
            };
            let rows = json.members().enumerate().map(row).collect::<Result<_>>()?;
            Ok(Box::new(RowSet::new(vec![PhysicalType::Bytes; 2], rows)))
        });
    }
    r.set("jsonb_object_keys", |call, args| {
        let json = JsonRef::new(args[0].as_bytes().unwrap_or_default());
        match json.kind() {
            JsonKind::Object => {}
            JsonKind::Array => return Err(invalid_parameter("cannot call jsonb_object_keys on an array")),
            _ => return Err(invalid_parameter("cannot call jsonb_object_keys on a scalar")),
        }
        let pace = &mut call.pace();
        let row = |(key, _): (&str, JsonRef<'_>)| {
            pace.advance(size_of::<Vec<Datum>>() + key.len())?;
            Ok(vec![Datum::text(key)])
        };
        let rows = json.members().map(row).collect::<Result<_>>()?;
        Ok(Box::new(RowSet::new(vec![PhysicalType::Bytes], rows)))
    });
}
