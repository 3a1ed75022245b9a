//! What names mean: FROM items of a query and of the queries around it, and the names of WITH.

use std::sync::Arc;

use ochre_base::{Error, Result, SqlState};
use ochre_expr::Expr;
use ochre_parser::ast;
use ochre_types::SqlType;

use super::{Binder, system_column};
use crate::logical::{ColumnId, Logical, TableId};
use crate::physical::ScanColumn;

/// The names that a query sees.
#[derive(Clone)]
pub(crate) struct Scope<'s> {
    /// FROM items.
    pub items: Vec<ScopeItem>,
    /// The query around this one.
    pub parent: Option<&'s Scope<'s>>,
    /// Names of WITH.
    pub ctes: CteScope,
    /// Nesting of queries: column ids made here belong to it.
    pub depth: u32,
    /// Relations beside that cannot be mentioned here, for messages.
    pub hidden: Vec<HiddenRelation>,
}

/// A FROM item that cannot be mentioned where it stands.
#[derive(Debug, Clone)]
pub(crate) struct HiddenRelation {
    pub name: Arc<str>,
    /// LATERAL would make it visible.
    pub for_lateral: bool,
}

/// How a relation is named within a statement.
#[derive(Debug, Clone)]
pub(crate) struct RelationName {
    /// Its alias, or its own name.
    pub alias: Arc<str>,
    /// Its namespace's name, unless it has an alias.
    pub schema: Option<Arc<str>>,
}

/// A FROM item as names see it.
#[derive(Debug, Clone)]
pub(crate) struct ScopeItem {
    /// The name that qualifies its columns.
    pub alias: Option<Arc<str>>,
    /// The namespace's name when it is a relation without alias.
    pub schema: Option<Arc<str>>,
    /// Its columns.
    pub columns: ItemColumns,
    /// What it is.
    pub kind: ItemKind,
    /// The table that it is, whatever its columns are called.
    pub table: Option<TableId>,
    /// The tables that a sub-query or view has when row locks of this query mean them.
    pub lifted: Vec<TableId>,
    /// Whether unqualified names find its columns.
    pub columns_visible: bool,
    /// Whether qualified names find it.
    pub relation_visible: bool,
    /// Visible to LATERAL items only, while its own FROM list is being bound.
    pub lateral_only: bool,
    /// Mentioning it from a LATERAL item is an error: the join has no left side with it.
    pub lateral_forbidden: bool,
    /// It is what UPDATE or DELETE change, which their FROM does not see.
    pub is_target: bool,
    /// Composite function result: `alias` alone means the only column, not a row.
    pub scalar_function: bool,
    /// Whether names of system columns mean any of it.
    pub system_columns: bool,
    /// Its whole row as a column, where that is NULL beside rows of an outer join that it has no partner for.
    pub row: Option<ColumnId>,
    /// Of a view that is changed: the requirement that its columns, which are those of its base table, belong to.
    pub requirement: Option<usize>,
}

/// What a FROM item is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ItemKind {
    /// A table.
    Relation,
    /// A sub-query or view.
    Query,
    Join,
    Function,
    With,
    /// Rows that the session has at hand.
    Rows,
}

impl ScopeItem {
    /// The tables of this query whose rows a lock of the item means.
    pub fn locked_tables(&self) -> impl Iterator<Item = TableId> + '_ {
        self.table.into_iter().chain(self.lifted.iter().copied())
    }
}

/// The columns of a FROM item.
#[derive(Debug, Clone)]
pub(crate) enum ItemColumns {
    /// A table's, ids given at their first mention.
    Table(TableId),
    /// Given one by one: name and what it stands for.
    Listed(Vec<ItemColumn>),
}

/// A column of a FROM item.
#[derive(Debug, Clone)]
pub(crate) struct ItemColumn {
    pub name: Arc<str>,
    pub expr: Expr,
}

/// The names of WITH that are visible, inner ones first.
#[derive(Debug, Clone, Default)]
pub(crate) struct CteScope {
    entries: Option<Arc<CteEntry>>,
}

/// A name of WITH.
#[derive(Debug)]
pub(crate) struct CteEntry {
    pub name: Arc<str>,
    pub target: CteTarget,
    next: Option<Arc<CteEntry>>,
}

/// What a name of WITH stands for.
#[derive(Debug, Clone)]
pub(crate) enum CteTarget {
    /// An entry of the statement's list, with its columns.
    Cte { index: usize, columns: Arc<[(Arc<str>, SqlType)]> },
    /// The entry itself, seen from its recursive term.
    WorkTable { work_table: usize, index: usize, columns: Arc<[(Arc<str>, SqlType)]> },
    /// The entry itself, seen from where recursion is not possible.
    Forbidden(&'static str),
    /// A later entry of the same WITH (without RECURSIVE).
    Later,
}

impl CteScope {
    /// The scope with one more name.
    pub fn with(&self, name: Arc<str>, target: CteTarget) -> CteScope {
        CteScope { entries: Some(Arc::new(CteEntry { name, target, next: self.entries.clone() })) }
    }

    /// What a name stands for. A later entry hides no outer one.
    pub fn find(&self, name: &str) -> Option<&CteTarget> {
        let mut later = None;
        let mut entry = self.entries.as_deref();
        while let Some(found) = entry {
            match &found.target {
                _ if &*found.name != name => {}
                CteTarget::Later => later = Some(&found.target),
                target => return Some(target),
            }
            entry = found.next.as_deref();
        }
        later
    }
}

impl<'s> Scope<'s> {
    /// The scope around a whole statement.
    pub fn root(ctes: CteScope) -> Scope<'s> {
        Scope { items: Vec::new(), parent: None, ctes, depth: 0, hidden: Vec::new() }
    }

    /// An empty scope for a query inside this one.
    pub fn child(&'s self) -> Scope<'s> {
        Scope { parent: Some(self), depth: self.depth + 1, ..Scope::root(self.ctes.clone()) }
    }

    /// An empty scope for a query at the same place, for instance a subquery in FROM that is not LATERAL: it sees what is
    /// around this scope and not its items.
    pub fn sibling(&self) -> Scope<'s> {
        Scope {
            items: Vec::new(),
            parent: self.parent,
            ctes: self.ctes.clone(),
            depth: self.depth,
            hidden: self.hidden.clone(),
        }
    }

    /// Hides items from what does not see them; those in sight of LATERAL only are so for want of the word, unless it would
    /// not help.
    pub fn hide(&mut self, items: &[ScopeItem], for_lateral: bool) {
        let seen = items.iter().filter(|item| item.relation_visible);
        self.hidden.extend(seen.filter_map(|item| {
            let for_lateral = for_lateral && item.lateral_only && !item.lateral_forbidden;
            Some(HiddenRelation { name: Arc::clone(item.alias.as_ref()?), for_lateral })
        }));
    }
}

/// What a column reference was found to mean.
enum Found {
    None,
    One(Expr),
    Ambiguous,
}

impl Binder<'_> {
    /// Binds a column reference without star.
    pub(crate) fn bind_column_ref(&mut self, column: &ast::ColumnRef, scope: &Scope<'_>) -> Result<Expr> {
        if self.params.variables.is_none() {
            return self.bind_plain_column_ref(column, scope);
        }
        let found = self.bind_plain_column_ref(column, scope);
        if found.is_ok() && self.params.variables.as_ref().is_some_and(|variables| variables.columns_hide()) {
            return found;
        }
        let parts: Vec<&str> = column.parts.iter().map(|part| part.as_str()).collect();
        let variable = self.variable(&parts, column.pos);
        match (found, variable) {
            (found, Ok(None)) => found,
            (Err(error), _)
                if error.sqlstate() == SqlState::AMBIGUOUS_COLUMN
                    && !self.params.variables.as_ref().is_some_and(|variables| variables.hides_columns()) =>
            {
                Err(error)
            }
            (Err(_), Ok(Some(variable))) => Ok(variable),
            (Err(_), Err(error)) => Err(error),
            (Ok(found), Err(_)) => Ok(found),
            (Ok(_), Ok(Some(variable)))
                if self.params.variables.as_ref().is_some_and(|variables| variables.hides_columns()) =>
            {
                Ok(variable)
            }
            (Ok(_), Ok(Some(_))) => {
                let error = Error::new(
                    SqlState::AMBIGUOUS_COLUMN,
                    format!("column reference \"{}\" is ambiguous", dotted(&column.parts)),
                )
                .detail("It could refer to either a PL/pgSQL variable or a table column.");
                Err(self.at(error, column.pos))
            }
        }
    }

    fn bind_plain_column_ref(&mut self, column: &ast::ColumnRef, scope: &Scope<'_>) -> Result<Expr> {
        match column.parts.as_slice() {
            [name] => self.bind_bare_name(name, column.pos, scope),
            [table, name] => self.bind_qualified(None, table, name, column, scope),
            [schema, table, name] => self.bind_qualified(Some(schema), table, name, column, scope),
            [catalog, schema, table, name] => {
                self.check_catalog_name(catalog, column)?;
                self.bind_qualified(Some(schema), table, name, column, scope)
            }
            _ => {
                let error = Error::new(
                    SqlState::SYNTAX_ERROR,
                    format!("improper qualified name (too many dotted names): {}", dotted(&column.parts)),
                );
                Err(self.at(error, column.pos))
            }
        }
    }

    fn check_catalog_name(&self, catalog: &str, column: &ast::ColumnRef) -> Result<()> {
        if catalog == self.session.database() {
            return Ok(());
        }
        let error = Error::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            format!("cross-database references are not implemented: {}", dotted(&column.parts)),
        );
        Err(self.at(error, column.pos))
    }

    fn bind_bare_name(&mut self, name: &str, pos: ast::Pos, scope: &Scope<'_>) -> Result<Expr> {
        let mut level = Some(scope);
        while let Some(current) = level {
            match self.find_column(name, pos, current)? {
                Found::One(expr) => {
                    self.note_columns(pos, |binder| Some(binder.column_text(name, &expr, scope)));
                    return Ok(expr);
                }
                Found::Ambiguous => {
                    let error = Error::new(
                        SqlState::AMBIGUOUS_COLUMN,
                        format!("column reference \"{name}\" is ambiguous"),
                    );
                    return Err(self.at(error, pos));
                }
                Found::None => level = current.parent,
            }
        }
        // PostgreSQL's last resort: a FROM item's name alone is its whole row.
        if let Some((item, depth)) = self.find_item(None, name, pos, scope)? {
            let item = item.clone();
            return self.whole_row(&item, depth);
        }
        Err(self.undefined_column(None, name, pos, scope))
    }

    /// Looks a column up in one query's FROM items.
    fn find_column(&mut self, name: &str, pos: ast::Pos, scope: &Scope<'_>) -> Result<Found> {
        let mut found = Found::None;
        for item in &scope.items {
            if !item.columns_visible {
                continue;
            }
            let Some(expr) = self.item_column(item, name, scope.depth, false) else { continue };
            let twice = match &item.columns {
                ItemColumns::Listed(columns) => {
                    columns.iter().filter(|column| &*column.name == name).nth(1).is_some()
                }
                ItemColumns::Table(_) => false,
            };
            if twice || matches!(found, Found::One(_)) {
                return Ok(Found::Ambiguous);
            }
            if item.lateral_only {
                self.check_lateral(item, pos)?;
            }
            self.mention_column(item, name, &expr);
            found = Found::One(expr);
        }
        if matches!(found, Found::None) && system_column(name).is_some() {
            for item in &scope.items {
                if !item.columns_visible {
                    continue;
                }
                if let Some(expr) = self.item_column(item, name, scope.depth, true) {
                    if matches!(found, Found::One(_)) {
                        return Ok(Found::Ambiguous);
                    }
                    self.mention_column(item, name, &expr);
                    found = Found::One(expr);
                }
            }
        }
        Ok(found)
    }

    fn check_lateral(&self, item: &ScopeItem, pos: ast::Pos) -> Result<()> {
        if !item.lateral_forbidden {
            return Ok(());
        }
        let alias = item.alias.as_deref().unwrap_or("unnamed_join");
        let error = Error::new(
            SqlState::INVALID_COLUMN_REFERENCE,
            format!("invalid reference to FROM-clause entry for table \"{alias}\""),
        );
        let error = match item.is_target {
            true => error.hint(out_of_reach(alias)),
            false => error.detail("The combining JOIN type must be INNER or LEFT for a LATERAL reference."),
        };
        Err(self.at(error, pos))
    }

    /// A column of an item by name, a system column when asked for.
    pub(crate) fn item_column(
        &mut self,
        item: &ScopeItem,
        name: &str,
        depth: u32,
        system: bool,
    ) -> Option<Expr> {
        match &item.columns {
            ItemColumns::Table(table) => {
                let descriptor = &self.tables[*table].table;
                let position =
                    descriptor.columns.iter().position(|column| !column.dropped && &*column.name == name);
                let column = match position {
                    Some(position) => ScanColumn::Table(position),
                    None if system
                        && item.system_columns
                        && !matches!(descriptor.kind, ochre_catalog::RelationKind::View) =>
                    {
                        system_column(name)?
                    }
                    None => return None,
                };
                let id = self.table_column(*table, column, depth);
                Some(self.column_expr(id))
            }
            ItemColumns::Listed(columns) => {
                columns.iter().find(|column| &*column.name == name).map(|column| column.expr.clone())
            }
        }
    }

    /// Finds the FROM item that a qualifier names.
    fn find_item<'x>(
        &self,
        schema: Option<&str>,
        table: &str,
        pos: ast::Pos,
        scope: &'x Scope<'x>,
    ) -> Result<Option<(&'x ScopeItem, u32)>> {
        let mut level = Some(scope);
        while let Some(current) = level {
            let mut found: Option<&ScopeItem> = None;
            for item in &current.items {
                let matches = item.relation_visible
                    && item.alias.as_deref() == Some(table)
                    && schema.is_none_or(|schema| item.schema.as_deref() == Some(schema));
                if !matches {
                    continue;
                }
                if found.is_some() {
                    let error = Error::new(
                        SqlState::AMBIGUOUS_ALIAS,
                        format!("table reference \"{table}\" is ambiguous"),
                    );
                    return Err(self.at(error, pos));
                }
                found = Some(item);
            }
            if let Some(item) = found {
                if item.lateral_only {
                    self.check_lateral(item, pos)?;
                }
                return Ok(Some((item, current.depth)));
            }
            level = current.parent;
        }
        Ok(None)
    }

    fn bind_qualified(
        &mut self,
        schema: Option<&ast::Name>,
        table: &ast::Name,
        name: &ast::Name,
        column: &ast::ColumnRef,
        scope: &Scope<'_>,
    ) -> Result<Expr> {
        let Some((item, depth)) = self.find_item(schema.map(|s| s.as_str()), table, column.pos, scope)?
        else {
            // `a.b` may also be field b of column a.
            if schema.is_none() {
                let mut level = Some(scope);
                while let Some(current) = level {
                    if let Found::One(record) = self.find_column(table, column.pos, current)? {
                        return self.bind_field(record, name, column.pos);
                    }
                    level = current.parent;
                }
            }
            return Err(self.missing_from(schema.map(|s| s.as_str()), table, column.pos, scope));
        };
        let item = item.clone();
        match self.item_column(&item, name, depth, true) {
            Some(expr) => {
                self.mention_column(&item, name, &expr);
                if schema.is_some() {
                    self.note_columns(column.pos, |_| {
                        Some(format!(
                            "{}.{}",
                            ochre_parser::quote_identifier(table),
                            ochre_parser::quote_identifier(name)
                        ))
                    });
                }
                if let ItemColumns::Listed(columns) = &item.columns
                    && columns.iter().filter(|column| column.name.as_ref() == name.as_str()).count() > 1
                {
                    let error = Error::new(
                        SqlState::AMBIGUOUS_COLUMN,
                        format!("column reference \"{name}\" is ambiguous"),
                    );
                    return Err(self.at(error, column.pos));
                }
                Ok(expr)
            }
            None => Err(self.undefined_column(Some(table), name, column.pos, scope)),
        }
    }

    /// The whole row of a FROM item.
    pub(crate) fn whole_row(&mut self, item: &ScopeItem, depth: u32) -> Result<Expr> {
        match &item.columns {
            ItemColumns::Table(table) => {
                self.mention(*table, ScanColumn::WholeRow);
                let id = self.table_column(*table, ScanColumn::WholeRow, depth);
                Ok(self.column_expr(id))
            }
            ItemColumns::Listed(columns) if item.scalar_function && columns.len() == 1 => {
                Ok(columns[0].expr.clone())
            }
            ItemColumns::Listed(columns) => match self.row_of_item(item) {
                Some(row) => {
                    self.rows_used.insert(row);
                    Ok(self.column_expr(row))
                }
                None => Ok(row_of(columns)),
            },
        }
    }

    /// The column that stands for a listed item's whole row, which is mentioned.
    fn row_of_item(&mut self, item: &ScopeItem) -> Option<ColumnId> {
        self.mention_all(item);
        item.row
    }

    /// Gives an item that rows of an outer join may come without its whole row as a column, made where the item stands.
    pub(super) fn with_row(&mut self, plan: Logical, item: &mut ScopeItem, depth: u32) -> Logical {
        let ItemColumns::Listed(columns) = &mut item.columns else { return plan };
        if !self.beside_missing || item.scalar_function && columns.len() == 1 {
            return plan;
        }
        let row = row_of(columns);
        let mut items: Vec<(ColumnId, Expr)> = Vec::with_capacity(columns.len() + 1);
        for column in columns {
            let ty = column.expr.ty();
            match &column.expr {
                Expr::Column { index, .. } if items.iter().any(|(known, _)| known == index) => {}
                Expr::Column { index, .. } => items.push((*index, column.expr.clone())),
                _ => {
                    let index = self.new_column(Arc::clone(&column.name), ty, depth);
                    items.push((index, std::mem::replace(&mut column.expr, Expr::Column { index, ty })));
                }
            }
        }
        let id = self.new_column(item.alias.clone().unwrap_or_else(|| "row".into()), row.ty(), depth);
        items.push((id, row));
        item.row = Some(id);
        self.rows_made.insert(id);
        Logical::Project { input: Box::new(plan), items }
    }

    /// Every column of an item, for `*`.
    pub(crate) fn item_columns(&mut self, item: &ScopeItem, depth: u32) -> Vec<ItemColumn> {
        match &item.columns {
            ItemColumns::Table(table) => {
                let table = *table;
                let descriptor = Arc::clone(&self.tables[table].table);
                let live = descriptor.columns.iter().enumerate().filter(|(_, column)| !column.dropped);
                live.map(|(position, column)| {
                    let id = self.table_column(table, ScanColumn::Table(position), depth);
                    ItemColumn { name: Arc::clone(&column.name), expr: self.column_expr(id) }
                })
                .collect()
            }
            ItemColumns::Listed(columns) => columns.clone(),
        }
    }

    /// `t.*` where one value is wanted.
    pub(crate) fn bind_whole_row(&mut self, column: &ast::ColumnRef, scope: &Scope<'_>) -> Result<Expr> {
        let (schema, table) = match column.parts.as_slice() {
            [table] => (None, table),
            [schema, table] => (Some(schema.as_str()), table),
            _ => return Err(self.at(Error::unsupported("a name with so many parts"), column.pos)),
        };
        match self.find_item(schema, table, column.pos, scope)? {
            Some((item, depth)) => {
                let item = item.clone();
                self.whole_row(&item, depth)
            }
            None => Err(self.missing_from(schema, table, column.pos, scope)),
        }
    }

    /// The columns that `*` or `t.*` stands for.
    pub(crate) fn expand_star(
        &mut self,
        column: &ast::ColumnRef,
        scope: &Scope<'_>,
    ) -> Result<Vec<ItemColumn>> {
        if column.parts.is_empty() {
            if !scope.items.iter().any(|item| item.columns_visible) {
                let error =
                    Error::new(SqlState::SYNTAX_ERROR, "SELECT * with no tables specified is not valid");
                return Err(self.at(error, column.pos));
            }
            let mut all = Vec::new();
            for item in &scope.items {
                if item.columns_visible {
                    self.mention_all(item);
                    all.extend(self.item_columns(item, scope.depth));
                }
            }
            return Ok(all);
        }
        let parts = column.parts.as_slice();
        if let Some(variables) = self.params.variables.clone() {
            let names: Vec<&str> = parts.iter().map(|part| part.as_str()).collect();
            let known = match names.as_slice() {
                [table] => self.find_item(None, table, column.pos, scope)?.is_some(),
                _ => false,
            };
            if !known && let Some(fields) = self.locate(variables.fields(&names), column.pos)? {
                let item = |(name, found)| ItemColumn { name, expr: self.use_variable(found) };
                return Ok(fields.into_iter().map(item).collect());
            }
        }
        let (schema, table) = match parts {
            [table] => (None, table),
            [schema, table] => (Some(schema), table),
            [catalog, schema, table] => {
                self.check_catalog_name(catalog, column)?;
                (Some(schema), table)
            }
            _ => return Err(self.at(Error::unsupported("a name with so many parts"), column.pos)),
        };
        match self.find_item(schema.map(|s| s.as_str()), table, column.pos, scope)? {
            Some((item, depth)) => {
                let item = item.clone();
                self.mention_all(&item);
                Ok(self.item_columns(&item, depth))
            }
            None => Err(self.missing_from(schema.map(|s| s.as_str()), table, column.pos, scope)),
        }
    }

    /// 42P01 for a qualifier that names no FROM item.
    fn missing_from(&self, schema: Option<&str>, table: &str, pos: ast::Pos, scope: &Scope<'_>) -> Error {
        let mut level = Some(scope);
        while let Some(current) = level {
            for item in &current.items {
                let same_alias = item.alias.as_deref() == Some(table) && schema.is_none();
                if same_alias && !item.relation_visible {
                    let error = Error::new(
                        SqlState::UNDEFINED_TABLE,
                        format!("invalid reference to FROM-clause entry for table \"{table}\""),
                    )
                    .detail(out_of_reach(table));
                    return self.at(error, pos);
                }
                let hidden = match &item.columns {
                    ItemColumns::Table(id) => {
                        let used = &self.tables[*id];
                        &*used.table.name == table && item.alias.as_deref() != Some(table)
                    }
                    ItemColumns::Listed(_) => false,
                };
                if hidden {
                    let alias = item.alias.as_deref().unwrap_or_default();
                    let error = Error::new(
                        SqlState::UNDEFINED_TABLE,
                        format!("invalid reference to FROM-clause entry for table \"{table}\""),
                    )
                    .hint(format!("Perhaps you meant to reference the table alias \"{alias}\"."));
                    return self.at(error, pos);
                }
            }
            let hidden = current.hidden.iter().find(|hidden| &*hidden.name == table && schema.is_none());
            if let Some(hidden) = hidden {
                let message = format!("invalid reference to FROM-clause entry for table \"{table}\"");
                let mut error = Error::new(SqlState::UNDEFINED_TABLE, message).detail(out_of_reach(table));
                if hidden.for_lateral {
                    error = error.hint("To reference that table, you must mark this subquery with LATERAL.");
                }
                return self.at(error, pos);
            }
            level = current.parent;
        }
        let error = Error::new(
            SqlState::UNDEFINED_TABLE,
            match schema {
                Some(schema) => format!("missing FROM-clause entry for table \"{schema}.{table}\""),
                None => format!("missing FROM-clause entry for table \"{table}\""),
            },
        );
        self.at(error, pos)
    }

    /// 42703 with PostgreSQL's guess at what was meant.
    fn undefined_column(
        &mut self,
        table: Option<&str>,
        name: &str,
        pos: ast::Pos,
        scope: &Scope<'_>,
    ) -> Error {
        let message = match table {
            Some(table) => format!("column {table}.{name} does not exist"),
            None => format!("column \"{name}\" does not exist"),
        };
        let mut error = Error::new(SqlState::UNDEFINED_COLUMN, message);
        if let Some(hint) = self.suggest_column(table, name, scope) {
            error = error.hint(hint);
        }
        self.at(error, pos)
    }

    fn suggest_column(&self, table: Option<&str>, name: &str, scope: &Scope<'_>) -> Option<String> {
        // As PostgreSQL: distances of the alias count three times those of the column, nothing farther than half the
        // name's length is offered, and at most two equally good candidates.
        let mut best = usize::MAX;
        let mut candidates: Vec<(String, String)> = Vec::new();
        let mut level = Some(scope);
        while let Some(current) = level {
            for item in &current.items {
                let Some(alias) = item.alias.as_deref() else { continue };
                let penalty = match table {
                    Some(wanted) if wanted != alias => edit_distance(wanted, alias),
                    _ => 0,
                };
                let names: Vec<&str> = match &item.columns {
                    ItemColumns::Table(id) => {
                        self.tables[*id].table.live_columns().map(|column| &*column.name).collect()
                    }
                    ItemColumns::Listed(columns) => columns.iter().map(|column| &*column.name).collect(),
                };
                for candidate in names {
                    let distance = penalty + edit_distance(name, candidate);
                    if edit_distance(name, candidate) > name.chars().count() / 2
                        || distance > 3.max(name.len() / 2)
                    {
                        continue;
                    }
                    if distance < best {
                        best = distance;
                        candidates.clear();
                    }
                    if distance == best {
                        candidates.push((alias.to_owned(), candidate.to_owned()));
                    }
                }
            }
            level = current.parent;
        }
        match candidates.as_slice() {
            [(alias, column)] => {
                Some(format!("Perhaps you meant to reference the column \"{alias}.{column}\"."))
            }
            [(a, x), (b, y)] => Some(format!(
                "Perhaps you meant to reference the column \"{a}.{x}\" or the column \"{b}.{y}\"."
            )),
            _ => None,
        }
    }
}

fn out_of_reach(table: &str) -> String {
    format!(
        "There is an entry for table \"{table}\", but it cannot be referenced from this part of the query."
    )
}

/// The parts of a name with dots between them.
pub(crate) fn dotted(parts: &[ast::Name]) -> String {
    let texts: Vec<&str> = parts.iter().map(|part| part.as_str()).collect();
    texts.join(".")
}

/// Levenshtein distance.
fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replace = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replace.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

/// A row of these columns.
fn row_of(columns: &[ItemColumn]) -> Expr {
    let fields: Vec<(Arc<str>, SqlType)> =
        columns.iter().map(|column| (Arc::clone(&column.name), column.expr.ty())).collect();
    Expr::Row {
        fields: columns.iter().map(|column| column.expr.clone()).collect(),
        ty: ochre_types::named_record_type(&fields),
    }
}
