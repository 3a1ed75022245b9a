//! An index against its table: what it should hold, sorted, merged with what it holds.

use std::cmp::Ordering;
use std::sync::Arc;

use ochre_access::sort::{SortConfig, SortEntry, Sorted, Sorter};
use ochre_base::{Result, RowId};
use ochre_exec::{Entry, EntryColumns, ImageDecoder, IndexAccess, TableAccess};
use ochre_expr::{EvalContext, NoSession};

use super::Check;
use crate::instance::Instance;

/// Memory for the sorts of one table's indexes together (V2).
const SORT_BYTES: usize = 64 << 20;

/// The entries that live rows should have.
pub(super) struct ExpectedEntries {
    state: State,
    scratch: Vec<Entry>,
    /// Rows that the index should hold and remembers nothing of.
    forgotten: Vec<RowId>,
}

enum State {
    Adding(Box<Sorter>),
    Sorted(Sorted),
}

impl ExpectedEntries {
    /// For one of so many indexes.
    pub(super) fn new(instance: &Instance, indexes: usize) -> ExpectedEntries {
        let temp = instance.temp();
        let config = SortConfig::new(temp.env(), temp.dir(), SORT_BYTES / indexes);
        ExpectedEntries {
            state: State::Adding(Box::new(Sorter::new(config))),
            scratch: Vec::new(),
            forgotten: Vec::new(),
        }
    }

    /// Adds a row's entries.
    pub(super) fn add(
        &mut self,
        index: &IndexAccess,
        columns: &EntryColumns,
        row: usize,
        rid: RowId,
    ) -> Result<()> {
        columns.entries(index, row, rid, &mut self.scratch)?;
        match &mut self.state {
            State::Adding(sorter) => {
                for entry in &self.scratch {
                    sorter.add(&entry.key, rid.to_u64(), &entry.payload)?;
                }
            }
            State::Sorted(_) => unreachable!("nothing is added to what is sorted"),
        }
        if columns.is_untold(index, row, &self.scratch) {
            self.forgotten.push(rid);
        }
        Ok(())
    }

    /// Sorts them.
    pub(super) fn finish(self) -> Result<ExpectedEntries> {
        Ok(match self.state {
            State::Adding(sorter) => ExpectedEntries { state: State::Sorted(sorter.finish()?), ..self },
            State::Sorted(_) => self,
        })
    }

    fn next(&mut self) -> Result<Option<SortEntry<'_>>> {
        match &mut self.state {
            State::Sorted(sorted) => sorted.next(),
            State::Adding(_) => unreachable!("the entries are sorted"),
        }
    }
}

/// The merge of what should be there with what is.
struct Merge<'a> {
    table: &'a TableAccess,
    index: &'a IndexAccess,
    expected: ExpectedEntries,
    /// The next entry that should be there.
    head: Option<(Vec<u8>, u64, Vec<u8>)>,
    /// The key of the live row before it.
    before: Vec<u8>,
    problems: Vec<String>,
    entries: u64,
}

impl Check<'_> {
    /// An index's structure, and its entries against the rows.
    pub(super) fn index(
        &mut self,
        name: &str,
        table: &TableAccess,
        index: &Arc<IndexAccess>,
        expected: ExpectedEntries,
    ) {
        let mut merge = Merge {
            table,
            index,
            expected,
            head: None,
            before: Vec::new(),
            problems: Vec::new(),
            entries: 0,
        };
        // An index whose build did not end has what its writers put there, and not more.
        let complete = index.descriptor.valid;
        let mut failure = if complete { merge.advance().err() } else { None };
        let report = index.tree.check(&mut |key, rid, payload| {
            if failure.is_none() && complete {
                failure = merge.entry(key, rid, payload).err();
            }
        });
        let sound = match self.attempt(name, report) {
            None => false,
            Some(report) => {
                for problem in &report.problems {
                    self.problem(name, format!("block {} {}", problem.block, problem.what));
                }
                report.problems.is_empty()
            }
        };
        if sound && complete && failure.is_none() {
            failure = merge.end().err();
        }
        self.summary.index_entries += merge.entries;
        if let Some(error) = failure {
            self.problem(name, error.message());
        }
        // Entries of a tree that is not sound are not all seen (V1).
        for problem in merge.problems.into_iter().filter(|_| sound) {
            self.problem(name, problem);
        }
    }
}

impl Merge<'_> {
    /// Goes on to the next entry that should be there.
    fn advance(&mut self) -> Result<()> {
        if let Some((key, ..)) = self.head.take() {
            self.before = key;
        }
        let Some(next) = self.expected.next()? else { return Ok(()) };
        let next = (next.key.to_vec(), next.tag, next.payload.to_vec());
        let descriptor = &self.index.descriptor;
        if descriptor.unique
            && !self.before.is_empty()
            && next.0 == self.before
            && !self.index.is_memo(&next.0)
            && (descriptor.nulls_not_distinct || !self.index.has_null_in_key(&next.0)?)
        {
            let rid = RowId::from_u64(next.1);
            self.problems.push(format!("row {rid} has the key of another row in a unique index"));
        }
        self.head = Some(next);
        Ok(())
    }

    /// Takes the next entry that is there.
    fn entry(&mut self, key: &[u8], rid: RowId, payload: &[u8]) -> Result<()> {
        self.entries += 1;
        while let Some((expected_key, expected_rid, expected_payload)) = &self.head {
            let expected = (&expected_key[..], *expected_rid, &expected_payload[..]);
            match expected.cmp(&(key, rid.to_u64(), payload)) {
                Ordering::Less => self.missing()?,
                Ordering::Equal => return self.advance(),
                Ordering::Greater => break,
            }
        }
        if !self.some_version_had(key, rid, payload)? {
            self.problems.push(format!("an entry leads to row {rid}, no version of which has its key"));
        }
        Ok(())
    }

    fn missing(&mut self) -> Result<()> {
        if let Some((_, rid, _)) = &self.head {
            self.problems.push(format!("row {} has no entry", RowId::from_u64(*rid)));
        }
        self.advance()
    }

    fn end(&mut self) -> Result<()> {
        while self.head.is_some() {
            self.missing()?;
        }
        let forgotten = self.expected.forgotten.iter().map(|rid| format!("row {rid} has no entry"));
        self.problems.extend(forgotten);
        Ok(())
    }

    /// Whether any version of a row, whatever became of it, has this entry.
    fn some_version_had(&self, key: &[u8], rid: RowId, payload: &[u8]) -> Result<bool> {
        let heap = self.table.heap()?;
        let mut read: Vec<usize> = self.index.exprs.columns_read();
        read.sort_unstable();
        read.dedup();
        let mut decoder = ImageDecoder::new(&self.table.codec, &read);
        heap.each_version(rid, |version| decoder.push(&version))?;
        let batch = decoder.take(heap)?;
        let session = NoSession::default();
        let eval = EvalContext { params: &[], correlated: &[], session: &session, subplans: None };
        let columns = EntryColumns::stored(self.index, &batch, &eval)?;
        for row in 0..batch.rows {
            if columns.has_entry(self.index, row, rid, key, Some(payload))? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
