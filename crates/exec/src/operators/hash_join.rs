//! Hash join: a table of the inner (build) side, probed by the outer side. Every join type.
//!
//! # How
//! The build side is read to its end: its rows go to columns, their keys to a [`KeyTable`], and the rows of one key
//! form a chain in their order of arrival. Then each outer batch is probed; pairs are gathered, checked against the
//! residual condition, and completed with NULLs where the join type asks for it.
//!
//! When the build side exceeds the memory budget, both sides are split by the hash of the key into partitions on disk,
//! which are then joined one by one; a partition that is still too large is split again by other bits.
//!
//! # Invariants
//! - HJ1: a row with a NULL key is in no chain (unless its keys are null-safe), but is kept when unmatched build rows are
//!   output.
//! - HJ2: whether the inner side is empty, and whether it has a NULL key, is known before the first outer row is judged:
//!   NOT IN and null-aware marks depend on the whole inner side, not on a partition.

use std::collections::VecDeque;
use std::sync::Arc;

use ochre_base::Result;
use ochre_expr::Expr;
use ochre_sql::physical::JoinType;
use ochre_types::{Batch, Column, ColumnBuilder, PhysicalType, Selection};

use crate::columns::{NO_ROW, active_bytes, append_active, builders, gather, gather_optional, null_columns};
use crate::dependencies::{Dependencies, DependencyValues};
use crate::key_table::KeyTable;
use crate::keys::{BatchKeys, KeyLayout};
use crate::partition::{MAX_DEPTH, Partitioner, key_hash};
use crate::row_store::RowStore;
use crate::{BoxOperator, ExecContext, Operator};

/// What a [`HashJoin`] needs to know.
pub struct HashJoinSpec {
    pub join: JoinType,
    pub outer_keys: Vec<Expr>,
    pub inner_keys: Vec<Expr>,
    pub null_safe: Vec<bool>,
    pub residual: Option<Expr>,
    pub filter: Option<Expr>,
    pub inner_unique: bool,
    pub null_aware_mark: bool,
    pub outer_types: Arc<[PhysicalType]>,
    pub inner_types: Arc<[PhysicalType]>,
    /// What the inner side depends on.
    pub inner_dependencies: Dependencies,
}

/// A join by hashing.
pub struct HashJoin {
    spec: HashJoinSpec,
    layout: KeyLayout,
    outer: BoxOperator,
    inner: BoxOperator,
    state: State,
    built_with: DependencyValues,
    /// HJ2.
    inner_rows: u64,
    inner_has_null_key: bool,
    output: VecDeque<Batch>,
}

#[allow(clippy::large_enum_variant, reason = "one a join")]
enum State {
    New,
    /// The build side fits: outer batches come from the outer operator.
    Memory(Table),
    /// Partitions to join, the one that is being joined, and the next outer batch of it.
    Spilled {
        jobs: Vec<Job>,
        current: Option<(Table, RowStore, usize)>,
    },
    Ended,
}

/// Two partitions with the same hash bits.
struct Job {
    build: RowStore,
    probe: RowStore,
    depth: u32,
}

/// The build side in memory.
struct Table {
    columns: Vec<Arc<Column>>,
    rows: usize,
    keys: KeyTable,
    /// First row of each key's chain, and the row after each row.
    heads: Vec<u32>,
    next: Vec<u32>,
    /// For right and full joins: which rows found a partner; then how far unmatched ones have been output.
    matched: Vec<bool>,
    unmatched_next: usize,
}

/// A build side that grows.
struct TableBuilder {
    builders: Vec<ColumnBuilder>,
    rows: usize,
    bytes: usize,
    keys: KeyTable,
    heads: Vec<u32>,
    tails: Vec<u32>,
    next: Vec<u32>,
}

impl TableBuilder {
    fn new(types: &[PhysicalType], layout: &KeyLayout) -> TableBuilder {
        TableBuilder {
            builders: builders(types, 0),
            rows: 0,
            bytes: 0,
            keys: if layout.is_word() { KeyTable::words() } else { KeyTable::bytes() },
            heads: Vec::new(),
            tails: Vec::new(),
            next: Vec::new(),
        }
    }

    fn memory_bytes(&self) -> usize {
        self.bytes + self.keys.memory_bytes() + (self.heads.len() + self.tails.len() + self.next.len()) * 4
    }

    fn add(&mut self, batch: &Batch, keys: &BatchKeys, layout: &KeyLayout) {
        for row in batch.active() {
            let number = self.next.len() as u32;
            self.next.push(NO_ROW);
            let key = match () {
                () if keys.is_null(row) => continue,
                () if layout.is_word() => self.keys.insert_word(keys.words[row]),
                () => self.keys.insert_bytes(keys.bytes(row)),
            };
            match key {
                (_, true) => {
                    self.heads.push(number);
                    self.tails.push(number);
                }
                (key, false) => {
                    let tail = &mut self.tails[key as usize];
                    self.next[*tail as usize] = number;
                    *tail = number;
                }
            }
        }
        for (i, builder) in self.builders.iter_mut().enumerate() {
            append_active(builder, batch, i);
        }
        self.rows += batch.active_rows();
        self.bytes += active_bytes(batch);
    }

    fn finish(mut self, track_matches: bool) -> Table {
        Table {
            columns: self.builders.iter_mut().map(|builder| Arc::new(builder.take())).collect(),
            rows: self.rows,
            keys: self.keys,
            heads: self.heads,
            next: self.next,
            matched: vec![false; if track_matches { self.rows } else { 0 }],
            unmatched_next: 0,
        }
    }
}

impl HashJoin {
    /// Joins two inputs.
    pub fn new(outer: BoxOperator, inner: BoxOperator, spec: HashJoinSpec) -> HashJoin {
        let layout = KeyLayout::new(spec.inner_keys.iter().map(Expr::ty)).with_null_safe(&spec.null_safe);
        HashJoin {
            spec,
            layout,
            outer,
            inner,
            state: State::New,
            built_with: DependencyValues::default(),
            inner_rows: 0,
            inner_has_null_key: false,
            output: VecDeque::new(),
        }
    }

    /// Whether build rows without a partner are output.
    fn tracks_matches(&self) -> bool {
        matches!(self.spec.join, JoinType::Right | JoinType::Full)
    }

    /// Reads the inner side; when it does not fit, also splits the outer side.
    fn build(&mut self, ctx: &ExecContext<'_>) -> Result<State> {
        self.built_with = self.spec.inner_dependencies.values(ctx);
        self.inner_rows = 0;
        self.inner_has_null_key = false;
        let mut table = TableBuilder::new(&self.spec.inner_types, &self.layout);
        let mut keys = BatchKeys::default();
        while let Some(batch) = self.inner.next(ctx)? {
            ctx.check_interrupts()?;
            self.note_inner(ctx, &batch, &mut keys)?;
            table.add(&batch, &keys, &self.layout);
            if table.memory_bytes() > ctx.work_mem_bytes() {
                return self.split(ctx, table);
            }
        }
        let useless = self.inner_rows == 0
            && matches!(self.spec.join, JoinType::Inner | JoinType::Semi | JoinType::Right);
        Ok(if useless { State::Ended } else { State::Memory(table.finish(self.tracks_matches())) })
    }

    /// Forms an inner batch's keys and notes what NOT IN must know (HJ2).
    fn note_inner(&mut self, ctx: &ExecContext<'_>, batch: &Batch, keys: &mut BatchKeys) -> Result<()> {
        let columns = ctx.eval_all(&self.spec.inner_keys, batch)?;
        self.layout.encode(&columns, batch.rows, batch.active(), keys)?;
        self.inner_rows += batch.active_rows() as u64;
        self.inner_has_null_key |= keys.has_nulls() && batch.active().any(|row| keys.is_null(row));
        Ok(())
    }

    /// Writes what has been read of the inner side, and the rest of both sides, to partitions.
    fn split(&mut self, ctx: &ExecContext<'_>, table: TableBuilder) -> Result<State> {
        let mut build = Partitioner::new(&self.spec.inner_types, 0, ctx.temp());
        let mut keys = BatchKeys::default();
        let table = table.finish(false);
        for start in (0..table.rows).step_by(ctx.batch_rows()) {
            let rows = ctx.batch_rows().min(table.rows - start);
            let columns = table.columns.iter().map(|column| Arc::new(column.slice(start, rows))).collect();
            let batch = Batch::new(columns, rows);
            let columns = ctx.eval_all(&self.spec.inner_keys, &batch)?;
            self.layout.encode(&columns, rows, 0..rows, &mut keys)?;
            for row in 0..rows {
                build.add(&batch, row, key_hash(&self.layout, &keys, row))?;
            }
        }
        drop(table);
        while let Some(batch) = self.inner.next(ctx)? {
            ctx.check_interrupts()?;
            self.note_inner(ctx, &batch, &mut keys)?;
            for row in batch.active() {
                build.add(&batch, row, key_hash(&self.layout, &keys, row))?;
            }
        }
        let mut probe = Partitioner::new(&self.spec.outer_types, 0, ctx.temp());
        while let Some(batch) = self.outer.next(ctx)? {
            ctx.check_interrupts()?;
            let columns = ctx.eval_all(&self.spec.outer_keys, &batch)?;
            self.layout.encode(&columns, batch.rows, batch.active(), &mut keys)?;
            for row in batch.active() {
                probe.add(&batch, row, key_hash(&self.layout, &keys, row))?;
            }
        }
        let jobs = build.finish()?.into_iter().zip(probe.finish()?);
        let jobs = jobs.map(|(build, probe)| Job { build, probe, depth: 0 }).rev().collect();
        Ok(State::Spilled { jobs, current: None })
    }

    /// Loads a partition's build side; when it does not fit, splits both sides further instead.
    fn load(
        &self,
        ctx: &ExecContext<'_>,
        job: Job,
        jobs: &mut Vec<Job>,
    ) -> Result<Option<(Table, RowStore)>> {
        let mut table = TableBuilder::new(&self.spec.inner_types, &self.layout);
        let mut keys = BatchKeys::default();
        let mut number = 0;
        while let Some(batch) = job.build.batch(number)? {
            ctx.check_interrupts()?;
            number += 1;
            let columns = ctx.eval_all(&self.spec.inner_keys, &batch)?;
            self.layout.encode(&columns, batch.rows, batch.active(), &mut keys)?;
            table.add(&batch, &keys, &self.layout);
            if table.memory_bytes() > ctx.work_mem_bytes() && job.depth < MAX_DEPTH && table.keys.len() > 1 {
                drop(table);
                self.split_job(ctx, &job, jobs)?;
                return Ok(None);
            }
        }
        Ok(Some((table.finish(self.tracks_matches()), job.probe)))
    }

    fn split_job(&self, ctx: &ExecContext<'_>, job: &Job, jobs: &mut Vec<Job>) -> Result<()> {
        let depth = job.depth + 1;
        let mut sides = Vec::with_capacity(2);
        let inputs = [
            (&job.build, &self.spec.inner_keys, &self.spec.inner_types),
            (&job.probe, &self.spec.outer_keys, &self.spec.outer_types),
        ];
        for (store, exprs, types) in inputs {
            let mut parts = Partitioner::new(types, depth, ctx.temp());
            let mut keys = BatchKeys::default();
            let mut number = 0;
            while let Some(batch) = store.batch(number)? {
                ctx.check_interrupts()?;
                number += 1;
                let columns = ctx.eval_all(exprs, &batch)?;
                self.layout.encode(&columns, batch.rows, batch.active(), &mut keys)?;
                for row in batch.active() {
                    parts.add(&batch, row, key_hash(&self.layout, &keys, row))?;
                }
            }
            sides.push(parts.finish()?);
        }
        let probes = sides.pop().expect("two sides");
        let builds = sides.pop().expect("two sides");
        jobs.extend(builds.into_iter().zip(probes).map(|(build, probe)| Job { build, probe, depth }));
        Ok(())
    }

    /// Joins one outer batch with a table; results go to `output`.
    fn probe(&mut self, ctx: &ExecContext<'_>, table: &mut Table, batch: Batch) -> Result<()> {
        let columns = ctx.eval_all(&self.spec.outer_keys, &batch)?;
        let mut keys = BatchKeys::default();
        self.layout.encode(&columns, batch.rows, batch.active(), &mut keys)?;
        let mut matched = vec![false; batch.rows];
        let exists_only = !self.spec.join.keeps_inner() && self.spec.residual.is_none();
        let first_only = exists_only || (self.spec.inner_unique && self.spec.residual.is_none());
        let mut pairs = Pairs::default();
        for row in batch.active() {
            let Some(key) = self.find(table, &keys, row) else { continue };
            if exists_only {
                matched[row] = true;
                continue;
            }
            let mut inner = table.heads[key as usize];
            while inner != NO_ROW {
                pairs.outer.push(row as u32);
                pairs.inner.push(inner);
                if pairs.outer.len() == ctx.batch_rows() {
                    self.join_pairs(ctx, table, &batch, &mut pairs, &mut matched)?;
                }
                if first_only {
                    break;
                }
                inner = table.next[inner as usize];
            }
        }
        self.join_pairs(ctx, table, &batch, &mut pairs, &mut matched)?;
        self.finish_outer(ctx, batch, &keys, &matched)
    }

    fn find(&self, table: &Table, keys: &BatchKeys, row: usize) -> Option<u32> {
        match () {
            () if keys.is_null(row) => None,
            () if self.layout.is_word() => table.keys.find_word(keys.words[row]),
            () => table.keys.find_bytes(keys.bytes(row)),
        }
    }

    fn join_pairs(
        &mut self,
        ctx: &ExecContext<'_>,
        table: &mut Table,
        batch: &Batch,
        pairs: &mut Pairs,
        matched: &mut [bool],
    ) -> Result<()> {
        if pairs.outer.is_empty() {
            return Ok(());
        }
        ctx.check_interrupts()?;
        let rows = pairs.outer.len();
        let mut columns = gather(&batch.columns, &pairs.outer);
        columns.extend(gather(&table.columns, &pairs.inner));
        let joined = ctx.filter_if(self.spec.residual.as_ref(), Batch::new(columns, rows))?;
        if let Some(joined) = joined {
            for row in joined.active() {
                matched[pairs.outer[row] as usize] = true;
                if !table.matched.is_empty() {
                    table.matched[pairs.inner[row] as usize] = true;
                }
            }
            if self.spec.join.keeps_inner()
                && let Some(joined) = ctx.filter_if(self.spec.filter.as_ref(), joined)?
            {
                self.output.push_back(joined);
            }
        }
        pairs.outer.clear();
        pairs.inner.clear();
        Ok(())
    }

    /// What an outer batch gives when all its pairs have been looked at.
    fn finish_outer(
        &mut self,
        ctx: &ExecContext<'_>,
        batch: Batch,
        keys: &BatchKeys,
        matched: &[bool],
    ) -> Result<()> {
        let inner_empty = self.inner_rows == 0;
        let keep = |wanted: &dyn Fn(usize) -> bool| {
            let rows: Vec<u16> = batch.active().filter(|row| wanted(*row)).map(|row| row as u16).collect();
            Selection::new(rows)
        };
        let selection = match self.spec.join {
            JoinType::Inner | JoinType::Right => return Ok(()),
            JoinType::Left | JoinType::Full => {
                let lone: Vec<u32> =
                    batch.active().filter(|row| !matched[*row]).map(|row| row as u32).collect();
                if lone.is_empty() {
                    return Ok(());
                }
                let mut columns = gather(&batch.columns, &lone);
                columns.extend(null_columns(&self.spec.inner_types, lone.len()));
                let rows = Batch::new(columns, lone.len());
                self.output.extend(ctx.filter_if(self.spec.filter.as_ref(), rows)?);
                return Ok(());
            }
            JoinType::Mark => {
                let mark = self.mark_column(&batch, keys, matched);
                let mut batch = batch;
                batch.columns.push(Arc::new(mark));
                self.output.push_back(batch);
                return Ok(());
            }
            JoinType::Semi => keep(&|row| matched[row]),
            JoinType::Anti => keep(&|row| !matched[row]),
            JoinType::AntiNullAware if inner_empty => keep(&|_| true),
            JoinType::AntiNullAware if self.inner_has_null_key => return Ok(()),
            JoinType::AntiNullAware => keep(&|row| !matched[row] && !keys.is_null(row)),
        };
        if !selection.is_empty() {
            self.output.push_back(batch.with_selection(selection));
        }
        Ok(())
    }

    fn mark_column(&self, batch: &Batch, keys: &BatchKeys, matched: &[bool]) -> Column {
        let mut mark = ColumnBuilder::new(PhysicalType::Bool, batch.rows);
        let aware = self.spec.null_aware_mark && self.inner_rows > 0;
        for (row, matched) in matched.iter().enumerate() {
            match *matched {
                true => mark.push_bool(true),
                false if aware && (self.inner_has_null_key || keys.is_null(row)) => mark.push_null(),
                false => mark.push_bool(false),
            }
        }
        mark.finish()
    }

    /// The next build rows that found no partner, beside NULLs; false when there are no more.
    fn emit_unmatched(&mut self, ctx: &ExecContext<'_>, table: &mut Table) -> Result<bool> {
        if !self.tracks_matches() {
            return Ok(false);
        }
        let mut rows = Vec::new();
        while table.unmatched_next < table.rows && rows.len() < ctx.batch_rows() {
            if !table.matched[table.unmatched_next] {
                rows.push(table.unmatched_next as u32);
            }
            table.unmatched_next += 1;
        }
        if rows.is_empty() {
            return Ok(false);
        }
        let mut columns = null_columns(&self.spec.outer_types, rows.len());
        columns.extend(gather_optional(&table.columns, &rows));
        let batch = Batch::new(columns, rows.len());
        self.output.extend(ctx.filter_if(self.spec.filter.as_ref(), batch)?);
        Ok(true)
    }

    /// Does one step of work, which may or may not give output; false at the end.
    fn step(&mut self, ctx: &ExecContext<'_>) -> Result<bool> {
        match std::mem::replace(&mut self.state, State::Ended) {
            State::New => {
                self.state = self.build(ctx)?;
                Ok(true)
            }
            State::Ended => Ok(false),
            State::Memory(mut table) => {
                let more = match self.outer_batch(ctx, &table)? {
                    Some(batch) => {
                        self.probe(ctx, &mut table, batch)?;
                        true
                    }
                    None => self.emit_unmatched(ctx, &mut table)?,
                };
                // The table is kept at the end too: a rescan may use it again.
                self.state = State::Memory(table);
                Ok(more)
            }
            State::Spilled { mut jobs, current } => {
                let current = match current {
                    Some((mut table, probe, number)) => match probe.batch(number)? {
                        Some(batch) => {
                            self.probe(ctx, &mut table, batch)?;
                            Some((table, probe, number + 1))
                        }
                        None if self.emit_unmatched(ctx, &mut table)? => Some((table, probe, number)),
                        None => None,
                    },
                    None => match jobs.pop() {
                        None => return Ok(false),
                        Some(job) => self.load(ctx, job, &mut jobs)?.map(|(table, probe)| (table, probe, 0)),
                    },
                };
                self.state = State::Spilled { jobs, current };
                Ok(true)
            }
        }
    }

    fn outer_batch(&mut self, ctx: &ExecContext<'_>, table: &Table) -> Result<Option<Batch>> {
        // After the end, while unmatched rows are output, the outer side is not asked again.
        if table.unmatched_next > 0 { Ok(None) } else { self.outer.next(ctx) }
    }
}

#[derive(Default)]
struct Pairs {
    outer: Vec<u32>,
    inner: Vec<u32>,
}

impl Operator for HashJoin {
    fn next(&mut self, ctx: &ExecContext<'_>) -> Result<Option<Batch>> {
        loop {
            if let Some(batch) = self.output.pop_front() {
                return Ok(Some(batch));
            }
            if !self.step(ctx)? {
                return Ok(self.output.pop_front());
            }
        }
    }

    fn rescan(&mut self, ctx: &ExecContext<'_>) -> Result<()> {
        self.output.clear();
        match &mut self.state {
            State::New => return Ok(()),
            State::Memory(table) if self.spec.inner_dependencies.unchanged(ctx, &self.built_with) => {
                table.matched.fill(false);
                table.unmatched_next = 0;
            }
            _ => {
                self.state = State::New;
                self.inner.rescan(ctx)?;
            }
        }
        self.outer.rescan(ctx)
    }
}
