//! The disk fills up under load: statements that need room fail with 53100, reads go on, and when there is room again
//! everything goes on without a restart. Nothing that was acknowledged is lost.
//!
//! On a file system of 64 MB in memory; where none may be mounted, the test says that it is skipped. The simulated files
//! have the same test in `ochre-torture`.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tokio_postgres::{Client, Error};

use crate::server::{Server, check, connect};

/// A file system that goes with the value.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> Option<SmallDisk> {
        let directory = tempfile::tempdir().expect("a directory");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=64m", "tmpfs"]).arg(directory.path());
        let mounted = mount.stdout(Stdio::null()).stderr(Stdio::null()).status();
        mounted.is_ok_and(|status| status.success()).then(|| SmallDisk(directory))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Takes all room that is left.
    fn fill(&self) -> PathBuf {
        let path = self.path().join("filler");
        let mut file = std::fs::File::create(&path).expect("a file");
        for size in [1 << 20, 4096] {
            while file.write_all(&vec![1; size]).is_ok() {}
        }
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: the server may not be gone yet.
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}

fn code(error: &Error) -> &str {
    error.code().unwrap_or_else(|| panic!("the server is gone: {error:?}")).code()
}

/// Inserts rows that take some room until a statement fails, or so many are there; how it ended.
async fn insert(client: &Client, acknowledged: &mut Vec<i64>, count: usize) -> Result<(), Error> {
    for _ in 0..count {
        let next = acknowledged.last().map_or(1, |last| last + 1);
        let row = "INSERT INTO filled SELECT $1::bigint, string_agg(md5((g + $1::bigint)::text), '') FROM generate_series(1, 150) AS g";
        client.execute(row, &[&next]).await?;
        acknowledged.push(next);
    }
    Ok(())
}

async fn present(client: &Client) -> Vec<i64> {
    let rows = client.query("SELECT i FROM filled ORDER BY i", &[]).await.expect("reads go on");
    rows.iter().map(|row| row.get(0)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_survived() {
    let Some(disk) = SmallDisk::mount() else {
        eprintln!("SKIPPED: no file system may be mounted here");
        return;
    };
    let data = disk.path().join("data");
    let settings = ["-c", "shared_buffers=2MB", "-c", "max_wal_size=16MB"];
    let mut server = Server::start(&data, &settings);
    let client = connect(server.port()).await.expect("the server answers");
    client.batch_execute("CREATE TABLE filled (i bigint PRIMARY KEY, t text)").await.expect("a table");
    let mut acknowledged = Vec::new();
    insert(&client, &mut acknowledged, 200).await.expect("there is room");
    for _ in 0..3 {
        let filler = disk.fill();
        // The log and the files have some room of their own.
        let error = insert(&client, &mut acknowledged, 100_000).await.expect_err("the disk is full");
        assert_eq!(code(&error), "53100", "{error:?}");
        assert_eq!(present(&client).await, acknowledged);
        let sort =
            "SET work_mem = '64kB'; SELECT * FROM filled AS a, generate_series(1, 20) AS g ORDER BY t, g";
        let spilled = client.batch_execute(sort).await.expect_err("no room for temporary files");
        assert_eq!(code(&spilled), "53100", "{spilled:?}");
        let error = insert(&client, &mut acknowledged, 100_000).await.expect_err("the disk is still full");
        assert_eq!(code(&error), "53100", "{error:?}");
        std::fs::remove_file(filler).expect("room again");
        insert(&client, &mut acknowledged, 200).await.expect("there is room again");
        client.batch_execute("CHECKPOINT").await.expect("a checkpoint");
        client.execute("DELETE FROM filled WHERE i % 3 = 0", &[]).await.expect("rows go");
        acknowledged.retain(|i| i % 3 != 0);
        client.batch_execute("VACUUM filled").await.expect("their room is found");
    }
    server.kill();
    let mut server = Server::start(&data, &settings);
    let client = connect(server.port()).await.expect("the server recovers");
    assert_eq!(present(&client).await, acknowledged);
    server.kill();
    check(&data);
}
