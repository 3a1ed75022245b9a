//! The window functions proper.

use ochre_base::{Error, Result, SqlState};
use ochre_expr::{Expr, FunctionRef};
use ochre_types::ColumnBuilder;

use super::frame::Frames;
use super::rows::{PartitionRows, Reader};
use crate::ExecContext;

/// A window function that goes along the rows of a partition.
pub struct RunningFunction {
    kind: Kind,
    /// The column of its first argument, and how many arguments it has.
    first: usize,
    count: usize,
    reader: Reader,
    /// For `ntile`: how many buckets, from the partition's first row.
    buckets: Option<usize>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    RowNumber,
    Rank,
    DenseRank,
    PercentRank,
    CumeDist,
    Ntile,
    /// `lag` and `lead`: in which direction, and if it is the same for all rows, how far it may go back.
    Shift {
        direction: i64,
        back: Option<usize>,
    },
    FirstValue,
    LastValue,
    NthValue,
}

impl RunningFunction {
    /// A function whose arguments stand in the columns from `first` on.
    ///
    /// # Errors
    /// 0A000 for functions that are not implemented.
    pub fn new(function: &FunctionRef, args: &[Expr], first: usize) -> Result<RunningFunction> {
        let kind = match &*function.name {
            "row_number" => Kind::RowNumber,
            "rank" => Kind::Rank,
            "dense_rank" => Kind::DenseRank,
            "percent_rank" => Kind::PercentRank,
            "cume_dist" => Kind::CumeDist,
            "ntile" => Kind::Ntile,
            "lag" => Kind::Shift { direction: -1, back: reach_back(args, -1) },
            "lead" => Kind::Shift { direction: 1, back: reach_back(args, 1) },
            "first_value" => Kind::FirstValue,
            "last_value" => Kind::LastValue,
            "nth_value" => Kind::NthValue,
            name => return Err(Error::unsupported(format_args!("the window function {name}"))),
        };
        Ok(RunningFunction { kind, first, count: args.len(), reader: Reader::default(), buckets: None })
    }

    /// Whether it asks for frames.
    pub fn uses_frames(&self) -> bool {
        matches!(self.kind, Kind::FirstValue | Kind::LastValue | Kind::NthValue)
    }

    /// Whether it asks for peers.
    pub fn uses_peers(&self) -> bool {
        matches!(self.kind, Kind::Rank | Kind::DenseRank | Kind::PercentRank | Kind::CumeDist)
    }

    /// The first row that it may need for rows from the current one on.
    pub fn keeps_from(&self, frames: &Frames) -> usize {
        match self.kind {
            Kind::Shift { back, .. } => back.map_or(0, |back| frames.row().saturating_sub(back)),
            _ if self.uses_frames() => frames.frame_start(),
            _ => usize::MAX,
        }
    }

    /// The value for the current row.
    ///
    /// # Errors
    /// 22014 and 22016 for bad arguments.
    pub fn push_value(
        &mut self,
        ctx: &ExecContext<'_>,
        rows: &mut PartitionRows,
        frames: &mut Frames,
        out: &mut ColumnBuilder,
    ) -> Result<()> {
        let row = frames.row();
        match self.kind {
            Kind::RowNumber => out.push_i64(row as i64 + 1),
            Kind::Rank => out.push_i64(frames.peers_start() as i64 + 1),
            Kind::DenseRank => out.push_i64(frames.group() as i64 + 1),
            Kind::PercentRank => match rows.total(ctx)? {
                1 => out.push_f64(0.0),
                total => out.push_f64(frames.peers_start() as f64 / (total - 1) as f64),
            },
            Kind::CumeDist => {
                let end = frames.peers_end(ctx, rows)?;
                out.push_f64(end as f64 / rows.total(ctx)? as f64);
            }
            Kind::Ntile => self.ntile(ctx, rows, frames, out)?,
            Kind::Shift { direction, .. } => self.shifted(ctx, rows, frames, direction, out)?,
            Kind::FirstValue => {
                let first = frames.ranges().into_iter().find(|(start, end)| start < end);
                self.push_at(rows, first.map(|(start, _)| start), out)?;
            }
            Kind::LastValue => {
                let last = frames.ranges().into_iter().rev().find(|(start, end)| start < end);
                self.push_at(rows, last.map(|(_, end)| end - 1), out)?;
            }
            Kind::NthValue => self.nth_value(rows, frames, out)?,
        }
        Ok(())
    }

    /// The first argument's value in a row.
    fn push_at(&mut self, rows: &PartitionRows, row: Option<usize>, out: &mut ColumnBuilder) -> Result<()> {
        let Some(row) = row else {
            out.push_null();
            return Ok(());
        };
        let view = self.reader.view(rows, row)?;
        out.push_from(&view.columns[self.first], view.position(row));
        Ok(())
    }

    /// An argument of the current row as an integer, if it is not NULL.
    fn integer(&self, frames: &Frames, argument: usize) -> Option<i64> {
        let view = frames.view();
        view.columns[self.first + argument].datum(view.position(frames.row())).as_i64()
    }

    /// Buckets as equal as possible, the larger ones first.
    fn ntile(
        &mut self,
        ctx: &ExecContext<'_>,
        rows: &mut PartitionRows,
        frames: &Frames,
        out: &mut ColumnBuilder,
    ) -> Result<()> {
        let row = frames.row();
        if row == 0 {
            let buckets = self.integer(frames, 0);
            if buckets.is_some_and(|buckets| buckets <= 0) {
                return Err(Error::new(
                    SqlState::INVALID_ARGUMENT_FOR_NTILE_FUNCTION,
                    "argument of ntile must be greater than zero",
                ));
            }
            self.buckets = buckets.map(|buckets| buckets as usize);
        }
        let Some(buckets) = self.buckets else {
            out.push_null();
            return Ok(());
        };
        let total = rows.total(ctx)?;
        let (size, larger) = (total / buckets, total % buckets);
        let of_larger = larger * (size + 1);
        let bucket =
            if row < of_larger { row / (size + 1) } else { larger + (row - of_larger) / size.max(1) };
        out.push_i32(bucket as i32 + 1);
        Ok(())
    }

    /// `lag` and `lead`: value, distance (1), what stands for rows outside (NULL).
    fn shifted(
        &mut self,
        ctx: &ExecContext<'_>,
        rows: &mut PartitionRows,
        frames: &Frames,
        direction: i64,
        out: &mut ColumnBuilder,
    ) -> Result<()> {
        let distance = if self.count < 2 { Some(1) } else { self.integer(frames, 1) };
        let Some(distance) = distance else {
            out.push_null();
            return Ok(());
        };
        let target = (frames.row() as i64).saturating_add(distance.saturating_mul(direction));
        if let Ok(target) = usize::try_from(target)
            && rows.has(ctx, target)?
        {
            return self.push_at(rows, Some(target), out);
        }
        if self.count < 3 {
            out.push_null();
        } else {
            let view = frames.view();
            out.push_from(&view.columns[self.first + 2], view.position(frames.row()));
        }
        Ok(())
    }

    fn nth_value(&mut self, rows: &PartitionRows, frames: &Frames, out: &mut ColumnBuilder) -> Result<()> {
        let Some(number) = self.integer(frames, 1) else {
            out.push_null();
            return Ok(());
        };
        if number <= 0 {
            return Err(Error::new(
                SqlState::INVALID_ARGUMENT_FOR_NTH_VALUE_FUNCTION,
                "argument of nth_value must be greater than zero",
            ));
        }
        let mut left = number as usize - 1;
        let mut found = None;
        for (start, end) in frames.ranges() {
            if left < end - start {
                found = Some(start + left);
                break;
            }
            left -= end - start;
        }
        self.push_at(rows, found, out)
    }
}

/// How far back from its row a `lag` or `lead` may look, when that is the same for all rows.
fn reach_back(args: &[Expr], direction: i64) -> Option<usize> {
    let distance = match args.get(1) {
        None => 1,
        Some(Expr::Constant { value, .. }) => value.as_i64()?,
        Some(_) => return None,
    };
    usize::try_from(distance.checked_mul(-direction)?.max(0)).ok()
}
