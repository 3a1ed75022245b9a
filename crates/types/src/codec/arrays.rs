//! Arrays as text: `{1,NULL,"a b"}`, `[2:3]={1,2}`; and the blank-separated vectors of the catalogs.

use std::sync::Arc;

use ochre_base::{Error, Result, SqlState};
use smallvec::SmallVec;

use super::{integers, no_text_form, parse_text, print_i64, print_text};
use crate::array::{ArrayDimension, MAX_DIMENSIONS};
use crate::{ArrayValue, Datum, FormatContext, Pace, SqlType, oids};

pub(super) fn print(
    ty: SqlType,
    array: &ArrayValue,
    context: &FormatContext,
    out: &mut Vec<u8>,
) -> Result<()> {
    if matches!(ty.oid, oids::INT2VECTOR | oids::OIDVECTOR) {
        let mut pace = Pace::from(context, out.len());
        for (index, element) in array.elements.iter().enumerate() {
            if index > 0 {
                out.push(b' ');
            }
            print_text(array.element, element, context, out)?;
            pace.look(out.len())?;
        }
        return Ok(());
    }
    if array.dimensions.is_empty() {
        out.extend_from_slice(b"{}");
        return Ok(());
    }
    if array.dimensions.iter().any(|dimension| dimension.lower != 1) {
        for dimension in &array.dimensions {
            out.push(b'[');
            print_i64(i64::from(dimension.lower), out);
            out.push(b':');
            print_i64(i64::from(dimension.lower) + i64::from(dimension.length) - 1, out);
            out.push(b']');
        }
        out.push(b'=');
    }
    let delimiter = array.element.info().map_or(b',', |info| info.delimiter);
    let (elements, pace) = (array.elements.iter(), Pace::from(context, out.len()));
    Printer { elements, element: array.element, delimiter, context, pace, out }.dimension(&array.dimensions)
}

struct Printer<'a> {
    elements: std::slice::Iter<'a, Datum>,
    element: SqlType,
    delimiter: u8,
    context: &'a FormatContext,
    pace: Pace<'a>,
    out: &'a mut Vec<u8>,
}

impl Printer<'_> {
    fn dimension(&mut self, dimensions: &[ArrayDimension]) -> Result<()> {
        let Some((dimension, inner)) = dimensions.split_first() else { return Ok(()) };
        self.out.push(b'{');
        for index in 0..dimension.length {
            if index > 0 {
                self.out.push(self.delimiter);
            }
            if !inner.is_empty() {
                self.dimension(inner)?;
            } else if let Some(value) = self.elements.next() {
                print_element(self.element, value, self.delimiter, self.context, &mut self.pace, self.out)?;
                self.pace.look(self.out.len())?;
            }
        }
        self.out.push(b'}');
        Ok(())
    }
}

fn print_element(
    element: SqlType,
    value: &Datum,
    delimiter: u8,
    context: &FormatContext,
    pace: &mut Pace<'_>,
    out: &mut Vec<u8>,
) -> Result<()> {
    if value.is_null() {
        out.extend_from_slice(b"NULL");
        return Ok(());
    }
    let start = out.len();
    print_text(element, value, context, out)?;
    let text = &out[start..];
    let special = |byte: &u8| {
        matches!(byte, b'"' | b'\\' | b'{' | b'}' | 0x0b) || *byte == delimiter || byte.is_ascii_whitespace()
    };
    let plain = !text.is_empty() && !text.eq_ignore_ascii_case(b"null");
    if plain && !pace.any_piece(text, |piece| piece.iter().any(special))? {
        return Ok(());
    }
    let text = out.split_off(start);
    out.push(b'"');
    pace.pieces(&text, out, |piece, out| {
        for byte in piece {
            if matches!(byte, b'"' | b'\\') {
                out.push(b'\\');
            }
            out.push(*byte);
        }
    })?;
    out.push(b'"');
    Ok(())
}

/// Reads `int2vector` and `oidvector`.
pub(super) fn parse_vector(ty: SqlType, text: &str) -> Result<Arc<ArrayValue>> {
    let elements: Vec<Datum> = text
        .split_ascii_whitespace()
        .map(|word| {
            if ty.oid == oids::OIDVECTOR {
                integers::parse_u32(word, "oid").map(Datum::UInt32)
            } else {
                integers::parse_i16(word).map(Datum::Int16)
            }
        })
        .collect::<Result<_>>()?;
    let element = if ty.oid == oids::OIDVECTOR { SqlType::OID } else { SqlType::INT2 };
    // These vectors count from 0 and have one dimension, be they empty.
    let dimension = ArrayDimension { length: elements.len() as i32, lower: 0 };
    Ok(Arc::new(ArrayValue { element, dimensions: SmallVec::from_elem(dimension, 1), elements }))
}

/// Reads an array literal.
pub(super) fn parse(ty: SqlType, text: &str, context: &FormatContext) -> Result<Arc<ArrayValue>> {
    let Some(element) = ty.element() else { return Err(no_text_form(ty, "accept")) };
    let delimiter = element.info().map_or(b',', |info| info.delimiter);
    let pace = Pace::from(context, 0);
    let mut reader = Reader { text, rest: text.trim_ascii_start(), delimiter, element, context, pace };
    let bounds = reader.bounds()?;
    if !reader.rest.starts_with('{') {
        return Err(reader.malformed(if bounds.is_empty() {
            "Array value must start with \"{\" or dimension information."
        } else {
            "Array contents must start with \"{\"."
        }));
    }
    let mut lengths: SmallVec<[Option<i32>; 2]> = SmallVec::new();
    let mut elements = Vec::new();
    reader.braces(0, &mut lengths, &mut elements)?;
    if !reader.rest.trim_ascii_start().is_empty() {
        return Err(reader.malformed("Junk after closing right brace."));
    }
    if elements.is_empty() {
        if bounds.iter().any(|bound| bound.length != 0) {
            return Err(reader.malformed("Specified array dimensions do not match array contents."));
        }
        return Ok(Arc::new(ArrayValue::empty(element)));
    }
    let lengths: SmallVec<[i32; 2]> = lengths.into_iter().flatten().collect();
    let dimensions: SmallVec<[ArrayDimension; 1]> = if bounds.is_empty() {
        lengths.iter().map(|length| ArrayDimension { length: *length, lower: 1 }).collect()
    } else {
        let same = bounds.len() == lengths.len() && bounds.iter().zip(&lengths).all(|(b, l)| b.length == *l);
        if !same {
            return Err(reader.malformed("Specified array dimensions do not match array contents."));
        }
        bounds
    };
    Ok(Arc::new(ArrayValue { element, dimensions, elements }))
}

/// Elements that are read between two looks at whether to go on.
const ELEMENTS_AT_A_TIME: usize = 1 << 12;
/// Bytes that are passed between two such looks within an element.
const BYTES_AT_A_TIME: usize = 1 << 16;

struct Reader<'a> {
    text: &'a str,
    rest: &'a str,
    delimiter: u8,
    element: SqlType,
    context: &'a FormatContext,
    pace: Pace<'a>,
}

impl Reader<'_> {
    #[cold]
    fn malformed(&self, detail: &str) -> Error {
        Error::new(
            SqlState::INVALID_TEXT_REPRESENTATION,
            format!("malformed array literal: \"{}\"", self.text),
        )
        .detail(detail)
    }

    fn skip_blanks(&mut self) {
        self.rest = self.rest.trim_start_matches(crate::numeric::is_space);
    }

    fn peek(&self) -> Option<u8> {
        self.rest.as_bytes().first().copied()
    }

    fn advance(&mut self, bytes: usize) {
        self.rest = &self.rest[bytes..];
    }

    fn integer(&mut self) -> Result<Option<i32>> {
        let end = self
            .rest
            .bytes()
            .enumerate()
            .find(|(index, byte)| !(byte.is_ascii_digit() || *index == 0 && matches!(byte, b'-' | b'+')))
            .map_or(self.rest.len(), |(index, _)| index);
        let digits = &self.rest[..end];
        if !digits.bytes().any(|byte| byte.is_ascii_digit()) {
            return Ok(None);
        }
        let value = digits.parse::<i32>().map_err(|_| {
            Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, "array bound is out of integer range")
        })?;
        self.advance(end);
        Ok(Some(value))
    }

    /// `[2:3][1:4]=` in front of the braces.
    fn bounds(&mut self) -> Result<SmallVec<[ArrayDimension; 1]>> {
        let mut bounds = SmallVec::new();
        loop {
            self.skip_blanks();
            if self.peek() != Some(b'[') {
                break;
            }
            self.advance(1);
            if bounds.len() >= MAX_DIMENSIONS {
                return Err(too_deep());
            }
            let explicit = "\"[\" must introduce explicitly-specified array dimensions.";
            let Some(first) = self.integer()? else { return Err(self.malformed(explicit)) };
            let (lower, upper) = if self.peek() == Some(b':') {
                self.advance(1);
                let upper =
                    self.integer()?.ok_or_else(|| self.malformed("Missing array dimension value."))?;
                (first, upper)
            } else {
                (1, first)
            };
            if self.peek() != Some(b']') {
                return Err(self.malformed("Missing \"]\" after array dimensions."));
            }
            self.advance(1);
            if upper < lower {
                return Err(Error::new(
                    SqlState::ARRAY_SUBSCRIPT_ERROR,
                    "upper bound cannot be less than lower bound",
                ));
            }
            if upper == i32::MAX {
                return Err(Error::new(
                    SqlState::PROGRAM_LIMIT_EXCEEDED,
                    format!("array upper bound is too large: {upper}"),
                ));
            }
            let length = i64::from(upper) - i64::from(lower) + 1;
            let length = i32::try_from(length).map_err(|_| {
                Error::new(
                    SqlState::PROGRAM_LIMIT_EXCEEDED,
                    "array size exceeds the maximum allowed (134217727)",
                )
            })?;
            bounds.push(ArrayDimension { length, lower });
        }
        if !bounds.is_empty() {
            if self.peek() != Some(b'=') {
                return Err(self.malformed("Missing \"=\" after array dimensions."));
            }
            self.advance(1);
            self.skip_blanks();
        }
        Ok(bounds)
    }

    /// One pair of braces and what is in it. `lengths[depth]` is what the first sibling had.
    fn braces(
        &mut self,
        depth: usize,
        lengths: &mut SmallVec<[Option<i32>; 2]>,
        elements: &mut Vec<Datum>,
    ) -> Result<()> {
        if depth >= MAX_DIMENSIONS {
            return Err(too_deep());
        }
        if lengths.len() <= depth {
            if !elements.is_empty() {
                return Err(self.mismatch());
            }
            lengths.push(None);
        }
        self.advance(1);
        let mut count = 0i32;
        let mut nested = None;
        loop {
            self.skip_blanks();
            match self.peek() {
                None => return Err(self.malformed("Unexpected end of input.")),
                Some(b'{') => {
                    if nested == Some(false) {
                        return Err(self.mismatch());
                    }
                    nested = Some(true);
                    self.braces(depth + 1, lengths, elements)?;
                    count += 1;
                }
                Some(b'}') if count == 0 => {}
                Some(byte) if byte == self.delimiter || byte == b'}' => {
                    return Err(self.malformed(&format!("Unexpected \"{}\" character.", byte as char)));
                }
                Some(_) => {
                    if nested == Some(true) || lengths.len() > depth + 1 {
                        return Err(self.mismatch());
                    }
                    nested = Some(false);
                    let value = self.value()?;
                    elements.push(value);
                    if elements.len().is_multiple_of(ELEMENTS_AT_A_TIME) {
                        self.context.check_interrupts()?;
                    }
                    count += 1;
                }
            }
            self.skip_blanks();
            match self.peek() {
                Some(b'}') => {
                    self.advance(1);
                    break;
                }
                Some(byte) if byte == self.delimiter => self.advance(1),
                None => return Err(self.malformed("Unexpected end of input.")),
                Some(b'"') => return Err(self.malformed("Incorrectly quoted array element.")),
                Some(b'{') => return Err(self.malformed("Unexpected \"{\" character.")),
                Some(_) => return Err(self.malformed("Unexpected array element.")),
            }
        }
        match lengths[depth] {
            None => lengths[depth] = Some(count),
            Some(known) if known != count => return Err(self.mismatch()),
            Some(_) => {}
        }
        // `{{}}`: an inner dimension without elements leaves the array empty.
        Ok(())
    }

    fn mismatch(&self) -> Error {
        self.malformed("Multidimensional arrays must have sub-arrays with matching dimensions.")
    }

    /// How far the rest goes until a quote or a backslash.
    fn plain_end(&mut self) -> Result<Option<usize>> {
        self.pace.advance(1)?;
        for (number, piece) in self.rest.as_bytes().chunks(BYTES_AT_A_TIME).enumerate() {
            if let Some(at) = piece.iter().position(|byte| matches!(byte, b'"' | b'\\')) {
                return Ok(Some(number * BYTES_AT_A_TIME + at));
            }
            self.pace.advance(piece.len())?;
        }
        Ok(None)
    }

    fn value(&mut self) -> Result<Datum> {
        let mut value = String::new();
        let quoted = self.peek() == Some(b'"');
        if quoted {
            self.advance(1);
            loop {
                let end = self.plain_end()?.ok_or_else(|| self.malformed("Unexpected end of input."))?;
                value.push_str(&self.rest[..end]);
                let quote = self.rest.as_bytes()[end] == b'"';
                self.advance(end + 1);
                if quote {
                    break;
                }
                let escaped =
                    self.rest.chars().next().ok_or_else(|| self.malformed("Unexpected end of input."))?;
                value.push(escaped);
                self.advance(escaped.len_utf8());
            }
        } else {
            let mut escaped = false;
            let mut kept = 0;
            loop {
                let Some(c) = self.rest.chars().next() else {
                    return Err(self.malformed("Unexpected end of input."));
                };
                self.pace.advance(1)?;
                match c {
                    '"' => return Err(self.malformed("Incorrectly quoted array element.")),
                    '{' => return Err(self.malformed("Unexpected \"{\" character.")),
                    '}' => break,
                    '\\' => {
                        self.advance(1);
                        let next = self
                            .rest
                            .chars()
                            .next()
                            .ok_or_else(|| self.malformed("Unexpected end of input."))?;
                        value.push(next);
                        self.advance(next.len_utf8());
                        escaped = true;
                        kept = value.len();
                        continue;
                    }
                    c if c as u32 == u32::from(self.delimiter) => break,
                    c => {
                        value.push(c);
                        if !crate::numeric::is_space(c) {
                            kept = value.len();
                        }
                    }
                }
                self.advance(c.len_utf8());
            }
            value.truncate(kept);
            if !escaped && value.eq_ignore_ascii_case("null") {
                return Ok(Datum::Null);
            }
        }
        parse_text(self.element, &value, self.context)
    }
}

#[cold]
fn too_deep() -> Error {
    Error::new(
        SqlState::PROGRAM_LIMIT_EXCEEDED,
        format!("number of array dimensions exceeds the maximum allowed ({MAX_DIMENSIONS})"),
    )
}

#[cold]
pub(crate) fn too_many_dimensions(count: usize) -> Error {
    Error::new(
        SqlState::PROGRAM_LIMIT_EXCEEDED,
        format!("number of array dimensions ({count}) exceeds the maximum allowed ({MAX_DIMENSIONS})"),
    )
}
