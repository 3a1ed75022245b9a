//! `ochre shell`: statements typed in, or read from a script, over an embedded database.

mod commands;
mod input;
mod table;

use std::io::{BufRead, IsTerminal, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use ochre_base::{Error, Result, SqlState};
use ochre_engine::{CommandTag, Instance, InstanceConfig, OutputColumn, Progress, Session, Sink};
use ochre_env::Env;
use ochre_types::{Batch, FormatContext, print_text_at, type_info};
use rustyline::error::ReadlineError;

use table::Table;

/// Open the shell on a database directory.
#[derive(Debug, clap::Args)]
pub struct Shell {
    /// The data directory.
    #[arg(default_value = "./ochre-data")]
    target: String,
    /// Run this command and exit.
    #[arg(short, long)]
    command: Option<String>,
}

/// What the shell does with results.
struct Screen {
    expanded: bool,
    timing: bool,
    table: Table,
    showing: bool,
    copying: bool,
}

impl Sink for Screen {
    fn row_shape(&mut self, columns: &Arc<[OutputColumn]>) -> Result<()> {
        self.showing = true;
        self.table = Table {
            names: columns.iter().map(|column| column.name.to_string()).collect(),
            numeric: columns
                .iter()
                .map(|column| type_info(column.ty.oid).is_some_and(|info| info.category == b'N'))
                .collect(),
            rows: Vec::new(),
        };
        Ok(())
    }

    fn rows(&mut self, batch: &Batch, columns: &[OutputColumn], format: &FormatContext) -> Result<()> {
        for row in batch.active() {
            let cells = columns.iter().enumerate().map(|(i, column)| {
                let values = &batch.columns[i];
                (!values.is_null(row)).then(|| {
                    let mut text = Vec::new();
                    print_text_at(column.ty, values, row, format, &mut text);
                    String::from_utf8_lossy(&text).into_owned()
                })
            });
            self.table.rows.push(cells.collect());
        }
        Ok(())
    }

    fn complete(&mut self, tag: CommandTag) {
        if std::mem::take(&mut self.showing) {
            let table = std::mem::take(&mut self.table);
            print!("{}", if self.expanded { table.draw_expanded() } else { table.draw() });
            // A query's tag says no more than the count of its rows.
            if tag.to_string().starts_with("SELECT") || tag == CommandTag::Plain("SHOW") {
                return;
            }
        }
        println!("{tag}");
    }

    fn empty(&mut self) {}

    fn notice(&mut self, notice: &Error) {
        eprintln!("{}:  {}", notice.fields().severity.as_str(), notice.message());
    }

    fn setting(&mut self, _name: &str, _value: &str) {}

    fn copy_in(&mut self, _columns: usize) {
        self.copying = true;
    }

    fn copy_out(&mut self, _columns: usize) {}

    fn copy_data(&mut self, data: &[u8]) -> Result<()> {
        std::io::stdout()
            .write_all(data)
            .map_err(|error| Error::new(SqlState::IO_ERROR, format!("could not write to stdout: {error}")))
    }

    fn copy_out_done(&mut self) {}
}

/// Where lines come from.
enum Input {
    Terminal(Box<rustyline::DefaultEditor>),
    Lines(Box<dyn BufRead>),
}

impl Input {
    /// The next line; `None` at the end.
    fn line(&mut self, continued: bool) -> Result<Option<String>> {
        let failed = |error: &dyn std::fmt::Display| {
            Error::new(SqlState::IO_ERROR, format!("could not read input: {error}"))
        };
        match self {
            Input::Terminal(editor) => match editor.readline(if continued { "  ...> " } else { "ochre> " }) {
                Ok(line) => Ok(Some(line)),
                Err(ReadlineError::Interrupted) => Ok(Some(String::new())),
                Err(ReadlineError::Eof) => Ok(None),
                Err(error) => Err(failed(&error)),
            },
            Input::Lines(reader) => {
                let mut line = String::new();
                match reader.read_line(&mut line) {
                    Ok(0) => Ok(None),
                    Ok(_) => Ok(Some(line.trim_end_matches(['\n', '\r']).to_string())),
                    Err(error) => Err(failed(&error)),
                }
            }
        }
    }

    fn remember(&mut self, statement: &str) {
        if let Input::Terminal(editor) = self {
            // A history that cannot be kept is no reason to stop.
            let _ = editor.add_history_entry(statement);
        }
    }
}

struct Running {
    session: Session,
    screen: Screen,
    failed: bool,
    quit: bool,
}

impl Shell {
    /// What `ochre` alone opens.
    pub fn on_default_directory() -> Shell {
        Shell { target: "./ochre-data".to_string(), command: None }
    }

    /// Runs the shell to its end. An error in a script makes the exit status 3, as psql's ON_ERROR_STOP does.
    ///
    /// # Errors
    /// When the database cannot be opened or the input cannot be read.
    pub fn run(self) -> Result<std::process::ExitCode> {
        if self.target.contains("://") {
            return Err(
                Error::unsupported("a shell on a server's URL").hint("Use psql for a running server.")
            );
        }
        let path = PathBuf::from(&self.target);
        let instance = Instance::open(Env::os(), &path, InstanceConfig::default())?;
        let session = instance.session("postgres", "postgres")?;
        let interactive = self.command.is_none() && std::io::stdin().is_terminal();
        let mut running = Running {
            session,
            screen: Screen {
                expanded: false,
                timing: interactive,
                table: Table::default(),
                showing: false,
                copying: false,
            },
            failed: false,
            quit: false,
        };
        if let Some(command) = self.command {
            running.read(&mut Input::Lines(Box::new(std::io::Cursor::new(command + "\n;\n"))), false)?;
        } else if interactive {
            println!("{}\nType \\? for help, \\q to leave.", ochre_engine::version());
            let history = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".ochre_history"));
            let mut editor = rustyline::DefaultEditor::new()
                .map_err(|error| Error::new(SqlState::IO_ERROR, format!("no terminal: {error}")))?;
            if let Some(history) = &history {
                let _ = editor.load_history(history);
            }
            let mut input = Input::Terminal(Box::new(editor));
            running.read(&mut input, true)?;
            if let (Input::Terminal(mut editor), Some(history)) = (input, history) {
                let _ = editor.save_history(&history);
            }
        } else {
            let lines = Box::new(std::io::BufReader::new(std::io::stdin()));
            running.read(&mut Input::Lines(lines), false)?;
        }
        let failed = running.failed && !interactive;
        drop(running);
        instance.close()?;
        Ok(if failed { std::process::ExitCode::from(3) } else { std::process::ExitCode::SUCCESS })
    }
}

impl Running {
    /// Reads statements and commands until the end, or the first error of a script.
    fn read(&mut self, input: &mut Input, interactive: bool) -> Result<()> {
        let mut pending = String::new();
        while !self.quit && (interactive || !self.failed) {
            let Some(line) = input.line(!pending.trim().is_empty())? else {
                break;
            };
            if pending.trim().is_empty() && line.trim_start().starts_with('\\') {
                input.remember(&line);
                self.command(line.trim())?;
                pending.clear();
                continue;
            }
            pending.push_str(&line);
            pending.push('\n');
            while let Some(end) = input::statement_end(&pending) {
                let statement: String = pending.drain(..end).collect();
                input.remember(statement.trim());
                self.statement(statement.trim(), input)?;
                if self.failed && !interactive {
                    return Ok(());
                }
            }
        }
        if !pending.trim().is_empty() && !self.failed {
            self.statement(pending.trim(), input)?;
        }
        Ok(())
    }

    /// Runs one statement and shows what it gives.
    fn statement(&mut self, sql: &str, input: &mut Input) -> Result<()> {
        if sql == ";" {
            return Ok(());
        }
        let started = Instant::now();
        let mut result = self.session.simple_query(sql, &mut self.screen);
        if matches!(result, Ok(Progress::CopyIn)) {
            result = self.copy(input)?;
        }
        let gate = self.session.take_gate();
        let durable = self.session.instance().transactions().wal().flush_to(gate);
        match result.and(durable.map(|()| Progress::Done)) {
            Ok(_) => {
                if self.screen.timing {
                    println!("Time: {:.3} ms", started.elapsed().as_secs_f64() * 1000.0);
                }
            }
            Err(error) => {
                self.failed = true;
                show_error(&error, sql);
            }
        }
        Ok(())
    }

    /// Feeds a COPY from the lines that follow, up to `\.`.
    fn copy(&mut self, input: &mut Input) -> Result<Result<Progress>> {
        while let Some(line) = input.line(true)? {
            if line == "\\." {
                break;
            }
            if let Err(error) = self.session.copy_data(format!("{line}\n").as_bytes()) {
                return Ok(Err(error));
            }
        }
        Ok(self.session.copy_done(&mut self.screen))
    }
}

/// Shows an error as psql does, with the line it is in.
fn show_error(error: &Error, sql: &str) {
    let fields = error.fields();
    eprintln!("{}:  {}", fields.severity.as_str(), fields.message);
    if let Some(position) =
        fields.position.filter(|position| *position <= sql.len() && sql.is_char_boundary(*position))
    {
        let start = sql[..position].rfind('\n').map_or(0, |i| i + 1);
        let line = sql[start..].lines().next().unwrap_or_default();
        let number = sql[..start].matches('\n').count() + 1;
        let prefix = format!("LINE {number}: ");
        eprintln!("{prefix}{line}");
        eprintln!("{}^", " ".repeat(prefix.len() + sql[start..position].chars().count()));
    }
    for (label, text) in [("DETAIL", &fields.detail), ("HINT", &fields.hint), ("CONTEXT", &fields.context)] {
        if let Some(text) = text {
            eprintln!("{label}:  {text}");
        }
    }
}
