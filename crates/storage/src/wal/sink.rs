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
use std::sync::mpsc::Receiver;

use ochre_base::{Lsn, Result};
use ochre_env::{BLOCK_BYTES, Env, File, OpenMode};
use parking_lot::Mutex;

use crate::background::no_thread;

/// The directory of log segments.
pub(crate) const WAL_DIRECTORY: &str = "wal";
const UNFINISHED: &str = "new";
/// Threads that sync segments at start: devices take many syncs at a time nearly as quickly as one.
const SYNC_THREADS: usize = 8;
/// How far ahead of whoever reads the log the device is asked for it.
const READ_AHEAD_BYTES: u64 = 256 << 20;
const FILL_CHUNK_BYTES: usize = 1 << 20;
/// More than this is written by way of the page cache.
const MAX_THROUGH_BYTES: usize = 128 << 10;

/// Where the log's bytes go.
pub trait LogSink: Send + Sync {
    /// Writes bytes that follow those written before. Called by one thread at a time.
    fn write(&self, start: Lsn, bytes: &[u8]) -> Result<()>;

    /// As [`LogSink::write`], and makes everything written durable. After an error it is unknown what is.
    fn write_durably(&self, start: Lsn, bytes: &[u8]) -> Result<()>;

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
    tail: Mutex<Tail>,
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
            tail: Mutex::new(Tail::new()),
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
        if next == first {
            self.prepare(true)?;
        }
        let block = position.0 - position.0 % BLOCK_BYTES as u64;
        let mut before = vec![0; (position.0 - block) as usize];
        self.read(Lsn(block), &mut before)?;
        self.tail.lock().restart(&before);
        Ok(())
    }

    /// Makes what an earlier process wrote durable, for recovery relies on it from now on. Several threads do it if
    /// `threads` says so.
    pub(crate) fn sync_existing(&self, threads: bool) -> Result<()> {
        let numbers = self.existing()?;
        let sync = |numbers: &[u64]| -> Result<()> {
            for number in numbers {
                self.env.fs.open(&self.path(*number), OpenMode::Existing)?.sync_data()?;
            }
            Ok(())
        };
        let share = numbers.len().div_ceil(SYNC_THREADS).max(1);
        if threads && numbers.len() > 1 {
            std::thread::scope(|scope| -> Result<()> {
                let mut running = Vec::new();
                let mut rest = numbers.chunks(share);
                let own = rest.next().unwrap_or_default();
                for numbers in rest {
                    let thread = std::thread::Builder::new().name("wal-sync".to_string());
                    running.push(thread.spawn_scoped(scope, || sync(numbers)).map_err(no_thread)?);
                }
                sync(own)?;
                let mut ended = running.into_iter().map(|thread| thread.join());
                ended.try_for_each(|result| result.expect("a thread that syncs does not panic"))
            })?;
        } else {
            sync(&numbers)?;
        }
        self.env.fs.sync_dir(&self.directory)?;
        Ok(())
    }

    /// How many segments are asked for before their reader comes: so often may [`SegmentFiles::read_ahead`] be told to go on
    /// before he has begun.
    pub(crate) fn segments_ahead(&self) -> u64 {
        READ_AHEAD_BYTES.div_ceil(self.segment_bytes)
    }

    /// Asks the device for one segment after the other, from the one with `start` on, each when `go` says so, up to the
    /// last or until whoever says so is gone.
    pub(crate) fn read_ahead(&self, start: Lsn, go: &Receiver<()>) {
        for number in start.0 / self.segment_bytes.. {
            if go.recv().is_err() {
                return;
            }
            // Who reads it is told what is wrong.
            let Ok(file) = self.env.fs.open(&self.path(number), OpenMode::Existing) else { return };
            file.start_reading(0, self.segment_bytes);
        }
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

    /// Where in which segment a position of the log lies, and how many of `len` bytes from there on.
    fn place(&self, at: u64, len: usize) -> Result<(Arc<dyn File>, u64, usize)> {
        assert!(
            at < self.prepared.load(Ordering::Acquire),
            "G1: the log is written at {at}, which is not prepared"
        );
        let (number, offset) = (at / self.segment_bytes, at % self.segment_bytes);
        Ok((self.segment(number)?, offset, (self.segment_bytes - offset).min(len as u64) as usize))
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

/// The last block of the log as far as it is written, in memory that direct writes can start from: what is written next
/// begins within it.
struct Tail {
    /// Room for one block, and so many bytes more as make it begin at a multiple of a block.
    memory: Vec<u8>,
    start: usize,
    len: usize,
}

impl Tail {
    fn new() -> Tail {
        let memory = vec![0; MAX_THROUGH_BYTES + 3 * BLOCK_BYTES];
        let start = memory.as_ptr().align_offset(BLOCK_BYTES).min(BLOCK_BYTES);
        Tail { memory, start, len: 0 }
    }

    fn restart(&mut self, before: &[u8]) {
        self.len = 0;
        self.advance(before);
    }

    /// The tail with what follows it, filled up with zeros to whole blocks.
    fn blocks(&mut self, next: &[u8]) -> &[u8] {
        let end = self.len + next.len();
        let whole = end.next_multiple_of(BLOCK_BYTES);
        let room = &mut self.memory[self.start..][..whole];
        room[self.len..end].copy_from_slice(next);
        room[end..].fill(0);
        room
    }

    /// The log now ends behind `written`.
    fn advance(&mut self, written: &[u8]) {
        let end = self.len + written.len();
        let kept = end % BLOCK_BYTES;
        let room = &mut self.memory[self.start..];
        if kept <= written.len() {
            room[..kept].copy_from_slice(&written[written.len() - kept..]);
        } else {
            room[self.len..end].copy_from_slice(written);
        }
        self.len = kept;
    }
}

impl LogSink for SegmentFiles {
    fn write(&self, start: Lsn, bytes: &[u8]) -> Result<()> {
        let mut tail = self.tail.lock();
        let mut done = 0;
        while done < bytes.len() {
            let (file, offset, n) = self.place(start.0 + done as u64, bytes.len() - done)?;
            file.write_at(&bytes[done..done + n], offset)?;
            tail.advance(&bytes[done..done + n]);
            let mut unsynced = self.unsynced.lock();
            if !unsynced.iter().any(|known| Arc::ptr_eq(known, &file)) {
                unsynced.push(file);
            }
            done += n;
        }
        Ok(())
    }

    fn write_durably(&self, start: Lsn, bytes: &[u8]) -> Result<()> {
        if bytes.len() > MAX_THROUGH_BYTES {
            self.write(start, bytes)?;
            return self.sync();
        }
        let mut tail = self.tail.lock();
        let mut done = 0;
        while done < bytes.len() {
            let (file, offset, n) = self.place(start.0 + done as u64, bytes.len() - done)?;
            let before = tail.len as u64;
            file.write_through(tail.blocks(&bytes[done..done + n]), offset - before)?;
            tail.advance(&bytes[done..done + n]);
            done += n;
        }
        drop(tail);
        self.sync()
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

#[cfg(test)]
mod tests {
    use ochre_env::FileSystem;
    use ochre_env::sim::{CrashMode, Fault, SimFileSystem};

    use super::*;

    /// Writes of all lengths by both ways, over blocks and segments, on the simulated and the real file system.
    #[test]
    fn what_was_written_is_read_back() {
        let directory = std::env::temp_dir().join(format!("ochre-sink-{}", std::process::id()));
        let sim = Env { fs: Arc::new(SimFileSystem::with_crashes(1)), ..Env::os() };
        for (env, root) in [(sim, Path::new("/data")), (Env::os(), directory.as_path())] {
            env.fs.create_dir_all(&root.join(WAL_DIRECTORY)).unwrap();
            let open = |at: u64| {
                let sink = SegmentFiles::new(env.clone(), root, 64 << 10);
                sink.start_at(Lsn(at)).unwrap();
                sink
            };
            let mut sink = open(0);
            let mut written: Vec<u8> = Vec::new();
            for round in 0..400_usize {
                let length = [1, 40, 700, 4096, 4097, 9000, 200_000][(round * round) % 7] + round % 3 * 8;
                let bytes: Vec<u8> = (0..length).map(|i| (round * 31 + i * 7) as u8).collect();
                let (start, end) = (Lsn(written.len() as u64), Lsn((written.len() + length) as u64));
                while sink.prepared() <= end {
                    sink.prepare(true).unwrap();
                }
                match round % 3 {
                    0 => sink.write(start, &bytes).unwrap(),
                    _ => sink.write_durably(start, &bytes).unwrap(),
                }
                written.extend_from_slice(&bytes);
                if round % 50 == 49 {
                    sink = open(written.len() as u64);
                }
            }
            let mut found = vec![0; written.len()];
            assert_eq!(sink.read(Lsn(0), &mut found).unwrap(), found.len());
            assert!(
                found == written,
                "differs at {:?}",
                found.iter().zip(&written).position(|(a, b)| a != b)
            );
        }
    }

    /// An earlier process wrote to all of some segments and synced none of them.
    fn unsynced_segments(count: u64) -> (Arc<SimFileSystem>, SegmentFiles) {
        let fs = Arc::new(SimFileSystem::with_crashes(1));
        let directory = Path::new("/data").join(WAL_DIRECTORY);
        fs.create_dir_all(&directory).unwrap();
        let env = Env { fs: fs.clone(), ..Env::os() };
        let sink = SegmentFiles::new(env, Path::new("/data"), 64 << 10);
        for number in 0..count {
            let file = fs.open(&sink.path(number), OpenMode::New).unwrap();
            file.write_at(&vec![number as u8 + 1; 64 << 10], 0).unwrap();
        }
        (fs, sink)
    }

    #[test]
    fn every_segment_is_synced_by_threads_too() {
        for count in [1, 2, 7, 8, 9, 33] {
            for threads in [false, true] {
                let (fs, sink) = unsynced_segments(count);
                for parent in ["/data", "/"] {
                    fs.sync_dir(Path::new(parent)).unwrap();
                }
                sink.sync_existing(threads).unwrap();
                fs.crash(CrashMode::DropUnsynced);
                for number in 0..count {
                    let mut bytes = vec![0; 64 << 10];
                    let start = Lsn(number * (64 << 10));
                    assert_eq!(sink.read(start, &mut bytes).unwrap(), bytes.len(), "{number} of {count}");
                    assert!(bytes.iter().all(|byte| *byte == number as u8 + 1), "{number} of {count}");
                }
            }
        }
    }

    #[test]
    fn one_segment_that_cannot_be_synced_is_an_error() {
        let count = 19;
        for failing in 0..count {
            let (fs, sink) = unsynced_segments(count);
            // Syncs are the only operations that change something, one a segment and one of the directory.
            fs.fail_operation(1 + failing, Fault::Io);
            let error = sink.sync_existing(true).unwrap_err();
            assert_eq!(error.sqlstate().as_str(), "58030");
            assert_eq!(fs.fired().len(), 1);
        }
    }
}
