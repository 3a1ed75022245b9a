//! PL/pgSQL as text and tree: [`parse`] reads a routine's body into [`ast`].
//!
//! # Role
//! Nothing here knows a catalog or runs anything: names stay names, and what is SQL is a tree of `ochre-parser`. The engine
//! resolves names and walks the tree.
//!
//! # References
//! PostgreSQL documentation, chapter "PL/pgSQL — SQL Procedural Language".

pub mod ast;
mod parser;
mod reader;

pub use parser::parse;
