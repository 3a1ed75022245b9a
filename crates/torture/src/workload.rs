//! What the clients do, and what the model says that it must come to.
//!
//! # Invariants
//! - K1: clients take turns on one thread, so a statement that meets another's uncommitted change cannot wait: it fails
//!   with 55P03, as its `lock_timeout` says. Such a failure is right only while another transaction is open.
//! - K2: an event is in the history before it is acknowledged, and the number of operations on files before its
//!   statement began and after its acknowledgement say at which cuts it may be there and at which it must be.

mod changes;
mod definitions;
mod reads;

use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use ochre_base::{Error, SqlState};
use ochre_engine::{Instance, Session, TransactionStatus};
use ochre_env::sim::SimRandom;

use crate::client::{Answer, acknowledge, connect, query};
use crate::machine::Machine;
use crate::model::{Overlay, Table, TableId, World};

pub(crate) use reads::compare_rows;

/// The last statements that a failure shows.
const SHOWN_STATEMENTS: usize = 40;
const MAX_TABLES: usize = 5;
const MAX_PREPARED: usize = 3;
/// Keys are taken from so many, so that they meet.
const KEYS: u64 = 300;

/// What is wrong.
pub(crate) type Verdict = Result<(), String>;

/// A committed state, and when it came about (K2).
pub(crate) struct Event {
    pub(crate) world: World,
    /// Operations on files before its statement began.
    pub(crate) begun: u64,
    /// Operations on files after it was acknowledged first.
    pub(crate) acknowledged: Option<u64>,
}

/// A value of the sequence that was told to a client, and how many operations on files there had been then.
pub(crate) struct Drawn {
    pub(crate) value: i64,
    pub(crate) told: u64,
}

/// Everything that was committed and told since the directory was opened.
pub(crate) struct History {
    pub(crate) events: Vec<Event>,
    pub(crate) drawn: Vec<Drawn>,
}

impl History {
    /// The states that a cut after so many operations may leave.
    pub(crate) fn possible(&self, operations: u64) -> std::ops::RangeInclusive<usize> {
        let acknowledged = |event: &Event| event.acknowledged.is_some_and(|at| at <= operations);
        let first = self.events.iter().rposition(acknowledged).unwrap_or(0);
        let last = self.events.iter().rposition(|event| event.begun <= operations).unwrap_or(0);
        first..=last
    }

    /// The largest value of the sequence that had been told by then.
    pub(crate) fn drawn(&self, operations: u64) -> i64 {
        self.drawn.iter().filter(|drawn| drawn.told <= operations).map(|drawn| drawn.value).max().unwrap_or(0)
    }
}

/// An open transaction.
struct Open {
    overlay: Overlay,
    savepoints: Vec<(String, Overlay)>,
    failed: bool,
    /// What it sees under REPEATABLE READ.
    snapshot: Option<World>,
}

struct Client {
    session: Session,
    open: Option<Open>,
    /// The newest event that an answer not yet sent tells of.
    met: usize,
    /// Values of the sequence that an answer not yet sent tells of.
    drawn: Option<i64>,
}

/// How much was done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Done {
    pub statements: u64,
    pub refused: u64,
    pub commits: u64,
    /// Runs of blocks that were read from kept columns.
    pub kept_runs: u64,
}

/// Names that were never used before, over all restarts.
#[derive(Default)]
pub(crate) struct Names {
    last: Cell<u32>,
}

impl Names {
    fn next(&self) -> u32 {
        self.last.update(|last| last + 1);
        self.last.get()
    }
}

/// The clients of one instance.
pub(crate) struct Workload<'a> {
    machine: &'a Machine,
    instance: Arc<Instance>,
    random: &'a SimRandom,
    names: &'a Names,
    clients: Vec<Client>,
    pub(crate) history: History,
    /// The last event that changed each table.
    changed: BTreeMap<TableId, usize>,
    shown: VecDeque<String>,
    pub(crate) done: Done,
    acknowledged: bool,
    /// Whether there are checkpoints.
    pub(crate) checkpoints: bool,
    /// How many answers outside of transactions are sent at once.
    pub(crate) acknowledged_percent: u64,
    /// The state after the statement that runs, if it commits something.
    attempt: Option<World>,
    last_error: Option<Error>,
}

/// What became of a step during which an operation on files was made to fail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum UnderFault {
    /// Nobody noticed.
    Hidden,
    /// Somebody was told so.
    Told(Error),
}

impl<'a> Workload<'a> {
    /// Clients of an instance that holds `world`.
    pub(crate) fn new(
        machine: &'a Machine,
        instance: Arc<Instance>,
        random: &'a SimRandom,
        names: &'a Names,
        world: World,
    ) -> Result<Workload<'a>, String> {
        let mut clients = Vec::new();
        for _ in 0..1 + random.below(4) {
            let mut session = connect(&instance).map_err(|error| format!("connecting: {error:?}"))?;
            if random.below(2) == 0 {
                query(&mut session, "SET enable_seqscan = off").map_err(|error| format!("{error:?}"))?;
            }
            clients.push(Client { session, open: None, met: 0, drawn: None });
        }
        let first = Event { world, begun: 0, acknowledged: Some(0) };
        Ok(Workload {
            machine,
            instance,
            random,
            names,
            clients,
            history: History { events: vec![first], drawn: Vec::new() },
            changed: BTreeMap::new(),
            shown: VecDeque::new(),
            done: Done::default(),
            acknowledged: false,
            checkpoints: true,
            acknowledged_percent: 60,
            attempt: None,
            last_error: None,
        })
    }

    /// The last statements.
    pub(crate) fn shown(&self) -> String {
        self.shown.iter().map(|line| format!("  {line}\n")).collect()
    }

    /// Ends the sessions; their transactions are lost.
    pub(crate) fn into_history(self) -> History {
        self.history
    }

    /// Whether the last step ended with an acknowledgement.
    pub(crate) fn has_just_acknowledged(&self) -> bool {
        self.acknowledged
    }

    /// A step during which an operation on files may fail. What it left of a transaction is taken over from the session.
    ///
    /// # Errors
    /// When it went wrong for another reason.
    pub(crate) fn step_under_fault(&mut self) -> Result<UnderFault, String> {
        self.last_error = None;
        let Err(what) = self.step() else { return Ok(UnderFault::Hidden) };
        for client in &mut self.clients {
            match client.session.status() {
                TransactionStatus::Idle => client.open = None,
                TransactionStatus::Failed => client.open.iter_mut().for_each(|open| open.failed = true),
                TransactionStatus::InBlock => {}
            }
        }
        self.last_error.take().map(UnderFault::Told).ok_or(what)
    }

    /// The state that a statement would have made that failed at the last step: whether it has is unknown when the
    /// engine has stopped.
    pub(crate) fn attempt(&self) -> Option<&World> {
        self.attempt.as_ref()
    }

    /// Rolls back what is open.
    pub(crate) fn end_all(&mut self) -> Verdict {
        (0..self.clients.len()).try_for_each(|who| match self.clients[who].open {
            Some(_) => self.rollback(who),
            None => Ok(()),
        })
    }

    /// All answers are sent.
    pub(crate) fn acknowledge_all(&mut self) -> Verdict {
        (0..self.clients.len()).try_for_each(|who| self.acknowledge(who))
    }

    /// The newest committed state.
    pub(crate) fn newest(&self) -> &World {
        self.world()
    }

    /// One turn of somebody.
    pub(crate) fn step(&mut self) -> Verdict {
        self.acknowledged = false;
        self.attempt = None;
        match self.random.below(100) {
            0..3 if self.checkpoints => self.maintain("checkpoint", |instance| instance.checkpoint()),
            3..8 => self.maintain("collect", |instance| instance.collect().map(drop)),
            8 => {
                self.machine.clock.advance(Duration::from_secs(self.random.below(100)));
                Ok(())
            }
            9..11 => self.watch(),
            _ => {
                let who = self.random.below(self.clients.len() as u64) as usize;
                self.turn(who)?;
                let idle = self.clients[who].open.is_none();
                if self.random.below(100) < if idle { self.acknowledged_percent } else { 10 } {
                    self.acknowledge(who)?;
                }
                Ok(())
            }
        }
    }

    fn maintain(&mut self, what: &str, run: impl FnOnce(&Instance) -> ochre_base::Result<()>) -> Verdict {
        self.show(format!("-- {what}"));
        run(&self.instance).map_err(|error| self.told(what, error))
    }

    fn told(&mut self, what: &str, error: Error) -> String {
        let text = format!("{what}: {error:?}");
        self.show(format!("-- -> {} {}", error.sqlstate(), error.message()));
        self.last_error = Some(error);
        text
    }

    fn show(&mut self, mut line: String) {
        if line.len() > 300 {
            line.truncate((0..=300).rev().find(|at| line.is_char_boundary(*at)).unwrap_or(0));
            line.push('…');
        }
        if self.shown.len() == SHOWN_STATEMENTS {
            self.shown.pop_front();
        }
        self.shown.push_back(format!("[{}] {line}", self.machine.fs.operations()));
    }

    fn world(&self) -> &World {
        &self.history.events.last().expect("the first event is always there").world
    }

    fn below(&self, bound: u64) -> u64 {
        self.random.below(bound)
    }

    fn chance(&self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// The answers of a client so far are sent: what they tell of is durable (K2).
    fn acknowledge(&mut self, who: usize) -> Verdict {
        acknowledge(&self.clients[who].session).map_err(|error| self.told("a flush", error))?;
        self.acknowledged = true;
        let now = self.machine.fs.operations();
        let client = &mut self.clients[who];
        let event = &mut self.history.events[client.met];
        event.acknowledged.get_or_insert(now);
        if let Some(value) = client.drawn.take() {
            self.history.drawn.push(Drawn { value, told: now });
        }
        Ok(())
    }

    fn run(&mut self, who: usize, sql: &str) -> ochre_base::Result<Answer> {
        self.show(format!("{who}: {sql}"));
        self.done.statements += 1;
        let result = query(&mut self.clients[who].session, sql);
        if let Err(error) = &result {
            self.done.refused += 1;
            self.show(format!("{who}: -> {} {}", error.sqlstate(), error.message()));
            self.last_error = Some(error.clone());
            if let Some(open) = &mut self.clients[who].open {
                open.failed = true;
            }
        }
        result
    }

    fn run_well(&mut self, who: usize, sql: &str) -> Result<Answer, String> {
        self.run(who, sql).map_err(|error| format!("{sql}: {error:?}"))
    }

    /// Whether a statement may fail so (K1).
    fn excuse(&self, who: usize, sql: &str, error: &Error) -> Verdict {
        let others = self.clients.iter().enumerate().any(|(at, client)| at != who && client.open.is_some());
        let repeatable = self.snapshot(who).is_some();
        let excused = match error.sqlstate() {
            SqlState::LOCK_NOT_AVAILABLE => others || !self.world().prepared.is_empty(),
            SqlState::SERIALIZATION_FAILURE => repeatable,
            _ => false,
        };
        if excused { Ok(()) } else { Err(format!("{sql}: {error:?}")) }
    }

    fn snapshot(&self, who: usize) -> Option<&World> {
        self.clients[who].open.as_ref()?.snapshot.as_ref()
    }

    fn turn(&mut self, who: usize) -> Verdict {
        let Some(open) = &self.clients[who].open else { return self.turn_outside(who) };
        if open.failed {
            return if open.savepoints.is_empty() || self.chance(40) {
                self.rollback(who)
            } else {
                self.rollback_to(who)
            };
        }
        let repeatable = open.snapshot.is_some();
        match self.below(100) {
            0..14 => self.commit(who),
            14..18 => self.rollback(who),
            18..22 => self.prepare(who),
            22..30 => self.savepoint(who),
            30..34 if !open.savepoints.is_empty() => self.rollback_to(who),
            34..44 => self.read(who),
            44..47 => self.draw(who),
            47..53 if !repeatable => self.change_table(who),
            53..55 if !repeatable => self.change_role(who),
            _ => self.change_rows(who),
        }
    }

    fn turn_outside(&mut self, who: usize) -> Verdict {
        match self.below(100) {
            0..22 => self.begin(who),
            22..32 => self.read(who),
            32..35 => self.draw(who),
            35..46 => self.change_table(who),
            46..51 => self.tend(who),
            51..58 => self.finish_prepared(who),
            58..60 => self.change_role(who),
            _ => self.change_rows(who),
        }
    }

    fn begin(&mut self, who: usize) -> Verdict {
        let repeatable = self.chance(25) && !self.world().tables.is_empty();
        let mut open =
            Open { overlay: Overlay::default(), savepoints: Vec::new(), failed: false, snapshot: None };
        if repeatable {
            self.run_well(who, "BEGIN ISOLATION LEVEL REPEATABLE READ")?;
            open.snapshot = Some(self.world().clone());
            self.clients[who].open = Some(open);
            // The snapshot is taken by the first statement.
            return match self.run(who, "SELECT count(*) FROM pg_class") {
                Ok(_) => Ok(()),
                Err(error) => Err(format!("reading pg_class: {error:?}")),
            };
        }
        self.run_well(who, "BEGIN")?;
        self.clients[who].open = Some(open);
        Ok(())
    }

    /// What a client's overlay would be after its transaction's end, and the event that its commit makes.
    fn commit(&mut self, who: usize) -> Verdict {
        let begun = self.machine.fs.operations();
        let open = self.clients[who].open.as_ref().expect("a transaction is open");
        self.attempt = Some(self.world().commit(&open.overlay));
        self.run_well(who, "COMMIT")?;
        let open = self.clients[who].open.take().expect("a transaction is open");
        if !open.overlay.is_empty() {
            self.committed(who, begun, &open.overlay);
        }
        Ok(())
    }

    fn committed(&mut self, who: usize, begun: u64, overlay: &Overlay) {
        let world = self.world().commit(overlay);
        let at = self.event(who, begun, world);
        self.changed.extend(overlay.tables.keys().map(|id| (*id, at)));
    }

    fn event(&mut self, who: usize, begun: u64, world: World) -> usize {
        self.done.commits += 1;
        let at = self.history.events.len();
        self.history.events.push(Event { world, begun, acknowledged: None });
        self.clients[who].met = at;
        at
    }

    fn rollback(&mut self, who: usize) -> Verdict {
        self.run_well(who, "ROLLBACK")?;
        self.clients[who].open = None;
        Ok(())
    }

    fn savepoint(&mut self, who: usize) -> Verdict {
        let name = format!("p{}", self.below(3));
        self.run_well(who, &format!("SAVEPOINT {name}"))?;
        let open = self.clients[who].open.as_mut().expect("a transaction is open");
        open.savepoints.push((name, open.overlay.clone()));
        Ok(())
    }

    fn rollback_to(&mut self, who: usize) -> Verdict {
        let open = self.clients[who].open.as_ref().expect("a transaction is open");
        let (name, _) = &open.savepoints[self.below(open.savepoints.len() as u64) as usize];
        let name = name.clone();
        self.run_well(who, &format!("ROLLBACK TO {name}"))?;
        let open = self.clients[who].open.as_mut().expect("a transaction is open");
        let at = open.savepoints.iter().rposition(|(other, _)| *other == name).expect("it is one of them");
        open.savepoints.truncate(at + 1);
        open.overlay = open.savepoints[at].1.clone();
        open.failed = false;
        Ok(())
    }

    fn prepare(&mut self, who: usize) -> Verdict {
        if self.world().prepared.len() >= MAX_PREPARED {
            return self.commit(who);
        }
        let gid = format!("g{}", self.names.next());
        let begun = self.machine.fs.operations();
        let open = self.clients[who].open.as_ref().expect("a transaction is open");
        let mut world = self.world().clone();
        world.prepared.insert(gid.clone(), Arc::new(open.overlay.clone()));
        self.attempt = Some(world.clone());
        self.run_well(who, &format!("PREPARE TRANSACTION '{gid}'"))?;
        self.clients[who].open = None;
        self.event(who, begun, world);
        Ok(())
    }

    fn finish_prepared(&mut self, who: usize) -> Verdict {
        let prepared: Vec<String> = self.world().prepared.keys().cloned().collect();
        if prepared.is_empty() {
            return self.change_rows(who);
        }
        let gid = &prepared[self.below(prepared.len() as u64) as usize];
        let begun = self.machine.fs.operations();
        let commit = self.chance(60);
        let verb = if commit { "COMMIT" } else { "ROLLBACK" };
        let mut world = self.world().clone();
        let overlay = world.prepared.remove(gid).expect("it is one of them");
        if commit {
            world = world.commit(&overlay);
        }
        self.attempt = Some(world.clone());
        self.run_well(who, &format!("{verb} PREPARED '{gid}'"))?;
        let at = self.event(who, begun, world);
        if commit {
            self.changed.extend(overlay.tables.keys().map(|id| (*id, at)));
        }
        Ok(())
    }

    /// The sequence's next number, which is never given twice.
    fn draw(&mut self, who: usize) -> Verdict {
        let answer = self.run_well(who, "SELECT nextval('numbers')")?;
        let value = answer.rows[0][0].as_deref().and_then(|text| text.parse().ok()).unwrap_or(0);
        if let Some(again) = self.history.drawn.iter().find(|drawn| drawn.value == value) {
            return Err(format!("the sequence gives {} twice", again.value));
        }
        self.clients[who].drawn = Some(value);
        Ok(())
    }

    /// The tables that a client may use, as it sees them.
    fn tables(&self, who: usize) -> Vec<(TableId, Arc<Table>)> {
        let none = Overlay::default();
        let overlay = self.clients[who].open.as_ref().map_or(&none, |open| &open.overlay);
        let Some(snapshot) = self.snapshot(who) else {
            return self.world().tables(overlay).into_iter().collect();
        };
        // What truncates or rewrites a table is not kept from older snapshots.
        let now = self.world();
        let same = |id: &TableId, table: &Table| {
            now.tables.get(id).is_some_and(|newest| {
                newest.shape == table.shape && newest.name == table.name && newest.columns == table.columns
            })
        };
        snapshot.tables(overlay).into_iter().filter(|(id, table)| same(id, table)).collect()
    }

    fn pick_table(&self, who: usize) -> Option<(TableId, Arc<Table>)> {
        let mut tables = self.tables(who);
        if tables.is_empty() {
            return None;
        }
        Some(tables.swap_remove(self.below(tables.len() as u64) as usize))
    }
}

fn column(table: &Table, name: &str) -> usize {
    table.column(name).expect("the table has the column")
}
