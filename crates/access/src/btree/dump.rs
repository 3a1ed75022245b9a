//! Index pages in readable form, for `ochre inspect btree`.

use std::fmt::Write;

use ochre_base::{BlockNo, Fork, Result, RowId};
use ochre_storage::{Page, PageKind};

use super::meta;
use super::node::{self, EntryRef};
use super::tree::BTree;

/// Keys longer than this are cut in dumps.
const SHOWN_BYTES: usize = 32;

/// One page: its header on a line, then a line an entry.
pub fn dump_page(page: &Page) -> String {
    let mut out = header(page);
    out.push('\n');
    if page.kind() != PageKind::BTREE || page.kind_number() != 0 || node::validate(page.bytes()).is_err() {
        return out;
    }
    let bytes = page.bytes();
    for index in 0..node::count(bytes) {
        let entry = node::entry_at(bytes, index);
        if node::is_leaf(bytes) {
            let _ = writeln!(out, "  {index}: {}", entry_text(entry.as_ref()));
        } else if index == 0 {
            let _ = writeln!(out, "  {index}: all below -> block {}", node::child_at(bytes, index));
        } else {
            let _ = writeln!(
                out,
                "  {index}: {} -> block {}",
                entry_text(entry.as_ref()),
                node::child_at(bytes, index)
            );
        }
    }
    out
}

/// Every page of an index on a line.
///
/// # Errors
/// When a page cannot be read.
pub fn dump_tree(tree: &BTree) -> Result<String> {
    let mut out = String::new();
    let blocks = tree.storage.pool().block_count(tree.relation.fork(Fork::Main))?;
    for block in (0..blocks).map(BlockNo) {
        let guard = tree.storage.pool().read(tree.relation.main_page(block))?;
        let _ = writeln!(out, "block {block}: {}", header(&guard));
    }
    Ok(out)
}

fn header(page: &Page) -> String {
    if page.is_unused() {
        return "unused".into();
    }
    if page.kind() != PageKind::BTREE {
        return format!("not an index page but {}", page.kind().name());
    }
    if meta::is_valid(page) {
        return format!(
            "meta, format {}, fillfactor {}, free list {}",
            meta::version(page),
            meta::fillfactor(page),
            block_text(meta::free_head(page))
        );
    }
    let bytes = page.bytes();
    if let Err(what) = node::validate(bytes) {
        return format!("damaged: {what}");
    }
    if node::is_deleted(bytes) {
        return format!("deleted, next free {}", block_text(node::left(bytes)));
    }
    let kind = match node::level(bytes) {
        0 => "leaf".to_string(),
        level => format!("branch of level {level}"),
    };
    format!(
        "{kind}, {} entries, {} bytes free, left {}, right {}, prefix {}, high key {}{}",
        node::count(bytes),
        node::free_bytes(bytes),
        block_text(node::left(bytes)),
        block_text(node::right(bytes)),
        bytes_text(node::prefix(bytes)),
        node::high_key(bytes).map_or("none".into(), entry_text),
        if node::is_incomplete(bytes) { ", split not complete" } else { "" },
    )
}

fn block_text(block: Option<BlockNo>) -> String {
    block.map_or("none".into(), |block| block.to_string())
}

/// Key, row id and payload on a line.
pub(super) fn entry_text(entry: EntryRef<'_>) -> String {
    let mut out = bytes_text(entry.key);
    if entry.rid != 0 {
        let _ = write!(out, " {}", RowId::from_u64(entry.rid));
    }
    if !entry.payload.is_empty() {
        let _ = write!(out, " payload {}", bytes_text(entry.payload));
    }
    out
}

fn bytes_text(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return "''".into();
    }
    let mut out = String::with_capacity(2 * SHOWN_BYTES + 2);
    for byte in &bytes[..bytes.len().min(SHOWN_BYTES)] {
        let _ = write!(out, "{byte:02x}");
    }
    if bytes.len() > SHOWN_BYTES {
        let _ = write!(out, "… ({} bytes)", bytes.len());
    }
    out
}
