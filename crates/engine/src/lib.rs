//! Sessions, statements, DDL, the catalog store, COPY, settings and background work. Knows no socket and no async.

mod copy;
pub mod settings;
mod store;
