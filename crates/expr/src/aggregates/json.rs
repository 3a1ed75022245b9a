//! json_agg, json_object_agg and their kin.

use std::collections::HashSet;
use std::sync::Arc;

use ochre_base::{Error, Result, SqlState};
use ochre_types::jsonb::{Json, print_string};
use ochre_types::{Column, Datum, FormatContext, Pace, SqlType};

use super::Fold;
use crate::EvalContext;
use crate::functions::{append_json, json_of, key_text};

const DUPLICATE_KEY: SqlState = SqlState::new("22030");

/// `json_agg` and `jsonb_agg`.
pub(super) struct Elements {
    pub element: SqlType,
    pub binary: bool,
    /// Leaves nulls out.
    pub strict: bool,
}

impl Fold for Elements {
    type State = Option<Vec<Datum>>;

    fn add(&self, state: &mut Self::State, args: &[Arc<Column>], row: usize) -> Result<usize> {
        let values = state.get_or_insert_default();
        if self.strict && args[0].is_null(row) {
            return Ok(0);
        }
        let value = args[0].datum(row).detached();
        let bytes = size_of::<Datum>() + value.as_bytes().map_or(0, <[u8]>::len);
        values.push(value);
        Ok(bytes)
    }

    fn join(&self, state: &mut Self::State, later: Self::State) -> Result<()> {
        if let Some(mut later) = later {
            state.get_or_insert_default().append(&mut later);
        }
        Ok(())
    }

    fn result(&self, state: &Self::State, ctx: &EvalContext<'_>) -> Result<Datum> {
        let Some(values) = state else { return Ok(Datum::Null) };
        let format = ctx.session.format();
        if self.binary {
            let mut pace = Pace::from(format, 0);
            let element = |(i, value): (usize, &Datum)| {
                pace.look(i * size_of::<Datum>())?;
                json_of(value, self.element, format)
            };
            let elements = values.iter().enumerate().map(element).collect::<Result<_>>()?;
            return Ok(Datum::text(Json::Array(elements).to_bytes_within(format)?));
        }
        let mut pace = Pace::from(format, 0);
        let mut out = vec![b'['];
        for (i, value) in values.iter().enumerate() {
            if i > 0 {
                // Containers stand on lines of their own, as PostgreSQL prints them.
                let container = matches!(value, Datum::Array(_) | Datum::Record(_));
                out.extend_from_slice(if container { b", \n " } else { b", " });
            }
            append_json(value, self.element, format, &mut out)?;
            pace.look(out.len())?;
        }
        out.push(b']');
        Ok(Datum::text(out))
    }
}

/// `json_object_agg`, `jsonb_object_agg` and their kin.
pub(super) struct Members {
    pub key: SqlType,
    pub value: SqlType,
    pub binary: bool,
    /// Leaves out members whose value is null.
    pub strict: bool,
    /// Refuses a key that comes twice, even where its value is left out.
    pub unique: bool,
}

impl Members {
    fn check_unique(&self, members: &[(Datum, Datum)], format: &FormatContext) -> Result<()> {
        let mut pace = Pace::from(format, 0);
        let mut seen = HashSet::with_capacity(members.len());
        for (key, _) in members {
            let key = key_text(key, self.key, format)?;
            pace.advance(key.len())?;
            if let Some(twice) = seen.replace(key) {
                let message = match self.binary {
                    true => "duplicate JSON object key value".to_owned(),
                    false => {
                        let mut quoted = Vec::new();
                        print_string(&twice, &mut quoted);
                        format!("duplicate JSON object key value: {}", String::from_utf8_lossy(&quoted))
                    }
                };
                return Err(Error::new(DUPLICATE_KEY, message));
            }
        }
        Ok(())
    }
}

impl Fold for Members {
    type State = Option<Vec<(Datum, Datum)>>;

    fn add(&self, state: &mut Self::State, args: &[Arc<Column>], row: usize) -> Result<usize> {
        let members = state.get_or_insert_default();
        if args[0].is_null(row) {
            let message = if self.binary {
                "field name must not be null"
            } else {
                "null value not allowed for object key"
            };
            let sqlstate = if self.binary {
                SqlState::INVALID_PARAMETER_VALUE
            } else {
                SqlState::NULL_VALUE_NOT_ALLOWED
            };
            return Err(Error::new(sqlstate, message));
        }
        if self.strict && !self.unique && args[1].is_null(row) {
            return Ok(0);
        }
        let (key, value) = (args[0].datum(row).detached(), args[1].datum(row).detached());
        let bytes = [&key, &value].iter().filter_map(|v| v.as_bytes()).map(<[u8]>::len).sum::<usize>();
        members.push((key, value));
        Ok(2 * size_of::<Datum>() + bytes)
    }

    fn join(&self, state: &mut Self::State, later: Self::State) -> Result<()> {
        if let Some(mut later) = later {
            state.get_or_insert_default().append(&mut later);
        }
        Ok(())
    }

    fn result(&self, state: &Self::State, ctx: &EvalContext<'_>) -> Result<Datum> {
        let Some(members) = state else { return Ok(Datum::Null) };
        let format = ctx.session.format();
        if self.unique {
            self.check_unique(members, format)?;
        }
        let members = members.iter().filter(|(_, value)| !self.strict || !value.is_null());
        if self.binary {
            let mut pace = Pace::from(format, 0);
            let member = |(key, value): &(Datum, Datum)| -> Result<(String, Json)> {
                pace.advance(key.weight() + value.weight())?;
                Ok((key_text(key, self.key, format)?, json_of(value, self.value, format)?))
            };
            let members = members.map(member).collect::<Result<_>>()?;
            return Ok(Datum::text(Json::Object(members).to_bytes_within(format)?));
        }
        let mut pace = Pace::from(format, 0);
        let mut out = b"{ ".to_vec();
        for (i, (key, value)) in members.enumerate() {
            if i > 0 {
                out.extend_from_slice(b", ");
            }
            print_string(&key_text(key, self.key, format)?, &mut out);
            out.extend_from_slice(b" : ");
            append_json(value, self.value, format, &mut out)?;
            pace.look(out.len())?;
        }
        out.extend_from_slice(b" }");
        Ok(Datum::text(out))
    }
}
