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
//! Threads that join shares of the outer side have one table of the build side ([`SharedBuild`]). Each of them reads a share
//! of the inner side, or the thread that runs the statement reads all of it; then they put the table together, each a part
//! of it. When it does not fit, each thread splits its own share of the outer side as well, and partitions are joined by
//! one thread each. Build rows that are output by whether they found a partner come from the thread that is the last to
//! probe.
//!
//! An outer batch with many partners is left as soon as some batches of output wait, and gone on with later.
//!
//! # Invariants
//! - HJ1: a row with a NULL key is in no chain (unless its keys are null-safe), but is kept when unmatched build rows are
//!   output.
//! - HJ2: whether the inner side is empty, and whether it has a NULL key, is known before the first outer row is judged:
//!   NOT IN and null-aware marks depend on the whole inner side, not on a partition.

mod build;
mod shared;
mod table;

use std::collections::VecDeque;
use std::sync::Arc;

use ochre_base::Result;
use ochre_expr::Expr;
use ochre_sql::explain::{HashReport, NodeReport};
use ochre_sql::physical::JoinType;
use ochre_types::{Batch, Column, ColumnBuilder, PhysicalType, Selection};

use crate::columns::{NO_ROW, gather, gather_optional, null_columns};
use crate::dependencies::{Dependencies, DependencyValues};
use crate::key_filter::KeyFilter;
use crate::keys::{BatchKeys, KeyLayout};
use crate::partition::MAX_DEPTH;
use crate::{BoxOperator, Check, ExecContext, Operator, Readiness};
pub use shared::SharedBuild;
use table::{Job, Jobs, Pieces, Table, TableBuilder, TableRows};

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
    /// Each of them reads a share of the inner side.
    reads_shares: bool,
    /// With a common build side: the outer side knows its keys.
    is_told: bool,
    output: VecDeque<Batch>,
    /// For EXPLAIN ANALYZE.
    table_report: HashReport,
    /// Pairs that the residual left out.
    removed: u64,
}

/// The keys of the build side by outer column.
type Filters = Vec<(usize, Arc<KeyFilter>)>;

/// So many rows come out at once, where there are enough.
const MANY_ROWS: usize = 1024;

#[allow(clippy::large_enum_variant, reason = "one a join")]
enum State {
    New,
    /// The build side fits: outer batches come from the outer operator.
    Memory(Table),
    /// Partitions to join, and the one that is being joined.
    Spilled {
        jobs: Jobs,
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
            reads_shares: false,
            is_told: false,
            output: VecDeque::new(),
            table_report: HashReport::default(),
            removed: 0,
        }
    }

    /// The same over a part of the outer rows, with a build side that others have, too; and over a part of the inner rows, if
    /// `reads_shares`.
    pub fn sharing(mut self, shared: Arc<SharedBuild>, reads_shares: bool) -> HashJoin {
        self.shared = Some(shared);
        self.reads_shares = reads_shares;
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

    /// Whether nothing comes out when the inner side is empty.
    fn needs_inner(&self) -> bool {
        use JoinType as J;
        self.judges_inner() || matches!(self.spec.join, J::Inner | J::Semi | J::Right)
    }

    /// Tells the outer side which keys there are.
    fn narrow_outer(&mut self) {
        for (index, keys) in self.filters.iter().flat_map(|filters| filters.iter()) {
            self.outer.narrow(*index, keys);
        }
    }

    fn note_table(&mut self, batches: u64, memory_bytes: u64, table: &TableRows) {
        let report = &mut self.table_report;
        report.batches = report.batches.max(batches);
        report.buckets = report.buckets.max(table.index.places() as u64);
        report.memory_bytes = report.memory_bytes.max(memory_bytes);
    }

    /// Loads a partition's build side from a batch on, as much of it as fits; when it could be split further, that is
    /// done instead.
    fn load(
        &mut self,
        ctx: &ExecContext<'_>,
        job: Job,
        first: usize,
        jobs: &Jobs,
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
                let splits = first == 0 && job.depth < MAX_DEPTH && table.is_varied();
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
        let table = table.finish(self.tracks_matches(), &|| ctx.check_interrupts())?;
        self.note_table(0, memory_bytes, &table);
        Ok(Some(Running { table, job, number: 0, rows_before: 0, next_chunk }))
    }

    fn split_job(&self, ctx: &ExecContext<'_>, job: &Job, jobs: &Jobs) -> Result<()> {
        let depth = job.depth + 1;
        let mut sides = Vec::with_capacity(2);
        let inputs = [
            (&job.build, &self.spec.inner_keys, &self.spec.inner_types),
            (&job.probe, &self.spec.outer_keys, &self.spec.outer_types),
        ];
        for (store, exprs, types) in inputs {
            let mut parts = self.partitioner(ctx, types, depth);
            let mut keys = BatchKeys::default();
            let mut number = 0;
            while let Some(batch) = store.batch(number)? {
                ctx.check_interrupts()?;
                number += 1;
                self.split_batch(ctx, exprs, &batch, &mut keys, &mut parts)?;
            }
            sides.push(parts.finish()?);
        }
        let probes = sides.pop().expect("two sides");
        let builds = sides.pop().expect("two sides");
        let parts = builds.into_iter().map(Pieces::from).zip(probes.into_iter().map(Pieces::from));
        jobs.lock().extend(parts.map(|(build, probe)| Job { build, probe, depth }));
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
            if all && table.is_matched(*first as usize) {
                continue;
            }
            let mut inner = *first;
            while inner != NO_ROW {
                if all {
                    table.note_match(inner as usize);
                } else if !table.is_matched(inner as usize) {
                    pairs.outer.push(*row);
                    pairs.inner.push(inner);
                    if pairs.outer.len() == ctx.batch_rows() {
                        ctx.check_interrupts()?;
                        self.filter_pairs(ctx, table, batch, &mut pairs)?;
                        pairs.inner.iter().for_each(|row| table.note_match(*row as usize));
                        pairs.clear();
                    }
                }
                inner = table.index.after(inner);
            }
        }
        self.filter_pairs(ctx, table, batch, &mut pairs)?;
        pairs.inner.iter().for_each(|row| table.note_match(*row as usize));
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
        if table.tracks_matches() {
            pairs.inner.iter().for_each(|row| table.note_match(*row as usize));
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
            if table.is_matched(table.judged) == wanted {
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
                    Some(shared) => self.join_shared(&shared)?,
                };
                Ok(true)
            }
            State::Ended => Ok(false),
            State::Memory(mut table) => {
                let more = if self.probing.is_some() {
                    self.go_on(ctx, &mut table)?;
                    true
                } else if let Some(batch) = self.outer_batch(ctx, &mut table)? {
                    self.probe(ctx, &mut table, batch)?;
                    true
                } else {
                    self.emit_judged(ctx, &mut table)?
                };
                // The table is kept at the end too: a rescan may use it again.
                self.state = State::Memory(table);
                Ok(more)
            }
            State::Spilled { jobs, current } => {
                let stopped = self.shared.as_ref().is_some_and(|shared| shared.is_stopped());
                let current = match current {
                    Some(running) => self.step_spilled(ctx, running, &jobs)?,
                    None => {
                        let job = jobs.lock().pop().filter(|_| !stopped);
                        let Some(job) = job else { return Ok(false) };
                        self.chunks = None;
                        self.load(ctx, job, 0, &jobs)?
                    }
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
        jobs: &Jobs,
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

    /// The next outer rows; after the end, while build rows are output, the outer side is not asked again.
    fn outer_batch(&mut self, ctx: &ExecContext<'_>, table: &mut Table) -> Result<Option<Batch>> {
        if table.probed {
            return Ok(None);
        }
        let batch = self.outer.next(ctx)?;
        if batch.is_none() {
            table.probed = true;
            let judges = match &self.shared {
                Some(shared) if table.tracks_matches() => shared.end_probing(),
                _ => true,
            };
            if !judges {
                table.judged = table.rows;
            }
        }
        Ok(batch)
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

    fn make_ready(&mut self, ctx: &ExecContext<'_>) -> Result<Readiness> {
        match self.shared.clone() {
            None => self.outer.make_ready(ctx),
            Some(shared) => self.advance_shared(ctx, &shared),
        }
    }

    fn take_part(&mut self, ctx: &ExecContext<'_>, check: Check<'_>) -> Result<()> {
        match self.shared.clone() {
            None => self.outer.take_part(ctx, check),
            Some(shared) => self.take_part_in(ctx, &shared, check),
        }
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
                table.restart();
                self.outer.rescan(ctx)?;
                self.narrow_outer();
                return Ok(());
            }
            _ => {
                self.state = State::New;
                self.filters = None;
                self.is_told = false;
                self.inner_narrowed = false;
                self.inner.rescan(ctx)?;
            }
        }
        self.outer.rescan(ctx)
    }
}
