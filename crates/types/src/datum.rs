//! One SQL value.

use std::sync::Arc;

use crate::{ArrayValue, Interval, Numeric, PhysicalType, SharedBytes};

/// One SQL value in the physical form of its type; the type itself is known from the context.
///
/// `PartialEq` is structural (NULL equals NULL, NaN differs by bits, `1.0` and `1.00` differ): SQL's equality and order
/// are in [`crate::compare`].
#[derive(Debug, Clone, PartialEq)]
pub enum Datum {
    Null,
    Bool(bool),
    Char(u8),
    Int16(i16),
    Int32(i32),
    UInt32(u32),
    Int64(i64),
    UInt64(u64),
    Float32(f32),
    Float64(f64),
    Numeric(Numeric),
    Bytes(SharedBytes),
    Interval(Interval),
    Uuid([u8; 16]),
    Array(Arc<ArrayValue>),
    Record(Arc<[Datum]>),
}

impl Datum {
    /// A text value.
    pub fn text(text: impl Into<SharedBytes>) -> Datum {
        Datum::Bytes(text.into())
    }

    /// The same value without a hold on the buffer of the batch that it was taken from.
    #[must_use]
    pub fn detached(self) -> Datum {
        match self {
            Datum::Bytes(bytes) => Datum::Bytes(bytes.detached()),
            other => other,
        }
    }

    /// Whether it is NULL.
    pub fn is_null(&self) -> bool {
        matches!(self, Datum::Null)
    }

    /// The physical type, unless NULL.
    pub fn physical(&self) -> Option<PhysicalType> {
        Some(match self {
            Datum::Null => return None,
            Datum::Bool(_) => PhysicalType::Bool,
            Datum::Char(_) => PhysicalType::Char,
            Datum::Int16(_) => PhysicalType::Int16,
            Datum::Int32(_) => PhysicalType::Int32,
            Datum::UInt32(_) => PhysicalType::UInt32,
            Datum::Int64(_) => PhysicalType::Int64,
            Datum::UInt64(_) => PhysicalType::UInt64,
            Datum::Float32(_) => PhysicalType::Float32,
            Datum::Float64(_) => PhysicalType::Float64,
            Datum::Numeric(_) => PhysicalType::Numeric,
            Datum::Bytes(_) => PhysicalType::Bytes,
            Datum::Interval(_) => PhysicalType::Interval,
            Datum::Uuid(_) => PhysicalType::Uuid,
            Datum::Array(_) => PhysicalType::Array,
            Datum::Record(_) => PhysicalType::Record,
        })
    }

    /// About how many bytes have to be read to compare the value, or copied to have it twice.
    #[inline]
    pub fn weight(&self) -> usize {
        size_of::<Datum>()
            + match self {
                Datum::Bytes(bytes) => bytes.len(),
                Datum::Array(array) => array.len() * size_of::<Datum>(),
                Datum::Record(fields) => fields.len() * size_of::<Datum>(),
                _ => 0,
            }
    }

    /// The boolean, if it is one.
    pub fn as_bool(&self) -> Option<bool> {
        if let Datum::Bool(value) = self { Some(*value) } else { None }
    }

    /// Any integer value, widened.
    pub fn as_i64(&self) -> Option<i64> {
        Some(match self {
            Datum::Int16(value) => i64::from(*value),
            Datum::Int32(value) => i64::from(*value),
            Datum::UInt32(value) => i64::from(*value),
            Datum::Int64(value) => *value,
            Datum::UInt64(value) => i64::try_from(*value).ok()?,
            _ => return None,
        })
    }

    /// The bytes of a [`Datum::Bytes`].
    pub fn as_bytes(&self) -> Option<&[u8]> {
        if let Datum::Bytes(bytes) = self { Some(bytes.as_slice()) } else { None }
    }

    /// The text of a [`Datum::Bytes`].
    pub fn as_str(&self) -> Option<&str> {
        if let Datum::Bytes(bytes) = self { Some(bytes.as_str()) } else { None }
    }
}
