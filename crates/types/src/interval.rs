//! PostgreSQL's `interval`: months, days and microseconds, kept apart.

/// A span of time whose three parts do not convert into each other exactly.
///
/// `PartialEq` is structural; SQL's order and equality are [`Interval::comparison_value`]'s.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Interval {
    pub months: i32,
    pub days: i32,
    pub micros: i64,
}

impl Interval {
    /// No time at all.
    pub const ZERO: Interval = Interval { months: 0, days: 0, micros: 0 };
    /// `infinity`: every part at its greatest.
    pub const INFINITY: Interval = Interval { months: i32::MAX, days: i32::MAX, micros: i64::MAX };
    /// `-infinity`: every part at its least.
    pub const NEG_INFINITY: Interval = Interval { months: i32::MIN, days: i32::MIN, micros: i64::MIN };

    /// Whether it is no infinity.
    pub fn is_finite(self) -> bool {
        self != Interval::INFINITY && self != Interval::NEG_INFINITY
    }

    /// The span in microseconds with months of 30 days and days of 24 hours: what comparison and hashing go by.
    pub const fn comparison_value(self) -> i128 {
        (self.months as i128 * 30 + self.days as i128) * 86_400_000_000 + self.micros as i128
    }
}
