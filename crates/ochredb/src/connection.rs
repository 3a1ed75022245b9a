//! Connections, transactions and prepared statements.

use std::sync::Arc;

use ochre_engine::{CommandTag, ExecuteOutcome, OutputColumn, Progress, Session, Sink};
use ochre_types::{Batch, FormatContext};

use crate::{Error, Result, Row, SqlState, ToValue};

/// A connection: statements one after the other. Use one for each thread.
///
/// ```
/// let mut connection = ochredb::Database::in_memory()?.connect()?;
/// connection.execute_script("CREATE TABLE t (a int); INSERT INTO t VALUES (1), (2)")?;
/// assert_eq!(connection.execute("DELETE FROM t", &[])?, 2);
/// # Ok::<(), ochredb::Error>(())
/// ```
pub struct Connection {
    session: Session,
    next_statement: u64,
}

/// A prepared statement of one connection.
///
/// ```
/// let mut connection = ochredb::Database::in_memory()?.connect()?;
/// let double = connection.prepare("SELECT $1::int * 2")?;
/// for i in 0..3 {
///     assert_eq!(connection.query_prepared(&double, &[&i])?[0].get::<i32>(0)?, i * 2);
/// }
/// # Ok::<(), ochredb::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Statement {
    name: String,
}

/// A transaction, rolled back when it is dropped without a commit.
///
/// ```
/// let mut connection = ochredb::Database::in_memory()?.connect()?;
/// connection.execute("CREATE TABLE t (a int)", &[])?;
/// {
///     let mut transaction = connection.transaction()?;
///     transaction.execute("INSERT INTO t VALUES (1)", &[])?;
/// }
/// assert!(connection.query("SELECT a FROM t", &[])?.is_empty());
/// # Ok::<(), ochredb::Error>(())
/// ```
pub struct Transaction<'c> {
    connection: &'c mut Connection,
    done: bool,
}

/// What a call gathers.
#[derive(Default)]
struct Gathered {
    shape: Arc<[OutputColumn]>,
    rows: Vec<Row>,
    affected: u64,
}

impl Sink for Gathered {
    fn row_shape(&mut self, columns: &Arc<[OutputColumn]>) -> Result<()> {
        self.shape = Arc::clone(columns);
        Ok(())
    }

    fn rows(&mut self, batch: &Batch, columns: &[OutputColumn], _format: &FormatContext) -> Result<()> {
        for row in batch.active() {
            let values = batch.columns[..columns.len()].iter().map(|column| column.datum(row)).collect();
            self.rows.push(Row::new(Arc::clone(&self.shape), values));
        }
        Ok(())
    }

    fn complete(&mut self, tag: CommandTag) {
        self.affected = tag.rows();
    }

    fn copy_data(&mut self, _data: &[u8]) -> Result<()> {
        Err(Error::unsupported("COPY TO STDOUT through this call"))
    }
}

impl Connection {
    pub(crate) fn new(session: Session) -> Connection {
        Connection { session, next_statement: 1 }
    }

    /// Runs a statement and returns the number of rows it was about.
    ///
    /// # Errors
    /// The statement's.
    pub fn execute(&mut self, sql: &str, parameters: &[&dyn ToValue]) -> Result<u64> {
        Ok(self.run(sql, parameters)?.affected)
    }

    /// Runs a statement and returns its rows.
    ///
    /// # Errors
    /// The statement's.
    pub fn query(&mut self, sql: &str, parameters: &[&dyn ToValue]) -> Result<Vec<Row>> {
        Ok(self.run(sql, parameters)?.rows)
    }

    /// Runs several statements, separated by semicolons, in one transaction unless they say otherwise.
    ///
    /// # Errors
    /// That of the first statement that fails.
    pub fn execute_script(&mut self, sql: &str) -> Result<()> {
        let progress = self.session.simple_query(sql, &mut Gathered::default())?;
        if progress == Progress::CopyIn {
            self.session.copy_fail("not supported here", &mut Gathered::default())?;
        }
        self.wait()
    }

    /// Prepares a statement.
    ///
    /// # Errors
    /// Those of parsing and binding.
    pub fn prepare(&mut self, sql: &str) -> Result<Statement> {
        let name = format!("ochredb_{}", self.next_statement);
        self.next_statement += 1;
        let prepared = self.session.parse(&name, sql, &[]);
        self.session.sync(&mut Gathered::default())?;
        prepared.map(|()| Statement { name })
    }

    /// Runs a prepared statement and returns its rows.
    ///
    /// # Errors
    /// The statement's.
    pub fn query_prepared(&mut self, statement: &Statement, parameters: &[&dyn ToValue]) -> Result<Vec<Row>> {
        Ok(self.run_prepared(&statement.name, parameters)?.rows)
    }

    /// Runs a prepared statement and returns the number of rows it was about.
    ///
    /// # Errors
    /// The statement's.
    pub fn execute_prepared(&mut self, statement: &Statement, parameters: &[&dyn ToValue]) -> Result<u64> {
        Ok(self.run_prepared(&statement.name, parameters)?.affected)
    }

    /// Begins a transaction.
    ///
    /// # Errors
    /// 25001 when one is open already.
    pub fn transaction(&mut self) -> Result<Transaction<'_>> {
        self.execute_script("BEGIN")?;
        Ok(Transaction { connection: self, done: false })
    }

    fn run(&mut self, sql: &str, parameters: &[&dyn ToValue]) -> Result<Gathered> {
        let parsed = self.session.parse("", sql, &[]);
        if let Err(error) = parsed {
            self.session.sync(&mut Gathered::default())?;
            return Err(error);
        }
        self.run_prepared("", parameters)
    }

    fn run_prepared(&mut self, name: &str, parameters: &[&dyn ToValue]) -> Result<Gathered> {
        let mut gathered = Gathered::default();
        let run = self.run_portal(name, parameters, &mut gathered);
        let synced = self.session.sync(&mut Gathered::default());
        run?;
        synced?;
        self.wait()?;
        Ok(gathered)
    }

    fn run_portal(&mut self, name: &str, parameters: &[&dyn ToValue], gathered: &mut Gathered) -> Result<()> {
        let shape = self.session.describe_statement(name)?;
        if shape.parameters.len() != parameters.len() {
            return Err(Error::new(
                SqlState::PROTOCOL_VIOLATION,
                format!(
                    "the statement has {} parameters, {} were given",
                    shape.parameters.len(),
                    parameters.len()
                ),
            ));
        }
        let mut values = Vec::with_capacity(parameters.len());
        for (parameter, ty) in parameters.iter().zip(&shape.parameters) {
            values.push(parameter.to_value(*ty)?);
        }
        gathered.shape = shape.columns.unwrap_or_default();
        self.session.bind_values("", name, values)?;
        match self.session.execute("", 0, gathered)? {
            ExecuteOutcome::CopyIn => {
                self.session.copy_fail("not supported here", gathered)?;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Waits until what was said is durable.
    fn wait(&mut self) -> Result<()> {
        let gate = self.session.take_gate();
        self.session.instance().transactions().wal().flush_to(gate)
    }
}

impl Transaction<'_> {
    /// Commits; what was done is durable when it returns.
    ///
    /// # Errors
    /// When the commit fails: everything is rolled back then.
    pub fn commit(mut self) -> Result<()> {
        self.done = true;
        self.connection.execute_script("COMMIT")
    }

    /// Rolls back.
    ///
    /// # Errors
    /// None that are expected.
    pub fn rollback(mut self) -> Result<()> {
        self.done = true;
        self.connection.execute_script("ROLLBACK")
    }
}

impl std::ops::Deref for Transaction<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.connection
    }
}

impl std::ops::DerefMut for Transaction<'_> {
    fn deref_mut(&mut self) -> &mut Connection {
        self.connection
    }
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        if !self.done {
            // Rolling back cannot fail; were it to, the session's end rolls back too.
            let _ = self.connection.execute_script("ROLLBACK");
        }
    }
}
