//! Select lists and RETURNING, ORDER BY items, and the names that output columns get.

use std::sync::Arc;

use ochre_base::limits::MAX_TARGETS;
use ochre_base::{Error, Result, SqlState};
use ochre_expr::{BtreeComparison, Expr, btree_comparison};
use ochre_parser::ast::{self, Pos};
use ochre_types::{PhysicalType, SqlType, oids};

use super::Binder;
use super::scope::Scope;
use crate::logical::Ordering;
use crate::physical::OutputColumn;

/// An item of a select list, or a hidden one that ORDER BY needs.
#[derive(Debug, Clone)]
pub(crate) struct TargetEntry {
    pub expr: Expr,
    pub name: Arc<str>,
    pub pos: Pos,
}

impl Binder<'_> {
    /// Binds a select list, stars expanded.
    pub(crate) fn bind_targets(
        &mut self,
        targets: &[ast::Target],
        scope: &Scope<'_>,
    ) -> Result<Vec<TargetEntry>> {
        let mut entries = Vec::with_capacity(targets.len());
        for target in targets {
            match &target.expr {
                ast::Expr::Column(column) if column.star => {
                    let expanded = self.expand_star(column, scope)?;
                    self.note_columns(column.pos, |binder| {
                        let texts: Vec<String> = expanded
                            .iter()
                            .map(|item| binder.column_text(&item.name, &item.expr, scope))
                            .collect();
                        (!texts.is_empty()).then(|| texts.join(", "))
                    });
                    for item in expanded {
                        self.note_column(&item.expr, column.pos);
                        entries.push(TargetEntry { expr: item.expr, name: item.name, pos: column.pos });
                    }
                }
                ast::Expr::Indirection(indirection)
                    if matches!(indirection.steps.last(), Some(ast::Indirection::Star(_))) =>
                {
                    self.bind_record_star(indirection, target, scope, &mut entries)?;
                }
                expr => {
                    let bound = self.bind_expr(expr, scope)?;
                    let name = match &target.alias {
                        Some(alias) => Arc::from(alias.as_str()),
                        None => self.output_name(expr, &bound),
                    };
                    entries.push(TargetEntry { expr: bound, name, pos: expr.pos() });
                }
            }
            check_target_count(entries.len())?;
        }
        Ok(entries)
    }

    /// The name of an unnamed column; a plain column shares its name with the table's descriptor.
    fn output_name(&self, ast: &ast::Expr, bound: &Expr) -> Arc<str> {
        let name = column_name(ast);
        if let (ast::Expr::Column(_), Expr::Column { index, .. }) = (ast, bound)
            && *self.columns[*index].name == *name
        {
            return Arc::clone(&self.columns[*index].name);
        }
        // The text of a subquery does not tell what its star, or its VALUES, stand for.
        if let (ast::Expr::Subquery(_), Expr::SubPlan { plan, .. }) = (ast, bound)
            && let Some(Some(subquery)) = self.subqueries.get(*plan)
            && let Some((_, column)) = subquery.query.output.first()
        {
            return Arc::clone(&column.name);
        }
        Arc::from(name)
    }

    /// `(row).*`.
    fn bind_record_star(
        &mut self,
        indirection: &ast::IndirectionExpr,
        target: &ast::Target,
        scope: &Scope<'_>,
        entries: &mut Vec<TargetEntry>,
    ) -> Result<()> {
        let mut inner = indirection.clone();
        inner.steps.pop();
        let record = if inner.steps.is_empty() {
            self.bind_expr(&inner.expr, scope)?
        } else {
            self.bind_expr(&ast::Expr::Indirection(ast::P::new(inner)), scope)?
        };
        let ty = record.ty();
        if ty.physical != PhysicalType::Record {
            let error = Error::new(
                SqlState::WRONG_OBJECT_TYPE,
                format!("type {} is not composite", self.type_text(ty)),
            );
            return Err(self.at(error, target.pos));
        }
        if let Expr::Row { fields, .. } = record {
            for (i, field) in fields.into_iter().enumerate() {
                let field = self.resolve_unknown(field, target.pos)?;
                entries.push(TargetEntry {
                    expr: field,
                    name: Arc::from(format!("f{}", i + 1)),
                    pos: target.pos,
                });
            }
            return Ok(());
        }
        let fields: Vec<(Arc<str>, SqlType)> = match (&record, self.record_fields(ty)) {
            (_, Some(fields)) => fields,
            (Expr::Column { index, .. }, None) => {
                return Err(self.at(
                    Error::unsupported(format_args!(
                        "expanding \"{}\", whose columns are not known,",
                        self.columns[*index].name
                    )),
                    target.pos,
                ));
            }
            _ => Vec::new(),
        };
        if fields.is_empty() {
            let error = Error::new(SqlState::SYNTAX_ERROR, "record type has not been registered");
            return Err(self.at(error, target.pos));
        }
        for (index, (name, ty)) in fields.into_iter().enumerate() {
            let expr = Expr::Field { record: Box::new(record.clone()), index, ty };
            entries.push(TargetEntry { expr, name, pos: target.pos });
        }
        Ok(())
    }

    /// Literals that nothing gave a type become text.
    pub(crate) fn resolve_targets(&mut self, entries: &mut [TargetEntry]) -> Result<()> {
        for entry in entries {
            if entry.expr.ty().oid == oids::UNKNOWN {
                let expr = std::mem::replace(&mut entry.expr, Expr::null(SqlType::TEXT));
                entry.expr = self.resolve_unknown(expr, entry.pos)?;
            }
        }
        Ok(())
    }

    /// How an output column is described to the client.
    pub(crate) fn describe(&self, name: &Arc<str>, expr: &Expr) -> OutputColumn {
        let origin = match expr {
            Expr::Column { index, .. } => self.columns[*index].origin,
            _ => None,
        };
        OutputColumn { name: Arc::clone(name), ty: expr.ty(), origin }
    }

    /// An ORDER BY or GROUP BY item that is a position: the entry it means.
    pub(crate) fn ordinal(&self, expr: &ast::Expr, clause: &str, visible: usize) -> Result<Option<usize>> {
        let ast::Expr::Literal(literal) = expr else { return Ok(None) };
        match &literal.value {
            ast::LiteralValue::Integer(position) => {
                let index = usize::try_from(*position).ok().filter(|p| (1..=visible).contains(p));
                match index {
                    Some(index) => Ok(Some(index - 1)),
                    None => {
                        let error = Error::new(
                            SqlState::INVALID_COLUMN_REFERENCE,
                            format!("{clause} position {position} is not in select list"),
                        );
                        Err(self.at(error, literal.pos))
                    }
                }
            }
            _ => {
                let error = Error::new(SqlState::SYNTAX_ERROR, format!("non-integer constant in {clause}"));
                Err(self.at(error, literal.pos))
            }
        }
    }

    /// The entry whose name an ORDER BY item is.
    pub(crate) fn entry_named(
        &self,
        expr: &ast::Expr,
        clause: &str,
        entries: &[TargetEntry],
    ) -> Result<Option<usize>> {
        let ast::Expr::Column(column) = expr else { return Ok(None) };
        let ([name], false) = (column.parts.as_slice(), column.star) else { return Ok(None) };
        let mut found: Option<usize> = None;
        for (i, entry) in entries.iter().enumerate() {
            if *entry.name != **name {
                continue;
            }
            match found {
                Some(known) if entries[known].expr != entry.expr => {
                    let error =
                        Error::new(SqlState::AMBIGUOUS_COLUMN, format!("{clause} \"{name}\" is ambiguous"));
                    return Err(self.at(error, column.pos));
                }
                Some(_) => {}
                None => found = Some(i),
            }
        }
        Ok(found)
    }

    /// The entry that an ORDER BY or DISTINCT ON item means; a hidden one is added when no visible one does.
    pub(crate) fn sort_entry(
        &mut self,
        expr: &ast::Expr,
        clause: &str,
        entries: &mut Vec<TargetEntry>,
        visible: usize,
        scope: &Scope<'_>,
    ) -> Result<usize> {
        if let Some(index) = self.entry_named(expr, clause, &entries[..visible])? {
            return Ok(index);
        }
        if let Some(index) = self.ordinal(expr, clause, visible)? {
            return Ok(index);
        }
        let bound = self.bind_expr(expr, scope)?;
        let bound = self.resolve_unknown(bound, expr.pos())?;
        if let Some(index) = entries.iter().position(|entry| entry.expr == bound) {
            return Ok(index);
        }
        let name = Arc::from(column_name(expr));
        entries.push(TargetEntry { expr: bound, name, pos: expr.pos() });
        Ok(entries.len() - 1)
    }

    /// Direction and place of nulls of a sort item.
    pub(crate) fn sort_key(&mut self, item: &ast::SortItem, expr: Expr) -> Result<Ordering> {
        let comparison = self.require_ordering(expr.ty(), false, item.expr.pos())?;
        let descending = match &item.direction {
            ast::SortDirection::Default | ast::SortDirection::Asc => false,
            ast::SortDirection::Desc => true,
            ast::SortDirection::Using(op) => {
                let name = op.name.as_str();
                match comparison {
                    Some(found) if *found.less.name == *name => false,
                    Some(found) if *found.greater.name == *name => true,
                    _ => {
                        let error = Error::new(
                            SqlState::WRONG_OBJECT_TYPE,
                            format!("operator {name} is not a valid ordering operator"),
                        )
                        .hint(
                            "Ordering operators must be \"<\" or \">\" members of btree operator families.",
                        );
                        return Err(self.at(error, item.pos));
                    }
                }
            }
        };
        let nulls_first = match item.nulls {
            ast::NullsOrder::Default => descending,
            ast::NullsOrder::First => true,
            ast::NullsOrder::Last => false,
        };
        Ok(Ordering { expr, descending, nulls_first })
    }

    /// 42883 for a type without order (or, for grouping, without equality).
    pub(crate) fn require_ordering(
        &self,
        ty: SqlType,
        equality: bool,
        pos: Pos,
    ) -> Result<Option<&'static BtreeComparison>> {
        if let Some(found) = btree_comparison(ty.oid) {
            return Ok(Some(found));
        }
        // Rows of users' types, and arrays of them.
        let user_rows = ty.physical == PhysicalType::Record || ochre_types::type_info(ty.oid).is_none();
        if user_rows || ty.oid == oids::UNKNOWN {
            return Ok(None);
        }
        let text = self.type_text(ty);
        let error = if equality {
            // Types that hash but have no order can still be grouped.
            let hashes = ochre_expr::operator_classes()
                .iter()
                .any(|class| &*class.method == "hash" && class.is_default && class.input_type == ty.oid);
            if hashes {
                return Ok(None);
            }
            Error::new(
                SqlState::UNDEFINED_FUNCTION,
                format!("could not identify an equality operator for type {text}"),
            )
        } else {
            Error::new(
                SqlState::UNDEFINED_FUNCTION,
                format!("could not identify an ordering operator for type {text}"),
            )
            .hint("Use an explicit ordering operator or modify the query.")
        };
        Err(self.at(error, pos))
    }
}

/// The name that PostgreSQL gives to an unnamed output column.
pub(crate) fn column_name(expr: &ast::Expr) -> &str {
    figure_name(expr).0.unwrap_or("?column?")
}

/// A name and how good it is: 2 for names, 1 for those of types and constructs.
fn figure_name(expr: &ast::Expr) -> (Option<&str>, u8) {
    let weak = |name| (Some(name), 1);
    let strong = |name| (Some(name), 2);
    match expr {
        ast::Expr::Column(column) => match column.parts.last() {
            Some(name) => strong(name.as_str()),
            None => (None, 0),
        },
        ast::Expr::Literal(literal) => match literal.value {
            ast::LiteralValue::Bool(_) => weak("bool"),
            _ => (None, 0),
        },
        ast::Expr::Func(call) => match call.syntax {
            ast::CallSyntax::Treat => strong(call.name.name()),
            _ => strong(call.name.name()),
        },
        ast::Expr::ValueFunction(value) => {
            use ast::ValueFunctionKind as Kind;
            strong(match value.kind {
                Kind::CurrentDate => "current_date",
                Kind::CurrentTime => "current_time",
                Kind::CurrentTimestamp => "current_timestamp",
                Kind::LocalTime => "localtime",
                Kind::LocalTimestamp => "localtimestamp",
                Kind::CurrentRole => "current_role",
                Kind::CurrentUser => "current_user",
                Kind::SessionUser => "session_user",
                Kind::User => "user",
                Kind::CurrentCatalog => "current_catalog",
                Kind::CurrentSchema => "current_schema",
            })
        }
        ast::Expr::Indirection(indirection) => {
            let field = indirection.steps.iter().rev().find_map(|step| match step {
                ast::Indirection::Field(name, _) => Some(name.as_str()),
                _ => None,
            });
            match field {
                Some(name) => strong(name),
                None => figure_name(&indirection.expr),
            }
        }
        ast::Expr::Cast(cast) => match figure_name(&cast.expr) {
            (Some(name), 2) => strong(name),
            _ => weak(cast.type_name.name()),
        },
        ast::Expr::Collate(collate) => figure_name(&collate.expr),
        ast::Expr::Case(case) => {
            let inner = case.otherwise.as_ref().map_or((None, 0), figure_name);
            if inner.1 == 2 { inner } else { weak("case") }
        }
        ast::Expr::Coalesce(_) => strong("coalesce"),
        ast::Expr::Greatest(_) => strong("greatest"),
        ast::Expr::Least(_) => strong("least"),
        ast::Expr::NullIf(_) => strong("nullif"),
        ast::Expr::Grouping(_) => strong("grouping"),
        ast::Expr::Array(_) => strong("array"),
        ast::Expr::Row(_) => strong("row"),
        ast::Expr::Exists(_) => strong("exists"),
        ast::Expr::ArraySubquery(_) => strong("array"),
        ast::Expr::Subquery(subquery) => match &subquery.query.body {
            ast::SelectBody::Select(core) => match core.targets.first() {
                Some(target) => match &target.alias {
                    Some(alias) => strong(alias.as_str()),
                    None => figure_name(&target.expr),
                },
                None => (None, 0),
            },
            _ => (None, 0),
        },
        _ => (None, 0),
    }
}

/// Refuses more entries than a select list may have.
pub(crate) fn check_target_count(count: usize) -> Result<()> {
    if count > MAX_TARGETS {
        return Err(Error::new(
            SqlState::TOO_MANY_COLUMNS,
            format!("target lists can have at most {MAX_TARGETS} entries"),
        ));
    }
    Ok(())
}
