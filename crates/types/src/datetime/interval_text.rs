//! `interval` as text: reading every form, printing in every IntervalStyle.

use ochre_base::Result;

use super::clock::{number, parse_fraction};
use super::input::fault_error;
use super::print::fraction;
use super::tokens::{Fault, Look, split_fields};
use super::units::Unit;
use super::{USECS_PER_DAY, USECS_PER_HOUR, USECS_PER_SEC};
use crate::codec::{print_i64, print_padded};
use crate::typmod::interval as range;
use crate::{FormatContext, Interval, IntervalStyle, typmod};

/// Reads an `interval`; the modifier's fields decide what a bare number means.
///
/// # Errors
/// 22007, 22015.
pub fn parse_interval(text: &str, typmod: i32, context: &FormatContext) -> Result<Interval> {
    let parsed = match decode(text, typmod, context.interval_style) {
        Err(Fault::Syntax) => decode_iso(text.trim()),
        other => other,
    };
    let fault = |fault| match fault {
        // Fields past their range are the interval's matter here.
        Fault::Field | Fault::MonthDay => fault_error(Fault::Interval, "interval", text),
        fault => fault_error(fault, "interval", text),
    };
    let interval = parsed.map_err(fault)?;
    Ok(if interval.is_finite() { typmod::fit_interval(interval, typmod) } else { interval })
}

/// The parts while they are gathered.
#[derive(Default)]
struct Parts {
    years: i64,
    months: i64,
    days: i64,
    micros: i64,
}

impl Parts {
    fn add_micros(&mut self, micros: i64) -> Result<(), Fault> {
        self.micros = self.micros.checked_add(micros).ok_or(Fault::Interval)?;
        Ok(())
    }

    /// A fraction of a unit of so many microseconds.
    fn add_fraction(&mut self, fraction: f64, unit: i64) -> Result<(), Fault> {
        if fraction == 0.0 {
            return Ok(());
        }
        let exact = fraction * unit as f64;
        let whole = exact.trunc();
        let rest = exact - whole;
        let round = if rest > 0.5 {
            1
        } else if rest < -0.5 {
            -1
        } else {
            0
        };
        self.add_micros(whole as i64 + round)
    }

    fn add_days(&mut self, days: i64) -> Result<(), Fault> {
        self.days = self.days.checked_add(days).ok_or(Fault::Interval)?;
        Ok(())
    }

    /// A fraction of a unit of so many days.
    fn add_fraction_days(&mut self, fraction: f64, unit: f64) -> Result<(), Fault> {
        let days = fraction * unit;
        self.add_days(days.trunc() as i64)?;
        self.add_fraction(days - days.trunc(), USECS_PER_DAY)
    }

    fn add_months(&mut self, months: i64) -> Result<(), Fault> {
        self.months = narrow(self.months.checked_add(months))?;
        Ok(())
    }

    fn add_years(&mut self, value: i64, unit: i64) -> Result<(), Fault> {
        let years = value.checked_mul(unit).and_then(|years| self.years.checked_add(years));
        self.years = narrow(years)?;
        Ok(())
    }

    /// `value` and a fraction of a unit.
    fn add(&mut self, unit: Unit, value: i64, part: f64) -> Result<(), Fault> {
        let scaled = |unit: i64| value.checked_mul(unit).ok_or(Fault::Interval);
        match unit {
            Unit::Microsecond => {
                let round = if part > 0.5 {
                    1
                } else if part < -0.5 {
                    -1
                } else {
                    0
                };
                self.add_micros(value.checked_add(round).ok_or(Fault::Interval)?)
            }
            Unit::Millisecond => {
                self.add_micros(scaled(1000)?)?;
                self.add_fraction(part, 1000)
            }
            Unit::Second => {
                self.add_micros(scaled(USECS_PER_SEC)?)?;
                self.add_fraction(part, USECS_PER_SEC)
            }
            Unit::Minute => {
                self.add_micros(scaled(60 * USECS_PER_SEC)?)?;
                self.add_fraction(part, 60 * USECS_PER_SEC)
            }
            Unit::Hour => {
                self.add_micros(scaled(USECS_PER_HOUR)?)?;
                self.add_fraction(part, USECS_PER_HOUR)
            }
            Unit::Day => {
                self.add_days(value)?;
                self.add_fraction(part, USECS_PER_DAY)
            }
            Unit::Week => {
                self.add_days(scaled(7)?)?;
                self.add_fraction_days(part, 7.0)
            }
            Unit::Month => {
                self.add_months(value)?;
                self.add_fraction_days(part, 30.0)
            }
            Unit::Year | Unit::Decade | Unit::Century | Unit::Millennium => {
                let years = match unit {
                    Unit::Year => 1,
                    Unit::Decade => 10,
                    Unit::Century => 100,
                    _ => 1000,
                };
                self.add_years(value, years)?;
                self.add_months((part * 12.0 * years as f64).round_ties_even() as i64)
            }
            _ => Err(Fault::Syntax),
        }
    }

    fn finish(self) -> Result<Interval, Fault> {
        Ok(Interval {
            months: i32::try_from(self.years * 12 + self.months).map_err(|_| Fault::IntervalTotal)?,
            days: i32::try_from(self.days).map_err(|_| Fault::Interval)?,
            micros: self.micros,
        })
    }
}

/// A field that must fit 32 bits.
fn narrow(value: Option<i64>) -> Result<i64, Fault> {
    value.filter(|value| i32::try_from(*value).is_ok()).ok_or(Fault::Interval)
}

/// The unit of a rightmost number without one.
fn default_unit(typmod: i32) -> Unit {
    use range::{DAY, HOUR, MINUTE, MONTH, YEAR};
    const YEAR_MONTH: i32 = YEAR | MONTH;
    const DAY_HOUR: i32 = DAY | HOUR;
    const HOUR_MINUTE: i32 = HOUR | MINUTE;
    const DAY_MINUTE: i32 = DAY | HOUR | MINUTE;
    match range::range(typmod) {
        YEAR => Unit::Year,
        MONTH | YEAR_MONTH => Unit::Month,
        DAY => Unit::Day,
        HOUR | DAY_HOUR => Unit::Hour,
        MINUTE | HOUR_MINUTE | DAY_MINUTE => Unit::Minute,
        _ => Unit::Second,
    }
}

/// `hh:mm[:ss[.f]]`, or `mm:ss` where the modifier says so; hours without limit.
fn clock(field: &str, typmod: i32) -> Result<i64, Fault> {
    let parts: Vec<&str> = field.split(':').collect();
    let split = |part: &str| -> Result<(i64, i64), Fault> {
        let (whole, fraction) = part.split_once('.').unwrap_or((part, ""));
        Ok((i64::from(number(whole)?), i64::from(parse_fraction(fraction)?)))
    };
    let wide = |digits: &str| -> Result<i64, Fault> {
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(Fault::Syntax);
        }
        digits.parse::<i64>().map_err(|_| Fault::Interval)
    };
    let (hours, minutes, (seconds, micros)) = match parts[..] {
        [minutes, seconds]
            if seconds.contains('.') || range::range(typmod) == range::MINUTE | range::SECOND =>
        {
            (0, wide(minutes)?, split(seconds)?)
        }
        [hours, minutes] => (wide(hours)?, i64::from(number(minutes)?), (0, 0)),
        [hours, minutes, seconds] => (wide(hours)?, i64::from(number(minutes)?), split(seconds)?),
        _ => return Err(Fault::Syntax),
    };
    if minutes > 59 || seconds > 60 {
        return Err(Fault::Interval);
    }
    hours
        .checked_mul(USECS_PER_HOUR)
        .and_then(|total| total.checked_add((minutes * 60 + seconds) * USECS_PER_SEC + micros))
        .ok_or(Fault::Interval)
}

fn decode(text: &str, typmod: i32, style: IntervalStyle) -> Result<Interval, Fault> {
    let fields = split_fields(text)?;
    let mut parts = Parts::default();
    let mut unit: Option<Unit> = None;
    // Of a word that named a unit: a number must follow on its left.
    let mut expects_number = false;
    let mut ago = false;
    let mut seen = 0u32;
    // A leading minus covers all fields of the SQL standard's form, unless another sign follows.
    let signed = |field: &str| field.starts_with(['+', '-']);
    let all_negative = style == IntervalStyle::SqlStandard
        && fields.first().is_some_and(|(_, field)| field.starts_with('-'))
        && !fields.iter().skip(1).any(|(_, field)| signed(field));
    for (index, (look, field)) in fields.iter().enumerate().rev() {
        let mut mask = 0;
        match look {
            Look::Time => {
                let micros = clock(field, typmod)?;
                parts.add_micros(if all_negative { -micros } else { micros })?;
                mask = TIME_MASK;
                unit = Some(Unit::Day);
                expects_number = false;
            }
            Look::Zone if field.contains(':') => {
                let micros = clock(&field[1..], typmod)?;
                parts.add_micros(if field.starts_with('-') { -micros } else { micros })?;
                mask = TIME_MASK;
                unit = Some(Unit::Day);
                expects_number = false;
            }
            Look::Zone | Look::Date | Look::Number => {
                let mut this = *unit.get_or_insert_with(|| default_unit(typmod));
                let negative = field.starts_with('-') || all_negative;
                let digits = field.trim_start_matches(['+', '-']);
                let (value, part) = if let Some((years, months)) = digits.split_once('-') {
                    let months = i64::from(number(months)?);
                    if months >= 12 {
                        return Err(Fault::Interval);
                    }
                    this = Unit::Month;
                    unit = Some(this);
                    let years: i64 = years.parse().map_err(|_| Fault::Syntax)?;
                    let total = years.checked_mul(12).and_then(|total| total.checked_add(months));
                    (total.ok_or(Fault::Interval)?, 0.0)
                } else {
                    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
                    if !whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit()) {
                        return Err(Fault::Syntax);
                    }
                    let value = if whole.is_empty() {
                        0
                    } else {
                        whole.parse::<i64>().map_err(|_| Fault::Interval)?
                    };
                    let part = if fraction.is_empty() {
                        0.0
                    } else {
                        format!("0.{fraction}").parse::<f64>().map_err(|_| Fault::Syntax)?
                    };
                    (value, part)
                };
                let sign = if negative { -1 } else { 1 };
                parts.add(this, sign * value, sign as f64 * part)?;
                mask = 1 << this as u32;
                if this == Unit::Second && part != 0.0 {
                    mask |= 1 << Unit::Millisecond as u32 | 1 << Unit::Microsecond as u32;
                }
                expects_number = false;
            }
            Look::Word | Look::Special => {
                if expects_number {
                    return Err(Fault::Syntax);
                }
                match field.as_str() {
                    "ago" if index + 1 == fields.len() => ago = true,
                    "ago" => return Err(Fault::Syntax),
                    "infinity" | "+infinity" | "-infinity" => {
                        if fields.len() != 1 {
                            return Err(Fault::Syntax);
                        }
                        return Ok(if field.starts_with('-') {
                            Interval::NEG_INFINITY
                        } else {
                            Interval::INFINITY
                        });
                    }
                    name => {
                        unit = Some(
                            Unit::of_interval(name).filter(|u| *u != Unit::Quarter).ok_or(Fault::Syntax)?,
                        );
                        expects_number = true;
                    }
                }
            }
        }
        if seen & mask != 0 {
            return Err(Fault::Syntax);
        }
        seen |= mask;
    }
    if seen == 0 || expects_number {
        return Err(Fault::Syntax);
    }
    if ago {
        parts.years = -parts.years;
        parts.months = -parts.months;
        parts.days = -parts.days;
        parts.micros = parts.micros.checked_neg().ok_or(Fault::Interval)?;
    }
    parts.finish()
}

/// What a clock time fills: hours, minutes, seconds.
const TIME_MASK: u32 = 1 << Unit::Hour as u32 | 1 << Unit::Minute as u32 | 1 << Unit::Second as u32;

/// ISO 8601: `P1Y2M3DT4H5M6S`, `P1W`, `P0001-02-03T04:05:06`.
fn decode_iso(text: &str) -> Result<Interval, Fault> {
    let mut rest = text.strip_prefix('P').ok_or(Fault::Syntax)?;
    let mut parts = Parts::default();
    let mut in_time = false;
    let mut any = false;
    while !rest.is_empty() {
        if let Some(tail) = rest.strip_prefix('T') {
            in_time = true;
            rest = tail;
            any |= rest.is_empty();
            continue;
        }
        let end = rest
            .bytes()
            .enumerate()
            .position(|(at, byte)| {
                !(byte.is_ascii_digit() || byte == b'.' || at == 0 && matches!(byte, b'-' | b'+'))
            })
            .unwrap_or(rest.len());
        let digits = &rest[..end];
        let (negative, plain) = match digits.as_bytes().first() {
            Some(b'-') => (true, &digits[1..]),
            Some(b'+') => (false, &digits[1..]),
            Some(_) => (false, digits),
            None => return Err(Fault::Syntax),
        };
        let (whole, fraction) = plain.split_once('.').unwrap_or((plain, ""));
        if !whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit()) || plain.is_empty() {
            return Err(Fault::Syntax);
        }
        let value: i64 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| Fault::Interval)? };
        let part: f64 = if fraction.is_empty() {
            0.0
        } else {
            format!("0.{fraction}").parse().map_err(|_| Fault::Syntax)?
        };
        let sign = if negative { -1 } else { 1 };
        let letter = rest[end..].bytes().next();
        let unit = match (letter, in_time) {
            (Some(b'Y'), false) => Unit::Year,
            (Some(b'M'), false) => Unit::Month,
            (Some(b'W'), false) => Unit::Week,
            (Some(b'D'), false) => Unit::Day,
            (Some(b'H'), true) => Unit::Hour,
            (Some(b'M'), true) => Unit::Minute,
            (Some(b'S'), true) => Unit::Second,
            (Some(b'-'), false) | (Some(b':'), true) | (None, _) | (Some(b'T'), false) if !any => {
                return decode_iso_alternative(rest, in_time, parts);
            }
            _ => return Err(Fault::Syntax),
        };
        parts.add(unit, sign * value, sign as f64 * part)?;
        any = true;
        rest = &rest[end + 1..];
    }
    if any { parts.finish() } else { Err(Fault::Syntax) }
}

/// `0001-02-03T04:05:06`, `00010203T040506`.
fn decode_iso_alternative(text: &str, in_time: bool, mut parts: Parts) -> Result<Interval, Fault> {
    let (date, time) = match text.split_once('T') {
        Some((date, time)) => (date, time),
        None if in_time => ("", text),
        None => (text, ""),
    };
    if !date.is_empty() {
        let fields: Vec<&str> = if date.contains('-') {
            date.split('-').collect()
        } else if date.len() == 8 {
            vec![&date[..4], &date[4..6], &date[6..]]
        } else {
            vec![date]
        };
        for (field, unit) in fields.iter().zip([Unit::Year, Unit::Month, Unit::Day]) {
            parts.add(unit, i64::from(number(field)?), 0.0)?;
        }
        if fields.len() > 3 {
            return Err(Fault::Syntax);
        }
    }
    if !time.is_empty() {
        let fields: Vec<&str> = if time.contains(':') {
            time.split(':').collect()
        } else if time.len() >= 6 && time.as_bytes()[..6].iter().all(u8::is_ascii_digit) {
            vec![&time[..2], &time[2..4], &time[4..]]
        } else {
            vec![time]
        };
        for (field, unit) in fields.iter().zip([Unit::Hour, Unit::Minute, Unit::Second]) {
            let (whole, part) = field.split_once('.').unwrap_or((field, ""));
            parts.add(unit, i64::from(number(whole)?), 0.0)?;
            parts.add_micros(i64::from(parse_fraction(part)?))?;
        }
        if fields.len() > 3 {
            return Err(Fault::Syntax);
        }
    }
    parts.finish()
}

/// Appends an `interval`'s text.
pub fn print_interval(interval: Interval, style: IntervalStyle, out: &mut Vec<u8>) {
    if !interval.is_finite() {
        let text: &[u8] = if interval == Interval::INFINITY { b"infinity" } else { b"-infinity" };
        return out.extend_from_slice(text);
    }
    let parts = Shown::new(interval);
    match style {
        IntervalStyle::Postgres => parts.postgres(out),
        IntervalStyle::PostgresVerbose => parts.verbose(out),
        IntervalStyle::SqlStandard => parts.sql_standard(out),
        IntervalStyle::Iso8601 => parts.iso(out),
    }
}

#[derive(Clone, Copy)]
struct Shown {
    years: i64,
    months: i64,
    days: i64,
    hours: i64,
    minutes: i64,
    seconds: i64,
    micros: i32,
}

impl Shown {
    fn new(interval: Interval) -> Shown {
        Shown {
            years: i64::from(interval.months / 12),
            months: i64::from(interval.months % 12),
            days: i64::from(interval.days),
            hours: interval.micros / USECS_PER_HOUR,
            minutes: interval.micros / (60 * USECS_PER_SEC) % 60,
            seconds: interval.micros / USECS_PER_SEC % 60,
            micros: (interval.micros % USECS_PER_SEC) as i32,
        }
    }

    fn seconds_text(&self, width: usize, out: &mut Vec<u8>) {
        print_padded(self.seconds.unsigned_abs(), width, out);
        fraction(self.micros, out);
    }

    fn time_is_negative(&self) -> bool {
        self.hours < 0 || self.minutes < 0 || self.seconds < 0 || self.micros < 0
    }

    fn has_time(&self) -> bool {
        self.hours != 0 || self.minutes != 0 || self.seconds != 0 || self.micros != 0
    }

    fn postgres(&self, out: &mut Vec<u8>) {
        let mut first = true;
        let mut before = false;
        for (value, name) in [(self.years, "year"), (self.months, "mon"), (self.days, "day")] {
            if value == 0 {
                continue;
            }
            if !first {
                out.push(b' ');
            }
            if before && value > 0 {
                out.push(b'+');
            }
            print_i64(value, out);
            out.push(b' ');
            out.extend_from_slice(name.as_bytes());
            if value != 1 {
                out.push(b's');
            }
            before = value < 0;
            first = false;
        }
        if first || self.has_time() {
            if !first {
                out.push(b' ');
            }
            if self.time_is_negative() {
                out.push(b'-');
            } else if before {
                out.push(b'+');
            }
            print_padded(self.hours.unsigned_abs(), 2, out);
            out.push(b':');
            print_padded(self.minutes.unsigned_abs(), 2, out);
            out.push(b':');
            self.seconds_text(2, out);
        }
    }

    fn verbose(&self, out: &mut Vec<u8>) {
        out.push(b'@');
        let mut zero = true;
        let mut ago = false;
        let fields = [
            (self.years, "year"),
            (self.months, "mon"),
            (self.days, "day"),
            (self.hours, "hour"),
            (self.minutes, "min"),
        ];
        for (value, name) in fields {
            if value == 0 {
                continue;
            }
            let shown = if zero {
                ago = value < 0;
                value.abs()
            } else if ago {
                -value
            } else {
                value
            };
            out.push(b' ');
            print_i64(shown, out);
            out.push(b' ');
            out.extend_from_slice(name.as_bytes());
            if shown != 1 {
                out.push(b's');
            }
            zero = false;
        }
        if self.seconds != 0 || self.micros != 0 {
            out.push(b' ');
            if self.seconds < 0 || self.micros < 0 {
                if zero {
                    ago = true;
                } else if !ago {
                    out.push(b'-');
                }
            } else if ago {
                out.push(b'-');
            }
            self.seconds_text(1, out);
            out.extend_from_slice(b" sec");
            if self.seconds.abs() != 1 || self.micros != 0 {
                out.push(b's');
            }
            zero = false;
        }
        if zero {
            out.extend_from_slice(b" 0");
        }
        if ago {
            out.extend_from_slice(b" ago");
        }
    }

    fn sql_standard(&self, out: &mut Vec<u8>) {
        let values = [
            self.years,
            self.months,
            self.days,
            self.hours,
            self.minutes,
            self.seconds,
            i64::from(self.micros),
        ];
        let negative = values.iter().any(|value| *value < 0);
        let positive = values.iter().any(|value| *value > 0);
        let year_month = self.years != 0 || self.months != 0;
        let day_time = self.days != 0 || self.has_time();
        let standard = !(negative && positive || year_month && day_time);
        let clock = |out: &mut Vec<u8>| {
            print_padded(self.hours.unsigned_abs(), 1, out);
            out.push(b':');
            print_padded(self.minutes.unsigned_abs(), 2, out);
            out.push(b':');
            self.seconds_text(2, out);
        };
        let year_months = |out: &mut Vec<u8>| {
            print_padded(self.years.unsigned_abs(), 1, out);
            out.push(b'-');
            print_padded(self.months.unsigned_abs(), 1, out);
        };
        let sign = |negative: bool| if negative { b'-' } else { b'+' };
        if !negative && !positive {
            out.push(b'0');
        } else if !standard {
            out.push(sign(self.years < 0 || self.months < 0));
            year_months(out);
            out.push(b' ');
            out.push(sign(self.days < 0));
            print_padded(self.days.unsigned_abs(), 1, out);
            out.push(b' ');
            out.push(sign(self.time_is_negative()));
            clock(out);
        } else {
            if negative {
                out.push(b'-');
            }
            if year_month {
                return year_months(out);
            }
            if self.days != 0 {
                print_padded(self.days.unsigned_abs(), 1, out);
                out.push(b' ');
            }
            clock(out);
        }
    }

    fn iso(&self, out: &mut Vec<u8>) {
        out.push(b'P');
        let start = out.len();
        for (value, letter) in [(self.years, b'Y'), (self.months, b'M'), (self.days, b'D')] {
            if value != 0 {
                print_i64(value, out);
                out.push(letter);
            }
        }
        if self.has_time() {
            out.push(b'T');
            for (value, letter) in [(self.hours, b'H'), (self.minutes, b'M')] {
                if value != 0 {
                    print_i64(value, out);
                    out.push(letter);
                }
            }
            if self.seconds != 0 || self.micros != 0 {
                if self.seconds < 0 || self.micros < 0 {
                    out.push(b'-');
                }
                self.seconds_text(1, out);
                out.push(b'S');
            }
        }
        if out.len() == start {
            out.extend_from_slice(b"T0S");
        }
    }
}
