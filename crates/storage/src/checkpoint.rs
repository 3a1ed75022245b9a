//! Checkpoints: all changes before a point of the log are in the files, so recovery begins there.
//!
//! # Steps
//! 1. The redo point moves to the log's end. From now on each page's first change logs the page whole (W3).
//! 2. Everyone who takes part says what recovery needs besides later records.
//! 3. Pages that are dirty now are written, paced; then files and directories are synced.
//! 4. A checkpoint record with all that is appended and flushed; `CURRENT` names it. Log before the redo point is
//!    recycled.
//!
//! # Invariants
//! - K1: a change whose record begins before the redo point had its page marked dirty before (W2), so step 3 writes it.
//! - K2: `CURRENT` names a checkpoint only after steps 3 and 4 are durable.
//! - K3: what is not redone from records but done after them (cutting a file) does not straddle the redo point: it holds
//!   the gate that step 1 closes.
//!
//! # Failure
//! A sync that fails poisons the engine. Any other failure leaves the old checkpoint in force.

use std::collections::BTreeMap;

use ochre_base::{Error, FileId, Lsn, Result, Xid};

use crate::files::Pending;
use crate::records::{self, Fields};
use crate::wal::{RecordBuilder, RmgrId};

/// What a checkpoint record says.
#[derive(Default)]
pub(crate) struct CheckpointData {
    pub(crate) redo: Lsn,
    pub(crate) next_file_id: u64,
    pub(crate) pending: Pending,
    /// Payloads of those who take part.
    pub(crate) payloads: BTreeMap<RmgrId, Vec<u8>>,
}

impl CheckpointData {
    pub(crate) fn to_record(&self) -> RecordBuilder {
        let mut record = RecordBuilder::new(RmgrId::STORAGE, records::CHECKPOINT, Xid::NONE);
        let mut number = |n: u64| {
            record.main(&n.to_le_bytes());
        };
        number(self.redo.0);
        number(self.next_file_id);
        number(self.pending.creations.len() as u64);
        for (relation, creator) in &self.pending.creations {
            [u64::from(relation.database.0), relation.file.0, creator.0].into_iter().for_each(&mut number);
        }
        number(self.pending.drops.len() as u64);
        for (relation, commit) in &self.pending.drops {
            [u64::from(relation.database.0), relation.file.0, commit.0].into_iter().for_each(&mut number);
        }
        number(self.payloads.len() as u64);
        for (rmgr, payload) in &self.payloads {
            record.main(&u64::from(rmgr.0).to_le_bytes());
            record.main(&(payload.len() as u64).to_le_bytes());
            record.main(payload);
        }
        record
    }

    pub(crate) fn decode(main: &[u8]) -> Result<CheckpointData> {
        let mut fields = Fields(main);
        let mut data = CheckpointData {
            redo: Lsn(fields.u64()?),
            next_file_id: fields.u64()?,
            ..CheckpointData::default()
        };
        if data.next_file_id > FileId::HIGHEST.0 {
            return Err(Error::corrupt(format!("a checkpoint says that file {} is next", data.next_file_id)));
        }
        for _ in 0..fields.u64()? {
            let relation = decode_relation(&mut fields)?;
            data.pending.creations.insert(relation, Xid(fields.u64()?));
        }
        for _ in 0..fields.u64()? {
            let relation = decode_relation(&mut fields)?;
            data.pending.drops.insert(relation, Lsn(fields.u64()?));
        }
        for _ in 0..fields.u64()? {
            let rmgr = RmgrId(fields.u64()? as u8);
            let len = fields.u64()? as usize;
            data.payloads.insert(rmgr, fields.bytes(len)?.to_vec());
        }
        Ok(data)
    }
}

fn decode_relation(fields: &mut Fields<'_>) -> Result<crate::files::RelationKey> {
    let database = ochre_base::Oid(fields.u64()? as u32);
    Ok(crate::files::RelationKey::new(database, FileId(fields.u64()?)))
}

/// Says in a line what a checkpoint record says.
pub(crate) fn describe(main: &[u8]) -> String {
    match CheckpointData::decode(main) {
        Ok(data) => format!(
            "checkpoint redo {:016x} next file {} creations {} drops {} payloads {}",
            data.redo.0,
            data.next_file_id,
            data.pending.creations.len(),
            data.pending.drops.len(),
            data.payloads.values().map(Vec::len).sum::<usize>()
        ),
        Err(_) => "damaged checkpoint".to_string(),
    }
}
