//! Roots, exponentials and logarithms, to as many digits as PostgreSQL shows.

use ochre_base::{Error, Result, SqlState};

use super::limbs::{DIGITS, Limbs, overflow};

/// Significant digits that a division or function gives at least.
pub(super) const MIN_SIGNIFICANT_DIGITS: i32 = 16;
/// Most digits after the point that a division or function gives.
pub(super) const MAX_DISPLAY_SCALE: i32 = 1000;
const MAX_RESULT_SCALE: i32 = 2000;
const LN_10: f64 = std::f64::consts::LN_10;
const LOG10_E: f64 = std::f64::consts::LOG10_E;

fn display_scale(wanted: i32, inputs: &[&Limbs]) -> i32 {
    inputs.iter().fold(wanted, |scale, input| scale.max(input.scale)).clamp(0, MAX_DISPLAY_SCALE)
}

/// The scale of `a / b` (its select_div_scale rule): at least 16 significant digits and both inputs' scales.
pub(super) fn division_scale(a: &Limbs, b: &Limbs) -> i32 {
    let first = |x: &Limbs| x.digits.first().copied().unwrap_or(0);
    let mut weight = a.weight - b.weight;
    if first(a) <= first(b) {
        weight -= 1;
    }
    display_scale(MIN_SIGNIFICANT_DIGITS - weight * DIGITS, &[a, b])
}

/// Asked now and then whether to go on.
pub(super) type Check<'a> = &'a dyn Fn() -> Result<()>;

/// The square root of a number that is not negative.
pub(super) fn sqrt(x: &Limbs, check: Check<'_>) -> Result<Limbs> {
    let weight = (x.weight + 1) * DIGITS / 2 - 1;
    sqrt_to(x, display_scale(MIN_SIGNIFICANT_DIGITS - weight, &[x]), check)
}

/// Digits computed beyond those that are asked for.
const GUARD: i32 = 8;

/// The square root rounded to `scale` digits after the point (negative: before it): correctly, a half upwards.
///
/// Newton's iteration for the inverse root, which needs no division, doubles the digits that are known each time, and
/// computes no more than those; the last step goes for the root itself and needs the inverse to half the digits only.
fn sqrt_to(x: &Limbs, scale: i32, check: Check<'_>) -> Result<Limbs> {
    if x.is_zero() {
        return Ok(Limbs::zero(scale.max(0)));
    }
    // Moved by an even number of base digits to between 1 and 10^8; the root then lies between 1 and 10^4.
    let half = x.weight.div_euclid(2);
    let x = Limbs { weight: x.weight - 2 * half, ..x.clone() };
    let wanted = scale + half * DIGITS;
    let digits = wanted.max(0) + GUARD;
    // An error of so much as 10^-k in the inverse is one of 10^(4-k) beside it, hence the guard below.
    let mut inverse = Limbs::from_f64(1.0 / x.first_digits().to_f64().sqrt(), 0);
    let mut known = 14;
    let rounded = |number: &Limbs, digits: i32| {
        let mut number = number.clone();
        number.round(digits);
        number
    };
    while known < digits / 2 + GUARD {
        known = (2 * known - 2).min(digits / 2 + GUARD);
        let working = known + GUARD;
        let square = inverse.mul_exact_with(&inverse, check)?;
        let product = rounded(&x, working).mul_with(&square, working, check)?;
        let error = Limbs::from_i64(1).sub(&product);
        let step = inverse.mul_with(&error, working, check)?.half();
        inverse = inverse.add(&step);
        inverse.round(working);
    }
    let near = rounded(&x, known + GUARD).mul_with(&inverse, known + GUARD, check)?;
    let rest = rounded(&x, digits + GUARD).sub(&near.mul_exact_with(&near, check)?);
    let mut root = near.add(&inverse.mul_with(&rest, digits + GUARD, check)?.half());
    root.round(digits + GUARD);
    // What is computed is off by less than this.
    let error = Limbs::from_i64(1).mul_pow10(2 - digits);
    let low = rounded(&root.sub(&error), wanted);
    let mut root = rounded(&root.add(&error), wanted);
    if low.compare(&root).is_ne() {
        // The root is next to where rounding goes one way or the other.
        let boundary = root.sub(&Limbs::from_i64(5).mul_pow10(-wanted - 1));
        if boundary.mul_exact_with(&boundary, check)?.compare(&x).is_gt() {
            root = low;
        }
    }
    if !root.is_zero() {
        root.weight += half;
    }
    root.scale = scale.max(0);
    Ok(root)
}

/// e to the power x.
///
/// # Errors
/// 22003 past the format's range.
pub(super) fn exp(x: &Limbs, check: Check<'_>) -> Result<Limbs> {
    let weight = (x.to_f64() * LOG10_E).clamp(-f64::from(MAX_RESULT_SCALE), f64::from(MAX_RESULT_SCALE));
    exp_to(x, display_scale(MIN_SIGNIFICANT_DIGITS - weight as i32, &[x]), check)
}

fn exp_to(x: &Limbs, scale: i32, check: Check<'_>) -> Result<Limbs> {
    let value = x.to_f64();
    if value.abs() >= f64::from(MAX_RESULT_SCALE) * 3.0 {
        return if value > 0.0 { Err(overflow()) } else { Ok(Limbs::zero(scale)) };
    }
    let weight = (value * LOG10_E) as i32;
    // Halve until the series converges quickly, and square as often afterwards.
    let mut halvings = 0;
    let mut small = value.abs();
    while small > 0.01 {
        small /= 2.0;
        halvings += 1;
    }
    let significant = (1 + weight + scale + (f64::from(halvings) * 0.302) as i32).max(0) + 8;
    let mut reduced = x.clone();
    reduced.round(significant + 8);
    for _ in 0..halvings {
        reduced = reduced.half();
    }
    reduced.round(significant + 4);
    let mut sum = Limbs::from_i64(1).add(&reduced);
    let mut term = reduced.clone();
    let mut n = 2;
    loop {
        check()?;
        term = term.mul_with(&reduced, significant + 4, check)?.div_small(n, significant + 4);
        if term.is_zero() {
            break;
        }
        sum = sum.add(&term);
        n += 1;
    }
    for _ in 0..halvings {
        let local = significant - sum.weight * 2 * DIGITS;
        sum = sum.mul_with(&sum, local.max(0) + 4, check)?;
    }
    sum.round(scale);
    Ok(sum)
}

/// The decimal weight of ln(x), about: where its first digit stands.
fn ln_weight(x: &Limbs) -> i32 {
    let from_one = x.sub(&Limbs::from_i64(1));
    let near = Limbs::from_i128(1, 1);
    if from_one.compare_abs(&near).is_le() {
        let Some(first) = from_one.digits.first() else { return 0 };
        return from_one.weight * DIGITS + f64::from(*first).log10() as i32;
    }
    let Some(first) = x.digits.first() else { return 0 };
    let mut digits = f64::from(*first);
    let mut weight = x.weight * DIGITS;
    if let Some(second) = x.digits.get(1) {
        digits = digits * 10_000.0 + f64::from(*second);
        weight -= DIGITS;
    }
    (digits.ln() + f64::from(weight) * LN_10).abs().log10() as i32
}

/// The natural logarithm.
///
/// # Errors
/// 2201E for zero and below.
pub(super) fn ln(x: &Limbs, check: Check<'_>) -> Result<Limbs> {
    check_logarithm(x)?;
    ln_to(x, display_scale(MIN_SIGNIFICANT_DIGITS - ln_weight(x), &[x]), check)
}

pub(super) fn check_logarithm(x: &Limbs) -> Result<()> {
    let what = match (x.negative, x.is_zero()) {
        (true, _) => "a negative number",
        (_, true) => "zero",
        _ => return Ok(()),
    };
    Err(Error::new(SqlState::INVALID_ARGUMENT_FOR_LOGARITHM, format!("cannot take logarithm of {what}")))
}

fn ln_to(x: &Limbs, scale: i32, check: Check<'_>) -> Result<Limbs> {
    // Roots bring x near 1, where the series of artanh converges quickly.
    let low = Limbs::from_i128(9, 1);
    let high = Limbs::from_i128(11, 1);
    let guard = 12 + (f64::from((x.weight.abs() + 2) * DIGITS) * LN_10).log2() as i32;
    let local = scale.max(0) + guard;
    // The logarithm's error is the number's relative error: digits beyond these do not show.
    let significant = local + GUARD;
    let mut reduced = x.clone();
    reduced.keep(significant);
    let mut factor = Limbs::from_i64(2);
    while reduced.compare(&low).is_le() || reduced.compare(&high).is_ge() {
        let weight = reduced.weight.div_euclid(2);
        reduced = sqrt_to(&reduced, significant - (weight + 1) * DIGITS, check)?;
        factor = factor.add(&factor);
    }
    let one = Limbs::from_i64(1);
    let z = reduced.sub(&one).div_with(&reduced.add(&one), local, true, check)?;
    let square = z.mul_with(&z, local, check)?;
    let mut power = z.clone();
    let mut sum = z;
    let mut n = 3;
    loop {
        check()?;
        power = power.mul_with(&square, local, check)?;
        let term = power.div_small(n, local);
        if term.is_zero() {
            break;
        }
        sum = sum.add(&term);
        n += 2;
    }
    sum.mul_with(&factor, scale, check)
}

/// The logarithm of `x` to a base.
///
/// # Errors
/// 2201E for zero and below, 22012 for base 1.
pub(super) fn log(base: &Limbs, x: &Limbs, check: Check<'_>) -> Result<Limbs> {
    check_logarithm(base)?;
    check_logarithm(x)?;
    let base_weight = ln_weight(base);
    let x_weight = ln_weight(x);
    let weight = x_weight - base_weight;
    let scale = display_scale(MIN_SIGNIFICANT_DIGITS - weight, &[base, x]);
    let ln_base = ln_to(base, (scale + weight - base_weight + 8).max(0), check)?;
    let ln_x = ln_to(x, (scale + weight - x_weight + 8).max(0), check)?;
    if ln_base.is_zero() {
        return Err(super::division_by_zero());
    }
    ln_x.div_with(&ln_base, scale, true, check)
}

/// `base ^ exponent`, for finite numbers.
///
/// # Errors
/// 2201F where no real result exists, 22003 past the format's range.
pub(super) fn power(base: &Limbs, exponent: &Limbs, check: Check<'_>) -> Result<Limbs> {
    let whole = exponent.digits.len() as i32 <= exponent.weight + 1;
    let invalid = |text: &str| Err(Error::new(SqlState::INVALID_ARGUMENT_FOR_POWER_FUNCTION, text));
    if base.is_zero() && exponent.negative {
        return invalid("zero raised to a negative power is undefined");
    }
    if base.negative && !whole {
        return invalid("a negative number raised to a non-integer power yields a complex result");
    }
    if whole {
        let as_i32 = Limbs { scale: 0, ..exponent.clone() }.coefficient().and_then(|e| i32::try_from(e).ok());
        if let Some(whole_exponent) = as_i32 {
            return power_int(base, whole_exponent, exponent, check);
        }
    }
    if base.is_zero() {
        return Ok(Limbs::zero(MIN_SIGNIFICANT_DIGITS));
    }
    // A whole exponent past 32 bits: the sign goes apart.
    let odd = whole
        && exponent.weight + 1 == exponent.digits.len() as i32
        && exponent.digits.last().is_some_and(|digit| digit % 2 != 0);
    let magnitude = Limbs { negative: false, ..base.clone() };
    let weight_of_ln = ln_weight(&magnitude);
    let rough = ln_to(&magnitude, (MIN_SIGNIFICANT_DIGITS - weight_of_ln).max(0), check)?;
    let value = rough.mul_exact_with(exponent, check)?.to_f64();
    if value.abs() > f64::from(MAX_RESULT_SCALE) * 3.01 {
        return if value > 0.0 { Err(overflow()) } else { Ok(Limbs::zero(MAX_DISPLAY_SCALE)) };
    }
    let weight = (value * LOG10_E) as i32;
    let scale = display_scale(MIN_SIGNIFICANT_DIGITS - weight, &[base, exponent]);
    let significant = (scale + weight).max(0);
    let exponent_digits = (exponent.weight.max(0) + 1) * DIGITS;
    let local = (significant - weight_of_ln + 8 + exponent_digits).max(0);
    let logarithm = ln_to(&magnitude, local, check)?.mul_exact_with(exponent, check)?;
    let mut result = exp_to(&logarithm, scale, check)?;
    result.negative = base.negative && odd && !result.is_zero();
    Ok(result)
}

fn power_int(base: &Limbs, exponent: i32, shown: &Limbs, check: Check<'_>) -> Result<Limbs> {
    let mut log10 = 0.0;
    if !base.is_zero() {
        let mut digits = 0.0;
        let mut weight = (base.weight + 1) * DIGITS;
        for digit in base.digits.iter().take(4) {
            digits = digits * 10_000.0 + f64::from(*digit);
            weight -= DIGITS;
        }
        log10 = (f64::log10(digits) + f64::from(weight)) * f64::from(exponent);
    }
    if log10 > f64::from((0x7fff + 1) * DIGITS) {
        return Err(overflow());
    }
    let scale = display_scale(MIN_SIGNIFICANT_DIGITS - log10.max(-30_000.0) as i32, &[base, shown]);
    match exponent {
        0 => return Ok(Limbs { scale, ..Limbs::from_i64(1) }),
        1 => {
            let mut result = base.clone();
            result.round(scale);
            return Ok(result);
        }
        2 => return base.mul_with(base, scale, check),
        _ => {}
    }
    if base.is_zero() {
        return Ok(Limbs::zero(scale));
    }
    if log10 < -f64::from(super::limbs::MAX_SCALE) - 10.0 {
        return Ok(Limbs::zero(scale));
    }
    let significant = (1 + scale + log10 as i32).max(1) + f64::from(exponent).abs().ln() as i32 + 12;
    let trim = |number: Limbs| {
        let keep = significant - (number.weight + 1) * DIGITS + DIGITS;
        if number.scale > keep.max(0) {
            let mut trimmed = number;
            trimmed.round(keep.max(0));
            trimmed
        } else {
            number
        }
    };
    let mut left = exponent.unsigned_abs();
    let mut square = base.clone();
    let mut result = Limbs::from_i64(1);
    loop {
        if left & 1 == 1 {
            result = trim(result.mul_exact_with(&square, check)?);
        }
        left >>= 1;
        if left == 0 {
            break;
        }
        square = trim(square.mul_exact_with(&square, check)?);
        if square.weight > 0x7fff || result.weight > 0x7fff {
            if exponent > 0 {
                return Err(overflow());
            }
            return Ok(Limbs::zero(scale));
        }
    }
    if exponent < 0 {
        return Limbs::from_i64(1).div_with(&result, scale, true, check);
    }
    result.round(scale);
    Ok(result)
}
