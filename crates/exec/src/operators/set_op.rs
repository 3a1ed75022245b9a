//! INTERSECT and EXCEPT, with or without ALL.
//!
//! Both inputs are counted by row in one hash table; then the left rows come out as often as the operation says, in the
//! order of their first appearance. When the table exceeds the memory budget, both inputs are split by hash into
//! partitions on disk, which are done one by one.

use std::sync::Arc;

use ochre_base::Result;
use ochre_sql::physical::SetOpKind;
use ochre_types::{Batch, Column, ColumnBuilder, PhysicalType, SqlType};

use crate::columns::{builders, gather};
use crate::key_table::KeyTable;
use crate::keys::{BatchKeys, KeyLayout};
use crate::operator::Nothing;
use crate::partition::{MAX_DEPTH, Partitioner, key_hash};
use crate::row_store::RowStore;
use crate::{BoxOperator, ExecContext, Operator};

/// A set operation by counting.
pub struct SetOp {
    kind: SetOpKind,
    left: BoxOperator,
    right: BoxOperator,
    types: Arc<[PhysicalType]>,
    layout: KeyLayout,
    state: State,
}

enum State {
    New,
    Running { jobs: Vec<Job>, output: Option<Output> },
}

struct Job {
    left: RowStore,
    right: RowStore,
    depth: u32,
}

/// Distinct rows and how often each is still to be given.
struct Output {
    columns: Vec<Arc<Column>>,
    counts: Vec<u64>,
    next: usize,
}

/// Rows counted so far.
struct Counter {
    table: KeyTable,
    rows: Vec<ColumnBuilder>,
    left: Vec<u64>,
    right: Vec<u64>,
}

/// Where a side's rows come from.
enum Side<'a> {
    Operator(&'a mut BoxOperator),
    Store(&'a RowStore, usize),
}

impl Side<'_> {
    fn next(&mut self, ctx: &ExecContext<'_>) -> Result<Option<Batch>> {
        match self {
            Side::Operator(operator) => operator.next(ctx),
            Side::Store(store, number) => {
                *number += 1;
                store.batch(*number - 1)
            }
        }
    }
}

impl SetOp {
    /// Combines two inputs of the same types.
    pub fn new(kind: SetOpKind, left: BoxOperator, right: BoxOperator, types: &[SqlType]) -> SetOp {
        SetOp {
            kind,
            left,
            right,
            types: types.iter().map(|ty| ty.physical).collect(),
            layout: KeyLayout::new(types.iter().copied()).into_bytes(),
            state: State::New,
        }
    }

    /// Counts both sides. Rows that do not fit are put aside: all rows of a key are counted or all are put aside.
    fn count<'s>(
        &self,
        ctx: &ExecContext<'_>,
        mut left: Side<'s>,
        mut right: Side<'s>,
        depth: u32,
        jobs: &mut Vec<Job>,
    ) -> Result<Output> {
        let mut counter = Counter {
            table: KeyTable::bytes(),
            rows: builders(&self.types, 0),
            left: Vec::new(),
            right: Vec::new(),
        };
        let mut aside: Option<(Partitioner, Partitioner)> = None;
        let mut keys = BatchKeys::default();
        for is_left in [true, false] {
            let side = if is_left { &mut left } else { &mut right };
            while let Some(batch) = side.next(ctx)? {
                ctx.check_interrupts()?;
                self.layout.encode(&batch.columns, batch.rows, batch.active(), &mut keys)?;
                if is_left
                    && aside.is_none()
                    && depth < MAX_DEPTH
                    && counter.memory_bytes() > ctx.work_mem_bytes()
                {
                    let part = || Partitioner::new(&self.types, depth, ctx.temp(), ctx.work_mem_bytes());
                    aside = Some((part(), part()));
                }
                for row in batch.active() {
                    let key = keys.bytes(row);
                    let known = match (is_left, &aside) {
                        (true, None) => Some(counter.insert(key, &batch, row)),
                        _ => counter.table.find_bytes(key),
                    };
                    match (known, &mut aside) {
                        (Some(number), _) if is_left => counter.left[number as usize] += 1,
                        (Some(number), _) => counter.right[number as usize] += 1,
                        (None, Some((lefts, rights))) => {
                            let hash = key_hash(&self.layout, &keys, row);
                            if is_left { lefts } else { rights }.add(&batch, row, hash)?;
                        }
                        // A right row that the left side does not have changes nothing.
                        (None, None) => {}
                    }
                }
            }
        }
        if let Some((lefts, rights)) = aside {
            let depth = depth + 1;
            let parts = lefts.finish()?.into_iter().zip(rights.finish()?);
            jobs.extend(parts.filter(|(left, _)| !left.is_empty()).map(|(left, right)| Job {
                left,
                right,
                depth,
            }));
        }
        Ok(counter.finish(self.kind))
    }
}

impl Counter {
    fn memory_bytes(&self) -> usize {
        // The table holds the rows' bytes as keys; the columns hold about as much again.
        self.table.memory_bytes() * 2 + self.left.len() * 16
    }

    fn insert(&mut self, key: &[u8], batch: &Batch, row: usize) -> u32 {
        let (number, new) = self.table.insert_bytes(key);
        if new {
            for (builder, column) in self.rows.iter_mut().zip(&batch.columns) {
                builder.push_from(column, row);
            }
            self.left.push(0);
            self.right.push(0);
        }
        number
    }

    fn finish(mut self, kind: SetOpKind) -> Output {
        let counts = self
            .left
            .iter()
            .zip(&self.right)
            .map(|(left, right)| match kind {
                SetOpKind::Intersect => u64::from(*right > 0),
                SetOpKind::IntersectAll => *left.min(right),
                SetOpKind::Except => u64::from(*right == 0),
                SetOpKind::ExceptAll => left.saturating_sub(*right),
            })
            .collect();
        let columns = self.rows.iter_mut().map(|builder| Arc::new(builder.take())).collect();
        Output { columns, counts, next: 0 }
    }
}

impl Output {
    fn next(&mut self, max_rows: usize) -> Option<Batch> {
        let mut rows = Vec::new();
        while rows.len() < max_rows && self.next < self.counts.len() {
            let count = &mut self.counts[self.next];
            let take = (*count).min((max_rows - rows.len()) as u64);
            rows.extend(std::iter::repeat_n(self.next as u32, take as usize));
            *count -= take;
            if *count == 0 {
                self.next += 1;
            }
        }
        (!rows.is_empty()).then(|| Batch::new(gather(&self.columns, &rows), rows.len()))
    }
}

impl Operator for SetOp {
    fn next(&mut self, ctx: &ExecContext<'_>) -> Result<Option<Batch>> {
        loop {
            match std::mem::replace(&mut self.state, State::New) {
                State::New => {
                    let mut jobs = Vec::new();
                    // The operators are taken out for the call, which borrows `self`.
                    let mut left = std::mem::replace(&mut self.left, Box::new(Nothing));
                    let mut right = std::mem::replace(&mut self.right, Box::new(Nothing));
                    let output =
                        self.count(ctx, Side::Operator(&mut left), Side::Operator(&mut right), 0, &mut jobs);
                    (self.left, self.right) = (left, right);
                    self.state = State::Running { jobs, output: Some(output?) };
                }
                State::Running { mut jobs, output: Some(mut output) } => {
                    let batch = output.next(ctx.batch_rows());
                    let output = batch.is_some().then_some(output);
                    self.state = State::Running { jobs: std::mem::take(&mut jobs), output };
                    if batch.is_some() {
                        return Ok(batch);
                    }
                }
                State::Running { mut jobs, output: None } => {
                    let Some(job) = jobs.pop() else {
                        self.state = State::Running { jobs, output: None };
                        return Ok(None);
                    };
                    let (left, right) = (Side::Store(&job.left, 0), Side::Store(&job.right, 0));
                    let output = self.count(ctx, left, right, job.depth, &mut jobs)?;
                    self.state = State::Running { jobs, output: Some(output) };
                }
            }
        }
    }

    fn rescan(&mut self, ctx: &ExecContext<'_>) -> Result<()> {
        self.state = State::New;
        self.left.rescan(ctx)?;
        self.right.rescan(ctx)
    }
}
