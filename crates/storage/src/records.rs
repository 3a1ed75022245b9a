//! This crate's own log records.
//!
//! | info | record | main data |
//! |---|---|---|
//! | 1 | a relation's file is created by the record's xid | database u32, file u64 |
//! | 2 | a fork is cut | database u32, file u64, fork u8, blocks u32 |
//! | 3 | checkpoint | see `checkpoint` |
//! | 4 | writing begins anew after recovery, under a new incarnation | |
//! | 5 | whole pages | (the pages' images) |
//! | 6 | a relation's files go because their creation was rolled back | database u32, file u64 |

use ochre_base::{Error, FileId, Fork, Oid, Result, Xid};

use crate::files::{ForkKey, RelationKey};
use crate::wal::{RecordBuilder, RmgrId, WalRecord};

pub(crate) const FILE_CREATE: u8 = 1;
pub(crate) const FILE_TRUNCATE: u8 = 2;
pub(crate) const CHECKPOINT: u8 = 3;
pub(crate) const RESUME: u8 = 4;
pub(crate) const PAGES: u8 = 5;
pub(crate) const FILE_DROP: u8 = 6;

pub(crate) fn file_create(relation: RelationKey, creator: Xid) -> RecordBuilder {
    let mut record = RecordBuilder::new(RmgrId::STORAGE, FILE_CREATE, creator);
    record.main(&relation.database.0.to_le_bytes()).main(&relation.file.0.to_le_bytes());
    record
}

pub(crate) fn file_drop(relation: RelationKey) -> RecordBuilder {
    let mut record = RecordBuilder::new(RmgrId::STORAGE, FILE_DROP, Xid::NONE);
    record.main(&relation.database.0.to_le_bytes()).main(&relation.file.0.to_le_bytes());
    record
}

pub(crate) fn file_truncate(fork: ForkKey, blocks: u32) -> RecordBuilder {
    let mut record = RecordBuilder::new(RmgrId::STORAGE, FILE_TRUNCATE, Xid::NONE);
    record.main(&fork.relation.database.0.to_le_bytes()).main(&fork.relation.file.0.to_le_bytes());
    record.main(&[fork.fork as u8]).main(&blocks.to_le_bytes());
    record
}

/// Reads the fields of main data one after the other.
pub(crate) struct Fields<'a>(pub(crate) &'a [u8]);

impl<'a> Fields<'a> {
    pub(crate) fn bytes(&mut self, count: usize) -> Result<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(count).ok_or_else(too_short)?;
        self.0 = tail;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (head, tail) = self.0.split_first_chunk().ok_or_else(too_short)?;
        self.0 = tail;
        Ok(*head)
    }

    pub(crate) fn u8(&mut self) -> Result<u8> {
        self.array().map(u8::from_le_bytes)
    }

    pub(crate) fn u16(&mut self) -> Result<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64> {
        self.array().map(u64::from_le_bytes)
    }

    pub(crate) fn relation(&mut self) -> Result<RelationKey> {
        Ok(RelationKey::new(Oid(self.u32()?), FileId(self.u64()?)))
    }

    pub(crate) fn fork(&mut self) -> Result<ForkKey> {
        let relation = self.relation()?;
        let number = self.u8()?;
        let fork = Fork::from_u8(number)
            .ok_or_else(|| Error::corrupt(format!("fork number {number} in a log record")))?;
        Ok(relation.fork(fork))
    }
}

fn too_short() -> Error {
    Error::corrupt("a log record of the storage layer is too short")
}

/// Says what a record does, for dumps.
pub(crate) fn describe(record: &WalRecord<'_>) -> String {
    let mut fields = Fields(record.main);
    let text = match record.info {
        FILE_CREATE => fields.relation().map(|r| format!("create base/{}/{}", r.database, r.file)),
        FILE_DROP => fields.relation().map(|r| format!("remove base/{}/{}", r.database, r.file)),
        FILE_TRUNCATE => fields.fork().and_then(|f| {
            let blocks = fields.u32()?;
            Ok(format!("cut base/{}/{} fork {:?} to {blocks}", f.relation.database, f.relation.file, f.fork))
        }),
        CHECKPOINT => Ok(crate::checkpoint::describe(record.main)),
        RESUME => Ok("resume".to_string()),
        PAGES => Ok("page images".to_string()),
        other => Ok(format!("unknown record {other}")),
    };
    text.unwrap_or_else(|_| "damaged".to_string())
}
