//! Project set: expressions over rows, some of which return sets.
//!
//! For each input row the functions run side by side until the longest has ended; shorter ones are padded with NULLs.

use ochre_base::{Error, Result};
use ochre_expr::{Expr, SetCursor, open_set};
use ochre_sql::physical::ProjectItem;
use ochre_types::{Batch, ColumnBuilder, Datum, PhysicalType, SqlType};

use crate::columns::{builders, take_batch};
use crate::{BoxOperator, ExecContext, Operator};

/// Set-returning functions in a select list.
pub struct ProjectSet {
    input: BoxOperator,
    items: Vec<ProjectItem>,
    types: Vec<PhysicalType>,
    /// The input batch, each item's evaluated expressions for it, its active rows and the next of them.
    batch: Option<InputBatch>,
    row: Option<RowSets>,
}

struct InputBatch {
    values: Vec<Vec<std::sync::Arc<ochre_types::Column>>>,
    active: Vec<u16>,
    next: usize,
}

/// The sets of one input row.
struct RowSets {
    row: usize,
    sets: Vec<Option<Set>>,
}

struct Set {
    cursor: Option<Box<dyn SetCursor>>,
    pending: Option<(Batch, usize)>,
}

impl ProjectSet {
    /// One column for each item over `input`.
    pub fn new(input: BoxOperator, items: Vec<ProjectItem>, types: Vec<PhysicalType>) -> ProjectSet {
        ProjectSet { input, items, types, batch: None, row: None }
    }

    /// Opens the sets of the next input row; false at the end of the input.
    fn next_row(&mut self, ctx: &ExecContext<'_>) -> Result<bool> {
        loop {
            if let Some(batch) = &mut self.batch
                && let Some(row) = batch.active.get(batch.next)
            {
                let row = *row as usize;
                batch.next += 1;
                let mut sets = Vec::with_capacity(self.items.len());
                for (item, values) in self.items.iter().zip(&batch.values) {
                    sets.push(match item {
                        ProjectItem::Scalar(_) => None,
                        ProjectItem::Set { function, args, ty } => {
                            let values: Vec<Datum> = values.iter().map(|column| column.datum(row)).collect();
                            let types: Vec<SqlType> = args.iter().map(Expr::ty).collect();
                            let cursor =
                                ctx.with_eval(|eval| open_set(function, &values, &types, *ty, eval))?;
                            Some(Set { cursor: Some(cursor), pending: None })
                        }
                    });
                }
                self.row = Some(RowSets { row, sets });
                return Ok(true);
            }
            let Some(batch) = self.input.next(ctx)? else { return Ok(false) };
            let mut values = Vec::with_capacity(self.items.len());
            for item in &self.items {
                values.push(match item {
                    ProjectItem::Scalar(expr) => vec![ctx.eval(expr, &batch)?],
                    ProjectItem::Set { args, .. } => ctx.eval_all(args, &batch)?,
                });
            }
            let active = batch.active().map(|row| row as u16).collect();
            self.batch = Some(InputBatch { values, active, next: 0 });
        }
    }

    /// Adds one output row of the current input row; false when its sets have ended.
    fn push_row(&mut self, ctx: &ExecContext<'_>, out: &mut [ColumnBuilder]) -> Result<bool> {
        let current = self.row.as_mut().expect("called with a current row");
        let mut any = false;
        for set in current.sets.iter_mut().flatten() {
            any |= set.fill(ctx)?;
        }
        if !any {
            return Ok(false);
        }
        let batch = self.batch.as_ref().expect("the current row is of a batch");
        for ((set, values), builder) in current.sets.iter_mut().zip(&batch.values).zip(out) {
            match set {
                None => builder.push_from(&values[0], current.row),
                Some(set) => set.take(builder)?,
            }
        }
        Ok(true)
    }
}

impl Set {
    fn fill(&mut self, ctx: &ExecContext<'_>) -> Result<bool> {
        loop {
            if let Some((batch, next)) = &self.pending
                && *next < batch.rows
            {
                return Ok(true);
            }
            let Some(cursor) = &mut self.cursor else { return Ok(false) };
            match ctx.with_eval(|eval| cursor.next_batch(ctx.batch_rows(), eval))? {
                Some(batch) => self.pending = Some((batch.compact(), 0)),
                None => {
                    self.cursor = None;
                    self.pending = None;
                    return Ok(false);
                }
            }
        }
    }

    fn take(&mut self, builder: &mut ColumnBuilder) -> Result<()> {
        let Some((batch, next)) = &mut self.pending else {
            builder.push_null();
            return Ok(());
        };
        let row = *next;
        *next += 1;
        if builder.physical() == PhysicalType::Record
            && batch.columns.first().is_none_or(|c| c.physical() != PhysicalType::Record)
        {
            builder.push_record(batch.row(row).into());
            return Ok(());
        }
        match batch.columns.as_slice() {
            [column] => builder.push_from(column, row),
            _ => return Err(Error::internal("a set of several columns where one was planned")),
        }
        Ok(())
    }
}

impl Operator for ProjectSet {
    fn next(&mut self, ctx: &ExecContext<'_>) -> Result<Option<Batch>> {
        ctx.check_interrupts()?;
        let mut out = builders(&self.types, 0);
        let mut rows = 0;
        while rows < ctx.batch_rows() {
            if self.row.is_none() && !self.next_row(ctx)? {
                break;
            }
            if self.push_row(ctx, &mut out)? {
                rows += 1;
            } else {
                self.row = None;
            }
        }
        Ok((rows > 0).then(|| take_batch(&mut out, rows)))
    }

    fn rescan(&mut self, ctx: &ExecContext<'_>) -> Result<()> {
        self.batch = None;
        self.row = None;
        self.input.rescan(ctx)
    }

    fn rewind(&mut self, ctx: &ExecContext<'_>) -> Result<()> {
        self.batch = None;
        self.row = None;
        self.input.rewind(ctx)
    }
}
