//! VACUUM and ANALYZE: what the background does anyway, now and for the tables named.
//!
//! # Differences
//! Garbage goes without VACUUM. It sends the collector through whole tables at once, finds index pages that a crash left
//! unused, takes pages into the all-visible map and counts rows for the planner. Nothing is ever frozen, so FREEZE and the
//! settings of ages ask for nothing. VACUUM FULL writes
//! the table anew and holds every row that the newest snapshot sees; while an older snapshot is open it refuses.
//!
//! # Not done
//! Empty pages at the end of a table stay until VACUUM FULL, whatever TRUNCATE says.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ochre_base::{Error, Lsn, Oid, Result, Severity, SqlState, Xid};
use ochre_catalog::{RelationDescriptor, RelationKind};
use ochre_parser::ast::{DefElem, Name, TransactionModes, VacuumRelation, VacuumStmt};
use ochre_txn::locks::RelationLockMode;

use crate::session::Session;
use crate::session::utility::option_flag;
use crate::settings::ACCEPTED_VACUUM_OPTIONS;
use crate::tag::CommandTag;

/// Why a table is left out.
const NOT_AVAILABLE: (SqlState, &str) = (SqlState::LOCK_NOT_AVAILABLE, "lock not available");
const GONE: (SqlState, &str) = (SqlState::UNDEFINED_TABLE, "relation no longer exists");

/// How long VACUUM FULL waits for older snapshots to close. Not longer: their owners may wait for its lock.
const SNAPSHOT_PATIENCE: Duration = Duration::from_secs(1);

#[derive(Default, Clone, Copy)]
struct Options {
    analyze: bool,
    analyze_only: bool,
    full: bool,
    verbose: bool,
    skip_locked: bool,
    nothing_but_database_statistics: bool,
}

impl Options {
    fn read(statement: &VacuumStmt) -> Result<Options> {
        let analyze_only = statement.analyze_only;
        let mut options = Options { analyze_only, analyze: analyze_only, ..Options::default() };
        let command = if analyze_only { "ANALYZE" } else { "VACUUM" };
        for option in &statement.options {
            let name = option.name.as_str();
            match name {
                "verbose" => options.verbose = option_flag(option)?,
                "skip_locked" => options.skip_locked = option_flag(option)?,
                "buffer_usage_limit" => {}
                "analyze" if !analyze_only => options.analyze = option_flag(option)?,
                "full" if !analyze_only => options.full = option_flag(option)?,
                "only_database_stats" if !analyze_only => {
                    options.nothing_but_database_statistics = option_flag(option)?;
                }
                "index_cleanup" if !analyze_only && is_auto(option) => {}
                "parallel" if !analyze_only => workers(option)?,
                _ if !analyze_only && ACCEPTED_VACUUM_OPTIONS.contains(&name) => {
                    option_flag(option)?;
                }
                _ => {
                    return Err(Error::new(
                        SqlState::SYNTAX_ERROR,
                        format!("unrecognized {command} option \"{name}\""),
                    ));
                }
            }
        }
        if statement.relations.iter().any(|target| !target.columns.is_empty()) && !options.analyze {
            return Err(Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                "ANALYZE option must be specified when a column list is provided",
            ));
        }
        if options.nothing_but_database_statistics && !statement.relations.is_empty() {
            return Err(Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                "ONLY_DATABASE_STATS cannot be specified with a list of tables",
            ));
        }
        Ok(options)
    }

    /// Whether there is something to do for relations of a kind. Of a partitioned table there are statistics.
    fn concern(&self, kind: RelationKind) -> bool {
        match kind {
            RelationKind::Table | RelationKind::MaterializedView => true,
            RelationKind::PartitionedTable => self.analyze,
            _ => false,
        }
    }

    /// What is done to a table, in warnings.
    fn word(&self) -> &'static str {
        if self.analyze_only { "analyze" } else { "vacuum" }
    }

    fn command(&self) -> &'static str {
        if self.analyze_only { "ANALYZE" } else { "VACUUM" }
    }
}

fn is_auto(option: &DefElem) -> bool {
    option.value.as_ref().is_some_and(|value| value.as_text().eq_ignore_ascii_case("auto"))
}

fn workers(option: &DefElem) -> Result<()> {
    let Some(value) = &option.value else {
        return Err(Error::new(
            SqlState::SYNTAX_ERROR,
            "parallel option requires a value between 0 and 1024",
        ));
    };
    match value.as_text().parse::<i64>() {
        Ok(0..=1024) => Ok(()),
        _ => {
            Err(Error::new(SqlState::SYNTAX_ERROR, "parallel workers for vacuum must be between 0 and 1024"))
        }
    }
}

/// A table to go through.
struct Target {
    oid: Oid,
    /// The columns to sample; none: all.
    columns: Vec<Name>,
    /// The name, if the statement says it: of others nobody is told why they are left out.
    named: Option<Arc<str>>,
}

impl Session {
    /// VACUUM, and ANALYZE outside routines: a transaction for each table, so that no table is locked while another is worked
    /// on. ANALYZE within a block is part of the block's.
    pub(crate) fn vacuum(&mut self, statement: &VacuumStmt) -> Result<CommandTag> {
        let options = Options::read(statement)?;
        if !options.analyze_only {
            self.prevent_in_block("VACUUM")?;
        }
        let tag = CommandTag::Plain(options.command());
        if options.nothing_but_database_statistics {
            return Ok(tag);
        }
        let targets = self.targets(&statement.relations, &options)?;
        let apart = !options.analyze_only || self.prevent_in_block("ANALYZE").is_ok();
        for target in targets {
            if apart {
                self.next_maintenance()?;
            }
            if options.analyze_only || self.vacuum_target(&target, &options)? {
                self.analyze_target(&target, &options)?;
            }
        }
        self.txn().advance_command()?;
        Ok(tag)
    }

    /// ANALYZE within a routine.
    pub(crate) fn analyze_within(&self, statement: &VacuumStmt) -> Result<()> {
        let options = Options::read(statement)?;
        self.targets(&statement.relations, &options)?
            .iter()
            .try_for_each(|target| self.analyze_target(target, &options))
    }

    /// The tables to go through. They are not locked, and may be gone when their turn comes.
    fn targets(&self, named: &[VacuumRelation], options: &Options) -> Result<Vec<Target>> {
        let unnamed = |oid, columns: &[Name]| Target { oid, columns: columns.to_vec(), named: None };
        if named.is_empty() {
            let catalog = self.state.catalog();
            let all = catalog
                .relations()
                .filter(|r| !r.builtin && options.concern(r.kind) && self.may_maintain(r, options.word()));
            return Ok(all.map(|relation| unnamed(relation.oid, &[])).collect());
        }
        let mode = RelationLockMode::AccessShare;
        let mut targets = Vec::new();
        for target in named {
            if let Some(found) = self.state.find_relation(&target.relation.name)?
                && found.kind != RelationKind::PartitionedTable
                && !self.may_maintain(&found, options.word())
            {
                continue;
            }
            let relation = if options.skip_locked {
                let found = self.state.find_relation(&target.relation.name)?;
                let found = found.ok_or_else(|| crate::ddl::undefined(&target.relation.name))?;
                if !self.state.try_lock_relation(self.txn(), found.oid, mode)? {
                    self.skipped(options, &found.name, NOT_AVAILABLE);
                    continue;
                }
                found
            } else {
                self.require_and_lock(&target.relation.name, mode, crate::authority::Need::CheckedByCaller)?
            };
            for name in &target.columns {
                if relation.column_named(name).is_none() {
                    return Err(Error::new(
                        SqlState::UNDEFINED_COLUMN,
                        format!("column \"{name}\" of relation \"{}\" does not exist", relation.name),
                    ));
                }
            }
            let partitioned = relation.kind == RelationKind::PartitionedTable;
            if partitioned && target.relation.only && !options.analyze_only {
                self.warn(
                    SqlState::WARNING,
                    format!("VACUUM ONLY of partitioned table \"{}\" has no effect", relation.name),
                );
            }
            if partitioned && !target.relation.only {
                let catalog = self.state.catalog();
                let members = catalog.descendants(relation.oid).into_iter();
                let members = members.filter(|oid| {
                    catalog
                        .relation(*oid)
                        .is_some_and(|r| options.concern(r.kind) && self.may_maintain(r, options.word()))
                });
                targets.extend(members.map(|oid| unnamed(oid, &target.columns)));
                continue;
            }
            if partitioned && !options.analyze {
                continue;
            }
            if !options.concern(relation.kind) {
                let what = if options.analyze_only { "analyze" } else { "vacuum" };
                self.warn(
                    SqlState::WARNING,
                    format!(
                        "skipping \"{}\" --- cannot {what} non-tables or special system tables",
                        relation.name
                    ),
                );
                continue;
            }
            targets.push(Target {
                oid: relation.oid,
                columns: target.columns.clone(),
                named: Some(Arc::clone(&relation.name)),
            });
        }
        Ok(targets)
    }

    fn skipped(&self, options: &Options, name: &str, (sqlstate, why): (SqlState, &str)) {
        let what = options.command().to_lowercase();
        self.warn(sqlstate, format!("skipping {what} of \"{name}\" --- {why}"));
    }

    /// Locks a table; `None` when it is gone or, where that is asked for, locked by others.
    fn lock_target(&self, target: &Target, options: &Options) -> Result<Option<Arc<RelationDescriptor>>> {
        let mode = if options.full {
            RelationLockMode::AccessExclusive
        } else {
            RelationLockMode::ShareUpdateExclusive
        };
        let why = if options.skip_locked && !self.state.try_lock_relation(self.txn(), target.oid, mode)? {
            NOT_AVAILABLE
        } else {
            self.lock_relation(target.oid, mode)?;
            match self.state.catalog().relation(target.oid) {
                // What the role may do may have been taken away while the lock was awaited.
                Some(relation) => {
                    let allowed = relation.builtin || self.may_maintain(relation, options.word());
                    return Ok(allowed.then(|| Arc::clone(relation)));
                }
                None => GONE,
            }
        };
        if let Some(name) = &target.named {
            self.skipped(options, name, why);
        }
        Ok(None)
    }

    /// The part of VACUUM, in a transaction that ends before ANALYZE begins; false when the table is left out.
    fn vacuum_target(&mut self, target: &Target, options: &Options) -> Result<bool> {
        let Some(relation) = self.lock_target(target, options)? else { return Ok(false) };
        if relation.builtin || relation.kind == RelationKind::PartitionedTable {
            // The collector knows built-in tables too; of a partitioned one there is nothing to collect.
            return Ok(true);
        }
        if options.full {
            // The functions of its indexes are the owner's.
            self.state.acting_as(relation.owner, || self.rewrite_for_space(&relation, options))?;
        } else {
            let begun = Instant::now();
            self.collect_table(&relation, options)?;
            self.state.note_vacuumed(target.oid, begun.elapsed());
        }
        self.next_maintenance()?;
        Ok(true)
    }

    /// Begins a transaction for the next step. It may write, whatever `default_transaction_read_only` says: what is written
    /// changes no data.
    fn next_maintenance(&mut self) -> Result<()> {
        self.go_on_with(TransactionModes { read_only: Some(false), ..TransactionModes::default() })
    }

    /// The part of ANALYZE, if it is asked for.
    fn analyze_target(&self, target: &Target, options: &Options) -> Result<()> {
        if !options.analyze {
            return Ok(());
        }
        let gently = Options { full: false, ..*options };
        let Some(relation) = self.lock_target(target, &gently)? else { return Ok(()) };
        if relation.builtin {
            return Ok(());
        }
        let begun = Instant::now();
        if options.verbose {
            self.inform(format!("analyzing \"{}\"", self.qualified(&relation)));
        }
        self.state.acting_as(relation.owner, || self.analyze(target.oid, &target.columns))?;
        self.state.note_analyzed(target.oid, begun.elapsed(), false);
        Ok(())
    }

    fn collect_table(&self, relation: &Arc<RelationDescriptor>, options: &Options) -> Result<()> {
        let table = self.state.database.table(relation)?;
        let Some(heap) = &table.heap else { return Ok(()) };
        let name = self.qualified(relation);
        if options.verbose {
            self.inform(format!("vacuuming \"{name}\""));
        }
        let interrupt = Arc::clone(&self.state.interrupt);
        let mut go_on = || interrupt.check();
        let stats = self.state.instance.collector().vacuum_with(heap, &mut go_on)?;
        let mut pages = 0;
        for index in &table.indexes {
            go_on()?;
            pages += index.tree.reclaim(Xid::NONE)?;
        }
        let (rows, blocks) = (stats.live as f64, heap.block_count()?);
        if (relation.row_estimate, relation.page_estimate) != (rows, blocks) {
            self.put_estimates((**relation).clone(), rows, blocks)?;
        }
        if options.verbose {
            self.inform(format!(
                "finished vacuuming \"{name}\": {} pages scanned, {} row versions removed, {} rows removed, {} pages all visible, \
                 {pages} index pages reclaimed",
                stats.blocks, stats.versions, stats.rows, stats.all_visible
            ));
        }
        Ok(())
    }

    /// VACUUM FULL.
    fn rewrite_for_space(&self, relation: &Arc<RelationDescriptor>, options: &Options) -> Result<()> {
        self.await_older_snapshots("VACUUM FULL")?;
        if options.verbose {
            self.inform(format!("vacuuming \"{}\"", self.qualified(relation)));
        }
        self.rewrite_table(relation, None)
    }

    /// Waits until nobody sees what the newest snapshot does not, but not for long.
    pub(crate) fn await_older_snapshots(&self, command: &str) -> Result<()> {
        let transactions = self.state.instance.transactions();
        // The table is locked: whoever sees what is committed by now sees the rows that are written.
        let now = transactions.newest();
        let begun = Instant::now();
        while transactions.open_snapshots().any_in(Lsn::ZERO, now) && begun.elapsed() < SNAPSHOT_PATIENCE {
            self.state.interrupt.check()?;
            std::thread::sleep(Duration::from_millis(5));
        }
        if transactions.open_snapshots().any_in(Lsn::ZERO, now) {
            return Err(Error::unsupported(format!("{command} while an older snapshot is open"))
                .hint("Garbage is removed and its space reused while older snapshots are open; VACUUM does so at once."));
        }
        Ok(())
    }

    fn inform(&self, message: String) {
        self.state.notice(Error::with_severity(Severity::Info, SqlState::SUCCESSFUL_COMPLETION, message));
    }

    fn qualified(&self, relation: &RelationDescriptor) -> String {
        let catalog = self.state.catalog();
        let database = catalog.database(self.state.database.oid()).map(|d| d.name.to_string());
        let (database, namespace) = (database.unwrap_or_default(), self.namespace_name(relation.namespace));
        format!("{database}.{namespace}.{}", relation.name)
    }

    /// ANALYZE from the background: not at all if the table is locked.
    pub(crate) fn analyze_in_background(&mut self, oid: Oid) -> Result<()> {
        self.start_statement();
        self.begin_implicit()?;
        let mode = RelationLockMode::ShareUpdateExclusive;
        let run = || -> Result<()> {
            if !self.state.try_lock_relation(self.txn(), oid, mode)? {
                return Ok(());
            }
            if self.state.catalog().relation(oid).is_none() {
                return Ok(());
            }
            let begun = Instant::now();
            self.analyze(oid, &[])?;
            self.state.note_analyzed(oid, begun.elapsed(), true);
            Ok(())
        };
        match run() {
            Ok(()) => self.end_committed(),
            Err(error) => {
                self.end_aborted();
                Err(error)
            }
        }
    }
}
