//! `numeric` to and from other types, and its binary, stored and key forms.
//!
//! # On-disk layout
//! Stored form: one byte, then
//!
//! | first byte | meaning | rest |
//! |---|---|---|
//! | 0..=38 | scale of a coefficient | the coefficient, little-endian two's complement, in as few bytes as it takes |
//! | 0x40, 0x41 | long number, its lowest bit the sign | weight i16, scale u16, base-10,000 digits i16, little-endian |
//! | 0x80, 0x81, 0x82 | NaN, Infinity, -Infinity | nothing |
//!
//! Key form: one byte (0x10 -Infinity, 0x20 negative, 0x30 zero, 0x40 positive, 0x50 Infinity, 0x60 NaN); then, for the
//! finite ones but zero, the power of 100 of the first digit pair (one byte 0x80 + power within ±60, else 0x00 or 0xFF
//! and four bytes), then the pairs as `2 * pair + 1`, the last as `2 * pair`. Of negative numbers all that follows the
//! first byte is complemented. Equal numbers of different scale have one key.

use std::sync::Arc;

use ochre_base::{Error, Result, SqlState};

use super::limbs::Limbs;
use super::{Kind, Numeric, POW10, Repr};

const TAG_LONG: u8 = 0x40;
const TAG_NAN: u8 = 0x80;
const TAG_INFINITY: u8 = 0x81;
const TAG_NEG_INFINITY: u8 = 0x82;

const SIGN_NEGATIVE: u16 = 0x4000;
const SIGN_NAN: u16 = 0xC000;
const SIGN_INFINITY: u16 = 0xD000;
const SIGN_NEG_INFINITY: u16 = 0xF000;

impl Numeric {
    /// As `int2`, rounded.
    ///
    /// # Errors
    /// 22003 outside its range, 0A000 for NaN and infinities.
    pub fn to_i16(&self) -> Result<i16> {
        self.to_integer("smallint")
    }

    /// As `int4`, rounded.
    ///
    /// # Errors
    /// 22003 outside its range, 0A000 for NaN and infinities.
    pub fn to_i32(&self) -> Result<i32> {
        self.to_integer("integer")
    }

    /// As `int8`, rounded.
    ///
    /// # Errors
    /// 22003 outside its range, 0A000 for NaN and infinities.
    pub fn to_i64(&self) -> Result<i64> {
        self.to_integer("bigint")
    }

    fn to_integer<T: TryFrom<i128>>(&self, name: &str) -> Result<T> {
        let what = if self.is_nan() { "NaN" } else { "infinity" };
        if self.is_nan() || self.is_infinite() {
            return Err(Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                format!("cannot convert {what} to {name}"),
            ));
        }
        match self.round(0)?.kind() {
            Kind::Small(coefficient, _) => T::try_from(coefficient).ok(),
            _ => None,
        }
        .ok_or_else(|| Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, format!("{name} out of range")))
    }

    /// The integer value when the number is one and fits.
    pub fn to_i128_exact(&self) -> Option<i128> {
        match self.kind() {
            Kind::Small(coefficient, scale) => {
                let unit = POW10[scale as usize];
                (coefficient % unit == 0).then_some(coefficient / unit)
            }
            Kind::Big(limbs) if limbs.min_scale() == 0 => Limbs { scale: 0, ..limbs.clone() }.coefficient(),
            _ => None,
        }
    }

    /// As `float8`: the nearest.
    ///
    /// # Errors
    /// 22003 when it is too large or, not being zero, too small.
    pub fn to_f64(&self) -> Result<f64> {
        if let Kind::Small(coefficient, scale @ 0..=22) = self.kind()
            && coefficient.unsigned_abs() < 1 << 53
        {
            // Both are exact floats, so one division rounds correctly.
            return Ok(coefficient as f64 / POW10[scale as usize] as f64);
        }
        self.to_float("double precision", |value: &f64| value.is_infinite(), |value| *value == 0.0)
    }

    /// As `float4`: the nearest.
    ///
    /// # Errors
    /// 22003 when it is too large or, not being zero, too small.
    pub fn to_f32(&self) -> Result<f32> {
        self.to_float("real", |value: &f32| value.is_infinite(), |value| *value == 0.0)
    }

    fn to_float<T: std::str::FromStr>(
        &self,
        name: &str,
        infinite: impl Fn(&T) -> bool,
        zero: impl Fn(&T) -> bool,
    ) -> Result<T> {
        let text = self.to_string();
        let value = text.parse::<T>().map_err(|_| Error::internal("a number's text is a float"))?;
        let overflows = infinite(&value) && !self.is_infinite();
        if overflows || zero(&value) && !self.is_zero() {
            return Err(Error::new(
                SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
                format!("\"{text}\" is out of range for type {name}"),
            ));
        }
        Ok(value)
    }

    /// As float without complaint: infinite when too large, zero when too small.
    pub fn to_f64_lossy(&self) -> f64 {
        self.to_string().parse().unwrap_or(f64::NAN)
    }

    /// From `float8`, with 15 significant digits as PostgreSQL's cast.
    pub fn from_f64(value: f64) -> Numeric {
        Numeric::from_float(value, 15)
    }

    /// From `float4`, with 6 significant digits as PostgreSQL's cast.
    pub fn from_f32(value: f32) -> Numeric {
        Numeric::from_float(f64::from(value), 6)
    }

    fn from_float(value: f64, digits: usize) -> Numeric {
        if value.is_nan() {
            return Numeric::NAN;
        }
        if value.is_infinite() {
            return if value > 0.0 { Numeric::POS_INFINITY } else { Numeric::NEG_INFINITY };
        }
        let text = format!("{:.*e}", digits - 1, value);
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        // As printf's %g, which drops trailing zeros.
        let mantissa = mantissa.trim_end_matches('0').trim_end_matches('.');
        Numeric::parse(&format!("{mantissa}e{exponent}")).unwrap_or(Numeric::NAN)
    }

    /// Appends the binary wire form.
    pub fn encode_binary(&self, out: &mut Vec<u8>) {
        let special = |sign: u16, out: &mut Vec<u8>| {
            // PostgreSQL's scale of infinities is what their header's bits happen to read as.
            let scale: u16 = if sign == SIGN_NAN { 0 } else { 0x20 };
            for word in [0, 0, sign, scale] {
                out.extend_from_slice(&word.to_be_bytes());
            }
        };
        let limbs = match self.kind() {
            Kind::NaN => return special(SIGN_NAN, out),
            Kind::Infinity { negative: false } => return special(SIGN_INFINITY, out),
            Kind::Infinity { negative: true } => return special(SIGN_NEG_INFINITY, out),
            _ => self.limbs(),
        };
        out.extend_from_slice(&(limbs.digits.len() as u16).to_be_bytes());
        out.extend_from_slice(&(limbs.weight as i16).to_be_bytes());
        out.extend_from_slice(&(if limbs.negative { SIGN_NEGATIVE } else { 0 }).to_be_bytes());
        out.extend_from_slice(&(limbs.scale as u16).to_be_bytes());
        limbs.digits.iter().for_each(|digit| out.extend_from_slice(&digit.to_be_bytes()));
    }

    /// Reads the binary wire form.
    ///
    /// # Errors
    /// 22P03.
    pub fn decode_binary(bytes: &[u8]) -> Result<Numeric> {
        let bad = |what: &str| {
            Error::new(
                SqlState::INVALID_BINARY_REPRESENTATION,
                format!("invalid {what} in external \"numeric\" value"),
            )
        };
        let words: Vec<u16> =
            bytes.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect();
        let [count, weight, sign, scale, digits @ ..] = words.as_slice() else { return Err(bad("length")) };
        if !bytes.len().is_multiple_of(2) || digits.len() != *count as usize {
            return Err(bad("length"));
        }
        let negative = match *sign {
            0 => false,
            SIGN_NEGATIVE => true,
            SIGN_NAN => return Ok(Numeric::NAN),
            SIGN_INFINITY => return Ok(Numeric::POS_INFINITY),
            SIGN_NEG_INFINITY => return Ok(Numeric::NEG_INFINITY),
            _ => return Err(bad("sign")),
        };
        if i32::from(*scale) > super::MAX_SCALE {
            return Err(bad("scale"));
        }
        if digits.iter().any(|digit| *digit >= 10_000) {
            return Err(bad("digit"));
        }
        let mut limbs = Limbs {
            negative,
            weight: i32::from(*weight as i16),
            scale: i32::from(*scale),
            digits: digits.iter().map(|digit| *digit as i16).collect(),
        };
        // Digits past the scale are cut, as PostgreSQL does.
        limbs.strip();
        limbs.trunc(i32::from(*scale));
        Numeric::from_limbs(limbs)
    }

    /// Appends the stored form.
    pub fn encode_stored(&self, out: &mut Vec<u8>) {
        match self.kind() {
            Kind::Small(coefficient, scale) => {
                out.push(scale as u8);
                let bytes = coefficient.to_le_bytes();
                let spare = if coefficient < 0 {
                    (!coefficient).leading_zeros()
                } else {
                    coefficient.leading_zeros()
                };
                // One bit is left for the sign.
                let needed = (128 - spare as usize) / 8 + 1;
                out.extend_from_slice(&bytes[..needed]);
            }
            Kind::Big(limbs) => {
                out.push(TAG_LONG | u8::from(limbs.negative));
                out.extend_from_slice(&(limbs.weight as i16).to_le_bytes());
                out.extend_from_slice(&(limbs.scale as u16).to_le_bytes());
                limbs.digits.iter().for_each(|digit| out.extend_from_slice(&digit.to_le_bytes()));
            }
            Kind::NaN => out.push(TAG_NAN),
            Kind::Infinity { negative: false } => out.push(TAG_INFINITY),
            Kind::Infinity { negative: true } => out.push(TAG_NEG_INFINITY),
        }
    }

    /// Reads a stored form of `len` bytes that `bytes` begin with; `None` when it is none. Whatever lies behind it lets
    /// the number be read at once instead of byte by byte.
    #[inline]
    pub fn decode_stored_within(bytes: &[u8], len: usize) -> Option<Numeric> {
        match Numeric::narrow_stored_within(bytes, len) {
            Some((value, scale)) => Some(Numeric::small(i128::from(value), scale)),
            None => Numeric::decode_stored(bytes.get(..len)?),
        }
    }

    /// As [`Numeric::decode_stored_within`], of numbers with at most 64 bits only: the coefficient and the scale.
    #[inline]
    pub fn narrow_stored_within(bytes: &[u8], len: usize) -> Option<(i64, u16)> {
        let [tag, wide @ ..] = bytes.first_chunk::<9>()?;
        if *tag > 38 || !(2..=9).contains(&len) {
            return None;
        }
        let spare = 64 - 8 * (len as u32 - 1);
        Some(((i64::from_le_bytes(*wide) << spare) >> spare, u16::from(*tag)))
    }

    /// Reads the stored form; `None` when it is none.
    #[inline]
    pub fn decode_stored(bytes: &[u8]) -> Option<Numeric> {
        let (tag, rest) = bytes.split_first()?;
        // Up to 64 bits the coefficient is far below the limit: nearly every number.
        if *tag <= 38 && (1..=8).contains(&rest.len()) {
            let mut wide = [0u8; 8];
            wide[..rest.len()].copy_from_slice(rest);
            let spare = 64 - 8 * rest.len() as u32;
            let value = (i64::from_le_bytes(wide) << spare) >> spare;
            return Some(Numeric::small(i128::from(value), u16::from(*tag)));
        }
        Numeric::decode_stored_slowly(bytes)
    }

    fn decode_stored_slowly(bytes: &[u8]) -> Option<Numeric> {
        let (tag, rest) = bytes.split_first()?;
        match *tag {
            scale @ 0..=38 => {
                if rest.is_empty() || rest.len() > 16 {
                    return None;
                }
                let fill = if rest[rest.len() - 1] & 0x80 != 0 { 0xFF } else { 0 };
                let mut wide = [fill; 16];
                wide[..rest.len()].copy_from_slice(rest);
                let value = i128::from_le_bytes(wide);
                (value.unsigned_abs() < super::COEFFICIENT_LIMIT as u128)
                    .then(|| Numeric::small(value, u16::from(scale)))
            }
            tag if tag & !1 == TAG_LONG => {
                if rest.len() < 4 || !rest.len().is_multiple_of(2) {
                    return None;
                }
                let word = |at: usize| i16::from_le_bytes([rest[at], rest[at + 1]]);
                let digits: Vec<i16> = (4..rest.len()).step_by(2).map(word).collect();
                if digits.iter().any(|digit| !(0..10_000).contains(digit)) {
                    return None;
                }
                let limbs = Limbs {
                    negative: tag & 1 != 0,
                    weight: i32::from(word(0)),
                    scale: i32::from(word(2) as u16),
                    digits,
                };
                Some(Numeric(Repr::Big(Arc::new(limbs))))
            }
            TAG_NAN => Some(Numeric::NAN),
            TAG_INFINITY => Some(Numeric::POS_INFINITY),
            TAG_NEG_INFINITY => Some(Numeric::NEG_INFINITY),
            _ => None,
        }
    }

    /// Appends the order-preserving key form.
    pub fn encode_key(&self, out: &mut Vec<u8>) {
        let negative = match self.kind() {
            Kind::NaN => return out.push(0x60),
            Kind::Infinity { negative: false } => return out.push(0x50),
            Kind::Infinity { negative: true } => return out.push(0x10),
            _ if self.signum() == 0 => return out.push(0x30),
            _ => self.signum() < 0,
        };
        out.push(if negative { 0x20 } else { 0x40 });
        let start = out.len();
        match self.kind() {
            Kind::Small(coefficient, scale) => small_key(coefficient.unsigned_abs(), scale, out),
            _ => long_key(&self.limbs(), out),
        }
        if negative {
            out[start..].iter_mut().for_each(|byte| *byte = !*byte);
        }
    }

    /// Reads the key form off the front of `key`; `None` when it is none. The scale is the smallest possible.
    pub fn decode_key(key: &mut &[u8]) -> Option<Numeric> {
        let (tag, mut rest) = key.split_first()?;
        let (tag, mask) = match *tag {
            0x20 => (0x20, 0xFF),
            tag => (tag, 0),
        };
        let special = match tag {
            0x10 => Some(Numeric::NEG_INFINITY),
            0x30 => Some(Numeric::ZERO),
            0x50 => Some(Numeric::POS_INFINITY),
            0x60 => Some(Numeric::NAN),
            0x20 | 0x40 => None,
            _ => return None,
        };
        if let Some(special) = special {
            *key = rest;
            return Some(special);
        }
        let mut next = || {
            let (byte, tail) = rest.split_first()?;
            rest = tail;
            Some(byte ^ mask)
        };
        let power = match next()? {
            0x00 | 0xFF => {
                let bytes = [next()?, next()?, next()?, next()?];
                (u32::from_be_bytes(bytes) ^ (1 << 31)) as i32
            }
            byte => i32::from(byte) - 0x80,
        };
        let mut pairs = Vec::new();
        loop {
            let byte = next()?;
            pairs.push(byte / 2);
            if byte % 2 == 0 {
                break;
            }
        }
        *key = rest;
        let mut digits = Vec::with_capacity(pairs.len() / 2 + 2);
        let odd = power.rem_euclid(2) == 0;
        let mut pairs = pairs.into_iter().map(i16::from);
        if odd {
            digits.push(pairs.next()?);
        }
        while let Some(high) = pairs.next() {
            digits.push(high * 100 + pairs.next().unwrap_or(0));
        }
        let mut limbs = Limbs { negative: mask != 0, weight: power.div_euclid(2), scale: 0, digits };
        limbs.scale = limbs.min_scale();
        Numeric::from_limbs(limbs).ok()
    }

    /// Mixes what is equal for equal numbers into a hash.
    pub(crate) fn hash_value(&self, mix: impl Fn(u64, u64) -> u64, hash: u64) -> u64 {
        match self.kind() {
            Kind::Small(coefficient, scale) => hash_small(coefficient, scale, mix, hash),
            Kind::Big(limbs) => {
                let minimal = Limbs { scale: limbs.min_scale(), ..limbs.clone() };
                match minimal.coefficient() {
                    Some(coefficient) if minimal.scale <= 38 => {
                        hash_small(coefficient, minimal.scale, mix, hash)
                    }
                    _ => limbs
                        .digits
                        .iter()
                        .fold(mix(hash, limbs.weight as u64), |hash, digit| mix(hash, *digit as u64)),
                }
            }
            Kind::NaN => mix(hash, 0x6e61),
            Kind::Infinity { negative } => mix(hash, 0x696e + u64::from(negative)),
        }
    }
}

fn hash_small(mut coefficient: i128, mut scale: i32, mix: impl Fn(u64, u64) -> u64, hash: u64) -> u64 {
    if coefficient == 0 {
        scale = 0;
    }
    while scale > 0 && coefficient % 10 == 0 {
        coefficient /= 10;
        scale -= 1;
    }
    mix(mix(hash, coefficient as u64), ((coefficient >> 64) as u64).wrapping_add(scale as u64))
}

fn push_power(power: i32, out: &mut Vec<u8>) {
    if (-60..=60).contains(&power) {
        out.push((0x80 + power) as u8);
    } else {
        out.push(if power > 0 { 0xFF } else { 0x00 });
        out.extend_from_slice(&((power as u32) ^ (1 << 31)).to_be_bytes());
    }
}

fn small_key(coefficient: u128, scale: i32, out: &mut Vec<u8>) {
    // Pairs lie on the decimal point: an odd scale gets one more zero.
    let mut pairs = [0u8; 22];
    let mut start = pairs.len();
    let mut rest = coefficient;
    if scale % 2 != 0 {
        start -= 1;
        pairs[start] = (rest % 10) as u8 * 10;
        rest /= 10;
    }
    while rest > u128::from(u64::MAX) {
        start -= 1;
        pairs[start] = (rest % 100) as u8;
        rest /= 100;
    }
    let mut rest = rest as u64;
    while rest > 0 {
        start -= 1;
        pairs[start] = (rest % 100) as u8;
        rest /= 100;
    }
    let lowest = -((scale + 1) / 2);
    let mut digits = &pairs[start..];
    let mut power = lowest + digits.len() as i32 - 1;
    while let [0, tail @ ..] = digits {
        digits = tail;
        power -= 1;
    }
    while let [head @ .., 0] = digits {
        digits = head;
    }
    push_pairs(power, digits, out);
}

fn long_key(limbs: &Limbs, out: &mut Vec<u8>) {
    let mut pairs = Vec::with_capacity(limbs.digits.len() * 2);
    limbs.digits.iter().for_each(|digit| pairs.extend([(digit / 100) as u8, (digit % 100) as u8]));
    let mut power = limbs.weight * 2 + 1;
    let mut digits = pairs.as_slice();
    if let [0, tail @ ..] = digits {
        digits = tail;
        power -= 1;
    }
    if let [head @ .., 0] = digits {
        digits = head;
    }
    push_pairs(power, digits, out);
}

fn push_pairs(power: i32, pairs: &[u8], out: &mut Vec<u8>) {
    push_power(power, out);
    let Some((last, pairs)) = pairs.split_last() else { return };
    out.extend(pairs.iter().map(|pair| pair * 2 + 1));
    out.push(last * 2);
}

impl From<i32> for Numeric {
    fn from(value: i32) -> Numeric {
        Numeric::from_i64(i64::from(value))
    }
}

impl From<i64> for Numeric {
    fn from(value: i64) -> Numeric {
        Numeric::from_i64(value)
    }
}

impl From<u64> for Numeric {
    fn from(value: u64) -> Numeric {
        Numeric::from_i128(i128::from(value), 0)
    }
}
