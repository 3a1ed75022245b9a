//! Type modifiers: reading `numeric(10,2)`, printing it, and fitting values to it.

use ochre_base::{Error, Oid, Result, SqlState, limits};

use crate::codec::{bit_length, resize_bits};
use crate::numeric::precision_and_scale;
use crate::{Datum, Interval, SharedBytes, SqlType, oids, type_info};

/// Longest `varchar(n)` and `char(n)`.
const MAX_CHARACTERS: i32 = 10_485_760;
/// Longest `bit(n)`.
const MAX_BITS: i32 = 83_886_080;
const MAX_PRECISION: i32 = 1000;

/// `interval`'s modifier: which fields, and digits of the second.
pub mod interval {
    /// Bits of the fields, as PostgreSQL numbers them.
    pub const MONTH: i32 = 1 << 1;
    pub const YEAR: i32 = 1 << 2;
    pub const DAY: i32 = 1 << 3;
    pub const HOUR: i32 = 1 << 10;
    pub const MINUTE: i32 = 1 << 11;
    pub const SECOND: i32 = 1 << 12;
    /// Every field.
    pub const FULL_RANGE: i32 = 0x7fff;
    /// No limit to the digits of the second.
    pub const FULL_PRECISION: i32 = 0xffff;

    /// A modifier from a set of fields and a precision.
    pub const fn typmod(range: i32, precision: i32) -> i32 {
        ((range & FULL_RANGE) << 16) | (precision & FULL_PRECISION)
    }

    /// The fields of a modifier.
    pub const fn range(typmod: i32) -> i32 {
        if typmod < 0 { FULL_RANGE } else { (typmod >> 16) & FULL_RANGE }
    }

    /// The digits of the second, if limited.
    pub const fn precision(typmod: i32) -> Option<i32> {
        let precision = typmod & FULL_PRECISION;
        if typmod < 0 || precision == FULL_PRECISION { None } else { Some(precision) }
    }
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
}

/// The modifier that a type's arguments mean, as the type's typmodin function. The precision of times is capped at 6
/// (PostgreSQL warns of that); `interval` takes a set of fields and a precision.
///
/// # Errors
/// 22023 for bad arguments, 42601 for types that take none.
pub fn parse(oid: Oid, arguments: &[i32]) -> Result<i32> {
    if arguments.is_empty() {
        return Ok(-1);
    }
    let element = type_info(oid).filter(|info| info.is_array()).map_or(oid, |info| info.element);
    match (element, arguments) {
        (oids::VARCHAR, [length]) => check_length(*length, "varchar", MAX_CHARACTERS).map(|n| n + 4),
        (oids::BPCHAR, [length]) => check_length(*length, "char", MAX_CHARACTERS).map(|n| n + 4),
        (oids::BIT, [length]) => check_length(*length, "bit", MAX_BITS),
        (oids::VARBIT, [length]) => check_length(*length, "varbit", MAX_BITS),
        (oids::NUMERIC, [precision]) => numeric(*precision, 0),
        (oids::NUMERIC, [precision, scale]) => numeric(*precision, *scale),
        (oids::NUMERIC, _) => Err(invalid("invalid NUMERIC type modifier")),
        (oids::TIME, [precision]) => time(*precision, "TIME", ""),
        (oids::TIMETZ, [precision]) => time(*precision, "TIME", " WITH TIME ZONE"),
        (oids::TIMESTAMP, [precision]) => time(*precision, "TIMESTAMP", ""),
        (oids::TIMESTAMPTZ, [precision]) => time(*precision, "TIMESTAMP", " WITH TIME ZONE"),
        (oids::INTERVAL, [range]) => Ok(interval::typmod(*range, interval::FULL_PRECISION)),
        (oids::INTERVAL, [range, precision]) => {
            if *precision < 0 {
                return Err(invalid(format!("INTERVAL({precision}) precision must not be negative")));
            }
            Ok(interval::typmod(*range, (*precision).min(6)))
        }
        _ if type_info(element).is_some_and(|info| info.typmod_in.0 != 0) => {
            Err(invalid("invalid type modifier"))
        }
        _ => Err(Error::new(
            SqlState::SYNTAX_ERROR,
            format!("type modifier is not allowed for type \"{}\"", SqlType::new(oid, -1).name()),
        )),
    }
}

fn check_length(length: i32, name: &str, most: i32) -> Result<i32> {
    if length < 1 {
        return Err(invalid(format!("length for type {name} must be at least 1")));
    }
    if length > most {
        return Err(invalid(format!("length for type {name} cannot exceed {most}")));
    }
    Ok(length)
}

fn numeric(precision: i32, scale: i32) -> Result<i32> {
    if !(1..=MAX_PRECISION).contains(&precision) {
        return Err(invalid(format!("NUMERIC precision {precision} must be between 1 and {MAX_PRECISION}")));
    }
    if !(-MAX_PRECISION..=MAX_PRECISION).contains(&scale) {
        return Err(invalid(format!(
            "NUMERIC scale {scale} must be between -{MAX_PRECISION} and {MAX_PRECISION}"
        )));
    }
    Ok(((precision << 16) | (scale & 0x7ff)) + 4)
}

fn time(precision: i32, name: &str, zone: &str) -> Result<i32> {
    if precision < 0 {
        return Err(invalid(format!("{name}({precision}){zone} precision must not be negative")));
    }
    Ok(precision.min(6))
}

/// The text of a modifier as it follows the type's name, for instance `(10,2)`; empty for -1.
pub fn print(oid: Oid, typmod: i32) -> String {
    if typmod < 0 {
        return String::new();
    }
    match oid {
        oids::VARCHAR | oids::BPCHAR if typmod > 4 => format!("({})", typmod - 4),
        oids::BIT | oids::VARBIT => format!("({typmod})"),
        oids::NUMERIC => precision_and_scale(typmod)
            .map_or_else(String::new, |(precision, scale)| format!("({precision},{scale})")),
        oids::TIME | oids::TIMESTAMP => format!("({typmod}) without time zone"),
        oids::TIMETZ | oids::TIMESTAMPTZ => format!("({typmod}) with time zone"),
        oids::INTERVAL => print_interval(typmod),
        _ => String::new(),
    }
}

fn print_interval(typmod: i32) -> String {
    use interval::{DAY, HOUR, MINUTE, MONTH, SECOND, YEAR};
    let range = interval::range(typmod);
    const NAMES: [(i32, &str); 13] = [
        (YEAR, " year"),
        (MONTH, " month"),
        (DAY, " day"),
        (HOUR, " hour"),
        (MINUTE, " minute"),
        (SECOND, " second"),
        (YEAR | MONTH, " year to month"),
        (DAY | HOUR, " day to hour"),
        (DAY | HOUR | MINUTE, " day to minute"),
        (DAY | HOUR | MINUTE | SECOND, " day to second"),
        (HOUR | MINUTE, " hour to minute"),
        (HOUR | MINUTE | SECOND, " hour to second"),
        (MINUTE | SECOND, " minute to second"),
    ];
    let fields = NAMES.iter().find(|(bits, _)| *bits == range).map_or("", |(_, name)| name);
    match interval::precision(typmod) {
        Some(precision) => format!("{fields}({precision})"),
        None => fields.to_owned(),
    }
}

/// A built-in type's SQL name with its modifier, as `format_type`: `character varying(10)`,
/// `timestamp(3) with time zone`, `integer[]`.
pub fn format_type(oid: Oid, typmod: i32) -> String {
    let Some(info) = type_info(oid) else { return "???".to_owned() };
    if info.is_array() {
        return format!("{}[]", format_type(info.element, typmod));
    }
    let shown = print(oid, typmod);
    match oid {
        // Without length, `bit` as a key word would mean `bit(1)`.
        oids::BIT if typmod < 0 => "\"bit\"".to_owned(),
        oids::BIT => format!("bit{shown}"),
        oids::BOOL => "boolean".to_owned(),
        // Without length, `bpchar` and `char` differ: only the former is the type itself.
        oids::BPCHAR if typmod < 0 => "bpchar".to_owned(),
        oids::BPCHAR => format!("character{shown}"),
        oids::CHAR => "\"char\"".to_owned(),
        oids::FLOAT4 => "real".to_owned(),
        oids::FLOAT8 => "double precision".to_owned(),
        oids::INT2 => "smallint".to_owned(),
        oids::INT4 => "integer".to_owned(),
        oids::INT8 => "bigint".to_owned(),
        oids::NUMERIC => format!("numeric{shown}"),
        oids::INTERVAL => format!("interval{shown}"),
        oids::TIME if typmod < 0 => "time without time zone".to_owned(),
        oids::TIMETZ if typmod < 0 => "time with time zone".to_owned(),
        oids::TIMESTAMP if typmod < 0 => "timestamp without time zone".to_owned(),
        oids::TIMESTAMPTZ if typmod < 0 => "timestamp with time zone".to_owned(),
        oids::TIME | oids::TIMETZ => format!("time{shown}"),
        oids::TIMESTAMP | oids::TIMESTAMPTZ => format!("timestamp{shown}"),
        oids::VARBIT => format!("bit varying{shown}"),
        oids::VARCHAR => format!("character varying{shown}"),
        // A name that is a key word of another type is quoted.
        oids::ANY => "\"any\"".to_owned(),
        _ if typmod >= 0 && info.typmod_out.0 == 0 => format!("{}({typmod})", info.name),
        _ => info.name.to_owned(),
    }
}

/// Fits a value to its type's modifier: rounds `numeric(p,s)` and `timestamp(n)`, pads `char(n)`, checks lengths.
/// An `explicit` cast cuts what is too long; an assignment refuses it.
///
/// # Errors
/// 22001, 22026 or 22003 when the value does not fit.
pub fn apply(value: Datum, ty: SqlType, explicit: bool) -> Result<Datum> {
    if ty.typmod < 0 {
        return Ok(value);
    }
    Ok(match (ty.oid, value) {
        (oids::NUMERIC, Datum::Numeric(value)) => Datum::Numeric(value.apply_typmod(ty.typmod)?),
        (oids::VARCHAR, Datum::Bytes(value)) => Datum::Bytes(fit_varchar(value, ty.typmod - 4, explicit)?),
        (oids::BPCHAR, Datum::Bytes(value)) => Datum::Bytes(fit_bpchar(value, ty.typmod - 4, explicit)?),
        (oids::TIMESTAMP | oids::TIMESTAMPTZ | oids::TIME, Datum::Int64(value)) => {
            Datum::Int64(round_micros(value, ty.typmod))
        }
        (oids::TIMETZ, Datum::Bytes(value)) => match crate::datetime::TimeTz::from_bytes(&value) {
            Some(mut time) => {
                time.micros = round_micros(time.micros, ty.typmod);
                Datum::Bytes(time.to_bytes().as_slice().into())
            }
            None => Datum::Bytes(value),
        },
        (oids::INTERVAL, Datum::Interval(value)) => Datum::Interval(fit_interval(value, ty.typmod)),
        (oids::BIT | oids::VARBIT, Datum::Bytes(value)) => Datum::Bytes(fit_bits(value, ty, explicit)?),
        (_, Datum::Array(array)) => {
            let Some(element) = ty.element().filter(|element| apply_matters(*element)) else {
                return Ok(Datum::Array(array));
            };
            let elements = array
                .elements
                .iter()
                .map(|value| apply(value.clone(), element, explicit))
                .collect::<Result<Vec<_>>>()?;
            Datum::Array(std::sync::Arc::new(crate::ArrayValue {
                element: array.element,
                dimensions: array.dimensions.clone(),
                elements,
            }))
        }
        (_, value) => value,
    })
}

fn apply_matters(element: SqlType) -> bool {
    element.typmod >= 0
}

/// The byte at which the character after the first `count` begins; `None` when there are no more than that.
fn end_of_characters(text: &[u8], count: usize) -> Option<usize> {
    if text.len() <= count {
        return None;
    }
    let firsts = text.iter().enumerate().filter(|(_, byte)| begins_character(**byte));
    firsts.map(|(at, _)| at).nth(count)
}

fn begins_character(byte: u8) -> bool {
    byte & 0xC0 != 0x80
}

fn fit_varchar(value: SharedBytes, length: i32, explicit: bool) -> Result<SharedBytes> {
    let text = value.as_slice();
    match end_of_characters(text, length.max(0) as usize) {
        None => Ok(value),
        Some(end) if explicit || text[end..].iter().all(|byte| *byte == b' ') => {
            Ok(SharedBytes::new(&text[..end]))
        }
        Some(_) => Err(too_long("character varying", length)),
    }
}

fn fit_bpchar(value: SharedBytes, length: i32, explicit: bool) -> Result<SharedBytes> {
    let text = value.as_slice();
    if let Some(end) = end_of_characters(text, length.max(0) as usize) {
        return if explicit || text[end..].iter().all(|byte| *byte == b' ') {
            Ok(SharedBytes::new(&text[..end]))
        } else {
            Err(too_long("character", length))
        };
    }
    let missing = length.max(0) as usize - text.iter().filter(|byte| begins_character(**byte)).count();
    if missing == 0 {
        return Ok(value);
    }
    if text.len() + missing > limits::MAX_VALUE_BYTES {
        return Err(Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, "requested length too large"));
    }
    let mut padded = Vec::with_capacity(text.len() + missing);
    padded.extend_from_slice(text);
    padded.resize(text.len() + missing, b' ');
    Ok(SharedBytes::from_vec(padded))
}

fn fit_bits(value: SharedBytes, ty: SqlType, explicit: bool) -> Result<SharedBytes> {
    let length = bit_length(&value);
    let wanted = ty.typmod as usize;
    let fits = if ty.oid == oids::BIT { length == wanted } else { length <= wanted };
    if fits {
        return Ok(value);
    }
    if explicit {
        return Ok(resize_bits(&value, wanted).into());
    }
    Err(if ty.oid == oids::BIT {
        Error::new(
            SqlState::STRING_DATA_LENGTH_MISMATCH,
            format!("bit string length {length} does not match type bit({wanted})"),
        )
    } else {
        too_long_bits(wanted)
    })
}

#[cold]
fn too_long_bits(length: usize) -> Error {
    Error::new(
        SqlState::STRING_DATA_RIGHT_TRUNCATION,
        format!("bit string too long for type bit varying({length})"),
    )
}

#[cold]
fn too_long(name: &str, length: i32) -> Error {
    Error::new(SqlState::STRING_DATA_RIGHT_TRUNCATION, format!("value too long for type {name}({length})"))
}

/// Microseconds rounded to so many digits of the second, half away from zero; infinities stay.
pub fn round_micros(value: i64, precision: i32) -> i64 {
    if !(0..6).contains(&precision) || value == i64::MIN || value == i64::MAX {
        return value;
    }
    let unit = 10i64.pow((6 - precision) as u32);
    let rounded = (value.unsigned_abs() + unit as u64 / 2) / unit as u64 * unit as u64;
    if value < 0 { -(rounded as i64) } else { rounded as i64 }
}

/// An interval cut to a modifier's fields and rounded to its precision.
pub fn fit_interval(value: Interval, typmod: i32) -> Interval {
    use crate::datetime::{USECS_PER_HOUR, USECS_PER_SEC};
    use interval::{DAY, HOUR, MINUTE, MONTH, SECOND, YEAR};
    let minute = 60 * USECS_PER_SEC;
    let mut result = value;
    let range = interval::range(typmod);
    if range != interval::FULL_RANGE {
        let last = [SECOND, MINUTE, HOUR, DAY, MONTH, YEAR].into_iter().find(|bit| range & bit != 0);
        match last {
            Some(YEAR) => result = Interval { months: value.months / 12 * 12, days: 0, micros: 0 },
            Some(MONTH) => result = Interval { months: value.months, days: 0, micros: 0 },
            Some(DAY) => result.micros = 0,
            Some(HOUR) => result.micros -= result.micros % USECS_PER_HOUR,
            Some(MINUTE) => result.micros -= result.micros % minute,
            _ => {}
        }
    }
    if let Some(precision) = interval::precision(typmod) {
        result.micros = round_micros(result.micros, precision);
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let shown = |oid, arguments: &[i32]| format_type(oid, parse(oid, arguments).unwrap());
        assert_eq!(shown(oids::VARCHAR, &[10]), "character varying(10)");
        assert_eq!(shown(oids::NUMERIC, &[10, -2]), "numeric(10,-2)");
        assert_eq!(shown(oids::TIMESTAMPTZ, &[3]), "timestamp(3) with time zone");
        assert_eq!(shown(oids::INTERVAL, &[interval::DAY | interval::HOUR, 2]), "interval day to hour(2)");
        assert_eq!(format_type(oids::INT4_ARRAY, -1), "integer[]");
        assert_eq!(format_type(oids::VARCHAR_ARRAY, 9), "character varying(5)[]");
        assert_eq!(parse(oids::INT4, &[3]).unwrap_err().sqlstate(), SqlState::SYNTAX_ERROR);
    }

    /// Every type's name with some modifiers, as a reference server has them.
    #[test]
    fn names_are_the_references() {
        let mut wrong = Vec::new();
        for line in include_str!("../testdata/format_type.tsv").lines() {
            let fields: Vec<&str> = line.split('\t').collect();
            let [oid, typmod, expected] = fields[..] else { panic!("{line}") };
            let name = format_type(Oid(oid.parse().unwrap()), typmod.parse().unwrap());
            if name != expected {
                wrong.push(format!("{oid} {typmod}: {name} != {expected}"));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn lengths() {
        let fit = |oid, length, text: &str, explicit| {
            apply(Datum::text(text), SqlType::new(oid, length + 4), explicit)
                .map(|value| value.as_str().unwrap().to_owned())
        };
        assert_eq!(fit(oids::VARCHAR, 3, "abc  ", false).unwrap(), "abc");
        assert_eq!(fit(oids::VARCHAR, 3, "äöüß", true).unwrap(), "äöü");
        assert_eq!(
            fit(oids::VARCHAR, 3, "abcd", false).unwrap_err().message(),
            "value too long for type character varying(3)"
        );
        assert_eq!(fit(oids::BPCHAR, 3, "ä", false).unwrap(), "ä  ");
        assert_eq!(round_micros(-1_500_000, 0), -2_000_000);
    }
}
