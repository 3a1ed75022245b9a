//! What is asked of heap, history and overflow pages when they come from disk.
//!
//! # Invariants
//! - Whoever reads or edits a page that passes stays on it: rows lie between the slots and the page's end, are as long as
//!   their kind needs, and take no more room together than there is (so [`Page::compact`] can place them anew). That
//!   they do not overlap costs a sort, and is left to `ochre check`.

use ochre_base::PageKey;
use ochre_base::limits::PAGE_SIZE;
use ochre_storage::page::PAGE_HEADER_BYTES;
use ochre_storage::slots::SLOT_BYTES;
use ochre_storage::{Page, PageKind};

use super::edit::kind;
use super::overflow::PIECE_HEADER_BYTES;
use super::version::{HOME_BYTES, VERSION_HEADER_BYTES};

/// Bytes of a forwarding stub.
const STUB_BYTES: usize = 8;
/// Where a version says how long its header is.
const HEADER_LENGTH_AT: usize = 23;

/// Whether bytes can be the item of a slot with these flags on a page of a kind.
pub(super) fn is_item(page: PageKind, flags: u8, item: &[u8]) -> bool {
    let home = match (flags, page) {
        (kind::ROW, PageKind::HEAP) | (kind::OLDER, PageKind::HEAP | PageKind::HISTORY) => 0,
        (kind::MOVED, PageKind::HEAP) => HOME_BYTES,
        (kind::FORWARD, PageKind::HEAP) => return item.len() >= STUB_BYTES,
        (kind::PIECE, PageKind::OVERFLOW) => return item.len() > PIECE_HEADER_BYTES,
        _ => return false,
    };
    // The length of the header is its last field.
    item.get(home + HEADER_LENGTH_AT).is_some_and(|length| {
        let header = usize::from(*length);
        header >= VERSION_HEADER_BYTES && home + header <= item.len()
    })
}

/// Says what is wrong with a page.
pub(super) fn check_page(_: PageKey, page: &Page) -> Result<(), String> {
    let (upper, special) = (page.upper() as usize, page.special_start() as usize);
    let of_slots = page.lower() as usize - PAGE_HEADER_BYTES;
    if special != PAGE_SIZE || !of_slots.is_multiple_of(SLOT_BYTES) {
        return Err(format!("page header has lower {} and special {special}", page.lower()));
    }
    if page.kind_number() > page.slot_count() {
        return Err(format!("page counts {} unused slots of {}", page.kind_number(), page.slot_count()));
    }
    let mut row_bytes = 0;
    for (number, slot) in page.slots().enumerate() {
        if slot.is_unused() {
            continue;
        }
        let (start, len) = (slot.offset as usize, slot.len as usize);
        if start < upper || start + len > special {
            return Err(format!("slot {number} has {len} bytes at {start}, outside its page"));
        }
        if !is_item(page.kind(), slot.flags, &page.bytes()[start..start + len]) {
            return Err(format!("slot {number} has {len} bytes that are none of kind {}", slot.flags));
        }
        row_bytes += len;
    }
    if row_bytes > special - upper {
        return Err(format!("rows take {row_bytes} bytes between {upper} and {special}"));
    }
    Ok(())
}
