//! `jsonb`: JSON in a binary form with offsets, so that a member or element is found without reading the rest.
//!
//! # On-disk layout
//! A node is a tag byte and what follows to its end, which the holder knows:
//!
//! | tag | meaning | rest |
//! |---|---|---|
//! | 0, 1, 2 | null, false, true | nothing |
//! | 3 | number | `numeric`'s stored form |
//! | 4 | string | UTF-8 |
//! | 5 | array | count `n` u32, `n` ends u32, nodes |
//! | 6 | object | count `n` u32, `n` ends of keys u32, `n` ends of values u32, keys, nodes |
//!
//! Ends count from the end of the table they stand in, little-endian; those of values go on from the last key's. Keys are
//! unique and sorted by length, then bytes, as PostgreSQL sorts them.
//!
//! # Differences
//! Nesting is limited to [`MAX_DEPTH`] levels (54001 beyond).

use std::cmp::Ordering;

use ochre_base::{Error, Result, SqlState, limits};

use crate::json::{Handler, parse_with};
use crate::member_order::{key_order, member_order};
use crate::{FormatContext, Numeric, Pace};

/// Levels of nesting that are read.
pub const MAX_DEPTH: usize = 6_000;

/// What a node counts for besides its bytes when many are passed.
const NODE_BYTES: usize = 16;

const TAG_NULL: u8 = 0;
const TAG_FALSE: u8 = 1;
const TAG_TRUE: u8 = 2;
const TAG_NUMBER: u8 = 3;
const TAG_STRING: u8 = 4;
const TAG_ARRAY: u8 = 5;
const TAG_OBJECT: u8 = 6;

/// JSON as a tree, for building values.
#[derive(Debug, Clone, PartialEq)]
pub enum Json {
    Null,
    Bool(bool),
    Number(Numeric),
    String(String),
    Array(Vec<Json>),
    /// In any order; of equal keys the last counts.
    Object(Vec<(String, Json)>),
}

/// What a node is, in PostgreSQL's order of kinds: a string is above null, an object above all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum JsonKind {
    Null,
    String,
    Number,
    Bool,
    Array,
    Object,
}

impl JsonKind {
    /// `jsonb_typeof`'s word.
    pub const fn as_str(self) -> &'static str {
        match self {
            JsonKind::Null => "null",
            JsonKind::String => "string",
            JsonKind::Number => "number",
            JsonKind::Bool => "boolean",
            JsonKind::Array => "array",
            JsonKind::Object => "object",
        }
    }
}

/// Runs a recursive step with enough stack.
fn deep<T>(step: impl FnOnce() -> T) -> T {
    stacker::maybe_grow(limits::STACK_RED_ZONE_BYTES, limits::STACK_GROWTH_BYTES, step)
}

impl Json {
    /// Reads JSON text.
    ///
    /// # Errors
    /// 22P02, 22P05, 54001.
    pub fn parse(text: &str, context: &FormatContext) -> Result<Json> {
        let mut tree = Tree { stack: Vec::new(), root: Json::Null, context };
        parse_with(text, &mut tree, context)?;
        Ok(tree.root)
    }

    fn encode(&self, pace: &mut Pace<'_>, out: &mut Vec<u8>) -> Result<()> {
        pace.look(out.len())?;
        match self {
            Json::Null => out.push(TAG_NULL),
            Json::Bool(false) => out.push(TAG_FALSE),
            Json::Bool(true) => out.push(TAG_TRUE),
            Json::Number(number) => {
                out.push(TAG_NUMBER);
                number.encode_stored(out);
            }
            Json::String(text) => {
                out.push(TAG_STRING);
                pace.pieces(text.as_bytes(), out, |piece, out| out.extend_from_slice(piece))?;
            }
            Json::Array(elements) => {
                out.push(TAG_ARRAY);
                out.extend_from_slice(&(elements.len() as u32).to_le_bytes());
                let table = out.len();
                out.resize(table + 4 * elements.len(), 0);
                let base = out.len();
                for (index, element) in elements.iter().enumerate() {
                    deep(|| element.encode(pace, out))?;
                    set_end(out, table, index, base);
                }
            }
            Json::Object(members) => encode_object(members, pace, out)?,
        }
        Ok(())
    }

    /// The binary form.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.encode(&mut Pace::never(), &mut out).expect("nobody is asked");
        out
    }

    /// The binary form of what may be large.
    ///
    /// # Errors
    /// Those of [`FormatContext::check_interrupts`].
    pub fn to_bytes_within(&self, context: &FormatContext) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        self.encode(&mut Pace::from(context, 0), &mut out)?;
        Ok(out)
    }
}

fn set_end(out: &mut [u8], table: usize, index: usize, base: usize) {
    let end = (out.len() - base) as u32;
    out[table + 4 * index..][..4].copy_from_slice(&end.to_le_bytes());
}

fn encode_object(members: &[(String, Json)], pace: &mut Pace<'_>, out: &mut Vec<u8>) -> Result<()> {
    let order = member_order(members.len(), |member| members[member as usize].0.as_bytes(), pace)?;
    out.push(TAG_OBJECT);
    out.extend_from_slice(&(order.len() as u32).to_le_bytes());
    let table = out.len();
    out.resize(table + 8 * order.len(), 0);
    let base = out.len();
    for (index, member) in order.iter().enumerate() {
        out.extend_from_slice(members[*member as usize].0.as_bytes());
        set_end(out, table, index, base);
        pace.look(out.len())?;
    }
    for (index, member) in order.iter().enumerate() {
        deep(|| members[*member as usize].1.encode(pace, out))?;
        set_end(out, table, order.len() + index, base);
    }
    Ok(())
}

/// Builds a [`Json`] from what the reader meets.
struct Tree<'c> {
    stack: Vec<Level>,
    root: Json,
    context: &'c FormatContext,
}

enum Level {
    Array(Vec<Json>),
    Object(Vec<(String, Json)>, Option<String>),
}

impl Tree<'_> {
    fn put(&mut self, value: Json) {
        match self.stack.last_mut() {
            None => self.root = value,
            Some(Level::Array(elements)) => elements.push(value),
            Some(Level::Object(members, key)) => members.push((key.take().unwrap_or_default(), value)),
        }
    }
}

impl Handler for Tree<'_> {
    const WANTS_STRINGS: bool = true;

    fn null(&mut self) {
        self.put(Json::Null);
    }

    fn bool(&mut self, value: bool) {
        self.put(Json::Bool(value));
    }

    fn number(&mut self, text: &str) -> Result<()> {
        let number = Numeric::parse_with(text, || self.context.check_interrupts())?;
        self.put(Json::Number(number));
        Ok(())
    }

    fn string(&mut self, text: String) {
        self.put(Json::String(text));
    }

    fn key(&mut self, text: String) {
        if let Some(Level::Object(_, key)) = self.stack.last_mut() {
            *key = Some(text);
        }
    }

    fn begin(&mut self, object: bool) -> Result<()> {
        if self.stack.len() >= MAX_DEPTH {
            return Err(too_deep());
        }
        self.stack.push(if object { Level::Object(Vec::new(), None) } else { Level::Array(Vec::new()) });
        Ok(())
    }

    fn end(&mut self) {
        let value = match self.stack.pop() {
            Some(Level::Array(elements)) => Json::Array(elements),
            Some(Level::Object(members, _)) => Json::Object(members),
            None => Json::Null,
        };
        self.put(value);
    }
}

#[cold]
fn too_deep() -> Error {
    Error::new(SqlState::STATEMENT_TOO_COMPLEX, "stack depth limit exceeded")
        .detail(format!("JSON is nested more than {MAX_DEPTH} levels deep."))
}

/// A node of a `jsonb` value. Bytes that are no such value read as null.
#[derive(Debug, Clone, Copy)]
pub struct JsonRef<'a> {
    bytes: &'a [u8],
}

impl<'a> JsonRef<'a> {
    /// The root of a `jsonb` value.
    pub const fn new(bytes: &'a [u8]) -> JsonRef<'a> {
        JsonRef { bytes }
    }

    /// The node's binary form, which is a `jsonb` value of its own.
    pub const fn as_bytes(self) -> &'a [u8] {
        self.bytes
    }

    /// What the node is.
    pub fn kind(self) -> JsonKind {
        match self.bytes.first() {
            Some(&(TAG_FALSE | TAG_TRUE)) => JsonKind::Bool,
            Some(&TAG_NUMBER) => JsonKind::Number,
            Some(&TAG_STRING) => JsonKind::String,
            Some(&TAG_ARRAY) => JsonKind::Array,
            Some(&TAG_OBJECT) => JsonKind::Object,
            _ => JsonKind::Null,
        }
    }

    /// The boolean, if it is one.
    pub fn as_bool(self) -> Option<bool> {
        match self.bytes.first() {
            Some(&TAG_FALSE) => Some(false),
            Some(&TAG_TRUE) => Some(true),
            _ => None,
        }
    }

    /// The number, if it is one.
    pub fn as_number(self) -> Option<Numeric> {
        match self.bytes.split_first()? {
            (&TAG_NUMBER, rest) => Numeric::decode_stored(rest),
            _ => None,
        }
    }

    /// The string, if it is one.
    pub fn as_str(self) -> Option<&'a str> {
        match self.bytes.split_first()? {
            (&TAG_STRING, rest) => std::str::from_utf8(rest).ok(),
            _ => None,
        }
    }

    /// The string's bytes, which were checked when it was made.
    fn string_bytes(self) -> Option<&'a [u8]> {
        self.bytes.split_first().and_then(|(tag, rest)| (*tag == TAG_STRING).then_some(rest))
    }

    /// Elements of an array or members of an object; 0 for scalars.
    pub fn len(self) -> usize {
        self.container().map_or(0, |(count, _)| count)
    }

    /// Whether it is an empty container or a scalar.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Count and what follows it, of a container.
    fn container(self) -> Option<(usize, &'a [u8])> {
        let (tag, rest) = self.bytes.split_first()?;
        if !matches!(*tag, TAG_ARRAY | TAG_OBJECT) {
            return None;
        }
        let (count, rest) = rest.split_first_chunk::<4>()?;
        Some((u32::from_le_bytes(*count) as usize, rest))
    }

    /// Part `index` of a table of `entries` ends.
    fn part(body: &'a [u8], entries: usize, index: usize) -> Option<&'a [u8]> {
        let end = |index: usize| {
            let bytes = body.get(4 * index..)?.first_chunk::<4>()?;
            Some(u32::from_le_bytes(*bytes) as usize)
        };
        let from = if index == 0 { 0 } else { end(index - 1)? };
        body.get(4 * entries..)?.get(from..end(index)?)
    }

    /// Element `index` of an array, from 0.
    pub fn element(self, index: usize) -> Option<JsonRef<'a>> {
        let (count, body) = self.container()?;
        if self.kind() != JsonKind::Array || index >= count {
            return None;
        }
        JsonRef::part(body, count, index).map(JsonRef::new)
    }

    /// Key and value number `index` of an object, in the order of keys.
    pub fn member(self, index: usize) -> Option<(&'a str, JsonRef<'a>)> {
        let (count, body) = self.container()?;
        if self.kind() != JsonKind::Object || index >= count {
            return None;
        }
        let key = std::str::from_utf8(JsonRef::part(body, 2 * count, index)?).ok()?;
        Some((key, JsonRef::new(JsonRef::part(body, 2 * count, count + index)?)))
    }

    /// The value of an object's member.
    pub fn get(self, key: &str) -> Option<JsonRef<'a>> {
        let (count, body) = self.container()?;
        if self.kind() != JsonKind::Object {
            return None;
        }
        let (mut low, mut high) = (0, count);
        while low < high {
            let middle = low + (high - low) / 2;
            match key_order(JsonRef::part(body, 2 * count, middle)?, key.as_bytes()) {
                Ordering::Equal => return JsonRef::part(body, 2 * count, count + middle).map(JsonRef::new),
                Ordering::Less => low = middle + 1,
                Ordering::Greater => high = middle,
            }
        }
        None
    }

    /// The elements of an array.
    pub fn elements(self) -> impl Iterator<Item = JsonRef<'a>> {
        (0..self.len()).map_while(move |index| self.element(index))
    }

    /// The members of an object, in the order of keys.
    pub fn members(self) -> impl Iterator<Item = (&'a str, JsonRef<'a>)> {
        (0..self.len()).map_while(move |index| self.member(index))
    }

    /// The node as a tree.
    pub fn to_json(self) -> Json {
        self.node_to_json(&mut Pace::never()).expect("nobody is asked")
    }

    /// What may be large as a tree.
    ///
    /// # Errors
    /// Those of [`FormatContext::check_interrupts`].
    pub fn to_json_within(self, context: &FormatContext) -> Result<Json> {
        self.node_to_json(&mut Pace::from(context, 0))
    }

    fn node_to_json(self, pace: &mut Pace<'_>) -> Result<Json> {
        self.pass(pace)?;
        Ok(match self.kind() {
            JsonKind::Null => Json::Null,
            JsonKind::Bool => Json::Bool(self.as_bool() == Some(true)),
            JsonKind::Number => Json::Number(self.as_number().unwrap_or(Numeric::NAN)),
            JsonKind::String => Json::String(self.as_str().unwrap_or_default().to_owned()),
            JsonKind::Array => {
                let element = |element: JsonRef<'_>| deep(|| element.node_to_json(pace));
                Json::Array(self.elements().map(element).collect::<Result<_>>()?)
            }
            JsonKind::Object => {
                let member = |(key, value): (&str, JsonRef<'_>)| {
                    Ok((key.to_owned(), deep(|| value.node_to_json(pace))?))
                };
                Json::Object(self.members().map(member).collect::<Result<_>>()?)
            }
        })
    }

    /// Somebody comes by the node, and reads it if it is a scalar.
    #[inline]
    fn pass(self, pace: &mut Pace<'_>) -> Result<()> {
        let below = matches!(self.bytes.first(), Some(&(TAG_ARRAY | TAG_OBJECT)));
        pace.advance(NODE_BYTES + if below { 0 } else { self.bytes.len() })
    }

    /// Appends the text form: `{"a": 1, "b": [2, 3]}`.
    ///
    /// # Errors
    /// Those of [`FormatContext::check_interrupts`]; a part has been appended then.
    pub fn print(self, context: &FormatContext, out: &mut Vec<u8>) -> Result<()> {
        self.print_node(&mut Pace::from(context, out.len()), out)
    }

    fn print_node(self, pace: &mut Pace<'_>, out: &mut Vec<u8>) -> Result<()> {
        pace.look(out.len())?;
        match self.kind() {
            JsonKind::Null => out.extend_from_slice(b"null"),
            JsonKind::Bool => {
                out.extend_from_slice(if self.as_bool() == Some(true) { b"true" } else { b"false" })
            }
            JsonKind::Number => self.as_number().unwrap_or(Numeric::NAN).print(out),
            JsonKind::String => print_long_string(self.string_bytes().unwrap_or_default(), pace, out)?,
            JsonKind::Array => {
                out.push(b'[');
                for (index, element) in self.elements().enumerate() {
                    if index > 0 {
                        out.extend_from_slice(b", ");
                    }
                    deep(|| element.print_node(pace, out))?;
                }
                out.push(b']');
            }
            JsonKind::Object => {
                out.push(b'{');
                for (index, (key, value)) in self.members().enumerate() {
                    if index > 0 {
                        out.extend_from_slice(b", ");
                    }
                    print_long_string(key.as_bytes(), pace, out)?;
                    out.extend_from_slice(b": ");
                    deep(|| value.print_node(pace, out))?;
                }
                out.push(b'}');
            }
        }
        Ok(())
    }

    /// Appends the text form with a line per element and member, indented by four blanks a level: `jsonb_pretty`.
    ///
    /// # Errors
    /// As [`JsonRef::print`].
    pub fn print_pretty(self, context: &FormatContext, out: &mut Vec<u8>) -> Result<()> {
        self.print_indented(0, &mut Pace::from(context, out.len()), out)
    }

    fn print_indented(self, level: usize, pace: &mut Pace<'_>, out: &mut Vec<u8>) -> Result<()> {
        let line = |level: usize, out: &mut Vec<u8>| {
            out.push(b'\n');
            out.extend(std::iter::repeat_n(b' ', 4 * level));
        };
        let (open, close) = match self.kind() {
            JsonKind::Array => (b'[', b']'),
            JsonKind::Object => (b'{', b'}'),
            _ => return self.print_node(pace, out),
        };
        out.push(open);
        for index in 0..self.len() {
            if index > 0 {
                out.push(b',');
            }
            line(level + 1, out);
            let value = match self.member(index) {
                Some((key, value)) => {
                    print_long_string(key.as_bytes(), pace, out)?;
                    out.extend_from_slice(b": ");
                    Some(value)
                }
                None => self.element(index),
            };
            if let Some(value) = value {
                deep(|| value.print_indented(level + 1, pace, out))?;
            }
        }
        line(level, out);
        out.push(close);
        Ok(())
    }

    /// SQL's order.
    pub fn compare(self, other: JsonRef<'_>) -> Ordering {
        self.compare_roots(other, &mut Pace::never()).expect("nobody is asked")
    }

    /// SQL's order of what may be large.
    ///
    /// # Errors
    /// Those of [`FormatContext::check_interrupts`].
    pub fn compare_within(self, other: JsonRef<'_>, context: &FormatContext) -> Result<Ordering> {
        self.compare_roots(other, &mut Pace::from(context, 0))
    }

    fn compare_roots(self, other: JsonRef<'_>, pace: &mut Pace<'_>) -> Result<Ordering> {
        // At the root an empty array is below everything.
        let empty = |node: JsonRef<'_>| node.kind() == JsonKind::Array && node.is_empty();
        match (empty(self), empty(other)) {
            (true, true) => Ok(Ordering::Equal),
            (true, false) => Ok(Ordering::Less),
            (false, true) => Ok(Ordering::Greater),
            (false, false) => self.compare_nodes(other, pace),
        }
    }

    fn compare_nodes(self, other: JsonRef<'_>, pace: &mut Pace<'_>) -> Result<Ordering> {
        self.pass(pace)?;
        let kind = self.kind();
        let kinds = kind.cmp(&other.kind());
        if kinds.is_ne() {
            return Ok(kinds);
        }
        Ok(match kind {
            JsonKind::Null => Ordering::Equal,
            JsonKind::Bool => self.as_bool().cmp(&other.as_bool()),
            JsonKind::String => self.string_bytes().cmp(&other.string_bytes()),
            JsonKind::Number => match (self.as_number(), other.as_number()) {
                (Some(a), Some(b)) => a.compare(&b),
                (a, b) => a.is_some().cmp(&b.is_some()),
            },
            JsonKind::Array | JsonKind::Object if self.len() != other.len() => self.len().cmp(&other.len()),
            JsonKind::Array => {
                for (a, b) in self.elements().zip(other.elements()) {
                    let order = deep(|| a.compare_nodes(b, pace))?;
                    if order.is_ne() {
                        return Ok(order);
                    }
                }
                Ordering::Equal
            }
            JsonKind::Object => {
                for ((key, a), (other_key, b)) in self.members().zip(other.members()) {
                    let keys = key.cmp(other_key);
                    let order = if keys.is_ne() { keys } else { deep(|| a.compare_nodes(b, pace))? };
                    if order.is_ne() {
                        return Ok(order);
                    }
                }
                Ordering::Equal
            }
        })
    }

    /// Whether the value contains another: `@>`.
    ///
    /// # Errors
    /// Those of [`FormatContext::check_interrupts`]: each element of an array is looked for among all of another's.
    pub fn contains(self, other: JsonRef<'_>, context: &FormatContext) -> Result<bool> {
        let pace = &mut Pace::from(context, 0);
        // An array also contains a scalar that is one of its elements; at the root only.
        if self.kind() == JsonKind::Array && !matches!(other.kind(), JsonKind::Array | JsonKind::Object) {
            return self.any_element(|element| Ok(element.compare_nodes(other, pace)?.is_eq()));
        }
        self.contains_node(other, pace)
    }

    fn any_element(self, mut wanted: impl FnMut(JsonRef<'a>) -> Result<bool>) -> Result<bool> {
        for element in self.elements() {
            if wanted(element)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn contains_node(self, other: JsonRef<'_>, pace: &mut Pace<'_>) -> Result<bool> {
        self.pass(pace)?;
        match (self.kind(), other.kind()) {
            (JsonKind::Object, JsonKind::Object) => {
                for (key, value) in other.members() {
                    let Some(mine) = self.get(key) else { return Ok(false) };
                    if !deep(|| mine.contains_node(value, pace))? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            (JsonKind::Array, JsonKind::Array) => {
                for wanted in other.elements() {
                    if !self.any_element(|element| deep(|| element.contains_node(wanted, pace)))? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            (a, b) => Ok(a == b && self.compare_nodes(other, pace)?.is_eq()),
        }
    }

    /// Appends the order-preserving key form: equal values have one key, and memcmp order is [`JsonRef::compare`]'s.
    pub fn encode_key(self, out: &mut Vec<u8>) {
        let empty = self.kind() == JsonKind::Array && self.is_empty();
        if empty {
            return out.push(0);
        }
        self.encode_node_key(out);
    }

    fn encode_node_key(self, out: &mut Vec<u8>) {
        match self.kind() {
            JsonKind::Null => out.push(1),
            JsonKind::String => {
                out.push(2);
                crate::key::push_escaped(self.string_bytes().unwrap_or_default(), out);
            }
            JsonKind::Number => {
                out.push(3);
                self.as_number().unwrap_or(Numeric::NAN).encode_key(out);
            }
            JsonKind::Bool => out.push(if self.as_bool() == Some(true) { 5 } else { 4 }),
            JsonKind::Array => {
                out.push(6);
                out.extend_from_slice(&(self.len() as u32).to_be_bytes());
                self.elements().for_each(|element| deep(|| element.encode_node_key(out)));
            }
            JsonKind::Object => {
                out.push(7);
                out.extend_from_slice(&(self.len() as u32).to_be_bytes());
                for (key, value) in self.members() {
                    crate::key::push_escaped(key.as_bytes(), out);
                    deep(|| value.encode_node_key(out));
                }
            }
        }
    }
}

/// Reads the key form off the front of `key`; `None` when it is none.
pub(crate) fn decode_key(key: &mut &[u8], mask: u8, depth: usize) -> Option<Json> {
    if depth > MAX_DEPTH {
        return None;
    }
    let byte = |key: &mut &[u8]| {
        let (byte, rest) = key.split_first()?;
        *key = rest;
        Some(byte ^ mask)
    };
    let count = |key: &mut &[u8]| {
        let bytes = [byte(key)?, byte(key)?, byte(key)?, byte(key)?];
        Some(u32::from_be_bytes(bytes))
    };
    let text = |key: &mut &[u8]| {
        let mut text = Vec::new();
        loop {
            match byte(key)? {
                0 => match byte(key)? {
                    0 => return String::from_utf8(text).ok(),
                    _ => text.push(0),
                },
                other => text.push(other),
            }
        }
    };
    Some(match byte(key)? {
        0 => Json::Array(Vec::new()),
        1 => Json::Null,
        2 => Json::String(text(key)?),
        3 => {
            let plain: Vec<u8> = key.iter().map(|byte| byte ^ mask).collect();
            let mut rest = plain.as_slice();
            let number = Numeric::decode_key(&mut rest)?;
            *key = &key[plain.len() - rest.len()..];
            Json::Number(number)
        }
        4 => Json::Bool(false),
        5 => Json::Bool(true),
        6 => {
            let count = count(key)?;
            let element = |_| deep(|| decode_key(key, mask, depth + 1));
            Json::Array((0..count).map(element).collect::<Option<_>>()?)
        }
        7 => {
            let count = count(key)?;
            let member = |_| Some((text(key)?, deep(|| decode_key(key, mask, depth + 1))?));
            Json::Object((0..count).map(member).collect::<Option<_>>()?)
        }
        _ => return None,
    })
}

/// Appends a string with JSON's quotes and escapes.
pub fn print_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    print_escaped(text.as_bytes(), out);
    out.push(b'"');
}

/// As [`print_string`], of what may be long.
///
/// # Errors
/// As [`Pace::look`].
pub fn print_long_string(text: &[u8], pace: &mut Pace<'_>, out: &mut Vec<u8>) -> Result<()> {
    out.push(b'"');
    pace.pieces(text, out, print_escaped)?;
    out.push(b'"');
    Ok(())
}

fn print_escaped(bytes: &[u8], out: &mut Vec<u8>) {
    for byte in bytes {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0x08 => out.extend_from_slice(b"\\b"),
            0x0c => out.extend_from_slice(b"\\f"),
            0..0x20 => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            _ => out.push(*byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(text: &str) -> Vec<u8> {
        Json::parse(text, &FormatContext::default()).unwrap().to_bytes()
    }

    fn printed(text: &str) -> String {
        let mut out = Vec::new();
        JsonRef::new(&bytes(text)).print(&FormatContext::default(), &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn normal_form() {
        assert_eq!(
            printed(r#"{"b":1,"aa":2, "b":3.50, "a":"\u00e4\n\/\u0007\ud83d\ude00"}"#),
            "{\"a\": \"ä\\n/\\u0007😀\", \"b\": 3.50, \"aa\": 2}"
        );
        assert_eq!(printed(" [ ] "), "[]");
        assert_eq!(printed("{}"), "{}");
        assert_eq!(printed("[1e3,-0.0,true,null,[[]]]"), "[1000, 0.0, true, null, [[]]]");
    }

    #[test]
    fn members_are_found() {
        let value = bytes(r#"{"b":1,"aa":{"x":[10,20]},"c":null}"#);
        let root = JsonRef::new(&value);
        assert_eq!(root.len(), 3);
        assert_eq!(
            root.get("aa").unwrap().get("x").unwrap().element(1).unwrap().as_number(),
            Some(Numeric::from_i64(20))
        );
        assert!(root.get("d").is_none() && root.element(0).is_none());
        assert_eq!(
            root.to_json(),
            Json::parse(r#"{"b":1,"c":null,"aa":{"x":[10,20]}}"#, &FormatContext::default()).unwrap()
        );
    }

    #[test]
    fn containment() {
        let format = FormatContext::default();
        let contains =
            |a: &str, b: &str| JsonRef::new(&bytes(a)).contains(JsonRef::new(&bytes(b)), &format).unwrap();
        assert!(
            contains("[1,2,3]", "[1,3]") && contains("[1,2,3]", "[3,3]") && !contains("[1,2,[1,3]]", "[1,3]")
        );
        assert!(
            contains(r#"{"foo":{"bar":"baz"}}"#, r#"{"foo":{}}"#)
                && !contains(r#"{"foo":{"bar":"baz"}}"#, r#"{"bar":"baz"}"#)
        );
        assert!(contains(r#"["foo","bar"]"#, r#""bar""#) && !contains(r#""bar""#, r#"["bar"]"#));
    }

    #[test]
    fn deep_nesting_is_refused_and_less_deep_is_not() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert_eq!(
            Json::parse(&nested(100_000), &FormatContext::default()).unwrap_err().sqlstate(),
            SqlState::STATEMENT_TOO_COMPLEX
        );
        let value = bytes(&nested(MAX_DEPTH));
        let mut out = Vec::new();
        JsonRef::new(&value).print(&FormatContext::default(), &mut out).unwrap();
        assert_eq!(out.len(), 2 * MAX_DEPTH);
    }
}
