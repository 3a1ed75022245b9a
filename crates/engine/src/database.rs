//! One open database: its published catalog, its stored catalog rows, and what sessions share of its relations.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use arc_swap::ArcSwap;
use hashbrown::HashMap;
use ochre_access::sequence::Sequence;
use ochre_base::{Error, FileId, Lsn, Oid, Result, SqlState};
use ochre_catalog::{CatalogChange, CatalogSnapshot, IndexDescriptor, RelationDescriptor};
use ochre_storage::RelationKey;
use parking_lot::Mutex;

use crate::function_statistics::FunctionStatistics;
use crate::instance::Instance;
use crate::plan_cache::PlanCache;
use crate::store::CatalogStore;
use crate::table_statistics::TableStatistics;
use crate::tables::OpenTables;

/// An open database.
pub struct Database {
    instance: Weak<Instance>,
    oid: Oid,
    published: ArcSwap<CatalogSnapshot>,
    /// The commit that published the newest catalog.
    published_at: AtomicU64,
    store: CatalogStore,
    sequences: Mutex<HashMap<FileId, Arc<Sequence>>>,
    pub(crate) plans: PlanCache,
    pub(crate) open: OpenTables,
    pub(crate) statistics: TableStatistics,
    pub(crate) functions: FunctionStatistics,
    /// The youngest of the positions from which indexes that were built since the start are usable, and from which partitions
    /// are not seen that are being detached.
    newest_index: AtomicU64,
    this: Weak<Database>,
}

impl Database {
    pub(crate) fn new(
        instance: Weak<Instance>,
        oid: Oid,
        catalog: CatalogSnapshot,
        store: CatalogStore,
    ) -> Arc<Database> {
        let statistics = TableStatistics::starting(catalog.relations());
        Arc::new_cyclic(|this| Database {
            this: this.clone(),
            open: OpenTables::default(),
            instance,
            oid,
            published: ArcSwap::from_pointee(catalog),
            published_at: AtomicU64::new(0),
            store,
            sequences: Mutex::default(),
            plans: PlanCache::default(),
            statistics,
            functions: FunctionStatistics::default(),
            newest_index: AtomicU64::new(0),
        })
    }

    /// Itself, for those who must not keep it alive.
    pub(crate) fn weak(&self) -> Weak<Database> {
        self.this.clone()
    }

    /// The directory that it belongs to.
    ///
    /// # Panics
    /// After the instance was dropped; sessions hold it.
    pub fn instance(&self) -> Arc<Instance> {
        self.instance.upgrade().expect("sessions keep the instance alive")
    }

    /// Its object id.
    pub fn oid(&self) -> Oid {
        self.oid
    }

    /// The catalog as of the newest commit.
    pub fn catalog(&self) -> Arc<CatalogSnapshot> {
        self.published.load_full()
    }

    /// The number of the newest catalog, without touching the picture itself.
    pub fn catalog_version(&self) -> u64 {
        self.published.load().version
    }

    /// Snapshots before this position may be too old for some index, or see a partition that newer ones do not.
    pub(crate) fn newest_index(&self) -> Lsn {
        Lsn(self.newest_index.load(Ordering::Acquire))
    }

    /// Notes that an index was built which only snapshots from `position` on may use.
    pub(crate) fn note_index(&self, position: Lsn) {
        self.newest_index.fetch_max(position.0, Ordering::AcqRel);
    }

    /// The commit that published the newest catalog, or one that is about to: replies that tell of it wait until that is
    /// durable, and snapshots for plans made under it until it is seen.
    pub(crate) fn published_at(&self) -> Lsn {
        Lsn(self.published_at.load(Ordering::Acquire))
    }

    pub(crate) fn store(&self) -> &CatalogStore {
        &self.store
    }

    /// Publishes committed changes. Called under the publish mutex, so in the order of commits.
    pub(crate) fn publish(&self, changes: &[CatalogChange], version: u64, lsn: Lsn) {
        let mut catalog = (**self.published.load()).clone();
        for change in changes {
            let dated = self.built_index(&catalog, change, lsn);
            match dated.or_else(|| self.begun_detaching(&catalog, change, lsn)) {
                None => catalog.apply(change),
                Some(dated) => catalog.apply(&dated),
            }
        }
        debug_assert_eq!(misfit(&catalog, changes), None, "what is published does not fit together");
        catalog.version = version;
        self.replace_picture(catalog, lsn);
    }

    /// The change that begins to detach a partition, with its commit: older snapshots go on seeing the partition in its table.
    /// `None` for any other.
    fn begun_detaching(
        &self,
        before: &CatalogSnapshot,
        change: &CatalogChange,
        lsn: Lsn,
    ) -> Option<CatalogChange> {
        let CatalogChange::PutRelation(relation) = change else { return None };
        relation.inheritance.detaching?;
        if before.relation(relation.oid).is_some_and(|known| known.inheritance.detaching.is_some()) {
            return None;
        }
        self.note_index(lsn);
        let mut relation = (**relation).clone();
        relation.inheritance.detaching = Some(lsn);
        Some(CatalogChange::PutRelation(Arc::new(relation)))
    }

    /// The change that brings in an index which was built, with the commit as the position from which it may be used:
    /// it has entries for what its transaction left of the rows, none for what they were before. `None` for any other.
    fn built_index(
        &self,
        before: &CatalogSnapshot,
        change: &CatalogChange,
        lsn: Lsn,
    ) -> Option<CatalogChange> {
        let CatalogChange::PutRelation(relation) = change else { return None };
        let index = relation.index.as_ref()?;
        let known = before.relation(index.oid).and_then(|known| known.index.as_ref());
        if known.is_some_and(|known| known.file == index.file && known.usable_from == index.usable_from) {
            return None;
        }
        self.note_index(lsn);
        let index = IndexDescriptor { usable_from: lsn, ..(**index).clone() };
        let relation = RelationDescriptor { index: Some(Arc::new(index)), ..(**relation).clone() };
        Some(CatalogChange::PutRelation(Arc::new(relation)))
    }

    /// Publishes a whole picture in the place of the one before. Called under the publish mutex.
    pub(crate) fn publish_picture(&self, mut catalog: CatalogSnapshot, lsn: Lsn) {
        let before = self.catalog();
        let put = |relation: &Arc<RelationDescriptor>| CatalogChange::PutRelation(Arc::clone(relation));
        let built: Vec<CatalogChange> = catalog
            .relations()
            .filter_map(|relation| self.built_index(&before, &put(relation), lsn))
            .collect();
        built.iter().for_each(|change| catalog.apply(change));
        self.replace_picture(catalog, lsn);
    }

    fn replace_picture(&self, catalog: CatalogSnapshot, lsn: Lsn) {
        // Whoever sees the picture finds the commit, and waits for it ([`Database::published_at`]).
        self.published_at.fetch_max(lsn.0, Ordering::AcqRel);
        self.published.store(Arc::new(catalog));
    }

    /// The file of a stored relation as storage addresses it.
    ///
    /// # Errors
    /// XX000 for a relation without a file.
    pub(crate) fn relation_key(&self, relation: &RelationDescriptor) -> Result<RelationKey> {
        let file = relation
            .file
            .ok_or_else(|| Error::internal(format!("relation \"{}\" has no file", relation.name)))?;
        Ok(self.file_key(relation.shared, file))
    }

    /// A file's key: shared relations live in database 0.
    pub(crate) fn file_key(&self, shared: bool, file: FileId) -> RelationKey {
        RelationKey::new(if shared { Oid::INVALID } else { self.oid }, file)
    }

    /// The open sequence of a descriptor.
    ///
    /// # Errors
    /// 42809 when the relation is no sequence; as reading its page.
    pub(crate) fn sequence(&self, relation: &RelationDescriptor) -> Result<Arc<Sequence>> {
        if relation.sequence.is_none() {
            return Err(Error::new(
                SqlState::WRONG_OBJECT_TYPE,
                format!("\"{}\" is not a sequence", relation.name),
            ));
        }
        let key = self.relation_key(relation)?;
        let mut sequences = self.sequences.lock();
        if let Some(sequence) = sequences.get(&key.file) {
            return Ok(Arc::clone(sequence));
        }
        let sequence = Arc::new(Sequence::open(self.instance().storage(), key)?);
        sequences.insert(key.file, Arc::clone(&sequence));
        Ok(sequence)
    }

    /// Registers a sequence that was just created.
    pub(crate) fn add_sequence(&self, file: FileId, sequence: Sequence) {
        self.sequences.lock().insert(file, Arc::new(sequence));
    }

    /// Forgets a sequence whose file goes.
    pub(crate) fn forget_sequence(&self, file: FileId) {
        self.sequences.lock().remove(&file);
    }

    /// Logs the exact state of every open sequence, for a clean end.
    ///
    /// # Errors
    /// The first that one met; the others are settled all the same.
    pub(crate) fn settle_sequences(&self) -> Result<()> {
        let mut outcome = Ok(());
        for sequence in self.sequences.lock().values() {
            outcome = outcome.and(sequence.settle());
        }
        outcome
    }
}

/// A changed relation of a picture that would be refused when it is read again, and why.
fn misfit(catalog: &CatalogSnapshot, changes: &[CatalogChange]) -> Option<String> {
    let find = |oid| catalog.relation(oid).map(|relation| &**relation);
    let put = changes.iter().filter_map(|change| match change {
        CatalogChange::PutRelation(relation) => find(relation.oid),
        _ => None,
    });
    put.filter(|relation| !relation.builtin).find_map(|relation| {
        let misfit = ochre_catalog::fit::check(relation, &find).err()?;
        Some(format!("{} \"{}\": {misfit}", relation.kind.word(), relation.name))
    })
}
