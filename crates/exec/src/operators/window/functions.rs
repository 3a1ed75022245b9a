//! The window functions proper.

use std::sync::Arc;

use ochre_base::{Error, Result, SqlState};
use ochre_expr::FunctionRef;
use ochre_types::{Column, ColumnBuilder, SqlType};

use super::frame::{Frames, Peers};

/// Fails for functions that are not implemented.
///
/// # Errors
/// 0A000.
pub fn check(function: &FunctionRef) -> Result<()> {
    let known = matches!(
        &*function.name,
        "row_number"
            | "rank"
            | "dense_rank"
            | "percent_rank"
            | "cume_dist"
            | "ntile"
            | "lag"
            | "lead"
            | "first_value"
            | "last_value"
            | "nth_value"
    );
    if known {
        Ok(())
    } else {
        Err(Error::unsupported(format_args!("the window function {}", function.name)))
    }
}

/// A function's value for each row of a partition.
///
/// # Errors
/// 22014 and 22016 for bad arguments.
pub fn compute(
    function: &FunctionRef,
    ty: SqlType,
    args: &[Arc<Column>],
    peers: &Peers,
    frames: &Frames,
) -> Result<Column> {
    let rows = peers.rows();
    let numbers = |value: &dyn Fn(usize) -> i64| Ok(Column::from((0..rows).map(value).collect::<Vec<i64>>()));
    let shares = |value: &dyn Fn(usize) -> f64| Ok(Column::from((0..rows).map(value).collect::<Vec<f64>>()));
    match &*function.name {
        "row_number" => numbers(&|row| row as i64 + 1),
        "rank" => numbers(&|row| peers.start(row) as i64 + 1),
        "dense_rank" => numbers(&|row| peers.group[row] as i64 + 1),
        "percent_rank" => shares(&|row| match rows {
            1 => 0.0,
            _ => peers.start(row) as f64 / (rows - 1) as f64,
        }),
        "cume_dist" => shares(&|row| peers.end(row) as f64 / rows as f64),
        "ntile" => ntile(&args[0], rows),
        "lag" => Ok(shifted(ty, args, rows, -1)),
        "lead" => Ok(shifted(ty, args, rows, 1)),
        "first_value" => Ok(picked(ty, &args[0], rows, |row| first(&frames.ranges(row)))),
        "last_value" => Ok(picked(ty, &args[0], rows, |row| last(&frames.ranges(row)))),
        "nth_value" => nth_value(ty, args, rows, frames),
        name => Err(Error::unsupported(format_args!("the window function {name}"))),
    }
}

fn picked(ty: SqlType, values: &Column, rows: usize, pick: impl Fn(usize) -> Option<usize>) -> Column {
    let mut builder = ColumnBuilder::new(ty.physical, rows);
    for row in 0..rows {
        match pick(row) {
            Some(row) => builder.push_from(values, row),
            None => builder.push_null(),
        }
    }
    builder.finish()
}

fn first(ranges: &[(usize, usize)]) -> Option<usize> {
    ranges.iter().find(|(start, end)| start < end).map(|(start, _)| *start)
}

fn last(ranges: &[(usize, usize)]) -> Option<usize> {
    ranges.iter().rev().find(|(start, end)| start < end).map(|(_, end)| end - 1)
}

/// Buckets as equal as possible, the larger ones first.
fn ntile(buckets: &Column, rows: usize) -> Result<Column> {
    let mut builder = ColumnBuilder::new(ochre_types::PhysicalType::Int32, rows);
    let Some(buckets) = buckets.datum(0).as_i64() else {
        (0..rows).for_each(|_| builder.push_null());
        return Ok(builder.finish());
    };
    if buckets <= 0 {
        return Err(Error::new(
            SqlState::INVALID_ARGUMENT_FOR_NTILE_FUNCTION,
            "argument of ntile must be greater than zero",
        ));
    }
    let buckets = buckets as usize;
    let (size, larger) = (rows / buckets, rows % buckets);
    let of_larger = larger * (size + 1);
    for row in 0..rows {
        let bucket =
            if row < of_larger { row / (size + 1) } else { larger + (row - of_larger) / size.max(1) };
        builder.push_i32(bucket as i32 + 1);
    }
    Ok(builder.finish())
}

/// `lag` and `lead`: value, distance (1), what stands for rows outside (NULL).
fn shifted(ty: SqlType, args: &[Arc<Column>], rows: usize, direction: i64) -> Column {
    let mut builder = ColumnBuilder::new(ty.physical, rows);
    for row in 0..rows {
        let distance = match args.get(1) {
            None => 1,
            Some(column) => match column.datum(row).as_i64() {
                Some(distance) => distance,
                None => {
                    builder.push_null();
                    continue;
                }
            },
        };
        let target = row as i64 + direction * distance;
        match (usize::try_from(target).ok().filter(|target| *target < rows), args.get(2)) {
            (Some(target), _) => builder.push_from(&args[0], target),
            (None, Some(default)) => builder.push_from(default, row),
            (None, None) => builder.push_null(),
        }
    }
    builder.finish()
}

fn nth_value(ty: SqlType, args: &[Arc<Column>], rows: usize, frames: &Frames) -> Result<Column> {
    let mut builder = ColumnBuilder::new(ty.physical, rows);
    for row in 0..rows {
        let Some(number) = args[1].datum(row).as_i64() else {
            builder.push_null();
            continue;
        };
        if number <= 0 {
            return Err(Error::new(
                SqlState::INVALID_ARGUMENT_FOR_NTH_VALUE_FUNCTION,
                "argument of nth_value must be greater than zero",
            ));
        }
        let mut left = number as usize - 1;
        let mut found = None;
        for (start, end) in frames.ranges(row) {
            if left < end - start {
                found = Some(start + left);
                break;
            }
            left -= end - start;
        }
        match found {
            Some(target) => builder.push_from(&args[0], target),
            None => builder.push_null(),
        }
    }
    Ok(builder.finish())
}
