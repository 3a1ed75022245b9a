//! One fork's file: segments, size, reserved space, and what is not synced yet.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use ochre_base::limits::{PAGE_SIZE, PAGES_PER_SEGMENT};
use ochre_base::{Error, Fork, PageKey, Result, SqlState};
use ochre_env::{Env, File, OpenMode};
use parking_lot::{Mutex, RwLock};

use super::names::segment_name;
use super::store::ChangedDirectories;
use super::{ForkKey, RelationKey};
use crate::page::Page;

/// Space is reserved for at most so many pages ahead (4 MiB), and for an eighth of the fork at a time.
const MAX_RESERVED_AHEAD: u32 = 512;

/// An open fork.
pub(crate) struct ForkFile {
    key: ForkKey,
    directory: PathBuf,
    env: Env,
    changed_directories: Arc<ChangedDirectories>,
    /// The relation is going or gone: nothing grows, writes or makes its files any more.
    retired: AtomicBool,
    /// Pages that exist. Only grows, but for truncation. Pages at its end may not have reached the file yet: they read
    /// as zeros.
    blocks: AtomicU32,
    /// Pages for which space is reserved; held while the fork grows.
    growth: Mutex<u32>,
    segments: RwLock<Vec<Option<Arc<Segment>>>>,
    /// Whether any segment has been written since it was synced.
    needs_sync: AtomicBool,
}

struct Segment {
    file: Arc<dyn File>,
    needs_sync: AtomicBool,
}

/// What becomes of a segment whose file is not there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum IfMissing {
    /// It is left so.
    Leave,
    /// It is made, if its relation has its first file.
    Continue,
    /// It is made: a relation begins with it.
    Begin,
}

fn locate(block: u32) -> (u32, u64) {
    (block / PAGES_PER_SEGMENT, u64::from(block % PAGES_PER_SEGMENT) * PAGE_SIZE as u64)
}

impl ForkFile {
    /// Opens a fork that may have no file yet; its size is what its files say.
    pub(super) fn open(
        env: &Env,
        directory: PathBuf,
        changed_directories: &Arc<ChangedDirectories>,
        key: ForkKey,
    ) -> Result<ForkFile> {
        let fork = ForkFile {
            key,
            directory,
            env: env.clone(),
            changed_directories: Arc::clone(changed_directories),
            retired: AtomicBool::new(false),
            blocks: AtomicU32::new(0),
            growth: Mutex::new(0),
            segments: RwLock::default(),
            needs_sync: AtomicBool::new(false),
        };
        let mut blocks = 0;
        let mut number = 0;
        while let Some(segment) = fork.open_segment(number, IfMissing::Leave)? {
            let len = segment.file.len()?;
            // A torn last page does not count: it was never complete, so redo makes it anew.
            let pages = (len / PAGE_SIZE as u64).min(u64::from(PAGES_PER_SEGMENT)) as u32;
            if pages > 0 {
                blocks = number * PAGES_PER_SEGMENT + pages;
            }
            number += 1;
        }
        fork.blocks.store(blocks, Ordering::Release);
        *fork.growth.lock() = blocks;
        Ok(fork)
    }

    pub(crate) fn blocks(&self) -> u32 {
        self.blocks.load(Ordering::Acquire)
    }

    pub(super) fn has_file(&self) -> bool {
        !self.is_retired() && self.segments.read().first().is_some_and(Option::is_some)
    }

    /// Makes the first segment's file if it is not there.
    pub(super) fn create(&self) -> Result<()> {
        self.segment(0, IfMissing::Begin)?;
        Ok(())
    }

    /// Says that the relation is about to be removed: from now on the fork has no pages to read and gets none, and what
    /// is still to be written of it is not. Returns how many pages it had.
    pub(super) fn retire(&self) -> u32 {
        let _growth = self.growth.lock();
        self.retired.store(true, Ordering::SeqCst);
        self.blocks.swap(0, Ordering::SeqCst)
    }

    fn is_retired(&self) -> bool {
        self.retired.load(Ordering::Acquire)
    }

    fn check_not_retired(&self) -> Result<()> {
        if self.is_retired() {
            return Err(Error::internal(format!("file \"{}\" was dropped and is written to", self.name())));
        }
        Ok(())
    }

    /// Reads a page without checking it. Zeros for pages that exist but have not reached the file.
    pub(crate) fn read(&self, block: u32, page: &mut Page) -> Result<()> {
        let (number, offset) = locate(block);
        let Some(segment) = self.segment(number, IfMissing::Leave)? else {
            page.clear();
            return Ok(());
        };
        let bytes = page.bytes_mut();
        let cached = segment.file.read_cached_at(bytes, offset)?;
        let read = match cached {
            Some(read) => read,
            None => self.env.wait.run(|| segment.file.read_at(bytes, offset))?,
        };
        bytes[read..].fill(0);
        Ok(())
    }

    /// Writes a page, sealed already, and notes that its segment must be synced. Nobody will read a page of a relation
    /// that is going, so that is not written.
    pub(crate) fn write(&self, block: u32, page: &Page) -> Result<()> {
        if self.is_retired() {
            return Ok(());
        }
        let (number, offset) = locate(block);
        let segment = self.segment(number, IfMissing::Continue)?.expect("made when it was not there");
        segment.file.write_at(page.bytes(), offset)?;
        segment.needs_sync.store(true, Ordering::Release);
        self.needs_sync.store(true, Ordering::Release);
        Ok(())
    }

    /// Adds a page at the end, with space reserved for it. `publish` runs before others can learn of the page.
    pub(crate) fn extend<R>(&self, publish: impl FnOnce(PageKey) -> Result<R>) -> Result<R> {
        let mut reserved = self.growth.lock();
        self.check_not_retired()?;
        let block = self.blocks();
        if block == u32::MAX {
            let message = format!("cannot extend file \"{}\" beyond {} blocks", self.name(), u32::MAX);
            return Err(Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message));
        }
        if block >= *reserved {
            *reserved = self.reserve_from(block)?;
        }
        let answer = publish(self.key.page(ochre_base::BlockNo(block)))?;
        self.blocks.store(block + 1, Ordering::Release);
        Ok(answer)
    }

    /// In redo and for maps: makes the fork at least so many pages long.
    pub(crate) fn extend_to(&self, blocks: u32) -> Result<()> {
        let mut reserved = self.growth.lock();
        self.check_not_retired()?;
        self.segment(0, IfMissing::Continue)?;
        if self.blocks() < blocks {
            self.blocks.store(blocks, Ordering::Release);
            *reserved = (*reserved).max(blocks);
        }
        Ok(())
    }

    fn reserve_from(&self, block: u32) -> Result<u32> {
        let ahead = (block / 8).clamp(1, MAX_RESERVED_AHEAD);
        let (number, offset) = locate(block);
        let count = ahead.min(PAGES_PER_SEGMENT - block % PAGES_PER_SEGMENT);
        let segment = self.segment(number, IfMissing::Continue)?.expect("made when it was not there");
        segment.file.preallocate(offset, u64::from(count) * PAGE_SIZE as u64)?;
        Ok(block + count)
    }

    /// Cuts the fork. The pages that go are not in the pool any more.
    pub(super) fn truncate(&self, blocks: u32) -> Result<()> {
        let mut reserved = self.growth.lock();
        let old = self.blocks();
        if blocks >= old {
            return Ok(());
        }
        self.blocks.store(blocks, Ordering::Release);
        *reserved = blocks;
        let (first, offset) = locate(blocks);
        for number in first..=locate(old - 1).0 {
            if let Some(segment) = self.segment(number, IfMissing::Leave)? {
                segment.file.set_len(if number == first { offset } else { 0 })?;
                segment.needs_sync.store(true, Ordering::Release);
                self.needs_sync.store(true, Ordering::Release);
            }
        }
        Ok(())
    }

    /// Notes that nothing that is in the files need be durable.
    pub(super) fn distrust(&self) {
        for segment in self.segments.read().iter().flatten() {
            segment.needs_sync.store(true, Ordering::Release);
            self.needs_sync.store(true, Ordering::Release);
        }
    }

    /// Makes everything written so far durable. An error leaves the state of the file unknown.
    pub(super) fn sync(&self) -> Result<()> {
        if !self.needs_sync.swap(false, Ordering::AcqRel) {
            return Ok(());
        }
        let segments: Vec<Arc<Segment>> = self.segments.read().iter().flatten().cloned().collect();
        for segment in segments {
            if segment.needs_sync.swap(false, Ordering::AcqRel) {
                segment.file.sync_data()?;
            }
        }
        Ok(())
    }

    /// Removes all segment files of a fork that is retired. The handles close when the last user is done.
    pub(super) fn remove(&self) -> Result<()> {
        debug_assert!(self.is_retired(), "L5");
        self.needs_sync.store(false, Ordering::Release);
        let mut segments = self.segments.write();
        segments.clear();
        for number in 0.. {
            match self.env.fs.remove(&self.path(number)) {
                // Noted after each removal: a checkpoint that syncs names between would take an earlier note away.
                Ok(()) => self.changed_directories.note(&self.directory),
                Err(error) if error.is_not_found() => break,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// The name in messages, as PostgreSQL gives it: relative to the data directory.
    pub(crate) fn name(&self) -> String {
        let RelationKey { database, .. } = self.key.relation;
        format!("base/{database}/{}", segment_name(self.key, 0))
    }

    fn path(&self, segment: u32) -> PathBuf {
        self.directory.join(segment_name(self.key, segment))
    }

    fn segment(&self, number: u32, if_missing: IfMissing) -> Result<Option<Arc<Segment>>> {
        if let Some(Some(segment)) = self.segments.read().get(number as usize) {
            return Ok(Some(Arc::clone(segment)));
        }
        self.open_segment(number, if_missing)
    }

    fn open_segment(&self, number: u32, if_missing: IfMissing) -> Result<Option<Arc<Segment>>> {
        let mut segments = self.segments.write();
        if let Some(Some(segment)) = segments.get(number as usize) {
            return Ok(Some(Arc::clone(segment)));
        }
        let Some(file) = self.open_file(&self.path(number), if_missing)? else { return Ok(None) };
        let segment = Arc::new(Segment { file, needs_sync: AtomicBool::new(false) });
        if segments.len() <= number as usize {
            segments.resize(number as usize + 1, None);
        }
        segments[number as usize] = Some(Arc::clone(&segment));
        Ok(Some(segment))
    }

    /// Opens a segment's file, or makes it if that is asked for (L5) and its directory if need be. New names are noted,
    /// for the next checkpoint to make durable.
    fn open_file(&self, path: &Path, if_missing: IfMissing) -> Result<Option<Arc<dyn File>>> {
        match self.env.fs.open(path, OpenMode::Existing) {
            Ok(file) => return Ok(Some(file)),
            Err(error) if !error.is_not_found() => return Err(error.into()),
            Err(_) if if_missing == IfMissing::Leave => return Ok(None),
            Err(_) => {}
        }
        self.check_not_retired()?;
        if if_missing == IfMissing::Continue {
            let first = self.directory.join(segment_name(self.key.relation.fork(Fork::Main), 0));
            if !self.env.fs.exists(&first)? {
                let message = format!("file \"{}\" does not exist and is written to", self.name());
                return Err(Error::internal(message));
            }
        }
        let created = match self.env.fs.open(path, OpenMode::OrCreate) {
            Err(error) if error.is_not_found() => {
                self.env.fs.create_dir_all(&self.directory)?;
                self.changed_directories.note_parents(&self.directory);
                self.env.fs.open(path, OpenMode::OrCreate)
            }
            other => other,
        };
        self.changed_directories.note(&self.directory);
        Ok(Some(created?))
    }
}
