//! `json` and `jsonb`.
//!
//! # Not done
//! Paths (`jsonpath`), and columns' names in the JSON of rows, whose fields are `f1`, `f2` ….

mod build;
mod jsonb;
mod populate;
mod raw;
mod text;

use ochre_types::{ArrayValue, Datum};

use super::Implementations;

pub(crate) use build::{append_json, json_of, key_text};
pub(crate) use jsonb::assign_subscript;

pub(super) fn register(r: &mut Implementations) {
    jsonb::register(r);
    text::register(r);
    build::register(r);
    populate::register(r);
}

/// The texts of a text array, nulls excepted.
fn texts(array: &ArrayValue) -> impl Iterator<Item = &str> {
    array.elements.iter().filter_map(Datum::as_str)
}

/// An array subscript in a path: negative ones count from the end.
fn position(index: i64, length: usize) -> Option<usize> {
    if index >= 0 {
        usize::try_from(index).ok().filter(|index| *index < length)
    } else {
        length.checked_sub(usize::try_from(index.unsigned_abs()).ok()?)
    }
}
