//! Which group keys tell groups apart: columns of a table that its primary key, or another unique one, determines need not
//! be compared.
//!
//! # Invariants
//! - GK1: a column that is left out has one value for each value of those that are left. Rows of a table that are equal in
//!   columns that are unique and never NULL are one row; where a join has put NULLs in its place, all of its columns are
//!   NULL.
//!
//! # Not done
//! Columns that other tables' keys determine by way of a join condition.

use ochre_base::limits;
use ochre_expr::Expr;

use super::PlanBuilder;
use crate::logical::{ColumnId, Expansion, Logical};
use crate::physical::ScanColumn;

impl PlanBuilder<'_> {
    /// The positions of the keys that must be compared to tell groups of `input` apart.
    pub(super) fn telling_keys(&self, keys: &[(ColumnId, Expr)], input: &Logical) -> Vec<usize> {
        let mut telling: Vec<usize> = (0..keys.len()).collect();
        if keys.len() < 2 || has_grouping_sets(input) {
            return telling;
        }
        let mut tables: Vec<usize> = keys.iter().filter_map(|(_, key)| Some(self.place_of(key)?.0)).collect();
        tables.sort_unstable();
        tables.dedup();
        for table in tables {
            let position_of = |key: usize| {
                let (owner, position) = self.place_of(&keys[key].1)?;
                (owner == table).then_some(position)
            };
            if let Some(unique) = self.unique_key_among(table, |position| {
                (0..keys.len()).any(|key| position_of(key) == Some(position))
            }) {
                telling.retain(|key| position_of(*key).is_none_or(|position| unique.contains(&position)));
            }
        }
        telling
    }

    /// The table, with rows of its own alone, and the position of the column that an expression is.
    fn place_of(&self, key: &Expr) -> Option<(usize, usize)> {
        let Expr::Column { index, .. } = key else { return None };
        let table = self.columns[*index].table?;
        let used = &self.tables[table];
        let (column, _) = used.columns.iter().find(|(_, id)| id == index)?;
        match column {
            ScanColumn::Table(position) if used.expansion == Expansion::Own => Some((table, *position)),
            _ => None,
        }
    }

    /// The positions of the fewest columns of a table, among those that are `there`, that are unique and never NULL.
    fn unique_key_among(&self, table: usize, there: impl Fn(usize) -> bool) -> Option<Vec<usize>> {
        let descriptor = &self.tables[table].table;
        let indexes = descriptor
            .indexes
            .iter()
            .filter(|index| index.unique && index.immediate && index.valid && index.predicate.is_none());
        let columns = indexes.filter_map(|index| {
            let positions = index.keys.iter().map(|key| usize::try_from(key.number - 1).ok());
            let positions: Vec<usize> = positions.collect::<Option<_>>()?;
            let fits = |position: &usize| there(*position) && descriptor.columns[*position].not_null;
            positions.iter().all(fits).then_some(positions)
        });
        columns.min_by_key(Vec::len)
    }
}

/// Whether columns may have been put to NULL one by one.
fn has_grouping_sets(plan: &Logical) -> bool {
    let own = matches!(plan, Logical::Aggregate(grouping) if grouping.sets.is_some());
    own || stacker::maybe_grow(limits::STACK_RED_ZONE_BYTES, limits::STACK_GROWTH_BYTES, || {
        crate::walk::inputs(plan).into_iter().any(has_grouping_sets)
    })
}
