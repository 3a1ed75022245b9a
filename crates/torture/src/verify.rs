//! A recovered directory against the states that it may be in.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::sync::Arc;

use ochre_base::SqlState;
use ochre_engine::{Instance, check};

use crate::client::{Answer, TextRow, connect, query};
use crate::model::{Change, Overlay, Role, Table, World};
use crate::workload::{History, Verdict, compare_rows};

const COLUMNS: &str = "SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod) FROM pg_class c \
    JOIN pg_attribute a ON a.attrelid = c.oid JOIN pg_namespace n ON n.oid = c.relnamespace \
    WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND a.attnum > 0 \
    AND NOT a.attisdropped ORDER BY c.relname, a.attnum";
const INDEXES: &str = "SELECT tablename, indexname FROM pg_indexes JOIN pg_class ON relname = tablename \
    WHERE schemaname = 'public' AND NOT relispartition";
/// Partitions, each with as many indexes as its table has.
const PARTITIONS: &str = "SELECT p.relname, c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid \
    JOIN pg_class p ON p.oid = i.inhparent WHERE c.relkind = 'r' AND c.relispartition \
    AND (SELECT count(*) FROM pg_index WHERE indrelid = c.oid) = (SELECT count(*) FROM pg_index WHERE indrelid = p.oid)";
const READABLE: &str = "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace \
    AND relkind IN ('r', 'p') AND has_table_privilege('readers', oid, 'SELECT')";
const ROLES: &str = "SELECT rolname, rolcanlogin, EXISTS (SELECT FROM pg_auth_members m \
    JOIN pg_roles g ON g.oid = m.roleid WHERE m.member = r.oid AND g.rolname = 'readers') \
    FROM pg_roles r WHERE rolname LIKE 'u%'";
const PREPARED: &str = "SELECT gid FROM pg_prepared_xacts";
/// How often the columns that are no large values are read again: the last time from kept columns, where the recovered
/// pages say that every snapshot sees their rows.
const READ_AGAIN: usize = 3;

/// What a directory holds.
struct Found {
    tables: BTreeMap<String, FoundTable>,
    prepared: BTreeSet<String>,
    roles: BTreeMap<String, Role>,
}

#[derive(Default)]
struct FoundTable {
    columns: Vec<(String, String)>,
    indexes: BTreeSet<String>,
    partitions: usize,
    readable: bool,
    /// `None` when a prepared transaction keeps readers out.
    rows: Option<Vec<TextRow>>,
}

/// Finds which of the possible states an instance is in.
///
/// # Errors
/// What is wrong, when it is none of them.
pub(crate) fn identify(
    instance: &Arc<Instance>,
    history: &History,
    possible: RangeInclusive<usize>,
    drawn: i64,
) -> Result<World, String> {
    let found = read(instance).map_err(|error| format!("reading what was recovered: {error}"))?;
    let mut reasons = Vec::new();
    for at in possible.clone().rev() {
        let world = &history.events[at].world;
        match found.compare(world) {
            Ok(()) => {
                next_number(instance, drawn)?;
                return Ok(world.clone());
            }
            Err(reason) => reasons.push(format!("not state {at}: {reason}")),
        }
    }
    // The state that it would be if a rule were broken tells most about the bug.
    for (at, event) in history.events.iter().enumerate().filter(|(at, _)| !possible.contains(at)) {
        if found.compare(&event.world).is_ok() {
            reasons.push(format!("it is state {at}"));
        }
    }
    reasons.truncate(6);
    Err(format!("what was recovered is none of the states {possible:?}:\n  {}", reasons.join("\n  ")))
}

/// The sequence goes on behind everything that was told.
fn next_number(instance: &Arc<Instance>, drawn: i64) -> Verdict {
    let mut session = connect(instance).map_err(|error| format!("{error:?}"))?;
    let answer =
        query(&mut session, "SELECT nextval('numbers')").map_err(|error| format!("nextval: {error:?}"))?;
    let next: i64 = answer.rows[0][0].as_deref().and_then(|text| text.parse().ok()).unwrap_or(0);
    if next > drawn { Ok(()) } else { Err(format!("the sequence gives {next}, and {drawn} had been told")) }
}

/// Checks an instance as `ochre check` does.
///
/// # Errors
/// What is wrong.
pub(crate) fn sound(instance: &Arc<Instance>) -> Verdict {
    let mut problems = Vec::new();
    check::check_instance(instance, &mut |problem| problems.push(format!("  {problem}")));
    if problems.is_empty() { Ok(()) } else { Err(format!("the check finds:\n{}", problems.join("\n"))) }
}

/// Whether an instance holds exactly this.
///
/// # Errors
/// What is wrong.
pub(crate) fn holds(instance: &Arc<Instance>, world: &World) -> Verdict {
    read(instance)?.compare(world)
}

fn read(instance: &Arc<Instance>) -> Result<Found, String> {
    let mut session = connect(instance).map_err(|error| format!("{error:?}"))?;
    let mut ask = |sql: &str| -> ochre_base::Result<Answer> { query(&mut session, sql) };
    let told = |error: ochre_base::Error| format!("{error:?}");
    let mut tables: BTreeMap<String, FoundTable> = BTreeMap::new();
    for row in ask(COLUMNS).map_err(told)?.rows {
        let [table, column, ty] = texts(row);
        tables.entry(table).or_default().columns.push((column, ty));
    }
    for row in ask(INDEXES).map_err(told)?.rows {
        let [table, index] = texts(row);
        tables.entry(table).or_default().indexes.insert(index);
    }
    for row in ask(PARTITIONS).map_err(told)?.rows {
        let [table, _] = texts(row);
        tables.entry(table).or_default().partitions += 1;
    }
    for row in ask(READABLE).map_err(told)?.rows {
        let [table] = texts(row);
        tables.entry(table).or_default().readable = true;
    }
    let is_true = |text: &String| text == "t";
    let mut roles = BTreeMap::new();
    for row in ask(ROLES).map_err(told)?.rows {
        let [name, login, reads] = texts(row);
        roles.insert(name, Role { login: is_true(&login), reads: is_true(&reads) });
    }
    let prepared =
        ask(PREPARED).map_err(told)?.rows.into_iter().map(|row| texts::<1>(row).concat()).collect();
    for (name, table) in &mut tables {
        table.rows = match ask(&format!("SELECT * FROM {name}")) {
            Ok(answer) => Some(answer.rows),
            Err(error) if error.sqlstate() == SqlState::LOCK_NOT_AVAILABLE => None,
            Err(error) => return Err(format!("reading {name}: {error:?}")),
        };
        let Some(rows) = &table.rows else { continue };
        let small: Vec<usize> = (0..table.columns.len()).filter(|at| table.columns[*at].0 != "v").collect();
        let list: Vec<&str> = small.iter().map(|at| table.columns[*at].0.as_str()).collect();
        let projected = |row: &TextRow| small.iter().map(|at| row[*at].clone()).collect();
        let mut expected: Vec<TextRow> = rows.iter().map(projected).collect();
        expected.sort();
        for time in 1..=READ_AGAIN {
            let sql = format!("SELECT {} FROM {name}", list.join(", "));
            let mut again = ask(&sql).map_err(told)?.rows;
            again.sort();
            if again != expected {
                return Err(format!("{sql} gives other rows the {time}. time"));
            }
        }
    }
    Ok(Found { tables, prepared, roles })
}

fn texts<const N: usize>(row: TextRow) -> [String; N] {
    let mut values = row.into_iter().map(Option::unwrap_or_default);
    std::array::from_fn(|_| values.next().unwrap_or_default())
}

impl Found {
    fn compare(&self, world: &World) -> Verdict {
        let prepared: BTreeSet<String> = world.prepared.keys().cloned().collect();
        if self.prepared != prepared {
            return Err(format!("prepared are {:?}, not {prepared:?}", self.prepared));
        }
        if self.roles != world.roles {
            return Err(format!("the roles are {:?}, not {:?}", self.roles, world.roles));
        }
        let mut expected: BTreeMap<&str, (&Table, bool)> = BTreeMap::new();
        for (id, table) in &world.tables {
            let kept_out = |overlay: &Arc<Overlay>| matches!(overlay.tables.get(id), Some(Change::Whole(_)));
            expected.insert(&table.name, (table, world.prepared.values().any(kept_out)));
        }
        let names = |names: Vec<&str>| names.join(", ");
        let (are, should): (Vec<&str>, Vec<&str>) =
            (self.tables.keys().map(String::as_str).collect(), expected.keys().copied().collect());
        if are != should {
            return Err(format!("the tables are {}, not {}", names(are), names(should)));
        }
        self.tables.iter().try_for_each(|(name, found)| {
            let (table, kept_out) = expected[name.as_str()];
            found.compare(table, kept_out).map_err(|what| format!("{name}: {what}"))
        })
    }
}

impl FoundTable {
    fn compare(&self, table: &Table, kept_out: bool) -> Verdict {
        let columns: Vec<(String, String)> =
            table.columns.iter().map(|column| (column.name.clone(), column.ty.to_string())).collect();
        if self.columns != columns {
            return Err(format!("the columns are {:?}, not {columns:?}", self.columns));
        }
        if self.indexes != table.indexes {
            return Err(format!("the indexes are {:?}, not {:?}", self.indexes, table.indexes));
        }
        if self.partitions != if table.partitioned { 3 } else { 0 } {
            return Err(format!("{} partitions have all its indexes", self.partitions));
        }
        if self.readable != table.readable {
            return Err(format!("its being readable is {}, not {}", self.readable, table.readable));
        }
        match &self.rows {
            Some(rows) => compare_rows(table.rows.iter(), rows.clone()),
            None if kept_out => Ok(()),
            None => Err("a lock is held that nobody should hold".to_string()),
        }
    }
}
