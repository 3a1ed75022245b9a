//! From an AST to a plan: names and types bound with PostgreSQL's rules, rewritten, planned by cost, printed by EXPLAIN.
//!
//! The forms of a query, in order: the parser's AST → bound and [`logical`] plan → [`physical`] plan. This crate does no
//! I/O and knows no pages; plans are immutable and printable, and several sessions run one plan at a time.
//!
//! # Where to look
//! [`Planner`] does it all; [`bind`] knows names and types, [`optimize`] rewrites, `plan` chooses operators.

pub mod bind;
pub mod explain;
mod idset;
mod inherit;
pub mod logical;
pub mod optimize;
pub mod partition;
pub mod physical;
mod plan;
mod walk;

pub use bind::{
    ParamTypes, RowExpression, RowExpressionBinder, RowVariables, VariableUse, Variables, collation_named,
};
pub use plan::{DisabledMethods, Planner, PlannerSettings};
