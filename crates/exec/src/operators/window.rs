//! Window functions and aggregates over frames.
//!
//! # How
//! The input comes sorted by the partition's keys and then by the window's order. Rows of a partition are gathered as
//! columns, with the values of the order keys and of all arguments; then each call is computed for the whole partition.
//!
//! An aggregate whose frame begins at the partition's start takes each row once and is asked for its value as the frame
//! grows; other frames are aggregated anew for each row.
//!
//! # Not done
//! A partition stands in memory. RANGE with an offset knows numbers, dates and timestamps.

mod frame;
mod functions;

use std::sync::Arc;

use ochre_base::{Error, Result};
use ochre_expr::{AggregateState, Expr, Groups};
use ochre_sql::physical::{AggregateCall, SortKey, WindowCall, WindowFrame};
use ochre_types::{
    Batch, Column, ColumnBuilder, Datum, PhysicalType, Selection, SqlType, ValueOrder, compare,
};

use crate::columns::{builders, take_batch};
use crate::{BoxOperator, ExecContext, Operator};
use frame::{Frames, Peers};

/// Rows of an aggregate's argument columns that are handed over at a time.
const CHUNK_ROWS: usize = ochre_base::limits::BATCH_ROWS;

/// What a [`Window`] needs to know.
pub struct WindowSpec {
    pub partition: Vec<Expr>,
    pub order: Vec<SortKey>,
    pub frame: WindowFrame,
    pub calls: Vec<WindowCall>,
    pub input_types: Vec<PhysicalType>,
}

/// Adds a column for each call to the columns of its input.
pub struct Window {
    spec: WindowSpec,
    input: BoxOperator,
    /// The input's columns, the order keys, then the arguments of each call (an aggregate's filter last).
    gathered: Vec<ColumnBuilder>,
    gathered_rows: usize,
    /// The partition's keys, from its first row.
    keys: Option<Vec<Arc<Column>>>,
    batch: Option<InputBatch>,
    /// Finished rows.
    output: Vec<ColumnBuilder>,
    output_rows: usize,
    /// A finished partition that is larger than a batch: its columns, its rows, the next of them.
    large: Option<(Vec<Arc<Column>>, usize, usize)>,
    ended: bool,
}

/// The input batch that is being gathered.
struct InputBatch {
    /// What is gathered of it.
    columns: Vec<Arc<Column>>,
    /// The partition's keys.
    keys: Vec<Arc<Column>>,
    /// Its active rows, and the next of them.
    rows: Vec<u16>,
    next: usize,
}

/// A partition's rows.
struct Partition {
    columns: Vec<Arc<Column>>,
    rows: usize,
}

impl Window {
    /// Computes window functions over `input`.
    ///
    /// # Errors
    /// 0A000 for functions that are not implemented.
    pub fn new(input: BoxOperator, spec: WindowSpec) -> Result<Window> {
        let mut types = spec.input_types.clone();
        types.extend(spec.order.iter().map(|key| key.expr.ty().physical));
        let mut output = spec.input_types.clone();
        for call in &spec.calls {
            types.extend(call_inputs(call).map(|expr| expr.ty().physical));
            output.push(match call {
                WindowCall::Function { function, ty, .. } => {
                    functions::check(function)?;
                    ty.physical
                }
                WindowCall::Aggregate(call) => {
                    create(call)?;
                    call.ty.physical
                }
            });
        }
        Ok(Window {
            gathered: builders(&types, 0),
            output: builders(&output, 0),
            spec,
            input,
            gathered_rows: 0,
            keys: None,
            batch: None,
            output_rows: 0,
            large: None,
            ended: false,
        })
    }

    /// Gathers the rows of one partition; false when there are none left.
    fn gather(&mut self, ctx: &ExecContext<'_>) -> Result<bool> {
        let orders: Vec<ValueOrder> = self.spec.partition.iter().map(|key| key.ty().order()).collect();
        loop {
            let Some(InputBatch { columns, keys, rows, next }) = &mut self.batch else {
                ctx.check_interrupts()?;
                let Some(batch) = self.input.next(ctx)? else { return Ok(self.gathered_rows > 0) };
                let keys = ctx.eval_all(&self.spec.partition, &batch)?;
                let mut columns = batch.columns.clone();
                columns.extend(ctx.eval_all(self.spec.order.iter().map(|key| &key.expr), &batch)?);
                for call in &self.spec.calls {
                    columns.extend(ctx.eval_all(call_inputs(call), &batch)?);
                }
                let rows = batch.active().map(|row| row as u16).collect();
                self.batch = Some(InputBatch { columns, keys, rows, next: 0 });
                continue;
            };
            while let Some(row) = rows.get(*next) {
                let row = *row as usize;
                let same = self.keys.as_ref().is_none_or(|first| {
                    let mut pairs = keys.iter().zip(first).zip(&orders);
                    pairs.all(|((a, b), order)| compare::equal_rows(a, row, b, 0, *order))
                });
                if !same {
                    self.keys = None;
                    return Ok(true);
                }
                if self.keys.is_none() {
                    self.keys = Some(keys.iter().map(|column| Arc::new(column.slice(row, 1))).collect());
                }
                for (builder, column) in self.gathered.iter_mut().zip(columns.iter()) {
                    builder.push_from(column, row);
                }
                self.gathered_rows += 1;
                *next += 1;
            }
            self.batch = None;
        }
    }

    /// Computes all calls for the gathered partition.
    fn compute(&mut self, ctx: &ExecContext<'_>) -> Result<(Vec<Arc<Column>>, usize)> {
        let rows = std::mem::take(&mut self.gathered_rows);
        let columns: Vec<Arc<Column>> =
            self.gathered.iter_mut().map(|builder| Arc::new(builder.take())).collect();
        let width = self.spec.input_types.len();
        let order = &columns[width..width + self.spec.order.len()];
        let peers = Peers::new(order, &self.spec.order, rows);
        let frames = Frames::new(ctx, &self.spec.frame, order, &self.spec.order, &peers)?;
        let mut result: Vec<Arc<Column>> = columns[..width].to_vec();
        let mut next = width + self.spec.order.len();
        for call in &self.spec.calls {
            let count = call_inputs(call).count();
            let partition = Partition { columns: columns[next..next + count].to_vec(), rows };
            next += count;
            let column = match call {
                WindowCall::Function { function, ty, .. } => {
                    functions::compute(function, *ty, &partition.columns, &peers, &frames)?
                }
                WindowCall::Aggregate(call) => aggregate(ctx, call, &partition, &frames)?,
            };
            result.push(Arc::new(column));
        }
        Ok((result, rows))
    }

    fn flush(&mut self) -> Option<Batch> {
        match std::mem::take(&mut self.output_rows) {
            0 => None,
            rows => Some(take_batch(&mut self.output, rows)),
        }
    }
}

impl Operator for Window {
    fn next(&mut self, ctx: &ExecContext<'_>) -> Result<Option<Batch>> {
        loop {
            if let Some((columns, rows, next)) = &mut self.large {
                let count = ctx.batch_rows().min(*rows - *next);
                let slice = columns.iter().map(|column| Arc::new(column.slice(*next, count))).collect();
                *next += count;
                if *next == *rows {
                    self.large = None;
                }
                return Ok(Some(Batch::new(slice, count)));
            }
            if self.ended || !self.gather(ctx)? {
                self.ended = true;
                return Ok(self.flush());
            }
            let (columns, rows) = self.compute(ctx)?;
            if rows > ctx.batch_rows() / 2 {
                self.large = Some((columns, rows, 0));
                if let Some(batch) = self.flush() {
                    return Ok(Some(batch));
                }
                continue;
            }
            let full = if self.output_rows + rows > ctx.batch_rows() { self.flush() } else { None };
            self.output.iter_mut().zip(&columns).for_each(|(builder, column)| builder.append(column));
            self.output_rows += rows;
            if full.is_some() {
                return Ok(full);
            }
        }
    }

    fn rescan(&mut self, ctx: &ExecContext<'_>) -> Result<()> {
        for builder in self.gathered.iter_mut().chain(&mut self.output) {
            drop(builder.take());
        }
        (self.gathered_rows, self.output_rows) = (0, 0);
        self.keys = None;
        self.batch = None;
        self.large = None;
        self.ended = false;
        self.input.rescan(ctx)
    }
}

/// What is evaluated of a call for each row.
fn call_inputs(call: &WindowCall) -> Box<dyn Iterator<Item = &Expr> + '_> {
    match call {
        WindowCall::Function { args, .. } => Box::new(args.iter()),
        WindowCall::Aggregate(call) => Box::new(call.args.iter().chain(&call.filter)),
    }
}

fn create(call: &AggregateCall) -> Result<Box<dyn AggregateState>> {
    if call.distinct || !call.order_by.is_empty() {
        return Err(Error::unsupported("DISTINCT or ORDER BY in an aggregate over a window"));
    }
    let types: Vec<SqlType> = call.args.iter().map(Expr::ty).collect();
    call.function.create(&types, call.ty)
}

/// An aggregate over each row's frame.
fn aggregate(
    ctx: &ExecContext<'_>,
    call: &AggregateCall,
    partition: &Partition,
    frames: &Frames,
) -> Result<Column> {
    let mut state = create(call)?;
    state.grow(1);
    let mut result = ColumnBuilder::new(call.ty.physical, partition.rows);
    let growing = frames.only_grow();
    let mut taken = 0;
    let mut last: Option<([(usize, usize); 3], Datum)> = None;
    for row in 0..partition.rows {
        if row % 1024 == 0 {
            ctx.check_interrupts()?;
        }
        let ranges = frames.ranges(row);
        if let Some((known, value)) = &last
            && *known == ranges
        {
            result.push(value);
            continue;
        }
        if growing {
            let end = ranges[0].1.max(taken);
            add(ctx, call, partition, state.as_mut(), taken, end)?;
            taken = end;
        } else {
            state.reset(0);
            for (start, end) in ranges {
                add(ctx, call, partition, state.as_mut(), start, end)?;
            }
        }
        let value = ctx.with_eval(|eval| state.value(0, eval))?;
        result.push(&value);
        last = Some((ranges, value));
    }
    Ok(result.finish())
}

/// Adds the rows `start..end` of a partition to an aggregate.
fn add(
    ctx: &ExecContext<'_>,
    call: &AggregateCall,
    partition: &Partition,
    state: &mut dyn AggregateState,
    start: usize,
    end: usize,
) -> Result<()> {
    let mut at = start;
    while at < end {
        let rows = (end - at).min(CHUNK_ROWS);
        let args: Vec<Arc<Column>> = partition.columns[..call.args.len()]
            .iter()
            .map(|column| Arc::new(column.slice(at, rows)))
            .collect();
        let selection = match call.filter {
            None => None,
            Some(_) => {
                let filter = &partition.columns[call.args.len()];
                let holds = |row: &u16| filter.datum(at + *row as usize) == Datum::Bool(true);
                Some(Selection::new((0..rows as u16).filter(holds).collect::<Vec<u16>>()))
            }
        };
        ctx.with_eval(|eval| state.update(Groups::One(0), &args, rows, selection.as_ref(), eval))?;
        at += rows;
    }
    Ok(())
}
