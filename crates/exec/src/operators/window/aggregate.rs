//! Aggregates over the frames of a partition's rows.
//!
//! A frame that begins where the last one did and ends no earlier adds its new rows to what is there; another one is
//! aggregated from its start.

use std::sync::Arc;

use ochre_base::{Error, Result};
use ochre_expr::{AggregateState, Expr, Groups};
use ochre_sql::physical::AggregateCall;
use ochre_types::{Column, ColumnBuilder, Datum, Selection, SqlType};

use super::frame::Frames;
use super::rows::{PartitionRows, Reader};
use crate::ExecContext;

/// An aggregate that goes along the rows of a partition.
pub struct RunningAggregate {
    call: AggregateCall,
    state: Box<dyn AggregateState>,
    /// The column of its first argument; a filter stands behind the arguments.
    first: usize,
    reader: Reader,
    /// The last frame and its value.
    last: Option<([(usize, usize); 3], Datum)>,
}

impl RunningAggregate {
    /// An aggregate whose arguments stand in the columns from `first` on.
    ///
    /// # Errors
    /// 0A000 for aggregates that are not implemented.
    pub fn new(call: &AggregateCall, first: usize) -> Result<RunningAggregate> {
        if call.distinct || !call.order_by.is_empty() {
            return Err(Error::unsupported("DISTINCT or ORDER BY in an aggregate over a window"));
        }
        let types: Vec<SqlType> = call.args.iter().map(Expr::ty).collect();
        let mut state = call.function.create(&types, call.ty)?;
        state.grow(1);
        Ok(RunningAggregate { call: call.clone(), state, first, reader: Reader::default(), last: None })
    }

    /// Forgets the last partition.
    pub fn begin_partition(&mut self) {
        if self.last.take().is_some() {
            self.state.reset(0);
        }
    }

    /// The first row that it may need for rows from the current one on.
    pub fn keeps_from(&self, frames: &Frames) -> usize {
        match &self.last {
            Some((ranges, _)) if frames.only_grow() => ranges[0].1,
            _ => frames.frame_start(),
        }
    }

    /// The value for the current row.
    pub fn push_value(
        &mut self,
        ctx: &ExecContext<'_>,
        rows: &PartitionRows,
        frames: &Frames,
        out: &mut ColumnBuilder,
    ) -> Result<()> {
        let ranges = frames.ranges();
        if let Some((last, value)) = &self.last
            && *last == ranges
        {
            out.push(value);
            return Ok(());
        }
        let is_empty = |range: &(usize, usize)| range.0 == range.1;
        let added_from = match &self.last {
            Some((last, _)) if last[0].0 == ranges[0].0 && last[0].1 <= ranges[0].1 => {
                let alone = last[1..].iter().chain(&ranges[1..]).all(is_empty);
                alone.then_some(last[0].1)
            }
            _ => None,
        };
        match added_from {
            Some(from) => self.add(ctx, rows, from, ranges[0].1)?,
            None => {
                if self.last.is_some() {
                    self.state.reset(0);
                }
                for (start, end) in ranges {
                    self.add(ctx, rows, start, end)?;
                }
            }
        }
        let value = ctx.with_eval(|eval| self.state.value(0, eval))?;
        out.push(&value);
        self.last = Some((ranges, value));
        Ok(())
    }

    /// Adds the rows `start..end` of the partition.
    fn add(&mut self, ctx: &ExecContext<'_>, rows: &PartitionRows, start: usize, end: usize) -> Result<()> {
        let mut at = start;
        while at < end {
            let view = self.reader.view(rows, at)?;
            let behind = end.min(view.end);
            let positions = view.position(at)..view.position(at) + (behind - at);
            let columns = &view.columns[self.first..];
            let args: Vec<Arc<Column>> = columns[..self.call.args.len()].to_vec();
            let selection = match self.call.filter {
                None if positions.len() == view.batch_rows => None,
                None => Some(Selection::new(positions.map(|row| row as u16).collect::<Vec<u16>>())),
                Some(_) => {
                    let filter = &columns[self.call.args.len()];
                    let holds = |row: &usize| filter.datum(*row) == Datum::Bool(true);
                    Some(Selection::new(positions.filter(holds).map(|row| row as u16).collect::<Vec<u16>>()))
                }
            };
            let batch_rows = view.batch_rows;
            ctx.with_eval(|eval| {
                self.state.update(Groups::One(0), &args, batch_rows, selection.as_ref(), eval)
            })?;
            at = behind;
            if at < end {
                ctx.check_interrupts()?;
            }
        }
        Ok(())
    }
}
