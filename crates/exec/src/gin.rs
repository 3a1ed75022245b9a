//! What a GIN index holds of a value, and which of its keys a condition asks for.
//!
//! # On-disk layout
//! A row has an entry for each key that is extracted from its columns: the number of the index's column (1 byte, from 1), what
//! the key is (1 byte), and its bytes:
//!
//! | what | bytes |
//! |---|---|
//! | 1: an element of an array | its key form ([`ochre_types::key`]) |
//! | 1: of jsonb_ops | 1 and a name, or a string in an array; 2 null; 3 and a byte, a boolean; 4 and a number's key form; 5 and a string that is a member's value. Texts of more than 125 bytes: 6, what they are, and 8 bytes of hash |
//! | 1: of jsonb_path_ops | 8 bytes: a hash of a scalar and the names on the way to it |
//! | 2: a NULL element | |
//! | 3: a value without keys | |
//! | 4: NULL | |
//!
//! Every row that the index covers has at least one entry for each column.
//!
//! # Invariants
//! - G1: whatever satisfies a condition has the keys that its query asks for. The converse need not hold, and a row has the keys
//!   of all its versions: the condition is asked again of each row.
//! - G2: keys of a row are in order, each once.

use ochre_base::{Error, Result};
use ochre_catalog::{IndexDescriptor, IndexMethod};
use ochre_sql::physical::GinStrategy;
use ochre_types::jsonb::{JsonKind, JsonRef};
use ochre_types::{ArrayValue, Column, ColumnValues, Datum, KeyOrder, key};

use crate::index_entry::Entry;

const KEY: u8 = 1;
const NULL_ELEMENT: u8 = 2;
const NO_KEYS: u8 = 3;
const NULL: u8 = 4;

const NAME: u8 = 1;
const JSON_NULL: u8 = 2;
const JSON_BOOL: u8 = 3;
const JSON_NUMBER: u8 = 4;
const JSON_STRING: u8 = 5;
const HASHED: u8 = 6;
/// Longer texts are hashed.
const LONGEST_TEXT_BYTES: usize = 125;

/// How keys are extracted from a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GinClass {
    /// `array_ops`.
    Array,
    /// `jsonb_ops`.
    Jsonb,
    /// `jsonb_path_ops`.
    JsonbPath,
}

/// How keys are extracted from the columns of an index; `None` for one of another method.
pub fn gin_classes(index: &IndexDescriptor) -> Option<Vec<GinClass>> {
    let class = |oid| {
        let known = ochre_expr::operator_classes().iter().find(|class| class.oid == oid);
        match known.map(|class| &*class.name) {
            Some("jsonb_ops") => GinClass::Jsonb,
            Some("jsonb_path_ops") => GinClass::JsonbPath,
            _ => GinClass::Array,
        }
    };
    (index.method == IndexMethod::Gin)
        .then(|| index.keys.iter().map(|key| class(key.operator_class)).collect())
}

/// Which rows may satisfy a condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GinQuery {
    /// None.
    Nothing,
    /// All whose value is not NULL: those with an entry from here to there (both as beginnings of keys).
    NotNull(Vec<u8>, Vec<u8>),
    /// Those that have all of these keys.
    Every(Vec<Vec<u8>>),
    /// Those that have one of these keys.
    Any(Vec<Vec<u8>>),
}

fn head(column: usize, what: u8) -> Vec<u8> {
    vec![column as u8 + 1, what]
}

fn with_head(column: usize, bytes: &[u8]) -> Vec<u8> {
    [&head(column, KEY), bytes].concat()
}

/// Appends the entries of a column's value.
///
/// # Errors
/// 0A000 for elements without a key form.
pub fn extract(
    class: GinClass,
    number: usize,
    column: &Column,
    row: usize,
    out: &mut Vec<Entry>,
) -> Result<()> {
    let first = out.len();
    let mut add = |key: Vec<u8>| out.push(Entry { key, payload: Vec::new() });
    if column.is_null(row) {
        add(head(number, NULL));
        return Ok(());
    }
    match class {
        GinClass::Array => {
            let ColumnValues::Array(values) = column.values() else { return Err(no_array()) };
            array_keys(&values[row * column.stride()], number, &mut add)?;
        }
        GinClass::Jsonb => {
            json_keys(JsonRef::new(column.bytes(row)), &mut |key| add(with_head(number, &key)))
        }
        GinClass::JsonbPath => {
            json_paths(JsonRef::new(column.bytes(row)), &mut |key| add(with_head(number, &key)));
        }
    }
    if out.len() == first {
        out.push(Entry { key: head(number, NO_KEYS), payload: Vec::new() });
        return Ok(());
    }
    out[first..].sort_unstable();
    let mut kept = first + 1;
    for next in first + 1..out.len() {
        if out[next] != out[kept - 1] {
            out.swap(kept, next);
            kept += 1;
        }
    }
    out.truncate(kept);
    Ok(())
}

fn array_keys(array: &ArrayValue, number: usize, add: &mut dyn FnMut(Vec<u8>)) -> Result<()> {
    let order = KeyOrder { order: array.element.order(), ..KeyOrder::ASCENDING };
    for element in &array.elements {
        if element.is_null() {
            add(head(number, NULL_ELEMENT));
            continue;
        }
        let mut bytes = head(number, KEY);
        key::encode_key(element, order, &mut bytes)?;
        add(bytes);
    }
    Ok(())
}

fn text_key(what: u8, text: &str) -> Vec<u8> {
    if text.len() <= LONGEST_TEXT_BYTES {
        return [&[what], text.as_bytes()].concat();
    }
    [&[HASHED, what], &key::fingerprint(text.as_bytes())[..8]].concat()
}

/// A scalar's key; `element` where it stands in an array, or alone.
fn scalar_key(json: JsonRef<'_>, element: bool) -> Vec<u8> {
    match json.kind() {
        JsonKind::Bool => vec![JSON_BOOL, u8::from(json.as_bool() == Some(true))],
        JsonKind::Number => {
            let mut bytes = vec![JSON_NUMBER];
            json.as_number().unwrap_or(ochre_types::Numeric::NAN).encode_key(&mut bytes);
            bytes
        }
        JsonKind::String => {
            text_key(if element { NAME } else { JSON_STRING }, json.as_str().unwrap_or_default())
        }
        _ => vec![JSON_NULL],
    }
}

/// The keys of jsonb_ops.
fn json_keys(json: JsonRef<'_>, add: &mut dyn FnMut(Vec<u8>)) {
    let mut rest = vec![(json, true)];
    while let Some((json, element)) = rest.pop() {
        match json.kind() {
            JsonKind::Object => {
                for (name, value) in json.members() {
                    add(text_key(NAME, name));
                    rest.push((value, false));
                }
            }
            JsonKind::Array => rest.extend(json.elements().map(|element| (element, true))),
            _ => add(scalar_key(json, element)),
        }
    }
}

/// The keys of jsonb_path_ops: arrays are no part of the way.
fn json_paths(json: JsonRef<'_>, add: &mut dyn FnMut(Vec<u8>)) {
    let digest = |way: &[u8], key: &[u8]| key::fingerprint(&[way, key].concat());
    let mut rest = vec![(json, [0; 16])];
    while let Some((json, way)) = rest.pop() {
        match json.kind() {
            JsonKind::Object => {
                let members = json.members();
                rest.extend(members.map(|(name, value)| (value, digest(&way, &text_key(NAME, name)))));
            }
            JsonKind::Array => rest.extend(json.elements().map(|element| (element, way))),
            _ => add(digest(&way, &scalar_key(json, false))[..8].to_vec()),
        }
    }
}

/// The keys that a condition on a column asks for (G1).
///
/// # Errors
/// As [`extract`]; XX000 when the value is not what the operator takes.
pub fn gin_query(class: GinClass, number: usize, strategy: GinStrategy, value: &Datum) -> Result<GinQuery> {
    let not_null = || GinQuery::NotNull(head(number, KEY), head(number, NO_KEYS));
    let every = |mut keys: Vec<Vec<u8>>| {
        keys.sort_unstable();
        keys.dedup();
        if keys.is_empty() { not_null() } else { GinQuery::Every(keys) }
    };
    let any = |mut keys: Vec<Vec<u8>>| {
        keys.sort_unstable();
        keys.dedup();
        if keys.is_empty() { GinQuery::Nothing } else { GinQuery::Any(keys) }
    };
    if value.is_null() {
        return Ok(GinQuery::Nothing);
    }
    let mut keys = Vec::new();
    if class == GinClass::Array {
        let Datum::Array(array) = value else { return Err(no_array()) };
        array_keys(array, number, &mut |key| keys.push(key))?;
        let null = head(number, NULL_ELEMENT);
        let has_null = keys.contains(&null);
        return match strategy {
            // A NULL is an element of nothing.
            GinStrategy::Contains if has_null => Ok(GinQuery::Nothing),
            GinStrategy::Contains => Ok(every(keys)),
            GinStrategy::Overlap => {
                keys.retain(|key| *key != null);
                Ok(any(keys))
            }
            GinStrategy::Contained => {
                keys.retain(|key| *key != null);
                keys.push(head(number, NO_KEYS));
                Ok(any(keys))
            }
            GinStrategy::Equal if keys.is_empty() => Ok(any(vec![head(number, NO_KEYS)])),
            GinStrategy::Equal => Ok(every(keys)),
            _ => Err(Error::internal("an operator of another class asks a GIN index of arrays")),
        };
    }
    let texts = || match value {
        Datum::Array(array) => Ok(array.elements.iter().filter_map(Datum::as_str)),
        _ => Err(no_array()),
    };
    let name = |text: &str| with_head(number, &text_key(NAME, text));
    match (strategy, value) {
        (GinStrategy::Contains, Datum::Bytes(bytes)) => {
            let mut add = |key: Vec<u8>| keys.push(with_head(number, &key));
            match class {
                GinClass::JsonbPath => json_paths(JsonRef::new(bytes), &mut add),
                _ => json_keys(JsonRef::new(bytes), &mut add),
            }
            Ok(every(keys))
        }
        (GinStrategy::Exists, Datum::Bytes(_)) => Ok(any(value.as_str().map(name).into_iter().collect())),
        (GinStrategy::ExistsAny, _) => Ok(any(texts()?.map(name).collect())),
        (GinStrategy::ExistsAll, _) => Ok(every(texts()?.map(name).collect())),
        _ => Err(Error::internal("a GIN index of documents is asked with another value")),
    }
}

#[cold]
fn no_array() -> Error {
    Error::internal("a GIN index of arrays is given another value")
}

#[cfg(test)]
mod tests {
    use super::*;
    use ochre_types::jsonb::Json;
    use ochre_types::{FormatContext, SharedBytes};

    fn keys_of(text: &str, class: GinClass) -> Vec<Vec<u8>> {
        let bytes = Json::parse(text, &FormatContext::default()).unwrap().to_bytes();
        let query = gin_query(class, 0, GinStrategy::Contains, &Datum::Bytes(SharedBytes::from_vec(bytes)));
        match query.unwrap() {
            GinQuery::Every(keys) => keys,
            GinQuery::NotNull(..) => Vec::new(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_contained_has_a_part_of_the_keys() {
        for class in [GinClass::Jsonb, GinClass::JsonbPath] {
            for (whole, part) in [
                (r#"{"a": {"b": [1, "x", null, true]}, "c": 2}"#, r#"{"a": {"b": ["x", 1.0]}}"#),
                (r#"["foo", 1]"#, r#""foo""#),
                (r#"{"a": [[1, 2], [3]]}"#, r#"{"a": [[3]]}"#),
                (r#"{"a": {}}"#, "{}"),
            ] {
                let all = keys_of(whole, class);
                assert!(keys_of(part, class).iter().all(|key| all.contains(key)), "{whole} @> {part}");
            }
        }
    }

    #[test]
    fn a_string_is_another_key_as_a_value_than_as_an_element() {
        assert_ne!(keys_of(r#"["a"]"#, GinClass::Jsonb), keys_of(r#"{"a": "a"}"#, GinClass::Jsonb));
        let long = "x".repeat(1000);
        let keys = keys_of(&format!(r#"["{long}"]"#), GinClass::Jsonb);
        assert_eq!(keys.len(), 1);
        assert!(keys[0].len() < 20);
        assert_eq!(keys_of("{}", GinClass::Jsonb), Vec::<Vec<u8>>::new());
    }
}
