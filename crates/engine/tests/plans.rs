//! Kept plans: a statement that comes again gives what it would give if it were planned anew.

#[allow(dead_code, reason = "each test file uses a part of what they share")]
mod common;

use ochre_env::Env;

use common::{Rows, fails, open, run, table};

/// Each text is run with several values, several times, and again with a comment in front, which no kept plan is for.
#[test]
fn texts_that_differ_in_literals_keep_their_own_answers() {
    let instance = open(&Env::in_memory());
    let mut session = instance.session("postgres", "postgres").expect("a session");
    run(
        &mut session,
        "CREATE TABLE t (id int PRIMARY KEY, a smallint, b text, c bigint, d numeric(6,2), e date)",
    );
    run(
        &mut session,
        "INSERT INTO t SELECT i, i % 7, 'text ' || i, i * 1000000000::bigint, i, date '2024-01-01' + i \
         FROM generate_series(1, 50) i",
    );
    let shapes = [
        "SELECT id, b FROM t WHERE id = {}",
        "SELECT id, {} FROM t WHERE id = 5",
        "SELECT -{}, 'x', id + {} FROM t WHERE id = 7 AND c > {}",
        "SELECT id FROM t WHERE id = 3 AND b = 'text {}'",
        "SELECT id FROM t WHERE id = 30 AND a = {}",
        "SELECT id FROM t WHERE id = '{}'",
        "SELECT id FROM t WHERE id < {} ORDER BY 1 LIMIT 3",
        "VALUES ({}), (4), (1)",
        "VALUES ({}), (4), (1) ORDER BY 1",
        "UPDATE t SET c = c + {}, e = '2025-02-{}' WHERE id = 9 RETURNING c, e",
        "SELECT count(*) FROM t WHERE id IN ({}, 2)",
        "SELECT b FROM t WHERE id = 2 GROUP BY 1",
        "SELECT {} + 2147483647",
    ];
    for shape in shapes {
        for value in ["2", "3", "3", "10", "21", "2"] {
            let text = shape.replace("{}", value);
            // The comment keeps the second text from every kept plan; what changes rows is taken back in between.
            let [kept, fresh] = [text.clone(), format!("/* */ {text}")].map(|text| {
                run(&mut session, "BEGIN");
                let mut rows = Rows::default();
                let answer = match session.simple_query(&text, &mut rows) {
                    Ok(_) => Ok((rows.rows, rows.tags)),
                    Err(error) => Err((error.sqlstate(), error.message().to_string())),
                };
                run(&mut session, "ROLLBACK");
                answer
            });
            assert_eq!(kept, fresh, "{text}");
        }
    }
}

#[test]
fn values_that_do_not_fit_fail_as_ever() {
    let instance = open(&Env::in_memory());
    let mut session = instance.session("postgres", "postgres").expect("a session");
    run(&mut session, "CREATE TABLE t (id int PRIMARY KEY, a smallint, b varchar(3))");
    for id in 1..5 {
        run(&mut session, &format!("INSERT INTO t VALUES ({id}, 1, 'abc')"));
    }
    assert_eq!(fails(&mut session, "INSERT INTO t VALUES (6, 1, 'abcd')").sqlstate().as_str(), "22001");
    assert_eq!(fails(&mut session, "INSERT INTO t VALUES (6, 70000, 'abc')").sqlstate().as_str(), "22003");
    assert_eq!(fails(&mut session, "INSERT INTO t VALUES (4, 1, 'abc')").sqlstate().as_str(), "23505");
    for id in 1..4 {
        assert_eq!(table(&mut session, &format!("SELECT b FROM t WHERE id = '{id}'")), ["abc"]);
    }
    // The place is told as ever, too.
    let place = |error: ochre_base::Error| (error.sqlstate(), error.fields().position);
    let (code, at) = place(fails(&mut session, "/* */ SELECT b FROM t WHERE id = 'one'"));
    assert_eq!(place(fails(&mut session, "SELECT b FROM t WHERE id = 'one'")), (code, at.map(|at| at - 6)));
    assert_eq!(code.as_str(), "22P02");
    assert_eq!(table(&mut session, "SELECT b FROM t WHERE id = 3000000000"), Vec::<String>::new());
}

#[test]
fn a_kept_plan_does_not_outlive_its_table() {
    let instance = open(&Env::in_memory());
    let mut session = instance.session("postgres", "postgres").expect("a session");
    for round in 0..3 {
        run(&mut session, &format!("CREATE TABLE t (id int PRIMARY KEY, a text DEFAULT 'round {round}')"));
        for id in 0..4 {
            run(&mut session, &format!("INSERT INTO t (id) VALUES ({id})"));
            let expected = format!("round {round}");
            assert_eq!(table(&mut session, &format!("SELECT a FROM t WHERE id = {id}")), [expected]);
        }
        run(&mut session, "ALTER TABLE t DROP COLUMN a");
        assert_eq!(fails(&mut session, "SELECT a FROM t WHERE id = 1").sqlstate().as_str(), "42703");
        run(&mut session, "DROP TABLE t");
        assert_eq!(fails(&mut session, "SELECT a FROM t WHERE id = 2").sqlstate().as_str(), "42P01");
    }
}
