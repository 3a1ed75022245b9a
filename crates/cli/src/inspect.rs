//! `ochre inspect`.

use std::io::{BufRead, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, Subcommand};
use ochre_base::{BlockNo, Error, Fork, Lsn, Result, SqlState};
use ochre_engine::check::open_existing;
use ochre_engine::{Instance, InstanceConfig, inspect};
use ochre_env::Env;

/// The arguments of `ochre inspect`.
#[derive(Debug, Args)]
pub(crate) struct Inspect {
    #[command(subcommand)]
    subject: Subject,
}

#[derive(Debug, Subcommand)]
enum Subject {
    /// Print a page: of a file, or of a relation of a directory that nobody has open.
    Page {
        /// A file `DIR/base/DATABASE/FILE`, or a relation's name.
        #[arg(value_name = "FILE|REL")]
        subject: String,
        /// The page's number in the file, from 0.
        block: u32,
        /// The relation's data directory.
        #[arg(long, short = 'D', value_name = "DIR", default_value = "ochre-data")]
        data: PathBuf,
        /// The relation's database.
        #[arg(long, short, value_name = "NAME", default_value = "postgres")]
        database: String,
        /// Which of the relation's files.
        #[arg(long, value_enum, default_value_t = ForkName::Main)]
        fork: ForkName,
    },
    /// Print the log, a line a record and a line a page of it.
    Wal {
        /// The data directory; it may be in use.
        #[arg(value_name = "DIR", default_value = "ochre-data")]
        data: PathBuf,
        /// Begin with the record at this position, in hexadecimal digits; by default the redo point.
        #[arg(long, value_name = "LSN", value_parser = parse_lsn)]
        from: Option<Lsn>,
        /// Print at most so many records.
        #[arg(long, value_name = "COUNT")]
        limit: Option<u64>,
    },
    /// Print an index of a directory that nobody has open: its figures and a line a page, or the entries of one page.
    Btree {
        /// The data directory.
        #[arg(value_name = "DIR")]
        data: PathBuf,
        /// The index, with its schema or without.
        #[arg(value_name = "REL")]
        relation: String,
        /// Print the entries of this page.
        #[arg(long)]
        block: Option<u32>,
        /// The index's database.
        #[arg(long, short, value_name = "NAME", default_value = "postgres")]
        database: String,
    },
    /// Parse the statements of standard input and print them again.
    Sql {
        /// Read lines `{"sql": "…"}` and answer each with a line of JSON.
        #[arg(long)]
        json: bool,
    },
}

/// A relation's files by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum ForkName {
    Main,
    Hist,
    Free,
    Vis,
}

impl ForkName {
    fn fork(self) -> Fork {
        match self {
            ForkName::Main => Fork::Main,
            ForkName::Hist => Fork::History,
            ForkName::Free => Fork::FreeSpace,
            ForkName::Vis => Fork::Visibility,
        }
    }
}

impl Inspect {
    /// Prints the subject on standard output.
    ///
    /// # Errors
    /// What reading the subject fails with; a syntax error (without `--json`); output that fails.
    pub(crate) fn run(self) -> Result<()> {
        let mut out = BufWriter::new(std::io::stdout().lock());
        match self.subject {
            Subject::Page { subject, block, data, database, fork } => {
                let (root, key) = match ochre_storage::inspect::page_of_file(Path::new(&subject), block) {
                    Some(found) => found,
                    None => {
                        let instance = open(&data)?;
                        let (relation, _) = inspect::relation(&instance, &database, &subject)?;
                        // What recovery has made of pages is in memory until it is closed.
                        instance.close()?;
                        (data, relation.fork(fork.fork()).page(BlockNo(block)))
                    }
                };
                write!(out, "{}", inspect::page(&Env::os(), &root, key)?).map_err(broken)?;
            }
            Subject::Wal { data, from, limit } => wal(&mut out, &data, from, limit)?,
            Subject::Btree { data, relation, block, database } => {
                let instance = open(&data)?;
                let printed = inspect::btree(&instance, &database, &relation, block);
                instance.close()?;
                write!(out, "{}", printed?).map_err(broken)?;
            }
            Subject::Sql { json: true } => {
                for line in std::io::stdin().lock().lines() {
                    let line = line.map_err(broken)?;
                    if !line.trim().is_empty() {
                        writeln!(out, "{}", ochre_parser::inspect::answer_line(&line)).map_err(broken)?;
                    }
                }
            }
            Subject::Sql { json: false } => {
                let mut sql = String::new();
                std::io::stdin().lock().read_to_string(&mut sql).map_err(broken)?;
                for statement in ochre_parser::parse(&sql)? {
                    writeln!(out, "{};", statement.stmt).map_err(broken)?;
                }
            }
        }
        out.flush().map_err(broken)
    }
}

fn open(data: &Path) -> Result<Arc<Instance>> {
    open_existing(&Env::os(), data, InstanceConfig::default())
}

fn wal(out: &mut impl Write, data: &Path, from: Option<Lsn>, limit: Option<u64>) -> Result<()> {
    let mut written = Ok(());
    // What `CURRENT` says comes first and is no record.
    let mut left = limit.map(|limit| limit + 1);
    inspect::wal(&Env::os(), data, from, &mut |text| {
        if left == Some(0) {
            return false;
        }
        left = left.map(|left| left - 1);
        written = out.write_all(text.as_bytes());
        written.is_ok()
    })?;
    written.map_err(broken)
}

/// A log position: sixteen hexadecimal digits as they are printed, fewer, or PostgreSQL's two parts with a slash.
fn parse_lsn(text: &str) -> std::result::Result<Lsn, String> {
    let parsed = match text.split_once('/') {
        Some((high, low)) => u32::from_str_radix(high, 16)
            .and_then(|high| Ok(u64::from(high) << 32 | u64::from(u32::from_str_radix(low, 16)?))),
        None => u64::from_str_radix(text, 16),
    };
    parsed.map(Lsn).map_err(|error| error.to_string())
}

fn broken(error: std::io::Error) -> Error {
    Error::new(SqlState::IO_ERROR, error.to_string())
}
