//! Descriptors as rows of the stored catalogs, and back.

mod decode;
mod encode;
mod inheritance;
mod routine;
mod row;
mod statistics;
mod trigger;

pub use decode::{CatalogRows, databases, default_acls, namespaces, relations, roles};
pub use encode::{
    CatalogRow, RowKey, acl_datum, column_list_row, database_rows, default_acl_rows, namespace_rows,
    relation_rows, role_rows, split_expressions,
};
pub(crate) use encode::{attribute_row, class_row, oid_vector};
pub use routine::{routine_rows, routines};
pub(crate) use row::{RowWriter, vector};
