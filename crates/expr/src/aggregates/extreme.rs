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
        PhysicalType::Int16 => grouped(Natives::<i16>::new(greatest), result),
        PhysicalType::Int32 => grouped(Natives::<i32>::new(greatest), result),
        PhysicalType::Int64 => grouped(Natives::<i64>::new(greatest), result),
        PhysicalType::UInt32 => grouped(Natives::<u32>::new(greatest), result),
        PhysicalType::UInt64 => grouped(Natives::<u64>::new(greatest), result),
        PhysicalType::Float32 => grouped(Natives::<f32>::new(greatest), result),
        PhysicalType::Float64 => grouped(Natives::<f64>::new(greatest), result),
        _ => grouped(Values { greatest, order: arg.order() }, result),
    }
}

/// A fixed-width type with SQL's order.
trait Ordered: Native {
    fn less(self, other: Self) -> bool;
}

macro_rules! ordered {
    ($($type:ident)*) => {
        $(impl Ordered for $type {
            #[inline]
            fn less(self, other: $type) -> bool {
                self < other
            }
        })*
    };
}

ordered! { i16 i32 i64 u32 u64 }

impl Ordered for f32 {
    #[inline]
    fn less(self, other: f32) -> bool {
        order64(self.into(), other.into()).is_lt()
    }
}

impl Ordered for f64 {
    #[inline]
    fn less(self, other: f64) -> bool {
        order64(self, other).is_lt()
    }
}

/// Extremes of a fixed-width type.
struct Natives<T> {
    greatest: bool,
    input: PhantomData<T>,
}

impl<T: Ordered> Natives<T> {
    fn new(greatest: bool) -> Natives<T> {
        Natives { greatest, input: PhantomData }
    }

    #[inline]
    fn choose(&self, a: T, b: T) -> T {
        let take_b = if self.greatest { a.less(b) } else { b.less(a) };
        if take_b { b } else { a }
    }

    #[inline]
    fn offer(&self, state: &mut Option<T>, value: T) {
        *state = Some(state.map_or(value, |best| self.choose(best, value)));
    }

    /// The selected values that are not null, one by one.
    #[inline]
    fn each(&self, column: &Column, rows: Rows<'_>, mut f: impl FnMut(usize, T)) -> Result<()> {
        let values = T::slice(column).ok_or_else(|| wrong_form("its type"))?;
        let stride = column.stride();
        match column.validity() {
            None => rows.each(|row| f(row, values[row * stride])),
            Some(validity) => rows.each(|row| {
                if validity.get(row * stride) {
                    f(row, values[row * stride]);
                }
            }),
        }
        Ok(())
    }
}

impl<T: Ordered> Fold for Natives<T> {
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
        if let (Rows::All(count), None, false) = (rows, args[0].validity(), args[0].is_constant())
            && let Some((first, rest)) = values[..count].split_first()
        {
            let best = if self.greatest {
                rest.iter().fold(*first, |a, b| if a.less(*b) { *b } else { a })
            } else {
                rest.iter().fold(*first, |a, b| if b.less(a) { *b } else { a })
            };
            self.offer(state, best);
            return Ok(0);
        }
        let mut best = *state;
        self.each(&args[0], rows, |_, value| self.offer(&mut best, value))?;
        *state = best;
        Ok(0)
    }

    fn add_each(
        &self,
        states: &mut [Option<T>],
        groups: &[u32],
        args: &[Arc<Column>],
        rows: Rows<'_>,
    ) -> Result<usize> {
        self.each(&args[0], rows, |row, value| self.offer(&mut states[groups[row] as usize], value))?;
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
            state.0 = value.detached();
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

/// `bit_and`, `bit_or`, `bit_xor` of bit strings.
pub(super) struct BitStrings {
    verb: &'static str,
    combine: fn(u8, u8) -> u8,
}

impl BitStrings {
    pub(super) fn named(name: &str) -> BitStrings {
        match name {
            "bit_and" => BitStrings { verb: "AND", combine: |a, b| a & b },
            "bit_or" => BitStrings { verb: "OR", combine: |a, b| a | b },
            _ => BitStrings { verb: "XOR", combine: |a, b| a ^ b },
        }
    }
}

impl Fold for BitStrings {
    type State = Option<Vec<u8>>;

    fn add(&self, state: &mut Option<Vec<u8>>, args: &[Arc<Column>], row: usize) -> Result<usize> {
        if let Some(value) = args[0].datum(row).as_bytes() {
            self.join(state, Some(value.to_vec()))?;
        }
        Ok(0)
    }

    fn join(&self, state: &mut Option<Vec<u8>>, later: Option<Vec<u8>>) -> Result<()> {
        *state = match (state.take(), later) {
            (Some(a), Some(b)) => Some(crate::functions::combine_bits(&a, &b, self.verb, self.combine)?),
            (a, b) => a.or(b),
        };
        Ok(())
    }

    fn result(&self, state: &Option<Vec<u8>>, _ctx: &EvalContext<'_>) -> Result<Datum> {
        Ok(state.as_ref().map_or(Datum::Null, |bits| Datum::Bytes(bits.as_slice().into())))
    }
}
