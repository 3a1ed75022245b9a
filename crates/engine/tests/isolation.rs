//! The scenarios of `tests/isolation`: sessions that run at the same time, step by step. Their expectations are
//! PostgreSQL's: `tests/isolation/record.py` writes them, and says how the files are read.
//!
//! `OCHRE_ISOLATION=part` runs only the files whose names contain it.

#[allow(dead_code, reason = "each test file uses a part of what they share")]
mod common;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::task::{Context, Wake, Waker};
use std::thread::{JoinHandle, Thread};
use std::time::{Duration, Instant};

use ochre_base::Result;
use ochre_engine::{ExecuteOutcome, Instance, Resumed, Session};
use ochre_env::Env;

use common::{Rows, open, run, table};

/// How long a statement that is not blocked may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often a statement that runs is looked at.
const POLL: Duration = Duration::from_millis(5);
/// Who is still blocked after so long is taken to wait: on a busy machine who was let go may not run at once.
const CERTAINTY: Duration = Duration::from_millis(25);

/// How the sessions of a scenario wait for rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Waits {
    /// Their threads block.
    Blocked,
    /// Their statements are suspended, as in a server.
    AsTask,
}

/// Wakes the thread that polls.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Unpark>) {
        self.0.unpark();
    }
}

/// Runs a statement as a server does in the extended protocol, its waits included.
fn run_as_task(session: &mut Session, sql: &str, rows: &mut Rows) -> Result<()> {
    session.parse("", sql, &[])?;
    session.bind_values("", "", Vec::new())?;
    let mut outcome = session.execute("", 0, rows);
    while let Ok(ExecuteOutcome::Waiting) = outcome {
        let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
        while session.poll_suspended(&mut Context::from_waker(&waker)).is_pending() {
            let until = session.suspended_until().expect("it is suspended");
            std::thread::park_timeout(until.saturating_duration_since(Instant::now()));
        }
        outcome = session.resume(rows).map(|resumed| match resumed {
            Resumed::Execute(outcome) => outcome,
            Resumed::Simple(_) => unreachable!("it came by Execute"),
        });
    }
    let synced = session.sync(rows);
    outcome.map(|_| ()).and(synced)
}

/// A session on a thread of its own.
struct Client {
    process_id: i32,
    statements: Option<Sender<String>>,
    answers: Receiver<Vec<String>>,
    thread: Option<JoinHandle<()>>,
    is_waiting: bool,
}

impl Client {
    fn new(instance: &Arc<Instance>, waits: Waits) -> Client {
        let mut session = instance.session("postgres", "postgres").expect("a session");
        if waits == Waits::AsTask {
            session.allow_suspension();
        }
        let process_id = session.cancel_key().0;
        let (statements, received) = channel::<String>();
        let (sender, answers) = channel();
        let thread = std::thread::spawn(move || {
            while let Ok(sql) = received.recv() {
                let _ = sender.send(answer(&mut session, &sql, waits));
            }
        });
        Client { process_id, statements: Some(statements), answers, thread: Some(thread), is_waiting: false }
    }

    fn start(&self, sql: &str) {
        let statements = self.statements.as_ref().expect("open until dropped");
        statements.send(sql.to_string()).expect("the thread runs");
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.statements = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A statement's answer in the form of the files.
fn answer(session: &mut Session, sql: &str, waits: Waits) -> Vec<String> {
    let mut rows = Rows::default();
    let alone = !sql.trim().trim_end_matches(';').contains(';');
    let result = match waits {
        Waits::AsTask if alone => run_as_task(session, sql, &mut rows),
        _ => session.simple_query(sql, &mut rows).map(|_| ()),
    };
    if let Err(error) = result {
        return vec![format!("error {} {}", error.sqlstate().as_str(), error.message())];
    }
    if rows.rows.is_empty() {
        return vec!["ok".to_string()];
    }
    let row = |row: Vec<Option<String>>| {
        row.into_iter().map(|value| value.unwrap_or("NULL".into())).collect::<Vec<_>>().join("|")
    };
    rows.rows.into_iter().map(row).collect()
}

/// The sessions of a scenario, and one that watches them.
struct Stage {
    clients: BTreeMap<String, Client>,
    control: Session,
    instance: Arc<Instance>,
    waits: Waits,
    out: Vec<String>,
}

impl Stage {
    fn is_blocked(&mut self, name: &str) -> bool {
        let process_id = self.clients[name].process_id;
        // Who waits for a transaction that has ended is about to go on, however busy the machine is.
        let sql = format!(
            "SELECT count(*) FROM pg_locks \
             WHERE NOT granted AND pid = {process_id} AND pg_blocking_pids({process_id}) <> '{{}}'"
        );
        table(&mut self.control, &sql) != ["0"]
    }

    fn tell(&mut self, name: &str, answer: Vec<String>) {
        self.clients.get_mut(name).expect("it is known").is_waiting = false;
        self.out.extend(answer.into_iter().map(|line| format!("{name}> {line}")));
    }

    /// Waits until a session's statement has ended, and tells its answer, or until it is blocked; whether it has ended.
    fn settle(&mut self, name: &str, until_it_ends: bool) -> bool {
        let started = Instant::now();
        loop {
            match self.clients[name].answers.recv_timeout(POLL) {
                Ok(answer) => {
                    self.tell(name, answer);
                    return true;
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => panic!("{name} has ended"),
            }
            if !until_it_ends && self.is_blocked(name) {
                // It may have come to its end since it was asked for.
                std::thread::sleep(CERTAINTY);
                if self.is_blocked(name)
                    && self.clients[name].answers.recv_timeout(POLL).map(|a| self.tell(name, a)).is_err()
                {
                    return false;
                }
                return true;
            }
            assert!(
                started.elapsed() < PATIENCE,
                "{name} neither ends nor waits; so far:\n{}",
                self.out.join("\n")
            );
        }
    }

    fn step(&mut self, line: &str) {
        let (name, sql) = line.split_once(' ').expect("SESSION SQL");
        let (instance, waits) = (Arc::clone(&self.instance), self.waits);
        let client = self.clients.entry(name.to_string()).or_insert_with(|| Client::new(&instance, waits));
        assert!(!client.is_waiting, "{name} waits still: {line}");
        let until_it_ends = sql.starts_with("… ");
        client.start(sql.trim_start_matches("… "));
        self.out.push(line.to_string());
        if !self.settle(name, until_it_ends) {
            self.clients.get_mut(name).expect("it is known").is_waiting = true;
            self.out.push(format!("{name} waits"));
        }
        let waiting: Vec<String> = self
            .clients
            .iter()
            .filter(|(other, client)| client.is_waiting && *other != name)
            .map(|(n, _)| n.clone())
            .collect();
        for other in waiting {
            self.settle(&other, false);
        }
    }
}

/// What a file's scenarios come to.
fn play(spec: &str, waits: Waits) -> String {
    let mut setup = Vec::new();
    let mut stage: Option<Stage> = None;
    let mut out = Vec::new();
    let finish = |stage: Option<Stage>, out: &mut Vec<String>| {
        if let Some(stage) = stage {
            out.extend(stage.out.iter().cloned());
            out.push(String::new());
        }
    };
    for line in spec.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')) {
        if let Some(sql) = line.strip_prefix("setup ") {
            setup.push(sql.to_string());
        } else if line.starts_with("scenario ") {
            finish(stage.take(), &mut out);
            let instance = open(&Env::in_memory());
            let mut control = instance.session("postgres", "postgres").expect("a session");
            for sql in &setup {
                run(&mut control, sql);
            }
            let out = vec![line.to_string()];
            stage = Some(Stage { clients: BTreeMap::new(), control, instance, waits, out });
        } else {
            stage.as_mut().expect("a step is part of a scenario").step(line);
        }
    }
    finish(stage, &mut out);
    out.join("\n")
}

#[test]
fn scenarios_go_as_in_postgresql() {
    check_all(Waits::Blocked);
}

#[test]
fn scenarios_go_the_same_way_without_a_thread_a_wait() {
    check_all(Waits::AsTask);
}

fn check_all(waits: Waits) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/isolation");
    let wanted = std::env::var("OCHRE_ISOLATION").unwrap_or_default();
    let mut files: Vec<PathBuf> = std::fs::read_dir(&directory)
        .expect("the directory is there")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "spec"))
        .filter(|path| path.to_string_lossy().contains(&wanted))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "no file was found");
    let mut failures = Vec::new();
    for path in files {
        let got = play(&std::fs::read_to_string(&path).expect("the file is readable"), waits);
        let expected = std::fs::read_to_string(path.with_extension("out")).expect("it was recorded");
        let (got, expected) = (scenarios(&got), scenarios(&expected));
        for (title, lines) in &expected {
            let here = got.get(title).cloned().unwrap_or_default();
            if here != *lines {
                failures.push(format!("{}, {title}\nexpected\n{lines}\ngot\n{here}\n", path.display()));
            }
        }
        assert_eq!(got.len(), expected.len(), "{}: as many scenarios as were recorded", path.display());
    }
    assert!(failures.is_empty(), "{} scenarios went otherwise:\n{}", failures.len(), failures.join("\n"));
}

/// A file's scenarios by their titles.
fn scenarios(text: &str) -> BTreeMap<String, String> {
    let parts = text.split("scenario ").filter(|part| !part.trim().is_empty());
    parts
        .map(|part| {
            let (title, lines) = part.split_once('\n').expect("a title and steps");
            (title.to_string(), lines.trim_end().to_string())
        })
        .collect()
}
