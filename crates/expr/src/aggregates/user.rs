//! Aggregates of users: a state that functions make of a state and a row.
//!
//! # Not done
//! The functions for moving frames (MSFUNC and its kin): a frame whose start moves is aggregated anew, which gives the same
//! value as long as they undo what the transition function does. States are not joined (COMBINEFUNC).

use std::any::Any;
use std::sync::Arc;

use ochre_base::{Error, Result};
use ochre_types::{Column, ColumnBuilder, Datum, Selection, SqlType};

use crate::aggregate::CalledAggregate;
use crate::eval::{Rows, call_row, checked};
use crate::{AggregateState, CallContext, EvalContext, FunctionRef, Groups};

/// A group's state; `None` before the first row of a strict transition without an initial state.
type State = Option<Datum>;

/// The states of a user's aggregate.
pub(crate) struct Called {
    parts: CalledAggregate,
    /// The types of the transition function's arguments.
    types: Vec<SqlType>,
    result: SqlType,
    /// NULLs that the final function gets besides the state.
    extra: usize,
    states: Vec<State>,
    heap_bytes: usize,
}

impl Called {
    pub(crate) fn new(parts: CalledAggregate, extra: bool, arg_types: &[SqlType], result: SqlType) -> Called {
        let mut types = vec![parts.state];
        types.extend_from_slice(arg_types);
        Called {
            parts,
            types,
            result,
            extra: if extra { arg_types.len() } else { 0 },
            states: Vec::new(),
            heap_bytes: 0,
        }
    }

    fn initial(&self) -> State {
        // Only a strict transition has to wait for a row.
        match self.parts.transition.strict && self.parts.initial.is_null() {
            true => None,
            false => Some(self.parts.initial.clone()),
        }
    }

    fn call(
        &self,
        function: &FunctionRef,
        result: SqlType,
        values: &[Datum],
        ctx: &EvalContext<'_>,
    ) -> Result<Datum> {
        let arg_types = &self.types[..values.len()];
        let call = CallContext { eval: ctx, function, arg_types, result, variadic_array: false };
        checked(call_row(&call, values)?, result.physical)
    }

    fn result_of(&self, state: &State, ctx: &EvalContext<'_>) -> Result<Datum> {
        let value = state.clone().unwrap_or(Datum::Null);
        let Some(finish) = &self.parts.finish else { return Ok(value) };
        let mut values = vec![value];
        values.resize(1 + self.extra, Datum::Null);
        self.call(finish, self.result, &values, ctx)
    }
}

fn bytes_of(value: &Datum) -> usize {
    match value {
        Datum::Bytes(bytes) => bytes.as_slice().len(),
        Datum::Array(array) => array.elements.iter().map(bytes_of).sum::<usize>() + 48,
        Datum::Record(fields) => fields.iter().map(bytes_of).sum::<usize>() + 16,
        _ => size_of::<Datum>(),
    }
}

impl AggregateState for Called {
    fn grow(&mut self, groups: usize) {
        if groups > self.states.len() {
            let initial = self.initial();
            self.states.resize(groups, initial);
        }
    }

    fn update(
        &mut self,
        groups: Groups<'_>,
        args: &[Arc<Column>],
        rows: usize,
        selection: Option<&Selection>,
        ctx: &EvalContext<'_>,
    ) -> Result<()> {
        let strict = self.parts.transition.strict;
        let transition = self.parts.transition.clone();
        let mut values: Vec<Datum> = Vec::with_capacity(args.len() + 1);
        Rows::new(rows, selection).try_each(|row| {
            let group = match groups {
                Groups::One(group) => group,
                Groups::Each(groups) => groups[row],
            } as usize;
            values.clear();
            values.push(Datum::Null);
            values.extend(args.iter().map(|column| column.datum(row)));
            if strict && values[1..].iter().any(Datum::is_null) {
                return Ok(());
            }
            let next = match &self.states[group] {
                // The first row's value becomes the state.
                None => values.get(1).cloned().unwrap_or(Datum::Null),
                Some(Datum::Null) if strict => return Ok(()),
                Some(state) => {
                    values[0] = state.clone();
                    self.call(&transition, self.parts.state, &values, ctx)?
                }
            };
            let next = next.detached();
            self.heap_bytes += bytes_of(&next);
            if let Some(old) = &self.states[group] {
                self.heap_bytes = self.heap_bytes.saturating_sub(bytes_of(old));
            }
            self.states[group] = Some(next);
            Ok(())
        })
    }

    fn merge(&mut self, _other: Box<dyn AggregateState>, _mapping: &[u32]) -> Result<()> {
        Err(Error::internal("states of users' aggregates are not joined"))
    }

    fn finish(&mut self, ctx: &EvalContext<'_>) -> Result<Column> {
        let mut builder = ColumnBuilder::new(self.result.physical, self.states.len());
        for state in std::mem::take(&mut self.states) {
            builder.push(&checked(self.result_of(&state, ctx)?, self.result.physical)?);
        }
        self.heap_bytes = 0;
        Ok(builder.finish())
    }

    fn value(&self, group: u32, ctx: &EvalContext<'_>) -> Result<Datum> {
        self.result_of(&self.states[group as usize], ctx)
    }

    fn reset(&mut self, group: u32) {
        self.states[group as usize] = self.initial();
    }

    fn memory_bytes(&self) -> usize {
        self.states.capacity() * size_of::<State>() + self.heap_bytes
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}
