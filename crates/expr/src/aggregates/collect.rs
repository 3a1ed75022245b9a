//! string_agg, array_agg and any_value.

use std::sync::Arc;

use ochre_base::{Error, Result, SqlState};
use ochre_types::{ArrayDimension, ArrayValue, Column, Datum, Pace, SqlType};

use super::Fold;
use crate::EvalContext;
use crate::functions::room_for;

/// `any_value`: the first value that is not null.
pub(super) struct FirstValue;

impl Fold for FirstValue {
    type State = Option<Datum>;

    fn add(&self, state: &mut Option<Datum>, args: &[Arc<Column>], row: usize) -> Result<usize> {
        if state.is_none() && args[0].is_valid(row) {
            *state = Some(args[0].datum(row).detached());
        }
        Ok(0)
    }

    fn join(&self, state: &mut Option<Datum>, later: Option<Datum>) -> Result<()> {
        if state.is_none() {
            *state = later;
        }
        Ok(())
    }

    fn result(&self, state: &Option<Datum>, _ctx: &EvalContext<'_>) -> Result<Datum> {
        Ok(state.clone().unwrap_or(Datum::Null))
    }
}

/// `string_agg(value, delimiter)`, of text and bytea: the first value's delimiter does not show.
pub(super) struct Strings;

/// The joined values, and the length of the first value's delimiter in front of them (for joining states).
#[derive(Clone, Default)]
pub(super) struct Joined {
    bytes: Option<Vec<u8>>,
    first_delimiter: usize,
}

impl Fold for Strings {
    type State = Joined;

    fn add(&self, state: &mut Joined, args: &[Arc<Column>], row: usize) -> Result<usize> {
        if args[0].is_null(row) {
            return Ok(0);
        }
        let value = args[0].bytes(row);
        let delimiter = if args[1].is_null(row) { &[][..] } else { args[1].bytes(row) };
        let bytes = match &mut state.bytes {
            Some(bytes) => bytes,
            None => {
                state.first_delimiter = delimiter.len();
                state.bytes.insert(Vec::new())
            }
        };
        room_for(bytes.len(), delimiter.len() + value.len())?;
        bytes.extend_from_slice(delimiter);
        bytes.extend_from_slice(value);
        Ok(value.len() + delimiter.len())
    }

    fn join(&self, state: &mut Joined, later: Joined) -> Result<()> {
        match (&mut state.bytes, later.bytes) {
            (Some(bytes), Some(more)) => {
                room_for(bytes.len(), more.len())?;
                bytes.extend_from_slice(&more);
            }
            (None, Some(more)) => {
                *state = Joined { bytes: Some(more), first_delimiter: later.first_delimiter };
            }
            (_, None) => {}
        }
        Ok(())
    }

    fn result(&self, state: &Joined, ctx: &EvalContext<'_>) -> Result<Datum> {
        let Some(bytes) = &state.bytes else { return Ok(Datum::Null) };
        let mut out = Vec::new();
        Pace::from(ctx.session.format(), 0).append(&bytes[state.first_delimiter..], &mut out)?;
        Ok(Datum::text(out))
    }
}

/// `array_agg` of values, nulls included.
pub(super) struct Elements {
    pub element: SqlType,
}

impl Fold for Elements {
    type State = Vec<Datum>;

    fn add(&self, state: &mut Vec<Datum>, args: &[Arc<Column>], row: usize) -> Result<usize> {
        let value = args[0].datum(row).detached();
        let bytes = size_of::<Datum>() + value.as_bytes().map_or(0, <[u8]>::len);
        state.push(value);
        Ok(bytes)
    }

    fn join(&self, state: &mut Vec<Datum>, mut later: Vec<Datum>) -> Result<()> {
        state.append(&mut later);
        Ok(())
    }

    fn result(&self, state: &Vec<Datum>, ctx: &EvalContext<'_>) -> Result<Datum> {
        if state.is_empty() {
            return Ok(Datum::Null);
        }
        let mut elements = Vec::with_capacity(state.len());
        Pace::from(ctx.session.format(), 0).extend(state.iter().cloned(), &mut elements)?;
        Ok(Datum::Array(Arc::new(ArrayValue::vector(self.element.with_typmod(-1), elements))))
    }
}

/// `array_agg` of arrays: an array of one dimension more.
pub(super) struct Arrays;

impl Fold for Arrays {
    type State = Vec<Arc<ArrayValue>>;

    fn add(&self, state: &mut Self::State, args: &[Arc<Column>], row: usize) -> Result<usize> {
        let Datum::Array(array) = args[0].datum(row) else {
            return Err(Error::new(SqlState::NULL_VALUE_NOT_ALLOWED, "cannot accumulate null arrays"));
        };
        if array.is_empty() {
            return Err(Error::new(SqlState::ARRAY_SUBSCRIPT_ERROR, "cannot accumulate empty arrays"));
        }
        same_dimensions(state.first(), &array)?;
        let bytes = array.memory_bytes();
        state.push(array);
        Ok(bytes)
    }

    fn join(&self, state: &mut Self::State, mut later: Self::State) -> Result<()> {
        if let Some(array) = later.first() {
            same_dimensions(state.first(), array)?;
        }
        state.append(&mut later);
        Ok(())
    }

    fn result(&self, state: &Self::State, ctx: &EvalContext<'_>) -> Result<Datum> {
        let Some(first) = state.first() else { return Ok(Datum::Null) };
        let mut dimensions = first.dimensions.clone();
        dimensions.insert(0, ArrayDimension { length: state.len() as i32, lower: 1 });
        let mut elements = Vec::with_capacity(state.len() * first.len());
        let all = state.iter().flat_map(|array| array.elements.iter().cloned());
        Pace::from(ctx.session.format(), 0).extend(all, &mut elements)?;
        Ok(Datum::Array(Arc::new(ArrayValue { element: first.element, dimensions, elements })))
    }
}

fn same_dimensions(first: Option<&Arc<ArrayValue>>, array: &ArrayValue) -> Result<()> {
    if first.is_some_and(|first| first.dimensions != array.dimensions) {
        return Err(Error::new(
            SqlState::ARRAY_SUBSCRIPT_ERROR,
            "cannot accumulate arrays of different dimensionality",
        ));
    }
    Ok(())
}
