//! COPY: rows in and out in text and csv.

pub mod format;
