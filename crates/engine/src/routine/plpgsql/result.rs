//! RETURN, RETURN NEXT and RETURN QUERY.

use std::sync::Arc;

use ochre_base::{Error, Result, SqlState};
use ochre_parser::ast as sql;
use ochre_plpgsql::ast::{Fragment, RowSource};
use ochre_sql::physical::OutputColumn;
use ochre_types::{Datum, PhysicalType, SqlType, oids};

use super::run::Run;
use super::variables::{Shape, unassigned};
use crate::errors;
use crate::routine::sql::check_self_describing;

/// What a row that does not fit is refused with.
const WRONG_RECORD: &str = "returned record type does not match expected record type";

impl<'a, 's> Run<'a, 's> {
    /// RETURN with a value. What the function does not allow was found when the body was looked through.
    pub(super) fn return_value(&mut self, value: Option<&'a Fragment>) -> Result<()> {
        let Some(value) = value else { return Ok(()) };
        let result = self.invocation.result;
        // A record that nothing was assigned to is returned as NULL.
        let (value, ty, shape) = match self.lone_row(value) {
            Some(slot) => {
                let variable = &self.variables[slot];
                (variable.value.clone(), variable.ty, variable.shape.clone())
            }
            None => {
                let (value, ty) = self.eval(value)?;
                let shape = self.shape_of(ty);
                (value, ty, shape)
            }
        };
        let is_trigger = self.invocation.function.return_type == oids::TRIGGER;
        let value = if is_trigger || result.physical == PhysicalType::Record {
            match (&value, shape) {
                (Datum::Null, _) => Datum::Null,
                (Datum::Record(_), Some(shape)) if is_trigger => {
                    self.check_trigger_row(ty, &shape)?;
                    value
                }
                (Datum::Record(_), Some(shape)) => {
                    self.check_row(&shape, self.shape_of(result).as_ref(), WRONG_RECORD)?;
                    value
                }
                (Datum::Record(_), None) if !is_trigger => self.unknown_row(value)?,
                _ => {
                    return Err(Error::new(
                        SqlState::DATATYPE_MISMATCH,
                        "cannot return non-composite value from function returning composite type",
                    ));
                }
            }
        } else {
            self.cast(value, ty, result)?
        };
        self.returned = Some((value, result));
        Ok(())
    }

    /// A trigger's row must be one of the table's.
    fn check_trigger_row(&self, ty: SqlType, given: &Shape) -> Result<()> {
        let Some(call) = self.trigger.filter(|call| call.trigger.row && ty.oid != call.table.row_type) else {
            return Ok(());
        };
        let message = "returned row structure does not match the structure of the triggering table";
        self.check_row(given, Some(&call.shape), message)
    }

    /// A row whose fields' types nobody knows, where any will do.
    fn unknown_row(&self, row: Datum) -> Result<Datum> {
        match self.shape_of(self.invocation.result) {
            None => Ok(row),
            Some(_) => Err(errors::rows_of_unknown_columns()),
        }
    }

    /// Refuses a row whose fields are not of the wanted types.
    fn check_row(&self, given: &Shape, wanted: Option<&Shape>, message: &'static str) -> Result<()> {
        let Some(wanted) = wanted else {
            let types: Vec<SqlType> = given.iter().map(|(_, ty)| *ty).collect();
            return check_self_describing(&types);
        };
        if Arc::ptr_eq(given, wanted) {
            return Ok(());
        }
        let mismatch = |detail: String| Err(Error::new(SqlState::DATATYPE_MISMATCH, message).detail(detail));
        if given.len() != wanted.len() {
            return mismatch(format!(
                "Number of returned columns ({}) does not match expected column count ({}).",
                given.len(),
                wanted.len()
            ));
        }
        for (i, ((_, given), (name, wanted))) in given.iter().zip(wanted.iter()).enumerate() {
            let same = given.oid == wanted.oid && (given.typmod == wanted.typmod || wanted.typmod < 0);
            if !same {
                return mismatch(format!(
                    "Returned type {} does not match expected type {} in column \"{name}\" (position {}).",
                    self.session().type_name_text(*given),
                    self.session().type_name_text(*wanted),
                    i + 1
                ));
            }
        }
        Ok(())
    }

    /// The row variable that an expression is, when it is no more than a name.
    pub(super) fn lone_row(&self, fragment: &Fragment) -> Option<usize> {
        let sql::Statement::Select(select) = &*fragment.statement else { return None };
        let sql::SelectBody::Select(core) = &select.body else { return None };
        match core.targets.as_slice() {
            [sql::Target { expr: sql::Expr::Column(column), .. }] if !column.star => {
                let parts: Vec<String> = column.parts.iter().map(|part| part.to_string()).collect();
                let (slot, used) = self.find_variable(&parts)?;
                (used == parts.len() && self.variables[slot].is_row()).then_some(slot)
            }
            _ => None,
        }
    }

    pub(super) fn return_next(&mut self, value: Option<&'a Fragment>) -> Result<()> {
        let Some(value) = value else {
            let row = self.outputs().map(|slot| self.variables[slot].value.clone()).collect();
            self.rows.push(row);
            return Ok(());
        };
        let result = self.invocation.result;
        if let Some(slot) = self.lone_row(value) {
            let variable = &self.variables[slot];
            let shape = variable.shape.clone().ok_or_else(|| unassigned(&variable.name))?;
            let value = match variable.value.clone() {
                Datum::Null => Datum::Record(vec![Datum::Null; shape.len()].into()),
                value => value,
            };
            if result.physical != PhysicalType::Record {
                return Err(Error::new(
                    SqlState::DATATYPE_MISMATCH,
                    "wrong result type supplied in RETURN NEXT",
                ));
            }
            let message = "wrong record type supplied in RETURN NEXT";
            self.check_row(&shape, self.shape_of(result).as_ref(), message)?;
            self.rows.push(vec![value]);
            return Ok(());
        }
        let (value, ty) = self.eval(value)?;
        let value = match (result.physical, &value, self.shape_of(ty)) {
            (PhysicalType::Record, Datum::Null, _) => {
                let width = self.shape_of(result).map_or(0, |shape| shape.len());
                Datum::Record(vec![Datum::Null; width].into())
            }
            (PhysicalType::Record, Datum::Record(_), Some(shape)) => {
                self.check_row(&shape, self.shape_of(result).as_ref(), WRONG_RECORD)?;
                value
            }
            (PhysicalType::Record, Datum::Record(_), None) => self.unknown_row(value)?,
            (PhysicalType::Record, ..) => {
                return Err(Error::new(
                    SqlState::DATATYPE_MISMATCH,
                    "cannot return non-composite value from function returning composite type",
                ));
            }
            _ => self.cast(value, ty, result)?,
        };
        self.rows.push(vec![value.detached()]);
        Ok(())
    }

    pub(super) fn return_query(&mut self, source: &'a RowSource) -> Result<()> {
        let result = self.invocation.result;
        let wanted: Option<Vec<SqlType>> = if self.has_outputs() {
            Some(self.outputs().map(|slot| self.variables[slot].ty).collect())
        } else if let Some(shape) = self.shape_of(result) {
            Some(shape.iter().map(|(_, ty)| *ty).collect())
        } else if result.physical == PhysicalType::Record {
            None
        } else {
            Some(vec![result])
        };
        let as_record = !self.has_outputs() && result.physical == PhysicalType::Record;
        let before = self.rows.len();
        let rows = self.rows_of(source)?;
        match &wanted {
            Some(wanted) => self.check_structure(&rows.plan.row_shape, wanted)?,
            None => {
                let types: Vec<SqlType> = rows.plan.row_shape.iter().map(|column| column.ty).collect();
                check_self_describing(&types)?;
            }
        }
        self.each_row(&rows, &mut |run, mut row| {
            row.iter_mut().for_each(|value| *value = std::mem::replace(value, Datum::Null).detached());
            run.rows.push(if as_record { vec![Datum::Record(row.into())] } else { row });
            Ok(true)
        })?;
        let count = (self.rows.len() - before) as u64;
        self.set_count(count);
        Ok(())
    }

    fn check_structure(&self, given: &[OutputColumn], wanted: &[SqlType]) -> Result<()> {
        let mismatch = |detail: String| {
            let message = "structure of query does not match function result type";
            Err(Error::new(SqlState::DATATYPE_MISMATCH, message).detail(detail))
        };
        if given.len() != wanted.len() {
            return mismatch(format!(
                "Number of returned columns ({}) does not match expected column count ({}).",
                given.len(),
                wanted.len()
            ));
        }
        for (i, (column, wanted)) in given.iter().zip(wanted).enumerate() {
            if column.ty.oid != wanted.oid {
                return mismatch(format!(
                    "Returned type {} does not match expected type {} in column \"{}\" (position {}).",
                    self.session().type_name_text(column.ty),
                    self.session().type_name_text(*wanted),
                    column.name,
                    i + 1
                ));
            }
        }
        Ok(())
    }
}
