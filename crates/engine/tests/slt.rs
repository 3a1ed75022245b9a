//! The sqllogictest files of `tests/slt`, each on a new database in memory. Their expectations are PostgreSQL's:
//! `tests/slt/record.py` writes them.
//!
//! `OCHRE_SLT=part` runs only the files whose names contain it; `OCHRE_SLT_RULES=all` leaves each rule of the optimizer out in
//! every file.

#[allow(dead_code, reason = "each test file uses a part of what they share")]
mod common;

use std::path::{Path, PathBuf};

use ochre_engine::Session;
use ochre_env::Env;

use common::{Rows, open};

/// What a record of a file demands.
enum Expected {
    Ok,
    Error(String),
    Rows(String),
}

struct Record {
    line: usize,
    sql: String,
    expected: Expected,
}

fn parse(text: &str) -> Vec<Record> {
    let mut records = Vec::new();
    let mut lines = text.lines().enumerate().peekable();
    while let Some((number, line)) = lines.next() {
        let expected = match line {
            "statement ok" => Expected::Ok,
            "query" => Expected::Rows(String::new()),
            _ => match line.strip_prefix("statement error ") {
                Some(code) => Expected::Error(code.to_string()),
                None => {
                    assert!(line.is_empty() || line.starts_with('#'), "line {}: {line}", number + 1);
                    continue;
                }
            },
        };
        let mut sql = Vec::new();
        while let Some((_, line)) = lines.next_if(|(_, line)| !line.is_empty() && *line != "----") {
            sql.push(line);
        }
        let expected = match expected {
            Expected::Rows(_) => {
                let mut rows = Vec::new();
                lines.next_if(|(_, line)| *line == "----").expect("a query has an answer");
                while let Some((_, line)) = lines.next_if(|(_, line)| !line.is_empty()) {
                    rows.push(line);
                }
                Expected::Rows(rows.join("\n"))
            }
            other => other,
        };
        records.push(Record { line: number + 1, sql: sql.join("\n"), expected });
    }
    records
}

fn sorted(rows: &str) -> Vec<&str> {
    let mut rows: Vec<&str> = rows.lines().collect();
    rows.sort_unstable();
    rows
}

/// Runs one record; what is wrong with it. Rows of a statement without an order may come in another one when
/// `any_order`.
fn check(session: &mut Session, record: &Record, any_order: bool) -> Option<String> {
    let any_order = any_order && !record.sql.to_ascii_lowercase().contains("order by");
    let mut rows = Rows::default();
    let result = session.simple_query(&record.sql, &mut rows);
    match (&record.expected, result) {
        (Expected::Ok, Ok(_)) => None,
        (Expected::Error(code), Err(error)) if error.sqlstate().as_str() == code => None,
        (Expected::Error(code), Err(error)) => Some(format!("expected {code}, got {error:?}")),
        (Expected::Error(code), Ok(_)) => Some(format!("expected {code}, got {:?}", rows.rows)),
        (_, Err(error)) => Some(format!("{error:?}")),
        (Expected::Rows(expected), Ok(_)) => {
            let got: Vec<String> = rows
                .rows
                .iter()
                .map(|row| {
                    let values: Vec<&str> = row.iter().map(|v| v.as_deref().unwrap_or("NULL")).collect();
                    values.join("|")
                })
                .collect();
            let got = got.join("\n");
            let same = got == *expected || (any_order && sorted(&got) == sorted(expected));
            (!same).then(|| format!("expected\n{expected}\ngot\n{got}"))
        }
    }
}

/// The files whose names contain `wanted`, in order.
fn files(wanted: &str) -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/slt");
    let mut files: Vec<PathBuf> = std::fs::read_dir(&directory)
        .expect("the directory is there")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "slt"))
        .filter(|path| path.to_string_lossy().contains(wanted))
        .collect();
    files.sort();
    files
}

/// Runs a file on a new database in which `setup` was run first: how many records it has, those that failed, how many
/// bytes were spilled, and how often a thread had help.
fn run(path: &Path, setup: &[String]) -> (usize, Vec<String>, u64, u64) {
    let text = std::fs::read_to_string(path).expect("the file is readable");
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let instance = open(&Env::in_memory());
    let mut session = instance.session("postgres", "postgres").expect("a session");
    for sql in setup {
        session.simple_query(sql, &mut Rows::default()).expect("a setting");
    }
    // Spilled rows come out partition by partition, those of several threads as they come, and other methods and plans
    // give other orders.
    let orders = ["force_spill", "work_mem", "parallel", "enable_", "disabled_rules"];
    let any_order = setup.iter().any(|sql| orders.iter().any(|part| sql.contains(part)));
    let records = parse(&text);
    // A plan shows how it is run.
    let is_plan = |record: &Record| record.sql.to_ascii_lowercase().starts_with("explain");
    let failed = |record: &Record| {
        let problem = check(&mut session, record, any_order)?;
        if !setup.is_empty() && is_plan(record) {
            return None;
        }
        Some(format!("{name}:{} {setup:?}: {}\n{problem}\n", record.line, record.sql))
    };
    let failed = records.iter().filter_map(failed).collect();
    (records.len(), failed, instance.temp_bytes_written(), instance.workers().served())
}

#[test]
fn files_give_postgresqls_answers() {
    let wanted = std::env::var("OCHRE_SLT").unwrap_or_default();
    let (mut total, mut failures) = (0, Vec::new());
    for path in files(&wanted) {
        let (records, failed, _, _) = run(&path, &[]);
        total += records;
        failures.extend(failed);
    }
    assert!(total > 0, "no record was run");
    assert!(failures.is_empty(), "{} of {total} records failed:\n{}", failures.len(), failures.join("\n"));
}

/// Every file with batches of one row; those about rewriting with little memory and each rule of the optimizer left out, too,
/// or every file with `OCHRE_SLT_RULES=all`.
#[test]
fn how_it_is_run_changes_no_answer() {
    let wanted = std::env::var("OCHRE_SLT").unwrap_or_default();
    let every_rule = std::env::var("OCHRE_SLT_RULES").is_ok_and(|rules| rules == "all");
    let little_memory = vec!["SET work_mem = '64kB'".to_owned(), "SET hash_mem_multiplier = 1".to_owned()];
    let without =
        |rule: &ochre_sql::optimize::Rule| vec![format!("SET ochre.disabled_rules = '{}'", rule.name)];
    let mut setups = vec![vec!["SET ochre.batch_rows = 1".to_owned()]];
    setups.extend(ochre_sql::optimize::RULES.iter().map(without));
    setups.push(little_memory);
    let mut failures = Vec::new();
    for path in files(&wanted) {
        let name = path.to_string_lossy();
        let of_rules = ["queries", "grouping", "rewrites", "optimizer_rules", "sub_plan_joins"]
            .iter()
            .any(|part| name.contains(part));
        let wanted = match (of_rules, every_rule) {
            (true, _) => setups.len(),
            // A file shows what `work_mem` is.
            (false, true) => setups.len() - 1,
            (false, false) => 1,
        };
        for setup in &setups[..wanted] {
            failures.extend(run(&path, setup).1);
        }
    }
    assert!(failures.is_empty(), "{} records failed:\n{}", failures.len(), failures.join("\n"));
}

/// Every file with whatever can run on several threads doing so, and with that in small batches that spill.
#[test]
fn parallel_plans_change_no_answer() {
    let wanted = std::env::var("OCHRE_SLT").unwrap_or_default();
    let parallel = || "SET debug_parallel_query = on".to_owned();
    let setups = [
        vec![parallel()],
        vec![parallel(), "SET ochre.force_spill = on".to_owned(), "SET ochre.batch_rows = 3".to_owned()],
    ];
    let (mut helped, mut failures) = (0, Vec::new());
    for path in files(&wanted) {
        for setup in &setups {
            let (_, failed, _, times) = run(&path, setup);
            failures.extend(failed);
            helped += times;
        }
    }
    assert!(helped > 0 || !wanted.is_empty(), "no thread had help");
    assert!(failures.is_empty(), "{} records failed:\n{}", failures.len(), failures.join("\n"));
}

/// Every file with the methods that the planner likes best switched off.
#[test]
fn methods_change_no_answer() {
    let wanted = std::env::var("OCHRE_SLT").unwrap_or_default();
    let off = |methods: &[&str]| methods.iter().map(|method| format!("SET enable_{method} = off")).collect();
    let setups: [Vec<String>; 4] = [
        off(&["hashjoin", "nestloop"]),
        off(&["hashjoin", "mergejoin"]),
        off(&["seqscan", "indexscan", "indexonlyscan"]),
        off(&["hashagg", "bitmapscan", "sort", "incremental_sort", "tidscan"]),
    ];
    let mut failures = Vec::new();
    // A log of triggers shows in which order MERGE came upon its rows.
    for path in files(&wanted).iter().filter(|path| !path.ends_with("triggers_more.slt")) {
        for setup in &setups {
            failures.extend(run(path, setup).1);
        }
    }
    assert!(failures.is_empty(), "{} records failed:\n{}", failures.len(), failures.join("\n"));
}

/// Every file with operators that put into temporary files what they can.
#[test]
fn spilling_changes_no_answer() {
    let wanted = std::env::var("OCHRE_SLT").unwrap_or_default();
    let (mut spilled, mut failures) = (0, Vec::new());
    for path in files(&wanted) {
        let (_, failed, bytes, _) = run(&path, &["SET ochre.force_spill = on".to_owned()]);
        failures.extend(failed);
        spilled += bytes;
    }
    assert!(failures.is_empty(), "{} records failed:\n{}", failures.len(), failures.join("\n"));
    assert!(spilled > 0 || !wanted.is_empty(), "nothing was spilled");
}
