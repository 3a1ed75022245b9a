//! Assignments to parts of a column: `a[1] = …`, `a[2:3] = …`, `c.field = …`, and their like behind one another.
//!
//! # Role
//! UPDATE puts a part into the column's value, INSERT into NULL; several assignments to one column build on each other.
//!
//! # Not done
//! Fields behind a slice (`a[1:2].f = …`), parts of values that are neither arrays nor rows.

use ochre_base::{Error, Result, SqlState};
use ochre_expr::Expr;
use ochre_parser::ast::{self, Pos};
use ochre_types::array::MAX_DIMENSIONS;
use ochre_types::{Datum, PhysicalType, SqlType, oids};

use super::Binder;
use super::coerce::{CoercionContext, can_coerce};
use super::scope::Scope;

/// Subscripts as they are evaluated: lower and upper bounds, and whether any is a slice.
pub(crate) type Subscripts = (Vec<(Option<Expr>, Option<Expr>)>, bool);

impl Binder<'_> {
    /// The value of a column (or of a part of it, which is `base`) after an assignment to the part that `steps` lead to.
    pub(crate) fn assign_part(
        &mut self,
        base: Expr,
        steps: &[ast::Indirection],
        value: Expr,
        column: &str,
        pos: Pos,
        scope: &Scope<'_>,
    ) -> Result<Expr> {
        let ty = base.ty();
        let Some(first) = steps.first() else {
            return Err(Error::internal("an assignment to a part leads nowhere"));
        };
        if let ast::Indirection::Field(name, name_pos) = first {
            let (fields, index) = self.field_of(ty, name, column, *name_pos)?;
            let field =
                |index: usize| Expr::Field { record: Box::new(base.clone()), index, ty: fields[index] };
            let assigned = self.assign_within(field(index), &steps[1..], value, name, pos, scope, false)?;
            let mut assigned = Some(assigned);
            let parts =
                (0..fields.len()).map(|position| match (position == index).then(|| assigned.take()) {
                    Some(Some(assigned)) => assigned,
                    _ => field(position),
                });
            return Ok(Expr::Row { fields: parts.collect(), ty });
        }
        let count = self.subscript_count(steps, pos)?;
        let element = self.subscripted_element(ty, pos)?;
        let (indexes, slice) = match ty.oid {
            oids::JSONB => {
                let steps = self.bind_json_steps(&steps[..count], scope)?;
                (steps.into_iter().map(|step| (None, Some(step))).collect(), false)
            }
            _ => self.bind_subscript_steps(&steps[..count], scope, pos)?,
        };
        self.check_slice(ty, slice, pos)?;
        let rest = &steps[count..];
        if slice && !rest.is_empty() {
            return Err(self.at(Error::unsupported("an assignment to fields of a slice"), pos));
        }
        let inner = match (slice, rest.is_empty()) {
            // What is there matters only where a part of it is replaced.
            (_, true) => Expr::null(if slice { ty } else { element }),
            (_, false) if ty.oid == oids::JSONB => Expr::null(element),
            (_, false) => Expr::Subscript {
                array: Box::new(base.clone()),
                indexes: indexes.iter().filter_map(|(_, upper)| upper.clone()).collect(),
                ty: element,
            },
        };
        let value = self.assign_within(inner, rest, value, column, pos, scope, true)?;
        Ok(Expr::SubscriptAssign { array: Box::new(base), indexes, slice, value: Box::new(value), ty })
    }

    /// What stands behind one step: the value itself, or a part further in.
    #[allow(clippy::too_many_arguments, reason = "the facts of one assignment")]
    fn assign_within(
        &mut self,
        base: Expr,
        rest: &[ast::Indirection],
        value: Expr,
        name: &str,
        pos: Pos,
        scope: &Scope<'_>,
        subscripted: bool,
    ) -> Result<Expr> {
        if !rest.is_empty() {
            return self.assign_part(base, rest, value, name, pos, scope);
        }
        let (source, target) = (value.ty(), base.ty());
        match self.coerce_to(value, target, CoercionContext::Assignment, pos)? {
            Some(value) => Ok(value),
            None => {
                let (target, source) = (self.type_text(target), self.type_text(source));
                let message = match subscripted {
                    true => format!(
                        "subscripted assignment to \"{name}\" requires type {target} but expression is of type {source}"
                    ),
                    false => {
                        format!("subfield \"{name}\" is of type {target} but expression is of type {source}")
                    }
                };
                let error = Error::new(SqlState::DATATYPE_MISMATCH, message)
                    .hint("You will need to rewrite or cast the expression.");
                Err(self.at(error, pos))
            }
        }
    }

    /// The type of the part that steps lead to.
    pub(crate) fn part_type(
        &self,
        mut ty: SqlType,
        steps: &[ast::Indirection],
        column: &str,
        pos: Pos,
    ) -> Result<SqlType> {
        let mut steps = steps;
        while let Some(first) = steps.first() {
            if let ast::Indirection::Field(name, name_pos) = first {
                let (fields, index) = self.field_of(ty, name, column, *name_pos)?;
                ty = fields[index];
                steps = &steps[1..];
                continue;
            }
            let count = self.subscript_count(steps, pos)?;
            if !steps[..count].iter().any(|step| matches!(step, ast::Indirection::Slice(..))) {
                ty = self.subscripted_element(ty, pos)?;
            }
            steps = &steps[count..];
        }
        Ok(ty)
    }

    /// The fields' types of a row type and the place of the one with a name.
    fn field_of(&self, ty: SqlType, name: &str, column: &str, pos: Pos) -> Result<(Vec<SqlType>, usize)> {
        let fields = (ty.physical == PhysicalType::Record).then(|| self.record_fields(ty)).flatten();
        let Some(fields) = fields else {
            let error = Error::new(
                SqlState::DATATYPE_MISMATCH,
                format!(
                    "cannot assign to field \"{name}\" of column \"{column}\" because its type {} is not a composite type",
                    self.type_text(ty)
                ),
            );
            return Err(self.at(error, pos));
        };
        match fields.iter().position(|(field, _)| &**field == name) {
            Some(index) => Ok((fields.into_iter().map(|(_, ty)| ty).collect(), index)),
            None => {
                let error = Error::new(
                    SqlState::UNDEFINED_COLUMN,
                    format!(
                        "cannot assign to field \"{name}\" of column \"{column}\" because there is no such column in data type {}",
                        self.type_text(ty)
                    ),
                );
                Err(self.at(error, pos))
            }
        }
    }

    /// 0A000 for a slice of what has a fixed number of elements.
    pub(crate) fn check_slice(&self, ty: SqlType, slice: bool, pos: Pos) -> Result<()> {
        if !slice || !matches!(ty.oid, oids::POINT | oids::LINE) {
            return Ok(());
        }
        let message = "slices of fixed-length arrays not implemented";
        Err(self.at(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message), pos))
    }

    /// How many subscripts lead `steps`, which are none where they begin with all fields.
    fn subscript_count(&self, steps: &[ast::Indirection], pos: Pos) -> Result<usize> {
        match leading_subscripts(steps) {
            0 => Err(self.at(Error::unsupported("an assignment to all fields of a column"), pos)),
            count => Ok(count),
        }
    }

    /// The element type of what is subscripted.
    pub(crate) fn subscripted_element(&self, ty: SqlType, pos: Pos) -> Result<SqlType> {
        // A point or line is an array of numbers that cannot grow.
        if matches!(ty.oid, oids::POINT | oids::LINE) {
            return Ok(SqlType::FLOAT8);
        }
        if ty.oid == oids::JSONB {
            return Ok(ty);
        }
        ty.element().ok_or_else(|| {
            let error = Error::new(
                SqlState::DATATYPE_MISMATCH,
                format!(
                    "cannot subscript type {} because it does not support subscripting",
                    self.type_text(ty)
                ),
            );
            self.at(error, pos)
        })
    }

    /// Binds subscripts of JSON: names, which are texts, and integers.
    pub(crate) fn bind_json_steps(
        &mut self,
        steps: &[ast::Indirection],
        scope: &Scope<'_>,
    ) -> Result<Vec<Expr>> {
        let mut bound = Vec::with_capacity(steps.len());
        for step in steps {
            let step = match step {
                ast::Indirection::Index(index) => index,
                ast::Indirection::Slice(lower, upper) => {
                    let at = lower.as_ref().or(upper.as_ref()).map_or(Pos::NONE, ast::Expr::pos);
                    let message = "jsonb subscript does not support slices";
                    return Err(self.at(Error::new(SqlState::DATATYPE_MISMATCH, message), at));
                }
                _ => return Err(Error::internal("a field among subscripts")),
            };
            let expr = self.bind_expr(step, scope)?;
            let source = expr.ty();
            let implicit = CoercionContext::Implicit;
            let fits = |target: SqlType| can_coerce(self.catalog, &[source.oid], &[target.oid], implicit);
            let target = match (fits(SqlType::INT4), fits(SqlType::TEXT)) {
                _ if source.oid == oids::UNKNOWN => SqlType::TEXT,
                (true, false) => SqlType::INT4,
                (false, true) => SqlType::TEXT,
                (both, _) => {
                    let message = format!("subscript type {} is not supported", self.type_text(source));
                    let error = Error::new(SqlState::DATATYPE_MISMATCH, message).hint(match both {
                        true => "jsonb subscript must be coercible to only one type, integer or text.",
                        false => "jsonb subscript must be coercible to either integer or text.",
                    });
                    return Err(self.at(error, step.pos()));
                }
            };
            bound.push(self.coerce_implicit(expr, target.oid, step.pos())?);
        }
        Ok(bound)
    }

    /// The part of a JSON value that subscripts lead to; NULL where there is none.
    pub(crate) fn json_part(
        &mut self,
        json: Expr,
        steps: &[ast::Indirection],
        scope: &Scope<'_>,
        pos: Pos,
    ) -> Result<Expr> {
        let mut args = vec![json];
        for step in self.bind_json_steps(steps, scope)? {
            let source = step.ty();
            let text = self.coerce_to(step, SqlType::TEXT, CoercionContext::Explicit, pos)?;
            args.push(text.ok_or_else(|| self.cannot_cast(source, SqlType::TEXT, pos))?);
        }
        self.call_builtin("jsonb_extract_path", args, pos)
    }

    /// Binds subscripts. Beside a slice a single subscript means 1 up to it.
    pub(crate) fn bind_subscript_steps(
        &mut self,
        steps: &[ast::Indirection],
        scope: &Scope<'_>,
        pos: Pos,
    ) -> Result<Subscripts> {
        if steps.len() > MAX_DIMENSIONS {
            let error = Error::new(
                SqlState::PROGRAM_LIMIT_EXCEEDED,
                format!(
                    "number of array dimensions ({}) exceeds the maximum allowed ({MAX_DIMENSIONS})",
                    steps.len()
                ),
            );
            return Err(self.at(error, pos));
        }
        let slice = steps.iter().any(|step| matches!(step, ast::Indirection::Slice(..)));
        let mut bounds = Vec::with_capacity(steps.len());
        for step in steps {
            match step {
                ast::Indirection::Index(index) => {
                    let upper = self.bind_subscript(index, scope)?;
                    let lower = slice.then(|| Expr::constant(Datum::Int32(1), SqlType::INT4));
                    bounds.push((lower, Some(upper)));
                }
                ast::Indirection::Slice(lower, upper) => {
                    let lower = lower.as_ref().map(|l| self.bind_subscript(l, scope)).transpose()?;
                    let upper = upper.as_ref().map(|u| self.bind_subscript(u, scope)).transpose()?;
                    bounds.push((lower, upper));
                }
                _ => return Err(Error::internal("a field among subscripts")),
            }
        }
        Ok((bounds, slice))
    }
}

/// How many subscripts lead `steps`.
pub(super) fn leading_subscripts(steps: &[ast::Indirection]) -> usize {
    let is_subscript =
        |step: &&ast::Indirection| matches!(step, ast::Indirection::Index(_) | ast::Indirection::Slice(..));
    steps.iter().take_while(is_subscript).count()
}
