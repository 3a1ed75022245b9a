//! Types with few functions: tid, enums, oidvector, timetz's extremes, identifiers.

use std::cmp::Ordering;

use ochre_base::{Error, Oid, Result, SqlState};
use ochre_types::{ArrayValue, Datum, Pace, SqlType, compare};

use super::Implementations;
use super::integer::comparisons;
use super::kernels::{Arr, Bytes, Text};
use crate::Implementation;
use crate::errors::invalid_parameter;

#[rustfmt::skip]
pub(super) fn register(r: &mut Implementations) {
    for name in ["int4_cash", "int8_cash"] {
        r.row(name, |_, args| {
            let cents = args[0].as_i64().and_then(|units| units.checked_mul(100));
            cents.map(Datum::Int64).ok_or_else(|| {
                Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "bigint out of range")
            })
        });
    }
    comparisons!(r, i64, i64, "tideq" "tidne" "tidlt" "tidle" "tidgt" "tidge", "bttidcmp", |a, b| (a as u64).cmp(&(b as u64)));
    r.map2::<i64, i64, i64>("tidlarger", |a, b| if (a as u64) < (b as u64) { b } else { a });
    r.map2::<i64, i64, i64>("tidsmaller", |a, b| if (a as u64) < (b as u64) { a } else { b });
    r.map2::<u32, u32, bool>("enum_eq", |a, b| a == b);
    r.map2::<u32, u32, bool>("enum_ne", |a, b| a != b);
    // The order of labels is the catalog's.
    for source in ["enum_lt", "enum_le", "enum_gt", "enum_ge", "enum_cmp", "enum_larger", "enum_smaller", "enum_first",
        "enum_last", "enum_range_bounds", "enum_range_all", "xid_age", "mxid_age"] {
        r.add(source, Implementation::Session);
    }
    for (source, holds) in [
        ("oidvectoreq", Ordering::is_eq as fn(Ordering) -> bool), ("oidvectorne", Ordering::is_ne), ("oidvectorlt", Ordering::is_lt),
        ("oidvectorle", Ordering::is_le), ("oidvectorgt", Ordering::is_gt), ("oidvectorge", Ordering::is_ge),
    ] {
        r.f2::<Arr, Arr, bool>(source, move |a, b| Ok(holds(vector_order(a, b))));
    }
    r.f2::<Arr, Arr, i32>("btoidvectorcmp", |a, b| Ok(vector_order(a, b) as i32));
    r.c1::<Arr, String>("oidvectortypes", |call, vector| {
        let name = |oid: &Datum| super::system::format_type(call.eval, Oid(oid.as_i64().unwrap_or(0) as u32), -1);
        Ok(vector.elements.iter().map(name).collect::<Vec<_>>().join(", "))
    });
    r.f2::<Bytes, Bytes, Vec<u8>>("timetz_larger", |a, b| Ok(a.max(b).to_vec()));
    r.f2::<Bytes, Bytes, Vec<u8>>("timetz_smaller", |a, b| Ok(a.min(b).to_vec()));
    for (source, wanted) in [("record_larger", Ordering::Less), ("record_smaller", Ordering::Greater)] {
        r.row(source, move |_, args| {
            let order = compare::try_compare(&args[0], &args[1])?;
            Ok(args[usize::from(order == wanted)].clone())
        });
    }
    r.f2::<Text, u32, String>("nameconcatoid", |name, oid| {
        let suffix = format!("_{oid}");
        let mut keep = name.len().min(ochre_base::limits::MAX_IDENTIFIER_BYTES - suffix.len());
        while !name.is_char_boundary(keep) { keep -= 1; }
        Ok(format!("{}{suffix}", &name[..keep]))
    });
    r.c2::<Text, bool, ArrayValue>("parse_ident", |call, text, strict| {
        let parts = parse_ident(text, strict, &mut call.pace())?.into_iter().map(Datum::text).collect();
        Ok(ArrayValue::vector(SqlType::TEXT, parts))
    });
}

/// By length, then element by element.
fn vector_order(a: &ArrayValue, b: &ArrayValue) -> Ordering {
    let numbers = |v: &ArrayValue| v.elements.iter().map(|e| e.as_i64().unwrap_or(0)).collect::<Vec<_>>();
    a.len().cmp(&b.len()).then_with(|| numbers(a).cmp(&numbers(b)))
}

/// The parts of a qualified identifier, quotes taken off; unquoted ones in lower case.
fn parse_ident(text: &str, strict: bool, pace: &mut Pace<'_>) -> Result<Vec<String>> {
    let invalid = || invalid_parameter(format!("string is not a valid identifier: \"{text}\""));
    let mut parts = Vec::new();
    let mut rest = text.trim_start();
    let mut after_dot = false;
    loop {
        pace.advance(size_of::<Datum>())?;
        if let Some(quoted) = rest.strip_prefix('"') {
            let mut name = String::new();
            let mut chars = quoted.char_indices().peekable();
            let end = loop {
                pace.advance(1)?;
                match chars.next() {
                    None => return Err(invalid().detail("String has unclosed double quotes.")),
                    Some((_, '"')) if chars.next_if(|(_, c)| *c == '"').is_some() => name.push('"'),
                    Some((at, '"')) => break at + 1,
                    Some((_, c)) => name.push(c),
                }
            };
            if name.is_empty() {
                return Err(invalid().detail("Quoted identifier must not be empty."));
            }
            parts.push(name);
            rest = &quoted[end..];
        } else {
            let starts = |c: char| c.is_ascii_alphabetic() || c == '_' || !c.is_ascii();
            if !rest.starts_with(starts) {
                return Err(match (rest.chars().next(), after_dot) {
                    (Some('.'), _) => invalid().detail("No valid identifier before \".\"."),
                    (_, true) => invalid().detail("No valid identifier after \".\"."),
                    _ => invalid(),
                });
            }
            let end =
                rest.find(|c: char| !(starts(c) || c.is_ascii_digit() || c == '$')).unwrap_or(rest.len());
            parts.push(rest[..end].to_lowercase());
            rest = &rest[end..];
        }
        rest = rest.trim_start();
        match rest.strip_prefix('.') {
            Some(after) => rest = after.trim_start(),
            None if rest.is_empty() || !strict => return Ok(parts),
            None => return Err(invalid()),
        }
        after_dot = true;
    }
}
