//! `float4` and `float8`: arithmetic with PostgreSQL's range errors, comparison with NaN above all, elementary functions.

use std::cmp::Ordering;

use ochre_base::{Error, Result, SqlState};
use ochre_types::Numeric;

use super::Implementations;
use super::integer::{int4_range, int8_range};
use crate::errors::{division_by_zero, out_of_range};

#[cold]
pub(crate) fn overflow() -> Error {
    Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "value out of range: overflow")
}

#[cold]
fn underflow() -> Error {
    Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "value out of range: underflow")
}

#[cold]
fn input_range() -> Error {
    Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "input is out of range")
}

/// SQL's order of floats: NaN equals itself and is above everything else.
#[inline]
pub(crate) fn order64(a: f64, b: f64) -> Ordering {
    a.partial_cmp(&b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
}

/// The six comparisons; written so that the common case needs no branch.
macro_rules! float_comparisons {
    ($r:ident, $a:ty, $b:ty, $eq:literal $ne:literal $lt:literal $le:literal $gt:literal $ge:literal, $cmp:literal) => {
        $r.map2::<$a, $b, bool>($eq, |a, b| (f64::from(a) == f64::from(b)) | (a.is_nan() & b.is_nan()));
        $r.map2::<$a, $b, bool>($ne, |a, b| (f64::from(a) != f64::from(b)) & !(a.is_nan() & b.is_nan()));
        $r.map2::<$a, $b, bool>($lt, |a, b| (f64::from(a) < f64::from(b)) | (!a.is_nan() & b.is_nan()));
        $r.map2::<$a, $b, bool>($le, |a, b| (f64::from(a) <= f64::from(b)) | b.is_nan());
        $r.map2::<$a, $b, bool>($gt, |a, b| (f64::from(a) > f64::from(b)) | (a.is_nan() & !b.is_nan()));
        $r.map2::<$a, $b, bool>($ge, |a, b| (f64::from(a) >= f64::from(b)) | a.is_nan());
        $r.map2::<$a, $b, i32>($cmp, |a, b| order64(f64::from(a), f64::from(b)) as i32);
    };
}

macro_rules! float_arithmetic {
    ($r:ident, $a:ty, $b:ty, $wide:ty, $add:literal $sub:literal $mul:literal $div:literal) => {
        $r.checked2::<$a, $b, $wide>(
            $add,
            |_, _| overflow(),
            |a, b| {
                let (a, b) = (<$wide>::from(a), <$wide>::from(b));
                (a + b, (a + b).is_infinite() & !a.is_infinite() & !b.is_infinite())
            },
        );
        $r.checked2::<$a, $b, $wide>(
            $sub,
            |_, _| overflow(),
            |a, b| {
                let (a, b) = (<$wide>::from(a), <$wide>::from(b));
                (a - b, (a - b).is_infinite() & !a.is_infinite() & !b.is_infinite())
            },
        );
        $r.checked2::<$a, $b, $wide>(
            $mul,
            |a, b| if (<$wide>::from(a) * <$wide>::from(b)).is_infinite() { overflow() } else { underflow() },
            |a, b| {
                let (a, b) = (<$wide>::from(a), <$wide>::from(b));
                let product = a * b;
                let over = product.is_infinite() & !a.is_infinite() & !b.is_infinite();
                let under = (product == 0.0) & (a != 0.0) & (b != 0.0);
                (product, over | under)
            },
        );
        $r.try2::<$a, $b, $wide>($div, |a, b| {
            let (a, b) = (<$wide>::from(a), <$wide>::from(b));
            if b == 0.0 && !a.is_nan() {
                return Err(division_by_zero());
            }
            let quotient = a / b;
            if quotient.is_infinite() && !a.is_infinite() {
                return Err(overflow());
            }
            if quotient == 0.0 && a != 0.0 && !b.is_infinite() {
                return Err(underflow());
            }
            Ok(quotient)
        });
    };
}

#[rustfmt::skip]
pub(super) fn register(r: &mut Implementations) {
    float_comparisons!(r, f32, f32, "float4eq" "float4ne" "float4lt" "float4le" "float4gt" "float4ge", "btfloat4cmp");
    float_comparisons!(r, f64, f64, "float8eq" "float8ne" "float8lt" "float8le" "float8gt" "float8ge", "btfloat8cmp");
    float_comparisons!(r, f32, f64, "float48eq" "float48ne" "float48lt" "float48le" "float48gt" "float48ge", "btfloat48cmp");
    float_comparisons!(r, f64, f32, "float84eq" "float84ne" "float84lt" "float84le" "float84gt" "float84ge", "btfloat84cmp");
    float_arithmetic!(r, f32, f32, f32, "float4pl" "float4mi" "float4mul" "float4div");
    float_arithmetic!(r, f64, f64, f64, "float8pl" "float8mi" "float8mul" "float8div");
    float_arithmetic!(r, f32, f64, f64, "float48pl" "float48mi" "float48mul" "float48div");
    float_arithmetic!(r, f64, f32, f64, "float84pl" "float84mi" "float84mul" "float84div");
    r.map1::<f32, f32>("float4um", |a| -a);
    r.map1::<f64, f64>("float8um", |a| -a);
    r.map1::<f32, f32>("float4up", |a| a);
    r.map1::<f64, f64>("float8up", |a| a);
    r.map1::<f32, f32>("float4abs", f32::abs);
    r.map1::<f64, f64>("float8abs", f64::abs);
    r.map2::<f32, f32, f32>("float4larger", |a, b| if order64(a.into(), b.into()).is_ge() { a } else { b });
    r.map2::<f32, f32, f32>("float4smaller", |a, b| if order64(a.into(), b.into()).is_le() { a } else { b });
    r.map2::<f64, f64, f64>("float8larger", |a, b| if order64(a, b).is_ge() { a } else { b });
    r.map2::<f64, f64, f64>("float8smaller", |a, b| if order64(a, b).is_le() { a } else { b });
    convert(r);
    elementary(r);
    trigonometry(r);
}

#[rustfmt::skip]
fn convert(r: &mut Implementations) {
    r.map1::<f32, f64>("ftod", f64::from);
    r.f1::<f64, f32>("dtof", |a| {
        let narrow = a as f32;
        if narrow.is_infinite() && !a.is_infinite() { return Err(overflow()); }
        if narrow == 0.0 && a != 0.0 { return Err(underflow()); }
        Ok(narrow)
    });
    r.f1::<f64, i16>("dtoi2", |a| to_integer(a, -32768.0, 32768.0, || out_of_range("smallint")).map(|v| v as i16));
    r.f1::<f64, i32>("dtoi4", |a| to_integer(a, -2147483648.0, 2147483648.0, int4_range).map(|v| v as i32));
    r.f1::<f64, i64>("dtoi8", |a| to_integer(a, -9223372036854775808.0, 9223372036854775808.0, int8_range));
    r.f1::<f32, i16>("ftoi2", |a| to_integer(a.into(), -32768.0, 32768.0, || out_of_range("smallint")).map(|v| v as i16));
    r.f1::<f32, i32>("ftoi4", |a| to_integer(a.into(), -2147483648.0, 2147483648.0, int4_range).map(|v| v as i32));
    r.f1::<f32, i64>("ftoi8", |a| to_integer(a.into(), -9223372036854775808.0, 9223372036854775808.0, int8_range));
    r.f1::<f32, Numeric>("float4_numeric", |a| Ok(Numeric::from_f32(a)));
    r.f1::<f64, Numeric>("float8_numeric", |a| Ok(Numeric::from_f64(a)));
}

/// Rounds half to even, then checks the range `[low, high)`.
fn to_integer(value: f64, low: f64, high: f64, fail: fn() -> Error) -> Result<i64> {
    let rounded = value.round_ties_even();
    if rounded.is_nan() || rounded < low || rounded >= high { Err(fail()) } else { Ok(rounded as i64) }
}

fn finite(input_infinite: bool, result: f64) -> Result<f64> {
    if result.is_infinite() && !input_infinite { Err(overflow()) } else { Ok(result) }
}

#[rustfmt::skip]
fn elementary(r: &mut Implementations) {
    r.map1::<f64, f64>("dceil", f64::ceil);
    r.map1::<f64, f64>("dfloor", f64::floor);
    r.map1::<f64, f64>("dround", f64::round_ties_even);
    r.map1::<f64, f64>("dtrunc", f64::trunc);
    r.map1::<f64, f64>("dsign", |a| if a > 0.0 { 1.0 } else if a < 0.0 { -1.0 } else { 0.0 });
    r.map1::<f64, f64>("dcbrt", f64::cbrt);
    r.f1::<f64, f64>("dsqrt", |a| {
        if a < 0.0 {
            return Err(Error::new(SqlState::INVALID_ARGUMENT_FOR_POWER_FUNCTION, "cannot take square root of a negative number"));
        }
        Ok(a.sqrt())
    });
    r.f2::<f64, f64, f64>("dpow", power);
    r.f1::<f64, f64>("dexp", |a| {
        if a.is_nan() { return Ok(a); }
        if a.is_infinite() { return Ok(if a > 0.0 { a } else { 0.0 }); }
        let result = a.exp();
        if result == 0.0 { return Err(underflow()); }
        finite(false, result)
    });
    r.f1::<f64, f64>("dlog1", |a| logarithm(a, f64::ln));
    r.f1::<f64, f64>("dlog10", |a| logarithm(a, f64::log10));
    r.row("dpi", |_, _| Ok(ochre_types::Datum::Float64(std::f64::consts::PI)));
    r.f1::<f64, f64>("degrees", |a| finite(a.is_infinite(), a / (std::f64::consts::PI / 180.0)));
    r.map1::<f64, f64>("radians", |a| a * (std::f64::consts::PI / 180.0));
    r.f4::<f64, f64, f64, i32, i32>("width_bucket_float8", width_bucket);
}

fn logarithm(a: f64, log: fn(f64) -> f64) -> Result<f64> {
    if a == 0.0 {
        return Err(Error::new(SqlState::INVALID_ARGUMENT_FOR_LOGARITHM, "cannot take logarithm of zero"));
    }
    if a < 0.0 {
        return Err(Error::new(
            SqlState::INVALID_ARGUMENT_FOR_LOGARITHM,
            "cannot take logarithm of a negative number",
        ));
    }
    Ok(log(a))
}

pub(crate) fn power(a: f64, b: f64) -> Result<f64> {
    let invalid = |message: &str| Err(Error::new(SqlState::INVALID_ARGUMENT_FOR_POWER_FUNCTION, message));
    if a.is_nan() {
        return Ok(if b == 0.0 { 1.0 } else { a });
    }
    if b.is_nan() {
        return Ok(if a == 1.0 { 1.0 } else { b });
    }
    if a == 0.0 && b < 0.0 {
        return invalid("zero raised to a negative power is undefined");
    }
    if a < 0.0 && b.floor() != b {
        return invalid("a negative number raised to a non-integer power yields a complex result");
    }
    let result = a.powf(b);
    if a.is_infinite() || b.is_infinite() {
        return Ok(result);
    }
    if result == 0.0 && a != 0.0 {
        return Err(underflow());
    }
    finite(false, result)
}

fn width_bucket(operand: f64, low: f64, high: f64, count: i32) -> Result<i32> {
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
    if low == high {
        return Err(invalid("lower bound cannot equal upper bound"));
    }
    let (inside, below) = if low < high {
        ((operand - low) / (high - low), operand < low)
    } else {
        ((low - operand) / (low - high), operand > low)
    };
    if below {
        return Ok(0);
    }
    if (low < high && operand >= high) || (low > high && operand <= high) {
        return count.checked_add(1).ok_or_else(int4_range);
    }
    Ok(((inside * f64::from(count)) as i32).min(count - 1) + 1)
}

#[rustfmt::skip]
fn trigonometry(r: &mut Implementations) {
    r.f1::<f64, f64>("dsin", |a| trig(a, f64::sin));
    r.f1::<f64, f64>("dcos", |a| trig(a, f64::cos));
    r.f1::<f64, f64>("dtan", |a| trig(a, f64::tan));
    r.f1::<f64, f64>("dcot", |a| trig(a, |a| 1.0 / a.tan()));
    r.f1::<f64, f64>("dasin", |a| unit(a, f64::asin));
    r.f1::<f64, f64>("dacos", |a| unit(a, f64::acos));
    r.map1::<f64, f64>("datan", f64::atan);
    r.map2::<f64, f64, f64>("datan2", f64::atan2);
    r.map1::<f64, f64>("dsinh", f64::sinh);
    r.map1::<f64, f64>("dcosh", f64::cosh);
    r.map1::<f64, f64>("dtanh", f64::tanh);
    r.map1::<f64, f64>("dasinh", f64::asinh);
    r.f1::<f64, f64>("dacosh", |a| if a < 1.0 { Err(input_range()) } else { Ok(a.acosh()) });
    r.f1::<f64, f64>("datanh", |a| unit(a, f64::atanh));
    r.f1::<f64, f64>("dsind", |a| trig(a, sine_of_degrees));
    r.f1::<f64, f64>("dcosd", |a| trig(a, cosine_of_degrees));
    r.f1::<f64, f64>("dtand", |a| trig(a, |a| exact(sine_of_degrees(a) / cosine_of_degrees(a))));
    r.f1::<f64, f64>("dcotd", |a| trig(a, |a| exact(cosine_of_degrees(a) / sine_of_degrees(a))));
    r.f1::<f64, f64>("dasind", |a| unit(a, |a| in_degrees(a.asin(), &[(0.0, 0.0), (0.5, 30.0), (1.0, 90.0), (-0.5, -30.0), (-1.0, -90.0)], a)));
    r.f1::<f64, f64>("dacosd", |a| unit(a, |a| in_degrees(a.acos(), &[(0.0, 90.0), (0.5, 60.0), (1.0, 0.0), (-0.5, 120.0), (-1.0, 180.0)], a)));
    r.map1::<f64, f64>("datand", |a| in_degrees(a.atan(), &[(0.0, 0.0), (1.0, 45.0), (-1.0, -45.0)], a));
    r.map2::<f64, f64, f64>("datan2d", |a, b| a.atan2(b).to_degrees());
}

fn trig(a: f64, f: fn(f64) -> f64) -> Result<f64> {
    if a.is_infinite() { Err(input_range()) } else { Ok(f(a)) }
}

fn unit(a: f64, f: fn(f64) -> f64) -> Result<f64> {
    if (-1.0..=1.0).contains(&a) || a.is_nan() { Ok(f(a)) } else { Err(input_range()) }
}

/// Degrees, exact at the listed points.
fn in_degrees(radians: f64, exact_points: &[(f64, f64)], argument: f64) -> f64 {
    let listed = exact_points.iter().find(|(point, _)| *point == argument);
    listed.map_or(radians * (180.0 / std::f64::consts::PI), |(_, degrees)| *degrees)
}

/// Sine of an angle in degrees, exact at multiples of 30.
fn sine_of_degrees(degrees: f64) -> f64 {
    let (turned, negative) = (degrees.abs() % 360.0, degrees < 0.0);
    let (half, flip) = if turned > 180.0 { (turned - 180.0, true) } else { (turned, false) };
    let acute = if half > 90.0 { 180.0 - half } else { half };
    let value = if acute == 30.0 {
        0.5
    } else if acute == 90.0 {
        1.0
    } else if acute > 45.0 {
        (90.0 - acute).to_radians().cos()
    } else {
        acute.to_radians().sin()
    };
    if flip != negative { -value } else { value }
}

/// Cosine of an angle in degrees, exact at multiples of 30.
fn cosine_of_degrees(degrees: f64) -> f64 {
    let turned = degrees.abs() % 360.0;
    let half = if turned > 180.0 { 360.0 - turned } else { turned };
    let (acute, negative) = if half > 90.0 { (180.0 - half, true) } else { (half, false) };
    let value = if acute == 60.0 {
        0.5
    } else if acute == 90.0 {
        0.0
    } else if acute > 45.0 {
        (90.0 - acute).to_radians().sin()
    } else {
        acute.to_radians().cos()
    };
    if negative { -value } else { value }
}

/// Tangents at multiples of 45 degrees come out as whole numbers.
fn exact(tangent: f64) -> f64 {
    if (tangent.abs() - 1.0).abs() < 4.0 * f64::EPSILON { tangent.signum() } else { tangent }
}
