//! Slotted pages: numbered slots that point at rows of bytes.
//!
//! # On-disk layout
//! A slot is a u32: bits 0-13 the row's offset, 14-15 flag bits 0-1, 16-29 the row's length, 30-31 flag bits 2-3.
//! A slot of zero is unused. A slot with flags but without offset and length holds only its flags (a dead row).
//!
//! # Two ways to use it
//! - A heap gives a slot's number away for life: [`Page::place_row`], [`Page::clear_slot`].
//! - An index keeps slots in order: [`Page::insert_slot`] and [`Page::remove_slot`] move those behind.
//!
//! Both leave holes between rows, which [`Page::compact`] closes without changing any slot's number.
//!
//! # Invariants
//! - S1: a row lies between `upper` and `special` and overlaps no other.
//! - S2: a slot's number is below [`Page::slot_count`], which is `(lower - 24) / 4`.

use ochre_base::limits::PAGE_SIZE;

use crate::page::{PAGE_HEADER_BYTES, Page};

/// Bytes of one slot.
pub const SLOT_BYTES: usize = 4;
/// Slots that fit on a page at most.
pub const MAX_SLOTS: usize = (PAGE_SIZE - PAGE_HEADER_BYTES) / SLOT_BYTES;

/// A slot: where its row lies, and four bits for the kind of page to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Slot {
    /// Offset of the row's first byte, or zero.
    pub offset: u16,
    /// Bytes of the row.
    pub len: u16,
    /// Four bits of the kind's own.
    pub flags: u8,
}

impl Slot {
    /// The slot that holds nothing.
    pub const UNUSED: Slot = Slot { offset: 0, len: 0, flags: 0 };

    /// Whether the slot holds nothing, not even flags.
    pub const fn is_unused(self) -> bool {
        self.offset == 0 && self.len == 0 && self.flags == 0
    }

    /// Whether the slot points at bytes.
    #[inline]
    pub const fn has_row(self) -> bool {
        self.offset != 0
    }

    #[inline]
    const fn decode(raw: u32) -> Slot {
        Slot {
            offset: (raw & 0x3fff) as u16,
            len: ((raw >> 16) & 0x3fff) as u16,
            flags: (((raw >> 14) & 3) | ((raw >> 28) & 0xc)) as u8,
        }
    }

    const fn encode(self) -> u32 {
        let flags = self.flags as u32;
        (self.offset as u32) | ((flags & 3) << 14) | ((self.len as u32) << 16) | ((flags & 0xc) << 28)
    }

    #[inline]
    fn range(self) -> std::ops::Range<usize> {
        self.offset as usize..self.offset as usize + self.len as usize
    }
}

impl Page {
    /// How many slots the page has, used or not (S2). Zero on an unused page.
    #[inline]
    pub fn slot_count(&self) -> u16 {
        self.lower().saturating_sub(PAGE_HEADER_BYTES as u16) / SLOT_BYTES as u16
    }

    /// All slots in the order of their numbers.
    #[inline]
    pub fn slots(&self) -> impl ExactSizeIterator<Item = Slot> + '_ {
        self.raw_slots().map(Slot::decode)
    }

    #[inline]
    fn raw_slots(&self) -> impl ExactSizeIterator<Item = u32> + '_ {
        let raw = &self.bytes()[PAGE_HEADER_BYTES..][..self.slot_count() as usize * SLOT_BYTES];
        raw.as_chunks().0.iter().map(|raw| u32::from_le_bytes(*raw))
    }

    /// A slot; unused when the page does not have it.
    #[inline]
    pub fn slot(&self, number: u16) -> Slot {
        if number >= self.slot_count() {
            return Slot::UNUSED;
        }
        Slot::decode(self.u32_at(slot_offset(number)))
    }

    /// Overwrites a slot, for instance to change its flags.
    ///
    /// # Panics
    /// When the page does not have it (S2).
    pub fn set_slot(&mut self, number: u16, slot: Slot) {
        assert!(number < self.slot_count(), "S2: slot {number} of {}", self.slot_count());
        debug_assert!(slot.flags < 16, "a slot has four flag bits");
        self.put_u32(slot_offset(number), slot.encode());
    }

    /// The bytes that a slot points at; `None` when it points at none, or beyond the page.
    #[inline]
    pub fn row(&self, number: u16) -> Option<&[u8]> {
        self.row_of(self.slot(number))
    }

    /// As [`Page::row`], of a slot that has been read.
    #[inline]
    pub fn row_of(&self, slot: Slot) -> Option<&[u8]> {
        if slot.has_row() { self.bytes().get(slot.range()) } else { None }
    }

    /// The bytes that a slot points at, to be changed in place.
    #[inline]
    pub fn row_mut(&mut self, number: u16) -> Option<&mut [u8]> {
        let slot = self.slot(number);
        if slot.has_row() { self.bytes_mut().get_mut(slot.range()) } else { None }
    }

    /// Bytes between slots and rows. A new slot takes four of them besides its row.
    #[inline]
    pub fn free_contiguous(&self) -> usize {
        self.upper().saturating_sub(self.lower()) as usize
    }

    /// Bytes that would lie between slots and rows after [`Page::compact`].
    pub fn free_total(&self) -> usize {
        // Of slots as they are stored: the loop has no branch.
        let len = |raw: u32| if raw & 0x3fff != 0 { raw >> 16 & 0x3fff } else { 0 };
        let rows = self.raw_slots().map(len).sum::<u32>() as usize;
        (self.special_start() as usize).saturating_sub(self.lower() as usize + rows)
    }

    /// The lowest unused slot, or the number that a new slot would get.
    pub fn first_unused_slot(&self) -> u16 {
        self.raw_slots().position(|raw| raw == 0).map_or(self.slot_count(), |at| at as u16)
    }

    /// Puts a row into slot `number`, which is unused or not there yet; slots that come to lie between are unused.
    /// Compacts the page when only that makes room. Returns false, with the page unchanged, when it does not fit.
    ///
    /// # Panics
    /// When the slot is in use.
    pub fn place_row(&mut self, number: u16, row: &[u8], flags: u8) -> bool {
        assert!(!self.slot(number).has_row(), "slot {number} is in use");
        let new_slots = (number as usize + 1).saturating_sub(self.slot_count() as usize);
        if !self.make_room(new_slots * SLOT_BYTES, row.len()) {
            return false;
        }
        let lower = self.lower();
        let new_lower = lower + (new_slots * SLOT_BYTES) as u16;
        self.bytes_mut()[lower as usize..new_lower as usize].fill(0);
        self.set_lower(new_lower);
        let offset = self.push_row(row);
        self.set_slot(number, Slot { offset, len: row.len() as u16, flags });
        true
    }

    /// Inserts a row as slot `number` and moves that slot and those behind it by one.
    /// Compacts the page when only that makes room. Returns false, with the page unchanged, when it does not fit.
    ///
    /// # Panics
    /// When `number` is beyond the slot that would be the last.
    pub fn insert_slot(&mut self, number: u16, row: &[u8], flags: u8) -> bool {
        let count = self.slot_count();
        assert!(number <= count, "S2: insert as slot {number} of {count}");
        if !self.make_room(SLOT_BYTES, row.len()) {
            return false;
        }
        let (start, end) = (slot_offset(number), slot_offset(count));
        self.bytes_mut().copy_within(start..end, start + SLOT_BYTES);
        self.set_lower((end + SLOT_BYTES) as u16);
        let offset = self.push_row(row);
        self.set_slot(number, Slot { offset, len: row.len() as u16, flags });
        true
    }

    /// Removes slot `number`; those behind it move by one. Its row's bytes become a hole.
    ///
    /// # Panics
    /// When the page does not have it.
    pub fn remove_slot(&mut self, number: u16) {
        let count = self.slot_count();
        assert!(number < count, "S2: remove slot {number} of {count}");
        self.release_row_bytes(self.slot(number));
        let (start, end) = (slot_offset(number), slot_offset(count));
        self.bytes_mut().copy_within(start + SLOT_BYTES..end, start);
        self.set_lower((end - SLOT_BYTES) as u16);
    }

    /// Makes slot `number` unused; no other slot moves. Its row's bytes become a hole.
    ///
    /// # Panics
    /// When the page does not have it.
    pub fn clear_slot(&mut self, number: u16) {
        self.release_row_bytes(self.slot(number));
        self.set_slot(number, Slot::UNUSED);
    }

    /// Replaces the row of slot `number`, in place when it is not longer. Compacts the page when only that makes
    /// room. Returns false, with the row unchanged, when it does not fit.
    ///
    /// # Panics
    /// When the slot has no row.
    pub fn replace_row(&mut self, number: u16, row: &[u8], flags: u8) -> bool {
        let old = self.slot(number);
        assert!(old.has_row(), "slot {number} has no row to replace");
        let len = row.len() as u16;
        if row.len() <= old.len as usize {
            let start = old.offset as usize;
            self.bytes_mut()[start..start + row.len()].copy_from_slice(row);
            self.set_slot(number, Slot { len, flags, ..old });
            return true;
        }
        if self.free_contiguous() < row.len() {
            if self.free_total() + (old.len as usize) < row.len() {
                return false;
            }
            self.set_slot(number, Slot::UNUSED);
            self.compact();
        }
        let offset = self.push_row(row);
        self.set_slot(number, Slot { offset, len, flags });
        true
    }

    /// Drops unused slots at the end.
    pub fn trim_slots(&mut self) {
        let mut count = self.slot_count();
        while count > 0 && self.slot(count - 1).is_unused() {
            count -= 1;
        }
        self.set_lower(slot_offset(count) as u16);
    }

    /// Moves all rows together, so that all free bytes lie between slots and rows. No slot's number changes.
    pub fn compact(&mut self) {
        let old = self.clone();
        let mut upper = self.special_start() as usize;
        for (number, slot) in (0..).zip(old.slots()) {
            if !slot.has_row() {
                continue;
            }
            upper -= slot.len as usize;
            self.bytes_mut()[upper..upper + slot.len as usize].copy_from_slice(&old.bytes()[slot.range()]);
            self.set_slot(number, Slot { offset: upper as u16, ..slot });
        }
        assert!(upper >= self.lower() as usize, "S1: rows of a page overlap its slots");
        self.set_upper(upper as u16);
    }

    /// Checks S1 and S2; says what is wrong.
    pub fn verify_slots(&self) -> Result<(), String> {
        self.verify_layout()?;
        let mut rows: Vec<Slot> = self.slots().filter(|s| s.has_row()).collect();
        rows.sort_unstable_by_key(|s| s.offset);
        let mut end = self.upper() as usize;
        for slot in rows {
            if (slot.offset as usize) < end {
                return Err(format!("row at offset {} begins before {end}", slot.offset));
            }
            end = slot.range().end;
        }
        if end > self.special_start() as usize {
            return Err(format!("a row ends at {end}, behind the start of the special area"));
        }
        Ok(())
    }

    fn make_room(&mut self, slot_bytes: usize, row_bytes: usize) -> bool {
        let needed = slot_bytes + row_bytes;
        if self.free_contiguous() >= needed {
            return true;
        }
        if self.free_total() < needed {
            return false;
        }
        self.compact();
        true
    }

    /// Copies a row to the start of the rows. The caller has made sure that it fits.
    fn push_row(&mut self, row: &[u8]) -> u16 {
        assert!(self.free_contiguous() >= row.len(), "S1: no room for a row");
        let upper = self.upper() as usize - row.len();
        self.bytes_mut()[upper..upper + row.len()].copy_from_slice(row);
        self.set_upper(upper as u16);
        upper as u16
    }

    /// Gives the bytes of the row that was placed last back at once; others stay a hole.
    fn release_row_bytes(&mut self, slot: Slot) {
        if slot.has_row() && slot.offset == self.upper() {
            self.set_upper(slot.range().end as u16);
        }
    }
}

#[inline]
const fn slot_offset(number: u16) -> usize {
    PAGE_HEADER_BYTES + number as usize * SLOT_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::PageKind;

    fn page() -> Page {
        let mut page = Page::zeroed();
        page.format(PageKind::HEAP, 8);
        page
    }

    #[test]
    fn slots_encode_all_their_bits() {
        for slot in [
            Slot { offset: 8191, len: 8168, flags: 15 },
            Slot { offset: 24, len: 0, flags: 5 },
            Slot { offset: 0, len: 0, flags: 10 },
        ] {
            assert_eq!(Slot::decode(slot.encode()), slot);
        }
    }

    #[test]
    fn a_heap_keeps_numbers() {
        let mut p = page();
        assert!(p.place_row(0, b"zero", 1));
        assert!(p.place_row(3, b"three", 2));
        assert_eq!(p.slot_count(), 4);
        assert_eq!(p.first_unused_slot(), 1);
        assert_eq!(p.row(1), None);
        p.clear_slot(0);
        assert_eq!(p.row(3), Some(&b"three"[..]));
        assert_eq!(p.slot(3).flags, 2);
        p.clear_slot(3);
        p.trim_slots();
        assert_eq!(p.slot_count(), 0);
        p.verify_slots().unwrap();
    }

    #[test]
    fn an_index_keeps_order() {
        let mut p = page();
        assert!(p.insert_slot(0, b"b", 0));
        assert!(p.insert_slot(0, b"a", 0));
        assert!(p.insert_slot(2, b"d", 0));
        assert!(p.insert_slot(2, b"c", 0));
        let all = |p: &Page| -> Vec<u8> { (0..p.slot_count()).map(|n| p.row(n).unwrap()[0]).collect() };
        assert_eq!(all(&p), b"abcd");
        p.remove_slot(1);
        assert_eq!(all(&p), b"acd");
        p.verify_slots().unwrap();
    }

    #[test]
    fn a_full_page_compacts_itself_and_then_says_no() {
        let mut p = page();
        let row = [7u8; 100];
        let mut n = 0;
        while p.insert_slot(n, &row, 0) {
            n += 1;
        }
        assert_eq!(n as usize, (PAGE_SIZE - PAGE_HEADER_BYTES - 8) / 104);
        p.remove_slot(0);
        p.remove_slot(10);
        assert!(p.insert_slot(0, &[9u8; 150], 0), "the two holes together make room");
        assert_eq!(p.row(0), Some(&[9u8; 150][..]));
        p.verify_slots().unwrap();
        assert!(!p.insert_slot(0, &row, 0));
    }

    #[test]
    fn a_row_is_replaced_by_a_longer_one() {
        let mut p = page();
        assert!(p.place_row(0, &[1; 4000], 0));
        assert!(p.place_row(1, &[2; 3000], 0));
        assert!(!p.replace_row(1, &[3; 5000], 0));
        assert_eq!(p.row(1), Some(&[2; 3000][..]));
        assert!(p.replace_row(1, &[3; 4000], 4));
        assert_eq!(p.row(0), Some(&[1; 4000][..]));
        assert_eq!(p.row(1), Some(&[3; 4000][..]));
        assert_eq!(p.slot(1).flags, 4);
        p.verify_slots().unwrap();
    }

    #[test]
    fn random_operations_agree_with_a_model() {
        let mut seed = 0x9e37_79b9_7f4a_7c15u64;
        let mut next = move |n: u64| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed % n
        };
        let mut p = page();
        let mut model: Vec<Option<Vec<u8>>> = Vec::new();
        for step in 0..20_000 {
            let row = vec![step as u8; next(300) as usize + 1];
            match next(4) {
                0 | 1 => {
                    let n = p.first_unused_slot();
                    if p.place_row(n, &row, 0) {
                        model.resize((n as usize + 1).max(model.len()), None);
                        model[n as usize] = Some(row);
                    }
                }
                2 if !model.is_empty() => {
                    let n = next(model.len() as u64) as usize;
                    if model[n].take().is_some() {
                        p.clear_slot(n as u16);
                    }
                }
                3 if !model.is_empty() => {
                    let n = next(model.len() as u64) as usize;
                    if model[n].is_some() && p.replace_row(n as u16, &row, 0) {
                        model[n] = Some(row);
                    }
                }
                _ => {}
            }
            p.verify_slots().unwrap();
        }
        for (n, row) in model.iter().enumerate() {
            assert_eq!(p.row(n as u16), row.as_deref());
        }
    }
}
