//! Functions of `json`.

use ochre_base::Result;
use ochre_types::{Datum, PhysicalType};

use super::raw::{Raw, RawKind};
use super::texts;
use crate::errors::invalid_parameter;
use crate::eval::RowSet;
use crate::functions::Implementations;
use crate::functions::kernels::{Arr, Text};

#[rustfmt::skip]
pub(super) fn register(r: &mut Implementations) {
    r.f2::<Text, Text, Option<String>>("json_object_field", |json, key| Ok(Raw::new(json).get(key).map(|v| v.0.to_owned())));
    r.f2::<Text, Text, Option<String>>("json_object_field_text", |json, key| Ok(Raw::new(json).get(key).and_then(Raw::as_text)));
    r.f2::<Text, i32, Option<String>>("json_array_element", |json, i| Ok(Raw::new(json).element(i.into()).map(|v| v.0.to_owned())));
    r.f2::<Text, i32, Option<String>>("json_array_element_text", |json, i| Ok(Raw::new(json).element(i.into()).and_then(Raw::as_text)));
    r.f2::<Text, Arr, Option<String>>("json_extract_path", |json, path| Ok(follow(json, path).map(|v| v.0.to_owned())));
    r.f2::<Text, Arr, Option<String>>("json_extract_path_text", |json, path| Ok(follow(json, path).and_then(Raw::as_text)));
    r.f1::<Text, &'static str>("json_typeof", |json| Ok(Raw::new(json).kind().word()));
    r.f1::<Text, i32>("json_array_length", |json| match Raw::new(json).kind() {
        RawKind::Array => Ok(Raw::new(json).elements().len() as i32),
        RawKind::Object => Err(invalid_parameter("cannot get array length of a non-array")),
        _ => Err(invalid_parameter("cannot get array length of a scalar")),
    });
    r.f2::<Text, bool, String>("json_strip_nulls", |json, in_arrays| {
        let mut out = String::new();
        strip(Raw::new(json), in_arrays, &mut out);
        Ok(out)
    });
    for (source, as_text) in [("json_array_elements", false), ("json_array_elements_text", true)] {
        r.set(source, move |_, args| {
            let json = Raw::new(args[0].as_str().unwrap_or_default());
            match json.kind() {
                RawKind::Array => {}
                RawKind::Object => return Err(invalid_parameter(format!("cannot call {source} on a non-array"))),
                _ => return Err(invalid_parameter(format!("cannot call {source} on a scalar"))),
            }
            let rows = json.elements().into_iter().map(|e| vec![shown(e, as_text)]).collect();
            Ok(Box::new(RowSet::new(vec![PhysicalType::Bytes], rows)))
        });
    }
    for (source, as_text) in [("json_each", false), ("json_each_text", true)] {
        r.set(source, move |_, args| {
            let members = object(args, source)?;
            let rows = members.into_iter().map(|(key, value)| vec![Datum::text(key), shown(value, as_text)]).collect();
            Ok(Box::new(RowSet::new(vec![PhysicalType::Bytes; 2], rows)))
        });
    }
    r.set("json_object_keys", |_, args| {
        let rows = object(args, "json_object_keys")?.into_iter().map(|(key, _)| vec![Datum::text(key)]).collect();
        Ok(Box::new(RowSet::new(vec![PhysicalType::Bytes], rows)))
    });
}

fn shown(value: Raw<'_>, as_text: bool) -> Datum {
    if as_text { value.as_text().map_or(Datum::Null, Datum::text) } else { Datum::text(value.0) }
}

fn object<'a>(args: &'a [Datum], function: &str) -> Result<Vec<(String, Raw<'a>)>> {
    let json = Raw::new(args[0].as_str().unwrap_or_default());
    match json.kind() {
        RawKind::Object => Ok(json.members()),
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

fn follow<'a>(json: &'a str, path: &ochre_types::ArrayValue) -> Option<Raw<'a>> {
    if path.has_nulls() {
        return None;
    }
    texts(path).try_fold(Raw::new(json), |value, step| match value.kind() {
        RawKind::Object => value.get(step),
        RawKind::Array => value.element(step.trim().parse().ok()?),
        _ => None,
    })
}

/// Without members that are null; with `in_arrays`, without such elements too. Blanks go.
fn strip(value: Raw<'_>, in_arrays: bool, out: &mut String) {
    match value.kind() {
        RawKind::Object => {
            out.push('{');
            let mut first = true;
            for (key, member) in value.members() {
                if member.kind() == RawKind::Null {
                    continue;
                }
                if !first {
                    out.push(',');
                }
                first = false;
                let mut quoted = Vec::new();
                ochre_types::jsonb::print_string(&key, &mut quoted);
                out.push_str(&String::from_utf8_lossy(&quoted));
                out.push(':');
                strip(member, in_arrays, out);
            }
            out.push('}');
        }
        RawKind::Array => {
            out.push('[');
            let mut first = true;
            for element in value.elements() {
                if in_arrays && element.kind() == RawKind::Null {
                    continue;
                }
                if !first {
                    out.push(',');
                }
                first = false;
                strip(element, in_arrays, out);
            }
            out.push(']');
        }
        _ => out.push_str(value.0),
    }
}
