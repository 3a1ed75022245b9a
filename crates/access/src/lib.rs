//! Access methods: heap, B+tree, sequences and the collector, each with its redo handler.

pub mod btree;
pub mod sequence;
pub mod sort;
