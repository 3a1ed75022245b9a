//! Which statistics a transaction sees: `stats_fetch_consistency`.

use hashbrown::HashMap;
use ochre_base::Oid;
use ochre_catalog::RelationKind;

use crate::function_statistics::Calls;
use crate::session::State;
use crate::table_statistics::TableCounts;

/// What statistics that were read once do until the transaction ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Consistency {
    /// They go on.
    None,
    /// Those of an object stay as they were when they were first read.
    Cache,
    /// All stay as they were when the first of them were read.
    Snapshot,
}

/// The statistics that a transaction has read.
#[derive(Debug, Default)]
pub(crate) struct StatisticsView {
    /// Whether they are all there.
    complete: bool,
    pub(crate) functions: HashMap<Oid, Option<Calls>>,
    pub(crate) tables: HashMap<Oid, TableCounts>,
}

impl State {
    pub(crate) fn statistics_consistency(&self) -> Consistency {
        match self.settings.borrow().text("stats_fetch_consistency") {
            "none" => Consistency::None,
            "snapshot" => Consistency::Snapshot,
            _ => Consistency::Cache,
        }
    }

    /// Reads all statistics, unless the transaction has done so.
    pub(crate) fn take_statistics(&self) {
        if self.statistics_view.borrow().complete {
            return;
        }
        let catalog = self.database.catalog();
        let counted = |kind: RelationKind| {
            matches!(kind, RelationKind::Table | RelationKind::MaterializedView | RelationKind::Index)
        };
        let relations = catalog.relations().filter(|relation| !relation.builtin && counted(relation.kind));
        let tables = relations
            .filter_map(|relation| {
                Some((relation.oid, crate::table_statistics::counts(self, relation).ok()?))
            })
            .collect();
        let functions = self.database.functions.all().into_iter();
        let functions = functions.filter(|(oid, _)| catalog.routine(*oid).is_some());
        let functions = functions.map(|(oid, calls)| (oid, Some(calls))).collect();
        self.statistics_view.replace(StatisticsView { complete: true, functions, tables });
    }

    /// Forgets what a transaction has read of statistics.
    pub(crate) fn forget_statistics(&self) {
        let view = self.statistics_view.borrow();
        let empty = !view.complete && view.functions.is_empty() && view.tables.is_empty();
        drop(view);
        if !empty {
            self.statistics_view.take();
        }
    }
}
