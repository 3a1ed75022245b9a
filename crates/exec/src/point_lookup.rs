//! The fast path of a primary-key lookup: one descent, one row, no batches.
//!
//! A prepared `SELECT columns FROM table WHERE key = $1` keeps a [`PointLookup`]; in the steady state a run allocates
//! nothing but what long values need.

use std::sync::Arc;

use ochre_access::heap::VersionRef;
use ochre_access::row::Field;
use ochre_base::{Result, RowId};
use ochre_expr::Expr;
use ochre_sql::physical::{IndexScanPlan, PhysicalPlan, PlanNode, PlannedStatement, ScanColumn};
use ochre_types::Datum;

use crate::bounds::point_key;
use crate::codec::{ImageDecoder, RowCodec, RowDecoder};
use crate::context::{ExecContext, Frame, StatementContext};
use crate::index_entry::EntryColumns;
use crate::relation::{IndexAccess, RelationSource, TableAccess};
use crate::run_state::RunState;

/// A statement that is one lookup by a unique key.
pub struct PointLookup {
    plan: Arc<PhysicalPlan>,
    table: Arc<TableAccess>,
    index: Arc<IndexAccess>,
    /// What to fetch for each column of the result.
    fetch: Vec<ScanColumn>,
    run: RunState,
    frame: Frame,
    key: Vec<u8>,
    ids: Vec<RowId>,
    row: Vec<Datum>,
    slow: bool,
}

impl PointLookup {
    /// The lookup that a statement is, if it is one: an index scan for one row without a filter, with or without a
    /// projection of plain columns.
    ///
    /// # Errors
    /// What opening relations fails with.
    pub fn new(
        statement: &Arc<PlannedStatement>,
        relations: &dyn RelationSource,
    ) -> Result<Option<PointLookup>> {
        let (scan_plan, columns): (&Arc<PhysicalPlan>, Option<Vec<usize>>) = match &statement.plan.node {
            PlanNode::IndexScan(_) => (&statement.plan, None),
            PlanNode::Project(project) => {
                let columns = project.exprs.iter().map(|expr| match expr {
                    Expr::Column { index, .. } => Some(*index),
                    _ => None,
                });
                match columns.collect::<Option<Vec<usize>>>() {
                    Some(columns) => (&project.input, Some(columns)),
                    None => return Ok(None),
                }
            }
            _ => return Ok(None),
        };
        let PlanNode::IndexScan(scan) = &scan_plan.node else { return Ok(None) };
        if !scan.is_point_lookup()
            || scan.source.table.builtin
            || !scan.source.table.populated
            || !statement.ctes.is_empty()
            || !statement.subplans.is_empty()
        {
            return Ok(None);
        }
        let fetch: Vec<ScanColumn> = match columns {
            Some(columns) => columns.iter().map(|column| scan.source.fetch[*column]).collect(),
            None => scan.source.fetch[..statement.plan.columns.len()].to_vec(),
        };
        let visible = statement.row_shape.len();
        if fetch.contains(&ScanColumn::WholeRow) || fetch.len() < visible {
            return Ok(None);
        }
        let table = relations.table(&scan.source.table)?;
        let index = Arc::clone(table.index(scan.index.oid)?);
        Ok(Some(PointLookup {
            plan: Arc::clone(scan_plan),
            table,
            index,
            fetch: fetch[..visible].to_vec(),
            run: RunState::empty(),
            frame: Frame::default(),
            key: Vec::new(),
            ids: Vec::new(),
            row: Vec::new(),
            slow: false,
        }))
    }

    fn scan(plan: &PhysicalPlan) -> &IndexScanPlan {
        match &plan.node {
            PlanNode::IndexScan(scan) => scan,
            _ => unreachable!("checked when it was made"),
        }
    }

    /// The row, in the order of the statement's row shape; `None` when there is none.
    ///
    /// # Errors
    /// Those of the key's expressions; errors of storage.
    pub fn run(&mut self, statement: &StatementContext<'_>) -> Result<Option<&[Datum]>> {
        let ctx = ExecContext::new(statement, &self.run, &self.frame);
        if !point_key(&ctx, &self.index, &Self::scan(&self.plan).bounds, &mut self.key)? {
            return Ok(None);
        }
        self.ids.clear();
        statement.count_scan(&self.index.tree.scans);
        let serial = statement.snapshot.serial();
        if let Some(serial) = serial {
            serial.read_key(self.index.tree.relation(), &self.key)?;
        }
        self.index.tree.lookup_equal(&self.key, &mut self.ids)?;
        let heap = self.table.heap()?;
        for rid in &self.ids {
            if let Some(serial) = serial {
                serial.read_row(heap.relation(), *rid)?;
            }
            self.row.clear();
            self.slow = false;
            let (row, codec, fetch, slow) = (&mut self.row, &self.table.codec, &self.fetch, &mut self.slow);
            let seen = heap.fetch(statement.snapshot, *rid, |version| {
                *slow = version.recheck_keys || !decode(codec, fetch, &version, row)?;
                Ok::<_, ochre_base::Error>(())
            })?;
            match seen {
                None => continue,
                Some(result) => result?,
            }
            if !self.slow
                || fetch_slowly(&ctx, &self.table, &self.index, &self.key, &self.fetch, *rid, &mut self.row)?
            {
                statement.count_read(&self.index.tree.scans, 1);
                statement.count_read(&heap.fetches, 1);
                return Ok(Some(&self.row));
            }
        }
        Ok(None)
    }
}

/// Decodes what can be decoded at once; false when the row needs more (an old column list, a large value).
fn decode(
    codec: &RowCodec,
    fetch: &[ScanColumn],
    version: &VersionRef<'_>,
    row: &mut Vec<Datum>,
) -> Result<bool> {
    let Some(view) = codec.view(version) else { return Ok(false) };
    for column in fetch {
        let value = match column {
            ScanColumn::Table(position) => match codec.field_of(*position) {
                None => return Ok(false),
                Some((field, physical)) => match view.field(field)? {
                    Field::Null => Datum::Null,
                    Field::Inline(bytes) => ochre_types::store::decode_field(physical, bytes)?,
                    Field::Compressed { .. } | Field::Overflow(_) => return Ok(false),
                },
            },
            ScanColumn::RowId => Datum::Int64(version.rid.to_u64() as i64),
            _ => return Ok(false),
        };
        row.push(value);
    }
    Ok(true)
}

/// The general way: any column list, any value, and the comparison of keys.
#[cold]
fn fetch_slowly(
    ctx: &ExecContext<'_>,
    table: &TableAccess,
    index: &IndexAccess,
    key: &[u8],
    fetch: &[ScanColumn],
    rid: RowId,
    row: &mut Vec<Datum>,
) -> Result<bool> {
    let heap = table.heap()?;
    let mut decoder = RowDecoder::new(&table.codec, fetch);
    let mut image = ImageDecoder::new(&table.codec, &index.exprs.columns_read());
    let mut recheck = false;
    let seen = heap.fetch(ctx.statement.snapshot, rid, |version| {
        recheck = version.recheck_keys;
        image.push(&version)?;
        decoder.push(&version)
    })?;
    let Some(pushed) = seen else { return Ok(false) };
    pushed?;
    if recheck {
        let image = image.take(heap)?;
        let columns = ctx.with_eval(|eval| EntryColumns::stored(index, &image, eval))?;
        if !columns.has_entry(index, 0, rid, key, None)? {
            return Ok(false);
        }
    }
    *row = decoder.take(heap)?.row(0);
    Ok(true)
}
