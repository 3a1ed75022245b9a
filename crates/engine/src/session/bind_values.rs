//! Reading the parameters of a Bind.

use ochre_base::{Error, Result};
use ochre_types::{Datum, SqlType, decode_binary, oids, parse_text};

use super::Session;
use crate::literals::Literal;

impl Session {
    /// Reads values in text (`false`) or binary form, into a list that is empty.
    ///
    /// # Errors
    /// Those of the types' input functions, with the parameter's number as context.
    pub(crate) fn read_parameters<'v>(
        &self,
        types: &[SqlType],
        values: impl Iterator<Item = (bool, Option<&'v [u8]>)>,
        mut list: Vec<Datum>,
    ) -> Result<Vec<Datum>> {
        let format = self.state.format_context();
        list.reserve(types.len());
        for (i, (ty, (binary, value))) in types.iter().zip(values).enumerate() {
            let read = match value {
                None => Ok(Datum::Null),
                Some(bytes) if binary => decode_binary(*ty, bytes, &format),
                Some(bytes) => text(bytes).and_then(|text| parse_text(*ty, text, &format)),
            };
            let read = read.map_err(|error| error.context(format!("unnamed portal parameter ${}", i + 1)));
            list.push(read?);
        }
        Ok(list)
    }
}

impl Session {
    /// Literals of a text as values of the types that were found for them; `None` when one is no value of its type.
    pub(crate) fn read_literals(&self, types: &[SqlType], literals: &[Literal<'_>]) -> Option<Vec<Datum>> {
        let mut format = None;
        let read = |(ty, literal): (&SqlType, &Literal<'_>)| match *literal {
            Literal::Integer(value) if ty.oid == oids::INT4 => i32::try_from(value).ok().map(Datum::Int32),
            Literal::Integer(value) => Some(Datum::Int64(value)),
            Literal::Text(text) => {
                let format = format.get_or_insert_with(|| self.state.format_context());
                parse_text(*ty, text, format).ok()
            }
        };
        types.iter().zip(literals).map(read).collect()
    }
}

fn text(bytes: &[u8]) -> Result<&str> {
    let text =
        std::str::from_utf8(bytes).map_err(|error| crate::errors::bad_utf8(bytes, error.valid_up_to()))?;
    if text.contains('\0') {
        return Err(Error::new(
            ochre_base::SqlState::CHARACTER_NOT_IN_REPERTOIRE,
            "invalid byte sequence for encoding \"UTF8\": 0x00",
        ));
    }
    Ok(text)
}
