//! The field types, and names, of anonymous rows, registered under the modifier of type `record`.
//!
//! A [`crate::Datum::Record`] holds values only, and `record` says nothing of them: its modifier is the number of a shape
//! here. Shapes live as long as the process; equal ones have one number.

use std::sync::{Arc, LazyLock};

use hashbrown::HashMap;
use ochre_base::{Error, Result, SqlState};
use parking_lot::RwLock;

use crate::{SqlType, oids};

/// Shapes are made by statements, so only so many are kept; rows of others are not shown ([`check_known`]).
const MOST_SHAPES: usize = 65_536;

/// The modifier of rows whose shape was one too many.
const FORGOTTEN: i32 = i32::MIN;

/// Names of fields.
pub type FieldNames = Arc<[Arc<str>]>;

/// Types of fields, and their names where they have any.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Shape {
    types: Arc<[SqlType]>,
    names: Option<FieldNames>,
}

#[derive(Default)]
struct Shapes {
    known: HashMap<Shape, i32>,
    shapes: Vec<Shape>,
}

static SHAPES: LazyLock<RwLock<Shapes>> = LazyLock::new(RwLock::default);

/// The type of rows with fields of these types.
pub fn record_type(fields: &[SqlType]) -> SqlType {
    register(Shape { types: fields.into(), names: None })
}

/// The type of rows with fields of these names and types.
pub fn named_record_type(fields: &[(Arc<str>, SqlType)]) -> SqlType {
    let types = fields.iter().map(|(_, ty)| *ty).collect();
    let names = fields.iter().map(|(name, _)| Arc::clone(name)).collect();
    register(Shape { types, names: Some(names) })
}

fn register(shape: Shape) -> SqlType {
    if let Some(number) = SHAPES.read().known.get(&shape) {
        return SqlType::RECORD.with_typmod(*number);
    }
    let mut shapes = SHAPES.write();
    if let Some(number) = shapes.known.get(&shape) {
        return SqlType::RECORD.with_typmod(*number);
    }
    if shapes.shapes.len() >= MOST_SHAPES {
        return SqlType::RECORD.with_typmod(FORGOTTEN);
    }
    let number = shapes.shapes.len() as i32;
    shapes.known.insert(shape.clone(), number);
    shapes.shapes.push(shape);
    SqlType::RECORD.with_typmod(number)
}

/// Refuses rows that were of one shape too many: what their values look like may not be what they are.
///
/// # Errors
/// 54000.
pub fn check_known(ty: SqlType) -> Result<()> {
    if ty.oid != oids::RECORD || ty.typmod != FORGOTTEN {
        return Ok(());
    }
    let message = format!("the server has met more than {MOST_SHAPES} types of anonymous rows");
    Err(Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message).hint("Use a composite type."))
}

fn shape_of<R>(ty: SqlType, of: impl Fn(&Shape) -> R) -> Option<R> {
    if ty.oid != oids::RECORD || ty.typmod < 0 {
        return None;
    }
    SHAPES.read().shapes.get(ty.typmod as usize).map(of)
}

/// The field types of a type that [`record_type`] or [`named_record_type`] made.
pub fn record_fields(ty: SqlType) -> Option<Arc<[SqlType]>> {
    shape_of(ty, |shape| Arc::clone(&shape.types))
}

/// Whether a value of this type says by itself what it is, so that it shows and compares rightly in a row whose shape
/// nobody knows.
pub fn is_self_describing(ty: SqlType) -> bool {
    let plain = matches!(
        ty.oid,
        oids::BOOL
            | oids::CHAR
            | oids::INT2
            | oids::INT4
            | oids::INT8
            | oids::OID
            | oids::XID8
            | oids::FLOAT4
            | oids::FLOAT8
            | oids::NUMERIC
            | oids::INTERVAL
            | oids::UUID
            | oids::TEXT
            | oids::VARCHAR
            | oids::NAME
            | oids::UNKNOWN
    );
    match record_fields(ty) {
        _ if plain || crate::type_info(ty.oid).is_some_and(crate::TypeInfo::is_array) => true,
        Some(fields) => fields.iter().all(|field| is_self_describing(*field)),
        // One that a routine gave and that was found to be so.
        None => ty.oid == oids::RECORD,
    }
}

/// The field names of a type that [`named_record_type`] made.
pub fn record_names(ty: SqlType) -> Option<FieldNames> {
    shape_of(ty, |shape| shape.names.clone()).flatten()
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
        let named = named_record_type(&[("a".into(), SqlType::INT4)]);
        assert_ne!(named, record_type(&[SqlType::INT4]));
        assert_eq!(&*record_names(named).unwrap()[0], "a");
        assert!(record_names(ty).is_none());
        let row = Datum::Record([Datum::Int32(1), Datum::Int64(0), Datum::Null].into());
        assert_eq!(to_text(ty, &row, &FormatContext::default()).unwrap(), "(1,\"2000-01-01 00:00:00\",)");
        let forgotten = SqlType::RECORD.with_typmod(FORGOTTEN);
        let error = to_text(forgotten, &row, &FormatContext::default()).unwrap_err();
        assert_eq!(error.sqlstate(), SqlState::PROGRAM_LIMIT_EXCEEDED);
    }
}
