//! Log records: making, encoding and decoding them.
//!
//! # On-disk layout, little-endian
//! A record begins at a multiple of 8 and may span segments.
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 4 | length with this header, without padding |
//! | 4 | 4 | CRC32, seeded with the system identifier, of the body and then of the other header fields |
//! | 8 | 8 | the record's own position |
//! | 16 | 8 | transaction, or zero |
//! | 24 | 4 | incarnation: raised each time a directory is opened |
//! | 28 | 1 | resource manager |
//! | 29 | 1 | the manager's kind of record |
//! | 30 | 1 | number of pages |
//! | 31 | 1 | how much of the log before the record was not known to be durable when it was appended: 0 says nothing, 1 nothing of it, n fewer than 2^(n-1) bytes |
//!
//! The body: for each page its header (a byte of flags; database u32 and file u64 unless as before; block u32; length
//! of the data u16; if there is an image, its length u16; if that leaves out the hole between slots and rows, where it
//! starts and how long it is, u16 each), then its data, then its image. Then the main data up to the end.

use std::cell::RefCell;

use ochre_base::limits::PAGE_SIZE;
use ochre_base::{BlockNo, Fork, Lsn, PageKey, Xid};
use smallvec::SmallVec;

use super::{BlockFlags, RmgrId};
use crate::files::{ForkKey, RelationKey};
use crate::page::Page;
use crate::records::Fields;

/// Bytes of a record's header.
pub(crate) const HEADER_BYTES: usize = 32;
/// No record is longer: a length beyond it is garbage.
pub(crate) const MAX_RECORD_BYTES: usize = 1 << 30;
/// Records begin at multiples of this.
pub(crate) const ALIGNMENT: u64 = 8;
/// Pages that one record can be about.
pub const MAX_BLOCKS: usize = 32;

const FORK_BITS: u8 = 3;
const INIT: u8 = 1 << 2;
const HAS_IMAGE: u8 = 1 << 3;
const COMPRESSED: u8 = 1 << 4;
const HAS_HOLE: u8 = 1 << 5;
const SAME_RELATION: u8 = 1 << 6;

/// A log record in the making. Reuse one with [`RecordBuilder::reset`] to save its allocations.
///
/// ```text
/// let mut record = RecordBuilder::new(RmgrId::HEAP, HEAP_INSERT, xid);
/// record.main(&header);                                  // facts of the record as a whole
/// record.block(BlockFlags::CHANGE).block_data(&row);     // pages[0]
/// wal.append(&record, &mut [&mut page])?;
/// ```
pub struct RecordBuilder {
    pub(super) rmgr: RmgrId,
    pub(super) info: u8,
    pub(super) xid: Xid,
    main: SmallVec<[u8; 64]>,
    blocks: SmallVec<[BlockPart; 4]>,
    /// Data of all pages, one after the other.
    data: SmallVec<[u8; 256]>,
}

struct BlockPart {
    flags: BlockFlags,
    data_end: usize,
}

impl RecordBuilder {
    /// A record of resource manager `rmgr`, whose own kind is `info`, on behalf of `xid` ([`Xid::NONE`] is fine).
    pub fn new(rmgr: RmgrId, info: u8, xid: Xid) -> RecordBuilder {
        RecordBuilder {
            rmgr,
            info,
            xid,
            main: SmallVec::new(),
            blocks: SmallVec::new(),
            data: SmallVec::new(),
        }
    }

    /// Empties the builder for another record.
    pub fn reset(&mut self, rmgr: RmgrId, info: u8, xid: Xid) -> &mut Self {
        (self.rmgr, self.info, self.xid) = (rmgr, info, xid);
        self.main.clear();
        self.blocks.clear();
        self.data.clear();
        self
    }

    /// Appends to the record's main data.
    pub fn main(&mut self, bytes: &[u8]) -> &mut Self {
        self.main.extend_from_slice(bytes);
        self
    }

    /// Adds the next page: the n-th call is about the n-th guard given to [`crate::Wal::append`].
    ///
    /// # Panics
    /// When there are [`MAX_BLOCKS`] already.
    pub fn block(&mut self, flags: BlockFlags) -> &mut Self {
        assert!(self.blocks.len() < MAX_BLOCKS, "a record is about at most {MAX_BLOCKS} pages");
        self.blocks.push(BlockPart { flags, data_end: self.data.len() });
        self
    }

    /// Appends to the data of the page added last. At most 65,535 bytes a page.
    ///
    /// # Panics
    /// When no page was added, or its data becomes longer.
    pub fn block_data(&mut self, bytes: &[u8]) -> &mut Self {
        let start = self.block_data_start(self.blocks.len().checked_sub(1).expect("a page was added"));
        self.data.extend_from_slice(bytes);
        assert!(self.data.len() - start <= usize::from(u16::MAX), "data of one page is too long");
        self.blocks.last_mut().expect("a page was added").data_end = self.data.len();
        self
    }

    /// How many pages it is about.
    pub fn block_count(&self) -> usize {
        self.blocks.len()
    }

    /// Bytes that the record takes at most in the log, if no images go along.
    pub(super) fn len_at_most(&self) -> usize {
        HEADER_BYTES + self.blocks.len() * 32 + self.data.len() + self.main.len() + ALIGNMENT as usize
    }

    pub(super) fn block_flags(&self, index: usize) -> BlockFlags {
        self.blocks[index].flags
    }

    fn block_data_start(&self, index: usize) -> usize {
        index.checked_sub(1).map_or(0, |before| self.blocks[before].data_end)
    }

    /// Writes header (with length, but without position, incarnation and CRC) and body to `out`.
    pub(super) fn encode<'p>(
        &self,
        page: impl Fn(usize) -> (PageKey, &'p Page),
        images: Images,
        out: &mut Vec<u8>,
    ) {
        out.clear();
        out.resize(HEADER_BYTES, 0);
        let mut previous: Option<RelationKey> = None;
        for (index, part) in self.blocks.iter().enumerate() {
            let (key, page) = page(index);
            let relation = ForkKey::of(key).relation;
            let data = &self.data[self.block_data_start(index)..part.data_end];
            let image = (images.pages & (1 << index) != 0).then_some((page, images.compressed));
            encode_block(key, part.flags, previous == Some(relation), data, image, out);
            previous = Some(relation);
        }
        out.extend_from_slice(&self.main);
        assert!(out.len() <= MAX_RECORD_BYTES, "a log record of {} bytes", out.len());
        let length = (out.len() as u32).to_le_bytes();
        out[0..4].copy_from_slice(&length);
        out[16..24].copy_from_slice(&self.xid.0.to_le_bytes());
        out[28] = self.rmgr.0;
        out[29] = self.info;
        out[30] = self.blocks.len() as u8;
    }
}

/// Which pages of a record go along whole, and how.
#[derive(Debug, Clone, Copy)]
pub(super) struct Images {
    /// Bit n stands for page n.
    pub(super) pages: u32,
    /// Whether to try to make them shorter.
    pub(super) compressed: bool,
}

fn encode_block(
    key: PageKey,
    flags: BlockFlags,
    same_relation: bool,
    data: &[u8],
    image: Option<(&Page, bool)>,
    out: &mut Vec<u8>,
) {
    let flags_at = out.len();
    let mut bits = key.fork as u8;
    out.push(0);
    if flags == BlockFlags::INIT {
        bits |= INIT;
    }
    if same_relation {
        bits |= SAME_RELATION;
    } else {
        out.extend_from_slice(&key.database.0.to_le_bytes());
        out.extend_from_slice(&key.file.0.to_le_bytes());
    }
    out.extend_from_slice(&key.block.0.to_le_bytes());
    out.extend_from_slice(&(data.len() as u16).to_le_bytes());
    match image {
        Some((page, compressed)) => bits |= HAS_IMAGE | encode_image(page, compressed, data, out),
        None => out.extend_from_slice(data),
    }
    out[flags_at] = bits;
}

thread_local! {
    static COMPRESSION: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Writes the image's part of the block header, the data and the image; returns the flags that describe the image.
fn encode_image(page: &Page, compressed: bool, data: &[u8], out: &mut Vec<u8>) -> u8 {
    let mut bits = 0;
    let length_at = out.len();
    out.extend_from_slice(&[0; 2]);
    let (lower, upper) = (page.lower(), page.upper());
    let (before, after) = if !page.is_unused() && page.verify_layout().is_ok() && lower < upper {
        bits |= HAS_HOLE;
        out.extend_from_slice(&lower.to_le_bytes());
        out.extend_from_slice(&(upper - lower).to_le_bytes());
        (&page.bytes()[..lower as usize], &page.bytes()[upper as usize..])
    } else {
        page.bytes().split_at(PAGE_SIZE)
    };
    out.extend_from_slice(data);
    let image_at = out.len();
    out.extend_from_slice(before);
    out.extend_from_slice(after);
    if compressed && compress_tail(out, image_at) {
        bits |= COMPRESSED;
    }
    let length = (out.len() - image_at) as u16;
    out[length_at..length_at + 2].copy_from_slice(&length.to_le_bytes());
    bits
}

/// Compresses what stands from `at` on, if that makes it shorter; says whether it did.
fn compress_tail(out: &mut Vec<u8>, at: usize) -> bool {
    COMPRESSION.with_borrow_mut(|shorter| {
        shorter.resize(lz4_flex::block::get_maximum_output_size(PAGE_SIZE), 0);
        match lz4_flex::block::compress_into(&out[at..], shorter) {
            Ok(length) if length < out.len() - at => {
                out.truncate(at);
                out.extend_from_slice(&shorter[..length]);
                true
            }
            _ => false,
        }
    })
}

/// Completes an encoded record with what is known only once its position is. `unflushed` are the bytes before it that
/// are not known to be durable.
pub(super) fn seal(record: &mut [u8], body_crc: u32, start: Lsn, incarnation: u32, unflushed: Option<u64>) {
    record[8..16].copy_from_slice(&start.0.to_le_bytes());
    record[24..28].copy_from_slice(&incarnation.to_le_bytes());
    record[31] = match unflushed {
        None => 0,
        Some(0) => 1,
        Some(bytes) => 2 + bytes.ilog2() as u8,
    };
    let crc = header_crc(record, body_crc);
    record[4..8].copy_from_slice(&crc.to_le_bytes());
}

/// Makes the checksum of a record fit its bytes.
pub(crate) fn reseal(record: &mut [u8], seed: u32) {
    let crc = header_crc(record, body_crc(record, seed));
    record[4..8].copy_from_slice(&crc.to_le_bytes());
}

pub(super) fn body_crc(record: &[u8], seed: u32) -> u32 {
    let mut crc = crc32fast::Hasher::new_with_initial(seed);
    crc.update(&record[HEADER_BYTES..]);
    crc.finalize()
}

fn header_crc(record: &[u8], body_crc: u32) -> u32 {
    let mut crc = crc32fast::Hasher::new_with_initial(body_crc);
    crc.update(&record[0..4]);
    crc.update(&record[8..HEADER_BYTES]);
    crc.finalize()
}

/// The fields of a record's header.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Header {
    pub(crate) length: usize,
    crc: u32,
    pub(crate) start: Lsn,
    xid: Xid,
    pub(crate) incarnation: u32,
    rmgr: RmgrId,
    info: u8,
    blocks: u8,
    unflushed: u8,
}

impl Header {
    pub(crate) fn decode(bytes: &[u8; HEADER_BYTES]) -> Header {
        let u32_at =
            |at: usize| u32::from_le_bytes(*bytes[at..].first_chunk().expect("a field of the header"));
        let u64_at =
            |at: usize| u64::from_le_bytes(*bytes[at..].first_chunk().expect("a field of the header"));
        Header {
            length: u32_at(0) as usize,
            crc: u32_at(4),
            start: Lsn(u64_at(8)),
            xid: Xid(u64_at(16)),
            incarnation: u32_at(24),
            rmgr: RmgrId(bytes[28]),
            info: bytes[29],
            blocks: bytes[30],
            unflushed: bytes[31],
        }
    }

    /// Everything before this was durable when the record was appended, if it tells.
    pub(crate) fn durable_before(&self) -> Option<Lsn> {
        let bytes = match self.unflushed {
            0 => return None,
            1 => 0,
            code => 1_u64.checked_shl(u32::from(code) - 1)?,
        };
        self.start.0.checked_sub(bytes).map(Lsn)
    }

    pub(crate) fn is_plausible(&self, at: Lsn) -> bool {
        (HEADER_BYTES..=MAX_RECORD_BYTES).contains(&self.length) && self.start == at
    }
}

pub(crate) const fn aligned_end(start: u64, length: usize) -> u64 {
    (start + length as u64).next_multiple_of(ALIGNMENT)
}

/// A record read back.
pub struct WalRecord<'a> {
    /// Its first byte.
    pub start: Lsn,
    /// Behind its last byte.
    pub end: Lsn,
    /// Under which incarnation it was written.
    pub incarnation: u32,
    /// Bytes that it takes in the log.
    pub length: usize,
    /// Whose it is.
    pub rmgr: RmgrId,
    /// The owner's kind of record.
    pub info: u8,
    /// On whose behalf.
    pub xid: Xid,
    /// The pages concerned.
    pub blocks: SmallVec<[BlockView<'a>; 1]>,
    /// The main data.
    pub main: &'a [u8],
}

/// A page's part in a record read back.
pub struct BlockView<'a> {
    /// Which page.
    pub key: PageKey,
    /// How it takes part.
    pub flags: BlockFlags,
    /// Whether an image of the whole page went along.
    pub has_image: bool,
    /// The data given for it.
    pub data: &'a [u8],
    image: Option<Image<'a>>,
}

struct Image<'a> {
    bytes: &'a [u8],
    compressed: bool,
    hole_start: u16,
    hole_len: u16,
}

impl<'a> WalRecord<'a> {
    /// Checks and decodes a whole record. `None` when it is not what was written at this position.
    #[inline]
    pub(crate) fn decode(bytes: &'a [u8], at: Lsn, crc_seed: u32) -> Option<WalRecord<'a>> {
        let header = Header::decode(bytes.first_chunk()?);
        if !header.is_plausible(at) || header.length != bytes.len() {
            return None;
        }
        if header_crc(bytes, body_crc(bytes, crc_seed)) != header.crc {
            return None;
        }
        WalRecord::parse(bytes, at)
    }

    /// Decodes a record that has been checked.
    #[inline]
    pub(crate) fn parse(bytes: &'a [u8], at: Lsn) -> Option<WalRecord<'a>> {
        let header = Header::decode(bytes.first_chunk()?);
        let mut fields = Fields(&bytes[HEADER_BYTES..]);
        let mut blocks = SmallVec::with_capacity(header.blocks.into());
        let mut previous = None;
        for _ in 0..header.blocks {
            let block = decode_block(&mut fields, previous).ok()?;
            previous = Some(ForkKey::of(block.key).relation);
            blocks.push(block);
        }
        Some(WalRecord {
            start: at,
            end: Lsn(aligned_end(at.0, header.length)),
            incarnation: header.incarnation,
            length: header.length,
            rmgr: header.rmgr,
            info: header.info,
            xid: header.xid,
            blocks,
            main: fields.0,
        })
    }
}

#[inline]
fn decode_block<'a>(
    fields: &mut Fields<'a>,
    previous: Option<RelationKey>,
) -> ochre_base::Result<BlockView<'a>> {
    let damaged = || ochre_base::Error::corrupt("a log record's page header is damaged");
    let bits = fields.u8()?;
    let relation = match previous {
        Some(relation) if bits & SAME_RELATION != 0 => relation,
        _ if bits & SAME_RELATION != 0 => return Err(damaged()),
        _ => fields.relation()?,
    };
    let fork = Fork::from_u8(bits & FORK_BITS).ok_or_else(damaged)?;
    let key = relation.fork(fork).page(BlockNo(fields.u32()?));
    let data_len = usize::from(fields.u16()?);
    let mut image_len = 0;
    let (mut hole_start, mut hole_len) = (0, 0);
    if bits & HAS_IMAGE != 0 {
        image_len = usize::from(fields.u16()?);
        if bits & HAS_HOLE != 0 {
            hole_start = fields.u16()?;
            hole_len = fields.u16()?;
        }
    }
    if usize::from(hole_start) + usize::from(hole_len) > PAGE_SIZE {
        return Err(damaged());
    }
    let data = fields.bytes(data_len)?;
    let image_bytes = fields.bytes(image_len)?;
    let has_image = bits & HAS_IMAGE != 0;
    let image = has_image.then_some(Image {
        bytes: image_bytes,
        compressed: bits & COMPRESSED != 0,
        hole_start,
        hole_len,
    });
    let flags = if bits & INIT != 0 { BlockFlags::INIT } else { BlockFlags::CHANGE };
    Ok(BlockView { key, flags, has_image, data, image })
}

impl BlockView<'_> {
    /// Bytes that the page's image takes in the log.
    pub fn image_bytes(&self) -> usize {
        self.image.as_ref().map_or(0, |image| image.bytes.len())
    }

    /// Makes `page` what the image says; false when there is none or it is damaged.
    pub(crate) fn restore(&self, page: &mut Page) -> bool {
        let Some(image) = &self.image else { return false };
        let (hole_start, hole_len) = (usize::from(image.hole_start), usize::from(image.hole_len));
        let kept = PAGE_SIZE - hole_len;
        let mut buffer = [0; PAGE_SIZE];
        let whole = if image.compressed {
            match lz4_flex::block::decompress_into(image.bytes, &mut buffer[..kept]) {
                Ok(length) if length == kept => &buffer[..kept],
                _ => return false,
            }
        } else if image.bytes.len() == kept {
            image.bytes
        } else {
            return false;
        };
        let bytes = page.bytes_mut();
        let after = hole_start + hole_len;
        bytes[..hole_start].copy_from_slice(&whole[..hole_start]);
        bytes[hole_start..after].fill(0);
        bytes[after..].copy_from_slice(&whole[hole_start..]);
        true
    }
}

#[cfg(test)]
mod tests {
    use ochre_base::{FileId, Oid};

    use super::*;
    use crate::page::PageKind;

    fn pages() -> Vec<(PageKey, Page)> {
        let mut all = Vec::new();
        for n in 0..3u32 {
            let mut page = Page::zeroed();
            page.format(PageKind::HEAP, 16);
            for i in 0..20 {
                assert!(page.insert_slot(i, &[n as u8 + i as u8; 37], 1));
            }
            let fork = if n == 2 { Fork::History } else { Fork::Main };
            all.push((RelationKey::new(Oid(5), FileId(9)).fork(fork).page(BlockNo(n)), page));
        }
        all.push((RelationKey::new(Oid(6), FileId(10)).main_page(BlockNo(77)), Page::zeroed()));
        all
    }

    fn sample(images: u32) -> Vec<u8> {
        sample_of(Images { pages: images, compressed: false })
    }

    fn sample_of(images: Images) -> Vec<u8> {
        let pages = pages();
        let mut record = RecordBuilder::new(RmgrId::HEAP, 7, Xid(99));
        record.main(b"main ").main(b"data");
        record.block(BlockFlags::CHANGE).block_data(b"first");
        record.block(BlockFlags::INIT);
        record.block(BlockFlags::CHANGE).block_data(b"thi").block_data(b"rd");
        record.block(BlockFlags::IMAGE);
        let mut out = Vec::new();
        record.encode(|n| (pages[n].0, &pages[n].1), images, &mut out);
        let crc = body_crc(&out, 5);
        seal(&mut out, crc, Lsn(4096), 3, Some(100));
        out
    }

    #[test]
    fn records_decode_to_what_was_encoded() {
        let [plain, compressed] =
            [false, true].map(|compressed| sample_of(Images { pages: 0b1001, compressed }));
        assert!(compressed.len() < plain.len());
        decodes_to_the_sample(&plain);
        decodes_to_the_sample(&compressed);
    }

    fn decodes_to_the_sample(bytes: &[u8]) {
        let record = WalRecord::decode(bytes, Lsn(4096), 5).unwrap();
        assert_eq!((record.rmgr, record.info, record.xid), (RmgrId::HEAP, 7, Xid(99)));
        assert_eq!(record.main, b"main data");
        assert_eq!((record.incarnation, record.end.0 % 8), (3, 0));
        let expected = pages();
        for (block, (key, _)) in record.blocks.iter().zip(&expected) {
            assert_eq!(block.key, *key);
        }
        let data: Vec<&[u8]> = record.blocks.iter().map(|b| b.data).collect();
        assert_eq!(data, [&b"first"[..], b"", b"third", b""]);
        assert_eq!(record.blocks[1].flags, BlockFlags::INIT);
        let mut page = Page::zeroed();
        page.bytes_mut().fill(0xff);
        assert!(record.blocks[0].restore(&mut page));
        assert!(page.bytes() == expected[0].1.bytes(), "the image restores the page");
        assert!(record.blocks[3].restore(&mut page));
        assert!(page.is_unused());
        assert!(!record.blocks[2].restore(&mut page));
    }

    #[test]
    fn a_record_tells_what_was_durable_before_it() {
        for (unflushed, expected) in [
            (None, None),
            (Some(0), Some(4096)),
            (Some(1), Some(4094)),
            (Some(100), Some(4096 - 128)),
            (Some(1 << 40), None),
        ] {
            let mut out = vec![0; HEADER_BYTES];
            seal(&mut out, 0, Lsn(4096), 1, unflushed);
            let header = Header::decode(out.first_chunk().unwrap());
            assert_eq!(header.durable_before(), expected.map(Lsn), "{unflushed:?}");
        }
    }

    #[test]
    fn a_record_validates_only_whole_in_its_place_and_cluster() {
        let bytes = sample(0b0110);
        assert!(WalRecord::decode(&bytes, Lsn(4096), 5).is_some());
        assert!(WalRecord::decode(&bytes, Lsn(8192), 5).is_none(), "another position");
        assert!(WalRecord::decode(&bytes, Lsn(4096), 6).is_none(), "another system identifier");
        assert!(WalRecord::decode(&bytes[..bytes.len() - 1], Lsn(4096), 5).is_none(), "cut");
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x10;
            assert!(WalRecord::decode(&damaged, Lsn(4096), 5).is_none(), "byte {at} changed");
        }
    }
}
