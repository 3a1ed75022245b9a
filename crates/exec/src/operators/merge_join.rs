//! Merge join: two inputs sorted by the join keys.
//!
//! # How
//! Both sides are read row by row in key order. For each key, the inner rows with that key are gathered (the *run*);
//! every outer row with the key is then joined with the run, block by block. A run beyond the memory budget goes to a
//! temporary file, and is read again for each outer row.
//!
//! # States
//! ```text
//! merging ──outer row has the run's key──► joining (block by block) ──► merging
//!    └──────no later outer row has it──► finishing (right, full: block by block) ──► merging
//! ```
//!
//! # Invariants
//! - MJ1: NULL keys match nothing: such rows are unmatched, wherever NULLs sort.
//! - MJ2: a step joins at most one block, so what waits for output stays small.

use std::cmp::Ordering;
use std::collections::VecDeque;
use std::sync::Arc;

use ochre_base::Result;
use ochre_expr::Expr;
use ochre_sql::explain::NodeReport;
use ochre_sql::physical::JoinType;
use ochre_types::{Batch, Column, ColumnBuilder, KeyOrder, PhysicalType, compare};

use crate::columns::{builders, null_columns, take_batch};
use crate::row_store::RowStore;
use crate::{BoxOperator, ExecContext, Operator};

/// What a [`MergeJoin`] needs to know.
pub struct MergeJoinSpec {
    pub join: JoinType,
    pub outer_keys: Vec<Expr>,
    pub inner_keys: Vec<Expr>,
    /// Descending, nulls first.
    pub order: Vec<(bool, bool)>,
    pub residual: Option<Expr>,
    pub filter: Option<Expr>,
    pub outer_types: Vec<PhysicalType>,
    pub inner_types: Vec<PhysicalType>,
}

/// Inner, left, right, full, semi and anti joins.
pub struct MergeJoin {
    spec: MergeJoinSpec,
    orders: Vec<KeyOrder>,
    outer: Side,
    inner: Side,
    run: Run,
    phase: Phase,
    output: VecDeque<Batch>,
    /// Single rows that wait until there are enough of them.
    gathered: Vec<ColumnBuilder>,
    gathered_rows: usize,
    ended: bool,
    /// Pairs that the residual left out.
    removed: u64,
}

/// One input, row by row.
struct Side {
    input: BoxOperator,
    batch: Option<(Batch, Vec<Arc<Column>>, Vec<u16>)>,
    next: usize,
    ended: bool,
}

#[derive(Clone, Copy)]
enum Phase {
    /// Comparing the next rows of both sides.
    Merging,
    /// The current outer row is to be joined with the run's blocks from this one on, and has found a partner or not.
    Joining { block: usize, matched: bool },
    /// The run's rows from this block on are to be output unless they found a partner.
    Finishing { block: usize },
}

/// The inner rows of one key.
#[derive(Default)]
struct Run {
    keys: Vec<Arc<Column>>,
    /// Blocks of so many rows each, when the run is longer than one.
    store: Option<RowStore>,
    /// The rows behind those in `store`.
    last: Vec<Arc<Column>>,
    rows: usize,
    /// Rows in a block.
    block_rows: usize,
    /// For right and full joins: a bit a row, set when it found a partner.
    matched: Vec<u64>,
}

/// Rows in a block of a run; one without any memory, so that tests have blocks of small tables in files.
const BLOCK_ROWS: usize = 1024;

impl Run {
    fn block_count(&self) -> usize {
        self.rows.div_ceil(self.block_rows.max(1))
    }

    fn block(&self, number: usize) -> Result<Batch> {
        if let Some(batch) = self.store.as_ref().map(|store| store.batch(number)).transpose()?.flatten() {
            return Ok(batch);
        }
        Ok(Batch::new(self.last.clone(), self.rows - number * self.block_rows))
    }

    fn clear(&mut self) {
        self.rows = 0;
        self.store = None;
    }

    fn is_matched(&self, row: usize) -> bool {
        self.matched[row / 64] >> (row % 64) & 1 != 0
    }
}

impl Side {
    fn new(input: BoxOperator) -> Side {
        Side { input, batch: None, next: 0, ended: false }
    }

    /// Makes sure that there is a current row; false at the end.
    fn fill(&mut self, ctx: &ExecContext<'_>, keys: &[Expr]) -> Result<bool> {
        loop {
            if let Some((_, _, active)) = &self.batch
                && self.next < active.len()
            {
                return Ok(true);
            }
            if self.ended {
                return Ok(false);
            }
            ctx.check_interrupts()?;
            match self.input.next(ctx)? {
                None => {
                    self.ended = true;
                    self.batch = None;
                }
                Some(batch) => {
                    let keys = ctx.eval_all(keys, &batch)?;
                    let active = batch.active().map(|row| row as u16).collect();
                    self.batch = Some((batch, keys, active));
                    self.next = 0;
                }
            }
        }
    }

    /// The current row: its batch's columns and keys, and its position.
    fn current(&self) -> (&Batch, &[Arc<Column>], usize) {
        let (batch, keys, active) = self.batch.as_ref().expect("filled before");
        (batch, keys, active[self.next] as usize)
    }

    fn rescan(&mut self, ctx: &ExecContext<'_>) -> Result<()> {
        self.batch = None;
        self.next = 0;
        self.ended = false;
        self.input.rescan(ctx)
    }
}

impl MergeJoin {
    /// Joins two sorted inputs.
    pub fn new(outer: BoxOperator, inner: BoxOperator, spec: MergeJoinSpec) -> MergeJoin {
        let orders = spec
            .outer_keys
            .iter()
            .zip(&spec.order)
            .map(|(key, (descending, nulls_first))| KeyOrder::new(key.ty(), *descending, *nulls_first))
            .collect();
        let mut types = spec.outer_types.clone();
        if spec.join.keeps_inner() {
            types.extend(&spec.inner_types);
        }
        MergeJoin {
            orders,
            outer: Side::new(outer),
            inner: Side::new(inner),
            run: Run::default(),
            phase: Phase::Merging,
            output: VecDeque::new(),
            gathered: builders(&types, 0),
            gathered_rows: 0,
            spec,
            ended: false,
            removed: 0,
        }
    }

    fn compare(&self, a: (&[Arc<Column>], usize), b: (&[Arc<Column>], usize)) -> Ordering {
        for ((x, y), order) in a.0.iter().zip(b.0).zip(&self.orders) {
            let ordering = compare::compare_rows(x, a.1, y, b.1, *order);
            if ordering != Ordering::Equal {
                return ordering;
            }
        }
        Ordering::Equal
    }

    fn step(&mut self, ctx: &ExecContext<'_>) -> Result<bool> {
        match self.phase {
            Phase::Merging => self.merge(ctx),
            Phase::Joining { block, matched } => self.join_block(ctx, block, matched).map(|()| true),
            Phase::Finishing { block } => self.finish_block(ctx, block).map(|()| true),
        }
    }

    fn tracks_matches(&self) -> bool {
        matches!(self.spec.join, JoinType::Right | JoinType::Full)
    }

    /// Advances the merge by one row of a side, or to another phase. False at the end.
    fn merge(&mut self, ctx: &ExecContext<'_>) -> Result<bool> {
        let has_outer = self.outer.fill(ctx, &self.spec.outer_keys)?;
        if has_outer && self.run.rows > 0 {
            let (_, keys, row) = self.outer.current();
            if self.compare((keys, row), (&self.run.keys, 0)) == Ordering::Equal {
                self.phase = Phase::Joining { block: 0, matched: false };
                return Ok(true);
            }
        }
        if self.run.rows > 0 {
            // No later outer row has the run's key.
            if self.tracks_matches() {
                self.phase = Phase::Finishing { block: 0 };
                return Ok(true);
            }
            self.run.clear();
        }
        if !has_outer && !self.tracks_matches() {
            return Ok(false);
        }
        let has_inner = self.inner.fill(ctx, &self.spec.inner_keys)?;
        match (has_outer, has_inner) {
            (false, false) => Ok(false),
            (true, false) if !keeps_lone_outer(self.spec.join) => Ok(false),
            (true, false) => self.lone_outer(ctx).map(|()| true),
            (false, true) => self.lone_inner(ctx).map(|()| true),
            (true, true) => {
                let (_, outer_keys, outer_row) = self.outer.current();
                let (_, inner_keys, inner_row) = self.inner.current();
                let null = outer_keys.iter().any(|column| column.is_null(outer_row));
                match self.compare((outer_keys, outer_row), (inner_keys, inner_row)) {
                    Ordering::Less => self.lone_outer(ctx)?,
                    Ordering::Greater => self.lone_inner(ctx)?,
                    // MJ1: equal, and NULL: neither has a partner.
                    Ordering::Equal if null => self.lone_outer(ctx)?,
                    Ordering::Equal => self.read_run(ctx)?,
                }
                Ok(true)
            }
        }
    }

    /// Gathers the inner rows that have the current inner row's key.
    fn read_run(&mut self, ctx: &ExecContext<'_>) -> Result<()> {
        let mut columns = builders(&self.spec.inner_types, 0);
        let key_types: Vec<PhysicalType> = self.spec.inner_keys.iter().map(|key| key.ty().physical).collect();
        let mut keys = builders(&key_types, 1);
        let (_, current, row) = self.inner.current();
        keys.iter_mut().zip(current).for_each(|(builder, column)| builder.push_from(column, row));
        self.run.keys = keys.iter_mut().map(|builder| Arc::new(builder.take())).collect();
        self.run.clear();
        self.run.block_rows = if ctx.work_mem_bytes() == 0 { 1 } else { BLOCK_ROWS };
        let mut rows = 0;
        while self.inner.fill(ctx, &self.spec.inner_keys)? {
            let (batch, keys, row) = self.inner.current();
            if self.compare((keys, row), (&self.run.keys, 0)) != Ordering::Equal {
                break;
            }
            if rows == self.run.block_rows {
                self.run
                    .store
                    .get_or_insert_with(|| {
                        let types = self.spec.inner_types.clone().into();
                        RowStore::new(types, ctx.temp(), ctx.work_mem_bytes())
                    })
                    .append(take_batch(&mut columns, rows))?;
                rows = 0;
            }
            columns
                .iter_mut()
                .zip(&batch.columns)
                .for_each(|(builder, column)| builder.push_from(column, row));
            rows += 1;
            self.run.rows += 1;
            self.inner.next += 1;
        }
        self.run.last = columns.iter_mut().map(|builder| Arc::new(builder.take())).collect();
        self.run.matched.clear();
        if self.tracks_matches() {
            self.run.matched.resize(self.run.rows.div_ceil(64), 0);
        }
        Ok(())
    }

    /// Joins the current outer row with a block of the run, and goes to the next block or row.
    fn join_block(&mut self, ctx: &ExecContext<'_>, block: usize, mut matched: bool) -> Result<()> {
        ctx.check_interrupts()?;
        let (batch, _, row) = self.outer.current();
        let outer: Vec<_> =
            batch.columns.iter().map(|column| (column.physical(), column.datum(row))).collect();
        let inner = self.run.block(block)?;
        let mut next = block + 1;
        for start in (0..inner.rows).step_by(ctx.batch_rows()) {
            let rows = ctx.batch_rows().min(inner.rows - start);
            let mut columns: Vec<Arc<Column>> = outer
                .iter()
                .map(|(physical, value)| Arc::new(Column::constant(*physical, value, rows)))
                .collect();
            columns.extend(inner.columns.iter().map(|column| Arc::new(column.slice(start, rows))));
            let kept = ctx.filter_if(self.spec.residual.as_ref(), Batch::new(columns, rows))?;
            self.removed += (rows - kept.as_ref().map_or(0, Batch::active_rows)) as u64;
            let Some(joined) = kept else { continue };
            matched = true;
            if !self.spec.join.keeps_inner() {
                next = self.run.block_count();
                break;
            }
            if self.tracks_matches() {
                for row in joined.active().map(|row| block * self.run.block_rows + start + row) {
                    self.run.matched[row / 64] |= 1 << (row % 64);
                }
            }
            if let Some(joined) = ctx.filter_if(self.spec.filter.as_ref(), joined)? {
                self.put(ctx, joined);
            }
        }
        if next < self.run.block_count() {
            self.phase = Phase::Joining { block: next, matched };
            return Ok(());
        }
        let lone = match self.spec.join {
            JoinType::Semi => matched,
            join => keeps_lone_outer(join) && !matched,
        };
        if lone {
            self.put_outer(ctx)?;
        }
        self.outer.next += 1;
        self.phase = Phase::Merging;
        Ok(())
    }

    /// Outputs a block's rows that found no partner; behind the last one, forgets the run.
    fn finish_block(&mut self, ctx: &ExecContext<'_>, block: usize) -> Result<()> {
        ctx.check_interrupts()?;
        let inner = self.run.block(block)?;
        for row in 0..inner.rows {
            if self.run.is_matched(block * self.run.block_rows + row) {
                continue;
            }
            let columns = inner.columns.iter().map(|column| Arc::new(column.slice(row, 1))).collect();
            self.put_inner(ctx, columns)?;
        }
        self.phase = Phase::Finishing { block: block + 1 };
        if block + 1 == self.run.block_count() {
            self.run.clear();
            self.phase = Phase::Merging;
        }
        Ok(())
    }

    fn lone_outer(&mut self, ctx: &ExecContext<'_>) -> Result<()> {
        if keeps_lone_outer(self.spec.join) {
            self.put_outer(ctx)?;
        }
        self.outer.next += 1;
        Ok(())
    }

    fn lone_inner(&mut self, ctx: &ExecContext<'_>) -> Result<()> {
        if matches!(self.spec.join, JoinType::Right | JoinType::Full) {
            let (batch, _, row) = self.inner.current();
            let inner = batch.columns.iter().map(|column| Arc::new(column.slice(row, 1))).collect();
            self.put_inner(ctx, inner)?;
        }
        self.inner.next += 1;
        Ok(())
    }

    /// Outputs the current outer row, beside NULLs where the join type has inner columns.
    fn put_outer(&mut self, ctx: &ExecContext<'_>) -> Result<()> {
        let (batch, _, row) = self.outer.current();
        let mut columns: Vec<Arc<Column>> =
            batch.columns.iter().map(|column| Arc::new(column.slice(row, 1))).collect();
        if !self.spec.join.keeps_inner() {
            self.put(ctx, Batch::new(columns, 1));
            return Ok(());
        }
        columns.extend(null_columns(&self.spec.inner_types, 1));
        if let Some(batch) = ctx.filter_if(self.spec.filter.as_ref(), Batch::new(columns, 1))? {
            self.put(ctx, batch);
        }
        Ok(())
    }

    fn put_inner(&mut self, ctx: &ExecContext<'_>, inner: Vec<Arc<Column>>) -> Result<()> {
        let mut columns = null_columns(&self.spec.outer_types, 1);
        columns.extend(inner);
        if let Some(batch) = ctx.filter_if(self.spec.filter.as_ref(), Batch::new(columns, 1))? {
            self.put(ctx, batch);
        }
        Ok(())
    }

    /// Adds rows to the output, in order.
    fn put(&mut self, ctx: &ExecContext<'_>, batch: Batch) {
        if self.gathered_rows + batch.active_rows() > ctx.batch_rows() {
            self.flush();
        }
        for row in batch.active() {
            self.gathered
                .iter_mut()
                .zip(&batch.columns)
                .for_each(|(builder, column)| builder.push_from(column, row));
        }
        self.gathered_rows += batch.active_rows();
    }

    fn flush(&mut self) {
        let rows = std::mem::take(&mut self.gathered_rows);
        if rows > 0 {
            self.output.push_back(take_batch(&mut self.gathered, rows));
        }
    }
}

/// Whether an outer row that has no partner comes out.
fn keeps_lone_outer(join: JoinType) -> bool {
    matches!(join, JoinType::Left | JoinType::Full | JoinType::Anti)
}

impl Operator for MergeJoin {
    fn next(&mut self, ctx: &ExecContext<'_>) -> Result<Option<Batch>> {
        while self.output.is_empty() && !self.ended {
            if !self.step(ctx)? {
                self.ended = true;
                self.flush();
            }
        }
        Ok(self.output.pop_front())
    }

    fn report(&self, report: &mut NodeReport) {
        report.removed_by_join_filter = self.removed;
    }

    fn rescan(&mut self, ctx: &ExecContext<'_>) -> Result<()> {
        self.run.clear();
        self.phase = Phase::Merging;
        self.output.clear();
        self.gathered_rows = 0;
        self.gathered.iter_mut().for_each(|builder| drop(builder.take()));
        self.ended = false;
        self.outer.rescan(ctx)?;
        self.inner.rescan(ctx)
    }
}
