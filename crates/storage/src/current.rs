//! The file `CURRENT`: where recovery begins.
//!
//! # On-disk layout, little-endian
//! Two copies, at offsets 0 and 4096, written in turn; the valid one with the higher sequence number counts.
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 8 | `OCHREDB1` |
//! | 8 | 4 | format version of the directory |
//! | 12 | 4 | page size |
//! | 16 | 8 | sequence number of this copy |
//! | 24 | 8 | system identifier |
//! | 32 | 8 | redo point |
//! | 40 | 8 | position of the checkpoint record |
//! | 48 | 8 | bytes of a log segment |
//! | 56 | 8 | time of the checkpoint, microseconds since 1970 |
//! | 64 | 4 | incarnation |
//! | 68 | 4 | state: 1 running, 2 shut down |
//! | 72 | 4 | CRC32 of the bytes before |
//!
//! # Invariants
//! - U1: a copy is written only where the older one lies, so a crash while writing leaves the newer one.
//! - U2: an incarnation is in a durable copy before a log record carries it. So no two runs share one.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ochre_base::limits::PAGE_SIZE;
use ochre_base::{Error, Lsn, Result};
use ochre_env::{BLOCK_BYTES, Env, File, OpenMode};

use crate::records::Fields;

pub(crate) const CURRENT_FILE: &str = "CURRENT";
/// The format that this release writes.
pub(crate) const FORMAT_VERSION: u32 = 1;

const MAGIC: &[u8; 8] = b"OCHREDB1";
const COPY_BYTES: usize = 76;
const COPY_DISTANCE: u64 = 4096;
/// Positions and numbers stay below this for as long as anybody lives.
const MAX_COUNT: u64 = 1 << 62;
/// Sizes that a log segment can have.
const SEGMENT_BYTES: std::ops::RangeInclusive<u64> = BLOCK_BYTES as u64..=1 << 40;
const RUNNING: u32 = 1;
const SHUT_DOWN: u32 = 2;

/// What `CURRENT` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Current {
    pub(crate) sequence: u64,
    pub(crate) system_identifier: u64,
    pub(crate) redo: Lsn,
    pub(crate) checkpoint: Lsn,
    pub(crate) wal_segment_bytes: u64,
    pub(crate) checkpoint_unix_micros: i64,
    pub(crate) incarnation: u32,
    pub(crate) shut_down: bool,
}

impl Current {
    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(COPY_BYTES);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        out.extend_from_slice(&(PAGE_SIZE as u32).to_le_bytes());
        out.extend_from_slice(&self.sequence.to_le_bytes());
        out.extend_from_slice(&self.system_identifier.to_le_bytes());
        out.extend_from_slice(&self.redo.0.to_le_bytes());
        out.extend_from_slice(&self.checkpoint.0.to_le_bytes());
        out.extend_from_slice(&self.wal_segment_bytes.to_le_bytes());
        out.extend_from_slice(&self.checkpoint_unix_micros.to_le_bytes());
        out.extend_from_slice(&self.incarnation.to_le_bytes());
        out.extend_from_slice(&(if self.shut_down { SHUT_DOWN } else { RUNNING }).to_le_bytes());
        out.extend_from_slice(&crc32fast::hash(&out).to_le_bytes());
        out
    }

    /// `Ok(None)` for bytes that are no valid copy.
    fn decode(bytes: &[u8]) -> Result<Option<Current>> {
        let Some((body, crc)) = bytes.split_at_checked(COPY_BYTES - 4) else { return Ok(None) };
        if crc.first_chunk() != Some(&crc32fast::hash(body).to_le_bytes()) {
            return Ok(None);
        }
        let mut fields = Fields(body);
        if fields.bytes(MAGIC.len())? != MAGIC {
            return Ok(None);
        }
        let version = fields.u32()?;
        if version != FORMAT_VERSION {
            let error = Error::corrupt(format!(
                "the data directory has format version {version}, and this release reads version {FORMAT_VERSION}"
            ));
            return Err(error.hint("Open it with the release that wrote it, or a newer one."));
        }
        let page_size = fields.u32()?;
        if page_size as usize != PAGE_SIZE {
            return Err(Error::corrupt(format!("the data directory has pages of {page_size} bytes")));
        }
        let current = Current {
            sequence: fields.u64()?,
            system_identifier: fields.u64()?,
            redo: Lsn(fields.u64()?),
            checkpoint: Lsn(fields.u64()?),
            wal_segment_bytes: fields.u64()?,
            checkpoint_unix_micros: fields.u64()? as i64,
            incarnation: fields.u32()?,
            shut_down: fields.u32()? == SHUT_DOWN,
        };
        let is_plausible = current.sequence < MAX_COUNT
            && current.redo <= current.checkpoint
            && current.checkpoint.0 < MAX_COUNT
            && SEGMENT_BYTES.contains(&current.wal_segment_bytes)
            && current.wal_segment_bytes.is_multiple_of(BLOCK_BYTES as u64)
            && current.incarnation < u32::MAX;
        if !is_plausible {
            let what = "the control file \"CURRENT\" has a right checksum and says what cannot be";
            return Err(Error::corrupt(what).detail(format!("It says {current:?}.")));
        }
        Ok(Some(current))
    }
}

/// Which copies are no valid ones; one that was never written is not among them.
pub(crate) fn damaged_copies(env: &Env, root: &Path) -> Result<Vec<String>> {
    let file = env.fs.open(&root.join(CURRENT_FILE), OpenMode::Existing)?;
    let mut damaged = Vec::new();
    for copy in 0..2 {
        let mut bytes = [0; COPY_BYTES];
        file.read_at(&mut bytes, copy * COPY_DISTANCE)?;
        if bytes != [0; COPY_BYTES] && Current::decode(&bytes)?.is_none() {
            damaged.push(format!("copy {copy} is damaged"));
        }
    }
    Ok(damaged)
}

/// The open file.
pub(crate) struct CurrentFile {
    file: Arc<dyn File>,
    root: PathBuf,
    env: Env,
    /// Whether the name is not durable yet.
    new: bool,
}

impl CurrentFile {
    /// Opens the file; without it, or without a valid copy in it, there is no state.
    pub(crate) fn open(env: &Env, root: &Path) -> Result<(CurrentFile, Option<Current>)> {
        let path = root.join(CURRENT_FILE);
        let new = !env.fs.exists(&path)?;
        let file = env.fs.open(&path, OpenMode::OrCreate)?;
        let mut best: Option<Current> = None;
        for copy in 0..2 {
            let mut bytes = [0; COPY_BYTES];
            if file.read_at(&mut bytes, copy * COPY_DISTANCE)? < COPY_BYTES {
                continue;
            }
            if let Some(current) = Current::decode(&bytes)?
                && best.is_none_or(|best| best.sequence < current.sequence)
            {
                best = Some(current);
            }
        }
        Ok((
            CurrentFile { file, root: root.to_path_buf(), env: env.clone(), new: new || best.is_none() },
            best,
        ))
    }

    /// Writes a newer state (U1) and makes it durable.
    pub(crate) fn write(&mut self, current: &Current) -> Result<()> {
        self.file.write_at(&current.encode(), (current.sequence % 2) * COPY_DISTANCE)?;
        self.file.sync_data()?;
        if self.new {
            self.env.fs.sync_dir(&self.root)?;
            self.new = false;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(sequence: u64) -> Current {
        Current {
            sequence,
            system_identifier: 7,
            redo: Lsn(100 + sequence),
            checkpoint: Lsn(200),
            wal_segment_bytes: 1 << 20,
            checkpoint_unix_micros: -5,
            incarnation: 3,
            shut_down: sequence.is_multiple_of(2),
        }
    }

    #[test]
    fn the_newer_valid_copy_counts() {
        let env = Env::in_memory();
        let root = Path::new("");
        let (mut file, none) = CurrentFile::open(&env, root).unwrap();
        assert_eq!(none, None);
        for sequence in 1..=3 {
            file.write(&sample(sequence)).unwrap();
            assert_eq!(CurrentFile::open(&env, root).unwrap().1, Some(sample(sequence)));
        }
        file.file.write_at(b"torn", COPY_DISTANCE + 30).unwrap();
        assert_eq!(CurrentFile::open(&env, root).unwrap().1, Some(sample(2)), "U1");
    }
}
