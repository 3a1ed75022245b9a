//! The shell's backslash commands. What they show of the database they ask the catalogs, on any client.

use std::io::BufReader;

use ochre_base::Result;

use super::screen::{Rows, show, show_error};
use super::{Input, Running};

const HELP: &str = "\\d [NAME]          tables, views and sequences; columns, indexes and constraints of one
\\dt \\dv \\di \\ds    tables; views; indexes; sequences; each with a PATTERN, if you like
\\df [PATTERN]      functions
\\dn \\du \\l         schemas; roles; databases
\\c NAME            connect to another database
\\conninfo          where you are connected
\\timing            show the time of each statement, or stop
\\x                 show a line a value, or stop
\\i FILE            run a script
\\echo TEXT         print a line
\\h                 SQL commands
\\q                 leave
";

const SQL_COMMANDS: &str = "ALTER TABLE, ALTER SEQUENCE, ANALYZE, BEGIN, COMMENT, COMMIT, COPY, CREATE DATABASE,
CREATE INDEX, CREATE ROLE, CREATE SCHEMA, CREATE SEQUENCE, CREATE TABLE, CREATE TABLE AS, DELETE, DROP, EXECUTE, EXPLAIN,
INSERT, LOCK, PREPARE, RESET, ROLLBACK, SAVEPOINT, SELECT, SET, SHOW, TRUNCATE, UPDATE, VACUUM, VALUES, WITH
";

impl Running {
    /// Runs a backslash command.
    pub(super) fn command(&mut self, line: &str) -> Result<()> {
        let (command, argument) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let argument = argument.trim().trim_end_matches(';');
        match command {
            "\\q" => self.quit = true,
            "\\?" => show(HELP),
            "\\h" => show(SQL_COMMANDS),
            "\\echo" => show(&format!("{argument}\n")),
            "\\timing" => {
                self.screen.timing = toggled(self.screen.timing, argument);
                show(&format!("Timing is {}.\n", on_or_off(self.screen.timing)));
            }
            "\\x" => {
                self.screen.expanded = toggled(self.screen.expanded, argument);
                show(&format!("Expanded display is {}.\n", on_or_off(self.screen.expanded)));
            }
            "\\i" => return self.script(argument),
            "\\c" => self.switch_database(argument),
            "\\conninfo" => {
                let (database, user) = self.client.names();
                let line = format!("You are connected to database \"{database}\" as user \"{user}\".\n");
                show(&line);
            }
            "\\d" if !argument.is_empty() => return self.describe(argument),
            "\\d" => return self.relations("'r', 'v', 'm', 'S'", argument),
            "\\dt" => return self.relations("'r'", argument),
            "\\dv" => return self.relations("'v', 'm'", argument),
            "\\di" => return self.relations("'i'", argument),
            "\\ds" => return self.relations("'S'", argument),
            "\\df" => return self.functions(argument),
            "\\l" => {
                return self.query(
                    "SELECT datname AS name, pg_catalog.pg_get_userbyid(datdba) AS owner, \
                     pg_catalog.pg_encoding_to_char(encoding) AS encoding \
                     FROM pg_catalog.pg_database ORDER BY 1",
                );
            }
            "\\dn" => {
                return self.query(
                    "SELECT nspname AS name, pg_catalog.pg_get_userbyid(nspowner) AS owner \
                     FROM pg_catalog.pg_namespace \
                     WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' ORDER BY 1",
                );
            }
            "\\du" => {
                return self.query(
                    "SELECT rolname AS role, rolsuper AS superuser, rolcreatedb AS \"create database\", \
                     rolcreaterole AS \"create role\", rolcanlogin AS login \
                     FROM pg_catalog.pg_roles WHERE rolname !~ '^pg_' ORDER BY 1",
                );
            }
            other => self.complain(&format!("invalid command {other}\nTry \\? for help.")),
        }
        Ok(())
    }

    /// Shows what a query of the shell's own gives.
    fn query(&mut self, sql: &str) -> Result<()> {
        let timing = std::mem::replace(&mut self.screen.timing, false);
        let result = self.statement(sql, &mut Input::text(String::new()));
        self.screen.timing = timing;
        result
    }

    /// The relations of some kinds: those found without their schema, or those that a pattern fits.
    fn relations(&mut self, kinds: &str, pattern: &str) -> Result<()> {
        let condition = match pattern {
            "" => "n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')".to_string(),
            pattern => matching(pattern, "n.nspname", "c.relname", "pg_catalog.pg_table_is_visible(c.oid)"),
        };
        self.query(&format!(
            "SELECT n.nspname AS schema, c.relname AS name, \
             CASE c.relkind WHEN 'r' THEN 'table' WHEN 'i' THEN 'index' WHEN 'S' THEN 'sequence' \
             WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' END AS type, \
             pg_catalog.pg_get_userbyid(c.relowner) AS owner \
             FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
             WHERE c.relkind IN ({kinds}) AND {condition} ORDER BY 1, 2"
        ))
    }

    fn functions(&mut self, pattern: &str) -> Result<()> {
        let condition = match pattern {
            "" => "n.nspname NOT IN ('pg_catalog', 'information_schema')".to_string(),
            pattern => {
                matching(pattern, "n.nspname", "p.proname", "pg_catalog.pg_function_is_visible(p.oid)")
            }
        };
        self.query(&format!(
            "SELECT n.nspname AS schema, p.proname AS name, \
             pg_catalog.pg_get_function_result(p.oid) AS result, \
             pg_catalog.pg_get_function_arguments(p.oid) AS arguments \
             FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace \
             WHERE {condition} ORDER BY 1, 2, 4"
        ))
    }

    fn script(&mut self, path: &str) -> Result<()> {
        match std::fs::File::open(path) {
            Ok(file) => self.read(&mut Input::Lines(Box::new(BufReader::new(file))), false),
            Err(error) => {
                self.complain(&format!("{path}: {error}"));
                Ok(())
            }
        }
    }

    fn switch_database(&mut self, name: &str) {
        match name {
            "" => self.complain("\\c: the name of a database is missing"),
            name => match self.client.switch_database(name) {
                Ok(()) => {
                    show(&format!("You are now connected to database \"{name}\".\n"));
                    self.refresh_names();
                }
                Err(error) => {
                    self.failed = true;
                    show_error(&error, "");
                }
            },
        }
    }

    /// `\d NAME`.
    fn describe(&mut self, name: &str) -> Result<()> {
        let literal = format!("{}::pg_catalog.regclass", literal(name));
        let failed = std::mem::replace(&mut self.failed, false);
        self.query(&format!(
            "SELECT a.attname AS column, pg_catalog.format_type(a.atttypid, a.atttypmod) AS type, \
             CASE WHEN a.attnotnull THEN 'not null' ELSE '' END AS nullable, \
             CASE WHEN a.attidentity = 'a' THEN 'generated always as identity' \
                  WHEN a.attidentity = 'd' THEN 'generated by default as identity' \
                  ELSE coalesce(pg_catalog.pg_get_expr(d.adbin, d.adrelid), '') END AS default \
             FROM pg_catalog.pg_attribute a \
             LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum \
             WHERE a.attrelid = {literal} AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum"
        ))?;
        let unknown = std::mem::replace(&mut self.failed, failed);
        if unknown {
            self.failed = true;
            return Ok(());
        }
        self.list(
            "Indexes:",
            &format!(
                "SELECT '\"' || i.relname || '\"' || CASE WHEN x.indisprimary THEN ' PRIMARY KEY,' \
                 WHEN c.contype = 'u' THEN ' UNIQUE CONSTRAINT,' WHEN x.indisunique THEN ' UNIQUE,' ELSE '' END \
                 || ' ' || pg_catalog.substring(pg_catalog.pg_get_indexdef(i.oid), ' USING (.*)$') \
                 FROM pg_catalog.pg_index x JOIN pg_catalog.pg_class i ON i.oid = x.indexrelid \
                 LEFT JOIN pg_catalog.pg_constraint c ON c.conindid = i.oid AND c.contype IN ('p', 'u') \
                 WHERE x.indrelid = {literal} ORDER BY x.indisprimary DESC, i.relname"
            ),
        );
        for (title, kind) in [("Check constraints:", 'c'), ("Foreign-key constraints:", 'f')] {
            self.list(
                title,
                &format!(
                    "SELECT '\"' || conname || '\" ' || pg_catalog.pg_get_constraintdef(oid) \
                     FROM pg_catalog.pg_constraint WHERE conrelid = {literal} AND contype = '{kind}' ORDER BY conname"
                ),
            );
        }
        Ok(())
    }

    /// Prints the rows of a query with one column, indented under a title.
    fn list(&mut self, title: &str, sql: &str) {
        let mut rows = Rows::default();
        match self.client.run(sql, &mut rows, &mut || Ok(None)) {
            Ok(()) if rows.0.is_empty() => {}
            Ok(()) => {
                show(&format!("{title}\n"));
                rows.0.iter().flatten().flatten().for_each(|line| show(&format!("    {line}\n")));
            }
            Err(error) => {
                self.failed = true;
                show_error(&error, sql);
            }
        }
    }
}

fn toggled(now: bool, argument: &str) -> bool {
    match argument {
        "on" => true,
        "off" => false,
        _ => !now,
    }
}

fn on_or_off(flag: bool) -> &'static str {
    if flag { "on" } else { "off" }
}

/// A text as a constant.
fn literal(text: &str) -> String {
    if text.contains('\\') {
        return format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''"));
    }
    format!("'{}'", text.replace('\'', "''"))
}

/// The condition that psql's pattern stands for: `*` is any text, `?` any character, a dot parts schema and name, what
/// is not in double quotes is lower case. Without a schema, only what is found without one.
fn matching(pattern: &str, schema_column: &str, name_column: &str, visible: &str) -> String {
    let mut parts = vec![String::new()];
    let mut quoted = false;
    for c in pattern.chars() {
        let last = parts.last_mut().expect("there is a first part");
        match c {
            '"' => quoted = !quoted,
            '.' if !quoted => parts.push(String::new()),
            '*' if !quoted => last.push_str(".*"),
            '?' if !quoted => last.push('.'),
            c if c.is_alphanumeric() || c == '_' => {
                if quoted {
                    last.push(c);
                } else {
                    last.extend(c.to_lowercase());
                }
            }
            c => {
                last.push('\\');
                last.push(c);
            }
        }
    }
    let fits = |column: &str, part: &str| {
        format!(
            "{column} OPERATOR(pg_catalog.~) {} COLLATE pg_catalog.\"default\"",
            literal(&format!("^({part})$"))
        )
    };
    match &parts[..] {
        [name] => format!("{} AND {visible}", fits(name_column, name)),
        [.., schema, name] => format!("{} AND {}", fits(schema_column, schema), fits(name_column, name)),
        [] => "true".to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_psqls() {
        let condition = |pattern| {
            matching(pattern, "s", "n", "v")
                .replace(" OPERATOR(pg_catalog.~)", " ~")
                .replace(" COLLATE pg_catalog.\"default\"", "")
        };
        assert_eq!(condition("Emp*"), "n ~ '^(emp.*)$' AND v");
        assert_eq!(condition("pub?ic.\"E.x\""), "s ~ '^(pub.ic)$' AND n ~ E'^(E\\\\.x)$'");
    }
}
