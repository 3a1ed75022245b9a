//! One file an operator; [`crate::build`] makes them from plan nodes.

pub mod aggregate;
pub mod append;
pub mod bitmap_scan;
pub mod cte_scan;
pub mod distinct;
pub mod filter;
pub mod function_scan;
pub mod hash_join;
pub mod index_scan;
pub mod limit;
pub mod materialize;
pub mod merge_join;
pub mod min_max_index;
pub mod nested_loop;
pub mod project;
pub mod project_set;
pub mod recursive_union;
pub mod result;
pub mod scan;
pub mod seq_scan;
pub mod set_op;
pub mod sort;
pub mod tid_scan;
pub mod unique;
pub mod window;
