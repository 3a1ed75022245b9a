//! One open data directory: storage, transactions, locks, databases, sessions and background work.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use hashbrown::{HashMap, HashSet};
use ochre_access::btree::{BTreeManager, BTrees};
use ochre_access::collector::{Collector, CollectorStats};
use ochre_access::heap::{HeapLog, Heaps};
use ochre_access::sequence::SequenceManager;
use ochre_base::limits::PAGE_SIZE;
use ochre_base::{DatabaseId, Error, FileId, Lsn, Oid, Result, SqlState, Xid};
use ochre_catalog::stored::CatalogRows;
use ochre_catalog::{
    CatalogChange, CatalogSnapshot, DatabaseDescriptor, RelationDescriptor, RoleDescriptor, builtin, oids,
    stored,
};
use ochre_env::Env;
use ochre_exec::{TempFiles, WorkerPool};
use ochre_storage::{CheckpointKind, OpenKind, RelationKey, ResourceManager, Storage, StorageConfig};
use ochre_txn::locks::LockManager;
use ochre_txn::{Interrupt, IsolationLevel, TransactionLog, TransactionManager, TransactionOptions};
use parking_lot::{Mutex, RwLock};

use crate::activity::{Activity, ended_by};
use crate::cleanup::Relations;
use crate::database::Database;
use crate::errors;
use crate::notify::NotificationHub;
use crate::prepared::{PreparedFacts, PreparedTransaction, PreparedTransactions};
use crate::session::Session;
use crate::session::catalog::CatalogChanges;
use crate::settings::Settings;
use crate::store::CatalogStore;

/// Time between two cycles of the collector.
const COLLECTOR_INTERVAL: Duration = Duration::from_millis(100);

/// Time between two looks for tables that have changed.
const ANALYZE_INTERVAL: Duration = Duration::from_secs(10);
/// Whom background statements run as.
const BOOTSTRAP_ROLE_NAME: &str = "postgres";

/// Microseconds from 1970 to 2000.
const EPOCH_DIFFERENCE: i64 = 946_684_800_000_000;

/// How an instance is opened.
#[derive(Debug, Clone)]
pub struct InstanceConfig {
    pub storage: StorageConfig,
    /// What new sessions begin with.
    pub settings: Settings,
    /// Whether the collector has a thread of its own.
    pub background: bool,
    pub max_sessions: usize,
    /// Where a new directory's transaction ids begin, for tests of large ones.
    pub first_xid: Option<Xid>,
}

impl Default for InstanceConfig {
    fn default() -> InstanceConfig {
        InstanceConfig {
            storage: StorageConfig::default(),
            settings: Settings::new(),
            background: true,
            max_sessions: 10_000,
            first_xid: None,
        }
    }
}

/// Who redoes, and describes, the records of the log.
pub(crate) struct Redoers {
    transactions: Arc<TransactionLog>,
    heap: Arc<HeapLog>,
}

impl Redoers {
    pub(crate) fn new() -> Redoers {
        Redoers { transactions: TransactionLog::new(), heap: HeapLog::new() }
    }

    pub(crate) fn managers(&self) -> Vec<Arc<dyn ResourceManager>> {
        vec![
            Arc::clone(&self.transactions) as Arc<dyn ResourceManager>,
            Arc::clone(&self.heap) as Arc<dyn ResourceManager>,
            Arc::new(BTreeManager),
            Arc::new(SequenceManager),
        ]
    }
}

/// Who is connected.
#[derive(Default)]
struct Sessions {
    open: HashMap<i32, Arc<Activity>>,
    /// Databases that take no sessions any more: they are being dropped, or were.
    closed: HashSet<Oid>,
}

/// An open data directory.
pub struct Instance {
    storage: Arc<Storage>,
    transactions: Arc<TransactionManager>,
    locks: Arc<LockManager>,
    heaps: Arc<Heaps>,
    btrees: Arc<BTrees>,
    temp: Arc<TempFiles>,
    workers: WorkerPool,
    collector: Collector,
    settings: Settings,
    prepared: PreparedTransactions,
    notifications: Arc<NotificationHub>,
    /// Read while a picture of the catalog is published, written by who replaces one.
    catalog_commits: RwLock<()>,
    databases: RwLock<HashMap<Oid, Arc<Database>>>,
    opening: Mutex<()>,
    next_oid: AtomicU32,
    catalog_version: AtomicU64,
    sessions: Mutex<Sessions>,
    next_process_id: AtomicI32,
    max_sessions: usize,
    stopping: AtomicBool,
    started_at: i64,
    background: Mutex<Vec<std::thread::JoinHandle<()>>>,
    background_errors: AtomicU64,
    last_background_error: Mutex<Option<String>>,
    this: Weak<Instance>,
}

/// What `column_cache_size` asks for; unless it is set, half of `shared_buffers`.
fn column_cache_bytes(settings: &Settings) -> usize {
    match usize::try_from(settings.integer("column_cache_size")) {
        Ok(kilobytes) => kilobytes * 1024,
        Err(_) => settings.integer("shared_buffers").unsigned_abs() as usize * PAGE_SIZE / 2,
    }
}

const _: () = assert!(builtin::FIRST_USER_FILE.0 == ochre_storage::CHOSEN_FILE_IDS);

impl Instance {
    /// Opens a data directory, making it if it is not there.
    ///
    /// # Errors
    /// 55006 when another process has it open, XX001 when it is damaged, 58030 when it cannot be read.
    pub fn open(env: Env, path: &Path, config: InstanceConfig) -> Result<Arc<Instance>> {
        let redoers = Redoers::new();
        let storage = Storage::open(env, path, config.storage, redoers.managers())?;
        let transactions = TransactionManager::new(Arc::clone(&storage), &redoers.transactions);
        let locks = Arc::clone(transactions.locks());
        let heaps = Arc::new(Heaps::new(Arc::clone(&transactions)));
        redoers.heap.attach(&heaps);
        heaps.derived().set_limit(column_cache_bytes(&config.settings));
        let btrees = Arc::new(BTrees::new(Arc::clone(&storage)));
        let started_at = storage.env().clock.now_unix_micros() - EPOCH_DIFFERENCE;
        let temp_directory = path.join("tmp");
        TempFiles::clear(storage.env(), &temp_directory)?;
        let temp = Arc::new(TempFiles::new(storage.env().clone(), temp_directory));
        let instance = Arc::new_cyclic(|this| Instance {
            collector: Collector::new(Arc::clone(&transactions), Arc::new(Relations::new(this.clone()))),
            storage,
            transactions,
            locks,
            heaps,
            btrees,
            temp,
            workers: WorkerPool::new(config.settings.integer("max_worker_processes") as usize),
            settings: config.settings,
            prepared: PreparedTransactions::default(),
            notifications: Arc::default(),
            catalog_commits: RwLock::new(()),
            databases: RwLock::default(),
            opening: Mutex::new(()),
            next_oid: AtomicU32::new(Oid::FIRST_USER.0),
            catalog_version: AtomicU64::new(1),
            sessions: Mutex::default(),
            next_process_id: AtomicI32::new(1000),
            max_sessions: config.max_sessions,
            stopping: AtomicBool::new(false),
            started_at,
            background: Mutex::default(),
            background_errors: AtomicU64::new(0),
            last_background_error: Mutex::default(),
            this: this.clone(),
        });
        instance.collector.queue_redone(redoers.heap.take_redone());
        let named = Arc::downgrade(&instance);
        instance.locks.set_relation_names(move |key| {
            let database = named.upgrade()?.loaded_database(key.database)?;
            let relation = database.relation_of_file(key.file)?;
            Some((relation.oid, Arc::clone(&relation.name)))
        });
        let this = Arc::downgrade(&instance);
        instance.transactions.on_dropped(move |relation| {
            let Some(instance) = this.upgrade() else { return };
            instance.heaps.forget(relation);
            instance.btrees.forget(relation);
            if let Some(database) = instance.loaded_database(relation.database) {
                database.forget_file(relation.file);
                database.forget_sequence(relation.file);
            }
        });
        let unfinished = match instance.storage.open_kind() {
            OpenKind::Created => true,
            OpenKind::Recovered => !instance.is_bootstrapped()?,
            OpenKind::Clean => false,
        };
        if unfinished {
            instance.bootstrap()?;
            if let Some(xid) = config.first_xid {
                instance.transactions.skip_to(xid)?;
                instance.checkpoint()?;
            }
        }
        instance.load_database(oids::POSTGRES)?;
        instance.raise_oids()?;
        instance.restore_prepared()?;
        if config.background {
            instance.start_background();
        }
        Ok(instance)
    }

    /// Whether the filling of a new directory came to its end: the database that is made last is there.
    fn is_bootstrapped(self: &Arc<Instance>) -> Result<bool> {
        Ok(self.has_catalog_files()? && self.has_database(oids::POSTGRES)?)
    }

    /// Whether the stored catalogs have their files: one transaction makes them all.
    fn has_catalog_files(&self) -> Result<bool> {
        let (_, file) = builtin::STORED[0];
        let shared = builtin::relation(builtin::STORED[0].0).is_some_and(|relation| relation.shared);
        let database = if shared { Oid::INVALID } else { oids::POSTGRES };
        self.storage.files().exists(RelationKey::new(database, file))
    }

    fn has_database(self: &Arc<Instance>, oid: Oid) -> Result<bool> {
        self.add_catalog_files(oids::TEMPLATE1)?;
        let (_, rows) = CatalogStore::load(self, oids::TEMPLATE1)?;
        Ok(stored::databases(&rows).iter().any(|database| database.oid == oid))
    }

    /// Fills a new directory: three databases, a role, and the namespace `public` in each database. What an attempt
    /// has done that was cut short is not done again.
    fn bootstrap(self: &Arc<Instance>) -> Result<()> {
        if !self.has_catalog_files()? {
            let mut transaction = self.begin_own();
            for (shared, database) in [
                (true, Oid::INVALID),
                (false, oids::TEMPLATE1),
                (false, oids::TEMPLATE0),
                (false, oids::POSTGRES),
            ] {
                self.create_catalog_files(&mut transaction, shared, database)?;
            }
            self.transactions.commit(transaction)?;
        }
        for (oid, name, is_template, allow_connections, comment) in [
            (oids::TEMPLATE1, "template1", true, true, "default template for new databases"),
            (oids::TEMPLATE0, "template0", true, false, "unmodifiable empty database"),
            (oids::POSTGRES, "postgres", false, true, "default administrative connection database"),
        ] {
            if self.has_database(oid)? {
                continue;
            }
            let database = self.blank_database(oid)?;
            let transaction = self.begin_own();
            let mut changes = CatalogChanges::default();
            changes.put_database(
                &database,
                &transaction,
                DatabaseDescriptor {
                    oid,
                    name: name.into(),
                    owner: oids::BOOTSTRAP_ROLE,
                    is_template,
                    allow_connections,
                    connection_limit: -1,
                    comment: Some(comment.into()),
                    acl: None,
                },
            )?;
            if oid == oids::TEMPLATE1 {
                let role = builtin::roles().remove(0);
                // The picture has the built-in role already, so its rows are written as new ones.
                database.store().write_difference(
                    Arc::clone(self),
                    &transaction,
                    &[],
                    &stored::role_rows(&role),
                    &mut Vec::new(),
                )?;
            }
            self.put_public(&database, &transaction, &mut changes)?;
            self.transactions.commit(transaction)?;
        }
        self.transactions.wal().flush_to(self.transactions.newest())?;
        Ok(())
    }

    fn put_public(
        &self,
        database: &Database,
        transaction: &ochre_txn::Transaction,
        changes: &mut CatalogChanges,
    ) -> Result<()> {
        changes.put_namespace(database, transaction, builtin::public_namespace())
    }

    fn create_catalog_files(
        &self,
        transaction: &mut ochre_txn::Transaction,
        shared: bool,
        database: DatabaseId,
    ) -> Result<()> {
        for (catalog, file) in builtin::STORED {
            let relation = builtin::relation(catalog).expect("catalogs are built in");
            if relation.shared == shared {
                let key = ochre_storage::RelationKey::new(database, file);
                ochre_access::heap::Heap::create(transaction, key)?;
            }
        }
        Ok(())
    }

    /// Makes the files of catalogs that a directory of an older release does not have.
    fn add_catalog_files(&self, database: DatabaseId) -> Result<()> {
        let mut missing = Vec::new();
        for (catalog, file) in builtin::STORED {
            let shared = builtin::relation(catalog).is_some_and(|relation| relation.shared);
            let key = RelationKey::new(if shared { Oid::INVALID } else { database }, file);
            if !self.storage.files().exists(key)? {
                missing.push(key);
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        let transaction = self.begin_own();
        for key in missing {
            ochre_access::heap::Heap::create(&transaction, key)?;
        }
        self.transactions.commit(transaction).map(|_| ())
    }

    /// A database whose files were just made and whose catalog is empty.
    fn blank_database(self: &Arc<Instance>, oid: Oid) -> Result<Arc<Database>> {
        let (store, _) = CatalogStore::load(self, oid)?;
        Ok(Database::new(Arc::downgrade(self), oid, CatalogSnapshot::new(oid), store))
    }

    /// Makes the files and the first rows of a new database.
    ///
    /// # Errors
    /// As writing rows.
    pub(crate) fn create_database_files(
        self: &Arc<Instance>,
        transaction: &mut ochre_txn::Transaction,
        oid: Oid,
    ) -> Result<()> {
        self.create_catalog_files(transaction, false, oid)?;
        let database = self.blank_database(oid)?;
        self.put_public(&database, transaction, &mut CatalogChanges::default())
    }

    /// A transaction of the instance's own.
    pub(crate) fn begin_own(&self) -> ochre_txn::Transaction {
        self.begin_own_with(None)
    }

    fn begin_own_with(&self, lock_timeout: Option<Duration>) -> ochre_txn::Transaction {
        self.transactions.begin(TransactionOptions {
            isolation: IsolationLevel::ReadCommitted,
            lock_timeout,
            ..TransactionOptions::default()
        })
    }

    /// Changes a relation in a transaction of its own, which waits for nobody. The caller's lock keeps others from changing
    /// what the descriptor says.
    ///
    /// # Errors
    /// 55P03 when somebody holds a row of it; those of writing rows.
    pub(crate) fn put_relation_at_once(
        &self,
        database: &Arc<Database>,
        relation: RelationDescriptor,
    ) -> Result<()> {
        let transaction = self.begin_own_with(Some(Duration::from_millis(1)));
        let mut changes = CatalogChanges::default();
        if let Err(error) = changes.put_relation(database, &transaction, relation) {
            changes.abort(database);
            return Err(error);
        }
        self.commit_own(database, transaction, changes)
    }

    /// Commits a transaction of the instance's own and publishes what it changed.
    pub(crate) fn commit_own(
        &self,
        database: &Arc<Database>,
        mut transaction: ochre_txn::Transaction,
        mut changes: CatalogChanges,
    ) -> Result<()> {
        let changes: Vec<CatalogChange> = changes.take();
        let version = self.next_catalog_version();
        let published = Arc::clone(database);
        let _publishing = self.catalog_commits().read();
        transaction.at_publish(move |lsn| published.publish(&changes, version, lsn));
        self.transactions.commit(transaction)?;
        Ok(())
    }

    /// Object ids of all databases are below the next one to be given.
    fn raise_oids(self: &Arc<Instance>) -> Result<()> {
        let catalog = self.open_by_oid(oids::POSTGRES)?.catalog();
        for database in catalog.databases() {
            self.add_catalog_files(database.oid)?;
            let (_, rows) = CatalogStore::load(self, database.oid)?;
            self.next_oid.fetch_max(CatalogStore::largest_oid(&rows) + 2, Ordering::Relaxed);
        }
        Ok(())
    }

    /// What was prepared when the directory was left is prepared again, with its locks.
    fn restore_prepared(&self) -> Result<()> {
        for (transaction, payload) in self.transactions.take_recovered()? {
            let facts = PreparedFacts::decode(&payload)?;
            let lock_owner = self.prepared.new_lock_owner();
            self.locks.restore_transaction(lock_owner, &transaction.waiter(), &facts.locks)?;
            self.next_oid.fetch_max(facts.next_oid, Ordering::Relaxed);
            self.prepared.put(PreparedTransaction { transaction, facts, lock_owner, changes: None });
        }
        Ok(())
    }

    /// The prepared transactions.
    pub(crate) fn prepared(&self) -> &PreparedTransactions {
        &self.prepared
    }

    /// Who listens to what.
    pub(crate) fn notifications(&self) -> &Arc<NotificationHub> {
        &self.notifications
    }

    /// Held for reading while a transaction's changes of the catalog are published.
    pub(crate) fn catalog_commits(&self) -> &RwLock<()> {
        &self.catalog_commits
    }

    /// The object id that is given out next.
    pub(crate) fn next_oid(&self) -> u32 {
        self.next_oid.load(Ordering::Relaxed)
    }

    /// A database's catalog as a transaction sees it that may have changed it.
    ///
    /// # Errors
    /// As reading its pages.
    pub(crate) fn read_catalog_as(
        &self,
        database: &Database,
        transaction: &ochre_txn::Transaction,
    ) -> Result<CatalogSnapshot> {
        let snapshot = transaction.newest_snapshot()?;
        let rows = database.store().read_all(self, &snapshot)?;
        self.picture(database.oid(), &rows)
    }

    /// Publishes a whole picture, its shared objects to every open database. Called under the publish mutex.
    pub(crate) fn publish_picture(&self, database: &Database, catalog: CatalogSnapshot, lsn: Lsn) {
        let old = database.catalog();
        let roles = old.roles().filter(|role| catalog.role(role.oid).is_none());
        let databases = old.databases().filter(|other| catalog.database(other.oid).is_none());
        let mut shared: Vec<CatalogChange> = roles.map(|role| CatalogChange::DropRole(role.oid)).collect();
        shared.extend(databases.map(|other| CatalogChange::DropDatabase(other.oid)));
        shared.extend(catalog.roles().map(|role| CatalogChange::PutRole(Arc::clone(role))));
        shared.extend(catalog.databases().map(|other| CatalogChange::PutDatabase(Arc::clone(other))));
        let version = catalog.version;
        database.publish_picture(catalog, lsn);
        self.publish_shared(database.oid(), &shared, version, lsn);
    }

    /// The open database of a name.
    ///
    /// # Errors
    /// 3D000 when there is none, 55000 when it takes no connections.
    pub fn open_database(self: &Arc<Instance>, name: &str) -> Result<Arc<Database>> {
        let catalog = self.open_by_oid(oids::POSTGRES)?.catalog();
        let fatal = |code, message| Error::with_severity(ochre_base::Severity::Fatal, code, message);
        let database = catalog.database_named(name).ok_or_else(|| {
            let error = errors::undefined_database(name);
            fatal(error.sqlstate(), error.message().to_string())
        })?;
        if !database.allow_connections {
            return Err(fatal(
                SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
                format!("database \"{name}\" is not currently accepting connections"),
            ));
        }
        self.open_by_oid(database.oid)
    }

    /// Every database, in the order of the ids.
    pub(crate) fn databases(self: &Arc<Instance>) -> Result<Vec<Arc<DatabaseDescriptor>>> {
        let mut databases: Vec<_> =
            self.open_by_oid(oids::POSTGRES)?.catalog().databases().cloned().collect();
        databases.sort_unstable_by_key(|database| database.oid);
        Ok(databases)
    }

    /// A role, which all databases share.
    pub(crate) fn role_named(self: &Arc<Instance>, name: &str) -> Result<Option<Arc<RoleDescriptor>>> {
        Ok(self.open_by_oid(oids::POSTGRES)?.catalog().role_named(name).cloned())
    }

    pub(crate) fn open_by_oid(self: &Arc<Instance>, oid: Oid) -> Result<Arc<Database>> {
        if let Some(database) = self.databases.read().get(&oid) {
            return Ok(Arc::clone(database));
        }
        self.load_database(oid)
    }

    fn load_database(self: &Arc<Instance>, oid: Oid) -> Result<Arc<Database>> {
        let _one = self.opening.lock();
        // Changes of shared objects that are published while the rows are read would be in neither: the picture is not
        // among those that they are published to yet.
        let _alone = self.catalog_commits.write();
        if let Some(database) = self.databases.read().get(&oid) {
            return Ok(Arc::clone(database));
        }
        self.add_catalog_files(oid)?;
        let (store, rows) = CatalogStore::load(self, oid)?;
        let catalog = self.picture(oid, &rows)?;
        let database = Database::new(Arc::downgrade(self), oid, catalog, store);
        self.drop_leftover_temporary(&database)?;
        self.databases.write().insert(oid, Arc::clone(&database));
        Ok(database)
    }

    /// The picture of a catalog that stored rows make.
    fn picture(&self, database: Oid, rows: &CatalogRows) -> Result<CatalogSnapshot> {
        let mut catalog = CatalogSnapshot::new(database);
        for namespace in stored::namespaces(rows) {
            catalog.apply(&CatalogChange::PutNamespace(namespace));
        }
        for role in stored::roles(rows) {
            catalog.apply(&CatalogChange::PutRole(role));
        }
        for database in stored::databases(rows) {
            catalog.apply(&CatalogChange::PutDatabase(database));
        }
        for default in stored::default_acls(rows) {
            catalog.apply(&CatalogChange::PutDefaultAcl(default));
        }
        for relation in stored::relations(rows)? {
            catalog.apply(&CatalogChange::PutRelation(relation));
        }
        for routine in stored::routines(rows) {
            catalog.apply(&CatalogChange::PutRoutine(routine));
        }
        catalog.version = self.next_catalog_version();
        Ok(catalog)
    }

    /// A database, if it is open.
    pub(crate) fn loaded_database(&self, oid: Oid) -> Option<Arc<Database>> {
        self.databases.read().get(&oid).cloned()
    }

    /// Forgets a database that was dropped.
    pub(crate) fn forget_database(&self, oid: Oid) {
        self.databases.write().remove(&oid);
    }

    /// Publishes changes of shared objects to every other open database.
    pub(crate) fn publish_shared(&self, origin: Oid, changes: &[CatalogChange], version: u64, lsn: Lsn) {
        for (oid, database) in self.databases.read().iter() {
            if *oid != origin {
                database.publish(changes, version, lsn);
            }
        }
    }

    /// The storage.
    pub fn storage(&self) -> &Arc<Storage> {
        &self.storage
    }

    /// The transactions.
    pub fn transactions(&self) -> &Arc<TransactionManager> {
        &self.transactions
    }

    /// Relation, name and advisory locks.
    pub(crate) fn locks(&self) -> &Arc<LockManager> {
        &self.locks
    }

    pub(crate) fn heaps(&self) -> &Arc<Heaps> {
        &self.heaps
    }

    pub(crate) fn btrees(&self) -> &Arc<BTrees> {
        &self.btrees
    }

    /// The places for threads that help with statements.
    pub fn workers(&self) -> &WorkerPool {
        &self.workers
    }

    pub(crate) fn temp(&self) -> &Arc<TempFiles> {
        &self.temp
    }

    /// Bytes that operators have put into temporary files since the start.
    pub fn temp_bytes_written(&self) -> u64 {
        self.temp.bytes_written()
    }

    /// Bytes of columns that are kept for scans to come (`column_cache_size`).
    pub fn column_cache_bytes(&self) -> usize {
        self.heaps.derived().used_bytes()
    }

    /// How often scans have read such columns instead of pages, run of blocks by run of blocks.
    pub fn column_cache_runs_read(&self) -> u64 {
        self.heaps.derived().runs_read()
    }

    /// Runs one cycle of the collector now, beside its own thread if it has one.
    ///
    /// # Errors
    /// The first that a visit met; the other blocks are visited all the same.
    pub fn collect(&self) -> Result<CollectorStats> {
        self.collector.cycle()
    }

    /// The garbage collector.
    pub(crate) fn collector(&self) -> &Collector {
        &self.collector
    }

    /// What new sessions begin with.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Microseconds since 2000-01-01 UTC.
    pub fn now(&self) -> i64 {
        self.storage.env().clock.now_unix_micros() - EPOCH_DIFFERENCE
    }

    /// A file id for a user's relation; those below belong to the stored catalogs.
    pub(crate) fn new_file_id(&self) -> FileId {
        loop {
            let file = self.storage.files().next_file_id();
            if file >= builtin::FIRST_USER_FILE {
                return file;
            }
        }
    }

    /// When it was opened.
    pub(crate) fn started_at(&self) -> i64 {
        self.started_at
    }

    /// A new object id.
    pub(crate) fn new_oid(&self) -> Oid {
        Oid(self.next_oid.fetch_add(1, Ordering::Relaxed))
    }

    /// Two neighbours: a row type and the array type over it, as the stored rows rely on.
    pub(crate) fn new_oid_pair(&self) -> (Oid, Oid) {
        let first = self.next_oid.fetch_add(2, Ordering::Relaxed);
        (Oid(first), Oid(first + 1))
    }

    /// A number that no picture of a catalog has yet.
    pub(crate) fn next_catalog_version(&self) -> u64 {
        self.catalog_version.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(crate) fn register_session(
        &self,
        database: &Database,
        user: &Arc<str>,
        interrupt: &Arc<Interrupt>,
    ) -> Result<Arc<Activity>> {
        let mut sessions = self.sessions.lock();
        if sessions.open.len() >= self.max_sessions {
            return Err(Error::with_severity(
                ochre_base::Severity::Fatal,
                SqlState::TOO_MANY_CONNECTIONS,
                "sorry, too many clients already",
            ));
        }
        let catalog = database.catalog();
        let name = catalog.database(database.oid()).map(|descriptor| Arc::clone(&descriptor.name));
        if sessions.closed.contains(&database.oid()) {
            let gone = errors::undefined_database(name.as_deref().unwrap_or_default());
            return Err(Error::with_severity(
                ochre_base::Severity::Fatal,
                gone.sqlstate(),
                gone.message().to_string(),
            )
            .detail("It seems to have just been dropped or renamed."));
        }
        let mut secret = [0; 32];
        self.storage.env().random.fill(&mut secret);
        let activity = Arc::new(Activity::new(
            self.next_process_id.fetch_add(1, Ordering::Relaxed),
            secret,
            (database.oid(), name.unwrap_or_default()),
            user,
            self.now(),
            interrupt,
        ));
        self.locks.register_session(activity.process_id, interrupt);
        sessions.open.insert(activity.process_id, Arc::clone(&activity));
        Ok(activity)
    }

    /// Lets nobody connect to a database any more, if nobody is connected to it; otherwise returns who is.
    pub(crate) fn close_database(&self, database: Oid) -> std::result::Result<(), Vec<Arc<Activity>>> {
        let mut sessions = self.sessions.lock();
        let users = sessions.open.values().filter(|activity| activity.database == database);
        let users: Vec<_> = users.cloned().collect();
        if !users.is_empty() {
            return Err(users);
        }
        sessions.closed.insert(database);
        Ok(())
    }

    /// Takes [`Instance::close_database`] back.
    pub(crate) fn reopen_database(&self, database: Oid) {
        self.sessions.lock().closed.remove(&database);
    }

    pub(crate) fn forget_session(&self, activity: &Activity) {
        self.locks.end_session(activity.process_id);
        self.sessions.lock().open.remove(&activity.process_id);
    }

    /// Every session.
    pub fn sessions(&self) -> Vec<Arc<Activity>> {
        let mut sessions: Vec<_> = self.sessions.lock().open.values().cloned().collect();
        sessions.sort_by_key(|activity| activity.process_id);
        sessions
    }

    /// Cancels the running statement of the session with this key; a wrong key does nothing. Protocol 3.0 knows only the
    /// first four bytes of a key.
    pub fn cancel(&self, process_id: i32, secret: &[u8]) {
        let activity = self.sessions.lock().open.get(&process_id).cloned();
        let matches = |activity: &Arc<Activity>| {
            let key = if secret.len() == 4 { &activity.secret[..4] } else { &activity.secret[..] };
            same(key, secret)
        };
        if let Some(activity) = activity.filter(matches) {
            activity.cancel(crate::monitor::user_cancel());
        }
    }

    /// The session of a process id.
    pub(crate) fn activity(&self, process_id: i32) -> Option<Arc<Activity>> {
        self.sessions.lock().open.get(&process_id).cloned()
    }

    /// Cancels every running statement, for a shutdown.
    pub fn cancel_all(&self) {
        for activity in self.sessions() {
            activity.cancel(ended_by(SqlState::ADMIN_SHUTDOWN, "administrator command"));
        }
    }

    /// Writes a checkpoint now.
    ///
    /// # Errors
    /// 58030.
    pub fn checkpoint(&self) -> Result<()> {
        self.storage.checkpoint(CheckpointKind::Fast)
    }

    fn start_background(self: &Arc<Instance>) {
        let mut threads = self.background.lock();
        let instance = Arc::downgrade(self);
        threads.push(
            std::thread::Builder::new()
                .name("ochre-collector".into())
                .spawn(move || {
                    while let Some(instance) =
                        instance.upgrade().filter(|i| !i.stopping.load(Ordering::Acquire))
                    {
                        let outcome = instance.collector.cycle_paced();
                        instance.note_background("collecting garbage", outcome.map(|_| ()));
                        drop(instance);
                        std::thread::sleep(COLLECTOR_INTERVAL);
                    }
                })
                .expect("the system lets a process have a few threads"),
        );
        let instance = Arc::downgrade(self);
        threads.push(
            std::thread::Builder::new()
                .name("ochre-analyze".into())
                .spawn(move || {
                    let mut waited = Duration::ZERO;
                    while let Some(instance) =
                        instance.upgrade().filter(|i| !i.stopping.load(Ordering::Acquire))
                    {
                        if waited >= ANALYZE_INTERVAL {
                            waited = Duration::ZERO;
                            let outcome = instance.analyze_changed();
                            instance.note_background("analyzing a table", outcome.map(|_| ()));
                        }
                        drop(instance);
                        std::thread::sleep(COLLECTOR_INTERVAL);
                        waited += COLLECTOR_INTERVAL;
                    }
                })
                .expect("the system lets a process have a few threads"),
        );
        let instance = Arc::downgrade(self);
        threads.push(
            std::thread::Builder::new()
                .name("ochre-timeouts".into())
                .spawn(move || {
                    while let Some(instance) =
                        instance.upgrade().filter(|i| !i.stopping.load(Ordering::Acquire))
                    {
                        instance.cancel_overdue();
                        drop(instance);
                        std::thread::sleep(Duration::from_millis(10));
                    }
                })
                .expect("the system lets a process have a few threads"),
        );
    }

    /// Analyzes every table of the open databases that has changed much since it was analyzed; how many there were.
    ///
    /// # Errors
    /// The first that an ANALYZE met.
    pub fn analyze_changed(self: &Arc<Instance>) -> Result<usize> {
        let mut count = 0;
        let databases: Vec<_> = self.databases.read().values().cloned().collect();
        for database in databases {
            let tables = database.tables_to_analyze();
            if tables.is_empty() {
                continue;
            }
            let catalog = database.catalog();
            let Some(own) = catalog.database(database.oid()).filter(|own| own.allow_connections) else {
                continue;
            };
            let mut session = self.session(&own.name, BOOTSTRAP_ROLE_NAME)?;
            for table in tables {
                if self.stopping.load(Ordering::Acquire) {
                    return Ok(count);
                }
                session.analyze_in_background(table)?;
                count += 1;
            }
        }
        Ok(count)
    }

    /// Writes an error of a background thread to standard error, unless it is the one of before.
    fn note_background(&self, what: &str, outcome: Result<()>) {
        let Err(error) = outcome else { return };
        self.background_errors.fetch_add(1, Ordering::Relaxed);
        let message = format!("{what}: {}: {}", error.sqlstate(), error.message());
        let mut last = self.last_background_error.lock();
        if last.as_deref() != Some(&message) && !self.stopping.load(Ordering::Acquire) {
            eprintln!("WARNING: {message}");
            *last = Some(message);
        }
    }

    /// How many errors background threads have met, and the last of those.
    pub fn background_errors(&self) -> (u64, Option<String>) {
        (self.background_errors.load(Ordering::Relaxed), self.last_background_error.lock().clone())
    }

    /// Cancels statements, and ends sessions whose transactions, have run for longer than they may.
    fn cancel_overdue(&self) {
        let now = self.now();
        for activity in self.sessions.lock().open.values() {
            activity.stop_if_overdue(now);
        }
    }

    /// A session.
    ///
    /// # Errors
    /// As [`Session::new`].
    pub fn session(self: &Arc<Instance>, database: &str, user: &str) -> Result<Session> {
        Session::new(self, database, user, self.settings.clone())
    }

    /// Ends cleanly: background work stops, sequences are settled, a last checkpoint is written.
    ///
    /// # Errors
    /// 58030; the next start recovers then.
    pub fn close(&self) -> Result<()> {
        if self.stopping.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        // What it leaves is collected after the next start.
        self.collector.stop();
        for thread in self.background.lock().drain(..) {
            // The thread that closes may be one of them.
            if thread.thread().id() != std::thread::current().id() {
                let _ = thread.join();
            }
        }
        // What one of them cannot write must not keep the others, nor the last checkpoint, from being written.
        let mut outcome = Ok(());
        for database in self.databases.read().values() {
            outcome = outcome.and(database.settle_sequences());
        }
        for heap in self.heaps.all() {
            heap.release_targets();
        }
        self.storage.close().and(outcome)
    }

    /// Itself, shared.
    pub(crate) fn shared(&self) -> Arc<Instance> {
        self.this.upgrade().expect("a method runs on a shared instance")
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        // A failed close is recovered by the next start.
        let _ = self.close();
    }
}

/// Compares keys without telling by time how far they agree.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |difference, (x, y)| difference | (x ^ y)) == 0
}
