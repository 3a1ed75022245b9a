//! CREATE, ALTER SEQUENCE, and the sequences that columns own.

use std::sync::Arc;

use ochre_access::sequence::Sequence;
use ochre_base::{Error, Oid, Result, Severity, SqlState};
use ochre_catalog::authority::AclKind;
use ochre_catalog::{ColumnDescriptor, ColumnList, RelationDescriptor, RelationKind, SequenceDescriptor};
use ochre_parser::ast::{
    self, AlterSequenceStmt, CreateSequenceStmt, NumericValue, SequenceOption, SequenceOptionKind,
};
use ochre_txn::locks::RelationLockMode;
use ochre_types::SqlType;

use super::create_table::{OwnedSequence, new_column};
use super::{names, require_kind};
use crate::authority::Need;
use crate::errors;
use crate::session::Session;
use crate::tag::CommandTag;

/// What a list of options asks for besides the descriptor.
#[derive(Default)]
struct Asked {
    owned_by: Option<ast::ObjectName>,
    /// RESTART, at the value given or at the start.
    restart: Option<Option<i64>>,
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
}

fn limits(ty: SqlType) -> (i64, i64) {
    match ty {
        SqlType::INT2 => (i64::from(i16::MIN), i64::from(i16::MAX)),
        SqlType::INT4 => (i64::from(i32::MIN), i64::from(i32::MAX)),
        _ => (i64::MIN, i64::MAX),
    }
}

fn number(value: &NumericValue) -> Result<i64> {
    match value {
        NumericValue::Integer(value) => Ok(*value),
        NumericValue::Other(text) => Err(Error::new(
            SqlState::INVALID_TEXT_REPRESENTATION,
            format!("value \"{text}\" is out of range for type bigint"),
        )),
    }
}

/// Changes a descriptor by options; `new` for one that is being made.
fn apply_options(
    sequence: &mut SequenceDescriptor,
    options: &[SequenceOption],
    new: bool,
    bind: &mut dyn FnMut(&ast::TypeName) -> Result<SqlType>,
) -> Result<Asked> {
    let mut asked = Asked::default();
    let mut seen = Vec::new();
    let (mut minimum, mut maximum, mut start) = (None, None, None);
    for option in options {
        let kind = std::mem::discriminant(&option.kind);
        if seen.contains(&kind) {
            let error = Error::new(SqlState::SYNTAX_ERROR, "conflicting or redundant options");
            return Err(option.pos.get().map_or(error.clone(), |position| error.at(position)));
        }
        seen.push(kind);
        match &option.kind {
            SequenceOptionKind::As(name) => {
                let ty = bind(name)?;
                if !matches!(ty, SqlType::INT2 | SqlType::INT4 | SqlType::INT8) {
                    return Err(invalid("sequence type must be smallint, integer, or bigint"));
                }
                let before = limits(sequence.ty);
                // Limits that came from the old type follow the new one.
                if !new && sequence.maximum == before.1 {
                    maximum = Some(None);
                }
                if !new && sequence.minimum == before.0 {
                    minimum = Some(None);
                }
                sequence.ty = ty;
            }
            SequenceOptionKind::Increment(value) => {
                sequence.increment = number(value)?;
                if sequence.increment == 0 {
                    return Err(invalid("INCREMENT must not be zero"));
                }
            }
            SequenceOptionKind::MinValue(value) => minimum = Some(value.as_ref().map(number).transpose()?),
            SequenceOptionKind::MaxValue(value) => maximum = Some(value.as_ref().map(number).transpose()?),
            SequenceOptionKind::Start(value) => start = Some(number(value)?),
            SequenceOptionKind::Restart(value) => {
                asked.restart = Some(value.as_ref().map(number).transpose()?);
            }
            SequenceOptionKind::Cache(value) => {
                sequence.cache = number(value)?;
                if sequence.cache <= 0 {
                    return Err(invalid(format!("CACHE ({}) must be greater than zero", sequence.cache)));
                }
            }
            SequenceOptionKind::Cycle(cycle) => sequence.cycle = *cycle,
            SequenceOptionKind::OwnedBy(name) => asked.owned_by = Some(name.clone()),
            SequenceOptionKind::SequenceName(_) => return Err(Error::unsupported("SEQUENCE NAME")),
            SequenceOptionKind::Logged(true) => {}
            SequenceOptionKind::Logged(false) => return Err(Error::unsupported("unlogged sequences")),
        }
    }
    let (lowest, highest) = limits(sequence.ty);
    let ascending = sequence.increment > 0;
    if new && minimum.is_none() || minimum == Some(None) {
        sequence.minimum = if ascending { 1 } else { lowest };
    } else if let Some(Some(value)) = minimum {
        sequence.minimum = value;
    }
    if new && maximum.is_none() || maximum == Some(None) {
        sequence.maximum = if ascending { highest } else { -1 };
    } else if let Some(Some(value)) = maximum {
        sequence.maximum = value;
    }
    let type_word = if sequence.ty == SqlType::INT2 {
        "smallint"
    } else if sequence.ty == SqlType::INT4 {
        "integer"
    } else {
        "bigint"
    };
    if sequence.maximum > highest || sequence.maximum < lowest {
        return Err(invalid(format!(
            "MAXVALUE ({}) is out of range for sequence data type {type_word}",
            sequence.maximum
        )));
    }
    if sequence.minimum < lowest || sequence.minimum > highest {
        return Err(invalid(format!(
            "MINVALUE ({}) is out of range for sequence data type {type_word}",
            sequence.minimum
        )));
    }
    if sequence.minimum >= sequence.maximum {
        return Err(invalid(format!(
            "MINVALUE ({}) must be less than MAXVALUE ({})",
            sequence.minimum, sequence.maximum
        )));
    }
    match start {
        Some(value) => sequence.start = value,
        None if new => sequence.start = if ascending { sequence.minimum } else { sequence.maximum },
        None => {}
    }
    check_within("START", sequence.start, sequence)?;
    if let Some(Some(value)) = asked.restart {
        check_within("RESTART", value, sequence)?;
    }
    Ok(asked)
}

fn check_within(word: &str, value: i64, sequence: &SequenceDescriptor) -> Result<()> {
    if value < sequence.minimum {
        return Err(invalid(format!(
            "{word} value ({value}) cannot be less than MINVALUE ({})",
            sequence.minimum
        )));
    }
    if value > sequence.maximum {
        return Err(invalid(format!(
            "{word} value ({value}) cannot be greater than MAXVALUE ({})",
            sequence.maximum
        )));
    }
    Ok(())
}

/// A sequence's three columns, for those who select from it.
fn columns() -> Vec<ColumnDescriptor> {
    let mut columns = vec![
        new_column(1, "last_value", SqlType::INT8),
        new_column(2, "log_cnt", SqlType::INT8),
        new_column(3, "is_called", SqlType::BOOL),
    ];
    for column in &mut columns {
        column.not_null = true;
    }
    columns
}

fn blank(ty: SqlType) -> SequenceDescriptor {
    SequenceDescriptor {
        ty,
        start: 1,
        increment: 1,
        minimum: 1,
        maximum: i64::MAX,
        cache: 1,
        cycle: false,
        owned_by: None,
        identity: false,
    }
}

impl Session {
    pub(crate) fn create_sequence(&self, statement: &CreateSequenceStmt) -> Result<CommandTag> {
        let tag = CommandTag::Plain("CREATE SEQUENCE");
        if statement.persistence == ast::Persistence::Unlogged {
            return Err(Error::unsupported("CREATE UNLOGGED SEQUENCE"));
        }
        let namespace = self.namespace_for(&statement.name, statement.persistence)?;
        let name = statement.name.name();
        if !self.take_relation_name(namespace, name, statement.if_not_exists)? {
            return Ok(tag);
        }
        let mut sequence = blank(SqlType::INT8);
        let mut bind = |name: &ast::TypeName| self.bind_type(name);
        let asked = apply_options(&mut sequence, &statement.options, true, &mut bind)?;
        if let Some(owner) = &asked.owned_by {
            sequence.owned_by = self.owner_column(owner, self.state.user_oid())?;
        }
        self.create_sequence_relation(namespace, name, sequence, self.state.user_oid())?;
        Ok(tag)
    }

    /// `OWNED BY table.column`, or NONE.
    fn owner_column(&self, name: &ast::ObjectName, sequence_owner: Oid) -> Result<Option<(Oid, i16)>> {
        if name.parts.len() == 1 && *name.name() == "none" {
            return Ok(None);
        }
        if name.parts.len() < 2 {
            return Err(Error::new(SqlState::SYNTAX_ERROR, "invalid OWNED BY option")
                .hint("Specify OWNED BY table.column or OWNED BY NONE."));
        }
        let table_name = ast::ObjectName {
            parts: name.parts[..name.parts.len() - 1].iter().cloned().collect(),
            pos: name.pos,
        };
        let table = self.require_and_lock(
            &table_name,
            RelationLockMode::ShareUpdateExclusive,
            Need::CheckedByCaller,
        )?;
        if table.owner != sequence_owner {
            return Err(Error::new(
                SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
                "sequence must have same owner as table it is linked to",
            ));
        }
        let column = table
            .column_named(name.name())
            .ok_or_else(|| errors::undefined_column(name.name(), &table.name))?;
        Ok(Some((table.oid, column.number)))
    }

    fn create_sequence_relation(
        &self,
        namespace: Oid,
        name: &str,
        sequence: SequenceDescriptor,
        owner: Oid,
    ) -> Result<Oid> {
        let file = self.create_file()?;
        let database = Arc::clone(&self.state.database);
        let key = database.file_key(false, file);
        let xid = self.txn().assign_xid()?;
        let open = Sequence::create(self.state.instance.storage(), key, xid, sequence.start, false)?;
        database.add_sequence(file, open);
        let relation = RelationDescriptor {
            oid: self.new_oid(),
            namespace,
            name: name.into(),
            kind: RelationKind::Sequence,
            persistence: self.persistence_in(namespace),
            owner,
            acl: self.initial_acl_of(owner, AclKind::Sequence, namespace),
            shared: false,
            builtin: false,
            file: Some(file),
            columns: columns(),
            column_lists: vec![Arc::new(ColumnList { version: 1, fields: Vec::new() })],
            schema_version: 1,
            indexes: Vec::new(),
            constraints: Vec::new(),
            view_query: None,
            has_triggers: false,
            populated: true,
            has_indexes: false,
            triggers: Vec::new(),
            inheritance: ochre_catalog::Inheritance::default(),
            sequence: Some(Arc::new(sequence)),
            index: None,
            row_type: Oid::INVALID,
            array_type: Oid::INVALID,
            row_estimate: 1.0,
            page_estimate: 1,
            comment: None,
            options: Vec::new(),
        };
        Ok(self.put_relation(relation)?.oid)
    }

    /// Makes the sequence of a serial or identity column, and the default of a serial one.
    pub(crate) fn create_owned_sequence(&self, table: Oid, owned: OwnedSequence) -> Result<()> {
        let relation = self.relation(table);
        let column = relation.column(owned.column).expect("the column was just made");
        let name = names::choose_relation(
            &self.state.catalog(),
            relation.namespace,
            &relation.name,
            &column.name,
            "seq",
        );
        let mut sequence = blank(owned.ty);
        let mut bind = |name: &ast::TypeName| self.bind_type(name);
        apply_options(&mut sequence, &owned.options, true, &mut bind)?;
        sequence.owned_by = Some((table, owned.column));
        sequence.identity = owned.identity;
        let oid = self.create_sequence_relation(relation.namespace, &name, sequence, relation.owner)?;
        if !owned.identity {
            // By its object id, so that renaming it changes nothing.
            let text = format!("nextval('{oid}'::regclass)");
            let mut relation = (*relation).clone();
            relation.columns[owned.column as usize - 1].default = Some((self.new_oid(), text.into()));
            self.put_relation(relation)?;
        }
        Ok(())
    }

    pub(crate) fn alter_sequence(&self, statement: &AlterSequenceStmt) -> Result<CommandTag> {
        let tag = CommandTag::Plain("ALTER SEQUENCE");
        let Some(relation) =
            self.find_and_lock(&statement.name, RelationLockMode::ShareRowExclusive, Need::Owner)?
        else {
            if !statement.if_exists {
                return Err(super::undefined(&statement.name));
            }
            self.state.notice(Error::with_severity(
                Severity::Notice,
                SqlState::UNDEFINED_TABLE,
                format!("relation \"{}\" does not exist, skipping", statement.name),
            ));
            return Ok(tag);
        };
        require_kind(&relation, RelationKind::Sequence)?;
        self.change_sequence(&relation, &statement.options)?;
        Ok(tag)
    }

    /// Applies options to a sequence that is there.
    pub(crate) fn change_sequence(
        &self,
        relation: &Arc<RelationDescriptor>,
        options: &[SequenceOption],
    ) -> Result<()> {
        let only_owner = options.iter().all(|option| matches!(option.kind, SequenceOptionKind::OwnedBy(_)));
        if !only_owner {
            self.lock_relation(relation.oid, RelationLockMode::AccessExclusive)?;
        }
        // It may have changed while the lock was awaited.
        let relation = self.relation(relation.oid);
        let mut sequence = (**relation.sequence.as_ref().expect("a sequence has its descriptor")).clone();
        let mut bind = |name: &ast::TypeName| self.bind_type(name);
        let asked = apply_options(&mut sequence, options, false, &mut bind)?;
        if let Some(owner) = &asked.owned_by {
            if sequence.identity {
                return Err(Error::new(
                    SqlState::FEATURE_NOT_SUPPORTED,
                    "cannot change ownership of identity sequence",
                ));
            }
            sequence.owned_by = self.owner_column(owner, relation.owner)?;
        }
        let mut changed = (*relation).clone();
        if only_owner {
            changed.sequence = Some(Arc::new(sequence));
            self.put_relation(changed)?;
            return Ok(());
        }
        let (last_value, is_called) = match asked.restart {
            Some(value) => (value.unwrap_or(sequence.start), false),
            None => {
                let (last_value, is_called, _, lsn) = self.state.database.sequence(&relation)?.state();
                self.state.note_met(lsn);
                (last_value, is_called)
            }
        };
        check_within("RESTART", last_value, &sequence)?;
        changed.sequence = Some(Arc::new(sequence));
        self.continue_sequence(changed, last_value, is_called)
    }

    /// Starts a sequence again.
    pub(crate) fn restart_sequence(&self, relation: &RelationDescriptor, start: i64) -> Result<()> {
        self.lock_relation(relation.oid, RelationLockMode::AccessExclusive)?;
        self.continue_sequence(relation.clone(), start, false)
    }

    /// Goes on with a sequence, whose rules may have changed, in a new file: a rollback leaves it as it was, with the
    /// numbers that were given out before, and what the old file has logged ahead counts for nothing. The caller holds
    /// ACCESS EXCLUSIVE.
    fn continue_sequence(
        &self,
        mut relation: RelationDescriptor,
        last_value: i64,
        is_called: bool,
    ) -> Result<()> {
        let file = self.create_file()?;
        let database = Arc::clone(&self.state.database);
        let key = database.file_key(false, file);
        let xid = self.txn().assign_xid()?;
        let open = Sequence::create(self.state.instance.storage(), key, xid, last_value, is_called)?;
        database.add_sequence(file, open);
        if let Some(old) = relation.file {
            let key = database.file_key(false, old);
            self.txn().note_dropped(key);
        }
        relation.file = Some(file);
        self.put_relation(relation)?;
        Ok(())
    }

    /// The sequences that a table's column, or all its columns, own.
    pub(crate) fn owned_sequences(&self, table: Oid, column: Option<i16>) -> Vec<Arc<RelationDescriptor>> {
        let catalog = self.state.catalog();
        let mut owned: Vec<_> = catalog
            .relations()
            .filter(|relation| {
                relation.sequence.as_ref().is_some_and(|sequence| {
                    sequence
                        .owned_by
                        .is_some_and(|(t, c)| t == table && column.is_none_or(|column| column == c))
                })
            })
            .cloned()
            .collect();
        owned.sort_by_key(|relation| relation.oid);
        owned
    }
}
