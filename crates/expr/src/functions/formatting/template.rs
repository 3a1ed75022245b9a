//! Templates of dates and times, cut into fields and plain text.

use ochre_base::Result;
use ochre_types::Pace;

/// What reading a place of a template, or writing it, counts for.
pub(super) const NODE_BYTES: usize = 64;

/// What a template says at one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Node {
    Field(Field),
    /// A character that stands for itself; `quoted` when from a quoted part.
    Literal {
        c: char,
        quoted: bool,
    },
}

/// A keyword with its modifiers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Field {
    pub key: Key,
    /// `FM`: no padding.
    pub fill: bool,
    /// `TH` or `th`: with an ordinal's ending, in upper or lower case.
    pub ordinal: Option<bool>,
}

/// How a word is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Case {
    Upper,
    Capital,
    Lower,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    Meridiem {
        dotted: bool,
        upper: bool,
    },
    Era {
        dotted: bool,
        upper: bool,
    },
    Century,
    DayName(Case),
    DayAbbreviation(Case),
    DayOfYear,
    DayOfMonth,
    DayOfWeek,
    IsoDayOfYear,
    IsoDayOfWeek,
    /// Digits of a fraction of a second.
    Fraction(u8),
    Millisecond,
    Microsecond,
    Hour24,
    Hour12,
    IsoWeek,
    IsoYear(u8),
    Julian,
    Minute,
    MonthNumber,
    MonthName(Case),
    MonthAbbreviation(Case),
    Quarter,
    Roman {
        upper: bool,
    },
    SecondsOfDay,
    Second,
    Zone {
        upper: bool,
    },
    ZoneHours,
    ZoneMinutes,
    ZoneOffset,
    WeekOfYear,
    WeekOfMonth,
    YearWithComma,
    Year(u8),
}

impl Key {
    /// Whether the field is read as a number.
    pub(super) fn is_numeric(self) -> bool {
        !matches!(
            self,
            Key::Meridiem { .. }
                | Key::Era { .. }
                | Key::DayName(_)
                | Key::DayAbbreviation(_)
                | Key::MonthName(_)
                | Key::MonthAbbreviation(_)
                | Key::Roman { .. }
                | Key::Zone { .. }
        )
    }
}

/// Keywords, a longer one before those that it begins with. Where the case of a keyword means something, all spellings
/// are listed.
#[rustfmt::skip]
const KEYWORDS: &[(&str, Key)] = &[
    ("A.D.", Key::Era { dotted: true, upper: true }), ("a.d.", Key::Era { dotted: true, upper: false }),
    ("A.M.", Key::Meridiem { dotted: true, upper: true }), ("a.m.", Key::Meridiem { dotted: true, upper: false }),
    ("AD", Key::Era { dotted: false, upper: true }), ("ad", Key::Era { dotted: false, upper: false }),
    ("AM", Key::Meridiem { dotted: false, upper: true }), ("am", Key::Meridiem { dotted: false, upper: false }),
    ("B.C.", Key::Era { dotted: true, upper: true }), ("b.c.", Key::Era { dotted: true, upper: false }),
    ("BC", Key::Era { dotted: false, upper: true }), ("bc", Key::Era { dotted: false, upper: false }),
    ("P.M.", Key::Meridiem { dotted: true, upper: true }), ("p.m.", Key::Meridiem { dotted: true, upper: false }),
    ("PM", Key::Meridiem { dotted: false, upper: true }), ("pm", Key::Meridiem { dotted: false, upper: false }),
    ("CC", Key::Century), ("cc", Key::Century),
    ("DAY", Key::DayName(Case::Upper)), ("Day", Key::DayName(Case::Capital)), ("day", Key::DayName(Case::Lower)),
    ("DDD", Key::DayOfYear), ("ddd", Key::DayOfYear), ("DD", Key::DayOfMonth), ("dd", Key::DayOfMonth),
    ("DY", Key::DayAbbreviation(Case::Upper)), ("Dy", Key::DayAbbreviation(Case::Capital)), ("dy", Key::DayAbbreviation(Case::Lower)),
    ("D", Key::DayOfWeek), ("d", Key::DayOfWeek),
    ("FF1", Key::Fraction(1)), ("FF2", Key::Fraction(2)), ("FF3", Key::Fraction(3)), ("FF4", Key::Fraction(4)), ("FF5", Key::Fraction(5)), ("FF6", Key::Fraction(6)),
    ("ff1", Key::Fraction(1)), ("ff2", Key::Fraction(2)), ("ff3", Key::Fraction(3)), ("ff4", Key::Fraction(4)), ("ff5", Key::Fraction(5)), ("ff6", Key::Fraction(6)),
    ("HH24", Key::Hour24), ("hh24", Key::Hour24), ("HH12", Key::Hour12), ("hh12", Key::Hour12), ("HH", Key::Hour12), ("hh", Key::Hour12),
    ("IDDD", Key::IsoDayOfYear), ("iddd", Key::IsoDayOfYear), ("ID", Key::IsoDayOfWeek), ("id", Key::IsoDayOfWeek),
    ("IW", Key::IsoWeek), ("iw", Key::IsoWeek), ("IYYY", Key::IsoYear(4)), ("iyyy", Key::IsoYear(4)), ("IYY", Key::IsoYear(3)), ("iyy", Key::IsoYear(3)),
    ("IY", Key::IsoYear(2)), ("iy", Key::IsoYear(2)), ("I", Key::IsoYear(1)), ("i", Key::IsoYear(1)),
    ("J", Key::Julian), ("j", Key::Julian),
    ("MI", Key::Minute), ("mi", Key::Minute), ("MM", Key::MonthNumber), ("mm", Key::MonthNumber),
    ("MONTH", Key::MonthName(Case::Upper)), ("Month", Key::MonthName(Case::Capital)), ("month", Key::MonthName(Case::Lower)),
    ("MON", Key::MonthAbbreviation(Case::Upper)), ("Mon", Key::MonthAbbreviation(Case::Capital)), ("mon", Key::MonthAbbreviation(Case::Lower)),
    ("MS", Key::Millisecond), ("ms", Key::Millisecond), ("OF", Key::ZoneOffset), ("of", Key::ZoneOffset),
    ("Q", Key::Quarter), ("q", Key::Quarter), ("RM", Key::Roman { upper: true }), ("rm", Key::Roman { upper: false }),
    ("SSSSS", Key::SecondsOfDay), ("sssss", Key::SecondsOfDay), ("SSSS", Key::SecondsOfDay), ("ssss", Key::SecondsOfDay), ("SS", Key::Second), ("ss", Key::Second),
    ("TZH", Key::ZoneHours), ("tzh", Key::ZoneHours), ("TZM", Key::ZoneMinutes), ("tzm", Key::ZoneMinutes), ("TZ", Key::Zone { upper: true }), ("tz", Key::Zone { upper: false }),
    ("US", Key::Microsecond), ("us", Key::Microsecond), ("WW", Key::WeekOfYear), ("ww", Key::WeekOfYear), ("W", Key::WeekOfMonth), ("w", Key::WeekOfMonth),
    ("Y,YYY", Key::YearWithComma), ("y,yyy", Key::YearWithComma), ("YYYY", Key::Year(4)), ("yyyy", Key::Year(4)), ("YYY", Key::Year(3)), ("yyy", Key::Year(3)),
    ("YY", Key::Year(2)), ("yy", Key::Year(2)), ("Y", Key::Year(1)), ("y", Key::Year(1)),
];

/// Cuts a template into its nodes. `FX` (exact spacing) and `TM` (local names) are taken out; the names here are
/// English throughout.
pub(super) fn parse(template: &str, pace: &mut Pace<'_>) -> Result<Vec<Node>> {
    let mut nodes = Vec::new();
    let mut rest = template;
    while let Some(c) = rest.chars().next() {
        pace.advance(NODE_BYTES)?;
        let mut fill = false;
        let mut after = rest;
        loop {
            match after.as_bytes() {
                [b'F' | b'f', b'M' | b'm', ..] => fill = true,
                [b'T' | b't', b'M' | b'm', ..] | [b'F' | b'f', b'X' | b'x', ..] => {}
                _ => break,
            }
            after = &after[2..];
            pace.advance(NODE_BYTES)?;
        }
        if let Some((word, key)) = KEYWORDS.iter().find(|(word, _)| after.starts_with(word)) {
            rest = &after[word.len()..];
            let ordinal = if rest.starts_with("TH") {
                Some(true)
            } else if rest.starts_with("th") {
                Some(false)
            } else {
                None
            };
            if ordinal.is_some() {
                rest = &rest[2..];
            }
            nodes.push(Node::Field(Field { key: *key, fill, ordinal }));
            continue;
        }
        if after.len() < rest.len() {
            rest = after;
            continue;
        }
        rest = &rest[c.len_utf8()..];
        match c {
            '"' => {
                while let Some(c) = rest.chars().next() {
                    rest = &rest[c.len_utf8()..];
                    pace.advance(NODE_BYTES)?;
                    match c {
                        '"' => break,
                        '\\' => {
                            if let Some(escaped) = rest.chars().next() {
                                rest = &rest[escaped.len_utf8()..];
                                nodes.push(Node::Literal { c: escaped, quoted: true });
                            }
                        }
                        c => nodes.push(Node::Literal { c, quoted: true }),
                    }
                }
            }
            '\\' if rest.starts_with('"') => {
                rest = &rest[1..];
                nodes.push(Node::Literal { c: '"', quoted: true });
            }
            c => nodes.push(Node::Literal { c, quoted: false }),
        }
    }
    Ok(nodes)
}

/// An ordinal's ending.
pub(super) fn ordinal_ending(number: &str, upper: bool) -> &'static str {
    let digits: Vec<u8> = number.bytes().filter(u8::is_ascii_digit).collect();
    let last = digits.last().copied().unwrap_or(b'0');
    let teen = digits.len() > 1 && digits[digits.len() - 2] == b'1';
    match (last, teen, upper) {
        (b'1', false, true) => "ST",
        (b'1', false, false) => "st",
        (b'2', false, true) => "ND",
        (b'2', false, false) => "nd",
        (b'3', false, true) => "RD",
        (b'3', false, false) => "rd",
        (_, _, true) => "TH",
        (_, _, false) => "th",
    }
}

pub(super) const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

pub(super) const DAYS: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

pub(super) const ROMAN_MONTHS: [&str; 12] =
    ["I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII"];

pub(super) fn in_case(word: &str, case: Case) -> String {
    match case {
        Case::Upper => word.to_ascii_uppercase(),
        Case::Lower => word.to_ascii_lowercase(),
        Case::Capital => word.to_owned(),
    }
}
