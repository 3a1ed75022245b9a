//! Window functions and aggregates over frames.
//!
//! # How
//! The input comes sorted by the partition's keys and then by the window's order, with the values of the order keys and
//! of all arguments beside its columns. The rows of a partition are gone through in order, and every call gives its value
//! for the current row. What a call needs of other rows it asks of [`rows::PartitionRows`], which reads no more of the
//! input than that and forgets rows that nobody can ask for any more: ranks and running aggregates stream, and what has to
//! be kept goes to a temporary file beyond the memory budget.
//!
//! Where a condition on functions that only grow along a partition is known ([`WindowSpec::run`]), it is asked after a few
//! rows, then after twice as many, and so on. Behind the first row of which it is not true the rest of the partition is
//! passed over; a window without partitions ends there, and its input is read no further.
//!
//! # Not done
//! RANGE with an offset knows numbers, dates and timestamps. Frames that begin later than the one before are aggregated
//! from their start: no aggregate can take a row back.

mod aggregate;
mod frame;
mod functions;
mod rows;

use std::sync::Arc;

use ochre_base::Result;
use ochre_expr::Expr;
use ochre_sql::explain::NodeReport;
use ochre_sql::physical::{SortKey, WindowCall, WindowFrame};
use ochre_types::{Batch, ColumnBuilder, PhysicalType};

use crate::columns::builders;
use crate::{BoxOperator, ExecContext, Operator};
use aggregate::RunningAggregate;
use frame::Frames;
use functions::RunningFunction;
use rows::{PartitionRows, View};

/// After how many rows of a partition the run condition is asked for the first time.
const LEAST_RUN: usize = 16;

/// What a [`Window`] needs to know.
pub struct WindowSpec {
    pub partition: Vec<Expr>,
    pub order: Vec<SortKey>,
    pub frame: WindowFrame,
    pub calls: Vec<WindowCall>,
    /// Over the columns that come out: of a row of which it is not true, and of those behind it in the partition, nothing
    /// is wanted.
    pub run: Option<Expr>,
    pub input_types: Vec<PhysicalType>,
}

/// Adds a column for each call to the columns of its input.
pub struct Window {
    order: Vec<SortKey>,
    frame: WindowFrame,
    rows: PartitionRows,
    run: Option<Run>,
    calls: Vec<Call>,
    uses_frames: bool,
    uses_peers: bool,
    /// Made when there is a first row: offsets are looked at no earlier.
    frames: Option<Frames>,
    /// The next row of the partition; `None` between partitions.
    row: Option<usize>,
    /// Input columns of finished rows, and their results.
    input: Vec<ColumnBuilder>,
    results: Vec<ColumnBuilder>,
    finished: usize,
    ended: bool,
}

/// How far a partition is gone through.
struct Run {
    condition: Expr,
    /// All rows are of one partition.
    is_single: bool,
    /// How many rows are computed before it is asked of them.
    rows: usize,
    /// Results of finished rows of which it is true.
    kept: Vec<ColumnBuilder>,
}

enum Call {
    Function(RunningFunction),
    Aggregate(Box<RunningAggregate>),
}

impl Window {
    /// Computes window functions over `input`.
    ///
    /// # Errors
    /// 0A000 for functions that are not implemented.
    pub fn new(input: BoxOperator, spec: WindowSpec) -> Result<Window> {
        let width = spec.input_types.len();
        let mut computed: Vec<Expr> = spec.order.iter().map(|key| key.expr.clone()).collect();
        let (mut calls, mut results) = (Vec::new(), Vec::new());
        for call in &spec.calls {
            let first = width + computed.len();
            computed.extend(call_inputs(call).cloned());
            let (call, ty) = match call {
                WindowCall::Function { function, args, ty } => {
                    (Call::Function(RunningFunction::new(function, args, first)?), *ty)
                }
                WindowCall::Aggregate(call) => {
                    (Call::Aggregate(Box::new(RunningAggregate::new(call, first)?)), call.ty)
                }
            };
            calls.push(call);
            results.push(ty.physical);
        }
        let uses_frames = calls.iter().any(|call| match call {
            Call::Function(function) => function.uses_frames(),
            Call::Aggregate(_) => true,
        });
        let uses_peers =
            calls.iter().any(|call| matches!(call, Call::Function(function) if function.uses_peers()));
        Ok(Window {
            order: spec.order,
            frame: spec.frame,
            input: builders(&spec.input_types, 0),
            run: spec.run.map(|condition| Run {
                condition,
                is_single: spec.partition.is_empty(),
                rows: LEAST_RUN,
                kept: builders(&results, 0),
            }),
            rows: PartitionRows::new(input, spec.input_types, spec.partition, computed),
            calls,
            uses_frames,
            uses_peers,
            frames: None,
            row: None,
            results: builders(&results, 0),
            finished: 0,
            ended: false,
        })
    }

    /// The next rows of the partition, all of one block; `None` at its end.
    fn next_rows(&mut self, ctx: &ExecContext<'_>, row: usize) -> Result<Option<View>> {
        if self.rows.has(ctx, row)? { self.rows.view(row).map(Some) } else { Ok(None) }
    }

    fn begin_partition(&mut self, ctx: &ExecContext<'_>) -> Result<bool> {
        if !self.rows.next_partition(ctx)? || !self.rows.has(ctx, 0)? {
            return Ok(false);
        }
        let frames = match &mut self.frames {
            Some(frames) => frames,
            None => {
                let first_key = self.input.len();
                let frames = Frames::new(ctx, &self.frame, &self.order, first_key, self.uses_peers)?;
                self.frames.insert(frames)
            }
        };
        frames.begin_partition(self.rows.view(0)?);
        for call in &mut self.calls {
            if let Call::Aggregate(aggregate) = call {
                aggregate.begin_partition();
            }
        }
        self.row = Some(0);
        if let Some(run) = &mut self.run {
            run.rows = LEAST_RUN;
        }
        Ok(true)
    }

    /// Computes the results of `count` rows from `first` on, which stand in one block.
    fn compute(&mut self, ctx: &ExecContext<'_>, view: &View, first: usize, count: usize) -> Result<()> {
        let frames = self.frames.as_mut().expect("made when the partition began");
        for row in first..first + count {
            if row > 0 {
                frames.advance(view);
            }
            if self.uses_frames {
                frames.locate(ctx, &mut self.rows)?;
            }
            for (call, out) in self.calls.iter_mut().zip(&mut self.results) {
                match call {
                    Call::Function(function) => function.push_value(ctx, &mut self.rows, frames, out)?,
                    Call::Aggregate(aggregate) => aggregate.push_value(ctx, &self.rows, frames, out)?,
                }
            }
        }
        let needed = self.calls.iter().map(|call| match call {
            Call::Function(function) => function.keeps_from(frames),
            Call::Aggregate(aggregate) => aggregate.keeps_from(frames),
        });
        let needed = needed.min().unwrap_or(usize::MAX).min(frames.keeps_from());
        self.rows.trim(needed)
    }

    fn flush(&mut self) -> Option<Batch> {
        let rows = std::mem::take(&mut self.finished);
        let results = match &mut self.run {
            Some(run) => &mut run.kept,
            None => &mut self.results,
        };
        let columns = self.input.iter_mut().chain(results);
        (rows > 0).then(|| Batch::new(columns.map(|builder| Arc::new(builder.take())).collect(), rows))
    }

    /// Computes the results of some rows and keeps them as far as the run condition is true; passes over the rest of the
    /// partition when it no longer is.
    fn run_on(&mut self, ctx: &ExecContext<'_>, mut run: Run, view: &View, first: usize) -> Result<()> {
        let count = (view.end - first).min(ctx.batch_rows() - self.finished).min(run.rows);
        run.rows = run.rows.saturating_mul(2);
        self.compute(ctx, view, first, count)?;
        let batch = self.large_batch(view, first, count);
        let kept = ctx.filter(&run.condition, batch.clone())?.map_or(0, |batch| batch.active_rows());
        for (builder, column) in self.input.iter_mut().chain(&mut run.kept).zip(&batch.columns) {
            builder.extend_from(column, 0..kept);
        }
        self.finished += kept;
        self.row = Some(first + count);
        if kept < count {
            self.row = None;
            match run.is_single {
                true => self.ended = true,
                false => self.rows.skip_partition(ctx)?,
            }
        }
        self.run = Some(run);
        Ok(())
    }

    /// A whole batch of rows that stand in one block: their input columns need not be copied.
    fn large_batch(&mut self, view: &View, first: usize, count: usize) -> Batch {
        let at = view.position(first);
        let whole = count == view.batch_rows;
        let mut columns: Vec<_> = view.columns[..self.input.len()]
            .iter()
            .map(|column| if whole { Arc::clone(column) } else { Arc::new(column.slice(at, count)) })
            .collect();
        columns.extend(self.results.iter_mut().map(|builder| Arc::new(builder.take())));
        Batch::new(columns, count)
    }
}

impl Operator for Window {
    fn next(&mut self, ctx: &ExecContext<'_>) -> Result<Option<Batch>> {
        while !self.ended {
            let Some(first) = self.row else {
                self.ended = !self.begin_partition(ctx)?;
                continue;
            };
            let Some(view) = self.next_rows(ctx, first)? else {
                self.row = None;
                continue;
            };
            if let Some(run) = self.run.take() {
                self.run_on(ctx, run, &view, first)?;
                if self.finished == ctx.batch_rows() {
                    return Ok(self.flush());
                }
                continue;
            }
            let large = view.end - first >= ctx.batch_rows() / 2;
            if large && let Some(batch) = self.flush() {
                return Ok(Some(batch));
            }
            let count = (view.end - first).min(ctx.batch_rows() - self.finished);
            self.compute(ctx, &view, first, count)?;
            self.row = Some(first + count);
            if large {
                return Ok(Some(self.large_batch(&view, first, count)));
            }
            let at = view.position(first);
            for (builder, column) in self.input.iter_mut().zip(view.columns.iter()) {
                builder.extend_from(column, at..at + count);
            }
            self.finished += count;
            if self.finished == ctx.batch_rows() {
                return Ok(self.flush());
            }
        }
        Ok(self.flush())
    }

    fn report(&self, report: &mut NodeReport) {
        report.storage = Some(self.rows.report());
    }

    fn rescan(&mut self, ctx: &ExecContext<'_>) -> Result<()> {
        let kept = self.run.iter_mut().flat_map(|run| &mut run.kept);
        for builder in self.input.iter_mut().chain(&mut self.results).chain(kept) {
            drop(builder.take());
        }
        self.finished = 0;
        self.row = None;
        self.frames = None;
        self.ended = false;
        self.rows.rescan(ctx)
    }
}

/// What is evaluated of a call for each row.
fn call_inputs(call: &WindowCall) -> Box<dyn Iterator<Item = &Expr> + '_> {
    match call {
        WindowCall::Function { args, .. } => Box::new(args.iter()),
        WindowCall::Aggregate(call) => Box::new(call.args.iter().chain(&call.filter)),
    }
}
