//! COPY data with random changes, in pieces of any size: no panic, no internal error, and the pieces do not matter.
//! Two seconds a run; `OCHRE_FUZZ_SECONDS` and `OCHRE_FUZZ_SEED` say otherwise.

#[allow(dead_code, reason = "each test file uses a part of what they share")]
mod common;

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ochre_base::SqlState;
use ochre_engine::{Progress, Session};
use ochre_env::Env;

use common::{Rows, open, run, table};

/// A small generator; good enough to pick places.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit.max(1) as u64) as usize
    }
}

/// Statements with data that they take.
const COPIES: [(&str, &str); 6] = [
    (
        "COPY t FROM STDIN",
        "1\ttext\t1.5\t{1,2}\t2020-01-01\n2\t\\N\t\\N\t\\N\t\\N\n3\ta\\tb\\n\\\\\\x41\\101\t-1e5\t{}\tinfinity\n\\.\n",
    ),
    ("COPY t (id, v) FROM STDIN (DELIMITER '|', NULL '~')", "1|x\r\n2|~\r\n3|\\|\r\n"),
    (
        "COPY t FROM STDIN (FORMAT csv)",
        "1,\"te\"\"xt\",1.5,\"{1,2}\",2020-01-01\n2,,,,\n3,\"a\nb\",NaN,\"{NULL}\",\n",
    ),
    ("COPY t (id, v) FROM STDIN (FORMAT csv, HEADER, QUOTE '''', ESCAPE '\\')", "id,v\n1,'a\\'b'\n2,''\n"),
    ("COPY t (v) FROM STDIN (FORMAT csv, HEADER match, FORCE_NOT_NULL (v))", "v\nx\n\"\"\n\n"),
    ("COPY t (id, v) FROM STDIN (FORMAT text, HEADER)", "id\tv\n1\tä€\u{1F600}\n"),
];

fn mutate(random: &mut Random, mut bytes: Vec<u8>) -> Vec<u8> {
    const ODD: &[&[u8]] = &[
        b"\n", b"\r", b"\r\n", b"\t", b",", b"\"", b"\\", b"\\.", b"\\.\n", b"\\x", b"\\0", b"\0", b"\xff",
        b"\xc3", b"'", b"{",
    ];
    for _ in 0..random.below(5) {
        let at = random.below(bytes.len() + 1);
        match random.below(5) {
            0 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
            1 => {
                let odd = ODD[random.below(ODD.len())];
                bytes.splice(at..at, odd.iter().copied());
            }
            2 if at < bytes.len() => drop(bytes.remove(at)),
            3 => bytes.truncate(at),
            _ => {
                let tail = bytes[at..].to_vec();
                bytes.extend_from_slice(&tail);
            }
        }
    }
    bytes
}

/// Copies in pieces that end where `cut` says; what the table holds then, or the error.
fn copy(
    session: &mut Session,
    statement: &str,
    data: &[u8],
    mut cut: impl FnMut(usize) -> usize,
) -> Result<Vec<String>, String> {
    run(session, "TRUNCATE t");
    let mut sink = Rows::default();
    let result = (|| {
        let Progress::CopyIn = session.simple_query(statement, &mut sink)? else {
            panic!("no COPY: {statement}")
        };
        let mut rest = data;
        while !rest.is_empty() {
            let (piece, more) = rest.split_at(cut(rest.len()).clamp(1, rest.len()));
            session.copy_data(piece)?;
            rest = more;
        }
        session.copy_done(&mut sink)
    })();
    match result {
        Ok(_) => Ok(table(session, "SELECT * FROM t ORDER BY t::text")),
        Err(error) => {
            assert_ne!(error.sqlstate(), SqlState::INTERNAL_ERROR, "{error}");
            Err(format!("{} {}", error.sqlstate(), error.message()))
        }
    }
}

#[test]
fn changed_data_is_read_or_refused() {
    let seconds = std::env::var("OCHRE_FUZZ_SECONDS").ok().and_then(|s| s.parse().ok()).unwrap_or(2);
    let clock = SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |time| time.as_nanos() as u64);
    // A short run is the same every time; a long one looks for what is new.
    let usual = if std::env::var_os("OCHRE_FUZZ_SECONDS").is_some() { clock } else { 1 };
    let seed = std::env::var("OCHRE_FUZZ_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(usual);
    let mut random = Random(seed | 1);
    let instance = open(&Env::in_memory());
    let mut session = instance.session("postgres", "postgres").expect("a session");
    run(&mut session, "CREATE TABLE t (id int, v text, n numeric, a int[], d date)");
    for (statement, data) in COPIES {
        copy(&mut session, statement, data.as_bytes(), |left| left).expect(statement);
    }
    let start = Instant::now();
    let mut count = 0u64;
    while start.elapsed() < Duration::from_secs(seconds) {
        let (statement, data) = COPIES[random.below(COPIES.len())];
        let data = mutate(&mut random, data.as_bytes().to_vec());
        let checked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let whole = copy(&mut session, statement, &data, |left| left);
            let pieces = copy(&mut session, statement, &data, |_| 1 + random.below(7));
            assert_eq!(whole, pieces);
        }));
        if let Err(panic) = checked {
            eprintln!("seed {seed}, copy {count}: {statement}: {:?}", String::from_utf8_lossy(&data));
            std::panic::resume_unwind(panic);
        }
        count += 1;
    }
    println!("{count} copies, seed {seed}");
}
