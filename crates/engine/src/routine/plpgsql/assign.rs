//! Assignment: to variables, fields, elements, and of whole rows.

use std::sync::Arc;

use ochre_base::{Error, Result, SqlState};
use ochre_expr::{EvalContext, Expr, eval_const};
use ochre_plpgsql::ast::{Fragment, Target};
use ochre_sql::physical::OutputColumn;
use ochre_types::{Datum, PhysicalType, SqlType, oids};

use super::check::{is_constant, unknown_variable};
use super::run::Run;
use super::variables::unassigned;
use crate::session::context::StatementSession;

/// The error of NULL for a variable that must have a value.
pub(super) fn null_for_not_null(name: &str) -> Error {
    Error::new(
        SqlState::NULL_VALUE_NOT_ALLOWED,
        format!("null value cannot be assigned to variable \"{name}\" declared NOT NULL"),
    )
}

/// Where a value is put.
pub(super) struct Place {
    pub slot: usize,
    pub field: Option<usize>,
}

impl<'a, 's> Run<'a, 's> {
    pub(super) fn find_variable(&self, parts: &[String]) -> Option<(usize, usize)> {
        let first = parts.first()?;
        for scope in self.scopes.iter().rev() {
            if let Some((_, slot)) = scope.names.iter().rev().find(|(name, _)| name == first)
                && (parts.len() == 1 || self.variables[*slot].is_row())
            {
                return Some((*slot, 1));
            }
            if scope.label == Some(first)
                && let Some(second) = parts.get(1)
                && let Some((_, slot)) = scope.names.iter().rev().find(|(name, _)| name == second)
            {
                return Some((*slot, 2));
            }
        }
        None
    }

    pub(super) fn place(&self, parts: &[String]) -> Result<Place> {
        let unknown = || unknown_variable(parts);
        let (slot, used) = self.find_variable(parts).ok_or_else(unknown)?;
        match &parts[used..] {
            [] => Ok(Place { slot, field: None }),
            [field] if self.variables[slot].is_row() => {
                let variable = &self.variables[slot];
                let shape = variable.shape.as_ref().ok_or_else(|| unassigned(&variable.name))?;
                let index = shape.iter().position(|(name, _)| **name == **field).ok_or_else(|| {
                    Error::new(
                        SqlState::UNDEFINED_COLUMN,
                        format!("record \"{}\" has no field \"{field}\"", variable.name),
                    )
                })?;
                Ok(Place { slot, field: Some(index) })
            }
            _ => Err(unknown()),
        }
    }

    /// Assigns a value to a target.
    pub(super) fn assign(&mut self, target: &'a Target, value: Datum, ty: SqlType) -> Result<()> {
        let place = self.place(&target.name)?;
        self.refuse_constant(place.slot)?;
        let (value, ty) = match target.subscripts.is_empty() {
            true => (value, ty),
            false => self.with_element(&place, target, value, ty)?,
        };
        self.assign_place(&place, value, ty)
    }

    /// Puts a value into a variable or a field.
    pub(super) fn assign_place(&mut self, place: &Place, value: Datum, ty: SqlType) -> Result<()> {
        self.refuse_constant(place.slot)?;
        match place.field {
            None => self.store(place.slot, value, ty),
            Some(field) => {
                let wanted = self.variables[place.slot].shape.as_ref().map_or(ty, |shape| shape[field].1);
                let value = self.cast(value, ty, wanted)?;
                let variable = &mut self.variables[place.slot];
                let count = variable.shape.as_ref().map_or(0, |shape| shape.len());
                let mut fields: Vec<Datum> = match &variable.value {
                    Datum::Record(fields) => fields.to_vec(),
                    _ => vec![Datum::Null; count],
                };
                fields[field] = value;
                variable.value = Datum::Record(fields.into());
                Ok(())
            }
        }
    }

    /// Assigns a row variable to a record, which takes its fields over with their names; whether it was that.
    pub(super) fn assign_record(&mut self, target: &'a Target, value: &'a Fragment) -> Result<bool> {
        let Some(source) = self.lone_row(value).filter(|_| target.subscripts.is_empty()) else {
            return Ok(false);
        };
        let place = self.place(&target.name)?;
        let takes = place.field.is_none() && self.variables[place.slot].is_record();
        if !takes || self.variables[source].shape.is_none() {
            return Ok(false);
        }
        self.refuse_constant(place.slot)?;
        let (value, shape) = (self.variables[source].value.clone(), self.variables[source].shape.clone());
        let variable = &mut self.variables[place.slot];
        (variable.value, variable.shape) = (value, shape);
        Ok(true)
    }

    pub(super) fn refuse_constant(&self, slot: usize) -> Result<()> {
        let variable = &self.variables[slot];
        if variable.constant {
            return Err(is_constant(&variable.name));
        }
        Ok(())
    }

    /// The array of a place with one element or slice replaced.
    pub(super) fn with_element(
        &mut self,
        place: &Place,
        target: &'a Target,
        value: Datum,
        ty: SqlType,
    ) -> Result<(Datum, SqlType)> {
        let variable = &self.variables[place.slot];
        let (old, array) = match (place.field, &variable.shape) {
            (Some(field), Some(shape)) => (variable.field(field), shape[field].1),
            _ => (variable.value.clone(), variable.ty),
        };
        let is_json = array.oid == oids::JSONB;
        let element = array.element().or(is_json.then_some(array)).ok_or_else(|| {
            let text = self.session().type_name_text(array);
            Error::new(
                SqlState::DATATYPE_MISMATCH,
                format!("cannot subscript type {text} because it does not support subscripting"),
            )
        })?;
        let slice = target.subscripts.iter().any(|subscript| subscript.slice);
        if slice && is_json {
            let message = "jsonb subscript does not support slices";
            return Err(Error::new(SqlState::DATATYPE_MISMATCH, message));
        }
        let value = self.cast(value, ty, if slice { array } else { element })?;
        let mut indexes = Vec::with_capacity(target.subscripts.len());
        for subscript in &target.subscripts {
            let mut bound = |fragment: &'a Option<Fragment>| -> Result<Option<Expr>> {
                let Some(fragment) = fragment else { return Ok(None) };
                let (value, ty) = self.eval(fragment)?;
                // A step into JSON is a name, or a number.
                let is_number = matches!(ty.oid, oids::INT2 | oids::INT4);
                let step = if is_json && !is_number { SqlType::TEXT } else { SqlType::INT4 };
                Ok(Some(Expr::constant(self.cast(value, ty, step)?, step)))
            };
            indexes.push((bound(&subscript.lower)?, bound(&subscript.upper)?));
        }
        let expr = Expr::SubscriptAssign {
            array: Box::new(Expr::constant(old, array)),
            indexes,
            slice,
            value: Box::new(Expr::constant(value, if slice { array } else { element })),
            ty: array,
        };
        let context = StatementSession::new(self.session());
        Ok((eval_const(&expr, &EvalContext::new(&context))?, array))
    }

    /// Puts a value into a variable.
    pub(super) fn store(&mut self, slot: usize, value: Datum, ty: SqlType) -> Result<()> {
        self.refuse_constant(slot)?;
        let variable = &self.variables[slot];
        if variable.is_row() {
            return self.store_row_value(slot, value, ty);
        }
        let value = self.cast(value, ty, variable.ty)?;
        let variable = &mut self.variables[slot];
        if variable.not_null && value.is_null() {
            return Err(null_for_not_null(&variable.name));
        }
        variable.value = value.detached();
        Ok(())
    }

    /// Puts a row value into a row or record.
    pub(super) fn store_row_value(&mut self, slot: usize, value: Datum, ty: SqlType) -> Result<()> {
        match value {
            Datum::Null => {
                let shape = self.shape_of(ty);
                let variable = &mut self.variables[slot];
                if variable.is_record() {
                    // A NULL without a row type leaves the record without fields.
                    variable.shape = shape;
                }
                variable.value = Datum::Null;
                Ok(())
            }
            Datum::Record(fields) => {
                let known = self.shape_of(ty);
                let shape: Vec<(Arc<str>, SqlType)> = match known {
                    Some(shape) if shape.len() == fields.len() => shape.to_vec(),
                    _ => match &self.variables[slot].shape {
                        Some(shape) if shape.len() == fields.len() => shape.to_vec(),
                        _ => return Err(Error::unsupported("a record whose fields are not known")),
                    },
                };
                self.store_fields(slot, fields.to_vec(), &shape)
            }
            _ if self.variables[slot].is_record() => Err(Error::new(
                SqlState::DATATYPE_MISMATCH,
                "cannot assign non-composite value to a record variable",
            )),
            value => {
                let wanted = self.variables[slot].ty;
                let row = self.cast(value, ty, wanted)?;
                self.variables[slot].value = row.detached();
                Ok(())
            }
        }
    }

    /// Puts columns into a row or record.
    pub(super) fn store_fields(
        &mut self,
        slot: usize,
        values: Vec<Datum>,
        given: &[(Arc<str>, SqlType)],
    ) -> Result<()> {
        self.refuse_constant(slot)?;
        if self.variables[slot].is_record() {
            let same = self.variables[slot].shape.as_ref().is_some_and(|shape| **shape == *given);
            let variable = &mut self.variables[slot];
            if !same {
                variable.shape = Some(given.into());
            }
            variable.value = Datum::Record(values.into_iter().map(Datum::detached).collect());
            return Ok(());
        }
        let shape = self.variables[slot].shape.clone().unwrap_or_else(|| Arc::from([]));
        let mut fields = Vec::with_capacity(shape.len());
        let mut values = values.into_iter().zip(given);
        for (_, wanted) in shape.iter() {
            fields.push(match values.next() {
                Some((value, (_, ty))) => self.cast(value, *ty, *wanted)?.detached(),
                None => Datum::Null,
            });
        }
        self.variables[slot].value = Datum::Record(fields.into());
        Ok(())
    }

    /// Assigns a row of a query to targets; no row is all NULLs.
    pub(super) fn assign_row(
        &mut self,
        targets: &'a [Target],
        row: Vec<Datum>,
        shape: &[OutputColumn],
    ) -> Result<()> {
        if let [target] = targets
            && target.subscripts.is_empty()
        {
            let place = self.place(&target.name)?;
            if place.field.is_none() && self.variables[place.slot].is_row() {
                let given: Vec<(Arc<str>, SqlType)> =
                    shape.iter().map(|column| (Arc::from(&*column.name), column.ty)).collect();
                // One column that is a row of the variable's type is the row.
                if let ([column], [Datum::Record(_) | Datum::Null]) = (shape, row.as_slice())
                    && column.ty.physical == PhysicalType::Record
                    && column.ty.oid == self.variables[place.slot].ty.oid
                    && !self.variables[place.slot].is_record()
                {
                    let value = row.into_iter().next().unwrap_or(Datum::Null);
                    return self.store_row_value(place.slot, value, column.ty);
                }
                return self.store_fields(place.slot, row, &given);
            }
        }
        let mut values = row.into_iter().zip(shape);
        for target in targets {
            match values.next() {
                Some((value, column)) => self.assign(target, value, column.ty)?,
                None => self.assign(target, Datum::Null, SqlType::TEXT)?,
            }
        }
        Ok(())
    }
}
