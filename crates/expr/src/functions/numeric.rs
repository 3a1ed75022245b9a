//! `numeric`: the registry's view of the arithmetic in `ochre_types::numeric`.

use std::cmp::Ordering;

use ochre_base::{Error, Result, SqlState};
use ochre_types::{Datum, Numeric};

use super::Implementations;
use super::integer::int4_range;
use super::kernels::Exact;
use crate::CallContext;

#[rustfmt::skip]
pub(super) fn register(r: &mut Implementations) {
    r.numeric_test("numeric_eq", Ordering::is_eq);
    r.numeric_test("numeric_ne", Ordering::is_ne);
    r.numeric_test("numeric_lt", Ordering::is_lt);
    r.numeric_test("numeric_le", Ordering::is_le);
    r.numeric_test("numeric_gt", Ordering::is_gt);
    r.numeric_test("numeric_ge", Ordering::is_ge);
    r.f2::<Numeric, Numeric, i32>("numeric_cmp", |a, b| Ok(a.compare(b) as i32));
    r.f2::<Numeric, Numeric, Numeric>("numeric_larger", |a, b| Ok(if a.compare(b).is_ge() { a } else { b }.clone()));
    r.f2::<Numeric, Numeric, Numeric>("numeric_smaller", |a, b| Ok(if a.compare(b).is_le() { a } else { b }.clone()));
    r.numeric2("numeric_add", Exact::Add, Numeric::add_narrow, |_, a, b| a.add(b));
    r.numeric2("numeric_sub", Exact::Subtract, Numeric::sub_narrow, |_, a, b| a.sub(b));
    r.numeric2("numeric_mul", Exact::Multiply, Numeric::mul_narrow, |call, a, b| a.mul_with(b, || call.eval.session.check_interrupts()));
    r.c2::<Numeric, Numeric, Numeric>("numeric_div", |call, a, b| a.div_with(b, || call.eval.session.check_interrupts()));
    r.c2::<Numeric, Numeric, Numeric>("numeric_div_trunc", |call, a, b| a.div_trunc(b, || call.eval.session.check_interrupts()));
    r.c2::<Numeric, Numeric, Numeric>("numeric_mod", |call, a, b| a.rem(b, || call.eval.session.check_interrupts()));
    r.c2::<Numeric, Numeric, Numeric>("numeric_power", |call, a, b| a.power_with(b, || call.eval.session.check_interrupts()));
    r.c2::<Numeric, Numeric, Numeric>("numeric_log", |call, base, a| a.log(base, || call.eval.session.check_interrupts()));
    r.c2::<Numeric, Numeric, Numeric>("numeric_gcd", |call, a, b| a.gcd(b, || call.eval.session.check_interrupts()));
    r.c2::<Numeric, Numeric, Numeric>("numeric_lcm", |call, a, b| a.lcm(b, || call.eval.session.check_interrupts()));
    r.f1::<Numeric, Numeric>("numeric_inc", |a| a.add(&Numeric::ONE));
    r.f1::<Numeric, Numeric>("numeric_uminus", |a| Ok(a.neg()));
    r.f1::<Numeric, Numeric>("numeric_uplus", |a| Ok(a.clone()));
    r.f1::<Numeric, Numeric>("numeric_abs", |a| Ok(a.abs()));
    r.f1::<Numeric, Numeric>("numeric_sign", |a| Ok(a.sign()));
    r.f1::<Numeric, Numeric>("numeric_ceil", |a| a.ceil());
    r.f1::<Numeric, Numeric>("numeric_floor", |a| a.floor());
    r.c1::<Numeric, Numeric>("numeric_sqrt", |call, a| a.sqrt(|| call.eval.session.check_interrupts()));
    r.c1::<Numeric, Numeric>("numeric_exp", |call, a| a.exp(|| call.eval.session.check_interrupts()));
    r.c1::<Numeric, Numeric>("numeric_ln", |call, a| a.ln(|| call.eval.session.check_interrupts()));
    r.f2::<Numeric, i32, Numeric>("numeric_round", |a, scale| a.round(scale));
    r.f2::<Numeric, i32, Numeric>("numeric_trunc", |a, scale| a.trunc(scale));
    r.f1::<Numeric, Numeric>("round(1700)", |a| a.round(0));
    r.f1::<Numeric, Numeric>("trunc(1700)", |a| a.trunc(0));
    r.c1::<Numeric, Numeric>("log(1700)", |call, a| a.log(&Numeric::from_i64(10), || call.eval.session.check_interrupts()));
    r.c1::<Numeric, Numeric>("log10(1700)", |call, a| a.log(&Numeric::from_i64(10), || call.eval.session.check_interrupts()));
    r.f1::<Numeric, Option<i32>>("numeric_scale", |a| Ok(a.scale()));
    r.f1::<Numeric, Option<i32>>("numeric_min_scale", |a| Ok(a.min_scale()));
    r.f1::<Numeric, Numeric>("numeric_trim_scale", |a| Ok(a.trim_scale()));
    r.c1::<i64, Numeric>("numeric_fac", |call, n| Numeric::factorial(n, || call.eval.session.check_interrupts()));
    r.f1::<Numeric, i16>("numeric_int2", |a| a.to_i16());
    r.f1::<Numeric, i32>("numeric_int4", |a| a.to_i32());
    r.f1::<Numeric, i64>("numeric_int8", |a| a.to_i64());
    r.f1::<Numeric, f32>("numeric_float4", |a| a.to_f32());
    r.f1::<Numeric, f64>("numeric_float8", |a| a.to_f64());
    r.f2::<Numeric, i32, Numeric>("numeric", |a, typmod| a.apply_typmod(typmod));
    r.c4::<Numeric, Numeric, Numeric, i32, i32>("width_bucket_numeric", width_bucket);
    r.row("width_bucket_array", |_, args| {
        let Datum::Array(thresholds) = &args[1] else { return Err(crate::errors::wrong_form("an array")) };
        if thresholds.dimensions.len() > 1 {
            return Err(Error::new(SqlState::ARRAY_SUBSCRIPT_ERROR, "thresholds must be one-dimensional array"));
        }
        if thresholds.has_nulls() {
            return Err(Error::new(SqlState::NULL_VALUE_NOT_ALLOWED, "thresholds array must not contain NULLs"));
        }
        let order = thresholds.element.order();
        let below = thresholds.elements.partition_point(|t| ochre_types::compare::compare_datums(t, &args[0], order).is_le());
        Ok(Datum::Int32(below as i32))
    });
}

fn width_bucket(
    call: &CallContext<'_, '_>,
    operand: &Numeric,
    low: &Numeric,
    high: &Numeric,
    count: i32,
) -> Result<i32> {
    let invalid =
        |message: &str| Error::new(SqlState::INVALID_ARGUMENT_FOR_WIDTH_BUCKET_FUNCTION, message.to_owned());
    if count <= 0 {
        return Err(invalid("count must be greater than zero"));
    }
    if operand.is_nan() || low.is_nan() || high.is_nan() {
        return Err(invalid("operand, lower bound, and upper bound cannot be NaN"));
    }
    if low.is_infinite() || high.is_infinite() {
        return Err(invalid("lower and upper bounds must be finite"));
    }
    let ascending = match low.compare(high) {
        Ordering::Equal => return Err(invalid("lower bound cannot equal upper bound")),
        order => order == Ordering::Less,
    };
    let (from_low, from_high) = (operand.compare(low), operand.compare(high));
    let (below, above) =
        if ascending { (from_low.is_lt(), from_high.is_ge()) } else { (from_low.is_gt(), from_high.is_le()) };
    if below {
        return Ok(0);
    }
    if above {
        return count.checked_add(1).ok_or_else(int4_range);
    }
    let scaled = operand.sub(low)?.mul(&Numeric::from_i64(count.into()))?;
    Ok(scaled.div_trunc(&high.sub(low)?, || call.eval.session.check_interrupts())?.to_i32()? + 1)
}
