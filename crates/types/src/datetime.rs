//! Calendar and clock arithmetic on dates, times, timestamps and intervals.
//!
//! Units: a date is days since 2000-01-01 (`i32`), a time microseconds of the day, a timestamp microseconds since
//! 2000-01-01 (`i64`, UTC for `timestamptz`). `MIN` and `MAX` of the integer are `-infinity` and `infinity`.

use ochre_base::{Error, Result};

use crate::{Interval, Numeric, TimeZone};

/// Microseconds of a second.
pub const USECS_PER_SEC: i64 = 1_000_000;
/// Microseconds of an hour.
pub const USECS_PER_HOUR: i64 = 3_600 * USECS_PER_SEC;
/// Microseconds of a day.
pub const USECS_PER_DAY: i64 = 86_400 * USECS_PER_SEC;

/// `-infinity` as a date.
pub const DATE_NEG_INFINITY: i32 = i32::MIN;
/// `infinity` as a date.
pub const DATE_INFINITY: i32 = i32::MAX;
/// `-infinity` as a timestamp.
pub const TIMESTAMP_NEG_INFINITY: i64 = i64::MIN;
/// `infinity` as a timestamp.
pub const TIMESTAMP_INFINITY: i64 = i64::MAX;

/// A broken-down point of time. Years count astronomically: 0 is 1 BC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs)]
pub struct Civil {
    pub year: i32,
    /// 1 to 12.
    pub month: i32,
    /// 1 to 31.
    pub day: i32,
    pub hour: i32,
    pub minute: i32,
    pub second: i32,
    pub micros: i32,
}

/// A time of day with its zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeTz {
    /// Microseconds of the local day.
    pub micros: i64,
    /// Seconds west of Greenwich, as PostgreSQL counts.
    pub zone: i32,
}

impl TimeTz {
    /// Twelve bytes whose memcmp order is SQL's order: the form in a [`crate::Datum::Bytes`].
    pub fn to_bytes(self) -> [u8; 12] {
        let mut bytes = [0; 12];
        let utc = self.micros + i64::from(self.zone) * USECS_PER_SEC;
        bytes[..8].copy_from_slice(&((utc as u64) ^ (1 << 63)).to_be_bytes());
        bytes[8..].copy_from_slice(&((self.zone as u32) ^ (1 << 31)).to_be_bytes());
        bytes
    }

    /// The inverse of [`TimeTz::to_bytes`]; `None` for bytes of another length.
    pub fn from_bytes(bytes: &[u8]) -> Option<TimeTz> {
        let utc = (u64::from_be_bytes(bytes.get(..8)?.try_into().ok()?) ^ (1 << 63)) as i64;
        let zone = (u32::from_be_bytes(bytes.get(8..)?.try_into().ok()?) ^ (1 << 31)) as i32;
        Some(TimeTz { micros: utc.wrapping_sub(i64::from(zone) * USECS_PER_SEC), zone })
    }
}

macro_rules! signatures {
    ($($(#[$doc:meta])* fn $name:ident($($arg:ident: $ty:ty),*) -> $ret:ty;)*) => {
        $($(#[$doc])* pub fn $name($($arg: $ty),*) -> Result<$ret> {
            $(let _ = $arg;)*
            Err(Error::unsupported(stringify!($name)))
        })*
    };
}

signatures! {
    /// A date from year (astronomical), month and day; 22008 outside the calendar or range.
    fn date_from_civil(year: i32, month: i32, day: i32) -> i32;
    /// `make_date`: negative years are BC, 0 is an error.
    fn make_date(year: i32, month: i32, day: i32) -> i32;
    /// `make_time`.
    fn make_time(hour: i32, minute: i32, second: f64) -> i64;
    /// `make_timestamp`.
    fn make_timestamp(year: i32, month: i32, day: i32, hour: i32, minute: i32, second: f64) -> i64;
    /// `make_interval`.
    fn make_interval(years: i32, months: i32, weeks: i32, days: i32, hours: i32, minutes: i32, seconds: f64) -> Interval;
    /// The broken-down form of a finite timestamp.
    fn timestamp_to_civil(timestamp: i64) -> Civil;
    /// A date as a timestamp at midnight.
    fn date_to_timestamp(date: i32) -> i64;
    /// A date as midnight in a zone.
    fn date_to_timestamptz(date: i32, zone: &TimeZone) -> i64;
    /// A timestamp's date.
    fn timestamp_to_date(timestamp: i64) -> i32;
    /// A timestamptz's date in a zone.
    fn timestamptz_to_date(timestamp: i64, zone: &TimeZone) -> i32;
    /// Local time to UTC: `timestamp AT TIME ZONE zone`.
    fn timestamp_to_timestamptz(local: i64, zone: &TimeZone) -> i64;
    /// UTC to local time: `timestamptz AT TIME ZONE zone`.
    fn timestamptz_to_timestamp(timestamp: i64, zone: &TimeZone) -> i64;
    /// `timestamp + interval`.
    fn timestamp_add(timestamp: i64, interval: Interval) -> i64;
    /// `timestamptz + interval`, days and months in the zone's local time.
    fn timestamptz_add(timestamp: i64, interval: Interval, zone: &TimeZone) -> i64;
    /// `timestamp - timestamp`, also of timestamptz: days and time.
    fn timestamp_diff(a: i64, b: i64) -> Interval;
    /// `age(timestamp, timestamp)`: years to microseconds.
    fn timestamp_age(a: i64, b: i64) -> Interval;
    /// `age(timestamptz, timestamptz)`.
    fn timestamptz_age(a: i64, b: i64, zone: &TimeZone) -> Interval;
    /// `date + integer`; 22008 outside the range.
    fn date_add_days(date: i32, days: i32) -> i32;
    /// `date_trunc(field, timestamp)`.
    fn timestamp_trunc(field: &str, timestamp: i64) -> i64;
    /// `date_trunc(field, timestamptz)`.
    fn timestamptz_trunc(field: &str, timestamp: i64, zone: &TimeZone) -> i64;
    /// `date_trunc(field, interval)`.
    fn interval_trunc(field: &str, interval: Interval) -> Interval;
    /// `date_bin(stride, source, origin)`.
    fn timestamp_bin(stride: Interval, source: i64, origin: i64) -> i64;
    /// `extract(field from date)`; `None` is NULL (a field an infinite value lacks).
    fn extract_date(field: &str, date: i32) -> Option<Numeric>;
    /// `extract(field from time)`.
    fn extract_time(field: &str, time: i64) -> Numeric;
    /// `extract(field from time with time zone)`.
    fn extract_timetz(field: &str, time: TimeTz) -> Numeric;
    /// `extract(field from timestamp)`.
    fn extract_timestamp(field: &str, timestamp: i64) -> Option<Numeric>;
    /// `extract(field from timestamptz)`.
    fn extract_timestamptz(field: &str, timestamp: i64, zone: &TimeZone) -> Option<Numeric>;
    /// `extract(field from interval)`.
    fn extract_interval(field: &str, interval: Interval) -> Numeric;
    /// `date_part(field, timestamp)`: as extract, in floating point.
    fn part_timestamp(field: &str, timestamp: i64) -> Option<f64>;
    /// `date_part(field, timestamptz)`.
    fn part_timestamptz(field: &str, timestamp: i64, zone: &TimeZone) -> Option<f64>;
    /// `date_part(field, time)`.
    fn part_time(field: &str, time: i64) -> f64;
    /// `date_part(field, interval)`.
    fn part_interval(field: &str, interval: Interval) -> f64;
    /// `interval + interval`.
    fn interval_add(a: Interval, b: Interval) -> Interval;
    /// `interval - interval`.
    fn interval_sub(a: Interval, b: Interval) -> Interval;
    /// `- interval`.
    fn interval_neg(interval: Interval) -> Interval;
    /// `interval * float8`.
    fn interval_mul(interval: Interval, factor: f64) -> Interval;
    /// `interval / float8`.
    fn interval_div(interval: Interval, divisor: f64) -> Interval;
    /// `justify_hours`.
    fn justify_hours(interval: Interval) -> Interval;
    /// `justify_days`.
    fn justify_days(interval: Interval) -> Interval;
    /// `justify_interval`.
    fn justify_interval(interval: Interval) -> Interval;
    /// `time + interval`, around the clock.
    fn time_add(time: i64, interval: Interval) -> i64;
    /// A timestamp as seconds since 1970 rounded into `to_timestamp(float8)`'s range.
    fn timestamptz_from_epoch(seconds: f64) -> i64;
}

signatures! {
    /// Reads a `date`.
    fn parse_date(text: &str, context: &crate::FormatContext) -> i32;
    /// Reads a `time`.
    fn parse_time(text: &str, context: &crate::FormatContext) -> i64;
    /// Reads a `timetz`.
    fn parse_timetz(text: &str, context: &crate::FormatContext) -> TimeTz;
    /// Reads a `timestamp`.
    fn parse_timestamp(text: &str, context: &crate::FormatContext) -> i64;
    /// Reads a `timestamptz`.
    fn parse_timestamptz(text: &str, context: &crate::FormatContext) -> i64;
    /// Reads an `interval`.
    fn parse_interval(text: &str, typmod: i32, context: &crate::FormatContext) -> Interval;
    /// Refuses dates past the range.
    fn check_date(date: i32) -> ();
    /// Refuses timestamps past the range.
    fn check_timestamp(timestamp: i64) -> ();
}
/// Appends a `date`.
pub fn print_date(_: i32, _: &crate::FormatContext, _: &mut Vec<u8>) {}
/// Appends a `time`.
pub fn print_time(_: i64, _: &mut Vec<u8>) {}
/// Appends a `timetz`.
pub fn print_timetz(_: TimeTz, _: &mut Vec<u8>) {}
/// Appends a `timestamp`.
pub fn print_timestamp(_: i64, _: &crate::FormatContext, _: &mut Vec<u8>) {}
/// Appends a `timestamptz`.
pub fn print_timestamptz(_: i64, _: &crate::FormatContext, _: &mut Vec<u8>) {}
/// Appends an `interval`.
pub fn print_interval(_: Interval, _: crate::IntervalStyle, _: &mut Vec<u8>) {}
