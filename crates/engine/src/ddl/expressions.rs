//! Expressions that descriptors keep as text: defaults, checks, index keys and predicates.
//!
//! A stored text is the bound expression printed again: every cast and operator is spelt out, and a `regclass` constant is
//! the relation's object id, so that neither the search path nor a renamed relation changes what it means.

use std::sync::Arc;

use ochre_base::{Error, Oid, Result, SqlState};
use ochre_catalog::{
    CatalogSnapshot, ColumnDescriptor, IMPLICIT_NAMESPACES, IndexDescriptor, RelationDescriptor, RelationKind,
};
use ochre_exec::each_batch;
use ochre_expr::{ColumnNames, EvalContext, Expr, Function, Implementation, NoSession, Volatility};
use ochre_parser::ast::{self, TypeName};
use ochre_sql::bind::{ParamTypes, RowExpression, RowExpressionBinder, bind_type, bind_typed_expression};
use ochre_types::{Datum, FormatContext, ObjectNames, SqlType};

use super::quote_identifier;
use crate::session::Session;
use crate::session::context::StatementSession;

/// Tells the fields of users' row types, and no names of objects.
struct RowTypes(CatalogSnapshot);

impl ObjectNames for RowTypes {
    fn print(&self, _reg_type: Oid, _object: Oid) -> Option<String> {
        None
    }

    fn record_fields(&self, ty: SqlType) -> Option<Arc<[SqlType]>> {
        let relation = self.0.relation_of_row_type(ty.oid)?;
        Some(relation.live_columns().map(|column| column.ty).collect())
    }

    fn parse(&self, _reg_type: Oid, text: &str) -> Result<Oid> {
        Err(Error::internal(format!("\"{text}\" is looked up where nothing is read")))
    }
}

/// A bound check.
pub(crate) struct BoundCheck {
    pub text: String,
    /// The columns that it mentions.
    pub columns: Vec<i16>,
}

/// A bound key of an index.
pub(crate) struct BoundKey {
    pub text: String,
    pub ty: SqlType,
    /// What the key is called when nothing else names it.
    pub name: String,
}

/// What stored texts call things: columns by their names, functions and types of users by their ids.
struct Names<'a> {
    columns: &'a [ColumnDescriptor],
    catalog: &'a CatalogSnapshot,
}

impl ColumnNames for Names<'_> {
    // In the forms that every session reads alike.
    fn format(&self) -> FormatContext {
        FormatContext { names: Some(Arc::new(RowTypes(self.catalog.clone()))), ..FormatContext::default() }
    }

    fn column(&self, index: usize) -> String {
        self.columns.get(index).map_or_else(String::new, |column| quote_identifier(&column.name))
    }

    fn function(&self, function: &Function) -> Option<String> {
        function_text(function)
    }

    fn type_name(&self, ty: SqlType) -> String {
        match self.catalog.relation_of_type(ty.oid) {
            Some(relation) if relation.row_type == ty.oid => super::view::oid_text(relation.oid),
            Some(relation) => format!("{}[]", super::view::oid_text(relation.oid)),
            None => ochre_types::typmod::format_type(ty.oid, ty.typmod),
        }
    }

    fn field(&self, record: SqlType, index: usize) -> Option<String> {
        let relation = self.catalog.relation_of_type(record.oid)?;
        relation.live_columns().nth(index).map(|column| quote_identifier(&column.name))
    }
}

/// An expression without columns as stored text.
pub(crate) fn constant_text(catalog: &CatalogSnapshot, expr: &Expr) -> String {
    expr.to_sql(&Names { columns: &[], catalog })
}

/// How stored texts name a user's function: by its id.
pub(crate) fn function_text(function: &Function) -> Option<String> {
    let is_user = matches!(function.implementation, Implementation::Routine);
    is_user.then(|| super::view::oid_text(function.oid))
}

impl Session {
    /// The type that a name means.
    pub(crate) fn bind_type(&self, name: &TypeName) -> Result<SqlType> {
        let session = StatementSession::new(self);
        bind_type(&self.state.catalog(), &self.state.search_path(), &session, name)
    }

    /// A type's name in messages.
    pub(crate) fn type_text(&self, ty: SqlType) -> String {
        self.state
            .catalog_names()
            .user_type(ty.oid)
            .unwrap_or_else(|| ochre_types::typmod::format_type(ty.oid, ty.typmod))
    }

    /// A bound expression over columns as stored text.
    fn stored_text(&self, columns: &[ColumnDescriptor], expr: &Expr) -> String {
        expr.to_sql(&Names { columns, catalog: &self.state.catalog() })
    }

    fn bind_over(
        &self,
        relation: &Arc<RelationDescriptor>,
        expr: &ast::Expr,
        kind: RowExpression,
        target: Option<(&str, SqlType)>,
    ) -> Result<Expr> {
        let session = StatementSession::new(self);
        let catalog = self.state.catalog();
        let path = self.state.search_path();
        RowExpressionBinder::new(&catalog, &path, &session, relation).bind(expr, kind, target)
    }

    /// Binds a stored text again.
    fn bind_stored(
        &self,
        relation: &Arc<RelationDescriptor>,
        text: &str,
        kind: RowExpression,
        target: Option<(&str, SqlType)>,
    ) -> Result<Expr> {
        let session = StatementSession::new(self);
        let catalog = self.state.catalog();
        RowExpressionBinder::new(&catalog, &IMPLICIT_NAMESPACES, &session, relation)
            .bind_text(text, kind, target)
    }

    /// Binds defaults and generation expressions and puts their texts into the columns.
    pub(crate) fn bind_defaults(&self, table: Oid, defaults: Vec<(i16, ast::Expr)>) -> Result<()> {
        if defaults.is_empty() {
            return Ok(());
        }
        let relation = self.relation(table);
        let mut changed = (*relation).clone();
        for (number, expr) in defaults {
            let column = relation.column(number).expect("defaults are of known columns");
            let kind =
                if column.generated.is_some() { RowExpression::Generated } else { RowExpression::Default };
            let bound = self.bind_over(&relation, &expr, kind, Some((&column.name, column.ty)))?;
            // A default of NULL is no default.
            let is_null = matches!(bound.as_constant(), Some(Datum::Null));
            if !(is_null && kind == RowExpression::Default) {
                let text = self.stored_text(&relation.columns, &bound);
                changed.columns[number as usize - 1].default = Some((self.new_oid(), text.into()));
            }
        }
        self.put_relation(changed)?;
        Ok(())
    }

    pub(crate) fn bind_check(
        &self,
        relation: &Arc<RelationDescriptor>,
        expr: &ast::Expr,
    ) -> Result<BoundCheck> {
        let bound = self.bind_over(relation, expr, RowExpression::Check, None)?;
        let columns = bound.columns().into_iter().map(|index| index as i16 + 1).collect();
        Ok(BoundCheck { text: self.stored_text(&relation.columns, &bound), columns })
    }

    pub(crate) fn bind_index_expression(
        &self,
        relation: &RelationDescriptor,
        expr: &ast::Expr,
    ) -> Result<BoundKey> {
        let relation = self.relation(relation.oid);
        let bound = self.bind_over(&relation, expr, RowExpression::IndexKey, None)?;
        if bound.volatility() != Volatility::Immutable {
            return Err(Error::new(
                SqlState::INVALID_OBJECT_DEFINITION,
                "functions in index expression must be marked IMMUTABLE",
            ));
        }
        let name = match &bound {
            Expr::Call { function, .. } if ochre_expr::operator_of_function(function.oid).is_none() => {
                function.name.to_string()
            }
            Expr::Coalesce { .. } => "coalesce".to_string(),
            Expr::Field { record, index, .. } => {
                let catalog = self.state.catalog();
                let fields = catalog.relation_of_type(record.ty().oid);
                let field = fields.and_then(|fields| fields.live_columns().nth(*index));
                field.map_or_else(|| "expr".to_string(), |field| field.name.to_string())
            }
            _ => "expr".to_string(),
        };
        Ok(BoundKey { text: self.stored_text(&relation.columns, &bound), ty: bound.ty(), name })
    }

    pub(crate) fn bind_index_predicate(
        &self,
        relation: &RelationDescriptor,
        expr: &ast::Expr,
    ) -> Result<String> {
        let relation = self.relation(relation.oid);
        let bound = self.bind_over(&relation, expr, RowExpression::IndexPredicate, None)?;
        if bound.volatility() != Volatility::Immutable {
            return Err(Error::new(
                SqlState::INVALID_OBJECT_DEFINITION,
                "functions in index predicate must be marked IMMUTABLE",
            ));
        }
        Ok(self.stored_text(&relation.columns, &bound))
    }

    /// A default's value when it is the same for every row.
    pub(crate) fn constant_default(
        &self,
        relation: &Arc<RelationDescriptor>,
        number: i16,
    ) -> Result<Option<Datum>> {
        let column = relation.column(number).expect("the column was just added");
        let Some((_, text)) = &column.default else {
            return Ok(None);
        };
        let bound =
            self.bind_stored(relation, text, RowExpression::Default, Some((&column.name, column.ty)))?;
        if bound.volatility() == Volatility::Volatile {
            return Ok(None);
        }
        let session = StatementSession::new(self);
        let eval = EvalContext { params: &[], correlated: &[], session: &session, subplans: None };
        ochre_expr::eval_const(&bound, &eval).map(Some)
    }

    /// A value brought to another type as an assignment does.
    pub(crate) fn convert_value(&self, value: Datum, old: SqlType, new: SqlType) -> Result<Datum> {
        let catalog = self.state.catalog();
        let names = Names { columns: &[], catalog: &catalog };
        let text = format!("CAST({} AS {})", Expr::constant(value, old).to_sql(&names), names.type_name(new));
        let session = StatementSession::new(self);
        let mut none = ParamTypes::none();
        let expr = ochre_parser::parse_expression(&text)?;
        let bound =
            bind_typed_expression(&catalog, &IMPLICIT_NAMESPACES, &session, &mut none, &expr, Some(new))?;
        let eval = EvalContext { params: &[], correlated: &[], session: &session, subplans: None };
        ochre_expr::eval_const(&bound, &eval)
    }

    /// The expression that makes a column's new value when its type changes, over the old columns.
    pub(crate) fn bind_conversion(
        &self,
        relation: &Arc<RelationDescriptor>,
        number: i16,
        ty: SqlType,
        using: Option<&ast::Expr>,
    ) -> Result<Expr> {
        let column = relation.column(number).expect("found by name");
        let own;
        let expr = match using {
            Some(expr) => expr,
            None => {
                own = ochre_parser::parse_expression(&quote_identifier(&column.name))?;
                &own
            }
        };
        self.bind_over(relation, expr, RowExpression::Conversion, Some((&column.name, ty))).map_err(|error| {
            if error.sqlstate() != SqlState::DATATYPE_MISMATCH {
                return error;
            }
            let to = self.type_text(ty);
            if using.is_some() {
                return Error::new(
                    SqlState::DATATYPE_MISMATCH,
                    format!(
                        "result of USING clause for column \"{}\" cannot be cast automatically to type {to}",
                        column.name
                    ),
                )
                .hint("You might need to add an explicit cast.");
            }
            Error::new(
                SqlState::DATATYPE_MISMATCH,
                format!("column \"{}\" cannot be cast automatically to type {to}", column.name),
            )
            .hint(format!("You might need to specify \"USING {}::{to}\".", quote_identifier(&column.name)))
        })
    }

    /// Checks rows that are there against a check constraint's text.
    pub(crate) fn check_rows(&self, relation: &RelationDescriptor, name: &str, text: &str) -> Result<()> {
        let relation = self.relation(relation.oid);
        let bound = self.bind_stored(&relation, text, RowExpression::Check, None)?;
        let failed = self.any_row(&relation, |ctx, image| {
            let values = ctx.eval(&bound, image)?;
            Ok(image.active().any(|row| values.datum(row) == Datum::Bool(false)))
        })?;
        if failed {
            return Err(Error::new(
                SqlState::CHECK_VIOLATION,
                format!(
                    "check constraint \"{name}\" of relation \"{}\" is violated by some row",
                    relation.name
                ),
            )
            .table(self.namespace_name(relation.namespace), &*relation.name)
            .constraint(name));
        }
        Ok(())
    }

    /// Checks that columns hold no NULL.
    pub(crate) fn check_no_nulls(&self, relation: &RelationDescriptor, columns: &[i16]) -> Result<()> {
        let relation = self.relation(relation.oid);
        for number in columns {
            let position = *number as usize - 1;
            let found = self.any_row(&relation, |_, image| {
                Ok(image.active().any(|row| image.columns[position].is_null(row)))
            })?;
            if found {
                let name = &relation.columns[position].name;
                return Err(Error::new(
                    SqlState::NOT_NULL_VIOLATION,
                    format!("column \"{name}\" of relation \"{}\" contains null values", relation.name),
                )
                .table(self.namespace_name(relation.namespace), &*relation.name)
                .column(&**name));
            }
        }
        Ok(())
    }

    /// Whether a table has no rows.
    pub(crate) fn table_is_empty(&self, relation: &Arc<RelationDescriptor>) -> Result<bool> {
        Ok(!self.any_row(relation, |_, image| Ok(!image.is_empty()))?)
    }

    /// Whether a batch of the table's rows satisfies a test.
    pub(crate) fn any_row(
        &self,
        relation: &Arc<RelationDescriptor>,
        mut test: impl FnMut(&ochre_exec::ExecContext<'_>, &ochre_types::Batch) -> Result<bool>,
    ) -> Result<bool> {
        if relation.kind == RelationKind::PartitionedTable {
            return Ok(false);
        }
        let table = self.state.database.table_in(relation, || self.state.catalog())?;
        self.txn().advance_command()?;
        let snapshot = self.txn().newest_snapshot()?;
        let mut found = false;
        self.with_context(&snapshot, &[], |_, context| {
            each_batch(context, &table, |ctx, image| {
                found = test(ctx, &image)?;
                Ok(!found)
            })
        })?;
        Ok(found)
    }

    /// Positions of the columns that a stored expression reads.
    pub(crate) fn columns_of_expression(
        &self,
        relation: &Arc<RelationDescriptor>,
        text: &str,
    ) -> Result<Vec<usize>> {
        let mut columns = self.bind_stored(relation, text, RowExpression::IndexKey, None)?.columns();
        columns.sort_unstable();
        columns.dedup();
        Ok(columns)
    }

    /// Whether an index depends on a column.
    pub(crate) fn index_reads_column(
        &self,
        index: &Arc<IndexDescriptor>,
        table: Oid,
        number: i16,
    ) -> Result<bool> {
        if index.keys.iter().any(|key| key.number == number) || index.included.contains(&number) {
            return Ok(true);
        }
        let relation = self.relation(table);
        let position = number as usize - 1;
        for text in index.keys.iter().filter_map(|key| key.expression.as_ref()) {
            let bound = self.bind_stored(&relation, text, RowExpression::IndexKey, None)?;
            if bound.columns().contains(&position) {
                return Ok(true);
            }
        }
        if let Some(text) = &index.predicate {
            let bound = self.bind_stored(&relation, text, RowExpression::IndexPredicate, None)?;
            return Ok(bound.columns().contains(&position));
        }
        Ok(false)
    }

    /// Writes a table's stored expressions again after a column was renamed. `changed` has the new name already.
    pub(crate) fn rename_in_expressions(
        &self,
        before: &Arc<RelationDescriptor>,
        changed: &mut RelationDescriptor,
    ) -> Result<()> {
        for constraint in &mut changed.constraints {
            if let Some(text) = &constraint.expression {
                let bound = self.bind_stored(before, text, RowExpression::Check, None)?;
                let text = self.stored_text(&changed.columns, &bound);
                Arc::make_mut(constraint).expression = Some(text.into());
            }
        }
        for position in 0..changed.columns.len() {
            let column = &changed.columns[position];
            if let (Some((oid, text)), true) = (&column.default, column.generated.is_some()) {
                let target = Some((&*before.columns[position].name, column.ty));
                let bound = self.bind_stored(before, text, RowExpression::Generated, target)?;
                let default = Some((*oid, self.stored_text(&changed.columns, &bound).into()));
                changed.columns[position].default = default;
            }
        }
        Ok(())
    }

    /// Writes an index's stored expressions again after a column was renamed; whether there were any.
    pub(crate) fn rename_in_index(
        &self,
        before: &Arc<RelationDescriptor>,
        changed: &RelationDescriptor,
        index: &mut IndexDescriptor,
    ) -> Result<bool> {
        let mut touched = false;
        for key in &mut index.keys {
            if let Some(text) = &key.expression {
                let bound = self.bind_stored(before, text, RowExpression::IndexKey, None)?;
                key.expression = Some(self.stored_text(&changed.columns, &bound).into());
                touched = true;
            }
        }
        if let Some(text) = &index.predicate {
            let bound = self.bind_stored(before, text, RowExpression::IndexPredicate, None)?;
            index.predicate = Some(self.stored_text(&changed.columns, &bound).into());
            touched = true;
        }
        Ok(touched)
    }

    /// Binds the checks and index expressions that mention a column whose type has changed, so that one that no longer
    /// makes sense is found now and not at the next INSERT.
    pub(crate) fn recheck_constraints_of_column(&self, table: Oid, number: i16) -> Result<()> {
        let relation = self.relation(table);
        for constraint in &relation.constraints {
            if let (Some(text), true) = (&constraint.expression, constraint.columns.contains(&number)) {
                self.bind_stored(&relation, text, RowExpression::Check, None)?;
            }
        }
        let session = NoSession::default();
        let catalog = self.state.catalog();
        let binder = RowExpressionBinder::new(&catalog, &IMPLICIT_NAMESPACES, &session, &relation);
        for index in &relation.indexes {
            for text in index.keys.iter().filter_map(|key| key.expression.as_ref()) {
                binder.bind_text(text, RowExpression::IndexKey, None)?;
            }
        }
        Ok(())
    }
}
