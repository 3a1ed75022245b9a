//! Limit: LIMIT, OFFSET and WITH TIES.

use std::cmp::Ordering;

use ochre_base::{Error, Result, SqlState};
use ochre_expr::Expr;
use ochre_sql::physical::SortKey;
use ochre_types::{Batch, Datum, Selection, ValueOrder, compare};

use crate::{BoxOperator, ExecContext, Operator};

/// Cuts its input before the offset and behind the limit.
pub struct Limit {
    input: BoxOperator,
    limit: Option<Expr>,
    offset: Option<Expr>,
    ties: Option<Vec<SortKey>>,
    state: State,
}

enum State {
    /// The expressions have not been evaluated.
    New,
    /// So many rows to leave out, then so many to give.
    Running {
        skip: u64,
        remaining: Option<u64>,
    },
    /// The limit is reached; rows equal to the last one, whose keys these are, still count.
    Ties(Vec<Datum>),
    Ended,
}

impl Limit {
    /// At most `limit` rows of `input` after `offset` others, and with `ties` those equal to the last one.
    pub fn new(
        input: BoxOperator,
        limit: Option<Expr>,
        offset: Option<Expr>,
        ties: Option<Vec<SortKey>>,
    ) -> Limit {
        Limit { input, limit, offset, ties, state: State::New }
    }

    fn start(&self, ctx: &ExecContext<'_>) -> Result<State> {
        let skip = match count(ctx, self.offset.as_ref())? {
            Some(count) => u64::try_from(count).map_err(|_| negative_offset())?,
            None => 0,
        };
        let remaining = match count(ctx, self.limit.as_ref())? {
            Some(count) => Some(u64::try_from(count).map_err(|_| negative_limit())?),
            None => None,
        };
        Ok(State::Running { skip, remaining })
    }

    /// The keys of one row.
    fn tie_keys(&self, ctx: &ExecContext<'_>, batch: &Batch, row: usize) -> Result<Vec<Datum>> {
        let keys = self.ties.as_deref().unwrap_or_default();
        keys.iter().map(|key| Ok(ctx.eval(&key.expr, batch)?.datum(row))).collect()
    }

    /// The rows of a batch from its start on that equal the last row of the limit; whether all did.
    fn take_ties(
        &self,
        ctx: &ExecContext<'_>,
        batch: &Batch,
        active: &[u16],
        last: &[Datum],
    ) -> Result<(Vec<u16>, bool)> {
        let keys = self.ties.as_deref().unwrap_or_default();
        let mut columns = Vec::with_capacity(keys.len());
        for key in keys {
            columns.push((ctx.eval(&key.expr, batch)?, key.expr.ty().order()));
        }
        let equal = |row: usize| {
            columns.iter().zip(last).all(|((column, order), value)| same(&column.datum(row), value, *order))
        };
        let count = active.iter().take_while(|row| equal(**row as usize)).count();
        Ok((active[..count].to_vec(), count == active.len()))
    }
}

impl Operator for Limit {
    fn next(&mut self, ctx: &ExecContext<'_>) -> Result<Option<Batch>> {
        if matches!(self.state, State::New) {
            self.state = self.start(ctx)?;
        }
        loop {
            match &mut self.state {
                State::New => unreachable!("started above"),
                State::Ended => return Ok(None),
                State::Running { remaining: Some(0), .. } => {
                    // With ties the state has left Running with the last row: this is LIMIT 0.
                    self.state = State::Ended;
                    return Ok(None);
                }
                State::Running { skip, remaining } => {
                    let Some(batch) = self.input.next(ctx)? else {
                        self.state = State::Ended;
                        return Ok(None);
                    };
                    let rows = batch.active_rows() as u64;
                    if *skip >= rows {
                        *skip -= rows;
                        continue;
                    }
                    let start = *skip as usize;
                    *skip = 0;
                    let count = remaining.map_or(rows - start as u64, |left| left.min(rows - start as u64));
                    if let Some(left) = remaining {
                        *left -= count;
                    }
                    let full = *remaining == Some(0);
                    if start == 0 && count == rows && !(full && self.ties.is_some()) {
                        return Ok(Some(batch));
                    }
                    let active: Vec<u16> = batch.active().map(|row| row as u16).collect();
                    let end = start + count as usize;
                    let mut chosen = active[start..end].to_vec();
                    if full && self.ties.is_some() {
                        let last = self.tie_keys(ctx, &batch, active[end - 1] as usize)?;
                        let (ties, more) = self.take_ties(ctx, &batch, &active[end..], &last)?;
                        chosen.extend(ties);
                        self.state = if more { State::Ties(last) } else { State::Ended };
                    }
                    return Ok(Some(batch.with_selection(Selection::new(chosen))));
                }
                State::Ties(last) => {
                    let last = std::mem::take(last);
                    let Some(batch) = self.input.next(ctx)? else {
                        self.state = State::Ended;
                        return Ok(None);
                    };
                    let active: Vec<u16> = batch.active().map(|row| row as u16).collect();
                    let (ties, more) = self.take_ties(ctx, &batch, &active, &last)?;
                    self.state = if more { State::Ties(last) } else { State::Ended };
                    if ties.is_empty() {
                        return Ok(None);
                    }
                    return Ok(Some(batch.with_selection(Selection::new(ties))));
                }
            }
        }
    }

    fn rescan(&mut self, ctx: &ExecContext<'_>) -> Result<()> {
        self.state = State::New;
        self.input.rescan(ctx)
    }

    fn rewind(&mut self, ctx: &ExecContext<'_>) -> Result<()> {
        self.state = State::New;
        self.input.rewind(ctx)
    }
}

fn count(ctx: &ExecContext<'_>, expr: Option<&Expr>) -> Result<Option<i64>> {
    expr.map_or(Ok(None), |expr| Ok(ctx.eval_value(expr)?.as_i64()))
}

fn same(a: &Datum, b: &Datum, order: ValueOrder) -> bool {
    compare::compare_datums(a, b, order) == Ordering::Equal
}

#[cold]
fn negative_limit() -> Error {
    Error::new(SqlState::INVALID_ROW_COUNT_IN_LIMIT_CLAUSE, "LIMIT must not be negative")
}

#[cold]
fn negative_offset() -> Error {
    Error::new(SqlState::INVALID_ROW_COUNT_IN_RESULT_OFFSET_CLAUSE, "OFFSET must not be negative")
}
