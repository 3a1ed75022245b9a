//! The write-ahead log.

use ochre_base::{Lsn, PageKey, Result, Xid};

use crate::buffer::PageWriteGuard;

/// Whose a log record is: says which [`crate::ResourceManager`] redoes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RmgrId(pub u8);

impl RmgrId {
    /// This crate's own records: files, checkpoints, page images.
    pub const STORAGE: RmgrId = RmgrId(0);
    /// Transactions: commit, abort, prepare.
    pub const TXN: RmgrId = RmgrId(1);
    /// Heap, history and overflow pages, all-visible map.
    pub const HEAP: RmgrId = RmgrId(2);
    /// B+trees.
    pub const BTREE: RmgrId = RmgrId(3);
    /// Sequences.
    pub const SEQUENCE: RmgrId = RmgrId(4);
}

/// How a page takes part in a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockFlags(pub u8);

impl BlockFlags {
    /// A change to what the page held before: redo needs the page, so an image goes along when W3 asks for it.
    pub const CHANGE: BlockFlags = BlockFlags(0);
    /// The record says all of what the page holds: redo starts from a page of zeros and never reads the old one.
    pub const INIT: BlockFlags = BlockFlags(1);
    /// A whole image always goes along (bulk builds).
    pub const IMAGE: BlockFlags = BlockFlags(2);
}

/// Where a record came to lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// Its first byte.
    pub start: Lsn,
    /// Behind its last byte, where the next record begins. Durable when the log is flushed to here; the LSN of the
    /// pages it changed.
    pub end: Lsn,
}

/// A log record in the making. Reuse one with [`RecordBuilder::reset`] to save its allocations.
///
/// ```text
/// let mut record = RecordBuilder::new(RmgrId::HEAP, HEAP_INSERT, xid);
/// record.main(&header);                                  // facts of the record as a whole
/// record.block(BlockFlags::CHANGE).block_data(&row);     // pages[0]
/// wal.append(&record, &mut [&mut page])?;
/// ```
pub struct RecordBuilder {}

#[allow(unused_variables)]
impl RecordBuilder {
    /// A record of resource manager `rmgr`, whose own kind is `info`, on behalf of `xid` ([`Xid::NONE`] is fine).
    pub fn new(rmgr: RmgrId, info: u8, xid: Xid) -> RecordBuilder {
        unimplemented!()
    }

    /// Empties the builder for another record.
    pub fn reset(&mut self, rmgr: RmgrId, info: u8, xid: Xid) -> &mut Self {
        unimplemented!()
    }

    /// Appends to the record's main data.
    pub fn main(&mut self, bytes: &[u8]) -> &mut Self {
        unimplemented!()
    }

    /// Adds the next page: the n-th call is about the n-th guard given to [`Wal::append`].
    pub fn block(&mut self, flags: BlockFlags) -> &mut Self {
        unimplemented!()
    }

    /// Appends to the data of the page added last. At most 65,535 bytes a page.
    pub fn block_data(&mut self, bytes: &[u8]) -> &mut Self {
        unimplemented!()
    }
}

/// A record read back.
pub struct WalRecord<'a> {
    /// Its first byte.
    pub start: Lsn,
    /// Behind its last byte.
    pub end: Lsn,
    /// Whose it is.
    pub rmgr: RmgrId,
    /// The owner's kind of record.
    pub info: u8,
    /// On whose behalf.
    pub xid: Xid,
    /// The pages concerned.
    pub blocks: Vec<BlockView<'a>>,
    /// The main data.
    pub main: &'a [u8],
}

/// A page's part in a record read back.
pub struct BlockView<'a> {
    /// Which page.
    pub key: PageKey,
    /// How it takes part.
    pub flags: BlockFlags,
    /// Whether an image of the whole page went along.
    pub has_image: bool,
    /// The data given for it.
    pub data: &'a [u8],
}

/// The write-ahead log: appending, flushing, waiting.
pub struct Wal {}

#[allow(unused_variables)]
impl Wal {
    /// Makes sure that records up to some hundred KiB can be appended without asking the disk for space.
    /// Call it before the first page of an operation changes. Nearly always one atomic load.
    ///
    /// # Errors
    /// 53100 when there is no space for more log, 58030 when the engine is poisoned.
    pub fn reserve(&self) -> Result<()> {
        unimplemented!()
    }

    /// Appends a record about `pages`, which are changed already and stay latched. Marks them dirty before (W2),
    /// decides about images (W3) and sets their LSN to the record's end.
    ///
    /// # Errors
    /// Only when the engine is poisoned: then nothing that was changed can reach disk, and no commit succeeds.
    ///
    /// # Panics
    /// When `pages` are not as many as the builder has blocks.
    pub fn append(&self, record: &RecordBuilder, pages: &mut [&mut PageWriteGuard]) -> Result<Appended> {
        unimplemented!()
    }

    /// Like [`Wal::append`], and runs `publish` under the append lock as soon as the position is known, so that
    /// what it publishes is published in log order. It must be short and must not append.
    pub fn append_with<R>(
        &self,
        record: &RecordBuilder,
        pages: &mut [&mut PageWriteGuard],
        publish: impl FnOnce(Appended) -> R,
    ) -> Result<(Appended, R)> {
        unimplemented!()
    }

    /// Where the next record will begin.
    pub fn position(&self) -> Lsn {
        unimplemented!()
    }

    /// Everything before this position is durable. One atomic load.
    pub fn flushed(&self) -> Lsn {
        unimplemented!()
    }

    /// Waits until everything before `lsn` is durable. Whoever finds no flush running flushes for all.
    ///
    /// # Errors
    /// 58030 when the engine is poisoned: it is unknown whether the record survives.
    pub fn flush_to(&self, lsn: Lsn) -> Result<()> {
        unimplemented!()
    }

    /// A future (and more) that is ready when everything before `lsn` is durable.
    pub fn ticket(&self, lsn: Lsn) -> DurabilityTicket {
        unimplemented!()
    }

    /// The error that ended all writing, if there was one.
    pub fn poisoned(&self) -> Option<ochre_base::Error> {
        unimplemented!()
    }
}

/// A wait for the log's durability. A `Future`; [`DurabilityTicket::wait`] blocks instead.
pub struct DurabilityTicket {}

impl DurabilityTicket {
    /// Whether it is durable already.
    pub fn is_durable(&self) -> bool {
        unimplemented!()
    }

    /// Blocks until it is durable, flushing on the calling thread if nobody else does.
    pub fn wait(&self) -> Result<()> {
        unimplemented!()
    }
}

impl Future for DurabilityTicket {
    type Output = Result<()>;

    fn poll(
        self: std::pin::Pin<&mut Self>,
        _context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Self::Output> {
        unimplemented!()
    }
}
