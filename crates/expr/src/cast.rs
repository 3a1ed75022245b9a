//! Casts between types.

use ochre_base::Oid;

use crate::Function;

/// One row of `pg_cast`, or an I/O cast that every pair with a string type has.
#[derive(Debug, Clone, Copy)]
pub struct CastInfo {
    /// Invalid for the casts that have no row in `pg_cast`.
    pub oid: Oid,
    pub source: Oid,
    pub target: Oid,
    pub context: CastContext,
    pub method: CastMethod,
}

/// Where a cast may be applied without being written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CastContext {
    /// In expressions.
    Implicit,
    /// When a value is assigned to a column, and where implicit casts are.
    Assignment,
    /// Only when written.
    Explicit,
}

/// How a cast is carried out.
#[derive(Debug, Clone, Copy)]
pub enum CastMethod {
    /// By a function of the value and, when it takes them, the target's typmod and whether the cast is explicit.
    Function(&'static Function),
    /// The value is the same; only the type changes.
    Relabel,
    /// Through the text form.
    Io,
}
