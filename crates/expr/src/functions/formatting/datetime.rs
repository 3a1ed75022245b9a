//! `to_char` of timestamps and intervals.

use std::fmt::Write;

use ochre_base::{Error, Result, SqlState};
use ochre_types::datetime::{self as dt, Civil, USECS_PER_DAY};
use ochre_types::{Interval, Pace, TimeZone};

use super::template::{
    DAYS, Field, Key, MONTHS, NODE_BYTES, Node, ROMAN_MONTHS, in_case, ordinal_ending, parse,
};

/// What is printed: a point of time or a span.
struct Moment {
    civil: Civil,
    /// Days since 2000-01-01; unused for intervals.
    days: i64,
    is_interval: bool,
    /// Seconds east of Greenwich and the abbreviation, when there is a zone.
    zone: Option<(i32, String)>,
}

/// `to_char` of a timestamp, in a zone or without one.
pub(crate) fn timestamp_to_char(
    timestamp: i64,
    zone: Option<&TimeZone>,
    template: &str,
    pace: &mut Pace<'_>,
) -> Result<String> {
    let (local, zone) = match zone {
        None => (timestamp, None),
        Some(zone) => {
            let offset = zone.describe(timestamp);
            (dt::timestamptz_to_timestamp(timestamp, zone)?, Some((offset.seconds, offset.abbreviation)))
        }
    };
    let civil = dt::timestamp_to_civil(local);
    print(&Moment { civil, days: local.div_euclid(USECS_PER_DAY), is_interval: false, zone }, template, pace)
}

/// `to_char` of an interval, whose fields are those of its three parts.
pub(super) fn interval_to_char(interval: Interval, template: &str, pace: &mut Pace<'_>) -> Result<String> {
    let micros = interval.micros;
    let civil = Civil {
        year: interval.months / 12,
        month: interval.months % 12,
        day: interval.days,
        hour: (micros / dt::USECS_PER_HOUR) as i32,
        minute: (micros / 60_000_000 % 60) as i32,
        second: (micros / 1_000_000 % 60) as i32,
        micros: (micros % 1_000_000) as i32,
    };
    print(&Moment { civil, days: 0, is_interval: true, zone: None }, template, pace)
}

fn print(moment: &Moment, template: &str, pace: &mut Pace<'_>) -> Result<String> {
    let mut out = String::new();
    for node in parse(template, pace)? {
        pace.advance(NODE_BYTES)?;
        match node {
            Node::Literal { c, .. } => out.push(c),
            Node::Field(field) => {
                let start = out.len();
                print_field(moment, field, &mut out)?;
                if let Some(upper) = field.ordinal
                    && field.key.is_numeric()
                {
                    let ending = ordinal_ending(&out[start..], upper);
                    out.push_str(ending);
                }
            }
        }
    }
    Ok(out)
}

fn number(out: &mut String, field: Field, width: usize, value: i64) {
    let width = if field.fill { 0 } else { width };
    // A minus sign does not count as one of the digits.
    if value < 0 {
        let _ = write!(out, "-{:0width$}", -value);
    } else {
        let _ = write!(out, "{value:0width$}");
    }
}

/// A number whose minus sign counts as one of the digits.
fn signed_number(out: &mut String, field: Field, width: usize, value: i64) {
    let width = if field.fill { 0 } else { width };
    let _ = write!(out, "{value:0width$}");
}

fn word(out: &mut String, field: Field, width: usize, word: &str) {
    out.push_str(word);
    if !field.fill {
        out.extend(std::iter::repeat_n(' ', width.saturating_sub(word.len())));
    }
}

fn no_interval(moment: &Moment) -> Result<()> {
    if moment.is_interval {
        return Err(Error::new(
            SqlState::INVALID_DATETIME_FORMAT,
            "invalid format specification for an interval value",
        )
        .hint("Intervals are not tied to specific calendar dates."));
    }
    Ok(())
}

fn print_field(moment: &Moment, field: Field, out: &mut String) -> Result<()> {
    let civil = &moment.civil;
    // Years are printed without an era as positive numbers: 1 BC is the year 0.
    let shown_year = if moment.is_interval || civil.year > 0 { civil.year } else { 1 - civil.year };
    let day_of_week = (moment.days + 6).rem_euclid(7);
    match field.key {
        Key::Meridiem { dotted, upper } => {
            let text = match (civil.hour % 24 >= 12, dotted) {
                (true, true) => "P.M.",
                (true, false) => "PM",
                (false, true) => "A.M.",
                (false, false) => "AM",
            };
            out.push_str(&if upper { text.to_owned() } else { text.to_lowercase() });
        }
        Key::Era { dotted, upper } => {
            no_interval(moment)?;
            let text = match (civil.year <= 0, dotted) {
                (true, true) => "B.C.",
                (true, false) => "BC",
                (false, true) => "A.D.",
                (false, false) => "AD",
            };
            out.push_str(&if upper { text.to_owned() } else { text.to_lowercase() });
        }
        Key::Hour12 => {
            let hour = if civil.hour % 12 == 0 { 12 } else { civil.hour % 12 };
            number(out, field, 2, hour.into());
        }
        Key::Hour24 => number(out, field, 2, civil.hour.into()),
        Key::Minute => number(out, field, 2, civil.minute.into()),
        Key::Second => number(out, field, 2, civil.second.into()),
        Key::Fraction(digits) => {
            let value = i64::from(civil.micros) / 10i64.pow(6 - u32::from(digits));
            let _ = write!(out, "{value:0width$}", width = usize::from(digits));
        }
        Key::Millisecond => {
            let _ = write!(out, "{:03}", civil.micros / 1000);
        }
        Key::Microsecond => {
            let _ = write!(out, "{:06}", civil.micros);
        }
        Key::SecondsOfDay => {
            let seconds =
                i64::from(civil.hour) * 3600 + i64::from(civil.minute) * 60 + i64::from(civil.second);
            let _ = write!(out, "{seconds}");
        }
        Key::Zone { upper } => {
            no_interval(moment)?;
            if let Some((seconds, abbreviation)) = &moment.zone {
                let text = if abbreviation.is_empty() { offset_text(*seconds) } else { abbreviation.clone() };
                out.push_str(&if upper { text.to_uppercase() } else { text.to_lowercase() });
            }
        }
        Key::ZoneHours => {
            no_interval(moment)?;
            let seconds = moment.zone.as_ref().map_or(0, |zone| zone.0);
            let sign = if seconds < 0 { '-' } else { '+' };
            let _ = write!(out, "{sign}{:02}", seconds.abs() / 3600);
        }
        Key::ZoneMinutes => {
            no_interval(moment)?;
            let seconds = moment.zone.as_ref().map_or(0, |zone| zone.0);
            let _ = write!(out, "{:02}", seconds.abs() % 3600 / 60);
        }
        Key::ZoneOffset => {
            no_interval(moment)?;
            out.push_str(&offset_text(moment.zone.as_ref().map_or(0, |zone| zone.0)));
        }
        Key::MonthName(case) => {
            no_interval(moment)?;
            word(out, field, 9, &in_case(MONTHS[civil.month as usize - 1], case));
        }
        Key::MonthAbbreviation(case) => {
            no_interval(moment)?;
            out.push_str(&in_case(&MONTHS[civil.month as usize - 1][..3], case));
        }
        Key::MonthNumber => number(out, field, 2, civil.month.into()),
        Key::DayName(case) => {
            no_interval(moment)?;
            word(out, field, 9, &in_case(DAYS[day_of_week as usize], case));
        }
        Key::DayAbbreviation(case) => {
            no_interval(moment)?;
            out.push_str(&in_case(&DAYS[day_of_week as usize][..3], case));
        }
        Key::DayOfYear => signed_number(out, field, 3, day_of_year(moment)?),
        Key::IsoDayOfYear => {
            no_interval(moment)?;
            let (_, week) = iso_week(moment)?;
            number(out, field, 3, (week - 1) * 7 + (day_of_week + 6) % 7 + 1);
        }
        Key::DayOfMonth => signed_number(out, field, 2, civil.day.into()),
        Key::DayOfWeek => {
            no_interval(moment)?;
            number(out, field, 1, day_of_week + 1);
        }
        Key::IsoDayOfWeek => {
            no_interval(moment)?;
            number(out, field, 1, if day_of_week == 0 { 7 } else { day_of_week });
        }
        Key::WeekOfYear => signed_number(out, field, 2, (day_of_year(moment)? - 1) / 7 + 1),
        Key::WeekOfMonth => number(out, field, 1, (i64::from(civil.day) - 1) / 7 + 1),
        Key::IsoWeek => {
            no_interval(moment)?;
            number(out, field, 2, iso_week(moment)?.1);
        }
        Key::IsoYear(digits) => {
            let year = if moment.is_interval { i64::from(civil.year) } else { iso_week(moment)?.0 };
            let year = if year > 0 || moment.is_interval { year } else { 1 - year };
            print_year(out, field, digits, year);
        }
        Key::Quarter => {
            if civil.month != 0 {
                number(out, field, 1, i64::from((civil.month - 1) / 3 + 1));
            }
        }
        Key::Century => {
            let year = civil.year;
            let century = if moment.is_interval {
                year / 100
            } else if year > 0 {
                (year - 1) / 100 + 1
            } else {
                year / 100 - 1
            };
            number(out, field, 2, century.into());
        }
        Key::YearWithComma => {
            let (thousands, rest) = (shown_year / 1000, shown_year.abs() % 1000);
            let _ = write!(out, "{thousands},{rest:03}");
        }
        Key::Year(digits) => print_year(out, field, digits, shown_year.into()),
        Key::Roman { upper } => {
            let months = if moment.is_interval { civil.month + civil.year * 12 } else { civil.month };
            if months != 0 || !moment.is_interval {
                let index = (months - 1).rem_euclid(12) as usize;
                let text = ROMAN_MONTHS[index];
                let text = if upper { text.to_owned() } else { text.to_lowercase() };
                word(out, field, 4, &text);
            }
        }
        Key::Julian => {
            let day = if moment.is_interval { interval_julian(moment) } else { moment.days + 2_451_545 };
            number(out, field, 0, day);
        }
    }
    Ok(())
}

/// The last digits of a year; all of them for four.
fn print_year(out: &mut String, field: Field, digits: u8, year: i64) {
    let value = if digits == 4 { year } else { year % 10i64.pow(digits.into()) };
    number(out, field, digits.into(), value);
}

/// `+HH`, with `:MM` when there are minutes.
fn offset_text(seconds: i32) -> String {
    let sign = if seconds < 0 { '-' } else { '+' };
    let (hours, minutes) = (seconds.abs() / 3600, seconds.abs() % 3600 / 60);
    if minutes == 0 { format!("{sign}{hours:02}") } else { format!("{sign}{hours:02}:{minutes:02}") }
}

fn day_of_year(moment: &Moment) -> Result<i64> {
    if moment.is_interval {
        let civil = &moment.civil;
        return Ok(i64::from(civil.year) * 360 + i64::from(civil.month) * 30 + i64::from(civil.day));
    }
    let first = dt::date_from_civil(moment.civil.year, 1, 1)?;
    Ok(moment.days - i64::from(first) + 1)
}

/// The Julian day of an interval, taken for a date: years of the calendar that begin in March, counted from 4800 BC.
fn interval_julian(moment: &Moment) -> i64 {
    let civil = &moment.civil;
    let (year, month) = (i64::from(civil.year), i64::from(civil.month));
    let (year, month) = if month > 2 { (year + 4800, month + 1) } else { (year + 4799, month + 13) };
    let leap_days = year / 4 - year / 100 + year / 100 / 4;
    year * 365 - 32_167 + leap_days + 7834 * month / 256 + i64::from(civil.day)
}

/// ISO year and week: the week belongs to the year that its Thursday is in.
fn iso_week(moment: &Moment) -> Result<(i64, i64)> {
    let monday_based = (moment.days + 5).rem_euclid(7);
    let thursday = moment.days - monday_based + 3;
    let civil = dt::timestamp_to_civil(thursday * USECS_PER_DAY);
    let first = i64::from(dt::date_from_civil(civil.year, 1, 1)?);
    Ok((civil.year.into(), (thursday - first) / 7 + 1))
}
