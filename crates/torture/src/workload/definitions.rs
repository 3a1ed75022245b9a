//! Statements that change what tables are, and such as change nothing that the model sees.

use std::collections::BTreeMap;

use ochre_base::SqlState;

use super::changes::text;
use super::{MAX_TABLES, Verdict, Workload, column};
use crate::model::{Change, Column, Overlay, Role, Table, TableId};

const MAX_ROLES: usize = 4;
/// The partitions of a table that has some, with the keys that they take.
const PARTITIONS: [(&str, &str); 3] = [
    ("low", "FOR VALUES FROM (MINVALUE) TO (150)"),
    ("middle", "FOR VALUES FROM (150) TO (500)"),
    ("rest", "DEFAULT"),
];

impl Workload<'_> {
    /// VACUUM and the like: nothing that the model sees.
    pub(super) fn tend(&mut self, who: usize) -> Verdict {
        let Some((_, table)) = self.pick_table(who) else { return Ok(()) };
        let verb = ["VACUUM", "ANALYZE", "VACUUM FULL", "VACUUM ANALYZE"][self.below(4) as usize];
        let sql = format!("{verb} {}", table.name);
        match self.run(who, &sql) {
            Ok(_) => Ok(()),
            // It waits for older snapshots and says so.
            Err(error) if verb == "VACUUM FULL" && error.sqlstate() == SqlState::FEATURE_NOT_SUPPORTED => {
                Ok(())
            }
            Err(error) => self.excuse(who, &sql, &error),
        }
    }

    pub(super) fn change_table(&mut self, who: usize) -> Verdict {
        let tables = self.tables(who);
        if tables.is_empty() || tables.len() < MAX_TABLES && self.chance(25) {
            return self.create_table(who);
        }
        let (id, table) = &tables[self.below(tables.len() as u64) as usize];
        let mut new = Table::clone(table);
        let name = table.name.clone();
        let spare: Vec<&Column> = table
            .columns
            .iter()
            .filter(|column| !matches!(column.name.as_str(), "id" | "n" | "s" | "a"))
            .collect();
        let sql = match self.below(100) {
            0..8 if tables.len() > 1 => {
                return self.replace_table(who, *id, &format!("DROP TABLE {name}"), None);
            }
            8..20 => {
                new.rows.clear();
                new.shape += 1;
                format!("TRUNCATE {name}")
            }
            20..35 if table.columns.len() < 10 => {
                let column = format!("c{}", self.names.next());
                let (ty, default) = if self.chance(25) {
                    ("pair", Some("(8,new)".into()))
                } else {
                    ("integer", text(self.below(100)))
                };
                let default = default.filter(|_| self.chance(60));
                new.columns.push(Column { name: column.clone(), ty, default: default.clone() });
                for row in new.rows.values_mut() {
                    let mut values = row.to_vec();
                    values.push(default.clone());
                    *row = values.into();
                }
                new.shape += 1;
                let clause = default.map(|value| format!(" DEFAULT '{value}'")).unwrap_or_default();
                format!("ALTER TABLE {name} ADD COLUMN {column} {ty}{clause}")
            }
            35..43 if !spare.is_empty() => {
                let column = spare[self.below(spare.len() as u64) as usize].name.clone();
                let at = self::column(table, &column);
                new.columns.remove(at);
                for row in new.rows.values_mut() {
                    let mut values = row.to_vec();
                    values.remove(at);
                    *row = values.into();
                }
                new.shape += 1;
                format!("ALTER TABLE {name} DROP COLUMN {column}")
            }
            43..48 if table.columns[self::column(table, "n")].ty == "integer" => {
                let at = self::column(table, "n");
                new.columns[at].ty = "bigint";
                new.shape += 1;
                format!("ALTER TABLE {name} ALTER COLUMN n TYPE bigint")
            }
            48..55 => {
                new.name = format!("t{}", self.names.next());
                format!("ALTER TABLE {name} RENAME TO {}", new.name)
            }
            55..61 if table.partitioned => {
                let (part, bounds) = PARTITIONS[self.below(3) as usize];
                let part = format!("p{}_{part}", id.0);
                new.shape += 1;
                format!(
                    "ALTER TABLE {name} DETACH PARTITION {part}; ALTER TABLE {name} ATTACH PARTITION {part} {bounds}"
                )
            }
            55..70 if table.indexes.len() > 1 => {
                let indexes: Vec<&String> =
                    table.indexes.iter().filter(|index| !index.ends_with("_pkey")).collect();
                let Some(index) = indexes.first() else { return Ok(()) };
                new.indexes.remove(*index);
                format!("DROP INDEX {index}")
            }
            // Two can build indexes of one table at once; the model has one change of a table at a time.
            _ if table.indexes.len() < 6 && !self.others_change(who, *id) => {
                let index = format!("i{}", self.names.next());
                new.indexes.insert(index.clone());
                self.create_index(&index, &name)
            }
            _ => return Ok(()),
        };
        self.replace_table(who, *id, &sql, Some(new))
    }

    /// Whether another open or prepared transaction has changed a table by DDL.
    fn others_change(&self, who: usize, id: TableId) -> bool {
        self.others(who).any(|overlay| matches!(overlay.tables.get(&id), Some(Change::Whole(_))))
    }

    /// What other open and prepared transactions have done.
    fn others(&self, who: usize) -> impl Iterator<Item = &Overlay> {
        let others = self.clients.iter().enumerate().filter(move |(at, _)| *at != who);
        let open = others.filter_map(|(_, client)| client.open.as_ref().map(|open| &open.overlay));
        open.chain(self.world().prepared.values().map(|overlay| &**overlay))
    }

    fn create_index(&self, index: &str, table: &str) -> String {
        match self.below(10) {
            0 => format!("CREATE INDEX {index} ON {table} (n)"),
            6 => format!("CREATE INDEX {index} ON {table} USING gin (a)"),
            7 => format!(
                "CREATE INDEX {index} ON {table} USING gin (a, string_to_array(s, NULL)) WHERE n < 15"
            ),
            8 => format!("CREATE INDEX {index} ON {table} (backwards(s))"),
            9 => format!("CREATE UNIQUE INDEX {index} ON {table} (backwards(s), id)"),
            1 => format!("CREATE INDEX {index} ON {table} (s, n DESC)"),
            2 => format!("CREATE UNIQUE INDEX {index} ON {table} (n, id)"),
            3 => format!("CREATE INDEX {index} ON {table} (n) WHERE n < 10"),
            4 => format!("CREATE INDEX {index} ON {table} (upper(s))"),
            _ => format!("CREATE INDEX {index} ON {table} (s) INCLUDE (n)"),
        }
    }

    pub(super) fn create_table(&mut self, who: usize) -> Verdict {
        let id = TableId(self.names.next());
        let name = format!("t{}", id.0);
        let column = |name: &str, ty| Column { name: name.into(), ty, default: None };
        let columns = vec![
            column("id", "integer"),
            column("n", "integer"),
            column("s", "text"),
            column("v", "text"),
            column("a", "integer[]"),
            column("p", "pair"),
        ];
        let indexes = [format!("{name}_pkey")].into();
        let (partitioned, readable) = (self.chance(25), self.chance(30));
        let mut sql =
            format!("CREATE TABLE {name} (id int PRIMARY KEY, n int, s text, v text, a int[], p pair)");
        if partitioned {
            sql += " PARTITION BY RANGE (id)";
            for (part, bounds) in PARTITIONS {
                sql += &format!("; CREATE TABLE p{}_{part} PARTITION OF {name} {bounds}", id.0);
            }
        }
        if readable {
            sql += &format!("; GRANT SELECT ON {name} TO readers");
        }
        let rows = BTreeMap::new();
        let table = Table { name, columns, rows, indexes, partitioned, readable, shape: 0 };
        self.replace_table(who, id, &sql, Some(table))
    }

    /// Makes a role, changes or drops it.
    pub(super) fn change_role(&mut self, who: usize) -> Verdict {
        let none = Overlay::default();
        let overlay = self.clients[who].open.as_ref().map_or(&none, |open| &open.overlay);
        let mut roles = self.world().roles(overlay);
        let count = roles.len();
        // Nobody may change what another transaction is changing.
        roles.retain(|name, _| !self.others(who).any(|other| other.roles.contains_key(name)));
        let new = count < MAX_ROLES && self.chance(40);
        let chosen = self.below(roles.len().max(1) as u64) as usize;
        let (sql, name, role) = match roles.into_iter().nth(chosen) {
            Some((name, role)) if !new => match self.below(4) {
                0 => (format!("DROP ROLE {name}"), name, None),
                1 => {
                    let verb = if role.reads { "REVOKE readers FROM" } else { "GRANT readers TO" };
                    (format!("{verb} {name}"), name, Some(Role { reads: !role.reads, ..role }))
                }
                _ => {
                    let word = if role.login { "NOLOGIN" } else { "LOGIN" };
                    (format!("ALTER ROLE {name} {word}"), name, Some(Role { login: !role.login, ..role }))
                }
            },
            _ if count < MAX_ROLES => {
                let name = format!("u{}", self.names.next());
                let role = Role { login: self.chance(50), reads: self.chance(50) };
                let login = if role.login { " LOGIN" } else { "" };
                let member = if role.reads { " IN ROLE readers" } else { "" };
                (format!("CREATE ROLE {name}{login}{member}"), name, Some(role))
            }
            _ => return Ok(()),
        };
        let mut change = Overlay::default();
        change.roles.insert(name, role);
        self.define(who, &sql, change)
    }

    /// Runs DDL that makes a table another one.
    fn replace_table(&mut self, who: usize, id: TableId, sql: &str, table: Option<Table>) -> Verdict {
        let mut change = Overlay::default();
        change.put_table(id, table);
        self.define(who, sql, change)
    }

    /// Runs a statement that changes definitions.
    fn define(&mut self, who: usize, sql: &str, change: Overlay) -> Verdict {
        let begun = self.machine.fs.operations();
        if self.clients[who].open.is_none() {
            self.attempt = Some(self.world().commit(&change));
        }
        if let Err(error) = self.run(who, sql) {
            return self.excuse(who, sql, &error);
        }
        match &mut self.clients[who].open {
            Some(open) => open.overlay.put_definitions(change),
            None => self.committed(who, begun, &change),
        }
        Ok(())
    }
}
