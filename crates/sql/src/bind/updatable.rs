//! Views as targets: INSERT, UPDATE and DELETE of a view that shows the rows of one table change that table.
//!
//! # How
//! The target is the base table; the view's columns are names for expressions over it. A column that is no plain column of
//! the base is not updatable. What the view's WHERE demands restricts UPDATE and DELETE, and with CHECK OPTION new rows.

use std::sync::Arc;

use ochre_base::{Error, Oid, Result, SqlState};
use ochre_catalog::{CatalogSnapshot, RelationDescriptor, RelationKind};
use ochre_expr::{BooleanTest, Expr, SessionContext};
use ochre_parser::ast;

use super::level::{Clause, Level};
use super::scope::{CteScope, ItemColumn, ItemColumns, Scope, ScopeItem};
use super::{Binder, MAX_VIEW_DEPTH, stored_text};
use crate::logical::TableId;
use crate::physical::ScanColumn;

/// What a statement is about to do to its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Verb {
    pub change: Change,
    /// It is an action of MERGE.
    pub merge: bool,
}

/// The changes that a view can pass on to its table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    Insert,
    Update,
    Delete,
}

impl Verb {
    pub(crate) const INSERT: Verb = Verb { change: Change::Insert, merge: false };
    pub(crate) const UPDATE: Verb = Verb { change: Change::Update, merge: false };
    pub(crate) const DELETE: Verb = Verb { change: Change::Delete, merge: false };

    /// As an action of MERGE.
    pub(crate) fn merge(change: Change) -> Verb {
        Verb { change, merge: true }
    }

    /// The command.
    pub(crate) fn command(self) -> &'static str {
        match self.change {
            _ if self.merge => "MERGE",
            Change::Insert => "INSERT",
            Change::Update => "UPDATE",
            Change::Delete => "DELETE",
        }
    }
}

/// A view's columns and conditions over a use of its base table.
pub(crate) struct ExpandedView {
    pub columns: Vec<ItemColumn>,
    /// Each view's own WHERE, outermost first, with its name and what its check option says.
    pub conditions: Vec<ViewCondition>,
    /// Defaults that views give columns, by their positions in the base.
    pub defaults: Vec<(usize, (Oid, Arc<str>))>,
}

/// The table that changes of a view go to.
pub(crate) struct BaseOfView {
    pub base: Arc<RelationDescriptor>,
    /// What inherits from it does not take part.
    pub only: bool,
    /// The views between.
    pub through: Vec<Arc<RelationDescriptor>>,
}

/// WHERE of one view.
pub(crate) struct ViewCondition {
    view: Arc<RelationDescriptor>,
    conjuncts: Vec<Expr>,
}

impl ExpandedView {
    /// What rows must satisfy to be seen through the view.
    pub fn predicates(&self) -> Vec<Expr> {
        self.conditions.iter().flat_map(|condition| condition.conjuncts.iter().cloned()).collect()
    }
}

const NOT_ONE_TABLE: &str =
    "Views that do not select from a single table or view are not automatically updatable.";

/// Why a view's query stands for no table; `None` when it does.
fn obstacle(select: &ast::SelectStmt) -> Option<&'static str> {
    if select.with.is_some() {
        return Some("Views containing WITH are not automatically updatable.");
    }
    let ast::SelectBody::Select(core) = &select.body else {
        return Some(match &select.body {
            ast::SelectBody::SetOp(_) => {
                "Views containing UNION, INTERSECT, or EXCEPT are not automatically updatable."
            }
            _ => NOT_ONE_TABLE,
        });
    };
    if !matches!(core.distinct, ast::Distinct::All) {
        return Some("Views containing DISTINCT are not automatically updatable.");
    }
    if !core.group_by.is_empty() {
        return Some("Views containing GROUP BY are not automatically updatable.");
    }
    if core.having.is_some() {
        return Some("Views containing HAVING are not automatically updatable.");
    }
    if select.limit.is_some() {
        return Some("Views containing LIMIT or OFFSET are not automatically updatable.");
    }
    match core.from.as_slice() {
        [ast::FromItem::Table(table)] if table.sample.is_some() => {
            Some("Views containing TABLESAMPLE are not automatically updatable.")
        }
        [ast::FromItem::Table(_)] => None,
        _ => Some(NOT_ONE_TABLE),
    }
}

/// Why rows cannot be changed through a view of a query; `None` when they can, and some column of it can be given values.
///
/// # Errors
/// Those of the query.
pub fn update_obstacle(
    catalog: &CatalogSnapshot,
    search_path: &[Oid],
    session: &dyn SessionContext,
    query: &ast::SelectStmt,
) -> Result<Option<&'static str>> {
    if let Some(detail) = obstacle(query) {
        return Ok(Some(detail));
    }
    let ast::SelectBody::Select(core) = &query.body else {
        return Err(Error::internal("an updatable view is a SELECT"));
    };
    let [ast::FromItem::Table(from)] = core.from.as_slice() else {
        return Err(Error::internal("an updatable view has one table"));
    };
    let mut params = super::ParamTypes::none();
    let mut binder = Binder::new(catalog, search_path, session, &mut params);
    let relation = binder.find_relation(&from.relation.name, from.pos)?;
    let kinds = [RelationKind::Table, RelationKind::PartitionedTable, RelationKind::View];
    if !kinds.contains(&relation.kind) {
        return Ok(Some(NOT_ONE_TABLE));
    }
    let name = binder.relation_name(&relation, from.alias.as_ref().map(|alias| alias.name.as_str()));
    let table = binder.add_table(relation, Arc::clone(&name.alias));
    let item = binder.renamed_item(ScopeItem::of_relation(&name, ItemColumns::Table(table)), from, 0);
    let scope = Scope { items: vec![item], ..Scope::root(CteScope::default()) };
    binder.enter_level(Clause::Select, 0);
    let (entries, _) = binder.bind_view_parts(core, &scope)?;
    let level = binder.levels.pop().ok_or_else(|| Error::internal("a view's level is gone"))?;
    let is_column = |expr: &Expr| {
        let columns = &binder.tables[table].columns;
        matches!(expr, Expr::Column { index, .. }
            if columns.iter().any(|(scan, id)| id == index && matches!(scan, ScanColumn::Table(_))))
    };
    let updatable = entries.iter().any(is_column);
    Ok(computed(&level)
        .or((!updatable).then_some("Views that have no updatable columns are not automatically updatable.")))
}

/// Why rows of a query are not rows of its table.
fn computed(level: &Level) -> Option<&'static str> {
    if !level.aggregates.is_empty() {
        Some("Views that return aggregate functions are not automatically updatable.")
    } else if !level.windows.is_empty() {
        Some("Views that return window functions are not automatically updatable.")
    } else if !level.sets.is_empty() {
        Some("Views that return set-returning functions are not automatically updatable.")
    } else {
        None
    }
}

impl Binder<'_> {
    /// An item of FROM under the column names that its alias gives.
    fn renamed_item(&mut self, mut item: ScopeItem, from: &ast::FromTable, depth: u32) -> ScopeItem {
        if let Some(renames) = from.alias.as_ref().filter(|alias| !alias.columns.is_empty()) {
            let mut columns = self.item_columns(&item, depth);
            for (column, name) in columns.iter_mut().zip(&renames.columns) {
                column.name = Arc::from(name.as_str());
            }
            item.columns = ItemColumns::Listed(columns);
        }
        item
    }

    /// The table that changes of a view go to.
    ///
    /// # Errors
    /// 55000 for a view that is not updatable; `verb` is what was tried.
    pub(crate) fn base_of_view(&mut self, view: &Arc<RelationDescriptor>, verb: Verb) -> Result<BaseOfView> {
        let mut current = Arc::clone(view);
        let mut through = Vec::new();
        for _ in 0..MAX_VIEW_DEPTH {
            let select = stored_text::view_query(&current)?;
            if let Some(detail) = obstacle(&select) {
                return Err(not_updatable(&current, verb, detail));
            }
            let ast::SelectBody::Select(core) = &select.body else {
                return Err(Error::internal("an updatable view is a SELECT"));
            };
            let [ast::FromItem::Table(table)] = core.from.as_slice() else {
                return Err(Error::internal("an updatable view has one table"));
            };
            let relation = self.stored_relation(&table.relation.name)?;
            match relation.kind {
                RelationKind::Table | RelationKind::PartitionedTable => {
                    return Ok(BaseOfView { base: relation, only: table.relation.only, through });
                }
                RelationKind::View => {
                    through.push(Arc::clone(&relation));
                    current = relation;
                }
                _ => {
                    return Err(not_updatable(&current, verb, NOT_ONE_TABLE));
                }
            }
        }
        Err(Error::new(
            SqlState::INVALID_OBJECT_DEFINITION,
            format!("infinite recursion detected in rules for relation \"{}\"", view.name),
        ))
    }

    /// A relation that a stored text names.
    fn stored_relation(&mut self, name: &ast::ObjectName) -> Result<Arc<RelationDescriptor>> {
        let path = std::mem::replace(&mut self.search_path, &ochre_catalog::IMPLICIT_NAMESPACES);
        let found = self.find_relation(name, ast::Pos::NONE);
        self.search_path = path;
        found
    }

    /// The columns and conditions of a view over a use of its base table.
    pub(crate) fn expand_view(
        &mut self,
        view: &Arc<RelationDescriptor>,
        table: TableId,
        depth: u32,
        verb: Verb,
    ) -> Result<ExpandedView> {
        let select = stored_text::view_query(view)?;
        let ast::SelectBody::Select(core) = &select.body else {
            return Err(Error::internal("an updatable view is a SELECT"));
        };
        let [ast::FromItem::Table(from)] = core.from.as_slice() else {
            return Err(Error::internal("an updatable view has one table"));
        };
        let relation = self.stored_relation(&from.relation.name)?;
        let (source, mut conditions, mut defaults) = if relation.kind == RelationKind::View {
            let inner = self.expand_view(&relation, table, depth, verb)?;
            (ItemColumns::Listed(inner.columns), inner.conditions, inner.defaults)
        } else {
            (ItemColumns::Table(table), Vec::new(), Vec::new())
        };
        let name = self.relation_name(&relation, from.alias.as_ref().map(|alias| alias.name.as_str()));
        let item = self.renamed_item(ScopeItem::of_relation(&name, source), from, depth);
        let scope = Scope { items: vec![item], depth, ..Scope::root(CteScope::default()) };
        let path = std::mem::replace(&mut self.search_path, &ochre_catalog::IMPLICIT_NAMESPACES);
        let bound = self.without_positions(|binder| {
            binder.enter_level(Clause::Select, depth);
            let bound = binder.bind_view_parts(core, &scope);
            let level = binder.levels.pop();
            let level = level.ok_or_else(|| Error::internal("a view's level is gone"))?;
            let (entries, condition) = bound?;
            match computed(&level) {
                None => Ok((entries, condition)),
                Some(detail) => Err(not_updatable(view, verb, detail)),
            }
        });
        self.search_path = path;
        let (entries, conjuncts) = bound?;
        let columns: Vec<ItemColumn> = view
            .live_columns()
            .zip(entries)
            .map(|(column, expr)| ItemColumn { name: Arc::clone(&column.name), expr })
            .collect();
        for (column, shown) in view.live_columns().zip(&columns) {
            // A view's default comes before those of what it shows.
            if let (Some(default), Some(position)) = (&column.default, self.base_position(table, &shown.expr))
            {
                defaults.retain(|(known, _)| *known != position);
                defaults.push((position, default.clone()));
            }
        }
        conditions.insert(0, ViewCondition { view: Arc::clone(view), conjuncts });
        Ok(ExpandedView { columns, conditions, defaults })
    }

    /// The position in the base of a view's column; `None` for an expression.
    fn base_position(&self, table: TableId, expr: &Expr) -> Option<usize> {
        let Expr::Column { index, .. } = expr else { return None };
        self.tables[table].columns.iter().find_map(|(scan, id)| match scan {
            ScanColumn::Table(position) if id == index => Some(*position),
            _ => None,
        })
    }

    fn bind_view_parts(
        &mut self,
        core: &ast::SelectCore,
        scope: &Scope<'_>,
    ) -> Result<(Vec<Expr>, Vec<Expr>)> {
        let mut entries = self.bind_targets(&core.targets, scope)?;
        self.resolve_targets(&mut entries)?;
        let conjuncts = match &core.where_clause {
            Some(condition) => {
                self.set_clause(Clause::Where);
                let bound = self.bind_expr(condition, scope)?;
                self.coerce_to_boolean(bound, "WHERE", condition.pos())?.conjuncts()
            }
            None => Vec::new(),
        };
        Ok((entries.into_iter().map(|entry| entry.expr).collect(), conjuncts))
    }

    /// The base table with its columns named as the view names them, and for each column of the view the position in the
    /// base; `None` for one that cannot be changed.
    pub(crate) fn renamed_base(
        &self,
        base: &Arc<RelationDescriptor>,
        table: TableId,
        expanded: &ExpandedView,
    ) -> (Arc<RelationDescriptor>, Vec<Option<usize>>) {
        let mut renamed = (**base).clone();
        let nameless: Arc<str> = Arc::from("");
        for column in &mut renamed.columns {
            column.name = Arc::clone(&nameless);
        }
        let mut positions = Vec::with_capacity(expanded.columns.len());
        for column in &expanded.columns {
            let position = self.base_position(table, &column.expr);
            // A column that the view shows twice goes by its first name.
            if let Some(position) = position
                && renamed.columns[position].name.is_empty()
            {
                renamed.columns[position].name = Arc::clone(&column.name);
            }
            positions.push(position);
        }
        for (position, default) in &expanded.defaults {
            if renamed.columns[*position].generated.is_none() {
                renamed.columns[*position].default = Some(default.clone());
            }
        }
        (Arc::new(renamed), positions)
    }

    /// What CHECK OPTION demands of new rows, over positions in the base table.
    pub(crate) fn view_checks(
        &mut self,
        expanded: &ExpandedView,
        table: TableId,
    ) -> Result<Vec<(Arc<str>, Expr)>> {
        let mut checks = Vec::new();
        let mut cascaded = false;
        for condition in &expanded.conditions {
            let option =
                condition.view.options.iter().find_map(|option| option.strip_prefix("check_option="));
            cascaded |= option == Some("cascaded");
            if !cascaded && option != Some("local") {
                continue;
            }
            for conjunct in &condition.conjuncts {
                let holds = self.to_positions(conjunct.clone(), table)?;
                let test = Expr::BooleanTest { arg: Box::new(holds), test: BooleanTest::True };
                checks.push((Arc::clone(&condition.view.name), test));
            }
        }
        Ok(checks)
    }
}

/// 55000 with PostgreSQL's hint.
fn not_updatable(view: &RelationDescriptor, verb: Verb, detail: &str) -> Error {
    let (what, doing, trigger) = match verb.change {
        Change::Insert => ("insert into", "inserting into the view", "INSERT"),
        Change::Update => ("update", "updating the view", "UPDATE"),
        Change::Delete => ("delete from", "deleting from the view", "DELETE"),
    };
    let hint = if verb.merge {
        format!("To enable {doing} using MERGE, provide an INSTEAD OF {trigger} trigger.")
    } else {
        format!(
            "To enable {doing}, provide an INSTEAD OF {trigger} trigger or an unconditional ON {trigger} DO INSTEAD rule."
        )
    };
    Error::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, format!("cannot {what} view \"{}\"", view.name))
        .detail(detail)
        .hint(hint)
}

/// 0A000 for a column that is an expression.
pub(crate) fn column_not_updatable(view: &RelationDescriptor, column: &str, verb: Verb) -> Error {
    let what = match verb.change {
        _ if verb.merge => "merge into column",
        Change::Update => "update column",
        _ => "insert into column",
    };
    Error::new(
        SqlState::FEATURE_NOT_SUPPORTED,
        format!("cannot {what} \"{column}\" of view \"{}\"", view.name),
    )
    .detail("View columns that are not columns of their base relation are not updatable.")
}
