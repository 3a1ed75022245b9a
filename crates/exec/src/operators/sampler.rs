//! TABLESAMPLE: which rows of a table a scan takes.
//!
//! A row or a block is taken when the hash of its place and the seed is below a bound: with the same seed a scan takes the
//! same places each time, and what one row's chance decides says nothing of another's.

use ochre_base::{Error, Result, RowId, SqlState};
use ochre_sql::physical::{SampleClause, SampleMethod};
use ochre_types::Datum;

use crate::ExecContext;

/// A clause at run time.
pub struct Sampling {
    clause: SampleClause,
    /// Chosen once for an execution that has no REPEATABLE.
    random_seed: Option<u64>,
    chosen: Option<Sampler>,
}

/// A bound and a seed.
#[derive(Clone, Copy)]
pub struct Sampler {
    method: SampleMethod,
    /// Hashes below it are taken; all are when there is none.
    bound: Option<u64>,
    seed: u64,
}

impl Sampling {
    /// Samples as a clause says.
    pub fn new(clause: &SampleClause) -> Sampling {
        Sampling { clause: clause.clone(), random_seed: None, chosen: None }
    }

    /// What this run of the scan takes.
    ///
    /// # Errors
    /// 2202H and 2202G for values that are no percentage and no seed.
    pub fn sampler(&mut self, ctx: &ExecContext<'_>) -> Result<Sampler> {
        if let Some(sampler) = self.chosen {
            return Ok(sampler);
        }
        let percent = match ctx.eval_value(&self.clause.percent)? {
            Datum::Float32(percent) => percent,
            _ => return Err(invalid_argument("TABLESAMPLE parameter cannot be null")),
        };
        let seed = match &self.clause.seed {
            None => *self.random_seed.get_or_insert_with(|| {
                let mut bytes = [0; 8];
                ctx.temp().env().random.fill(&mut bytes);
                u64::from_le_bytes(bytes)
            }),
            Some(seed) => match ctx.eval_value(seed)? {
                Datum::Float64(seed) => seed.to_bits(),
                _ => {
                    return Err(Error::new(
                        SqlState::INVALID_TABLESAMPLE_REPEAT,
                        "TABLESAMPLE REPEATABLE parameter cannot be null",
                    ));
                }
            },
        };
        if !(0.0..=100.0).contains(&percent) {
            return Err(invalid_argument("sample percentage must be between 0 and 100"));
        }
        let share = f64::from(percent) / 100.0;
        let bound = (share < 1.0).then_some((share * 2f64.powi(64)) as u64);
        let sampler = Sampler { method: self.clause.method, bound, seed: mixed(seed) };
        self.chosen = Some(sampler);
        Ok(sampler)
    }

    /// Values may be others in the next run.
    pub fn restart(&mut self) {
        self.chosen = None;
    }
}

impl Sampler {
    /// Whether a block may hold rows that are taken.
    pub fn wants_block(self, block: u32) -> bool {
        match self.method {
            SampleMethod::System => self.takes(u64::from(block)),
            SampleMethod::Bernoulli => true,
        }
    }

    /// Whether a row of such a block is taken.
    pub fn wants_row(self, row: RowId) -> bool {
        match self.method {
            SampleMethod::System => true,
            SampleMethod::Bernoulli => self.takes(row.to_u64()),
        }
    }

    /// Whether a row that has no place is taken, by its number.
    pub fn wants_number(self, number: u64) -> bool {
        self.takes(number)
    }

    fn takes(self, place: u64) -> bool {
        self.bound.is_none_or(|bound| mixed(place ^ self.seed) < bound)
    }
}

/// A number each bit of which depends on every bit of the other (the finalizer of splitmix64).
fn mixed(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ mixed >> 31
}

fn invalid_argument(message: &str) -> Error {
    Error::new(SqlState::INVALID_TABLESAMPLE_ARGUMENT, message)
}
