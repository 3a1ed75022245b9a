//! CREATE, DROP and RENAME DATABASE.

use ochre_base::{Error, Result, Severity, SqlState};
use ochre_catalog::{DatabaseDescriptor, oids};
use ochre_parser::ast::{CreateDatabaseStmt, DefValue, DropDatabaseStmt};

use crate::authority::forbidden;
use crate::errors;
use crate::session::Session;
use crate::tag::CommandTag;

/// How often, and at what intervals, DROP DATABASE looks whether other sessions have gone.
const CLOSE_ROUNDS: u32 = 500;
const CLOSE_PAUSE: std::time::Duration = std::time::Duration::from_millis(10);

impl Session {
    pub(crate) fn put_database(&self, database: DatabaseDescriptor) -> Result<()> {
        let transaction = self.transaction.as_ref().expect("N1: a statement runs in a transaction");
        self.state.catalog.borrow_mut().put_database(&self.state.database, transaction, database)
    }

    fn lock_database_name(&self, name: &str) -> Result<()> {
        let process = self.state.process_id;
        self.state.instance.locks().lock_name(&self.txn().waiter(), process, oids::PG_DATABASE, name)
    }

    pub(crate) fn create_database(&mut self, statement: &CreateDatabaseStmt) -> Result<CommandTag> {
        self.prevent_in_block("CREATE DATABASE")?;
        let name = statement.name.as_str();
        let mut owner = self.state.user_oid();
        for option in &statement.options {
            let value = option.value.as_ref().map(DefValue::as_text).unwrap_or_default();
            match option.name.as_str() {
                _ if option.value.is_none() => {}
                "owner" => {
                    let catalog = self.state.catalog();
                    let role = catalog.role_named(&value).ok_or_else(|| {
                        Error::new(SqlState::UNDEFINED_OBJECT, format!("role \"{value}\" does not exist"))
                    })?;
                    owner = role.oid;
                }
                "template" => self.check_template(&value)?,
                "encoding" => {
                    let encoding = value.to_ascii_lowercase().replace(['-', '_'], "");
                    if !matches!(encoding.as_str(), "utf8" | "unicode" | "6") {
                        return Err(Error::unsupported("an encoding other than UTF8"));
                    }
                }
                "locale" | "lc_collate" | "lc_ctype" | "builtin_locale" => {
                    if !matches!(value.as_str(), "C.UTF-8" | "C.utf8" | "C" | "POSIX") {
                        return Err(Error::unsupported(format!("locale \"{value}\"")));
                    }
                }
                "locale_provider" if matches!(value.as_str(), "builtin" | "libc") => {}
                "tablespace" if value == "pg_default" => {}
                "connection_limit" if value == "-1" => {}
                "allow_connections" | "is_template" | "connection_limit" | "strategy" | "oid"
                | "tablespace" | "locale_provider" | "icu_locale" | "icu_rules" | "collation_version" => {
                    return Err(Error::unsupported(format!("CREATE DATABASE option {}", option.name)));
                }
                other => {
                    return Err(Error::new(
                        SqlState::SYNTAX_ERROR,
                        format!("option \"{other}\" not recognized"),
                    ));
                }
            }
        }
        let catalog = self.state.catalog();
        if !self.state.is_superuser()
            && !catalog.role(self.state.user_oid()).is_some_and(|role| role.create_database)
        {
            return Err(forbidden("permission denied to create database"));
        }
        self.require_may_become(owner)?;
        self.lock_database_name(name)?;
        if self.state.catalog().database_named(name).is_some() {
            return Err(Error::new(
                SqlState::DUPLICATE_DATABASE,
                format!("database \"{name}\" already exists"),
            ));
        }
        let oid = self.new_oid();
        let instance = self.state.instance.shared();
        let transaction = self.transaction.as_mut().expect("N1: a statement runs in a transaction");
        instance.create_database_files(transaction, oid)?;
        self.put_database(DatabaseDescriptor {
            oid,
            name: name.into(),
            owner,
            is_template: false,
            allow_connections: true,
            connection_limit: -1,
            comment: None,
            acl: None,
        })?;
        Ok(CommandTag::Plain("CREATE DATABASE"))
    }

    /// A template must exist and be empty: its relations are not copied.
    fn check_template(&self, name: &str) -> Result<()> {
        let catalog = self.state.catalog();
        let template = catalog.database_named(name).ok_or_else(|| {
            Error::new(SqlState::INVALID_CATALOG_NAME, format!("template database \"{name}\" does not exist"))
        })?;
        if template.oid == oids::TEMPLATE0 {
            return Ok(());
        }
        let template = self.state.instance.open_database(name)?.catalog();
        if template.relations().any(|relation| !relation.builtin) {
            return Err(Error::unsupported("CREATE DATABASE from a template with relations of its own"));
        }
        Ok(())
    }

    pub(crate) fn drop_database(&mut self, statement: &DropDatabaseStmt) -> Result<CommandTag> {
        self.prevent_in_block("DROP DATABASE")?;
        let tag = CommandTag::Plain("DROP DATABASE");
        let name = statement.name.as_str();
        let mut force = false;
        for option in &statement.options {
            match option.name.as_str() {
                "force" => force = true,
                other => {
                    return Err(Error::new(
                        SqlState::SYNTAX_ERROR,
                        format!("unrecognized DROP DATABASE option \"{other}\""),
                    ));
                }
            }
        }
        self.lock_database_name(name)?;
        let catalog = self.state.catalog();
        let Some(database) = catalog.database_named(name) else {
            if !statement.if_exists {
                return Err(errors::undefined_database(name));
            }
            self.state.notice(Error::with_severity(
                Severity::Notice,
                SqlState::INVALID_CATALOG_NAME,
                format!("database \"{name}\" does not exist, skipping"),
            ));
            return Ok(tag);
        };
        self.require_owner_of_database(database)?;
        let oid = database.oid;
        if oid == self.state.database.oid() {
            return Err(Error::new(SqlState::OBJECT_IN_USE, "cannot drop the currently open database"));
        }
        if database.is_template {
            return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, "cannot drop a template database"));
        }
        self.close_database(oid, name, force)?;
        let instance = self.state.instance.shared();
        let transaction = self.transaction.as_mut().expect("N1: a statement runs in a transaction");
        transaction.at_end(move |ended| match ended {
            // Nobody who has found it before may connect to it any more: it stays closed.
            ochre_txn::Ended::Committed(_) => instance.forget_database(oid),
            _ => instance.reopen_database(oid),
        });
        if self.state.instance.prepared().any_in(oid) {
            return Err(Error::new(
                SqlState::OBJECT_IN_USE,
                format!("database \"{name}\" is being used by prepared transactions"),
            ));
        }
        let files = self.state.instance.storage().files().list()?;
        let transaction = self.transaction.as_mut().expect("N1: a statement runs in a transaction");
        for key in files.into_iter().filter(|key| key.database == oid) {
            transaction.note_dropped(key);
        }
        let transaction = self.transaction.as_ref().expect("N1: a statement runs in a transaction");
        self.state.catalog.borrow_mut().drop_database(&self.state.database, transaction, oid)?;
        Ok(tag)
    }

    /// Lets nobody connect to a database any more. Waits for its sessions to go, for as long as PostgreSQL does, and ends
    /// them if `force` says so.
    fn close_database(&self, database: ochre_base::Oid, name: &str, force: bool) -> Result<()> {
        let instance = &self.state.instance;
        let mut users = Vec::new();
        for _ in 0..CLOSE_ROUNDS {
            match instance.close_database(database) {
                Ok(()) => return Ok(()),
                Err(found) => users = found,
            }
            if force {
                let reason = || crate::activity::ended_by(SqlState::ADMIN_SHUTDOWN, "administrator command");
                users.iter().for_each(|activity| activity.terminate(reason()));
            }
            self.state.interrupt.check()?;
            instance.storage().env().wait.run(|| std::thread::sleep(CLOSE_PAUSE));
        }
        let others = match users.len() {
            1 => "There is 1 other session using the database.".to_string(),
            count => format!("There are {count} other sessions using the database."),
        };
        let message = format!("database \"{name}\" is being accessed by other users");
        Err(Error::new(SqlState::OBJECT_IN_USE, message).detail(others))
    }

    pub(crate) fn rename_database(&self, old: &str, new: &str) -> Result<CommandTag> {
        self.lock_database_name(new)?;
        let catalog = self.state.catalog();
        let database = catalog.database_named(old).ok_or_else(|| errors::undefined_database(old))?;
        if catalog.database_named(new).is_some() {
            return Err(Error::new(
                SqlState::DUPLICATE_DATABASE,
                format!("database \"{new}\" already exists"),
            ));
        }
        self.require_owner_of_database(database)?;
        if !self.state.is_superuser()
            && !catalog.role(self.state.user_oid()).is_some_and(|role| role.create_database)
        {
            return Err(forbidden("permission denied to rename database"));
        }
        if database.oid == self.state.database.oid() {
            return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, "current database cannot be renamed"));
        }
        let mut database = (**database).clone();
        database.name = new.into();
        self.put_database(database)?;
        Ok(CommandTag::Plain("ALTER DATABASE"))
    }
}
