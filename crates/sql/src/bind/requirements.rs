//! Which privileges a statement needs, and on whose behalf.
//!
//! # Role
//! The binder collects them where names come to mean something; the plan carries them, and each execution checks them
//! against the role of that moment, so that one plan serves all sessions.
//!
//! # Invariants
//! - What text of a view mentions is required of the view's owner, or, with `security_invoker`, of whoever runs the
//!   statement. The bootstrap superuser may do everything, so nothing is noted that is required of it.
//! - A column is noted where text mentions it, not where the executor wants it.

use std::sync::Arc;

use ochre_base::{Error, Oid, Result, SqlState};
use ochre_catalog::authority::Privileges;
use ochre_catalog::{RelationDescriptor, oids};
use ochre_expr::Expr;
use ochre_parser::ast;

use super::Binder;
use super::scope::{ItemColumn, ItemColumns, ScopeItem};
use crate::logical::{ColumnId, TableId};
use crate::physical::{Requirement, ScanColumn};

/// The number by which a requirement knows the whole row.
pub const WHOLE_ROW: i16 = 0;

/// The number of any system column, which nothing can be granted on alone.
pub const SYSTEM_COLUMN: i16 = -1;

fn add(columns: &mut Vec<i16>, number: i16) {
    if !columns.contains(&number) {
        columns.push(number);
    }
}

/// Whether a view's relations are checked for whoever uses the view.
fn is_invokers(view: &RelationDescriptor) -> bool {
    view.options.iter().any(|option| {
        matches!(&**option, "security_invoker=true" | "security_invoker=on" | "security_invoker=1")
    })
}

/// Whether nothing but a view's own conditions may look at its rows before they have let them through.
pub(super) fn is_barrier(view: &RelationDescriptor) -> bool {
    view.options.iter().any(|option| &**option == "security_barrier=true")
}

impl Binder<'_> {
    /// Notes a use of a relation that needs privileges; `None` when it needs none.
    pub(super) fn require(
        &mut self,
        relation: &Arc<RelationDescriptor>,
        privileges: Privileges,
    ) -> Option<usize> {
        let is_public = || {
            let items = relation.acl.iter().flat_map(|acl| acl.iter());
            relation.builtin
                && privileges == Privileges::SELECT
                && items.filter(|item| !item.grantee.is_valid()).any(|item| item.privileges.has(privileges))
        };
        if self.checked_as == oids::BOOTSTRAP_ROLE || is_public() {
            return None;
        }
        self.requirements.push(Requirement {
            relation: relation.oid,
            checked_as: self.checked_as,
            privileges,
            selected: Vec::new(),
            inserted: Vec::new(),
            updated: Vec::new(),
        });
        Some(self.requirements.len() - 1)
    }

    /// The role that the relations of a view are checked for.
    pub(super) fn checker_of(&self, view: &RelationDescriptor) -> Oid {
        if is_invokers(view) { Oid::INVALID } else { view.owner }
    }

    /// Notes that a statement reads a column.
    fn select_column(&mut self, requirement: usize, number: i16) {
        let requirement = &mut self.requirements[requirement];
        requirement.privileges = requirement.privileges.with(Privileges::SELECT);
        add(&mut requirement.selected, number);
    }

    /// Notes that text mentions a column of a table.
    pub(super) fn mention(&mut self, table: TableId, column: ScanColumn) {
        let Some(requirement) = self.tables[table].requirement else { return };
        let number = match column {
            ScanColumn::Table(position) => self.tables[table].table.columns[position].number,
            ScanColumn::WholeRow => WHOLE_ROW,
            _ => SYSTEM_COLUMN,
        };
        self.select_column(requirement, number);
    }

    /// Notes that text mentions what an expression is made of.
    pub(super) fn mention_expr(&mut self, expr: &Expr) {
        for id in expr.columns() {
            if let Some((requirement, number)) = self.view_columns.get(&id).copied() {
                self.select_column(requirement, number);
            } else if let Some(table) = self.columns[id].table {
                let found = self.tables[table].columns.iter().find(|(_, known)| *known == id);
                if let Some((column, _)) = found.copied() {
                    self.mention(table, column);
                }
            }
        }
    }

    /// Notes that text mentions columns of an item of FROM, by their places.
    fn mention_listed(&mut self, item: &ScopeItem, columns: &[ItemColumn], wanted: impl Fn(usize) -> bool) {
        for (place, column) in columns.iter().enumerate().filter(|(place, _)| wanted(*place)) {
            self.mention_expr(&column.expr);
            let Some(requirement) = item.requirement else { continue };
            let relation = self.catalog.relation(self.requirements[requirement].relation);
            let number = relation.and_then(|view| view.live_columns().nth(place)).map(|column| column.number);
            self.select_column(requirement, number.unwrap_or(WHOLE_ROW));
        }
    }

    /// Notes that text mentions a column of an item of FROM.
    pub(super) fn mention_column(&mut self, item: &ScopeItem, name: &str, expr: &Expr) {
        match &item.columns {
            ItemColumns::Table(_) => self.mention_expr(expr),
            ItemColumns::Listed(columns) => {
                self.mention_listed(item, columns, |place| *columns[place].name == *name);
            }
        }
    }

    /// Notes that text mentions all columns of an item of FROM.
    pub(super) fn mention_all(&mut self, item: &ScopeItem) {
        match &item.columns {
            ItemColumns::Table(table) => {
                for place in 0..self.tables[*table].table.columns.len() {
                    if !self.tables[*table].table.columns[place].dropped {
                        self.mention(*table, ScanColumn::Table(place));
                    }
                }
            }
            ItemColumns::Listed(columns) => self.mention_listed(item, columns, |_| true),
        }
    }

    /// Notes what the columns stand for that a view is given.
    pub(super) fn note_view_column(&mut self, id: ColumnId, requirement: usize, number: i16) {
        self.view_columns.insert(id, (requirement, number));
    }

    /// Notes that a statement gives values to columns of what it changes.
    pub(super) fn require_written(&mut self, requirement: Option<usize>, numbers: &[i16], updates: bool) {
        let Some(requirement) = requirement else { return };
        let requirement = &mut self.requirements[requirement];
        let written = if updates { &mut requirement.updated } else { &mut requirement.inserted };
        numbers.iter().for_each(|number| add(written, *number));
    }

    /// Adds a privilege to what a use needs.
    pub(super) fn require_also(&mut self, requirement: Option<usize>, privileges: Privileges) {
        if let Some(requirement) = requirement {
            let known = &mut self.requirements[requirement].privileges;
            *known = known.with(privileges);
        }
    }

    /// Notes that a name says its namespace, which whoever runs the statement must be allowed to use.
    ///
    /// # Errors
    /// 42501 when the role of the moment is not.
    pub(super) fn use_namespace(&self, namespace: Oid, pos: ast::Pos) -> Result<()> {
        if self.hide_positions > 0
            || namespace == oids::PG_CATALOG
            || namespace == oids::INFORMATION_SCHEMA
            || self.namespaces.borrow().contains(&namespace)
        {
            return Ok(());
        }
        if !self.session.may_use_namespace(namespace) {
            let name = self.catalog.namespace(namespace).map(|found| found.name.to_string());
            let message = format!("permission denied for schema {}", name.unwrap_or_default());
            return Err(self.at(Error::new(SqlState::INSUFFICIENT_PRIVILEGE, message), pos));
        }
        self.namespaces.borrow_mut().push(namespace);
        Ok(())
    }
}
