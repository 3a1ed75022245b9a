//! MD5, SHA-2 and CRC-32.

use std::sync::LazyLock;

use ochre_base::Result;
use sha2::Digest;

/// Per-round left rotations of MD5.
const ROTATIONS: [u32; 16] = [7, 12, 17, 22, 5, 9, 14, 20, 4, 11, 16, 23, 6, 10, 15, 21];
/// The table of constants of MD5: floor(2^32 * |sin(i + 1)|).
static CONSTANTS: LazyLock<[u32; 64]> =
    LazyLock::new(|| std::array::from_fn(|i| (((i + 1) as f64).sin().abs() * 4_294_967_296.0) as u32));
/// Bytes that are digested between two looks at whether to go on.
const PIECE_BYTES: usize = 1 << 20;

/// MD5 after RFC 1321; for `md5()` only, nothing relies on its strength. Asks `check` now and then whether to go on.
pub(crate) fn md5(message: &[u8], check: impl Fn() -> Result<()>) -> Result<[u8; 16]> {
    let mut state: [u32; 4] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];
    let (blocks, rest) = message.as_chunks::<64>();
    for blocks in blocks.chunks(PIECE_BYTES / 64) {
        blocks.iter().for_each(|block| md5_block(&mut state, block));
        check()?;
    }
    let mut end = [0; 128];
    end[..rest.len()].copy_from_slice(rest);
    end[rest.len()] = 0x80;
    let len = if rest.len() < 56 { 64 } else { 128 };
    end[len - 8..len].copy_from_slice(&(message.len() as u64).wrapping_mul(8).to_le_bytes());
    end[..len].as_chunks::<64>().0.iter().for_each(|block| md5_block(&mut state, block));
    let mut digest = [0; 16];
    digest.chunks_exact_mut(4).zip(state).for_each(|(out, word)| out.copy_from_slice(&word.to_le_bytes()));
    Ok(digest)
}

fn md5_block(state: &mut [u32; 4], block: &[u8; 64]) {
    let constants = &*CONSTANTS;
    let words: [u32; 16] = std::array::from_fn(|i| {
        u32::from_le_bytes([block[4 * i], block[4 * i + 1], block[4 * i + 2], block[4 * i + 3]])
    });
    let [mut a, mut b, mut c, mut d] = *state;
    for i in 0..64 {
        let (mix, index) = match i / 16 {
            0 => ((b & c) | (!b & d), i),
            1 => ((d & b) | (!d & c), (5 * i + 1) % 16),
            2 => (b ^ c ^ d, (3 * i + 5) % 16),
            _ => (c ^ (b | !d), (7 * i) % 16),
        };
        let sum = a.wrapping_add(mix).wrapping_add(constants[i]).wrapping_add(words[index]);
        let rotated = sum.rotate_left(ROTATIONS[i / 16 * 4 + i % 4]);
        (a, d, c, b) = (d, c, b, b.wrapping_add(rotated));
    }
    for (word, more) in state.iter_mut().zip([a, b, c, d]) {
        *word = word.wrapping_add(more);
    }
}

/// A digest of the SHA-2 family. Asks `check` now and then whether to go on.
pub(crate) fn sha2<D: Digest>(message: &[u8], check: impl Fn() -> Result<()>) -> Result<Vec<u8>> {
    let mut digest = D::new();
    for piece in message.chunks(PIECE_BYTES) {
        digest.update(piece);
        check()?;
    }
    Ok(digest.finalize().to_vec())
}

/// CRC-32 with a reflected polynomial. Asks `check` now and then whether to go on.
pub(crate) fn crc(message: &[u8], polynomial: u32, check: impl Fn() -> Result<()>) -> Result<u32> {
    let mut crc = u32::MAX;
    for piece in message.chunks(PIECE_BYTES) {
        crc = piece.iter().fold(crc, |crc, byte| {
            (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (polynomial & (crc & 1).wrapping_neg()))
        });
        check()?;
    }
    Ok(!crc)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::functions::text::hex;

    #[test]
    fn known_digests() {
        let md5_of = |message: &[u8]| hex(&md5(message, || Ok(())).unwrap());
        assert_eq!(md5_of(b""), "d41d8cd98f00b204e9800998ecf8427e");
        assert_eq!(
            md5_of(b"The quick brown fox jumps over the lazy dog"),
            "9e107d9d372bb6826bd81d3542a419d6"
        );
        // Around the ends of blocks, and beyond a piece.
        let of = |len: usize| md5_of(&vec![b'x'; len]);
        assert_eq!(of(55), "04364420e25c512fd958a70738aa8f72");
        assert_eq!(of(56), "668a72d5ba17f08e62dabcafad6db14b");
        assert_eq!(of(64), "c1bb4f81d892b2d57947682aeb252456");
        assert_eq!(of(119), "ab347a5f68c8a443cfcddc633f12c24f");
        assert_eq!(of(3_000_000), "8e32e22642bddc89698e25a4e9bf528b");
        let crc_of = |polynomial| crc(b"123456789", polynomial, || Ok(())).unwrap();
        assert_eq!(crc_of(0xEDB8_8320), 0xCBF4_3926);
        assert_eq!(crc_of(0x82F6_3B78), 0xE306_9283);
    }

    #[test]
    fn long_messages_are_given_up_when_asked() {
        let message = vec![7; 5 * PIECE_BYTES];
        let stop = || Err(ochre_base::Error::internal("stop"));
        assert!(md5(&message, stop).is_err());
        assert!(sha2::<sha2::Sha256>(&message, stop).is_err());
        assert!(crc(&message, 1, stop).is_err());
    }
}
