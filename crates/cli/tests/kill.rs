//! The server is killed in mid-load and started again: nothing acknowledged is missing, nothing is half there, and
//! `ochre check` finds nothing.
//!
//! `TEST_KILL_ROUNDS=100 cargo test -p ochre-cli --test kill` runs as many rounds; a few run always.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio_postgres::{Client, NoTls};

mod common;

const ROUNDS: u64 = 4;
const CLIENTS: u64 = 8;
const ACCOUNTS: i32 = 50;
/// Settings of the rounds, in turn: much in memory; pages that are evicted all the time.
const SETTINGS: [&[&str]; 2] = [&[], &["-c", "shared_buffers=256kB"]];

/// A port that nobody listens on at this moment.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port()
}

fn serve(data: &Path, port: u16, round: u64) -> Child {
    common::ochre()
        .args(["serve", "--listen", &format!("127.0.0.1:{port}"), "--data"])
        .arg(data)
        .args(SETTINGS[round as usize % SETTINGS.len()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the server starts")
}

/// Recovers the directory, which no server has open, and checks all of it.
fn check(data: &Path, round: u64) {
    let output = common::ochre().arg("check").arg(data).output().expect("the check runs");
    let (found, failed) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "round {round}: {found}{failed}");
}

async fn connect(port: u16) -> Option<Client> {
    let config = format!("host=127.0.0.1 port={port} user=postgres dbname=postgres");
    for _ in 0..1000 {
        if let Ok((client, connection)) = tokio_postgres::connect(&config, NoTls).await {
            tokio::spawn(connection);
            return Some(client);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    None
}

/// Statements that leave all kinds of versions and index entries behind.
const DISTURBANCE: [&str; 6] = [
    "INSERT INTO scratch (k, t) SELECT $1 * 10 + i, repeat('t', $1 % 50) FROM generate_series(1, 5) AS i",
    "UPDATE scratch SET k = k + 1, t = t || 'u' WHERE id % 97 = $1 % 97",
    "UPDATE scratch SET t = repeat(t, 3) WHERE id % 89 = $1 % 89 AND length(t) < 3000",
    "DELETE FROM scratch WHERE id % 83 = $1 % 83",
    "UPDATE scratch SET t = NULL WHERE id % 79 = $1 % 79",
    "UPDATE scratch SET t = 'back' WHERE id % 61 = $1 % 61 AND t IS NULL",
];

/// Moves money between accounts and writes a line of history with a number of its own, until the server is gone.
async fn load(
    port: u16,
    client_number: u64,
    acknowledged: Arc<Mutex<Vec<i64>>>,
    stop: Arc<AtomicBool>,
    next: Arc<AtomicU64>,
) {
    let Some(mut client) = connect(port).await else { return };
    let mut random = client_number * 7919 + 1;
    while !stop.load(Ordering::Relaxed) {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let (from, to) = ((random >> 33) as i32 % ACCOUNTS, (random >> 17) as i32 % ACCOUNTS);
        let (from, to) = (from.abs(), to.abs());
        // Always in one order, so that no two transactions wait for each other.
        let (first, second, amount) = if from < to { (from, to, 1) } else { (to, from, -1) };
        let number = next.fetch_add(1, Ordering::Relaxed) as i64;
        let Ok(mut transaction) = client.transaction().await else { return };
        let update = "UPDATE accounts SET balance = balance + $1 WHERE id = $2";
        if transaction.execute(update, &[&-amount, &first]).await.is_err()
            || transaction.execute(update, &[&amount, &second]).await.is_err()
            || transaction.execute("INSERT INTO history VALUES ($1)", &[&number]).await.is_err()
        {
            return;
        }
        if client_number.is_multiple_of(4) {
            // Behind a savepoint: two of them may deadlock, or change a row at once.
            let statement = DISTURBANCE[number as usize % DISTURBANCE.len()];
            let Ok(disturbed) = transaction.savepoint("disturbance").await else { return };
            let done = disturbed.execute(statement, &[&((number % 1_000_000) as i32)]).await;
            let ended = if done.is_ok() && number % 5 != 0 {
                disturbed.commit().await
            } else {
                disturbed.rollback().await
            };
            if ended.is_err() {
                return;
            }
        }
        if transaction.commit().await.is_err() {
            return;
        }
        acknowledged.lock().expect("no client panics").push(number);
    }
}

/// Rows of a table that [`definitions`] makes.
const ROWS_MADE: i64 = 300;

/// Makes, changes and drops tables, until the server is gone. `kept` gets each table that was acknowledged and that
/// nobody has tried to drop since.
async fn definitions(port: u16, stop: Arc<AtomicBool>, next: Arc<AtomicU64>, kept: Arc<Mutex<Vec<u64>>>) {
    let Some(client) = connect(port).await else { return };
    while !stop.load(Ordering::Relaxed) {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let end = if number % 4 == 3 { "ROLLBACK" } else { "COMMIT" };
        let made = client
            .batch_execute(&format!(
                "BEGIN;
                 CREATE TABLE made_{number} (id int, v text);
                 INSERT INTO made_{number} SELECT i, repeat('v', i) FROM generate_series(1, {ROWS_MADE}) AS i;
                 CREATE UNIQUE INDEX ON made_{number} (id);
                 {end}"
            ))
            .await;
        if made.is_err() {
            return;
        }
        if end == "ROLLBACK" {
            continue;
        }
        kept.lock().expect("no client panics").push(number);
        let changes = [
            format!("ALTER TABLE made_{number} ADD COLUMN more int DEFAULT {number}"),
            format!("BEGIN; TRUNCATE made_{number}; INSERT INTO made_{number} VALUES (1); ROLLBACK"),
            format!(
                "CREATE INDEX ON made_{number} (v, id); UPDATE made_{number} SET id = -id WHERE id % 7 = 0"
            ),
            format!("ALTER TABLE made_{number} ALTER COLUMN id TYPE bigint"),
            format!("BEGIN; DROP TABLE made_{number}; ROLLBACK"),
        ];
        if client.batch_execute(&changes[number as usize % changes.len()]).await.is_err() {
            return;
        }
        if !number.is_multiple_of(3) {
            kept.lock().expect("no client panics").retain(|other| *other != number);
            if client.batch_execute(&format!("DROP TABLE made_{number}")).await.is_err() {
                return;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_kill_9() {
    let directory = tempfile::tempdir().expect("a directory");
    let data = directory.path().join("data");
    let port = free_port();
    let mut server = serve(&data, port, 0);
    let client = connect(port).await.expect("the server answers");
    client
        .batch_execute(&format!(
            "CREATE TABLE accounts (id int PRIMARY KEY, balance int NOT NULL);
             CREATE INDEX ON accounts (balance);
             CREATE TABLE history (number bigint PRIMARY KEY);
             CREATE TABLE scratch (id serial PRIMARY KEY, k int, t text);
             CREATE INDEX ON scratch (k) INCLUDE (t);
             CREATE INDEX ON scratch (length(t), k) WHERE t IS NOT NULL;
             INSERT INTO accounts SELECT i, 100 FROM generate_series(0, {}) AS i",
            ACCOUNTS - 1
        ))
        .await
        .expect("the tables are made");
    drop(client);
    let acknowledged = Arc::new(Mutex::new(Vec::new()));
    let next = Arc::new(AtomicU64::new(1));
    let (next_table, kept) = (Arc::new(AtomicU64::new(1)), Arc::new(Mutex::new(Vec::new())));
    let rounds = match std::env::var("TEST_KILL_ROUNDS") {
        Ok(rounds) => rounds.parse().expect("a number of rounds"),
        Err(_) => ROUNDS,
    };
    for round in 0..rounds {
        let stop = Arc::new(AtomicBool::new(false));
        let mut clients: Vec<_> = (0..CLIENTS)
            .map(|number| {
                let (acknowledged, stop, next) = (acknowledged.clone(), stop.clone(), next.clone());
                tokio::spawn(load(port, round * CLIENTS + number, acknowledged, stop, next))
            })
            .collect();
        let (stop_too, next_table, kept_too) = (stop.clone(), next_table.clone(), kept.clone());
        clients.push(tokio::spawn(definitions(port, stop_too, next_table, kept_too)));
        tokio::time::sleep(Duration::from_millis(300 + 170 * (round % 7))).await;
        // SIGKILL: the process writes nothing more.
        server.kill().expect("it runs");
        server.wait().expect("it is gone");
        stop.store(true, Ordering::Relaxed);
        for client in clients {
            client.await.expect("a client ends without a panic");
        }
        if round % 2 == 0 {
            check(&data, round);
        }
        server = serve(&data, port, round + 1);
        let client = connect(port).await.expect("the server recovers");
        let sum: i64 =
            client.query_one("SELECT sum(balance) FROM accounts", &[]).await.expect("a sum").get(0);
        assert_eq!(sum, i64::from(ACCOUNTS) * 100, "round {round}: a transfer is half there");
        let rows = client.query("SELECT number FROM history", &[]).await.expect("the history");
        let present: std::collections::HashSet<i64> = rows.iter().map(|row| row.get(0)).collect();
        assert_eq!(present.len(), rows.len(), "round {round}: a row is there twice");
        let acknowledged = acknowledged.lock().expect("no client panics").clone();
        assert!(!acknowledged.is_empty(), "round {round}: nothing was committed");
        let missing: Vec<i64> =
            acknowledged.iter().copied().filter(|number| !present.contains(number)).collect();
        assert!(missing.is_empty(), "round {round}: acknowledged and missing: {missing:?}");
        let tables = std::mem::take(&mut *kept.lock().expect("no client panics"));
        for number in tables {
            let counted = client.query_one(&format!("SELECT count(*) FROM made_{number}"), &[]).await;
            let count: i64 = counted.unwrap_or_else(|error| panic!("round {round}: {error:?}")).get(0);
            assert_eq!(count, ROWS_MADE, "round {round}: rows of made_{number}");
        }
        if round % 2 == 1 {
            // Killed again, as soon as it had recovered.
            server.kill().expect("it runs");
            server.wait().expect("it is gone");
            check(&data, round);
            server = serve(&data, port, round + 1);
        }
    }
    server.kill().expect("it runs");
    server.wait().expect("it is gone");
}
