//! A database in this process.

use std::path::Path;
use std::sync::Arc;

use ochre_base::{Error, Result};
use ochre_engine::{
    CommandTag, Instance, InstanceConfig, OutputColumn, Progress, Session, Sink, TransactionStatus, text_row,
};
use ochre_env::Env;
use ochre_types::{Batch, FormatContext};

use super::client::{Client, CopySource, Output, is_numeric};
use crate::configuration;

/// A session of an instance that this process has open.
pub(crate) struct Embedded {
    instance: Arc<Instance>,
    session: Session,
    database: String,
    user: String,
}

impl Embedded {
    /// Opens a data directory, making it if it is not there.
    ///
    /// # Errors
    /// As opening an instance and a session.
    pub(crate) fn open(path: &Path, database: &str, user: &str) -> Result<Embedded> {
        let settings = configuration::read(path, &[])?;
        let storage = configuration::storage(&settings);
        let config = InstanceConfig { storage, settings, ..InstanceConfig::default() };
        let instance = Instance::open(Env::os(), path, config)?;
        let session = instance.session(database, user)?;
        Ok(Embedded { instance, session, database: database.to_string(), user: user.to_string() })
    }
}

impl Client for Embedded {
    fn run(&mut self, sql: &str, output: &mut dyn Output, copy: &mut CopySource<'_>) -> Result<()> {
        let mut sink = Adapter { output };
        let mut progress = self.session.simple_query(sql, &mut sink);
        while matches!(progress, Ok(Progress::CopyIn)) {
            progress = copy_in(&mut self.session, &mut sink, copy);
        }
        let gate = self.session.take_gate();
        let durable = self.instance.transactions().wal().flush_to(gate);
        progress.and(durable)
    }

    fn status(&self) -> TransactionStatus {
        self.session.status()
    }

    fn switch_database(&mut self, database: &str) -> Result<()> {
        self.session = self.instance.session(database, &self.user)?;
        self.database = database.to_string();
        Ok(())
    }

    fn names(&self) -> (&str, &str) {
        (&self.database, &self.user)
    }

    fn close(self: Box<Self>) -> Result<()> {
        drop(self.session);
        self.instance.close()
    }
}

/// Feeds a COPY. What comes after an error is read all the same: it is data, and no statements.
fn copy_in(session: &mut Session, sink: &mut Adapter<'_>, copy: &mut CopySource<'_>) -> Result<Progress> {
    let mut failed = None;
    while let Some(data) = copy()? {
        if failed.is_none() {
            failed = session.copy_data(&data).err();
        }
    }
    match failed {
        Some(error) => Err(error),
        None => session.copy_done(sink),
    }
}

/// Hands an engine's results to the shell as text.
struct Adapter<'a> {
    output: &'a mut dyn Output,
}

impl Sink for Adapter<'_> {
    fn row_shape(&mut self, columns: &Arc<[OutputColumn]>) -> Result<()> {
        let columns = columns.iter().map(|column| (column.name.to_string(), is_numeric(column.ty.oid)));
        self.output.columns(columns.collect());
        Ok(())
    }

    fn rows(&mut self, batch: &Batch, columns: &[OutputColumn], format: &FormatContext) -> Result<()> {
        for row in batch.active() {
            self.output.row(text_row(batch, row, columns, format)?);
        }
        Ok(())
    }

    fn complete(&mut self, tag: CommandTag) {
        self.output.complete(&tag.to_string());
    }

    fn notice(&mut self, notice: &Error) {
        self.output.notice(notice);
    }

    fn copy_data(&mut self, data: &[u8]) -> Result<()> {
        self.output.copy_data(data)
    }
}
