//! Entries of an index: key and payload from a row, and values from an entry.
//!
//! # On-disk layout
//! Key: the key columns' order-preserving forms, one after the other. Payload, empty when the index has no such columns: a
//! row as in [`crate::row_bytes`] of the values of key columns whose key form may differ from the value (1.0 and 1.00),
//! then of the included columns.
//!
//! An index that functions of users take part in ("remembers") has two kinds of entries. Those of keys begin with a byte of
//! one. For each of these there is a *memo*: a byte of zero, the row id (8 bytes, big-endian), the fingerprint (16 bytes) of
//! the columns that the functions were given, and the entry's key; its payload is the entry's. Where the index's condition calls
//! functions, a row that it does not hold has a memo without a key; and each row has one in a GIN index.
//!
//! A GIN index has several entries for a row ([`crate::gin`]).
//!
//! # Invariants
//! - E1: a memo is inserted before the entry that it tells of, and removed after it. In a GIN index the one without a key is
//!   inserted behind the others: it says that they are all there.
//! - E2: what entries a version has, its memos say, and never the functions: they are called for rows that are written, by
//!   the session that writes them. So the collector, which has no session and holds latches, never calls one, and a function
//!   that gives another result than before, raises errors or waits neither loses an entry nor leaves one behind.
//! - E3: a version that the index covers has a memo once its writer is done with the index. One that is there and has none is
//!   still being written (or from before the index, and seen by older snapshots only): which entries it shares with other
//!   versions of its row is not known, so none of theirs goes meanwhile.

use std::sync::Arc;

use ochre_access::btree::{KeyBound, Scan, ScanDirection, ScanFetch};
use ochre_base::{Result, RowId};
use ochre_expr::{EvalContext, Expr};
use ochre_types::{Batch, Column, ColumnBuilder, Datum, key};

use crate::gin::extract;
use crate::relation::IndexAccess;
use crate::row_bytes;

/// What memos begin with, and the entries of keys beside them.
const MEMO: u8 = 0;
const KEY: u8 = 1;
/// What a memo has before the key that it tells.
const HEAD_BYTES: usize = 1 + 8 + 16;

/// The columns of an index for the rows of a batch: what entries are made of.
pub struct EntryColumns {
    columns: Vec<Arc<Column>>,
    /// For a partial index: which rows are in it.
    included: Option<Vec<bool>>,
    payload: Vec<Arc<Column>>,
    key_count: usize,
    /// Of an index that remembers: what its functions are given.
    inputs: Vec<Arc<Column>>,
    /// The functions were not called: memos tell of the entries (E2).
    recalled: bool,
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
        let inputs = inputs(index, batch);
        Ok(EntryColumns { columns, included, payload, key_count: index.keys.len(), inputs, recalled: false })
    }

    /// As [`EntryColumns::compute`], for versions that are stored: functions of users are not called (E2). Their rows are
    /// asked by [`EntryColumns::entries`] only.
    ///
    /// # Errors
    /// Those of the expressions.
    pub fn stored(index: &IndexAccess, batch: &Batch, eval: &EvalContext<'_>) -> Result<EntryColumns> {
        if index.remembered_inputs.is_none() {
            return EntryColumns::compute(index, batch, eval);
        }
        let included = match &index.exprs.predicate {
            Some(predicate) if !index.remembers_absence => {
                let selection = ochre_expr::eval_predicate(predicate, batch, batch.selection.as_ref(), eval)?;
                let mut included = vec![false; batch.rows];
                selection.iter().for_each(|row| included[row] = true);
                Some(included)
            }
            _ => None,
        };
        Ok(EntryColumns {
            columns: Vec::new(),
            included,
            payload: Vec::new(),
            key_count: index.keys.len(),
            inputs: inputs(index, batch),
            recalled: true,
        })
    }

    /// All entries of a row, in order. Where other versions of the row may be there, they are inserted as
    /// [`IndexAccess::order_for_insertion`] says.
    ///
    /// # Errors
    /// 0A000 for types that cannot be indexed; errors of storage.
    pub fn entries(&self, index: &IndexAccess, row: usize, rid: RowId, out: &mut Vec<Entry>) -> Result<()> {
        out.clear();
        if self.recalled {
            let included = self.included.as_ref().is_none_or(|included| included[row]);
            return if included { self.recall(index, row, rid, out) } else { Ok(()) };
        }
        if !self.is_included(row) {
            if index.remembers_absence {
                out.push(Entry { key: self.memo_head(row, rid), payload: Vec::new() });
            }
            return Ok(());
        }
        match &index.gin {
            None => out.push(self.entry(index, row)?),
            Some(classes) => {
                for (number, (class, column)) in classes.iter().zip(&self.columns).enumerate() {
                    extract(*class, number, column, row, out)?;
                }
            }
        }
        if index.remembered_inputs.is_some() {
            let head = self.memo_head(row, rid);
            let memo =
                |entry: &Entry| Entry { key: [&*head, &entry.key].concat(), payload: entry.payload.clone() };
            let mut memos: Vec<Entry> = Vec::with_capacity(out.len() + 1);
            if index.gin.is_some() {
                memos.push(Entry { key: head.clone(), payload: Vec::new() });
            }
            memos.extend(out.iter().map(memo));
            out.splice(0..0, memos);
        }
        Ok(())
    }

    /// The entries of a row that is to be written, where memos of another version with the same columns tell them: versions
    /// that look alike to the functions have the same entries, whatever the functions say now.
    ///
    /// # Errors
    /// Errors of storage.
    pub fn told_entries(
        &self,
        index: &IndexAccess,
        row: usize,
        rid: RowId,
        out: &mut Vec<Entry>,
    ) -> Result<bool> {
        out.clear();
        if index.remembered_inputs.is_none() {
            return Ok(false);
        }
        self.recall(index, row, rid, out)?;
        Ok(match &index.gin {
            Some(_) => out.iter().any(|entry| entry.key.len() == HEAD_BYTES && index.is_memo(&entry.key)),
            None => !out.is_empty(),
        })
    }

    /// Whether it is not known which entries a row has that has these (E3).
    pub fn is_untold(&self, index: &IndexAccess, row: usize, entries: &[Entry]) -> bool {
        let tells = match &index.gin {
            Some(_) => entries.iter().any(|entry| index.is_memo(&entry.key) && entry.key.len() == HEAD_BYTES),
            None => !entries.is_empty(),
        };
        self.recalled && !tells && self.included.as_ref().is_none_or(|included| included[row])
    }

    /// Whether a row of stored versions has an entry.
    ///
    /// # Errors
    /// As [`EntryColumns::entries`].
    pub fn has_entry(
        &self,
        index: &IndexAccess,
        row: usize,
        rid: RowId,
        key: &[u8],
        payload: Option<&[u8]>,
    ) -> Result<bool> {
        let mut entries = Vec::new();
        self.entries(index, row, rid, &mut entries)?;
        Ok(entries.iter().any(|entry| entry.key == key && payload.is_none_or(|own| entry.payload == own)))
    }

    /// What the memos of a row say (E2).
    fn recall(&self, index: &IndexAccess, row: usize, rid: RowId, out: &mut Vec<Entry>) -> Result<()> {
        let head = self.memo_head(row, rid);
        let mut scan = Scan::new(Arc::clone(&index.tree), ScanFetch::Entries);
        scan.start(KeyBound::IncludedPrefix(&head), KeyBound::IncludedPrefix(&head), ScanDirection::Forward);
        while scan.next_leaf()? {
            for number in 0..scan.len() {
                let (key, payload) = (scan.key(number).to_vec(), scan.payload(number).to_vec());
                out.push(Entry { key, payload });
            }
        }
        let own: Vec<Entry> = out
            .iter()
            .filter(|memo| memo.key.len() > head.len())
            .map(|memo| Entry { key: memo.key[head.len()..].to_vec(), payload: memo.payload.clone() })
            .collect();
        out.extend(own);
        Ok(())
    }

    /// What the memos of a row begin with.
    fn memo_head(&self, row: usize, rid: RowId) -> Vec<u8> {
        let mut given = Vec::new();
        row_bytes::encode_row(&self.inputs, row, &mut given);
        let mut head = Vec::with_capacity(HEAD_BYTES);
        head.push(MEMO);
        head.extend_from_slice(&rid.to_u64().to_be_bytes());
        head.extend_from_slice(&key::fingerprint(&given));
        head
    }

    /// Whether a row has an entry.
    pub fn is_included(&self, row: usize) -> bool {
        debug_assert!(!self.recalled, "E2: memos tell");
        self.included.as_ref().is_none_or(|included| included[row])
    }

    /// Whether entries are to be written for a row.
    pub fn may_have_entries(&self, index: &IndexAccess, row: usize) -> bool {
        index.remembers_absence || self.is_included(row)
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
        debug_assert!(!self.recalled, "E2: memos tell");
        entry.key.clear();
        entry.key.extend_from_slice(index.key_prefix());
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

/// What the functions of users in an index are given.
fn inputs(index: &IndexAccess, batch: &Batch) -> Vec<Arc<Column>> {
    let columns = index.remembered_inputs.iter().flatten();
    columns.map(|column| Arc::clone(&batch.columns[*column])).collect()
}

impl IndexAccess {
    /// Whether a row has one entry, or none, and what is computed from it says which.
    pub fn has_single_entries(&self) -> bool {
        self.remembered_inputs.is_none() && self.gin.is_none()
    }

    /// What the entries of keys begin with.
    pub fn key_prefix(&self) -> &'static [u8] {
        if self.remembered_inputs.is_some() && self.gin.is_none() { &[KEY] } else { &[] }
    }

    /// Puts entries of a version into the order of E1 and E3.
    pub fn order_for_insertion(&self, entries: &mut [Entry]) {
        if self.remembered_inputs.is_some() {
            entries.sort_by_key(|entry| match (self.is_memo(&entry.key), entry.key.len()) {
                (true, HEAD_BYTES) => 1,
                (true, _) => 0,
                (false, _) => 2,
            });
        }
    }

    /// Whether an entry is a memo.
    pub fn is_memo(&self, key: &[u8]) -> bool {
        self.remembered_inputs.is_some() && key.first() == Some(&MEMO)
    }

    /// The values of an entry's key columns.
    ///
    /// # Errors
    /// XX002 when the key is damaged.
    pub fn decode_key(&self, key: &[u8]) -> Result<Vec<Datum>> {
        let mut rest = key.get(self.key_prefix().len()..).unwrap_or_default();
        self.keys.iter().map(|(ty, order)| key::decode_key(*ty, *order, &mut rest)).collect()
    }

    /// Whether a column of an entry's key is NULL.
    ///
    /// # Errors
    /// XX002 when the key is damaged.
    pub fn has_null_in_key(&self, key: &[u8]) -> Result<bool> {
        let mut rest = key.get(self.key_prefix().len()..).unwrap_or_default();
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
#[derive(Debug, Default, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
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
    let mut rest = key.get(index.key_prefix().len()..).unwrap_or_default();
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
