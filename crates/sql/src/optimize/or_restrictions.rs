//! What an OR says of single relations: `(a.x = 1 AND b.y = 2) OR (a.x = 3 AND b.y = 4)` also means
//! `(a.x = 1 OR a.x = 3)` and `(b.y = 2 OR b.y = 4)`, which can be looked at before the join. And what all alternatives have
//! in common stands outside: `(p AND q) OR (p AND r)` becomes `p AND (q OR r)`, so that a join condition is found.

use ochre_base::Result;
use ochre_expr::{Expr, Volatility};

use super::{RuleContext, each_root};
use crate::logical::{ColumnId, JoinKind, Logical, LogicalStatement, TableUse};
use crate::walk::each_node_mut;

/// Rewrites the conditions of every query of a statement.
pub(super) fn apply(statement: &mut LogicalStatement, _context: &RuleContext<'_>) -> Result<()> {
    each_root(statement, &mut |plan, roots| {
        each_node_mut(plan, &mut |node| match node {
            Logical::Filter { predicates, .. } => rewrite(predicates, roots.tables),
            Logical::Join(join) if join.kind == JoinKind::Inner => rewrite(&mut join.on, roots.tables),
            _ => {}
        });
        Ok(())
    })
}

fn rewrite(predicates: &mut Vec<Expr>, tables: &[TableUse]) {
    if !predicates.iter().any(|predicate| matches!(predicate, Expr::Or(_))) {
        return;
    }
    let taken = std::mem::take(predicates);
    for predicate in taken {
        match predicate {
            Expr::Or(parts) if parts.iter().all(is_plain) => {
                let (common, rest) = factor(parts);
                predicates.extend(common);
                predicates.extend(rest);
            }
            other => predicates.push(other),
        }
    }
    let mut derived = Vec::new();
    for predicate in predicates.iter().filter(|predicate| matches!(predicate, Expr::Or(_))) {
        if !is_plain(predicate) {
            continue;
        }
        let ids = predicate.columns();
        let mentioned: Vec<&TableUse> =
            tables.iter().filter(|used| used.columns.iter().any(|(_, id)| ids.contains(id))).collect();
        if mentioned.len() < 2 {
            continue;
        }
        for used in mentioned {
            let own = |id: ColumnId| used.columns.iter().any(|(_, known)| *known == id);
            derived.extend(or_restriction(predicate, &own));
        }
    }
    predicates.extend(derived);
}

/// Neither volatile nor with a subquery: it may be asked more often or earlier than it is written.
fn is_plain(expr: &Expr) -> bool {
    expr.volatility() != Volatility::Volatile && !expr.any(|node| matches!(node, Expr::SubPlan { .. }))
}

fn parts_of(expr: &Expr) -> &[Expr] {
    match expr {
        Expr::And(parts) => parts,
        other => std::slice::from_ref(other),
    }
}

/// What every alternative asks, and the alternatives without it; no OR is left when one asks nothing more.
fn factor(alternatives: Vec<Expr>) -> (Vec<Expr>, Option<Expr>) {
    let common: Vec<Expr> = parts_of(&alternatives[0])
        .iter()
        .filter(|part| alternatives[1..].iter().all(|other| parts_of(other).contains(part)))
        .cloned()
        .collect();
    if common.is_empty() {
        return (common, Some(Expr::Or(alternatives)));
    }
    let mut rest = Vec::with_capacity(alternatives.len());
    for alternative in &alternatives {
        let more: Vec<Expr> =
            parts_of(alternative).iter().filter(|part| !common.contains(part)).cloned().collect();
        if more.is_empty() {
            return (common, None);
        }
        rest.push(Expr::and(more));
    }
    (common, Some(Expr::Or(rest)))
}

/// What an OR says of the columns for which `own` holds: nothing when an alternative says nothing of them alone.
pub(crate) fn or_restriction(predicate: &Expr, own: &dyn Fn(ColumnId) -> bool) -> Option<Expr> {
    let Expr::Or(alternatives) = predicate else { return None };
    let mut restricted = Vec::with_capacity(alternatives.len());
    for alternative in alternatives {
        let parts: Vec<Expr> = parts_of(alternative)
            .iter()
            .filter(|part| {
                let ids = part.columns();
                !ids.is_empty() && ids.into_iter().all(own)
            })
            .cloned()
            .collect();
        if parts.is_empty() {
            return None;
        }
        restricted.push(Expr::and(parts));
    }
    Some(Expr::Or(restricted))
}
