//! Operators and the operator classes that give them an order.

use ochre_base::Oid;

use crate::Function;

/// One row of `pg_operator`.
#[derive(Debug)]
pub struct Operator {
    pub oid: Oid,
    pub name: Box<str>,
    /// Whether merge joins may use it.
    pub can_merge: bool,
    /// Whether hash joins may use it.
    pub can_hash: bool,
    /// Invalid for a prefix operator.
    pub left: Oid,
    pub right: Oid,
    pub result: Oid,
    /// The operator with its arguments exchanged, or invalid.
    pub commutator: Oid,
    /// The operator with the opposite answer, or invalid.
    pub negator: Oid,
    /// The function that carries it out.
    pub function: &'static Function,
    /// Selectivity estimators, by name (`eqsel`, `scalarltsel` …), `-` for none.
    pub restrict_estimator: Box<str>,
    pub join_estimator: Box<str>,
}

impl Operator {
    /// Whether the operator has one argument, on its right.
    pub fn is_prefix(&self) -> bool {
        !self.left.is_valid()
    }
}

/// One row of `pg_opclass`, with the names of its access method and family.
#[derive(Debug)]
pub struct OperatorClass {
    pub oid: Oid,
    /// `btree`, `hash`, `gin` …
    pub method: Box<str>,
    pub name: Box<str>,
    pub family: Oid,
    pub family_name: Box<str>,
    pub input_type: Oid,
    pub is_default: bool,
    /// The type stored in the index, or invalid where it is the input type.
    pub key_type: Oid,
}

/// One row of `pg_amop`.
#[derive(Debug)]
pub struct OperatorClassMember {
    pub oid: Oid,
    pub method: Box<str>,
    pub family: Oid,
    pub left: Oid,
    pub right: Oid,
    pub strategy: i16,
    /// `s` for search, `o` for ordering.
    pub purpose: u8,
    pub operator: Oid,
    pub sort_family: Oid,
}

/// One row of `pg_amproc`.
#[derive(Debug)]
pub struct OperatorFamilyFunction {
    pub oid: Oid,
    pub family: Oid,
    pub left: Oid,
    pub right: Oid,
    pub number: i16,
    pub function: Oid,
}
