//! A simulated file system.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};

use super::content::Content;
use super::faults::{Fault, Faults, Fired, Lies, OperationKind, Refusal};
use super::names::{NameChange, Names, Node, is_root};
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
    reads: AtomicU64,
    /// A number that all operations so far have made, in their order.
    trace: AtomicU64,
    /// A line for each operation, if it was asked for.
    recorded: Mutex<Option<Vec<String>>>,
    /// Whether `lies` needs to be looked at.
    lying: AtomicBool,
    lies: Mutex<Lies>,
    /// Whether `kept` needs to be looked at.
    keeping: AtomicBool,
    kept: Mutex<Kept>,
    /// Whether `faults` needs to be looked at, so that files without faults pay one load.
    armed: AtomicBool,
    faults: Mutex<Faults>,
}

/// States of the files that are kept for later.
#[derive(Default)]
struct Kept {
    wanted: BTreeSet<u64>,
    states: BTreeMap<u64, SimFileSystem>,
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
            reads: AtomicU64::new(0),
            trace: AtomicU64::new(0),
            recorded: Mutex::default(),
            lying: AtomicBool::new(false),
            lies: Mutex::default(),
            keeping: AtomicBool::new(false),
            kept: Mutex::default(),
            armed: AtomicBool::new(false),
            faults: Mutex::default(),
        };
        SimFileSystem { shared: Arc::new(shared) }
    }

    /// How many operations that change something there have been.
    pub fn operations(&self) -> u64 {
        self.shared.operations.load(Ordering::SeqCst)
    }

    /// How many reads there have been.
    pub fn reads(&self) -> u64 {
        self.shared.reads.load(Ordering::SeqCst)
    }

    /// A number that all operations so far have made, with their paths, places and bytes, in their order: two runs that
    /// did the same have the same.
    pub fn trace(&self) -> u64 {
        self.shared.trace.load(Ordering::SeqCst)
    }

    /// Writes down every operation from now on.
    pub fn record(&self) {
        *self.shared.recorded.lock() = Some(Vec::new());
    }

    /// What was written down: a line for each operation.
    pub fn recorded(&self) -> Vec<String> {
        self.shared.recorded.lock().clone().unwrap_or_default()
    }

    /// Another machine whose files are as these are now, durable and not, with its own luck. Nobody has them open there,
    /// and no faults are planned.
    pub fn fork(&self, seed: u64) -> SimFileSystem {
        self.shared.fork(seed)
    }

    /// Keeps a copy of the files as they are after each of these operations, by the numbers that
    /// [`SimFileSystem::operations`] gives. A number inside a call that makes several directories has none.
    pub fn keep_states(&self, after: impl IntoIterator<Item = u64>) {
        self.shared.kept.lock().wanted.extend(after);
        self.shared.keeping.store(true, Ordering::SeqCst);
    }

    /// The copies that were kept, by the numbers of their operations; nothing is kept any more.
    pub fn take_states(&self) -> BTreeMap<u64, SimFileSystem> {
        self.shared.keep_state();
        self.shared.keeping.store(false, Ordering::SeqCst);
        std::mem::take(&mut *self.shared.kept.lock()).states
    }

    /// Says from now on of each file below `prefix` that it is synced, and does not sync it.
    pub fn pretend_file_syncs(&self, prefix: &Path) {
        self.shared.lies.lock().files.push(prefix.to_path_buf());
        self.shared.lying.store(true, Ordering::SeqCst);
    }

    /// Says from now on that a directory is synced, and does not sync it.
    pub fn pretend_directory_syncs(&self, directory: &Path) {
        self.shared.lies.lock().directories.push(directory.to_path_buf());
        self.shared.lying.store(true, Ordering::SeqCst);
    }

    /// Syncs are done from now on.
    pub fn stop_pretending(&self) {
        *self.shared.lies.lock() = Lies::default();
    }

    /// Does the file syncs that were pretended so far, and any that is missing of those files.
    pub fn make_pretended_syncs_true(&self) {
        let names = self.shared.names.read();
        let lies = self.shared.lies.lock();
        for (_, node) in names.current.iter().filter(|(path, _)| lies.about_file(path)) {
            if let Node::File(content) = node {
                content.write().sync();
            }
        }
    }

    /// Changes bytes behind everybody's back, durably: what bad memory and worn disks do.
    ///
    /// # Panics
    /// When there is no such file.
    pub fn damage(&self, path: &Path, offset: u64, change: impl FnOnce(&mut [u8]), len: usize) {
        let content = self.shared.names.read().file(path).expect("the file is there");
        let mut bytes = vec![0; len];
        let mut content = content.write();
        let read = content.read(&mut bytes, offset);
        change(&mut bytes[..read]);
        content.overwrite(&bytes[..read], offset);
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

    /// Makes the `n`-th read from now (1 is the next) fail; those after it work.
    pub fn fail_read(&self, n: u64, fault: Fault) {
        let at = self.reads() + n;
        self.arm(|faults| faults.fail_read_at = Some((at, fault)));
    }

    /// Cuts the power now: everything fails until [`SimFileSystem::crash`].
    pub fn cut_power(&self) {
        self.arm(|faults| faults.power_lost = true);
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
        self.arm(|faults| {
            *faults = Faults {
                power_lost: faults.power_lost,
                fired: std::mem::take(&mut faults.fired),
                ..Faults::default()
            }
        });
    }

    /// The operations that were made to fail since the machine was started.
    pub fn fired(&self) -> Vec<Fired> {
        self.shared.faults.lock().fired.clone()
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
        if self.remember_synced {
            self.mix(kind as u64);
            self.mix_bytes(path.as_os_str().as_encoded_bytes());
            if let Some(recorded) = &mut *self.recorded.lock() {
                let trace = self.trace.load(Ordering::SeqCst);
                recorded.push(format!("{number} {kind:?} {} ({trace:016x})", path.display()));
            }
        }
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
        match faults.planned(number, kind, path) {
            Some(fault) => Err(Refusal { error: fault.error(operation, path), at_cut: false }),
            None => Ok(()),
        }
    }

    fn begin_read(&self, path: &Path) -> IoResult<()> {
        let number = self.reads.fetch_add(1, Ordering::SeqCst) + 1;
        if self.armed.load(Ordering::SeqCst)
            && let Some(fault) = self.faults.lock().planned(number, OperationKind::Read, path)
        {
            return Err(fault.error("read", path));
        }
        Ok(())
    }

    fn mix(&self, value: u64) {
        let mixed = (self.trace.load(Ordering::SeqCst) ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.trace.store(mixed.rotate_left(29), Ordering::SeqCst);
    }

    /// Some of the bytes stand for all.
    fn mix_bytes(&self, bytes: &[u8]) {
        let step = bytes.len() / 64 + 1;
        bytes.iter().step_by(step).for_each(|byte| self.mix(u64::from(*byte)));
    }

    /// Keeps a copy of the files if it was asked for. Called without a lock on names, before an operation.
    fn keep_state(&self) {
        if !self.keeping.load(Ordering::SeqCst) {
            return;
        }
        let now = self.operations.load(Ordering::SeqCst);
        let mut kept = self.kept.lock();
        if kept.wanted.remove(&now) {
            kept.states.insert(now, self.fork(now));
        }
    }

    fn fork(&self, seed: u64) -> SimFileSystem {
        let fork = SimFileSystem::build(seed, self.remember_synced);
        *fork.shared.names.write() = self.names.read().fork();
        *fork.shared.lies.lock() = self.lies.lock().clone();
        fork.shared.lying.store(self.lying.load(Ordering::SeqCst), Ordering::SeqCst);
        fork.shared.operations.store(self.operations.load(Ordering::SeqCst), Ordering::SeqCst);
        fork
    }

    fn pretends_file(&self, path: &Path) -> bool {
        self.lying.load(Ordering::SeqCst) && self.lies.lock().about_file(path)
    }

    fn pretends_directory(&self, path: &Path) -> bool {
        self.lying.load(Ordering::SeqCst) && self.lies.lock().about_directory(path)
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
            let kind = match operation {
                "write" => OperationKind::Write,
                "truncate" => OperationKind::SetLen,
                _ => OperationKind::Preallocate,
            };
            let fault = Fault::NoSpace;
            self.faults.lock().fired.push(Fired { kind, fault, path: path.to_path_buf() });
            return Err(fault.error(operation, path));
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

impl FileSystem for SimFileSystem {
    fn open(&self, path: &Path, mode: OpenMode) -> IoResult<Arc<dyn File>> {
        self.shared.check_power("open", path)?;
        self.shared.keep_state();
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
        self.shared.keep_state();
        let mut names = self.shared.names.write();
        let Some(content) = names.file(from) else { return Err(not_found("rename", from)) };
        let change = NameChange::Rename(from.to_path_buf(), to.to_path_buf(), Node::File(content));
        self.change_names(&mut names, OperationKind::Name, "rename", from, change)
    }

    fn remove(&self, path: &Path) -> IoResult<()> {
        self.shared.keep_state();
        let mut names = self.shared.names.write();
        if names.file(path).is_none() {
            return Err(not_found("remove", path));
        }
        let change = NameChange::Remove(path.to_path_buf());
        self.change_names(&mut names, OperationKind::Name, "remove", path, change)
    }

    fn remove_dir(&self, path: &Path) -> IoResult<()> {
        self.shared.keep_state();
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
        self.shared.keep_state();
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
        self.shared.keep_state();
        let mut names = self.shared.names.write();
        if !names.has_directory(path) {
            return Err(not_found("fsync", path));
        }
        self.shared.begin(OperationKind::SyncDir, "fsync", path).map_err(|refusal| refusal.error)?;
        if !self.shared.pretends_directory(path) {
            names.sync(path);
        }
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
        self.shared.keep_state();
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
        self.shared.begin_read(&self.path)?;
        Ok(self.content.read().read(buffer, offset))
    }

    fn read_cached_at(&self, buffer: &mut [u8], offset: u64) -> IoResult<Option<usize>> {
        self.read_at(buffer, offset).map(Some)
    }

    fn write_at(&self, buffer: &[u8], offset: u64) -> IoResult<()> {
        self.check_space(offset + buffer.len() as u64, "write")?;
        if self.shared.remember_synced {
            self.shared.mix(offset);
            self.shared.mix_bytes(buffer);
        }
        self.change(OperationKind::Write, "write", |content| content.write(buffer, offset))
    }

    fn sync_data(&self) -> IoResult<()> {
        self.check_alive("fsync")?;
        self.shared.keep_state();
        match self.shared.begin(OperationKind::Sync, "fsync", &self.path) {
            Ok(()) => {
                if !self.shared.pretends_file(&self.path) {
                    self.content.write().sync();
                }
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

    #[test]
    fn a_state_that_was_kept_goes_its_own_way() {
        let fs = SimFileSystem::with_crashes(1);
        let file = synced_file(&fs, "f");
        fs.keep_states([fs.operations() + 1]);
        file.write_at(b"1", 0).unwrap();
        file.sync_data().unwrap();
        file.write_at(b"2", 0).unwrap();
        let mut kept = fs.take_states();
        let before_the_sync = kept.pop_first().unwrap().1;
        assert!(kept.is_empty());
        assert_eq!(contents(&before_the_sync, "f"), b"1");
        before_the_sync.crash(CrashMode::DropUnsynced);
        assert_eq!(contents(&before_the_sync, "f"), b"");
        fs.crash(CrashMode::DropUnsynced);
        assert_eq!(contents(&fs, "f"), b"1");
    }

    #[test]
    fn a_pretended_sync_is_none_until_it_is_made_true() {
        let fs = SimFileSystem::with_crashes(1);
        fs.create_dir_all(Path::new("d")).unwrap();
        fs.sync_dir(Path::new("")).unwrap();
        let file = fs.open(Path::new("d/f"), OpenMode::New).unwrap();
        fs.pretend_directory_syncs(Path::new("d"));
        fs.sync_dir(Path::new("d")).unwrap();
        let other = fs.fork(1);
        other.crash(CrashMode::DropUnsynced);
        assert_eq!(other.list(Path::new("d")).unwrap(), [""; 0]);
        let fs = SimFileSystem::with_crashes(1);
        let kept = synced_file(&fs, "f");
        fs.pretend_file_syncs(Path::new("f"));
        kept.write_at(b"1", 0).unwrap();
        kept.sync_data().unwrap();
        let other = fs.fork(1);
        other.crash(CrashMode::DropUnsynced);
        assert_eq!(contents(&other, "f"), b"");
        fs.make_pretended_syncs_true();
        fs.crash(CrashMode::DropUnsynced);
        assert_eq!(contents(&fs, "f"), b"1");
        drop(file);
    }
}
