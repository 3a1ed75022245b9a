//! Completion of keywords and names at the prompt.

use std::cell::RefCell;
use std::rc::Rc;

use ochre_parser::Kw;
use rustyline::completion::{Completer, FilenameCompleter, Pair};
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::validate::Validator;
use rustyline::{Context, Helper};

/// The names in a database, as they were when they were last asked for.
#[derive(Debug, Default)]
pub(crate) struct Names {
    /// Schema, relation, whether it is found without its schema, and its columns.
    pub(crate) relations: Vec<Relation>,
    pub(crate) schemas: Vec<String>,
}

#[derive(Debug)]
pub(crate) struct Relation {
    pub(crate) schema: String,
    pub(crate) name: String,
    pub(crate) visible: bool,
    pub(crate) columns: Vec<String>,
}

/// What [`Names`] are made from: schema, relation, visibility, columns.
pub(crate) const NAMES_QUERY: &str = "SELECT n.nspname, c.relname, pg_catalog.pg_table_is_visible(c.oid), \
     pg_catalog.array_to_string(ARRAY(SELECT a.attname FROM pg_catalog.pg_attribute a \
     WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum), E'\\n') \
     FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
     WHERE c.relkind IN ('r', 'v', 'm', 'S', 'p', 'f')";

impl Names {
    /// From the rows of [`NAMES_QUERY`].
    pub(crate) fn from_rows(rows: &[Vec<Option<String>>]) -> Names {
        let mut names = Names::default();
        for row in rows {
            let [Some(schema), Some(name), Some(visible), columns] = &row[..] else { continue };
            names.relations.push(Relation {
                schema: schema.clone(),
                name: name.clone(),
                visible: visible == "t",
                columns: columns.iter().flat_map(|columns| columns.split('\n')).map(str::to_string).collect(),
            });
            names.schemas.push(schema.clone());
        }
        names.schemas.sort_unstable();
        names.schemas.dedup();
        names
    }
}

/// Words after which a relation is wanted.
const BEFORE_RELATIONS: [&str; 7] = ["from", "join", "into", "update", "table", "truncate", "analyze"];
const COMMANDS: [&str; 18] = [
    "\\?",
    "\\c",
    "\\conninfo",
    "\\d",
    "\\df",
    "\\di",
    "\\dn",
    "\\ds",
    "\\dt",
    "\\du",
    "\\dv",
    "\\h",
    "\\i",
    "\\l",
    "\\q",
    "\\timing",
    "\\x",
    "\\echo",
];

/// What may stand in place of the word that ends a text: where the word begins, and the candidates, sorted.
pub(crate) fn candidates(names: &Names, text: &str) -> (usize, Vec<String>) {
    let start = text
        .char_indices()
        .rev()
        .take_while(|(_, c)| c.is_alphanumeric() || matches!(c, '_' | '.' | '\\' | '"' | '$' | '?'))
        .last()
        .map_or(text.len(), |(at, _)| at);
    let (before, word) = text.split_at(start);
    let mut found: Vec<String> = Vec::new();
    if word.starts_with('\\') {
        if before.trim().is_empty() {
            found.extend(COMMANDS.iter().filter(|c| c.starts_with(word)).map(|c| c.to_string()));
        }
        return (start, found);
    }
    if word.contains('"') || in_quotes(before) {
        return (start, found);
    }
    let lower = word.to_lowercase();
    if let Some((qualifier, prefix)) = lower.rsplit_once('.') {
        let own = qualifier.rsplit('.').next().unwrap_or(qualifier);
        for relation in &names.relations {
            if relation.schema == qualifier && relation.name.starts_with(prefix) {
                found.push(format!("{qualifier}.{}", quoted(&relation.name)));
            }
            if relation.name == own && (relation.visible || qualifier.contains('.')) {
                let columns = relation.columns.iter().filter(|column| column.starts_with(prefix));
                found.extend(columns.map(|column| format!("{qualifier}.{}", quoted(column))));
            }
        }
    } else {
        let before_word = before.split_whitespace().next_back().unwrap_or_default().to_lowercase();
        let wants_relation =
            BEFORE_RELATIONS.contains(&before_word.as_str()) || before.trim_start().starts_with('\\');
        for relation in names.relations.iter().filter(|relation| relation.visible) {
            // The catalogs' columns would drown the user's.
            if !wants_relation && relation.schema != "pg_catalog" {
                let columns = relation.columns.iter().filter(|column| column.starts_with(&lower));
                found.extend(columns.map(|column| quoted(column)));
            }
            if relation.name.starts_with(&lower) && (wants_relation || relation.schema != "pg_catalog") {
                found.push(quoted(&relation.name));
            }
        }
        found.extend(
            names.schemas.iter().filter(|s| s.starts_with(&lower)).map(|s| format!("{}.", quoted(s))),
        );
        if !wants_relation && !word.is_empty() {
            let upper = word.starts_with(|c: char| c.is_uppercase());
            let keywords = Kw::ALL.iter().map(|keyword| keyword.as_str());
            found.extend(
                keywords
                    .filter(|keyword| keyword.starts_with(&lower))
                    .map(|keyword| if upper { keyword.to_uppercase() } else { keyword.to_string() }),
            );
        }
    }
    found.sort_unstable();
    found.dedup();
    (start, found)
}

/// Whether a text ends within a quoted constant.
fn in_quotes(text: &str) -> bool {
    text.matches('\'').count() % 2 == 1
}

/// A name as it must be written.
fn quoted(name: &str) -> String {
    let plain = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '$');
    if plain { name.to_string() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

/// The line editor's view of it.
pub(crate) struct Completion {
    pub(crate) names: Rc<RefCell<Names>>,
    files: FilenameCompleter,
}

impl Completion {
    pub(crate) fn new(names: Rc<RefCell<Names>>) -> Completion {
        Completion { names, files: FilenameCompleter::new() }
    }
}

impl Completer for Completion {
    type Candidate = Pair;

    fn complete(
        &self,
        line: &str,
        position: usize,
        context: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<Pair>)> {
        if line.starts_with("\\i ") {
            return self.files.complete(line, position, context);
        }
        let (start, found) = candidates(&self.names.borrow(), &line[..position]);
        let pair = |text: String| Pair { display: text.clone(), replacement: text };
        Ok((start, found.into_iter().map(pair).collect()))
    }
}

impl Hinter for Completion {
    type Hint = String;
}
impl Highlighter for Completion {}
impl Validator for Completion {}
impl Helper for Completion {}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        let row = |schema: &str, name: &str, visible: &str, columns: &str| {
            [schema, name, visible, columns].iter().map(|text| Some(text.to_string())).collect()
        };
        Names::from_rows(&[
            row("public", "employees", "t", "id\nname\nSalary"),
            row("public", "Mixed", "t", "a"),
            row("sales", "orders", "f", "id\nemployee"),
            row("pg_catalog", "pg_class", "t", "oid\nrelname"),
        ])
    }

    #[test]
    fn a_word_is_completed_by_what_may_stand_there() {
        let names = names();
        for (text, expected) in [
            ("SEL", &["SELECT"][..]),
            ("sel", &["select"]),
            ("SELECT * FROM emp", &["employees"]),
            ("SELECT * FROM pg_c", &["pg_catalog.", "pg_class"]),
            ("SELECT * FROM sales.", &["sales.orders"]),
            ("SELECT employees.n", &["employees.name"]),
            ("SELECT employees.s", &[]),
            ("SELECT sales.orders.e", &["sales.orders.employee"]),
            ("SELECT nam", &["name", "names"]),
            ("SELECT 'emp", &[]),
            ("SELECT * FROM mi", &[]),
            ("\\d emp", &["employees"]),
            ("\\ti", &["\\timing"]),
            ("\\d", &["\\d", "\\df", "\\di", "\\dn", "\\ds", "\\dt", "\\du", "\\dv"]),
        ] {
            assert_eq!(candidates(&names, text).1, expected, "{text}");
        }
        assert_eq!(candidates(&names, "SELECT employees.n").0, 7);
    }
}
