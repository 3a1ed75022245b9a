//! Cutting the text of a date or time into fields, by their look alone.

/// Why a text is no date or time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    Syntax,
    Field,
    /// As [`Fault::Field`], where the order of day and month may be to blame.
    MonthDay,
    Zone,
    ZoneName(String),
    Interval,
    /// Months and years together are too many.
    IntervalTotal,
}

/// What kind of field a piece of text looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    Number,
    Word,
    Date,
    Time,
    Zone,
    /// A sign and letters: `-infinity`.
    Special,
}

const MAX_FIELDS: usize = 25;

/// Cuts text into fields, in lower case.
pub(super) fn split_fields(text: &str) -> Result<Vec<(Look, String)>, Fault> {
    let lower = text.to_ascii_lowercase();
    let bytes = lower.as_bytes();
    let mut fields = Vec::new();
    let mut at = 0;
    let run = |from: usize, accept: &dyn Fn(u8) -> bool| {
        bytes[from..].iter().position(|byte| !accept(*byte)).map_or(bytes.len(), |length| from + length)
    };
    let digit = |byte: u8| byte.is_ascii_digit();
    while at < bytes.len() {
        let start = at;
        let byte = bytes[at];
        if byte.is_ascii_whitespace() || byte == 0x0b {
            at += 1;
            continue;
        }
        let look;
        if byte.is_ascii_digit() {
            at = run(at, &digit);
            match bytes.get(at) {
                Some(b':') => {
                    look = Look::Time;
                    at = run(at, &|byte| digit(byte) || matches!(byte, b':' | b'.'));
                }
                Some(&delimiter @ (b'-' | b'/' | b'.')) => {
                    at += 1;
                    if bytes.get(at).is_some_and(u8::is_ascii_digit) {
                        at = run(at, &digit);
                        if bytes.get(at) == Some(&delimiter) {
                            look = Look::Date;
                            at = run(at, &|byte| digit(byte) || byte == delimiter);
                        } else if delimiter == b'.' {
                            look = Look::Number;
                        } else {
                            look = Look::Date;
                        }
                    } else {
                        // A month by name may stand in the middle.
                        look = if delimiter == b'.' && !bytes.get(at).is_some_and(u8::is_ascii_alphabetic) {
                            Look::Number
                        } else {
                            at = run(at, &|byte| byte.is_ascii_alphanumeric() || byte == delimiter);
                            Look::Date
                        };
                    }
                }
                _ => look = Look::Number,
            }
        } else if byte == b'.' {
            look = Look::Number;
            at = run(at + 1, &digit);
        } else if byte.is_ascii_alphabetic() {
            at = run(at, &|byte| byte.is_ascii_alphabetic());
            let mut is_date = false;
            if let Some(&delimiter @ (b'-' | b'/' | b'.')) = bytes.get(at) {
                // A month followed by numbers, or a zone's name.
                is_date = true;
                at = run(at + 1, &|byte| {
                    byte.is_ascii_alphanumeric()
                        || byte == delimiter
                        || matches!(byte, b'_' | b':' | b'-' | b'+' | b'/')
                });
            } else if bytes.get(at) == Some(&b'+') || bytes.get(at).is_some_and(u8::is_ascii_digit) {
                // POSIX zones; after a word of ours, the number stands for itself.
                let word = &lower[start..at];
                let core = ["d", "h", "m", "s", "y", "mm", "mon", "dow", "doy", "isodow", "isoyear"];
                if keyword(word).is_none() && !core.contains(&word) {
                    is_date = true;
                    at = run(at, &|byte| {
                        byte.is_ascii_alphanumeric()
                            || matches!(byte, b'_' | b':' | b'-' | b'+' | b'/' | b'.')
                    });
                }
            }
            look = if is_date { Look::Date } else { Look::Word };
        } else if byte == b'+' || byte == b'-' {
            at += 1;
            while bytes.get(at).is_some_and(u8::is_ascii_whitespace) {
                at += 1;
            }
            match bytes.get(at) {
                Some(next) if next.is_ascii_digit() => {
                    look = Look::Zone;
                    at = run(at, &|byte| digit(byte) || matches!(byte, b':' | b'.' | b'-'));
                }
                Some(next) if next.is_ascii_alphabetic() => {
                    look = Look::Special;
                    at = run(at, &|byte| byte.is_ascii_alphabetic());
                }
                _ => return Err(Fault::Syntax),
            }
        } else if byte.is_ascii_punctuation() {
            at += 1;
            continue;
        } else {
            return Err(Fault::Syntax);
        }
        if fields.len() >= MAX_FIELDS {
            return Err(Fault::Syntax);
        }
        let field: String = lower[start..at].chars().filter(|c| !c.is_ascii_whitespace()).collect();
        fields.push((look, field));
    }
    Ok(fields)
}

/// What a word means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keyword {
    Month(i32),
    Weekday,
    Pm,
    Am,
    Bc,
    Ad,
    Now,
    Today,
    Tomorrow,
    Yesterday,
    Epoch,
    Infinity,
    NegInfinity,
    AllBalls,
    Ignored,
    Julian,
    IsoTime,
    Dst,
}

/// The meaning of a word in lower case.
pub(super) fn keyword(word: &str) -> Option<Keyword> {
    // Words count up to ten characters.
    let word = &word[..word.len().min(10)];
    Some(match word {
        "jan" | "january" => Keyword::Month(1),
        "feb" | "february" => Keyword::Month(2),
        "mar" | "march" => Keyword::Month(3),
        "apr" | "april" => Keyword::Month(4),
        "may" => Keyword::Month(5),
        "jun" | "june" => Keyword::Month(6),
        "jul" | "july" => Keyword::Month(7),
        "aug" | "august" => Keyword::Month(8),
        "sep" | "sept" | "september" => Keyword::Month(9),
        "oct" | "october" => Keyword::Month(10),
        "nov" | "november" => Keyword::Month(11),
        "dec" | "december" => Keyword::Month(12),
        "sun" | "sunday" | "mon" | "monday" | "tue" | "tues" | "tuesday" | "wed" | "weds" | "wednesday"
        | "thu" | "thur" | "thurs" | "thursday" | "fri" | "friday" | "sat" | "saturday" => Keyword::Weekday,
        "am" => Keyword::Am,
        "pm" => Keyword::Pm,
        "bc" => Keyword::Bc,
        "ad" => Keyword::Ad,
        "now" => Keyword::Now,
        "today" => Keyword::Today,
        "tomorrow" => Keyword::Tomorrow,
        "yesterday" => Keyword::Yesterday,
        "epoch" => Keyword::Epoch,
        "infinity" | "+infinity" => Keyword::Infinity,
        "-infinity" => Keyword::NegInfinity,
        "allballs" => Keyword::AllBalls,
        "at" | "on" => Keyword::Ignored,
        "j" | "jd" | "julian" => Keyword::Julian,
        "t" => Keyword::IsoTime,
        "dst" => Keyword::Dst,
        _ => return None,
    })
}
