//! PostgreSQL's `interval`: months, days and microseconds, kept apart.

/// A span of time whose three parts do not convert into each other exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Interval {
    pub months: i32,
    pub days: i32,
    pub micros: i64,
}

impl Interval {
    /// No time at all.
    pub const ZERO: Interval = Interval { months: 0, days: 0, micros: 0 };

    /// The span in microseconds with months of 30 days and days of 24 hours: what comparison and hashing go by.
    pub const fn comparison_value(self) -> i128 {
        (self.months as i128 * 30 + self.days as i128) * 86_400_000_000 + self.micros as i128
    }
}

impl PartialOrd for Interval {
    /// Only for sorting structurally; SQL's order is [`Interval::comparison_value`]'s.
    fn partial_cmp(&self, other: &Interval) -> Option<std::cmp::Ordering> {
        self.comparison_value().partial_cmp(&other.comparison_value())
    }
}
