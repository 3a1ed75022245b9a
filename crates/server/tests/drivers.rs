//! A real driver over a real socket: types in both forms, errors, COPY, cancel, pipelines, portals.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt, pin_mut};
use ochre_engine::{Instance, InstanceConfig};
use ochre_env::Env;
use ochre_server::{RunningServer, Server, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

/// A server over files in memory, on a port of its own.
struct Fixture {
    server: Option<RunningServer>,
    port: u16,
}

impl Fixture {
    fn start(max_sessions: usize) -> Fixture {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let config = ServerConfig {
            listen: vec!["127.0.0.1:0".parse().unwrap()],
            shutdown_grace: Duration::from_millis(100),
            ..ServerConfig::default()
        };
        let server = Server::bind(config).unwrap();
        let port = server.addresses()[0].port();
        let instance = Instance::open(
            Env::in_memory().with_waiting(ochre_server::waiting()),
            format!("/data-{number}").as_ref(),
            InstanceConfig { max_sessions, ..InstanceConfig::default() },
        )
        .unwrap();
        Fixture { server: Some(server.start(Arc::clone(&instance)).unwrap()), port }
    }

    async fn connect(&self) -> Client {
        let (client, connection) = tokio_postgres::connect(&self.address(), NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    }

    fn address(&self) -> String {
        format!("host=127.0.0.1 port={} user=postgres dbname=postgres", self.port)
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        self.server.take().unwrap().stop().unwrap();
    }
}

/// Runs a test against a server of its own.
fn with_server<F: Future<Output = ()>>(test: impl FnOnce(Arc<Fixture>) -> F) {
    let fixture = Arc::new(Fixture::start(100));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let limit = Duration::from_secs(60);
    runtime
        .block_on(async { tokio::time::timeout(limit, test(Arc::clone(&fixture))).await })
        .expect("in time");
}

#[test]
fn values_go_both_ways_in_both_forms() {
    with_server(|fixture| async move {
        let client = fixture.connect().await;
        client
            .batch_execute(
                "create table v (a int2, b int4, c int8, d float4, e float8, f text, g bool, h bytea)",
            )
            .await
            .unwrap();
        let insert = client.prepare("insert into v values ($1,$2,$3,$4,$5,$6,$7,$8)").await.unwrap();
        assert_eq!(insert.params()[1], Type::INT4);
        let bytes: &[u8] = &[0, 255, 7];
        let changed = client
            .execute(&insert, &[&-3_i16, &i32::MIN, &i64::MAX, &1.5_f32, &-0.1_f64, &"zwölf", &true, &bytes])
            .await
            .unwrap();
        assert_eq!(changed, 1);
        client.execute("insert into v (b) values ($1)", &[&None::<i32>]).await.unwrap();
        let rows = client.query("select * from v order by c nulls last", &[]).await.unwrap();
        assert_eq!(rows.len(), 2);
        let row = &rows[0];
        assert_eq!(
            (row.get::<_, i16>(0), row.get::<_, i32>(1), row.get::<_, i64>(2)),
            (-3, i32::MIN, i64::MAX)
        );
        assert_eq!((row.get::<_, f32>(3), row.get::<_, f64>(4)), (1.5, -0.1));
        assert_eq!((row.get::<_, &str>(5), row.get::<_, bool>(6)), ("zwölf", true));
        assert_eq!(row.get::<_, &[u8]>(7), bytes);
        assert_eq!(rows[1].get::<_, Option<i32>>(1), None);
        let text = client.simple_query("select b, f, g, h from v where c is not null").await.unwrap();
        let SimpleQueryMessage::Row(row) = &text[1] else { panic!("{text:?}") };
        let texts: Vec<_> = (0..4).map(|i| row.get(i).unwrap()).collect();
        assert_eq!(texts, ["-2147483648", "zwölf", "t", "\\x00ff07"]);
    });
}

#[test]
fn errors_carry_their_codes_and_leave_the_session_usable() {
    with_server(|fixture| async move {
        let mut client = fixture.connect().await;
        client.batch_execute("create table k (id int primary key)").await.unwrap();
        client.batch_execute("insert into k values (1)").await.unwrap();
        let error = client.execute("insert into k values ($1)", &[&1_i32]).await.unwrap_err();
        let error = error.as_db_error().unwrap();
        assert_eq!(*error.code(), SqlState::UNIQUE_VIOLATION);
        assert_eq!(
            (error.constraint(), error.table(), error.schema()),
            (Some("k_pkey"), Some("k"), Some("public"))
        );
        let error = client.prepare("select ö from k").await.unwrap_err();
        let position = tokio_postgres::error::ErrorPosition::Original(8);
        assert_eq!(error.as_db_error().unwrap().position(), Some(&position));
        let transaction = client.transaction().await.unwrap();
        transaction.execute("insert into k values (2)", &[]).await.unwrap();
        transaction.batch_execute("select 1/0").await.unwrap_err();
        let error = transaction.query("select 1", &[]).await.unwrap_err();
        assert_eq!(error.code(), Some(&SqlState::IN_FAILED_SQL_TRANSACTION));
        transaction.rollback().await.unwrap();
        let count: i64 = client.query_one("select count(*) from k", &[]).await.unwrap().get(0);
        assert_eq!(count, 1);
    });
}

#[test]
fn copy_streams_in_and_out() {
    with_server(|fixture| async move {
        let client = fixture.connect().await;
        client.batch_execute("create table c (id int, word text)").await.unwrap();
        let sink = client.copy_in::<_, bytes::Bytes>("copy c from stdin").await.unwrap();
        pin_mut!(sink);
        for part in 0..100 {
            let lines: String = (0..100).map(|i| format!("{}\tword {i}\n", part * 100 + i)).collect();
            sink.send(bytes::Bytes::from(lines)).await.unwrap();
        }
        assert_eq!(sink.finish().await.unwrap(), 10_000);
        let stream = client.copy_out("copy c to stdout").await.unwrap();
        pin_mut!(stream);
        let mut size = 0;
        let mut lines = 0;
        while let Some(part) = stream.next().await {
            let part = part.unwrap();
            size += part.len();
            lines += part.iter().filter(|byte| **byte == b'\n').count();
        }
        assert_eq!(lines, 10_000);
        assert!(size > 100_000);
        let sink = client.copy_in::<_, bytes::Bytes>("copy c from stdin").await.unwrap();
        pin_mut!(sink);
        sink.send(bytes::Bytes::from("no number\tx\n")).await.unwrap();
        let error = sink.finish().await.unwrap_err();
        assert_eq!(error.code(), Some(&SqlState::INVALID_TEXT_REPRESENTATION));
        let count: i64 = client.query_one("select count(*) from c", &[]).await.unwrap().get(0);
        assert_eq!(count, 10_000);
    });
}

#[test]
fn a_running_statement_is_cancelled_by_its_key() {
    with_server(|fixture| async move {
        let client = fixture.connect().await;
        let cancel = client.cancel_token();
        let begun = Instant::now();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(100)).await;
            cancel.cancel_query(NoTls).await.unwrap();
        });
        let error = client.batch_execute("select pg_sleep(30)").await.unwrap_err();
        assert_eq!(error.code(), Some(&SqlState::QUERY_CANCELED));
        assert!(begun.elapsed() < Duration::from_secs(10));
        client.batch_execute("select 1").await.unwrap();
    });
}

#[test]
fn many_statements_are_in_flight_at_once() {
    with_server(|fixture| async move {
        let client = fixture.connect().await;
        let statement = client.prepare("select $1::int4 + 1").await.unwrap();
        let queries = (0..200_i32).map(|i| {
            let (client, statement) = (&client, &statement);
            async move { client.query_one(statement, &[&i]).await.unwrap().get::<_, i32>(0) }
        });
        let answers = futures_util::future::join_all(queries).await;
        assert_eq!(answers, (1..=200).collect::<Vec<i32>>());
    });
}

#[test]
fn portals_stop_at_a_row_limit_and_go_on() {
    with_server(|fixture| async move {
        let mut client = fixture.connect().await;
        let transaction = client.transaction().await.unwrap();
        let portal = transaction.bind("select i from generate_series(1, 10) i", &[]).await.unwrap();
        let mut seen = Vec::new();
        loop {
            let rows = transaction.query_portal(&portal, 4).await.unwrap();
            if rows.is_empty() {
                break;
            }
            assert!(rows.len() <= 4);
            seen.extend(rows.iter().map(|row| row.get::<_, i32>(0)));
        }
        assert_eq!(seen, (1..=10).collect::<Vec<i32>>());
    });
}

#[test]
fn cursors_and_portals_share_one_space_of_names() {
    with_server(|fixture| async move {
        let mut client = fixture.connect().await;
        client
            .batch_execute("create table c (id int); insert into c select generate_series(1, 5000)")
            .await
            .unwrap();
        let transaction = client.transaction().await.unwrap();
        transaction.execute("declare c cursor for select id from c where id > $1", &[&10_i32]).await.unwrap();
        let fetch = transaction.prepare("fetch 2000 from c").await.unwrap();
        assert_eq!(fetch.columns().len(), 1);
        let mut next = 11;
        loop {
            let rows = transaction.query(&fetch, &[]).await.unwrap();
            if rows.is_empty() {
                break;
            }
            for row in rows {
                assert_eq!(row.get::<_, i32>(0), next);
                next += 1;
            }
        }
        assert_eq!(next, 5001);
        assert_eq!(transaction.execute("move backward 3 from c", &[]).await.unwrap(), 3);
        let changed = transaction.execute("update c set id = -id where current of c", &[]).await.unwrap();
        assert_eq!(changed, 1);
        let row = transaction.query_one("select min(id) from c", &[]).await.unwrap();
        assert_eq!(row.get::<_, i32>(0), -4998);
        // An INSERT whose rows are asked for bit by bit has done everything at once.
        let insert =
            transaction.prepare("insert into c select generate_series(1, 5) returning id").await.unwrap();
        let portal = transaction.bind(&insert, &[]).await.unwrap();
        let first = transaction.query_portal(&portal, 2).await.unwrap();
        assert_eq!(first.len(), 2);
        let row = transaction.query_one("select count(*) from c", &[]).await.unwrap();
        assert_eq!(row.get::<_, i64>(0), 5005);
        assert_eq!(transaction.query_portal(&portal, 0).await.unwrap().len(), 3);
        let error = transaction.query("fetch all from nobody", &[]).await.unwrap_err();
        assert_eq!(error.code(), Some(&SqlState::INVALID_CURSOR_NAME));
    });
}

#[test]
fn notifications_reach_idle_sessions_in_order() {
    with_server(|fixture| async move {
        let (listener, mut connection) = tokio_postgres::connect(&fixture.address(), NoTls).await.unwrap();
        let (sender, mut heard) = tokio::sync::mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Some(message) = std::future::poll_fn(|cx| connection.poll_message(cx)).await {
                if let Ok(tokio_postgres::AsyncMessage::Notification(note)) = message {
                    sender.send((note.channel().to_string(), note.payload().to_string())).unwrap();
                }
            }
        });
        let client = fixture.connect().await;
        listener.batch_execute("listen jobs; listen \"Other\"").await.unwrap();
        let mut wait = async |channel: &str, payload: &str| {
            let next = tokio::time::timeout(Duration::from_secs(5), heard.recv()).await;
            assert_eq!(next.expect("in time").unwrap(), (channel.to_string(), payload.to_string()));
        };
        client.batch_execute("notify jobs, 'first'").await.unwrap();
        wait("jobs", "first").await;
        client
            .batch_execute(
                "begin; notify jobs, 'a'; notify nobody; notify jobs, 'a'; savepoint s; notify jobs, 'lost';
                 rollback to s; select pg_notify('Other', 'b'); notify jobs; commit",
            )
            .await
            .unwrap();
        wait("jobs", "a").await;
        wait("Other", "b").await;
        wait("jobs", "").await;
        client.batch_execute("begin; notify jobs, 'rolled back'; rollback").await.unwrap();
        // A session in a block hears at its end, its own words too.
        listener.batch_execute("begin; select 1").await.unwrap();
        client.batch_execute("notify jobs, 'late'").await.unwrap();
        listener.batch_execute("notify jobs, 'own'; commit").await.unwrap();
        wait("jobs", "late").await;
        wait("jobs", "own").await;
        listener.batch_execute("unlisten jobs").await.unwrap();
        client.batch_execute("notify jobs, 'unheard'; notify \"Other\", 'last'").await.unwrap();
        wait("Other", "last").await;
        let channels = listener.query("select pg_listening_channels()", &[]).await.unwrap();
        assert_eq!(channels.len(), 1);
        let usage: f64 = client.query_one("select pg_notification_queue_usage()", &[]).await.unwrap().get(0);
        assert_eq!(usage, 0.0);
        let error = client.execute("select pg_notify('', '')", &[]).await.unwrap_err();
        assert_eq!(error.code(), Some(&SqlState::INVALID_PARAMETER_VALUE));
        let error = client.batch_execute("begin; notify jobs; prepare transaction 'x'").await.unwrap_err();
        assert_eq!(error.code(), Some(&SqlState::FEATURE_NOT_SUPPORTED));
    });
}

#[test]
fn startup_refuses_what_it_does_not_know() {
    with_server(|fixture| async move {
        for (extra, code) in [
            ("dbname=nowhere", SqlState::INVALID_CATALOG_NAME),
            ("user=nobody", SqlState::INVALID_AUTHORIZATION_SPECIFICATION),
            ("options='-c nonsense=1'", SqlState::UNDEFINED_OBJECT),
        ] {
            let address = format!("{} {extra}", fixture.address());
            let Err(error) = tokio_postgres::connect(&address, NoTls).await else {
                panic!("{extra} was let in");
            };
            assert_eq!(error.code(), Some(&code), "{extra}");
        }
        let mut socket = TcpStream::connect(("127.0.0.1", fixture.port)).await.unwrap();
        socket.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer).await.unwrap();
        assert_eq!(answer.first(), Some(&b'E'));
    });
}

#[test]
fn a_broken_message_is_answered_and_the_next_one_runs() {
    with_server(|fixture| async move {
        let mut socket = TcpStream::connect(("127.0.0.1", fixture.port)).await.unwrap();
        socket.write_all(b"\0\0\0\x08\x04\xd2\x16\x2f").await.unwrap();
        assert_eq!(socket.read_u8().await.unwrap(), b'N');
        let mut start = b"\0\0\0\0\0\x03\0\0user\0postgres\0\0".to_vec();
        start[3] = start.len() as u8;
        socket.write_all(&start).await.unwrap();
        read_until_ready(&mut socket).await;
        socket.write_all(b"Q\0\0\0\x0fselect '\xff'\0").await.unwrap();
        let messages = read_until_ready(&mut socket).await;
        assert_eq!(kinds(&messages), "EZ");
        assert!(messages[0].1.windows(7).any(|field| field == b"C22021\0"));
        socket.write_all(b"P\0\0\0\x11\0select $1\0\0\0S\0\0\0\x04").await.unwrap();
        socket.write_all(b"Q\0\0\0\x05\0").await.unwrap();
        assert_eq!(kinds(&read_until_ready(&mut socket).await), "1Z");
        assert_eq!(kinds(&read_until_ready(&mut socket).await), "IZ");
    });
}

#[test]
fn one_session_too_many_is_refused() {
    let fixture = Fixture::start(1);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let _client = fixture.connect().await;
        let Err(error) = tokio_postgres::connect(&fixture.address(), NoTls).await else {
            panic!("two sessions where one is allowed");
        };
        assert_eq!(error.code(), Some(&SqlState::TOO_MANY_CONNECTIONS));
    });
}

#[test]
fn addresses_of_the_world_are_refused() {
    let config = ServerConfig { listen: vec!["0.0.0.0:0".parse().unwrap()], ..ServerConfig::default() };
    assert_eq!(Server::bind(config).unwrap_err().sqlstate().as_str(), "0A000");
}

type Message = (u8, Vec<u8>);

async fn read_until_ready(socket: &mut TcpStream) -> Vec<Message> {
    let mut messages = Vec::new();
    loop {
        let kind = socket.read_u8().await.unwrap();
        let mut body = vec![0; socket.read_u32().await.unwrap() as usize - 4];
        socket.read_exact(&mut body).await.unwrap();
        messages.push((kind, body));
        if kind == b'Z' {
            return messages;
        }
    }
}

fn kinds(messages: &[Message]) -> String {
    messages.iter().map(|(kind, _)| char::from(*kind)).collect()
}
