//! The catalog store: descriptors as rows of `pg_class` and its sisters, under the same MVCC as everything else.
//!
//! # Role
//! Reads a database's catalog when it is opened, and writes the difference that a DDL statement makes. What a row says is
//! the business of [`ochre_catalog::stored`].
//!
//! # Invariants
//! - G1: a catalog row's id is remembered by its key from the moment it is inserted. Row ids are for life, so the place
//!   stays right whatever updates the row.
//! - G2: a remembered place that a rolled-back statement changed is put back by its [`RowUndo`].
//! - G3: the number of a column list is given once: lists after the first are written by a transaction of their own, which
//!   commits before any row is written under the list.

use std::sync::Arc;

use hashbrown::HashMap;
use ochre_access::heap::{Heap, RowWait, WriteOutcome, serialization_failure};
use ochre_base::{BlockNo, Error, Oid, Result, RowId};
use ochre_catalog::stored::{self, CatalogRow, CatalogRows, RowKey};
use ochre_catalog::{ColumnList, Field, builtin, oids};
use ochre_exec::{RowCodec, RowDecoder, RowEncoder};
use ochre_storage::RelationKey;
use ochre_txn::{IsolationLevel, RowLockStrength, Snapshot, Transaction, TransactionOptions};
use ochre_types::Datum;
use parking_lot::Mutex;

use crate::instance::Instance;

/// How to put a remembered place back.
#[derive(Debug, Clone)]
pub(crate) struct RowUndo {
    catalog: Oid,
    key: RowKey,
    before: Option<RowId>,
}

/// The stored catalog of one database.
pub(crate) struct CatalogStore {
    database: Oid,
    places: Mutex<HashMap<(Oid, RowKey), RowId>>,
    /// Every column list of each relation, those of rolled-back statements too.
    lists: Mutex<HashMap<Oid, Vec<Arc<ColumnList>>>>,
}

/// Where a stored catalog's rows are.
fn catalog_key(database: Oid, catalog: Oid) -> RelationKey {
    let (_, file) = builtin::STORED.iter().find(|(oid, _)| *oid == catalog).expect("the catalog is stored");
    let shared = builtin::relation(catalog).is_some_and(|relation| relation.shared);
    RelationKey::new(if shared { Oid::INVALID } else { database }, *file)
}

impl CatalogStore {
    /// Reads a database's stored catalogs.
    ///
    /// # Errors
    /// As reading its pages.
    pub(crate) fn load(instance: &Instance, database: Oid) -> Result<(CatalogStore, CatalogRows)> {
        let store =
            CatalogStore { database, places: Mutex::new(HashMap::new()), lists: Mutex::new(HashMap::new()) };
        let transaction = instance.transactions().begin(options(true));
        let snapshot = transaction.snapshot()?;
        let rows = store.read_all(instance, &snapshot)?;
        drop(snapshot);
        instance.transactions().commit(transaction)?;
        Ok((store, rows))
    }

    /// Reads the stored catalogs as a snapshot sees them, and remembers where their rows are.
    ///
    /// # Errors
    /// As reading its pages.
    pub(crate) fn read_all(&self, instance: &Instance, snapshot: &Snapshot) -> Result<CatalogRows> {
        let mut rows = CatalogRows::new();
        for (catalog, _) in builtin::STORED {
            let read = self.read_catalog(instance, catalog, snapshot)?;
            rows.insert(catalog, read);
        }
        for relation in stored::relations(&rows)? {
            if !relation.column_lists.is_empty() {
                self.lists.lock().insert(relation.oid, relation.column_lists.clone());
            }
        }
        Ok(rows)
    }

    fn read_catalog(
        &self,
        instance: &Instance,
        catalog: Oid,
        snapshot: &Snapshot,
    ) -> Result<Vec<Vec<Datum>>> {
        let key = catalog_key(self.database, catalog);
        let relation = builtin::relation(catalog).expect("catalogs are built in");
        let codec = Arc::new(RowCodec::new(relation));
        let mut decoder = RowDecoder::all_columns(&codec);
        let heap = instance.heaps().open(key);
        let mut rows = Vec::new();
        for block in 0..heap.block_count()? {
            let mut rids = Vec::new();
            heap.scan_page(BlockNo(block), snapshot, None, |version| {
                rids.push(version.rid);
                decoder.push(&version)
            })?;
            let batch = decoder.take(&heap)?;
            for (row, rid) in rids.into_iter().enumerate() {
                let values: Vec<Datum> = batch.columns.iter().map(|column| column.datum(row)).collect();
                self.places.lock().insert((catalog, row_key(catalog, &values)), rid);
                rows.push(values);
            }
        }
        Ok(rows)
    }

    /// Writes what two sets of rows differ by.
    ///
    /// # Errors
    /// As writing rows; 40001 when another transaction changed the same row.
    pub(crate) fn write_difference(
        &self,
        instance: Arc<Instance>,
        transaction: &Transaction,
        before: &[CatalogRow],
        after: &[CatalogRow],
        undo: &mut Vec<RowUndo>,
    ) -> Result<()> {
        let mut old: HashMap<(Oid, &RowKey), &CatalogRow> =
            before.iter().map(|row| ((row.catalog, &row.key), row)).collect();
        for row in after {
            match old.remove(&(row.catalog, &row.key)) {
                Some(same) if same.values == row.values => {}
                Some(_) => self.update(&instance, transaction, row)?,
                None => self.insert(&instance, transaction, row, undo)?,
            }
        }
        // In the order of the list, not of the map: the same statement writes the same log.
        for row in before.iter().filter(|row| old.contains_key(&(row.catalog, &row.key))) {
            self.delete(&instance, transaction, row)?;
        }
        Ok(())
    }

    fn heap(&self, instance: &Instance, catalog: Oid) -> Arc<Heap> {
        instance.heaps().open(catalog_key(self.database, catalog))
    }

    fn encode(&self, row: &CatalogRow) -> Result<(RowEncoder, u16)> {
        let relation = builtin::relation(row.catalog).expect("catalogs are built in");
        let codec = RowCodec::new(relation);
        let mut encoder = RowEncoder::default();
        encoder.encode_values(&codec, &row.values)?;
        Ok((encoder, codec.schema_version()))
    }

    fn insert(
        &self,
        instance: &Instance,
        transaction: &Transaction,
        row: &CatalogRow,
        undo: &mut Vec<RowUndo>,
    ) -> Result<()> {
        let (mut encoder, version) = self.encode(row)?;
        let heap = self.heap(instance, row.catalog);
        let rid = heap.insert(transaction, &mut encoder.buffer, version)?;
        let before = self.places.lock().insert((row.catalog, row.key.clone()), rid);
        undo.push(RowUndo { catalog: row.catalog, key: row.key.clone(), before });
        Ok(())
    }

    fn place(&self, row: &CatalogRow) -> Result<RowId> {
        self.places.lock().get(&(row.catalog, row.key.clone())).copied().ok_or_else(|| {
            Error::corrupt(format!("catalog {} has no row with the key {:?}", row.catalog, row.key))
        })
    }

    fn update(&self, instance: &Instance, transaction: &Transaction, row: &CatalogRow) -> Result<()> {
        let rid = self.place(row)?;
        let (mut encoder, version) = self.encode(row)?;
        let heap = self.heap(instance, row.catalog);
        transaction.advance_command()?;
        let snapshot = transaction.newest_snapshot()?;
        let outcome = heap.update(
            transaction,
            &snapshot,
            rid,
            &mut encoder.buffer,
            version,
            false,
            RowLockStrength::NoKeyUpdate,
            &mut RowWait::default(),
        )?;
        done(outcome)
    }

    fn delete(&self, instance: &Instance, transaction: &Transaction, row: &CatalogRow) -> Result<()> {
        let rid = self.place(row)?;
        let heap = self.heap(instance, row.catalog);
        transaction.advance_command()?;
        let snapshot = transaction.newest_snapshot()?;
        done(heap.delete(transaction, &snapshot, rid, &mut RowWait::default())?)
    }

    /// Puts remembered places back, newest first (G2).
    pub(crate) fn undo(&self, steps: impl Iterator<Item = RowUndo>) {
        let mut places = self.places.lock();
        for step in steps {
            match step.before {
                Some(rid) => places.insert((step.catalog, step.key), rid),
                None => places.remove(&(step.catalog, step.key)),
            };
        }
    }

    /// Writes the first column list of a new relation in the relation's own transaction.
    ///
    /// # Errors
    /// As writing rows.
    pub(crate) fn write_first_column_list(
        &self,
        instance: &Instance,
        transaction: &Transaction,
        relation: Oid,
        list: &ColumnList,
    ) -> Result<()> {
        self.lists.lock().insert(relation, vec![Arc::new(list.clone())]);
        self.insert(instance, transaction, &stored::column_list_row(relation, list), &mut Vec::new())
    }

    /// Makes a further column list (G3).
    ///
    /// # Errors
    /// As writing rows; 54000 when all 65,535 numbers are used.
    pub(crate) fn add_column_list(
        &self,
        instance: &Instance,
        relation: Oid,
        fields: Vec<Field>,
    ) -> Result<Arc<ColumnList>> {
        let last =
            self.lists.lock().get(&relation).and_then(|lists| lists.last()).map_or(0, |list| list.version);
        let version = last.checked_add(1).ok_or_else(|| {
            Error::new(
                ochre_base::SqlState::PROGRAM_LIMIT_EXCEEDED,
                "too many changes of this table's columns",
            )
        })?;
        let list = Arc::new(ColumnList { version, fields });
        let transaction = instance.transactions().begin(options(false));
        self.insert(instance, &transaction, &stored::column_list_row(relation, &list), &mut Vec::new())?;
        instance.transactions().commit(transaction)?;
        self.lists.lock().entry(relation).or_default().push(Arc::clone(&list));
        Ok(list)
    }

    /// Every list of a relation.
    pub(crate) fn column_lists(&self, relation: Oid) -> Vec<Arc<ColumnList>> {
        self.lists.lock().get(&relation).cloned().unwrap_or_default()
    }

    /// The largest object id that a row mentions as its own.
    pub(crate) fn largest_oid(rows: &CatalogRows) -> u32 {
        let mut largest = 0;
        for (catalog, rows) in rows {
            let relation = builtin::relation(*catalog).expect("catalogs are built in");
            let own = match *catalog {
                oids::OCHRE_COLUMN_LIST | oids::OCHRE_RELATION => "relid",
                _ => "oid",
            };
            if let Some(column) = relation.column_named(own) {
                let position = column.number as usize - 1;
                let ids = rows.iter().filter_map(|row| row[position].as_i64());
                largest = ids.map(|oid| oid as u32).chain([largest]).max().unwrap_or(largest);
            }
        }
        largest
    }
}

/// A transaction of the store's own.
fn options(read_only: bool) -> TransactionOptions {
    TransactionOptions {
        isolation: IsolationLevel::ReadCommitted,
        read_only,
        ..TransactionOptions::default()
    }
}

fn done(outcome: WriteOutcome) -> Result<()> {
    match outcome {
        WriteOutcome::Done => Ok(()),
        WriteOutcome::SelfModified => Err(Error::internal("a catalog row was changed twice by one command")),
        other => Err(serialization_failure(other)),
    }
}

/// The key of a row that was read: as the encoder makes it.
pub(crate) fn row_key(catalog: Oid, values: &[Datum]) -> RowKey {
    let relation = builtin::relation(catalog).expect("catalogs are built in");
    let columns: &[&str] = match catalog {
        oids::PG_ATTRIBUTE => &["attrelid", "attnum"],
        oids::PG_INDEX => &["indexrelid"],
        oids::PG_SEQUENCE => &["seqrelid"],
        oids::PG_DESCRIPTION => &["objoid", "classoid", "objsubid"],
        oids::PG_SHDESCRIPTION => &["objoid", "classoid"],
        oids::PG_STATISTIC => &["starelid", "staattnum"],
        oids::PG_DEPEND => &["objid", "refobjid"],
        oids::OCHRE_RELATION => &["relid"],
        oids::OCHRE_COLUMN_LIST => &["relid", "schemaversion"],
        oids::PG_INHERITS => &["inhrelid", "inhseqno"],
        oids::PG_PARTITIONED_TABLE => &["partrelid"],
        oids::PG_AGGREGATE => &["aggfnoid"],
        _ => &["oid"],
    };
    columns
        .iter()
        .map(|name| {
            let number = relation.column_named(name).expect("catalog columns are known").number;
            values[number as usize - 1].as_i64().unwrap_or(0)
        })
        .collect()
}
