//! Redo of heap records.

use std::sync::Arc;

use ochre_base::Result;
use ochre_storage::{RedoContext, ResourceManager, RmgrId, WalRecord};
use ochre_txn::TransactionLog;

use super::edit::{self, EditContext};
use super::record::info;

/// Redoes the records of heap, history and overflow pages and of the visibility map.
pub struct HeapLog {
    transactions: Arc<TransactionLog>,
}

impl HeapLog {
    /// A handler that tells the transaction log which xids it met.
    pub fn new(transactions: Arc<TransactionLog>) -> Arc<HeapLog> {
        Arc::new(HeapLog { transactions })
    }
}

impl ResourceManager for HeapLog {
    fn rmgr(&self) -> RmgrId {
        RmgrId::HEAP
    }

    fn name(&self) -> &'static str {
        "heap"
    }

    fn redo(&self, context: &RedoContext<'_>, record: &WalRecord<'_>) -> Result<()> {
        self.transactions.note_xid(record.xid);
        let edits = EditContext::decode(record.xid, record.main)?;
        for (index, block) in record.blocks.iter().enumerate() {
            if let Some(mut page) = context.page(record, index)?.to_apply() {
                edit::redo(&mut page, block.key, edits, block.data)?;
            }
        }
        Ok(())
    }

    fn describe(&self, record: &WalRecord<'_>) -> String {
        let bytes: usize = record.blocks.iter().map(|b| b.data.len()).sum();
        format!("{}, {} pages, {bytes} bytes", info::name(record.info), record.blocks.len())
    }
}
