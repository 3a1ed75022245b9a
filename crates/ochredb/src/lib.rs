//! OchreDB in a Rust program: a PostgreSQL-compatible relational database in the same process.
//!
//! ```
//! use ochredb::Database;
//!
//! let database = Database::in_memory()?;
//! let mut connection = database.connect()?;
//! connection.execute("CREATE TABLE people (id int PRIMARY KEY, name text)", &[])?;
//! connection.execute("INSERT INTO people VALUES ($1, $2)", &[&1, &"Ada"])?;
//! let rows = connection.query("SELECT name FROM people WHERE id = $1", &[&1])?;
//! assert_eq!(rows[0].get::<String>(0)?, "Ada");
//! # Ok::<(), ochredb::Error>(())
//! ```
//!
//! A directory that this library wrote opens as a server (`ochre serve`) and the other way round, not at the same time.

mod connection;
mod row;
mod value;

use std::path::Path;
use std::sync::Arc;

use ochre_engine::{Instance, InstanceConfig};
use ochre_env::Env;

pub use connection::{Connection, Statement, Transaction};
pub use ochre_base::{Error, SqlState};
pub use row::{Column, Row};
pub use value::{FromValue, ToValue};

/// The result of every call that can fail.
pub type Result<T> = std::result::Result<T, Error>;

/// An open database directory. Cheap to clone; closed when the last clone and connection are gone.
///
/// ```
/// let database = ochredb::Database::in_memory()?;
/// let other = database.clone();
/// std::thread::spawn(move || other.connect().map(|_| ())).join().unwrap()?;
/// # Ok::<(), ochredb::Error>(())
/// ```
#[derive(Clone)]
pub struct Database {
    instance: Arc<Instance>,
}

impl Database {
    /// Opens the database in a directory, making it if it is not there. Pages are cached in 64 MiB of memory.
    ///
    /// # Errors
    /// 55006 when another process has it open, XX001 when it is damaged, 58030 when it cannot be read or written.
    ///
    /// ```
    /// let directory = tempfile::tempdir().unwrap();
    /// let database = ochredb::Database::open(directory.path().join("data"))?;
    /// database.close()?;
    /// # Ok::<(), ochredb::Error>(())
    /// ```
    pub fn open(path: impl AsRef<Path>) -> Result<Database> {
        let instance = Instance::open(Env::os(), path.as_ref(), InstanceConfig::default())?;
        Ok(Database { instance })
    }

    /// A database that lives in memory and is gone when the last handle is.
    ///
    /// # Errors
    /// 53200 when there is no memory.
    ///
    /// ```
    /// let database = ochredb::Database::in_memory()?;
    /// # Ok::<(), ochredb::Error>(())
    /// ```
    pub fn in_memory() -> Result<Database> {
        let instance = Instance::open(Env::in_memory(), Path::new("/ochredb"), InstanceConfig::default())?;
        Ok(Database { instance })
    }

    /// A connection to the database `postgres` as the role `postgres`.
    ///
    /// # Errors
    /// 53300 when there are too many connections.
    ///
    /// ```
    /// let mut connection = ochredb::Database::in_memory()?.connect()?;
    /// assert_eq!(connection.query("SELECT 1 + 1", &[])?[0].get::<i32>(0)?, 2);
    /// # Ok::<(), ochredb::Error>(())
    /// ```
    pub fn connect(&self) -> Result<Connection> {
        self.connect_to("postgres", "postgres")
    }

    /// A connection to a database as a role.
    ///
    /// # Errors
    /// 3D000 for an unknown database, 28000 for an unknown role.
    ///
    /// ```
    /// let database = ochredb::Database::in_memory()?;
    /// assert_eq!(database.connect_to("nowhere", "postgres").err().unwrap().sqlstate().as_str(), "3D000");
    /// # Ok::<(), ochredb::Error>(())
    /// ```
    pub fn connect_to(&self, database: &str, role: &str) -> Result<Connection> {
        Ok(Connection::new(self.instance.session(database, role)?))
    }

    /// Closes the database: everything is on disk when it returns. Connections that are still open fail from now on.
    ///
    /// # Errors
    /// 58030 when the last pages cannot be written; nothing committed is lost, and the next open recovers.
    ///
    /// ```
    /// ochredb::Database::in_memory()?.close()?;
    /// # Ok::<(), ochredb::Error>(())
    /// ```
    pub fn close(&self) -> Result<()> {
        self.instance.close()
    }
}
