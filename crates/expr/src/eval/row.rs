//! Evaluation on single values.

use std::cmp::Ordering;
use std::sync::Arc;

use ochre_base::{Error, Result, SqlState, limits};
use ochre_types::{
    ArrayDimension, ArrayValue, Datum, Pace, PhysicalType, SqlType, array::MAX_DIMENSIONS, compare, oids,
    parse_text, typmod,
};
use smallvec::SmallVec;

use super::{RowSource, call_row, subscript};
use crate::{
    BooleanTest, CallContext, CastKind, Comparison, EvalContext, Expr, FunctionRef, SessionValue,
    SubPlanKind, functions,
};

/// Bounds of a slice, per dimension.
type Bounds = Vec<(Option<i32>, Option<i32>)>;

/// Evaluates expressions on one row.
#[derive(Clone, Copy)]
pub(super) struct RowEvaluator<'a, 'e> {
    pub row: &'a dyn RowSource,
    pub ctx: &'a EvalContext<'e>,
    /// The operand of the innermost CASE.
    pub case: Option<&'a Datum>,
}

impl RowEvaluator<'_, '_> {
    pub(super) fn eval(&self, expr: &Expr) -> Result<Datum> {
        match expr {
            Expr::Constant { value, .. } => Ok(value.clone()),
            Expr::Column { index, .. } => Ok(self.row.value(*index)),
            Expr::Parameter { index, .. } => parameter(self.ctx, *index),
            Expr::Correlated { slot, .. } => correlated(self.ctx, *slot),
            _ => stacker::maybe_grow(limits::STACK_RED_ZONE_BYTES, limits::STACK_GROWTH_BYTES, || {
                self.node(expr)
            }),
        }
    }

    fn node(&self, expr: &Expr) -> Result<Datum> {
        match expr {
            Expr::Constant { .. }
            | Expr::Column { .. }
            | Expr::Parameter { .. }
            | Expr::Correlated { .. } => self.eval(expr),
            Expr::SessionValue { kind, ty } => session_value(*kind, *ty, self.ctx),
            Expr::Call { function, args, variadic_array, ty, .. } => {
                self.call(function, args, *variadic_array, *ty)
            }
            Expr::Cast { arg, kind, ty, .. } => cast_value(self.eval(arg)?, arg.ty(), kind, *ty, self.ctx),
            Expr::And(parts) => self.connective(parts, false),
            Expr::Or(parts) => self.connective(parts, true),
            Expr::Not(arg) => Ok(self.eval(arg)?.as_bool().map_or(Datum::Null, |value| Datum::Bool(!value))),
            Expr::IsNull { arg, negated, row } => {
                let value = self.eval(arg)?;
                Ok(Datum::Bool(is_null(&value, *negated, *row)))
            }
            Expr::BooleanTest { arg, test } => {
                Ok(Datum::Bool(boolean_test(self.eval(arg)?.as_bool(), *test)))
            }
            Expr::IsDistinct { equal, left, right, negated } => {
                let distinct = self.distinct(equal, left, right)?;
                Ok(Datum::Bool(distinct != *negated))
            }
            Expr::Case { operand, branches, otherwise, .. } => {
                self.case(operand.as_deref(), branches, otherwise.as_deref())
            }
            Expr::CaseOperand { .. } => {
                self.case.cloned().ok_or_else(|| Error::internal("the operand of no CASE"))
            }
            Expr::Coalesce { args, .. } => {
                for arg in args {
                    let value = self.eval(arg)?;
                    if !value.is_null() {
                        return Ok(value);
                    }
                }
                Ok(Datum::Null)
            }
            Expr::MinMax { greatest, args, ty } => self.min_max(*greatest, args, *ty),
            Expr::NullIf { equal, left, right, .. } => {
                let (left_value, right_value) = (self.eval(left)?, self.eval(right)?);
                let args = [left_value, right_value];
                let same = self.call_values(equal, &args, &[left.ty(), right.ty()], SqlType::BOOL)?;
                let [left_value, _] = args;
                Ok(if same == Datum::Bool(true) { Datum::Null } else { left_value })
            }
            Expr::ScalarArrayOp { function, all, left, array, .. } => {
                let (left_value, array_value) = (self.eval(left)?, self.eval(array)?);
                self.scalar_array_op(function, *all, &left_value, left.ty(), &array_value)
            }
            Expr::ArrayLiteral { elements, nested, ty } => self.array(elements, *nested, *ty),
            Expr::Row { fields, .. } => {
                let values: Vec<Datum> =
                    fields.iter().map(|field| self.eval(field)).collect::<Result<_>>()?;
                Ok(Datum::Record(values.into()))
            }
            Expr::RowCompare { op, functions, left, right } => self.row_compare(*op, functions, left, right),
            Expr::Field { record, index, .. } => match self.eval(record)? {
                Datum::Record(fields) => fields
                    .get(*index)
                    .cloned()
                    .ok_or_else(|| Error::internal(format!("record has no field {index}"))),
                _ => Ok(Datum::Null),
            },
            Expr::Subscript { array, indexes, .. } => self.subscript(array, indexes),
            Expr::Slice { array, bounds, .. } => self.slice(array, bounds),
            Expr::SubscriptAssign { array, indexes, slice, value, ty } => {
                self.assign(array, indexes, *slice, value, *ty)
            }
            Expr::SubPlan { plan, kind, args, ty } => self.subplan(*plan, kind, args, *ty),
        }
    }

    fn call(
        &self,
        function: &FunctionRef,
        args: &[Expr],
        variadic_array: bool,
        ty: SqlType,
    ) -> Result<Datum> {
        let mut values: SmallVec<[Datum; 4]> = SmallVec::new();
        let mut types: SmallVec<[SqlType; 4]> = SmallVec::new();
        for arg in args {
            values.push(self.eval(arg)?);
            types.push(arg.ty());
        }
        let call = CallContext { eval: self.ctx, function, arg_types: &types, result: ty, variadic_array };
        call_row(&call, &values)
    }

    fn call_values(
        &self,
        function: &FunctionRef,
        values: &[Datum],
        arg_types: &[SqlType],
        result: SqlType,
    ) -> Result<Datum> {
        call_row(&CallContext { eval: self.ctx, function, arg_types, result, variadic_array: false }, values)
    }

    /// AND stops at false, OR at true.
    fn connective(&self, parts: &[Expr], stop: bool) -> Result<Datum> {
        let mut unknown = false;
        for part in parts {
            match self.eval(part)?.as_bool() {
                Some(value) if value == stop => return Ok(Datum::Bool(stop)),
                Some(_) => {}
                None => unknown = true,
            }
        }
        Ok(if unknown { Datum::Null } else { Datum::Bool(!stop) })
    }

    fn distinct(&self, equal: &FunctionRef, left: &Expr, right: &Expr) -> Result<bool> {
        let args = [self.eval(left)?, self.eval(right)?];
        if args[0].is_null() || args[1].is_null() {
            return Ok(args[0].is_null() != args[1].is_null());
        }
        let same = self.call_values(equal, &args, &[left.ty(), right.ty()], SqlType::BOOL)?;
        Ok(same != Datum::Bool(true))
    }

    fn case(
        &self,
        operand: Option<&Expr>,
        branches: &[(Expr, Expr)],
        otherwise: Option<&Expr>,
    ) -> Result<Datum> {
        let value = operand.map(|operand| self.eval(operand)).transpose()?;
        let inner = RowEvaluator { case: value.as_ref().or(self.case), ..*self };
        for (condition, result) in branches {
            if inner.eval(condition)?.as_bool() == Some(true) {
                return self.eval(result);
            }
        }
        otherwise.map_or(Ok(Datum::Null), |otherwise| self.eval(otherwise))
    }

    fn min_max(&self, greatest: bool, args: &[Expr], ty: SqlType) -> Result<Datum> {
        let mut best = Datum::Null;
        for arg in args {
            let value = self.eval(arg)?;
            if value.is_null() {
                continue;
            }
            let wanted = if greatest { Ordering::Greater } else { Ordering::Less };
            if best.is_null() || compare::compare_datums(&value, &best, ty.order()) == wanted {
                best = value;
            }
        }
        Ok(best)
    }

    fn scalar_array_op(
        &self,
        function: &FunctionRef,
        all: bool,
        left: &Datum,
        left_type: SqlType,
        array: &Datum,
    ) -> Result<Datum> {
        let Datum::Array(array) = array else { return Ok(Datum::Null) };
        if array.is_empty() {
            return Ok(Datum::Bool(all));
        }
        if left.is_null() && function.strict {
            return Ok(Datum::Null);
        }
        let mut unknown = false;
        let mut args = [left.clone(), Datum::Null];
        let mut pace = Pace::from(self.ctx.session.format(), 0);
        for element in &array.elements {
            pace.advance(element.weight())?;
            args[1] = element.clone();
            match self.call_values(function, &args, &[left_type, array.element], SqlType::BOOL)?.as_bool() {
                Some(value) if value != all => return Ok(Datum::Bool(value)),
                Some(_) => {}
                None => unknown = true,
            }
        }
        Ok(if unknown { Datum::Null } else { Datum::Bool(all) })
    }

    fn array(&self, elements: &[Expr], nested: bool, ty: SqlType) -> Result<Datum> {
        let element = ty.element().unwrap_or(SqlType::new(oids::TEXT, -1));
        let values: Vec<Datum> = elements.iter().map(|e| self.eval(e)).collect::<Result<_>>()?;
        if !nested {
            return Ok(Datum::Array(Arc::new(ArrayValue::vector(element, values))));
        }
        let mismatch = || {
            Error::new(
                SqlState::ARRAY_SUBSCRIPT_ERROR,
                "multidimensional arrays must have array expressions with matching dimensions",
            )
        };
        let mut pace = Pace::from(self.ctx.session.format(), 0);
        let mut inner: Option<SmallVec<[ArrayDimension; 1]>> = None;
        let mut all = Vec::new();
        let mut count = 0;
        for value in values {
            let Datum::Array(value) = value else { continue };
            if value.dimensions.is_empty() && inner.is_none() && value.is_empty() {
                count += 1;
                continue;
            }
            match &inner {
                None if count > 0 => return Err(mismatch()),
                None => inner = Some(value.dimensions.clone()),
                Some(dimensions) if *dimensions != value.dimensions => return Err(mismatch()),
                Some(_) => {}
            }
            count += 1;
            pace.extend(value.elements.iter().cloned(), &mut all)?;
        }
        let Some(inner) = inner else { return Ok(Datum::Array(Arc::new(ArrayValue::empty(element)))) };
        if inner.len() + 1 > MAX_DIMENSIONS {
            return Err(Error::new(
                SqlState::PROGRAM_LIMIT_EXCEEDED,
                format!(
                    "number of array dimensions ({}) exceeds the maximum allowed ({MAX_DIMENSIONS})",
                    inner.len() + 1
                ),
            ));
        }
        let mut dimensions: SmallVec<[ArrayDimension; 1]> = SmallVec::new();
        dimensions.push(ArrayDimension { length: count, lower: 1 });
        dimensions.extend(inner);
        Ok(Datum::Array(Arc::new(ArrayValue { element, dimensions, elements: all })))
    }

    fn row_compare(
        &self,
        op: Comparison,
        functions: &[FunctionRef],
        left: &[Expr],
        right: &[Expr],
    ) -> Result<Datum> {
        compare_rows(
            op,
            functions.len(),
            |i| {
                let (left, right) = (&left[i], &right[i]);
                let args = [self.eval(left)?, self.eval(right)?];
                Ok((args, [left.ty(), right.ty()]))
            },
            |i, args, types| Ok(self.call_values(&functions[i], args, types, SqlType::BOOL)?.as_bool()),
        )
    }

    /// A subscript as a number; `None` when null.
    fn index(&self, expr: &Expr) -> Result<Option<i32>> {
        match self.eval(expr)? {
            Datum::Null => Ok(None),
            value => {
                let index = value.as_i64().ok_or_else(|| Error::internal("a subscript is an integer"))?;
                let index = i32::try_from(index).map_err(|_| crate::errors::out_of_range("integer"))?;
                Ok(Some(index))
            }
        }
    }

    fn subscript(&self, array: &Expr, indexes: &[Expr]) -> Result<Datum> {
        let array = self.eval(array)?;
        let mut positions: SmallVec<[i32; 2]> = SmallVec::new();
        for index in indexes {
            match self.index(index)? {
                Some(index) => positions.push(index),
                None => return Ok(Datum::Null),
            }
        }
        Ok(match array {
            Datum::Array(array) => subscript::element(&array, &positions),
            Datum::Bytes(numbers) => subscript::fixed_element(&numbers, &positions),
            _ => Datum::Null,
        })
    }

    /// Bounds as numbers; `None` when one that is given is null.
    fn bounds(&self, bounds: &[(Option<Expr>, Option<Expr>)]) -> Result<Option<Bounds>> {
        let mut out = Vec::with_capacity(bounds.len());
        for (lower, upper) in bounds {
            let mut pair = [None, None];
            for (place, bound) in pair.iter_mut().zip([lower, upper]) {
                if let Some(bound) = bound {
                    match self.index(bound)? {
                        Some(value) => *place = Some(value),
                        None => return Ok(None),
                    }
                }
            }
            out.push((pair[0], pair[1]));
        }
        Ok(Some(out))
    }

    fn slice(&self, array: &Expr, bounds: &[(Option<Expr>, Option<Expr>)]) -> Result<Datum> {
        let Datum::Array(array) = self.eval(array)? else { return Ok(Datum::Null) };
        let Some(bounds) = self.bounds(bounds)? else { return Ok(Datum::Null) };
        let pace = &mut Pace::from(self.ctx.session.format(), 0);
        Ok(Datum::Array(Arc::new(subscript::slice(&array, &bounds, pace)?)))
    }

    fn assign(
        &self,
        array: &Expr,
        indexes: &[(Option<Expr>, Option<Expr>)],
        slice: bool,
        value: &Expr,
        ty: SqlType,
    ) -> Result<Datum> {
        if ty.oid == oids::JSONB {
            return self.assign_json(array, indexes, value);
        }
        if ty.physical == PhysicalType::Bytes {
            return self.assign_fixed(array, indexes, value);
        }
        let element = ty.element().ok_or_else(|| Error::internal("assignment into what is no array"))?;
        let array = match self.eval(array)? {
            Datum::Array(array) => match Arc::try_unwrap(array) {
                Ok(array) => array,
                Err(shared) => shared.copied(&mut Pace::from(self.ctx.session.format(), 0))?,
            },
            _ => ArrayValue::empty(element),
        };
        let value = self.eval(value)?;
        let Some(bounds) = self.bounds(indexes)? else {
            return Err(Error::new(
                SqlState::NULL_VALUE_NOT_ALLOWED,
                "array subscript in assignment must not be null",
            ));
        };
        let array = if slice {
            match value {
                Datum::Array(source) => subscript::assign_slice(array, &bounds, &source)?,
                _ => array,
            }
        } else {
            let indexes: Vec<i32> = bounds.iter().filter_map(|(_, upper)| *upper).collect();
            subscript::assign_element(array, &indexes, value)?
        };
        Ok(Datum::Array(Arc::new(array)))
    }

    /// A part of a JSON value replaced.
    fn assign_json(
        &self,
        json: &Expr,
        subscripts: &[(Option<Expr>, Option<Expr>)],
        value: &Expr,
    ) -> Result<Datum> {
        let (json, value) = (self.eval(json)?, self.eval(value)?);
        let subscripts: Vec<&Expr> = subscripts.iter().filter_map(|(_, step)| step.as_ref()).collect();
        let mut steps = Vec::with_capacity(subscripts.len());
        for step in &subscripts {
            match self.eval(step)? {
                Datum::Null => {
                    return Err(Error::new(
                        SqlState::NULL_VALUE_NOT_ALLOWED,
                        "jsonb subscript in assignment must not be null",
                    ));
                }
                Datum::Int32(index) => steps.push(index.to_string()),
                text => steps.push(text.as_str().unwrap_or_default().to_owned()),
            }
        }
        let steps: Vec<&str> = steps.iter().map(String::as_str).collect();
        let by_number = subscripts.first().is_some_and(|first| first.ty().oid == oids::INT4);
        let format = self.ctx.session.format();
        functions::assign_json_subscript(json.as_bytes(), by_number, &steps, value.as_bytes(), format)
            .map(Datum::text)
    }

    /// One number of a point or line replaced; NULL for either changes nothing.
    fn assign_fixed(
        &self,
        numbers: &Expr,
        indexes: &[(Option<Expr>, Option<Expr>)],
        value: &Expr,
    ) -> Result<Datum> {
        let (numbers, value) = (self.eval(numbers)?, self.eval(value)?);
        let Some(bounds) = self.bounds(indexes)? else {
            return Err(Error::new(
                SqlState::NULL_VALUE_NOT_ALLOWED,
                "array subscript in assignment must not be null",
            ));
        };
        let indexes: Vec<i32> = bounds.iter().filter_map(|(_, upper)| *upper).collect();
        match (numbers, value) {
            (Datum::Bytes(numbers), Datum::Float64(value)) => {
                subscript::assign_fixed_element(&numbers, &indexes, value)
            }
            (numbers, _) => Ok(numbers),
        }
    }

    fn subplan(&self, plan: usize, kind: &SubPlanKind, args: &[Expr], ty: SqlType) -> Result<Datum> {
        let values: SmallVec<[Datum; 4]> = args.iter().map(|arg| self.eval(arg)).collect::<Result<_>>()?;
        let left = match kind {
            SubPlanKind::AnyAll { left, .. } => left.as_slice(),
            _ => &[],
        };
        let left: SmallVec<[Datum; 2]> = left.iter().map(|part| self.eval(part)).collect::<Result<_>>()?;
        run_subplan(self.ctx, plan, kind, &values, &left, ty)
    }
}

/// Compares two rows as [`Expr::RowCompare`] says; `pair` gives the values of a column and their types, `call` calls its
/// function on them.
fn compare_rows(
    op: Comparison,
    columns: usize,
    mut pair: impl FnMut(usize) -> Result<([Datum; 2], [SqlType; 2])>,
    mut call: impl FnMut(usize, &[Datum], &[SqlType]) -> Result<Option<bool>>,
) -> Result<Datum> {
    let equality = matches!(op, Comparison::Equal | Comparison::NotEqual);
    let mut unknown = false;
    for i in 0..columns {
        let (args, types) = pair(i)?;
        match call(i, &args, &types)? {
            None if equality => unknown = true,
            None => return Ok(Datum::Null),
            Some(true) if equality => {}
            Some(true) => return Ok(Datum::Bool(true)),
            Some(false) if equality => return Ok(Datum::Bool(op == Comparison::NotEqual)),
            Some(false) => {
                let [left, right] = args;
                if call(i, &[right, left], &[types[1], types[0]])? == Some(true) {
                    return Ok(Datum::Bool(false));
                }
            }
        }
    }
    if unknown {
        return Ok(Datum::Null);
    }
    let equal_answer = matches!(op, Comparison::Equal | Comparison::LessOrEqual | Comparison::GreaterOrEqual);
    Ok(Datum::Bool(equal_answer))
}

/// Runs a subplan on one outer row.
pub(super) fn run_subplan(
    ctx: &EvalContext<'_>,
    plan: usize,
    kind: &SubPlanKind,
    correlated: &[Datum],
    left: &[Datum],
    ty: SqlType,
) -> Result<Datum> {
    let runner = ctx.subplans.ok_or_else(|| Error::internal("a subplan without a runner"))?;
    match kind {
        SubPlanKind::Scalar | SubPlanKind::Row => {
            let mut found: Option<Datum> = None;
            runner.run(plan, correlated, &mut |row| {
                if found.is_some() {
                    return Err(crate::errors::more_than_one_row());
                }
                found = Some(match kind {
                    SubPlanKind::Row => Datum::Record(row.into()),
                    _ => row.first().cloned().unwrap_or(Datum::Null),
                });
                Ok(true)
            })?;
            Ok(found.unwrap_or(Datum::Null))
        }
        SubPlanKind::Exists => {
            let mut found = false;
            runner.run(plan, correlated, &mut |_| {
                found = true;
                Ok(false)
            })?;
            Ok(Datum::Bool(found))
        }
        SubPlanKind::Array { of_arrays } => {
            let mut elements = Vec::new();
            runner.run(plan, correlated, &mut |row| {
                elements.push(row.first().cloned().unwrap_or(Datum::Null));
                Ok(true)
            })?;
            let element = ty.element().ok_or_else(|| Error::internal("ARRAY(subquery) gives an array"))?;
            let pace = &mut Pace::from(ctx.session.format(), 0);
            functions::array_from_elements(element, elements, *of_arrays, pace).map(Datum::Array)
        }
        SubPlanKind::AnyAll { all, left: exprs, functions, op } => {
            if !*all
                && *op == Comparison::Equal
                && let Some(answer) = runner.any_equal(plan, correlated, left)
            {
                return Ok(answer?.map_or(Datum::Null, Datum::Bool));
            }
            // `x <> ALL (…)`, that is NOT IN, is the negation of `x = ANY (…)`.
            if *all
                && *op == Comparison::NotEqual
                && let Some(answer) = runner.any_equal(plan, correlated, left)
            {
                return Ok(answer?.map_or(Datum::Null, |found| Datum::Bool(!found)));
            }
            let mut answer = Datum::Bool(*all);
            runner.run(plan, correlated, &mut |row| {
                let holds = compare_rows(
                    *op,
                    functions.len(),
                    |i| {
                        let args = [left[i].clone(), row.get(i).cloned().unwrap_or(Datum::Null)];
                        Ok((args, [exprs[i].ty(), exprs[i].ty()]))
                    },
                    |i, args, types| {
                        let call = CallContext {
                            eval: ctx,
                            function: &functions[i],
                            arg_types: types,
                            result: SqlType::BOOL,
                            variadic_array: false,
                        };
                        Ok(call_row(&call, args)?.as_bool())
                    },
                )?;
                match holds.as_bool() {
                    Some(value) if value != *all => {
                        answer = Datum::Bool(value);
                        Ok(false)
                    }
                    Some(_) => Ok(true),
                    None => {
                        answer = Datum::Null;
                        Ok(true)
                    }
                }
            })?;
            Ok(answer)
        }
    }
}

pub(super) fn parameter(ctx: &EvalContext<'_>, index: usize) -> Result<Datum> {
    ctx.params.get(index).cloned().ok_or_else(|| {
        Error::new(SqlState::UNDEFINED_OBJECT, format!("no value found for parameter {}", index + 1))
    })
}

pub(super) fn correlated(ctx: &EvalContext<'_>, slot: usize) -> Result<Datum> {
    ctx.correlated.get(slot).cloned().ok_or_else(|| Error::internal(format!("outer value {slot} is not set")))
}

/// `IS NULL`, or with `negated` `IS NOT NULL`; for rows both can be false.
pub(super) fn is_null(value: &Datum, negated: bool, row: bool) -> bool {
    match value {
        Datum::Record(fields) if row => fields.iter().all(|field| field.is_null() != negated),
        value => value.is_null() != negated,
    }
}

pub(super) fn boolean_test(value: Option<bool>, test: BooleanTest) -> bool {
    match test {
        BooleanTest::True => value == Some(true),
        BooleanTest::NotTrue => value != Some(true),
        BooleanTest::False => value == Some(false),
        BooleanTest::NotFalse => value != Some(false),
        BooleanTest::Unknown => value.is_none(),
        BooleanTest::NotUnknown => value.is_some(),
    }
}

pub(super) fn session_value(kind: SessionValue, ty: SqlType, ctx: &EvalContext<'_>) -> Result<Datum> {
    functions::session_value(kind, ty, ctx)
}

/// Whether a type's text form is its bytes.
pub(crate) fn is_plain_text(ty: SqlType) -> bool {
    matches!(
        ty.oid,
        oids::TEXT
            | oids::VARCHAR
            | oids::BPCHAR
            | oids::NAME
            | oids::UNKNOWN
            | oids::CSTRING
            | oids::JSON
            | oids::XML
    )
}

/// Converts one value.
pub(crate) fn cast_value(
    value: Datum,
    source: SqlType,
    kind: &CastKind,
    target: SqlType,
    ctx: &EvalContext<'_>,
) -> Result<Datum> {
    if value.is_null() {
        return Ok(Datum::Null);
    }
    match kind {
        CastKind::Relabel => Ok(crate::relabel(value, target.physical)),
        CastKind::Typmod { explicit } => typmod::apply(value, target, *explicit),
        CastKind::Io => io_cast(value, source, target, ctx),
        CastKind::Function { function, explicit } => {
            let args = [value, Datum::Int32(target.typmod), Datum::Bool(*explicit)];
            let types = [source, SqlType::INT4, SqlType::BOOL];
            let count = function.arg_types.len().min(3);
            let call = CallContext {
                eval: ctx,
                function,
                arg_types: &types[..count],
                result: target,
                variadic_array: false,
            };
            call_row(&call, &args[..count])
        }
        CastKind::Array { kind, element } => {
            let Datum::Array(array) = value else { return Err(crate::errors::wrong_form("an array")) };
            let from = array.element;
            let mut pace = Pace::from(ctx.session.format(), 0);
            let mut elements = Vec::with_capacity(array.len());
            for value in &array.elements {
                pace.advance(value.weight())?;
                elements.push(cast_value(value.clone(), from, kind, *element, ctx)?);
            }
            Ok(Datum::Array(Arc::new(ArrayValue {
                element: *element,
                dimensions: array.dimensions.clone(),
                elements,
            })))
        }
        CastKind::Record { fields } => {
            let Datum::Record(values) = value else { return Err(crate::errors::wrong_form("a record")) };
            let converted: Vec<Datum> = values
                .iter()
                .zip(fields)
                .map(|(value, (kind, ty))| cast_value(value.clone(), *ty, kind, *ty, ctx))
                .collect::<Result<_>>()?;
            Ok(Datum::Record(converted.into()))
        }
    }
}

/// Whether any text is a value of the type, as it is.
pub(super) fn takes_any_text(ty: SqlType) -> bool {
    matches!(ty.oid, oids::TEXT | oids::VARCHAR | oids::BPCHAR | oids::UNKNOWN | oids::CSTRING)
}

fn io_cast(value: Datum, source: SqlType, target: SqlType, ctx: &EvalContext<'_>) -> Result<Datum> {
    let format = ctx.session.format();
    if is_plain_text(source) {
        if matches!(target.oid, oids::TEXT | oids::UNKNOWN | oids::CSTRING) {
            return Ok(value);
        }
        let text = value.as_str().ok_or_else(|| crate::errors::wrong_form("a string"))?;
        return parse_text(target, text, format);
    }
    let text = ochre_types::to_text(source, &value, format)?;
    if matches!(target.oid, oids::TEXT | oids::UNKNOWN | oids::CSTRING) {
        return Ok(Datum::text(text));
    }
    parse_text(target, &text, format)
}
