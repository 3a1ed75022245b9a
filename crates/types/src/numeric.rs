//! PostgreSQL's `numeric`: exact decimals with a display scale.

use std::cmp::Ordering;
use std::sync::Arc;

use ochre_base::{Error, Result};

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
    #[allow(dead_code)]
    Big(Arc<Big>),
    NaN,
    PosInfinity,
    NegInfinity,
}

/// Base-10,000 digits, most significant first.
#[derive(Debug, Clone, PartialEq)]
struct Big {
    negative: bool,
    /// Power of 10,000 of the first digit.
    weight: i32,
    scale: u16,
    digits: Vec<i16>,
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
        Numeric::from_i128_small(value as i128, 0)
    }

    const fn from_i128_small(value: i128, scale: u16) -> Numeric {
        Numeric(Repr::Small { low: value as u64, high: (value >> 64) as i64, scale })
    }

    /// `value * 10^-scale`, shown with `scale` digits after the point.
    pub fn from_i128(value: i128, scale: u16) -> Numeric {
        Numeric::from_i128_small(value, scale)
    }
}

macro_rules! signatures {
    ($($(#[$doc:meta])* fn $name:ident(&self $(, $arg:ident: $ty:ty)*) -> $ret:ty;)*) => {
        impl Numeric {
            $($(#[$doc])* pub fn $name(&self $(, $arg: $ty)*) -> Result<$ret> {
                $(let _ = $arg;)*
                Err(Error::unsupported(concat!("numeric ", stringify!($name))))
            })*
        }
    };
}

signatures! {
    /// `+`.
    fn add(&self, other: &Numeric) -> Numeric;
    /// `-`.
    fn sub(&self, other: &Numeric) -> Numeric;
    /// `*`.
    fn mul(&self, other: &Numeric) -> Numeric;
    /// `/`, with PostgreSQL's choice of scale.
    fn div(&self, other: &Numeric) -> Numeric;
    /// The quotient truncated to an integer: `div()`.
    fn div_trunc(&self, other: &Numeric) -> Numeric;
    /// `%`, with the sign of the dividend.
    fn rem(&self, other: &Numeric) -> Numeric;
    /// `^`.
    fn power(&self, exponent: &Numeric) -> Numeric;
    /// `sqrt()`.
    fn sqrt(&self) -> Numeric;
    /// `exp()`.
    fn exp(&self) -> Numeric;
    /// `ln()`.
    fn ln(&self) -> Numeric;
    /// `log(base, self)`.
    fn log(&self, base: &Numeric) -> Numeric;
    /// `round(self, scale)`: half away from zero; a negative scale rounds before the point.
    fn round(&self, scale: i32) -> Numeric;
    /// `trunc(self, scale)`.
    fn trunc(&self, scale: i32) -> Numeric;
    /// `ceil()`.
    fn ceil(&self) -> Numeric;
    /// `floor()`.
    fn floor(&self) -> Numeric;
    /// Greatest common divisor.
    fn gcd(&self, other: &Numeric) -> Numeric;
    /// Least common multiple.
    fn lcm(&self, other: &Numeric) -> Numeric;
    /// As `int2`, rounded; 22003 outside its range.
    fn to_i16(&self) -> i16;
    /// As `int4`, rounded; 22003 outside its range.
    fn to_i32(&self) -> i32;
    /// As `int8`, rounded; 22003 outside its range.
    fn to_i64(&self) -> i64;
    /// As `float4`.
    fn to_f32(&self) -> f32;
    /// As `float8`.
    fn to_f64(&self) -> f64;
    /// Rounded to `numeric(precision, scale)` as typmod says; 22003 when too large.
    fn apply_typmod(&self, typmod: i32) -> Numeric;
}

impl Numeric {
    /// Reads `numeric`'s text form.
    ///
    /// # Errors
    /// 22P02 or 22003.
    pub fn parse(text: &str) -> Result<Numeric> {
        let _ = text;
        Err(Error::unsupported("numeric parse"))
    }

    /// Appends the text form.
    pub fn print(&self, out: &mut Vec<u8>) {
        let _ = out;
    }

    /// `factorial()`.
    ///
    /// # Errors
    /// 22003 when negative or too large.
    pub fn factorial(n: i64) -> Result<Numeric> {
        let _ = n;
        Err(Error::unsupported("numeric factorial"))
    }

    /// From `float8`, with 15 significant digits as PostgreSQL's cast.
    pub fn from_f64(value: f64) -> Numeric {
        let _ = value;
        Numeric::ZERO
    }

    /// From `float4`, with 6 significant digits as PostgreSQL's cast.
    pub fn from_f32(value: f32) -> Numeric {
        let _ = value;
        Numeric::ZERO
    }

    /// The integer value when the number is one and fits.
    pub fn to_i128_exact(&self) -> Option<i128> {
        None
    }

    /// SQL's order: by value, NaN above all.
    pub fn compare(&self, other: &Numeric) -> Ordering {
        let _ = other;
        Ordering::Equal
    }

    /// Unary minus.
    #[must_use]
    pub fn neg(&self) -> Numeric {
        self.clone()
    }

    /// `abs()`.
    #[must_use]
    pub fn abs(&self) -> Numeric {
        self.clone()
    }

    /// `sign()`.
    #[must_use]
    pub fn sign(&self) -> Numeric {
        self.clone()
    }

    /// `scale()`: digits shown after the point; `None` for NaN and infinities.
    pub fn scale(&self) -> Option<i32> {
        None
    }

    /// `min_scale()`: digits after the point that are needed.
    pub fn min_scale(&self) -> Option<i32> {
        None
    }

    /// `trim_scale()`.
    #[must_use]
    pub fn trim_scale(&self) -> Numeric {
        self.clone()
    }

    /// Whether it is NaN.
    pub fn is_nan(&self) -> bool {
        matches!(self.0, Repr::NaN)
    }

    /// Whether it is an infinity.
    pub fn is_infinite(&self) -> bool {
        matches!(self.0, Repr::PosInfinity | Repr::NegInfinity)
    }
}
