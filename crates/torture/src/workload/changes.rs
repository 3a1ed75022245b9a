//! Statements that change rows, and what they make of them.

use std::sync::Arc;

use ochre_base::SqlState;

use super::{KEYS, Verdict, Workload, column};
use crate::model::{Column, Overlay, Row, Table, TableId};

/// Keys of rows that only fill a table begin here, and so many come at once.
const FILLED_FROM: i64 = 3000;
const FILLED: i64 = 160;

/// What an update makes of a value.
type Edit = Box<dyn Fn(&Option<Arc<str>>) -> Option<Arc<str>>>;

/// A statement on rows: what it must do if it succeeds.
struct RowStatement {
    sql: String,
    table: TableId,
    effect: Vec<(i64, Option<Row>)>,
    count: usize,
    /// Whether a key is given twice.
    duplicate: bool,
}

impl Workload<'_> {
    pub(super) fn range(&self) -> (i64, i64) {
        let from = self.below(KEYS) as i64;
        (from, from + self.below(12) as i64)
    }

    pub(super) fn change_rows(&mut self, who: usize) -> Verdict {
        let Some((id, table)) = self.pick_table(who) else {
            let repeatable = self.snapshot(who).is_some();
            return if repeatable { Ok(()) } else { self.create_table(who) };
        };
        let repeatable = self.snapshot(who).is_some();
        let statement = self.row_statement(id, &table, repeatable);
        if repeatable && statement.duplicate {
            // Whether the key is still there is not for its snapshot to say.
            return Ok(());
        }
        self.perform(who, id, statement)
    }

    /// Gives a table rows that take some blocks.
    pub(super) fn fill(&mut self, who: usize, id: TableId, table: &Table) -> Verdict {
        let from = table.rows.keys().next_back().map_or(FILLED_FROM, |last| (last + 1).max(FILLED_FROM));
        let statement = self.insert_between(id, table, from, from + FILLED - 1, true);
        self.perform(who, id, statement)
    }

    fn perform(&mut self, who: usize, id: TableId, statement: RowStatement) -> Verdict {
        let begun = self.machine.fs.operations();
        let world = self.world().clone();
        if self.clients[who].open.is_none() && !statement.duplicate {
            let mut overlay = Overlay::default();
            overlay.put_rows(&world, statement.table, &statement.effect);
            self.attempt = Some(world.commit(&overlay));
        }
        let answer = match self.run(who, &statement.sql) {
            Ok(answer) => answer,
            Err(error) if error.sqlstate() == SqlState::UNIQUE_VIOLATION => {
                let newest = &self.world().tables;
                let known = |key: &i64| newest.get(&id).is_some_and(|table| table.rows.contains_key(key));
                let excused = statement.duplicate
                    || self.snapshot(who).is_some() && statement.effect.iter().any(|(key, _)| known(key));
                return if excused { Ok(()) } else { Err(format!("{}: {error:?}", statement.sql)) };
            }
            Err(error) => return self.excuse(who, &statement.sql, &error),
        };
        if statement.duplicate {
            return Err(format!("{}: a key is there twice", statement.sql));
        }
        if answer.count() != statement.count {
            return Err(format!("{}: {} instead of {} rows", statement.sql, answer.tag, statement.count));
        }
        if statement.effect.is_empty() {
            return Ok(());
        }
        match &mut self.clients[who].open {
            Some(open) => open.overlay.put_rows(&world, statement.table, &statement.effect),
            None => {
                let mut overlay = Overlay::default();
                overlay.put_rows(&world, statement.table, &statement.effect);
                self.committed(who, begun, &overlay);
            }
        }
        Ok(())
    }

    fn row_statement(&self, id: TableId, table: &Table, repeatable: bool) -> RowStatement {
        match self.below(100) {
            0..30 => self.insert(id, table),
            30..38 if !repeatable => self.insert_or_update(id, table),
            38..43 => self.insert_series(id, table),
            43..48 => self.move_key(id, table),
            48..56 => self.update_where(id, table, "n"),
            56..80 => self.update_where(id, table, "id"),
            _ => self.delete(id, table),
        }
    }

    fn insert(&self, id: TableId, table: &Table) -> RowStatement {
        let mut effect: Vec<(i64, Option<Row>)> = Vec::new();
        let mut duplicate = false;
        let mut values = Vec::new();
        for _ in 0..1 + self.below(if self.chance(20) { 20 } else { 3 }) {
            let key = self.below(KEYS) as i64;
            duplicate |= table.rows.contains_key(&key) || effect.iter().any(|(other, _)| *other == key);
            let row: Row = table.columns.iter().map(|column| self.value(column, key)).collect();
            values.push(tuple(&table.columns, &row));
            effect.push((key, Some(row)));
        }
        let sql = format!("INSERT INTO {} VALUES {}", table.name, values.join(", "));
        RowStatement { sql, table: id, count: effect.len(), effect, duplicate }
    }

    fn insert_or_update(&self, id: TableId, table: &Table) -> RowStatement {
        let key = self.below(KEYS) as i64;
        let row: Row = table.columns.iter().map(|column| self.value(column, key)).collect();
        let sql = format!(
            "INSERT INTO {} AS x VALUES {} ON CONFLICT (id) DO UPDATE SET n = x.n + 1, s = excluded.s",
            table.name,
            tuple(&table.columns, &row)
        );
        let after = match table.rows.get(&key) {
            None => row,
            Some(old) => {
                let mut new = old.to_vec();
                let (n, s) = (column(table, "n"), column(table, "s"));
                new[n] = plus_one(&old[n]);
                new[s] = row[s].clone();
                new.into()
            }
        };
        RowStatement { sql, table: id, effect: vec![(key, Some(after))], count: 1, duplicate: false }
    }

    fn insert_series(&self, id: TableId, table: &Table) -> RowStatement {
        let from = (KEYS + self.below(20) * 50) as i64;
        self.insert_between(id, table, from, from + self.below(60) as i64, self.chance(20))
    }

    /// Rows with these keys; wide ones have a value in `v`, if there is such a column.
    fn insert_between(&self, id: TableId, table: &Table, from: i64, to: i64, wide: bool) -> RowStatement {
        let v = table.column("v").filter(|_| wide);
        let (column_v, value_v) = match v {
            Some(_) => (", v", ", repeat('v' || g || ' ', 100)"),
            None => ("", ""),
        };
        let sql = format!(
            "INSERT INTO {} (id, n, s{column_v}) SELECT g, g % 13, 'g' || g{value_v} \
             FROM generate_series({from}, {to}) AS g",
            table.name
        );
        let mut effect = Vec::new();
        for key in from..=to {
            let mut row: Vec<_> = table.columns.iter().map(|column| column.default.clone()).collect();
            row[0] = text(key);
            row[column(table, "n")] = text(key % 13);
            row[column(table, "s")] = Some(format!("g{key}").into());
            if let Some(v) = v {
                row[v] = Some(format!("v{key} ").repeat(100).into());
            }
            effect.push((key, Some(row.into())));
        }
        let duplicate = table.rows.range(from..=to).next().is_some();
        RowStatement { sql, table: id, count: effect.len(), effect, duplicate }
    }

    fn move_key(&self, id: TableId, table: &Table) -> RowStatement {
        let key = self.some_key(table);
        let to = self.below(KEYS * 2) as i64;
        let sql = format!("UPDATE {} SET id = {to} WHERE id = {key}", table.name);
        let mut effect = Vec::new();
        let mut duplicate = false;
        if let Some(row) = table.rows.get(&key) {
            duplicate = to != key && table.rows.contains_key(&to);
            let mut moved = row.to_vec();
            moved[0] = text(to);
            effect.push((key, None));
            effect.push((to, Some(moved.into())));
        }
        let count = usize::from(!effect.is_empty());
        RowStatement { sql, table: id, effect, count, duplicate }
    }

    /// An update of the rows that a condition on `by` chooses.
    fn update_where(&self, id: TableId, table: &Table, by: &str) -> RowStatement {
        let n = column(table, "n");
        let (condition, chosen): (String, Vec<i64>) = if by == "n" {
            let wanted = self.below(20).to_string();
            let keys = table.rows.iter().filter(|(_, row)| row[n].as_deref() == Some(&wanted));
            (format!("n = {wanted}"), keys.map(|(key, _)| *key).collect())
        } else if self.chance(60) {
            let key = self.some_key(table);
            (format!("id = {key}"), table.rows.contains_key(&key).then_some(key).into_iter().collect())
        } else {
            let (from, to) = self.range();
            let keys = table.rows.range(from..=to).map(|(key, _)| *key);
            (format!("id BETWEEN {from} AND {to}"), keys.collect())
        };
        let target = &table.columns[1 + self.below(table.columns.len() as u64 - 1) as usize];
        let at = column(table, &target.name);
        let name = &target.name;
        let large = self.below(4000) as usize;
        let given = self.value(target, 0);
        let (set, change): (String, Edit) = match (target.ty, self.below(4)) {
            ("text", 0) => (
                format!("{name} = {name} || 'tail'"),
                Box::new(|old| old.as_ref().map(|old| format!("{old}tail").into())),
            ),
            ("text", 1) if name == "v" => (
                format!("{name} = repeat('wxyz', {large})"),
                Box::new(move |_| Some("wxyz".repeat(large).into())),
            ),
            ("pair", 0) => (format!("{name}.x = 5"), Box::new(with_x_of_five)),
            ("integer[]", 0) => (format!("{name} = array_append({name}, 7)"), Box::new(with_seven)),
            ("integer[]" | "pair", _) => {
                (format!("{name} = {}", literal(target, &given)), Box::new(move |_| given.clone()))
            }
            ("text", _) => {
                (format!("{name} = {}", literal(target, &given)), Box::new(move |_| given.clone()))
            }
            (_, 0) => (format!("{name} = {}", literal(target, &given)), Box::new(move |_| given.clone())),
            _ => (format!("{name} = {name} + 1"), Box::new(plus_one)),
        };
        let sql = format!("UPDATE {} SET {set} WHERE {condition}", table.name);
        let mut effect = Vec::new();
        for key in chosen {
            let mut row = table.rows[&key].to_vec();
            row[at] = change(&row[at]);
            effect.push((key, Some(row.into())));
        }
        RowStatement { sql, table: id, count: effect.len(), effect, duplicate: false }
    }

    fn delete(&self, id: TableId, table: &Table) -> RowStatement {
        let (from, to) = match self.below(10) {
            0 => (0, (KEYS * 10) as i64),
            1..4 => self.range(),
            _ => {
                let key = self.some_key(table);
                (key, key)
            }
        };
        let effect: Vec<_> = table.rows.range(from..=to).map(|(key, _)| (*key, None)).collect();
        let condition =
            if from == to { format!("id = {from}") } else { format!("id BETWEEN {from} AND {to}") };
        let sql = format!("DELETE FROM {} WHERE {condition}", table.name);
        RowStatement { sql, table: id, count: effect.len(), effect, duplicate: false }
    }

    /// A key that is there, mostly.
    pub(super) fn some_key(&self, table: &Table) -> i64 {
        let at = self.below(table.rows.len() as u64 + 1) as usize;
        table.rows.keys().nth(at).copied().unwrap_or(self.below(KEYS) as i64)
    }

    fn value(&self, column: &Column, key: i64) -> Option<Arc<str>> {
        match column.name.as_str() {
            _ if column.ty == "pair" => self.chance(80).then(|| self.pair()),
            "id" => text(key),
            "n" => text(self.below(20)),
            "s" => Some(format!("s{}", self.below(1000)).into()),
            "a" => match self.below(20) {
                0 => None,
                1..4 => Some("{}".into()),
                _ => Some(self.array()),
            },
            "v" => match self.below(20) {
                0..8 => None,
                8..15 => Some(self.letters(60)),
                15..19 => Some(self.letters(2500)),
                _ => Some(self.letters(20_000)),
            },
            _ if self.chance(30) => None,
            _ => text(self.below(1_000_000)),
        }
    }

    /// A value of the composite type, parts of which may be NULL.
    fn pair(&self) -> Arc<str> {
        let x = if self.chance(80) { self.below(30).to_string() } else { String::new() };
        let y = if self.chance(80) { format!("y{}", self.below(30)) } else { String::new() };
        format!("({x},{y})").into()
    }

    /// A small array of small numbers.
    fn array(&self) -> Arc<str> {
        let element = || match self.below(13) {
            12 => "NULL".to_string(),
            number => number.to_string(),
        };
        let elements: Vec<String> = (0..1 + self.below(6)).map(|_| element()).collect();
        format!("{{{}}}", elements.join(",")).into()
    }

    /// Text that does not compress.
    fn letters(&self, at_most: u64) -> Arc<str> {
        let words = self.below(at_most / 13 + 1);
        (0..words).map(|_| format!("{:013x}", self.below(1 << 52))).collect::<String>().into()
    }
}

pub(super) fn text(value: impl ToString) -> Option<Arc<str>> {
    Some(value.to_string().into())
}

fn plus_one(value: &Option<Arc<str>>) -> Option<Arc<str>> {
    value.as_ref().and_then(|value| value.parse::<i64>().ok()).and_then(|value| text(value + 1))
}

/// What `array_append(…, 7)` makes of an array.
fn with_seven(value: &Option<Arc<str>>) -> Option<Arc<str>> {
    let mut all = elements(value);
    all.push("7".to_string());
    Some(format!("{{{}}}", all.join(",")).into())
}

/// What `p.x = 5` makes of a value of the composite type.
fn with_x_of_five(value: &Option<Arc<str>>) -> Option<Arc<str>> {
    let y = value.as_deref().and_then(|value| value.split_once(',')).map_or(")", |(_, y)| y);
    Some(format!("(5,{y}").into())
}

/// The elements of an array.
pub(super) fn elements(value: &Option<Arc<str>>) -> Vec<String> {
    let inside = value.as_deref().unwrap_or_default().trim_matches(['{', '}']);
    inside.split(',').filter(|element| !element.is_empty()).map(str::to_string).collect()
}

pub(super) fn literal(column: &Column, value: &Option<Arc<str>>) -> String {
    match value {
        None => "NULL".to_string(),
        Some(value) if matches!(column.ty, "text" | "integer[]" | "pair") => format!("'{value}'"),
        Some(value) => value.to_string(),
    }
}

fn tuple(columns: &[Column], row: &Row) -> String {
    let values: Vec<String> =
        columns.iter().zip(row.iter()).map(|(column, value)| literal(column, value)).collect();
    format!("({})", values.join(", "))
}
