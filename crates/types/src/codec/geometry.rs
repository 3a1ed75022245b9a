//! Text and binary forms of points and figures.
//!
//! # On-disk layout
//! Coordinates are float8, little-endian. `point` x y; `lseg` and `box` two points (of a box the upper right corner first);
//! `line` A B C; `circle` center and radius; `path` one byte that says whether it is closed, and its points; `polygon` its
//! points.

use ochre_base::{Error, Oid, Result, SqlState};

use super::invalid_syntax;
use crate::context::FormatContext;
use crate::numeric::is_space;
use crate::{oids, parse_f64, print_f64};

/// Two figures nearer than this are taken for one.
pub const EPSILON: f64 = 1.0e-6;

/// Whether a type is one of these.
pub fn is_geometric(oid: Oid) -> bool {
    matches!(
        oid,
        oids::POINT | oids::LSEG | oids::PATH | oids::BOX | oids::POLYGON | oids::LINE | oids::CIRCLE
    )
}

/// The coordinates of a value; of a path those behind its first byte.
pub fn coordinates(ty: Oid, bytes: &[u8]) -> Vec<f64> {
    let bytes = if ty == oids::PATH { bytes.get(1..).unwrap_or_default() } else { bytes };
    bytes
        .chunks_exact(8)
        .map(|chunk| f64::from_le_bytes(chunk.try_into().expect("chunks of 8 bytes")))
        .collect()
}

/// The stored form of coordinates.
pub fn figure(values: &[f64]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// The stored form of a path.
pub fn path(closed: bool, values: &[f64]) -> Vec<u8> {
    let mut out = vec![u8::from(closed)];
    out.extend(figure(values));
    out
}

/// Whether a path is closed.
pub fn is_closed(path: &[u8]) -> bool {
    path.first() == Some(&1)
}

/// A box by its corners: the upper right one first.
pub fn box_of(x1: f64, y1: f64, x2: f64, y2: f64) -> [f64; 4] {
    let order = |a: f64, b: f64| if crate::compare::compare_f64(a, b).is_lt() { (b, a) } else { (a, b) };
    let ((high_x, low_x), (high_y, low_y)) = (order(x1, x2), order(y1, y2));
    [high_x, high_y, low_x, low_y]
}

/// Ax + By + C = 0 through two points that are not the same.
pub fn line_through(x1: f64, y1: f64, x2: f64, y2: f64) -> [f64; 3] {
    if (x1 - x2).abs() <= EPSILON {
        return [-1.0, 0.0, x1];
    }
    if (y1 - y2).abs() <= EPSILON {
        return [0.0, -1.0, y1];
    }
    let slope = (y1 - y2) / (x1 - x2);
    let c = y1 - slope * x1;
    // No negative zero.
    [slope, -1.0, if c == 0.0 { 0.0 } else { c }]
}

/// Reads text piece by piece.
struct Reader<'t> {
    text: &'t str,
    rest: &'t str,
    type_name: &'static str,
}

impl<'t> Reader<'t> {
    fn skip_spaces(&mut self) {
        self.rest = self.rest.trim_start_matches(is_space);
    }

    fn eat(&mut self, wanted: char) -> bool {
        match self.rest.strip_prefix(wanted) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn expect(&mut self, wanted: char) -> Result<()> {
        if self.eat(wanted) { Ok(()) } else { Err(self.invalid()) }
    }

    fn invalid(&self) -> Error {
        invalid_syntax(self.type_name, self.text)
    }

    fn number(&mut self) -> Result<f64> {
        self.skip_spaces();
        let bytes = self.rest.as_bytes();
        let sign = usize::from(matches!(bytes.first(), Some(b'+' | b'-')));
        let word = |word: &str| {
            bytes
                .get(sign..sign + word.len())
                .is_some_and(|found| found.eq_ignore_ascii_case(word.as_bytes()))
        };
        let length = if word("infinity") {
            8
        } else if word("inf") || word("nan") {
            3
        } else {
            let digits = |from: usize| bytes[from..].iter().take_while(|b| b.is_ascii_digit()).count();
            let mut end = sign + digits(sign);
            if bytes.get(end) == Some(&b'.') {
                end += 1 + digits(end + 1);
            }
            if matches!(bytes.get(end), Some(b'e' | b'E')) {
                let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
                let exponent = digits((end + 1 + sign).min(bytes.len()));
                if exponent > 0 {
                    end += 1 + sign + exponent;
                }
            }
            end - sign
        };
        let (number, rest) = self.rest.split_at(sign + length);
        if length == 0 {
            return Err(self.invalid());
        }
        let value = parse_f64(number).map_err(|error| match error.sqlstate() {
            SqlState::INVALID_TEXT_REPRESENTATION => self.invalid(),
            _ => error,
        })?;
        self.rest = rest;
        self.skip_spaces();
        Ok(value)
    }

    fn pair(&mut self, out: &mut Vec<f64>) -> Result<()> {
        self.skip_spaces();
        let bracketed = self.eat('(');
        out.push(self.number()?);
        self.expect(',')?;
        out.push(self.number()?);
        if bracketed {
            self.expect(')')?;
            self.skip_spaces();
        }
        Ok(())
    }

    /// As many points, in whatever brackets; whether those were square ones.
    fn points(&mut self, count: usize, may_be_open: bool, out: &mut Vec<f64>) -> Result<bool> {
        let mut depth = 0;
        self.skip_spaces();
        let open = self.rest.starts_with('[');
        if open {
            if !may_be_open {
                return Err(self.invalid());
            }
            depth += 1;
            self.eat('[');
        } else if let Some(inner) = self.rest.strip_prefix('(') {
            let inner = inner.trim_start_matches(is_space);
            if inner.starts_with('(') || self.rest.rfind('(') == Some(0) {
                depth += 1;
                self.rest = inner;
            }
        }
        for _ in 0..count {
            self.pair(out)?;
            self.eat(',');
        }
        while depth > 0 {
            if !(self.eat(')') || open && depth == 1 && self.eat(']')) {
                return Err(self.invalid());
            }
            depth -= 1;
            self.skip_spaces();
        }
        Ok(open)
    }

    fn end(&mut self) -> Result<()> {
        if self.rest.is_empty() { Ok(()) } else { Err(self.invalid()) }
    }

    /// How many points there are by the number of commas.
    fn point_count(&self) -> Result<usize> {
        let commas = self.text.matches(',').count();
        if commas.is_multiple_of(2) { Err(self.invalid()) } else { Ok(commas.div_ceil(2)) }
    }
}

pub(super) fn parse(ty: Oid, text: &str) -> Result<Vec<u8>> {
    let type_name = crate::type_info(ty).map_or("", |info| info.name);
    let mut reader = Reader { text, rest: text, type_name };
    let mut found = Vec::new();
    match ty {
        oids::POINT => {
            reader.pair(&mut found)?;
            reader.end()?;
        }
        oids::LSEG => {
            reader.points(2, true, &mut found)?;
            reader.end()?;
        }
        oids::BOX => {
            reader.points(2, false, &mut found)?;
            reader.end()?;
            found = box_of(found[0], found[1], found[2], found[3]).to_vec();
        }
        oids::PATH => {
            let count = reader.point_count()?;
            reader.skip_spaces();
            let bracketed = reader.rest.starts_with('(') && reader.rest.rfind('(') == Some(0);
            if bracketed {
                reader.eat('(');
            }
            let open = reader.points(count, true, &mut found)?;
            if bracketed {
                reader.expect(')')?;
                reader.skip_spaces();
            }
            reader.end()?;
            return Ok(path(!open, &found));
        }
        oids::POLYGON => {
            let count = reader.point_count()?;
            reader.points(count, false, &mut found)?;
            reader.end()?;
        }
        oids::CIRCLE => circle(&mut reader, &mut found)?,
        _ => line(&mut reader, &mut found)?,
    }
    Ok(figure(&found))
}

fn circle(reader: &mut Reader<'_>, found: &mut Vec<f64>) -> Result<()> {
    let mut depth = 0;
    reader.skip_spaces();
    if reader.eat('<') {
        depth = 1;
    } else if let Some(inner) = reader.rest.strip_prefix('(')
        && inner.trim_start_matches(is_space).starts_with('(')
    {
        depth = 1;
        reader.rest = inner;
    }
    reader.pair(found)?;
    reader.eat(',');
    let radius = reader.number()?;
    if radius < 0.0 {
        return Err(reader.invalid());
    }
    found.push(radius);
    if depth > 0 && !(reader.eat('>') || reader.eat(')')) {
        return Err(reader.invalid());
    }
    reader.skip_spaces();
    reader.end()
}

fn line(reader: &mut Reader<'_>, found: &mut Vec<f64>) -> Result<()> {
    let invalid = |what: &str| {
        Error::new(SqlState::INVALID_TEXT_REPRESENTATION, format!("invalid line specification: {what}"))
    };
    reader.skip_spaces();
    if reader.eat('{') {
        for closing in [',', ',', '}'] {
            found.push(reader.number()?);
            reader.expect(closing)?;
        }
        reader.skip_spaces();
        reader.end()?;
        if found[0].abs() <= EPSILON && found[1].abs() <= EPSILON {
            return Err(invalid("A and B cannot both be zero"));
        }
        return Ok(());
    }
    reader.points(2, true, found)?;
    reader.end()?;
    if (found[0] - found[2]).abs() <= EPSILON && (found[1] - found[3]).abs() <= EPSILON {
        return Err(invalid("must be two distinct points"));
    }
    *found = line_through(found[0], found[1], found[2], found[3]).to_vec();
    Ok(())
}

pub(super) fn print(ty: Oid, bytes: &[u8], context: &FormatContext, out: &mut Vec<u8>) {
    let values = coordinates(ty, bytes);
    let points = |out: &mut Vec<u8>, values: &[f64]| {
        for (i, point) in values.chunks(2).enumerate() {
            if i > 0 {
                out.push(b',');
            }
            out.push(b'(');
            numbers(point, context, out);
            out.push(b')');
        }
    };
    let around = match ty {
        oids::LSEG => Some((b'[', b']')),
        oids::PATH if !is_closed(bytes) => Some((b'[', b']')),
        oids::PATH | oids::POLYGON => Some((b'(', b')')),
        oids::CIRCLE => Some((b'<', b'>')),
        oids::LINE => Some((b'{', b'}')),
        _ => None,
    };
    out.extend(around.map(|(open, _)| open));
    match ty {
        oids::LINE => numbers(&values, context, out),
        oids::CIRCLE => {
            points(out, values.get(..2).unwrap_or_default());
            out.push(b',');
            numbers(values.get(2..).unwrap_or_default(), context, out);
        }
        _ => points(out, &values),
    }
    out.extend(around.map(|(_, close)| close));
}

fn numbers(values: &[f64], context: &FormatContext, out: &mut Vec<u8>) {
    for (i, value) in values.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        print_f64(*value, context.extra_float_digits, out);
    }
}

pub(super) fn encode(ty: Oid, bytes: &[u8], out: &mut Vec<u8>) {
    let values = coordinates(ty, bytes);
    if ty == oids::PATH {
        out.push(u8::from(is_closed(bytes)));
    }
    if matches!(ty, oids::PATH | oids::POLYGON) {
        out.extend_from_slice(&((values.len() / 2) as i32).to_be_bytes());
    }
    values.iter().for_each(|value| out.extend_from_slice(&value.to_be_bytes()));
}

pub(super) fn decode(ty: Oid, bytes: &[u8]) -> Result<Vec<u8>> {
    let wrong = || {
        let name = crate::type_info(ty).map_or("", |info| info.name);
        Error::new(
            SqlState::INVALID_BINARY_REPRESENTATION,
            format!("invalid data for external \"{name}\" value"),
        )
    };
    let (closed, rest) = match ty {
        oids::PATH => bytes.split_first().map(|(closed, rest)| (*closed != 0, rest)).ok_or_else(wrong)?,
        _ => (false, bytes),
    };
    let (count, rest) = match ty {
        oids::PATH | oids::POLYGON => {
            let (count, rest) = rest.split_first_chunk::<4>().ok_or_else(wrong)?;
            let count = usize::try_from(i32::from_be_bytes(*count)).map_err(|_| wrong())?;
            (count.checked_mul(2).filter(|count| *count > 0).ok_or_else(wrong)?, rest)
        }
        oids::POINT => (2, rest),
        oids::LINE | oids::CIRCLE => (3, rest),
        _ => (4, rest),
    };
    if count.checked_mul(8) != Some(rest.len()) {
        return Err(wrong());
    }
    let values: Vec<f64> = rest
        .chunks_exact(8)
        .map(|chunk| f64::from_be_bytes(chunk.try_into().expect("chunks of 8 bytes")))
        .collect();
    Ok(match ty {
        oids::PATH => path(closed, &values),
        oids::BOX => figure(&box_of(values[0], values[1], values[2], values[3])),
        oids::CIRCLE if values[2] < 0.0 => return Err(wrong()),
        oids::LINE if values[0].abs() <= EPSILON && values[1].abs() <= EPSILON => return Err(wrong()),
        _ => figure(&values),
    })
}
