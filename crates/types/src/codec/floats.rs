//! Floats: the shortest text that reads back as the same value, as PostgreSQL 12 and later print it.

use std::io::Write;

use ochre_base::{Error, Result, SqlState};

use super::{invalid_syntax, print_u64};
use crate::numeric::is_space;

/// Reads a `float8`.
///
/// # Errors
/// 22P02, 22003.
pub fn parse_f64(text: &str) -> Result<f64> {
    parse(text, "double precision", |body| body.parse::<f64>().ok(), |v| *v == 0.0, |v| v.is_infinite())
}

/// Reads a `float4`.
///
/// # Errors
/// 22P02, 22003.
pub fn parse_f32(text: &str) -> Result<f32> {
    parse(text, "real", |body| body.parse::<f32>().ok(), |v| *v == 0.0, |v| v.is_infinite())
}

fn parse<T>(
    text: &str,
    type_name: &str,
    read: impl Fn(&str) -> Option<T>,
    is_zero: impl Fn(&T) -> bool,
    is_infinite: impl Fn(&T) -> bool,
) -> Result<T> {
    let body = text.trim_matches(is_space);
    let unsigned = body.strip_prefix(['+', '-']).unwrap_or(body);
    let number = unsigned.as_bytes().first().is_some_and(|byte| byte.is_ascii_digit() || *byte == b'.');
    let words = ["nan", "inf", "infinity"];
    if !number && !words.iter().any(|word| unsigned.eq_ignore_ascii_case(word)) {
        return Err(invalid_syntax(type_name, text));
    }
    let value = read(body).ok_or_else(|| invalid_syntax(type_name, text))?;
    let mantissa = unsigned.split(['e', 'E']).next().unwrap_or_default();
    let underflow = is_zero(&value) && mantissa.bytes().any(|byte| (b'1'..=b'9').contains(&byte));
    if number && (is_infinite(&value) || underflow) {
        return Err(Error::new(
            SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
            format!("\"{body}\" is out of range for type {type_name}"),
        ));
    }
    Ok(value)
}

/// Appends a `float8`'s text. Positive `extra_float_digits` give the shortest exact text, others 15 digits and that
/// many more (fewer).
pub fn print_f64(value: f64, extra_float_digits: i32, out: &mut Vec<u8>) {
    if special(value, out) {
        return;
    }
    if extra_float_digits > 0 && print_short_decimal(value, out) {
        return;
    }
    let mut form = Form::default();
    if extra_float_digits > 0 {
        let _ = write!(form, "{value:e}");
        // Only floats that are whole by far can lie next to a short decimal that is exactly between two floats.
        if (9_007_199_254_740_992.0..1e41).contains(&value.abs())
            && value.to_bits() & 1 == 0
            && form.is_halfway(|text| text.parse::<f64>().ok() != Some(value))
        {
            form.lengthen(
                |digits| format!("{value:.digits$e}"),
                |text| text.parse::<f64>().ok() == Some(value),
            );
        }
        print_shortest(&form, 15, out);
    } else {
        let digits = (15 + extra_float_digits).clamp(1, 17) as usize;
        let _ = write!(form, "{:.*e}", digits - 1, value);
        print_general(&form, digits as i32, out);
    }
}

/// Appends a `float4`'s text; see [`print_f64`].
pub fn print_f32(value: f32, extra_float_digits: i32, out: &mut Vec<u8>) {
    if special(f64::from(value), out) {
        return;
    }
    let mut form = Form::default();
    if extra_float_digits > 0 {
        let _ = write!(form, "{value:e}");
        if (16_777_216.0..1e20).contains(&value.abs())
            && value.to_bits() & 1 == 0
            && form.is_halfway(|text| text.parse::<f32>().ok() != Some(value))
        {
            form.lengthen(
                |digits| format!("{value:.digits$e}"),
                |text| text.parse::<f32>().ok() == Some(value),
            );
        }
        print_shortest(&form, 6, out);
    } else {
        let digits = (6 + extra_float_digits).clamp(1, 9) as usize;
        let _ = write!(form, "{:.*e}", digits - 1, value);
        print_general(&form, digits as i32, out);
    }
}

/// Appends a float that is a decimal of at most fifteen digits, six of them behind the point; false for others.
///
/// A quotient of two exactly represented integers is rounded correctly, so such a decimal reads back as this float;
/// different decimals of fifteen digits are different floats, so no other one is as short.
fn print_short_decimal(value: f64, out: &mut Vec<u8>) -> bool {
    const SCALES: [(f64, u64); 7] =
        [(1.0, 1), (10.0, 10), (100.0, 100), (1e3, 1000), (1e4, 10_000), (1e5, 100_000), (1e6, 1_000_000)];
    let magnitude = value.abs();
    if !(1e-4..1e15).contains(&magnitude) {
        return false;
    }
    for (places, (scale, whole)) in SCALES.iter().enumerate() {
        let scaled = (magnitude * scale).round();
        if scaled >= 1e15 {
            return false;
        }
        if scaled / scale != magnitude {
            continue;
        }
        if value < 0.0 {
            out.push(b'-');
        }
        let scaled = scaled as u64;
        print_u64(scaled / whole, out);
        if places > 0 {
            // A one before the decimals keeps their leading zeros; it makes room for the point.
            let point = out.len();
            print_u64(whole + scaled % whole, out);
            out[point] = b'.';
        }
        return true;
    }
    false
}

fn special(value: f64, out: &mut Vec<u8>) -> bool {
    let text: &[u8] = if value.is_nan() {
        b"NaN"
    } else if value == f64::INFINITY {
        b"Infinity"
    } else if value == f64::NEG_INFINITY {
        b"-Infinity"
    } else {
        return false;
    };
    out.extend_from_slice(text);
    true
}

/// A float in `d.ddde±x` form, on the stack.
struct Form {
    bytes: [u8; 48],
    length: usize,
}

impl Default for Form {
    fn default() -> Form {
        Form { bytes: [0; 48], length: 0 }
    }
}

impl Write for Form {
    fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
        let end = self.length + text.len();
        let Some(room) = self.bytes.get_mut(self.length..end) else {
            return Err(std::io::ErrorKind::WriteZero.into());
        };
        room.copy_from_slice(text);
        self.length = end;
        Ok(text.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Form {
    fn text(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.length]).unwrap_or_default()
    }

    /// Whether the decimal is exactly between two floats, so that the least more or less reads as another one
    /// (`differs`). PostgreSQL does not print those, though they read back by rounding to even.
    fn is_halfway(&self, differs: impl Fn(&str) -> bool) -> bool {
        let Some((mantissa, exponent)) = self.text().split_once('e') else { return false };
        let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
        let (Ok(number), Ok(exponent)) = (digits.parse::<u128>(), exponent.parse::<i32>()) else {
            return false;
        };
        let exponent = exponent - (digits.len() as i32 - 1) - 18;
        let sign = if mantissa.starts_with('-') { "-" } else { "" };
        let scaled = number * 1_000_000_000_000_000_000;
        [scaled - 1, scaled + 1].iter().any(|near| differs(&format!("{sign}{near}e{exponent}")))
    }

    /// Replaces the digits by the fewest more that read back exactly and are not halfway.
    fn lengthen(&mut self, print: impl Fn(usize) -> String, reads_back: impl Fn(&str) -> bool) {
        let (_, _, count, _) = self.parts();
        for digits in count..17 {
            let text = print(digits);
            let mut form = Form::default();
            let written = form.write_all(text.as_bytes());
            if written.is_ok() && reads_back(&text) && !form.is_halfway(|text| !reads_back(text)) {
                *self = form;
                return;
            }
        }
    }

    /// Sign, digits without a point, and the power of ten of the first digit.
    fn parts(&self) -> (bool, [u8; 24], usize, i32) {
        let text = &self.bytes[..self.length];
        let (negative, text) = match text {
            [b'-', rest @ ..] => (true, rest),
            rest => (false, rest),
        };
        let mut digits = [0u8; 24];
        let mut count = 0;
        let mut exponent = 0;
        let mut rest = text.iter();
        for byte in rest.by_ref() {
            match byte {
                b'e' => break,
                b'.' => {}
                digit => {
                    digits[count] = *digit;
                    count += 1;
                }
            }
        }
        let tail = rest.as_slice();
        let (minus, tail) = match tail {
            [b'-', rest @ ..] => (true, rest),
            rest => (false, rest),
        };
        for byte in tail {
            exponent = exponent * 10 + i32::from(byte - b'0');
        }
        (negative, digits, count, if minus { -exponent } else { exponent })
    }
}

fn print_shortest(form: &Form, limit: i32, out: &mut Vec<u8>) {
    let (negative, digits, mut count, exponent) = form.parts();
    while count > 1 && digits[count - 1] == b'0' {
        count -= 1;
    }
    layout(negative, &digits[..count], exponent, (-4..limit).contains(&exponent), out);
}

/// As printf's `%.*g`.
fn print_general(form: &Form, precision: i32, out: &mut Vec<u8>) {
    let (negative, digits, mut count, exponent) = form.parts();
    while count > 1 && digits[count - 1] == b'0' {
        count -= 1;
    }
    layout(negative, &digits[..count], exponent, (-4..precision).contains(&exponent), out);
}

fn layout(negative: bool, digits: &[u8], exponent: i32, fixed: bool, out: &mut Vec<u8>) {
    if negative {
        out.push(b'-');
    }
    if !fixed {
        out.push(digits[0]);
        if digits.len() > 1 {
            out.push(b'.');
            out.extend_from_slice(&digits[1..]);
        }
        out.extend_from_slice(if exponent < 0 { b"e-" } else { b"e+" });
        return super::integers::print_padded(u64::from(exponent.unsigned_abs()), 2, out);
    }
    if exponent < 0 {
        out.extend_from_slice(b"0.");
        out.extend(std::iter::repeat_n(b'0', (-exponent - 1) as usize));
        out.extend_from_slice(digits);
        return;
    }
    let whole = exponent as usize + 1;
    if digits.len() <= whole {
        out.extend_from_slice(digits);
        out.extend(std::iter::repeat_n(b'0', whole - digits.len()));
    } else {
        out.extend_from_slice(&digits[..whole]);
        out.push(b'.');
        out.extend_from_slice(&digits[whole..]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_decimals_are_what_the_shortest_form_is() {
        let mut random = 1u64;
        let mut printed = 0;
        for step in 0..300_000u64 {
            random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let digits = (random >> 11) % 10u64.pow(1 + (step % 16) as u32);
            let places = 10f64.powi((random >> 5) as i32 % 9);
            let decimal = digits as f64 / places;
            let near = f64::from_bits(decimal.to_bits().wrapping_add(step % 3));
            for value in [decimal, -decimal, near, decimal * 3.3] {
                let mut short = Vec::new();
                if !print_short_decimal(value, &mut short) {
                    assert!(short.is_empty(), "step {step}: {value:e}");
                    continue;
                }
                printed += 1;
                let (mut form, mut expected) = (Form::default(), Vec::new());
                write!(form, "{value:e}").unwrap();
                print_shortest(&form, 15, &mut expected);
                assert_eq!(String::from_utf8(short), String::from_utf8(expected), "step {step}: {value:e}");
            }
        }
        assert!(printed > 300_000, "{printed}");
    }
}
