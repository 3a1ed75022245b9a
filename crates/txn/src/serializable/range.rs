//! Ranges of index keys, as half-open ranges of byte strings.

/// Keys from `low`, included, to `high`, excluded; `None` is the end of the order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRange {
    pub low: Box<[u8]>,
    pub high: Option<Box<[u8]>>,
}

impl KeyRange {
    /// All keys.
    pub fn all() -> KeyRange {
        KeyRange { low: Box::default(), high: None }
    }

    /// Whether a key lies in the range.
    #[inline]
    pub fn contains(&self, key: &[u8]) -> bool {
        *self.low <= *key && self.high.as_deref().is_none_or(|high| key < high)
    }

    /// Whether the whole of another range lies in this one.
    pub fn covers(&self, other: &KeyRange) -> bool {
        let high_covers = match (&self.high, &other.high) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(own), Some(other)) => own >= other,
        };
        self.low <= other.low && high_covers
    }

    /// The smallest key above `key`.
    pub fn above(key: &[u8]) -> Box<[u8]> {
        let mut above = Vec::with_capacity(key.len() + 1);
        above.extend_from_slice(key);
        above.push(0);
        above.into()
    }

    /// The smallest key above all that begin with `prefix`; `None` when there is none.
    pub fn above_prefix(prefix: &[u8]) -> Option<Box<[u8]>> {
        let last = prefix.iter().rposition(|byte| *byte != u8::MAX)?;
        let mut above = prefix[..=last].to_vec();
        above[last] += 1;
        Some(above.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_exact() {
        let above = KeyRange::above(&[7]);
        assert!(above[..] > [7][..] && above[..] <= [7, 0][..]);
        assert_eq!(KeyRange::above_prefix(&[1, 255, 255]).as_deref(), Some(&[2][..]));
        assert_eq!(KeyRange::above_prefix(&[255]), None);
        let range = KeyRange { low: [5].into(), high: KeyRange::above_prefix(&[5]) };
        assert!(range.contains(&[5]) && range.contains(&[5, 9, 9]));
        assert!(!range.contains(&[6]) && !range.contains(&[4, 255]));
        assert!(KeyRange::all().covers(&range) && !range.covers(&KeyRange::all()));
    }
}
