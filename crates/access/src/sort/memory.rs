//! Entries in memory: an arena of their bytes and an array of items that is sorted.
//!
//! # Short entries
//! While all keys have the same length, at most ten bytes, no entry has a payload and all tags are row ids, an item is
//! the whole entry: the key above, the tag in the lower 48 bits. Sorting them compares numbers, and neither it nor
//! reading in order follows an offset. The first entry that does not fit this form moves all to the arena.

use std::cmp::Ordering;

use super::SortEntry;
use super::merge::Front;

/// Bytes of the key in an item.
const HEAD_BYTES: usize = 12;

/// Bytes of a key that fit into an item with its tag.
const SHORT_KEY_BYTES: usize = 10;
const SHORT_TAG_BITS: u32 = 48;
const SHORT_TAG_MASK: u128 = (1 << SHORT_TAG_BITS) - 1;

/// Of a long entry, twelve bytes of the key as a big-endian number in the upper bits, the entry's offset in the lower
/// 32; of a short one, key and tag.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Item(u128);

impl Item {
    #[inline]
    fn head(self) -> u128 {
        self.0 >> 32
    }

    #[inline]
    fn offset(self) -> usize {
        self.0 as u32 as usize
    }

    #[inline]
    fn short(key: &[u8], tag: u64) -> Item {
        let mut bytes = [0; 16];
        bytes[..key.len()].copy_from_slice(key);
        Item(u128::from_be_bytes(bytes) | u128::from(tag))
    }

    #[inline]
    fn short_tag(self) -> u64 {
        (self.0 & SHORT_TAG_MASK) as u64
    }
}

/// How the entries of a set are kept.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Form {
    /// There are none.
    #[default]
    Undecided,
    /// In items alone; keys have this length.
    Short(usize),
    /// In the arena.
    Long,
}

/// Memory that an entry takes at most.
#[inline]
pub(super) fn entry_bytes(key: &[u8], payload: &[u8]) -> usize {
    key.len() + payload.len() + 8 + 2 * 5 + size_of::<Item>()
}

/// Appends an entry in the form that arenas and runs have.
#[inline]
pub(super) fn encode(out: &mut Vec<u8>, entry: SortEntry<'_>) {
    put_len(out, entry.key.len());
    put_len(out, entry.payload.len());
    out.extend_from_slice(&entry.tag.to_le_bytes());
    out.extend_from_slice(entry.key);
    out.extend_from_slice(entry.payload);
}

#[inline]
fn put_len(out: &mut Vec<u8>, mut len: usize) {
    while len >= 0x80 {
        out.push(len as u8 | 0x80);
        len >>= 7;
    }
    out.push(len as u8);
}

#[inline]
fn take_len(bytes: &[u8], at: &mut usize) -> Option<usize> {
    let mut len = 0;
    for shift in (0..63).step_by(7) {
        let byte = *bytes.get(*at)?;
        *at += 1;
        len |= ((byte & 0x7f) as usize) << shift;
        if byte < 0x80 {
            return Some(len);
        }
    }
    None
}

/// The lengths at the start of an encoded entry: of its header, its key and its payload. `None` when bytes are missing.
#[inline]
pub(super) fn lengths(bytes: &[u8]) -> Option<(usize, usize, usize)> {
    let mut at = 0;
    let key = take_len(bytes, &mut at)?;
    let payload = take_len(bytes, &mut at)?;
    Some((at + 8, key, payload))
}

/// The entry at the start of some bytes.
#[inline]
pub(super) fn decode(bytes: &[u8]) -> SortEntry<'_> {
    let (header, key, payload) = lengths(bytes).expect("a whole entry was encoded here");
    SortEntry {
        key: &bytes[header..header + key],
        tag: u64::from_le_bytes(*bytes[header - 8..].first_chunk().expect("the header holds the tag")),
        payload: &bytes[header + key..header + key + payload],
    }
}

/// Entries that are not sorted yet.
#[derive(Default)]
pub(super) struct MemorySet {
    form: Form,
    arena: Vec<u8>,
    items: Vec<Item>,
    /// While entries are long: the first key ever added, cut to what all later ones share with it (S1).
    shared: Option<Vec<u8>>,
    /// While entries are short: the first one ever added, and the bits in which any later one differs from it.
    first: u128,
    differing: u128,
}

impl MemorySet {
    /// An empty set that knows what keys share, in the memory of one that was read.
    pub(super) fn emptied_like(&self, memory: SetMemory) -> MemorySet {
        MemorySet {
            form: self.form,
            arena: memory.arena,
            items: memory.items,
            shared: self.shared.clone(),
            first: self.first,
            differing: self.differing,
        }
    }

    /// Memory for a set as large as this one.
    pub(super) fn new_memory(&self) -> SetMemory {
        SetMemory {
            arena: Vec::with_capacity(self.arena.capacity()),
            items: Vec::with_capacity(self.items.capacity()),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    pub(super) fn used_bytes(&self) -> usize {
        self.arena.len() + self.items.len() * size_of::<Item>()
    }

    /// How many bytes all keys share at their start (S1).
    pub(super) fn shared_bytes(&self) -> usize {
        match self.form {
            Form::Undecided => 0,
            Form::Short(len) => len.min((self.differing & !SHORT_TAG_MASK).leading_zeros() as usize / 8),
            Form::Long => self.shared.as_ref().map_or(0, Vec::len),
        }
    }

    #[inline]
    pub(super) fn push(&mut self, key: &[u8], tag: u64, payload: &[u8]) {
        let fits = payload.is_empty() && tag >> SHORT_TAG_BITS == 0;
        match self.form {
            Form::Short(len) if fits && key.len() == len => {
                let item = Item::short(key, tag);
                self.differing |= item.0 ^ self.first;
                self.items.push(item);
            }
            Form::Undecided if fits && key.len() <= SHORT_KEY_BYTES => {
                self.form = Form::Short(key.len());
                self.first = Item::short(key, tag).0;
                self.items.push(Item(self.first));
            }
            _ => self.push_long(key, tag, payload),
        }
    }

    fn push_long(&mut self, key: &[u8], tag: u64, payload: &[u8]) {
        if let Form::Short(len) = self.form {
            self.lengthen(len);
        }
        self.form = Form::Long;
        match &mut self.shared {
            Some(shared) if key.starts_with(shared) => {}
            Some(shared) => {
                let same = shared.iter().zip(key).take_while(|(a, b)| a == b).count();
                shared.truncate(same);
            }
            None => self.shared = Some(key.to_vec()),
        }
        self.items.push(Item(self.arena.len() as u128));
        encode(&mut self.arena, SortEntry { key, tag, payload });
    }

    /// Moves short entries, whose keys have this length, to the arena.
    #[cold]
    fn lengthen(&mut self, len: usize) {
        self.shared = Some(self.first.to_be_bytes()[..self.shared_bytes()].to_vec());
        for item in &mut self.items {
            let bytes = item.0.to_be_bytes();
            let entry = SortEntry { key: &bytes[..len], tag: item.short_tag(), payload: &[] };
            *item = Item(self.arena.len() as u128);
            encode(&mut self.arena, entry);
        }
    }

    /// Sorts.
    pub(super) fn into_sorted(self) -> MemoryCursor {
        let shared = self.shared_bytes();
        let MemorySet { form, arena, mut items, .. } = self;
        if form == Form::Long {
            for item in &mut items {
                let key = decode(&arena[item.offset()..]).key;
                item.0 |= u128::from(head(&key[shared..])) << 32;
            }
            items.sort_unstable_by(|a, b| compare(&arena, shared, *a, *b));
        } else {
            items.sort_unstable();
        }
        MemoryCursor { form, shared, merge_shared: shared, arena, items, next: 0, short_key: [0; 16] }
    }
}

/// The first bytes of a key behind what all share, padded with zeros: `HEAD_BYTES` of them in 96 bits.
#[inline]
fn head(suffix: &[u8]) -> Head96 {
    if let Some(bytes) = suffix.first_chunk::<HEAD_BYTES>() {
        return Head96::from_bytes(*bytes);
    }
    let mut bytes = [0; HEAD_BYTES];
    bytes[..suffix.len()].copy_from_slice(suffix);
    Head96::from_bytes(bytes)
}

/// Ninety-six bits.
struct Head96(u128);

impl Head96 {
    #[inline]
    fn from_bytes(bytes: [u8; HEAD_BYTES]) -> Head96 {
        let mut wide = [0; 16];
        wide[4..].copy_from_slice(&bytes);
        Head96(u128::from_be_bytes(wide))
    }
}

impl From<Head96> for u128 {
    fn from(head: Head96) -> u128 {
        head.0
    }
}

#[inline]
fn compare(arena: &[u8], shared: usize, a: Item, b: Item) -> Ordering {
    a.head().cmp(&b.head()).then_with(|| compare_entries(arena, shared, a, b))
}

#[inline(never)]
fn compare_entries(arena: &[u8], shared: usize, a: Item, b: Item) -> Ordering {
    let (a, b) = (decode(&arena[a.offset()..]), decode(&arena[b.offset()..]));
    a.key[shared..]
        .cmp(&b.key[shared..])
        .then_with(|| a.tag.cmp(&b.tag))
        .then_with(|| a.payload.cmp(b.payload))
}

/// The memory of an empty set.
pub(super) struct SetMemory {
    arena: Vec<u8>,
    items: Vec<Item>,
}

/// Reads a sorted set.
pub(super) struct MemoryCursor {
    form: Form,
    /// Bytes that all keys of the set share, and that all keys of the merge it is read by do.
    shared: usize,
    merge_shared: usize,
    arena: Vec<u8>,
    items: Vec<Item>,
    /// The item after the current one.
    next: usize,
    /// The current short entry's bytes.
    short_key: [u8; 16],
}

impl MemoryCursor {
    /// Says how many bytes all keys of the merge share: no more than those of the set (S1).
    pub(super) fn join_merge(&mut self, shared: usize) {
        debug_assert!(shared <= self.shared || self.items.is_empty(), "S1");
        self.merge_shared = shared;
    }

    /// The set's memory, to be used again.
    pub(super) fn into_memory(mut self) -> SetMemory {
        self.arena.clear();
        self.items.clear();
        SetMemory { arena: self.arena, items: self.items }
    }

    /// Steps to the next entry; false at the end.
    #[inline]
    pub(super) fn advance(&mut self) -> bool {
        let Some(item) = self.items.get(self.next) else { return false };
        self.short_key = item.0.to_be_bytes();
        self.next += 1;
        true
    }

    /// The entry stepped to.
    #[inline]
    pub(super) fn current(&self) -> SortEntry<'_> {
        let item = self.items[self.next - 1];
        match self.form {
            Form::Short(len) => {
                SortEntry { key: &self.short_key[..len], tag: item.short_tag(), payload: &[] }
            }
            _ => decode(&self.arena[item.offset()..]),
        }
    }

    /// Whether the last entry of the set is at most `other`.
    pub(super) fn ends_before(&self, other: SortEntry<'_>) -> bool {
        let Some(item) = self.items.last() else { return true };
        match self.form {
            Form::Short(len) => {
                SortEntry { key: &item.0.to_be_bytes()[..len], tag: item.short_tag(), payload: &[] } <= other
            }
            _ => decode(&self.arena[item.offset()..]) <= other,
        }
    }

    /// What the merge compares of the entry stepped to.
    #[inline]
    pub(super) fn front(&self) -> Front {
        let item = self.items[self.next - 1];
        match self.form {
            Form::Short(len) => {
                let head = ((item.0 & !SHORT_TAG_MASK) << (8 * self.merge_shared)) >> 32;
                Front::exact(head, len, item.short_tag())
            }
            // The arena is left alone: an item's bytes are seldom near those of the one before.
            _ if self.shared == self.merge_shared => Front::of_head(item.head()),
            _ => front_of(decode(&self.arena[item.offset()..]), self.merge_shared),
        }
    }
}

/// What a merge compares of an entry at hand.
#[inline]
pub(super) fn front_of(entry: SortEntry<'_>, shared: usize) -> Front {
    let suffix = &entry.key[shared..];
    let head = u128::from(head(suffix));
    if suffix.len() <= HEAD_BYTES {
        Front::exact(head, entry.key.len(), entry.tag)
    } else {
        Front::of_head(head)
    }
}
