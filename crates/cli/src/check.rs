//! `ochre check`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use clap::Args;
use ochre_base::Result;
use ochre_engine::InstanceConfig;
use ochre_engine::check::check_directory;
use ochre_engine::settings::Settings;
use ochre_env::Env;

use crate::configuration;

/// The arguments of `ochre check`.
#[derive(Debug, Args)]
pub(crate) struct Check {
    /// The data directory. No server may have it open; one that was not shut down cleanly is recovered first.
    #[arg(value_name = "DIR", default_value = "ochre-data")]
    data: PathBuf,
    /// A setting by PostgreSQL's name; may be given more than once.
    #[arg(short = 'c', value_name = "NAME=VALUE")]
    set: Vec<String>,
}

impl Check {
    /// Prints each problem on standard output and a summary after them; the exit status is 1 when there are problems.
    ///
    /// # Errors
    /// When it is no data directory, or another process has it open.
    pub(crate) fn run(self) -> Result<ExitCode> {
        check(&self.data, configuration::read(&self.data, &self.set)?)
    }
}

/// Checks a directory, prints what is wrong and a summary, and says so by the exit status.
///
/// # Errors
/// When it is no data directory, or another process has it open.
pub(crate) fn check(data: &Path, settings: Settings) -> Result<ExitCode> {
    let started = Instant::now();
    let config =
        InstanceConfig { storage: configuration::storage(&settings), settings, ..InstanceConfig::default() };
    let summary = check_directory(&Env::os(), data, config, &mut |problem| println!("{problem}"))?;
    println!(
        "checked {} databases, {} relations, {} pages, {} rows, {} index entries in {:.1} s: {}",
        summary.databases,
        summary.relations,
        summary.pages,
        summary.rows,
        summary.index_entries,
        started.elapsed().as_secs_f64(),
        match summary.problems {
            0 => "no problems".to_string(),
            1 => "1 problem".to_string(),
            problems => format!("{problems} problems"),
        }
    );
    Ok(if summary.problems == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
