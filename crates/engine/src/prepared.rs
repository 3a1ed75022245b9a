//! The prepared transactions of an instance, by the names that PREPARE TRANSACTION gave them.
//!
//! # Role
//! Sessions put their transactions here and any session takes them out; opening a directory puts back what was prepared
//! when it was left, with the locks, before the first session.
//!
//! # On-disk layout
//! The engine's part of a prepare record: version (u8) · gid · owner · database (u32) · time (i64) · next object id (u32)
//! · whether the catalog was changed (u8) · locks, each four u64 and a mode (u8). Texts and the list have their length
//! (u32) before them, little endian.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
use ochre_base::{Error, Oid, Result, SqlState};
use ochre_storage::RelationKey;
use ochre_txn::Transaction;
use ochre_txn::locks::{LockTag, RelationLockMode};
use parking_lot::Mutex;

use crate::session::catalog::CatalogChanges;

const VERSION: u8 = 1;

/// What is remembered of a prepared transaction besides what the transaction itself does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PreparedFacts {
    pub gid: Arc<str>,
    pub owner: Arc<str>,
    pub database: Oid,
    /// Microseconds since 2000.
    pub prepared_at: i64,
    /// The object ids that it used are below this one.
    pub next_oid: u32,
    pub changes_catalog: bool,
    pub locks: Vec<(LockTag, RelationLockMode)>,
}

/// A prepared transaction.
pub(crate) struct PreparedTransaction {
    pub transaction: Transaction,
    pub facts: PreparedFacts,
    /// The number of the session that holds its locks: negative, as no client's is.
    pub lock_owner: i32,
    /// Its changes of the catalog; `None` when it was prepared by an earlier process, whose memory is gone.
    pub changes: Option<CatalogChanges>,
}

/// A row of `pg_prepared_xacts`.
pub(crate) struct PreparedListing {
    pub xid: u64,
    pub facts: PreparedFacts,
}

/// All prepared transactions.
pub(crate) struct PreparedTransactions {
    /// `None` while one is being made or ended.
    by_gid: Mutex<HashMap<Arc<str>, Option<PreparedTransaction>>>,
    next_lock_owner: AtomicI32,
}

impl Default for PreparedTransactions {
    fn default() -> PreparedTransactions {
        PreparedTransactions { by_gid: Mutex::default(), next_lock_owner: AtomicI32::new(-1) }
    }
}

impl PreparedTransactions {
    /// Takes a name, for a transaction that is about to be prepared.
    ///
    /// # Errors
    /// 42710 when it is in use, 53200 when there are as many as are allowed.
    pub(crate) fn reserve(&self, gid: &str, most: usize) -> Result<()> {
        let mut by_gid = self.by_gid.lock();
        let count = by_gid.len();
        match by_gid.entry(gid.into()) {
            Entry::Occupied(_) => Err(Error::new(
                SqlState::DUPLICATE_OBJECT,
                format!("transaction identifier \"{gid}\" is already in use"),
            )),
            Entry::Vacant(_) if count >= most => {
                Err(Error::new(SqlState::OUT_OF_MEMORY, "maximum number of prepared transactions reached")
                    .hint(format!("Increase \"max_prepared_transactions\" (currently {most}).")))
            }
            Entry::Vacant(vacant) => {
                vacant.insert(None);
                Ok(())
            }
        }
    }

    /// Fills a reserved name, or puts back what could not be ended.
    pub(crate) fn put(&self, prepared: PreparedTransaction) {
        self.by_gid.lock().insert(Arc::clone(&prepared.facts.gid), Some(prepared));
    }

    /// The files that prepared transactions have made, with the names of those.
    pub(crate) fn created_files(&self) -> Vec<(Arc<str>, RelationKey)> {
        let by_gid = self.by_gid.lock();
        let all = by_gid.values().flatten();
        all.flat_map(|entry| {
            let files = entry.transaction.created_files().into_iter();
            files.map(|file| (Arc::clone(&entry.facts.gid), file))
        })
        .collect()
    }

    /// Gives a name free.
    pub(crate) fn release(&self, gid: &str) {
        self.by_gid.lock().remove(gid);
    }

    /// Takes a transaction out, to end it, if `check` has nothing against it; its name stays taken.
    ///
    /// # Errors
    /// 42704 for an unknown name, 55000 for one that somebody else ends at this moment, and what `check` says.
    pub(crate) fn take(
        &self,
        gid: &str,
        check: impl FnOnce(&PreparedFacts) -> Result<()>,
    ) -> Result<PreparedTransaction> {
        let mut by_gid = self.by_gid.lock();
        let Some(slot) = by_gid.get_mut(gid) else {
            return Err(Error::new(
                SqlState::UNDEFINED_OBJECT,
                format!("prepared transaction with identifier \"{gid}\" does not exist"),
            ));
        };
        let Some(prepared) = slot else {
            return Err(Error::new(
                SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
                format!("prepared transaction with identifier \"{gid}\" is busy"),
            ));
        };
        check(&prepared.facts)?;
        Ok(slot.take().expect("looked at above"))
    }

    /// A number for the session that is to hold a prepared transaction's locks.
    pub(crate) fn new_lock_owner(&self) -> i32 {
        self.next_lock_owner.fetch_sub(1, Ordering::Relaxed)
    }

    /// Every prepared transaction, by xid.
    pub(crate) fn list(&self) -> Vec<PreparedListing> {
        let by_gid = self.by_gid.lock();
        let mut list: Vec<PreparedListing> = by_gid
            .values()
            .flatten()
            .map(|prepared| PreparedListing {
                xid: prepared.transaction.xid().0,
                facts: prepared.facts.clone(),
            })
            .collect();
        list.sort_unstable_by_key(|listing| listing.xid);
        list
    }

    /// Whether one of them belongs to a database.
    pub(crate) fn any_in(&self, database: Oid) -> bool {
        self.by_gid.lock().values().flatten().any(|prepared| prepared.facts.database == database)
    }
}

impl PreparedFacts {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        for text in [&self.gid, &self.owner] {
            out.extend_from_slice(&(text.len() as u32).to_le_bytes());
            out.extend_from_slice(text.as_bytes());
        }
        out.extend_from_slice(&self.database.0.to_le_bytes());
        out.extend_from_slice(&self.prepared_at.to_le_bytes());
        out.extend_from_slice(&self.next_oid.to_le_bytes());
        out.push(u8::from(self.changes_catalog));
        out.extend_from_slice(&(self.locks.len() as u32).to_le_bytes());
        for (tag, mode) in &self.locks {
            for number in tag.to_numbers() {
                out.extend_from_slice(&number.to_le_bytes());
            }
            out.push(*mode as u8);
        }
        out
    }

    /// # Errors
    /// XX001 for bytes that [`PreparedFacts::encode`] did not write.
    pub(crate) fn decode(bytes: &[u8]) -> Result<PreparedFacts> {
        let mut reader = Reader(bytes);
        if reader.array::<1>()? != [VERSION] {
            return Err(damaged());
        }
        let (gid, owner) = (reader.text()?, reader.text()?);
        let database = Oid(reader.u32()?);
        let prepared_at = i64::from_le_bytes(reader.array()?);
        let next_oid = reader.u32()?;
        let changes_catalog = reader.array::<1>()? == [1];
        let mut locks = Vec::new();
        for _ in 0..reader.u32()? {
            let mut numbers = [0; 4];
            for number in &mut numbers {
                *number = u64::from_le_bytes(reader.array()?);
            }
            let [mode] = reader.array()?;
            let tag = LockTag::from_numbers(numbers).ok_or_else(damaged)?;
            locks.push((tag, RelationLockMode::from_number(mode).ok_or_else(damaged)?));
        }
        Ok(PreparedFacts { gid, owner, database, prepared_at, next_oid, changes_catalog, locks })
    }
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (head, tail) = self.0.split_first_chunk::<N>().ok_or_else(damaged)?;
        self.0 = tail;
        Ok(*head)
    }

    fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    fn text(&mut self) -> Result<Arc<str>> {
        let length = self.u32()? as usize;
        let (head, tail) = self.0.split_at_checked(length).ok_or_else(damaged)?;
        self.0 = tail;
        Ok(std::str::from_utf8(head).map_err(|_| damaged())?.into())
    }
}

#[cold]
fn damaged() -> Error {
    Error::corrupt("the record of a prepared transaction is damaged")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_round_trip() {
        let facts = PreparedFacts {
            gid: "one ' two".into(),
            owner: "postgres".into(),
            database: Oid(5),
            prepared_at: -7,
            next_oid: 20_000,
            changes_catalog: true,
            locks: vec![
                (
                    LockTag::Relation { database: Oid(5), relation: Oid(17_000) },
                    RelationLockMode::AccessExclusive,
                ),
                (LockTag::name(Oid(2200), "t"), RelationLockMode::Exclusive),
            ],
        };
        let bytes = facts.encode();
        assert_eq!(PreparedFacts::decode(&bytes).unwrap(), facts);
        for cut in 0..bytes.len() {
            assert!(PreparedFacts::decode(&bytes[..cut]).is_err());
        }
    }
}
