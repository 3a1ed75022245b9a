//! `to_char`, `to_date`, `to_timestamp`, `to_number`.

mod datetime;
mod number;
mod parse;
mod template;

use ochre_types::{Interval, Numeric};

use super::Implementations;
use super::kernels::Text;

pub(crate) use datetime::timestamp_to_char;

#[rustfmt::skip]
pub(super) fn register(r: &mut Implementations) {
    r.c2::<i64, Text, Option<String>>("timestamp_to_char", |call, value, template| {
        if template.is_empty() || value == i64::MIN || value == i64::MAX { return Ok(None); }
        datetime::timestamp_to_char(value, None, template, &mut call.pace()).map(Some)
    });
    r.c2::<i64, Text, Option<String>>("timestamptz_to_char", |call, value, template| {
        if template.is_empty() || value == i64::MIN || value == i64::MAX { return Ok(None); }
        datetime::timestamp_to_char(value, Some(&call.eval.session.format().time_zone), template, &mut call.pace()).map(Some)
    });
    r.c2::<Interval, Text, Option<String>>("interval_to_char", |call, value, template| {
        if template.is_empty() || !value.is_finite() { return Ok(None); }
        datetime::interval_to_char(value, template, &mut call.pace()).map(Some)
    });
    r.c2::<i32, Text, String>("int4_to_char", |call, value, template| number::to_char(&Numeric::from_i64(value.into()), template, &mut call.pace()));
    r.c2::<i64, Text, String>("int8_to_char", |call, value, template| number::to_char(&Numeric::from_i64(value), template, &mut call.pace()));
    r.c2::<Numeric, Text, String>("numeric_to_char", |call, value, template| number::to_char(value, template, &mut call.pace()));
    r.c2::<f32, Text, String>("float4_to_char", |call, value, template| number::float_to_char(value.into(), 6, template, &mut call.pace()));
    r.c2::<f64, Text, String>("float8_to_char", |call, value, template| number::float_to_char(value, 15, template, &mut call.pace()));
    r.c2::<Text, Text, Option<Numeric>>("numeric_to_number", |call, text, template| number::to_number(text, template, &mut call.pace()));
    r.c2::<Text, Text, i32>("to_date", |call, text, template| parse::to_date(text, template, &mut call.pace()));
    r.c2::<Text, Text, i64>("to_timestamp", |call, text, template| parse::to_timestamp(text, template, &call.eval.session.format().time_zone, &mut call.pace()));
}
