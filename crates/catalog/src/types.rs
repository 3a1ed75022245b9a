//! What is known of types by their ids, those of users' relations included: a relation's rows are of one type, arrays of them of
//! another.

use ochre_base::Oid;
use ochre_types::{PhysicalType, SqlType, oids, type_info};

use crate::CatalogSnapshot;

impl CatalogSnapshot {
    /// A type by its id, without a modifier: row types are records.
    pub fn sql_type(&self, oid: Oid) -> SqlType {
        if type_info(oid).is_some() {
            return SqlType::new(oid, -1);
        }
        match self.relation_of_type(oid) {
            Some(relation) if relation.row_type == oid => {
                SqlType::with_physical(oid, -1, PhysicalType::Record)
            }
            Some(_) => SqlType::with_physical(oid, -1, PhysicalType::Array),
            None => SqlType::new(oid, -1),
        }
    }

    /// The element type of an array type proper, which `int2vector` is not.
    pub fn array_element(&self, oid: Oid) -> Option<Oid> {
        match type_info(oid) {
            Some(info) => info.is_array().then_some(info.element),
            None => self.sql_type(oid).element().map(|element| element.oid),
        }
    }

    /// The array type over a type.
    pub fn array_over(&self, oid: Oid) -> Option<Oid> {
        self.sql_type(oid).array_of().map(|array| array.oid)
    }

    /// A type's category: `A` for arrays, `C` for rows.
    pub fn type_category(&self, oid: Oid) -> u8 {
        match type_info(oid) {
            Some(info) => info.category,
            None if self.sql_type(oid).physical == PhysicalType::Array => b'A',
            None => b'C',
        }
    }

    /// Whether values of a type are rows.
    pub fn is_row_type(&self, oid: Oid) -> bool {
        oid == oids::RECORD
            || match type_info(oid) {
                Some(info) => info.kind == b'c',
                None => self.type_category(oid) == b'C',
            }
    }
}
