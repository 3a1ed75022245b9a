//! The check of a whole data directory, for `ochre check`.
//!
//! # Role
//! Opens the directory as nobody else may have it, recovers it if it has to, and looks at everything in it: each page of
//! each file, the structure of heaps and indexes, indexes against their tables in both directions, the catalog against the
//! files, the catalog against itself. It changes nothing but what recovery and a clean stop change.
//!
//! # Invariants
//! - V1: a relation with a damaged or missing file is not looked into further: what follows from one problem is not
//!   reported as others.
//! - V2: memory is bounded: what an index should hold is sorted, spilling, and merged with what it holds.
//!
//! # Not done
//! The log is checked only as far as recovery reads it: behind the first record that does not validate it has ended.

mod catalog;
mod index;
mod relation;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use hashbrown::{HashMap, HashSet};
use ochre_base::{Error, Lsn, Oid, PageKey, Result, SqlState};
use ochre_catalog::{RelationDescriptor, RelationKind, builtin};
use ochre_env::Env;
use ochre_storage::{ForkKey, RelationKey, inspect};

use crate::database::Database;
use crate::instance::{Instance, InstanceConfig};

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where.
    pub place: String,
    /// What.
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.what)
    }
}

/// What was looked at, and how much of it is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CheckSummary {
    pub databases: u64,
    /// Relations with files of their own, those of the catalogs included.
    pub relations: u64,
    pub pages: u64,
    /// Rows of users' tables.
    pub rows: u64,
    pub index_entries: u64,
    pub problems: u64,
}

/// Checks a data directory that nobody has open; hands each problem to `found`.
///
/// # Errors
/// 55006 when another process has it open, 58P01 when it is no data directory; errors of reading it otherwise are
/// problems.
pub fn check_directory(
    env: &Env,
    root: &Path,
    config: InstanceConfig,
    found: &mut dyn FnMut(&Problem),
) -> Result<CheckSummary> {
    // Opening writes both copies anew.
    let current =
        if inspect::is_data_directory(env, root)? { inspect::check_current(env, root)? } else { Vec::new() };
    let instance = match open_existing(env, root, config) {
        Ok(instance) => Some(instance),
        Err(error) if matches!(error.sqlstate(), SqlState::OBJECT_IN_USE | SqlState::UNDEFINED_FILE) => {
            return Err(error);
        }
        Err(error) => {
            found(&Problem { place: root.display().to_string(), what: error.message().to_string() });
            None
        }
    };
    let mut check = Check::new(found);
    for what in current {
        check.problem(root.join("CURRENT").display(), what);
    }
    match instance {
        Some(instance) => {
            check.instance(&instance);
            if let Err(error) = instance.close() {
                check.problem(root.display(), error.message());
            }
        }
        None => {
            check.summary.problems += 1;
            check.pages(env, root, Lsn::MAX);
        }
    }
    Ok(check.summary)
}

/// Checks what an open instance holds, which nobody else uses meanwhile; hands each problem to `found`. Writes a
/// checkpoint first.
pub fn check_instance(instance: &Arc<Instance>, found: &mut dyn FnMut(&Problem)) -> CheckSummary {
    let mut check = Check::new(found);
    check.instance(instance);
    check.summary
}

/// Opens a data directory for looking at it: it must be there, and no background work runs on it.
///
/// # Errors
/// 58P01 when it is no data directory; as [`Instance::open`].
pub fn open_existing(env: &Env, root: &Path, config: InstanceConfig) -> Result<Arc<Instance>> {
    if !inspect::is_data_directory(env, root)? {
        return Err(Error::new(
            SqlState::UNDEFINED_FILE,
            format!("\"{}\" is not a data directory", root.display()),
        ));
    }
    Instance::open(env.clone(), root, InstanceConfig { background: false, ..config })
}

/// The relations of a database that have files, each with what it is called: the stored catalogs, tables, indexes,
/// sequences. Shared catalogs are not among them.
pub(crate) fn stored_relations(database: &Database) -> Vec<(RelationKey, String)> {
    let catalog = database.catalog();
    let own = catalog.database(database.oid()).map(|d| d.name.to_string()).unwrap_or_default();
    let name = |kind: &str, namespace: Oid, name: &str| {
        let namespace = catalog.namespace(namespace).map(|n| n.name.to_string()).unwrap_or_default();
        format!("{own}: {kind} {namespace}.{name}")
    };
    let mut relations = Vec::new();
    for (oid, file) in builtin::STORED {
        let relation = builtin::relation(oid).expect("catalogs are built in");
        if !relation.shared {
            let key = database.file_key(false, file);
            relations.push((key, name("catalog", relation.namespace, &relation.name)));
        }
    }
    for relation in catalog.relations().filter(|relation| !relation.builtin) {
        if let Some(file) = relation.file {
            let key = database.file_key(relation.shared, file);
            relations.push((key, name(relation.kind.word(), relation.namespace, &relation.name)));
        }
    }
    relations
}

struct Check<'a> {
    found: &'a mut dyn FnMut(&Problem),
    summary: CheckSummary,
    /// What each file belongs to.
    names: HashMap<RelationKey, String>,
    /// Relations with damaged pages or without files (V1).
    unsound: HashSet<RelationKey>,
}

impl<'a> Check<'a> {
    fn new(found: &'a mut dyn FnMut(&Problem)) -> Check<'a> {
        Check { found, summary: CheckSummary::default(), names: HashMap::new(), unsound: HashSet::new() }
    }
}

impl Check<'_> {
    fn problem(&mut self, place: impl fmt::Display, what: impl Into<String>) {
        self.summary.problems += 1;
        (self.found)(&Problem { place: place.to_string(), what: what.into() });
    }

    /// Reports what an attempt to look at something failed with.
    fn attempt<T>(&mut self, place: impl fmt::Display, result: Result<T>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                self.problem(place, error.message());
                None
            }
        }
    }

    fn instance(&mut self, instance: &Arc<Instance>) {
        let (env, root) = (instance.storage().env().clone(), instance.storage().path().to_path_buf());
        let mut databases = Vec::new();
        for descriptor in self.attempt(root.display(), instance.databases()).unwrap_or_default() {
            self.summary.databases += 1;
            let place = format!("database {}", descriptor.name);
            if let Some(database) = self.attempt(place, instance.open_by_oid(descriptor.oid)) {
                self.names.extend(stored_relations(&database));
                databases.push(database);
            }
        }
        for (oid, file) in builtin::STORED {
            let relation = builtin::relation(oid).expect("catalogs are built in");
            if relation.shared {
                let name = format!("shared: catalog pg_catalog.{}", relation.name);
                self.names.insert(RelationKey::new(Oid::INVALID, file), name);
            }
        }
        for (gid, key) in instance.prepared().created_files() {
            self.names.entry(key).or_insert_with(|| format!("prepared transaction \"{gid}\""));
        }
        // Pages are read from the files: what is newer in memory goes there first.
        self.attempt(root.display(), instance.checkpoint());
        self.files(instance);
        self.pages(&env, &root, instance.storage().wal().position());
        let shared = builtin::STORED.iter().map(|(_, file)| RelationKey::new(Oid::INVALID, *file));
        for key in shared.filter(|key| self.names.contains_key(key)).collect::<Vec<_>>() {
            self.heap(instance, key);
        }
        for database in &databases {
            self.database(instance, database);
        }
    }

    /// The catalog's relations and the files that are there.
    fn files(&mut self, instance: &Arc<Instance>) {
        let files = instance.storage().files();
        let mut expected: Vec<RelationKey> = self.names.keys().copied().collect();
        expected.sort_unstable();
        for key in expected {
            let name = self.names[&key].clone();
            if self.attempt(&name, files.exists(key)) == Some(false) {
                self.problem(name, format!("its file {} is missing", file_name(key)));
                self.unsound.insert(key);
            }
        }
        for key in self.attempt("base", files.list()).unwrap_or_default() {
            // A prepared transaction's files are in no catalog yet; those of a dropped one go with the next checkpoint.
            if !self.names.contains_key(&key) && !files.is_pending(key) {
                self.problem(file_name(key), "no relation of the catalog has this file");
            }
        }
        let root = instance.storage().path();
        let unknown = inspect::unknown_files(instance.storage().env(), root);
        for path in self.attempt("base", unknown).unwrap_or_default() {
            self.problem(path.display(), "a name that no file of a relation has");
        }
    }

    /// Every page of every file. None may have been changed by a record that is not in the log.
    fn pages(&mut self, env: &Env, root: &Path, log_end: Lsn) {
        let mut ahead: Vec<PageKey> = Vec::new();
        let mut visit = |key: PageKey, page: &ochre_storage::Page| {
            if page.lsn() > log_end {
                ahead.push(key);
            }
        };
        let checked = inspect::check_pages(env, root, &mut visit);
        for page in ahead {
            let place = self.page_place(ForkKey::of(page).relation, page);
            self.problem(place, "the page was changed by a record behind the end of the log");
        }
        let Some(check) = self.attempt(root.display(), checked) else {
            return;
        };
        self.summary.relations = check.relations;
        self.summary.pages = check.pages;
        for (page, what) in check.problems {
            let key = ForkKey::of(page).relation;
            self.unsound.insert(key);
            let place = self.page_place(key, page);
            self.problem(place, what);
        }
    }

    fn page_place(&self, key: RelationKey, page: PageKey) -> String {
        match self.names.get(&key) {
            Some(name) => format!("{name} ({page})"),
            None => page.to_string(),
        }
    }

    fn database(&mut self, instance: &Arc<Instance>, database: &Arc<Database>) {
        for (_, file) in builtin::STORED {
            let key = database.file_key(false, file);
            if self.names.contains_key(&key) {
                self.heap(instance, key);
            }
        }
        self.catalog(instance, database);
        let catalog = database.catalog();
        let mut relations: Vec<&Arc<RelationDescriptor>> =
            catalog.relations().filter(|relation| !relation.builtin).collect();
        relations.sort_unstable_by_key(|relation| relation.oid);
        for relation in relations {
            let Some(file) = relation.file else { continue };
            let key = database.file_key(relation.shared, file);
            match relation.kind {
                RelationKind::Table | RelationKind::MaterializedView => {
                    self.heap(instance, key);
                    self.table(instance, database, relation);
                }
                RelationKind::Sequence if !self.unsound.contains(&key) => {
                    let name = self.names[&key].clone();
                    self.attempt(name, database.sequence(relation));
                }
                _ => {}
            }
        }
    }
}

/// A relation's main file within the data directory.
fn file_name(key: RelationKey) -> String {
    format!("base/{}/{}", key.database, key.file)
}
