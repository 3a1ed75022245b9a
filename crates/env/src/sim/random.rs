//! Randomness from a seed.

use parking_lot::Mutex;

use crate::Random;

/// Random numbers that a seed determines (splitmix64).
#[derive(Debug)]
pub struct SimRandom {
    state: Mutex<u64>,
}

impl SimRandom {
    /// The sequence of a seed.
    #[must_use]
    pub fn new(seed: u64) -> SimRandom {
        SimRandom { state: Mutex::new(seed) }
    }

    /// A number below `bound`.
    ///
    /// # Panics
    /// When `bound` is zero.
    pub fn below(&self, bound: u64) -> u64 {
        self.next_u64() % bound
    }
}

impl Random for SimRandom {
    fn fill(&self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(8) {
            let bytes = self.next_u64().to_le_bytes();
            chunk.copy_from_slice(&bytes[..chunk.len()]);
        }
    }

    fn next_u64(&self) -> u64 {
        let mut state = self.state.lock();
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = *state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
