//! INSERT, UPDATE, DELETE, MERGE.

use std::sync::Arc;

use ochre_base::{Error, Oid, Result};
use ochre_catalog::RelationKind;
use ochre_expr::Expr;
use ochre_types::SqlType;

use super::{PlanBuilder, Wanted};
use crate::bind::{RowExpression, RowExpressionBinder, foreign_keys_of, referenced_tables};
use crate::idset::IdSet;
use crate::logical::{ColumnId, ColumnInfo, LogicalConflict, Modify, TableId, TargetRules};
use crate::partition::partition_constraints;
use crate::physical::{
    Assignment, CheckExpression, CommandKind, ConflictAction, DeletePlan, Estimate, GeneratedColumn,
    IndexMaintenance, InsertPlan, OnConflict, OutputColumn, PhysicalPlan, PlanNode, RowRecheck, ScanColumn,
    TargetTable, UpdatePlan,
};

impl PlanBuilder<'_> {
    /// Plans a data-modifying statement.
    pub(crate) fn plan_modify(&mut self, modify: Modify) -> Result<PhysicalPlan> {
        if let Some(table_oid) = modify.table_oid.filter(|_| modify.command != CommandKind::Merge) {
            return self.plan_modify_set(modify, table_oid);
        }
        match modify.command {
            CommandKind::Insert => self.plan_insert(modify),
            CommandKind::Update => self.plan_update(modify),
            CommandKind::Delete => self.plan_delete(modify),
            CommandKind::Merge => self.plan_merge(modify),
            CommandKind::Select => Err(Error::internal("not a data-modifying statement")),
        }
    }

    fn plan_insert(&mut self, modify: Modify) -> Result<PhysicalPlan> {
        let source = self.plan_query(&modify.source)?;
        if self.tables[modify.target].table.kind == RelationKind::PartitionedTable {
            return self.plan_routed_insert(modify, source);
        }
        let target = self.target_table(modify.target, modify.rules, |_| true)?;
        let on_conflict = match modify.on_conflict {
            Some(conflict) => {
                let own = self.tables[modify.target].table.oid;
                Some(self.plan_conflict(&conflict, modify.target, modify.excluded, own, Self::image_ids)?)
            }
            None => None,
        };
        let updates = on_conflict.as_ref().is_some_and(OnConflict::updates);
        let mut returned = Vec::new();
        for (expr, column) in modify.returning.iter().flatten() {
            let expr = self.expand_image(expr, modify.image, Presence::Always)?;
            let presence = if updates { Presence::WithRowId } else { Presence::Never };
            returned.push((self.expand_counterpart(&expr, modify.counterpart, presence)?, column.clone()));
        }
        let mut image = self.image_ids(modify.image);
        if let (true, Some(old)) = (updates, modify.counterpart) {
            image.extend(self.image_ids(old));
        }
        let returning = self.plan_returning(modify.returning.is_some().then_some(&returned), &image)?;
        let columns = returning_columns(modify.returning.as_deref());
        let estimate = modify_estimate(source.estimate, returning.is_some());
        let plan = InsertPlan { target, source: Arc::new(source), on_conflict, returning, routing: None };
        Ok(PhysicalPlan { node: PlanNode::Insert(Box::new(plan)), columns, estimate })
    }

    /// The ids of a target image, in the order of its positions: columns, then the row id. `usize::MAX` where nothing
    /// mentions the column.
    pub(super) fn image_ids(&self, table: TableId) -> Vec<ColumnId> {
        let used = &self.tables[table];
        let mut ids = vec![usize::MAX; used.table.columns.len() + 1];
        for (column, id) in &used.columns {
            match column {
                ScanColumn::Table(position) => ids[*position] = *id,
                ScanColumn::RowId => ids[used.table.columns.len()] = *id,
                _ => {}
            }
        }
        ids
    }

    /// Replaces mentions of an image's `tableoid` and whole row by what they are.
    pub(super) fn expand_image(&mut self, expr: &Expr, table: TableId, presence: Presence) -> Result<Expr> {
        let own = self.tables[table].table.oid;
        self.expand_image_of(expr, table, presence, own)
    }

    /// As [`PlanBuilder::expand_image`], for a row of this relation.
    pub(super) fn expand_image_of(
        &mut self,
        expr: &Expr,
        table: TableId,
        presence: Presence,
        relation: Oid,
    ) -> Result<Expr> {
        let plain = |column: &ScanColumn| matches!(column, ScanColumn::Table(_) | ScanColumn::RowId);
        let special: Vec<(ScanColumn, ColumnId)> = self.tables[table]
            .columns
            .iter()
            .copied()
            .filter(|(column, _)| presence == Presence::Never || !plain(column))
            .collect();
        if special.is_empty() {
            return Ok(expr.clone());
        }
        let expanded = expr.clone().try_transform(&mut |node| match node {
            Expr::Column { index, ty } => match special.iter().find(|(_, id)| *id == index) {
                None => Ok(Expr::Column { index, ty }),
                Some(_) if presence == Presence::Never => Ok(Expr::null(ty)),
                Some((column, _)) => {
                    let value = self.image_column(table, *column, ty, relation)?;
                    if presence == Presence::Always {
                        return Ok(value);
                    }
                    let row_id = self.image_id(table, ScanColumn::RowId, SqlType::TID);
                    let row_id = Box::new(Expr::Column { index: row_id, ty: SqlType::TID });
                    let present = Expr::IsNull { arg: row_id, negated: true, row: false };
                    Ok(Expr::Case { operand: None, branches: vec![(present, value)], otherwise: None, ty })
                }
            },
            other => Ok(other),
        })?;
        // A sub-plan reads columns of its own accord.
        let mut left = IdSet::default();
        crate::walk::mentioned(&expanded, self.parts(), &mut left);
        match special.iter().any(|(_, id)| left.contains(*id)) {
            true => Err(Error::unsupported("OLD, NEW or a whole row in a subquery of RETURNING")),
            false => Ok(expanded),
        }
    }

    pub(super) fn expand_counterpart(
        &mut self,
        expr: &Expr,
        table: Option<TableId>,
        presence: Presence,
    ) -> Result<Expr> {
        match table {
            Some(table) => self.expand_image(expr, table, presence),
            None => Ok(expr.clone()),
        }
    }

    /// A system column, or the whole row, of an image.
    fn image_column(
        &mut self,
        table: TableId,
        column: ScanColumn,
        ty: SqlType,
        relation: Oid,
    ) -> Result<Expr> {
        let descriptor = Arc::clone(&self.tables[table].table);
        match column {
            ScanColumn::TableOid => Ok(Expr::constant(ochre_types::Datum::UInt32(relation.0), ty)),
            ScanColumn::WholeRow => {
                let live = descriptor.columns.iter().enumerate().filter(|(_, column)| !column.dropped);
                let fields = live
                    .map(|(position, column)| {
                        let index = self.image_id(table, ScanColumn::Table(position), column.ty);
                        Expr::Column { index, ty: column.ty }
                    })
                    .collect();
                Ok(Expr::Row { fields, ty })
            }
            _ => Err(Error::unsupported("this system column in RETURNING")),
        }
    }

    /// The id of a column of an image.
    fn image_id(&mut self, table: TableId, column: ScanColumn, ty: SqlType) -> ColumnId {
        if let Some((_, id)) = self.tables[table].columns.iter().find(|(known, _)| *known == column) {
            return *id;
        }
        let name = Arc::clone(&self.tables[table].alias);
        self.columns.push(ColumnInfo { name, ty, origin: None, depth: 0, table: Some(table) });
        let id = self.columns.len() - 1;
        self.tables[table].columns.push((column, id));
        id
    }

    /// ON CONFLICT for a relation; `image_ids` gives the ids of an image's positions in the relation.
    pub(super) fn plan_conflict(
        &mut self,
        conflict: &LogicalConflict,
        existing: TableId,
        excluded: Option<TableId>,
        relation: Oid,
        image_ids: impl Fn(&Self, TableId) -> Vec<ColumnId>,
    ) -> Result<OnConflict> {
        let action = match &conflict.update {
            None => ConflictAction::Nothing,
            Some((assignments, filter)) => {
                let mut expanded = Vec::with_capacity(assignments.len());
                for (column, value) in assignments {
                    expanded.push((*column, self.expand_conflict(value, existing, excluded, relation)?));
                }
                let filter = match filter {
                    Some(filter) => Some(self.expand_conflict(filter, existing, excluded, relation)?),
                    None => None,
                };
                // The existing row, then the proposed one, with what whole rows have come to mention.
                let mut ids = image_ids(self, existing);
                if let Some(excluded) = excluded {
                    let mut proposed = image_ids(self, excluded);
                    proposed.pop();
                    ids.extend(proposed);
                }
                let mut resolved = Vec::with_capacity(expanded.len());
                for (column, value) in expanded {
                    resolved.push(Assignment { column, value: self.resolve(&value, &ids)? });
                }
                let filter = match filter {
                    Some(filter) => Some(self.resolve(&filter, &ids)?),
                    None => None,
                };
                ConflictAction::Update { assignments: resolved, filter }
            }
        };
        Ok(OnConflict { arbiters: conflict.arbiters.clone(), action })
    }

    fn expand_conflict(
        &mut self,
        expr: &Expr,
        existing: TableId,
        excluded: Option<TableId>,
        relation: Oid,
    ) -> Result<Expr> {
        let expr = self.expand_image_of(expr, existing, Presence::Always, relation)?;
        self.expand_counterpart(&expr, excluded, Presence::Always)
    }

    pub(super) fn plan_returning(
        &mut self,
        returning: Option<&Vec<(Expr, OutputColumn)>>,
        ids: &[ColumnId],
    ) -> Result<Option<Vec<Expr>>> {
        let Some(returning) = returning else { return Ok(None) };
        let mut resolved = Vec::with_capacity(returning.len());
        for (expr, _) in returning {
            resolved.push(self.resolve(expr, ids)?);
        }
        Ok(Some(resolved))
    }

    /// The rows to change, with every id that the statement needs of them.
    pub(super) fn plan_modify_source(
        &mut self,
        modify: &Modify,
        extra: &[&Expr],
    ) -> Result<(PhysicalPlan, Vec<ColumnId>, usize, RowRecheck)> {
        let Some(row_id) = modify.row_id else {
            return Err(Error::internal("no row id to change rows by"));
        };
        let available = crate::walk::produced(&modify.source.plan, &self.tables);
        let mut required = IdSet::default();
        required.insert(row_id);
        for expr in extra {
            let mut mentioned = IdSet::default();
            crate::walk::mentioned(expr, self.parts(), &mut mentioned);
            for id in mentioned.iter() {
                if available.contains(id) {
                    required.insert(id);
                }
            }
        }
        let mut predicates = Vec::with_capacity(modify.predicates.len());
        for predicate in &modify.predicates {
            let mut mentioned = IdSet::default();
            crate::walk::mentioned(predicate, self.parts(), &mut mentioned);
            if mentioned.iter().all(|id| available.contains(id)) {
                required.extend(&mentioned);
                predicates.push(predicate.clone());
            }
        }
        let node = self.plan_node(&modify.source.plan, &required, &Wanted::default())?;
        let Some(position) = node.ids.iter().position(|id| *id == row_id) else {
            return Err(Error::internal("the rows to change come without their row ids"));
        };
        let recheck = self.recheck(modify.target, &node.ids, &predicates)?;
        Ok((node.plan, node.ids, position, recheck))
    }

    fn plan_update(&mut self, modify: Modify) -> Result<PhysicalPlan> {
        let mut returned = Vec::new();
        for (expr, column) in modify.returning.iter().flatten() {
            returned.push((self.expand_image(expr, modify.image, Presence::Always)?, column.clone()));
        }
        let old: Vec<Expr> = self.tables[modify.target]
            .columns
            .iter()
            .filter(|(column, _)| matches!(column, ScanColumn::Table(_)))
            .map(|(_, id)| Expr::Column { index: *id, ty: self.columns[*id].ty })
            .collect();
        let mut extra: Vec<&Expr> = modify.assignments.iter().map(|(_, value)| value).collect();
        extra.extend(returned.iter().map(|(expr, _)| expr));
        extra.extend(&old);
        let (source, ids, row_id, recheck) = self.plan_modify_source(&modify, &extra)?;
        let old_columns = self.old_columns(modify.target, &ids);
        let mut assignments = Vec::with_capacity(modify.assignments.len());
        for (column, value) in &modify.assignments {
            assignments.push(Assignment { column: *column, value: self.resolve(value, &ids)? });
        }
        let mut image = self.image_ids(modify.image);
        image.extend(&ids);
        let has_returning = modify.returning.is_some();
        let returning = self.plan_returning(has_returning.then_some(&returned), &image)?;
        let columns = returning_columns(modify.returning.as_deref());
        let mut changed: Vec<usize> = modify.assignments.iter().map(|(column, _)| *column).collect();
        changed.extend(modify.rules.generated.iter().map(|(column, _)| *column));
        let target = self.target_table(modify.target, modify.rules, |columns| {
            columns.iter().any(|column| changed.contains(column))
        })?;
        let estimate = modify_estimate(source.estimate, returning.is_some());
        let plan = UpdatePlan {
            target,
            source: Arc::new(source),
            row_id,
            old_columns,
            assignments,
            recheck,
            returning,
        };
        Ok(PhysicalPlan { node: PlanNode::Update(Box::new(plan)), columns, estimate })
    }

    fn plan_delete(&mut self, modify: Modify) -> Result<PhysicalPlan> {
        let mut returned = Vec::new();
        for (expr, column) in modify.returning.iter().flatten() {
            let expr = self.expand_counterpart(expr, modify.counterpart, Presence::Never)?;
            returned.push((expr, column.clone()));
        }
        let needed: Vec<&Expr> = returned.iter().map(|(expr, _)| expr).collect();
        let (source, ids, row_id, recheck) = self.plan_modify_source(&modify, &needed)?;
        // The image's columns come first; everything is read from the source behind them.
        let width = self.tables[modify.target].table.columns.len() + 1;
        let mut image = vec![usize::MAX; width];
        image.extend(&ids);
        let returning = self.plan_returning(modify.returning.is_some().then_some(&returned), &image)?;
        let columns = returning_columns(modify.returning.as_deref());
        // Rows that go need not refer to anything.
        let referenced = self.referenced.len();
        let mut target = self.target_table(modify.target, TargetRules::default(), |_| true)?;
        target.foreign_keys.clear();
        self.referenced.truncate(referenced);
        let estimate = modify_estimate(source.estimate, returning.is_some());
        let plan = DeletePlan { target, source: Arc::new(source), row_id, recheck, returning };
        Ok(PhysicalPlan { node: PlanNode::Delete(Box::new(plan)), columns, estimate })
    }

    pub(super) fn old_columns(&self, table: TableId, ids: &[ColumnId]) -> Vec<Option<usize>> {
        let used = &self.tables[table];
        let position_of = |position: usize| {
            let (_, id) = used.columns.iter().find(|(column, _)| *column == ScanColumn::Table(position))?;
            ids.iter().position(|known| known == id)
        };
        (0..used.table.columns.len()).map(position_of).collect()
    }

    /// What the executor must know of the target. `concerns` says which sets of columns a foreign key matters for.
    pub(super) fn target_table(
        &mut self,
        table: TableId,
        rules: TargetRules,
        concerns: impl Fn(&[usize]) -> bool,
    ) -> Result<TargetTable> {
        let used = &self.tables[table];
        let descriptor = Arc::clone(&used.table);
        let planner = &self.planner;
        let binder =
            RowExpressionBinder::new(planner.catalog, planner.search_path, planner.session, &descriptor);
        let mut indexes = Vec::with_capacity(descriptor.indexes.len());
        for index in &descriptor.indexes {
            let column = |number: i16| {
                let position = usize::try_from(number - 1).unwrap_or(usize::MAX);
                match descriptor.columns.get(position) {
                    Some(found) => Ok(Expr::Column { index: position, ty: found.ty }),
                    None => Err(Error::internal("an index is over a column that its table lacks")),
                }
            };
            let mut exprs = Vec::with_capacity(index.keys.len() + index.included.len());
            for key in &index.keys {
                exprs.push(match &key.expression {
                    Some(text) => binder.bind_text(text, RowExpression::IndexKey, None)?,
                    None => column(key.number)?,
                });
            }
            for number in &index.included {
                exprs.push(column(*number)?);
            }
            let predicate = match &index.predicate {
                Some(text) => Some(binder.bind_text(text, RowExpression::IndexPredicate, None)?),
                None => None,
            };
            let mut columns_read: Vec<usize> =
                exprs.iter().chain(&predicate).flat_map(Expr::columns).collect();
            columns_read.sort_unstable();
            columns_read.dedup();
            indexes.push(IndexMaintenance { index: Arc::clone(index), exprs, predicate, columns_read });
        }
        let (foreign_keys, referenced_by) =
            foreign_keys_of(planner.catalog, planner.session, &descriptor, concerns)?;
        self.referenced.extend(referenced_tables(&foreign_keys));
        let partition = match descriptor.is_partition() {
            true => Some(Expr::and(partition_constraints(planner.catalog, &descriptor)?)),
            false => None,
        };
        let used = &self.tables[table];
        Ok(TargetTable {
            table: Arc::clone(&descriptor),
            alias: Arc::clone(&used.alias),
            not_null: rules.not_null,
            generated: rules
                .generated
                .into_iter()
                .map(|(column, expr)| GeneratedColumn { column, expr })
                .collect(),
            checks: rules
                .checks
                .into_iter()
                .map(|(name, expr)| CheckExpression { name, expr, of_view: false })
                .chain(rules.view_checks.into_iter().map(|(name, expr)| CheckExpression {
                    name,
                    expr,
                    of_view: true,
                }))
                .collect(),
            indexes,
            foreign_keys,
            referenced_by,
            partition,
        })
    }
}

/// Whether the row of an image exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Presence {
    Always,
    Never,
    /// When its row id is not NULL.
    WithRowId,
}

pub(super) fn returning_columns(returning: Option<&[(Expr, OutputColumn)]>) -> Vec<OutputColumn> {
    returning.into_iter().flatten().map(|(_, column)| column.clone()).collect()
}

pub(super) fn modify_estimate(source: Estimate, returns: bool) -> Estimate {
    if returns { source } else { Estimate { rows: 0.0, width: 0, ..source } }
}
