//! Recursive union: WITH RECURSIVE.
//!
//! The initial term's rows are output and become the work table; then the recursive term runs over the work table, and
//! its rows (those that are new, for UNION) are output and become the next work table, until a round finds nothing.
//! What a UNION has seen, and the work tables, go to temporary files beyond the memory budget.

use std::sync::Arc;

use ochre_base::Result;
use ochre_sql::explain::{NodeReport, StorageReport};
use ochre_types::{Batch, PhysicalType, Selection, SqlType};

use crate::key_set::{Key, KeySet};
use crate::keys::{BatchKeys, KeyLayout};
use crate::row_store::RowStore;
use crate::{BoxOperator, ExecContext, Operator};

/// A query that refers to its own rows.
pub struct RecursiveUnion {
    initial: BoxOperator,
    recursive: BoxOperator,
    work_table: usize,
    types: Arc<[PhysicalType]>,
    /// For UNION: the rows that came before.
    seen: Option<(KeyLayout, Option<KeySet>)>,
    /// Rows of the round that runs.
    found: Option<RowStore>,
    /// The most that a round found.
    storage: StorageReport,
    round: Round,
    recursive_started: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Round {
    Initial,
    Recursive,
    Ended,
}

impl RecursiveUnion {
    /// `initial`, then `recursive` until it finds nothing (new, when `distinct`).
    pub fn new(
        initial: BoxOperator,
        recursive: BoxOperator,
        work_table: usize,
        distinct: bool,
        types: &[SqlType],
    ) -> RecursiveUnion {
        let seen = distinct.then(|| (KeyLayout::new(types.iter().copied()).into_bytes(), None));
        RecursiveUnion {
            initial,
            recursive,
            work_table,
            types: types.iter().map(|ty| ty.physical).collect(),
            seen,
            found: None,
            storage: StorageReport::default(),
            round: Round::Initial,
            recursive_started: false,
        }
    }

    /// Rows that did not come before.
    fn fresh(&mut self, ctx: &ExecContext<'_>, batch: Batch) -> Result<Option<Batch>> {
        let Some((layout, seen)) = &mut self.seen else { return Ok(Some(batch)) };
        let seen = seen.get_or_insert_with(|| KeySet::new(false, ctx.temp(), ctx.hash_mem_bytes()));
        let mut keys = BatchKeys::default();
        layout.encode(&batch.columns, batch.rows, batch.active(), &mut keys)?;
        let mut rows: Vec<u16> = Vec::new();
        for row in batch.active() {
            if seen.insert(Key::Bytes(keys.bytes(row)))? {
                rows.push(row as u16);
            }
        }
        Ok((!rows.is_empty()).then(|| batch.with_selection(Selection::new(rows))))
    }

    /// Makes what the round found the work table of the next one.
    fn next_round(&mut self, ctx: &ExecContext<'_>) -> Result<()> {
        match self.found.take().filter(|found| !found.is_empty()) {
            None => self.round = Round::Ended,
            Some(found) => {
                ctx.run.work_table(self.work_table).borrow_mut().replace(Some(Arc::new(found)));
                self.round = Round::Recursive;
                if std::mem::replace(&mut self.recursive_started, true) {
                    self.recursive.rescan(ctx)?;
                }
            }
        }
        Ok(())
    }
}

impl Operator for RecursiveUnion {
    fn next(&mut self, ctx: &ExecContext<'_>) -> Result<Option<Batch>> {
        loop {
            let batch = match self.round {
                Round::Initial => self.initial.next(ctx)?,
                Round::Recursive => self.recursive.next(ctx)?,
                Round::Ended => return Ok(None),
            };
            ctx.check_interrupts()?;
            let Some(batch) = batch else {
                self.next_round(ctx)?;
                continue;
            };
            if let Some(batch) = self.fresh(ctx, batch)? {
                let batch = batch.compact();
                if self.found.is_none() {
                    let store = RowStore::new(Arc::clone(&self.types), ctx.temp(), ctx.work_mem_bytes());
                    self.found = Some(store);
                }
                let found = self.found.as_mut().expect("made above");
                found.append(batch.clone())?;
                let report = found.report();
                if report.bytes > self.storage.bytes {
                    self.storage = report;
                }
                return Ok(Some(batch));
            }
        }
    }

    fn report(&self, report: &mut NodeReport) {
        report.storage = Some(self.storage);
    }

    fn rescan(&mut self, ctx: &ExecContext<'_>) -> Result<()> {
        self.round = Round::Initial;
        self.found = None;
        if let Some((_, seen)) = &mut self.seen {
            *seen = None;
        }
        ctx.run.work_table(self.work_table).borrow_mut().replace(None);
        self.initial.rescan(ctx)?;
        if std::mem::take(&mut self.recursive_started) {
            self.recursive.rescan(ctx)?;
        }
        Ok(())
    }
}
