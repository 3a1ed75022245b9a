//! Hash join: a table of the inner (build) side, probed by the outer side. Every join type.
//!
//! # How
//! The build side is read to its end: its rows go to columns, their keys to a [`JoinIndex`]. Then each outer batch is
//! probed; pairs are checked against the residual condition, for which only the columns that it reads are gathered, and
//! what comes out is gathered for those that are left, completed with NULLs where the join type asks for it.
//!
//! Where outer rows without a partner are of no account, the outer side is told which keys there are before it runs
//! ([`Operator::narrow`]), so that a scan leaves most rows out while it reads a page.
//!
//! When the build side exceeds the memory budget, both sides are split by the hash of the key into partitions on disk,
//! which are then joined one by one; a partition that is still too large is split again by other bits. One of many rows
//! of one key does not fall apart: it is taken in chunks, each of which meets the whole outer partition.
//!
//! Threads that join shares of the outer side have one table of the build side ([`SharedBuild`]): the thread that runs the
//! statement makes it before the others begin, in [`Operator::make_ready`]. When it does not fit, each of them splits its
//! own share of the outer side, and loads the partitions of the build side, which are common to all.
//!
//! An outer batch with many partners is left as soon as some batches of output wait, and gone on with later.
//!
//! # Invariants
//! - HJ1: a row with a NULL key is in no chain (unless its keys are null-safe), but is kept when unmatched build rows are
//!   output.
//! - HJ2: whether the inner side is empty, and whether it has a NULL key, is known before the first outer row is judged:
//!   NOT IN and null-aware marks depend on the whole inner side, not on a partition.

use std::collections::VecDeque;
use std::ops::Deref;
use std::sync::Arc;

use ochre_base::{Error, Result};
use ochre_expr::Expr;
use ochre_sql::explain::{HashReport, NodeReport};
use ochre_sql::physical::JoinType;
use ochre_types::{Batch, Column, ColumnBuilder, PhysicalType, Selection};
use parking_lot::Mutex;

use crate::columns::{NO_ROW, active_bytes, append_active, builders, gather, gather_optional, null_columns};
use crate::dependencies::{Dependencies, DependencyValues};
use crate::join_table::{JoinIndex, JoinKeys};
use crate::key_filter::KeyFilter;
use crate::keys::{BatchKeys, KeyLayout};
use crate::operator::Nothing;
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
    /// Which of the join type's columns come out.
    pub output: Vec<usize>,
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
    /// The keys by outer column, once they are known.
    filters: Option<Arc<Filters>>,
    /// The build side has been told keys by what stands above: it is not the same after a rescan.
    inner_narrowed: bool,
    /// Fewer rows than this wait for more: few at first, for a LIMIT above.
    few_rows: usize,
    /// The columns of outer and inner rows, one after the other, that the residual reads.
    residual_columns: Vec<usize>,
    probing: Option<Probing>,
    /// While a partition is joined in several chunks.
    chunks: Option<Chunks>,
    /// The build side is common to several threads' joins.
    shared: Option<Arc<SharedBuild>>,
    output: VecDeque<Batch>,
    /// For EXPLAIN ANALYZE.
    table_report: HashReport,
    /// Pairs that the residual left out.
    removed: u64,
}

/// A build side that several threads' joins have in common.
#[derive(Default)]
pub struct SharedBuild {
    built: Mutex<Option<Built>>,
}

impl SharedBuild {
    /// Forgets it.
    pub(crate) fn reset(&self) {
        *self.built.lock() = None;
    }
}

/// What each of the joins needs of the build side.
#[derive(Clone)]
struct Built {
    inner_rows: u64,
    inner_has_null_key: bool,
    filters: Option<Arc<Filters>>,
    side: BuildSide,
}

/// The keys of the build side by outer column.
type Filters = Vec<(usize, Arc<KeyFilter>)>;

#[derive(Clone)]
enum BuildSide {
    /// No outer row has a partner, and only those that have would come out.
    Useless,
    Memory(Arc<TableRows>),
    Partitions(Arc<[Arc<RowStore>]>),
}

/// So many rows come out at once, where there are enough.
const MANY_ROWS: usize = 1024;

#[allow(clippy::large_enum_variant, reason = "one a join")]
enum State {
    New,
    /// The build side fits: outer batches come from the outer operator.
    Memory(Table),
    /// Partitions to join, and the one that is being joined.
    Spilled {
        jobs: Vec<Job>,
        current: Option<Running>,
    },
    Ended,
}

/// A partition that is being joined.
struct Running {
    table: Table,
    job: Job,
    /// The next batch of its outer side, and how many rows come before it.
    number: usize,
    rows_before: usize,
    /// Where the chunk of the build side begins that follows the one in `table`.
    next_chunk: Option<usize>,
}

/// What chunks of a partition's build side have in common.
#[derive(Default)]
struct Chunks {
    /// For each outer row whether it has found a partner, a bit each.
    matched: Vec<u64>,
    /// Outer rows before the batch that is being joined.
    offset: usize,
    /// Whether no further chunk will meet the outer rows.
    is_last: bool,
}

/// An outer batch that is being joined.
struct Probing {
    batch: Batch,
    keys: BatchKeys,
    found: Pairs,
    matched: Vec<bool>,
    /// The next of the rows found, and where its chain goes on, unless at its start.
    next: usize,
    inner: u32,
}

/// Batches of output that wait at most before an outer batch is left for later.
const MANY_BATCHES: usize = 4;

/// Two partitions with the same hash bits.
struct Job {
    build: Arc<RowStore>,
    probe: RowStore,
    depth: u32,
}

/// The build side in memory.
struct Table {
    shared: Arc<TableRows>,
    /// Where build rows are output by whether they found a partner: which did; then how far they have been looked at.
    matched: Vec<bool>,
    judged: usize,
}

/// Rows of the build side and how to find them.
struct TableRows {
    columns: Vec<Arc<Column>>,
    rows: usize,
    index: JoinIndex,
}

impl Deref for Table {
    type Target = TableRows;

    fn deref(&self) -> &TableRows {
        &self.shared
    }
}

/// A build side that grows.
struct TableBuilder {
    builders: Vec<ColumnBuilder>,
    rows: usize,
    bytes: usize,
    keys: JoinKeys,
}

impl TableBuilder {
    fn new(types: &[PhysicalType], layout: &KeyLayout) -> TableBuilder {
        TableBuilder { builders: builders(types, 0), rows: 0, bytes: 0, keys: JoinKeys::new(layout) }
    }

    fn memory_bytes(&self) -> usize {
        self.bytes + self.keys.memory_bytes()
    }

    fn add(&mut self, batch: &Batch, keys: &BatchKeys) {
        self.keys.add(keys, batch.active());
        for (i, builder) in self.builders.iter_mut().enumerate() {
            append_active(builder, batch, i);
        }
        self.rows += batch.active_rows();
        self.bytes += active_bytes(batch);
    }

    fn finish(mut self, track_matches: bool) -> Table {
        let rows = TableRows {
            columns: self.builders.iter_mut().map(|builder| Arc::new(builder.take())).collect(),
            rows: self.rows,
            index: self.keys.finish(),
        };
        let matched = vec![false; if track_matches { self.rows } else { 0 }];
        Table { shared: Arc::new(rows), matched, judged: 0 }
    }
}

impl HashJoin {
    /// Joins two inputs.
    pub fn new(outer: BoxOperator, inner: BoxOperator, spec: HashJoinSpec) -> HashJoin {
        let layout = KeyLayout::without_nulls(spec.inner_keys.iter().map(Expr::ty));
        let layout = layout.with_null_safe(&spec.null_safe);
        let mut residual_columns: Vec<usize> = spec.residual.iter().flat_map(Expr::columns).collect();
        residual_columns.sort_unstable();
        residual_columns.dedup();
        HashJoin {
            spec,
            layout,
            outer,
            inner,
            state: State::New,
            built_with: DependencyValues::default(),
            inner_rows: 0,
            inner_has_null_key: false,
            filters: None,
            inner_narrowed: false,
            few_rows: 1,
            residual_columns,
            probing: None,
            chunks: None,
            shared: None,
            output: VecDeque::new(),
            table_report: HashReport::default(),
            removed: 0,
        }
    }

    /// The same over a part of the outer rows, with a build side that others have, too.
    pub fn sharing(mut self, shared: Arc<SharedBuild>) -> HashJoin {
        self.shared = Some(shared);
        self
    }

    /// Whether build rows are output by whether they found a partner.
    fn tracks_matches(&self) -> bool {
        self.judges_inner() || matches!(self.spec.join, JoinType::Right | JoinType::Full)
    }

    /// Whether build rows alone are output.
    fn judges_inner(&self) -> bool {
        matches!(self.spec.join, JoinType::RightSemi | JoinType::RightAnti)
    }

    /// Whether outer rows without a partner are of no account.
    fn drops_outer(&self) -> bool {
        use JoinType as J;
        matches!(self.spec.join, J::Inner | J::Semi | J::Right | J::RightSemi | J::RightAnti)
    }

    /// Tells the outer side which keys there are.
    fn narrow_outer(&mut self, ctx: &ExecContext<'_>, table: &Table) -> Result<()> {
        if !self.drops_outer() {
            return Ok(());
        }
        if self.filters.is_none() {
            self.filters = Some(Arc::new(self.key_filters(ctx, table)?));
        }
        for (index, keys) in self.filters.iter().flat_map(|filters| filters.iter()) {
            self.outer.narrow(*index, keys);
        }
        Ok(())
    }

    fn key_filters(&self, ctx: &ExecContext<'_>, table: &Table) -> Result<Filters> {
        let mut filters = Vec::new();
        for (i, (outer, inner)) in self.spec.outer_keys.iter().zip(&self.spec.inner_keys).enumerate() {
            let Expr::Column { index, .. } = outer else { continue };
            if self.spec.null_safe.get(i) == Some(&true) {
                continue;
            }
            let keys = match inner {
                Expr::Column { index, .. } => Arc::clone(&table.columns[*index]),
                key if table.rows <= ctx.batch_rows() => {
                    ctx.eval(key, &Batch::new(table.columns.clone(), table.rows))?
                }
                _ => continue,
            };
            filters.extend(KeyFilter::of(&keys).map(|filter| (*index, Arc::new(filter))));
        }
        Ok(filters)
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
            table.add(&batch, &keys);
            if table.memory_bytes() > ctx.hash_mem_bytes() {
                let build = self.split_inner(ctx, table)?;
                return self.split_outer(ctx, &build);
            }
        }
        let useless = self.inner_rows == 0
            && (self.judges_inner()
                || matches!(self.spec.join, JoinType::Inner | JoinType::Semi | JoinType::Right));
        if useless {
            return Ok(State::Ended);
        }
        let memory_bytes = table.memory_bytes() as u64;
        let table = table.finish(self.tracks_matches());
        self.note_table(1, memory_bytes, &table);
        self.narrow_outer(ctx, &table)?;
        Ok(State::Memory(table))
    }

    fn note_table(&mut self, batches: u64, memory_bytes: u64, table: &Table) {
        let report = &mut self.table_report;
        report.batches = report.batches.max(batches);
        report.buckets = report.buckets.max(table.index.places() as u64);
        report.memory_bytes = report.memory_bytes.max(memory_bytes);
    }

    /// Forms an inner batch's keys and notes what NOT IN must know (HJ2).
    fn note_inner(&mut self, ctx: &ExecContext<'_>, batch: &Batch, keys: &mut BatchKeys) -> Result<()> {
        let columns = ctx.eval_all(&self.spec.inner_keys, batch)?;
        self.layout.encode(&columns, batch.rows, batch.active(), keys)?;
        self.inner_rows += batch.active_rows() as u64;
        self.inner_has_null_key |= keys.has_nulls() && batch.active().any(|row| keys.is_null(row));
        Ok(())
    }

    /// Makes the build side that the joins of several threads have in common; this one goes on with it.
    fn build_shared(&mut self, ctx: &ExecContext<'_>, shared: &SharedBuild) -> Result<()> {
        let outer = std::mem::replace(&mut self.outer, Box::new(Nothing));
        let built = self.build(ctx);
        self.outer = outer;
        let side = match built? {
            State::Memory(table) => BuildSide::Memory(table.shared),
            // The outer side was nothing: each join splits its own when it runs.
            State::Spilled { jobs, .. } => {
                BuildSide::Partitions(jobs.into_iter().rev().map(|job| job.build).collect())
            }
            State::New | State::Ended => BuildSide::Useless,
        };
        *shared.built.lock() = Some(Built {
            inner_rows: self.inner_rows,
            inner_has_null_key: self.inner_has_null_key,
            filters: self.filters.clone(),
            side: side.clone(),
        });
        if !matches!(side, BuildSide::Partitions(_)) {
            self.state = self.join_shared(ctx, shared)?;
        }
        Ok(())
    }

    /// Begins with a build side that is ready.
    fn join_shared(&mut self, ctx: &ExecContext<'_>, shared: &SharedBuild) -> Result<State> {
        let built = shared.built.lock().clone();
        let built = built.ok_or_else(|| Error::internal("a shared hash table has not been built"))?;
        self.inner_rows = built.inner_rows;
        self.inner_has_null_key = built.inner_has_null_key;
        self.filters = built.filters;
        match built.side {
            BuildSide::Useless => Ok(State::Ended),
            BuildSide::Memory(rows) => {
                let table = Table { shared: rows, matched: Vec::new(), judged: 0 };
                self.narrow_outer(ctx, &table)?;
                Ok(State::Memory(table))
            }
            BuildSide::Partitions(build) => self.split_outer(ctx, &build),
        }
    }

    /// Writes what has been read of the inner side, and the rest of it, to partitions.
    fn split_inner(&mut self, ctx: &ExecContext<'_>, table: TableBuilder) -> Result<Vec<Arc<RowStore>>> {
        let mut build = Partitioner::new(&self.spec.inner_types, 0, ctx.temp(), ctx.work_mem_bytes());
        let mut keys = BatchKeys::default();
        let table = table.finish(false);
        for start in (0..table.rows).step_by(ctx.batch_rows()) {
            let rows = ctx.batch_rows().min(table.rows - start);
            let columns = table.columns.iter().map(|column| Arc::new(column.slice(start, rows))).collect();
            let batch = Batch::new(columns, rows);
            let columns = ctx.eval_all(&self.spec.inner_keys, &batch)?;
            self.layout.encode(&columns, rows, 0..rows, &mut keys)?;
            build.add_rows(&batch, (0..rows).map(|row| (row, key_hash(&self.layout, &keys, row))))?;
        }
        drop(table);
        while let Some(batch) = self.inner.next(ctx)? {
            ctx.check_interrupts()?;
            self.note_inner(ctx, &batch, &mut keys)?;
            let rows = batch.active().map(|row| (row, key_hash(&self.layout, &keys, row)));
            build.add_rows(&batch, rows)?;
        }
        Ok(build.finish()?.into_iter().map(Arc::new).collect())
    }

    /// Writes the outer side to partitions.
    fn split_outer(&mut self, ctx: &ExecContext<'_>, build: &[Arc<RowStore>]) -> Result<State> {
        let mut keys = BatchKeys::default();
        let mut probe = Partitioner::new(&self.spec.outer_types, 0, ctx.temp(), ctx.work_mem_bytes());
        while let Some(batch) = self.outer.next(ctx)? {
            ctx.check_interrupts()?;
            let columns = ctx.eval_all(&self.spec.outer_keys, &batch)?;
            self.layout.encode(&columns, batch.rows, batch.active(), &mut keys)?;
            let rows = batch.active().map(|row| (row, key_hash(&self.layout, &keys, row)));
            probe.add_rows(&batch, rows)?;
        }
        let jobs = build.iter().zip(probe.finish()?);
        let jobs = jobs.map(|(build, probe)| Job { build: Arc::clone(build), probe, depth: 0 }).rev();
        let jobs: Vec<Job> = jobs.collect();
        self.table_report.batches = self.table_report.batches.max(jobs.len() as u64);
        Ok(State::Spilled { jobs, current: None })
    }

    /// Loads a partition's build side from a batch on, as much of it as fits; when it could be split further, that is
    /// done instead.
    fn load(
        &mut self,
        ctx: &ExecContext<'_>,
        job: Job,
        first: usize,
        jobs: &mut Vec<Job>,
    ) -> Result<Option<Running>> {
        let mut table = TableBuilder::new(&self.spec.inner_types, &self.layout);
        let mut keys = BatchKeys::default();
        let mut next = first;
        while let Some(batch) = job.build.batch(next)? {
            ctx.check_interrupts()?;
            next += 1;
            let columns = ctx.eval_all(&self.spec.inner_keys, &batch)?;
            self.layout.encode(&columns, batch.rows, batch.active(), &mut keys)?;
            table.add(&batch, &keys);
            if table.memory_bytes() > ctx.hash_mem_bytes() {
                let splits = first == 0 && job.depth < MAX_DEPTH && table.keys.are_varied();
                if !splits {
                    break;
                }
                drop(table);
                self.split_job(ctx, &job, jobs)?;
                return Ok(None);
            }
        }
        let next_chunk = (next < job.build.batch_count()).then_some(next);
        if first == 0 && next_chunk.is_none() {
            self.chunks = None;
        } else {
            let chunks = self.chunks.get_or_insert_with(|| {
                let words = (job.probe.rows() as usize).div_ceil(64);
                Chunks { matched: vec![0; words], ..Chunks::default() }
            });
            chunks.is_last = next_chunk.is_none();
        }
        let memory_bytes = table.memory_bytes() as u64;
        let table = table.finish(self.tracks_matches());
        self.note_table(0, memory_bytes, &table);
        Ok(Some(Running { table, job, number: 0, rows_before: 0, next_chunk }))
    }

    fn split_job(&self, ctx: &ExecContext<'_>, job: &Job, jobs: &mut Vec<Job>) -> Result<()> {
        let depth = job.depth + 1;
        let mut sides = Vec::with_capacity(2);
        let inputs = [
            (&*job.build, &self.spec.inner_keys, &self.spec.inner_types),
            (&job.probe, &self.spec.outer_keys, &self.spec.outer_types),
        ];
        for (store, exprs, types) in inputs {
            let mut parts = Partitioner::new(types, depth, ctx.temp(), ctx.work_mem_bytes());
            let mut keys = BatchKeys::default();
            let mut number = 0;
            while let Some(batch) = store.batch(number)? {
                ctx.check_interrupts()?;
                number += 1;
                let columns = ctx.eval_all(exprs, &batch)?;
                self.layout.encode(&columns, batch.rows, batch.active(), &mut keys)?;
                let rows = batch.active().map(|row| (row, key_hash(&self.layout, &keys, row)));
                parts.add_rows(&batch, rows)?;
            }
            sides.push(parts.finish()?);
        }
        let probes = sides.pop().expect("two sides");
        let builds = sides.pop().expect("two sides");
        let parts = builds.into_iter().map(Arc::new).zip(probes);
        jobs.extend(parts.map(|(build, probe)| Job { build, probe, depth }));
        Ok(())
    }

    /// Joins one outer batch with a table; results go to `output`.
    fn probe(&mut self, ctx: &ExecContext<'_>, table: &mut Table, batch: Batch) -> Result<()> {
        let columns = ctx.eval_all(&self.spec.outer_keys, &batch)?;
        let mut keys = BatchKeys::default();
        self.layout.encode(&columns, batch.rows, batch.active(), &mut keys)?;
        let mut found = Pairs::default();
        table.index.find(&keys, batch.active(), &mut found.outer, &mut found.inner);
        if self.judges_inner() {
            return self.mark_inner(ctx, table, &batch, found);
        }
        let mut matched =
            vec![false; if self.drops_outer() && self.spec.join.keeps_inner() { 0 } else { batch.rows }];
        if self.spec.residual.is_none() && !self.spec.join.keeps_inner() {
            found.outer.iter().for_each(|row| matched[*row as usize] = true);
            return self.finish_outer(batch, &keys, matched);
        }
        self.probing = Some(Probing { batch, keys, found, matched, next: 0, inner: NO_ROW });
        self.go_on(ctx, table)
    }

    /// Goes on with the outer batch that is being joined, until it is done or much output waits.
    fn go_on(&mut self, ctx: &ExecContext<'_>, table: &mut Table) -> Result<()> {
        let Some(mut probing) = self.probing.take() else { return Ok(()) };
        let Probing { batch, found, matched, next, inner, .. } = &mut probing;
        let one_each = table.index.is_unique() || self.spec.inner_unique && self.spec.residual.is_none();
        while *next < found.outer.len() {
            if self.output.len() > MANY_BATCHES {
                self.probing = Some(probing);
                return Ok(());
            }
            let mut pairs = Pairs::default();
            if one_each {
                let end = found.outer.len().min(*next + ctx.batch_rows());
                pairs.outer.extend_from_slice(&found.outer[*next..end]);
                pairs.inner.extend_from_slice(&found.inner[*next..end]);
                *next = end;
            } else {
                while *next < found.outer.len() && pairs.outer.len() < ctx.batch_rows() {
                    if *inner == NO_ROW {
                        *inner = found.inner[*next];
                    }
                    pairs.outer.push(found.outer[*next]);
                    pairs.inner.push(*inner);
                    *inner = table.index.after(*inner);
                    if *inner == NO_ROW {
                        *next += 1;
                    }
                }
            }
            self.join_pairs(ctx, table, batch, &mut pairs, matched)?;
        }
        let Probing { batch, keys, matched, .. } = probing;
        self.finish_outer(batch, &keys, matched)
    }

    /// Notes which build rows have a partner in an outer batch.
    fn mark_inner(
        &mut self,
        ctx: &ExecContext<'_>,
        table: &mut Table,
        batch: &Batch,
        found: Pairs,
    ) -> Result<()> {
        let all = self.spec.residual.is_none();
        let mut pairs = Pairs::default();
        for (row, first) in found.outer.iter().zip(&found.inner) {
            // Without a residual the rows of a chain are marked together.
            if all && table.matched[*first as usize] {
                continue;
            }
            let mut inner = *first;
            while inner != NO_ROW {
                if all {
                    table.matched[inner as usize] = true;
                } else if !table.matched[inner as usize] {
                    pairs.outer.push(*row);
                    pairs.inner.push(inner);
                    if pairs.outer.len() == ctx.batch_rows() {
                        ctx.check_interrupts()?;
                        self.filter_pairs(ctx, table, batch, &mut pairs)?;
                        pairs.inner.iter().for_each(|row| table.matched[*row as usize] = true);
                        pairs.clear();
                    }
                }
                inner = table.index.after(inner);
            }
        }
        self.filter_pairs(ctx, table, batch, &mut pairs)?;
        pairs.inner.iter().for_each(|row| table.matched[*row as usize] = true);
        Ok(())
    }

    /// Leaves the pairs that satisfy the residual.
    fn filter_pairs(
        &mut self,
        ctx: &ExecContext<'_>,
        table: &Table,
        batch: &Batch,
        pairs: &mut Pairs,
    ) -> Result<()> {
        let Some(residual) = &self.spec.residual else { return Ok(()) };
        if pairs.outer.is_empty() {
            return Ok(());
        }
        let rows = pairs.outer.len();
        let width = batch.columns.len();
        // Columns that are not read stand for nothing.
        let blank = Arc::new(Column::nulls(PhysicalType::Bool, rows));
        let mut columns = vec![blank; width + table.columns.len()];
        for index in &self.residual_columns {
            columns[*index] = pairs.gather(batch, table, *index);
        }
        match ctx.filter(residual, Batch::new(columns, rows))? {
            None => {
                self.removed += rows as u64;
                pairs.clear();
            }
            Some(Batch { selection: Some(selection), .. }) => {
                self.removed += (rows - selection.len()) as u64;
                pairs.outer = selection.iter().map(|i| pairs.outer[i]).collect();
                pairs.inner = selection.iter().map(|i| pairs.inner[i]).collect();
            }
            Some(_) => {}
        }
        Ok(())
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
        self.filter_pairs(ctx, table, batch, pairs)?;
        if !matched.is_empty() {
            pairs.outer.iter().for_each(|row| matched[*row as usize] = true);
        }
        if !table.matched.is_empty() {
            pairs.inner.iter().for_each(|row| table.matched[*row as usize] = true);
        }
        if self.spec.join.keeps_inner() && !pairs.outer.is_empty() {
            let columns = self.spec.output.iter().map(|index| pairs.gather(batch, table, *index)).collect();
            self.give(Batch::new(columns, pairs.outer.len()));
        }
        pairs.clear();
        Ok(())
    }

    /// Puts rows out, those of small batches together with the ones before.
    fn give(&mut self, batch: Batch) {
        if let Some(last) = self.output.back_mut()
            && last.rows + batch.rows <= MANY_ROWS.min(self.few_rows * 2)
            && last.selection.is_none()
            && batch.selection.is_none()
        {
            let columns = last
                .columns
                .iter()
                .zip(&batch.columns)
                .map(|(a, b)| Arc::new(Column::concat(a.physical(), &[a, b])))
                .collect();
            *last = Batch::new(columns, last.rows + batch.rows);
            return;
        }
        self.output.push_back(batch);
    }

    /// The columns of outer rows that come out.
    fn cut(&self, batch: &mut Batch) {
        batch.columns = self.spec.output.iter().map(|index| Arc::clone(&batch.columns[*index])).collect();
    }

    /// What an outer batch gives when all its pairs have been looked at.
    fn finish_outer(&mut self, batch: Batch, keys: &BatchKeys, mut matched: Vec<bool>) -> Result<()> {
        if let Some(chunks) = &mut self.chunks {
            for (row, matched) in matched.iter_mut().enumerate() {
                let (word, bit) = ((chunks.offset + row) / 64, (chunks.offset + row) % 64);
                chunks.matched[word] |= u64::from(*matched) << bit;
                *matched = chunks.matched[word] >> bit & 1 != 0;
            }
            if !chunks.is_last {
                return Ok(());
            }
        }
        let inner_empty = self.inner_rows == 0;
        let keep = |wanted: &dyn Fn(usize) -> bool| {
            let rows: Vec<u16> = batch.active().filter(|row| wanted(*row)).map(|row| row as u16).collect();
            Selection::new(rows)
        };
        let selection = match self.spec.join {
            JoinType::Inner | JoinType::Right | JoinType::RightSemi | JoinType::RightAnti => return Ok(()),
            JoinType::Left | JoinType::Full => {
                let lone: Vec<u32> =
                    batch.active().filter(|row| !matched[*row]).map(|row| row as u32).collect();
                if lone.is_empty() {
                    return Ok(());
                }
                let mut columns = gather(&batch.columns, &lone);
                columns.extend(null_columns(&self.spec.inner_types, lone.len()));
                let mut rows = Batch::new(columns, lone.len());
                self.cut(&mut rows);
                self.output.push_back(rows);
                return Ok(());
            }
            JoinType::Mark => {
                let mark = self.mark_column(&batch, keys, &matched);
                let mut batch = batch;
                batch.columns.push(Arc::new(mark));
                self.cut(&mut batch);
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
            let mut batch = batch.with_selection(selection);
            self.cut(&mut batch);
            self.output.push_back(batch);
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

    /// The next build rows that are output by themselves: those that found a partner, or those that did not; false when
    /// there are no more.
    fn emit_judged(&mut self, ctx: &ExecContext<'_>, table: &mut Table) -> Result<bool> {
        if !self.tracks_matches() {
            return Ok(false);
        }
        let wanted = self.spec.join == JoinType::RightSemi;
        let mut rows = Vec::new();
        while table.judged < table.rows && rows.len() < ctx.batch_rows() {
            if table.matched[table.judged] == wanted {
                rows.push(table.judged as u32);
            }
            table.judged += 1;
        }
        if rows.is_empty() {
            return Ok(false);
        }
        let mut columns =
            if self.judges_inner() { Vec::new() } else { null_columns(&self.spec.outer_types, rows.len()) };
        columns.extend(gather_optional(&table.columns, &rows));
        let mut batch = Batch::new(columns, rows.len());
        self.cut(&mut batch);
        self.output.push_back(batch);
        Ok(true)
    }

    /// Does one step of work, which may or may not give output; false at the end.
    fn step(&mut self, ctx: &ExecContext<'_>) -> Result<bool> {
        match std::mem::replace(&mut self.state, State::Ended) {
            State::New => {
                self.state = match self.shared.clone() {
                    None => self.build(ctx)?,
                    Some(shared) => self.join_shared(ctx, &shared)?,
                };
                Ok(true)
            }
            State::Ended => Ok(false),
            State::Memory(mut table) => {
                let more = if self.probing.is_some() {
                    self.go_on(ctx, &mut table)?;
                    true
                } else if let Some(batch) = self.outer_batch(ctx, &table)? {
                    self.probe(ctx, &mut table, batch)?;
                    true
                } else {
                    self.emit_judged(ctx, &mut table)?
                };
                // The table is kept at the end too: a rescan may use it again.
                self.state = State::Memory(table);
                Ok(more)
            }
            State::Spilled { mut jobs, current } => {
                let current = match current {
                    Some(running) => self.step_spilled(ctx, running, &mut jobs)?,
                    None => match jobs.pop() {
                        None => return Ok(false),
                        Some(job) => {
                            self.chunks = None;
                            self.load(ctx, job, 0, &mut jobs)?
                        }
                    },
                };
                self.state = State::Spilled { jobs, current };
                Ok(true)
            }
        }
    }

    /// A step within a partition: the next outer batch, what is judged at a chunk's end, or the next chunk.
    fn step_spilled(
        &mut self,
        ctx: &ExecContext<'_>,
        mut running: Running,
        jobs: &mut Vec<Job>,
    ) -> Result<Option<Running>> {
        let Running { table, job, number, rows_before, next_chunk } = &mut running;
        if self.probing.is_some() {
            self.go_on(ctx, table)?;
        } else if let Some(batch) = job.probe.batch(*number)? {
            if let Some(chunks) = &mut self.chunks {
                chunks.offset = *rows_before;
            }
            *rows_before += batch.rows;
            *number += 1;
            self.probe(ctx, table, batch)?;
        } else if !self.emit_judged(ctx, table)? {
            return match *next_chunk {
                Some(first) => self.load(ctx, running.job, first, jobs),
                None => Ok(None),
            };
        }
        Ok(Some(running))
    }

    fn outer_batch(&mut self, ctx: &ExecContext<'_>, table: &Table) -> Result<Option<Batch>> {
        // After the end, while unmatched rows are output, the outer side is not asked again.
        if table.judged > 0 { Ok(None) } else { self.outer.next(ctx) }
    }
}

/// Rows of an outer batch with build rows.
#[derive(Default)]
struct Pairs {
    outer: Vec<u32>,
    inner: Vec<u32>,
}

impl Pairs {
    /// Column `index` of the pairs, outer columns first.
    fn gather(&self, batch: &Batch, table: &Table, index: usize) -> Arc<Column> {
        let width = batch.columns.len();
        let (column, rows) = match index.checked_sub(width) {
            None => (&batch.columns[index], &self.outer),
            Some(index) => (&table.columns[index], &self.inner),
        };
        Arc::new(column.gather(rows.iter().map(|row| *row as usize)))
    }

    fn clear(&mut self) {
        self.outer.clear();
        self.inner.clear();
    }
}

impl Operator for HashJoin {
    fn next(&mut self, ctx: &ExecContext<'_>) -> Result<Option<Batch>> {
        loop {
            // A small batch waits for more rows, as long as there are some.
            let waits = |batch: &Batch| batch.rows < self.few_rows && batch.selection.is_none();
            if self.output.len() > 1 || self.output.front().is_some_and(|batch| !waits(batch)) {
                self.few_rows = (self.few_rows * 4).min(MANY_ROWS / 2).min(ctx.batch_rows());
                return Ok(self.output.pop_front());
            }
            if !self.step(ctx)? {
                return Ok(self.output.pop_front());
            }
        }
    }

    fn make_ready(&mut self, ctx: &ExecContext<'_>) -> Result<()> {
        let Some(shared) = self.shared.clone() else { return self.outer.make_ready(ctx) };
        if shared.built.lock().is_some() {
            return Err(Error::internal("a shared hash table is built twice"));
        }
        self.build_shared(ctx, &shared)?;
        // What the keys tell of the outer side, its own tables are made with.
        if matches!(self.state, State::Ended) { Ok(()) } else { self.outer.make_ready(ctx) }
    }

    fn narrow(&mut self, column: usize, keys: &Arc<KeyFilter>) -> bool {
        use JoinType as J;
        let Some(position) = self.spec.output.get(column).copied() else { return false };
        let width = self.spec.outer_types.len();
        match self.spec.join {
            J::Inner | J::RightSemi | J::RightAnti if position >= width || self.judges_inner() => {
                let position = if self.judges_inner() { position } else { position - width };
                let used = self.inner.narrow(position, keys);
                self.inner_narrowed |= used;
                used
            }
            J::Inner | J::Left | J::Semi | J::Anti if position < width => self.outer.narrow(position, keys),
            _ => false,
        }
    }

    fn report(&self, report: &mut NodeReport) {
        report.hash = Some(self.table_report);
        report.removed_by_join_filter = self.removed;
    }

    fn rescan(&mut self, ctx: &ExecContext<'_>) -> Result<()> {
        self.output.clear();
        self.probing = None;
        self.chunks = None;
        self.few_rows = 1;
        match &mut self.state {
            State::New if self.shared.is_none() => return Ok(()),
            State::Memory(table)
                if self.shared.is_none()
                    && !self.inner_narrowed
                    && self.spec.inner_dependencies.unchanged(ctx, &self.built_with) =>
            {
                table.matched.fill(false);
                table.judged = 0;
                self.outer.rescan(ctx)?;
                if let State::Memory(table) = std::mem::replace(&mut self.state, State::Ended) {
                    self.narrow_outer(ctx, &table)?;
                    self.state = State::Memory(table);
                }
                return Ok(());
            }
            _ => {
                self.state = State::New;
                self.filters = None;
                self.inner_narrowed = false;
                self.inner.rescan(ctx)?;
            }
        }
        self.outer.rescan(ctx)
    }
}
