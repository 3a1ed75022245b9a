//! FROM: tables, views, WITH names, subqueries, functions, joins.

use std::sync::Arc;

use ochre_base::{Error, Result, SqlState};
use ochre_catalog::authority::Privileges;
use ochre_catalog::{RelationDescriptor, RelationKind};
use ochre_expr::{Expr, FunctionRef};
use ochre_parser::ast::{self, Pos};
use ochre_types::{PhysicalType, SqlType, oids};

use super::call::ResolvedCall;
use super::level::Clause;
use super::scope::{CteScope, CteTarget, ItemColumn, ItemColumns, ItemKind, RelationName, Scope, ScopeItem};
use super::{Binder, MAX_VIEW_DEPTH, stored_text};
use crate::logical::{
    ColumnId, Expansion, FromName, FunctionCall, FunctionGet, Join, JoinKind, Logical, LogicalBody,
    SampleGet, TableId, TableUse,
};
use crate::physical::{RelationAccess, SampleMethod, ScanColumn};

/// Names and types of a column definition list.
type NamedFields = Vec<(Arc<str>, SqlType)>;

/// A bound FROM item: its plan, the names it brings, and whether it may mention items to its left.
pub(crate) struct FromPart {
    pub plan: Logical,
    pub items: Vec<ScopeItem>,
    pub lateral: bool,
}

impl ScopeItem {
    /// A relation, or what stands for it.
    pub(crate) fn of_relation(name: &RelationName, columns: ItemColumns) -> ScopeItem {
        ScopeItem {
            schema: name.schema.clone(),
            ..ScopeItem::visible(Some(Arc::clone(&name.alias)), columns)
        }
    }

    /// Whether one qualifier would mean both. Two relations of one name in different namespaces do not clash.
    pub(crate) fn clashes(&self, other: &ScopeItem) -> bool {
        let differ = self.schema.is_some() && other.schema.is_some() && self.schema != other.schema;
        self.relation_visible
            && other.relation_visible
            && self.alias.is_some()
            && self.alias == other.alias
            && !differ
    }

    /// An item that is seen by its name and its columns.
    pub(crate) fn visible(alias: Option<Arc<str>>, columns: ItemColumns) -> ScopeItem {
        let table = match columns {
            ItemColumns::Table(table) => Some(table),
            ItemColumns::Listed(_) => None,
        };
        ScopeItem {
            alias,
            schema: None,
            columns,
            kind: if table.is_some() { ItemKind::Relation } else { ItemKind::Query },
            table,
            lifted: Vec::new(),
            columns_visible: true,
            relation_visible: true,
            lateral_only: false,
            lateral_forbidden: false,
            is_target: false,
            scalar_function: false,
            system_columns: true,
            row: None,
            requirement: None,
        }
    }
}

impl Binder<'_> {
    /// Binds a FROM list into a scope; without items the plan is one empty row.
    pub(crate) fn bind_from(&mut self, from: &[ast::FromItem], scope: &mut Scope<'_>) -> Result<Logical> {
        let mut plan: Option<Logical> = None;
        for item in from {
            let part = {
                let mut before = scope.clone();
                for seen in &mut before.items {
                    seen.lateral_only = true;
                }
                self.bind_from_item(item, &before)?
            };
            self.check_aliases(&scope.items, &part.items)?;
            scope.items.extend(part.items);
            plan = Some(match plan {
                None => part.plan,
                Some(left) => Logical::Join(Box::new(Join {
                    kind: JoinKind::Inner,
                    left,
                    right: part.plan,
                    on: Vec::new(),
                    lateral: part.lateral,
                })),
            });
        }
        Ok(plan.unwrap_or(Logical::Dummy { row: true }))
    }

    pub(super) fn check_aliases(&self, known: &[ScopeItem], new: &[ScopeItem]) -> Result<()> {
        match new.iter().find(|item| known.iter().any(|other| other.clashes(item))) {
            Some(twice) => Err(Error::new(
                SqlState::DUPLICATE_ALIAS,
                format!(
                    "table name \"{}\" specified more than once",
                    twice.alias.as_deref().unwrap_or_default()
                ),
            )),
            None => Ok(()),
        }
    }

    fn bind_from_item(&mut self, item: &ast::FromItem, scope: &Scope<'_>) -> Result<FromPart> {
        match item {
            ast::FromItem::Table(table) => self.bind_from_table(table, scope),
            ast::FromItem::Subquery(subquery) => self.bind_from_subquery(subquery, scope),
            ast::FromItem::Function(function) => self.bind_from_function(function, scope),
            ast::FromItem::Join(join) => stacker::maybe_grow(
                ochre_base::limits::STACK_RED_ZONE_BYTES,
                ochre_base::limits::STACK_GROWTH_BYTES,
                || self.bind_join(join, scope),
            ),
            ast::FromItem::XmlTable(_) => Err(Error::unsupported("XMLTABLE")),
            ast::FromItem::JsonTable(_) => Err(Error::unsupported("JSON_TABLE")),
        }
    }

    /// The relation that a name means.
    pub(crate) fn find_relation(&self, name: &ast::ObjectName, pos: Pos) -> Result<Arc<RelationDescriptor>> {
        if let Some(catalog) = name.catalog()
            && catalog.as_str() != self.session.database()
        {
            let error = Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                format!("cross-database references are not implemented: \"{name}\""),
            );
            return Err(self.at(error, pos));
        }
        if let Some(oid) = super::view::oid_name(name) {
            return self.find_by_oid(oid);
        }
        let found = match name.schema() {
            Some(schema) if schema.as_str() == "pg_temp" => self
                .catalog
                .temporary_namespace(self.search_path)
                .and_then(|namespace| self.catalog.relation_in(namespace, name.name())),
            Some(schema) => match self.catalog.namespace_named(schema).map(|namespace| namespace.oid) {
                Some(namespace) => {
                    self.use_namespace(namespace, pos)?;
                    self.catalog.relation_in(namespace, name.name())
                }
                None => None,
            },
            None => self.catalog.find_relation(self.search_path, name.name()),
        };
        match found {
            Some(relation) => Ok(Arc::clone(relation)),
            None => {
                let error =
                    Error::new(SqlState::UNDEFINED_TABLE, format!("relation \"{name}\" does not exist"));
                Err(self.at(error, pos))
            }
        }
    }

    /// Notes a use of a table.
    pub(crate) fn add_table(&mut self, table: Arc<RelationDescriptor>, alias: Arc<str>) -> TableId {
        self.tables.push(TableUse::new(table, alias));
        self.tables.len() - 1
    }

    /// Notes a use of a table and, unless it is named with ONLY, of what inherits from it.
    pub(crate) fn add_set(&mut self, table: Arc<RelationDescriptor>, alias: Arc<str>, only: bool) -> TableId {
        let expansion = crate::inherit::expansion(&table, only);
        let id = self.add_table(table, alias);
        self.tables[id].expansion = expansion;
        id
    }

    /// The id of a table's `tableoid` when it stands for a set of relations: it tells whose row a row is.
    pub(crate) fn set_column(&mut self, table: TableId, depth: u32) -> Option<ColumnId> {
        (self.tables[table].expansion != Expansion::Own)
            .then(|| self.table_column(table, ScanColumn::TableOid, depth))
    }

    fn bind_from_table(&mut self, table: &ast::FromTable, scope: &Scope<'_>) -> Result<FromPart> {
        let name = &table.relation.name;
        let not_sampled = |binder: &Self| match table.sample {
            Some(_) => Err(binder.at(
                Error::new(
                    SqlState::FEATURE_NOT_SUPPORTED,
                    "TABLESAMPLE clause can only be applied to tables and materialized views",
                ),
                table.pos,
            )),
            None => Ok(()),
        };
        if name.schema().is_none()
            && let Some(target) = scope.ctes.find(name.name())
        {
            let target = target.clone();
            // A later entry does not hide a table.
            let hidden = matches!(target, CteTarget::Later)
                && self.catalog.find_relation(self.search_path, name.name()).is_some();
            if !hidden {
                not_sampled(self)?;
                return self.bind_cte_reference(&target, name.name(), table, scope);
            }
        }
        if name.schema().is_none()
            && let Some((name, function)) =
                self.params.row_sets.iter().find(|(known, _)| **known == *name.name().as_str())
        {
            let (name, function) = (Arc::clone(name), function.clone());
            return self.bind_row_set(name, function, table, scope);
        }
        let relation = self.find_relation(name, table.pos)?;
        self.note_relation(name, &relation, table.alias.is_some());
        let only = table.relation.only;
        self.use_set(&relation, only, RelationAccess { select: true, ..RelationAccess::default() });
        let requirement = self.require(&relation, Privileges::SELECT);
        let name = self.relation_name(&relation, table.alias.as_ref().map(|alias| alias.name.as_str()));
        match relation.kind {
            RelationKind::Index | RelationKind::PartitionedIndex | RelationKind::CompositeType => {
                return Err(self.at(not_opened(&relation), table.pos));
            }
            RelationKind::View => {
                not_sampled(self)?;
                return self.bind_view(&relation, &name, table, scope, requirement);
            }
            RelationKind::Sequence => not_sampled(self)?,
            RelationKind::Table | RelationKind::PartitionedTable | RelationKind::MaterializedView => {}
        }
        let id = self.add_set(relation, Arc::clone(&name.alias), only);
        self.tables[id].requirement = requirement;
        let mut item = ScopeItem::of_relation(&name, ItemColumns::Table(id));
        if let Some(renames) = table.alias.as_ref().filter(|alias| !alias.columns.is_empty()) {
            let mut columns = self.item_columns(&item, scope.depth);
            self.rename_columns(&mut columns, renames, table.pos)?;
            item.columns = ItemColumns::Listed(columns);
        }
        let Some(sample) = &table.sample else {
            let plan = self.with_row(Logical::Get(id), &mut item, scope.depth);
            return Ok(FromPart { plan, items: vec![item], lateral: false });
        };
        // What stands beside the table is not in sight.
        let mut outside = scope.sibling();
        outside.hide(&scope.items, true);
        let sample = self.bind_sample(sample, id, &outside)?;
        Ok(FromPart { plan: Logical::Sample(Box::new(sample)), items: vec![item], lateral: false })
    }

    fn bind_sample(
        &mut self,
        sample: &ast::TableSample,
        table: TableId,
        scope: &Scope<'_>,
    ) -> Result<SampleGet> {
        let own = sample.method.schema().is_none_or(|schema| schema.as_str() == "pg_catalog");
        let method = match sample.method.name().as_str() {
            "bernoulli" if own => SampleMethod::Bernoulli,
            "system" if own => SampleMethod::System,
            _ => {
                let message = format!("tablesample method {} does not exist", sample.method);
                return Err(self.at(Error::new(SqlState::UNDEFINED_OBJECT, message), sample.pos));
            }
        };
        let [percent] = sample.args.as_slice() else {
            let message = format!(
                "tablesample method {} requires 1 argument, not {}",
                method.name(),
                sample.args.len()
            );
            return Err(self.at(Error::new(SqlState::INVALID_TABLESAMPLE_ARGUMENT, message), sample.pos));
        };
        let percent = self.bind_sample_argument(percent, SqlType::FLOAT4, "TABLESAMPLE", scope)?;
        let seed = match &sample.repeatable {
            Some(seed) => Some(self.bind_sample_argument(seed, SqlType::FLOAT8, "REPEATABLE", scope)?),
            None => None,
        };
        Ok(SampleGet { table, method, percent, seed })
    }

    fn bind_sample_argument(
        &mut self,
        argument: &ast::Expr,
        ty: SqlType,
        clause: &str,
        scope: &Scope<'_>,
    ) -> Result<Expr> {
        let bound = self.in_level(Clause::From, scope.depth, |binder| binder.bind_expr(argument, scope))?;
        self.coerce_to_specific(bound, ty, clause, argument.pos())
    }

    /// A name that stands for rows that the session has at hand.
    fn bind_row_set(
        &mut self,
        name: Arc<str>,
        function: FunctionRef,
        table: &ast::FromTable,
        scope: &Scope<'_>,
    ) -> Result<FromPart> {
        let ty = self.sql_type(function.return_type);
        let resolved = ResolvedCall { function, args: Vec::new(), variadic_array: false, ty };
        let (mut columns, mut ids) = (Vec::new(), Vec::new());
        for (name, ty) in self.function_columns(&resolved) {
            let id = self.new_column(Arc::clone(&name), ty, scope.depth);
            ids.push(id);
            columns.push(ItemColumn { name, expr: Expr::Column { index: id, ty } });
        }
        if let Some(renames) = &table.alias {
            self.rename_columns(&mut columns, renames, table.pos)?;
        }
        let alias = table.alias.as_ref().map_or(name, |alias| Arc::from(alias.name.as_str()));
        let mut item = ScopeItem::visible(Some(Arc::clone(&alias)), ItemColumns::Listed(columns));
        item.kind = ItemKind::Rows;
        let call = FunctionCall::Set { function: resolved.function, args: Vec::new(), ty };
        let get = FunctionGet { alias, functions: vec![(call, ids)], ordinality: None };
        let plan = self.with_row(Logical::Function(Box::new(get)), &mut item, scope.depth);
        Ok(FromPart { plan, items: vec![item], lateral: false })
    }

    /// Applies the column names of an alias.
    fn rename_columns(&self, columns: &mut [ItemColumn], alias: &ast::Alias, pos: Pos) -> Result<()> {
        if alias.columns.len() > columns.len() {
            let error = Error::new(
                SqlState::INVALID_COLUMN_REFERENCE,
                format!(
                    "table \"{}\" has {} columns available but {} columns specified",
                    alias.name,
                    columns.len(),
                    alias.columns.len()
                ),
            );
            return Err(self.at(error, pos));
        }
        for (column, name) in columns.iter_mut().zip(&alias.columns) {
            column.name = Arc::from(name.as_str());
        }
        Ok(())
    }

    /// Keeps for EXPLAIN what a sub-query and its columns are called; `inner` are the ids that they have within it.
    fn note_names(&mut self, alias: &Arc<str>, columns: &[ItemColumn], inner: &[ColumnId]) {
        let own = columns.iter().filter_map(|column| match column.expr {
            Expr::Column { index, .. } => Some((index, Arc::clone(&column.name))),
            _ => None,
        });
        let within = columns.iter().zip(inner).map(|(column, id)| (*id, Arc::clone(&column.name)));
        self.from_names.push(FromName { alias: Arc::clone(alias), columns: own.chain(within).collect() });
    }

    /// How a relation is named within a statement.
    pub(super) fn relation_name(&self, relation: &RelationDescriptor, alias: Option<&str>) -> RelationName {
        match alias {
            Some(alias) => RelationName { alias: Arc::from(alias), schema: None },
            None => RelationName {
                alias: Arc::clone(&relation.name),
                schema: self.catalog.namespace(relation.namespace).map(|schema| Arc::clone(&schema.name)),
            },
        }
    }

    fn bind_view(
        &mut self,
        view: &Arc<RelationDescriptor>,
        name: &RelationName,
        table: &ast::FromTable,
        scope: &Scope<'_>,
        requirement: Option<usize>,
    ) -> Result<FromPart> {
        if self.view_depth >= MAX_VIEW_DEPTH {
            return Err(Error::new(
                SqlState::INVALID_OBJECT_DEFINITION,
                format!("infinite recursion detected in rules for relation \"{}\"", view.name),
            ));
        }
        let select = stored_text::view_query(view)?;
        let inner = Scope { depth: scope.depth + 1, ..Scope::root(CteScope::default()) };
        let lock = self.lock_of_item(Some(&name.alias));
        if lock.is_some() {
            self.use_relation(view, RelationAccess { lock: true, ..RelationAccess::default() });
            self.require_also(requirement, Privileges::UPDATE);
        }
        let is_barrier = super::requirements::is_barrier(view);
        self.ask_for_view_lock(lock, is_barrier);
        self.view_depth += 1;
        // A stored text names everything outside pg_catalog in a way that no path changes.
        let path = std::mem::replace(&mut self.search_path, &ochre_catalog::IMPLICIT_NAMESPACES);
        let checker = self.checker_of(view);
        let around = std::mem::replace(&mut self.checked_as, checker);
        let query = self.without_positions(|binder| binder.bind_query(&select, &inner));
        self.checked_as = around;
        self.search_path = path;
        self.view_depth -= 1;
        let mut query = query?;
        let inner_ids: Vec<ColumnId> = query.output.iter().map(|(id, _)| *id).collect();
        let lifted = self.lifted.take();
        if is_barrier {
            // No condition goes down through a limit, though this one limits nothing.
            let input = Box::new(query.plan);
            query.plan = Logical::Limit { input, limit: None, offset: None, ties: None };
        }
        if query.output.len() < view.live_columns().count() {
            return Err(Error::corrupt(format!("view \"{}\" has more columns than its query", view.name)));
        }
        // A column added to an underlying table does not show: the view's own columns decide.
        let mut columns: Vec<ItemColumn> = Vec::with_capacity(view.columns.len());
        for (column, (id, output)) in view.live_columns().zip(&query.output) {
            let expr = Expr::Column { index: *id, ty: output.ty };
            columns.push(ItemColumn { name: Arc::clone(&column.name), expr });
        }
        if let Some(tables) = lifted {
            let (plan, mut columns) = self.lift(query.plan, columns, &tables, scope.depth)?;
            if let Some(renames) = &table.alias {
                self.rename_columns(&mut columns, renames, table.pos)?;
            }
            self.note_names(&name.alias, &columns, &inner_ids);
            let item = ScopeItem::of_relation(name, ItemColumns::Listed(columns));
            let mut item = ScopeItem { lifted: tables, requirement, ..item };
            let plan = self.with_row(plan, &mut item, scope.depth);
            return Ok(FromPart { plan, items: vec![item], lateral: false });
        }
        let (plan, mut columns) = self.rename_output(query.plan, columns, scope.depth, Some(view));
        if let Some(requirement) = requirement {
            for (column, own) in columns.iter().zip(view.live_columns()) {
                if let Expr::Column { index, .. } = column.expr {
                    self.note_view_column(index, requirement, own.number);
                }
            }
        }
        if let Some(renames) = &table.alias {
            self.rename_columns(&mut columns, renames, table.pos)?;
        }
        self.note_names(&name.alias, &columns, &inner_ids);
        let mut item = ScopeItem::of_relation(name, ItemColumns::Listed(columns));
        let plan = self.with_row(plan, &mut item, scope.depth);
        Ok(FromPart { plan, items: vec![item], lateral: false })
    }

    /// Gives a view's columns ids of their own where the inner query computes them, so that they carry the view's names.
    fn rename_output(
        &mut self,
        plan: Logical,
        columns: Vec<ItemColumn>,
        depth: u32,
        view: Option<&RelationDescriptor>,
    ) -> (Logical, Vec<ItemColumn>) {
        let mut items = Vec::with_capacity(columns.len());
        let mut renamed = Vec::with_capacity(columns.len());
        for (position, column) in columns.into_iter().enumerate() {
            let ty = column.expr.ty();
            let id = self.new_column(Arc::clone(&column.name), ty, depth);
            if let Some(view) = view {
                let attribute = view.live_columns().nth(position).map_or(0, |c| c.number);
                self.columns[id].origin = Some(crate::physical::ColumnOrigin { table: view.oid, attribute });
            }
            items.push((id, column.expr));
            renamed.push(ItemColumn { name: column.name, expr: Expr::Column { index: id, ty } });
        }
        (Logical::Project { input: Box::new(plan), items }, renamed)
    }

    /// Whether a WITH entry changes rows and gives none.
    fn returns_nothing(&self, cte: usize) -> bool {
        let entry = self.ctes[cte].as_ref();
        entry.is_some_and(|entry| match &entry.body {
            LogicalBody::Modify(modify) => modify.returning.is_none(),
            LogicalBody::Query(_) => false,
        })
    }

    fn bind_cte_reference(
        &mut self,
        target: &CteTarget,
        name: &ast::Name,
        table: &ast::FromTable,
        scope: &Scope<'_>,
    ) -> Result<FromPart> {
        let alias: Arc<str> =
            Arc::from(table.alias.as_ref().map_or(name.as_str(), |alias| alias.name.as_str()));
        let fresh = |binder: &mut Self, columns: &[(Arc<str>, SqlType)]| {
            let mut items = Vec::with_capacity(columns.len());
            let mut ids: Vec<(usize, ColumnId)> = Vec::with_capacity(columns.len());
            for (position, (name, ty)) in columns.iter().enumerate() {
                let id = binder.new_column(Arc::clone(name), *ty, scope.depth);
                ids.push((position, id));
                items.push(ItemColumn { name: Arc::clone(name), expr: Expr::Column { index: id, ty: *ty } });
            }
            (items, ids)
        };
        let (plan, mut columns) = match target {
            CteTarget::Cte { index, .. } if self.returns_nothing(*index) => {
                let error = Error::new(
                    SqlState::FEATURE_NOT_SUPPORTED,
                    format!("WITH query \"{name}\" does not have a RETURNING clause"),
                );
                return Err(self.at(error, table.pos));
            }
            CteTarget::Cte { index, columns } => {
                let (items, ids) = fresh(self, columns);
                self.cte_references[*index] += 1;
                (Logical::CteScan { cte: *index, alias: Arc::clone(&alias), columns: ids }, items)
            }
            CteTarget::WorkTable { .. } if self.beside_missing => {
                let error = Error::new(
                    SqlState::INVALID_RECURSION,
                    format!("recursive reference to query \"{name}\" must not appear within an outer join"),
                );
                return Err(self.at(error, table.pos));
            }
            CteTarget::WorkTable { work_table, index, columns } => {
                let (items, ids) = fresh(self, columns);
                self.recursive_references[*work_table] += 1;
                let plan = Logical::WorkTable {
                    work_table: *work_table,
                    alias: Arc::clone(&alias),
                    columns: ids,
                    cte: *index,
                };
                (plan, items)
            }
            CteTarget::Forbidden(why) => {
                let error = Error::new(
                    SqlState::INVALID_RECURSION,
                    format!("recursive reference to query \"{name}\" must not appear within {why}"),
                );
                return Err(self.at(error, table.pos));
            }
            CteTarget::Later => {
                let error = Error::new(
                    SqlState::UNDEFINED_TABLE,
                    format!("relation \"{name}\" does not exist"),
                )
                .detail(format!(
                    "There is a WITH item named \"{name}\", but it cannot be referenced from this part of the query."
                ))
                .hint("Use WITH RECURSIVE, or re-order the WITH items to remove forward references.");
                return Err(self.at(error, table.pos));
            }
        };
        if let Some(renames) = &table.alias {
            self.rename_columns(&mut columns, renames, table.pos)?;
        }
        let mut item = ScopeItem::visible(Some(alias), ItemColumns::Listed(columns));
        item.kind = ItemKind::With;
        let plan = self.with_row(plan, &mut item, scope.depth);
        Ok(FromPart { plan, items: vec![item], lateral: false })
    }

    fn bind_from_subquery(&mut self, subquery: &ast::FromSubquery, scope: &Scope<'_>) -> Result<FromPart> {
        let mut inner = if subquery.lateral { scope.child() } else { scope.sibling() };
        inner.depth = scope.depth + 1;
        if !subquery.lateral {
            inner.hide(&scope.items, true);
        }
        let alias: Option<Arc<str>> = subquery.alias.as_ref().map(|alias| Arc::from(alias.name.as_str()));
        let lock = self.lock_of_item(alias.as_deref());
        self.ask_for_lock(lock);
        let query = self.bind_query(&subquery.query, &inner)?;
        let inner_ids: Vec<ColumnId> = query.output.iter().map(|(id, _)| *id).collect();
        let lifted = self.lifted.take();
        let mut columns: Vec<ItemColumn> = query
            .output
            .iter()
            .map(|(id, column)| ItemColumn {
                name: Arc::clone(&column.name),
                expr: Expr::Column { index: *id, ty: column.ty },
            })
            .collect();
        let mut plan = query.plan;
        // A column of another item that is handed on is a column of its own: beside a missing row it is NULL.
        let inner_depth = inner.depth;
        if let Some(tables) = &lifted {
            (plan, columns) = self.lift(plan, columns, tables, scope.depth)?;
        } else if subquery.lateral && query.output.iter().any(|(id, _)| self.columns[*id].depth < inner_depth)
        {
            (plan, columns) = self.rename_output(plan, columns, scope.depth, None);
        }
        // From here on they are columns of the query that the item stands in.
        for column in &columns {
            if let Expr::Column { index, .. } = column.expr {
                let depth = &mut self.columns[index].depth;
                *depth = (*depth).min(scope.depth);
            }
        }
        if let Some(renames) = &subquery.alias {
            self.rename_columns(&mut columns, renames, subquery.pos)?;
        }
        if let Some(alias) = &alias {
            self.note_names(alias, &columns, &inner_ids);
        }
        let mut item = ScopeItem::visible(alias, ItemColumns::Listed(columns));
        item.lifted = lifted.unwrap_or_default();
        let plan = self.with_row(plan, &mut item, scope.depth);
        Ok(FromPart { plan, items: vec![item], lateral: subquery.lateral })
    }

    fn bind_from_function(&mut self, from: &ast::FromFunction, scope: &Scope<'_>) -> Result<FromPart> {
        let mut functions: Vec<(FunctionCall, Vec<ColumnId>)> = Vec::new();
        let mut columns: Vec<ItemColumn> = Vec::new();
        let mut scalar = false;
        let single = from.functions.len() == 1;
        self.check_definition_place(from)?;
        for function in &from.functions {
            let definition = if from.columns.is_empty() { &function.columns } else { &from.columns };
            // `unnest(a, b)` is `ROWS FROM (unnest(a), unnest(b))`.
            if let ast::Expr::Func(call) = &function.call
                && call.name.name().as_str() == "unnest"
                && call.args.len() > 1
                && !call.variadic
            {
                for arg in &call.args {
                    let mut one = (**call).clone();
                    one.args = vec![arg.clone()];
                    let one = ast::Expr::Func(ast::P::new(one));
                    self.add_from_function(&one, definition, from, scope, &mut functions, &mut columns)?;
                }
                continue;
            }
            scalar = self.add_from_function(
                &function.call,
                definition,
                from,
                scope,
                &mut functions,
                &mut columns,
            )?;
        }
        let lateral = functions.iter().any(|(call, _)| match call {
            FunctionCall::Set { args, .. } => args.iter().any(mentions_columns),
            FunctionCall::Scalar(expr) => mentions_columns(expr),
        });
        let ordinality = from.ordinality.then(|| {
            let id = self.new_column("ordinality", SqlType::INT8, scope.depth);
            let expr = Expr::Column { index: id, ty: SqlType::INT8 };
            columns.push(ItemColumn { name: "ordinality".into(), expr });
            id
        });
        let default_name = match from.functions.first().map(|function| &function.call) {
            Some(ast::Expr::Func(call)) => self.call_name(call),
            Some(other) => super::target::column_name(other).to_owned(),
            None => String::new(),
        };
        let alias: Arc<str> = match &from.alias {
            Some(alias) => Arc::from(alias.name.as_str()),
            None => Arc::from(default_name.as_str()),
        };
        // A lone scalar's column is called like the item.
        if scalar && single && from.alias.is_some() {
            columns[0].name = Arc::clone(&alias);
        }
        if let Some(renames) = &from.alias {
            self.rename_columns(&mut columns, renames, from.pos)?;
        }
        let mut item = ScopeItem::visible(Some(Arc::clone(&alias)), ItemColumns::Listed(columns));
        item.kind = ItemKind::Function;
        item.scalar_function = scalar && !from.ordinality;
        let plan = Logical::Function(Box::new(FunctionGet { alias, functions, ordinality }));
        let plan = self.with_row(plan, &mut item, scope.depth);
        Ok(FromPart { plan, items: vec![item], lateral })
    }

    /// What a call is called as an item of FROM.
    fn call_name(&self, call: &ast::FuncCall) -> String {
        let by_id = super::view::oid_name(&call.name).and_then(|oid| self.catalog.routine(oid));
        by_id.map_or_else(|| call.name.name().to_string(), |routine| routine.name().to_owned())
    }

    /// Binds one function of FROM; says whether it yields one column of a type that is no row.
    fn add_from_function(
        &mut self,
        call: &ast::Expr,
        definition: &[ast::ColumnDef],
        from: &ast::FromFunction,
        scope: &Scope<'_>,
        functions: &mut Vec<(FunctionCall, Vec<ColumnId>)>,
        columns: &mut Vec<ItemColumn>,
    ) -> Result<bool> {
        // Arguments may mention items to the left.
        let visible = scope.clone();
        let bound = match call {
            ast::Expr::Func(call) => {
                self.in_level(Clause::From, scope.depth, |binder| binder.bind_from_call(call, &visible))?
            }
            other => {
                let expr =
                    self.in_level(Clause::From, scope.depth, |binder| binder.bind_expr(other, &visible))?;
                Err(self.resolve_unknown(expr, from.pos)?)
            }
        };
        let name = match call {
            ast::Expr::Func(call) => self.call_name(call),
            other => super::target::column_name(other).to_owned(),
        };
        let mut fields: NamedFields = Vec::new();
        let definition = self.bind_definition(definition)?;
        let (call, ty) = match bound {
            Ok(resolved) => {
                fields = self.function_columns(&resolved);
                let mut ty = resolved.ty;
                if let Some((defined, pos)) = &definition {
                    ty = self.defined_row(ty, !fields.is_empty(), defined, *pos)?;
                    fields = defined.clone();
                }
                if resolved.function.returns_set {
                    let function = resolved.function;
                    (FunctionCall::Set { function, args: resolved.args, ty }, ty)
                } else {
                    let expr = Expr::Call {
                        function: resolved.function,
                        args: resolved.args,
                        variadic_array: resolved.variadic_array,
                        ty,
                        pos: self.source_pos(from.pos),
                    };
                    (FunctionCall::Scalar(expr), ty)
                }
            }
            Err(expr) => {
                let ty = expr.ty();
                if let Some((defined, pos)) = &definition {
                    self.defined_row(ty, false, defined, *pos)?;
                }
                (FunctionCall::Scalar(expr), ty)
            }
        };
        let row = ty.physical == PhysicalType::Record;
        if fields.is_empty() && row {
            match self.record_fields(ty) {
                Some(found) => fields = found,
                None => {
                    let error = Error::new(
                        SqlState::SYNTAX_ERROR,
                        "a column definition list is required for functions returning \"record\"",
                    );
                    return Err(self.at(error, from.pos));
                }
            }
        }
        let scalar = fields.len() <= 1 && !row;
        if fields.is_empty() {
            fields.push((Arc::from(name.as_str()), ty));
        }
        if ty.oid == oids::VOID && fields.len() == 1 {
            fields[0].1 = ty;
        }
        let mut ids = Vec::with_capacity(fields.len());
        for (name, ty) in fields {
            let id = self.new_column(Arc::clone(&name), ty, scope.depth);
            ids.push(id);
            columns.push(ItemColumn { name, expr: Expr::Column { index: id, ty } });
        }
        functions.push((call, ids));
        Ok(scalar)
    }

    /// Refuses a column definition list where it is not clear which function it is for.
    fn check_definition_place(&self, from: &ast::FromFunction) -> Result<()> {
        let Some(first) = from.columns.first() else { return Ok(()) };
        let refuse = |message: &str, hint: &str| {
            Err(self.at(Error::new(SqlState::SYNTAX_ERROR, message).hint(hint), first.pos))
        };
        if from.functions.len() > 1 {
            return refuse(
                "ROWS FROM() with multiple functions cannot have a column definition list",
                "Put a separate column definition list for each function inside ROWS FROM().",
            );
        }
        let several = |call: &ast::FuncCall| call.name.name().as_str() == "unnest" && call.args.len() > 1;
        if from.functions.first().and_then(ast::RowsFunction::func).is_some_and(several) {
            return refuse(
                "UNNEST() with multiple arguments cannot have a column definition list",
                "Use separate UNNEST() calls inside ROWS FROM(), and attach a column definition list to each one.",
            );
        }
        if from.ordinality {
            return refuse(
                "WITH ORDINALITY cannot be used with a column definition list",
                "Put the column definition list inside ROWS FROM().",
            );
        }
        Ok(())
    }

    /// Names and types of a column definition list, and where it begins; `None` when there is none.
    fn bind_definition(&mut self, list: &[ast::ColumnDef]) -> Result<Option<(NamedFields, Pos)>> {
        let Some(first) = list.first() else { return Ok(None) };
        let mut fields: NamedFields = Vec::with_capacity(list.len());
        for column in list {
            let name: Arc<str> = Arc::from(column.name.as_str());
            let Some(type_name) = &column.type_name else {
                return Err(Error::internal("a column definition list has a column without a type"));
            };
            if type_name.setof {
                let message = format!("column \"{name}\" cannot be declared SETOF");
                return Err(self.at(Error::new(SqlState::INVALID_TABLE_DEFINITION, message), column.pos));
            }
            let ty = self.bind_type_name(type_name)?;
            if let Some(collation) = &column.collation {
                self.collation(collation)?;
            }
            let pseudo = ochre_types::type_info(ty.oid).filter(|info| info.kind == b'p');
            if let Some(info) = pseudo.filter(|_| !matches!(ty.oid, oids::RECORD | oids::RECORD_ARRAY)) {
                let message = format!("column \"{name}\" has pseudo-type {}", info.name);
                return Err(Error::new(SqlState::INVALID_TABLE_DEFINITION, message));
            }
            if fields.iter().any(|(other, _)| *other == name) {
                let message = format!("column name \"{name}\" specified more than once");
                return Err(Error::new(SqlState::DUPLICATE_COLUMN, message));
            }
            fields.push((name, ty));
        }
        Ok(Some((fields, first.pos)))
    }

    /// The type of the rows of a function that returns `record`, as its column definition list says.
    fn defined_row(&self, ty: SqlType, has_outputs: bool, fields: &NamedFields, pos: Pos) -> Result<SqlType> {
        let message = if has_outputs {
            "a column definition list is redundant for a function with OUT parameters"
        } else if ty.physical == PhysicalType::Record && ty.oid != oids::RECORD {
            "a column definition list is redundant for a function returning a named composite type"
        } else if ty.oid != oids::RECORD {
            "a column definition list is only allowed for functions returning \"record\""
        } else {
            let row = ochre_types::named_record_type(fields);
            ochre_types::check_known(row).map_err(|error| self.at(error, pos))?;
            return Ok(row);
        };
        Err(self.at(Error::new(SqlState::SYNTAX_ERROR, message), pos))
    }

    /// One side of a join; `optional` when rows of the other may come without one of its rows.
    fn bind_side(&mut self, item: &ast::FromItem, scope: &Scope<'_>, optional: bool) -> Result<FromPart> {
        let before = self.beside_missing;
        self.beside_missing |= optional;
        let part = self.bind_from_item(item, scope);
        self.beside_missing = before;
        part
    }

    fn bind_join(&mut self, join: &ast::Join, scope: &Scope<'_>) -> Result<FromPart> {
        let keeps_right = matches!(join.kind, ast::JoinKind::Right | ast::JoinKind::Full);
        let keeps_left = matches!(join.kind, ast::JoinKind::Left | ast::JoinKind::Full);
        let left = self.bind_side(&join.left, scope, keeps_right)?;
        let right = {
            let mut beside = scope.clone();
            let forbidden = keeps_right;
            beside.items.extend(left.items.iter().cloned().map(|mut item| {
                item.lateral_only = true;
                item.lateral_forbidden |= forbidden;
                item
            }));
            self.bind_side(&join.right, &beside, keeps_left)?
        };
        self.check_aliases(&left.items, &right.items)?;
        let kind = match join.kind {
            ast::JoinKind::Inner | ast::JoinKind::Cross => JoinKind::Inner,
            ast::JoinKind::Left => JoinKind::Left,
            ast::JoinKind::Right => JoinKind::Right,
            ast::JoinKind::Full => JoinKind::Full,
        };
        let mut items = Vec::with_capacity(left.items.len() + right.items.len() + 1);
        let using = match &join.constraint {
            ast::JoinConstraint::Using { columns, alias } => {
                Some((columns.iter().map(|name| name.to_string()).collect::<Vec<_>>(), alias.clone()))
            }
            _ if join.natural => Some((self.common_columns(&left.items, &right.items, scope.depth), None)),
            _ => None,
        };
        let mut on = Vec::new();
        if let Some((names, using_alias)) = using {
            let merged = self.bind_using(join, kind, &names, &left.items, &right.items, scope, &mut on)?;
            let rest = |binder: &mut Self, items: &[ScopeItem]| {
                let mut columns = Vec::new();
                for item in items.iter().filter(|item| item.columns_visible) {
                    columns.extend(
                        binder
                            .item_columns(item, scope.depth)
                            .into_iter()
                            .filter(|column| !names.iter().any(|name| **name == *column.name)),
                    );
                }
                columns
            };
            let mut columns = merged.clone();
            columns.extend(rest(self, &left.items));
            columns.extend(rest(self, &right.items));
            for mut item in left.items.into_iter().chain(right.items) {
                item.columns_visible = false;
                items.push(item);
            }
            let mut joined = ScopeItem::visible(None, ItemColumns::Listed(columns));
            joined.relation_visible = false;
            joined.kind = ItemKind::Join;
            items.push(joined);
            if let Some(alias) = using_alias {
                let mut item =
                    ScopeItem::visible(Some(Arc::from(alias.as_str())), ItemColumns::Listed(merged));
                item.columns_visible = false;
                item.kind = ItemKind::Join;
                self.check_aliases(&items, std::slice::from_ref(&item))?;
                items.push(item);
            }
        } else {
            items.extend(left.items);
            items.extend(right.items);
            if let ast::JoinConstraint::On(condition) = &join.constraint {
                let mut inner = scope.sibling();
                inner.items.clone_from(&items);
                inner.hide(&scope.items, false);
                let bound = self.in_clause(Clause::JoinCondition, scope.depth, |binder| {
                    let bound = binder.bind_expr(condition, &inner)?;
                    binder.coerce_to_boolean(bound, "JOIN/ON", condition.pos())
                })?;
                on = bound.conjuncts();
            }
        }
        if let Some(alias) = &join.alias {
            let mut columns = Vec::new();
            for item in items.iter().filter(|item| item.columns_visible) {
                columns.extend(self.item_columns(item, scope.depth));
            }
            self.rename_columns(&mut columns, alias, join.pos)?;
            for item in &mut items {
                item.columns_visible = false;
                item.relation_visible = false;
            }
            let name = Some(Arc::from(alias.name.as_str()));
            let joined = ScopeItem::visible(name, ItemColumns::Listed(columns));
            items.push(ScopeItem { kind: ItemKind::Join, ..joined });
        }
        let mut plan = Logical::Join(Box::new(Join {
            kind,
            left: left.plan,
            right: right.plan,
            on,
            lateral: right.lateral,
        }));
        if let (Some(_), Some(item)) = (&join.alias, items.last_mut()) {
            plan = self.with_row(plan, item, scope.depth);
        }
        Ok(FromPart { plan, items, lateral: left.lateral || right.lateral })
    }

    /// Binds in a clause of the query at hand, or in a level of its own when there is none.
    pub(crate) fn in_clause<T>(
        &mut self,
        clause: Clause,
        depth: u32,
        run: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<T> {
        match self.levels.last_mut() {
            Some(level) if level.depth == depth => {
                let before = std::mem::replace(&mut level.clause, clause);
                let result = run(self);
                self.set_clause(before);
                result
            }
            _ => self.in_level(clause, depth, run),
        }
    }

    fn common_columns(&mut self, left: &[ScopeItem], right: &[ScopeItem], depth: u32) -> Vec<String> {
        let mut names = Vec::new();
        for item in left.iter().filter(|item| item.columns_visible) {
            for column in self.item_columns(item, depth) {
                let shared = right
                    .iter()
                    .filter(|item| item.columns_visible)
                    .any(|item| self.item_column(item, &column.name, depth, false).is_some());
                if shared {
                    names.push(column.name.to_string());
                }
            }
        }
        names
    }

    #[allow(clippy::too_many_arguments, reason = "the parts of a join on their way to a plan")]
    fn bind_using(
        &mut self,
        join: &ast::Join,
        kind: JoinKind,
        names: &[String],
        left: &[ScopeItem],
        right: &[ScopeItem],
        scope: &Scope<'_>,
        on: &mut Vec<Expr>,
    ) -> Result<Vec<ItemColumn>> {
        let mut merged = Vec::with_capacity(names.len());
        for (i, name) in names.iter().enumerate() {
            if names[..i].contains(name) {
                let error = Error::new(
                    SqlState::DUPLICATE_COLUMN,
                    format!("column name \"{name}\" appears more than once in USING clause"),
                );
                return Err(self.at(error, join.pos));
            }
            let l = self.using_column(name, left, "left", scope.depth, join.pos)?;
            let r = self.using_column(name, right, "right", scope.depth, join.pos)?;
            let op = ast::Operator::plain(ast::Name::from_static("="));
            on.push(self.bind_operator(&op, Some(l.clone()), r.clone(), join.pos)?);
            let pair = [(l.clone(), join.pos), (r.clone(), join.pos)];
            let ty = self.select_common_type(&pair, "JOIN/USING")?;
            let l = self.coerce_to_common(l, ty, "JOIN/USING", join.pos)?;
            let r = self.coerce_to_common(r, ty, "JOIN/USING", join.pos)?;
            let expr = match kind {
                JoinKind::Full => Expr::Coalesce { args: vec![l, r], ty },
                JoinKind::Right => r,
                _ => l,
            };
            merged.push(ItemColumn { name: Arc::from(name.as_str()), expr });
        }
        Ok(merged)
    }

    fn using_column(
        &mut self,
        name: &str,
        items: &[ScopeItem],
        side: &str,
        depth: u32,
        pos: Pos,
    ) -> Result<Expr> {
        let mut found = None;
        for item in items.iter().filter(|item| item.columns_visible) {
            if let Some(expr) = self.item_column(item, name, depth, false) {
                self.mention_column(item, name, &expr);
                if found.is_some() {
                    let error = Error::new(
                        SqlState::AMBIGUOUS_COLUMN,
                        format!("common column name \"{name}\" appears more than once in {side} table"),
                    );
                    return Err(self.at(error, pos));
                }
                found = Some(expr);
            }
        }
        found.ok_or_else(|| {
            let error = Error::new(
                SqlState::UNDEFINED_COLUMN,
                format!("column \"{name}\" specified in USING clause does not exist in {side} table"),
            );
            self.at(error, pos)
        })
    }
}

fn mentions_columns(expr: &Expr) -> bool {
    expr.any(|node| matches!(node, Expr::Column { .. } | Expr::SubPlan { .. }))
}

/// 42809: a relation that has no rows to read or change.
#[cold]
pub(super) fn not_opened(relation: &RelationDescriptor) -> Error {
    Error::new(SqlState::WRONG_OBJECT_TYPE, format!("cannot open relation \"{}\"", relation.name))
        .detail(format!("This operation is not supported for {}.", relation.kind.plural()))
}
