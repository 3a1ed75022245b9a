//! Ordered-set aggregates: percentile_cont, percentile_disc, mode. Rows come in the order of WITHIN GROUP.

use std::sync::Arc;

use ochre_base::{Error, Result, SqlState};
use ochre_types::{ArrayValue, Column, Datum, Interval, SqlType, compare, datetime};

use super::Fold;
use crate::EvalContext;
use crate::errors::wrong_form;

/// What is asked of a group's ordered values.
#[derive(Debug, Clone, Copy)]
pub(super) enum Question {
    Mode,
    /// The first value at or beyond the fraction.
    Discrete,
    /// Interpolated between neighbours.
    Continuous,
}

/// The values of a group, and what its direct argument says.
#[derive(Debug, Clone, Default)]
pub(super) struct Ordered {
    values: Vec<Datum>,
    fractions: Fractions,
}

/// The direct argument: one fraction or an array of them.
#[derive(Debug, Clone)]
pub(super) enum Fractions {
    One(Option<f64>),
    Many(Arc<ArrayValue>),
}

impl Default for Fractions {
    fn default() -> Fractions {
        Fractions::One(None)
    }
}

impl Fractions {
    pub(super) fn new(value: &Datum) -> Result<Fractions> {
        match value {
            Datum::Null => Ok(Fractions::One(None)),
            Datum::Float64(fraction) => Ok(Fractions::One(Some(checked(*fraction)?))),
            Datum::Array(fractions) => {
                for fraction in &fractions.elements {
                    if let Datum::Float64(fraction) = fraction {
                        checked(*fraction)?;
                    }
                }
                Ok(Fractions::Many(fractions.clone()))
            }
            _ => Err(wrong_form("a fraction")),
        }
    }
}

fn checked(fraction: f64) -> Result<f64> {
    if (0.0..=1.0).contains(&fraction) {
        return Ok(fraction);
    }
    Err(Error::new(
        SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
        format!("percentile value {fraction} is not between 0 and 1"),
    ))
}

pub(super) struct OrderedSet {
    pub question: Question,
    pub element: SqlType,
}

impl Fold for OrderedSet {
    type State = Ordered;

    fn add(&self, state: &mut Ordered, args: &[Arc<Column>], row: usize) -> Result<usize> {
        if args[0].is_null(row) {
            return Ok(0);
        }
        let value = args[0].datum(row).detached();
        let bytes = size_of::<Datum>() + value.as_bytes().map_or(0, <[u8]>::len);
        state.values.push(value);
        Ok(bytes)
    }

    fn join(&self, _state: &mut Ordered, _later: Ordered) -> Result<()> {
        Err(Error::internal("ordered sets cannot be merged"))
    }

    fn answer_for(&self, state: &mut Ordered, direct: &[Datum]) -> Result<()> {
        if let [fractions] = direct {
            state.fractions = Fractions::new(fractions)?;
        }
        Ok(())
    }

    fn result(&self, state: &Ordered, _ctx: &EvalContext<'_>) -> Result<Datum> {
        let Ordered { values, fractions } = state;
        if values.is_empty() {
            return Ok(Datum::Null);
        }
        match self.question {
            Question::Mode => Ok(self.mode(values)),
            Question::Discrete => self.each(fractions, |fraction| Ok(discrete(values, fraction))),
            Question::Continuous => self.each(fractions, |fraction| continuous(values, fraction)),
        }
    }
}

impl OrderedSet {
    /// The most frequent value; of several, the first.
    fn mode(&self, values: &[Datum]) -> Datum {
        let order = self.element.order();
        let runs = values.chunk_by(|a, b| compare::equal_datums(a, b, order));
        let longest = runs.fold(&values[..0], |best, run| if run.len() > best.len() { run } else { best });
        longest.first().cloned().unwrap_or(Datum::Null)
    }

    fn each(&self, fractions: &Fractions, at: impl Fn(f64) -> Result<Datum>) -> Result<Datum> {
        match fractions {
            Fractions::One(None) => Ok(Datum::Null),
            Fractions::One(Some(fraction)) => at(*fraction),
            Fractions::Many(array) => {
                let one = |fraction: &Datum| match fraction {
                    Datum::Float64(fraction) => at(*fraction),
                    _ => Ok(Datum::Null),
                };
                let elements = array.elements.iter().map(one).collect::<Result<_>>()?;
                let dimensions = array.dimensions.clone();
                Ok(Datum::Array(Arc::new(ArrayValue { element: self.element, dimensions, elements })))
            }
        }
    }
}

fn discrete(values: &[Datum], fraction: f64) -> Datum {
    let row = (fraction * values.len() as f64).ceil() as usize;
    values[row.max(1) - 1].clone()
}

fn continuous(values: &[Datum], fraction: f64) -> Result<Datum> {
    let place = fraction * (values.len() - 1) as f64;
    let (low, high) = (place.floor() as usize, place.ceil() as usize);
    if low == high {
        return Ok(values[low].clone());
    }
    let share = place - low as f64;
    match (&values[low], &values[high]) {
        (Datum::Float64(a), Datum::Float64(b)) => Ok(Datum::Float64(a + share * (b - a))),
        (Datum::Interval(a), Datum::Interval(b)) => {
            let step: Interval = datetime::interval_mul(datetime::interval_sub(*b, *a)?, share)?;
            Ok(Datum::Interval(datetime::interval_add(*a, step)?))
        }
        _ => Err(wrong_form("float8 or interval")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NoSession;

    fn ask(question: Question, fraction: f64) -> Datum {
        let values: Vec<Datum> = [1.0, 2.0, 2.0, 4.0].map(Datum::Float64).to_vec();
        let session = NoSession::default();
        let set = OrderedSet { question, element: SqlType::FLOAT8 };
        let mut state = Ordered { values, ..Ordered::default() };
        set.answer_for(&mut state, &[Datum::Float64(fraction)]).unwrap();
        set.result(&state, &EvalContext::new(&session)).unwrap()
    }

    #[test]
    fn percentiles() {
        assert_eq!(ask(Question::Mode, 0.0), Datum::Float64(2.0));
        assert_eq!(ask(Question::Discrete, 0.0), Datum::Float64(1.0));
        assert_eq!(ask(Question::Discrete, 0.5), Datum::Float64(2.0));
        assert_eq!(ask(Question::Discrete, 0.9), Datum::Float64(4.0));
        assert_eq!(ask(Question::Continuous, 0.75), Datum::Float64(2.5));
        assert_eq!(ask(Question::Continuous, 1.0), Datum::Float64(4.0));
        assert!(Fractions::new(&Datum::Float64(1.5)).is_err());
    }
}
