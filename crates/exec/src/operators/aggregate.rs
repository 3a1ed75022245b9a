//! Groups and aggregates: plain, sorted and hashed, with grouping sets.
//!
//! # How
//! Each grouping set has a [`GroupTable`]: a key table that numbers the groups, the group keys as columns, and one state
//! per aggregate for all groups. A batch's rows are numbered at once, then each aggregate is updated once.
//!
//! When the tables exceed the memory budget, rows of groups that are not yet in memory are split by the hash of their
//! key into partitions on disk; groups in memory go on. Partitions are aggregated one by one afterwards.
//!
//! Values of an aggregate with DISTINCT that are not known yet when their table is full go to partitions too, and are
//! looked through at the end.
//!
//! Several threads that group shares of the rows ([`Part::Partial`]) leave their tables to one ([`Part::Final`]), which
//! joins them into the first. Rows that any of them has put aside are looked at once more, now with all groups that were
//! in memory anywhere.
//!
//! What the aggregates' arguments have in common is computed once. An aggregate that adds the same values in the same way as
//! one before it (`avg(x)` beside `sum(x)`) takes over its states at the end. With few groups each aggregate is told of one
//! group's rows after the other, which it adds up in registers.
//!
//! Sorted input has the rows of a group side by side: whenever enough groups are complete they are given out and
//! forgotten, so memory stays small and the order is kept.
//!
//! # Invariants
//! - AG1: all rows of a group are aggregated in one table: a group is in memory or in a partition, never in both.
//! - AG2: groups come out in the order of their first row, unless rows were spilled.

use std::collections::VecDeque;
use std::sync::Arc;

use ochre_base::{Error, Result};
use ochre_expr::{AggregateKind, AggregateState, Expr, Groups, Volatility};
use ochre_sql::explain::{GroupReport, NodeReport};
use ochre_sql::physical::{AggregateCall, AggregateStrategy};
use ochre_types::{Batch, Column, ColumnBuilder, Datum, KeyOrder, PhysicalType, Selection, SqlType};

use crate::columns::builders;
use crate::columns::{FIRST_BATCH_ROWS, larger_batch};
use crate::common_exprs::CommonExprs;
use crate::context::run_in_turn;
use crate::key_filter::KeyFilter;
use crate::key_table::KeyTable;
use crate::keys::{BatchKeys, KeyLayout};
use crate::operators::sort::key_orders;
use crate::parallel::SharedGroups;
use crate::partition::{MAX_DEPTH, Partitioner, key_hash};
use crate::row_sorter::RowSorter;
use crate::row_store::RowStore;
use crate::short_keys::{ShortKeys, ShortLayout, ShortTable};
use crate::{BoxOperator, Check, ExecContext, Operator, Readiness};

/// What an [`Aggregate`] needs to know.
pub struct AggregateSpec {
    pub strategy: AggregateStrategy,
    pub keys: Vec<Expr>,
    pub aggregates: Vec<AggregateCall>,
    pub grouping_sets: Option<Vec<Vec<usize>>>,
    pub having: Option<Expr>,
    /// The keys that tell groups apart where there are no grouping sets; they determine the others.
    pub telling: Vec<usize>,
    pub input_types: Arc<[PhysicalType]>,
    pub part: Part,
}

/// With so few groups a batch's rows are told apart by group.
const FEW_GROUPS: usize = 16;
/// And only of batches with that many rows: each group takes a call of each aggregate.
const MANY_ROWS: usize = 16 * FEW_GROUPS;

/// Which part of the work an [`Aggregate`] does.
pub enum Part {
    /// All of it.
    Complete,
    /// Groups its input and leaves the groups to the final part.
    Partial(Arc<SharedGroups>),
    /// Joins the groups of the partial parts, which run when its input is read; that gives no rows.
    Final(Arc<SharedGroups>),
}

/// What is to be done, and what of it needs to be done only once.
struct Work {
    spec: AggregateSpec,
    /// What the arguments share; those of `spec.aggregates` read it behind the input's columns.
    common: CommonExprs,
    /// For each aggregate one before it whose states are also its own.
    leaders: Vec<Option<usize>>,
    /// The arguments of those that add each row as it comes, where they are computed row by row.
    in_turn: Option<Vec<Expr>>,
}

/// Groups rows and aggregates them.
pub struct Aggregate {
    spec: Arc<Work>,
    input: BoxOperator,
    /// One for each grouping set.
    tables: Vec<GroupTable>,
    /// Spilled rows that are to be aggregated: for which grouping set, and at which level of splitting.
    jobs: Vec<(usize, RowStore, u32)>,
    output: VecDeque<Batch>,
    /// Of sorted input, how many groups are given out at once: few at first, as a limit above may want no more.
    give_out: usize,
    phase: Phase,
    /// For EXPLAIN ANALYZE.
    report: GroupReport,
    /// Groups that HAVING left out.
    removed: u64,
    /// Groups left to the final part.
    left: u64,
}

#[derive(PartialEq, Eq, Clone, Copy)]
enum Phase {
    New,
    Reading,
    Spilled,
    Ended,
}

/// The groups of one grouping set.
pub struct GroupTable {
    spec: Arc<Work>,
    set: usize,
    /// Which of the keys this set groups by.
    positions: Vec<usize>,
    /// Those of them that are compared.
    telling: Vec<usize>,
    layout: KeyLayout,
    table: KeyTable,
    /// Groups of the keys in `table`, when short keys are kept apart from it.
    long_groups: Vec<u32>,
    short: Option<(ShortLayout, ShortTable, ShortKeys)>,
    /// With keys of words: the group whose key is NULL.
    null_group: Option<u32>,
    groups: usize,
    /// Bytes of a group's keys, about.
    key_bytes: usize,
    /// All keys by group; NULL where the set does not group by them.
    keys: Vec<ColumnBuilder>,
    states: Vec<State>,
    spill: Option<Partitioner>,
    depth: u32,
    numbers: Vec<u32>,
    batch_keys: BatchKeys,
}

/// One aggregate's state and what stands between the input and it.
struct State {
    state: Box<dyn AggregateState>,
    /// With DISTINCT: the (group, arguments) that have been seen.
    distinct: Option<DistinctRows>,
    /// With ORDER BY: rows (group, arguments) that wait for the end.
    ordered: Option<RowSorter>,
}

/// The rows (group, arguments) of an aggregate with DISTINCT.
struct DistinctRows {
    types: Arc<[PhysicalType]>,
    layout: KeyLayout,
    seen: KeyTable,
    keys: BatchKeys,
    /// Rows that were not seen when `seen` was full: all of a value, or none.
    aside: Option<Partitioner>,
    depth: u32,
}

impl std::ops::Deref for Work {
    type Target = AggregateSpec;

    fn deref(&self) -> &AggregateSpec {
        &self.spec
    }
}

impl Work {
    fn new(mut spec: AggregateSpec) -> Result<Work> {
        let mut leaders = Vec::with_capacity(spec.aggregates.len());
        for (number, call) in spec.aggregates.iter().enumerate() {
            leaders.push(leader(call, &spec.aggregates[..number], &leaders)?);
        }
        let mut args: Vec<&mut Expr> = spec
            .aggregates
            .iter_mut()
            .filter(|call| adds_all(call))
            .flat_map(|call| &mut call.args)
            .collect();
        let common = CommonExprs::take_from(&mut args, spec.input_types.len());
        let args: Vec<Expr> = args.into_iter().map(|arg| arg.clone()).collect();
        let in_turn = run_in_turn(&args).then_some(args);
        Ok(Work { spec, common, leaders, in_turn })
    }
}

/// Whether an aggregate adds each row as it comes.
fn is_plain(call: &AggregateCall) -> bool {
    call.function.kind == AggregateKind::Normal && !call.distinct && call.order_by.is_empty()
}

/// Whether an aggregate adds all rows as they come. An argument may fail for rows that a filter leaves out.
fn adds_all(call: &AggregateCall) -> bool {
    is_plain(call) && call.filter.is_none()
}

/// An aggregate before this one that has the same states.
fn leader(
    call: &AggregateCall,
    before: &[AggregateCall],
    leaders: &[Option<usize>],
) -> Result<Option<usize>> {
    let volatile = |expr: &Expr| expr.volatility() == Volatility::Volatile;
    if call.args.is_empty() || !is_plain(call) || call.args.iter().chain(&call.filter).any(volatile) {
        return Ok(None);
    }
    let candidates = before.iter().zip(leaders).enumerate();
    for (number, (other, _)) in candidates.filter(|(_, (_, leader))| leader.is_none()) {
        if is_plain(other) && other.args == call.args && other.filter == call.filter {
            let transition = create_state(call)?.transition();
            if transition.is_some() && transition == create_state(other)?.transition() {
                return Ok(Some(number));
            }
        }
    }
    Ok(None)
}

impl Aggregate {
    /// Groups the rows of `input`.
    ///
    /// # Errors
    /// 0A000 for aggregates that are not implemented.
    pub fn new(input: BoxOperator, spec: AggregateSpec) -> Result<Aggregate> {
        for call in &spec.aggregates {
            let name = &call.function.function.name;
            match call.function.kind {
                // Fails early when an aggregate is missing.
                AggregateKind::Normal => drop(create_state(call)?),
                AggregateKind::OrderedSet => {}
                AggregateKind::HypotheticalSet => {
                    return Err(Error::unsupported(format_args!("the ordered-set aggregate {name}")));
                }
            }
        }
        Ok(Aggregate {
            spec: Arc::new(Work::new(spec)?),
            input,
            tables: Vec::new(),
            jobs: Vec::new(),
            output: VecDeque::new(),
            give_out: FIRST_BATCH_ROWS,
            phase: Phase::New,
            report: GroupReport::default(),
            removed: 0,
            left: 0,
        })
    }

    fn start(&mut self, ctx: &ExecContext<'_>) -> Result<()> {
        let all: Vec<usize> = (0..self.spec.keys.len()).collect();
        let sets = self.spec.grouping_sets.clone().unwrap_or_else(|| vec![all]);
        self.tables = sets
            .into_iter()
            .enumerate()
            .map(|(set, positions)| GroupTable::new(ctx, &self.spec, set, positions, 0))
            .collect::<Result<_>>()?;
        // A set without keys has its one group even when there is no row.
        for table in self.tables.iter_mut().filter(|table| table.positions.is_empty()) {
            table.add_only_group();
        }
        self.phase = Phase::Reading;
        Ok(())
    }

    /// What partial parts have grouped.
    fn join_parts(&mut self, ctx: &ExecContext<'_>, shared: &SharedGroups) -> Result<()> {
        if self.input.next(ctx)?.is_some() {
            return Err(Error::internal("a partial aggregation gives rows"));
        }
        let mut parts = shared.take().into_iter();
        let first = parts.next().ok_or_else(|| Error::internal("nothing has been grouped"))?;
        let mut aside: Vec<Vec<RowStore>> = Vec::with_capacity(first.len());
        self.tables = first;
        for table in &mut self.tables {
            aside.push(table.take_aside()?);
        }
        for part in parts {
            for ((table, mut other), aside) in self.tables.iter_mut().zip(part).zip(&mut aside) {
                aside.extend(other.take_aside()?);
                table.join(ctx, other)?;
            }
        }
        for (table, aside) in self.tables.iter_mut().zip(aside) {
            for rows in aside {
                let mut number = 0;
                while let Some(batch) = rows.batch(number)? {
                    ctx.check_interrupts()?;
                    number += 1;
                    let keys = ctx.eval_all(&table.spec.keys, &batch)?;
                    table.add(ctx, &batch, &keys, true)?;
                }
            }
        }
        Ok(())
    }

    /// One step of reading; true as long as there is input.
    fn read(&mut self, ctx: &ExecContext<'_>) -> Result<bool> {
        let Some(batch) = self.input.next(ctx)? else { return Ok(false) };
        ctx.check_interrupts()?;
        let keys = ctx.eval_all(&self.spec.keys, &batch)?;
        let sorted = self.spec.strategy == AggregateStrategy::Sorted && self.tables.len() == 1;
        if sorted && self.tables[0].is_large(ctx, self.give_out) {
            return self.read_sorted(ctx, &batch, &keys).map(|()| true);
        }
        for table in &mut self.tables {
            table.add(ctx, &batch, &keys, !sorted)?;
        }
        Ok(true)
    }

    /// Gives out the groups that end within this batch (all but the last one), then goes on with an empty table.
    fn read_sorted(&mut self, ctx: &ExecContext<'_>, batch: &Batch, keys: &[Arc<Column>]) -> Result<()> {
        let orders: Vec<_> = self.spec.keys.iter().map(|key| key.ty().order()).collect();
        let active: Vec<usize> = batch.active().collect();
        let same = |a: usize, b: usize| {
            keys.iter()
                .zip(&orders)
                .all(|(column, order)| ochre_types::compare::equal_rows(column, a, column, b, *order))
        };
        let last = *active.last().expect("batches are not empty");
        let first_of_last = active.iter().rposition(|row| !same(*row, last)).map_or(0, |i| i + 1);
        let part = |rows: &[usize]| {
            let rows: Vec<u16> = rows.iter().map(|row| *row as u16).collect();
            batch.clone().with_selection(Selection::new(rows))
        };
        if first_of_last > 0 {
            self.tables[0].add(ctx, &part(&active[..first_of_last]), keys, false)?;
        }
        // Without a boundary in the batch the rows may go on with the group before.
        if first_of_last > 0 || !self.tables[0].continues_with(ctx, batch, keys, last)? {
            let fresh = GroupTable::new(ctx, &self.spec, 0, self.tables[0].positions.clone(), 0)?;
            let done = std::mem::replace(&mut self.tables[0], fresh);
            self.give_out = larger_batch(self.give_out);
            self.emit(ctx, done)?;
        }
        self.tables[0].add(ctx, &part(&active[first_of_last..]), keys, false)
    }

    /// Queues a table's groups for output, and its spilled rows for another round.
    fn emit(&mut self, ctx: &ExecContext<'_>, table: GroupTable) -> Result<()> {
        let (set, depth) = (table.set, table.depth);
        self.report.memory_bytes = self.report.memory_bytes.max(table.memory_bytes() as u64);
        self.report.batches += u64::from(depth > 0 || self.report.batches == 0);
        let grouping = self.spec.grouping_sets.is_some();
        let (columns, groups, spill) = table.finish(ctx)?;
        for start in (0..groups).step_by(ctx.batch_rows()) {
            let rows = ctx.batch_rows().min(groups - start);
            let mut slice: Vec<Arc<Column>> =
                columns.iter().map(|column| Arc::new(column.slice(start, rows))).collect();
            if grouping {
                let number = ochre_types::Datum::Int32(set as i32);
                slice.push(Arc::new(Column::constant(PhysicalType::Int32, &number, rows)));
            }
            let kept = ctx.filter_if(self.spec.having.as_ref(), Batch::new(slice, rows))?;
            self.removed += (rows - kept.as_ref().map_or(0, Batch::active_rows)) as u64;
            self.output.extend(kept);
        }
        if let Some(spill) = spill {
            let parts: Vec<RowStore> = spill.finish()?.into_iter().filter(|part| !part.is_empty()).collect();
            self.report.disk_bytes += parts.iter().map(|part| part.report().bytes).sum::<u64>();
            let parts = parts.into_iter();
            self.jobs.extend(parts.map(|part| (set, part, depth + 1)));
        }
        Ok(())
    }

    /// Aggregates one spilled partition.
    fn run_job(&mut self, ctx: &ExecContext<'_>, set: usize, rows: RowStore, depth: u32) -> Result<()> {
        let positions = match &self.spec.grouping_sets {
            Some(sets) => sets[set].clone(),
            None => (0..self.spec.keys.len()).collect(),
        };
        let mut table = GroupTable::new(ctx, &self.spec, set, positions, depth)?;
        let mut number = 0;
        while let Some(batch) = rows.batch(number)? {
            ctx.check_interrupts()?;
            number += 1;
            let keys = ctx.eval_all(&self.spec.keys, &batch)?;
            table.add(ctx, &batch, &keys, depth < MAX_DEPTH)?;
        }
        self.emit(ctx, table)
    }

    fn reset(&mut self) {
        if let Part::Final(shared) = &self.spec.part {
            shared.take();
        }
        self.tables.clear();
        self.jobs.clear();
        self.output.clear();
        self.phase = Phase::New;
    }

    fn step(&mut self, ctx: &ExecContext<'_>) -> Result<bool> {
        match self.phase {
            Phase::New => {
                let spec = Arc::clone(&self.spec);
                if let Part::Final(shared) = &spec.part {
                    self.join_parts(ctx, shared)?;
                    for table in std::mem::take(&mut self.tables) {
                        self.emit(ctx, table)?;
                    }
                    self.phase = Phase::Spilled;
                } else {
                    self.start(ctx)?;
                }
            }
            Phase::Reading => {
                if self.read(ctx)? {
                    return Ok(true);
                }
                if let Part::Partial(shared) = &self.spec.part {
                    for table in &self.tables {
                        self.report.memory_bytes = self.report.memory_bytes.max(table.memory_bytes() as u64);
                        self.left += table.groups as u64;
                    }
                    self.report.batches = 1;
                    shared.put(std::mem::take(&mut self.tables));
                    self.phase = Phase::Ended;
                } else {
                    for table in std::mem::take(&mut self.tables) {
                        self.emit(ctx, table)?;
                    }
                    self.phase = Phase::Spilled;
                }
            }
            Phase::Spilled => match self.jobs.pop() {
                Some((set, rows, depth)) => self.run_job(ctx, set, rows, depth)?,
                None => self.phase = Phase::Ended,
            },
            Phase::Ended => return Ok(false),
        }
        Ok(true)
    }
}

impl Operator for Aggregate {
    fn next(&mut self, ctx: &ExecContext<'_>) -> Result<Option<Batch>> {
        loop {
            if let Some(batch) = self.output.pop_front() {
                return Ok(Some(batch));
            }
            if !self.step(ctx)? {
                return Ok(None);
            }
        }
    }

    /// Groups of other keys need not be made.
    fn narrow(&mut self, column: usize, keys: &Arc<KeyFilter>) -> bool {
        match (self.spec.keys.get(column), &self.spec.part) {
            _ if self.spec.grouping_sets.is_some() => false,
            // The partial part has the keys where this one has them.
            (Some(Expr::Column { .. }), Part::Final(_)) => self.input.narrow(column, keys),
            (Some(Expr::Column { index, .. }), _) => self.input.narrow(*index, keys),
            _ => false,
        }
    }

    fn make_ready(&mut self, ctx: &ExecContext<'_>) -> Result<Readiness> {
        self.input.make_ready(ctx)
    }

    fn take_part(&mut self, ctx: &ExecContext<'_>, check: Check<'_>) -> Result<()> {
        self.input.take_part(ctx, check)
    }

    fn report(&self, report: &mut NodeReport) {
        report.removed_by_filter = self.removed;
        report.rows_left = self.left;
        report.groups = (self.spec.strategy == AggregateStrategy::Hashed).then_some(self.report);
    }

    fn rescan(&mut self, ctx: &ExecContext<'_>) -> Result<()> {
        self.reset();
        self.input.rescan(ctx)
    }

    fn rewind(&mut self, ctx: &ExecContext<'_>) -> Result<()> {
        self.reset();
        self.input.rewind(ctx)
    }
}

fn create_state(call: &AggregateCall) -> Result<Box<dyn AggregateState>> {
    let types: Vec<SqlType> = call.args.iter().map(Expr::ty).collect();
    call.function.create(&types, call.ty)
}

impl GroupTable {
    fn new(
        ctx: &ExecContext<'_>,
        spec: &Arc<Work>,
        set: usize,
        positions: Vec<usize>,
        depth: u32,
    ) -> Result<GroupTable> {
        let telling = if spec.grouping_sets.is_some() { positions.clone() } else { spec.telling.clone() };
        let layout = KeyLayout::new(telling.iter().map(|i| spec.keys[*i].ty()));
        let short = (spec.strategy == AggregateStrategy::Hashed && !layout.is_word())
            .then(|| ShortLayout::new(telling.iter().map(|i| spec.keys[*i].ty())))
            .flatten();
        let key_types: Vec<PhysicalType> = spec.keys.iter().map(|key| key.ty().physical).collect();
        let states = spec.aggregates.iter().map(|call| State::new(ctx, call)).collect::<Result<_>>()?;
        Ok(GroupTable {
            spec: Arc::clone(spec),
            set,
            table: if layout.is_word() { KeyTable::words() } else { KeyTable::bytes() },
            long_groups: Vec::new(),
            short: short.map(|short| (short, ShortTable::default(), ShortKeys::default())),
            layout,
            positions,
            telling,
            null_group: None,
            groups: 0,
            key_bytes: key_types.iter().map(|ty| ty.stored_width().map_or(24, usize::from)).sum(),
            keys: builders(&key_types, 0),
            states,
            spill: None,
            depth,
            numbers: Vec::new(),
            batch_keys: BatchKeys::default(),
        })
    }

    fn add_only_group(&mut self) {
        self.groups = 1;
        self.keys.iter_mut().for_each(ColumnBuilder::push_null);
        self.states.iter_mut().for_each(|state| state.state.grow(1));
    }

    fn memory_bytes(&self) -> usize {
        let states: usize = self.states.iter().map(State::memory_bytes).sum();
        let short = self.short.as_ref().map_or(0, |(_, table, _)| table.memory_bytes());
        states + short + self.table.memory_bytes() + self.groups * self.key_bytes
    }

    /// Rows that were put aside, in any order.
    fn take_aside(&mut self) -> Result<Vec<RowStore>> {
        let Some(spill) = self.spill.take() else { return Ok(Vec::new()) };
        Ok(spill.finish()?.into_iter().filter(|part| !part.is_empty()).collect())
    }

    /// Adds the groups of another table of the same grouping set, whose states see their rows after those here.
    fn join(&mut self, ctx: &ExecContext<'_>, mut other: GroupTable) -> Result<()> {
        let keys: Vec<Arc<Column>> = other.keys.iter_mut().map(|builder| Arc::new(builder.take())).collect();
        let mut mapping: Vec<u32> = Vec::with_capacity(other.groups);
        if self.positions.is_empty() {
            if other.groups > 0 && self.groups == 0 {
                self.add_only_group();
            }
            mapping.resize(other.groups, 0);
        } else {
            for start in (0..other.groups).step_by(ochre_base::limits::BATCH_ROWS) {
                ctx.check_interrupts()?;
                let rows = ochre_base::limits::BATCH_ROWS.min(other.groups - start);
                let part: Vec<Arc<Column>> =
                    keys.iter().map(|column| Arc::new(column.slice(start, rows))).collect();
                let mut batch_keys = std::mem::take(&mut self.batch_keys);
                self.encode_keys(&part, rows, 0..rows, &mut batch_keys)?;
                mapping.extend((0..rows).map(|row| self.number(&batch_keys, &part, row)));
                self.batch_keys = batch_keys;
            }
        }
        for (state, other) in self.states.iter_mut().zip(other.states) {
            ctx.check_interrupts()?;
            state.state.grow(self.groups);
            state.state.merge(other.state, &mapping)?;
        }
        Ok(())
    }

    /// Forms the keys of a batch's rows: short ones where they fit, others in `batch_keys`.
    fn encode_keys(
        &mut self,
        keys: &[Arc<Column>],
        rows: usize,
        active: impl Iterator<Item = usize> + Clone,
        batch_keys: &mut BatchKeys,
    ) -> Result<()> {
        let own: Vec<Arc<Column>> = self.telling.iter().map(|i| Arc::clone(&keys[*i])).collect();
        match &mut self.short {
            Some((layout, _, keys)) => {
                layout.encode(&own, rows, active.clone(), keys);
                if keys.any_long {
                    let long: Vec<usize> = active.filter(|row| keys.is_long(*row)).collect();
                    self.layout.encode(&own, rows, long.into_iter(), batch_keys)?;
                }
            }
            None => self.layout.encode(&own, rows, active, batch_keys)?,
        }
        Ok(())
    }

    /// For sorted input: whether it is time to give groups out.
    fn is_large(&self, ctx: &ExecContext<'_>, enough: usize) -> bool {
        self.groups >= enough.min(ctx.batch_rows())
            || (self.groups > 1 && self.memory_bytes() > ctx.work_mem_bytes())
    }

    /// Adds a batch's rows. When memory is short and `may_spill`, rows of new groups are put aside.
    fn add(
        &mut self,
        ctx: &ExecContext<'_>,
        batch: &Batch,
        keys: &[Arc<Column>],
        may_spill: bool,
    ) -> Result<()> {
        if self.positions.is_empty() {
            if self.groups == 0 {
                self.add_only_group();
            }
            return self.update(ctx, batch, None);
        }
        let mut batch_keys = std::mem::take(&mut self.batch_keys);
        self.encode_keys(keys, batch.rows, batch.active(), &mut batch_keys)?;
        let full = may_spill
            && self.groups > 0
            && (self.spill.is_some() || self.memory_bytes() > ctx.hash_mem_bytes());
        let mut numbers = std::mem::take(&mut self.numbers);
        numbers.clear();
        numbers.resize(batch.rows, 0);
        let mut kept: Vec<u16> = Vec::new();
        let mut aside: Vec<(usize, u64)> = Vec::new();
        // Rows of one group often stand side by side: only the first of them is looked up.
        let by_words = self.layout.is_word() && self.short.is_none() && !batch_keys.has_nulls();
        let mut last: Option<(u64, Option<u32>)> = None;
        for row in batch.active() {
            let found = match last {
                Some((word, found)) if word == batch_keys.words[row] => found,
                _ if full => self.find(&batch_keys, row),
                _ => Some(self.number(&batch_keys, keys, row)),
            };
            if by_words {
                last = Some((batch_keys.words[row], found));
            }
            match found {
                Some(number) => {
                    numbers[row] = number;
                    if full {
                        kept.push(row as u16);
                    }
                }
                None => {
                    let hash = match &self.short {
                        Some((_, _, keys)) if !keys.is_long(row) => keys.hash(row),
                        _ => key_hash(&self.layout, &batch_keys, row),
                    };
                    aside.push((row, hash));
                }
            }
        }
        if !aside.is_empty() {
            let spill = self.spill.get_or_insert_with(|| {
                Partitioner::new(&self.spec.input_types, self.depth, ctx.temp(), ctx.work_mem_bytes())
            });
            spill.add_rows(batch, aside.into_iter())?;
        }
        self.batch_keys = batch_keys;
        if full && kept.len() < batch.active_rows() {
            let batch = batch.clone().with_selection(Selection::new(kept));
            self.update(ctx, &batch, Some(&numbers))?;
        } else {
            self.update(ctx, batch, Some(&numbers))?;
        }
        self.numbers = numbers;
        Ok(())
    }

    fn find(&self, keys: &BatchKeys, row: usize) -> Option<u32> {
        if let Some((_, table, keys)) = &self.short
            && !keys.is_long(row)
        {
            return table.find(keys, row);
        }
        match () {
            () if self.short.is_some() => {
                self.table.find_bytes(keys.bytes(row)).map(|key| self.long_groups[key as usize])
            }
            () if !self.layout.is_word() => {
                self.table.find_bytes(keys.bytes(row)).map(|key| self.group_of(key))
            }
            () if keys.is_null(row) => self.null_group,
            () => self.table.find_word(keys.words[row]).map(|key| self.group_of(key)),
        }
    }

    /// Words have no key for NULL, so groups behind the NULL group are one off.
    fn group_of(&self, key: u32) -> u32 {
        match self.null_group {
            Some(null_group) if key >= null_group => key + 1,
            _ => key,
        }
    }

    /// The number of a row's group, which is made when it is new.
    fn number(&mut self, keys: &BatchKeys, columns: &[Arc<Column>], row: usize) -> u32 {
        let next = self.groups as u32;
        let short = match &mut self.short {
            Some((_, table, short)) if !short.is_long(row) => Some(table.insert(short, row, next)),
            _ => None,
        };
        let (number, new) = match short {
            Some(found) => found,
            None if self.short.is_some() => {
                let (key, new) = self.table.insert_bytes(keys.bytes(row));
                if new {
                    self.long_groups.push(next);
                }
                (self.long_groups[key as usize], new)
            }
            None if !self.layout.is_word() => self.table.insert_bytes(keys.bytes(row)),
            None if keys.is_null(row) => match self.null_group {
                Some(number) => (number, false),
                None => {
                    self.null_group = Some(next);
                    (next, true)
                }
            },
            None => {
                let (key, new) = self.table.insert_word(keys.words[row]);
                (self.group_of(key), new)
            }
        };
        if new {
            debug_assert_eq!(number as usize, self.groups);
            self.groups += 1;
            for (i, builder) in self.keys.iter_mut().enumerate() {
                if self.positions.contains(&i) {
                    builder.push_from(&columns[i], row);
                } else {
                    builder.push_null();
                }
            }
        }
        number
    }

    /// Whether a row belongs to the group that was made last.
    fn continues_with(
        &mut self,
        _ctx: &ExecContext<'_>,
        batch: &Batch,
        keys: &[Arc<Column>],
        row: usize,
    ) -> Result<bool> {
        let own: Vec<Arc<Column>> = self.telling.iter().map(|i| Arc::clone(&keys[*i])).collect();
        let mut batch_keys = std::mem::take(&mut self.batch_keys);
        self.layout.encode(&own, batch.rows, batch.active(), &mut batch_keys)?;
        let found = self.find(&batch_keys, row);
        self.batch_keys = batch_keys;
        Ok(found.is_some())
    }

    /// Updates every aggregate with a batch's rows; without `numbers` they all belong to group 0.
    fn update(&mut self, ctx: &ExecContext<'_>, batch: &Batch, numbers: Option<&[u32]>) -> Result<()> {
        let groups = match numbers {
            Some(numbers) => Groups::Each(numbers),
            None => Groups::One(0),
        };
        let batch = &*self.spec.common.extend(ctx, batch)?;
        let leading = self.spec.leaders.iter().filter(|leader| leader.is_none()).count();
        let by_group = match numbers {
            Some(numbers) if leading > 1 => self.rows_by_group(batch, numbers),
            _ => Vec::new(),
        };
        let in_turn = self.spec.in_turn.as_ref().map(|args| ctx.eval_in_turn(args, batch)).transpose()?;
        let mut in_turn = in_turn.map(Vec::into_iter);
        let calls = self.spec.aggregates.iter().zip(&self.spec.leaders).zip(&mut self.states);
        for ((call, leader), state) in calls {
            let computed = in_turn.as_mut().filter(|_| adds_all(call));
            let args = computed.map(|columns| columns.take(call.args.len()).collect());
            if leader.is_none() {
                state.state.grow(self.groups);
                state.add(ctx, call, batch, groups, &by_group, args)?;
            }
        }
        Ok(())
    }

    /// The rows of each group, where there are few groups and many rows.
    fn rows_by_group(&self, batch: &Batch, numbers: &[u32]) -> Vec<Option<Selection>> {
        if self.groups > FEW_GROUPS || batch.active_rows() < MANY_ROWS {
            return Vec::new();
        }
        let mut rows: Vec<Vec<u16>> = vec![Vec::new(); self.groups];
        for row in batch.active() {
            rows[numbers[row] as usize].push(row as u16);
        }
        rows.into_iter().map(|rows| (!rows.is_empty()).then(|| Selection::new(rows))).collect()
    }

    /// Key columns and aggregates by group, how many groups there are, and what was put aside.
    fn finish(mut self, ctx: &ExecContext<'_>) -> Result<(Vec<Arc<Column>>, usize, Option<Partitioner>)> {
        let mut columns: Vec<Arc<Column>> =
            self.keys.iter_mut().map(|builder| Arc::new(builder.take())).collect();
        for (number, leader) in self.spec.leaders.iter().enumerate() {
            if let Some(leader) = leader {
                let (before, from) = self.states.split_at_mut(number);
                let (leader, state) = (&mut before[*leader].state, &mut from[0].state);
                leader.grow(self.groups);
                state.adopt(&**leader)?;
            }
        }
        let mut results: Vec<Arc<Column>> = Vec::with_capacity(self.states.len());
        for (call, state) in self.spec.aggregates.iter().zip(self.states) {
            results.push(Arc::new(state.finish(ctx, call, &columns, self.groups)?));
        }
        columns.append(&mut results);
        Ok((columns, self.groups, self.spill))
    }
}

impl State {
    fn new(ctx: &ExecContext<'_>, call: &AggregateCall) -> Result<State> {
        let types = || call.args.iter().map(Expr::ty);
        let state = if call.function.kind == AggregateKind::OrderedSet {
            call.function.create_ordered_set(&types().collect::<Vec<_>>(), call.ty)?
        } else {
            create_state(call)?
        };
        let columns: Arc<[PhysicalType]> =
            std::iter::once(SqlType::INT8).chain(types()).map(|ty| ty.physical).collect();
        let distinct = call.distinct.then(|| DistinctRows {
            types: Arc::clone(&columns),
            layout: KeyLayout::new(std::iter::once(SqlType::INT8).chain(types())).into_bytes(),
            seen: KeyTable::bytes(),
            keys: BatchKeys::default(),
            aside: None,
            depth: 0,
        });
        let mut orders: Vec<KeyOrder> = key_orders(&call.order_by);
        orders.extend(implied_order(call).map(|arg| KeyOrder::new(arg.ty(), false, false)));
        let ordered = (!orders.is_empty())
            .then(|| RowSorter::new(columns.to_vec(), orders, &[], None, ctx.temp(), ctx.work_mem_bytes()));
        Ok(State { state, distinct, ordered })
    }

    fn memory_bytes(&self) -> usize {
        self.state.memory_bytes() + self.distinct.as_ref().map_or(0, |rows| rows.seen.memory_bytes())
    }

    /// Adds a batch's rows: those that pass the filter, once each with DISTINCT, at once or into the sort. `by_group` has the
    /// rows of each group, if they are known, and `args` the arguments, if they are computed.
    fn add(
        &mut self,
        ctx: &ExecContext<'_>,
        call: &AggregateCall,
        batch: &Batch,
        groups: Groups<'_>,
        by_group: &[Option<Selection>],
        args: Option<Vec<Arc<Column>>>,
    ) -> Result<()> {
        let filtered;
        let mut batch = batch;
        if let Some(filter) = &call.filter {
            match ctx.filter(filter, batch.clone())? {
                Some(rows) => {
                    filtered = rows;
                    batch = &filtered;
                }
                None => return Ok(()),
            }
        }
        let args = args.map_or_else(|| ctx.eval_all(&call.args, batch), Ok)?;
        if self.distinct.is_none() && self.ordered.is_none() {
            if call.filter.is_none() && !by_group.is_empty() {
                for (group, rows) in by_group.iter().enumerate() {
                    if let Some(rows) = rows {
                        self.update(ctx, Groups::One(group as u32), &args, batch.rows, Some(rows))?;
                    }
                }
                return Ok(());
            }
            return self.update(ctx, groups, &args, batch.rows, batch.selection.as_ref());
        }
        let mut columns = vec![Arc::new(group_column(groups, batch.rows))];
        columns.extend(args.iter().map(Arc::clone));
        let mut rows = Batch { columns, rows: batch.rows, selection: batch.selection.clone() };
        if let Some(distinct) = &mut self.distinct {
            match distinct.fresh(ctx, rows)? {
                Some(fresh) => rows = fresh,
                None => return Ok(()),
            }
        }
        match &mut self.ordered {
            None => self.update(ctx, groups, &args, rows.rows, rows.selection.as_ref()),
            Some(sorter) => {
                let keys = call.order_by.iter().map(|key| &key.expr).chain(implied_order(call));
                sorter.add(&rows, &ctx.eval_all(keys, batch)?)
            }
        }
    }

    /// Takes rows (group, arguments) of an aggregate with DISTINCT that had been put aside.
    fn add_late(&mut self, ctx: &ExecContext<'_>, call: &AggregateCall, rows: &Batch) -> Result<()> {
        let Some(sorter) = &mut self.ordered else {
            let numbers = group_numbers(&rows.columns[0])?;
            let selection = rows.selection.as_ref();
            return self.update(ctx, Groups::Each(&numbers), &rows.columns[1..], rows.rows, selection);
        };
        // With DISTINCT, what is ordered by is among the arguments.
        let column_of = |expr: &Expr| {
            let position = call.args.iter().position(|arg| arg == expr);
            position.map(|position| Arc::clone(&rows.columns[position + 1]))
        };
        let keys = call.order_by.iter().map(|key| &key.expr).chain(implied_order(call));
        let keys: Option<Vec<_>> = keys.map(column_of).collect();
        let keys = keys.ok_or_else(|| Error::internal("DISTINCT is ordered by what is no argument"))?;
        sorter.add(rows, &keys)
    }

    fn update(
        &mut self,
        ctx: &ExecContext<'_>,
        groups: Groups<'_>,
        args: &[Arc<Column>],
        rows: usize,
        selection: Option<&Selection>,
    ) -> Result<()> {
        ctx.with_eval(|eval| self.state.update(groups, args, rows, selection, eval))
    }

    fn finish(
        mut self,
        ctx: &ExecContext<'_>,
        call: &AggregateCall,
        keys: &[Arc<Column>],
        groups: usize,
    ) -> Result<Column> {
        self.state.grow(groups);
        if let Some(mut distinct) = self.distinct.take() {
            let mut jobs = distinct.take_aside()?;
            while let Some((rows, depth)) = jobs.pop() {
                distinct.seen.clear();
                distinct.depth = depth;
                for number in 0..rows.batch_count() {
                    ctx.check_interrupts()?;
                    let batch = rows.batch(number)?.expect("its number is below the count");
                    if let Some(fresh) = distinct.fresh(ctx, batch)? {
                        self.add_late(ctx, call, &fresh)?;
                    }
                }
                jobs.extend(distinct.take_aside()?);
            }
        }
        if let Some(sorter) = self.ordered.take() {
            let mut rows = sorter.finish()?;
            while let Some(batch) = rows.next(ctx.batch_rows())? {
                ctx.check_interrupts()?;
                let numbers = group_numbers(&batch.columns[0])?;
                self.update(ctx, Groups::Each(&numbers), &batch.columns[1..], batch.rows, None)?;
            }
        }
        self.answer_directly(ctx, call, keys, groups)?;
        let column = ctx.with_eval(|eval| self.state.finish(eval))?;
        Ok(column.expanded())
    }

    /// Computes direct arguments, which the groups' keys decide.
    fn answer_directly(
        &mut self,
        ctx: &ExecContext<'_>,
        call: &AggregateCall,
        keys: &[Arc<Column>],
        groups: usize,
    ) -> Result<()> {
        if call.direct_args.is_empty() {
            return Ok(());
        }
        for start in (0..groups).step_by(ctx.batch_rows()) {
            ctx.check_interrupts()?;
            let rows = ctx.batch_rows().min(groups - start);
            let columns = keys.iter().map(|column| Arc::new(column.slice(start, rows))).collect();
            let direct = ctx.eval_all(&call.direct_args, &Batch::new(columns, rows))?;
            for row in 0..rows {
                let values: Vec<Datum> = direct.iter().map(|column| column.datum(row)).collect();
                self.state.answer_for((start + row) as u32, &values)?;
            }
        }
        Ok(())
    }
}

impl DistinctRows {
    /// The rows of a batch that did not come before; when there is no room to remember more, new ones are put aside.
    fn fresh(&mut self, ctx: &ExecContext<'_>, batch: Batch) -> Result<Option<Batch>> {
        self.layout.encode(&batch.columns, batch.rows, batch.active(), &mut self.keys)?;
        let full = self.aside.is_some()
            || (self.seen.memory_bytes() > ctx.hash_mem_bytes() && self.depth < MAX_DEPTH);
        let mut fresh: Vec<u16> = Vec::new();
        for row in batch.active() {
            let key = self.keys.bytes(row);
            if !full || self.seen.len() == 0 {
                if self.seen.insert_bytes(key).1 {
                    fresh.push(row as u16);
                }
            } else if self.seen.find_bytes(key).is_none() {
                let hash = key_hash(&self.layout, &self.keys, row);
                let (types, depth) = (&self.types, self.depth);
                self.aside
                    .get_or_insert_with(|| Partitioner::new(types, depth, ctx.temp(), ctx.work_mem_bytes()))
                    .add(&batch, row, hash)?;
            }
        }
        Ok((!fresh.is_empty()).then(|| batch.with_selection(Selection::new(fresh))))
    }

    /// What was put aside, with its level of splitting.
    fn take_aside(&mut self) -> Result<Vec<(RowStore, u32)>> {
        let Some(aside) = self.aside.take() else { return Ok(Vec::new()) };
        let parts = aside.finish()?.into_iter().filter(|part| !part.is_empty());
        Ok(parts.map(|part| (part, self.depth + 1)).collect())
    }
}

/// The arguments by which rows of an aggregate with DISTINCT are ordered beyond its ORDER BY, where the order shows in
/// the result: PostgreSQL finds what is distinct by sorting, so `array_agg(DISTINCT x)` is in order.
fn implied_order(call: &AggregateCall) -> impl Iterator<Item = &Expr> {
    let shows = call.distinct
        && (call.function.called.is_some()
            || !matches!(
                &*call.function.function.name,
                "count" | "sum" | "avg" | "min" | "max" | "bool_and" | "bool_or"
            ));
    let ordered = |arg: &&Expr| !call.order_by.iter().any(|key| key.expr == **arg);
    call.args.iter().filter(move |_| shows).filter(ordered)
}

fn group_numbers(column: &Column) -> Result<Vec<u32>> {
    let values = column.as_i64s().ok_or_else(|| Error::internal("group numbers are integers"))?;
    let stride = column.stride();
    Ok((0..column.len()).map(|row| values[row * stride] as u32).collect())
}

/// The group of each row as a column.
fn group_column(groups: Groups<'_>, rows: usize) -> Column {
    match groups {
        Groups::One(group) => {
            Column::constant(PhysicalType::Int64, &ochre_types::Datum::Int64(i64::from(group)), rows)
        }
        Groups::Each(numbers) => {
            Column::from(numbers.iter().map(|number| i64::from(*number)).collect::<Vec<i64>>())
        }
    }
}
