//! One logical operator after the other.

use std::sync::Arc;

use ochre_base::{Error, Result, SqlState, limits};
use ochre_catalog::RelationKind;
use ochre_expr::{Expr, Volatility};
use ochre_types::Datum;

use super::{Node, OrderKey, PlanBuilder, Price, Wanted, cost};
use crate::idset::IdSet;
use crate::logical::{
    AggregateExpr, Bound, ColumnId, FunctionCall, FunctionGet, Grouping, JoinKind, Logical, LogicalBody,
    Ordering, RowLock, SetInputs, SetItem, WindowExpr, WindowStep,
};
use crate::physical::{
    AggregateCall, AggregatePlan, AggregateStage, AggregateStrategy, AppendPlan, CteScanPlan, DistinctPlan,
    Estimate, FilterPlan, FrameBound, FunctionInScan, FunctionScanPlan, GatePlan, ItemNames, LimitPlan,
    LockRowsPlan, MarkedRelation, PhysicalPlan, PlanNode, ProjectItem, ProjectPlan, ProjectSetPlan,
    RecursiveUnionPlan, ResultPlan, RowLockStrength, RowRecheck, SetOpPlan, SetOpStrategy, SortKey, SortPlan,
    UniquePlan, ValuesPlan, WindowCall, WindowFrame, WindowPlan, WorkTableScanPlan,
};
use crate::walk::{each_of_aggregate, free_columns, has_effects};

impl PlanBuilder<'_> {
    /// Plans an operator of which the required ids must come out.
    pub(crate) fn plan_node(&mut self, plan: &Logical, required: &IdSet, wanted: &Wanted) -> Result<Node> {
        stacker::maybe_grow(limits::STACK_RED_ZONE_BYTES, limits::STACK_GROWTH_BYTES, || {
            self.plan_node_inner(plan, required, wanted)
        })
    }

    fn plan_node_inner(&mut self, plan: &Logical, required: &IdSet, wanted: &Wanted) -> Result<Node> {
        match plan {
            Logical::Dummy { row } => Ok(self.plan_dummy(*row)),
            Logical::Get(table) => self.plan_scan(*table, &[], required, wanted),
            Logical::Sample(sample) => self.plan_sample(sample, &[], required),
            Logical::Values { rows, columns, alias } => self.plan_values(rows, columns, alias, required),
            Logical::Function(function) => self.plan_function(function, &[]),
            Logical::CteScan { .. } | Logical::WorkTable { .. } => self.plan_cte_scan(plan, &[], required),
            Logical::Filter { input, predicates } => self.plan_filter(input, predicates, required, wanted),
            Logical::Project { input, items } => self.plan_project(input, items, required, wanted),
            Logical::ProjectSet { input, items } => self.plan_project_set(input, items, required),
            Logical::Join(join) => self.plan_join(join, plan, &[], required, wanted),
            Logical::Aggregate(grouping) => self.plan_aggregate(grouping, &[], required, wanted),
            Logical::Window(window) => self.plan_window(window, required),
            Logical::Distinct { input, columns } => self.plan_distinct(input, columns, wanted),
            Logical::DistinctOn { input, on, sort } => self.plan_distinct_on(input, on, sort, required),
            Logical::Sort { input, keys } => self.plan_sort(input, keys, required, wanted.rows),
            // The edge of a view that keeps conditions out (`security_barrier`).
            Logical::Limit { input, limit: None, offset: None, ties: None } => {
                self.plan_node(input, required, wanted)
            }
            Logical::Limit { input, limit, offset, ties } => {
                self.plan_limit(input, limit.as_ref(), offset.as_ref(), ties.as_deref(), required)
            }
            Logical::Append(inputs) => self.plan_append(inputs, required, wanted),
            Logical::SetOp(kind, inputs) => self.plan_set_op(*kind, inputs),
            Logical::RecursiveUnion { inputs, distinct, work_table } => {
                self.plan_recursive(inputs, *distinct, *work_table)
            }
            Logical::LockRows { input, locks, predicates, .. } => {
                self.plan_lock_rows(input, locks, predicates, required, wanted)
            }
        }
    }

    fn plan_dummy(&self, row: bool) -> Node {
        let condition = (!row).then(|| Expr::bool(false));
        let rows = if row { 1.0 } else { 0.0 };
        let total = if row { self.settings().cpu_tuple_cost } else { 0.0 };
        let estimate = Estimate { startup_cost: 0.0, total_cost: total, rows, width: 0 };
        let node = PlanNode::Result(ResultPlan { exprs: Vec::new(), condition });
        Node {
            plan: PhysicalPlan { node, columns: Vec::new(), estimate },
            ids: Vec::new(),
            order: Vec::new(),
            unique: Vec::new(),
        }
    }

    fn plan_values(
        &mut self,
        rows: &[Vec<Expr>],
        columns: &[ColumnId],
        alias: &Arc<str>,
        required: &IdSet,
    ) -> Result<Node> {
        let acts = |i: usize| rows.iter().any(|row| has_effects(&row[i], self.parts()));
        let kept: Vec<usize> =
            (0..columns.len()).filter(|i| required.contains(columns[*i]) || acts(*i)).collect();
        let ids: Vec<ColumnId> = kept.iter().map(|i| columns[*i]).collect();
        let mut resolved = Vec::with_capacity(rows.len());
        for row in rows {
            let mut cells = Vec::with_capacity(kept.len());
            for i in &kept {
                cells.push(self.resolve(&row[*i], &[])?);
            }
            resolved.push(cells);
        }
        let settings = self.settings();
        let estimate = Estimate {
            startup_cost: 0.0,
            total_cost: if rows.len() == 1 {
                settings.cpu_tuple_cost
            } else {
                (settings.cpu_operator_cost + settings.cpu_tuple_cost) * rows.len() as f64
            },
            rows: rows.len() as f64,
            width: self.width_of(&ids),
        };
        let node = if resolved.len() == 1 {
            let exprs = resolved.remove(0);
            PlanNode::Result(ResultPlan { exprs, condition: None })
        } else {
            PlanNode::Values(ValuesPlan { rows: resolved, alias: Arc::clone(alias) })
        };
        let columns = self.output_columns(&ids);
        Ok(Node {
            plan: PhysicalPlan { node, columns, estimate },
            ids,
            order: Vec::new(),
            unique: Vec::new(),
        })
    }

    fn plan_function(&mut self, function: &FunctionGet, predicates: &[Expr]) -> Result<Node> {
        let mut ids: Vec<ColumnId> = Vec::new();
        let mut functions = Vec::with_capacity(function.functions.len());
        let mut rows: f64 = 1.0;
        for (call, columns) in &function.functions {
            ids.extend(columns);
            functions.push(match call {
                FunctionCall::Set { function, args, ty } => {
                    rows = rows.max(set_rows(&function.name, args, f64::from(function.rows)));
                    let mut resolved = Vec::with_capacity(args.len());
                    for arg in args {
                        resolved.push(self.resolve(arg, &[])?);
                    }
                    FunctionInScan::Set {
                        function: function.clone(),
                        args: resolved,
                        result: *ty,
                        columns: columns.len(),
                    }
                }
                FunctionCall::Scalar(expr) => {
                    FunctionInScan::Scalar { expr: self.resolve(expr, &[])?, columns: columns.len() }
                }
            });
        }
        ids.extend(function.ordinality);
        let filter = self.resolve_filter(predicates, &ids)?;
        let settings = self.settings();
        let selectivity = self.selectivity_of_all(predicates, rows);
        let estimate = Estimate {
            startup_cost: settings.cpu_operator_cost,
            total_cost: settings.cpu_operator_cost + rows * settings.cpu_tuple_cost,
            rows: (rows * selectivity).max(1.0).round(),
            width: self.width_of(&ids),
        };
        let node = PlanNode::FunctionScan(FunctionScanPlan {
            alias: Arc::clone(&function.alias),
            functions,
            ordinality: function.ordinality.is_some(),
            filter,
        });
        let columns = self.output_columns(&ids);
        Ok(Node {
            plan: PhysicalPlan { node, columns, estimate },
            ids,
            order: Vec::new(),
            unique: Vec::new(),
        })
    }

    fn resolve_filter(&mut self, predicates: &[Expr], ids: &[ColumnId]) -> Result<Option<Expr>> {
        if predicates.is_empty() {
            return Ok(None);
        }
        let predicate = Expr::and(predicates.iter().cloned());
        Ok(Some(self.resolve(&predicate, ids)?))
    }

    fn plan_cte_scan(&mut self, plan: &Logical, predicates: &[Expr], required: &IdSet) -> Result<Node> {
        let (columns, alias) = match plan {
            Logical::CteScan { columns, alias, .. } | Logical::WorkTable { columns, alias, .. } => {
                (columns, alias)
            }
            _ => return Err(Error::internal("not a scan of a WITH entry")),
        };
        // The filter looks at whole rows, of which nothing may have an id.
        let width = columns.iter().map(|(position, _)| position + 1).max().unwrap_or(0);
        let mut all = vec![ColumnId::MAX; width];
        columns.iter().for_each(|(position, id)| all[*position] = *id);
        let filter = self.resolve_filter(predicates, &all)?;
        let kept: Vec<(usize, ColumnId)> =
            columns.iter().copied().filter(|(_, id)| required.contains(*id)).collect();
        let positions: Vec<usize> = kept.iter().map(|(position, _)| *position).collect();
        let ids: Vec<ColumnId> = kept.iter().map(|(_, id)| *id).collect();
        let (node, rows) = match plan {
            Logical::CteScan { cte, .. } => {
                let Some(number) = self.cte_numbers[*cte] else {
                    return Err(Error::internal("a WITH entry is read before it is planned"));
                };
                let rows = self.planned_ctes[number].plan.estimate.rows;
                // What the entry mentions of items to the left, the scan needs of them.
                if let (true, LogicalBody::Query(query)) =
                    (self.planned_ctes[number].correlated, &self.ctes[*cte].body)
                {
                    let free = crate::walk::free_columns(&query.plan, self.parts());
                    self.outside.extend(free.iter());
                }
                let scan = CteScanPlan { cte: number, alias: Arc::clone(alias), columns: positions, filter };
                (PlanNode::CteScan(scan), rows)
            }
            Logical::WorkTable { work_table, .. } => {
                let rows = self.recursive_rows[*work_table] * 10.0;
                let scan = WorkTableScanPlan {
                    work_table: *work_table,
                    alias: Arc::clone(alias),
                    columns: positions,
                    filter,
                };
                (PlanNode::WorkTableScan(scan), rows)
            }
            _ => return Err(Error::internal("not a scan of a WITH entry")),
        };
        let rows = rows.max(1.0);
        let selectivity = self.selectivity_of_all(predicates, rows);
        let estimate = Estimate {
            startup_cost: 0.0,
            total_cost: rows * 2.0 * self.settings().cpu_tuple_cost,
            rows: (rows * selectivity).max(1.0).round(),
            width: self.width_of(&ids),
        };
        let columns = self.output_columns(&ids);
        Ok(Node {
            plan: PhysicalPlan { node, columns, estimate },
            ids,
            order: Vec::new(),
            unique: Vec::new(),
        })
    }

    /// A filter goes into what it stands on wherever that can apply it.
    fn plan_filter(
        &mut self,
        input: &Logical,
        predicates: &[Expr],
        required: &IdSet,
        wanted: &Wanted,
    ) -> Result<Node> {
        // What is never true has no rows, wherever they would come from.
        let never = |p: &Expr| matches!(p, Expr::Constant { value: Datum::Bool(false) | Datum::Null, .. });
        if predicates.iter().any(never) {
            return Ok(self.plan_nothing(required, input));
        }
        if !matches!(input, Logical::Dummy { .. }) {
            let own = crate::walk::produced(input, &self.tables);
            let (gates, rest): (Vec<Expr>, Vec<Expr>) =
                predicates.iter().cloned().partition(|predicate| self.is_gate(predicate, &own));
            if !gates.is_empty() {
                let node = if rest.is_empty() {
                    self.plan_node(input, required, wanted)?
                } else {
                    self.plan_filter(input, &rest, required, wanted)?
                };
                return self.add_gate(node, &gates);
            }
        }
        match input {
            Logical::Get(table) => self.plan_scan(*table, predicates, required, wanted),
            Logical::Sample(sample) => self.plan_sample(sample, predicates, required),
            Logical::Filter { input, predicates: inner } => {
                let mut all = inner.clone();
                all.extend(predicates.iter().cloned());
                self.plan_filter(input, &all, required, wanted)
            }
            Logical::Join(join) => self.plan_join(join, input, predicates, required, wanted),
            Logical::Function(function) => self.plan_function(function, predicates),
            Logical::CteScan { .. } | Logical::WorkTable { .. } => {
                self.plan_cte_scan(input, predicates, required)
            }
            Logical::Aggregate(grouping) => self.plan_aggregate(grouping, predicates, required, wanted),
            // The value of a sub-query that reads no row is a condition on each relation of a set.
            Logical::Append(inputs) if inputs.set.is_some() && predicates.iter().any(|p| self.movable(p)) => {
                let (moved, stay): (Vec<Expr>, Vec<Expr>) =
                    predicates.iter().cloned().partition(|predicate| self.movable(predicate));
                let pushed = Logical::Append(Box::new(pushed_into(inputs, &moved)));
                if stay.is_empty() {
                    return self.plan_node(&pushed, required, wanted);
                }
                self.plan_filter(&pushed, &stay, required, wanted)
            }
            Logical::Dummy { row: true } => {
                let condition = self.resolve_filter(predicates, &[])?;
                let mut node = self.plan_dummy(true);
                if let PlanNode::Result(result) = &mut node.plan.node {
                    result.condition = condition;
                }
                Ok(node)
            }
            _ => {
                let mut needed = required.clone();
                for predicate in predicates {
                    crate::walk::mentioned(predicate, self.parts(), &mut needed);
                }
                let node = self.plan_node(input, &needed, wanted)?;
                self.add_filter(node, predicates)
            }
        }
    }

    /// Whether a condition may be asked wherever its columns are.
    fn movable(&self, predicate: &Expr) -> bool {
        predicate.volatility() != Volatility::Volatile && !self.has_row_subplan(predicate)
    }

    /// Whether a condition has the same value for all rows with these columns, so that it can be asked before any is read:
    /// it mentions none of them, and no volatile function. As in PostgreSQL it is asked even where there are no rows.
    pub(super) fn is_gate(&self, predicate: &Expr, own: &IdSet) -> bool {
        if matches!(predicate, Expr::Constant { .. }) || predicate.volatility() == Volatility::Volatile {
            return false;
        }
        let mut mentioned = IdSet::default();
        crate::walk::mentioned(predicate, self.parts(), &mut mentioned);
        !mentioned.intersects(own)
    }

    /// The rows of a node, if conditions that are the same for all of them hold.
    pub(super) fn add_gate(&mut self, node: Node, conditions: &[Expr]) -> Result<Node> {
        let Some(condition) = self.resolve_filter(conditions, &[])? else { return Ok(node) };
        let columns = node.plan.columns.clone();
        let estimate = node.plan.estimate;
        let gate = PlanNode::Gate(GatePlan { input: Arc::new(node.plan), condition });
        Ok(Node { plan: PhysicalPlan { node: gate, columns, estimate }, ..node })
    }

    /// No row, with the columns that an operator would have.
    fn plan_nothing(&self, required: &IdSet, input: &Logical) -> Node {
        let made = crate::walk::produced(input, &self.tables);
        self.no_rows(required.iter().filter(|id| made.contains(*id)).collect())
    }

    /// No row, with these columns.
    pub(super) fn no_rows(&self, ids: Vec<ColumnId>) -> Node {
        let exprs = ids.iter().map(|id| Expr::null(self.columns[*id].ty)).collect();
        let columns = self.output_columns(&ids);
        let estimate = Estimate { rows: 0.0, width: self.width_of(&ids), ..Estimate::default() };
        let node = PlanNode::Result(ResultPlan { exprs, condition: Some(Expr::bool(false)) });
        Node { plan: PhysicalPlan { node, columns, estimate }, ids, order: Vec::new(), unique: Vec::new() }
    }

    /// A filter above a node.
    pub(crate) fn add_filter(&mut self, node: Node, predicates: &[Expr]) -> Result<Node> {
        let Some(predicate) = self.resolve_filter(predicates, &node.ids)? else { return Ok(node) };
        let input = node.plan.estimate;
        let selectivity = self.selectivity_of_all(predicates, input.rows);
        let cost: f64 =
            predicates.iter().map(super::scan::expr_cost).sum::<f64>() * self.settings().cpu_operator_cost;
        let estimate = Estimate {
            total_cost: input.total_cost + cost * input.rows,
            rows: (input.rows * selectivity).max(1.0).round(),
            ..input
        };
        let columns = node.plan.columns.clone();
        let subquery = self.names_of_subquery(&node.ids, predicates);
        let plan = PhysicalPlan {
            node: PlanNode::Filter(FilterPlan { input: Arc::new(node.plan), predicate, subquery }),
            columns,
            estimate,
        };
        Ok(Node { plan, ids: node.ids, order: node.order, unique: node.unique })
    }

    /// What the innermost sub-query in FROM that has all these columns that predicates read is called.
    fn names_of_subquery(&self, ids: &[ColumnId], predicates: &[Expr]) -> Option<ItemNames> {
        if self.from_names.is_empty() {
            return None;
        }
        let mut read = IdSet::default();
        for predicate in predicates {
            crate::walk::mentioned(predicate, self.parts(), &mut read);
        }
        let read: Vec<ColumnId> = ids.iter().copied().filter(|id| read.contains(*id)).collect();
        let called = |columns: &[(ColumnId, Arc<str>)], id: ColumnId| {
            columns.iter().find(|(column, _)| *column == id).map(|(_, name)| Arc::clone(name))
        };
        let found = self
            .from_names
            .iter()
            .find(|name| read.iter().all(|id| name.columns.iter().any(|(column, _)| column == id)))?;
        let columns = ids.iter().map(|id| called(&found.columns, *id)).collect();
        Some(ItemNames { alias: Arc::clone(&found.alias), columns })
    }

    fn plan_project(
        &mut self,
        input: &Logical,
        items: &[(ColumnId, Expr)],
        required: &IdSet,
        wanted: &Wanted,
    ) -> Result<Node> {
        // What does something when it is evaluated is evaluated though nothing reads it.
        let read = |(id, expr): &&(ColumnId, Expr)| required.contains(*id) || has_effects(expr, self.parts());
        let kept: Vec<&(ColumnId, Expr)> = items.iter().filter(read).collect();
        let mut needed = IdSet::default();
        for (_, expr) in &kept {
            crate::walk::mentioned(expr, self.parts(), &mut needed);
        }
        // An order by a column that is only renamed here is an order of the input.
        let mut below = Wanted { order: Vec::with_capacity(wanted.order.len()), rows: wanted.rows };
        for key in &wanted.order {
            match items.iter().find(|(id, _)| *id == key.id) {
                Some((_, Expr::Column { index, .. })) => below.order.push(OrderKey { id: *index, ..*key }),
                _ => {
                    below.order.clear();
                    break;
                }
            }
        }
        let node = self.plan_node(input, &needed, &below)?;
        let rename = |id: ColumnId| {
            items.iter().find_map(|(new, expr)| match expr {
                Expr::Column { index, .. } if *index == id => Some(*new),
                _ => None,
            })
        };
        // Nothing to compute: the columns only get other ids, or some are dropped further up.
        let plain = kept
            .iter()
            .all(|(_, expr)| matches!(expr, Expr::Column { index, .. } if node.ids.contains(index)));
        if plain && !kept.is_empty() {
            let sources: Vec<ColumnId> = kept
                .iter()
                .filter_map(|(_, expr)| match expr {
                    Expr::Column { index, .. } => Some(*index),
                    _ => None,
                })
                .collect();
            let distinct = sources.iter().enumerate().all(|(i, id)| !sources[..i].contains(id));
            if distinct && node.ids.iter().all(|id| sources.contains(id)) {
                let mut node = node;
                for id in &mut node.ids {
                    if let Some((new, _)) = kept
                        .iter()
                        .find(|(_, expr)| matches!(expr, Expr::Column { index, .. } if index == id))
                    {
                        *id = *new;
                    }
                }
                rename_order(&mut node.order, &rename);
                node.unique = rename_unique(&node.unique, &rename);
                for (column, id) in node.plan.columns.iter_mut().zip(&node.ids) {
                    column.name = Arc::clone(&self.columns[*id].name);
                }
                return Ok(node);
            }
        }
        let ids: Vec<ColumnId> = kept.iter().map(|(id, _)| *id).collect();
        let mut exprs = Vec::with_capacity(kept.len());
        let mut computed = 0.0;
        for (_, expr) in &kept {
            exprs.push(self.resolve(expr, &node.ids)?);
            computed += super::scan::expr_cost(expr);
        }
        let mut order = node.order;
        rename_order(&mut order, &rename);
        let unique = rename_unique(&node.unique, &rename);
        let columns = self.output_columns(&ids);
        let input = node.plan.estimate;
        let settings = self.settings();
        let estimate = Estimate {
            total_cost: input.total_cost + computed * settings.cpu_operator_cost * input.rows,
            width: self.width_of(&ids),
            ..input
        };
        // A row of expressions over nothing.
        if let PlanNode::Result(result) = &node.plan.node
            && result.exprs.is_empty()
        {
            let node_plan = PlanNode::Result(ResultPlan { exprs, condition: result.condition.clone() });
            let plan = PhysicalPlan { node: node_plan, columns, estimate };
            return Ok(Node { plan, ids, order, unique });
        }
        let plan = PhysicalPlan {
            node: PlanNode::Project(ProjectPlan { input: Arc::new(node.plan), exprs }),
            columns,
            estimate,
        };
        Ok(Node { plan, ids, order, unique })
    }

    fn plan_project_set(
        &mut self,
        input: &Logical,
        items: &[(ColumnId, SetItem)],
        required: &IdSet,
    ) -> Result<Node> {
        let mut needed = required.clone();
        for (_, item) in items {
            match item {
                SetItem::Scalar(expr) => crate::walk::mentioned(expr, self.parts(), &mut needed),
                SetItem::Set { args, .. } => {
                    for arg in args {
                        crate::walk::mentioned(arg, self.parts(), &mut needed);
                    }
                }
            }
        }
        let node = self.plan_node(input, &needed, &Wanted::default())?;
        let mut ids: Vec<ColumnId> = Vec::new();
        let mut resolved = Vec::new();
        for (index, id) in node.ids.iter().enumerate() {
            if required.contains(*id) {
                ids.push(*id);
                resolved.push(ProjectItem::Scalar(Expr::Column { index, ty: self.columns[*id].ty }));
            }
        }
        let mut rows: f64 = 1.0;
        for (id, item) in items {
            ids.push(*id);
            resolved.push(match item {
                SetItem::Scalar(expr) => ProjectItem::Scalar(self.resolve(expr, &node.ids)?),
                SetItem::Set { function, args, ty } => {
                    rows = rows.max(set_rows(&function.name, args, f64::from(function.rows)));
                    let mut values = Vec::with_capacity(args.len());
                    for arg in args {
                        values.push(self.resolve(arg, &node.ids)?);
                    }
                    ProjectItem::Set { function: function.clone(), args: values, ty: *ty }
                }
            });
        }
        let columns = self.output_columns(&ids);
        let input = node.plan.estimate;
        let rows = (input.rows * rows).max(1.0);
        let estimate = Estimate {
            startup_cost: input.startup_cost,
            total_cost: input.total_cost + rows * self.settings().cpu_tuple_cost,
            rows,
            width: self.width_of(&ids),
        };
        let plan = PhysicalPlan {
            node: PlanNode::ProjectSet(ProjectSetPlan { input: Arc::new(node.plan), items: resolved }),
            columns,
            estimate,
        };
        Ok(Node { plan, ids, order: Vec::new(), unique: Vec::new() })
    }

    /// An order in terms of columns, as far as its keys are columns.
    fn order_keys(keys: &[Ordering]) -> Vec<OrderKey> {
        let mut order = Vec::with_capacity(keys.len());
        for key in keys {
            match &key.expr {
                Expr::Column { index, .. } => order.push(OrderKey {
                    id: *index,
                    descending: key.descending,
                    nulls_first: key.nulls_first,
                }),
                _ => break,
            }
        }
        order
    }

    pub(crate) fn plan_sort(
        &mut self,
        input: &Logical,
        keys: &[Ordering],
        required: &IdSet,
        limit: Option<f64>,
    ) -> Result<Node> {
        let mut needed = required.clone();
        for key in keys {
            crate::walk::mentioned(&key.expr, self.parts(), &mut needed);
        }
        let order = Self::order_keys(keys);
        let complete = order.len() == keys.len();
        // For a few rows the keys that are columns are worth having in order by themselves: the rest is sorted group by group.
        let asked = complete || limit.is_some();
        let wanted = Wanted { order: if asked { order.clone() } else { Vec::new() }, rows: limit };
        let node = self.plan_node(input, &needed, &wanted)?;
        if complete && node.is_sorted_by(&order) {
            return Ok(node);
        }
        self.add_sort(node, keys, limit)
    }

    /// A sort above a node.
    pub(crate) fn add_sort(&mut self, node: Node, keys: &[Ordering], limit: Option<f64>) -> Result<Node> {
        let order = Self::order_keys(keys);
        let (estimate, presorted) = self.sorted_estimate(node.plan.estimate, &node.order, &order, limit);
        let mut resolved = Vec::with_capacity(keys.len());
        for key in keys {
            resolved.push(SortKey {
                expr: self.resolve(&key.expr, &node.ids)?,
                descending: key.descending,
                nulls_first: key.nulls_first,
            });
        }
        let columns = node.plan.columns.clone();
        let plan = PhysicalPlan {
            node: PlanNode::Sort(SortPlan {
                input: Arc::new(node.plan),
                keys: resolved,
                presorted,
                limit: None,
            }),
            columns,
            estimate,
        };
        Ok(Node { plan, ids: node.ids, order, unique: node.unique })
    }

    fn plan_limit(
        &mut self,
        input: &Logical,
        limit: Option<&Expr>,
        offset: Option<&Expr>,
        ties: Option<&[Ordering]>,
        required: &IdSet,
    ) -> Result<Node> {
        let number = |expr: Option<&Expr>| match expr {
            Some(Expr::Constant { value, .. }) => value.as_i64().map(|n| n.max(0) as f64),
            _ => None,
        };
        let skipped = number(offset).unwrap_or(0.0);
        let rows = match limit {
            Some(expr) => number(Some(expr)).map(|n| n + skipped).or_else(|| {
                // An unknown limit is taken for a tenth of the rows by PostgreSQL; here for a small one.
                (!matches!(expr, Expr::Constant { .. })).then_some(100.0)
            }),
            None => None,
        };
        let mut needed = required.clone();
        for key in ties.unwrap_or_default() {
            needed.add_expr(&key.expr);
        }
        let mut node = self.plan_node(input, &needed, &Wanted { order: Vec::new(), rows })?;
        let limit_expr = limit.map(|expr| self.resolve(expr, &[])).transpose()?;
        let offset_expr = offset.map(|expr| self.resolve(expr, &[])).transpose()?;
        let ties = match ties {
            Some(keys) => {
                let mut resolved = Vec::with_capacity(keys.len());
                for key in keys {
                    resolved.push(SortKey {
                        expr: self.resolve(&key.expr, &node.ids)?,
                        descending: key.descending,
                        nulls_first: key.nulls_first,
                    });
                }
                Some(resolved)
            }
            None => None,
        };
        if ties.is_none() {
            set_sort_limit(&mut node.plan, limit_expr.as_ref(), offset_expr.as_ref());
        }
        let input = node.plan.estimate;
        let out = rows.map_or(input.rows, |rows| rows.min(input.rows));
        let share = if input.rows > 0.0 { out / input.rows } else { 1.0 };
        let run = input.total_cost - input.startup_cost;
        let skip_share = if input.rows > 0.0 { (skipped / input.rows).min(1.0) } else { 0.0 };
        let estimate = Estimate {
            startup_cost: input.startup_cost + run * skip_share,
            total_cost: input.startup_cost + run * share,
            rows: (out - skipped).max(1.0),
            width: input.width,
        };
        let columns = node.plan.columns.clone();
        let plan = PhysicalPlan {
            node: PlanNode::Limit(LimitPlan {
                input: Arc::new(node.plan),
                limit: limit_expr,
                offset: offset_expr,
                ties,
            }),
            columns,
            estimate,
        };
        Ok(Node { plan, ids: node.ids, order: node.order, unique: node.unique })
    }

    /// An aggregate over columns `ids`, in groups whose keys are `keys`.
    fn aggregate_call(
        &mut self,
        call: &AggregateExpr,
        ids: &[ColumnId],
        keys: &[ColumnId],
    ) -> Result<AggregateCall> {
        let mut args = Vec::with_capacity(call.args.len());
        for arg in &call.args {
            args.push(self.resolve(arg, ids)?);
        }
        let mut direct_args = Vec::with_capacity(call.direct_args.len());
        for arg in &call.direct_args {
            direct_args.push(self.resolve(arg, keys)?);
        }
        let mut order_by = Vec::with_capacity(call.order_by.len());
        for key in &call.order_by {
            order_by.push(SortKey {
                expr: self.resolve(&key.expr, ids)?,
                descending: key.descending,
                nulls_first: key.nulls_first,
            });
        }
        let filter = call.filter.as_ref().map(|filter| self.resolve(filter, ids)).transpose()?;
        Ok(AggregateCall {
            function: call.function.0.clone(),
            args,
            direct_args,
            distinct: call.distinct,
            order_by,
            filter,
            ty: call.ty,
        })
    }

    fn plan_aggregate(
        &mut self,
        grouping: &Grouping,
        having: &[Expr],
        required: &IdSet,
        wanted: &Wanted,
    ) -> Result<Node> {
        let mut needed = IdSet::default();
        let keys = &grouping.keys;
        // Aggregates that nothing reads are not computed.
        let mut read = required.clone();
        for predicate in having {
            crate::walk::mentioned(predicate, self.parts(), &mut read);
        }
        let is_read = |(id, call): &&(ColumnId, AggregateExpr)| {
            read.contains(*id) || each_of_aggregate(call).any(|expr| has_effects(expr, self.parts()))
        };
        let calls: Vec<&(ColumnId, AggregateExpr)> = grouping.aggregates.iter().filter(is_read).collect();
        for (_, key) in keys {
            crate::walk::mentioned(key, self.parts(), &mut needed);
        }
        for (_, call) in &calls {
            each_of_aggregate(call).for_each(|expr| crate::walk::mentioned(expr, self.parts(), &mut needed));
        }
        let plain = keys.is_empty() && grouping.sets.is_none();
        let telling = match grouping.sets {
            None => self.telling_keys(keys, &grouping.input),
            Some(_) => (0..keys.len()).collect(),
        };
        // An order that gives the groups one after the other may come for free.
        let key_order: Vec<OrderKey> = {
            let mut order: Vec<OrderKey> = wanted
                .order
                .iter()
                .copied()
                .take_while(|key| {
                    keys.iter().any(|(id, expr)| {
                        *id == key.id && matches!(expr, Expr::Column { index, .. } if *index == *id)
                    })
                })
                .collect();
            for key in &telling {
                if let Expr::Column { index, .. } = &keys[*key].1
                    && !order.iter().any(|known| known.id == *index)
                {
                    order.push(OrderKey { id: *index, descending: false, nulls_first: false });
                }
            }
            order
        };
        let by_columns = telling.iter().all(|key| matches!(keys[*key].1, Expr::Column { .. }));
        let sortable = !plain && grouping.sets.is_none() && by_columns;
        // Whether groups in that order need not be sorted afterwards.
        let gives_order = !wanted.order.is_empty() && key_order.starts_with(&wanted.order);
        let node = self.plan_node(&grouping.input, &needed, &Wanted::default())?;
        let groups = self.group_count(telling.iter().map(|key| &keys[*key].1), node.rows());
        let settings = self.settings();
        let mut ids: Vec<ColumnId> = keys.iter().map(|(id, _)| *id).collect();
        ids.extend(calls.iter().map(|(id, _)| *id));
        if let Some((_, set)) = &grouping.sets {
            ids.push(*set);
        }
        let width = self.width_of(&ids);
        let already = sortable && node.is_sorted_by(&key_order);
        let hashed_estimate = cost::aggregate(
            settings,
            node.plan.estimate,
            telling.len(),
            calls.len(),
            groups,
            !plain && !already,
            width,
        );
        let mut node = node;
        let mut strategy = if plain {
            AggregateStrategy::Plain
        } else if already {
            AggregateStrategy::Sorted
        } else {
            AggregateStrategy::Hashed
        };
        let mut estimate = hashed_estimate;
        if sortable && !already {
            // Sorting first: worth it when hashing is off, or when the result must be sorted anyway.
            let sorted_input = cost::sort(settings, node.plan.estimate, None);
            let sorted = cost::aggregate(
                settings,
                Estimate { rows: node.rows(), ..sorted_input },
                telling.len(),
                calls.len(),
                groups,
                false,
                width,
            );
            let hashed_total = if gives_order {
                cost::sort(settings, estimate, None).total_cost
            } else {
                estimate.total_cost
            };
            let off = |on: bool| u32::from(!on);
            let hashing = Price {
                disabled: off(settings.enable_hashagg)
                    + if gives_order { off(settings.enable_sort) } else { 0 },
                cost: hashed_total,
            };
            let sorting = Price { disabled: off(settings.enable_sort), cost: sorted.total_cost };
            if sorting.is_below(hashing) {
                let order: Vec<Ordering> = key_order.iter().map(|key| self.ordering(key)).collect();
                node = self.add_sort(node, &order, None)?;
                strategy = AggregateStrategy::Sorted;
                estimate = sorted;
            }
        }
        // Groups that come one after the other need no more of the input than what they are wanted of.
        let few = wanted.rows.is_some() && wanted.order.is_empty();
        if sortable && !already && (gives_order || few) {
            let share = having.is_empty();
            let rows =
                wanted.rows.filter(|_| share).map(|rows| (rows * node.rows() / groups.max(1.0)).max(1.0));
            let mark = self.outside.len();
            let input =
                self.plan_node(&grouping.input, &needed, &Wanted { order: key_order.clone(), rows })?;
            let grouped = cost::aggregate(
                settings,
                input.plan.estimate,
                telling.len(),
                calls.len(),
                groups,
                false,
                width,
            );
            let goal = Wanted { rows: wanted.rows.filter(|_| share), order: wanted.order.clone() };
            let price = |estimate: Estimate, order: &[OrderKey], plan: &PhysicalPlan, hashes: bool| {
                let price = self.price_of_wanted(estimate, order, &goal);
                let own = u32::from(hashes && !settings.enable_hashagg);
                Price { disabled: price.disabled + own + self.disabled().count(plan), ..price }
            };
            let hashes = strategy == AggregateStrategy::Hashed;
            let order: &[OrderKey] = if hashes { &[] } else { &key_order };
            let known = price(estimate, order, &node.plan, hashes);
            let streaming = price(grouped, &key_order, &input.plan, false);
            if input.is_sorted_by(&key_order) && streaming.is_below(known) {
                node = input;
                strategy = AggregateStrategy::Sorted;
                estimate = grouped;
            } else {
                self.outside.truncate(mark);
            }
        }
        let mut key_exprs = Vec::with_capacity(keys.len());
        for (_, key) in keys {
            key_exprs.push(self.resolve(key, &node.ids)?);
        }
        let mut aggregates = Vec::with_capacity(calls.len());
        for (_, call) in &calls {
            aggregates.push(self.aggregate_call(call, &node.ids, &ids[..keys.len()])?);
        }
        let having_expr = self.resolve_filter(having, &ids)?;
        if !having.is_empty() {
            estimate.rows = (estimate.rows * self.selectivity_of_all(having, estimate.rows)).max(1.0).round();
        }
        let order = if strategy == AggregateStrategy::Sorted { key_order } else { Vec::new() };
        let unique = if grouping.sets.is_none() && !keys.is_empty() {
            vec![keys.iter().map(|(id, _)| *id).collect()]
        } else {
            Vec::new()
        };
        let columns = self.output_columns(&ids);
        let plan = PhysicalPlan {
            node: PlanNode::Aggregate(AggregatePlan {
                input: Arc::new(node.plan),
                strategy,
                keys: key_exprs,
                aggregates,
                grouping_sets: grouping.sets.as_ref().map(|(sets, _)| sets.clone()),
                having: having_expr,
                telling,
                stage: AggregateStage::Complete,
            }),
            columns,
            estimate,
        };
        Ok(Node { plan, ids, order, unique })
    }

    /// How many groups keys make of so many rows.
    fn group_count<'e>(&self, keys: impl Iterator<Item = &'e Expr>, rows: f64) -> f64 {
        let mut product = 1.0;
        for key in keys {
            let mut distinct = 1.0;
            for id in key.columns() {
                distinct *= self.distinct_values(id, rows);
            }
            product *= distinct.max(1.0);
        }
        product.min(rows).max(1.0).round()
    }

    fn plan_window(&mut self, window: &WindowStep, required: &IdSet) -> Result<Node> {
        let mut needed = IdSet::default();
        for id in required.iter() {
            if !window.calls.iter().any(|(made, _)| *made == id) {
                needed.insert(id);
            }
        }
        let mut mention =
            |expr: &Expr, builder: &Self| crate::walk::mentioned(expr, builder.parts(), &mut needed);
        for expr in &window.partition {
            mention(expr, self);
        }
        for key in &window.order {
            mention(&key.expr, self);
        }
        for (_, call) in &window.calls {
            match call {
                WindowExpr::Function { args, .. } => args.iter().for_each(|arg| mention(arg, self)),
                WindowExpr::Aggregate(call) => {
                    let orders = call.order_by.iter().map(|key| &key.expr);
                    call.args.iter().chain(orders).chain(&call.filter).for_each(|expr| mention(expr, self));
                }
            }
        }
        let mut keys: Vec<Ordering> = window
            .partition
            .iter()
            .map(|expr| Ordering { expr: expr.clone(), descending: false, nulls_first: false })
            .collect();
        keys.extend(window.order.iter().cloned());
        let node = if keys.is_empty() {
            self.plan_node(&window.input, &needed, &Wanted::default())?
        } else {
            self.plan_sort(&window.input, &keys, &needed, None)?
        };
        let mut partition = Vec::with_capacity(window.partition.len());
        for expr in &window.partition {
            partition.push(self.resolve(expr, &node.ids)?);
        }
        let mut order = Vec::with_capacity(window.order.len());
        for key in &window.order {
            order.push(SortKey {
                expr: self.resolve(&key.expr, &node.ids)?,
                descending: key.descending,
                nulls_first: key.nulls_first,
            });
        }
        let mut ids = node.ids.clone();
        let mut calls = Vec::with_capacity(window.calls.len());
        for (id, call) in &window.calls {
            ids.push(*id);
            calls.push(match call {
                WindowExpr::Function { function, args, ty } => {
                    let mut resolved = Vec::with_capacity(args.len());
                    for arg in args {
                        resolved.push(self.resolve(arg, &node.ids)?);
                    }
                    WindowCall::Function { function: function.clone(), args: resolved, ty: *ty }
                }
                WindowExpr::Aggregate(call) => {
                    WindowCall::Aggregate(self.aggregate_call(call, &node.ids, &[])?)
                }
            });
        }
        let mut bound = |bound: &Bound| -> Result<FrameBound> {
            Ok(match bound {
                Bound::UnboundedPreceding => FrameBound::UnboundedPreceding,
                Bound::Preceding(expr) => FrameBound::Preceding(self.resolve(expr, &[])?),
                Bound::CurrentRow => FrameBound::CurrentRow,
                Bound::Following(expr) => FrameBound::Following(self.resolve(expr, &[])?),
                Bound::UnboundedFollowing => FrameBound::UnboundedFollowing,
            })
        };
        let frame = WindowFrame {
            mode: window.frame.mode,
            start: bound(&window.frame.start)?,
            end: bound(&window.frame.end)?,
            exclusion: window.frame.exclusion,
        };
        let run = self.resolve_filter(&window.run, &ids)?;
        let input = node.plan.estimate;
        let settings = self.settings();
        let estimate = Estimate {
            total_cost: input.total_cost
                + input.rows * (settings.cpu_tuple_cost + settings.cpu_operator_cost * calls.len() as f64),
            width: self.width_of(&ids),
            ..input
        };
        let columns = self.output_columns(&ids);
        let plan = PhysicalPlan {
            node: PlanNode::Window(WindowPlan {
                input: Arc::new(node.plan),
                partition,
                order,
                frame,
                calls,
                run,
            }),
            columns,
            estimate,
        };
        Ok(Node { plan, ids, order: node.order, unique: node.unique })
    }

    fn plan_distinct(&mut self, input: &Logical, columns: &[ColumnId], wanted: &Wanted) -> Result<Node> {
        let required = IdSet::of(columns.iter().copied());
        let mark = self.outside.len();
        let mut node = self.plan_node(input, &required, &Wanted::default())?;
        let wants = !wanted.order.is_empty() || wanted.rows.is_some();
        let is_unique = |node: &Node| node.unique.iter().any(|set| set.iter().all(|id| columns.contains(id)));
        if wants && is_unique(&node) {
            self.outside.truncate(mark);
            node = self.plan_node(input, &required, wanted)?;
        } else if !wanted.order.is_empty() {
            // Rows that come in the order have equal ones side by side, and of a few only a few more are read.
            let rows = node.rows();
            let groups = columns.iter().map(|id| self.distinct_values(*id, rows)).product::<f64>();
            let groups = groups.min(rows).max(1.0).round();
            let goal = wanted.rows.map(|wanted| (wanted * rows / groups).max(1.0));
            let goal = Wanted { order: wanted.order.clone(), rows: goal };
            let whole = self.outside.len();
            let sorted = self.plan_node(input, &required, &goal)?;
            let covers = sorted.order.len() >= columns.len()
                && sorted.order[..columns.len()].iter().all(|key| columns.contains(&key.id))
                && sorted.is_sorted_by(&wanted.order);
            let price = |node: &Node, order: &[OrderKey], hashed: bool| {
                let (settings, input) = (self.settings(), node.plan.estimate);
                let grouped = cost::aggregate(settings, input, columns.len(), 0, groups, hashed, input.width);
                let price = self.price_of_wanted(grouped, order, wanted);
                let own = u32::from(hashed && !settings.enable_hashagg);
                Price { disabled: price.disabled + own + self.disabled().count(&node.plan), ..price }
            };
            if covers && price(&sorted, &sorted.order, false).is_below(price(&node, &[], true)) {
                self.outside.drain(mark..whole);
                node = sorted;
            } else {
                self.outside.truncate(whole);
            }
        }
        // Rows that are unique already stay as they are.
        if node.unique.iter().any(|set| set.iter().all(|id| columns.contains(id))) {
            return Ok(node);
        }
        let mut node = node;
        let is_sorted = |node: &Node| {
            node.order.len() >= columns.len()
                && node.order[..columns.len()].iter().all(|key| columns.contains(&key.id))
        };
        let can_sort =
            columns.iter().all(|id| ochre_expr::btree_comparison(self.columns[*id].ty.oid).is_some());
        let settings = self.settings();
        if !is_sorted(&node) && can_sort && !settings.enable_hashagg && settings.enable_sort {
            let order: Vec<Ordering> = columns
                .iter()
                .map(|id| Ordering {
                    expr: Expr::Column { index: *id, ty: self.columns[*id].ty },
                    descending: false,
                    nulls_first: false,
                })
                .collect();
            node = self.add_sort(node, &order, None)?;
        }
        let sorted = is_sorted(&node);
        let estimate_input = node.plan.estimate;
        let groups = columns
            .iter()
            .map(|id| self.distinct_values(*id, estimate_input.rows))
            .product::<f64>()
            .min(estimate_input.rows)
            .max(1.0)
            .round();
        let estimate = cost::aggregate(
            self.settings(),
            estimate_input,
            columns.len(),
            0,
            groups,
            !sorted,
            estimate_input.width,
        );
        let out = node.plan.columns.clone();
        let ids = node.ids.clone();
        let (plan_node, order) = if sorted {
            let keys = (0..ids.len()).collect();
            (PlanNode::Unique(UniquePlan { input: Arc::new(node.plan), keys }), node.order)
        } else {
            (PlanNode::Distinct(DistinctPlan { input: Arc::new(node.plan) }), Vec::new())
        };
        let plan = PhysicalPlan { node: plan_node, columns: out, estimate };
        Ok(Node { plan, ids, order, unique: vec![columns.to_vec()] })
    }

    fn plan_distinct_on(
        &mut self,
        input: &Logical,
        on: &[ColumnId],
        sort: &[Ordering],
        required: &IdSet,
    ) -> Result<Node> {
        let mut needed = required.clone();
        on.iter().for_each(|id| needed.insert(*id));
        let node = self.plan_sort(input, sort, &needed, None)?;
        let keys: Vec<usize> =
            on.iter().filter_map(|id| node.ids.iter().position(|known| known == id)).collect();
        let input = node.plan.estimate;
        let groups = on
            .iter()
            .map(|id| self.distinct_values(*id, input.rows))
            .product::<f64>()
            .min(input.rows)
            .max(1.0);
        let estimate = Estimate {
            total_cost: input.total_cost + input.rows * self.settings().cpu_operator_cost * keys.len() as f64,
            rows: groups.round(),
            ..input
        };
        let columns = node.plan.columns.clone();
        let plan = PhysicalPlan {
            node: PlanNode::Unique(UniquePlan { input: Arc::new(node.plan), keys }),
            columns,
            estimate,
        };
        Ok(Node { plan, ids: node.ids, order: node.order, unique: vec![on.to_vec()] })
    }

    /// One input of a set operation, its columns in order.
    pub(super) fn plan_set_input(&mut self, plan: &Logical, columns: &[ColumnId]) -> Result<PhysicalPlan> {
        let required = IdSet::of(columns.iter().copied());
        let node = self.plan_node(plan, &required, &Wanted::default())?;
        Ok(self.shape(node, columns))
    }

    fn plan_append(&mut self, inputs: &SetInputs, required: &IdSet, wanted: &Wanted) -> Result<Node> {
        let kept: Vec<usize> =
            (0..inputs.columns.len()).filter(|i| required.contains(inputs.columns[*i])).collect();
        let pick = |ids: &[ColumnId]| -> Vec<ColumnId> { kept.iter().map(|i| ids[*i]).collect() };
        let ids = pick(&inputs.columns);
        if let Some(set) = inputs.set {
            return self.plan_relation_set(set, inputs, &pick, wanted);
        }
        let mut plans = Vec::with_capacity(inputs.inputs.len());
        let mut estimate = Estimate { width: self.width_of(&ids), ..Estimate::default() };
        for (index, (plan, columns)) in inputs.inputs.iter().enumerate() {
            let planned = self.plan_set_input(plan, &pick(columns))?;
            if index == 0 {
                estimate.startup_cost = planned.estimate.startup_cost;
            }
            estimate.total_cost += planned.estimate.total_cost;
            estimate.rows += planned.estimate.rows;
            estimate.width = estimate.width.max(planned.estimate.width);
            plans.push(Arc::new(planned));
        }
        estimate.total_cost += estimate.rows * self.settings().cpu_tuple_cost * 0.5;
        let columns = self.output_columns(&ids);
        let node =
            PlanNode::Append(AppendPlan { inputs: plans, guards: Vec::new(), merge: None, parent: None });
        let plan = PhysicalPlan { node, columns, estimate };
        let node = Node { plan, ids, order: Vec::new(), unique: Vec::new() };
        let parts: Vec<(&Logical, Vec<ColumnId>)> =
            inputs.inputs.iter().map(|(plan, columns)| (plan, pick(columns))).collect();
        self.or_in_order(node, &parts, &[], false, wanted)
    }

    /// Rows of several inputs one input after the other, or the same in the wanted order where that is cheaper: merged, or
    /// by themselves when all rows of an input stand before those of the next (`follow`). `guards` are as in
    /// [`AppendPlan`], of as many inputs.
    pub(super) fn or_in_order(
        &mut self,
        node: Node,
        inputs: &[(&Logical, Vec<ColumnId>)],
        guards: &[Option<Expr>],
        follow: bool,
        wanted: &Wanted,
    ) -> Result<Node> {
        let positions: Option<Vec<usize>> =
            wanted.order.iter().map(|key| node.ids.iter().position(|id| *id == key.id)).collect();
        let Some(positions) = positions.filter(|positions| !positions.is_empty()) else { return Ok(node) };
        // All rows of several inputs are sorted faster than merged.
        if !follow && wanted.rows.is_none() {
            return Ok(node);
        }
        let mark = self.outside.len();
        let mut plans = Vec::with_capacity(inputs.len());
        let mut sorts = 0;
        for (plan, columns) in inputs {
            let order: Vec<OrderKey> = positions
                .iter()
                .zip(&wanted.order)
                .map(|(position, key)| OrderKey { id: columns[*position], ..*key })
                .collect();
            let required = IdSet::of(columns.iter().copied());
            let own = Wanted { order, rows: wanted.rows };
            let mut planned = self.plan_node(plan, &required, &own)?;
            if !planned.is_sorted_by(&own.order) {
                let keys: Vec<Ordering> = own.order.iter().map(|key| self.ordering(key)).collect();
                planned = self.add_sort(planned, &keys, wanted.rows)?;
                sorts += 1;
            }
            plans.push(self.shape(planned, columns));
        }
        let estimates: Vec<Estimate> = plans.iter().map(|plan| plan.estimate).collect();
        let settings = self.settings();
        let width = node.plan.estimate.width;
        let mut estimate = cost::merge_append(settings, &estimates, width);
        if follow && let Some(first) = estimates.first() {
            estimate.startup_cost = first.startup_cost;
            estimate.total_cost = estimates.iter().map(|input| input.total_cost).sum::<f64>()
                + estimate.rows * settings.cpu_tuple_cost * 0.5;
        }
        let count =
            |plans: &[PhysicalPlan]| plans.iter().map(|plan| self.disabled().count(plan)).sum::<u32>();
        let ordered = self.price_of_wanted(estimate, &wanted.order, wanted);
        let ordered = Price { disabled: ordered.disabled + count(&plans), ..ordered };
        let plain = self.price_of_wanted(node.plan.estimate, &node.order, wanted);
        let plain = Price { disabled: plain.disabled + self.disabled().count(&node.plan), ..plain };
        if sorts == plans.len() || !ordered.is_below(plain) {
            self.outside.truncate(mark);
            return Ok(node);
        }
        let keys = positions.iter().zip(&wanted.order).map(|(position, key)| SortKey {
            expr: Expr::Column { index: *position, ty: self.columns[key.id].ty },
            descending: key.descending,
            nulls_first: key.nulls_first,
        });
        let merge = (!follow).then(|| keys.collect());
        let inputs = plans.into_iter().map(Arc::new).collect();
        let parent = match &node.plan.node {
            PlanNode::Append(plain) => plain.parent.clone(),
            _ => None,
        };
        let append = PlanNode::Append(AppendPlan { inputs, guards: guards.to_vec(), merge, parent });
        let plan = PhysicalPlan { node: append, columns: node.plan.columns.clone(), estimate };
        Ok(Node { plan, order: wanted.order.clone(), ..node })
    }

    /// An order's key as an operator's.
    fn ordering(&self, key: &OrderKey) -> Ordering {
        Ordering {
            expr: Expr::Column { index: key.id, ty: self.columns[key.id].ty },
            descending: key.descending,
            nulls_first: key.nulls_first,
        }
    }

    fn plan_set_op(&mut self, kind: crate::physical::SetOpKind, inputs: &SetInputs) -> Result<Node> {
        let [(left, left_ids), (right, right_ids)] = inputs.inputs.as_slice() else {
            return Err(Error::internal("a set operation has two inputs"));
        };
        let left = self.plan_set_input(left, left_ids)?;
        let right = self.plan_set_input(right, right_ids)?;
        let (l, r) = (left.estimate, right.estimate);
        let settings = self.settings();
        let keys = inputs.columns.len() as f64;
        let total = l.total_cost + r.total_cost + settings.cpu_operator_cost * keys * (l.rows + r.rows);
        let rows = l.rows.clamp(1.0, 200.0);
        let estimate = Estimate { startup_cost: total, total_cost: total, rows, width: l.width };
        let columns = self.output_columns(&inputs.columns);
        let plan = PhysicalPlan {
            node: PlanNode::SetOp(SetOpPlan {
                kind,
                strategy: SetOpStrategy::Hashed,
                left: Arc::new(left),
                right: Arc::new(right),
            }),
            columns,
            estimate,
        };
        use crate::physical::SetOpKind;
        let unique = if matches!(kind, SetOpKind::Intersect | SetOpKind::Except) {
            vec![inputs.columns.clone()]
        } else {
            Vec::new()
        };
        Ok(Node { plan, ids: inputs.columns.clone(), order: Vec::new(), unique })
    }

    fn plan_recursive(&mut self, inputs: &SetInputs, distinct: bool, work_table: usize) -> Result<Node> {
        let [(initial, initial_ids), (recursive, recursive_ids)] = inputs.inputs.as_slice() else {
            return Err(Error::internal("a recursive query has two terms"));
        };
        let initial = self.plan_set_input(initial, initial_ids)?;
        self.recursive_rows[work_table] = initial.estimate.rows;
        let recursive = self.plan_set_input(recursive, recursive_ids)?;
        let (a, b) = (initial.estimate, recursive.estimate);
        let rows = a.rows + 10.0 * b.rows;
        let estimate = Estimate {
            startup_cost: a.startup_cost,
            total_cost: a.total_cost + 10.0 * b.total_cost + rows * self.settings().cpu_tuple_cost,
            rows,
            width: a.width.max(b.width),
        };
        let columns = self.output_columns(&inputs.columns);
        let plan = PhysicalPlan {
            node: PlanNode::RecursiveUnion(RecursiveUnionPlan {
                initial: Arc::new(initial),
                recursive: Arc::new(recursive),
                distinct,
                work_table,
            }),
            columns,
            estimate,
        };
        Ok(Node { plan, ids: inputs.columns.clone(), order: Vec::new(), unique: Vec::new() })
    }

    fn plan_lock_rows(
        &mut self,
        input: &Logical,
        locks: &[RowLock],
        predicates: &[Expr],
        required: &IdSet,
        wanted: &Wanted,
    ) -> Result<Node> {
        self.check_locks(input, locks)?;
        let mut needed = required.clone();
        for lock in locks {
            needed.insert(lock.row_id);
            lock.table_oid.iter().for_each(|id| needed.insert(*id));
            // What the row's newest version may have changed.
            for (_, id) in &self.tables[lock.table].columns {
                needed.insert(*id);
            }
        }
        let available = crate::walk::produced(input, &self.tables);
        let depth = locks.first().map_or(0, |lock| self.columns[lock.row_id].depth);
        let mut usable = Vec::new();
        for predicate in predicates {
            let mut mentioned = IdSet::default();
            crate::walk::mentioned(predicate, self.parts(), &mut mentioned);
            // Columns of the queries around this one stay as they are.
            if mentioned.iter().all(|id| available.contains(id) || self.columns[id].depth < depth) {
                mentioned.iter().filter(|id| available.contains(*id)).for_each(|id| needed.insert(id));
                usable.push(predicate.clone());
            }
        }
        let node = self.plan_node(input, &needed, wanted)?;
        let mut relations = Vec::with_capacity(locks.len());
        for lock in locks {
            let Some(row_id) = node.ids.iter().position(|id| *id == lock.row_id) else {
                return Err(Error::unsupported("locking rows of this kind of FROM item"));
            };
            let recheck = self.recheck(lock.table, &node.ids, &usable)?;
            let set = match lock.table_oid {
                Some(table_oid) => Some(self.marked_set(lock.table, table_oid, &node.ids, &recheck)?),
                None => None,
            };
            relations.push(MarkedRelation {
                set,
                table: self.tables[lock.table].table.oid,
                row_id,
                strength: lock.strength,
                wait: lock.wait,
                recheck,
            });
        }
        let input = node.plan.estimate;
        let estimate =
            Estimate { total_cost: input.total_cost + input.rows * self.settings().cpu_tuple_cost, ..input };
        let columns = node.plan.columns.clone();
        let plan = PhysicalPlan {
            node: PlanNode::LockRows(LockRowsPlan { input: Arc::new(node.plan), relations }),
            columns,
            estimate,
        };
        Ok(Node { plan, ids: node.ids, order: node.order, unique: node.unique })
    }

    /// Refuses locks of rows that are no table's, and of rows that a join's rows may come without.
    ///
    /// Asked here and not when names are bound: conditions may have made an inner join of an outer one.
    fn check_locks(&self, input: &Logical, locks: &[RowLock]) -> Result<()> {
        if let Some(strength) = self.missing_side_lock(input, locks, false) {
            let message =
                format!("{} cannot be applied to the nullable side of an outer join", strength.name());
            return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message));
        }
        for lock in locks {
            let table = &self.tables[lock.table].table;
            let kind = match table.kind {
                RelationKind::MaterializedView => Some("materialized view"),
                RelationKind::Sequence => Some("sequence"),
                _ => None,
            };
            if let Some(kind) = kind {
                let message = format!("cannot lock rows in {kind} \"{}\"", table.name);
                return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message));
            }
        }
        Ok(())
    }

    /// The strength of a lock on a side of an outer join that may be missing: one of these, or one that a sub-query there
    /// has from the same clause.
    fn missing_side_lock(&self, plan: &Logical, locks: &[RowLock], missing: bool) -> Option<RowLockStrength> {
        match plan {
            Logical::Join(join) => {
                let left = missing || matches!(join.kind, JoinKind::Right | JoinKind::Full);
                let right = missing || matches!(join.kind, JoinKind::Left | JoinKind::Full);
                let found = self.missing_side_lock(&join.left, locks, left);
                found.or_else(|| self.missing_side_lock(&join.right, locks, right))
            }
            Logical::LockRows { locks, inherited, .. } => {
                locks.first().filter(|_| missing && *inherited).map(|lock| lock.strength)
            }
            Logical::Get(_) | Logical::Sample(_) | Logical::Append(_) if missing => {
                let made = crate::walk::produced(plan, &self.tables);
                locks.iter().find(|lock| made.contains(lock.row_id)).map(|lock| lock.strength)
            }
            other => crate::walk::inputs(other)
                .into_iter()
                .find_map(|input| self.missing_side_lock(input, locks, missing)),
        }
    }

    /// How a row of a table among so many columns is brought up to date.
    pub(crate) fn recheck(
        &mut self,
        table: crate::logical::TableId,
        ids: &[ColumnId],
        predicates: &[Expr],
    ) -> Result<RowRecheck> {
        let columns = self.tables[table]
            .columns
            .iter()
            .filter_map(|(column, id)| ids.iter().position(|known| known == id).map(|at| (at, *column)))
            .collect();
        let predicate = self.resolve_filter(predicates, ids)?;
        Ok(RowRecheck { columns, predicate })
    }
}

impl PlanBuilder<'_> {
    /// Whether a subquery reads nothing of the rows around it: its value is found once for the whole statement.
    pub(crate) fn runs_once(&self, subquery: usize) -> bool {
        free_columns(&self.subqueries[subquery].query.plan, self.parts()).is_empty()
    }

    /// Whether an expression runs a subquery for each row.
    pub(crate) fn has_row_subplan(&self, expr: &Expr) -> bool {
        expr.any(|node| matches!(node, Expr::SubPlan { plan, .. } if !self.runs_once(*plan)))
    }
}

/// Whether an expression runs a subquery.
pub(crate) fn has_subplan(expr: &Expr) -> bool {
    expr.any(|node| matches!(node, Expr::SubPlan { .. }))
}

/// LIMIT and OFFSET become the bound of a sort right below (or below a projection or row locks).
fn set_sort_limit(plan: &mut PhysicalPlan, limit: Option<&Expr>, offset: Option<&Expr>) {
    let total = match (limit, offset) {
        (Some(limit), None) => limit.clone(),
        (Some(Expr::Constant { value, ty }), Some(Expr::Constant { value: skip, .. })) => {
            let (Some(n), Some(skip)) = (value.as_i64(), skip.as_i64()) else { return };
            let Some(sum) = n.max(0).checked_add(skip.max(0)) else { return };
            Expr::Constant { value: Datum::Int64(sum), ty: *ty }
        }
        _ => return,
    };
    match &mut plan.node {
        PlanNode::Sort(sort) => sort.limit = Some(total),
        PlanNode::Project(project) => {
            let mut input = (*project.input).clone();
            set_sort_limit(&mut input, Some(&total), None);
            project.input = Arc::new(input);
        }
        _ => {}
    }
}

/// The inputs of a set with more conditions on its rows.
pub(super) fn pushed_into(inputs: &SetInputs, predicates: &[Expr]) -> SetInputs {
    let push = |(plan, ids): &(Logical, Vec<ColumnId>)| {
        let renamed = predicates.iter().map(|predicate| {
            predicate.clone().transform(&mut |node| match node {
                Expr::Column { index, ty } => {
                    let own = inputs.columns.iter().position(|id| *id == index);
                    Expr::Column { index: own.map_or(index, |position| ids[position]), ty }
                }
                other => other,
            })
        });
        let predicates = renamed.collect();
        (Logical::Filter { input: Box::new(plan.clone()), predicates }, ids.clone())
    };
    SetInputs {
        columns: inputs.columns.clone(),
        inputs: inputs.inputs.iter().map(push).collect(),
        set: inputs.set,
    }
}

fn rename_order(order: &mut Vec<OrderKey>, rename: &impl Fn(ColumnId) -> Option<ColumnId>) {
    let kept = order.iter().take_while(|key| rename(key.id).is_some()).count();
    order.truncate(kept);
    for key in order {
        if let Some(new) = rename(key.id) {
            key.id = new;
        }
    }
}

fn rename_unique(
    sets: &[Vec<ColumnId>],
    rename: &impl Fn(ColumnId) -> Option<ColumnId>,
) -> Vec<Vec<ColumnId>> {
    sets.iter().filter_map(|set| set.iter().map(|id| rename(*id)).collect()).collect()
}

/// How many rows a set-returning function yields.
fn set_rows(name: &str, args: &[Expr], default: f64) -> f64 {
    let number = |i: usize| match args.get(i) {
        Some(Expr::Constant { value, .. }) => value.as_i64().map(|n| n as f64),
        Some(Expr::Cast { arg, .. }) => match &**arg {
            Expr::Constant { value, .. } => value.as_i64().map(|n| n as f64),
            _ => None,
        },
        _ => None,
    };
    match name {
        "generate_series" => match (number(0), number(1), number(2).or((args.len() == 2).then_some(1.0))) {
            (Some(first), Some(last), Some(step)) if step != 0.0 => {
                ((last - first) / step + 1.0).floor().max(1.0)
            }
            _ => default.max(1.0),
        },
        "unnest" => match args.first() {
            Some(Expr::Constant { value: Datum::Array(array), .. }) => (array.len() as f64).max(1.0),
            Some(Expr::ArrayLiteral { elements, .. }) => (elements.len() as f64).max(1.0),
            _ => 10.0,
        },
        _ => default.max(1.0),
    }
}
