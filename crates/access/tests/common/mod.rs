//! What the tests of the heap share: a database directory in memory, random numbers, rows.

#![allow(dead_code, reason = "each test file uses a part")]

use std::sync::Arc;

use ochre_access::heap::{Heap, HeapLog, Heaps};
use ochre_access::row::{Field, FieldKind, RowBuffer, RowLayout, RowView};
use ochre_base::{Oid, Result};
use ochre_env::Env;
use ochre_env::sim::{SimClock, SimFileSystem, SimRandom};
use ochre_storage::{RelationKey, Storage, StorageConfig};
use ochre_txn::{IsolationLevel, Transaction, TransactionLog, TransactionManager, TransactionOptions};

/// Pseudo-random numbers from a seed.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub fn below(&mut self, end: u64) -> u64 {
        (self.next() >> 16) % end
    }

    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub fn pick<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.below(list.len() as u64) as usize]
    }
}

/// A machine whose files can lose power.
pub struct Machine {
    pub fs: Arc<SimFileSystem>,
    pub env: Env,
    pub config: StorageConfig,
}

impl Machine {
    pub fn new(seed: u64) -> Machine {
        let fs = Arc::new(SimFileSystem::with_crashes(seed));
        let env = Env {
            fs: fs.clone(),
            clock: Arc::new(SimClock::new()),
            random: Arc::new(SimRandom::new(seed)),
            ..Env::os()
        };
        let config = StorageConfig {
            shared_buffers_bytes: 128 * 8192,
            wal_segment_bytes: 1 << 20,
            wal_buffer_bytes: 16 << 10,
            background_threads: false,
            ..StorageConfig::default()
        };
        Machine { fs, env, config }
    }

    pub fn open(&self) -> Result<Database> {
        Database::open(self.env.clone(), self.config.clone())
    }
}

/// An open directory.
pub struct Database {
    pub storage: Arc<Storage>,
    pub manager: Arc<TransactionManager>,
    pub heaps: Arc<Heaps>,
}

impl Database {
    pub fn open(env: Env, config: StorageConfig) -> Result<Database> {
        let log = TransactionLog::new();
        let managers: Vec<Arc<dyn ochre_storage::ResourceManager>> = vec![log.clone(), HeapLog::new()];
        let storage = Storage::open(env, "/data".as_ref(), config, managers)?;
        let manager = TransactionManager::new(storage.clone(), &log);
        let heaps = Arc::new(Heaps::new(manager.clone()));
        Ok(Database { storage, manager, heaps })
    }

    pub fn in_memory() -> Database {
        let config = StorageConfig { background_threads: false, ..StorageConfig::default() };
        Database::open(Env::in_memory(), config).unwrap()
    }

    pub fn begin(&self, isolation: IsolationLevel) -> Transaction {
        self.manager.begin(TransactionOptions { isolation, ..TransactionOptions::default() })
    }

    /// A new relation, committed and durable.
    pub fn create_heap(&self) -> Result<Arc<Heap>> {
        let relation = RelationKey::new(Oid(5), self.storage.files().next_file_id());
        let transaction = self.begin(IsolationLevel::ReadCommitted);
        Heap::create(&transaction, relation)?;
        self.manager.commit(transaction)?.wait()?;
        Ok(self.heaps.open(relation))
    }
}

/// Rows of a number and a text.
pub fn layout() -> RowLayout {
    RowLayout::new(&[FieldKind::Fixed(4), FieldKind::Variable])
}

pub fn encode(row: &mut RowBuffer, key: u32, text: &[u8]) {
    row.encode(&layout(), &[Field::Inline(&key.to_le_bytes()), Field::Inline(text)]).unwrap();
}

pub fn key_of(view: &RowView<'_>) -> u32 {
    let bytes = view.field(0).unwrap().inline().unwrap();
    u32::from_le_bytes(bytes.try_into().unwrap())
}
