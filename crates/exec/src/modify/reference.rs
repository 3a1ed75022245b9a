//! Foreign keys of a table that is changed: which key each row refers to.

use std::sync::Arc;

use ochre_base::{Error, Result};
use ochre_catalog::{ForeignKey, IndexDescriptor};
use ochre_sql::physical::{ForeignKeyCheck, KeyPart};
use ochre_types::{Batch, Column, Datum, KeyOrder, PhysicalType, SqlType, key};

use crate::ExecContext;
use crate::relation::{IndexAccess, RelationSource, TableAccess, key_orders};

/// A foreign key with the table and index that it refers to, open.
pub struct Reference {
    pub plan: Arc<ForeignKeyCheck>,
    pub parent: Arc<TableAccess>,
    /// The referenced index; of a partitioned table each partition has its part.
    pub index: Option<Arc<IndexAccess>>,
    descriptor: Arc<IndexDescriptor>,
    /// The types and orders of the index's key columns.
    pub keys: Vec<(SqlType, KeyOrder)>,
}

/// What a row refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyForm {
    /// Nothing: a column is NULL.
    Nothing,
    /// MATCH FULL, and some columns are NULL, others not.
    Mixed,
    /// A value that no key can have.
    Unmatched,
    /// The key written.
    Key,
}

/// The referenced keys of a batch of rows.
pub struct ReferenceKeys {
    columns: Vec<Arc<Column>>,
}

impl Reference {
    /// Opens what a foreign key refers to.
    ///
    /// # Errors
    /// What opening relations fails with.
    pub fn open(plan: &Arc<ForeignKeyCheck>, relations: &dyn RelationSource) -> Result<Reference> {
        let parent = relations.table_by_oid(foreign_of(plan)?.table)?;
        let index = match plan.routing {
            None => Some(Arc::clone(parent.index(plan.constraint.index)?)),
            Some(_) => None,
        };
        let found = parent.descriptor.indexes.iter().find(|index| index.oid == plan.constraint.index);
        let descriptor = found.ok_or_else(|| Error::internal("a foreign key refers to no index"))?;
        let descriptor = Arc::clone(descriptor);
        let keys = key_orders(&descriptor);
        Ok(Reference { plan: Arc::clone(plan), parent, index, descriptor, keys })
    }

    /// The other half of the constraint.
    pub fn foreign(&self) -> &ForeignKey {
        self.plan.constraint.foreign.as_ref().expect("a foreign key refers to something")
    }

    /// Whether a table refers to itself.
    pub fn is_own(&self) -> bool {
        self.foreign().table == self.plan.constraint.table
    }

    /// Computes the keys that rows refer to.
    ///
    /// # Errors
    /// Those of conversions.
    pub fn keys(&self, ctx: &ExecContext<'_>, image: &Batch) -> Result<ReferenceKeys> {
        let columns = self.plan.key.iter().map(|part| match part {
            KeyPart::Value(ochre_expr::Expr::Column { index, .. }) => Ok(Arc::clone(&image.columns[*index])),
            KeyPart::Value(expr) => ctx.eval(expr, image),
            KeyPart::Narrow { column, .. } => Ok(Arc::clone(&image.columns[*column])),
        });
        Ok(ReferenceKeys { columns: columns.collect::<Result<_>>()? })
    }

    /// Appends the key that a row refers to.
    ///
    /// # Errors
    /// 0A000 for types that cannot be indexed.
    pub fn write(&self, keys: &ReferenceKeys, row: usize, out: &mut Vec<u8>) -> Result<KeyForm> {
        let start = out.len();
        let nulls = keys.columns.iter().filter(|column| column.is_null(row)).count();
        if nulls > 0 {
            let mixed = self.foreign().match_full && nulls < keys.columns.len();
            return Ok(if mixed { KeyForm::Mixed } else { KeyForm::Nothing });
        }
        for ((column, part), (_, order)) in keys.columns.iter().zip(&self.plan.key).zip(&self.keys) {
            match part {
                KeyPart::Value(_) => key::encode_key_at(column, row, *order, out)?,
                KeyPart::Narrow { to, .. } => match narrow(&column.datum(row), *to) {
                    Some(value) => key::encode_key(&value, *order, out)?,
                    None => {
                        out.truncate(start);
                        return Ok(KeyForm::Unmatched);
                    }
                },
            }
        }
        Ok(KeyForm::Key)
    }

    /// The key of the referenced index that values in the constraint's order make.
    ///
    /// # Errors
    /// 0A000 for types that cannot be indexed.
    pub fn index_key(&self, values: &[Datum]) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        for (column, (_, order)) in self.descriptor.keys.iter().zip(&self.keys) {
            let place = self.foreign().columns.iter().position(|number| *number == column.number);
            let value = place.and_then(|place| values.get(place));
            let value = value.ok_or_else(|| Error::internal("a foreign key lacks a column of its index"))?;
            key::encode_key(value, *order, &mut bytes)?;
        }
        Ok(bytes)
    }
}

/// The other half of a foreign key.
///
/// # Errors
/// XX000 for another kind of constraint.
pub fn foreign_of(plan: &ForeignKeyCheck) -> Result<&ForeignKey> {
    plan.constraint.foreign.as_ref().ok_or_else(|| Error::internal("a foreign key refers to nothing"))
}

fn narrow(value: &Datum, to: PhysicalType) -> Option<Datum> {
    let wide = value.as_i64()?;
    match to {
        PhysicalType::Int16 => i16::try_from(wide).ok().map(Datum::Int16),
        PhysicalType::Int32 => i32::try_from(wide).ok().map(Datum::Int32),
        _ => Some(Datum::Int64(wide)),
    }
}
