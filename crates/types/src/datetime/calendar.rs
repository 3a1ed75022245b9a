//! Days and civil dates in the proleptic Gregorian calendar; units and ranges.

use ochre_base::{Error, Result, SqlState};

use super::{
    DATE_INFINITY, DATE_NEG_INFINITY, TIMESTAMP_INFINITY, TIMESTAMP_NEG_INFINITY, USECS_PER_DAY,
    USECS_PER_SEC,
};

/// Days from 1970-01-01 to 2000-01-01.
pub(super) const UNIX_EPOCH_DAYS: i64 = 10_957;
/// The Julian day number of 2000-01-01.
pub(super) const JULIAN_2000: i64 = 2_451_545;
/// 4714-11-24 BC, the first day that is counted: Julian day 0.
const MIN_DATE: i64 = -JULIAN_2000;
/// The day after 5874897-12-31.
const END_DATE: i64 = 2_147_483_494 - JULIAN_2000;
/// The first timestamp: 4714-11-24 BC, midnight.
pub(super) const MIN_TIMESTAMP: i64 = -211_813_488_000_000_000;
/// The end of timestamps: 294277-01-01.
pub(super) const END_TIMESTAMP: i64 = 9_223_371_331_200_000_000;

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

/// Whether the year has a 29th of February.
pub fn is_leap(year: i32) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

/// Days of a month.
pub fn days_in_month(year: i32, month: i32) -> i32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 => 28 + i32::from(is_leap(year)),
        _ => 31,
    }
}

/// Days since 2000-01-01 of any civil date; months past 12 are not carried.
pub(super) fn days_from_civil(year: i32, month: i32, day: i32) -> i64 {
    // Years start in March, so that leap days come last; 400 years are one cycle of 146,097 days.
    let year = i64::from(year) - i64::from(month <= 2);
    let cycle = year.div_euclid(400);
    let of_cycle = year.rem_euclid(400);
    let shifted = i64::from((month + 9) % 12);
    let of_year = (153 * shifted + 2) / 5 + i64::from(day) - 1;
    cycle * 146_097 + of_cycle * 365 + of_cycle / 4 - of_cycle / 100 + of_year - 730_425
}

/// Year, month and day of a day since 2000-01-01.
pub(super) fn civil_from_days(days: i64) -> (i32, i32, i32) {
    let days = days + 730_425;
    let cycle = days.div_euclid(146_097);
    let of_cycle = days.rem_euclid(146_097);
    let year = (of_cycle - of_cycle / 1_460 + of_cycle / 36_524 - of_cycle / 146_096) / 365;
    let of_year = of_cycle - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    ((cycle * 400 + year + i64::from(month <= 2)) as i32, month as i32, day as i32)
}

/// Day of the week: 0 is Sunday.
pub(super) fn weekday(days: i64) -> i32 {
    // 2000-01-01 was a Saturday.
    (days + 6).rem_euclid(7) as i32
}

/// Day of the year, from 1.
pub(super) fn day_of_year(year: i32, days: i64) -> i32 {
    (days - days_from_civil(year, 1, 1)) as i32 + 1
}

/// The Monday on which an ISO year begins.
pub(super) fn iso_year_start(year: i32) -> i64 {
    // The week with January 4 is the first.
    let fourth = days_from_civil(year, 1, 4);
    fourth - i64::from((weekday(fourth) + 6) % 7)
}

/// ISO year and week of a day.
pub(super) fn iso_week(days: i64) -> (i32, i32) {
    let (year, _, _) = civil_from_days(days);
    let iso_year = if days >= iso_year_start(year + 1) {
        year + 1
    } else if days >= iso_year_start(year) {
        year
    } else {
        year - 1
    };
    (iso_year, ((days - iso_year_start(iso_year)) / 7) as i32 + 1)
}

/// Splits a timestamp into its day and the microseconds of that day.
pub(super) fn split(timestamp: i64) -> (i64, i64) {
    (timestamp.div_euclid(USECS_PER_DAY), timestamp.rem_euclid(USECS_PER_DAY))
}

/// The broken-down form of a finite timestamp.
pub fn timestamp_to_civil(timestamp: i64) -> Civil {
    let (days, micros) = split(timestamp);
    let (year, month, day) = civil_from_days(days);
    Civil { year, month, day, ..time_to_civil(micros) }
}

/// Hour to microsecond of a time of day; the date is zero.
pub(super) fn time_to_civil(micros: i64) -> Civil {
    let seconds = micros / USECS_PER_SEC;
    Civil {
        hour: (seconds / 3600) as i32,
        minute: (seconds / 60 % 60) as i32,
        second: (seconds % 60) as i32,
        micros: (micros % USECS_PER_SEC) as i32,
        ..Civil::default()
    }
}

/// Microseconds of the day of hour to microsecond.
pub(super) fn time_of_civil(civil: &Civil) -> i64 {
    ((i64::from(civil.hour) * 60 + i64::from(civil.minute)) * 60 + i64::from(civil.second)) * USECS_PER_SEC
        + i64::from(civil.micros)
}

/// A timestamp from its broken-down form.
///
/// # Errors
/// 22008 past the range.
pub(super) fn timestamp_from_civil(civil: &Civil) -> Result<i64> {
    let days = days_from_civil(civil.year, civil.month, civil.day);
    days.checked_mul(USECS_PER_DAY)
        .and_then(|micros| micros.checked_add(time_of_civil(civil)))
        .ok_or_else(timestamp_out_of_range)
        .and_then(|timestamp| check_timestamp(timestamp).map(|()| timestamp))
}

/// Refuses dates past the range; infinities pass.
///
/// # Errors
/// 22008.
pub fn check_date(date: i32) -> Result<()> {
    if date == DATE_INFINITY || date == DATE_NEG_INFINITY || (MIN_DATE..END_DATE).contains(&i64::from(date)) {
        Ok(())
    } else {
        Err(date_out_of_range())
    }
}

/// A day count as a date.
///
/// # Errors
/// 22008 past the range.
pub(super) fn date_from_days(days: i64) -> Result<i32> {
    if (MIN_DATE..END_DATE).contains(&days) { Ok(days as i32) } else { Err(date_out_of_range()) }
}

/// Refuses timestamps past the range; infinities pass.
///
/// # Errors
/// 22008.
pub fn check_timestamp(timestamp: i64) -> Result<()> {
    let infinite = timestamp == TIMESTAMP_INFINITY || timestamp == TIMESTAMP_NEG_INFINITY;
    if infinite || (MIN_TIMESTAMP..END_TIMESTAMP).contains(&timestamp) {
        Ok(())
    } else {
        Err(timestamp_out_of_range())
    }
}

/// Whether a timestamp is one of the infinities.
pub fn is_infinite_timestamp(timestamp: i64) -> bool {
    timestamp == TIMESTAMP_INFINITY || timestamp == TIMESTAMP_NEG_INFINITY
}

/// Whether a date is one of the infinities.
pub fn is_infinite_date(date: i32) -> bool {
    date == DATE_INFINITY || date == DATE_NEG_INFINITY
}

#[cold]
pub(super) fn overflow(message: impl Into<String>) -> Error {
    Error::new(SqlState::DATETIME_FIELD_OVERFLOW, message)
}

#[cold]
pub(super) fn timestamp_out_of_range() -> Error {
    overflow("timestamp out of range")
}

#[cold]
pub(super) fn date_out_of_range() -> Error {
    overflow("date out of range")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_dates_agree() {
        assert_eq!(days_from_civil(2000, 1, 1), 0);
        assert_eq!(days_from_civil(1970, 1, 1), -UNIX_EPOCH_DAYS);
        assert_eq!(days_from_civil(-4713, 11, 24), MIN_DATE);
        assert_eq!(days_from_civil(294_277, 1, 1) * 86_400_000_000, END_TIMESTAMP);
        assert_eq!(days_from_civil(5_874_898, 1, 1), END_DATE);
        let mut previous = civil_from_days(MIN_DATE);
        for days in (MIN_DATE + 1)..3_000_000 {
            let (year, month, day) = civil_from_days(days);
            assert_eq!(days_from_civil(year, month, day), days);
            let next = if previous.2 < days_in_month(previous.0, previous.1) {
                (previous.0, previous.1, previous.2 + 1)
            } else if previous.1 < 12 {
                (previous.0, previous.1 + 1, 1)
            } else {
                (previous.0 + 1, 1, 1)
            };
            assert_eq!((year, month, day), next);
            previous = next;
        }
    }
}
