//! Peers and frames: which rows of its partition a row's window function sees.
//!
//! # How
//! Rows are gone through in order, and both ends of their frames only ever move forward: each end is either plain
//! arithmetic or a cursor that follows. No row is looked at before a frame reaches it.

use std::cmp::Ordering;
use std::sync::Arc;

use ochre_base::{Error, Result, SqlState};
use ochre_expr::{Expr, operators_named};
use ochre_sql::physical::{FrameBound, FrameExclusion, FrameMode, SortKey, WindowFrame};
use ochre_types::datetime::{TimeTz, USECS_PER_SEC};
use ochre_types::{
    Batch, Column, Datum, KeyOrder, Numeric, PhysicalType, SqlType, ValueOrder, compare, oids,
};

use super::rows::{Columns, PartitionRows, Reader, View};
use crate::ExecContext;

/// Which columns the order keys are, and how they compare.
struct OrderKeys {
    first: usize,
    orders: Vec<ValueOrder>,
}

impl OrderKeys {
    fn equal(&self, a: &View, row_a: usize, b: &View, row_b: usize) -> bool {
        let (at_a, at_b) = (a.position(row_a), b.position(row_b));
        self.orders.iter().enumerate().all(|(i, order)| {
            let column = self.first + i;
            compare::equal_rows(&a.columns[column], at_a, &b.columns[column], at_b, *order)
        })
    }
}

/// The current row, its peers (rows of equal order keys) and its frame.
pub struct Frames {
    keys: OrderKeys,
    /// Whether anything depends on which rows are peers.
    tracks_peers: bool,
    /// The current row and its block.
    row: usize,
    view: Option<View>,
    /// The first of the row's peers, and how many groups of peers come before them.
    peers_start: usize,
    group: usize,
    /// The row behind the last peer, once somebody has asked.
    peers_end: Option<usize>,
    ahead: Reader,
    start: End,
    end: End,
    exclusion: FrameExclusion,
    frame: (usize, usize),
}

/// One end of the frames: a row, and for the start whether it is the first within, for the end the first behind.
enum End {
    First,
    Last,
    Row { is_start: bool },
    Peers { is_start: bool },
    Rows { count: usize, preceding: bool, is_start: bool },
    Groups { count: usize, preceding: bool, is_start: bool, cursor: GroupCursor },
    Range { is_start: bool, cursor: Box<RangeCursor> },
}

impl Frames {
    /// Frames of rows whose columns from `first_key` on are the order keys `keys`; and whether anything else than the
    /// frames depends on peers.
    ///
    /// # Errors
    /// 22004, 22013 for bad offsets.
    pub fn new(
        ctx: &ExecContext<'_>,
        frame: &WindowFrame,
        keys: &[SortKey],
        first_key: usize,
        peers_are_used: bool,
    ) -> Result<Frames> {
        let start = End::new(ctx, frame.mode, &frame.start, true, keys, first_key)?;
        let end = End::new(ctx, frame.mode, &frame.end, false, keys, first_key)?;
        let by_peers = start.is_by_peers() || end.is_by_peers() || concerns_peers(frame.exclusion);
        Ok(Frames {
            keys: OrderKeys {
                first: first_key,
                orders: keys.iter().map(|key| key.expr.ty().order()).collect(),
            },
            tracks_peers: peers_are_used || by_peers,
            row: 0,
            view: None,
            peers_start: 0,
            group: 0,
            peers_end: None,
            ahead: Reader::default(),
            start,
            end,
            exclusion: frame.exclusion,
            frame: (0, 0),
        })
    }

    /// Goes to a partition's first row.
    pub fn begin_partition(&mut self, view: View) {
        (self.row, self.peers_start, self.group) = (0, 0, 0);
        self.peers_end = None;
        self.view = Some(view);
        self.start.reset();
        self.end.reset();
    }

    /// Goes to the row behind the current one.
    pub fn advance(&mut self, view: &View) {
        let last = self.view.as_ref().expect("a partition begins with a row");
        let row = self.row + 1;
        let same = match self.peers_end {
            _ if !self.tracks_peers => true,
            Some(end) => row < end,
            None => self.keys.equal(last, self.row, view, row),
        };
        if !same {
            self.peers_start = row;
            self.group += 1;
            self.peers_end = None;
        }
        if view.start != last.start {
            self.view = Some(view.clone());
        }
        self.row = row;
    }

    /// The number of the current row.
    pub fn row(&self) -> usize {
        self.row
    }

    /// The current row's block.
    pub fn view(&self) -> &View {
        self.view.as_ref().expect("a partition begins with a row")
    }

    /// The first of the current row's peers.
    pub fn peers_start(&self) -> usize {
        self.peers_start
    }

    /// How many groups of peers come before the current row's.
    pub fn group(&self) -> usize {
        self.group
    }

    /// The row behind the last of the current row's peers.
    pub fn peers_end(&mut self, ctx: &ExecContext<'_>, rows: &mut PartitionRows) -> Result<usize> {
        if let Some(end) = self.peers_end {
            return Ok(end);
        }
        let end = if self.keys.orders.is_empty() {
            rows.total(ctx)?
        } else {
            let own = self.view.as_ref().expect("a partition begins with a row");
            let mut end = self.row + 1;
            while rows.has(ctx, end)? && self.keys.equal(own, self.row, self.ahead.view(rows, end)?, end) {
                end += 1;
            }
            end
        };
        self.peers_end = Some(end);
        Ok(end)
    }

    /// Computes the current row's frame.
    ///
    /// # Errors
    /// 0A000 for RANGE offsets of other types than numbers, dates and timestamps.
    pub fn locate(&mut self, ctx: &ExecContext<'_>, rows: &mut PartitionRows) -> Result<()> {
        // Its peers are known before the cursors move, which borrow the frames otherwise.
        if self.start.needs_peers_end() || self.end.needs_peers_end() || concerns_peers(self.exclusion) {
            self.peers_end(ctx, rows)?;
        }
        let place = Current {
            row: self.row,
            group: self.group,
            peers: (self.peers_start, self.peers_end.unwrap_or(self.row + 1)),
            view: self.view.as_ref().expect("a partition begins with a row"),
            keys: &self.keys,
        };
        let start = self.start.find(ctx, rows, &place)?;
        let end = self.end.find(ctx, rows, &place)?;
        self.frame = (start, end.max(start));
        Ok(())
    }

    /// The current row's frame, as up to three ranges of rows in order; unused ones are empty.
    pub fn ranges(&self) -> [(usize, usize); 3] {
        let (start, end) = self.frame;
        let cut = |from: usize, to: usize| {
            let from = from.clamp(start, end);
            (from, to.clamp(from, end))
        };
        let (first, behind) = (self.peers_start, self.peers_end.unwrap_or(self.row + 1));
        match self.exclusion {
            FrameExclusion::NoOthers => [(start, end), (end, end), (end, end)],
            FrameExclusion::CurrentRow => [cut(start, self.row), cut(self.row + 1, end), (end, end)],
            FrameExclusion::Group => [cut(start, first), cut(behind, end), (end, end)],
            FrameExclusion::Ties => [cut(start, first), cut(self.row, self.row + 1), cut(behind, end)],
        }
    }

    /// Whether every frame begins with the partition and leaves nothing out: each row of it is met once.
    pub fn only_grow(&self) -> bool {
        self.exclusion == FrameExclusion::NoOthers && matches!(self.start, End::First)
    }

    /// The first row of the current frame: no later frame begins before it.
    pub fn frame_start(&self) -> usize {
        self.frame.0
    }

    /// The first row that the cursors, or the peers, may need again.
    pub fn keeps_from(&self) -> usize {
        self.row.min(self.start.keeps_from()).min(self.end.keeps_from())
    }
}

/// What an end of a frame depends on.
struct Current<'a> {
    row: usize,
    group: usize,
    peers: (usize, usize),
    view: &'a View,
    keys: &'a OrderKeys,
}

impl End {
    fn new(
        ctx: &ExecContext<'_>,
        mode: FrameMode,
        bound: &FrameBound,
        is_start: bool,
        keys: &[SortKey],
        first_key: usize,
    ) -> Result<End> {
        let (offset, preceding) = match bound {
            FrameBound::UnboundedPreceding => return Ok(End::First),
            FrameBound::UnboundedFollowing => return Ok(End::Last),
            FrameBound::CurrentRow if mode == FrameMode::Rows => return Ok(End::Row { is_start }),
            FrameBound::CurrentRow => return Ok(End::Peers { is_start }),
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
            let cursor = RangeCursor::new(value, offset.ty(), (preceding, is_start), keys, first_key)?;
            return Ok(End::Range { is_start, cursor: Box::new(cursor) });
        }
        let count = value.as_i64().and_then(|count| usize::try_from(count).ok()).ok_or_else(|| {
            Error::new(
                SqlState::INVALID_PRECEDING_OR_FOLLOWING_SIZE,
                format!("frame {word} offset must not be negative"),
            )
        })?;
        Ok(match mode {
            FrameMode::Rows => End::Rows { count, preceding, is_start },
            _ => End::Groups { count, preceding, is_start, cursor: GroupCursor::default() },
        })
    }

    fn reset(&mut self) {
        match self {
            End::Groups { cursor, .. } => (cursor.group, cursor.start, cursor.ended) = (0, 0, false),
            End::Range { cursor, .. } => cursor.low = None,
            _ => {}
        }
    }

    fn is_by_peers(&self) -> bool {
        matches!(self, End::Peers { .. } | End::Groups { .. } | End::Range { .. })
    }

    fn needs_peers_end(&self) -> bool {
        matches!(self, End::Peers { is_start: false } | End::Range { is_start: false, .. })
    }

    fn keeps_from(&self) -> usize {
        match self {
            End::Groups { cursor, .. } => cursor.start,
            End::Range { cursor, .. } => cursor.low.unwrap_or(usize::MAX),
            _ => usize::MAX,
        }
    }

    fn find(&mut self, ctx: &ExecContext<'_>, rows: &mut PartitionRows, at: &Current<'_>) -> Result<usize> {
        let row = at.row;
        match self {
            End::First => Ok(0),
            End::Last => rows.total(ctx),
            End::Row { is_start } => Ok(if *is_start { row } else { row + 1 }),
            End::Peers { is_start } => Ok(if *is_start { at.peers.0 } else { at.peers.1 }),
            End::Rows { count, preceding, is_start } => match (*preceding, *is_start) {
                (true, true) => Ok(row.saturating_sub(*count)),
                (true, false) => Ok((row + 1).saturating_sub(*count)),
                (false, true) => rows.clamp(ctx, row.saturating_add(*count)),
                (false, false) => rows.clamp(ctx, row.saturating_add(*count).saturating_add(1)),
            },
            End::Groups { count, preceding, is_start, cursor } => {
                let group =
                    if *preceding { at.group.checked_sub(*count) } else { at.group.checked_add(*count) };
                match group {
                    Some(group) if *is_start => cursor.seek(ctx, rows, at.keys, group),
                    Some(group) => cursor.seek(ctx, rows, at.keys, group.saturating_add(1)),
                    None if *preceding => Ok(0),
                    None => rows.total(ctx),
                }
            }
            End::Range { is_start, cursor } => cursor.seek(ctx, rows, at, *is_start),
        }
    }
}

/// Goes along the groups of peers.
#[derive(Default)]
struct GroupCursor {
    group: usize,
    /// The first row of the group.
    start: usize,
    ended: bool,
    own: Reader,
    ahead: Reader,
}

impl GroupCursor {
    /// The first row of a group, none before the last one that was asked for.
    fn seek(
        &mut self,
        ctx: &ExecContext<'_>,
        rows: &mut PartitionRows,
        keys: &OrderKeys,
        group: usize,
    ) -> Result<usize> {
        while self.group < group && !self.ended {
            let own = self.own.view(rows, self.start)?;
            let mut next = self.start + 1;
            loop {
                if !rows.has(ctx, next)? {
                    self.ended = true;
                    break;
                }
                if !keys.equal(own, self.start, self.ahead.view(rows, next)?, next) {
                    break;
                }
                next += 1;
            }
            self.start = next;
            self.group += 1;
        }
        Ok(self.start)
    }
}

/// Goes along the rows by the distance of their order key's value.
struct RangeCursor {
    column: usize,
    ty: SqlType,
    descending: bool,
    offset: Datum,
    offset_type: SqlType,
    /// Going back in a descending order means going to larger values.
    subtract: bool,
    /// Rows of the frame have no larger value than the bound; otherwise, no smaller one.
    is_upper: bool,
    /// The first row that is not before the bound asked for last; `None` before the first key that is not NULL.
    low: Option<usize>,
    reader: Reader,
    /// Values and bounds of the blocks used last.
    known: Vec<Distances>,
}

/// Keys and bounds in a type in which they compare and do not overflow, for the columns of a block.
struct Distances {
    of: Arc<Columns>,
    values: Arc<Column>,
    bounds: Arc<Column>,
}

/// Blocks whose distances are kept: the current row's, the cursor's, and those that they go to next.
const KNOWN_DISTANCES: usize = 4;

impl RangeCursor {
    fn new(
        offset: Datum,
        offset_type: SqlType,
        (preceding, is_start): (bool, bool),
        keys: &[SortKey],
        column: usize,
    ) -> Result<RangeCursor> {
        let [key] = keys else {
            return Err(Error::internal("RANGE with an offset has one order key"));
        };
        if is_negative(&offset, key.expr.ty()) {
            return Err(Error::new(
                SqlState::INVALID_PRECEDING_OR_FOLLOWING_SIZE,
                "invalid preceding or following size in window function",
            ));
        }
        Ok(RangeCursor {
            column,
            ty: key.expr.ty(),
            descending: key.descending,
            offset,
            offset_type,
            subtract: preceding != key.descending,
            is_upper: is_start == key.descending,
            low: None,
            reader: Reader::default(),
            known: Vec::new(),
        })
    }

    fn seek(
        &mut self,
        ctx: &ExecContext<'_>,
        rows: &mut PartitionRows,
        at: &Current<'_>,
        is_start: bool,
    ) -> Result<usize> {
        let position = at.view.position(at.row);
        if at.view.columns[self.column].is_null(position) {
            // NULLs stand at one end, and only with each other.
            return Ok(if is_start { at.peers.0 } else { at.peers.1 });
        }
        let own = self.distances(ctx, &at.view.columns)?;
        let bounds = Arc::clone(&self.known[own].bounds);
        let order = KeyOrder { descending: self.descending, ..KeyOrder::ASCENDING };
        let mut low = self.low.unwrap_or(at.row);
        while rows.has(ctx, low)? {
            let view = self.reader.view(rows, low)?;
            let (columns, low_position) = (Arc::clone(&view.columns), view.position(low));
            if columns[self.column].is_null(low_position) {
                break;
            }
            let found = self.distances(ctx, &columns)?;
            let values = &self.known[found].values;
            let before = match compare::compare_rows(values, low_position, &bounds, position, order) {
                Ordering::Less => true,
                Ordering::Equal => !is_start,
                Ordering::Greater => false,
            };
            if !before {
                break;
            }
            low += 1;
        }
        self.low = Some(low);
        Ok(low)
    }

    /// The place in `known` of the distances of a block's columns.
    fn distances(&mut self, ctx: &ExecContext<'_>, columns: &Arc<Columns>) -> Result<usize> {
        if let Some(found) = self.known.iter().position(|known| Arc::ptr_eq(&known.of, columns)) {
            return Ok(found);
        }
        let key = &columns[self.column];
        let (values, bounds) = self.compute(ctx, key)?;
        if self.known.len() == KNOWN_DISTANCES {
            self.known.remove(0);
        }
        self.known.push(Distances { of: Arc::clone(columns), values, bounds });
        Ok(self.known.len() - 1)
    }

    /// The keys' values and each row's bound, in a type in which they compare and do not overflow.
    fn compute(&self, ctx: &ExecContext<'_>, column: &Arc<Column>) -> Result<(Arc<Column>, Arc<Column>)> {
        let (ty, subtract) = (self.ty, self.subtract);
        if let Datum::Interval(_) = self.offset {
            return interval_distances(ctx, column, ty, &self.offset, subtract);
        }
        match (ty.physical, &self.offset) {
            (PhysicalType::Int16 | PhysicalType::Int32 | PhysicalType::Int64, offset) => {
                let Some(offset) = offset.as_i64() else { return Err(unsupported(ty, self.offset_type)) };
                Ok(each_value(
                    column,
                    |value| value.as_i64().unwrap_or(0),
                    |value| match subtract {
                        true => value.saturating_sub(offset),
                        false => value.saturating_add(offset),
                    },
                ))
            }
            (PhysicalType::Float32 | PhysicalType::Float64, offset) => {
                let Some(offset) = float_of(offset) else { return Err(unsupported(ty, self.offset_type)) };
                Ok(each_value(
                    column,
                    |value| float_of(&value).unwrap_or(0.0),
                    |value| {
                        let bound = if subtract { value - offset } else { value + offset };
                        // Back from infinity by infinity: everything is within that.
                        match bound.is_nan() && !value.is_nan() {
                            true if self.is_upper => f64::INFINITY,
                            true => f64::NEG_INFINITY,
                            false => bound,
                        }
                    },
                ))
            }
            (PhysicalType::Numeric, Datum::Numeric(offset)) if offset.is_infinite() => {
                let everything = if self.is_upper { Numeric::POS_INFINITY } else { Numeric::NEG_INFINITY };
                let far = if subtract { Numeric::NEG_INFINITY } else { Numeric::POS_INFINITY };
                let numeric = |value: Datum| match value {
                    Datum::Numeric(value) => value,
                    _ => Numeric::ZERO,
                };
                Ok(each_value(column, numeric, |value| match value {
                    value if value.is_nan() => value.clone(),
                    value if value.is_infinite() && value.compare(&far).is_ne() => everything.clone(),
                    _ => far.clone(),
                }))
            }
            _ => {
                let bounds = apply(ctx, column, ty, &self.offset, self.offset_type, subtract)?;
                if bounds.physical() != column.physical() {
                    return Err(unsupported(ty, self.offset_type));
                }
                Ok((Arc::clone(column), bounds))
            }
        }
    }
}

/// A column's values in a type, and what a function makes of each.
fn each_value<T>(
    column: &Column,
    value: impl Fn(Datum) -> T,
    bound: impl Fn(&T) -> T,
) -> (Arc<Column>, Arc<Column>)
where
    Column: From<Vec<T>>,
{
    let values: Vec<T> = (0..column.len()).map(|row| value(column.datum(row))).collect();
    let bounds: Vec<T> = values.iter().map(bound).collect();
    (Arc::new(Column::from(values)), Arc::new(Column::from(bounds)))
}

fn float_of(value: &Datum) -> Option<f64> {
    match value {
        Datum::Float32(value) => Some(f64::from(*value)),
        Datum::Float64(value) => Some(*value),
        _ => None,
    }
}

fn is_negative(offset: &Datum, key: SqlType) -> bool {
    match offset {
        // Months and days do not move a time of day.
        Datum::Interval(value) if is_time(key) => value.micros < 0,
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

fn is_time(ty: SqlType) -> bool {
    matches!(ty.oid, oids::TIME | oids::TIMETZ)
}

fn concerns_peers(exclusion: FrameExclusion) -> bool {
    matches!(exclusion, FrameExclusion::Group | FrameExclusion::Ties)
}

/// Times of day and how far each reaches, which is not around midnight as the operators of the type go.
fn time_distances(column: &Column, ty: SqlType, offset: i64, subtract: bool) -> (Arc<Column>, Arc<Column>) {
    let moved = |micros: i64| match subtract {
        true => micros.saturating_sub(offset),
        false => micros.saturating_add(offset),
    };
    if ty.oid == oids::TIME {
        return each_value(column, |value| value.as_i64().unwrap_or(0), |micros| moved(*micros));
    }
    // Times with zones are in the order of the instant, and then of the zone, which is kept: one number has both. No instant
    // is further from another than two days, so that what is beyond is as good as at the end.
    const FURTHEST: i64 = 1 << 40;
    const ZONES: i64 = 1 << 18;
    let instant_and_zone = |value: Datum| match value {
        Datum::Bytes(bytes) => TimeTz::from_bytes(&bytes).map_or(0, |time| {
            let zone = i64::from(time.zone);
            (time.micros + zone * USECS_PER_SEC) * ZONES + zone + ZONES / 2
        }),
        _ => 0,
    };
    each_value(column, instant_and_zone, |known| {
        let (instant, zone) = (known.div_euclid(ZONES), known.rem_euclid(ZONES));
        moved(instant).clamp(-FURTHEST, FURTHEST) * ZONES + zone
    })
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
    if let (true, Datum::Interval(offset)) = (is_time(ty), offset) {
        return Ok(time_distances(column, ty, offset.micros, subtract));
    }
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
