//! The logical optimizer: rules that rewrite a plan into an equal, cheaper one. Each has a name and can be switched off by
//! it; they run in the order of [`RULES`].

mod fold;
mod inline_ctes;
mod min_max;
mod or_lists;
mod or_restrictions;
mod outer_join;
mod pushdown;
mod semi_joins;
mod transitive;
mod unnest;
mod unnest_aggregates;

use ochre_base::Result;
use ochre_expr::{EvalContext, Expr, SessionContext};

use crate::logical::{Logical, LogicalBody, LogicalStatement};
use crate::plan::PlannerSettings;

pub(crate) use or_restrictions::or_restriction;

/// Folds what is constant in an expression.
pub(crate) fn fold_expr(expr: &mut Expr, session: &dyn SessionContext) {
    fold::fold(expr, &EvalContext::new(session));
}

/// A rule: its name and what it does to a statement.
pub struct Rule {
    /// The name by which it is switched off.
    pub name: &'static str,
    apply: fn(&mut LogicalStatement, &dyn SessionContext) -> Result<()>,
}

/// The rule whose result the planner compares with the plan without it.
pub(crate) const UNNEST_AGGREGATES: &str = "unnest_aggregates";

/// The rules in the order in which they run.
pub const RULES: &[Rule] = &[
    Rule { name: "fold_constants", apply: fold::apply },
    Rule { name: "lists_from_or", apply: or_lists::apply },
    Rule { name: "restrict_by_or", apply: or_restrictions::apply },
    Rule { name: "inline_with_entries", apply: inline_ctes::apply },
    Rule { name: "unnest_subqueries", apply: unnest::apply },
    Rule { name: UNNEST_AGGREGATES, apply: unnest_aggregates::apply },
    Rule { name: "semi_to_inner_joins", apply: semi_joins::apply },
    Rule { name: "simplify_outer_joins", apply: outer_join::apply },
    Rule { name: "derive_equalities", apply: transitive::apply },
    Rule { name: "push_down_predicates", apply: pushdown::apply },
    Rule { name: "min_max_by_index", apply: min_max::apply },
];

/// Runs every rule that is not switched off.
///
/// # Errors
/// Internal ones.
pub fn optimize(
    statement: &mut LogicalStatement,
    session: &dyn SessionContext,
    settings: &PlannerSettings,
) -> Result<()> {
    for rule in RULES {
        if !settings.disabled_rules.iter().any(|name| name == rule.name) {
            (rule.apply)(statement, session)?;
        }
    }
    Ok(())
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

/// What a rule may need besides the plan.
pub(crate) struct Roots<'a> {
    pub tables: &'a [crate::logical::TableUse],
}
