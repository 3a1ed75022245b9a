//! What can be locked.

use std::fmt;
use std::hash::BuildHasher;

use ochre_base::{DatabaseId, Oid, Xid};

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
    /// The end of a transaction. Only in descriptions: such waits are not kept here.
    Transaction(Xid),
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
        // Two names of one hash only wait for each other. Each process has its own hash: locks live in memory.
        static HASHER: std::sync::OnceLock<hashbrown::DefaultHashBuilder> = std::sync::OnceLock::new();
        LockTag::Name { namespace, hash: HASHER.get_or_init(Default::default).hash_one(name) }
    }

    /// `pg_locks.locktype`.
    pub const fn kind(&self) -> &'static str {
        match self {
            LockTag::Relation { .. } => "relation",
            LockTag::Object { .. } | LockTag::Name { .. } => "object",
            LockTag::Advisory { .. } => "advisory",
            LockTag::Transaction(_) => "transactionid",
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
            LockTag::Transaction(xid) => write!(f, "transaction {xid}"),
        }
    }
}
