//! Integers, object ids, booleans and "char": arithmetic, comparison, conversion.

use ochre_base::{Error, Result, SqlState};
use ochre_types::{Datum, Numeric};

use super::Implementations;
use super::kernels::{Bytes, Text};
use crate::errors::{division_by_zero, out_of_range};

fn int2_range() -> Error {
    out_of_range("smallint")
}

pub(crate) fn int4_range() -> Error {
    out_of_range("integer")
}

pub(crate) fn int8_range() -> Error {
    out_of_range("bigint")
}

fn oid_range() -> Error {
    Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "OID out of range")
}

/// The six comparisons, and the B-tree support function when named.
macro_rules! comparisons {
    ($r:ident, $a:ty, $b:ty, $eq:literal $ne:literal $lt:literal $le:literal $gt:literal $ge:literal, $cmp:literal, |$x:ident, $y:ident| $order:expr) => {
        $r.map2::<$a, $b, bool>($eq, |$x, $y| $order.is_eq());
        $r.map2::<$a, $b, bool>($ne, |$x, $y| $order.is_ne());
        $r.map2::<$a, $b, bool>($lt, |$x, $y| $order.is_lt());
        $r.map2::<$a, $b, bool>($le, |$x, $y| $order.is_le());
        $r.map2::<$a, $b, bool>($gt, |$x, $y| $order.is_gt());
        $r.map2::<$a, $b, bool>($ge, |$x, $y| $order.is_ge());
        $r.map2::<$a, $b, i32>($cmp, |$x, $y| $order as i32);
    };
}
pub(crate) use comparisons;

/// Comparisons of a pair of integer types through a common one.
macro_rules! integer_comparisons {
    ($r:ident, $a:ty, $b:ty, $wide:ty, $eq:literal $ne:literal $lt:literal $le:literal $gt:literal $ge:literal, $cmp:literal) => {
        $r.map2::<$a, $b, bool>($eq, |a, b| <$wide>::from(a) == <$wide>::from(b));
        $r.map2::<$a, $b, bool>($ne, |a, b| <$wide>::from(a) != <$wide>::from(b));
        $r.map2::<$a, $b, bool>($lt, |a, b| <$wide>::from(a) < <$wide>::from(b));
        $r.map2::<$a, $b, bool>($le, |a, b| <$wide>::from(a) <= <$wide>::from(b));
        $r.map2::<$a, $b, bool>($gt, |a, b| <$wide>::from(a) > <$wide>::from(b));
        $r.map2::<$a, $b, bool>($ge, |a, b| <$wide>::from(a) >= <$wide>::from(b));
        $r.map2::<$a, $b, i32>($cmp, |a, b| <$wide>::from(a).cmp(&<$wide>::from(b)) as i32);
    };
}

/// `+ - * /` of a pair of integer types whose result is the wider one. Overflow of a sum or difference is told by
/// signs, so that the loops vectorise.
macro_rules! integer_arithmetic {
    ($r:ident, $a:ty, $b:ty, $wide:ty, $range:expr, $add:literal $sub:literal $mul:literal $div:literal) => {
        $r.checked2::<$a, $b, $wide>(
            $add,
            |_, _| $range(),
            |a, b| {
                let (a, b) = (<$wide>::from(a), <$wide>::from(b));
                let sum = a.wrapping_add(b);
                (sum, (a ^ sum) & (b ^ sum) < 0)
            },
        );
        $r.checked2::<$a, $b, $wide>(
            $sub,
            |_, _| $range(),
            |a, b| {
                let (a, b) = (<$wide>::from(a), <$wide>::from(b));
                let difference = a.wrapping_sub(b);
                (difference, (a ^ b) & (a ^ difference) < 0)
            },
        );
        $r.checked2::<$a, $b, $wide>(
            $mul,
            |_, _| $range(),
            |a, b| <$wide>::from(a).overflowing_mul(<$wide>::from(b)),
        );
        $r.try2::<$a, $b, $wide>($div, |a, b| {
            let (a, b) = (<$wide>::from(a), <$wide>::from(b));
            if b == 0 {
                return Err(division_by_zero());
            }
            a.checked_div(b).ok_or_else($range)
        });
    };
}

macro_rules! one_integer_type {
    ($r:ident, $t:ty, $range:expr, $rem:literal $neg:literal $abs:literal $plus:literal $and:literal $or:literal $xor:literal $not:literal $shl:literal $shr:literal $larger:literal $smaller:literal) => {
        $r.f2::<$t, $t, $t>(
            $rem,
            |a, b| {
                if b == 0 { Err(division_by_zero()) } else { Ok(a.wrapping_rem(b)) }
            },
        );
        $r.checked1::<$t, $t>($neg, $range, |a| a.overflowing_neg());
        $r.checked1::<$t, $t>($abs, $range, |a| a.overflowing_abs());
        $r.map1::<$t, $t>($plus, |a| a);
        $r.map2::<$t, $t, $t>($and, |a, b| a & b);
        $r.map2::<$t, $t, $t>($or, |a, b| a | b);
        $r.map2::<$t, $t, $t>($xor, |a, b| a ^ b);
        $r.map1::<$t, $t>($not, |a| !a);
        $r.map2::<$t, i32, $t>($shl, |a, b| a.wrapping_shl(b as u32));
        $r.map2::<$t, i32, $t>($shr, |a, b| a.wrapping_shr(b as u32));
        $r.map2::<$t, $t, $t>($larger, |a, b| a.max(b));
        $r.map2::<$t, $t, $t>($smaller, |a, b| a.min(b));
    };
}

pub(super) fn register(r: &mut Implementations) {
    compare(r);
    arithmetic(r);
    convert(r);
    booleans(r);
    misc(r);
}

#[rustfmt::skip]
fn compare(r: &mut Implementations) {
    integer_comparisons!(r, i16, i16, i16, "int2eq" "int2ne" "int2lt" "int2le" "int2gt" "int2ge", "btint2cmp");
    integer_comparisons!(r, i32, i32, i32, "int4eq" "int4ne" "int4lt" "int4le" "int4gt" "int4ge", "btint4cmp");
    integer_comparisons!(r, i64, i64, i64, "int8eq" "int8ne" "int8lt" "int8le" "int8gt" "int8ge", "btint8cmp");
    integer_comparisons!(r, i16, i32, i32, "int24eq" "int24ne" "int24lt" "int24le" "int24gt" "int24ge", "btint24cmp");
    integer_comparisons!(r, i32, i16, i32, "int42eq" "int42ne" "int42lt" "int42le" "int42gt" "int42ge", "btint42cmp");
    integer_comparisons!(r, i16, i64, i64, "int28eq" "int28ne" "int28lt" "int28le" "int28gt" "int28ge", "btint28cmp");
    integer_comparisons!(r, i64, i16, i64, "int82eq" "int82ne" "int82lt" "int82le" "int82gt" "int82ge", "btint82cmp");
    integer_comparisons!(r, i32, i64, i64, "int48eq" "int48ne" "int48lt" "int48le" "int48gt" "int48ge", "btint48cmp");
    integer_comparisons!(r, i64, i32, i64, "int84eq" "int84ne" "int84lt" "int84le" "int84gt" "int84ge", "btint84cmp");
    integer_comparisons!(r, u32, u32, u32, "oideq" "oidne" "oidlt" "oidle" "oidgt" "oidge", "btoidcmp");
    integer_comparisons!(r, u8, u8, u8, "chareq" "charne" "charlt" "charle" "chargt" "charge", "btcharcmp");
    integer_comparisons!(r, u64, u64, u64, "xid8eq" "xid8ne" "xid8lt" "xid8le" "xid8gt" "xid8ge", "xid8cmp");
    integer_comparisons!(r, bool, bool, bool, "booleq" "boolne" "boollt" "boolle" "boolgt" "boolge", "btboolcmp");
    // Two functions share each: the other argument is an xid or an int4.
    for (source, equal) in [("xideq", true), ("xidneq", false)] {
        r.row(source, move |_, args| {
            let number = |value: &Datum| value.as_i64().map(|number| number as u32);
            Ok(Datum::Bool((number(&args[0]) == number(&args[1])) == equal))
        });
    }
    r.map2::<u32, u32, bool>("cideq", |a, b| a == b);
    r.map2::<u32, u32, u32>("oidlarger", |a, b| a.max(b));
    r.map2::<u32, u32, u32>("oidsmaller", |a, b| a.min(b));
    r.map2::<u64, u64, u64>("xid8_larger", |a, b| a.max(b));
    r.map2::<u64, u64, u64>("xid8_smaller", |a, b| a.min(b));
}

#[rustfmt::skip]
fn arithmetic(r: &mut Implementations) {
    integer_arithmetic!(r, i16, i16, i16, int2_range, "int2pl" "int2mi" "int2mul" "int2div");
    integer_arithmetic!(r, i32, i32, i32, int4_range, "int4pl" "int4mi" "int4mul" "int4div");
    integer_arithmetic!(r, i64, i64, i64, int8_range, "int8pl" "int8mi" "int8mul" "int8div");
    integer_arithmetic!(r, i16, i32, i32, int4_range, "int24pl" "int24mi" "int24mul" "int24div");
    integer_arithmetic!(r, i32, i16, i32, int4_range, "int42pl" "int42mi" "int42mul" "int42div");
    integer_arithmetic!(r, i16, i64, i64, int8_range, "int28pl" "int28mi" "int28mul" "int28div");
    integer_arithmetic!(r, i64, i16, i64, int8_range, "int82pl" "int82mi" "int82mul" "int82div");
    integer_arithmetic!(r, i32, i64, i64, int8_range, "int48pl" "int48mi" "int48mul" "int48div");
    integer_arithmetic!(r, i64, i32, i64, int8_range, "int84pl" "int84mi" "int84mul" "int84div");
    one_integer_type!(r, i16, int2_range, "int2mod" "int2um" "int2abs" "int2up" "int2and" "int2or" "int2xor" "int2not" "int2shl" "int2shr" "int2larger" "int2smaller");
    one_integer_type!(r, i32, int4_range, "int4mod" "int4um" "int4abs" "int4up" "int4and" "int4or" "int4xor" "int4not" "int4shl" "int4shr" "int4larger" "int4smaller");
    one_integer_type!(r, i64, int8_range, "int8mod" "int8um" "int8abs" "int8up" "int8and" "int8or" "int8xor" "int8not" "int8shl" "int8shr" "int8larger" "int8smaller");
    r.checked1::<i32, i32>("int4inc", int4_range, |a| a.overflowing_add(1));
    r.checked1::<i64, i64>("int8inc", int8_range, |a| a.overflowing_add(1));
}

#[rustfmt::skip]
fn convert(r: &mut Implementations) {
    r.map1::<i16, i32>("i2toi4", i32::from);
    r.map1::<i16, i64>("int28", i64::from);
    r.map1::<i32, i64>("int48", i64::from);
    r.checked1::<i32, i16>("i4toi2", int2_range, |a| (a as i16, i32::from(a as i16) != a));
    r.checked1::<i64, i16>("int82", int2_range, |a| (a as i16, i64::from(a as i16) != a));
    r.checked1::<i64, i32>("int84", int4_range, |a| (a as i32, i64::from(a as i32) != a));
    r.checked1::<i64, u32>("i8tooid", oid_range, |a| (a as u32, i64::from(a as u32) != a));
    r.map1::<u32, i64>("oidtoi8", i64::from);
    r.map1::<i16, f64>("i2tod", f64::from);
    r.map1::<i32, f64>("i4tod", f64::from);
    r.map1::<i64, f64>("i8tod", |a| a as f64);
    r.map1::<i16, f32>("i2tof", f32::from);
    r.map1::<i32, f32>("i4tof", |a| a as f32);
    r.map1::<i64, f32>("i8tof", |a| a as f32);
    r.f1::<i16, Numeric>("int2_numeric", |a| Ok(Numeric::from_i64(a.into())));
    r.f1::<i32, Numeric>("int4_numeric", |a| Ok(Numeric::from_i64(a.into())));
    r.f1::<i64, Numeric>("int8_numeric", |a| Ok(Numeric::from_i64(a)));
    r.map1::<bool, i32>("bool_int4", i32::from);
    r.map1::<i32, bool>("int4_bool", |a| a != 0);
    r.map1::<u8, i32>("chartoi4", |a| i32::from(a as i8));
    r.f1::<i32, u8>("i4tochar", |a| {
        i8::try_from(a).map(|a| a as u8).map_err(|_| Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "\"char\" out of range"))
    });
    r.map1::<u64, u32>("xid8toxid", |a| a as u32);
    r.f1::<Bytes, i16>("bytea_int2", |b| bytes_to_integer(b, 2, int2_range).map(|v| v as i16));
    r.f1::<Bytes, i32>("bytea_int4", |b| bytes_to_integer(b, 4, int4_range).map(|v| v as i32));
    r.f1::<Bytes, i64>("bytea_int8", |b| bytes_to_integer(b, 8, int8_range));
    r.f1::<i16, Vec<u8>>("int2_bytea", |a| Ok(a.to_be_bytes().to_vec()));
    r.f1::<i32, Vec<u8>>("int4_bytea", |a| Ok(a.to_be_bytes().to_vec()));
    r.f1::<i64, Vec<u8>>("int8_bytea", |a| Ok(a.to_be_bytes().to_vec()));
    r.f1::<Text, u8>("text_char", |text| Ok(parse_char(text)));
    r.f1::<u8, String>("char_text", |a| Ok(print_char(a)));
    r.f1::<u8, String>("char_bpchar", |a| Ok(print_char(a)));
}

/// Big-endian two's complement, sign-extended from the top bit of a full-width value.
fn bytes_to_integer(bytes: &[u8], width: usize, range: fn() -> Error) -> Result<i64> {
    if bytes.len() > width {
        return Err(range());
    }
    let value = bytes.iter().fold(0i64, |value, byte| (value << 8) | i64::from(*byte));
    Ok(value)
}

/// `"char"` from text: its first byte, or a backslash and three octal digits.
pub(crate) fn parse_char(text: &str) -> u8 {
    let bytes = text.as_bytes();
    match bytes {
        [b'\\', a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7'] => {
            (a - b'0') << 6 | (b - b'0') << 3 | (c - b'0')
        }
        _ => bytes.first().copied().unwrap_or(0),
    }
}

/// `"char"` as text: bytes beyond ASCII as a backslash and three octal digits, zero as nothing.
pub(crate) fn print_char(byte: u8) -> String {
    match byte {
        0 => String::new(),
        1..=127 => char::from(byte).to_string(),
        _ => format!("\\{byte:03o}"),
    }
}

fn booleans(r: &mut Implementations) {
    r.map2::<bool, bool, bool>("booland_statefunc", |a, b| a && b);
    r.map2::<bool, bool, bool>("boolor_statefunc", |a, b| a || b);
    r.f1::<bool, &'static str>("booltext", |a| Ok(if a { "true" } else { "false" }));
}

fn misc(r: &mut Implementations) {
    r.f2::<i32, i32, i32>("int4gcd", |a, b| {
        i32::try_from(gcd(a.unsigned_abs().into(), b.unsigned_abs().into())).map_err(|_| int4_range())
    });
    r.f2::<i64, i64, i64>("int8gcd", |a, b| {
        i64::try_from(gcd(a.unsigned_abs(), b.unsigned_abs())).map_err(|_| int8_range())
    });
    r.f2::<i32, i32, i32>("int4lcm", |a, b| i32::try_from(lcm(a.into(), b.into())).map_err(|_| int4_range()));
    r.f2::<i64, i64, i64>("int8lcm", |a, b| i64::try_from(lcm(a.into(), b.into())).map_err(|_| int8_range()));
    r.f1::<i32, String>("to_hex32", |a| Ok(format!("{a:x}")));
    r.f1::<i64, String>("to_hex64", |a| Ok(format!("{a:x}")));
    r.f1::<i32, String>("to_bin32", |a| Ok(format!("{a:b}")));
    r.f1::<i64, String>("to_bin64", |a| Ok(format!("{a:b}")));
    r.f1::<i32, String>("to_oct32", |a| Ok(format!("{a:o}")));
    r.f1::<i64, String>("to_oct64", |a| Ok(format!("{a:o}")));
}

fn gcd(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

fn lcm(a: i128, b: i128) -> i128 {
    if a == 0 || b == 0 {
        return 0;
    }
    let divisor = gcd(a.unsigned_abs() as u64, b.unsigned_abs() as u64);
    (a / i128::from(divisor) * b).abs()
}
