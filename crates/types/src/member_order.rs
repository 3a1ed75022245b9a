//! The order of an object's members, and of other things, worked out with a look now and then at whether to go on.
//!
//! Runs of members are sorted, then merged in pairs until one is left. How much is compared between two looks is bounded
//! by the bytes of keys, not by their number alone: a few of them may be all of a large value.

use std::cmp::Ordering;

use ochre_base::Result;

use crate::context::Pace;

/// Members of a run at most.
const RUN_MEMBERS: usize = 4096;
/// Bytes of a run's keys at most, unless it has only one.
const RUN_BYTES: usize = 1 << 20;
/// Bytes that are compared, or moved, between two looks.
const BYTES_BETWEEN_LOOKS: usize = 1 << 20;
/// What comparing two keys counts for besides their bytes.
const COMPARISON_BYTES: usize = 64;

/// The numbers of `count` members in the order that `jsonb` keeps them in: by the length of the key, then by its bytes. Of
/// members with one key only the last is there.
///
/// # Errors
/// Those of [`Pace::look`].
pub(crate) fn member_order<'k>(
    count: usize,
    key: impl Fn(u32) -> &'k [u8],
    pace: &Pace<'_>,
) -> Result<Vec<u32>> {
    // Of equal keys the last stands first, and is the one kept. No two members are equal.
    let compare = |a: &u32, b: &u32| key_order(key(*a), key(*b)).then_with(|| b.cmp(a));
    let mut order = sorted_order(count, |member| key(member).len(), compare, pace)?;
    let mut watch = Watch { pace, bytes: 0 };
    let mut kept: usize = 0;
    for at in 0..count {
        let member = order[at];
        if let Some(last) = kept.checked_sub(1) {
            watch.compared(key(order[last]).len(), key(member).len())?;
            if key(order[last]) == key(member) {
                continue;
            }
        }
        order[kept] = member;
        kept += 1;
    }
    order.truncate(kept);
    Ok(order)
}

/// The numbers of `count` things in an order of theirs, which must not say of two that they are equal. `bytes` is about what
/// of one has to be read to compare it.
///
/// # Errors
/// Those of [`Pace::look`].
pub fn sorted_order(
    count: usize,
    bytes: impl Fn(u32) -> usize,
    compare: impl Fn(&u32, &u32) -> Ordering,
    pace: &Pace<'_>,
) -> Result<Vec<u32>> {
    let mut order: Vec<u32> = (0..count as u32).collect();
    let mut ends = Vec::new();
    let mut start = 0;
    while start < count {
        let mut sum = 0;
        let fits = |member: &&u32| {
            sum += bytes(**member);
            sum <= RUN_BYTES
        };
        let length = order[start..].iter().take(RUN_MEMBERS).take_while(fits).count();
        let end = start + length.max(1);
        order[start..end].sort_unstable_by(&compare);
        if end < count {
            pace.look_at_once()?;
        }
        ends.push(end);
        start = end;
    }
    let mut watch = Watch { pace, bytes: 0 };
    let mut merged = Vec::new();
    while ends.len() > 1 {
        merged.clear();
        merged.reserve_exact(count);
        let mut start = 0;
        for pair in ends.chunks(2) {
            let (left, right) = order[start..pair[pair.len() - 1]].split_at(pair[0] - start);
            merge(left, right, &mut merged, |a, b| {
                watch.compared(bytes(*a), bytes(*b))?;
                Ok(compare(a, b))
            })?;
            start += left.len() + right.len();
        }
        std::mem::swap(&mut order, &mut merged);
        ends = ends.chunks(2).map(|pair| pair[pair.len() - 1]).collect();
    }
    Ok(order)
}

/// How `jsonb` orders keys.
pub(crate) fn key_order(a: &[u8], b: &[u8]) -> Ordering {
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

fn merge(
    mut left: &[u32],
    mut right: &[u32],
    out: &mut Vec<u32>,
    mut compare: impl FnMut(&u32, &u32) -> Result<Ordering>,
) -> Result<()> {
    // Runs that follow each other need no comparison of what is in them.
    if let (Some(last), Some(first)) = (left.last(), right.first())
        && compare(last, first)?.is_gt()
    {
        while let ([l, others_left @ ..], [r, others_right @ ..]) = (left, right) {
            if compare(l, r)?.is_le() {
                out.push(*l);
                left = others_left;
            } else {
                out.push(*r);
                right = others_right;
            }
        }
    }
    out.extend_from_slice(left);
    out.extend_from_slice(right);
    Ok(())
}

/// Counts what is compared.
struct Watch<'a, 'p> {
    pace: &'a Pace<'p>,
    bytes: usize,
}

impl Watch<'_, '_> {
    #[inline]
    fn compared(&mut self, a: usize, b: usize) -> Result<()> {
        self.bytes += COMPARISON_BYTES + a.min(b);
        if self.bytes < BYTES_BETWEEN_LOOKS {
            return Ok(());
        }
        self.bytes = 0;
        self.pace.look_at_once()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering as Atomic};

    use ochre_base::{Error, Oid, SqlState};

    use super::*;
    use crate::context::{FormatContext, ObjectNames};

    /// A session that is asked so often before its statement is cancelled.
    struct Asked {
        before_cancelled: usize,
        looks: AtomicUsize,
    }

    impl ObjectNames for Asked {
        fn print(&self, _: Oid, _: Oid) -> Option<String> {
            None
        }
        fn parse(&self, _: Oid, text: &str) -> Result<Oid> {
            Err(Error::internal(text))
        }
        fn check_interrupts(&self) -> Result<()> {
            let looks = self.looks.fetch_add(1, Atomic::Relaxed);
            if looks < self.before_cancelled {
                return Ok(());
            }
            Err(Error::new(SqlState::QUERY_CANCELED, "cancelled"))
        }
    }

    fn asked(before_cancelled: usize) -> (Arc<Asked>, FormatContext) {
        let asked = Arc::new(Asked { before_cancelled, looks: AtomicUsize::new(0) });
        (Arc::clone(&asked), FormatContext { names: Some(asked), ..FormatContext::default() })
    }

    /// Keys in no order, many of them more than once.
    fn keys(count: usize, length: usize) -> Vec<Vec<u8>> {
        let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = || {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed
        };
        let mut key = |at: usize| {
            let number = next() % (count as u64 * 2);
            let mut key = vec![b'k'; length.saturating_sub(8) + at % 2];
            key.extend_from_slice(&number.to_be_bytes());
            key
        };
        (0..count).map(&mut key).collect()
    }

    /// By the most direct way.
    fn expected(keys: &[Vec<u8>]) -> Vec<u32> {
        let mut order: Vec<u32> = (0..keys.len() as u32).collect();
        order.sort_by(|a, b| key_order(&keys[*a as usize], &keys[*b as usize]).then(b.cmp(a)));
        order.dedup_by(|later, first| keys[*later as usize] == keys[*first as usize]);
        order
    }

    #[test]
    fn the_order_is_that_of_a_plain_sort() {
        let sizes = [0, 1, 2, 5, 4095, 4096, 4097, 8192, 8193, 12_289, 50_000];
        for (count, length) in sizes.map(|count| (count, 8)).into_iter().chain([(40, 400_000), (300, 9000)]) {
            let mut keys = keys(count, length);
            for _ in 0..3 {
                let order = member_order(count, |at| &keys[at as usize], &Pace::never()).unwrap();
                assert!(order == expected(&keys), "{count} keys of {length} bytes");
                // In order already, then the other way round.
                match keys.is_sorted_by(|a, b| key_order(a, b).is_le()) {
                    false => keys.sort_by(|a, b| key_order(a, b)),
                    true => keys.reverse(),
                }
            }
        }
    }

    #[test]
    fn little_is_compared_between_two_looks() {
        for (count, length) in [(60_000, 8), (60, 300_000), (40_000, 100)] {
            let keys = keys(count, length);
            let (asked_all, context) = asked(usize::MAX);
            let (read, last, most) = (Cell::new(0), Cell::new((0, 0)), Cell::new(0));
            let key = |at: u32| {
                let looks = asked_all.looks.load(Atomic::Relaxed);
                let key = &keys[at as usize][..];
                // Besides the bytes a key counts for going there.
                read.set(read.get() + COMPARISON_BYTES + key.len());
                if last.get().0 != looks {
                    last.set((looks, read.get()));
                }
                most.set(most.get().max(read.get() - last.get().1));
                key
            };
            assert!(member_order(count, key, &Pace::from(&context, 0)).unwrap() == expected(&keys));
            let looks = asked_all.looks.load(Atomic::Relaxed);
            assert!(looks > 10, "{count} keys of {length} bytes: {looks} looks");
            // A run is sorted in about as many comparisons as its members' number has binary digits, each.
            let bound = 100 * BYTES_BETWEEN_LOOKS;
            assert!(most.get() < bound, "{count} keys of {length} bytes: {} between two looks", most.get());
        }
    }

    #[test]
    fn whoever_is_cancelled_stops_at_the_next_look() {
        let keys = keys(60_000, 8);
        let (all, context) = asked(usize::MAX);
        member_order(keys.len(), |at| &keys[at as usize], &Pace::from(&context, 0)).unwrap();
        let looks = all.looks.load(Atomic::Relaxed);
        for before in (0..looks).step_by(7).chain([looks - 1]) {
            let (asked, context) = asked(before);
            let error =
                member_order(keys.len(), |at| &keys[at as usize], &Pace::from(&context, 0)).unwrap_err();
            assert_eq!(error.sqlstate(), SqlState::QUERY_CANCELED);
            assert_eq!(asked.looks.load(Atomic::Relaxed), before + 1);
        }
    }
}
