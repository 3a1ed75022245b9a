//! Versions: the 24 bytes before a row's fields, and the links between versions.
//!
//! # On-disk layout, little-endian
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 8 | creator xid |
//! | 8 | 8 | link to the next older version, zero when there is none |
//! | 16 | 4 | command id |
//! | 20 | 2 | schema version |
//! | 22 | 1 | info bits |
//! | 23 | 1 | header length: 24 in this layout, so that later ones can grow |
//! | 24 | | payload (see [`crate::row`]); none in a tombstone |
//!
//! A link: bits 0-15 slot, 16-47 block, 62 set when it leads into the history fork, 63 always set.

use ochre_base::{CommandId, RowId, Xid};

use crate::row::RowFlags;

/// Bytes of a version's header.
pub const VERSION_HEADER_BYTES: usize = 24;
/// Bytes before the version of a row that lives away from its home: the row's id.
pub(crate) const HOME_BYTES: usize = 8;

const LINK_PRESENT: u64 = 1 << 63;
const LINK_HISTORY: u64 = 1 << 62;

/// Where the next older version of a row, or the next piece of a value, lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Link(u64);

impl Link {
    /// There is no older version.
    pub const NONE: Link = Link(0);

    /// To a slot of the main fork.
    pub const fn main(at: RowId) -> Link {
        Link(at.to_u64() | LINK_PRESENT)
    }

    /// To a slot of the history fork.
    pub const fn history(at: RowId) -> Link {
        Link(at.to_u64() | LINK_PRESENT | LINK_HISTORY)
    }

    /// From the form on disk.
    pub const fn from_u64(raw: u64) -> Link {
        Link(raw)
    }

    /// The form on disk.
    pub const fn to_u64(self) -> u64 {
        self.0
    }

    /// Whether it leads nowhere.
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }

    /// Whether it leads into the history fork.
    pub const fn is_history(self) -> bool {
        self.0 & LINK_HISTORY != 0
    }

    /// The slot it leads to.
    pub const fn at(self) -> RowId {
        RowId::from_u64(self.0 & ((1 << 48) - 1))
    }
}

/// The info bits of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Info(pub u8);

impl Info {
    pub const HAS_NULLS: u8 = 1;
    pub const HAS_OVERFLOW: u8 = 2;
    pub const TOMBSTONE: u8 = 4;
    /// Written with the row locked FOR UPDATE, not just FOR NO KEY UPDATE, or upon such a version of the same
    /// transaction: who asks FOR KEY SHARE has to wait. See [`VersionHeader::locks_key`].
    pub const LOCKS_KEY: u8 = 16;
    /// Beside [`Info::TOMBSTONE`]: the row lives on in another relation, a partition of the same table.
    pub const MOVED: u8 = 32;
    /// Some older version of the row had other index keys when this one was written.
    pub const KEYS_DIFFER: u8 = 8;

    /// The bits for a payload.
    pub fn of_row(flags: RowFlags) -> Info {
        Info(0).with(Info::HAS_NULLS, flags.has_nulls).with(Info::HAS_OVERFLOW, flags.has_overflow)
    }

    /// With a bit set when `on`.
    #[must_use]
    pub fn with(self, bit: u8, on: bool) -> Info {
        Info(self.0 | if on { bit } else { 0 })
    }

    /// Whether a bit is set.
    #[inline]
    pub const fn has(self, bit: u8) -> bool {
        self.0 & bit != 0
    }

    /// What it says about the payload.
    #[inline]
    pub const fn row_flags(self) -> RowFlags {
        RowFlags { has_nulls: self.has(Info::HAS_NULLS), has_overflow: self.has(Info::HAS_OVERFLOW) }
    }
}

/// A version's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VersionHeader {
    pub xid: Xid,
    pub older: Link,
    pub cid: CommandId,
    pub schema_version: u16,
    pub info: Info,
}

impl VersionHeader {
    /// The form on disk.
    #[inline]
    pub fn encode(&self) -> [u8; VERSION_HEADER_BYTES] {
        let mut bytes = [0; VERSION_HEADER_BYTES];
        bytes[0..8].copy_from_slice(&self.xid.0.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.older.0.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.cid.0.to_le_bytes());
        bytes[20..22].copy_from_slice(&self.schema_version.to_le_bytes());
        bytes[22] = self.info.0;
        bytes[23] = VERSION_HEADER_BYTES as u8;
        bytes
    }

    /// The header and the payload of a version; `None` when the bytes are none.
    #[inline]
    pub fn decode(bytes: &[u8]) -> Option<(VersionHeader, &[u8])> {
        let head: &[u8; VERSION_HEADER_BYTES] = bytes.first_chunk()?;
        let payload = bytes.get(head[23] as usize..)?;
        let u64_at = |at: usize| {
            u64::from_le_bytes([
                head[at],
                head[at + 1],
                head[at + 2],
                head[at + 3],
                head[at + 4],
                head[at + 5],
                head[at + 6],
                head[at + 7],
            ])
        };
        let header = VersionHeader {
            xid: Xid(u64_at(0)),
            older: Link(u64_at(8)),
            cid: CommandId(u32::from_le_bytes([head[16], head[17], head[18], head[19]])),
            schema_version: u16::from_le_bytes([head[20], head[21]]),
            info: Info(head[22]),
        };
        Some((header, payload))
    }

    /// Whether its creator has locked the row's key: inserted the row, deleted it, or changed a key, by this version or
    /// by one of its own below it. Nobody may lock the key of such a row while the creator runs. (What a running
    /// transaction's version lies on stays, so one that lies on nothing is an insert.)
    pub(crate) fn locks_key(&self) -> bool {
        self.info.has(Info::LOCKS_KEY) || self.older.is_none()
    }

    /// Sets the bit of a version in its form on disk, if `on`.
    pub(crate) fn set_keys_differ(bytes: &mut [u8], on: bool) {
        bytes[22] |= if on { Info::KEYS_DIFFER } else { 0 };
    }

    /// Whether it says that the row is deleted.
    #[inline]
    pub fn is_tombstone(&self) -> bool {
        self.info.has(Info::TOMBSTONE)
    }
}

/// A version as a reader meets it, on its latched page.
#[derive(Debug, Clone, Copy)]
pub struct VersionRef<'a> {
    /// The row's id.
    pub rid: RowId,
    pub xid: Xid,
    pub cid: CommandId,
    /// Under which list of columns it was written.
    pub schema_version: u16,
    /// Whether an index entry of this row may have another key than this version: compare before believing an index.
    pub recheck_keys: bool,
    /// What to know about the payload.
    pub flags: RowFlags,
    /// The row's bytes: see [`crate::row::RowView`].
    pub payload: &'a [u8],
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_and_links_round_trip() {
        let header = VersionHeader {
            xid: Xid(u64::MAX / 3),
            older: Link::history(RowId::new(u32::MAX - 1, 2000)),
            cid: CommandId(77),
            schema_version: 65_000,
            info: Info(Info::HAS_NULLS | Info::KEYS_DIFFER),
        };
        let mut bytes = header.encode().to_vec();
        bytes.extend_from_slice(b"payload");
        let (decoded, payload) = VersionHeader::decode(&bytes).unwrap();
        assert_eq!((decoded, payload), (header, &b"payload"[..]));
        assert!(decoded.older.is_history() && !decoded.older.is_none());
        assert_eq!(decoded.older.at(), RowId::new(u32::MAX - 1, 2000));
        assert!(!Link::main(RowId::new(0, 0)).is_none());
        assert!(VersionHeader::decode(&bytes[..23]).is_none());
    }
}
