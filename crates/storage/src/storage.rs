//! One open data directory: opening, checkpoints, background threads, closing.
//!
//! # On-disk layout
//! ```text
//! CURRENT   where recovery begins                     LOCK   held while open
//! wal/      log segments                              base/  relation files
//! tmp/      spilled data, emptied at start
//! ```
//!
//! # Invariants
//! - O1: nothing is appended before recovery has ended, files are settled and the new incarnation is durable in
//!   `CURRENT` (U2).
//! - O2: the first record of an incarnation is appended right where the last one's valid log ends.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use ochre_base::{Error, Lsn, Result, SqlState, Xid};
use ochre_env::{Env, File, FileLock, IoErrorKind, OpenMode};
use parking_lot::Mutex;

use crate::background::{Signal, Wakeup, no_thread};
use crate::buffer::BufferPool;
use crate::checkpoint::CheckpointData;
use crate::config::StorageConfig;
use crate::current::{Current, CurrentFile};
use crate::files::{Creator, FileStore, Files};
use crate::page::{Page, PageCheck, PageChecks, PageKind};
use crate::poison::Poison;
use crate::records;
use crate::recovery::{self, KnownEnd, RedoContext};
use crate::wal::{
    LogSink, RecordBuilder, RmgrId, SegmentFiles, WAL_DIRECTORY, Wal, WalReader, WalRecord, crc_seed,
};

const LOCK_FILE: &str = "LOCK";
const TEMP_DIRECTORY: &str = "tmp";
/// How often the background writer looks when nobody calls it.
const WRITER_DELAY: Duration = Duration::from_millis(200);
/// Pages that the background writer cleans in one round.
const WRITER_PAGES: usize = 200;

/// Redoes the log records of one layer and takes part in checkpoints. Registered at [`Storage::open`].
#[allow(unused_variables)]
pub trait ResourceManager: Send + Sync {
    /// Whose records it redoes.
    fn rmgr(&self) -> RmgrId;

    /// Its name in dumps.
    fn name(&self) -> &'static str;

    /// Redoes what a record says besides its pages. Called in log order, by one thread, while nobody else uses the
    /// storage. May meet effects of later records in what [`ResourceManager::checkpoint_restore`] gave. Pages of earlier
    /// records may not be redone yet.
    fn redo(&self, context: &mut RedoContext<'_>, record: &WalRecord<'_>) -> Result<()> {
        Ok(())
    }

    /// Redoes what a record does to its `index`-th page, which is in the state that the change starts from, with LSN and
    /// dirty mark set. Not called when the page comes from an image in the record, has the change already, or is gone.
    /// One page's records are redone in log order, different pages by different threads: what is done may depend on the
    /// record and on this page alone.
    fn redo_page(&self, record: &WalRecord<'_>, index: usize, page: &mut Page) -> Result<()> {
        Err(Error::corrupt(format!("a log record of the manager \"{}\" has pages", self.name())))
    }

    /// How pages of a kind of this layer's are checked when they come from disk, besides their checksum and header.
    /// What passes must not lead its readers and writers off the page, whatever it says.
    fn page_check(&self, kind: PageKind) -> Option<PageCheck> {
        None
    }

    /// Says in a few words what a record does.
    fn describe(&self, record: &WalRecord<'_>) -> String {
        format!("info {} main {} bytes", record.info, record.main.len())
    }

    /// What recovery needs besides records from `redo` on. Called while others run, after the redo point is fixed:
    /// everything appended and published before `redo` must be in it, and later things may be.
    fn checkpoint_save(&self, redo: Lsn) -> Result<Vec<u8>> {
        Ok(Vec::new())
    }

    /// The last checkpoint's payload, before redo begins. Not called on a new directory.
    fn checkpoint_restore(&self, redo: Lsn, payload: &[u8]) -> Result<()> {
        Ok(())
    }

    /// The youngest transaction that any redone record names. Those that have no other record than of their files or
    /// indexes are known by it alone. Called when the log has been redone.
    fn note_youngest(&self, xid: Xid) {}

    /// The log has been redone up to `end`. Called also after a clean start and on a new directory, before
    /// [`Storage::open`] returns and before anything is appended.
    fn recovery_finished(&self, end: Lsn) -> Result<()> {
        Ok(())
    }

    /// What became of a transaction that created files, after recovery: they go unless it committed or is prepared.
    /// `None` from managers that know nothing of transactions; when all say so, the files go.
    fn creator_of_files(&self, creator: Xid) -> Option<Creator> {
        None
    }
}

/// How the directory was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenKind {
    /// Made anew: whoever opened it fills it.
    Created,
    /// Shut down cleanly.
    Clean,
    /// Recovered from its log.
    Recovered,
}

/// What opening a directory took.
#[derive(Debug, Clone, Copy, Default)]
pub struct OpenTimes {
    /// Making durable what the process before wrote to the log.
    pub sync: Duration,
    /// Reading and redoing the log.
    pub redo: Duration,
    /// Going on from there: outcomes, leftover files, the first record.
    pub settle: Duration,
    /// Records that were redone.
    pub records: u64,
    /// Bytes of the log from the redo point to its end.
    pub log_bytes: u64,
}

/// How a checkpoint goes about its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckpointKind {
    /// As fast as the disk writes (CHECKPOINT).
    Fast,
    /// Spread over time.
    Paced,
}

/// One open data directory: files, buffer pool and log.
pub struct Storage {
    core: Arc<Core>,
    open_kind: OpenKind,
    open_times: OpenTimes,
    threads: Mutex<Vec<std::thread::JoinHandle<()>>>,
}

/// What background threads share with the storage.
struct Core {
    env: Env,
    root: PathBuf,
    config: StorageConfig,
    managers: Vec<Arc<dyn ResourceManager>>,
    poison: Arc<Poison>,
    segments: Arc<SegmentFiles>,
    wal: Arc<Wal>,
    pool: Arc<BufferPool>,
    files: Arc<Files>,
    system_identifier: u64,
    current: Mutex<CurrentState>,
    checkpoint_needed: Signal,
    /// Someone waits for the running checkpoint: it stops pacing itself.
    hurry: AtomicBool,
    next_temp_file: AtomicU64,
    closed: AtomicBool,
    lock: Mutex<Option<Box<dyn FileLock>>>,
}

/// `CURRENT`, and the mutex that lets one checkpoint run at a time.
struct CurrentState {
    file: CurrentFile,
    current: Current,
    /// The log's position at the end of the last checkpoint: nothing to do while it has not moved.
    idle_position: Lsn,
    /// Log written between the last two checkpoints.
    distance_bytes: u64,
}

impl Storage {
    /// Opens a data directory, making it if it is empty or not there, and recovers it if it was not shut down cleanly.
    ///
    /// # Errors
    /// 55006 when another process has it open, XX001 when it cannot be recovered.
    pub fn open(
        env: Env,
        path: &Path,
        config: StorageConfig,
        managers: Vec<Arc<dyn ResourceManager>>,
    ) -> Result<Arc<Storage>> {
        make_directories(&env, path)?;
        let lock = lock_directory(&env, path)?;
        empty_temp_directory(&env, path)?;
        let (file, found) = CurrentFile::open(&env, path)?;
        let created = found.is_none();
        let current = match found {
            Some(current) => current,
            None => first_current(&env, path, &config)?,
        };
        let core = Arc::new(Core::new(env, path, config, managers, file, current, lock));
        let (open_kind, open_times) =
            if created { (core.create()?, OpenTimes::default()) } else { core.recover()? };
        let storage = Storage { core, open_kind, open_times, threads: Mutex::default() };
        if storage.core.config.background_threads {
            storage.start_threads()?;
        }
        Ok(Arc::new(storage))
    }

    /// How the directory was found.
    pub fn open_kind(&self) -> OpenKind {
        self.open_kind
    }

    /// What opening took.
    pub fn open_times(&self) -> OpenTimes {
        self.open_times
    }

    /// Files, clock, randomness, waiting.
    pub fn env(&self) -> &Env {
        &self.core.env
    }

    /// The data directory.
    pub fn path(&self) -> &Path {
        &self.core.root
    }

    /// The settings.
    pub fn config(&self) -> &StorageConfig {
        &self.core.config
    }

    /// The buffer pool.
    pub fn pool(&self) -> &Arc<BufferPool> {
        &self.core.pool
    }

    /// The log.
    pub fn wal(&self) -> &Arc<Wal> {
        &self.core.wal
    }

    /// Relation files.
    pub fn files(&self) -> &Arc<Files> {
        &self.core.files
    }

    /// A number that is this directory's own since it was made.
    pub fn system_identifier(&self) -> u64 {
        self.core.system_identifier
    }

    /// A new empty file for spilled data, removed when the last handle is dropped.
    pub fn create_temp_file(&self) -> Result<Arc<dyn File>> {
        let number = self.core.next_temp_file.fetch_add(1, Ordering::Relaxed);
        let path = self.core.root.join(TEMP_DIRECTORY).join(number.to_string());
        let file = self.core.env.fs.open(&path, OpenMode::New)?;
        // Nobody needs the name: the space goes with the last handle.
        self.core.env.fs.remove(&path)?;
        Ok(file)
    }

    /// Writes all changed pages and moves the redo point; returns when it is done.
    ///
    /// # Errors
    /// 58030 and 53100; the old checkpoint stays in force.
    pub fn checkpoint(&self, kind: CheckpointKind) -> Result<()> {
        if kind == CheckpointKind::Fast {
            self.core.hurry.store(true, Ordering::Release);
        }
        self.core.env.wait.run(|| self.core.checkpoint(kind, false))
    }

    /// Stops background threads, writes a final checkpoint and closes the directory. Nobody may use it any more. Does
    /// nothing the second time.
    ///
    /// # Errors
    /// As [`Storage::checkpoint`]; the directory then recovers when it is opened next.
    pub fn close(&self) -> Result<()> {
        if self.core.closed.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        self.core.hurry.store(true, Ordering::Release);
        self.stop_threads();
        let result = self.core.checkpoint(CheckpointKind::Fast, true);
        *self.core.lock.lock() = None;
        result
    }

    fn start_threads(&self) -> Result<()> {
        self.core.wal.announce_flusher();
        self.spawn("wal-flusher", |core| core.wal.run_flusher(core.config.wal_writer_delay))?;
        self.spawn("wal-preparer", Core::run_preparer)?;
        self.spawn("checkpointer", Core::run_checkpointer)?;
        self.spawn("page-writer", Core::run_page_writer)
    }

    fn spawn(&self, name: &str, run: impl FnOnce(&Core) + Send + 'static) -> Result<()> {
        let core = Arc::clone(&self.core);
        let thread = std::thread::Builder::new().name(name.to_string());
        let thread = thread.spawn(move || run(&core)).map_err(no_thread)?;
        self.threads.lock().push(thread);
        Ok(())
    }

    fn stop_threads(&self) {
        self.core.wal.stop_flusher();
        self.core.wal.space_needed.stop();
        self.core.checkpoint_needed.stop();
        self.core.pool.writer_needed.stop();
        for thread in self.threads.lock().drain(..) {
            // A panic there has been reported; here it changes nothing.
            let _ = thread.join();
        }
    }
}

impl Drop for Storage {
    fn drop(&mut self) {
        self.core.hurry.store(true, Ordering::Release);
        self.stop_threads();
    }
}

impl Core {
    fn new(
        env: Env,
        root: &Path,
        config: StorageConfig,
        managers: Vec<Arc<dyn ResourceManager>>,
        file: CurrentFile,
        current: Current,
        lock: Box<dyn FileLock>,
    ) -> Core {
        let poison = Arc::new(Poison::default());
        let segments = Arc::new(SegmentFiles::new(env.clone(), root, current.wal_segment_bytes));
        let sink: Arc<dyn LogSink> = Arc::clone(&segments) as Arc<dyn LogSink>;
        let wal = Wal::new(env.clone(), sink, Arc::clone(&poison), &config, current.system_identifier);
        let wal = Arc::new(wal);
        let store = Arc::new(FileStore::new(env.clone(), root.to_path_buf()));
        let checks = PageChecks::new(|kind| managers.iter().find_map(|manager| manager.page_check(kind)));
        let pool = BufferPool::new(
            env.clone(),
            config.shared_buffers_bytes,
            Arc::clone(&store),
            Arc::clone(&wal),
            checks,
        );
        let pool = Arc::new(pool);
        let files = Arc::new(Files::new(store, Arc::clone(&wal), Arc::clone(&pool)));
        Core {
            env,
            root: root.to_path_buf(),
            config,
            managers,
            poison,
            segments,
            wal,
            pool,
            files,
            system_identifier: current.system_identifier,
            current: Mutex::new(CurrentState { file, current, idle_position: Lsn::ZERO, distance_bytes: 0 }),
            checkpoint_needed: Signal::default(),
            hurry: AtomicBool::new(false),
            next_temp_file: AtomicU64::new(1),
            closed: AtomicBool::new(false),
            lock: Mutex::new(Some(lock)),
        }
    }

    /// Begins a new directory: an empty log with a first checkpoint, then `CURRENT`.
    fn create(&self) -> Result<OpenKind> {
        let first = self.current.lock().current.redo;
        // What an earlier attempt left: without `CURRENT` nobody can have written data.
        for name in self.env.fs.list(&self.root.join(WAL_DIRECTORY))? {
            self.env.fs.remove(&self.root.join(WAL_DIRECTORY).join(name))?;
        }
        self.segments.start_at(first)?;
        self.env.fs.sync_dir(&self.root)?;
        match self.root.parent() {
            Some(parent) if parent.as_os_str().is_empty() => self.env.fs.sync_dir(Path::new("."))?,
            Some(parent) => self.env.fs.sync_dir(parent)?,
            None => {}
        }
        for manager in &self.managers {
            manager.recovery_finished(first)?;
        }
        self.wal.start_at(first, first, 1);
        self.checkpoint(CheckpointKind::Fast, false)?;
        Ok(OpenKind::Created)
    }

    /// Redoes the log and opens it for appending (O1).
    fn recover(&self) -> Result<(OpenKind, OpenTimes)> {
        let began = self.env.clock.monotonic();
        let mut state = self.current.lock();
        let found = state.current;
        let seed = crc_seed(found.system_identifier);
        if !found.shut_down {
            self.segments.sync_existing(self.config.background_threads)?; // Y1
            self.env.fs.sync_dir(&self.root)?;
            self.files.store().distrust_existing()?; // Y5
        }
        let synced = self.env.clock.monotonic();
        let data = self.read_checkpoint(&found, seed)?;
        let end = match self.config.end_damaged_log_at {
            _ if found.shut_down => KnownEnd::Clean,
            Some(at) => KnownEnd::Damaged(at),
            None => KnownEnd::Nothing,
        };
        let redone = std::thread::scope(|scope| {
            let mut reader = WalReader::new(&self.segments, seed, found.redo);
            // All that is there is read, but for a clean start, which reads nothing.
            if self.config.background_threads && !found.shut_down {
                reader.ask_ahead(scope)?;
            }
            recovery::redo(
                reader,
                found.checkpoint,
                end,
                &data,
                &self.pool,
                &self.files,
                &self.managers,
                &self.config,
            )
        })?;
        let read = self.env.clock.monotonic();
        let clean = found.shut_down && redone.records == 0;
        for manager in &self.managers {
            manager.recovery_finished(redone.end)?;
        }
        let became = |creator| {
            let known = self.managers.iter().find_map(|manager| manager.creator_of_files(creator));
            known.unwrap_or(Creator::Gone)
        };
        let gone = self.files.settle_after_recovery(clean, data.next_file_id, became)?;
        redone.check_missing(&gone)?;
        let next = Current {
            sequence: found.sequence + 1,
            incarnation: found.incarnation + 1,
            shut_down: false,
            ..found
        };
        state.file.write(&next)?; // U2
        state.current = next;
        drop(state);
        self.segments.start_at(redone.end)?;
        self.wal.start_at(redone.end, found.redo, next.incarnation);
        self.wal.append(&RecordBuilder::new(RmgrId::STORAGE, records::RESUME, Xid::NONE), &mut [])?; // O2
        if !clean {
            self.checkpoint_needed.raise();
        }
        let times = OpenTimes {
            sync: synced - began,
            redo: read - synced,
            settle: self.env.clock.monotonic() - read,
            records: redone.records,
            log_bytes: redone.end.0 - found.redo.0,
        };
        Ok((if clean { OpenKind::Clean } else { OpenKind::Recovered }, times))
    }

    fn read_checkpoint(&self, found: &Current, seed: u32) -> Result<CheckpointData> {
        let mut reader = WalReader::new(&self.segments, seed, found.checkpoint);
        let record = reader.next()?.filter(|r| r.rmgr == RmgrId::STORAGE && r.info == records::CHECKPOINT);
        let Some(record) = record else {
            let at = found.checkpoint.0;
            let error =
                Error::corrupt(format!("could not read the checkpoint record of the log at {at:016x}"));
            return Err(error
                .detail("It says which transactions committed before it: without it, nothing can be read.")
                .hint("Restore a backup."));
        };
        CheckpointData::decode(record.main)
    }

    fn checkpoint(&self, kind: CheckpointKind, shut_down: bool) -> Result<()> {
        let mut state = self.current.lock();
        self.poison.check()?;
        self.files.remove_dropped()?;
        let redo = self.files.with_closed_gate(|| self.wal.advance_redo_point()); // K3
        let (next_file_id, pending) = self.files.checkpoint();
        let mut data = CheckpointData { redo, next_file_id, pending, ..CheckpointData::default() };
        for manager in &self.managers {
            data.payloads.insert(manager.rmgr(), manager.checkpoint_save(redo)?);
        }
        self.write_dirty_pages(kind, redo)?;
        if self.config.fsync {
            self.files.store().sync_all().map_err(|error| self.poison.set(&error))?;
        }
        let record = data.to_record();
        self.wal.reserve_for_checkpoint(&record)?;
        let appended = self.wal.append(&record, &mut [])?;
        self.wal.flush_to(appended.end)?;
        let next = Current {
            sequence: state.current.sequence + 1,
            redo,
            checkpoint: appended.start,
            checkpoint_unix_micros: self.env.clock.now_unix_micros(),
            shut_down,
            ..state.current
        };
        // Which of the two copies counts after a failure is unknown, and the log before the older redo point must stay.
        state.file.write(&next).map_err(|error| self.poison.set(&error))?; // K2
        state.distance_bytes = redo.0 - state.current.redo.0;
        state.current = next;
        state.idle_position = appended.end;
        self.hurry.store(false, Ordering::Release);
        let keep_until = Lsn(appended.end.0 + state.distance_bytes.min(self.config.max_wal_bytes));
        self.segments.recycle(redo, keep_until)
    }

    /// Writes what is dirty now, spread over time if `kind` says so.
    fn write_dirty_pages(&self, kind: CheckpointKind, redo: Lsn) -> Result<()> {
        let keys = self.pool.dirty_pages();
        let started = self.env.clock.monotonic();
        let time_allowed = self.config.checkpoint_timeout.mul_f64(self.config.checkpoint_completion_target);
        let wal_allowed = self.checkpoint_distance() as f64 * self.config.checkpoint_completion_target;
        for (done, key) in keys.iter().enumerate() {
            self.pool.clean(*key)?;
            if kind == CheckpointKind::Fast || done % 16 != 0 {
                continue;
            }
            let progress = (done + 1) as f64 / keys.len() as f64;
            while !self.hurry.load(Ordering::Acquire) {
                let time = (self.env.clock.monotonic() - started).as_secs_f64() / time_allowed.as_secs_f64();
                let wal = (self.wal.position().0 - redo.0) as f64 / wal_allowed;
                if progress < time.max(wal) || self.checkpoint_needed.is_stopped() {
                    break;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        Ok(())
    }

    /// Log bytes after which a checkpoint begins: it runs while as much again is written, and then the older half of
    /// `max_wal_size` is free.
    fn checkpoint_distance(&self) -> u64 {
        let share = 1.0 + self.config.checkpoint_completion_target;
        (self.config.max_wal_bytes as f64 / share) as u64
    }

    fn run_checkpointer(&self) {
        let mut last = self.env.clock.monotonic();
        loop {
            let wakeup = self.checkpoint_needed.wait(Duration::from_secs(1));
            if wakeup == Wakeup::Stopped {
                return;
            }
            let due = self.env.clock.monotonic() - last >= self.config.checkpoint_timeout;
            let idle = self.current.lock().idle_position == self.wal.position();
            if idle || (wakeup == Wakeup::Elapsed && !due) || self.poison.check().is_err() {
                continue;
            }
            last = self.env.clock.monotonic();
            if let Err(error) = self.checkpoint(CheckpointKind::Paced, false) {
                eprintln!("LOG: checkpoint failed: {error:?}");
            }
        }
    }

    /// Keeps a prepared segment ahead of the log's end, and asks for a checkpoint when there is much log.
    fn run_preparer(&self) {
        loop {
            while self.wal.wants_space() && self.poison.check().is_ok() && !self.wal.space_needed.is_stopped()
            {
                if let Err(error) = self.wal.sink().prepare(false) {
                    // `Wal::reserve` tries again and reports to whoever needs the space; a checkpoint may free some.
                    self.checkpoint_needed.raise();
                    eprintln!("LOG: could not prepare a log segment: {error:?}");
                    break;
                }
            }
            if self.wal.position().0 - self.wal.redo_point().0 > self.checkpoint_distance() {
                self.checkpoint_needed.raise();
            }
            if self.wal.space_needed.wait(Duration::from_secs(10)) == Wakeup::Stopped {
                return;
            }
        }
    }

    fn run_page_writer(&self) {
        while self.pool.writer_needed.wait(WRITER_DELAY) != Wakeup::Stopped {
            if self.poison.check().is_err() {
                continue;
            }
            if let Err(error) = self.pool.clean_ahead(WRITER_PAGES) {
                eprintln!("LOG: could not write a page: {error:?}");
            }
        }
    }
}

fn make_directories(env: &Env, root: &Path) -> Result<()> {
    for name in ["base", WAL_DIRECTORY, TEMP_DIRECTORY] {
        env.fs.create_dir_all(&root.join(name))?;
    }
    Ok(())
}

fn lock_directory(env: &Env, root: &Path) -> Result<Box<dyn FileLock>> {
    env.fs.lock(&root.join(LOCK_FILE), &std::process::id().to_string()).map_err(|error| {
        if error.kind != IoErrorKind::Locked {
            return error.into();
        }
        let message = format!("data directory \"{}\" is in use by another process", root.display());
        Error::new(SqlState::OBJECT_IN_USE, message)
            .hint(format!("The process with PID {} has it open.", error.reason))
    })
}

fn empty_temp_directory(env: &Env, root: &Path) -> Result<()> {
    let directory = root.join(TEMP_DIRECTORY);
    for name in env.fs.list(&directory)? {
        env.fs.remove(&directory.join(name))?;
    }
    Ok(())
}

/// What the first `CURRENT` of a new directory will build on.
///
/// # Errors
/// XX001 when there is data: then `CURRENT` was lost.
fn first_current(env: &Env, root: &Path, config: &StorageConfig) -> Result<Current> {
    if !env.fs.list(&root.join("base"))?.is_empty() {
        let message = format!("data directory \"{}\" has data but no valid file CURRENT", root.display());
        return Err(Error::corrupt(message));
    }
    let segment = config.wal_segment_bytes;
    assert!(segment >= 4096 && segment.is_power_of_two(), "a log segment has a power of two of bytes");
    // The first segment's positions are never used, so that no record begins at zero.
    let first = Lsn(segment);
    Ok(Current {
        sequence: 0,
        system_identifier: env.random.next_u64(),
        redo: first,
        checkpoint: first,
        wal_segment_bytes: segment,
        checkpoint_unix_micros: env.clock.now_unix_micros(),
        incarnation: 1,
        shut_down: false,
    })
}
