//! Plans of repeated statement texts, shared by the sessions of a database.
//!
//! # Role
//! A simple query's text, or a prepared statement's, that was planned before under the same catalog, search path and
//! parameter types is found here with its plan. Texts that carry their values in them would fill the cache with plans
//! that are never used again, so a text enters at its second appearance.
//!
//! # Invariants
//! - K1: an entry is used only under the catalog version and the key that it was made for.
//! - K2: at most [`MAX_ENTRIES`] plans are kept; when full, half of them go.

use std::hash::{BuildHasher, Hash};
use std::sync::Arc;

use hashbrown::{DefaultHashBuilder, HashMap};
use ochre_base::Oid;
use ochre_sql::physical::PlannedStatement;
use parking_lot::Mutex;

const MAX_ENTRIES: usize = 4096;
const SEEN_SLOTS: usize = 1024;

/// What a plan depends on besides the catalog.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct PlanKey {
    pub text: Arc<str>,
    pub parameters: Box<[Oid]>,
    /// The namespaces searched.
    pub path: Arc<[Oid]>,
    /// A number that stands for the planner's settings.
    pub settings: u64,
}

struct Entry {
    version: u64,
    plan: Arc<PlannedStatement>,
    used: bool,
}

/// The cache.
pub(crate) struct PlanCache {
    entries: Mutex<HashMap<PlanKey, Entry>>,
    /// Hashes of texts seen once.
    seen: Mutex<Vec<u64>>,
    hasher: DefaultHashBuilder,
}

impl Default for PlanCache {
    fn default() -> PlanCache {
        PlanCache {
            entries: Mutex::default(),
            seen: Mutex::new(vec![0; SEEN_SLOTS]),
            hasher: DefaultHashBuilder::default(),
        }
    }
}

impl PlanCache {
    /// The plan for a key under a catalog version (K1).
    pub(crate) fn find(&self, key: &PlanKey, version: u64) -> Option<Arc<PlannedStatement>> {
        let mut entries = self.entries.lock();
        let entry = entries.get_mut(key)?;
        if entry.version != version {
            entries.remove(key);
            return None;
        }
        entry.used = true;
        Some(Arc::clone(&entry.plan))
    }

    /// Whether a text appears for the second time; notes it when it does not.
    pub(crate) fn is_repeated(&self, text: &str) -> bool {
        let hash = self.hash(text);
        let mut seen = self.seen.lock();
        let slot = &mut seen[hash as usize % SEEN_SLOTS];
        std::mem::replace(slot, hash) == hash
    }

    /// Whether a text may have come before: a cheap answer that spares most texts the look-up.
    pub(crate) fn has_seen(&self, text: &str) -> bool {
        let hash = self.hash(text);
        self.seen.lock()[hash as usize % SEEN_SLOTS] == hash
    }

    /// Keeps a plan.
    pub(crate) fn insert(&self, key: PlanKey, version: u64, plan: &Arc<PlannedStatement>) {
        let mut entries = self.entries.lock();
        if entries.len() >= MAX_ENTRIES {
            // Those used since the last time stay, for one more round (K2).
            entries.retain(|_, entry| std::mem::take(&mut entry.used));
            if entries.len() >= MAX_ENTRIES / 2 {
                entries.clear();
            }
        }
        entries.insert(key, Entry { version, plan: Arc::clone(plan), used: false });
    }

    fn hash(&self, value: &(impl Hash + ?Sized)) -> u64 {
        self.hasher.hash_one(value)
    }
}
