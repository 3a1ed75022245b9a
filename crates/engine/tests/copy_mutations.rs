//! COPY data with random changes, in pieces of any size: no panic, no internal error, and the pieces do not matter.

#[allow(dead_code, reason = "each test file uses a part of what they share")]
mod common;

use ochre_base::SqlState;
use ochre_engine::{Progress, Session};
use ochre_env::Env;
use ochre_fuzzing::{Campaign, Random};

use common::{Rows, open, run, table};

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
            let internal = matches!(error.sqlstate(), SqlState::INTERNAL_ERROR | SqlState::DATA_CORRUPTED);
            assert!(!internal, "{error}");
            Err(format!("{} {}", error.sqlstate(), error.message()))
        }
    }
}

#[test]
fn changed_data_is_read_or_refused() {
    let instance = open(&Env::in_memory());
    let mut session = instance.session("postgres", "postgres").expect("a session");
    run(&mut session, "CREATE TABLE t (id int, v text, n numeric, a int[], d date)");
    for (statement, data) in COPIES {
        copy(&mut session, statement, data.as_bytes(), |left| left).expect(statement);
    }
    let make = |random: &mut Random| {
        let (statement, data) = *random.pick(&COPIES);
        let data = mutate(random, data.as_bytes().to_vec());
        (statement, data, random.fork())
    };
    Campaign::new(5_000).run(make, |(statement, data, random)| {
        let mut random = random.clone();
        let whole = copy(&mut session, statement, data, |left| left);
        let pieces = copy(&mut session, statement, data, |_| 1 + random.below(7));
        assert_eq!(whole, pieces, "{}", String::from_utf8_lossy(data));
    });
}
