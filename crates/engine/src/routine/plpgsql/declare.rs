//! DECLARE: variables and their types.

use ochre_base::{Error, Result};
use ochre_plpgsql::ast::{DeclarationKind, VariableType};
use ochre_types::{Datum, PhysicalType, SqlType, oids};

use super::assign::null_for_not_null;
use super::check::needs_default;
use super::run::Run;
use super::variables::{BoundCursor, Shape, Variable};

impl<'a, 's> Run<'a, 's> {
    pub(super) fn declaration(&mut self, name: &'a str, kind: &'a DeclarationKind) -> Result<()> {
        match kind {
            DeclarationKind::Alias(parts) => {
                let place = self.place(parts)?;
                self.name(name, place.slot);
            }
            DeclarationKind::Cursor { arguments, query, .. } => {
                let mut variable = Variable::plain(name, SqlType::new(oids::REFCURSOR, -1), Datum::Null);
                variable.cursor = Some(BoundCursor { arguments, query, scopes: self.scopes.len() });
                self.declare(variable);
            }
            DeclarationKind::Variable { constant, ty, not_null, default } => {
                let (ty, shape) = self.declared_type(ty)?;
                let value = match default {
                    Some(default) => Some(self.eval(default)?),
                    None => None,
                };
                let mut variable = Variable::plain(name, ty, Datum::Null);
                variable.shape = shape;
                let slot = self.declare(variable);
                if let Some((value, from)) = value {
                    self.store(slot, value, from)?;
                }
                if *not_null && self.variables[slot].value.is_null() {
                    return Err(match default {
                        Some(_) => null_for_not_null(name),
                        None => needs_default(name),
                    });
                }
                self.variables[slot].constant = *constant;
                self.variables[slot].not_null = *not_null;
            }
        }
        Ok(())
    }

    pub(super) fn declared_type(&mut self, ty: &'a VariableType) -> Result<(SqlType, Option<Shape>)> {
        let session = self.session();
        let version = session.state.catalog_version();
        let key = std::ptr::from_ref(ty) as usize;
        if let Some((known, ty, shape)) = self.code.types.lock().get(&key)
            && *known == version
        {
            return Ok((*ty, shape.clone()));
        }
        let found = match ty {
            VariableType::Record => SqlType::RECORD,
            VariableType::Named(name) => session.bind_type(name)?,
            VariableType::TypeOf(parts, array) => {
                // What a variable's type is may differ from call to call.
                let (ty, shape) = self.type_of(parts)?;
                if !*array {
                    return Ok((ty, shape));
                }
                ty.array_of().ok_or_else(|| Error::unsupported("%TYPE[] of this type"))?
            }
            VariableType::RowOf(parts) => {
                let relation = session.state.find_by_parts(parts)?;
                let relation = relation.ok_or_else(|| crate::errors::undefined_table(parts.join(".")))?;
                SqlType::with_physical(relation.row_type, -1, PhysicalType::Record)
            }
        };
        let shape = self.shape_of(found);
        self.code.types.lock().insert(key, (version, found, shape.clone()));
        Ok((found, shape))
    }

    pub(super) fn type_of(&self, parts: &[String]) -> Result<(SqlType, Option<Shape>)> {
        if let Ok(place) = self.place(parts) {
            let variable = &self.variables[place.slot];
            return Ok(match (place.field, &variable.shape) {
                (Some(field), Some(shape)) => (shape[field].1, self.shape_of(shape[field].1)),
                _ => (variable.ty, variable.shape.clone()),
            });
        }
        let ty = self.session().type_of_column(parts)?;
        Ok((ty, self.shape_of(ty)))
    }
}
