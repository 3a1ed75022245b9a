//! Money moves between accounts, with a line of history for each transfer; beside it, changes that leave all kinds of
//! versions and index entries behind.

use std::collections::HashSet;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use ochre_env::sim::SimRandom;
use tokio::task::JoinHandle;
use tokio_postgres::Client;

use crate::server::{answered, connect};

const CLIENTS: u64 = 8;
const ACCOUNTS: u64 = 50;
/// So many rounds' history is kept.
const ROUNDS_KEPT: u64 = 20;

const DISTURBANCE: [&str; 6] = [
    "INSERT INTO scratch (k, t) SELECT $1 * 10 + i, repeat('t', $1 % 50) FROM generate_series(1, 5) AS i",
    "UPDATE scratch SET k = k + 1, t = t || 'u' WHERE id % 97 = $1 % 97",
    "UPDATE scratch SET t = repeat(t, 3) WHERE id % 89 = $1 % 89 AND length(t) < 3000",
    "DELETE FROM scratch WHERE id % 83 = $1 % 83",
    "UPDATE scratch SET t = NULL WHERE id % 79 = $1 % 79",
    "UPDATE scratch SET t = 'back' WHERE id % 61 = $1 % 61 AND t IS NULL",
];

/// The load, and what its clients were told.
#[derive(Default)]
pub struct Transfers {
    next: AtomicI64,
    /// Numbers of the transfers since the last verification whose commit was answered.
    acknowledged: Mutex<Vec<i64>>,
    /// What the last verification saw: nobody changes lines of history.
    verified: Mutex<HashSet<i64>>,
}

impl Transfers {
    /// Makes the tables.
    pub async fn prepare(&self, client: &Client) {
        client
            .batch_execute(&format!(
                "CREATE TABLE accounts (id int PRIMARY KEY, balance int NOT NULL);
                 CREATE INDEX ON accounts (balance);
                 CREATE TABLE history (number bigint PRIMARY KEY);
                 CREATE TABLE scratch (id serial PRIMARY KEY, k int, t text);
                 CREATE INDEX ON scratch (k) INCLUDE (t);
                 CREATE INDEX ON scratch (length(t), k) WHERE t IS NOT NULL;
                 INSERT INTO accounts SELECT i, 100 FROM generate_series(0, {ACCOUNTS} - 1) AS i"
            ))
            .await
            .expect("the tables are made");
    }

    /// Clients that work until the server is gone.
    pub fn start(self: &Arc<Self>, port: u16, round: u64) -> Vec<JoinHandle<()>> {
        let client = |number| tokio::spawn(Arc::clone(self).client(port, number, round * CLIENTS + number));
        (0..CLIENTS).map(client).collect()
    }

    /// How many transfers were acknowledged since the last verification.
    pub fn acknowledged(&self) -> usize {
        self.acknowledged.lock().expect("no client panics").len()
    }

    async fn client(self: Arc<Self>, port: u16, client_number: u64, seed: u64) {
        let Some(mut client) = connect(port).await else { return };
        let random = SimRandom::new(seed);
        loop {
            // Always in one order, so that no two transactions wait for each other.
            let (one, other) = (random.below(ACCOUNTS) as i32, random.below(ACCOUNTS) as i32);
            let (first, second, amount) = if one < other { (one, other, 1) } else { (other, one, -1) };
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(mut transaction) = answered(client.transaction().await) else { return };
            let update = "UPDATE accounts SET balance = balance + $1 WHERE id = $2";
            if answered(transaction.execute(update, &[&-amount, &first]).await).is_none()
                || answered(transaction.execute(update, &[&amount, &second]).await).is_none()
                || answered(transaction.execute("INSERT INTO history VALUES ($1)", &[&number]).await)
                    .is_none()
            {
                return;
            }
            if client_number.is_multiple_of(4) {
                // Behind a savepoint: two of them may deadlock, or change a row at once.
                let statement = DISTURBANCE[number as usize % DISTURBANCE.len()];
                let savepoint = transaction.savepoint("disturbance").await;
                let Some(disturbed) = answered(savepoint) else { return };
                let done = disturbed.execute(statement, &[&((number % 1_000_000) as i32)]).await;
                let ended = if done.is_ok() && number % 5 != 0 {
                    disturbed.commit().await
                } else {
                    disturbed.rollback().await
                };
                if answered(ended).is_none() {
                    return;
                }
            }
            if answered(transaction.commit().await).is_none() {
                return;
            }
            self.acknowledged.lock().expect("no client panics").push(number);
        }
    }

    /// What was acknowledged is there, and no transfer is there in half.
    pub async fn verify(&self, client: &Client, round: u64) {
        let sum: i64 =
            client.query_one("SELECT sum(balance) FROM accounts", &[]).await.expect("a sum").get(0);
        assert_eq!(sum, ACCOUNTS as i64 * 100, "a transfer is half there");
        let rows = client.query("SELECT number FROM history", &[]).await.expect("the history");
        let present: HashSet<i64> = rows.iter().map(|row| row.get(0)).collect();
        assert_eq!(present.len(), rows.len(), "a row is there twice");
        let acknowledged = std::mem::take(&mut *self.acknowledged.lock().expect("no client panics"));
        let missing: Vec<i64> = acknowledged.into_iter().filter(|number| !present.contains(number)).collect();
        assert!(missing.is_empty(), "acknowledged and missing: {missing:?}");
        let before = std::mem::take(&mut *self.verified.lock().expect("no client panics"));
        let missing: Vec<i64> = before.difference(&present).copied().collect();
        assert!(missing.is_empty(), "seen after an earlier kill and missing: {missing:?}");
        let mut seen = present;
        if round % ROUNDS_KEPT == ROUNDS_KEPT - 1 {
            client.batch_execute("DELETE FROM history").await.expect("the history goes");
            seen.clear();
        }
        *self.verified.lock().expect("no client panics") = seen;
    }
}
