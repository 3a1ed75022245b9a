//! One file an operator; [`crate::build`] makes them from plan nodes.

pub mod aggregate;
pub mod append;
pub mod cte_scan;
pub mod distinct;
pub mod filter;
pub mod function_scan;
pub mod hash_join;
pub mod limit;
pub mod materialize;
pub mod merge_join;
pub mod nested_loop;
pub mod project;
pub mod project_set;
pub mod recursive_union;
pub mod result;
pub mod set_op;
pub mod sort;
pub mod unique;
