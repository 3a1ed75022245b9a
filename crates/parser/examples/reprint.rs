//! Prints each statement of standard input again, one to a line, or the error.

use std::io::Read;

fn main() {
    let mut sql = String::new();
    std::io::stdin().read_to_string(&mut sql).expect("standard input is text");
    match ochre_parser::parse(&sql) {
        Ok(statements) => statements.iter().for_each(|statement| println!("{};", statement.stmt)),
        Err(error) => println!("{error:?} at {:?}", error.fields().position),
    }
}
