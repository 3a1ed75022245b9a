//! Pages: 8 KiB of bytes with a header that every kind of page shares.
//!
//! # On-disk layout, version 1, little-endian
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 8 | LSN: end of the last log record that changed the page |
//! | 8 | 4 | CRC32 of the page's address and of all its other bytes, set when written to disk |
//! | 12 | 2 | flags, free for the kind's use |
//! | 14 | 2 | lower: end of the slots |
//! | 16 | 2 | upper: start of the rows |
//! | 18 | 2 | special: start of the kind's own area, which reaches to the end of the page |
//! | 20 | 1 | layout version |
//! | 21 | 1 | kind of page ([`PageKind`]) |
//! | 22 | 2 | a number of the kind's own |
//! | 24 | | slots, growing up; free space; rows, growing down; special area |
//!
//! A later layout version can shorten the special area from the page's end to make room for an encryption tag.
//!
//! # Invariants
//! - P1: a page of zeros is a page that nobody uses. It has no checksum and no layout version.
//! - P2: on every other page `24 <= lower <= upper <= special <= 8192`.
//! - P3: the checksum covers the page's address, so a page written to the wrong place never validates.
//! - P4: bytes between lower and upper mean nothing: images in the log leave them out, and redo makes them zeros. A
//!   page that is not slotted keeps its data in the special area.

use ochre_base::limits::PAGE_SIZE;
use ochre_base::{Lsn, PageKey};

/// Bytes of the header that every page has.
pub const PAGE_HEADER_BYTES: usize = 24;
/// The layout that this release writes.
pub const PAGE_LAYOUT_VERSION: u8 = 1;

const LSN: usize = 0;
const CHECKSUM: usize = 8;
const FLAGS: usize = 12;
const LOWER: usize = 14;
const UPPER: usize = 16;
const SPECIAL: usize = 18;
const VERSION: usize = 20;
const KIND: usize = 21;
const KIND_NUMBER: usize = 22;

/// What a page holds, for those who inspect files; the storage layer itself does not care.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageKind(pub u8);

impl PageKind {
    /// Not said.
    pub const NONE: PageKind = PageKind(0);
    /// Newest versions of rows.
    pub const HEAP: PageKind = PageKind(1);
    /// Older versions of rows.
    pub const HISTORY: PageKind = PageKind(2);
    /// Pieces of large values.
    pub const OVERFLOW: PageKind = PageKind(3);
    /// Free-space map.
    pub const FREE_SPACE: PageKind = PageKind(4);
    /// All-visible map.
    pub const VISIBILITY: PageKind = PageKind(5);
    /// A page of a B+tree: meta, branch or leaf.
    pub const BTREE: PageKind = PageKind(6);

    /// The name in dumps.
    pub const fn name(self) -> &'static str {
        match self.0 {
            0 => "none",
            1 => "heap",
            2 => "history",
            3 => "overflow",
            4 => "free space",
            5 => "visibility",
            6 => "btree",
            _ => "unknown",
        }
    }
}

/// Says what is wrong with a page, of a kind, whose checksum and header are right.
pub type PageCheck = fn(PageKey, &Page) -> Result<(), String>;

/// The checks of pages by their kind.
#[derive(Clone)]
pub(crate) struct PageChecks([Option<PageCheck>; PageChecks::KINDS]);

impl PageChecks {
    /// More than there are kinds.
    const KINDS: usize = 16;

    /// Asks `check_of` for each kind.
    pub(crate) fn new(check_of: impl Fn(PageKind) -> Option<PageCheck>) -> PageChecks {
        PageChecks(std::array::from_fn(|kind| check_of(PageKind(kind as u8))))
    }

    /// Checks a page that was read from disk: its checksum and header, and what its kind asks for.
    pub(crate) fn verify(&self, key: PageKey, page: &Page) -> Result<(), String> {
        page.verify(key)?;
        self.verify_kind(key, page)
    }

    /// Checks what a page's kind asks for alone, its layout too: for pages that carry no checksum yet.
    pub(crate) fn verify_restored(&self, key: PageKey, page: &Page) -> Result<(), String> {
        if page.is_unused() {
            return Ok(());
        }
        page.verify_layout()?;
        self.verify_kind(key, page)
    }

    fn verify_kind(&self, key: PageKey, page: &Page) -> Result<(), String> {
        match self.0.get(usize::from(page.kind().0)).copied().flatten() {
            Some(check) if !page.is_unused() => check(key, page),
            _ => Ok(()),
        }
    }
}

/// The bytes of one page. The slot operations are in the module `slots`.
#[derive(Clone)]
#[repr(C, align(16))]
pub struct Page {
    bytes: [u8; PAGE_SIZE],
}

impl Page {
    /// A page of zeros: unused.
    pub const fn zeroed() -> Page {
        Page { bytes: [0; PAGE_SIZE] }
    }

    /// Makes this an empty slotted page with a special area of `special_bytes` at its end. The LSN stays. A page without
    /// slots, for instance of a map, puts all of its data there (P4).
    ///
    /// # Panics
    /// When the special area does not fit.
    pub fn format(&mut self, kind: PageKind, special_bytes: usize) {
        assert!(special_bytes <= PAGE_SIZE - PAGE_HEADER_BYTES, "P2: special area of {special_bytes} bytes");
        let lsn = self.lsn();
        self.bytes.fill(0);
        self.set_lsn(lsn);
        let special = (PAGE_SIZE - special_bytes) as u16;
        self.set_lower(PAGE_HEADER_BYTES as u16);
        self.set_upper(special);
        self.put_u16(SPECIAL, special);
        self.bytes[VERSION] = PAGE_LAYOUT_VERSION;
        self.bytes[KIND] = kind.0;
    }

    /// Makes this an unused page of zeros.
    pub fn clear(&mut self) {
        self.bytes.fill(0);
    }

    /// Whether nobody uses the page (P1).
    pub fn is_unused(&self) -> bool {
        // A formatted page always has a layout version, so one byte tells for pages in memory.
        self.bytes[VERSION] == 0
    }

    /// All bytes.
    #[inline]
    pub fn bytes(&self) -> &[u8; PAGE_SIZE] {
        &self.bytes
    }

    /// All bytes, to be changed.
    #[inline]
    pub fn bytes_mut(&mut self) -> &mut [u8; PAGE_SIZE] {
        &mut self.bytes
    }

    /// End of the last log record that changed the page.
    pub fn lsn(&self) -> Lsn {
        Lsn(self.u64_at(LSN))
    }

    /// Notes the end of the log record that changed the page. [`crate::Wal::append`] does it.
    pub fn set_lsn(&mut self, lsn: Lsn) {
        self.put_u64(LSN, lsn.0);
    }

    /// Flags of the kind's own.
    #[inline]
    pub fn flags(&self) -> u16 {
        self.u16_at(FLAGS)
    }

    /// Changes the kind's own flags.
    pub fn set_flags(&mut self, flags: u16) {
        self.put_u16(FLAGS, flags);
    }

    /// End of the slots.
    #[inline]
    pub fn lower(&self) -> u16 {
        self.u16_at(LOWER)
    }

    /// Start of the rows.
    #[inline]
    pub fn upper(&self) -> u16 {
        self.u16_at(UPPER)
    }

    /// Start of the kind's own area.
    #[inline]
    pub fn special_start(&self) -> u16 {
        self.u16_at(SPECIAL)
    }

    pub(crate) fn set_lower(&mut self, lower: u16) {
        self.put_u16(LOWER, lower);
    }

    pub(crate) fn set_upper(&mut self, upper: u16) {
        self.put_u16(UPPER, upper);
    }

    /// The kind's own area at the end of the page.
    pub fn special(&self) -> &[u8] {
        &self.bytes[self.special_start() as usize..]
    }

    /// The kind's own area, to be changed.
    pub fn special_mut(&mut self) -> &mut [u8] {
        let start = self.special_start() as usize;
        &mut self.bytes[start..]
    }

    /// The page's layout version.
    pub fn layout_version(&self) -> u8 {
        self.bytes[VERSION]
    }

    /// What the page holds.
    pub fn kind(&self) -> PageKind {
        PageKind(self.bytes[KIND])
    }

    /// A number of the kind's own in the header.
    pub fn kind_number(&self) -> u16 {
        self.u16_at(KIND_NUMBER)
    }

    /// Changes the kind's own number in the header.
    pub fn set_kind_number(&mut self, number: u16) {
        self.put_u16(KIND_NUMBER, number);
    }

    /// The little-endian number at an offset.
    ///
    /// # Panics
    /// When it does not lie on the page; so do the other accessors.
    #[inline]
    pub fn u16_at(&self, offset: usize) -> u16 {
        u16::from_le_bytes(*self.array_at(offset))
    }

    /// The little-endian number at an offset.
    #[inline]
    pub fn u32_at(&self, offset: usize) -> u32 {
        u32::from_le_bytes(*self.array_at(offset))
    }

    /// The little-endian number at an offset.
    #[inline]
    pub fn u64_at(&self, offset: usize) -> u64 {
        u64::from_le_bytes(*self.array_at(offset))
    }

    /// Writes a little-endian number at an offset.
    #[inline]
    pub fn put_u16(&mut self, offset: usize, value: u16) {
        self.bytes[offset..offset + 2].copy_from_slice(&value.to_le_bytes());
    }

    /// Writes a little-endian number at an offset.
    #[inline]
    pub fn put_u32(&mut self, offset: usize, value: u32) {
        self.bytes[offset..offset + 4].copy_from_slice(&value.to_le_bytes());
    }

    /// Writes a little-endian number at an offset.
    #[inline]
    pub fn put_u64(&mut self, offset: usize, value: u64) {
        self.bytes[offset..offset + 8].copy_from_slice(&value.to_le_bytes());
    }

    #[inline]
    fn array_at<const N: usize>(&self, offset: usize) -> &[u8; N] {
        self.bytes[offset..].first_chunk().expect("the field lies on the page")
    }

    /// The checksum in the header.
    pub fn checksum(&self) -> u32 {
        self.u32_at(CHECKSUM)
    }

    /// What the checksum of this page at this address must be (P3).
    pub fn compute_checksum(&self, key: PageKey) -> u32 {
        let mut address = [0; 17];
        address[0..8].copy_from_slice(&key.file.0.to_le_bytes());
        address[8..12].copy_from_slice(&key.block.0.to_le_bytes());
        address[12..16].copy_from_slice(&key.database.0.to_le_bytes());
        address[16] = key.fork as u8;
        let mut crc = crc32fast::Hasher::new();
        crc.update(&address);
        crc.update(&self.bytes[..CHECKSUM]);
        crc.update(&self.bytes[CHECKSUM + 4..]);
        crc.finalize()
    }

    /// Writes the checksum into the header, as is done to the copy that goes to disk.
    pub fn seal(&mut self, key: PageKey) {
        if self.is_unused() && self.bytes.iter().all(|b| *b == 0) {
            return; // P1
        }
        let checksum = self.compute_checksum(key);
        self.put_u32(CHECKSUM, checksum);
    }

    /// Checks a page that was read from disk; says what is wrong with it.
    pub fn verify(&self, key: PageKey) -> Result<(), String> {
        if self.is_unused() && self.bytes.iter().all(|b| *b == 0) {
            return Ok(()); // P1
        }
        let (found, expected) = (self.checksum(), self.compute_checksum(key));
        if found != expected {
            return Err(format!("page checksum is {found:#010x} where {expected:#010x} was computed"));
        }
        if self.is_unused() {
            return Err("page has data and no layout version".to_string());
        }
        if self.layout_version() > PAGE_LAYOUT_VERSION {
            return Err(format!(
                "page has layout version {}, newer than this release",
                self.layout_version()
            ));
        }
        self.verify_layout()
    }

    /// Checks P2 alone.
    pub fn verify_layout(&self) -> Result<(), String> {
        let (lower, upper, special) = (self.lower(), self.upper(), self.special_start());
        let in_order = PAGE_HEADER_BYTES <= lower as usize && lower <= upper && upper <= special;
        if !in_order || special as usize > PAGE_SIZE {
            return Err(format!("page header has lower {lower}, upper {upper}, special {special}"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use ochre_base::{BlockNo, FileId, Fork, Oid};

    use super::*;

    fn key(block: u32) -> PageKey {
        PageKey { database: Oid(5), file: FileId(77), fork: Fork::Main, block: BlockNo(block) }
    }

    #[test]
    fn a_sealed_page_validates_only_at_its_address_and_unchanged() {
        let mut page = Page::zeroed();
        page.format(PageKind::HEAP, 16);
        page.bytes_mut()[5000] = 42;
        page.seal(key(3));
        assert_eq!(page.verify(key(3)), Ok(()));
        assert!(page.verify(key(4)).is_err(), "P3");
        page.bytes_mut()[5000] = 43;
        assert!(page.verify(key(3)).is_err());
    }

    #[test]
    fn zeros_are_an_unused_page_and_garbage_is_not() {
        let mut page = Page::zeroed();
        assert!(page.is_unused());
        assert_eq!(page.verify(key(0)), Ok(()));
        page.bytes_mut()[8000] = 1;
        assert!(page.verify(key(0)).is_err(), "a page of zeros but for one byte is damaged");
    }

    #[test]
    fn a_header_out_of_order_is_reported() {
        let mut page = Page::zeroed();
        page.format(PageKind::BTREE, 0);
        page.set_lower(9000);
        page.seal(key(1));
        assert!(page.verify(key(1)).unwrap_err().contains("lower 9000"));
    }
}
