//! The binder: AST to logical plan. Names become column ids, operators and calls become functions of the registry, literals
//! and parameters get types, by PostgreSQL's rules and with PostgreSQL's errors.
//!
//! # Where to look
//! - what a name means: [`scope`], FROM items: [`from`]
//! - expressions: [`expr`], calls: [`call`], overloads: [`overload`], conversions: [`coerce`], type names: [`type_name`]
//! - queries: [`select`], grouping: [`group`], WITH: [`cte`], [`search_cycle`]
//! - INSERT, UPDATE, DELETE: [`dml`], MERGE: [`merge`], RETURNING: [`returning`], expressions of DDL: [`ddl`]
//!
//! # Not done
//! An aggregate that belongs to an outer query and has a subquery among its arguments.

mod call;
mod cells;
mod coerce;
mod cte;
mod ddl;
mod dml;
mod expr;
mod foreign_key;
mod from;
mod group;
mod hypothetical;
mod level;
mod locking;
mod merge;
mod on_conflict;
mod overload;
mod parts;
pub(crate) mod requirements;
mod returning;
mod scope;
mod search_cycle;
mod select;
mod set_keys;
mod stored_text;
mod target;
mod type_name;
mod updatable;
pub mod view;
mod window;

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use ochre_base::{Error, Oid, Result, SqlState};
use ochre_catalog::{CatalogSnapshot, RelationDescriptor};
use ochre_expr::{Expr, FunctionRef, SessionContext};
use ochre_parser::ast;
use ochre_types::{Datum, SqlType};

use crate::logical::{
    ColumnId, ColumnInfo, FromName, Logical, LogicalBody, LogicalCte, LogicalStatement, Subquery, TableId,
    TableUse,
};
use crate::physical::{ColumnOrigin, CommandKind, RelationAccess, Requirement, ScanColumn};
use crate::walk::each_node_mut;

pub use coerce::{CoercionContext, fitting_result, is_polymorphic, split_identifier};
pub use ddl::{
    RowExpression, RowExpressionBinder, TriggerCondition, actual_type, bind_procedure_call,
    bind_trigger_condition, bind_type, bind_typed_expression, view_columns,
};
pub use expr::collation_named;
pub use foreign_key::{foreign_key_check, key_part, referenced_index, referenced_key};
pub(crate) use foreign_key::{foreign_keys_of, is_part_of_index, referenced_tables, references_to};
use scope::{CteScope, Scope};
pub use updatable::update_obstacle;

/// Views may nest this deeply.
const MAX_VIEW_DEPTH: u32 = 64;

/// The types of a statement's parameters: `None` while nothing has decided a type.
#[derive(Debug, Clone, Default)]
pub struct ParamTypes {
    types: Vec<Option<SqlType>>,
    fixed: bool,
    /// What names stand for that are no columns: arguments and variables of a routine's body.
    variables: Option<Arc<dyn Variables>>,
    /// Names in FROM that stand for rows that the session has at hand.
    row_sets: RowSets,
    /// The values that alone the plan is to serve, if it is for certain ones.
    values: Vec<Datum>,
}

/// Names with the functions that give their rows.
pub type RowSets = Arc<[(Arc<str>, FunctionRef)]>;

/// Names of a routine's body that mean parameters of its statements.
pub trait Variables: std::fmt::Debug + Send + Sync {
    /// What the parts of a dotted name mean, if anything: the parameter, and how many parts named it; those behind are
    /// fields.
    ///
    /// # Errors
    /// 42703 for a field that a record lacks, 55000 for a record without a shape.
    fn resolve(&self, parts: &[&str]) -> Result<Option<(VariableUse, usize)>>;

    /// The fields of a row or record, for `name.*`.
    ///
    /// # Errors
    /// 55000 for a record without a shape.
    fn fields(&self, parts: &[&str]) -> Result<Option<RowVariables>>;

    /// Whether a column hides a variable of its name; otherwise the name is ambiguous.
    fn columns_hide(&self) -> bool;

    /// Whether a variable hides a column of its name.
    fn hides_columns(&self) -> bool {
        false
    }
}

/// The fields of a row with the parameters that stand for them.
pub type RowVariables = Vec<(Arc<str>, VariableUse)>;

/// A parameter that a name stands for.
#[derive(Debug, Clone, Copy)]
pub struct VariableUse {
    /// Its index: `$1` has 0.
    pub index: usize,
    pub ty: SqlType,
}

impl ParamTypes {
    /// Parameters whose types the client may have given; 0 or `unknown` leave the decision to the binder, and more
    /// parameters may turn up.
    pub fn new(catalog: &CatalogSnapshot, declared: &[Oid]) -> ParamTypes {
        let types = declared
            .iter()
            .map(|oid| (oid.is_valid() && *oid != SqlType::UNKNOWN.oid).then(|| catalog.sql_type(*oid)))
            .collect();
        ParamTypes { types, ..ParamTypes::default() }
    }

    /// Parameters of these types and no others.
    pub fn of_types(types: &[SqlType]) -> ParamTypes {
        let types = types.iter().map(|ty| Some(*ty)).collect();
        ParamTypes { types, fixed: true, ..ParamTypes::default() }
    }

    /// Parameters of these types and no others, some of which have names.
    pub fn of_routine(types: &[SqlType], variables: Arc<dyn Variables>) -> ParamTypes {
        let types = types.iter().map(|ty| Some(*ty)).collect();
        ParamTypes { types, fixed: true, variables: Some(variables), ..ParamTypes::default() }
    }

    /// The same where these names in FROM stand for rows.
    pub fn with_row_sets(self, row_sets: &RowSets) -> ParamTypes {
        ParamTypes { row_sets: Arc::clone(row_sets), ..self }
    }

    /// No parameters are allowed: `$1` is 42P02.
    pub fn none() -> ParamTypes {
        ParamTypes { fixed: true, ..ParamTypes::default() }
    }

    /// The same for a plan that serves these values alone: they are known when it is made.
    pub fn with_values(self, values: &[Datum]) -> ParamTypes {
        ParamTypes { values: values.to_vec(), ..self }
    }

    pub(crate) fn values(&self) -> &[Datum] {
        &self.values
    }

    /// The types as they stand.
    pub fn types(&self) -> &[Option<SqlType>] {
        &self.types
    }

    /// The types when all are decided.
    ///
    /// # Errors
    /// 42P18 for a parameter that nothing gave a type.
    pub fn decided(&self) -> Result<Vec<SqlType>> {
        let undecided = |index: usize| {
            Error::new(
                SqlState::INDETERMINATE_DATATYPE,
                format!("could not determine data type of parameter ${}", index + 1),
            )
        };
        self.types.iter().enumerate().map(|(i, ty)| ty.ok_or_else(|| undecided(i))).collect()
    }
}

/// Binds one statement.
pub struct Binder<'a> {
    catalog: &'a CatalogSnapshot,
    /// Namespaces in the order of the search, implicit ones included.
    search_path: &'a [Oid],
    session: &'a dyn SessionContext,
    params: &'a mut ParamTypes,
    columns: Vec<ColumnInfo>,
    tables: Vec<TableUse>,
    from_names: Vec<FromName>,
    subqueries: Vec<Option<Subquery>>,
    ctes: Vec<Option<LogicalCte>>,
    /// How often each entry of `ctes` is read.
    cte_references: Vec<usize>,
    /// Number of frames: the main query and every query inside an expression.
    frames: usize,
    /// The frame being bound.
    frame: usize,
    work_tables: usize,
    /// How often each recursive entry mentions itself.
    recursive_references: Vec<usize>,
    relations: Vec<(Arc<RelationDescriptor>, RelationAccess)>,
    /// What inherits from them and takes part.
    members: Vec<(Arc<RelationDescriptor>, RelationAccess)>,
    /// What the statement must be allowed to.
    requirements: Vec<Requirement>,
    /// The role that must be allowed to do what is being bound: a view's owner; invalid for whoever runs the statement.
    checked_as: Oid,
    /// Columns that stand for a view's, with the view's requirement and their numbers.
    view_columns: HashMap<ColumnId, (usize, i16)>,
    /// The namespaces that names in the text say.
    namespaces: RefCell<Vec<Oid>>,
    view_depth: u32,
    /// An item of FROM is being bound that rows of an outer join may come without.
    beside_missing: bool,
    /// What is asked of the query that is bound next.
    asked: locking::Asked,
    /// What row locks ask of the items of FROM that are being bound.
    item_locks: Vec<locking::ItemLock>,
    /// The tables of the query just bound, when the query around it locks their rows.
    lifted: Option<Vec<TableId>>,
    /// The tables whose row ids a cursor's query gives behind its columns.
    cursor_tables: Vec<Oid>,
    /// Whole rows that items of FROM have as columns, and those of them that something mentions.
    rows_made: HashSet<ColumnId>,
    rows_used: HashSet<ColumnId>,
    /// The queries being bound, outermost first.
    levels: Vec<level::Level>,
    /// What `merge_action()` stands for, in RETURNING of MERGE.
    merge_action: Option<ColumnId>,
    /// Text of a view or a stored expression is being bound: positions mean nothing to the client.
    hide_positions: u32,
    /// What names meant, when that is asked for (CREATE VIEW).
    edits: Option<std::collections::BTreeMap<usize, view::NameEdit>>,
}

impl<'a> Binder<'a> {
    /// A binder for one statement.
    pub fn new(
        catalog: &'a CatalogSnapshot,
        search_path: &'a [Oid],
        session: &'a dyn SessionContext,
        params: &'a mut ParamTypes,
    ) -> Binder<'a> {
        Binder {
            catalog,
            search_path,
            session,
            params,
            columns: Vec::new(),
            tables: Vec::new(),
            from_names: Vec::new(),
            subqueries: Vec::new(),
            ctes: Vec::new(),
            cte_references: Vec::new(),
            frames: 1,
            frame: 0,
            work_tables: 0,
            recursive_references: Vec::new(),
            relations: Vec::new(),
            members: Vec::new(),
            requirements: Vec::new(),
            checked_as: Oid::INVALID,
            view_columns: HashMap::new(),
            namespaces: RefCell::default(),
            view_depth: 0,
            beside_missing: false,
            asked: locking::Asked::default(),
            item_locks: Vec::new(),
            lifted: None,
            cursor_tables: Vec::new(),
            rows_made: HashSet::new(),
            rows_used: HashSet::new(),
            levels: Vec::new(),
            merge_action: None,
            hide_positions: 0,
            edits: None,
        }
    }

    /// As [`Binder::bind`] for a cursor: [`LogicalStatement::cursor_tables`] tells which row ids there are behind the columns.
    ///
    /// # Errors
    /// As [`Binder::bind`].
    pub fn bind_cursor(mut self, statement: &ast::Statement) -> Result<LogicalStatement> {
        self.asked.row_ids = true;
        self.bind(statement)
    }

    /// Binds a query or a data-modifying statement.
    ///
    /// # Errors
    /// PostgreSQL's, with positions; 0A000 for statements of another kind.
    pub fn bind(mut self, statement: &ast::Statement) -> Result<LogicalStatement> {
        let scope = Scope::root(CteScope::default());
        let (command, body) = match statement {
            ast::Statement::Select(select) => {
                (CommandKind::Select, LogicalBody::Query(self.bind_query(select, &scope)?))
            }
            _ => self.bind_modifying(statement, &scope)?,
        };
        self.finish(command, body)
    }

    /// Takes out of a plan what makes whole rows that nothing mentions.
    fn drop_unused_rows(&self, plan: &mut Logical) {
        let unused = |id: &ColumnId| self.rows_made.contains(id) && !self.rows_used.contains(id);
        let passes_on =
            |(id, expr): &(ColumnId, Expr)| matches!(expr, Expr::Column { index, .. } if index == id);
        each_node_mut(plan, &mut |node| {
            while let Logical::Project { input, items } = node
                && items.last().is_some_and(|(id, _)| unused(id))
            {
                items.pop();
                if items.iter().all(passes_on) {
                    *node = std::mem::replace(&mut **input, Logical::Dummy { row: true });
                }
            }
        });
    }

    fn finish(mut self, command: CommandKind, mut body: LogicalBody) -> Result<LogicalStatement> {
        if self.rows_made.len() > self.rows_used.len() {
            let (mut ctes, mut subqueries) =
                (std::mem::take(&mut self.ctes), std::mem::take(&mut self.subqueries));
            let bodies = ctes.iter_mut().flatten().map(|cte| &mut cte.body).chain([&mut body]);
            let plans = bodies.map(|body| match body {
                LogicalBody::Query(query) => &mut query.plan,
                LogicalBody::Modify(modify) => &mut modify.source.plan,
            });
            let inner = subqueries.iter_mut().flatten().map(|subquery| &mut subquery.query.plan);
            plans.chain(inner).for_each(|plan| self.drop_unused_rows(plan));
            (self.ctes, self.subqueries) = (ctes, subqueries);
        }
        for (member, access) in std::mem::take(&mut self.members) {
            self.use_relation(&member, access);
        }
        let missing = || Error::internal("a subquery was left unbound");
        let mut ctes = Vec::with_capacity(self.ctes.len());
        for (cte, references) in self.ctes.into_iter().zip(self.cte_references) {
            let mut cte = cte.ok_or_else(missing)?;
            cte.references = references;
            ctes.push(cte);
        }
        Ok(LogicalStatement {
            command,
            body,
            columns: self.columns,
            tables: self.tables,
            subqueries: self.subqueries.into_iter().map(|s| s.ok_or_else(missing)).collect::<Result<_>>()?,
            from_names: self.from_names,
            ctes,
            work_tables: self.work_tables,
            relations: self.relations,
            requirements: self.requirements,
            namespaces: self.namespaces.into_inner(),
            alternatives: Default::default(),
            cursor_tables: self.cursor_tables,
        })
    }

    /// Binds INSERT, UPDATE, DELETE (and MERGE), as a statement or in WITH.
    pub(crate) fn bind_modifying(
        &mut self,
        statement: &ast::Statement,
        scope: &Scope<'_>,
    ) -> Result<(CommandKind, LogicalBody)> {
        Ok(match statement {
            ast::Statement::Insert(insert) => {
                (CommandKind::Insert, LogicalBody::Modify(Box::new(self.bind_insert(insert, scope)?)))
            }
            ast::Statement::Update(update) => {
                (CommandKind::Update, LogicalBody::Modify(Box::new(self.bind_update(update, scope)?)))
            }
            ast::Statement::Delete(delete) => {
                (CommandKind::Delete, LogicalBody::Modify(Box::new(self.bind_delete(delete, scope)?)))
            }
            ast::Statement::Merge(merge) => {
                (CommandKind::Merge, LogicalBody::Modify(Box::new(self.bind_merge(merge, scope)?)))
            }
            _ => return Err(Error::unsupported("a utility statement in the place of a query")),
        })
    }

    /// A new column id.
    fn new_column(&mut self, name: impl Into<Arc<str>>, ty: SqlType, depth: u32) -> ColumnId {
        self.columns.push(ColumnInfo { name: name.into(), ty, origin: None, depth, table: None });
        self.columns.len() - 1
    }

    /// A reference to a column id.
    fn column_expr(&self, id: ColumnId) -> Expr {
        Expr::Column { index: id, ty: self.columns[id].ty }
    }

    /// The id of a table's column in one FROM item, made at its first mention.
    fn table_column(&mut self, table: TableId, column: ScanColumn, depth: u32) -> ColumnId {
        if let Some((_, id)) = self.tables[table].columns.iter().find(|(known, _)| *known == column) {
            return *id;
        }
        let descriptor = &self.tables[table].table;
        let (name, ty, origin): (Arc<str>, SqlType, _) = match column {
            ScanColumn::Table(position) => {
                let found = &descriptor.columns[position];
                let origin = ColumnOrigin { table: descriptor.oid, attribute: found.number };
                (Arc::clone(&found.name), found.ty, Some(origin))
            }
            ScanColumn::WholeRow => {
                let ty = SqlType::with_physical(descriptor.row_type, -1, ochre_types::PhysicalType::Record);
                let ty = if descriptor.row_type.is_valid() { ty } else { SqlType::RECORD };
                (Arc::clone(&self.tables[table].alias), ty, None)
            }
            system => {
                let (name, ty) = system_column_type(system);
                (name.into(), ty, None)
            }
        };
        let id = self.columns.len();
        self.columns.push(ColumnInfo { name, ty, origin, depth, table: Some(table) });
        self.tables[table].columns.push((column, id));
        id
    }

    /// Notes that the statement uses a relation.
    fn use_relation(&mut self, relation: &Arc<RelationDescriptor>, access: RelationAccess) {
        note_use(&mut self.relations, relation, access);
    }

    /// Notes that the statement uses a relation and, unless it is named with ONLY, what inherits from it.
    fn use_set(&mut self, relation: &Arc<RelationDescriptor>, only: bool, access: RelationAccess) {
        self.use_relation(relation, access);
        if crate::inherit::expansion(relation, only) == crate::logical::Expansion::Descendants {
            for oid in self.catalog.descendants(relation.oid).into_iter().skip(1) {
                let Some(member) = self.catalog.relation(oid).cloned() else { continue };
                if !crate::inherit::is_of_other_session(self.catalog, self.search_path, &member) {
                    note_use(&mut self.members, &member, access);
                }
            }
        }
    }

    /// A type by its id: a row type is a record.
    pub(crate) fn sql_type(&self, oid: Oid) -> SqlType {
        self.catalog.sql_type(oid)
    }

    /// What a name means as a variable of the routine whose body is bound.
    fn variable(&mut self, parts: &[&str], pos: ast::Pos) -> Result<Option<Expr>> {
        let Some(variables) = self.params.variables.clone() else { return Ok(None) };
        let Some((found, used)) = self.locate(variables.resolve(parts), pos)? else { return Ok(None) };
        let mut expr = self.use_variable(found);
        for field in &parts[used..] {
            expr = self.bind_field(expr, field, pos)?;
        }
        Ok(Some(expr))
    }

    fn use_variable(&mut self, found: VariableUse) -> Expr {
        let types = &mut self.params.types;
        if types.len() <= found.index {
            types.resize(found.index + 1, None);
        }
        types[found.index] = Some(found.ty);
        Expr::Parameter { index: found.index, ty: found.ty }
    }

    /// The byte offset for an error at a node of the client's own text.
    fn position(&self, pos: ast::Pos) -> Option<usize> {
        if self.hide_positions > 0 { None } else { pos.get() }
    }

    /// The position that an expression remembers.
    fn source_pos(&self, pos: ast::Pos) -> ochre_expr::SourcePos {
        ochre_expr::SourcePos(self.position(pos))
    }

    /// Puts the position of a node on an error.
    fn at(&self, error: Error, pos: ast::Pos) -> Error {
        match self.position(pos) {
            Some(offset) => error.at(offset),
            None => error,
        }
    }

    /// Puts the position of a node on a result's error.
    fn locate<T>(&self, result: Result<T>, pos: ast::Pos) -> Result<T> {
        result.map_err(|error| self.at(error, pos))
    }

    /// Runs the binder on text that is not the client's.
    fn without_positions<T>(&mut self, run: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        self.hide_positions += 1;
        let result = run(self);
        self.hide_positions -= 1;
        result
    }

    /// A type's name in messages.
    fn type_text(&self, ty: SqlType) -> String {
        self.type_name_text(ty.oid, -1)
    }

    fn type_name_text(&self, oid: Oid, typmod: i32) -> String {
        if ochre_types::type_info(oid).is_none() {
            if let Some(name) = self.session.user_type_name(oid, typmod) {
                return name;
            }
            if let Some(table) = self.catalog.relation_of_row_type(oid) {
                return table.name.to_string();
            }
        }
        ochre_types::typmod::format_type(oid, typmod)
    }
}

/// Adds a use of a relation to a list.
fn note_use(
    uses: &mut Vec<(Arc<RelationDescriptor>, RelationAccess)>,
    relation: &Arc<RelationDescriptor>,
    access: RelationAccess,
) {
    if let Some((_, known)) = uses.iter_mut().find(|(known, _)| known.oid == relation.oid) {
        known.select |= access.select;
        known.insert |= access.insert;
        known.update |= access.update;
        known.lock |= access.lock;
        known.delete |= access.delete;
    } else {
        uses.push((Arc::clone(relation), access));
    }
}

/// Name and type of a system column.
pub(crate) fn system_column_type(column: ScanColumn) -> (&'static str, SqlType) {
    match column {
        ScanColumn::RowId => ("ctid", SqlType::TID),
        ScanColumn::TableOid => ("tableoid", SqlType::OID),
        ScanColumn::Xmin => ("xmin", SqlType::XID),
        ScanColumn::Xmax => ("xmax", SqlType::XID),
        ScanColumn::Cmin => ("cmin", SqlType::CID),
        ScanColumn::Cmax => ("cmax", SqlType::CID),
        ScanColumn::WholeRow => ("", SqlType::RECORD),
        ScanColumn::Table(_) => ("", SqlType::UNKNOWN),
    }
}

/// The system column with this name.
pub(crate) fn system_column(name: &str) -> Option<ScanColumn> {
    Some(match name {
        "ctid" => ScanColumn::RowId,
        "tableoid" => ScanColumn::TableOid,
        "xmin" => ScanColumn::Xmin,
        "xmax" => ScanColumn::Xmax,
        "cmin" => ScanColumn::Cmin,
        "cmax" => ScanColumn::Cmax,
        _ => return None,
    })
}
