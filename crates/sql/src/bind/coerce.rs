//! Conversions: whether a type can become another, by which cast, and what a literal of unknown type means there.

use std::sync::Arc;

use ochre_base::{Error, Oid, Result, SqlState};
use ochre_catalog::CatalogSnapshot;
use ochre_expr::{CastContext, CastKind, CastMethod, Expr, Function};
use ochre_parser::ast::Pos;
use ochre_types::range::range_subtype;
use ochre_types::{
    ArrayValue, Datum, PhysicalType, SqlType, oids, record_fields, record_type, type_info, typmod,
};

use super::Binder;

/// Where a conversion stands: which casts may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CoercionContext {
    /// In an expression.
    Implicit,
    /// Into a column.
    Assignment,
    /// Written as a cast.
    Explicit,
}

impl CoercionContext {
    fn allows(self, cast: CastContext) -> bool {
        match self {
            CoercionContext::Implicit => cast == CastContext::Implicit,
            CoercionContext::Assignment => cast != CastContext::Explicit,
            CoercionContext::Explicit => true,
        }
    }
}

/// Whether a type is one of the polymorphic pseudo-types.
pub fn is_polymorphic(oid: Oid) -> bool {
    matches!(
        oid,
        oids::ANYELEMENT
            | oids::ANYARRAY
            | oids::ANYNONARRAY
            | oids::ANYENUM
            | oids::ANYRANGE
            | oids::ANYMULTIRANGE
            | oids::ANYCOMPATIBLE
            | oids::ANYCOMPATIBLEARRAY
            | oids::ANYCOMPATIBLENONARRAY
            | oids::ANYCOMPATIBLERANGE
            | oids::ANYCOMPATIBLEMULTIRANGE
    )
}

/// Whether a type is its category's preferred one.
pub(crate) fn is_preferred(oid: Oid) -> bool {
    type_info(oid).is_some_and(|info| info.preferred)
}

/// A way from one type to another.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Pathway {
    Kind(CastKind),
}

/// How a value of one type becomes one of another, if the context allows it. Equal types are not asked for.
pub(crate) fn pathway(
    catalog: &CatalogSnapshot,
    source: SqlType,
    target: SqlType,
    context: CoercionContext,
) -> Option<Pathway> {
    if source.oid == target.oid {
        return Some(Pathway::Kind(CastKind::Relabel));
    }
    let explicit = context == CoercionContext::Explicit;
    if let Some(cast) = ochre_expr::cast(source.oid, target.oid) {
        if !context.allows(cast.context) {
            return None;
        }
        return Some(Pathway::Kind(match cast.method {
            // Casts whose function is not told of it are the same however they were written.
            CastMethod::Function(function) => {
                let explicit = explicit && function.arg_types.len() > 2;
                CastKind::Function { function: function.into(), explicit }
            }
            CastMethod::Relabel => CastKind::Relabel,
            CastMethod::Io => CastKind::Io,
        }));
    }
    // Vectors of the catalogs are arrays already.
    if matches!(
        (source.oid, target.oid),
        (oids::INT2VECTOR, oids::INT2_ARRAY) | (oids::OIDVECTOR, oids::OID_ARRAY)
    ) {
        return Some(Pathway::Kind(CastKind::Relabel));
    }
    if let (Some(from), Some(to)) = (catalog.array_element(source.oid), catalog.array_element(target.oid)) {
        // Rows of any type are records, without a conversion.
        if to == oids::RECORD && catalog.is_row_type(from) {
            return Some(Pathway::Kind(CastKind::Relabel));
        }
        let element = catalog.sql_type(to);
        return match pathway(catalog, catalog.sql_type(from), element, context)? {
            Pathway::Kind(CastKind::Relabel) => Some(Pathway::Kind(CastKind::Relabel)),
            Pathway::Kind(kind) => Some(Pathway::Kind(CastKind::Array { kind: Box::new(kind), element })),
        };
    }
    // Any type can be written as a string on assignment, and read from one by an explicit cast.
    if context != CoercionContext::Implicit && catalog.type_category(target.oid) == b'S' {
        return Some(Pathway::Kind(CastKind::Io));
    }
    if explicit && catalog.type_category(source.oid) == b'S' {
        return Some(Pathway::Kind(CastKind::Io));
    }
    None
}

/// Whether every type can become its counterpart.
pub(crate) fn can_coerce(
    catalog: &CatalogSnapshot,
    source: &[Oid],
    target: &[Oid],
    context: CoercionContext,
) -> bool {
    let mut polymorphic = false;
    for (from, to) in source.iter().zip(target) {
        if from == to || *to == oids::ANY {
            continue;
        }
        if is_polymorphic(*to) {
            polymorphic = true;
            continue;
        }
        if *from == oids::UNKNOWN {
            continue;
        }
        if pathway(catalog, catalog.sql_type(*from), catalog.sql_type(*to), context).is_some() {
            continue;
        }
        if catalog.is_row_type(*from) && *to == oids::RECORD
            || *from == oids::RECORD && catalog.is_row_type(*to)
        {
            continue;
        }
        return false;
    }
    !polymorphic || resolve_polymorphic(catalog, source, target).is_some()
}

/// What a function returns for arguments of these types, if it takes them without a conversion of values.
pub fn fitting_result(catalog: &CatalogSnapshot, function: &Function, args: &[Oid]) -> Option<Oid> {
    let fits = |(from, to): (&Oid, &Oid)| {
        let relabels = || {
            let (from, to) = (catalog.sql_type(*from), catalog.sql_type(*to));
            let pathway = pathway(catalog, from, to, CoercionContext::Implicit);
            pathway == Some(Pathway::Kind(CastKind::Relabel))
        };
        from == to || *to == oids::ANY || is_polymorphic(*to) || relabels()
    };
    if function.arg_types.len() != args.len() || !args.iter().zip(&function.arg_types).all(fits) {
        return None;
    }
    let polymorphic = function.arg_types.iter().any(|ty| is_polymorphic(*ty));
    if !polymorphic {
        return Some(function.return_type);
    }
    resolve_polymorphic(catalog, args, &function.arg_types)?.actual(catalog, function.return_type)
}

/// What polymorphic types stand for in one call.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Polymorphic {
    element: Option<Oid>,
    array: Option<Oid>,
    range: Option<Oid>,
    compatible: Option<Oid>,
    /// Nothing but literals stands for a type: they may be text, but no call takes them.
    pub undetermined: bool,
}

impl Polymorphic {
    /// The actual type for a declared one.
    pub fn actual(&self, catalog: &CatalogSnapshot, declared: Oid) -> Option<Oid> {
        match declared {
            oids::ANYELEMENT | oids::ANYNONARRAY | oids::ANYENUM => self.element,
            oids::ANYARRAY => self.array.or_else(|| self.element.and_then(|ty| catalog.array_over(ty))),
            oids::ANYRANGE => self.range,
            oids::ANYCOMPATIBLE | oids::ANYCOMPATIBLENONARRAY => self.compatible,
            oids::ANYCOMPATIBLEARRAY => self.compatible.and_then(|element| catalog.array_over(element)),
            other if is_polymorphic(other) => None,
            other => Some(other),
        }
    }
}

/// What the polymorphic types of a call stand for; `None` when the arguments do not agree.
pub(crate) fn resolve_polymorphic(
    catalog: &CatalogSnapshot,
    actual: &[Oid],
    declared: &[Oid],
) -> Option<Polymorphic> {
    let mut found = Polymorphic::default();
    let mut family = (false, false);
    let mut compatible: Vec<Oid> = Vec::new();
    let mut non_array = false;
    for (from, to) in actual.iter().zip(declared) {
        match *to {
            oids::ANYELEMENT | oids::ANYNONARRAY | oids::ANYENUM => {
                family.0 = true;
                non_array |= *to == oids::ANYNONARRAY;
                if *from == oids::UNKNOWN {
                    continue;
                }
                if *to == oids::ANYENUM && type_info(*from).is_none_or(|info| info.kind != b'e') {
                    return None;
                }
                if found.element.is_some_and(|known| known != *from) {
                    return None;
                }
                found.element = Some(*from);
            }
            oids::ANYARRAY => {
                family.0 = true;
                if *from == oids::UNKNOWN {
                    continue;
                }
                let from = match *from {
                    oids::INT2VECTOR => oids::INT2_ARRAY,
                    oids::OIDVECTOR => oids::OID_ARRAY,
                    other => other,
                };
                if from != oids::ANYARRAY {
                    catalog.array_element(from)?;
                }
                if found.array.is_some_and(|known| known != from) {
                    return None;
                }
                found.array = Some(from);
            }
            oids::ANYRANGE => {
                family.0 = true;
                if *from == oids::UNKNOWN {
                    continue;
                }
                range_subtype(*from)?;
                if found.range.is_some_and(|known| known != *from) {
                    return None;
                }
                found.range = Some(*from);
            }
            oids::ANYCOMPATIBLE | oids::ANYCOMPATIBLENONARRAY => {
                family.1 = true;
                if *from != oids::UNKNOWN {
                    compatible.push(*from);
                }
            }
            oids::ANYCOMPATIBLEARRAY => {
                family.1 = true;
                if *from != oids::UNKNOWN {
                    let from = match *from {
                        oids::INT2VECTOR => oids::INT2_ARRAY,
                        oids::OIDVECTOR => oids::OID_ARRAY,
                        other => other,
                    };
                    compatible.push(catalog.array_element(from)?);
                }
            }
            other if is_polymorphic(other) => return None,
            _ => {}
        }
    }
    if family.0 {
        if let Some(array) = found.array {
            let element =
                if array == oids::ANYARRAY { oids::ANYELEMENT } else { catalog.array_element(array)? };
            match found.element {
                Some(known) if known != element && array != oids::ANYARRAY => return None,
                Some(_) => {}
                None => found.element = Some(element),
            }
        }
        if let Some(subtype) = found.range.and_then(range_subtype) {
            if found.element.is_some_and(|known| known != subtype.oid) {
                return None;
            }
            found.element = Some(subtype.oid);
        } else if declared.contains(&oids::ANYRANGE) {
            // No literal says which range it is.
            return None;
        }
        if found.element.is_none() {
            // Nothing but literals: they are text.
            found.element = Some(oids::TEXT);
            found.undetermined = true;
        }
        if non_array && found.element.and_then(|element| catalog.array_element(element)).is_some() {
            return None;
        }
        if found.array.is_none() {
            found.array = found.element.and_then(|element| catalog.array_over(element));
        }
    }
    if family.1 {
        found.compatible =
            Some(if compatible.is_empty() { oids::TEXT } else { common_of(catalog, &compatible)? });
    }
    Some(found)
}

/// The common type of several known types by the rules of UNION and CASE; `None` when there is none.
pub(crate) fn common_of(catalog: &CatalogSnapshot, types: &[Oid]) -> Option<Oid> {
    let mut chosen = oids::UNKNOWN;
    for ty in types {
        if *ty == oids::UNKNOWN || *ty == chosen {
            continue;
        }
        if chosen == oids::UNKNOWN {
            chosen = *ty;
        } else if catalog.type_category(chosen) != catalog.type_category(*ty) {
            return None;
        } else if !is_preferred(chosen)
            && can_coerce(catalog, &[chosen], &[*ty], CoercionContext::Implicit)
            && !can_coerce(catalog, &[*ty], &[chosen], CoercionContext::Implicit)
        {
            chosen = *ty;
        }
    }
    let chosen = if chosen == oids::UNKNOWN { oids::TEXT } else { chosen };
    let fits = |ty: &Oid| can_coerce(catalog, &[*ty], &[chosen], CoercionContext::Implicit);
    types.iter().all(fits).then_some(chosen)
}

impl Binder<'_> {
    /// Converts an expression to a type, its modifier included.
    ///
    /// # Errors
    /// 42846 or 42804 when there is no way, and what the type's input function says about a literal.
    pub(crate) fn coerce_to(
        &mut self,
        expr: Expr,
        target: SqlType,
        context: CoercionContext,
        pos: Pos,
    ) -> Result<Option<Expr>> {
        let Some(coerced) = self.coerce_type(expr, target, context, pos)? else { return Ok(None) };
        self.coerce_typmod(coerced, target, context, pos).map(Some)
    }

    /// Applies a type modifier to an expression of the type.
    fn coerce_typmod(
        &mut self,
        expr: Expr,
        target: SqlType,
        context: CoercionContext,
        pos: Pos,
    ) -> Result<Expr> {
        let ty = expr.ty();
        // Rows have no modifier of their own: theirs tells what their fields are.
        if target.typmod < 0 || ty.typmod == target.typmod || ty.oid == oids::RECORD {
            return Ok(expr);
        }
        let explicit = context == CoercionContext::Explicit;
        if let Expr::Constant { value, ty } = &expr {
            let wanted = ty.with_typmod(target.typmod);
            if value.is_null() {
                return Ok(Expr::null(wanted));
            }
            if self.catalog.array_element(ty.oid).is_none() {
                let value = self.locate(typmod::apply(value.clone(), wanted, explicit), pos)?;
                return Ok(Expr::constant(value, wanted));
            }
        }
        let wanted = ty.with_typmod(target.typmod);
        let kind = match self.catalog.array_element(ty.oid) {
            Some(element) => CastKind::Array {
                kind: Box::new(CastKind::Typmod { explicit }),
                element: self.catalog.sql_type(element).with_typmod(target.typmod),
            },
            None => CastKind::Typmod { explicit },
        };
        Ok(Expr::Cast { arg: Box::new(expr), kind, ty: wanted, pos: self.source_pos(pos) })
    }

    /// Converts an expression to a type without regard to its modifier. `None`: there is no way.
    pub(crate) fn coerce_type(
        &mut self,
        expr: Expr,
        target: SqlType,
        context: CoercionContext,
        pos: Pos,
    ) -> Result<Option<Expr>> {
        let source = expr.ty();
        if source.oid == target.oid {
            return Ok(Some(expr));
        }
        if target.oid == oids::ANY || is_polymorphic(target.oid) && source.oid != oids::UNKNOWN {
            return Ok(Some(expr));
        }
        if source.oid == oids::UNKNOWN {
            return self.coerce_unknown(expr, target, context, pos).map(Some);
        }
        // Rows: field by field.
        if source.physical == PhysicalType::Record && target.physical == PhysicalType::Record {
            return self.coerce_record(expr, target, context, pos);
        }
        if let (Some(_), Expr::ArrayLiteral { .. }) = (self.catalog.array_element(target.oid), &expr)
            && target.oid != oids::RECORD_ARRAY
        {
            return self.coerce_array_literal(expr, target, context, pos);
        }
        let Some(Pathway::Kind(kind)) = pathway(self.catalog, source, target, context) else {
            return Ok(None);
        };
        let plain = target.with_typmod(-1);
        // A function that takes the modifier applies it; so does the text form.
        let ty = match &kind {
            CastKind::Function { function, .. } if function.arg_types.len() > 1 => target,
            CastKind::Io => target,
            CastKind::Relabel if source.typmod >= 0 && keeps_typmod(source.oid, target.oid) => {
                target.with_typmod(source.typmod)
            }
            _ => plain,
        };
        if let Expr::Constant { value: Datum::Null, .. } = &expr {
            return Ok(Some(Expr::null(ty)));
        }
        // Stacked relabelings say nothing more than the last.
        if let (CastKind::Relabel, Expr::Constant { value, .. }) = (&kind, &expr) {
            return Ok(Some(Expr::constant(ochre_expr::relabel(value.clone(), ty.physical), ty)));
        }
        Ok(Some(Expr::Cast { arg: Box::new(expr), kind, ty, pos: self.source_pos(pos) }))
    }

    /// A literal, NULL or parameter of unknown type takes the type that is wanted.
    fn coerce_unknown(
        &mut self,
        expr: Expr,
        target: SqlType,
        context: CoercionContext,
        pos: Pos,
    ) -> Result<Expr> {
        match expr {
            Expr::Constant { value: Datum::Null, .. } => Ok(Expr::null(target)),
            Expr::Constant { value: Datum::Bytes(text), .. } => {
                if target.oid == oids::REGCLASS {
                    let oid = self.resolve_regclass(text.as_str(), pos)?;
                    return Ok(Expr::constant(Datum::UInt32(oid.0), target));
                }
                if is_registered_name(target.oid) {
                    // Names of objects are looked up when the statement runs.
                    let literal = Expr::constant(Datum::Bytes(text), SqlType::TEXT);
                    return Ok(Expr::Cast {
                        arg: Box::new(literal),
                        kind: CastKind::Io,
                        ty: target,
                        pos: self.source_pos(pos),
                    });
                }
                // An explicit cast cuts what is too long for the modifier, so it is applied apart.
                let plain = target.with_typmod(-1);
                let ty = if target.oid == oids::INTERVAL { target } else { plain };
                let parsed = ochre_types::parse_text(ty, text.as_str(), self.session.format());
                let value = self.locate(parsed, pos)?;
                self.coerce_typmod(Expr::constant(value, ty), target, context, pos)
            }
            Expr::Parameter { index, .. } => {
                let ty = target.with_typmod(-1);
                match self.params.types[index] {
                    None => self.params.types[index] = Some(ty),
                    Some(known) if known.oid != ty.oid => {
                        let error = Error::new(
                            SqlState::AMBIGUOUS_PARAMETER,
                            format!("inconsistent types deduced for parameter ${}", index + 1),
                        )
                        .detail(format!(
                            "{} versus {}",
                            self.type_text(known),
                            self.type_text(ty)
                        ));
                        return Err(self.at(error, pos));
                    }
                    Some(_) => {}
                }
                Ok(Expr::Parameter { index, ty })
            }
            other => Ok(Expr::Cast {
                arg: Box::new(other),
                kind: CastKind::Io,
                ty: target,
                pos: self.source_pos(pos),
            }),
        }
    }

    /// The relation that a `regclass` literal names, or the number that it is.
    fn resolve_regclass(&self, text: &str, pos: Pos) -> Result<Oid> {
        let trimmed = text.trim();
        if trimmed == "-" {
            return Ok(Oid::INVALID);
        }
        if let Ok(number) = trimmed.parse::<u32>() {
            return Ok(Oid(number));
        }
        let parts = split_identifier(trimmed);
        let found = match parts.as_deref() {
            Some([name]) => self.catalog.find_relation(self.search_path, name),
            Some([schema, name]) => match self.catalog.namespace_named(schema) {
                Some(namespace) => {
                    self.use_namespace(namespace.oid, pos)?;
                    self.catalog.relation_in(namespace.oid, name)
                }
                None => None,
            },
            _ => {
                let error = Error::new(SqlState::INVALID_NAME, "invalid name syntax");
                return Err(self.at(error, pos));
            }
        };
        match (found, parts) {
            (Some(relation), _) => Ok(relation.oid),
            (None, parts) => {
                let name = parts.unwrap_or_default().join(".");
                let error =
                    Error::new(SqlState::UNDEFINED_TABLE, format!("relation \"{name}\" does not exist"));
                Err(self.at(error, pos))
            }
        }
    }

    fn coerce_array_literal(
        &mut self,
        expr: Expr,
        target: SqlType,
        context: CoercionContext,
        pos: Pos,
    ) -> Result<Option<Expr>> {
        let Expr::ArrayLiteral { elements, nested, ty } = expr else { return Ok(Some(expr)) };
        let Some(element) = self.catalog.array_element(target.oid) else { return Ok(None) };
        let wanted = if nested { target.with_typmod(-1) } else { self.catalog.sql_type(element) };
        let source = self.catalog.array_element(ty.oid).unwrap_or(oids::UNKNOWN);
        let (from, to) = (self.catalog.sql_type(source), self.catalog.sql_type(element));
        if pathway(self.catalog, from, to, context).is_none() {
            return Ok(None);
        }
        let mut converted = Vec::with_capacity(elements.len());
        for item in elements {
            match self.coerce_type(item, wanted, context, pos)? {
                Some(item) => converted.push(item),
                None => return Ok(None),
            }
        }
        Ok(Some(Expr::ArrayLiteral { elements: converted, nested, ty: target.with_typmod(-1) }))
    }

    /// Names and types of a row type's columns; `None` for records of any shape.
    pub(crate) fn record_fields(&self, ty: SqlType) -> Option<Vec<(Arc<str>, SqlType)>> {
        if ty.oid == oids::RECORD {
            let types = record_fields(ty)?;
            let names = ochre_types::record_names(ty);
            let name = |i: usize| match &names {
                Some(names) => Arc::clone(&names[i]),
                None => Arc::from(format!("f{}", i + 1)),
            };
            return Some(types.iter().enumerate().map(|(i, ty)| (name(i), *ty)).collect());
        }
        let table = self.catalog.relation_of_row_type(ty.oid)?;
        Some(table.live_columns().map(|column| (Arc::clone(&column.name), column.ty)).collect())
    }

    fn coerce_record(
        &mut self,
        expr: Expr,
        target: SqlType,
        context: CoercionContext,
        pos: Pos,
    ) -> Result<Option<Expr>> {
        if target.oid == oids::RECORD {
            return Ok(Some(expr));
        }
        let Some(wanted) = self.record_fields(target) else { return Ok(None) };
        let Expr::Row { fields, .. } = expr else { return Ok(None) };
        if fields.len() != wanted.len() {
            let error = Error::new(
                SqlState::CANNOT_COERCE,
                format!("cannot cast type record to {}", self.type_text(target)),
            )
            .detail(if fields.len() < wanted.len() {
                "Input has too few columns."
            } else {
                "Input has too many columns."
            });
            return Err(self.at(error, pos));
        }
        let mut converted = Vec::with_capacity(fields.len());
        for (field, (_, ty)) in fields.into_iter().zip(wanted) {
            match self.coerce_to(field, ty, context, pos)? {
                Some(field) => converted.push(field),
                None => return Ok(None),
            }
        }
        Ok(Some(Expr::Row { fields: converted, ty: target }))
    }

    /// Converts where the types were found convertible before.
    pub(crate) fn coerce_implicit(&mut self, expr: Expr, target: Oid, pos: Pos) -> Result<Expr> {
        let source = expr.ty();
        let target = self.sql_type(target);
        match self.coerce_type(expr, target, CoercionContext::Implicit, pos)? {
            Some(expr) => Ok(expr),
            None => Err(self.cannot_cast(source, target, pos)),
        }
    }

    /// 42846.
    pub(crate) fn cannot_cast(&self, source: SqlType, target: SqlType, pos: Pos) -> Error {
        let error = Error::new(
            SqlState::CANNOT_COERCE,
            format!("cannot cast type {} to {}", self.type_text(source), self.type_text(target)),
        );
        self.at(error, pos)
    }

    /// A condition: `argument of WHERE must be type boolean, not type integer`.
    pub(crate) fn coerce_to_boolean(&mut self, expr: Expr, clause: &str, pos: Pos) -> Result<Expr> {
        self.coerce_to_specific(expr, SqlType::BOOL, clause, pos)
    }

    /// The argument of a construct that demands one type.
    pub(crate) fn coerce_to_specific(
        &mut self,
        expr: Expr,
        target: SqlType,
        clause: &str,
        pos: Pos,
    ) -> Result<Expr> {
        let source = expr.ty();
        match self.coerce_type(expr, target, CoercionContext::Assignment, pos)? {
            Some(expr) if self.returns_set(&expr) => {
                let message = format!("argument of {clause} must not return a set");
                Err(self.at(Error::new(SqlState::DATATYPE_MISMATCH, message), pos))
            }
            Some(expr) => Ok(expr),
            None => {
                let error = Error::new(
                    SqlState::DATATYPE_MISMATCH,
                    format!(
                        "argument of {clause} must be type {}, not type {}",
                        self.type_text(target),
                        self.type_text(source)
                    ),
                );
                Err(self.at(error, pos))
            }
        }
    }

    /// The common type of the branches of a CASE, the inputs of a UNION and their like; `what` names the construct in errors.
    pub(crate) fn select_common_type(&mut self, exprs: &[(Expr, Pos)], what: &str) -> Result<SqlType> {
        let mut types = exprs.iter().map(|(expr, pos)| (expr.ty(), *pos));
        let Some((first, _)) = types.next() else { return Ok(SqlType::TEXT) };
        let mut chosen = first;
        let mut same_typmod = true;
        for (ty, pos) in types {
            if ty.oid == chosen.oid {
                if ty.typmod != chosen.typmod && ty.oid == oids::RECORD {
                    // Rows whose fields have other names are of one type as long as the fields are.
                    let (fields, others) = (record_fields(chosen), record_fields(ty));
                    if let Some(fields) = fields.filter(|fields| others.as_ref() == Some(fields)) {
                        chosen = record_type(&fields);
                        continue;
                    }
                }
                same_typmod &= ty.typmod == chosen.typmod;
                continue;
            }
            if ty.oid == oids::UNKNOWN {
                same_typmod = false;
                continue;
            }
            same_typmod = false;
            if chosen.oid == oids::UNKNOWN {
                chosen = ty;
                continue;
            }
            if self.catalog.type_category(chosen.oid) != self.catalog.type_category(ty.oid) {
                let error = Error::new(
                    SqlState::DATATYPE_MISMATCH,
                    format!(
                        "{what} types {} and {} cannot be matched",
                        self.type_text(chosen),
                        self.type_text(ty)
                    ),
                );
                return Err(self.at(error, pos));
            }
            if !is_preferred(chosen.oid)
                && can_coerce(self.catalog, &[chosen.oid], &[ty.oid], CoercionContext::Implicit)
                && !can_coerce(self.catalog, &[ty.oid], &[chosen.oid], CoercionContext::Implicit)
            {
                chosen = ty;
            }
        }
        if chosen.oid == oids::UNKNOWN {
            return Ok(SqlType::TEXT);
        }
        Ok(if same_typmod { chosen } else { chosen.with_typmod(-1) })
    }

    /// Converts one branch to the common type.
    pub(crate) fn coerce_to_common(
        &mut self,
        expr: Expr,
        target: SqlType,
        what: &str,
        pos: Pos,
    ) -> Result<Expr> {
        let source = expr.ty();
        match self.coerce_type(expr, target, CoercionContext::Implicit, pos)? {
            Some(expr) => Ok(expr),
            None => {
                let error = Error::new(
                    SqlState::CANNOT_COERCE,
                    format!(
                        "{what} could not convert type {} to {}",
                        self.type_text(source),
                        self.type_text(target)
                    ),
                );
                Err(self.at(error, pos))
            }
        }
    }

    /// What is still of unknown type becomes text.
    pub(crate) fn resolve_unknown(&mut self, expr: Expr, pos: Pos) -> Result<Expr> {
        if expr.ty().oid == oids::UNKNOWN { self.coerce_implicit(expr, oids::TEXT, pos) } else { Ok(expr) }
    }

    /// An empty array of a type, as a constant.
    pub(crate) fn empty_array(&self, array: SqlType) -> Expr {
        let element = array.element().unwrap_or(SqlType::TEXT);
        Expr::constant(Datum::Array(Arc::new(ArrayValue::empty(element))), array)
    }
}

/// Whether a modifier means the same for both types.
fn keeps_typmod(source: Oid, target: Oid) -> bool {
    matches!((source, target), (oids::VARCHAR, oids::BPCHAR) | (oids::BPCHAR, oids::VARCHAR))
}

/// The types whose values are names of catalog objects.
fn is_registered_name(oid: Oid) -> bool {
    matches!(
        oid,
        oids::REGCLASS
            | oids::REGTYPE
            | oids::REGPROC
            | oids::REGPROCEDURE
            | oids::REGOPER
            | oids::REGOPERATOR
            | oids::REGNAMESPACE
            | oids::REGROLE
            | oids::REGCONFIG
            | oids::REGDICTIONARY
            | oids::REGCOLLATION
    )
}

/// The parts of a dotted name, unquoted and folded; `None` when it is malformed.
pub fn split_identifier(text: &str) -> Option<Vec<String>> {
    let mut parts = Vec::new();
    let mut chars = text.chars().peekable();
    let space = |c: &char| c.is_ascii_whitespace();
    loop {
        let mut part = String::new();
        while chars.next_if(space).is_some() {}
        if chars.peek() == Some(&'"') {
            chars.next();
            loop {
                match chars.next()? {
                    '"' if chars.peek() == Some(&'"') => {
                        chars.next();
                        part.push('"');
                    }
                    '"' => break,
                    other => part.push(other),
                }
            }
        } else {
            while let Some(c) = chars.next_if(|c| *c != '.' && !space(c)) {
                part.extend(c.to_lowercase());
            }
        }
        if part.is_empty() {
            return None;
        }
        parts.push(part);
        while chars.next_if(space).is_some() {}
        match chars.next() {
            None => return Some(parts),
            Some('.') => {}
            Some(_) => return None,
        }
    }
}
