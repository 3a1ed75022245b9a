//! One page of a B+tree as bytes: the layout, the search within it, and the changes to it.
//!
//! # Role
//! Pure functions over 8 KiB. The tree ([`super::tree`]) calls them under a latch, the redo handlers
//! ([`super::redo`]) call the same ones: a change is replayed by doing it again on the same bytes, so everything here
//! is a function of the page and the arguments alone (N4).
//!
//! # On-disk layout
//! After the common page header (little-endian unless stated):
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 4 | block of the left sibling, 0: none (block 0 is the meta page) |
//! | 4 | 4 | block of the right sibling, 0: none |
//! | 8 | 1 | level, leaves are 0 |
//! | 9 | 1 | flags: [`INCOMPLETE_SPLIT`], [`DELETED`] |
//! | 10 | 2 | number of entries |
//! | 12 | 2 | length of the prefix that all keys of this page share |
//! | 14 | 2 | offset of the prefix: 24 (on the page: 48) when it is at most 16 bytes long |
//! | 16 | 2 | offset of the high key, 0: none (the rightmost page of its level) |
//! | 18 | 2 | length of the high key's key bytes, and its flags as in a slot |
//! | 20 | 2 | dead bytes between `upper` and the end of the page |
//! | 22 | 2 | reserved, 0 |
//! | 24 | 16 | a short prefix, padded with zeros: with the header on one cache line |
//!
//! Slots follow, 8 bytes each, in key order: the first four bytes of the key behind the prefix, padded with zeros (the
//! *head*: most comparisons need nothing else and so touch one cache line); the body's offset (2); the length of the
//! key behind the prefix in the low 12 bits, above them [`HAS_RID`] and [`HAS_PAYLOAD`] (2).
//!
//! Bodies grow down from the end of the page: the key's bytes behind the head (the *tail*); in a branch the child's
//! block (4); the row id (6, big-endian, always in a leaf, in a branch with [`HAS_RID`]); with [`HAS_PAYLOAD`] a length
//! (2) and the payload.
//!
//! # Invariants
//! - N1: entries ascend strictly by (key, row id, payload); all are less than the high key. A missing row id is 0, a
//!   missing payload is empty: both compare below everything.
//! - N2: entry 0 of a branch has an empty key that stands for minus infinity, and ignores the prefix.
//! - N3: every other key of the page starts with the prefix.
//! - N4: changes are deterministic: no clock, no randomness, no iteration over anything unordered.

use std::cmp::Ordering;

use ochre_base::limits::PAGE_SIZE;
use ochre_base::{BlockNo, RowId};
use ochre_storage::page::PAGE_HEADER_BYTES;
use ochre_storage::{Page as StoragePage, PageKind};

/// The bytes of a page.
pub(crate) type Page = [u8; PAGE_SIZE];

/// The parent has no entry yet for the right sibling: any writer that comes by adds it.
pub(crate) const INCOMPLETE_SPLIT: u8 = 1;
/// Unlinked: the page has no entries; its left link is the next page of the free list.
pub(crate) const DELETED: u8 = 2;

/// In a slot: a row id is part of the separator (branches and high keys).
const HAS_RID: u16 = 0x1000;
/// In a slot: a payload follows.
const HAS_PAYLOAD: u16 = 0x2000;
const LENGTH_MASK: u16 = 0x0fff;

/// The common header's ends of slots and bodies, as [`ochre_storage::page`] documents them.
const LOWER: usize = 14;
const UPPER: usize = 16;

const BASE: usize = PAGE_HEADER_BYTES;
const LEFT: usize = BASE;
const RIGHT: usize = BASE + 4;
const LEVEL: usize = BASE + 8;
const FLAGS: usize = BASE + 9;
const COUNT: usize = BASE + 10;
const PREFIX_LEN: usize = BASE + 12;
const PREFIX_OFFSET: usize = BASE + 14;
const HIGH_OFFSET: usize = BASE + 16;
const HIGH_META: usize = BASE + 18;
const DEAD: usize = BASE + 20;
const SHORT_PREFIX: usize = BASE + 24;
const SHORT_PREFIX_SIZE: usize = 16;
/// Where the slots begin.
pub(crate) const SLOTS: usize = SHORT_PREFIX + SHORT_PREFIX_SIZE;
/// Bytes of a slot.
pub(crate) const SLOT_SIZE: usize = 8;
const HEAD_SIZE: usize = 4;
const RID_SIZE: usize = 6;
const CHILD_SIZE: usize = 4;

/// Key and payload of one entry may not be longer than this together: three entries then fit on a page.
pub(crate) const MAX_ENTRY_BYTES: usize = 2600;

/// No tree is higher: three children a branch would be more than there are blocks.
const MAX_LEVEL: u8 = 32;

/// Bytes of a page that entries and their slots can use.
pub(crate) const CAPACITY: usize = PAGE_SIZE - SLOTS;

/// A point in the order of entries: a stored entry, a separator, or what a search looks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct EntryRef<'a> {
    pub key: &'a [u8],
    /// The packed row id; 0 below all, [`AFTER_ALL_RIDS`] above all.
    pub rid: u64,
    pub payload: &'a [u8],
}

/// How many slots a search looks at to both sides of where it guesses an entry to be.
const NARROWED_SLOTS: usize = 8;

/// Greater than every row id: a search for (key, this) lands behind all entries of the key.
pub(crate) const AFTER_ALL_RIDS: u64 = u64::MAX;

impl<'a> EntryRef<'a> {
    /// A stored entry.
    pub(crate) fn new(key: &'a [u8], rid: RowId, payload: &'a [u8]) -> EntryRef<'a> {
        EntryRef { key, rid: rid.to_u64(), payload }
    }

    /// The point before all entries of a key.
    pub(crate) fn before(key: &'a [u8]) -> EntryRef<'a> {
        EntryRef { key, rid: 0, payload: &[] }
    }

    /// The point after all entries of a key.
    pub(crate) fn after(key: &'a [u8]) -> EntryRef<'a> {
        EntryRef { key, rid: AFTER_ALL_RIDS, payload: &[] }
    }
}

/// What a search looks for, prepared for many pages.
#[derive(Clone, Copy)]
pub(crate) struct Target<'a> {
    pub entry: EntryRef<'a>,
    /// The first bytes of the key as a number, padded with zeros, to compare with short prefixes.
    start: u128,
}

impl<'a> From<EntryRef<'a>> for Target<'a> {
    #[inline]
    fn from(entry: EntryRef<'a>) -> Target<'a> {
        let start = entry.key.first_chunk().copied().unwrap_or_else(|| {
            let mut start = [0; SHORT_PREFIX_SIZE];
            start[..entry.key.len()].copy_from_slice(entry.key);
            start
        });
        Target { entry, start: u128::from_be_bytes(start) }
    }
}

impl<'a> Target<'a> {
    /// The key behind the page's prefix; if it does not start with that, how the page's keys compare to it.
    #[inline(always)]
    fn suffix(&self, page: &Page) -> Result<&'a [u8], Ordering> {
        let key = self.entry.key;
        let len = u16_at(page, PREFIX_LEN);
        if len == 0 {
            return Ok(key);
        }
        if len > SHORT_PREFIX_SIZE {
            // Every key starts with the prefix: all are on the same side of the target.
            let prefix = prefix(page);
            return key.strip_prefix(prefix).ok_or_else(|| prefix.cmp(key));
        }
        let prefix = short_prefix(page);
        let start = self.start & (u128::MAX << (128 - 8 * len));
        if start != prefix {
            return Err(prefix.cmp(&start));
        }
        // A shorter key was padded with zeros: what starts with all of the prefix is above it.
        key.get(len..).ok_or(Ordering::Greater)
    }
}

/// The same as [`EntryRef`], owned.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct EntryBuf {
    pub key: Vec<u8>,
    pub rid: u64,
    pub payload: Vec<u8>,
}

impl EntryBuf {
    pub(crate) fn as_ref(&self) -> EntryRef<'_> {
        EntryRef { key: &self.key, rid: self.rid, payload: &self.payload }
    }

    /// Takes over another entry's bytes, reusing the allocations.
    pub(crate) fn set(&mut self, entry: EntryRef<'_>) {
        self.key.clear();
        self.key.extend_from_slice(entry.key);
        self.rid = entry.rid;
        self.payload.clear();
        self.payload.extend_from_slice(entry.payload);
    }
}

impl From<EntryRef<'_>> for EntryBuf {
    fn from(entry: EntryRef<'_>) -> EntryBuf {
        EntryBuf { key: entry.key.to_vec(), rid: entry.rid, payload: entry.payload.to_vec() }
    }
}

// ---- header fields ----

#[inline(always)]
pub(crate) fn u16_at(page: &Page, at: usize) -> usize {
    u16::from_le_bytes([page[at], page[at + 1]]) as usize
}

#[inline(always)]
fn set_u16(page: &mut Page, at: usize, value: usize) {
    page[at..at + 2].copy_from_slice(&(value as u16).to_le_bytes());
}

#[inline(always)]
fn u32_at(page: &Page, at: usize) -> u32 {
    u32::from_le_bytes([page[at], page[at + 1], page[at + 2], page[at + 3]])
}

#[inline(always)]
fn set_u32(page: &mut Page, at: usize, value: u32) {
    page[at..at + 4].copy_from_slice(&value.to_le_bytes());
}

fn link(block: u32) -> Option<BlockNo> {
    (block != 0).then_some(BlockNo(block))
}

fn unlink(block: Option<BlockNo>) -> u32 {
    block.map_or(0, |block| block.0)
}

pub(crate) fn left(page: &Page) -> Option<BlockNo> {
    link(u32_at(page, LEFT))
}

#[inline]
pub(crate) fn right(page: &Page) -> Option<BlockNo> {
    link(u32_at(page, RIGHT))
}

pub(crate) fn set_left(page: &mut Page, block: Option<BlockNo>) {
    set_u32(page, LEFT, unlink(block));
}

pub(crate) fn set_right(page: &mut Page, block: Option<BlockNo>) {
    set_u32(page, RIGHT, unlink(block));
}

#[inline]
pub(crate) fn level(page: &Page) -> u8 {
    page[LEVEL]
}

#[inline]
pub(crate) fn is_leaf(page: &Page) -> bool {
    page[LEVEL] == 0
}

#[inline]
fn flags(page: &Page) -> u8 {
    page[FLAGS]
}

#[inline]
pub(crate) fn is_deleted(page: &Page) -> bool {
    flags(page) & DELETED != 0
}

#[inline]
pub(crate) fn is_incomplete(page: &Page) -> bool {
    flags(page) & INCOMPLETE_SPLIT != 0
}

pub(crate) fn set_incomplete(page: &mut Page, incomplete: bool) {
    if incomplete {
        page[FLAGS] |= INCOMPLETE_SPLIT;
    } else {
        page[FLAGS] &= !INCOMPLETE_SPLIT;
    }
}

/// The number of entries.
#[inline(always)]
pub(crate) fn count(page: &Page) -> usize {
    u16_at(page, COUNT)
}

#[inline(always)]
fn upper(page: &Page) -> usize {
    u16_at(page, UPPER)
}

fn set_bounds(page: &mut Page, count: usize, upper: usize) {
    set_u16(page, COUNT, count);
    set_u16(page, LOWER, SLOTS + count * SLOT_SIZE);
    set_u16(page, UPPER, upper);
}

/// Bytes that are neither used nor dead.
fn gap(page: &Page) -> usize {
    upper(page) - (SLOTS + count(page) * SLOT_SIZE)
}

/// Bytes that a compaction would leave free.
pub(crate) fn free_bytes(page: &Page) -> usize {
    gap(page) + u16_at(page, DEAD)
}

/// Bytes in use, of [`CAPACITY`].
pub(crate) fn used_bytes(page: &Page) -> usize {
    CAPACITY - free_bytes(page)
}

/// The bytes that all keys of this page start with (N3).
#[inline(always)]
pub(crate) fn prefix(page: &Page) -> &[u8] {
    let offset = u16_at(page, PREFIX_OFFSET);
    &page[offset..offset + u16_at(page, PREFIX_LEN)]
}

#[inline(always)]
fn short_prefix(page: &Page) -> u128 {
    u128::from_be_bytes(*page[SHORT_PREFIX..].first_chunk().expect("the field lies on the page"))
}

/// Bytes that a prefix takes besides the header's own.
fn prefix_size(prefix_len: usize) -> usize {
    if prefix_len > SHORT_PREFIX_SIZE { prefix_len } else { 0 }
}

/// Sets the prefix of a page without entries and without a high key.
fn put_prefix(page: &mut Page, prefix: &[u8]) {
    page[SHORT_PREFIX..SLOTS].fill(0);
    let upper = PAGE_SIZE - prefix_size(prefix.len());
    let at = if prefix.len() > SHORT_PREFIX_SIZE { upper } else { SHORT_PREFIX };
    page[at..at + prefix.len()].copy_from_slice(prefix);
    set_u16(page, PREFIX_LEN, prefix.len());
    set_u16(page, PREFIX_OFFSET, at);
    set_u16(page, DEAD, 0);
    set_bounds(page, 0, upper);
}

/// Makes an empty page of a level.
pub(crate) fn init(page: &mut StoragePage, level: u8) {
    page.format(PageKind::BTREE, 0);
    let page = page.bytes_mut();
    page[LEVEL] = level;
    set_bounds(page, 0, PAGE_SIZE);
}

// ---- reading entries ----

/// A slot and where its body's parts are.
#[derive(Clone, Copy)]
struct Slot {
    head: [u8; HEAD_SIZE],
    body: usize,
    suffix_len: usize,
    flags: u16,
}

impl Slot {
    #[inline(always)]
    fn tail_len(&self) -> usize {
        self.suffix_len.saturating_sub(HEAD_SIZE)
    }
}

#[inline(always)]
fn slot_at(page: &Page, index: usize) -> Slot {
    let at = SLOTS + index * SLOT_SIZE;
    let bytes: [u8; SLOT_SIZE] = page[at..at + SLOT_SIZE].try_into().expect("a slot is 8 bytes");
    let meta = u16::from_le_bytes([bytes[6], bytes[7]]);
    Slot {
        head: [bytes[0], bytes[1], bytes[2], bytes[3]],
        body: u16::from_le_bytes([bytes[4], bytes[5]]) as usize,
        suffix_len: (meta & LENGTH_MASK) as usize,
        flags: meta & !LENGTH_MASK,
    }
}

#[inline(always)]
fn head_at(page: &Page, index: usize) -> u32 {
    let at = SLOTS + index * SLOT_SIZE;
    u32::from_be_bytes(page[at..at + HEAD_SIZE].try_into().expect("a head is 4 bytes"))
}

#[inline(always)]
fn tail<'a>(page: &'a Page, slot: &Slot) -> &'a [u8] {
    &page[slot.body..slot.body + slot.tail_len()]
}

#[inline(always)]
fn read_rid(page: &Page, at: usize) -> u64 {
    let mut bytes = [0; 8];
    bytes[2..].copy_from_slice(&page[at..at + RID_SIZE]);
    u64::from_be_bytes(bytes)
}

fn read_payload(page: &Page, at: usize) -> &[u8] {
    &page[at + 2..at + 2 + u16_at(page, at)]
}

/// The row id and the payload of an entry.
#[inline(always)]
fn identity<'a>(page: &'a Page, slot: &Slot) -> (u64, &'a [u8]) {
    let mut at = slot.body + slot.tail_len();
    let mut rid = 0;
    if is_leaf(page) {
        rid = read_rid(page, at);
        at += RID_SIZE;
    } else {
        at += CHILD_SIZE;
        if slot.flags & HAS_RID != 0 {
            rid = read_rid(page, at);
            at += RID_SIZE;
        }
    }
    let payload = if slot.flags & HAS_PAYLOAD != 0 { read_payload(page, at) } else { &[] };
    (rid, payload)
}

/// The row id of a leaf's entry.
#[inline(always)]
pub(crate) fn rid_at(page: &Page, index: usize) -> RowId {
    let slot = slot_at(page, index);
    RowId::from_u64(read_rid(page, slot.body + slot.tail_len()))
}

/// The row id and payload of an entry.
pub(crate) fn identity_at(page: &Page, index: usize) -> (u64, &[u8]) {
    identity(page, &slot_at(page, index))
}

/// The child that a branch's entry leads to.
#[inline(always)]
pub(crate) fn child_at(page: &Page, index: usize) -> BlockNo {
    let slot = slot_at(page, index);
    BlockNo(u32_at(page, slot.body + slot.tail_len()))
}

/// Appends an entry's whole key to a buffer.
pub(crate) fn append_key(page: &Page, index: usize, out: &mut Vec<u8>) {
    if index == 0 && !is_leaf(page) {
        return;
    }
    let slot = slot_at(page, index);
    out.extend_from_slice(prefix(page));
    if slot.suffix_len <= HEAD_SIZE {
        out.extend_from_slice(&slot.head[..slot.suffix_len]);
    } else {
        out.extend_from_slice(&slot.head);
        out.extend_from_slice(tail(page, &slot));
    }
}

/// A whole entry, copied.
pub(crate) fn entry_at(page: &Page, index: usize) -> EntryBuf {
    let mut key = Vec::new();
    append_key(page, index, &mut key);
    let (rid, payload) = identity_at(page, index);
    EntryBuf { key, rid, payload: payload.to_vec() }
}

/// The bound that all entries of this page lie below, unless it is the rightmost of its level.
pub(crate) fn high_key(page: &Page) -> Option<EntryRef<'_>> {
    let offset = u16_at(page, HIGH_OFFSET);
    if offset == 0 {
        return None;
    }
    let meta = u16_at(page, HIGH_META) as u16;
    let len = (meta & LENGTH_MASK) as usize;
    let mut at = offset + len;
    let mut rid = 0;
    if meta & HAS_RID != 0 {
        rid = read_rid(page, at);
        at += RID_SIZE;
    }
    let payload = if meta & HAS_PAYLOAD != 0 { read_payload(page, at) } else { &[] };
    Some(EntryRef { key: &page[offset..offset + len], rid, payload })
}

/// Checks that everything the page's header and slots point to lies on the page, that it takes no more room than there
/// is, and N1; says what is wrong. The other functions of this module may be called only on pages that pass.
pub(crate) fn validate(page: &Page) -> Result<(), String> {
    let (count, upper) = (count(page), upper(page));
    let lower = SLOTS + count * SLOT_SIZE;
    if lower != u16_at(page, LOWER) || lower > upper || upper > PAGE_SIZE {
        return Err(format!("{count} entries with lower {}, upper {upper}", u16_at(page, LOWER)));
    }
    let inside = |at: usize, len: usize| at >= upper && at + len <= PAGE_SIZE;
    let identity_inside = |at: usize, has_rid: bool, has_payload: bool| {
        let at = at + if has_rid { RID_SIZE } else { 0 };
        let length = if has_payload { 2 } else { 0 };
        inside(at, length) && (!has_payload || inside(at + 2, u16_at(page, at)))
    };
    let (prefix_at, prefix_len) = (u16_at(page, PREFIX_OFFSET), u16_at(page, PREFIX_LEN));
    let prefix_fits = match prefix_len {
        // Nobody reads it, but its place is taken for one on the page.
        0 => prefix_at <= PAGE_SIZE,
        1..=SHORT_PREFIX_SIZE => prefix_at == SHORT_PREFIX,
        _ => inside(prefix_at, prefix_len),
    };
    if !prefix_fits {
        return Err("the prefix lies outside the page".into());
    }
    let high = u16_at(page, HIGH_OFFSET);
    let high_meta = u16_at(page, HIGH_META) as u16;
    let high_len = (high_meta & LENGTH_MASK) as usize;
    if high != 0
        && !(inside(high, high_len)
            && identity_inside(high + high_len, high_meta & HAS_RID != 0, high_meta & HAS_PAYLOAD != 0))
    {
        return Err("the high key lies outside the page".into());
    }
    if level(page) > MAX_LEVEL {
        return Err(format!("the page is of level {}", level(page)));
    }
    let leaf = is_leaf(page);
    let mut used = prefix_size(prefix_len);
    if let Some(high) = high_key(page) {
        let rid = if high_meta & HAS_RID != 0 { RID_SIZE } else { 0 };
        used += high_len + rid + if high_meta & HAS_PAYLOAD != 0 { 2 + high.payload.len() } else { 0 };
    }
    for index in 0..count {
        let slot = slot_at(page, index);
        let tail_end = slot.body + slot.tail_len();
        let child = if leaf { 0 } else { CHILD_SIZE };
        let has_rid = leaf || slot.flags & HAS_RID != 0;
        if slot.body < upper
            || tail_end + child > PAGE_SIZE
            || !identity_inside(tail_end + child, has_rid, slot.flags & HAS_PAYLOAD != 0)
        {
            return Err(format!("entry {index} lies outside the page"));
        }
        let (_, payload) = identity(page, &slot);
        let rid = if has_rid { RID_SIZE } else { 0 };
        let of_payload = if slot.flags & HAS_PAYLOAD != 0 { 2 + payload.len() } else { 0 };
        used += slot.tail_len() + child + rid + of_payload;
        if !leaf && index == 0 && (slot.suffix_len > 0 || rid + of_payload > 0) {
            return Err("the first child of a branch has a bound".into()); // N2
        }
        let first = usize::from(!leaf);
        if index > first && !ascends(page, index - 1, index) {
            return Err(format!("entry {index} is not above the one before it")); // N1
        }
    }
    let room = PAGE_SIZE - upper;
    if used + u16_at(page, DEAD) > room {
        return Err(format!("{used} bytes are used and {} dead of {room}", u16_at(page, DEAD)));
    }
    if let (Some(high), true) = (high_key(page), count > usize::from(!leaf))
        && entry_at(page, count - 1).as_ref() >= high
    {
        return Err("the last entry is not below the high key".into()); // N1
    }
    if !leaf && !is_deleted(page) && count == 0 {
        return Err("a branch without children".into());
    }
    Ok(())
}

/// Whether the page's own siblings are such as its high key and its flags ask for.
pub(crate) fn links_fit(page: &Page, block: BlockNo) -> bool {
    let has_high = u16_at(page, HIGH_OFFSET) != 0;
    let own = Some(block);
    has_high == right(page).is_some()
        && (has_high || !is_incomplete(page))
        && left(page) != own
        && right(page) != own
}

/// Whether the entry at `next` is above that at `index`. Most differ in their heads.
fn ascends(page: &Page, index: usize, next: usize) -> bool {
    match head_at(page, index).cmp(&head_at(page, next)) {
        Ordering::Less => true,
        Ordering::Greater => false,
        Ordering::Equal => {
            let (low, high) = (slot_at(page, index), slot_at(page, next));
            // Equal heads and tails: the longer key has zeros where the shorter ends.
            (tail(page, &low), low.suffix_len, identity(page, &low))
                < (tail(page, &high), high.suffix_len, identity(page, &high))
        }
    }
}

// ---- searching ----

/// What a search looks for, cut to what this page's slots can be compared with.
struct Probe<'a> {
    head: u32,
    tail: &'a [u8],
    suffix_len: usize,
    rid: u64,
    payload: &'a [u8],
}

#[inline(always)]
fn padded_head(suffix: &[u8]) -> [u8; HEAD_SIZE] {
    if let Some(head) = suffix.first_chunk::<HEAD_SIZE>() {
        return *head;
    }
    let mut head = [0; HEAD_SIZE];
    head[..suffix.len()].copy_from_slice(suffix);
    head
}

impl<'a> Probe<'a> {
    #[inline(always)]
    fn new(suffix: &'a [u8], target: EntryRef<'a>) -> Probe<'a> {
        Probe {
            head: u32::from_be_bytes(padded_head(suffix)),
            tail: suffix.get(HEAD_SIZE..).unwrap_or(&[]),
            suffix_len: suffix.len(),
            rid: target.rid,
            payload: target.payload,
        }
    }

    /// How an entry with the same head compares to what is looked for.
    #[inline]
    fn compare_rest(&self, page: &Page, index: usize) -> Ordering {
        let slot = slot_at(page, index);
        let order = self.compare_rest_of_key(page, &slot);
        if order.is_ne() {
            return order;
        }
        if self.rid == 0 && self.payload.is_empty() {
            // What comes first of its key: the slot's flags tell without a look at the body.
            let is_first = slot.flags & (HAS_RID | HAS_PAYLOAD) == 0;
            return if is_first { Ordering::Equal } else { Ordering::Greater };
        }
        let (rid, payload) = identity(page, &slot);
        rid.cmp(&self.rid).then_with(|| payload.cmp(self.payload))
    }

    #[inline]
    fn compare_rest_of_key(&self, page: &Page, slot: &Slot) -> Ordering {
        if slot.suffix_len <= HEAD_SIZE && self.suffix_len <= HEAD_SIZE {
            return slot.suffix_len.cmp(&self.suffix_len);
        }
        tail(page, slot).cmp(self.tail).then_with(|| slot.suffix_len.cmp(&self.suffix_len))
    }
}

/// A part of the slots from `low` to `high` that holds the place of a head: what lies around where it would be if heads
/// grew evenly, as those of numbers often do. A search of that part touches two or three cache lines, where halving the
/// whole page touches six.
#[inline(always)]
fn narrow(page: &Page, low: usize, high: usize, head: u32) -> (usize, usize) {
    if high - low < 8 * NARROWED_SLOTS {
        return (low, high);
    }
    let last = high - 1;
    let (least, most) = (head_at(page, low), head_at(page, last));
    if head <= least || head >= most {
        return (low, high);
    }
    let guess = low + (u64::from(head - least) * (last - low) as u64 / u64::from(most - least)) as usize;
    let from = guess.saturating_sub(NARROWED_SLOTS).max(low);
    match head_at(page, from).cmp(&head) {
        Ordering::Equal => return (low, high),
        Ordering::Greater => return (low, from),
        Ordering::Less => {}
    }
    let to = (guess + NARROWED_SLOTS).min(last);
    match head_at(page, to).cmp(&head) {
        Ordering::Equal => (from + 1, high),
        Ordering::Greater => (from + 1, to),
        Ordering::Less => (to + 1, high),
    }
}

/// The first entry from `first` on for which `less` no longer holds of its order relative to the target.
#[inline(always)]
fn partition(page: &Page, first: usize, target: &Target<'_>, less: impl Fn(Ordering) -> bool) -> usize {
    let count = count(page);
    let suffix = match target.suffix(page) {
        Ok(suffix) => suffix,
        Err(order) => return if order.is_lt() { count.max(first) } else { first },
    };
    let probe = Probe::new(suffix, target.entry);
    let (mut low, mut high) = narrow(page, first, count.max(first), probe.head);
    while low < high {
        let middle = (low + high) / 2;
        let head = head_at(page, middle);
        let order = if head != probe.head { head.cmp(&probe.head) } else { probe.compare_rest(page, middle) };
        if less(order) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}

/// The first entry of a leaf at or above the target.
#[inline]
pub(crate) fn lower_bound<'a>(page: &Page, target: impl Into<Target<'a>>) -> usize {
    partition(page, 0, &target.into(), Ordering::is_lt)
}

/// The entry of a branch whose child's range holds the target.
#[inline]
pub(crate) fn child_index<'a>(page: &Page, target: impl Into<Target<'a>>) -> usize {
    partition(page, 1, &target.into(), Ordering::is_le) - 1
}

/// The entry of a branch whose child's range holds what lies directly before the target.
#[inline]
pub(crate) fn child_index_before<'a>(page: &Page, target: impl Into<Target<'a>>) -> usize {
    partition(page, 1, &target.into(), Ordering::is_lt) - 1
}

/// How an entry of a page compares to a point.
pub(crate) fn compare(page: &Page, index: usize, point: EntryRef<'_>) -> Ordering {
    match Target::from(point).suffix(page) {
        Err(order) => order,
        Ok(suffix) => {
            let probe = Probe::new(suffix, point);
            head_at(page, index).cmp(&probe.head).then_with(|| probe.compare_rest(page, index))
        }
    }
}

/// Whether an entry of a leaf has exactly the target's key.
#[inline]
pub(crate) fn key_equals<'a>(page: &Page, index: usize, target: impl Into<Target<'a>>) -> bool {
    let target = target.into();
    match target.suffix(page) {
        Err(_) => false,
        Ok(suffix) => {
            let probe = Probe::new(suffix, target.entry);
            head_at(page, index) == probe.head
                && probe.compare_rest_of_key(page, &slot_at(page, index)).is_eq()
        }
    }
}

/// Whether the entries of a key, which would begin before the `index`-th, may not be none: the next one has the key, or
/// the page's range ends within it.
pub(crate) fn may_hold_key(page: &Page, index: usize, key: &[u8]) -> bool {
    if index < count(page) {
        return key_equals(page, index, EntryRef::before(key));
    }
    high_key(page).is_some_and(|high| high.key == key)
}

/// Whether the entry is the target, in all its parts.
pub(crate) fn entry_equals(page: &Page, index: usize, target: EntryRef<'_>) -> bool {
    key_equals(page, index, target) && identity_at(page, index) == (target.rid, target.payload)
}

// ---- changing ----

/// The shortest point above `left` and not above `right`; none where `left` is not below `right`, as on a damaged page (N1).
pub(crate) fn separator<'a>(left: EntryRef<'_>, right: EntryRef<'a>) -> Option<EntryRef<'a>> {
    if left >= right {
        return None;
    }
    if left.key != right.key {
        let shared = common_prefix(left.key, right.key);
        // `left.key` is less, so `right.key` has a byte after what they share.
        return Some(EntryRef { key: &right.key[..shared + 1], rid: 0, payload: &[] });
    }
    if left.rid != right.rid {
        return Some(EntryRef { payload: &[], ..right });
    }
    Some(right)
}

/// Bytes that the bound between the `index`-th entry and the one before it takes in a branch, if there is one.
pub(crate) fn separator_size(page: &Page, index: usize) -> Option<usize> {
    let (left, right) = (entry_at(page, index - 1), entry_at(page, index));
    let separator = separator(left.as_ref(), right.as_ref())?;
    let rid = if separator.rid == 0 { 0 } else { RID_SIZE };
    Some(separator.key.len() + rid + payload_size(separator.payload))
}

/// How many bytes two keys have in common at their start.
pub(crate) fn common_prefix(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

fn payload_size(payload: &[u8]) -> usize {
    if payload.is_empty() { 0 } else { 2 + payload.len() }
}

/// Bytes of an entry's body, its key cut by the prefix.
fn body_size(leaf: bool, suffix_len: usize, entry: EntryRef<'_>) -> usize {
    let rid = if leaf || entry.rid != 0 { RID_SIZE } else { 0 };
    let child = if leaf { 0 } else { CHILD_SIZE };
    suffix_len.saturating_sub(HEAD_SIZE) + child + rid + payload_size(entry.payload)
}

fn put_identity(page: &mut Page, mut at: usize, has_rid: bool, entry: EntryRef<'_>) {
    if has_rid {
        page[at..at + RID_SIZE].copy_from_slice(&entry.rid.to_be_bytes()[2..]);
        at += RID_SIZE;
    }
    if !entry.payload.is_empty() {
        set_u16(page, at, entry.payload.len());
        page[at + 2..at + 2 + entry.payload.len()].copy_from_slice(entry.payload);
    }
}

fn identity_flags(entry: EntryRef<'_>) -> u16 {
    let rid = if entry.rid != 0 { HAS_RID } else { 0 };
    rid | if entry.payload.is_empty() { 0 } else { HAS_PAYLOAD }
}

/// Writes an entry whose key is already cut, without asking whether there is room.
fn put(page: &mut Page, index: usize, suffix: &[u8], entry: EntryRef<'_>, child: BlockNo) {
    let leaf = is_leaf(page);
    let count = count(page);
    let body = upper(page) - body_size(leaf, suffix.len(), entry);
    let tail = suffix.get(HEAD_SIZE..).unwrap_or(&[]);
    page[body..body + tail.len()].copy_from_slice(tail);
    let mut at = body + tail.len();
    if !leaf {
        set_u32(page, at, child.0);
        at += CHILD_SIZE;
    }
    put_identity(page, at, leaf || entry.rid != 0, entry);

    let slot = SLOTS + index * SLOT_SIZE;
    page.copy_within(slot..SLOTS + count * SLOT_SIZE, slot + SLOT_SIZE);
    page[slot..slot + HEAD_SIZE].copy_from_slice(&padded_head(suffix));
    set_u16(page, slot + 4, body);
    set_u16(page, slot + 6, suffix.len() | identity_flags(entry) as usize);
    set_bounds(page, count + 1, body);
}

/// Inserts an entry before the `index`-th; `child` is read in branches only. False, with the page unchanged in what it
/// says, when there is no room.
pub(crate) fn insert(page: &mut Page, index: usize, entry: EntryRef<'_>, child: BlockNo) -> bool {
    let leaf = is_leaf(page);
    let minus_infinity = !leaf && index == 0;
    debug_assert!(!minus_infinity || (entry.key.is_empty() && count(page) == 0), "N2");
    if !minus_infinity {
        // The first key of a page offers its prefix: all but the bytes that the head holds.
        let first = count(page) == usize::from(!leaf);
        if first {
            rebuild(page, entry.key.len().saturating_sub(HEAD_SIZE), entry.key);
        } else if !entry.key.starts_with(prefix(page)) {
            let shared = common_prefix(prefix(page), entry.key);
            if !fits_with_prefix(page, shared, entry) {
                return false;
            }
            rebuild(page, shared, entry.key);
        }
    }
    let suffix_from = if minus_infinity { 0 } else { u16_at(page, PREFIX_LEN) };
    let suffix = &entry.key[suffix_from..];
    let needed = SLOT_SIZE + body_size(leaf, suffix.len(), entry);
    if gap(page) < needed {
        let better = best_prefix(page, entry.key);
        if free_bytes(page) < needed && better <= suffix_from {
            return false;
        }
        if minus_infinity {
            return false;
        }
        let better = better.max(suffix_from);
        if !fits_with_prefix(page, better, entry) {
            return false;
        }
        rebuild(page, better, entry.key);
        put(page, index, &entry.key[better..], entry, child);
        return true;
    }
    put(page, index, suffix, entry, child);
    true
}

/// The longest prefix worth having once `key` is here too: shared by all, and leaving four bytes for the heads.
fn best_prefix(page: &Page, key: &[u8]) -> usize {
    let from = usize::from(!is_leaf(page));
    let count = count(page);
    if count <= from {
        return 0;
    }
    let prefix_len = u16_at(page, PREFIX_LEN);
    let shortest = (from..count).map(|index| slot_at(page, index).suffix_len).min().unwrap_or(0) + prefix_len;
    let mut edge = Vec::with_capacity(64);
    append_key(page, from, &mut edge);
    let mut shared = common_prefix(&edge, key);
    edge.clear();
    append_key(page, count - 1, &mut edge);
    shared = shared.min(common_prefix(&edge, key));
    shared.min(shortest.min(key.len()).saturating_sub(HEAD_SIZE))
}

/// Whether all entries and a new one fit when the prefix has this length.
fn fits_with_prefix(page: &Page, prefix_len: usize, entry: EntryRef<'_>) -> bool {
    let leaf = is_leaf(page);
    let old_prefix = u16_at(page, PREFIX_LEN);
    let from = usize::from(!leaf);
    // What all tails grow by, or shrink if negative.
    let mut growth = prefix_size(prefix_len) as isize - prefix_size(old_prefix) as isize;
    for index in from..count(page) {
        let slot = slot_at(page, index);
        let suffix_len = slot.suffix_len + old_prefix - prefix_len;
        growth += suffix_len.saturating_sub(HEAD_SIZE) as isize - slot.tail_len() as isize;
    }
    let needed = SLOT_SIZE + body_size(leaf, entry.key.len() - prefix_len, entry);
    used_bytes(page) as isize + growth + needed as isize <= CAPACITY as isize
}

/// Writes the page anew with another prefix, which `key` starts with, and without dead bytes.
fn rebuild(page: &mut Page, prefix_len: usize, key: &[u8]) {
    if count(page) == 0 && u16_at(page, HIGH_OFFSET) == 0 {
        put_prefix(page, &key[..prefix_len]);
        return;
    }
    let old = *page;
    copy_range(page, &old, 0, count(&old), high_key(&old), &key[..prefix_len]);
}

/// Makes `page` hold a range of another page's entries, with a prefix that all of them have, and a high key. Links,
/// level and flags stay as they are. In a branch the first entry's key becomes minus infinity (N2).
fn copy_range(
    page: &mut Page,
    old: &Page,
    from: usize,
    to: usize,
    high: Option<EntryRef<'_>>,
    prefix: &[u8],
) {
    let leaf = is_leaf(old);
    set_u16(page, HIGH_OFFSET, 0);
    set_u16(page, HIGH_META, 0);
    put_prefix(page, prefix);
    if let Some(high) = high {
        put_high_key(page, high);
    }
    let mut key = Vec::with_capacity(128);
    for index in from..to {
        key.clear();
        let (rid, payload) = identity_at(old, index);
        let child = if leaf { BlockNo(0) } else { child_at(old, index) };
        if !leaf && index == from {
            put(page, 0, &[], EntryRef { key: &[], rid: 0, payload: &[] }, child);
            continue;
        }
        append_key(old, index, &mut key);
        put(page, index - from, &key[prefix.len()..], EntryRef { key: &key, rid, payload }, child);
    }
}

fn put_high_key(page: &mut Page, high: EntryRef<'_>) {
    let rid = if high.rid != 0 { RID_SIZE } else { 0 };
    let at = upper(page) - (high.key.len() + rid + payload_size(high.payload));
    page[at..at + high.key.len()].copy_from_slice(high.key);
    put_identity(page, at + high.key.len(), high.rid != 0, high);
    set_u16(page, HIGH_OFFSET, at);
    set_u16(page, HIGH_META, high.key.len() | identity_flags(high) as usize);
    let count = count(page);
    set_bounds(page, count, at);
}

/// The prefix for a page of these entries: what the first and the last share, less the bytes that heads hold.
fn prefix_for(old: &Page, from: usize, to: usize) -> Vec<u8> {
    let from = from + usize::from(!is_leaf(old));
    if from >= to {
        return Vec::new();
    }
    let (mut first, mut last) = (Vec::new(), Vec::new());
    append_key(old, from, &mut first);
    append_key(old, to - 1, &mut last);
    let shortest = (from..to).map(|index| slot_at(old, index).suffix_len).min().unwrap_or(0);
    let known = u16_at(old, PREFIX_LEN);
    let longest_useful = (shortest + known).saturating_sub(HEAD_SIZE);
    // Never shorter than before: then the entries take no more room than they did.
    first.truncate(common_prefix(&first, &last).min(longest_useful).max(known));
    first
}

/// Makes a new page hold the entries of `old` from `from` on; it keeps `old`'s high key. The upper half of a split.
pub(crate) fn take_upper(page: &mut Page, old: &Page, from: usize) {
    let prefix = prefix_for(old, from, count(old));
    copy_range(page, old, from, count(old), high_key(old), &prefix);
}

/// Makes a new page hold the entries of `old` below `to`, with a high key of its own: the lower half of a root's split.
pub(crate) fn take_lower(page: &mut Page, old: &Page, to: usize, high: EntryRef<'_>) {
    let prefix = prefix_for(old, 0, to);
    copy_range(page, old, 0, to, Some(high), &prefix);
}

/// Whether the entries below `to` and a high key fit on a page.
pub(crate) fn lower_fits(page: &Page, to: usize, high: EntryRef<'_>) -> bool {
    let entries: usize = (0..to).map(|index| entry_size(page, index)).sum();
    let high_size = high.key.len() + RID_SIZE + payload_size(high.payload);
    entries + prefix_size(u16_at(page, PREFIX_LEN)) + high_size <= CAPACITY
}

/// Bytes of an entry's slot and body.
fn entry_size(page: &Page, index: usize) -> usize {
    let slot = slot_at(page, index);
    let (rid, payload) = identity(page, &slot);
    SLOT_SIZE + body_size(is_leaf(page), slot.suffix_len, EntryRef { key: &[], rid, payload })
}

/// Leaves the entries below `to` and sets the high key. The lower half of a split.
pub(crate) fn keep_lower(page: &mut Page, to: usize, high: EntryRef<'_>) {
    if to == count(page) && u16_at(page, HIGH_OFFSET) == 0 {
        let rid = if high.rid != 0 { RID_SIZE } else { 0 };
        if gap(page) >= high.key.len() + rid + payload_size(high.payload) {
            put_high_key(page, high);
            return;
        }
    }
    let old = *page;
    let prefix = prefix_for(&old, 0, to);
    copy_range(page, &old, 0, to, Some(high), &prefix);
}

/// Removes the `index`-th entry.
pub(crate) fn remove(page: &mut Page, index: usize) {
    let count = count(page);
    let slot = slot_at(page, index);
    let (rid, payload) = identity(page, &slot);
    let entry = EntryRef { key: &[], rid, payload };
    let dead = u16_at(page, DEAD) + body_size(is_leaf(page), slot.suffix_len, entry);
    debug_assert_eq!(dead - u16_at(page, DEAD) + SLOT_SIZE, entry_size(page, index));
    let at = SLOTS + index * SLOT_SIZE;
    page.copy_within(at + SLOT_SIZE..SLOTS + count * SLOT_SIZE, at);
    set_u16(page, DEAD, dead);
    let upper = upper(page);
    set_bounds(page, count - 1, upper);
}

/// Points the `index`-th entry of a branch to another child.
pub(crate) fn set_child(page: &mut Page, index: usize, child: BlockNo) {
    let slot = slot_at(page, index);
    set_u32(page, slot.body + slot.tail_len(), child.0);
}

/// Whether a high key can take the place of the present one.
pub(crate) fn high_key_fits(page: &Page, high: EntryRef<'_>) -> bool {
    free_bytes(page) >= high.key.len() + RID_SIZE + payload_size(high.payload)
}

/// Gives the page another high key, or none, once [`high_key_fits`] has said that there is room.
pub(crate) fn set_high_key(page: &mut Page, high: Option<EntryRef<'_>>) {
    let old = *page;
    let prefix = prefix(&old).to_vec();
    copy_range(page, &old, 0, count(&old), high, &prefix);
}

/// Empties a page that has been unlinked. Whoever still comes by starts again at the root.
pub(crate) fn set_deleted(page: &mut Page, next_free: Option<BlockNo>) {
    page[FLAGS] = DELETED;
    set_left(page, next_free);
    set_right(page, None);
    set_u16(page, HIGH_OFFSET, 0);
    set_u16(page, PREFIX_LEN, 0);
    set_u16(page, DEAD, 0);
    set_bounds(page, 0, PAGE_SIZE);
}

/// Appends what a page holds, without the hole in its middle and the common header.
pub(crate) fn encode_content(page: &Page, out: &mut Vec<u8>) {
    let lower = SLOTS + count(page) * SLOT_SIZE;
    out.extend_from_slice(&(lower as u16).to_le_bytes());
    out.extend_from_slice(&page[BASE..lower]);
    out.extend_from_slice(&page[upper(page)..]);
}

/// Makes a page hold what [`encode_content`] wrote. `None` when the bytes cannot be that.
pub(crate) fn decode_content(page: &mut StoragePage, content: &[u8]) -> Option<()> {
    page.format(PageKind::BTREE, 0);
    let page = page.bytes_mut();
    let (lower, rest) = content.split_first_chunk::<2>()?;
    let lower = u16::from_le_bytes(*lower) as usize;
    let (head, bodies) = rest.split_at_checked(lower.checked_sub(BASE)?)?;
    let upper = PAGE_SIZE.checked_sub(bodies.len()).filter(|upper| SLOTS <= lower && lower <= *upper)?;
    page[BASE..lower].copy_from_slice(head);
    page[upper..].copy_from_slice(bodies);
    set_bounds(page, (lower - SLOTS) / SLOT_SIZE, upper);
    Some(())
}

/// Where to split a full page into which an entry wants to go before the `index`-th: how many entries stay.
///
/// A page that grows at its end keeps them all: whoever inserts there goes on there. The rightmost page of its level
/// keeps nine tenths, others half of the bytes.
///
/// A leaf may keep none (0) or all (`count`) when it holds a single entry; a branch never does, as every branch needs a
/// child.
pub(crate) fn split_point(page: &Page, index: usize) -> usize {
    let (count, leaf) = (count(page), is_leaf(page));
    if index == count {
        return if leaf { count } else { count - 1 };
    }
    if leaf && count < 2 {
        return index;
    }
    let total: usize = (0..count).map(|index| entry_size(page, index)).sum();
    let wanted = if right(page).is_none() { total * 9 / 10 } else { total / 2 };
    let mut sum = 0;
    let mut point = 0;
    while point < count && sum + entry_size(page, point) / 2 < wanted {
        sum += entry_size(page, point);
        point += 1;
    }
    point.clamp(1, count - 1)
}
