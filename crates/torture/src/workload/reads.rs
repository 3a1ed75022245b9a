//! What clients read, compared with what the model says.
//!
//! # Columns that are kept
//! Scans that come by a third time are answered from columns that the second one has kept, while every snapshot sees all
//! rows of their blocks and nobody changes them. Among clients that change something all the time that would hardly ever be:
//! [`Workload::watch`] lets everything come to rest first.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::changes::elements;
use super::{Verdict, Workload, column};
use crate::client::TextRow;
use crate::model::{Row, Table, TableId};

/// Rows that a table is filled up with, so that columns are kept of it.
const ROWS_WATCHED: usize = 160;

/// Whether a row with this key is meant.
type Holds = dyn Fn(i64, &Row) -> bool;

/// A condition, as the statement says it and as the model does.
struct Condition {
    sql: String,
    holds: Box<Holds>,
}

/// What a query makes of the rows.
enum Wanted {
    /// These columns of them, the key first.
    Columns(Vec<usize>),
    /// How many there are, and the like.
    Totals,
}

impl Condition {
    fn new(sql: String, holds: impl Fn(i64, &Row) -> bool + 'static) -> Condition {
        Condition { sql, holds: Box::new(holds) }
    }

    fn none() -> Condition {
        Condition::new(String::new(), |_, _| true)
    }
}

impl Workload<'_> {
    /// Reads rows of some table and compares them.
    pub(super) fn read(&mut self, who: usize) -> Verdict {
        let Some((id, table)) = self.pick_table(who) else { return Ok(()) };
        let all = Wanted::Columns((0..table.columns.len()).collect());
        match self.below(10) {
            0 => self.read_table(who, id, &table, &Condition::none(), &all),
            1..8 => self.read_table(who, id, &table, &self.for_an_index(&table), &all),
            _ => self.scan(who, id, &table),
        }
    }

    /// Reads what only a look at all rows tells.
    fn scan(&mut self, who: usize, id: TableId, table: &Table) -> Verdict {
        let condition = self.for_a_scan(table);
        let v = table.column("v");
        let wanted = match self.below(10) {
            0 => Wanted::Columns((0..table.columns.len()).collect()),
            1..6 => Wanted::Columns((0..table.columns.len()).filter(|at| Some(*at) != v).collect()),
            6..8 => Wanted::Columns(vec![0, self.below(table.columns.len() as u64) as usize]),
            _ => Wanted::Totals,
        };
        self.read_table(who, id, table, &condition, &wanted)
    }

    fn read_table(
        &mut self,
        who: usize,
        id: TableId,
        table: &Table,
        condition: &Condition,
        wanted: &Wanted,
    ) -> Verdict {
        let list = match wanted {
            Wanted::Totals => "count(*), sum(n), max(id), count(a)".to_string(),
            Wanted::Columns(columns) => {
                let names: Vec<&str> = columns.iter().map(|at| table.columns[*at].name.as_str()).collect();
                names.join(", ")
            }
        };
        let clause = match condition.sql.as_str() {
            "" => String::new(),
            sql => format!(" WHERE {sql}"),
        };
        let sql = format!("SELECT {list} FROM {}{clause}", table.name);
        let answer = match self.run(who, &sql) {
            Ok(answer) => answer,
            Err(error) => return self.excuse(who, &sql, &error),
        };
        let chosen = table.rows.iter().filter(|(key, row)| (condition.holds)(**key, row));
        let compared = match wanted {
            Wanted::Columns(columns) => {
                let projected = |row: &Row| columns.iter().map(|at| row[*at].clone()).collect();
                let expected: BTreeMap<i64, Row> = chosen.map(|(key, row)| (*key, projected(row))).collect();
                compare_rows(expected.iter(), answer.rows)
            }
            Wanted::Totals => compare_totals(table, chosen.collect(), answer.rows),
        };
        compared.map_err(|what| format!("{sql}: {what}"))?;
        if condition.sql.is_empty() && self.snapshot(who).is_none() {
            let met = self.changed.get(&id).copied().unwrap_or(0);
            let client = &mut self.clients[who];
            client.met = client.met.max(met);
        }
        Ok(())
    }

    /// A condition that an index may answer.
    fn for_an_index(&self, table: &Table) -> Condition {
        let (n, s, a) = (column(table, "n"), column(table, "s"), column(table, "a"));
        let (one, other) = (self.below(12).to_string(), self.below(12).to_string());
        let has = move |row: &Row, wanted: &str| elements(&row[a]).iter().any(|element| element == wanted);
        match self.below(7) {
            0 => {
                let wanted = self.below(20).to_string();
                Condition::new(format!("n = {wanted}"), move |_, row| row[n].as_deref() == Some(&wanted))
            }
            1 => {
                let (from, to) = self.range();
                let sql = format!("id BETWEEN {from} AND {to}");
                Condition::new(sql, move |key, _| (from..=to).contains(&key))
            }
            2 => Condition::new(format!("a @> '{{{one},{other}}}'"), move |_, row| {
                has(row, &one) && has(row, &other)
            }),
            3 => Condition::new(format!("a && '{{{one},{other}}}'"), move |_, row| {
                has(row, &one) || has(row, &other)
            }),
            4 => Condition::new(format!("a <@ '{{{one},{other}}}'"), move |_, row| {
                let among = |element: &String| *element == one || *element == other;
                row[a].is_some() && elements(&row[a]).iter().all(among)
            }),
            5 => {
                let row = table.rows.get(&self.some_key(table));
                let word = row.and_then(|row| row[s].clone()).unwrap_or_else(|| "s0".into());
                let sql = format!("backwards(s) = reverse('{word}')");
                Condition::new(sql, move |_, row| row[s].as_ref() == Some(&word))
            }
            _ => {
                let wanted = self.range().0;
                Condition::new(format!("id = {wanted}"), move |key, _| key == wanted)
            }
        }
    }

    /// A condition on columns in any form that they may be kept in.
    fn for_a_scan(&self, table: &Table) -> Condition {
        let (n, s) = (column(table, "n"), column(table, "s"));
        let number = move |row: &Row| row[n].as_ref().and_then(|n| n.parse::<i64>().ok());
        let least = self.below(20) as i64;
        match self.below(8) {
            0 => Condition::new(format!("n < {least}"), move |_, row| number(row).is_some_and(|n| n < least)),
            1 => {
                let most = least + self.below(10) as i64;
                let within = move |_, row: &Row| number(row).is_some_and(|n| (least..=most).contains(&n));
                Condition::new(format!("n BETWEEN {least} AND {most}"), within)
            }
            2 => {
                let sql = format!("n <> {least} AND id >= {}", least * 20);
                let holds =
                    move |key, row: &Row| number(row).is_some_and(|n| n != least) && key >= least * 20;
                Condition::new(sql, holds)
            }
            3 => Condition::new("s LIKE 'g%'".into(), move |_, row| {
                row[s].as_ref().is_some_and(|s| s.starts_with('g'))
            }),
            4 => Condition::new(format!("s IN ('g3010', 's{least}')"), move |_, row| {
                row[s].as_ref().is_some_and(|s| **s == *"g3010" || **s == *format!("s{least}"))
            }),
            5 => {
                let at = self.below(table.columns.len() as u64) as usize;
                let sql = format!("{} IS NULL", table.columns[at].name);
                // A row whose fields are all NULL is NULL, too.
                Condition::new(sql, move |_, row| row[at].as_deref().is_none_or(|value| value == "(,)"))
            }
            _ => Condition::none(),
        }
    }

    /// Everything comes to rest; then a table is scanned again and again, and changed now and then.
    pub(super) fn watch(&mut self) -> Verdict {
        self.end_all()?;
        while !self.world().prepared.is_empty() {
            self.attempt = None;
            self.finish_prepared(0)?;
        }
        let Some((id, table)) = self.pick_table(0) else { return Ok(()) };
        if table.rows.len() < ROWS_WATCHED {
            self.fill(0, id, &table)?;
        }
        // What is not durable yet is not for every snapshot.
        self.acknowledge_all()?;
        self.run_well(0, &format!("VACUUM {}", table.name))?;
        for _ in 0..8 + self.below(8) {
            self.attempt = None;
            let who = self.below(self.clients.len() as u64) as usize;
            if self.chance(10) {
                self.turn(who)?;
            } else if let Some(table) = self.table_to_read(who, id) {
                self.scan(who, id, &table)?;
            }
            if self.chance(20) {
                self.acknowledge(who)?;
            }
        }
        Ok(())
    }

    /// A table as a client sees it, unless its transaction has failed.
    fn table_to_read(&self, who: usize, id: TableId) -> Option<Arc<Table>> {
        if self.clients[who].open.as_ref().is_some_and(|open| open.failed) {
            return None;
        }
        self.tables(who).into_iter().find(|(other, _)| *other == id).map(|(_, table)| table)
    }
}

/// Whether totals are those of these rows.
fn compare_totals(table: &Table, rows: Vec<(&i64, &Row)>, found: Vec<TextRow>) -> Verdict {
    let (n, a) = (column(table, "n"), column(table, "a"));
    let numbers: Vec<i64> = rows.iter().filter_map(|(_, row)| row[n].as_ref()?.parse().ok()).collect();
    let sum = (!numbers.is_empty()).then(|| numbers.iter().sum::<i64>().to_string());
    let largest = rows.iter().map(|(key, _)| **key).max().map(|key| key.to_string());
    let arrays = rows.iter().filter(|(_, row)| row[a].is_some()).count();
    let expected = vec![Some(rows.len().to_string()), sum, largest, Some(arrays.to_string())];
    if found == [expected.clone()] { Ok(()) } else { Err(format!("{found:?} instead of {expected:?}")) }
}

/// Whether rows that were read are those expected, in any order.
pub(crate) fn compare_rows<'r>(
    expected: impl Iterator<Item = (&'r i64, &'r Row)>,
    found: Vec<TextRow>,
) -> Verdict {
    let mut by_key: BTreeMap<i64, TextRow> = BTreeMap::new();
    for row in found {
        let key = row[0].as_deref().and_then(|text| text.parse().ok()).unwrap_or(i64::MIN);
        if by_key.insert(key, row).is_some() {
            return Err(format!("row {key} is there twice"));
        }
    }
    for (key, row) in expected {
        let Some(found) = by_key.remove(key) else { return Err(format!("row {key} is missing")) };
        let same = found.len() == row.len()
            && found.iter().zip(row.iter()).all(|(found, wanted)| found.as_deref() == wanted.as_deref());
        if !same {
            return Err(format!(
                "row {key} is {} instead of {}",
                print(found.iter().map(Option::as_deref)),
                print(row.iter().map(Option::as_deref))
            ));
        }
    }
    match by_key.pop_first() {
        Some((key, row)) => Err(format!("row {key} is there: {}", print(row.iter().map(Option::as_deref)))),
        None => Ok(()),
    }
}

fn print<'v>(values: impl Iterator<Item = Option<&'v str>>) -> String {
    let short = |value: Option<&str>| match value {
        None => "NULL".to_string(),
        Some(value) if value.len() > 40 => format!("{}… ({} bytes)", &value[..30], value.len()),
        Some(value) => value.to_string(),
    };
    values.map(short).collect::<Vec<_>>().join("|")
}
