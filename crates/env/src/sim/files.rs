//! A simulated file system.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};

use super::content::Content;
use super::random::SimRandom;
use crate::{File, FileLock, FileSystem, IoError, IoErrorKind, IoResult, OpenMode};

/// What becomes of unsynced changes at a power cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CrashMode {
    /// All are lost.
    DropUnsynced,
    /// All survive, as after `kill -9`.
    KeepUnsynced,
    /// Each write survives, is lost or is torn; of each directory's changes a prefix survives.
    Random,
}

/// Kinds of operation that change something; only these are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OperationKind {
    /// A file is created.
    Create,
    /// Bytes are written.
    Write,
    /// `sync_data`.
    Sync,
    /// `set_len`.
    SetLen,
    /// `preallocate`.
    Preallocate,
    /// A name changes or goes, or a directory is made.
    Name,
    /// `sync_dir`.
    SyncDir,
}

/// How an operation fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The device reports an error (EIO).
    Io,
    /// The device is full (ENOSPC).
    NoSpace,
}

/// Files in memory.
pub struct SimFileSystem {
    shared: Arc<Shared>,
}

struct Shared {
    remember_synced: bool,
    random: SimRandom,
    names: RwLock<Names>,
    /// Raised by every power cut: handles of an older generation are dead (X2).
    generation: AtomicU64,
    operations: AtomicU64,
    /// Whether `faults` needs to be looked at, so that files without faults pay one load.
    armed: AtomicBool,
    faults: Mutex<Faults>,
}

#[derive(Default)]
struct Names {
    current: BTreeMap<PathBuf, Node>,
    durable: BTreeMap<PathBuf, Node>,
    /// Changes since the last `sync_dir` of their directory, in order.
    pending: Vec<NameChange>,
    locks: BTreeMap<PathBuf, String>,
}

#[derive(Clone)]
enum Node {
    Directory,
    File(Arc<RwLock<Content>>),
}

#[derive(Clone)]
enum NameChange {
    Add(PathBuf, Node),
    Remove(PathBuf),
    Rename(PathBuf, PathBuf, Node),
}

#[derive(Default)]
struct Faults {
    power_lost: bool,
    cut_at: Option<u64>,
    fail_at: Vec<(u64, Fault)>,
    fail_next: Option<(OperationKind, Fault)>,
    fail_all: Option<(OperationKind, Fault)>,
    space_limit: Option<u64>,
}

impl SimFileSystem {
    /// Files that never fail and remember nothing about syncs: fast.
    #[must_use]
    pub fn new(seed: u64) -> SimFileSystem {
        SimFileSystem::build(seed, false)
    }

    /// Files that remember what was synced, so that [`SimFileSystem::crash`] can tell what survives.
    #[must_use]
    pub fn with_crashes(seed: u64) -> SimFileSystem {
        SimFileSystem::build(seed, true)
    }

    fn build(seed: u64, remember_synced: bool) -> SimFileSystem {
        let shared = Shared {
            remember_synced,
            random: SimRandom::new(seed),
            names: RwLock::default(),
            generation: AtomicU64::new(0),
            operations: AtomicU64::new(0),
            armed: AtomicBool::new(false),
            faults: Mutex::default(),
        };
        SimFileSystem { shared: Arc::new(shared) }
    }

    /// How many operations that change something there have been.
    pub fn operations(&self) -> u64 {
        self.shared.operations.load(Ordering::SeqCst)
    }

    /// Cuts the power at the `n`-th operation from now (1 is the next): it and everything after it fails.
    pub fn cut_power_at(&self, n: u64) {
        let at = self.operations() + n;
        self.arm(|faults| faults.cut_at = Some(at));
    }

    /// Makes the `n`-th operation from now (1 is the next) fail without effect; those after it work.
    pub fn fail_operation(&self, n: u64, fault: Fault) {
        let at = self.operations() + n;
        self.arm(|faults| faults.fail_at.push((at, fault)));
    }

    /// Makes the next operation of a kind fail.
    pub fn fail_next(&self, kind: OperationKind, fault: Fault) {
        self.arm(|faults| faults.fail_next = Some((kind, fault)));
    }

    /// Makes all operations of a kind fail until [`SimFileSystem::heal`].
    pub fn fail_all(&self, kind: OperationKind, fault: Fault) {
        self.arm(|faults| faults.fail_all = Some((kind, fault)));
    }

    /// Makes the device full at so many bytes.
    pub fn limit_space(&self, bytes: u64) {
        self.arm(|faults| faults.space_limit = Some(bytes));
    }

    /// Bytes that all files take.
    pub fn space_used(&self) -> u64 {
        self.shared.space_used()
    }

    /// Takes back all planned faults.
    pub fn heal(&self) {
        self.arm(|faults| *faults = Faults { power_lost: faults.power_lost, ..Faults::default() });
    }

    /// Whether a planned power cut has happened.
    pub fn power_lost(&self) -> bool {
        self.shared.faults.lock().power_lost
    }

    /// Cuts the power, if it is not cut yet, and starts the machine again with what survived. Handles and locks from
    /// before are dead; planned faults are gone.
    ///
    /// # Panics
    /// When the file system was not made with [`SimFileSystem::with_crashes`].
    pub fn crash(&self, mode: CrashMode) {
        assert!(self.shared.remember_synced, "made with `with_crashes`");
        let mut names = self.shared.names.write();
        self.shared.generation.fetch_add(1, Ordering::SeqCst);
        *self.shared.faults.lock() = Faults::default();
        names.crash(mode, &self.shared.random);
    }

    /// Ends the process that has files open, as `kill -9` does: handles and locks are dead and planned faults gone, and
    /// what was written but not synced stays readable and in danger.
    pub fn kill(&self) {
        let mut names = self.shared.names.write();
        self.shared.generation.fetch_add(1, Ordering::SeqCst);
        *self.shared.faults.lock() = Faults::default();
        names.locks.clear();
    }

    fn arm(&self, change: impl FnOnce(&mut Faults)) {
        change(&mut self.shared.faults.lock());
        self.shared.armed.store(true, Ordering::SeqCst);
    }
}

impl Shared {
    /// Counts an operation that changes something and says whether it may go on. `Err` with [`IoErrorKind::PowerLost`]
    /// and `at_cut` set means that it is the one during which the power goes: its effect may survive.
    fn begin(&self, kind: OperationKind, operation: &'static str, path: &Path) -> Result<(), Refusal> {
        let number = self.operations.fetch_add(1, Ordering::SeqCst) + 1;
        if !self.armed.load(Ordering::SeqCst) {
            return Ok(());
        }
        let mut faults = self.faults.lock();
        let power_lost =
            || IoError::new(IoErrorKind::PowerLost, operation, path, "the simulated power is cut");
        if faults.power_lost {
            return Err(Refusal { error: power_lost(), at_cut: false });
        }
        if faults.cut_at.is_some_and(|at| number >= at) {
            faults.power_lost = true;
            return Err(Refusal { error: power_lost(), at_cut: true });
        }
        match faults.planned(number, kind) {
            Some(fault) => Err(Refusal { error: fault.error(operation, path), at_cut: false }),
            None => Ok(()),
        }
    }

    fn check_power(&self, operation: &'static str, path: &Path) -> IoResult<()> {
        if self.armed.load(Ordering::SeqCst) && self.faults.lock().power_lost {
            return Err(IoError::new(IoErrorKind::PowerLost, operation, path, "the simulated power is cut"));
        }
        Ok(())
    }

    fn check_space(&self, more: u64, operation: &'static str, path: &Path) -> IoResult<()> {
        if more == 0 || !self.armed.load(Ordering::SeqCst) {
            return Ok(());
        }
        let Some(limit) = self.faults.lock().space_limit else { return Ok(()) };
        if self.space_used() + more > limit {
            return Err(Fault::NoSpace.error(operation, path));
        }
        Ok(())
    }

    fn space_used(&self) -> u64 {
        let names = self.names.read();
        let files = names.current.values().filter_map(|node| match node {
            Node::File(content) => Some(content.read().space()),
            Node::Directory => None,
        });
        files.sum()
    }
}

struct Refusal {
    error: IoError,
    at_cut: bool,
}

impl Faults {
    fn planned(&mut self, number: u64, kind: OperationKind) -> Option<Fault> {
        if let Some(index) = self.fail_at.iter().position(|(at, _)| *at == number) {
            return Some(self.fail_at.swap_remove(index).1);
        }
        if let Some((_, fault)) = self.fail_next.take_if(|(wanted, _)| *wanted == kind) {
            return Some(fault);
        }
        self.fail_all.filter(|(wanted, _)| *wanted == kind).map(|(_, fault)| fault)
    }
}

impl Fault {
    fn error(self, operation: &'static str, path: &Path) -> IoError {
        match self {
            Fault::Io => IoError::new(IoErrorKind::Other, operation, path, "Input/output error"),
            Fault::NoSpace => IoError::new(IoErrorKind::NoSpace, operation, path, "No space left on device"),
        }
    }
}

impl Names {
    fn change(&mut self, change: NameChange, remember: bool) {
        change.apply(&mut self.current);
        if remember {
            self.pending.push(change);
        }
    }

    fn sync(&mut self, directory: &Path) {
        let durable = &mut self.durable;
        self.pending.retain(|change| {
            let concerned =
                change.directory().is_some_and(|d| d == directory || is_root(d) && is_root(directory));
            if concerned {
                change.apply(durable);
            }
            !concerned
        });
    }

    fn crash(&mut self, mode: CrashMode, random: &SimRandom) {
        let mut cut_directories: Vec<PathBuf> = Vec::new();
        for change in std::mem::take(&mut self.pending) {
            let directory = change.directory().unwrap_or(Path::new("")).to_path_buf();
            let survives = match mode {
                CrashMode::DropUnsynced => false,
                CrashMode::KeepUnsynced => true,
                CrashMode::Random => !cut_directories.contains(&directory) && random.below(4) != 0,
            };
            if survives {
                change.apply(&mut self.durable);
            } else {
                cut_directories.push(directory);
            }
        }
        self.drop_orphans();
        for node in self.durable.values() {
            if let Node::File(content) = node {
                content.write().crash(mode, random);
            }
        }
        self.current = self.durable.clone();
        self.locks.clear();
    }

    /// A name whose directory did not survive is gone with it.
    fn drop_orphans(&mut self) {
        let all = self.durable.clone();
        self.durable.retain(|path, _| {
            path.ancestors().skip(1).all(|above| is_root(above) || all.contains_key(above))
        });
    }

    fn file(&self, path: &Path) -> Option<Arc<RwLock<Content>>> {
        match self.current.get(path) {
            Some(Node::File(content)) => Some(Arc::clone(content)),
            _ => None,
        }
    }

    fn has_directory(&self, path: &Path) -> bool {
        is_root(path) || matches!(self.current.get(path), Some(Node::Directory))
    }
}

fn is_root(path: &Path) -> bool {
    path.as_os_str().is_empty() || path == Path::new("/") || path == Path::new(".")
}

impl NameChange {
    fn apply(&self, names: &mut BTreeMap<PathBuf, Node>) {
        match self {
            NameChange::Add(path, node) => {
                names.insert(path.clone(), node.clone());
            }
            NameChange::Remove(path) => {
                names.remove(path);
            }
            NameChange::Rename(from, to, node) => {
                names.remove(from);
                names.insert(to.clone(), node.clone());
            }
        }
    }

    fn directory(&self) -> Option<&Path> {
        match self {
            NameChange::Add(path, _) | NameChange::Remove(path) | NameChange::Rename(_, path, _) => {
                path.parent()
            }
        }
    }
}

impl FileSystem for SimFileSystem {
    fn open(&self, path: &Path, mode: OpenMode) -> IoResult<Arc<dyn File>> {
        self.shared.check_power("open", path)?;
        let mut names = self.shared.names.write();
        let content = match names.file(path) {
            Some(_) if mode == OpenMode::New => {
                return Err(IoError::new(IoErrorKind::AlreadyExists, "create", path, "File exists"));
            }
            Some(content) => content,
            None if mode == OpenMode::Existing => return Err(not_found("open", path)),
            None => {
                if !path.parent().is_none_or(|parent| names.has_directory(parent)) {
                    return Err(not_found("create", path));
                }
                let content = Arc::new(RwLock::new(Content::new(self.shared.remember_synced)));
                let add = NameChange::Add(path.to_path_buf(), Node::File(Arc::clone(&content)));
                self.change_names(&mut names, OperationKind::Create, "create", path, add)?;
                content
            }
        };
        Ok(Arc::new(SimFile {
            shared: Arc::clone(&self.shared),
            generation: self.shared.generation.load(Ordering::SeqCst),
            path: path.to_path_buf(),
            content,
        }))
    }

    fn rename(&self, from: &Path, to: &Path) -> IoResult<()> {
        let mut names = self.shared.names.write();
        let Some(content) = names.file(from) else { return Err(not_found("rename", from)) };
        let change = NameChange::Rename(from.to_path_buf(), to.to_path_buf(), Node::File(content));
        self.change_names(&mut names, OperationKind::Name, "rename", from, change)
    }

    fn remove(&self, path: &Path) -> IoResult<()> {
        let mut names = self.shared.names.write();
        if names.file(path).is_none() {
            return Err(not_found("remove", path));
        }
        let change = NameChange::Remove(path.to_path_buf());
        self.change_names(&mut names, OperationKind::Name, "remove", path, change)
    }

    fn remove_dir(&self, path: &Path) -> IoResult<()> {
        let mut names = self.shared.names.write();
        if !names.has_directory(path) {
            return Err(not_found("remove", path));
        }
        if names.current.keys().any(|name| name.parent() == Some(path)) {
            return Err(IoError::new(IoErrorKind::Other, "remove", path, "Directory not empty"));
        }
        let change = NameChange::Remove(path.to_path_buf());
        self.change_names(&mut names, OperationKind::Name, "remove", path, change)
    }

    fn list(&self, path: &Path) -> IoResult<Vec<String>> {
        self.shared.check_power("list", path)?;
        let names = self.shared.names.read();
        if !names.has_directory(path) {
            return Err(not_found("list", path));
        }
        let inside = names.current.keys().filter(|name| name.parent() == Some(path));
        Ok(inside.filter_map(|name| Some(name.file_name()?.to_str()?.to_string())).collect())
    }

    fn create_dir_all(&self, path: &Path) -> IoResult<()> {
        let mut names = self.shared.names.write();
        let mut missing: Vec<&Path> = path.ancestors().filter(|above| !names.has_directory(above)).collect();
        missing.reverse();
        for directory in missing {
            let add = NameChange::Add(directory.to_path_buf(), Node::Directory);
            self.change_names(&mut names, OperationKind::Name, "create", directory, add)?;
        }
        Ok(())
    }

    fn sync_dir(&self, path: &Path) -> IoResult<()> {
        let mut names = self.shared.names.write();
        if !names.has_directory(path) {
            return Err(not_found("fsync", path));
        }
        self.shared.begin(OperationKind::SyncDir, "fsync", path).map_err(|refusal| refusal.error)?;
        names.sync(path);
        Ok(())
    }

    fn exists(&self, path: &Path) -> IoResult<bool> {
        self.shared.check_power("stat", path)?;
        Ok(is_root(path) || self.shared.names.read().current.contains_key(path))
    }

    fn lock(&self, path: &Path, contents: &str) -> IoResult<Box<dyn FileLock>> {
        self.shared.check_power("lock", path)?;
        let mut names = self.shared.names.write();
        if let Some(holder) = names.locks.get(path) {
            return Err(IoError::new(IoErrorKind::Locked, "lock", path, holder.clone()));
        }
        names.locks.insert(path.to_path_buf(), contents.to_string());
        Ok(Box::new(SimLock {
            shared: Arc::clone(&self.shared),
            generation: self.shared.generation.load(Ordering::SeqCst),
            path: path.to_path_buf(),
        }))
    }

    fn is_durable(&self) -> bool {
        self.shared.remember_synced
    }
}

impl SimFileSystem {
    fn change_names(
        &self,
        names: &mut Names,
        kind: OperationKind,
        operation: &'static str,
        path: &Path,
        change: NameChange,
    ) -> IoResult<()> {
        match self.shared.begin(kind, operation, path) {
            Ok(()) => {
                names.change(change, self.shared.remember_synced);
                if !self.shared.remember_synced {
                    names.pending.clear();
                }
                Ok(())
            }
            Err(refusal) => {
                if refusal.at_cut {
                    names.change(change, self.shared.remember_synced);
                }
                Err(refusal.error)
            }
        }
    }
}

fn not_found(operation: &'static str, path: &Path) -> IoError {
    IoError::new(IoErrorKind::NotFound, operation, path, "No such file or directory")
}

struct SimLock {
    shared: Arc<Shared>,
    generation: u64,
    path: PathBuf,
}

impl FileLock for SimLock {}

impl Drop for SimLock {
    fn drop(&mut self) {
        let mut names = self.shared.names.write();
        if self.shared.generation.load(Ordering::SeqCst) == self.generation {
            names.locks.remove(&self.path);
        }
    }
}

struct SimFile {
    shared: Arc<Shared>,
    generation: u64,
    path: PathBuf,
    content: Arc<RwLock<Content>>,
}

impl SimFile {
    /// X2.
    fn check_alive(&self, operation: &'static str) -> IoResult<()> {
        if self.shared.generation.load(Ordering::SeqCst) != self.generation {
            return Err(IoError::new(
                IoErrorKind::PowerLost,
                operation,
                &self.path,
                "handle from before the cut",
            ));
        }
        self.shared.check_power(operation, &self.path)
    }

    /// Runs `change` if the operation may go on, or if the power goes during it.
    fn change(
        &self,
        kind: OperationKind,
        operation: &'static str,
        change: impl FnOnce(&mut Content),
    ) -> IoResult<()> {
        self.check_alive(operation)?;
        match self.shared.begin(kind, operation, &self.path) {
            Ok(()) => {
                change(&mut self.content.write());
                Ok(())
            }
            Err(refusal) => {
                if refusal.at_cut {
                    change(&mut self.content.write());
                }
                Err(refusal.error)
            }
        }
    }

    fn check_space(&self, end: u64, operation: &'static str) -> IoResult<()> {
        let more = {
            let content = self.content.read();
            content.space_up_to(end) - content.space()
        };
        self.shared.check_space(more, operation, &self.path)
    }
}

impl File for SimFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> IoResult<usize> {
        self.check_alive("read")?;
        Ok(self.content.read().read(buffer, offset))
    }

    fn read_cached_at(&self, buffer: &mut [u8], offset: u64) -> IoResult<Option<usize>> {
        self.read_at(buffer, offset).map(Some)
    }

    fn write_at(&self, buffer: &[u8], offset: u64) -> IoResult<()> {
        self.check_space(offset + buffer.len() as u64, "write")?;
        self.change(OperationKind::Write, "write", |content| content.write(buffer, offset))
    }

    fn sync_data(&self) -> IoResult<()> {
        self.check_alive("fsync")?;
        match self.shared.begin(OperationKind::Sync, "fsync", &self.path) {
            Ok(()) => {
                self.content.write().sync();
                Ok(())
            }
            Err(refusal) => {
                if !refusal.at_cut {
                    self.content.write().sync_failed();
                }
                Err(refusal.error)
            }
        }
    }

    fn len(&self) -> IoResult<u64> {
        self.check_alive("stat")?;
        Ok(self.content.read().len())
    }

    fn set_len(&self, len: u64) -> IoResult<()> {
        self.check_space(len, "truncate")?;
        self.change(OperationKind::SetLen, "truncate", |content| content.set_len(len))
    }

    fn preallocate(&self, offset: u64, len: u64) -> IoResult<()> {
        self.check_space(offset + len, "extend")?;
        self.change(OperationKind::Preallocate, "extend", |content| content.reserve(offset + len))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn synced_file(fs: &SimFileSystem, name: &str) -> Arc<dyn File> {
        let file = fs.open(Path::new(name), OpenMode::OrCreate).unwrap();
        fs.sync_dir(Path::new("")).unwrap();
        file
    }

    fn contents(fs: &SimFileSystem, name: &str) -> Vec<u8> {
        let file = fs.open(Path::new(name), OpenMode::Existing).unwrap();
        let mut bytes = vec![0; file.len().unwrap() as usize];
        assert_eq!(file.read_at(&mut bytes, 0).unwrap(), bytes.len());
        bytes
    }

    #[test]
    fn unsynced_writes_are_lost_kept_or_torn() {
        for (mode, expected) in [(CrashMode::DropUnsynced, &b"old"[..]), (CrashMode::KeepUnsynced, b"new")] {
            let fs = SimFileSystem::with_crashes(1);
            let file = synced_file(&fs, "f");
            file.write_at(b"old", 0).unwrap();
            file.sync_data().unwrap();
            file.write_at(b"new", 0).unwrap();
            fs.crash(mode);
            assert_eq!(contents(&fs, "f"), expected);
            assert_eq!(file.write_at(b"x", 0).unwrap_err().kind, IoErrorKind::PowerLost, "X2");
        }
        let mut torn = 0;
        for seed in 0..50 {
            let fs = SimFileSystem::with_crashes(seed);
            let file = synced_file(&fs, "f");
            file.write_at(&[1; 8192], 0).unwrap();
            file.sync_data().unwrap();
            file.write_at(&[2; 8192], 0).unwrap();
            fs.crash(CrashMode::Random);
            let after = contents(&fs, "f");
            for sector in after.chunks(512) {
                assert!(sector.iter().all(|b| *b == sector[0]), "a sector is written whole or not at all");
            }
            torn += usize::from(after.contains(&1) && after.contains(&2));
        }
        assert!(torn > 5, "{torn} of 50 seeds tore the page");
    }

    #[test]
    fn names_survive_only_after_sync_dir() {
        let fs = SimFileSystem::with_crashes(1);
        fs.create_dir_all(Path::new("d")).unwrap();
        fs.sync_dir(Path::new("")).unwrap();
        let a = fs.open(Path::new("d/a"), OpenMode::New).unwrap();
        a.write_at(b"a", 0).unwrap();
        a.sync_data().unwrap();
        fs.sync_dir(Path::new("d")).unwrap();
        fs.rename(Path::new("d/a"), Path::new("d/b")).unwrap();
        fs.crash(CrashMode::DropUnsynced);
        assert_eq!(fs.list(Path::new("d")).unwrap(), ["a"]);
        fs.rename(Path::new("d/a"), Path::new("d/b")).unwrap();
        fs.sync_dir(Path::new("d")).unwrap();
        fs.crash(CrashMode::DropUnsynced);
        assert_eq!(fs.list(Path::new("d")).unwrap(), ["b"]);
        assert_eq!(contents(&fs, "d/b"), b"a");
    }

    #[test]
    fn a_failed_sync_leaves_its_writes_in_doubt() {
        let fs = SimFileSystem::with_crashes(1);
        let file = synced_file(&fs, "f");
        file.write_at(b"1", 0).unwrap();
        fs.fail_next(OperationKind::Sync, Fault::Io);
        assert!(file.sync_data().is_err());
        file.sync_data().unwrap();
        fs.crash(CrashMode::DropUnsynced);
        assert_eq!(contents(&fs, "f"), b"", "the second sync does not vouch for what the first one lost");
    }

    #[test]
    fn power_goes_at_the_chosen_operation() {
        let fs = SimFileSystem::with_crashes(1);
        let file = synced_file(&fs, "f");
        fs.cut_power_at(2);
        file.write_at(b"1", 0).unwrap();
        assert_eq!(file.write_at(b"2", 1).unwrap_err().kind, IoErrorKind::PowerLost);
        assert_eq!(file.read_at(&mut [0], 0).unwrap_err().kind, IoErrorKind::PowerLost);
        assert!(fs.power_lost());
        fs.crash(CrashMode::KeepUnsynced);
        assert_eq!(contents(&fs, "f"), b"12", "the write during which the power went may survive");
    }

    #[test]
    fn a_killed_process_leaves_its_writes_in_the_cache() {
        let fs = SimFileSystem::with_crashes(1);
        let file = synced_file(&fs, "f");
        file.write_at(b"1", 0).unwrap();
        fs.kill();
        assert!(file.sync_data().is_err(), "X2");
        assert_eq!(contents(&fs, "f"), b"1");
        fs.crash(CrashMode::DropUnsynced);
        assert_eq!(contents(&fs, "f"), b"");
    }

    #[test]
    fn a_full_device_refuses_growth_and_honours_reservations() {
        let fs = SimFileSystem::with_crashes(1);
        let file = synced_file(&fs, "f");
        fs.limit_space(1000);
        file.preallocate(0, 800).unwrap();
        let other = synced_file(&fs, "g");
        assert_eq!(other.write_at(&[1; 300], 0).unwrap_err().kind, IoErrorKind::NoSpace);
        file.write_at(&[1; 800], 0).unwrap();
        let error: ochre_base::Error = file.write_at(&[1; 300], 800).unwrap_err().into();
        assert_eq!(error.sqlstate(), ochre_base::SqlState::DISK_FULL);
    }

    #[test]
    fn a_lock_is_exclusive_until_dropped() {
        let fs = SimFileSystem::new(1);
        let lock = fs.lock(Path::new("LOCK"), "pid 1").unwrap();
        let refused = fs.lock(Path::new("LOCK"), "pid 2").map(|_| ()).unwrap_err();
        assert_eq!((refused.kind, refused.reason.as_str()), (IoErrorKind::Locked, "pid 1"));
        drop(lock);
        assert!(fs.lock(Path::new("LOCK"), "pid 2").is_ok());
    }
}
