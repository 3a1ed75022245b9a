//! One bit per row.

/// A vector of bits. As a column's validity a set bit means "not null".
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Bitmap {
    words: Vec<u64>,
    len: usize,
}

impl Bitmap {
    /// `len` bits that are all `value`.
    pub fn filled(len: usize, value: bool) -> Bitmap {
        let mut words = vec![if value { u64::MAX } else { 0 }; len.div_ceil(64)];
        if value && !len.is_multiple_of(64) {
            *words.last_mut().expect("len is not zero") = (1 << (len % 64)) - 1;
        }
        Bitmap { words, len }
    }

    /// No bits yet.
    pub const fn new() -> Bitmap {
        Bitmap { words: Vec::new(), len: 0 }
    }

    /// The bits of an iterator.
    pub fn from_bools(bits: impl IntoIterator<Item = bool>) -> Bitmap {
        let mut bitmap = Bitmap::new();
        bits.into_iter().for_each(|bit| bitmap.push(bit));
        bitmap
    }

    /// Adds a bit at the end.
    pub fn push(&mut self, bit: bool) {
        if self.len.is_multiple_of(64) {
            self.words.push(0);
        }
        if bit {
            self.words[self.len / 64] |= 1 << (self.len % 64);
        }
        self.len += 1;
    }

    /// Sets one bit.
    ///
    /// # Panics
    /// Past the end.
    pub fn set(&mut self, index: usize, bit: bool) {
        assert!(index < self.len, "bit {index} of {}", self.len);
        let mask = 1 << (index % 64);
        if bit {
            self.words[index / 64] |= mask;
        } else {
            self.words[index / 64] &= !mask;
        }
    }

    /// One bit.
    ///
    /// # Panics
    /// Past the last word.
    #[inline]
    pub fn get(&self, index: usize) -> bool {
        self.words[index / 64] >> (index % 64) & 1 != 0
    }

    /// How many bits.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no bits.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many bits are set.
    pub fn count_ones(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Whether every bit is set.
    pub fn all(&self) -> bool {
        self.count_ones() == self.len
    }

    /// The bits 64 at a time; those past the end are zero.
    pub fn words(&self) -> &[u64] {
        &self.words
    }

    /// Every bit, in order.
    pub fn iter(&self) -> impl Iterator<Item = bool> + '_ {
        (0..self.len).map(|index| self.get(index))
    }

    /// Bitwise and of two bitmaps of one length.
    #[must_use]
    pub fn and(&self, other: &Bitmap) -> Bitmap {
        assert_eq!(self.len, other.len, "bitmaps of one batch have one length");
        let words = self.words.iter().zip(&other.words).map(|(a, b)| a & b).collect();
        Bitmap { words, len: self.len }
    }

    /// Adds `other`'s bits at the end.
    pub fn extend(&mut self, other: &Bitmap) {
        if self.len.is_multiple_of(64) {
            self.words.extend_from_slice(&other.words);
            self.len += other.len;
            return;
        }
        other.iter().for_each(|bit| self.push(bit));
    }

    /// Adds `count` bits that are all `value`.
    pub fn extend_with(&mut self, count: usize, value: bool) {
        (0..count).for_each(|_| self.push(value));
    }

    /// Bytes held.
    pub fn memory_bytes(&self) -> usize {
        self.words.len() * 8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_past_the_end_stay_zero() {
        let bitmap = Bitmap::filled(70, true);
        assert_eq!(bitmap.count_ones(), 70);
        assert!(bitmap.all());
        let mut joined = Bitmap::filled(64, false);
        joined.extend(&bitmap);
        joined.push(true);
        assert_eq!(joined.count_ones(), 71);
        joined.set(64, false);
        assert!(!joined.get(64) && joined.get(65) && joined.len() == 135);
        assert_eq!(Bitmap::from_bools(joined.iter()), joined);
    }
}
