//! The records of transactions: commit, abort, forget.
//!
//! # On-disk layout, little-endian
//! The record's xid is the transaction's.
//!
//! | info | record | main data |
//! |---|---|---|
//! | 1 | commit | format u8 = 1; count u32 of dead ranges, each first u32, last u32; count u32 of dropped relations, each database u32, file u64; count u32 of bytes for the engine, the bytes |
//! | 2 | abort | empty |
//! | 3 | prepare | reserved: not written by this version |
//! | 4 | forget | count u32 of runs of xids, each first u64, last u64 |
//!
//! A checkpoint's payload: format u8 = 1; next xid u64; runs of aborted xids; count u32 of running xids, each u64;
//! count u32 of transactions with dead ranges, each xid u64, count u32, ranges.

use ochre_base::{CommandId, Error, FileId, Oid, Result, Xid};
use ochre_storage::RelationKey;

use crate::outcomes::{DeadRange, SavedOutcomes};

pub(crate) const COMMIT: u8 = 1;
pub(crate) const ABORT: u8 = 2;
pub(crate) const PREPARE: u8 = 3;
pub(crate) const FORGET: u8 = 4;

pub(crate) const FORMAT: u8 = 1;

/// What a commit record says besides its xid.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CommitRecord {
    pub dead: Vec<DeadRange>,
    pub dropped: Vec<RelationKey>,
    /// Bytes of the engine's own, handed to nobody by redo; for replicas and inspectors.
    pub note: Vec<u8>,
}

impl CommitRecord {
    pub(crate) fn encode(
        dead: &[DeadRange],
        dropped: &[RelationKey],
        note: &[u8],
        out: &mut dyn FnMut(&[u8]),
    ) {
        out(&[FORMAT]);
        out(&(dead.len() as u32).to_le_bytes());
        for range in dead {
            out(&range.first.0.to_le_bytes());
            out(&range.last.0.to_le_bytes());
        }
        out(&(dropped.len() as u32).to_le_bytes());
        for relation in dropped {
            out(&relation.database.0.to_le_bytes());
            out(&relation.file.0.to_le_bytes());
        }
        out(&(note.len() as u32).to_le_bytes());
        out(note);
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<CommitRecord> {
        let mut r = Reader::new(bytes)?;
        let dead = r.ranges()?;
        let mut dropped = Vec::new();
        for _ in 0..r.u32()? {
            dropped.push(r.relation()?);
        }
        let len = r.u32()? as usize;
        Ok(CommitRecord { dead, dropped, note: r.bytes(len)?.to_vec() })
    }
}

pub(crate) fn encode_runs(runs: &[(Xid, Xid)]) -> Vec<u8> {
    let mut out = vec![FORMAT];
    put_runs(&mut out, runs);
    out
}

pub(crate) fn decode_runs(bytes: &[u8]) -> Result<Vec<(Xid, Xid)>> {
    Reader::new(bytes)?.runs()
}

fn put_runs(out: &mut Vec<u8>, runs: &[(Xid, Xid)]) {
    out.extend_from_slice(&(runs.len() as u32).to_le_bytes());
    for (first, last) in runs {
        out.extend_from_slice(&first.0.to_le_bytes());
        out.extend_from_slice(&last.0.to_le_bytes());
    }
}

impl SavedOutcomes {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = vec![FORMAT];
        out.extend_from_slice(&self.next.0.to_le_bytes());
        put_runs(&mut out, &self.aborted);
        out.extend_from_slice(&(self.running.len() as u32).to_le_bytes());
        for xid in &self.running {
            out.extend_from_slice(&xid.0.to_le_bytes());
        }
        out.extend_from_slice(&(self.dead.len() as u32).to_le_bytes());
        for (xid, ranges) in &self.dead {
            out.extend_from_slice(&xid.0.to_le_bytes());
            out.extend_from_slice(&(ranges.len() as u32).to_le_bytes());
            for range in ranges {
                out.extend_from_slice(&range.first.0.to_le_bytes());
                out.extend_from_slice(&range.last.0.to_le_bytes());
            }
        }
        out.extend_from_slice(&(self.prepared.len() as u32).to_le_bytes());
        for (xid, record) in &self.prepared {
            out.extend_from_slice(&xid.0.to_le_bytes());
            out.extend_from_slice(&(record.len() as u32).to_le_bytes());
            out.extend_from_slice(record);
        }
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<SavedOutcomes> {
        let mut r = Reader::new(bytes)?;
        let mut saved = SavedOutcomes { next: Xid(r.u64()?), ..SavedOutcomes::default() };
        saved.aborted = r.runs()?;
        for _ in 0..r.u32()? {
            saved.running.push(Xid(r.u64()?));
        }
        for _ in 0..r.u32()? {
            let xid = Xid(r.u64()?);
            saved.dead.push((xid, r.ranges()?));
        }
        for _ in 0..r.u32()? {
            let xid = Xid(r.u64()?);
            let length = r.u32()? as usize;
            saved.prepared.insert(xid, r.bytes(length)?.into());
        }
        if saved.is_plausible() { Ok(saved) } else { Err(Error::corrupt("saved transactions cannot be so")) }
    }

    /// Whether it speaks of transactions that there have been.
    fn is_plausible(&self) -> bool {
        let given = |xid: &Xid| (Xid::FIRST..self.next).contains(xid);
        self.next <= Xid::HIGHEST
            && self.aborted.iter().all(|(first, last)| given(first) && given(last) && first <= last)
            && self.running.iter().chain(self.prepared.keys()).all(given)
            && self.dead.iter().all(|(xid, _)| given(xid))
    }
}

/// Reads little-endian numbers from bytes that may be damaged.
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Result<Reader<'a>> {
        let mut r = Reader(bytes);
        match r.bytes(1)? {
            [FORMAT] => Ok(r),
            other => Err(Error::corrupt(format!("transaction record has format {other:?}"))),
        }
    }

    pub(crate) fn bytes(&mut self, n: usize) -> Result<&'a [u8]> {
        let (head, tail) =
            self.0.split_at_checked(n).ok_or_else(|| Error::corrupt("transaction record is too short"))?;
        self.0 = tail;
        Ok(head)
    }

    pub(crate) fn u32(&mut self) -> Result<u32> {
        let b = self.bytes(4)?;
        Ok(u32::from_le_bytes([b[0], b[1], b[2], b[3]]))
    }

    pub(crate) fn u64(&mut self) -> Result<u64> {
        let low = u64::from(self.u32()?);
        Ok(low | u64::from(self.u32()?) << 32)
    }

    pub(crate) fn relation(&mut self) -> Result<RelationKey> {
        Ok(RelationKey::new(Oid(self.u32()?), FileId(self.u64()?)))
    }

    pub(crate) fn runs(&mut self) -> Result<Vec<(Xid, Xid)>> {
        let mut runs = Vec::new();
        for _ in 0..self.u32()? {
            runs.push((Xid(self.u64()?), Xid(self.u64()?)));
        }
        Ok(runs)
    }

    pub(crate) fn ranges(&mut self) -> Result<Vec<DeadRange>> {
        let mut ranges = Vec::new();
        for _ in 0..self.u32()? {
            ranges.push(DeadRange { first: CommandId(self.u32()?), last: CommandId(self.u32()?) });
        }
        Ok(ranges)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_round_trip() {
        let commit = CommitRecord {
            dead: vec![DeadRange { first: CommandId(3), last: CommandId(9) }],
            dropped: vec![RelationKey::new(Oid(5), FileId(1 << 40))],
            note: b"catalog".to_vec(),
        };
        let mut bytes = Vec::new();
        CommitRecord::encode(&commit.dead, &commit.dropped, &commit.note, &mut |b| {
            bytes.extend_from_slice(b)
        });
        assert_eq!(CommitRecord::decode(&bytes).unwrap(), commit);
        for n in 0..bytes.len() {
            assert!(CommitRecord::decode(&bytes[..n]).is_err());
        }
        let saved = SavedOutcomes {
            next: Xid(99),
            aborted: vec![(Xid(20), Xid(22))],
            running: vec![Xid(50), Xid(98)],
            dead: vec![(Xid(30), commit.dead.clone())],
            prepared: [(Xid(50), b"record".as_slice().into())].into(),
        };
        assert_eq!(SavedOutcomes::decode(&saved.encode()).unwrap(), saved);
        let refused = |saved: SavedOutcomes| assert!(SavedOutcomes::decode(&saved.encode()).is_err());
        refused(SavedOutcomes { next: Xid(u64::MAX), ..saved.clone() });
        refused(SavedOutcomes { aborted: vec![(Xid(22), Xid(20))], ..saved.clone() });
        refused(SavedOutcomes { running: vec![Xid(99)], ..saved.clone() });
        refused(SavedOutcomes { prepared: [(Xid(0), b"record".as_slice().into())].into(), ..saved.clone() });
        assert_eq!(decode_runs(&encode_runs(&saved.aborted)).unwrap(), saved.aborted);
    }
}
