//! Time zones: names of the zone database, abbreviations, POSIX rules and fixed offsets.
//!
//! # Differences
//! Named zones come from the bundled database. Beyond year 9999, which it does not cover, a zone's rules go on in the
//! 400-year cycle of the calendar. An abbreviation whose meaning changed over time has its present one.

use std::fmt;
use std::sync::{Arc, LazyLock, OnceLock};

use hashbrown::HashMap;
use parking_lot::RwLock;

use super::abbreviations::ABBREVIATIONS;
use super::calendar::UNIX_EPOCH_DAYS;
use super::{USECS_PER_DAY, USECS_PER_SEC};

/// Days and microseconds after which the calendar, weekdays included, repeats.
const CYCLE: i64 = 146_097 * USECS_PER_DAY;
/// 9900-01-01 in microseconds since 2000: beyond it times are moved back by whole cycles.
const LAST: i64 = (7_900 * 365 + 1_916) * USECS_PER_DAY;

/// A session's time zone. Cheap to clone.
#[derive(Clone)]
pub struct TimeZone(Arc<Zone>);

struct Zone {
    name: String,
    rule: Rule,
}

enum Rule {
    /// Seconds east of Greenwich.
    Fixed(i32),
    Named(jiff::tz::TimeZone, OnceLock<Transitions>),
}

/// The offsets of the years that nearly all times lie in: asking the zone itself costs ten times as much.
struct Transitions {
    /// When each offset begins, ascending, in microseconds since 2000.
    starts: Vec<i64>,
    offsets: Vec<i32>,
    /// The end of what is known.
    end: i64,
}

/// 1970-01-01 and 2100-01-01 in microseconds since 2000.
const KNOWN_FROM: i64 = -UNIX_EPOCH_DAYS * USECS_PER_DAY;
const KNOWN_UNTIL: i64 = 36_525 * USECS_PER_DAY;

impl Transitions {
    fn of(zone: &jiff::tz::TimeZone) -> Transitions {
        let mut starts = vec![KNOWN_FROM];
        let mut offsets = vec![zone.to_offset(instant(KNOWN_FROM)).seconds()];
        for transition in zone.following(instant(KNOWN_FROM)) {
            let seconds = transition.timestamp().as_second() - UNIX_EPOCH_DAYS * 86_400;
            let start = seconds * USECS_PER_SEC;
            if start >= KNOWN_UNTIL {
                break;
            }
            starts.push(start);
            offsets.push(transition.offset().seconds());
        }
        Transitions { starts, offsets, end: KNOWN_UNTIL }
    }

    fn offset_at(&self, timestamp: i64) -> Option<i32> {
        if !(KNOWN_FROM..self.end).contains(&timestamp) {
            return None;
        }
        let after = self.starts.partition_point(|start| *start <= timestamp);
        Some(self.offsets[after - 1])
    }

    /// The offset of a local time that is neither skipped nor comes twice; `None` where the zone must be asked.
    fn offset_at_local(&self, local: i64) -> Option<i32> {
        // Far from any change of offset, the moments around agree.
        const MARGIN: i64 = 26 * 3_600 * USECS_PER_SEC;
        let before = self.offset_at(local - MARGIN)?;
        (self.offset_at(local + MARGIN)? == before).then_some(before)
    }
}

/// Zones by name as they were asked for: expressions name them anew for every row.
static KNOWN: LazyLock<RwLock<HashMap<String, TimeZone>>> = LazyLock::new(RwLock::default);
/// Names are users' input, so only so many are kept.
const MOST_KNOWN: usize = 1_000;

/// What a zone says of a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offset {
    /// Seconds east of Greenwich.
    pub seconds: i32,
    pub is_dst: bool,
    /// For instance `CET`; empty for plain offsets.
    pub abbreviation: String,
}

impl TimeZone {
    /// UTC.
    pub fn utc() -> TimeZone {
        TimeZone::with_rule("UTC".to_owned(), Rule::Fixed(0))
    }

    fn with_rule(name: String, rule: Rule) -> TimeZone {
        TimeZone(Arc::new(Zone { name, rule }))
    }

    /// A zone at a fixed distance, in seconds east of Greenwich; named as PostgreSQL names it.
    pub fn fixed(seconds_east: i32) -> TimeZone {
        // POSIX counts west as positive.
        let sign = if seconds_east < 0 { '-' } else { '+' };
        let shown = offset_text(seconds_east.abs());
        let posix = if seconds_east <= 0 { '+' } else { '-' };
        TimeZone::with_rule(format!("<{sign}{shown}>{posix}{shown}"), Rule::Fixed(seconds_east))
    }

    /// A zone as `SET TimeZone` reads it: hours east of Greenwich (`+2`, `-3.5`), or a name; `None` when it is neither.
    pub fn parse(text: &str) -> Option<TimeZone> {
        match text.trim().parse::<f64>() {
            Ok(hours) => (hours.abs() < 168.0).then(|| TimeZone::fixed((hours * 3600.0) as i32)),
            Err(_) => TimeZone::named(text),
        }
    }

    /// A zone by its name in the zone database, in any case, or a POSIX rule, which counts west of Greenwich. Abbreviations
    /// are [`TimeZone::abbreviation`]'s.
    pub fn named(name: &str) -> Option<TimeZone> {
        let name = name.trim();
        if let Some(zone) = KNOWN.read().get(name) {
            return Some(zone.clone());
        }
        let zone = TimeZone::parse_anew(name)?;
        let mut known = KNOWN.write();
        if known.len() < MOST_KNOWN {
            known.insert(name.to_owned(), zone.clone());
        }
        Some(zone)
    }

    fn parse_anew(name: &str) -> Option<TimeZone> {
        if name.eq_ignore_ascii_case("utc") || name.eq_ignore_ascii_case("z") && name.len() == 1 {
            return Some(TimeZone::with_rule("UTC".to_owned(), Rule::Fixed(0)));
        }
        if let Ok(zone) = jiff::tz::db().get(name) {
            let known = zone.iana_name().unwrap_or(name).to_owned();
            return Some(TimeZone::with_rule(known, Rule::Named(zone, OnceLock::new())));
        }
        posix(name)
    }

    /// A zone abbreviation of the default set: seconds east of Greenwich and whether it is summer time.
    pub fn abbreviation(name: &str) -> Option<(i32, bool)> {
        let name = name.to_ascii_lowercase();
        let index = ABBREVIATIONS.binary_search_by(|(known, _, _)| (*known).cmp(name.as_str())).ok()?;
        let (_, seconds, is_dst) = ABBREVIATIONS[index];
        Some((seconds, is_dst))
    }

    /// As [`TimeZone::named`], abbreviations first: what `AT TIME ZONE` takes.
    pub fn parse_any(name: &str) -> Option<TimeZone> {
        match TimeZone::abbreviation(name.trim()) {
            Some((seconds, _)) => Some(TimeZone::with_rule(name.trim().to_owned(), Rule::Fixed(seconds))),
            None => TimeZone::named(name),
        }
    }

    /// Every abbreviation of the default set with its seconds east and whether it is summer time.
    pub fn abbreviations() -> impl Iterator<Item = (&'static str, i32, bool)> {
        ABBREVIATIONS.iter().copied()
    }

    /// The names of the zone database.
    pub fn names() -> Vec<String> {
        jiff::tz::db().available().map(|name| name.to_string()).collect()
    }

    /// The name as `SHOW TimeZone` prints it.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The offset at a moment, in microseconds since 2000-01-01 UTC.
    pub fn offset_at(&self, timestamp: i64) -> i32 {
        match &self.0.rule {
            Rule::Fixed(seconds) => *seconds,
            Rule::Named(zone, transitions) => transitions
                .get_or_init(|| Transitions::of(zone))
                .offset_at(timestamp)
                .unwrap_or_else(|| zone.to_offset(instant(timestamp)).seconds()),
        }
    }

    /// The offset, summer time and abbreviation at a moment.
    pub fn describe(&self, timestamp: i64) -> Offset {
        match &self.0.rule {
            Rule::Fixed(seconds) => Offset {
                seconds: *seconds,
                is_dst: false,
                abbreviation: if self.0.name.starts_with('<') {
                    self.0.name[1..].split('>').next().unwrap_or_default().to_owned()
                } else {
                    self.0.name.to_uppercase()
                },
            },
            Rule::Named(zone, _) => {
                let info = zone.to_offset_info(instant(timestamp));
                Offset {
                    seconds: info.offset().seconds(),
                    is_dst: info.dst().is_dst(),
                    abbreviation: info.abbreviation().to_owned(),
                }
            }
        }
    }

    /// The offset that a local time has. In the hour that a clock skips, the offset before holds; in the hour that
    /// comes twice, the one after (standard time).
    pub fn offset_at_local(&self, local: i64) -> i32 {
        match &self.0.rule {
            Rule::Fixed(seconds) => *seconds,
            Rule::Named(zone, transitions) => {
                let known = transitions.get_or_init(|| Transitions::of(zone));
                if let Some(offset) = known.offset_at_local(local) {
                    return offset;
                }
                let (local, _) = within_years(local);
                let civil = instant(local).to_zoned(jiff::tz::TimeZone::UTC).datetime();
                match zone.to_ambiguous_timestamp(civil).offset() {
                    jiff::tz::AmbiguousOffset::Unambiguous { offset } => offset.seconds(),
                    jiff::tz::AmbiguousOffset::Gap { before, .. } => before.seconds(),
                    jiff::tz::AmbiguousOffset::Fold { after, .. } => after.seconds(),
                }
            }
        }
    }
}

impl fmt::Debug for TimeZone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.name)
    }
}

/// The moment moved into the years that the zone database covers, and whether it was.
fn within_years(timestamp: i64) -> (i64, bool) {
    if timestamp < LAST {
        (timestamp, false)
    } else {
        (timestamp - ((timestamp - LAST) / CYCLE + 1) * CYCLE, true)
    }
}

fn instant(timestamp: i64) -> jiff::Timestamp {
    let (timestamp, _) = within_years(timestamp);
    let seconds = timestamp.div_euclid(USECS_PER_SEC) + UNIX_EPOCH_DAYS * 86_400;
    let micros = timestamp.rem_euclid(USECS_PER_SEC);
    jiff::Timestamp::new(seconds, (micros * 1000) as i32).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
}

/// `05`, `05:30` or `05:30:15`.
pub(super) fn offset_text(seconds: i32) -> String {
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (minutes, seconds) {
        (0, 0) => format!("{hours:02}"),
        (_, 0) => format!("{hours:02}:{minutes:02}"),
        _ => format!("{hours:02}:{minutes:02}:{seconds:02}"),
    }
}

/// A POSIX rule: `EST5EDT,M3.2.0,M11.1.0`, `UTC+3`, `<-03>3`. The abbreviation may be missing: `+3`.
fn posix(name: &str) -> Option<TimeZone> {
    let abbreviation_end = if let Some(rest) = name.strip_prefix('<') {
        rest.find('>')? + 2
    } else {
        name.find(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | ','))?
    };
    if matches!(abbreviation_end, 1 | 2) || !name.is_ascii() {
        return None;
    }
    let rest = &name[abbreviation_end..];
    let offset_end = rest
        .char_indices()
        .find(|(at, c)| !(c.is_ascii_digit() || *c == ':' || *at == 0 && matches!(c, '+' | '-')))
        .map_or(rest.len(), |(at, _)| at);
    let west = posix_offset(&rest[..offset_end])?;
    let tail = &rest[offset_end..];
    if tail.is_empty() {
        return Some(TimeZone::with_rule(name.to_owned(), Rule::Fixed(-west)));
    }
    // Without rules, those of the United States hold.
    let full = if tail.contains(',') { name.to_owned() } else { format!("{name},M3.2.0,M11.1.0") };
    let zone = jiff::tz::TimeZone::posix(&full).ok()?;
    Some(TimeZone::with_rule(name.to_owned(), Rule::Named(zone, OnceLock::new())))
}

fn posix_offset(text: &str) -> Option<i32> {
    let (sign, digits) = match text.as_bytes().first()? {
        b'-' => (-1, &text[1..]),
        b'+' => (1, &text[1..]),
        _ => (1, text),
    };
    let mut seconds = 0;
    let mut unit = 3600;
    for part in digits.split(':') {
        seconds += part.parse::<i32>().ok()? * unit;
        unit /= 60;
    }
    (seconds <= 167 * 3600).then_some(sign * seconds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::datetime::calendar::days_from_civil;

    fn at(year: i32, month: i32, day: i32, hour: i64) -> i64 {
        days_from_civil(year, month, day) * USECS_PER_DAY + hour * 3_600 * USECS_PER_SEC
    }

    #[test]
    fn gaps_and_folds() {
        let zone = TimeZone::parse("america/new_york").unwrap();
        assert_eq!(zone.name(), "America/New_York");
        assert_eq!(zone.offset_at_local(at(2023, 3, 12, 2)), -5 * 3600);
        assert_eq!(zone.offset_at_local(at(2023, 11, 5, 1)), -5 * 3600);
        assert_eq!(zone.offset_at(at(2150, 7, 1, 0)), -4 * 3600);
        assert_eq!(zone.offset_at(at(20_150, 7, 1, 0)), -4 * 3600);
        assert_eq!(zone.offset_at(at(-4712, 1, 1, 0)), zone.offset_at(at(1800, 1, 1, 0)));
    }

    #[test]
    fn known_transitions_are_the_zones() {
        for name in
            ["America/New_York", "Europe/Berlin", "Asia/Kolkata", "Australia/Lord_Howe", "Africa/Casablanca"]
        {
            let zone = TimeZone::parse(name).unwrap();
            let Rule::Named(rule, transitions) = &zone.0.rule else { panic!("{name}") };
            let mut moment = KNOWN_FROM - 40 * USECS_PER_DAY;
            while moment < KNOWN_UNTIL + 40 * USECS_PER_DAY {
                assert_eq!(
                    zone.offset_at(moment),
                    rule.to_offset(instant(moment)).seconds(),
                    "{name} {moment}"
                );
                if let Some(offset) = transitions.get().unwrap().offset_at_local(moment) {
                    let civil = instant(moment).to_zoned(jiff::tz::TimeZone::UTC).datetime();
                    let asked = rule.to_ambiguous_timestamp(civil).offset();
                    assert_eq!(
                        asked,
                        jiff::tz::AmbiguousOffset::Unambiguous {
                            offset: jiff::tz::Offset::from_seconds(offset).unwrap()
                        }
                    );
                }
                moment += 5 * 3_600 * USECS_PER_SEC + 1_234_567;
            }
        }
    }

    #[test]
    fn forms() {
        assert_eq!(TimeZone::parse("+5.5").unwrap().offset_at(0), 19_800);
        assert_eq!(TimeZone::parse_any("+5").unwrap().offset_at(0), -18_000);
        assert_eq!(TimeZone::parse("+05:30").unwrap().offset_at(0), -19_800);
        assert!(TimeZone::parse_any("+").is_none());
        assert_eq!(TimeZone::parse("UTC+3").unwrap().offset_at(0), -10_800);
        assert_eq!(TimeZone::parse("<-03>3").unwrap().offset_at(0), -10_800);
        assert_eq!(
            TimeZone::parse("EST5EDT,M3.2.0,M11.1.0").unwrap().offset_at(at(2020, 7, 1, 0)),
            -4 * 3600
        );
        assert!(TimeZone::parse("Nowhere/Nothing").is_none());
        assert_eq!(TimeZone::abbreviation("PST"), Some((-8 * 3600, false)));
    }
}
