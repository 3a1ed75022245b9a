//! Unique: the first row of each run of equal keys.

use std::sync::Arc;

use ochre_base::Result;
use ochre_types::{Batch, Column, Selection, ValueOrder, compare};

use crate::{BoxOperator, ExecContext, Operator};

/// DISTINCT and DISTINCT ON over sorted input.
pub struct Unique {
    input: BoxOperator,
    keys: Vec<(usize, ValueOrder)>,
    /// The keys of the last row given, and its position in them.
    last: Option<(Vec<Arc<Column>>, usize)>,
}

impl Unique {
    /// The rows of `input` whose columns `keys` differ from the row before.
    pub fn new(input: BoxOperator, keys: Vec<(usize, ValueOrder)>) -> Unique {
        Unique { input, keys, last: None }
    }
}

impl Operator for Unique {
    fn next(&mut self, ctx: &ExecContext<'_>) -> Result<Option<Batch>> {
        while let Some(batch) = self.input.next(ctx)? {
            let columns: Vec<Arc<Column>> =
                self.keys.iter().map(|(index, _)| Arc::clone(&batch.columns[*index])).collect();
            let mut fresh: Vec<u16> = Vec::new();
            for row in batch.active() {
                let new = match &self.last {
                    None => true,
                    Some((last, position)) => !columns
                        .iter()
                        .zip(last)
                        .zip(&self.keys)
                        .all(|((a, b), (_, order))| compare::equal_rows(a, row, b, *position, *order)),
                };
                if new {
                    fresh.push(row as u16);
                    self.last = Some((columns.clone(), row));
                }
            }
            if !fresh.is_empty() {
                return Ok(Some(batch.with_selection(Selection::new(fresh))));
            }
        }
        Ok(None)
    }

    fn rescan(&mut self, ctx: &ExecContext<'_>) -> Result<()> {
        self.last = None;
        self.input.rescan(ctx)
    }

    fn rewind(&mut self, ctx: &ExecContext<'_>) -> Result<()> {
        self.last = None;
        self.input.rewind(ctx)
    }
}
