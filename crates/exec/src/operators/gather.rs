//! Gather: the rows of a plan that several threads run side by side.
//!
//! # How
//! There is a pipeline, a whole set of operators, for the calling thread and for each helper. They share what
//! [`crate::parallel`] keeps, so each gives a part of the rows. The work is done in rounds: within one call of `next`
//! helpers are started, all threads run their pipelines until enough rows have come, and the helpers end. Rows wait in
//! memory until they are asked for, then the next round begins. Nothing runs while nobody asks: a portal may rest, its
//! transaction may end, and helpers borrow from the statement like any operator does. Starting a thread takes some
//! twenty microseconds; rounds grow to many times of that.
//!
//! Before the first of these rounds the calling thread's pipeline makes ready what is common to all
//! ([`Operator::make_ready`]): the hash tables of joins, in its own surroundings, with sub-plans, CTEs and gathers where they
//! need some. Where several threads can do a part of that it asks for a round in which each pipeline does
//! ([`Operator::take_part`]): it reads its share of a build side, say. Such a round ends when all have done their parts; its
//! end is all that they wait for each other.
//!
//! With an order to keep, the first round ends when each pipeline has its first batch, which a sort gives when it has read
//! everything. What is left is to merge: the calling thread does that, and asks the pipelines itself.
//!
//! # Invariants
//! - G1: a pipeline that has begun runs to its end, in whatever thread: it may have claimed pages. One that has not begun
//!   when another ends has nothing left to do.
//! - G2: when `next` returns, no helper runs.
//!
//! # Failure
//! The first error of any thread stops the others and is the statement's. A panic of a helper goes on in the calling thread
//! when all others have ended.
//!
//! # Differences
//! Helpers are threads that live for one round, within a number for the instance. Where no place is free, for a portal that
//! is asked for some rows only, and for SERIALIZABLE transactions (whose reads are noted in their order) the calling
//! thread does everything.

use std::any::Any;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

use ochre_base::{Error, Oid, Result};
use ochre_catalog::RelationDescriptor;
use ochre_env::memory;
use ochre_expr::{Expr, SessionContext, WorkerWatch};
use ochre_sql::explain::NodeReport;
use ochre_sql::physical::SortKey;
use ochre_txn::Snapshot;
use ochre_types::{Batch, Datum};
use parking_lot::Mutex;

use crate::context::StatementContext;
use crate::explain::WorkerNote;
use crate::key_filter::KeyFilter;
use crate::operators::hash_join::SharedBuild;
use crate::operators::merge_streams::{Merger, Streams};
use crate::parallel::{Control, SharedScan, Watch};
use crate::relation::{RelationSource, TableAccess};
use crate::run_state::RunState;
use crate::{BoxOperator, ExecContext, Operator, Readiness};

/// Rows of a round at most, of which as many more may come as threads have in hand.
const MAX_ROUND_ROWS: usize = 128 * 1024;
/// Rows of a round take `work_mem`, but this many bytes in any case.
const LEAST_ROUND_BYTES: usize = 256 * 1024;
/// A round gives so many times the rows of the one before.
const ROUND_GROWTH: usize = 8;

/// What pipelines share, to be made new when the plan runs again.
#[derive(Default)]
pub struct Shares {
    pub scans: Vec<Arc<SharedScan>>,
    pub builds: Vec<Arc<SharedBuild>>,
}

/// Several threads' rows.
pub struct Gather {
    /// The first one is the calling thread's.
    pipelines: Vec<Pipeline>,
    shares: Shares,
    control: Arc<Control>,
    merge: Option<Merger>,
    limit: Option<Expr>,
    note: Option<WorkerNote>,
    rows: VecDeque<Batch>,
    phase: Phase,
    round_rows: usize,
    /// Rows that are still wanted, where that is known.
    left: Option<usize>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    New,
    Running,
    /// Each pipeline has given its first batch: what comes now is merged.
    Merging,
    Ended,
}

/// What pipelines do in a round.
#[derive(Clone, Copy)]
enum Work {
    /// Their parts of what is common to all.
    Part,
    /// They give rows, each one batch of them when `once`.
    Rows { once: bool },
}

/// Operators for one share of the work.
struct Pipeline {
    operator: BoxOperator,
    /// What it runs in; the calling thread's runs in the statement's own surroundings.
    own: Option<Surroundings>,
    started: bool,
    ended: bool,
    rows: Vec<Batch>,
}

/// What a helper has in place of the statement's run state and session.
struct Surroundings {
    run: RunState,
    watch: Arc<Watch>,
    session: Option<Box<dyn SessionContext + Send>>,
    snapshot: Option<Snapshot>,
}

/// The parts of a statement's context that every thread may use as they are.
struct CommonContext<'a> {
    params: &'a [Datum],
    txn: &'a ochre_txn::Transaction,
    temp: &'a Arc<crate::temp::TempFiles>,
    work_mem_bytes: usize,
    hash_mem_bytes: usize,
    batch_rows: usize,
}

impl<'a> CommonContext<'a> {
    fn of(statement: &StatementContext<'a>) -> CommonContext<'a> {
        CommonContext {
            params: statement.params,
            txn: statement.txn,
            temp: statement.temp,
            work_mem_bytes: statement.work_mem_bytes,
            hash_mem_bytes: statement.hash_mem_bytes,
            batch_rows: statement.batch_rows,
        }
    }
}

impl Gather {
    /// The rows of pipelines that share `shares` and `control`. The first pipeline is the calling thread's; each other one
    /// has run state of its own.
    pub(crate) fn new(
        leader: BoxOperator,
        helpers: Vec<(BoxOperator, RunState)>,
        shares: Shares,
        control: Arc<Control>,
        merge: Option<&[SortKey]>,
        limit: Option<Expr>,
        note: Option<WorkerNote>,
    ) -> Gather {
        let pipeline =
            |operator, own| Pipeline { operator, own, started: false, ended: false, rows: Vec::new() };
        let mut pipelines = vec![pipeline(leader, None)];
        pipelines.extend(helpers.into_iter().map(|(operator, run)| {
            let watch = Arc::new(Watch::new(&control));
            pipeline(operator, Some(Surroundings { run, watch, session: None, snapshot: None }))
        }));
        let merge = merge.map(|keys| Merger::new(keys, pipelines.len()));
        Gather {
            pipelines,
            shares,
            control,
            merge,
            limit,
            note,
            rows: VecDeque::new(),
            phase: Phase::New,
            round_rows: 1,
            left: None,
        }
    }

    fn start(&mut self, ctx: &ExecContext<'_>) -> Result<()> {
        let limit = self.limit.as_ref().map(|limit| ctx.eval_value(limit)).transpose()?;
        // A negative limit is the limit's own error.
        self.left = limit.and_then(|limit| limit.as_i64()).map(|rows| usize::try_from(rows).unwrap_or(0));
        self.round_rows = 1;
        while self.pipelines[0].operator.make_ready(ctx)? == Readiness::Together {
            self.control.begin_round(usize::MAX, usize::MAX, usize::MAX);
            self.run_round(ctx, Work::Part)?;
        }
        self.phase = Phase::Running;
        Ok(())
    }

    /// Takes places for helpers and gives them what they need; how many there are.
    fn recruit<'a>(&mut self, ctx: &ExecContext<'a>) -> Result<Option<crate::parallel::Places<'a>>> {
        let statement = ctx.statement;
        let asked_for_all = ctx.run.wanted_rows.get() == usize::MAX;
        let Some(workers) =
            statement.workers.filter(|_| asked_for_all && statement.snapshot.serial().is_none())
        else {
            return Ok(None);
        };
        let wanted = self.pipelines[1..].iter().filter(|pipeline| !pipeline.ended).count();
        let mut places = workers.take(wanted);
        let mut ready = 0;
        for pipeline in self.pipelines[1..].iter_mut().filter(|pipeline| !pipeline.ended) {
            if ready == places.count {
                break;
            }
            if !pipeline.equip(statement) {
                break;
            }
            ready += 1;
        }
        places.give_back(places.count - ready);
        Ok(Some(places))
    }

    /// Runs pipelines until enough rows have come, or all have ended.
    fn round(&mut self, ctx: &ExecContext<'_>) -> Result<()> {
        let once = self.merge.is_some();
        let (wanted, last) = match self.left {
            // The first rows of all have to be seen to know which come first.
            _ if once => (usize::MAX, usize::MAX),
            Some(left) => (self.round_rows.min(left), left),
            None => (self.round_rows, usize::MAX),
        };
        let bytes = if once { usize::MAX } else { ctx.work_mem_bytes().max(LEAST_ROUND_BYTES) };
        self.control.begin_round(wanted, bytes, last);
        self.run_round(ctx, Work::Rows { once })?;
        self.round_rows = (self.round_rows * ROUND_GROWTH).min(MAX_ROUND_ROWS);
        Ok(())
    }

    /// Lets the threads that are to be had work on their pipelines; when it returns no helper runs (G2).
    fn run_round(&mut self, ctx: &ExecContext<'_>, work: Work) -> Result<()> {
        let statement = ctx.statement;
        let places = self.recruit(ctx)?;
        let helpers = places.as_ref().map_or(0, |places| places.count);
        if let Some(note) = &self.note {
            note.launched(helpers as u64);
        }
        let participates = helpers == 0
            || statement.workers.is_none_or(|workers| workers.leader_participates)
            || self.pipelines[0].started;
        let common = CommonContext::of(statement);
        let control = &*self.control;
        let (leader, others) =
            self.pipelines.split_first_mut().expect("there is a pipeline for the calling thread");
        // Those that have begun come first (G1); of the others no more than there are helpers.
        let mut waiting: Vec<&mut Pipeline> =
            others.iter_mut().filter(|p| !p.ended && p.is_equipped()).collect();
        waiting.sort_by_key(|pipeline| pipeline.started);
        let begun = waiting.iter().filter(|pipeline| pipeline.started).count();
        let surplus = waiting.len().saturating_sub(helpers.max(begun));
        waiting.drain(..surplus);
        let queue = Mutex::new(waiting);
        let watch = Watch::new(&self.control);
        let panic: Mutex<Option<Box<dyn Any + Send>>> = Mutex::new(None);
        let help = || {
            let run = catch_unwind(AssertUnwindSafe(|| {
                loop {
                    let next = queue.lock().pop();
                    let Some(pipeline) = next.filter(|_| !control.is_paused()) else { return };
                    if let Err(error) = pipeline.run_beside(&common, control, work) {
                        control.fail(error);
                    }
                }
            }));
            if let Err(payload) = run {
                control.stop();
                panic.lock().get_or_insert(payload);
            }
        };
        let before = memory::taken();
        std::thread::scope(|scope| {
            let _guard = StopOnUnwind(control);
            let mut running = 0;
            for number in 0..helpers {
                let builder = std::thread::Builder::new().name(format!("ochre-parallel-{number}"));
                // Where the system has no thread left, this one does the work.
                running += usize::from(builder.spawn_scoped(scope, help).is_ok());
            }
            if participates || running == 0 {
                if let Err(error) = leader.run_here(ctx, &watch, control, work) {
                    control.fail(error);
                }
                // What helpers began in an earlier round, and none of them took up in this one.
                help();
            }
        });
        drop(queue);
        // What helpers hold counts for this thread from now on.
        memory::adopt(self.control.taken() - (memory::taken() - before));
        if let Some(payload) = panic.into_inner() {
            resume_unwind(payload);
        }
        self.control.take_failure().map_or(Ok(()), Err)
    }

    /// Whether every row has been given by the pipelines (G1).
    fn is_read(&self) -> bool {
        self.pipelines.iter().any(|pipeline| pipeline.ended)
            && self.pipelines.iter().all(|pipeline| pipeline.ended || !pipeline.started)
    }

    fn take_rows(&mut self) {
        for pipeline in &mut self.pipelines {
            self.rows.extend(pipeline.rows.drain(..));
        }
        if let Some(left) = &mut self.left {
            *left = left.saturating_sub(self.control.rows());
            if *left == 0 {
                self.phase = Phase::Ended;
            }
        }
        if self.is_read() {
            self.phase = Phase::Ended;
        }
    }

    fn next_merged(&mut self, ctx: &ExecContext<'_>) -> Result<Option<Batch>> {
        let merger = self.merge.as_mut().expect("rows are merged");
        let common = CommonContext::of(ctx.statement);
        let mut streams = PipelineStreams { ctx, common: &common, pipelines: &mut self.pipelines };
        merger.next(ctx, &mut streams)
    }
}

/// Stops the helpers when the calling thread panics.
struct StopOnUnwind<'a>(&'a Control);

impl Drop for StopOnUnwind<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.stop();
        }
    }
}

impl Pipeline {
    /// Gives a helper's pipeline a session and a snapshot; false when the session has none to give.
    fn equip(&mut self, statement: &StatementContext<'_>) -> bool {
        let Some(own) = &mut self.own else { return false };
        if own.session.is_none() {
            let watch = Arc::clone(&own.watch) as Arc<dyn WorkerWatch>;
            own.session = statement.session.for_worker(watch);
        }
        if own.snapshot.is_none() {
            own.snapshot = statement.snapshot.for_worker().ok();
        }
        self.is_equipped()
    }

    /// Gives back what it was equipped with.
    fn disband(&mut self) {
        if let Some(own) = &mut self.own {
            own.session = None;
            own.snapshot = None;
        }
    }

    fn is_equipped(&self) -> bool {
        self.own.as_ref().is_some_and(|own| own.session.is_some() && own.snapshot.is_some())
    }

    /// Runs in a helper's surroundings.
    fn run_beside(&mut self, common: &CommonContext<'_>, control: &Control, work: Work) -> Result<()> {
        let Pipeline { operator, own, started, ended, rows } = self;
        let own = own.as_ref().expect("helpers have surroundings");
        own.watch.begin();
        let result = own.with_context(common, |ctx| match work {
            Work::Part => take_part(operator, ctx, &own.watch),
            Work::Rows { once } => {
                *started = true;
                run(operator, ctx, &own.watch, control, once, ended, rows)
            }
        });
        own.watch.count();
        result
    }

    /// Runs in the statement's own surroundings.
    fn run_here(
        &mut self,
        ctx: &ExecContext<'_>,
        watch: &Watch,
        control: &Control,
        work: Work,
    ) -> Result<()> {
        watch.begin();
        let result = match work {
            Work::Part => take_part(&mut self.operator, ctx, watch),
            Work::Rows { once } => {
                self.started = true;
                if self.ended {
                    return Ok(());
                }
                run(&mut self.operator, ctx, watch, control, once, &mut self.ended, &mut self.rows)
            }
        };
        watch.count();
        result
    }
}

impl Surroundings {
    fn with_context<R>(&self, common: &CommonContext<'_>, run: impl FnOnce(&ExecContext<'_>) -> R) -> R {
        let session = self.session.as_deref().expect("an equipped pipeline has a session");
        let snapshot = self.snapshot.as_ref().expect("an equipped pipeline has a snapshot");
        let statement = StatementContext {
            params: common.params,
            session,
            relations: &NoRelations,
            txn: common.txn,
            snapshot,
            temp: common.temp,
            work_mem_bytes: common.work_mem_bytes,
            hash_mem_bytes: common.hash_mem_bytes,
            batch_rows: common.batch_rows,
            workers: None,
        };
        run(&ExecContext::new(&statement, &self.run, &self.run.main))
    }
}

fn take_part(operator: &mut BoxOperator, ctx: &ExecContext<'_>, watch: &Watch) -> Result<()> {
    operator.take_part(ctx, &|| {
        ctx.check_interrupts()?;
        watch.check()
    })
}

fn run(
    operator: &mut BoxOperator,
    ctx: &ExecContext<'_>,
    watch: &Watch,
    control: &Control,
    once: bool,
    ended: &mut bool,
    rows: &mut Vec<Batch>,
) -> Result<()> {
    loop {
        ctx.check_interrupts()?;
        watch.check()?;
        match operator.next(ctx)? {
            // There were enough rows before these. They may be wrong: below, another thread's end may have been that it stopped
            // (SB2).
            Some(_) if control.is_stopped() => return Ok(()),
            Some(batch) => {
                control.note_rows(batch.active_rows(), batch.memory_bytes());
                rows.push(batch);
            }
            None => {
                *ended = true;
                return Ok(());
            }
        }
        if once || control.is_paused() {
            return Ok(());
        }
    }
}

/// The pipelines as streams of rows, asked by the calling thread.
struct PipelineStreams<'a, 'c> {
    ctx: &'a ExecContext<'c>,
    common: &'a CommonContext<'a>,
    pipelines: &'a mut [Pipeline],
}

impl Streams for PipelineStreams<'_, '_> {
    fn next(&mut self, stream: usize) -> Result<Option<Batch>> {
        let pipeline = &mut self.pipelines[stream];
        if let Some(batch) = pipeline.rows.pop() {
            return Ok(Some(batch));
        }
        if pipeline.ended || !pipeline.started {
            return Ok(None);
        }
        let Pipeline { operator, own, ended, .. } = pipeline;
        let batch = match own {
            None => operator.next(self.ctx)?,
            Some(own) => {
                own.watch.begin();
                own.with_context(self.common, |ctx| operator.next(ctx))?
            }
        };
        *ended = batch.is_none();
        Ok(batch)
    }
}

impl Operator for Gather {
    fn next(&mut self, ctx: &ExecContext<'_>) -> Result<Option<Batch>> {
        loop {
            if let Some(batch) = self.rows.pop_front() {
                return Ok(Some(batch));
            }
            match self.phase {
                Phase::New => self.start(ctx)?,
                Phase::Running => {
                    self.round(ctx)?;
                    if self.merge.is_some() {
                        self.phase = Phase::Merging;
                    } else {
                        self.take_rows();
                    }
                }
                Phase::Merging => match self.next_merged(ctx)? {
                    Some(batch) => return Ok(Some(batch)),
                    None => self.phase = Phase::Ended,
                },
                Phase::Ended => {
                    self.pipelines.iter_mut().for_each(Pipeline::disband);
                    return Ok(None);
                }
            }
        }
    }

    fn narrow(&mut self, column: usize, keys: &Arc<KeyFilter>) -> bool {
        let mut used = false;
        for pipeline in &mut self.pipelines {
            used |= pipeline.operator.narrow(column, keys);
        }
        used
    }

    fn report(&self, report: &mut NodeReport) {
        for pipeline in &self.pipelines {
            let mut below = NodeReport::default();
            pipeline.operator.report(&mut below);
            report.rows_left += below.rows_left;
        }
    }

    fn rescan(&mut self, ctx: &ExecContext<'_>) -> Result<()> {
        self.rows.clear();
        self.control.reset();
        self.shares.scans.iter().for_each(|scan| scan.reset());
        self.shares.builds.iter().for_each(|build| build.reset());
        if let Some(merger) = &mut self.merge {
            merger.reset();
        }
        for pipeline in &mut self.pipelines {
            pipeline.started = false;
            pipeline.ended = false;
            pipeline.rows.clear();
            // Those that have not run may have been told keys.
            pipeline.operator.rescan(ctx)?;
            // The next run may see something else.
            pipeline.disband();
        }
        self.phase = Phase::New;
        Ok(())
    }
}

/// Helpers open nothing: their operators have what they need.
struct NoRelations;

impl RelationSource for NoRelations {
    fn table(&self, descriptor: &Arc<RelationDescriptor>) -> Result<Arc<TableAccess>> {
        Err(Error::internal(format!("a helping thread opens \"{}\"", descriptor.name)))
    }

    fn table_by_oid(&self, oid: Oid) -> Result<Arc<TableAccess>> {
        Err(Error::internal(format!("a helping thread opens relation {oid}")))
    }

    fn namespace_name(&self, _namespace: Oid) -> String {
        String::new()
    }

    fn builtin_rows(&self, table: &TableAccess, _statement: &StatementContext<'_>) -> Result<Vec<Batch>> {
        Err(Error::internal(format!("a helping thread reads \"{}\"", table.descriptor.name)))
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use ochre_access::heap::HeapLog;
    use ochre_env::Env;
    use ochre_expr::NoSession;
    use ochre_sql::physical::{CommandKind, PhysicalPlan, PlanNode, PlannedStatement, ResultPlan};
    use ochre_storage::{ResourceManager, Storage, StorageConfig};
    use ochre_txn::{TransactionLog, TransactionManager, TransactionOptions};
    use ochre_types::{Column, FormatContext};

    use super::*;
    use crate::parallel::{WorkerPool, Workers};
    use crate::temp::TempFiles;

    /// A session that lets others help.
    #[derive(Default)]
    struct Open(NoSession);

    struct Helping(NoSession, Arc<dyn WorkerWatch>);

    impl SessionContext for Open {
        fn format(&self) -> &FormatContext {
            self.0.format()
        }

        fn for_worker(&self, watch: Arc<dyn WorkerWatch>) -> Option<Box<dyn SessionContext + Send>> {
            Some(Box::new(Helping(NoSession::default(), watch)))
        }
    }

    impl SessionContext for Helping {
        fn format(&self) -> &FormatContext {
            self.0.format()
        }

        fn check_interrupts(&self) -> Result<()> {
            self.1.check()
        }
    }

    /// What a pipeline of these tests does.
    #[derive(Clone, Copy)]
    enum Deed {
        /// Gives so many batches of one row.
        Rows(usize),
        /// Runs until it is stopped.
        Endless,
        Fails,
        Panics,
    }

    struct Doing {
        deed: Deed,
        running: Arc<AtomicUsize>,
        /// Waits until so many pipelines run, so that each has a thread.
        together: usize,
        begun: bool,
    }

    impl Operator for Doing {
        fn next(&mut self, ctx: &ExecContext<'_>) -> Result<Option<Batch>> {
            if !std::mem::replace(&mut self.begun, true) {
                self.running.fetch_add(1, Ordering::SeqCst);
                while self.running.load(Ordering::SeqCst) < self.together {
                    std::thread::yield_now();
                }
            }
            match &mut self.deed {
                Deed::Rows(0) => Ok(None),
                Deed::Rows(left) => {
                    *left -= 1;
                    Ok(Some(Batch::new(vec![Arc::new(Column::from(vec![*left as i64]))], 1)))
                }
                Deed::Endless => loop {
                    ctx.check_interrupts()?;
                    std::thread::yield_now();
                },
                Deed::Fails => Err(Error::unsupported("this deed")),
                Deed::Panics => panic!("a helper panics"),
            }
        }

        fn rescan(&mut self, _ctx: &ExecContext<'_>) -> Result<()> {
            Ok(())
        }
    }

    /// The rows of pipelines that do this, the first one on the calling thread; all begin together.
    fn gather(deeds: &[Deed], places: usize) -> (Result<Vec<i64>>, u64) {
        let env = Env::in_memory();
        let config = StorageConfig { background_threads: false, ..StorageConfig::default() };
        let log = TransactionLog::new();
        let managers: Vec<Arc<dyn ResourceManager>> = vec![log.clone(), HeapLog::new()];
        let storage = Storage::open(env.clone(), "/data".as_ref(), config, managers).unwrap();
        let manager = TransactionManager::new(storage, &log);
        let dir = PathBuf::from("/data/tmp");
        TempFiles::clear(&env, &dir).unwrap();
        let temp = Arc::new(TempFiles::new(env, dir));
        let txn = manager.begin(TransactionOptions::default());
        let snapshot = txn.snapshot().unwrap();
        let pool = WorkerPool::new(places);
        let session = Open::default();
        let statement = StatementContext {
            params: &[],
            session: &session,
            relations: &NoRelations,
            txn: &txn,
            snapshot: &snapshot,
            temp: &temp,
            work_mem_bytes: 1 << 20,
            hash_mem_bytes: 1 << 20,
            batch_rows: 2048,
            workers: Some(Workers { pool: &pool, limit: 8, leader_participates: true }),
        };
        let node = PlanNode::Result(ResultPlan { exprs: Vec::new(), condition: None });
        let plan = Arc::new(PlannedStatement {
            command: CommandKind::Select,
            plan: Arc::new(PhysicalPlan::new(node, Vec::new())),
            slots: 0,
            subplans: Vec::new(),
            ctes: Vec::new(),
            work_tables: 0,
            parameters: Vec::new(),
            row_shape: Vec::new(),
            returns_rows: true,
            relations: Vec::new(),
            requirements: Box::default(),
            namespaces: Box::default(),
            read_only: true,
            cursor_tables: Box::default(),
            disabled: ochre_sql::DisabledMethods::default(),
            rules: Box::default(),
        });
        let running = Arc::new(AtomicUsize::new(0));
        let together = deeds.len().min(places + 1);
        let mut operators = deeds.iter().map(|deed| {
            let running = Arc::clone(&running);
            Box::new(Doing { deed: *deed, running, together, begun: false }) as BoxOperator
        });
        let leader = operators.next().unwrap();
        let helpers = operators.map(|operator| (operator, RunState::for_helper(&plan))).collect();
        let mut gather = Gather::new(leader, helpers, Shares::default(), Arc::default(), None, None, None);
        let run = RunState::for_helper(&plan);
        let ctx = ExecContext::new(&statement, &run, &run.main);
        let result = catch_unwind(AssertUnwindSafe(|| {
            let mut rows = Vec::new();
            while let Some(batch) = gather.next(&ctx)? {
                rows.extend_from_slice(batch.columns[0].as_i64s().unwrap());
            }
            rows.sort_unstable();
            Ok(rows)
        }));
        assert_eq!(pool.taken(), 0);
        let result = result.unwrap_or_else(|panic| {
            Err(Error::internal(*panic.downcast_ref::<&str>().expect("the panic of the test")))
        });
        (result, pool.served())
    }

    #[test]
    fn rows_of_all_pipelines_come() {
        let (rows, served) = gather(&[Deed::Rows(3), Deed::Rows(2), Deed::Rows(4)], 2);
        assert_eq!(rows.unwrap(), [0, 0, 0, 1, 1, 1, 2, 2, 3]);
        assert!(served >= 2);
        // What has no thread is not run: the work is common, so others have done it.
        let (rows, served) = gather(&[Deed::Rows(3), Deed::Rows(2)], 0);
        assert_eq!((rows.unwrap(), served), (vec![0, 1, 2], 0));
    }

    #[test]
    fn an_error_stops_the_others() {
        let (result, _) = gather(&[Deed::Rows(1), Deed::Endless, Deed::Fails], 2);
        assert_eq!(result.unwrap_err().sqlstate(), ochre_base::SqlState::FEATURE_NOT_SUPPORTED);
        let (result, _) = gather(&[Deed::Fails, Deed::Endless, Deed::Endless], 2);
        assert_eq!(result.unwrap_err().sqlstate(), ochre_base::SqlState::FEATURE_NOT_SUPPORTED);
    }

    #[test]
    fn a_panic_stops_the_others_and_goes_on_in_the_caller() {
        for deeds in
            [[Deed::Rows(1), Deed::Panics, Deed::Endless], [Deed::Panics, Deed::Endless, Deed::Endless]]
        {
            let (result, _) = gather(&deeds, 2);
            assert_eq!(result.unwrap_err().message(), "a helper panics");
        }
    }
}
