//! RETURNING: the row as it is now, OLD and NEW, and the other FROM items.
//!
//! OLD of a row that was inserted, and NEW of one that was deleted, are NULL in all columns and as a whole.

use std::sync::Arc;

use ochre_base::{Error, Result, SqlState};
use ochre_catalog::RelationDescriptor;
use ochre_expr::Expr;
use ochre_parser::ast::{self, Pos};

use super::Binder;
use super::level::Clause;
use super::scope::{ItemColumns, RelationName, Scope, ScopeItem};
use super::updatable::Verb;
use crate::logical::{ColumnId, TableId};
use crate::physical::{OutputColumn, RelationAccess};

/// The rows that RETURNING may speak of.
pub(super) struct ReturningRows {
    /// The new row, the old one of a DELETE.
    pub image: TableId,
    pub old: TableId,
    pub new: TableId,
    /// FROM, USING, the source of MERGE.
    pub others: Vec<ScopeItem>,
    /// For MERGE what `merge_action()` stands for; `*` lists the source first then.
    pub merge: Option<ColumnId>,
    /// The requirement of the view that is changed.
    pub requirement: Option<usize>,
}

impl Binder<'_> {
    /// Binds RETURNING.
    pub(super) fn bind_returning(
        &mut self,
        returning: Option<&ast::Returning>,
        rows: ReturningRows,
        name: &RelationName,
        outer: &Scope<'_>,
        view: Option<&Arc<RelationDescriptor>>,
    ) -> Result<Option<Vec<(Expr, OutputColumn)>>> {
        let Some(returning) = returning else { return Ok(None) };
        let mut scope = outer.clone();
        let columns_of = |binder: &mut Self, table: TableId| match view {
            Some(view) => {
                let expanded = binder.expand_view(view, table, outer.depth, Verb::UPDATE)?;
                Ok(ItemColumns::Listed(expanded.columns))
            }
            None => Ok::<_, Error>(ItemColumns::Table(table)),
        };
        let mut own = ScopeItem::of_relation(name, columns_of(self, rows.image)?);
        own.requirement = rows.requirement;
        scope.items = rows.others;
        let at = if rows.merge.is_some() { scope.items.len() } else { 0 };
        scope.items.insert(at, own);
        let known = |scope: &Scope<'_>, name: &str| {
            scope.items.iter().any(|item| item.relation_visible && item.alias.as_deref() == Some(name))
        };
        for (new, table) in [(true, rows.new), (false, rows.old)] {
            let mut options = returning.options.iter().filter(|option| option.new == new);
            let option = options.next();
            if let Some(second) = options.next() {
                let word = if new { "NEW" } else { "OLD" };
                let error =
                    Error::new(SqlState::SYNTAX_ERROR, format!("{word} cannot be specified multiple times"));
                return Err(self.at(error, second.pos));
            }
            let name: Arc<str> = match option {
                Some(option) => Arc::from(option.name.as_str()),
                None if new => "new".into(),
                None => "old".into(),
            };
            if known(&scope, &name) {
                if let Some(option) = option {
                    let error = Error::new(
                        SqlState::DUPLICATE_ALIAS,
                        format!("table name \"{name}\" specified more than once"),
                    );
                    return Err(self.at(error, option.pos));
                }
                continue;
            }
            let mut item = ScopeItem::visible(Some(name), columns_of(self, table)?);
            item.columns_visible = false;
            item.requirement = rows.requirement;
            scope.items.push(item);
        }
        let relation = Arc::clone(&self.tables[rows.image].table);
        self.use_relation(&relation, RelationAccess { select: true, ..RelationAccess::default() });
        let around = std::mem::replace(&mut self.merge_action, rows.merge);
        let entries = self.in_level(Clause::Returning, scope.depth, |binder| {
            let mut entries = binder.bind_targets(&returning.targets, &scope)?;
            binder.resolve_targets(&mut entries)?;
            Ok(entries)
        });
        self.merge_action = around;
        let described = entries?
            .into_iter()
            .map(|entry| {
                let column = self.describe(&entry.name, &entry.expr);
                (entry.expr, column)
            })
            .collect();
        Ok(Some(described))
    }

    /// `merge_action()`.
    pub(super) fn bind_merge_action(&self, pos: Pos) -> Result<Expr> {
        match self.merge_action {
            Some(id) => Ok(self.column_expr(id)),
            None => {
                let message = "MERGE_ACTION() can only be used in the RETURNING list of a MERGE command";
                Err(self.at(Error::new(SqlState::SYNTAX_ERROR, message), pos))
            }
        }
    }
}
