//! Dates, times, timestamps and intervals: the registry's view of `ochre_types::datetime`.

use std::cmp::Ordering;

use ochre_base::{Error, Result, SqlState};
use ochre_types::datetime::{self as dt, TimeTz, USECS_PER_DAY, USECS_PER_SEC};
use ochre_types::{Datum, FormatContext, Interval, Numeric, SqlType, TimeZone, typmod};

use super::Implementations;
use super::integer::comparisons;
use super::kernels::{Arg, Bytes, Ret, Text};
use crate::CallContext;
use crate::errors::{invalid_parameter, wrong_form};

/// A `timetz` by value.
pub(crate) struct TimeTzArg;

impl Arg for TimeTzArg {
    type Ref<'a> = TimeTz;
    fn of(datum: &Datum) -> Option<TimeTz> {
        TimeTz::from_bytes(datum.as_bytes()?)
    }
    fn at(column: &ochre_types::Column, row: usize) -> Option<TimeTz> {
        TimeTz::from_bytes(Bytes::at(column, row)?)
    }
}

impl Ret for TimeTz {
    const PHYSICAL: ochre_types::PhysicalType = ochre_types::PhysicalType::Bytes;
    fn into_datum(self) -> Datum {
        Datum::text(&self.to_bytes()[..])
    }
    fn push(self, builder: &mut ochre_types::ColumnBuilder) {
        builder.push_bytes(&self.to_bytes());
    }
}

fn format<'a>(call: &'a CallContext<'_, '_>) -> &'a FormatContext {
    call.eval.session.format()
}

fn zone<'a>(call: &'a CallContext<'_, '_>) -> &'a TimeZone {
    &format(call).time_zone
}

/// A zone named in an expression.
pub(crate) fn named_zone(name: &str) -> Result<TimeZone> {
    TimeZone::parse_any(name).ok_or_else(|| invalid_parameter(format!("time zone \"{name}\" not recognized")))
}

/// A zone given as an interval east of Greenwich.
fn interval_zone(interval: Interval) -> Result<TimeZone> {
    Ok(TimeZone::fixed(interval_seconds(interval)?))
}

/// The seconds of an interval that gives a zone.
fn interval_seconds(interval: Interval) -> Result<i32> {
    if interval.months != 0 || interval.days != 0 {
        let text =
            ochre_types::to_text(SqlType::INTERVAL, &Datum::Interval(interval), &FormatContext::default())?;
        return Err(invalid_parameter(format!(
            "interval time zone \"{text}\" must not include months or days"
        )));
    }
    Ok((interval.micros / USECS_PER_SEC) as i32)
}

pub(super) fn register(r: &mut Implementations) {
    compare(r);
    convert(r);
    arithmetic(r);
    fields(r);
    construct(r);
    clocks(r);
    zones(r);
    overlaps(r);
}

fn interval_order(a: Interval, b: Interval) -> Ordering {
    a.comparison_value().cmp(&b.comparison_value())
}

/// A date as a timestamp for comparisons: beyond a timestamp's range it still compares right.
fn date_order(date: i32, timestamp: i64) -> Ordering {
    match date {
        i32::MIN | i32::MAX => i64::from(date).signum().cmp(&match timestamp {
            i64::MIN => -1,
            i64::MAX => 1,
            _ => 0,
        }),
        _ if timestamp == i64::MAX => Ordering::Less,
        _ if timestamp == i64::MIN => Ordering::Greater,
        _ => (i128::from(date) * i128::from(USECS_PER_DAY)).cmp(&i128::from(timestamp)),
    }
}

#[rustfmt::skip]
fn compare(r: &mut Implementations) {
    comparisons!(r, i32, i32, "date_eq" "date_ne" "date_lt" "date_le" "date_gt" "date_ge", "date_cmp", |a, b| a.cmp(&b));
    comparisons!(r, i64, i64, "time_eq" "time_ne" "time_lt" "time_le" "time_gt" "time_ge", "time_cmp", |a, b| a.cmp(&b));
    comparisons!(r, i64, i64, "timestamp_eq" "timestamp_ne" "timestamp_lt" "timestamp_le" "timestamp_gt" "timestamp_ge", "timestamp_cmp", |a, b| a.cmp(&b));
    comparisons!(r, Interval, Interval, "interval_eq" "interval_ne" "interval_lt" "interval_le" "interval_gt" "interval_ge", "interval_cmp", |a, b| interval_order(a, b));
    comparisons!(r, i32, i64, "date_eq_timestamp" "date_ne_timestamp" "date_lt_timestamp" "date_le_timestamp" "date_gt_timestamp" "date_ge_timestamp", "date_cmp_timestamp", |a, b| date_order(a, b));
    comparisons!(r, i64, i32, "timestamp_eq_date" "timestamp_ne_date" "timestamp_lt_date" "timestamp_le_date" "timestamp_gt_date" "timestamp_ge_date", "timestamp_cmp_date", |a, b| date_order(b, a).reverse());
    for (suffix, holds) in [("eq", Ordering::is_eq as fn(Ordering) -> bool), ("ne", Ordering::is_ne), ("lt", Ordering::is_lt), ("le", Ordering::is_le), ("gt", Ordering::is_gt), ("ge", Ordering::is_ge)] {
        r.c2::<i32, i64, bool>(names::DATE_TIMESTAMPTZ[index(suffix)], move |call, a, b| Ok(holds(date_tz_order(call, a, b)?)));
        r.c2::<i64, i32, bool>(names::TIMESTAMPTZ_DATE[index(suffix)], move |call, a, b| Ok(holds(date_tz_order(call, b, a)?.reverse())));
        r.c2::<i64, i64, bool>(names::TIMESTAMP_TIMESTAMPTZ[index(suffix)], move |call, a, b| Ok(holds(local_order(call, a, b)?)));
        r.c2::<i64, i64, bool>(names::TIMESTAMPTZ_TIMESTAMP[index(suffix)], move |call, a, b| Ok(holds(local_order(call, b, a)?.reverse())));
        r.f2::<TimeTzArg, TimeTzArg, bool>(names::TIMETZ[index(suffix)], move |a, b| Ok(holds(a.to_bytes().cmp(&b.to_bytes()))));
    }
    r.c2::<i32, i64, i32>("date_cmp_timestamptz", |call, a, b| Ok(date_tz_order(call, a, b)? as i32));
    r.c2::<i64, i32, i32>("timestamptz_cmp_date", |call, a, b| Ok(date_tz_order(call, b, a)?.reverse() as i32));
    r.c2::<i64, i64, i32>("timestamp_cmp_timestamptz", |call, a, b| Ok(local_order(call, a, b)? as i32));
    r.c2::<i64, i64, i32>("timestamptz_cmp_timestamp", |call, a, b| Ok(local_order(call, b, a)?.reverse() as i32));
    r.f2::<TimeTzArg, TimeTzArg, i32>("timetz_cmp", |a, b| Ok(a.to_bytes().cmp(&b.to_bytes()) as i32));
    r.map2::<i32, i32, i32>("date_larger", |a, b| a.max(b));
    r.map2::<i32, i32, i32>("date_smaller", |a, b| a.min(b));
    r.map2::<i64, i64, i64>("time_larger", |a, b| a.max(b));
    r.map2::<i64, i64, i64>("time_smaller", |a, b| a.min(b));
    r.map2::<i64, i64, i64>("timestamp_larger", |a, b| a.max(b));
    r.map2::<i64, i64, i64>("timestamp_smaller", |a, b| a.min(b));
    r.map2::<Interval, Interval, Interval>("interval_larger", |a, b| if interval_order(a, b).is_gt() { a } else { b });
    r.map2::<Interval, Interval, Interval>("interval_smaller", |a, b| if interval_order(a, b).is_lt() { a } else { b });
}

/// The sources of the comparisons that need the session's zone, and of `timetz`, in the order of [`index`].
#[rustfmt::skip]
mod names {
    pub(super) const DATE_TIMESTAMPTZ: [&str; 6] = ["date_eq_timestamptz", "date_ne_timestamptz", "date_lt_timestamptz", "date_le_timestamptz", "date_gt_timestamptz", "date_ge_timestamptz"];
    pub(super) const TIMESTAMPTZ_DATE: [&str; 6] = ["timestamptz_eq_date", "timestamptz_ne_date", "timestamptz_lt_date", "timestamptz_le_date", "timestamptz_gt_date", "timestamptz_ge_date"];
    pub(super) const TIMESTAMP_TIMESTAMPTZ: [&str; 6] = ["timestamp_eq_timestamptz", "timestamp_ne_timestamptz", "timestamp_lt_timestamptz", "timestamp_le_timestamptz", "timestamp_gt_timestamptz", "timestamp_ge_timestamptz"];
    pub(super) const TIMESTAMPTZ_TIMESTAMP: [&str; 6] = ["timestamptz_eq_timestamp", "timestamptz_ne_timestamp", "timestamptz_lt_timestamp", "timestamptz_le_timestamp", "timestamptz_gt_timestamp", "timestamptz_ge_timestamp"];
    pub(super) const TIMETZ: [&str; 6] = ["timetz_eq", "timetz_ne", "timetz_lt", "timetz_le", "timetz_gt", "timetz_ge"];
}

fn index(suffix: &str) -> usize {
    ["eq", "ne", "lt", "le", "gt", "ge"].iter().position(|known| *known == suffix).unwrap_or(0)
}

fn date_tz_order(call: &CallContext<'_, '_>, date: i32, timestamp: i64) -> Result<Ordering> {
    Ok(dt::date_to_timestamptz(date, zone(call))?.cmp(&timestamp))
}

fn local_order(call: &CallContext<'_, '_>, local: i64, timestamp: i64) -> Result<Ordering> {
    Ok(dt::timestamp_to_timestamptz(local, zone(call))?.cmp(&timestamp))
}

fn infinite(timestamp: i64) -> bool {
    timestamp == i64::MIN || timestamp == i64::MAX
}

/// Time of day of a local timestamp.
fn time_of(timestamp: i64) -> i64 {
    timestamp.rem_euclid(USECS_PER_DAY)
}

/// Rounds to a typmod's precision.
fn rescale(value: Datum, ty: SqlType, precision: i32) -> Result<Datum> {
    typmod::apply(value, ty.with_typmod(precision), true)
}

/// Seconds west of Greenwich that a zone is at, at a moment.
fn offset_west(timestamp: i64, zone: &TimeZone) -> Result<i32> {
    Ok(-zone.offset_at(timestamp))
}

#[rustfmt::skip]
fn convert(r: &mut Implementations) {
    r.f1::<i32, i64>("date_timestamp", dt::date_to_timestamp);
    r.c1::<i32, i64>("date_timestamptz", |call, a| dt::date_to_timestamptz(a, zone(call)));
    r.f1::<i64, i32>("timestamp_date", dt::timestamp_to_date);
    r.c1::<i64, i32>("timestamptz_date", |call, a| dt::timestamptz_to_date(a, zone(call)));
    r.c1::<i64, i64>("timestamp_timestamptz", |call, a| dt::timestamp_to_timestamptz(a, zone(call)));
    r.c1::<i64, i64>("timestamptz_timestamp", |call, a| dt::timestamptz_to_timestamp(a, zone(call)));
    r.f1::<i64, Option<i64>>("timestamp_time", |a| Ok((!infinite(a)).then(|| time_of(a))));
    r.c1::<i64, Option<i64>>("timestamptz_time", |call, a| {
        if infinite(a) { return Ok(None); }
        Ok(Some(time_of(dt::timestamptz_to_timestamp(a, zone(call))?)))
    });
    r.c1::<i64, Option<TimeTz>>("timestamptz_timetz", |call, a| {
        if infinite(a) { return Ok(None); }
        let local = dt::timestamptz_to_timestamp(a, zone(call))?;
        Ok(Some(TimeTz { micros: time_of(local), zone: offset_west(a, zone(call))? }))
    });
    r.f2::<i32, i64, i64>("datetime_timestamp", at_time);
    r.f2::<i32, TimeTzArg, i64>("datetimetz_timestamptz", |date, time| at_time(date, greenwich(time)));
    r.c2::<i32, i64, i64>("timestamptz(1082 1083)", |call, date, time| dt::timestamp_to_timestamptz(at_time(date, time)?, zone(call)));
    r.f2::<i64, i32, i64>("timedate_pl(1083 1082)", |time, date| at_time(date, time));
    r.f2::<TimeTzArg, i32, i64>("timetzdate_pl(1266 1082)", |time, date| at_time(date, greenwich(time)));
    r.f1::<i64, Interval>("time_interval", |a| Ok(Interval { months: 0, days: 0, micros: a }));
    r.f1::<Interval, i64>("interval_time", |a| Ok(a.micros.rem_euclid(USECS_PER_DAY)));
    r.c1::<i64, TimeTz>("time_timetz", |call, a| {
        Ok(TimeTz { micros: a, zone: offset_west(call.eval.session.transaction_timestamp(), zone(call))? })
    });
    r.f1::<TimeTzArg, i64>("timetz_time", |a| Ok(a.micros));
    r.row("time_scale", |_, args| rescale(args[0].clone(), SqlType::TIME, integer(&args[1])?));
    r.row("timetz_scale", |_, args| rescale(args[0].clone(), SqlType::TIMETZ, integer(&args[1])?));
    r.row("timestamp_scale", |_, args| rescale(args[0].clone(), SqlType::TIMESTAMP, integer(&args[1])?));
    r.row("timestamptz_scale", |_, args| rescale(args[0].clone(), SqlType::TIMESTAMPTZ, integer(&args[1])?));
    r.row("interval_scale", |_, args| rescale(args[0].clone(), SqlType::INTERVAL, integer(&args[1])?));
}

/// A time of day on a date; infinite dates stay what they are.
fn at_time(date: i32, micros: i64) -> Result<i64> {
    dt::timestamp_add(dt::date_to_timestamp(date)?, Interval { months: 0, days: 0, micros })
}

/// The time of day that it is in Greenwich, beyond midnight or before it where the zone makes it so.
fn greenwich(time: TimeTz) -> i64 {
    time.micros + i64::from(time.zone) * USECS_PER_SEC
}

fn integer(datum: &Datum) -> Result<i32> {
    datum.as_i64().map(|value| value as i32).ok_or_else(|| wrong_form("an integer"))
}

#[rustfmt::skip]
fn arithmetic(r: &mut Implementations) {
    r.f2::<i32, i32, i32>("date_pli", dt::date_add_days);
    r.f2::<i32, i32, i32>("date_mii", |a, b| {
        let days = b.checked_neg().ok_or_else(|| Error::new(SqlState::DATETIME_FIELD_OVERFLOW, "date out of range"))?;
        dt::date_add_days(a, days)
    });
    r.f2::<i32, i32, i32>("integer_pl_date(23 1082)", |a, b| dt::date_add_days(b, a));
    r.f2::<i32, i32, i32>("date_mi", |a, b| {
        if a == i32::MIN || a == i32::MAX || b == i32::MIN || b == i32::MAX {
            return Err(Error::new(SqlState::DATETIME_FIELD_OVERFLOW, "cannot subtract infinite dates"));
        }
        Ok(a.wrapping_sub(b))
    });
    r.f2::<i32, Interval, i64>("date_pl_interval", |a, b| dt::timestamp_add(dt::date_to_timestamp(a)?, b));
    r.f2::<i32, Interval, i64>("date_mi_interval", |a, b| dt::timestamp_add(dt::date_to_timestamp(a)?, dt::interval_neg(b)?));
    r.f2::<i64, Interval, i64>("timestamp_pl_interval", dt::timestamp_add);
    r.f2::<i64, Interval, i64>("timestamp_mi_interval", |a, b| dt::timestamp_add(a, dt::interval_neg(b)?));
    r.c2::<i64, Interval, i64>("timestamptz_pl_interval", |call, a, b| dt::timestamptz_add(a, b, zone(call)));
    r.c2::<i64, Interval, i64>("timestamptz_mi_interval", |call, a, b| dt::timestamptz_add(a, dt::interval_neg(b)?, zone(call)));
    r.f3::<i64, Interval, Text, i64>("timestamptz_pl_interval_at_zone", |a, b, name| dt::timestamptz_add(a, b, &named_zone(name)?));
    r.f3::<i64, Interval, Text, i64>("timestamptz_mi_interval_at_zone", |a, b, name| dt::timestamptz_add(a, dt::interval_neg(b)?, &named_zone(name)?));
    r.f2::<Interval, i32, i64>("interval_pl_date(1186 1082)", |a, b| dt::timestamp_add(dt::date_to_timestamp(b)?, a));
    r.f2::<Interval, i64, i64>("interval_pl_timestamp(1186 1114)", |a, b| dt::timestamp_add(b, a));
    r.c2::<Interval, i64, i64>("interval_pl_timestamptz(1186 1184)", |call, a, b| dt::timestamptz_add(b, a, zone(call)));
    r.f2::<Interval, i64, i64>("interval_pl_time(1186 1083)", |a, b| dt::time_add(b, a));
    r.f2::<Interval, TimeTzArg, TimeTz>("interval_pl_timetz(1186 1266)", |a, b| Ok(TimeTz { micros: dt::time_add(b.micros, a)?, ..b }));
    r.f2::<i64, i64, Interval>("timestamp_mi", dt::timestamp_diff);
    r.f2::<i64, i64, Interval>("timestamp_age", dt::timestamp_age);
    r.c2::<i64, i64, Interval>("timestamptz_age", |call, a, b| dt::timestamptz_age(a, b, zone(call)));
    r.c1::<i64, Interval>("age(1114)", |call, a| {
        let today = dt::timestamptz_to_date(call.eval.session.transaction_timestamp(), zone(call))?;
        dt::timestamp_age(dt::date_to_timestamp(today)?, a)
    });
    r.c1::<i64, Interval>("age(1184)", |call, a| {
        let today = dt::timestamptz_to_date(call.eval.session.transaction_timestamp(), zone(call))?;
        dt::timestamptz_age(dt::date_to_timestamptz(today, zone(call))?, a, zone(call))
    });
    r.f2::<i64, Interval, i64>("time_pl_interval", dt::time_add);
    r.f2::<i64, Interval, i64>("time_mi_interval", |a, b| dt::time_add(a, dt::interval_neg(b)?));
    r.f2::<TimeTzArg, Interval, TimeTz>("timetz_pl_interval", |a, b| Ok(TimeTz { micros: dt::time_add(a.micros, b)?, ..a }));
    r.f2::<TimeTzArg, Interval, TimeTz>("timetz_mi_interval", |a, b| Ok(TimeTz { micros: dt::time_add(a.micros, dt::interval_neg(b)?)?, ..a }));
    r.f2::<i64, i64, Interval>("time_mi_time", |a, b| Ok(Interval { months: 0, days: 0, micros: a - b }));
    r.f2::<Interval, Interval, Interval>("interval_pl", dt::interval_add);
    r.f2::<Interval, Interval, Interval>("interval_mi", dt::interval_sub);
    r.f1::<Interval, Interval>("interval_um", dt::interval_neg);
    r.f2::<Interval, f64, Interval>("interval_mul", dt::interval_mul);
    r.f2::<f64, Interval, Interval>("mul_d_interval", |a, b| dt::interval_mul(b, a));
    r.f2::<Interval, f64, Interval>("interval_div", dt::interval_div);
    r.f1::<Interval, Interval>("interval_justify_hours", dt::justify_hours);
    r.f1::<Interval, Interval>("interval_justify_days", dt::justify_days);
    r.f1::<Interval, Interval>("interval_justify_interval", dt::justify_interval);
    r.map1::<i32, bool>("date_finite", |a| a != i32::MIN && a != i32::MAX);
    r.map1::<i64, bool>("timestamp_finite", |a| !infinite(a));
    r.map1::<Interval, bool>("interval_finite", |a| {
        let extreme = |low: bool| if low { (i32::MIN, i32::MIN, i64::MIN) } else { (i32::MAX, i32::MAX, i64::MAX) };
        let parts = (a.months, a.days, a.micros);
        parts != extreme(true) && parts != extreme(false)
    });
}

#[rustfmt::skip]
fn fields(r: &mut Implementations) {
    r.f2::<Text, i32, Option<Numeric>>("extract_date", dt::extract_date);
    r.f2::<Text, i64, Numeric>("extract_time", dt::extract_time);
    r.f2::<Text, TimeTzArg, Numeric>("extract_timetz", dt::extract_timetz);
    r.f2::<Text, i64, Option<Numeric>>("extract_timestamp", dt::extract_timestamp);
    r.c2::<Text, i64, Option<Numeric>>("extract_timestamptz", |call, field, a| dt::extract_timestamptz(field, a, zone(call)));
    r.f2::<Text, Interval, Option<Numeric>>("extract_interval", dt::extract_interval);
    r.f2::<Text, i64, f64>("time_part", dt::part_time);
    r.f2::<Text, TimeTzArg, f64>("timetz_part", |field, a| dt::extract_timetz(field, a)?.to_f64());
    r.f2::<Text, i64, Option<f64>>("timestamp_part", dt::part_timestamp);
    r.c2::<Text, i64, Option<f64>>("timestamptz_part", |call, field, a| dt::part_timestamptz(field, a, zone(call)));
    r.f2::<Text, Interval, Option<f64>>("interval_part", dt::part_interval);
    r.f2::<Text, i32, Option<f64>>("date_part(25 1082)", |field, a| dt::part_timestamp(field, dt::date_to_timestamp(a)?));
    r.f2::<Text, i64, i64>("timestamp_trunc", dt::timestamp_trunc);
    r.c2::<Text, i64, i64>("timestamptz_trunc", |call, field, a| dt::timestamptz_trunc(field, a, zone(call)));
    r.f3::<Text, i64, Text, i64>("timestamptz_trunc_zone", |field, a, name| dt::timestamptz_trunc(field, a, &named_zone(name)?));
    r.f2::<Text, Interval, Interval>("interval_trunc", dt::interval_trunc);
    r.f3::<Interval, i64, i64, i64>("timestamp_bin", dt::timestamp_bin);
    r.f3::<Interval, i64, i64, i64>("timestamptz_bin", dt::timestamp_bin);
}

#[rustfmt::skip]
fn construct(r: &mut Implementations) {
    r.f3::<i32, i32, i32, i32>("make_date", dt::make_date);
    r.f3::<i32, i32, f64, i64>("make_time", dt::make_time);
    r.row("make_timestamp", |_, a| Ok(Datum::Int64(civil(a)?)));
    r.row("make_timestamptz", |call, a| Ok(Datum::Int64(dt::timestamp_to_timestamptz(civil(a)?, zone(call))?)));
    r.row("make_timestamptz_at_timezone", |_, a| {
        let zone = named_zone(a[6].as_str().unwrap_or_default())?;
        Ok(Datum::Int64(dt::timestamp_to_timestamptz(civil(a)?, &zone)?))
    });
    r.row("make_interval", |_, a| {
        let Datum::Float64(seconds) = a[6] else { return Err(wrong_form("float8")) };
        Ok(Datum::Interval(dt::make_interval(integer(&a[0])?, integer(&a[1])?, integer(&a[2])?, integer(&a[3])?, integer(&a[4])?, integer(&a[5])?, seconds)?))
    });
    r.f1::<f64, i64>("float8_timestamptz", dt::timestamptz_from_epoch);
}

fn civil(a: &[Datum]) -> Result<i64> {
    let Datum::Float64(second) = a[5] else { return Err(wrong_form("float8")) };
    dt::make_timestamp(
        integer(&a[0])?,
        integer(&a[1])?,
        integer(&a[2])?,
        integer(&a[3])?,
        integer(&a[4])?,
        second,
    )
}

#[rustfmt::skip]
fn clocks(r: &mut Implementations) {
    r.row("now", |call, _| Ok(Datum::Int64(call.eval.session.transaction_timestamp())));
    r.row("statement_timestamp", |call, _| Ok(Datum::Int64(call.eval.session.statement_timestamp())));
    r.row("clock_timestamp", |call, _| Ok(Datum::Int64(call.eval.session.clock_timestamp())));
    r.row("timeofday", |call, _| {
        let now = call.eval.session.clock_timestamp();
        let text = super::formatting::timestamp_to_char(now, Some(zone(call)), "Dy Mon DD HH24:MI:SS.US YYYY TZ", &mut call.pace())?;
        Ok(Datum::text(text))
    });
}

#[rustfmt::skip]
fn zones(r: &mut Implementations) {
    r.f2::<Text, i64, i64>("timestamp_zone", |name, a| dt::timestamp_to_timestamptz(a, &named_zone(name)?));
    r.f2::<Text, i64, i64>("timestamptz_zone", |name, a| dt::timestamptz_to_timestamp(a, &named_zone(name)?));
    r.f2::<Interval, i64, i64>("timestamp_izone", |offset, a| dt::timestamp_to_timestamptz(a, &interval_zone(offset)?));
    r.f2::<Interval, i64, i64>("timestamptz_izone", |offset, a| dt::timestamptz_to_timestamp(a, &interval_zone(offset)?));
    r.c2::<Text, TimeTzArg, TimeTz>("timetz_zone", |call, name, a| shift(a, offset_west(call.eval.session.transaction_timestamp(), &named_zone(name)?)?));
    r.f2::<Interval, TimeTzArg, TimeTz>("timetz_izone", |offset, a| {
        let east = interval_seconds(offset)?;
        shift(a, -east)
    });
    r.c1::<i64, i64>("timestamp_at_local", |call, a| dt::timestamp_to_timestamptz(a, zone(call)));
    r.c1::<i64, i64>("timestamptz_at_local", |call, a| dt::timestamptz_to_timestamp(a, zone(call)));
    r.c1::<TimeTzArg, TimeTz>("timetz_at_local", |call, a| shift(a, offset_west(call.eval.session.transaction_timestamp(), zone(call))?));
}

/// The same moment in another zone.
fn shift(time: TimeTz, west: i32) -> Result<TimeTz> {
    let micros = time.micros + i64::from(time.zone - west) * USECS_PER_SEC;
    Ok(TimeTz { micros: micros.rem_euclid(USECS_PER_DAY), zone: west })
}

/// `(start, end) OVERLAPS (start, end)` where an end may be an interval to add to the start.
fn overlaps(r: &mut Implementations) {
    type Add = fn(&CallContext<'_, '_>, i64, Interval) -> Result<i64>;
    fn end_of(call: &CallContext<'_, '_>, start: &Datum, end: &Datum, add: Add) -> Result<Datum> {
        match (start, end) {
            (Datum::Int64(start), Datum::Interval(span)) => Ok(Datum::Int64(add(call, *start, *span)?)),
            (_, Datum::Interval(_)) => Ok(Datum::Null),
            _ => Ok(end.clone()),
        }
    }
    fn run(call: &CallContext<'_, '_>, a: &[Datum], add: Add) -> Result<Datum> {
        let first_end = end_of(call, &a[0], &a[1], add)?;
        let second_end = end_of(call, &a[2], &a[3], add)?;
        Ok(overlap(&a[0], &first_end, &a[2], &second_end).map_or(Datum::Null, Datum::Bool))
    }
    let timestamp: Add = |_, start, span| dt::timestamp_add(start, span);
    let timestamptz: Add = |call, start, span| dt::timestamptz_add(start, span, zone(call));
    let time: Add = |_, start, span| dt::time_add(start, span);
    for source in ["overlaps_timestamp", "overlaps_time", "overlaps_timetz"] {
        r.row(source, move |call, a| run(call, a, timestamp));
    }
    for (source, add) in [
        ("overlaps(1114 1186 1114 1186)", timestamp),
        ("overlaps(1114 1114 1114 1186)", timestamp),
        ("overlaps(1114 1186 1114 1114)", timestamp),
        ("overlaps(1184 1186 1184 1186)", timestamptz),
        ("overlaps(1184 1184 1184 1186)", timestamptz),
        ("overlaps(1184 1186 1184 1184)", timestamptz),
        ("overlaps(1083 1186 1083 1186)", time),
        ("overlaps(1083 1083 1083 1186)", time),
        ("overlaps(1083 1186 1083 1083)", time),
    ] {
        r.row(source, move |call, a| run(call, a, add));
    }
}

/// SQL's OVERLAPS on four values of one ordered type, any of which may be null.
fn overlap(start1: &Datum, end1: &Datum, start2: &Datum, end2: &Datum) -> Option<bool> {
    let order =
        |a: &Datum, b: &Datum| ochre_types::compare::compare_datums(a, b, ochre_types::ValueOrder::Natural);
    // Each period begins with its smaller value; a null end stays behind a known start.
    let ordered = |start: &Datum, end: &Datum| -> Option<(Datum, Datum)> {
        match (start.is_null(), end.is_null()) {
            (true, true) => None,
            (true, false) => Some((end.clone(), Datum::Null)),
            (false, true) => Some((start.clone(), Datum::Null)),
            (false, false) if order(start, end).is_gt() => Some((end.clone(), start.clone())),
            (false, false) => Some((start.clone(), end.clone())),
        }
    };
    let (start1, end1) = ordered(start1, end1)?;
    let (start2, end2) = ordered(start2, end2)?;
    match order(&start1, &start2) {
        Ordering::Greater => {
            if end2.is_null() {
                return None;
            }
            if order(&start1, &end2).is_lt() {
                return Some(true);
            }
            if end1.is_null() { None } else { Some(false) }
        }
        Ordering::Less => {
            if end1.is_null() {
                return None;
            }
            if order(&start2, &end1).is_lt() {
                return Some(true);
            }
            if end2.is_null() { None } else { Some(false) }
        }
        Ordering::Equal => {
            if end1.is_null() || end2.is_null() {
                return None;
            }
            Some(true)
        }
    }
}
