//! Histories: random transactions over several sessions, and what their reads and writes say about isolation.
//!
//! # How
//! Every write puts a number that no other write uses into its row and moves the former one aside, so that each read
//! tells whose version it saw, and each write what it wrote over. From that comes Adya's graph: ww (wrote the next
//! version), wr (saw the version, or a row that is missing because of it), rw (saw the version before).
//!
//! A predicate read tells nothing of a row that it did not return. Which version of that row it judged follows from
//! when transactions began and ended, as far as that is certain; an edge is added when every possible version leads to
//! it. So no cycle is found that is not there.
//!
//! # What is checked
//! - READ COMMITTED: nothing read that was rolled back or written over by its own transaction (G1a, G1b), no cycle of ww
//!   and wr (G0, G1c).
//! - REPEATABLE READ: also no edge from a transaction that ended after the other's snapshot (G-SIa), and no cycle with
//!   exactly one rw (G-SIb).
//! - SERIALIZABLE: no cycle.
//!
//! With the search for rw-conflicts switched off (`TransactionManager::set_conflict_detection`) SERIALIZABLE is REPEATABLE
//! READ, and the checker has to find a cycle.

#[allow(dead_code, reason = "each test file uses a part of what they share")]
mod common;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use ochre_base::Error;
use ochre_engine::{Instance, Session};
use ochre_env::Env;

use common::{Rows, open, run};

const SESSIONS: usize = 6;
const INITIAL_KEYS: i64 = 10;
const GROUPS: i64 = 6;
/// Writes number their rows `operation * ROWS + key`.
const ROWS: i64 = 1_000_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    ReadCommitted,
    RepeatableRead,
    Serializable,
}

impl Level {
    fn sql(self) -> &'static str {
        match self {
            Level::ReadCommitted => "READ COMMITTED",
            Level::RepeatableRead => "REPEATABLE READ",
            Level::Serializable => "SERIALIZABLE",
        }
    }
}

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: i64) -> i64 {
        (self.next() % n as u64) as i64
    }
}

/// Which rows a read asked for.
#[derive(Debug, Clone, Copy)]
enum Predicate {
    Key(i64),
    /// Keys from, to.
    Keys(i64, i64),
    /// Groups from, to.
    Groups(i64, i64),
}

impl Predicate {
    fn matches(self, key: i64, group: Option<i64>) -> bool {
        match self {
            Predicate::Key(k) => group.is_some() && k == key,
            Predicate::Keys(low, high) => group.is_some() && (low..=high).contains(&key),
            Predicate::Groups(low, high) => group.is_some_and(|g| (low..=high).contains(&g)),
        }
    }
}

#[derive(Debug, Clone)]
enum Action {
    /// What was asked for, and which versions came: key to number.
    Read(Predicate, BTreeMap<i64, i64>),
    /// Key, number, number of what was written over (none for an insertion), group (none for a deletion).
    Write { key: i64, number: i64, over: Option<i64>, group: Option<i64> },
}

/// One transaction as it went.
#[derive(Debug, Clone)]
struct Done {
    actions: Vec<Action>,
    committed: bool,
    /// Moments: before the first statement, after it, before the end was asked for, after it.
    begun: u64,
    snapshot: u64,
    ending: u64,
    ended: u64,
}

/// What the sessions of one run share.
struct Run {
    level: Level,
    clock: AtomicU64,
    operations: AtomicI64,
    next_key: AtomicI64,
    apart: bool,
}

impl Run {
    fn now(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::SeqCst)
    }

    fn key_of(&self, session: usize, random: &mut Random) -> i64 {
        if self.apart {
            return session as i64 * 2 + random.below(2);
        }
        // Keys inserted lately are of interest, whether they are committed or not.
        let last = self.next_key.load(Ordering::Relaxed);
        if random.below(3) == 0 { (last - random.below(6)).max(0) } else { random.below(INITIAL_KEYS) }
    }

    fn group_of(&self, session: usize, random: &mut Random) -> i64 {
        if self.apart { session as i64 } else { random.below(GROUPS) }
    }

    /// One random statement; what it did.
    fn act(&self, session: usize, sql: &mut Session, random: &mut Random) -> Result<Vec<Action>, Error> {
        let number = self.operations.fetch_add(1, Ordering::Relaxed) * ROWS;
        let key = self.key_of(session, random);
        let group = self.group_of(session, random);
        Ok(match random.below(if self.apart { 8 } else { 12 }) {
            0 | 1 => {
                let rows = read(sql, &format!("k = {key}"))?;
                vec![Action::Read(Predicate::Key(key), rows)]
            }
            2 | 3 => {
                let high = if self.apart { group } else { group + random.below(2) };
                let rows = read(sql, &format!("g BETWEEN {group} AND {high}"))?;
                vec![Action::Read(Predicate::Groups(group, high), rows)]
            }
            4 | 5 => {
                let set = format!("prev = cur, cur = {number} + k, g = {group}, h = {group}");
                let text = format!("UPDATE t SET {set} WHERE k = {key} RETURNING k, cur, prev");
                changes(sql, &text, Predicate::Key(key), Some(group))?
            }
            6 => {
                let key = if self.apart {
                    100_000 * (session as i64 + 1) + number / ROWS
                } else {
                    self.next_key.fetch_add(1, Ordering::Relaxed) + 1
                };
                query(
                    sql,
                    &format!("INSERT INTO t VALUES ({key}, {group}, {group}, {number} + {key}, NULL)"),
                )?;
                vec![Action::Write { key, number: number + key, over: None, group: Some(group) }]
            }
            7 => {
                let to = self.group_of(session, random);
                let set = format!("prev = cur, cur = {number} + k, g = {to}, h = {to}");
                let text = format!("UPDATE t SET {set} WHERE g = {group} RETURNING k, cur, prev");
                changes(sql, &text, Predicate::Groups(group, group), Some(to))?
            }
            8 => {
                // Keys that were inserted are never deleted: a missing row is not there yet, or no more.
                let key = random.below(INITIAL_KEYS);
                let text = format!("DELETE FROM t WHERE k = {key} RETURNING k, {number} + k, cur");
                changes(sql, &text, Predicate::Key(key), None)?
            }
            9 => {
                let rows = read(sql, &format!("h = {group}"))?;
                vec![Action::Read(Predicate::Groups(group, group), rows)]
            }
            10 => {
                let rows = read(sql, &format!("k >= {key} ORDER BY k LIMIT 1"))?;
                let last = rows.keys().next().copied().unwrap_or(i64::MAX);
                vec![Action::Read(Predicate::Keys(key, last), rows)]
            }
            _ => {
                let rows = read(sql, &format!("k <= {key} ORDER BY k DESC LIMIT 1"))?;
                let first = rows.keys().next().copied().unwrap_or(i64::MIN);
                vec![Action::Read(Predicate::Keys(first, key), rows)]
            }
        })
    }

    fn transaction(&self, session: usize, sql: &mut Session, random: &mut Random) -> Done {
        let mut done = Done {
            actions: Vec::new(),
            committed: false,
            begun: self.now(),
            snapshot: 0,
            ending: 0,
            ended: 0,
        };
        let begin = format!("BEGIN ISOLATION LEVEL {}", self.level.sql());
        query(sql, &begin).expect("a transaction begins");
        let mut failed = None;
        for _ in 0..1 + random.below(5) {
            match self.act(session, sql, random) {
                Ok(actions) => done.actions.extend(actions),
                Err(error) => failed = Some(error),
            }
            if done.snapshot == 0 {
                done.snapshot = self.now();
            }
            if failed.is_some() {
                break;
            }
            if random.below(3) == 0 {
                std::thread::sleep(Duration::from_micros(random.below(300) as u64));
            }
        }
        done.ending = self.now();
        let commit = failed.is_none() && random.below(12) != 0;
        match query(sql, if commit { "COMMIT" } else { "ROLLBACK" }) {
            Ok(_) => done.committed = commit,
            Err(error) => failed = Some(error),
        }
        if let Some(error) = failed {
            let state = error.sqlstate();
            assert!(matches!(state.as_str(), "40001" | "40P01"), "{error:?}");
            assert!(!self.apart || self.level == Level::ReadCommitted, "nobody was in the way: {error:?}");
        }
        done.ended = self.now();
        done
    }
}

fn query(sql: &mut Session, text: &str) -> Result<Vec<Vec<Option<String>>>, Error> {
    let mut rows = Rows::default();
    sql.simple_query(text, &mut rows)?;
    Ok(rows.rows)
}

fn number(value: &Option<String>) -> i64 {
    value.as_deref().expect("not null").parse().expect("an integer")
}

fn read(sql: &mut Session, condition: &str) -> Result<BTreeMap<i64, i64>, Error> {
    let rows = query(sql, &format!("SELECT k, cur FROM t WHERE {condition}"))?;
    Ok(rows.iter().map(|row| (number(&row[0]), number(&row[1]))).collect())
}

/// An UPDATE or DELETE is a read of what it wrote over, and writes.
fn changes(
    sql: &mut Session,
    text: &str,
    predicate: Predicate,
    group: Option<i64>,
) -> Result<Vec<Action>, Error> {
    let rows = query(sql, text)?;
    let over: BTreeMap<i64, i64> = rows.iter().map(|row| (number(&row[0]), number(&row[2]))).collect();
    let mut actions = vec![Action::Read(predicate, over)];
    actions.extend(rows.iter().map(|row| Action::Write {
        key: number(&row[0]),
        number: number(&row[1]),
        over: Some(number(&row[2])),
        group,
    }));
    Ok(actions)
}

fn database() -> Arc<Instance> {
    let instance = open(&Env::in_memory());
    let mut session = instance.session("postgres", "postgres").expect("a session");
    run(&mut session, "CREATE TABLE t (k int PRIMARY KEY, g int, h int, cur bigint, prev bigint)");
    run(&mut session, "CREATE INDEX ON t (g)");
    let rows: Vec<String> = (0..INITIAL_KEYS + 2)
        .map(|k| format!("({k}, {}, {}, {k}, NULL)", group_of_initial(k), group_of_initial(k)))
        .collect();
    run(&mut session, &format!("INSERT INTO t VALUES {}", rows.join(", ")));
    instance
}

fn group_of_initial(key: i64) -> i64 {
    key / 2 % GROUPS
}

/// Runs random transactions in several threads.
fn history(instance: &Arc<Instance>, level: Level, seed: u64, count: usize, apart: bool) -> Vec<Done> {
    let shared = Run {
        level,
        clock: AtomicU64::new(1),
        operations: AtomicI64::new(1),
        next_key: AtomicI64::new(INITIAL_KEYS + 2),
        apart,
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..SESSIONS)
            .map(|number| {
                let shared = &shared;
                scope.spawn(move || {
                    let mut random = Random(seed.wrapping_mul(1000).wrapping_add(number as u64));
                    let mut session = instance.session("postgres", "postgres").expect("a session");
                    if apart || random.below(2) == 0 {
                        run(&mut session, "SET enable_seqscan = off");
                        // By bitmaps, then.
                        if random.below(2) == 0 {
                            run(&mut session, "SET enable_indexscan = off");
                        }
                    }
                    let one = |_| shared.transaction(number, &mut session, &mut random);
                    (0..count).map(one).collect::<Vec<Done>>()
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("a session's thread")).collect()
    })
}

/// Who wrote the rows that were there at the beginning.
const LOADER: usize = usize::MAX;

#[derive(Debug, Clone, Copy)]
struct Version {
    number: i64,
    writer: usize,
    group: Option<i64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Edge {
    Ww,
    Wr,
    Rw,
}

#[derive(Default)]
struct Checker {
    /// The committed versions of each key, in order; only the last of each transaction.
    chains: HashMap<i64, Vec<Version>>,
    edges: BTreeSet<(usize, usize, Edge)>,
    problems: Vec<String>,
}

impl Checker {
    fn of(history: &[Done], level: Level) -> Checker {
        let mut checker = Checker::default();
        checker.order_versions(history);
        for (reader, done) in history.iter().enumerate().filter(|(_, done)| done.committed) {
            let mut own: BTreeSet<i64> = BTreeSet::new();
            for action in &done.actions {
                match action {
                    Action::Write { key, .. } => {
                        own.insert(*key);
                    }
                    Action::Read(predicate, rows) => {
                        checker.judge_rows(history, reader, rows, &own);
                        if level != Level::ReadCommitted {
                            checker.judge_missing(history, reader, *predicate, rows, &own);
                        }
                    }
                }
            }
        }
        checker
    }

    /// Links the committed versions of each key by what they were written over.
    fn order_versions(&mut self, history: &[Done]) {
        let mut next: HashMap<(i64, Option<i64>), Version> = HashMap::new();
        let mut keys: BTreeSet<i64> = (0..INITIAL_KEYS + 2).collect();
        for (writer, done) in history.iter().enumerate().filter(|(_, done)| done.committed) {
            for action in &done.actions {
                let Action::Write { key, number, over, group } = *action else { continue };
                keys.insert(key);
                let version = Version { number, writer, group };
                if let Some(other) = next.insert((key, over), version) {
                    self.problems
                        .push(format!("two versions over {over:?} of {key}: {other:?}, {version:?}"));
                }
            }
        }
        for key in keys {
            let mut chain: Vec<Version> = Vec::new();
            let mut at = next.remove(&(key, None));
            if key < INITIAL_KEYS + 2 {
                at = Some(Version { number: key, writer: LOADER, group: Some(group_of_initial(key)) });
            }
            while let Some(version) = at {
                at = next.remove(&(key, Some(version.number)));
                if chain.last().is_some_and(|last| last.writer == version.writer) {
                    chain.pop(); // in between
                }
                chain.push(version);
            }
            for pair in chain.windows(2) {
                self.add(pair[0].writer, pair[1].writer, Edge::Ww);
            }
            self.chains.insert(key, chain);
        }
        for ((key, over), version) in next {
            self.problems.push(format!(
                "version {version:?} of {key} lies over {over:?}, which was not committed (G1a)"
            ));
        }
    }

    fn add(&mut self, from: usize, to: usize, edge: Edge) {
        if from != to && from != LOADER && to != LOADER {
            self.edges.insert((from, to, edge));
        }
    }

    /// Edges by the rows that a read returned.
    fn judge_rows(
        &mut self,
        history: &[Done],
        reader: usize,
        rows: &BTreeMap<i64, i64>,
        own: &BTreeSet<i64>,
    ) {
        for (key, number) in rows {
            let is_own = history[reader].actions.iter().any(
                |action| matches!(action, Action::Write { key: k, number: n, .. } if k == key && n == number),
            );
            if is_own {
                continue;
            }
            let chain = self.chains.get(key).cloned().unwrap_or_default();
            let Some(at) = chain.iter().position(|version| version.number == *number) else {
                self.problems
                    .push(format!("{reader} read {number} of {key}: rolled back, or in between (G1a, G1b)"));
                continue;
            };
            if own.contains(key) {
                self.problems.push(format!("{reader} read {number} of {key} after writing it"));
            }
            self.add(chain[at].writer, reader, Edge::Wr);
            if let Some(later) = chain.get(at + 1) {
                self.add(reader, later.writer, Edge::Rw);
            }
        }
    }

    /// Edges by the rows that a read did not return.
    fn judge_missing(
        &mut self,
        history: &[Done],
        reader: usize,
        predicate: Predicate,
        rows: &BTreeMap<i64, i64>,
        own: &BTreeSet<i64>,
    ) {
        let me = &history[reader];
        let mut found: Vec<(Option<usize>, Option<usize>)> = Vec::new();
        for (key, chain) in &self.chains {
            if rows.contains_key(key) || own.contains(key) {
                continue;
            }
            // Place n stands for having seen the first n versions.
            let surely = |v: &Version| v.writer == LOADER || history[v.writer].ended < me.begun;
            let maybe = |v: &Version| v.writer == LOADER || history[v.writer].ending < me.snapshot;
            let low = chain.iter().rposition(surely).map_or(0, |at| at + 1);
            let high = chain.iter().rposition(maybe).map_or(0, |at| at + 1);
            let matches = |place: usize| place > 0 && predicate.matches(*key, chain[place - 1].group);
            let places: Vec<usize> = (low..=high).filter(|place| !matches(*place)).collect();
            let Some(first) = places.first() else {
                self.problems.push(format!("{reader} did not see {key}, which has {predicate:?}: {chain:?}"));
                continue;
            };
            let later =
                |place: usize| (place + 1..=chain.len()).find(|p| matches(*p)).map(|p| chain[p - 1].writer);
            // Who made it not match, if it ever did.
            let former = |place: usize| (1..place).rev().find(|p| matches(*p)).map(|p| chain[p].writer);
            let agreed = |of: &dyn Fn(usize) -> Option<usize>| {
                of(*first).filter(|writer| places.iter().all(|place| of(*place) == Some(*writer)))
            };
            found.push((agreed(&former), agreed(&later)));
        }
        for (former, later) in found {
            former.into_iter().for_each(|writer| self.add(writer, reader, Edge::Wr));
            later.into_iter().for_each(|writer| self.add(reader, writer, Edge::Rw));
        }
    }

    /// The first way from one transaction to another over edges of some kinds.
    fn path(&self, from: usize, to: usize, kinds: &[Edge]) -> Option<Vec<(usize, usize, Edge)>> {
        let mut came: HashMap<usize, (usize, usize, Edge)> = HashMap::new();
        let mut queue = std::collections::VecDeque::from([from]);
        while let Some(at) = queue.pop_front() {
            for edge in self.edges.range((at, 0, Edge::Ww)..(at + 1, 0, Edge::Ww)) {
                if !kinds.contains(&edge.2) || came.contains_key(&edge.1) {
                    continue;
                }
                came.insert(edge.1, *edge);
                if edge.1 == to {
                    let mut path = vec![*edge];
                    while path.last().expect("not empty").0 != from {
                        path.push(came[&path.last().expect("not empty").0]);
                    }
                    path.reverse();
                    return Some(path);
                }
                queue.push_back(edge.1);
            }
        }
        None
    }

    /// What the level forbids and the history has.
    fn violations(mut self, history: &[Done], level: Level) -> Vec<String> {
        let mut found = std::mem::take(&mut self.problems);
        let kinds: &[Edge] = match level {
            Level::Serializable => &[Edge::Ww, Edge::Wr, Edge::Rw],
            _ => &[Edge::Ww, Edge::Wr],
        };
        let cycle = self
            .edges
            .iter()
            .filter(|edge| kinds.contains(&edge.2))
            .find_map(|edge| self.path(edge.1, edge.0, kinds).map(|path| (*edge, path)));
        if let Some((edge, path)) = cycle {
            found.push(describe(history, "a cycle", edge, &path));
        }
        if level == Level::RepeatableRead {
            for (from, to, edge) in self.edges.iter().filter(|edge| edge.2 != Edge::Rw) {
                if history[*from].ending > history[*to].snapshot {
                    found.push(format!("{from} -{edge:?}-> {to}, whose snapshot was taken before (G-SIa)"));
                }
            }
            let one =
                self.edges.iter().filter(|edge| edge.2 == Edge::Rw).find_map(|edge| {
                    self.path(edge.1, edge.0, &[Edge::Ww, Edge::Wr]).map(|path| (*edge, path))
                });
            if let Some((edge, path)) = one {
                found.push(describe(history, "G-SIb", edge, &path));
            }
        }
        found
    }
}

fn describe(
    history: &[Done],
    what: &str,
    edge: (usize, usize, Edge),
    path: &[(usize, usize, Edge)],
) -> String {
    let mut text = format!("{what}:");
    for (from, to, kind) in std::iter::once(&edge).chain(path) {
        let _ = write!(text, "\n  {from} -{kind:?}-> {to}   {:?}", history[*from]);
    }
    text
}

/// Runs and checks; the violations, and how many transactions committed.
fn check(instance: &Arc<Instance>, level: Level, seed: u64, count: usize) -> (Vec<String>, usize) {
    let history = history(instance, level, seed, count, false);
    let committed = history.iter().filter(|done| done.committed).count();
    let checker = Checker::of(&history, level);
    let violations = checker.violations(&history, level);
    (violations, committed)
}

fn seeds() -> std::ops::Range<u64> {
    let first = std::env::var("HISTORY_SEED").ok().and_then(|text| text.parse().ok());
    let count = std::env::var("HISTORY_RUNS").ok().and_then(|text| text.parse().ok()).unwrap_or(4);
    let now =
        || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(1, |d| d.as_secs());
    let first = first.unwrap_or_else(now);
    first..first + count
}

fn no_violation(level: Level) {
    for seed in seeds() {
        let (violations, committed) = check(&database(), level, seed, 80);
        println!("{} seed {seed}: {committed} of {} committed", level.sql(), SESSIONS * 80);
        assert!(violations.is_empty(), "HISTORY_SEED={seed}: {}", violations.join("\n"));
        assert!(committed > SESSIONS * 80 / 10, "HISTORY_SEED={seed}: only {committed} committed");
    }
}

#[test]
fn read_committed_has_no_dirty_read_or_write() {
    no_violation(Level::ReadCommitted);
}

#[test]
fn repeatable_read_is_snapshot_isolation() {
    no_violation(Level::RepeatableRead);
}

#[test]
fn serializable_has_no_cycle() {
    no_violation(Level::Serializable);
}

#[test]
fn the_checker_finds_cycles_when_conflicts_are_not_detected() {
    let first = seeds().start;
    for seed in first.. {
        let instance = database();
        instance.transactions().set_conflict_detection(false);
        let (violations, _) = check(&instance, Level::Serializable, seed, 80);
        if !violations.is_empty() {
            assert!(violations.iter().all(|violation| violation.starts_with("a cycle")), "{violations:?}");
            return;
        }
        assert!(seed < first + 20, "HISTORY_SEED={seed}: no cycle in 20 histories");
    }
}

#[test]
fn serializable_transactions_that_do_not_meet_all_commit() {
    for seed in seeds() {
        let history = history(&database(), Level::Serializable, seed, 80, true);
        let checker = Checker::of(&history, Level::Serializable);
        assert!(checker.violations(&history, Level::Serializable).is_empty(), "HISTORY_SEED={seed}");
    }
}
