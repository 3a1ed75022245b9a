//! Implementations of the built-in functions, by area, and how they are registered.

mod kernels;

use std::collections::HashMap;
use std::sync::Arc;

use ochre_base::{Error, Result};
use ochre_types::{ArrayValue, Datum, SqlType};

use crate::{CallContext, EvalContext, Implementation, SessionValue, SetCursor};

/// Implementations by PostgreSQL's internal function name; for functions written in SQL, by `name(argument oids)`.
pub(crate) struct Implementations {
    by_source: HashMap<&'static str, Implementation>,
}

impl Implementations {
    /// All of them.
    pub(crate) fn all() -> Implementations {
        Implementations { by_source: HashMap::new() }
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

/// What a [`SessionValue`] is now.
pub(crate) fn session_value(_kind: SessionValue, _ty: SqlType, _ctx: &EvalContext<'_>) -> Result<Datum> {
    Err(Error::unsupported("session values"))
}

/// An array of one more dimension than its elements have.
pub(crate) fn array_from_elements(element: SqlType, elements: Vec<Datum>) -> Result<Arc<ArrayValue>> {
    Ok(Arc::new(ArrayValue::vector(element, elements)))
}
