//! Dates and times as text, in every DateStyle.

use super::calendar::{self, Civil, civil_from_days, time_to_civil, timestamp_to_civil, weekday};

use super::{TimeTz, USECS_PER_SEC};
use crate::codec::print_padded;
use crate::{DateOrder, DateStyle, FormatContext};

pub(super) const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
pub(super) const WEEKDAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];

#[inline]
fn digits(value: i32) -> [u8; 2] {
    [b'0' + (value / 10) as u8, b'0' + (value % 10) as u8]
}

fn two(value: i32, out: &mut Vec<u8>) {
    out.extend_from_slice(&digits(value));
}

/// The year as it is counted, without sign: 1 BC is 1.
fn shown_year(year: i32) -> u64 {
    if year > 0 { year as u64 } else { (1 - i64::from(year)) as u64 }
}

fn bc(year: i32, out: &mut Vec<u8>) {
    if year <= 0 {
        out.extend_from_slice(b" BC");
    }
}

/// Appends a `date`.
pub fn print_date(date: i32, context: &FormatContext, out: &mut Vec<u8>) {
    if calendar::is_infinite_date(date) {
        return infinity(date > 0, out);
    }
    let (year, month, day) = civil_from_days(i64::from(date));
    date_parts(year, month, day, context, out);
    bc(year, out);
}

fn infinity(positive: bool, out: &mut Vec<u8>) {
    out.extend_from_slice(if positive { b"infinity" } else { b"-infinity" });
}

fn date_parts(year: i32, month: i32, day: i32, context: &FormatContext, out: &mut Vec<u8>) {
    let shown = shown_year(year);
    let (separator, year_first, day_first) = match context.date_style {
        DateStyle::Iso => (b'-', true, false),
        DateStyle::German => (b'.', false, true),
        DateStyle::Sql => (b'/', false, context.date_order == DateOrder::Dmy),
        DateStyle::Postgres => (b'-', false, context.date_order == DateOrder::Dmy),
    };
    if year_first {
        print_padded(shown, 4, out);
        let ([m, n], [d, e]) = (digits(month), digits(day));
        out.extend_from_slice(&[separator, m, n, separator, d, e]);
        return;
    }
    let (first, second) = if day_first { (day, month) } else { (month, day) };
    two(first, out);
    out.push(separator);
    two(second, out);
    out.push(separator);
    print_padded(shown, 4, out);
}

fn clock(civil: &Civil, out: &mut Vec<u8>) {
    let ([h, g], [m, n], [s, t]) = (digits(civil.hour), digits(civil.minute), digits(civil.second));
    out.extend_from_slice(&[h, g, b':', m, n, b':', s, t]);
    fraction(civil.micros, out);
}

/// A point and the digits of a fraction of a second that are not trailing zeros.
pub(super) fn fraction(micros: i32, out: &mut Vec<u8>) {
    if micros == 0 {
        return;
    }
    let micros = micros.abs();
    let [a, b] = digits(micros / 10_000);
    let [c, d] = digits(micros / 100 % 100);
    let [e, f] = digits(micros % 100);
    let text = [b'.', a, b, c, d, e, f];
    let end = text.iter().rposition(|digit| *digit != b'0').map_or(1, |last| last + 1);
    out.extend_from_slice(&text[..end]);
}

/// Appends a `time`.
pub fn print_time(time: i64, out: &mut Vec<u8>) {
    clock(&time_to_civil(time), out);
}

fn zone_offset(seconds_east: i32, out: &mut Vec<u8>) {
    out.push(if seconds_east < 0 { b'-' } else { b'+' });
    let seconds = seconds_east.abs();
    two(seconds / 3600, out);
    if seconds % 3600 != 0 {
        out.push(b':');
        two(seconds / 60 % 60, out);
    }
    if seconds % 60 != 0 {
        out.push(b':');
        two(seconds % 60, out);
    }
}

/// Appends a `timetz`.
pub fn print_timetz(time: TimeTz, out: &mut Vec<u8>) {
    print_time(time.micros, out);
    zone_offset(-time.zone, out);
}

/// Appends a `timestamp`.
pub fn print_timestamp(timestamp: i64, context: &FormatContext, out: &mut Vec<u8>) {
    if calendar::is_infinite_timestamp(timestamp) {
        return infinity(timestamp > 0, out);
    }
    let (days, _) = calendar::split(timestamp);
    let civil = timestamp_to_civil(timestamp);
    full(&civil, days, None, context, out);
}

/// Appends a `timestamptz` in the session's zone.
pub fn print_timestamptz(timestamp: i64, context: &FormatContext, out: &mut Vec<u8>) {
    if calendar::is_infinite_timestamp(timestamp) {
        return infinity(timestamp > 0, out);
    }
    let zone = &context.time_zone;
    let (seconds, abbreviation) = if context.date_style == DateStyle::Iso {
        (zone.offset_at(timestamp), None)
    } else {
        let offset = zone.describe(timestamp);
        (offset.seconds, Some(offset.abbreviation))
    };
    let local = timestamp.saturating_add(i64::from(seconds) * USECS_PER_SEC);
    let (days, _) = calendar::split(local);
    full(&timestamp_to_civil(local), days, Some((seconds, abbreviation)), context, out);
}

type ShownZone = (i32, Option<String>);

fn full(civil: &Civil, days: i64, zone: Option<ShownZone>, context: &FormatContext, out: &mut Vec<u8>) {
    if context.date_style == DateStyle::Postgres {
        out.extend_from_slice(WEEKDAYS[weekday(days) as usize].as_bytes());
        out.push(b' ');
        let month = MONTHS[(civil.month - 1) as usize].as_bytes();
        if context.date_order == DateOrder::Dmy {
            two(civil.day, out);
            out.push(b' ');
            out.extend_from_slice(month);
        } else {
            out.extend_from_slice(month);
            out.push(b' ');
            two(civil.day, out);
        }
        out.push(b' ');
        clock(civil, out);
        out.push(b' ');
        print_padded(shown_year(civil.year), 4, out);
        if let Some((seconds, abbreviation)) = zone {
            out.push(b' ');
            zone_name(seconds, abbreviation, out);
        }
        return bc(civil.year, out);
    }
    date_parts(civil.year, civil.month, civil.day, context, out);
    out.push(b' ');
    clock(civil, out);
    if let Some((seconds, abbreviation)) = zone {
        if context.date_style == DateStyle::Iso {
            zone_offset(seconds, out);
        } else {
            if context.date_style != DateStyle::Iso && has_letters(abbreviation.as_deref()) {
                out.push(b' ');
            }
            zone_name(seconds, abbreviation, out);
        }
    }
    bc(civil.year, out);
}

fn has_letters(abbreviation: Option<&str>) -> bool {
    abbreviation.is_some_and(|name| name.starts_with(|c: char| c.is_ascii_alphabetic()))
}

/// The abbreviation if it is a word, else the offset.
fn zone_name(seconds: i32, abbreviation: Option<String>, out: &mut Vec<u8>) {
    match abbreviation {
        Some(name) if has_letters(Some(&name)) => out.extend_from_slice(name.as_bytes()),
        Some(name) if name.starts_with(['+', '-']) => out.extend_from_slice(name.as_bytes()),
        _ => zone_offset(seconds, out),
    }
}
