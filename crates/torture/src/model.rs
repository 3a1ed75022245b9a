//! What a database should hold, as plain maps.
//!
//! # Invariants
//! - M1: a transaction's changes are kept apart until it commits ([`Overlay`]): rows by key, or a whole table once it was
//!   changed by DDL, since nobody else can write to the table from then on.
//! - M2: a [`World`] is never changed: each commit makes another one, which shares what did not change.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A table's number in the model: it stays when the table gets another name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TableId(pub u32);

/// A row's values as text, in the order of the columns; the first is its key.
pub type Row = Arc<[Option<Arc<str>>]>;

/// A column's name and type, as `format_type` prints it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    pub name: String,
    pub ty: &'static str,
    pub default: Option<Arc<str>>,
}

/// A table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    pub name: String,
    pub columns: Vec<Column>,
    pub rows: BTreeMap<i64, Row>,
    pub indexes: BTreeSet<String>,
    /// Whether its rows are in partitions.
    pub partitioned: bool,
    /// Whether a role was given SELECT on it.
    pub readable: bool,
    /// Raised by changes that older snapshots are not kept from seeing.
    pub shape: u64,
}

impl Table {
    /// Where a column of this name stands.
    pub fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }
}

/// A role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Role {
    pub login: bool,
    /// Whether it is a member of the role that was given SELECT on tables.
    pub reads: bool,
}

/// What a transaction has done to a table.
#[derive(Debug, Clone)]
pub enum Change {
    /// Rows by key; `None` are deleted.
    Rows(BTreeMap<i64, Option<Row>>),
    /// The table is this one now; `None` is dropped.
    Whole(Option<Arc<Table>>),
}

/// What a transaction has done (M1).
#[derive(Debug, Clone, Default)]
pub struct Overlay {
    pub tables: BTreeMap<TableId, Change>,
    /// Roles by name; `None` are dropped.
    pub roles: BTreeMap<String, Option<Role>>,
}

/// A committed state (M2).
#[derive(Debug, Clone, Default)]
pub struct World {
    pub tables: BTreeMap<TableId, Arc<Table>>,
    pub roles: BTreeMap<String, Role>,
    /// Prepared transactions by name.
    pub prepared: BTreeMap<String, Arc<Overlay>>,
}

impl Overlay {
    /// Whether nothing was done.
    pub fn is_empty(&self) -> bool {
        self.tables.is_empty() && self.roles.is_empty()
    }

    /// Puts rows, or deletes them.
    pub fn put_rows(&mut self, world: &World, id: TableId, rows: &[(i64, Option<Row>)]) {
        match self.tables.entry(id).or_insert_with(|| Change::Rows(BTreeMap::new())) {
            Change::Rows(changes) => changes.extend(rows.iter().cloned()),
            Change::Whole(Some(table)) => put_rows(Arc::make_mut(table), rows),
            Change::Whole(None) => unreachable!("{id:?} of {} tables was dropped", world.tables.len()),
        }
    }

    /// Replaces a table, or drops it.
    pub fn put_table(&mut self, id: TableId, table: Option<Table>) {
        self.tables.insert(id, Change::Whole(table.map(Arc::new)));
    }

    /// Adds changes of whole tables and of roles.
    pub fn put_definitions(&mut self, change: Overlay) {
        self.tables.extend(change.tables);
        self.roles.extend(change.roles);
    }
}

fn put_rows(table: &mut Table, rows: &[(i64, Option<Row>)]) {
    for (key, row) in rows {
        match row {
            Some(row) => table.rows.insert(*key, Arc::clone(row)),
            None => table.rows.remove(key),
        };
    }
}

impl World {
    /// A table as a transaction sees it.
    pub fn table(&self, overlay: &Overlay, id: TableId) -> Option<Arc<Table>> {
        match overlay.tables.get(&id) {
            None => self.tables.get(&id).cloned(),
            Some(Change::Whole(table)) => table.clone(),
            Some(Change::Rows(rows)) => {
                let mut table = Table::clone(self.tables.get(&id)?);
                let rows: Vec<_> = rows.iter().map(|(key, row)| (*key, row.clone())).collect();
                put_rows(&mut table, &rows);
                Some(Arc::new(table))
            }
        }
    }

    /// The tables as a transaction sees them.
    pub fn tables(&self, overlay: &Overlay) -> BTreeMap<TableId, Arc<Table>> {
        let ids: BTreeSet<TableId> = self.tables.keys().chain(overlay.tables.keys()).copied().collect();
        ids.into_iter().filter_map(|id| Some((id, self.table(overlay, id)?))).collect()
    }

    /// The state after a transaction has committed.
    pub fn commit(&self, overlay: &Overlay) -> World {
        World { tables: self.tables(overlay), roles: self.roles(overlay), prepared: self.prepared.clone() }
    }

    /// The roles as a transaction sees them.
    pub fn roles(&self, overlay: &Overlay) -> BTreeMap<String, Role> {
        let mut roles = self.roles.clone();
        for (name, role) in &overlay.roles {
            match role {
                Some(role) => roles.insert(name.clone(), *role),
                None => roles.remove(name),
            };
        }
        roles
    }
}
