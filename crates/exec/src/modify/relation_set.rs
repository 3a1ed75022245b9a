//! UPDATE and DELETE of the rows of a set of relations: a table and what inherits from it.
//!
//! # How
//! The source tells each row's relation. Rows of one relation that follow each other go to the operator of that relation
//! together, which does with them what it does for its table alone. An operator is made when its relation's first row comes:
//! a statement over a thousand partitions opens those that it finds rows in.

use std::sync::Arc;

use ochre_base::{Error, Oid, Result, RowId, SqlState};
use ochre_catalog::RelationDescriptor;
use ochre_sql::physical::{CommandKind, ModifySetPart, ModifySetPlan, PartPlan, ReferencedKey, ScanColumn};
use ochre_types::{Batch, Column, PhysicalType, Selection};

use crate::build::physical_types;
use crate::codec::RowDecoder;
use crate::columns::concat_batches;
use crate::modify::after::note_key;
use crate::modify::delete::Delete;
use crate::modify::routed_insert::Router;
use crate::modify::triggers::{TriggerEvent, Triggers};
use crate::modify::update::{Update, join_batches, note_changed_key};
use crate::operator::Nothing;
use crate::relation::{RelationSource, TableAccess};
use crate::{BoxOperator, ExecContext, Operator};

/// Changes the rows of its source, each in its relation.
pub struct ModifySet {
    source: BoxOperator,
    types: Vec<PhysicalType>,
    /// The types of the named table's columns.
    width: Vec<PhysicalType>,
    table_oid: usize,
    row_id: usize,
    parts: Vec<Part>,
    /// The statement triggers of the table that is named.
    triggers: Option<Box<Triggers>>,
    /// Where rows go that leave their partition.
    router: Option<Router>,
    /// The table that is named, and the foreign keys to it that moved rows concern.
    table: Arc<RelationDescriptor>,
    moved_keys: Vec<Arc<ReferencedKey>>,
    is_root: bool,
}

/// A relation of the set.
struct Part {
    oid: Oid,
    plan: ModifySetPart,
    open: Option<Open>,
}

/// A relation whose rows have come.
struct Open {
    change: Change,
    fetch: Option<FetchedColumns>,
}

enum Change {
    Update(Box<Update>),
    Delete(Box<Delete>),
}

impl ModifySet {
    /// Changes what `source` gives.
    pub fn new(plan: &ModifySetPlan, source: BoxOperator, is_root: bool) -> ModifySet {
        let (event, changed) = match plan.command {
            CommandKind::Delete => (TriggerEvent::Delete, Vec::new()),
            _ => (TriggerEvent::Update, changed_columns(plan)),
        };
        let part =
            |part: &ModifySetPart| Part { oid: part.plan.target().table.oid, plan: part.clone(), open: None };
        ModifySet {
            source,
            types: physical_types(&plan.source),
            table_oid: plan.table_oid,
            row_id: plan.row_id,
            parts: plan.parts.iter().map(part).collect(),
            triggers: Triggers::of(&plan.table, event, &changed),
            table: Arc::clone(&plan.table),
            moved_keys: plan.moved_keys.clone(),
            router: plan.routing.as_ref().map(|routing| Router::new(routing, false)),
            width: plan.table.columns.iter().map(|column| column.ty.physical).collect(),
            is_root,
        }
    }

    fn change_batch(&mut self, ctx: &ExecContext<'_>, batch: &Batch) -> Result<Vec<Batch>> {
        let relations = Arc::clone(&batch.columns[self.table_oid]);
        let relation = |row: usize| relations.datum(row).as_i64().map(|oid| Oid(oid as u32));
        let rows: Vec<u16> = batch.active().map(|row| row as u16).collect();
        let mut rest = rows.as_slice();
        let mut results = Vec::new();
        while let Some(first) = rest.first() {
            let oid = relation(*first as usize);
            let same = |row: &&u16| relation(**row as usize) == oid;
            let (run, others) = rest.split_at(rest.iter().take_while(same).count());
            rest = others;
            // NULL on the null side of a join: there is no row.
            let Some(oid) = oid else { continue };
            let run = batch.clone().with_selection(Selection::new(run.to_vec()));
            results.extend(self.change_run(ctx, oid, run)?);
        }
        Ok(results)
    }

    fn change_run(&mut self, ctx: &ExecContext<'_>, oid: Oid, run: Batch) -> Result<Vec<Batch>> {
        let Some(part) = self.parts.iter_mut().find(|part| part.oid == oid) else {
            return Err(Error::internal(format!("a row of relation {oid} is not of the statement's tables")));
        };
        let open = match &mut part.open {
            Some(open) => open,
            none => none.insert(Open::new(ctx, &part.plan, self.is_root, self.router.is_some())?),
        };
        let run = match &mut open.fetch {
            None => run,
            Some(fetch) => fetch.add_to(ctx, &self.types, self.row_id, &run)?,
        };
        match &mut open.change {
            Change::Update(update) => {
                let mut results = update.update_batch(ctx, run)?;
                for moved in update.take_moved() {
                    let Some(router) = &mut self.router else { continue };
                    let image = of_named(&self.width, &part.plan.map, &moved.image);
                    let place = router.insert_moved(ctx, &image)?;
                    if let Some(barred) = &part.plan.leaving.barred_by {
                        return Err(barred_row(barred, &self.table.name));
                    }
                    if !self.moved_keys.is_empty() {
                        let old = of_named(&self.width, &part.plan.map, moved.old());
                        note_moved_keys(ctx, &self.table, &self.moved_keys, &old, place.map(|_| &image))?;
                    }
                    if let Some((relation, rid)) = place {
                        results.extend(update.returned_moved(ctx, moved, relation, rid)?);
                    }
                }
                Ok(results)
            }
            Change::Delete(delete) => delete.delete_batch(ctx, run),
        }
    }
}

impl Open {
    fn new(ctx: &ExecContext<'_>, part: &ModifySetPart, is_root: bool, moves: bool) -> Result<Open> {
        let relations = ctx.statement.relations;
        let change = match &part.plan {
            PartPlan::Update(plan) => {
                let leaving = moves.then_some(&part.leaving);
                Change::Update(Box::new(Update::of_part(
                    plan,
                    Box::new(Nothing),
                    relations,
                    is_root,
                    leaving,
                )?))
            }
            PartPlan::Delete(plan) => {
                Change::Delete(Box::new(Delete::new(plan, Box::new(Nothing), relations, is_root)?))
            }
        };
        let fetch = FetchedColumns::of(relations, &part.plan.target().table, &part.fetch)?;
        Ok(Open { change, fetch })
    }
}

/// Notes that rows may refer to the key that a row had before it went to another partition, or away: `new` is what it has
/// become. Images are the named table's.
pub(super) fn note_moved_keys(
    ctx: &ExecContext<'_>,
    table: &Arc<RelationDescriptor>,
    keys: &[Arc<ReferencedKey>],
    old: &Batch,
    new: Option<&Batch>,
) -> Result<()> {
    let table = ctx.statement.relations.table(table)?;
    for key in keys {
        match new {
            Some(new) => note_changed_key(ctx, &table, key, (old, new), 0)?,
            None => {
                let values = key.columns.iter().map(|column| old.columns[*column].datum(0)).collect();
                note_key(ctx, &table, key, values, Vec::new())?;
            }
        }
    }
    Ok(())
}

#[cold]
pub(super) fn barred_row(ancestor: &str, root: &str) -> Error {
    Error::new(
        SqlState::FEATURE_NOT_SUPPORTED,
        "cannot move tuple across partitions when a non-root ancestor of the source partition is directly referenced \
         in a foreign key",
    )
    .detail(format!(
        "A foreign key points to ancestor \"{ancestor}\" but not the root ancestor \"{root}\"."
    ))
    .hint(format!("Consider defining the foreign key on table \"{root}\"."))
}

/// A row of a member's columns as one of the named table's.
pub(super) fn of_named(types: &[PhysicalType], map: &[Option<usize>], image: &Batch) -> Batch {
    let column = |(ty, at): (&PhysicalType, &Option<usize>)| match at {
        Some(at) => Arc::clone(&image.columns[*at]),
        None => Arc::new(Column::nulls(*ty, image.rows)),
    };
    Batch::new(types.iter().zip(map).map(column).collect(), image.rows)
}

/// Reads the columns of a relation's rows that the source does not have.
pub(super) struct FetchedColumns {
    table: Arc<TableAccess>,
    decoder: RowDecoder,
}

impl FetchedColumns {
    /// Of a relation whose `positions` are read; none when the source has all that is needed.
    pub(super) fn of(
        relations: &dyn RelationSource,
        table: &Arc<RelationDescriptor>,
        positions: &[usize],
    ) -> Result<Option<FetchedColumns>> {
        if positions.is_empty() {
            return Ok(None);
        }
        let table = relations.table(table)?;
        let columns: Vec<ScanColumn> = positions.iter().copied().map(ScanColumn::Table).collect();
        let decoder = RowDecoder::new(&table.codec, &columns);
        Ok(Some(FetchedColumns { table, decoder }))
    }

    /// The rows of a run of these types with the columns behind its own. Their row ids are told by the column `row_id`.
    pub(super) fn add_to(
        &mut self,
        ctx: &ExecContext<'_>,
        types: &[PhysicalType],
        row_id: usize,
        run: &Batch,
    ) -> Result<Batch> {
        let heap = self.table.heap()?;
        let mut rows: Vec<u16> = Vec::new();
        for row in run.active() {
            let Some(id) = run.columns[row_id].datum(row).as_i64() else { continue };
            let snapshot = ctx.statement.snapshot;
            let row_id = RowId::from_u64(id as u64);
            let seen = heap.fetch(snapshot, row_id, |version| self.decoder.push(&version))?;
            if seen.transpose()?.is_some() {
                rows.push(row as u16);
            }
        }
        let count = rows.len();
        let kept = run.clone().with_selection(Selection::new(rows));
        let mut columns = concat_batches(types, std::slice::from_ref(&kept));
        columns.extend(self.decoder.take(heap)?.columns);
        Ok(Batch::new(columns, count))
    }
}

/// The named table's columns that an UPDATE assigns to, by position.
fn changed_columns(plan: &ModifySetPlan) -> Vec<usize> {
    let Some(PartPlan::Update(part)) = plan.parts.first().map(|part| &part.plan) else { return Vec::new() };
    let named = |assignment: &ochre_sql::physical::Assignment| {
        let name = &part.target.table.columns[assignment.column].name;
        plan.table.columns.iter().position(|column| !column.dropped && column.name == *name)
    };
    part.assignments.iter().filter_map(named).collect()
}

impl Operator for ModifySet {
    fn next(&mut self, ctx: &ExecContext<'_>) -> Result<Option<Batch>> {
        if let Some(triggers) = &mut self.triggers {
            triggers.begin_set(ctx)?;
        }
        while let Some(batch) = self.source.next(ctx)? {
            let results = self.change_batch(ctx, &batch)?;
            if !results.is_empty() {
                return Ok(Some(join_batches(results)));
            }
        }
        if let Some(triggers) = &mut self.triggers {
            triggers.end(ctx)?;
        }
        Ok(None)
    }

    fn rescan(&mut self, ctx: &ExecContext<'_>) -> Result<()> {
        if let Some(triggers) = &mut self.triggers {
            triggers.restart();
        }
        self.source.rescan(ctx)
    }
}
