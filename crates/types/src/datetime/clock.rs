//! Reading the numbers of clock times and offsets.

use super::calendar::Civil;
use super::tokens::Fault;

/// A whole number of digits only.
pub(super) fn number(digits: &str) -> Result<i32, Fault> {
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Fault::Syntax);
    }
    digits.parse().map_err(|_| Fault::Field)
}

/// A part of a clock time; none is 0.
fn clock_part(digits: &str) -> Result<i32, Fault> {
    if digits.is_empty() { Ok(0) } else { number(digits) }
}

/// `hh:mm`, `hh:mm:ss`, `hh:mm:ss.ffffff`.
pub(super) fn parse_clock(field: &str) -> Result<Civil, Fault> {
    let mut parts = field.split(':');
    let (Some(hour), Some(minute), second, None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(Fault::Syntax);
    };
    let (second, fraction) = match second {
        None => {
            // `mm:ss.fff` is read by intervals only.
            if minute.contains('.') {
                let (second, fraction) = minute.split_once('.').unwrap_or((minute, ""));
                let civil = Civil {
                    minute: clock_part(hour)?,
                    second: clock_part(second)?,
                    micros: parse_fraction(fraction)?,
                    ..Civil::default()
                };
                return carry(civil);
            }
            ("0", "")
        }
        Some(second) => second.split_once('.').unwrap_or((second, "")),
    };
    let civil = Civil {
        hour: number(hour)?,
        minute: clock_part(minute)?,
        second: clock_part(second)?,
        micros: parse_fraction(fraction)?,
        ..Civil::default()
    };
    carry(civil)
}

/// Checks minutes and seconds, and carries a fraction that rounded up to a whole second.
fn carry(mut civil: Civil) -> Result<Civil, Fault> {
    if civil.minute > 59 || civil.second > 60 {
        return Err(Fault::Field);
    }
    let carried = civil.micros / 1_000_000;
    civil.micros %= 1_000_000;
    civil.second += carried;
    // A leap second belongs to the next minute.
    if civil.second >= 60 {
        civil.second -= 60;
        civil.minute += 1;
    }
    if civil.minute >= 60 {
        civil.minute -= 60;
        civil.hour += 1;
    }
    let over = civil.hour == 24 && (civil.minute > 0 || civil.second > 0 || civil.micros > 0);
    if civil.hour > 24 || over { Err(Fault::Field) } else { Ok(civil) }
}

/// Digits of a fraction of a second as microseconds, rounded.
pub(super) fn parse_fraction(digits: &str) -> Result<i32, Fault> {
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Fault::Syntax);
    }
    if digits.is_empty() {
        return Ok(0);
    }
    let value: f64 = format!("0.{digits}").parse().map_err(|_| Fault::Syntax)?;
    Ok((value * 1_000_000.0).round_ties_even() as i32)
}

/// `hhmmss`, `hhmm`, with a fraction.
pub(super) fn run_together_time(field: &str) -> Result<Civil, Fault> {
    let (digits, fraction) = field.split_once('.').unwrap_or((field, ""));
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Fault::Syntax);
    }
    let pair = |at: usize| number(&digits[at..at + 2]);
    let civil = match digits.len() {
        6 => Civil {
            hour: pair(0)?,
            minute: pair(2)?,
            second: pair(4)?,
            micros: parse_fraction(fraction)?,
            ..Civil::default()
        },
        4 if fraction.is_empty() => Civil { hour: pair(0)?, minute: pair(2)?, ..Civil::default() },

        _ => return Err(Fault::Syntax),
    };
    carry(civil)
}

/// A zone's distance from Greenwich: `+hh`, `+hhmm`, `+hh:mm`, `+hh:mm:ss`; seconds east.
pub(super) fn parse_offset(field: &str) -> Result<i32, Fault> {
    let (negative, mut rest) = match field.as_bytes().first() {
        Some(b'+') => (false, &field[1..]),
        Some(b'-') => (true, &field[1..]),
        _ => return Err(Fault::Syntax),
    };
    let next = |rest: &mut &str| -> Result<i32, Fault> {
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        // As C reads numbers: none is 0.
        let value = if end == 0 { Ok(0) } else { rest[..end].parse().map_err(|_| Fault::Zone) };
        *rest = &rest[end..];
        value
    };
    let length = rest.len();
    let (mut hours, mut minutes, mut seconds) = (next(&mut rest)?, 0, 0);
    if let Some(tail) = rest.strip_prefix(':') {
        rest = tail;
        minutes = next(&mut rest)?;
        if let Some(tail) = rest.strip_prefix(':') {
            rest = tail;
            seconds = next(&mut rest)?;
        }
    } else if rest.is_empty() && length > 2 {
        minutes = hours % 100;
        hours /= 100;
    }
    if hours > 15 || minutes > 59 || seconds > 59 {
        return Err(Fault::Zone);
    }
    if !rest.is_empty() {
        return Err(Fault::Syntax);
    }
    let total = (hours * 60 + minutes) * 60 + seconds;
    Ok(if negative { -total } else { total })
}
