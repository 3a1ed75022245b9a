//! The field types of anonymous rows, registered under the modifier of type `record`.
//!
//! A [`crate::Datum::Record`] holds values only, and `record` says nothing of them: its modifier is the number of a shape
//! here. Shapes live as long as the process; equal ones have one number.

use std::sync::{Arc, LazyLock};

use hashbrown::HashMap;
use parking_lot::RwLock;

use crate::{SqlType, oids};

/// Shapes are made by statements, so only so many are kept; rows of others print by what their values look like.
const MOST_SHAPES: usize = 65_536;

#[derive(Default)]
struct Shapes {
    known: HashMap<Arc<[SqlType]>, i32>,
    shapes: Vec<Arc<[SqlType]>>,
}

static SHAPES: LazyLock<RwLock<Shapes>> = LazyLock::new(RwLock::default);

/// The type of rows with fields of these types.
pub fn record_type(fields: &[SqlType]) -> SqlType {
    if let Some(number) = SHAPES.read().known.get(fields) {
        return SqlType::RECORD.with_typmod(*number);
    }
    let mut shapes = SHAPES.write();
    if let Some(number) = shapes.known.get(fields) {
        return SqlType::RECORD.with_typmod(*number);
    }
    if shapes.shapes.len() >= MOST_SHAPES {
        return SqlType::RECORD;
    }
    let number = shapes.shapes.len() as i32;
    let fields: Arc<[SqlType]> = fields.into();
    shapes.known.insert(Arc::clone(&fields), number);
    shapes.shapes.push(fields);
    SqlType::RECORD.with_typmod(number)
}

/// The field types of a type that [`record_type`] made.
pub fn record_fields(ty: SqlType) -> Option<Arc<[SqlType]>> {
    if ty.oid != oids::RECORD || ty.typmod < 0 {
        return None;
    }
    SHAPES.read().shapes.get(ty.typmod as usize).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Datum, FormatContext, to_text};

    #[test]
    fn rows_print_by_their_shape() {
        let ty = record_type(&[SqlType::INT4, SqlType::TIMESTAMP, SqlType::RECORD]);
        assert_eq!(ty, record_type(&[SqlType::INT4, SqlType::TIMESTAMP, SqlType::RECORD]));
        assert_ne!(ty, record_type(&[SqlType::INT4]));
        assert_eq!(record_fields(ty).unwrap().len(), 3);
        let row = Datum::Record([Datum::Int32(1), Datum::Int64(0), Datum::Null].into());
        assert_eq!(to_text(ty, &row, &FormatContext::default()), "(1,\"2000-01-01 00:00:00\",)");
    }
}
