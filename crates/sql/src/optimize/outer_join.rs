//! Outer-join simplification: a condition above an outer join that no null-completed row can satisfy makes it an inner join
//! (or a FULL join a LEFT one).

use ochre_base::Result;
use ochre_expr::{BooleanTest, Expr};

use super::{RuleContext, each_root};
use crate::idset::IdSet;
use crate::logical::{JoinKind, Logical, LogicalStatement, TableUse};
use crate::walk::{inputs_mut, produced};

/// Simplifies every query of a statement.
pub(super) fn apply(statement: &mut LogicalStatement, _context: &RuleContext<'_>) -> Result<()> {
    each_root(statement, &mut |plan, roots| {
        simplify(plan, &IdSet::default(), roots.tables);
        Ok(())
    })
}

/// `wanted`: ids that are not NULL in any row that matters above.
fn simplify(plan: &mut Logical, wanted: &IdSet, tables: &[TableUse]) {
    match plan {
        Logical::Filter { input, predicates } => {
            let mut wanted = wanted.clone();
            predicates.iter().for_each(|predicate| strict_ids(predicate, &mut wanted));
            simplify(input, &wanted, tables);
        }
        Logical::Join(join) => {
            let left = produced(&join.left, tables);
            let right = produced(&join.right, tables);
            let (needs_left, needs_right) = (wanted.intersects(&left), wanted.intersects(&right));
            join.kind = match join.kind {
                JoinKind::Left if needs_right => JoinKind::Inner,
                JoinKind::Right if needs_left => JoinKind::Inner,
                JoinKind::Full if needs_left && needs_right => JoinKind::Inner,
                JoinKind::Full if needs_left => JoinKind::Left,
                JoinKind::Full if needs_right => JoinKind::Right,
                kind => kind,
            };
            let mut condition = IdSet::default();
            join.on.iter().for_each(|predicate| strict_ids(predicate, &mut condition));
            let mut both = wanted.clone();
            both.extend(&condition);
            let none = IdSet::default();
            let (for_left, for_right) = match join.kind {
                JoinKind::Inner | JoinKind::Semi => (&both, &both),
                // A row of the nullable side that does not match is of no account.
                JoinKind::Left => (wanted, &condition),
                JoinKind::Right => (&condition, wanted),
                JoinKind::Anti => (wanted, &condition),
                JoinKind::Full => (&none, &none),
                JoinKind::AntiNullAware | JoinKind::Mark(_) => (wanted, &none),
            };
            simplify(&mut join.left, for_left, tables);
            simplify(&mut join.right, for_right, tables);
        }
        Logical::Project { input, items } => {
            let mut below = IdSet::default();
            for (id, expr) in items.iter() {
                if wanted.contains(*id) {
                    null_ids(expr, &mut below);
                }
            }
            simplify(input, &below, tables);
        }
        Logical::Sort { input, .. } | Logical::Distinct { input, .. } => simplify(input, wanted, tables),
        other => {
            for input in inputs_mut(other) {
                simplify(input, &IdSet::default(), tables);
            }
        }
    }
}

/// Adds the ids of which a NULL makes the expression, as a condition, NULL or false.
pub(super) fn strict_ids(expr: &Expr, ids: &mut IdSet) {
    match expr {
        Expr::And(parts) => parts.iter().for_each(|part| strict_ids(part, ids)),
        Expr::Or(parts) => ids.extend(&common(parts, strict_ids)),
        Expr::IsNull { arg, negated: true, row: false } => null_ids(arg, ids),
        Expr::BooleanTest { arg, test: BooleanTest::True } => strict_ids(arg, ids),
        Expr::BooleanTest { arg, test: BooleanTest::False | BooleanTest::NotUnknown } => null_ids(arg, ids),
        // Of an empty array it is false.
        Expr::ScalarArrayOp { function, all: false, left, .. } if function.strict => null_ids(left, ids),
        other => null_ids(other, ids),
    }
}

/// Adds the ids of which a NULL makes the expression NULL. Within a larger expression false would not do: `(x IS NOT NULL) =
/// false` is true of a NULL.
pub(super) fn null_ids(expr: &Expr, ids: &mut IdSet) {
    match expr {
        Expr::Column { index, .. } => ids.insert(*index),
        Expr::Call { function, args, .. } if function.strict && !function.returns_set => {
            args.iter().for_each(|arg| null_ids(arg, ids));
        }
        Expr::Cast { arg, .. } => null_ids(arg, ids),
        Expr::Not(inner) => null_ids(inner, ids),
        // NULL AND false is false, NULL OR true is true: only if all parts are NULL nothing else can come out.
        Expr::And(parts) | Expr::Or(parts) => ids.extend(&common(parts, null_ids)),
        _ => {}
    }
}

/// The ids that `of` finds in every part.
fn common(parts: &[Expr], of: fn(&Expr, &mut IdSet)) -> IdSet {
    let sets = parts.iter().map(|part| {
        let mut ids = IdSet::default();
        of(part, &mut ids);
        ids
    });
    sets.reduce(|known, ids| IdSet::of(known.iter().filter(|id| ids.contains(*id)))).unwrap_or_default()
}
