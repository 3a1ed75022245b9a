//! Names of units: of intervals, `extract` and `date_trunc`.

use ochre_base::{Error, SqlState};

/// A unit of time or a field of a date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Microsecond,
    Millisecond,
    Second,
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Quarter,
    Year,
    Decade,
    Century,
    Millennium,
    Weekday,
    IsoWeekday,
    DayOfYear,
    IsoYear,
    Epoch,
    Julian,
    Zone,
    ZoneHour,
    ZoneMinute,
}

impl Unit {
    /// A unit of intervals by any of its names; names count up to ten characters.
    pub fn of_interval(name: &str) -> Option<Unit> {
        Some(match &name[..name.floor_char_boundary(10)] {
            "us" | "usec" | "usecs" | "usecond" | "useconds" | "microsecon" => Unit::Microsecond,
            "ms" | "msec" | "msecs" | "mseconds" | "msecond" | "millisecon" => Unit::Millisecond,
            "s" | "sec" | "secs" | "second" | "seconds" => Unit::Second,
            "m" | "min" | "mins" | "minute" | "minutes" => Unit::Minute,
            "h" | "hr" | "hrs" | "hour" | "hours" => Unit::Hour,
            "d" | "day" | "days" => Unit::Day,
            "w" | "week" | "weeks" => Unit::Week,
            "mon" | "mons" | "month" | "months" => Unit::Month,
            "qtr" | "quarter" => Unit::Quarter,
            "y" | "yr" | "yrs" | "year" | "years" => Unit::Year,
            "dec" | "decs" | "decade" | "decades" => Unit::Decade,
            "c" | "cent" | "century" | "centuries" => Unit::Century,
            "mil" | "mils" | "millennia" | "millennium" => Unit::Millennium,
            _ => return None,
        })
    }

    /// A field of `extract` and `date_trunc`.
    pub fn of_field(name: &str) -> Option<Unit> {
        let name = name.to_ascii_lowercase();
        Some(match name.as_str() {
            "dow" => Unit::Weekday,
            "isodow" => Unit::IsoWeekday,
            "doy" => Unit::DayOfYear,
            "isoyear" => Unit::IsoYear,
            "epoch" => Unit::Epoch,
            "julian" | "jd" | "j" => Unit::Julian,
            "timezone" => Unit::Zone,
            "timezone_hour" | "timezone_h" => Unit::ZoneHour,
            "timezone_minute" | "timezone_m" => Unit::ZoneMinute,
            other => return Unit::of_interval(other),
        })
    }
}

#[cold]
pub(super) fn unit_not_recognized(name: &str, type_name: &str) -> Error {
    Error::new(
        SqlState::INVALID_PARAMETER_VALUE,
        format!("unit \"{}\" not recognized for type {type_name}", name.to_ascii_lowercase()),
    )
}

#[cold]
pub(super) fn unit_not_supported(name: &str, type_name: &str) -> Error {
    Error::new(
        SqlState::FEATURE_NOT_SUPPORTED,
        format!("unit \"{}\" not supported for type {type_name}", name.to_ascii_lowercase()),
    )
}
