//! What the tests of this module share.

use super::node::EntryBuf;

/// A small generator of pseudo-random numbers, so that a printed seed repeats a test.
pub(super) struct Lcg(u64);

impl Lcg {
    pub(super) fn new(seed: u64) -> Lcg {
        Lcg(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5555)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        let x = self.0 ^ (self.0 >> 33);
        x.wrapping_mul(0xff51_afd7_ed55_8ccd) >> 8
    }

    pub(super) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }
}

/// An integer's key, as the layer above makes it: a byte for NULL, then the number with its sign turned.
pub(super) fn int_key(number: i64) -> Vec<u8> {
    let mut key = vec![1];
    key.extend_from_slice(&((number as u64) ^ (1 << 63)).to_be_bytes());
    key
}

/// Keys in whose bytes zeros, shared beginnings, equal keys and lengths from 0 on are common.
pub(super) fn tricky_entry(random: &mut Lcg, max_key: usize) -> EntryBuf {
    let len = random.below(max_key + 1);
    let mut key = if random.below(3) == 0 { b"common beginning".to_vec() } else { Vec::new() };
    key.extend((0..len).map(|_| [0u8, 0, 1, 7, 255][random.below(5)]));
    let payload = vec![3; [0, 0, 0, 1, 40][random.below(5)]];
    EntryBuf { key, rid: random.next() % 5, payload }
}
