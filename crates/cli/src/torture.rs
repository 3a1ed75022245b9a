//! `ochre torture`.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use ochre_base::Result;
use ochre_torture::{Campaign, Outcome};

/// The arguments of `ochre torture`.
#[derive(Debug, Args)]
pub(crate) struct Torture {
    /// The first seed; each further run has the next one. A seed is one run exactly.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Begin no run after so many minutes.
    #[arg(long)]
    minutes: Option<f64>,
    /// Runs at most; 1 when no minutes are given.
    #[arg(long)]
    runs: Option<u64>,
}

impl Torture {
    /// Prints what was done, or the first failure with its seed; the exit status is 1 then.
    pub(crate) fn run(self) -> Result<ExitCode> {
        let started = Instant::now();
        let time = self.minutes.map(|minutes| Duration::from_secs_f64(minutes.max(0.0) * 60.0));
        let runs = self.runs.unwrap_or(if time.is_some() { u64::MAX } else { 1 });
        let mut all = Outcome::default();
        let mut done = 0;
        while done < runs && time.is_none_or(|time| started.elapsed() < time) {
            let seed = self.seed.wrapping_add(done);
            match Campaign::default().run(seed) {
                Ok(outcome) => all.add(&outcome),
                Err(failure) => {
                    println!("{failure}");
                    println!("again: ochre torture --seed {seed}");
                    return Ok(ExitCode::FAILURE);
                }
            }
            done += 1;
        }
        let last = self.seed.wrapping_add(done.saturating_sub(1));
        println!(
            "seeds {} to {last}, {:.0} s: {all}: nothing was lost",
            self.seed,
            started.elapsed().as_secs_f64()
        );
        Ok(ExitCode::SUCCESS)
    }
}
