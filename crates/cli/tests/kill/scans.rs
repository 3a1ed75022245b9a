//! Tables are scanned again and again while little is changed in them, so that scans are answered from kept columns: each
//! scan must see the sum that every transaction leaves as it was.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ochre_env::sim::SimRandom;
use tokio::task::JoinHandle;
use tokio_postgres::Client;

use crate::server::{answered, connect};

const READERS: u64 = 2;
const ROWS: u64 = 2000;
const TABLES: [&str; 2] = ["whole", "parted"];
/// Scans between two changes: the third of them finds columns.
const SCANS_BETWEEN: u64 = 6;

/// The load, and how much of it there was.
#[derive(Default)]
pub struct Scans {
    scans: AtomicU64,
}

impl Scans {
    /// Makes the tables.
    pub async fn prepare(&self, client: &Client) {
        let rows = format!(
            "SELECT i, 100, NULL, row(i, 'p' || i % 9)::place, repeat('f', 100) FROM generate_series(1, {ROWS}) AS i"
        );
        let columns = "(id int PRIMARY KEY, n int, note text, at place, filler text)";
        client
            .batch_execute(&format!(
                "CREATE TYPE place AS (x int, y text);
                 CREATE TABLE whole {columns};
                 CREATE TABLE parted {columns} PARTITION BY RANGE (id);
                 CREATE TABLE parted_low PARTITION OF parted FOR VALUES FROM (0) TO (1000);
                 CREATE TABLE parted_high PARTITION OF parted DEFAULT;
                 INSERT INTO whole {rows}; INSERT INTO parted {rows}"
            ))
            .await
            .expect("the tables are made");
    }

    /// Clients that work until the server is gone.
    pub fn start(self: &Arc<Self>, port: u16, round: u64) -> Vec<JoinHandle<()>> {
        let mut clients = vec![tokio::spawn(Arc::clone(self).writer(port, round))];
        clients.extend((0..READERS).map(|_| tokio::spawn(Arc::clone(self).reader(port))));
        clients
    }

    async fn reader(self: Arc<Self>, port: u16) {
        let Some(client) = connect(port).await else { return };
        loop {
            for table in TABLES {
                let Some(sums) = answered(sums(&client, table).await) else { return };
                assert_eq!(sums, expected(), "a scan of {table}");
                self.scans.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Moves numbers from row to row, and keys from partition to partition.
    async fn writer(self: Arc<Self>, port: u16, round: u64) {
        let Some(client) = connect(port).await else { return };
        let random = SimRandom::new(round);
        let mut rested = 0;
        loop {
            let table = TABLES[random.below(2) as usize];
            let (one, other) = (1 + random.below(ROWS), 1 + random.below(ROWS));
            let end = if random.below(4) == 0 { "ROLLBACK" } else { "COMMIT" };
            let change = match random.below(3) {
                0 => format!(
                    "UPDATE {table} SET n = n - 1 WHERE id = {one}; UPDATE {table} SET n = n + 1 WHERE id = {other}"
                ),
                1 => format!(
                    "UPDATE {table} SET id = -1 WHERE id = {one}; UPDATE {table} SET note = 'moved', at.x = {one} WHERE id = -1;
                     UPDATE {table} SET id = {one} WHERE id = -1"
                ),
                _ => format!(
                    "DELETE FROM {table} WHERE id = {one};
                     INSERT INTO {table} SELECT {one}, {ROWS} * 100 - sum(n), 'new', row({one}, 'new')::place, repeat('f', 100) FROM {table}"
                ),
            };
            // Everything between BEGIN and the end is one message: no scan waits for it.
            let changed = client.batch_execute(&format!("BEGIN; {change}; {end}")).await;
            if answered(changed).is_none()
                || answered(client.batch_execute(&format!("VACUUM {table}")).await).is_none()
            {
                return;
            }
            rested += SCANS_BETWEEN;
            while self.scans.load(Ordering::Relaxed) < rested {
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
                if client.is_closed() {
                    return;
                }
            }
            rested = self.scans.load(Ordering::Relaxed);
        }
    }

    /// What scans see after the restart, from pages and from columns.
    pub async fn verify(&self, client: &Client) {
        for table in TABLES {
            client.batch_execute(&format!("VACUUM {table}")).await.expect("VACUUM");
            for _ in 0..4 {
                let seen = sums(client, table).await.expect("a scan");
                assert_eq!(seen, expected(), "a scan of {table}");
            }
        }
    }
}

async fn sums(client: &Client, table: &str) -> Result<Vec<i64>, tokio_postgres::Error> {
    let sql = format!(
        "SELECT count(*), sum(n), sum(id), count(at), sum((at).x) FROM {table} WHERE filler LIKE 'f%'"
    );
    let row = client.query_one(&sql, &[]).await?;
    Ok((0..5).map(|at| row.get(at)).collect())
}

fn expected() -> Vec<i64> {
    let (rows, ids) = (ROWS as i64, (ROWS * (ROWS + 1) / 2) as i64);
    vec![rows, rows * 100, ids, rows, ids]
}
