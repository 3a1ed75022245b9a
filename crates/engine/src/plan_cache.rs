//! Plans of repeated statement texts, shared by the sessions of a database.
//!
//! # Role
//! A simple query's text that was planned before under the same catalog, search path and settings is found here with its
//! plan, first by its shape (see [`crate::literals`]) and then as it stands. Texts that never come again would fill the
//! cache, so a text, or a shape, enters at its second appearance. The plans that prepared statements have for all values
//! are kept under their texts, too, apart from the others: their values come later, and so do cursors that they mention.
//!
//! # Invariants
//! - K1: an entry is used only under the catalog version and the key that it was made for.
//! - K2: at most [`MAX_ENTRIES`] plans are kept; when full, half of them go.
//! - K3: a simple query gets a plan for a shape with parameters only if no value of them could have led to a better one:
//!   [`is_insensitive`].

use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use hashbrown::{DefaultHashBuilder, Equivalent, HashMap};
use ochre_base::Oid;
use ochre_sql::physical::{PhysicalPlan, PlanNode, PlannedStatement};
use parking_lot::RwLock;

const MAX_ENTRIES: usize = 4096;
const SEEN_SLOTS: usize = 1024;

/// What a plan depends on besides the catalog.
#[derive(Debug, PartialEq, Eq)]
struct PlanKey {
    text: Box<str>,
    parameters: Box<[Oid]>,
    path: Arc<[Oid]>,
    settings: u64,
    prepared: bool,
}

/// A key that is looked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KeyRef<'a> {
    pub text: &'a str,
    /// The types that its parameters are declared with.
    pub parameters: &'a [Oid],
    /// The namespaces searched.
    pub path: &'a Arc<[Oid]>,
    /// A number that stands for the planner's settings.
    pub settings: u64,
    /// Whether it is a prepared statement's.
    pub prepared: bool,
}

impl KeyRef<'_> {
    fn to_key(self) -> PlanKey {
        PlanKey {
            text: self.text.into(),
            parameters: self.parameters.into(),
            path: Arc::clone(self.path),
            settings: self.settings,
            prepared: self.prepared,
        }
    }
}

impl PlanKey {
    fn borrowed(&self) -> KeyRef<'_> {
        KeyRef {
            text: &self.text,
            parameters: &self.parameters,
            path: &self.path,
            settings: self.settings,
            prepared: self.prepared,
        }
    }
}

impl Hash for KeyRef<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // The rest differs rarely between equal texts.
        self.text.hash(state);
    }
}

impl Hash for PlanKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.borrowed().hash(state);
    }
}

impl Equivalent<PlanKey> for KeyRef<'_> {
    fn equivalent(&self, key: &PlanKey) -> bool {
        *self.text == *key.text
            && *self.parameters == *key.parameters
            && self.settings == key.settings
            && self.prepared == key.prepared
            && *self.path == key.path
    }
}

struct Entry {
    version: u64,
    /// `None` for a shape whose plans depend on its values (K3).
    plan: Option<Arc<PlannedStatement>>,
    used: AtomicBool,
}

/// What is known of a text.
pub(crate) enum Cached {
    Unknown,
    /// It is to be planned with its values.
    Sensitive,
    Plan(Arc<PlannedStatement>),
}

/// The cache.
pub(crate) struct PlanCache {
    entries: RwLock<HashMap<PlanKey, Entry>>,
    /// Hashes of texts seen once.
    seen: Box<[AtomicU64]>,
    hasher: DefaultHashBuilder,
}

impl Default for PlanCache {
    fn default() -> PlanCache {
        PlanCache {
            entries: RwLock::default(),
            seen: (0..SEEN_SLOTS).map(|_| AtomicU64::new(0)).collect(),
            hasher: DefaultHashBuilder::default(),
        }
    }
}

impl PlanCache {
    /// What is known of a key under a catalog version (K1).
    pub(crate) fn find(&self, key: KeyRef<'_>, version: u64) -> Cached {
        let entries = self.entries.read();
        match entries.get(&key).filter(|entry| entry.version == version) {
            None => Cached::Unknown,
            Some(Entry { plan: None, .. }) => Cached::Sensitive,
            Some(Entry { plan: Some(plan), used, .. }) => {
                if !used.load(Ordering::Relaxed) {
                    used.store(true, Ordering::Relaxed);
                }
                Cached::Plan(Arc::clone(plan))
            }
        }
    }

    /// Whether a text appears for the second time; notes it when it does not.
    pub(crate) fn is_repeated(&self, text: &str) -> bool {
        let hash = self.hasher.hash_one(text);
        self.seen[hash as usize % SEEN_SLOTS].swap(hash, Ordering::Relaxed) == hash
    }

    /// Whether a text may have come before: a cheap answer that spares most texts the look-up.
    pub(crate) fn has_seen(&self, text: &str) -> bool {
        let hash = self.hasher.hash_one(text);
        self.seen[hash as usize % SEEN_SLOTS].load(Ordering::Relaxed) == hash
    }

    /// Keeps a plan, or that there is none for all values.
    pub(crate) fn insert(&self, key: KeyRef<'_>, version: u64, plan: Option<&Arc<PlannedStatement>>) {
        let mut entries = self.entries.write();
        if entries.len() >= MAX_ENTRIES {
            // Those used since the last time stay, for one more round (K2).
            entries.retain(|_, entry| entry.used.swap(false, Ordering::Relaxed));
            if entries.len() >= MAX_ENTRIES / 2 {
                entries.clear();
            }
        }
        let entry = Entry { version, plan: plan.cloned(), used: AtomicBool::new(false) };
        entries.insert(key.to_key(), entry);
    }
}

/// Whether a plan would be the same for any values of its parameters: rows found by an equality on a whole unique key,
/// and rows that are given, whatever is then done with them.
pub(crate) fn is_insensitive(plan: &PlannedStatement) -> bool {
    fn node(plan: &PhysicalPlan) -> bool {
        let alone = match &plan.node {
            PlanNode::Result(_) | PlanNode::Values(_) => true,
            PlanNode::IndexScan(scan) => scan.unique_match,
            PlanNode::Filter(_)
            | PlanNode::Project(_)
            | PlanNode::LockRows(_)
            | PlanNode::Insert(_)
            | PlanNode::Update(_)
            | PlanNode::Delete(_) => true,
            _ => false,
        };
        alone && plan.children().into_iter().all(|child| node(child))
    }
    plan.subplans.is_empty() && plan.ctes.is_empty() && node(&plan.plan)
}
