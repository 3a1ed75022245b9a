//! Views and materialized views.
//!
//! # Role
//! A view is stored as text in which every name is resolved (`ochre_sql::bind::view`); the binder expands it. Which views
//! use a relation is read off their texts, since a relation stands in them as its object id.
//!
//! # Not done
//! A column of a table joined with USING counts as used by the view, shown or not. Renaming a column that a view uses.

use std::sync::Arc;

use ochre_base::{Error, Oid, Result, Severity, SqlState};
use ochre_catalog::authority::{AclKind, Privileges};
use ochre_catalog::{CatalogSnapshot, ColumnDescriptor, Persistence, RelationDescriptor, RelationKind};
use ochre_parser::ast::{
    self, CreateTableAsStmt, CreateViewStmt, RefreshMaterializedViewStmt, SelectStmt, Statement,
    ViewCheckOption,
};
use ochre_sql::bind::update_obstacle;
use ochre_sql::bind::view::{OID_NAMESPACE, ViewBinding, apply_edits, bind_view_query};
use ochre_txn::locks::RelationLockMode;

use super::create_table::columns_of_query;
use super::rewrite::Source;
use crate::authority::Need;
use crate::errors;
use crate::session::Session;
use crate::session::context::StatementSession;
use crate::session::extended::Parameters;
use crate::session::plan::own_statement;
use crate::session::utility::is_select_into;
use crate::tag::CommandTag;

/// The option that keeps WITH CHECK OPTION.
const CHECK_OPTION: &str = "check_option=";

impl Session {
    pub(crate) fn create_view(&self, statement: &CreateViewStmt, text: &str) -> Result<CommandTag> {
        let tag = CommandTag::Plain("CREATE VIEW");
        if statement.persistence == ast::Persistence::Unlogged {
            return Err(Error::new(
                SqlState::SYNTAX_ERROR,
                "views cannot be unlogged because they do not have storage",
            ));
        }
        if is_select_into(&statement.query) {
            let message = "views must not contain SELECT INTO";
            return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message));
        }
        let options = view_options(statement)?;
        // The positions of a statement behind others count from the message's start; its own text gives its own.
        let Statement::CreateView(own) = own_statement(text)? else {
            return Err(Error::internal("CREATE VIEW was parsed as another statement"));
        };
        let (bound, query) = if statement.recursive {
            let bound = self.bind_view(&own.query)?;
            (bound, own.query.to_string())
        } else {
            let bound = self.bind_view(&own.query)?;
            let Statement::CreateView(resolved) = own_statement(&apply_edits(text, &bound.edits))? else {
                return Err(Error::internal("a view's resolved text is no view"));
            };
            (bound, resolved.query.to_string())
        };
        if changes_rows(&own.query) {
            let message = "views must not contain data-modifying statements in WITH";
            return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message));
        }
        let columns = view_columns(&bound, &statement.columns)?;
        if options.iter().any(|option| option.starts_with(CHECK_OPTION)) {
            if statement.recursive {
                let message = "WITH CHECK OPTION not supported on recursive views";
                return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message));
            }
            self.require_updatable(&own.query, &self.state.search_path())?;
        }
        let temporary = bound.uses.iter().any(|(used, _)| used.persistence == Persistence::Temporary);
        let persistence = if temporary { ast::Persistence::Temporary } else { statement.persistence };
        if temporary && statement.persistence != ast::Persistence::Temporary {
            self.state.notice(Error::with_severity(
                Severity::Notice,
                SqlState::SUCCESSFUL_COMPLETION,
                format!("view \"{}\" will be a temporary view", statement.name.name()),
            ));
        }
        let namespace = self.namespace_for(&statement.name, persistence)?;
        let name = statement.name.name();
        for (used, _) in &bound.uses {
            self.lock_relation(used.oid, RelationLockMode::AccessShare)?;
        }
        if !self.reserve_relation_name(namespace, name)? {
            let old = self.state.catalog().relation_in(namespace, name).cloned();
            let Some(old) = old.filter(|_| statement.or_replace) else {
                return Err(errors::duplicate_relation(name));
            };
            self.replace_view(&old, columns, query, options)?;
            return Ok(tag);
        }
        let (row_type, array_type) = self.state.instance.new_oid_pair();
        let view = RelationDescriptor {
            oid: self.new_oid(),
            namespace,
            name: name.as_str().into(),
            kind: RelationKind::View,
            persistence: self.persistence_in(namespace),
            owner: self.state.user_oid(),
            acl: self.initial_acl(AclKind::Relation, namespace),
            shared: false,
            builtin: false,
            file: None,
            columns,
            column_lists: Vec::new(),
            schema_version: 1,
            indexes: Vec::new(),
            constraints: Vec::new(),
            view_query: Some(query.into()),
            has_triggers: false,
            populated: true,
            has_indexes: false,
            triggers: Vec::new(),
            inheritance: ochre_catalog::Inheritance::default(),
            sequence: None,
            index: None,
            row_type,
            array_type,
            row_estimate: -1.0,
            page_estimate: 0,
            comment: None,
            options,
        };
        self.lock_relation(view.oid, RelationLockMode::AccessExclusive)?;
        self.put_relation(view)?;
        Ok(tag)
    }

    /// Refuses a check option for a view that rows cannot be changed through.
    fn require_updatable(&self, query: &SelectStmt, path: &[Oid]) -> Result<()> {
        let catalog = self.state.catalog();
        let session = StatementSession::new(self);
        match update_obstacle(&catalog, path, &session, query)? {
            None => Ok(()),
            Some(obstacle) => Err(Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                "WITH CHECK OPTION is supported only on automatically updatable views",
            )
            .hint(obstacle)),
        }
    }

    fn bind_view(&self, query: &SelectStmt) -> Result<ViewBinding> {
        let catalog = self.state.catalog();
        let path = self.state.search_path();
        let session = StatementSession::new(self);
        bind_view_query(&catalog, &path, &session, query)
    }

    fn replace_view(
        &self,
        old: &Arc<RelationDescriptor>,
        columns: Vec<ColumnDescriptor>,
        query: String,
        options: Vec<Arc<str>>,
    ) -> Result<()> {
        if old.kind != RelationKind::View {
            return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, format!("\"{}\" is not a view", old.name)));
        }
        self.require_user_relation(old)?;
        self.state.require_owner(old)?;
        self.lock_relation(old.oid, RelationLockMode::AccessExclusive)?;
        let invalid = |message: String| Error::new(SqlState::INVALID_TABLE_DEFINITION, message);
        if columns.len() < old.columns.len() {
            return Err(invalid("cannot drop columns from view".to_string()));
        }
        for (new, old) in columns.iter().zip(&old.columns) {
            if new.name != old.name {
                return Err(invalid(format!(
                    "cannot change name of view column \"{}\" to \"{}\"",
                    old.name, new.name
                ))
                .hint("Use ALTER VIEW ... RENAME COLUMN ... to change name of view column instead."));
            }
            if new.ty != old.ty {
                return Err(invalid(format!(
                    "cannot change data type of view column \"{}\" from {} to {}",
                    old.name,
                    self.type_text(old.ty),
                    self.type_text(new.ty)
                )));
            }
        }
        if query.contains(&oid_text(old.oid)) {
            return Err(Error::new(
                SqlState::INVALID_OBJECT_DEFINITION,
                format!("infinite recursion detected in rules for relation \"{}\"", old.name),
            ));
        }
        let mut view = (**old).clone();
        view.columns = columns;
        for (new, old) in view.columns.iter_mut().zip(&old.columns) {
            new.default = old.default.clone();
        }
        view.view_query = Some(query.into());
        view.options = options;
        self.put_relation(view)?;
        Ok(())
    }

    pub(crate) fn create_materialized_view(
        &self,
        statement: &CreateTableAsStmt,
        text: &str,
    ) -> Result<CommandTag> {
        if statement.into.persistence == ast::Persistence::Unlogged {
            let message = "materialized views cannot be unlogged";
            return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message));
        }
        if let Statement::Select(query) = &statement.query
            && changes_rows(query)
        {
            let message = "materialized views must not use data-modifying statements in WITH";
            return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message));
        }
        super::index::check_options(&statement.options)?;
        let namespace = self.creation_namespace(&statement.into.name)?;
        let name = statement.into.name.name();
        if !self.take_relation_name(namespace, name, statement.if_not_exists)? {
            return Ok(CommandTag::Plain("CREATE MATERIALIZED VIEW"));
        }
        let query_of = |text: &str| match own_statement(text)? {
            Statement::CreateTableAs(create) => match &create.query {
                Statement::Select(query) => Ok((**query).clone()),
                _ => Err(Error::unsupported("CREATE MATERIALIZED VIEW … EXECUTE")),
            },
            _ => Err(Error::internal("CREATE MATERIALIZED VIEW was parsed as another statement")),
        };
        let bound = self.bind_view(&query_of(text)?)?;
        if bound.uses.iter().any(|(used, _)| used.persistence == Persistence::Temporary) {
            return Err(Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                "materialized views must not use temporary tables or views",
            ));
        }
        let query = query_of(&apply_edits(text, &bound.edits))?.to_string();
        let (_, tag) = self.create_from_query(
            namespace,
            name,
            &Source { query: &statement.query, parameters: &Parameters::NONE },
            &statement.columns,
            statement.with_data,
            Some(query.into()),
        )?;
        Ok(if statement.with_data { tag } else { CommandTag::Plain("CREATE MATERIALIZED VIEW") })
    }

    pub(crate) fn refresh_materialized_view(
        &self,
        statement: &RefreshMaterializedViewStmt,
    ) -> Result<CommandTag> {
        // Concurrently means beside readers.
        let mode = match statement.concurrently {
            true => RelationLockMode::Exclusive,
            false => RelationLockMode::AccessExclusive,
        };
        let view = self.require_and_lock(&statement.name, mode, Need::Privileges(Privileges::MAINTAIN))?;
        if view.kind != RelationKind::MaterializedView {
            return Err(Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                format!("\"{}\" is not a materialized view", view.name),
            ));
        }
        if statement.concurrently {
            self.check_concurrent_refresh(&view, statement.with_data)?;
        }
        self.require_nothing_pending(&view, "REFRESH MATERIALIZED VIEW")?;
        let text = view.view_query.clone().unwrap_or_default();
        // What the query may read, and the functions in it, are the owner's.
        self.state.acting_as(view.owner, || match statement.concurrently {
            true => self.replace_rows(&view, &text),
            false => self.fill_view(&view, &own_statement(&text)?, statement.with_data),
        })?;
        Ok(CommandTag::Plain("REFRESH MATERIALIZED VIEW"))
    }

    fn check_concurrent_refresh(&self, view: &RelationDescriptor, with_data: bool) -> Result<()> {
        if !view.populated {
            return Err(Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                "CONCURRENTLY cannot be used when the materialized view is not populated",
            ));
        }
        if !with_data {
            return Err(Error::new(
                SqlState::SYNTAX_ERROR,
                "CONCURRENTLY and WITH NO DATA options cannot be used together",
            ));
        }
        let tells_rows_apart = |index: &ochre_catalog::IndexDescriptor| {
            index.unique && index.valid && index.predicate.is_none() && !index.has_expressions()
        };
        if view.indexes.iter().any(|index| tells_rows_apart(index)) {
            return Ok(());
        }
        let name = format!("{}.{}", self.namespace_name(view.namespace), view.name);
        Err(Error::new(
            SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
            format!("cannot refresh materialized view \"{name}\" concurrently"),
        )
        .hint("Create a unique index with no WHERE clause on one or more columns of the materialized view."))
    }

    /// Fills a materialized view anew, in a new file.
    fn fill_view(&self, view: &Arc<RelationDescriptor>, query: &Statement, with_data: bool) -> Result<()> {
        let (_, plan) = self.plan_parameterised(query, &[])?;
        self.state.check_plan(&plan)?;
        let indexes = view.indexes.clone();
        let mut bare = (**view).clone();
        bare.kind = RelationKind::Table;
        self.put_relation(bare)?;
        self.new_table_file(view.oid)?;
        let empty = self.relation(view.oid);
        if with_data {
            self.fill_from_plan(&empty, &plan, &[], true)?;
        }
        let mut whole = (*self.relation(view.oid)).clone();
        whole.kind = RelationKind::MaterializedView;
        whole.populated = with_data;
        self.put_relation(whole)?;
        self.txn().advance_command()?;
        for index in indexes {
            self.rebuild_index(index.oid)?;
        }
        Ok(())
    }

    /// Fills a materialized view anew beside its readers: its rows are deleted and inserted like those of a table.
    ///
    /// PostgreSQL compares the rows and changes those that differ; what the view shows is the same.
    fn replace_rows(&self, view: &Arc<RelationDescriptor>, query: &str) -> Result<()> {
        let run = |text: String| {
            let (_, plan) = self.plan_parameterised(&own_statement(&text)?, &[])?;
            self.state.check_plan(&plan)?;
            self.run_inner(&plan, &[], None, usize::MAX, &mut |_| Ok(true))
        };
        let mut bare = (**view).clone();
        bare.kind = RelationKind::Table;
        self.put_relation(bare)?;
        let name = oid_text(view.oid);
        run(format!("DELETE FROM {name}"))?;
        self.txn().advance_command()?;
        // A table of its own within parentheses: the query may have a WITH or an ORDER BY.
        run(format!("INSERT INTO {name} SELECT * FROM ({query}) AS rows"))
            .map_err(|error| self.duplicate_rows(view, query).unwrap_or(error))?;
        let mut whole = (*self.relation(view.oid)).clone();
        whole.kind = RelationKind::MaterializedView;
        self.put_relation(whole)?;
        self.txn().advance_command()
    }

    /// 21000 when a query gives a row twice that no NULL tells apart.
    fn duplicate_rows(&self, view: &RelationDescriptor, query: &str) -> Option<Error> {
        let names: Vec<String> =
            view.live_columns().map(|column| super::quote_identifier(&column.name)).collect();
        let names = names.join(", ");
        let text = format!(
            "SELECT ROW({names})::text FROM ({query}) AS rows({names}) WHERE ROW({names}) IS NOT NULL \
             GROUP BY {names} HAVING count(*) > 1 LIMIT 1"
        );
        let (_, plan) = self.plan_parameterised(&own_statement(&text).ok()?, &[]).ok()?;
        let mut row = None;
        let note = &mut |batch: &ochre_types::Batch| {
            row = batch.active().next().map(|at| batch.columns[0].datum(at));
            Ok(false)
        };
        self.run_inner(&plan, &[], None, usize::MAX, note).ok()?;
        let row = row?;
        Some(
            Error::new(
                SqlState::CARDINALITY_VIOLATION,
                format!(
                    "new data for materialized view \"{}\" contains duplicate rows without any null columns",
                    view.name
                ),
            )
            .detail(format!("Row: {}", row.as_str().unwrap_or_default())),
        )
    }

    /// The views whose text uses a relation.
    pub(crate) fn views_using(&self, relation: Oid) -> Vec<Arc<RelationDescriptor>> {
        let wanted = oid_text(relation);
        let catalog = self.state.catalog();
        let uses = |view: &&Arc<RelationDescriptor>| {
            !view.builtin && view.view_query.as_ref().is_some_and(|text| text.contains(&wanted))
        };
        let mut views: Vec<_> = catalog.relations().filter(uses).cloned().collect();
        views.sort_by_key(|view| view.oid);
        views
    }

    /// The views that use a column.
    pub(crate) fn views_using_column(
        &self,
        relation: Oid,
        number: i16,
    ) -> Result<Vec<Arc<RelationDescriptor>>> {
        let mut found = Vec::new();
        for view in self.views_using(relation) {
            let text = view.view_query.clone().unwrap_or_default();
            let Statement::Select(query) = own_statement(&text)? else {
                return Err(Error::internal("a view is no query"));
            };
            let bound = self.bind_view(&query)?;
            let uses = bound
                .uses
                .iter()
                .any(|(used, columns)| used.oid == relation && columns.contains(&(number as usize - 1)));
            if uses {
                found.push(view);
            }
        }
        Ok(found)
    }
}

/// How a relation stands in a view's text.
pub(crate) fn oid_text(oid: Oid) -> String {
    format!("{OID_NAMESPACE}.\"{oid}\"")
}

/// Whether a WITH entry of a query changes rows.
fn changes_rows(query: &SelectStmt) -> bool {
    let ctes = query.with.iter().flat_map(|with| &with.ctes);
    ctes.into_iter().any(|cte| !matches!(cte.query, Statement::Select(_)))
}

/// The value of `check_option`.
fn check_option(value: &str) -> Result<&str> {
    if matches!(value, "local" | "cascaded") {
        return Ok(value);
    }
    let message = format!("invalid value for enum option \"check_option\": {value}");
    Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
        .detail("Valid values are \"local\" and \"cascaded\"."))
}

fn view_options(statement: &CreateViewStmt) -> Result<Vec<Arc<str>>> {
    let mut options: Vec<Arc<str>> = Vec::new();
    let mut invoker = false;
    let mut barrier = None;
    let mut check = match statement.check_option {
        ViewCheckOption::None => None,
        ViewCheckOption::Local => Some("local".to_string()),
        ViewCheckOption::Cascaded => Some("cascaded".to_string()),
    };
    for option in &statement.options {
        let value = option.value.as_ref().map(ast::DefValue::as_text).unwrap_or_default();
        match option.name.as_str() {
            "check_option" => check = Some(check_option(&value)?.to_string()),
            "security_invoker" => {
                invoker = option.value.is_none() || crate::session::option_flag(option)?;
            }
            "security_barrier" => {
                barrier = Some(crate::session::option_flag(option)?);
            }
            other => {
                return Err(Error::new(
                    SqlState::INVALID_PARAMETER_VALUE,
                    format!("unrecognized parameter \"{other}\""),
                ));
            }
        }
    }
    if let Some(check) = check {
        options.push(format!("{CHECK_OPTION}{check}").into());
    }
    if invoker {
        options.push("security_invoker=true".into());
    }
    if let Some(barrier) = barrier {
        options.push(format!("security_barrier={barrier}").into());
    }
    Ok(options)
}

impl Session {
    /// ALTER VIEW … SET and RESET of options.
    pub(super) fn set_view_options(
        &self,
        view: &RelationDescriptor,
        changes: &[ast::DefElem],
        reset: bool,
    ) -> Result<()> {
        let mut options = view.options.clone();
        for change in changes {
            let name = change.name.as_str();
            if !matches!(name, "security_barrier" | "security_invoker" | "check_option") {
                return Err(Error::new(
                    SqlState::INVALID_PARAMETER_VALUE,
                    format!("unrecognized parameter \"{name}\""),
                ));
            }
            options.retain(|option| option.split_once('=').is_none_or(|(known, _)| known != name));
            if reset {
                continue;
            }
            if name == "check_option" {
                let value = change.value.as_ref().map(ast::DefValue::as_text).unwrap_or_default();
                options.push(format!("{CHECK_OPTION}{}", check_option(&value)?).into());
                let Statement::Select(query) = own_statement(view.view_query.as_deref().unwrap_or_default())?
                else {
                    return Err(Error::internal("a view is no query"));
                };
                self.require_updatable(&query, &ochre_catalog::IMPLICIT_NAMESPACES)?;
                continue;
            }
            options.push(format!("{name}={}", crate::session::option_flag(change)?).into());
        }
        let mut changed = view.clone();
        changed.options = options;
        self.put_relation(changed)?;
        Ok(())
    }
}

fn view_columns(bound: &ViewBinding, names: &[ast::Name]) -> Result<Vec<ColumnDescriptor>> {
    if names.len() > bound.columns.len() {
        return Err(Error::new(
            SqlState::SYNTAX_ERROR,
            "CREATE VIEW specifies more column names than columns",
        ));
    }
    let columns = bound.columns.iter().map(|column| (&*column.name, column.ty));
    Ok(columns_of_query(columns, names)?.columns)
}

/// A view's query as `pg_get_viewdef` shows it.
pub(crate) fn definition(
    catalog: &CatalogSnapshot,
    path: &[Oid],
    view: &RelationDescriptor,
) -> Option<String> {
    let text = named_text(catalog, path, view.view_query.as_deref()?);
    let Ok(Statement::Select(query)) = own_statement(&text) else {
        return Some(format!(" {text};"));
    };
    let columns: Vec<&str> = view.live_columns().map(|column| &*column.name).collect();
    Some(ochre_parser::view_definition(&query, &columns))
}

/// A stored text with names in the place of object ids.
pub(crate) fn named_text(catalog: &CatalogSnapshot, path: &[Oid], text: &str) -> String {
    let marker = format!("{OID_NAMESPACE}.\"");
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(&marker) {
        out.push_str(&rest[..at]);
        let behind = &rest[at + marker.len()..];
        let Some(end) = behind.find('"') else { break };
        let relation = behind[..end].parse().ok().and_then(|oid| catalog.relation(Oid(oid)));
        rest = &behind[end + 1..];
        let routine = behind[..end].parse().ok().and_then(|oid| catalog.routine(Oid(oid)));
        if let Some(routine) = routine {
            if !path.contains(&routine.namespace)
                && let Some(namespace) = catalog.namespace(routine.namespace)
            {
                out.push_str(&super::quote_identifier(&namespace.name));
                out.push('.');
            }
            out.push_str(&super::quote_identifier(routine.name()));
            continue;
        }
        let Some(relation) = relation else {
            out.push_str(&format!("{marker}{}\"", &behind[..end]));
            continue;
        };
        let name = super::quote_identifier(&relation.name);
        let visible =
            catalog.find_relation(path, &relation.name).is_some_and(|found| found.oid == relation.oid);
        if !visible && let Some(namespace) = catalog.namespace(relation.namespace) {
            out.push_str(&super::quote_identifier(&namespace.name));
            out.push('.');
        }
        out.push_str(&name);
        // The alias that says no more than the name is left out.
        let alias = format!(" AS {name}");
        if let Some(after) = rest.strip_prefix(&alias)
            && !after.starts_with(|c: char| {
                c.is_alphanumeric() || c == '_' || c == ' ' && after[1..].starts_with('(')
            })
        {
            rest = after;
        }
    }
    out.push_str(rest);
    out
}
