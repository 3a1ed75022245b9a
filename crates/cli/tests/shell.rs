//! The shell, on a directory and on a server: the same scripts must give the same answers.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Output, Stdio};
use std::time::{Duration, Instant};

mod common;

/// A server that ends with the test.
struct Server {
    child: Child,
    port: u16,
    _directory: tempfile::TempDir,
    sockets: tempfile::TempDir,
}

impl Server {
    fn start() -> Server {
        let directory = tempfile::tempdir().expect("a directory");
        let sockets = tempfile::tempdir().expect("a directory");
        let port = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
        let child = common::ochre()
            .args(["serve", "--listen", &format!("127.0.0.1:{port}")])
            .args([
                Path::new("--data"),
                &directory.path().join("data"),
                Path::new("--socket-dir"),
                sockets.path(),
            ])
            .stderr(Stdio::null())
            .spawn()
            .expect("the server starts");
        let started = Instant::now();
        // It listens on its socket after it does so on the port.
        let socket = sockets.path().join(format!(".s.PGSQL.{port}"));
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err()
            || std::os::unix::net::UnixStream::connect(&socket).is_err()
        {
            assert!(started.elapsed() < Duration::from_secs(60), "the server listens");
            std::thread::sleep(Duration::from_millis(10));
        }
        Server { child, port, _directory: directory, sockets }
    }

    fn url(&self) -> String {
        format!("postgres://127.0.0.1:{}/postgres", self.port)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a script.
fn script(target: &str, text: &str) -> Output {
    let mut child = common::ochre()
        .args(["shell", target])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the shell runs");
    let mut stdin = child.stdin.take().expect("its input is a pipe");
    // A script that ends early leaves the rest unread.
    let _ = stdin.write_all(text.as_bytes());
    drop(stdin);
    child.wait_with_output().expect("the shell ends")
}

/// What a script prints on both clients: standard output, standard error, exit status.
fn on_both(text: &str) -> (String, String, Option<i32>) {
    let directory = tempfile::tempdir().expect("a directory");
    let server = Server::start();
    let own = script(&directory.path().join("data").display().to_string(), text);
    let remote = script(&server.url(), text);
    let read = |output: &Output| {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("output is UTF-8");
        (text(&output.stdout), text(&output.stderr), output.status.code())
    };
    assert_eq!(read(&own), read(&remote));
    read(&own)
}

const EMPLOYEES: &str = "CREATE TABLE employees (id INTEGER PRIMARY KEY, name VARCHAR(100) NOT NULL, department VARCHAR(50), salary INTEGER, active BOOLEAN DEFAULT true);
INSERT INTO employees VALUES (1,'Alice Johnson','Engineering',95000,true),(2,'Bob Smith','Sales',65000,true),(3,'Charlie Brown','Engineering',85000,false);
";

#[test]
fn results_tags_and_descriptions() {
    let text = format!(
        "{EMPLOYEES}SELECT name, salary FROM employees WHERE department = 'Engineering' AND active ORDER BY salary DESC;
\\d employees
\\dt
\\di emp*
\\x
SELECT id, name FROM employees
  WHERE id < 3 -- two; lines
  ORDER BY id;
\\x off
UPDATE employees SET salary = NULL WHERE id = 3 RETURNING id, salary;
-- nothing
BEGIN; DELETE FROM employees; ROLLBACK;
SELECT count(*) FROM employees; SHOW work_mem;
COPY employees (id, name) FROM STDIN;
4\tDora
5\tEmil; not an end
\\.
COPY (SELECT id, name FROM employees WHERE id > 3 ORDER BY id) TO STDOUT;
CREATE TABLE IF NOT EXISTS employees (id int);
\\dn
\\conninfo
\\echo done
\\timing on
\\timing
"
    );
    let (printed, errors, status) = on_both(&text);
    let golden = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/shell.txt"));
    assert_eq!(printed, golden.expect("the golden file is there"));
    assert_eq!(errors, "NOTICE:  relation \"employees\" already exists, skipping\n");
    assert_eq!(status, Some(0));
}

#[test]
fn the_first_error_ends_a_script() {
    let (printed, errors, status) =
        on_both("SELECT 1 AS a;\nSELECT 'ä' AS a,\n  nothing FROM pg_class;\nSELECT 2;\n");
    assert_eq!(printed, "┌───┐\n│ a │\n├───┤\n│ 1 │\n└───┘\n(1 row)\n");
    assert_eq!(
        errors,
        "ERROR:  column \"nothing\" does not exist\nLINE 2:   nothing FROM pg_class;\n          ^\n"
    );
    assert_eq!(status, Some(3));
    let (_, errors, status) = on_both(&format!("{EMPLOYEES}INSERT INTO employees VALUES (1, 'x');"));
    assert_eq!(
        errors,
        "ERROR:  duplicate key value violates unique constraint \"employees_pkey\"\nDETAIL:  Key (id)=(1) already exists.\n"
    );
    assert_eq!(status, Some(3));
    let (_, errors, status) = on_both("\\nonsense\n");
    assert_eq!((errors.as_str(), status), ("invalid command \\nonsense\nTry \\? for help.\n", Some(3)));
    let (_, errors, status) = on_both("\\d nowhere\n");
    assert!(errors.starts_with("ERROR:  relation \"nowhere\" does not exist\n"), "{errors}");
    assert_eq!(status, Some(3));
    let (printed, _, status) =
        on_both("CREATE TABLE c (a int);\nCOPY c FROM STDIN;\n1\nx\nSELECT 'data';\n\\.\nSELECT 'never';\n");
    assert_eq!((printed.as_str(), status), ("CREATE TABLE\n", Some(3)));
}

#[test]
fn scripts_run_scripts_and_databases_are_switched() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("more.sql");
    std::fs::write(&file, "CREATE DATABASE other;\n\\c other\nCREATE TABLE here (a int);\n").expect("a file");
    let (printed, errors, status) = on_both(&format!(
        "\\i {}\nSELECT current_database();\n\\dt\n\\c postgres\n\\dt\n\\c nowhere\n",
        file.display()
    ));
    assert!(printed.contains("You are now connected to database \"other\"."), "{printed}");
    assert!(printed.contains("│ other"), "{printed}");
    assert!(printed.ends_with("(0 rows)\n"), "{printed}");
    assert_eq!((errors.as_str(), status), ("FATAL:  database \"nowhere\" does not exist\n", Some(3)));
}

#[test]
fn servers_are_reached_by_socket_and_refusals_are_told() {
    let server = Server::start();
    let url = format!("postgresql:///postgres?host={}&port={}", server.sockets.path().display(), server.port);
    let one =
        common::ochre().args(["shell", &url, "-c", "SELECT 1 AS one"]).output().expect("the shell runs");
    assert_eq!(String::from_utf8_lossy(&one.stderr), "");
    assert!(String::from_utf8_lossy(&one.stdout).contains("│   1 │"));
    let unknown = server.url().replace("/postgres", "/nowhere");
    let refused = script(&unknown, "SELECT 1;");
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&refused.stderr).contains("database \"nowhere\" does not exist"),
        "{refused:?}"
    );
    let port = server.port;
    drop(server);
    let nobody = script(&format!("postgres://127.0.0.1:{port}/"), "SELECT 1;");
    assert_eq!(nobody.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&nobody.stderr).contains("Is the server running there"), "{nobody:?}");
}

#[test]
fn a_server_that_goes_is_noticed() {
    let server = Server::start();
    let mut shell = common::ochre()
        .args(["shell", &server.url()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the shell runs");
    let mut stdin = shell.stdin.take().expect("its input is a pipe");
    stdin.write_all(b"\\echo ready\n").expect("it reads");
    let mut stdout = shell.stdout.take().expect("its output is a pipe");
    let mut ready = [0; 6];
    stdout.read_exact(&mut ready).expect("it answers");
    drop(server);
    stdin.write_all(b"SELECT 1;\nSELECT 2;\n").expect("it reads");
    drop(stdin);
    let output = shell.wait_with_output().expect("it ends");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.starts_with("FATAL:  ") && errors.lines().count() == 1, "{errors}");
    assert_eq!(output.status.code(), Some(2));
}
