//! Lock modes and which of them exclude each other.

/// PostgreSQL's eight lock modes, weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum RelationLockMode {
    /// SELECT.
    AccessShare = 1,
    /// SELECT FOR UPDATE and its kin.
    RowShare,
    /// INSERT, UPDATE, DELETE.
    RowExclusive,
    /// ANALYZE, CREATE INDEX CONCURRENTLY, some ALTER TABLE.
    ShareUpdateExclusive,
    /// CREATE INDEX.
    Share,
    /// CREATE TRIGGER, some ALTER TABLE.
    ShareRowExclusive,
    /// REFRESH MATERIALIZED VIEW CONCURRENTLY.
    Exclusive,
    /// DROP, TRUNCATE, most of ALTER TABLE.
    AccessExclusive,
}

use RelationLockMode::{
    AccessExclusive, AccessShare, Exclusive, RowExclusive, RowShare, Share, ShareRowExclusive,
    ShareUpdateExclusive,
};

/// A set of modes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct ModeSet(u16);

impl ModeSet {
    pub(super) const EMPTY: ModeSet = ModeSet(0);

    const fn of(modes: &[RelationLockMode]) -> ModeSet {
        let mut set = 0;
        let mut index = 0;
        while index < modes.len() {
            set |= 1 << modes[index] as u16;
            index += 1;
        }
        ModeSet(set)
    }

    pub(super) fn contains(self, mode: RelationLockMode) -> bool {
        self.0 & (1 << mode as u16) != 0
    }

    pub(super) fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(super) fn intersects(self, other: ModeSet) -> bool {
        self.0 & other.0 != 0
    }

    pub(super) fn add(&mut self, mode: RelationLockMode) {
        self.0 |= 1 << mode as u16;
    }

    pub(super) fn add_all(&mut self, other: ModeSet) {
        self.0 |= other.0;
    }

    pub(super) fn remove(&mut self, mode: RelationLockMode) {
        self.0 &= !(1 << mode as u16);
    }

    pub(super) fn iter(self) -> impl Iterator<Item = RelationLockMode> {
        RelationLockMode::ALL.into_iter().filter(move |mode| self.contains(*mode))
    }
}

impl RelationLockMode {
    /// The mode of a number, as `mode as u8` gives it.
    pub fn from_number(number: u8) -> Option<RelationLockMode> {
        RelationLockMode::ALL.into_iter().find(|mode| *mode as u8 == number)
    }

    /// Every mode, weakest first.
    pub const ALL: [RelationLockMode; 8] = [
        AccessShare,
        RowShare,
        RowExclusive,
        ShareUpdateExclusive,
        Share,
        ShareRowExclusive,
        Exclusive,
        AccessExclusive,
    ];

    /// The modes that others cannot hold at the same time.
    pub(super) const fn conflicting(self) -> ModeSet {
        match self {
            AccessShare => ModeSet::of(&[AccessExclusive]),
            RowShare => ModeSet::of(&[Exclusive, AccessExclusive]),
            RowExclusive => ModeSet::of(&[Share, ShareRowExclusive, Exclusive, AccessExclusive]),
            ShareUpdateExclusive => {
                ModeSet::of(&[ShareUpdateExclusive, Share, ShareRowExclusive, Exclusive, AccessExclusive])
            }
            Share => ModeSet::of(&[
                RowExclusive,
                ShareUpdateExclusive,
                ShareRowExclusive,
                Exclusive,
                AccessExclusive,
            ]),
            ShareRowExclusive => ModeSet::of(&[
                RowExclusive,
                ShareUpdateExclusive,
                Share,
                ShareRowExclusive,
                Exclusive,
                AccessExclusive,
            ]),
            Exclusive => ModeSet::of(&[
                RowShare,
                RowExclusive,
                ShareUpdateExclusive,
                Share,
                ShareRowExclusive,
                Exclusive,
                AccessExclusive,
            ]),
            AccessExclusive => ModeSet::of(&RelationLockMode::ALL),
        }
    }

    /// Whether two sessions cannot hold these modes on one thing.
    pub fn conflicts(self, other: RelationLockMode) -> bool {
        self.conflicting().contains(other)
    }

    /// Modes that never conflict with each other: most statements take only these.
    pub(super) const fn is_weak(self) -> bool {
        matches!(self, AccessShare | RowShare | RowExclusive)
    }

    /// Modes that conflict with weak ones.
    pub(super) const fn is_strong(self) -> bool {
        matches!(self, Share | ShareRowExclusive | Exclusive | AccessExclusive)
    }

    /// PostgreSQL's name in messages and `pg_locks`.
    pub const fn name(self) -> &'static str {
        match self {
            AccessShare => "AccessShareLock",
            RowShare => "RowShareLock",
            RowExclusive => "RowExclusiveLock",
            ShareUpdateExclusive => "ShareUpdateExclusiveLock",
            Share => "ShareLock",
            ShareRowExclusive => "ShareRowExclusiveLock",
            Exclusive => "ExclusiveLock",
            AccessExclusive => "AccessExclusiveLock",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of PostgreSQL's documentation, chapter "Explicit Locking".
    #[test]
    fn conflicts_are_postgresqls() {
        let table =
            ["       X", "      XX", "    XXXX", "   XXXXX", "  XX XXX", "  XXXXXX", " XXXXXXX", "XXXXXXXX"];
        for (a, row) in RelationLockMode::ALL.into_iter().zip(table) {
            for (b, cell) in RelationLockMode::ALL.into_iter().zip(row.chars()) {
                assert_eq!(a.conflicts(b), cell == 'X', "{a:?} {b:?}");
                assert_eq!(a.conflicts(b), b.conflicts(a));
            }
        }
    }
}
