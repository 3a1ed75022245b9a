//! Temporary files: where operators put what does not fit into `work_mem`.
//!
//! # Role
//! Sort runs, hash partitions and materialised results are sequences of blocks (see [`crate::spill`] for what is in
//! them). A file belongs to one operator and is removed when it is dropped; what a crash leaves behind is removed when
//! the data directory is opened.
//!
//! # On-disk layout
//! A file is a sequence of blocks: length of the payload (u32, little endian), CRC-32 of the payload (u32), payload.
//! Blocks are addressed by their byte offset. The format has no version: no other process and no later start reads it.
//!
//! # Failure
//! A full disk is 53100 and ends the statement; a block whose checksum is wrong is XX001.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ochre_base::{Error, Result};
use ochre_env::{Env, File, OpenMode, usage};

/// Bytes before a block's payload.
const BLOCK_HEADER: usize = 8;

/// Bytes that are gathered in memory before they are written: large enough that the cost of a call does not matter,
/// small enough that dozens of partitions stay cheap.
const WRITE_BUFFER: usize = 32 * 1024;

/// Makes temporary files in one directory. Shared by all sessions of a database.
pub struct TempFiles {
    env: Env,
    dir: PathBuf,
    next: AtomicU64,
    /// Bytes put into temporary files so far, for statistics.
    written: AtomicU64,
}

impl TempFiles {
    /// Temporary files under `dir`, which must exist and be empty (see [`TempFiles::clear`]).
    pub fn new(env: Env, dir: PathBuf) -> TempFiles {
        TempFiles { env, dir, next: AtomicU64::new(1), written: AtomicU64::new(0) }
    }

    /// Creates the directory and removes what an earlier process left in it.
    pub fn clear(env: &Env, dir: &Path) -> Result<()> {
        env.fs.create_dir_all(dir)?;
        for name in env.fs.list(dir)? {
            env.fs.remove(&dir.join(name))?;
        }
        Ok(())
    }

    /// Bytes put into temporary files since the start.
    pub fn bytes_written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// The surroundings.
    pub fn env(&self) -> &Env {
        &self.env
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// A new, empty file.
    pub fn create(self: &Arc<Self>) -> Result<TempFile> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let path = self.dir.join(format!("spill.{number}"));
        let file = self.env.fs.open(&path, OpenMode::New)?;
        Ok(TempFile { owner: Arc::clone(self), path, file, flushed: 0, pending: Vec::new() })
    }
}

/// One temporary file: blocks are appended, and read back by offset. Removed when dropped.
pub struct TempFile {
    owner: Arc<TempFiles>,
    path: PathBuf,
    file: Arc<dyn File>,
    flushed: u64,
    pending: Vec<u8>,
}

impl TempFile {
    /// Appends a block and returns its offset.
    pub fn append(&mut self, payload: &[u8]) -> Result<u64> {
        let offset = self.len();
        self.owner.written.fetch_add((BLOCK_HEADER + payload.len()) as u64, Ordering::Relaxed);
        let length = u32::try_from(payload.len())
            .map_err(|_| Error::internal("a block of a temporary file is too large"))?;
        self.pending.extend_from_slice(&length.to_le_bytes());
        self.pending.extend_from_slice(&crc32fast::hash(payload).to_le_bytes());
        self.pending.extend_from_slice(payload);
        if self.pending.len() >= WRITE_BUFFER {
            self.flush()?;
        }
        Ok(offset)
    }

    /// The offset that the next block will have.
    pub fn len(&self) -> u64 {
        self.flushed + self.pending.len() as u64
    }

    /// Whether nothing was written.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Hands buffered blocks to the file and gives the buffer's memory back.
    pub fn flush(&mut self) -> Result<()> {
        if !self.pending.is_empty() {
            self.file.write_at(&self.pending, self.flushed)?;
            usage::temp_written(self.pending.len() as u64);
            self.flushed += self.pending.len() as u64;
            self.pending.clear();
        }
        Ok(())
    }

    /// Flushes, and frees the write buffer: nothing more will be appended.
    pub fn finish(&mut self) -> Result<()> {
        self.flush()?;
        self.pending = Vec::new();
        Ok(())
    }

    /// Reads the block at `offset` into `payload` and returns the next block's offset, `None` at the end of the file.
    pub fn read(&self, offset: u64, payload: &mut Vec<u8>) -> Result<Option<u64>> {
        if offset >= self.len() {
            return Ok(None);
        }
        let mut header = [0u8; BLOCK_HEADER];
        self.read_exact(offset, &mut header)?;
        let [l0, l1, l2, l3, c0, c1, c2, c3] = header;
        let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        let crc = u32::from_le_bytes([c0, c1, c2, c3]);
        let start = offset + BLOCK_HEADER as u64;
        if start + length as u64 > self.len() {
            return Err(self.damaged(offset));
        }
        payload.clear();
        payload.resize(length, 0);
        self.read_exact(start, payload)?;
        if crc32fast::hash(payload) != crc {
            return Err(self.damaged(offset));
        }
        Ok(Some(start + length as u64))
    }

    /// Forgets everything written so far.
    pub fn truncate(&mut self) -> Result<()> {
        self.pending.clear();
        if self.flushed > 0 {
            self.file.set_len(0)?;
            self.flushed = 0;
        }
        Ok(())
    }

    fn read_exact(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        let end = offset + buffer.len() as u64;
        if end <= self.flushed {
            usage::temp_read(buffer.len() as u64);
            return match self.file.read_at(buffer, offset)? == buffer.len() {
                true => Ok(()),
                false => Err(self.damaged(offset)),
            };
        }
        // Blocks are flushed whole, so a range that is not all in the file is all in the buffer.
        let from = (offset - self.flushed) as usize;
        buffer.copy_from_slice(&self.pending[from..from + buffer.len()]);
        Ok(())
    }

    #[cold]
    fn damaged(&self, offset: u64) -> Error {
        Error::corrupt(format!(
            "invalid block at offset {offset} of temporary file \"{}\"",
            self.path.display()
        ))
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        // A file that cannot be removed now is removed at the next start.
        let _ = self.owner.env.fs.remove(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files() -> Arc<TempFiles> {
        let env = Env::in_memory();
        let dir = PathBuf::from("/tmp-test");
        TempFiles::clear(&env, &dir).unwrap();
        Arc::new(TempFiles::new(env, dir))
    }

    #[test]
    fn blocks_come_back() {
        let files = files();
        let mut file = files.create().unwrap();
        let blocks: Vec<Vec<u8>> = (0..300usize).map(|i| vec![i as u8; i * 7 % 1000]).collect();
        let offsets: Vec<u64> = blocks.iter().map(|block| file.append(block).unwrap()).collect();
        let mut at = 0;
        let mut payload = Vec::new();
        for (block, offset) in blocks.iter().zip(&offsets) {
            assert_eq!(at, *offset);
            at = file.read(at, &mut payload).unwrap().unwrap();
            assert_eq!(&payload, block);
        }
        assert_eq!(file.read(at, &mut payload).unwrap(), None);
        file.finish().unwrap();
        file.read(offsets[17], &mut payload).unwrap();
        assert_eq!(payload, blocks[17]);
    }

    #[test]
    fn a_dropped_file_is_gone() {
        let files = files();
        let mut file = files.create().unwrap();
        file.append(b"x").unwrap();
        file.flush().unwrap();
        assert_eq!(files.env.fs.list(&files.dir).unwrap().len(), 1);
        drop(file);
        assert!(files.env.fs.list(&files.dir).unwrap().is_empty());
    }

    #[test]
    fn a_changed_byte_is_noticed() {
        let files = files();
        let mut file = files.create().unwrap();
        file.append(b"hello").unwrap();
        file.flush().unwrap();
        file.file.write_at(b"j", 8).unwrap();
        let error = file.read(0, &mut Vec::new()).unwrap_err();
        assert_eq!(error.sqlstate(), ochre_base::SqlState::DATA_CORRUPTED);
    }
}
