//! How implementations are made from plain Rust functions.
//!
//! Two families. *Vector* kernels ([`Implementations::map2`], [`Implementations::checked2`] …) are tight loops over the
//! slices of fixed-width types: they compute every row, null and unselected ones too, and look at a possible overflow
//! afterwards. *Typed* functions ([`Implementations::f1`] …) take any argument types by reference, run for the valid
//! selected rows only, and may fail.

use std::sync::Arc;

use ochre_base::{Error, Result};
use ochre_types::{
    ArrayValue, Bitmap, Column, ColumnBuilder, ColumnValues, Datum, Interval, Numeric, PhysicalType,
    Selection,
};

use super::Implementations;
use crate::eval::Rows;
use crate::function::{BatchFn, RowFn};
use crate::{CallContext, Implementation, errors};

/// A fixed-width type.
pub(crate) trait Native: Copy + Default + Send + Sync + 'static {
    fn slice(column: &Column) -> Option<&[Self]>;
    fn of(datum: &Datum) -> Option<Self>;
    fn datum(self) -> Datum;
    fn values(vector: Vec<Self>) -> ColumnValues;
}

/// An argument type of typed functions: what a row's value looks like by reference.
pub(crate) trait Arg: 'static {
    type Ref<'a>;
    fn of(datum: &Datum) -> Option<Self::Ref<'_>>;
    fn at(column: &Column, row: usize) -> Option<Self::Ref<'_>>;
}

/// A result type of typed functions.
pub(crate) trait Ret: 'static {
    fn into_datum(self) -> Datum;
    fn push(self, builder: &mut ColumnBuilder);
    const PHYSICAL: PhysicalType;
}

macro_rules! natives {
    ($($type:ty, $variant:ident, $slice:ident, $push:ident;)*) => {
        $(
            impl Native for $type {
                fn slice(column: &Column) -> Option<&[$type]> {
                    column.$slice()
                }
                fn of(datum: &Datum) -> Option<$type> {
                    if let Datum::$variant(value) = datum { Some(*value) } else { None }
                }
                fn datum(self) -> Datum {
                    Datum::$variant(self)
                }
                fn values(vector: Vec<$type>) -> ColumnValues {
                    ColumnValues::$variant(vector)
                }
            }
            impl Arg for $type {
                type Ref<'a> = $type;
                fn of(datum: &Datum) -> Option<$type> {
                    <$type as Native>::of(datum)
                }
                #[inline]
                fn at(column: &Column, row: usize) -> Option<$type> {
                    column.$slice().map(|values| values[row * column.stride()])
                }
            }
            impl Ret for $type {
                const PHYSICAL: PhysicalType = PhysicalType::$variant;
                fn into_datum(self) -> Datum {
                    Datum::$variant(self)
                }
                fn push(self, builder: &mut ColumnBuilder) {
                    builder.$push(self);
                }
            }
        )*
    };
}

natives! {
    bool, Bool, as_bools, push_bool;
    u8, Char, as_chars, push_char;
    i16, Int16, as_i16s, push_i16;
    i32, Int32, as_i32s, push_i32;
    u32, UInt32, as_u32s, push_u32;
    i64, Int64, as_i64s, push_i64;
    u64, UInt64, as_u64s, push_u64;
    f32, Float32, as_f32s, push_f32;
    f64, Float64, as_f64s, push_f64;
    Interval, Interval, as_intervals, push_interval;
    [u8; 16], Uuid, as_uuids, push_uuid;
}

/// Text by reference.
pub(crate) struct Text;
/// Bytes by reference.
pub(crate) struct Bytes;
/// An array by reference.
pub(crate) struct Arr;
/// Any value, as a datum.
pub(crate) struct Any;

impl Arg for Text {
    type Ref<'a> = &'a str;
    fn of(datum: &Datum) -> Option<&str> {
        datum.as_str()
    }
    #[inline]
    fn at(column: &Column, row: usize) -> Option<&str> {
        column.as_bytes().map(|values| values.text(row * column.stride()))
    }
}

impl Arg for Bytes {
    type Ref<'a> = &'a [u8];
    fn of(datum: &Datum) -> Option<&[u8]> {
        datum.as_bytes()
    }
    #[inline]
    fn at(column: &Column, row: usize) -> Option<&[u8]> {
        column.as_bytes().map(|values| values.get(row * column.stride()))
    }
}

impl Arg for Numeric {
    type Ref<'a> = &'a Numeric;
    fn of(datum: &Datum) -> Option<&Numeric> {
        if let Datum::Numeric(value) = datum { Some(value) } else { None }
    }
    #[inline]
    fn at(column: &Column, row: usize) -> Option<&Numeric> {
        column.as_numerics().map(|values| &values[row * column.stride()])
    }
}

impl Arg for Arr {
    type Ref<'a> = &'a Arc<ArrayValue>;
    fn of(datum: &Datum) -> Option<&Arc<ArrayValue>> {
        if let Datum::Array(value) = datum { Some(value) } else { None }
    }
    fn at(column: &Column, row: usize) -> Option<&Arc<ArrayValue>> {
        column.as_arrays().map(|values| &values[row * column.stride()])
    }
}

impl Arg for Any {
    type Ref<'a> = Datum;
    fn of(datum: &Datum) -> Option<Datum> {
        Some(datum.clone())
    }
    fn at(column: &Column, row: usize) -> Option<Datum> {
        Some(column.datum(row))
    }
}

impl Ret for String {
    const PHYSICAL: PhysicalType = PhysicalType::Bytes;
    fn into_datum(self) -> Datum {
        Datum::text(self)
    }
    fn push(self, builder: &mut ColumnBuilder) {
        self.into_bytes().push(builder);
    }
}

/// A longer byte string becomes a buffer of the column as it is.
const HANDED_OVER_BYTES: usize = 1 << 18;

impl Ret for &'static str {
    const PHYSICAL: PhysicalType = PhysicalType::Bytes;
    fn into_datum(self) -> Datum {
        Datum::text(self)
    }
    fn push(self, builder: &mut ColumnBuilder) {
        builder.push_str(self);
    }
}

impl Ret for Vec<u8> {
    const PHYSICAL: PhysicalType = PhysicalType::Bytes;
    fn into_datum(self) -> Datum {
        Datum::text(self)
    }
    fn push(self, builder: &mut ColumnBuilder) {
        if self.len() < HANDED_OVER_BYTES {
            builder.push_bytes(&self);
        } else {
            builder.push(&self.into_datum());
        }
    }
}

impl Ret for Numeric {
    const PHYSICAL: PhysicalType = PhysicalType::Numeric;
    fn into_datum(self) -> Datum {
        Datum::Numeric(self)
    }
    fn push(self, builder: &mut ColumnBuilder) {
        builder.push_numeric(self);
    }
}

impl Ret for ArrayValue {
    const PHYSICAL: PhysicalType = PhysicalType::Array;
    fn into_datum(self) -> Datum {
        Datum::Array(Arc::new(self))
    }
    fn push(self, builder: &mut ColumnBuilder) {
        builder.push_array(Arc::new(self));
    }
}

impl Ret for Arc<ArrayValue> {
    const PHYSICAL: PhysicalType = PhysicalType::Array;
    fn into_datum(self) -> Datum {
        Datum::Array(self)
    }
    fn push(self, builder: &mut ColumnBuilder) {
        builder.push_array(self);
    }
}

impl<T: Ret> Ret for Option<T> {
    const PHYSICAL: PhysicalType = T::PHYSICAL;
    fn into_datum(self) -> Datum {
        self.map_or(Datum::Null, T::into_datum)
    }
    fn push(self, builder: &mut ColumnBuilder) {
        match self {
            Some(value) => value.push(builder),
            None => builder.push_null(),
        }
    }
}

/// The rows at which no argument is null; `None` when that is all.
pub(crate) fn validity_of(args: &[Arc<Column>]) -> Option<Bitmap> {
    let mut all: Option<Bitmap> = None;
    for validity in args.iter().filter(|arg| !arg.is_constant()).filter_map(|arg| arg.validity()) {
        all = Some(match all {
            None => validity.clone(),
            Some(before) => before.and(validity),
        });
    }
    all
}

#[cold]
fn form() -> Error {
    errors::wrong_form("its type")
}

fn slice<T: Native>(column: &Column) -> Result<&[T]> {
    T::slice(column).ok_or_else(form)
}

/// Operations on numerics that are exact on coefficients.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Exact {
    Add,
    Subtract,
    Multiply,
}

impl Exact {
    /// The results of columns that have one scale each: a loop over coefficients that looks at nothing else. `None` for
    /// others.
    fn results(self, a: (&[Numeric], usize), b: (&[Numeric], usize), rows: usize) -> Option<Vec<Numeric>> {
        let (a_scale, b_scale) = (Numeric::common_scale(a.0)?, Numeric::common_scale(b.0)?);
        if let Exact::Multiply = self {
            // At most 2^126, which is less than 10^38.
            let scale = a_scale + b_scale;
            let product = |a: i64, b: i64| Numeric::exact(i128::from(a) * i128::from(b), scale);
            return (scale <= 38).then(|| combine(a, b, rows, product))?;
        }
        let scale = a_scale.max(b_scale);
        // Below 2^63 times 10^18, both stay below 2^123.
        let factor = |own: u16| {
            let digits = u32::from(scale - own);
            (digits <= 18).then(|| 10i64.pow(digits))
        };
        let (a_factor, b_factor) = (factor(a_scale)?, factor(b_scale)?);
        match (self, a_factor, b_factor) {
            (Exact::Add, 1, 1) => {
                combine(a, b, rows, |a, b| Numeric::exact(i128::from(a) + i128::from(b), scale))
            }
            (Exact::Add, ..) => combine(a, b, rows, |a, b| {
                let (a, b) = (i128::from(a) * i128::from(a_factor), i128::from(b) * i128::from(b_factor));
                Numeric::exact(a + b, scale)
            }),
            _ => combine(a, b, rows, |a, b| {
                let (a, b) = (i128::from(a) * i128::from(a_factor), i128::from(b) * i128::from(b_factor));
                Numeric::exact(a - b, scale)
            }),
        }
    }
}

/// `f` of the coefficients of each row; a stride is 0 for a constant.
#[inline]
fn combine(
    (a, a_stride): (&[Numeric], usize),
    (b, b_stride): (&[Numeric], usize),
    rows: usize,
    f: impl Fn(i64, i64) -> Numeric,
) -> Option<Vec<Numeric>> {
    let values: Vec<Numeric> = match (a_stride, b_stride) {
        (1, 1) => a.iter().zip(b).map(|(a, b)| f(a.low_bits(), b.low_bits())).collect(),
        (0, 1) => {
            let a = a.first()?.low_bits();
            b.iter().map(|b| f(a, b.low_bits())).collect()
        }
        (1, 0) => {
            let b = b.first()?.low_bits();
            a.iter().map(|a| f(a.low_bits(), b)).collect()
        }
        _ => return None,
    };
    (values.len() == rows).then_some(values)
}

/// What `f` says of each row, unless it has nothing to say of one.
#[inline]
fn narrow_results(
    a: &[Numeric],
    a_stride: usize,
    b: &[Numeric],
    b_stride: usize,
    rows: usize,
    f: impl Fn(&Numeric, &Numeric) -> Option<Numeric>,
) -> Option<Vec<Numeric>> {
    let mut values: Vec<Numeric> = Vec::with_capacity(rows);
    match (a_stride, b_stride) {
        (1, 1) => {
            for (a, b) in a.iter().zip(b) {
                values.push(f(a, b)?);
            }
        }
        (0, 1) => {
            let a = a.first()?;
            for b in b {
                values.push(f(a, b)?);
            }
        }
        (1, 0) => {
            let b = b.first()?;
            for a in a {
                values.push(f(a, b)?);
            }
        }
        _ => return None,
    }
    (values.len() == rows).then_some(values)
}

fn numerics(args: &[Arc<Column>]) -> Result<(&[Numeric], &[Numeric])> {
    let a = args[0].as_numerics().ok_or_else(form)?;
    let b = args[1].as_numerics().ok_or_else(form)?;
    Ok((a, b))
}

fn native<T: Native>(datum: &Datum) -> Result<T> {
    T::of(datum).ok_or_else(form)
}

/// `f` over two columns, constants held in registers; whether any call told that its value is worthless. The flag is
/// gathered in a register, so that the loops vectorise.
#[inline]
fn zip_map<A: Native, B: Native, R: Native>(
    args: &[Arc<Column>],
    rows: usize,
    f: impl Fn(A, B) -> (R, bool),
) -> Result<(Vec<R>, bool)> {
    let (a, b) = (slice::<A>(&args[0])?, slice::<B>(&args[1])?);
    let mut out = vec![R::default(); rows];
    let mut flag = false;
    match (args[0].is_constant(), args[1].is_constant()) {
        (false, false) => {
            for ((out, a), b) in out.iter_mut().zip(a).zip(b) {
                let (value, bad) = f(*a, *b);
                *out = value;
                flag |= bad;
            }
        }
        (false, true) => {
            let b = b[0];
            for (out, a) in out.iter_mut().zip(a) {
                let (value, bad) = f(*a, b);
                *out = value;
                flag |= bad;
            }
        }
        (true, false) => {
            let a = a[0];
            for (out, b) in out.iter_mut().zip(b) {
                let (value, bad) = f(a, *b);
                *out = value;
                flag |= bad;
            }
        }
        (true, true) => {
            let (value, bad) = f(a[0], b[0]);
            out.fill(value);
            flag = bad && rows > 0;
        }
    }
    Ok((out, flag))
}

fn column<R: Native>(values: Vec<R>, args: &[Arc<Column>]) -> Arc<Column> {
    Arc::new(Column::new(R::values(values), validity_of(args)))
}

/// Whether row `row` counts: selected (by the caller's iteration) and without nulls.
#[inline]
fn valid(args: &[Arc<Column>], row: usize) -> bool {
    args.iter().all(|arg| arg.is_valid(row))
}

impl Implementations {
    /// A vector kernel of one argument that cannot fail.
    pub(crate) fn map1<A: Native, R: Native>(
        &mut self,
        source: &'static str,
        f: impl Fn(A) -> R + Copy + Send + Sync + 'static,
    ) {
        let batch: BatchFn = Arc::new(move |_, args, rows, _| {
            let a = slice::<A>(&args[0])?;
            let values = if args[0].is_constant() {
                (0..rows).map(|_| f(a[0])).collect()
            } else {
                a.iter().map(|a| f(*a)).collect()
            };
            Ok(column::<R>(values, args))
        });
        let row: RowFn = Arc::new(move |_, args| Ok(f(native::<A>(&args[0])?).datum()));
        self.add(source, Implementation::Batch { batch, row });
    }

    /// A vector kernel of two arguments that cannot fail.
    pub(crate) fn map2<A: Native, B: Native, R: Native>(
        &mut self,
        source: &'static str,
        f: impl Fn(A, B) -> R + Copy + Send + Sync + 'static,
    ) {
        let batch: BatchFn = Arc::new(move |_, args, rows, _| {
            Ok(column::<R>(zip_map::<A, B, R>(args, rows, |a, b| (f(a, b), false))?.0, args))
        });
        let row: RowFn =
            Arc::new(move |_, args| Ok(f(native::<A>(&args[0])?, native::<B>(&args[1])?).datum()));
        self.add(source, Implementation::Batch { batch, row });
    }

    /// A vector kernel of two arguments whose second result tells that the first is worthless; `fail` then makes the
    /// error. All rows are computed; only selected valid ones can raise the error.
    pub(crate) fn checked2<A: Native, B: Native, R: Native>(
        &mut self,
        source: &'static str,
        fail: impl Fn(A, B) -> Error + Copy + Send + Sync + 'static,
        f: impl Fn(A, B) -> (R, bool) + Copy + Send + Sync + 'static,
    ) {
        let batch: BatchFn = Arc::new(move |_, args, rows, selection| {
            let (values, failed) = zip_map::<A, B, R>(args, rows, f)?;
            if failed {
                let (a, b) = (slice::<A>(&args[0])?, slice::<B>(&args[1])?);
                let (sa, sb) = (args[0].stride(), args[1].stride());
                Rows::new(rows, selection).try_each(|row| {
                    let (a, b) = (a[row * sa], b[row * sb]);
                    if valid(args, row) && f(a, b).1 { Err(fail(a, b)) } else { Ok(()) }
                })?;
            }
            Ok(column::<R>(values, args))
        });
        let row: RowFn = Arc::new(move |_, args| {
            let (a, b) = (native::<A>(&args[0])?, native::<B>(&args[1])?);
            let (value, bad) = f(a, b);
            if bad { Err(fail(a, b)) } else { Ok(value.datum()) }
        });
        self.add(source, Implementation::Batch { batch, row });
    }

    /// A function of two fixed-width arguments that may fail: runs for the selected valid rows only.
    pub(crate) fn try2<A: Native, B: Native, R: Native>(
        &mut self,
        source: &'static str,
        f: impl Fn(A, B) -> Result<R> + Copy + Send + Sync + 'static,
    ) {
        let batch: BatchFn = Arc::new(move |_, args, rows, selection| {
            let (a, b) = (slice::<A>(&args[0])?, slice::<B>(&args[1])?);
            let (sa, sb) = (args[0].stride(), args[1].stride());
            let mut values = vec![R::default(); rows];
            let validity = validity_of(args);
            Rows::new(rows, selection).try_each(|row| {
                if validity.as_ref().is_none_or(|validity| validity.get(row)) {
                    values[row] = f(a[row * sa], b[row * sb])?;
                }
                Ok(())
            })?;
            Ok(Arc::new(Column::new(R::values(values), validity)))
        });
        let row: RowFn =
            Arc::new(move |_, args| Ok(f(native::<A>(&args[0])?, native::<B>(&args[1])?)?.datum()));
        self.add(source, Implementation::Batch { batch, row });
    }

    /// As [`Implementations::checked2`], of one argument.
    pub(crate) fn checked1<A: Native, R: Native>(
        &mut self,
        source: &'static str,
        fail: impl Fn() -> Error + Copy + Send + Sync + 'static,
        f: impl Fn(A) -> (R, bool) + Copy + Send + Sync + 'static,
    ) {
        let batch: BatchFn = Arc::new(move |_, args, rows, selection| {
            let a = slice::<A>(&args[0])?;
            let stride = args[0].stride();
            let mut failed = false;
            let mut values: Vec<R> = Vec::with_capacity(rows);
            for row in 0..rows {
                let (value, bad) = f(a[row * stride]);
                failed |= bad;
                values.push(value);
            }
            if failed {
                Rows::new(rows, selection).try_each(|row| {
                    if valid(args, row) && f(a[row * stride]).1 { Err(fail()) } else { Ok(()) }
                })?;
            }
            Ok(column::<R>(values, args))
        });
        let row: RowFn = Arc::new(move |_, args| {
            let (value, bad) = f(native::<A>(&args[0])?);
            if bad { Err(fail()) } else { Ok(value.datum()) }
        });
        self.add(source, Implementation::Batch { batch, row });
    }

    /// A vector kernel over two columns of bytes that cannot fail.
    pub(crate) fn bytes2(
        &mut self,
        source: &'static str,
        f: impl Fn(&[u8], &[u8]) -> bool + Copy + Send + Sync + 'static,
    ) {
        let batch: BatchFn = Arc::new(move |_, args, rows, selection| {
            let a = args[0].as_bytes().ok_or_else(form)?;
            let b = args[1].as_bytes().ok_or_else(form)?;
            let (sa, sb) = (args[0].stride(), args[1].stride());
            let mut values = vec![false; rows];
            if sb == 0 {
                let b = b.get(0);
                Rows::new(rows, selection).each(|row| values[row] = f(a.get(row * sa), b));
            } else {
                Rows::new(rows, selection).each(|row| values[row] = f(a.get(row * sa), b.get(row * sb)));
            }
            Ok(column::<bool>(values, args))
        });
        let row: RowFn = Arc::new(move |_, args| {
            let a = args[0].as_bytes().ok_or_else(form)?;
            let b = args[1].as_bytes().ok_or_else(form)?;
            Ok(Datum::Bool(f(a, b)))
        });
        self.add(source, Implementation::Batch { batch, row });
    }

    /// A kernel of two numerics with a numeric result: a loop over the slices for the selected valid rows. Where all rows
    /// are asked for and `narrow` has an answer for each, that is the result.
    pub(crate) fn numeric2(
        &mut self,
        source: &'static str,
        exact: Exact,
        narrow: impl Fn(&Numeric, &Numeric) -> Option<Numeric> + Copy + Send + Sync + 'static,
        f: impl Fn(&CallContext<'_, '_>, &Numeric, &Numeric) -> Result<Numeric> + Copy + Send + Sync + 'static,
    ) {
        let batch: BatchFn = Arc::new(move |call, args, rows, selection| {
            let (a, b) = numerics(args)?;
            let validity = validity_of(args);
            let (sa, sb) = (args[0].stride(), args[1].stride());
            if selection.is_none()
                && validity.is_none()
                && let Some(values) = exact
                    .results((a, sa), (b, sb), rows)
                    .or_else(|| narrow_results(a, sa, b, sb, rows, narrow))
            {
                return Ok(Arc::new(Column::new(ColumnValues::Numeric(values), validity)));
            }
            let mut values: Vec<Numeric> = Vec::with_capacity(rows);
            match (selection, &validity, args[0].is_constant(), args[1].is_constant()) {
                (None, None, false, false) => {
                    for (a, b) in a.iter().zip(b) {
                        values.push(f(call, a, b)?);
                    }
                }
                (None, None, true, false) => {
                    for b in b {
                        values.push(f(call, &a[0], b)?);
                    }
                }
                (None, None, false, true) => {
                    for a in a {
                        values.push(f(call, a, &b[0])?);
                    }
                }
                _ => {
                    values.resize(rows, Numeric::ZERO);
                    Rows::new(rows, selection).try_each(|row| {
                        if validity.as_ref().is_none_or(|validity| validity.get(row)) {
                            values[row] = f(call, &a[row * sa], &b[row * sb])?;
                        }
                        Ok(())
                    })?;
                }
            }
            Ok(Arc::new(Column::new(ColumnValues::Numeric(values), validity)))
        });
        let row: RowFn = Arc::new(move |call, args| {
            let (Datum::Numeric(a), Datum::Numeric(b)) = (&args[0], &args[1]) else { return Err(form()) };
            Ok(Datum::Numeric(f(call, a, b)?))
        });
        self.add(source, Implementation::Batch { batch, row });
    }

    /// A comparison of two numerics.
    pub(crate) fn numeric_test(
        &mut self,
        source: &'static str,
        f: impl Fn(std::cmp::Ordering) -> bool + Copy + Send + Sync + 'static,
    ) {
        let batch: BatchFn = Arc::new(move |_, args, rows, selection| {
            let (a, b) = numerics(args)?;
            let (sa, sb) = (args[0].stride(), args[1].stride());
            let mut values = vec![false; rows];
            Rows::new(rows, selection).each(|row| values[row] = f(a[row * sa].compare(&b[row * sb])));
            Ok(column::<bool>(values, args))
        });
        let row: RowFn = Arc::new(move |_, args| {
            let (Datum::Numeric(a), Datum::Numeric(b)) = (&args[0], &args[1]) else { return Err(form()) };
            Ok(Datum::Bool(f(a.compare(b))))
        });
        self.add(source, Implementation::Batch { batch, row });
    }

    /// A function of single values, for anything that the other forms do not fit.
    pub(crate) fn row(
        &mut self,
        source: &'static str,
        f: impl Fn(&CallContext<'_, '_>, &[Datum]) -> Result<Datum> + Send + Sync + 'static,
    ) {
        self.add(source, Implementation::Row(Arc::new(f)));
    }

    /// A set-returning function.
    pub(crate) fn set(
        &mut self,
        source: &'static str,
        f: impl Fn(&CallContext<'_, '_>, &[Datum]) -> Result<Box<dyn crate::SetCursor>> + Send + Sync + 'static,
    ) {
        self.add(source, Implementation::Set(Arc::new(f)));
    }
}

/// Runs `push` for the selected rows without nulls; all others become null. Looks for an interrupt as the values grow: a
/// batch of short arguments may become one of long results.
fn typed_loop(
    call: &CallContext<'_, '_>,
    physical: PhysicalType,
    args: &[Arc<Column>],
    rows: usize,
    selection: Option<&Selection>,
    mut push: impl FnMut(usize, &mut ColumnBuilder) -> Result<()>,
) -> Result<Arc<Column>> {
    let mut builder = ColumnBuilder::new(physical, rows);
    let mut buffers = 0;
    Rows::new(rows, selection).try_each(|row| {
        while builder.len() < row {
            builder.push_null();
        }
        if valid(args, row) {
            push(row, &mut builder)?;
            if builder.full_buffers() != buffers || physical == PhysicalType::Array || row % 64 == 63 {
                buffers = builder.full_buffers();
                call.eval.session.check_interrupts()?;
            }
        } else {
            builder.push_null();
        }
        Ok(())
    })?;
    while builder.len() < rows {
        builder.push_null();
    }
    Ok(Arc::new(builder.finish()))
}

/// The result must be of the type that the binder gave the call.
fn check_result<R: Ret>(call: &CallContext<'_, '_>) -> Result<()> {
    if R::PHYSICAL == call.result.physical {
        return Ok(());
    }
    Err(Error::internal(format!(
        "{} gives {:?} where {:?} belongs",
        call.function.name,
        R::PHYSICAL,
        call.result.physical
    )))
}

macro_rules! typed {
    ($($plain:ident $with_context:ident ($($arg:ident $value:ident $index:tt),*);)*) => {
        /// Typed functions: strict ones, of one to four arguments; `c…` also get the call's context.
        impl Implementations {
            $(
                pub(crate) fn $with_context<$($arg: Arg,)* R: Ret>(
                    &mut self,
                    source: &'static str,
                    f: impl for<'a> Fn(&CallContext<'_, '_>, $($arg::Ref<'a>),*) -> Result<R> + Send + Sync + 'static,
                ) {
                    let f = Arc::new(f);
                    let of_row = f.clone();
                    let batch: BatchFn = Arc::new(move |call, args, rows, selection| {
                        check_result::<R>(call)?;
                        typed_loop(call, R::PHYSICAL, args, rows, selection, |row, builder| {
                            $(let $value = $arg::at(&args[$index], row).ok_or_else(form)?;)*
                            f(call, $($value),*)?.push(builder);
                            Ok(())
                        })
                    });
                    let row: RowFn = Arc::new(move |call, args| {
                        $(let $value = $arg::of(&args[$index]).ok_or_else(form)?;)*
                        Ok(of_row(call, $($value),*)?.into_datum())
                    });
                    self.add(source, Implementation::Batch { batch, row });
                }

                pub(crate) fn $plain<$($arg: Arg,)* R: Ret>(
                    &mut self,
                    source: &'static str,
                    f: impl for<'a> Fn($($arg::Ref<'a>),*) -> Result<R> + Send + Sync + 'static,
                ) {
                    self.$with_context::<$($arg,)* R>(source, move |_, $($value),*| f($($value),*));
                }
            )*
        }
    };
}

typed! {
    f1 c1 (A a 0);
    f2 c2 (A a 0, B b 1);
    f3 c3 (A a 0, B b 1, C c 2);
    f4 c4 (A a 0, B b 1, C c 2, D d 3);
}
