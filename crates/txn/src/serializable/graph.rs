//! The graph of rw-conflicts among serializable transactions, and the search for dangerous structures.
//!
//! # How
//! Edges exist between transactions that run. When one commits, its edges are folded into positions of those at their
//! other ends:
//!
//! - `earliest_out`: the first commit among those that wrote over what the transaction has read (possible T3 of which
//!   it is the T2),
//! - `latest_in`: the last *bound* among those that read what it wrote over (possible T1).
//!
//! The bound of a committed transaction is the position at or before which a T3 must have committed to make a structure
//! that begins with it dangerous: its own commit, or, when it wrote nothing, its snapshot, because a reader that could
//! also have run before T3 is in nobody's way. All that a T1 or T3 does later is decided by comparing these positions.
//!
//! # States
//! ```text
//! active ──► prepared ──► committed ──► swept, or summarised
//!    └─► aborted (gone at once)
//! ```
//! A read-only transaction whose snapshot has become safe leaves the graph at once.
//!
//! # Invariants
//! - G1: an edge has both ends among active and prepared transactions, and is in both nodes' lists.
//! - G2: a committed node is kept while an active snapshot lies before its bound: only then is somebody concurrent.
//! - G3: a prepared writer counts for its readers as one that has committed: it can no longer be made to fail.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use hashbrown::HashMap;
use ochre_base::{Lsn, Result, Xid};
use smallvec::SmallVec;

use super::locks::{Holder, OwnLocks};
use super::{Flags, SerialId, failure};
use crate::wait::Interrupt;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Active,
    /// Cannot be made to fail; the position is the newest commit of when it was prepared.
    Prepared(Lsn),
    Committed(Lsn),
}

type Ids = SmallVec<[SerialId; 4]>;

struct Node {
    snapshot: Lsn,
    xid: Xid,
    process_id: i32,
    /// Declared so, or committed without having written.
    read_only: bool,
    state: State,
    flags: Arc<Flags>,
    /// Running ones that read what this one wrote over.
    readers: Ids,
    /// Running ones that wrote over what this one read.
    writers: Ids,
    earliest_out: Lsn,
    latest_in: Lsn,
    /// Read-only transactions whose snapshot's safety depends on this one's end.
    watched_by: SmallVec<[SerialId; 2]>,
    /// Of a read-only one: how many transactions its safety depends on.
    undecided: usize,
    waiter: Option<Arc<Interrupt>>,
    /// Of a committed one.
    locks: Option<OwnLocks>,
}

impl Node {
    fn is_doomed(&self) -> bool {
        self.flags.doomed.load(Ordering::Relaxed)
    }

    fn doom(&self) {
        self.flags.doomed.store(true, Ordering::SeqCst);
    }

    /// The commit, or what stands for it, of one that can no longer fail.
    fn decided(&self) -> Option<Lsn> {
        match self.state {
            State::Active => None,
            State::Prepared(lsn) | State::Committed(lsn) => Some(lsn),
        }
    }

    fn is_committed(&self) -> bool {
        matches!(self.state, State::Committed(_))
    }

    /// A T3 that committed after this makes no structure dangerous that begins with this transaction.
    fn bound(&self) -> Lsn {
        match self.state {
            _ if self.read_only => self.snapshot,
            State::Committed(lsn) => lsn,
            State::Active | State::Prepared(_) => Lsn::MAX,
        }
    }

    fn wake(&mut self) {
        if let Some(waiter) = self.waiter.take() {
            waiter.wake();
        }
    }
}

/// Writers that were summarised: what a reader that meets a version of theirs must know.
#[derive(Default)]
struct OldWriters {
    /// The first commit that each conflicts out to.
    known: HashMap<Xid, Lsn>,
    /// Those that are no longer remembered one by one: xids from, to, and the first commit that any conflicts out to.
    merged: Option<(Xid, Xid, Lsn)>,
    /// The last commit of any.
    until: Lsn,
}

impl OldWriters {
    fn add(&mut self, xid: Xid, commit: Lsn, earliest_out: Lsn, limit: usize) {
        self.known.insert(xid, earliest_out);
        self.until = self.until.max(commit);
        if self.known.len() > limit {
            let (mut low, mut high, mut earliest) = self.merged.unwrap_or((Xid(u64::MAX), Xid(0), Lsn::MAX));
            for (xid, out) in self.known.drain() {
                (low, high, earliest) = (low.min(xid), high.max(xid), earliest.min(out));
            }
            self.merged = Some((low, high, earliest));
        }
    }

    fn find(&self, xid: Xid) -> Option<Lsn> {
        let merged =
            || self.merged.filter(|(low, high, _)| (*low..=*high).contains(&xid)).map(|(.., out)| out);
        self.known.get(&xid).copied().or_else(merged)
    }

    fn is_empty(&self) -> bool {
        self.known.is_empty() && self.merged.is_none()
    }
}

/// What is no longer needed; released when the graph's mutex is.
#[derive(Default)]
pub(super) struct Garbage {
    pub(super) released: SmallVec<[(SerialId, OwnLocks); 2]>,
    /// The locks of transactions that were summarised with a bound up to this can go.
    pub(super) summary: Option<Lsn>,
}

/// All tracked transactions.
#[derive(Default)]
pub(super) struct Graph {
    last: u64,
    nodes: HashMap<SerialId, Node>,
    xids: HashMap<Xid, SerialId>,
    /// Active and prepared ones by snapshot.
    active: BTreeSet<(Lsn, SerialId)>,
    /// Committed ones by bound.
    committed: BTreeSet<(Lsn, SerialId)>,
    old: OldWriters,
    /// The last bound of a summarised transaction that has locks.
    summary_until: Lsn,
}

impl Graph {
    /// A transaction takes a snapshot; `None` when it is read-only and safe at once.
    pub(super) fn begin(
        &mut self,
        snapshot: Lsn,
        read_only: bool,
        xid: Xid,
        process_id: i32,
    ) -> Option<(SerialId, Arc<Flags>)> {
        let id = SerialId(self.last + 1);
        let mut undecided = 0;
        if read_only {
            for (_, other) in &self.active {
                let node = self.nodes.get_mut(other).expect("an active transaction has a node");
                if !node.read_only {
                    node.watched_by.push(id);
                    undecided += 1;
                }
            }
            if undecided == 0 {
                return None;
            }
        }
        Some(self.add_node(snapshot, read_only, undecided, xid, process_id))
    }

    fn add_node(
        &mut self,
        snapshot: Lsn,
        read_only: bool,
        undecided: usize,
        xid: Xid,
        process_id: i32,
    ) -> (SerialId, Arc<Flags>) {
        self.last += 1;
        let id = SerialId(self.last);
        let flags = Arc::new(Flags::default());
        let node = Node {
            snapshot,
            xid: Xid::NONE,
            process_id,
            read_only,
            state: State::Active,
            flags: flags.clone(),
            readers: Ids::new(),
            writers: Ids::new(),
            earliest_out: Lsn::MAX,
            latest_in: Lsn::ZERO,
            watched_by: SmallVec::new(),
            undecided,
            waiter: None,
            locks: None,
        };
        self.nodes.insert(id, node);
        self.active.insert((snapshot, id));
        if xid.is_valid() {
            self.note_xid(id, xid);
        }
        (id, flags)
    }

    /// Begins a transaction on the snapshot of one that runs: what that one needs is kept, so it has what this one needs.
    /// `None` when no transaction with the snapshot runs any more.
    pub(super) fn begin_imported(
        &mut self,
        snapshot: Lsn,
        read_only: bool,
        xid: Xid,
        process_id: i32,
    ) -> Option<(SerialId, Arc<Flags>)> {
        let all = (snapshot, SerialId(0))..=(snapshot, SerialId(u64::MAX));
        let exporters: Ids = self.active.range(all).map(|(_, id)| *id).collect();
        if exporters.is_empty() {
            return None;
        }
        if read_only {
            // What committed since the snapshot may have made it unsafe: it never becomes safe.
            return Some(self.add_node(snapshot, true, 1, xid, process_id));
        }
        // Who waits for a decision about the exporter has the same to fear from this one.
        let mut watchers: SmallVec<[SerialId; 2]> = SmallVec::new();
        for exporter in exporters {
            let watched_by = &self.nodes[&exporter].watched_by;
            watchers.extend(watched_by.iter().copied().filter(|id| !watchers.contains(id)).collect::<Ids>());
        }
        for watcher in &watchers {
            if let Some(node) = self.nodes.get_mut(watcher) {
                node.undecided += 1;
            }
        }
        let (id, flags) = self.add_node(snapshot, false, 0, xid, process_id);
        self.nodes.get_mut(&id).expect("just added").watched_by = watchers;
        Some((id, flags))
    }

    /// Puts a transaction back that was prepared when the engine stopped. What became of those that it conflicted with is
    /// not known any more: it counts as if one had committed first that wrote over what it has read.
    pub(super) fn restore(&mut self, snapshot: Lsn, xid: Xid) -> (SerialId, Arc<Flags>) {
        let (id, flags) = self.add_node(snapshot, false, 0, xid, 0);
        let node = self.nodes.get_mut(&id).expect("just added");
        node.state = State::Prepared(snapshot);
        node.earliest_out = snapshot;
        (id, flags)
    }

    /// The session of a transaction; 0 for one that was prepared, or summarised.
    pub(super) fn process_id(&self, id: SerialId) -> i32 {
        match self.nodes.get(&id) {
            Some(node) if !matches!(node.state, State::Prepared(_)) => node.process_id,
            _ => 0,
        }
    }

    pub(super) fn snapshot(&self, id: SerialId) -> Option<Lsn> {
        self.nodes.get(&id).map(|node| node.snapshot)
    }

    pub(super) fn note_xid(&mut self, id: SerialId, xid: Xid) {
        if let Some(node) = self.nodes.get_mut(&id) {
            node.xid = xid;
            self.xids.insert(xid, id);
        }
    }

    /// Has somebody woken when it is known whether a read-only transaction's snapshot is safe.
    pub(super) fn wake_when_decided(&mut self, id: SerialId, waiter: Arc<Interrupt>) {
        if let Some(node) = self.nodes.get_mut(&id) {
            node.waiter = Some(waiter);
        }
    }

    /// A reader met a version that its snapshot does not see.
    pub(super) fn conflict_out(
        &mut self,
        reader: SerialId,
        writer: Xid,
        committed: Option<Lsn>,
    ) -> Result<()> {
        let Some(r) = self.nodes.get(&reader) else { return Ok(()) };
        if r.is_doomed() {
            return Err(failure("Canceled on identification as a pivot, during conflict out checking."));
        }
        let Some(id) = self.xids.get(&writer).copied() else {
            // Not serializable, or summarised.
            let (Some(out), Some(commit)) = (self.old.find(writer), committed) else { return Ok(()) };
            let old = out <= commit && out <= r.bound();
            if old || self.is_pivot_for(r, commit) {
                return Err(failure(&format!("Canceled on conflict out to old pivot {writer}.")));
            }
            self.fold_out(reader, commit);
            return Ok(());
        };
        let w = &self.nodes[&id];
        if id == reader || w.is_doomed() {
            return Ok(());
        }
        // The writer as T2, with a T3 that has committed; the reader as T2, with the writer as T3.
        let dangerous =
            Self::is_pivot_between(r, w) || w.decided().is_some_and(|commit| self.is_pivot_for(r, commit));
        if dangerous {
            if w.decided().is_some() {
                let xid = w.xid;
                return Err(failure(&format!("Canceled on conflict out to pivot {xid}, during read.")));
            }
            w.doom();
            return Ok(());
        }
        match w.state {
            State::Committed(commit) => self.fold_out(reader, commit),
            State::Active => self.add_edge(reader, id),
            State::Prepared(prepared) => {
                self.fold_out(reader, prepared); // G3
                self.add_edge(reader, id);
            }
        }
        Ok(())
    }

    /// A writer met a lock on what it has written. Holders with snapshots before `since` do not count.
    pub(super) fn conflict_in(&mut self, writer: SerialId, holder: Holder, since: Lsn) -> Result<()> {
        let Some(w) = self.nodes.get(&writer) else { return Ok(()) };
        if w.is_doomed() {
            return Err(failure("Canceled on identification as a pivot, during conflict in checking."));
        }
        let (bound, committed) = if holder.id == SerialId::SUMMARY {
            (holder.until, true)
        } else {
            let counts = |r: &&Node| holder.id != writer && !r.is_doomed() && r.snapshot >= since;
            let Some(r) = self.nodes.get(&holder.id).filter(counts) else { return Ok(()) };
            (r.bound(), r.is_committed())
        };
        if committed && bound <= w.snapshot {
            return Ok(()); // not concurrent
        }
        if w.earliest_out <= bound && w.earliest_out != Lsn::MAX {
            return Err(failure("Canceled on identification as a pivot, during write."));
        }
        if committed {
            self.fold_in(writer, bound);
        } else {
            self.add_edge(holder.id, writer);
        }
        Ok(())
    }

    /// Whether a writer that a reader conflicts out to is a T2 whose T3 committed first.
    fn is_pivot_between(reader: &Node, writer: &Node) -> bool {
        let out = writer.earliest_out;
        let before_writer = match writer.state {
            State::Committed(commit) => out <= commit,
            State::Active | State::Prepared(_) => true,
        };
        out != Lsn::MAX && before_writer && out <= reader.bound()
    }

    /// Whether a reader is a T2 when a T3 committed at a position: whether there is a T1.
    fn is_pivot_for(&self, reader: &Node, commit: Lsn) -> bool {
        if reader.read_only {
            return false;
        }
        reader.latest_in >= commit
            || reader.readers.iter().any(|id| {
                let t1 = &self.nodes[id];
                !t1.is_doomed() && t1.bound() >= commit
            })
    }

    fn fold_out(&mut self, reader: SerialId, commit: Lsn) {
        if let Some(node) = self.nodes.get_mut(&reader) {
            node.earliest_out = node.earliest_out.min(commit);
        }
    }

    fn fold_in(&mut self, writer: SerialId, bound: Lsn) {
        if let Some(node) = self.nodes.get_mut(&writer) {
            node.latest_in = node.latest_in.max(bound);
        }
    }

    fn add_edge(&mut self, reader: SerialId, writer: SerialId) {
        let r = self.nodes.get_mut(&reader).expect("G1: the reader runs");
        if r.writers.contains(&writer) {
            return;
        }
        r.writers.push(writer);
        self.nodes.get_mut(&writer).expect("G1: the writer runs").readers.push(reader);
    }

    /// Whether a transaction may commit; makes a T2 fail of which it is the T3.
    pub(super) fn pre_commit(&mut self, id: SerialId) -> Result<()> {
        let Some(me) = self.nodes.get(&id) else { return Ok(()) };
        if me.state == State::Active && me.is_doomed() {
            return Err(failure("Canceled on identification as a pivot, during commit attempt."));
        }
        for t2 in me.readers.iter().map(|near| &self.nodes[near]) {
            if t2.is_doomed() {
                continue;
            }
            let has_t1 = t2.readers.iter().any(|far| {
                let t1 = &self.nodes[far];
                *far == id || (!t1.read_only && !t1.is_doomed())
            });
            if has_t1 {
                if t2.decided().is_some() && me.state == State::Active {
                    return Err(failure("Canceled on commit attempt with conflict in from prepared pivot."));
                }
                t2.doom();
            }
        }
        Ok(())
    }

    pub(super) fn prepare(&mut self, id: SerialId, lsn: Lsn) {
        let Some(node) = self.nodes.get_mut(&id) else { return };
        node.state = State::Prepared(lsn);
        for reader in node.readers.clone() {
            self.fold_out(reader, lsn); // G3
        }
    }

    /// A transaction has committed. Its locks come back when nobody is concurrent with it.
    pub(super) fn commit(&mut self, id: SerialId, lsn: Lsn, locks: OwnLocks) -> Option<(SerialId, OwnLocks)> {
        let Some(node) = self.nodes.get_mut(&id) else { return Some((id, locks)) };
        let snapshot = node.snapshot;
        node.state = State::Committed(lsn);
        node.read_only |= !node.xid.is_valid();
        let bound = node.bound();
        node.locks = Some(locks);
        let watches = std::mem::take(&mut node.undecided) > 0;
        let (readers, writers) = (std::mem::take(&mut node.readers), std::mem::take(&mut node.writers));
        for reader in readers {
            let t2 = self.nodes.get_mut(&reader).expect("G1");
            t2.writers.retain(|w| *w != id);
            t2.earliest_out = t2.earliest_out.min(lsn);
        }
        for writer in writers {
            let w = self.nodes.get_mut(&writer).expect("G1");
            w.readers.retain(|r| *r != id);
            w.latest_in = w.latest_in.max(bound);
        }
        self.active.remove(&(snapshot, id));
        self.committed.insert((bound, id));
        self.decide_watchers(id, true);
        if watches {
            self.stop_watching(id);
        }
        None
    }

    /// A transaction has rolled back.
    pub(super) fn abort(&mut self, id: SerialId) {
        self.decide_watchers(id, false);
        self.remove_running(id);
    }

    /// Takes a transaction that runs out of the graph, with its edges.
    fn remove_running(&mut self, id: SerialId) {
        let Some(node) = self.nodes.remove(&id) else { return };
        for reader in node.readers {
            self.nodes.get_mut(&reader).expect("G1").writers.retain(|w| *w != id);
        }
        for writer in node.writers {
            self.nodes.get_mut(&writer).expect("G1").readers.retain(|r| *r != id);
        }
        self.active.remove(&(node.snapshot, id));
        self.xids.remove(&node.xid);
        if node.undecided > 0 {
            self.stop_watching(id);
        }
    }

    fn stop_watching(&mut self, id: SerialId) {
        for (_, other) in &self.active {
            let node = self.nodes.get_mut(other).expect("an active transaction has a node");
            node.watched_by.retain(|watcher| *watcher != id);
        }
    }

    /// Tells read-only transactions what the end of one that was running when they began means for their snapshots.
    fn decide_watchers(&mut self, id: SerialId, committed: bool) {
        let Some(node) = self.nodes.get_mut(&id) else { return };
        let watchers = std::mem::take(&mut node.watched_by);
        // It is a T2, and such a reader can become its T1.
        let out = if committed && !node.read_only { node.earliest_out } else { Lsn::MAX };
        for watcher in watchers {
            let Some(reader) = self.nodes.get_mut(&watcher) else { continue };
            reader.undecided -= 1;
            if out <= reader.snapshot {
                reader.flags.unsafe_snapshot.store(true, Ordering::SeqCst);
                reader.wake();
            } else if reader.undecided == 0 && !reader.flags.unsafe_snapshot.load(Ordering::SeqCst) {
                reader.flags.safe.store(true, Ordering::SeqCst);
                reader.wake();
                self.remove_running(watcher);
            }
        }
    }

    /// G2: forgets what nobody is concurrent with.
    pub(super) fn sweep(&mut self) -> Garbage {
        let oldest = self.active.first().map_or(Lsn::MAX, |(snapshot, _)| *snapshot);
        let mut garbage = Garbage::default();
        while let Some((bound, id)) = self.committed.first().copied().filter(|(bound, _)| *bound <= oldest) {
            self.committed.remove(&(bound, id));
            let node = self.nodes.remove(&id).expect("a committed transaction has a node");
            self.xids.remove(&node.xid);
            garbage.released.extend(node.locks.map(|locks| (id, locks)));
        }
        if self.old.until <= oldest && !self.old.is_empty() {
            self.old = OldWriters::default();
        }
        if self.summary_until <= oldest && self.summary_until > Lsn::ZERO {
            garbage.summary = Some(std::mem::replace(&mut self.summary_until, Lsn::ZERO));
        }
        garbage
    }

    /// Takes the oldest committed transactions beyond a number out of the graph; their locks are to be merged.
    pub(super) fn summarise_beyond(
        &mut self,
        committed: usize,
        writers: usize,
    ) -> SmallVec<[(SerialId, OwnLocks, Lsn); 1]> {
        let mut summarised = SmallVec::new();
        while self.committed.len() > committed {
            let Some((bound, id)) = self.committed.pop_first() else { break };
            let node = self.nodes.remove(&id).expect("a committed transaction has a node");
            if let Some(commit) = node.decided().filter(|_| node.xid.is_valid()) {
                self.xids.remove(&node.xid);
                self.old.add(node.xid, commit, node.earliest_out, writers);
            }
            self.summary_until = self.summary_until.max(bound);
            summarised.extend(node.locks.map(|locks| (id, locks, bound)));
        }
        summarised
    }

    /// What stands for a holder among those that were summarised; `None` when it does not matter any more.
    pub(super) fn bound_for_summary(&mut self, holder: Holder) -> Option<Lsn> {
        let bound = match self.nodes.get(&holder.id) {
            Some(node) if node.is_committed() => node.bound(),
            Some(_) => Lsn::MAX,
            None if holder.id == SerialId::SUMMARY => holder.until,
            None => return None,
        };
        self.summary_until = self.summary_until.max(bound);
        Some(bound)
    }

    /// Whether versions of a transaction must stay; for which snapshot.
    pub(super) fn retains(&self, xid: Xid) -> Option<Lsn> {
        let (oldest, _) = self.active.first()?;
        (self.knows(xid) || self.old.find(xid).is_some()).then_some(*oldest)
    }

    /// Whether a writer is known to be serializable.
    pub(super) fn knows(&self, xid: Xid) -> bool {
        self.xids.contains_key(&xid) || self.old.known.contains_key(&xid)
    }

    /// How many writers are known.
    pub(super) fn writers(&self) -> usize {
        self.xids.len() + usize::from(!self.old.is_empty())
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }
}
