//! Foreign keys: how a referenced key is made of the row that refers to it.

use std::sync::Arc;

use ochre_base::{Oid, Result};
use ochre_catalog::{CatalogSnapshot, ConstraintDescriptor, IndexDescriptor, RelationDescriptor};
use ochre_expr::{Expr, SessionContext};
use ochre_parser::ast::Pos;
use ochre_types::SqlType;

use super::coerce::CoercionContext;
use super::{Binder, ParamTypes};
use crate::physical::{ForeignKeyCheck, KeyPart, ReferencedKey};

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
    Ok(Some(ForeignKeyCheck { constraint: Arc::clone(constraint), key, columns }))
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
    for constraint in table.constraints.iter().filter(|c| c.foreign.is_some() && c.enforced) {
        let columns: Vec<usize> = constraint.columns.iter().map(|number| *number as usize - 1).collect();
        if !concerns(&columns) {
            continue;
        }
        if let Some(check) = foreign_key_check(catalog, session, constraint)? {
            own.push(Arc::new(check));
        }
    }
    // Those of partitions are their tables'.
    for constraint in catalog.referencing(table.oid).iter().filter(|c| c.enforced && !c.parent.is_valid()) {
        others.extend(referenced_key(constraint).filter(|key| concerns(&key.columns)).map(Arc::new));
    }
    own.sort_by_key(|check| check.constraint.oid);
    Ok((own, others))
}

/// The relations whose rows a statement that changes a table may look up and lock.
pub(crate) fn referenced_tables(checks: &[Arc<ForeignKeyCheck>]) -> impl Iterator<Item = Oid> + '_ {
    checks.iter().filter_map(|check| check.constraint.foreign.as_ref().map(|foreign| foreign.table))
}
