//! A semi-join whose right side has at most one partner for each row is an inner join, which can be reordered.

use ochre_base::Result;

use super::uniqueness::Uniqueness;
use super::{RuleContext, each_root};
use crate::logical::{JoinKind, Logical, LogicalStatement};
use crate::walk::each_node_mut;

/// Rewrites the semi-joins of every query of a statement.
pub(super) fn apply(statement: &mut LogicalStatement, context: &RuleContext<'_>) -> Result<()> {
    each_root(statement, &mut |plan, roots| {
        let uniqueness = Uniqueness { tables: roots.tables, settings: context.settings };
        each_node_mut(plan, &mut |node| {
            if let Logical::Join(join) = node
                && join.kind == JoinKind::Semi
                && uniqueness.has_one_partner(join)
            {
                join.kind = JoinKind::Inner;
            }
        });
        Ok(())
    })
}
