//! MERGE: a join of the target with the source, and what to do with each kind of its rows.
//!
//! # How
//! Which join it is depends on the actions: target rows without a source row come from an outer join's left side, source
//! rows without a target row likewise, both from a full join. The target's row id is NULL where there is no target row; the
//! source gets a column that is never NULL where it must be told that there is no source row.

use std::sync::Arc;

use ochre_base::{Error, Result, SqlState};
use ochre_catalog::RelationDescriptor;
use ochre_expr::Expr;
use ochre_parser::ast;
use ochre_types::SqlType;

use super::Binder;
use super::dml::{BoundTarget, InsertShape};
use super::level::Clause;
use super::returning::ReturningRows;
use super::scope::{ItemColumns, Scope, ScopeItem};
use super::select::filter;
use super::updatable::{Change, Verb};
use crate::logical::{
    ColumnId, Join, JoinKind, Logical, LogicalMerge, LogicalMergeAction, LogicalMergeChange, Modify, TableId,
};
use crate::physical::{CommandKind, MergeMatch, RelationAccess, ScanColumn};

/// The target of a MERGE.
struct MergeTarget {
    /// The base table.
    base: Arc<RelationDescriptor>,
    view: Option<Arc<RelationDescriptor>>,
    /// The base under the view's names.
    named: Arc<RelationDescriptor>,
    positions: Vec<Option<usize>>,
    table: TableId,
    /// The requirement of the view.
    of_view: Option<usize>,
}

impl Binder<'_> {
    /// Binds MERGE.
    pub(crate) fn bind_merge(&mut self, merge: &ast::MergeStmt, scope: &Scope<'_>) -> Result<Modify> {
        let mut outer = scope.clone();
        if let Some(with) = &merge.with {
            if with.recursive {
                let message = "WITH RECURSIVE is not supported for MERGE statement";
                return Err(Error::new(SqlState::SYNTAX_ERROR, message));
            }
            outer.ctes = self.bind_with(with, scope)?;
        }
        check_reachable(&merge.when)?;
        let changes: Vec<Change> = merge.when.iter().filter_map(|when| change_of(&when.action)).collect();
        let does = |change: Change| changes.contains(&change);
        let access = RelationAccess {
            select: true,
            insert: does(Change::Insert),
            update: does(Change::Update),
            delete: does(Change::Delete),
            ..RelationAccess::default()
        };
        let verb = Verb::merge(changes.first().copied().unwrap_or(Change::Update));
        let BoundTarget { table: base, view, only, requirement, of_view } =
            self.bind_target(&merge.table, access, verb)?;
        let shown = view.as_ref().unwrap_or(&base);
        let name = self.relation_name(shown, merge.alias.as_ref().map(|alias| alias.as_str()));
        let table = self.add_set(Arc::clone(&base), Arc::clone(&name.alias), only);
        self.tables[table].requirement = requirement;
        let mut inner = outer.clone();
        let mut item = ScopeItem::of_relation(&name, ItemColumns::Table(table));
        let mut target_plan = Logical::Get(table);
        let mut predicates = Vec::new();
        let mut named = Arc::clone(&base);
        let mut positions = Vec::new();
        if let Some(view) = &view {
            let expanded = self.expand_view(view, table, inner.depth, verb)?;
            (named, positions) = self.renamed_base(&base, table, &expanded);
            predicates = expanded.predicates();
            target_plan = filter(target_plan, predicates.clone());
            item.columns = ItemColumns::Listed(expanded.columns);
            item.requirement = of_view;
        }
        let target = MergeTarget { base, view, named, positions, table, of_view };
        // The source does not see the target.
        let mut hidden = item.clone();
        hide(&mut hidden);
        inner.items = vec![hidden];
        self.enter_level(Clause::From, inner.depth);
        let source = self.bind_from(std::slice::from_ref(&merge.source), &mut inner);
        self.leave_level()?;
        let source = source?;
        // Even where their namespaces differ.
        if inner.items.iter().any(|other| other.relation_visible && other.alias == item.alias) {
            let message = format!("name \"{}\" specified more than once", name.alias);
            let detail = "The name is used both as MERGE target table and data source.";
            return Err(Error::new(SqlState::DUPLICATE_ALIAS, message).detail(detail));
        }
        inner.items[0] = item;
        let on = self.in_level(Clause::JoinCondition, inner.depth, |binder| {
            let bound = binder.bind_expr(&merge.on, &inner)?;
            binder.coerce_to_boolean(bound, "JOIN/ON", merge.on.pos())
        })?;
        let on = on.conjuncts();
        predicates.extend(on.iter().cloned());
        let mut actions = Vec::with_capacity(merge.when.len());
        for when in &merge.when {
            actions.push(self.bind_when(when, &target, &inner)?);
        }
        let image = self.add_table(Arc::clone(&target.base), Arc::clone(&name.alias));
        let new = self.add_table(Arc::clone(&target.base), Arc::clone(&name.alias));
        let action_name = self.new_column("merge_action", SqlType::TEXT, inner.depth);
        let others = inner.items[1..].to_vec();
        for id in [image, new] {
            self.tables[id].requirement = requirement;
        }
        let rows =
            ReturningRows { image, old: table, new, others, merge: Some(action_name), requirement: of_view };
        let returning =
            self.bind_returning(merge.returning.as_ref(), rows, &name, &outer, target.view.as_ref())?;
        let mut rules = self.bind_rules(&target.base)?;
        if let Some(view) = &target.view {
            let expanded = self.expand_view(view, image, inner.depth, verb)?;
            rules.view_checks = self.view_checks(&expanded, image)?;
        }
        if does(Change::Update) || (does(Change::Delete) && returning.is_some()) {
            // Every old value is part of the row to write, or of the one to show.
            for position in 0..target.base.columns.len() {
                if !target.base.columns[position].dropped {
                    self.table_column(table, ScanColumn::Table(position), inner.depth);
                }
            }
        }
        let row_id = self.table_column(table, ScanColumn::RowId, inner.depth);
        debug_assert!(self.tables[table].columns.iter().any(|(_, id)| *id == row_id));
        let (plan, source_present) = self.merge_join(&actions, target_plan, source, on, inner.depth);
        let modify = self.finish_modify(
            CommandKind::Merge,
            table,
            plan,
            Vec::new(),
            returning,
            image,
            rules,
            inner.depth,
        )?;
        let merge = LogicalMerge { actions, source_present, action_name };
        Ok(Modify { predicates, counterpart: Some(new), merge: Some(merge), ..modify })
    }

    /// The rows to work on, and the column that tells that a source row is there.
    fn merge_join(
        &mut self,
        actions: &[LogicalMergeAction],
        target: Logical,
        source: Logical,
        on: Vec<Expr>,
        depth: u32,
    ) -> (Logical, Option<ColumnId>) {
        let acts_on = |kind: MergeMatch| {
            actions
                .iter()
                .any(|action| action.matched == kind && !matches!(action.change, LogicalMergeChange::Nothing))
        };
        let join =
            |kind, left, right| Logical::Join(Box::new(Join { kind, left, right, on, lateral: false }));
        let without_target = acts_on(MergeMatch::NotMatchedByTarget);
        if !acts_on(MergeMatch::NotMatchedBySource) {
            let plan = match without_target {
                true => join(JoinKind::Left, source, target),
                false => join(JoinKind::Inner, target, source),
            };
            return (plan, None);
        }
        let present = self.new_column("source_present", SqlType::BOOL, depth);
        let mut items: Vec<(ColumnId, Expr)> = crate::walk::produced(&source, &self.tables)
            .iter()
            .map(|id| (id, self.column_expr(id)))
            .collect();
        items.push((present, Expr::bool(true)));
        let source = Logical::Project { input: Box::new(source), items };
        let kind = if without_target { JoinKind::Full } else { JoinKind::Left };
        (join(kind, target, source), Some(present))
    }

    /// Binds a WHEN clause, which sees only what its kind of rows has.
    fn bind_when(
        &mut self,
        when: &ast::MergeWhen,
        target: &MergeTarget,
        scope: &Scope<'_>,
    ) -> Result<LogicalMergeAction> {
        let mut scope = scope.clone();
        let matched = match when.kind {
            ast::MergeMatch::Matched => MergeMatch::Matched,
            ast::MergeMatch::NotMatchedBySource => {
                scope.items[1..].iter_mut().for_each(hide);
                MergeMatch::NotMatchedBySource
            }
            ast::MergeMatch::NotMatchedByTarget => {
                hide(&mut scope.items[0]);
                MergeMatch::NotMatchedByTarget
            }
        };
        let condition = match &when.condition {
            Some(condition) => Some(self.in_level(Clause::MergeWhen, scope.depth, |binder| {
                let bound = binder.bind_expr(condition, &scope)?;
                binder.check_when_columns(&bound, condition)?;
                binder.coerce_to_boolean(bound, "WHEN", condition.pos())
            })?),
            None => None,
        };
        let change = match &when.action {
            ast::MergeAction::Nothing => LogicalMergeChange::Nothing,
            ast::MergeAction::Delete => LogicalMergeChange::Delete,
            ast::MergeAction::Update(set) => {
                let base = self.base_assignments(target.shape(), set, Verb::merge(Change::Update))?;
                let requirement = self.tables[target.table].requirement;
                self.require_updated(requirement, &target.named, &base);
                self.require_updated(target.of_view, target.view.as_ref().unwrap_or(&target.named), set);
                LogicalMergeChange::Update(self.in_level(Clause::UpdateSet, scope.depth, |binder| {
                    binder.bind_assignments(&base, &target.named, target.table, &scope)
                })?)
            }
            ast::MergeAction::Insert { columns, overriding, values } => {
                let cells = self.in_level(Clause::InsertValues, scope.depth, |binder| {
                    binder.expand_cells(values.as_deref().unwrap_or_default(), &scope)
                })?;
                let shape = target.shape();
                let verb = Verb::merge(Change::Insert);
                let targets = self.insert_targets(shape, columns, cells.len(), verb)?;
                let written = match (values, columns.is_empty()) {
                    (None, _) => 0,
                    (Some(_), true) => cells.len().min(targets.len()),
                    (Some(_), false) => targets.len(),
                };
                let requirement = self.tables[target.table].requirement;
                self.require_inserted(requirement, target.of_view, shape, columns, &targets[..written]);
                let named = (values.is_some() && !columns.is_empty()).then_some(columns.as_slice());
                LogicalMergeChange::Insert(self.in_level(Clause::InsertValues, scope.depth, |binder| {
                    let row = binder.bind_insert_row(
                        &target.named,
                        &targets,
                        named,
                        &cells,
                        *overriding,
                        &scope,
                    )?;
                    if binder.sets_met() > 0 {
                        let message = "set-valued function called in context that cannot accept a set";
                        let error = Error::new(SqlState::FEATURE_NOT_SUPPORTED, message);
                        let pos = binder.level()?.sets_met.1;
                        return Err(binder.at(error, pos));
                    }
                    Ok(row)
                })?)
            }
        };
        Ok(LogicalMergeAction { matched, condition, change })
    }

    /// 42P10 for a system column in a condition.
    fn check_when_columns(&self, condition: &Expr, at: &ast::Expr) -> Result<()> {
        let system = condition.columns().into_iter().find_map(|id| {
            let table = self.columns[id].table?;
            let (column, _) = self.tables[table].columns.iter().find(|(_, known)| *known == id)?;
            let allowed =
                matches!(column, ScanColumn::Table(_) | ScanColumn::WholeRow | ScanColumn::TableOid);
            (!allowed).then_some(id)
        });
        match system {
            Some(id) => {
                let name = &self.columns[id].name;
                let error = Error::new(
                    SqlState::INVALID_COLUMN_REFERENCE,
                    format!("cannot use system column \"{name}\" in MERGE WHEN condition"),
                );
                Err(self.at(error, at.pos()))
            }
            None => Ok(()),
        }
    }
}

impl MergeTarget {
    fn shape(&self) -> InsertShape<'_> {
        InsertShape { table: &self.named, view: self.view.as_ref(), positions: &self.positions }
    }
}

fn hide(item: &mut ScopeItem) {
    item.columns_visible = false;
    item.relation_visible = false;
}

fn change_of(action: &ast::MergeAction) -> Option<Change> {
    match action {
        ast::MergeAction::Nothing => None,
        ast::MergeAction::Delete => Some(Change::Delete),
        ast::MergeAction::Update(_) => Some(Change::Update),
        ast::MergeAction::Insert { .. } => Some(Change::Insert),
    }
}

/// 42601 for a clause behind one of its kind that takes all rows.
fn check_reachable(when: &[ast::MergeWhen]) -> Result<()> {
    for (number, clause) in when.iter().enumerate() {
        if when[..number].iter().any(|other| other.kind == clause.kind && other.condition.is_none()) {
            let message = "unreachable WHEN clause specified after unconditional WHEN clause";
            return Err(Error::new(SqlState::SYNTAX_ERROR, message));
        }
    }
    Ok(())
}
