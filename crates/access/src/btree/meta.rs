//! The meta page, block 0 of an index.
//!
//! # On-disk layout
//! After the common header, little-endian: format version (4), head of the list of free pages (4, 0: none), fillfactor
//! in percent (2), reserved (6). A free page is marked deleted and its left link is the next free page.

use ochre_base::BlockNo;
use ochre_storage::page::PAGE_HEADER_BYTES;
use ochre_storage::{Page, PageKind};

/// The format that this release writes.
pub(crate) const VERSION: u32 = 1;
/// Where the meta page is.
pub(crate) const BLOCK: BlockNo = BlockNo(0);

const VERSION_AT: usize = PAGE_HEADER_BYTES;
const FREE_HEAD_AT: usize = PAGE_HEADER_BYTES + 4;
const FILLFACTOR_AT: usize = PAGE_HEADER_BYTES + 8;
const END: usize = PAGE_HEADER_BYTES + 16;

/// In the common header: this page is the meta page.
const KIND_NUMBER: u16 = 1;

pub(crate) fn init(page: &mut Page, fillfactor: u16) {
    page.format(PageKind::BTREE, 0);
    page.set_kind_number(KIND_NUMBER);
    page.put_u32(VERSION_AT, VERSION);
    page.put_u16(FILLFACTOR_AT, fillfactor);
    // The fields stand where slots would: page images keep what is below `lower`, the field at 14.
    page.put_u16(14, END as u16);
}

/// Whether this is a meta page of a format we know.
pub(crate) fn is_valid(page: &Page) -> bool {
    page.kind() == PageKind::BTREE && page.kind_number() == KIND_NUMBER && version(page) <= VERSION
}

pub(crate) fn version(page: &Page) -> u32 {
    page.u32_at(VERSION_AT)
}

pub(crate) fn fillfactor(page: &Page) -> u16 {
    page.u16_at(FILLFACTOR_AT)
}

pub(crate) fn free_head(page: &Page) -> Option<BlockNo> {
    let block = page.u32_at(FREE_HEAD_AT);
    (block != 0).then_some(BlockNo(block))
}

pub(crate) fn set_free_head(page: &mut Page, block: Option<BlockNo>) {
    page.put_u32(FREE_HEAD_AT, block.map_or(0, |block| block.0));
}
