//! Reading elements and slices of arrays, and replacing them.

use ochre_base::{Error, Result, SqlState};
use ochre_types::{ArrayDimension, ArrayValue, Datum, Pace, array::MAX_DIMENSIONS};

/// PostgreSQL's limit on the elements of an array.
const MAX_ELEMENTS: i64 = 134_217_727;

/// `array[indexes]`; null when outside.
pub(crate) fn element(array: &ArrayValue, indexes: &[i32]) -> Datum {
    array.position(indexes).map_or(Datum::Null, |position| array.elements[position].clone())
}

/// As [`element`], of eight-byte floats one behind the other that are counted from 0.
pub(crate) fn fixed_element(numbers: &[u8], indexes: &[i32]) -> Datum {
    let [index] = indexes else { return Datum::Null };
    let number = usize::try_from(*index).ok().and_then(|index| numbers.as_chunks::<8>().0.get(index));
    number.map_or(Datum::Null, |bytes| Datum::Float64(f64::from_le_bytes(*bytes)))
}

/// Such floats with one replaced.
///
/// # Errors
/// 2202E for a place that is not there.
pub(crate) fn assign_fixed_element(numbers: &[u8], indexes: &[i32], value: f64) -> Result<Datum> {
    let [index] = indexes else {
        return Err(Error::new(SqlState::ARRAY_SUBSCRIPT_ERROR, "wrong number of array subscripts"));
    };
    let mut changed = numbers.to_vec();
    let place = usize::try_from(*index).ok().and_then(|index| changed.as_chunks_mut::<8>().0.get_mut(index));
    match place {
        Some(place) => *place = value.to_le_bytes(),
        None => {
            return Err(Error::new(SqlState::ARRAY_SUBSCRIPT_ERROR, "array subscript out of range"));
        }
    }
    Ok(Datum::Bytes(changed.into()))
}

/// `array[bounds]`; bounds beyond the array are cut, an empty intersection is the empty array, missing trailing
/// dimensions are whole. The result's lower bounds are 1.
///
/// # Errors
/// As [`Pace::look`].
pub(crate) fn slice(
    array: &ArrayValue,
    bounds: &[(Option<i32>, Option<i32>)],
    pace: &mut Pace<'_>,
) -> Result<ArrayValue> {
    if array.dimensions.len() < bounds.len() || array.is_empty() {
        return Ok(ArrayValue::empty(array.element));
    }
    let mut ranges: Vec<(usize, usize)> = Vec::with_capacity(array.dimensions.len());
    for (d, dimension) in array.dimensions.iter().enumerate() {
        let (first, last) =
            (i64::from(dimension.lower), i64::from(dimension.lower) + i64::from(dimension.length) - 1);
        let (lower, upper) = bounds.get(d).copied().unwrap_or((None, None));
        // With any slice in the brackets, a plain subscript means 1:subscript; the binder has spelled that out.
        let lower = lower.map_or(first, i64::from).max(first);
        let upper = upper.map_or(last, i64::from).min(last);
        if lower > upper {
            return Ok(ArrayValue::empty(array.element));
        }
        ranges.push(((lower - first) as usize, (upper - lower + 1) as usize));
    }
    let mut elements = Vec::with_capacity(ranges.iter().map(|(_, length)| length).product());
    copy_slice(array, &ranges, 0, 0, pace, &mut elements)?;
    let dimensions =
        ranges.iter().map(|(_, length)| ArrayDimension { length: *length as i32, lower: 1 }).collect();
    Ok(ArrayValue { element: array.element, dimensions, elements })
}

fn copy_slice(
    array: &ArrayValue,
    ranges: &[(usize, usize)],
    depth: usize,
    base: usize,
    pace: &mut Pace<'_>,
    out: &mut Vec<Datum>,
) -> Result<()> {
    let (start, length) = ranges[depth];
    let row = base * array.dimensions[depth].length as usize;
    if depth + 1 == ranges.len() {
        return pace.extend(array.elements[row + start..row + start + length].iter().cloned(), out);
    }
    (start..start + length).try_for_each(|i| copy_slice(array, ranges, depth + 1, row + i, pace, out))
}

/// The array with one element replaced; a one-dimensional array grows to hold it.
///
/// # Errors
/// 2202E for subscripts outside an array of several dimensions, or with another number of dimensions.
pub(crate) fn assign_element(mut array: ArrayValue, indexes: &[i32], value: Datum) -> Result<ArrayValue> {
    if indexes.is_empty() || indexes.len() > MAX_DIMENSIONS {
        return Err(Error::new(SqlState::ARRAY_SUBSCRIPT_ERROR, "wrong number of array subscripts"));
    }
    if array.dimensions.is_empty() {
        array.dimensions = indexes.iter().map(|index| ArrayDimension { length: 1, lower: *index }).collect();
        array.elements = vec![value];
        return Ok(array);
    }
    if array.dimensions.len() != indexes.len() {
        return Err(Error::new(SqlState::ARRAY_SUBSCRIPT_ERROR, "wrong number of array subscripts"));
    }
    if let [index] = indexes {
        grow(&mut array, *index, *index)?;
    }
    let position = array
        .position(indexes)
        .ok_or_else(|| Error::new(SqlState::ARRAY_SUBSCRIPT_ERROR, "array subscript out of range"))?;
    array.elements[position] = value;
    Ok(array)
}

/// The array with a slice replaced by as many elements of `source`, in order.
///
/// # Errors
/// 2202E when the slice does not fit the array or the source.
pub(crate) fn assign_slice(
    mut array: ArrayValue,
    bounds: &[(Option<i32>, Option<i32>)],
    source: &ArrayValue,
) -> Result<ArrayValue> {
    let ([bound], true) = (bounds, array.dimensions.len() <= 1) else {
        return assign_block(array, bounds, source);
    };
    let existing = array.dimensions.first().copied();
    let (lower, upper) = match (existing, bound) {
        (None, (Some(lower), Some(upper))) => (*lower, *upper),
        (None, _) => {
            return Err(open_boundary());
        }
        (Some(d), (lower, upper)) => (lower.unwrap_or(d.lower), upper.unwrap_or(d.lower + d.length - 1)),
    };
    if lower > upper {
        return Err(reversed_bounds());
    }
    let wanted = i64::from(upper) - i64::from(lower) + 1;
    if wanted > MAX_ELEMENTS {
        return Err(too_large());
    }
    let wanted = wanted as usize;
    if source.len() < wanted {
        return Err(source_too_small());
    }
    if array.dimensions.is_empty() {
        array.dimensions.push(ArrayDimension { length: 0, lower });
    }
    grow(&mut array, lower, upper)?;
    let start = (lower - array.dimensions[0].lower) as usize;
    array.elements[start..start + wanted].clone_from_slice(&source.elements[..wanted]);
    Ok(array)
}

/// The array with a block of several dimensions replaced; an array of several dimensions does not grow.
fn assign_block(
    mut array: ArrayValue,
    bounds: &[(Option<i32>, Option<i32>)],
    source: &ArrayValue,
) -> Result<ArrayValue> {
    if array.is_empty() {
        array.dimensions.clear();
        array.elements.clear();
        for bound in bounds {
            let (Some(lower), Some(upper)) = *bound else { return Err(open_boundary()) };
            let length = i64::from(upper) - i64::from(lower) + 1;
            if length <= 0 {
                return Err(reversed_bounds());
            }
            let length = i32::try_from(length).map_err(|_| too_large())?;
            array.dimensions.push(ArrayDimension { length, lower });
        }
        let items = array.dimensions.iter().try_fold(1_i64, |items, dimension| {
            items.checked_mul(i64::from(dimension.length)).filter(|items| *items <= MAX_ELEMENTS)
        });
        let items = items.ok_or_else(too_large)? as usize;
        if source.len() < items {
            return Err(source_too_small());
        }
        array.elements = source.elements[..items].to_vec();
        return Ok(array);
    }
    if array.dimensions.len() < bounds.len() {
        return Err(Error::new(SqlState::ARRAY_SUBSCRIPT_ERROR, "wrong number of array subscripts"));
    }
    let mut ranges: Vec<(usize, usize)> = Vec::with_capacity(array.dimensions.len());
    for (d, dimension) in array.dimensions.iter().enumerate() {
        let (first, last) =
            (i64::from(dimension.lower), i64::from(dimension.lower) + i64::from(dimension.length) - 1);
        let (lower, upper) = bounds.get(d).copied().unwrap_or((None, None));
        let (lower, upper) = (lower.map_or(first, i64::from), upper.map_or(last, i64::from));
        if lower > upper {
            return Err(reversed_bounds());
        }
        if lower < first || upper > last {
            return Err(Error::new(SqlState::ARRAY_SUBSCRIPT_ERROR, "array subscript out of range"));
        }
        ranges.push(((lower - first) as usize, (upper - lower + 1) as usize));
    }
    if source.len() < ranges.iter().map(|(_, length)| length).product() {
        return Err(source_too_small());
    }
    let mut values = source.elements.iter();
    fill_block(&mut array, &ranges, 0, 0, &mut values);
    Ok(array)
}

fn fill_block<'a>(
    array: &mut ArrayValue,
    ranges: &[(usize, usize)],
    depth: usize,
    base: usize,
    values: &mut impl Iterator<Item = &'a Datum>,
) {
    let (start, length) = ranges[depth];
    let row = base * array.dimensions[depth].length as usize;
    for i in start..start + length {
        if depth + 1 < ranges.len() {
            fill_block(array, ranges, depth + 1, row + i, values);
        } else if let Some(value) = values.next() {
            array.elements[row + i] = value.clone();
        }
    }
}

fn open_boundary() -> Error {
    Error::new(SqlState::ARRAY_SUBSCRIPT_ERROR, "array slice subscript must provide both boundaries").detail(
        "When assigning to a slice of an empty array value, slice boundaries must be fully specified.",
    )
}

fn reversed_bounds() -> Error {
    Error::new(SqlState::ARRAY_SUBSCRIPT_ERROR, "upper bound cannot be less than lower bound")
}

fn source_too_small() -> Error {
    Error::new(SqlState::ARRAY_SUBSCRIPT_ERROR, "source array too small")
}

fn too_large() -> Error {
    Error::new(
        SqlState::PROGRAM_LIMIT_EXCEEDED,
        format!("array size exceeds the maximum allowed ({MAX_ELEMENTS})"),
    )
}

/// Makes a one-dimensional array cover `lower..=upper`, with nulls between.
fn grow(array: &mut ArrayValue, lower: i32, upper: i32) -> Result<()> {
    let dimension = array.dimensions[0];
    let first = i64::from(dimension.lower).min(i64::from(lower));
    let last = (i64::from(dimension.lower) + i64::from(dimension.length) - 1).max(i64::from(upper));
    let length = last - first + 1;
    if length > MAX_ELEMENTS {
        return Err(too_large());
    }
    let before = (i64::from(dimension.lower) - first) as usize;
    if before > 0 {
        array.elements.splice(0..0, std::iter::repeat_n(Datum::Null, before));
    }
    array.elements.resize(length as usize, Datum::Null);
    array.dimensions[0] = ArrayDimension { length: length as i32, lower: first as i32 };
    Ok(())
}
