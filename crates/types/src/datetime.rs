//! Calendar and clock: arithmetic on dates, times, timestamps and intervals, and their text forms.
//!
//! Units: a date is days since 2000-01-01 (`i32`), a time microseconds of the day, a timestamp microseconds since
//! 2000-01-01 (`i64`, UTC for `timestamptz`). `MIN` and `MAX` of the integer are `-infinity` and `infinity`.

mod abbreviations;
mod arithmetic;
mod calendar;
mod clock;
mod decode;
mod fields;
mod input;
mod interval_text;
mod print;
mod tokens;
mod units;
mod zone;

pub use arithmetic::*;
pub use calendar::{
    Civil, check_date, check_timestamp, days_in_month, is_infinite_date, is_infinite_timestamp, is_leap,
    timestamp_to_civil,
};
pub use fields::*;
pub use input::{parse_date, parse_time, parse_timestamp, parse_timestamptz, parse_timetz};
pub use interval_text::{parse_interval, print_interval};
pub use print::{print_date, print_time, print_timestamp, print_timestamptz, print_timetz};
pub use zone::{Offset, TimeZone};

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
