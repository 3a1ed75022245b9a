//! Inheritance: the relations that a table's name stands for.
//!
//! # How
//! The binder knows a table with children as one [`TableUse`](crate::logical::TableUse) that is marked so. When the whole
//! statement is bound, [`expand`] puts in place of its `Get` an [`Append`](Logical::Append) of one `Get` for each relation of
//! the set that has rows. The ids of the table are the Append's output; each member has ids of its own, made of its own
//! columns, whose positions may differ. So every rule and operator above sees a table like any other, and conditions go
//! down to the members by the rule for UNION ALL. A row's relation is its `tableoid`, which a member's scan gives by itself:
//! who changes or locks rows asks for it beside the row id.

use std::sync::Arc;

use ochre_base::{Error, Oid, Result};
use ochre_catalog::{CatalogSnapshot, Persistence, RelationDescriptor, RelationKind};
use ochre_expr::Expr;

use crate::logical::{
    ColumnId, ColumnInfo, Expansion, Logical, LogicalBody, LogicalStatement, SampleGet, SetInputs, TableId,
    TableUse,
};
use crate::partition::{self, Detaching};
use crate::physical::{ColumnOrigin, ScanColumn};

/// For each column of a table its position in a relation that inherits from it; `None` for dropped columns.
pub(crate) type ColumnMap = Vec<Option<usize>>;

/// Where a table's columns are in a relation of its set.
///
/// # Errors
/// XX000 when one is missing.
pub(crate) fn column_map(table: &RelationDescriptor, member: &RelationDescriptor) -> Result<ColumnMap> {
    table
        .columns
        .iter()
        .enumerate()
        .map(|(position, column)| {
            if column.dropped {
                return Ok(None);
            }
            if table.oid == member.oid {
                return Ok(Some(position));
            }
            // Most often it stands at the same place.
            let same = |other: &ochre_catalog::ColumnDescriptor| !other.dropped && other.name == column.name;
            if member.columns.get(position).is_some_and(same) {
                return Ok(Some(position));
            }
            match member.columns.iter().position(same) {
                Some(found) => Ok(Some(found)),
                None => Err(Error::internal(format!(
                    "could not find inherited attribute \"{}\" of relation \"{}\"",
                    column.name, member.name
                ))),
            }
        })
        .collect()
}

/// A column of a table as one of a relation of its set.
pub(crate) fn mapped(column: ScanColumn, map: &ColumnMap) -> Option<ScanColumn> {
    match column {
        ScanColumn::Table(position) => map[position].map(ScanColumn::Table),
        other => Some(other),
    }
}

/// Whether a table's name stands for more relations, or others, than the table.
pub(crate) fn expansion(table: &RelationDescriptor, only: bool) -> Expansion {
    match (table.kind, only) {
        (RelationKind::PartitionedTable, true) => Expansion::Nothing,
        (RelationKind::PartitionedTable, false) => Expansion::Descendants,
        (_, false) if table.inheritance.has_children => Expansion::Descendants,
        _ => Expansion::Own,
    }
}

/// The relations with rows of a table's set: the table first, then its descendants, level by level; partitions in the
/// order of their bounds. Temporary relations of other sessions are none of it.
fn members(
    catalog: &CatalogSnapshot,
    search_path: &[Oid],
    table: &Arc<RelationDescriptor>,
    detaching: Detaching,
) -> Result<Vec<Arc<RelationDescriptor>>> {
    if table.kind == RelationKind::PartitionedTable {
        let mut leaves = Vec::new();
        partition::leaves(catalog, table, detaching, &mut leaves)?;
        return Ok(leaves);
    }
    let all = catalog.descendants(table.oid).into_iter();
    let all = all.filter_map(|oid| catalog.relation(oid).cloned());
    Ok(all.filter(|member| !is_of_other_session(catalog, search_path, member)).collect())
}

/// Whether a relation is a temporary one that is not the session's with this search path.
pub(crate) fn is_of_other_session(
    catalog: &CatalogSnapshot,
    search_path: &[Oid],
    relation: &RelationDescriptor,
) -> bool {
    relation.persistence == Persistence::Temporary
        && catalog.temporary_namespace(search_path) != Some(relation.namespace)
}

/// Puts sets of relations in the place of tables that stand for them.
///
/// # Errors
/// XX000 for a catalog that contradicts itself.
pub(crate) fn expand(
    statement: &mut LogicalStatement,
    catalog: &CatalogSnapshot,
    search_path: &[Oid],
    detaching: Detaching,
) -> Result<()> {
    if statement.tables.iter().all(|table| table.expansion == Expansion::Own) {
        return Ok(());
    }
    let LogicalStatement { body, tables, subqueries, ctes, columns, .. } = statement;
    let mut expander = Expander { catalog, search_path, detaching, tables, columns };
    let mut visit = |body: &mut LogicalBody| match body {
        LogicalBody::Query(query) => expander.expand(&mut query.plan),
        LogicalBody::Modify(modify) => expander.expand(&mut modify.source.plan),
    };
    ctes.iter_mut().try_for_each(|cte| visit(&mut cte.body))?;
    visit(body)?;
    subqueries.iter_mut().try_for_each(|subquery| expander.expand(&mut subquery.query.plan))
}

struct Expander<'a> {
    catalog: &'a CatalogSnapshot,
    search_path: &'a [Oid],
    detaching: Detaching,
    tables: &'a mut Vec<TableUse>,
    columns: &'a mut Vec<ColumnInfo>,
}

impl Expander<'_> {
    fn expand(&mut self, plan: &mut Logical) -> Result<()> {
        stacker::maybe_grow(
            ochre_base::limits::STACK_RED_ZONE_BYTES,
            ochre_base::limits::STACK_GROWTH_BYTES,
            || match plan {
                Logical::Get(table) if self.tables[*table].expansion != Expansion::Own => {
                    *plan = self.set_of(*table, Logical::Get)?;
                    Ok(())
                }
                Logical::Sample(sample) if self.tables[sample.table].expansion != Expansion::Own => {
                    let of = |table| Logical::Sample(Box::new(SampleGet { table, ..(**sample).clone() }));
                    *plan = self.set_of(sample.table, of)?;
                    Ok(())
                }
                other => crate::walk::inputs_mut(other).into_iter().try_for_each(|input| self.expand(input)),
            },
        )
    }

    /// The rows of all members of a table's set, each read as `read_member` says, under the table's ids.
    fn set_of(&mut self, table: TableId, read_member: impl Fn(TableId) -> Logical) -> Result<Logical> {
        let descriptor = Arc::clone(&self.tables[table].table);
        let members = match self.tables[table].expansion {
            Expansion::Nothing => Vec::new(),
            _ => members(self.catalog, self.search_path, &descriptor, self.detaching)?,
        };
        let whole_row = self.tables[table].columns.iter().find(|(column, _)| *column == ScanColumn::WholeRow);
        let whole_row = whole_row.map(|(_, id)| *id);
        let mut fields = Vec::new();
        if whole_row.is_some() {
            for position in (0..descriptor.columns.len()).filter(|at| !descriptor.columns[*at].dropped) {
                let id = self.column(table, position);
                fields.push(Expr::Column { index: id, ty: descriptor.columns[position].ty });
            }
        }
        let read: Vec<(ScanColumn, ColumnId)> = self.tables[table]
            .columns
            .iter()
            .copied()
            .filter(|(column, _)| *column != ScanColumn::WholeRow)
            .collect();
        let mut inputs = Vec::with_capacity(members.len());
        for member in members {
            let map = column_map(&descriptor, &member)?;
            let id = self.tables.len();
            let mut own = Vec::with_capacity(read.len());
            for (column, known) in &read {
                let column = mapped(*column, &map)
                    .ok_or_else(|| Error::internal("a dropped column of a parent is read"))?;
                own.push((column, self.columns.len()));
                let origin = match column {
                    ScanColumn::Table(position) => {
                        Some(ColumnOrigin { table: member.oid, attribute: position as i16 + 1 })
                    }
                    _ => None,
                };
                self.columns.push(ColumnInfo { origin, table: Some(id), ..self.columns[*known].clone() });
            }
            let ids = own.iter().map(|(_, id)| *id).collect();
            let alias = Arc::clone(&self.tables[table].alias);
            let mut used = TableUse::new(member, alias);
            used.columns = own;
            self.tables.push(used);
            self.tables[table].members.push(id);
            inputs.push((read_member(id), ids));
        }
        let ids: Vec<ColumnId> = read.iter().map(|(_, id)| *id).collect();
        let mut items: Vec<(ColumnId, Expr)> =
            ids.iter().map(|id| (*id, Expr::Column { index: *id, ty: self.columns[*id].ty })).collect();
        let plan = Logical::Append(Box::new(SetInputs { columns: ids, inputs, set: Some(table) }));
        let Some(whole_row) = whole_row else { return Ok(plan) };
        items.push((whole_row, Expr::Row { fields, ty: self.columns[whole_row].ty }));
        Ok(Logical::Project { input: Box::new(plan), items })
    }

    /// The id of a table's column.
    fn column(&mut self, table: TableId, position: usize) -> ColumnId {
        let column = ScanColumn::Table(position);
        if let Some((_, id)) = self.tables[table].columns.iter().find(|(known, _)| *known == column) {
            return *id;
        }
        let descriptor = &self.tables[table].table;
        let found = &descriptor.columns[position];
        let depth = self.tables[table].columns.first().map_or(0, |(_, id)| self.columns[*id].depth);
        self.columns.push(ColumnInfo {
            name: Arc::clone(&found.name),
            ty: found.ty,
            origin: Some(ColumnOrigin { table: descriptor.oid, attribute: found.number }),
            depth,
            table: Some(table),
        });
        let id = self.columns.len() - 1;
        self.tables[table].columns.push((column, id));
        id
    }
}
