//! The logical optimizer: rules that rewrite a plan into an equal, cheaper one. Each has a name and can be switched off by
//! it; they run in the order of [`RULES`].

mod anti_joins;
mod contradictions;
mod correlated;
mod eliminate_joins;
mod fold;
mod inline_ctes;
mod laterals;
mod mark_joins;
mod min_max;
mod never_fails;
mod not_null;
mod or_lists;
mod or_restrictions;
mod outer_join;
mod prune_projections;
mod pushdown;
mod run_conditions;
mod self_joins;
mod semi_joins;
mod sub_plans;
mod transitive;
mod uniqueness;
mod unnest;
mod unnest_aggregates;
mod unnest_scalars;

use ochre_base::Result;
use ochre_expr::{EvalContext, Expr, SessionContext};
use ochre_types::Datum;

use crate::idset::IdSet;
use crate::logical::{Logical, LogicalBody, LogicalStatement, Query, Subquery};
use crate::plan::PlannerSettings;
use crate::walk::{Parts, each_expr_mut, each_node_mut, produced};

pub(crate) use or_restrictions::or_restriction;

/// Folds what is constant in an expression.
pub(crate) fn fold_expr(expr: &mut Expr, session: &dyn SessionContext) {
    fold::fold(expr, &EvalContext::new(session));
}

/// A rule: its name and what it does to a statement.
pub struct Rule {
    /// The name by which it is switched off.
    pub name: &'static str,
    apply: fn(&mut LogicalStatement, &RuleContext<'_>) -> Result<()>,
}

/// What rules know beside the statement.
#[derive(Clone, Copy)]
pub(crate) struct RuleContext<'a> {
    pub session: &'a dyn SessionContext,
    pub settings: &'a PlannerSettings,
}

/// The rule that decides, too, which rows of outer joins may be locked (`PlanBuilder::check_locks`): statements with row locks
/// have it in any case.
const SIMPLIFY_OUTER_JOINS: &str = "simplify_outer_joins";

/// The rules in the order in which they run.
pub const RULES: &[Rule] = &[
    Rule { name: "fold_constants", apply: fold::apply },
    Rule { name: "lists_from_or", apply: or_lists::apply },
    Rule { name: "restrict_by_or", apply: or_restrictions::apply },
    Rule { name: "inline_with_entries", apply: inline_ctes::apply },
    Rule { name: "unnest_subqueries", apply: unnest::apply },
    Rule { name: "pull_up_laterals", apply: laterals::pull_up },
    Rule { name: "unnest_laterals", apply: laterals::unnest },
    Rule { name: "unnest_scalars", apply: unnest_scalars::apply },
    Rule { name: "unnest_aggregates", apply: unnest_aggregates::apply },
    Rule { name: "mark_joins", apply: mark_joins::apply },
    Rule { name: "semi_to_inner_joins", apply: semi_joins::apply },
    Rule { name: SIMPLIFY_OUTER_JOINS, apply: outer_join::apply },
    Rule { name: "anti_joins_from_outer", apply: anti_joins::apply },
    Rule { name: "prune_projections", apply: prune_projections::apply },
    Rule { name: "eliminate_joins", apply: eliminate_joins::apply },
    Rule { name: "eliminate_self_joins", apply: self_joins::apply },
    Rule { name: "derive_equalities", apply: transitive::apply },
    Rule { name: "push_down_predicates", apply: pushdown::apply },
    Rule { name: "window_run_conditions", apply: run_conditions::apply },
    Rule { name: "find_contradictions", apply: contradictions::apply },
    Rule { name: "min_max_by_index", apply: min_max::apply },
];

/// Runs every rule that is not switched off; says which of them changed the statement, if the settings ask for that.
///
/// # Errors
/// Internal ones.
pub fn optimize(
    statement: &mut LogicalStatement,
    session: &dyn SessionContext,
    settings: &PlannerSettings,
) -> Result<Vec<&'static str>> {
    // What a rule did is found by comparing: only whoever asks pays for it, and no rule can forget to tell.
    let text = |statement: &LogicalStatement| match settings.trace_rules {
        true => format!("{:?}", (&statement.body, &statement.subqueries, &statement.ctes)),
        false => String::new(),
    };
    let context = RuleContext { session, settings };
    let mut changed = Vec::new();
    let mut before = text(statement);
    for rule in RULES {
        let disabled = settings.disabled_rules.iter().any(|name| name == rule.name);
        if disabled && !(rule.name == SIMPLIFY_OUTER_JOINS && has_locks(statement)?) {
            continue;
        }
        (rule.apply)(statement, &context)?;
        let after = text(statement);
        if after != before {
            changed.push(rule.name);
            before = after;
        }
    }
    Ok(changed)
}

fn has_locks(statement: &mut LogicalStatement) -> Result<bool> {
    let mut found = false;
    each_root(statement, &mut |plan, _| {
        found |= crate::walk::contains_locks(plan);
        Ok(())
    })?;
    Ok(found)
}

/// Calls `change` with the root of every query of the statement: the main one, those of WITH, those in expressions.
pub(crate) fn each_root(
    statement: &mut LogicalStatement,
    change: &mut dyn FnMut(&mut Logical, &mut Roots<'_>) -> Result<()>,
) -> Result<()> {
    let LogicalStatement { body, tables, subqueries, ctes, .. } = statement;
    let mut roots = Roots { tables };
    let mut visit_body = |body: &mut LogicalBody, roots: &mut Roots<'_>| match body {
        LogicalBody::Query(query) => change(&mut query.plan, roots),
        LogicalBody::Modify(modify) => change(&mut modify.source.plan, roots),
    };
    for cte in ctes.iter_mut() {
        visit_body(&mut cte.body, &mut roots)?;
    }
    visit_body(body, &mut roots)?;
    for subquery in subqueries {
        change(&mut subquery.query.plan, &mut roots)?;
    }
    Ok(())
}

/// Calls `change` with every expression that is a part of a change of rows, and of no plan.
fn each_modify_expr(statement: &mut LogicalStatement, change: &mut dyn FnMut(&mut Expr)) {
    let bodies = statement.ctes.iter_mut().map(|cte| &mut cte.body).chain([&mut statement.body]);
    for body in bodies {
        let LogicalBody::Modify(modify) = body else { continue };
        modify.assignments.iter_mut().for_each(|(_, value)| change(value));
        modify.predicates.iter_mut().for_each(&mut *change);
        modify.returning.iter_mut().flatten().for_each(|(expr, _)| change(expr));
        let actions = modify.merge.iter_mut().flat_map(|merge| &mut merge.actions);
        actions.flat_map(|action| action.exprs_mut()).for_each(&mut *change);
        let update = modify.on_conflict.as_mut().and_then(|conflict| conflict.update.as_mut());
        if let Some((assignments, filter)) = update {
            assignments.iter_mut().for_each(|(_, value)| change(value));
            filter.iter_mut().for_each(&mut *change);
        }
    }
}

/// Calls `change` with the root of every query of the statement, the ids that are read of it, and the rest of the statement.
pub(crate) fn each_query(
    statement: &mut LogicalStatement,
    change: &mut dyn FnMut(&mut Logical, &IdSet, Parts<'_>),
) {
    each_plan(statement, &mut |statement, plan, place| {
        let LogicalStatement { tables, subqueries, ctes, .. } = statement;
        // A row to be changed is looked at again, with all that is known of it.
        let required = place.output.unwrap_or_else(|| produced(plan, tables));
        change(plan, &required, Parts { tables, subqueries, ctes });
    });
}

/// Where a query of a statement stands.
pub(crate) struct Place {
    /// Its frame.
    pub frame: usize,
    /// The ids that are read of it; none for the rows that a statement changes.
    pub output: Option<IdSet>,
}

/// Calls `change` with the root of every query of the statement, which the rest of the statement does not have meanwhile: first
/// with subqueries, inner ones before those around them, then with those of WITH, last with the main query.
pub(crate) fn each_plan(
    statement: &mut LogicalStatement,
    change: &mut dyn FnMut(&mut LogicalStatement, &mut Logical, Place),
) {
    fn body(statement: &mut LogicalStatement, index: usize) -> &mut LogicalBody {
        match statement.ctes.get_mut(index) {
            Some(cte) => &mut cte.body,
            None => &mut statement.body,
        }
    }
    fn root(body: &mut LogicalBody) -> &mut Logical {
        match body {
            LogicalBody::Query(query) => &mut query.plan,
            LogicalBody::Modify(modify) => &mut modify.source.plan,
        }
    }
    let nothing = || Logical::Dummy { row: false };
    let read = |query: &Query| IdSet::of(query.output.iter().map(|(id, _)| *id));
    // A subquery's own subqueries have lower numbers.
    for index in 0..statement.subqueries.len() {
        let Subquery { query, frame, .. } = &mut statement.subqueries[index];
        let place = Place { frame: *frame, output: Some(read(query)) };
        let mut plan = std::mem::replace(&mut query.plan, nothing());
        change(statement, &mut plan, place);
        statement.subqueries[index].query.plan = plan;
    }
    for index in 0..=statement.ctes.len() {
        let frame = statement.ctes.get(index).map_or(0, |cte| cte.frame);
        let body_of = body(statement, index);
        let output = match body_of {
            LogicalBody::Query(query) => Some(read(query)),
            LogicalBody::Modify(_) => None,
        };
        let mut plan = std::mem::replace(root(body_of), nothing());
        change(statement, &mut plan, Place { frame, output });
        *root(body(statement, index)) = plan;
    }
}

/// Puts the values of parameters in the places of the parameters, for a plan that serves these values alone.
///
/// # Errors
/// Internal ones.
pub(crate) fn put_values(statement: &mut LogicalStatement, values: &[Datum]) -> Result<()> {
    let mut put = |expr: &mut Expr| {
        expr.transform_in_place(&mut |node| match node {
            Expr::Parameter { index, ty } if index < values.len() => {
                Expr::Constant { value: values[index].clone(), ty }
            }
            other => other,
        });
    };
    each_modify_expr(statement, &mut put);
    each_root(statement, &mut |plan, _| {
        each_node_mut(plan, &mut |node| each_expr_mut(node, &mut put));
        Ok(())
    })
}

/// What a rule may need besides the plan.
pub(crate) struct Roots<'a> {
    pub tables: &'a [crate::logical::TableUse],
}
