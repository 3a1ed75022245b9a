//! A toy that lives on the storage layer: pages of counters, transactions that create and drop files, and a model
//! that says what must be there.
#![allow(dead_code)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex};

use ochre_base::{BlockNo, FileId, Fork, Lsn, Oid, PageKey, Result, Xid};
use ochre_env::Env;
use ochre_storage::*;

pub const TOY: RmgrId = RmgrId(200);
const FORMAT: u8 = 1;
const SET: u8 = 2;
const COMMIT: u8 = 3;
const CELLS: usize = 900;
/// A value that cannot be redone.
pub const BROKEN: u64 = u64::MAX - 1;
/// A value whose redo panics.
pub const PANICS: u64 = u64::MAX - 2;
const DATABASE: Oid = Oid(5);

/// Redoes the toy's records and knows which toy transactions committed.
#[derive(Default)]
pub struct ToyManager {
    committed: Mutex<BTreeSet<Xid>>,
}

impl ResourceManager for ToyManager {
    fn rmgr(&self) -> RmgrId {
        TOY
    }

    fn name(&self) -> &'static str {
        "toy"
    }

    fn redo(&self, context: &mut RedoContext<'_>, record: &WalRecord<'_>) -> Result<()> {
        if record.info == COMMIT {
            self.committed.lock().unwrap().insert(record.xid);
            for file in record.main.chunks(8) {
                context.drop_relation(relation(u64_of(file)))?;
            }
        }
        Ok(())
    }

    fn redo_page(&self, record: &WalRecord<'_>, index: usize, page: &mut Page) -> Result<()> {
        let block = &record.blocks[index];
        if record.info == FORMAT && block.flags == BlockFlags::INIT {
            page.format(PageKind::HEAP, 8168);
        }
        match block.data.get(2..10).map(u64_of) {
            Some(BROKEN) => return Err(ochre_base::Error::corrupt("a broken change")),
            Some(PANICS) => panic!("a change that panics"),
            _ => apply(page, block.data),
        }
        Ok(())
    }

    fn checkpoint_save(&self, _redo: Lsn) -> Result<Vec<u8>> {
        Ok(self.committed.lock().unwrap().iter().flat_map(|xid| xid.0.to_le_bytes()).collect())
    }

    fn checkpoint_restore(&self, _redo: Lsn, payload: &[u8]) -> Result<()> {
        self.committed.lock().unwrap().extend(payload.chunks(8).map(|xid| Xid(u64_of(xid))));
        Ok(())
    }

    fn creator_of_files(&self, creator: Xid) -> Option<Creator> {
        let committed = self.committed.lock().unwrap().contains(&creator);
        Some(if committed { Creator::Committed } else { Creator::Gone })
    }
}

/// A change that adds to the cell: redone twice, it would show.
const ADD: u16 = 0x8000;

fn u64_of(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes[..8].try_into().unwrap())
}

pub fn relation(file: u64) -> RelationKey {
    RelationKey::new(DATABASE, FileId(file))
}

fn apply(page: &mut Page, data: &[u8]) {
    for change in data.chunks(10) {
        let cell = u16::from_le_bytes([change[0], change[1]]);
        let at = 64 + usize::from(cell & !ADD) * 8;
        let old = if cell & ADD != 0 { page.u64_at(at) } else { 0 };
        page.put_u64(at, old + u64_of(&change[2..]));
    }
}

pub fn cell(page: &Page, cell: usize) -> u64 {
    page.u64_at(64 + cell * 8)
}

/// One more step in the counter page.
fn count() -> Vec<u8> {
    change(usize::from(ADD), 1)
}

fn change(cell: usize, value: u64) -> Vec<u8> {
    let mut bytes = (cell as u16).to_le_bytes().to_vec();
    bytes.extend_from_slice(&value.to_le_bytes());
    bytes
}

pub struct Toy {
    pub storage: Arc<Storage>,
    pub manager: Arc<ToyManager>,
}

/// What must be there after so many steps.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Model {
    /// Cells that are not zero, by file, block and cell.
    pub cells: BTreeMap<(u64, u32, usize), u64>,
    pub files: BTreeMap<u64, u32>,
}

impl Toy {
    pub fn open(env: &Env, config: StorageConfig) -> Result<Toy> {
        let manager = Arc::new(ToyManager::default());
        let managers: Vec<Arc<dyn ResourceManager>> = vec![manager.clone()];
        let storage = Storage::open(env.clone(), Path::new("data"), config, managers)?;
        Ok(Toy { storage, manager })
    }

    /// Appends a page to a file and counts a step in the first page of file 1, atomically.
    pub fn add_page(&self, file: u64) -> Result<u32> {
        self.storage.wal().reserve()?;
        let pool = self.storage.pool();
        let mut page = pool.allocate(relation(file).fork(Fork::Main))?;
        page.format(PageKind::HEAP, 8168);
        let mut record = RecordBuilder::new(TOY, FORMAT, Xid::NONE);
        record.block(BlockFlags::INIT);
        let block = page.key().block.0;
        if file == 1 && block == 0 {
            self.storage.wal().append(&record, &mut [&mut page])?;
            return Ok(block);
        }
        let mut counter = pool.write(relation(1).main_page(BlockNo(0)))?;
        apply(&mut counter, &count());
        record.block(BlockFlags::CHANGE).block_data(&count());
        self.storage.wal().append(&record, &mut [&mut page, &mut counter])?;
        Ok(block)
    }

    /// Sets a cell and counts a step, atomically.
    pub fn set(&self, file: u64, block: u32, at: usize, value: u64) -> Result<Appended> {
        self.storage.wal().reserve()?;
        let pool = self.storage.pool();
        // The counter page has the lower address and is latched first.
        let mut counter = pool.write(relation(1).main_page(BlockNo(0)))?;
        let mut page = pool.write(relation(file).main_page(BlockNo(block)))?;
        apply(&mut page, &change(at, value));
        apply(&mut counter, &count());
        let mut record = RecordBuilder::new(TOY, SET, Xid::NONE);
        record.block(BlockFlags::CHANGE).block_data(&change(at, value));
        record.block(BlockFlags::CHANGE).block_data(&count());
        self.storage.wal().append(&record, &mut [&mut page, &mut counter])
    }

    /// Commits: creations of `created` stay, `dropped` go once that is durable.
    pub fn commit(&self, xid: Xid, created: &[u64], dropped: &[u64]) -> Result<Appended> {
        let mut record = RecordBuilder::new(TOY, COMMIT, xid);
        for file in dropped {
            record.main(&file.to_le_bytes());
        }
        let files = self.storage.files();
        let (appended, ()) = self.storage.wal().append_with(&record, &mut [], |appended| {
            self.manager.committed.lock().unwrap().insert(xid);
            for file in dropped {
                files.schedule_drop(relation(*file), appended.end);
            }
        })?;
        for file in created {
            files.creation_committed(relation(*file));
        }
        Ok(appended)
    }

    pub fn create(&self, xid: Xid) -> Result<u64> {
        let file = self.storage.files().next_file_id();
        self.storage.files().create(relation(file.0), xid)?;
        Ok(file.0)
    }

    pub fn step(&self) -> Result<u64> {
        Ok(cell(&*self.storage.pool().read(relation(1).main_page(BlockNo(0)))?, 0))
    }

    /// Everything that is there.
    pub fn snapshot(&self) -> Result<Model> {
        let mut model = Model::default();
        for key in self.storage.files().list()? {
            let blocks = self.storage.pool().block_count(key.fork(Fork::Main))?;
            model.files.insert(key.file.0, blocks);
            for block in 0..blocks {
                let page = self.storage.pool().read(key.main_page(BlockNo(block)))?;
                for at in 0..CELLS {
                    let value = cell(&page, at);
                    if value != 0 && !(key.file.0 == 1 && block == 0) {
                        model.cells.insert((key.file.0, block, at), value);
                    }
                }
            }
        }
        Ok(model)
    }
}

pub fn small_config() -> StorageConfig {
    StorageConfig {
        shared_buffers_bytes: 64 * 8192,
        wal_segment_bytes: 64 << 10,
        wal_buffer_bytes: 16 << 10,
        max_wal_bytes: 1 << 20,
        background_threads: false,
        ..StorageConfig::default()
    }
}

pub fn page_key(file: u64, block: u32) -> PageKey {
    relation(file).main_page(BlockNo(block))
}

/// Changes a cell and returns the data that redoes it.
pub fn set_cell(page: &mut Page, at: usize, value: u64) -> Vec<u8> {
    let data = change(at, value);
    apply(page, &data);
    data
}
