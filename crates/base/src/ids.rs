//! Identifiers, each a type of its own so that the compiler keeps them apart.

use std::fmt;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        #[repr(transparent)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

id! {
    /// A catalog object's id. Built-in objects have PostgreSQL's own numbers.
    Oid(u32)
}
id! {
    /// A transaction id: 64 bits, given at the first write, never reused. Zero is none.
    Xid(u64)
}
id! {
    /// A byte position in the write-ahead log, and so also the number of a commit.
    Lsn(u64)
}
id! {
    /// A page's number within one fork of a relation's file.
    BlockNo(u32)
}
id! {
    /// The position of a command within its transaction.
    CommandId(u32)
}
id! {
    /// A relation file's id: never reused, so a stale log record can never touch a newer file.
    FileId(u64)
}

/// A database's id is its object id in `pg_database`.
pub type DatabaseId = Oid;

impl Oid {
    /// The id that names nothing.
    pub const INVALID: Oid = Oid(0);
    /// User objects start here; everything below is built in.
    pub const FIRST_USER: Oid = Oid(16_384);

    /// Whether the id names an object at all.
    pub const fn is_valid(self) -> bool {
        self.0 != 0
    }
}

impl Xid {
    /// No transaction.
    pub const NONE: Xid = Xid(0);
    /// The creator of rows that are visible to everyone, for instance those written by a bulk bootstrap.
    pub const FROZEN: Xid = Xid(1);
    /// The first id given to a transaction.
    pub const FIRST: Xid = Xid(16);
    /// None that was given is higher, for as long as anybody lives: on disk, a higher one is damage.
    pub const HIGHEST: Xid = Xid(1 << 60);

    /// Whether the id names a transaction.
    pub const fn is_valid(self) -> bool {
        self.0 != 0
    }
}

impl FileId {
    /// None that was given is higher, for as long as anybody lives: on disk, a higher one is damage.
    pub const HIGHEST: FileId = FileId(1 << 60);
}

impl Lsn {
    /// Before every record.
    pub const ZERO: Lsn = Lsn(0);
    /// After every record.
    pub const MAX: Lsn = Lsn(u64::MAX);
}

impl CommandId {
    /// The first command of a transaction.
    pub const FIRST: CommandId = CommandId(0);

    /// The command after this one.
    pub const fn next(self) -> CommandId {
        CommandId(self.0 + 1)
    }
}

/// Which of a relation's files a page belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Fork {
    /// Newest versions of rows, or the pages of an index.
    Main = 0,
    /// Older versions and overflow values.
    History = 1,
    /// Free-space map.
    FreeSpace = 2,
    /// All-visible map.
    Visibility = 3,
}

impl Fork {
    /// Every fork, in the order of their numbers.
    pub const ALL: [Fork; 4] = [Fork::Main, Fork::History, Fork::FreeSpace, Fork::Visibility];

    /// The fork with this number, if there is one.
    pub const fn from_u8(number: u8) -> Option<Fork> {
        match number {
            0 => Some(Fork::Main),
            1 => Some(Fork::History),
            2 => Some(Fork::FreeSpace),
            3 => Some(Fork::Visibility),
            _ => None,
        }
    }
}

/// The address of a page: database, file, fork and block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PageKey {
    pub database: DatabaseId,
    pub file: FileId,
    pub fork: Fork,
    pub block: BlockNo,
}

impl fmt::Display for PageKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "base/{}/{} fork {:?} block {}", self.database, self.file, self.fork, self.block)
    }
}

/// A row's address for life: no update changes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowId {
    pub block: BlockNo,
    pub slot: u16,
}

impl RowId {
    /// A row id from its parts.
    pub const fn new(block: u32, slot: u16) -> RowId {
        RowId { block: BlockNo(block), slot }
    }

    /// Both parts in one number that sorts as the row id does.
    pub const fn to_u64(self) -> u64 {
        ((self.block.0 as u64) << 16) | self.slot as u64
    }

    /// The inverse of [`RowId::to_u64`].
    pub const fn from_u64(packed: u64) -> RowId {
        RowId { block: BlockNo((packed >> 16) as u32), slot: packed as u16 }
    }
}

impl fmt::Display for RowId {
    /// PostgreSQL's form of a `tid`, with its slots counted from 1.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({},{})", self.block, u32::from(self.slot) + 1)
    }
}
