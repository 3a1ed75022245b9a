//! Reading dates and times: text to fields, fields to a point of time.
//!
//! Text is cut into fields (numbers, dates, times, zones, words) by their look alone; each is then read in the light of
//! those before it, so that `1999 Jan 8`, `08-Jan-99` and `January 8, 1999` are one day. `DateStyle`'s order decides
//! what looks alone leave open.

use super::calendar::{Civil, JULIAN_2000, civil_from_days, days_from_civil, days_in_month};
use super::clock::{number, parse_clock, parse_offset, run_together_time};
use super::tokens::{Fault, Keyword, Look, keyword, split_fields};
use super::zone::TimeZone;
use super::{USECS_PER_DAY, USECS_PER_SEC};
use crate::DateOrder;

/// What the fields amount to.
#[derive(Debug, Clone, Default)]
pub(super) struct Decoded {
    pub civil: Civil,
    /// Seconds east, if a zone was given.
    pub offset: Option<i32>,
    /// A zone by name, if one was given.
    pub zone: Option<TimeZone>,
    pub special: Option<Special>,
    pub has_date: bool,
    pub has_time: bool,
}

/// Points of time by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Special {
    Now,
    Epoch,
    Infinity,
    NegInfinity,
}

const YEAR: u32 = 1;
const MONTH: u32 = 2;
const DAY: u32 = 4;
const DATE: u32 = YEAR | MONTH | DAY;
const DOY: u32 = 8;
const TIME: u32 = 16;
const ZONE: u32 = 32;
const SPECIAL: u32 = 64;
const MERIDIAN: u32 = 128;
const ERA: u32 = 256;
const WEEKDAY: u32 = 512;

/// How a text is read.
pub(super) struct Settings<'a> {
    pub order: DateOrder,
    pub zone: &'a TimeZone,
    pub now: i64,
    /// `time` and `timetz`: numbers are times, a date may be missing.
    pub time_only: bool,
}

struct Decoder<'a> {
    settings: &'a Settings<'a>,
    result: Decoded,
    seen: u32,
    two_digit_year: bool,
    text_month: bool,
    bc: bool,
    pm: Option<bool>,
    day_of_year: i32,
    /// A prefix that decides how the next field is read.
    prefix: Option<Keyword>,
    dst_shift: i32,
    /// The date comes from a day count, so its year may be before 1.
    computed: bool,
}

/// Reads text as a date, time or both.
pub(super) fn decode(text: &str, settings: &Settings<'_>) -> Result<Decoded, Fault> {
    let fields = split_fields(text)?;
    if fields.is_empty() {
        return Err(Fault::Syntax);
    }
    let mut decoder = Decoder {
        settings,
        result: Decoded::default(),
        seen: 0,
        two_digit_year: false,
        text_month: false,
        bc: false,
        pm: None,
        day_of_year: 0,
        prefix: None,
        dst_shift: 0,
        computed: false,
    };
    for (index, (look, field)) in fields.iter().enumerate() {
        let next_is_date_or_number = fields
            .get(index + 1)
            .is_some_and(|(look, _)| matches!(look, Look::Number | Look::Date | Look::Time));
        // In front of a time, a date is allowed where only a time is wanted.
        let date_allowed = index == 0
            && fields.len() >= 2
            && (fields[1].0 == Look::Time || fields[fields.len() - 1].0 == Look::Date);
        decoder.field(*look, field, next_is_date_or_number, date_allowed)?;
    }
    decoder.finish()
}

impl Decoder<'_> {
    fn mark(&mut self, mask: u32) -> Result<(), Fault> {
        if self.seen & mask != 0 {
            return Err(Fault::Syntax);
        }
        self.seen |= mask;
        Ok(())
    }

    fn has(&self, mask: u32) -> bool {
        self.seen & mask == mask
    }

    fn field(&mut self, look: Look, field: &str, more: bool, date_allowed: bool) -> Result<(), Fault> {
        match look {
            Look::Date => self.date_field(field, date_allowed),
            Look::Time => {
                if let Some(Keyword::Julian) = self.prefix.take() {
                    return Err(Fault::Syntax);
                }
                let time = parse_clock(field)?;
                self.set_time(time)
            }
            Look::Zone => {
                self.mark(ZONE)?;
                self.result.offset = Some(parse_offset(field)?);
                Ok(())
            }
            Look::Number => self.number_field(field),
            Look::Word | Look::Special => self.word(field, more),
        }
    }

    fn set_time(&mut self, time: Civil) -> Result<(), Fault> {
        self.mark(TIME)?;
        let Civil { hour, minute, second, micros, .. } = time;
        self.result.civil = Civil { hour, minute, second, micros, ..self.result.civil };
        self.result.has_time = true;
        Ok(())
    }

    fn set_civil_date(&mut self, days: i64) {
        let (year, month, day) = civil_from_days(days);
        self.result.civil = Civil { year, month, day, ..self.result.civil };
        self.computed = true;
    }

    fn date_field(&mut self, field: &str, date_allowed: bool) -> Result<(), Fault> {
        if let Some(prefix) = self.prefix.take() {
            // `T040506-08` after a date.
            if prefix == Keyword::IsoTime {
                return self.time_with_zone(field);
            }
            return Err(Fault::Syntax);
        }
        let starts_with_digit = field.starts_with(|c: char| c.is_ascii_digit());
        if self.has(MONTH | DAY) || self.seen & TIME != 0 && !starts_with_digit && self.has(DATE) {
            if starts_with_digit {
                return self.time_with_zone(field);
            }
            return self.named_zone(field);
        }
        if self.settings.time_only && !date_allowed {
            return if starts_with_digit { self.time_with_zone(field) } else { self.named_zone(field) };
        }
        self.date(field)
    }

    fn named_zone(&mut self, field: &str) -> Result<(), Fault> {
        self.mark(ZONE)?;
        self.result.zone = Some(TimeZone::named(field).ok_or_else(|| Fault::ZoneName(field.to_owned()))?);
        Ok(())
    }

    /// `hhmmss-zz`.
    fn time_with_zone(&mut self, field: &str) -> Result<(), Fault> {
        let at = field.find(['-', '+']).ok_or(Fault::Syntax)?;
        self.mark(ZONE)?;
        self.result.offset = Some(parse_offset(&field[at..])?);
        let time = run_together_time(&field[..at])?;
        self.set_time(time)
    }

    /// A date with separators: numbers and perhaps a month's name.
    fn date(&mut self, field: &str) -> Result<(), Fault> {
        let mut parts: Vec<&str> = Vec::new();
        let mut rest = field;
        while !rest.is_empty() {
            let is_digit = rest.as_bytes()[0].is_ascii_digit();
            let is_alpha = rest.as_bytes()[0].is_ascii_alphabetic();
            if !is_digit && !is_alpha {
                rest = &rest[1..];
                continue;
            }
            let end = rest
                .bytes()
                .position(|byte| byte.is_ascii_digit() != is_digit || byte.is_ascii_alphabetic() != is_alpha)
                .unwrap_or(rest.len());
            parts.push(&rest[..end]);
            rest = &rest[end..];
        }
        if parts.len() > 3 {
            return Err(Fault::Syntax);
        }
        // A month by name comes first: it changes how the numbers are read.
        let mut numbers = Vec::new();
        for part in parts {
            if part.as_bytes()[0].is_ascii_alphabetic() {
                match keyword(part) {
                    Some(Keyword::Month(month)) => {
                        self.mark(MONTH)?;
                        self.text_month = true;
                        self.result.civil.month = month;
                    }
                    Some(Keyword::Weekday) | None if keyword(part).is_some() => {}
                    _ => return Err(Fault::Syntax),
                }
            } else {
                numbers.push(part);
            }
        }
        for number in numbers {
            self.date_number(number)?;
        }
        // Nothing but a zone may have stood before.
        if self.seen & !(DOY | ZONE) != DATE {
            return Err(Fault::Syntax);
        }
        Ok(())
    }

    fn number_field(&mut self, field: &str) -> Result<(), Fault> {
        match self.prefix.take() {
            Some(Keyword::Julian) => return self.julian(field),
            Some(Keyword::IsoTime) => {
                let time = run_together_time(field)?;
                return self.set_time(time);
            }
            _ => {}
        }
        if self.settings.time_only && !self.has(TIME) && self.seen & DATE == 0 {
            let whole = field.split('.').next().unwrap_or_default();
            if matches!(whole.len(), 4 | 6) || field.contains('.') {
                let time = run_together_time(field)?;
                return self.set_time(time);
            }
            if whole.len() != 8 {
                return Err(Fault::Syntax);
            }
        }
        let point = field.find('.');
        let no_date = self.seen & DATE == 0;
        if point.is_some() && no_date {
            // `2022.123` is a year and a day of it; `20010101.25` and `101112.5` are run together.
            let at = point.unwrap_or(0);
            if at >= 6 {
                return self.run_together(field);
            }
            return self.year_and_day(field);
        }
        if point.is_some_and(|at| at > 2) {
            return self.run_together(field);
        }
        if field.len() >= 6 && (!self.has(DATE) || self.seen & TIME == 0) && point.is_none() {
            return self.run_together(field);
        }
        if self.has(DATE) {
            return self.run_together(field);
        }
        self.date_number(field)
    }

    /// `2022.123`.
    fn year_and_day(&mut self, field: &str) -> Result<(), Fault> {
        let (year, day) = field.split_once('.').ok_or(Fault::Syntax)?;
        if day.len() != 3 || year.len() < 3 {
            return Err(Fault::Syntax);
        }
        self.mark(YEAR | DOY)?;
        self.result.civil.year = number(year)?;
        self.day_of_year = number(day)?;
        self.result.has_date = true;
        self.seen |= MONTH | DAY;
        Ok(())
    }

    fn julian(&mut self, field: &str) -> Result<(), Fault> {
        self.mark(DATE)?;
        let (whole, fraction) = field.split_once('.').unwrap_or((field, ""));
        let day: i64 = whole.parse().map_err(|_| Fault::Field)?;
        if !(0..=i64::from(i32::MAX)).contains(&day) {
            return Err(Fault::Field);
        }
        self.set_civil_date(day - JULIAN_2000);
        self.result.has_date = true;
        if !fraction.is_empty() {
            let part: f64 = format!("0.{fraction}").parse().map_err(|_| Fault::Syntax)?;
            let time = super::calendar::time_to_civil((part * USECS_PER_DAY as f64) as i64);
            self.set_time(time)?;
        }
        Ok(())
    }

    /// Digits without separators: `yyyymmdd`, `yymmdd`, `hhmmss`, `hhmm`.
    fn run_together(&mut self, field: &str) -> Result<(), Fault> {
        let (digits, fraction) = match field.split_once('.') {
            Some((digits, fraction)) => (digits, Some(fraction)),
            None => (field, None),
        };
        if fraction.is_none() && self.seen & DATE != DATE && digits.len() >= 6 {
            let (rest, day) = digits.split_at(digits.len() - 2);
            let (year, month) = rest.split_at(rest.len() - 2);
            self.mark(DATE)?;
            self.two_digit_year = year.len() == 2;
            self.result.civil.year = number(year)?;
            self.result.civil.month = number(month)?;
            self.result.civil.day = number(day)?;
            self.result.has_date = true;
            return Ok(());
        }
        if self.seen & TIME != 0 {
            return Err(Fault::Syntax);
        }
        let time = run_together_time(field)?;
        self.set_time(time)
    }

    /// One number of a date, read by what is known so far.
    fn date_number(&mut self, field: &str) -> Result<(), Fault> {
        let value = number(field)?;
        let order = self.settings.order;
        let long = field.len() >= 3;
        let known = self.seen & DATE;
        // Three digits after a year are a day of the year.
        if field.len() == 3 && known == YEAR && (1..=366).contains(&value) {
            self.mark(DOY | MONTH | DAY)?;
            self.day_of_year = value;
            self.result.has_date = true;
            return Ok(());
        }
        let part = match known {
            0 if long || order == DateOrder::Ymd => YEAR,
            0 if order == DateOrder::Dmy => DAY,
            0 => MONTH,
            YEAR => MONTH,
            MONTH if self.text_month => {
                if long || order == DateOrder::Ymd {
                    YEAR
                } else {
                    DAY
                }
            }
            MONTH => DAY,
            known if known == YEAR | MONTH => {
                if self.text_month && long && self.two_digit_year {
                    // What was taken for the year was the day.
                    self.result.civil.day = self.result.civil.year;
                    self.seen = self.seen & !YEAR | DAY;
                    YEAR
                } else {
                    DAY
                }
            }
            DAY => MONTH,
            known if known == MONTH | DAY => YEAR,
            known if known == YEAR | DAY => MONTH,
            _ => return Err(Fault::Syntax),
        };
        self.mark(part)?;
        match part {
            YEAR => {
                self.result.civil.year = value;
                self.two_digit_year = field.len() <= 2;
            }
            MONTH => self.result.civil.month = value,
            _ => self.result.civil.day = value,
        }
        self.result.has_date = true;
        Ok(())
    }

    fn word(&mut self, field: &str, more: bool) -> Result<(), Fault> {
        // Abbreviations of zones come before other meanings, but for the words no zone has.
        let meaning = keyword(field);
        if meaning.is_none() || matches!(meaning, Some(Keyword::Weekday)) {
            if let Some((seconds, is_dst)) = TimeZone::abbreviation(field) {
                let _ = is_dst;
                // `MST DST`: the shift may have come first.
                self.mark(ZONE)?;
                self.result.offset = Some(seconds);
                return Ok(());
            }
            if field == "z" || field == "zulu" {
                self.mark(ZONE)?;
                self.result.offset = Some(0);
                return Ok(());
            }
        }
        let Some(meaning) = meaning else {
            return match TimeZone::named(field) {
                Some(zone) => {
                    self.mark(ZONE)?;
                    self.result.zone = Some(zone);
                    Ok(())
                }
                None => Err(Fault::Syntax),
            };
        };
        match meaning {
            Keyword::Month(month) => {
                // A number taken for the month was the day: `8 Jan 1999`.
                if self.seen & MONTH != 0
                    && !self.text_month
                    && self.seen & DAY == 0
                    && (1..=31).contains(&self.result.civil.month)
                {
                    self.result.civil.day = self.result.civil.month;
                    self.seen = self.seen & !MONTH | DAY;
                }
                self.mark(MONTH)?;
                self.text_month = true;
                self.result.civil.month = month;
                self.result.has_date = true;
            }
            Keyword::Weekday => self.mark(WEEKDAY)?,
            Keyword::Ignored => {}
            Keyword::Am | Keyword::Pm => {
                self.mark(MERIDIAN)?;
                self.pm = Some(meaning == Keyword::Pm);
            }
            Keyword::Bc | Keyword::Ad => {
                self.mark(ERA)?;
                self.bc = meaning == Keyword::Bc;
            }
            Keyword::Now => {
                self.mark(DATE | TIME | ZONE)?;
                self.result.special = Some(Special::Now);
            }
            Keyword::Today | Keyword::Tomorrow | Keyword::Yesterday => {
                self.mark(DATE)?;
                let zone = self.settings.zone;
                let local = self.settings.now + i64::from(zone.offset_at(self.settings.now)) * USECS_PER_SEC;
                let shift = match meaning {
                    Keyword::Tomorrow => 1,
                    Keyword::Yesterday => -1,
                    _ => 0,
                };
                self.set_civil_date(local.div_euclid(USECS_PER_DAY) + shift);
                self.result.has_date = true;
            }
            Keyword::Epoch | Keyword::Infinity | Keyword::NegInfinity => {
                self.mark(DATE | TIME | ZONE | SPECIAL)?;
                self.result.special = Some(match meaning {
                    Keyword::Epoch => Special::Epoch,
                    Keyword::Infinity => Special::Infinity,
                    _ => Special::NegInfinity,
                });
            }
            Keyword::AllBalls => {
                self.mark(TIME | ZONE)?;
                self.result.has_time = true;
                self.result.offset = Some(0);
            }
            Keyword::Julian | Keyword::IsoTime => {
                if !more || meaning == Keyword::IsoTime && !self.has(DATE) && !self.settings.time_only {
                    return Err(Fault::Syntax);
                }
                self.prefix = Some(meaning);
            }
            Keyword::Dst => {
                self.dst_shift = 3600;
            }
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Decoded, Fault> {
        if self.prefix.is_some() {
            return Err(Fault::Syntax);
        }
        if self.result.special.is_some() {
            return if self.seen & (MERIDIAN | ERA) != 0 { Err(Fault::Syntax) } else { Ok(self.result) };
        }
        if let Some(offset) = &mut self.result.offset {
            *offset += self.dst_shift;
        }
        self.finish_date()?;
        let civil = &mut self.result.civil;
        if let Some(pm) = self.pm {
            if civil.hour > 12 {
                return Err(Fault::Field);
            }
            civil.hour = civil.hour % 12 + if pm { 12 } else { 0 };
        }
        let midnight = civil.hour == 24 && civil.minute == 0 && civil.second == 0 && civil.micros == 0;
        if civil.hour > 23 && !midnight {
            return Err(Fault::Field);
        }
        if self.settings.time_only {
            return if self.result.has_time { Ok(self.result) } else { Err(Fault::Syntax) };
        }
        if self.seen & DATE == DATE { Ok(self.result) } else { Err(Fault::Syntax) }
    }

    fn finish_date(&mut self) -> Result<(), Fault> {
        let civil = &mut self.result.civil;
        if self.seen & YEAR != 0 {
            if self.bc {
                if civil.year <= 0 {
                    return Err(Fault::Field);
                }
                civil.year = 1 - civil.year;
            } else if self.two_digit_year {
                if civil.year < 70 {
                    civil.year += 2000;
                } else if civil.year < 100 {
                    civil.year += 1900;
                }
            } else if civil.year <= 0 && !self.computed {
                return Err(Fault::Field);
            }
        }
        let civil = &mut self.result.civil;
        if self.seen & DOY != 0 {
            let days = days_from_civil(civil.year, 1, 1) + i64::from(self.day_of_year) - 1;
            let (year, month, day) = civil_from_days(days);
            (civil.year, civil.month, civil.day) = (year, month, day);
            return Ok(());
        }
        if self.seen & MONTH != 0 && !(1..=12).contains(&civil.month) {
            return Err(Fault::MonthDay);
        }
        if self.seen & DAY != 0 && !(1..=31).contains(&civil.day) {
            return Err(Fault::MonthDay);
        }
        if self.seen & DATE == DATE && civil.day > days_in_month(civil.year, civil.month) {
            return Err(Fault::Field);
        }
        Ok(())
    }
}
