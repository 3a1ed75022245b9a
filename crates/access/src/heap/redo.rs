//! Redo of heap records, and the heap's part in checkpoints.
//!
//! # Recovery
//! What is known about room on pages is not logged ([`super::freespace`]). A checkpoint writes it, and redo notes the
//! blocks that records behind the checkpoint touched: [`HeapLog::take_redone`].

use std::sync::{Arc, OnceLock, Weak};

use hashbrown::HashMap;
use ochre_base::{Fork, Lsn, Result};
use ochre_storage::{
    Page, PageCheck, PageKind, RedoContext, RelationKey, ResourceManager, RmgrId, WalRecord,
};
use ochre_txn::BlockSet;
use parking_lot::Mutex;

use super::Heaps;
use super::edit::{self, EditContext};
use super::page_check::check_page;
use super::record::info;

/// The blocks of a relation that records touched.
#[derive(Debug, Default, Clone)]
pub struct RedoneBlocks {
    /// Of its main fork.
    pub main: BlockSet,
    /// Of its history fork.
    pub history: BlockSet,
}

/// Redoes the records of heap, history and overflow pages and of the visibility map.
#[derive(Default)]
pub struct HeapLog {
    redone: Mutex<HashMap<RelationKey, RedoneBlocks>>,
    /// Whose free space is written with each checkpoint.
    heaps: OnceLock<Weak<Heaps>>,
}

impl HeapLog {
    /// A handler to be given to [`ochre_storage::Storage::open`].
    pub fn new() -> Arc<HeapLog> {
        Arc::default()
    }

    /// Names the handles whose free space is written with each checkpoint.
    pub fn attach(&self, heaps: &Arc<Heaps>) {
        // A second call names the same.
        let _ = self.heaps.set(Arc::downgrade(heaps));
    }

    /// The blocks that were redone, once.
    pub fn take_redone(&self) -> HashMap<RelationKey, RedoneBlocks> {
        std::mem::take(&mut self.redone.lock())
    }

    fn note_redone(&self, record: &WalRecord<'_>) {
        let mut redone = self.redone.lock();
        for block in &record.blocks {
            let relation = RelationKey::new(block.key.database, block.key.file);
            match block.key.fork {
                Fork::Main => redone.entry(relation).or_default().main.insert(block.key.block),
                Fork::History => redone.entry(relation).or_default().history.insert(block.key.block),
                _ => {}
            }
        }
    }
}

impl ResourceManager for HeapLog {
    fn rmgr(&self) -> RmgrId {
        RmgrId::HEAP
    }

    fn name(&self) -> &'static str {
        "heap"
    }

    fn redo(&self, _context: &mut RedoContext<'_>, record: &WalRecord<'_>) -> Result<()> {
        self.note_redone(record);
        Ok(())
    }

    fn redo_page(&self, record: &WalRecord<'_>, index: usize, page: &mut Page) -> Result<()> {
        let edits = EditContext::decode(record.xid, record.main)?;
        let block = &record.blocks[index];
        edit::redo(page, block.key, edits, block.data)
    }

    fn page_check(&self, kind: PageKind) -> Option<PageCheck> {
        matches!(kind, PageKind::HEAP | PageKind::HISTORY | PageKind::OVERFLOW).then_some(check_page)
    }

    fn checkpoint_save(&self, _redo: Lsn) -> Result<Vec<u8>> {
        if let Some(heaps) = self.heaps.get().and_then(Weak::upgrade) {
            for heap in heaps.all() {
                // Room is lost, at worst; what is wrong with the files the checkpoint finds out itself.
                let _ = heap.save_free_space();
            }
        }
        Ok(Vec::new())
    }

    fn describe(&self, record: &WalRecord<'_>) -> String {
        let bytes: usize = record.blocks.iter().map(|b| b.data.len()).sum();
        format!("{}, {} pages, {bytes} bytes", info::name(record.info), record.blocks.len())
    }
}
