//! Counters for EXPLAIN ANALYZE.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ochre_base::{Result, Usage};
use ochre_env::usage;
use ochre_sql::explain::NodeReport;
use ochre_sql::physical::PhysicalPlan;
use ochre_types::Batch;
use parking_lot::Mutex;

use crate::{BoxOperator, Check, ExecContext, Operator, Readiness};

/// What a node did.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NodeCounters {
    /// How often it ran from its start.
    pub loops: u64,
    /// Rows that it gave, in all loops.
    pub rows: u64,
    /// Time until the first batch, in all loops, its inputs included.
    pub startup: Duration,
    /// Time in all loops, its inputs included.
    pub total: Duration,
    /// Threads that helped a gather, in its best round.
    pub workers: u64,
    /// What it took of pages and log, its inputs included.
    pub usage: Usage,
    /// What it says of itself.
    pub report: NodeReport,
}

/// The counters of one execution, by node.
#[derive(Debug, Default)]
pub struct Instrumentation {
    nodes: Mutex<HashMap<usize, NodeCounters>>,
}

impl Instrumentation {
    /// What a node has done so far; nothing when it never ran.
    pub fn counters(&self, plan: &PhysicalPlan) -> NodeCounters {
        self.nodes.lock().get(&key(plan)).cloned().unwrap_or_default()
    }
}

/// Where a gather says how many threads helped it.
pub struct WorkerNote {
    /// Keeps the address in use.
    plan: Arc<PhysicalPlan>,
    instrumentation: Arc<Instrumentation>,
}

impl WorkerNote {
    /// For a gather made from `plan`.
    pub fn new(plan: &Arc<PhysicalPlan>, instrumentation: &Arc<Instrumentation>) -> WorkerNote {
        WorkerNote { plan: Arc::clone(plan), instrumentation: Arc::clone(instrumentation) }
    }

    /// So many threads help in a round.
    pub fn launched(&self, workers: u64) {
        let mut nodes = self.instrumentation.nodes.lock();
        let counters = nodes.entry(key(&self.plan)).or_default();
        counters.workers = counters.workers.max(workers);
    }
}

/// A node is known by its address: plans are shared and never move.
fn key(plan: &PhysicalPlan) -> usize {
    std::ptr::from_ref(plan).addr()
}

/// Runs an operator and counts.
pub struct Instrumented {
    inner: BoxOperator,
    /// Keeps the address in use.
    plan: Arc<PhysicalPlan>,
    instrumentation: Arc<Instrumentation>,
    started: bool,
    first: bool,
    /// What it said of itself last.
    said: NodeReport,
}

impl Instrumented {
    /// Counts what `inner`, made from `plan`, does.
    pub fn new(inner: BoxOperator, plan: &Arc<PhysicalPlan>, instrumentation: &Arc<Instrumentation>) -> Self {
        let (plan, instrumentation) = (Arc::clone(plan), Arc::clone(instrumentation));
        Instrumented {
            inner,
            plan,
            instrumentation,
            started: false,
            first: true,
            said: NodeReport::default(),
        }
    }

    /// Counts the time of what comes before the first batch.
    fn timed<R>(&mut self, work: impl FnOnce(&mut BoxOperator) -> R) -> R {
        let taken = usage::now();
        let begin = Instant::now();
        let result = work(&mut self.inner);
        let time = begin.elapsed();
        let taken = usage::now().since(taken);
        let mut nodes = self.instrumentation.nodes.lock();
        let counters = nodes.entry(key(&self.plan)).or_default();
        counters.startup += time;
        counters.total += time;
        counters.usage = counters.usage.and(taken);
        result
    }
}

impl Operator for Instrumented {
    fn next(&mut self, ctx: &ExecContext<'_>) -> Result<Option<Batch>> {
        let taken = usage::now();
        let begin = Instant::now();
        let batch = self.inner.next(ctx);
        let time = begin.elapsed();
        let taken = usage::now().since(taken);
        let mut nodes = self.instrumentation.nodes.lock();
        let counters = nodes.entry(key(&self.plan)).or_default();
        counters.loops += u64::from(!std::mem::replace(&mut self.started, true));
        counters.total += time;
        counters.usage = counters.usage.and(taken);
        let mut now = NodeReport::default();
        self.inner.report(&mut now);
        counters.report.progress(&self.said, &now);
        self.said = now;
        if std::mem::take(&mut self.first) {
            counters.startup += time;
        }
        if let Ok(Some(batch)) = &batch {
            counters.rows += batch.active_rows() as u64;
        }
        batch
    }

    fn narrow(&mut self, column: usize, keys: &Arc<crate::key_filter::KeyFilter>) -> bool {
        self.inner.narrow(column, keys)
    }

    fn report(&self, report: &mut NodeReport) {
        self.inner.report(report);
    }

    fn make_ready(&mut self, ctx: &ExecContext<'_>) -> Result<Readiness> {
        self.timed(|inner| inner.make_ready(ctx))
    }

    fn take_part(&mut self, ctx: &ExecContext<'_>, check: Check<'_>) -> Result<()> {
        self.timed(|inner| inner.take_part(ctx, check))
    }

    fn rescan(&mut self, ctx: &ExecContext<'_>) -> Result<()> {
        self.started = false;
        self.first = true;
        self.inner.rescan(ctx)
    }

    fn rewind(&mut self, ctx: &ExecContext<'_>) -> Result<()> {
        self.started = false;
        self.first = true;
        self.inner.rewind(ctx)
    }
}
