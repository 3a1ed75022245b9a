//! Typed loops.
