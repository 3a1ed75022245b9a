//! One handle an index for all sessions.

use std::sync::Arc;

use hashbrown::HashMap;
use ochre_base::{Result, RowId, Xid};
use ochre_storage::{RelationKey, Storage};
use parking_lot::RwLock;

use super::build::{BTreeBuilder, BuildReport};
use super::tree::{BTree, BTreeOptions};
use crate::sort::Sorted;

/// Hands out the handles of indexes: the same one to everybody who asks for a file (B5).
pub struct BTrees {
    storage: Arc<Storage>,
    open: RwLock<HashMap<RelationKey, Arc<BTree>>>,
}

impl BTrees {
    /// No handles yet.
    pub fn new(storage: Arc<Storage>) -> BTrees {
        BTrees { storage, open: RwLock::default() }
    }

    /// Makes an empty index on behalf of a transaction and opens it.
    ///
    /// # Errors
    /// As [`BTree::create`].
    pub fn create(&self, relation: RelationKey, xid: Xid, options: BTreeOptions) -> Result<Arc<BTree>> {
        BTree::create(&self.storage, relation, xid, options)?;
        self.open(relation)
    }

    /// Makes an index on behalf of a transaction and fills it with what a sort gives; tags are packed row ids.
    ///
    /// `on_equal` hears of each two neighbours with the same key and different rows (key, first row, second row); the
    /// caller of a unique index ends the build there with an error. Say [`BTrees::forget`] when a build has failed.
    ///
    /// # Errors
    /// As [`BTree::create`] and [`BTreeBuilder::add`], and what `on_equal` returns.
    pub fn build(
        &self,
        relation: RelationKey,
        xid: Xid,
        options: BTreeOptions,
        mut sorted: Sorted,
        mut on_equal: impl FnMut(&[u8], RowId, RowId) -> Result<()>,
    ) -> Result<(Arc<BTree>, BuildReport)> {
        let tree = self.create(relation, xid, options)?;
        let mut builder = BTreeBuilder::new(tree.clone(), xid);
        while let Some(entry) = sorted.next()? {
            let rid = RowId::from_u64(entry.tag);
            if let Some(other) = builder.add(entry.key, entry.payload, rid)? {
                on_equal(entry.key, other, rid)?;
            }
        }
        Ok((tree, builder.finish()?))
    }

    /// The handle of an index that exists.
    ///
    /// # Errors
    /// When its meta page cannot be read or is none.
    pub fn open(&self, relation: RelationKey) -> Result<Arc<BTree>> {
        if let Some(tree) = self.open.read().get(&relation) {
            return Ok(tree.clone());
        }
        let mut open = self.open.write();
        if let Some(tree) = open.get(&relation) {
            return Ok(tree.clone());
        }
        let tree = Arc::new(BTree::open(self.storage.clone(), relation)?);
        open.insert(relation, tree.clone());
        Ok(tree)
    }

    /// Forgets an index whose file goes.
    pub fn forget(&self, relation: RelationKey) {
        self.open.write().remove(&relation);
    }
}
