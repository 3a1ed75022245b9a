//! Whole rows among the cells of VALUES: `VALUES (new.*)`.

use std::borrow::Cow;

use ochre_base::{Error, Result, SqlState};
use ochre_parser::ast;
use ochre_types::PhysicalType;

use super::Binder;
use super::scope::Scope;

impl Binder<'_> {
    /// A row's cells with a cell for each column of what stands there as a whole row.
    pub(crate) fn expand_cells<'c>(
        &mut self,
        cells: &'c [ast::Expr],
        scope: &Scope<'_>,
    ) -> Result<Cow<'c, [ast::Expr]>> {
        let is_whole = |cell: &ast::Expr| match cell {
            ast::Expr::Column(column) => column.star,
            ast::Expr::Indirection(part) => matches!(part.steps.last(), Some(ast::Indirection::Star(_))),
            _ => false,
        };
        if !cells.iter().any(is_whole) {
            return Ok(Cow::Borrowed(cells));
        }
        let mut expanded = Vec::with_capacity(cells.len());
        for cell in cells {
            match cell {
                ast::Expr::Column(column) if column.star => {
                    if self.edits.is_some() {
                        return Err(
                            self.at(Error::unsupported("a whole row in VALUES of a view"), column.pos)
                        );
                    }
                    for item in self.expand_star(column, scope)? {
                        let mut parts = column.parts.clone();
                        parts.push(ast::Name::from(&*item.name));
                        let column = ast::ColumnRef { parts, star: false, pos: column.pos };
                        expanded.push(ast::Expr::Column(column));
                    }
                }
                ast::Expr::Indirection(part) if is_whole(cell) => {
                    let mut record = (**part).clone();
                    record.steps.pop();
                    let bound = match record.steps.is_empty() {
                        true => self.bind_expr(&record.expr, scope)?,
                        false => {
                            self.bind_expr(&ast::Expr::Indirection(ast::P::new(record.clone())), scope)?
                        }
                    };
                    let ty = bound.ty();
                    let fields =
                        (ty.physical == PhysicalType::Record).then(|| self.record_fields(ty)).flatten();
                    let Some(fields) = fields else {
                        let error = Error::new(
                            SqlState::WRONG_OBJECT_TYPE,
                            format!("type {} is not composite", self.type_text(ty)),
                        );
                        return Err(self.at(error, part.pos));
                    };
                    for (name, _) in fields {
                        let mut field = record.clone();
                        field.steps.push(ast::Indirection::Field(ast::Name::from(&*name), part.pos));
                        expanded.push(ast::Expr::Indirection(ast::P::new(field)));
                    }
                }
                other => expanded.push(other.clone()),
            }
        }
        Ok(Cow::Owned(expanded))
    }
}
