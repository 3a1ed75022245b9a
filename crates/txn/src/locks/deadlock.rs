//! Deadlocks: cycles in who waits for whom.
//!
//! A session that has waited for `deadlock_timeout` looks for a path of waits that leads back to itself, over locks,
//! rows and transactions' ends alike. Some of these waits are soft: the one who waits only stands behind the other in a
//! line. If changing the order of lines resolves all cycles, that is done; else the session gives up. It looks again
//! later, since a wait that closes a cycle may begin where the others' timeouts are longer.
//!
//! # Invariants
//! - D1: all partitions and the waits for transactions stay locked from the look to what follows from it, and who gives
//!   up has left before they are unlocked: of those in a cycle only one gives up.
//!
//! # References
//! PostgreSQL's `storage/lmgr/README`, "The Deadlock Detection Algorithm".

use hashbrown::{HashMap, HashSet};
use ochre_base::{Error, SqlState, Xid};
use parking_lot::MutexGuard;

use super::holders::HolderWait;
use super::mode::RelationLockMode;
use super::session::{LockSession, node_of};
use super::table::{LockState, Partition};
use super::tag::LockTag;
use crate::wait::XidWaitList;

/// How many exchanges of places in lines are tried at once.
const MAX_EXCHANGES: usize = 16;

/// All waits of one moment, which nobody can change meanwhile (D1).
pub(super) struct Standstill<'a> {
    pub(super) partitions: Vec<MutexGuard<'a, Partition>>,
    pub(super) transactions: MutexGuard<'a, XidWaitList>,
    pub(super) holder_waits: MutexGuard<'a, Vec<HolderWait>>,
}

/// A wait of one session for another. Sessions are named by the addresses of their interrupts.
#[derive(Clone, Copy)]
struct Edge {
    from: usize,
    to: usize,
    tag: LockTag,
    mode: RelationLockMode,
    /// It only stands behind the other in line.
    soft: bool,
}

/// A wish for the order of a line: `first` before `second`.
#[derive(Clone, Copy, PartialEq)]
struct Exchange {
    tag: LockTag,
    first: usize,
    second: usize,
}

/// New orders of lines.
type Orders = HashMap<LockTag, Vec<usize>>;

/// What a session in a wait finds.
pub(super) enum Finding {
    /// It waits for nobody who waits for it.
    NoCycle,
    /// Lines in another order resolve the cycles; these are the locks concerned.
    Reordered(Vec<LockTag>),
    /// It has to give up.
    Deadlock(Error),
}

impl Standstill<'_> {
    /// Looks for cycles that a session is part of, and resolves them if that takes no more than another order of lines.
    pub(super) fn look(
        &mut self,
        start: usize,
        partition_of: &dyn Fn(LockTag) -> usize,
        describe: &dyn Fn(LockTag) -> String,
    ) -> Finding {
        let mut exchanges = Vec::new();
        let orders = match self.search(start, &mut exchanges) {
            Err((cycle, process_ids)) => return Finding::Deadlock(deadlock(&cycle, &process_ids, describe)),
            Ok(orders) if orders.is_empty() => return Finding::NoCycle,
            Ok(orders) => orders,
        };
        for (tag, order) in &orders {
            let Some(state) = self.partitions[partition_of(*tag)].get_mut(tag) else { continue };
            let place = |node: usize| order.iter().position(|known| *known == node);
            state.line.make_contiguous().sort_by_key(|waiter| place(waiter.session.node()));
        }
        Finding::Reordered(orders.into_keys().collect())
    }

    /// The orders of lines under which nobody concerned waits for itself, or the first cycle found.
    fn search(
        &self,
        start: usize,
        exchanges: &mut Vec<Exchange>,
    ) -> Result<Orders, (Vec<Edge>, HashMap<usize, i32>)> {
        let graph = self.graph(&self.orders(exchanges));
        let starts = exchanges.iter().flat_map(|exchange| [exchange.first, exchange.second]);
        let Some(cycle) = std::iter::once(start).chain(starts).find_map(|start| graph.find_cycle(start))
        else {
            return Ok(self.orders(exchanges));
        };
        // The last wait of the path first, as in PostgreSQL.
        for edge in cycle.iter().rev().filter(|edge| edge.soft) {
            let wish = Exchange { tag: edge.tag, first: edge.from, second: edge.to };
            let contrary = Exchange { first: wish.second, second: wish.first, ..wish };
            if exchanges.len() == MAX_EXCHANGES || exchanges.contains(&contrary) || exchanges.contains(&wish)
            {
                continue;
            }
            exchanges.push(wish);
            let kept =
                self.orders(exchanges).get(&wish.tag).is_some_and(|order| keeps(order, exchanges, wish.tag));
            if kept && let Ok(orders) = self.search(start, exchanges) {
                return Ok(orders);
            }
            exchanges.pop();
        }
        Err((cycle, graph.process_ids))
    }

    fn state(&self, tag: LockTag) -> Option<&LockState> {
        self.partitions.iter().find_map(|partition| partition.get(&tag))
    }

    /// The lines concerned, each wish having moved one session right before another.
    fn orders(&self, exchanges: &[Exchange]) -> Orders {
        let mut orders = Orders::new();
        for exchange in exchanges {
            let order = orders.entry(exchange.tag).or_insert_with(|| {
                let line = self.state(exchange.tag).into_iter().flat_map(|state| &state.line);
                line.map(|waiter| waiter.session.node()).collect()
            });
            let place = |node: usize| order.iter().position(|known| *known == node);
            if let (Some(from), Some(to)) = (place(exchange.first), place(exchange.second))
                && from > to
            {
                let node = order.remove(from);
                order.insert(to, node);
            }
        }
        orders
    }

    /// Who waits for whom if lines were in these orders.
    fn graph(&self, orders: &Orders) -> WaitGraph {
        self.add_waits(WaitGraph::default(), orders)
    }

    fn add_waits(&self, mut graph: WaitGraph, orders: &Orders) -> WaitGraph {
        for partition in &self.partitions {
            for (tag, state) in &**partition {
                graph.add_lock(*tag, state, orders.get(tag));
            }
        }
        for wait in self.holder_waits.iter().filter(|wait| !wait.is_over(self.state(wait.tag()))) {
            graph.add_holder_wait(wait);
        }
        graph.add_transactions(&self.transactions);
        graph
    }

    /// The process ids of the sessions that one waits for; `running` are all sessions with a transaction.
    pub(super) fn blockers(&self, process_id: i32, running: &[(Xid, usize, i32)]) -> Vec<i32> {
        let mut known = WaitGraph::default();
        for (xid, node, process_id) in running {
            known.by_xid.insert(*xid, *node);
            known.process_ids.insert(*node, *process_id);
        }
        let graph = self.add_waits(known, &Orders::new());
        let waits = graph.edges.values().flatten();
        let own = waits.filter(|edge| graph.process_ids.get(&edge.from) == Some(&process_id));
        let mut blockers: Vec<i32> =
            own.filter_map(|edge| graph.process_ids.get(&edge.to).copied()).collect();
        blockers.sort_unstable();
        blockers.dedup();
        blockers
    }
}

/// Whether an order satisfies all wishes for its line.
fn keeps(order: &[usize], exchanges: &[Exchange], tag: LockTag) -> bool {
    let place = |node: usize| order.iter().position(|known| *known == node);
    exchanges.iter().filter(|exchange| exchange.tag == tag).all(|e| place(e.first) < place(e.second))
}

/// Who waits for whom at one moment.
#[derive(Default)]
struct WaitGraph {
    edges: HashMap<usize, Vec<Edge>>,
    process_ids: HashMap<usize, i32>,
    by_xid: HashMap<Xid, usize>,
}

impl WaitGraph {
    /// Adds the waits for one lock, whose line may be in another order.
    fn add_lock(&mut self, tag: LockTag, state: &LockState, order: Option<&Vec<usize>>) {
        for holder in &state.holders {
            self.process_ids.insert(holder.session.node(), holder.session.process_id());
        }
        let mut line: Vec<_> = state.line.iter().map(|waiter| (waiter.session.node(), waiter)).collect();
        if let Some(order) = order {
            line.sort_by_key(|(node, _)| order.iter().position(|known| known == node));
        }
        for (place, (from, waiter)) in line.iter().enumerate() {
            self.process_ids.insert(*from, waiter.session.process_id());
            self.note_xid(waiter.session.interrupt().xid(), *from);
            let conflicting = waiter.mode.conflicting();
            let holders = state.holders.iter().filter(|holder| holder.modes.intersects(conflicting));
            let ahead = line[..place].iter().filter(|(_, other)| waiter.mode.conflicts(other.mode));
            let hard = holders.map(|holder| (holder.session.node(), false));
            let blockers = hard.chain(ahead.map(|(node, _)| (*node, true)));
            for (to, soft) in blockers.filter(|(to, _)| to != from) {
                let edge = Edge { from: *from, to, tag, mode: waiter.mode, soft };
                self.edges.entry(*from).or_default().push(edge);
            }
        }
    }

    fn note_xid(&mut self, xid: Xid, node: usize) {
        if xid.is_valid() {
            self.by_xid.insert(xid, node);
        }
    }

    /// Adds a wait for one who holds a lock.
    fn add_holder_wait(&mut self, wait: &HolderWait) {
        let (from, to) = (node_of(&wait.interrupt), wait.holder.node());
        self.process_ids.insert(from, wait.interrupt.process_id());
        self.process_ids.insert(to, wait.holder.process_id());
        self.note_xid(wait.interrupt.xid(), from);
        let tag = LockTag::VirtualTransaction { process_id: wait.holder.process_id() };
        let edge = Edge { from, to, tag, mode: RelationLockMode::Share, soft: false };
        self.edges.entry(from).or_default().push(edge);
    }

    /// Adds the waits for transactions' ends. Whoever runs without waiting need not be known: nothing leads on from
    /// there.
    fn add_transactions(&mut self, waits: &XidWaitList) {
        for wait in waits.values().flatten() {
            let node = node_of(&wait.interrupt);
            self.process_ids.insert(node, wait.interrupt.process_id());
            self.note_xid(wait.interrupt.xid(), node);
        }
        for (holder, waiters) in waits {
            let Some(to) = self.by_xid.get(holder).copied() else { continue };
            for wait in waiters {
                let from = node_of(&wait.interrupt);
                let (tag, mode) = (LockTag::Transaction(*holder), RelationLockMode::Share);
                self.edges.entry(from).or_default().push(Edge { from, to, tag, mode, soft: false });
            }
        }
    }

    /// A path of waits from a session back to itself. Depth first, with a stack of its own.
    fn find_cycle(&self, start: usize) -> Option<Vec<Edge>> {
        let edges_of = |node: usize| self.edges.get(&node).map(|edges| edges.iter()).unwrap_or_default();
        let mut path: Vec<Edge> = Vec::new();
        let mut seen = HashSet::new();
        let mut stack = vec![edges_of(start)];
        while let Some(edges) = stack.last_mut() {
            match edges.next() {
                Some(edge) if edge.to == start => {
                    path.push(*edge);
                    return Some(path);
                }
                Some(edge) if seen.insert(edge.to) => {
                    path.push(*edge);
                    stack.push(edges_of(edge.to));
                }
                Some(_) => {}
                None => {
                    stack.pop();
                    path.pop();
                }
            }
        }
        None
    }
}

/// The error of a session that would have to wait for one that waits for it already, for the same lock.
#[cold]
pub(super) fn of_two(
    session: &LockSession,
    mode: RelationLockMode,
    other: &LockSession,
    waits_for: RelationLockMode,
    lock: &str,
) -> Error {
    // Both edges are of one lock, which is described already.
    let tag = LockTag::Transaction(Xid::NONE);
    let (from, to) = (session.node(), other.node());
    let cycle = [
        Edge { from, to, tag, mode, soft: false },
        Edge { from: to, to: from, tag, mode: waits_for, soft: false },
    ];
    let process_ids = HashMap::from_iter([(from, session.process_id()), (to, other.process_id())]);
    deadlock(&cycle, &process_ids, &|_| lock.to_string())
}

/// The error of a session that waits, directly or not, for itself.
fn deadlock(
    cycle: &[Edge],
    process_ids: &HashMap<usize, i32>,
    describe: &dyn Fn(LockTag) -> String,
) -> Error {
    let process_id = |node: usize| process_ids.get(&node).copied().unwrap_or(0);
    let lines: Vec<String> = cycle
        .iter()
        .map(|edge| {
            format!(
                "Process {} waits for {} on {}; blocked by process {}.",
                process_id(edge.from),
                edge.mode.name(),
                describe(edge.tag),
                process_id(edge.to)
            )
        })
        .collect();
    Error::new(SqlState::DEADLOCK_DETECTED, "deadlock detected")
        .detail(lines.join("\n"))
        .hint("See server log for query details.")
}
