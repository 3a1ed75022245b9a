//! Expressions that DDL and stored descriptors hold: defaults, checks, generated columns, index keys and predicates; and the
//! columns of a view.

use std::collections::BTreeMap;
use std::sync::Arc;

use ochre_base::{Error, Oid, Result, SqlState};
use ochre_catalog::{CatalogSnapshot, RelationDescriptor};
use ochre_expr::{Expr, FunctionRef, SessionContext, Volatility};
use ochre_parser::ast;
use ochre_types::SqlType;

use super::coerce::{CoercionContext, is_polymorphic, resolve_polymorphic};
use super::level::Clause;
use super::scope::{CteScope, ItemColumns, Scope, ScopeItem};
use super::view::NameEdit;
use super::{Binder, ParamTypes, stored_text};
use crate::logical::TargetRules;
use crate::physical::{OutputColumn, ScanColumn};

/// What an expression over a table's row is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowExpression {
    /// A column's default: no columns may be mentioned.
    Default,
    /// A CHECK constraint.
    Check,
    /// A generated column.
    Generated,
    /// The new value of a column whose type changes.
    Conversion,
    /// A key of an index.
    IndexKey,
    /// The predicate of a partial index.
    IndexPredicate,
}

/// Binds expressions over the columns of one table; `Expr::Column { index }` of the results is the position in
/// `RelationDescriptor::columns`.
pub struct RowExpressionBinder<'a> {
    catalog: &'a CatalogSnapshot,
    search_path: &'a [Oid],
    session: &'a dyn SessionContext,
    table: &'a Arc<RelationDescriptor>,
}

impl<'a> RowExpressionBinder<'a> {
    /// A binder for a table's expressions.
    pub fn new(
        catalog: &'a CatalogSnapshot,
        search_path: &'a [Oid],
        session: &'a dyn SessionContext,
        table: &'a Arc<RelationDescriptor>,
    ) -> RowExpressionBinder<'a> {
        RowExpressionBinder { catalog, search_path, session, table }
    }

    /// Binds an expression as the user wrote it; `target` is the type that a default or generated value must have.
    ///
    /// # Errors
    /// Those of expressions, and PostgreSQL's for what the place does not allow.
    pub fn bind(
        &self,
        expr: &ast::Expr,
        kind: RowExpression,
        target: Option<(&str, SqlType)>,
    ) -> Result<Expr> {
        let mut params = ParamTypes::none();
        let mut binder = Binder::new(self.catalog, self.search_path, self.session, &mut params);
        binder.bind_row_expression(self.table, expr, kind, target)
    }

    /// What a new row of the table must satisfy.
    ///
    /// # Errors
    /// As [`RowExpressionBinder::bind_text`].
    pub(crate) fn rules(&self) -> Result<TargetRules> {
        let mut params = ParamTypes::none();
        let mut binder = Binder::new(self.catalog, self.search_path, self.session, &mut params);
        binder.hide_positions = 1;
        binder.bind_rules(self.table)
    }

    /// Binds a stored expression.
    ///
    /// # Errors
    /// As [`RowExpressionBinder::bind`], without positions.
    pub fn bind_text(
        &self,
        text: &str,
        kind: RowExpression,
        target: Option<(&str, SqlType)>,
    ) -> Result<Expr> {
        let parsed = stored_text::expression(text)?;
        let mut params = ParamTypes::none();
        let mut binder = Binder::new(self.catalog, self.search_path, self.session, &mut params);
        binder.hide_positions = 1;
        binder.bind_row_expression(self.table, &parsed, kind, target)
    }
}

/// Binds an expression without columns to a type, for instance an argument of EXECUTE or a partition bound.
///
/// # Errors
/// Those of expressions; 42804 when it cannot be assigned to the type.
pub fn bind_typed_expression(
    catalog: &CatalogSnapshot,
    search_path: &[Oid],
    session: &dyn SessionContext,
    params: &mut ParamTypes,
    expr: &ast::Expr,
    target: Option<SqlType>,
) -> Result<Expr> {
    let mut binder = Binder::new(catalog, search_path, session, params);
    let scope = Scope::root(CteScope::default());
    let bound = binder.in_level(Clause::Other, 0, |binder| binder.bind_expr(expr, &scope))?;
    let Some(target) = target else { return binder.resolve_unknown(bound, expr.pos()) };
    let source = bound.ty();
    match binder.coerce_to(bound, target, CoercionContext::Assignment, expr.pos())? {
        Some(bound) => Ok(bound),
        None => Err(binder.cannot_cast(source, target, expr.pos())),
    }
}

/// A trigger's WHEN condition.
#[derive(Debug)]
pub struct TriggerCondition {
    pub expr: Expr,
    /// Replacements that make the text mean the same whatever the search path, by the byte offset of the name.
    pub edits: BTreeMap<usize, NameEdit>,
}

/// Binds a trigger's WHEN condition; OLD and NEW are variables of `params`.
///
/// # Errors
/// Those of expressions; 42804 when it is not boolean.
pub fn bind_trigger_condition(
    catalog: &CatalogSnapshot,
    search_path: &[Oid],
    session: &dyn SessionContext,
    params: &mut ParamTypes,
    expr: &ast::Expr,
) -> Result<TriggerCondition> {
    let mut binder = Binder::new(catalog, search_path, session, params);
    binder.edits = Some(BTreeMap::new());
    let scope = Scope::root(CteScope::default());
    let bound = binder.in_level(Clause::TriggerWhen, 0, |binder| binder.bind_expr(expr, &scope))?;
    let expr = binder.coerce_to_boolean(bound, "WHEN", expr.pos())?;
    Ok(TriggerCondition { expr, edits: binder.edits.take().unwrap_or_default() })
}

/// The type that a parameter declared as `declared` has in a call, polymorphic ones resolved by the arguments.
pub fn actual_type(catalog: &CatalogSnapshot, declared: Oid, parameters: &[Oid], actual: &[Oid]) -> Oid {
    if !is_polymorphic(declared) {
        return declared;
    }
    let resolved = resolve_polymorphic(catalog, actual, parameters);
    resolved.and_then(|resolved| resolved.actual(catalog, declared)).unwrap_or(declared)
}

/// Binds a CALL: the procedure and its input arguments.
///
/// # Errors
/// 42883 when there is none, 42809 for a function.
pub fn bind_procedure_call(
    catalog: &CatalogSnapshot,
    search_path: &[Oid],
    session: &dyn SessionContext,
    params: &mut ParamTypes,
    call: &ast::FuncCall,
) -> Result<(FunctionRef, Vec<Expr>)> {
    Binder::new(catalog, search_path, session, params).bind_procedure(call)
}

/// The type that a type name means.
///
/// # Errors
/// 42704 for an unknown type, and those of type modifiers.
pub fn bind_type(
    catalog: &CatalogSnapshot,
    search_path: &[Oid],
    session: &dyn SessionContext,
    name: &ast::TypeName,
) -> Result<SqlType> {
    let mut params = ParamTypes::none();
    Binder::new(catalog, search_path, session, &mut params).bind_type_name(name)
}

/// The columns that a view over this query has.
///
/// # Errors
/// Those of the query.
pub fn view_columns(
    catalog: &CatalogSnapshot,
    search_path: &[Oid],
    session: &dyn SessionContext,
    query: &ast::SelectStmt,
) -> Result<Vec<OutputColumn>> {
    let mut params = ParamTypes::none();
    let mut binder = Binder::new(catalog, search_path, session, &mut params);
    let scope = Scope::root(CteScope::default());
    let query = binder.bind_query(query, &scope)?;
    Ok(query.output.into_iter().map(|(_, column)| column).collect())
}

impl Binder<'_> {
    /// Binds an expression over a table's row.
    pub(crate) fn bind_row_expression(
        &mut self,
        table: &Arc<RelationDescriptor>,
        expr: &ast::Expr,
        kind: RowExpression,
        target: Option<(&str, SqlType)>,
    ) -> Result<Expr> {
        let id = self.add_table(Arc::clone(table), Arc::clone(&table.name));
        let mut scope = Scope::root(CteScope::default());
        if kind != RowExpression::Default {
            scope.items.push(ScopeItem::visible(Some(Arc::clone(&table.name)), ItemColumns::Table(id)));
        }
        let clause = match kind {
            RowExpression::Default => Clause::Default,
            RowExpression::Check => Clause::Check,
            RowExpression::Generated | RowExpression::Conversion => Clause::Generated,
            RowExpression::IndexKey => Clause::IndexExpression,
            RowExpression::IndexPredicate => Clause::IndexPredicate,
        };
        let bound = self.in_level(clause, 0, |binder| {
            if kind == RowExpression::Default
                && let ast::Expr::Column(column) = expr
            {
                let error = Error::new(
                    SqlState::FEATURE_NOT_SUPPORTED,
                    "cannot use column reference in DEFAULT expression",
                );
                return Err(binder.at(error, column.pos));
            }
            binder.bind_expr(expr, &scope)
        })?;
        let bound = match kind {
            RowExpression::Check => self.coerce_to_boolean(bound, "CHECK", expr.pos())?,
            RowExpression::IndexPredicate => self.coerce_to_boolean(bound, "WHERE", expr.pos())?,
            RowExpression::IndexKey => self.resolve_unknown(bound, expr.pos())?,
            RowExpression::Default | RowExpression::Generated | RowExpression::Conversion => match target {
                Some((column, ty)) => self.assign(bound, column, ty, expr.pos(), kind)?,
                None => self.resolve_unknown(bound, expr.pos())?,
            },
        };
        let immutable = match kind {
            RowExpression::IndexKey => Some("functions in index expression must be marked IMMUTABLE"),
            RowExpression::IndexPredicate => Some("functions in index predicate must be marked IMMUTABLE"),
            RowExpression::Generated => Some("generation expression is not immutable"),
            _ => None,
        };
        if let Some(message) = immutable
            && bound.volatility() != Volatility::Immutable
        {
            return Err(Error::new(SqlState::INVALID_OBJECT_DEFINITION, message));
        }
        self.to_positions(bound, id)
    }

    /// Column ids of one table use become positions in the table.
    pub(crate) fn to_positions(&self, expr: Expr, table: usize) -> Result<Expr> {
        let columns = &self.tables[table].columns;
        expr.try_transform(&mut |node| match node {
            Expr::Column { index, ty } => {
                let found = columns.iter().find(|(_, id)| *id == index);
                match found {
                    Some((ScanColumn::Table(position), _)) => Ok(Expr::Column { index: *position, ty }),
                    Some((ScanColumn::WholeRow, _)) => {
                        Err(Error::unsupported("a whole-row reference in this expression"))
                    }
                    _ => Err(Error::new(
                        SqlState::INVALID_COLUMN_REFERENCE,
                        "system columns cannot be used in this expression",
                    )),
                }
            }
            other => Ok(other),
        })
    }

    /// Converts a value for a column: 42804 with PostgreSQL's words when it cannot be.
    pub(crate) fn assign(
        &mut self,
        expr: Expr,
        column: &str,
        ty: SqlType,
        pos: ast::Pos,
        kind: RowExpression,
    ) -> Result<Expr> {
        let source = expr.ty();
        match self.coerce_to(expr, ty, CoercionContext::Assignment, pos)? {
            Some(expr) => Ok(expr),
            None => {
                let what = if kind == RowExpression::Default { "default expression" } else { "expression" };
                let error = Error::new(
                    SqlState::DATATYPE_MISMATCH,
                    format!(
                        "column \"{column}\" is of type {} but {what} is of type {}",
                        self.type_text(ty),
                        self.type_text(source)
                    ),
                )
                .hint("You will need to rewrite or cast the expression.");
                Err(self.at(error, pos))
            }
        }
    }
}
