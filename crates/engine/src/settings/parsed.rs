//! The settings that statements read, parsed: reading one must not cost a search for its name.

use std::time::Duration;

use ochre_sql::PlannerSettings;
use ochre_txn::IsolationLevel;

use super::Settings;
use crate::function_statistics::Tracked;

/// Values in the form in which statements use them; made again after a change.
#[derive(Debug, Clone)]
pub struct Parsed {
    pub statement_timeout: Option<Duration>,
    pub lock_timeout: Option<Duration>,
    pub idle_in_transaction_session_timeout: Option<Duration>,
    pub idle_session_timeout: Option<Duration>,
    pub transaction_timeout: Option<Duration>,
    pub deadlock_timeout: Duration,
    /// `client_connection_check_interval`.
    pub client_check_interval: Option<Duration>,
    pub work_mem_bytes: usize,
    /// What a hash table may take: `work_mem` times `hash_mem_multiplier`.
    pub hash_mem_bytes: usize,
    pub batch_rows: usize,
    /// What a statement may take in all before it fails.
    pub query_memory_bytes: Option<u64>,
    /// `synchronous_commit`: whether a commit's answer waits for the log.
    pub synchronous_commit: bool,
    pub default_isolation: IsolationLevel,
    pub default_read_only: bool,
    pub default_deferrable: bool,
    /// `max_parallel_workers`: threads that may help with queries at one time.
    pub max_parallel_workers: usize,
    /// `parallel_leader_participation`.
    pub leader_participates: bool,
    /// `track_counts`: whether scans and changes are counted.
    pub(crate) track_counts: bool,
    /// `track_functions`: which calls are counted.
    pub(crate) track_functions: Tracked,
    pub planner: PlannerSettings,
    /// `plan_cache_mode`.
    pub(crate) plan_choice: PlanChoice,
    /// A number for the values that plans depend on: sessions with equal values share plans.
    pub plan_fingerprint: u64,
}

/// Which plans statements run with that were prepared with parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PlanChoice {
    /// Plans for their values, until one for all values is expected to be as good.
    Cheaper,
    /// Plans for all values.
    Generic,
    /// Plans for their values.
    Custom,
}

impl Parsed {
    pub(super) fn of(settings: &Settings) -> Parsed {
        let work_mem_bytes = settings.integer("work_mem") as usize * 1024;
        let hash_mem_bytes = (work_mem_bytes as f64 * settings.real("hash_mem_multiplier")) as usize;
        let spills = settings.flag("ochre.force_spill");
        Parsed {
            statement_timeout: timeout(settings.integer("statement_timeout")),
            lock_timeout: timeout(settings.integer("lock_timeout")),
            idle_in_transaction_session_timeout: timeout(
                settings.integer("idle_in_transaction_session_timeout"),
            ),
            idle_session_timeout: timeout(settings.integer("idle_session_timeout")),
            transaction_timeout: timeout(settings.integer("transaction_timeout")),
            deadlock_timeout: timeout(settings.integer("deadlock_timeout")).unwrap_or_default(),
            client_check_interval: timeout(settings.integer("client_connection_check_interval")),
            work_mem_bytes: if spills { 0 } else { work_mem_bytes },
            hash_mem_bytes: if spills { 0 } else { hash_mem_bytes },
            batch_rows: settings.integer("ochre.batch_rows") as usize,
            query_memory_bytes: u64::try_from(settings.integer("query_memory_limit"))
                .ok()
                .filter(|kilobytes| *kilobytes > 0)
                .map(|kilobytes| kilobytes * 1024),
            synchronous_commit: settings.text("synchronous_commit") != "off",
            default_isolation: isolation(settings.text("default_transaction_isolation")),
            default_read_only: settings.flag("default_transaction_read_only"),
            default_deferrable: settings.flag("default_transaction_deferrable"),
            max_parallel_workers: settings.integer("max_parallel_workers") as usize,
            leader_participates: settings.flag("parallel_leader_participation"),
            track_counts: settings.flag("track_counts"),
            track_functions: match settings.text("track_functions") {
                "all" => Tracked::All,
                "pl" => Tracked::Procedural,
                _ => Tracked::None,
            },
            planner: PlannerSettings {
                enable_seqscan: settings.flag("enable_seqscan"),
                enable_indexscan: settings.flag("enable_indexscan"),
                enable_indexonlyscan: settings.flag("enable_indexonlyscan"),
                enable_bitmapscan: settings.flag("enable_bitmapscan"),
                enable_hashjoin: settings.flag("enable_hashjoin"),
                enable_mergejoin: settings.flag("enable_mergejoin"),
                enable_nestloop: settings.flag("enable_nestloop"),
                enable_hashagg: settings.flag("enable_hashagg"),
                enable_sort: settings.flag("enable_sort"),
                enable_incremental_sort: settings.flag("enable_incremental_sort"),
                enable_tidscan: settings.flag("enable_tidscan"),
                enable_material: settings.flag("enable_material"),
                enable_memoize: settings.flag("enable_memoize"),
                enable_partition_pruning: settings.flag("enable_partition_pruning"),
                enable_self_join_elimination: settings.flag("enable_self_join_elimination"),
                seq_page_cost: settings.real("seq_page_cost"),
                random_page_cost: settings.real("random_page_cost"),
                cpu_tuple_cost: settings.real("cpu_tuple_cost"),
                cpu_index_tuple_cost: settings.real("cpu_index_tuple_cost"),
                cpu_operator_cost: settings.real("cpu_operator_cost"),
                effective_cache_size: settings.integer("effective_cache_size") as f64,
                work_mem_bytes: work_mem_bytes as f64,
                hash_mem_bytes: hash_mem_bytes as f64,
                enable_gathermerge: settings.flag("enable_gathermerge"),
                enable_parallel_hash: settings.flag("enable_parallel_hash"),
                max_parallel_workers_per_gather: settings.integer("max_parallel_workers_per_gather") as usize,
                parallel_setup_cost: settings.real("parallel_setup_cost"),
                parallel_tuple_cost: settings.real("parallel_tuple_cost"),
                min_parallel_table_scan_pages: settings.integer("min_parallel_table_scan_size") as f64,
                parallel_leader_participates: settings.flag("parallel_leader_participation"),
                force_parallel: settings.text("debug_parallel_query") != "off",
                disabled_rules: settings
                    .text("ochre.disabled_rules")
                    .split(',')
                    .map(str::trim)
                    .filter(|name| !name.is_empty())
                    .map(str::to_owned)
                    .collect(),
                ..PlannerSettings::default()
            },
            plan_choice: match settings.text("plan_cache_mode") {
                "force_generic_plan" => PlanChoice::Generic,
                "force_custom_plan" => PlanChoice::Custom,
                _ => PlanChoice::Cheaper,
            },
            plan_fingerprint: settings.fingerprint(),
        }
    }
}

/// A timeout setting in milliseconds; zero is none.
fn timeout(milliseconds: i64) -> Option<Duration> {
    u64::try_from(milliseconds).ok().filter(|ms| *ms > 0).map(Duration::from_millis)
}

/// The level of a name that has passed its check.
fn isolation(name: &str) -> IsolationLevel {
    match name {
        "serializable" => IsolationLevel::Serializable,
        "repeatable read" => IsolationLevel::RepeatableRead,
        "read uncommitted" => IsolationLevel::ReadUncommitted,
        _ => IsolationLevel::ReadCommitted,
    }
}
