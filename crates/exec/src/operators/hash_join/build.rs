//! How a hash join comes to its build side: alone, or with other threads.

use std::sync::Arc;

use ochre_base::{Error, Result};
use ochre_expr::Expr;
use ochre_types::{Batch, PhysicalType};
use parking_lot::Mutex;

use super::shared::{BuildSide, Built, Phase, SharedBuild, Summary};
use super::table::{Assembly, Job, Kept, Pieces, Share, Table, TableBuilder, TableRows};
use super::{Filters, HashJoin, State};
use crate::key_filter::KeyFilter;
use crate::keys::BatchKeys;
use crate::partition::{FAN_OUT, Partitioner, key_hash};
use crate::row_store::RowStore;
use crate::{Check, ExecContext, Readiness};

/// Inner sides of fewer rows are put together by one thread.
const FEW_INNER_ROWS: u64 = 32 * 1024;

impl HashJoin {
    /// Reads the inner side; when it does not fit, also splits the outer side.
    pub(super) fn build(&mut self, ctx: &ExecContext<'_>) -> Result<State> {
        self.built_with = self.spec.inner_dependencies.values(ctx);
        let check = || ctx.check_interrupts();
        let share = self.read_inner(ctx, |bytes| bytes > ctx.hash_mem_bytes(), &check)?;
        let table = match share.kept {
            Kept::Memory(table) => table,
            Kept::Partitions(build) => {
                let probe = self.split_outer(ctx, &check)?;
                self.table_report.batches = self.table_report.batches.max(FAN_OUT as u64);
                let pieces = |stores: Vec<RowStore>| stores.into_iter().map(Pieces::from).collect();
                let jobs = Job::of_sides(pieces(build), pieces(probe));
                return Ok(State::Spilled { jobs: Arc::new(Mutex::new(jobs)), current: None });
            }
        };
        if self.inner_rows == 0 && self.needs_inner() {
            return Ok(State::Ended);
        }
        let memory_bytes = table.memory_bytes() as u64;
        let table = table.finish(self.tracks_matches(), &|| ctx.check_interrupts())?;
        self.note_table(1, memory_bytes, &table);
        self.filters = self.key_filters(ctx, &table)?;
        self.narrow_outer();
        Ok(State::Memory(table))
    }

    /// Reads the inner side, or this thread's share of it, to its end: into memory or, from when `is_full` says so of the
    /// bytes that it takes, to partitions.
    fn read_inner(
        &mut self,
        ctx: &ExecContext<'_>,
        mut is_full: impl FnMut(usize) -> bool,
        check: Check<'_>,
    ) -> Result<Share> {
        self.inner_rows = 0;
        self.inner_has_null_key = false;
        let mut table = TableBuilder::new(&self.spec.inner_types, &self.layout);
        let mut keys = BatchKeys::default();
        while let Some(batch) = self.inner.next(ctx)? {
            check()?;
            self.note_inner(ctx, &batch, &mut keys)?;
            table.add(&batch, &keys);
            if is_full(table.memory_bytes()) {
                let partitions = self.split_inner(ctx, table, check)?;
                return Ok(self.share(Kept::Partitions(partitions)));
            }
        }
        Ok(self.share(Kept::Memory(table)))
    }

    /// What has been read, after all of it was.
    fn share(&self, kept: Kept) -> Share {
        Share { rows: self.inner_rows, has_null_key: self.inner_has_null_key, kept }
    }

    /// Forms an inner batch's keys and notes what NOT IN must know (HJ2).
    fn note_inner(&mut self, ctx: &ExecContext<'_>, batch: &Batch, keys: &mut BatchKeys) -> Result<()> {
        let columns = ctx.eval_all(&self.spec.inner_keys, batch)?;
        self.layout.encode(&columns, batch.rows, batch.active(), keys)?;
        self.inner_rows += batch.active_rows() as u64;
        self.inner_has_null_key |= keys.has_nulls() && batch.active().any(|row| keys.is_null(row));
        Ok(())
    }

    /// What the outer side may know of a table's keys: nothing where outer rows without a partner count.
    fn key_filters(&self, ctx: &ExecContext<'_>, table: &TableRows) -> Result<Option<Arc<Filters>>> {
        if !self.drops_outer() {
            return Ok(None);
        }
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
        Ok(Some(Arc::new(filters)))
    }

    /// Brings the common build side on, up to a point where all threads are needed ([`SharedBuild`] shows the phases).
    pub(super) fn advance_shared(
        &mut self,
        ctx: &ExecContext<'_>,
        shared: &SharedBuild,
    ) -> Result<Readiness> {
        loop {
            match shared.phase() {
                Phase::New if self.reads_shares => {
                    if self.inner.make_ready(ctx)? == Readiness::Together {
                        return Ok(Readiness::Together);
                    }
                    shared.set_phase(Phase::Reading);
                    return Ok(Readiness::Together);
                }
                Phase::New => {
                    let check = || ctx.check_interrupts();
                    let share = self.read_inner(ctx, |bytes| bytes > ctx.hash_mem_bytes(), &check)?;
                    if self.assemble(ctx, shared, vec![share])? == Readiness::Together {
                        return Ok(Readiness::Together);
                    }
                }
                Phase::Reading => {
                    if self.assemble(ctx, shared, shared.take_shares())? == Readiness::Together {
                        return Ok(Readiness::Together);
                    }
                }
                Phase::Linking(assembly, summary) => {
                    let assembly = shared.take_assembly(assembly)?;
                    let rows = assembly.finish(self.tracks_matches(), &|| ctx.check_interrupts())?;
                    let built = self.built(ctx, rows, summary)?;
                    shared.set_phase(Phase::Built(built));
                }
                Phase::Built(built) => {
                    if matches!(built.side, BuildSide::Useless) {
                        return Ok(Readiness::Ready);
                    }
                    // What the keys tell of the outer side, its own tables are made with.
                    self.learn(&built);
                    let outer = self.outer.make_ready(ctx)?;
                    if outer == Readiness::Together || matches!(built.side, BuildSide::Memory(_)) {
                        return Ok(outer);
                    }
                    shared.set_phase(Phase::Splitting(built));
                    return Ok(Readiness::Together);
                }
                Phase::Splitting(built) => {
                    let BuildSide::Partitions(build) = &built.side else {
                        unreachable!("the outer side is split when the inner one is")
                    };
                    let jobs = shared.take_jobs(build);
                    shared.set_phase(Phase::Split(built, jobs));
                }
                Phase::Split(..) => return Ok(Readiness::Ready),
            }
        }
    }

    /// Goes on with what threads have read of the inner side.
    fn assemble(&self, ctx: &ExecContext<'_>, shared: &SharedBuild, shares: Vec<Share>) -> Result<Readiness> {
        let mut summary = Summary {
            rows: shares.iter().map(|share| share.rows).sum(),
            has_null_key: shares.iter().any(|share| share.has_null_key),
            ..Summary::default()
        };
        let finish = |summary, side| {
            shared.set_phase(Phase::Built(Built { summary, filters: None, side }));
            Ok(Readiness::Ready)
        };
        if summary.rows == 0 && self.needs_inner() {
            return finish(summary, BuildSide::Useless);
        }
        if shares.iter().any(|share| matches!(share.kept, Kept::Partitions(_))) {
            summary.report.batches = FAN_OUT as u64;
            let mut partitions: Vec<Pieces> = std::iter::repeat_with(Pieces::default).take(FAN_OUT).collect();
            for share in shares {
                let pieces = match share.kept {
                    Kept::Partitions(pieces) => pieces,
                    // It was read before there were too many.
                    Kept::Memory(table) => {
                        let mut pieces = self.partitioner(ctx, &self.spec.inner_types, 0);
                        self.split_table(ctx, table, &mut pieces, &|| ctx.check_interrupts())?;
                        pieces.finish()?
                    }
                };
                partitions.iter_mut().zip(pieces).for_each(|(partition, piece)| partition.push(piece));
            }
            return finish(summary, BuildSide::Partitions(Arc::new(Mutex::new(partitions))));
        }
        let memory = |share: Share| match share.kept {
            Kept::Memory(table) => table,
            Kept::Partitions(_) => unreachable!("looked at above"),
        };
        let tables: Vec<TableBuilder> = shares.into_iter().map(memory).collect();
        summary.report.batches = 1;
        summary.report.memory_bytes = tables.iter().map(|table| table.memory_bytes() as u64).sum();
        let check = || ctx.check_interrupts();
        let assembly = Assembly::new(tables, &check)?;
        if summary.rows >= FEW_INNER_ROWS {
            shared.set_phase(Phase::Linking(Arc::new(assembly), summary));
            return Ok(Readiness::Together);
        }
        assembly.work(&check)?;
        let built = self.built(ctx, assembly.finish(self.tracks_matches(), &check)?, summary)?;
        shared.set_phase(Phase::Built(built));
        Ok(Readiness::Ready)
    }

    /// The build side in memory.
    fn built(&self, ctx: &ExecContext<'_>, rows: TableRows, mut summary: Summary) -> Result<Built> {
        summary.report.buckets = rows.index.places() as u64;
        let filters = self.key_filters(ctx, &rows)?;
        Ok(Built { summary, filters, side: BuildSide::Memory(Arc::new(rows)) })
    }

    /// Takes over what is known of the common build side, and tells the outer side.
    fn learn(&mut self, built: &Built) {
        self.inner_rows = built.summary.rows;
        self.inner_has_null_key = built.summary.has_null_key;
        self.table_report = built.summary.report;
        self.filters.clone_from(&built.filters);
        if !std::mem::replace(&mut self.is_told, true) {
            self.narrow_outer();
        }
    }

    /// Begins with a build side that is ready.
    pub(super) fn join_shared(&mut self, shared: &SharedBuild) -> Result<State> {
        let (built, jobs) = match shared.phase() {
            Phase::Built(built) => (built, None),
            Phase::Split(built, jobs) => (built, Some(jobs)),
            _ => return Err(Error::internal("a shared hash table has not been built")),
        };
        self.learn(&built);
        Ok(match (built.side, jobs) {
            (BuildSide::Memory(rows), _) => {
                if rows.tracks_matches() {
                    shared.begin_probing();
                }
                State::Memory(Table::new(rows))
            }
            (BuildSide::Partitions(_), Some(jobs)) => State::Spilled { jobs, current: None },
            _ => State::Ended,
        })
    }

    /// Does this thread's part of what the phase of the common build side asks for.
    pub(super) fn take_part_in(
        &mut self,
        ctx: &ExecContext<'_>,
        shared: &SharedBuild,
        check: Check<'_>,
    ) -> Result<()> {
        match shared.phase() {
            Phase::New if self.reads_shares => self.inner.take_part(ctx, check),
            Phase::Reading => {
                let budget = ctx.hash_mem_bytes().saturating_mul(shared.threads());
                let mut counted = 0;
                let share =
                    self.read_inner(ctx, |bytes| shared.exceeds(bytes, &mut counted, budget), check)?;
                shared.put_share(share);
                Ok(())
            }
            Phase::Linking(assembly, _) => assembly.work(check),
            Phase::Built(built) if !matches!(built.side, BuildSide::Useless) => {
                self.learn(&built);
                self.outer.take_part(ctx, check)
            }
            Phase::Splitting(_) => {
                let partitions = self.split_outer(ctx, check)?;
                shared.put_probe(partitions);
                Ok(())
            }
            Phase::New | Phase::Built(_) | Phase::Split(..) => Ok(()),
        }
    }

    pub(super) fn partitioner(
        &self,
        ctx: &ExecContext<'_>,
        types: &Arc<[PhysicalType]>,
        depth: u32,
    ) -> Partitioner {
        Partitioner::new(types, depth, ctx.temp(), ctx.work_mem_bytes())
    }

    /// Writes what has been read of the inner side, and the rest of it, to partitions.
    fn split_inner(
        &mut self,
        ctx: &ExecContext<'_>,
        table: TableBuilder,
        check: Check<'_>,
    ) -> Result<Vec<RowStore>> {
        let mut build = self.partitioner(ctx, &self.spec.inner_types, 0);
        self.split_table(ctx, table, &mut build, check)?;
        let mut keys = BatchKeys::default();
        while let Some(batch) = self.inner.next(ctx)? {
            check()?;
            self.note_inner(ctx, &batch, &mut keys)?;
            self.add_to(&mut build, &batch, &keys)?;
        }
        build.finish()
    }

    /// Writes rows to partitions.
    fn split_table(
        &self,
        ctx: &ExecContext<'_>,
        table: TableBuilder,
        build: &mut Partitioner,
        check: Check<'_>,
    ) -> Result<()> {
        let mut keys = BatchKeys::default();
        let all_rows = table.rows();
        let columns = table.into_columns();
        for start in (0..all_rows).step_by(ctx.batch_rows()) {
            check()?;
            let rows = ctx.batch_rows().min(all_rows - start);
            let columns = columns.iter().map(|column| Arc::new(column.slice(start, rows))).collect();
            let batch = Batch::new(columns, rows);
            self.split_batch(ctx, &self.spec.inner_keys, &batch, &mut keys, build)?;
        }
        Ok(())
    }

    /// Writes the outer side to partitions.
    fn split_outer(&mut self, ctx: &ExecContext<'_>, check: Check<'_>) -> Result<Vec<RowStore>> {
        let mut keys = BatchKeys::default();
        let mut probe = self.partitioner(ctx, &self.spec.outer_types, 0);
        while let Some(batch) = self.outer.next(ctx)? {
            check()?;
            self.split_batch(ctx, &self.spec.outer_keys, &batch, &mut keys, &mut probe)?;
        }
        probe.finish()
    }

    /// Writes a batch to the partitions of its keys.
    pub(super) fn split_batch(
        &self,
        ctx: &ExecContext<'_>,
        exprs: &[Expr],
        batch: &Batch,
        keys: &mut BatchKeys,
        parts: &mut Partitioner,
    ) -> Result<()> {
        let columns = ctx.eval_all(exprs, batch)?;
        self.layout.encode(&columns, batch.rows, batch.active(), keys)?;
        self.add_to(parts, batch, keys)
    }

    fn add_to(&self, parts: &mut Partitioner, batch: &Batch, keys: &BatchKeys) -> Result<()> {
        parts.add_rows(batch, batch.active().map(|row| (row, key_hash(&self.layout, keys, row))))
    }
}
