//! Variance, standard deviation, covariance, correlation and regression.
//!
//! Over floats the sums of squares are kept by Youngs and Cramer's recurrence, over exact types as exact sums, both as
//! PostgreSQL does, so that the digits agree.

use std::any::TypeId;
use std::sync::Arc;

use ochre_base::Result;
use ochre_types::{Column, Datum, Numeric};

use super::Fold;
use crate::EvalContext;
use crate::errors::wrong_form;

/// What is asked of the first two moments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    Average,
    VariancePopulation,
    VarianceSample,
    DeviationPopulation,
    DeviationSample,
}

impl Moment {
    pub(super) fn named(name: &str) -> Option<Moment> {
        Some(match name {
            "var_pop" => Moment::VariancePopulation,
            "var_samp" | "variance" => Moment::VarianceSample,
            "stddev_pop" => Moment::DeviationPopulation,
            "stddev_samp" | "stddev" => Moment::DeviationSample,
            _ => return None,
        })
    }

    fn is_sample(self) -> bool {
        matches!(self, Moment::VarianceSample | Moment::DeviationSample)
    }

    fn is_deviation(self) -> bool {
        matches!(self, Moment::DeviationPopulation | Moment::DeviationSample)
    }
}

/// A float argument's value.
fn float(column: &Column, row: usize) -> Result<f64> {
    match column.datum(row) {
        Datum::Float64(value) => Ok(value),
        Datum::Float32(value) => Ok(value.into()),
        _ => Err(wrong_form("a float")),
    }
}

/// Moments of floats: count, sum, sum of squared deviations.
pub(super) struct Floats(pub Moment);

#[derive(Clone, Copy, Default)]
pub(super) struct FloatMoments {
    n: f64,
    sum: f64,
    squares: f64,
}

impl Fold for Floats {
    type State = FloatMoments;

    fn transition(&self) -> Option<TypeId> {
        Some(TypeId::of::<FloatMoments>())
    }

    fn add(&self, state: &mut FloatMoments, args: &[Arc<Column>], row: usize) -> Result<usize> {
        if args[0].is_null(row) {
            return Ok(0);
        }
        let value = float(&args[0], row)?;
        let before = *state;
        state.n += 1.0;
        state.sum += value;
        if before.n > 0.0 {
            let deviation = value * state.n - state.sum;
            state.squares += deviation * deviation / (state.n * before.n);
            if state.sum.is_infinite() || state.squares.is_infinite() {
                if !before.sum.is_infinite() && !value.is_infinite() {
                    return Err(crate::functions::float_overflow());
                }
                state.squares = f64::NAN;
            }
        } else if value.is_nan() || value.is_infinite() {
            state.squares = f64::NAN;
        }
        Ok(0)
    }

    fn join(&self, state: &mut FloatMoments, later: FloatMoments) -> Result<()> {
        if state.n == 0.0 {
            *state = later;
        } else if later.n > 0.0 {
            let n = state.n + later.n;
            let difference = state.sum / state.n - later.sum / later.n;
            let squares = state.squares + later.squares + state.n * later.n * difference * difference / n;
            *state = FloatMoments { n, sum: state.sum + later.sum, squares };
        }
        Ok(())
    }

    fn result(&self, state: &FloatMoments, _ctx: &EvalContext<'_>) -> Result<Datum> {
        let least = if self.0.is_sample() { 2.0 } else { 1.0 };
        if state.n < least {
            return Ok(Datum::Null);
        }
        let value = match self.0 {
            Moment::Average => state.sum / state.n,
            moment if moment.is_sample() => state.squares / (state.n - 1.0),
            _ => state.squares / state.n,
        };
        Ok(Datum::Float64(if self.0.is_deviation() { value.sqrt() } else { value }))
    }
}

/// Moments of integers and numerics.
pub(super) struct Exact(pub Moment);

#[derive(Clone, Default)]
pub(super) struct ExactMoments {
    n: i64,
    /// Sum and sum of squares, none before the first value.
    sums: Option<(Numeric, Numeric)>,
}

impl Fold for Exact {
    type State = ExactMoments;

    fn transition(&self) -> Option<TypeId> {
        Some(TypeId::of::<ExactMoments>())
    }

    fn add(&self, state: &mut ExactMoments, args: &[Arc<Column>], row: usize) -> Result<usize> {
        let value = match args[0].datum(row) {
            Datum::Null => return Ok(0),
            Datum::Numeric(value) => value,
            other => Numeric::from_i64(other.as_i64().ok_or_else(|| wrong_form("a number"))?),
        };
        let square = value.mul(&value)?;
        self.join(state, ExactMoments { n: 1, sums: Some((value, square)) })?;
        Ok(0)
    }

    fn join(&self, state: &mut ExactMoments, later: ExactMoments) -> Result<()> {
        state.n += later.n;
        state.sums = match (state.sums.take(), later.sums) {
            (Some((sum, squares)), Some((sum2, squares2))) => {
                Some((sum.add(&sum2)?, squares.add(&squares2)?))
            }
            (a, b) => a.or(b),
        };
        Ok(())
    }

    fn result(&self, state: &ExactMoments, ctx: &EvalContext<'_>) -> Result<Datum> {
        let least = if self.0.is_sample() { 2 } else { 1 };
        let Some((sum, squares)) = state.sums.as_ref().filter(|_| state.n >= least) else {
            return Ok(Datum::Null);
        };
        if sum.is_nan() || sum.is_infinite() || squares.is_nan() {
            return Ok(Datum::Numeric(Numeric::NAN));
        }
        let n = Numeric::from_i64(state.n);
        let numerator = n.mul(squares)?.sub(&sum.mul(sum)?)?;
        if numerator.compare(&Numeric::ZERO).is_le() {
            return Ok(Datum::Numeric(Numeric::ZERO));
        }
        let divisor = if self.0.is_sample() { Numeric::from_i64(state.n - 1) } else { n.clone() };
        let variance = numerator.div(&n.mul(&divisor)?)?;
        if !self.0.is_deviation() {
            return Ok(Datum::Numeric(variance));
        }
        let scale = variance.scale().unwrap_or(0);
        Ok(Datum::Numeric(variance.sqrt(|| ctx.session.check_interrupts())?.round(scale)?))
    }
}

/// Aggregates of pairs (y, x).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Regression {
    Count,
    SquaresX,
    SquaresY,
    Products,
    AverageX,
    AverageY,
    CovariancePopulation,
    CovarianceSample,
    Correlation,
    Determination,
    Slope,
    Intercept,
}

impl Regression {
    pub(super) fn named(name: &str) -> Option<Regression> {
        Some(match name {
            "regr_count" => Regression::Count,
            "regr_sxx" => Regression::SquaresX,
            "regr_syy" => Regression::SquaresY,
            "regr_sxy" => Regression::Products,
            "regr_avgx" => Regression::AverageX,
            "regr_avgy" => Regression::AverageY,
            "covar_pop" => Regression::CovariancePopulation,
            "covar_samp" => Regression::CovarianceSample,
            "corr" => Regression::Correlation,
            "regr_r2" => Regression::Determination,
            "regr_slope" => Regression::Slope,
            "regr_intercept" => Regression::Intercept,
            _ => return None,
        })
    }
}

#[derive(Clone, Copy, Default)]
pub(super) struct PairMoments {
    n: f64,
    sum_x: f64,
    squares_x: f64,
    sum_y: f64,
    squares_y: f64,
    products: f64,
}

impl Fold for Regression {
    type State = PairMoments;

    fn transition(&self) -> Option<TypeId> {
        Some(TypeId::of::<PairMoments>())
    }

    fn add(&self, state: &mut PairMoments, args: &[Arc<Column>], row: usize) -> Result<usize> {
        if args[0].is_null(row) || args[1].is_null(row) {
            return Ok(0);
        }
        let (y, x) = (float(&args[0], row)?, float(&args[1], row)?);
        let before = *state;
        state.n += 1.0;
        state.sum_x += x;
        state.sum_y += y;
        if before.n > 0.0 {
            let dx = x * state.n - state.sum_x;
            let dy = y * state.n - state.sum_y;
            let scale = 1.0 / (state.n * before.n);
            state.squares_x += dx * dx * scale;
            state.squares_y += dy * dy * scale;
            state.products += dx * dy * scale;
        } else {
            if !x.is_finite() {
                state.squares_x = f64::NAN;
                state.products = f64::NAN;
            }
            if !y.is_finite() {
                state.squares_y = f64::NAN;
                state.products = f64::NAN;
            }
        }
        Ok(0)
    }

    fn join(&self, state: &mut PairMoments, later: PairMoments) -> Result<()> {
        if state.n == 0.0 {
            *state = later;
        } else if later.n > 0.0 {
            let n = state.n + later.n;
            let dx = state.sum_x / state.n - later.sum_x / later.n;
            let dy = state.sum_y / state.n - later.sum_y / later.n;
            let weight = state.n * later.n / n;
            *state = PairMoments {
                n,
                sum_x: state.sum_x + later.sum_x,
                squares_x: state.squares_x + later.squares_x + weight * dx * dx,
                sum_y: state.sum_y + later.sum_y,
                squares_y: state.squares_y + later.squares_y + weight * dy * dy,
                products: state.products + later.products + weight * dx * dy,
            };
        }
        Ok(())
    }

    fn result(&self, s: &PairMoments, _ctx: &EvalContext<'_>) -> Result<Datum> {
        if *self == Regression::Count {
            return Ok(Datum::Int64(s.n as i64));
        }
        if s.n < 1.0 {
            return Ok(Datum::Null);
        }
        let value = match self {
            Regression::Count => None,
            Regression::SquaresX => Some(s.squares_x),
            Regression::SquaresY => Some(s.squares_y),
            Regression::Products => Some(s.products),
            Regression::AverageX => Some(s.sum_x / s.n),
            Regression::AverageY => Some(s.sum_y / s.n),
            Regression::CovariancePopulation => Some(s.products / s.n),
            Regression::CovarianceSample => (s.n >= 2.0).then(|| s.products / (s.n - 1.0)),
            Regression::Correlation => (s.squares_x != 0.0 && s.squares_y != 0.0)
                .then(|| (s.products / (s.squares_x * s.squares_y).sqrt()).clamp(-1.0, 1.0)),
            Regression::Determination => match (s.squares_x == 0.0, s.squares_y == 0.0) {
                (true, _) => None,
                (_, true) => Some(1.0),
                _ => Some(s.products * s.products / (s.squares_x * s.squares_y)),
            },
            Regression::Slope => (s.squares_x != 0.0).then(|| s.products / s.squares_x),
            Regression::Intercept => {
                (s.squares_x != 0.0).then(|| (s.sum_y - s.sum_x * s.products / s.squares_x) / s.n)
            }
        };
        Ok(value.map_or(Datum::Null, Datum::Float64))
    }
}
