//! A byte string that is cheap to clone: short ones inline, longer ones a window into a shared buffer.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// Bytes held inline.
const INLINE: usize = 22;

/// Immutable bytes; a clone never copies more than 24 bytes.
#[derive(Clone)]
pub struct SharedBytes(Repr);

#[derive(Clone)]
enum Repr {
    Inline { length: u8, bytes: [u8; INLINE] },
    Shared { buffer: Arc<Vec<u8>>, offset: u32, length: u32 },
}

impl SharedBytes {
    /// No bytes.
    pub const EMPTY: SharedBytes = SharedBytes(Repr::Inline { length: 0, bytes: [0; INLINE] });

    /// A copy of `bytes`.
    ///
    /// # Panics
    /// Past 4 GiB; values are limited to 1 GiB.
    pub fn new(bytes: &[u8]) -> SharedBytes {
        if bytes.len() <= INLINE { SharedBytes::inline(bytes) } else { SharedBytes::from_vec(bytes.to_vec()) }
    }

    fn inline(bytes: &[u8]) -> SharedBytes {
        let mut inline = [0; INLINE];
        inline[..bytes.len()].copy_from_slice(bytes);
        SharedBytes(Repr::Inline { length: bytes.len() as u8, bytes: inline })
    }

    /// Takes the vector over without copying its bytes (short ones are copied inline).
    pub fn from_vec(bytes: Vec<u8>) -> SharedBytes {
        if bytes.len() <= INLINE {
            return SharedBytes::inline(&bytes);
        }
        let length = u32::try_from(bytes.len()).expect("a value is at most 1 GiB");
        SharedBytes(Repr::Shared { buffer: Arc::new(bytes), offset: 0, length })
    }

    /// A window into a buffer that others share.
    pub fn from_shared(buffer: &Arc<Vec<u8>>, offset: u32, length: u32) -> SharedBytes {
        let window = &buffer[offset as usize..offset as usize + length as usize];
        if window.len() <= INLINE {
            return SharedBytes::inline(window);
        }
        SharedBytes(Repr::Shared { buffer: buffer.clone(), offset, length })
    }

    /// The same bytes, in a buffer with nothing else in it: for values that outlive their batch, which would keep all of
    /// its strings.
    #[must_use]
    pub fn detached(self) -> SharedBytes {
        match &self.0 {
            Repr::Shared { buffer, length, .. } if buffer.capacity() > *length as usize => {
                SharedBytes::new(self.as_slice())
            }
            _ => self,
        }
    }

    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        match &self.0 {
            Repr::Inline { length, bytes } => &bytes[..*length as usize],
            Repr::Shared { buffer, offset, length } => {
                &buffer[*offset as usize..(*offset + *length) as usize]
            }
        }
    }

    /// How many bytes.
    pub fn len(&self) -> usize {
        match &self.0 {
            Repr::Inline { length, .. } => *length as usize,
            Repr::Shared { length, .. } => *length as usize,
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes as text. Text values are checked when they are made; bytes that are not UTF-8 read as empty.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_slice()).unwrap_or_default()
    }

    /// The shared buffer and window of a long value, so that a column can refer to it without a copy.
    pub(crate) fn as_shared(&self) -> Option<(&Arc<Vec<u8>>, u32, u32)> {
        match &self.0 {
            Repr::Inline { .. } => None,
            Repr::Shared { buffer, offset, length } => Some((buffer, *offset, *length)),
        }
    }
}

impl std::ops::Deref for SharedBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.as_slice()
    }
}

impl AsRef<[u8]> for SharedBytes {
    fn as_ref(&self) -> &[u8] {
        self.as_slice()
    }
}

impl From<&[u8]> for SharedBytes {
    fn from(bytes: &[u8]) -> SharedBytes {
        SharedBytes::new(bytes)
    }
}

impl From<&str> for SharedBytes {
    fn from(text: &str) -> SharedBytes {
        SharedBytes::new(text.as_bytes())
    }
}

impl From<String> for SharedBytes {
    fn from(text: String) -> SharedBytes {
        SharedBytes::from_vec(text.into_bytes())
    }
}

impl From<Vec<u8>> for SharedBytes {
    fn from(bytes: Vec<u8>) -> SharedBytes {
        SharedBytes::from_vec(bytes)
    }
}

impl Default for SharedBytes {
    fn default() -> SharedBytes {
        SharedBytes::EMPTY
    }
}

impl PartialEq for SharedBytes {
    fn eq(&self, other: &SharedBytes) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl Eq for SharedBytes {}

impl PartialOrd for SharedBytes {
    fn partial_cmp(&self, other: &SharedBytes) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for SharedBytes {
    fn cmp(&self, other: &SharedBytes) -> Ordering {
        self.as_slice().cmp(other.as_slice())
    }
}

impl Hash for SharedBytes {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_slice().hash(state);
    }
}

impl fmt::Debug for SharedBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match std::str::from_utf8(self.as_slice()) {
            Ok(text) => fmt::Debug::fmt(text, f),
            Err(_) => fmt::Debug::fmt(self.as_slice(), f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_detached_value_lets_go_of_its_buffer() {
        let buffer = Arc::new((0..=255).cycle().take(1000).collect::<Vec<u8>>());
        let window = SharedBytes::from_shared(&buffer, 10, 100);
        assert_eq!(Arc::strong_count(&buffer), 2);
        let detached = window.detached();
        assert_eq!(Arc::strong_count(&buffer), 1);
        assert_eq!(detached.as_slice(), &buffer[10..110]);
        let whole = SharedBytes::from_vec(buffer[..100].to_vec());
        let at = whole.as_slice().as_ptr();
        assert_eq!(whole.detached().as_slice().as_ptr(), at, "what is alone in its buffer is not copied");
    }
}
