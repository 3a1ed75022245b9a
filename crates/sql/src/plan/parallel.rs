//! Parallel plans: which parts of a plan several threads run side by side.
//!
//! # Role
//! The last step of planning. The plan is complete and good for one thread; this pass puts [`GatherPlan`]s into it where
//! the estimates say that more threads are worth what it costs to start them. Join orders and methods stay.
//!
//! # How
//! From the leaves up, each node has two forms: the best plan for all of its rows ([`Ways::best`]), and, where there is
//! one, the *partial* plan that gives a share of its rows in each thread that runs it ([`Ways::partial`]). A large table
//! read from one end to the other is partial; filters, projections, unions and joins hand that on from their outer side. The
//! hash table of a join is common to all threads; each reads a share of the inner side, where that has a partial plan, too,
//! or the thread that runs the statement reads it, with a gather of its own below when that pays.
//! A partial plan becomes a best one by a gather, or by
//! - a final aggregate over a gather over a partial aggregate,
//! - a gather that merges what each thread has sorted,
//! - a second DISTINCT over a gather over a first one in each thread.
//!
//! # Invariants
//! - PP1: what threads run satisfies P5 of the physical plan: [`is_safe`] and [`is_replicable`] say which expressions and
//!   nodes do.
//! - PP2: a gather stands only where it runs once a statement: not in the inner side of a nested loop, nor in a sub-plan
//!   with arguments, nor in a recursive term.
//! - PP3: no partial plan has an order that anything above relies on, as tables are read in none.
//!
//! # Differences
//! PostgreSQL looks at parallel plans while it orders joins. The hash table of a join is always common to all threads, also
//! where one reads its rows, so joins of every type are partial; PostgreSQL's is built by every process for itself or by
//! all together. Aggregates whose result shows the order of the rows (`array_agg` …) are never split, nor are plans
//! that call functions of the session, in SQL or in PL/pgSQL, whatever they are declared as. All columns of a row go from
//! a thread to another by reference, yet `parallel_tuple_cost` counts as in PostgreSQL.
//!
//! # Not done
//! Partial index scans; sorted grouping below a gather.

use std::sync::Arc;

use ochre_base::limits;
use ochre_expr::{AggregateKind, CastKind, Expr, Function, Implementation, Volatility};
use ochre_types::Datum;

use super::{PlannerSettings, cost};
use crate::physical::{
    AggregateCall, AggregatePlan, AggregateStage, AggregateStrategy, CommandKind, DistinctPlan, Estimate,
    GatherPlan, HashJoinPlan, PhysicalPlan, PlanNode, PlannedStatement, ScanSource, SortPlan, each_expr,
};

/// What a comparison costs while sorted streams are merged, in operator costs.
const MERGE_COMPARISON_COST: f64 = 2.0;
/// What a row of a merge costs more than one that is just handed on.
const MERGE_TUPLE_FACTOR: f64 = 1.05;
/// How much of the calling thread's time each helper takes, as PostgreSQL has it.
const LEADER_SHARE_BY_WORKER: f64 = 0.3;

/// Makes parts of a statement parallel where that pays.
pub(super) fn parallelise(statement: &mut PlannedStatement, settings: &PlannerSettings) {
    let may = settings.max_parallel_workers_per_gather > 0
        && statement.command == CommandKind::Select
        && statement.read_only;
    if !may {
        return;
    }
    let pass = Pass { settings };
    let improved = |plan: &mut Arc<PhysicalPlan>| {
        if pass.is_worth_a_look(plan) {
            *plan = pass.visit(plan).best;
        }
    };
    improved(&mut statement.plan);
    statement.ctes.iter_mut().filter(|cte| !cte.correlated).for_each(|cte| improved(&mut cte.plan));
    statement.subplans.iter_mut().filter(|subplan| subplan.run_once).for_each(|s| improved(&mut s.plan));
}

struct Pass<'a> {
    settings: &'a PlannerSettings,
}

/// The forms of a node.
struct Ways {
    best: Arc<PhysicalPlan>,
    partial: Option<Partial>,
}

/// A plan that gives a share of a node's rows; its estimate is that of one share.
#[derive(Clone)]
struct Partial {
    plan: Arc<PhysicalPlan>,
    workers: usize,
}

impl Pass<'_> {
    /// No gather pays in a plan that costs less than starting one.
    fn is_worth_a_look(&self, plan: &PhysicalPlan) -> bool {
        self.settings.force_parallel || plan.estimate.total_cost > self.settings.parallel_setup_cost
    }

    fn visit(&self, plan: &Arc<PhysicalPlan>) -> Ways {
        stacker::maybe_grow(limits::STACK_RED_ZONE_BYTES, limits::STACK_GROWTH_BYTES, || {
            self.visit_node(plan)
        })
    }

    fn visit_node(&self, plan: &Arc<PhysicalPlan>) -> Ways {
        let children: Vec<Ways> = plan
            .children()
            .into_iter()
            .enumerate()
            .map(|(i, child)| {
                if runs_once(plan, i) {
                    self.visit(child)
                } else {
                    Ways { best: Arc::clone(child), partial: None }
                }
            })
            .collect();
        let partial = self.partial(plan, &children);
        let mut best = self.with_best_children(plan, &children);
        let mut offer = |candidate: Option<PhysicalPlan>| {
            if let Some(candidate) = candidate
                && (self.settings.force_parallel || candidate.estimate.total_cost < best.estimate.total_cost)
            {
                best = Arc::new(candidate);
            }
        };
        offer(self.split_aggregate(plan, &children));
        offer(self.split_sort(plan, &children));
        offer(self.split_distinct(plan, &children));
        offer(partial.as_ref().map(|partial| self.gather(plan, partial)));
        Ways { best, partial }
    }

    /// The node over its inputs' best plans.
    fn with_best_children(&self, plan: &Arc<PhysicalPlan>, children: &[Ways]) -> Arc<PhysicalPlan> {
        let changed = plan.children().iter().zip(children).any(|(old, new)| !Arc::ptr_eq(old, &new.best));
        if !changed {
            return Arc::clone(plan);
        }
        let saved = |part: fn(&Estimate) -> f64| -> f64 {
            let pairs = plan.children().into_iter().zip(children);
            pairs.map(|(old, new)| part(&old.estimate) - part(&new.best.estimate)).sum()
        };
        let (total, startup) = (saved(|e| e.total_cost), saved(|e| e.startup_cost));
        let mut new = PhysicalPlan::clone(plan);
        for (child, ways) in new.children_mut().into_iter().zip(children) {
            *child = Arc::clone(&ways.best);
        }
        if let PlanNode::Limit(limit) = &mut new.node {
            // Few of the input's rows may be asked for.
            let old = plan.children()[0].estimate;
            let run = (old.total_cost - old.startup_cost).max(f64::MIN_POSITIVE);
            let share = ((plan.estimate.total_cost - old.startup_cost) / run).clamp(0.0, 1.0);
            let input = limit.input.estimate;
            let total = input.startup_cost + (input.total_cost - input.startup_cost) * share;
            if total >= plan.estimate.total_cost && !self.settings.force_parallel {
                return Arc::clone(plan);
            }
            let bound = (limit.ties.is_none())
                .then(|| bound_of(limit.limit.as_ref(), limit.offset.as_ref()))
                .flatten();
            bound_gather(&mut limit.input, bound.as_ref());
            new.estimate.total_cost = total;
            new.estimate.startup_cost = input.startup_cost.min(total);
            return Arc::new(new);
        }
        let estimate = &mut new.estimate;
        estimate.total_cost = (estimate.total_cost - total).max(0.0);
        estimate.startup_cost = (estimate.startup_cost - startup).clamp(0.0, estimate.total_cost);
        Arc::new(new)
    }

    /// By how much several threads divide the work.
    fn divisor(&self, workers: usize) -> f64 {
        let workers = workers as f64;
        let own = 1.0 - LEADER_SHARE_BY_WORKER * workers;
        let own = if self.settings.parallel_leader_participates { own.max(0.0) } else { 0.0 };
        workers + own
    }

    /// Threads for a table of so many pages: one more whenever it is three times as large.
    fn workers_for(&self, pages: f64) -> usize {
        let most = self.settings.max_parallel_workers_per_gather;
        if self.settings.force_parallel {
            return most;
        }
        let least = self.settings.min_parallel_table_scan_pages;
        if pages < least {
            return 0;
        }
        let mut workers = 1;
        let mut threshold = least.max(1.0) * 3.0;
        while pages >= threshold && workers < most {
            workers += 1;
            threshold *= 3.0;
        }
        workers.min(most)
    }

    /// The form of a node that gives a share of its rows.
    fn partial(&self, plan: &Arc<PhysicalPlan>, children: &[Ways]) -> Option<Partial> {
        match &plan.node {
            PlanNode::SeqScan(scan) if scan.sample.is_none() => self.partial_scan(plan, &scan.source),
            PlanNode::Filter(_) | PlanNode::Gate(_) | PlanNode::Project(_) if node_is_safe(plan) => {
                let input = children[0].partial.as_ref()?;
                let own = plan.estimate.total_cost - plan.children()[0].estimate.total_cost;
                Some(self.over(plan, &[&input.plan], input.workers, own))
            }
            PlanNode::Append(append) if append.merge.is_none() && node_is_safe(plan) => {
                let inputs: Vec<&Partial> =
                    children.iter().map(|ways| ways.partial.as_ref()).collect::<Option<_>>()?;
                let workers = inputs.iter().map(|input| input.workers).max()?;
                let plans: Vec<&Arc<PhysicalPlan>> = inputs.iter().map(|input| &input.plan).collect();
                Some(self.over(plan, &plans, workers, 0.0))
            }
            PlanNode::HashJoin(join) if node_is_safe(plan) => {
                let outer = children[0].partial.as_ref()?;
                let alone = self.partial_hash_join(plan, join, outer, &children[1].best, false);
                let inner = children[1].partial.as_ref().filter(|_| self.settings.enable_parallel_hash);
                let Some(inner) = inner else { return Some(alone) };
                let together = self.partial_hash_join(plan, join, outer, &inner.plan, true);
                let is_better = together.plan.estimate.total_cost < alone.plan.estimate.total_cost;
                Some(if is_better || self.settings.force_parallel { together } else { alone })
            }
            PlanNode::NestedLoop(join) if node_is_safe(plan) && is_replicable(&join.inner) => {
                let outer = children[0].partial.as_ref()?;
                let own = plan.estimate.total_cost - join.outer.estimate.total_cost;
                Some(self.over(plan, &[&outer.plan, &join.inner], outer.workers, own))
            }
            _ => None,
        }
    }

    /// A hash join of a share of the outer rows with all inner rows, of which each thread reads a share or the calling one
    /// reads all.
    fn partial_hash_join(
        &self,
        plan: &PhysicalPlan,
        join: &HashJoinPlan,
        outer: &Partial,
        inner: &Arc<PhysicalPlan>,
        shares_inner: bool,
    ) -> Partial {
        let work = plan.estimate.total_cost - join.outer.estimate.total_cost - join.inner.estimate.total_cost;
        let keys = join.inner_keys.len() as f64;
        let per_row = self.settings.cpu_operator_cost * keys + self.settings.cpu_tuple_cost;
        let probe = (work - per_row * join.inner.estimate.rows).max(0.0);
        let build = per_row * inner.estimate.rows;
        let mut partial = self.over(plan, &[&outer.plan, inner], outer.workers, probe);
        let new = Arc::make_mut(&mut partial.plan);
        new.estimate.total_cost += build;
        new.estimate.startup_cost = outer.plan.estimate.startup_cost + inner.estimate.total_cost + build;
        if let PlanNode::HashJoin(join) = &mut new.node {
            join.shared = true;
            join.shares_inner = shares_inner;
        }
        partial
    }

    fn partial_scan(&self, plan: &Arc<PhysicalPlan>, source: &ScanSource) -> Option<Partial> {
        let table = &source.table;
        let stored = table.file.is_some() && !table.builtin && table.sequence.is_none();
        let pages = f64::from(table.page_estimate.max(1));
        let workers = self.workers_for(pages);
        if !stored || workers == 0 || !source.filter.iter().all(is_safe) {
            return None;
        }
        let io = (pages * self.settings.seq_page_cost).min(plan.estimate.total_cost);
        let divisor = self.divisor(workers);
        let mut new = PhysicalPlan::clone(plan);
        new.estimate.total_cost = io + (plan.estimate.total_cost - io) / divisor;
        new.estimate.rows = share(plan.estimate.rows, divisor);
        if let PlanNode::SeqScan(scan) = &mut new.node {
            scan.parallel = true;
        }
        Some(Partial { plan: Arc::new(new), workers })
    }

    /// A node over partial inputs (and others), which adds `own` to their costs when one thread does everything.
    fn over(&self, plan: &PhysicalPlan, inputs: &[&Arc<PhysicalPlan>], workers: usize, own: f64) -> Partial {
        let divisor = self.divisor(workers);
        let mut new = plan.clone();
        for (child, input) in new.children_mut().into_iter().zip(inputs) {
            *child = Arc::clone(input);
        }
        let startup = inputs.first().map_or(0.0, |input| input.estimate.startup_cost);
        // The inner side of a nested loop is in `own`.
        let counted = if matches!(plan.node, PlanNode::NestedLoop(_)) { &inputs[..1] } else { inputs };
        let below: f64 = counted.iter().map(|input| input.estimate.total_cost).sum();
        new.estimate.startup_cost = startup;
        new.estimate.total_cost = below + own.max(0.0) / divisor;
        new.estimate.rows = share(plan.estimate.rows, divisor);
        Partial { plan: Arc::new(new), workers }
    }

    /// All rows of a partial plan.
    fn gather(&self, plan: &PhysicalPlan, partial: &Partial) -> PhysicalPlan {
        let input = partial.plan.estimate;
        let startup = input.startup_cost + self.settings.parallel_setup_cost;
        let run =
            input.total_cost - input.startup_cost + self.settings.parallel_tuple_cost * plan.estimate.rows;
        let estimate = Estimate { startup_cost: startup, total_cost: startup + run, ..plan.estimate };
        gather_of(partial, None, estimate)
    }

    /// Each thread groups its share, then the groups are joined.
    fn split_aggregate(&self, plan: &PhysicalPlan, children: &[Ways]) -> Option<PhysicalPlan> {
        let PlanNode::Aggregate(aggregate) = &plan.node else { return None };
        let hashes = matches!(aggregate.strategy, AggregateStrategy::Plain | AggregateStrategy::Hashed);
        let splits = hashes
            && aggregate.stage == AggregateStage::Complete
            && aggregate.keys.iter().all(is_safe)
            && aggregate.aggregates.iter().all(can_split);
        let input = children[0].partial.as_ref().filter(|_| splits)?;
        let settings = self.settings;
        let divisor = self.divisor(input.workers);
        let (keys, calls) = (aggregate.keys.len() as f64, aggregate.aggregates.len() as f64);
        let groups = plan.estimate.rows.max(1.0);
        let per_row = settings.cpu_operator_cost * (keys + calls);
        let finish = settings.cpu_tuple_cost * groups + settings.cpu_operator_cost * calls * groups;
        let groups_of_one = groups.min(input.plan.estimate.rows.max(1.0));
        let partial_total = input.plan.estimate.total_cost + per_row * input.plan.estimate.rows;
        // Rows of groups for which a thread has no room go to files, and one thread groups them all at the end.
        let spills = groups_of_one * f64::from(plan.estimate.width + 48) > settings.hash_mem_bytes;
        let again = if keys > 0.0 && spills {
            let rows = input.plan.estimate.rows * divisor;
            let pages = rows * f64::from(input.plan.estimate.width) / 8192.0;
            (per_row + settings.cpu_tuple_cost) * rows + 2.0 * pages * settings.seq_page_cost
        } else {
            0.0
        };
        let partial_plan = PhysicalPlan {
            node: PlanNode::Aggregate(AggregatePlan {
                input: Arc::clone(&input.plan),
                stage: AggregateStage::Partial,
                having: None,
                ..aggregate.clone()
            }),
            columns: plan.columns.clone(),
            estimate: Estimate {
                startup_cost: partial_total,
                total_cost: partial_total + settings.cpu_tuple_cost * groups_of_one,
                rows: groups_of_one,
                ..plan.estimate
            },
        };
        let partial = Partial { plan: Arc::new(partial_plan), workers: input.workers };
        let handed_on = groups_of_one * divisor;
        let gathered = self.gather(
            &PhysicalPlan { estimate: Estimate { rows: handed_on, ..plan.estimate }, ..plan.clone() },
            &partial,
        );
        let total = gathered.estimate.total_cost + per_row * handed_on + finish + again;
        let estimate = Estimate { startup_cost: total - finish, total_cost: total, ..plan.estimate };
        let node = PlanNode::Aggregate(AggregatePlan {
            input: Arc::new(gathered),
            stage: AggregateStage::Final,
            ..aggregate.clone()
        });
        Some(PhysicalPlan { node, columns: plan.columns.clone(), estimate })
    }

    /// Each thread sorts its share, then the shares are merged.
    fn split_sort(&self, plan: &PhysicalPlan, children: &[Ways]) -> Option<PhysicalPlan> {
        let PlanNode::Sort(sort) = &plan.node else { return None };
        let input = children[0].partial.as_ref()?;
        if !self.settings.enable_gathermerge || !node_is_safe(plan) {
            return None;
        }
        let settings = self.settings;
        let limit = sort.limit.as_ref().and_then(constant_rows);
        let mut estimate = cost::sort(settings, input.plan.estimate, limit);
        estimate.rows = limit.map_or(input.plan.estimate.rows, |limit| limit.min(input.plan.estimate.rows));
        let divisor = self.divisor(input.workers);
        let rows = (estimate.rows * divisor).max(1.0);
        let node = PlanNode::Sort(SortPlan { input: Arc::clone(&input.plan), presorted: 0, ..sort.clone() });
        let partial = Partial {
            plan: Arc::new(PhysicalPlan { node, columns: plan.columns.clone(), estimate }),
            workers: input.workers,
        };
        let streams = (input.workers + 1) as f64;
        let per_row = settings.cpu_operator_cost * (1.0 + MERGE_COMPARISON_COST * streams.log2())
            + settings.parallel_tuple_cost * MERGE_TUPLE_FACTOR;
        let startup = estimate.startup_cost + settings.parallel_setup_cost;
        let estimate = Estimate {
            startup_cost: startup,
            total_cost: startup + (estimate.total_cost - estimate.startup_cost) + per_row * rows,
            ..plan.estimate
        };
        Some(gather_of(&partial, Some(sort.keys.clone()), estimate))
    }

    /// Each thread finds what is distinct in its share, then what is distinct in all of that is found.
    fn split_distinct(&self, plan: &PhysicalPlan, children: &[Ways]) -> Option<PhysicalPlan> {
        let PlanNode::Distinct(_) = &plan.node else { return None };
        let input = children[0].partial.as_ref()?;
        let columns = plan.columns.len();
        let groups = plan.estimate.rows;
        let below = input.plan.estimate;
        let first = cost::aggregate(
            self.settings,
            below,
            columns,
            0,
            groups.min(below.rows).max(1.0),
            true,
            below.width,
        );
        let distinct = |input: PhysicalPlan, estimate: Estimate| PhysicalPlan {
            node: PlanNode::Distinct(DistinctPlan { input: Arc::new(input) }),
            columns: plan.columns.clone(),
            estimate,
        };
        let partial = Partial {
            plan: Arc::new(distinct(PhysicalPlan::clone(&input.plan), first)),
            workers: input.workers,
        };
        let rows = first.rows * self.divisor(input.workers);
        let whole = PhysicalPlan { estimate: Estimate { rows, ..plan.estimate }, ..plan.clone() };
        let gathered = self.gather(&whole, &partial);
        let second = cost::aggregate(self.settings, gathered.estimate, columns, 0, groups, true, below.width);
        Some(distinct(gathered, second))
    }
}

fn gather_of(
    partial: &Partial,
    merge: Option<Vec<crate::physical::SortKey>>,
    estimate: Estimate,
) -> PhysicalPlan {
    let columns = partial.plan.columns.clone();
    let node = GatherPlan { input: Arc::clone(&partial.plan), workers: partial.workers, merge, limit: None };
    PhysicalPlan { node: PlanNode::Gather(node), columns, estimate }
}

fn share(rows: f64, divisor: f64) -> f64 {
    (rows / divisor).max(1.0).round()
}

/// Whether input `index` of a node is read once when the node runs once (PP2).
fn runs_once(plan: &PhysicalPlan, index: usize) -> bool {
    match &plan.node {
        PlanNode::NestedLoop(join) => {
            index == 0 || join.parameters.is_empty() && matches!(join.inner.node, PlanNode::Materialize(_))
        }
        PlanNode::RecursiveUnion(_) => false,
        _ => true,
    }
}

/// Whether an aggregate's states can be made from shares of the rows, and nobody sees in which order they were joined.
fn can_split(call: &AggregateCall) -> bool {
    let shows_order = |name: &str| {
        matches!(name, "array_agg" | "string_agg" | "any_value")
            || name.starts_with("json")
            || name.starts_with("xml")
    };
    let function = &call.function.function;
    call.function.kind == AggregateKind::Normal
        && call.function.has_combine()
        && function.parallel == b's'
        && !shows_order(&function.name)
        && !call.distinct
        && call.order_by.is_empty()
        && call.args.iter().chain(&call.filter).all(is_safe)
}

/// Whether any thread may evaluate an expression (PP1).
fn is_safe(expr: &Expr) -> bool {
    !expr.any(|node| match node {
        Expr::SubPlan { .. } => true,
        Expr::Call { function, .. } | Expr::ScalarArrayOp { function, .. } => !function_is_safe(function),
        Expr::IsDistinct { equal, .. } | Expr::NullIf { equal, .. } => !function_is_safe(equal),
        Expr::RowCompare { functions, .. } => !functions.iter().all(|function| function_is_safe(function)),
        Expr::Cast { kind, .. } => !cast_is_safe(kind),
        _ => false,
    })
}

fn function_is_safe(function: &Function) -> bool {
    function.parallel == b's'
        && function.volatility != Volatility::Volatile
        && matches!(function.implementation, Implementation::Row(_) | Implementation::Batch { .. })
}

fn cast_is_safe(kind: &CastKind) -> bool {
    match kind {
        CastKind::Relabel | CastKind::Io | CastKind::Typmod { .. } => true,
        CastKind::Function { function, .. } => function_is_safe(function),
        CastKind::Array { kind, .. } => cast_is_safe(kind),
        CastKind::Record { fields } => fields.iter().all(|(kind, _)| cast_is_safe(kind)),
    }
}

fn node_is_safe(plan: &PhysicalPlan) -> bool {
    let mut safe = true;
    each_expr(plan, &mut |expr| safe &= is_safe(expr));
    safe
}

/// Whether each thread may run a plan for itself and get all of its rows (PP1).
fn is_replicable(plan: &PhysicalPlan) -> bool {
    let known = match &plan.node {
        PlanNode::SeqScan(scan) => scan.sample.is_none() && is_stored(&scan.source),
        PlanNode::IndexScan(scan) => is_stored(&scan.source),
        PlanNode::BitmapScan(scan) => is_stored(&scan.source),
        PlanNode::Result(_)
        | PlanNode::Values(_)
        | PlanNode::Filter(_)
        | PlanNode::Gate(_)
        | PlanNode::Project(_)
        | PlanNode::NestedLoop(_)
        | PlanNode::HashJoin(_)
        | PlanNode::Materialize(_)
        | PlanNode::Memoize(_)
        | PlanNode::Limit(_)
        | PlanNode::Append(_) => true,
        _ => false,
    };
    known && node_is_safe(plan) && plan.children().into_iter().all(|child| is_replicable(child))
}

fn is_stored(source: &ScanSource) -> bool {
    source.table.file.is_some() && !source.table.builtin && source.table.sequence.is_none()
}

fn constant_rows(limit: &Expr) -> Option<f64> {
    match limit {
        Expr::Constant { value, .. } => value.as_i64().map(|rows| rows.max(0) as f64),
        _ => Some(100.0),
    }
}

/// How many rows LIMIT and OFFSET read, where that is known before the statement runs.
fn bound_of(limit: Option<&Expr>, offset: Option<&Expr>) -> Option<Expr> {
    match (limit, offset) {
        (Some(limit), None) => Some(limit.clone()),
        (Some(Expr::Constant { value, ty }), Some(Expr::Constant { value: skip, .. })) => {
            let sum = value.as_i64()?.max(0).checked_add(skip.as_i64()?.max(0))?;
            Some(Expr::Constant { value: Datum::Int64(sum), ty: *ty })
        }
        _ => None,
    }
}

/// Tells a gather right below a limit (or below a projection) how many rows will be read.
fn bound_gather(plan: &mut Arc<PhysicalPlan>, bound: Option<&Expr>) {
    let Some(bound) = bound else { return };
    match &mut Arc::make_mut(plan).node {
        PlanNode::Gather(gather) => gather.limit = Some(bound.clone()),
        PlanNode::Project(project) => bound_gather(&mut project.input, Some(bound)),
        _ => {}
    }
}
