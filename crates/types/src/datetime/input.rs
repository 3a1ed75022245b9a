//! The input functions of dates and times.

use ochre_base::{Error, Result, SqlState};

use super::calendar::{self, Civil, UNIX_EPOCH_DAYS, days_from_civil, time_of_civil};
use super::decode::{Decoded, Settings, Special, decode};
use super::tokens::Fault;
use super::{
    DATE_INFINITY, DATE_NEG_INFINITY, TIMESTAMP_INFINITY, TIMESTAMP_NEG_INFINITY, TimeTz, USECS_PER_DAY,
    USECS_PER_SEC,
};
use crate::FormatContext;

/// 1970-01-01 in microseconds since 2000.
const UNIX_EPOCH: i64 = -UNIX_EPOCH_DAYS * USECS_PER_DAY;

/// PostgreSQL's error for a fault.
#[cold]
pub(super) fn fault_error(fault: Fault, type_name: &str, text: &str) -> Error {
    let field = || {
        Error::new(
            SqlState::DATETIME_FIELD_OVERFLOW,
            format!("date/time field value out of range: \"{text}\""),
        )
    };
    match fault {
        Fault::Field => field(),
        Fault::MonthDay => field().hint("Perhaps you need a different \"DateStyle\" setting."),
        Fault::Interval => Error::new(
            SqlState::INTERVAL_FIELD_OVERFLOW,
            format!("interval field value out of range: \"{text}\""),
        ),
        Fault::IntervalTotal => calendar::overflow("interval out of range"),
        Fault::Zone => Error::new(
            SqlState::INVALID_TIME_ZONE_DISPLACEMENT_VALUE,
            format!("time zone displacement out of range: \"{text}\""),
        ),
        Fault::ZoneName(name) => {
            Error::new(SqlState::INVALID_PARAMETER_VALUE, format!("time zone \"{name}\" not recognized"))
        }
        Fault::Syntax => Error::new(
            SqlState::INVALID_DATETIME_FORMAT,
            format!("invalid input syntax for type {type_name}: \"{text}\""),
        ),
    }
}

fn read(text: &str, type_name: &str, context: &FormatContext, time_only: bool) -> Result<Decoded> {
    let settings =
        Settings { order: context.date_order, zone: &context.time_zone, now: context.now, time_only };
    decode(text, &settings).map_err(|fault| fault_error(fault, type_name, text))
}

fn local_now(context: &FormatContext) -> i64 {
    context.now + i64::from(context.time_zone.offset_at(context.now)) * USECS_PER_SEC
}

/// Reads a `date`.
///
/// # Errors
/// 22007, 22008.
pub fn parse_date(text: &str, context: &FormatContext) -> Result<i32> {
    if let Some(date) = plain_date(text.as_bytes()) {
        return Ok(date as i32);
    }
    let decoded = read(text, "date", context, false)?;
    let days = match decoded.special {
        Some(Special::Infinity) => return Ok(DATE_INFINITY),
        Some(Special::NegInfinity) => return Ok(DATE_NEG_INFINITY),
        Some(Special::Epoch) => -UNIX_EPOCH_DAYS,
        Some(Special::Now) => local_now(context).div_euclid(USECS_PER_DAY),
        None => days_from_civil(decoded.civil.year, decoded.civil.month, decoded.civil.day),
    };
    calendar::date_from_days(days).map_err(|_| calendar::overflow(format!("date out of range: \"{text}\"")))
}

/// The common case: `yyyy-mm-dd`, a valid date.
fn plain_date(text: &[u8]) -> Option<i64> {
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = text else { return None };
    let digits = [y1, y2, y3, y4, m1, m2, d1, d2];
    if !digits.iter().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let value = |digits: &[&u8]| digits.iter().fold(0, |value, digit| value * 10 + i32::from(**digit - b'0'));
    let (year, month, day) = (value(&digits[..4]), value(&digits[4..6]), value(&digits[6..]));
    let valid =
        year > 0 && (1..=12).contains(&month) && day >= 1 && day <= calendar::days_in_month(year, month);
    valid.then(|| days_from_civil(year, month, day))
}

/// The common case: `yyyy-mm-dd hh:mm:ss` with an optional fraction of up to six digits; and what follows.
fn plain_timestamp(text: &[u8]) -> Option<(i64, &[u8])> {
    let (date, clock) = text.split_at_checked(10)?;
    let days = plain_date(date)?;
    let [b' ' | b'T', h1, h2, b':', m1, m2, b':', s1, s2, fraction @ ..] = clock else { return None };
    let digits = [h1, h2, m1, m2, s1, s2];
    if !digits.iter().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let pair = |at: usize| i64::from(*digits[at] - b'0') * 10 + i64::from(*digits[at + 1] - b'0');
    let (hour, minute, second) = (pair(0), pair(2), pair(4));
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let (micros, rest) = match fraction {
        [b'.', digits @ ..] => {
            let length = digits.iter().take_while(|digit| digit.is_ascii_digit()).count();
            if !(1..=6).contains(&length) {
                return None;
            }
            let (digits, rest) = digits.split_at(length);
            let value = digits.iter().fold(0, |value, digit| value * 10 + i64::from(digit - b'0'));
            (value * 10i64.pow(6 - length as u32), rest)
        }
        rest => (0, rest),
    };
    Some((days * USECS_PER_DAY + ((hour * 60 + minute) * 60 + second) * USECS_PER_SEC + micros, rest))
}

/// The common forms of an offset: `Z`, `+hh`, `+hh:mm`; seconds east.
fn plain_offset(text: &[u8]) -> Option<i32> {
    let (sign, digits) = match text {
        [b'Z'] => return Some(0),
        [b'+', digits @ ..] => (1, digits),
        [b'-', digits @ ..] => (-1, digits),
        _ => return None,
    };
    let pair = |high: &u8, low: &u8| {
        (high.is_ascii_digit() && low.is_ascii_digit())
            .then(|| i32::from(high - b'0') * 10 + i32::from(low - b'0'))
    };
    let (hours, minutes) = match digits {
        [a, b] => (pair(a, b)?, 0),
        [a, b, b':', c, d] => (pair(a, b)?, pair(c, d)?),
        _ => return None,
    };
    (hours <= 15 && minutes <= 59).then_some(sign * (hours * 60 + minutes) * 60)
}

/// Reads a `timestamp`; a zone in the text is ignored.
///
/// # Errors
/// 22007, 22008.
pub fn parse_timestamp(text: &str, context: &FormatContext) -> Result<i64> {
    if let Some((timestamp, [])) = plain_timestamp(text.as_bytes()) {
        return Ok(timestamp);
    }
    let decoded = read(text, "timestamp", context, false)?;
    Ok(match decoded.special {
        Some(Special::Infinity) => TIMESTAMP_INFINITY,
        Some(Special::NegInfinity) => TIMESTAMP_NEG_INFINITY,
        Some(Special::Epoch) => UNIX_EPOCH,
        Some(Special::Now) => local_now(context),
        None => local_timestamp(&decoded.civil, text)?,
    })
}

fn local_timestamp(civil: &Civil, text: &str) -> Result<i64> {
    calendar::timestamp_from_civil(civil).map_err(|_| out_of_range(text))
}

#[cold]
fn out_of_range(text: &str) -> Error {
    calendar::overflow(format!("timestamp out of range: \"{text}\""))
}

/// Reads a `timestamptz`; without a zone in the text, the session's holds.
///
/// # Errors
/// 22007, 22008, 22009, 22023.
pub fn parse_timestamptz(text: &str, context: &FormatContext) -> Result<i64> {
    let plain = plain_timestamp(text.as_bytes()).and_then(|(local, rest)| match rest {
        [] => Some((local, context.time_zone.offset_at_local(local))),
        rest => plain_offset(rest).map(|offset| (local, offset)),
    });
    let (local, offset) = if let Some(plain) = plain {
        plain
    } else {
        let decoded = read(text, "timestamp with time zone", context, false)?;
        match decoded.special {
            Some(Special::Infinity) => return Ok(TIMESTAMP_INFINITY),
            Some(Special::NegInfinity) => return Ok(TIMESTAMP_NEG_INFINITY),
            Some(Special::Epoch) => return Ok(UNIX_EPOCH),
            Some(Special::Now) => return Ok(context.now),
            None => {}
        }
        // The zone is applied before the range is checked: the local time may lie outside.
        let days = days_from_civil(decoded.civil.year, decoded.civil.month, decoded.civil.day);
        let local = days
            .checked_mul(USECS_PER_DAY)
            .and_then(|micros| micros.checked_add(time_of_civil(&decoded.civil)))
            .ok_or_else(|| out_of_range(text))?;
        let offset = match (decoded.offset, &decoded.zone) {
            (Some(offset), _) => offset,
            (None, Some(zone)) => zone.offset_at_local(local),
            (None, None) => context.time_zone.offset_at_local(local),
        };
        (local, offset)
    };
    local
        .checked_sub(i64::from(offset) * USECS_PER_SEC)
        .filter(|timestamp| {
            calendar::check_timestamp(*timestamp).is_ok() && !calendar::is_infinite_timestamp(*timestamp)
        })
        .ok_or_else(|| out_of_range(text))
}

/// Reads a `time`; a date or zone in the text is ignored.
///
/// # Errors
/// 22007, 22008.
pub fn parse_time(text: &str, context: &FormatContext) -> Result<i64> {
    let decoded = read(text, "time", context, true)?;
    time_of(&decoded, "time", text, context)
}

fn time_of(decoded: &Decoded, type_name: &str, text: &str, context: &FormatContext) -> Result<i64> {
    match decoded.special {
        None => Ok(time_of_civil(&decoded.civil)),
        Some(Special::Now) => Ok(local_now(context).rem_euclid(USECS_PER_DAY)),
        Some(_) => Err(fault_error(Fault::Syntax, type_name, text)),
    }
}

/// Reads a `timetz`; without a zone in the text, the session's offset holds, today's if there is no date.
///
/// # Errors
/// 22007, 22008, 22009, 22023.
pub fn parse_timetz(text: &str, context: &FormatContext) -> Result<TimeTz> {
    const NAME: &str = "time with time zone";
    let decoded = read(text, NAME, context, true)?;
    let micros = time_of(&decoded, NAME, text, context)?;
    let zone = decoded.zone.as_ref().unwrap_or(&context.time_zone);
    let offset = match decoded.offset {
        Some(offset) => offset,
        None if decoded.has_date => {
            let days = days_from_civil(decoded.civil.year, decoded.civil.month, decoded.civil.day);
            zone.offset_at_local(days * USECS_PER_DAY + micros)
        }
        // A zone whose offset changes over the year needs a date.
        None if decoded.zone.is_some() && zone_varies(zone, context) => {
            return Err(fault_error(Fault::Syntax, NAME, text));
        }
        None => zone.offset_at(context.now),
    };
    Ok(TimeTz { micros, zone: -offset })
}

fn zone_varies(zone: &crate::TimeZone, context: &FormatContext) -> bool {
    let half_year = 182 * USECS_PER_DAY;
    zone.offset_at(context.now) != zone.offset_at(context.now + half_year)
}
