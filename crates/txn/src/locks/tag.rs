//! What can be locked.

use std::fmt;

use ochre_base::{DatabaseId, FileId, Oid, RowId, Xid};
use ochre_storage::RelationKey;

use crate::wait::WaitEvent;

/// Something that can be locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LockTag {
    /// A table, index, sequence or view.
    Relation { database: DatabaseId, relation: Oid },
    /// Any other object, by the catalog that describes it.
    Object { database: DatabaseId, class: Oid, object: Oid },
    /// A name that someone is about to give to a relation of a namespace.
    Name { namespace: Oid, hash: u64 },
    /// A number that means something to the application.
    Advisory { database: DatabaseId, key: AdvisoryKey },
    /// The turn of the one who is next to change or lock a row.
    Row { relation: RelationKey, row: RowId },
    /// The end of a transaction. Only in descriptions: such waits are not kept here.
    Transaction(Xid),
    /// The end of a session's transaction, which may have no xid. Only in descriptions, too.
    VirtualTransaction { process_id: i32 },
}

/// The two key spaces of advisory locks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AdvisoryKey {
    /// One bigint.
    Big(i64),
    /// Two integers.
    Pair(i32, i32),
}

impl LockTag {
    /// The name tag for a relation's name.
    pub fn name(namespace: Oid, name: &str) -> LockTag {
        // Two names of one hash only wait for each other. The same after a restart: prepared transactions keep theirs.
        let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        LockTag::Name { namespace, hash }
    }

    /// Four numbers that stand for it in the log.
    pub fn to_numbers(self) -> [u64; 4] {
        match self {
            LockTag::Relation { database, relation } => [1, database.0.into(), relation.0.into(), 0],
            LockTag::Object { database, class, object } => {
                [2, database.0.into(), class.0.into(), object.0.into()]
            }
            LockTag::Name { namespace, hash } => [3, namespace.0.into(), hash, 0],
            LockTag::Advisory { database, key: AdvisoryKey::Big(key) } => {
                [4, database.0.into(), key as u64, 0]
            }
            LockTag::Advisory { database, key: AdvisoryKey::Pair(a, b) } => {
                [5, database.0.into(), u64::from(a as u32), u64::from(b as u32)]
            }
            LockTag::Transaction(xid) => [6, xid.0, 0, 0],
            LockTag::VirtualTransaction { process_id } => [8, u64::from(process_id as u32), 0, 0],
            LockTag::Row { relation, row } => [7, relation.database.0.into(), relation.file.0, row.to_u64()],
        }
    }

    /// The inverse of [`LockTag::to_numbers`].
    pub fn from_numbers(numbers: [u64; 4]) -> Option<LockTag> {
        let [kind, a, b, c] = numbers;
        let oid = |number: u64| Oid(number as u32);
        Some(match kind {
            1 => LockTag::Relation { database: oid(a), relation: oid(b) },
            2 => LockTag::Object { database: oid(a), class: oid(b), object: oid(c) },
            3 => LockTag::Name { namespace: oid(a), hash: b },
            4 => LockTag::Advisory { database: oid(a), key: AdvisoryKey::Big(b as i64) },
            5 => LockTag::Advisory {
                database: oid(a),
                key: AdvisoryKey::Pair(b as u32 as i32, c as u32 as i32),
            },
            6 => LockTag::Transaction(Xid(a)),
            8 => LockTag::VirtualTransaction { process_id: a as u32 as i32 },
            7 => LockTag::Row { relation: RelationKey::new(oid(a), FileId(b)), row: RowId::from_u64(c) },
            _ => return None,
        })
    }

    /// What a session that waits for it waits for.
    pub(crate) const fn wait_event(&self) -> WaitEvent {
        match self {
            LockTag::Relation { .. } => WaitEvent::Relation,
            LockTag::Object { .. } | LockTag::Name { .. } => WaitEvent::Object,
            LockTag::Advisory { .. } => WaitEvent::Advisory,
            LockTag::Row { .. } => WaitEvent::Tuple,
            LockTag::Transaction(_) => WaitEvent::Transaction,
            LockTag::VirtualTransaction { .. } => WaitEvent::VirtualTransaction,
        }
    }

    /// `pg_locks.locktype`.
    pub const fn kind(&self) -> &'static str {
        match self {
            LockTag::Relation { .. } => "relation",
            LockTag::Object { .. } | LockTag::Name { .. } => "object",
            LockTag::Advisory { .. } => "advisory",
            LockTag::Row { .. } => "tuple",
            LockTag::Transaction(_) => "transactionid",
            LockTag::VirtualTransaction { .. } => "virtualxid",
        }
    }
}

impl fmt::Display for LockTag {
    /// PostgreSQL's words in the detail of a deadlock.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LockTag::Relation { database, relation } => {
                write!(f, "relation {relation} of database {database}")
            }
            LockTag::Object { database, class, object } => {
                write!(f, "object {object} of class {class} of database {database}")
            }
            LockTag::Name { namespace, .. } => write!(f, "a name in namespace {namespace}"),
            LockTag::Advisory { database, key: AdvisoryKey::Big(key) } => {
                let (high, low) = ((*key as u64) >> 32, *key as u32);
                write!(f, "advisory lock [{database},{high},{low},1]")
            }
            LockTag::Advisory { database, key: AdvisoryKey::Pair(a, b) } => {
                write!(f, "advisory lock [{database},{},{},2]", *a as u32, *b as u32)
            }
            LockTag::Row { relation, row } => {
                write!(f, "tuple {row} of relation {} of database {}", relation.file, relation.database)
            }
            LockTag::Transaction(xid) => write!(f, "transaction {xid}"),
            LockTag::VirtualTransaction { process_id } => {
                write!(f, "the transaction of process {process_id}")
            }
        }
    }
}
