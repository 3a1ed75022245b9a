//! SQL's types as plain data: values, columns, batches, and their text, binary, stored and key forms.
//!
//! # Role
//! The lowest crate of the SQL tower. Everything that holds, prints, reads, compares, hashes, sorts or stores an SQL
//! value comes here; what *computes* with values (functions, operators, casts) stands in `expr`, on the primitives of
//! [`numeric`], [`datetime`] and [`array`].
//!
//! # Where to look
//! - a type's facts: [`SqlType`], [`TypeInfo`], [`oids`]
//! - one value: [`Datum`]; many: [`Column`], [`ColumnBuilder`], [`Batch`]
//! - text in and out: [`parse_text`], [`print_text`]; binary: [`decode_binary`], [`encode_binary`]
//! - in rows on disk: [`store`]; in index keys: [`key`]

pub mod acl;
pub mod array;
mod batch;
mod bitmap;
mod builder;
mod bytes;
mod codec;
mod column;
pub mod compare;
mod context;
pub mod datetime;
mod datum;
mod interval;
pub mod json;
pub mod jsonb;
pub mod key;
mod member_order;
pub mod numeric;
pub mod oids;
mod partition_hash;
pub mod range;
mod row_shape;
mod selection;
mod sql_type;
pub mod store;
mod type_table;
pub mod typmod;

pub use array::{ArrayDimension, ArrayValue};
pub use batch::Batch;
pub use bitmap::Bitmap;
pub use builder::ColumnBuilder;
pub use bytes::SharedBytes;
pub use codec::geometry;
pub use codec::{
    decode_binary, encode_binary, encode_binary_at, parse_bool, parse_bytea, parse_bytea_escape, parse_f32,
    parse_f64, parse_hex, parse_i16, parse_i32, parse_i64, parse_text, parse_text_into, parse_type_name,
    parse_uuid, print_bytea, print_f32, print_f64, print_i64, print_text, print_text_at, print_u64,
    print_uuid, to_text,
};
pub use column::{ByteView, BytesValues, Column, ColumnValues};
pub use compare::ValueOrder;
pub use context::{ByteaOutput, DateOrder, DateStyle, FormatContext, IntervalStyle, ObjectNames, Pace};
pub use datetime::TimeZone;
pub use datum::Datum;
pub use interval::Interval;
pub use key::KeyOrder;
pub use member_order::sorted_order;
pub use numeric::Numeric;
pub use partition_hash::{has_partition_hash, partition_hash};
pub use row_shape::{
    FieldNames, check_known, is_self_describing, named_record_type, record_fields, record_names, record_type,
};
pub use selection::Selection;
pub use sql_type::{PhysicalType, SqlType, TypeInfo, row_array, type_info, type_info_named, type_infos};
