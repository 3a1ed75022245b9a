//! Implementations of the built-in functions, by area, and how they are registered.
//!
//! # Not done
//! Known by name and answered with 0A000 when called: most of geometry, network addresses, money, multiranges, text search,
//! XML, jsonpath, large objects; types' input, output, send and receive functions as SQL functions; hash functions of
//! operator classes and `in_range`; normalize, erf, gamma.

mod are;
mod array;
mod bits;
mod datetime;
mod digest;
mod encoding;
mod float;
mod formatting;
mod geometry;
mod integer;
mod json;
mod kernels;
mod large;
mod like;
mod misc;
mod numeric;
mod range;
mod regex;
mod system;
mod text;
mod transition;

use std::collections::HashMap;

pub(crate) use self::text::room_for;
use crate::Implementation;

pub(crate) use array::from_elements as array_from_elements;
pub(crate) use bits::combine as combine_bits;
pub(crate) use float::{order64, overflow as float_overflow};
pub(crate) use json::{append_json, assign_subscript as assign_json_subscript, json_of, key_text};
pub(crate) use kernels::Native;
pub(crate) use system::session_value;
pub(crate) use text::trim_blanks;

/// Implementations by PostgreSQL's internal function name; for functions written in SQL, by `name(argument oids)`.
pub(crate) struct Implementations {
    by_source: HashMap<&'static str, Implementation>,
}

impl Implementations {
    /// All of them.
    pub(crate) fn all() -> Implementations {
        let mut all = Implementations { by_source: HashMap::with_capacity(2000) };
        integer::register(&mut all);
        float::register(&mut all);
        numeric::register(&mut all);
        text::register(&mut all);
        transition::register(&mut all);
        datetime::register(&mut all);
        formatting::register(&mut all);
        geometry::register(&mut all);
        like::register(&mut all);
        regex::register(&mut all);
        range::register(&mut all);
        array::register(&mut all);
        bits::register(&mut all);
        system::register(&mut all);
        json::register(&mut all);
        misc::register(&mut all);
        all
    }

    /// The implementation of a function by its internal name.
    pub(crate) fn find(&self, source: &str) -> Implementation {
        self.by_source.get(source).cloned().unwrap_or(Implementation::Missing)
    }

    fn add(&mut self, source: &'static str, implementation: Implementation) {
        let before = self.by_source.insert(source, implementation);
        debug_assert!(before.is_none(), "{source} is registered twice");
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::function::Language;

    /// A misspelt name would silently leave a function without implementation.
    #[test]
    fn every_implementation_belongs_to_a_function() {
        let mut known: HashSet<String> = HashSet::new();
        for function in crate::functions() {
            if function.language == Language::Internal {
                known.insert(function.source.to_string());
            } else {
                let args: Vec<String> = function.arg_types.iter().map(|oid| oid.to_string()).collect();
                known.insert(format!("{}({})", function.name, args.join(" ")));
            }
        }
        let all = Implementations::all();
        let mut strays: Vec<&str> =
            all.by_source.keys().copied().filter(|name| !known.contains(*name)).collect();
        strays.sort_unstable();
        assert!(strays.is_empty(), "no function has these names: {strays:?}");
    }
}
