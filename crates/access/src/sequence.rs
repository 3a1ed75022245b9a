//! Sequences: one page each, handed out from memory, logged ahead.
//!
//! # Role
//! The engine keeps one [`Sequence`] open for each sequence that was used and asks it for numbers. A number once given
//! is never given again, whatever becomes of the transaction that asked.
//!
//! # On-disk layout
//! Block 0 of the relation is a page of kind 7 whose bytes after the header are: last value (i64), whether it has been
//! given out (u8), both little-endian.
//!
//! # Invariants
//! - Q1: the page, and the log, hold a value that no number given out so far has passed (in the direction of the
//!   increment). After a crash the next number follows that value, so up to [`LOG_AHEAD`] numbers are skipped. What is
//!   logged ahead covers numbers of the rules it was computed by, and none of others.
//! - Q2: [`Taken::lsn`] is the end of the record that covers the number: a reply that shows it waits for that position.
//!
//! # Concurrency
//! One mutex a sequence. The page's latch is taken under it and nothing else is.
//!
//! # Recovery
//! A record holds the whole state and makes the page anew.

use ochre_base::{BlockNo, Error, Fork, Lsn, Result, SqlState, Xid};
use ochre_storage::{
    BlockFlags, Page, PageKind, PageWriteGuard, RecordBuilder, RelationKey, ResourceManager, RmgrId, Storage,
    WalRecord,
};
use parking_lot::Mutex;
use std::sync::Arc;

/// The kind of a sequence's page.
pub const SEQUENCE_PAGE: PageKind = PageKind(7);
/// Numbers covered by one log record.
pub const LOG_AHEAD: i64 = 32;

const LAST_VALUE: usize = ochre_storage::page::PAGE_HEADER_BYTES;
const IS_CALLED: usize = LAST_VALUE + 8;
const STATE_BYTES: usize = 9;

/// A sequence's page in readable form.
pub fn dump_page(page: &Page) -> String {
    format!(
        "sequence page, lsn {:016x}, last value {}, {}\n",
        page.lsn().0,
        page.u64_at(LAST_VALUE) as i64,
        if page.bytes()[IS_CALLED] != 0 { "given out" } else { "not given out yet" }
    )
}

/// A sequence's rules, from its descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SequenceRules {
    pub increment: i64,
    pub minimum: i64,
    pub maximum: i64,
    pub cycle: bool,
}

/// A number, and the log position that must be durable before anyone learns of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    pub value: i64,
    pub lsn: Lsn,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct State {
    last_value: i64,
    is_called: bool,
}

#[derive(Debug)]
struct Inner {
    state: State,
    /// How many further numbers the log covers (Q1) under `rules`.
    covered: i64,
    /// The rules of the number that was given last.
    rules: Option<SequenceRules>,
    /// End of the last record.
    lsn: Lsn,
}

/// An open sequence.
pub struct Sequence {
    storage: Arc<Storage>,
    relation: RelationKey,
    inner: Mutex<Inner>,
}

impl Sequence {
    /// Writes the first page of a new sequence, whose file exists, and opens it. `is_called` says that `last_value` was
    /// given out by the sequence that this one takes the place of.
    ///
    /// # Errors
    /// 53100, 58030.
    pub fn create(
        storage: &Arc<Storage>,
        relation: RelationKey,
        xid: Xid,
        last_value: i64,
        is_called: bool,
    ) -> Result<Sequence> {
        let state = State { last_value, is_called };
        storage.wal().reserve()?;
        let mut page = storage.pool().allocate(relation.fork(Fork::Main))?;
        let lsn = log_state(storage, &mut page, xid, state)?;
        Ok(Sequence::with(storage, relation, state, lsn))
    }

    fn with(storage: &Arc<Storage>, relation: RelationKey, state: State, lsn: Lsn) -> Sequence {
        let inner = Mutex::new(Inner { state, covered: 0, rules: None, lsn });
        Sequence { storage: Arc::clone(storage), relation, inner }
    }

    /// Opens a sequence that is there.
    ///
    /// # Errors
    /// XX001 when its page is damaged.
    pub fn open(storage: &Arc<Storage>, relation: RelationKey) -> Result<Sequence> {
        let page = storage.pool().read(relation.main_page(BlockNo(0)))?;
        if page.kind() != SEQUENCE_PAGE {
            return Err(Error::corrupt(format!(
                "page of sequence base/{}/{} is not a sequence page",
                relation.database, relation.file
            )));
        }
        let state =
            State { last_value: page.u64_at(LAST_VALUE) as i64, is_called: page.bytes()[IS_CALLED] != 0 };
        let lsn = page.lsn();
        drop(page);
        Ok(Sequence::with(storage, relation, state, lsn))
    }

    /// The next number.
    ///
    /// # Errors
    /// 2200H when the sequence has reached its limit and does not cycle.
    pub fn next(&self, name: &str, rules: SequenceRules) -> Result<Taken> {
        let mut inner = self.inner.lock();
        let value = following(inner.state, name, rules)?;
        if inner.covered == 0 || inner.rules != Some(rules) || wraps(inner.state, value, rules) {
            // The log gets a value as far ahead as the rules allow without passing a limit.
            let room = if rules.increment > 0 {
                (i128::from(rules.maximum) - i128::from(value)) / i128::from(rules.increment)
            } else {
                (i128::from(rules.minimum) - i128::from(value)) / i128::from(rules.increment)
            };
            let ahead = room.clamp(0, i128::from(LOG_AHEAD)) as i64;
            let logged = State { last_value: value + ahead * rules.increment, is_called: true };
            inner.lsn = self.write(logged)?;
            inner.covered = ahead;
            inner.rules = Some(rules);
        } else {
            inner.covered -= 1;
        }
        inner.state = State { last_value: value, is_called: true };
        Ok(Taken { value, lsn: inner.lsn })
    }

    /// `setval`: the state from now on, logged exactly.
    ///
    /// # Errors
    /// 58030 when the log cannot be written.
    pub fn set(&self, last_value: i64, is_called: bool) -> Result<Lsn> {
        let mut inner = self.inner.lock();
        let state = State { last_value, is_called };
        inner.lsn = self.write(state)?;
        inner.covered = 0;
        inner.state = state;
        Ok(inner.lsn)
    }

    /// The last value, whether it has been given out, how many further numbers are logged, and the position that
    /// covers them.
    pub fn state(&self) -> (i64, bool, i64, Lsn) {
        let inner = self.inner.lock();
        (inner.state.last_value, inner.state.is_called, inner.covered, inner.lsn)
    }

    /// Logs the exact state, so that a clean restart skips no number.
    ///
    /// # Errors
    /// 58030 when the log cannot be written.
    pub fn settle(&self) -> Result<()> {
        let mut inner = self.inner.lock();
        if inner.covered > 0 {
            let state = inner.state;
            inner.lsn = self.write(state)?;
            inner.covered = 0;
        }
        Ok(())
    }

    fn write(&self, state: State) -> Result<Lsn> {
        self.storage.wal().reserve()?;
        let mut page = self.storage.pool().write(self.relation.main_page(BlockNo(0)))?;
        log_state(&self.storage, &mut page, Xid::NONE, state)
    }
}

/// The number after `state`.
fn following(state: State, name: &str, rules: SequenceRules) -> Result<i64> {
    if !state.is_called {
        return Ok(state.last_value);
    }
    let next = i128::from(state.last_value) + i128::from(rules.increment);
    if next > i128::from(rules.maximum) {
        if !rules.cycle {
            return Err(limit_reached("maximum", name, rules.maximum));
        }
        return Ok(rules.minimum);
    }
    if next < i128::from(rules.minimum) {
        if !rules.cycle {
            return Err(limit_reached("minimum", name, rules.minimum));
        }
        return Ok(rules.maximum);
    }
    Ok(next as i64)
}

/// Whether going to `value` was a step back over the limit, after which what was logged ahead covers nothing.
fn wraps(state: State, value: i64, rules: SequenceRules) -> bool {
    state.is_called && ((rules.increment > 0) != (value > state.last_value))
}

#[cold]
fn limit_reached(which: &str, name: &str, limit: i64) -> Error {
    Error::new(
        SqlState::SEQUENCE_GENERATOR_LIMIT_EXCEEDED,
        format!("nextval: reached {which} value of sequence \"{name}\" ({limit})"),
    )
}

fn log_state(storage: &Storage, page: &mut PageWriteGuard, xid: Xid, state: State) -> Result<Lsn> {
    apply(page, state);
    let mut record = RecordBuilder::new(RmgrId::SEQUENCE, 0, xid);
    record.block(BlockFlags::INIT).block_data(&encode(state));
    Ok(storage.wal().append(&record, &mut [page])?.end)
}

fn apply(page: &mut Page, state: State) {
    page.format(SEQUENCE_PAGE, 0);
    page.put_u64(LAST_VALUE, state.last_value as u64);
    page.bytes_mut()[IS_CALLED] = u8::from(state.is_called);
}

fn encode(state: State) -> [u8; STATE_BYTES] {
    let mut bytes = [0; STATE_BYTES];
    bytes[..8].copy_from_slice(&state.last_value.to_le_bytes());
    bytes[8] = u8::from(state.is_called);
    bytes
}

/// Redoes the records of sequences.
#[derive(Debug, Default)]
pub struct SequenceManager;

impl ResourceManager for SequenceManager {
    fn rmgr(&self) -> RmgrId {
        RmgrId::SEQUENCE
    }

    fn name(&self) -> &'static str {
        "sequence"
    }

    fn redo_page(&self, record: &WalRecord<'_>, _index: usize, page: &mut Page) -> Result<()> {
        apply(page, decode(record)?);
        Ok(())
    }

    fn describe(&self, record: &WalRecord<'_>) -> String {
        match decode(record) {
            Ok(state) => format!("last value {} called {}", state.last_value, state.is_called),
            Err(error) => error.message().to_string(),
        }
    }
}

fn decode(record: &WalRecord<'_>) -> Result<State> {
    let data = record.blocks.first().map(|block| block.data).unwrap_or_default();
    let bytes: &[u8; STATE_BYTES] = data.try_into().map_err(|_| {
        Error::corrupt(format!("sequence record at {} has {} bytes", record.start, data.len()))
    })?;
    let mut value = [0; 8];
    value.copy_from_slice(&bytes[..8]);
    Ok(State { last_value: i64::from_le_bytes(value), is_called: bytes[8] != 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    const UP: SequenceRules = SequenceRules { increment: 3, minimum: 1, maximum: 10, cycle: false };

    fn numbers(rules: SequenceRules, start: i64, count: usize) -> Vec<Result<i64>> {
        let mut state = State { last_value: start, is_called: false };
        (0..count)
            .map(|_| {
                let value = following(state, "s", rules)?;
                state = State { last_value: value, is_called: true };
                Ok(value)
            })
            .collect()
    }

    #[test]
    fn limits_end_a_sequence_or_turn_it_round() {
        let got = numbers(UP, 1, 5);
        assert_eq!(got[..4].iter().map(|r| *r.as_ref().unwrap()).collect::<Vec<_>>(), [1, 4, 7, 10]);
        assert_eq!(
            got[4].as_ref().unwrap_err().message(),
            "nextval: reached maximum value of sequence \"s\" (10)"
        );
        let down = SequenceRules { increment: -4, minimum: -5, maximum: -1, cycle: true };
        let got: Vec<i64> = numbers(down, -1, 4).into_iter().map(|r| r.unwrap()).collect();
        assert_eq!(got, [-1, -5, -1, -5]);
        let widest = SequenceRules { increment: 1, minimum: i64::MIN, maximum: i64::MAX, cycle: false };
        assert!(numbers(widest, i64::MAX, 2)[1].is_err());
    }
}
