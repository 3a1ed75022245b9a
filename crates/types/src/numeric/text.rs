//! The text form of `numeric`.

use ochre_base::{Error, Result, SqlState};

use super::functions::Check;
use super::limbs::{Limbs, MAX_SCALE, overflow};
use super::{Kind, Numeric};

impl Numeric {
    /// Reads `numeric`'s text form: decimals with exponent, `NaN`, infinities, and integers in base 16, 8 or 2;
    /// underscores may stand between digits.
    ///
    /// # Errors
    /// 22P02 or 22003.
    pub fn parse(text: &str) -> Result<Numeric> {
        Numeric::parse_with(text, || Ok(()))
    }

    /// As [`Numeric::parse`], asking now and then whether to go on.
    ///
    /// # Errors
    /// As [`Numeric::parse`], and what `check` says.
    pub fn parse_with(text: &str, check: impl Fn() -> Result<()>) -> Result<Numeric> {
        parse(text, &check).unwrap_or_else(|| {
            Err(Error::new(
                SqlState::INVALID_TEXT_REPRESENTATION,
                format!("invalid input syntax for type numeric: \"{text}\""),
            ))
        })
    }

    /// Appends the text form.
    pub fn print(&self, out: &mut Vec<u8>) {
        match self.kind() {
            Kind::Small(coefficient, scale) => print_small(coefficient, scale as usize, out),
            Kind::Big(limbs) => limbs.print(out),
            Kind::NaN => out.extend_from_slice(b"NaN"),
            Kind::Infinity { negative: false } => out.extend_from_slice(b"Infinity"),
            Kind::Infinity { negative: true } => out.extend_from_slice(b"-Infinity"),
        }
    }
}

impl std::fmt::Display for Numeric {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut out = Vec::new();
        self.print(&mut out);
        f.write_str(std::str::from_utf8(&out).unwrap_or_default())
    }
}

fn print_small(coefficient: i128, scale: usize, out: &mut Vec<u8>) {
    let mut buffer = [b'0'; 80];
    let mut start = buffer.len();
    let mut rest = coefficient.unsigned_abs();
    let mut written = 0;
    // 64-bit divisions are several times faster than 128-bit ones.
    while rest > u128::from(u64::MAX) {
        let mut low = (rest % 1_000_000_000_000_000_000) as u64;
        rest /= 1_000_000_000_000_000_000;
        for _ in 0..18 {
            start -= 1;
            buffer[start] = b'0' + (low % 10) as u8;
            low /= 10;
        }
        written += 18;
    }
    let mut rest = rest as u64;
    while rest > 0 {
        start -= 1;
        buffer[start] = b'0' + (rest % 10) as u8;
        rest /= 10;
        written += 1;
    }
    let digits = &buffer[buffer.len() - written.max(scale + 1)..];
    if coefficient < 0 {
        out.push(b'-');
    }
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    out.extend_from_slice(whole);
    if scale > 0 {
        out.push(b'.');
        out.extend_from_slice(fraction);
    }
}

/// Characters that are read between two looks at whether to go on.
const READ_AT_A_TIME: usize = 1 << 16;

/// `None` is a syntax error.
fn parse(text: &str, check: Check<'_>) -> Option<Result<Numeric>> {
    let trimmed = text.trim_matches(is_space);
    let (negative, body) = match trimmed.as_bytes().first()? {
        b'-' => (true, &trimmed[1..]),
        b'+' => (false, &trimmed[1..]),
        _ => (false, trimmed),
    };
    let first = *body.as_bytes().first()?;
    if !first.is_ascii_digit() && first != b'.' {
        return parse_special(body, negative, trimmed.len() != body.len()).map(Ok);
    }
    if first == b'0'
        && let Some(radix) = match body.as_bytes().get(1) {
            Some(b'x' | b'X') => Some(16),
            Some(b'o' | b'O') => Some(8),
            Some(b'b' | b'B') => Some(2),
            _ => None,
        }
    {
        return parse_radix(&body[2..], radix, negative, check);
    }
    parse_decimal(body, negative, check)
}

/// What PostgreSQL's `isspace` trims.
pub(crate) fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\x0b' | '\x0c')
}

fn parse_special(body: &str, negative: bool, signed: bool) -> Option<Numeric> {
    if body.eq_ignore_ascii_case("nan") && !signed {
        return Some(Numeric::NAN);
    }
    (body.eq_ignore_ascii_case("infinity") || body.eq_ignore_ascii_case("inf")).then_some(if negative {
        Numeric::NEG_INFINITY
    } else {
        Numeric::POS_INFINITY
    })
}

fn parse_radix(body: &str, radix: u32, negative: bool, check: Check<'_>) -> Option<Result<Numeric>> {
    let mut number = Limbs::default();
    let (mut group, mut weight) = (0i64, 1i64);
    let mut after_underscore = false;
    let mut seen = false;
    for c in body.chars() {
        if c == '_' {
            if after_underscore {
                return None;
            }
            after_underscore = true;
            continue;
        }
        group = group * i64::from(radix) + i64::from(c.to_digit(radix)?);
        weight *= i64::from(radix);
        after_underscore = false;
        seen = true;
        if weight >= 1 << 32 {
            number = number.mul_exact(&Limbs::from_i64(weight)).add(&Limbs::from_i64(group));
            (group, weight) = (0, 1);
            if let Err(stop) = check().and_then(|()| number.check_range()) {
                return Some(Err(stop));
            }
        }
    }
    if after_underscore || !seen {
        return None;
    }
    number = number.mul_exact(&Limbs::from_i64(weight)).add(&Limbs::from_i64(group));
    Some(Numeric::from_limbs(if negative { number.neg() } else { number }))
}

fn parse_decimal(body: &str, negative: bool, check: Check<'_>) -> Option<Result<Numeric>> {
    let bytes = body.as_bytes();
    let (mut coefficient, mut digits, mut scale) = (0i128, 0usize, 0i32);
    let mut long: Vec<u8> = Vec::new();
    let mut in_fraction = false;
    let mut index = 0;
    while let Some(&byte) = bytes.get(index) {
        match byte {
            b'0'..=b'9' => {
                let digit = byte - b'0';
                if digits < 38 {
                    coefficient = coefficient * 10 + i128::from(digit);
                } else {
                    if long.is_empty() {
                        long = format!("{coefficient:0>38}").into_bytes();
                    }
                    long.push(byte);
                }
                // Leading zeros take no room of the 38 digits.
                digits += usize::from(coefficient != 0);
                scale += i32::from(in_fraction);
            }
            b'.' if !in_fraction => {
                in_fraction = true;
                // An underscore must not follow the point.
                if bytes.get(index + 1) == Some(&b'_') {
                    return None;
                }
            }
            b'_' => {
                let before = index.checked_sub(1).and_then(|before| bytes.get(before));
                let after = bytes.get(index + 1);
                if !before.is_some_and(u8::is_ascii_digit) || !after.is_some_and(u8::is_ascii_digit) {
                    return None;
                }
            }
            _ => break,
        }
        index += 1;
        if index.is_multiple_of(READ_AT_A_TIME)
            && let Err(stop) = check()
        {
            return Some(Err(stop));
        }
    }
    if !bytes[..index].iter().any(u8::is_ascii_digit) {
        return None;
    }
    let mut exponent = 0i64;
    if let Some(b'e' | b'E') = bytes.get(index) {
        let (minus, text) = match body.as_bytes().get(index + 1)? {
            b'-' => (true, &body[index + 2..]),
            b'+' => (false, &body[index + 2..]),
            _ => (false, &body[index + 1..]),
        };
        if text.is_empty() {
            return None;
        }
        for (at, byte) in text.bytes().enumerate() {
            match byte {
                b'0'..=b'9' => exponent = (exponent * 10 + i64::from(byte - b'0')).min(i64::MAX / 16),
                b'_' if at > 0
                    && text.as_bytes()[at - 1] != b'_'
                    && text.as_bytes().get(at + 1).is_some_and(u8::is_ascii_digit) => {}
                _ => return None,
            }
            if at % READ_AT_A_TIME == READ_AT_A_TIME - 1
                && let Err(stop) = check()
            {
                return Some(Err(stop));
            }
        }
        if minus {
            exponent = -exponent;
        }
        if exponent.abs() >= i64::from(i32::MAX / 2) {
            return if long.is_empty() && coefficient == 0 && exponent > 0 {
                Some(Ok(Numeric::ZERO))
            } else {
                Some(Err(overflow()))
            };
        }
    } else if index != bytes.len() {
        return None;
    }
    let sign = if negative { -1 } else { 1 };
    if long.is_empty() && exponent == 0 && scale <= super::SMALL_SCALE {
        return Some(Ok(Numeric::from_i128(sign * coefficient, scale as u16)));
    }
    let shown = (i64::from(scale) - exponent).max(0);
    let exponent = exponent - i64::from(scale);
    if !(-140_000..=140_000).contains(&exponent) || shown > i64::from(MAX_SCALE) {
        let zero = long.is_empty() && coefficient == 0;
        return Some(if zero && shown <= i64::from(MAX_SCALE) { Ok(Numeric::ZERO) } else { Err(overflow()) });
    }
    let mut number =
        if long.is_empty() { Limbs::from_i128(coefficient, 0) } else { limbs_from_digits(&long) };
    number = number.mul_pow10(exponent as i32);
    number.scale = shown as i32;
    if negative {
        number = number.neg();
    }
    Some(Numeric::from_limbs(number))
}

/// A whole number from its decimal digits.
fn limbs_from_digits(text: &[u8]) -> Limbs {
    let first = text.len() % 4;
    let value = |chunk: &[u8]| chunk.iter().fold(0i16, |value, byte| value * 10 + i16::from(byte - b'0'));
    let mut digits = Vec::with_capacity(text.len() / 4 + 1);
    digits.push(value(&text[..first]));
    digits.extend(text[first..].chunks(4).map(value));
    let mut limbs = Limbs { negative: false, weight: digits.len() as i32 - 1, scale: 0, digits };
    limbs.strip();
    limbs
}
