//! Rust values as SQL values and back.

use ochre_types::{Datum, Numeric, SqlType, parse_text, to_text};

use crate::{Error, Result, SqlState};

/// A Rust value that can be a parameter.
///
/// Implemented for booleans, integers, floats, text, byte strings and options of these.
///
/// ```
/// let mut connection = ochredb::Database::in_memory()?.connect()?;
/// let rows = connection.query("SELECT $1::int + 1, $2::text IS NULL", &[&41, &None::<&str>])?;
/// assert_eq!((rows[0].get::<i32>(0)?, rows[0].get::<bool>(1)?), (42, true));
/// # Ok::<(), ochredb::Error>(())
/// ```
pub trait ToValue {
    /// The value in the form of a type that the statement wants.
    ///
    /// # Errors
    /// When the value does not fit the type.
    fn to_value(&self, ty: SqlType) -> Result<Datum>;
}

fn from_text(text: &str, ty: SqlType) -> Result<Datum> {
    parse_text(ty, text, &ochre_types::FormatContext::default())
}

macro_rules! through_text {
    ($($type:ty),*) => {
        $(impl ToValue for $type {
            fn to_value(&self, ty: SqlType) -> Result<Datum> {
                from_text(&self.to_string(), ty)
            }
        })*
    };
}

through_text!(bool, i16, i32, i64, u32, f32, f64, str, String);

impl ToValue for [u8] {
    fn to_value(&self, ty: SqlType) -> Result<Datum> {
        if ty.oid == SqlType::BYTEA.oid {
            return Ok(Datum::Bytes(self.into()));
        }
        Err(Error::new(SqlState::DATATYPE_MISMATCH, "a byte string is a parameter of type bytea only"))
    }
}

impl ToValue for Vec<u8> {
    fn to_value(&self, ty: SqlType) -> Result<Datum> {
        self.as_slice().to_value(ty)
    }
}

impl<T: ToValue + ?Sized> ToValue for &T {
    fn to_value(&self, ty: SqlType) -> Result<Datum> {
        (**self).to_value(ty)
    }
}

impl<T: ToValue> ToValue for Option<T> {
    fn to_value(&self, ty: SqlType) -> Result<Datum> {
        self.as_ref().map_or(Ok(Datum::Null), |value| value.to_value(ty))
    }
}

/// A Rust value that a result can be read as.
///
/// Implemented for booleans, integers, floats, text (of every type), byte strings and options of these.
///
/// ```
/// let mut connection = ochredb::Database::in_memory()?.connect()?;
/// let rows = connection.query("SELECT 1.50::numeric, NULL::int", &[])?;
/// assert_eq!(rows[0].get::<String>(0)?, "1.50");
/// assert_eq!(rows[0].get::<Option<i32>>(1)?, None);
/// # Ok::<(), ochredb::Error>(())
/// ```
pub trait FromValue: Sized {
    /// Reads a value of a type.
    ///
    /// # Errors
    /// 22002 for NULL where an option is needed, 42804 for a type that does not fit.
    fn from_value(value: &Datum, ty: SqlType) -> Result<Self>;
}

#[cold]
fn mismatch(ty: SqlType, wanted: &str) -> Error {
    Error::new(
        SqlState::DATATYPE_MISMATCH,
        format!("a value of type {} does not read as {wanted}", ty.name()),
    )
}

#[cold]
fn is_null(wanted: &str) -> Error {
    Error::new(SqlState::NULL_VALUE_NOT_ALLOWED, format!("a NULL does not read as {wanted}"))
}

macro_rules! integers {
    ($($type:ty),*) => {
        $(impl FromValue for $type {
            fn from_value(value: &Datum, ty: SqlType) -> Result<$type> {
                if value.is_null() {
                    return Err(is_null(stringify!($type)));
                }
                let wide = value.as_i64().ok_or_else(|| mismatch(ty, stringify!($type)))?;
                <$type>::try_from(wide).map_err(|_| {
                    Error::new(
                        SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
                        format!("{wide} is out of range for {}", stringify!($type)),
                    )
                })
            }
        })*
    };
}

integers!(i16, i32, i64, u32);

impl FromValue for bool {
    fn from_value(value: &Datum, ty: SqlType) -> Result<bool> {
        match value {
            Datum::Null => Err(is_null("bool")),
            value => value.as_bool().ok_or_else(|| mismatch(ty, "bool")),
        }
    }
}

impl FromValue for f64 {
    fn from_value(value: &Datum, ty: SqlType) -> Result<f64> {
        match value {
            Datum::Null => Err(is_null("f64")),
            Datum::Float64(value) => Ok(*value),
            Datum::Float32(value) => Ok(f64::from(*value)),
            Datum::Numeric(value) => Ok(numeric_to_f64(value)),
            value => value.as_i64().map(|value| value as f64).ok_or_else(|| mismatch(ty, "f64")),
        }
    }
}

fn numeric_to_f64(value: &Numeric) -> f64 {
    value.to_string().parse().unwrap_or(f64::NAN)
}

impl FromValue for String {
    fn from_value(value: &Datum, ty: SqlType) -> Result<String> {
        if value.is_null() {
            return Err(is_null("String"));
        }
        to_text(ty, value, &ochre_types::FormatContext::default())
    }
}

impl FromValue for Vec<u8> {
    fn from_value(value: &Datum, ty: SqlType) -> Result<Vec<u8>> {
        match value {
            Datum::Null => Err(is_null("Vec<u8>")),
            value => Ok(value.as_bytes().ok_or_else(|| mismatch(ty, "Vec<u8>"))?.to_vec()),
        }
    }
}

impl<T: FromValue> FromValue for Option<T> {
    fn from_value(value: &Datum, ty: SqlType) -> Result<Option<T>> {
        if value.is_null() { Ok(None) } else { T::from_value(value, ty).map(Some) }
    }
}
