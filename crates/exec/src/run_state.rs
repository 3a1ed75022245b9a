//! What the operators of one execution share: sub-plans, CTEs, work tables.
//!
//! # Role
//! Expressions run sub-plans through [`SubPlanRunner`], which [`ExecContext`] implements here; CTE scans and work table
//! scans read the stores kept here.
//!
//! # Invariants
//! - R1: an entry of `subplans` or `ctes` refers only to entries of lower number (P4 of the physical plan), so no entry
//!   is borrowed twice at a time.
//! - R2: a sub-plan's rows are kept only when its plan says that one run serves the whole statement.

use std::cell::{Cell, RefCell};
use std::sync::{Arc, LazyLock};

use ochre_base::{CommandId, Error, Result};
use ochre_expr::SubPlanRunner;
use ochre_sql::explain::StorageReport;
use ochre_sql::physical::{CommandKind, PhysicalPlan, PlanNode, PlannedStatement, ResultPlan, SubPlan};
use ochre_txn::Snapshot;
use ochre_types::{Batch, Datum, PhysicalType, Selection, SqlType};

use crate::build::Builder;
use crate::context::{ExecContext, Frame};
use crate::dependencies::{Dependencies, DependencyValues};
use crate::key_set::{Key, KeySet};
use crate::key_table::KeyTable;
use crate::keys::{BatchKeys, KeyLayout};
use crate::modify::after::AfterStatement;
use crate::operator::BoxOperator;
use crate::row_store::RowStore;

/// Run state beside the operator tree.
pub struct RunState {
    pub(crate) plan: Arc<PlannedStatement>,
    /// The statement's main frame, and the frame of each sub-plan. They stand beside the states, so that a CTE can copy the
    /// frame that it belongs to while that frame's sub-plan runs.
    pub(crate) main: Frame,
    frames: Vec<Frame>,
    subplans: Vec<RefCell<SubPlanState>>,
    ctes: Vec<RefCell<CteState>>,
    work_tables: Vec<RefCell<WorkTable>>,
    /// Rows that INSERT, UPDATE or DELETE changed at the top of the plan.
    pub(crate) rows_changed: Cell<u64>,
    /// What is left to do at the statement's end.
    pub(crate) after: RefCell<AfterStatement>,
    /// The commands under which the statement itself has written rows, ascending: there are several when routines that it
    /// called have written, too.
    pub(crate) commands: RefCell<Vec<CommandId>>,
    /// What rows must be seen by to be changed by an action of a foreign key.
    pub(crate) crosscheck: RefCell<Option<Snapshot>>,
    /// Rows that are wanted of the next batch at most. The top of the plan computes and locks no more; what is below need
    /// not care.
    pub(crate) wanted_rows: Cell<usize>,
}

struct SubPlanState {
    root: Option<BoxOperator>,
    /// Whether the root has run since it was built or rescanned.
    used: bool,
    types: Arc<[PhysicalType]>,
    /// With `run_once`: the rows seen so far, and whether they are all.
    kept: Option<(RowStore, bool)>,
    hashed: Option<HashedRows>,
}

/// The rows of an uncorrelated `IN (SELECT …)`.
struct HashedRows {
    layout: KeyLayout,
    keys: KeySet,
    rows: u64,
    /// Rows with a NULL: those of several columns, each once as long as `known_nulls` has room, and of single NULLs one.
    nulls: RowStore,
    /// The rows in `nulls`, within half of the memory budget.
    known_nulls: KeyTable,
}

struct CteState {
    root: Option<BoxOperator>,
    frame: Frame,
    store: Option<RowStore>,
    ended: bool,
    /// Whether the root has run since it was built.
    used: bool,
    /// What its rows depend on, and what that was when they were computed.
    dependencies: Dependencies,
    values: DependencyValues,
}

/// The rows that a recursive CTE found in its last round.
#[derive(Default)]
pub(crate) struct WorkTable {
    pub(crate) current: Option<Arc<RowStore>>,
    /// Changes with the rows.
    pub(crate) round: u64,
}

impl WorkTable {
    /// Other rows.
    pub(crate) fn replace(&mut self, rows: Option<Arc<RowStore>>) {
        self.current = rows;
        self.round += 1;
    }
}

impl RunState {
    pub(crate) fn new(plan: &Arc<PlannedStatement>, builder: &Builder<'_>) -> Result<RunState> {
        let mut subplans = Vec::with_capacity(plan.subplans.len());
        for subplan in &plan.subplans {
            subplans.push(RefCell::new(SubPlanState {
                root: Some(builder.build(&subplan.plan)?),
                used: false,
                types: subplan.plan.columns.iter().map(|column| column.ty.physical).collect(),
                kept: None,
                hashed: None,
            }));
        }
        let mut ctes = Vec::with_capacity(plan.ctes.len());
        for cte in &plan.ctes {
            ctes.push(RefCell::new(CteState {
                root: Some(builder.build(&cte.plan)?),
                frame: Frame::default(),
                store: None,
                ended: false,
                used: false,
                dependencies: if cte.modifies {
                    Dependencies::default()
                } else {
                    Dependencies::of(&cte.plan, plan)
                },
                values: DependencyValues::default(),
            }));
        }
        let work_tables = (0..plan.work_tables).map(|_| RefCell::default()).collect();
        let frames = plan.subplans.iter().map(|subplan| Frame::new(subplan.slots)).collect();
        let main = Frame::new(plan.slots);
        let plan = Arc::clone(plan);
        Ok(RunState {
            plan,
            main,
            frames,
            subplans,
            ctes,
            work_tables,
            rows_changed: Cell::new(0),
            after: RefCell::default(),
            commands: RefCell::default(),
            crosscheck: RefCell::default(),
            wanted_rows: Cell::new(usize::MAX),
        })
    }

    /// For a thread that runs a part of a plan with neither sub-plans nor CTEs beside the statement's own thread.
    pub(crate) fn for_helper(plan: &Arc<PlannedStatement>) -> RunState {
        RunState { main: Frame::new(plan.slots), plan: Arc::clone(plan), ..RunState::empty() }
    }

    /// For expressions outside of any plan, which have neither sub-plans nor CTEs.
    pub(crate) fn empty() -> RunState {
        static NOTHING: LazyLock<Arc<PlannedStatement>> = LazyLock::new(|| {
            let node = PlanNode::Result(ResultPlan { exprs: Vec::new(), condition: None });
            Arc::new(PlannedStatement {
                command: CommandKind::Select,
                plan: Arc::new(PhysicalPlan::new(node, Vec::new())),
                slots: 0,
                subplans: Vec::new(),
                ctes: Vec::new(),
                work_tables: 0,
                parameters: Vec::new(),
                row_shape: Vec::new(),
                returns_rows: false,
                relations: Vec::new(),
                requirements: Box::default(),
                namespaces: Box::default(),
                read_only: true,
                cursor_tables: Box::default(),
                disabled: ochre_sql::DisabledMethods::default(),
                rules: Box::default(),
            })
        });
        RunState {
            plan: Arc::clone(&NOTHING),
            main: Frame::default(),
            frames: Vec::new(),
            subplans: Vec::new(),
            ctes: Vec::new(),
            work_tables: Vec::new(),
            rows_changed: Cell::new(0),
            after: RefCell::default(),
            commands: RefCell::default(),
            crosscheck: RefCell::default(),
            wanted_rows: Cell::new(usize::MAX),
        }
    }

    /// Forgets all rows: the statement runs anew.
    pub(crate) fn reset(&self) {
        for state in &self.subplans {
            let mut state = state.borrow_mut();
            state.kept = None;
            state.hashed = None;
        }
        self.ctes.iter().for_each(|state| state.borrow_mut().store = None);
        self.rows_changed.set(0);
        self.after.take();
        self.commands.borrow_mut().clear();
    }

    /// Whether some CTE changes rows.
    pub(crate) fn has_data_modifying(&self) -> bool {
        self.plan.ctes.iter().any(|cte| cte.modifies)
    }

    /// Runs the data-modifying CTEs to their ends, however much of them the main query has read.
    ///
    /// The last one comes first, so that one which reads another has read it before that goes on by itself; what two of
    /// them do to one row, the later entry has done, as in PostgreSQL.
    pub(crate) fn finish_data_modifying(&self, ctx: &ExecContext<'_>) -> Result<()> {
        for (number, cte) in self.plan.ctes.iter().enumerate().rev() {
            if cte.modifies {
                self.cte_batch(ctx, number, usize::MAX - 1)?;
            }
        }
        Ok(())
    }

    /// Where the rows of a CTE are.
    pub(crate) fn cte_storage(&self, cte: usize) -> StorageReport {
        self.ctes[cte].borrow().store.as_ref().map(RowStore::report).unwrap_or_default()
    }

    /// Batch `number` of a CTE's rows, computing as far as needed.
    pub(crate) fn cte_batch(
        &self,
        ctx: &ExecContext<'_>,
        cte: usize,
        number: usize,
    ) -> Result<Option<Batch>> {
        let mut state = self.ctes[cte].borrow_mut();
        let state = &mut *state;
        let frame = match self.plan.ctes[cte].frame {
            None => &self.main,
            Some(subplan) => &self.frames[subplan],
        };
        // A scan that begins sees whether its rows are those of before: in a lateral item, in a recursive term.
        if number == 0 && !state.dependencies.is_empty() {
            let values = state.dependencies.values_in(ctx, frame);
            if state.store.is_some() && values != state.values {
                state.store = None;
            }
            state.values = values;
        }
        if state.store.is_none() {
            let plan = &self.plan.ctes[cte].plan;
            let types = plan.columns.iter().map(|column| column.ty.physical).collect();
            state.store = Some(RowStore::new(types, ctx.temp(), ctx.work_mem_bytes()));
            // The query runs in a copy of its frame (F1), whatever frame reads it.
            state.frame = frame.copy();
            state.ended = false;
            if std::mem::replace(&mut state.used, true) {
                let root = state.root.as_mut().expect("a CTE's query is there for the whole execution");
                root.rescan(&ctx.in_frame(&state.frame))?;
            }
        }
        let store = state.store.as_mut().expect("made above");
        while number >= store.batch_count() && !state.ended {
            let root = state.root.as_mut().expect("a CTE's query is there for the whole execution");
            match root.next(&ctx.in_frame(&state.frame))? {
                Some(batch) => store.append(batch)?,
                None => state.ended = true,
            }
        }
        store.batch(number)
    }

    /// Forgets the rows of the CTEs that read slots of sub-plan `subplan`'s frame, which runs anew with others.
    fn reset_correlated_ctes(&self, subplan: usize) {
        for (cte, state) in self.plan.ctes.iter().zip(&self.ctes) {
            if cte.correlated && cte.frame == Some(subplan) {
                state.borrow_mut().store = None;
            }
        }
    }

    pub(crate) fn work_table(&self, number: usize) -> &RefCell<WorkTable> {
        &self.work_tables[number]
    }
}

impl SubPlanRunner for ExecContext<'_> {
    fn run(
        &self,
        plan: usize,
        correlated: &[Datum],
        each: &mut dyn FnMut(&[Datum]) -> Result<bool>,
    ) -> Result<()> {
        let definition = &self.run.plan.subplans[plan];
        let mut state = self.run.subplans[plan].borrow_mut();
        let state = &mut *state;
        if definition.run_once {
            return run_kept(self, &self.run.frames[plan], state, each);
        }
        state.start(self, plan, correlated)?;
        let ctx = self.in_frame(&self.run.frames[plan]);
        let root = state.root.as_mut().expect("a sub-plan's root is there for the whole execution");
        while let Some(batch) = root.next(&ctx)? {
            if !each_row(&batch, each)? {
                return Ok(());
            }
        }
        Ok(())
    }

    fn any_equal(&self, plan: usize, correlated: &[Datum], left: &[Datum]) -> Option<Result<Option<bool>>> {
        let definition = &self.run.plan.subplans[plan];
        if !definition.hashed || !correlated.is_empty() || !can_probe(definition, left) {
            return None;
        }
        let mut state = self.run.subplans[plan].borrow_mut();
        let state = &mut *state;
        if state.hashed.is_none() {
            match hash_rows(self, state, plan) {
                Ok(hashed) => state.hashed = Some(hashed),
                Err(error) => return Some(Err(error)),
            }
        }
        state.hashed.as_mut().map(|hashed| hashed.probe(self, definition, left))
    }
}

impl SubPlanState {
    /// Fills the arguments' slots and makes the root ready to run.
    fn start(&mut self, ctx: &ExecContext<'_>, number: usize, correlated: &[Datum]) -> Result<()> {
        let frame = &ctx.run.frames[number];
        frame.set_all(correlated);
        let inner = ctx.in_frame(frame);
        if std::mem::replace(&mut self.used, true) {
            ctx.run.reset_correlated_ctes(number);
            self.root.as_mut().expect("a sub-plan's root is there for the whole execution").rescan(&inner)?;
        }
        Ok(())
    }
}

/// Hands rows on that are kept from before, then computes (and keeps) more.
fn run_kept(
    ctx: &ExecContext<'_>,
    frame: &Frame,
    state: &mut SubPlanState,
    each: &mut dyn FnMut(&[Datum]) -> Result<bool>,
) -> Result<()> {
    let inner = ctx.in_frame(frame);
    if state.kept.is_none() {
        if std::mem::replace(&mut state.used, true) {
            state.root.as_mut().expect("kept for the whole execution").rescan(&inner)?;
        }
        let store = RowStore::new(Arc::clone(&state.types), ctx.temp(), ctx.work_mem_bytes());
        state.kept = Some((store, false));
    }
    let (store, ended) = state.kept.as_mut().expect("made above");
    let mut number = 0;
    loop {
        if let Some(batch) = store.batch(number)? {
            number += 1;
            if !each_row(&batch, each)? {
                return Ok(());
            }
            continue;
        }
        if *ended {
            return Ok(());
        }
        match state.root.as_mut().expect("kept for the whole execution").next(&inner)? {
            Some(batch) => store.append(batch)?,
            None => *ended = true,
        }
    }
}

fn each_row(batch: &Batch, each: &mut dyn FnMut(&[Datum]) -> Result<bool>) -> Result<bool> {
    let mut row = Vec::with_capacity(batch.columns.len());
    for position in batch.active() {
        row.clear();
        row.extend(batch.columns.iter().map(|column| column.datum(position)));
        if !each(&row)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn key_types(definition: &SubPlan) -> impl Iterator<Item = SqlType> + '_ {
    definition.plan.columns.iter().map(|column| column.ty)
}

/// Whether a left side can be looked up: of the same physical types, and without NULLs beside other columns, for which
/// every row would have to be seen.
fn can_probe(definition: &SubPlan, left: &[Datum]) -> bool {
    if left.len() > 1 && left.iter().any(Datum::is_null) {
        return false;
    }
    key_types(definition).zip(left).all(|(ty, value)| value.physical().is_none_or(|own| own == ty.physical))
}

fn hash_rows(ctx: &ExecContext<'_>, state: &mut SubPlanState, number: usize) -> Result<HashedRows> {
    let definition = &ctx.run.plan.subplans[number];
    let layout = KeyLayout::new(key_types(definition));
    let null_layout = layout.clone().into_bytes();
    let is_word = layout.is_word();
    let mut hashed = HashedRows {
        keys: KeySet::new(is_word, ctx.temp(), ctx.hash_mem_bytes()),
        layout,
        rows: 0,
        nulls: RowStore::new(Arc::clone(&state.types), ctx.temp(), ctx.work_mem_bytes()),
        known_nulls: KeyTable::bytes(),
    };
    state.start(ctx, number, &[])?;
    let inner = ctx.in_frame(&ctx.run.frames[number]);
    let root = state.root.as_mut().expect("a sub-plan's root is there for the whole execution");
    let (mut keys, mut null_keys) = (BatchKeys::default(), BatchKeys::default());
    while let Some(batch) = root.next(&inner)? {
        ctx.check_interrupts()?;
        hashed.layout.encode(&batch.columns, batch.rows, batch.active(), &mut keys)?;
        hashed.rows += batch.active_rows() as u64;
        for row in batch.active().filter(|row| !keys.is_null(*row)) {
            hashed.keys.add(if is_word {
                Key::Word(keys.words[row])
            } else {
                Key::Bytes(keys.bytes(row))
            })?;
        }
        if keys.has_nulls() {
            let with_null: Vec<usize> = batch.active().filter(|row| keys.is_null(*row)).collect();
            null_layout.encode(&batch.columns, batch.rows, with_null.iter().copied(), &mut null_keys)?;
            hashed.keep_nulls(ctx, &batch, &with_null, &null_keys)?;
        }
    }
    Ok(hashed)
}

impl HashedRows {
    /// Keeps rows with a NULL, leaving out those known to be kept already.
    fn keep_nulls(
        &mut self,
        ctx: &ExecContext<'_>,
        batch: &Batch,
        rows: &[usize],
        keys: &BatchKeys,
    ) -> Result<()> {
        let mut fresh: Vec<u16> = Vec::new();
        for row in rows {
            let has_room = self.known_nulls.memory_bytes() < ctx.hash_mem_bytes() / 2;
            let known = match has_room || self.known_nulls.len() == 0 {
                true => !self.known_nulls.insert_bytes(keys.bytes(*row)).1,
                false => self.known_nulls.find_bytes(keys.bytes(*row)).is_some(),
            };
            if !known {
                fresh.push(*row as u16);
            }
        }
        self.nulls.append(batch.clone().with_selection(Selection::new(fresh)))
    }

    fn probe(&mut self, ctx: &ExecContext<'_>, definition: &SubPlan, left: &[Datum]) -> Result<Option<bool>> {
        if self.rows == 0 {
            return Ok(Some(false));
        }
        let types: Vec<SqlType> = key_types(definition).collect();
        if left.len() != types.len() {
            return Err(Error::internal("a hashed sub-plan is probed with another number of columns"));
        }
        if left.len() == 1 && left[0].is_null() {
            return Ok(None);
        }
        if left.iter().any(Datum::is_null) {
            return Err(Error::internal("a hashed sub-plan is probed with a NULL among several columns"));
        }
        let columns: Vec<_> = types
            .iter()
            .zip(left)
            .map(|(ty, value)| Arc::new(ochre_types::Column::constant(ty.physical, value, 1)))
            .collect();
        let mut keys = BatchKeys::default();
        self.layout.encode(&columns, 1, 0..1, &mut keys)?;
        let key = if self.layout.is_word() { Key::Word(keys.words[0]) } else { Key::Bytes(keys.bytes(0)) };
        if self.keys.contains(key)? {
            return Ok(Some(true));
        }
        for number in 0..self.nulls.batch_count() {
            ctx.check_interrupts()?;
            let batch = self.nulls.batch(number)?.expect("its number is below the count");
            if batch.active().any(|row| may_equal(&batch.row(row), left, &types)) {
                return Ok(None);
            }
        }
        Ok(Some(false))
    }
}

/// Whether two rows agree wherever both are not NULL.
fn may_equal(a: &[Datum], b: &[Datum], types: &[SqlType]) -> bool {
    a.iter().zip(b).zip(types).all(|((a, b), ty)| {
        a.is_null() || b.is_null() || ochre_types::compare::equal_datums(a, b, ty.order())
    })
}
