//! Transactions are prepared and ended: what was prepared is prepared still, what was ended is ended, and nothing is half
//! there.

use std::collections::HashSet;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use tokio::task::JoinHandle;
use tokio_postgres::Client;

use crate::server::{answered, connect};

const CLIENTS: u64 = 3;
/// So many stay prepared.
const PREPARED_KEPT: usize = 12;
/// So many rounds' rows are kept.
const ROUNDS_KEPT: u64 = 15;

/// The load, and what its clients were told.
#[derive(Default)]
pub struct Prepared {
    next: AtomicI64,
    told: Mutex<Told>,
}

/// What clients were told of their transactions, by their numbers.
#[derive(Default)]
struct Told {
    prepared: HashSet<i64>,
    committed: HashSet<i64>,
    aborted: HashSet<i64>,
    /// An end was asked for and not answered.
    unsure: HashSet<i64>,
}

/// Whether a transaction makes a table, too.
fn makes_table(number: i64) -> bool {
    number % 10 == 0
}

impl Prepared {
    /// Makes the tables.
    pub async fn prepare(&self, client: &Client) {
        client
            .batch_execute("CREATE TABLE a (n bigint PRIMARY KEY); CREATE TABLE b (n bigint PRIMARY KEY)")
            .await
            .expect("the tables are made");
    }

    /// Clients that work until the server is gone.
    pub fn start(self: &Arc<Self>, port: u16) -> Vec<JoinHandle<()>> {
        (0..CLIENTS).map(|_| tokio::spawn(Arc::clone(self).client(port))).collect()
    }

    /// How many transactions were prepared and committed.
    pub fn acknowledged(&self) -> usize {
        self.told(|told| told.committed.len())
    }

    fn told<T>(&self, with: impl FnOnce(&mut Told) -> T) -> T {
        with(&mut self.told.lock().expect("no client panics"))
    }

    /// Transactions of two rows each, and the end of most of them.
    async fn client(self: Arc<Self>, port: u16) {
        let Some(client) = connect(port).await else { return };
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let begin = if number % 2 == 0 { "BEGIN" } else { "BEGIN ISOLATION LEVEL SERIALIZABLE" };
            let table = if makes_table(number) {
                format!("CREATE TABLE two_phase_{number} (n int PRIMARY KEY);")
            } else {
                String::new()
            };
            let work =
                format!("{begin}; {table} INSERT INTO a VALUES ({number}); INSERT INTO b VALUES ({number})");
            if answered(client.batch_execute(&work).await).is_none() {
                return;
            }
            self.told(|told| told.unsure.insert(number));
            let prepared = client.batch_execute(&format!("PREPARE TRANSACTION 'x{number}'")).await;
            if answered(prepared).is_none() {
                return;
            }
            let stays = self.told(|told| {
                told.unsure.remove(&number);
                told.prepared.insert(number);
                number % 5 == 0 && told.prepared.len() < PREPARED_KEPT
            });
            if !stays && !self.end(&client, number, number % 5 != 1).await {
                return;
            }
        }
    }

    /// Ends a prepared transaction; false when there is no answer.
    async fn end(&self, client: &Client, number: i64, commit: bool) -> bool {
        self.told(|told| told.unsure.insert(number));
        let end = if commit { "COMMIT" } else { "ROLLBACK" };
        if answered(client.batch_execute(&format!("{end} PREPARED 'x{number}'")).await).is_none() {
            return false;
        }
        self.told(|told| {
            told.unsure.remove(&number);
            told.prepared.remove(&number);
            if commit { told.committed.insert(number) } else { told.aborted.insert(number) }
        });
        true
    }

    /// Compares what is there with what clients were told, and ends some of what is prepared.
    pub async fn verify(&self, client: &Client, round: u64) {
        let listed = "SELECT substr(gid, 2)::bigint FROM pg_prepared_xacts";
        let prepared = numbers(client, listed).await;
        let rows = numbers(client, "SELECT n FROM a").await;
        assert_eq!(rows, numbers(client, "SELECT n FROM b").await, "half a transaction");
        let listed =
            "SELECT substr(tablename, 11)::bigint FROM pg_tables WHERE tablename LIKE 'two\\_phase\\_%'";
        let tables = numbers(client, listed).await;
        let expected: HashSet<i64> = rows.iter().copied().filter(|number| makes_table(*number)).collect();
        assert_eq!(tables, expected, "half a transaction");
        self.told(|told| told.compare(&prepared, &rows));
        // The keys of what is prepared are taken still, and its end works.
        let mut kept = 0;
        for number in prepared {
            client.batch_execute("SET lock_timeout = '1ms'").await.expect("a setting");
            let error = client.execute(&format!("INSERT INTO a VALUES ({number})"), &[]).await.unwrap_err();
            assert_eq!(error.code().map(|code| code.code()), Some("55P03"));
            client.batch_execute("RESET lock_timeout").await.expect("a setting");
            kept += 1;
            if kept > PREPARED_KEPT / 2 {
                assert!(self.end(client, number, number % 4 != 1).await, "{number} ends");
            }
        }
        if round % ROUNDS_KEPT == ROUNDS_KEPT - 1 {
            let rows = self.told(|told| std::mem::take(&mut told.committed));
            for number in rows.into_iter().filter(|number| makes_table(*number)) {
                let drop = format!("DROP TABLE two_phase_{number}");
                client.batch_execute(&drop).await.expect("a table goes");
            }
            client.batch_execute("DELETE FROM a; DELETE FROM b").await.expect("rows go");
        }
    }
}

impl Told {
    fn compare(&mut self, prepared: &HashSet<i64>, rows: &HashSet<i64>) {
        let lost = |expected: &HashSet<i64>, found: &HashSet<i64>| -> Vec<i64> {
            expected.difference(found).copied().collect()
        };
        let sure: HashSet<i64> = self.prepared.difference(&self.unsure).copied().collect();
        assert_eq!(lost(&sure, prepared), [], "prepared and forgotten");
        assert_eq!(lost(&self.committed, rows), [], "committed and lost");
        assert!(self.aborted.is_disjoint(rows), "rolled back and there");
        assert!(self.aborted.is_disjoint(prepared), "rolled back and prepared");
        assert!(self.committed.is_disjoint(prepared), "committed and prepared");
        assert!(prepared.is_disjoint(rows), "prepared and seen");
        // What nobody knew of is known now.
        for number in std::mem::take(&mut self.unsure) {
            self.prepared.remove(&number);
            match (prepared.contains(&number), rows.contains(&number)) {
                (true, _) => self.prepared.insert(number),
                (_, true) => self.committed.insert(number),
                _ => self.aborted.insert(number),
            };
        }
    }
}

async fn numbers(client: &Client, query: &str) -> HashSet<i64> {
    client.query(query, &[]).await.expect(query).iter().map(|row| row.get(0)).collect()
}
