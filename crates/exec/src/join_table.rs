//! The index of a join's build rows by their keys.
//!
//! # How
//! Keys that are words have one place each: in a vector by value when they lie close together, otherwise in an open table
//! of (word, first row) with linear probing, so that a look-up touches one cache line. Other keys are numbered by a
//! [`KeyTable`]. The rows of one key form a chain.
//!
//! Rows that several threads have read are numbered one thread's after another's. The places are divided among as many
//! tasks as one likes ([`JoinLinker::link`]), which threads may do at the same time: each looks at every key, and links the
//! rows whose places are its own. No place is written by two, so all of it is plain stores; that the places are atomic
//! integers only lets them be shared. What one task has done is seen by others when the threads have met.
//!
//! # Invariants
//! - JT1: a row whose key is NULL is in no chain.
//! - JT2: a place is read and written by one task, which links all rows of its keys: a search for a word's place goes round
//!   within the places of its task.
//!
//! # Not done
//! Keys of bytes that several threads have numbered are brought together by one.

use std::ops::Range;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use ochre_base::Result;

use crate::Check;
use crate::columns::NO_ROW;
use crate::key_table::{KeyTable, hash_word};
use crate::keys::{BatchKeys, KeyLayout};

/// A vector by value has at most so many places for each row.
const DIRECT_SPREAD: u64 = 8;
/// Rows that are linked between two looks at whether to go on.
const ROWS_BETWEEN_CHECKS: usize = 64 * 1024;

/// Keys of build rows as they arrive.
pub struct JoinKeys {
    word: bool,
    words: Vec<u64>,
    /// Rows whose key is NULL; empty as long as there is none.
    nulls: Vec<bool>,
    /// With keys of bytes: the keys, and the number of each row's.
    table: KeyTable,
    numbers: Vec<u32>,
    rows: usize,
    /// Whether there are two different keys.
    varied: bool,
}

/// Finds the build rows of a key.
pub struct JoinIndex {
    places: Places,
    /// The row after each row in its chain; empty when no key has two rows.
    next: Vec<AtomicU32>,
}

/// Puts rows into an index, by several threads where there are many.
pub struct JoinLinker {
    parts: Vec<PartKeys>,
    rows: usize,
    tasks: usize,
    places: Places,
    /// Made when a key has a second row.
    next: OnceLock<Vec<AtomicU32>>,
    /// Some task's places did not suffice.
    overflown: AtomicBool,
}

/// The keys of rows that follow each other.
struct PartKeys {
    first_row: usize,
    rows: usize,
    nulls: Vec<bool>,
    keys: RowKeys,
}

enum RowKeys {
    Words(Vec<u64>),
    /// Numbers of the index's table.
    Numbers(Vec<u32>),
}

enum Places {
    Direct {
        low: u64,
        heads: Vec<AtomicU32>,
    },
    /// A word is at its hash's place, or behind it, within `region + 1` places.
    Words {
        slots: Vec<Slot>,
        shift: u32,
        region: usize,
    },
    Bytes {
        table: KeyTable,
        heads: Vec<AtomicU32>,
    },
}

/// A word and the first of its rows.
struct Slot {
    word: AtomicU64,
    head: AtomicU32,
}

impl JoinKeys {
    pub fn new(layout: &KeyLayout) -> JoinKeys {
        JoinKeys {
            word: layout.is_word(),
            words: Vec::new(),
            nulls: Vec::new(),
            table: KeyTable::bytes(),
            numbers: Vec::new(),
            rows: 0,
            varied: false,
        }
    }

    /// Adds the keys of rows.
    pub fn add(&mut self, keys: &BatchKeys, active: impl Iterator<Item = usize>) {
        for row in active {
            let null = keys.is_null(row);
            if null && self.nulls.is_empty() {
                self.nulls.resize(self.rows, false);
            }
            if !self.nulls.is_empty() || null {
                self.nulls.push(null);
            }
            if self.word {
                let word = keys.words[row];
                self.varied |= self.words.last().is_some_and(|last| *last != word);
                self.words.push(word);
            } else {
                let number = if null { 0 } else { self.table.insert_bytes(keys.bytes(row)).0 };
                self.varied |= self.table.len() > 1;
                self.numbers.push(number);
            }
            self.rows += 1;
        }
    }

    /// Whether splitting the rows by their keys can make parts.
    pub fn are_varied(&self) -> bool {
        self.varied
    }

    /// About how many bytes the finished index will hold.
    pub fn memory_bytes(&self) -> usize {
        if self.word { self.rows * 28 } else { self.table.memory_bytes() + self.rows * 12 }
    }

    pub fn finish(self, check: Check<'_>) -> Result<JoinIndex> {
        let linker = JoinLinker::new(vec![self], 1, check)?;
        linker.link(0, check)?;
        linker.finish(check)
    }
}

impl JoinLinker {
    /// An index of the rows of `parts`, in their order, to be filled by so many tasks; at least one part.
    pub fn new(parts: Vec<JoinKeys>, tasks: usize, check: Check<'_>) -> Result<JoinLinker> {
        let tasks = tasks.max(1).next_power_of_two();
        let rows = parts.iter().map(|part| part.rows).sum();
        let is_word = parts.first().is_none_or(|part| part.word);
        let (parts, table) = with_one_table(parts, check)?;
        check()?;
        let places = if is_word { word_places(&parts, rows, tasks) } else { Places::bytes(table) };
        let (next, overflown) = (OnceLock::new(), AtomicBool::new(false));
        Ok(JoinLinker { parts, rows, tasks, places, next, overflown })
    }

    /// How many tasks there are: a power of two.
    pub fn tasks(&self) -> usize {
        self.tasks
    }

    /// Links the rows whose places are those of a task (JT2).
    pub fn link(&self, task: usize, check: Check<'_>) -> Result<()> {
        // Back to front, so that chains come out in the order of arrival.
        for part in self.parts.iter().rev() {
            let mut end = part.rows;
            while end > 0 {
                check()?;
                let start = end.saturating_sub(ROWS_BETWEEN_CHECKS);
                self.link_rows(task, part, start..end);
                end = start;
            }
        }
        Ok(())
    }

    fn link_rows(&self, task: usize, part: &PartKeys, rows: Range<usize>) {
        let is_null = |row: usize| !part.nulls.is_empty() && part.nulls[row];
        let rows = rows.rev().filter(|row| !is_null(*row));
        match (&self.places, &part.keys) {
            (Places::Direct { low, heads }, RowKeys::Words(words)) => {
                let own = share_of(heads.len(), task, self.tasks);
                for row in rows {
                    let at = words[row].wrapping_sub(*low) as usize;
                    if own.contains(&at) {
                        self.put(&heads[at], part.first_row + row);
                    }
                }
            }
            (Places::Bytes { heads, .. }, RowKeys::Numbers(numbers)) => {
                let own = share_of(heads.len(), task, self.tasks);
                for row in rows {
                    let at = numbers[row] as usize;
                    if own.contains(&at) {
                        self.put(&heads[at], part.first_row + row);
                    }
                }
            }
            (Places::Words { slots, shift, region }, RowKeys::Words(words)) => {
                let own = share_of(slots.len(), task, self.tasks);
                for row in rows {
                    let word = words[row];
                    let first = (hash_word(word) >> *shift) as usize;
                    if !own.contains(&first) {
                        continue;
                    }
                    match place_for(slots, first, *region, word) {
                        Some(at) => {
                            slots[at].word.store(word, Ordering::Relaxed);
                            self.put(&slots[at].head, part.first_row + row);
                        }
                        None => self.overflown.store(true, Ordering::Relaxed),
                    }
                }
            }
            _ => unreachable!("places are made for the keys"),
        }
    }

    /// Puts a row before those of its key.
    #[inline]
    fn put(&self, head: &AtomicU32, row: usize) {
        let after = head.load(Ordering::Relaxed);
        if after != NO_ROW {
            self.next.get_or_init(|| empty_heads(self.rows))[row].store(after, Ordering::Relaxed);
        }
        head.store(row as u32, Ordering::Relaxed);
    }

    /// The index, when all tasks are done.
    pub fn finish(self, check: Check<'_>) -> Result<JoinIndex> {
        if self.overflown.load(Ordering::Relaxed) {
            // Hashes that lie close together: with all places for all rows there is room.
            let places = word_places(&self.parts, self.rows, 1);
            let whole = JoinLinker {
                places,
                tasks: 1,
                next: OnceLock::new(),
                overflown: AtomicBool::new(false),
                ..self
            };
            whole.link(0, check)?;
            return whole.finish(check);
        }
        Ok(JoinIndex { places: self.places, next: self.next.into_inner().unwrap_or_default() })
    }
}

/// The keys of parts, those of bytes numbered by the first part's table.
fn with_one_table(parts: Vec<JoinKeys>, check: Check<'_>) -> Result<(Vec<PartKeys>, KeyTable)> {
    let mut all: Option<KeyTable> = None;
    let mut first_row = 0;
    let mut with_rows = |part: JoinKeys| {
        let JoinKeys { word, words, nulls, table, mut numbers, rows, .. } = part;
        match &mut all {
            None => all = Some(table),
            Some(_) if word => {}
            Some(all) => {
                let mut known = Vec::with_capacity(table.len());
                for number in 0..table.len() {
                    if number % ROWS_BETWEEN_CHECKS == 0 {
                        check()?;
                    }
                    known.push(all.insert_bytes(table.bytes_at(number as u32)).0);
                }
                // A row whose key is NULL has no number of its own.
                numbers
                    .iter_mut()
                    .for_each(|number| *number = known.get(*number as usize).copied().unwrap_or(0));
            }
        }
        let keys = if word { RowKeys::Words(words) } else { RowKeys::Numbers(numbers) };
        first_row += rows;
        Ok(PartKeys { first_row: first_row - rows, rows, nulls, keys })
    };
    let parts = parts.into_iter().map(&mut with_rows).collect::<Result<_>>()?;
    Ok((parts, all.unwrap_or_else(KeyTable::bytes)))
}

/// Places for the words of rows: by value when they lie close together.
fn word_places(parts: &[PartKeys], rows: usize, tasks: usize) -> Places {
    let (mut low, mut high) = (i64::MAX, i64::MIN);
    for part in parts {
        let RowKeys::Words(words) = &part.keys else { continue };
        for (row, word) in words.iter().enumerate() {
            if part.nulls.is_empty() || !part.nulls[row] {
                low = low.min(*word as i64);
                high = high.max(*word as i64);
            }
        }
    }
    let span = if low > high { 0 } else { high.wrapping_sub(low) as u64 };
    if span < (rows as u64).saturating_mul(DIRECT_SPREAD).max(1024) {
        return Places::Direct { low: low as u64, heads: empty_heads(span as usize + 1) };
    }
    let size = (rows * 2).next_power_of_two().max(16).max(tasks);
    let empty = || Slot { word: AtomicU64::new(0), head: AtomicU32::new(NO_ROW) };
    let slots = std::iter::repeat_with(empty).take(size).collect();
    Places::Words { slots, shift: 64 - size.trailing_zeros(), region: size / tasks - 1 }
}

fn empty_heads(count: usize) -> Vec<AtomicU32> {
    std::iter::repeat_with(|| AtomicU32::new(NO_ROW)).take(count).collect()
}

/// Which of so many places are a task's; with a power of two of both, all shares are of one size.
fn share_of(places: usize, task: usize, tasks: usize) -> Range<usize> {
    places * task / tasks..places * (task + 1) / tasks
}

/// Where a word is, or would be; `None` when all places that it may have are others'.
#[inline]
fn place_for(slots: &[Slot], first: usize, region: usize, word: u64) -> Option<usize> {
    let mut at = first;
    loop {
        let slot = &slots[at];
        if slot.head.load(Ordering::Relaxed) == NO_ROW || slot.word.load(Ordering::Relaxed) == word {
            return Some(at);
        }
        at = at & !region | (at + 1) & region;
        if at == first {
            return None;
        }
    }
}

impl Places {
    fn bytes(table: KeyTable) -> Places {
        let heads = empty_heads(table.len());
        Places::Bytes { table, heads }
    }
}

impl JoinIndex {
    /// How many places for keys there are.
    pub fn places(&self) -> usize {
        match &self.places {
            Places::Direct { heads, .. } | Places::Bytes { heads, .. } => heads.len(),
            Places::Words { slots, .. } => slots.len(),
        }
    }

    /// Whether no two rows have one key.
    pub fn is_unique(&self) -> bool {
        self.next.is_empty()
    }

    /// The row after a row in its chain.
    #[inline]
    pub fn after(&self, row: u32) -> u32 {
        self.next.get(row as usize).map_or(NO_ROW, |next| next.load(Ordering::Relaxed))
    }

    /// For each active row that has a partner, the row and the first of them.
    pub fn find(
        &self,
        keys: &BatchKeys,
        active: impl Iterator<Item = usize>,
        outer: &mut Vec<u32>,
        first: &mut Vec<u32>,
    ) {
        match &self.places {
            Places::Direct { low, heads } => {
                for row in active {
                    let at = keys.words[row].wrapping_sub(*low) as usize;
                    let head = heads.get(at).map_or(NO_ROW, |head| head.load(Ordering::Relaxed));
                    if head != NO_ROW && !keys.is_null(row) {
                        outer.push(row as u32);
                        first.push(head);
                    }
                }
            }
            Places::Words { slots, shift, region } => {
                for row in active {
                    let word = keys.words[row];
                    let place = place_for(slots, (hash_word(word) >> *shift) as usize, *region, word);
                    let head = place.map_or(NO_ROW, |at| slots[at].head.load(Ordering::Relaxed));
                    if head != NO_ROW && !keys.is_null(row) {
                        outer.push(row as u32);
                        first.push(head);
                    }
                }
            }
            Places::Bytes { table, heads } => {
                for row in active.filter(|row| !keys.is_null(*row)) {
                    if let Some(number) = table.find_bytes(keys.bytes(row)) {
                        outer.push(row as u32);
                        first.push(heads[number as usize].load(Ordering::Relaxed));
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ochre_types::{Column, Datum, PhysicalType, SqlType};

    use super::*;

    /// The chains of every key by the index and by looking at all rows.
    fn check(values: Vec<Option<i64>>) {
        let datums: Vec<Datum> = values.iter().map(|v| v.map_or(Datum::Null, Datum::Int64)).collect();
        let column = Arc::new(Column::from_datums(PhysicalType::Int64, &datums));
        let one = [column.clone()];
        let two = [column.clone(), column];
        let layouts = [
            (KeyLayout::without_nulls([SqlType::INT8]), &one[..]),
            (KeyLayout::without_nulls([SqlType::INT8, SqlType::INT8]), &two[..]),
        ];
        for (layout, columns) in layouts {
            let mut keys = BatchKeys::default();
            layout.encode(columns, values.len(), 0..values.len(), &mut keys).unwrap();
            let part = |rows: std::ops::Range<usize>| {
                let mut part = JoinKeys::new(&layout);
                part.add(&keys, rows);
                part
            };
            let go_on: Check<'_> = &|| Ok(());
            check_index(&part(0..values.len()).finish(go_on).unwrap(), &keys, &values);
            for tasks in 1..4 {
                let cuts = [0, values.len() / 3, values.len() / 3, values.len() / 2, values.len()];
                let parts = cuts.windows(2).map(|cut| part(cut[0]..cut[1])).collect();
                let linker = JoinLinker::new(parts, tasks, go_on).unwrap();
                std::thread::scope(|scope| {
                    for task in 0..linker.tasks() {
                        let linker = &linker;
                        scope.spawn(move || linker.link(task, &|| Ok(())).unwrap());
                    }
                });
                check_index(&linker.finish(go_on).unwrap(), &keys, &values);
            }
        }
    }

    fn check_index(index: &JoinIndex, keys: &BatchKeys, values: &[Option<i64>]) {
        let (mut outer, mut first) = (Vec::new(), Vec::new());
        index.find(keys, 0..values.len(), &mut outer, &mut first);
        let expected: Vec<u32> = (0..values.len() as u32).filter(|i| values[*i as usize].is_some()).collect();
        assert_eq!(outer, expected);
        for (row, first) in outer.iter().zip(first) {
            let mut chain = Vec::new();
            let mut at = first;
            while at != NO_ROW {
                chain.push(at as usize);
                at = index.after(at);
            }
            let all: Vec<usize> = (0..values.len()).filter(|i| values[*i] == values[*row as usize]).collect();
            assert_eq!(chain, all);
        }
    }

    #[test]
    fn chains_hold_the_rows_of_a_key_in_order() {
        check(vec![]);
        check(vec![None, None]);
        check((0..100).map(|i| Some(i % 7 - 3)).collect());
        check((0..100).map(|i| (i % 5 != 0).then_some(i * 1_000_003)).collect());
        check((0..5000).map(|i| (i % 11 != 0).then_some(i % 2000 * 1_000_003)).collect());
        check(vec![Some(i64::MIN), Some(i64::MAX), Some(0), Some(i64::MIN), None, Some(-1)]);
    }

    /// Words whose hashes begin alike overflow their task's places, and are found all the same.
    #[test]
    fn words_that_crowd_one_task_are_all_found() {
        let mut words: Vec<i64> =
            (0..4_000_000i64).filter(|i| hash_word(*i as u64) >> 58 == 0).take(3000).collect();
        // Far apart, so that they have no places by value.
        words.push(i64::MAX / 2);
        check(words.into_iter().map(Some).collect());
    }
}
