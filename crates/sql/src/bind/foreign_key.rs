//! Foreign keys: how a referenced key is made of the row that refers to it.

use std::sync::Arc;

use ochre_base::{Error, Oid, Result};
use ochre_catalog::{
    CatalogSnapshot, ConstraintDescriptor, IndexDescriptor, RelationDescriptor, RelationKind,
};
use ochre_expr::{Expr, SessionContext};
use ochre_parser::ast::Pos;
use ochre_types::SqlType;

use super::coerce::CoercionContext;
use super::{Binder, ParamTypes};
use crate::partition;
use crate::physical::{ForeignKeyCheck, KeyPart, ReferenceRouting, ReferencedKey, ReferencedLeaf};

/// How a column of one type refers to a key column of another; `None` when it cannot.
///
/// # Errors
/// Those of binding conversions.
pub fn key_part(
    catalog: &CatalogSnapshot,
    session: &dyn SessionContext,
    position: usize,
    from: SqlType,
    to: SqlType,
) -> Result<Option<KeyPart>> {
    let column = Expr::column(position, from);
    if from.oid == to.oid {
        return Ok(Some(KeyPart::Value(column)));
    }
    if let (Some(wide), Some(narrow)) = (integer_width(from), integer_width(to))
        && wide > narrow
    {
        return Ok(Some(KeyPart::Narrow { column: position, to: to.physical }));
    }
    let mut params = ParamTypes::none();
    let path = ochre_catalog::IMPLICIT_NAMESPACES;
    let mut binder = Binder::new(catalog, &path, session, &mut params);
    // A length or precision of the referenced column must not change what is looked for.
    let target = SqlType::new(to.oid, -1);
    let value = binder.coerce_to(column, target, CoercionContext::Implicit, Pos::default())?;
    Ok(value.map(KeyPart::Value))
}

fn integer_width(ty: SqlType) -> Option<u8> {
    match ty {
        SqlType::INT2 => Some(2),
        SqlType::INT4 => Some(4),
        SqlType::INT8 => Some(8),
        _ => None,
    }
}

/// The index that a foreign key refers to.
pub fn referenced_index<'a>(
    catalog: &'a CatalogSnapshot,
    constraint: &ConstraintDescriptor,
) -> Option<&'a IndexDescriptor> {
    let foreign = constraint.foreign.as_ref()?;
    let index = catalog.relation(foreign.table)?.indexes.iter().find(|index| index.oid == constraint.index);
    index.map(|index| &**index)
}

/// What checking rows of the table that has a foreign key needs; `None` for a constraint that is not there any more.
///
/// # Errors
/// Those of binding conversions.
pub fn foreign_key_check(
    catalog: &CatalogSnapshot,
    session: &dyn SessionContext,
    constraint: &Arc<ConstraintDescriptor>,
) -> Result<Option<ForeignKeyCheck>> {
    let Some(foreign) = &constraint.foreign else { return Ok(None) };
    let (Some(table), Some(index)) =
        (catalog.relation(constraint.table), referenced_index(catalog, constraint))
    else {
        return Ok(None);
    };
    let mut key = Vec::with_capacity(index.keys.len());
    for column in &index.keys {
        let place = foreign.columns.iter().position(|number| *number == column.number);
        let number = place.and_then(|place| constraint.columns.get(place)).copied();
        let Some(own) = number.and_then(|number| table.column(number)) else { return Ok(None) };
        match key_part(catalog, session, own.number as usize - 1, own.ty, column.ty)? {
            Some(part) => key.push(part),
            None => return Ok(None),
        }
    }
    let columns = constraint.columns.iter().map(|number| *number as usize - 1).collect();
    let routing = match catalog.relation(foreign.table) {
        Some(parent) if parent.kind == RelationKind::PartitionedTable => {
            Some(Arc::new(reference_routing(catalog, parent, index)?))
        }
        _ => None,
    };
    Ok(Some(ForeignKeyCheck { constraint: Arc::clone(constraint), key, columns, routing }))
}

/// How keys of a partitioned table's index find the partition that has them.
fn reference_routing(
    catalog: &CatalogSnapshot,
    parent: &Arc<RelationDescriptor>,
    index: &IndexDescriptor,
) -> Result<ReferenceRouting> {
    let routes = partition::routes(catalog, parent, partition::Detaching::Omitted)?;
    let mut leaves = Vec::with_capacity(routes.leaves.len());
    for leaf in &routes.leaves {
        let own = leaf.indexes.iter().find(|own| is_part_of_index(catalog, own.oid, index.oid));
        let own = own.ok_or_else(|| {
            Error::internal(format!("index for {} not found in partition {}", index.oid, leaf.name))
        })?;
        leaves.push(ReferencedLeaf { table: leaf.oid, index: own.oid });
    }
    let columns = index.keys.iter().map(|key| (key.number - 1) as usize).collect();
    Ok(ReferenceRouting { root: routes.root, leaves, columns })
}

/// Whether an index is this one, or its part in a partition, at whatever depth.
pub(crate) fn is_part_of_index(catalog: &CatalogSnapshot, mut index: Oid, root: Oid) -> bool {
    while index != root {
        let parent = catalog.relation(index).and_then(|relation| relation.inheritance.parents.first());
        match parent {
            Some(parent) => index = *parent,
            None => return false,
        }
    }
    true
}

/// A foreign key as the table that it refers to sees it.
pub fn referenced_key(constraint: &Arc<ConstraintDescriptor>) -> Option<ReferencedKey> {
    let foreign = constraint.foreign.as_ref()?;
    let columns = foreign.columns.iter().map(|number| *number as usize - 1).collect();
    Some(ReferencedKey { constraint: Arc::clone(constraint), columns })
}

/// The foreign keys that a table has, and those that refer to it.
pub(crate) type ForeignKeys = (Vec<Arc<ForeignKeyCheck>>, Vec<Arc<ReferencedKey>>);

/// The enforced foreign keys that a table has, and those that refer to it.
///
/// # Errors
/// Those of binding conversions.
pub(crate) fn foreign_keys_of(
    catalog: &CatalogSnapshot,
    session: &dyn SessionContext,
    table: &RelationDescriptor,
    concerns: impl Fn(&[usize]) -> bool,
) -> Result<ForeignKeys> {
    let (mut own, mut others) = (Vec::new(), Vec::new());
    // Keys to partitions are looked up where their table sends them.
    let is_own = |c: &&Arc<ConstraintDescriptor>| {
        c.foreign.is_some() && c.enforced && catalog.whole_reference(c).is_none()
    };
    for constraint in table.constraints.iter().filter(is_own) {
        let columns: Vec<usize> = constraint.columns.iter().map(|number| *number as usize - 1).collect();
        if !concerns(&columns) {
            continue;
        }
        if let Some(check) = foreign_key_check(catalog, session, constraint)? {
            own.push(Arc::new(check));
        }
    }
    // Those of partitions are their tables'.
    for constraint in references_to(catalog, table.oid) {
        others.extend(referenced_key(constraint).filter(|key| concerns(&key.columns)).map(Arc::new));
    }
    own.sort_by_key(|check| check.constraint.oid);
    Ok((own, others))
}

/// The enforced foreign keys that act when a table's rows go or change.
pub(crate) fn references_to(
    catalog: &CatalogSnapshot,
    table: Oid,
) -> impl Iterator<Item = &Arc<ConstraintDescriptor>> {
    catalog.referencing(table).iter().filter(|c| c.enforced && !catalog.is_of_partition(c))
}

/// The relations whose rows a statement that changes a table may look up and lock.
pub(crate) fn referenced_tables(checks: &[Arc<ForeignKeyCheck>]) -> impl Iterator<Item = Oid> + '_ {
    checks.iter().flat_map(|check| {
        let named = check.constraint.foreign.as_ref().map(|foreign| foreign.table);
        let leaves = check.routing.iter().flat_map(|routing| routing.leaves.iter().map(|leaf| leaf.table));
        named.into_iter().chain(leaves)
    })
}
