//! What CREATE VIEW stores: the query's text with every name made independent of the search path and of later changes.
//!
//! # Role
//! While a view's query is bound, the binder notes what each relation name, star and column reference meant. The notes are
//! replacements of pieces of the text: a relation becomes `pg_oid."16390" AS alias`, so that neither a rename nor another
//! search path changes what it means; a star becomes its columns; a column of a query with several FROM items is
//! qualified, so that columns added later to one of them cannot make it ambiguous.
//!
//! # Not done
//! The columns that NATURAL JOIN joins by are found again whenever the view is used.

use std::collections::BTreeMap;
use std::sync::Arc;

use ochre_base::{Error, Oid, Result};
use ochre_catalog::{CatalogSnapshot, RelationDescriptor};
use ochre_expr::{Expr, SessionContext};
use ochre_parser::{ast, quote_identifier};

use super::scope::{CteScope, ItemColumns, Scope};
use super::{Binder, ParamTypes};
use crate::logical::TableUse;
use crate::physical::{OutputColumn, ScanColumn};

/// The namespace of names that are object ids; the prefix keeps users from making one of that name.
pub const OID_NAMESPACE: &str = "pg_oid";

/// What a name in a text is replaced by. The name ends where its identifiers, dots and stars end.
#[derive(Debug, Clone)]
pub enum NameEdit {
    /// A relation: `with_alias` when the text gives no alias of its own.
    Relation { oid: Oid, with_alias: Option<Arc<str>> },
    /// A column or a star.
    Columns(String),
}

/// What binding a view's query came to.
#[derive(Debug)]
pub struct ViewBinding {
    /// The view's columns.
    pub columns: Vec<OutputColumn>,
    /// Replacements by the byte offset of the name.
    pub edits: BTreeMap<usize, NameEdit>,
    /// The relations used, and which of their columns by position.
    pub uses: Vec<(Arc<RelationDescriptor>, Vec<usize>)>,
}

/// Binds a query for a view or to see what it depends on.
///
/// # Errors
/// Those of the query; 0A000 for parameters.
pub fn bind_view_query(
    catalog: &CatalogSnapshot,
    search_path: &[Oid],
    session: &dyn SessionContext,
    query: &ast::SelectStmt,
) -> Result<ViewBinding> {
    let mut params = ParamTypes::none();
    let mut binder = Binder::new(catalog, search_path, session, &mut params);
    binder.edits = Some(BTreeMap::new());
    let scope = Scope::root(CteScope::default());
    let bound = binder.bind_query(query, &scope)?;
    let mut uses: Vec<(Arc<RelationDescriptor>, Vec<usize>)> =
        binder.relations.iter().map(|(relation, _)| (Arc::clone(relation), Vec::new())).collect();
    for TableUse { table, columns, .. } in &binder.tables {
        let Some((_, used)) = uses.iter_mut().find(|(relation, _)| relation.oid == table.oid) else {
            continue;
        };
        for (column, _) in columns {
            match column {
                ScanColumn::Table(position) if !used.contains(position) => used.push(*position),
                ScanColumn::WholeRow => *used = (0..table.columns.len()).collect(),
                _ => {}
            }
        }
    }
    Ok(ViewBinding {
        columns: bound.output.into_iter().map(|(_, column)| column).collect(),
        edits: binder.edits.take().unwrap_or_default(),
        uses,
    })
}

/// The object id that a name in [`OID_NAMESPACE`] stands for.
pub(crate) fn oid_name(name: &ast::ObjectName) -> Option<Oid> {
    let schema = name.schema()?;
    if schema.as_str() != OID_NAMESPACE {
        return None;
    }
    name.name().parse().ok().map(Oid)
}

impl Binder<'_> {
    /// Notes what a relation's name meant.
    pub(crate) fn note_relation(
        &mut self,
        name: &ast::ObjectName,
        relation: &RelationDescriptor,
        aliased: bool,
    ) {
        if self.hide_positions > 0 || oid_name(name).is_some() {
            return;
        }
        let (Some(edits), Some(offset)) = (&mut self.edits, name.pos.get()) else { return };
        let with_alias = (!aliased).then(|| Arc::clone(&relation.name));
        edits.insert(offset, NameEdit::Relation { oid: relation.oid, with_alias });
    }

    /// Notes which user's function a name meant.
    pub(crate) fn note_function(&mut self, name: &ast::ObjectName, oid: Oid) {
        if self.hide_positions > 0 || oid_name(name).is_some() {
            return;
        }
        if let (Some(edits), Some(offset)) = (&mut self.edits, name.pos.get()) {
            edits.insert(offset, NameEdit::Columns(format!("{OID_NAMESPACE}.\"{oid}\"")));
        }
    }

    /// Notes whose row type a name meant.
    pub(crate) fn note_type(&mut self, name: &ast::TypeName, relation: Oid) {
        if self.hide_positions > 0 || name.schema().is_some_and(|schema| schema.as_str() == OID_NAMESPACE) {
            return;
        }
        if let (Some(edits), Some(offset)) = (&mut self.edits, name.pos.get()) {
            edits.insert(offset, NameEdit::Columns(format!("{OID_NAMESPACE}.\"{relation}\"")));
        }
    }

    /// Notes what a column reference or a star meant.
    pub(crate) fn note_columns(&mut self, pos: ast::Pos, text: impl FnOnce(&mut Self) -> Option<String>) {
        if self.hide_positions > 0 || self.edits.is_none() {
            return;
        }
        let Some(offset) = pos.get() else { return };
        if let Some(text) = text(self)
            && let Some(edits) = &mut self.edits
        {
            edits.insert(offset, NameEdit::Columns(text));
        }
    }

    /// How to write a column so that it means the same when columns are added elsewhere: qualified where the query has
    /// several FROM items or stands in another.
    pub(crate) fn column_text(&mut self, name: &str, expr: &Expr, scope: &Scope<'_>) -> String {
        let bare = quote_identifier(name);
        let visible = scope.items.iter().filter(|item| item.relation_visible).count();
        if visible <= 1 && scope.parent.is_none() {
            return bare;
        }
        let mut level = Some(scope);
        while let Some(current) = level {
            for item in current.items.iter().filter(|item| item.relation_visible) {
                let Some(alias) = item.alias.clone() else { continue };
                if matches!(&item.columns, ItemColumns::Listed(columns)
                    if columns.iter().filter(|column| &*column.name == name).count() != 1)
                {
                    continue;
                }
                let item = item.clone();
                if self.item_column(&item, name, current.depth, false).as_ref() == Some(expr) {
                    // The alias must mean this item from where the column stands.
                    let shadowed = scope_finds_other(scope, &alias, current.depth, &item.columns);
                    if !shadowed {
                        return format!("{}.{bare}", quote_identifier(&alias));
                    }
                }
            }
            level = current.parent;
        }
        bare
    }

    /// Refuses what a view's query must not have.
    pub(crate) fn find_by_oid(&self, oid: Oid) -> Result<Arc<RelationDescriptor>> {
        match self.catalog.relation(oid) {
            Some(relation) => Ok(Arc::clone(relation)),
            None => Err(Error::internal(format!("could not open relation with OID {oid}"))),
        }
    }
}

/// Whether an alias, looked up from a scope, is found at another depth first, or twice.
fn scope_finds_other(scope: &Scope<'_>, alias: &str, depth: u32, _columns: &ItemColumns) -> bool {
    let mut level = Some(scope);
    while let Some(current) = level {
        let found = current
            .items
            .iter()
            .filter(|item| item.relation_visible && item.alias.as_deref() == Some(alias))
            .count();
        if found > 0 {
            return found > 1 || current.depth != depth;
        }
        level = current.parent;
    }
    true
}

/// Puts the replacements into a text.
///
/// # Errors
/// None; names are where binding found them.
pub fn apply_edits(text: &str, edits: &BTreeMap<usize, NameEdit>) -> String {
    let mut out = String::with_capacity(text.len() + edits.len() * 16);
    let mut at = 0;
    for (offset, edit) in edits {
        if *offset < at || *offset > text.len() {
            continue;
        }
        out.push_str(&text[at..*offset]);
        let end = offset + name_length(&text[*offset..]);
        match edit {
            NameEdit::Relation { oid, with_alias } => {
                out.push_str(&format!("{OID_NAMESPACE}.\"{oid}\""));
                if let Some(alias) = with_alias {
                    out.push_str(" AS ");
                    out.push_str(&quote_identifier(alias));
                }
            }
            // `TABLE name` has no star: its columns stand where the word does.
            NameEdit::Columns(columns) if text[*offset..end].eq_ignore_ascii_case("table") => {
                out.push_str(&format!("SELECT {columns} FROM"));
            }
            NameEdit::Columns(columns) => out.push_str(columns),
        }
        at = end;
    }
    out.push_str(&text[at..]);
    out
}

/// The length of a dotted name at the start of a text, with a star at its end if there is one.
fn name_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut at = 0;
    loop {
        match bytes.get(at) {
            Some(b'*') => return at + 1,
            Some(b'"') => {
                at += 1;
                while at < bytes.len() {
                    if bytes[at] == b'"' {
                        if bytes.get(at + 1) == Some(&b'"') {
                            at += 1;
                        } else {
                            break;
                        }
                    }
                    at += 1;
                }
                at = (at + 1).min(bytes.len());
            }
            _ => {
                let part = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'$') || *b >= 0x80;
                while bytes.get(at).is_some_and(part) {
                    at += 1;
                }
            }
        }
        let spaces = bytes[at..].iter().take_while(|b| b.is_ascii_whitespace()).count();
        if bytes.get(at + spaces) != Some(&b'.') {
            return at;
        }
        at += spaces + 1;
        at += bytes[at..].iter().take_while(|b| b.is_ascii_whitespace()).count();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_end_where_their_parts_end() {
        assert_eq!(name_length("a.b + 1"), 3);
        assert_eq!(name_length("a . \"x\"\"y\" , c"), 10);
        assert_eq!(name_length("t.* from"), 3);
        assert_eq!(name_length("*, b"), 1);
        assert_eq!(name_length("a"), 1);
    }

    #[test]
    fn edits_replace_names() {
        let mut edits = BTreeMap::new();
        edits.insert(7, NameEdit::Columns("t.a, t.b".to_string()));
        edits.insert(14, NameEdit::Relation { oid: Oid(5), with_alias: Some("t".into()) });
        assert_eq!(apply_edits("select * from t", &edits), "select t.a, t.b from pg_oid.\"5\" AS t");
    }
}
