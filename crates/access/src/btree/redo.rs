//! Log records of B+trees: their form, their replay, their description.
//!
//! # On-disk layout
//! Little-endian; an *entry* is key length (2), payload length (2), packed row id (8), key, payload. *Content* is what
//! [`node::encode_content`] writes. Blocks in the order of the record:
//!
//! | kind | blocks and their data |
//! |---|---|
//! | Create | meta: fillfactor (2); root: nothing |
//! | Insert | leaf: position (2), entry; more of them, each made in turn |
//! | Remove | leaf: position (2) |
//! | Split | left: entries kept (2), new block (4), entry of the bound; new: content; old right sibling, if any: nothing |
//! | RootSplit | root, left, right: content |
//! | ParentEntry | parent: position (2), child (4), entry of the bound; left child: nothing |
//! | Unlink | target: next free block (4); meta: nothing; parent: position (2), child that stays (4); right: left link (4); left, if any: high key taken over (1), if so 1 and its entry or 2 for none |
//! | Allocate | meta: head of the free list (4) |
//! | Free | page: next free block (4); meta: nothing |
//! | Build | images of pages |

use ochre_base::{BlockNo, Error, PageKey, Result};
use ochre_storage::{Page, PageCheck, PageKind, RecordBuilder, ResourceManager, RmgrId, WalRecord};

use super::insert::NO_CHILD;
use super::meta;
use super::node::{self, EntryRef};

/// What a record does; its `info`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum RecordKind {
    Create = 1,
    Insert = 2,
    Remove = 3,
    Split = 4,
    RootSplit = 5,
    ParentEntry = 6,
    Unlink = 7,
    Allocate = 8,
    Free = 9,
    Build = 10,
}

impl RecordKind {
    fn from_info(info: u8) -> Option<RecordKind> {
        use RecordKind::*;
        [Create, Insert, Remove, Split, RootSplit, ParentEntry, Unlink, Allocate, Free, Build]
            .into_iter()
            .find(|kind| *kind as u8 == info)
    }
}

/// Redoes the log records of B+trees.
#[derive(Debug, Default)]
pub struct BTreeManager;

impl ResourceManager for BTreeManager {
    fn rmgr(&self) -> RmgrId {
        RmgrId::BTREE
    }

    fn name(&self) -> &'static str {
        "btree"
    }

    fn redo_page(&self, record: &WalRecord<'_>, index: usize, page: &mut Page) -> Result<()> {
        apply(record, index, page).ok_or_else(|| malformed(record))
    }

    fn page_check(&self, kind: PageKind) -> Option<PageCheck> {
        (kind == PageKind::BTREE).then_some(check_page)
    }

    fn describe(&self, record: &WalRecord<'_>) -> String {
        describe(record).unwrap_or_else(|| format!("malformed record of kind {}", record.info))
    }
}

/// What is wrong with a page that comes from disk.
fn check_page(key: PageKey, page: &Page) -> std::result::Result<(), String> {
    match key.block {
        meta::BLOCK if meta::is_valid(page) => Ok(()),
        meta::BLOCK => Err("page is no meta page of an index".to_string()),
        _ if page.kind_number() != 0 => Err("page is a meta page in the wrong place".to_string()),
        block if !node::links_fit(page.bytes(), block) => Err("page has wrong siblings".to_string()),
        _ => node::validate(page.bytes()),
    }
}

#[cold]
fn malformed(record: &WalRecord<'_>) -> Error {
    Error::corrupt(format!("btree log record at {} cannot be redone", record.start))
}

/// Applies a record to its `index`-th page. `None` when the record is malformed, or does not fit the page.
fn apply(record: &WalRecord<'_>, index: usize, page: &mut Page) -> Option<()> {
    let mut data = Reader(record.blocks.get(index)?.data);
    let block_no = |index: usize| record.blocks.get(index).map(|block| block.key.block);
    let kind = RecordKind::from_info(record.info)?;
    let fits = match (kind, index) {
        (RecordKind::Create | RecordKind::RootSplit, _)
        | (RecordKind::Split, 1)
        | (RecordKind::Unlink | RecordKind::Free, 0) => true, // They make the page anew.
        (RecordKind::Unlink, 1) | (RecordKind::Free | RecordKind::Allocate, _) => meta::is_valid(page),
        (RecordKind::Insert, _) => is_node(page) && node::is_leaf(page.bytes()),
        (RecordKind::ParentEntry, 0) | (RecordKind::Unlink, 2) => {
            is_node(page) && !node::is_leaf(page.bytes())
        }
        _ => is_node(page),
    };
    fits.then_some(())?;
    match (kind, index) {
        (RecordKind::Create, 0) => meta::init(page, data.u16()?),
        (RecordKind::Create, _) => node::init(page, 0),
        (RecordKind::Insert, _) => {
            while !data.0.is_empty() {
                let at = data.u16()? as usize;
                insert(page, at, data.entry()?, NO_CHILD)?;
            }
        }
        (RecordKind::Remove, _) => {
            let at = data.u16()? as usize;
            (at < node::count(page.bytes())).then(|| node::remove(page.bytes_mut(), at))?;
        }
        (RecordKind::Split, 0) => {
            let point = data.u16()? as usize;
            let new = data.block()?;
            let separator = data.entry()?;
            keeps_order(page, point, separator, false)?;
            node::lower_fits(page.bytes(), point, separator).then_some(())?;
            node::keep_lower(page.bytes_mut(), point, separator);
            node::set_right(page.bytes_mut(), new);
            node::set_incomplete(page.bytes_mut(), true);
        }
        (RecordKind::Split, 1) | (RecordKind::RootSplit, _) => {
            node::decode_content(page, data.0)?;
            node::validate(page.bytes()).ok()?;
        }
        (RecordKind::Split, _) => node::set_left(page.bytes_mut(), block_no(1)),
        (RecordKind::ParentEntry, 0) => {
            let at = data.u16()? as usize;
            let child = data.block()??;
            insert(page, at, data.entry()?, child)?;
        }
        (RecordKind::ParentEntry, _) => node::set_incomplete(page.bytes_mut(), false),
        (RecordKind::Unlink, 0) | (RecordKind::Free, 0) => {
            let next = data.block()?;
            node::init(page, 0);
            node::set_deleted(page.bytes_mut(), next);
        }
        (RecordKind::Unlink, 1) | (RecordKind::Free, _) => meta::set_free_head(page, block_no(0)),
        (RecordKind::Unlink, 2) => {
            let at = data.u16()? as usize;
            let child = data.block()??;
            (at > 0 && at < node::count(page.bytes())).then_some(())?;
            node::set_child(page.bytes_mut(), at - 1, child);
            node::remove(page.bytes_mut(), at);
        }
        (RecordKind::Unlink, 3) => node::set_left(page.bytes_mut(), data.block()?),
        (RecordKind::Unlink, _) => {
            node::set_right(page.bytes_mut(), Some(block_no(3)?));
            if data.u8()? == 1 {
                let high = data.entry()?;
                keeps_order(page, node::count(page.bytes()), high, false)?;
                node::high_key_fits(page.bytes(), high).then_some(())?;
                node::set_high_key(page.bytes_mut(), Some(high));
            }
        }
        (RecordKind::Allocate, _) => meta::set_free_head(page, data.block()?),
        // Images only: nothing is left to apply.
        (RecordKind::Build, _) => return None,
    }
    Some(())
}

fn insert(page: &mut Page, at: usize, entry: EntryRef<'_>, child: BlockNo) -> Option<()> {
    keeps_order(page, at, entry, true)?;
    node::insert(page.bytes_mut(), at, entry, child).then_some(())
}

/// Whether an entry may come to stand before the `at`-th of a page, or a bound behind those before the `at`-th (N1, N2).
fn keeps_order(page: &Page, at: usize, entry: EntryRef<'_>, before_next: bool) -> Option<()> {
    let page = page.bytes();
    let first = usize::from(!node::is_leaf(page));
    let above = at <= first || at > node::count(page) || node::compare(page, at - 1, entry).is_lt();
    let below = !before_next || at >= node::count(page) || node::compare(page, at, entry).is_gt();
    ((first..=node::count(page)).contains(&at) && above && below).then_some(())
}

/// Whether a page is one of the tree's own.
fn is_node(page: &Page) -> bool {
    page.kind() == PageKind::BTREE && page.kind_number() == 0
}

fn describe(record: &WalRecord<'_>) -> Option<String> {
    let kind = RecordKind::from_info(record.info)?;
    let first = record.blocks.first()?;
    let mut data = Reader(first.data);
    let place = format!("{kind:?} {}", first.key);
    Some(match kind {
        RecordKind::Insert => {
            let at = data.u16()?;
            let entry = data.entry()?;
            let more = if data.0.is_empty() { "" } else { " and more" };
            format!("{place} at {at} {}{more}", super::dump::entry_text(entry))
        }
        RecordKind::Remove => format!("{place} at {}", data.u16()?),
        RecordKind::Split => {
            let kept = data.u16()?;
            let new = data.block()??;
            format!("{place} keeps {kept}, new block {new}, bound {}", super::dump::entry_text(data.entry()?))
        }
        RecordKind::ParentEntry => {
            let at = data.u16()?;
            let child = data.block()??;
            format!("{place} at {at} child {child} {}", super::dump::entry_text(data.entry()?))
        }
        _ => format!("{place} and {} more", record.blocks.len() - 1),
    })
}

// ---- writing ----

pub(super) fn block_bytes(block: Option<BlockNo>) -> [u8; 4] {
    block.map_or(0, |block| block.0).to_le_bytes()
}

pub(super) fn put_entry(record: &mut RecordBuilder, entry: EntryRef<'_>) {
    let mut header = [0; 12];
    header[..2].copy_from_slice(&(entry.key.len() as u16).to_le_bytes());
    header[2..4].copy_from_slice(&(entry.payload.len() as u16).to_le_bytes());
    header[4..].copy_from_slice(&entry.rid.to_le_bytes());
    record.block_data(&header).block_data(entry.key);
    if !entry.payload.is_empty() {
        record.block_data(entry.payload);
    }
}

/// Bytes of an insertion besides key and payload.
pub(super) const INSERT_HEADER_BYTES: usize = 14;

pub(super) fn put_insert(record: &mut RecordBuilder, at: usize, entry: EntryRef<'_>) {
    let mut header = [0; INSERT_HEADER_BYTES];
    header[..2].copy_from_slice(&(at as u16).to_le_bytes());
    header[2..4].copy_from_slice(&(entry.key.len() as u16).to_le_bytes());
    header[4..6].copy_from_slice(&(entry.payload.len() as u16).to_le_bytes());
    header[6..].copy_from_slice(&entry.rid.to_le_bytes());
    record.block_data(&header).block_data(entry.key);
    if !entry.payload.is_empty() {
        record.block_data(entry.payload);
    }
}

pub(super) fn put_split(record: &mut RecordBuilder, point: usize, new: BlockNo, separator: EntryRef<'_>) {
    record.block_data(&(point as u16).to_le_bytes()).block_data(&new.0.to_le_bytes());
    put_entry(record, separator);
}

pub(super) fn put_parent_entry(
    record: &mut RecordBuilder,
    at: usize,
    child: BlockNo,
    separator: EntryRef<'_>,
) {
    record.block_data(&(at as u16).to_le_bytes()).block_data(&child.0.to_le_bytes());
    put_entry(record, separator);
}

pub(super) fn put_content(record: &mut RecordBuilder, page: &node::Page) {
    let mut content = Vec::with_capacity(node::CAPACITY);
    node::encode_content(page, &mut content);
    record.block_data(&content);
}

/// Takes fields from the front of a record's data; `None` when bytes are missing.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn bytes(&mut self, len: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(bytes)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.bytes(N)?.try_into().ok()
    }

    fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    /// A block, or `Some(None)` for none.
    fn block(&mut self) -> Option<Option<BlockNo>> {
        let block = u32::from_le_bytes(self.array()?);
        Some((block != 0).then_some(BlockNo(block)))
    }

    fn entry(&mut self) -> Option<EntryRef<'a>> {
        let (key_len, payload_len) = (self.u16()? as usize, self.u16()? as usize);
        let rid = u64::from_le_bytes(self.array()?);
        (key_len + payload_len <= node::MAX_ENTRY_BYTES).then_some(())?;
        Some(EntryRef { key: self.bytes(key_len)?, rid, payload: self.bytes(payload_len)? })
    }
}
