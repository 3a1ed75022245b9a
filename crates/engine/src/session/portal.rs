//! Portals: queries that are run bit by bit, by Execute with a row limit and by FETCH.
//!
//! # Role
//! The protocol's portals and SQL's cursors are the same thing and share one space of names: [`super::extended`] binds
//! and executes them, [`super::cursor`] declares them and moves them by SQL.
//!
//! # How rows come
//! A query is executed as far as rows are asked for. Moving back needs the rows that were passed:
//! - a query that gives the same rows in the same order when it runs again under its snapshot (a scan, a sort) is run
//!   again at the first move back, and its rows are kept from then on; one that only moves forward keeps nothing;
//! - a query declared with SCROLL that cannot be repeated that way keeps its rows from the beginning;
//! - a held cursor keeps the rows that are left, or all when it can scroll, from the end of its transaction on.
//!
//! Rows are kept in memory up to `work_mem` and in a temporary file beyond.
//!
//! # Invariants
//! - Q1: `position.row` rows have been passed; the current row is that one, unless the portal stands at an end.
//! - Q2: without kept rows, `run` has given exactly `position.row` rows and those in `rest`.
//! - Q3: `run` is there until the rows are held; a portal with a `run` ends with its transaction.

use std::sync::Arc;

use hashbrown::HashMap;
use ochre_base::{Error, Oid, Result, RowId, SqlState};
use ochre_exec::{Execution, RowStore, StatementContext};
use ochre_sql::physical::{CommandKind, OutputColumn, PhysicalPlan, PlanNode, PlannedStatement};
use ochre_txn::Snapshot;
use ochre_types::{Batch, Datum};

use super::Session;
use super::context::StatementSession;
use super::extended::{Prepared, ResultFormats};
use crate::sink::Sink;

/// A statement with its parameters, somewhere in its run.
pub(crate) struct Portal {
    pub prepared: Arc<Prepared>,
    pub parameters: Vec<Datum>,
    /// The client's result format codes, as given.
    pub formats: ResultFormats,
    pub options: CursorOptions,
    /// How many savepoints were set when it was made: it goes when a savepoint before it is rolled back to.
    pub depth: usize,
    /// Its rows were computed at the end of the transaction that made it, and it stays until it is closed.
    pub held: bool,
    pub state: PortalState,
}

/// The portals of a session by name. The one without a name, which most statements of the extended protocol use, has a
/// place of its own.
#[derive(Default)]
pub(crate) struct Portals {
    unnamed: Option<Portal>,
    named: HashMap<Box<str>, Portal>,
    /// An empty list, whose memory the next parameters can have.
    parameters: Vec<Datum>,
}

impl Portals {
    /// Room for how many parameters is kept.
    const KEPT_PARAMETERS: usize = 64;

    pub(crate) fn is_empty(&self) -> bool {
        self.unnamed.is_none() && self.named.is_empty()
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Portal> {
        if name.is_empty() { self.unnamed.as_ref() } else { self.named.get(name) }
    }

    pub(crate) fn contains(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    pub(crate) fn insert(&mut self, name: &str, portal: Portal) {
        if name.is_empty() {
            self.drop_unnamed();
            self.unnamed = Some(portal);
        } else {
            self.named.insert(name.into(), portal);
        }
    }

    pub(crate) fn remove(&mut self, name: &str) -> Option<Portal> {
        if name.is_empty() { self.unnamed.take() } else { self.named.remove(name) }
    }

    pub(crate) fn clear(&mut self) {
        self.drop_unnamed();
        self.named.clear();
    }

    fn drop_unnamed(&mut self) {
        if let Some(portal) = self.unnamed.take() {
            let mut parameters = portal.parameters;
            parameters.clear();
            if parameters.capacity() <= Portals::KEPT_PARAMETERS {
                self.parameters = parameters;
            }
        }
    }

    /// An empty list for parameters.
    pub(crate) fn parameter_list(&mut self) -> Vec<Datum> {
        std::mem::take(&mut self.parameters)
    }

    /// All with their names.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Portal)> {
        let unnamed = self.unnamed.iter().map(|portal| ("", portal));
        unnamed.chain(self.named.iter().map(|(name, portal)| (&**name, portal)))
    }

    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut Portal> {
        self.unnamed.iter_mut().chain(self.named.values_mut())
    }

    /// Removes those that do not stay.
    pub(crate) fn retain(&mut self, stays: impl Fn(&Portal) -> bool) {
        if self.unnamed.as_ref().is_some_and(|portal| !stays(portal)) {
            self.drop_unnamed();
        }
        self.named.retain(|_, portal| stays(portal));
    }
}

/// What DECLARE says of a cursor.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CursorOptions {
    pub scroll: Scroll,
    pub hold: bool,
    pub binary: bool,
}

/// Whether a portal moves back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scroll {
    No,
    /// By running again.
    ByRepetition,
    /// By rows kept from the beginning.
    ByKeptRows,
}

pub(crate) enum PortalState {
    Ready,
    Open(Box<OpenQuery>),
    Done,
    /// An error ended its run; a savepoint kept it.
    Failed,
}

/// A query that has begun.
pub(crate) struct OpenQuery {
    pub command: CommandKind,
    /// What the client sees of a row.
    pub shape: Arc<[OutputColumn]>,
    /// Columns behind those that tell which rows of which tables a row was made from.
    pub row_ids: Vec<RowIdColumn>,
    scroll: Scroll,
    run: Option<Run>,
    kept: Option<KeptRows>,
    position: Position,
    /// Of the current row, in the order of `row_ids`.
    current: Vec<Option<RowId>>,
}

/// A column that holds the row id of a table's row.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RowIdColumn {
    pub table: Oid,
    pub column: usize,
}

/// An execution that has not come to its end.
struct Run {
    plan: Arc<PlannedStatement>,
    execution: Execution,
    snapshot: Snapshot,
    /// Rows that were computed and not given out.
    rest: Option<Batch>,
}

/// Where a portal stands: PostgreSQL's three facts.
#[derive(Debug, Clone, Copy)]
struct Position {
    row: u64,
    at_start: bool,
    at_end: bool,
}

impl Position {
    const START: Position = Position { row: 0, at_start: true, at_end: false };
}

/// Rows from one number on, counted from 0.
struct KeptRows {
    store: RowStore,
    /// The number of each batch's first row.
    starts: Vec<u64>,
    end: u64,
    /// The batch read last, so that a file is not read anew for each row.
    last: Option<(usize, Batch)>,
}

/// How a FETCH moves, after the parser's words are resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Move {
    Forward(u64),
    Backward(u64),
    Absolute(i64),
    Relative(i64),
}

/// The count of ALL.
pub(crate) const ALL_ROWS: u64 = u64::MAX;

impl CursorOptions {
    /// Those of a portal that the protocol binds.
    pub(crate) const PROTOCOL: CursorOptions =
        CursorOptions { scroll: Scroll::No, hold: false, binary: false };
}

impl OpenQuery {
    /// Whether it stands on a row.
    pub(crate) fn is_on_row(&self) -> bool {
        !self.position.at_start && !self.position.at_end
    }

    /// The row id of the current row's part from a column of `row_ids`.
    pub(crate) fn current_row_id(&self, number: usize) -> Option<RowId> {
        self.current.get(number).copied().flatten()
    }

    /// The plan, as long as it may go on running.
    pub(crate) fn plan(&self) -> Option<&Arc<PlannedStatement>> {
        self.run.as_ref().map(|run| &run.plan)
    }

    fn note_current(&mut self, batch: &Batch, row: usize) {
        self.current.clear();
        self.current.extend(self.row_ids.iter().map(|id| {
            batch.columns[id.column].datum(row).as_i64().map(|packed| RowId::from_u64(packed as u64))
        }));
    }

    fn require_scroll(&self) -> Result<()> {
        if self.scroll == Scroll::No {
            return Err(Error::new(
                SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
                "cursor can only scan forward",
            )
            .hint("Declare it with SCROLL option to enable backward scan."));
        }
        Ok(())
    }
}

impl KeptRows {
    fn new(session: &Session, plan: &PlannedStatement, first: u64) -> KeptRows {
        let types = plan.plan.columns.iter().map(|column| column.ty.physical).collect();
        let work_mem = session.state.settings.borrow().integer("work_mem") as usize * 1024;
        let store = RowStore::new(types, session.state.instance.temp(), work_mem);
        KeptRows { store, starts: Vec::new(), end: first, last: None }
    }

    fn append(&mut self, batch: Batch) -> Result<()> {
        self.starts.push(self.end);
        self.end += batch.rows as u64;
        self.store.append(batch)
    }

    /// Up to `limit` rows from a number on, of one batch.
    fn rows(&mut self, from: u64, limit: u64) -> Result<Option<Batch>> {
        if from >= self.end {
            return Ok(None);
        }
        let number = self.starts.partition_point(|start| *start <= from).saturating_sub(1);
        let batch = match &self.last {
            Some((last, batch)) if *last == number => batch.clone(),
            _ => {
                let batch = self.store.batch(number)?;
                let batch = batch.ok_or_else(|| Error::internal("a cursor's kept rows have a gap"))?;
                self.last = Some((number, batch.clone()));
                batch
            }
        };
        let start = (from - self.starts[number]) as usize;
        let rows = limit.min((batch.rows - start) as u64) as usize;
        Ok(Some(slice(&batch, start, rows)))
    }
}

impl Session {
    /// Begins a query that rows will be asked of. Its locks are taken.
    pub(crate) fn open_query(
        &mut self,
        plan: Arc<PlannedStatement>,
        scroll: Scroll,
        row_ids: Vec<RowIdColumn>,
    ) -> Result<OpenQuery> {
        self.begin_plan(&plan)?;
        let snapshot = self.statement_snapshot()?;
        let execution =
            self.with_context(&snapshot, &[], |_, context| Execution::new(&plan, context.relations))?;
        let visible = plan.row_shape.len() - row_ids.len();
        let kept = (scroll == Scroll::ByKeptRows).then(|| KeptRows::new(self, &plan, 0));
        Ok(OpenQuery {
            command: plan.command,
            shape: plan.row_shape[..visible].into(),
            row_ids,
            scroll,
            run: Some(Run { plan, execution, snapshot, rest: None }),
            kept,
            position: Position::START,
            current: Vec::new(),
        })
    }

    /// Moves a query, and shows the rows that it comes to; how many they are.
    pub(crate) fn move_query(
        &mut self,
        query: &mut OpenQuery,
        parameters: &[Datum],
        by: Move,
        sink: Option<&mut dyn Sink>,
    ) -> Result<u64> {
        let long = query.plan().is_some_and(|plan| super::execute::may_take_long(plan));
        let moved = if long {
            let wait = self.waiting();
            wait.run(|| self.move_here(query, parameters, by, sink))
        } else {
            self.move_here(query, parameters, by, sink)
        }?;
        if let Some(plan) = query.plan().cloned() {
            self.end_plan(&plan)?;
        }
        Ok(moved)
    }

    fn move_here(
        &mut self,
        query: &mut OpenQuery,
        parameters: &[Datum],
        by: Move,
        sink: Option<&mut dyn Sink>,
    ) -> Result<u64> {
        // Taken out of the portals while it moves.
        let moving = query.plan().cloned();
        moving.iter().for_each(|plan| self.state.running.borrow_mut().push(Arc::clone(plan)));
        let moved = self.move_by(query, parameters, by, sink);
        moving.iter().for_each(|_| {
            self.state.running.borrow_mut().pop();
        });
        moved
    }

    fn move_by(
        &mut self,
        query: &mut OpenQuery,
        parameters: &[Datum],
        by: Move,
        sink: Option<&mut dyn Sink>,
    ) -> Result<u64> {
        match by {
            Move::Forward(0) | Move::Backward(0) | Move::Relative(0) => {
                self.show_current(query, parameters, sink)
            }
            Move::Forward(count) => self.forward(query, parameters, count, sink),
            Move::Backward(ALL_ROWS) if sink.is_none() => {
                let passed = query.position.row;
                let passed = if query.position.at_end { passed } else { passed.saturating_sub(1) };
                self.rewind(query, parameters)?;
                Ok(passed)
            }
            Move::Backward(count) => self.backward(query, parameters, count, sink),
            Move::Absolute(0) => {
                self.rewind(query, parameters)?;
                Ok(0)
            }
            Move::Absolute(row) if row > 0 => {
                self.go_before(query, parameters, row.unsigned_abs())?;
                self.forward(query, parameters, 1, sink)
            }
            Move::Absolute(row) => {
                self.forward(query, parameters, ALL_ROWS, None)?;
                if row < -1 {
                    self.backward(query, parameters, row.unsigned_abs() - 1, None)?;
                }
                self.backward(query, parameters, 1, sink)
            }
            Move::Relative(rows) if rows > 0 => {
                if rows > 1 {
                    self.forward(query, parameters, rows.unsigned_abs() - 1, None)?;
                }
                self.forward(query, parameters, 1, sink)
            }
            Move::Relative(rows) => {
                if rows < -1 {
                    self.backward(query, parameters, rows.unsigned_abs() - 1, None)?;
                }
                self.backward(query, parameters, 1, sink)
            }
        }
    }

    /// FETCH 0: the current row again.
    fn show_current(
        &mut self,
        query: &mut OpenQuery,
        parameters: &[Datum],
        sink: Option<&mut dyn Sink>,
    ) -> Result<u64> {
        if !query.is_on_row() {
            return Ok(0);
        }
        if sink.is_none() {
            return Ok(1);
        }
        self.backward(query, parameters, 1, None)?;
        self.forward(query, parameters, 1, sink)
    }

    /// Goes to just before a row, counted from 1: from the start when that is nearer.
    fn go_before(&mut self, query: &mut OpenQuery, parameters: &[Datum], row: u64) -> Result<()> {
        let position = query.position;
        if row - 1 <= position.row / 2 {
            self.rewind(query, parameters)?;
            if row > 1 {
                self.forward(query, parameters, row - 1, None)?;
            }
            return Ok(());
        }
        let at = position.row + u64::from(position.at_end);
        if row <= at {
            self.backward(query, parameters, at - row + 1, None)?;
        } else if row > at + 1 {
            self.forward(query, parameters, row - at - 1, None)?;
        }
        Ok(())
    }

    fn forward(
        &mut self,
        query: &mut OpenQuery,
        parameters: &[Datum],
        count: u64,
        mut sink: Option<&mut dyn Sink>,
    ) -> Result<u64> {
        if query.position.at_end {
            return Ok(0);
        }
        let format = self.state.format_context();
        let mut left = count;
        while left > 0 {
            let Some(batch) = self.next_rows(query, parameters, left)? else {
                query.position.at_end = true;
                query.current.clear();
                break;
            };
            query.note_current(&batch, batch.rows - 1);
            query.position.row += batch.rows as u64;
            query.position.at_start = false;
            left -= batch.rows as u64;
            if let Some(sink) = &mut sink {
                sink.rows(&batch, &query.shape, &format)?;
            }
        }
        Ok(count - left)
    }

    fn backward(
        &mut self,
        query: &mut OpenQuery,
        parameters: &[Datum],
        count: u64,
        mut sink: Option<&mut dyn Sink>,
    ) -> Result<u64> {
        query.require_scroll()?;
        let Position { row, at_start, at_end } = query.position;
        if at_start || count == 0 {
            return Ok(0);
        }
        self.keep_passed_rows(query, parameters)?;
        let format = self.state.format_context();
        let kept = query.kept.as_mut().expect("the rows passed are kept");
        // The row before the current one is `row - 1`, and that is also how many rows there are before the current one.
        let before = if at_end { row } else { row - 1 };
        let moved = count.min(before);
        let shown = if sink.is_some() { before } else { before - moved + 1 };
        let mut last = None;
        for number in (before - moved + 1..=shown).rev() {
            let batch =
                kept.rows(number - 1, 1)?.ok_or_else(|| Error::internal("a passed row is not kept"))?;
            if let Some(sink) = &mut sink {
                self.state.interrupt.check()?;
                sink.rows(&batch, &query.shape, &format)?;
            }
            last = Some(batch);
        }
        if let Some(batch) = last {
            query.note_current(&batch, 0);
            query.position.at_end = false;
            query.position.row = before - moved + 1;
        }
        if moved < count {
            query.position.at_start = true;
            query.position.row = 0;
            query.current.clear();
        }
        Ok(moved)
    }

    /// Goes back to before the first row.
    fn rewind(&mut self, query: &mut OpenQuery, parameters: &[Datum]) -> Result<()> {
        if query.position.at_start && !query.position.at_end {
            return Ok(());
        }
        query.require_scroll()?;
        if query.kept.is_none() {
            self.run_again(query, parameters)?;
        }
        query.position = Position::START;
        query.current.clear();
        Ok(())
    }

    /// Up to `limit` rows behind the position, never an empty batch.
    fn next_rows(
        &mut self,
        query: &mut OpenQuery,
        parameters: &[Datum],
        limit: u64,
    ) -> Result<Option<Batch>> {
        let from = query.position.row;
        if let Some(kept) = &mut query.kept {
            if let Some(batch) = kept.rows(from, limit)? {
                return Ok(Some(batch));
            }
            let Some(run) = &mut query.run else { return Ok(None) };
            let Some(batch) = self.compute(run, parameters, limit)? else { return Ok(None) };
            let kept = query.kept.as_mut().expect("looked at above");
            kept.append(batch)?;
            return kept.rows(from, limit);
        }
        let Some(run) = &mut query.run else { return Ok(None) };
        let batch = match run.rest.take() {
            Some(batch) => batch,
            None => match self.compute(run, parameters, limit)? {
                Some(batch) => batch,
                None => return Ok(None),
            },
        };
        if batch.rows as u64 <= limit {
            return Ok(Some(batch));
        }
        let rows = limit as usize;
        run.rest = Some(slice(&batch, rows, batch.rows - rows));
        Ok(Some(slice(&batch, 0, rows)))
    }

    /// The execution's next rows: no more than are wanted are computed and locked.
    fn compute(&self, run: &mut Run, parameters: &[Datum], wanted: u64) -> Result<Option<Batch>> {
        let Run { execution, snapshot, .. } = run;
        let rows = usize::try_from(wanted).unwrap_or(usize::MAX).max(1);
        let step =
            |_: &StatementSession<'_>, context: &StatementContext<'_>| execution.next_rows(context, rows);
        Ok(self.with_context(snapshot, parameters, step)?.map(Batch::compact))
    }

    /// Makes the rows up to the position available for moving back.
    fn keep_passed_rows(&mut self, query: &mut OpenQuery, parameters: &[Datum]) -> Result<()> {
        if query.kept.is_some() {
            return Ok(());
        }
        self.run_again(query, parameters)?;
        let run = query.run.as_mut().expect("Q3: without kept rows there is a run");
        let mut kept = KeptRows::new(self, &run.plan, 0);
        while query.position.at_end || kept.end < query.position.row {
            let Some(batch) = self.compute(run, parameters, ALL_ROWS)? else { break };
            kept.append(batch)?;
        }
        query.kept = Some(kept);
        Ok(())
    }

    fn run_again(&self, query: &mut OpenQuery, parameters: &[Datum]) -> Result<()> {
        let run = query.run.as_mut().expect("Q3: without kept rows there is a run");
        let Run { execution, snapshot, rest, .. } = run;
        *rest = None;
        self.with_context(snapshot, parameters, |_, context| execution.restart(context))
    }

    /// Computes the rows that are left, or all of a query that can scroll, so that they outlive the transaction.
    pub(crate) fn hold_query(&mut self, query: &mut OpenQuery, parameters: &[Datum]) -> Result<()> {
        let Some(mut run) = query.run.take() else { return Ok(()) };
        if query.kept.is_none() {
            let first = match query.scroll {
                Scroll::No => query.position.row,
                _ => 0,
            };
            let mut kept = KeptRows::new(self, &run.plan, first);
            if query.scroll == Scroll::No {
                if let Some(rest) = run.rest.take() {
                    kept.append(rest)?;
                }
            } else {
                query.run = Some(run);
                self.run_again(query, parameters)?;
                run = query.run.take().expect("put back above");
            }
            query.kept = Some(kept);
        }
        let kept = query.kept.as_mut().expect("made above");
        while let Some(batch) = self.compute(&mut run, parameters, ALL_ROWS)? {
            kept.append(batch)?;
        }
        query.current.clear();
        self.end_plan(&run.plan)
    }
}

/// Whether a plan gives the same rows again when it is run again, at no great cost: where PostgreSQL lets a cursor
/// scroll that was not declared so.
pub(crate) fn can_repeat(plan: &PhysicalPlan) -> bool {
    match &plan.node {
        PlanNode::SeqScan(_)
        | PlanNode::IndexScan(_)
        | PlanNode::TidScan(_)
        | PlanNode::FunctionScan(_)
        | PlanNode::Values(_)
        | PlanNode::CteScan(_)
        | PlanNode::Materialize(_) => true,
        PlanNode::Sort(sort) => sort.presorted == 0,
        PlanNode::Filter(_) | PlanNode::Gate(_) | PlanNode::Project(_) | PlanNode::Limit(_) => {
            plan.children().into_iter().all(|child| can_repeat(child))
        }
        PlanNode::Append(append) => {
            append.merge.is_none() && append.inputs.iter().all(|input| can_repeat(input))
        }
        _ => false,
    }
}

/// Whether each row of a plan is one row of a table that is scanned, as WHERE CURRENT OF needs it.
pub(crate) fn is_simple_scan(plan: &PhysicalPlan) -> bool {
    match &plan.node {
        PlanNode::SeqScan(_) | PlanNode::IndexScan(_) | PlanNode::BitmapScan(_) | PlanNode::TidScan(_) => {
            true
        }
        PlanNode::Filter(_) | PlanNode::Gate(_) | PlanNode::Project(_) | PlanNode::Limit(_) => {
            plan.children().into_iter().all(|child| is_simple_scan(child))
        }
        _ => false,
    }
}

fn slice(batch: &Batch, start: usize, len: usize) -> Batch {
    if start == 0 && len == batch.rows {
        return batch.clone();
    }
    let columns = batch.columns.iter().map(|column| Arc::new(column.slice(start, len))).collect();
    Batch::new(columns, len)
}
