//! The table that a statement changes: checks of new rows, and storing them with their index entries.
//!
//! # How
//! New rows come as batches of the table's columns. Generated columns are computed and constraints looked at for the
//! whole batch; a violation is raised only when its row is about to be written, because a row may turn out to need no
//! write. Many rows go to the heap a page at a time, and their index entries in key order.

use std::sync::Arc;

use ochre_access::btree::{EntryRun, UniqueOutcome};
use ochre_access::heap::{Heap, RowBatch};
use ochre_base::{Error, Result, RowId};
use ochre_sql::physical::TargetTable;
use ochre_types::{Batch, Column, Datum, PhysicalType, Selection};

use crate::ExecContext;
use crate::codec::RowEncoder;
use crate::index_entry::{Entry, EntryColumns};
use crate::modify::errors::{
    TableName, check_violation, not_null_violation, partition_violation, unique_violation,
    view_check_violation,
};
use crate::modify::reference::Reference;
use crate::modify::unique::HeapUniqueChecker;
use crate::relation::{IndexAccess, RelationSource, TableAccess};

/// Rows for which the heap's page-at-a-time insertion pays.
const MANY_ROWS: usize = 4;

/// An open table with what a statement must know to change it.
pub struct Target {
    pub plan: TargetTable,
    pub table: Arc<TableAccess>,
    pub heap: Arc<Heap>,
    pub encoder: RowEncoder,
    /// The table's foreign keys.
    pub references: Vec<Arc<Reference>>,
    rows: RowBatch,
    frozen: bool,
    row_ids: Vec<RowId>,
    run: EntryRun,
    pub entry: Entry,
    several: Vec<Entry>,
}

/// New rows of a batch: the target image, and what is wrong with which row.
pub struct NewRows {
    /// The table's columns by position, then the row id (NULL while it is unknown).
    pub image: Batch,
    violations: Vec<Violation>,
}

impl NewRows {
    /// Rows with which nothing is wrong.
    pub fn sound(image: Batch) -> NewRows {
        NewRows { image, violations: Vec::new() }
    }

    /// Some of the rows.
    pub fn of_rows(&self, rows: Vec<u16>) -> NewRows {
        NewRows {
            image: self.image.clone().with_selection(Selection::new(rows)),
            violations: self.violations.clone(),
        }
    }
}

#[derive(Clone)]
struct Violation {
    row: usize,
    kind: ViolationKind,
}

#[derive(Clone, Copy)]
enum ViolationKind {
    NotNull(usize),
    Check(usize),
    Partition,
}

impl Target {
    /// Opens the table of a plan.
    ///
    /// # Errors
    /// What opening relations fails with.
    pub fn open(plan: &TargetTable, relations: &dyn RelationSource) -> Result<Target> {
        let table = relations.table(&plan.table)?;
        let heap = Arc::clone(table.heap()?);
        let references = plan.foreign_keys.iter().map(|key| Reference::open(key, relations).map(Arc::new));
        Ok(Target {
            references: references.collect::<Result<_>>()?,
            plan: plan.clone(),
            table,
            heap,
            encoder: RowEncoder::default(),
            rows: RowBatch::default(),
            frozen: false,
            row_ids: Vec::new(),
            run: EntryRun::default(),
            entry: Entry::default(),
            several: Vec::new(),
        })
    }

    /// Makes the rows that are inserted from now on count as written long ago.
    pub fn freeze(&mut self) {
        self.rows.freeze();
        self.frozen = true;
    }

    /// The table's columns of source rows, as they were; NULLs where the source has none.
    pub fn old_image(&self, source: &Batch, old_columns: &[Option<usize>]) -> Batch {
        let codec = &self.table.codec;
        let column = |(position, column): (usize, &Option<usize>)| match column {
            Some(column) => Arc::clone(&source.columns[*column]),
            None => Arc::new(Column::nulls(codec.column_type(position).physical, source.rows)),
        };
        let columns = old_columns.iter().enumerate().map(column).collect();
        Batch { columns, rows: source.rows, selection: source.selection.clone() }
    }

    /// Computes generated columns of new rows and looks at their constraints. `columns` are the table's, by position.
    ///
    /// # Errors
    /// Those of the expressions.
    pub fn prepare(&self, ctx: &ExecContext<'_>, batch: Batch) -> Result<NewRows> {
        let mut image = batch;
        image.columns.truncate(self.table.codec.column_count());
        image.columns.push(Arc::new(Column::nulls(PhysicalType::Int64, image.rows)));
        for generated in &self.plan.generated {
            image.columns[generated.column] = ctx.eval(&generated.expr, &image)?;
        }
        let mut violations = Vec::new();
        if let Some(condition) = &self.plan.partition {
            let verdict = ctx.eval(condition, &image)?;
            let failed = image.active().filter(|row| verdict.datum(*row) == Datum::Bool(false));
            violations.extend(failed.map(|row| Violation { row, kind: ViolationKind::Partition }));
        }
        let elsewhere = violations.len();
        for position in &self.plan.not_null {
            let column = &image.columns[*position];
            if column.has_nulls() {
                let rows = image.active().filter(|row| column.is_null(*row));
                violations.extend(rows.map(|row| Violation { row, kind: ViolationKind::NotNull(*position) }));
            }
        }
        for (number, check) in self.plan.checks.iter().enumerate() {
            // A row with a NULL where none may be is refused anyway; its checks must not raise errors of their own.
            let nulls = &violations[elsewhere..];
            let rows = if nulls.is_empty() { image.clone() } else { self.without(&image, nulls) };
            let verdict = ctx.eval(&check.expr, &rows)?;
            let Some(bools) = verdict.as_bools() else {
                return Err(Error::internal("a check constraint is not boolean"));
            };
            let failed =
                rows.active().filter(|row| verdict.is_valid(*row) && !bools[*row * verdict.stride()]);
            violations.extend(failed.map(|row| Violation { row, kind: ViolationKind::Check(number) }));
        }
        Ok(NewRows { image, violations })
    }

    fn without(&self, image: &Batch, violations: &[Violation]) -> Batch {
        let sound = |row: &usize| !violations.iter().any(|violation| violation.row == *row);
        let rows: Vec<u16> = image.active().filter(sound).map(|row| row as u16).collect();
        image.clone().with_selection(Selection::new(rows))
    }

    /// Fails if something is wrong with a row.
    ///
    /// # Errors
    /// 23502, 23514.
    pub fn verify(&self, ctx: &ExecContext<'_>, new: &NewRows, row: usize) -> Result<()> {
        // That a row belongs elsewhere is told last.
        let mut own = new.violations.iter().filter(|violation| violation.row == row);
        let first = own.clone().find(|violation| !matches!(violation.kind, ViolationKind::Partition));
        match first.or_else(|| own.next()) {
            None => Ok(()),
            Some(violation) => Err(self.violation(ctx, new, violation)),
        }
    }

    /// Whether a row belongs to another partition.
    pub fn leaves_partition(&self, new: &NewRows, row: usize) -> bool {
        let elsewhere = |violation: &Violation| {
            violation.row == row && matches!(violation.kind, ViolationKind::Partition)
        };
        self.plan.partition.is_some() && new.violations.iter().any(elsewhere)
    }

    #[cold]
    fn violation(&self, ctx: &ExecContext<'_>, new: &NewRows, violation: &Violation) -> Error {
        let row = new.image.row(violation.row);
        let name = self.name(ctx);
        let format = ctx.statement.session.format();
        match violation.kind {
            ViolationKind::Partition => partition_violation(&name, &row, format),
            ViolationKind::NotNull(column) => not_null_violation(&name, column, &row, format),
            ViolationKind::Check(number) if self.plan.checks[number].of_view => {
                view_check_violation(&name, &self.plan.checks[number].name, &row, format)
            }
            ViolationKind::Check(number) => {
                check_violation(&name, &self.plan.checks[number].name, &row, format)
            }
        }
    }

    /// The table's name, for messages.
    pub fn name(&self, ctx: &ExecContext<'_>) -> TableName<'_> {
        let schema = ctx.statement.relations.namespace_name(self.table.descriptor.namespace);
        TableName { schema, table: &self.table }
    }

    /// As [`Target::insert`], for rows that come one after the other: those before a row that something is wrong with are
    /// inserted before that is told, since they may fail by themselves.
    ///
    /// # Errors
    /// As [`Target::insert`].
    pub fn insert_in_turn(&mut self, ctx: &ExecContext<'_>, new: &NewRows) -> Result<Vec<RowId>> {
        if let Some(first) = new.violations.iter().map(|violation| violation.row).min() {
            let before: Vec<u16> =
                new.image.active().filter(|row| *row < first).map(|row| row as u16).collect();
            if !before.is_empty() {
                self.insert(ctx, &new.of_rows(before))?;
            }
            self.verify(ctx, new, first)?;
        }
        self.insert(ctx, new)
    }

    /// Stores all active rows of a batch with their index entries. Their ids, by position in the batch (those of
    /// inactive rows are unspecified).
    ///
    /// # Errors
    /// 23502, 23514, 23505; errors of storage.
    pub fn insert(&mut self, ctx: &ExecContext<'_>, new: &NewRows) -> Result<Vec<RowId>> {
        let image = &new.image;
        let mut ids = vec![RowId::new(0, 0); image.rows];
        let txn = ctx.statement.txn;
        let version = self.table.codec.schema_version();
        if image.active_rows() < MANY_ROWS && !self.frozen {
            for row in image.active() {
                self.verify(ctx, new, row)?;
                self.encoder.encode(&self.table.codec, &image.columns, row)?;
                ids[row] = self.heap.insert(txn, &mut self.encoder.buffer, version)?;
            }
        } else {
            self.rows.clear();
            self.row_ids.clear();
            for row in image.active() {
                self.verify(ctx, new, row)?;
                self.encoder.encode(&self.table.codec, &image.columns, row)?;
                self.rows.push(&self.encoder.buffer);
            }
            self.heap.insert_many(txn, &mut self.rows, version, &mut self.row_ids)?;
            for (row, id) in image.active().zip(&self.row_ids) {
                ids[row] = *id;
            }
        }
        ctx.note_write();
        for number in 0..self.table.indexes.len() {
            let index = Arc::clone(&self.table.indexes[number]);
            let columns = ctx.with_eval(|eval| EntryColumns::compute(&index, image, eval))?;
            self.insert_entries(ctx, &index, &columns, image, &ids)?;
        }
        if let Some(serial) = txn.serial() {
            serial.check_insert(self.heap.relation())?;
        }
        if !self.references.is_empty() {
            self.check_references(ctx, image, &ids)?;
        }
        Ok(ids)
    }

    /// Adds the entries of all active rows to one index, in key order when there are many.
    fn insert_entries(
        &mut self,
        ctx: &ExecContext<'_>,
        index: &IndexAccess,
        columns: &EntryColumns,
        image: &Batch,
        ids: &[RowId],
    ) -> Result<()> {
        let single = index.has_single_entries();
        if single && (image.active_rows() < MANY_ROWS || !index.descriptor.immediate) {
            for row in image.active().filter(|row| columns.is_included(*row)) {
                columns.write(index, row, &mut self.entry)?;
                self.insert_entry(ctx, index, columns, row, ids[row])?;
            }
            return Ok(());
        }
        let mut run = std::mem::take(&mut self.run);
        run.clear();
        for row in image.active().filter(|row| columns.may_have_entries(index, *row)) {
            let checked = is_checked(index, columns, row);
            if !single {
                columns.entries(index, row, ids[row], &mut self.several)?;
                for entry in &self.several {
                    let checked = checked && !index.is_memo(&entry.key);
                    run.push(&entry.key, &entry.payload, ids[row], checked, row);
                }
                continue;
            }
            columns.write(index, row, &mut self.entry)?;
            run.push(&self.entry.key, &self.entry.payload, ids[row], checked, row);
        }
        run.sort();
        let xid = ctx.statement.txn.assign_xid()?;
        let mut next = index.tree.insert_run(xid, &run, 0)?;
        while next < run.len() {
            // Its key may be there already: the heap must be asked.
            let (key, payload, rid) = run.entry(next);
            self.entry.key.clear();
            self.entry.key.extend_from_slice(key);
            self.entry.payload.clear();
            self.entry.payload.extend_from_slice(payload);
            self.insert_entry(ctx, index, columns, run.number(next), rid)?;
            next = index.tree.insert_run(xid, &run, next + 1)?;
        }
        if let Some(serial) = ctx.statement.txn.serial() {
            let keys = (0..run.len()).map(|number| run.entry(number).0);
            keys.into_iter().try_for_each(|key| serial.check_key(index.tree.relation(), key))?;
        }
        self.run = run;
        Ok(())
    }

    /// Adds `self.entry`, which was written from `row`, to an index.
    ///
    /// # Errors
    /// 23505.
    pub fn insert_entry(
        &self,
        ctx: &ExecContext<'_>,
        index: &IndexAccess,
        columns: &EntryColumns,
        row: usize,
        rid: RowId,
    ) -> Result<()> {
        match self.try_insert_entry(ctx, index, columns, row, rid)? {
            None => Ok(()),
            Some(_) => Err(self.duplicate(ctx, index, columns, row)),
        }
    }

    /// As [`Target::insert_entry`]; the row that has the key already, if there is one.
    ///
    /// # Errors
    /// Errors of storage, and of waiting.
    pub fn try_insert_entry(
        &self,
        ctx: &ExecContext<'_>,
        index: &IndexAccess,
        columns: &EntryColumns,
        row: usize,
        rid: RowId,
    ) -> Result<Option<RowId>> {
        let txn = ctx.statement.txn;
        let xid = txn.assign_xid()?;
        let Entry { key, payload } = &self.entry;
        let checked = is_checked(index, columns, row);
        let shared = checked && !index.descriptor.immediate;
        let other = if checked && !shared {
            let mut checker = HeapUniqueChecker::new(ctx, &self.table, &self.heap, index, key);
            match index.tree.insert_unique(xid, key, payload, rid, &mut checker)? {
                UniqueOutcome::Inserted => None,
                UniqueOutcome::Conflict(other) => Some(other),
            }
        } else {
            index.tree.insert(xid, key, payload, rid)?;
            None
        };
        // Before a duplicate is reported: one that a concurrent transaction inserted after the key was looked for in
        // vain is a failure to serialize.
        if let Some(serial) = txn.serial() {
            serial.check_key(index.tree.relation(), key)?;
        }
        if shared {
            self.share_key(ctx, index, rid)?;
        }
        Ok(other)
    }

    /// Adds some of the entries of a row that has several; the row that has a key already, if there is one.
    ///
    /// # Errors
    /// As [`Target::try_insert_entry`].
    pub fn try_insert_several(
        &mut self,
        ctx: &ExecContext<'_>,
        index: &IndexAccess,
        columns: &EntryColumns,
        row: usize,
        rid: RowId,
        mut entries: Vec<Entry>,
    ) -> Result<Option<RowId>> {
        index.order_for_insertion(&mut entries);
        for entry in entries {
            if index.is_memo(&entry.key) {
                let xid = ctx.statement.txn.assign_xid()?;
                index.tree.insert(xid, &entry.key, &entry.payload, rid)?;
                continue;
            }
            self.entry = entry;
            if let Some(other) = self.try_insert_entry(ctx, index, columns, row, rid)? {
                return Ok(Some(other));
            }
        }
        Ok(None)
    }

    /// Notes that the key of `self.entry`, which was just inserted for a row, may be another row's too. Of two
    /// transactions that insert one key, the second to do it sees the first one's entry.
    fn share_key(&self, ctx: &ExecContext<'_>, index: &IndexAccess, rid: RowId) -> Result<()> {
        let key = &self.entry.key;
        let mut rows = Vec::new();
        index.tree.lookup_equal(key, &mut rows)?;
        if rows.iter().all(|row| *row == rid) {
            return Ok(());
        }
        let relations = ctx.statement.relations;
        let constraints = &self.table.descriptor.constraints;
        let constraint =
            constraints.iter().find(|constraint| Some(constraint.oid) == index.descriptor.constraint);
        if let (Some(constraint), Some(deferred)) = (constraint, relations.deferred()) {
            let mut deferred = deferred.borrow_mut();
            if deferred.timing.is_deferred(constraint) {
                let marks = deferred.marks(constraint.oid, self.table.descriptor.oid);
                marks.index_keys.push(key.clone());
                return Ok(());
            }
        }
        let index = self.table.index(index.descriptor.oid)?;
        ctx.run.after.borrow_mut().share_key(&self.table, index, key);
        Ok(())
    }

    /// 23505 for a row.
    #[cold]
    pub fn duplicate(
        &self,
        ctx: &ExecContext<'_>,
        index: &IndexAccess,
        columns: &EntryColumns,
        row: usize,
    ) -> Error {
        unique_violation(&self.name(ctx), index, &columns.key_values(row), ctx.statement.session.format())
    }
}

/// Whether a row's key must be the only one of its kind in an index.
pub fn is_checked(index: &IndexAccess, columns: &EntryColumns, row: usize) -> bool {
    index.descriptor.unique && (index.descriptor.nulls_not_distinct || !columns.has_null_key(row))
}

/// The image with the rows' ids.
pub fn with_row_ids(mut image: Batch, ids: &[RowId]) -> Batch {
    let column = Column::from(ids.iter().map(|id| id.to_u64() as i64).collect::<Vec<i64>>());
    *image.columns.last_mut().expect("an image ends with the row id") = Arc::new(column);
    image
}
