//! INSERT, UPDATE, DELETE, ON CONFLICT, and what MERGE shares with them.

use std::borrow::Cow;
use std::sync::Arc;

use ochre_base::{Error, Result, SqlState};
use ochre_catalog::authority::Privileges;
use ochre_catalog::{ColumnDescriptor, GeneratedKind, IdentityKind, RelationDescriptor, RelationKind};
use ochre_expr::Expr;
use ochre_parser::ast::{self, Pos};
use ochre_types::{Datum, SqlType};

use super::ddl::RowExpression;
use super::from::not_opened;
use super::level::Clause;
use super::on_conflict::ConflictTarget;
use super::returning::ReturningRows;
use super::scope::{HiddenRelation, ItemColumns, RelationName, Scope, ScopeItem};
use super::select::{collect_predicates, filter, project_sets};
use super::updatable::{BaseOfView, Change, Verb};
use super::{Binder, stored_text};
use crate::logical::{
    ColumnId, Join, JoinKind, Logical, LogicalConflict, Modify, Query, TableId, TargetRules,
};
use crate::physical::{CommandKind, OutputColumn, RelationAccess, ScanColumn};

/// The target of a change as its statement names it.
#[derive(Clone, Copy)]
pub(super) struct InsertShape<'a> {
    /// The base table under the names of the view.
    pub table: &'a RelationDescriptor,
    pub view: Option<&'a Arc<RelationDescriptor>>,
    /// For each column of the view its position in the base.
    pub positions: &'a [Option<usize>],
}

/// The table that a statement changes.
pub(super) struct BoundTarget {
    /// The base table.
    pub table: Arc<RelationDescriptor>,
    /// The view that is named.
    pub view: Option<Arc<RelationDescriptor>>,
    /// What inherits from the table does not take part.
    pub only: bool,
    /// The requirements of the base table and of the view.
    pub requirement: Option<usize>,
    pub of_view: Option<usize>,
}

impl Binder<'_> {
    /// The table that a statement changes.
    pub(super) fn bind_target(
        &mut self,
        target: &ast::Relation,
        access: RelationAccess,
        verb: Verb,
    ) -> Result<BoundTarget> {
        let ast::Relation { name, only } = target;
        let mut only = *only;
        let mut table = self.find_relation(name, name.pos)?;
        let mut view = None;
        let flag = |on: bool, privilege| if on { privilege } else { Privileges::NONE };
        let changes = flag(access.insert, Privileges::INSERT)
            .with(flag(access.update, Privileges::UPDATE))
            .with(flag(access.delete, Privileges::DELETE));
        let around = self.checked_as;
        let mut of_view = None;
        if table.kind == RelationKind::View && !table.builtin {
            self.use_relation(&table, access);
            of_view = self.require(&table, changes);
            let BaseOfView { base, only: only_base, through } = self.base_of_view(&table, verb)?;
            let reads = verb.change != Change::Insert || verb.merge;
            if reads && through.iter().chain([&table]).any(|view| super::requirements::is_barrier(view)) {
                return Err(Error::unsupported(format_args!(
                    "{} of a view with security_barrier",
                    verb.command()
                )));
            }
            self.checked_as = self.checker_of(&table);
            for inner in through {
                // Whose columns are meant is not followed through views upon views: all of them must be allowed.
                let requirement = self.require(&inner, changes);
                let all: Vec<i16> = inner.live_columns().map(|column| column.number).collect();
                self.require_written(requirement, &all, false);
                self.require_written(requirement, &all, true);
                self.checked_as = self.checker_of(&inner);
            }
            only = only_base;
            view = Some(std::mem::replace(&mut table, base));
        }
        let requirement = self.require(&table, changes);
        self.checked_as = around;
        let wrong = |hint: Option<&str>, message: String| {
            let error = Error::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message);
            let error = match hint {
                Some(hint) => error.hint(hint),
                None => error,
            };
            Err(error)
        };
        let no_merge = |kind: &str| {
            let message = format!("cannot execute MERGE on relation \"{}\"", table.name);
            let detail = format!("This operation is not supported for {kind}.");
            Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message).detail(detail))
        };
        match table.kind {
            RelationKind::Table | RelationKind::PartitionedTable => {}
            RelationKind::MaterializedView if verb.merge => return no_merge("materialized views"),
            RelationKind::Sequence if verb.merge => return no_merge("sequences"),
            RelationKind::View => {
                return Err(Error::unsupported(format_args!(
                    "{} of view \"{}\"",
                    verb.command(),
                    table.name
                )));
            }
            RelationKind::MaterializedView => {
                return Err(Error::new(
                    SqlState::WRONG_OBJECT_TYPE,
                    format!("cannot change materialized view \"{}\"", table.name),
                ));
            }
            RelationKind::Sequence => {
                return Err(Error::new(
                    SqlState::WRONG_OBJECT_TYPE,
                    format!("cannot change sequence \"{}\"", table.name),
                ));
            }
            RelationKind::Index | RelationKind::PartitionedIndex | RelationKind::CompositeType => {
                return Err(self.at(not_opened(&table), name.pos));
            }
        }
        if table.builtin {
            return wrong(None, format!("permission denied: \"{}\" is a system catalog", table.name))
                .map_err(|mut error| {
                    error.fields_mut().sqlstate = SqlState::INSUFFICIENT_PRIVILEGE;
                    error
                });
        }
        // Rows are added to the table alone, or where it has them go.
        let adds = access.insert && table.kind == RelationKind::Table;
        self.use_set(&table, only || adds && !access.update && !access.delete, access);
        Ok(BoundTarget { table, view, only, requirement, of_view })
    }

    /// The position of a target column.
    fn target_column(&self, table: &RelationDescriptor, target: &ast::AssignTarget) -> Result<usize> {
        let found = table
            .columns
            .iter()
            .position(|column| !column.dropped && *column.name == *target.column.as_str());
        if let Some(position) = found {
            return Ok(position);
        }
        if super::system_column(&target.column).is_some() {
            let error = Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                format!("cannot assign to system column \"{}\"", target.column),
            );
            return Err(self.at(error, target.pos));
        }
        let error = Error::new(
            SqlState::UNDEFINED_COLUMN,
            format!("column \"{}\" of relation \"{}\" does not exist", target.column, table.name),
        );
        Err(self.at(error, target.pos))
    }

    /// Binds INSERT.
    pub(crate) fn bind_insert(&mut self, insert: &ast::InsertStmt, scope: &Scope<'_>) -> Result<Modify> {
        let mut scope = scope.clone();
        if let Some(with) = &insert.with {
            scope.ctes = self.bind_with(with, &scope.clone())?;
        }
        let access = RelationAccess { insert: true, ..RelationAccess::default() };
        let named = ast::Relation { name: insert.table.clone(), only: false };
        let BoundTarget { table: base, view, requirement, of_view, .. } =
            self.bind_target(&named, access, Verb::INSERT)?;
        let shown = view.as_ref().unwrap_or(&base);
        let name = self.relation_name(shown, insert.alias.as_ref().map(|alias| alias.as_str()));
        let target = self.add_table(Arc::clone(&base), Arc::clone(&name.alias));
        let image = self.add_table(Arc::clone(&base), Arc::clone(&name.alias));
        // The base table under the view's names of its columns.
        let mut table = Arc::clone(&base);
        let mut expanded = None;
        let mut positions = Vec::new();
        if let Some(view) = &view {
            let columns = self.expand_view(view, image, scope.depth, Verb::INSERT)?;
            (table, positions) = self.renamed_base(&base, image, &columns);
            expanded = Some(columns);
        }
        let rows = match insert.source.as_ref().map(|select| &select.body) {
            Some(ast::SelectBody::Values(rows)) => self.expand_insert_rows(rows, &scope)?,
            _ => Cow::Borrowed(&[][..]),
        };
        let given = insert.source.as_ref().map_or(0, |select| match &select.body {
            ast::SelectBody::Values(_) => rows.first().map_or(0, Vec::len),
            _ => positions.len(),
        });
        let shape = InsertShape { table: &table, view: view.as_ref(), positions: &positions };
        let targets = self.insert_targets(shape, &insert.columns, given, Verb::INSERT)?;
        if let Some(view) = &view {
            self.check_view_defaults(view, &positions)?;
        }
        let explicit = !insert.columns.is_empty();
        let written = match (&insert.source, explicit) {
            (None, _) => 0,
            (Some(_), true) => targets.len(),
            (Some(select), false) => match &select.body {
                ast::SelectBody::Values(_) => given.min(targets.len()),
                _ => targets.len(),
            },
        };
        self.require_inserted(requirement, of_view, shape, &insert.columns, &targets[..written]);
        let query = match &insert.source {
            None => self.insert_rows(&table, &targets, &[Vec::new()], explicit, insert, &scope)?,
            Some(select) => match &select.body {
                ast::SelectBody::Values(_)
                    if select.with.is_none() && select.order_by.is_empty() && select.limit.is_none() =>
                {
                    self.insert_rows(&table, &targets, &rows, explicit, insert, &scope)?
                }
                _ => self.insert_query(&table, &targets, select, explicit, insert, &scope)?,
            },
        };
        let mut rules = self.bind_rules(&base)?;
        if let Some(expanded) = &expanded {
            rules.view_checks = self.view_checks(expanded, image)?;
        }
        let mut excluded = None;
        let on_conflict = match &insert.on_conflict {
            Some(clause) => {
                let id = self.add_table(Arc::clone(&base), "excluded".into());
                excluded = Some(id);
                self.tables[id].requirement = requirement;
                self.tables[target].requirement = requirement;
                let target = ConflictTarget {
                    base: &base,
                    named: &table,
                    view: view.as_ref(),
                    positions: &positions,
                    existing: target,
                    excluded: id,
                    name: &name,
                    requirement,
                    of_view,
                };
                Some(self.bind_on_conflict(clause, &target, &scope)?)
            }
            None => None,
        };
        let old = self.add_table(Arc::clone(&base), Arc::clone(&name.alias));
        for table in [image, old] {
            self.tables[table].requirement = requirement;
        }
        let rows =
            ReturningRows { image, old, new: image, others: Vec::new(), merge: None, requirement: of_view };
        if matches!(&on_conflict, Some(LogicalConflict { update: Some(_), .. })) {
            scope.hidden.push(HiddenRelation { name: "excluded".into(), for_lateral: false });
        }
        let returning = self.bind_returning(insert.returning.as_ref(), rows, &name, &scope, view.as_ref())?;
        Ok(Modify {
            command: CommandKind::Insert,
            target,
            source: query,
            row_id: None,
            table_oid: None,
            predicates: Vec::new(),
            assignments: Vec::new(),
            on_conflict,
            returning,
            image,
            counterpart: Some(old),
            merge: None,
            excluded,
            rules,
        })
    }

    /// The positions that an INSERT's values go to; `given` is how many values there are.
    pub(super) fn insert_targets(
        &self,
        shape: InsertShape<'_>,
        columns: &[ast::AssignTarget],
        given: usize,
        verb: Verb,
    ) -> Result<Vec<usize>> {
        let InsertShape { table, view, positions } = shape;
        let mut targets: Vec<usize> = Vec::with_capacity(table.columns.len());
        for target in columns {
            let position = match self.view_column(shape, target, verb)? {
                Some(position) => position,
                None => self.target_column(table, target)?,
            };
            let mut others = columns.iter().zip(&targets).filter(|(_, known)| **known == position);
            // Parts of a column come one after the other.
            let is_twice = |other: &ast::AssignTarget| {
                other.column == target.column
                    && (target.indirection.is_empty() || other.indirection.is_empty())
            };
            if others.any(|(other, _)| is_twice(other)) {
                let error = Error::new(
                    SqlState::DUPLICATE_COLUMN,
                    format!("column \"{}\" specified more than once", target.column),
                );
                return Err(self.at(error, target.pos));
            }
            targets.push(position);
        }
        if !columns.is_empty() {
            return Ok(targets);
        }
        match view {
            Some(view) => {
                for (column, position) in view.live_columns().zip(positions).take(given) {
                    match position {
                        Some(position) => targets.push(*position),
                        None => return Err(super::updatable::column_not_updatable(view, &column.name, verb)),
                    }
                }
            }
            None => {
                let live = table.columns.iter().enumerate().filter(|(_, column)| !column.dropped);
                targets.extend(live.map(|(position, _)| position));
            }
        }
        Ok(targets)
    }

    /// The rows of VALUES with whole rows among their cells expanded.
    fn expand_insert_rows<'r>(
        &mut self,
        rows: &'r [Vec<ast::Expr>],
        scope: &Scope<'_>,
    ) -> Result<Cow<'r, [Vec<ast::Expr>]>> {
        let inner = Scope { parent: scope.parent, ..scope.child() };
        self.in_level(Clause::InsertValues, inner.depth, |binder| {
            let mut changed: Option<Vec<Vec<ast::Expr>>> = None;
            for (i, row) in rows.iter().enumerate() {
                match binder.expand_cells(row, &inner)? {
                    Cow::Owned(cells) => changed.get_or_insert_with(|| rows[..i].to_vec()).push(cells),
                    Cow::Borrowed(cells) => changed.iter_mut().for_each(|rows| rows.push(cells.to_vec())),
                }
            }
            Ok(changed.map_or(Cow::Borrowed(rows), Cow::Owned))
        })
    }

    /// `INSERT … VALUES` and DEFAULT VALUES: complete rows.
    fn insert_rows(
        &mut self,
        table: &Arc<RelationDescriptor>,
        targets: &[usize],
        rows: &[Vec<ast::Expr>],
        explicit: bool,
        insert: &ast::InsertStmt,
        scope: &Scope<'_>,
    ) -> Result<Query> {
        let inner = scope.child();
        let inner = Scope { parent: scope.parent, ..inner };
        self.enter_level(Clause::InsertValues, inner.depth);
        if rows.len() > 1 {
            self.level()?.no_sets = Some("VALUES");
        }
        let result = self.insert_rows_inner(table, targets, rows, explicit, insert, &inner);
        let level = self.levels.pop().ok_or_else(|| Error::internal("no query is being bound"))?;
        let rows = result?;
        let mut columns = Vec::with_capacity(table.columns.len());
        let mut output = Vec::with_capacity(table.columns.len());
        for column in &table.columns {
            let id = self.new_column(Arc::clone(&column.name), column.ty, inner.depth);
            columns.push(id);
            output.push((id, OutputColumn { name: Arc::clone(&column.name), ty: column.ty, origin: None }));
        }
        // A row with sets, which is the only one, is a select list.
        if !level.sets.is_empty() {
            let items = columns.into_iter().zip(rows.into_iter().flatten()).collect();
            let sets = project_sets(Logical::Dummy { row: true }, level.sets);
            return Ok(Query { plan: Logical::Project { input: Box::new(sets), items }, output });
        }
        let plan = Logical::Values { rows, columns, alias: "*VALUES*".into() };
        Ok(Query { plan, output })
    }

    fn insert_rows_inner(
        &mut self,
        table: &Arc<RelationDescriptor>,
        targets: &[usize],
        rows: &[Vec<ast::Expr>],
        explicit: bool,
        insert: &ast::InsertStmt,
        scope: &Scope<'_>,
    ) -> Result<Vec<Vec<Expr>>> {
        let mut bound = Vec::with_capacity(rows.len());
        let columns = explicit.then_some(insert.columns.as_slice());
        for cells in rows {
            if insert.source.is_some() && cells.len() == rows[0].len() || rows.len() == 1 {
                let columns = columns.filter(|_| insert.source.is_some());
                bound.push(self.bind_insert_row(table, targets, columns, cells, insert.overriding, scope)?);
                continue;
            }
            let error = Error::new(SqlState::SYNTAX_ERROR, "VALUES lists must all be the same length");
            return Err(self.at(error, cells.first().map_or(Pos::NONE, ast::Expr::pos)));
        }
        Ok(bound)
    }

    /// One row of an INSERT; `columns` are those that the statement names.
    pub(super) fn bind_insert_row(
        &mut self,
        table: &Arc<RelationDescriptor>,
        targets: &[usize],
        columns: Option<&[ast::AssignTarget]>,
        cells: &[ast::Expr],
        overriding: ast::Overriding,
        scope: &Scope<'_>,
    ) -> Result<Vec<Expr>> {
        if cells.len() > targets.len() {
            let error = Error::new(SqlState::SYNTAX_ERROR, "INSERT has more expressions than target columns");
            return Err(self.at(error, cells[targets.len()].pos()));
        }
        if let Some(columns) = columns.filter(|columns| cells.len() < columns.len()) {
            let error = Error::new(SqlState::SYNTAX_ERROR, "INSERT has more target columns than expressions");
            return Err(self.at(error, columns[cells.len()].pos));
        }
        let mut row: Vec<Option<Expr>> = vec![None; table.columns.len()];
        for (i, (cell, position)) in cells.iter().zip(targets).enumerate() {
            let column = &table.columns[*position];
            let part = columns.map_or(&[][..], |columns| &columns[i].indirection);
            if matches!(cell, ast::Expr::Default(_)) {
                self.check_default_of_part(part, cell.pos())?;
                continue;
            }
            if self.ignores_given_value(column, overriding)? {
                continue;
            }
            // A view may show a column twice.
            if part.is_empty() && row[*position].is_some() {
                return Err(assigned_twice(&column.name));
            }
            let expr = self.bind_expr(cell, scope)?;
            row[*position] = Some(match part.is_empty() {
                true => self.assign(expr, &column.name, column.ty, cell.pos(), RowExpression::Generated)?,
                false => {
                    let base = row[*position].take().unwrap_or_else(|| Expr::null(column.ty));
                    self.assign_part(base, part, expr, &column.name, cell.pos(), scope)?
                }
            });
        }
        self.complete_row(table, row)
    }

    /// 0A000 for DEFAULT as the value of a part of a column.
    fn check_default_of_part(&self, part: &[ast::Indirection], pos: Pos) -> Result<()> {
        let message = match part.first() {
            None => return Ok(()),
            Some(ast::Indirection::Field(..) | ast::Indirection::Star(_)) => {
                "cannot set a subfield to DEFAULT"
            }
            Some(_) => "cannot set an array element to DEFAULT",
        };
        Err(self.at(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message), pos))
    }

    /// Whether a given value for the column is to be left out (OVERRIDING USER VALUE); an error where it is not allowed.
    fn ignores_given_value(&self, column: &ColumnDescriptor, overriding: ast::Overriding) -> Result<bool> {
        if column.generated.is_some() {
            return Err(Error::new(
                SqlState::GENERATED_ALWAYS,
                format!("cannot insert a non-DEFAULT value into column \"{}\"", column.name),
            )
            .detail(format!("Column \"{}\" is a generated column.", column.name)));
        }
        match (column.identity, overriding) {
            (Some(_), ast::Overriding::User) => Ok(true),
            (Some(IdentityKind::Always), ast::Overriding::None) => Err(Error::new(
                SqlState::GENERATED_ALWAYS,
                format!("cannot insert a non-DEFAULT value into column \"{}\"", column.name),
            )
            .detail(format!("Column \"{}\" is an identity column defined as GENERATED ALWAYS.", column.name))
            .hint("Use OVERRIDING SYSTEM VALUE to override.")),
            _ => Ok(false),
        }
    }

    /// Fills in defaults.
    fn complete_row(&mut self, table: &Arc<RelationDescriptor>, row: Vec<Option<Expr>>) -> Result<Vec<Expr>> {
        let mut complete = Vec::with_capacity(row.len());
        for (position, value) in row.into_iter().enumerate() {
            complete.push(match value {
                Some(value) => value,
                None => self.bind_default(table, position)?,
            });
        }
        Ok(complete)
    }

    /// The default of a column: its expression, its identity's next value, or NULL.
    pub(crate) fn bind_default(&mut self, table: &Arc<RelationDescriptor>, position: usize) -> Result<Expr> {
        let column = &table.columns[position];
        if column.dropped || column.generated.is_some() {
            return Ok(Expr::null(column.ty));
        }
        if let Some((_, text)) = &column.default {
            let parsed = stored_text::expression(text)?;
            return self.without_positions(|binder| {
                let target = Some((&*column.name, column.ty));
                binder.bind_row_expression(table, &parsed, RowExpression::Default, target)
            });
        }
        if column.identity.is_some() {
            let owned = Some((table.oid, column.number));
            let sequence = self.catalog.relations().find(|relation| {
                relation.sequence.as_ref().is_some_and(|s| s.identity && s.owned_by == owned)
            });
            let Some(sequence) = sequence else {
                return Err(Error::internal(format!(
                    "no owned sequence found for column \"{}\" of relation \"{}\"",
                    column.name, table.name
                )));
            };
            let argument = Expr::constant(Datum::UInt32(sequence.oid.0), SqlType::REGCLASS);
            let call = Expr::call(ochre_expr::identity_function(), vec![argument], SqlType::INT8);
            return self.assign(call, &column.name, column.ty, Pos::NONE, RowExpression::Default);
        }
        Ok(Expr::null(column.ty))
    }

    /// `INSERT … SELECT`.
    fn insert_query(
        &mut self,
        table: &Arc<RelationDescriptor>,
        targets: &[usize],
        select: &ast::SelectStmt,
        explicit: bool,
        insert: &ast::InsertStmt,
        scope: &Scope<'_>,
    ) -> Result<Query> {
        let mut inner = scope.child();
        inner.parent = scope.parent;
        let mut query = self.bind_query_with(select, &inner, false)?;
        if query.output.len() > targets.len() {
            let error = Error::new(SqlState::SYNTAX_ERROR, "INSERT has more expressions than target columns");
            return Err(self.at(error, insert_position(select, targets.len())));
        }
        if query.output.len() < targets.len() && explicit {
            let error = Error::new(SqlState::SYNTAX_ERROR, "INSERT has more target columns than expressions");
            return Err(self.at(error, insert.columns[query.output.len()].pos));
        }
        let mut row: Vec<Option<Expr>> = vec![None; table.columns.len()];
        for (i, position) in targets.iter().enumerate().take(query.output.len()) {
            let column = &table.columns[*position];
            if self.ignores_given_value(column, insert.overriding)? {
                continue;
            }
            let pos = insert_position(select, i);
            let part = if explicit { insert.columns[i].indirection.as_slice() } else { &[] };
            if part.is_empty() && row[*position].is_some() {
                return Err(assigned_twice(&column.name));
            }
            // Literals of the select list take the column's type.
            if query.output[i].1.ty == SqlType::UNKNOWN {
                let mut types: Vec<SqlType> = query.output.iter().map(|(_, output)| output.ty).collect();
                types[i] = self.part_type(column.ty, part, &column.name, pos)?;
                self.coerce_output(&mut query, &types, "INSERT", pos, super::CoercionContext::Assignment)?;
            }
            let (id, output) = &query.output[i];
            let expr = Expr::Column { index: *id, ty: output.ty };
            row[*position] = Some(match part.is_empty() {
                true => self.assign(expr, &column.name, column.ty, pos, RowExpression::Generated)?,
                false => {
                    let base = row[*position].take().unwrap_or_else(|| Expr::null(column.ty));
                    self.assign_part(base, part, expr, &column.name, pos, &inner)?
                }
            });
        }
        let complete = self.complete_row(table, row)?;
        let mut items = Vec::with_capacity(complete.len());
        let mut output = Vec::with_capacity(complete.len());
        for (column, expr) in table.columns.iter().zip(complete) {
            let id = self.new_column(Arc::clone(&column.name), column.ty, inner.depth);
            items.push((id, expr));
            output.push((id, OutputColumn { name: Arc::clone(&column.name), ty: column.ty, origin: None }));
        }
        Ok(Query { plan: Logical::Project { input: Box::new(query.plan), items }, output })
    }

    /// What a new row of the table must satisfy.
    pub(super) fn bind_rules(&mut self, table: &Arc<RelationDescriptor>) -> Result<TargetRules> {
        let mut rules = TargetRules::default();
        for (position, column) in table.columns.iter().enumerate() {
            if column.dropped {
                continue;
            }
            if column.not_null {
                rules.not_null.push(position);
            }
            match column.generated {
                Some(GeneratedKind::Stored) => {
                    let Some((_, text)) = &column.default else { continue };
                    let parsed = stored_text::expression(text)?;
                    let target = Some((&*column.name, column.ty));
                    let expr = self.without_positions(|binder| {
                        binder.bind_row_expression(table, &parsed, RowExpression::Generated, target)
                    })?;
                    rules.generated.push((position, expr));
                }
                Some(GeneratedKind::Virtual) => {
                    return Err(Error::unsupported("a virtual generated column"));
                }
                None => {}
            }
        }
        for constraint in &table.constraints {
            if constraint.kind != ochre_catalog::ConstraintKind::Check || !constraint.enforced {
                continue;
            }
            let Some(text) = &constraint.expression else { continue };
            let parsed = stored_text::expression(text)?;
            let expr = self.without_positions(|binder| {
                binder.bind_row_expression(table, &parsed, RowExpression::Check, None)
            })?;
            rules.checks.push((Arc::clone(&constraint.name), expr));
        }
        rules.checks.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(rules)
    }

    /// SET: positions and values.
    pub(super) fn bind_assignments(
        &mut self,
        set: &[ast::Assignment],
        table: &Arc<RelationDescriptor>,
        target: TableId,
        scope: &Scope<'_>,
    ) -> Result<Vec<(usize, Expr)>> {
        let mut assignments: Vec<(usize, Expr)> = Vec::with_capacity(set.len());
        for item in set {
            match item {
                ast::Assignment::Single { target: to, value } => {
                    self.bind_assignment(to, value, table, target, scope, &mut assignments)?;
                }
                ast::Assignment::Multi { targets, source, pos } => match source {
                    ast::Expr::Row(row) => {
                        let values = self.expand_cells(&row.args, scope)?;
                        if values.len() != targets.len() {
                            let error = Error::new(
                                SqlState::SYNTAX_ERROR,
                                "number of columns does not match number of values",
                            );
                            return Err(self.at(error, *pos));
                        }
                        for (to, value) in targets.iter().zip(values.iter()) {
                            self.bind_assignment(to, value, table, target, scope, &mut assignments)?;
                        }
                    }
                    ast::Expr::Subquery(subquery) => {
                        let (plan, columns) = self.bind_subquery(&subquery.query, scope, subquery.pos)?;
                        if columns.len() != targets.len() {
                            let error = Error::new(
                                SqlState::SYNTAX_ERROR,
                                "number of columns does not match number of values",
                            );
                            return Err(self.at(error, *pos));
                        }
                        let row = Expr::SubPlan {
                            plan,
                            kind: ochre_expr::SubPlanKind::Row,
                            args: Vec::new(),
                            ty: SqlType::RECORD,
                        };
                        for (index, (to, column)) in targets.iter().zip(columns).enumerate() {
                            let value = Expr::Field { record: Box::new(row.clone()), index, ty: column.ty };
                            self.add_assignment(
                                to,
                                value,
                                subquery.pos,
                                table,
                                target,
                                scope,
                                &mut assignments,
                            )?;
                        }
                    }
                    other => {
                        let error = Error::new(
                            SqlState::FEATURE_NOT_SUPPORTED,
                            "source for a multiple-column UPDATE item must be a sub-SELECT or ROW() expression",
                        );
                        return Err(self.at(error, other.pos()));
                    }
                },
            }
        }
        // A column is assigned once as a whole, or by its parts.
        let mut seen: Vec<&ast::AssignTarget> = Vec::with_capacity(set.len());
        for to in set.iter().flat_map(assigned) {
            let is_other = |other: &&ast::AssignTarget| {
                other.column == to.column && (other.indirection.is_empty() || to.indirection.is_empty())
            };
            if seen.iter().any(is_other) {
                return Err(assigned_twice(&to.column));
            }
            seen.push(to);
        }
        Ok(assignments)
    }

    fn bind_assignment(
        &mut self,
        to: &ast::AssignTarget,
        value: &ast::Expr,
        table: &Arc<RelationDescriptor>,
        target: TableId,
        scope: &Scope<'_>,
        assignments: &mut Vec<(usize, Expr)>,
    ) -> Result<()> {
        let position = self.target_column(table, to)?;
        if matches!(value, ast::Expr::Default(_)) {
            self.check_default_of_part(&to.indirection, value.pos())?;
            if table.columns[position].generated.is_some() {
                return Ok(());
            }
            // Of a view the defaults that it gives its columns count; those of its table are for new rows alone. The table under
            // the names of a view is a copy of it, with the view's defaults.
            let base = &self.tables[target].table;
            let oid_in =
                |table: &RelationDescriptor| table.columns[position].default.as_ref().map(|(oid, _)| *oid);
            let default = match !Arc::ptr_eq(table, base) && oid_in(table) == oid_in(base) {
                true => Expr::null(table.columns[position].ty),
                false => self.bind_default(table, position)?,
            };
            assignments.push((position, default));
            return Ok(());
        }
        let bound = self.bind_expr(value, scope)?;
        self.add_assignment(to, bound, value.pos(), table, target, scope, assignments)
    }

    #[allow(clippy::too_many_arguments, reason = "the facts of one assignment")]
    fn add_assignment(
        &mut self,
        to: &ast::AssignTarget,
        value: Expr,
        pos: Pos,
        table: &Arc<RelationDescriptor>,
        target: TableId,
        scope: &Scope<'_>,
        assignments: &mut Vec<(usize, Expr)>,
    ) -> Result<()> {
        let position = self.target_column(table, to)?;
        let column = &table.columns[position];
        if column.generated.is_some() {
            return Err(Error::new(
                SqlState::GENERATED_ALWAYS,
                format!("column \"{}\" can only be updated to DEFAULT", column.name),
            )
            .detail(format!("Column \"{}\" is a generated column.", column.name)));
        }
        if column.identity == Some(IdentityKind::Always) {
            return Err(Error::new(
                SqlState::GENERATED_ALWAYS,
                format!("column \"{}\" can only be updated to DEFAULT", column.name),
            )
            .detail(format!(
                "Column \"{}\" is an identity column defined as GENERATED ALWAYS.",
                column.name
            )));
        }
        if to.indirection.is_empty() {
            let value = self.assign(value, &column.name, column.ty, pos, RowExpression::Generated)?;
            assignments.push((position, value));
            return Ok(());
        }
        // Several parts of one column may be assigned, each on top of the last.
        let earlier = assignments.iter().position(|(known, _)| *known == position);
        let base = match earlier {
            Some(index) => assignments[index].1.clone(),
            None => {
                let id = self.table_column(target, ScanColumn::Table(position), scope.depth);
                self.column_expr(id)
            }
        };
        let value = self.assign_part(base, &to.indirection, value, &column.name, pos, scope)?;
        match earlier {
            Some(index) => assignments[index].1 = value,
            None => assignments.push((position, value)),
        }
        Ok(())
    }

    /// Binds UPDATE.
    pub(crate) fn bind_update(&mut self, update: &ast::UpdateStmt, scope: &Scope<'_>) -> Result<Modify> {
        let mut outer = scope.clone();
        if let Some(with) = &update.with {
            outer.ctes = self.bind_with(with, scope)?;
        }
        let access = RelationAccess { update: true, select: true, ..RelationAccess::default() };
        let BoundTarget { table, view, only, requirement, of_view } =
            self.bind_target(&update.table, access, Verb::UPDATE)?;
        let shown = view.as_ref().unwrap_or(&table);
        let name = self.relation_name(shown, update.alias.as_ref().map(|alias| alias.as_str()));
        let target = self.add_set(Arc::clone(&table), Arc::clone(&name.alias), only);
        self.tables[target].requirement = requirement;
        let (mut inner, mut plan) = self.bind_modified_rows(target, &name, &update.from, &outer)?;
        let mut named = Arc::clone(&table);
        let mut set = Cow::Borrowed(update.set.as_slice());
        if let Some(view) = &view {
            let expanded = self.expand_view(view, target, inner.depth, Verb::UPDATE)?;
            let positions;
            (named, positions) = self.renamed_base(&table, target, &expanded);
            let shape = InsertShape { table: &named, view: Some(view), positions: &positions };
            set = self.base_assignments(shape, &update.set, Verb::UPDATE)?;
            plan = filter(plan, expanded.predicates());
            inner.items[0].columns = ItemColumns::Listed(expanded.columns);
            inner.items[0].requirement = of_view;
        }
        let assignments = self.in_level(Clause::UpdateSet, inner.depth, |binder| {
            binder.bind_assignments(&set, &named, target, &inner)
        })?;
        self.require_updated(requirement, &named, &set);
        self.require_updated(of_view, view.as_ref().unwrap_or(&table), &update.set);
        plan = self.bind_modified_where(plan, update.where_clause.as_ref(), &inner)?;
        let image = self.add_table(Arc::clone(&table), Arc::clone(&name.alias));
        let others = inner.items[1..].to_vec();
        self.tables[image].requirement = requirement;
        let rows =
            ReturningRows { image, old: target, new: image, others, merge: None, requirement: of_view };
        let returning = self.bind_returning(update.returning.as_ref(), rows, &name, &outer, view.as_ref())?;
        let mut rules = self.bind_rules(&table)?;
        if let Some(view) = &view {
            let expanded = self.expand_view(view, image, inner.depth, Verb::UPDATE)?;
            rules.view_checks = self.view_checks(&expanded, image)?;
        }
        // Every old value is part of the row to write.
        for position in 0..table.columns.len() {
            if !table.columns[position].dropped {
                self.table_column(target, ScanColumn::Table(position), inner.depth);
            }
        }
        self.finish_modify(
            CommandKind::Update,
            target,
            plan,
            assignments,
            returning,
            image,
            rules,
            inner.depth,
        )
    }

    /// Binds DELETE.
    pub(crate) fn bind_delete(&mut self, delete: &ast::DeleteStmt, scope: &Scope<'_>) -> Result<Modify> {
        let mut outer = scope.clone();
        if let Some(with) = &delete.with {
            outer.ctes = self.bind_with(with, scope)?;
        }
        let access = RelationAccess { delete: true, select: true, ..RelationAccess::default() };
        let BoundTarget { table, view, only, requirement, of_view } =
            self.bind_target(&delete.table, access, Verb::DELETE)?;
        let shown = view.as_ref().unwrap_or(&table);
        let name = self.relation_name(shown, delete.alias.as_ref().map(|alias| alias.as_str()));
        let target = self.add_set(Arc::clone(&table), Arc::clone(&name.alias), only);
        self.tables[target].requirement = requirement;
        let (mut inner, mut plan) = self.bind_modified_rows(target, &name, &delete.using, &outer)?;
        if let Some(view) = &view {
            let expanded = self.expand_view(view, target, inner.depth, Verb::DELETE)?;
            plan = filter(plan, expanded.predicates());
            inner.items[0].columns = ItemColumns::Listed(expanded.columns);
            inner.items[0].requirement = of_view;
        }
        plan = self.bind_modified_where(plan, delete.where_clause.as_ref(), &inner)?;
        // RETURNING reads the old row, which is the source's.
        let others = inner.items[1..].to_vec();
        let new = self.add_table(Arc::clone(&table), Arc::clone(&name.alias));
        self.tables[new].requirement = requirement;
        let rows =
            ReturningRows { image: target, old: target, new, others, merge: None, requirement: of_view };
        let returning = self.bind_returning(delete.returning.as_ref(), rows, &name, &outer, view.as_ref())?;
        let modify = self.finish_modify(
            CommandKind::Delete,
            target,
            plan,
            Vec::new(),
            returning,
            target,
            TargetRules::default(),
            inner.depth,
        )?;
        Ok(Modify { counterpart: Some(new), ..modify })
    }

    /// The rows to change: the target joined with FROM or USING.
    fn bind_modified_rows<'s>(
        &mut self,
        target: TableId,
        name: &RelationName,
        from: &[ast::FromItem],
        outer: &Scope<'s>,
    ) -> Result<(Scope<'s>, Logical)> {
        let mut inner = outer.clone();
        let item = ScopeItem::of_relation(name, ItemColumns::Table(target));
        // FROM stands beside the target, and does not see it even with LATERAL.
        inner.items =
            vec![ScopeItem { lateral_only: true, lateral_forbidden: true, is_target: true, ..item.clone() }];
        self.enter_level(Clause::From, inner.depth);
        let plan = self.bind_from(from, &mut inner);
        self.leave_level()?;
        let plan = plan?;
        inner.items[0] = item;
        let plan = match plan {
            Logical::Dummy { row: true } if from.is_empty() => Logical::Get(target),
            right => Logical::Join(Box::new(Join {
                kind: JoinKind::Inner,
                left: Logical::Get(target),
                right,
                on: Vec::new(),
                lateral: false,
            })),
        };
        Ok((inner, plan))
    }

    fn bind_modified_where(
        &mut self,
        plan: Logical,
        condition: Option<&ast::Expr>,
        scope: &Scope<'_>,
    ) -> Result<Logical> {
        let Some(condition) = condition else { return Ok(plan) };
        let bound = self.in_level(Clause::Where, scope.depth, |binder| {
            let bound = binder.bind_expr(condition, scope)?;
            binder.coerce_to_boolean(bound, "WHERE", condition.pos())
        })?;
        Ok(filter(plan, bound.conjuncts()))
    }

    #[allow(clippy::too_many_arguments, reason = "the parts of a statement on their way to a plan")]
    pub(super) fn finish_modify(
        &mut self,
        command: CommandKind,
        target: TableId,
        plan: Logical,
        assignments: Vec<(usize, Expr)>,
        returning: Option<Vec<(Expr, OutputColumn)>>,
        image: TableId,
        rules: TargetRules,
        depth: u32,
    ) -> Result<Modify> {
        let row_id = self.table_column(target, ScanColumn::RowId, depth);
        let table_oid = self.set_column(target, depth);
        let mut predicates = Vec::new();
        collect_predicates(&plan, &mut predicates);
        let output: Vec<(ColumnId, OutputColumn)> = self.tables[target]
            .columns
            .iter()
            .map(|(_, id)| {
                let info = &self.columns[*id];
                (*id, OutputColumn { name: Arc::clone(&info.name), ty: info.ty, origin: info.origin })
            })
            .collect();
        Ok(Modify {
            command,
            target,
            source: Query { plan, output },
            row_id: Some(row_id),
            table_oid,
            predicates,
            assignments,
            on_conflict: None,
            returning,
            image,
            counterpart: None,
            merge: None,
            excluded: None,
            rules,
        })
    }

    /// Notes which columns an INSERT gives values for.
    pub(super) fn require_inserted(
        &mut self,
        requirement: Option<usize>,
        of_view: Option<usize>,
        shape: InsertShape<'_>,
        columns: &[ast::AssignTarget],
        targets: &[usize],
    ) {
        let numbers: Vec<i16> =
            targets.iter().map(|position| shape.table.columns[*position].number).collect();
        self.require_written(requirement, &numbers, false);
        if let Some(view) = shape.view {
            let numbers: Vec<i16> = if columns.is_empty() {
                view.live_columns().take(targets.len()).map(|column| column.number).collect()
            } else {
                let named = columns.iter().filter_map(|to| view.column_named(&to.column));
                named.take(targets.len()).map(|column| column.number).collect()
            };
            self.require_written(of_view, &numbers, false);
        }
    }

    /// Notes which columns of a relation SET gives values for.
    pub(super) fn require_updated(
        &mut self,
        requirement: Option<usize>,
        relation: &RelationDescriptor,
        set: &[ast::Assignment],
    ) {
        for to in set.iter().flat_map(assigned) {
            let number = relation.column_named(&to.column).map(|column| column.number);
            self.require_written(requirement, number.as_slice(), true);
        }
    }

    /// The position in the base of a column of the view that a statement names; `None` when it names no column of a view.
    ///
    /// # Errors
    /// 0A000 for a column that is an expression.
    fn view_column(
        &self,
        shape: InsertShape<'_>,
        to: &ast::AssignTarget,
        verb: Verb,
    ) -> Result<Option<usize>> {
        let Some(view) = shape.view else { return Ok(None) };
        let mut columns = view.live_columns().zip(shape.positions);
        match columns.find(|(column, _)| *column.name == *to.column.as_str()) {
            Some((_, Some(position))) => Ok(Some(*position)),
            Some((_, None)) => Err(super::updatable::column_not_updatable(view, &to.column, verb)),
            None => Ok(None),
        }
    }

    /// SET of a view's columns under the names that the base has: one that the view shows twice has its first name.
    pub(super) fn base_assignments<'s>(
        &self,
        shape: InsertShape<'_>,
        set: &'s [ast::Assignment],
        verb: Verb,
    ) -> Result<Cow<'s, [ast::Assignment]>> {
        let mut renamed = false;
        let mut base = Cow::Borrowed(set);
        for (item, to) in
            set.iter().enumerate().flat_map(|(i, one)| assigned(one).iter().map(move |to| (i, to)))
        {
            let Some(position) = self.view_column(shape, to, verb)? else { continue };
            let name = &shape.table.columns[position].name;
            if **name == *to.column.as_str() {
                continue;
            }
            renamed = true;
            let targets = match &mut base.to_mut()[item] {
                ast::Assignment::Single { target, .. } => std::slice::from_mut(target),
                ast::Assignment::Multi { targets, .. } => targets.as_mut_slice(),
            };
            targets.iter_mut().filter(|other| other.column == to.column).for_each(|other| {
                other.column = ast::Name::from(&**name);
            });
        }
        debug_assert_eq!(renamed, matches!(base, Cow::Owned(_)));
        Ok(base)
    }

    /// 0A000 for a view's default of a column that is an expression: a new row cannot have it.
    fn check_view_defaults(&self, view: &RelationDescriptor, positions: &[Option<usize>]) -> Result<()> {
        let mut columns = view.live_columns().zip(positions);
        match columns.find(|(column, position)| column.default.is_some() && position.is_none()) {
            Some((column, _)) => {
                Err(super::updatable::column_not_updatable(view, &column.name, Verb::INSERT))
            }
            None => Ok(()),
        }
    }
}

/// 42601 for a column that is given two values.
#[cold]
fn assigned_twice(column: &str) -> Error {
    let message = format!("multiple assignments to same column \"{column}\"");
    Error::new(SqlState::SYNTAX_ERROR, message)
}

/// The columns that a part of SET gives values to.
pub(super) fn assigned(assignment: &ast::Assignment) -> &[ast::AssignTarget] {
    match assignment {
        ast::Assignment::Single { target, .. } => std::slice::from_ref(target),
        ast::Assignment::Multi { targets, .. } => targets,
    }
}

/// Where an error about column `index` of an INSERT's query points.
fn insert_position(select: &ast::SelectStmt, index: usize) -> Pos {
    match &select.body {
        ast::SelectBody::Select(core) => {
            core.targets.get(index).map_or(select.pos, |target| target.expr.pos())
        }
        _ => select.pos,
    }
}
