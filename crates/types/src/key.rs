//! Order-preserving key form: bytes whose memcmp order is SQL's order, row-wise concatenable.

use ochre_base::{Error, Result};

use crate::{Column, Datum, SqlType, ValueOrder};

/// How one key column sorts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyOrder {
    pub descending: bool,
    pub nulls_first: bool,
    pub order: ValueOrder,
}

impl KeyOrder {
    /// Ascending, NULLs last, natural order.
    pub const ASCENDING: KeyOrder =
        KeyOrder { descending: false, nulls_first: false, order: ValueOrder::Natural };

    /// The key order of a column of type `ty`.
    pub fn new(ty: SqlType, descending: bool, nulls_first: bool) -> KeyOrder {
        KeyOrder { descending, nulls_first, order: ty.order() }
    }
}

/// Appends the key of one value.
///
/// # Errors
/// 0A000 for types without a key form.
pub fn encode_key(value: &Datum, order: KeyOrder, out: &mut Vec<u8>) -> Result<()> {
    let _ = (value, order, out);
    Err(Error::unsupported("an index key of this type"))
}

/// Appends the key of one row of a column.
///
/// # Errors
/// As [`encode_key`].
pub fn encode_key_at(column: &Column, row: usize, order: KeyOrder, out: &mut Vec<u8>) -> Result<()> {
    encode_key(&column.datum(row), order, out)
}

/// Whether [`decode_key`] gives back the very value for this type, so that an index-only scan needs no stored copy.
pub fn is_lossless(ty: SqlType) -> bool {
    let _ = ty;
    false
}

/// Reads one value off the front of `key`, advancing it. For types that are not [`is_lossless`], the value is equal to
/// the one that was encoded, but need not be the same (`1.0` for `1.00`).
///
/// # Errors
/// XX002 when the bytes are no key of that type, 0A000 where decoding is not possible.
pub fn decode_key(ty: SqlType, order: KeyOrder, key: &mut &[u8]) -> Result<Datum> {
    let _ = (ty, order, key);
    Err(Error::unsupported("reading an index key of this type"))
}

/// Moves `key` past one value without decoding it.
///
/// # Errors
/// As [`decode_key`].
pub fn skip_key(ty: SqlType, order: KeyOrder, key: &mut &[u8]) -> Result<()> {
    decode_key(ty, order, key).map(|_| ())
}
