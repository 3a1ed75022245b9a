//! Arithmetic on dates, times and intervals as a reference server does it; see `scripts/generate_datetime_cases.py`.

use ochre_base::{Oid, Result};
use ochre_types::datetime::{self as dt, TimeTz};
use ochre_types::{Datum, FormatContext, Interval, Numeric, SqlType, TimeZone, oids, parse_text, to_text};

fn context() -> FormatContext {
    FormatContext { time_zone: TimeZone::parse("America/New_York").unwrap(), ..FormatContext::default() }
}

fn read(oid: Oid, text: &str) -> Result<Datum> {
    parse_text(SqlType::new(oid, -1), text, &context())
}

fn int64(oid: Oid, text: &str) -> Result<i64> {
    read(oid, text).map(|value| value.as_i64().unwrap())
}

fn interval(text: &str) -> Result<Interval> {
    match read(oids::INTERVAL, text)? {
        Datum::Interval(interval) => Ok(interval),
        other => panic!("{other:?}"),
    }
}

fn number(value: Option<Numeric>) -> String {
    value.map_or_else(|| "NULL".to_owned(), |value| value.to_string())
}

fn shown(oid: Oid, value: Datum) -> String {
    to_text(SqlType::new(oid, -1), &value, &context()).unwrap()
}

fn answer(operation: &str, args: &[&str]) -> Result<String> {
    let zone = context().time_zone;
    let berlin = TimeZone::parse("Europe/Berlin").unwrap();
    let stamp = |at: usize| int64(oids::TIMESTAMP, args[at]);
    let stamptz = |at: usize| int64(oids::TIMESTAMPTZ, args[at]);
    let date = |at: usize| int64(oids::DATE, args[at]).map(|days| days as i32);
    let time = |at: usize| int64(oids::TIME, args[at]);
    let span = |at: usize| interval(args[at]);
    let int = |at: usize| args[at].parse::<i32>().unwrap();
    let float = |at: usize| args[at].parse::<f64>().unwrap();
    let a_stamp = |value: i64| shown(oids::TIMESTAMP, Datum::Int64(value));
    let a_stamptz = |value: i64| shown(oids::TIMESTAMPTZ, Datum::Int64(value));
    let a_span = |value: Interval| shown(oids::INTERVAL, Datum::Interval(value));
    let a_date = |value: i32| shown(oids::DATE, Datum::Int32(value));
    let a_time = |value: i64| shown(oids::TIME, Datum::Int64(value));
    Ok(match operation {
        "timestamp_add" => a_stamp(dt::timestamp_add(stamp(0)?, span(1)?)?),
        "timestamptz_add" => a_stamptz(dt::timestamptz_add(stamptz(0)?, span(1)?, &zone)?),
        "extract_timestamp" => number(dt::extract_timestamp(args[0], stamp(1)?)?),
        "extract_timestamptz" => number(dt::extract_timestamptz(args[0], stamptz(1)?, &zone)?),
        "extract_date" => number(dt::extract_date(args[0], date(1)?)?),
        "extract_time" => dt::extract_time(args[0], time(1)?)?.to_string(),
        "extract_timetz" => {
            let bytes = read(oids::TIMETZ, args[1])?;
            dt::extract_timetz(args[0], TimeTz::from_bytes(bytes.as_bytes().unwrap()).unwrap())?.to_string()
        }
        "extract_interval" => number(dt::extract_interval(args[0], span(1)?)?),
        "trunc_timestamp" => a_stamp(dt::timestamp_trunc(args[0], stamp(1)?)?),
        "trunc_timestamptz" => a_stamptz(dt::timestamptz_trunc(args[0], stamptz(1)?, &zone)?),
        "trunc_interval" => a_span(dt::interval_trunc(args[0], span(1)?)?),
        "timestamp_diff" => a_span(dt::timestamp_diff(stamp(0)?, stamp(1)?)?),
        "timestamp_age" => a_span(dt::timestamp_age(stamp(0)?, stamp(1)?)?),
        "timestamptz_age" => a_span(dt::timestamptz_age(stamptz(0)?, stamptz(1)?, &zone)?),
        "timestamp_bin" => a_stamp(dt::timestamp_bin(span(0)?, stamp(1)?, stamp(2)?)?),
        "timestamp_to_timestamptz" => a_stamptz(dt::timestamp_to_timestamptz(stamp(0)?, &berlin)?),
        "timestamptz_to_timestamp" => a_stamp(dt::timestamptz_to_timestamp(stamptz(0)?, &berlin)?),
        "interval_add" => a_span(dt::interval_add(span(0)?, span(1)?)?),
        "interval_sub" => a_span(dt::interval_sub(span(0)?, span(1)?)?),
        "interval_mul" => a_span(dt::interval_mul(span(0)?, float(1))?),
        "interval_div" => a_span(dt::interval_div(span(0)?, float(1))?),
        "interval_neg" => a_span(dt::interval_neg(span(0)?)?),
        "justify_hours" => a_span(dt::justify_hours(span(0)?)?),
        "justify_days" => a_span(dt::justify_days(span(0)?)?),
        "justify_interval" => a_span(dt::justify_interval(span(0)?)?),
        "time_add" => a_time(dt::time_add(time(0)?, span(1)?)?),
        "time_sub" => a_time(dt::time_sub(time(0)?, span(1)?)?),
        "make_date" => a_date(dt::make_date(int(0), int(1), int(2))?),
        "make_time" => a_time(dt::make_time(int(0), int(1), float(2))?),
        "make_timestamp" => a_stamp(dt::make_timestamp(int(0), int(1), int(2), int(3), int(4), float(5))?),
        "make_interval" => {
            a_span(dt::make_interval(int(0), int(1), int(2), int(3), int(4), int(5), float(6))?)
        }
        "to_timestamp" => a_stamptz(dt::timestamptz_from_epoch(float(0))?),
        "date_to_timestamp" => a_stamp(dt::date_to_timestamp(date(0)?)?),
        "date_to_timestamptz" => a_stamptz(dt::date_to_timestamptz(date(0)?, &zone)?),
        "date_add" => a_date(dt::date_add_days(date(0)?, int(1))?),
        other => panic!("{other}"),
    })
}

#[test]
fn arithmetic_is_the_references() {
    let mut wrong = Vec::new();
    for line in include_str!("../testdata/datetime.tsv").lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        let (operation, args, expected) = (fields[0], &fields[1..fields.len() - 1], fields[fields.len() - 1]);
        let text = answer(operation, args)
            .unwrap_or_else(|error| format!("!{} {}", error.sqlstate(), error.message()));
        if text != expected {
            wrong.push(format!("{operation} {args:?}\n    gives {text}\n   wanted {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}
