//! `to_date` and `to_timestamp`.

use ochre_base::{Error, Result, SqlState};
use ochre_types::datetime::{self as dt, USECS_PER_DAY, USECS_PER_SEC};
use ochre_types::{Pace, TimeZone};

use super::template::{DAYS, Field, Key, MONTHS, NODE_BYTES, Node, ROMAN_MONTHS, in_case, parse};

/// What a text has said, field by field.
#[derive(Default)]
struct Fields {
    year: Option<i64>,
    iso_year: Option<i64>,
    century: Option<i64>,
    bc: bool,
    month: Option<i64>,
    day: Option<i64>,
    day_of_year: Option<i64>,
    week: Option<i64>,
    week_of_month: Option<i64>,
    iso_week: Option<i64>,
    iso_day: Option<i64>,
    iso_day_of_year: Option<i64>,
    day_of_week: Option<i64>,
    julian: Option<i64>,
    hour: i64,
    twelve_hours: bool,
    pm: Option<bool>,
    minute: i64,
    second: i64,
    micros: i64,
    seconds_of_day: Option<i64>,
    /// Seconds east of Greenwich.
    offset: Option<i64>,
    zone: Option<TimeZone>,
}

pub(super) fn to_date(text: &str, template: &str, pace: &mut Pace<'_>) -> Result<i32> {
    Ok(read(text, template, pace)?.date()? as i32)
}

pub(super) fn to_timestamp(text: &str, template: &str, zone: &TimeZone, pace: &mut Pace<'_>) -> Result<i64> {
    let fields = read(text, template, pace)?;
    let local = fields.date()? * USECS_PER_DAY + fields.time()?;
    dt::check_timestamp(local)?;
    match fields.offset {
        Some(offset) => Ok(local - offset * USECS_PER_SEC),
        None => dt::timestamp_to_timestamptz(local, fields.zone.as_ref().unwrap_or(zone)),
    }
}

fn bad_value(text: &str, key: &str) -> Error {
    Error::new(SqlState::INVALID_DATETIME_FORMAT, format!("invalid value \"{text}\" for \"{key}\""))
}

fn out_of_range(text: &str) -> Error {
    Error::new(SqlState::DATETIME_FIELD_OVERFLOW, format!("date/time field value out of range: \"{text}\""))
}

fn read(text: &str, template: &str, pace: &mut Pace<'_>) -> Result<Fields> {
    let nodes = parse(template, pace)?;
    let exact = starts_with_ignoring_case(template, "FX");
    let mut fields = Fields::default();
    let mut rest = text;
    for (i, node) in nodes.iter().enumerate() {
        if rest.is_empty() {
            break;
        }
        pace.advance(NODE_BYTES)?;
        match node {
            Node::Literal { c, quoted } => rest = skip_literal(rest, *c, *quoted, exact),
            Node::Field(field) => {
                if !exact {
                    rest = rest.trim_start();
                }
                let next_is_digit = matches!(
                    nodes.get(i + 1),
                    Some(Node::Field(next)) if next.key.is_numeric()
                ) || matches!(nodes.get(i + 1), Some(Node::Literal { c, .. }) if c.is_ascii_digit());
                rest = fields.read_field(*field, rest, next_is_digit, text)?;
                if field.ordinal.is_some() && rest.len() >= 2 && rest.is_char_boundary(2) {
                    rest = &rest[2..];
                }
            }
        }
    }
    fields.check(text)?;
    Ok(fields)
}

/// A separator of the template takes any separator or blank of the text, another character takes one character.
fn skip_literal(rest: &str, c: char, quoted: bool, exact: bool) -> &str {
    let first = rest.chars().next().unwrap_or(' ');
    let is_separator = |c: char| c.is_ascii_punctuation() || c.is_ascii_whitespace();
    if exact || quoted || !is_separator(c) {
        return &rest[first.len_utf8()..];
    }
    let trimmed = rest.trim_start();
    match trimmed.chars().next() {
        Some(first) if is_separator(first) && !(matches!(first, '-' | '+') && c.is_ascii_whitespace()) => {
            &trimmed[1..]
        }
        _ => trimmed,
    }
}

impl Fields {
    fn read_field<'a>(
        &mut self,
        field: Field,
        rest: &'a str,
        next_is_digit: bool,
        whole: &str,
    ) -> Result<&'a str> {
        // Without FM and with another number right behind, a number has a fixed width.
        let limit = |width: usize| if next_is_digit { width } else { usize::MAX };
        let mut rest = rest;
        match field.key {
            Key::Year(4) => self.year = Some(take(&mut rest, limit(4), "YYYY")?),
            Key::Year(digits) => {
                let before = rest.len();
                let value = take(
                    &mut rest,
                    limit(digits.into()).min(if next_is_digit { digits.into() } else { 4 }),
                    "YY",
                )?;
                let read = before - rest.len();
                self.year = Some(if read < 4 { nearest_year(value, digits) } else { value });
            }
            Key::YearWithComma => {
                let thousands = take(&mut rest, usize::MAX, "Y,YYY")?;
                rest = rest.strip_prefix(',').unwrap_or(rest);
                let (units, after) = integer(rest, 3, "Y,YYY")?;
                rest = after;
                self.year = Some(thousands * 1000 + units);
            }
            Key::IsoYear(4) => self.iso_year = Some(take(&mut rest, limit(4), "IYYY")?),
            Key::IsoYear(digits) => {
                self.iso_year = Some(nearest_year(take(&mut rest, digits.into(), "IY")?, digits))
            }
            Key::Century => self.century = Some(take(&mut rest, limit(2), "CC")?),
            Key::MonthNumber => self.month = Some(take(&mut rest, 2, "MM")?),
            Key::DayOfMonth => self.day = Some(take(&mut rest, 2, "DD")?),
            Key::DayOfYear => self.day_of_year = Some(take(&mut rest, 3, "DDD")?),
            Key::IsoDayOfYear => self.iso_day_of_year = Some(take(&mut rest, 3, "IDDD")?),
            Key::WeekOfYear => self.week = Some(take(&mut rest, 2, "WW")?),
            Key::WeekOfMonth => self.week_of_month = Some(take(&mut rest, 1, "W")?),
            Key::IsoWeek => self.iso_week = Some(take(&mut rest, 2, "IW")?),
            Key::DayOfWeek => self.day_of_week = Some(take(&mut rest, 1, "D")?),
            Key::IsoDayOfWeek => self.iso_day = Some(take(&mut rest, 1, "ID")?),
            Key::Julian => self.julian = Some(take(&mut rest, usize::MAX, "J")?),
            Key::Quarter => {
                take(&mut rest, 1, "Q")?;
            }
            Key::Hour24 => {
                self.hour = take(&mut rest, 2, "HH24")?;
                if !(0..=24).contains(&self.hour) {
                    return Err(out_of_range(whole));
                }
            }
            Key::Hour12 => {
                self.hour = take(&mut rest, 2, "HH12")?;
                self.twelve_hours = true;
            }
            Key::Minute => self.minute = take(&mut rest, 2, "MI")?,
            Key::Second => self.second = take(&mut rest, 2, "SS")?,
            Key::SecondsOfDay => self.seconds_of_day = Some(take(&mut rest, 5, "SSSS")?),
            Key::Millisecond => {
                let before = rest.len();
                let value = take(&mut rest, 3, "MS")?;
                let read = (before - rest.len()).clamp(1, 3);
                self.micros += value * 10i64.pow(3 - read as u32) * 1000;
            }
            Key::Microsecond | Key::Fraction(_) => {
                let width = if let Key::Fraction(digits) = field.key { digits } else { 6 };
                let before = rest.len();
                let value = take(&mut rest, width.into(), "US")?;
                let read = (before - rest.len()).clamp(1, 6);
                self.micros += value * 10i64.pow(6 - read as u32);
            }
            Key::MonthName(case) | Key::MonthAbbreviation(case) => {
                let full = matches!(field.key, Key::MonthName(_));
                let (index, after) = word(rest, &MONTHS, full).ok_or_else(|| {
                    bad_value(first_word(rest), &in_case(if full { "Month" } else { "Mon" }, case))
                })?;
                self.month = Some(index as i64 + 1);
                rest = after;
            }
            Key::DayName(case) | Key::DayAbbreviation(case) => {
                let full = matches!(field.key, Key::DayName(_));
                let (index, after) = word(rest, &DAYS, full).ok_or_else(|| {
                    bad_value(first_word(rest), &in_case(if full { "Day" } else { "Dy" }, case))
                })?;
                self.day_of_week = Some(index as i64 + 1);
                rest = after;
            }
            Key::Roman { .. } => {
                let matching = ROMAN_MONTHS
                    .iter()
                    .enumerate()
                    .filter(|(_, name)| starts_with_ignoring_case(rest, name))
                    .max_by_key(|(_, name)| name.len());
                let (index, name) = matching.ok_or_else(|| bad_value(first_word(rest), "RM"))?;
                self.month = Some(index as i64 + 1);
                rest = &rest[name.len()..];
            }
            Key::Meridiem { .. } => {
                let found = [("a.m.", false), ("p.m.", true), ("am", false), ("pm", true)]
                    .into_iter()
                    .find(|(name, _)| starts_with_ignoring_case(rest, name));
                let (name, pm) = found.ok_or_else(|| bad_value(first_word(rest), "AM"))?;
                self.pm = Some(pm);
                self.twelve_hours = true;
                rest = &rest[name.len()..];
            }
            Key::Era { .. } => {
                let found = [("b.c.", true), ("a.d.", false), ("bc", true), ("ad", false)]
                    .into_iter()
                    .find(|(name, _)| starts_with_ignoring_case(rest, name));
                let (name, bc) = found.ok_or_else(|| bad_value(first_word(rest), "BC"))?;
                self.bc = bc;
                rest = &rest[name.len()..];
            }
            Key::ZoneHours | Key::ZoneOffset => {
                let negative = rest.starts_with('-');
                rest = rest.trim_start_matches(['-', '+', ' ']);
                let (hours, after) = integer(rest, 2, "TZH")?;
                rest = after;
                let mut seconds = hours * 3600;
                if field.key == Key::ZoneOffset
                    && let Some(after) = rest.strip_prefix(':')
                {
                    let (minutes, after) = integer(after, 2, "OF")?;
                    seconds += minutes * 60;
                    rest = after;
                }
                self.offset = Some(if negative { -seconds } else { seconds });
            }
            Key::ZoneMinutes => {
                let minutes = take(&mut rest, 2, "TZM")?;
                let offset = self.offset.unwrap_or(0);
                self.offset = Some(offset + if offset < 0 { -minutes * 60 } else { minutes * 60 });
            }
            Key::Zone { .. } => {
                let name: String = rest.chars().take_while(|c| c.is_ascii_alphanumeric()).collect();
                let (east, _) = TimeZone::abbreviation(&name).ok_or_else(|| bad_value(rest, "TZ"))?;
                self.offset = Some(east.into());
                rest = &rest[name.len()..];
            }
        }
        Ok(rest)
    }

    fn check(&self, text: &str) -> Result<()> {
        let gregorian = self.month.is_some() || self.day.is_some() || self.day_of_year.is_some();
        let iso = self.iso_year.is_some() || self.iso_week.is_some() || self.iso_day_of_year.is_some();
        if gregorian && iso {
            return Err(Error::new(
                SqlState::INVALID_DATETIME_FORMAT,
                "invalid combination of date conventions",
            )
            .hint("Do not mix Gregorian and ISO week date conventions in a formatting template."));
        }
        if !(0..60).contains(&self.minute) || !(0..=60).contains(&self.second) {
            return Err(out_of_range(text));
        }
        if self.month.is_some_and(|month| !(1..=12).contains(&month))
            || self.day.is_some_and(|day| !(1..=31).contains(&day))
            || self.day_of_year.is_some_and(|day| !(1..=366).contains(&day))
        {
            return Err(out_of_range(text));
        }
        if self.month.is_some() || self.day.is_some() {
            let year = self.astronomical_year();
            let (month, day) = (self.month.unwrap_or(1), self.day.unwrap_or(1));
            if day > i64::from(dt::days_in_month(year as i32, month as i32)) {
                return Err(out_of_range(text));
            }
        }
        if self.twelve_hours && !(1..=12).contains(&self.hour) {
            return Err(Error::new(
                SqlState::INVALID_DATETIME_FORMAT,
                format!("hour \"{}\" is invalid for the 12-hour clock", self.hour),
            )
            .hint("Use the 24-hour clock, or give an hour between 1 and 12."));
        }
        Ok(())
    }

    /// The year counted astronomically; 1 BC, what a text without year means, is 0.
    fn astronomical_year(&self) -> i64 {
        match (self.year, self.century) {
            (Some(year), Some(century)) if year < 100 => (century - 1) * 100 + year,
            (Some(year), _) if self.bc => 1 - year,
            (Some(year), _) if year < 0 => year + 1,
            (Some(year), _) => year,
            (None, Some(century)) => (century - 1) * 100 + 1,
            (None, None) => 0,
        }
    }

    /// Days since 2000-01-01.
    fn date(&self) -> Result<i64> {
        if let Some(julian) = self.julian {
            return Ok(julian - 2_451_545);
        }
        if let Some(year) = self.iso_year {
            // The week that holds the 4th of January is the first.
            let fourth = i64::from(dt::date_from_civil(year as i32, 1, 4)?);
            let monday = fourth - (fourth + 5).rem_euclid(7);
            if let Some(day) = self.iso_day_of_year {
                return Ok(monday + day - 1);
            }
            let day = self.iso_day.or(self.day_of_week.map(|day| (day + 5) % 7 + 1)).unwrap_or(1);
            return Ok(monday + (self.iso_week.unwrap_or(1) - 1) * 7 + day - 1);
        }
        let year = self.astronomical_year() as i32;
        if let Some(day) = self.day_of_year.filter(|_| self.month.is_none()) {
            return Ok(i64::from(dt::date_from_civil(year, 1, 1)?) + day - 1);
        }
        if let Some(week) = self.week {
            return Ok(i64::from(dt::date_from_civil(year, 1, 1)?) + (week - 1) * 7);
        }
        let month = self.month.unwrap_or(1) as i32;
        let day = self.day.or(self.week_of_month.map(|week| (week - 1) * 7 + 1)).unwrap_or(1);
        let date = i64::from(dt::date_from_civil(year, month, day as i32)?);
        dt::check_date(date as i32)?;
        Ok(date)
    }

    /// Microseconds of the day.
    fn time(&self) -> Result<i64> {
        let mut hour = self.hour;
        if self.twelve_hours {
            hour %= 12;
            if self.pm == Some(true) {
                hour += 12;
            }
        }
        let seconds = self.seconds_of_day.unwrap_or(hour * 3600 + self.minute * 60 + self.second);
        Ok(seconds * USECS_PER_SEC + self.micros)
    }
}

/// Reads a number off the front of `rest`.
fn take(rest: &mut &str, width: usize, key: &str) -> Result<i64> {
    let (value, after) = integer(rest, width, key)?;
    *rest = after;
    Ok(value)
}

/// A number with at most `width` digits, its sign included when the width is not fixed.
fn integer<'a>(text: &'a str, width: usize, key: &str) -> Result<(i64, &'a str)> {
    let signed = text.len() - text.trim_start_matches(['-', '+']).len();
    let signed = signed.min(1);
    let digits = text[signed..].bytes().take_while(u8::is_ascii_digit).take(width).count();
    if digits == 0 {
        return Err(bad_value(first_word(text), key).detail("Value must be an integer."));
    }
    let end = signed + digits;
    let value: i64 = text[..end].trim_start_matches('+').parse().map_err(|_| {
        Error::new(
            SqlState::DATETIME_FIELD_OVERFLOW,
            format!("value for \"{key}\" in source string is out of range"),
        )
    })?;
    if value > i64::from(i32::MAX) || value < i64::from(i32::MIN) {
        return Err(Error::new(
            SqlState::DATETIME_FIELD_OVERFLOW,
            format!("value for \"{key}\" in source string is out of range"),
        ));
    }
    Ok((value, &text[end..]))
}

/// A year of fewer digits is the nearest to 2020.
fn nearest_year(value: i64, digits: u8) -> i64 {
    match digits {
        _ if value < 0 => value,
        1 => 2000 + value,
        _ if value < 70 => 2000 + value,
        _ if value < 100 => 1900 + value,
        _ if value < 520 => 2000 + value,
        _ if value < 1000 => 1000 + value,
        _ => value,
    }
}

fn first_word(text: &str) -> &str {
    text.split_whitespace().next().unwrap_or(text)
}

fn starts_with_ignoring_case(text: &str, word: &str) -> bool {
    text.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word))
}

/// The name that the text begins with, in full or by its first three letters.
fn word<'a>(text: &'a str, names: &[&str], full: bool) -> Option<(usize, &'a str)> {
    names.iter().enumerate().find_map(|(i, name)| {
        let name = if full { name } else { &name[..3] };
        starts_with_ignoring_case(text, name).then(|| (i, &text[name.len()..]))
    })
}
