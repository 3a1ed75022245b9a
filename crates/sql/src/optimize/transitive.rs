//! Transitive equalities: from `a = b AND a = 5` follows `b = 5`, so that an index on `b` can be used too.

use ochre_base::Result;
use ochre_expr::{Expr, btree_comparison};

use super::{RuleContext, each_root};
use crate::logical::{ColumnId, JoinKind, Logical, LogicalStatement};
use crate::plan::{Operation, comparison_of};
use crate::walk::inputs_mut;

/// Adds what follows in every query of a statement.
pub(super) fn apply(statement: &mut LogicalStatement, _context: &RuleContext<'_>) -> Result<()> {
    each_root(statement, &mut |plan, _| {
        visit(plan);
        Ok(())
    })
}

fn visit(plan: &mut Logical) {
    match plan {
        Logical::Filter { input, predicates } => {
            if matches!(&**input, Logical::Join(join) if join.kind == JoinKind::Inner) {
                let mut all = predicates.clone();
                conditions(input, &mut all);
                predicates.extend(derived(&all));
            }
            match &mut **input {
                // The cluster's conditions are all known here.
                Logical::Join(join) if join.kind == JoinKind::Inner => below(&mut join.left, &mut join.right),
                other => visit(other),
            }
        }
        Logical::Join(join) if join.kind == JoinKind::Inner => {
            let mut all = join.on.clone();
            conditions(&join.left, &mut all);
            conditions(&join.right, &mut all);
            let new = derived(&all);
            join.on.extend(new);
            below(&mut join.left, &mut join.right);
        }
        other => inputs_mut(other).into_iter().for_each(visit),
    }
}

/// Goes on below the joins of a cluster.
fn below(left: &mut Logical, right: &mut Logical) {
    for side in [left, right] {
        match side {
            Logical::Join(join) if join.kind == JoinKind::Inner => below(&mut join.left, &mut join.right),
            other => visit(other),
        }
    }
}

fn conditions(plan: &Logical, found: &mut Vec<Expr>) {
    match plan {
        Logical::Join(join) if join.kind == JoinKind::Inner => {
            found.extend(join.on.iter().cloned());
            conditions(&join.left, found);
            conditions(&join.right, found);
        }
        Logical::Filter { input, predicates } => {
            found.extend(predicates.iter().cloned());
            conditions(input, found);
        }
        _ => {}
    }
}

/// Equalities with constants that follow from others.
fn derived(all: &[Expr]) -> Vec<Expr> {
    let mut pairs: Vec<(ColumnId, ColumnId, &Expr)> = Vec::new();
    let mut fixed: Vec<(ColumnId, Expr)> = Vec::new();
    for predicate in all {
        let Some((Operation::Equal, left, right)) = comparison_of(predicate) else { continue };
        if left.ty().oid != right.ty().oid {
            continue;
        }
        match (left, right) {
            (Expr::Column { index: a, .. }, Expr::Column { index: b, .. }) => pairs.push((*a, *b, predicate)),
            (Expr::Column { index, .. }, value) | (value, Expr::Column { index, .. })
                if matches!(value, Expr::Constant { .. } | Expr::Parameter { .. }) =>
            {
                fixed.push((*index, value.clone()));
            }
            _ => {}
        }
    }
    let mut new = Vec::new();
    let mut next = 0;
    while next < fixed.len() {
        let (id, value) = fixed[next].clone();
        next += 1;
        for (a, b, _) in &pairs {
            let other = if *a == id {
                *b
            } else if *b == id {
                *a
            } else {
                continue;
            };
            if fixed.iter().any(|(known, _)| *known == other) {
                continue;
            }
            let ty = value.ty();
            let Some(comparison) = btree_comparison(ty.oid) else { continue };
            // Only where the type's own equality is meant.
            if comparison.equal.left != ty.oid {
                continue;
            }
            let column = Expr::Column { index: other, ty };
            new.push(Expr::call(
                comparison.equal.function,
                vec![column, value.clone()],
                ochre_types::SqlType::BOOL,
            ));
            fixed.push((other, value.clone()));
        }
    }
    new
}
