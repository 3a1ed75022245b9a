//! Relations.
/// Source.
pub trait RelationSource {}
