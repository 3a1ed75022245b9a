//! `extract`, `date_part` and `date_trunc`.

use ochre_base::Result;

use super::arithmetic::{timestamp_to_timestamptz, timestamptz_to_timestamp};
use super::calendar::{
    Civil, JULIAN_2000, UNIX_EPOCH_DAYS, civil_from_days, day_of_year, days_from_civil,
    is_infinite_timestamp, iso_week, iso_year_start, split, time_to_civil, timestamp_from_civil,
    timestamp_to_civil, weekday,
};
use super::units::{Unit, unit_not_recognized, unit_not_supported};
use super::{TimeTz, TimeZone, USECS_PER_DAY, USECS_PER_HOUR, USECS_PER_SEC, is_infinite_date};
use crate::{Interval, Numeric};

const DATE: &str = "date";
const TIME: &str = "time without time zone";
const TIMETZ: &str = "time with time zone";
const TIMESTAMP: &str = "timestamp without time zone";
const TIMESTAMPTZ: &str = "timestamp with time zone";
const INTERVAL: &str = "interval";

fn unit_of(field: &str, type_name: &str) -> Result<Unit> {
    Unit::of_field(field).ok_or_else(|| unit_not_recognized(field, type_name))
}

fn whole(value: impl Into<i64>) -> Numeric {
    Numeric::from_i64(value.into())
}

/// A unit of `date_trunc`; fields that are no units are not known to it.
fn trunc_unit_of(field: &str, type_name: &str) -> Result<Unit> {
    match unit_of(field, type_name)? {
        Unit::Weekday | Unit::IsoWeekday | Unit::DayOfYear | Unit::IsoYear | Unit::Epoch | Unit::Julian => {
            Err(unit_not_recognized(field, type_name))
        }
        unit => Ok(unit),
    }
}

/// The fields of a clock time.
fn of_clock(unit: Unit, civil: &Civil) -> Option<Numeric> {
    let micros = i64::from(civil.second) * USECS_PER_SEC + i64::from(civil.micros);
    Some(match unit {
        Unit::Microsecond => whole(micros),
        Unit::Millisecond => Numeric::from_i128(i128::from(micros), 3),
        Unit::Second => Numeric::from_i128(i128::from(micros), 6),
        Unit::Minute => whole(civil.minute),
        Unit::Hour => whole(civil.hour),
        _ => return None,
    })
}

/// The number of a century or millennium: there is no year 0 in them.
fn period(year: i32, years: i32) -> i32 {
    if year > 0 { (year + years - 1) / years } else { -((years - 1 - (year - 1)) / years) }
}

/// The fields of a day.
fn of_day(unit: Unit, days: i64) -> Option<Numeric> {
    let (year, month, day) = civil_from_days(days);
    Some(match unit {
        Unit::Day => whole(day),
        Unit::Month => whole(month),
        Unit::Quarter => whole((month - 1) / 3 + 1),
        Unit::Week => whole(iso_week(days).1),
        // There is no year 0: 1 BC is -1.
        Unit::Year => whole(if year > 0 { year } else { year - 1 }),
        Unit::IsoYear => {
            let year = iso_week(days).0;
            whole(if year > 0 { year } else { year - 1 })
        }
        Unit::Decade => whole(year.div_euclid(10)),
        Unit::Century => whole(period(year, 100)),
        Unit::Millennium => whole(period(year, 1000)),
        Unit::Weekday => whole(weekday(days)),
        Unit::IsoWeekday => whole(if weekday(days) == 0 { 7 } else { weekday(days) }),
        Unit::DayOfYear => whole(day_of_year(year, days)),
        Unit::Julian => whole(days + JULIAN_2000),
        _ => return None,
    })
}

/// What an infinite point of time answers: infinity for what grows without bound, NULL for what comes around; `Err` for
/// units that the type has not.
fn of_infinity(unit: Unit, positive: bool) -> Option<Numeric> {
    match unit {
        Unit::Year
        | Unit::Decade
        | Unit::Century
        | Unit::Millennium
        | Unit::Julian
        | Unit::IsoYear
        | Unit::Epoch => Some(if positive { Numeric::POS_INFINITY } else { Numeric::NEG_INFINITY }),
        _ => None,
    }
}

/// `extract(field from date)`; `None` is NULL (a field an infinite value lacks).
///
/// # Errors
/// 22023 for unknown fields, 0A000 for those a date has not.
pub fn extract_date(field: &str, date: i32) -> Result<Option<Numeric>> {
    let unit = unit_of(field, DATE)?;
    if is_infinite_date(date) {
        return match unit {
            Unit::Microsecond
            | Unit::Millisecond
            | Unit::Second
            | Unit::Minute
            | Unit::Hour
            | Unit::Zone
            | Unit::ZoneHour
            | Unit::ZoneMinute => Err(unit_not_supported(field, DATE)),
            _ => Ok(of_infinity(unit, date > 0)),
        };
    }
    let days = i64::from(date);
    match unit {
        Unit::Epoch => Ok(Some(whole((days + UNIX_EPOCH_DAYS) * 86_400))),
        _ => of_day(unit, days).map(Some).ok_or_else(|| unit_not_supported(field, DATE)),
    }
}

/// `extract(field from time)`.
///
/// # Errors
/// 22023 for unknown fields, 0A000 for those a time has not.
pub fn extract_time(field: &str, time: i64) -> Result<Numeric> {
    let unit = unit_of(field, TIME)?;
    if unit == Unit::Epoch {
        return Ok(Numeric::from_i128(i128::from(time), 6));
    }
    of_clock(unit, &time_to_civil(time)).ok_or_else(|| unit_not_supported(field, TIME))
}

/// `extract(field from time with time zone)`.
///
/// # Errors
/// 22023 for unknown fields, 0A000 for those a time has not.
pub fn extract_timetz(field: &str, time: TimeTz) -> Result<Numeric> {
    let unit = unit_of(field, TIMETZ)?;
    if let Some(number) = of_zone(unit, -time.zone) {
        return Ok(number);
    }
    if unit == Unit::Epoch {
        return Ok(Numeric::from_i128(i128::from(time.micros) + i128::from(time.zone) * 1_000_000, 6));
    }
    of_clock(unit, &time_to_civil(time.micros)).ok_or_else(|| unit_not_supported(field, TIMETZ))
}

fn of_zone(unit: Unit, seconds_east: i32) -> Option<Numeric> {
    Some(match unit {
        Unit::Zone => whole(seconds_east),
        Unit::ZoneHour => whole(seconds_east / 3600),
        Unit::ZoneMinute => whole(seconds_east / 60 % 60),
        _ => return None,
    })
}

fn epoch(timestamp: i64) -> Numeric {
    let micros = i128::from(timestamp) + i128::from(UNIX_EPOCH_DAYS * USECS_PER_DAY);
    Numeric::from_i128(micros, 6)
}

/// The Julian day with its fraction.
fn julian(days: i64, micros: i64) -> Result<Numeric> {
    let fraction = Numeric::from_i64(micros).div(&Numeric::from_i64(USECS_PER_DAY))?;
    whole(days + JULIAN_2000).add(&fraction)
}

fn of_timestamp(unit: Unit, timestamp: i64) -> Result<Option<Numeric>> {
    let (days, micros) = split(timestamp);
    Ok(match unit {
        Unit::Epoch => Some(epoch(timestamp)),
        Unit::Julian => Some(julian(days, micros)?),
        _ => of_clock(unit, &time_to_civil(micros)).or_else(|| of_day(unit, days)),
    })
}

/// `extract(field from timestamp)`; `None` is NULL.
///
/// # Errors
/// 22023 for unknown fields, 0A000 for those a timestamp has not.
pub fn extract_timestamp(field: &str, timestamp: i64) -> Result<Option<Numeric>> {
    let unit = unit_of(field, TIMESTAMP)?;
    if is_infinite_timestamp(timestamp) {
        return Ok(of_infinity(unit, timestamp > 0));
    }
    if matches!(unit, Unit::Zone | Unit::ZoneHour | Unit::ZoneMinute) {
        return Err(unit_not_supported(field, TIMESTAMP));
    }
    of_timestamp(unit, timestamp)?.map(Some).ok_or_else(|| unit_not_supported(field, TIMESTAMP))
}

/// `extract(field from timestamptz)`; `None` is NULL.
///
/// # Errors
/// 22023 for unknown fields.
pub fn extract_timestamptz(field: &str, timestamp: i64, zone: &TimeZone) -> Result<Option<Numeric>> {
    let unit = unit_of(field, TIMESTAMPTZ)?;
    if is_infinite_timestamp(timestamp) {
        return Ok(of_infinity(unit, timestamp > 0));
    }
    if unit == Unit::Epoch {
        return Ok(Some(epoch(timestamp)));
    }
    if let Some(number) = of_zone(unit, zone.offset_at(timestamp)) {
        return Ok(Some(number));
    }
    let local = timestamptz_to_timestamp(timestamp, zone)?;
    of_timestamp(unit, local)?.map(Some).ok_or_else(|| unit_not_supported(field, TIMESTAMPTZ))
}

/// `extract(field from interval)`; `None` is NULL (a field an infinite interval lacks).
///
/// # Errors
/// 22023 for unknown fields, 0A000 for those an interval has not.
pub fn extract_interval(field: &str, interval: Interval) -> Result<Option<Numeric>> {
    let unit = unit_of(field, INTERVAL)?;
    let (years, months) = (interval.months / 12, interval.months % 12);
    if !interval.is_finite() {
        let positive = interval == Interval::INFINITY;
        return match unit {
            Unit::Hour | Unit::Day => {
                Ok(Some(if positive { Numeric::POS_INFINITY } else { Numeric::NEG_INFINITY }))
            }
            Unit::Microsecond
            | Unit::Millisecond
            | Unit::Second
            | Unit::Minute
            | Unit::Month
            | Unit::Week
            | Unit::Quarter => Ok(None),
            Unit::Year | Unit::Decade | Unit::Century | Unit::Millennium | Unit::Epoch => {
                Ok(of_infinity(unit, positive))
            }
            _ => Err(unit_not_supported(field, INTERVAL)),
        };
    }
    let micros = interval.micros % (60 * USECS_PER_SEC);
    Ok(Some(match unit {
        Unit::Microsecond => whole(micros),
        Unit::Millisecond => Numeric::from_i128(i128::from(micros), 3),
        Unit::Second => Numeric::from_i128(i128::from(micros), 6),
        Unit::Minute => whole(interval.micros / (60 * USECS_PER_SEC) % 60),
        Unit::Hour => whole(interval.micros / USECS_PER_HOUR),
        Unit::Day => whole(interval.days),
        Unit::Week => whole(interval.days / 7),
        Unit::Month => whole(months),
        Unit::Quarter => {
            // Quarters count from the year's end when the interval goes backwards.
            let months = i64::from(months);
            whole(if interval.months >= 0 { months / 3 + 1 } else { -((-months / 3) + 1) })
        }
        Unit::Year => whole(years),
        Unit::Decade => whole(years / 10),
        Unit::Century => whole(years / 100),
        Unit::Millennium => whole(years / 1000),
        Unit::Epoch => {
            // Years of 365.25 days, months of 30.
            let quarter_days =
                i128::from(years) * 1461 + i128::from(months) * 120 + i128::from(interval.days) * 4;
            Numeric::from_i128(quarter_days * 21_600_000_000 + i128::from(interval.micros), 6)
        }
        _ => return Err(unit_not_supported(field, INTERVAL)),
    }))
}

fn as_float(number: Option<Numeric>) -> Option<f64> {
    number.map(|number| number.to_f64_lossy())
}

/// `date_part(field, timestamp)`: as extract, in floating point.
///
/// # Errors
/// As [`extract_timestamp`].
pub fn part_timestamp(field: &str, timestamp: i64) -> Result<Option<f64>> {
    extract_timestamp(field, timestamp).map(as_float)
}

/// `date_part(field, timestamptz)`.
///
/// # Errors
/// As [`extract_timestamptz`].
pub fn part_timestamptz(field: &str, timestamp: i64, zone: &TimeZone) -> Result<Option<f64>> {
    extract_timestamptz(field, timestamp, zone).map(as_float)
}

/// `date_part(field, time)`.
///
/// # Errors
/// As [`extract_time`].
pub fn part_time(field: &str, time: i64) -> Result<f64> {
    extract_time(field, time).map(|number| number.to_f64_lossy())
}

/// `date_part(field, interval)`.
///
/// # Errors
/// As [`extract_interval`].
pub fn part_interval(field: &str, interval: Interval) -> Result<Option<f64>> {
    extract_interval(field, interval).map(as_float)
}

/// The civil fields of `civil` down to `unit`, the rest at its beginning; `None` for what is no unit of truncation.
fn truncated(unit: Unit, civil: Civil) -> Option<Civil> {
    let midnight = Civil { hour: 0, minute: 0, second: 0, micros: 0, ..civil };
    let month = Civil { day: 1, ..midnight };
    let year = Civil { month: 1, ..month };
    Some(match unit {
        Unit::Microsecond => civil,
        Unit::Millisecond => Civil { micros: civil.micros / 1000 * 1000, ..civil },
        Unit::Second => Civil { micros: 0, ..civil },
        Unit::Minute => Civil { second: 0, micros: 0, ..civil },
        Unit::Hour => Civil { minute: 0, second: 0, micros: 0, ..civil },
        Unit::Day => midnight,
        Unit::Week => {
            let days = days_from_civil(civil.year, civil.month, civil.day);
            let (iso_year, week) = iso_week(days);
            let (year, month, day) = civil_from_days(iso_year_start(iso_year) + i64::from(week - 1) * 7);
            Civil { year, month, day, ..midnight }
        }
        Unit::Month => month,
        Unit::Quarter => Civil { month: (civil.month - 1) / 3 * 3 + 1, ..month },
        Unit::Year => year,
        Unit::Decade => Civil { year: civil.year.div_euclid(10) * 10, ..year },
        // Centuries and millennia begin with year 1.
        Unit::Century => Civil { year: (civil.year - 1).div_euclid(100) * 100 + 1, ..year },
        Unit::Millennium => Civil { year: (civil.year - 1).div_euclid(1000) * 1000 + 1, ..year },
        _ => return None,
    })
}

/// `date_trunc(field, timestamp)`.
///
/// # Errors
/// 22023 for unknown fields, 0A000 for those that are no unit.
pub fn timestamp_trunc(field: &str, timestamp: i64) -> Result<i64> {
    let unit = trunc_unit_of(field, TIMESTAMP)?;
    let civil = truncated(unit, timestamp_to_civil(timestamp));
    if is_infinite_timestamp(timestamp) {
        return if civil.is_some() { Ok(timestamp) } else { Err(unit_not_supported(field, TIMESTAMP)) };
    }
    timestamp_from_civil(&civil.ok_or_else(|| unit_not_supported(field, TIMESTAMP))?)
}

/// `date_trunc(field, timestamptz)`, in the zone's local time.
///
/// # Errors
/// 22023 for unknown fields, 0A000 for those that are no unit.
pub fn timestamptz_trunc(field: &str, timestamp: i64, zone: &TimeZone) -> Result<i64> {
    let unit = trunc_unit_of(field, TIMESTAMPTZ)?;
    if is_infinite_timestamp(timestamp) {
        return if truncated(unit, Civil::default()).is_some() {
            Ok(timestamp)
        } else {
            Err(unit_not_supported(field, TIMESTAMPTZ))
        };
    }
    let local = timestamptz_to_timestamp(timestamp, zone)?;
    let civil =
        truncated(unit, timestamp_to_civil(local)).ok_or_else(|| unit_not_supported(field, TIMESTAMPTZ))?;
    let cut = timestamp_from_civil(&civil)?;
    match unit {
        // Below a day the offset stays: an hour that comes twice is cut within itself.
        Unit::Microsecond | Unit::Millisecond | Unit::Second | Unit::Minute | Unit::Hour => {
            Ok(timestamp - (local - cut))
        }
        _ => timestamp_to_timestamptz(cut, zone),
    }
}

/// `date_trunc(field, interval)`.
///
/// # Errors
/// 22023 for unknown fields, 0A000 for those that are no unit.
pub fn interval_trunc(field: &str, interval: Interval) -> Result<Interval> {
    let unit = trunc_unit_of(field, INTERVAL)?;
    let months = |unit: i32| Interval { months: interval.months / unit * unit, ..Interval::ZERO };
    let micros = |unit: i64| Interval { micros: interval.micros / unit * unit, ..interval };
    let cut = match unit {
        Unit::Microsecond => interval,
        Unit::Millisecond => micros(1000),
        Unit::Second => micros(USECS_PER_SEC),
        Unit::Minute => micros(60 * USECS_PER_SEC),
        Unit::Hour => micros(USECS_PER_HOUR),
        Unit::Day => Interval { micros: 0, ..interval },
        Unit::Month => months(1),
        Unit::Quarter => months(3),
        Unit::Year => months(12),
        Unit::Decade => months(120),
        Unit::Century => months(1200),
        Unit::Millennium => months(12_000),
        Unit::Week => {
            return Err(unit_not_supported(field, INTERVAL).detail("Months usually have fractional weeks."));
        }
        _ => return Err(unit_not_supported(field, INTERVAL)),
    };
    Ok(if interval.is_finite() { cut } else { interval })
}
