//! `ochre`: the server and its tools in one binary.

mod configuration;
mod serve;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Many small blocks from many threads: glibc's allocator costs more of a short statement's time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// OchreDB: a PostgreSQL-compatible relational database.
#[derive(Debug, Parser)]
#[command(name = "ochre", version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve a data directory to PostgreSQL clients.
    Serve(serve::Serve),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Serve(serve) => serve.run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
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
