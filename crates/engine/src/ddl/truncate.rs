//! TRUNCATE: new, empty files for a table and its indexes; the old ones go when the transaction commits.

use std::sync::Arc;

use ochre_access::btree::BTreeOptions;
use ochre_access::heap::Heap;
use ochre_base::{Error, Oid, Result, Severity, SqlState};
use ochre_catalog::authority::Privileges;
use ochre_catalog::{IndexDescriptor, RelationKind, TriggerTiming};
use ochre_parser::ast::{Behavior, TruncateStmt};
use ochre_txn::locks::RelationLockMode;

use crate::authority::Need;
use crate::session::Session;
use crate::tag::CommandTag;

impl Session {
    pub(crate) fn truncate(&self, statement: &TruncateStmt) -> Result<CommandTag> {
        let mut tables = Vec::new();
        for relation in &statement.relations {
            let table = self.require_and_lock(
                &relation.name,
                RelationLockMode::AccessExclusive,
                Need::Privileges(Privileges::TRUNCATE),
            )?;
            self.require_user_relation(&table)?;
            if !table.kind.is_table() {
                return Err(Error::new(
                    SqlState::WRONG_OBJECT_TYPE,
                    format!("\"{}\" is not a table", table.name),
                ));
            }
            if relation.only && table.kind == RelationKind::PartitionedTable {
                return Err(Error::new(
                    SqlState::WRONG_OBJECT_TYPE,
                    "cannot truncate only a partitioned table",
                )
                .hint("Do not specify the ONLY keyword, or use TRUNCATE ONLY on the partitions directly."));
            }
            let all = match relation.only {
                true => vec![table.oid],
                false => self.lock_reachable_descendants(table.oid, RelationLockMode::AccessExclusive)?,
            };
            for oid in all {
                if !tables.contains(&oid) {
                    tables.push(oid);
                }
            }
        }
        self.add_referencing(&mut tables, statement.behavior)?;
        if statement.restart_identity {
            for sequence in tables.iter().flat_map(|oid| self.owned_sequences(*oid, None)) {
                self.state.require(&sequence, Need::Owner)?;
            }
        }
        let with_triggers: Vec<_> =
            tables.iter().map(|oid| self.relation(*oid)).filter(|table| !table.triggers.is_empty()).collect();
        for table in &with_triggers {
            self.fire_truncate(table, TriggerTiming::Before)?;
        }
        for oid in tables {
            if self.relation(oid).kind == RelationKind::Table {
                self.truncate_table(oid)?;
            }
            if statement.restart_identity {
                for sequence in self.owned_sequences(oid, None) {
                    let start = sequence.sequence.as_ref().map_or(1, |sequence| sequence.start);
                    self.restart_sequence(&sequence, start)?;
                }
            }
        }
        if !with_triggers.is_empty() {
            self.txn().advance_command()?;
        }
        for table in &with_triggers {
            self.fire_truncate(table, TriggerTiming::After)?;
        }
        Ok(CommandTag::Plain("TRUNCATE TABLE"))
    }

    /// Tables that refer to truncated ones are truncated too, or the statement is refused.
    fn add_referencing(&self, tables: &mut Vec<Oid>, behavior: Behavior) -> Result<()> {
        for oid in &*tables {
            self.require_nothing_pending(&self.relation(*oid), "TRUNCATE")?;
        }
        let mut next = 0;
        while next < tables.len() {
            let oid = tables[next];
            next += 1;
            for constraint in self.state.catalog().referencing(oid).to_vec() {
                if tables.contains(&constraint.table) {
                    continue;
                }
                let (parent, child) = (self.relation(oid), self.relation(constraint.table));
                if behavior == Behavior::Restrict {
                    return Err(Error::new(
                        SqlState::FEATURE_NOT_SUPPORTED,
                        "cannot truncate a table referenced in a foreign key constraint",
                    )
                    .detail(format!("Table \"{}\" references \"{}\".", child.name, parent.name))
                    .hint(format!(
                        "Truncate table \"{}\" at the same time, or use TRUNCATE ... CASCADE.",
                        child.name
                    )));
                }
                self.state.notice(Error::with_severity(
                    Severity::Notice,
                    SqlState::SUCCESSFUL_COMPLETION,
                    format!("truncate cascades to table \"{}\"", child.name),
                ));
                self.state.require(&child, Need::Privileges(Privileges::TRUNCATE))?;
                self.lock_relation(child.oid, RelationLockMode::AccessExclusive)?;
                self.require_nothing_pending(&child, "TRUNCATE")?;
                tables.push(child.oid);
                if child.kind == RelationKind::PartitionedTable {
                    // All rows that refer to the table are in its partitions.
                    for oid in self.lock_descendants(child.oid, RelationLockMode::AccessExclusive)? {
                        if tables.contains(&oid) {
                            continue;
                        }
                        let part = self.relation(oid);
                        self.state.notice(Error::with_severity(
                            Severity::Notice,
                            SqlState::SUCCESSFUL_COMPLETION,
                            format!("truncate cascades to table \"{}\"", part.name),
                        ));
                        self.require_nothing_pending(&part, "TRUNCATE")?;
                        tables.push(oid);
                    }
                }
            }
        }
        Ok(())
    }

    pub(crate) fn truncate_table(&self, oid: Oid) -> Result<()> {
        self.check_serializable_readers(&self.relation(oid))?;
        self.new_table_file(oid)?;
        for index in self.relation(oid).indexes.clone() {
            self.lock_relation(index.oid, RelationLockMode::AccessExclusive)?;
            let index = self.new_index_file(&index)?;
            self.replace_index(index)?;
        }
        Ok(())
    }

    /// Gives a table a new, empty file.
    pub(crate) fn new_table_file(&self, oid: Oid) -> Result<()> {
        let mut relation = (*self.relation(oid)).clone();
        let file = self.new_heap_file()?;
        if let Some(old) = relation.file.replace(file) {
            self.drop_file(old);
        }
        self.put_relation(relation)?;
        Ok(())
    }

    /// A new file for rows.
    pub(crate) fn new_heap_file(&self) -> Result<ochre_base::FileId> {
        let file = self.state.instance.new_file_id();
        let key = self.state.database.file_key(false, file);
        Heap::create(self.txn(), key)?;
        Ok(file)
    }

    /// The descriptor of an index with a new, empty tree; the old file goes.
    pub(crate) fn new_index_file(&self, index: &Arc<IndexDescriptor>) -> Result<IndexDescriptor> {
        let file = self.new_tree()?;
        self.drop_file(index.file);
        let mut index = (**index).clone();
        index.file = file;
        Ok(index)
    }

    /// A new, empty tree.
    pub(crate) fn new_tree(&self) -> Result<ochre_base::FileId> {
        let file = self.state.instance.new_file_id();
        let key = self.state.database.file_key(false, file);
        let transaction = self.txn();
        let xid = transaction.assign_xid()?;
        // Before it is made: if that fails half-way, the end of the transaction removes what there is.
        transaction.note_created(key);
        self.state.instance.btrees().create(key, xid, BTreeOptions::default())?;
        Ok(file)
    }
}
