//! What the clients do, and what the model says that it must come to.
//!
//! # Invariants
//! - K1: clients take turns on one thread, so a statement that meets another's uncommitted change cannot wait: it fails
//!   with 55P03, as its `lock_timeout` says. Such a failure is right only while another transaction is open.
//! - K2: an event is in the history before it is acknowledged, and the number of operations on files before its
//!   statement began and after its acknowledgement say at which cuts it may be there and at which it must be.

use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use ochre_base::{Error, SqlState};
use ochre_engine::{Instance, Session, TransactionStatus};
use ochre_env::sim::SimRandom;

use crate::client::{Answer, TextRow, acknowledge, connect, query};
use crate::machine::Machine;
use crate::model::{Change, Column, Overlay, Row, Table, TableId, World};

/// The last statements that a failure shows.
const SHOWN_STATEMENTS: usize = 40;
const MAX_TABLES: usize = 5;
const MAX_PREPARED: usize = 3;
/// Keys are taken from so many, so that they meet.
const KEYS: u64 = 300;

/// What an update makes of a value.
type Edit = Box<dyn Fn(&Option<Arc<str>>) -> Option<Arc<str>>>;

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

/// A statement on rows: what it must do if it succeeds.
struct RowStatement {
    sql: String,
    table: TableId,
    effect: Vec<(i64, Option<Row>)>,
    count: usize,
    /// Whether a key is given twice.
    duplicate: bool,
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

    /// Reads rows and compares them.
    fn read(&mut self, who: usize) -> Verdict {
        let Some((id, table)) = self.pick_table(who) else { return Ok(()) };
        let name = &table.name;
        let n = table.column("n").expect("every table has it");
        let wanted = self.below(20).to_string();
        let (from, to) = self.range();
        let a = table.column("a").expect("every table has it");
        let s = table.column("s").expect("every table has it");
        let (one, other) = (self.below(12).to_string(), self.below(12).to_string());
        let some = self.some_key(&table);
        let word = table.rows.get(&some).and_then(|row| row[s].clone()).unwrap_or_else(|| "s0".into());
        let kind = self.below(8);
        let condition = match kind {
            0 => String::new(),
            1 => format!(" WHERE n = {wanted}"),
            2 => format!(" WHERE id BETWEEN {from} AND {to}"),
            3 => format!(" WHERE a @> '{{{one},{other}}}'"),
            4 => format!(" WHERE a && '{{{one},{other}}}'"),
            5 => format!(" WHERE a <@ '{{{one},{other}}}'"),
            6 => format!(" WHERE backwards(s) = reverse('{word}')"),
            _ => format!(" WHERE id = {from}"),
        };
        let sql = format!("SELECT * FROM {name}{condition}");
        let answer = match self.run(who, &sql) {
            Ok(answer) => answer,
            Err(error) => return self.excuse(who, &sql, &error),
        };
        let has = |row: &Row, wanted: &str| elements(&row[a]).iter().any(|element| element == wanted);
        let expected = table.rows.iter().filter(|(key, row)| match kind {
            0 => true,
            3 => has(row, &one) && has(row, &other),
            4 => has(row, &one) || has(row, &other),
            5 => {
                row[a].is_some()
                    && elements(&row[a]).iter().all(|element| *element == one || *element == other)
            }
            6 => row[s].as_ref() == Some(&word),
            1 => row[n].as_deref() == Some(&wanted),
            2 => (from..=to).contains(*key),
            _ => **key == from,
        });
        compare_rows(expected, answer.rows).map_err(|what| format!("{sql}: {what}"))?;
        if kind == 0 && self.snapshot(who).is_none() {
            let met = self.changed.get(&id).copied().unwrap_or(0);
            let client = &mut self.clients[who];
            client.met = client.met.max(met);
        }
        Ok(())
    }

    fn range(&self) -> (i64, i64) {
        let from = self.below(KEYS) as i64;
        (from, from + self.below(12) as i64)
    }

    fn change_rows(&mut self, who: usize) -> Verdict {
        let Some((id, table)) = self.pick_table(who) else {
            let repeatable = self.snapshot(who).is_some();
            return if repeatable { Ok(()) } else { self.create_table(who) };
        };
        let repeatable = self.snapshot(who).is_some();
        let statement = self.row_statement(id, &table, repeatable);
        if repeatable && statement.duplicate {
            // Whether the key is still there is not for its snapshot to say.
            return Ok(());
        }
        let begun = self.machine.fs.operations();
        let world = self.world().clone();
        if self.clients[who].open.is_none() && !statement.duplicate {
            let mut overlay = Overlay::default();
            overlay.put_rows(&world, statement.table, &statement.effect);
            self.attempt = Some(world.commit(&overlay));
        }
        let answer = match self.run(who, &statement.sql) {
            Ok(answer) => answer,
            Err(error) if error.sqlstate() == SqlState::UNIQUE_VIOLATION => {
                let newest = &self.world().tables;
                let known = |key: &i64| newest.get(&id).is_some_and(|table| table.rows.contains_key(key));
                let excused = statement.duplicate
                    || self.snapshot(who).is_some() && statement.effect.iter().any(|(key, _)| known(key));
                return if excused { Ok(()) } else { Err(format!("{}: {error:?}", statement.sql)) };
            }
            Err(error) => return self.excuse(who, &statement.sql, &error),
        };
        if statement.duplicate {
            return Err(format!("{}: a key is there twice", statement.sql));
        }
        if answer.count() != statement.count {
            return Err(format!("{}: {} instead of {} rows", statement.sql, answer.tag, statement.count));
        }
        if statement.effect.is_empty() {
            return Ok(());
        }
        match &mut self.clients[who].open {
            Some(open) => open.overlay.put_rows(&world, statement.table, &statement.effect),
            None => {
                let mut overlay = Overlay::default();
                overlay.put_rows(&world, statement.table, &statement.effect);
                self.committed(who, begun, &overlay);
            }
        }
        Ok(())
    }

    fn row_statement(&self, id: TableId, table: &Table, repeatable: bool) -> RowStatement {
        match self.below(100) {
            0..30 => self.insert(id, table),
            30..38 if !repeatable => self.insert_or_update(id, table),
            38..43 => self.insert_series(id, table),
            43..48 => self.move_key(id, table),
            48..56 => self.update_where(id, table, "n"),
            56..80 => self.update_where(id, table, "id"),
            _ => self.delete(id, table),
        }
    }

    fn insert(&self, id: TableId, table: &Table) -> RowStatement {
        let mut effect: Vec<(i64, Option<Row>)> = Vec::new();
        let mut duplicate = false;
        let mut values = Vec::new();
        for _ in 0..1 + self.below(if self.chance(20) { 20 } else { 3 }) {
            let key = self.below(KEYS) as i64;
            duplicate |= table.rows.contains_key(&key) || effect.iter().any(|(other, _)| *other == key);
            let row: Row = table.columns.iter().map(|column| self.value(column, key)).collect();
            values.push(tuple(&table.columns, &row));
            effect.push((key, Some(row)));
        }
        let sql = format!("INSERT INTO {} VALUES {}", table.name, values.join(", "));
        RowStatement { sql, table: id, count: effect.len(), effect, duplicate }
    }

    fn insert_or_update(&self, id: TableId, table: &Table) -> RowStatement {
        let key = self.below(KEYS) as i64;
        let row: Row = table.columns.iter().map(|column| self.value(column, key)).collect();
        let sql = format!(
            "INSERT INTO {} AS x VALUES {} ON CONFLICT (id) DO UPDATE SET n = x.n + 1, s = excluded.s",
            table.name,
            tuple(&table.columns, &row)
        );
        let after = match table.rows.get(&key) {
            None => row,
            Some(old) => {
                let mut new = old.to_vec();
                let (n, s) = (column(table, "n"), column(table, "s"));
                new[n] = plus_one(&old[n]);
                new[s] = row[s].clone();
                new.into()
            }
        };
        RowStatement { sql, table: id, effect: vec![(key, Some(after))], count: 1, duplicate: false }
    }

    fn insert_series(&self, id: TableId, table: &Table) -> RowStatement {
        let from = (KEYS + self.below(20) * 50) as i64;
        let to = from + self.below(60) as i64;
        let sql = format!(
            "INSERT INTO {} (id, n, s) SELECT g, g % 13, 'g' || g FROM generate_series({from}, {to}) AS g",
            table.name
        );
        let mut effect = Vec::new();
        for key in from..=to {
            let mut row: Vec<_> = table.columns.iter().map(|column| column.default.clone()).collect();
            row[0] = text(key);
            row[column(table, "n")] = text(key % 13);
            row[column(table, "s")] = Some(format!("g{key}").into());
            effect.push((key, Some(row.into())));
        }
        let duplicate = table.rows.range(from..=to).next().is_some();
        RowStatement { sql, table: id, count: effect.len(), effect, duplicate }
    }

    fn move_key(&self, id: TableId, table: &Table) -> RowStatement {
        let key = self.some_key(table);
        let to = self.below(KEYS * 2) as i64;
        let sql = format!("UPDATE {} SET id = {to} WHERE id = {key}", table.name);
        let mut effect = Vec::new();
        let mut duplicate = false;
        if let Some(row) = table.rows.get(&key) {
            duplicate = to != key && table.rows.contains_key(&to);
            let mut moved = row.to_vec();
            moved[0] = text(to);
            effect.push((key, None));
            effect.push((to, Some(moved.into())));
        }
        let count = usize::from(!effect.is_empty());
        RowStatement { sql, table: id, effect, count, duplicate }
    }

    /// An update of the rows that a condition on `by` chooses.
    fn update_where(&self, id: TableId, table: &Table, by: &str) -> RowStatement {
        let n = column(table, "n");
        let (condition, chosen): (String, Vec<i64>) = if by == "n" {
            let wanted = self.below(20).to_string();
            let keys = table.rows.iter().filter(|(_, row)| row[n].as_deref() == Some(&wanted));
            (format!("n = {wanted}"), keys.map(|(key, _)| *key).collect())
        } else if self.chance(60) {
            let key = self.some_key(table);
            (format!("id = {key}"), table.rows.contains_key(&key).then_some(key).into_iter().collect())
        } else {
            let (from, to) = self.range();
            let keys = table.rows.range(from..=to).map(|(key, _)| *key);
            (format!("id BETWEEN {from} AND {to}"), keys.collect())
        };
        let target = &table.columns[1 + self.below(table.columns.len() as u64 - 1) as usize];
        let at = column(table, &target.name);
        let name = &target.name;
        let large = self.below(4000) as usize;
        let given = self.value(target, 0);
        let (set, change): (String, Edit) = match (target.ty, self.below(4)) {
            ("text", 0) => (
                format!("{name} = {name} || 'tail'"),
                Box::new(|old| old.as_ref().map(|old| format!("{old}tail").into())),
            ),
            ("text", 1) if name == "v" => (
                format!("{name} = repeat('wxyz', {large})"),
                Box::new(move |_| Some("wxyz".repeat(large).into())),
            ),
            ("integer[]", 0) => (format!("{name} = array_append({name}, 7)"), Box::new(with_seven)),
            ("integer[]", _) => {
                (format!("{name} = {}", literal(target, &given)), Box::new(move |_| given.clone()))
            }
            ("text", _) => {
                (format!("{name} = {}", literal(target, &given)), Box::new(move |_| given.clone()))
            }
            (_, 0) => (format!("{name} = {}", literal(target, &given)), Box::new(move |_| given.clone())),
            _ => (format!("{name} = {name} + 1"), Box::new(plus_one)),
        };
        let sql = format!("UPDATE {} SET {set} WHERE {condition}", table.name);
        let mut effect = Vec::new();
        for key in chosen {
            let mut row = table.rows[&key].to_vec();
            row[at] = change(&row[at]);
            effect.push((key, Some(row.into())));
        }
        RowStatement { sql, table: id, count: effect.len(), effect, duplicate: false }
    }

    fn delete(&self, id: TableId, table: &Table) -> RowStatement {
        let (from, to) = match self.below(10) {
            0 => (0, (KEYS * 10) as i64),
            1..4 => self.range(),
            _ => {
                let key = self.some_key(table);
                (key, key)
            }
        };
        let effect: Vec<_> = table.rows.range(from..=to).map(|(key, _)| (*key, None)).collect();
        let condition =
            if from == to { format!("id = {from}") } else { format!("id BETWEEN {from} AND {to}") };
        let sql = format!("DELETE FROM {} WHERE {condition}", table.name);
        RowStatement { sql, table: id, count: effect.len(), effect, duplicate: false }
    }

    /// A key that is there, mostly.
    fn some_key(&self, table: &Table) -> i64 {
        let at = self.below(table.rows.len() as u64 + 1) as usize;
        table.rows.keys().nth(at).copied().unwrap_or(self.below(KEYS) as i64)
    }

    fn value(&self, column: &Column, key: i64) -> Option<Arc<str>> {
        match column.name.as_str() {
            "id" => text(key),
            "n" => text(self.below(20)),
            "s" => Some(format!("s{}", self.below(1000)).into()),
            "a" => match self.below(20) {
                0 => None,
                1..4 => Some("{}".into()),
                _ => Some(self.array()),
            },
            "v" => match self.below(20) {
                0..8 => None,
                8..15 => Some(self.letters(60)),
                15..19 => Some(self.letters(2500)),
                _ => Some(self.letters(20_000)),
            },
            _ if self.chance(30) => None,
            _ => text(self.below(1_000_000)),
        }
    }

    /// A small array of small numbers.
    fn array(&self) -> Arc<str> {
        let element = || match self.below(13) {
            12 => "NULL".to_string(),
            number => number.to_string(),
        };
        let elements: Vec<String> = (0..1 + self.below(6)).map(|_| element()).collect();
        format!("{{{}}}", elements.join(",")).into()
    }

    /// Text that does not compress.
    fn letters(&self, at_most: u64) -> Arc<str> {
        let words = self.below(at_most / 13 + 1);
        (0..words).map(|_| format!("{:013x}", self.below(1 << 52))).collect::<String>().into()
    }

    /// VACUUM and the like: nothing that the model sees.
    fn tend(&mut self, who: usize) -> Verdict {
        let Some((_, table)) = self.pick_table(who) else { return Ok(()) };
        let verb = ["VACUUM", "ANALYZE", "VACUUM FULL", "VACUUM ANALYZE"][self.below(4) as usize];
        let sql = format!("{verb} {}", table.name);
        match self.run(who, &sql) {
            Ok(_) => Ok(()),
            // It waits for older snapshots and says so.
            Err(error) if verb == "VACUUM FULL" && error.sqlstate() == SqlState::FEATURE_NOT_SUPPORTED => {
                Ok(())
            }
            Err(error) => self.excuse(who, &sql, &error),
        }
    }

    fn change_table(&mut self, who: usize) -> Verdict {
        let tables = self.tables(who);
        if tables.is_empty() || tables.len() < MAX_TABLES && self.chance(25) {
            return self.create_table(who);
        }
        let (id, table) = &tables[self.below(tables.len() as u64) as usize];
        let mut new = Table::clone(table);
        let name = table.name.clone();
        let spare: Vec<&Column> = table
            .columns
            .iter()
            .filter(|column| !matches!(column.name.as_str(), "id" | "n" | "s" | "a"))
            .collect();
        let sql = match self.below(100) {
            0..8 if tables.len() > 1 => {
                return self.replace_table(who, *id, &format!("DROP TABLE {name}"), None);
            }
            8..20 => {
                new.rows.clear();
                new.shape += 1;
                format!("TRUNCATE {name}")
            }
            20..35 if table.columns.len() < 9 => {
                let column = format!("c{}", self.names.next());
                let default = if self.chance(60) { text(self.below(100)) } else { None };
                new.columns.push(Column { name: column.clone(), ty: "integer", default: default.clone() });
                for row in new.rows.values_mut() {
                    let mut values = row.to_vec();
                    values.push(default.clone());
                    *row = values.into();
                }
                new.shape += 1;
                let clause = default.map(|value| format!(" DEFAULT {value}")).unwrap_or_default();
                format!("ALTER TABLE {name} ADD COLUMN {column} int{clause}")
            }
            35..43 if !spare.is_empty() => {
                let column = spare[self.below(spare.len() as u64) as usize].name.clone();
                let at = self::column(table, &column);
                new.columns.remove(at);
                for row in new.rows.values_mut() {
                    let mut values = row.to_vec();
                    values.remove(at);
                    *row = values.into();
                }
                new.shape += 1;
                format!("ALTER TABLE {name} DROP COLUMN {column}")
            }
            43..48 if table.columns[self::column(table, "n")].ty == "integer" => {
                let at = self::column(table, "n");
                new.columns[at].ty = "bigint";
                new.shape += 1;
                format!("ALTER TABLE {name} ALTER COLUMN n TYPE bigint")
            }
            48..55 => {
                new.name = format!("t{}", self.names.next());
                format!("ALTER TABLE {name} RENAME TO {}", new.name)
            }
            55..70 if table.indexes.len() > 1 => {
                let indexes: Vec<&String> =
                    table.indexes.iter().filter(|index| !index.ends_with("_pkey")).collect();
                let Some(index) = indexes.first() else { return Ok(()) };
                new.indexes.remove(*index);
                format!("DROP INDEX {index}")
            }
            // Two can build indexes of one table at once; the model has one change of a table at a time.
            _ if table.indexes.len() < 6 && !self.others_change(who, *id) => {
                let index = format!("i{}", self.names.next());
                new.indexes.insert(index.clone());
                self.create_index(&index, &name)
            }
            _ => return Ok(()),
        };
        self.replace_table(who, *id, &sql, Some(new))
    }

    /// Whether another open or prepared transaction has changed a table by DDL.
    fn others_change(&self, who: usize, id: TableId) -> bool {
        let others = self.clients.iter().enumerate().filter(|(at, _)| *at != who);
        let open = others.filter_map(|(_, client)| client.open.as_ref().map(|open| &open.overlay));
        let prepared = self.world().prepared.values().map(|overlay| &**overlay);
        open.chain(prepared).any(|overlay| matches!(overlay.tables.get(&id), Some(Change::Whole(_))))
    }

    fn create_index(&self, index: &str, table: &str) -> String {
        match self.below(10) {
            0 => format!("CREATE INDEX {index} ON {table} (n)"),
            6 => format!("CREATE INDEX {index} ON {table} USING gin (a)"),
            7 => format!(
                "CREATE INDEX {index} ON {table} USING gin (a, string_to_array(s, NULL)) WHERE n < 15"
            ),
            8 => format!("CREATE INDEX {index} ON {table} (backwards(s))"),
            9 => format!("CREATE UNIQUE INDEX {index} ON {table} (backwards(s), id)"),
            1 => format!("CREATE INDEX {index} ON {table} (s, n DESC)"),
            2 => format!("CREATE UNIQUE INDEX {index} ON {table} (n, id)"),
            3 => format!("CREATE INDEX {index} ON {table} (n) WHERE n < 10"),
            4 => format!("CREATE INDEX {index} ON {table} (upper(s))"),
            _ => format!("CREATE INDEX {index} ON {table} (s) INCLUDE (n)"),
        }
    }

    fn create_table(&mut self, who: usize) -> Verdict {
        let id = TableId(self.names.next());
        let name = format!("t{}", id.0);
        let column = |name: &str, ty| Column { name: name.into(), ty, default: None };
        let columns = vec![
            column("id", "integer"),
            column("n", "integer"),
            column("s", "text"),
            column("v", "text"),
            column("a", "integer[]"),
        ];
        let indexes = [format!("{name}_pkey")].into();
        let sql = format!("CREATE TABLE {name} (id int PRIMARY KEY, n int, s text, v text, a int[])");
        let table = Table { name, columns, rows: BTreeMap::new(), indexes, shape: 0 };
        self.replace_table(who, id, &sql, Some(table))
    }

    /// Runs DDL that makes a table another one.
    fn replace_table(&mut self, who: usize, id: TableId, sql: &str, table: Option<Table>) -> Verdict {
        let begun = self.machine.fs.operations();
        let mut alone = Overlay::default();
        alone.put_table(id, table.clone());
        if self.clients[who].open.is_none() {
            self.attempt = Some(self.world().commit(&alone));
        }
        if let Err(error) = self.run(who, sql) {
            return self.excuse(who, sql, &error);
        }
        match &mut self.clients[who].open {
            Some(open) => open.overlay.put_table(id, table),
            None => self.committed(who, begun, &alone),
        }
        Ok(())
    }
}

fn column(table: &Table, name: &str) -> usize {
    table.column(name).expect("the table has the column")
}

fn text(value: impl ToString) -> Option<Arc<str>> {
    Some(value.to_string().into())
}

fn plus_one(value: &Option<Arc<str>>) -> Option<Arc<str>> {
    value.as_ref().and_then(|value| value.parse::<i64>().ok()).and_then(|value| text(value + 1))
}

/// What `array_append(…, 7)` makes of an array.
fn with_seven(value: &Option<Arc<str>>) -> Option<Arc<str>> {
    let mut all = elements(value);
    all.push("7".to_string());
    Some(format!("{{{}}}", all.join(",")).into())
}

/// The elements of an array.
fn elements(value: &Option<Arc<str>>) -> Vec<String> {
    let inside = value.as_deref().unwrap_or_default().trim_matches(['{', '}']);
    inside.split(',').filter(|element| !element.is_empty()).map(str::to_string).collect()
}

fn literal(column: &Column, value: &Option<Arc<str>>) -> String {
    match value {
        None => "NULL".to_string(),
        Some(value) if matches!(column.ty, "text" | "integer[]") => format!("'{value}'"),
        Some(value) => value.to_string(),
    }
}

fn tuple(columns: &[Column], row: &Row) -> String {
    let values: Vec<String> =
        columns.iter().zip(row.iter()).map(|(column, value)| literal(column, value)).collect();
    format!("({})", values.join(", "))
}

/// Whether rows that were read are those expected, in any order.
pub(crate) fn compare_rows<'r>(
    expected: impl Iterator<Item = (&'r i64, &'r Row)>,
    found: Vec<TextRow>,
) -> Verdict {
    let mut by_key: BTreeMap<i64, TextRow> = BTreeMap::new();
    for row in found {
        let key = row[0].as_deref().and_then(|text| text.parse().ok()).unwrap_or(i64::MIN);
        if by_key.insert(key, row).is_some() {
            return Err(format!("row {key} is there twice"));
        }
    }
    for (key, row) in expected {
        let Some(found) = by_key.remove(key) else { return Err(format!("row {key} is missing")) };
        let same = found.len() == row.len()
            && found.iter().zip(row.iter()).all(|(found, wanted)| found.as_deref() == wanted.as_deref());
        if !same {
            return Err(format!(
                "row {key} is {} instead of {}",
                print(found.iter().map(Option::as_deref)),
                print(row.iter().map(Option::as_deref))
            ));
        }
    }
    match by_key.pop_first() {
        Some((key, row)) => Err(format!("row {key} is there: {}", print(row.iter().map(Option::as_deref)))),
        None => Ok(()),
    }
}

fn print<'v>(values: impl Iterator<Item = Option<&'v str>>) -> String {
    let short = |value: Option<&str>| match value {
        None => "NULL".to_string(),
        Some(value) if value.len() > 40 => format!("{}… ({} bytes)", &value[..30], value.len()),
        Some(value) => value.to_string(),
    };
    values.map(short).collect::<Vec<_>>().join("|")
}
