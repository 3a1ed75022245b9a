//! The aggregates' states.

use ochre_base::Result;
use ochre_types::SqlType;

use crate::{Aggregate, AggregateState, errors};

/// The state of an aggregate for arguments of these types.
pub(crate) fn create(
    aggregate: &Aggregate,
    _arg_types: &[SqlType],
    _result: SqlType,
) -> Result<Box<dyn AggregateState>> {
    Err(errors::missing(aggregate.function))
}
