//! The build side of a hash join: in memory, or as partitions on disk.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use ochre_base::Result;
use ochre_types::{Batch, Column, ColumnBuilder, PhysicalType};
use parking_lot::Mutex;

use crate::Check;
use crate::columns::{active_bytes, append_active, builders};
use crate::join_table::{JoinIndex, JoinKeys, JoinLinker};
use crate::keys::{BatchKeys, KeyLayout};
use crate::row_store::RowStore;

/// What one thread has read of an inner side.
pub(super) struct Share {
    pub rows: u64,
    pub has_null_key: bool,
    pub kept: Kept,
}

/// Rows of a build side as they were read.
#[allow(clippy::large_enum_variant, reason = "one a thread")]
pub(super) enum Kept {
    Memory(TableBuilder),
    /// One of each number of the first level of splitting.
    Partitions(Vec<RowStore>),
}

/// Rows of one partition, which several threads may have written.
#[derive(Default)]
pub(super) struct Pieces(Vec<RowStore>);

/// Two partitions with the same hash bits.
pub(super) struct Job {
    pub build: Pieces,
    pub probe: Pieces,
    pub depth: u32,
}

/// Partitions that nobody has begun to join.
pub(super) type Jobs = Arc<Mutex<Vec<Job>>>;

/// The build side in memory, as one thread looks at it.
pub(super) struct Table {
    pub shared: Arc<TableRows>,
    /// There are no more outer rows.
    pub probed: bool,
    /// Where build rows are output by whether they found a partner: how far they have been looked at.
    pub judged: usize,
}

/// Rows of the build side and how to find them.
pub(super) struct TableRows {
    pub columns: Vec<Arc<Column>>,
    pub rows: usize,
    pub index: JoinIndex,
    /// Where build rows are output by whether they found a partner: which did.
    matched: Vec<AtomicBool>,
}

/// A build side that grows.
pub(super) struct TableBuilder {
    builders: Vec<ColumnBuilder>,
    rows: usize,
    bytes: usize,
    keys: JoinKeys,
}

/// Several threads' rows on their way to one table: tasks that any number of threads take up.
pub(super) struct Assembly {
    columns: Vec<ColumnParts>,
    linker: JoinLinker,
    rows: usize,
    next_task: AtomicUsize,
}

/// A column of each thread's rows, then the whole.
struct ColumnParts {
    parts: Mutex<Vec<Column>>,
    whole: Mutex<Option<Arc<Column>>>,
}

impl Pieces {
    /// The batch with this number, counted over all pieces.
    pub fn batch(&self, number: usize) -> Result<Option<Batch>> {
        let mut number = number;
        for piece in &self.0 {
            if number < piece.batch_count() {
                return piece.batch(number);
            }
            number -= piece.batch_count();
        }
        Ok(None)
    }

    pub fn batch_count(&self) -> usize {
        self.0.iter().map(RowStore::batch_count).sum()
    }

    pub fn rows(&self) -> u64 {
        self.0.iter().map(RowStore::rows).sum()
    }

    pub fn push(&mut self, piece: RowStore) {
        if !piece.is_empty() {
            self.0.push(piece);
        }
    }
}

impl From<RowStore> for Pieces {
    fn from(store: RowStore) -> Pieces {
        Pieces(vec![store])
    }
}

impl Job {
    /// A job for each partition of the first level.
    pub fn of_sides(build: Vec<Pieces>, probe: Vec<Pieces>) -> Vec<Job> {
        let pairs = build.into_iter().zip(probe);
        pairs.map(|(build, probe)| Job { build, probe, depth: 0 }).rev().collect()
    }
}

impl Table {
    pub fn new(shared: Arc<TableRows>) -> Table {
        Table { shared, probed: false, judged: 0 }
    }

    /// The same rows for other outer rows.
    pub fn restart(&mut self) {
        self.shared.matched.iter().for_each(|matched| matched.store(false, Ordering::Relaxed));
        self.probed = false;
        self.judged = 0;
    }
}

impl Deref for Table {
    type Target = TableRows;

    fn deref(&self) -> &TableRows {
        &self.shared
    }
}

impl TableRows {
    fn new(columns: Vec<Arc<Column>>, rows: usize, index: JoinIndex, track_matches: bool) -> TableRows {
        let tracked = if track_matches { rows } else { 0 };
        let matched = std::iter::repeat_with(AtomicBool::default).take(tracked).collect();
        TableRows { columns, rows, index, matched }
    }

    /// Whether it is noted which rows have found a partner.
    pub fn tracks_matches(&self) -> bool {
        !self.matched.is_empty()
    }

    #[inline]
    pub fn is_matched(&self, row: usize) -> bool {
        self.matched[row].load(Ordering::Relaxed)
    }

    /// A row has found a partner. Who emits rows by that sees what other threads have noted, as they have said that they
    /// are done ([`super::shared::SharedBuild::end_probing`]).
    #[inline]
    pub fn note_match(&self, row: usize) {
        self.matched[row].store(true, Ordering::Relaxed);
    }
}

impl TableBuilder {
    pub fn new(types: &[PhysicalType], layout: &KeyLayout) -> TableBuilder {
        TableBuilder { builders: builders(types, 0), rows: 0, bytes: 0, keys: JoinKeys::new(layout) }
    }

    pub fn rows(&self) -> usize {
        self.rows
    }

    pub fn memory_bytes(&self) -> usize {
        self.bytes + self.keys.memory_bytes()
    }

    /// Whether splitting the rows by their keys can make parts.
    pub fn is_varied(&self) -> bool {
        self.keys.are_varied()
    }

    pub fn add(&mut self, batch: &Batch, keys: &BatchKeys) {
        self.keys.add(keys, batch.active());
        for (i, builder) in self.builders.iter_mut().enumerate() {
            append_active(builder, batch, i);
        }
        self.rows += batch.active_rows();
        self.bytes += active_bytes(batch);
    }

    pub fn finish(self, track_matches: bool, check: Check<'_>) -> Result<Table> {
        let columns = self.builders.into_iter().map(|builder| Arc::new(builder.finish())).collect();
        let index = self.keys.finish(check)?;
        Ok(Table::new(Arc::new(TableRows::new(columns, self.rows, index, track_matches))))
    }

    /// The rows alone.
    pub fn into_columns(self) -> Vec<Column> {
        self.builders.into_iter().map(ColumnBuilder::finish).collect()
    }
}

impl Assembly {
    /// Of at least one part. As many threads may work at it.
    pub fn new(parts: Vec<TableBuilder>, check: Check<'_>) -> Result<Assembly> {
        let threads = parts.len();
        let width = parts.first().map_or(0, |part| part.builders.len());
        let mut columns: Vec<Vec<Column>> = std::iter::repeat_with(Vec::new).take(width).collect();
        let mut keys = Vec::with_capacity(parts.len());
        let mut rows = 0;
        for part in parts {
            rows += part.rows;
            for (column, builder) in columns.iter_mut().zip(part.builders) {
                column.push(builder.finish());
            }
            keys.push(part.keys);
        }
        let column = |parts| ColumnParts { parts: Mutex::new(parts), whole: Mutex::new(None) };
        Ok(Assembly {
            columns: columns.into_iter().map(column).collect(),
            linker: JoinLinker::new(keys, threads, check)?,
            rows,
            next_task: AtomicUsize::new(0),
        })
    }

    /// Does tasks until none is left.
    pub fn work(&self, check: Check<'_>) -> Result<()> {
        loop {
            check()?;
            let task = self.next_task.fetch_add(1, Ordering::Relaxed);
            match task.checked_sub(self.linker.tasks()) {
                None => self.linker.link(task, check)?,
                Some(column) if column < self.columns.len() => self.columns[column].join(),
                Some(_) => return Ok(()),
            }
        }
    }

    /// The table, when every task is done.
    pub fn finish(self, track_matches: bool, check: Check<'_>) -> Result<TableRows> {
        let whole = |column: ColumnParts| column.whole.into_inner().expect("every task is done");
        let columns = self.columns.into_iter().map(whole).collect();
        Ok(TableRows::new(columns, self.rows, self.linker.finish(check)?, track_matches))
    }
}

impl ColumnParts {
    fn join(&self) {
        let mut parts = std::mem::take(&mut *self.parts.lock());
        if parts.iter().any(|part| !part.is_empty()) {
            parts.retain(|part| !part.is_empty());
        }
        let whole = match parts.as_slice() {
            [_] | [] => parts.pop().expect("each thread has a part"),
            [first, ..] => Column::concat(first.physical(), &parts.iter().collect::<Vec<_>>()),
        };
        *self.whole.lock() = Some(Arc::new(whole));
    }
}
