//! Plans as text: `testdata/plans/*.sql` holds statements, each followed by the plan it must get (or its error).
//!
//! Run with `UPDATE_GOLDEN=1` to write what comes out.

mod common;

use std::fmt::Write;
use std::path::PathBuf;

use ochre_base::Oid;
use ochre_catalog::CatalogSnapshot;
use ochre_sql::PlannerSettings;
use ochre_sql::explain::{CatalogNames, ExplainFormat, ExplainOptions, Explanation, Planning, explain};

struct Names<'a>(&'a CatalogSnapshot);

impl CatalogNames for Names<'_> {
    fn namespace(&self, oid: Oid) -> Option<String> {
        self.0.namespace(oid).map(|namespace| namespace.name.to_string())
    }
}

fn render(catalog: &ochre_catalog::CatalogSnapshot, sql: &str) -> String {
    let costs = sql.contains("-- costs");
    let rules = sql.contains("-- rules");
    let settings = PlannerSettings { trace_rules: rules, ..PlannerSettings::default() };
    match common::plan_with(catalog, sql, &settings) {
        Ok(plan) => {
            let verbose = sql.contains("-- verbose");
            let format = match sql {
                sql if sql.contains("-- json") => ExplainFormat::Json,
                sql if sql.contains("-- yaml") => ExplainFormat::Yaml,
                sql if sql.contains("-- xml") => ExplainFormat::Xml,
                _ => ExplainFormat::Text,
            };
            let options = ExplainOptions { costs, verbose, rules, format, ..ExplainOptions::default() };
            let explanation = Explanation {
                plan: &plan,
                options: &options,
                catalog: &Names(catalog),
                actuals: None,
                settings: &[],
                planning: Planning::default(),
                triggers: &[],
                serialization: None,
                execution_ms: None,
            };
            explain(&explanation).join("\n")
        }
        Err(error) => {
            let fields = error.fields();
            let mut text = format!("ERROR {}: {}", fields.sqlstate, fields.message);
            if let Some(position) = fields.position {
                let _ = write!(text, " @{position}");
            }
            if let Some(detail) = &fields.detail {
                let _ = write!(text, "\nDETAIL: {detail}");
            }
            if let Some(hint) = &fields.hint {
                let _ = write!(text, "\nHINT: {hint}");
            }
            text
        }
    }
}

#[test]
fn golden_plans() {
    let catalog = common::catalog();
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testdata/plans");
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut failures = Vec::new();
    let mut seen = 0;
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(&folder).expect("test data").map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    for file in files {
        let text = std::fs::read_to_string(&file).expect("a readable file");
        let mut output = String::new();
        for block in
            text.split("\n\n").map(|block| block.trim_matches('\n')).filter(|block| !block.is_empty())
        {
            let (sql, expected) = match block.split_once("\n----\n") {
                Some((sql, expected)) => (sql, expected),
                None => (block.trim_end_matches("\n----"), ""),
            };
            if sql.lines().all(|line| line.starts_with("#")) {
                let _ = write!(output, "{block}\n\n");
                continue;
            }
            seen += 1;
            let got = render(&catalog, sql);
            if got != expected {
                failures.push(format!("{}\n{sql}\nexpected:\n{expected}\ngot:\n{got}\n", file.display()));
            }
            let _ = write!(output, "{sql}\n----\n{got}\n\n");
        }
        if update {
            std::fs::write(&file, output.trim_end().to_owned() + "\n").expect("a writable file");
        }
    }
    assert!(seen > 0, "no statements in {}", folder.display());
    assert!(update || failures.is_empty(), "{}", failures.join("\n"));
}

/// What binding and planning cost: `cargo test -p ochre-sql --release --test plans -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
fn planning_time() {
    let catalog = common::catalog();
    let session = ochre_expr::NoSession::default();
    let settings = ochre_sql::PlannerSettings::default();
    let path = [ochre_catalog::oids::PG_CATALOG, ochre_catalog::oids::PUBLIC];
    let planner = ochre_sql::Planner::new(&catalog, &path, &session, &settings);
    for sql in [
        "SELECT abalance FROM pgbench_accounts WHERE aid = 12345",
        "UPDATE pgbench_accounts SET abalance = abalance + 17 WHERE aid = 12345",
        "INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) VALUES (1, 2, 3, 4, CURRENT_TIMESTAMP)",
        "SELECT c.name, count(*) FROM customer c JOIN orders o ON o.customer = c.id GROUP BY c.id ORDER BY 2",
    ] {
        let rounds = 20_000u32;
        let begin = std::time::Instant::now();
        for _ in 0..rounds {
            std::hint::black_box(ochre_parser::parse(sql).expect("a statement"));
        }
        let parsed = begin.elapsed() / rounds;
        let statement = ochre_parser::parse(sql).expect("a statement").remove(0).stmt;
        let begin = std::time::Instant::now();
        for _ in 0..rounds {
            let mut params = ochre_sql::ParamTypes::new(&catalog, &[]);
            std::hint::black_box(planner.plan(&statement, &mut params).expect("a plan"));
        }
        println!("parse {parsed:?}, bind and plan {:?}: {sql}", begin.elapsed() / rounds);
    }
}
