//! The physical planner: logical plan to operators, by cost.
//!
//! # Where to look
//! - one operator after the other: [`node`]; scans and their indexes: [`scan`]; join order and methods: [`join`]
//! - INSERT, UPDATE, DELETE: [`modify`]; how many rows: [`selectivity`]; what it costs: [`cost`]
//!
//! # Ids to positions
//! A planned node knows the column ids of its output in order ([`Node::ids`]). [`PlanBuilder::resolve`] turns an expression
//! over ids into one over positions; an id that is not among them comes from outside and becomes a slot of the frame.

mod bitmap;
mod cost;
mod group_keys;
mod index_match;
mod join;
mod join_order;
mod join_stream;
mod merge;
mod modify;
mod node;
mod parallel;
mod prune;
mod relation_set;
mod scan;
mod selectivity;
mod settings;

use std::sync::Arc;

use ochre_base::{Error, Oid, Result, limits};
use ochre_catalog::CatalogSnapshot;
use ochre_expr::{Comparison, Expr, SessionContext, SubPlanKind, Volatility};
use ochre_parser::ast;

use crate::bind::{Binder, ParamTypes};
use crate::idset::IdSet;
use crate::logical::{
    ColumnId, ColumnInfo, FromName, Logical, LogicalBody, LogicalCte, LogicalStatement, Query, Subquery,
    TableUse,
};
use crate::optimize;
use crate::physical::{
    CommandKind, CteDefinition, Estimate, IndexScanPlan, OutputColumn, PhysicalPlan, PlanNode,
    PlannedStatement, ProjectPlan, RelationAccess, RelationLock, RelationUse, SeqScanPlan, SubPlan,
};
use crate::walk::{Parts, contains_locks, free_columns};

pub(crate) use index_match::{Operation, comparison_of, is_implied, operation_of, strip_relabel};
pub(crate) use settings::Price;
pub use settings::{DisabledMethods, PlannerSettings};

/// Binds and plans statements against one picture of the catalog.
#[derive(Clone, Copy)]
pub struct Planner<'a> {
    /// The catalog.
    pub catalog: &'a CatalogSnapshot,
    /// Namespaces in the order of the search, implicit ones (`pg_catalog`, temporary) included.
    pub search_path: &'a [Oid],
    /// The session: text forms, names, constants.
    pub session: &'a dyn SessionContext,
    /// What the planner may do.
    pub settings: &'a PlannerSettings,
    /// The query is a cursor's: row ids that WHERE CURRENT OF could mean stand behind its columns.
    pub for_cursor: bool,
}

impl<'a> Planner<'a> {
    /// A planner.
    pub fn new(
        catalog: &'a CatalogSnapshot,
        search_path: &'a [Oid],
        session: &'a dyn SessionContext,
        settings: &'a PlannerSettings,
    ) -> Planner<'a> {
        Planner { catalog, search_path, session, settings, for_cursor: false }
    }

    /// Binds and plans a query or a data-modifying statement. Types of parameters that the statement decides are added to
    /// `params`.
    ///
    /// # Errors
    /// PostgreSQL's, with positions in the statement's text; 42P18 when a parameter's type stays open.
    pub fn plan(&self, statement: &ast::Statement, params: &mut ParamTypes) -> Result<PlannedStatement> {
        let (mut planned, alternatives) = self.plan_without(0, statement, params)?;
        let parameters = params.decided()?;
        if alternatives > 0 {
            planned = self.cheapest(planned, alternatives, statement, params)?;
        }
        planned.parameters = parameters;
        Ok(planned)
    }

    /// Plans a statement without some of the joins that could stand for subqueries; says how many there could be.
    fn plan_without(
        &self,
        refused: u64,
        statement: &ast::Statement,
        params: &mut ParamTypes,
    ) -> Result<(PlannedStatement, u32)> {
        let mut logical = self.bind(statement, params)?;
        params.decided()?;
        logical.alternatives.refused = refused;
        let rules = self.optimize(&mut logical)?;
        let alternatives = logical.alternatives.met;
        let mut planned = self.plan_logical(logical)?;
        planned.rules = rules.into();
        Ok((planned, alternatives))
    }

    /// The cheapest plan that is found of one with joins for all subqueries, one without, and, where that may be worth the
    /// trouble, those that differ from the better one in a single join, and so on from there.
    fn cheapest(
        &self,
        joined: PlannedStatement,
        alternatives: u32,
        statement: &ast::Statement,
        params: &mut ParamTypes,
    ) -> Result<PlannedStatement> {
        /// Plans that cost less take about as long as it takes to find them.
        const WORTH_MORE_PLANS: f64 = 1000.0;
        /// How many joins are looked at by themselves.
        const MOST: u32 = 4;
        let mut best = (running_cost(&joined), joined);
        let mut refused = 0;
        let mut attempt = |without: u64, refused: &mut u64| {
            let (planned, _) = self.plan_without(without, statement, params)?;
            let cost = running_cost(&planned);
            if cost < best.0 {
                best = (cost, planned);
                *refused = without;
            }
            Ok::<f64, Error>(best.0)
        };
        let cost = attempt(u64::MAX, &mut refused)?;
        if alternatives > 1 && cost > WORTH_MORE_PLANS {
            for number in 0..alternatives.min(MOST) {
                attempt(refused ^ 1 << number, &mut refused)?;
            }
        }
        Ok(best.1)
    }

    /// Binds a statement.
    ///
    /// # Errors
    /// As [`Planner::plan`].
    pub fn bind(&self, statement: &ast::Statement, params: &mut ParamTypes) -> Result<LogicalStatement> {
        let binder = Binder::new(self.catalog, self.search_path, self.session, params);
        let mut bound =
            if self.for_cursor { binder.bind_cursor(statement)? } else { binder.bind(statement)? };
        let detaching = crate::partition::Detaching::of_transaction(self.settings.snapshot);
        crate::inherit::expand(&mut bound, self.catalog, self.search_path, detaching)?;
        if !params.values().is_empty() {
            optimize::put_values(&mut bound, params.values())?;
        }
        Ok(bound)
    }

    /// Applies the rules of the logical optimizer; says which of them changed the statement, if the settings ask for that.
    ///
    /// # Errors
    /// Internal ones.
    pub fn optimize(&self, statement: &mut LogicalStatement) -> Result<Vec<&'static str>> {
        optimize::optimize(statement, self.session, self.settings)
    }

    /// Plans a bound statement.
    ///
    /// # Errors
    /// 0A000 for what has no operator.
    pub fn plan_logical(&self, statement: LogicalStatement) -> Result<PlannedStatement> {
        let LogicalStatement {
            command,
            body,
            columns,
            tables,
            subqueries,
            from_names,
            ctes,
            work_tables,
            relations,
            requirements,
            namespaces,
            cursor_tables,
            ..
        } = statement;
        let mut builder = PlanBuilder {
            planner: *self,
            columns,
            tables,
            subqueries,
            from_names,
            ctes,
            subplan_numbers: Vec::new(),
            cte_numbers: Vec::new(),
            subplans: Vec::new(),
            planned_ctes: Vec::new(),
            cte_frames: Vec::new(),
            frames: Vec::new(),
            outside: Vec::new(),
            recursive_rows: vec![0.0; work_tables],
            init_plans: 0,
            referenced: Vec::new(),
            scanned: Vec::new(),
        };
        if command == CommandKind::Select {
            let tables = builder.tables.iter_mut().map(|table| &mut table.alias);
            name_apart(tables.chain(builder.from_names.iter_mut().map(|name| &mut name.alias)));
        }
        builder.subplan_numbers = vec![None; builder.subqueries.len()];
        builder.cte_numbers = vec![None; builder.ctes.len()];
        builder.frames.push(Frame { slots: Vec::new() });
        // Asked before the bodies are planned, which takes them.
        let bodies = builder.ctes.iter().map(|cte| &cte.body).chain([&body]);
        let queries = builder.subqueries.iter().map(|subquery| &subquery.query);
        let read_only = bodies.into_iter().all(|body| match body {
            LogicalBody::Modify(_) => false,
            LogicalBody::Query(query) => !contains_locks(&query.plan),
        }) && !queries.into_iter().any(|query| contains_locks(&query.plan));
        builder.plan_ctes_of(0)?;
        let (plan, row_shape) = match body {
            LogicalBody::Query(query) => {
                let shape: Vec<OutputColumn> =
                    query.output.iter().map(|(_, column)| column.clone()).collect();
                (builder.plan_query(&query)?, shape)
            }
            LogicalBody::Modify(modify) => {
                let shape =
                    modify.returning.iter().flatten().map(|(_, column)| column.clone()).collect::<Vec<_>>();
                (builder.plan_modify(*modify)?, shape)
            }
        };
        let returns_rows = command == CommandKind::Select || !row_shape.is_empty();
        let slots = builder.frames.first().map_or(0, |frame| frame.slots.len());
        let mut relations: Vec<RelationUse> =
            relations.into_iter().map(|(table, access)| relation_use(table.oid, access)).collect();
        relations.extend(builder.referenced.iter().map(|oid| RelationUse {
            oid: *oid,
            lock: RelationLock::RowShare,
            access: RelationAccess::default(),
        }));
        let mut planned = PlannedStatement {
            command,
            plan: Arc::new(plan),
            slots,
            subplans: builder.subplans,
            ctes: builder.planned_ctes,
            work_tables,
            parameters: Vec::new(),
            row_shape,
            returns_rows,
            relations,
            requirements: requirements.into(),
            namespaces: namespaces.into(),
            read_only,
            cursor_tables: cursor_tables.into(),
            disabled: DisabledMethods::of(self.settings),
            rules: Box::default(),
        };
        parallel::parallelise(&mut planned, self.settings);
        Ok(planned)
    }
}

/// Gives items of FROM that have the same name names of their own, for EXPLAIN: `t`, `t_1`, `t_2`.
fn name_apart<'a>(aliases: impl Iterator<Item = &'a mut Arc<str>>) {
    let mut known: hashbrown::HashSet<Arc<str>> = hashbrown::HashSet::new();
    for alias in aliases {
        let mut number = 0;
        let mut name = Arc::clone(alias);
        while !known.insert(Arc::clone(&name)) {
            number += 1;
            name = format!("{alias}_{number}").into();
        }
        *alias = name;
    }
}

fn relation_use(oid: Oid, access: RelationAccess) -> RelationUse {
    let lock = if access.insert || access.delete || access.update {
        RelationLock::RowExclusive
    } else if access.lock {
        RelationLock::RowShare
    } else {
        RelationLock::AccessShare
    };
    RelationUse { oid, lock, access }
}

/// A frame whose plan is being made.
#[derive(Debug)]
struct Frame {
    /// The id that each slot holds.
    slots: Vec<ColumnId>,
}

/// A planned operator.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    /// The operator.
    pub plan: PhysicalPlan,
    /// The ids of its columns, in order.
    pub ids: Vec<ColumnId>,
    /// What its rows are sorted by, as far as is known.
    pub order: Vec<OrderKey>,
    /// Sets of columns of which no two rows have equal values.
    pub unique: Vec<Vec<ColumnId>>,
}

/// A key of an order that rows are known or wanted to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OrderKey {
    pub id: ColumnId,
    pub descending: bool,
    pub nulls_first: bool,
}

/// How many leading keys of a wanted order rows have that come in another one.
pub(crate) fn agreeing(have: &[OrderKey], wanted: &[OrderKey]) -> usize {
    have.iter().zip(wanted).take_while(|(have, want)| have == want).count()
}

impl Node {
    /// Rows expected.
    pub fn rows(&self) -> f64 {
        self.plan.estimate.rows
    }

    /// Cost until the last row.
    pub fn cost(&self) -> f64 {
        self.plan.estimate.total_cost
    }

    /// Whether the rows come in the wanted order.
    pub fn is_sorted_by(&self, wanted: &[OrderKey]) -> bool {
        self.order.len() >= wanted.len() && self.order[..wanted.len()] == *wanted
    }
}

/// The state of planning one statement.
pub(crate) struct PlanBuilder<'a> {
    planner: Planner<'a>,
    columns: Vec<ColumnInfo>,
    tables: Vec<TableUse>,
    subqueries: Vec<Subquery>,
    from_names: Vec<FromName>,
    ctes: Vec<LogicalCte>,
    /// Logical subquery to its number in the plan and the ids that are its arguments.
    subplan_numbers: Vec<Option<(usize, Vec<ColumnId>)>>,
    /// Logical WITH entry to its number in the plan.
    cte_numbers: Vec<Option<usize>>,
    subplans: Vec<SubPlan>,
    planned_ctes: Vec<CteDefinition>,
    /// The logical frame of each planned WITH entry.
    cte_frames: Vec<usize>,
    frames: Vec<Frame>,
    /// Ids that expressions took from outside their operator's inputs, in the order of use: a nested loop looks here for
    /// what its inner side needs of the outer one.
    outside: Vec<ColumnId>,
    /// Rows of each work table, as guessed from the non-recursive term.
    recursive_rows: Vec<f64>,
    init_plans: usize,
    /// Tables that foreign keys of changed tables refer to.
    referenced: Vec<Oid>,
    /// Members of sets of relations that are scanned, in the order in which they were planned.
    scanned: Vec<crate::logical::TableId>,
}

impl<'a> PlanBuilder<'a> {
    fn settings(&self) -> &'a PlannerSettings {
        self.planner.settings
    }

    /// The methods that are switched off.
    fn disabled(&self) -> DisabledMethods {
        DisabledMethods::of(self.settings())
    }

    fn parts(&self) -> Parts<'_> {
        Parts { tables: &self.tables, subqueries: &self.subqueries, ctes: &self.ctes }
    }

    /// A bound name and type as an output column.
    fn output_column(&self, id: ColumnId) -> OutputColumn {
        let info = &self.columns[id];
        OutputColumn { name: Arc::clone(&info.name), ty: info.ty, origin: info.origin }
    }

    fn output_columns(&self, ids: &[ColumnId]) -> Vec<OutputColumn> {
        ids.iter().map(|id| self.output_column(*id)).collect()
    }

    /// Plans a query so that its output is exactly the query's columns in order.
    fn plan_query(&mut self, query: &Query) -> Result<PhysicalPlan> {
        let wanted: Vec<ColumnId> = query.output.iter().map(|(id, _)| *id).collect();
        let required = IdSet::of(wanted.iter().copied());
        let node = self.plan_node(&query.plan, &required, &Wanted::default())?;
        let mut plan = self.shape(node, &wanted);
        for (column, (_, described)) in plan.columns.iter_mut().zip(&query.output) {
            // The client sees the query's names whatever the operators call them.
            if column.name != described.name {
                column.name = Arc::clone(&described.name);
            }
            column.origin = described.origin;
        }
        Ok(plan)
    }

    /// Brings a node's columns into an order, with a projection when it has another.
    fn shape(&mut self, node: Node, wanted: &[ColumnId]) -> PhysicalPlan {
        if node.ids == wanted {
            return node.plan;
        }
        // A scan or projection can simply hand its columns out in another order.
        let Node { mut plan, ids, .. } = node;
        let positions: Vec<usize> =
            wanted.iter().filter_map(|id| ids.iter().position(|known| known == id)).collect();
        debug_assert_eq!(positions.len(), wanted.len(), "every wanted column is produced");
        match &mut plan.node {
            PlanNode::Project(project)
                if (0..project.exprs.len()).all(|i| {
                    positions.contains(&i) || project.exprs[i].volatility() != Volatility::Volatile
                }) =>
            {
                let exprs = positions.iter().map(|i| project.exprs[*i].clone()).collect();
                let columns = positions.iter().map(|i| plan.columns[*i].clone()).collect();
                project.exprs = exprs;
                plan.columns = columns;
                return plan;
            }
            PlanNode::SeqScan(SeqScanPlan { source, .. })
            | PlanNode::IndexScan(IndexScanPlan { source, .. })
                if source.filter.is_none() =>
            {
                // Without a filter nothing else reads the fetched columns by position.
                source.fetch = positions.iter().map(|i| source.fetch[*i]).collect();
                plan.columns = positions.iter().map(|i| plan.columns[*i].clone()).collect();
                return plan;
            }
            _ => {}
        }
        let columns: Vec<OutputColumn> = positions.iter().map(|i| plan.columns[*i].clone()).collect();
        let exprs = positions.iter().map(|i| Expr::Column { index: *i, ty: plan.columns[*i].ty }).collect();
        let estimate = Estimate { width: self.width_of(wanted), ..plan.estimate };
        PhysicalPlan {
            node: PlanNode::Project(ProjectPlan { input: Arc::new(plan), exprs }),
            columns,
            estimate,
        }
    }

    /// Average bytes of a row of these columns.
    fn width_of(&self, ids: &[ColumnId]) -> u32 {
        ids.iter().map(|id| self.column_width(*id)).sum()
    }

    /// Turns ids into positions of `ids`; others become slots of the frame. Subqueries are planned on the way.
    fn resolve(&mut self, expr: &Expr, ids: &[ColumnId]) -> Result<Expr> {
        let mut expr = expr.clone();
        self.resolve_in_place(&mut expr, ids)?;
        Ok(expr)
    }

    fn resolve_in_place(&mut self, expr: &mut Expr, ids: &[ColumnId]) -> Result<()> {
        match expr {
            Expr::Constant { .. } | Expr::Parameter { .. } => return Ok(()),
            Expr::Column { index, ty } => {
                *expr = self.resolve_column(*index, *ty, ids)?;
                return Ok(());
            }
            _ => {}
        }
        stacker::maybe_grow(limits::STACK_RED_ZONE_BYTES, limits::STACK_GROWTH_BYTES, || {
            if let Expr::SubPlan { plan, kind, args, .. } = expr {
                if let SubPlanKind::AnyAll { left, .. } = kind {
                    for part in left {
                        self.resolve_in_place(part, ids)?;
                    }
                }
                let hashable = match kind {
                    SubPlanKind::AnyAll { all: false, functions, op: Comparison::Equal, .. } => {
                        functions.iter().all(|f| operation_of(f.oid) == Some(Operation::Equal))
                    }
                    _ => false,
                };
                let (number, needed) = self.plan_subquery(*plan, hashable)?;
                *plan = number;
                let mut values = Vec::with_capacity(needed.len());
                for id in needed {
                    let ty = self.columns[id].ty;
                    values.push(self.resolve_column(id, ty, ids)?);
                }
                *args = values;
                return Ok(());
            }
            for child in expr.children_mut() {
                self.resolve_in_place(child, ids)?;
            }
            Ok(())
        })
    }

    fn resolve_column(&mut self, id: ColumnId, ty: ochre_types::SqlType, ids: &[ColumnId]) -> Result<Expr> {
        if let Some(index) = ids.iter().position(|known| *known == id) {
            return Ok(Expr::Column { index, ty });
        }
        let slot = self.slot_of(id)?;
        self.outside.push(id);
        Ok(Expr::Correlated { slot, ty })
    }

    /// The slot of the current frame that holds an id.
    fn slot_of(&mut self, id: ColumnId) -> Result<usize> {
        let frame = self.frames.last_mut().ok_or_else(|| Error::internal("no frame is being planned"))?;
        Ok(match frame.slots.iter().position(|known| *known == id) {
            Some(slot) => slot,
            None => {
                frame.slots.push(id);
                frame.slots.len() - 1
            }
        })
    }

    /// Plans a subquery of an expression in a frame of its own; says its number and what its arguments are.
    fn plan_subquery(&mut self, index: usize, hashable: bool) -> Result<(usize, Vec<ColumnId>)> {
        if let Some((number, args)) = &self.subplan_numbers[index] {
            return Ok((*number, args.clone()));
        }
        let query = self.subqueries[index].query.clone();
        let frame = self.subqueries[index].frame;
        let args: Vec<ColumnId> = free_columns(&query.plan, self.parts()).iter().collect();
        self.frames.push(Frame { slots: args.clone() });
        let outside = std::mem::take(&mut self.outside);
        let planned = self.plan_ctes_of(frame).and_then(|()| self.plan_query(&query));
        self.outside = outside;
        let finished = self.frames.pop();
        let plan = planned?;
        let slots = finished.map_or(0, |frame| frame.slots.len());
        // As in PostgreSQL also where it calls volatile functions.
        let run_once = args.is_empty();
        let init = run_once && !hashable;
        self.init_plans += 1;
        let name = if init {
            format!("InitPlan {}", self.init_plans)
        } else {
            format!("SubPlan {}", self.init_plans)
        };
        self.subplans.push(SubPlan {
            plan: Arc::new(plan),
            slots,
            arguments: args.len(),
            run_once,
            hashed: hashable && run_once,
            name,
        });
        let number = self.subplans.len() - 1;
        // WITH entries of the frame learn its number only now.
        for (cte, of) in self.planned_ctes.iter_mut().zip(&self.cte_frames) {
            if *of == frame {
                cte.frame = Some(number);
            }
        }
        self.subplan_numbers[index] = Some((number, args.clone()));
        Ok((number, args))
    }

    /// Plans the WITH entries of a frame that are still in use.
    fn plan_ctes_of(&mut self, frame: usize) -> Result<()> {
        (0..self.ctes.len()).try_for_each(|index| self.plan_cte(index, frame))
    }

    /// Plans a WITH entry of a frame, after those that it reads: an entry inside another one has a higher number.
    fn plan_cte(&mut self, index: usize, frame: usize) -> Result<()> {
        let wanted = |cte: &LogicalCte| {
            cte.frame == frame && (cte.references > 0 || matches!(cte.body, LogicalBody::Modify(_)))
        };
        if self.cte_numbers[index].is_none() && wanted(&self.ctes[index]) {
            let mut read = Vec::new();
            match &self.ctes[index].body {
                LogicalBody::Query(query) => ctes_read(&query.plan, &mut read),
                LogicalBody::Modify(modify) => ctes_read(&modify.source.plan, &mut read),
            }
            for other in read.into_iter().filter(|other| *other != index) {
                self.plan_cte(other, frame)?;
            }
            let modifies = matches!(self.ctes[index].body, LogicalBody::Modify(_));
            let body = std::mem::replace(
                &mut self.ctes[index].body,
                LogicalBody::Query(Query { plan: Logical::Dummy { row: false }, output: Vec::new() }),
            );
            let (plan, correlated) = match body {
                LogicalBody::Query(query) => {
                    let free = free_columns(&query.plan, self.parts());
                    let plan = self.plan_query(&query)?;
                    self.ctes[index].body = LogicalBody::Query(query);
                    (plan, !free.is_empty())
                }
                LogicalBody::Modify(modify) => (self.plan_modify(*modify)?, false),
            };
            self.planned_ctes.push(CteDefinition {
                name: self.ctes[index].name.to_string(),
                plan: Arc::new(plan),
                frame: None,
                correlated,
                modifies,
            });
            self.cte_frames.push(frame);
            self.cte_numbers[index] = Some(self.planned_ctes.len() - 1);
        }
        Ok(())
    }
}

/// The WITH entries that a plan reads, those of its subqueries excepted.
fn ctes_read(plan: &Logical, read: &mut Vec<usize>) {
    if let Logical::CteScan { cte, .. } = plan {
        read.push(*cte);
    }
    crate::walk::inputs(plan).into_iter().for_each(|input| ctes_read(input, read));
}

/// The cost of a statement with what its subqueries cost for each row that asks them, less what loops remember.
fn running_cost(statement: &PlannedStatement) -> f64 {
    fn asked(plan: &PhysicalPlan, statement: &PlannedStatement, depth: u32) -> f64 {
        let children = plan.children();
        // A scan's filter is asked for more rows than come out of it.
        let rows = match children
            .iter()
            .map(|child| child.estimate.rows)
            .fold(None, |most: Option<f64>, rows| Some(most.map_or(rows, |most| most.max(rows))))
        {
            Some(rows) => rows,
            None => plan.estimate.rows * 3.0,
        };
        let mut cost = 0.0;
        // What is remembered of outer rows is not counted in what a loop costs.
        if let PlanNode::NestedLoop(join) = &plan.node
            && let PlanNode::Memoize(memo) = &join.inner.node
        {
            let saved = memo.input.estimate.total_cost - join.inner.estimate.total_cost;
            let inner = plan.estimate.total_cost - join.outer.estimate.total_cost;
            cost -= (saved * (join.outer.estimate.rows - 1.0)).clamp(0.0, inner.max(0.0));
        }
        crate::physical::each_expr(plan, &mut |expr| {
            each_subplan(expr, 1.0, &mut |number, share| {
                let Some(subplan) = statement.subplans.get(number) else { return };
                let once = subplan.plan.estimate.total_cost
                    + if depth < 8 { asked(&subplan.plan, statement, depth + 1) } else { 0.0 };
                cost += if subplan.run_once { once } else { once * share * rows.max(1.0) };
            });
        });
        cost + children.into_iter().map(|child| asked(child, statement, depth)).sum::<f64>()
    }
    let ctes = statement.ctes.iter().map(|cte| &cte.plan);
    ctes.chain([&statement.plan]).map(|plan| plan.estimate.total_cost + asked(plan, statement, 0)).sum()
}

/// Calls `visit` with each sub-plan of an expression and the share of the rows that ask it.
fn each_subplan(expr: &Expr, share: f64, visit: &mut dyn FnMut(usize, f64)) {
    /// How many rows come to a branch of CASE, and to what COALESCE asks after its first argument.
    const BRANCH: f64 = 0.5;
    if let Expr::SubPlan { plan, .. } = expr {
        visit(*plan, share);
    }
    let first = match expr {
        Expr::Case { operand, .. } => Some(1 + usize::from(operand.is_some())),
        Expr::Coalesce { .. } => Some(1),
        _ => None,
    };
    for (at, child) in expr.children().into_iter().enumerate() {
        let guarded = first.is_some_and(|first| at >= first);
        each_subplan(child, if guarded { share * BRANCH } else { share }, visit);
    }
}

/// What the operator above would like.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wanted {
    /// An order.
    pub order: Vec<OrderKey>,
    /// How many rows will be read.
    pub rows: Option<f64>,
}

impl PlanBuilder<'_> {
    /// What rows cost to the operator above that wants an order or only some of them: with the sort that they still need.
    pub(crate) fn price_of_wanted(&self, estimate: Estimate, have: &[OrderKey], wanted: &Wanted) -> Price {
        if agreeing(have, &wanted.order) == wanted.order.len() {
            return Price { disabled: 0, cost: cost::fraction(estimate, wanted.rows) };
        }
        let (sorted, _) = self.sorted_estimate(estimate, have, &wanted.order, wanted.rows);
        let disabled = u32::from(!self.settings().enable_sort);
        Price { disabled, cost: cost::fraction(sorted, wanted.rows) }
    }

    /// As [`PlanBuilder::price_of_wanted`], of a node.
    pub(crate) fn price_of_node(&self, node: &Node, wanted: &Wanted) -> Price {
        let price = self.price_of_wanted(node.plan.estimate, &node.order, wanted);
        Price { disabled: price.disabled + self.disabled().count(&node.plan), ..price }
    }

    /// As [`PlanBuilder::price_of_wanted`], of a step of a join whose rows come in an order.
    fn price_of_step(&self, step: &join_order::Step, have: &[OrderKey], wanted: &Wanted) -> Price {
        let price = self.price_of_wanted(step.estimate, have, wanted);
        Price { disabled: price.disabled + step.disabled, ..price }
    }

    /// What it takes to bring rows into an order, and how many leading keys the sort takes as they come: none when all rows
    /// are better sorted at once.
    pub(crate) fn sorted_estimate(
        &self,
        estimate: Estimate,
        have: &[OrderKey],
        order: &[OrderKey],
        limit: Option<f64>,
    ) -> (Estimate, usize) {
        let settings = self.settings();
        let mut whole = cost::sort(settings, estimate, limit);
        whole.rows = estimate.rows;
        let presorted = agreeing(have, order);
        if presorted == 0 || !settings.enable_incremental_sort {
            return (whole, 0);
        }
        let groups =
            order[..presorted].iter().map(|key| self.distinct_values(key.id, estimate.rows)).product::<f64>();
        let by_group = cost::incremental_sort(settings, estimate, groups);
        // A sort for the first few rows has read all of them by then.
        if cost::fraction(by_group, limit) < whole.total_cost { (by_group, presorted) } else { (whole, 0) }
    }
}
