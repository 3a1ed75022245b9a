//! Access methods: heap, B+tree, sequences and the collector, each with its redo handler.

pub mod btree;
pub mod collector;
pub mod heap;
pub mod row;
pub mod scan_counts;
pub mod sequence;
pub mod sort;
