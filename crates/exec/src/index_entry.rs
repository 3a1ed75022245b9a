//! Entries of an index: key and payload from a row, and values from an entry.
//!
//! # On-disk layout
//! Key: the key columns' order-preserving forms, one after the other. Payload, empty when the index has no such columns: a
//! row as in [`crate::row_bytes`] of the values of key columns whose key form may differ from the value (1.0 and 1.00),
//! then of the included columns.

use std::sync::Arc;

use ochre_base::Result;
use ochre_expr::{EvalContext, Expr};
use ochre_types::{Batch, Column, ColumnBuilder, Datum, key};

use crate::relation::IndexAccess;
use crate::row_bytes;

/// The columns of an index for the rows of a batch: what entries are made of.
pub struct EntryColumns {
    columns: Vec<Arc<Column>>,
    /// For a partial index: which rows are in it.
    included: Option<Vec<bool>>,
    payload: Vec<Arc<Column>>,
    key_count: usize,
}

impl EntryColumns {
    /// Computes an index's columns, and the predicate of a partial index, over target images.
    ///
    /// # Errors
    /// Those of the expressions.
    pub fn compute(index: &IndexAccess, batch: &Batch, eval: &EvalContext<'_>) -> Result<EntryColumns> {
        let included = match &index.exprs.predicate {
            None => None,
            Some(predicate) => {
                let selection = ochre_expr::eval_predicate(predicate, batch, batch.selection.as_ref(), eval)?;
                let mut included = vec![false; batch.rows];
                selection.iter().for_each(|row| included[row] = true);
                Some((included, selection))
            }
        };
        let selection = included.as_ref().map(|(_, selection)| selection).or(batch.selection.as_ref());
        let mut columns = Vec::with_capacity(index.exprs.columns.len());
        for expr in &index.exprs.columns {
            columns.push(match expr {
                Expr::Column { index, .. } => Arc::clone(&batch.columns[*index]),
                expr => ochre_expr::eval(expr, batch, selection, eval)?,
            });
        }
        let payload = index.payload.iter().map(|part| Arc::clone(&columns[part.column])).collect();
        let included = included.map(|(included, _)| included);
        Ok(EntryColumns { columns, included, payload, key_count: index.keys.len() })
    }

    /// Whether a row has an entry.
    pub fn is_included(&self, row: usize) -> bool {
        self.included.as_ref().is_none_or(|included| included[row])
    }

    /// Whether a key column of a row is NULL.
    pub fn has_null_key(&self, row: usize) -> bool {
        self.columns[..self.key_count].iter().any(|column| column.is_null(row))
    }

    /// Writes a row's key and payload.
    ///
    /// # Errors
    /// 0A000 for types that cannot be indexed.
    pub fn write(&self, index: &IndexAccess, row: usize, entry: &mut Entry) -> Result<()> {
        entry.key.clear();
        entry.payload.clear();
        for (column, (_, order)) in self.columns.iter().zip(&index.keys) {
            key::encode_key_at(column, row, *order, &mut entry.key)?;
        }
        if !self.payload.is_empty() {
            row_bytes::encode_row(&self.payload, row, &mut entry.payload);
        }
        Ok(())
    }

    /// A row's key and payload, in memory of their own.
    ///
    /// # Errors
    /// As [`EntryColumns::write`].
    pub fn entry(&self, index: &IndexAccess, row: usize) -> Result<Entry> {
        let mut entry = Entry::default();
        self.write(index, row, &mut entry)?;
        Ok(entry)
    }

    /// The key columns' values of a row, for messages.
    pub fn key_values(&self, row: usize) -> Vec<Datum> {
        self.columns[..self.key_count].iter().map(|column| column.datum(row)).collect()
    }
}

impl IndexAccess {
    /// Whether a column of an entry's key is NULL.
    ///
    /// # Errors
    /// XX002 when the key is damaged.
    pub fn has_null_in_key(&self, key: &[u8]) -> Result<bool> {
        let mut rest = key;
        for (ty, order) in &self.keys {
            if !matches!(rest.first(), Some(0x80)) {
                return Ok(true);
            }
            key::skip_key(*ty, *order, &mut rest)?;
        }
        Ok(false)
    }
}

/// Key and payload of one entry, in memory that is kept.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Entry {
    pub key: Vec<u8>,
    pub payload: Vec<u8>,
}

/// Reads the values of an index's columns from an entry, onto the ends of builders, one a column.
///
/// # Errors
/// XX002 when the entry is damaged.
pub fn decode_entry(
    index: &IndexAccess,
    key: &[u8],
    payload: &[u8],
    out: &mut [ColumnBuilder],
) -> Result<()> {
    let mut rest = key;
    for (column, (ty, order)) in index.keys.iter().enumerate() {
        if index.payload.iter().any(|part| part.column == column) {
            if column + 1 < index.keys.len() {
                key::skip_key(*ty, *order, &mut rest)?;
            }
            continue;
        }
        out[column].push(&key::decode_key(*ty, *order, &mut rest)?);
    }
    if index.payload.is_empty() {
        return Ok(());
    }
    let mut parts: Vec<ColumnBuilder> =
        index.payload.iter().map(|part| ColumnBuilder::new(part.physical, 1)).collect();
    row_bytes::decode_row(payload, &mut parts)?;
    for (part, builder) in index.payload.iter().zip(parts) {
        out[part.column].push_from(&builder.finish(), 0);
    }
    Ok(())
}
