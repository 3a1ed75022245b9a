//! What clients read, compared with what the model says.

use std::collections::BTreeMap;

use super::changes::elements;
use super::{Verdict, Workload};
use crate::client::TextRow;
use crate::model::Row;

impl Workload<'_> {
    /// Reads rows and compares them.
    pub(super) fn read(&mut self, who: usize) -> Verdict {
        let Some((id, table)) = self.pick_table(who) else { return Ok(()) };
        let name = &table.name;
        let n = table.column("n").expect("every table has it");
        let wanted = self.below(20).to_string();
        let (from, to) = self.range();
        let a = table.column("a").expect("every table has it");
        let s = table.column("s").expect("every table has it");
        let (one, other) = (self.below(12).to_string(), self.below(12).to_string());
        let some = self.some_key(&table);
        let word = table.rows.get(&some).and_then(|row| row[s].clone()).unwrap_or_else(|| "s0".into());
        let kind = self.below(8);
        let condition = match kind {
            0 => String::new(),
            1 => format!(" WHERE n = {wanted}"),
            2 => format!(" WHERE id BETWEEN {from} AND {to}"),
            3 => format!(" WHERE a @> '{{{one},{other}}}'"),
            4 => format!(" WHERE a && '{{{one},{other}}}'"),
            5 => format!(" WHERE a <@ '{{{one},{other}}}'"),
            6 => format!(" WHERE backwards(s) = reverse('{word}')"),
            _ => format!(" WHERE id = {from}"),
        };
        let sql = format!("SELECT * FROM {name}{condition}");
        let answer = match self.run(who, &sql) {
            Ok(answer) => answer,
            Err(error) => return self.excuse(who, &sql, &error),
        };
        let has = |row: &Row, wanted: &str| elements(&row[a]).iter().any(|element| element == wanted);
        let expected = table.rows.iter().filter(|(key, row)| match kind {
            0 => true,
            3 => has(row, &one) && has(row, &other),
            4 => has(row, &one) || has(row, &other),
            5 => {
                row[a].is_some()
                    && elements(&row[a]).iter().all(|element| *element == one || *element == other)
            }
            6 => row[s].as_ref() == Some(&word),
            1 => row[n].as_deref() == Some(&wanted),
            2 => (from..=to).contains(*key),
            _ => **key == from,
        });
        compare_rows(expected, answer.rows).map_err(|what| format!("{sql}: {what}"))?;
        if kind == 0 && self.snapshot(who).is_none() {
            let met = self.changed.get(&id).copied().unwrap_or(0);
            let client = &mut self.clients[who];
            client.met = client.met.max(met);
        }
        Ok(())
    }
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
