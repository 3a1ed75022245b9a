//! Peers and frames: which rows of its partition a row's window function sees.

use std::cmp::Ordering;
use std::sync::Arc;

use ochre_base::{Error, Result, SqlState};
use ochre_expr::{Expr, operators_named};
use ochre_sql::physical::{FrameBound, FrameExclusion, FrameMode, SortKey, WindowFrame};
use ochre_types::{Batch, Column, Datum, KeyOrder, Numeric, PhysicalType, SqlType, compare};

use crate::ExecContext;

/// Rows of equal order keys stand together; each row knows its group.
pub struct Peers {
    /// The number of each row's group.
    pub group: Vec<usize>,
    /// Where each group begins, and behind the last one the number of rows.
    pub starts: Vec<usize>,
}

impl Peers {
    /// The peers of a partition sorted by `keys`.
    pub fn new(columns: &[Arc<Column>], keys: &[SortKey], rows: usize) -> Peers {
        let (mut group, mut starts) = (Vec::with_capacity(rows), Vec::new());
        for row in 0..rows {
            let same = row > 0
                && columns.iter().zip(keys).all(|(column, key)| {
                    compare::equal_rows(column, row - 1, column, row, key.expr.ty().order())
                });
            if !same {
                starts.push(row);
            }
            group.push(starts.len() - 1);
        }
        starts.push(rows);
        Peers { group, starts }
    }

    /// How many rows the partition has.
    pub fn rows(&self) -> usize {
        self.group.len()
    }

    /// The first of a row's peers.
    pub fn start(&self, row: usize) -> usize {
        self.starts[self.group[row]]
    }

    /// The row behind the last of a row's peers.
    pub fn end(&self, row: usize) -> usize {
        self.starts[self.group[row] + 1]
    }
}

/// The frame of each row.
pub struct Frames {
    frames: Vec<(usize, usize)>,
    exclusion: FrameExclusion,
    /// For an exclusion: each row's peers.
    peers: Vec<(usize, usize)>,
}

impl Frames {
    /// The frames of a partition.
    ///
    /// # Errors
    /// 22004, 22013 for bad offsets; 0A000 for RANGE offsets of other types than numbers, dates and timestamps.
    pub fn new(
        ctx: &ExecContext<'_>,
        frame: &WindowFrame,
        columns: &[Arc<Column>],
        keys: &[SortKey],
        peers: &Peers,
    ) -> Result<Frames> {
        let starts = ends(ctx, frame.mode, &frame.start, true, columns, keys, peers)?;
        let ends = ends(ctx, frame.mode, &frame.end, false, columns, keys, peers)?;
        let frames = starts.into_iter().zip(ends).map(|(start, end)| (start, end.max(start))).collect();
        let excludes = frame.exclusion != FrameExclusion::NoOthers;
        let of_row = |row| (peers.start(row), peers.end(row));
        let peers = if excludes { (0..peers.rows()).map(of_row).collect() } else { Vec::new() };
        Ok(Frames { frames, exclusion: frame.exclusion, peers })
    }

    /// A row's frame, as up to three ranges of rows in order; unused ones are empty.
    pub fn ranges(&self, row: usize) -> [(usize, usize); 3] {
        let (start, end) = self.frames[row];
        let cut = |from: usize, to: usize| {
            let from = from.clamp(start, end);
            (from, to.clamp(from, end))
        };
        match self.exclusion {
            FrameExclusion::NoOthers => [(start, end), (end, end), (end, end)],
            FrameExclusion::CurrentRow => [cut(start, row), cut(row + 1, end), (end, end)],
            FrameExclusion::Group => {
                let (first, behind) = self.peers[row];
                [cut(start, first), cut(behind, end), (end, end)]
            }
            FrameExclusion::Ties => {
                let (first, behind) = self.peers[row];
                [cut(start, first), cut(row, row + 1), cut(behind, end)]
            }
        }
    }

    /// Whether every frame begins with the partition and is no smaller than the one before.
    pub fn only_grow(&self) -> bool {
        self.exclusion == FrameExclusion::NoOthers
            && self.frames.iter().all(|(start, _)| *start == 0)
            && self.frames.windows(2).all(|pair| pair[0].1 <= pair[1].1)
    }
}

/// For each row the first row of its frame, or the row behind its last one.
fn ends(
    ctx: &ExecContext<'_>,
    mode: FrameMode,
    bound: &FrameBound,
    is_start: bool,
    columns: &[Arc<Column>],
    keys: &[SortKey],
    peers: &Peers,
) -> Result<Vec<usize>> {
    let rows = peers.rows();
    let (offset, preceding) = match bound {
        FrameBound::UnboundedPreceding => return Ok(vec![0; rows]),
        FrameBound::UnboundedFollowing => return Ok(vec![rows; rows]),
        FrameBound::CurrentRow => {
            return Ok((0..rows)
                .map(|row| match (mode, is_start) {
                    (FrameMode::Rows, true) => row,
                    (FrameMode::Rows, false) => row + 1,
                    (_, true) => peers.start(row),
                    (_, false) => peers.end(row),
                })
                .collect());
        }
        FrameBound::Preceding(expr) => (expr, true),
        FrameBound::Following(expr) => (expr, false),
    };
    let value = ctx.eval_value(offset)?;
    let word = if is_start { "starting" } else { "ending" };
    if value.is_null() {
        let message = format!("frame {word} offset must not be null");
        return Err(Error::new(SqlState::NULL_VALUE_NOT_ALLOWED, message));
    }
    if mode == FrameMode::Range {
        return range_ends(ctx, &value, offset.ty(), preceding, is_start, columns, keys, peers);
    }
    let count = value.as_i64().and_then(|count| usize::try_from(count).ok()).ok_or_else(|| {
        Error::new(
            SqlState::INVALID_PRECEDING_OR_FOLLOWING_SIZE,
            format!("frame {word} offset must not be negative"),
        )
    })?;
    let groups = peers.starts.len() - 1;
    Ok((0..rows)
        .map(|row| match (mode, preceding) {
            (FrameMode::Rows, true) if is_start => row.saturating_sub(count),
            (FrameMode::Rows, true) => (row + 1).saturating_sub(count),
            (FrameMode::Rows, false) if is_start => row.saturating_add(count).min(rows),
            (FrameMode::Rows, false) => row.saturating_add(count).saturating_add(1).min(rows),
            (_, true) => match peers.group[row].checked_sub(count) {
                Some(group) if is_start => peers.starts[group],
                Some(group) => peers.starts[group + 1],
                None => 0,
            },
            (_, false) => {
                let group = peers.group[row].saturating_add(count);
                let group = if is_start { group } else { group.saturating_add(1) };
                peers.starts[group.min(groups)]
            }
        })
        .collect())
}

/// Ends of RANGE frames with an offset: by the distance of the order key's value.
#[allow(clippy::too_many_arguments, reason = "one question about a whole partition")]
fn range_ends(
    ctx: &ExecContext<'_>,
    offset: &Datum,
    offset_type: SqlType,
    preceding: bool,
    is_start: bool,
    columns: &[Arc<Column>],
    keys: &[SortKey],
    peers: &Peers,
) -> Result<Vec<usize>> {
    let ([column], [key]) = (columns, keys) else {
        return Err(Error::internal("RANGE with an offset has one order key"));
    };
    if is_negative(offset) {
        return Err(Error::new(
            SqlState::INVALID_PRECEDING_OR_FOLLOWING_SIZE,
            "invalid preceding or following size in window function",
        ));
    }
    // Going back in a descending order means going to larger values.
    let subtract = preceding != key.descending;
    let (values, bounds) = distances(ctx, column, key.expr.ty(), offset, offset_type, subtract)?;
    let rows = peers.rows();
    // NULLs stand at one end, and only with each other.
    let first = (0..rows).find(|row| column.is_valid(*row)).unwrap_or(rows);
    let behind = (first..rows).find(|row| column.is_null(*row)).unwrap_or(rows);
    let order = KeyOrder { descending: key.descending, nulls_first: false, order: Default::default() };
    Ok((0..rows)
        .map(|row| {
            if column.is_null(row) {
                return if is_start { peers.start(row) } else { peers.end(row) };
            }
            let (mut low, mut high) = (first, behind);
            while low < high {
                let middle = low + (high - low) / 2;
                let before = match compare::compare_rows(&values, middle, &bounds, row, order) {
                    Ordering::Less => true,
                    Ordering::Equal => !is_start,
                    Ordering::Greater => false,
                };
                if before { low = middle + 1 } else { high = middle }
            }
            low
        })
        .collect())
}

fn is_negative(offset: &Datum) -> bool {
    match offset {
        Datum::Float32(value) => *value < 0.0 || value.is_nan(),
        Datum::Float64(value) => *value < 0.0 || value.is_nan(),
        Datum::Numeric(value) => value.compare(&Numeric::ZERO) == Ordering::Less || value.is_nan(),
        Datum::Interval(value) => {
            compare::compare_datums(
                &Datum::Interval(*value),
                &Datum::Interval(ochre_types::Interval::ZERO),
                Default::default(),
            ) == Ordering::Less
        }
        value => value.as_i64().is_some_and(|value| value < 0),
    }
}

/// The keys' values and each row's bound, in a type in which they compare and do not overflow.
fn distances(
    ctx: &ExecContext<'_>,
    column: &Arc<Column>,
    ty: SqlType,
    offset: &Datum,
    offset_type: SqlType,
    subtract: bool,
) -> Result<(Arc<Column>, Arc<Column>)> {
    let rows = column.len();
    if let Datum::Interval(_) = offset {
        return interval_distances(ctx, column, ty, offset, subtract);
    }
    let integers = matches!(ty.physical, PhysicalType::Int16 | PhysicalType::Int32 | PhysicalType::Int64);
    match offset.as_i64() {
        Some(offset) if integers => {
            let each = |row: usize| column.datum(row).as_i64().unwrap_or(0);
            let values: Vec<i64> = (0..rows).map(each).collect();
            let shift = |value: &i64| {
                if subtract { value.saturating_sub(offset) } else { value.saturating_add(offset) }
            };
            let bounds: Vec<i64> = values.iter().map(shift).collect();
            Ok((Arc::new(Column::from(values)), Arc::new(Column::from(bounds))))
        }
        _ => {
            let bounds = apply(ctx, column, ty, offset, offset_type, subtract)?;
            if bounds.physical() != column.physical() {
                return Err(unsupported(ty, offset_type));
            }
            Ok((Arc::clone(column), bounds))
        }
    }
}

/// Dates and timestamps move by intervals.
fn interval_distances(
    ctx: &ExecContext<'_>,
    column: &Arc<Column>,
    ty: SqlType,
    offset: &Datum,
    subtract: bool,
) -> Result<(Arc<Column>, Arc<Column>)> {
    const DAY_MICROS: i64 = 86_400_000_000;
    let bounds = apply(ctx, column, ty, offset, SqlType::INTERVAL, subtract)?;
    if ty.physical == PhysicalType::Int32 && bounds.physical() == PhysicalType::Int64 {
        // A date is compared as its midnight.
        let micros = |row: usize| column.datum(row).as_i64().unwrap_or(0).saturating_mul(DAY_MICROS);
        let values: Vec<i64> = (0..column.len()).map(micros).collect();
        return Ok((Arc::new(Column::from(values)), bounds));
    }
    if bounds.physical() != column.physical() {
        return Err(unsupported(ty, SqlType::INTERVAL));
    }
    Ok((Arc::clone(column), bounds))
}

/// The key plus or minus the offset, by the operator of their types.
fn apply(
    ctx: &ExecContext<'_>,
    column: &Arc<Column>,
    ty: SqlType,
    offset: &Datum,
    offset_type: SqlType,
    subtract: bool,
) -> Result<Arc<Column>> {
    let name = if subtract { "-" } else { "+" };
    let operator = operators_named(name)
        .iter()
        .find(|operator| operator.left == ty.oid && operator.right == offset_type.oid)
        .ok_or_else(|| unsupported(ty, offset_type))?;
    let result = SqlType::new(operator.result, -1);
    let args = vec![Expr::column(0, ty), Expr::constant(offset.clone(), offset_type)];
    let expr = Expr::call(operator.function, args, result);
    let mut parts = Vec::new();
    for start in (0..column.len()).step_by(ochre_base::limits::BATCH_ROWS) {
        let rows = (column.len() - start).min(ochre_base::limits::BATCH_ROWS);
        let batch = Batch::new(vec![Arc::new(column.slice(start, rows))], rows);
        parts.push(ctx.eval(&expr, &batch)?);
    }
    let parts: Vec<&Column> = parts.iter().map(|part| &**part).collect();
    Ok(Arc::new(Column::concat(result.physical, &parts)))
}

#[cold]
fn unsupported(ty: SqlType, offset: SqlType) -> Error {
    Error::new(
        SqlState::FEATURE_NOT_SUPPORTED,
        format!(
            "RANGE with offset PRECEDING/FOLLOWING is not supported for column type {} and offset type {}",
            ty.name(),
            offset.name()
        ),
    )
}
