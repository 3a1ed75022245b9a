//! Merges sorted streams of batches into one.
//!
//! Each stream's batch in hand has its keys in byte form; the smallest of the streams' next keys says which row comes next.
//! There are few streams, so all are looked at. When one stream is left, its batches go up as they are.

use std::sync::Arc;

use ochre_base::Result;
use ochre_expr::Expr;
use ochre_sql::physical::SortKey;
use ochre_types::{Batch, ColumnBuilder, KeyOrder, key};

use crate::ExecContext;
use crate::columns::{FIRST_BATCH_ROWS, builders, larger_batch, take_batch};
use crate::operators::sort::key_orders;

/// Where the rows come from.
pub trait Streams {
    /// The next batch of a stream; `None` at its end.
    fn next(&mut self, stream: usize) -> Result<Option<Batch>>;
}

/// Rows of several streams in one order.
pub struct Merger {
    keys: Vec<Expr>,
    orders: Vec<KeyOrder>,
    heads: Vec<Head>,
    started: bool,
    builders: Vec<ColumnBuilder>,
    /// Rows of the next batch: few at first, as a limit above may want no more.
    batch_rows: usize,
}

/// A stream's batch in hand.
#[derive(Default)]
struct Head {
    batch: Option<Batch>,
    /// The rows' keys, one after the other, and where each ends.
    arena: Vec<u8>,
    ends: Vec<usize>,
    row: usize,
}

impl Head {
    /// The next row's key; `None` at the stream's end.
    fn key(&self) -> Option<&[u8]> {
        self.batch.as_ref()?;
        let start = if self.row == 0 { 0 } else { self.ends[self.row - 1] };
        Some(&self.arena[start..self.ends[self.row]])
    }
}

impl Merger {
    /// A merge of so many streams, each sorted by `keys`.
    pub fn new(keys: &[SortKey], streams: usize) -> Merger {
        Merger {
            keys: keys.iter().map(|key| key.expr.clone()).collect(),
            orders: key_orders(keys),
            heads: (0..streams).map(|_| Head::default()).collect(),
            started: false,
            builders: Vec::new(),
            batch_rows: FIRST_BATCH_ROWS,
        }
    }

    /// Forgets all rows.
    pub fn reset(&mut self) {
        self.started = false;
        self.batch_rows = FIRST_BATCH_ROWS;
        self.heads.iter_mut().for_each(|head| *head = Head::default());
        self.builders.clear();
    }

    /// The next rows; `None` at the end.
    ///
    /// # Errors
    /// Those of the streams and of the keys' expressions.
    pub fn next(&mut self, ctx: &ExecContext<'_>, streams: &mut dyn Streams) -> Result<Option<Batch>> {
        ctx.check_interrupts()?;
        if !std::mem::replace(&mut self.started, true) {
            for stream in 0..self.heads.len() {
                self.advance(ctx, streams, stream)?;
            }
        }
        let mut rows = 0;
        let target = self.batch_rows.min(ctx.batch_rows());
        self.batch_rows = larger_batch(self.batch_rows);
        while rows < target {
            let mut smallest: Option<(usize, &[u8])> = None;
            let mut open = 0;
            for (stream, head) in self.heads.iter().enumerate() {
                let Some(key) = head.key() else { continue };
                open += 1;
                if smallest.is_none_or(|(_, least)| key < least) {
                    smallest = Some((stream, key));
                }
            }
            let Some((stream, _)) = smallest else { break };
            if open == 1 && rows == 0 {
                return self.rest(ctx, streams, stream).map(Some);
            }
            let head = &mut self.heads[stream];
            let batch = head.batch.as_ref().expect("a stream with a key has a batch");
            if self.builders.is_empty() {
                let types: Vec<_> = batch.columns.iter().map(|column| column.physical()).collect();
                self.builders = builders(&types, 0);
            }
            for (builder, column) in self.builders.iter_mut().zip(&batch.columns) {
                builder.push_from(column, head.row);
            }
            head.row += 1;
            rows += 1;
            if head.row == batch.rows {
                self.advance(ctx, streams, stream)?;
            }
        }
        Ok((rows > 0).then(|| take_batch(&mut self.builders, rows)))
    }

    /// What is left of the batch in hand of the only stream that is left.
    fn rest(&mut self, ctx: &ExecContext<'_>, streams: &mut dyn Streams, stream: usize) -> Result<Batch> {
        let head = &mut self.heads[stream];
        let batch = head.batch.take().expect("a stream with a key has a batch");
        let (start, rows) = (head.row, batch.rows - head.row);
        let columns = batch.columns.iter().map(|column| Arc::new(column.slice(start, rows))).collect();
        self.advance(ctx, streams, stream)?;
        Ok(Batch::new(columns, rows))
    }

    /// Takes a stream's next batch.
    fn advance(&mut self, ctx: &ExecContext<'_>, streams: &mut dyn Streams, stream: usize) -> Result<()> {
        let head = &mut self.heads[stream];
        *head = Head {
            arena: std::mem::take(&mut head.arena),
            ends: std::mem::take(&mut head.ends),
            ..Head::default()
        };
        head.arena.clear();
        head.ends.clear();
        let Some(batch) = streams.next(stream)? else { return Ok(()) };
        let batch = batch.compact();
        let columns = ctx.eval_all(&self.keys, &batch)?;
        for row in 0..batch.rows {
            for (column, order) in columns.iter().zip(&self.orders) {
                key::encode_key_at(column, row, *order, &mut head.arena)?;
            }
            head.ends.push(head.arena.len());
        }
        head.batch = Some(batch);
        Ok(())
    }
}
