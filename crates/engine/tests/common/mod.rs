//! What the tests of this crate share: a sink that collects text, and ways to run statements.

use std::path::Path;
use std::sync::Arc;

use ochre_base::{Error, Result};
use ochre_engine::{CommandTag, Instance, InstanceConfig, OutputColumn, Session, Sink, text_row};
use ochre_env::Env;
use ochre_env::sim::{SimClock, SimFileSystem, SimRandom};
use ochre_storage::StorageConfig;
use ochre_types::{Batch, FormatContext};

/// Collects rows as text.
#[derive(Default)]
pub struct Rows {
    pub rows: Vec<Vec<Option<String>>>,
    pub tags: Vec<String>,
    pub notices: Vec<String>,
    pub copied: Vec<u8>,
}

impl Sink for Rows {
    fn row_shape(&mut self, _columns: &Arc<[OutputColumn]>) -> Result<()> {
        Ok(())
    }
    fn rows(&mut self, batch: &Batch, columns: &[OutputColumn], format: &FormatContext) -> Result<()> {
        for row in batch.active() {
            self.rows.push(text_row(batch, row, columns, format)?);
        }
        Ok(())
    }
    fn complete(&mut self, tag: CommandTag) {
        self.tags.push(tag.to_string());
    }
    fn empty(&mut self) {
        self.tags.push(String::new());
    }
    fn notice(&mut self, notice: &Error) {
        self.notices.push(notice.message().to_string());
    }
    fn copy_data(&mut self, data: &[u8]) -> Result<()> {
        self.copied.extend_from_slice(data);
        Ok(())
    }
}

/// A machine that can lose power.
pub struct Machine {
    pub fs: Arc<SimFileSystem>,
    pub env: Env,
}

impl Machine {
    pub fn new(seed: u64) -> Machine {
        let fs = Arc::new(SimFileSystem::with_crashes(seed));
        let env = Env {
            fs: fs.clone(),
            clock: Arc::new(SimClock::new()),
            random: Arc::new(SimRandom::new(seed)),
            ..Env::os()
        };
        Machine { fs, env }
    }
}

/// A database over the given files.
pub fn open(env: &Env) -> Arc<Instance> {
    Instance::open(env.clone(), Path::new("/data"), InstanceConfig::default()).expect("opens")
}

/// A database over the given files, with nothing in the background.
pub fn open_alone(env: &Env) -> Arc<Instance> {
    let storage = StorageConfig { background_threads: false, ..StorageConfig::default() };
    let config = InstanceConfig { storage, background: false, ..InstanceConfig::default() };
    Instance::open(env.clone(), Path::new("/data"), config).expect("opens")
}

/// Makes everything durable that has been done so far.
pub fn flush(instance: &Instance) {
    let wal = instance.transactions().wal();
    wal.flush_to(wal.position()).expect("flushes");
}

/// Runs statements that succeed.
pub fn run(session: &mut Session, sql: &str) -> Rows {
    let mut rows = Rows::default();
    if let Err(error) = session.simple_query(sql, &mut rows) {
        panic!("{sql}: {error:?}");
    }
    rows
}

/// Runs a statement that fails.
pub fn fails(session: &mut Session, sql: &str) -> Error {
    session.simple_query(sql, &mut Rows::default()).expect_err(sql)
}

/// The rows of a query, values joined by bars.
pub fn table(session: &mut Session, sql: &str) -> Vec<String> {
    run(session, sql)
        .rows
        .into_iter()
        .map(|row| row.into_iter().map(|v| v.unwrap_or("NULL".into())).collect::<Vec<_>>().join("|"))
        .collect()
}
