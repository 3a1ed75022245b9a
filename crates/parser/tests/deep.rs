//! Deep input: parsed, or 54001; and a tree of any depth is dropped, cloned, compared and printed.

use ochre_base::SqlState;
use ochre_parser::ast::{Expr, Name, NotExpr, Operator, P, Pos, UnaryExpr};
use ochre_parser::{parse, parse_expression};

/// Runs on a small stack, as a server's thread has it.
fn on_small_stack(run: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new()
        .stack_size(512 * 1024)
        .spawn(run)
        .expect("a thread starts")
        .join()
        .expect("deep input does not panic");
}

fn parsed_or_too_complex(sql: String) {
    on_small_stack(move || match parse(&sql) {
        Ok(statements) => {
            let copy = statements.clone();
            assert!(copy == statements);
            let printed = statements[0].stmt.to_string();
            assert!(parse(&printed).is_ok_and(|again| again[0].stmt == statements[0].stmt));
        }
        Err(error) => assert_eq!(error.sqlstate(), SqlState::STATEMENT_TOO_COMPLEX, "{error}"),
    });
}

#[test]
fn long_and_nested_statements() {
    parsed_or_too_complex(format!("SELECT 1{}", "+1".repeat(200_000)));
    parsed_or_too_complex(format!("SELECT 1{}", "::int".repeat(50_000)));
    parsed_or_too_complex(format!("SELECT {}1{}", "(".repeat(10_000), ")".repeat(10_000)));
    parsed_or_too_complex(format!("SELECT {}true", "NOT ".repeat(50_000)));
    parsed_or_too_complex(format!("SELECT {}1", "- ".repeat(50_000)));
    parsed_or_too_complex(format!("SELECT {}1", "@ ".repeat(50_000)));
    parsed_or_too_complex(format!("SELECT {}1{}", "f(".repeat(50_000), ")".repeat(50_000)));
    parsed_or_too_complex(format!("SELECT {}1{}", "(SELECT ".repeat(20_000), ")".repeat(20_000)));
    parsed_or_too_complex(format!("SELECT ARRAY{}1{}", "[".repeat(20_000), "]".repeat(20_000)));
    parsed_or_too_complex(format!("{}SELECT 1{}", "(".repeat(20_000), ")".repeat(20_000)));
    parsed_or_too_complex(format!("SELECT 1{}", " UNION SELECT 1".repeat(20_000)));
    parsed_or_too_complex(format!("SELECT 1 FROM a{}", " CROSS JOIN b".repeat(20_000)));
    parsed_or_too_complex(format!(
        "SELECT 1 FROM a{}{}",
        " JOIN b".repeat(20_000),
        " ON true".repeat(20_000)
    ));
    parsed_or_too_complex(format!("SELECT 1 FROM {}a{}", "(".repeat(20_000), ")".repeat(20_000)));
    parsed_or_too_complex(format!("SELECT CASE {}1 END", "WHEN CASE ".repeat(20_000)));
    parsed_or_too_complex(format!("SELECT 1 GROUP BY {}", "GROUPING SETS (".repeat(20_000)));
    parsed_or_too_complex(format!("{}SELECT 1{}", "WITH a AS (".repeat(20_000), ") SELECT 1".repeat(20_000)));
    parsed_or_too_complex(format!("{}SELECT 1", "CREATE SCHEMA a ".repeat(20_000)));
}

#[test]
fn moderately_deep_statements_are_parsed() {
    for sql in [
        format!("SELECT 1{}", "+1".repeat(5_000)),
        format!("SELECT {}1{}", "(".repeat(5_000), ")".repeat(5_000)),
        format!("SELECT {}true", "NOT ".repeat(5_000)),
        format!("SELECT {}true", "true AND ".repeat(100_000)),
        format!("SELECT 1 IN ({}1)", "1,".repeat(100_000)),
    ] {
        on_small_stack(move || {
            let statements = parse(&sql).expect("the statement is within the limit");
            let printed = statements[0].stmt.to_string();
            assert!(parse(&printed).expect("what is printed parses")[0].stmt == statements[0].stmt);
        });
    }
}

#[test]
fn trees_beyond_the_parsers_limit_are_dropped_and_copied() {
    on_small_stack(|| {
        let mut expr = parse_expression("x").expect("a column parses");
        for i in 0..500_000 {
            let op = Operator::plain(Name::from_static("-"));
            expr = if i % 2 == 0 {
                Expr::Unary(P::new(UnaryExpr { op, expr, pos: Pos::NONE }))
            } else {
                Expr::Not(P::new(NotExpr { expr, pos: Pos::NONE }))
            };
        }
        let copy = expr.clone();
        assert!(copy == expr);
        assert!(expr.to_string().len() > 1_000_000);
    });
}
