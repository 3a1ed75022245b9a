//! MERGE.

use std::sync::Arc;

use ochre_base::{Error, Result};
use ochre_catalog::{RelationDescriptor, RelationKind};
use ochre_expr::Expr;
use ochre_types::SqlType;

use super::PlanBuilder;
use super::modify::{Presence, modify_estimate, returning_columns};
use super::relation_set::of_member;
use crate::bind::{referenced_key, references_to};
use crate::inherit::{ColumnMap, column_map};
use crate::logical::{
    ColumnId, LogicalMerge, LogicalMergeAction, LogicalMergeChange, Modify, TableId, TableUse, TargetRules,
};
use crate::physical::{
    Assignment, LeavingRows, MergeAction, MergeChange, MergePlan, MergeSet, MergeSetPart, PhysicalPlan,
    PlanNode, RowRecheck, ScanColumn, TargetTable,
};

/// What the parts of a MERGE into a set have in common.
struct Joined {
    source: Arc<PhysicalPlan>,
    ids: Vec<ColumnId>,
    row_id: usize,
    source_present: Option<usize>,
    recheck: RowRecheck,
}

impl PlanBuilder<'_> {
    pub(super) fn plan_merge(&mut self, modify: Modify) -> Result<PhysicalPlan> {
        let Some(merge) = &modify.merge else { return Err(Error::internal("a MERGE without actions")) };
        let own = self.tables[modify.target].table.oid;
        let returned = self.merge_returning(&modify, own)?;
        let column = |(_, id): &(ScanColumn, ColumnId)| Expr::Column { index: *id, ty: self.columns[*id].ty };
        let old = self.tables[modify.target].columns.iter();
        let mut owned: Vec<Expr> =
            old.filter(|(column, _)| matches!(column, ScanColumn::Table(_))).map(column).collect();
        owned.extend(merge.source_present.map(|index| Expr::Column { index, ty: SqlType::BOOL }));
        owned.extend(modify.table_oid.map(|index| Expr::Column { index, ty: self.columns[index].ty }));
        let mut extra: Vec<&Expr> = owned.iter().collect();
        for action in &merge.actions {
            extra.extend(&action.condition);
            match &action.change {
                LogicalMergeChange::Nothing | LogicalMergeChange::Delete => {}
                LogicalMergeChange::Update(assignments) => {
                    extra.extend(assignments.iter().map(|(_, value)| value));
                }
                LogicalMergeChange::Insert(values) => extra.extend(values),
            }
        }
        extra.extend(returned.iter().map(|(expr, _)| expr));
        let (source, ids, row_id, recheck) = self.plan_modify_source(&modify, &extra)?;
        let source = Arc::new(source);
        let source_present = merge.source_present.and_then(|id| ids.iter().position(|known| *known == id));
        let joined = Joined { source, ids, row_id, source_present, recheck };
        let columns = returning_columns(modify.returning.as_deref());
        let estimate = modify_estimate(joined.source.estimate, modify.returning.is_some());
        let plan = match modify.table_oid {
            Some(table_oid) => self.merge_set(&modify, merge, joined, table_oid)?,
            None => {
                let mut image = self.image_ids(modify.image);
                if let Some(new) = modify.counterpart {
                    image.extend(self.image_ids(new));
                }
                image.push(merge.action_name);
                image.extend(&joined.ids);
                let returning =
                    self.plan_returning(modify.returning.is_some().then_some(&returned), &image)?;
                let actions = self.merge_actions(&merge.actions, &joined.ids, None)?;
                let old_columns = self.old_columns(modify.target, &joined.ids);
                MergePlan {
                    target: self.target_table(modify.target, modify.rules, |_| true)?,
                    source: joined.source,
                    row_id,
                    source_present,
                    old_columns,
                    actions,
                    recheck: joined.recheck,
                    returning,
                    set: None,
                }
            }
        };
        Ok(PhysicalPlan { node: PlanNode::Merge(Box::new(plan)), columns, estimate })
    }

    /// RETURNING for a row of this relation.
    fn merge_returning(
        &mut self,
        modify: &Modify,
        relation: ochre_base::Oid,
    ) -> Result<Vec<(Expr, crate::physical::OutputColumn)>> {
        let mut returned = Vec::new();
        for (expr, column) in modify.returning.iter().flatten() {
            let expr = self.expand_image_of(expr, modify.image, Presence::Always, relation)?;
            let expr = match modify.counterpart {
                Some(new) => self.expand_image_of(&expr, new, Presence::WithRowId, relation)?,
                None => expr,
            };
            returned.push((expr, column.clone()));
        }
        Ok(returned)
    }

    /// What is done, over the source's columns. With a map for one relation of a set, in whose columns values are assigned; its
    /// new rows come from outside.
    fn merge_actions(
        &mut self,
        actions: &[LogicalMergeAction],
        ids: &[ColumnId],
        map: Option<&ColumnMap>,
    ) -> Result<Vec<MergeAction>> {
        let mut planned = Vec::with_capacity(actions.len());
        for action in actions {
            let condition = match &action.condition {
                Some(condition) => Some(self.resolve(condition, ids)?),
                None => None,
            };
            let change = match &action.change {
                LogicalMergeChange::Nothing => MergeChange::Nothing,
                LogicalMergeChange::Delete => MergeChange::Delete,
                LogicalMergeChange::Update(assignments) => {
                    let mut resolved = Vec::with_capacity(assignments.len());
                    for (column, value) in assignments {
                        let own = map.map_or(Some(*column), |map| map[*column]);
                        let column = own.ok_or_else(|| Error::internal("a dropped column is assigned"))?;
                        resolved.push(Assignment { column, value: self.resolve(value, ids)? });
                    }
                    MergeChange::Update(resolved)
                }
                LogicalMergeChange::Insert(_) if map.is_some() => MergeChange::Insert(Vec::new()),
                LogicalMergeChange::Insert(values) => {
                    let resolved = values.iter().map(|value| self.resolve(value, ids));
                    MergeChange::Insert(resolved.collect::<Result<_>>()?)
                }
            };
            planned.push(MergeAction { matched: action.matched, condition, change });
        }
        Ok(planned)
    }

    fn merge_set(
        &mut self,
        modify: &Modify,
        merge: &LogicalMerge,
        joined: Joined,
        table_oid: ColumnId,
    ) -> Result<MergePlan> {
        let root = Arc::clone(&self.tables[modify.target].table);
        let Some(table_oid) = joined.ids.iter().position(|id| *id == table_oid) else {
            return Err(Error::internal("the rows to change come without their relations"));
        };
        let mut parts = Vec::new();
        for member in self.tables[modify.target].members.clone() {
            parts.push(self.merge_part(modify, merge, &root, member, &joined)?);
        }
        let partitioned = root.kind == RelationKind::PartitionedTable;
        let (mut routing, mut moved_keys) = (None, Vec::new());
        if partitioned {
            let mut complete = |_: &mut Self, _: &_, _: &_, _: &mut _| Ok(());
            let ways = self.routing_of(modify.target, &modify.rules, &joined.source, &mut complete)?;
            for leaf in &ways.routes.leaves {
                // With ONLY no rows are read, and new ones still have their places.
                if parts.iter().any(|part: &MergeSetPart| part.plan.target.table.oid == leaf.oid) {
                    continue;
                }
                let (id, alias) = (self.tables.len(), Arc::clone(&self.tables[modify.target].alias));
                self.tables.push(TableUse::new(Arc::clone(leaf), alias));
                parts.push(self.merge_part(modify, merge, &root, id, &joined)?);
            }
            routing = Some(Arc::new(ways));
            let keys = references_to(self.planner.catalog, root.oid);
            moved_keys.extend(keys.filter_map(referenced_key).map(Arc::new));
        }
        let actions = self.merge_actions(&merge.actions, &joined.ids, None)?;
        let used = &self.tables[modify.target];
        Ok(MergePlan {
            target: TargetTable::of_set(&used.table, &used.alias),
            source: joined.source,
            row_id: joined.row_id,
            source_present: joined.source_present,
            old_columns: Vec::new(),
            actions,
            recheck: RowRecheck::default(),
            returning: None,
            set: Some(Box::new(MergeSet { table_oid, parts, routing, moved_keys })),
        })
    }

    fn merge_part(
        &mut self,
        modify: &Modify,
        merge: &LogicalMerge,
        root: &Arc<RelationDescriptor>,
        member: TableId,
        joined: &Joined,
    ) -> Result<MergeSetPart> {
        let table = Arc::clone(&self.tables[member].table);
        let map = column_map(root, &table)?;
        let ids = &joined.ids;
        let mut recheck = of_member(&joined.recheck, &map)?;
        let mut old_columns: Vec<Option<usize>> = vec![None; table.columns.len()];
        for (position, old) in self.old_columns(modify.target, ids).into_iter().enumerate() {
            if let Some(own) = map[position] {
                old_columns[own] = old;
            }
        }
        let updates =
            merge.actions.iter().any(|action| matches!(action.change, LogicalMergeChange::Update(_)));
        let mut fetch = Vec::new();
        for (position, column) in table.columns.iter().enumerate() {
            if updates && !column.dropped && !map.contains(&Some(position)) {
                let place = ids.len() + fetch.len();
                old_columns[position] = Some(place);
                recheck.columns.push((place, ScanColumn::Table(position)));
                fetch.push(position);
            }
        }
        let actions = self.merge_actions(&merge.actions, ids, Some(&map))?;
        let returned = self.merge_returning(modify, table.oid)?;
        let mut image = self.member_image_ids(modify.image, &map, &table);
        if let Some(new) = modify.counterpart {
            image.extend(self.member_image_ids(new, &map, &table));
        }
        image.push(merge.action_name);
        image.extend(ids);
        let returning = self.plan_returning(modify.returning.is_some().then_some(&returned), &image)?;
        let rules: TargetRules = self.member_rules(&modify.rules, &table, &map)?;
        let leaving = match root.kind {
            RelationKind::PartitionedTable => self.leaving_rows(root, &table),
            _ => LeavingRows::default(),
        };
        let plan = MergePlan {
            target: self.target_table(member, rules, |_| true)?,
            source: Arc::clone(&joined.source),
            row_id: joined.row_id,
            source_present: joined.source_present,
            old_columns,
            actions,
            recheck,
            returning,
            set: None,
        };
        Ok(MergeSetPart { fetch, map, plan, leaving })
    }
}
