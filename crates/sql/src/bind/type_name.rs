//! Type names to types.

use ochre_base::{Error, Oid, Result, SqlState};
use ochre_catalog::{RelationDescriptor, RelationKind, oids as catalog_oids};
use ochre_parser::ast;
use ochre_types::{PhysicalType, SqlType, type_info_named, typmod};

use super::Binder;
use super::view::OID_NAMESPACE;

impl Binder<'_> {
    /// The type that a name stands for, its modifiers applied.
    pub(crate) fn bind_type_name(&mut self, name: &ast::TypeName) -> Result<SqlType> {
        if name.percent_type {
            return Err(Error::unsupported("%TYPE"));
        }
        if name.setof {
            let error = Error::new(SqlState::DATATYPE_MISMATCH, "type name cannot be declared SETOF here");
            return Err(self.at(error, name.pos));
        }
        let Some(mut ty) = self.find_type(name)? else {
            let text = type_name_text(name);
            let error = Error::new(SqlState::UNDEFINED_OBJECT, format!("type \"{text}\" does not exist"));
            return Err(self.at(error, name.pos));
        };
        if let Some(relation) = self.catalog.relation_of_type(ty.oid).map(|relation| relation.oid) {
            self.note_type(name, relation);
        }
        if !name.typmods.is_empty() {
            let arguments = name.typmods.iter().map(typmod_argument).collect::<Option<Vec<i32>>>();
            let Some(arguments) = arguments else {
                let error = Error::new(
                    SqlState::SYNTAX_ERROR,
                    "type modifiers must be simple constants or identifiers",
                );
                return Err(self.at(error, name.pos));
            };
            let parsed = typmod::parse(ty.oid, &arguments);
            ty = ty.with_typmod(self.locate(parsed, name.pos)?);
        }
        if name.array_bounds.is_empty() {
            self.note_array_type(name, ty);
            return Ok(ty);
        }
        ty.array_of().ok_or_else(|| self.no_array_type(ty, name.pos))
    }

    fn find_type(&self, name: &ast::TypeName) -> Result<Option<SqlType>> {
        let last = name.name().as_str();
        if let Some(schema) = name.schema() {
            if schema.as_str() == OID_NAMESPACE {
                // A name in a stored text.
                let relation = last.parse().ok().and_then(|oid| self.catalog.relation(Oid(oid)));
                return Ok(relation.and_then(|relation| row_type(relation)));
            }
            let Some(namespace) = self.catalog.namespace_named(schema) else {
                let error =
                    Error::new(SqlState::INVALID_SCHEMA_NAME, format!("schema \"{schema}\" does not exist"));
                return Err(self.at(error, name.pos));
            };
            self.use_namespace(namespace.oid, name.pos)?;
            return Ok(self.type_or_array_in(namespace.oid, last));
        }
        Ok(self.search_path.iter().find_map(|namespace| self.type_or_array_in(*namespace, last)))
    }

    fn type_in(&self, namespace: Oid, name: &str) -> Option<SqlType> {
        if namespace == catalog_oids::PG_CATALOG
            && let Some(info) = type_info_named(name)
        {
            return Some(SqlType::new(info.oid, -1));
        }
        row_type(self.catalog.relation_in(namespace, name)?)
    }

    /// The type with this name in the search path, for calls like `float8(x)`.
    pub(crate) fn type_named(&self, name: &ast::ObjectName) -> Option<SqlType> {
        match name.schema() {
            Some(schema) => self.type_in(self.catalog.namespace_named(schema)?.oid, name.name()),
            None => self.search_path.iter().find_map(|namespace| self.type_in(*namespace, name.name())),
        }
    }

    /// As `type_in`; an array's type is named after what it holds, too.
    fn type_or_array_in(&self, namespace: Oid, name: &str) -> Option<SqlType> {
        let array = || self.type_in(namespace, name.strip_prefix('_')?)?.array_of();
        self.type_in(namespace, name).or_else(array)
    }

    /// Notes what the name of a type of arrays of rows, which is no relation's, means.
    fn note_array_type(&mut self, name: &ast::TypeName, ty: SqlType) {
        let relation = self.catalog.relation_of_type(ty.oid).map(|relation| relation.oid);
        if ty.physical != PhysicalType::Array || self.hide_positions > 0 {
            return;
        }
        if let (Some(relation), Some(edits), Some(offset)) = (relation, &mut self.edits, name.pos.get()) {
            let text = format!("{OID_NAMESPACE}.\"{relation}\"[]");
            edits.insert(offset, super::view::NameEdit::Columns(text));
        }
    }
}

fn row_type(relation: &RelationDescriptor) -> Option<SqlType> {
    let composite = !matches!(relation.kind, RelationKind::Index | RelationKind::Sequence);
    (composite && relation.row_type.is_valid())
        .then(|| SqlType::with_physical(relation.row_type, -1, PhysicalType::Record))
}

fn typmod_argument(expr: &ast::Expr) -> Option<i32> {
    match expr {
        ast::Expr::Literal(literal) => match &literal.value {
            ast::LiteralValue::Integer(value) => Some(*value),
            ast::LiteralValue::String(text) => text.parse().ok(),
            _ => None,
        },
        _ => None,
    }
}

fn type_name_text(name: &ast::TypeName) -> String {
    let parts: Vec<&str> = name.parts.iter().map(|part| part.as_str()).collect();
    let mut text = parts.join(".");
    if !name.array_bounds.is_empty() {
        text.push_str("[]");
    }
    text
}
