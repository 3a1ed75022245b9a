//! Makes operators from plan nodes.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use ochre_base::{Error, Result, SqlState, limits};
use ochre_sql::physical::{
    AggregatePlan, AggregateStage, GatherPlan, HashJoinPlan, PhysicalPlan, PlanNode, PlannedStatement,
    ScanSource,
};
use ochre_types::{PhysicalType, SqlType};

use crate::dependencies::Dependencies;
use crate::explain::{Instrumentation, Instrumented, WorkerNote};
use crate::modify::delete::Delete;
use crate::modify::insert::Insert;
use crate::modify::lock_rows::LockRows;
use crate::modify::merge::Merge;
use crate::modify::merge_set::SetMerge;
use crate::modify::relation_set::ModifySet;
use crate::modify::routed_insert::RoutedInsert;
use crate::modify::update::Update;
use crate::operator::{BoxOperator, Nothing};
use crate::operators::aggregate::{Aggregate, AggregateSpec, Part};
use crate::operators::append::Append;
use crate::operators::bitmap_scan::BitmapScan;
use crate::operators::cte_scan::{CteScan, WorkTableScan};
use crate::operators::distinct::Distinct;
use crate::operators::filter::Filter;
use crate::operators::function_scan::FunctionScan;
use crate::operators::gate::Gate;
use crate::operators::gather::{Gather, Shares};
use crate::operators::hash_join::{HashJoin, HashJoinSpec, SharedBuild};
use crate::operators::incremental_sort::IncrementalSort;
use crate::operators::index_scan::IndexScan;
use crate::operators::limit::Limit;
use crate::operators::materialize::Materialize;
use crate::operators::memoize::Memoize;
use crate::operators::merge_append::MergeAppend;
use crate::operators::merge_join::{MergeJoin, MergeJoinSpec};
use crate::operators::min_max_index::MinMaxIndex;
use crate::operators::nested_loop::{NestedLoop, NestedLoopSpec};
use crate::operators::project::Project;
use crate::operators::project_set::ProjectSet;
use crate::operators::recursive_union::RecursiveUnion;
use crate::operators::result::{ResultRow, Values};
use crate::operators::seq_scan::SeqScan;
use crate::operators::set_op::SetOp;
use crate::operators::sort::Sort;
use crate::operators::tid_scan::TidScan;
use crate::operators::unique::Unique;
use crate::operators::window::{Window, WindowSpec};
use crate::parallel::{Control, SharedGroups, SharedScan};
use crate::relation::{RelationSource, TableAccess};
use crate::run_state::RunState;

/// Makes the operators of one execution.
#[derive(Clone)]
pub struct Builder<'a> {
    /// The whole statement.
    statement: &'a Arc<PlannedStatement>,
    /// Opens tables and indexes.
    relations: &'a dyn RelationSource,
    /// Counts rows and time, for EXPLAIN ANALYZE.
    instrumentation: Option<Arc<Instrumentation>>,
    /// Below a gather: what its pipelines share, and whether this one is the calling thread's.
    pipeline: Option<(&'a Pipelines, bool)>,
    /// Between the two parts of an aggregation that several threads do: where the groups go.
    groups: Option<&'a Arc<SharedGroups>>,
}

/// What the pipelines of a gather share, by plan node.
struct Pipelines {
    control: Arc<Control>,
    threads: usize,
    scans: RefCell<HashMap<usize, Arc<SharedScan>>>,
    builds: RefCell<HashMap<usize, Arc<SharedBuild>>>,
    groups: Option<Arc<SharedGroups>>,
}

impl Pipelines {
    fn scan(&self, plan: &PhysicalPlan) -> Arc<SharedScan> {
        let mut scans = self.scans.borrow_mut();
        let scan = scans.entry(std::ptr::from_ref(plan).addr());
        Arc::clone(scan.or_insert_with(|| Arc::new(SharedScan::new(&self.control, self.threads))))
    }

    fn build(&self, plan: &PhysicalPlan) -> Arc<SharedBuild> {
        let mut builds = self.builds.borrow_mut();
        let build = builds.entry(std::ptr::from_ref(plan).addr());
        Arc::clone(build.or_insert_with(|| Arc::new(SharedBuild::new(&self.control, self.threads))))
    }
}

impl<'a> Builder<'a> {
    /// A builder of a statement's operators.
    pub fn new(
        statement: &'a Arc<PlannedStatement>,
        relations: &'a dyn RelationSource,
        instrumentation: Option<Arc<Instrumentation>>,
    ) -> Builder<'a> {
        Builder { statement, relations, instrumentation, pipeline: None, groups: None }
    }

    /// The operator of a node, with those of its inputs.
    ///
    /// # Errors
    /// 0A000 for nodes that are not implemented; what opening relations fails with.
    pub fn build(&self, plan: &Arc<PhysicalPlan>) -> Result<BoxOperator> {
        let operator = stacker::maybe_grow(limits::STACK_RED_ZONE_BYTES, limits::STACK_GROWTH_BYTES, || {
            self.build_node(plan)
        })?;
        Ok(match &self.instrumentation {
            Some(instrumentation) => Box::new(Instrumented::new(operator, plan, instrumentation)),
            None => operator,
        })
    }

    fn is_root(&self, plan: &Arc<PhysicalPlan>) -> bool {
        Arc::ptr_eq(plan, &self.statement.plan)
    }

    /// Whether a node computes the rows that the client gets, not rows that others work on.
    fn is_top(&self, plan: &Arc<PhysicalPlan>) -> bool {
        let mut top = &self.statement.plan;
        loop {
            if Arc::ptr_eq(plan, top) {
                return true;
            }
            top = match &top.node {
                PlanNode::Limit(node) => &node.input,
                PlanNode::Project(node) => &node.input,
                PlanNode::Gate(node) => &node.input,
                // It asks for one row at a time where routines compute them.
                PlanNode::Insert(node) => &node.source,
                _ => return false,
            };
        }
    }

    /// A relation that is read.
    ///
    /// # Errors
    /// 55000 for a materialized view that has no data; what opening it fails with.
    fn scanned(&self, source: &ScanSource) -> Result<Arc<TableAccess>> {
        if !source.table.populated {
            let name = &source.table.name;
            return Err(Error::new(
                SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
                format!("materialized view \"{name}\" has not been populated"),
            )
            .hint("Use the REFRESH MATERIALIZED VIEW command."));
        }
        self.relations.table(&source.table)
    }

    fn build_node(&self, plan: &Arc<PhysicalPlan>) -> Result<BoxOperator> {
        Ok(match &plan.node {
            PlanNode::Result(node) => Box::new(ResultRow::new(node.exprs.clone(), node.condition.clone())),
            PlanNode::Values(node) => Box::new(Values::new(node.rows.clone(), physical_types(plan))),
            PlanNode::SeqScan(node) => {
                let table = self.scanned(&node.source)?;
                let scan = SeqScan::new(table, node, plan);
                match self.pipeline {
                    Some((pipelines, _)) if node.parallel => Box::new(scan.sharing(pipelines.scan(plan))),
                    _ => Box::new(scan),
                }
            }
            PlanNode::Gather(node) => Box::new(self.build_gather(plan, node)?),
            PlanNode::IndexScan(node) => {
                let table = self.scanned(&node.source)?;
                Box::new(IndexScan::new(table, node, plan)?)
            }
            PlanNode::BitmapScan(node) => {
                let table = self.scanned(&node.source)?;
                Box::new(BitmapScan::new(table, node, plan))
            }
            PlanNode::TidScan(node) => {
                let table = self.scanned(&node.source)?;
                Box::new(TidScan::new(table, node, plan))
            }
            PlanNode::MinMaxIndex(node) => {
                let table = self.scanned(&node.scan.source)?;
                let scan = IndexScan::new(table, &node.scan, plan)?;
                Box::new(MinMaxIndex::new(scan, plan.columns[0].ty.physical))
            }
            PlanNode::FunctionScan(node) => Box::new(FunctionScan::new(
                node.functions.clone(),
                node.ordinality,
                node.filter.clone(),
                sql_types(plan),
            )),
            PlanNode::CteScan(node) => {
                Box::new(CteScan::new(node.cte, node.columns.clone(), node.filter.clone()))
            }
            PlanNode::WorkTableScan(node) => {
                Box::new(WorkTableScan::new(node.work_table, node.columns.clone(), node.filter.clone()))
            }
            PlanNode::Filter(node) => Box::new(Filter::new(self.build(&node.input)?, node.predicate.clone())),
            PlanNode::Gate(node) => Box::new(Gate::new(self.build(&node.input)?, node.condition.clone())),
            PlanNode::Project(node) => {
                Box::new(Project::new(self.build(&node.input)?, node.exprs.clone(), self.is_top(plan)))
            }
            PlanNode::ProjectSet(node) => {
                Box::new(ProjectSet::new(self.build(&node.input)?, node.items.clone(), physical_types(plan)))
            }
            PlanNode::NestedLoop(node) => Box::new(NestedLoop::new(
                self.build(&node.outer)?,
                self.build(&node.inner)?,
                NestedLoopSpec {
                    join: node.join,
                    parameters: node.parameters.clone(),
                    condition: node.condition.clone(),
                    filter: node.filter.clone(),
                    inner_unique: node.inner_unique,
                    inner_types: physical_types(&node.inner),
                    output_types: physical_types(plan),
                },
            )),
            PlanNode::HashJoin(node) => Box::new(self.build_hash_join(plan, node)?),
            PlanNode::MergeJoin(node) => Box::new(MergeJoin::new(
                self.build(&node.outer)?,
                self.build(&node.inner)?,
                MergeJoinSpec {
                    join: node.join,
                    outer_keys: node.outer_keys.clone(),
                    inner_keys: node.inner_keys.clone(),
                    order: node.order.clone(),
                    residual: node.residual.clone(),
                    filter: node.filter.clone(),
                    outer_types: physical_types(&node.outer),
                    inner_types: physical_types(&node.inner),
                },
            )),
            PlanNode::Materialize(node) => Box::new(Materialize::new(
                self.build(&node.input)?,
                physical_types(plan).into(),
                Dependencies::of(&node.input, self.statement),
            )),
            PlanNode::Memoize(node) => Box::new(Memoize::new(
                self.build(&node.input)?,
                Dependencies::from_outside(&node.input, self.statement),
                node.single_row,
            )),
            PlanNode::Sort(node) if node.presorted > 0 => Box::new(IncrementalSort::new(
                self.build(&node.input)?,
                physical_types(plan),
                node.keys.clone(),
                node.presorted,
                node.limit.clone(),
            )),
            PlanNode::Sort(node) => Box::new(Sort::new(
                self.build(&node.input)?,
                physical_types(plan),
                node.keys.clone(),
                node.limit.clone(),
                Dependencies::of(&node.input, self.statement),
            )),
            PlanNode::Limit(node) => Box::new(Limit::new(
                self.build(&node.input)?,
                node.limit.clone(),
                node.offset.clone(),
                node.ties.clone(),
            )),
            PlanNode::Aggregate(node) => Box::new(self.build_aggregate(node)?),
            PlanNode::Distinct(node) => Box::new(Distinct::new(self.build(&node.input)?, &sql_types(plan))),
            PlanNode::Unique(node) => {
                let keys = node.keys.iter().map(|index| (*index, plan.columns[*index].ty.order())).collect();
                Box::new(Unique::new(self.build(&node.input)?, keys))
            }
            PlanNode::SetOp(node) => Box::new(SetOp::new(
                node.kind,
                self.build(&node.left)?,
                self.build(&node.right)?,
                &sql_types(plan),
            )),
            PlanNode::Append(node) => {
                let inputs: Vec<BoxOperator> =
                    node.inputs.iter().map(|input| self.build(input)).collect::<Result<_>>()?;
                match &node.merge {
                    Some(keys) => Box::new(MergeAppend::new(inputs, &node.guards, keys)),
                    None => Box::new(Append::new(inputs, node.guards.clone())),
                }
            }
            PlanNode::RecursiveUnion(node) => Box::new(RecursiveUnion::new(
                self.build(&node.initial)?,
                self.build(&node.recursive)?,
                node.work_table,
                node.distinct,
                &sql_types(plan),
            )),
            PlanNode::LockRows(node) => {
                let one_by_one = may_stop_early(self.statement);
                Box::new(LockRows::new(node, self.build(&node.input)?, self.relations, one_by_one)?)
            }
            PlanNode::Insert(node) => {
                let source = self.build(&node.source)?;
                match &node.routing {
                    Some(routing) => Box::new(RoutedInsert::new(node, routing, source, self.is_root(plan))),
                    None => Box::new(Insert::new(node, source, self.relations, self.is_root(plan))?),
                }
            }
            PlanNode::Update(node) => {
                let source = self.build(&node.source)?;
                Box::new(Update::new(node, source, self.relations, self.is_root(plan))?)
            }
            PlanNode::Delete(node) => {
                let source = self.build(&node.source)?;
                Box::new(Delete::new(node, source, self.relations, self.is_root(plan))?)
            }
            PlanNode::Merge(node) => {
                let source = self.build(&node.source)?;
                if let Some(set) = &node.set {
                    return Ok(Box::new(SetMerge::new(node, set, source, self.is_root(plan))));
                }
                Box::new(Merge::new(node, source, self.relations, self.is_root(plan))?)
            }
            PlanNode::ModifySet(node) => {
                let source = self.build(&node.source)?;
                Box::new(ModifySet::new(node, source, self.is_root(plan)))
            }
            PlanNode::Window(node) => Box::new(Window::new(
                self.build(&node.input)?,
                WindowSpec {
                    partition: node.partition.clone(),
                    order: node.order.clone(),
                    frame: node.frame.clone(),
                    calls: node.calls.clone(),
                    run: node.run.clone(),
                    input_types: physical_types(&node.input),
                },
            )?),
        })
    }

    fn build_hash_join(&self, plan: &Arc<PhysicalPlan>, node: &HashJoinPlan) -> Result<HashJoin> {
        let shared = self.pipeline.filter(|_| node.shared);
        let outer = self.build(&node.outer)?;
        let inner = match shared {
            // The calling thread reads it.
            Some((_, false)) if !node.shares_inner => Box::new(Nothing),
            _ => self.build(&node.inner)?,
        };
        let join = HashJoin::new(
            outer,
            inner,
            HashJoinSpec {
                join: node.join,
                outer_keys: node.outer_keys.clone(),
                inner_keys: node.inner_keys.clone(),
                null_safe: node.null_safe.clone(),
                residual: node.residual.clone(),
                output: node.output.clone(),
                inner_unique: node.inner_unique,
                null_aware_mark: node.null_aware_mark,
                outer_types: physical_types(&node.outer).into(),
                inner_types: physical_types(&node.inner).into(),
                inner_dependencies: Dependencies::of(&node.inner, self.statement),
            },
        );
        Ok(match shared {
            Some((pipelines, _)) => join.sharing(pipelines.build(plan), node.shares_inner),
            None => join,
        })
    }

    fn build_aggregate(&self, node: &AggregatePlan) -> Result<Aggregate> {
        let missing = || Error::internal("a part of an aggregation stands alone");
        let (input, part) = match node.stage {
            AggregateStage::Complete => (self.build(&node.input)?, Part::Complete),
            AggregateStage::Partial => {
                let groups = self.pipeline.and_then(|(pipelines, _)| pipelines.groups.clone());
                (self.build(&node.input)?, Part::Partial(groups.ok_or_else(missing)?))
            }
            AggregateStage::Final => {
                let groups = Arc::default();
                let input = Builder { groups: Some(&groups), ..self.clone() }.build(&node.input)?;
                (input, Part::Final(groups))
            }
        };
        Aggregate::new(
            input,
            AggregateSpec {
                strategy: node.strategy,
                keys: node.keys.clone(),
                aggregates: node.aggregates.clone(),
                grouping_sets: node.grouping_sets.clone(),
                having: node.having.clone(),
                telling: node.telling.clone(),
                input_types: physical_types(node.source()).into(),
                part,
            },
        )
    }

    /// Operators for the calling thread and for each helper.
    fn build_gather(&self, plan: &Arc<PhysicalPlan>, node: &GatherPlan) -> Result<Gather> {
        let pipelines = Pipelines {
            control: Arc::default(),
            threads: node.workers + 1,
            scans: RefCell::default(),
            builds: RefCell::default(),
            groups: self.groups.cloned(),
        };
        let build = |is_leader| {
            let builder = Builder { pipeline: Some((&pipelines, is_leader)), groups: None, ..self.clone() };
            builder.build(&node.input)
        };
        let leader = build(true)?;
        let mut helpers = Vec::with_capacity(node.workers);
        for _ in 0..node.workers {
            helpers.push((build(false)?, RunState::for_helper(self.statement)));
        }
        let note = self.instrumentation.as_ref().map(|counters| WorkerNote::new(plan, counters));
        let shares = Shares {
            scans: pipelines.scans.into_inner().into_values().collect(),
            builds: pipelines.builds.into_inner().into_values().collect(),
        };
        let merge = node.merge.as_deref();
        Ok(Gather::new(leader, helpers, shares, pipelines.control, merge, node.limit.clone(), note))
    }
}

/// The physical types of a node's columns.
pub fn physical_types(plan: &PhysicalPlan) -> Vec<PhysicalType> {
    plan.columns.iter().map(|column| column.ty.physical).collect()
}

/// The types of a node's columns.
pub fn sql_types(plan: &PhysicalPlan) -> Vec<SqlType> {
    plan.columns.iter().map(|column| column.ty).collect()
}

/// Whether a part of a statement may be left before its last row.
fn may_stop_early(statement: &PlannedStatement) -> bool {
    fn has_limit(plan: &PhysicalPlan) -> bool {
        stacker::maybe_grow(limits::STACK_RED_ZONE_BYTES, limits::STACK_GROWTH_BYTES, || {
            matches!(plan.node, PlanNode::Limit(_))
                || plan.children().into_iter().any(|child| has_limit(child))
        })
    }
    !statement.subplans.is_empty()
        || has_limit(&statement.plan)
        || statement.ctes.iter().any(|cte| has_limit(&cte.plan))
}
