//! What the planner may do and what it takes things to cost.

use ochre_base::Lsn;
use ochre_catalog::IndexDescriptor;

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
    pub enable_material: bool,
    pub enable_gathermerge: bool,
    pub enable_partition_pruning: bool,
    pub seq_page_cost: f64,
    pub random_page_cost: f64,
    pub cpu_tuple_cost: f64,
    pub cpu_index_tuple_cost: f64,
    pub cpu_operator_cost: f64,
    /// Pages.
    pub effective_cache_size: f64,
    /// Bytes.
    pub work_mem_bytes: f64,
    /// Threads that may help with one part of a plan; 0 plans for one thread only.
    pub max_parallel_workers_per_gather: usize,
    pub parallel_setup_cost: f64,
    pub parallel_tuple_cost: f64,
    /// Tables of fewer pages are not worth a second thread.
    pub min_parallel_table_scan_pages: f64,
    pub parallel_leader_participates: bool,
    /// Whatever can run in parallel does, whatever it costs.
    pub force_parallel: bool,
    /// Share of a cursor's rows that is expected to be fetched; 1 for everything else.
    pub tuple_fraction: f64,
    /// The position of the snapshot that the plan will run under, if that is known and may be older than an index.
    pub snapshot: Option<Lsn>,
    /// Rules of [`crate::optimize::RULES`] that are switched off, by name.
    pub disabled_rules: Vec<String>,
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
            enable_material: true,
            enable_gathermerge: true,
            enable_partition_pruning: true,
            seq_page_cost: 1.0,
            random_page_cost: 4.0,
            cpu_tuple_cost: 0.01,
            cpu_index_tuple_cost: 0.005,
            cpu_operator_cost: 0.0025,
            effective_cache_size: 524_288.0,
            work_mem_bytes: 4.0 * 1024.0 * 1024.0,
            max_parallel_workers_per_gather: 0,
            parallel_setup_cost: 1000.0,
            parallel_tuple_cost: 0.1,
            min_parallel_table_scan_pages: 1024.0,
            parallel_leader_participates: true,
            force_parallel: false,
            tuple_fraction: 1.0,
            snapshot: None,
            disabled_rules: Vec::new(),
        }
    }
}

impl PlannerSettings {
    /// Whether a scan of an index finds every row that the plan's snapshot sees.
    pub(crate) fn may_use(&self, index: &IndexDescriptor) -> bool {
        index.valid && self.snapshot.is_none_or(|snapshot| snapshot >= index.usable_from)
    }
}

/// What a switched-off method costs on top, as PostgreSQL has it.
pub(crate) const DISABLED_COST: f64 = 1.0e10;
