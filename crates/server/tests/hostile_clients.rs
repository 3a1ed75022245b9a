//! Clients that mean no good: broken messages in every state of the protocol, slow and silent ones, ones that never read.
//!
//! The random messages of two hundred clients come from a fixed seed; `OCHRE_FUZZ_SECONDS` and `OCHRE_FUZZ_SEED` say otherwise.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ochre_engine::settings::{Settings, Source};
use ochre_engine::{Instance, InstanceConfig};
use ochre_env::Env;
use ochre_fuzzing::{Campaign, Random};
use ochre_server::{RunningServer, Server, ServerConfig};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, NoTls};

/// A server over files in memory, on a port of its own.
struct Fixture {
    server: Option<RunningServer>,
    port: u16,
}

impl Fixture {
    fn start(max_connections: usize, set: &[(&str, &str)]) -> Fixture {
        let config = ServerConfig {
            listen: vec!["127.0.0.1:0".parse().unwrap()],
            shutdown_grace: Duration::from_millis(100),
            max_connections,
            ..ServerConfig::default()
        };
        let server = Server::bind(config).unwrap();
        let port = server.addresses()[0].port();
        let mut settings = Settings::new();
        for (name, value) in set {
            settings.configure(name, value, Source::Configuration).unwrap();
        }
        let instance = Instance::open(
            Env::in_memory().with_waiting(ochre_server::waiting()),
            "/data".as_ref(),
            InstanceConfig {
                max_sessions: max_connections,
                settings,
                background: true,
                ..InstanceConfig::default()
            },
        )
        .unwrap();
        Fixture { server: Some(server.start(instance).unwrap()), port }
    }

    fn socket(&self) -> TcpStream {
        let socket = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        socket.set_write_timeout(Some(Duration::from_secs(20))).unwrap();
        socket
    }

    async fn connect(&self) -> Client {
        let config = format!("host=127.0.0.1 port={} user=postgres dbname=postgres", self.port);
        let (client, connection) = tokio_postgres::connect(&config, NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        self.server.take().unwrap().stop().unwrap();
    }
}

/// Runs a test against a server of its own.
fn with_server<F: Future<Output = ()>>(
    max_connections: usize,
    set: &[(&str, &str)],
    test: impl FnOnce(Arc<Fixture>) -> F,
) {
    let fixture = Arc::new(Fixture::start(max_connections, set));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let seconds: u64 = std::env::var("OCHRE_FUZZ_SECONDS").ok().and_then(|s| s.parse().ok()).unwrap_or(0);
    let limit = Duration::from_secs(90 + seconds);
    runtime
        .block_on(async { tokio::time::timeout(limit, test(Arc::clone(&fixture))).await })
        .expect("in time");
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind];
    bytes.extend_from_slice(&(body.len() as u32 + 4).to_be_bytes());
    bytes.extend_from_slice(body);
    bytes
}

fn startup() -> Vec<u8> {
    let body = b"\0\x03\0\0user\0postgres\0database\0postgres\0\0";
    let mut bytes = (body.len() as u32 + 4).to_be_bytes().to_vec();
    bytes.extend_from_slice(body);
    bytes
}

fn query(text: &str) -> Vec<u8> {
    message(b'Q', format!("{text}\0").as_bytes())
}

/// Reads until the server closes the connection; what it sent.
fn read_to_end(socket: &mut TcpStream) -> Vec<u8> {
    let mut answer = Vec::new();
    match socket.read_to_end(&mut answer) {
        Ok(_) => {}
        // Closed with bytes of ours unread.
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
        Err(error) => panic!("the server neither answers nor ends: {error}"),
    }
    answer
}

/// Reads until `mark` has come.
fn read_until(socket: &mut TcpStream, mark: &[u8]) -> Vec<u8> {
    let (mut answer, mut piece) = (Vec::new(), [0; 4096]);
    while !answer.windows(mark.len()).any(|part| part == mark) {
        let count = socket.read(&mut piece).expect("an answer");
        assert!(count > 0, "closed after {:?}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(&piece[..count]);
    }
    answer
}

/// ReadyForQuery outside a transaction.
const READY: &[u8] = b"Z\0\0\0\x05I";

fn start_session(fixture: &Fixture) -> TcpStream {
    let mut socket = fixture.socket();
    socket.write_all(&startup()).unwrap();
    read_until(&mut socket, READY);
    socket
}

/// What clients send, in no order that makes sense.
fn any_message(random: &mut Random) -> Vec<u8> {
    const QUERIES: [&str; 14] = [
        "select 1",
        "begin",
        "commit",
        "rollback",
        "select 1/0",
        "",
        "insert into f values (1); select 1/0; select 2",
        "copy f from stdin",
        "copy f to stdout",
        "select * from generate_series(1, 3000)",
        "declare c cursor for select 1",
        "prepare s as select $1::int",
        "listen x; notify x, 'y'",
        "lock table f",
    ];
    match random.below(16) {
        0..4 => query(QUERIES[random.below(QUERIES.len())]),
        4 | 5 => {
            let names = ["", "s", "other"];
            let name = names[random.below(names.len())];
            let text =
                ["select $1::int, $2::text", "copy f from stdin", "", "insert into f values ($1)", "begin"];
            let mut body = format!("{name}\0{}\0", text[random.below(text.len())]).into_bytes();
            body.extend_from_slice(&[0, 1, 0, 0, 0, 23]);
            message(b'P', &body)
        }
        6 | 7 => {
            let mut body = b"p\0s\0".to_vec();
            if random.below(2) == 0 {
                body = b"\0\0".to_vec();
            }
            let count = random.below(4) as u8;
            body.extend_from_slice(&[0, 1, 0, random.below(3) as u8, 0, count]);
            for _ in 0..count {
                body.extend_from_slice(&[0, 0, 0, 4, 0, 0, 0, b'7']);
            }
            body.extend_from_slice(&[0, 1, 0, random.below(2) as u8]);
            message(b'B', &body)
        }
        8 => message(b'D', [&b"Ss\0"[..], b"P\0", b"Pp\0", b"X\0"][random.below(4)]),
        9 => message(b'E', [&b"\0\0\0\0\0"[..], b"p\0\0\0\0\x01", b"\0\xff\xff\xff\xff"][random.below(3)]),
        10 => message(b'C', [&b"Ss\0"[..], b"P\0"][random.below(2)]),
        11 => message(b'S', b""),
        12 => message(b'd', [&b"1\n"[..], b"x\n", b"", b"\\.\n", b"\xff\n"][random.below(5)]),
        13 => message([b'c', b'H', b'p', b'F'][random.below(4)], b""),
        14 => message(b'f', b"no more\0"),
        _ => message([b'X', b'Z', 0, b'd'][random.below(4)], b""),
    }
}

fn mutate(random: &mut Random, bytes: &mut Vec<u8>) {
    for _ in 0..1 + random.below(3) {
        let at = random.below(bytes.len());
        match random.below(4) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes.insert(at, random.below(256) as u8),
            2 => bytes.truncate(at.max(1)),
            _ => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][random.below(5)],
        }
    }
}

/// One client's whole life.
fn one_client(fixture: &Fixture, random: &mut Random) {
    let mut script = Vec::new();
    match random.below(8) {
        0 => {
            let mut packet = startup();
            mutate(random, &mut packet);
            script.extend(packet);
        }
        1 => script.extend_from_slice(b"\0\0\0\x08\x04\xd2\x16\x2f"),
        _ => {}
    }
    if script.len() <= 8 {
        script.extend(startup());
    }
    for _ in 0..random.below(12) {
        let mut next = any_message(random);
        if random.below(5) == 0 {
            mutate(random, &mut next);
        }
        script.extend(next);
    }
    let mut socket = fixture.socket();
    let mut rest = &script[..];
    while !rest.is_empty() {
        let size = if random.below(3) == 0 { 1 + random.below(9) } else { rest.len() };
        let (piece, more) = rest.split_at(size.min(rest.len()));
        if socket.write_all(piece).is_err() {
            break;
        }
        rest = more;
    }
    if random.below(4) == 0 {
        // Gone without a word, its answers unread.
        return;
    }
    // A peer that is gone already has ended the connection for us.
    let _ = socket.shutdown(Shutdown::Write);
    let answer = read_to_end(&mut socket);
    let text = String::from_utf8_lossy(&answer);
    assert!(!text.contains("CXX000"), "{text}\n for {script:?}");
}

#[test]
fn broken_messages_in_every_state_are_survived() {
    with_server(200, &[("statement_timeout", "2s")], |fixture| async move {
        let client = fixture.connect().await;
        client.batch_execute("create table f (a int)").await.unwrap();
        let clients = Arc::clone(&fixture);
        let clients = tokio::task::spawn_blocking(move || {
            let make = |random: &mut Random| random.fork();
            Campaign::new(200).run(make, |random| one_client(&clients, &mut random.clone()));
        });
        clients.await.unwrap();
        // Nothing of them is left.
        let left = "select (select count(*) from pg_locks where pid <> pg_backend_pid())
                         + (select count(*) from pg_stat_activity where pid <> pg_backend_pid() and state is not null)";
        let deadline = Instant::now() + Duration::from_secs(60);
        while client.query_one(left, &[]).await.unwrap().get::<_, i64>(0) > 0 {
            assert!(Instant::now() < deadline, "sessions or locks are left");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
}

#[test]
fn a_client_that_does_not_say_who_it_is_goes_in_time() {
    with_server(10, &[("authentication_timeout", "1s")], |fixture| async move {
        let end = tokio::task::spawn_blocking(move || {
            let mut socket = fixture.socket();
            socket.write_all(b"\0\0").unwrap();
            let start = Instant::now();
            assert!(read_to_end(&mut socket).is_empty());
            start.elapsed()
        });
        let end = end.await.unwrap();
        assert!(end > Duration::from_millis(800) && end < Duration::from_secs(10), "{end:?}");
    });
}

/// Sends bytes one by one, slowly, until the server has closed the connection; what it said, and how long it took.
fn trickle(socket: &mut TcpStream, bytes: &[u8]) -> (Vec<u8>, Duration) {
    let start = Instant::now();
    for byte in bytes {
        if socket.write_all(&[*byte]).is_err() {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
        assert!(start.elapsed() < Duration::from_secs(20), "a byte now and then keeps a connection open");
    }
    (read_to_end(socket), start.elapsed())
}

/// Bytes that come one by one do not buy more time than none at all.
#[test]
fn slow_clients_go_in_time() {
    let set = [("authentication_timeout", "1s"), ("idle_in_transaction_session_timeout", "700ms")];
    with_server(10, &set, |fixture| async move {
        tokio::task::spawn_blocking(move || {
            let mut socket = fixture.socket();
            let mut packet = startup();
            packet[3] = 250;
            packet.truncate(8);
            packet.extend([b'x'; 240]);
            let (answer, took) = trickle(&mut socket, &packet);
            assert!(answer.is_empty() && took > Duration::from_millis(800), "{answer:?} after {took:?}");
            let mut socket = start_session(&fixture);
            socket.write_all(&query("begin")).unwrap();
            read_until(&mut socket, b"Z\0\0\0\x05T");
            let (answer, took) = trickle(&mut socket, &query(&format!("select '{}'", "x".repeat(500))));
            let text = String::from_utf8_lossy(&answer);
            assert!(text.contains("C25P03") && took > Duration::from_millis(600), "{text} after {took:?}");
        })
        .await
        .unwrap();
    });
}

/// Sends statements to a session of its own, and returns what the server says as it ends the session by itself.
async fn farewell(fixture: &Arc<Fixture>, statements: &'static str) -> String {
    let fixture = Arc::clone(fixture);
    let answer = tokio::task::spawn_blocking(move || {
        let mut socket = start_session(&fixture);
        socket.write_all(&query(statements)).unwrap();
        read_to_end(&mut socket)
    });
    String::from_utf8_lossy(&answer.await.unwrap()).into_owned()
}

#[test]
fn idle_clients_go_in_time_and_leave_their_locks() {
    let set = [("idle_in_transaction_session_timeout", "200ms")];
    with_server(10, &set, |fixture| async move {
        let client = fixture.connect().await;
        client.batch_execute("create table t (a int)").await.unwrap();
        let answer = farewell(&fixture, "begin; lock table t").await;
        assert!(answer.contains("C25P03"), "{answer:?}");
        client.batch_execute("set lock_timeout = '60s'; insert into t values (1)").await.unwrap();
        let answer = farewell(&fixture, "begin; select 1/0").await;
        assert!(answer.contains("C25P03"), "{answer:?}");
        let answer = farewell(&fixture, "set idle_session_timeout = '200ms'").await;
        assert!(answer.contains("C57P05"), "{answer:?}");
        // Who is in no transaction and has set nothing stays.
        assert_eq!(client.query_one("select count(*) from t", &[]).await.unwrap().get::<_, i64>(0), 1);
    });
}

/// Neither a session that answers, nor one that computes or sleeps, takes bytes that it has no use for yet.
#[test]
fn a_client_that_only_writes_is_not_read_without_end() {
    const MOST_BYTES: usize = 64 << 20;
    const FIRST: [&str; 3] =
        ["select 1", "select count(*) from generate_series(1, 1000000000000)", "select pg_sleep(600)"];
    // A look whether a client is still there must not take its bytes either.
    let set = [("client_connection_check_interval", "50ms")];
    with_server(10, &set, |fixture| async move {
        let client = fixture.connect().await;
        for first in FIRST {
            let writer = {
                let fixture = Arc::clone(&fixture);
                tokio::task::spawn_blocking(move || {
                    let mut socket = start_session(&fixture);
                    socket.set_write_timeout(Some(Duration::from_secs(1))).unwrap();
                    socket.write_all(&query(first)).unwrap();
                    let message = query("select repeat('x', 10000)");
                    let mut written = 0;
                    while written < MOST_BYTES && socket.write_all(&message).is_ok() {
                        written += message.len();
                    }
                    (socket, written)
                })
            };
            let (socket, written) = writer.await.unwrap();
            assert!(written < MOST_BYTES, "{first}: the server takes whatever comes");
            assert_eq!(client.query_one("select 1", &[]).await.unwrap().get::<_, i32>(0), 1);
            // The end of such a connection stands behind bytes that nobody reads: the session has to be told.
            drop(socket);
        }
        let others = "pg_stat_activity where state is not null and pid <> pg_backend_pid()";
        client.batch_execute(&format!("select pg_terminate_backend(pid) from {others}")).await.unwrap();
        let running = format!("select count(*) from {others}");
        let deadline = Instant::now() + Duration::from_secs(60);
        while client.query_one(&running, &[]).await.unwrap().get::<_, i64>(0) > 0 {
            assert!(Instant::now() < deadline, "the sessions go on");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
}

#[test]
fn many_parameters_and_long_statements_are_taken() {
    with_server(10, &[], |fixture| async move {
        let client = fixture.connect().await;
        let many: Vec<String> = (1..=65_535).map(|n| format!("(${n}::int)")).collect();
        let values: Vec<i32> = (1..=65_535).collect();
        let values: Vec<&(dyn tokio_postgres::types::ToSql + Sync)> =
            values.iter().map(|value| value as &(dyn tokio_postgres::types::ToSql + Sync)).collect();
        let sum = format!("select sum(v) from (values {}) as t (v)", many.join(","));
        let row = client.query_one(&sum, &values).await.unwrap();
        assert_eq!(row.get::<_, i64>(0), 65_535 * 65_536 / 2);
        let error = client.query("select $65536::int", &[]).await.unwrap_err();
        assert_eq!(error.code(), Some(&SqlState::UNDEFINED_PARAMETER));
        let long = format!("select length('{}')", "x".repeat(20 << 20));
        let row = client.query_one(&long, &[]).await.unwrap();
        assert_eq!(row.get::<_, i32>(0), 20 << 20);
    });
}

#[test]
fn connections_beyond_the_limit_are_told() {
    with_server(3, &[], |fixture| async move {
        let mut held = Vec::new();
        for _ in 0..3 {
            held.push(fixture.connect().await);
        }
        let config = format!("host=127.0.0.1 port={} user=postgres dbname=postgres", fixture.port);
        let error = tokio_postgres::connect(&config, NoTls).await.err().expect("refused");
        assert_eq!(error.code(), Some(&SqlState::TOO_MANY_CONNECTIONS));
        held.pop();
        let deadline = Instant::now() + Duration::from_secs(5);
        while tokio_postgres::connect(&config, NoTls).await.is_err() {
            assert!(Instant::now() < deadline, "the seat is not free again");
        }
    });
}

#[test]
fn messages_of_wrong_length_end_the_connection_and_nothing_else() {
    with_server(10, &[], |fixture| async move {
        tokio::task::spawn_blocking(move || {
            for header in
                [&b"Q\xff\xff\xff\xff"[..], b"Q\0\0\0\x03", b"S\x7f\xff\xff\xff", b"p\x7f\xff\xff\xff"]
            {
                let mut socket = start_session(&fixture);
                socket.write_all(header).unwrap();
                let answer = read_to_end(&mut socket);
                assert!(String::from_utf8_lossy(&answer).contains("C08P01"), "{header:?}");
            }
            // A length that may come to be: no memory is taken before the bytes are there.
            let mut waiting = Vec::new();
            for _ in 0..5 {
                let mut socket = start_session(&fixture);
                socket.write_all(b"Q\x3f\xff\xff\xf0select").unwrap();
                waiting.push(socket);
            }
            let mut socket = start_session(&fixture);
            socket.write_all(&query("select 'still here'")).unwrap();
            read_until(&mut socket, b"still here");
        })
        .await
        .unwrap();
    });
}

/// How much memory the process has.
fn resident_bytes() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").expect("the process's sizes");
    let pages: usize = pages.split(' ').nth(1).and_then(|pages| pages.parse().ok()).expect("pages");
    pages * 4096
}

/// Statements whose answers are far more than any buffer takes: rows that are read, and rows that are changed and told.
/// Whoever asks for them and does not read holds what his transaction holds; the log, checkpoints and the collector go on.
#[test]
fn a_client_that_never_reads_keeps_nobody_from_working_and_can_be_ended() {
    const SILENT: [&str; 2] = [
        "select * from big, generate_series(1, 1000) /* silent */",
        "update other set t = 'y' returning repeat('z', 100000) /* silent */",
    ];
    /// Beside what the tests do that run at the same time.
    const MOST_BYTES: usize = 600 << 20;
    with_server(10, &[("max_wal_size", "32MB")], |fixture| async move {
        let client = fixture.connect().await;
        client
            .batch_execute(
                "create table big as select i, repeat('x', 500) as t from generate_series(1, 20000) i;
                 create table other as select * from big",
            )
            .await
            .unwrap();
        for statement in SILENT {
            let before = resident_bytes();
            let silent = {
                let fixture = Arc::clone(&fixture);
                tokio::task::spawn_blocking(move || {
                    let mut socket = start_session(&fixture);
                    socket.write_all(&query(statement)).unwrap();
                    socket
                })
            };
            let silent = silent.await.unwrap();
            let others = "select pid from pg_stat_activity where query like '%/* silent */' and pid <> pg_backend_pid()";
            let deadline = Instant::now() + Duration::from_secs(60);
            let pid: i32 = loop {
                match client.query_opt(others, &[]).await.unwrap() {
                    Some(row) => break row.get(0),
                    None => assert!(Instant::now() < deadline, "{statement}: it does not run"),
                }
            };
            // The statement has filled its buffers, or does so while others work: so much that the log goes round.
            for round in 0..10 {
                let change = format!(
                    "update big set t = repeat('y', {round}) where i < 5000;
                     insert into big select i, repeat('z', 500) from generate_series(1, 5000) i;
                     delete from big where t like 'z%'"
                );
                client.batch_execute(&change).await.unwrap();
                client.batch_execute("vacuum big").await.unwrap();
            }
            client.batch_execute("drop index if exists big_i_idx; create index on big (i)").await.unwrap();
            client.batch_execute("checkpoint").await.unwrap();
            let running = client.query(others, &[]).await.unwrap();
            assert_eq!(running.len(), 1, "{statement}: it has ended by itself");
            let grown = resident_bytes().saturating_sub(before);
            assert!(grown < MOST_BYTES, "{statement}: {} MiB for answers that nobody reads", grown >> 20);
            client.execute("select pg_terminate_backend($1)", &[&pid]).await.unwrap();
            while !client.query(others, &[]).await.unwrap().is_empty() {
                assert!(Instant::now() < deadline, "{statement}: the session goes on");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            // Its transaction is rolled back, and what it held is free.
            let left = client.query_one("select count(*) from other where t = 'y'", &[]).await.unwrap();
            assert_eq!(left.get::<_, i64>(0), 0);
            client.batch_execute("set lock_timeout = '10s'").await.unwrap();
            client.batch_execute("begin; lock table big, other; commit").await.unwrap();
            drop(silent);
        }
    });
}

#[test]
fn a_statement_whose_client_is_gone_is_ended() {
    let set = [("client_connection_check_interval", "50ms")];
    with_server(10, &set, |fixture| async move {
        let client = fixture.connect().await;
        let socket = {
            let fixture = Arc::clone(&fixture);
            tokio::task::spawn_blocking(move || {
                let mut socket = start_session(&fixture);
                socket.write_all(&query("select pg_sleep(60)")).unwrap();
                socket
            })
        };
        let socket = socket.await.unwrap();
        let running = "select count(*) from pg_stat_activity where query like '%pg_sleep(60)' and pid <> pg_backend_pid()";
        let deadline = Instant::now() + Duration::from_secs(60);
        while client.query_one(running, &[]).await.unwrap().get::<_, i64>(0) == 0 {
            assert!(Instant::now() < deadline, "the statement does not run");
        }
        drop(socket);
        while client.query_one(running, &[]).await.unwrap().get::<_, i64>(0) > 0 {
            assert!(Instant::now() < deadline, "the statement goes on");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
}

#[test]
fn what_clients_killed_in_transactions_held_is_free_at_once() {
    const CLIENTS: usize = 60;
    with_server(2 * CLIENTS, &[], |fixture| async move {
        let client = fixture.connect().await;
        client
            .batch_execute("create table held as select i, 0 as n from generate_series(1, 100) i")
            .await
            .unwrap();
        let sockets = {
            let fixture = Arc::clone(&fixture);
            tokio::task::spawn_blocking(move || {
                let mut sockets = Vec::new();
                for number in 0..CLIENTS {
                    let mut socket = start_session(&fixture);
                    let text = format!(
                        "begin isolation level repeatable read; update held set n = 1 where i = {}",
                        number + 1
                    );
                    socket.write_all(&query(&text)).unwrap();
                    read_until(&mut socket, b"Z\0\0\0\x05T");
                    sockets.push(socket);
                }
                sockets
            })
        };
        let sockets = sockets.await.unwrap();
        let start = Instant::now();
        drop(sockets);
        client.batch_execute("update held set n = 2").await.unwrap();
        let locks = "select count(*) from pg_locks where pid <> pg_backend_pid()";
        while client.query_one(locks, &[]).await.unwrap().get::<_, i64>(0) > 0 {
            assert!(start.elapsed() < Duration::from_secs(10), "locks are left");
        }
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    });
}
