//! `ochre end-log`: how to go on from a log that is damaged before its end, without what is behind the damage.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use ochre_base::Result;
use ochre_engine::InstanceConfig;
use ochre_engine::check::open_existing;
use ochre_env::Env;
use ochre_storage::inspect::{LogDamage, find_log_damage};

use crate::check::check;
use crate::configuration;

/// The arguments of `ochre end-log`.
#[derive(Debug, Args)]
pub(crate) struct EndLog {
    /// The data directory. No server may have it open.
    #[arg(value_name = "DIR", default_value = "ochre-data")]
    data: PathBuf,
    /// End the log at the damage for good. Without this, nothing is changed.
    #[arg(long)]
    yes: bool,
    /// A setting by PostgreSQL's name; may be given more than once.
    #[arg(short = 'c', value_name = "NAME=VALUE")]
    set: Vec<String>,
}

impl EndLog {
    /// Says where the log is damaged and whether it can end there, and ends it if that was asked for; then checks the
    /// directory. The exit status is 0 when the log is sound, or was ended and the check found nothing.
    ///
    /// # Errors
    /// When it is no data directory, another process has it open, or the log is damaged before its last checkpoint.
    pub(crate) fn run(self) -> Result<ExitCode> {
        let settings = configuration::read(&self.data, &self.set)?;
        let Some(damage) = find_log_damage(&Env::os(), &self.data, &ochre_txn::dropped_by)? else {
            println!("the log is not damaged before its end");
            return Ok(ExitCode::SUCCESS);
        };
        self.describe(&damage);
        if !self.yes || !damage.pages_ahead.is_empty() || !damage.files_gone.is_empty() {
            return Ok(ExitCode::FAILURE);
        }
        let mut storage = configuration::storage(&settings);
        storage.end_damaged_log_at = Some(damage.at);
        let config = InstanceConfig { storage, settings: settings.clone(), ..InstanceConfig::default() };
        open_existing(&Env::os(), &self.data, config)?.close()?;
        println!("the log ends there now");
        check(&self.data, settings)
    }

    fn describe(&self, damage: &LogDamage) {
        println!(
            "the log is damaged at {:016x}: the record at {:016x} tells that it was whole there",
            damage.at.0, damage.proof.0
        );
        if let Some(last) = damage.last {
            println!("the last record before the damage is at {:016x}", last.0);
        }
        if let [first, ..] = damage.files_gone.as_slice() {
            println!(
                "{} files were removed behind the damage, the first is base/{}/{}",
                damage.files_gone.len(),
                first.database,
                first.file
            );
            println!("the log cannot end there: tables would be without their files; restore a backup");
            return;
        }
        match damage.pages_ahead.as_slice() {
            [] => {
                println!("no page on disk holds anything from behind the damage");
                println!(
                    "WARNING: to end the log there loses every transaction that committed behind it, answered or not"
                );
                if !self.yes {
                    println!(
                        "nothing was changed; copy the directory, then: ochre end-log --yes {}",
                        self.data.display()
                    );
                }
            }
            ahead => {
                println!(
                    "{} pages hold changes from behind the damage, the first is {}",
                    ahead.len(),
                    ahead[0]
                );
                println!("the log cannot end there: parts of transactions would stay; restore a backup");
            }
        }
    }
}
