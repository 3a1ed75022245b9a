//! Sums and differences of dates, times, timestamps and intervals.

use ochre_base::{Error, Result, SqlState};

use super::calendar::{
    self, civil_from_days, days_from_civil, days_in_month, is_infinite_date, is_infinite_timestamp, overflow,
    time_of_civil, timestamp_out_of_range, timestamp_to_civil,
};
use super::{
    DATE_INFINITY, DATE_NEG_INFINITY, TIMESTAMP_INFINITY, TIMESTAMP_NEG_INFINITY, TimeZone, USECS_PER_DAY,
    USECS_PER_SEC,
};
use crate::Interval;
use crate::numeric::division_by_zero;

#[cold]
fn interval_out_of_range() -> Error {
    overflow("interval out of range")
}

/// A date from year (astronomical), month and day.
///
/// # Errors
/// 22008 outside the calendar or range.
pub fn date_from_civil(year: i32, month: i32, day: i32) -> Result<i32> {
    let valid = (1..=12).contains(&month) && day >= 1 && day <= days_in_month(year, month);
    if !valid {
        return Err(overflow(format!("date field value out of range: {year}-{month:02}-{day:02}")));
    }
    calendar::date_from_days(days_from_civil(year, month, day))
}

/// `make_date`: negative years are BC, 0 is an error.
///
/// # Errors
/// 22008.
pub fn make_date(year: i32, month: i32, day: i32) -> Result<i32> {
    let invalid = || overflow(format!("date field value out of range: {year}-{month:02}-{day:02}"));
    let astronomical = match year {
        0 => return Err(invalid()),
        i32::MIN => return Err(invalid()),
        1.. => year,
        _ => year + 1,
    };
    let valid = (1..=12).contains(&month) && day >= 1 && day <= days_in_month(astronomical, month);
    if !valid {
        return Err(invalid());
    }
    calendar::date_from_days(days_from_civil(astronomical, month, day))
        .map_err(|_| overflow(format!("date out of range: {astronomical}-{month:02}-{day:02}")))
}

/// `make_time`.
///
/// # Errors
/// 22008.
pub fn make_time(hour: i32, minute: i32, second: f64) -> Result<i64> {
    let micros = (second * USECS_PER_SEC as f64).round_ties_even();
    let whole = (0..=24).contains(&hour) && (0..60).contains(&minute);
    if !whole || second.is_nan() || !(0.0..=60.0 * 1e6).contains(&micros) {
        return Err(overflow(format!("time field value out of range: {hour}:{minute:02}:{second:02}")));
    }
    let total = (i64::from(hour) * 60 + i64::from(minute)) * 60 * USECS_PER_SEC + micros as i64;
    if total > USECS_PER_DAY {
        return Err(overflow(format!("time field value out of range: {hour}:{minute:02}:{second:02}")));
    }
    Ok(total)
}

/// `make_timestamp`.
///
/// # Errors
/// 22008.
pub fn make_timestamp(year: i32, month: i32, day: i32, hour: i32, minute: i32, second: f64) -> Result<i64> {
    let date = make_date(year, month, day)?;
    let time = make_time(hour, minute, second)?;
    i64::from(date)
        .checked_mul(USECS_PER_DAY)
        .and_then(|midnight| midnight.checked_add(time))
        .filter(|timestamp| calendar::check_timestamp(*timestamp).is_ok())
        .ok_or_else(|| {
            overflow(format!(
                "timestamp out of range: {year}-{month:02}-{day:02} {hour}:{minute:02}:{second:02}"
            ))
        })
}

/// `make_interval`.
///
/// # Errors
/// 22008 past the range.
pub fn make_interval(
    years: i32,
    months: i32,
    weeks: i32,
    days: i32,
    hours: i32,
    minutes: i32,
    seconds: f64,
) -> Result<Interval> {
    if !seconds.is_finite() {
        return Err(interval_out_of_range());
    }
    let months = years.checked_mul(12).and_then(|total| total.checked_add(months));
    let days = weeks.checked_mul(7).and_then(|total| total.checked_add(days));
    let micros = (seconds * USECS_PER_SEC as f64).round_ties_even();
    let clock = (i64::from(hours) * 60 + i64::from(minutes)) * 60 * USECS_PER_SEC;
    if micros.abs() >= i64::MAX as f64 {
        return Err(interval_out_of_range());
    }
    match (months, days, clock.checked_add(micros as i64)) {
        (Some(months), Some(days), Some(micros)) => finite(Interval { months, days, micros }),
        _ => Err(interval_out_of_range()),
    }
}

fn finite(interval: Interval) -> Result<Interval> {
    if interval.is_finite() { Ok(interval) } else { Err(interval_out_of_range()) }
}

/// A date as a timestamp at midnight.
///
/// # Errors
/// 22008 past the range of timestamps.
pub fn date_to_timestamp(date: i32) -> Result<i64> {
    match date {
        DATE_INFINITY => Ok(TIMESTAMP_INFINITY),
        DATE_NEG_INFINITY => Ok(TIMESTAMP_NEG_INFINITY),
        _ => {
            let timestamp = i64::from(date).checked_mul(USECS_PER_DAY);
            timestamp
                .filter(|timestamp| *timestamp < calendar::END_TIMESTAMP)
                .ok_or_else(|| overflow("date out of range for timestamp"))
        }
    }
}

/// A date as midnight in a zone.
///
/// # Errors
/// 22008 past the range of timestamps.
pub fn date_to_timestamptz(date: i32, zone: &TimeZone) -> Result<i64> {
    let local = date_to_timestamp(date)?;
    timestamp_to_timestamptz(local, zone).map_err(|_| overflow("date out of range for timestamp"))
}

/// A timestamp's date.
///
/// # Errors
/// None for timestamps within their range.
pub fn timestamp_to_date(timestamp: i64) -> Result<i32> {
    match timestamp {
        TIMESTAMP_INFINITY => Ok(DATE_INFINITY),
        TIMESTAMP_NEG_INFINITY => Ok(DATE_NEG_INFINITY),
        _ => calendar::date_from_days(timestamp.div_euclid(USECS_PER_DAY)),
    }
}

/// A timestamptz's date in a zone.
///
/// # Errors
/// 22008 past the range.
pub fn timestamptz_to_date(timestamp: i64, zone: &TimeZone) -> Result<i32> {
    timestamptz_to_timestamp(timestamp, zone).and_then(timestamp_to_date)
}

/// Local time to UTC: `timestamp AT TIME ZONE zone`.
///
/// # Errors
/// 22008 past the range.
pub fn timestamp_to_timestamptz(local: i64, zone: &TimeZone) -> Result<i64> {
    if is_infinite_timestamp(local) {
        return Ok(local);
    }
    let moment = local
        .checked_sub(i64::from(zone.offset_at_local(local)) * USECS_PER_SEC)
        .ok_or_else(timestamp_out_of_range)?;
    calendar::check_timestamp(moment).map(|()| moment)
}

/// UTC to local time: `timestamptz AT TIME ZONE zone`.
///
/// # Errors
/// 22008 past the range.
pub fn timestamptz_to_timestamp(timestamp: i64, zone: &TimeZone) -> Result<i64> {
    if is_infinite_timestamp(timestamp) {
        return Ok(timestamp);
    }
    let local = timestamp
        .checked_add(i64::from(zone.offset_at(timestamp)) * USECS_PER_SEC)
        .ok_or_else(timestamp_out_of_range)?;
    calendar::check_timestamp(local).map(|()| local)
}

/// A finite point plus an infinite interval, an infinite point plus anything; `None` when both are finite.
fn infinite_sum(timestamp: i64, interval: Interval) -> Option<Result<i64>> {
    let sign = |positive: bool| if positive { TIMESTAMP_INFINITY } else { TIMESTAMP_NEG_INFINITY };
    match (is_infinite_timestamp(timestamp), interval.is_finite()) {
        (false, true) => None,
        (true, true) => Some(Ok(timestamp)),
        (false, false) => Some(Ok(sign(interval == Interval::INFINITY))),
        (true, false) => {
            let same = (timestamp > 0) == (interval == Interval::INFINITY);
            Some(if same { Ok(timestamp) } else { Err(timestamp_out_of_range()) })
        }
    }
}

/// Adds months, keeping to the month's last day, then days.
fn add_calendar(timestamp: i64, interval: Interval) -> Result<i64> {
    let mut result = timestamp;
    if interval.months != 0 {
        let mut civil = timestamp_to_civil(result);
        let months = i64::from(civil.year) * 12 + i64::from(civil.month) - 1 + i64::from(interval.months);
        civil.year = i32::try_from(months.div_euclid(12)).map_err(|_| timestamp_out_of_range())?;
        civil.month = months.rem_euclid(12) as i32 + 1;
        civil.day = civil.day.min(days_in_month(civil.year, civil.month));
        result = calendar::timestamp_from_civil(&civil)?;
    }
    if interval.days != 0 {
        result = i64::from(interval.days)
            .checked_mul(USECS_PER_DAY)
            .and_then(|micros| result.checked_add(micros))
            .ok_or_else(timestamp_out_of_range)?;
        calendar::check_timestamp(result)?;
    }
    Ok(result)
}

fn add_micros(timestamp: i64, micros: i64) -> Result<i64> {
    let sum = timestamp.checked_add(micros).ok_or_else(timestamp_out_of_range)?;
    if is_infinite_timestamp(sum) {
        return Err(timestamp_out_of_range());
    }
    calendar::check_timestamp(sum).map(|()| sum)
}

/// `timestamp + interval`.
///
/// # Errors
/// 22008 past the range.
pub fn timestamp_add(timestamp: i64, interval: Interval) -> Result<i64> {
    if let Some(sum) = infinite_sum(timestamp, interval) {
        return sum;
    }
    add_micros(add_calendar(timestamp, interval)?, interval.micros)
}

/// `timestamptz + interval`, days and months in the zone's local time.
///
/// # Errors
/// 22008 past the range.
pub fn timestamptz_add(timestamp: i64, interval: Interval, zone: &TimeZone) -> Result<i64> {
    if let Some(sum) = infinite_sum(timestamp, interval) {
        return sum;
    }
    let mut result = timestamp;
    for step in [Interval { days: 0, micros: 0, ..interval }, Interval { months: 0, micros: 0, ..interval }] {
        if step != Interval::ZERO {
            let local = timestamptz_to_timestamp(result, zone)?;
            result = timestamp_to_timestamptz(add_calendar(local, step)?, zone)?;
        }
    }
    add_micros(result, interval.micros)
}

/// `timestamp - timestamp`, also of timestamptz: days and time.
///
/// # Errors
/// 22008 past the range of intervals.
pub fn timestamp_diff(a: i64, b: i64) -> Result<Interval> {
    match (is_infinite_timestamp(a), is_infinite_timestamp(b)) {
        (false, false) => justify_hours(Interval {
            micros: a.checked_sub(b).ok_or_else(interval_out_of_range)?,
            ..Interval::ZERO
        }),
        (true, true) if a == b => Err(interval_out_of_range()),
        (true, _) => Ok(if a > 0 { Interval::INFINITY } else { Interval::NEG_INFINITY }),
        (false, true) => Ok(if b > 0 { Interval::NEG_INFINITY } else { Interval::INFINITY }),
    }
}

/// `age(timestamp, timestamp)`: years to microseconds.
///
/// # Errors
/// 22008 past the range of intervals.
pub fn timestamp_age(a: i64, b: i64) -> Result<Interval> {
    if is_infinite_timestamp(a) || is_infinite_timestamp(b) {
        return timestamp_diff(a, b);
    }
    let (later, earlier) = if a < b { (b, a) } else { (a, b) };
    let (x, y) = (timestamp_to_civil(later), timestamp_to_civil(earlier));
    let mut micros = time_of_civil(&x) - time_of_civil(&y);
    let mut days = x.day - y.day;
    let mut months = (x.year - y.year) * 12 + x.month - y.month;
    if micros < 0 {
        micros += USECS_PER_DAY;
        days -= 1;
    }
    while days < 0 {
        // Days are borrowed from the month that the earlier date lies in.
        days += days_in_month(y.year, y.month);
        months -= 1;
    }
    let age = Interval { months, days, micros };
    if a < b { interval_neg(age) } else { Ok(age) }
}

/// `age(timestamptz, timestamptz)`, in the zone's local time.
///
/// # Errors
/// 22008 past the range.
pub fn timestamptz_age(a: i64, b: i64, zone: &TimeZone) -> Result<Interval> {
    timestamp_age(timestamptz_to_timestamp(a, zone)?, timestamptz_to_timestamp(b, zone)?)
}

/// `date + integer`.
///
/// # Errors
/// 22008 past the range.
pub fn date_add_days(date: i32, days: i32) -> Result<i32> {
    if is_infinite_date(date) {
        return Ok(date);
    }
    calendar::date_from_days(i64::from(date) + i64::from(days))
}

/// `date - date`: days.
///
/// # Errors
/// 22008 for infinities.
pub fn date_diff(a: i32, b: i32) -> Result<i32> {
    if is_infinite_date(a) || is_infinite_date(b) {
        return Err(overflow("cannot subtract infinite dates"));
    }
    Ok(a - b)
}

/// `time + interval`, around the clock.
///
/// # Errors
/// 22008 for infinite intervals.
pub fn time_add(time: i64, interval: Interval) -> Result<i64> {
    if !interval.is_finite() {
        return Err(overflow("cannot add infinite interval to time"));
    }
    Ok((time + interval.micros.rem_euclid(USECS_PER_DAY)).rem_euclid(USECS_PER_DAY))
}

/// `time - interval`, around the clock.
///
/// # Errors
/// 22008 for infinite intervals.
pub fn time_sub(time: i64, interval: Interval) -> Result<i64> {
    if !interval.is_finite() {
        return Err(overflow("cannot subtract infinite interval from time"));
    }
    Ok((time - interval.micros.rem_euclid(USECS_PER_DAY)).rem_euclid(USECS_PER_DAY))
}

/// `to_timestamp(float8)`: seconds since 1970.
///
/// # Errors
/// 22008 past the range, 22P03 never.
pub fn timestamptz_from_epoch(seconds: f64) -> Result<i64> {
    if seconds.is_nan() {
        return Err(overflow("timestamp cannot be NaN"));
    }
    if seconds.is_infinite() {
        return Ok(if seconds > 0.0 { TIMESTAMP_INFINITY } else { TIMESTAMP_NEG_INFINITY });
    }
    let out = || {
        let mut text = Vec::new();
        // As C prints %g.
        crate::print_f64(seconds, -9, &mut text);
        overflow(format!("timestamp out of range: \"{}\"", String::from_utf8_lossy(&text)))
    };
    let since_2000 = seconds - (calendar::UNIX_EPOCH_DAYS * 86_400) as f64;
    let micros = (since_2000 * USECS_PER_SEC as f64).round_ties_even();
    if micros < calendar::MIN_TIMESTAMP as f64 || micros >= calendar::END_TIMESTAMP as f64 {
        return Err(out());
    }
    Ok(micros as i64)
}

fn combine(
    a: Interval,
    b: Interval,
    small: impl Fn(i32, i32) -> Option<i32>,
    large: impl Fn(i64, i64) -> Option<i64>,
) -> Result<Interval> {
    match (small(a.months, b.months), small(a.days, b.days), large(a.micros, b.micros)) {
        (Some(months), Some(days), Some(micros)) => finite(Interval { months, days, micros }),
        _ => Err(interval_out_of_range()),
    }
}

/// `interval + interval`.
///
/// # Errors
/// 22008 past the range.
pub fn interval_add(a: Interval, b: Interval) -> Result<Interval> {
    match (a.is_finite(), b.is_finite()) {
        (true, true) => combine(a, b, i32::checked_add, i64::checked_add),
        (false, false) if a != b => Err(interval_out_of_range()),
        (false, _) => Ok(a),
        (true, false) => Ok(b),
    }
}

/// `interval - interval`.
///
/// # Errors
/// 22008 past the range.
pub fn interval_sub(a: Interval, b: Interval) -> Result<Interval> {
    match (a.is_finite(), b.is_finite()) {
        (true, true) => combine(a, b, i32::checked_sub, i64::checked_sub),
        (false, false) if a == b => Err(interval_out_of_range()),
        (false, _) => Ok(a),
        (true, false) => interval_neg(b),
    }
}

/// `- interval`.
///
/// # Errors
/// 22008 past the range.
pub fn interval_neg(interval: Interval) -> Result<Interval> {
    match interval {
        Interval::INFINITY => Ok(Interval::NEG_INFINITY),
        Interval::NEG_INFINITY => Ok(Interval::INFINITY),
        finite => interval_sub(Interval::ZERO, finite),
    }
}

/// Rounds to microseconds, as what is left of a product's days and seconds needs.
fn settle(value: f64) -> f64 {
    (value * 1e6).round_ties_even() / 1e6
}

/// Applies a factor to each part, handing fractions of months down to days and of days to time.
fn scale(interval: Interval, apply: impl Fn(f64) -> f64) -> Result<Interval> {
    const SECONDS_PER_DAY: f64 = 86_400.0;
    let whole = |value: f64| {
        if value.is_nan() || value > f64::from(i32::MAX) || value < f64::from(i32::MIN) {
            Err(interval_out_of_range())
        } else {
            Ok(value as i32)
        }
    };
    let exact_months = apply(f64::from(interval.months));
    let months = whole(exact_months)?;
    let exact_days = apply(f64::from(interval.days));
    let mut days = whole(exact_days)?;
    let month_days = settle((exact_months - f64::from(months)) * 30.0);
    let mut seconds =
        settle((exact_days - f64::from(days) + month_days - month_days.trunc()) * SECONDS_PER_DAY);
    if seconds.abs() >= SECONDS_PER_DAY {
        let more = (seconds / SECONDS_PER_DAY).trunc();
        days = days.checked_add(more as i32).ok_or_else(interval_out_of_range)?;
        seconds -= more * SECONDS_PER_DAY;
    }
    days = days.checked_add(month_days as i32).ok_or_else(interval_out_of_range)?;
    let micros = (apply(interval.micros as f64) + seconds * USECS_PER_SEC as f64).round_ties_even();
    if micros.is_nan() || !(i64::MIN as f64..i64::MAX as f64).contains(&micros) {
        return Err(interval_out_of_range());
    }
    finite(Interval { months, days, micros: micros as i64 })
}

fn scale_infinite(interval: Interval, sign: f64) -> Result<Interval> {
    if sign == 0.0 || sign.is_nan() {
        return Err(interval_out_of_range());
    }
    if sign > 0.0 { Ok(interval) } else { interval_neg(interval) }
}

/// `interval * float8`.
///
/// # Errors
/// 22008 past the range.
pub fn interval_mul(interval: Interval, factor: f64) -> Result<Interval> {
    if factor.is_nan() {
        return Err(interval_out_of_range());
    }
    if !interval.is_finite() {
        return scale_infinite(interval, factor);
    }
    if factor.is_infinite() {
        let sign = interval.comparison_value().signum() as f64;
        return scale_infinite(Interval::INFINITY, sign * factor.signum());
    }
    scale(interval, |value| value * factor)
}

/// `interval / float8`.
///
/// # Errors
/// 22012 for zero, 22008 past the range.
pub fn interval_div(interval: Interval, divisor: f64) -> Result<Interval> {
    if divisor == 0.0 {
        return Err(division_by_zero());
    }
    if divisor.is_nan() {
        return Err(interval_out_of_range());
    }
    if !interval.is_finite() {
        return if divisor.is_infinite() {
            Err(interval_out_of_range())
        } else {
            scale_infinite(interval, divisor)
        };
    }
    scale(interval, |value| value / divisor)
}

/// `justify_hours`: 24 hours become a day.
///
/// # Errors
/// 22008 past the range.
pub fn justify_hours(interval: Interval) -> Result<Interval> {
    if !interval.is_finite() {
        return Ok(interval);
    }
    let whole = interval.micros / USECS_PER_DAY;
    let mut result = interval;
    result.micros -= whole * USECS_PER_DAY;
    result.days = i32::try_from(i64::from(interval.days) + whole).map_err(|_| interval_out_of_range())?;
    if result.days > 0 && result.micros < 0 {
        result.micros += USECS_PER_DAY;
        result.days -= 1;
    } else if result.days < 0 && result.micros > 0 {
        result.micros -= USECS_PER_DAY;
        result.days += 1;
    }
    Ok(result)
}

/// `justify_days`: 30 days become a month.
///
/// # Errors
/// 22008 past the range.
pub fn justify_days(interval: Interval) -> Result<Interval> {
    if !interval.is_finite() {
        return Ok(interval);
    }
    let mut result = interval;
    result.months = interval.months.checked_add(interval.days / 30).ok_or_else(interval_out_of_range)?;
    result.days = interval.days % 30;
    if result.months > 0 && result.days < 0 {
        result.days += 30;
        result.months -= 1;
    } else if result.months < 0 && result.days > 0 {
        result.days -= 30;
        result.months += 1;
    }
    Ok(result)
}

/// `justify_interval`: both, and all parts of one sign.
///
/// # Errors
/// 22008 past the range.
pub fn justify_interval(interval: Interval) -> Result<Interval> {
    if !interval.is_finite() {
        return Ok(interval);
    }
    let total_days = i64::from(interval.days) + interval.micros / USECS_PER_DAY;
    let mut micros = interval.micros % USECS_PER_DAY;
    let mut months = i64::from(interval.months) + total_days / 30;
    let mut days = total_days % 30;
    if months > 0 && (days < 0 || days == 0 && micros < 0) {
        days += 30;
        months -= 1;
    } else if months < 0 && (days > 0 || days == 0 && micros > 0) {
        days -= 30;
        months += 1;
    }
    if days > 0 && micros < 0 {
        micros += USECS_PER_DAY;
        days -= 1;
    } else if days < 0 && micros > 0 {
        micros -= USECS_PER_DAY;
        days += 1;
    }
    let months = i32::try_from(months).map_err(|_| interval_out_of_range())?;
    Ok(Interval { months, days: days as i32, micros })
}

/// `date_bin(stride, source, origin)`.
///
/// # Errors
/// 22008, 0A000.
pub fn timestamp_bin(stride: Interval, source: i64, origin: i64) -> Result<i64> {
    if is_infinite_timestamp(source) {
        return Ok(source);
    }
    if is_infinite_timestamp(origin) {
        return Err(overflow("origin out of range"));
    }
    if !stride.is_finite() {
        return Err(overflow("timestamps cannot be binned into infinite intervals"));
    }
    if stride.months != 0 {
        return Err(Error::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            "timestamps cannot be binned into intervals containing months or years",
        ));
    }
    let micros = i64::from(stride.days)
        .checked_mul(USECS_PER_DAY)
        .and_then(|days| days.checked_add(stride.micros))
        .ok_or_else(interval_out_of_range)?;
    if micros <= 0 {
        return Err(overflow("stride must be greater than zero"));
    }
    let distance = source.checked_sub(origin).ok_or_else(interval_out_of_range)?;
    add_micros(origin, distance - distance.rem_euclid(micros))
}

/// The civil date of a date, for callers that print or take it apart.
pub fn date_to_civil(date: i32) -> (i32, i32, i32) {
    civil_from_days(i64::from(date))
}
