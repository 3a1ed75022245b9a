//! The aggregates' states.
//!
//! An aggregate is a [`Fold`]: what one group's state is, how a row is added, how two states are joined, and the result.
//! [`Grouped`] keeps one state a group in a vector and dispatches batches to the fold, which may override the loops
//! where a tight one pays.
//!
//! # Not done
//! Hypothetical-set aggregates (rank …), and those over xml and ranges.

mod collect;
mod extreme;
mod json;
mod ordered;
mod statistics;
mod sum;
mod user;

use std::any::{Any, TypeId};
use std::sync::Arc;

use ochre_base::{Error, Result};
use ochre_types::{Column, ColumnBuilder, Datum, PhysicalType, Selection, SqlType, oids};

use crate::eval::Rows;
use crate::{Aggregate, AggregateKind, AggregateState, EvalContext, Groups, errors};

/// One aggregate over one group.
pub(crate) trait Fold: Send + 'static {
    type State: Send + Clone + Default + 'static;

    /// Adds one row; answers by how many bytes the state grew on the heap.
    fn add(&self, state: &mut Self::State, args: &[Arc<Column>], row: usize) -> Result<usize>;

    /// Adds rows to one state.
    fn add_all(&self, state: &mut Self::State, args: &[Arc<Column>], rows: Rows<'_>) -> Result<usize> {
        let mut grown = 0;
        rows.try_each(|row| {
            grown += self.add(state, args, row)?;
            Ok(())
        })?;
        Ok(grown)
    }

    /// Adds rows to the states of their groups.
    fn add_each(
        &self,
        states: &mut [Self::State],
        groups: &[u32],
        args: &[Arc<Column>],
        rows: Rows<'_>,
    ) -> Result<usize> {
        let mut grown = 0;
        rows.try_each(|row| {
            grown += self.add(&mut states[groups[row] as usize], args, row)?;
            Ok(())
        })?;
        Ok(grown)
    }

    /// Joins the state of later rows to one of earlier rows.
    fn join(&self, state: &mut Self::State, later: Self::State) -> Result<()>;

    /// Takes a group's direct arguments, before its result is asked for.
    fn answer_for(&self, _state: &mut Self::State, _direct: &[Datum]) -> Result<()> {
        Ok(())
    }

    fn result(&self, state: &Self::State, ctx: &EvalContext<'_>) -> Result<Datum>;

    /// Of a fold whose states are also those of others that add the same arguments: what they have in common. They have
    /// one type of states, and add rows in the same way.
    fn transition(&self) -> Option<TypeId> {
        None
    }
}

struct Grouped<F: Fold> {
    fold: F,
    states: Vec<F::State>,
    heap_bytes: usize,
    result: PhysicalType,
}

/// Bytes of a column whose rows are taken in some at a time, and how many those are.
const LONG_BYTES: usize = 8 << 20;
const LONG_ROWS: usize = 16;

impl<F: Fold> Grouped<F> {
    fn add(&mut self, groups: Groups<'_>, args: &[Arc<Column>], rows: Rows<'_>) -> Result<()> {
        self.heap_bytes += match groups {
            Groups::One(group) => self.fold.add_all(&mut self.states[group as usize], args, rows)?,
            Groups::Each(groups) => self.fold.add_each(&mut self.states, groups, args, rows)?,
        };
        Ok(())
    }
}

impl<F: Fold> AggregateState for Grouped<F> {
    fn grow(&mut self, groups: usize) {
        if groups > self.states.len() {
            self.states.resize(groups, F::State::default());
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
        let selected = Rows::new(rows, selection);
        let long = |arg: &Arc<Column>| arg.as_bytes().is_some_and(|_| arg.memory_bytes() > LONG_BYTES);
        if rows == 1 || !args.iter().any(long) {
            return self.add(groups, args, selected);
        }
        // Rows of long values may be many milliseconds a batch.
        let mut positions = Vec::with_capacity(selected.len());
        selected.each(|position| positions.push(position as u16));
        for some in positions.chunks(LONG_ROWS) {
            ctx.session.check_interrupts()?;
            self.add(groups, args, Rows::Some(some))?;
        }
        Ok(())
    }

    fn merge(&mut self, other: Box<dyn AggregateState>, mapping: &[u32]) -> Result<()> {
        let other = other
            .into_any()
            .downcast::<Grouped<F>>()
            .map_err(|_| Error::internal("states of different aggregates cannot be merged"))?;
        self.heap_bytes += other.heap_bytes;
        for (state, group) in other.states.into_iter().zip(mapping) {
            self.fold.join(&mut self.states[*group as usize], state)?;
        }
        Ok(())
    }

    fn answer_for(&mut self, group: u32, direct: &[Datum]) -> Result<()> {
        self.fold.answer_for(&mut self.states[group as usize], direct)
    }

    fn finish(&mut self, ctx: &EvalContext<'_>) -> Result<Column> {
        let mut builder = ColumnBuilder::new(self.result, self.states.len());
        for state in std::mem::take(&mut self.states) {
            builder.push(&crate::eval::checked(self.fold.result(&state, ctx)?, self.result)?);
        }
        self.heap_bytes = 0;
        Ok(builder.finish())
    }

    fn value(&self, group: u32, ctx: &EvalContext<'_>) -> Result<Datum> {
        self.fold.result(&self.states[group as usize], ctx)
    }

    fn reset(&mut self, group: u32) {
        self.states[group as usize] = F::State::default();
    }

    fn memory_bytes(&self) -> usize {
        self.states.capacity() * std::mem::size_of::<F::State>() + self.heap_bytes
    }

    fn transition(&self) -> Option<TypeId> {
        self.fold.transition()
    }

    fn groups(&self) -> Option<&dyn Any> {
        Some(&self.states)
    }

    fn adopt(&mut self, other: &dyn AggregateState) -> Result<()> {
        let states = other.groups().and_then(|groups| groups.downcast_ref::<Vec<F::State>>());
        let states =
            states.filter(|_| self.transition().is_some() && self.transition() == other.transition());
        let states = states.ok_or_else(|| Error::internal("an aggregate's state cannot be shared"))?;
        self.states.clone_from(states);
        Ok(())
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

fn grouped<F: Fold>(fold: F, result: SqlType) -> Result<Box<dyn AggregateState>> {
    Ok(Box::new(Grouped { fold, states: Vec::new(), heap_bytes: 0, result: result.physical }))
}

/// The state of an aggregate for arguments of these types.
pub(crate) fn create(
    aggregate: &Aggregate,
    arg_types: &[SqlType],
    result: SqlType,
) -> Result<Box<dyn AggregateState>> {
    let missing = || Err(errors::missing(&aggregate.function));
    if aggregate.kind != AggregateKind::Normal {
        return missing();
    }
    if let Some(parts) = &aggregate.called {
        let extra = aggregate.final_extra[0];
        return Ok(Box::new(user::Called::new(parts.clone(), extra, arg_types, result)));
    }
    let first = arg_types.first().copied();
    let arg = first.map_or(oids::ANY, |ty| ty.oid);
    let name = &*aggregate.function.name;
    match (name, arg) {
        ("count", _) if arg_types.is_empty() => grouped(sum::CountRows, result),
        ("count", _) => grouped(sum::CountValues, result),
        ("sum", oids::INT2) => grouped(sum::SumIntegers::<i16>::new(), result),
        ("sum", oids::INT4) => grouped(sum::SumIntegers::<i32>::new(), result),
        ("sum", oids::MONEY) => grouped(sum::SumIntegers::<i64>::new(), result),
        ("sum", oids::INT8) => grouped(sum::ExactIntegers::<i64>::new(false), result),
        ("avg", oids::INT2) => grouped(sum::ExactIntegers::<i16>::new(true), result),
        ("avg", oids::INT4) => grouped(sum::ExactIntegers::<i32>::new(true), result),
        ("avg", oids::INT8) => grouped(sum::ExactIntegers::<i64>::new(true), result),
        ("sum", oids::NUMERIC) => grouped(sum::Numerics { average: false }, result),
        ("avg", oids::NUMERIC) => grouped(sum::Numerics { average: true }, result),
        ("sum", oids::FLOAT4) => grouped(sum::SumFloats32, result),
        ("sum", oids::FLOAT8) => grouped(sum::SumFloats64, result),
        ("avg", oids::FLOAT4 | oids::FLOAT8) => {
            grouped(statistics::Floats(statistics::Moment::Average), result)
        }
        ("sum", oids::INTERVAL) => grouped(sum::Intervals { average: false }, result),
        ("avg", oids::INTERVAL) => grouped(sum::Intervals { average: true }, result),
        ("min" | "max", _) => extreme::create(first.unwrap_or(result), name == "max", result),
        ("any_value", _) => grouped(collect::FirstValue, result),
        ("bool_and" | "every", _) => grouped(extreme::Booleans { and: true }, result),
        ("bool_or", _) => grouped(extreme::Booleans { and: false }, result),
        ("bit_and" | "bit_or" | "bit_xor", oids::INT2 | oids::INT4 | oids::INT8) => {
            grouped(extreme::Bits::named(name), result)
        }
        ("bit_and" | "bit_or" | "bit_xor", oids::BIT) => grouped(extreme::BitStrings::named(name), result),
        ("json_agg" | "json_agg_strict" | "jsonb_agg" | "jsonb_agg_strict", _) if arg_types.len() == 1 => {
            grouped(
                json::Elements {
                    element: arg_types[0],
                    binary: name.starts_with("jsonb"),
                    strict: name.ends_with("_strict"),
                },
                result,
            )
        }
        (
            "json_object_agg"
            | "json_object_agg_strict"
            | "json_object_agg_unique"
            | "json_object_agg_unique_strict"
            | "jsonb_object_agg"
            | "jsonb_object_agg_strict"
            | "jsonb_object_agg_unique"
            | "jsonb_object_agg_unique_strict",
            _,
        ) if arg_types.len() == 2 => grouped(
            json::Members {
                key: arg_types[0],
                value: arg_types[1],
                binary: name.starts_with("jsonb"),
                strict: name.ends_with("_strict"),
                unique: name.contains("_unique"),
            },
            result,
        ),
        ("string_agg", _) => grouped(collect::Strings, result),
        ("array_agg", _) => match first {
            Some(ty) if ty.physical == PhysicalType::Array => grouped(collect::Arrays, result),
            Some(ty) => grouped(collect::Elements { element: ty }, result),
            None => missing(),
        },
        (_, oids::FLOAT4 | oids::FLOAT8) if arg_types.len() == 1 => match statistics::Moment::named(name) {
            Some(moment) => grouped(statistics::Floats(moment), result),
            None => missing(),
        },
        (_, oids::INT2 | oids::INT4 | oids::INT8 | oids::NUMERIC) => match statistics::Moment::named(name) {
            Some(moment) => grouped(statistics::Exact(moment), result),
            None => missing(),
        },
        (_, oids::FLOAT8) if arg_types.len() == 2 => match statistics::Regression::named(name) {
            Some(regression) => grouped(regression, result),
            None => missing(),
        },
        _ => missing(),
    }
}

/// The state of an ordered-set aggregate over values of this type.
pub(crate) fn create_ordered_set(
    aggregate: &Aggregate,
    arg_types: &[SqlType],
    result: SqlType,
) -> Result<Box<dyn AggregateState>> {
    let question = match &*aggregate.function.name {
        "mode" => ordered::Question::Mode,
        "percentile_disc" => ordered::Question::Discrete,
        "percentile_cont" => ordered::Question::Continuous,
        _ => return Err(errors::missing(&aggregate.function)),
    };
    let element = arg_types.first().copied().unwrap_or(result);
    grouped(ordered::OrderedSet { question, element }, result)
}

/// Whether a combination of name and types that [`create`] knows exists, without creating a state.
pub(crate) fn is_implemented(aggregate: &Aggregate, arg_types: &[SqlType], result: SqlType) -> bool {
    create(aggregate, arg_types, result).is_ok()
}
