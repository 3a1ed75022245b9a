//! INSERT, UPDATE, DELETE.

use std::sync::Arc;

use ochre_base::{Error, Result};
use ochre_expr::Expr;
use ochre_types::SqlType;

use super::node::has_subplan;
use super::{PlanBuilder, Wanted};
use crate::bind::{RowExpression, RowExpressionBinder, foreign_keys_of, referenced_tables};
use crate::idset::IdSet;
use crate::logical::{ColumnId, LogicalConflict, Modify, TableId, TargetRules};
use crate::physical::{
    Assignment, CheckExpression, CommandKind, ConflictAction, DeletePlan, Estimate, GeneratedColumn,
    IndexMaintenance, InsertPlan, OnConflict, OutputColumn, PhysicalPlan, PlanNode, RowRecheck, ScanColumn,
    TargetTable, UpdatePlan,
};

impl PlanBuilder<'_> {
    /// Plans a data-modifying statement.
    pub(crate) fn plan_modify(&mut self, modify: Modify) -> Result<PhysicalPlan> {
        match modify.command {
            CommandKind::Insert => self.plan_insert(modify),
            CommandKind::Update => self.plan_update(modify),
            CommandKind::Delete => self.plan_delete(modify),
            _ => Err(Error::internal("not a data-modifying statement")),
        }
    }

    fn plan_insert(&mut self, modify: Modify) -> Result<PhysicalPlan> {
        let source = self.plan_query(&modify.source)?;
        let target = self.target_table(modify.target, modify.rules, |_| true)?;
        let image = self.image_ids(modify.image);
        let on_conflict = match modify.on_conflict {
            Some(conflict) => Some(self.plan_conflict(conflict, modify.target, modify.excluded)?),
            None => None,
        };
        let returning = self.plan_returning(modify.returning.as_deref(), &image)?;
        let columns = returning_columns(modify.returning.as_deref());
        let estimate = modify_estimate(source.estimate, returning.is_some());
        let plan = InsertPlan { target, source: Arc::new(source), on_conflict, returning };
        Ok(PhysicalPlan { node: PlanNode::Insert(Box::new(plan)), columns, estimate })
    }

    /// The ids of a target image, in the order of its positions: columns, then the row id. `usize::MAX` where nothing
    /// mentions the column.
    fn image_ids(&self, table: TableId) -> Vec<ColumnId> {
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
    fn expand_image(&self, expr: &Expr, table: TableId) -> Result<Expr> {
        let used = &self.tables[table];
        let special: Vec<(ScanColumn, ColumnId)> = used
            .columns
            .iter()
            .copied()
            .filter(|(column, _)| !matches!(column, ScanColumn::Table(_) | ScanColumn::RowId))
            .collect();
        if special.is_empty() {
            return Ok(expr.clone());
        }
        expr.clone().try_transform(&mut |node| match node {
            Expr::Column { index, ty } => match special.iter().find(|(_, id)| *id == index) {
                None => Ok(Expr::Column { index, ty }),
                Some((ScanColumn::TableOid, _)) => {
                    Ok(Expr::constant(ochre_types::Datum::UInt32(used.table.oid.0), SqlType::OID))
                }
                Some(_) => Err(Error::unsupported("this system column or a whole row here")),
            },
            other => Ok(other),
        })
    }

    fn plan_conflict(
        &mut self,
        conflict: LogicalConflict,
        existing: TableId,
        excluded: Option<TableId>,
    ) -> Result<OnConflict> {
        let action = match conflict.update {
            None => ConflictAction::Nothing,
            Some((assignments, filter)) => {
                let mut ids = self.image_ids(existing);
                if let Some(excluded) = excluded {
                    let mut proposed = self.image_ids(excluded);
                    proposed.pop();
                    ids.extend(proposed);
                }
                let mut resolved = Vec::with_capacity(assignments.len());
                for (column, value) in assignments {
                    let value = self.expand_image(&value, existing)?;
                    resolved.push(Assignment { column, value: self.resolve(&value, &ids)? });
                }
                let filter = match filter {
                    Some(filter) => {
                        let filter = self.expand_image(&filter, existing)?;
                        Some(self.resolve(&filter, &ids)?)
                    }
                    None => None,
                };
                ConflictAction::Update { assignments: resolved, filter }
            }
        };
        Ok(OnConflict { arbiters: conflict.arbiters, action })
    }

    fn plan_returning(
        &mut self,
        returning: Option<&[(Expr, OutputColumn)]>,
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
    fn plan_modify_source(
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
        let predicates: Vec<Expr> = modify
            .predicates
            .iter()
            .filter(|predicate| !has_subplan(predicate) && available.is_superset_of(predicate))
            .cloned()
            .collect();
        for predicate in &predicates {
            required.add_expr(predicate);
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
            returned.push((self.expand_image(expr, modify.image)?, column.clone()));
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
        let returning = self.plan_returning(has_returning.then_some(returned.as_slice()), &image)?;
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
        let returned: Vec<&Expr> = modify.returning.iter().flatten().map(|(expr, _)| expr).collect();
        let (source, ids, row_id, recheck) = self.plan_modify_source(&modify, &returned)?;
        // The image's columns come first; everything is read from the source behind them.
        let width = self.tables[modify.target].table.columns.len() + 1;
        let mut image = vec![usize::MAX; width];
        image.extend(&ids);
        let returning = self.plan_returning(modify.returning.as_deref(), &image)?;
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

    fn old_columns(&self, table: TableId, ids: &[ColumnId]) -> Vec<Option<usize>> {
        let used = &self.tables[table];
        let position_of = |position: usize| {
            let (_, id) = used.columns.iter().find(|(column, _)| *column == ScanColumn::Table(position))?;
            ids.iter().position(|known| known == id)
        };
        (0..used.table.columns.len()).map(position_of).collect()
    }

    /// What the executor must know of the target. `concerns` says which sets of columns a foreign key matters for.
    fn target_table(
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
        })
    }
}

fn returning_columns(returning: Option<&[(Expr, OutputColumn)]>) -> Vec<OutputColumn> {
    returning.into_iter().flatten().map(|(_, column)| column.clone()).collect()
}

fn modify_estimate(source: Estimate, returns: bool) -> Estimate {
    if returns { source } else { Estimate { rows: 0.0, width: 0, ..source } }
}
