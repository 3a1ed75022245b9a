//! Sessions, statements, DDL, the catalog store, COPY, settings and background work. Knows no socket and no async.
//!
//! # Where to look
//! - open a data directory: [`Instance`]; a client's statements: [`Session`]; where results go: [`Sink`]
//! - DDL: [`ddl`]; how descriptors are stored: [`store`]; COPY's formats: [`copy`]
//! - the check of a directory: [`check`]; anything on disk in readable form: [`inspect`]
//! - settings by PostgreSQL's names: [`settings`]

mod activity;
mod analyze;
mod authority;
mod bulk;
pub mod check;
mod cleanup;
mod cluster;
mod copy;
mod database;
mod ddl;
mod definitions;
mod errors;
mod function_statistics;
mod functions;
pub mod inspect;
mod instance;
mod literals;
mod monitor;
mod notify;
mod plan_cache;
mod prepared;
mod routine;
mod session;
pub mod settings;
mod sink;
mod statistics_view;
mod store;
mod table_statistics;
mod tables;
mod tag;
mod vacuum;

pub use activity::Activity;
pub use instance::{Instance, InstanceConfig};
pub use notify::Notification;
pub use session::{
    ExecuteOutcome, PortalShape, Progress, REPORTED_SETTINGS, ResultFormats, Resumed, Session,
    StatementShape, TransactionStatus,
};
pub use sink::{NullSink, Sink, text_row};
pub use tag::CommandTag;

pub use ochre_exec as exec;
pub use ochre_sql::physical::OutputColumn;

/// What `version()` and the startup banner say.
pub fn version() -> String {
    format!(
        "PostgreSQL 18.4 (OchreDB {}) on {}-{}",
        env!("CARGO_PKG_VERSION"),
        std::env::consts::ARCH,
        std::env::consts::OS
    )
}
