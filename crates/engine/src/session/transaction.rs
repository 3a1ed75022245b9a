//! Beginning and ending transactions, blocks and savepoints.

use std::sync::Arc;

use ochre_base::{Error, Lsn, Result, Severity, SqlState};
use ochre_catalog::CatalogChange;
use ochre_parser::ast::{IsolationLevel as AstLevel, TransactionModes, TransactionStmt};
use ochre_txn::{IsolationLevel, SavepointDepth, Transaction, TransactionOptions};

use super::catalog::CatalogMark;
use super::{Block, Session};
use crate::notify::Delivery;
use crate::tag::CommandTag;

/// A savepoint of a client's.
pub(crate) struct Savepoint {
    name: Box<str>,
    read_only: bool,
    mark: Mark,
}

/// A point in a transaction, with all that goes back to it.
pub(crate) struct Mark {
    depth: SavepointDepth,
    settings: usize,
    catalog: CatalogMark,
    locks: ochre_txn::locks::LockMark,
    timing: ochre_exec::ConstraintTiming,
    command: ochre_base::CommandId,
    notices: crate::notify::NoticeMark,
}

fn level(level: AstLevel) -> IsolationLevel {
    match level {
        AstLevel::ReadUncommitted => IsolationLevel::ReadUncommitted,
        AstLevel::ReadCommitted => IsolationLevel::ReadCommitted,
        AstLevel::RepeatableRead => IsolationLevel::RepeatableRead,
        AstLevel::Serializable => IsolationLevel::Serializable,
    }
}

impl Session {
    /// Makes sure that there is a transaction: the state Implicit if none was begun.
    pub(crate) fn begin_implicit(&mut self) -> Result<()> {
        if self.block == Block::Idle {
            self.begin_transaction(TransactionModes::default())?;
            self.block = Block::Implicit;
        }
        Ok(())
    }

    pub(crate) fn begin_transaction(&mut self, modes: TransactionModes) -> Result<()> {
        let (isolation, read_only, deferrable, lock_timeout, transaction_timeout) = {
            let settings = self.state.settings.borrow();
            let parsed = settings.parsed();
            let isolation = modes.isolation.map_or(parsed.default_isolation, level);
            let read_only = modes.read_only.unwrap_or(parsed.default_read_only);
            let deferrable = modes.deferrable.unwrap_or(parsed.default_deferrable);
            (isolation, read_only, deferrable, parsed.lock_timeout, parsed.transaction_timeout)
        };
        let transaction = self.state.instance.transactions().begin(TransactionOptions {
            isolation,
            read_only,
            deferrable,
            interrupt: Some(Arc::clone(&self.state.interrupt)),
            lock_timeout,
            remains: self.remains.take(),
        });
        let now = self.state.statement_time.get();
        self.state.transaction_time.set(now);
        self.state.activity.transaction_began(now, transaction_timeout);
        self.transaction = Some(transaction);
        self.state.settings.borrow_mut().report_transaction(isolation.as_str(), read_only, deferrable);
        Ok(())
    }

    /// A transaction statement.
    ///
    /// # Errors
    /// As PostgreSQL's, in its words.
    pub(crate) fn transaction_statement(&mut self, statement: &TransactionStmt) -> Result<CommandTag> {
        match statement {
            TransactionStmt::Begin(modes) => self.begin_block(*modes, "BEGIN"),
            TransactionStmt::Start(modes) => self.begin_block(*modes, "START TRANSACTION"),
            TransactionStmt::Commit { chain } => self.end_block(true, *chain),
            TransactionStmt::Rollback { chain } => self.end_block(false, *chain),
            TransactionStmt::Savepoint(name, _) => self.savepoint(name),
            TransactionStmt::Release(name, _) => self.release(name),
            TransactionStmt::RollbackTo(name, _) => self.rollback_to(name),
            TransactionStmt::Prepare(gid, _) => self.prepare_block(gid),
            TransactionStmt::CommitPrepared(gid, _) => self.finish_prepared(gid, true),
            TransactionStmt::RollbackPrepared(gid, _) => self.finish_prepared(gid, false),
        }
    }

    fn begin_block(&mut self, modes: TransactionModes, tag: &'static str) -> Result<CommandTag> {
        match self.block {
            Block::Idle => {
                self.begin_transaction(modes)?;
                self.block = Block::Explicit;
            }
            Block::Implicit => {
                // A BEGIN behind other statements of one message: they become part of the block.
                self.block = Block::Explicit;
                self.set_modes(modes)?;
            }
            Block::Explicit => {
                self.warn(SqlState::ACTIVE_SQL_TRANSACTION, "there is already a transaction in progress");
                self.set_modes(modes)?;
            }
            Block::Failed => return Err(failed_block()),
        }
        Ok(CommandTag::Plain(tag))
    }

    /// `SET TRANSACTION`, and the modes of a BEGIN inside a transaction.
    ///
    /// # Errors
    /// 25001 when it is too late for a change.
    pub(crate) fn set_modes(&mut self, modes: TransactionModes) -> Result<()> {
        let in_savepoint = !self.savepoints.is_empty();
        let transaction = self.transaction.as_mut().expect("N1: a statement runs in a transaction");
        if let Some(isolation) = modes.isolation {
            if level(isolation) != transaction.isolation() {
                if transaction.has_queried() {
                    return Err(too_late("SET TRANSACTION ISOLATION LEVEL must be called before any query"));
                }
                if in_savepoint {
                    let message = "SET TRANSACTION ISOLATION LEVEL must not be called in a subtransaction";
                    return Err(too_late(message));
                }
            }
            transaction.set_isolation(level(isolation));
        }
        if let Some(read_only) = modes.read_only {
            if !read_only && transaction.is_read_only() {
                if self.savepoints.last().is_some_and(|savepoint| savepoint.read_only) {
                    let message = "cannot set transaction read-write mode inside a read-only transaction";
                    return Err(too_late(message));
                }
                if transaction.has_queried() {
                    return Err(too_late("transaction read-write mode must be set before any query"));
                }
            }
            transaction.set_read_only(read_only);
        }
        if let Some(deferrable) = modes.deferrable {
            if in_savepoint {
                let message = "SET TRANSACTION [NOT] DEFERRABLE cannot be called within a subtransaction";
                return Err(too_late(message));
            }
            if transaction.has_queried() {
                return Err(too_late("SET TRANSACTION [NOT] DEFERRABLE must be called before any query"));
            }
            transaction.set_deferrable(deferrable);
        }
        self.report_modes();
        Ok(())
    }

    /// `SET TRANSACTION SNAPSHOT`.
    ///
    /// # Errors
    /// 25001 when it is too late, 0A000 below REPEATABLE READ and for what a serializable transaction cannot import, 22023
    /// and 42704 for the name.
    pub(crate) fn import_snapshot(&mut self, name: &str) -> Result<()> {
        let in_savepoint = !self.savepoints.is_empty();
        let transaction = self.transaction.as_mut().expect("N1: a statement runs in a transaction");
        if transaction.has_queried() || transaction.xid().is_valid() || in_savepoint {
            return Err(too_late("SET TRANSACTION SNAPSHOT must be called before any query"));
        }
        if !transaction.isolation().uses_transaction_snapshot() {
            return Err(Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                "a snapshot-importing transaction must have isolation level SERIALIZABLE or REPEATABLE READ",
            ));
        }
        if name.is_empty() || !name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'A'..=b'F' | b'-')) {
            return Err(Error::new(
                SqlState::INVALID_PARAMETER_VALUE,
                format!("invalid snapshot identifier: \"{name}\""),
            ));
        }
        transaction.import_snapshot(name)
    }

    /// Lets SHOW tell the transaction's modes.
    fn report_modes(&self) {
        let Some(transaction) = &self.transaction else { return };
        let (isolation, read_only) = (transaction.isolation(), transaction.is_read_only());
        let deferrable = transaction.is_deferrable();
        self.state.settings.borrow_mut().report_transaction(isolation.as_str(), read_only, deferrable);
    }

    /// The modes of the transaction, for one that follows it.
    fn modes(&self) -> TransactionModes {
        let Some(transaction) = &self.transaction else { return TransactionModes::default() };
        TransactionModes {
            isolation: Some(match transaction.isolation() {
                IsolationLevel::ReadUncommitted => AstLevel::ReadUncommitted,
                IsolationLevel::ReadCommitted => AstLevel::ReadCommitted,
                IsolationLevel::RepeatableRead => AstLevel::RepeatableRead,
                IsolationLevel::Serializable => AstLevel::Serializable,
            }),
            read_only: Some(transaction.is_read_only()),
            deferrable: Some(transaction.is_deferrable()),
        }
    }

    /// Ends an implicit transaction, and begins another for the rest of the statement.
    ///
    /// # Errors
    /// When the commit fails: it is rolled back then, and none follows.
    pub(crate) fn go_on_with(&mut self, modes: TransactionModes) -> Result<()> {
        self.txn().advance_command()?;
        self.end_committed()?;
        self.begin_transaction(modes)?;
        self.block = Block::Implicit;
        Ok(())
    }

    /// COMMIT and ROLLBACK of a procedure that is a statement by itself: another transaction follows for its rest.
    ///
    /// # Errors
    /// When the commit fails: it is rolled back then, and none follows.
    pub(crate) fn end_within_routine(&mut self, commit: bool, chain: bool) -> Result<()> {
        let modes = if chain { self.modes() } else { TransactionModes::default() };
        if commit {
            self.go_on_with(modes)?;
        } else {
            self.end_aborted();
            self.begin_transaction(modes)?;
            self.block = Block::Implicit;
        }
        let now = self.state.instance.now();
        self.state.transaction_time.set(now);
        self.txn().forbid_suspension();
        Ok(())
    }

    fn end_block(&mut self, commit: bool, chain: bool) -> Result<CommandTag> {
        let word = if commit { "COMMIT" } else { "ROLLBACK" };
        if matches!(self.block, Block::Idle | Block::Implicit) && chain {
            return Err(Error::new(
                SqlState::NO_ACTIVE_SQL_TRANSACTION,
                format!("{word} AND CHAIN can only be used in transaction blocks"),
            ));
        }
        let modes = chain.then(|| self.modes());
        let tag = match self.block {
            Block::Idle | Block::Implicit => {
                self.warn(SqlState::NO_ACTIVE_SQL_TRANSACTION, "there is no transaction in progress");
                if self.block == Block::Implicit && !commit {
                    self.end_aborted();
                } else {
                    self.end_committed()?;
                }
                word
            }
            Block::Explicit if commit => {
                self.end_committed()?;
                "COMMIT"
            }
            // The end of a failed block is a rollback, whatever was asked for.
            Block::Explicit | Block::Failed => {
                self.end_aborted();
                "ROLLBACK"
            }
        };
        if chain {
            self.begin_transaction(modes.unwrap_or_default())?;
            self.block = Block::Explicit;
        }
        Ok(CommandTag::Plain(tag))
    }

    /// Commits what is open and goes Idle.
    ///
    /// # Errors
    /// When the commit fails: it is rolled back then.
    pub(crate) fn end_committed(&mut self) -> Result<()> {
        self.savepoints.clear();
        if self.transaction.is_some()
            && let Err(error) = self.run_all_deferred_checks()
        {
            self.end_aborted();
            return Err(error);
        }
        if !self.portals.is_empty()
            && let Err(error) = self.hold_cursors()
        {
            self.end_aborted();
            return Err(error);
        }
        if !self.state.on_commit.borrow().is_empty()
            && let Err(error) = self.run_on_commit()
        {
            self.end_aborted();
            return Err(error);
        }
        self.close_transaction_portals();
        self.state.deferred.take();
        self.block = Block::Idle;
        let Some(mut transaction) = self.transaction.take() else {
            return Ok(());
        };
        self.remains = transaction.remains();
        self.state.activity.transaction_ended();
        let delivery = self.take_delivery(&mut transaction)?;
        let changes = self.state.catalog.borrow_mut().take();
        // Whoever makes the picture anew from stored rows keeps others from publishing meanwhile.
        let publishing = (!changes.is_empty()).then(|| self.state.instance.catalog_commits().read());
        if !changes.is_empty() {
            self.state.database.go_on_counting(&changes);
            let instance = Arc::clone(&self.state.instance);
            let database = Arc::clone(&self.state.database);
            let version = instance.next_catalog_version();
            transaction.at_publish(move |lsn| publish(&instance, &database, &changes, version, lsn));
        }
        let wait = self.state.settings.borrow().parsed().synchronous_commit;
        let own = transaction.xid();
        let met = transaction.gate_lsn();
        let outcome = self.state.instance.transactions().commit(transaction);
        drop(publishing);
        self.state.instance.locks().release_transaction(&self.state.locks);
        self.state.hand_over_calls();
        self.state.forget_statistics();
        match outcome {
            Ok(ticket) => {
                if let Some(delivery) = delivery {
                    self.delivered(&delivery, own, met);
                }
                self.state.catalog.borrow_mut().committed();
                self.state.settings.borrow_mut().commit();
                self.settle_held_cursors();
                // By the setting as the transaction had it: SET LOCAL ends with it.
                if wait {
                    self.state.require_durable(ticket.lsn);
                }
                Ok(())
            }
            Err(error) => {
                self.drop_fresh_held_cursors();
                self.state.catalog.borrow_mut().abort(&self.state.database);
                self.state.settings.borrow_mut().rollback_to(0);
                Err(error)
            }
        }
    }

    /// What a transaction says and hears with its commit; `None` for nearly all.
    ///
    /// # Errors
    /// 54000 when too many notifications wait: it is rolled back then, as by an error of the commit itself.
    fn take_delivery(&mut self, transaction: &mut Transaction) -> Result<Option<Arc<Delivery>>> {
        if self.state.notices_of_session(|notices| notices.is_empty()) {
            return Ok(None);
        }
        let (hub, database) = (self.state.instance.notifications(), self.state.database.oid());
        let taken = self
            .state
            .notices_of_session(|notices| notices.take(hub, database, self.state.process_id))
            .and_then(|delivery| {
                // With a commit record of its own it has its place in the order of the commits.
                if delivery.has_notes() && !transaction.is_read_only() {
                    transaction.assign_xid()?;
                }
                Ok(Arc::new(delivery))
            });
        match taken {
            Ok(delivery) => {
                if transaction.xid().is_valid() {
                    let published = Arc::clone(&delivery);
                    transaction.at_publish(move |lsn| published.publish(lsn));
                }
                Ok(Some(delivery))
            }
            Err(error) => {
                self.state.catalog.borrow_mut().abort(&self.state.database);
                self.state.settings.borrow_mut().rollback_to(0);
                self.state.instance.locks().release_transaction(&self.state.locks);
                Err(error)
            }
        }
    }

    /// The commit is done: who listens is woken, and the session listens to what it asked for.
    fn delivered(&self, delivery: &Delivery, own: ochre_base::Xid, met: ochre_base::Lsn) {
        if !own.is_valid() {
            delivery.publish(met);
        }
        delivery.wake();
        let listens = self.state.notices_of_session(|notices| {
            notices.committed(delivery.actions());
            notices.is_listening()
        });
        self.state.listens.set(listens);
    }

    /// Rolls back what is open and goes Idle.
    pub(crate) fn end_aborted(&mut self) {
        self.close_transaction_portals();
        self.savepoints.clear();
        self.state.deferred.take();
        self.block = Block::Idle;
        self.state.notices_of_session(|notices| notices.rollback_to(Default::default()));
        if let Some(transaction) = self.transaction.take() {
            self.remains = transaction.remains();
            self.state.activity.transaction_ended();
            self.state.database.give_scans_back(self.state.catalog.borrow().list());
            self.state.catalog.borrow_mut().abort(&self.state.database);
            self.state.instance.transactions().abort(transaction);
            self.state.hand_over_calls();
            self.state.forget_statistics();
            self.state.settings.borrow_mut().rollback_to(0);
            self.state.instance.locks().release_transaction(&self.state.locks);
        }
    }

    /// An error came: an implicit transaction ends, a block waits for its end.
    pub(crate) fn fail(&mut self) {
        // The error may tell what other transactions committed: a key that is there, a value that does not fit.
        if let Some(transaction) = &self.transaction {
            self.state.note_met(transaction.gate_lsn());
        }
        match self.block {
            Block::Idle => {}
            Block::Implicit => self.end_aborted(),
            Block::Explicit if self.savepoints.is_empty() => {
                // Nothing can come back to it, so its locks go at once.
                self.end_aborted();
                self.block = Block::Failed;
            }
            Block::Explicit => {
                // What was done since the last savepoint is of no use to anyone, and others may wait for its locks.
                // Should that fail, ROLLBACK TO tells.
                let _ = self.roll_back_to_index(self.savepoints.len() - 1);
                self.block = Block::Failed;
            }
            Block::Failed => {}
        }
    }

    fn require_block(&self, what: &str) -> Result<()> {
        if matches!(self.block, Block::Idle | Block::Implicit) {
            return Err(Error::new(
                SqlState::NO_ACTIVE_SQL_TRANSACTION,
                format!("{what} can only be used in transaction blocks"),
            ));
        }
        Ok(())
    }

    fn savepoint(&mut self, name: &str) -> Result<CommandTag> {
        self.require_block("SAVEPOINT")?;
        if self.block == Block::Failed {
            return Err(failed_block());
        }
        let (mark, read_only) = (self.mark()?, self.txn().is_read_only());
        self.savepoints.push(Savepoint { name: name.into(), read_only, mark });
        Ok(CommandTag::Plain("SAVEPOINT"))
    }

    fn find_savepoint(&self, name: &str) -> Result<usize> {
        self.savepoints.iter().rposition(|savepoint| &*savepoint.name == name).ok_or_else(|| {
            Error::new(
                SqlState::INVALID_SAVEPOINT_SPECIFICATION,
                format!("savepoint \"{name}\" does not exist"),
            )
        })
    }

    fn release(&mut self, name: &str) -> Result<CommandTag> {
        self.require_block("RELEASE SAVEPOINT")?;
        if self.block == Block::Failed {
            return Err(failed_block());
        }
        let index = self.find_savepoint(name)?;
        let transaction = self.transaction.as_mut().expect("N1: a block has a transaction");
        transaction.release(self.savepoints[index].mark.depth);
        transaction.set_read_only(self.savepoints[index].read_only);
        self.report_modes();
        self.savepoints.truncate(index);
        self.release_portals(index);
        Ok(CommandTag::Plain("RELEASE"))
    }

    fn rollback_to(&mut self, name: &str) -> Result<CommandTag> {
        self.require_block("ROLLBACK TO SAVEPOINT")?;
        let index = self.find_savepoint(name)?;
        self.roll_back_to_index(index)?;
        self.savepoints.truncate(index + 1);
        self.block = Block::Explicit;
        Ok(CommandTag::Plain("ROLLBACK"))
    }

    /// Takes back what was done since a savepoint.
    fn roll_back_to_index(&mut self, index: usize) -> Result<()> {
        self.close_portals_since(index);
        let savepoint = &self.savepoints[index];
        self.go_back_to(&savepoint.mark)?;
        let transaction = self.transaction.as_mut().expect("a block with savepoints keeps its transaction");
        transaction.set_read_only(savepoint.read_only);
        self.report_modes();
        Ok(())
    }

    /// Marks a point to go back to: a savepoint, or the begin of a routine's block.
    ///
    /// # Errors
    /// 54000 after four billion commands.
    pub(crate) fn mark(&self) -> Result<Mark> {
        Ok(Mark {
            depth: self.txn().savepoint()?,
            settings: self.state.settings.borrow().mark(),
            catalog: self.state.catalog.borrow().mark(),
            locks: self.state.locks.mark(),
            timing: self.state.deferred.borrow().timing.clone(),
            command: self.txn().current_cid(),
            notices: self.state.notices_of_session(|notices| notices.mark()),
        })
    }

    /// Takes back what was done since a mark, which stays.
    fn go_back_to(&self, mark: &Mark) -> Result<()> {
        self.txn().rollback_to(mark.depth)?;
        {
            let mut deferred = self.state.deferred.borrow_mut();
            deferred.timing = mark.timing.clone();
            deferred.roll_back(mark.command);
        }
        self.state.settings.borrow_mut().rollback_to(mark.settings);
        self.state.catalog.borrow_mut().rollback_to(&mark.catalog, &self.state.database);
        self.state.instance.locks().release_transaction_to(&self.state.locks, mark.locks);
        let notices = mark.notices;
        self.state.notices_of_session(|heard| heard.rollback_to(notices));
        Ok(())
    }

    /// Keeps what was done since a mark.
    pub(crate) fn keep_since(&self, mark: &Mark) {
        self.txn().release(mark.depth);
    }

    /// Takes back what was done since a mark, which goes.
    ///
    /// # Errors
    /// As rolling back to any savepoint.
    pub(crate) fn undo_since(&self, mark: &Mark) -> Result<()> {
        self.go_back_to(mark)?;
        self.keep_since(mark);
        Ok(())
    }

    /// Adds a warning.
    pub(crate) fn warn(&self, sqlstate: SqlState, message: impl Into<String>) {
        self.state.notice(Error::with_severity(Severity::Warning, sqlstate, message));
    }

    /// Refuses a statement that cannot be part of a transaction.
    ///
    /// # Errors
    /// 25001 inside a block, or behind other statements of one message.
    pub(crate) fn prevent_in_block(&self, what: &str) -> Result<()> {
        if self.block == Block::Explicit {
            return Err(Error::new(
                SqlState::ACTIVE_SQL_TRANSACTION,
                format!("{what} cannot run inside a transaction block"),
            ));
        }
        if self.pending.as_ref().is_some_and(super::simple::Pending::is_multiple) {
            return Err(Error::new(
                SqlState::ACTIVE_SQL_TRANSACTION,
                format!("{what} cannot be executed within a pipeline"),
            ));
        }
        Ok(())
    }
}

/// A mode cannot be changed any more.
#[cold]
fn too_late(message: &str) -> Error {
    Error::new(SqlState::ACTIVE_SQL_TRANSACTION, message)
}

/// What every statement of a failed block gets.
#[cold]
pub(crate) fn failed_block() -> Error {
    Error::new(
        SqlState::IN_FAILED_SQL_TRANSACTION,
        "current transaction is aborted, commands ignored until end of transaction block",
    )
}

/// Publishes a transaction's catalog changes: shared ones to every open database.
pub(crate) fn publish(
    instance: &crate::instance::Instance,
    database: &crate::database::Database,
    changes: &[CatalogChange],
    version: u64,
    lsn: Lsn,
) {
    database.publish(changes, version, lsn);
    let shared: Vec<CatalogChange> = changes
        .iter()
        .filter(|change| {
            matches!(
                change,
                CatalogChange::PutRole(_)
                    | CatalogChange::DropRole(_)
                    | CatalogChange::PutDatabase(_)
                    | CatalogChange::DropDatabase(_)
            )
        })
        .cloned()
        .collect();
    if !shared.is_empty() {
        instance.publish_shared(database.oid(), &shared, version, lsn);
    }
}
