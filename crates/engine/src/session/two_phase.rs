//! Two-phase commit: PREPARE TRANSACTION, COMMIT PREPARED, ROLLBACK PREPARED.
//!
//! # States
//! ```text
//! Explicit ──PREPARE TRANSACTION──▶ Idle, and the transaction is in `Instance::prepared`
//! Idle ──COMMIT PREPARED, ROLLBACK PREPARED──▶ Idle, and it is gone from there
//! ```

use std::sync::Arc;

use ochre_base::{Error, Result, SqlState};

use super::{Block, Session};
use crate::prepared::{PreparedFacts, PreparedTransaction};
use crate::tag::CommandTag;

/// Bytes of a transaction's name at most.
const MAX_GID_BYTES: usize = 199;

impl Session {
    /// PREPARE TRANSACTION.
    ///
    /// # Errors
    /// 55000, 42710, 22023 and 0A000 for what cannot be prepared: the transaction is rolled back then.
    pub(crate) fn prepare_block(&mut self, gid: &str) -> Result<CommandTag> {
        match self.block {
            Block::Idle | Block::Implicit => {
                self.warn(SqlState::NO_ACTIVE_SQL_TRANSACTION, "there is no transaction in progress");
                Ok(CommandTag::Plain("ROLLBACK"))
            }
            Block::Failed => {
                self.end_aborted();
                Ok(CommandTag::Plain("ROLLBACK"))
            }
            Block::Explicit => {
                self.prepare_transaction(gid).inspect_err(|_| self.end_aborted())?;
                Ok(CommandTag::Plain("PREPARE TRANSACTION"))
            }
        }
    }

    fn prepare_transaction(&mut self, gid: &str) -> Result<()> {
        let most = self.state.settings.borrow().integer("max_prepared_transactions");
        check_gid(gid)?;
        if most == 0 {
            return Err(Error::new(
                SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
                "prepared transactions are disabled",
            )
            .hint("Set \"max_prepared_transactions\" to a nonzero value."));
        }
        if self.has_new_held_cursor() {
            return Err(Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                "cannot PREPARE a transaction that has created a cursor WITH HOLD",
            ));
        }
        self.require_no_notifications()?;
        self.run_all_deferred_checks()?;
        if self.txn().has_exported() {
            return Err(Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                "cannot PREPARE a transaction that has exported snapshots",
            ));
        }
        let instance = Arc::clone(&self.state.instance);
        let prepared = instance.prepared();
        prepared.reserve(gid, usize::try_from(most).unwrap_or(usize::MAX))?;
        let result = self.move_to_prepared(gid);
        match result {
            Ok(entry) => {
                prepared.put(entry);
                Ok(())
            }
            Err(error) => {
                prepared.release(gid);
                Err(error)
            }
        }
    }

    /// Prepares the session's transaction and takes it from the session.
    fn move_to_prepared(&mut self, gid: &str) -> Result<PreparedTransaction> {
        let instance = Arc::clone(&self.state.instance);
        let process_id = self.state.process_id;
        let locks = instance.locks().transaction_locks(process_id).ok_or_else(|| {
            Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                "cannot PREPARE while holding both session-level and transaction-level locks on the same object",
            )
        })?;
        let facts = PreparedFacts {
            gid: gid.into(),
            owner: self.state.name_of_role(self.state.user_oid()),
            database: self.state.database.oid(),
            prepared_at: instance.now(),
            next_oid: instance.next_oid(),
            changes_catalog: !self.state.catalog.borrow().is_empty(),
            locks,
        };
        // Open queries hold snapshots of the transaction.
        self.close_transaction_portals();
        let transaction = self.transaction.as_mut().expect("N1: a block has a transaction");
        let ticket = instance.transactions().prepare(transaction, &facts.encode())?;
        let transaction = self.transaction.take().expect("looked at above");
        self.state.activity.transaction_ended();
        let lock_owner = instance.prepared().new_lock_owner();
        instance.locks().move_transaction(process_id, lock_owner);
        self.savepoints.clear();
        self.state.deferred.take();
        self.block = Block::Idle;
        self.state.settings.borrow_mut().commit();
        self.state.require_durable(ticket.lsn);
        let changes = std::mem::take(&mut *self.state.catalog.borrow_mut());
        Ok(PreparedTransaction { transaction, facts, lock_owner, changes: Some(changes) })
    }

    /// COMMIT PREPARED and ROLLBACK PREPARED.
    ///
    /// # Errors
    /// 25001 in a block, 42704 for an unknown name, 42501 for another role's, 0A000 for another database's; when the log
    /// takes no more records, and then it is prepared still.
    pub(crate) fn finish_prepared(&mut self, gid: &str, commit: bool) -> Result<CommandTag> {
        let command = if commit { "COMMIT PREPARED" } else { "ROLLBACK PREPARED" };
        self.prevent_in_block(command)?;
        if self.block == Block::Failed {
            return Err(super::transaction::failed_block());
        }
        let instance = Arc::clone(&self.state.instance);
        let superuser = self.state.is_superuser();
        let own_name = self.state.name_of_role(self.state.user_oid());
        let mut entry = instance.prepared().take(gid, |facts| {
            if *facts.owner != *own_name && !superuser {
                return Err(Error::new(
                    SqlState::INSUFFICIENT_PRIVILEGE,
                    "permission denied to finish prepared transaction",
                )
                .hint("Must be superuser or the user that prepared the transaction."));
            }
            if facts.database != self.state.database.oid() {
                return Err(Error::new(
                    SqlState::FEATURE_NOT_SUPPORTED,
                    "prepared transaction belongs to another database",
                )
                .hint("Connect to the database where the transaction was prepared to finish it."));
            }
            Ok(())
        })?;
        let ended = if commit { self.commit_entry(&mut entry) } else { self.abort_entry(&mut entry) };
        match ended {
            Ok(lsn) => {
                instance.locks().end_session(entry.lock_owner);
                instance.prepared().release(gid);
                self.state.require_durable(lsn);
                Ok(CommandTag::Plain(command))
            }
            Err(error) => {
                instance.prepared().put(entry);
                Err(error)
            }
        }
    }

    fn commit_entry(&mut self, entry: &mut PreparedTransaction) -> Result<ochre_base::Lsn> {
        let instance = Arc::clone(&self.state.instance);
        let database = Arc::clone(&self.state.database);
        let transactions = Arc::clone(instance.transactions());
        let ticket = match &entry.changes {
            Some(changes) => {
                let changes = changes.list().to_vec();
                let _ddl = (!changes.is_empty()).then(|| instance.catalog_commits().read());
                let version = instance.next_catalog_version();
                database.go_on_counting(&changes);
                transactions.commit_prepared(&mut entry.transaction, |lsn| {
                    if !changes.is_empty() {
                        super::transaction::publish(&instance, &database, &changes, version, lsn);
                    }
                })?
            }
            None if entry.facts.changes_catalog => {
                // The picture is made anew from the stored rows; nobody may publish another one meanwhile.
                let _alone = instance.catalog_commits().write();
                let catalog = instance.read_catalog_as(&database, &entry.transaction)?;
                transactions.commit_prepared(&mut entry.transaction, |lsn| {
                    instance.publish_picture(&database, catalog, lsn);
                })?
            }
            None => transactions.commit_prepared(&mut entry.transaction, |_| {})?,
        };
        Ok(ticket.lsn)
    }

    fn abort_entry(&mut self, entry: &mut PreparedTransaction) -> Result<ochre_base::Lsn> {
        let instance = Arc::clone(&self.state.instance);
        if let Some(changes) = &entry.changes {
            self.state.database.give_scans_back(changes.list());
        }
        let ticket = instance.transactions().abort_prepared(&mut entry.transaction)?;
        if let Some(mut changes) = entry.changes.take() {
            changes.abort(&self.state.database);
        }
        Ok(ticket.lsn)
    }
}

fn check_gid(gid: &str) -> Result<()> {
    if gid.len() > MAX_GID_BYTES {
        return Err(Error::new(
            SqlState::INVALID_PARAMETER_VALUE,
            format!("transaction identifier \"{gid}\" is too long"),
        ));
    }
    Ok(())
}
