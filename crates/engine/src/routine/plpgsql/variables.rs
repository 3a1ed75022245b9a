//! Variables and the names they are known by.

use std::borrow::Cow;
use std::sync::Arc;

use ochre_base::{Error, Result, SqlState};
use ochre_plpgsql::ast::{Conflict, Fragment, VariableType};
use ochre_sql::bind::{RowVariables, VariableUse, Variables};
use ochre_types::{Datum, PhysicalType, SqlType};
use parking_lot::Mutex;

/// Names and types of a row's fields.
pub(super) type Shape = Arc<[(Arc<str>, SqlType)]>;

/// A variable of a call.
#[derive(Debug, Clone)]
pub(super) struct Variable<'a> {
    pub name: Cow<'a, str>,
    /// `record` for one without a declared shape.
    pub ty: SqlType,
    pub constant: bool,
    pub not_null: bool,
    /// Rows are [`Datum::Record`].
    pub value: Datum,
    /// Of rows; `None` for a record that nothing was assigned to.
    pub shape: Option<Shape>,
    pub cursor: Option<BoundCursor<'a>>,
    /// What a trigger function is told, which most never ask: the value is made when it is read.
    pub told: Option<Told>,
}

/// What a trigger function can ask of what it was called for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Told {
    Name,
    When,
    Level,
    Operation,
    TableId,
    TableName,
    TableSchema,
    ArgumentCount,
    Arguments,
}

/// The query of a declared cursor.
#[derive(Debug, Clone, Copy)]
pub(super) struct BoundCursor<'a> {
    pub arguments: &'a [(String, VariableType)],
    pub query: &'a Fragment,
    /// How many scopes its query sees.
    pub scopes: usize,
}

impl<'a> Variable<'a> {
    /// One that may be changed and be NULL.
    pub(super) fn plain(name: impl Into<Cow<'a, str>>, ty: SqlType, value: Datum) -> Variable<'a> {
        Variable {
            name: name.into(),
            ty,
            constant: false,
            not_null: false,
            value,
            shape: None,
            cursor: None,
            told: None,
        }
    }

    pub(super) fn is_row(&self) -> bool {
        self.ty.physical == PhysicalType::Record
    }

    /// Whether its shape is that of what is assigned.
    pub(super) fn is_record(&self) -> bool {
        self.ty.oid == SqlType::RECORD.oid
    }

    /// The value of a field.
    pub(super) fn field(&self, index: usize) -> Datum {
        match &self.value {
            Datum::Record(fields) => fields.get(index).cloned().unwrap_or(Datum::Null),
            _ => Datum::Null,
        }
    }
}

/// The names that a block or loop brings.
#[derive(Debug, Clone, Default)]
pub(super) struct Scope<'a> {
    pub label: Option<&'a str>,
    pub names: Vec<(Cow<'a, str>, usize)>,
}

impl<'a> Scope<'a> {
    pub(super) fn labelled(label: Option<&'a str>) -> Scope<'a> {
        Scope { label, names: Vec::new() }
    }
}

/// What a name leads to.
#[derive(Debug, Clone)]
struct Known {
    slot: usize,
    ty: SqlType,
    shape: Option<Shape>,
    name: String,
}

/// A scope's label and what its names lead to.
type KnownScope = (Option<String>, Vec<(String, Known)>);

/// Where the value of a parameter comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    Whole(usize),
    Field(usize, usize),
}

impl Source {
    pub(super) fn slot(self) -> usize {
        match self {
            Source::Whole(slot) | Source::Field(slot, _) => slot,
        }
    }
}

/// A parameter of a piece.
#[derive(Debug, Clone, Copy)]
pub(super) struct Use {
    pub source: Source,
    pub ty: SqlType,
}

/// The names that are known at one place of the text, and which of them a piece of SQL uses.
#[derive(Debug)]
pub(super) struct Names {
    /// Innermost last.
    scopes: Vec<KnownScope>,
    conflict: Conflict,
    uses: Mutex<Vec<Use>>,
}

impl Names {
    pub(super) fn new(scopes: &[Scope<'_>], variables: &[Variable<'_>], conflict: Conflict) -> Names {
        let known = |(name, slot): &(Cow<'_, str>, usize)| {
            let variable = &variables[*slot];
            let known = Known {
                slot: *slot,
                ty: variable.ty,
                shape: variable.shape.clone(),
                name: variable.name.to_string(),
            };
            (name.to_string(), known)
        };
        let scopes = scopes
            .iter()
            .map(|scope| (scope.label.map(str::to_owned), scope.names.iter().map(known).collect()))
            .collect();
        Names { scopes, conflict, uses: Mutex::default() }
    }

    /// The parameters in order.
    pub(super) fn uses(&self) -> Arc<[Use]> {
        self.uses.lock().as_slice().into()
    }

    fn allot(&self, source: Source, ty: SqlType) -> VariableUse {
        let mut uses = self.uses.lock();
        let index = match uses.iter().position(|known| known.source == source) {
            Some(index) => index,
            None => {
                uses.push(Use { source, ty });
                uses.len() - 1
            }
        };
        VariableUse { index, ty }
    }

    /// The variable that the first parts name, and how many they are.
    fn find(&self, parts: &[&str]) -> Option<(&Known, usize)> {
        let first = parts.first()?;
        for (label, names) in self.scopes.iter().rev() {
            // A later declaration of one block hides an earlier one. A scalar has no fields: `t.a` may then be the column of
            // a table.
            if let Some((_, known)) = names.iter().rev().find(|(name, _)| name == first)
                && (parts.len() == 1 || known.ty.physical == PhysicalType::Record)
            {
                return Some((known, 1));
            }
            if label.as_deref() == Some(*first)
                && let Some(second) = parts.get(1)
                && let Some((_, known)) = names.iter().rev().find(|(name, _)| name == second)
            {
                return Some((known, 2));
            }
        }
        None
    }
}

/// 55000 for a record that has no shape yet.
pub(super) fn unassigned(name: &str) -> Error {
    Error::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, format!("record \"{name}\" is not assigned yet"))
        .detail("The tuple structure of a not-yet-assigned record is indeterminate.")
}

/// 42703 for a field that a record lacks.
pub(super) fn no_field(record: &str, field: &str) -> Error {
    Error::new(SqlState::UNDEFINED_COLUMN, format!("record \"{record}\" has no field \"{field}\""))
}

/// The type of a row's value.
pub(super) fn row_type(ty: SqlType, shape: &Shape) -> SqlType {
    if ty.oid != SqlType::RECORD.oid {
        return ty;
    }
    let types: Vec<SqlType> = shape.iter().map(|(_, ty)| *ty).collect();
    ochre_types::record_type(&types)
}

impl Variables for Names {
    fn resolve(&self, parts: &[&str]) -> Result<Option<(VariableUse, usize)>> {
        let Some((known, used)) = self.find(parts) else { return Ok(None) };
        if known.ty.physical != PhysicalType::Record {
            return Ok(Some((self.allot(Source::Whole(known.slot), known.ty), used)));
        }
        if known.shape.is_none() && parts.len() == used {
            // A record that nothing was assigned to is NULL as a whole.
            return Ok(Some((self.allot(Source::Whole(known.slot), known.ty), used)));
        }
        let shape = known.shape.as_ref().ok_or_else(|| unassigned(&known.name))?;
        let Some(field) = parts.get(used) else {
            let ty = row_type(known.ty, shape);
            return Ok(Some((self.allot(Source::Whole(known.slot), ty), used)));
        };
        let index = shape.iter().position(|(name, _)| **name == **field);
        let index = index.ok_or_else(|| no_field(&known.name, field))?;
        Ok(Some((self.allot(Source::Field(known.slot, index), shape[index].1), used + 1)))
    }

    fn fields(&self, parts: &[&str]) -> Result<Option<RowVariables>> {
        let Some((known, used)) = self.find(parts) else { return Ok(None) };
        if known.ty.physical != PhysicalType::Record || used != parts.len() {
            return Ok(None);
        }
        let shape = known.shape.as_ref().ok_or_else(|| unassigned(&known.name))?;
        let field = |(index, (name, ty)): (usize, &(Arc<str>, SqlType))| {
            (Arc::clone(name), self.allot(Source::Field(known.slot, index), *ty))
        };
        Ok(Some(shape.iter().enumerate().map(field).collect()))
    }

    fn columns_hide(&self) -> bool {
        self.conflict == Conflict::UseColumn
    }

    fn hides_columns(&self) -> bool {
        self.conflict == Conflict::UseVariable
    }
}
