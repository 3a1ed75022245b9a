//! Texts that differ only in their literals: `… WHERE id = 5` and `… WHERE id = 7` as one statement with a parameter.
//!
//! # Role
//! Clients of the simple protocol write values into their texts, so a plan kept by text would never be used again. Here a
//! text becomes the same text with `$1`, `$2` … where its literals stood, and the literals' values. The plan of that
//! text is made by the ordinary way and kept; see [`crate::plan_cache`] for when it may be used.
//!
//! # Invariants
//! - L1: in a text with one of [`POSITIONAL`] a number may mean a column of the result; such texts are left alone.
//! - L2: what is recognised is only what cannot be anything else: words, plain integers, plain strings, operators. At
//!   anything that could change how the rest is read (comments, quoted names, escapes, casts, dollars) it gives up.

use ochre_base::Oid;
use ochre_types::oids;
use smallvec::SmallVec;

/// Longer texts are planned each time: reading them costs more than their plans.
const MAX_BYTES: usize = 2048;
const MAX_LITERALS: usize = 32;

/// The words behind which numbers are positions.
const POSITIONAL: [&str; 3] = ["order", "group", "distinct"];

/// A literal of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Literal<'t> {
    /// Fits a bigint.
    Integer(i64),
    /// Between its quotes.
    Text(&'t str),
}

impl Literal<'_> {
    /// The type that a parameter in its place is declared with, as the literal would have it; a string's depends on
    /// where it stands.
    pub(crate) fn declared_type(self) -> Oid {
        match self {
            Literal::Integer(value) if i32::try_from(value).is_ok() => oids::INT4,
            Literal::Integer(_) => oids::INT8,
            Literal::Text(_) => Oid::INVALID,
        }
    }
}

/// The literals of a text, in order.
pub(crate) type Literals<'t> = SmallVec<[Literal<'t>; 8]>;

/// Writes a text to `shape` with parameters in place of its literals; `None` when it is not plain enough (L1, L2).
pub(crate) fn extract<'t>(text: &'t str, shape: &mut String) -> Option<Literals<'t>> {
    if text.len() > MAX_BYTES {
        return None;
    }
    shape.clear();
    let bytes = text.as_bytes();
    let mut literals = Literals::new();
    let mut at = 0;
    // What has been read and not written yet begins here.
    let mut copied = 0;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => {
                let start = at;
                at += run(bytes, at, |b| b.is_ascii_alphanumeric() || b == b'_');
                let word = &text[start..at];
                if word.len() >= 5 && POSITIONAL.iter().any(|other| word.eq_ignore_ascii_case(other)) {
                    return None;
                }
                // A name may go on with these, and a string behind a word belongs to it.
                if matches!(bytes.get(at), Some(b'\'' | b'"' | b'$' | b'&' | 0x80..)) {
                    return None;
                }
            }
            b'0'..=b'9' => {
                let end = at + run(bytes, at, |b| b.is_ascii_digit());
                if matches!(
                    bytes.get(end),
                    Some(b'a'..=b'z' | b'A'..=b'Z' | b'_' | b'.' | b'\'' | b'"' | b'$' | 0x80..)
                ) || at > 0 && bytes[at - 1] == b'.'
                {
                    return None;
                }
                literals.push(Literal::Integer(text[at..end].parse().ok()?));
                put_parameter(shape, &text[copied..at], literals.len());
                at = end;
                copied = end;
            }
            b'\'' => {
                let length = run(bytes, at + 1, |b| !matches!(b, b'\'' | b'\\' | 0));
                let end = at + 1 + length;
                // Neither a doubled quote nor an escape, whatever `standard_conforming_strings` says.
                if bytes.get(end) != Some(&b'\'') || bytes.get(end + 1) == Some(&b'\'') {
                    return None;
                }
                literals.push(Literal::Text(&text[at + 1..end]));
                put_parameter(shape, &text[copied..at], literals.len());
                at = end + 1;
                copied = at;
            }
            b'-' if bytes.get(at + 1) == Some(&b'-') => return None,
            b'/' if bytes.get(at + 1) == Some(&b'*') => return None,
            b' ' | b'\t' | b'\n' | b'\r' | b'=' | b'<' | b'>' | b'+' | b'-' | b'*' | b'/' | b'%' | b'('
            | b')' | b',' | b'.' | b';' | b'|' => at += 1,
            _ => return None,
        }
        if literals.len() > MAX_LITERALS {
            return None;
        }
    }
    shape.push_str(&text[copied..]);
    Some(literals)
}

/// How many bytes from a place on satisfy a test.
fn run(bytes: &[u8], from: usize, test: impl Fn(u8) -> bool) -> usize {
    let rest = bytes.get(from..).unwrap_or_default();
    rest.iter().position(|byte| !test(*byte)).unwrap_or(rest.len())
}

fn put_parameter(shape: &mut String, before: &str, number: usize) {
    use std::fmt::Write;
    shape.push_str(before);
    write!(shape, "${number}").expect("a String takes any text");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(text: &str) -> Option<(String, Vec<String>)> {
        let mut shape = String::new();
        let literals = extract(text, &mut shape)?;
        Some((shape, literals.iter().map(|literal| format!("{literal:?}")).collect()))
    }

    #[test]
    fn literals_become_parameters() {
        let (text, literals) = shape("UPDATE t SET a1 = a1 + -5, b='x y' WHERE id=3000000000;").unwrap();
        assert_eq!(text, "UPDATE t SET a1 = a1 + -$1, b=$2 WHERE id=$3;");
        assert_eq!(literals, ["Integer(5)", "Text(\"x y\")", "Integer(3000000000)"]);
        assert_eq!(shape("SELECT a FROM t").unwrap(), ("SELECT a FROM t".to_string(), vec![]));
        assert_eq!(shape("VALUES ('ä')").unwrap().1, ["Text(\"ä\")"]);
    }

    #[test]
    fn what_is_not_plain_is_left_alone() {
        for text in [
            "SELECT 1.5",
            "SELECT .5",
            "SELECT 1e3",
            "SELECT 0x1F",
            "SELECT 1_000",
            "SELECT E'a'",
            "SELECT 'it''s'",
            "SELECT 'a\\b'",
            "SELECT \"1\"",
            "SELECT $1",
            "SELECT $$1$$",
            "SELECT 1 -- 2",
            "SELECT 1 /* 2 */",
            "SELECT '1'::int",
            "SELECT a[1]",
            "SELECT 99999999999999999999",
            "SELECT 'open",
            "SELECT ä1",
            "SELECT aä1",
            "SELECT n'x'",
            "SELECT a FROM t WHERE b = 1 ORDER BY 1",
            "SELECT Distinct 1",
            "SELECT U&'x'",
            "SELECT 1\u{0}",
        ] {
            assert_eq!(shape(text), None, "{text}");
        }
    }
}
