//! Rows kept for later, in order: in memory up to a budget, then in a temporary file.
//!
//! # Role
//! Materialize, CTEs, work tables of recursive queries, window partitions and results of data-modifying statements.
//! Batches are numbered; any number of readers read them by number, also while more are appended.

use std::sync::Arc;

use ochre_base::Result;
use ochre_sql::explain::StorageReport;
use ochre_types::{Batch, PhysicalType};

use crate::spill;
use crate::temp::{TempFile, TempFiles};

/// Batches in order of arrival, compacted.
pub struct RowStore {
    types: Arc<[PhysicalType]>,
    temp: Arc<TempFiles>,
    budget_bytes: usize,
    batches: Vec<Batch>,
    memory_bytes: usize,
    /// Batches after those in memory: their offsets in the file.
    file: Option<TempFile>,
    offsets: Vec<u64>,
    rows: u64,
    buffer: Vec<u8>,
}

impl RowStore {
    /// An empty store of rows of these types.
    pub fn new(types: Arc<[PhysicalType]>, temp: &Arc<TempFiles>, budget_bytes: usize) -> RowStore {
        RowStore {
            types,
            temp: Arc::clone(temp),
            budget_bytes,
            batches: Vec::new(),
            memory_bytes: 0,
            file: None,
            offsets: Vec::new(),
            rows: 0,
            buffer: Vec::new(),
        }
    }

    /// Adds a batch's active rows; an empty batch adds nothing.
    pub fn append(&mut self, batch: Batch) -> Result<()> {
        if batch.is_empty() {
            return Ok(());
        }
        let batch = batch.compact();
        self.rows += batch.rows as u64;
        if self.file.is_none() {
            let bytes = batch.memory_bytes();
            if self.memory_bytes + bytes <= self.budget_bytes || self.batches.is_empty() {
                self.memory_bytes += bytes;
                self.batches.push(batch);
                return Ok(());
            }
            self.file = Some(self.temp.create()?);
        }
        let file = self.file.as_mut().expect("created above");
        self.buffer.clear();
        spill::encode_batch(batch, &mut self.buffer);
        self.offsets.push(file.append(&self.buffer)?);
        Ok(())
    }

    /// The batch with this number, if it has been appended.
    pub fn batch(&self, number: usize) -> Result<Option<Batch>> {
        if let Some(batch) = self.batches.get(number) {
            return Ok(Some(batch.clone()));
        }
        let Some(offset) = self.offsets.get(number - self.batches.len()) else { return Ok(None) };
        let file = self.file.as_ref().expect("offsets are of the file");
        let mut payload = Vec::new();
        file.read(*offset, &mut payload)?;
        spill::decode_batch(&self.types, &payload).map(Some)
    }

    /// How many batches there are.
    pub fn batch_count(&self) -> usize {
        self.batches.len() + self.offsets.len()
    }

    /// How many rows there are.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Whether a temporary file is in use.
    pub fn has_spilled(&self) -> bool {
        self.file.is_some()
    }

    /// Where the rows are, and in how much room.
    pub fn report(&self) -> StorageReport {
        let on_disk = self.file.as_ref().map_or(0, TempFile::len);
        StorageReport { bytes: self.memory_bytes as u64 + on_disk, on_disk: self.file.is_some() }
    }

    /// Removes all rows.
    pub fn clear(&mut self) {
        self.batches.clear();
        self.offsets.clear();
        self.memory_bytes = 0;
        self.rows = 0;
        self.file = None;
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::path::PathBuf;

    use ochre_env::Env;
    use ochre_types::Column;

    use super::*;

    pub(crate) fn temp_files() -> Arc<TempFiles> {
        let env = Env::in_memory();
        let dir = PathBuf::from("/spill");
        TempFiles::clear(&env, &dir).unwrap();
        Arc::new(TempFiles::new(env, dir))
    }

    #[test]
    fn rows_come_back_in_order_with_and_without_a_file() {
        for budget in [0, 20_000, usize::MAX] {
            let mut store = RowStore::new(Arc::from([PhysicalType::Int64]), &temp_files(), budget);
            for i in 0..20i64 {
                let column = Column::from((0..500).map(|k| i * 500 + k).collect::<Vec<i64>>());
                store.append(Batch::new(vec![Arc::new(column)], 500)).unwrap();
            }
            assert_eq!(store.has_spilled(), budget != usize::MAX);
            assert_eq!((store.batch_count(), store.rows()), (20, 10_000));
            let mut expected = 0;
            for number in 0..20 {
                let batch = store.batch(number).unwrap().unwrap();
                for value in batch.columns[0].as_i64s().unwrap() {
                    assert_eq!(*value, expected);
                    expected += 1;
                }
            }
            assert!(store.batch(20).unwrap().is_none());
        }
    }
}
