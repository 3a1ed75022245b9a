//! MERGE into a set of relations: a table and what inherits from it.
//!
//! # How
//! The source tells each target row's relation. Rows of one relation that follow each other go to the [`Merge`] of that
//! relation together; what it inserts is told from here. New rows are made in the named table's columns, and go to the
//! partition that takes them, where there are partitions, else to the named table.
//!
//! # Not done
//! Rows that an action sends out of a partition with row triggers.

use std::sync::Arc;

use ochre_base::{Error, Oid, Result};
use ochre_sql::explain::{MergeReport, NodeReport};
use ochre_sql::physical::{MergeChange, MergeMatch, MergePlan, MergeSet, MergeSetPart};
use ochre_types::{Batch, PhysicalType, Selection};

use crate::build::physical_types;
use crate::modify::merge::{Merge, MergeTriggers, MovedRow};
use crate::modify::relation_set::{FetchedColumns, barred_row, note_moved_keys, of_named};
use crate::modify::routed_insert::{Router, of_leaf};
use crate::modify::update::join_batches;
use crate::{BoxOperator, ExecContext, Operator};

/// Merges what its source gives into the relations of a set.
pub struct SetMerge {
    plan: MergePlan,
    set: MergeSet,
    source: BoxOperator,
    types: Vec<PhysicalType>,
    /// The types of the named table's columns.
    width: Vec<PhysicalType>,
    parts: Vec<Option<Part>>,
    router: Option<Router>,
    /// Those of the table that is named.
    triggers: Option<MergeTriggers>,
    /// Rows for which there is nothing to do.
    skipped: u64,
    is_root: bool,
}

/// A relation whose rows have come.
struct Part {
    merge: Merge,
    fetch: Option<FetchedColumns>,
}

impl SetMerge {
    /// Merges what `source` gives.
    pub fn new(plan: &MergePlan, set: &MergeSet, source: BoxOperator, is_root: bool) -> SetMerge {
        SetMerge {
            types: physical_types(&plan.source),
            width: plan.target.table.columns.iter().map(|column| column.ty.physical).collect(),
            parts: set.parts.iter().map(|_| None).collect(),
            router: set.routing.as_ref().map(|routing| Router::new(routing, false)),
            triggers: MergeTriggers::of_table(&plan.target.table, &plan.actions, Vec::new()),
            plan: plan.clone(),
            set: set.clone(),
            source,
            skipped: 0,
            is_root,
        }
    }

    fn number_of(&self, relation: Oid) -> Result<usize> {
        let found = self.set.parts.iter().position(|part| part.plan.target.table.oid == relation);
        found.ok_or_else(|| Error::internal(format!("relation {relation} is not of the statement's tables")))
    }

    fn part(&mut self, ctx: &ExecContext<'_>, number: usize) -> Result<&mut Part> {
        let slot = &mut self.parts[number];
        if slot.is_none() {
            *slot = Some(Part::open(ctx, &self.set.parts[number], self.router.is_some())?);
        }
        Ok(slot.as_mut().expect("it was just opened"))
    }

    fn merge_batch(&mut self, ctx: &ExecContext<'_>, batch: &Batch, results: &mut Vec<Batch>) -> Result<()> {
        let relations = Arc::clone(&batch.columns[self.set.table_oid]);
        let relation = |row: u16| relations.datum(row as usize).as_i64().map(|oid| Oid(oid as u32));
        let rows: Vec<u16> = batch.active().map(|row| row as u16).collect();
        let mut rest = rows.as_slice();
        while let Some(first) = rest.first() {
            ctx.check_interrupts()?;
            let oid = relation(*first);
            let (run, others) = rest.split_at(rest.iter().take_while(|row| relation(**row) == oid).count());
            rest = others;
            let run = batch.clone().with_selection(Selection::new(run.to_vec()));
            match oid {
                Some(oid) => self.merge_run(ctx, oid, run, results)?,
                None => self.insert_run(ctx, run, results)?,
            }
        }
        Ok(())
    }

    /// Rows of one relation.
    fn merge_run(
        &mut self,
        ctx: &ExecContext<'_>,
        relation: Oid,
        run: Batch,
        results: &mut Vec<Batch>,
    ) -> Result<()> {
        let number = self.number_of(relation)?;
        let (types, row_id) = (self.types.clone(), self.plan.row_id);
        let part = self.part(ctx, number)?;
        let run = match &mut part.fetch {
            None => run,
            Some(fetch) => fetch.add_to(ctx, &types, row_id, &run)?,
        };
        part.merge.merge_batch(ctx, run)?;
        let (moved, left) = (part.merge.take_moved(), part.merge.take_left());
        self.hand_out(ctx, number, results)?;
        for row in moved {
            self.move_row(ctx, number, row, results)?;
        }
        for row in left {
            self.insert_run(ctx, row, results)?;
        }
        Ok(())
    }

    /// Counts what a part has done, and takes RETURNING's rows.
    fn hand_out(&mut self, ctx: &ExecContext<'_>, number: usize, results: &mut Vec<Batch>) -> Result<()> {
        let is_root = self.is_root;
        let part = self.part(ctx, number)?;
        let changed = part.merge.take_changed();
        results.extend(part.merge.take_returned(ctx)?);
        if is_root {
            ctx.run.rows_changed.set(ctx.run.rows_changed.get() + changed);
        }
        Ok(())
    }

    /// Puts a row that has left its partition into another one.
    fn move_row(
        &mut self,
        ctx: &ExecContext<'_>,
        number: usize,
        row: MovedRow,
        results: &mut Vec<Batch>,
    ) -> Result<()> {
        let from = &self.set.parts[number];
        let Some(router) = &mut self.router else { return Ok(()) };
        let image = of_named(&self.width, &from.map, &row.new);
        let place = router.insert_moved(ctx, &image)?;
        let table = &self.plan.target.table;
        if let Some(barred) = &from.leaving.barred_by {
            return Err(barred_row(barred, &table.name));
        }
        if !self.set.moved_keys.is_empty() {
            let old = of_named(&self.width, &from.map, &row.old);
            note_moved_keys(ctx, table, &self.set.moved_keys, &old, place.map(|_| &image))?;
        }
        let (Some((relation, rid)), Some(routing)) = (place, self.set.routing.clone()) else { return Ok(()) };
        let to = self.number_of(relation)?;
        let leaf = routing.leaves.iter().find(|leaf| leaf.plan.target.table.oid == relation);
        if let Some(leaf) = leaf {
            let image = of_leaf(leaf, &image);
            self.part(ctx, to)?.merge.return_moved(row.action, &image, rid, &row.source);
            self.hand_out(ctx, to, results)?;
        }
        Ok(())
    }

    /// Rows that no target row matches.
    fn insert_run(&mut self, ctx: &ExecContext<'_>, run: Batch, results: &mut Vec<Batch>) -> Result<()> {
        let mut rows: Vec<u16> = run.active().map(|row| row as u16).collect();
        let mut chosen: Vec<Option<usize>> = vec![None; run.rows];
        let mut given: Vec<Option<Batch>> = vec![None; self.plan.actions.len()];
        for (number, action) in self.plan.actions.iter().enumerate() {
            if action.matched != MergeMatch::NotMatchedByTarget || rows.is_empty() {
                continue;
            }
            let candidates = run.clone().with_selection(Selection::new(rows.clone()));
            let Some(fit) = ctx.filter_if(action.condition.as_ref(), candidates)? else { continue };
            fit.active().for_each(|row| chosen[row] = Some(number));
            rows.retain(|row| chosen[*row as usize].is_none());
            if let MergeChange::Insert(values) = &action.change {
                let columns = ctx.eval_all(values, &fit)?;
                given[number] = Some(Batch { columns, rows: fit.rows, selection: fit.selection });
            }
        }
        self.skipped += rows.len() as u64;
        let acted: Vec<u16> =
            run.active().filter(|row| chosen[*row].is_some()).map(|row| row as u16).collect();
        let mut rest = acted.as_slice();
        while let Some(first) = rest.first() {
            let action = chosen[*first as usize];
            let same = |row: &&u16| chosen[**row as usize] == action;
            let (own, others) = rest.split_at(rest.iter().take_while(same).count());
            rest = others;
            let Some((number, Some(values))) = action.map(|number| (number, &given[number])) else {
                continue;
            };
            self.insert_rows(ctx, &run, number, values.clone(), own, results)?;
        }
        Ok(())
    }

    /// Inserts rows of the named table's columns where they belong.
    fn insert_rows(
        &mut self,
        ctx: &ExecContext<'_>,
        source: &Batch,
        action: usize,
        given: Batch,
        rows: &[u16],
        results: &mut Vec<Batch>,
    ) -> Result<()> {
        let given = given.with_selection(Selection::new(rows.to_vec()));
        let (Some(router), Some(routing)) = (&self.router, self.set.routing.clone()) else {
            let number = self.number_of(self.plan.target.table.oid)?;
            self.part(ctx, number)?.merge.insert_rows(ctx, source, action, given, rows)?;
            return self.hand_out(ctx, number, results);
        };
        let places = router.places(ctx, &given)?;
        let mut rest = rows;
        while let Some(first) = rest.first() {
            let place = places[*first as usize];
            let same = |row: &&u16| places[**row as usize] == place;
            let (own, others) = rest.split_at(rest.iter().take_while(same).count());
            rest = others;
            let leaf = &routing.leaves[place];
            let part = of_leaf(leaf, &given).with_selection(Selection::new(own.to_vec()));
            let number = self.number_of(leaf.plan.target.table.oid)?;
            self.part(ctx, number)?.merge.insert_rows(ctx, source, action, part, own)?;
            self.hand_out(ctx, number, results)?;
        }
        Ok(())
    }
}

impl Part {
    fn open(ctx: &ExecContext<'_>, plan: &MergeSetPart, moves: bool) -> Result<Part> {
        let relations = ctx.statement.relations;
        let fetch = FetchedColumns::of(relations, &plan.plan.target.table, &plan.fetch)?;
        Ok(Part { merge: Merge::of_part(plan, relations, moves)?, fetch })
    }
}

impl Operator for SetMerge {
    fn next(&mut self, ctx: &ExecContext<'_>) -> Result<Option<Batch>> {
        if let Some(triggers) = &mut self.triggers {
            triggers.begin_set(ctx)?;
        }
        while let Some(batch) = self.source.next(ctx)? {
            let mut results = Vec::new();
            self.merge_batch(ctx, &batch, &mut results)?;
            if !results.is_empty() {
                return Ok(Some(join_batches(results)));
            }
        }
        if let Some(triggers) = &mut self.triggers {
            triggers.end(ctx)?;
        }
        Ok(None)
    }

    fn report(&self, report: &mut NodeReport) {
        let mut total = MergeReport { skipped: self.skipped, ..MergeReport::default() };
        for part in self.parts.iter().flatten() {
            let own = part.merge.counts();
            total.inserted += own.inserted;
            total.updated += own.updated;
            total.deleted += own.deleted;
            total.skipped += own.skipped;
        }
        report.merged = Some(total);
    }

    fn rescan(&mut self, ctx: &ExecContext<'_>) -> Result<()> {
        if let Some(triggers) = &mut self.triggers {
            triggers.restart();
        }
        self.source.rescan(ctx)
    }
}
