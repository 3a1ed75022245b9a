//! count, sum and avg.

use std::any::TypeId;
use std::marker::PhantomData;
use std::sync::Arc;

use ochre_base::Result;
use ochre_types::{Column, Datum, Interval, Numeric, datetime};

use super::Fold;
use crate::EvalContext;
use crate::errors::{out_of_range, wrong_form};
use crate::eval::Rows;
use crate::functions::Native;

/// `count(*)`.
pub(super) struct CountRows;

impl Fold for CountRows {
    type State = i64;

    fn add(&self, state: &mut i64, _args: &[Arc<Column>], _row: usize) -> Result<usize> {
        *state += 1;
        Ok(0)
    }

    fn add_all(&self, state: &mut i64, _args: &[Arc<Column>], rows: Rows<'_>) -> Result<usize> {
        *state += rows.len() as i64;
        Ok(0)
    }

    fn join(&self, state: &mut i64, later: i64) -> Result<()> {
        *state += later;
        Ok(())
    }

    fn result(&self, state: &i64, _ctx: &EvalContext<'_>) -> Result<Datum> {
        Ok(Datum::Int64(*state))
    }
}

/// `count(x)`: rows at which x is not null.
pub(super) struct CountValues;

impl Fold for CountValues {
    type State = i64;

    fn add(&self, state: &mut i64, args: &[Arc<Column>], row: usize) -> Result<usize> {
        *state += i64::from(args[0].is_valid(row));
        Ok(0)
    }

    fn add_all(&self, state: &mut i64, args: &[Arc<Column>], rows: Rows<'_>) -> Result<usize> {
        match args[0].validity() {
            None => *state += rows.len() as i64,
            Some(_) => rows.each(|row| *state += i64::from(args[0].is_valid(row))),
        }
        Ok(0)
    }

    fn join(&self, state: &mut i64, later: i64) -> Result<()> {
        *state += later;
        Ok(())
    }

    fn result(&self, state: &i64, _ctx: &EvalContext<'_>) -> Result<Datum> {
        Ok(Datum::Int64(*state))
    }
}

/// Runs `add` with each selected value that is not null.
#[inline]
fn each_value<T: Native>(column: &Column, rows: Rows<'_>, mut add: impl FnMut(usize, T)) -> Result<()> {
    let values = T::slice(column).ok_or_else(|| wrong_form("a number"))?;
    let stride = column.stride();
    match (column.validity(), rows) {
        (None, Rows::All(count)) if stride == 1 => {
            values[..count].iter().enumerate().for_each(|(row, value)| add(row, *value));
        }
        (None, rows) => rows.each(|row| add(row, values[row * stride])),
        (Some(validity), rows) => rows.each(|row| {
            if validity.get(row * stride) {
                add(row, values[row * stride]);
            }
        }),
    }
    Ok(())
}

/// `sum` of integers with a 64-bit result.
pub(super) struct SumIntegers<T>(PhantomData<T>);

impl<T> SumIntegers<T> {
    pub(super) fn new() -> SumIntegers<T> {
        SumIntegers(PhantomData)
    }
}

/// Values so far and their sum, wide enough that 2^64 values cannot overflow it.
#[derive(Clone, Copy, Default)]
pub(super) struct IntegerSum {
    sum: i128,
    count: i64,
}

/// The loops that [`SumIntegers`] and [`ExactIntegers`] share. Within a batch the sum of at most 2,048 values of 32 bits
/// fits 64 bits; wider ones are added in 128 bits.
macro_rules! integer_loops {
    ($t:ident) => {
        type State = IntegerSum;

        fn add(&self, state: &mut IntegerSum, args: &[Arc<Column>], row: usize) -> Result<usize> {
            if args[0].is_valid(row) {
                let values = $t::slice(&args[0]).ok_or_else(|| wrong_form("a number"))?;
                state.sum += i128::from(values[row * args[0].stride()].into());
                state.count += 1;
            }
            Ok(0)
        }

        fn add_all(&self, state: &mut IntegerSum, args: &[Arc<Column>], rows: Rows<'_>) -> Result<usize> {
            let mut count = 0;
            if size_of::<$t>() < 8 {
                let mut sum = 0i64;
                each_value::<$t>(&args[0], rows, |_, value| {
                    sum += value.into();
                    count += 1;
                })?;
                state.sum += i128::from(sum);
            } else {
                let mut sum = 0i128;
                each_value::<$t>(&args[0], rows, |_, value| {
                    sum += i128::from(value.into());
                    count += 1;
                })?;
                state.sum += sum;
            }
            state.count += count;
            Ok(0)
        }

        fn add_each(
            &self,
            states: &mut [IntegerSum],
            groups: &[u32],
            args: &[Arc<Column>],
            rows: Rows<'_>,
        ) -> Result<usize> {
            each_value::<$t>(&args[0], rows, |row, value| {
                let state = &mut states[groups[row] as usize];
                state.sum += i128::from(value.into());
                state.count += 1;
            })?;
            Ok(0)
        }

        fn join(&self, state: &mut IntegerSum, later: IntegerSum) -> Result<()> {
            state.sum += later.sum;
            state.count += later.count;
            Ok(())
        }

        fn transition(&self) -> Option<TypeId> {
            Some(TypeId::of::<IntegerSum>())
        }
    };
}

impl<T: Native + Into<i64>> Fold for SumIntegers<T> {
    integer_loops!(T);

    fn result(&self, state: &IntegerSum, _ctx: &EvalContext<'_>) -> Result<Datum> {
        if state.count == 0 {
            return Ok(Datum::Null);
        }
        i64::try_from(state.sum).map(Datum::Int64).map_err(|_| out_of_range("bigint"))
    }
}

/// `sum(int8)` and `avg` of integers, whose results are numeric.
pub(super) struct ExactIntegers<T> {
    average: bool,
    input: PhantomData<T>,
}

impl<T> ExactIntegers<T> {
    pub(super) fn new(average: bool) -> ExactIntegers<T> {
        ExactIntegers { average, input: PhantomData }
    }
}

impl<T: Native + Into<i64>> Fold for ExactIntegers<T> {
    integer_loops!(T);

    fn result(&self, state: &IntegerSum, _ctx: &EvalContext<'_>) -> Result<Datum> {
        if state.count == 0 {
            return Ok(Datum::Null);
        }
        let sum = Numeric::from_i128(state.sum, 0);
        if !self.average {
            return Ok(Datum::Numeric(sum));
        }
        Ok(Datum::Numeric(sum.div(&Numeric::from_i64(state.count))?))
    }
}

/// `sum` and `avg` of numerics.
pub(super) struct Numerics {
    pub average: bool,
}

/// Values so far and their sum. Narrow values are added in 128 bits at the largest scale seen among them; 2^64 of them
/// fit. Others are added apart.
#[derive(Clone, Default)]
pub(super) struct NumericSum {
    narrow: i128,
    scale: u16,
    /// Whether there was a narrow value.
    some: bool,
    other: Option<Box<Numeric>>,
    count: i64,
}

impl NumericSum {
    #[inline]
    fn add(&mut self, value: &Numeric) -> Result<()> {
        self.count += 1;
        match value.narrow() {
            Some((coefficient, scale)) if scale == self.scale => {
                self.narrow += i128::from(coefficient);
                self.some = true;
                Ok(())
            }
            _ => self.add_slowly(value),
        }
    }

    /// Adds the sum of so many narrow values of this scale.
    fn add_narrow(&mut self, sum: i128, count: i64) {
        self.narrow += sum;
        self.some |= count > 0;
        self.count += count;
    }

    #[cold]
    #[inline(never)]
    fn add_slowly(&mut self, value: &Numeric) -> Result<()> {
        let Some((coefficient, scale)) = value.narrow() else { return self.add_other(value) };
        if !self.some {
            (self.narrow, self.scale, self.some) = (i128::from(coefficient), scale, true);
            return Ok(());
        }
        if scale > self.scale {
            // What has been added moves to the larger scale by way of the other sum, which has room for it.
            let before = Numeric::from_i128(std::mem::take(&mut self.narrow), self.scale);
            self.scale = scale;
            self.narrow = i128::from(coefficient);
            return self.add_other(&before);
        }
        if self.scale - scale <= 18 {
            // Below 2^123 each: so many of them could overflow, so they do not stay here for long.
            let wide = i128::from(coefficient) * 10i128.pow(u32::from(self.scale - scale));
            match self.narrow.checked_add(wide) {
                Some(sum) if sum.unsigned_abs() < 1 << 125 => self.narrow = sum,
                _ => return self.add_other(value),
            }
            return Ok(());
        }
        self.add_other(value)
    }

    fn add_other(&mut self, value: &Numeric) -> Result<()> {
        self.other = Some(Box::new(match self.other.take() {
            Some(sum) => sum.add(value)?,
            None => value.clone(),
        }));
        Ok(())
    }

    fn total(&self) -> Result<Option<Numeric>> {
        let narrow = self.some.then(|| Numeric::from_i128(self.narrow, self.scale));
        Ok(match (narrow, &self.other) {
            (Some(narrow), Some(other)) => Some(narrow.add(other)?),
            (narrow, other) => narrow.or_else(|| other.as_deref().cloned()),
        })
    }
}

impl Fold for Numerics {
    type State = NumericSum;

    fn add(&self, state: &mut NumericSum, args: &[Arc<Column>], row: usize) -> Result<usize> {
        if args[0].is_valid(row) {
            let values = args[0].as_numerics().ok_or_else(|| wrong_form("a numeric"))?;
            state.add(&values[row * args[0].stride()])?;
        }
        Ok(0)
    }

    fn add_all(&self, state: &mut NumericSum, args: &[Arc<Column>], rows: Rows<'_>) -> Result<usize> {
        let values = args[0].as_numerics().ok_or_else(|| wrong_form("a numeric"))?;
        let (stride, validity) = (args[0].stride(), args[0].validity());
        // Values of the scale that the sum has are added up in registers.
        let (mut scale, mut narrow, mut count) = (state.scale, 0i128, 0i64);
        // Written out for both forms of rows: the loops are small, and a call for each row would be most of their time.
        macro_rules! add {
            ($position:expr) => {
                let row = $position * stride;
                if validity.is_none_or(|validity| validity.get(row)) {
                    match values[row].narrow() {
                        Some((coefficient, own)) if own == scale => {
                            narrow += i128::from(coefficient);
                            count += 1;
                        }
                        _ => {
                            state.add_narrow(std::mem::take(&mut narrow), std::mem::take(&mut count));
                            state.count += 1;
                            state.add_slowly(&values[row])?;
                            scale = state.scale;
                        }
                    }
                }
            };
        }
        match rows {
            Rows::All(rows) => {
                for row in 0..rows {
                    add!(row);
                }
            }
            Rows::Some(positions) => {
                for position in positions {
                    add!(usize::from(*position));
                }
            }
        }
        state.add_narrow(narrow, count);
        Ok(0)
    }

    fn add_each(
        &self,
        states: &mut [NumericSum],
        groups: &[u32],
        args: &[Arc<Column>],
        rows: Rows<'_>,
    ) -> Result<usize> {
        let values = args[0].as_numerics().ok_or_else(|| wrong_form("a numeric"))?;
        let stride = args[0].stride();
        match args[0].validity() {
            None => rows.try_each(|row| states[groups[row] as usize].add(&values[row * stride]))?,
            Some(validity) => rows.try_each(|row| {
                if validity.get(row * stride) {
                    states[groups[row] as usize].add(&values[row * stride])?;
                }
                Ok(())
            })?,
        }
        Ok(0)
    }

    fn join(&self, state: &mut NumericSum, later: NumericSum) -> Result<()> {
        let count = state.count + later.count;
        if let Some(total) = later.total()? {
            state.add_slowly(&total)?;
        }
        state.count = count;
        Ok(())
    }

    fn result(&self, state: &NumericSum, _ctx: &EvalContext<'_>) -> Result<Datum> {
        match state.total()? {
            None => Ok(Datum::Null),
            Some(sum) if self.average => Ok(Datum::Numeric(sum.div(&Numeric::from_i64(state.count))?)),
            Some(sum) => Ok(Datum::Numeric(sum)),
        }
    }

    fn transition(&self) -> Option<TypeId> {
        Some(TypeId::of::<NumericSum>())
    }
}

macro_rules! float_sum {
    ($(#[$doc:meta])* $name:ident $t:ident $variant:ident) => {
        $(#[$doc])*
        pub(super) struct $name;

        impl Fold for $name {
            type State = Option<$t>;

            fn add(&self, state: &mut Option<$t>, args: &[Arc<Column>], row: usize) -> Result<usize> {
                if args[0].is_valid(row) {
                    let values = $t::slice(&args[0]).ok_or_else(|| wrong_form("a number"))?;
                    let value = values[row * args[0].stride()];
                    *state = Some(state.map_or(Ok(value), |sum| add_floats(sum.into(), value.into()).map(|sum| sum as $t))?);
                }
                Ok(0)
            }

            fn add_all(&self, state: &mut Option<$t>, args: &[Arc<Column>], rows: Rows<'_>) -> Result<usize> {
                // Row by row in order, as PostgreSQL: float addition is not associative.
                let (mut sum, mut seen, mut finite) = (state.unwrap_or(0.0), state.is_some(), true);
                each_value::<$t>(&args[0], rows, |_, value| {
                    if seen {
                        let next = sum + value;
                        finite &= !next.is_infinite() | sum.is_infinite() | value.is_infinite();
                        sum = next;
                    } else {
                        sum = value;
                        seen = true;
                    }
                })?;
                if !finite {
                    return Err(crate::functions::float_overflow());
                }
                *state = seen.then_some(sum);
                Ok(0)
            }

            fn add_each(
                &self,
                states: &mut [Option<$t>],
                groups: &[u32],
                args: &[Arc<Column>],
                rows: Rows<'_>,
            ) -> Result<usize> {
                let mut finite = true;
                each_value::<$t>(&args[0], rows, |row, value| {
                    let state = &mut states[groups[row] as usize];
                    let before = state.unwrap_or(-0.0);
                    let sum = before + value;
                    finite &= !sum.is_infinite() | before.is_infinite() | value.is_infinite();
                    *state = Some(sum);
                })?;
                if finite { Ok(0) } else { Err(crate::functions::float_overflow()) }
            }

            fn join(&self, state: &mut Option<$t>, later: Option<$t>) -> Result<()> {
                *state = match (*state, later) {
                    (Some(a), Some(b)) => Some(add_floats(a.into(), b.into())? as $t),
                    (a, b) => a.or(b),
                };
                Ok(())
            }

            fn result(&self, state: &Option<$t>, _ctx: &EvalContext<'_>) -> Result<Datum> {
                Ok(state.map_or(Datum::Null, Datum::$variant))
            }
        }
    };
}

float_sum! {
    /// `sum(float4)`, added in single precision.
    SumFloats32 f32 Float32
}
float_sum! {
    /// `sum(float8)`.
    SumFloats64 f64 Float64
}

fn add_floats(a: f64, b: f64) -> Result<f64> {
    let sum = a + b;
    if sum.is_infinite() && !a.is_infinite() && !b.is_infinite() {
        return Err(crate::functions::float_overflow());
    }
    Ok(sum)
}

/// `sum` and `avg` of intervals.
pub(super) struct Intervals {
    pub average: bool,
}

impl Fold for Intervals {
    type State = (Option<Interval>, i64);

    fn add(&self, (sum, count): &mut Self::State, args: &[Arc<Column>], row: usize) -> Result<usize> {
        if args[0].is_null(row) {
            return Ok(0);
        }
        let values = args[0].as_intervals().ok_or_else(|| wrong_form("an interval"))?;
        let value = values[row * args[0].stride()];
        *sum = Some(sum.map_or(Ok(value), |sum| datetime::interval_add(sum, value))?);
        *count += 1;
        Ok(0)
    }

    fn join(&self, state: &mut Self::State, later: Self::State) -> Result<()> {
        state.1 += later.1;
        state.0 = match (state.0, later.0) {
            (Some(a), Some(b)) => Some(datetime::interval_add(a, b)?),
            (a, b) => a.or(b),
        };
        Ok(())
    }

    fn result(&self, (sum, count): &Self::State, _ctx: &EvalContext<'_>) -> Result<Datum> {
        match sum {
            None => Ok(Datum::Null),
            Some(sum) if self.average => Ok(Datum::Interval(datetime::interval_div(*sum, *count as f64)?)),
            Some(sum) => Ok(Datum::Interval(*sum)),
        }
    }

    fn transition(&self) -> Option<TypeId> {
        Some(TypeId::of::<Self::State>())
    }
}
