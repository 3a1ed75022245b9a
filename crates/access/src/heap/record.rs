//! Heap records in the making: the operations on each page, and the append.

use std::cell::RefCell;

use ochre_base::{CommandId, Lsn, Result, Xid};
use ochre_storage::wal::BlockFlags;
use ochre_storage::{Appended, PageWriteGuard, RecordBuilder, RmgrId, Storage};
use ochre_txn::Transaction;

use super::edit::{EditContext, PageEdit};

/// What a heap record is about, for those who read the log; redo treats all alike.
pub(crate) mod info {
    pub const INSERT: u8 = 1;
    pub const UPDATE: u8 = 2;
    pub const DELETE: u8 = 3;
    pub const PRUNE: u8 = 4;
    pub const TO_HISTORY: u8 = 5;
    pub const MOVE: u8 = 6;
    pub const OVERFLOW: u8 = 7;
    pub const UNLINK: u8 = 8;
    pub const REMOVE_ROW: u8 = 9;
    pub const VISIBLE: u8 = 10;
    pub const FREE_OVERFLOW: u8 = 11;

    pub const fn name(info: u8) -> &'static str {
        match info {
            INSERT => "insert",
            UPDATE => "update",
            DELETE => "delete",
            PRUNE => "prune",
            TO_HISTORY => "to history",
            MOVE => "move",
            OVERFLOW => "overflow",
            UNLINK => "unlink",
            REMOVE_ROW => "remove row",
            VISIBLE => "all-visible",
            FREE_OVERFLOW => "free overflow",
            _ => "unknown",
        }
    }
}

/// Pages that one record may touch.
const MAX_PAGES: usize = 6;

struct Scratch {
    record: RecordBuilder,
    ops: [Vec<u8>; MAX_PAGES],
}

thread_local! {
    /// Kept between records, so that a steady state allocates nothing.
    static SCRATCH: RefCell<Option<Box<Scratch>>> = const { RefCell::new(None) };
}

/// A record that is being put together while its pages change.
pub(crate) struct HeapRecord {
    scratch: Option<Box<Scratch>>,
    info: u8,
    context: EditContext,
    removed_until: Option<Lsn>,
}

impl HeapRecord {
    pub(crate) fn new(info: u8, context: EditContext) -> HeapRecord {
        let mut scratch = SCRATCH.with(|s| s.borrow_mut().take()).unwrap_or_else(|| {
            Box::new(Scratch {
                record: RecordBuilder::new(RmgrId::HEAP, 0, Xid::NONE),
                ops: std::array::from_fn(|_| Vec::new()),
            })
        });
        scratch.ops.iter_mut().for_each(Vec::clear);
        HeapRecord { scratch: Some(scratch), info, context, removed_until: None }
    }

    /// A record that writes versions on behalf of a transaction's current command.
    pub(crate) fn of(info: u8, transaction: &Transaction, xid: Xid, schema_version: u16) -> HeapRecord {
        HeapRecord::new(info, EditContext { xid, cid: transaction.current_cid(), schema_version })
    }

    /// A record that writes no version.
    pub(crate) fn maintenance(info: u8) -> HeapRecord {
        HeapRecord::new(info, EditContext { xid: Xid::NONE, cid: CommandId::FIRST, schema_version: 0 })
    }

    /// Says for which transaction a record is that writes no version.
    pub(crate) fn on_behalf_of(&mut self, xid: Xid) {
        self.context.xid = xid;
    }

    /// Notes the newest commit that ended a version which the record removes: a standby cancels snapshots before it.
    pub(crate) fn removes_until(&mut self, lsn: Lsn) {
        self.removed_until = Some(self.removed_until.map_or(lsn, |r| r.max(lsn)));
    }

    /// Edits the record's `n`-th page.
    pub(crate) fn edit<'a>(&'a mut self, n: usize, page: &'a mut PageWriteGuard) -> PageEdit<'a> {
        let key = page.key();
        let scratch = self.scratch.as_mut().expect("taken only when the record is dropped");
        PageEdit::new(&mut *page, key, self.context, &mut scratch.ops[n])
    }

    /// Whether the `n`-th page was changed.
    pub(crate) fn has_edits(&self, n: usize) -> bool {
        self.scratch.as_ref().is_some_and(|s| !s.ops[n].is_empty())
    }

    /// Appends the record about its pages, in the order of their numbers.
    pub(crate) fn append(mut self, storage: &Storage, pages: &mut [&mut PageWriteGuard]) -> Result<Appended> {
        let scratch = self.scratch.as_mut().expect("taken only when the record is dropped");
        let Scratch { record, ops } = &mut **scratch;
        record.reset(RmgrId::HEAP, self.info, self.context.xid);
        record.main(&self.context.encode());
        if let Some(lsn) = self.removed_until {
            record.main(&lsn.0.to_le_bytes());
        }
        for ops in &ops[..pages.len()] {
            let flags = if super::edit::starts_anew(ops) { BlockFlags::INIT } else { BlockFlags::CHANGE };
            record.block(flags).block_data(ops);
        }
        storage.wal().append(record, pages)
    }
}

impl Drop for HeapRecord {
    fn drop(&mut self) {
        if let Some(scratch) = self.scratch.take() {
            SCRATCH.with(|s| *s.borrow_mut() = Some(scratch));
        }
    }
}
