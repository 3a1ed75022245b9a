//! Edits of slotted pages: each is done and logged by one function, and redone by the same code.
//!
//! # Role
//! Every change of a heap, history, overflow or visibility page goes through [`PageEdit`], which changes the page and
//! notes the operation in the record's data for that page. Redo decodes the operations and calls the same primitives,
//! so what redo makes of a page cannot differ from what was done.
//!
//! # On-disk layout
//! A page's data in a heap record is a sequence of operations: one byte, then little-endian operands.
//!
//! | byte | operation | operands |
//! |---|---|---|
//! | 1 | format | kind u8 |
//! | 2 | put into an unused slot | slot u16, flags u8, bytes |
//! | 3 | replace the item of a slot | slot u16, flags u8, bytes |
//! | 4 | free a slot | slot u16 |
//! | 5 | insert: a version without older ones | slot u16, info u8, payload |
//! | 6 | update: the item of a slot goes to another slot as an older version, a new one takes its place | slot u16, older u16, info u8, prefix u16, suffix u16, bytes between |
//! | 7 | set the link of a version | slot u16, link u64 |
//! | 8 | set the info bits of a version | slot u16, info u8 |
//! | 9 | set the page's flags | u16 |
//! | 10 | move the item of a slot to an unused or used slot | from u16, to u16, flags u8 |
//! | 11 | set a bit of a map | bit u16, value u8 |
//! | 12 | drop unused slots at the end | |
//!
//! *bytes* are a u16 length and as many bytes. The record's main data is command id u32 and schema version u16, which
//! with the record's xid make the headers of versions inserted or updated; in records that remove versions the newest
//! commit that ended one, u64, follows.
//!
//! # Invariants
//! - E1: the page's own number in its header counts the unused slots below its slot count.
//! - E2: an operation that does not fit the page is a broken invariant in the original, and corruption in redo.

use ochre_base::{CommandId, Error, PageKey, Result, Xid};
use ochre_storage::{Page, PageKind, Slot};
use smallvec::SmallVec;

use super::page_check::is_item;
use super::version::{HOME_BYTES, Info, Link, VERSION_HEADER_BYTES, VersionHeader};

/// What a slot of a heap, history or overflow page holds: its flags.
pub(crate) mod kind {
    /// The newest version of the row whose id this slot is.
    pub const ROW: u8 = 1;
    /// An older version, or a piece of an overflow value on its page.
    pub const OLDER: u8 = 2;
    /// Where the row whose id this slot is lives: a link, eight bytes.
    pub const FORWARD: u8 = 3;
    /// The newest version of a row with its id elsewhere; the id comes first.
    pub const MOVED: u8 = 4;
    /// A piece of an overflow value.
    pub const PIECE: u8 = 5;
}

/// The page's every version is seen by every snapshot, and each row has but one.
pub(crate) const PAGE_ALL_VISIBLE: u16 = 1;
/// There may be older versions on the page: pruning may help.
pub(crate) const PAGE_HAS_OLDER: u16 = 2;

const FORMAT: u8 = 1;
const PUT: u8 = 2;
const REPLACE: u8 = 3;
const FREE: u8 = 4;
const INSERT: u8 = 5;
const UPDATE: u8 = 6;
const SET_LINK: u8 = 7;
const SET_INFO: u8 = 8;
const SET_FLAGS: u8 = 9;
const MOVE: u8 = 10;
const SET_BIT: u8 = 11;
const TRIM: u8 = 12;

/// What the versions written by one record have in common.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EditContext {
    pub xid: Xid,
    pub cid: CommandId,
    pub schema_version: u16,
}

impl EditContext {
    pub(crate) const MAIN_BYTES: usize = 6;

    pub(crate) fn encode(&self) -> [u8; Self::MAIN_BYTES] {
        let mut main = [0; Self::MAIN_BYTES];
        main[..4].copy_from_slice(&self.cid.0.to_le_bytes());
        main[4..].copy_from_slice(&self.schema_version.to_le_bytes());
        main
    }

    pub(crate) fn decode(xid: Xid, main: &[u8]) -> Result<EditContext> {
        let [a, b, c, d, e, f, ..] = *main else {
            return Err(Error::corrupt("heap record without its main data"));
        };
        let cid = CommandId(u32::from_le_bytes([a, b, c, d]));
        Ok(EditContext { xid, cid, schema_version: u16::from_le_bytes([e, f]) })
    }

    fn header(&self, info: Info, older: Link) -> VersionHeader {
        VersionHeader { xid: self.xid, older, cid: self.cid, schema_version: self.schema_version, info }
    }
}

/// Changes one page and notes how.
pub(crate) struct PageEdit<'a> {
    page: &'a mut Page,
    key: PageKey,
    context: EditContext,
    ops: &'a mut Vec<u8>,
}

impl<'a> PageEdit<'a> {
    pub(crate) fn new(
        page: &'a mut Page,
        key: PageKey,
        context: EditContext,
        ops: &'a mut Vec<u8>,
    ) -> PageEdit<'a> {
        PageEdit { page, key, context, ops }
    }

    pub(crate) fn page(&self) -> &Page {
        self.page
    }

    fn note(&mut self, op: u8, operands: &[&[u8]]) {
        self.ops.push(op);
        for operand in operands {
            self.ops.extend_from_slice(operand);
        }
    }

    fn must(&self, done: Option<()>, op: &str) {
        // E2: a wrong page must not be logged; the process ends and recovery restores it.
        assert!(done.is_some(), "E2: {op} does not fit page {}", self.key);
    }

    pub(crate) fn format(&mut self, kind: PageKind) {
        self.page.format(kind, special_bytes(kind));
        self.note(FORMAT, &[&[kind.0]]);
    }

    pub(crate) fn put(&mut self, slot: u16, kind: u8, bytes: &[u8]) {
        let done = put(self.page, slot, kind, &[bytes]);
        self.must(done, "put");
        self.note(PUT, &[&slot.to_le_bytes(), &[kind], &(bytes.len() as u16).to_le_bytes(), bytes]);
    }

    pub(crate) fn replace(&mut self, slot: u16, kind: u8, bytes: &[u8]) {
        let done = replace(self.page, slot, kind, bytes);
        self.must(done, "replace");
        self.note(REPLACE, &[&slot.to_le_bytes(), &[kind], &(bytes.len() as u16).to_le_bytes(), bytes]);
    }

    pub(crate) fn free(&mut self, slot: u16) {
        let done = free(self.page, slot);
        self.must(done, "free");
        self.note(FREE, &[&slot.to_le_bytes()]);
    }

    /// Puts the first version of a row into an unused slot.
    pub(crate) fn insert(&mut self, slot: u16, info: Info, payload: &[u8]) {
        let header = self.context.header(info, Link::NONE).encode();
        let done = put(self.page, slot, kind::ROW, &[&header, payload]);
        self.must(done, "insert");
        let len = (payload.len() as u16).to_le_bytes();
        self.note(INSERT, &[&slot.to_le_bytes(), &[info.0], &len, payload]);
    }

    /// Makes the newest version in `slot` an older one in slot `older` and puts a new one in its place.
    pub(crate) fn update(&mut self, slot: u16, older: u16, info: Info, payload: &[u8]) {
        let old = self.page.row(slot).expect("the slot of a row to update has a version");
        let home = if self.page.slot(slot).flags == kind::MOVED { HOME_BYTES } else { 0 };
        let old = &old[home + VERSION_HEADER_BYTES..];
        let limit = old.len().min(payload.len());
        let prefix = common(old.iter().zip(payload), limit);
        let suffix = common(old.iter().rev().zip(payload.iter().rev()), limit - prefix);
        let between = &payload[prefix..payload.len() - suffix];
        self.ops.push(UPDATE);
        self.ops.extend_from_slice(&slot.to_le_bytes());
        self.ops.extend_from_slice(&older.to_le_bytes());
        self.ops.push(info.0);
        self.ops.extend_from_slice(&(prefix as u16).to_le_bytes());
        self.ops.extend_from_slice(&(suffix as u16).to_le_bytes());
        self.ops.extend_from_slice(&(between.len() as u16).to_le_bytes());
        self.ops.extend_from_slice(between);
        let done = update(self.page, self.key, self.context, slot, older, info, payload);
        self.must(done, "update");
    }

    pub(crate) fn set_link(&mut self, slot: u16, link: Link) {
        let done = set_link(self.page, slot, link);
        self.must(done, "set link");
        self.note(SET_LINK, &[&slot.to_le_bytes(), &link.to_u64().to_le_bytes()]);
    }

    pub(crate) fn set_info(&mut self, slot: u16, info: Info) {
        let done = set_info(self.page, slot, info);
        self.must(done, "set info");
        self.note(SET_INFO, &[&slot.to_le_bytes(), &[info.0]]);
    }

    pub(crate) fn set_flags(&mut self, flags: u16) {
        self.page.set_flags(flags);
        self.note(SET_FLAGS, &[&flags.to_le_bytes()]);
    }

    /// Gives the item of one slot to another, whose own item goes.
    pub(crate) fn move_item(&mut self, from: u16, to: u16, kind: u8) {
        let done = move_item(self.page, from, to, kind);
        self.must(done, "move");
        self.note(MOVE, &[&from.to_le_bytes(), &to.to_le_bytes(), &[kind]]);
    }

    pub(crate) fn set_bit(&mut self, bit: u16, on: bool) {
        let done = set_bit(self.page, bit, on);
        self.must(done, "set bit");
        self.note(SET_BIT, &[&bit.to_le_bytes(), &[u8::from(on)]]);
    }

    pub(crate) fn trim(&mut self) {
        trim(self.page);
        self.note(TRIM, &[]);
    }
}

/// Redoes the operations of a record on one of its pages.
pub(crate) fn redo(page: &mut Page, key: PageKey, context: EditContext, ops: &[u8]) -> Result<()> {
    let mut reader = OpReader(ops);
    if !(page.is_unused() || is_edited(page.kind())) {
        return Err(Error::corrupt(format!(
            "a heap record is about page {key} of kind {}",
            page.kind().name()
        )));
    }
    while !reader.0.is_empty() {
        let done = redo_one(page, key, context, &mut reader);
        done.ok_or_else(|| Error::corrupt(format!("a heap record does not fit page {key}")))?;
    }
    Ok(())
}

fn redo_one(page: &mut Page, key: PageKey, context: EditContext, r: &mut OpReader<'_>) -> Option<()> {
    match r.u8()? {
        FORMAT => {
            let kind = PageKind(r.u8()?);
            is_edited(kind).then_some(())?;
            page.format(kind, special_bytes(kind));
            Some(())
        }
        PUT => {
            let (slot, kind, item) = (r.u16()?, r.u8()?, r.bytes()?);
            is_item(page.kind(), kind, item).then(|| put(page, slot, kind, &[item]))?
        }
        REPLACE => {
            let (slot, kind, item) = (r.u16()?, r.u8()?, r.bytes()?);
            is_item(page.kind(), kind, item).then(|| replace(page, slot, kind, item))?
        }
        FREE => free(page, r.u16()?),
        INSERT => {
            let slot = r.u16()?;
            let header = context.header(Info(r.u8()?), Link::NONE).encode();
            (page.kind() == PageKind::HEAP).then(|| put(page, slot, kind::ROW, &[&header, r.bytes()?]))?
        }
        UPDATE => {
            let (slot, older, info) = (r.u16()?, r.u16()?, Info(r.u8()?));
            let (prefix, suffix, between) = (r.u16()? as usize, r.u16()? as usize, r.bytes()?);
            let home = if page.slot(slot).flags == kind::MOVED { HOME_BYTES } else { 0 };
            let old = page.row(slot)?.get(home + VERSION_HEADER_BYTES..)?;
            let mut payload: SmallVec<[u8; 512]> = SmallVec::from_slice(old.get(..prefix)?);
            payload.extend_from_slice(between);
            payload.extend_from_slice(old.get(old.len().checked_sub(suffix)?..)?);
            update(page, key, context, slot, older, info, &payload)
        }
        SET_LINK => set_link(page, r.u16()?, Link::from_u64(r.u64()?)),
        SET_INFO => set_info(page, r.u16()?, Info(r.u8()?)),
        SET_FLAGS => {
            page.set_flags(r.u16()?);
            Some(())
        }
        MOVE => {
            let (from, to, kind) = (r.u16()?, r.u16()?, r.u8()?);
            is_item(page.kind(), kind, page.row(from)?).then(|| move_item(page, from, to, kind))?
        }
        SET_BIT => {
            let (bit, on) = (r.u16()?, r.u8()? != 0);
            (page.kind() == PageKind::VISIBILITY).then(|| set_bit(page, bit, on))?
        }
        TRIM => {
            trim(page);
            Some(())
        }
        _ => None,
    }
}

/// Whether pages of a kind are edited here.
fn is_edited(kind: PageKind) -> bool {
    matches!(kind, PageKind::HEAP | PageKind::HISTORY | PageKind::OVERFLOW | PageKind::VISIBILITY)
}

/// A map has no slots: all of it is special area, since images in the log leave out what is between slots and rows.
fn special_bytes(kind: PageKind) -> usize {
    use ochre_base::limits::PAGE_SIZE;
    use ochre_storage::page::PAGE_HEADER_BYTES;
    if kind == PageKind::VISIBILITY { PAGE_SIZE - PAGE_HEADER_BYTES } else { 0 }
}

/// Whether the operations make the page from nothing.
pub(crate) fn starts_anew(ops: &[u8]) -> bool {
    ops.first() == Some(&FORMAT)
}

struct OpReader<'a>(&'a [u8]);

impl<'a> OpReader<'a> {
    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(n)?;
        self.0 = tail;
        Some(head)
    }

    fn u8(&mut self) -> Option<u8> {
        Some(self.take(1)?[0])
    }

    fn u16(&mut self) -> Option<u16> {
        self.take(2).map(|b| u16::from_le_bytes([b[0], b[1]]))
    }

    fn u64(&mut self) -> Option<u64> {
        self.take(8)?.first_chunk().map(|b| u64::from_le_bytes(*b))
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let n = self.u16()?;
        self.take(n as usize)
    }
}

fn common<'b>(pairs: impl Iterator<Item = (&'b u8, &'b u8)>, limit: usize) -> usize {
    pairs.take(limit).take_while(|(a, b)| a == b).count()
}

/// The slot that a new item gets (E1 makes the search rare).
pub(crate) fn unused_slot(page: &Page) -> u16 {
    if page.kind_number() == 0 { page.slot_count() } else { page.first_unused_slot() }
}

/// Whether a new item of `len` bytes fits, compacting counted in.
#[inline]
pub(crate) fn fits(page: &Page, len: usize) -> bool {
    let slot = if page.kind_number() == 0 { 4 } else { 0 };
    fits_at_once(page, len) || page.free_total() >= len + slot
}

/// Whether an item fits between slots and items as they lie.
pub(crate) fn fits_at_once(page: &Page, len: usize) -> bool {
    let slot = if page.kind_number() == 0 { 4 } else { 0 };
    page.free_contiguous() >= len + slot
}

fn put(page: &mut Page, slot: u16, kind: u8, parts: &[&[u8]]) -> Option<()> {
    let count = page.slot_count();
    if page.slot(slot).has_row() || slot > count + 1 {
        return None;
    }
    let placed = match parts {
        [one] => page.place_row(slot, one, kind),
        _ => {
            let mut item: SmallVec<[u8; 1024]> = SmallVec::new();
            parts.iter().for_each(|part| item.extend_from_slice(part));
            page.place_row(slot, &item, kind)
        }
    };
    if !placed {
        return None;
    }
    if slot < count {
        page.set_kind_number(page.kind_number().checked_sub(1)?);
    } else {
        page.set_kind_number(page.kind_number() + (slot - count));
    }
    Some(())
}

fn replace(page: &mut Page, slot: u16, kind: u8, bytes: &[u8]) -> Option<()> {
    (page.slot(slot).has_row() && page.replace_row(slot, bytes, kind)).then_some(())
}

fn free(page: &mut Page, slot: u16) -> Option<()> {
    if !page.slot(slot).has_row() {
        return None;
    }
    page.clear_slot(slot);
    page.set_kind_number(page.kind_number() + 1);
    Some(())
}

fn update(
    page: &mut Page,
    key: PageKey,
    context: EditContext,
    slot: u16,
    older: u16,
    info: Info,
    payload: &[u8],
) -> Option<()> {
    let old = page.slot(slot);
    if !old.has_row() || page.slot(older).has_row() {
        return None;
    }
    let home = if old.flags == kind::MOVED { HOME_BYTES } else { 0 };
    let link = Link::main(ochre_base::RowId { block: key.block, slot: older });
    let header = context.header(info, link).encode();
    let mut item: SmallVec<[u8; 1024]> = SmallVec::new();
    item.extend_from_slice(page.row(slot)?.get(..home)?);
    item.extend_from_slice(&header);
    item.extend_from_slice(payload);
    // The new item goes in under the older version's slot; then the two slots change places.
    put(page, older, kind::OLDER, &[&item])?;
    let (new, old) = (page.slot(older), page.slot(slot));
    page.set_slot(slot, Slot { flags: old.flags, ..new });
    let home = home as u16;
    page.set_slot(older, Slot { offset: old.offset + home, len: old.len - home, flags: kind::OLDER });
    page.set_flags(page.flags() | PAGE_HAS_OLDER);
    Some(())
}

fn version_bytes_mut(page: &mut Page, slot: u16) -> Option<&mut [u8]> {
    let home = if page.slot(slot).flags == kind::MOVED { HOME_BYTES } else { 0 };
    page.row_mut(slot)?.get_mut(home..).filter(|b| b.len() >= VERSION_HEADER_BYTES)
}

fn set_link(page: &mut Page, slot: u16, link: Link) -> Option<()> {
    version_bytes_mut(page, slot)?[8..16].copy_from_slice(&link.to_u64().to_le_bytes());
    Some(())
}

fn set_info(page: &mut Page, slot: u16, info: Info) -> Option<()> {
    version_bytes_mut(page, slot)?[22] = info.0;
    Some(())
}

fn move_item(page: &mut Page, from: u16, to: u16, kind: u8) -> Option<()> {
    let item = page.slot(from);
    if !item.has_row() || from == to {
        return None;
    }
    if page.slot(to).has_row() {
        free(page, to)?;
    }
    if to >= page.slot_count() {
        return None;
    }
    page.set_slot(to, Slot { flags: kind, ..page.slot(from) });
    page.set_slot(from, Slot::UNUSED);
    Some(())
}

fn set_bit(page: &mut Page, bit: u16, on: bool) -> Option<()> {
    let at = ochre_storage::page::PAGE_HEADER_BYTES + bit as usize / 8;
    let byte = page.bytes_mut().get_mut(at)?;
    let mask = 1 << (bit % 8);
    *byte = if on { *byte | mask } else { *byte & !mask };
    Some(())
}

fn trim(page: &mut Page) {
    let before = page.slot_count();
    page.trim_slots();
    let dropped = before - page.slot_count();
    page.set_kind_number(page.kind_number().saturating_sub(dropped));
}

#[cfg(test)]
mod tests {
    use ochre_base::{BlockNo, FileId, Fork, Oid, RowId};

    use super::*;

    fn key() -> PageKey {
        PageKey { database: Oid(1), file: FileId(2), fork: Fork::Main, block: BlockNo(3) }
    }

    fn context() -> EditContext {
        EditContext { xid: Xid(20), cid: CommandId(4), schema_version: 1 }
    }

    fn unused(page: &Page) -> usize {
        (0..page.slot_count()).filter(|n| page.slot(*n).is_unused()).count()
    }

    #[test]
    fn redo_makes_the_same_page() {
        let mut page = Page::zeroed();
        let mut ops = Vec::new();
        let mut edit = PageEdit::new(&mut page, key(), context(), &mut ops);
        edit.format(PageKind::HEAP);
        edit.insert(0, Info(0), b"first row, first version");
        edit.insert(1, Info(0), b"second row");
        edit.update(0, 2, Info(Info::KEYS_DIFFER), b"first row, another version");
        let version = context().header(Info(0), Link::NONE).encode();
        edit.put(4, kind::MOVED, &[&[7; HOME_BYTES][..], &version, &[7; 28]].concat());
        edit.set_link(4, Link::history(RowId::new(1, 1)));
        edit.update(4, 3, Info(0), b"moved");
        edit.set_info(1, Info(Info::TOMBSTONE));
        edit.free(2);
        edit.move_item(1, 2, kind::OLDER);
        edit.replace(0, kind::FORWARD, &[1; 8]);
        edit.set_flags(PAGE_ALL_VISIBLE);
        edit.free(4);
        edit.trim();
        let mut redone = Page::zeroed();
        redo(&mut redone, key(), context(), &ops).unwrap();
        assert_eq!(redone.bytes(), page.bytes());
        page.verify_slots().unwrap();
        assert_eq!(page.kind_number() as usize, unused(&page), "E1");
        assert_eq!(page.slot(3).len as usize, 52, "an older version keeps no home");
        for n in 0..ops.len() {
            let _ = redo(&mut Page::zeroed(), key(), context(), &ops[..n]);
        }
    }

    #[test]
    fn an_update_links_to_what_it_replaces() {
        let mut page = Page::zeroed();
        let mut ops = Vec::new();
        let mut edit = PageEdit::new(&mut page, key(), context(), &mut ops);
        edit.format(PageKind::HEAP);
        edit.insert(0, Info(0), b"aaaa-1-bbbb");
        let before = edit.ops.len();
        edit.update(0, 1, Info(0), b"aaaa-2-bbbb");
        assert_eq!(edit.ops.len() - before, 1 + 2 + 2 + 1 + 2 + 2 + 2 + 1, "only what differs is logged");
        let (new, payload) = VersionHeader::decode(page.row(0).unwrap()).unwrap();
        assert_eq!(payload, b"aaaa-2-bbbb");
        assert_eq!(new.older, Link::main(RowId::new(3, 1)));
        let (_, payload) = VersionHeader::decode(page.row(1).unwrap()).unwrap();
        assert_eq!(payload, b"aaaa-1-bbbb");
        assert_eq!((page.slot(0).flags, page.slot(1).flags), (kind::ROW, kind::OLDER));
    }
}
