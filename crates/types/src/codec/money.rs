//! `money`: cents, with the dollar's signs as in the C locale's neighbour en_US.

use ochre_base::Result;

use super::{invalid_syntax, print_u64, value_out_of_range};
use crate::numeric::is_space;

/// Reads a `money`; signs and parentheses may surround the number, digits past the cents round.
pub(super) fn parse(text: &str) -> Result<i64> {
    const NAME: &str = "money";
    let invalid = || invalid_syntax(NAME, text);
    let mut body = text.trim_matches(is_space);
    let mut negative = false;

    while let Some(first) = body.bytes().next() {
        match first {
            b'$' => {}
            b'-' if !negative => negative = true,
            b'+' => {}
            b'(' if !negative => negative = true,
            b' ' => {}
            _ => break,
        }
        body = &body[1..];
    }
    let end = body.find(|c: char| !(c.is_ascii_digit() || matches!(c, ',' | '.'))).unwrap_or(body.len());
    let (number, tail) = body.split_at(end);
    for c in tail.chars() {
        match c {
            '-' if !negative => negative = true,
            '+' | '$' | ')' => {}
            c if is_space(c) => {}
            _ => return Err(invalid()),
        }
    }
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(invalid());
    }
    let mut cents: i128 = 0;
    for digit in whole.bytes().filter(u8::is_ascii_digit) {
        cents = (cents * 10 + i128::from(digit - b'0')).min(i128::from(i64::MAX));
    }
    let digit = |at: usize| fraction.as_bytes().get(at).map_or(0, |byte| i128::from(byte - b'0'));
    cents = cents * 100 + digit(0) * 10 + digit(1) + i128::from(digit(2) >= 5);
    i64::try_from(if negative { -cents } else { cents }).map_err(|_| value_out_of_range(NAME, text))
}

/// Appends a `money`'s text.
pub(super) fn print(cents: i64, out: &mut Vec<u8>) {
    if cents < 0 {
        out.push(b'-');
    }
    out.push(b'$');
    let mut whole = Vec::new();
    print_u64(cents.unsigned_abs() / 100, &mut whole);
    for (index, digit) in whole.iter().enumerate() {
        if index > 0 && (whole.len() - index) % 3 == 0 {
            out.push(b',');
        }
        out.push(*digit);
    }
    out.push(b'.');
    super::print_padded(cents.unsigned_abs() % 100, 2, out);
}
