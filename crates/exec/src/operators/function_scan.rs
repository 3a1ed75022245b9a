//! Function scan: set-returning functions in FROM, one or several side by side.

use std::sync::Arc;

use ochre_base::{Error, Result};
use ochre_expr::{Expr, Function, Implementation, SetCursor, open_set};
use ochre_sql::explain::NodeReport;
use ochre_sql::physical::FunctionInScan;
use ochre_types::{Batch, Column, ColumnBuilder, Datum, PhysicalType, SqlType, oids};

use crate::columns::{builders, take_batch};
use crate::{ExecContext, Operator};

/// The rows of functions whose arguments read no columns.
pub struct FunctionScan {
    functions: Vec<FunctionInScan>,
    ordinality: bool,
    filter: Option<Expr>,
    types: Vec<SqlType>,
    sources: Option<Vec<Source>>,
    row_number: i64,
    removed: u64,
}

/// The rows of one function.
struct Source {
    cursor: Option<Box<dyn SetCursor>>,
    columns: usize,
    /// The first of its columns in the scan.
    first: usize,
    /// Its only column is a row, and the function's rows are around it.
    around: bool,
    pending: Option<(Batch, usize)>,
}

impl FunctionScan {
    /// The rows of `functions`; `types` are the scan's columns, the row number included.
    pub fn new(
        functions: Vec<FunctionInScan>,
        ordinality: bool,
        filter: Option<Expr>,
        types: Vec<SqlType>,
    ) -> FunctionScan {
        FunctionScan { functions, ordinality, filter, types, sources: None, row_number: 0, removed: 0 }
    }

    fn open(&self, ctx: &ExecContext<'_>) -> Result<Vec<Source>> {
        let mut sources = Vec::with_capacity(self.functions.len());
        let mut first = 0;
        for function in &self.functions {
            let source = match function {
                FunctionInScan::Set { function, args, result, columns } => {
                    let values: Vec<Datum> =
                        args.iter().map(|arg| ctx.eval_value(arg)).collect::<Result<_>>()?;
                    let types: Vec<SqlType> = args.iter().map(Expr::ty).collect();
                    let cursor = ctx.with_eval(|eval| open_set(function, &values, &types, *result, eval))?;
                    let around = is_around(function, *result, &self.types[first..first + columns]);
                    Source { cursor: Some(cursor), columns: *columns, first, around, pending: None }
                }
                FunctionInScan::Scalar { expr, columns } => {
                    let value = ctx.eval_value(expr)?;
                    let own = &self.types[first..first + columns];
                    let around = match expr {
                        Expr::Call { function, ty, .. } => is_around(function, *ty, own),
                        _ => false,
                    };
                    let batch = one_row(&value, own, around)?;
                    Source { cursor: None, columns: *columns, first, around, pending: Some((batch, 0)) }
                }
            };
            first += source.columns;
            sources.push(source);
        }
        Ok(sources)
    }
}

/// One row of a value, spread when it is a record for several columns, or known to be around the only one.
fn one_row(value: &Datum, types: &[SqlType], around: bool) -> Result<Batch> {
    let of_one = around || is_field_of_one(types);
    let values: Vec<Datum> = match (types.len(), value) {
        (1, value) if !(matches!(value, Datum::Record(_)) && of_one) => vec![value.clone()],
        (count, Datum::Null) => vec![Datum::Null; count],
        (count, Datum::Record(fields)) if fields.len() == count => fields.to_vec(),
        _ => {
            return Err(Error::internal(
                "a function gave another number of columns than it was planned with",
            ));
        }
    };
    let columns = types
        .iter()
        .zip(&values)
        .map(|(ty, value)| Arc::new(Column::from_datums(ty.physical, [value])))
        .collect();
    Ok(Batch::new(columns, 1))
}

/// Whether the only column is none of rows: a row given for it is one around it.
fn is_field_of_one(types: &[SqlType]) -> bool {
    types.len() == 1 && types[0].physical != PhysicalType::Record
}

/// Whether a function gives a row around its only column, which is a row itself. A routine may give the column.
fn is_around(function: &Function, result: SqlType, types: &[SqlType]) -> bool {
    types.len() == 1
        && types[0].physical == PhysicalType::Record
        && result.oid == oids::RECORD
        && !matches!(function.implementation, Implementation::Routine)
}

impl Source {
    /// Makes sure that there are rows to take; false at the end.
    fn fill(&mut self, ctx: &ExecContext<'_>, types: &[SqlType]) -> Result<bool> {
        loop {
            if let Some((batch, next)) = &self.pending
                && *next < batch.rows
            {
                return Ok(true);
            }
            let Some(cursor) = &mut self.cursor else { return Ok(false) };
            match ctx.with_eval(|eval| cursor.next_batch(ctx.batch_rows(), eval))? {
                None => {
                    self.cursor = None;
                    self.pending = None;
                    return Ok(false);
                }
                Some(batch) => {
                    let batch = self.spread(batch.compact(), types)?;
                    self.pending = Some((batch, 0));
                }
            }
        }
    }

    /// A function planned with several columns may give one record a row.
    fn spread(&self, batch: Batch, types: &[SqlType]) -> Result<Batch> {
        let own = &types[self.first..self.first + self.columns];
        let gives_rows = |column: &Arc<Column>| column.physical() == PhysicalType::Record;
        let of_one = (self.around || is_field_of_one(own)) && batch.columns.first().is_some_and(gives_rows);
        if batch.columns.len() == self.columns && !of_one {
            return Ok(batch);
        }
        let physical: Vec<PhysicalType> = own.iter().map(|ty| ty.physical).collect();
        let mut out = builders(&physical, batch.rows);
        for row in 0..batch.rows {
            let value = batch.columns.first().map_or(Datum::Null, |column| column.datum(row));
            let one = one_row(&value, own, self.around)?;
            out.iter_mut().zip(&one.columns).for_each(|(builder, column)| builder.push_from(column, 0));
        }
        Ok(take_batch(&mut out, batch.rows))
    }

    fn available(&self) -> usize {
        self.pending.as_ref().map_or(0, |(batch, next)| batch.rows - next)
    }

    /// Appends `rows` rows to the scan's columns, NULLs behind the function's end.
    fn take(&mut self, rows: usize, out: &mut [ColumnBuilder]) {
        let out = &mut out[self.first..self.first + self.columns];
        let have = self.available().min(rows);
        if let Some((batch, next)) = &mut self.pending {
            for (builder, column) in out.iter_mut().zip(&batch.columns) {
                builder.append(&column.slice(*next, have));
            }
            *next += have;
        }
        for builder in out {
            (have..rows).for_each(|_| builder.push_null());
        }
    }
}

impl Operator for FunctionScan {
    fn next(&mut self, ctx: &ExecContext<'_>) -> Result<Option<Batch>> {
        loop {
            ctx.check_interrupts()?;
            let mut sources = match self.sources.take() {
                Some(sources) => sources,
                None => {
                    self.row_number = 0;
                    self.open(ctx)?
                }
            };
            let mut rows = usize::MAX;
            for source in &mut sources {
                if source.fill(ctx, &self.types)? {
                    // The shortest run of rows at hand; functions that have ended do not count.
                    rows = rows.min(source.available());
                }
            }
            if rows == usize::MAX {
                self.sources = Some(sources);
                return Ok(None);
            }
            let rows = rows.min(ctx.batch_rows());
            let physical: Vec<PhysicalType> = self.types.iter().map(|ty| ty.physical).collect();
            let mut out = builders(&physical, rows);
            for source in &mut sources {
                source.take(rows, &mut out);
            }
            self.sources = Some(sources);
            if self.ordinality {
                let numbers = out.last_mut().expect("the row number is a column");
                (0..rows).for_each(|i| numbers.push_i64(self.row_number + 1 + i as i64));
                self.row_number += rows as i64;
            }
            let kept = ctx.filter_if(self.filter.as_ref(), take_batch(&mut out, rows))?;
            self.removed += (rows - kept.as_ref().map_or(0, Batch::active_rows)) as u64;
            if kept.is_some() {
                return Ok(kept);
            }
        }
    }

    fn report(&self, report: &mut NodeReport) {
        report.removed_by_filter = self.removed;
    }

    fn rescan(&mut self, _ctx: &ExecContext<'_>) -> Result<()> {
        self.sources = None;
        Ok(())
    }
}
