//! INSERT, UPDATE, DELETE and MERGE.
//!
//! The *target image* of a row is what CHECK, generated columns, index expressions and RETURNING read: the values of
//! `RelationDescriptor::columns` by position (a dropped column is null), followed by the row id (`tid`) at position
//! `columns.len()`.

use std::sync::Arc;

use ochre_base::Oid;
use ochre_catalog::{ConstraintDescriptor, IndexDescriptor, RelationDescriptor};
use ochre_expr::Expr;
use ochre_types::PhysicalType;

use super::{CommandKind, PhysicalPlan, RouteNode, Routes, ScanColumn};

/// What every kind of DML must know of its target.
#[derive(Debug, Clone)]
pub struct TargetTable {
    /// The table.
    pub table: Arc<RelationDescriptor>,
    /// The name in the query.
    pub alias: Arc<str>,
    /// Columns that must not be null, by position. Checked after generated columns are computed and before CHECK.
    pub not_null: Vec<usize>,
    /// Stored generated columns in an order in which each reads only what stands before.
    pub generated: Vec<GeneratedColumn>,
    /// CHECK constraints, in order of their names. A null result passes.
    pub checks: Vec<CheckExpression>,
    /// The table's indexes; expressions of each over the target image.
    pub indexes: Vec<IndexMaintenance>,
    /// The table's enforced foreign keys.
    pub foreign_keys: Vec<Arc<ForeignKeyCheck>>,
    /// The enforced foreign keys that refer to the table.
    pub referenced_by: Vec<Arc<ReferencedKey>>,
    /// What rows of a partition satisfy, over the target image; a null result passes.
    pub partition: Option<Expr>,
}

impl TargetTable {
    /// A table whose rows go to other relations.
    pub(crate) fn of_set(table: &Arc<RelationDescriptor>, alias: &Arc<str>) -> TargetTable {
        TargetTable {
            table: Arc::clone(table),
            alias: Arc::clone(alias),
            not_null: Vec::new(),
            generated: Vec::new(),
            checks: Vec::new(),
            indexes: Vec::new(),
            foreign_keys: Vec::new(),
            referenced_by: Vec::new(),
            partition: None,
        }
    }
}

/// A foreign key, seen from the table that has it.
#[derive(Debug, Clone)]
pub struct ForeignKeyCheck {
    /// The constraint.
    pub constraint: Arc<ConstraintDescriptor>,
    /// How the key of the referenced index is made of a row, in the order of the index's columns.
    pub key: Vec<KeyPart>,
    /// Positions of the table's columns that it reads, in the constraint's order.
    pub columns: Vec<usize>,
    /// Of a key of a partitioned table: where its partitions have it.
    pub routing: Option<Arc<ReferenceRouting>>,
}

/// How keys of a partitioned table find the partition that has them.
#[derive(Debug, Clone)]
pub struct ReferenceRouting {
    /// The ways to the partitions; all of their keys are columns.
    pub root: RouteNode,
    /// The partitions with rows, by the numbers that the ways lead to.
    pub leaves: Vec<ReferencedLeaf>,
    /// For each column of the referenced index its position in the partitioned table.
    pub columns: Vec<usize>,
}

/// A partition with its part of the referenced index.
#[derive(Debug, Clone, Copy)]
pub struct ReferencedLeaf {
    pub table: Oid,
    pub index: Oid,
}

/// A column of a referenced key, made of the column that refers to it.
#[derive(Debug, Clone)]
pub enum KeyPart {
    /// By a conversion that always succeeds, over the target image.
    Value(Expr),
    /// An integer of a wider type at this position: what does not fit into the narrower one is no key.
    Narrow { column: usize, to: PhysicalType },
}

/// A foreign key, seen from the table that it refers to.
#[derive(Debug, Clone)]
pub struct ReferencedKey {
    /// The constraint.
    pub constraint: Arc<ConstraintDescriptor>,
    /// Positions of the referenced columns, in the constraint's order.
    pub columns: Vec<usize>,
}

/// A stored generated column.
#[derive(Debug, Clone)]
pub struct GeneratedColumn {
    /// The column's position.
    pub column: usize,
    /// Its value, over the target image.
    pub expr: Expr,
}

/// A CHECK constraint.
#[derive(Debug, Clone)]
pub struct CheckExpression {
    /// The constraint's name, or the view's.
    pub name: Arc<str>,
    /// The condition, over the target image.
    pub expr: Expr,
    /// It is a view's CHECK OPTION.
    pub of_view: bool,
}

/// What an index stores of a row.
#[derive(Debug, Clone)]
pub struct IndexMaintenance {
    /// The index.
    pub index: Arc<IndexDescriptor>,
    /// Key columns, then INCLUDE columns, over the target image; a plain column is `Expr::Column`.
    pub exprs: Vec<Expr>,
    /// The predicate of a partial index, over the target image.
    pub predicate: Option<Expr>,
    /// Columns of the table that the expressions and the predicate read, sorted: an UPDATE that changes none of them leaves
    /// the index alone.
    pub columns_read: Vec<usize>,
}

/// INSERT. Output: RETURNING.
#[derive(Debug, Clone)]
pub struct InsertPlan {
    /// The table.
    pub target: TargetTable,
    /// Yields complete rows: one column for each column of the table, in order, with defaults, identity values and casts
    /// already in place; null for dropped and generated columns. For `INSERT … VALUES` of one row a [`super::ResultPlan`],
    /// of several a [`super::ValuesPlan`].
    pub source: Arc<PhysicalPlan>,
    /// ON CONFLICT.
    pub on_conflict: Option<OnConflict>,
    /// Over the target image of the row that was inserted (or updated); of an INSERT with DO UPDATE followed by the
    /// target image of the row that was there, which is all NULL for one that was inserted.
    pub returning: Option<Vec<Expr>>,
    /// Of a partitioned table: where its rows go. What is said above of the target holds for each partition then.
    pub routing: Option<Arc<InsertRouting>>,
}

/// How the rows of an INSERT into a partitioned table find their partitions, and what is done there.
#[derive(Debug, Clone)]
pub struct InsertRouting {
    pub routes: Routes,
    /// One for each of [`Routes::leaves`].
    pub leaves: Vec<LeafInsert>,
}

/// An INSERT into one of the partitions. Its source is the whole statement's.
#[derive(Debug, Clone)]
pub struct LeafInsert {
    /// For each column of the partition its position in the partitioned table.
    pub columns: Vec<Option<usize>>,
    pub plan: InsertPlan,
}

/// ON CONFLICT.
#[derive(Debug, Clone)]
pub struct OnConflict {
    /// The unique indexes that count. Empty (with `Nothing`): every unique index.
    pub arbiters: Vec<Oid>,
    /// What to do.
    pub action: ConflictAction,
}

impl OnConflict {
    /// Whether it is DO UPDATE.
    pub fn updates(&self) -> bool {
        matches!(self.action, ConflictAction::Update { .. })
    }
}

/// What to do with a row that exists.
#[derive(Debug, Clone)]
pub enum ConflictAction {
    /// DO NOTHING.
    Nothing,
    /// DO UPDATE. The expressions read the existing row's target image, then the columns of the row proposed for insertion
    /// (`excluded`), that is positions `0..=n` and `n + 1..n + 1 + n` for a table of `n` columns.
    Update {
        /// New values.
        assignments: Vec<Assignment>,
        /// WHERE: the existing row is locked but not changed when it does not hold.
        filter: Option<Expr>,
    },
}

/// A new value for a column.
#[derive(Debug, Clone)]
pub struct Assignment {
    /// The column's position.
    pub column: usize,
    /// Its new value.
    pub value: Expr,
}

/// UPDATE. Output: RETURNING.
///
/// A row that several source rows match is updated once, by the first of them.
#[derive(Debug, Clone)]
pub struct UpdatePlan {
    /// The table.
    pub target: TargetTable,
    /// Yields for each row to update its old values, its row id, and whatever the expressions below need.
    pub source: Arc<PhysicalPlan>,
    /// Position of the row id in the source's columns.
    pub row_id: usize,
    /// For each column of the table the position in the source's columns of its old value; `None` for dropped columns.
    pub old_columns: Vec<Option<usize>>,
    /// New values, over the source's columns.
    pub assignments: Vec<Assignment>,
    /// What to do with a row that changed since the snapshot.
    pub recheck: RowRecheck,
    /// Over the target image of the new row, followed by the source's columns; of a part of a set by the row's `tableoid`
    /// behind them.
    pub returning: Option<Vec<Expr>>,
}

/// DELETE. Output: RETURNING.
#[derive(Debug, Clone)]
pub struct DeletePlan {
    /// The table. Its checks and generated columns are empty.
    pub target: TargetTable,
    /// Yields for each row to delete its row id, and whatever RETURNING and the recheck need.
    pub source: Arc<PhysicalPlan>,
    /// Position of the row id in the source's columns.
    pub row_id: usize,
    /// What to do with a row that changed since the snapshot.
    pub recheck: RowRecheck,
    /// Over the target image of the old row (only columns that RETURNING reads need be filled), followed by the source's
    /// columns.
    pub returning: Option<Vec<Expr>>,
}

/// MERGE. Output: RETURNING.
#[derive(Debug, Clone)]
pub struct MergePlan {
    /// The table.
    pub target: TargetTable,
    /// Yields the join of the target with the source of the statement: target rows with their old values and row ids, and
    /// whatever the expressions below need of both.
    pub source: Arc<PhysicalPlan>,
    /// Position of the row id in the source's columns; NULL in a row that no target row matches.
    pub row_id: usize,
    /// Position of a column that is NULL in a target row that nothing matches; `None` when there are none.
    pub source_present: Option<usize>,
    /// For each column of the table the position in the source's columns of its old value.
    pub old_columns: Vec<Option<usize>>,
    /// What to do, the first that fits: expressions over the source's columns.
    pub actions: Vec<MergeAction>,
    /// What to do with a matched row that changed since the snapshot; the predicate is whether it matches still.
    pub recheck: RowRecheck,
    /// Over the target image of the row (the new one, the old one of a DELETE), the target image of the new row (all NULL for
    /// a DELETE), the action's name, and the source's columns.
    pub returning: Option<Vec<Expr>>,
    /// Of a table with children or partitions: what is done in which relation. Of the above only source, row id and actions
    /// count then; a row to insert is one of the named table's.
    pub set: Option<Box<MergeSet>>,
}

/// A MERGE into a set of relations: a table and what inherits from it.
#[derive(Debug, Clone)]
pub struct MergeSet {
    /// Position of the row's `tableoid` in the source's columns.
    pub table_oid: usize,
    /// What is done in each relation.
    pub parts: Vec<MergeSetPart>,
    /// Of a partitioned table: where new rows go, and rows that no longer belong to their partition.
    pub routing: Option<Arc<InsertRouting>>,
    /// The foreign keys that refer to the named table: rows that go to another partition are updated for them.
    pub moved_keys: Vec<Arc<ReferencedKey>>,
}

/// What a MERGE does in one relation of a set: the actions, in the same order; those that insert have no values of their own.
pub type MergeSetPart = SetPart<MergePlan>;

impl MergePlan {
    /// The expressions of the actions and of RETURNING, in all relations.
    pub fn exprs(&self) -> Vec<&Expr> {
        let mut exprs: Vec<&Expr> = self.actions.iter().flat_map(MergeAction::exprs).collect();
        exprs.extend(self.returning.iter().flatten());
        exprs.extend(self.set.iter().flat_map(|set| &set.parts).flat_map(|part| part.plan.exprs()));
        exprs
    }
}

/// A WHEN clause of MERGE.
#[derive(Debug, Clone)]
pub struct MergeAction {
    /// Which rows it is for.
    pub matched: MergeMatch,
    /// Whether it is for this row.
    pub condition: Option<Expr>,
    /// What to do.
    pub change: MergeChange,
}

/// The kinds of rows of a MERGE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MergeMatch {
    /// A pair that fits.
    Matched,
    /// A target row that no source row fits.
    NotMatchedBySource,
    /// A source row that no target row fits.
    NotMatchedByTarget,
}

/// What a WHEN clause does.
#[derive(Debug, Clone)]
pub enum MergeChange {
    /// DO NOTHING.
    Nothing,
    /// DELETE.
    Delete,
    /// UPDATE.
    Update(Vec<Assignment>),
    /// INSERT: a complete row, as [`InsertPlan::source`] yields them.
    Insert(Vec<Expr>),
}

impl MergeAction {
    /// The action's expressions.
    pub fn exprs(&self) -> Vec<&Expr> {
        let values: Vec<&Expr> = match &self.change {
            MergeChange::Nothing | MergeChange::Delete => Vec::new(),
            MergeChange::Update(assignments) => assignments.iter().map(|a| &a.value).collect(),
            MergeChange::Insert(values) => values.iter().collect(),
        };
        self.condition.iter().chain(values).collect()
    }
}

/// READ COMMITTED's second look at a row that a concurrent transaction changed: the newest version's values replace the old
/// ones in the source row, and the row counts only if the predicate still holds.
#[derive(Debug, Clone, Default)]
pub struct RowRecheck {
    /// For positions of the source's columns that come from the target row: what to read of its newest version.
    pub columns: Vec<(usize, ScanColumn)>,
    /// Every condition of the query on the target row that can be evaluated on the source row, over the source's columns.
    pub predicate: Option<Expr>,
}

/// UPDATE and DELETE of the rows of a set of relations: a table and what inherits from it. Output: RETURNING.
#[derive(Debug, Clone)]
pub struct ModifySetPlan {
    /// What is done.
    pub command: CommandKind,
    /// The table that the statement names.
    pub table: Arc<RelationDescriptor>,
    /// The name in the query.
    pub alias: Arc<str>,
    /// Yields for each row what the parts need, with its row id and its relation.
    pub source: Arc<PhysicalPlan>,
    /// Position of the row's `tableoid` in the source's columns.
    pub table_oid: usize,
    /// Position of the row id.
    pub row_id: usize,
    /// What is done with the rows of each relation.
    pub parts: Vec<ModifySetPart>,
    /// Of an UPDATE of a partitioned table: where rows go that no longer belong to their partition.
    pub routing: Option<Arc<InsertRouting>>,
    /// The foreign keys that refer to the named table: rows that go to another partition are updated for them.
    pub moved_keys: Vec<Arc<ReferencedKey>>,
}

/// What UPDATE and DELETE do with the rows of one relation of a set. The plan's source is the set's.
pub type ModifySetPart = SetPart<PartPlan>;

/// What is done in one relation of a set.
#[derive(Debug, Clone)]
pub struct SetPart<P> {
    /// Positions of columns that the source does not have, since the named table has them not: they are read by the row id and
    /// stand behind the source's.
    pub fetch: Vec<usize>,
    /// For each column of the named table its position here.
    pub map: Vec<Option<usize>>,
    /// The change.
    pub plan: P,
    /// What holds for rows that go to another partition.
    pub leaving: LeavingRows,
}

/// What rows meet that leave a partition.
#[derive(Debug, Clone, Default)]
pub struct LeavingRows {
    /// The foreign keys that refer to this very partition: their rows are deleted for them.
    pub keys: Vec<Arc<ReferencedKey>>,
    /// A partitioned table between the named one and this partition to which a foreign key refers: no row may go.
    pub barred_by: Option<Arc<str>>,
}

/// The change of one relation of a set.
#[derive(Debug, Clone)]
pub enum PartPlan {
    Update(UpdatePlan),
    Delete(DeletePlan),
}

impl PartPlan {
    /// The relation.
    pub fn target(&self) -> &TargetTable {
        match self {
            PartPlan::Update(plan) => &plan.target,
            PartPlan::Delete(plan) => &plan.target,
        }
    }
}

impl ModifySetPlan {
    /// The expressions of all parts.
    pub fn exprs(&self) -> Vec<&Expr> {
        let mut exprs = Vec::new();
        for part in &self.parts {
            match &part.plan {
                PartPlan::Update(plan) => {
                    exprs.extend(plan.assignments.iter().map(|assignment| &assignment.value));
                    exprs.extend(plan.returning.iter().flatten());
                }
                PartPlan::Delete(plan) => exprs.extend(plan.returning.iter().flatten()),
            }
        }
        exprs
    }
}
