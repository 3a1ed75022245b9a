//! ON CONFLICT: which indexes decide that a new row is one of the old, and what is done with that then.
//!
//! # How
//! The arbiters are the unique indexes whose keys are what the clause lists, in any order; a collation or an operator class that
//! it says restricts them to the indexes where that key has it. On a view the names are the view's, and the rows are its
//! table's: a row that the view does not show is a conflict all the same, as in PostgreSQL.

use std::sync::Arc;

use ochre_base::{Error, Oid, Result, SqlState};
use ochre_catalog::authority::Privileges;
use ochre_catalog::{IndexDescriptor, IndexKey, RelationDescriptor};
use ochre_expr::{Expr, OperatorClass};
use ochre_parser::ast;

use super::dml::InsertShape;
use super::level::Clause;
use super::scope::{CteScope, ItemColumns, RelationName, Scope, ScopeItem};
use super::updatable::Verb;
use super::{Binder, RowExpression, stored_text};
use crate::logical::{LogicalConflict, TableId};
use crate::physical::{RelationAccess, ScanColumn};

/// The target of an INSERT, for its ON CONFLICT.
#[derive(Clone, Copy)]
pub(super) struct ConflictTarget<'a> {
    pub base: &'a Arc<RelationDescriptor>,
    /// The base under the names of the view.
    pub named: &'a Arc<RelationDescriptor>,
    pub view: Option<&'a Arc<RelationDescriptor>>,
    /// Where the base has what the view shows.
    pub positions: &'a [Option<usize>],
    /// Uses of the base: the row that is there, and the one that was to be.
    pub existing: TableId,
    pub excluded: TableId,
    pub name: &'a RelationName,
    pub requirement: Option<usize>,
    pub of_view: Option<usize>,
}

/// What the clause says of one key.
struct WantedKey {
    expr: Expr,
    collation: Option<Oid>,
    class: Option<&'static OperatorClass>,
}

impl WantedKey {
    /// Whether the key of an index is this one, as it is to be.
    fn is(&self, key: &IndexKey, expr: &Expr) -> bool {
        let same_class = |class: &OperatorClass| {
            class_with_oid(key.operator_class)
                .is_some_and(|known| known.family == class.family && known.input_type == class.input_type)
        };
        self.expr == *expr
            && self.collation.is_none_or(|collation| collation == key.collation)
            && self.class.is_none_or(same_class)
    }
}

impl Binder<'_> {
    /// Binds ON CONFLICT.
    pub(super) fn bind_on_conflict(
        &mut self,
        clause: &ast::OnConflict,
        target: &ConflictTarget<'_>,
        scope: &Scope<'_>,
    ) -> Result<LogicalConflict> {
        let arbiters = match &clause.target {
            None => {
                if matches!(clause.action, ast::ConflictAction::Update { .. }) {
                    let error = Error::new(
                        SqlState::SYNTAX_ERROR,
                        "ON CONFLICT DO UPDATE requires inference specification or constraint name",
                    )
                    .hint("For example, ON CONFLICT (column_name).");
                    return Err(self.at(error, clause.pos));
                }
                Vec::new()
            }
            Some(ast::ConflictTarget::Constraint(name, pos)) => {
                self.constraint_arbiters(name, *pos, target)?
            }
            Some(ast::ConflictTarget::Index { elems, predicate, pos }) => {
                self.inferred_arbiters(elems, predicate.as_ref(), *pos, target)?
            }
        };
        let update = match &clause.action {
            ast::ConflictAction::Nothing => None,
            ast::ConflictAction::Update { set, where_clause } => {
                Some(self.bind_conflict_update(set, where_clause.as_ref(), target, scope)?)
            }
        };
        Ok(LogicalConflict { arbiters, update })
    }

    /// ON CONSTRAINT.
    fn constraint_arbiters(
        &mut self,
        name: &ast::Name,
        pos: ast::Pos,
        target: &ConflictTarget<'_>,
    ) -> Result<Vec<Oid>> {
        let table = target.base;
        let known = table.constraints.iter().filter(|_| target.view.is_none());
        match known.clone().find(|constraint| *constraint.name == **name) {
            Some(constraint) if constraint.index.is_valid() && constraint.foreign.is_none() => {
                for number in &constraint.columns {
                    self.mention(target.existing, ScanColumn::Table(*number as usize - 1));
                }
                Ok(with_twins(table, constraint.index))
            }
            Some(_) => Err(Error::new(
                SqlState::WRONG_OBJECT_TYPE,
                "constraint in ON CONFLICT clause has no associated index",
            )),
            None => {
                let shown = target.view.unwrap_or(table);
                let error = Error::new(
                    SqlState::UNDEFINED_OBJECT,
                    format!("constraint \"{name}\" for table \"{}\" does not exist", shown.name),
                );
                Err(self.at(error, pos))
            }
        }
    }

    /// The indexes over the listed keys.
    fn inferred_arbiters(
        &mut self,
        elems: &[ast::IndexElem],
        predicate: Option<&ast::Expr>,
        pos: ast::Pos,
        target: &ConflictTarget<'_>,
    ) -> Result<Vec<Oid>> {
        let table = target.base;
        let mut wanted: Vec<WantedKey> = Vec::with_capacity(elems.len());
        for elem in elems {
            wanted.push(self.bind_conflict_elem(elem, pos, target)?);
        }
        // Expressions are the same when what is constant in them is.
        let session = self.session;
        let fold = |expr: &mut Expr| crate::optimize::fold_expr(expr, session);
        wanted.iter_mut().for_each(|key| fold(&mut key.expr));
        for position in wanted.iter().flat_map(|key| key.expr.columns()) {
            self.mention(target.existing, ScanColumn::Table(position));
        }
        let mut given = match predicate {
            Some(predicate) => {
                self.bind_conflict_expr(predicate, Clause::IndexPredicate, target)?.conjuncts()
            }
            None => Vec::new(),
        };
        given.iter_mut().for_each(fold);
        let mut found = Vec::new();
        // One that is being built beside its valid twin holds the same keys, and may be met first.
        let mut has_valid = false;
        for index in &table.indexes {
            if !index.unique || !index.ready {
                continue;
            }
            let mut keys = Vec::with_capacity(index.keys.len());
            for key in &index.keys {
                let mut expr = match &key.expression {
                    None => {
                        let position = usize::try_from(key.number - 1).unwrap_or(usize::MAX);
                        Expr::Column { index: position, ty: table.columns[position].ty }
                    }
                    Some(text) => self.bind_stored(table, text, RowExpression::IndexKey)?,
                };
                fold(&mut expr);
                keys.push((key, expr));
            }
            let same = keys.iter().all(|(_, expr)| wanted.iter().any(|wanted| wanted.expr == *expr))
                && wanted.iter().all(|wanted| keys.iter().any(|(key, expr)| wanted.is(key, expr)));
            if !same {
                continue;
            }
            if let Some(text) = &index.predicate {
                let mut needed = self.bind_stored(table, text, RowExpression::IndexPredicate)?;
                fold(&mut needed);
                if !needed.conjuncts().iter().all(|part| crate::plan::is_implied(part, &given)) {
                    continue;
                }
            }
            has_valid |= index.valid;
            found.push(index.oid);
        }
        if !has_valid {
            return Err(Error::new(
                SqlState::INVALID_COLUMN_REFERENCE,
                "there is no unique or exclusion constraint matching the ON CONFLICT specification",
            ));
        }
        Ok(found)
    }

    fn bind_stored(
        &mut self,
        table: &Arc<RelationDescriptor>,
        text: &str,
        kind: RowExpression,
    ) -> Result<Expr> {
        let parsed = stored_text::expression(text)?;
        self.without_positions(|binder| binder.bind_row_expression(table, &parsed, kind, None))
    }

    fn bind_conflict_elem(
        &mut self,
        elem: &ast::IndexElem,
        pos: ast::Pos,
        target: &ConflictTarget<'_>,
    ) -> Result<WantedKey> {
        // An order says nothing of what is equal.
        let ignored = if elem.direction != ast::SortDirection::Default {
            Some("ASC/DESC")
        } else if elem.nulls != ast::NullsOrder::Default {
            Some("NULLS FIRST/LAST")
        } else {
            None
        };
        if let Some(what) = ignored {
            let message = format!("{what} is not allowed in ON CONFLICT clause");
            return Err(self.at(Error::new(SqlState::INVALID_COLUMN_REFERENCE, message), pos));
        }
        let column = match &elem.key {
            ast::IndexKey::Column(name) => {
                let parts = vec![name.clone()].into();
                ast::Expr::Column(ast::ColumnRef { parts, star: false, pos: elem.pos })
            }
            ast::IndexKey::Expr(expr) => expr.clone(),
        };
        let expr = self.bind_conflict_expr(&column, Clause::IndexExpression, target)?;
        let collation = match &elem.collation {
            Some(name) => Some(self.collation(name)?),
            None => None,
        };
        let class = match &elem.opclass {
            Some(name) => Some(self.btree_class(name)?),
            None => None,
        };
        Ok(WantedKey { expr, collation, class })
    }

    fn btree_class(&self, name: &ast::ObjectName) -> Result<&'static OperatorClass> {
        let schema = match name.schema() {
            Some(schema) => match self.catalog.namespace_named(schema) {
                Some(found) => Some(found.oid),
                None => {
                    let message = format!("schema \"{schema}\" does not exist");
                    return Err(Error::new(SqlState::INVALID_SCHEMA_NAME, message));
                }
            },
            None => None,
        };
        let found = ochre_expr::operator_classes().iter().find(|class| {
            &*class.method == "btree"
                && *class.name == **name.name()
                && schema.is_none_or(|schema| schema == ochre_catalog::oids::PG_CATALOG)
        });
        found.ok_or_else(|| {
            let message = format!("operator class \"{name}\" does not exist for access method \"btree\"");
            Error::new(SqlState::UNDEFINED_OBJECT, message)
        })
    }

    /// An expression of the clause over positions in the base.
    fn bind_conflict_expr(
        &mut self,
        expr: &ast::Expr,
        clause: Clause,
        target: &ConflictTarget<'_>,
    ) -> Result<Expr> {
        let id = self.add_table(Arc::clone(target.base), Arc::clone(&target.name.alias));
        let columns = self.conflict_columns(id, 0, target)?;
        let mut scope = Scope::root(CteScope::default());
        let mut item = ScopeItem::of_relation(target.name, columns);
        item.requirement = target.of_view;
        scope.items.push(item);
        let bind = |binder: &mut Self| {
            let bound = binder.in_level(clause, 0, |binder| binder.bind_expr(expr, &scope))?;
            match clause {
                Clause::IndexPredicate => binder.coerce_to_boolean(bound, "WHERE", expr.pos()),
                _ => binder.resolve_unknown(bound, expr.pos()),
            }
        };
        // Once for errors in the client's text, and once to be compared with what indexes are over.
        bind(self)?;
        let bound = self.without_positions(bind)?;
        self.to_positions(bound, id)
    }

    /// The columns of a use of the base, as the statement names them.
    fn conflict_columns(
        &mut self,
        table: TableId,
        depth: u32,
        target: &ConflictTarget<'_>,
    ) -> Result<ItemColumns> {
        Ok(match target.view {
            Some(view) => ItemColumns::Listed(self.expand_view(view, table, depth, Verb::INSERT)?.columns),
            None => ItemColumns::Table(table),
        })
    }

    /// DO UPDATE.
    fn bind_conflict_update(
        &mut self,
        set: &[ast::Assignment],
        condition: Option<&ast::Expr>,
        target: &ConflictTarget<'_>,
        scope: &Scope<'_>,
    ) -> Result<crate::logical::ConflictUpdate> {
        self.use_relation(target.base, RelationAccess { update: true, ..RelationAccess::default() });
        let mut inner = scope.clone();
        let existing = self.conflict_columns(target.existing, scope.depth, target)?;
        let excluded = self.conflict_columns(target.excluded, scope.depth, target)?;
        inner.items = vec![
            ScopeItem::of_relation(target.name, existing),
            ScopeItem {
                // Unqualified names mean the existing row; a row that is nowhere has no place.
                columns_visible: false,
                system_columns: false,
                ..ScopeItem::visible(Some("excluded".into()), excluded)
            },
        ];
        inner.items.iter_mut().for_each(|item| item.requirement = target.of_view);
        let shape = InsertShape { table: target.named, view: target.view, positions: target.positions };
        let base = self.base_assignments(shape, set, Verb::INSERT)?;
        let assignments = self.in_level(Clause::UpdateSet, inner.depth, |binder| {
            binder.bind_assignments(&base, target.named, target.existing, &inner)
        })?;
        self.require_also(target.requirement, Privileges::UPDATE);
        self.require_also(target.of_view, Privileges::UPDATE);
        let shown = target.view.unwrap_or(target.base);
        self.require_updated(target.requirement, target.named, &base);
        self.require_updated(target.of_view, shown, set);
        let filter = match condition {
            Some(condition) => Some(self.in_level(Clause::Where, inner.depth, |binder| {
                let bound = binder.bind_expr(condition, &inner)?;
                binder.coerce_to_boolean(bound, "WHERE", condition.pos())
            })?),
            None => None,
        };
        Ok((assignments, filter))
    }
}

fn class_with_oid(oid: Oid) -> Option<&'static OperatorClass> {
    ochre_expr::operator_classes().iter().find(|class| class.oid == oid)
}

/// An index, and those like it that are not valid yet, or no more: REINDEX CONCURRENTLY has two of one kind for a while.
fn with_twins(table: &RelationDescriptor, oid: Oid) -> Vec<Oid> {
    let Some(index) = table.indexes.iter().find(|index| index.oid == oid) else { return vec![oid] };
    let alike = |other: &&Arc<IndexDescriptor>| {
        let keys = |index: &IndexDescriptor| -> Vec<(i16, Option<Arc<str>>)> {
            index.keys.iter().map(|key| (key.number, key.expression.clone())).collect()
        };
        other.oid == oid
            || (other.ready
                && !other.valid
                && other.unique
                && other.predicate == index.predicate
                && keys(other) == keys(index))
    };
    table.indexes.iter().filter(alike).map(|index| index.oid).collect()
}
