//! `ochre`: the server and its tools in one binary.

mod check;
mod configuration;
mod end_log;
mod inspect;
mod serve;
mod shell;
mod torture;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use ochre_env::memory::Counting;

/// Many small blocks from many threads: glibc's allocator costs more of a short statement's time. Counted, so that a
/// statement fails before the process runs out of memory.
#[global_allocator]
static ALLOCATOR: Counting<mimalloc::MiMalloc> = Counting(mimalloc::MiMalloc);

/// OchreDB: a PostgreSQL-compatible relational database.
#[derive(Debug, Parser)]
#[command(name = "ochre", version)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve a data directory to PostgreSQL clients.
    Serve(serve::Serve),
    /// Type statements, or run a script from standard input, on a data directory.
    Shell(shell::Shell),
    /// Check a data directory: pages, indexes against tables, catalog against files.
    Check(check::Check),
    /// Say where a log is damaged before its end, and, if asked to, go on without what is behind.
    EndLog(end_log::EndLog),
    /// Show what is on disk, or what the parser makes of a statement.
    Inspect(inspect::Inspect),
    /// Prove that crashes lose nothing: random work on simulated files, cut from power, recovered and compared.
    Torture(torture::Torture),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Some(Command::Serve(serve)) => serve.run().map(|()| ExitCode::SUCCESS),
        Some(Command::Shell(shell)) => shell.run(),
        Some(Command::Check(check)) => check.run(),
        Some(Command::EndLog(end_log)) => end_log.run(),
        Some(Command::Inspect(inspect)) => inspect.run().map(|()| ExitCode::SUCCESS),
        Some(Command::Torture(torture)) => torture.run(),
        None => shell::Shell::on_default_directory().run(),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            report(&error);
            ExitCode::FAILURE
        }
    }
}

/// Prints an error with what helps.
fn report(error: &ochre_base::Error) {
    eprintln!("ochre: {}", error.message());
    let fields = error.fields();
    for (label, text) in [("DETAIL", &fields.detail), ("HINT", &fields.hint)] {
        if let Some(text) = text {
            eprintln!("{label}:  {text}");
        }
    }
}
