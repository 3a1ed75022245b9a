//! `ochre inspect`.

use std::io::{BufRead, BufWriter, Read, Write};

use clap::{Args, Subcommand};
use ochre_base::{Error, Result, SqlState};
use ochre_parser::inspect;

/// The arguments of `ochre inspect`.
#[derive(Debug, Args)]
pub(crate) struct Inspect {
    #[command(subcommand)]
    subject: Subject,
}

#[derive(Debug, Subcommand)]
enum Subject {
    /// Parse the statements of standard input and print them again.
    Sql {
        /// Read lines `{"sql": "…"}` and answer each with a line of JSON.
        #[arg(long)]
        json: bool,
    },
}

impl Inspect {
    /// Reads standard input to its end.
    ///
    /// # Errors
    /// A syntax error (without `--json`), or input or output that fails.
    pub(crate) fn run(self) -> Result<()> {
        let Subject::Sql { json } = self.subject;
        let mut out = BufWriter::new(std::io::stdout().lock());
        if json {
            for line in std::io::stdin().lock().lines() {
                let line = line.map_err(broken)?;
                if !line.trim().is_empty() {
                    writeln!(out, "{}", inspect::answer_line(&line)).map_err(broken)?;
                }
            }
        } else {
            let mut sql = String::new();
            std::io::stdin().lock().read_to_string(&mut sql).map_err(broken)?;
            for statement in ochre_parser::parse(&sql)? {
                writeln!(out, "{};", statement.stmt).map_err(broken)?;
            }
        }
        out.flush().map_err(broken)
    }
}

fn broken(error: std::io::Error) -> Error {
    Error::new(SqlState::IO_ERROR, error.to_string())
}
