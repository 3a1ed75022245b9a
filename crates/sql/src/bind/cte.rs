//! WITH, recursive entries included.

use std::sync::Arc;

use ochre_base::{Error, Result, SqlState};
use ochre_expr::Expr;
use ochre_parser::ast;
use ochre_types::{SqlType, oids};

use super::Binder;
use super::coerce::CoercionContext;
use super::scope::{CteScope, CteTarget, Scope};
use crate::logical::{ColumnId, Logical, LogicalBody, LogicalCte, Query, SetInputs};
use crate::physical::OutputColumn;

impl Binder<'_> {
    /// Binds a WITH list; the result knows its names.
    pub(crate) fn bind_with(&mut self, with: &ast::With, scope: &Scope<'_>) -> Result<CteScope> {
        for (i, cte) in with.ctes.iter().enumerate() {
            if with.ctes[..i].iter().any(|other| other.name == cte.name) {
                let error = Error::new(
                    SqlState::DUPLICATE_ALIAS,
                    format!("WITH query name \"{}\" specified more than once", cte.name),
                );
                return Err(self.at(error, cte.pos));
            }
        }
        let mut ctes = scope.ctes.clone();
        let order =
            if with.recursive { dependency_order(&with.ctes) } else { (0..with.ctes.len()).collect() };
        let Some(order) = Some(order).filter(|order| order.len() == with.ctes.len()) else {
            return Err(self.at(
                Error::new(
                    SqlState::FEATURE_NOT_SUPPORTED,
                    "mutual recursion between WITH items is not implemented",
                ),
                with.pos,
            ));
        };
        if !with.recursive {
            // Nothing else may have the name of an entry that stands later: then the error can say so.
            for cte in &with.ctes {
                ctes = ctes.with(Arc::from(cte.name.as_str()), CteTarget::Later);
            }
        }
        for index in order {
            let cte = &with.ctes[index];
            let target = self.bind_cte(cte, with.recursive, &ctes, scope)?;
            ctes = ctes.with(Arc::from(cte.name.as_str()), target);
        }
        Ok(ctes)
    }

    fn bind_cte(
        &mut self,
        cte: &ast::Cte,
        recursive: bool,
        visible: &CteScope,
        scope: &Scope<'_>,
    ) -> Result<CteTarget> {
        let index = self.ctes.len();
        self.ctes.push(None);
        self.cte_references.push(0);
        let depth = scope.depth + 1;
        let mut inner = Scope { parent: scope.parent, depth, ..Scope::root(visible.clone()) };
        let refers = recursive && mentions_name(&cte.query, &cte.name);
        if !refers && let Some(pos) = clause_pos(cte) {
            return Err(self.at(Error::new(SqlState::SYNTAX_ERROR, "WITH query is not recursive"), pos));
        }
        let (body, mut output, is_recursive) = match &cte.query {
            ast::Statement::Select(select) if refers => {
                let query = self.bind_recursive(cte, select, index, &inner)?;
                let output = query.output.clone();
                (LogicalBody::Query(query), output, true)
            }
            ast::Statement::Select(select) => {
                if !recursive {
                    inner.ctes = visible.clone();
                }
                let query = self.bind_query(select, &inner)?;
                let output = query.output.clone();
                (LogicalBody::Query(query), output, false)
            }
            _ if refers => {
                let error = Error::new(
                    SqlState::INVALID_RECURSION,
                    format!("recursive query \"{}\" must not contain data-modifying statements", cte.name),
                );
                return Err(self.at(error, cte.pos));
            }
            modifying => {
                if scope.depth > 0 {
                    let error = Error::new(
                        SqlState::FEATURE_NOT_SUPPORTED,
                        "WITH clause containing a data-modifying statement must be at the top level",
                    );
                    return Err(self.at(error, cte.pos));
                }
                let (_, body) = self.bind_modifying(modifying, &inner)?;
                let LogicalBody::Modify(modify) = &body else {
                    return Err(Error::internal("a modifying statement is a query"));
                };
                let returning = modify.returning.iter().flatten();
                let output: Vec<(ColumnId, OutputColumn)> =
                    returning.map(|(_, column)| (usize::MAX, column.clone())).collect();
                (body, output, false)
            }
        };
        self.name_columns(cte, &mut output)?;
        let columns: Arc<[(Arc<str>, SqlType)]> =
            output.iter().map(|(_, column)| (Arc::clone(&column.name), column.ty)).collect();
        self.ctes[index] = Some(LogicalCte {
            name: Arc::from(cte.name.as_str()),
            body,
            output,
            references: 0,
            materialized: cte.materialized,
            recursive: is_recursive,
            depth,
            frame: self.frame,
        });
        Ok(CteTarget::Cte { index, columns })
    }

    /// Applies the column names after the entry's name.
    fn name_columns(&self, cte: &ast::Cte, output: &mut [(ColumnId, OutputColumn)]) -> Result<()> {
        if cte.columns.len() > output.len() {
            let error = Error::new(
                SqlState::INVALID_COLUMN_REFERENCE,
                format!(
                    "WITH query \"{}\" has {} columns available but {} columns specified",
                    cte.name,
                    output.len(),
                    cte.columns.len()
                ),
            );
            return Err(self.at(error, cte.pos));
        }
        for ((_, column), name) in output.iter_mut().zip(&cte.columns) {
            column.name = Arc::from(name.as_str());
        }
        Ok(())
    }

    /// `non-recursive UNION [ALL] recursive`.
    fn bind_recursive(
        &mut self,
        cte: &ast::Cte,
        select: &ast::SelectStmt,
        index: usize,
        scope: &Scope<'_>,
    ) -> Result<Query> {
        let shape = || {
            Error::new(
                SqlState::INVALID_RECURSION,
                format!(
                    "recursive query \"{}\" does not have the form non-recursive-term UNION [ALL] recursive-term",
                    cte.name
                ),
            )
        };
        let ast::SelectBody::SetOp(operation) = &select.body else { return Err(self.at(shape(), cte.pos)) };
        if operation.op != ast::SetOp::Union {
            return Err(self.at(shape(), cte.pos));
        }
        let forbidden = |what: &str| {
            let error = Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                format!("{what} in a recursive query is not implemented"),
            );
            Err(self.at(error, cte.pos))
        };
        if !select.order_by.is_empty() {
            return forbidden("ORDER BY");
        }
        if let Some(limit) = &select.limit {
            return forbidden(if limit.offset.is_some() && limit.count.is_none() {
                "OFFSET"
            } else {
                "LIMIT"
            });
        }
        if !select.locking.is_empty() {
            return forbidden("FOR UPDATE/SHARE");
        }
        let mut inner = scope.clone();
        let name: Arc<str> = Arc::from(cte.name.as_str());
        if let Some(with) = &select.with {
            // Entries within are no place for the entry itself.
            inner.ctes = inner.ctes.with(Arc::clone(&name), CteTarget::Forbidden("a subquery"));
            let around = inner.clone();
            inner.ctes = self.bind_with(with, &around)?;
        }
        // The non-recursive term must not mention the entry.
        let mut initial_scope = inner.clone();
        initial_scope.ctes =
            inner.ctes.with(Arc::clone(&name), CteTarget::Forbidden("its non-recursive term"));
        let mut initial = self.bind_query(&operation.left, &initial_scope)?;
        let mut output = initial.output.clone();
        self.name_columns(cte, &mut output)?;
        let added = self.bind_search_cycle(cte, &output, &initial_scope)?;
        let mut right = std::borrow::Cow::Borrowed(&*operation.right);
        if let Some(added) = &added {
            right = std::borrow::Cow::Owned(self.select_added_columns(added, cte, operation)?);
            let own = output.len();
            self.start_added_columns(added, &mut initial, scope.depth);
            output.extend_from_slice(&initial.output[own..]);
        }
        for (_, column) in &mut output {
            // The terms' rows may have fields of other names or types: each array knows its own.
            if column.ty.oid == oids::RECORD_ARRAY {
                column.ty = column.ty.with_typmod(-1);
            }
        }
        let columns: Arc<[(Arc<str>, SqlType)]> =
            output.iter().map(|(_, column)| (Arc::clone(&column.name), column.ty)).collect();
        let work_table = self.work_tables;
        self.work_tables += 1;
        self.recursive_references.push(0);
        let mut recursive_scope = inner;
        recursive_scope.ctes = recursive_scope
            .ctes
            .with(name, CteTarget::WorkTable { work_table, index, columns: Arc::clone(&columns) });
        let mut recursive = self.bind_query_with(&right, &recursive_scope, false)?;
        if self.recursive_references[work_table] > 1 {
            let error = Error::new(
                SqlState::INVALID_RECURSION,
                format!("recursive reference to query \"{}\" must not appear more than once", cte.name),
            );
            return Err(self.at(error, cte.pos));
        }
        if recursive.output.len() != output.len() {
            let error =
                Error::new(SqlState::SYNTAX_ERROR, "each UNION query must have the same number of columns");
            return Err(self.at(error, cte.pos));
        }
        for (position, ((_, wanted), (_, found))) in output.iter().zip(&recursive.output).enumerate() {
            let pair = [
                (Expr::Column { index: 0, ty: wanted.ty }, cte.pos),
                (Expr::Column { index: 0, ty: found.ty }, cte.pos),
            ];
            let overall = self.select_common_type(&pair, "UNION")?;
            if overall.oid != wanted.ty.oid || overall.typmod != wanted.ty.typmod {
                let error = Error::new(
                    SqlState::DATATYPE_MISMATCH,
                    format!(
                        "recursive query \"{}\" column {} has type {} in non-recursive term but type {} overall",
                        cte.name,
                        position + 1,
                        self.type_text(wanted.ty),
                        self.type_text(overall)
                    ),
                )
                .hint("Cast the output of the non-recursive term to the correct type.");
                return Err(self.at(error, cte.pos));
            }
        }
        let types: Vec<SqlType> = output.iter().map(|(_, column)| column.ty.with_typmod(-1)).collect();
        self.coerce_output(&mut recursive, &types, "UNION", cte.pos, CoercionContext::Implicit)?;
        if let Some(added) = &added {
            self.follow_added_columns(added, &mut recursive, scope.depth)?;
        }
        let mut ids = Vec::with_capacity(output.len());
        for (id, column) in &mut output {
            *id = self.new_column(Arc::clone(&column.name), column.ty, scope.depth);
            column.origin = None;
            ids.push(*id);
        }
        let inputs = |query: Query| {
            let ids = query.output.iter().map(|(id, _)| *id).collect();
            (query.plan, ids)
        };
        let plan = Logical::RecursiveUnion {
            inputs: Box::new(SetInputs {
                columns: ids,
                inputs: vec![inputs(initial), inputs(recursive)],
                set: None,
            }),
            distinct: !operation.all,
            work_table,
        };
        Ok(Query { plan, output })
    }
}

/// Where SEARCH or CYCLE of an entry stands.
fn clause_pos(cte: &ast::Cte) -> Option<ast::Pos> {
    let search = cte.search.as_ref().map(|search| search.pos);
    search.or_else(|| cte.cycle.as_ref().map(|cycle| cycle.pos))
}

/// An order in which every entry comes after those it mentions; shorter than the list when there is a cycle.
fn dependency_order(ctes: &[ast::Cte]) -> Vec<usize> {
    let mut order = Vec::with_capacity(ctes.len());
    while order.len() < ctes.len() {
        let ready = (0..ctes.len()).find(|i| {
            !order.contains(i)
                && (0..ctes.len())
                    .all(|j| j == *i || order.contains(&j) || !mentions_name(&ctes[*i].query, &ctes[j].name))
        });
        match ready {
            Some(index) => order.push(index),
            None => break,
        }
    }
    order
}

/// Whether a statement mentions a table of this name anywhere.
fn mentions_name(statement: &ast::Statement, name: &ast::Name) -> bool {
    // The tree's debug form spells every table reference out; WITH RECURSIVE is rare enough for the plain way.
    struct Finder<'n> {
        name: &'n str,
    }
    impl Finder<'_> {
        fn select(&self, select: &ast::SelectStmt) -> bool {
            let with = select.with.as_deref();
            self.with(with)
                || !self.hidden_by(with)
                    && (self.body(&select.body) || select.order_by.iter().any(|item| self.expr(&item.expr)))
        }
        /// Whether the entries of a WITH mention it: not those from which one of them hides the name.
        fn with(&self, with: Option<&ast::With>) -> bool {
            let Some(with) = with else { return false };
            let hiding = with.ctes.iter().position(|cte| *cte.name == *self.name);
            let seeing = match hiding {
                Some(_) if with.recursive => 0,
                Some(hiding) => hiding + 1,
                None => with.ctes.len(),
            };
            with.ctes[..seeing].iter().any(|cte| self.statement(&cte.query))
        }
        fn hidden_by(&self, with: Option<&ast::With>) -> bool {
            with.is_some_and(|with| with.ctes.iter().any(|cte| *cte.name == *self.name))
        }
        fn statement(&self, statement: &ast::Statement) -> bool {
            match statement {
                ast::Statement::Select(select) => self.select(select),
                ast::Statement::Insert(insert) => {
                    insert.source.as_ref().is_some_and(|source| self.select(source))
                        || self.with(insert.with.as_deref())
                }
                ast::Statement::Update(update) => {
                    self.with(update.with.as_deref())
                        || update.from.iter().any(|item| self.from(item))
                        || update.where_clause.as_ref().is_some_and(|e| self.expr(e))
                        || update.set.iter().any(|set| self.assignment(set))
                }
                ast::Statement::Delete(delete) => {
                    self.with(delete.with.as_deref())
                        || delete.using.iter().any(|item| self.from(item))
                        || delete.where_clause.as_ref().is_some_and(|e| self.expr(e))
                }
                ast::Statement::Merge(merge) => {
                    let in_action = |action: &ast::MergeAction| match action {
                        ast::MergeAction::Update(set) => set.iter().any(|set| self.assignment(set)),
                        ast::MergeAction::Insert { values, .. } => {
                            values.iter().flatten().any(|value| self.expr(value))
                        }
                        ast::MergeAction::Nothing | ast::MergeAction::Delete => false,
                    };
                    self.with(merge.with.as_deref())
                        || self.from(&merge.source)
                        || self.expr(&merge.on)
                        || merge.when.iter().any(|when| {
                            when.condition.as_ref().is_some_and(|e| self.expr(e)) || in_action(&when.action)
                        })
                }
                _ => false,
            }
        }
        fn assignment(&self, assignment: &ast::Assignment) -> bool {
            match assignment {
                ast::Assignment::Single { value, .. } => self.expr(value),
                ast::Assignment::Multi { source, .. } => self.expr(source),
            }
        }
        fn body(&self, body: &ast::SelectBody) -> bool {
            match body {
                ast::SelectBody::Select(core) => {
                    core.from.iter().any(|item| self.from(item))
                        || core.targets.iter().any(|target| self.expr(&target.expr))
                        || core.where_clause.as_ref().is_some_and(|e| self.expr(e))
                        || core.having.as_ref().is_some_and(|e| self.expr(e))
                }
                ast::SelectBody::Values(rows) => rows.iter().flatten().any(|e| self.expr(e)),
                ast::SelectBody::SetOp(op) => self.select(&op.left) || self.select(&op.right),
            }
        }
        fn from(&self, item: &ast::FromItem) -> bool {
            match item {
                ast::FromItem::Table(table) => {
                    table.relation.name.schema().is_none() && table.relation.name.name().as_str() == self.name
                }
                ast::FromItem::Subquery(subquery) => self.select(&subquery.query),
                ast::FromItem::Join(join) => {
                    self.from(&join.left)
                        || self.from(&join.right)
                        || matches!(&join.constraint, ast::JoinConstraint::On(e) if self.expr(e))
                }
                ast::FromItem::Function(function) => function.functions.iter().any(|f| self.expr(&f.call)),
                ast::FromItem::XmlTable(_) | ast::FromItem::JsonTable(_) => false,
            }
        }
        fn expr(&self, expr: &ast::Expr) -> bool {
            let any = |list: &[ast::Expr]| list.iter().any(|e| self.expr(e));
            match expr {
                ast::Expr::Subquery(q) | ast::Expr::Exists(q) | ast::Expr::ArraySubquery(q) => {
                    self.select(&q.query)
                }
                ast::Expr::InSubquery(q) => self.expr(&q.expr) || self.select(&q.query),
                ast::Expr::QuantifiedSubquery(q) => self.expr(&q.left) || self.select(&q.query),
                ast::Expr::Unary(e) => self.expr(&e.expr),
                ast::Expr::Binary(e) => self.expr(&e.left) || self.expr(&e.right),
                ast::Expr::And(e) | ast::Expr::Or(e) => any(&e.args),
                ast::Expr::Not(e) => self.expr(&e.expr),
                ast::Expr::NullTest(e) => self.expr(&e.expr),
                ast::Expr::BooleanTest(e) => self.expr(&e.expr),
                ast::Expr::Distinct(e) => self.expr(&e.left) || self.expr(&e.right),
                ast::Expr::Like(e) => self.expr(&e.expr) || self.expr(&e.pattern),
                ast::Expr::Between(e) => self.expr(&e.expr) || self.expr(&e.low) || self.expr(&e.high),
                ast::Expr::InList(e) => self.expr(&e.expr) || any(&e.list),
                ast::Expr::QuantifiedArray(e) => self.expr(&e.left) || self.expr(&e.array),
                ast::Expr::Case(e) => {
                    e.operand.as_ref().is_some_and(|o| self.expr(o))
                        || e.branches.iter().any(|b| self.expr(&b.when) || self.expr(&b.then))
                        || e.otherwise.as_ref().is_some_and(|o| self.expr(o))
                }
                ast::Expr::Coalesce(e)
                | ast::Expr::Greatest(e)
                | ast::Expr::Least(e)
                | ast::Expr::Array(e) => any(&e.args),
                ast::Expr::NullIf(e) => self.expr(&e.left) || self.expr(&e.right),
                ast::Expr::Row(e) => any(&e.args),
                ast::Expr::Cast(e) => self.expr(&e.expr),
                ast::Expr::Collate(e) => self.expr(&e.expr),
                ast::Expr::Func(e) => e.args.iter().any(|arg| self.expr(&arg.value)),
                ast::Expr::Indirection(e) => self.expr(&e.expr),
                _ => false,
            }
        }
    }
    Finder { name }.statement(statement)
}
