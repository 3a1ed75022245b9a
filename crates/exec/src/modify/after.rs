//! What is left to do when a statement has changed its rows: checks of foreign keys, their actions, and checks of
//! deferrable unique constraints.
//!
//! # Role
//! Writing a row leaves an entry here when the row has a foreign key, when its key is referred to, or when it shares a
//! key of a deferrable unique index. [`finish`] works the entries off when the statement's operators have ended;
//! actions change further rows and leave further entries, until there are none. Tables without such constraints leave
//! nothing.
//!
//! # How
//! Rows to check are kept as the bytes of the key they refer to, many beside each other in one buffer; they are sorted, so
//! that each key is looked up once ([`Probe`]). What is found early, before the buffer grows large, is done with: its
//! row is locked. The rest is kept, spilled beyond `work_mem`, and looked at again at the end. An action is one plan a
//! constraint, run for each key.
//!
//! # Differences
//! PostgreSQL fires all triggers of a row before those of the next; here each constraint goes through its rows by itself,
//! actions before checks.

use std::collections::VecDeque;
use std::mem::take;
use std::sync::Arc;

use ochre_base::{Oid, Result, RowId};
use ochre_catalog::ReferentialAction;
use ochre_sql::physical::{PlannedStatement, ReferencedKey};
use ochre_types::{Batch, Column, ColumnBuilder, Datum, PhysicalType};

use crate::codec::RowDecoder;
use crate::context::{ExecContext, Frame, StatementContext};
use crate::execution::Execution;
use crate::index_build::each_batch;
use crate::modify::deferred::Marks;
use crate::modify::errors::{
    foreign_key_violation, misfit_foreign_key, mixed_key_violation, partition_referenced, still_referenced,
    unique_violation,
};
use crate::modify::probe::{Hold, Probe};
use crate::modify::reference::{KeyForm, Reference};
use crate::modify::target::Target;
use crate::modify::triggers::{Firing, Transitions, TriggerEvent};
use crate::modify::unique::HeapUniqueChecker;
use crate::relation::{IndexAccess, ReferentialQuery, RelationSource, TableAccess};
use crate::row_store::RowStore;
use crate::run_state::RunState;

/// So many rows wait before those are checked whose keys are there already.
const EARLY_CHECK_ROWS: usize = 32_768;
/// Rows of a batch in the store.
const STORE_ROWS: usize = 2_048;

/// What a statement has left to do.
#[derive(Default)]
pub struct AfterStatement {
    checks: Vec<PendingChecks>,
    actions: Vec<PendingActions>,
    unique: Vec<PendingUnique>,
    /// Triggers that fire at the statement's end, in order.
    triggers: VecDeque<Firing>,
    /// Tables and events whose statement triggers have fired.
    begun: Vec<(Oid, TriggerEvent)>,
    /// Rows for triggers with transition tables.
    transitions: Vec<(Oid, TriggerEvent, Transitions)>,
}

/// Rows whose foreign key is to be checked.
struct PendingChecks {
    reference: Arc<Reference>,
    keys: Vec<u8>,
    rows: Vec<PendingRow>,
    /// Rows whose keys were not there when they were looked for early.
    kept: Option<RowStore>,
}

struct PendingRow {
    /// Where its key ends.
    end: u32,
    form: KeyForm,
    rid: RowId,
}

/// Keys that went, for one foreign key that refers to them.
struct PendingActions {
    key: Arc<ReferencedKey>,
    update: bool,
    types: Arc<[PhysicalType]>,
    builders: Vec<ColumnBuilder>,
    buffered: usize,
    store: Option<RowStore>,
}

/// Keys of a deferrable unique index that more than one row may have.
struct PendingUnique {
    table: Arc<TableAccess>,
    index: Arc<IndexAccess>,
    keys: Vec<Vec<u8>>,
}

impl AfterStatement {
    /// Notes that a statement begins to change a table; whether it is the first to do so.
    pub fn begin_statement(&mut self, table: Oid, event: TriggerEvent) -> bool {
        let first = !self.begun.contains(&(table, event));
        if first {
            self.begun.push((table, event));
        }
        first
    }

    /// The rows that triggers with transition tables are shown.
    pub fn transitions(&mut self, table: Oid, event: TriggerEvent) -> Transitions {
        if let Some((.., rows)) = self.transitions.iter().find(|(oid, of, _)| (*oid, *of) == (table, event)) {
            return Arc::clone(rows);
        }
        let rows = Transitions::default();
        self.transitions.push((table, event, Arc::clone(&rows)));
        rows
    }

    /// Queues a trigger.
    pub fn fire_later(&mut self, firing: Firing) {
        self.triggers.push_back(firing);
    }

    /// Queues a statement trigger: it fires once, behind all that came before it by then.
    pub fn fire_last(&mut self, firing: Firing) {
        let oid = firing.trigger.oid;
        self.triggers.retain(|queued| queued.trigger.oid != oid || queued.event != firing.event);
        self.triggers.push_back(firing);
    }

    fn checks_of(&mut self, reference: &Arc<Reference>) -> &mut PendingChecks {
        let oid = reference.plan.constraint.oid;
        let found = self.checks.iter().position(|pending| pending.reference.plan.constraint.oid == oid);
        let at = found.unwrap_or_else(|| {
            self.checks.push(PendingChecks {
                reference: Arc::clone(reference),
                keys: Vec::new(),
                rows: Vec::new(),
                kept: None,
            });
            self.checks.len() - 1
        });
        &mut self.checks[at]
    }

    /// Notes that a row refers to the key at the end of `key`.
    pub fn check_row(&mut self, reference: &Arc<Reference>, form: KeyForm, key: &[u8], rid: RowId) {
        let pending = self.checks_of(reference);
        pending.keys.extend_from_slice(key);
        pending.rows.push(PendingRow { end: pending.keys.len() as u32, form, rid });
    }

    /// Notes that a row's key went; of an update with the new one behind it.
    ///
    /// # Errors
    /// Errors of temporary files.
    pub fn act(
        &mut self,
        ctx: &ExecContext<'_>,
        key: &Arc<ReferencedKey>,
        update: bool,
        values: impl Iterator<Item = Datum>,
        types: &[PhysicalType],
    ) -> Result<()> {
        let oid = key.constraint.oid;
        let found = self.actions.iter().position(|a| a.key.constraint.oid == oid && a.update == update);
        let at = found.unwrap_or_else(|| {
            self.actions.push(PendingActions {
                key: Arc::clone(key),
                update,
                types: types.into(),
                builders: types.iter().map(|ty| ColumnBuilder::new(*ty, 0)).collect(),
                buffered: 0,
                store: None,
            });
            self.actions.len() - 1
        });
        let pending = &mut self.actions[at];
        for (builder, value) in pending.builders.iter_mut().zip(values) {
            builder.push(&value);
        }
        pending.buffered += 1;
        if pending.buffered == STORE_ROWS { pending.flush(ctx) } else { Ok(()) }
    }

    /// Notes that other rows may have a key of a deferrable unique index.
    pub fn share_key(&mut self, table: &Arc<TableAccess>, index: &Arc<IndexAccess>, key: &[u8]) {
        let oid = index.descriptor.oid;
        let found = self.unique.iter().position(|pending| pending.index.descriptor.oid == oid);
        let at = found.unwrap_or_else(|| {
            let (table, index) = (Arc::clone(table), Arc::clone(index));
            self.unique.push(PendingUnique { table, index, keys: Vec::new() });
            self.unique.len() - 1
        });
        self.unique[at].keys.push(key.to_vec());
    }

    /// Checks rows early when many wait.
    ///
    /// # Errors
    /// As [`finish`].
    pub fn relieve(&mut self, ctx: &ExecContext<'_>) -> Result<()> {
        for pending in &mut self.checks {
            if pending.rows.len() >= EARLY_CHECK_ROWS {
                pending.check_early(ctx)?;
            }
        }
        Ok(())
    }
}

/// Does what a statement has left to do.
///
/// # Errors
/// 23503, 23001, 23505; those of actions; 40001; errors of storage and of waiting.
pub fn finish(ctx: &ExecContext<'_>) -> Result<()> {
    loop {
        let (actions, unique, checks) = {
            let mut after = ctx.run.after.borrow_mut();
            let after = &mut *after;
            (take(&mut after.actions), take(&mut after.unique), take(&mut after.checks))
        };
        if !actions.is_empty() || !unique.is_empty() || !checks.is_empty() {
            // What the statement wrote is seen by what follows.
            ctx.statement.txn.advance_command()?;
            for pending in actions {
                pending.run(ctx)?;
            }
            for pending in unique {
                pending.run(ctx)?;
            }
            for mut pending in checks {
                pending.run(ctx)?;
            }
            continue;
        }
        let next = ctx.run.after.borrow_mut().triggers.pop_front();
        let Some(firing) = next else {
            ctx.run.after.take();
            return Ok(());
        };
        ctx.check_interrupts()?;
        ctx.statement.relations.fire_trigger(&firing)?;
    }
}

/// Works marks off that waited for the end of the transaction.
///
/// # Errors
/// As [`finish`].
pub fn run_deferred(statement: &StatementContext<'_>, marks: &[(ochre_base::Oid, Marks)]) -> Result<()> {
    let (run, frame) = (RunState::empty(), Frame::default());
    let ctx = ExecContext::new(statement, &run, &frame);
    let relations = statement.relations;
    for (constraint, marks) in marks {
        let Some(constraint) = relations.constraint(*constraint) else { continue };
        if !marks.index_keys.is_empty() {
            let table = relations.table_by_oid(constraint.table)?;
            let index = Arc::clone(table.index(constraint.index)?);
            PendingUnique { table, index, keys: marks.index_keys.clone() }.run(&ctx)?;
        }
        let Some(plan) = relations.foreign_key(&constraint)? else { continue };
        let reference = Arc::new(Reference::open(&plan, relations)?);
        if !marks.rows.is_empty() {
            recheck_rows(&ctx, &reference, &marks.rows)?;
        }
        for (update, key) in &marks.keys {
            let key_columns = ochre_sql::bind::referenced_key(&constraint);
            let Some(referenced) = key_columns else { continue };
            let referenced = Arc::new(referenced);
            let mut action = Action::new(&ctx, &referenced, *update, ReferentialAction::NoAction)?;
            action.run(&ctx, key, &[])?;
        }
    }
    finish(&ctx)
}

/// Checks the rows of a table that is locked against changes, for a constraint that is new to them.
///
/// # Errors
/// 23503; errors of storage.
pub fn validate_foreign_key(
    statement: &StatementContext<'_>,
    plan: &Arc<ochre_sql::physical::ForeignKeyCheck>,
) -> Result<()> {
    let relations = statement.relations;
    let table = relations.table_by_oid(plan.constraint.table)?;
    let reference = Arc::new(Reference::open(plan, relations)?);
    let mut after = AfterStatement::default();
    let mut key = Vec::new();
    each_batch(statement, &table, |ctx, image| {
        let keys = reference.keys(ctx, &image)?;
        let ids = image.columns.last().and_then(|column| column.as_i64s()).unwrap_or_default();
        for row in image.active() {
            key.clear();
            let form = reference.write(&keys, row, &mut key)?;
            if form != KeyForm::Nothing {
                after.check_row(&reference, form, &key, RowId::from_u64(ids[row] as u64));
            }
        }
        for pending in after.checks.iter_mut().filter(|pending| pending.rows.len() >= EARLY_CHECK_ROWS) {
            pending.check_all(ctx, Hold::Nothing, false)?;
        }
        Ok(true)
    })?;
    let (run, frame) = (RunState::empty(), Frame::default());
    let ctx = ExecContext::new(statement, &run, &frame);
    for pending in &mut after.checks {
        pending.check_all(&ctx, Hold::Nothing, false)?;
    }
    Ok(())
}

/// Fails when a row refers to a key of a partition that is about to go. The plan is that of a foreign key to the partition
/// alone, of a table that is locked against changes; messages name the table `named`.
///
/// # Errors
/// 23503; errors of storage.
pub fn check_partition_unreferenced(
    statement: &StatementContext<'_>,
    plan: &Arc<ochre_sql::physical::ForeignKeyCheck>,
    named: ochre_base::Oid,
) -> Result<()> {
    let relations = statement.relations;
    let table = relations.table_by_oid(plan.constraint.table)?;
    let reference = Reference::open(plan, relations)?;
    let mut key = Vec::new();
    let mut found: Option<Vec<Datum>> = None;
    each_batch(statement, &table, |ctx, image| {
        let keys = reference.keys(ctx, &image)?;
        let mut probe = Probe::new(ctx, &reference, Hold::Nothing)?;
        for row in image.active() {
            key.clear();
            if reference.write(&keys, row, &mut key)? == KeyForm::Key && probe.find(ctx, &key)? {
                found = Some(plan.columns.iter().map(|at| image.columns[*at].datum(row)).collect());
                return Ok(false);
            }
        }
        Ok(true)
    })?;
    let Some(values) = found else { return Ok(()) };
    let named = relations.table_by_oid(named)?;
    let schema = relations.namespace_name(named.descriptor.namespace);
    let name = crate::modify::errors::TableName { schema, table: &named };
    Err(partition_referenced(&name, &plan.constraint, &reference.parent, &values, statement.session.format()))
}

/// Checks rows by what they are now.
fn recheck_rows(ctx: &ExecContext<'_>, reference: &Arc<Reference>, rows: &[RowId]) -> Result<()> {
    let table = ctx.statement.relations.table_by_oid(reference.plan.constraint.table)?;
    let heap = table.heap()?;
    let mut decoder = RowDecoder::all_columns(&table.codec);
    let mut key = Vec::new();
    for chunk in rows.chunks(STORE_ROWS) {
        ctx.check_interrupts()?;
        let snapshot = ctx.statement.txn.current_snapshot()?;
        let mut seen: Vec<RowId> = Vec::with_capacity(chunk.len());
        for rid in chunk {
            let pushed = heap.fetch(&snapshot, *rid, |version| decoder.push(&version))?;
            if let Some(pushed) = pushed {
                pushed?;
                seen.push(*rid);
            }
        }
        let image = decoder.take(heap)?;
        let keys = reference.keys(ctx, &image)?;
        let mut after = ctx.run.after.borrow_mut();
        for (row, rid) in seen.iter().enumerate() {
            key.clear();
            let form = reference.write(&keys, row, &mut key)?;
            if form != KeyForm::Nothing {
                after.check_row(reference, form, &key, *rid);
            }
        }
        after.relieve(ctx)?;
    }
    Ok(())
}

impl PendingChecks {
    fn key(&self, number: usize) -> &[u8] {
        let start = if number == 0 { 0 } else { self.rows[number - 1].end as usize };
        &self.keys[start..self.rows[number].end as usize]
    }

    /// Looks rows up before the statement's end, keeping those whose keys are not there.
    fn check_early(&mut self, ctx: &ExecContext<'_>) -> Result<()> {
        if self.reference.is_own() {
            // The keys may be on their way.
            let all: Vec<usize> = (0..self.rows.len()).collect();
            return self.keep(ctx, &all);
        }
        self.check_all(ctx, Hold::KeyShare { as_seen: true }, true)
    }

    /// Puts rows aside.
    fn keep(&mut self, ctx: &ExecContext<'_>, numbers: &[usize]) -> Result<()> {
        let types: Arc<[PhysicalType]> =
            Arc::from([PhysicalType::Bytes, PhysicalType::Int64, PhysicalType::Int32]);
        let mut store = match self.kept.take() {
            Some(store) => store,
            None => RowStore::new(types, ctx.temp(), ctx.work_mem_bytes()),
        };
        for chunk in numbers.chunks(STORE_ROWS) {
            let mut keys = ColumnBuilder::new(PhysicalType::Bytes, chunk.len());
            let (mut ids, mut forms) = (Vec::with_capacity(chunk.len()), Vec::with_capacity(chunk.len()));
            for number in chunk {
                keys.push(&Datum::text(self.key(*number).to_vec()));
                ids.push(self.rows[*number].rid.to_u64() as i64);
                forms.push(self.rows[*number].form as i32);
            }
            let columns =
                vec![Arc::new(keys.finish()), Arc::new(Column::from(ids)), Arc::new(Column::from(forms))];
            store.append(Batch::new(columns, chunk.len()))?;
        }
        self.kept = Some(store);
        self.keys.clear();
        self.rows.clear();
        Ok(())
    }

    fn run(&mut self, ctx: &ExecContext<'_>) -> Result<()> {
        let hold = Hold::KeyShare { as_seen: true };
        let Some(store) = self.kept.take() else { return self.check_all(ctx, hold, false) };
        // Those that were put aside came first.
        let (keys, rows) = (std::mem::take(&mut self.keys), std::mem::take(&mut self.rows));
        for number in 0..store.batch_count() {
            let Some(batch) = store.batch(number)? else { break };
            for row in batch.active() {
                let Datum::Bytes(key) = batch.columns[0].datum(row) else { continue };
                let rid = batch.columns[1].datum(row).as_i64().unwrap_or_default();
                let form = match batch.columns[2].datum(row).as_i64() {
                    Some(form) if form == KeyForm::Mixed as i64 => KeyForm::Mixed,
                    Some(form) if form == KeyForm::Unmatched as i64 => KeyForm::Unmatched,
                    _ => KeyForm::Key,
                };
                self.keys.extend_from_slice(&key);
                let end = self.keys.len() as u32;
                self.rows.push(PendingRow { end, form, rid: RowId::from_u64(rid as u64) });
            }
            if self.rows.len() >= EARLY_CHECK_ROWS {
                self.check_all(ctx, hold, false)?;
            }
        }
        self.check_all(ctx, hold, false)?;
        (self.keys, self.rows) = (keys, rows);
        self.check_all(ctx, hold, false)
    }

    /// Looks all waiting rows up; those that refer to nothing fail, or are kept when it is `early`.
    fn check_all(&mut self, ctx: &ExecContext<'_>, hold: Hold, early: bool) -> Result<()> {
        let reference = Arc::clone(&self.reference);
        let mut order: Vec<usize> = (0..self.rows.len()).collect();
        if order.len() > 1 {
            order.sort_by(|a, b| self.key(*a).cmp(self.key(*b)));
        }
        let mut probe = Probe::new(ctx, &reference, hold)?;
        let mut missing: Vec<usize> = Vec::new();
        let mut last: Option<(usize, bool)> = None;
        for (count, number) in order.into_iter().enumerate() {
            if count % 64 == 63 {
                ctx.check_interrupts()?;
            }
            let found = match (self.rows[number].form, last) {
                (KeyForm::Key, Some((other, found)))
                    if self.rows[other].form == KeyForm::Key && self.key(other) == self.key(number) =>
                {
                    found
                }
                (KeyForm::Key, _) => probe.find(ctx, self.key(number))?,
                _ => false,
            };
            last = Some((number, found));
            if !found {
                missing.push(number);
            }
        }
        missing.sort_unstable();
        if early {
            return self.keep(ctx, &missing);
        }
        for number in missing {
            self.verify(ctx, number)?;
        }
        self.keys.clear();
        self.rows.clear();
        Ok(())
    }

    /// A row that refers to nothing fails, if it still does: it may have gone or changed since it was noted.
    #[cold]
    fn verify(&self, ctx: &ExecContext<'_>, number: usize) -> Result<()> {
        let reference = &self.reference;
        let table = ctx.statement.relations.table_by_oid(reference.plan.constraint.table)?;
        let heap = table.heap()?;
        let mut decoder = RowDecoder::all_columns(&table.codec);
        let snapshot = ctx.statement.txn.current_snapshot()?;
        let seen = heap.fetch(&snapshot, self.rows[number].rid, |version| decoder.push(&version))?;
        if seen.transpose()?.is_none() {
            return Ok(());
        }
        let image = decoder.take(heap)?;
        let mut key = Vec::new();
        let form = reference.write(&reference.keys(ctx, &image)?, 0, &mut key)?;
        if form != self.rows[number].form || key != self.key(number) {
            return Ok(());
        }
        let schema = ctx.statement.relations.namespace_name(table.descriptor.namespace);
        let name = crate::modify::errors::TableName { schema, table: &table };
        let constraint = &reference.plan.constraint;
        if form == KeyForm::Mixed {
            return Err(mixed_key_violation(&name, constraint));
        }
        let row = image.row(0);
        let values: Vec<Datum> = reference.plan.columns.iter().map(|at| row[*at].clone()).collect();
        let format = ctx.statement.session.format();
        Err(foreign_key_violation(&name, constraint, &reference.parent.descriptor.name, &values, format))
    }
}

impl PendingActions {
    fn flush(&mut self, ctx: &ExecContext<'_>) -> Result<()> {
        let rows = std::mem::take(&mut self.buffered);
        if rows == 0 {
            return Ok(());
        }
        let columns = self.builders.iter_mut().map(|builder| Arc::new(builder.take())).collect();
        let (types, temp) = (Arc::clone(&self.types), ctx.temp());
        let store = self.store.get_or_insert_with(|| RowStore::new(types, temp, ctx.work_mem_bytes()));
        store.append(Batch::new(columns, rows))
    }

    fn run(mut self, ctx: &ExecContext<'_>) -> Result<()> {
        self.flush(ctx)?;
        let Some(store) = self.store.take() else { return Ok(()) };
        let Some(foreign) = &self.key.constraint.foreign else { return Ok(()) };
        let kind = if self.update { foreign.on_update } else { foreign.on_delete };
        let mut action = Action::new(ctx, &self.key, self.update, kind)?;
        for number in 0..store.batch_count() {
            let Some(batch) = store.batch(number)? else { break };
            for row in batch.active() {
                ctx.check_interrupts()?;
                let values = batch.row(row);
                let (old, new) = values.split_at(self.key.columns.len());
                action.run(ctx, old, new)?;
            }
        }
        Ok(())
    }
}

/// The action of a foreign key, ready to be run for keys.
struct Action<'a> {
    key: &'a Arc<ReferencedKey>,
    kind: ReferentialAction,
    reference: Reference,
    change: Option<Nested>,
    find: Option<Nested>,
}

impl<'a> Action<'a> {
    fn new(
        ctx: &ExecContext<'_>,
        key: &'a Arc<ReferencedKey>,
        update: bool,
        kind: ReferentialAction,
    ) -> Result<Action<'a>> {
        let relations = ctx.statement.relations;
        let plan = relations.foreign_key(&key.constraint)?;
        let plan = plan.ok_or_else(|| misfit_foreign_key(&key.constraint))?;
        let change = match kind {
            ReferentialAction::NoAction | ReferentialAction::Restrict => None,
            ReferentialAction::Cascade if update => Some(ReferentialQuery::UpdateKey),
            ReferentialAction::Cascade => Some(ReferentialQuery::Delete),
            ReferentialAction::SetNull => Some(ReferentialQuery::SetNull { on_delete: !update }),
            ReferentialAction::SetDefault => Some(ReferentialQuery::SetDefault { on_delete: !update }),
        };
        let find = matches!(
            kind,
            ReferentialAction::NoAction | ReferentialAction::Restrict | ReferentialAction::SetDefault
        );
        let nested = |query| Nested::new(&relations.referential_plan(&key.constraint, query)?, relations);
        Ok(Action {
            key,
            kind,
            reference: Reference::open(&plan, relations)?,
            change: change.map(nested).transpose()?,
            find: find.then(|| nested(ReferentialQuery::Find)).transpose()?,
        })
    }

    /// Runs it for one key.
    fn run(&mut self, ctx: &ExecContext<'_>, old: &[Datum], new: &[Datum]) -> Result<()> {
        if let Some(change) = &mut self.change {
            ctx.statement.txn.advance_command()?;
            let parameters: Vec<Datum> = old.iter().chain(new).cloned().collect();
            change.run(ctx, &parameters)?;
        }
        let Some(find) = &mut self.find else { return Ok(()) };
        if self.change.is_some() {
            ctx.statement.txn.advance_command()?;
        }
        if self.kind != ReferentialAction::Restrict {
            // Another row may have taken the key.
            let key = self.reference.index_key(old)?;
            if Probe::new(ctx, &self.reference, Hold::KeyShare { as_seen: false })?.find(ctx, &key)? {
                return Ok(());
            }
        }
        if find.run(ctx, old)? == 0 {
            return Ok(());
        }
        let relations = ctx.statement.relations;
        let child = relations.table_by_oid(self.key.constraint.table)?;
        let schema = relations.namespace_name(child.descriptor.namespace);
        let name = crate::modify::errors::TableName { schema, table: &child };
        let restrict = self.kind == ReferentialAction::Restrict;
        let format = ctx.statement.session.format();
        Err(still_referenced(&name, &self.key.constraint, &self.reference.parent, old, restrict, format))
    }
}

/// A statement that runs within another one.
struct Nested {
    execution: Execution,
    used: bool,
}

impl Nested {
    fn new(plan: &Arc<PlannedStatement>, relations: &dyn RelationSource) -> Result<Nested> {
        Ok(Nested { execution: Execution::new(plan, relations)?, used: false })
    }

    /// Runs it with these parameters; the number of rows that it gave or changed. It sees what is committed by now, but
    /// where the transaction has a snapshot of its own it may change nothing that this does not see.
    fn run(&mut self, ctx: &ExecContext<'_>, parameters: &[Datum]) -> Result<u64> {
        let txn = ctx.statement.txn;
        let snapshot = txn.newest_snapshot()?;
        let nested = StatementContext { params: parameters, snapshot: &snapshot, ..*ctx.statement };
        if std::mem::replace(&mut self.used, true) {
            self.execution.restart(&nested)?;
        }
        let crosscheck =
            if txn.isolation().uses_transaction_snapshot() { Some(txn.current_snapshot()?) } else { None };
        self.execution.run_nested(&nested, crosscheck, &ctx.run.after)
    }
}

impl PendingUnique {
    fn run(self, ctx: &ExecContext<'_>) -> Result<()> {
        let heap = self.table.heap()?;
        let mut rows = Vec::new();
        for (count, key) in self.keys.iter().enumerate() {
            if count % 64 == 63 {
                ctx.check_interrupts()?;
            }
            let mut checker = HeapUniqueChecker::new(ctx, &self.table, heap, &self.index, key);
            loop {
                rows.clear();
                self.index.tree.lookup_equal(key, &mut rows)?;
                match checker.count_live(&rows)? {
                    None => continue,
                    Some(0 | 1) => break,
                    Some(_) => return Err(self.duplicate(ctx, key)),
                }
            }
        }
        Ok(())
    }

    #[cold]
    fn duplicate(&self, ctx: &ExecContext<'_>, key: &[u8]) -> ochre_base::Error {
        let values = self.index.decode_key(key);
        let schema = ctx.statement.relations.namespace_name(self.table.descriptor.namespace);
        let name = crate::modify::errors::TableName { schema, table: &self.table };
        unique_violation(&name, &self.index, &values.unwrap_or_default(), ctx.statement.session.format())
    }
}

impl Target {
    /// Notes what new rows refer to. `image` holds them, `ids` their ids by position.
    ///
    /// # Errors
    /// Those of conversions; what checking early fails with.
    pub fn check_references(&self, ctx: &ExecContext<'_>, image: &Batch, ids: &[RowId]) -> Result<()> {
        let mut key = Vec::new();
        let mut after = ctx.run.after.borrow_mut();
        for reference in &self.references {
            let keys = reference.keys(ctx, image)?;
            for row in image.active() {
                key.clear();
                let form = reference.write(&keys, row, &mut key)?;
                note_row(ctx, &mut after, reference, form, &key, ids[row]);
            }
        }
        after.relieve(ctx)
    }
}

/// Notes what a row refers to, for the end of the statement or of the transaction.
pub fn note_row(
    ctx: &ExecContext<'_>,
    after: &mut AfterStatement,
    reference: &Arc<Reference>,
    form: KeyForm,
    key: &[u8],
    rid: RowId,
) {
    if form == KeyForm::Nothing {
        return;
    }
    let constraint = &reference.plan.constraint;
    if constraint.deferrable
        && let Some(deferred) = ctx.statement.relations.deferred()
    {
        let mut deferred = deferred.borrow_mut();
        if deferred.timing.is_deferred(constraint) {
            deferred.marks(constraint.oid, constraint.table).rows.push(rid);
            return;
        }
    }
    after.check_row(reference, form, key, rid);
}

/// Notes that a row's key went, for the end of the statement or of the transaction. `old` and `new` are in the
/// constraint's order, `new` empty when the row was deleted.
///
/// # Errors
/// Errors of temporary files.
pub fn note_key(
    ctx: &ExecContext<'_>,
    table: &TableAccess,
    key: &Arc<ReferencedKey>,
    old: Vec<Datum>,
    new: Vec<Datum>,
) -> Result<()> {
    if old.iter().any(Datum::is_null) {
        return Ok(());
    }
    let constraint = &key.constraint;
    let update = !new.is_empty();
    let foreign = constraint.foreign.as_ref();
    let action = foreign.map(|foreign| if update { foreign.on_update } else { foreign.on_delete });
    if constraint.deferrable
        && action == Some(ReferentialAction::NoAction)
        && let Some(deferred) = ctx.statement.relations.deferred()
    {
        let mut deferred = deferred.borrow_mut();
        if deferred.timing.is_deferred(constraint) {
            deferred.marks(constraint.oid, table.descriptor.oid).keys.push((update, old));
            return Ok(());
        }
    }
    let mut types: Vec<PhysicalType> =
        key.columns.iter().map(|at| table.codec.column_type(*at).physical).collect();
    if update {
        types.extend_from_within(..);
    }
    ctx.run.after.borrow_mut().act(ctx, key, update, old.into_iter().chain(new), &types)
}
