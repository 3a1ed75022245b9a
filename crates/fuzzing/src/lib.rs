//! What the tests with random input share: numbers from a seed, and a campaign that makes inputs and says how to make a
//! failing one again.
//!
//! A campaign is short and the same on every machine unless the environment asks for more:
//! `OCHRE_FUZZ_SECONDS=600` looks for that long from a new seed, `OCHRE_FUZZ_SEED=N` begins at that one.

use std::fmt::{Debug, Display, Formatter};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::str::FromStr;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The seed of a run that nobody asked to be different.
const USUAL_SEED: u64 = 1;

/// Random numbers that a seed determines (xorshift): good enough to pick places, no good for secrets.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// The sequence of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Random {
        Random(seed | 1)
    }

    /// A number below `limit`; 0 when there is none.
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit.max(1) as u64) as usize
    }

    /// One of a list.
    ///
    /// # Panics
    /// When the list is empty.
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    /// A sequence that goes its own way from here.
    #[must_use]
    pub fn fork(&mut self) -> Random {
        Random::new((self.below(1 << 32) as u64) << 20)
    }
}

/// Random inputs, one after the other, and where the run stands; as text the seed and the number of inputs.
#[derive(Debug)]
pub struct Campaign {
    /// What the inputs are made of.
    pub random: Random,
    seed: u64,
    inputs: u64,
    limit: Limit,
}

#[derive(Debug)]
enum Limit {
    Inputs(u64),
    Until(Instant),
}

impl Campaign {
    /// A run of `usual` inputs, unless the environment says otherwise.
    ///
    /// # Panics
    /// When the environment's values are no numbers.
    #[must_use]
    pub fn new(usual: u64) -> Campaign {
        let limit = match environment("OCHRE_FUZZ_SECONDS") {
            Some(seconds) => Limit::Until(Instant::now() + Duration::from_secs(seconds)),
            None => Limit::Inputs(usual),
        };
        let seed = environment("OCHRE_FUZZ_SEED").unwrap_or_else(|| match limit {
            Limit::Inputs(_) => USUAL_SEED,
            // A long run looks for what is new.
            Limit::Until(_) => {
                SystemTime::now().duration_since(UNIX_EPOCH).map_or(USUAL_SEED, |time| time.as_nanos() as u64)
            }
        });
        Campaign { random: Random::new(seed), seed, inputs: 0, limit }
    }

    /// Counts an input to come; `false` when the run is over.
    pub fn goes_on(&mut self) -> bool {
        let more = match self.limit {
            Limit::Inputs(usual) => self.inputs < usual,
            Limit::Until(end) => Instant::now() < end,
        };
        self.inputs += u64::from(more);
        more
    }

    /// Makes inputs and checks them until the run is over. A panic is passed on when the input that caused it is shown.
    pub fn run<I: Debug>(mut self, mut make: impl FnMut(&mut Random) -> I, mut check: impl FnMut(&I)) {
        while self.goes_on() {
            let input = make(&mut self.random);
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| check(&input))) {
                eprintln!("{self}: {input:?}");
                resume_unwind(panic);
            }
        }
        println!("{self}");
    }
}

impl Display for Campaign {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        write!(f, "seed {}, {} inputs", self.seed, self.inputs)
    }
}

fn environment<T: FromStr<Err: Debug>>(name: &str) -> Option<T> {
    std::env::var(name).ok().map(|value| value.parse().unwrap_or_else(|error| panic!("{name}: {error:?}")))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn a_seed_makes_the_same_numbers_and_forks() {
        let numbers = |mut random: Random| (0..9).map(|_| random.below(1000)).collect::<Vec<_>>();
        assert_eq!(numbers(Random::new(7)), numbers(Random::new(7)));
        assert_ne!(numbers(Random::new(7)), numbers(Random::new(9)));
        let mut random = Random::new(7);
        assert_ne!(numbers(random.fork()), numbers(random.fork()));
        assert_eq!(random.below(0), 0);
    }

    #[test]
    fn a_panic_ends_the_run() {
        let checked = Cell::new(0);
        let campaign = Campaign { random: Random::new(1), seed: 1, inputs: 0, limit: Limit::Inputs(100) };
        let check = |_: &usize| {
            checked.set(checked.get() + 1);
            assert!(checked.get() < 10, "the tenth is wrong");
        };
        let run = catch_unwind(AssertUnwindSafe(|| campaign.run(|random| random.below(5), check)));
        assert!(run.is_err());
        assert_eq!(checked.get(), 10);
    }

    #[test]
    fn a_run_ends_after_its_inputs() {
        let mut campaign = Campaign { random: Random::new(1), seed: 1, inputs: 0, limit: Limit::Inputs(3) };
        assert_eq!((0..9).filter(|_| campaign.goes_on()).count(), 3);
        assert_eq!(campaign.to_string(), "seed 1, 3 inputs");
    }
}
