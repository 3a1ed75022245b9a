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
    r.f2::<i64, Text, Option<String>>("timestamp_to_char", |value, template| {
        if template.is_empty() || value == i64::MIN || value == i64::MAX { return Ok(None); }
        datetime::timestamp_to_char(value, None, template).map(Some)
    });
    r.c2::<i64, Text, Option<String>>("timestamptz_to_char", |call, value, template| {
        if template.is_empty() || value == i64::MIN || value == i64::MAX { return Ok(None); }
        datetime::timestamp_to_char(value, Some(&call.eval.session.format().time_zone), template).map(Some)
    });
    r.f2::<Interval, Text, Option<String>>("interval_to_char", |value, template| {
        if template.is_empty() || !value.is_finite() { return Ok(None); }
        datetime::interval_to_char(value, template).map(Some)
    });
    r.f2::<i32, Text, String>("int4_to_char", |value, template| number::to_char(&Numeric::from_i64(value.into()), template));
    r.f2::<i64, Text, String>("int8_to_char", |value, template| number::to_char(&Numeric::from_i64(value), template));
    r.f2::<Numeric, Text, String>("numeric_to_char", number::to_char);
    r.f2::<f32, Text, String>("float4_to_char", |value, template| number::float_to_char(value.into(), 6, template));
    r.f2::<f64, Text, String>("float8_to_char", |value, template| number::float_to_char(value, 15, template));
    r.f2::<Text, Text, Option<Numeric>>("numeric_to_number", number::to_number);
    r.f2::<Text, Text, i32>("to_date", parse::to_date);
    r.c2::<Text, Text, i64>("to_timestamp", |call, text, template| parse::to_timestamp(text, template, &call.eval.session.format().time_zone));
}
