//! Cumulative statistics of tables and indexes: the functions behind `pg_stat_all_tables` and `pg_stat_all_indexes`, and
//! tables that have changed so much that they are to be analyzed.
//!
//! # How
//! Transactions count what they do to rows and add it when they end ([`ochre_txn::RowChanges`]); scans count themselves
//! ([`ochre_access::scan_counts`]). When a table was last vacuumed and analyzed is noted here.
//!
//! # Differences
//! Counts begin with the process. They are kept by file; a file that takes another's place (TRUNCATE, VACUUM FULL) goes on from
//! what was counted of that when the change is committed. When it is rolled back, what was written to the new file is not counted.
//!
//! # Not done
//! When a relation was last scanned.

use std::time::Duration;

use hashbrown::HashMap;
use ochre_access::btree::BTree;
use ochre_access::heap::Heap;
use ochre_base::{FileId, Oid, Result};
use ochre_catalog::{CatalogChange, RelationDescriptor, RelationKind};
use ochre_txn::RowChanges;
use ochre_types::Datum;
use parking_lot::Mutex;
use std::sync::Arc;

use crate::database::Database;
use crate::session::State;
use crate::session::context::StatementSession;
use crate::statistics_view::Consistency;

/// A table is analyzed when this many of its rows were changed,
const ANALYZE_THRESHOLD: u64 = 50;
/// and this share of them.
const ANALYZE_SHARE: f64 = 0.1;

/// What was done to one table, and where its counts stood then.
#[derive(Debug, Clone, Copy, Default)]
struct Maintenance {
    /// The file that the counts are about.
    file: Option<FileId>,
    /// Rows when the counts began.
    rows_before: i64,
    vacuumed: Times,
    analyzed: Times,
    analyzed_automatically: Times,
    /// Changes and insertions up to the last ANALYZE and the last VACUUM.
    changes_at_analyze: u64,
    inserted_at_vacuum: u64,
    /// Where the counts stood when they were reset.
    reset_at: Totals,
}

/// What is counted since the start.
#[derive(Debug, Clone, Copy, Default)]
struct Totals {
    changes: RowChanges,
    /// Scans, and rows or entries that they gave.
    scans: (u64, u64),
    fetched: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Times {
    count: u64,
    /// Microseconds since 2000.
    last: Option<i64>,
    total: Duration,
}

impl Times {
    fn add(&mut self, now: i64, took: Duration) {
        self.count += 1;
        self.last = Some(now);
        self.total += took;
    }
}

/// The notes of one database.
#[derive(Debug, Default)]
pub(crate) struct TableStatistics {
    tables: Mutex<HashMap<Oid, Maintenance>>,
}

impl TableStatistics {
    /// Begins with what the last ANALYZE before the start said about each table.
    pub(crate) fn starting<'a>(
        relations: impl Iterator<Item = &'a Arc<RelationDescriptor>>,
    ) -> TableStatistics {
        let tables = relations
            .filter(|relation| !relation.builtin && relation.file.is_some() && relation.row_estimate > 0.0)
            .map(|relation| {
                let rows_before = relation.row_estimate as i64;
                (relation.oid, Maintenance { file: relation.file, rows_before, ..Maintenance::default() })
            })
            .collect();
        TableStatistics { tables: Mutex::new(tables) }
    }

    /// Forgets a table that was dropped.
    pub(crate) fn forget(&self, oid: Oid) {
        self.tables.lock().remove(&oid);
    }

    fn of(&self, relation: &RelationDescriptor) -> Maintenance {
        self.tables.lock().get(&relation.oid).copied().unwrap_or_default().for_file(relation.file)
    }

    fn change(&self, relation: &RelationDescriptor, change: impl FnOnce(&mut Maintenance)) {
        let mut tables = self.tables.lock();
        let entry = tables.entry(relation.oid).or_default();
        *entry = entry.for_file(relation.file);
        change(entry);
    }
}

impl Maintenance {
    /// With a new file the rows are counted anew.
    fn for_file(mut self, file: Option<FileId>) -> Maintenance {
        if self.file != file {
            (self.file, self.rows_before) = (file, 0);
            (self.reset_at.changes.live, self.reset_at.changes.dead) = (0, 0);
        }
        self
    }
}

fn total(changes: &RowChanges) -> u64 {
    changes.inserted + changes.updated + changes.deleted
}

impl Database {
    fn row_changes(&self, relation: &RelationDescriptor) -> RowChanges {
        let key = self.relation_key(relation).ok();
        key.map(|key| self.instance().transactions().row_changes(key)).unwrap_or_default()
    }

    /// Lets the files that catalog changes put in the place of others go on from what was counted of those. Called when the
    /// changes are about to be committed, under the lock that they need.
    pub(crate) fn go_on_counting(&self, changes: &[CatalogChange]) {
        let mut done: Vec<Oid> = Vec::new();
        self.each_new_file(changes.iter().rev(), |before, after| {
            if done.contains(&after.oid) {
                return Ok(());
            }
            done.push(after.oid);
            self.add_scans(before, after)?;
            if let (RelationKind::Table | RelationKind::MaterializedView, Some(_)) =
                (before.kind, before.file)
            {
                let (old, new) = (self.relation_key(before)?, self.relation_key(after)?);
                self.instance().transactions().go_on_counting(old, new);
                let inserted = self.row_changes(after).inserted;
                self.statistics.change(after, |notes| notes.inserted_at_vacuum = inserted);
            }
            Ok(())
        });
    }

    /// Counts the scans of new files for those that stay. Called when the changes are about to be rolled back.
    pub(crate) fn give_scans_back(&self, changes: &[CatalogChange]) {
        self.each_new_file(changes.iter(), |before, after| self.add_scans(after, before));
    }

    /// Shows the relations that are there, before and after changes that give them new files.
    fn each_new_file<'a>(
        &self,
        changes: impl Iterator<Item = &'a CatalogChange>,
        mut show: impl FnMut(&Arc<RelationDescriptor>, &Arc<RelationDescriptor>) -> Result<()>,
    ) {
        let catalog = self.catalog();
        for change in changes {
            let CatalogChange::PutRelation(after) = change else { continue };
            if let Some(before) = catalog.relation(after.oid)
                && before.file != after.file
                && after.file.is_some()
            {
                // What cannot be opened is not there to be counted.
                let _ = show(before, after);
            }
        }
    }

    fn add_scans(&self, from: &Arc<RelationDescriptor>, to: &Arc<RelationDescriptor>) -> Result<()> {
        if let (Some(from), Some(to)) = (self.tree_of(from)?, self.tree_of(to)?) {
            to.scans.go_on_from(&from.scans);
        }
        if let (Some(from), Some(to)) = (self.heap_of(from)?, self.heap_of(to)?) {
            to.scans.go_on_from(&from.scans);
            to.fetches.go_on_from(&from.fetches);
        }
        Ok(())
    }

    fn heap_of(&self, relation: &Arc<RelationDescriptor>) -> Result<Option<Arc<Heap>>> {
        match relation.kind {
            RelationKind::Table | RelationKind::MaterializedView => Ok(self.table(relation)?.heap.clone()),
            _ => Ok(None),
        }
    }

    fn tree_of(&self, relation: &RelationDescriptor) -> Result<Option<Arc<BTree>>> {
        match (relation.kind, relation.file) {
            (RelationKind::Index, Some(file)) => {
                self.instance().btrees().open(self.file_key(false, file)).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// Tables that have changed so much since their last ANALYZE that plans may be misled.
    pub(crate) fn tables_to_analyze(&self) -> Vec<Oid> {
        let changed = |relation: &&Arc<RelationDescriptor>| {
            if relation.builtin || relation.kind != RelationKind::Table || relation.file.is_none() {
                return false;
            }
            let since = total(&self.row_changes(relation))
                .saturating_sub(self.statistics.of(relation).changes_at_analyze);
            since as f64 > ANALYZE_THRESHOLD as f64 + ANALYZE_SHARE * relation.row_estimate.max(0.0)
        };
        self.catalog().relations().filter(changed).map(|relation| relation.oid).collect()
    }
}

impl State {
    pub(crate) fn note_vacuumed(&self, oid: Oid, took: Duration) {
        let Some(relation) = self.catalog().relation(oid).cloned() else { return };
        let inserted = self.database.row_changes(&relation).inserted;
        self.database.statistics.change(&relation, |notes| {
            notes.vacuumed.add(self.instance.now(), took);
            notes.inserted_at_vacuum = inserted;
        });
    }

    pub(crate) fn note_analyzed(&self, oid: Oid, took: Duration, automatically: bool) {
        let Some(relation) = self.catalog().relation(oid).cloned() else { return };
        let changes = self.database.row_changes(&relation);
        self.database.statistics.change(&relation, |notes| {
            let times = if automatically { &mut notes.analyzed_automatically } else { &mut notes.analyzed };
            times.add(self.instance.now(), took);
            notes.changes_at_analyze = total(&changes);
            if relation.file.is_some() {
                notes.rows_before = relation.row_estimate.max(0.0) as i64 - changes.live;
                notes.reset_at.changes.live = 0;
            }
        });
    }
}

/// Calls one of the functions `pg_stat_get_…` about a table or an index, or one that resets counts; `None` for others.
///
/// # Errors
/// When a relation cannot be opened.
pub(crate) fn call(session: &StatementSession<'_>, name: &str, oid: Oid) -> Result<Option<Datum>> {
    match name {
        "pg_stat_reset" => {
            crate::function_statistics::reset_all(session.state);
            reset(session.state, None)?;
            return Ok(Some(Datum::text("")));
        }
        "pg_stat_reset_single_table_counters" => {
            reset(session.state, Some(oid))?;
            return Ok(Some(Datum::text("")));
        }
        _ => {}
    }
    let Some(what) = name.strip_prefix("pg_stat_get_") else { return Ok(None) };
    // What is none of them has no business here.
    if value(what, &TableCounts::default()).is_none() {
        return Ok(None);
    }
    let state = &session.state;
    // Counts of a relation go when its drop is committed.
    let catalog = state.database.catalog();
    let newest = || match catalog.relation(oid).or_else(|| session.catalog().relation(oid)) {
        Some(relation) if !relation.builtin => counts(state, relation),
        // Built-in relations and what is none have no counts.
        _ => Ok(TableCounts::default()),
    };
    let counts = match state.statistics_consistency() {
        Consistency::None => newest()?,
        Consistency::Snapshot => {
            state.take_statistics();
            state.statistics_view.borrow().tables.get(&oid).copied().unwrap_or_default()
        }
        Consistency::Cache => {
            let known = state.statistics_view.borrow().tables.get(&oid).copied();
            match known {
                Some(known) => known,
                None => {
                    let read = newest()?;
                    state.statistics_view.borrow_mut().tables.insert(oid, read);
                    read
                }
            }
        }
    };
    Ok(value(what, &counts))
}

/// What is counted of a table or an index.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct TableCounts {
    notes: Maintenance,
    changes: RowChanges,
    /// Scans, and rows or entries that they gave.
    scans: (u64, u64),
    fetched: u64,
}

/// The counts of a relation as they are now.
///
/// # Errors
/// When it cannot be opened.
pub(crate) fn counts(state: &State, relation: &Arc<RelationDescriptor>) -> Result<TableCounts> {
    let database = &state.database;
    let Totals { mut changes, scans, fetched } = totals(state, relation)?;
    let mut notes = database.statistics.of(relation);
    let from = notes.reset_at;
    changes.inserted = changes.inserted.saturating_sub(from.changes.inserted);
    changes.updated = changes.updated.saturating_sub(from.changes.updated);
    changes.updated_same_keys = changes.updated_same_keys.saturating_sub(from.changes.updated_same_keys);
    changes.deleted = changes.deleted.saturating_sub(from.changes.deleted);
    changes.live -= from.changes.live;
    changes.dead = (changes.dead - from.changes.dead).max(0);
    notes.changes_at_analyze = notes.changes_at_analyze.saturating_sub(total(&from.changes));
    notes.inserted_at_vacuum = notes.inserted_at_vacuum.saturating_sub(from.changes.inserted);
    let scans = (scans.0.saturating_sub(from.scans.0), scans.1.saturating_sub(from.scans.1));
    Ok(TableCounts { notes, changes, scans, fetched: fetched.saturating_sub(from.fetched) })
}

/// What was counted of a relation since the start.
fn totals(state: &State, relation: &Arc<RelationDescriptor>) -> Result<Totals> {
    let database = &state.database;
    if let Some(tree) = database.tree_of(relation)? {
        let scans = tree.scans.totals();
        return Ok(Totals { scans, fetched: scans.1, ..Totals::default() });
    }
    let heap = database.heap_of(relation)?;
    Ok(Totals {
        changes: database.row_changes(relation),
        scans: heap.as_ref().map_or((0, 0), |heap| heap.scans.totals()),
        fetched: heap.as_ref().map_or(0, |heap| heap.fetches.totals().1),
    })
}

/// Begins counts anew: those of one relation, or of all.
///
/// # Errors
/// When a relation cannot be opened.
pub(crate) fn reset(state: &State, only: Option<Oid>) -> Result<()> {
    let counted = |kind: RelationKind| {
        matches!(kind, RelationKind::Table | RelationKind::MaterializedView | RelationKind::Index)
    };
    let catalog = state.database.catalog();
    for relation in catalog.relations().filter(|relation| !relation.builtin && counted(relation.kind)) {
        if only.is_some_and(|only| only != relation.oid) {
            continue;
        }
        let reset_at = totals(state, relation)?;
        state.database.statistics.change(relation, |notes| {
            notes.reset_at = reset_at;
            notes.rows_before = 0;
            notes.vacuumed = Times::default();
            notes.analyzed = Times::default();
            notes.analyzed_automatically = Times::default();
        });
    }
    Ok(())
}

/// What one of the functions says; `None` for others.
fn value(what: &str, counts: &TableCounts) -> Option<Datum> {
    let TableCounts { notes, changes, scans, fetched } = *counts;
    let count = |count: u64| Datum::Int64(count as i64);
    let time = |times: Times| times.last.map_or(Datum::Null, Datum::Int64);
    let took = |times: Times| Datum::Float64(times.total.as_secs_f64() * 1000.0);
    Some(match what {
        "numscans" => count(scans.0),
        "tuples_returned" => count(scans.1),
        "tuples_fetched" => count(fetched),
        "lastscan" => Datum::Null,
        "tuples_inserted" => count(changes.inserted),
        "tuples_updated" => count(changes.updated),
        "tuples_deleted" => count(changes.deleted),
        "tuples_hot_updated" => count(changes.updated_same_keys),
        "tuples_newpage_updated" => count(0),
        "live_tuples" => Datum::Int64((notes.rows_before + changes.live).max(0)),
        "dead_tuples" => Datum::Int64(changes.dead),
        "mod_since_analyze" => count(total(&changes).saturating_sub(notes.changes_at_analyze)),
        "ins_since_vacuum" => count(changes.inserted.saturating_sub(notes.inserted_at_vacuum)),
        "last_vacuum_time" => time(notes.vacuumed),
        "last_analyze_time" => time(notes.analyzed),
        "last_autoanalyze_time" => time(notes.analyzed_automatically),
        // What autovacuum does elsewhere goes on all the time.
        "last_autovacuum_time" => Datum::Null,
        "vacuum_count" => count(notes.vacuumed.count),
        "analyze_count" => count(notes.analyzed.count),
        "autoanalyze_count" => count(notes.analyzed_automatically.count),
        "autovacuum_count" => count(0),
        "total_vacuum_time" => took(notes.vacuumed),
        "total_analyze_time" => took(notes.analyzed),
        "total_autoanalyze_time" => took(notes.analyzed_automatically),
        "total_autovacuum_time" => Datum::Float64(0.0),
        _ => return None,
    })
}
