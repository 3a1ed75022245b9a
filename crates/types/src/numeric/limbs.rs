//! Decimals of any length in base 10,000, aligned at the decimal point: what numbers beyond 38 digits are made of, and
//! what the functions that need many digits compute with.
//!
//! # Invariants
//! - L1: after [`Limbs::strip`], neither the first nor the last digit is zero; zero has no digits, weight 0 and no sign.

use std::cmp::Ordering;
use std::convert::Infallible;

use ochre_base::{Error, Result, SqlState};

/// Decimal digits a base-10,000 digit stands for.
pub(super) const DIGITS: i32 = 4;
const BASE: i64 = 10_000;
/// Base digits of a long product or quotient that are computed between two looks at whether to go on: none takes as long
/// as a tenth of a millisecond.
const DIGITS_AT_A_TIME: usize = 64;
/// Greatest weight a number may have: 131,072 digits before the point.
const MAX_WEIGHT: i32 = 0x7fff;
/// Most digits after the point.
pub(super) const MAX_SCALE: i32 = 0x3fff;

/// A finite decimal: `sign * sum(digits[i] * 10000^(weight - i))`, shown with `scale` digits after the point.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Limbs {
    pub negative: bool,
    /// Power of 10,000 of the first digit.
    pub weight: i32,
    pub scale: i32,
    pub digits: Vec<i16>,
}

impl Limbs {
    pub fn zero(scale: i32) -> Limbs {
        Limbs { scale, ..Limbs::default() }
    }

    pub fn from_i64(value: i64) -> Limbs {
        Limbs::from_i128(i128::from(value), 0)
    }

    pub fn from_i128(value: i128, scale: i32) -> Limbs {
        let mut rest = value.unsigned_abs();
        let mut digits = Vec::with_capacity(11);
        let partial = scale.rem_euclid(DIGITS);
        if partial != 0 {
            let unit = 10u128.pow(partial as u32);
            digits.push((rest % unit) as i16 * 10i16.pow((DIGITS - partial) as u32));
            rest /= unit;
        }
        while rest != 0 {
            digits.push((rest % BASE as u128) as i16);
            rest /= BASE as u128;
        }
        digits.reverse();
        let weight = digits.len() as i32 - 1 - (scale + DIGITS - 1).div_euclid(DIGITS);
        let mut limbs = Limbs { negative: value < 0, weight, scale, digits };
        limbs.strip();
        limbs
    }

    /// From a finite float, exactly to about 17 digits: a starting point for iterations.
    pub fn from_f64(value: f64, scale: i32) -> Limbs {
        let text = format!("{:.17e}", value.abs());
        let (mantissa, exponent) = text.split_once('e').expect("the exponent form has an e");
        let exponent: i32 = exponent.parse().expect("an exponent is a number");
        let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
        let coefficient: i128 = digits.parse().expect("18 digits");
        let mut limbs = Limbs::from_i128(coefficient, 0);
        limbs = limbs.mul_pow10(exponent - 17);
        limbs.negative = value < 0.0;
        limbs.scale = scale;
        limbs.strip();
        limbs
    }

    /// The number times a power of ten, exactly; the scale is the caller's to set.
    pub fn mul_pow10(&self, exponent: i32) -> Limbs {
        let whole = exponent.div_euclid(DIGITS);
        let rest = exponent.rem_euclid(DIGITS);
        let mut result =
            if rest == 0 { self.clone() } else { self.mul_exact(&Limbs::from_i64(10i64.pow(rest as u32))) };
        result.weight += whole;
        result
    }

    pub fn is_zero(&self) -> bool {
        self.digits.is_empty()
    }

    /// Restores L1.
    pub fn strip(&mut self) {
        let leading = self.digits.iter().take_while(|digit| **digit == 0).count();
        if leading > 0 {
            self.digits.drain(..leading);
            self.weight -= leading as i32;
        }
        while self.digits.last() == Some(&0) {
            self.digits.pop();
        }
        if self.digits.is_empty() {
            self.weight = 0;
            self.negative = false;
        }
    }

    /// Refuses what PostgreSQL's format cannot hold.
    pub fn check_range(&self) -> Result<()> {
        if self.weight > MAX_WEIGHT || self.scale > MAX_SCALE { Err(overflow()) } else { Ok(()) }
    }

    /// Digit of weight `weight`; zero outside the stored ones.
    fn digit_at(&self, weight: i32) -> i16 {
        let index = self.weight - weight;
        if index < 0 { 0 } else { self.digits.get(index as usize).copied().unwrap_or(0) }
    }

    pub fn compare_abs(&self, other: &Limbs) -> Ordering {
        match (self.is_zero(), other.is_zero()) {
            (true, true) => return Ordering::Equal,
            (true, false) => return Ordering::Less,
            (false, true) => return Ordering::Greater,
            (false, false) => {}
        }
        self.weight.cmp(&other.weight).then_with(|| self.digits.cmp(&other.digits))
    }

    pub fn compare(&self, other: &Limbs) -> Ordering {
        match (self.negative, other.negative) {
            (false, true) => Ordering::Greater,
            (true, false) => Ordering::Less,
            (false, false) => self.compare_abs(other),
            (true, true) => other.compare_abs(self),
        }
    }

    pub fn neg(mut self) -> Limbs {
        self.negative = !self.negative && !self.is_zero();
        self
    }

    pub fn add(&self, other: &Limbs) -> Limbs {
        let mut result = if self.negative == other.negative {
            Limbs { negative: self.negative, ..self.add_abs(other) }
        } else if self.compare_abs(other) == Ordering::Less {
            Limbs { negative: other.negative, ..other.sub_abs(self) }
        } else {
            Limbs { negative: self.negative, ..self.sub_abs(other) }
        };
        result.scale = self.scale.max(other.scale);
        result.strip();
        result
    }

    pub fn sub(&self, other: &Limbs) -> Limbs {
        self.add(&other.clone().neg())
    }

    fn lowest_weight(&self) -> i32 {
        self.weight - self.digits.len() as i32 + 1
    }

    fn add_abs(&self, other: &Limbs) -> Limbs {
        if self.is_zero() {
            return other.clone();
        }
        if other.is_zero() {
            return self.clone();
        }
        let low = self.lowest_weight().min(other.lowest_weight());
        let high = self.weight.max(other.weight) + 1;
        let mut digits = vec![0i16; (high - low + 1) as usize];
        let mut carry = 0;
        for weight in low..=high {
            let sum = self.digit_at(weight) + other.digit_at(weight) + carry;
            carry = i16::from(sum >= BASE as i16);
            digits[(high - weight) as usize] = sum - carry * BASE as i16;
        }
        Limbs { negative: false, weight: high, scale: 0, digits }
    }

    /// `self - other` where `self` is not the smaller.
    fn sub_abs(&self, other: &Limbs) -> Limbs {
        if other.is_zero() {
            return self.clone();
        }
        let low = self.lowest_weight().min(other.lowest_weight());
        let high = self.weight;
        let mut digits = vec![0i16; (high - low + 1) as usize];
        let mut borrow = 0;
        for weight in low..=high {
            let difference = self.digit_at(weight) - other.digit_at(weight) - borrow;
            borrow = i16::from(difference < 0);
            digits[(high - weight) as usize] = difference + borrow * BASE as i16;
        }
        Limbs { negative: false, weight: high, scale: 0, digits }
    }

    /// The product with all its digits; the scale is the sum of both.
    pub fn mul_exact(&self, other: &Limbs) -> Limbs {
        let Ok(product) = self.mul_exact_with(other, go_on);
        product
    }

    /// As [`Limbs::mul_exact`], asking now and then whether to go on.
    pub fn mul_exact_with<E>(&self, other: &Limbs, check: impl Fn() -> Result<(), E>) -> Result<Limbs, E> {
        if self.is_zero() || other.is_zero() {
            return Ok(Limbs::zero(self.scale + other.scale));
        }
        let sums = products(&self.digits, &other.digits, check)?;
        let mut carry = 0u64;
        let mut digits = vec![0i16; sums.len()];
        for (digit, sum) in digits.iter_mut().zip(&sums).rev() {
            let total = sum + carry;
            *digit = (total % BASE as u64) as i16;
            carry = total / BASE as u64;
        }
        let mut result = Limbs {
            negative: self.negative != other.negative,
            weight: self.weight + other.weight + 1,
            scale: self.scale + other.scale,
            digits,
        };
        result.strip();
        Ok(result)
    }

    /// The product rounded to `scale`, asking now and then whether to go on.
    pub fn mul_with<E>(
        &self,
        other: &Limbs,
        scale: i32,
        check: impl Fn() -> Result<(), E>,
    ) -> Result<Limbs, E> {
        let mut product = self.mul_exact_with(other, check)?;
        product.round(scale);
        Ok(product)
    }

    /// Half of it, exactly.
    pub fn half(&self) -> Limbs {
        self.mul_exact(&Limbs::from_i128(5, 1))
    }

    /// Rounds to about so many significant digits.
    pub fn keep(&mut self, digits: i32) {
        let shown = self.scale;
        self.round(digits - (self.weight + 1) * DIGITS);
        self.scale = shown;
    }

    /// The quotient, rounded (or truncated) to `scale`, which may be negative. The divisor is not zero. Asks now and then
    /// whether to go on.
    pub fn div_with<E>(
        &self,
        other: &Limbs,
        scale: i32,
        round: bool,
        check: impl Fn() -> Result<(), E>,
    ) -> Result<Limbs, E> {
        if self.is_zero() {
            return Ok(Limbs::zero(scale.max(0)));
        }
        let weight = self.weight - other.weight;
        // One digit more than the scale asks for decides the rounding.
        let wanted = weight + 1 + (scale + DIGITS - 1).div_euclid(DIGITS) + 1;
        let mut result = if wanted <= 0 {
            Limbs::zero(scale)
        } else {
            let digits = divide_digits(&self.digits, &other.digits, wanted as usize, check)?;
            Limbs { negative: self.negative != other.negative, weight, scale, digits }
        };
        if round {
            result.round(scale)
        } else {
            result.trunc(scale)
        };
        result.strip();
        Ok(result)
    }

    /// Division by a small positive integer, truncated to a scale.
    pub fn div_small(&self, divisor: i64, scale: i32) -> Limbs {
        let mut rest = 0i64;
        let places = self.weight + 1 + (scale + DIGITS - 1).div_euclid(DIGITS);
        let digits = (0..places.max(0) as usize)
            .map(|index| {
                rest = rest * BASE + i64::from(self.digits.get(index).copied().unwrap_or(0));
                let digit = rest / divisor;
                rest %= divisor;
                digit as i16
            })
            .collect();
        let mut result = Limbs { negative: self.negative, weight: self.weight, scale, digits };
        result.strip();
        result
    }

    /// Rounds half away from zero to `scale` digits after the point (negative: before it).
    pub fn round(&mut self, scale: i32) {
        self.cut(scale, true);
    }

    /// Cuts to `scale` digits after the point (negative: before it).
    pub fn trunc(&mut self, scale: i32) {
        self.cut(scale, false);
    }

    fn cut(&mut self, scale: i32, round: bool) {
        self.scale = scale.max(0);
        // Decimal digits to keep, counted from the first stored base digit.
        let keep = (self.weight + 1) * DIGITS + scale;
        if keep < 0 || self.is_zero() {
            self.digits.clear();
            self.strip();
            return;
        }
        let whole = (keep / DIGITS) as usize;
        let partial = keep % DIGITS;
        if whole >= self.digits.len() {
            return self.strip();
        }
        let unit = 10i16.pow((DIGITS - partial) as u32 % 4);
        let last = self.digits[whole];
        let up = if partial == 0 {
            self.digits.truncate(whole);
            last >= BASE as i16 / 2
        } else {
            let cut_off = last % unit;
            self.digits.truncate(whole + 1);
            self.digits[whole] = last - cut_off;
            cut_off >= unit / 2
        };
        if round && up {
            let mut carry = if partial == 0 { 1 } else { unit };
            for digit in self.digits.iter_mut().rev() {
                *digit += carry;
                carry = i16::from(*digit >= BASE as i16);
                if carry == 0 {
                    break;
                }
                *digit -= BASE as i16;
            }
            if carry > 0 {
                self.digits.insert(0, carry);
                self.weight += 1;
            }
        }
        self.strip();
    }

    /// The number as far as a float could tell it.
    pub fn first_digits(&self) -> Limbs {
        let digits = self.digits[..self.digits.len().min(8)].to_vec();
        Limbs { digits, scale: 24, ..*self }
    }

    /// The nearest float up to about 17 digits; infinite when too large.
    pub fn to_f64(&self) -> f64 {
        let mut text = Vec::new();
        self.print(&mut text);
        std::str::from_utf8(&text).ok().and_then(|text| text.parse().ok()).unwrap_or(f64::NAN)
    }

    /// Decimal digits after the point that are not trailing zeros.
    pub fn min_scale(&self) -> i32 {
        let Some(last) = self.digits.last() else { return 0 };
        let mut scale = (self.digits.len() as i32 - 1 - self.weight) * DIGITS;
        let mut last = *last;
        while last % 10 == 0 && last != 0 {
            last /= 10;
            scale -= 1;
        }
        scale.max(0)
    }

    /// Appends the text form.
    pub fn print(&self, out: &mut Vec<u8>) {
        if self.negative {
            out.push(b'-');
        }
        if self.weight < 0 || self.is_zero() {
            out.push(b'0');
        } else {
            let mut text = itoa(self.digits.first().copied().unwrap_or(0));
            out.append(&mut text);
            for weight in (0..self.weight).rev() {
                push_digits(self.digit_at(weight), 4, out);
            }
        }
        if self.scale > 0 {
            out.push(b'.');
            let mut left = self.scale;
            let mut weight = -1;
            while left > 0 {
                push_digits(self.digit_at(weight), left.min(DIGITS), out);
                left -= DIGITS;
                weight -= 1;
            }
        }
    }

    /// The coefficient `value * 10^scale` when it has at most 38 digits.
    pub fn coefficient(&self) -> Option<i128> {
        const LIMIT: u128 = 10u128.pow(38);
        let mut value = 0u128;
        let lowest = -((self.scale + DIGITS - 1) / DIGITS);
        if self.weight > 10 {
            return None;
        }
        let mut weight = self.weight.max(-1);
        while weight >= lowest {
            let digit = self.digit_at(weight) as u128;
            let kept = (self.scale + (weight + 1) * DIGITS).clamp(0, DIGITS) as u32;
            let (factor, digit) = if weight >= 0 || kept == 4 {
                (BASE as u128, digit)
            } else {
                (10u128.pow(kept), digit / 10u128.pow(4 - kept))
            };
            value = value.checked_mul(factor)?.checked_add(digit)?;
            if value >= LIMIT {
                return None;
            }
            weight -= 1;
        }
        Some(if self.negative { -(value as i128) } else { value as i128 })
    }
}

fn itoa(digit: i16) -> Vec<u8> {
    digit.to_string().into_bytes()
}

/// The first `count` of a base digit's four decimal digits.
fn push_digits(digit: i16, count: i32, out: &mut Vec<u8>) {
    let text = [digit / 1000, digit / 100 % 10, digit / 10 % 10, digit % 10];
    out.extend(text.iter().take(count as usize).map(|decimal| b'0' + *decimal as u8));
}

/// For whoever is never interrupted.
fn go_on() -> Result<(), Infallible> {
    Ok(())
}

/// The sums of products that make each digit of a product, one place moved to the end, before what is carried over. Asks
/// now and then whether to go on.
///
/// Long numbers are multiplied after Karatsuba: three products of halves instead of four. The digits are taken as a
/// polynomial's coefficients, so that nothing is carried before the end: at most 33,000 products below 10^8 meet in one
/// place, and ten levels of halving double the digits ten times, which 63 bits hold.
fn products<E>(a: &[i16], b: &[i16], check: impl Fn() -> Result<(), E>) -> Result<Vec<u64>, E> {
    let mut sums = vec![0u64; a.len() + b.len()];
    if a.len().min(b.len()) >= FEW_DIGITS {
        let wide = |digits: &[i16]| digits.iter().map(|digit| i64::from(*digit)).collect::<Vec<i64>>();
        let mut signed = vec![0i64; a.len() + b.len() - 1];
        convolve(&wide(a), &wide(b), &mut signed, &check)?;
        sums[1..].iter_mut().zip(&signed).for_each(|(sum, product)| *sum = *product as u64);
        return Ok(sums);
    }
    for (i, a) in a.iter().enumerate().filter(|(_, a)| **a != 0) {
        if i % DIGITS_AT_A_TIME == DIGITS_AT_A_TIME - 1 {
            check()?;
        }
        for (sum, b) in sums[i + 1..].iter_mut().zip(b) {
            *sum += *a as u64 * *b as u64;
        }
    }
    Ok(sums)
}

/// Digits below which dividing in halves saves nothing.
const FEW_DIGITS: usize = 48;

/// Adds the product of two polynomials to `out`.
fn convolve<E>(a: &[i64], b: &[i64], out: &mut [i64], check: &impl Fn() -> Result<(), E>) -> Result<(), E> {
    let (a, b) = if a.len() < b.len() { (b, a) } else { (a, b) };
    if b.len() < FEW_DIGITS {
        if a.len() > FEW_DIGITS * DIGITS_AT_A_TIME {
            check()?;
        }
        for (i, b) in b.iter().enumerate() {
            out[i..].iter_mut().zip(a).for_each(|(sum, a)| *sum += a * b);
        }
        return Ok(());
    }
    if a.len() > b.len() {
        // Pieces as long as the shorter one.
        for (number, piece) in a.chunks(b.len()).enumerate() {
            convolve(piece, b, &mut out[number * b.len()..], check)?;
        }
        return Ok(());
    }
    if b.len() >= DIGITS_AT_A_TIME {
        check()?;
    }
    let half = a.len() / 2;
    let ((a_low, a_high), (b_low, b_high)) = (a.split_at(half), b.split_at(half));
    // The upper half may be one longer.
    let both = |low: &[i64], high: &[i64]| {
        let mut sum = high.to_vec();
        sum.iter_mut().zip(low).for_each(|(sum, low)| *sum += low);
        sum
    };
    let mut low = vec![0; 2 * half - 1];
    convolve(a_low, b_low, &mut low, check)?;
    let mut high = vec![0; 2 * a_high.len() - 1];
    convolve(a_high, b_high, &mut high, check)?;
    let mut middle = vec![0; 2 * a_high.len() - 1];
    convolve(&both(a_low, a_high), &both(b_low, b_high), &mut middle, check)?;
    middle.iter_mut().zip(&low).for_each(|(middle, low)| *middle -= low);
    middle.iter_mut().zip(&high).for_each(|(middle, high)| *middle -= high);
    for (at, part) in [(0, &low), (half, &middle), (2 * half, &high)] {
        out[at..].iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
    }
    Ok(())
}

/// The first `wanted` digits of `dividend / divisor`, both read as fractions `d.ddd…`; long division after Knuth.
fn divide_digits<E>(
    dividend: &[i16],
    divisor: &[i16],
    wanted: usize,
    check: impl Fn() -> Result<(), E>,
) -> Result<Vec<i16>, E> {
    let n = divisor.len();
    if n == 1 {
        let divisor = i64::from(divisor[0]);
        let mut rest = 0i64;
        let digits = (0..wanted).map(|index| {
            rest = rest * BASE + i64::from(dividend.get(index).copied().unwrap_or(0));
            let digit = rest / divisor;
            rest %= divisor;
            digit as i16
        });
        return Ok(digits.collect());
    }
    // Scaled so that the divisor's first digit is at least half the base: the estimates below are then off by at most 2.
    let factor = BASE / (i64::from(divisor[0]) + 1);
    let scaled = |digits: &[i16], len: usize| {
        let mut result = vec![0i64; len + 1];
        let mut carry = 0;
        for index in (0..len).rev() {
            let value = i64::from(digits.get(index).copied().unwrap_or(0)) * factor + carry;
            result[index + 1] = value % BASE;
            carry = value / BASE;
        }
        result[0] = carry;
        result
    };
    let u_len = wanted + n - 1;
    let mut u = scaled(dividend, u_len);
    let v = &scaled(divisor, n)[1..];
    let mut quotient = Vec::with_capacity(wanted);
    for j in 0..wanted {
        if j % DIGITS_AT_A_TIME == DIGITS_AT_A_TIME - 1 {
            check()?;
        }
        let top = u[j] * BASE + u[j + 1];
        let mut digit = (top / v[0]).min(BASE - 1);
        let mut rest = top - digit * v[0];
        let next = u.get(j + 2).copied().unwrap_or(0);
        while rest < BASE && digit * v[1] > rest * BASE + next {
            digit -= 1;
            rest += v[0];
        }
        let mut borrow = 0;
        for i in (0..n).rev() {
            let value = u[j + i + 1] - digit * v[i] - borrow;
            let fixed = value.rem_euclid(BASE);
            borrow = (fixed - value) / BASE;
            u[j + i + 1] = fixed;
        }
        u[j] -= borrow;
        if u[j] < 0 {
            digit -= 1;
            let mut carry = 0;
            for i in (0..n).rev() {
                let value = u[j + i + 1] + v[i] + carry;
                u[j + i + 1] = value % BASE;
                carry = value / BASE;
            }
            u[j] += carry;
        }
        quotient.push(digit as i16);
    }
    Ok(quotient)
}

/// `value overflows numeric format`.
#[cold]
pub(super) fn overflow() -> Error {
    Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "value overflows numeric format")
}
