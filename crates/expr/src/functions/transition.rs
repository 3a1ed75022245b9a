//! Transition, combine and final functions whose states are arrays: what aggregates of users are made of, too.
//!
//! # Differences
//! An array that is no state is 22023; PostgreSQL calls it an internal error (XX000).

use std::sync::Arc;

use ochre_base::{Error, Result, SqlState};
use ochre_types::{ArrayValue, Datum, Numeric, SqlType};

use super::Implementations;
use super::array::array;
use super::float::overflow;
use crate::errors::wrong_form;

pub(super) fn register(r: &mut Implementations) {
    r.row("int2_avg_accum", |_, args| count_and_sum(args, "int2_avg_accum", 1));
    r.row("int4_avg_accum", |_, args| count_and_sum(args, "int4_avg_accum", 1));
    r.row("int2_avg_accum_inv", |_, args| count_and_sum(args, "int2_avg_accum_inv", -1));
    r.row("int4_avg_accum_inv", |_, args| count_and_sum(args, "int4_avg_accum_inv", -1));
    r.row("int4_avg_combine", |_, args| {
        let ([n, sum], [more, other]) = (integers(&args[0])?, integers(&args[1])?);
        Ok(integer_state([n + more, sum.wrapping_add(other)]))
    });
    r.row("int8_avg", |_, args| {
        let [count, sum] = integers(&args[0])?;
        if count == 0 {
            return Ok(Datum::Null);
        }
        Numeric::from(sum).div(&Numeric::from(count)).map(Datum::Numeric)
    });
    r.row("int8inc_any", |_, args| step(&args[0], 1));
    r.row("int8dec_any", |_, args| step(&args[0], -1));
    r.row("int8dec", |_, args| step(&args[0], -1));
    r.row("int2_sum", |_, args| sum(args));
    r.row("int4_sum", |_, args| sum(args));
    r.row("float8_accum", |_, args| accumulate(&args[0], float(&args[1])?, "float8_accum"));
    r.row("float4_accum", |_, args| accumulate(&args[0], float(&args[1])?, "float4_accum"));
    r.row("float8_combine", |_, args| combine(&args[0], &args[1]));
    r.row("float8_avg", |_, args| {
        let [n, sum, _] = floats(&args[0], "float8_avg")?;
        Ok(if n == 0.0 { Datum::Null } else { Datum::Float64(sum / n) })
    });
    for (name, sample, root) in [
        ("float8_var_pop", false, false),
        ("float8_var_samp", true, false),
        ("float8_stddev_pop", false, true),
        ("float8_stddev_samp", true, true),
    ] {
        r.row(name, move |_, args| {
            let [n, _, squares] = floats(&args[0], name)?;
            let degrees = if sample { n - 1.0 } else { n };
            if degrees <= 0.0 {
                return Ok(Datum::Null);
            }
            let variance = squares / degrees;
            Ok(Datum::Float64(if root { variance.sqrt() } else { variance }))
        });
    }
    r.row("float8_regr_accum", |_, args| accumulate_pair(&args[0], float(&args[2])?, float(&args[1])?));
    r.row("float8_regr_combine", |_, args| combine_pairs(&args[0], &args[1]));
}

fn step(count: &Datum, by: i64) -> Result<Datum> {
    let count = count.as_i64().ok_or_else(|| wrong_form("a bigint"))?;
    let stepped = count.checked_add(by);
    stepped
        .map(Datum::Int64)
        .ok_or_else(|| Error::new(ochre_base::SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "bigint out of range"))
}

/// A sum that begins as NULL and passes over NULLs.
fn sum(args: &[Datum]) -> Result<Datum> {
    Ok(match (args[0].as_i64(), args[1].as_i64()) {
        (None, None) => Datum::Null,
        (Some(sum), None) | (None, Some(sum)) => Datum::Int64(sum),
        (Some(sum), Some(value)) => Datum::Int64(sum.wrapping_add(value)),
    })
}

fn float(value: &Datum) -> Result<f64> {
    match value {
        Datum::Float64(value) => Ok(*value),
        Datum::Float32(value) => Ok(f64::from(*value)),
        _ => Err(wrong_form("a float")),
    }
}

/// What is no state at all: a client can call these functions with anything, which is not the server's fault.
fn wrong_state(message: impl Into<String>) -> Error {
    Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
}

/// The numbers of a state.
fn floats<const N: usize>(state: &Datum, name: &str) -> Result<[f64; N]> {
    let state = array(state)?;
    let wrong = || wrong_state(format!("{name}: expected {N}-element float8 array"));
    if state.dimensions.len() != 1 || state.elements.len() != N {
        return Err(wrong());
    }
    let mut found = [0.0; N];
    for (place, value) in found.iter_mut().zip(&state.elements) {
        match value {
            Datum::Float64(value) => *place = *value,
            _ => return Err(wrong()),
        }
    }
    Ok(found)
}

fn float_state<const N: usize>(values: [f64; N]) -> Datum {
    Datum::Array(Arc::new(ArrayValue::vector(SqlType::FLOAT8, values.map(Datum::Float64).to_vec())))
}

fn integers(state: &Datum) -> Result<[i64; 2]> {
    match array(state)?.elements.as_slice() {
        [Datum::Int64(count), Datum::Int64(sum)] => Ok([*count, *sum]),
        _ => Err(wrong_state("expected 2-element int8 array")),
    }
}

fn integer_state(values: [i64; 2]) -> Datum {
    Datum::Array(Arc::new(ArrayValue::vector(SqlType::INT8, values.map(Datum::Int64).to_vec())))
}

fn count_and_sum(args: &[Datum], name: &str, sign: i64) -> Result<Datum> {
    let [count, sum] = integers(&args[0])?;
    let value = args[1].as_i64().ok_or_else(|| wrong_form(name))?;
    Ok(integer_state([count + sign, sum.wrapping_add(sign * value)]))
}

/// Number, sum and sum of squared deviations with one value more, after Youngs and Cramer.
fn accumulate(state: &Datum, x: f64, name: &str) -> Result<Datum> {
    let [before, sum_before, mut squares] = floats(state, name)?;
    let (n, sum) = (before + 1.0, sum_before + x);
    if before > 0.0 {
        let deviation = x * n - sum;
        squares += deviation * deviation / (n * before);
        if sum.is_infinite() || squares.is_infinite() {
            if !sum_before.is_infinite() && !x.is_infinite() {
                return Err(overflow());
            }
            squares = f64::NAN;
        }
    } else if !x.is_finite() {
        squares = f64::NAN;
    }
    Ok(float_state([n, sum, squares]))
}

fn combine(one: &Datum, other: &Datum) -> Result<Datum> {
    let [n1, sum1, squares1] = floats(one, "float8_combine")?;
    let [n2, sum2, squares2] = floats(other, "float8_combine")?;
    if n1 == 0.0 {
        return Ok(other.clone());
    }
    if n2 == 0.0 {
        return Ok(one.clone());
    }
    let n = n1 + n2;
    let sum = sum1 + sum2;
    if sum.is_infinite() && !sum1.is_infinite() && !sum2.is_infinite() {
        return Err(overflow());
    }
    let distance = sum1 / n1 - sum2 / n2;
    let squares = squares1 + squares2 + n1 * n2 * distance * distance / n;
    if squares.is_infinite() && !squares1.is_infinite() && !squares2.is_infinite() {
        return Err(overflow());
    }
    Ok(float_state([n, sum, squares]))
}

/// As [`accumulate`], of pairs: number, sums and sums of squares of x and y, sum of products.
fn accumulate_pair(state: &Datum, x: f64, y: f64) -> Result<Datum> {
    let [before, sum_x_before, mut xx, sum_y_before, mut yy, mut xy] = floats(state, "float8_regr_accum")?;
    let (n, sum_x, sum_y) = (before + 1.0, sum_x_before + x, sum_y_before + y);
    if before > 0.0 {
        let (dx, dy, scale) = (x * n - sum_x, y * n - sum_y, 1.0 / (n * before));
        xx += dx * dx * scale;
        yy += dy * dy * scale;
        xy += dx * dy * scale;
        let finite_x = !sum_x_before.is_infinite() && !x.is_infinite();
        let finite_y = !sum_y_before.is_infinite() && !y.is_infinite();
        if [sum_x, xx, sum_y, yy, xy].iter().any(|value| value.is_infinite()) {
            if (sum_x.is_infinite() || xx.is_infinite()) && finite_x
                || (sum_y.is_infinite() || yy.is_infinite()) && finite_y
                || xy.is_infinite() && finite_x && finite_y
            {
                return Err(overflow());
            }
            for value in [&mut xx, &mut yy, &mut xy] {
                if value.is_infinite() {
                    *value = f64::NAN;
                }
            }
        }
    } else {
        if !x.is_finite() {
            (xx, xy) = (f64::NAN, f64::NAN);
        }
        if !y.is_finite() {
            (yy, xy) = (f64::NAN, f64::NAN);
        }
    }
    Ok(float_state([n, sum_x, xx, sum_y, yy, xy]))
}

fn combine_pairs(one: &Datum, other: &Datum) -> Result<Datum> {
    let [n1, x1, xx1, y1, yy1, xy1] = floats(one, "float8_regr_combine")?;
    let [n2, x2, xx2, y2, yy2, xy2] = floats(other, "float8_regr_combine")?;
    if n1 == 0.0 {
        return Ok(other.clone());
    }
    if n2 == 0.0 {
        return Ok(one.clone());
    }
    let n = n1 + n2;
    let checked =
        |value: f64, parts: [f64; 2]| match value.is_infinite() && parts.iter().all(|p| p.is_finite()) {
            true => Err(overflow()),
            false => Ok(value),
        };
    let (dx, dy) = (x1 / n1 - x2 / n2, y1 / n1 - y2 / n2);
    let joined =
        |one: f64, other: f64, product: f64| checked(one + other + n1 * n2 * product / n, [one, other]);
    Ok(float_state([
        n,
        checked(x1 + x2, [x1, x2])?,
        joined(xx1, xx2, dx * dx)?,
        checked(y1 + y2, [y1, y2])?,
        joined(yy1, yy2, dy * dy)?,
        joined(xy1, xy2, dx * dy)?,
    ]))
}
