//! The table of settings: name, kind, default, who may change it, and PostgreSQL's words for `pg_settings`.

use std::sync::Arc;

use ochre_base::{Error, Result, SqlState};

use super::value::{boolean, date_style, format_date_style, format_with_unit, number_with_unit};

/// When a setting may be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Context {
    /// Never: it tells what the product is.
    Internal,
    /// On the command line, in the environment or in the configuration file.
    Startup,
    /// In a session.
    Session,
}

impl Context {
    /// The word in `pg_settings.context`.
    pub const fn word(self) -> &'static str {
        match self {
            Context::Internal => "internal",
            Context::Startup => "postmaster",
            Context::Session => "user",
        }
    }
}

/// What values a setting takes.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    Bool,
    Integer {
        min: i64,
        max: i64,
        unit: Option<&'static str>,
    },
    Real {
        min: f64,
        max: f64,
    },
    /// One of a few words.
    Enum(&'static [&'static str]),
    Text,
    /// Only the empty string.
    Empty,
    /// A character set: only UTF8, in its spellings.
    Encoding,
    DateStyle,
    TimeZone,
}

impl Kind {
    /// The word in `pg_settings.vartype`.
    pub const fn word(&self) -> &'static str {
        match self {
            Kind::Bool => "bool",
            Kind::Integer { .. } => "integer",
            Kind::Real { .. } => "real",
            Kind::Enum(_) => "enum",
            _ => "string",
        }
    }
}

/// One setting.
#[derive(Debug)]
pub struct Setting {
    pub name: &'static str,
    pub kind: Kind,
    pub default: &'static str,
    pub context: Context,
    pub category: &'static str,
    pub description: &'static str,
    /// RESET ALL leaves it alone.
    pub no_reset_all: bool,
}

/// The setting with this name, in any case.
pub fn find(name: &str) -> Option<usize> {
    // Spellings that PostgreSQL keeps for old clients.
    let name = match name {
        _ if name.eq_ignore_ascii_case("timezone") => "TimeZone",
        _ if name.eq_ignore_ascii_case("force_parallel_mode") => "debug_parallel_query",
        _ if name.eq_ignore_ascii_case("sort_mem") => "work_mem",
        _ if name.eq_ignore_ascii_case("vacuum_mem") => "maintenance_work_mem",
        _ => name,
    };
    SETTINGS.binary_search_by(|setting| compare_names(setting.name, name)).ok()
}

fn compare_names(a: &str, b: &str) -> std::cmp::Ordering {
    a.bytes().map(|c| c.to_ascii_lowercase()).cmp(b.bytes().map(|c| c.to_ascii_lowercase()))
}

impl Setting {
    /// Checks a value and brings it into canonical form; what it leaves open stays as in `current`.
    ///
    /// # Errors
    /// 22023 when it does not pass; 0A000 for a value that PostgreSQL has and we do not.
    pub fn check(&self, text: &str, current: &str) -> Result<Arc<str>> {
        match self.kind {
            Kind::Bool => match boolean(text) {
                Some(true) => Ok("on".into()),
                Some(false) => Ok("off".into()),
                None => Err(Error::new(
                    SqlState::INVALID_PARAMETER_VALUE,
                    format!("parameter \"{}\" requires a Boolean value", self.name),
                )),
            },
            Kind::Integer { min, max, unit } => {
                let number = number_with_unit(text, unit).ok_or_else(|| {
                    let error = self.invalid(text);
                    match unit {
                        Some("kB" | "MB" | "8kB" | "B") => {
                            error.hint("Valid units for this parameter are \"B\", \"kB\", \"MB\", \"GB\", and \"TB\".")
                        }
                        Some(_) => error.hint(
                            "Valid units for this parameter are \"us\", \"ms\", \"s\", \"min\", \"h\", and \"d\".",
                        ),
                        None => error,
                    }
                })?;
                let number = number.round_ties_even();
                if number < min as f64 || number > max as f64 {
                    let unit = unit.map(|unit| format!(" {unit}")).unwrap_or_default();
                    return Err(Error::new(
                        SqlState::INVALID_PARAMETER_VALUE,
                        format!(
                            "{number}{unit} is outside the valid range for parameter \"{}\" ({min}{unit} .. {max}{unit})",
                            self.name
                        ),
                    ));
                }
                Ok((number as i64).to_string().into())
            }
            Kind::Real { min, max } => {
                let number = number_with_unit(text, None).ok_or_else(|| self.invalid(text))?;
                if !(min..=max).contains(&number) {
                    return Err(Error::new(
                        SqlState::INVALID_PARAMETER_VALUE,
                        format!(
                            "{number} is outside the valid range for parameter \"{}\" ({min} .. {max})",
                            self.name
                        ),
                    ));
                }
                Ok(number.to_string().into())
            }
            Kind::Enum(words) => self.check_word(text, words),
            Kind::Text => Ok(text.into()),
            Kind::Empty if text.is_empty() => Ok("".into()),
            Kind::Empty => Err(Error::unsupported(format!(
                "a value other than the default for parameter \"{}\"",
                self.name
            ))),
            Kind::Encoding => match text.to_ascii_lowercase().replace(['-', '_'], "").as_str() {
                "utf8" | "unicode" => Ok("UTF8".into()),
                "sqlascii" | "latin1" | "win1252" | "iso88591" => {
                    Err(Error::unsupported(format!("client encoding \"{text}\"")))
                }
                _ => Err(self.invalid(text)),
            },
            Kind::DateStyle => {
                let (style, order) = date_style(text, current).ok_or_else(|| self.invalid(text))?;
                Ok(format_date_style(style, order).into())
            }
            Kind::TimeZone => ochre_types::TimeZone::parse(text)
                .map(|zone| zone.name().into())
                .ok_or_else(|| self.invalid(text)),
        }
    }

    fn check_word(&self, text: &str, words: &[&'static str]) -> Result<Arc<str>> {
        if let Some(word) = words.iter().find(|word| word.eq_ignore_ascii_case(text)) {
            return Ok((*word).into());
        }
        // Words of PostgreSQL's for on and off.
        if let Some(flag) = boolean(text) {
            let word = if flag { "on" } else { "off" };
            if words.contains(&word) {
                return Ok(word.into());
            }
            if words == ["on"] || words == ["off"] {
                return Err(Error::unsupported(format!("setting \"{}\" to \"{text}\"", self.name)));
            }
        }
        let quoted: Vec<&str> = words.to_vec();
        Err(self.invalid(text).hint(format!("Available values: {}.", quoted.join(", "))))
    }

    fn invalid(&self, text: &str) -> Error {
        Error::new(
            SqlState::INVALID_PARAMETER_VALUE,
            format!("invalid value for parameter \"{}\": \"{text}\"", self.name),
        )
    }

    /// A canonical value as SHOW prints it.
    pub fn show(&self, value: &str) -> String {
        match self.kind {
            Kind::Integer { unit, .. } => {
                format_with_unit(value.parse().expect("S1: integers are canonical"), unit)
            }
            _ => value.to_string(),
        }
    }
}

/// Storage parameters of tables and indexes that are accepted and mean nothing here: there is no VACUUM to tune, and
/// no page that is rewritten for want of space. Everything else in a WITH clause is an error.
pub const ACCEPTED_STORAGE_PARAMETERS: [&str; 7] = [
    "autovacuum_enabled",
    "autovacuum_vacuum_scale_factor",
    "autovacuum_vacuum_threshold",
    "autovacuum_analyze_scale_factor",
    "autovacuum_analyze_threshold",
    "fillfactor",
    "parallel_workers",
];

/// Those of GIN indexes, which have no list of pending entries here.
pub const GIN_STORAGE_PARAMETERS: [&str; 2] = ["fastupdate", "gin_pending_list_limit"];

/// Options of VACUUM that are accepted and mean nothing here: no row is frozen, garbage is never left in an index, large
/// values live with their table, a table is gone through by one thread, and there are no statistics of the database.
/// Every other option does something or is an error.
pub const ACCEPTED_VACUUM_OPTIONS: [&str; 7] = [
    "disable_page_skipping",
    "freeze",
    "index_cleanup",
    "process_main",
    "process_toast",
    "skip_database_stats",
    "truncate",
];

/// Every setting, in the order of lower-case names.
#[rustfmt::skip]
pub const SETTINGS: &[Setting] = &[
    Setting { name: "allow_in_place_tablespaces", kind: Kind::Bool, default: "off", context: Context::Internal, category: "Developer Options", description: "Allows tablespaces directly inside pg_tblspc, for testing.", no_reset_all: false },
    Setting { name: "application_name", kind: Kind::Text, default: "", context: Context::Session, category: "Reporting and Logging / What to Log", description: "Sets the application name to be reported in statistics and logs.", no_reset_all: false },
    Setting { name: "authentication_timeout", kind: Kind::Integer { min: 1, max: 600, unit: Some("s") }, default: "60", context: Context::Startup, category: "Connections and Authentication / Authentication", description: "Sets the maximum allowed time to complete client authentication.", no_reset_all: false },
    Setting { name: "autovacuum", kind: Kind::Bool, default: "on", context: Context::Internal, category: "Vacuuming / Automatic Vacuuming", description: "Shows that garbage is collected in the background.", no_reset_all: false },
    Setting { name: "block_size", kind: Kind::Integer { min: 8192, max: 8192, unit: None }, default: "8192", context: Context::Internal, category: "Preset Options", description: "Shows the size of a disk block.", no_reset_all: false },
    Setting { name: "bytea_output", kind: Kind::Enum(&["escape", "hex"]), default: "hex", context: Context::Session, category: "Client Connection Defaults / Statement Behavior", description: "Sets the output format for bytea.", no_reset_all: false },
    Setting { name: "check_function_bodies", kind: Kind::Bool, default: "on", context: Context::Session, category: "Client Connection Defaults / Statement Behavior", description: "Check routine bodies during CREATE FUNCTION and CREATE PROCEDURE.", no_reset_all: false },
    Setting { name: "checkpoint_completion_target", kind: Kind::Real { min: 0.0, max: 1.0 }, default: "0.9", context: Context::Startup, category: "Write-Ahead Log / Checkpoints", description: "Time spent flushing dirty buffers during checkpoint, as fraction of checkpoint interval.", no_reset_all: false },
    Setting { name: "checkpoint_timeout", kind: Kind::Integer { min: 30, max: 86400, unit: Some("s") }, default: "300", context: Context::Startup, category: "Write-Ahead Log / Checkpoints", description: "Sets the maximum time between automatic WAL checkpoints.", no_reset_all: false },
    Setting { name: "client_connection_check_interval", kind: Kind::Integer { min: 0, max: 2147483647, unit: Some("ms") }, default: "0", context: Context::Session, category: "Connections and Authentication / TCP Settings", description: "Sets the time interval between checks for disconnection while running queries.", no_reset_all: false },
    Setting { name: "client_encoding", kind: Kind::Encoding, default: "UTF8", context: Context::Session, category: "Client Connection Defaults / Locale and Formatting", description: "Sets the client's character set encoding.", no_reset_all: false },
    Setting { name: "client_min_messages", kind: Kind::Enum(&["debug5", "debug4", "debug3", "debug2", "debug1", "log", "notice", "warning", "error"]), default: "notice", context: Context::Session, category: "Client Connection Defaults / Statement Behavior", description: "Sets the message levels that are sent to the client.", no_reset_all: false },
    Setting { name: "cluster_name", kind: Kind::Text, default: "", context: Context::Startup, category: "Reporting and Logging / Process Title", description: "Sets the name of the cluster, which is included in the process title.", no_reset_all: false },
    Setting { name: "column_cache_size", kind: Kind::Integer { min: -1, max: 2147483647, unit: Some("kB") }, default: "-1", context: Context::Startup, category: "Resource Usage / Memory", description: "Sets how much memory columns of tables that are scanned often may take beside the buffers; -1 means half of \"shared_buffers\".", no_reset_all: false },
    Setting { name: "constraint_exclusion", kind: Kind::Enum(&["partition", "on", "off"]), default: "partition", context: Context::Internal, category: "Query Tuning / Other Planner Options", description: "Enables the planner to use constraints to optimize queries.", no_reset_all: false },
    Setting { name: "cpu_index_tuple_cost", kind: Kind::Real { min: 0.0, max: f64::MAX }, default: "0.005", context: Context::Session, category: "Query Tuning / Planner Cost Constants", description: "Sets the planner's estimate of the cost of processing each index entry during an index scan.", no_reset_all: false },
    Setting { name: "cpu_operator_cost", kind: Kind::Real { min: 0.0, max: f64::MAX }, default: "0.0025", context: Context::Session, category: "Query Tuning / Planner Cost Constants", description: "Sets the planner's estimate of the cost of processing each operator or function call.", no_reset_all: false },
    Setting { name: "cpu_tuple_cost", kind: Kind::Real { min: 0.0, max: f64::MAX }, default: "0.01", context: Context::Session, category: "Query Tuning / Planner Cost Constants", description: "Sets the planner's estimate of the cost of processing each tuple (row).", no_reset_all: false },
    Setting { name: "data_checksums", kind: Kind::Bool, default: "on", context: Context::Internal, category: "Preset Options", description: "Shows whether data checksums are turned on for this cluster.", no_reset_all: false },
    Setting { name: "data_directory", kind: Kind::Text, default: "", context: Context::Internal, category: "File Locations", description: "Sets the server's data directory.", no_reset_all: false },
    Setting { name: "DateStyle", kind: Kind::DateStyle, default: "ISO, MDY", context: Context::Session, category: "Client Connection Defaults / Locale and Formatting", description: "Sets the display format for date and time values.", no_reset_all: false },
    Setting { name: "deadlock_timeout", kind: Kind::Integer { min: 1, max: 2147483647, unit: Some("ms") }, default: "1000", context: Context::Session, category: "Lock Management", description: "Sets the time to wait on a lock before checking for deadlock.", no_reset_all: false },
    Setting { name: "debug_parallel_query", kind: Kind::Enum(&["off", "on", "regress"]), default: "off", context: Context::Session, category: "Developer Options", description: "Forces the planner's use of parallel query nodes, whatever they cost.", no_reset_all: false },
    Setting { name: "default_statistics_target", kind: Kind::Integer { min: 1, max: 10000, unit: None }, default: "100", context: Context::Session, category: "Query Tuning / Other Planner Options", description: "Sets the default statistics target.", no_reset_all: false },
    Setting { name: "default_table_access_method", kind: Kind::Enum(&["heap"]), default: "heap", context: Context::Session, category: "Client Connection Defaults / Statement Behavior", description: "Sets the default table access method for new tables.", no_reset_all: false },
    Setting { name: "default_tablespace", kind: Kind::Empty, default: "", context: Context::Session, category: "Client Connection Defaults / Statement Behavior", description: "Sets the default tablespace to create tables and indexes in.", no_reset_all: false },
    Setting { name: "default_text_search_config", kind: Kind::Text, default: "pg_catalog.english", context: Context::Internal, category: "Client Connection Defaults / Locale and Formatting", description: "Sets default text search configuration.", no_reset_all: false },
    Setting { name: "default_toast_compression", kind: Kind::Enum(&["lz4"]), default: "lz4", context: Context::Session, category: "Client Connection Defaults / Statement Behavior", description: "Sets the default compression method for compressible values.", no_reset_all: false },
    Setting { name: "default_transaction_deferrable", kind: Kind::Bool, default: "off", context: Context::Session, category: "Client Connection Defaults / Statement Behavior", description: "Sets the default deferrable status of new transactions.", no_reset_all: false },
    Setting { name: "default_transaction_isolation", kind: Kind::Enum(&["serializable", "repeatable read", "read committed", "read uncommitted"]), default: "read committed", context: Context::Session, category: "Client Connection Defaults / Statement Behavior", description: "Sets the transaction isolation level of each new transaction.", no_reset_all: false },
    Setting { name: "default_transaction_read_only", kind: Kind::Bool, default: "off", context: Context::Session, category: "Client Connection Defaults / Statement Behavior", description: "Sets the default read-only status of new transactions.", no_reset_all: false },
    Setting { name: "default_with_oids", kind: Kind::Enum(&["off"]), default: "off", context: Context::Session, category: "Version and Platform Compatibility", description: "WITH OIDS is no longer supported; this can only be false.", no_reset_all: false },
    Setting { name: "effective_cache_size", kind: Kind::Integer { min: 1, max: 2147483647, unit: Some("8kB") }, default: "524288", context: Context::Session, category: "Query Tuning / Planner Cost Constants", description: "Sets the planner's assumption about the total size of the data caches.", no_reset_all: false },
    Setting { name: "effective_io_concurrency", kind: Kind::Integer { min: 0, max: 1000, unit: None }, default: "16", context: Context::Session, category: "Resource Usage / I/O", description: "Pages are read ahead by the system here: no effect.", no_reset_all: false },
    Setting { name: "enable_async_append", kind: Kind::Bool, default: "on", context: Context::Session, category: "Query Tuning / Planner Method Configuration", description: "Names a plan that is never made here: no effect.", no_reset_all: false },
    Setting { name: "enable_bitmapscan", kind: Kind::Bool, default: "on", context: Context::Session, category: "Query Tuning / Planner Method Configuration", description: "Enables the planner's use of bitmap-scan plans.", no_reset_all: false },
    Setting { name: "enable_distinct_reordering", kind: Kind::Bool, default: "on", context: Context::Session, category: "Query Tuning / Planner Method Configuration", description: "Names a plan that is never made here: no effect.", no_reset_all: false },
    Setting { name: "enable_gathermerge", kind: Kind::Bool, default: "on", context: Context::Session, category: "Query Tuning / Planner Method Configuration", description: "Enables the planner's use of gather merge plans.", no_reset_all: false },
    Setting { name: "enable_group_by_reordering", kind: Kind::Bool, default: "on", context: Context::Session, category: "Query Tuning / Planner Method Configuration", description: "Names a plan that is never made here: no effect.", no_reset_all: false },
    Setting { name: "enable_hashagg", kind: Kind::Bool, default: "on", context: Context::Session, category: "Query Tuning / Planner Method Configuration", description: "Enables the planner's use of hashed aggregation plans.", no_reset_all: false },
    Setting { name: "enable_hashjoin", kind: Kind::Bool, default: "on", context: Context::Session, category: "Query Tuning / Planner Method Configuration", description: "Enables the planner's use of hash join plans.", no_reset_all: false },
    Setting { name: "enable_incremental_sort", kind: Kind::Bool, default: "on", context: Context::Session, category: "Query Tuning / Planner Method Configuration", description: "Enables the planner's use of incremental sort steps.", no_reset_all: false },
    Setting { name: "enable_indexonlyscan", kind: Kind::Bool, default: "on", context: Context::Session, category: "Query Tuning / Planner Method Configuration", description: "Enables the planner's use of index-only-scan plans.", no_reset_all: false },
    Setting { name: "enable_indexscan", kind: Kind::Bool, default: "on", context: Context::Session, category: "Query Tuning / Planner Method Configuration", description: "Enables the planner's use of index-scan plans.", no_reset_all: false },
    Setting { name: "enable_material", kind: Kind::Bool, default: "on", context: Context::Session, category: "Query Tuning / Planner Method Configuration", description: "Enables the planner's use of materialization.", no_reset_all: false },
    Setting { name: "enable_memoize", kind: Kind::Bool, default: "on", context: Context::Session, category: "Query Tuning / Planner Method Configuration", description: "Enables the planner's use of memoization.", no_reset_all: false },
    Setting { name: "enable_mergejoin", kind: Kind::Bool, default: "on", context: Context::Session, category: "Query Tuning / Planner Method Configuration", description: "Enables the planner's use of merge join plans.", no_reset_all: false },
    Setting { name: "enable_nestloop", kind: Kind::Bool, default: "on", context: Context::Session, category: "Query Tuning / Planner Method Configuration", description: "Enables the planner's use of nested-loop join plans.", no_reset_all: false },
    Setting { name: "enable_parallel_append", kind: Kind::Bool, default: "on", context: Context::Session, category: "Query Tuning / Planner Method Configuration", description: "Names a plan that is never made here: no effect.", no_reset_all: false },
    Setting { name: "enable_parallel_hash", kind: Kind::Bool, default: "on", context: Context::Session, category: "Query Tuning / Planner Method Configuration", description: "Enables the planner's use of parallel hash plans.", no_reset_all: false },
    Setting { name: "enable_partition_pruning", kind: Kind::Bool, default: "on", context: Context::Session, category: "Query Tuning / Planner Method Configuration", description: "Enables plan-time and execution-time partition pruning.", no_reset_all: false },
    Setting { name: "enable_partitionwise_aggregate", kind: Kind::Bool, default: "off", context: Context::Session, category: "Query Tuning / Planner Method Configuration", description: "Names a plan that is never made here: no effect.", no_reset_all: false },
    Setting { name: "enable_partitionwise_join", kind: Kind::Bool, default: "off", context: Context::Session, category: "Query Tuning / Planner Method Configuration", description: "Names a plan that is never made here: no effect.", no_reset_all: false },
    Setting { name: "enable_presorted_aggregate", kind: Kind::Bool, default: "on", context: Context::Session, category: "Query Tuning / Planner Method Configuration", description: "Names a plan that is never made here: no effect.", no_reset_all: false },
    Setting { name: "enable_self_join_elimination", kind: Kind::Bool, default: "on", context: Context::Session, category: "Query Tuning / Planner Method Configuration", description: "Enables removal of unique self-joins.", no_reset_all: false },
    Setting { name: "enable_seqscan", kind: Kind::Bool, default: "on", context: Context::Session, category: "Query Tuning / Planner Method Configuration", description: "Enables the planner's use of sequential-scan plans.", no_reset_all: false },
    Setting { name: "enable_sort", kind: Kind::Bool, default: "on", context: Context::Session, category: "Query Tuning / Planner Method Configuration", description: "Enables the planner's use of explicit sort steps.", no_reset_all: false },
    Setting { name: "enable_tidscan", kind: Kind::Bool, default: "on", context: Context::Session, category: "Query Tuning / Planner Method Configuration", description: "Enables the planner's use of TID scan plans.", no_reset_all: false },
    Setting { name: "extra_float_digits", kind: Kind::Integer { min: -15, max: 3, unit: None }, default: "1", context: Context::Session, category: "Client Connection Defaults / Locale and Formatting", description: "Sets the number of digits displayed for floating-point values.", no_reset_all: false },
    Setting { name: "from_collapse_limit", kind: Kind::Integer { min: 0, max: i32::MAX as i64, unit: None }, default: "8", context: Context::Session, category: "Query Tuning / Planner Cost Constants", description: "A limit of plans that are never made here: no effect.", no_reset_all: false },
    Setting { name: "fsync", kind: Kind::Bool, default: "on", context: Context::Startup, category: "Write-Ahead Log / Settings", description: "Forces synchronization of updates to disk.", no_reset_all: false },
    Setting { name: "full_page_writes", kind: Kind::Bool, default: "on", context: Context::Internal, category: "Write-Ahead Log / Settings", description: "Writes full pages to WAL when first modified after a checkpoint.", no_reset_all: false },
    Setting { name: "geqo", kind: Kind::Bool, default: "on", context: Context::Session, category: "Query Tuning / Genetic Query Optimizer", description: "Enables genetic query optimization.", no_reset_all: false },
    Setting { name: "geqo_threshold", kind: Kind::Integer { min: 0, max: i32::MAX as i64, unit: None }, default: "12", context: Context::Session, category: "Query Tuning / Planner Cost Constants", description: "A limit of plans that are never made here: no effect.", no_reset_all: false },
    Setting { name: "gin_fuzzy_search_limit", kind: Kind::Integer { min: 0, max: 2147483647, unit: None }, default: "0", context: Context::Session, category: "Client Connection Defaults / Other Defaults", description: "A scan of a GIN index always gives all rows: no effect.", no_reset_all: false },
    Setting { name: "gin_pending_list_limit", kind: Kind::Integer { min: 64, max: 2147483647, unit: Some("kB") }, default: "4096", context: Context::Session, category: "Client Connection Defaults / Statement Behavior", description: "GIN indexes have no list of pending entries here: no effect.", no_reset_all: false },
    Setting { name: "hash_mem_multiplier", kind: Kind::Real { min: 1.0, max: 1000.0 }, default: "2", context: Context::Session, category: "Resource Usage / Memory", description: "Multiple of \"work_mem\" to use for hash tables.", no_reset_all: false },
    Setting { name: "idle_in_transaction_session_timeout", kind: Kind::Integer { min: 0, max: 2147483647, unit: Some("ms") }, default: "0", context: Context::Session, category: "Client Connection Defaults / Statement Behavior", description: "Sets the maximum allowed idle time between queries, when in a transaction.", no_reset_all: false },
    Setting { name: "idle_session_timeout", kind: Kind::Integer { min: 0, max: 2147483647, unit: Some("ms") }, default: "0", context: Context::Session, category: "Client Connection Defaults / Statement Behavior", description: "Sets the maximum allowed idle time between queries, when not in a transaction.", no_reset_all: false },
    Setting { name: "in_hot_standby", kind: Kind::Bool, default: "off", context: Context::Internal, category: "Preset Options", description: "Shows whether hot standby is currently active.", no_reset_all: false },
    Setting { name: "integer_datetimes", kind: Kind::Bool, default: "on", context: Context::Internal, category: "Preset Options", description: "Shows whether datetimes are integer based.", no_reset_all: false },
    Setting { name: "IntervalStyle", kind: Kind::Enum(&["postgres", "postgres_verbose", "sql_standard", "iso_8601"]), default: "postgres", context: Context::Session, category: "Client Connection Defaults / Locale and Formatting", description: "Sets the display format for interval values.", no_reset_all: false },
    Setting { name: "is_superuser", kind: Kind::Bool, default: "on", context: Context::Internal, category: "Preset Options", description: "Shows whether the current user is a superuser.", no_reset_all: false },
    Setting { name: "jit", kind: Kind::Bool, default: "off", context: Context::Internal, category: "Query Tuning / Other Planner Options", description: "Allow JIT compilation.", no_reset_all: false },
    Setting { name: "jit_above_cost", kind: Kind::Real { min: -1.0, max: f64::MAX }, default: "100000", context: Context::Session, category: "Query Tuning / Planner Cost Constants", description: "A cost of plans that are never made here: no effect.", no_reset_all: false },
    Setting { name: "jit_inline_above_cost", kind: Kind::Real { min: -1.0, max: f64::MAX }, default: "500000", context: Context::Session, category: "Query Tuning / Planner Cost Constants", description: "A cost of plans that are never made here: no effect.", no_reset_all: false },
    Setting { name: "jit_optimize_above_cost", kind: Kind::Real { min: -1.0, max: f64::MAX }, default: "500000", context: Context::Session, category: "Query Tuning / Planner Cost Constants", description: "A cost of plans that are never made here: no effect.", no_reset_all: false },
    Setting { name: "join_collapse_limit", kind: Kind::Integer { min: 0, max: i32::MAX as i64, unit: None }, default: "8", context: Context::Session, category: "Query Tuning / Planner Cost Constants", description: "A limit of plans that are never made here: no effect.", no_reset_all: false },
    Setting { name: "lc_collate", kind: Kind::Text, default: "C.UTF-8", context: Context::Internal, category: "Preset Options", description: "Shows the collation order locale.", no_reset_all: false },
    Setting { name: "lc_ctype", kind: Kind::Text, default: "C.UTF-8", context: Context::Internal, category: "Preset Options", description: "Shows the character classification and case conversion locale.", no_reset_all: false },
    Setting { name: "lc_messages", kind: Kind::Text, default: "C.UTF-8", context: Context::Internal, category: "Client Connection Defaults / Locale and Formatting", description: "Sets the language in which messages are displayed.", no_reset_all: false },
    Setting { name: "lc_monetary", kind: Kind::Text, default: "C.UTF-8", context: Context::Internal, category: "Client Connection Defaults / Locale and Formatting", description: "Sets the locale for formatting monetary amounts.", no_reset_all: false },
    Setting { name: "lc_numeric", kind: Kind::Text, default: "C.UTF-8", context: Context::Internal, category: "Client Connection Defaults / Locale and Formatting", description: "Sets the locale for formatting numbers.", no_reset_all: false },
    Setting { name: "lc_time", kind: Kind::Text, default: "C.UTF-8", context: Context::Internal, category: "Client Connection Defaults / Locale and Formatting", description: "Sets the locale for formatting date and time values.", no_reset_all: false },
    Setting { name: "listen_addresses", kind: Kind::Text, default: "127.0.0.1", context: Context::Startup, category: "Connections and Authentication / Connection Settings", description: "Sets the host name or IP address(es) to listen to.", no_reset_all: false },
    Setting { name: "lock_timeout", kind: Kind::Integer { min: 0, max: 2147483647, unit: Some("ms") }, default: "0", context: Context::Session, category: "Client Connection Defaults / Statement Behavior", description: "Sets the maximum allowed duration of any wait for a lock.", no_reset_all: false },
    Setting { name: "maintenance_work_mem", kind: Kind::Integer { min: 64, max: 2147483647, unit: Some("kB") }, default: "65536", context: Context::Session, category: "Resource Usage / Memory", description: "Sets the maximum memory to be used for maintenance operations.", no_reset_all: false },
    Setting { name: "max_connections", kind: Kind::Integer { min: 1, max: 262143, unit: None }, default: "10000", context: Context::Startup, category: "Connections and Authentication / Connection Settings", description: "Sets the maximum number of concurrent connections.", no_reset_all: false },
    Setting { name: "max_identifier_length", kind: Kind::Integer { min: 63, max: 63, unit: None }, default: "63", context: Context::Internal, category: "Preset Options", description: "Shows the maximum identifier length.", no_reset_all: false },
    Setting { name: "max_index_keys", kind: Kind::Integer { min: 32, max: 32, unit: None }, default: "32", context: Context::Internal, category: "Preset Options", description: "Shows the maximum number of index keys.", no_reset_all: false },
    Setting { name: "max_parallel_workers", kind: Kind::Integer { min: 0, max: 1024, unit: None }, default: "8", context: Context::Session, category: "Resource Usage / Worker Processes", description: "Sets the maximum number of parallel workers that can be active at one time.", no_reset_all: false },
    Setting { name: "max_parallel_workers_per_gather", kind: Kind::Integer { min: 0, max: 1024, unit: None }, default: "2", context: Context::Session, category: "Resource Usage / Worker Processes", description: "Sets the maximum number of parallel processes per executor node.", no_reset_all: false },
    Setting { name: "max_prepared_transactions", kind: Kind::Integer { min: 0, max: 262143, unit: None }, default: "64", context: Context::Startup, category: "Resource Usage / Memory", description: "Sets the maximum number of simultaneously prepared transactions.", no_reset_all: false },
    Setting { name: "max_wal_size", kind: Kind::Integer { min: 2, max: 2147483647, unit: Some("MB") }, default: "1024", context: Context::Startup, category: "Write-Ahead Log / Checkpoints", description: "Sets the WAL size that triggers a checkpoint.", no_reset_all: false },
    Setting { name: "max_worker_processes", kind: Kind::Integer { min: 0, max: 1024, unit: None }, default: "8", context: Context::Startup, category: "Resource Usage / Worker Processes", description: "Maximum number of threads that help with parallel queries at one time.", no_reset_all: false },
    Setting { name: "min_parallel_index_scan_size", kind: Kind::Integer { min: 0, max: i32::MAX as i64, unit: Some("8kB") }, default: "64", context: Context::Session, category: "Query Tuning / Planner Cost Constants", description: "A limit of plans that are never made here: no effect.", no_reset_all: false },
    Setting { name: "min_parallel_table_scan_size", kind: Kind::Integer { min: 0, max: i32::MAX as i64, unit: Some("8kB") }, default: "1024", context: Context::Session, category: "Query Tuning / Planner Cost Constants", description: "Sets the minimum amount of table data for a parallel scan.", no_reset_all: false },
    Setting { name: "ochre.batch_rows", kind: Kind::Integer { min: 1, max: 2048, unit: None }, default: "2048", context: Context::Session, category: "Developer Options", description: "Sets how many rows operators hand on at a time.", no_reset_all: false },
    Setting { name: "ochre.disabled_rules", kind: Kind::Text, default: "", context: Context::Session, category: "Query Tuning / Developer Options", description: "Names the rules of the optimizer that are left out, separated by commas.", no_reset_all: false },
    Setting { name: "ochre.force_spill", kind: Kind::Bool, default: "off", context: Context::Session, category: "Developer Options", description: "Makes operators that may spill do so at once, whatever \"work_mem\" says.", no_reset_all: false },
    Setting { name: "parallel_leader_participation", kind: Kind::Bool, default: "on", context: Context::Session, category: "Resource Usage / Worker Processes", description: "Controls whether Gather and Gather Merge also run subplans.", no_reset_all: false },
    Setting { name: "parallel_setup_cost", kind: Kind::Real { min: 0.0, max: f64::MAX }, default: "1000", context: Context::Session, category: "Query Tuning / Planner Cost Constants", description: "Sets the planner's estimate of the cost of starting up worker processes for parallel query.", no_reset_all: false },
    Setting { name: "parallel_tuple_cost", kind: Kind::Real { min: 0.0, max: f64::MAX }, default: "0.1", context: Context::Session, category: "Query Tuning / Planner Cost Constants", description: "Sets the planner's estimate of the cost of passing each tuple (row) from worker to leader backend.", no_reset_all: false },
    Setting { name: "password_encryption", kind: Kind::Enum(&["scram-sha-256"]), default: "scram-sha-256", context: Context::Session, category: "Connections and Authentication / Authentication", description: "Chooses the algorithm for encrypting passwords.", no_reset_all: false },
    Setting { name: "plan_cache_mode", kind: Kind::Enum(&["auto", "force_generic_plan", "force_custom_plan"]), default: "auto", context: Context::Session, category: "Query Tuning / Other Planner Options", description: "Controls the planner's selection of custom or generic plan.", no_reset_all: false },
    Setting { name: "port", kind: Kind::Integer { min: 1, max: 65535, unit: None }, default: "5432", context: Context::Startup, category: "Connections and Authentication / Connection Settings", description: "Sets the TCP port the server listens on.", no_reset_all: false },
    Setting { name: "query_memory_limit", kind: Kind::Integer { min: 0, max: 2147483647, unit: Some("kB") }, default: "2097152", context: Context::Session, category: "Resource Usage / Memory", description: "Sets the memory that a statement may take before it fails; 0 is no limit.", no_reset_all: false },
    Setting { name: "quote_all_identifiers", kind: Kind::Enum(&["off"]), default: "off", context: Context::Session, category: "Version and Platform Compatibility / Previous PostgreSQL Versions", description: "When generating SQL fragments, quote all identifiers.", no_reset_all: false },
    Setting { name: "random_page_cost", kind: Kind::Real { min: 0.0, max: f64::MAX }, default: "4", context: Context::Session, category: "Query Tuning / Planner Cost Constants", description: "Sets the planner's estimate of the cost of a nonsequentially fetched disk page.", no_reset_all: false },
    Setting { name: "recursive_worktable_factor", kind: Kind::Real { min: -1.0, max: f64::MAX }, default: "10", context: Context::Session, category: "Query Tuning / Planner Cost Constants", description: "A cost of plans that are never made here: no effect.", no_reset_all: false },
    Setting { name: "role", kind: Kind::Text, default: "none", context: Context::Session, category: "Preset Options", description: "Sets the current role.", no_reset_all: true },
    Setting { name: "row_security", kind: Kind::Bool, default: "on", context: Context::Session, category: "Client Connection Defaults / Statement Behavior", description: "Enables row security.", no_reset_all: false },
    Setting { name: "scram_iterations", kind: Kind::Integer { min: 1, max: 2147483647, unit: None }, default: "4096", context: Context::Session, category: "Connections and Authentication / Authentication", description: "Sets the iteration count for SCRAM secret generation.", no_reset_all: false },
    Setting { name: "search_path", kind: Kind::Text, default: "\"$user\", public", context: Context::Session, category: "Client Connection Defaults / Statement Behavior", description: "Sets the schema search order for names that are not schema-qualified.", no_reset_all: false },
    Setting { name: "segment_size", kind: Kind::Integer { min: 131072, max: 131072, unit: Some("8kB") }, default: "131072", context: Context::Internal, category: "Preset Options", description: "Shows the number of pages per disk file.", no_reset_all: false },
    Setting { name: "seq_page_cost", kind: Kind::Real { min: 0.0, max: f64::MAX }, default: "1", context: Context::Session, category: "Query Tuning / Planner Cost Constants", description: "Sets the planner's estimate of the cost of a sequentially fetched disk page.", no_reset_all: false },
    Setting { name: "server_encoding", kind: Kind::Text, default: "UTF8", context: Context::Internal, category: "Preset Options", description: "Shows the server (database) character set encoding.", no_reset_all: false },
    Setting { name: "server_version", kind: Kind::Text, default: "18.4", context: Context::Internal, category: "Preset Options", description: "Shows the server version.", no_reset_all: false },
    Setting { name: "server_version_num", kind: Kind::Integer { min: 180004, max: 180004, unit: None }, default: "180004", context: Context::Internal, category: "Preset Options", description: "Shows the server version as an integer.", no_reset_all: false },
    Setting { name: "session_authorization", kind: Kind::Text, default: "postgres", context: Context::Session, category: "Preset Options", description: "Sets the current session's user name.", no_reset_all: true },
    Setting { name: "session_replication_role", kind: Kind::Enum(&["origin"]), default: "origin", context: Context::Session, category: "Client Connection Defaults / Statement Behavior", description: "Sets the session's behavior for triggers and rewrite rules.", no_reset_all: false },
    Setting { name: "shared_buffers", kind: Kind::Integer { min: 16, max: 1073741823, unit: Some("8kB") }, default: "16384", context: Context::Startup, category: "Resource Usage / Memory", description: "Sets the number of shared memory buffers used by the server.", no_reset_all: false },
    Setting { name: "ssl", kind: Kind::Bool, default: "off", context: Context::Startup, category: "Connections and Authentication / SSL", description: "Enables SSL connections.", no_reset_all: false },
    Setting { name: "standard_conforming_strings", kind: Kind::Enum(&["on"]), default: "on", context: Context::Session, category: "Version and Platform Compatibility / Previous PostgreSQL Versions", description: "Causes '...' strings to treat backslashes literally.", no_reset_all: false },
    Setting { name: "statement_timeout", kind: Kind::Integer { min: 0, max: 2147483647, unit: Some("ms") }, default: "0", context: Context::Session, category: "Client Connection Defaults / Statement Behavior", description: "Sets the maximum allowed duration of any statement.", no_reset_all: false },
    Setting { name: "stats_fetch_consistency", kind: Kind::Enum(&["none", "cache", "snapshot"]), default: "cache", context: Context::Session, category: "Statistics / Cumulative Query and Index Statistics", description: "Sets the consistency of accesses to statistics data.", no_reset_all: false },
    Setting { name: "synchronize_seqscans", kind: Kind::Enum(&["off"]), default: "off", context: Context::Session, category: "Version and Platform Compatibility / Previous PostgreSQL Versions", description: "Enables synchronized sequential scans.", no_reset_all: false },
    Setting { name: "synchronous_commit", kind: Kind::Enum(&["local", "remote_write", "remote_apply", "on", "off"]), default: "on", context: Context::Session, category: "Write-Ahead Log / Settings", description: "Sets the current transaction's synchronization level.", no_reset_all: false },
    Setting { name: "tcp_keepalives_count", kind: Kind::Integer { min: 0, max: 2147483647, unit: None }, default: "0", context: Context::Startup, category: "Connections and Authentication / TCP Settings", description: "Maximum number of TCP keepalive retransmits.", no_reset_all: false },
    Setting { name: "tcp_keepalives_idle", kind: Kind::Integer { min: 0, max: 2147483647, unit: Some("s") }, default: "0", context: Context::Startup, category: "Connections and Authentication / TCP Settings", description: "Time between issuing TCP keepalives.", no_reset_all: false },
    Setting { name: "tcp_keepalives_interval", kind: Kind::Integer { min: 0, max: 2147483647, unit: Some("s") }, default: "0", context: Context::Startup, category: "Connections and Authentication / TCP Settings", description: "Time between TCP keepalive retransmits.", no_reset_all: false },
    Setting { name: "tcp_user_timeout", kind: Kind::Integer { min: 0, max: 2147483647, unit: Some("ms") }, default: "0", context: Context::Startup, category: "Connections and Authentication / TCP Settings", description: "TCP user timeout.", no_reset_all: false },
    Setting { name: "TimeZone", kind: Kind::TimeZone, default: "UTC", context: Context::Session, category: "Client Connection Defaults / Locale and Formatting", description: "Sets the time zone for displaying and interpreting time stamps.", no_reset_all: false },
    Setting { name: "track_counts", kind: Kind::Bool, default: "on", context: Context::Session, category: "Statistics / Cumulative Query and Index Statistics", description: "Collects statistics on database activity.", no_reset_all: false },
    Setting { name: "track_functions", kind: Kind::Enum(&["none", "pl", "all"]), default: "none", context: Context::Session, category: "Statistics / Cumulative Query and Index Statistics", description: "Collects function-level statistics on database activity.", no_reset_all: false },
    Setting { name: "transaction_deferrable", kind: Kind::Bool, default: "off", context: Context::Session, category: "Client Connection Defaults / Statement Behavior", description: "Whether to defer a read-only serializable transaction until it can be executed with no possible serialization failures.", no_reset_all: true },
    Setting { name: "transaction_isolation", kind: Kind::Enum(&["serializable", "repeatable read", "read committed", "read uncommitted"]), default: "read committed", context: Context::Session, category: "Client Connection Defaults / Statement Behavior", description: "Sets the current transaction's isolation level.", no_reset_all: true },
    Setting { name: "transaction_read_only", kind: Kind::Bool, default: "off", context: Context::Session, category: "Client Connection Defaults / Statement Behavior", description: "Sets the current transaction's read-only status.", no_reset_all: true },
    Setting { name: "transaction_timeout", kind: Kind::Integer { min: 0, max: 2147483647, unit: Some("ms") }, default: "0", context: Context::Session, category: "Client Connection Defaults / Statement Behavior", description: "Sets the maximum allowed duration of any transaction within a session (not a prepared transaction).", no_reset_all: false },
    Setting { name: "transform_null_equals", kind: Kind::Enum(&["off"]), default: "off", context: Context::Session, category: "Version and Platform Compatibility / Other Platforms and Clients", description: "Treats \"expr=NULL\" as \"expr IS NULL\".", no_reset_all: false },
    Setting { name: "unix_socket_directories", kind: Kind::Text, default: "", context: Context::Startup, category: "Connections and Authentication / Connection Settings", description: "Sets the directories where Unix-domain sockets will be created.", no_reset_all: false },
    Setting { name: "vacuum_failsafe_age", kind: Kind::Integer { min: 0, max: 2100000000, unit: None }, default: "1600000000", context: Context::Session, category: "Vacuuming / Freezing", description: "No row is frozen here, and no transaction number comes round: no effect.", no_reset_all: false },
    Setting { name: "vacuum_freeze_min_age", kind: Kind::Integer { min: 0, max: 1000000000, unit: None }, default: "50000000", context: Context::Session, category: "Vacuuming / Freezing", description: "No row is frozen here, and no transaction number comes round: no effect.", no_reset_all: false },
    Setting { name: "vacuum_freeze_table_age", kind: Kind::Integer { min: 0, max: 2000000000, unit: None }, default: "150000000", context: Context::Session, category: "Vacuuming / Freezing", description: "No row is frozen here, and no transaction number comes round: no effect.", no_reset_all: false },
    Setting { name: "vacuum_multixact_failsafe_age", kind: Kind::Integer { min: 0, max: 2100000000, unit: None }, default: "1600000000", context: Context::Session, category: "Vacuuming / Freezing", description: "No row is frozen here, and no transaction number comes round: no effect.", no_reset_all: false },
    Setting { name: "vacuum_multixact_freeze_min_age", kind: Kind::Integer { min: 0, max: 1000000000, unit: None }, default: "5000000", context: Context::Session, category: "Vacuuming / Freezing", description: "No row is frozen here, and no transaction number comes round: no effect.", no_reset_all: false },
    Setting { name: "vacuum_multixact_freeze_table_age", kind: Kind::Integer { min: 0, max: 2000000000, unit: None }, default: "150000000", context: Context::Session, category: "Vacuuming / Freezing", description: "No row is frozen here, and no transaction number comes round: no effect.", no_reset_all: false },
    Setting { name: "wal_compression", kind: Kind::Enum(&["off", "lz4"]), default: "off", context: Context::Startup, category: "Write-Ahead Log / Settings", description: "Compresses full-page writes written in WAL file with specified method.", no_reset_all: false },
    Setting { name: "wal_level", kind: Kind::Enum(&["replica"]), default: "replica", context: Context::Internal, category: "Write-Ahead Log / Settings", description: "Sets the level of information written to the WAL.", no_reset_all: false },
    Setting { name: "wal_segment_size", kind: Kind::Integer { min: 1048576, max: 1073741824, unit: Some("B") }, default: "16777216", context: Context::Internal, category: "Preset Options", description: "Shows the size of write ahead log segments.", no_reset_all: false },
    Setting { name: "work_mem", kind: Kind::Integer { min: 64, max: 2147483647, unit: Some("kB") }, default: "4096", context: Context::Session, category: "Resource Usage / Memory", description: "Sets the maximum memory to be used for query workspaces.", no_reset_all: false },
    Setting { name: "xmloption", kind: Kind::Enum(&["content"]), default: "content", context: Context::Session, category: "Client Connection Defaults / Statement Behavior", description: "Sets whether XML data in implicit parsing and serialization operations is to be considered as documents or content fragments.", no_reset_all: false },
];
