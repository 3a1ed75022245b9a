//! `to_char`, `to_date`, `to_timestamp`, `to_number`.

use ochre_base::{Error, Result};
use ochre_types::TimeZone;

use super::Implementations;

pub(super) fn register(_r: &mut Implementations) {}

/// `to_char` of a timestamp, in a zone or without one.
pub(crate) fn timestamp_to_char(
    _timestamp: i64,
    _zone: Option<&TimeZone>,
    _template: &str,
) -> Result<String> {
    Err(Error::unsupported("to_char"))
}
