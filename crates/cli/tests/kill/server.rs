//! A server that is killed and started again.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStderr, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio_postgres::{Client, Error, NoTls};

use crate::common;

/// Long enough for any machine; a server that has not answered by then hangs.
const PATIENCE: Duration = Duration::from_secs(300);
/// How many of a server's last lines a failure shows.
const LINES_KEPT: usize = 30;

/// A process that serves a directory; it is killed when this goes.
pub struct Server {
    child: Child,
    port: Option<u16>,
    port_told: Receiver<u16>,
    last_lines: Arc<Mutex<VecDeque<String>>>,
}

impl Server {
    /// Starts a server; it may still have to recover.
    pub fn start(data: &Path, settings: &[&str]) -> Server {
        let mut child = common::ochre()
            .args(["serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(data)
            .args(settings)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let stderr = child.stderr.take().expect("its errors are a pipe");
        let (tell, port_told) = channel();
        let last_lines = Arc::new(Mutex::new(VecDeque::new()));
        let lines = Arc::clone(&last_lines);
        std::thread::spawn(move || {
            // Whoever started the server may not ask.
            read_lines(stderr, &lines, |port| tell.send(port).unwrap_or_default());
        });
        Server { child, port: None, port_told, last_lines }
    }

    /// The port on which it listens, once it has recovered.
    pub fn port(&mut self) -> u16 {
        if self.port.is_none() {
            let told = self.port_told.recv_timeout(PATIENCE);
            self.port = Some(told.unwrap_or_else(|_| panic!("the server does not serve:\n{}", self.said())));
        }
        self.port.expect("it was told just now")
    }

    /// SIGKILL: the process writes nothing more.
    pub fn kill(&mut self) {
        if let Some(status) = self.child.try_wait().expect("a child is waited for") {
            panic!("the server has ended by itself, {status}:\n{}", self.said());
        }
        self.child.kill().expect("it runs");
        self.child.wait().expect("it is gone");
    }

    fn said(&self) -> String {
        Vec::from(self.last_lines.lock().expect("no reader panics").clone()).join("\n")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Keeps the last lines, and tells the port of `Connect with: psql -h 127.0.0.1 -p 40123 -U postgres`.
fn read_lines(stderr: ChildStderr, kept: &Mutex<VecDeque<String>>, tell: impl Fn(u16)) {
    let mut stderr = BufReader::new(stderr);
    let mut line = String::new();
    while stderr.read_line(&mut line).is_ok_and(|count| count > 0) {
        let mut words = line.split_whitespace();
        if line.starts_with("Connect with:")
            && words.any(|word| word == "-p")
            && let Some(port) = words.next().and_then(|word| word.parse().ok())
        {
            tell(port);
        }
        let mut kept = kept.lock().expect("no reader panics");
        if kept.len() == LINES_KEPT {
            kept.pop_front();
        }
        kept.push_back(line.trim_end().to_string());
        line.clear();
    }
    // Not UTF-8: whatever it is, the pipe must not fill up.
    let _ = stderr.read_to_end(&mut Vec::new());
}

/// A session, unless the server is gone.
pub async fn connect(port: u16) -> Option<Client> {
    let config = format!("host=127.0.0.1 port={port} user=postgres dbname=postgres");
    let (client, connection) = tokio_postgres::connect(&config, NoTls).await.ok()?;
    tokio::spawn(connection);
    Some(client)
}

/// What the server answered; nothing when it is gone.
///
/// # Panics
/// When it answered with an error.
pub fn answered<T>(result: Result<T, Error>) -> Option<T> {
    match result {
        Ok(answer) => Some(answer),
        Err(error) if error.as_db_error().is_some() => panic!("the server refuses: {error:?}"),
        Err(_) => None,
    }
}

/// Recovers the directory, which no server has open, and checks all of it.
pub fn check(data: &Path) {
    let output = common::ochre().arg("check").arg(data).output().expect("the check runs");
    let (found, failed) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{found}{failed}");
}
