//! What the planner may do and what it takes things to cost.

use ochre_base::{Lsn, limits};
use ochre_catalog::IndexDescriptor;

use crate::physical::{AggregateStrategy, PhysicalPlan, PlanNode};

/// Planner settings by PostgreSQL's names and with its defaults.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannerSettings {
    pub enable_seqscan: bool,
    pub enable_indexscan: bool,
    pub enable_indexonlyscan: bool,
    pub enable_bitmapscan: bool,
    pub enable_tidscan: bool,
    pub enable_hashjoin: bool,
    pub enable_mergejoin: bool,
    pub enable_nestloop: bool,
    pub enable_hashagg: bool,
    pub enable_sort: bool,
    pub enable_incremental_sort: bool,
    pub enable_material: bool,
    pub enable_memoize: bool,
    pub enable_gathermerge: bool,
    pub enable_parallel_hash: bool,
    pub enable_partition_pruning: bool,
    pub enable_self_join_elimination: bool,
    pub seq_page_cost: f64,
    pub random_page_cost: f64,
    pub cpu_tuple_cost: f64,
    pub cpu_index_tuple_cost: f64,
    pub cpu_operator_cost: f64,
    /// Pages.
    pub effective_cache_size: f64,
    /// Bytes.
    pub work_mem_bytes: f64,
    /// Bytes of a hash table.
    pub hash_mem_bytes: f64,
    /// Threads that may help with one part of a plan; 0 plans for one thread only.
    pub max_parallel_workers_per_gather: usize,
    pub parallel_setup_cost: f64,
    pub parallel_tuple_cost: f64,
    /// Tables of fewer pages are not worth a second thread.
    pub min_parallel_table_scan_pages: f64,
    pub parallel_leader_participates: bool,
    /// Whatever can run in parallel does, whatever it costs.
    pub force_parallel: bool,
    /// The position of the snapshot that the plan will run under, if that is known and may be older than an index.
    pub snapshot: Option<Lsn>,
    /// Rules of [`crate::optimize::RULES`] that are switched off, by name.
    pub disabled_rules: Vec<String>,
    /// Whether the plan is to tell which rules changed it.
    pub trace_rules: bool,
}

impl Default for PlannerSettings {
    fn default() -> PlannerSettings {
        PlannerSettings {
            enable_seqscan: true,
            enable_indexscan: true,
            enable_indexonlyscan: true,
            enable_bitmapscan: true,
            enable_tidscan: true,
            enable_hashjoin: true,
            enable_mergejoin: true,
            enable_nestloop: true,
            enable_hashagg: true,
            enable_sort: true,
            enable_incremental_sort: true,
            enable_material: true,
            enable_memoize: true,
            enable_gathermerge: true,
            enable_parallel_hash: true,
            enable_partition_pruning: true,
            enable_self_join_elimination: true,
            seq_page_cost: 1.0,
            random_page_cost: 4.0,
            cpu_tuple_cost: 0.01,
            cpu_index_tuple_cost: 0.005,
            cpu_operator_cost: 0.0025,
            effective_cache_size: 524_288.0,
            work_mem_bytes: 4.0 * 1024.0 * 1024.0,
            hash_mem_bytes: 8.0 * 1024.0 * 1024.0,
            max_parallel_workers_per_gather: 0,
            parallel_setup_cost: 1000.0,
            parallel_tuple_cost: 0.1,
            min_parallel_table_scan_pages: 1024.0,
            parallel_leader_participates: true,
            force_parallel: false,
            snapshot: None,
            disabled_rules: Vec::new(),
            trace_rules: false,
        }
    }
}

impl PlannerSettings {
    /// Whether a scan of an index finds every row that the plan's snapshot sees.
    pub(crate) fn may_use(&self, index: &IndexDescriptor) -> bool {
        index.valid && self.snapshot.is_none_or(|snapshot| snapshot >= index.usable_from)
    }
}

/// Which methods are switched off, as EXPLAIN must know it: they are taken only where there is no other way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DisabledMethods {
    seqscan: bool,
    indexscan: bool,
    bitmapscan: bool,
    tidscan: bool,
    hashjoin: bool,
    mergejoin: bool,
    nestloop: bool,
    hashagg: bool,
    sort: bool,
}

impl DisabledMethods {
    /// Those of these settings.
    pub(crate) fn of(settings: &PlannerSettings) -> DisabledMethods {
        DisabledMethods {
            seqscan: !settings.enable_seqscan,
            indexscan: !settings.enable_indexscan,
            bitmapscan: !settings.enable_bitmapscan,
            tidscan: !settings.enable_tidscan,
            hashjoin: !settings.enable_hashjoin,
            mergejoin: !settings.enable_mergejoin,
            nestloop: !settings.enable_nestloop,
            hashagg: !settings.enable_hashagg,
            sort: !settings.enable_sort,
        }
    }

    /// Whether a node itself is of a method that is switched off.
    pub fn forbid(self, node: &PlanNode) -> bool {
        match node {
            PlanNode::SeqScan(scan) => self.seqscan && scan.sample.is_none(),
            PlanNode::IndexScan(_) | PlanNode::MinMaxIndex(_) => self.indexscan,
            PlanNode::BitmapScan(_) => self.bitmapscan,
            PlanNode::TidScan(_) => self.tidscan,
            PlanNode::HashJoin(_) => self.hashjoin,
            PlanNode::MergeJoin(_) => self.mergejoin,
            PlanNode::NestedLoop(_) => self.nestloop,
            PlanNode::Aggregate(node) => self.hashagg && node.strategy == AggregateStrategy::Hashed,
            PlanNode::Distinct(_) | PlanNode::SetOp(_) => self.hashagg,
            PlanNode::Sort(_) => self.sort,
            _ => false,
        }
    }

    /// How many nodes of a plan are of methods that are switched off.
    pub(crate) fn count(self, plan: &PhysicalPlan) -> u32 {
        if self == DisabledMethods::default() {
            return 0;
        }
        let below =
            |plan: &PhysicalPlan| -> u32 { plan.children().into_iter().map(|child| self.count(child)).sum() };
        stacker::maybe_grow(limits::STACK_RED_ZONE_BYTES, limits::STACK_GROWTH_BYTES, || {
            below(plan) + u32::from(self.forbid(&plan.node))
        })
    }
}

/// What a way to do something costs: first how much of it is switched off, then what it takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Price {
    pub disabled: u32,
    pub cost: f64,
}

impl Price {
    pub fn is_below(self, other: Price) -> bool {
        self.disabled < other.disabled || self.disabled == other.disabled && self.cost < other.cost
    }
}
