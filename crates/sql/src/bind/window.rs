//! Window definitions.

use ochre_base::{Error, Oid, Result, SqlState};
use ochre_catalog::CatalogSnapshot;
use ochre_expr::Expr;
use ochre_parser::ast;
use ochre_types::{SqlType, oids};

use super::Binder;
use super::coerce::{CoercionContext, can_coerce};
use super::level::Clause;
use super::scope::Scope;
use crate::logical::{Bound, Frame, Ordering};
use crate::physical::{FrameExclusion, FrameMode};

/// A window with everything copied that it refers to.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct WindowDefinition {
    /// PARTITION BY.
    pub partition: Vec<Expr>,
    /// ORDER BY.
    pub order: Vec<Ordering>,
    /// The frame.
    pub frame: Frame,
    /// Whether the frame was written: such a window cannot be copied.
    pub has_frame: bool,
}

impl Binder<'_> {
    /// Binds the WINDOW clause.
    pub(crate) fn bind_window_clause(
        &mut self,
        windows: &[ast::WindowSpec],
        scope: &Scope<'_>,
    ) -> Result<()> {
        for spec in windows {
            let Some(name) = &spec.name else { continue };
            if self.level()?.named_windows.iter().any(|(known, _)| known == name) {
                let error =
                    Error::new(SqlState::WINDOWING_ERROR, format!("window \"{name}\" is already defined"));
                return Err(self.at(error, spec.pos));
            }
            let definition = self.bind_window_spec(spec, scope)?;
            self.level()?.named_windows.push((name.clone(), definition));
        }
        Ok(())
    }

    /// Binds OVER.
    pub(crate) fn bind_over(&mut self, over: &ast::Over, scope: &Scope<'_>) -> Result<WindowDefinition> {
        match over {
            ast::Over::Named(name, pos) => self.named_window(name, *pos),
            ast::Over::Spec(spec) => self.bind_window_spec(spec, scope),
        }
    }

    fn named_window(&mut self, name: &ast::Name, pos: ast::Pos) -> Result<WindowDefinition> {
        match self.level()?.named_windows.iter().find(|(known, _)| known == name) {
            Some((_, definition)) => Ok(definition.clone()),
            None => {
                let error =
                    Error::new(SqlState::UNDEFINED_OBJECT, format!("window \"{name}\" does not exist"));
                Err(self.at(error, pos))
            }
        }
    }

    fn bind_window_spec(&mut self, spec: &ast::WindowSpec, scope: &Scope<'_>) -> Result<WindowDefinition> {
        let clause = std::mem::replace(&mut self.level()?.clause, Clause::Window);
        let result = self.bind_window_spec_inner(spec, scope);
        self.level()?.clause = clause;
        result
    }

    fn bind_window_spec_inner(
        &mut self,
        spec: &ast::WindowSpec,
        scope: &Scope<'_>,
    ) -> Result<WindowDefinition> {
        let base = match &spec.base {
            Some(name) => Some((name, self.named_window(name, spec.pos)?)),
            None => None,
        };
        let mut partition = Vec::with_capacity(spec.partition_by.len());
        for item in &spec.partition_by {
            let expr = self.bind_expr(item, scope)?;
            let expr = self.resolve_unknown(expr, item.pos())?;
            self.require_ordering(expr.ty(), true, item.pos())?;
            partition.push(expr);
        }
        let mut order = Vec::with_capacity(spec.order_by.len());
        for item in &spec.order_by {
            let expr = self.bind_expr(&item.expr, scope)?;
            let expr = self.resolve_unknown(expr, item.expr.pos())?;
            order.push(self.sort_key(item, expr)?);
        }
        if let Some((name, base)) = base {
            let fail =
                |message: String| Err(self.at(Error::new(SqlState::WINDOWING_ERROR, message), spec.pos));
            if !partition.is_empty() {
                return fail(format!("cannot override PARTITION BY clause of window \"{name}\""));
            }
            if !order.is_empty() && !base.order.is_empty() {
                return fail(format!("cannot override ORDER BY clause of window \"{name}\""));
            }
            if base.has_frame {
                return fail(format!("cannot copy window \"{name}\" because it has a frame clause"));
            }
            partition = base.partition;
            if order.is_empty() {
                order = base.order;
            }
        }
        let frame = match &spec.frame {
            Some(frame) => self.bind_frame(frame, &order, scope)?,
            None => Frame {
                mode: FrameMode::Range,
                start: Bound::UnboundedPreceding,
                end: Bound::CurrentRow,
                exclusion: FrameExclusion::NoOthers,
            },
        };
        Ok(WindowDefinition { partition, order, frame, has_frame: spec.frame.is_some() })
    }

    fn bind_frame(
        &mut self,
        frame: &ast::WindowFrame,
        order: &[Ordering],
        scope: &Scope<'_>,
    ) -> Result<Frame> {
        let mode = match frame.unit {
            ast::FrameUnit::Range => FrameMode::Range,
            ast::FrameUnit::Rows => FrameMode::Rows,
            ast::FrameUnit::Groups => FrameMode::Groups,
        };
        if mode == FrameMode::Groups && order.is_empty() {
            let error = Error::new(SqlState::WINDOWING_ERROR, "GROUPS mode requires an ORDER BY clause");
            return Err(self.at(error, frame.pos));
        }
        let start = self.bind_frame_bound(&frame.start, mode, frame, order, scope)?;
        let end = match &frame.end {
            Some(end) => self.bind_frame_bound(end, mode, frame, order, scope)?,
            None => Bound::CurrentRow,
        };
        let exclusion = match frame.exclude {
            ast::FrameExclude::NoOthers => FrameExclusion::NoOthers,
            ast::FrameExclude::CurrentRow => FrameExclusion::CurrentRow,
            ast::FrameExclude::Group => FrameExclusion::Group,
            ast::FrameExclude::Ties => FrameExclusion::Ties,
        };
        Ok(Frame { mode, start, end, exclusion })
    }

    fn bind_frame_bound(
        &mut self,
        bound: &ast::FrameBound,
        mode: FrameMode,
        frame: &ast::WindowFrame,
        order: &[Ordering],
        scope: &Scope<'_>,
    ) -> Result<Bound> {
        let (offset, following) = match bound {
            ast::FrameBound::UnboundedPreceding => return Ok(Bound::UnboundedPreceding),
            ast::FrameBound::CurrentRow => return Ok(Bound::CurrentRow),
            ast::FrameBound::UnboundedFollowing => return Ok(Bound::UnboundedFollowing),
            ast::FrameBound::Preceding(offset) => (offset, false),
            ast::FrameBound::Following(offset) => (offset, true),
        };
        let around = self.level()?.no_sets.replace("window definitions");
        let expr = self.bind_expr(offset, scope);
        self.level()?.no_sets = around;
        let expr = expr?;
        let target = match mode {
            FrameMode::Rows | FrameMode::Groups => SqlType::INT8,
            FrameMode::Range => {
                let [key] = order else {
                    let error = Error::new(
                        SqlState::WINDOWING_ERROR,
                        "RANGE with offset PRECEDING/FOLLOWING requires exactly one ORDER BY column",
                    );
                    return Err(self.at(error, frame.pos));
                };
                let target = range_offset_type(self.catalog, key.expr.ty(), expr.ty());
                target.map_err(|error| self.at(error, offset.pos()))?
            }
        };
        let word = match mode {
            FrameMode::Rows => "ROWS",
            FrameMode::Groups => "GROUPS",
            FrameMode::Range => "RANGE",
        };
        let expr = self.coerce_to_specific(expr, target, word, offset.pos())?;
        if expr.any(|node| matches!(node, Expr::Column { .. })) {
            let error = Error::new(
                SqlState::INVALID_COLUMN_REFERENCE,
                format!("argument of {word} must not contain variables"),
            );
            return Err(self.at(error, offset.pos()));
        }
        Ok(if following { Bound::Following(expr) } else { Bound::Preceding(expr) })
    }
}

/// The types of the distances between an ordering column's values.
fn range_offset_types(key: Oid) -> &'static [Oid] {
    match key {
        oids::INT2 => &[oids::INT8, oids::INT2, oids::INT4],
        oids::INT4 => &[oids::INT8, oids::INT2, oids::INT4],
        oids::INT8 => &[oids::INT8],
        oids::FLOAT4 | oids::FLOAT8 => &[oids::FLOAT8],
        oids::NUMERIC => &[oids::NUMERIC],
        oids::DATE | oids::TIMESTAMP | oids::TIMESTAMPTZ | oids::TIME | oids::TIMETZ | oids::INTERVAL => {
            &[oids::INTERVAL]
        }
        _ => &[],
    }
}

/// The type that a RANGE offset is converted to.
fn range_offset_type(catalog: &CatalogSnapshot, key: SqlType, offset: SqlType) -> Result<SqlType> {
    let unsupported = |with: &str| {
        let message = format!("RANGE with offset PRECEDING/FOLLOWING {with}");
        Error::new(SqlState::FEATURE_NOT_SUPPORTED, message)
    };
    let known = range_offset_types(key.oid);
    if known.is_empty() {
        return Err(unsupported(&format!("is not supported for column type {}", key.name())));
    }
    let preferred = if offset.oid == oids::UNKNOWN { key.oid } else { offset.oid };
    let implicit = CoercionContext::Implicit;
    let fitting: Vec<Oid> = known
        .iter()
        .copied()
        .filter(|target| can_coerce(catalog, &[offset.oid], &[*target], implicit))
        .collect();
    match fitting.as_slice() {
        found if found.contains(&preferred) => Ok(SqlType::new(preferred, -1)),
        [one] => Ok(SqlType::new(*one, -1)),
        [] => Err(unsupported(&format!(
            "is not supported for column type {} and offset type {}",
            key.name(),
            offset.name()
        ))
        .hint("Cast the offset value to an appropriate type.")),
        _ => Err(unsupported(&format!(
            "has multiple interpretations for column type {} and offset type {}",
            key.name(),
            offset.name()
        ))
        .hint("Cast the offset value to the exact intended type.")),
    }
}
