//! Queries beside PostgreSQL's answers, under many settings: neither the planner's choices nor batch sizes nor spilling
//! may change an answer.
//!
//! `testdata/queries.out` holds what PostgreSQL answered; `regenerate.sh` makes it.

mod common;

use std::sync::Arc;

use common::{Database, Index};
use ochre_base::{Oid, Result};
use ochre_catalog::{CatalogChange, CatalogSnapshot};
use ochre_expr::SessionContext;
use ochre_sql::{ParamTypes, Planner, PlannerSettings};
use ochre_types::{SqlType, to_text};

const SETUP: &str = include_str!("../testdata/setup.sql");
const GOLDEN: &str = include_str!("../testdata/queries.out");

struct World {
    db: Database,
    catalog: CatalogSnapshot,
    settings: PlannerSettings,
}

impl World {
    fn new(settings: PlannerSettings, work_mem_bytes: usize, batch_rows: usize) -> World {
        let mut db = Database::new();
        let numeric = SqlType::new(SqlType::NUMERIC.oid, (10 << 16 | 2) + 4);
        let (int, text) = (SqlType::INT4, SqlType::TEXT);
        let pkey = |name| Index { name, columns: &[(0, false)], included: &[], unique: true };
        let tables = [
            db.create_table(
                "emp",
                &[
                    ("id", int),
                    ("name", text),
                    ("dept", int),
                    ("salary", numeric),
                    ("hired", SqlType::DATE),
                    ("boss", int),
                ],
                &[
                    pkey("emp_pkey"),
                    Index { name: "emp_dept", columns: &[(2, false)], included: &[], unique: false },
                    Index {
                        name: "emp_salary",
                        columns: &[(3, true), (0, false)],
                        included: &[],
                        unique: false,
                    },
                ],
            ),
            db.create_table(
                "dept",
                &[("id", int), ("title", text), ("budget", SqlType::INT8)],
                &[pkey("dept_pkey")],
            ),
            db.create_table(
                "big",
                &[("id", int), ("k", int), ("v", text)],
                &[
                    pkey("big_pkey"),
                    Index { name: "big_k", columns: &[(1, false)], included: &[], unique: false },
                ],
            ),
            db.create_table("n", &[("a", int), ("b", int)], &[]),
            db.create_table("empty", &[("a", int), ("b", text)], &[]),
        ];
        let mut catalog = CatalogSnapshot::new(Oid(5));
        for table in tables {
            catalog.apply(&CatalogChange::PutRelation(table));
        }
        let mut world = World { db, catalog, settings };
        for line in SETUP.lines().filter(|line| line.starts_with("INSERT")) {
            world.run(line).unwrap_or_else(|error| panic!("{line}: {error:?}"));
        }
        (world.db.work_mem_bytes, world.db.batch_rows) = (work_mem_bytes, batch_rows);
        world
    }

    /// A statement's rows as psql prints them.
    fn run(&self, sql: &str) -> Result<Vec<String>> {
        let statements = ochre_parser::parse(sql)?;
        let path = [Oid(11), Oid(2200)];
        let planner = Planner::new(&self.catalog, &path, &self.db.session, &self.settings);
        let plan = planner.plan(&statements[0].stmt, &mut ParamTypes::none())?;
        let plan = Arc::new(plan);
        let (rows, _) = self.db.run_with(&plan, &[])?;
        let format = self.db.session.format();
        let line = |row: Vec<ochre_types::Datum>| {
            let values: Vec<String> = row
                .iter()
                .zip(&plan.row_shape)
                .map(|(value, column)| match value.is_null() {
                    true => "NULL".to_owned(),
                    false => to_text(column.ty, value, format).unwrap(),
                })
                .collect();
            values.join("|")
        };
        Ok(rows.into_iter().map(line).collect())
    }
}

/// Each statement with PostgreSQL's rows.
fn golden() -> Vec<(&'static str, Vec<&'static str>)> {
    let mut cases: Vec<(&str, Vec<&str>)> = Vec::new();
    for line in GOLDEN.lines() {
        match (line.strip_prefix("> "), cases.last_mut()) {
            (Some(statement), _) => cases.push((statement, Vec::new())),
            (None, Some((_, rows))) => rows.push(line),
            (None, None) => panic!("the golden file begins with a statement"),
        }
    }
    cases
}

/// Whether the statement says in which order its rows come.
fn is_ordered(sql: &str) -> bool {
    sql.rfind("ORDER BY").is_some_and(|at| !sql[at..].contains(')')) || sql.contains("FROM generate_series")
}

fn check(settings: PlannerSettings, work_mem_bytes: usize, batch_rows: usize) -> World {
    let world = World::new(settings, work_mem_bytes, batch_rows);
    let mut failures = Vec::new();
    for (sql, expected) in golden() {
        let answer = world.run(sql);
        let wrong = match &answer {
            Err(error) => Some(format!("{error:?}")),
            Ok(rows) => {
                let mut rows: Vec<&str> = rows.iter().map(String::as_str).collect();
                let mut expected = expected;
                if !is_ordered(sql) {
                    rows.sort_unstable();
                    expected.sort_unstable();
                }
                (rows != expected)
                    .then(|| format!("got\n{}\nexpected\n{}", rows.join("\n"), expected.join("\n")))
            }
        };
        if let Some(wrong) = wrong {
            failures.push(format!("{sql}\n{wrong}\n"));
        }
    }
    assert!(failures.is_empty(), "{} wrong answers\n{}", failures.len(), failures.join("\n"));
    world
}

const PLENTY: usize = 64 << 20;

fn without(change: impl FnOnce(&mut PlannerSettings)) -> PlannerSettings {
    let mut settings = PlannerSettings::default();
    change(&mut settings);
    settings
}

#[test]
fn as_planned() {
    check(PlannerSettings::default(), PLENTY, 2048);
}

#[test]
fn row_by_row() {
    check(PlannerSettings::default(), PLENTY, 1);
}

#[test]
fn with_everything_spilling() {
    let world = check(PlannerSettings::default(), 1000, 2048);
    let written = world.db.temp.bytes_written();
    assert!(written > 10_000, "{written} bytes were spilled");
}

#[test]
fn without_hash_joins_and_hash_aggregates() {
    check(without(|s| (s.enable_hashjoin, s.enable_hashagg) = (false, false)), PLENTY, 100);
}

#[test]
fn with_nested_loops_only() {
    check(without(|s| (s.enable_hashjoin, s.enable_mergejoin) = (false, false)), PLENTY, 2048);
}

#[test]
fn with_hash_joins_only_and_spilling() {
    check(without(|s| (s.enable_nestloop, s.enable_mergejoin) = (false, false)), 1000, 64);
}

#[test]
fn without_indexes() {
    let settings = without(|s| {
        (s.enable_indexscan, s.enable_indexonlyscan, s.enable_bitmapscan) = (false, false, false);
    });
    check(settings, PLENTY, 2048);
}

#[test]
fn with_indexes_wherever_possible() {
    check(without(|s| (s.enable_seqscan, s.enable_bitmapscan) = (false, false)), PLENTY, 7);
}

#[test]
fn with_bitmaps_wherever_possible() {
    check(
        without(|s| (s.enable_seqscan, s.enable_indexscan, s.enable_indexonlyscan) = (false, false, false)),
        PLENTY,
        2048,
    );
}
