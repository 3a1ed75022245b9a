//! Nested loop: runs its inner side for each outer row.
//!
//! # How
//! Rows of the outer side are taken one by one. When the inner side depends on them, their values go to slots of the
//! frame and the inner side is rescanned, typically an index lookup; otherwise it is rewound, typically a Materialize.
//! A column's slot is one for all loops of a frame that read it, so a loop that goes on with a row writes its slots again.
//! Each inner batch is joined with the outer row as constant columns, so the condition runs over the whole batch.
//! Small results of many outer rows are gathered into full batches before they go up.

use std::sync::Arc;

use ochre_base::Result;
use ochre_expr::Expr;
use ochre_sql::explain::NodeReport;
use ochre_sql::physical::{JoinType, SlotAssignment};
use ochre_types::{Batch, Column, ColumnBuilder, PhysicalType};

use crate::columns::{FIRST_BATCH_ROWS, append_active, builders, larger_batch, null_columns, take_batch};
use crate::{BoxOperator, Check, ExecContext, Operator, Readiness};

/// Results this large go up as they are; smaller ones are gathered.
const LARGE_BATCH: usize = 256;

/// Inner, left, semi, anti and mark joins.
pub struct NestedLoop {
    join: JoinType,
    outer: BoxOperator,
    inner: BoxOperator,
    parameters: Vec<SlotAssignment>,
    condition: Option<Expr>,
    filter: Option<Expr>,
    inner_unique: bool,
    inner_types: Vec<PhysicalType>,
    /// Rows that wait until there are enough of them.
    gathered: Vec<ColumnBuilder>,
    gathered_rows: usize,
    /// How many are enough: few at first, as a limit above may want no more.
    enough: usize,
    current: Option<OuterRow>,
    outer_batch: Option<(Batch, Vec<u16>, usize)>,
    inner_started: bool,
    ended: bool,
    /// Pairs that the condition left out, and joined rows that the filter left out.
    removed: (u64, u64),
}

/// The outer row that is being joined.
struct OuterRow {
    columns: Vec<Arc<Column>>,
    row: usize,
    matched: bool,
    /// Whether the condition was unknown for some inner row.
    unknown: bool,
}

/// What a [`NestedLoop`] needs to know.
pub struct NestedLoopSpec {
    pub join: JoinType,
    pub parameters: Vec<SlotAssignment>,
    pub condition: Option<Expr>,
    pub filter: Option<Expr>,
    pub inner_unique: bool,
    pub inner_types: Vec<PhysicalType>,
    pub output_types: Vec<PhysicalType>,
}

impl NestedLoop {
    /// Joins two inputs.
    pub fn new(outer: BoxOperator, inner: BoxOperator, spec: NestedLoopSpec) -> NestedLoop {
        NestedLoop {
            join: spec.join,
            outer,
            inner,
            parameters: spec.parameters,
            condition: spec.condition,
            filter: spec.filter,
            inner_unique: spec.inner_unique,
            inner_types: spec.inner_types,
            gathered: builders(&spec.output_types, 0),
            gathered_rows: 0,
            enough: FIRST_BATCH_ROWS,
            current: None,
            outer_batch: None,
            inner_started: false,
            ended: false,
            removed: (0, 0),
        }
    }

    /// Moves to the next outer row and starts the inner side for it; false at the end of the outer side.
    fn next_outer(&mut self, ctx: &ExecContext<'_>) -> Result<bool> {
        loop {
            if let Some((batch, active, next)) = &mut self.outer_batch
                && let Some(row) = active.get(*next)
            {
                let row = *row as usize;
                *next += 1;
                let columns = batch.columns.clone();
                self.start_inner(ctx, &columns, row)?;
                self.current = Some(OuterRow { columns, row, matched: false, unknown: false });
                return Ok(true);
            }
            match self.outer.next(ctx)? {
                None => return Ok(false),
                Some(batch) => {
                    let active = batch.active().map(|row| row as u16).collect();
                    self.outer_batch = Some((batch, active, 0));
                }
            }
        }
    }

    /// Tells the inner side what it reads of an outer row.
    fn write_slots(&self, ctx: &ExecContext<'_>, columns: &[Arc<Column>], row: usize) -> Result<()> {
        for parameter in &self.parameters {
            let value = match &parameter.value {
                Expr::Column { index, .. } => columns[*index].datum(row),
                expr => {
                    let one = columns.iter().map(|column| Arc::new(column.slice(row, 1))).collect();
                    ctx.eval(expr, &Batch::new(one, 1))?.datum(0)
                }
            };
            ctx.frame.set(parameter.slot, value);
        }
        Ok(())
    }

    fn start_inner(&mut self, ctx: &ExecContext<'_>, columns: &[Arc<Column>], row: usize) -> Result<()> {
        self.write_slots(ctx, columns, row)?;
        if !std::mem::replace(&mut self.inner_started, true) {
            return Ok(());
        }
        if self.parameters.is_empty() { self.inner.rewind(ctx) } else { self.inner.rescan(ctx) }
    }

    /// Adds rows to those gathered.
    fn gather(&mut self, batch: &Batch) {
        for (i, builder) in self.gathered.iter_mut().enumerate() {
            append_active(builder, batch, i);
        }
        self.gathered_rows += batch.active_rows();
    }

    fn take_gathered(&mut self) -> Option<Batch> {
        match std::mem::take(&mut self.gathered_rows) {
            0 => None,
            rows => Some(take_batch(&mut self.gathered, rows)),
        }
    }

    /// Joins one inner batch with the current row; the rows to output, if any, and whether the outer row is done.
    fn join_batch(&mut self, ctx: &ExecContext<'_>, inner: Batch) -> Result<(Option<Batch>, bool)> {
        let current = self.current.as_mut().expect("called with a current outer row");
        let mut columns = constant_row(&current.columns, current.row, inner.rows);
        let outer_width = columns.len();
        columns.extend(inner.columns);
        let mut joined = Batch { columns, rows: inner.rows, selection: inner.selection };
        if let Some(condition) = &self.condition {
            if self.join == JoinType::Mark {
                let verdict = ctx.eval(condition, &joined)?;
                let bools = verdict.as_bools();
                for row in joined.active() {
                    if verdict.is_null(row) {
                        current.unknown = true;
                    } else if bools.is_some_and(|bools| bools[row * verdict.stride()]) {
                        current.matched = true;
                        break;
                    }
                }
                return Ok((None, current.matched));
            }
            let rows = joined.active_rows() as u64;
            let kept = ctx.filter(condition, joined)?;
            self.removed.0 += rows - kept.as_ref().map_or(0, Batch::active_rows) as u64;
            match kept {
                Some(batch) => joined = batch,
                None => return Ok((None, false)),
            }
        }
        current.matched = true;
        match self.join {
            JoinType::Inner | JoinType::Left => {
                let rows = joined.active_rows() as u64;
                let joined = ctx.filter_if(self.filter.as_ref(), joined)?;
                self.removed.1 += rows - joined.as_ref().map_or(0, Batch::active_rows) as u64;
                Ok((joined, self.inner_unique))
            }
            _ => {
                debug_assert!(outer_width <= joined.columns.len());
                Ok((None, true))
            }
        }
    }

    /// What the current row gives when its inner side has ended (or was cut short).
    fn finish_row(&mut self, ctx: &ExecContext<'_>) -> Result<Option<Batch>> {
        let current = self.current.take().expect("called with a current outer row");
        let row = || constant_row(&current.columns, current.row, 1);
        match self.join {
            JoinType::Left if !current.matched => {
                let mut columns = row();
                columns.extend(null_columns(&self.inner_types, 1));
                ctx.filter_if(self.filter.as_ref(), Batch::new(columns, 1))
            }
            JoinType::Semi if current.matched => Ok(Some(Batch::new(row(), 1))),
            JoinType::Anti if !current.matched => Ok(Some(Batch::new(row(), 1))),
            JoinType::Mark => {
                let mut columns = row();
                let mut mark = ColumnBuilder::new(PhysicalType::Bool, 1);
                match (current.matched, current.unknown) {
                    (true, _) => mark.push_bool(true),
                    (false, true) => mark.push_null(),
                    (false, false) => mark.push_bool(false),
                }
                columns.push(Arc::new(mark.finish()));
                Ok(Some(Batch::new(columns, 1)))
            }
            _ => Ok(None),
        }
    }
}

impl Operator for NestedLoop {
    fn next(&mut self, ctx: &ExecContext<'_>) -> Result<Option<Batch>> {
        // A loop above may read the same column: it has written the slot for rows of before.
        if let Some(current) = &self.current {
            self.write_slots(ctx, &current.columns, current.row)?;
        }
        while !self.ended {
            if self.current.is_none() && !self.next_outer(ctx)? {
                self.ended = true;
                break;
            }
            ctx.check_interrupts()?;
            let (output, done) = match self.inner.next(ctx)? {
                None => (None, true),
                Some(inner) => self.join_batch(ctx, inner)?,
            };
            for batch in output.into_iter().chain(if done { self.finish_row(ctx)? } else { None }) {
                if self.gathered_rows == 0 && batch.active_rows() >= LARGE_BATCH.min(ctx.batch_rows()) {
                    // Nothing precedes it, and only an inner or left join's batch is this large: it ends the row's
                    // output, because a matched row adds nothing at its end.
                    return Ok(Some(batch));
                }
                if self.gathered_rows + batch.active_rows() > ctx.batch_rows() {
                    let full = self.take_gathered();
                    self.gather(&batch);
                    if full.is_some() {
                        return Ok(full);
                    }
                } else {
                    self.gather(&batch);
                }
            }
            if self.gathered_rows >= self.enough.min(ctx.batch_rows()) {
                self.enough = larger_batch(self.enough);
                return Ok(self.take_gathered());
            }
        }
        Ok(self.take_gathered())
    }

    fn make_ready(&mut self, ctx: &ExecContext<'_>) -> Result<Readiness> {
        self.outer.make_ready(ctx)
    }

    fn take_part(&mut self, ctx: &ExecContext<'_>, check: Check<'_>) -> Result<()> {
        self.outer.take_part(ctx, check)
    }

    fn report(&self, report: &mut NodeReport) {
        (report.removed_by_join_filter, report.removed_by_filter) = self.removed;
    }

    fn rescan(&mut self, ctx: &ExecContext<'_>) -> Result<()> {
        self.current = None;
        self.outer_batch = None;
        self.ended = false;
        self.gathered_rows = 0;
        self.enough = FIRST_BATCH_ROWS;
        self.gathered.iter_mut().for_each(|builder| drop(builder.take()));
        self.outer.rescan(ctx)?;
        if self.parameters.is_empty() && std::mem::take(&mut self.inner_started) {
            self.inner.rescan(ctx)?;
        }
        Ok(())
    }
}

/// One row as constant columns of `rows` rows.
fn constant_row(columns: &[Arc<Column>], row: usize, rows: usize) -> Vec<Arc<Column>> {
    columns
        .iter()
        .map(|column| Arc::new(Column::constant(column.physical(), &column.datum(row), rows)))
        .collect()
}
