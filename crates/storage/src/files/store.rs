//! All open relation files, by fork, and which directories have new or removed names.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hashbrown::HashMap;
use ochre_base::{DatabaseId, FileId, Fork, Oid, Result};
use ochre_env::Env;
use parking_lot::{Mutex, RwLock};

use super::fork::ForkFile;
use super::names::{self, database_directory, parse_segment_name};
use super::{ForkKey, RelationKey};

const SHARDS: usize = 16;

/// Directories whose names changed since they were synced.
#[derive(Default)]
pub(crate) struct ChangedDirectories {
    paths: Mutex<BTreeSet<PathBuf>>,
}

impl ChangedDirectories {
    pub(super) fn note(&self, directory: &Path) {
        let mut paths = self.paths.lock();
        if !paths.contains(directory) {
            paths.insert(directory.to_path_buf());
        }
    }

    /// The directory itself was made, so its parent has a new name.
    pub(super) fn note_parents(&self, directory: &Path) {
        if let Some(parent) = directory.parent() {
            self.note(parent);
        }
    }
}

/// Open relation files. Knows neither log nor pool.
pub(crate) struct FileStore {
    env: Env,
    root: PathBuf,
    forks: Vec<RwLock<HashMap<ForkKey, Arc<ForkFile>>>>,
    next_id: AtomicU64,
    changed_directories: Arc<ChangedDirectories>,
}

impl FileStore {
    pub(crate) fn new(env: Env, root: PathBuf) -> FileStore {
        FileStore {
            env,
            root,
            forks: (0..SHARDS).map(|_| RwLock::default()).collect(),
            next_id: AtomicU64::new(1),
            changed_directories: Arc::default(),
        }
    }

    pub(crate) fn allocate_id(&self) -> FileId {
        FileId(self.next_id.fetch_add(1, Ordering::Relaxed))
    }

    pub(crate) fn next_id(&self) -> u64 {
        self.next_id.load(Ordering::Relaxed)
    }

    /// No id below `next` is given out any more.
    pub(crate) fn raise_next_id(&self, next: u64) {
        self.next_id.fetch_max(next, Ordering::Relaxed);
    }

    fn shard(&self, key: ForkKey) -> &RwLock<HashMap<ForkKey, Arc<ForkFile>>> {
        &self.forks[(key.relation.file.0 as usize % SHARDS * 4 + key.fork as usize) % SHARDS]
    }

    /// The fork, opened if it is not; it need not have a file.
    pub(crate) fn fork(&self, key: ForkKey) -> Result<Arc<ForkFile>> {
        if let Some(fork) = self.shard(key).read().get(&key) {
            return Ok(Arc::clone(fork));
        }
        let mut forks = self.shard(key).write();
        if let Some(fork) = forks.get(&key) {
            return Ok(Arc::clone(fork));
        }
        let directory = database_directory(&self.root, key.relation.database);
        let fork = Arc::new(ForkFile::open(&self.env, directory, &self.changed_directories, key)?);
        forks.insert(key, Arc::clone(&fork));
        Ok(fork)
    }

    /// Makes an empty main file.
    pub(crate) fn create(&self, relation: RelationKey) -> Result<()> {
        self.fork(relation.fork(Fork::Main))?.create()
    }

    pub(crate) fn exists(&self, relation: RelationKey) -> Result<bool> {
        Ok(self.fork(relation.fork(Fork::Main))?.has_file())
    }

    /// Retires all forks of a relation that is to be removed (L5). Returns how many pages they had.
    pub(crate) fn retire(&self, relation: RelationKey) -> Result<[u32; 4]> {
        let [main, history, free, visible] = Fork::ALL.map(|fork| self.fork(relation.fork(fork)));
        let forks = [main?, history?, free?, visible?];
        Ok(forks.map(|fork| fork.retire()))
    }

    /// Removes all files of a relation that is retired, the main file first (L5). Its pages are not in the pool any more.
    pub(crate) fn remove(&self, relation: RelationKey) -> Result<()> {
        for fork in Fork::ALL {
            let key = relation.fork(fork);
            self.fork(key)?.remove()?;
            self.shard(key).write().remove(&key);
        }
        Ok(())
    }

    /// Removes a database's directory if nothing is left in it: the database was dropped.
    pub(crate) fn remove_empty_directory(&self, database: DatabaseId) -> Result<()> {
        let directory = database_directory(&self.root, database);
        match self.env.fs.list(&directory) {
            Ok(names) if names.is_empty() => {}
            Err(error) if !error.is_not_found() => return Err(error.into()),
            _ => return Ok(()),
        }
        self.env.fs.remove_dir(&directory)?;
        self.changed_directories.note_parents(&directory);
        Ok(())
    }

    /// Every relation that has a file of any fork on disk, sorted.
    pub(crate) fn list(&self) -> Result<Vec<RelationKey>> {
        let mut found = BTreeSet::new();
        let base = self.root.join(names::BASE_DIRECTORY);
        for database in self.env.fs.list(&base)? {
            let Some(database) = names::parse_number(&database).and_then(|n| u32::try_from(n).ok()) else {
                continue;
            };
            for name in self.env.fs.list(&base.join(database.to_string()))? {
                if let Some((fork, _)) = parse_segment_name(Oid(database), &name) {
                    found.insert(fork.relation);
                }
            }
        }
        Ok(found.into_iter().collect())
    }

    /// Notes of every file and directory that is there that it may not be durable: who wrote it last did not live to
    /// sync it.
    pub(crate) fn distrust_existing(&self) -> Result<()> {
        let base = self.root.join(names::BASE_DIRECTORY);
        self.changed_directories.note(&base);
        for relation in self.list()? {
            self.changed_directories.note(&database_directory(&self.root, relation.database));
            for fork in Fork::ALL {
                self.fork(relation.fork(fork))?.distrust();
            }
        }
        Ok(())
    }

    /// Makes all files and names durable, for a checkpoint. After an error it is unknown what is.
    pub(crate) fn sync_all(&self) -> Result<()> {
        for shard in &self.forks {
            let mut forks: Vec<(ForkKey, Arc<ForkFile>)> =
                shard.read().iter().map(|(key, fork)| (*key, Arc::clone(fork))).collect();
            // In one order, so that the same work does the same operations.
            forks.sort_unstable_by_key(|(key, _)| *key);
            for (_, fork) in forks {
                fork.sync()?;
            }
        }
        let directories = std::mem::take(&mut *self.changed_directories.paths.lock());
        for directory in directories {
            match self.env.fs.sync_dir(&directory) {
                Ok(()) => {}
                // Removed with its database in between: its parent is in the list or in the next one.
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}
