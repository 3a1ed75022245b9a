//! The rows of a partition: read as far as somebody asks, kept as long as somebody needs them.
//!
//! # How
//! A partition is a sequence of blocks, each a range of an input batch. Blocks beyond the memory budget go to a temporary
//! file. Blocks that no later row's frame or function can reach are dropped ([`PartitionRows::trim`]), so a running sum
//! over any number of rows needs a few blocks only.
//!
//! # Invariants
//! - WR1: rows are numbered from 0 within their partition; rows before the first block are not asked for any more.

use std::collections::VecDeque;
use std::sync::Arc;

use ochre_base::Result;
use ochre_expr::Expr;
use ochre_sql::explain::StorageReport;
use ochre_types::{Batch, Column, PhysicalType, ValueOrder, compare};

use crate::columns::concat_batches;
use crate::spill;
use crate::temp::TempFile;
use crate::{BoxOperator, ExecContext};

/// The columns of an input batch, with those computed from them.
pub type Columns = Vec<Arc<Column>>;

/// Once a partition spills, input batches of fewer rows are put together, so that blocks in files are not tiny.
const LEAST_ROWS: usize = 512;

/// Blocks that a reader keeps at hand.
const READER_VIEWS: usize = 4;

/// Reads the input partition by partition.
pub struct PartitionRows {
    input: BoxOperator,
    input_types: Vec<PhysicalType>,
    partition: Vec<Expr>,
    orders: Vec<ValueOrder>,
    /// What is computed beside the input's columns.
    computed: Vec<Expr>,
    types: Vec<PhysicalType>,
    batch: Option<InputBatch>,
    /// The batch behind it, when it had to be looked at already.
    ahead: Option<Batch>,
    input_ended: bool,
    /// The partition's keys: a row of these columns.
    keys: Option<(Arc<Columns>, usize)>,
    blocks: VecDeque<Block>,
    known: usize,
    complete: bool,
    memory_bytes: usize,
    file: Option<TempFile>,
    file_blocks: usize,
    /// The most that was kept at a time.
    storage: StorageReport,
    buffer: Vec<u8>,
    /// Which partition it is: readers forget the blocks of others.
    number: u64,
}

/// An input batch, all rows active, and its next row.
struct InputBatch {
    columns: Arc<Columns>,
    keys: Arc<Columns>,
    rows: usize,
    bytes: usize,
    next: usize,
}

struct Block {
    start: usize,
    rows: usize,
    place: Place,
}

enum Place {
    Memory { columns: Arc<Columns>, at: usize, batch_rows: usize, bytes: usize },
    File(u64),
}

/// A block in memory: row `row` of the partition is row `row - start + at` of the columns.
#[derive(Clone)]
pub struct View {
    partition: u64,
    pub start: usize,
    pub end: usize,
    pub columns: Arc<Columns>,
    at: usize,
    /// How many rows the columns have.
    pub batch_rows: usize,
}

impl View {
    /// The position of a row in the columns.
    pub fn position(&self, row: usize) -> usize {
        row - self.start + self.at
    }
}

impl PartitionRows {
    /// The rows of `input`, which is sorted by `partition`, with further columns.
    pub fn new(
        input: BoxOperator,
        input_types: Vec<PhysicalType>,
        partition: Vec<Expr>,
        computed: Vec<Expr>,
    ) -> PartitionRows {
        let mut types = input_types.clone();
        types.extend(computed.iter().map(|expr| expr.ty().physical));
        PartitionRows {
            input,
            input_types,
            orders: partition.iter().map(|key| key.ty().order()).collect(),
            partition,
            computed,
            types,
            batch: None,
            ahead: None,
            input_ended: false,
            keys: None,
            blocks: VecDeque::new(),
            known: 0,
            complete: true,
            memory_bytes: 0,
            file: None,
            file_blocks: 0,
            storage: StorageReport::default(),
            buffer: Vec::new(),
            number: 0,
        }
    }

    /// Starts anew.
    pub fn rescan(&mut self, ctx: &ExecContext<'_>) -> Result<()> {
        self.clear();
        self.batch = None;
        self.ahead = None;
        self.input_ended = false;
        self.input.rescan(ctx)
    }

    /// Where rows were kept, and in how much room at most.
    pub fn report(&self) -> StorageReport {
        self.storage
    }

    /// Goes to the next partition, when all rows of the last one have been asked for; false when there is none.
    pub fn next_partition(&mut self, ctx: &ExecContext<'_>) -> Result<bool> {
        debug_assert!(self.complete, "the last partition was read to its end");
        self.clear();
        if !self.fill(ctx)? {
            return Ok(false);
        }
        let batch = self.batch.as_ref().expect("filled above");
        self.keys = Some((Arc::clone(&batch.keys), batch.next));
        self.complete = false;
        Ok(true)
    }

    /// Passes over the rows of the partition that nobody has asked for.
    pub fn skip_partition(&mut self, ctx: &ExecContext<'_>) -> Result<()> {
        while self.pull(ctx)? {
            self.trim(self.known)?;
        }
        Ok(())
    }

    /// Whether the partition has a row of this number.
    pub fn has(&mut self, ctx: &ExecContext<'_>, row: usize) -> Result<bool> {
        while row >= self.known {
            if !self.pull(ctx)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The number, or that behind the last row when it is smaller.
    pub fn clamp(&mut self, ctx: &ExecContext<'_>, row: usize) -> Result<usize> {
        while row > self.known && self.pull(ctx)? {}
        Ok(row.min(self.known))
    }

    /// How many rows the partition has.
    pub fn total(&mut self, ctx: &ExecContext<'_>) -> Result<usize> {
        self.clamp(ctx, usize::MAX)
    }

    /// The block of a row that is known to be there.
    pub fn view(&self, row: usize) -> Result<View> {
        let number = self.blocks.partition_point(|block| block.start + block.rows <= row);
        let block = &self.blocks[number];
        debug_assert!(block.start <= row, "WR1");
        let (start, end) = (block.start, block.start + block.rows);
        let partition = self.number;
        match &block.place {
            Place::Memory { columns, at, batch_rows, .. } => {
                let (columns, at, batch_rows) = (Arc::clone(columns), *at, *batch_rows);
                Ok(View { partition, start, end, columns, at, batch_rows })
            }
            Place::File(offset) => {
                let file = self.file.as_ref().expect("blocks in a file have one");
                let mut payload = Vec::new();
                file.read(*offset, &mut payload)?;
                let batch = spill::decode_batch(&self.types, &payload)?;
                let columns = Arc::new(batch.columns);
                Ok(View { partition, start, end, columns, at: 0, batch_rows: block.rows })
            }
        }
    }

    /// Forgets what only rows before this one need.
    pub fn trim(&mut self, before: usize) -> Result<()> {
        while let Some(block) = self.blocks.front()
            && block.start + block.rows <= before
        {
            match &block.place {
                Place::Memory { bytes, .. } => self.memory_bytes -= bytes,
                Place::File(_) => self.file_blocks -= 1,
            }
            self.blocks.pop_front();
        }
        if self.file_blocks == 0
            && let Some(file) = &mut self.file
        {
            file.truncate()?;
        }
        Ok(())
    }

    fn clear(&mut self) {
        self.blocks.clear();
        (self.known, self.memory_bytes, self.file_blocks) = (0, 0, 0);
        self.file = None;
        self.keys = None;
        self.complete = true;
        self.number += 1;
    }

    /// Learns of more rows of the partition; false when there are no more.
    fn pull(&mut self, ctx: &ExecContext<'_>) -> Result<bool> {
        if self.complete || !self.fill(ctx)? {
            self.complete = true;
            return Ok(false);
        }
        let batch = self.batch.as_mut().expect("filled above");
        let (keys, key_row) = self.keys.as_ref().expect("a partition that is not complete has keys");
        let first = batch.next;
        let end = if self.orders.is_empty() {
            batch.rows
        } else {
            let same = |row: &usize| {
                let mut pairs = batch.keys.iter().zip(keys.iter()).zip(&self.orders);
                pairs.all(|((a, b), order)| compare::equal_rows(a, *row, b, *key_row, *order))
            };
            first + (first..batch.rows).take_while(same).count()
        };
        if end == first {
            self.complete = true;
            return Ok(false);
        }
        let columns = Arc::clone(&batch.columns);
        let (batch_rows, bytes) = (batch.rows, batch.bytes * (end - first) / batch.rows);
        if end < batch.rows {
            batch.next = end;
            self.complete = true;
        } else {
            self.batch = None;
        }
        self.push(ctx, Place::Memory { columns, at: first, batch_rows, bytes }, end - first)?;
        Ok(true)
    }

    /// Makes sure that there is a next row of the input; false at its end.
    fn fill(&mut self, ctx: &ExecContext<'_>) -> Result<bool> {
        if self.batch.is_some() {
            return Ok(true);
        }
        if self.input_ended && self.ahead.is_none() {
            return Ok(false);
        }
        ctx.check_interrupts()?;
        let batch = match self.ahead.take() {
            Some(batch) => Some(batch),
            None => self.input.next(ctx)?,
        };
        let Some(batch) = batch else {
            self.input_ended = true;
            return Ok(false);
        };
        let mut batch = batch.compact();
        if self.file.is_some() && batch.rows < LEAST_ROWS {
            batch = self.gather(ctx, batch)?;
        }
        let keys = ctx.eval_all(&self.partition, &batch)?;
        let computed = ctx.eval_all(&self.computed, &batch)?;
        let rows = batch.rows;
        batch.columns.extend(computed);
        let bytes = batch.memory_bytes();
        let (columns, keys) = (Arc::new(batch.columns), Arc::new(keys));
        self.batch = Some(InputBatch { columns, keys, rows, bytes, next: 0 });
        Ok(true)
    }

    fn gather(&mut self, ctx: &ExecContext<'_>, first: Batch) -> Result<Batch> {
        let mut rows = first.rows;
        let mut batches = vec![first];
        while rows < LEAST_ROWS && !self.input_ended {
            let Some(batch) = self.input.next(ctx)? else {
                self.input_ended = true;
                break;
            };
            if rows + batch.active_rows() > ochre_base::limits::BATCH_ROWS {
                self.ahead = Some(batch);
                break;
            }
            rows += batch.active_rows();
            batches.push(batch);
        }
        Ok(Batch::new(concat_batches(&self.input_types, &batches), rows))
    }

    fn push(&mut self, ctx: &ExecContext<'_>, place: Place, rows: usize) -> Result<()> {
        let Place::Memory { columns, at, bytes, .. } = &place else {
            unreachable!("new blocks are in memory")
        };
        let place = if self.memory_bytes + bytes <= ctx.work_mem_bytes() || self.blocks.is_empty() {
            self.memory_bytes += bytes;
            place
        } else {
            let file = match &mut self.file {
                Some(file) => file,
                None => self.file.insert(ctx.temp().create()?),
            };
            let slices = columns.iter().map(|column| Arc::new(column.slice(*at, rows))).collect();
            self.buffer.clear();
            spill::encode_batch(Batch::new(slices, rows), &mut self.buffer);
            self.file_blocks += 1;
            Place::File(file.append(&self.buffer)?)
        };
        self.blocks.push_back(Block { start: self.known, rows, place });
        self.known += rows;
        let in_file = self.file.as_ref().map_or(0, TempFile::len);
        let bytes = self.memory_bytes as u64 + in_file;
        if bytes > self.storage.bytes {
            self.storage = StorageReport { bytes, on_disk: in_file > 0 };
        }
        Ok(())
    }
}

/// Reads rows of a partition here and there.
#[derive(Default)]
pub struct Reader {
    /// The block used last comes first.
    views: Vec<View>,
}

impl Reader {
    /// The block of a row that is known to be there.
    #[inline]
    pub fn view(&mut self, rows: &PartitionRows, row: usize) -> Result<&View> {
        let holds = |view: &View| view.start <= row && row < view.end && view.partition == rows.number;
        match self.views.iter().position(holds) {
            Some(0) => {}
            Some(found) => self.views[..=found].rotate_right(1),
            None => {
                self.views.retain(|view| view.partition == rows.number);
                self.views.truncate(READER_VIEWS - 1);
                self.views.insert(0, rows.view(row)?);
            }
        }
        Ok(&self.views[0])
    }
}
