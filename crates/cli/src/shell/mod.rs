//! `ochre shell`: statements typed in, or read from a script, on a data directory or a server.

mod client;
mod commands;
mod completion;
mod embedded;
mod input;
mod screen;
mod table;
mod target;
mod wire;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Instant;

use ochre_base::{Error, Result, Severity, SqlState};
use ochre_engine::TransactionStatus;

use client::Client;
use completion::{Completion, NAMES_QUERY, Names};
use embedded::Embedded;
use input::{Input, Prompt};
use screen::{Rows, Screen, show, show_error};
use target::{DEFAULT_NAME, Target};
use wire::Wire;

/// The exit status of a script that an error stopped, as psql's with ON_ERROR_STOP.
const SCRIPT_FAILED: u8 = 3;
/// The exit status when the server is gone, as psql's.
const CONNECTION_LOST: u8 = 2;

/// Open the shell on a database directory or a server.
#[derive(Debug, clap::Args)]
pub struct Shell {
    /// A data directory, or a server: postgres://user@host:port/database; ?host=DIR names a socket's directory.
    #[arg(default_value = "./ochre-data", value_name = "DIR|URL")]
    target: String,
    /// Run this command and exit.
    #[arg(short, long)]
    command: Option<String>,
    /// The database, by default the URL's or "postgres".
    #[arg(short, long, value_name = "NAME")]
    database: Option<String>,
}

/// A shell at work.
struct Running {
    client: Box<dyn Client>,
    screen: Screen,
    /// The names for completion; kept new while somebody types.
    names: Option<Rc<std::cell::RefCell<Names>>>,
    failed: bool,
    quit: bool,
    /// The server is gone.
    lost: bool,
}

impl Shell {
    /// What `ochre` alone opens.
    pub fn on_default_directory() -> Shell {
        Shell { target: "./ochre-data".to_string(), command: None, database: None }
    }

    /// Runs the shell to its end. An error in a script makes the exit status 3, a server that is gone 2.
    ///
    /// # Errors
    /// When the database cannot be opened or the input cannot be read.
    pub fn run(self) -> Result<ExitCode> {
        let client: Box<dyn Client> = match Target::parse(&self.target)? {
            Target::Directory(path) => {
                let database = self.database.as_deref().unwrap_or(DEFAULT_NAME);
                Box::new(Embedded::open(&path, database, DEFAULT_NAME)?)
            }
            Target::Server(mut server) => {
                server.database = self.database.unwrap_or(server.database);
                Box::new(Wire::connect(&server)?)
            }
        };
        let interactive = self.command.is_none() && std::io::stdin().is_terminal();
        let mut running = Running {
            client,
            screen: Screen::default(),
            names: None,
            failed: false,
            quit: false,
            lost: false,
        };
        if let Some(command) = self.command {
            running.read(&mut Input::text(command), false)?;
        } else if interactive {
            running.talk()?;
        } else {
            running.read(&mut Input::standard(), false)?;
        }
        let (failed, lost) = (running.failed && !interactive, running.lost);
        running.client.close()?;
        Ok(match (lost, failed) {
            (true, _) => ExitCode::from(CONNECTION_LOST),
            (false, true) => ExitCode::from(SCRIPT_FAILED),
            (false, false) => ExitCode::SUCCESS,
        })
    }
}

impl Running {
    /// Reads from a terminal.
    fn talk(&mut self) -> Result<()> {
        let mut version = Rows::default();
        self.client.run("SELECT version()", &mut version, &mut || Ok(None))?;
        let version = version.0.into_iter().flatten().flatten().next().unwrap_or_default();
        show(&format!("{version}\nType \\? for help, \\q to leave.\n"));
        let names = Rc::default();
        self.names = Some(Rc::clone(&names));
        self.refresh_names();
        let history = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".ochre_history"));
        let mut input = Input::terminal(Completion::new(names), history)?;
        let result = self.read(&mut input, true);
        input.save_history();
        result
    }

    /// Asks for the names that completion offers. A transaction that waits for ROLLBACK has no answer.
    fn refresh_names(&mut self) {
        let Some(names) = self.names.clone().filter(|_| self.client.status() != TransactionStatus::Failed)
        else {
            return;
        };
        let mut rows = Rows::default();
        if self.client.run(NAMES_QUERY, &mut rows, &mut || Ok(None)).is_ok() {
            names.replace(Names::from_rows(&rows.0));
        }
    }

    /// Reads statements and commands until the end, or the first error of a script.
    fn read(&mut self, input: &mut Input, interactive: bool) -> Result<()> {
        let mut pending = String::new();
        while !self.quit && !self.lost && (interactive || !self.failed) {
            if input::is_blank(&pending) {
                pending.clear();
            }
            let prompt = Prompt { continued: !pending.is_empty(), status: self.client.status() };
            let Some(line) = input.line(prompt)? else { break };
            let Some(line) = line else {
                // Interrupted: what was typed so far is dropped.
                pending.clear();
                continue;
            };
            if pending.is_empty() && line.trim_start().starts_with('\\') {
                input.remember(&line);
                self.command(line.trim())?;
                continue;
            }
            pending.push_str(&line);
            pending.push('\n');
            while let Some(end) = input::statement_end(&pending) {
                let statement: String = pending.drain(..end).collect();
                input.remember(statement.trim());
                self.statement(statement.trim(), input)?;
                if self.lost || (self.failed && !interactive) {
                    return Ok(());
                }
            }
        }
        if !self.quit && !self.lost && !input::is_blank(&pending) && (interactive || !self.failed) {
            self.statement(pending.trim(), input)?;
        }
        Ok(())
    }

    /// Runs one statement and shows what it gives. COPY reads its data from `input`.
    fn statement(&mut self, sql: &str, input: &mut Input) -> Result<()> {
        let started = Instant::now();
        let mut unreadable = None;
        let status = self.client.status();
        let result = self.client.run(sql, &mut self.screen, &mut || match input.copy_line(status) {
            Ok(line) => Ok(line),
            Err(error) => {
                unreadable = Some(error.clone());
                Err(error)
            }
        });
        if let Some(error) = unreadable {
            return Err(error);
        }
        match result {
            Ok(()) => {
                if self.screen.timing {
                    show(&format!("Time: {:.3} ms\n", started.elapsed().as_secs_f64() * 1000.0));
                }
                let word = sql.split(|c: char| !c.is_alphabetic()).next().unwrap_or_default().to_lowercase();
                if matches!(word.as_str(), "create" | "alter" | "drop" | "rollback" | "set" | "commit") {
                    self.refresh_names();
                }
            }
            Err(error) => {
                self.failed = true;
                self.screen.clear();
                show_error(&error, sql);
                self.lost = error.fields().severity >= Severity::Fatal;
            }
        }
        Ok(())
    }

    /// Shows something that went wrong in the shell itself.
    fn complain(&mut self, message: &str) {
        self.failed = true;
        eprintln!("{message}");
    }
}

#[cold]
fn unreadable(error: &dyn std::fmt::Display) -> Error {
    Error::new(SqlState::IO_ERROR, format!("could not read input: {error}"))
}
