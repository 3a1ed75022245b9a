//! Heap pages in readable form, for `ochre inspect page`.

use std::fmt::Write;

use ochre_base::RowId;
use ochre_storage::{Page, inspect};

use super::edit::kind;
use super::read::{forward_target, split_moved};
use super::version::{Info, VersionHeader};

/// Bytes of a row that are shown.
const SHOWN_BYTES: usize = 32;

/// A page of a heap, or of its history: header, then a line a slot.
pub fn dump_page(page: &Page) -> String {
    inspect::print_page(page, &|flags, item| describe(flags, item).unwrap_or_else(|| "damaged".to_string()))
}

fn describe(flags: u8, item: &[u8]) -> Option<String> {
    Some(match flags {
        kind::ROW => format!("row {}", version(item)?),
        kind::OLDER => format!("older {}", version(item)?),
        kind::FORWARD => format!("moved to {}", forward_target(item).ok()?),
        kind::MOVED => {
            let (home, item) = split_moved(item).ok()?;
            format!("row of {home} {}", version(item)?)
        }
        kind::PIECE => {
            let (owner, rest) = item.split_first_chunk()?;
            let owner = RowId::from_u64(u64::from_le_bytes(*owner));
            format!("piece of a value of {owner} {}", inspect::hexadecimal(rest, SHOWN_BYTES))
        }
        _ => inspect::hexadecimal(item, SHOWN_BYTES),
    })
}

fn version(item: &[u8]) -> Option<String> {
    let (header, payload) = VersionHeader::decode(item)?;
    let mut out = format!("xid {} command {} schema {}", header.xid, header.cid, header.schema_version);
    if !header.older.is_none() {
        let fork = if header.older.is_history() { "history " } else { "" };
        let _ = write!(out, ", older at {fork}{}", header.older.at());
    }
    let bits = [
        (Info::TOMBSTONE, "deleted"),
        (Info::MOVED, "moved"),
        (Info::KEYS_DIFFER, "keys differ"),
        (Info::LOCKS_KEY, "locks key"),
        (Info::HAS_OVERFLOW, "large values"),
    ];
    for (_, name) in bits.iter().filter(|(bit, _)| header.info.has(*bit)) {
        let _ = write!(out, ", {name}");
    }
    if !payload.is_empty() {
        let _ = write!(out, ", {}", inspect::hexadecimal(payload, SHOWN_BYTES));
    }
    Some(out)
}
