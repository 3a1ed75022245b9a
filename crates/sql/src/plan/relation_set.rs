//! Sets of relations that one table's name stands for: their rows, their locks, and what is changed in them.

use std::sync::Arc;

use ochre_base::{Error, Oid, Result};
use ochre_catalog::{RelationDescriptor, RelationKind};
use ochre_expr::Expr;

use super::modify::{Presence, modify_estimate, returning_columns};
use super::prune::Verdict;
use super::{Node, OrderKey, PlanBuilder, Wanted, agreeing};
use crate::bind::{RowExpressionBinder, is_part_of_index, referenced_key, references_to};
use crate::idset::IdSet;
use crate::inherit::{ColumnMap, column_map, mapped};
use crate::logical::{ColumnId, Logical, Modify, SetInputs, TableId, TableUse, TargetRules};
use crate::partition::{Bound, Detaching, Division, routes};
use crate::physical::{
    AppendPlan, Assignment, CommandKind, ConflictAction, DeletePlan, Estimate, InsertPlan, InsertRouting,
    ItemNames, LeafInsert, LeavingRows, MarkedSet, ModifySetPart, ModifySetPlan, PartPlan, PhysicalPlan,
    PlanNode, RowRecheck, ScanColumn, TargetTable, UpdatePlan,
};

/// The table that an input of a set reads.
fn table_of(plan: &Logical) -> Option<TableId> {
    match plan {
        Logical::Get(table) => Some(*table),
        Logical::Filter { input, .. } => table_of(input),
        _ => None,
    }
}

impl PlanBuilder<'_> {
    /// The rows of the relations of a set, one relation after the other.
    pub(super) fn plan_relation_set(
        &mut self,
        set: TableId,
        inputs: &SetInputs,
        pick: &dyn Fn(&[ColumnId]) -> Vec<ColumnId>,
        wanted: &Wanted,
    ) -> Result<Node> {
        let ids = pick(&inputs.columns);
        let mut scanned = Vec::new();
        for input in &inputs.inputs {
            match table_of(&input.0).map_or(Verdict::Read, |table| self.verdict(&input.0, table)) {
                Verdict::Read => scanned.push((input, None)),
                Verdict::Skip => {}
                Verdict::Ask(guard) => scanned.push((input, Some(guard))),
            }
        }
        let alone = scanned.len() == 1;
        let mut guards = Vec::with_capacity(scanned.len());
        let mut plans = Vec::with_capacity(scanned.len());
        let mut estimate = Estimate { width: self.width_of(&ids), ..Estimate::default() };
        let parts: Vec<(&Logical, Vec<ColumnId>)> =
            scanned.iter().map(|((plan, columns), _)| (plan, pick(columns))).collect();
        for (number, ((plan, columns), guard)) in scanned.into_iter().enumerate() {
            guards.push(match guard {
                Some(guard) => Some(self.resolve(&guard, &[])?),
                None => None,
            });
            if let Some(table) = table_of(plan) {
                // PostgreSQL's names for EXPLAIN.
                let alias = Arc::clone(&self.tables[set].alias);
                self.tables[table].alias =
                    if alone { alias } else { format!("{alias}_{}", number + 1).into() };
                self.scanned.push(table);
            }
            let planned = self.plan_set_input(plan, &pick(columns))?;
            if number == 0 {
                estimate.startup_cost = planned.estimate.startup_cost;
            }
            estimate.total_cost += planned.estimate.total_cost;
            estimate.rows += planned.estimate.rows;
            plans.push(Arc::new(planned));
        }
        let columns = self.output_columns(&ids);
        if plans.is_empty() {
            return Ok(self.no_rows(ids));
        }
        if let ([(plan, columns)], None) = (parts.as_slice(), &guards[0]) {
            if wanted.order.is_empty() && wanted.rows.is_none() {
                let plan = Arc::unwrap_or_clone(plans.remove(0));
                return Ok(Node { plan, ids, order: Vec::new(), unique: Vec::new() });
            }
            let order: Option<Vec<OrderKey>> = wanted
                .order
                .iter()
                .map(|key| {
                    let position = ids.iter().position(|id| *id == key.id)?;
                    Some(OrderKey { id: columns[position], ..*key })
                })
                .collect();
            let goal = Wanted { order: order.unwrap_or_default(), rows: wanted.rows };
            let node = self.plan_node(plan, &IdSet::of(columns.iter().copied()), &goal)?;
            let order = wanted.order[..agreeing(&node.order, &goal.order)].to_vec();
            return Ok(Node { plan: self.shape(node, columns), ids, order, unique: Vec::new() });
        }
        estimate.total_cost += estimate.rows * self.settings().cpu_tuple_cost * 0.5;
        if guards.iter().all(Option::is_none) {
            guards.clear();
        }
        let parent = Some(self.names_of_table(set, &ids));
        let append = AppendPlan { inputs: plans, guards: guards.clone(), merge: None, parent };
        let plan = PhysicalPlan { node: PlanNode::Append(append), columns, estimate };
        let node = Node { plan, ids, order: Vec::new(), unique: Vec::new() };
        match self.in_order_of_bounds(set, &parts, &node.ids, inputs, wanted) {
            Some(false) => self.or_in_order(node, &parts, &guards, true, wanted),
            Some(true) => {
                let (mut parts, mut guards) = (parts, guards);
                parts.reverse();
                guards.reverse();
                self.or_in_order(node, &parts, &guards, true, wanted)
            }
            None => self.or_in_order(node, &parts, &guards, false, wanted),
        }
    }

    /// What a table and these columns, as far as they are its own, are called.
    fn names_of_table(&self, table: TableId, ids: &[ColumnId]) -> ItemNames {
        let TableUse { table, alias, columns: used, .. } = &self.tables[table];
        let name = |id: &ColumnId| match used.iter().find(|(_, known)| known == id)?.0 {
            ScanColumn::Table(position) => Some(Arc::clone(&table.columns[position].name)),
            ScanColumn::WholeRow => None,
            system => Some(Arc::from(crate::bind::system_column_type(system).0)),
        };
        ItemNames { alias: Arc::clone(alias), columns: ids.iter().map(name).collect() }
    }

    /// Whether the inputs, one after the other, give an order that begins with a key of partitions by range: all rows of a
    /// partition stand before those of the next, and none has a null key. True when that is the order from the last one on.
    fn in_order_of_bounds(
        &self,
        set: TableId,
        parts: &[(&Logical, Vec<ColumnId>)],
        ids: &[ColumnId],
        inputs: &SetInputs,
        wanted: &Wanted,
    ) -> Option<bool> {
        let first = wanted.order.first()?;
        let root = &self.tables[set].table;
        let detaching = Detaching::of_transaction(self.settings().snapshot);
        let division = Division::of(self.planner.catalog, root, detaching).ok()?;
        let ([Expr::Column { index: key, .. }], true) =
            (division.keys.as_slice(), root.kind == RelationKind::PartitionedTable)
        else {
            return None;
        };
        // The key's column among those of the inputs.
        let (_, own) =
            self.tables[set].columns.iter().find(|(column, _)| *column == ScanColumn::Table(*key))?;
        if *own != first.id || !ids.contains(own) || !inputs.columns.contains(own) {
            return None;
        }
        let mut last = None;
        for (plan, _) in parts {
            let table = self.tables[table_of(plan)?].table.oid;
            let at = division.partitions.iter().position(|partition| partition.table.oid == table)?;
            let by_range = matches!(division.partitions[at].bound, Bound::Range { .. });
            if !by_range || last.is_some_and(|last| at <= last) {
                return None;
            }
            last = Some(at);
        }
        Some(first.descending)
    }

    /// How the rows of each relation of a set are brought up to date; `recheck` does it for the table that is named.
    pub(super) fn marked_set(
        &self,
        table: TableId,
        table_oid: ColumnId,
        ids: &[ColumnId],
        recheck: &RowRecheck,
    ) -> Result<MarkedSet> {
        let Some(table_oid) = ids.iter().position(|id| *id == table_oid) else {
            return Err(Error::internal("rows of a set of relations come without their relations"));
        };
        let used = &self.tables[table];
        let mut members = Vec::with_capacity(used.members.len());
        for member in &used.members {
            let member = &self.tables[*member].table;
            members.push((member.oid, of_member(recheck, &column_map(&used.table, member)?)?));
        }
        Ok(MarkedSet { table_oid, members })
    }

    /// UPDATE and DELETE of a set.
    pub(super) fn plan_modify_set(&mut self, modify: Modify, table_oid: ColumnId) -> Result<PhysicalPlan> {
        let root = modify.target;
        let old: Vec<Expr> = self.tables[root]
            .columns
            .iter()
            .filter(|(column, _)| matches!(column, ScanColumn::Table(_)))
            .map(|(_, id)| Expr::Column { index: *id, ty: self.columns[*id].ty })
            .collect();
        let relation = Expr::Column { index: table_oid, ty: self.columns[table_oid].ty };
        let mut extra: Vec<&Expr> = modify.assignments.iter().map(|(_, value)| value).collect();
        extra.extend(modify.returning.iter().flatten().map(|(expr, _)| expr));
        if modify.command == CommandKind::Update {
            extra.extend(&old);
        }
        extra.push(&relation);
        let scanned = self.scanned.len();
        let (source, ids, row_id, recheck) = self.plan_modify_source(&modify, &extra)?;
        let source = Arc::new(source);
        let Some(table_oid) = ids.iter().position(|id| *id == table_oid) else {
            return Err(Error::internal("the rows to change come without their relations"));
        };
        let scanned = self.scanned.split_off(scanned);
        let members: Vec<TableId> =
            self.tables[root].members.iter().copied().filter(|member| scanned.contains(member)).collect();
        let mut parts = Vec::with_capacity(members.len());
        for member in members {
            parts.push(self.plan_part(&modify, member, &source, &ids, row_id, &recheck)?);
        }
        let moves = modify.command == CommandKind::Update
            && self.tables[root].table.kind == RelationKind::PartitionedTable;
        let routing = match moves {
            true => {
                Some(Arc::new(self.routing_of(root, &modify.rules, &source, &mut |_, _, _, _| Ok(()))?))
            }
            false => None,
        };
        let mut moved_keys = Vec::new();
        if moves {
            let keys = references_to(self.planner.catalog, self.tables[root].table.oid);
            moved_keys.extend(keys.filter_map(referenced_key).map(Arc::new));
        }
        let columns = returning_columns(modify.returning.as_deref());
        let estimate = modify_estimate(source.estimate, modify.returning.is_some());
        let used = &self.tables[root];
        let plan = ModifySetPlan {
            command: modify.command,
            table: Arc::clone(&used.table),
            alias: Arc::clone(&used.alias),
            source,
            table_oid,
            row_id,
            parts,
            routing,
            moved_keys,
        };
        Ok(PhysicalPlan { node: PlanNode::ModifySet(Box::new(plan)), columns, estimate })
    }

    fn plan_part(
        &mut self,
        modify: &Modify,
        member: TableId,
        source: &Arc<PhysicalPlan>,
        ids: &[ColumnId],
        row_id: usize,
        recheck: &RowRecheck,
    ) -> Result<ModifySetPart> {
        let root = Arc::clone(&self.tables[modify.target].table);
        let table = Arc::clone(&self.tables[member].table);
        let map = column_map(&root, &table)?;
        let mut recheck = of_member(recheck, &map)?;
        let (source, width) = (Arc::clone(source), ids.len());
        let returns = modify.returning.is_some();
        if modify.command == CommandKind::Delete {
            let mut returned = Vec::new();
            for (expr, column) in modify.returning.iter().flatten() {
                let expr = self.expand_counterpart(expr, modify.counterpart, Presence::Never)?;
                returned.push((expr, column.clone()));
            }
            let mut image = vec![usize::MAX; table.columns.len() + 1];
            image.extend(ids);
            let returning = self.plan_returning(returns.then_some(&returned), &image)?;
            let referenced = self.referenced.len();
            let mut target = self.target_table(member, TargetRules::default(), |_| true)?;
            target.foreign_keys.clear();
            self.referenced.truncate(referenced);
            let plan = DeletePlan { target, source, row_id, recheck, returning };
            let leaving = LeavingRows::default();
            return Ok(ModifySetPart { fetch: Vec::new(), map, plan: PartPlan::Delete(plan), leaving });
        }
        let mut old_columns: Vec<Option<usize>> = vec![None; table.columns.len()];
        for (column, id) in &self.tables[modify.target].columns {
            if let (ScanColumn::Table(position), Some(at)) =
                (column, ids.iter().position(|known| known == id))
                && let Some(position) = map[*position]
            {
                old_columns[position] = Some(at);
            }
        }
        let mut fetch = Vec::new();
        for (position, column) in table.columns.iter().enumerate() {
            if !column.dropped && !map.contains(&Some(position)) {
                old_columns[position] = Some(width + fetch.len());
                recheck.columns.push((width + fetch.len(), ScanColumn::Table(position)));
                fetch.push(position);
            }
        }
        let mut assignments = Vec::with_capacity(modify.assignments.len());
        for (column, value) in &modify.assignments {
            let column = map[*column].ok_or_else(|| Error::internal("a dropped column is assigned"))?;
            assignments.push(Assignment { column, value: self.resolve(value, ids)? });
        }
        let mut returned = Vec::new();
        for (expr, column) in modify.returning.iter().flatten() {
            returned.push((self.expand_whole_row(expr, modify.image)?, column.clone()));
        }
        let mut image = self.member_image_ids(modify.image, &map, &table);
        image.extend(ids);
        image.extend(fetch.iter().map(|_| usize::MAX));
        // The row's relation, which may be another one in the end.
        let relation = self.tables[modify.image].columns.iter().find(|(c, _)| *c == ScanColumn::TableOid);
        image.push(relation.map_or(usize::MAX, |(_, id)| *id));
        let returning = self.plan_returning(returns.then_some(&returned), &image)?;
        let rules = self.member_rules(&modify.rules, &table, &map)?;
        let mut changed: Vec<usize> = assignments.iter().map(|assignment| assignment.column).collect();
        changed.extend(rules.generated.iter().map(|(column, _)| *column));
        let target = self
            .target_table(member, rules, |columns| columns.iter().any(|column| changed.contains(column)))?;
        let plan = UpdatePlan { target, source, row_id, old_columns, assignments, recheck, returning };
        let leaving = match root.kind {
            RelationKind::PartitionedTable => self.leaving_rows(&root, &table),
            _ => LeavingRows::default(),
        };
        Ok(ModifySetPart { fetch, map, plan: PartPlan::Update(plan), leaving })
    }

    /// What rows meet that leave a partition of `root`: the keys of other tables that refer to it or to what is between.
    pub(super) fn leaving_rows(&self, root: &RelationDescriptor, leaf: &RelationDescriptor) -> LeavingRows {
        let catalog = self.planner.catalog;
        // Those that stand for a key of the whole table act on that.
        let direct = |table: Oid| {
            references_to(catalog, table).filter(|constraint| catalog.whole_reference(constraint).is_none())
        };
        let keys = direct(leaf.oid).filter_map(referenced_key).map(Arc::new).collect();
        let mut barred_by = None;
        let mut above = leaf.inheritance.parents.first().copied();
        while let Some(table) = above.filter(|table| *table != root.oid).and_then(|oid| catalog.relation(oid))
        {
            if direct(table.oid).next().is_some() {
                barred_by = Some(Arc::clone(&table.name));
            }
            above = table.inheritance.parents.first().copied();
        }
        LeavingRows { keys, barred_by }
    }

    /// Replaces mentions of an image's whole row; its `tableoid` stays.
    fn expand_whole_row(&mut self, expr: &Expr, image: TableId) -> Result<Expr> {
        let own = self.tables[image].columns.iter().position(|(column, _)| *column == ScanColumn::TableOid);
        let Some(own) = own else { return self.expand_image(expr, image, Presence::Always) };
        let kept = self.tables[image].columns.remove(own);
        let expanded = self.expand_image(expr, image, Presence::Always);
        self.tables[image].columns.push(kept);
        expanded
    }

    /// INSERT into a partitioned table.
    pub(super) fn plan_routed_insert(
        &mut self,
        modify: Modify,
        source: PhysicalPlan,
    ) -> Result<PhysicalPlan> {
        let source = Arc::new(source);
        let root = modify.target;
        let updates = modify.on_conflict.as_ref().is_some_and(|conflict| conflict.update.is_some());
        let mut fill = |builder: &mut Self,
                        leaf: &Arc<RelationDescriptor>,
                        map: &ColumnMap,
                        plan: &mut InsertPlan| {
            if let Some(conflict) = &modify.on_conflict {
                let image_ids = |builder: &Self, image: TableId| builder.member_image_ids(image, map, leaf);
                let mut own = builder.plan_conflict(conflict, root, modify.excluded, leaf.oid, image_ids)?;
                own.arbiters = builder.arbiters_of_leaf(&conflict.arbiters, leaf)?;
                if let ConflictAction::Update { assignments, .. } = &mut own.action {
                    for assignment in assignments {
                        assignment.column = map[assignment.column]
                            .ok_or_else(|| Error::internal("a dropped column is assigned"))?;
                    }
                }
                plan.on_conflict = Some(own);
            }
            let mut returned = Vec::new();
            for (expr, column) in modify.returning.iter().flatten() {
                let expr = builder.expand_image_of(expr, modify.image, Presence::Always, leaf.oid)?;
                let presence = if updates { Presence::WithRowId } else { Presence::Never };
                returned
                    .push((builder.expand_counterpart(&expr, modify.counterpart, presence)?, column.clone()));
            }
            let mut image = builder.member_image_ids(modify.image, map, leaf);
            if let (true, Some(old)) = (updates, modify.counterpart) {
                image.extend(builder.member_image_ids(old, map, leaf));
            }
            plan.returning =
                builder.plan_returning(modify.returning.is_some().then_some(&returned), &image)?;
            Ok(())
        };
        let routing = self.routing_of(root, &modify.rules, &source, &mut fill)?;
        let columns = returning_columns(modify.returning.as_deref());
        let estimate = modify_estimate(source.estimate, modify.returning.is_some());
        let used = &self.tables[root];
        let target = TargetTable::of_set(&used.table, &used.alias);
        // What is done with a row that is there stands with each partition.
        let plan = InsertPlan {
            target,
            source,
            on_conflict: None,
            returning: None,
            routing: Some(Arc::new(routing)),
        };
        Ok(PhysicalPlan { node: PlanNode::Insert(Box::new(plan)), columns, estimate })
    }

    /// The ways to the partitions of a table, and plain INSERTs there, which `fill` completes.
    #[allow(clippy::type_complexity)]
    pub(super) fn routing_of(
        &mut self,
        root: TableId,
        rules: &TargetRules,
        source: &Arc<PhysicalPlan>,
        fill: &mut dyn FnMut(&mut Self, &Arc<RelationDescriptor>, &ColumnMap, &mut InsertPlan) -> Result<()>,
    ) -> Result<InsertRouting> {
        let table = Arc::clone(&self.tables[root].table);
        let detaching = Detaching::of_transaction(self.settings().snapshot);
        let routes = routes(self.planner.catalog, &table, detaching)?;
        let mut leaves = Vec::with_capacity(routes.leaves.len());
        for leaf in &routes.leaves {
            let map = column_map(&table, leaf)?;
            let id = self.tables.len();
            let alias = Arc::clone(&self.tables[root].alias);
            self.tables.push(TableUse::new(Arc::clone(leaf), alias));
            let own = self.member_rules(rules, leaf, &map)?;
            let mut target = self.target_table(id, own, |_| true)?;
            let shown = leaf.triggers.iter().any(|trigger| trigger.row && trigger.insert);
            let mut plan = InsertPlan {
                target: target.clone(),
                source: Arc::clone(source),
                on_conflict: None,
                returning: None,
                routing: None,
            };
            fill(self, leaf, &map, &mut plan)?;
            let updates = plan.on_conflict.as_ref().is_some_and(crate::physical::OnConflict::updates);
            if !shown && !updates && !table.is_partition() {
                // It was routed there because it satisfies it.
                target.partition = None;
            }
            plan.target = target;
            let mut columns = vec![None; leaf.columns.len()];
            for (position, at) in map.iter().enumerate() {
                if let Some(at) = at {
                    columns[*at] = Some(position);
                }
            }
            leaves.push(LeafInsert { columns, plan });
        }
        Ok(InsertRouting { routes, leaves })
    }

    /// The indexes of a partition that stand for those of its table.
    fn arbiters_of_leaf(&self, arbiters: &[Oid], leaf: &RelationDescriptor) -> Result<Vec<Oid>> {
        let catalog = self.planner.catalog;
        let mut found = Vec::new();
        for arbiter in arbiters {
            let own = leaf.indexes.iter().find(|index| is_part_of_index(catalog, index.oid, *arbiter));
            match own {
                Some(index) => found.push(index.oid),
                None => return Err(Error::internal("could not find arbiter index of a partition")),
            }
        }
        Ok(found)
    }

    /// The ids of the named table's image in the order of a member's image.
    pub(super) fn member_image_ids(
        &self,
        image: TableId,
        map: &ColumnMap,
        member: &ochre_catalog::RelationDescriptor,
    ) -> Vec<ColumnId> {
        let root = self.image_ids(image);
        let mut ids = vec![usize::MAX; member.columns.len() + 1];
        for (position, at) in map.iter().enumerate() {
            if let Some(at) = at {
                ids[*at] = root[position];
            }
        }
        ids[member.columns.len()] = root[map.len()];
        ids
    }

    /// What a new row of a member must satisfy: its own rules, and what views over the named table demand.
    pub(super) fn member_rules(
        &self,
        rules: &TargetRules,
        member: &Arc<ochre_catalog::RelationDescriptor>,
        map: &ColumnMap,
    ) -> Result<TargetRules> {
        let planner = &self.planner;
        let binder = RowExpressionBinder::new(planner.catalog, planner.search_path, planner.session, member);
        let mut own = binder.rules()?;
        for (name, expr) in &rules.view_checks {
            let moved = expr.clone().transform(&mut |node| match node {
                Expr::Column { index, ty } => {
                    Expr::Column { index: map.get(index).copied().flatten().unwrap_or(index), ty }
                }
                other => other,
            });
            own.view_checks.push((Arc::clone(name), moved));
        }
        Ok(own)
    }
}

/// A recheck of the named table's rows as one of a member's.
pub(super) fn of_member(recheck: &RowRecheck, map: &ColumnMap) -> Result<RowRecheck> {
    let mut columns = Vec::with_capacity(recheck.columns.len());
    for (position, column) in &recheck.columns {
        match mapped(*column, map) {
            Some(ScanColumn::WholeRow) => {
                return Err(Error::unsupported("a whole row of a table with children, changed or locked"));
            }
            Some(column) => columns.push((*position, column)),
            None => return Err(Error::internal("a dropped column of a parent is read")),
        }
    }
    Ok(RowRecheck { columns, predicate: recheck.predicate.clone() })
}
