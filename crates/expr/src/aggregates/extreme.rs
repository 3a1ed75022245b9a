//! min, max, bool_and, bool_or and the bit aggregates.

use std::cmp::Ordering;
use std::marker::PhantomData;
use std::sync::Arc;

use ochre_base::Result;
use ochre_types::{Column, ColumnValues, Datum, PhysicalType, SqlType, ValueOrder, compare};

use super::{Fold, grouped};
use crate::errors::wrong_form;
use crate::eval::Rows;
use crate::functions::{Native, order64};
use crate::{AggregateState, EvalContext};

/// The state of `min` or `max` over a type.
pub(super) fn create(arg: SqlType, greatest: bool, result: SqlType) -> Result<Box<dyn AggregateState>> {
    match arg.physical {
        PhysicalType::Int16 => grouped(Natives::<i16>::new(greatest, |a, b| a < b), result),
        PhysicalType::Int32 => grouped(Natives::<i32>::new(greatest, |a, b| a < b), result),
        PhysicalType::Int64 => grouped(Natives::<i64>::new(greatest, |a, b| a < b), result),
        PhysicalType::UInt32 => grouped(Natives::<u32>::new(greatest, |a, b| a < b), result),
        PhysicalType::UInt64 => grouped(Natives::<u64>::new(greatest, |a, b| a < b), result),
        PhysicalType::Float32 => {
            grouped(Natives::<f32>::new(greatest, |a, b| order64(a.into(), b.into()).is_lt()), result)
        }
        PhysicalType::Float64 => grouped(Natives::<f64>::new(greatest, |a, b| order64(a, b).is_lt()), result),
        _ => grouped(Values { greatest, order: arg.order() }, result),
    }
}

/// Extremes of a fixed-width type.
struct Natives<T> {
    greatest: bool,
    less: fn(T, T) -> bool,
    input: PhantomData<T>,
}

impl<T> Natives<T> {
    fn new(greatest: bool, less: fn(T, T) -> bool) -> Natives<T> {
        Natives { greatest, less, input: PhantomData }
    }
}

impl<T: Native> Natives<T> {
    #[inline]
    fn better(&self, value: T, best: T) -> bool {
        if self.greatest { (self.less)(best, value) } else { (self.less)(value, best) }
    }

    #[inline]
    fn offer(&self, state: &mut Option<T>, value: T) {
        if state.is_none_or(|best| self.better(value, best)) {
            *state = Some(value);
        }
    }
}

impl<T: Native> Fold for Natives<T> {
    type State = Option<T>;

    fn add(&self, state: &mut Option<T>, args: &[Arc<Column>], row: usize) -> Result<usize> {
        if args[0].is_valid(row) {
            let values = T::slice(&args[0]).ok_or_else(|| wrong_form("its type"))?;
            self.offer(state, values[row * args[0].stride()]);
        }
        Ok(0)
    }

    fn add_all(&self, state: &mut Option<T>, args: &[Arc<Column>], rows: Rows<'_>) -> Result<usize> {
        let values = T::slice(&args[0]).ok_or_else(|| wrong_form("its type"))?;
        let stride = args[0].stride();
        let mut best = *state;
        rows.each(|row| {
            if args[0].is_valid(row) {
                self.offer(&mut best, values[row * stride]);
            }
        });
        *state = best;
        Ok(0)
    }

    fn join(&self, state: &mut Option<T>, later: Option<T>) -> Result<()> {
        if let Some(value) = later {
            self.offer(state, value);
        }
        Ok(())
    }

    fn result(&self, state: &Option<T>, _ctx: &EvalContext<'_>) -> Result<Datum> {
        Ok(state.map_or(Datum::Null, T::datum))
    }
}

/// Extremes of any type.
struct Values {
    greatest: bool,
    order: ValueOrder,
}

impl Values {
    fn better(&self, value: &Datum, best: &Datum) -> bool {
        let wanted = if self.greatest { Ordering::Greater } else { Ordering::Less };
        best.is_null() || compare::compare_datums(value, best, self.order) == wanted
    }
}

/// A state's value, null before the first.
#[derive(Clone)]
struct Best(Datum);

impl Default for Best {
    fn default() -> Best {
        Best(Datum::Null)
    }
}

impl Fold for Values {
    type State = Best;

    fn add(&self, state: &mut Best, args: &[Arc<Column>], row: usize) -> Result<usize> {
        if args[0].is_null(row) {
            return Ok(0);
        }
        // Most rows do not improve on the best: compare strings in place before making a value of one.
        if let (ColumnValues::Bytes(values), Datum::Bytes(best), ValueOrder::Natural) =
            (args[0].values(), &state.0, self.order)
        {
            let order = values.get(row * args[0].stride()).cmp(best.as_slice());
            if order.is_eq() || order.is_gt() != self.greatest {
                return Ok(0);
            }
        }
        let value = args[0].datum(row);
        if self.better(&value, &state.0) {
            state.0 = own(value);
        }
        Ok(0)
    }

    fn join(&self, state: &mut Best, later: Best) -> Result<()> {
        if !later.0.is_null() && self.better(&later.0, &state.0) {
            *state = later;
        }
        Ok(())
    }

    fn result(&self, state: &Best, _ctx: &EvalContext<'_>) -> Result<Datum> {
        Ok(state.0.clone())
    }
}

/// A value that does not hold a batch's whole buffer for the sake of one string.
pub(super) fn own(value: Datum) -> Datum {
    match value {
        Datum::Bytes(bytes) => Datum::text(bytes.as_slice()),
        other => other,
    }
}

/// `bool_and` and `bool_or`.
pub(super) struct Booleans {
    pub and: bool,
}

impl Fold for Booleans {
    type State = Option<bool>;

    fn add(&self, state: &mut Option<bool>, args: &[Arc<Column>], row: usize) -> Result<usize> {
        if args[0].is_valid(row) {
            let values = args[0].as_bools().ok_or_else(|| wrong_form("a boolean"))?;
            self.join(state, Some(values[row * args[0].stride()]))?;
        }
        Ok(0)
    }

    fn join(&self, state: &mut Option<bool>, later: Option<bool>) -> Result<()> {
        *state = match (*state, later) {
            (Some(a), Some(b)) => Some(if self.and { a && b } else { a || b }),
            (a, b) => a.or(b),
        };
        Ok(())
    }

    fn result(&self, state: &Option<bool>, _ctx: &EvalContext<'_>) -> Result<Datum> {
        Ok(state.map_or(Datum::Null, Datum::Bool))
    }
}

/// `bit_and`, `bit_or`, `bit_xor` of integers.
pub(super) struct Bits {
    combine: fn(i64, i64) -> i64,
}

/// What a group's bits are, and how wide the input is.
type BitState = Option<(i64, PhysicalType)>;

impl Bits {
    pub(super) fn named(name: &str) -> Bits {
        Bits {
            combine: match name {
                "bit_and" => |a, b| a & b,
                "bit_or" => |a, b| a | b,
                _ => |a, b| a ^ b,
            },
        }
    }
}

impl Fold for Bits {
    type State = BitState;

    fn add(&self, state: &mut BitState, args: &[Arc<Column>], row: usize) -> Result<usize> {
        if let Some(value) = args[0].datum(row).as_i64() {
            self.join(state, Some((value, args[0].physical())))?;
        }
        Ok(0)
    }

    fn join(&self, state: &mut BitState, later: BitState) -> Result<()> {
        *state = match (*state, later) {
            (Some((a, physical)), Some((b, _))) => Some(((self.combine)(a, b), physical)),
            (a, b) => a.or(b),
        };
        Ok(())
    }

    fn result(&self, state: &BitState, _ctx: &EvalContext<'_>) -> Result<Datum> {
        Ok(match state {
            None => Datum::Null,
            Some((value, PhysicalType::Int16)) => Datum::Int16(*value as i16),
            Some((value, PhysicalType::Int32)) => Datum::Int32(*value as i32),
            Some((value, _)) => Datum::Int64(*value),
        })
    }
}
