//! psycopg 3 and psycopg2 against the server: `tests/psycopg/drive.py`.
//!
//! They need a Python with both packages. `.ci/run` makes one under `target/psycopg` and sets `TEST_REQUIRE_PSYCOPG`,
//! with which the test fails where it would else say that it is skipped.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

mod common;

/// The Python that has psycopg, if there is one.
fn python() -> Option<PathBuf> {
    let target = PathBuf::from(env!("CARGO_BIN_EXE_ochre"));
    let virtual_environments = target.ancestors().map(|directory| directory.join("psycopg/bin/python"));
    let candidates = std::env::var_os("TEST_PYTHON")
        .map(PathBuf::from)
        .into_iter()
        .chain(virtual_environments)
        .chain(["python3".into()]);
    candidates.into_iter().find(|python| {
        let imports =
            Command::new(python).args(["-c", "import psycopg, psycopg2"]).stderr(Stdio::null()).status();
        imports.is_ok_and(|status| status.success())
    })
}

/// A server that ends with the test.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn psycopg_drives_the_server() {
    let Some(python) = python() else {
        let required = std::env::var_os("TEST_REQUIRE_PSYCOPG").is_some();
        assert!(!required, "TEST_REQUIRE_PSYCOPG is set, and no Python with psycopg and psycopg2 was found");
        eprintln!(
            "SKIPPED: no Python with psycopg and psycopg2 (pip install 'psycopg[binary]' psycopg2-binary)"
        );
        return;
    };
    let directory = tempfile::tempdir().expect("a directory");
    let mut child = common::ochre()
        .args(["serve", "--listen", "127.0.0.1:0", "--data"])
        .arg(directory.path().join("data"))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the server starts");
    let stderr = BufReader::new(child.stderr.take().expect("its errors are a pipe"));
    let _server = Server(child);
    // "Connect with: psql -h 127.0.0.1 -p 40123 -U postgres"
    let mut lines = stderr.lines().map_while(Result::ok);
    let line = lines.find(|line| line.starts_with("Connect with:")).expect("the server says how to connect");
    let words: Vec<&str> = line.split(' ').collect();
    let after = |option: &str| {
        let at = words.iter().position(|word| *word == option).expect("the option is there");
        words[at + 1]
    };
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/psycopg/drive.py");
    let output = Command::new(python).args([script, after("-h"), after("-p")]).output().expect("Python runs");
    let (printed, failed) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    print!("{printed}");
    assert!(output.status.success(), "{printed}{failed}");
    assert!(printed.lines().count() >= 14, "{printed}");
}
