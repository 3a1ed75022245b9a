//! Any text parses or fails without a panic, and what parses prints as SQL that parses to the same tree.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|sql: &str| {
    let Ok(statements) = ochre_parser::parse(sql) else { return };
    for statement in statements {
        let printed = statement.stmt.to_string();
        let again = ochre_parser::parse(&printed).expect("what is printed parses");
        assert!(again.len() == 1 && again[0].stmt == statement.stmt, "{printed}");
    }
});
