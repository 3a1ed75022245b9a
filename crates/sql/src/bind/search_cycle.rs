//! SEARCH and CYCLE of WITH RECURSIVE: columns that both terms get beside their own.
//!
//! # How
//! The non-recursive term starts the columns. The recursive term selects them from the row that it refers to, and what it
//! selects is brought up to date on top of it: a row is put behind the path, the depth is one more. Rows of a cycle's end
//! are not followed: a filter drops what comes of them.

use std::sync::Arc;

use ochre_base::{Error, Result, SqlState};
use ochre_expr::{Expr, FunctionRef, SourcePos, functions_named};
use ochre_parser::ast::{self, Pos};
use ochre_types::{SqlType, oids, record_type};

use super::Binder;
use super::level::Clause;
use super::scope::Scope;
use super::select::filter;
use crate::logical::{ColumnId, Logical, Query};
use crate::physical::OutputColumn;

/// What SEARCH and CYCLE add, in the order of the columns.
pub(super) struct AddedColumns {
    columns: Vec<Added>,
    pos: Pos,
}

struct Added {
    name: Arc<str>,
    ty: SqlType,
    kind: AddedKind,
}

enum AddedKind {
    /// SEARCH BREADTH FIRST: the depth, then these columns.
    Depth(Vec<usize>),
    /// SEARCH DEPTH FIRST, and the path of CYCLE: rows of these columns.
    Path(Vec<usize>),
    /// Whether (and by which values) these columns have come before; the path is the next column.
    Mark { keys: Vec<usize>, value: Box<Expr>, default: Box<Expr> },
}

impl Binder<'_> {
    /// The columns that a WITH entry's clauses add to `output`.
    pub(super) fn bind_search_cycle(
        &mut self,
        cte: &ast::Cte,
        output: &[(ColumnId, OutputColumn)],
        scope: &Scope<'_>,
    ) -> Result<Option<AddedColumns>> {
        let pos = match (&cte.search, &cte.cycle) {
            (None, None) => return Ok(None),
            (Some(search), _) => search.pos,
            (None, Some(cycle)) => cycle.pos,
        };
        let mut columns = Vec::new();
        let is_taken = |name: &ast::Name| output.iter().any(|(_, column)| *column.name == **name);
        let check_name = |what: &str, name: &ast::Name, pos: Pos| match is_taken(name) {
            true => Err(self.at(
                syntax(format!("{what} column name \"{name}\" already used in WITH query column list")),
                pos,
            )),
            false => Ok(()),
        };
        if let Some(search) = &cte.search {
            check_name("search sequence", &search.sequence_column, search.pos)?;
        }
        if let Some(cycle) = &cte.cycle {
            check_name("cycle mark", &cycle.mark_column, cycle.pos)?;
            check_name("cycle path", &cycle.path_column, cycle.pos)?;
            let same = |a: &str, b: &str| {
                Err(self.at(syntax(format!("{a} column name and {b} column name are the same")), cycle.pos))
            };
            if cycle.mark_column == cycle.path_column {
                return same("cycle mark", "cycle path");
            }
            if let Some(search) = &cte.search {
                if search.sequence_column == cycle.mark_column {
                    return same("search sequence", "cycle mark");
                }
                if search.sequence_column == cycle.path_column {
                    return same("search sequence", "cycle path");
                }
            }
        }
        let paths = SqlType::new(oids::RECORD_ARRAY, -1);
        if let Some(search) = &cte.search {
            let keys = self.positions("search", &search.columns, output, search.pos)?;
            let name = Arc::from(search.sequence_column.as_str());
            if search.breadth_first {
                let types = keys.iter().map(|key| output[*key].1.ty);
                let fields: Vec<SqlType> = std::iter::once(SqlType::INT8).chain(types).collect();
                columns.push(Added { name, ty: record_type(&fields), kind: AddedKind::Depth(keys) });
            } else {
                columns.push(Added { name, ty: paths, kind: AddedKind::Path(keys) });
            }
        }
        if let Some(cycle) = &cte.cycle {
            let keys = self.positions("cycle", &cycle.columns, output, cycle.pos)?;
            let mut bind = |given: &Option<ast::Expr>, default: bool| match given {
                Some(expr) => {
                    let bound =
                        self.in_level(Clause::Other, scope.depth, |binder| binder.bind_expr(expr, scope))?;
                    Ok((bound, expr.pos()))
                }
                None => Ok::<_, Error>((Expr::bool(default), cycle.pos)),
            };
            let pair = [bind(&cycle.mark_value, true)?, bind(&cycle.mark_default, false)?];
            let ty = self.select_common_type(&pair, "CYCLE")?;
            let [(value, value_pos), (default, default_pos)] = pair;
            let value = self.coerce_to_common(value, ty, "CYCLE", value_pos)?;
            let default = self.coerce_to_common(default, ty, "CYCLE", default_pos)?;
            columns.push(Added {
                name: Arc::from(cycle.mark_column.as_str()),
                ty,
                kind: AddedKind::Mark {
                    keys: keys.clone(),
                    value: Box::new(value),
                    default: Box::new(default),
                },
            });
            let name = Arc::from(cycle.path_column.as_str());
            columns.push(Added { name, ty: paths, kind: AddedKind::Path(keys) });
        }
        Ok(Some(AddedColumns { columns, pos }))
    }

    /// Positions of the columns that a clause names.
    fn positions(
        &self,
        what: &str,
        names: &[ast::Name],
        output: &[(ColumnId, OutputColumn)],
        pos: Pos,
    ) -> Result<Vec<usize>> {
        let mut positions = Vec::with_capacity(names.len());
        for name in names {
            let found = output.iter().position(|(_, column)| *column.name == **name);
            let Some(position) = found else {
                let message = format!("{what} column \"{name}\" not in WITH query column list");
                return Err(self.at(syntax(message), pos));
            };
            if positions.contains(&position) {
                let message = format!("{what} column \"{name}\" specified more than once");
                return Err(self.at(Error::new(SqlState::DUPLICATE_COLUMN, message), pos));
            }
            positions.push(position);
        }
        Ok(positions)
    }

    /// Adds the columns to the non-recursive term.
    pub(super) fn start_added_columns(&mut self, added: &AddedColumns, query: &mut Query, depth: u32) {
        let inputs = query.output.clone();
        let exprs = added.columns.iter().map(|column| match &column.kind {
            AddedKind::Depth(keys) => {
                let depth = Expr::constant(ochre_types::Datum::Int64(0), SqlType::INT8);
                row(std::iter::once(depth).chain(columns(&inputs, keys)))
            }
            AddedKind::Path(keys) => Expr::ArrayLiteral {
                elements: vec![row(columns(&inputs, keys))],
                nested: false,
                ty: column.ty,
            },
            AddedKind::Mark { default, .. } => (**default).clone(),
        });
        let exprs = exprs.collect();
        self.replace_added(added, query, inputs.len(), exprs, depth);
    }

    /// The recursive term with the columns of the row that it refers to in its select list.
    pub(super) fn select_added_columns(
        &self,
        added: &AddedColumns,
        cte: &ast::Cte,
        operation: &ast::SetOperation,
    ) -> Result<ast::SelectStmt> {
        let select = |body: &ast::SelectBody| !matches!(body, ast::SelectBody::SetOp(_));
        if !select(&operation.left.body) {
            let message = "with a SEARCH or CYCLE clause, the left side of the UNION must be a SELECT";
            return Err(self.at(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message), added.pos));
        }
        let mut right = (*operation.right).clone();
        let ast::SelectBody::Select(core) = &mut right.body else {
            let message = "with a SEARCH or CYCLE clause, the right side of the UNION must be a SELECT";
            return Err(self.at(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message), added.pos));
        };
        let Some(alias) = core.from.iter().find_map(|item| reference(item, &cte.name)) else {
            let message = format!(
                "with a SEARCH or CYCLE clause, the recursive reference to WITH query \"{}\" must be at the top level of its right-hand SELECT",
                cte.name
            );
            return Err(self.at(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message), added.pos));
        };
        for column in &added.columns {
            let name = ast::Name::from(column.name.to_string());
            let parts = [alias.clone(), name].into_iter().collect();
            let expr = ast::Expr::Column(ast::ColumnRef { parts, star: false, pos: Pos::NONE });
            core.targets.push(ast::Target { expr, alias: None, pos: Pos::NONE });
        }
        Ok(right)
    }

    /// Brings the columns up to date that the recursive term has selected from the row it refers to.
    pub(super) fn follow_added_columns(
        &mut self,
        added: &AddedColumns,
        query: &mut Query,
        depth: u32,
    ) -> Result<()> {
        let own = query.output.len() - added.columns.len();
        let inputs = query.output.clone();
        let before =
            |index: usize| Expr::Column { index: inputs[own + index].0, ty: added.columns[index].ty };
        let function = |name: &str| match functions_named(name) {
            [function, ..] => Ok(FunctionRef::Builtin(function)),
            [] => Err(Error::internal(format!("{name} is not built in"))),
        };
        let mut exprs = Vec::with_capacity(added.columns.len());
        for (index, column) in added.columns.iter().enumerate() {
            exprs.push(match &column.kind {
                AddedKind::Depth(keys) => {
                    let last = Expr::Field { record: Box::new(before(index)), index: 0, ty: SqlType::INT8 };
                    let plus = ast::Operator::plain(ast::Name::from_static("+"));
                    let next = self.bind_operator(&plus, Some(last), Binder::bigint(1), added.pos)?;
                    row(std::iter::once(next).chain(columns(&inputs, keys)))
                }
                AddedKind::Path(keys) => Expr::call(
                    function("array_append")?,
                    vec![before(index), row(columns(&inputs, keys))],
                    column.ty,
                ),
                AddedKind::Mark { keys, value, default } => {
                    let came = Expr::ScalarArrayOp {
                        function: function("record_eq")?,
                        all: false,
                        left: Box::new(row(columns(&inputs, keys))),
                        array: Box::new(before(index + 1)),
                        pos: SourcePos::NONE,
                    };
                    let differs = ast::Operator::plain(ast::Name::from_static("<>"));
                    let follow =
                        self.bind_operator(&differs, Some(before(index)), (**value).clone(), added.pos)?;
                    let plan = std::mem::replace(&mut query.plan, Logical::Dummy { row: false });
                    query.plan = filter(plan, follow.conjuncts());
                    Expr::Case {
                        operand: None,
                        branches: vec![(came, (**value).clone())],
                        otherwise: Some(default.clone()),
                        ty: column.ty,
                    }
                }
            });
        }
        self.replace_added(added, query, own, exprs, depth);
        Ok(())
    }

    /// Puts a projection on a query: its first `own` columns, then the added ones.
    fn replace_added(
        &mut self,
        added: &AddedColumns,
        query: &mut Query,
        own: usize,
        exprs: Vec<Expr>,
        depth: u32,
    ) {
        query.output.truncate(own);
        let mut items: Vec<(ColumnId, Expr)> = query
            .output
            .iter()
            .map(|(id, column)| (*id, Expr::Column { index: *id, ty: column.ty }))
            .collect();
        items.sort_by_key(|(id, _)| *id);
        items.dedup_by_key(|(id, _)| *id);
        for (column, expr) in added.columns.iter().zip(exprs) {
            let id = self.new_column(Arc::clone(&column.name), column.ty, depth);
            items.push((id, expr));
            let name = Arc::clone(&column.name);
            query.output.push((id, OutputColumn { name, ty: column.ty, origin: None }));
        }
        let input = std::mem::replace(&mut query.plan, Logical::Dummy { row: false });
        query.plan = Logical::Project { input: Box::new(input), items };
    }
}

fn syntax(message: String) -> Error {
    Error::new(SqlState::SYNTAX_ERROR, message)
}

fn columns(inputs: &[(ColumnId, OutputColumn)], keys: &[usize]) -> impl Iterator<Item = Expr> + use<> {
    let exprs: Vec<Expr> =
        keys.iter().map(|key| Expr::Column { index: inputs[*key].0, ty: inputs[*key].1.ty }).collect();
    exprs.into_iter()
}

fn row(fields: impl Iterator<Item = Expr>) -> Expr {
    let fields: Vec<Expr> = fields.collect();
    let types: Vec<SqlType> = fields.iter().map(Expr::ty).collect();
    Expr::Row { fields, ty: record_type(&types) }
}

/// The name under which a FROM item refers to a WITH entry.
fn reference(item: &ast::FromItem, name: &ast::Name) -> Option<ast::Name> {
    match item {
        ast::FromItem::Table(table) => {
            let relation = &table.relation.name;
            let refers = relation.schema().is_none() && relation.name() == name;
            refers.then(|| table.alias.as_ref().map_or_else(|| name.clone(), |alias| alias.name.clone()))
        }
        ast::FromItem::Join(join) => reference(&join.left, name).or_else(|| reference(&join.right, name)),
        _ => None,
    }
}
