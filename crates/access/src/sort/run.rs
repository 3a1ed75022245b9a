//! Sorted runs in temporary files.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ochre_base::{Error, Result};
use ochre_env::{File, FileSystem, OpenMode};

use super::{SortEntry, memory};

const WRITE_BUFFER_BYTES: usize = 512 * 1024;

/// Numbers the files of this process.
static NEXT_FILE: AtomicU64 = AtomicU64::new(0);

/// A written run. Its file has no name any more and vanishes with this value.
pub(super) struct Run {
    file: Arc<dyn File>,
    bytes: u64,
    /// Its last entry; empty when it has none.
    last: Vec<u8>,
}

impl Run {
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// Writes a run.
pub(super) struct RunWriter {
    run: Run,
    buffer: Vec<u8>,
    /// Where in the buffer the last entry begins.
    last: usize,
}

impl RunWriter {
    pub(super) fn create(fs: &dyn FileSystem, directory: &Path) -> Result<RunWriter> {
        let number = NEXT_FILE.fetch_add(1, Ordering::Relaxed);
        let path = directory.join(format!("sort.{number}"));
        let file = fs.open(&path, OpenMode::New)?;
        fs.remove(&path)?;
        Ok(RunWriter {
            run: Run { file, bytes: 0, last: Vec::new() },
            last: 0,
            buffer: Vec::with_capacity(WRITE_BUFFER_BYTES),
        })
    }

    #[inline]
    pub(super) fn write(&mut self, entry: SortEntry<'_>) -> Result<()> {
        if self.buffer.len() >= WRITE_BUFFER_BYTES {
            self.flush()?;
        }
        self.last = self.buffer.len();
        memory::encode(&mut self.buffer, entry);
        Ok(())
    }

    pub(super) fn finish(mut self) -> Result<Run> {
        self.run.last = self.buffer[self.last..].to_vec();
        self.flush()?;
        Ok(self.run)
    }

    fn flush(&mut self) -> Result<()> {
        self.run.file.write_at(&self.buffer, self.run.bytes)?;
        ochre_env::usage::temp_written(self.buffer.len() as u64);
        self.run.bytes += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}

/// Reads a run from its start.
pub(super) struct RunReader {
    run: Run,
    buffer: Vec<u8>,
    /// The unread part of the buffer begins with the current entry, if there is one.
    from: usize,
    filled: usize,
    /// Bytes of the current entry.
    current: usize,
    /// Where in the file the buffer's end is.
    file_offset: u64,
}

impl RunReader {
    pub(super) fn new(run: Run, buffer_bytes: usize) -> RunReader {
        RunReader { run, buffer: vec![0; buffer_bytes], from: 0, filled: 0, current: 0, file_offset: 0 }
    }

    /// Steps to the next entry; false at the end.
    #[inline]
    pub(super) fn advance(&mut self) -> Result<bool> {
        self.from += self.current;
        self.current = 0;
        loop {
            let unread = &self.buffer[self.from..self.filled];
            let needed = match memory::lengths(unread) {
                Some((header, key, payload)) => header + key + payload,
                None => unread.len() + 1,
            };
            if needed <= unread.len() {
                self.current = needed;
                return Ok(true);
            }
            if !self.refill(needed)? {
                return Ok(false);
            }
        }
    }

    /// Reads on so that more bytes are at hand, `needed` if the file has them; false at the end of the run.
    #[cold]
    fn refill(&mut self, needed: usize) -> Result<bool> {
        let left = self.run.bytes - self.file_offset;
        let unread = self.filled - self.from;
        if left == 0 {
            if unread == 0 {
                return Ok(false);
            }
            return Err(Error::corrupt("a temporary file of a sort ends within an entry"));
        }
        self.buffer.copy_within(self.from..self.filled, 0);
        (self.from, self.filled) = (0, unread);
        if self.buffer.len() < needed {
            self.buffer.resize(needed.next_power_of_two(), 0);
        }
        let want = left.min((self.buffer.len() - unread) as u64) as usize;
        let got = self.run.file.read_at(&mut self.buffer[unread..unread + want], self.file_offset)?;
        if got != want {
            return Err(Error::corrupt("a temporary file of a sort is shorter than what was written"));
        }
        ochre_env::usage::temp_read(got as u64);
        self.filled += got;
        self.file_offset += got as u64;
        Ok(true)
    }

    /// Whether the last entry of the run is at most `other`.
    pub(super) fn ends_before(&self, other: SortEntry<'_>) -> bool {
        self.run.last.is_empty() || memory::decode(&self.run.last) <= other
    }

    /// The entry stepped to.
    #[inline]
    pub(super) fn current(&self) -> SortEntry<'_> {
        memory::decode(&self.buffer[self.from..self.from + self.current])
    }
}
