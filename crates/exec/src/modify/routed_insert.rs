//! INSERT into a partitioned table: each row goes to the partition that takes it.
//!
//! # How
//! Keys are computed for a whole batch; then the rows of a partition go there together, in the order of the source where
//! RETURNING shows it. A partition is opened when its first row comes.

use std::sync::Arc;

use ochre_base::{Error, Oid, Result, RowId};
use ochre_expr::Expr;
use ochre_sql::physical::{InsertPlan, InsertRouting, LeafInsert, OnConflict, RouteNode, RoutePlace};
use ochre_types::{Batch, Column, Datum, Selection, SqlType};

use crate::modify::errors::no_partition;
use crate::modify::insert::Insert;
use crate::modify::triggers::{TriggerEvent, Triggers};
use crate::modify::update::join_batches;
use crate::operator::Nothing;
use crate::{BoxOperator, ExecContext, Operator};

/// Finds rows' partitions and inserts them there.
pub struct Router {
    routing: Arc<InsertRouting>,
    leaves: Vec<Option<Box<Insert>>>,
    is_root: bool,
}

impl Router {
    /// A router; with `is_root` its rows count for the command tag.
    pub fn new(routing: &Arc<InsertRouting>, is_root: bool) -> Router {
        let leaves = routing.leaves.iter().map(|_| None).collect();
        Router { routing: Arc::clone(routing), leaves, is_root }
    }

    fn leaf(&mut self, ctx: &ExecContext<'_>, number: usize) -> Result<&mut Insert> {
        let slot = &mut self.leaves[number];
        if slot.is_none() {
            let plan = &self.routing.leaves[number].plan;
            let insert = Insert::new(plan, Box::new(Nothing), ctx.statement.relations, self.is_root)?;
            *slot = Some(Box::new(insert));
        }
        Ok(slot.as_mut().expect("it was just opened"))
    }

    /// The partition of each active row, by position in the batch.
    ///
    /// # Errors
    /// 23514 for a row that no partition takes.
    pub(super) fn places(&self, ctx: &ExecContext<'_>, batch: &Batch) -> Result<Vec<usize>> {
        let mut places = vec![usize::MAX; batch.rows];
        find_places(ctx, &self.routing.routes.root, batch, &mut places)?;
        Ok(places)
    }

    /// Inserts the active rows of a batch of the partitioned table's columns; RETURNING's rows.
    ///
    /// # Errors
    /// 23514 for a row that no partition takes, and those of INSERT.
    pub fn insert(&mut self, ctx: &ExecContext<'_>, batch: &Batch) -> Result<Vec<Batch>> {
        let places = self.places(ctx, batch)?;
        let in_order = self.routing.leaves.first().is_some_and(|leaf| leaf.plan.returning.is_some());
        let mut rows: Vec<u16> = batch.active().map(|row| row as u16).collect();
        if !in_order {
            // Rows of one partition keep their order.
            rows.sort_by_key(|row| places[*row as usize]);
        }
        let mut results = Vec::new();
        let mut rest = rows.as_slice();
        while let Some(first) = rest.first() {
            let place = places[*first as usize];
            let run = rest.iter().take_while(|row| places[**row as usize] == place).count();
            let (own, others) = rest.split_at(run);
            rest = others;
            let part = of_leaf(&self.routing.leaves[place], batch).with_selection(selection(batch, own));
            results.extend(self.leaf(ctx, place)?.insert_batch(ctx, part)?);
        }
        Ok(results)
    }

    /// Inserts a row that comes from another partition: where it went.
    ///
    /// # Errors
    /// As [`Router::insert`].
    pub fn insert_moved(&mut self, ctx: &ExecContext<'_>, row: &Batch) -> Result<Option<(Oid, RowId)>> {
        let place = self.places(ctx, row)?[0];
        let leaf = &self.routing.leaves[place];
        let oid = leaf.plan.target.table.oid;
        let part = of_leaf(leaf, row);
        let id = self.leaf(ctx, place)?.insert_moved(ctx, part)?;
        Ok(id.map(|id| (oid, id)))
    }
}

fn selection(_: &Batch, rows: &[u16]) -> Selection {
    let mut rows = rows.to_vec();
    rows.sort_unstable();
    Selection::new(rows)
}

/// A batch of the partitioned table's columns as one of a partition's.
pub(super) fn of_leaf(leaf: &LeafInsert, batch: &Batch) -> Batch {
    let table = &leaf.plan.target.table;
    let column = |(position, from): (usize, &Option<usize>)| match from {
        Some(from) => Arc::clone(&batch.columns[*from]),
        None => Arc::new(Column::nulls(table.columns[position].ty.physical, batch.rows)),
    };
    let columns = leaf.columns.iter().enumerate().map(column).collect();
    Batch { columns, rows: batch.rows, selection: None }
}

fn find_places(ctx: &ExecContext<'_>, node: &RouteNode, batch: &Batch, places: &mut [usize]) -> Result<()> {
    let keys = ctx.eval_all(&node.keys, batch)?;
    let mut below: Vec<(&RoutePlace, Vec<u16>)> = Vec::new();
    let mut key: Vec<Datum> = Vec::with_capacity(keys.len());
    for row in batch.active() {
        key.clear();
        key.extend(keys.iter().map(|column| column.datum(row)));
        match node.find(&key)? {
            Some(RoutePlace::Leaf(leaf)) => places[row] = *leaf,
            Some(place) => match below.iter_mut().find(|(known, _)| std::ptr::eq(*known, place)) {
                Some((_, rows)) => rows.push(row as u16),
                None => below.push((place, vec![row as u16])),
            },
            None => return Err(homeless(ctx, node, &key)),
        }
    }
    for (place, rows) in below {
        let RoutePlace::Node { map, node } = place else { continue };
        let mut columns: Vec<Arc<Column>> = node
            .table
            .columns
            .iter()
            .map(|column| Arc::new(Column::nulls(column.ty.physical, batch.rows)))
            .collect();
        for (position, at) in map.iter().enumerate() {
            if let Some(at) = at {
                columns[*at] = Arc::clone(&batch.columns[position]);
            }
        }
        let part = Batch { columns, rows: batch.rows, selection: Some(Selection::new(rows)) };
        find_places(ctx, node, &part, places)?;
    }
    Ok(())
}

#[cold]
fn homeless(ctx: &ExecContext<'_>, node: &RouteNode, key: &[Datum]) -> Error {
    let schema = ctx.statement.relations.namespace_name(node.table.namespace);
    let types = node.keys.iter().map(Expr::ty);
    let values: Vec<(SqlType, Datum)> = types.zip(key.iter().cloned()).collect();
    let format = ctx.statement.session.format();
    no_partition(schema, &node.table.name, &node.key_text, &values, format)
}

/// Inserts the rows of its source into a partitioned table.
pub struct RoutedInsert {
    source: BoxOperator,
    router: Router,
    /// The statement triggers of the table.
    triggers: Option<Box<Triggers>>,
    /// Whether the table has statement triggers that ON CONFLICT DO UPDATE would fire.
    update_triggers: bool,
}

impl RoutedInsert {
    /// Inserts what `source` gives.
    pub fn new(
        plan: &InsertPlan,
        routing: &Arc<InsertRouting>,
        source: BoxOperator,
        is_root: bool,
    ) -> RoutedInsert {
        let triggers = Triggers::of(&plan.target.table, TriggerEvent::Insert, &[]);
        let updates = plan.on_conflict.as_ref().is_some_and(OnConflict::updates);
        let update_triggers =
            updates && Triggers::of(&plan.target.table, TriggerEvent::Update, &[]).is_some();
        RoutedInsert { source, router: Router::new(routing, is_root), triggers, update_triggers }
    }
}

impl Operator for RoutedInsert {
    fn next(&mut self, ctx: &ExecContext<'_>) -> Result<Option<Batch>> {
        if self.update_triggers {
            return Err(Error::unsupported(
                "ON CONFLICT DO UPDATE on a partitioned table with triggers of UPDATE",
            ));
        }
        if let Some(triggers) = &mut self.triggers {
            triggers.begin_set(ctx)?;
        }
        while let Some(batch) = self.source.next(ctx)? {
            ctx.check_interrupts()?;
            let results = self.router.insert(ctx, &batch)?;
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
