//! Deadlocks: cycles in who waits for whom.
//!
//! A session that has waited for a while looks for a path of waits that leads back to itself, over locks and over
//! transactions' ends alike, and gives up if there is one. It looks again each time as much time has passed, since a
//! wait that closes a cycle may begin later and somewhere where only transactions are looked at.
//!
//! # Differences
//! PostgreSQL can also resolve a cycle that exists only because of the order in a line by changing the order; here one
//! of the sessions gets 40P01.

use hashbrown::{HashMap, HashSet};
use ochre_base::{Error, SqlState, Xid};

use super::mode::RelationLockMode;
use super::table::Partition;
use super::tag::LockTag;

/// A session that waits for a transaction's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TransactionWait {
    /// Its own transaction.
    pub waiter: Xid,
    /// The address of its interrupt, which names the session.
    pub session: usize,
    /// The transaction whose end it waits for.
    pub holder: Xid,
}

/// A wait of one session for another.
struct Edge {
    to: usize,
    tag: LockTag,
    mode: RelationLockMode,
}

/// Who waits for whom at one moment.
#[derive(Default)]
pub(super) struct WaitGraph {
    edges: HashMap<usize, Vec<Edge>>,
    process_ids: HashMap<usize, i32>,
    by_xid: HashMap<Xid, usize>,
}

impl WaitGraph {
    /// Adds the waits for locks of one partition.
    pub(super) fn add_partition(&mut self, partition: &Partition) {
        for (tag, state) in partition {
            for holder in &state.holders {
                self.process_ids.insert(holder.session.node(), holder.session.process_id());
            }
            for (place, waiter) in state.line.iter().enumerate() {
                let from = waiter.session.node();
                self.process_ids.insert(from, waiter.session.process_id());
                self.by_xid.insert(waiter.session.xid(), from);
                let conflicting = waiter.mode.conflicting();
                let holders = state.holders.iter().filter(|holder| holder.modes.intersects(conflicting));
                let ahead = state.line.iter().take(place).filter(|other| waiter.mode.conflicts(other.mode));
                let blockers = holders.map(|h| h.session.node()).chain(ahead.map(|w| w.session.node()));
                for to in blockers.filter(|to| *to != from) {
                    self.edges.entry(from).or_default().push(Edge { to, tag: *tag, mode: waiter.mode });
                }
            }
        }
    }

    /// Adds the waits for transactions' ends.
    pub(super) fn add_transactions(&mut self, waits: &[TransactionWait]) {
        for wait in waits.iter().filter(|wait| wait.waiter.is_valid()) {
            self.by_xid.insert(wait.waiter, wait.session);
        }
        for wait in waits {
            // Whoever runs without waiting is not in the graph: nothing leads on from there.
            if let Some(to) = self.by_xid.get(&wait.holder) {
                let edge =
                    Edge { to: *to, tag: LockTag::Transaction(wait.holder), mode: RelationLockMode::Share };
                self.edges.entry(wait.session).or_default().push(edge);
            }
        }
    }

    /// The process ids of the sessions that one waits for.
    pub(super) fn blockers(&self, process_id: i32) -> Vec<i32> {
        let own = self.process_ids.iter().filter(|(_, id)| **id == process_id).map(|(node, _)| *node);
        let edges = own.filter_map(|node| self.edges.get(&node)).flatten();
        let mut blockers: Vec<i32> =
            edges.filter_map(|edge| self.process_ids.get(&edge.to).copied()).collect();
        blockers.sort_unstable();
        blockers.dedup();
        blockers
    }

    /// The error of a session that waits, directly or not, for itself.
    pub(super) fn find_cycle(&self, start: usize) -> Option<Error> {
        let mut path = Vec::new();
        let mut seen = HashSet::new();
        if !self.search(start, start, &mut path, &mut seen) {
            return None;
        }
        let mut lines = Vec::new();
        let mut from = start;
        for edge in path {
            lines.push(format!(
                "Process {} waits for {} on {}; blocked by process {}.",
                self.process_id(from),
                edge.mode.name(),
                edge.tag,
                self.process_id(edge.to)
            ));
            from = edge.to;
        }
        let error = Error::new(SqlState::DEADLOCK_DETECTED, "deadlock detected")
            .detail(lines.join("\n"))
            .hint("See server log for query details.");
        Some(error)
    }

    fn process_id(&self, node: usize) -> i32 {
        self.process_ids.get(&node).copied().unwrap_or(0)
    }

    /// Depth first, with a stack of its own; `path` holds the edges from `start` to the session looked at.
    fn search<'g>(
        &'g self,
        at: usize,
        start: usize,
        path: &mut Vec<&'g Edge>,
        seen: &mut HashSet<usize>,
    ) -> bool {
        let mut stack = vec![self.edges.get(&at).map(|edges| edges.iter()).unwrap_or_default()];
        while let Some(edges) = stack.last_mut() {
            match edges.next() {
                Some(edge) if edge.to == start => {
                    path.push(edge);
                    return true;
                }
                Some(edge) if seen.insert(edge.to) => {
                    path.push(edge);
                    stack.push(self.edges.get(&edge.to).map(|edges| edges.iter()).unwrap_or_default());
                }
                Some(_) => {}
                None => {
                    stack.pop();
                    path.pop();
                }
            }
        }
        false
    }
}
