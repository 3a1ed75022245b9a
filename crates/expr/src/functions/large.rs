//! Texts and byte strings by pieces: whatever is counted, searched and copied within a long one can be given up on the way.
//!
//! A text's bytes are UTF-8 since it was made. What works on its bytes has no need to look at that again, which a long text
//! would take longer for than most of what is done with it.

use std::borrow::Cow;
use std::collections::HashSet;

use memchr::memmem;
use ochre_base::Result;
use ochre_types::{Datum, Pace, SharedBytes};

/// Bytes between two looks at whether to go on.
pub(crate) const PIECE_BYTES: usize = 1 << 16;
/// Bytes whose characters are counted at once.
const COUNTED_BYTES: usize = 1 << 12;
/// A longer string is searched for by hashes: what the quicker search prepares grows with it.
const LONG_NEEDLE_BYTES: usize = 1 << 18;

/// A copy.
pub(crate) fn copied(bytes: &[u8], pace: &mut Pace<'_>) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    pace.append(bytes, &mut out)?;
    Ok(out)
}

/// Appends a string so many times.
pub(crate) fn append_repeated(
    unit: &[u8],
    times: usize,
    pace: &mut Pace<'_>,
    out: &mut Vec<u8>,
) -> Result<()> {
    if unit.is_empty() {
        return Ok(());
    }
    out.reserve(unit.len() * times);
    let at_once = (PIECE_BYTES / unit.len()).clamp(1, times.max(1));
    let block = if at_once == 1 { Cow::Borrowed(unit) } else { Cow::Owned(unit.repeat(at_once)) };
    for _ in 0..times / at_once {
        pace.append(&block, out)?;
    }
    (0..times % at_once).for_each(|_| out.extend_from_slice(unit));
    Ok(())
}

/// Whether a byte is the first of a character.
#[inline]
pub(crate) fn begins_character(byte: u8) -> bool {
    byte & 0xC0 != 0x80
}

fn characters_of(piece: &[u8]) -> usize {
    piece.iter().filter(|byte| begins_character(**byte)).count()
}

/// The characters of a text.
pub(crate) fn count_characters(text: &[u8], pace: &mut Pace<'_>) -> Result<usize> {
    let mut count = 0;
    for piece in text.chunks(COUNTED_BYTES) {
        count += characters_of(piece);
        pace.advance(piece.len())?;
    }
    Ok(count)
}

/// Byte offset of character `index`, or the end.
pub(crate) fn character_offset(text: &[u8], index: usize, pace: &mut Pace<'_>) -> Result<usize> {
    let mut left = index;
    let mut at = 0;
    for piece in text.chunks(COUNTED_BYTES) {
        let count = characters_of(piece);
        if left < count {
            let mut firsts = piece.iter().enumerate().filter(|(_, byte)| begins_character(**byte));
            return Ok(firsts.nth(left).map_or(text.len(), |(place, _)| at + place));
        }
        left -= count;
        at += piece.len();
        pace.advance(piece.len())?;
    }
    Ok(text.len())
}

/// The character that a text begins with.
pub(crate) fn first_character(text: &[u8]) -> Option<char> {
    let first = *text.first()?;
    if first.is_ascii() {
        return Some(char::from(first));
    }
    let length = text.iter().skip(1).take(3).take_while(|byte| !begins_character(**byte)).count() + 1;
    std::str::from_utf8(&text[..length]).ok()?.chars().next()
}

/// The character that a text ends with.
pub(crate) fn last_character(text: &[u8]) -> Option<char> {
    let last = *text.last()?;
    if last.is_ascii() {
        return Some(char::from(last));
    }
    let from = text.iter().rposition(|byte| begins_character(*byte))?;
    first_character(&text[from..])
}

/// A text by pieces that end with characters. What is no text is passed over.
pub(crate) fn each_piece(
    text: &[u8],
    pace: &mut Pace<'_>,
    mut each: impl FnMut(&str) -> Result<()>,
) -> Result<()> {
    let mut rest = text;
    while !rest.is_empty() {
        let mut end = rest.len().min(PIECE_BYTES);
        while end < rest.len() && !begins_character(rest[end]) {
            end += 1;
        }
        let (piece, behind) = rest.split_at(end);
        each(std::str::from_utf8(piece).unwrap_or_default())?;
        pace.advance(piece.len())?;
        rest = behind;
    }
    Ok(())
}

/// A set of characters.
pub(crate) struct Characters {
    ascii: u128,
    others: HashSet<char>,
}

impl Characters {
    /// Those of a text.
    pub(crate) fn of(text: &[u8], pace: &mut Pace<'_>) -> Result<Characters> {
        let mut set = Characters { ascii: 0, others: HashSet::new() };
        each_piece(text, pace, |piece| {
            for c in piece.chars() {
                if c.is_ascii() {
                    set.ascii |= 1 << c as u32;
                } else {
                    set.others.insert(c);
                }
            }
            Ok(())
        })?;
        Ok(set)
    }

    fn contains(&self, c: char) -> bool {
        if c.is_ascii() { self.ascii >> c as u32 & 1 == 1 } else { self.others.contains(&c) }
    }

    /// A text without those of the set that it begins with.
    pub(crate) fn trim_start<'t>(&self, text: &'t [u8], pace: &mut Pace<'_>) -> Result<&'t [u8]> {
        let mut rest = text;
        while let Some(c) = first_character(rest).filter(|c| self.contains(*c)) {
            rest = &rest[c.len_utf8()..];
            pace.advance(c.len_utf8())?;
        }
        Ok(rest)
    }

    /// A text without those of the set that it ends with.
    pub(crate) fn trim_end<'t>(&self, text: &'t [u8], pace: &mut Pace<'_>) -> Result<&'t [u8]> {
        let mut rest = text;
        while let Some(c) = last_character(rest).filter(|c| self.contains(*c)) {
            rest = &rest[..rest.len() - c.len_utf8()];
            pace.advance(c.len_utf8())?;
        }
        Ok(rest)
    }
}

/// Where a string occurs within others.
pub(crate) enum Search<'n> {
    Short(Box<memmem::Finder<'n>>),
    Long(LongNeedle<'n>),
}

impl Search<'static> {
    /// A search that keeps what it looks for.
    pub(crate) fn owned(needle: Vec<u8>, pace: &mut Pace<'_>) -> Result<Search<'static>> {
        if needle.len() > LONG_NEEDLE_BYTES {
            return LongNeedle::new(Cow::Owned(needle), pace).map(Search::Long);
        }
        Ok(Search::Short(Box::new(memmem::Finder::new(&needle).into_owned())))
    }
}

impl<'n> Search<'n> {
    /// A search for `needle`.
    pub(crate) fn new(needle: &'n [u8], pace: &mut Pace<'_>) -> Result<Search<'n>> {
        if needle.len() > LONG_NEEDLE_BYTES {
            return LongNeedle::new(Cow::Borrowed(needle), pace).map(Search::Long);
        }
        Ok(Search::Short(Box::new(memmem::Finder::new(needle))))
    }

    /// What is looked for.
    pub(crate) fn needle(&self) -> &[u8] {
        match self {
            Search::Short(finder) => finder.needle(),
            Search::Long(long) => &long.needle,
        }
    }

    /// The first place; an empty string is everywhere.
    #[inline]
    pub(crate) fn find(&self, haystack: &[u8], pace: &mut Pace<'_>) -> Result<Option<usize>> {
        match self {
            Search::Short(finder) if haystack.len() <= PIECE_BYTES => {
                let found = finder.find(haystack);
                pace.advance(found.unwrap_or(haystack.len()))?;
                Ok(found)
            }
            Search::Short(finder) => find_by_pieces(finder, haystack, pace),
            Search::Long(long) => long.find(haystack, pace),
        }
    }
}

/// Windows overlap by what may begin in one and end in the next.
fn find_by_pieces(
    finder: &memmem::Finder<'_>,
    haystack: &[u8],
    pace: &mut Pace<'_>,
) -> Result<Option<usize>> {
    let overlap = finder.needle().len().saturating_sub(1);
    let step = PIECE_BYTES.max(overlap);
    let mut at = 0;
    loop {
        let end = haystack.len().min(at + step + overlap);
        if let Some(place) = finder.find(&haystack[at..end]) {
            pace.advance(place)?;
            return Ok(Some(at + place));
        }
        pace.advance(end - at)?;
        if end == haystack.len() {
            return Ok(None);
        }
        at = end - overlap;
    }
}

/// Where a string occurs first; nothing is prepared where the string to look in is short.
pub(crate) fn find(haystack: &[u8], needle: &[u8], pace: &mut Pace<'_>) -> Result<Option<usize>> {
    if needle.len() > haystack.len() {
        return Ok(None);
    }
    if haystack.len() <= PIECE_BYTES {
        pace.advance(haystack.len())?;
        return Ok(memmem::find(haystack, needle));
    }
    Search::new(needle, pace)?.find(haystack, pace)
}

/// A long string to look for, after Rabin and Karp: the hash of a window of its length follows from that of the window
/// before. Where the hashes agree the bytes decide.
pub(crate) struct LongNeedle<'n> {
    needle: Cow<'n, [u8]>,
    hash: u64,
    /// What a window's first byte counts for.
    first: u64,
}

/// The hashes are numbers below this prime.
const PRIME: u64 = (1 << 61) - 1;
const HASH_BASE: u64 = 0x0D0B_6D9A_53E1_0F27;

fn multiply(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    reduce((product as u64 & PRIME) + (product >> 61) as u64)
}

fn reduce(value: u64) -> u64 {
    if value >= PRIME { value - PRIME } else { value }
}

fn hash_on(hash: u64, byte: u8) -> u64 {
    reduce(multiply(hash, HASH_BASE) + u64::from(byte) + 1)
}

fn hash_of(bytes: &[u8], pace: &mut Pace<'_>) -> Result<u64> {
    bytes.chunks(PIECE_BYTES).try_fold(0, |hash, piece| {
        pace.advance(piece.len())?;
        Ok(piece.iter().fold(hash, |hash, byte| hash_on(hash, *byte)))
    })
}

impl<'n> LongNeedle<'n> {
    fn new(needle: Cow<'n, [u8]>, pace: &mut Pace<'_>) -> Result<LongNeedle<'n>> {
        let hash = hash_of(&needle, pace)?;
        let (mut first, mut square, mut exponent) = (1, HASH_BASE, needle.len() - 1);
        while exponent > 0 {
            if exponent & 1 == 1 {
                first = multiply(first, square);
            }
            square = multiply(square, square);
            exponent >>= 1;
        }
        Ok(LongNeedle { needle, hash, first })
    }

    fn find(&self, haystack: &[u8], pace: &mut Pace<'_>) -> Result<Option<usize>> {
        let length = self.needle.len();
        let Some(window) = haystack.get(..length) else { return Ok(None) };
        let mut hash = hash_of(window, pace)?;
        let mut at = 0;
        loop {
            if hash == self.hash && equal(&haystack[at..at + length], &self.needle, pace)? {
                return Ok(Some(at));
            }
            let Some(next) = haystack.get(at + length) else { return Ok(None) };
            let leaves = multiply(self.first, u64::from(haystack[at]) + 1);
            hash = hash_on(reduce(hash + PRIME - leaves), *next);
            at += 1;
            pace.advance(1)?;
        }
    }
}

fn equal(a: &[u8], b: &[u8], pace: &mut Pace<'_>) -> Result<bool> {
    for (a, b) in a.chunks(PIECE_BYTES).zip(b.chunks(PIECE_BYTES)) {
        if a != b {
            return Ok(false);
        }
        pace.advance(a.len())?;
    }
    Ok(true)
}

/// The fields of a text, one after the other: between delimiters, the whole text where the delimiter is empty, single
/// characters where there is none.
pub(crate) struct Fields {
    text: SharedBytes,
    /// Where the next field begins; `None` behind the last.
    at: Option<usize>,
    delimiter: Option<Search<'static>>,
    /// The text of a null.
    null: Option<SharedBytes>,
}

impl Fields {
    pub(crate) fn new(
        text: SharedBytes,
        delimiter: Option<&[u8]>,
        null: Option<SharedBytes>,
        pace: &mut Pace<'_>,
    ) -> Result<Fields> {
        let delimiter = match delimiter {
            Some(delimiter) => Some(Search::owned(copied(delimiter, pace)?, pace)?),
            None => None,
        };
        let at = (!text.is_empty()).then_some(0);
        Ok(Fields { text, at, delimiter, null })
    }

    /// The next field.
    pub(crate) fn next(&mut self, pace: &mut Pace<'_>) -> Result<Option<Datum>> {
        let Some(from) = self.at else { return Ok(None) };
        let rest = &self.text.as_slice()[from..];
        let (length, next) = match &self.delimiter {
            None => {
                let length = first_character(rest).map_or(1, char::len_utf8);
                (length, (length < rest.len()).then_some(from + length))
            }
            Some(search) if search.needle().is_empty() => (rest.len(), None),
            Some(search) => match search.find(rest, pace)? {
                Some(at) => (at, Some(from + at + search.needle().len())),
                None => (rest.len(), None),
            },
        };
        self.at = next;
        let field = &rest[..length];
        pace.advance(size_of::<Datum>())?;
        if self.null.as_ref().is_some_and(|null| null.as_slice() == field) {
            return Ok(Some(Datum::Null));
        }
        Ok(Some(if field.len() > PIECE_BYTES {
            Datum::text(copied(field, pace)?)
        } else {
            Datum::text(field)
        }))
    }

    /// All that are left.
    pub(crate) fn all(mut self, pace: &mut Pace<'_>) -> Result<Vec<Datum>> {
        let mut fields = Vec::new();
        while let Some(field) = self.next(pace)? {
            fields.push(field);
        }
        Ok(fields)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A number below `limit`; the series is the same every time.
    fn random(state: &mut u64, limit: usize) -> usize {
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (*state >> 33) as usize % limit
    }

    #[test]
    fn long_strings_are_found_where_they_are() {
        let pace = &mut Pace::never();
        let mut state = 7;
        for _ in 0..2000 {
            let haystack: Vec<u8> =
                (0..random(&mut state, 40)).map(|_| b'a' + random(&mut state, 2) as u8).collect();
            let needle: Vec<u8> =
                (0..1 + random(&mut state, 6)).map(|_| b'a' + random(&mut state, 2) as u8).collect();
            let expected = memmem::find(&haystack, &needle);
            let long = LongNeedle::new(Cow::Borrowed(&needle), pace).unwrap();
            assert_eq!(long.find(&haystack, pace).unwrap(), expected);
            assert_eq!(find(&haystack, &needle, pace).unwrap(), expected);
        }
    }

    #[test]
    fn strings_are_found_across_pieces() {
        let pace = &mut Pace::never();
        for place in [0, 1, PIECE_BYTES - 2, PIECE_BYTES - 1, PIECE_BYTES, 3 * PIECE_BYTES + 5] {
            for length in [1, 2, 3, PIECE_BYTES - 1, PIECE_BYTES + 1, LONG_NEEDLE_BYTES + 1] {
                let mut haystack = vec![b'x'; 8 * PIECE_BYTES + LONG_NEEDLE_BYTES];
                let mut needle = vec![b'x'; length];
                needle[0] = b'y';
                haystack[place] = b'y';
                assert_eq!(find(&haystack, &needle, pace).unwrap(), Some(place), "{place} {length}");
                needle[length - 1] = b'z';
                assert_eq!(find(&haystack, &needle, pace).unwrap(), None);
            }
        }
    }

    #[test]
    fn characters_are_counted_across_pieces() {
        let pace = &mut Pace::never();
        let text = "aé€😀".repeat(3 * COUNTED_BYTES / 10);
        assert_eq!(count_characters(text.as_bytes(), pace).unwrap(), text.chars().count());
        let offsets: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
        for index in (0..offsets.len()).step_by(37).chain([offsets.len() - 1]) {
            assert_eq!(character_offset(text.as_bytes(), index, pace).unwrap(), offsets[index]);
        }
        assert_eq!(character_offset(text.as_bytes(), offsets.len() + 5, pace).unwrap(), text.len());
        let mut again = String::new();
        each_piece(text.as_bytes(), pace, |piece| {
            again.push_str(piece);
            Ok(())
        })
        .unwrap();
        assert_eq!(again, text);
        assert_eq!(first_character("€a".as_bytes()), Some('€'));
        assert_eq!(last_character("a😀".as_bytes()), Some('😀'));
        let mut out = Vec::new();
        append_repeated(b"abc", 50_000, pace, &mut out).unwrap();
        assert_eq!(out, b"abc".repeat(50_000));
    }
}
