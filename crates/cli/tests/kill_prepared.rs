//! The server is killed while clients prepare transactions and end them: what was prepared is prepared still, what was
//! ended is ended, and nothing is half there. `ochre check` finds nothing.

use std::collections::HashSet;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio_postgres::{Client, NoTls};

const ROUNDS: u64 = 3;
const CLIENTS: u64 = 4;

/// A port that nobody listens on at this moment.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port()
}

fn serve(data: &Path, port: u16) -> Child {
    Command::new(env!("CARGO_BIN_EXE_ochre"))
        .args(["serve", "--listen", &format!("127.0.0.1:{port}"), "--data"])
        .arg(data)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the server starts")
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

/// What a client was told of its transactions, by their numbers.
#[derive(Default)]
struct Told {
    prepared: HashSet<i64>,
    committed: HashSet<i64>,
    aborted: HashSet<i64>,
    /// An end was asked for and not answered.
    unsure: HashSet<i64>,
}

/// Prepares transactions of two rows each and ends most of them, until the server is gone.
async fn load(port: u16, first: i64, told: Arc<Mutex<Told>>) {
    let Some(client) = connect(port).await else { return };
    for number in first.. {
        let begin = if number % 2 == 0 { "BEGIN" } else { "BEGIN ISOLATION LEVEL SERIALIZABLE" };
        let table = if number % 10 == 0 {
            format!("CREATE TABLE made_{number} (n int PRIMARY KEY);")
        } else {
            String::new()
        };
        let work =
            format!("{begin}; {table} INSERT INTO a VALUES ({number}); INSERT INTO b VALUES ({number})");
        let prepare = format!("PREPARE TRANSACTION 'x{number}'");
        if client.batch_execute(&work).await.is_err() {
            return;
        }
        told.lock().expect("no client panics").unsure.insert(number);
        if client.batch_execute(&prepare).await.is_err() {
            return;
        }
        told.lock().expect("no client panics").unsure.remove(&number);
        told.lock().expect("no client panics").prepared.insert(number);
        let commit = match number % 5 {
            0 => continue,
            1 => false,
            _ => true,
        };
        told.lock().expect("no client panics").unsure.insert(number);
        let end = if commit { "COMMIT" } else { "ROLLBACK" };
        if client.batch_execute(&format!("{end} PREPARED 'x{number}'")).await.is_err() {
            return;
        }
        let mut told = told.lock().expect("no client panics");
        told.unsure.remove(&number);
        told.prepared.remove(&number);
        if commit {
            told.committed.insert(number)
        } else {
            told.aborted.insert(number)
        };
    }
}

async fn numbers(client: &Client, query: &str) -> HashSet<i64> {
    client.query(query, &[]).await.expect(query).iter().map(|row| row.get(0)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_prepared_survives_kill_9() {
    let directory = tempfile::tempdir().expect("a directory");
    let data = directory.path().join("data");
    let port = free_port();
    let mut server = serve(&data, port);
    let client = connect(port).await.expect("the server answers");
    client
        .batch_execute("CREATE TABLE a (n bigint PRIMARY KEY); CREATE TABLE b (n bigint PRIMARY KEY)")
        .await
        .expect("the tables are made");
    drop(client);
    let told = Arc::new(Mutex::new(Told::default()));
    for round in 0..ROUNDS {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let first = ((round * CLIENTS + client) * 1_000_000) as i64;
                tokio::spawn(load(port, first, Arc::clone(&told)))
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(250 + 130 * round)).await;
        // SIGKILL: the process writes nothing more.
        server.kill().expect("it runs");
        server.wait().expect("it is gone");
        for client in clients {
            client.await.expect("a client ends without a panic");
        }
        server = serve(&data, port);
        let client = connect(port).await.expect("the server recovers");
        let listed = "SELECT substr(gid, 2)::bigint FROM pg_prepared_xacts";
        let prepared = numbers(&client, listed).await;
        let rows = numbers(&client, "SELECT n FROM a").await;
        assert_eq!(rows, numbers(&client, "SELECT n FROM b").await, "round {round}: half a transaction");
        {
            let mut told = told.lock().expect("no client panics");
            assert!(!told.committed.is_empty(), "round {round}: nothing was committed");
            let lost = |expected: &HashSet<i64>, found: &HashSet<i64>| -> Vec<i64> {
                expected.difference(found).copied().collect()
            };
            let sure: HashSet<i64> = told.prepared.difference(&told.unsure).copied().collect();
            assert_eq!(lost(&sure, &prepared), [], "round {round}: prepared and forgotten");
            assert_eq!(lost(&told.committed, &rows), [], "round {round}: committed and lost");
            assert!(told.aborted.is_disjoint(&rows), "round {round}: rolled back and there");
            assert!(told.aborted.is_disjoint(&prepared) && told.committed.is_disjoint(&prepared));
            assert!(prepared.is_disjoint(&rows), "round {round}: prepared and seen");
            // What nobody knew of is known now.
            for number in std::mem::take(&mut told.unsure) {
                told.prepared.remove(&number);
                match (prepared.contains(&number), rows.contains(&number)) {
                    (true, _) => told.prepared.insert(number),
                    (_, true) => told.committed.insert(number),
                    _ => told.aborted.insert(number),
                };
            }
        }
        // The keys of what is prepared are taken still, and its end works.
        if let Some(number) = prepared.iter().next() {
            client.batch_execute("SET lock_timeout = '50ms'").await.expect("a setting");
            let error = client.execute(&format!("INSERT INTO a VALUES ({number})"), &[]).await.unwrap_err();
            assert_eq!(error.code().map(|code| code.code()), Some("55P03"), "round {round}");
            client.batch_execute(&format!("COMMIT PREPARED 'x{number}'")).await.expect("it commits");
            let mut told = told.lock().expect("no client panics");
            told.prepared.remove(number);
            told.committed.insert(*number);
        }
    }
    server.kill().expect("it runs");
    server.wait().expect("it is gone");
    let check = Command::new(env!("CARGO_BIN_EXE_ochre")).arg("check").arg(&data).output();
    let check = check.expect("the check runs");
    assert!(check.status.success(), "{}", String::from_utf8_lossy(&check.stdout));
}
