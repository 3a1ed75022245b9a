//! Tables are made, changed and dropped.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tokio::task::JoinHandle;
use tokio_postgres::Client;

use crate::server::{answered, connect};

const CLIENTS: u64 = 2;
/// Rows of each table.
const ROWS: i64 = 300;

/// The load, and what its clients were told.
#[derive(Default)]
pub struct Definitions {
    next: AtomicU64,
    /// Tables whose making was answered, and that nobody has tried to drop.
    kept: Mutex<HashSet<u64>>,
    /// Tables whose dropping was answered, or that were rolled back on purpose.
    gone: Mutex<HashSet<u64>>,
}

impl Definitions {
    /// Clients that work until the server is gone.
    pub fn start(self: &Arc<Self>, port: u16) -> Vec<JoinHandle<()>> {
        (0..CLIENTS).map(|_| tokio::spawn(Arc::clone(self).client(port))).collect()
    }

    async fn client(self: Arc<Self>, port: u16) {
        let Some(client) = connect(port).await else { return };
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let stays = !number.is_multiple_of(4);
            if !stays {
                self.gone.lock().expect("no client panics").insert(number);
            }
            let end = if stays { "COMMIT" } else { "ROLLBACK" };
            let made = client
                .batch_execute(&format!(
                    "BEGIN;
                     CREATE TABLE made_{number} (id int, v text);
                     INSERT INTO made_{number} SELECT i, repeat('v', i) FROM generate_series(1, {ROWS}) AS i;
                     CREATE UNIQUE INDEX ON made_{number} (id);
                     {end}"
                ))
                .await;
            if answered(made).is_none() {
                return;
            }
            if !stays {
                continue;
            }
            self.kept.lock().expect("no client panics").insert(number);
            for change in changes(number) {
                if answered(client.batch_execute(&change).await).is_none() {
                    return;
                }
            }
            if !number.is_multiple_of(3) {
                self.kept.lock().expect("no client panics").remove(&number);
                let dropped = client.batch_execute(&format!("DROP TABLE made_{number}")).await;
                if answered(dropped).is_none() {
                    return;
                }
                self.gone.lock().expect("no client panics").insert(number);
            }
        }
    }

    /// What was acknowledged is there, what was dropped is not, and whatever is there is whole. Drops all of it.
    pub async fn verify(&self, client: &Client) {
        let listed = "SELECT substr(tablename, 6)::bigint FROM pg_tables WHERE tablename LIKE 'made\\_%'";
        let rows = client.query(listed, &[]).await.expect("the tables");
        let present: HashSet<u64> = rows.iter().map(|row| row.get::<_, i64>(0) as u64).collect();
        let kept = std::mem::take(&mut *self.kept.lock().expect("no client panics"));
        let missing: Vec<&u64> = kept.difference(&present).collect();
        assert!(missing.is_empty(), "made and missing: {missing:?}");
        let gone = std::mem::take(&mut *self.gone.lock().expect("no client panics"));
        let back: Vec<&u64> = gone.intersection(&present).collect();
        assert!(back.is_empty(), "dropped and there: {back:?}");
        // A role has its privilege from the beginning to the end.
        let roles = "SELECT substr(rolname, 6)::bigint, coalesce(has_table_privilege(rolname,
            to_regclass('made_' || substr(rolname, 6)), 'SELECT'), true) FROM pg_roles WHERE rolname LIKE 'role\\_%'";
        let roles = client.query(roles, &[]).await.expect("the roles");
        let without: Vec<i64> =
            roles.iter().filter(|row| !row.get::<_, bool>(1)).map(|row| row.get(0)).collect();
        assert!(without.is_empty(), "roles without their privilege: {without:?}");
        for number in present {
            let counted = client.query_one(&format!("SELECT count(*) FROM made_{number}"), &[]).await;
            let count: i64 = counted.unwrap_or_else(|error| panic!("made_{number}: {error:?}")).get(0);
            assert_eq!(count, ROWS, "rows of made_{number}");
            let dropped = client.batch_execute(&format!("DROP TABLE made_{number}")).await;
            dropped.unwrap_or_else(|error| panic!("made_{number}: {error:?}"));
            self.gone.lock().expect("no client panics").insert(number);
        }
        for role in roles {
            let dropped = client.batch_execute(&format!("DROP ROLE role_{}", role.get::<_, i64>(0))).await;
            dropped.unwrap_or_else(|error| panic!("{role:?}: {error:?}"));
        }
    }
}

/// Statements that leave the table's rows what they are, by its number.
fn changes(number: u64) -> Vec<String> {
    match number % 10 {
        0 => vec![format!("ALTER TABLE made_{number} ADD COLUMN more int DEFAULT {number}")],
        1 => vec![format!("BEGIN; TRUNCATE made_{number}; INSERT INTO made_{number} VALUES (1); ROLLBACK")],
        2 => vec![format!(
            "CREATE INDEX ON made_{number} (v, id); UPDATE made_{number} SET id = -id WHERE id % 7 = 0"
        )],
        3 => vec![format!("ALTER TABLE made_{number} ALTER COLUMN id TYPE bigint")],
        4 => vec![format!("BEGIN; DROP TABLE made_{number}; ROLLBACK")],
        5 => vec![
            format!("ALTER TABLE made_{number} DROP COLUMN v; UPDATE made_{number} SET id = id + 1000"),
            format!("VACUUM FULL made_{number}"),
        ],
        6 => vec![format!("CREATE INDEX ON made_{number} USING gin (string_to_array(v, NULL))")],
        7 => vec![
            format!(
                "BEGIN; CREATE ROLE role_{number}; GRANT SELECT ON made_{number} TO role_{number}; COMMIT"
            ),
            format!(
                "BEGIN; REVOKE SELECT ON made_{number} FROM role_{number}; DROP ROLE role_{number}; COMMIT"
            ),
        ],
        8 => vec![format!(
            "BEGIN; ALTER TABLE made_{number} RENAME TO part_{number};
             CREATE TABLE made_{number} (id int, v text) PARTITION BY LIST (id);
             ALTER TABLE made_{number} ATTACH PARTITION part_{number} DEFAULT; COMMIT"
        )],
        _ => vec![format!("CREATE INDEX CONCURRENTLY ON made_{number} (length(v))")],
    }
}
