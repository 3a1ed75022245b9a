//! LIKE and ILIKE.

use std::sync::Arc;

use ochre_base::{Error, Result, SqlState};
use ochre_types::{Column, Datum, Pace};

use super::Implementations;
use super::kernels::{Bytes, Text, validity_of};
use super::large::{Search, each_piece};
use crate::Implementation;
use crate::errors::wrong_form;
use crate::eval::Rows;
use crate::function::{BatchFn, RowFn};

/// A LIKE pattern, prepared: the common shapes are plain byte searches.
enum Pattern {
    Exact(Vec<u8>),
    Prefix(Vec<u8>),
    Suffix(Vec<u8>),
    Contains(Search<'static>),
    /// What it begins with, what follows somewhere, in this order, and what it ends with.
    Parts(Vec<u8>, Vec<Search<'static>>, Vec<u8>),
    General(Vec<Element>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Element {
    Byte(u8),
    /// `_`: one character, or one byte of a byte string.
    One,
    /// `%`.
    Any,
}

/// Which strings are compared, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mode {
    fold_case: bool,
    bytes: bool,
}

impl Pattern {
    fn new(pattern: &[u8], mode: Mode, pace: &mut Pace<'_>) -> Result<Pattern> {
        let folded;
        let pattern = if mode.fold_case {
            folded = fold(pattern, pace)?;
            &folded[..]
        } else {
            pattern
        };
        let mut elements = Vec::with_capacity(pattern.len());
        let mut rest = pattern.iter();
        while let Some(byte) = rest.next() {
            // The elements are read more than once below.
            pace.advance(ELEMENT_BYTES)?;
            match byte {
                b'\\' => match rest.next() {
                    Some(literal) => elements.push(Element::Byte(*literal)),
                    None => {
                        return Err(Error::new(
                            SqlState::INVALID_ESCAPE_SEQUENCE,
                            "LIKE pattern must not end with escape character",
                        ));
                    }
                },
                b'_' => elements.push(Element::One),
                b'%' if elements.last() == Some(&Element::Any) => {}
                b'%' => elements.push(Element::Any),
                literal => elements.push(Element::Byte(*literal)),
            }
        }
        let literal = |part: &[Element]| -> Option<Vec<u8>> {
            part.iter().map(|e| if let Element::Byte(byte) = e { Some(*byte) } else { None }).collect()
        };
        Ok(match elements.as_slice() {
            [Element::Any, middle @ .., Element::Any] if literal(middle).is_some() => {
                let part = literal(middle).unwrap_or_default();
                Pattern::Contains(Search::owned(part, pace)?)
            }
            [Element::Any, tail @ ..] if literal(tail).is_some() => {
                Pattern::Suffix(literal(tail).unwrap_or_default())
            }
            [head @ .., Element::Any] if literal(head).is_some() => {
                Pattern::Prefix(literal(head).unwrap_or_default())
            }
            whole => match literal(whole) {
                Some(exact) => Pattern::Exact(exact),
                None => Pattern::of_parts(whole, pace)?.unwrap_or(Pattern::General(elements)),
            },
        })
    }

    /// Of elements that are bytes and `%` only, with a `%` among them.
    fn of_parts(elements: &[Element], pace: &mut Pace<'_>) -> Result<Option<Pattern>> {
        let literal = |part: &[Element]| -> Option<Vec<u8>> {
            part.iter().map(|e| if let Element::Byte(byte) = e { Some(*byte) } else { None }).collect()
        };
        let parts: Option<Vec<Vec<u8>>> =
            elements.split(|element| *element == Element::Any).map(literal).collect();
        let Some(mut parts) = parts else { return Ok(None) };
        let Some(last) = parts.pop() else { return Ok(None) };
        let mut parts = parts.into_iter();
        let Some(first) = parts.next() else { return Ok(None) };
        let middle = parts.map(|part| {
            pace.advance(size_of::<Search<'_>>())?;
            Search::owned(part, pace)
        });
        Ok(Some(Pattern::Parts(first, middle.collect::<Result<_>>()?, last)))
    }

    fn matches(&self, value: &[u8], mode: Mode, pace: &mut Pace<'_>) -> Result<bool> {
        let folded;
        let value = if mode.fold_case {
            folded = fold(value, pace)?;
            &folded[..]
        } else {
            value
        };
        Ok(match self {
            Pattern::Exact(exact) => value == exact,
            Pattern::Prefix(prefix) => value.starts_with(prefix),
            Pattern::Suffix(suffix) => value.ends_with(suffix),
            Pattern::Contains(part) => part.find(value, pace)?.is_some(),
            // The first place of each part leaves the most to the next ones.
            Pattern::Parts(first, middle, last) => {
                if !first.is_empty() && !value.starts_with(first) {
                    return Ok(false);
                }
                let mut rest = &value[first.len()..];
                for part in middle {
                    let Some(at) = part.find(rest, pace)? else { return Ok(false) };
                    rest = &rest[at + part.needle().len()..];
                }
                last.is_empty() || rest.ends_with(last)
            }
            Pattern::General(elements) => matches(value, elements, mode.bytes, pace)?,
        })
    }
}

/// Lower case character by character.
fn fold(text: &[u8], pace: &mut Pace<'_>) -> Result<Vec<u8>> {
    let mut out = String::with_capacity(text.len());
    each_piece(text, pace, |piece| {
        if piece.is_ascii() {
            let from = out.len();
            out.push_str(piece);
            out[from..].make_ascii_lowercase();
        } else {
            out.extend(piece.chars().flat_map(char::to_lowercase));
        }
        Ok(())
    })?;
    Ok(out.into_bytes())
}

/// What an element of a pattern counts for.
const ELEMENT_BYTES: usize = 16;
/// Steps of matching between two looks at whether to go on.
const STEPS_AT_A_TIME: u32 = 1 << 14;

/// Greedy matching: after a `%`, a mismatch resumes one character further on; only the last `%` needs to be remembered.
fn matches(value: &[u8], elements: &[Element], bytes: bool, pace: &mut Pace<'_>) -> Result<bool> {
    let (mut v, mut e) = (0, 0);
    let mut resume: Option<(usize, usize)> = None;
    let mut steps = 0u32;
    loop {
        steps += 1;
        if steps == STEPS_AT_A_TIME {
            pace.look_at_once()?;
            steps = 0;
        }
        match elements.get(e) {
            Some(Element::Any) => {
                resume = Some((v, e + 1));
                e += 1;
                continue;
            }
            Some(Element::Byte(byte)) if value.get(v) == Some(byte) => {
                v += 1;
                e += 1;
                continue;
            }
            Some(Element::One) if v < value.len() => {
                v += if bytes { 1 } else { char_len(value[v]) };
                e += 1;
                continue;
            }
            None if v >= value.len() => return Ok(true),
            _ => {}
        }
        match resume {
            Some((at, element)) if at < value.len() => {
                let next = at + if bytes { 1 } else { char_len(value[at]) };
                resume = Some((next, element));
                (v, e) = (next, element);
            }
            _ => return Ok(false),
        }
    }
}

fn char_len(first: u8) -> usize {
    match first {
        0..=0xBF => 1,
        0xC0..=0xDF => 2,
        0xE0..=0xEF => 3,
        _ => 4,
    }
}

#[rustfmt::skip]
pub(super) fn register(r: &mut Implementations) {
    let plain = Mode { fold_case: false, bytes: false };
    let folded = Mode { fold_case: true, bytes: false };
    let bytes = Mode { fold_case: false, bytes: true };
    for (source, mode, negated) in [
        ("textlike", plain, false), ("textnlike", plain, true), ("namelike", plain, false), ("namenlike", plain, true),
        ("texticlike", folded, false), ("texticnlike", folded, true), ("nameiclike", folded, false), ("nameicnlike", folded, true),
        ("bytealike", bytes, false), ("byteanlike", bytes, true),
    ] {
        r.like(source, mode, negated);
    }
    r.c2::<Text, Text, String>("like_escape", |call, pattern, escape| {
        let mut chars = escape.chars();
        let (escape, None) = (chars.next(), chars.next()) else { return Err(bad_escape()) };
        with_backslashes(pattern, escape, &mut call.pace())
    });
    r.c2::<Bytes, Bytes, Vec<u8>>("like_escape_bytea", |call, pattern, escape| {
        let text = |b: &[u8]| b.iter().map(|b| char::from(*b)).collect::<String>();
        if escape.len() > 1 { return Err(bad_escape()); }
        let escape = escape.first().map(|b| char::from(*b));
        let converted = with_backslashes(&text(pattern), escape, &mut call.pace())?;
        Ok(converted.chars().map(|c| c as u8).collect())
    });
}

fn bad_escape() -> Error {
    Error::new(SqlState::INVALID_ESCAPE_SEQUENCE, "invalid escape string")
        .hint("Escape string must be empty or one character.")
}

/// The pattern with its escape character replaced by a backslash.
fn with_backslashes(pattern: &str, escape: Option<char>, pace: &mut Pace<'_>) -> Result<String> {
    let mut out = String::with_capacity(pattern.len());
    if escape == Some('\\') {
        return Ok(pattern.to_owned());
    }
    let mut after_escape = false;
    for c in pattern.chars() {
        pace.advance(1)?;
        if Some(c) == escape && !after_escape {
            out.push('\\');
            after_escape = true;
        } else if c == '\\' {
            out.push('\\');
            if !after_escape {
                out.push('\\');
            }
            after_escape = false;
        } else {
            out.push(c);
            after_escape = false;
        }
    }
    Ok(out)
}

impl Implementations {
    fn like(&mut self, source: &'static str, mode: Mode, negated: bool) {
        let form = || wrong_form("a string");
        let batch: BatchFn = Arc::new(move |call, args, rows, selection| {
            let pace = &mut call.pace();
            let values = args[0].as_bytes().ok_or_else(form)?;
            let patterns = args[1].as_bytes().ok_or_else(form)?;
            let stride = args[0].stride();
            let mut out = vec![false; rows];
            let selected = Rows::new(rows, selection);
            if args[1].is_constant() {
                let pattern = Pattern::new(patterns.get(0), mode, pace)?;
                selected.try_each(|row| {
                    out[row] = pattern.matches(values.get(row * stride), mode, pace)? != negated;
                    Ok(())
                })?;
            } else {
                selected.try_each(|row| {
                    if args[0].is_valid(row) && args[1].is_valid(row) {
                        let pattern = Pattern::new(patterns.get(row), mode, pace)?;
                        out[row] = pattern.matches(values.get(row * stride), mode, pace)? != negated;
                    }
                    Ok(())
                })?;
            }
            Ok(Arc::new(Column::from(out).with_validity(validity_of(args))))
        });
        let row: RowFn = Arc::new(move |call, args| {
            let pace = &mut call.pace();
            let (value, pattern) =
                (args[0].as_bytes().ok_or_else(form)?, args[1].as_bytes().ok_or_else(form)?);
            Ok(Datum::Bool(Pattern::new(pattern, mode, pace)?.matches(value, mode, pace)? != negated))
        });
        self.add(source, Implementation::Batch { batch, row });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        let mode = Mode { fold_case: false, bytes: false };
        let like = |value: &str, pattern: &str| {
            let pace = &mut Pace::never();
            Pattern::new(pattern.as_bytes(), mode, pace)
                .unwrap()
                .matches(value.as_bytes(), mode, pace)
                .unwrap()
        };
        assert!(like("hawkeye", "h%") && like("hawkeye", "h%eye") && like("hawkeye", "_awk%e"));
        assert!(!like("hawkeye", "h_eye") && !like("hawkeye", "H%") && like("", "%") && !like("", "_"));
        assert!(
            like("h%", "h\\%") && !like("hx", "h\\%") && like("äöü", "_ö_") && like("abcabd", "%ab_%abd")
        );
        assert!(like("hawkeye", "%w%y%") && like("hawkeye", "ha%ke%e") && like("aab", "a%ab"));
        assert!(
            !like("hawkeye", "%y%w%")
                && !like("ab", "ab%b")
                && !like("aba", "ab%ba")
                && like("abba", "ab%ba")
        );
        assert!(like("a special list of requests", "%special%requests%") && like("äöüä", "ä%ü%ä"));
        assert!(like("a%b", "%\\%%b") && !like("axb", "%\\%%b") && like("", "%%") && like("ab", "a%%b"));
        assert!(like("indio", "_ndi%") && like("aXbXc", "a%X%c") && !like("abc", "abc%d"));
    }
}
