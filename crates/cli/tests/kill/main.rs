//! The server is killed in mid-load and started again: nothing acknowledged is missing, nothing is half there, and
//! `ochre check` finds nothing. Some rounds kill the server again while it recovers, and some overwrite what stands behind
//! the log's end with garbage before that.
//!
//! `TEST_KILL_ROUNDS=1000 cargo test -p ochre-cli --test kill` runs as many rounds; a few run always.
//! `TEST_KILL_DIRECTORY` says where; the directory stays, and beside it, as `before`, what the last kill left.
//!
//! # Structure
//! [`server`] is the process; [`transfers`], [`definitions`] and [`prepared`] are loads that remember what was acknowledged
//! and verify it; [`scans`] looks whether scans see what they must. [`disk_full`] is a test of its own.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use ochre_env::sim::SimRandom;
use tokio::task::JoinHandle;

#[path = "../common/mod.rs"]
mod common;
mod definitions;
mod disk_full;
mod prepared;
mod scans;
mod server;
mod transfers;

use definitions::Definitions;
use prepared::Prepared;
use scans::Scans;
use server::{Server, answered, check, connect};
use transfers::Transfers;

const ROUNDS: u64 = 4;
/// Settings of the rounds, in turn: much in memory; pages that are evicted all the time; a log that goes round.
const SETTINGS: [&[&str]; 3] = [
    &[],
    &["-c", "shared_buffers=256kB"],
    &["-c", "shared_buffers=1MB", "-c", "max_wal_size=32MB", "-c", "wal_compression=lz4"],
];

fn settings(round: u64) -> &'static [&'static str] {
    SETTINGS[round as usize % SETTINGS.len()]
}

#[derive(Default)]
struct Loads {
    transfers: Arc<Transfers>,
    definitions: Arc<Definitions>,
    prepared: Arc<Prepared>,
    scans: Arc<Scans>,
}

impl Loads {
    async fn prepare(&self, port: u16) {
        let client = connect(port).await.expect("the server answers");
        self.transfers.prepare(&client).await;
        self.prepared.prepare(&client).await;
        self.scans.prepare(&client).await;
    }

    fn start(&self, port: u16, round: u64) -> Vec<JoinHandle<()>> {
        let mut clients = self.transfers.start(port, round);
        clients.extend(self.definitions.start(port));
        clients.extend(self.prepared.start(port));
        clients.extend(self.scans.start(port, round));
        if round % 3 == 1 {
            clients.push(tokio::spawn(checkpoints(port)));
        }
        clients
    }

    async fn verify(&self, port: u16, round: u64) {
        let client = connect(port).await.expect("the server answers");
        self.transfers.verify(&client, round).await;
        self.definitions.verify(&client).await;
        self.prepared.verify(&client, round).await;
        self.scans.verify(&client).await;
    }
}

/// Asks for a checkpoint again and again, until the server is gone.
async fn checkpoints(port: u16) {
    let Some(client) = connect(port).await else { return };
    while answered(client.batch_execute("CHECKPOINT").await).is_some() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Overwrites bytes behind the log's last record: with noise, with older records that are whole, or with ones.
fn garble_tail(data: &Path, random: &SimRandom) {
    let output = common::ochre().args(["inspect", "wal"]).arg(data).output().expect("the log is read");
    let text = String::from_utf8_lossy(&output.stdout);
    let end = text.lines().rev().find_map(|line| line.strip_suffix(" end")).expect("the log's end");
    let end = u64::from_str_radix(end.trim(), 16).expect("a position");
    let (start, path) = std::fs::read_dir(data.join("wal"))
        .expect("the log's directory")
        .filter_map(|entry| {
            let entry = entry.ok()?;
            Some((u64::from_str_radix(entry.file_name().to_str()?, 16).ok()?, entry.path()))
        })
        .filter(|(start, _)| *start <= end)
        .max()
        .expect("a segment");
    let mut bytes = std::fs::read(&path).expect("a segment is read");
    let from = ((end - start) as usize).min(bytes.len());
    let count = (1 + random.below(20_000) as usize).min(bytes.len() - from);
    let (kept, behind) = bytes.split_at_mut(from);
    match random.below(3) {
        0 => behind[..count].fill_with(|| random.below(256) as u8),
        // From one of the last positions on, where records begin.
        1 => {
            let count = count.min(kept.len());
            behind[..count].copy_from_slice(&kept[kept.len() - count..]);
        }
        _ => behind[..count].fill(0xff),
    }
    std::fs::write(&path, &bytes).expect("a segment is written");
}

/// Kills the server while it recovers, or as soon as it has.
fn kill_in_recovery(data: &Path, round: u64, random: &SimRandom) {
    let mut server = Server::start(data, settings(round));
    if random.below(4) == 0 {
        server.port();
    } else {
        std::thread::sleep(Duration::from_millis(random.below(150)));
    }
    server.kill();
}

/// Where the rounds happen, and whether it stays.
struct Place {
    root: PathBuf,
    temporary: Option<tempfile::TempDir>,
}

impl Place {
    fn new() -> Place {
        match std::env::var_os("TEST_KILL_DIRECTORY") {
            Some(root) => Place { root: root.into(), temporary: None },
            None => {
                let temporary = tempfile::tempdir().expect("a directory");
                Place { root: temporary.path().to_path_buf(), temporary: Some(temporary) }
            }
        }
    }

    fn data(&self) -> PathBuf {
        self.root.join("data")
    }

    /// Keeps what a kill left, to find out later what went wrong.
    fn keep_before(&self) {
        if self.temporary.is_none() {
            let before = self.root.join("before");
            let _ = std::fs::remove_dir_all(&before);
            let copied = Command::new("cp").arg("-a").args([self.data(), before]).status();
            assert!(copied.is_ok_and(|status| status.success()), "the directory is copied");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_kill_9() {
    let rounds: u64 = match std::env::var("TEST_KILL_ROUNDS") {
        Ok(rounds) => rounds.parse().expect("a number of rounds"),
        Err(_) => ROUNDS,
    };
    let place = Place::new();
    let data = place.data();
    let loads = Loads::default();
    let mut server = Server::start(&data, settings(0));
    loads.prepare(server.port()).await;
    for round in 0..rounds {
        // Printed when the test fails.
        println!("round {round}");
        let random = SimRandom::new(round);
        let clients = loads.start(server.port(), round);
        let enough = 30 + random.below(400) as usize;
        let prepared_before = loads.prepared.acknowledged();
        while loads.transfers.acknowledged() < enough || loads.prepared.acknowledged() == prepared_before {
            assert!(!clients.iter().any(JoinHandle::is_finished), "a client gave up");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        server.kill();
        for client in clients {
            client.await.expect("a client ends without a panic");
        }
        place.keep_before();
        if round % 3 != 1 {
            garble_tail(&data, &random);
        }
        for _ in 0..round % 4 {
            kill_in_recovery(&data, round, &random);
        }
        if round % 2 == 0 {
            check(&data);
        }
        server = Server::start(&data, settings(round + 1));
        loads.verify(server.port(), round).await;
        if round % 2 == 1 {
            // Killed again, as soon as it had recovered.
            server.kill();
            check(&data);
            server = Server::start(&data, settings(round + 1));
        }
    }
    server.kill();
    println!("{rounds} rounds");
}

/// The log of a killed server is damaged in the middle: the server says so and does not start, `ochre end-log` says what
/// can be kept, and after `ochre end-log --yes` that is there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_damaged_in_the_middle_can_end_there() {
    let place = Place::new();
    let data = place.data().join("damaged");
    let mut server = Server::start(&data, &[]);
    let client = connect(server.port()).await.expect("the server answers");
    client.batch_execute("CREATE TABLE t (i int PRIMARY KEY)").await.expect("a table");
    for i in 0..40 {
        client.batch_execute(&format!("INSERT INTO t VALUES ({i})")).await.expect("a row");
    }
    server.kill();
    let run = |arguments: &[&str]| {
        let output = common::ochre().args(arguments).arg(&data).output().expect("ochre runs");
        let text = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&text).into_owned())
    };
    assert_eq!(run(&["end-log"]), (true, "the log is not damaged before its end\n".to_string()));
    let (_, log) = run(&["inspect", "wal"]);
    let inserts: Vec<u64> = log
        .lines()
        .filter(|line| line.contains("heap: insert"))
        .map(|line| u64::from_str_radix(&line[..16], 16).expect("a position"))
        .collect();
    let at = inserts[inserts.len() - 20];
    let segment = std::fs::read_dir(data.join("wal"))
        .expect("the log's directory")
        .filter_map(|entry| u64::from_str_radix(entry.ok()?.file_name().to_str()?, 16).ok())
        .filter(|start| *start <= at)
        .max()
        .expect("a segment");
    let path = data.join("wal").join(format!("{segment:016x}"));
    let mut bytes = std::fs::read(&path).expect("a segment is read");
    bytes[(at - segment) as usize + 20] ^= 0xff;
    std::fs::write(&path, bytes).expect("a segment is written");

    let (checked, said) = run(&["check"]);
    assert!(!checked && said.contains(&format!("the log is damaged at {at:016x}")), "{said}");
    let (ended, said) = run(&["end-log"]);
    assert!(!ended && said.contains("nothing was changed") && said.contains("WARNING"), "{said}");
    let (checked, _) = run(&["check"]);
    assert!(!checked, "nothing was changed");
    let (ended, said) = run(&["end-log", "--yes"]);
    assert!(ended && said.ends_with("no problems\n"), "{said}");

    let mut server = Server::start(&data, &[]);
    let client = connect(server.port()).await.expect("the server answers");
    let rows = client.query("SELECT i FROM t ORDER BY i", &[]).await.expect("the rows");
    let kept: Vec<i32> = rows.iter().map(|row| row.get(0)).collect();
    assert_eq!(kept, (0..20).collect::<Vec<i32>>(), "what was committed before the damage");
    client.batch_execute("INSERT INTO t SELECT generate_series(100, 300)").await.expect("rows");
    server.kill();
    check(&data);
}
