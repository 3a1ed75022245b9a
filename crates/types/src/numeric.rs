//! PostgreSQL's `numeric`: exact decimals with a display scale.
//!
//! # Invariants
//! - N1: a finite number is held as a 128-bit coefficient whenever that has at most 38 digits and the scale is at most
//!   38; only others are [`limbs::Limbs`]. So each (value, scale) has one form, and structural equality is meaningful.

mod convert;
mod functions;
mod limbs;
mod text;

pub(crate) use text::is_space;

use std::cmp::Ordering;
use std::sync::Arc;

use ochre_base::{Error, Result, SqlState};

use limbs::{Limbs, MAX_SCALE, overflow};

/// Coefficients stay below this.
const COEFFICIENT_LIMIT: i128 = POW10[38];
/// Most digits after the point of a number held in 128 bits.
const SMALL_SCALE: i32 = 38;

/// Powers of ten that fit 128 bits.
pub(crate) const POW10: [i128; 39] = {
    let mut table = [1i128; 39];
    let mut index = 1;
    while index < 39 {
        table[index] = table[index - 1] * 10;
        index += 1;
    }
    table
};

/// A decimal number, NaN or an infinity.
///
/// `PartialEq` is structural (`1.0` and `1.00` differ, NaN equals NaN): SQL's order is [`Numeric::compare`].
#[derive(Debug, Clone, PartialEq)]
pub struct Numeric(Repr);

#[derive(Debug, Clone, PartialEq)]
enum Repr {
    /// `(high << 64 | low) * 10^-scale`; two halves so that the type needs no 16-byte alignment.
    Small {
        low: u64,
        high: i64,
        scale: u16,
    },
    Big(Arc<Limbs>),
    NaN,
    PosInfinity,
    NegInfinity,
}

/// What a number is, for callers that treat the kinds apart.
#[derive(Debug, Clone, Copy)]
enum Kind<'a> {
    Small(i128, i32),
    Big(&'a Limbs),
    NaN,
    Infinity { negative: bool },
}

/// A pair of finite numbers, or what decides without arithmetic.
enum Pair<'a> {
    Finite(&'a Numeric, &'a Numeric),
    NaN,
    Special(Option<Sign>, Option<Sign>),
}

/// The sign of an infinity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sign {
    Minus,
    Plus,
}

impl Numeric {
    /// 0.
    pub const ZERO: Numeric = Numeric::from_i64(0);
    /// 1.
    pub const ONE: Numeric = Numeric::from_i64(1);
    /// Not a number: equal to itself and above everything else.
    pub const NAN: Numeric = Numeric(Repr::NaN);
    /// Infinity.
    pub const POS_INFINITY: Numeric = Numeric(Repr::PosInfinity);
    /// Minus infinity.
    pub const NEG_INFINITY: Numeric = Numeric(Repr::NegInfinity);

    /// An integer.
    pub const fn from_i64(value: i64) -> Numeric {
        Numeric::small(value as i128, 0)
    }

    /// `value * 10^-scale` with at most 38 digits after the point: what [`Numeric::narrow`] tells.
    #[inline]
    pub const fn from_narrow(value: i64, scale: u16) -> Numeric {
        debug_assert!(scale as i32 <= SMALL_SCALE);
        Numeric::small(value as i128, scale)
    }

    /// `value * 10^-scale` of a coefficient below 10^38 and at most 38 digits after the point.
    #[inline]
    pub const fn exact(value: i128, scale: u16) -> Numeric {
        debug_assert!(scale as i32 <= SMALL_SCALE && value.unsigned_abs() < COEFFICIENT_LIMIT as u128);
        Numeric::small(value, scale)
    }

    /// The scale of numbers of which each is [`Numeric::narrow`], if they all have the same.
    pub fn common_scale(numbers: &[Numeric]) -> Option<u16> {
        let (_, scale) = numbers.first()?.narrow()?;
        numbers.iter().all(|number| number.narrow().is_some_and(|(_, other)| other == scale)).then_some(scale)
    }

    /// The lower 64 bits of a coefficient: all of it, of a number that is [`Numeric::narrow`].
    #[inline(always)]
    pub fn low_bits(&self) -> i64 {
        match &self.0 {
            Repr::Small { low, .. } => *low as i64,
            _ => 0,
        }
    }

    const fn small(value: i128, scale: u16) -> Numeric {
        Numeric(Repr::Small { low: value as u64, high: (value >> 64) as i64, scale })
    }

    /// `value * 10^-scale`, shown with `scale` digits after the point.
    pub fn from_i128(value: i128, scale: u16) -> Numeric {
        if value.unsigned_abs() < COEFFICIENT_LIMIT as u128 && i32::from(scale) <= SMALL_SCALE {
            Numeric::small(value, scale)
        } else {
            Numeric(Repr::Big(Arc::new(Limbs::from_i128(value, i32::from(scale)))))
        }
    }

    /// From limbs, in the form that N1 asks for.
    fn from_limbs(mut limbs: Limbs) -> Result<Numeric> {
        limbs.strip();
        limbs.check_range()?;
        if limbs.scale <= SMALL_SCALE
            && let Some(coefficient) = limbs.coefficient()
        {
            return Ok(Numeric::small(coefficient, limbs.scale as u16));
        }
        Ok(Numeric(Repr::Big(Arc::new(limbs))))
    }

    #[inline]
    fn kind(&self) -> Kind<'_> {
        match &self.0 {
            Repr::Small { low, high, scale } => {
                Kind::Small((i128::from(*high) << 64) | i128::from(*low), i32::from(*scale))
            }
            Repr::Big(limbs) => Kind::Big(limbs),
            Repr::NaN => Kind::NaN,
            Repr::PosInfinity => Kind::Infinity { negative: false },
            Repr::NegInfinity => Kind::Infinity { negative: true },
        }
    }

    /// The coefficient and the scale of a number whose coefficient has at most 64 bits: nearly every one.
    #[inline]
    pub fn narrow(&self) -> Option<(i64, u16)> {
        match &self.0 {
            Repr::Small { low, high, scale } if *high == (*low as i64) >> 63 => Some((*low as i64, *scale)),
            _ => None,
        }
    }

    /// Two narrow numbers at the larger of their scales, unless the scales lie too far apart.
    #[inline]
    fn narrow_pair(&self, other: &Numeric) -> Option<(i128, i128, u16)> {
        let ((a, a_scale), (b, b_scale)) = (self.narrow()?, other.narrow()?);
        let (a, b) = (i128::from(a), i128::from(b));
        // Below 2^63 times 10^18, both stay below 2^123.
        if a_scale == b_scale {
            Some((a, b, a_scale))
        } else if a_scale < b_scale && b_scale - a_scale <= 18 {
            Some((a * i128::from(POW10[(b_scale - a_scale) as usize] as i64), b, b_scale))
        } else if b_scale < a_scale && a_scale - b_scale <= 18 {
            Some((a, b * i128::from(POW10[(a_scale - b_scale) as usize] as i64), a_scale))
        } else {
            None
        }
    }

    /// The number in limbs; NaN and infinities read as zero.
    fn limbs(&self) -> Limbs {
        match self.kind() {
            Kind::Small(coefficient, scale) => Limbs::from_i128(coefficient, scale),
            Kind::Big(limbs) => limbs.clone(),
            Kind::NaN | Kind::Infinity { .. } => Limbs::default(),
        }
    }

    fn infinity_sign(&self) -> Option<Sign> {
        match self.0 {
            Repr::PosInfinity => Some(Sign::Plus),
            Repr::NegInfinity => Some(Sign::Minus),
            _ => None,
        }
    }

    fn infinity(sign: Sign) -> Numeric {
        if sign == Sign::Plus { Numeric::POS_INFINITY } else { Numeric::NEG_INFINITY }
    }

    fn pair<'a>(&'a self, other: &'a Numeric) -> Pair<'a> {
        if self.is_nan() || other.is_nan() {
            return Pair::NaN;
        }
        match (self.infinity_sign(), other.infinity_sign()) {
            (None, None) => Pair::Finite(self, other),
            (a, b) => Pair::Special(a, b),
        }
    }

    /// The sign of any number but NaN: -1, 0 or 1.
    fn signum(&self) -> i32 {
        match self.kind() {
            Kind::Small(coefficient, _) => coefficient.signum() as i32,
            Kind::Big(limbs) if limbs.is_zero() => 0,
            Kind::Big(limbs) => 1 - 2 * i32::from(limbs.negative),
            Kind::NaN => 0,
            Kind::Infinity { negative } => 1 - 2 * i32::from(negative),
        }
    }

    /// `+`.
    ///
    /// # Errors
    /// 22003 past the format's range.
    #[inline]
    pub fn add(&self, other: &Numeric) -> Result<Numeric> {
        match self.add_narrow(other) {
            Some(sum) => Ok(sum),
            None => self.add_slowly(other),
        }
    }

    fn add_slowly(&self, other: &Numeric) -> Result<Numeric> {
        if let (Kind::Small(a, a_scale), Kind::Small(b, b_scale)) = (self.kind(), other.kind())
            && let Some((a, b, scale)) = align(a, a_scale, b, b_scale)
            && let Some(sum) = a.checked_add(b)
        {
            return Ok(Numeric::from_i128(sum, scale as u16));
        }
        match self.pair(other) {
            Pair::Finite(a, b) => Numeric::from_limbs(a.limbs().add(&b.limbs())),
            Pair::NaN => Ok(Numeric::NAN),
            Pair::Special(Some(a), Some(b)) if a != b => Ok(Numeric::NAN),
            Pair::Special(a, b) => Ok(a.or(b).map_or(Numeric::NAN, Numeric::infinity)),
        }
    }

    /// `-`.
    ///
    /// # Errors
    /// 22003 past the format's range.
    #[inline]
    pub fn sub(&self, other: &Numeric) -> Result<Numeric> {
        match self.sub_narrow(other) {
            Some(difference) => Ok(difference),
            None => self.add(&other.neg()),
        }
    }

    /// `*`.
    ///
    /// # Errors
    /// 22003 past the format's range.
    #[inline]
    pub fn mul(&self, other: &Numeric) -> Result<Numeric> {
        self.mul_with(other, || Ok(()))
    }

    /// `*`, asking now and then whether to go on.
    ///
    /// # Errors
    /// 22003 past the format's range, and what `check` says.
    #[inline]
    pub fn mul_with(&self, other: &Numeric, check: impl Fn() -> Result<()>) -> Result<Numeric> {
        match self.mul_narrow(other) {
            Some(product) => Ok(product),
            None => self.mul_slowly(other, check),
        }
    }

    fn mul_slowly(&self, other: &Numeric, check: impl Fn() -> Result<()>) -> Result<Numeric> {
        if let (Kind::Small(a, a_scale), Kind::Small(b, b_scale)) = (self.kind(), other.kind())
            && a_scale + b_scale <= SMALL_SCALE
            && let Some(product) = a.checked_mul(b)
        {
            return Ok(Numeric::from_i128(product, (a_scale + b_scale) as u16));
        }
        match self.pair(other) {
            Pair::Finite(a, b) => {
                let (a, b) = (a.limbs(), b.limbs());
                let scale = (a.scale + b.scale).min(MAX_SCALE);
                let mut product = a.mul_exact_with(&b, check)?;
                product.round(scale);
                Numeric::from_limbs(product)
            }
            Pair::NaN => Ok(Numeric::NAN),
            Pair::Special(..) => Ok(match self.signum() * other.signum() {
                0 => Numeric::NAN,
                1 => Numeric::POS_INFINITY,
                _ => Numeric::NEG_INFINITY,
            }),
        }
    }

    /// `+` of two narrow numbers; `None` when it asks for more.
    #[inline(always)]
    pub fn add_narrow(&self, other: &Numeric) -> Option<Numeric> {
        let (a, b, scale) = self.narrow_pair(other)?;
        Some(Numeric::small(a + b, scale))
    }

    /// As [`Numeric::add_narrow`]: `-`.
    #[inline(always)]
    pub fn sub_narrow(&self, other: &Numeric) -> Option<Numeric> {
        let (a, b, scale) = self.narrow_pair(other)?;
        Some(Numeric::small(a - b, scale))
    }

    /// As [`Numeric::add_narrow`]: `*`.
    #[inline(always)]
    pub fn mul_narrow(&self, other: &Numeric) -> Option<Numeric> {
        let ((a, a_scale), (b, b_scale)) = (self.narrow()?, other.narrow()?);
        // At most 2^126, which is less than 10^38.
        let fits = i32::from(a_scale + b_scale) <= SMALL_SCALE;
        fits.then(|| Numeric::small(i128::from(a) * i128::from(b), a_scale + b_scale))
    }

    /// `/`, with PostgreSQL's choice of scale.
    ///
    /// # Errors
    /// 22012 for division by zero, 22003 past the format's range.
    pub fn div(&self, other: &Numeric) -> Result<Numeric> {
        self.div_with(other, || Ok(()))
    }

    /// `/`, asking now and then whether to go on.
    ///
    /// # Errors
    /// As [`Numeric::div`], and what `check` says.
    pub fn div_with(&self, other: &Numeric, check: impl Fn() -> Result<()>) -> Result<Numeric> {
        if let (Kind::Small(a, a_scale), Kind::Small(b, b_scale)) = (self.kind(), other.kind())
            && b != 0
            && let Some(quotient) = divide_small(a, a_scale, b, b_scale)
        {
            return Ok(quotient);
        }
        match self.pair(other) {
            Pair::Finite(a, b) => {
                let (a, b) = (a.limbs(), b.limbs());
                if b.is_zero() {
                    return Err(division_by_zero());
                }
                Numeric::from_limbs(a.div_with(&b, functions::division_scale(&a, &b), true, check)?)
            }
            Pair::NaN => Ok(Numeric::NAN),
            Pair::Special(a, b) => self.divide_special(a, b, other),
        }
    }

    fn divide_special(&self, a: Option<Sign>, b: Option<Sign>, other: &Numeric) -> Result<Numeric> {
        match (a, b) {
            (Some(_), Some(_)) => Ok(Numeric::NAN),
            (None, _) => Ok(Numeric::ZERO),
            (Some(_), None) => match self.signum() * other.signum() {
                0 => Err(division_by_zero()),
                1 => Ok(Numeric::POS_INFINITY),
                _ => Ok(Numeric::NEG_INFINITY),
            },
        }
    }

    /// The quotient truncated to an integer: `div()`.
    ///
    /// # Errors
    /// As [`Numeric::div_with`].
    pub fn div_trunc(&self, other: &Numeric, check: impl Fn() -> Result<()>) -> Result<Numeric> {
        match self.pair(other) {
            Pair::Finite(a, b) => {
                if let (Kind::Small(x, x_scale), Kind::Small(y, y_scale)) = (a.kind(), b.kind())
                    && y != 0
                    && let Some((x, y, _)) = align(x, x_scale, y, y_scale)
                {
                    return Ok(Numeric::from_i128(x / y, 0));
                }
                let (a, b) = (a.limbs(), b.limbs());
                if b.is_zero() {
                    return Err(division_by_zero());
                }
                Numeric::from_limbs(a.div_with(&b, 0, false, check)?)
            }
            Pair::NaN => Ok(Numeric::NAN),
            Pair::Special(a, b) => self.divide_special(a, b, other),
        }
    }

    /// `%`, with the sign of the dividend.
    ///
    /// # Errors
    /// 22012 for division by zero.
    pub fn rem(&self, other: &Numeric, check: impl Fn() -> Result<()>) -> Result<Numeric> {
        match self.pair(other) {
            Pair::Finite(a, b) => {
                if let (Kind::Small(x, x_scale), Kind::Small(y, y_scale)) = (a.kind(), b.kind())
                    && y != 0
                    && let Some((x, y, scale)) = align(x, x_scale, y, y_scale)
                {
                    return Ok(Numeric::from_i128(x % y, scale as u16));
                }
                let (a, b) = (a.limbs(), b.limbs());
                if b.is_zero() {
                    return Err(division_by_zero());
                }
                let whole = a.div_with(&b, 0, false, &check)?;
                let mut rest = a.sub(&whole.mul_exact_with(&b, &check)?);
                rest.scale = a.scale.max(b.scale);
                Numeric::from_limbs(rest)
            }
            Pair::NaN => Ok(Numeric::NAN),
            Pair::Special(None, Some(_)) => Ok(self.clone()),
            Pair::Special(Some(_), None) if other.signum() == 0 => Err(division_by_zero()),
            Pair::Special(..) => Ok(Numeric::NAN),
        }
    }

    /// `^`.
    ///
    /// # Errors
    /// 2201F where there is no real result, 22003 past the format's range.
    pub fn power(&self, exponent: &Numeric) -> Result<Numeric> {
        self.power_with(exponent, || Ok(()))
    }

    /// As [`Numeric::power`], asking now and then whether to go on.
    ///
    /// # Errors
    /// As [`Numeric::power`], and what `check` says.
    pub fn power_with(&self, exponent: &Numeric, check: impl Fn() -> Result<()>) -> Result<Numeric> {
        let one = Numeric::ONE;
        if self.is_nan() || exponent.is_nan() {
            let is_one = self.compare(&one).is_eq() || exponent.signum() == 0 && !exponent.is_nan();
            return Ok(if is_one { one } else { Numeric::NAN });
        }
        if self.is_infinite() || exponent.is_infinite() {
            return self.power_special(exponent);
        }
        Numeric::from_limbs(functions::power(&self.limbs(), &exponent.limbs(), &check)?)
    }

    fn power_special(&self, exponent: &Numeric) -> Result<Numeric> {
        let one = Numeric::ONE;
        let invalid = |text: &str| Err(Error::new(SqlState::INVALID_ARGUMENT_FOR_POWER_FUNCTION, text));
        if self.signum() == 0 && exponent.signum() < 0 {
            return invalid("zero raised to a negative power is undefined");
        }
        let odd =
            exponent.rem(&Numeric::from_i64(2), || Ok(())).is_ok_and(|rest| rest.abs().compare(&one).is_eq());
        let whole = exponent.is_infinite() || exponent.compare(&exponent.trunc(0)?).is_eq();
        if self.signum() < 0 && !whole {
            return invalid("a negative number raised to a non-integer power yields a complex result");
        }
        if exponent.signum() == 0 || self.compare(&one).is_eq() {
            return Ok(one);
        }
        if exponent.is_infinite() {
            let magnitude = self.abs().compare(&one);
            if magnitude.is_eq() {
                return Ok(one);
            }
            return Ok(if magnitude.is_gt() == (exponent.signum() > 0) {
                Numeric::POS_INFINITY
            } else {
                Numeric::ZERO
            });
        }
        if exponent.signum() < 0 {
            return Ok(Numeric::ZERO);
        }
        Ok(if self.signum() < 0 && odd { Numeric::NEG_INFINITY } else { Numeric::POS_INFINITY })
    }

    /// `sqrt()`, asking now and then whether to go on.
    ///
    /// # Errors
    /// 2201F for negative numbers, and what `check` says.
    pub fn sqrt(&self, check: impl Fn() -> Result<()>) -> Result<Numeric> {
        if self.is_nan() || self.infinity_sign() == Some(Sign::Plus) {
            return Ok(self.clone());
        }
        if self.signum() < 0 {
            return Err(Error::new(
                SqlState::INVALID_ARGUMENT_FOR_POWER_FUNCTION,
                "cannot take square root of a negative number",
            ));
        }
        Numeric::from_limbs(functions::sqrt(&self.limbs(), &check)?)
    }

    /// `exp()`, asking now and then whether to go on.
    ///
    /// # Errors
    /// 22003 past the format's range, and what `check` says.
    pub fn exp(&self, check: impl Fn() -> Result<()>) -> Result<Numeric> {
        match self.kind() {
            Kind::NaN | Kind::Infinity { negative: false } => Ok(self.clone()),
            Kind::Infinity { negative: true } => Ok(Numeric::ZERO),
            _ => Numeric::from_limbs(functions::exp(&self.limbs(), &check)?),
        }
    }

    /// `ln()`, asking now and then whether to go on.
    ///
    /// # Errors
    /// 2201E for zero and below, and what `check` says.
    pub fn ln(&self, check: impl Fn() -> Result<()>) -> Result<Numeric> {
        match self.kind() {
            Kind::NaN | Kind::Infinity { negative: false } => Ok(self.clone()),
            Kind::Infinity { negative: true } => Err(Error::new(
                SqlState::INVALID_ARGUMENT_FOR_LOGARITHM,
                "cannot take logarithm of a negative number",
            )),
            _ => Numeric::from_limbs(functions::ln(&self.limbs(), &check)?),
        }
    }

    /// The logarithm of this number to a base: `log(base, self)`. Asks now and then whether to go on.
    ///
    /// # Errors
    /// 2201E for zero and below, 22012 for base 1, and what `check` says.
    pub fn log(&self, base: &Numeric, check: impl Fn() -> Result<()>) -> Result<Numeric> {
        if self.is_nan() || base.is_nan() {
            return Ok(Numeric::NAN);
        }
        if self.is_infinite() || base.is_infinite() {
            for number in [base, self] {
                let sign = number.signum();
                if sign <= 0 {
                    functions::check_logarithm(&Limbs::from_i64(i64::from(sign)))?;
                }
            }
            return Ok(match (self.is_infinite(), base.is_infinite()) {
                (true, true) => Numeric::NAN,
                (false, _) => Numeric::ZERO,
                (true, false) => match base.compare(&Numeric::ONE) {
                    Ordering::Less => Numeric::NEG_INFINITY,
                    _ => Numeric::POS_INFINITY,
                },
            });
        }
        Numeric::from_limbs(functions::log(&base.limbs(), &self.limbs(), &check)?)
    }

    /// `round(self, scale)`: half away from zero; a negative scale rounds before the point.
    ///
    /// # Errors
    /// 22003 past the format's range.
    pub fn round(&self, scale: i32) -> Result<Numeric> {
        self.cut(scale, true)
    }

    /// `trunc(self, scale)`.
    ///
    /// # Errors
    /// 22003 past the format's range.
    pub fn trunc(&self, scale: i32) -> Result<Numeric> {
        self.cut(scale, false)
    }

    fn cut(&self, scale: i32, round: bool) -> Result<Numeric> {
        let scale = scale.clamp(-functions::MAX_DISPLAY_SCALE * 2, functions::MAX_DISPLAY_SCALE * 2);
        match self.kind() {
            Kind::Small(coefficient, from) if (0..=SMALL_SCALE).contains(&scale) => {
                if scale <= from {
                    let unit = POW10[(from - scale) as usize];
                    let half = if round { unit / 2 * coefficient.signum() } else { 0 };
                    return Ok(Numeric::from_i128((coefficient + half) / unit, scale as u16));
                }
                let unit = POW10[(scale - from) as usize];
                if let Some(raised) = coefficient.checked_mul(unit) {
                    return Ok(Numeric::from_i128(raised, scale as u16));
                }
            }
            Kind::Small(..) | Kind::Big(_) => {}
            Kind::NaN | Kind::Infinity { .. } => return Ok(self.clone()),
        }
        let mut limbs = self.limbs();
        if round {
            limbs.round(scale)
        } else {
            limbs.trunc(scale)
        }
        Numeric::from_limbs(limbs)
    }

    /// `ceil()`.
    ///
    /// # Errors
    /// 22003 past the format's range.
    pub fn ceil(&self) -> Result<Numeric> {
        let whole = self.trunc(0)?;
        if self.compare(&whole).is_gt() { whole.add(&Numeric::ONE) } else { Ok(whole) }
    }

    /// `floor()`.
    ///
    /// # Errors
    /// 22003 past the format's range.
    pub fn floor(&self) -> Result<Numeric> {
        let whole = self.trunc(0)?;
        if self.compare(&whole).is_lt() { whole.sub(&Numeric::ONE) } else { Ok(whole) }
    }

    /// Greatest common divisor.
    ///
    /// # Errors
    /// 22003 past the format's range, and what `check` says.
    pub fn gcd(&self, other: &Numeric, check: impl Fn() -> Result<()>) -> Result<Numeric> {
        if self.is_nan() || other.is_nan() || self.is_infinite() || other.is_infinite() {
            return Ok(Numeric::NAN);
        }
        let scale = self.scale().max(other.scale()).unwrap_or(0);
        let (mut a, mut b) = (self.abs(), other.abs());
        while b.signum() != 0 {
            check()?;
            (a, b) = (b.clone(), a.rem(&b, &check)?);
        }
        a.round(scale)
    }

    /// Least common multiple.
    ///
    /// # Errors
    /// As [`Numeric::gcd`].
    pub fn lcm(&self, other: &Numeric, check: impl Fn() -> Result<()>) -> Result<Numeric> {
        if self.is_nan() || other.is_nan() || self.is_infinite() || other.is_infinite() {
            return Ok(Numeric::NAN);
        }
        let scale = self.scale().max(other.scale()).unwrap_or(0);
        if self.signum() == 0 || other.signum() == 0 {
            return Numeric::ZERO.round(scale);
        }
        let divisor = self.gcd(other, &check)?;
        // The quotient is whole, so truncation is exact.
        self.div_trunc(&divisor, &check)?.mul_with(other, check)?.abs().round(scale)
    }

    /// `factorial()`, which asks `check` now and then whether to go on.
    ///
    /// # Errors
    /// 22003 when negative or too large, and what `check` says.
    pub fn factorial(n: i64, check: impl Fn() -> Result<()>) -> Result<Numeric> {
        if n < 0 {
            return Err(Error::new(
                SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
                "factorial of a negative number is undefined",
            ));
        }
        if n > 32177 {
            return Err(overflow());
        }
        (2..=n).try_fold(Numeric::ONE, |product, factor| {
            if factor % 64 == 0 {
                check()?;
            }
            product.mul(&Numeric::from_i64(factor))
        })
    }

    /// SQL's order: by value, NaN above all.
    #[inline]
    pub fn compare(&self, other: &Numeric) -> Ordering {
        if let Some((a, b, _)) = self.narrow_pair(other) {
            return a.cmp(&b);
        }
        self.compare_slowly(other)
    }

    fn compare_slowly(&self, other: &Numeric) -> Ordering {
        match (self.kind(), other.kind()) {
            (Kind::Small(a, a_scale), Kind::Small(b, b_scale)) => {
                if a_scale == b_scale {
                    return a.cmp(&b);
                }
                match align(a, a_scale, b, b_scale) {
                    Some((a, b, _)) => a.cmp(&b),
                    None => self.limbs().compare(&other.limbs()),
                }
            }
            (Kind::NaN, Kind::NaN) => Ordering::Equal,
            (Kind::NaN, _) => Ordering::Greater,
            (_, Kind::NaN) => Ordering::Less,
            (Kind::Infinity { negative: a }, Kind::Infinity { negative: b }) => b.cmp(&a),
            (Kind::Infinity { negative }, _) => {
                if negative {
                    Ordering::Less
                } else {
                    Ordering::Greater
                }
            }
            (_, Kind::Infinity { negative }) => {
                if negative {
                    Ordering::Greater
                } else {
                    Ordering::Less
                }
            }
            _ => self.limbs().compare(&other.limbs()),
        }
    }

    /// Unary minus.
    #[must_use]
    pub fn neg(&self) -> Numeric {
        match self.kind() {
            Kind::Small(coefficient, scale) => Numeric::small(-coefficient, scale as u16),
            Kind::Big(limbs) => Numeric(Repr::Big(Arc::new(limbs.clone().neg()))),
            Kind::NaN => Numeric::NAN,
            Kind::Infinity { negative: true } => Numeric::POS_INFINITY,
            Kind::Infinity { negative: false } => Numeric::NEG_INFINITY,
        }
    }

    /// `abs()`.
    #[must_use]
    pub fn abs(&self) -> Numeric {
        if self.signum() < 0 { self.neg() } else { self.clone() }
    }

    /// `sign()`: -1, 0, 1 or NaN.
    #[must_use]
    pub fn sign(&self) -> Numeric {
        if self.is_nan() { Numeric::NAN } else { Numeric::from_i64(i64::from(self.signum())) }
    }

    /// `scale()`: digits shown after the point; `None` for NaN and infinities.
    pub fn scale(&self) -> Option<i32> {
        match self.kind() {
            Kind::Small(_, scale) => Some(scale),
            Kind::Big(limbs) => Some(limbs.scale),
            Kind::NaN | Kind::Infinity { .. } => None,
        }
    }

    /// `min_scale()`: digits after the point that are needed; `None` for NaN and infinities.
    pub fn min_scale(&self) -> Option<i32> {
        match self.kind() {
            Kind::Small(0, _) => Some(0),
            Kind::Small(mut coefficient, mut scale) => {
                while scale > 0 && coefficient % 10 == 0 {
                    coefficient /= 10;
                    scale -= 1;
                }
                Some(scale)
            }
            Kind::Big(limbs) => Some(limbs.min_scale()),
            Kind::NaN | Kind::Infinity { .. } => None,
        }
    }

    /// `trim_scale()`: without trailing zeros after the point.
    #[must_use]
    pub fn trim_scale(&self) -> Numeric {
        match self.min_scale() {
            Some(scale) if Some(scale) != self.scale() => {
                // Cutting zeros cannot overflow.
                let mut limbs = self.limbs();
                limbs.trunc(scale);
                Numeric::from_limbs(limbs).unwrap_or_else(|_| self.clone())
            }
            _ => self.clone(),
        }
    }

    /// Whether it is NaN.
    pub fn is_nan(&self) -> bool {
        matches!(self.0, Repr::NaN)
    }

    /// Whether it is an infinity.
    pub fn is_infinite(&self) -> bool {
        matches!(self.0, Repr::PosInfinity | Repr::NegInfinity)
    }

    /// Whether it is below zero.
    pub fn is_negative(&self) -> bool {
        self.signum() < 0
    }

    /// Whether it is zero.
    pub fn is_zero(&self) -> bool {
        !self.is_nan() && self.signum() == 0
    }

    /// Rounded to `numeric(precision, scale)` as the modifier says.
    ///
    /// # Errors
    /// 22003 when it has too many digits before the point.
    pub fn apply_typmod(&self, typmod: i32) -> Result<Numeric> {
        let Some((precision, scale)) = precision_and_scale(typmod) else { return Ok(self.clone()) };
        let refuse = |detail: String| {
            Err(Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "numeric field overflow").detail(detail))
        };
        match self.kind() {
            Kind::NaN => return Ok(Numeric::NAN),
            Kind::Infinity { .. } => {
                return refuse(format!(
                    "A field with precision {precision}, scale {scale} cannot hold an infinite value."
                ));
            }
            _ => {}
        }
        let rounded = self.round(scale)?;
        let fits = match rounded.kind() {
            Kind::Small(coefficient, shown) if (0..=38).contains(&(precision - scale + shown)) => {
                coefficient.unsigned_abs() < POW10[(precision - scale + shown) as usize] as u128
            }
            Kind::Small(0, _) => true,
            _ => {
                let limbs = rounded.limbs();
                limbs.is_zero() || decimal_weight(&limbs) < precision - scale
            }
        };
        if fits {
            return Ok(rounded);
        }
        let digits = precision - scale;
        let bound = if digits == 0 { "1".to_owned() } else { format!("10^{digits}") };
        refuse(format!(
            "A field with precision {precision}, scale {scale} must round to an absolute value less than {bound}."
        ))
    }
}

/// The power of ten of a number's first decimal digit.
fn decimal_weight(limbs: &Limbs) -> i32 {
    let first = limbs.digits.first().copied().unwrap_or(0);
    limbs.weight * limbs::DIGITS + (first.max(1) as f64).log10() as i32
}

/// Precision and scale of a modifier; `None` for -1.
pub fn precision_and_scale(typmod: i32) -> Option<(i32, i32)> {
    if typmod < 4 {
        return None;
    }
    let packed = typmod - 4;
    // The scale is 11 bits in two's complement.
    Some(((packed >> 16) & 0xffff, ((packed & 0x7ff) ^ 1024) - 1024))
}

/// Both coefficients at the larger scale, when they fit.
#[inline]
fn align(a: i128, a_scale: i32, b: i128, b_scale: i32) -> Option<(i128, i128, i32)> {
    match a_scale.cmp(&b_scale) {
        Ordering::Equal => Some((a, b, a_scale)),
        Ordering::Less => {
            let a = a.checked_mul(POW10[(b_scale - a_scale) as usize])?;
            (a.unsigned_abs() < COEFFICIENT_LIMIT as u128).then_some((a, b, b_scale))
        }
        Ordering::Greater => {
            let b = b.checked_mul(POW10[(a_scale - b_scale) as usize])?;
            (b.unsigned_abs() < COEFFICIENT_LIMIT as u128).then_some((a, b, a_scale))
        }
    }
}

/// A quotient in 128 bits, when everything fits; the divisor is not zero.
fn divide_small(a: i128, a_scale: i32, b: i128, b_scale: i32) -> Option<Numeric> {
    let (a_weight, a_first) = first_digit(a.unsigned_abs(), a_scale);
    let (b_weight, b_first) = first_digit(b.unsigned_abs(), b_scale);
    let mut weight = a_weight - b_weight;
    if a_first <= b_first {
        weight -= 1;
    }
    let wanted = functions::MIN_SIGNIFICANT_DIGITS - weight * limbs::DIGITS;
    let scale = wanted.max(a_scale).max(b_scale).clamp(0, functions::MAX_DISPLAY_SCALE);
    let raise = scale + b_scale - a_scale;
    if scale > SMALL_SCALE || !(0..=38).contains(&raise) {
        return None;
    }
    let dividend = a.checked_mul(POW10[raise as usize])?;
    let (quotient, rest) = match (i64::try_from(dividend), i64::try_from(b)) {
        (Ok(dividend), Ok(b)) if b != -1 => (i128::from(dividend / b), i128::from(dividend % b)),
        _ => (dividend / b, dividend % b),
    };
    let up = rest.unsigned_abs() >= b.unsigned_abs() - rest.unsigned_abs();
    let sign = if (a < 0) == (b < 0) { 1 } else { -1 };
    Some(Numeric::from_i128(if up && rest != 0 { quotient + sign } else { quotient }, scale as u16))
}

/// Weight and value of a coefficient's first base-10,000 digit; (0, 0) for zero.
fn first_digit(coefficient: u128, scale: i32) -> (i32, i32) {
    if coefficient == 0 {
        return (0, 0);
    }
    let lead = coefficient.ilog10() as i32 - scale;
    let weight = lead.div_euclid(limbs::DIGITS);
    let shift = weight * limbs::DIGITS + scale;
    let first = if shift >= 0 {
        coefficient / POW10[shift as usize] as u128
    } else {
        coefficient * POW10[-shift as usize] as u128
    };
    (weight, first as i32)
}

/// `division by zero`.
#[cold]
pub(crate) fn division_by_zero() -> Error {
    Error::new(SqlState::DIVISION_BY_ZERO, "division by zero")
}

#[cfg(test)]
mod tests;
