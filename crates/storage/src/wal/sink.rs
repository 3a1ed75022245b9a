//! Where the log's bytes go: an interface, and local segment files behind it.
//!
//! # On-disk layout
//! `wal/<position>` holds the log from that position (16 hexadecimal digits) on, as many bytes as a segment has. All
//! segments but the very first are filled with zeros or old records before they are written to, since syncing into
//! existing blocks is much cheaper than growing a file. A file `new` is a segment in the making.
//!
//! # Invariants
//! - G1: segments up to `prepared` exist without a gap from the one being written, with their space and their names
//!   durable. So a write below `prepared` fails only when the device does.
//! - G2: a segment is renamed to a later position only when the redo point has passed it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ochre_base::{Lsn, Result};
use ochre_env::{Env, File, OpenMode};
use parking_lot::Mutex;

/// The directory of log segments.
pub(crate) const WAL_DIRECTORY: &str = "wal";
const UNFINISHED: &str = "new";
const FILL_CHUNK_BYTES: usize = 1 << 20;

/// Where the log's bytes go.
pub trait LogSink: Send + Sync {
    /// Writes bytes that follow those written before. Called by one thread at a time.
    fn write(&self, start: Lsn, bytes: &[u8]) -> Result<()>;

    /// Makes everything written durable. After an error it is unknown what is.
    fn sync(&self) -> Result<()>;

    /// Space is there for everything before this position.
    fn prepared(&self) -> Lsn;

    /// Makes space for at least one more segment. `quickly` does without filling it.
    fn prepare(&self, quickly: bool) -> Result<()>;

    /// Bytes before `redo` are not needed any more; their space is kept for what comes up to `keep_until`.
    fn recycle(&self, redo: Lsn, keep_until: Lsn) -> Result<()>;

    /// Bytes that are prepared at a time.
    fn segment_bytes(&self) -> u64;
}

/// Local segment files.
pub(crate) struct SegmentFiles {
    env: Env,
    directory: PathBuf,
    segment_bytes: u64,
    prepared: AtomicU64,
    /// Open segments by number; taken before `preparing` is released, never the other way.
    segments: Mutex<BTreeMap<u64, Arc<dyn File>>>,
    /// Segments written since the last sync.
    unsynced: Mutex<Vec<Arc<dyn File>>>,
    preparing: Mutex<()>,
}

impl SegmentFiles {
    pub(crate) fn new(env: Env, root: &Path, segment_bytes: u64) -> SegmentFiles {
        SegmentFiles {
            env,
            directory: root.join(WAL_DIRECTORY),
            segment_bytes,
            prepared: AtomicU64::new(0),
            segments: Mutex::default(),
            unsynced: Mutex::default(),
            preparing: Mutex::default(),
        }
    }

    /// Gets ready to write at `position`: finds which segments from there on exist, and makes the first if it does not.
    pub(crate) fn start_at(&self, position: Lsn) -> Result<()> {
        match self.env.fs.remove(&self.directory.join(UNFINISHED)) {
            Err(error) if !error.is_not_found() => return Err(error.into()),
            _ => {}
        }
        let first = position.0 / self.segment_bytes;
        let mut next = first;
        while self.env.fs.exists(&self.path(next))? {
            next += 1;
        }
        self.prepared.store(next * self.segment_bytes, Ordering::Release);
        if next == first { self.prepare(true) } else { Ok(()) }
    }

    /// Makes what an earlier process wrote durable, for recovery relies on it from now on.
    pub(crate) fn sync_existing(&self) -> Result<()> {
        for number in self.existing()? {
            self.env.fs.open(&self.path(number), OpenMode::Existing)?.sync_data()?;
        }
        self.env.fs.sync_dir(&self.directory)?;
        Ok(())
    }

    fn existing(&self) -> Result<Vec<u64>> {
        let names = self.env.fs.list(&self.directory)?;
        Ok(names.iter().filter_map(|name| self.parse(name)).collect())
    }

    fn name(&self, number: u64) -> String {
        format!("{:016x}", number * self.segment_bytes)
    }

    fn path(&self, number: u64) -> PathBuf {
        self.directory.join(self.name(number))
    }

    fn parse(&self, name: &str) -> Option<u64> {
        let position = u64::from_str_radix(name, 16).ok()?;
        let number = position / self.segment_bytes;
        (self.name(number) == name).then_some(number)
    }

    fn segment(&self, number: u64) -> Result<Arc<dyn File>> {
        let mut segments = self.segments.lock();
        if let Some(file) = segments.get(&number) {
            return Ok(Arc::clone(file));
        }
        let file = self.env.fs.open(&self.path(number), OpenMode::Existing)?;
        segments.insert(number, Arc::clone(&file));
        Ok(file)
    }

    /// Reads log bytes; short at the end of what exists.
    pub(crate) fn read(&self, start: Lsn, buffer: &mut [u8]) -> Result<usize> {
        let mut done = 0;
        while done < buffer.len() {
            let at = start.0 + done as u64;
            let (number, offset) = (at / self.segment_bytes, at % self.segment_bytes);
            let file = match self.env.fs.open(&self.path(number), OpenMode::Existing) {
                Ok(file) => file,
                Err(error) if error.is_not_found() => break,
                Err(error) => return Err(error.into()),
            };
            let n = (self.segment_bytes - offset).min((buffer.len() - done) as u64) as usize;
            let read = file.read_at(&mut buffer[done..done + n], offset)?;
            done += read;
            if read < n {
                break;
            }
        }
        Ok(done)
    }

    fn fill(&self, file: &dyn File) -> Result<()> {
        let zeros = vec![0; FILL_CHUNK_BYTES.min(self.segment_bytes as usize)];
        let mut offset = 0;
        while offset < self.segment_bytes {
            let n = zeros.len().min((self.segment_bytes - offset) as usize);
            file.write_at(&zeros[..n], offset)?;
            offset += n as u64;
        }
        Ok(())
    }
}

impl LogSink for SegmentFiles {
    fn write(&self, start: Lsn, bytes: &[u8]) -> Result<()> {
        let mut done = 0;
        while done < bytes.len() {
            let at = start.0 + done as u64;
            assert!(
                at < self.prepared.load(Ordering::Acquire),
                "G1: the log is written at {at}, which is not prepared"
            );
            let (number, offset) = (at / self.segment_bytes, at % self.segment_bytes);
            let n = (self.segment_bytes - offset).min((bytes.len() - done) as u64) as usize;
            let file = self.segment(number)?;
            file.write_at(&bytes[done..done + n], offset)?;
            let mut unsynced = self.unsynced.lock();
            if !unsynced.iter().any(|known| Arc::ptr_eq(known, &file)) {
                unsynced.push(file);
            }
            done += n;
        }
        Ok(())
    }

    fn sync(&self) -> Result<()> {
        let unsynced = std::mem::take(&mut *self.unsynced.lock());
        for file in &unsynced {
            file.sync_data()?;
        }
        Ok(())
    }

    fn prepared(&self) -> Lsn {
        Lsn(self.prepared.load(Ordering::Acquire))
    }

    fn prepare(&self, quickly: bool) -> Result<()> {
        let before = self.prepared();
        let _preparing = self.preparing.lock();
        if self.prepared() > before {
            return Ok(()); // Someone else did while we waited.
        }
        let number = before.0 / self.segment_bytes;
        let unfinished = self.directory.join(UNFINISHED);
        let file = self.env.fs.open(&unfinished, OpenMode::OrCreate)?;
        let made = (|| -> Result<()> {
            file.preallocate(0, self.segment_bytes)?;
            if quickly || !self.env.fs.is_durable() {
                file.set_len(self.segment_bytes)?;
            } else {
                self.fill(&*file)?;
            }
            file.sync_data()?;
            self.env.fs.rename(&unfinished, &self.path(number))?;
            self.env.fs.sync_dir(&self.directory)?;
            Ok(())
        })();
        if let Err(error) = made {
            // Gives the space back; the first error is the one that counts.
            let _ = self.env.fs.remove(&unfinished);
            return Err(error);
        }
        self.segments.lock().insert(number, file);
        self.prepared.store((number + 1) * self.segment_bytes, Ordering::Release);
        Ok(())
    }

    fn recycle(&self, redo: Lsn, keep_until: Lsn) -> Result<()> {
        let _preparing = self.preparing.lock();
        let needed = redo.0 / self.segment_bytes;
        let wanted = keep_until.0.div_ceil(self.segment_bytes);
        let mut changed = false;
        let mut next = self.prepared().0 / self.segment_bytes;
        for number in self.existing()? {
            if number >= needed {
                break; // G2
            }
            self.segments.lock().remove(&number);
            if next < wanted {
                self.env.fs.rename(&self.path(number), &self.path(next))?;
                next += 1;
            } else {
                self.env.fs.remove(&self.path(number))?;
            }
            changed = true;
        }
        if changed {
            self.env.fs.sync_dir(&self.directory)?;
            self.prepared.store(next * self.segment_bytes, Ordering::Release);
        }
        Ok(())
    }

    fn segment_bytes(&self) -> u64 {
        self.segment_bytes
    }
}
