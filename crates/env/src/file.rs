//! Files and directories as the engine sees them.

use std::path::Path;
use std::sync::Arc;

use crate::IoResult;

/// How to open a file for reading and writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenMode {
    /// It must exist.
    Existing,
    /// It is created when it does not exist.
    OrCreate,
    /// It must not exist.
    New,
}

/// A set of files under paths.
pub trait FileSystem: Send + Sync {
    /// Opens a file for reading and writing.
    fn open(&self, path: &Path, mode: OpenMode) -> IoResult<Arc<dyn File>>;

    /// Gives a file another name, replacing what has that name. The name is durable after [`FileSystem::sync_dir`].
    fn rename(&self, from: &Path, to: &Path) -> IoResult<()>;

    /// Removes a file. Those who have it open keep it.
    fn remove(&self, path: &Path) -> IoResult<()>;

    /// Removes an empty directory.
    fn remove_dir(&self, path: &Path) -> IoResult<()>;

    /// The names of files and directories in a directory, sorted.
    fn list(&self, path: &Path) -> IoResult<Vec<String>>;

    /// Creates a directory and those above it; no error when it exists.
    fn create_dir_all(&self, path: &Path) -> IoResult<()>;

    /// Makes names created, renamed and removed in this directory durable.
    fn sync_dir(&self, path: &Path) -> IoResult<()>;

    /// Whether a file or directory of this name exists.
    fn exists(&self, path: &Path) -> IoResult<bool>;

    /// Takes an exclusive lock on a file, creating it: [`crate::IoErrorKind::Locked`] when another holds it.
    /// The lock ends with the returned value. `contents` (for instance the process id) is written into the file.
    fn lock(&self, path: &Path, contents: &str) -> IoResult<Box<dyn FileLock>>;

    /// Whether this file system can hold durable data (a simulated one in memory cannot).
    fn is_durable(&self) -> bool {
        true
    }
}

/// The unit of [`File::write_through`].
pub const BLOCK_BYTES: usize = 4096;

/// Holds a lock file until dropped.
pub trait FileLock: Send + Sync {}

/// An open file. All methods may be called from many threads at once.
pub trait File: Send + Sync {
    /// Reads until the buffer is full or the file ends; returns how many bytes were read.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> IoResult<usize>;

    /// Reads only when that needs no wait for a device: `None` when it would.
    fn read_cached_at(&self, buffer: &mut [u8], offset: u64) -> IoResult<Option<usize>> {
        let _ = (buffer, offset);
        Ok(None)
    }

    /// Writes the whole buffer, growing the file where needed.
    fn write_at(&self, buffer: &[u8], offset: u64) -> IoResult<()>;

    /// Makes what was written, and the file's length, durable.
    fn sync_data(&self) -> IoResult<()>;

    /// Writes whole blocks of [`BLOCK_BYTES`] at a multiple of that and makes them durable; what else was written to the
    /// file need not be. From memory at such a multiple it may be faster than writing and syncing.
    ///
    /// After an error it is unknown what is durable.
    fn write_through(&self, blocks: &[u8], offset: u64) -> IoResult<()> {
        self.write_at(blocks, offset)?;
        self.sync_data()
    }

    /// Asks the device to begin reading a range into the system's cache, without waiting for it. A hint: errors are not
    /// reported.
    fn start_reading(&self, offset: u64, len: u64) {
        let _ = (offset, len);
    }

    /// Asks the device to begin writing back a range, without waiting. A hint: errors are not reported.
    fn start_writeback(&self, offset: u64, len: u64) {
        let _ = (offset, len);
    }

    /// The file's length in bytes.
    fn len(&self) -> IoResult<u64>;

    /// Whether the file has no bytes.
    fn is_empty(&self) -> IoResult<bool> {
        Ok(self.len()? == 0)
    }

    /// Cuts the file or fills it with zeros up to a length.
    fn set_len(&self, len: u64) -> IoResult<()>;

    /// Reserves space on the device for a range, so that writing into it cannot fail for want of space. The file's
    /// length does not change.
    fn preallocate(&self, offset: u64, len: u64) -> IoResult<()>;
}
