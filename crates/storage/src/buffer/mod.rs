//! Buffer pool: caches pages in frames and decides which to evict.

use std::ops::{Deref, DerefMut};

use ochre_base::{PageKey, Result};

use crate::files::ForkKey;
use crate::page::Page;

/// Caches pages.
pub struct BufferPool {}

/// A small set of frames that a one-pass scan or bulk write reuses, so that it does not push everything else out.
pub struct ScanRing {}

impl ScanRing {
    /// For reading a relation once.
    pub fn bulk_read() -> ScanRing {
        ScanRing {}
    }

    /// For writing a relation once (COPY, index builds).
    pub fn bulk_write() -> ScanRing {
        ScanRing {}
    }
}

/// A page that cannot be evicted while this lives. It is not latched: its bytes may change.
/// Owns its pin, borrows nothing, and may move between threads.
pub struct PinnedPage {}

/// A page latched for reading: nobody changes it. Owns its pin.
pub struct PageReadGuard {}

/// A page latched for writing: nobody else sees it. Owns its pin.
pub struct PageWriteGuard {}

#[allow(unused_variables)]
impl BufferPool {
    /// Pins a page, reading it from disk when it is not in memory.
    ///
    /// # Errors
    /// XX001 when the page fails its check or lies behind the end of its file, 58030 when the device fails.
    pub fn fetch(&self, key: PageKey) -> Result<PinnedPage> {
        unimplemented!()
    }

    /// Like [`BufferPool::fetch`], for a scan that reads a relation once.
    pub fn fetch_with(&self, key: PageKey, ring: &mut ScanRing) -> Result<PinnedPage> {
        unimplemented!()
    }

    /// Like [`BufferPool::fetch`], but a page that fails its check or lies behind the end of its file comes back as
    /// zeros, and the file grows: for maps that are hints.
    pub fn fetch_or_reset(&self, key: PageKey) -> Result<PinnedPage> {
        unimplemented!()
    }

    /// Pins a page if it is in memory.
    pub fn fetch_cached(&self, key: PageKey) -> Option<PinnedPage> {
        unimplemented!()
    }

    /// Fetches and latches for reading.
    pub fn read(&self, key: PageKey) -> Result<PageReadGuard> {
        Ok(self.fetch(key)?.read())
    }

    /// Fetches and latches for writing.
    pub fn write(&self, key: PageKey) -> Result<PageWriteGuard> {
        Ok(self.fetch(key)?.write())
    }

    /// Adds a page of zeros at the end of a fork, with space for it reserved on disk, latched for writing.
    /// The block number is in the guard's key. The fork's file is created when it is not there.
    ///
    /// # Errors
    /// 53100 before anything has changed.
    pub fn allocate(&self, fork: ForkKey) -> Result<PageWriteGuard> {
        unimplemented!()
    }

    /// Like [`BufferPool::allocate`], for a bulk write.
    pub fn allocate_with(&self, fork: ForkKey, ring: &mut ScanRing) -> Result<PageWriteGuard> {
        unimplemented!()
    }

    /// How many pages a fork has; zero when it has no file. An atomic load after the first call.
    pub fn block_count(&self, fork: ForkKey) -> Result<u32> {
        unimplemented!()
    }
}

#[allow(unused_variables)]
impl PinnedPage {
    /// The page's address.
    pub fn key(&self) -> PageKey {
        unimplemented!()
    }

    /// Latches for reading, waiting for a writer.
    pub fn read(self) -> PageReadGuard {
        unimplemented!()
    }

    /// Latches for writing, waiting for readers and a writer.
    pub fn write(self) -> PageWriteGuard {
        unimplemented!()
    }

    /// Latches for reading if no writer is there; gives the pin back otherwise.
    pub fn try_read(self) -> Result<PageReadGuard, PinnedPage> {
        unimplemented!()
    }

    /// Latches for writing if nobody is there; gives the pin back otherwise.
    pub fn try_write(self) -> Result<PageWriteGuard, PinnedPage> {
        unimplemented!()
    }
}

impl Clone for PinnedPage {
    fn clone(&self) -> PinnedPage {
        unimplemented!()
    }
}

impl PageReadGuard {
    /// The page's address.
    pub fn key(&self) -> PageKey {
        unimplemented!()
    }

    /// Gives the latch back and keeps the pin.
    pub fn unlatch(self) -> PinnedPage {
        unimplemented!()
    }
}

impl PageWriteGuard {
    /// The page's address.
    pub fn key(&self) -> PageKey {
        unimplemented!()
    }

    /// Gives the latch back and keeps the pin.
    pub fn unlatch(self) -> PinnedPage {
        unimplemented!()
    }

    /// Lets other readers in and goes on as a reader.
    pub fn downgrade(self) -> PageReadGuard {
        unimplemented!()
    }

    /// Marks a page dirty whose change is not logged: only for maps that are hints. [`crate::Wal::append`] marks the
    /// pages of its record itself.
    pub fn mark_dirty_unlogged(&mut self) {
        unimplemented!()
    }
}

impl Deref for PageReadGuard {
    type Target = Page;

    fn deref(&self) -> &Page {
        unimplemented!()
    }
}

impl Deref for PageWriteGuard {
    type Target = Page;

    fn deref(&self) -> &Page {
        unimplemented!()
    }
}

impl DerefMut for PageWriteGuard {
    fn deref_mut(&mut self) -> &mut Page {
        unimplemented!()
    }
}
