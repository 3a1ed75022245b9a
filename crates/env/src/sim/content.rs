//! A simulated file's bytes: what reads see, what is durable, and the writes between.

use std::sync::Arc;

use super::files::CrashMode;
use super::random::SimRandom;

/// Two pages: what a copy of a file has to copy of its own for each write.
const CHUNK_BYTES: usize = 16 * 1024;
/// What a disk writes at once.
const SECTOR_BYTES: usize = 512;

/// Bytes in chunks, so that a large file grows without being copied; chunks that are not there are zeros. A clone shares
/// them until it is written to.
#[derive(Default, Clone)]
struct Bytes {
    chunks: Vec<Option<Arc<[u8]>>>,
    len: u64,
}

impl Bytes {
    fn read(&self, buffer: &mut [u8], offset: u64) -> usize {
        let available = self.len.saturating_sub(offset).min(buffer.len() as u64) as usize;
        let mut done = 0;
        while done < available {
            let at = offset as usize + done;
            let (chunk, start) = (at / CHUNK_BYTES, at % CHUNK_BYTES);
            let n = (CHUNK_BYTES - start).min(available - done);
            match self.chunks.get(chunk).and_then(Option::as_ref) {
                Some(bytes) => buffer[done..done + n].copy_from_slice(&bytes[start..start + n]),
                None => buffer[done..done + n].fill(0),
            }
            done += n;
        }
        available
    }

    fn write(&mut self, bytes: &[u8], offset: u64) {
        let mut done = 0;
        while done < bytes.len() {
            let at = offset as usize + done;
            let (chunk, start) = (at / CHUNK_BYTES, at % CHUNK_BYTES);
            let n = (CHUNK_BYTES - start).min(bytes.len() - done);
            if self.chunks.len() <= chunk {
                self.chunks.resize(chunk + 1, None);
            }
            let into = self.chunks[chunk].get_or_insert_with(|| Arc::from([0; CHUNK_BYTES].as_slice()));
            Arc::make_mut(into)[start..start + n].copy_from_slice(&bytes[done..done + n]);
            done += n;
        }
        self.len = self.len.max(offset + bytes.len() as u64);
    }

    fn set_len(&mut self, len: u64) {
        if len < self.len {
            self.chunks.truncate((len as usize).div_ceil(CHUNK_BYTES));
            let tail = len as usize % CHUNK_BYTES;
            if tail != 0
                && let Some(Some(last)) = self.chunks.get_mut(len as usize / CHUNK_BYTES)
            {
                Arc::make_mut(last)[tail..].fill(0);
            }
        }
        self.len = len;
    }
}

#[derive(Clone)]
enum Change {
    Write { offset: u64, bytes: Arc<[u8]> },
    SetLen(u64),
}

/// What a crash must know besides the current bytes.
#[derive(Default, Clone)]
struct Durability {
    synced: Bytes,
    /// Not synced yet, in order.
    pending: Vec<Change>,
    /// A sync of these failed: they may survive, and no later sync makes sure of it.
    in_doubt: Vec<Change>,
}

/// One file.
#[derive(Default, Clone)]
pub(super) struct Content {
    current: Bytes,
    durability: Option<Box<Durability>>,
    reserved: u64,
}

impl Content {
    pub(super) fn new(remember_synced: bool) -> Content {
        Content { durability: remember_synced.then(Box::default), ..Content::default() }
    }

    pub(super) fn read(&self, buffer: &mut [u8], offset: u64) -> usize {
        self.current.read(buffer, offset)
    }

    pub(super) fn write(&mut self, bytes: &[u8], offset: u64) {
        self.current.write(bytes, offset);
        if let Some(durability) = &mut self.durability {
            durability.pending.push(Change::Write { offset, bytes: bytes.into() });
        }
    }

    /// Changes bytes that are there, as if they had always been so.
    pub(super) fn overwrite(&mut self, bytes: &[u8], offset: u64) {
        self.current.write(bytes, offset);
        if let Some(durability) = &mut self.durability {
            durability.synced.write(bytes, offset);
        }
    }

    pub(super) fn set_len(&mut self, len: u64) {
        self.current.set_len(len);
        self.reserved = self.reserved.min(len);
        if let Some(durability) = &mut self.durability {
            durability.pending.push(Change::SetLen(len));
        }
    }

    pub(super) fn reserve(&mut self, end: u64) {
        self.reserved = self.reserved.max(end);
    }

    pub(super) fn len(&self) -> u64 {
        self.current.len
    }

    /// Space that the file takes on the device.
    pub(super) fn space(&self) -> u64 {
        self.current.len.max(self.reserved)
    }

    /// Space that it would take if it reached to `end`.
    pub(super) fn space_up_to(&self, end: u64) -> u64 {
        self.space().max(end)
    }

    pub(super) fn sync(&mut self) {
        if let Some(durability) = &mut self.durability {
            for change in durability.pending.drain(..) {
                apply(&mut durability.synced, &change);
            }
        }
    }

    pub(super) fn sync_failed(&mut self) {
        if let Some(durability) = &mut self.durability {
            durability.in_doubt.append(&mut durability.pending);
        }
    }

    /// Replaces the bytes by those that survive a power cut.
    pub(super) fn crash(&mut self, mode: CrashMode, random: &SimRandom) {
        let Some(durability) = &mut self.durability else { return };
        let mut after = std::mem::take(&mut durability.synced);
        let unsynced: Vec<Change> =
            durability.in_doubt.drain(..).chain(durability.pending.drain(..)).collect();
        for change in unsynced {
            match (mode, &change) {
                (CrashMode::DropUnsynced, _) => {}
                (CrashMode::KeepUnsynced, _) => apply(&mut after, &change),
                (CrashMode::Random, Change::Write { offset, bytes }) => match random.below(4) {
                    0 => {}
                    1 => apply(&mut after, &change),
                    _ => tear(&mut after, *offset, bytes, random),
                },
                (CrashMode::Random, Change::SetLen(_)) => {
                    if random.below(2) == 0 {
                        apply(&mut after, &change);
                    }
                }
            }
        }
        durability.synced = after.clone();
        self.reserved = 0;
        self.current = after;
    }
}

fn apply(bytes: &mut Bytes, change: &Change) {
    match change {
        Change::Write { offset, bytes: written } => bytes.write(written, *offset),
        Change::SetLen(len) => bytes.set_len(*len),
    }
}

/// Writes some of the sectors.
fn tear(into: &mut Bytes, offset: u64, bytes: &[u8], random: &SimRandom) {
    let mut start = 0;
    while start < bytes.len() {
        let to_sector_end = SECTOR_BYTES - (offset as usize + start) % SECTOR_BYTES;
        let end = (start + to_sector_end).min(bytes.len());
        if random.below(2) == 0 {
            into.write(&bytes[start..end], offset + start as u64);
        }
        start = end;
    }
}
