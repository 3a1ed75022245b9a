//! Sorts rows by order-preserving byte keys within a memory budget.
//!
//! # Role
//! Under the Sort operator, ordered aggregates and window functions.
//!
//! # How
//! Rows are kept as columns and their keys in one arena; at the end an array of (first eight bytes of the key, row) is
//! sorted and the columns are gathered in its order. With a bound only the first rows are kept: whenever twice as many
//! have come together, the rest is thrown away, and from then on a row that is not before the last one kept is not even
//! taken. When the budget is reached, the rows go to `access::sort`, which spills sorted runs and merges them. What the
//! key tells of a row is not put beside it a second time: rows of sort columns that are integers are keys and nothing else.
//!
//! # Invariants
//! - RS1: rows with equal keys come out in the order of their arrival.
//! - RS2: a part of the key that is said to be a column of the row is that column in every batch.

use std::sync::Arc;

use ochre_access::sort::{SortConfig, Sorted, Sorter};
use ochre_base::Result;
use ochre_sql::explain::SortReport;
use ochre_types::{Batch, Column, ColumnBuilder, KeyOrder, PhysicalType, key};

use crate::columns::{active_bytes, append_active, builders, gather, take_batch};
use crate::row_bytes;
use crate::temp::TempFiles;

/// With a bound, rows are thrown away when at least this many have come together.
const PRUNE_ROWS: usize = 4096;

/// Takes rows in any order.
pub struct RowSorter {
    types: Vec<PhysicalType>,
    orders: Vec<KeyOrder>,
    temp: Arc<TempFiles>,
    budget_bytes: usize,
    bound: Option<usize>,
    memory: InMemory,
    spilled: Option<Sorter>,
    arrived: u64,
    /// Which of the columns the key tells, and by which of its parts.
    told: Told,
    key: Vec<u8>,
    payload: Vec<u8>,
}

/// What keys of integers tell of a row (RS2).
struct Told {
    /// For each column the part of the key that is its value.
    columns: Vec<Option<usize>>,
    /// The types and orders of the key's parts.
    parts: Vec<(PhysicalType, KeyOrder)>,
}

impl Told {
    /// Of rows of these types, by keys of which some are columns.
    fn new(types: &[PhysicalType], sources: &[Option<usize>], orders: &[KeyOrder]) -> Told {
        use PhysicalType as P;
        let part = |(source, order): (&Option<usize>, &KeyOrder)| Some(((*source)?, *order));
        let parts: Option<Vec<_>> = sources.iter().zip(orders).map(part).collect();
        let parts: Option<Vec<_>> = parts.map(|parts| {
            let typed = parts.into_iter().map(|(column, order)| (column, types[column], order));
            typed.collect::<Vec<_>>()
        });
        // Where some part is no integer, those behind it cannot be found.
        let parts = parts.filter(|parts| {
            parts.iter().all(|(_, physical, order)| {
                matches!(physical, P::Int16 | P::Int32 | P::UInt32 | P::Int64) && !order.hashed
            })
        });
        let parts = parts.unwrap_or_default();
        let part_of = |column: usize| parts.iter().position(|(source, ..)| *source == column);
        Told {
            columns: (0..types.len()).map(part_of).collect(),
            parts: parts.into_iter().map(|(_, physical, order)| (physical, order)).collect(),
        }
    }

    /// Whether rows of one key cannot be told apart.
    fn tells_all(&self) -> bool {
        self.columns.iter().all(Option::is_some)
    }

    /// The columns that the key does not tell.
    fn others<T: Clone>(&self, columns: &[T]) -> Vec<T> {
        let untold = columns.iter().zip(&self.columns).filter(|(_, part)| part.is_none());
        untold.map(|(column, _)| column.clone()).collect()
    }

    /// Reads the parts of a key; `None` for NULL.
    fn read(&self, mut key: &[u8], values: &mut Vec<Option<i64>>) -> Result<()> {
        values.clear();
        for (physical, order) in &self.parts {
            values.push(key::decode_integer(*physical, *order, &mut key)?);
        }
        Ok(())
    }
}

struct InMemory {
    columns: Vec<ColumnBuilder>,
    rows: usize,
    bytes: usize,
    keys: Keys,
    /// With a bound: the key of the last row that is among the first; later rows must be before it.
    cutoff: Option<Vec<u8>>,
}

#[derive(Default)]
struct Keys {
    arena: Vec<u8>,
    ends: Vec<usize>,
}

impl Keys {
    fn get(&self, row: u32) -> &[u8] {
        let i = row as usize;
        let start = if i == 0 { 0 } else { self.ends[i - 1] };
        &self.arena[start..self.ends[i]]
    }

    fn push(&mut self, key: &[u8]) {
        self.arena.extend_from_slice(key);
        self.ends.push(self.arena.len());
    }

    /// The rows in order: by key, then by arrival.
    fn order(&self) -> Vec<u32> {
        let mut items: Vec<(u64, u32)> =
            (0..self.ends.len() as u32).map(|row| (prefix(self.get(row)), row)).collect();
        items.sort_unstable_by(|a, b| {
            a.0.cmp(&b.0).then_with(|| self.get(a.1).cmp(self.get(b.1))).then_with(|| a.1.cmp(&b.1))
        });
        items.into_iter().map(|(_, row)| row).collect()
    }
}

/// The first eight bytes of a key as a number that orders as they do.
fn prefix(key: &[u8]) -> u64 {
    match key.first_chunk::<8>() {
        Some(first) => u64::from_be_bytes(*first),
        None => {
            let mut padded = [0u8; 8];
            padded[..key.len()].copy_from_slice(key);
            u64::from_be_bytes(padded)
        }
    }
}

impl InMemory {
    fn new(types: &[PhysicalType]) -> InMemory {
        InMemory { columns: builders(types, 0), rows: 0, bytes: 0, keys: Keys::default(), cutoff: None }
    }

    fn take_columns(&mut self) -> Vec<Arc<Column>> {
        self.columns.iter_mut().map(|builder| Arc::new(builder.take())).collect()
    }

    /// Keeps only the first `bound` rows.
    fn prune(&mut self, bound: usize) {
        let before = self.rows;
        let mut order = self.keys.order();
        order.truncate(bound);
        self.cutoff = order.last().map(|row| self.keys.get(*row).to_vec());
        // In their order of arrival, so that the number of a row still says who came first (RS1).
        order.sort_unstable();
        let columns = self.take_columns();
        let mut keys = Keys::default();
        order.iter().for_each(|row| keys.push(self.keys.get(*row)));
        self.keys = keys;
        self.rows = order.len();
        for (builder, column) in self.columns.iter_mut().zip(&columns) {
            for row in &order {
                builder.push_from(column, *row as usize);
            }
        }
        // What is left of a bounded sort: in proportion.
        self.bytes = self.bytes * self.rows / before.max(1);
    }
}

impl RowSorter {
    /// An empty sort of rows of `types` by keys of these orders, each of which may be a column of the rows.
    pub fn new(
        types: Vec<PhysicalType>,
        orders: Vec<KeyOrder>,
        sources: &[Option<usize>],
        bound: Option<usize>,
        temp: &Arc<TempFiles>,
        budget_bytes: usize,
    ) -> RowSorter {
        let memory = InMemory::new(&types);
        let told = Told::new(&types, sources, &orders);
        RowSorter {
            types,
            orders,
            temp: Arc::clone(temp),
            budget_bytes,
            bound,
            memory,
            spilled: None,
            arrived: 0,
            told,
            key: Vec::new(),
            payload: Vec::new(),
        }
    }

    /// Adds a batch's active rows, whose keys are in the columns `keys`.
    ///
    /// # Errors
    /// 0A000 when a key's type has no order; errors of temporary files.
    pub fn add(&mut self, batch: &Batch, keys: &[Arc<Column>]) -> Result<()> {
        if self.spilled.is_some() {
            return self.add_spilled(batch, keys);
        }
        if self.memory.cutoff.is_some() {
            return self.add_below_cutoff(batch, keys);
        }
        for row in batch.active() {
            encode(&mut self.key, keys, &self.orders, row)?;
            self.memory.keys.push(&self.key);
            self.memory.bytes += self.key.len() + 16;
        }
        for (i, builder) in self.memory.columns.iter_mut().enumerate() {
            append_active(builder, batch, i);
        }
        self.memory.rows += batch.active_rows();
        self.memory.bytes += active_bytes(batch);
        self.keep_within_limits()
    }

    fn add_below_cutoff(&mut self, batch: &Batch, keys: &[Arc<Column>]) -> Result<()> {
        for row in batch.active() {
            encode(&mut self.key, keys, &self.orders, row)?;
            if self.memory.cutoff.as_ref().is_some_and(|cutoff| self.key >= *cutoff) {
                continue;
            }
            self.memory.keys.push(&self.key);
            self.memory.bytes += self.key.len() + 16;
            for (builder, column) in self.memory.columns.iter_mut().zip(&batch.columns) {
                builder.push_from(column, row);
            }
            self.memory.rows += 1;
        }
        self.keep_within_limits()
    }

    fn keep_within_limits(&mut self) -> Result<()> {
        if let Some(bound) = self.bound
            && self.memory.rows >= bound.saturating_mul(2).max(PRUNE_ROWS)
        {
            self.memory.prune(bound);
            return Ok(());
        }
        if self.memory.bytes > self.budget_bytes && self.bound.is_none_or(|bound| bound > PRUNE_ROWS) {
            return self.spill();
        }
        Ok(())
    }

    /// Moves what is in memory to a sort that spills.
    fn spill(&mut self) -> Result<()> {
        let config = SortConfig::new(self.temp.env(), self.temp.dir(), self.budget_bytes);
        let mut sorter = Sorter::new(config);
        let mut memory = std::mem::replace(&mut self.memory, InMemory::new(&self.types));
        let told = &self.told;
        let (columns, alike) = (told.others(&memory.take_columns()), told.tells_all());
        for row in 0..memory.rows {
            self.payload.clear();
            if !alike {
                row_bytes::encode_row(&columns, row, &mut self.payload);
                self.arrived += 1;
            }
            sorter.add(memory.keys.get(row as u32), self.arrived, &self.payload)?;
        }
        self.spilled = Some(sorter);
        Ok(())
    }

    fn add_spilled(&mut self, batch: &Batch, keys: &[Arc<Column>]) -> Result<()> {
        let sorter = self.spilled.as_mut().expect("called after a spill");
        let told = &self.told;
        let (columns, alike) = (told.others(&batch.columns), told.tells_all());
        for row in batch.active() {
            encode(&mut self.key, keys, &self.orders, row)?;
            self.payload.clear();
            if !alike {
                row_bytes::encode_row(&columns, row, &mut self.payload);
                self.arrived += 1;
            }
            sorter.add(&self.key, self.arrived, &self.payload)?;
        }
        Ok(())
    }

    /// With a bound: the first part of the key, an integer of this type, of the last row that is among the first so far.
    /// Rows that come behind it are of no account.
    pub fn cutoff(&self, physical: PhysicalType) -> Option<i64> {
        let cutoff = self.memory.cutoff.as_ref()?;
        key::decode_integer(physical, *self.orders.first()?, &mut cutoff.as_slice()).ok()?
    }

    /// How the rows are being sorted, and in how much room.
    pub fn report(&self) -> SortReport {
        match &self.spilled {
            Some(sorter) => SortReport {
                method: "external merge",
                bytes: sorter.spilled_bytes() + sorter.memory_bytes() as u64,
                on_disk: true,
                sorts: 0,
            },
            None => {
                let bounded =
                    self.bound.is_some_and(|bound| self.memory.rows > bound) || self.memory.cutoff.is_some();
                SortReport {
                    method: if bounded { "top-N heapsort" } else { "quicksort" },
                    bytes: self.memory.bytes as u64,
                    on_disk: false,
                    sorts: 0,
                }
            }
        }
    }

    /// Ends the adding and begins the reading.
    ///
    /// # Errors
    /// Errors of temporary files.
    pub fn finish(mut self) -> Result<SortedRows> {
        let left = self.bound.unwrap_or(usize::MAX);
        let source = match self.spilled {
            Some(sorter) => {
                let told = self.told;
                let untold = builders(&told.others(&self.types), 0);
                let parts = told.parts.iter().map(|(physical, _)| ColumnBuilder::new(*physical, 0)).collect();
                Source::Spilled(Box::new(SpilledRows {
                    sorted: sorter.finish()?,
                    told,
                    untold,
                    parts,
                    key: Vec::new(),
                    left,
                }))
            }
            None => {
                let mut order = self.memory.keys.order();
                order.truncate(left);
                Source::Memory { columns: self.memory.take_columns(), order, next: 0 }
            }
        };
        Ok(SortedRows { source })
    }
}

fn encode(out: &mut Vec<u8>, keys: &[Arc<Column>], orders: &[KeyOrder], row: usize) -> Result<()> {
    out.clear();
    for (column, order) in keys.iter().zip(orders) {
        key::encode_key_at(column, row, *order, out)?;
    }
    Ok(())
}

/// Gives rows in order.
pub struct SortedRows {
    source: Source,
}

enum Source {
    Memory { columns: Vec<Arc<Column>>, order: Vec<u32>, next: usize },
    Spilled(Box<SpilledRows>),
}

struct SpilledRows {
    sorted: Sorted,
    told: Told,
    /// Columns that the key does not tell, and the key's parts.
    untold: Vec<ColumnBuilder>,
    parts: Vec<ColumnBuilder>,
    key: Vec<Option<i64>>,
    left: usize,
}

impl SpilledRows {
    fn next(&mut self, max_rows: usize) -> Result<Option<Batch>> {
        let SpilledRows { sorted, told, untold, parts, key, left } = self;
        let tells = told.columns.iter().any(Option::is_some);
        let mut rows = 0;
        while rows < max_rows.min(*left) {
            let Some(entry) = sorted.next()? else { break };
            if tells {
                told.read(entry.key, key)?;
                for (part, value) in parts.iter_mut().zip(key.iter()) {
                    part.push_integer(*value);
                }
            }
            if !untold.is_empty() {
                row_bytes::decode_row(entry.payload, untold)?;
            }
            rows += 1;
        }
        *left -= rows;
        if rows == 0 {
            return Ok(None);
        }
        let mut untold = take_batch(untold, rows).columns.into_iter();
        let parts: Vec<Arc<Column>> = parts.iter_mut().map(|part| Arc::new(part.take())).collect();
        let columns = told.columns.iter().map(|part| match part {
            Some(part) => Arc::clone(&parts[*part]),
            None => untold.next().expect("a column for each that the key does not tell"),
        });
        Ok(Some(Batch::new(columns.collect(), rows)))
    }
}

impl SortedRows {
    /// The next rows, at most so many; `None` at the end.
    ///
    /// # Errors
    /// Errors of temporary files.
    pub fn next(&mut self, max_rows: usize) -> Result<Option<Batch>> {
        match &mut self.source {
            Source::Memory { columns, order, next } => {
                let rows = max_rows.min(order.len() - *next);
                if rows == 0 {
                    return Ok(None);
                }
                let columns = gather(columns, &order[*next..*next + rows]);
                *next += rows;
                Ok(Some(Batch::new(columns, rows)))
            }
            Source::Spilled(rows) => rows.next(max_rows),
        }
    }

    /// Starts from the first row again, if the rows are all in memory; otherwise says false.
    pub fn rewind(&mut self) -> bool {
        match &mut self.source {
            Source::Memory { next, .. } => {
                *next = 0;
                true
            }
            Source::Spilled(_) => false,
        }
    }
}
