//! `ochre check` and `ochre inspect` as a user runs them.

use std::io::Write;
use std::path::Path;
use std::process::{Output, Stdio};

mod common;

fn ochre(arguments: &[&str], input: &str) -> Output {
    let mut child = common::ochre()
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("ochre runs");
    let mut stdin = child.stdin.take().expect("its input is a pipe");
    stdin.write_all(input.as_bytes()).expect("it reads its input");
    drop(stdin);
    child.wait_with_output().expect("ochre ends")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("output is UTF-8")
}

/// Standard output of a run that succeeds.
fn printed(arguments: &[&str], input: &str) -> String {
    let output = ochre(arguments, input);
    assert!(output.status.success(), "{arguments:?}: {}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

/// A data directory with a table of two rows, one of which has an older version, and a sequence.
fn directory() -> (tempfile::TempDir, String) {
    let directory = tempfile::tempdir().expect("a directory");
    let data = directory.path().join("data").display().to_string();
    printed(
        &["shell", &data],
        "CREATE TABLE t (id int PRIMARY KEY, v text);
         INSERT INTO t VALUES (1, 'one'), (2, 'two');
         CREATE SEQUENCE s;
         SELECT nextval('s');
         BEGIN; UPDATE t SET v = 'zwei' WHERE id = 2; COMMIT;",
    );
    (directory, data)
}

/// Positions in the log and checksums differ from run to run (the system identifier is random), and how many
/// transactions make a directory is not what is tested.
fn without_positions(printed: &str) -> String {
    let mut out = String::new();
    for line in printed.lines() {
        let mut before = "";
        let words: Vec<&str> = line
            .split(' ')
            .map(|word| {
                if std::mem::replace(&mut before, word) == "xid" {
                    return "#";
                }
                let bare = word.trim_end_matches(',').trim_start_matches("0x");
                let hexadecimal = bare.bytes().all(|byte| byte.is_ascii_hexdigit());
                if hexadecimal && (bare.len() == 16 || word.starts_with("0x") && bare.len() == 8) {
                    "#"
                } else {
                    word
                }
            })
            .collect();
        out.push_str(&words.join(" "));
        out.push('\n');
    }
    out
}

#[test]
fn check_says_what_it_looked_at_and_what_is_wrong() {
    let (_directory, data) = directory();
    let clean = printed(&["check", &data], "");
    assert!(clean.starts_with("checked 3 databases, "), "{clean}");
    assert!(clean.ends_with(": no problems\n"), "{clean}");
    let stray = Path::new(&data).join("base/5/4000");
    std::fs::write(&stray, b"").expect("the file is made");
    let output = ochre(&["check", &data], "");
    assert_eq!(output.status.code(), Some(1));
    let found = text(&output.stdout);
    assert!(found.starts_with("base/5/4000: no relation of the catalog has this file\n"), "{found}");
    assert!(found.ends_with(": 1 problem\n"), "{found}");
    let nothing = ochre(&["check", "/no/such/directory"], "");
    assert_eq!(nothing.status.code(), Some(1));
    assert_eq!(text(&nothing.stderr), "ochre: \"/no/such/directory\" is not a data directory\n");
}

#[test]
fn inspect_prints_pages_by_file_and_by_relation() {
    let (_directory, data) = directory();
    let page = printed(&["inspect", "page", "-D", &data, "t", "0"], "");
    let golden = include_str!("golden/page.txt");
    assert_eq!(without_positions(&page), golden);
    let file = Path::new(&data).join("base/5").join(page.split(['/', ' ']).nth(2).expect("the file's id"));
    assert_eq!(printed(&["inspect", "page", &file.display().to_string(), "0"], ""), page);
    let sequence = printed(&["inspect", "page", "-D", &data, "public.s", "0"], "");
    assert!(
        without_positions(&sequence).ends_with("sequence page, lsn # last value 1, given out\n"),
        "{sequence}"
    );
    let beyond = ochre(&["inspect", "page", &file.display().to_string(), "9"], "");
    assert_eq!(beyond.status.code(), Some(1));
    assert!(text(&beyond.stderr).contains("lies behind the end of its file"));
}

#[test]
fn inspect_prints_indexes() {
    let (_directory, data) = directory();
    let golden = include_str!("golden/btree.txt");
    let tree = printed(&["inspect", "btree", &data, "t_pkey"], "");
    let root = printed(&["inspect", "btree", &data, "public.t_pkey", "--block", "1"], "");
    assert_eq!(without_positions(&tree) + &without_positions(&root), golden);
    let table = ochre(&["inspect", "btree", &data, "t"], "");
    assert_eq!(text(&table.stderr), "ochre: postgres: table public.t is not an index\n");
}

#[test]
fn inspect_prints_the_log() {
    let (_directory, data) = directory();
    let log = printed(&["inspect", "wal", &data], "");
    assert_eq!(without_positions(&log).lines().last(), Some("# end"));
    let redo =
        log.lines().find_map(|line| line.strip_prefix("redo point ")).expect("the redo point is printed");
    assert_eq!(printed(&["inspect", "wal", &data, "--from", redo], ""), log);
    let one = printed(&["inspect", "wal", &data, "--limit", "1"], "");
    assert!(log.starts_with(&one[..one.rfind('\n').expect("lines")]), "{one}");
    assert!(log.contains("storage: checkpoint"), "{log}");
    assert_eq!(ochre(&["inspect", "wal", &data, "--from", "x"], "").status.code(), Some(2));
}

#[test]
fn inspect_sql_answers_each_line_with_a_line() {
    let input = "{\"sql\": \"select 1; select  2\"}\n\n{\"sql\": \"select 'ä' frm t x\"}\n{\"sql\": \"\"}\n{\"sql\":\"select 'a\\nb'\"}\n";
    assert_eq!(
        printed(&["inspect", "sql", "--json"], input),
        "{\"ok\": true, \"printed\": \"SELECT 1; SELECT 2\"}\n\
         {\"ok\": false, \"error\": \"syntax error at or near \\\"t\\\"\", \"position\": 16}\n\
         {\"ok\": true, \"printed\": \"\"}\n\
         {\"ok\": true, \"printed\": \"SELECT 'a\\nb'\"}\n"
    );
}

#[test]
fn every_command_has_help() {
    for command in [
        &["check"][..],
        &["shell"],
        &["serve"],
        &["inspect", "page"],
        &["inspect", "wal"],
        &["inspect", "btree"],
        &["inspect", "sql"],
    ] {
        let help = printed(&[command, &["--help"]].concat(), "");
        assert!(help.contains("Usage: ochre"), "{command:?}: {help}");
    }
}
