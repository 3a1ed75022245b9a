//! CREATE, DROP, ENABLE and DISABLE of triggers.
//!
//! # Not done
//! Triggers of views. Constraint triggers have no row in `pg_constraint`.

use std::sync::Arc;

use ochre_base::{Error, Oid, Result, Severity, SqlState};
use ochre_catalog::authority::Privileges;
use ochre_catalog::{RelationDescriptor, RelationKind, TriggerDescriptor, TriggerTiming};
use ochre_exec::{Firing, TriggerEvent};
use ochre_parser::ast::{
    self, CreateTriggerStmt, DropStmt, EnableMode, ObjectKind, ObjectName, ObjectRef, TriggerNames,
};
use ochre_txn::locks::RelationLockMode;
use ochre_types::oids;

use crate::authority::Need;
use crate::session::Session;
use crate::tag::CommandTag;

fn invalid(message: impl Into<String>) -> Error {
    Error::new(SqlState::INVALID_OBJECT_DEFINITION, message)
}

/// REFERENCING: the names of the rows that the statement changed.
fn check_transitions(statement: &CreateTriggerStmt, trigger: &mut TriggerDescriptor) -> Result<()> {
    for transition in &statement.transitions {
        let refused = |message: &str| Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message));
        if !transition.table {
            return Err(Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                "ROW variable naming in the REFERENCING clause is not supported",
            )
            .hint("Use OLD TABLE or NEW TABLE for naming transition tables."));
        }
        if trigger.timing != TriggerTiming::After {
            return Err(invalid("transition table name can only be specified for an AFTER trigger"));
        }
        if trigger.truncate {
            return Err(invalid("TRUNCATE triggers with transition tables are not supported"));
        }
        if [trigger.insert, trigger.update, trigger.delete].iter().filter(|event| **event).count() != 1 {
            return refused("transition tables cannot be specified for triggers with more than one event");
        }
        if !trigger.columns.is_empty() {
            return refused("transition tables cannot be specified for triggers with column lists");
        }
        let (slot, fits, word, events) = match transition.new {
            true => (&mut trigger.new_table, !trigger.delete, "NEW", "an INSERT or UPDATE"),
            false => (&mut trigger.old_table, !trigger.insert, "OLD", "a DELETE or UPDATE"),
        };
        if !fits {
            let message = format!("{word} TABLE can only be specified for {events} trigger");
            return Err(invalid(message));
        }
        if slot.replace(transition.name.as_str().into()).is_some() {
            return Err(invalid(format!("{word} TABLE cannot be specified multiple times")));
        }
    }
    if trigger.old_table.is_some() && trigger.old_table == trigger.new_table {
        return Err(invalid("OLD TABLE name and NEW TABLE name cannot be the same"));
    }
    Ok(())
}

/// 42704 for a trigger.
pub(crate) fn undefined_trigger(name: &str, table: &RelationDescriptor) -> Error {
    Error::new(
        SqlState::UNDEFINED_OBJECT,
        format!("trigger \"{name}\" for table \"{}\" does not exist", table.name),
    )
}

impl Session {
    pub(crate) fn create_trigger(&self, statement: &CreateTriggerStmt) -> Result<CommandTag> {
        let table = self.require_and_lock(
            &statement.table,
            RelationLockMode::ShareRowExclusive,
            Need::Privileges(Privileges::TRIGGER),
        )?;
        self.require_user_relation(&table)?;
        let timing = match statement.timing {
            ast::TriggerTiming::Before => TriggerTiming::Before,
            ast::TriggerTiming::After => TriggerTiming::After,
            ast::TriggerTiming::InsteadOf => TriggerTiming::InsteadOf,
        };
        let wrong = |message: String| Error::new(SqlState::WRONG_OBJECT_TYPE, message);
        match table.kind {
            kind if kind.is_table() && timing == TriggerTiming::InsteadOf => {
                return Err(wrong(format!("\"{}\" is a table", table.name))
                    .detail("Tables cannot have INSTEAD OF triggers."));
            }
            RelationKind::Table | RelationKind::PartitionedTable => {}
            RelationKind::View => return Err(Error::unsupported("triggers of views")),
            _ => {
                return Err(wrong(format!("relation \"{}\" cannot have triggers", table.name))
                    .detail(format!("This operation is not supported for {}.", table.kind.plural())));
            }
        }
        if statement.from_table.is_some() {
            return Err(Error::unsupported("FROM in CREATE CONSTRAINT TRIGGER"));
        }
        if statement.constraint && statement.or_replace {
            return Err(Error::unsupported("CREATE OR REPLACE CONSTRAINT TRIGGER"));
        }
        let function = self.trigger_function(&statement.function)?;
        let mut trigger = TriggerDescriptor {
            oid: Oid::INVALID,
            table: table.oid,
            name: statement.name.as_str().into(),
            function,
            timing,
            row: statement.for_each_row,
            insert: false,
            update: false,
            delete: false,
            truncate: false,
            enabled: b'O',
            columns: Vec::new(),
            arguments: statement.args.iter().map(|argument| Arc::from(&**argument)).collect(),
            condition: None,
            constraint: if statement.constraint { self.new_oid() } else { Oid::INVALID },
            deferrable: statement.attributes.deferrable || statement.attributes.initially_deferred,
            initially_deferred: statement.attributes.initially_deferred,
            old_table: None,
            new_table: None,
            parent: Oid::INVALID,
            comment: None,
        };
        for event in &statement.events {
            match event {
                ast::TriggerEvent::Insert => trigger.insert = true,
                ast::TriggerEvent::Delete => trigger.delete = true,
                ast::TriggerEvent::Truncate => trigger.truncate = true,
                ast::TriggerEvent::Update(columns) => {
                    trigger.update = true;
                    for column in columns {
                        let found = table
                            .column_named(column)
                            .ok_or_else(|| crate::errors::undefined_column(column, &table.name))?;
                        if trigger.columns.contains(&found.number) {
                            return Err(Error::new(
                                SqlState::new("42701"),
                                format!("column \"{column}\" specified more than once"),
                            ));
                        }
                        trigger.columns.push(found.number);
                    }
                }
            }
        }
        if trigger.truncate && trigger.row {
            return Err(Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                "TRUNCATE FOR EACH ROW triggers are not supported",
            ));
        }
        check_transitions(statement, &mut trigger)?;
        let keeps = trigger.old_table.is_some() || trigger.new_table.is_some();
        if keeps && trigger.row && table.kind == RelationKind::PartitionedTable {
            return Err(Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                format!("\"{}\" is a partitioned table", table.name),
            )
            .detail("ROW triggers with transition tables are not supported on partitioned tables."));
        }
        if let Some(when) = &statement.when {
            trigger.condition = Some(crate::routine::bind_condition(self, &table, &trigger, when)?.into());
        }
        let mut changed = (*table).clone();
        let old = changed.triggers.iter().position(|known| known.name == trigger.name);
        trigger.oid = match old {
            Some(_) if !statement.or_replace => {
                return Err(Error::new(
                    SqlState::new("42710"),
                    format!("trigger \"{}\" for relation \"{}\" already exists", trigger.name, table.name),
                ));
            }
            Some(at) => changed.triggers.remove(at).oid,
            None => self.new_oid(),
        };
        let trigger = Arc::new(trigger);
        changed.triggers.push(Arc::clone(&trigger));
        changed.triggers.sort_by(|a, b| a.name.cmp(&b.name));
        changed.has_triggers = true;
        let changed = self.put_relation(changed)?;
        if trigger.row && changed.kind == RelationKind::PartitionedTable {
            for partition in self.children(table.oid) {
                self.clone_trigger(&changed, &trigger, partition)?;
            }
        }
        Ok(CommandTag::Plain("CREATE TRIGGER"))
    }

    /// The function of a trigger.
    fn trigger_function(&self, name: &ObjectName) -> Result<Oid> {
        let catalog = self.state.catalog();
        let namespaces: Vec<Oid> = match name.schema() {
            Some(schema) => {
                let found = self.state.namespace_named(&catalog, schema);
                let found = found.ok_or_else(|| crate::errors::undefined_schema(schema))?;
                self.state.require_namespace(found)?;
                vec![found]
            }
            None => self.state.search_path().to_vec(),
        };
        let found = namespaces.iter().find_map(|namespace| catalog.routine_in(*namespace, name.name(), &[]));
        let Some(routine) = found else {
            return Err(Error::new(
                SqlState::UNDEFINED_FUNCTION,
                format!("function {name}() does not exist"),
            ));
        };
        if routine.function.return_type != oids::TRIGGER {
            return Err(Error::new(
                SqlState::INVALID_OBJECT_DEFINITION,
                format!("function {name} must return type trigger"),
            ));
        }
        self.state.require_execute(routine.oid)?;
        Ok(routine.oid)
    }

    pub(crate) fn drop_triggers(&self, statement: &DropStmt) -> Result<CommandTag> {
        let tag = CommandTag::Plain("DROP TRIGGER");
        for object in &statement.objects {
            let ObjectRef::OnTable { kind: ObjectKind::Trigger, name, table } = object else {
                return Err(Error::internal("a trigger is dropped by its name and table"));
            };
            let notice = |message: String| {
                Error::with_severity(Severity::Notice, SqlState::SUCCESSFUL_COMPLETION, message)
            };
            let Some(found) =
                self.find_and_lock(table, RelationLockMode::AccessExclusive, Need::OwnerOfPart)?
            else {
                if !statement.if_exists {
                    return Err(super::undefined(table));
                }
                self.state.notice(notice(format!("relation \"{table}\" does not exist, skipping")));
                continue;
            };
            let gone: Vec<Arc<TriggerDescriptor>> =
                found.triggers.iter().filter(|trigger| *trigger.name == **name).cloned().collect();
            if let Some(clone) = gone.iter().find(|trigger| trigger.parent.is_valid()) {
                return Err(self.needed_trigger(clone));
            }
            let mut changed = (*found).clone();
            changed.triggers.retain(|trigger| *trigger.name != **name);
            if changed.triggers.len() == found.triggers.len() {
                if !statement.if_exists {
                    return Err(undefined_trigger(name, &found));
                }
                let text =
                    format!("trigger \"{name}\" for relation \"{}\" does not exist, skipping", found.name);
                self.state.notice(notice(text));
                continue;
            }
            self.put_relation(changed)?;
            let gone: Vec<Oid> = gone.iter().map(|trigger| trigger.oid).collect();
            self.drop_clones(found.oid, &gone)?;
        }
        Ok(tag)
    }

    /// 2BP01: a partition's trigger is a part of its table's.
    fn needed_trigger(&self, clone: &TriggerDescriptor) -> Error {
        let table = self.relation(clone.table);
        let parent = table.inheritance.parents.first().map(|parent| self.relation(*parent));
        let parent = parent.map(|parent| parent.name.to_string()).unwrap_or_default();
        let name = &clone.name;
        Error::new(
            SqlState::DEPENDENT_OBJECTS_STILL_EXIST,
            format!(
                "cannot drop trigger {name} on table {} because trigger {name} on table {parent} requires it",
                table.name
            ),
        )
        .hint(format!("You can drop trigger {name} on table {parent} instead."))
    }

    /// ENABLE and DISABLE TRIGGER.
    pub(crate) fn enable_triggers(&self, table: Oid, which: &TriggerNames, mode: EnableMode) -> Result<()> {
        let letter = match mode {
            EnableMode::Enable => b'O',
            EnableMode::Always => b'A',
            EnableMode::Replica => b'R',
            EnableMode::Disable => b'D',
        };
        let relation = self.relation(table);
        if matches!(which, TriggerNames::All)
            && (relation.constraints.iter().any(|constraint| constraint.foreign.is_some())
                || !self.state.catalog().referencing(table).is_empty())
        {
            return Err(Error::unsupported("switching off the triggers of foreign keys"));
        }
        let mut changed = (*relation).clone();
        let mut found = false;
        for trigger in &mut changed.triggers {
            let wanted = match which {
                TriggerNames::Name(name) => *trigger.name == **name,
                TriggerNames::All | TriggerNames::User => true,
            };
            if wanted {
                found = true;
                Arc::make_mut(trigger).enabled = letter;
            }
        }
        if let (TriggerNames::Name(name), false) = (which, found) {
            return Err(undefined_trigger(name, &relation));
        }
        self.put_relation(changed)?;
        Ok(())
    }

    pub(crate) fn rename_trigger(&self, name: &str, table: &ObjectName, new: &str) -> Result<CommandTag> {
        let found = self.require_and_lock(table, RelationLockMode::AccessExclusive, Need::Owner)?;
        let mut changed = (*found).clone();
        if changed.triggers.iter().any(|trigger| *trigger.name == *new) {
            return Err(Error::new(
                SqlState::new("42710"),
                format!("trigger \"{new}\" for relation \"{}\" already exists", found.name),
            ));
        }
        let slot = changed.triggers.iter_mut().find(|trigger| *trigger.name == *name);
        let slot = slot.ok_or_else(|| undefined_trigger(name, &found))?;
        Arc::make_mut(slot).name = new.into();
        changed.triggers.sort_by(|a, b| a.name.cmp(&b.name));
        self.put_relation(changed)?;
        Ok(CommandTag::Plain("ALTER TRIGGER"))
    }

    /// Writes the conditions of a table's triggers again after a column was renamed.
    pub(crate) fn rename_in_triggers(&self, changed: &mut RelationDescriptor, old: &str, new: &str) {
        for trigger in &mut changed.triggers {
            let Some(text) = &trigger.condition else { continue };
            let places = condition_columns(text);
            if places.iter().all(|(name, _)| name != old) {
                continue;
            }
            let mut text = text.to_string();
            for (_, place) in places.into_iter().rev().filter(|(name, _)| name == old) {
                text.replace_range(place, &super::quote_identifier(new));
            }
            Arc::make_mut(trigger).condition = Some(text.into());
        }
    }

    /// The triggers that name a column, by their names: in UPDATE OF or in their conditions.
    pub(crate) fn triggers_of_column(&self, table: &RelationDescriptor, number: i16) -> Vec<Arc<str>> {
        let name = table.column(number).map_or("", |column| &column.name);
        let uses = |trigger: &&Arc<TriggerDescriptor>| {
            let condition = trigger.condition.as_deref().unwrap_or_default();
            let mentions = || condition_columns(condition).iter().any(|(known, _)| known == name);
            trigger.columns.contains(&number) || mentions()
        };
        table.triggers.iter().filter(uses).map(|trigger| Arc::clone(&trigger.name)).collect()
    }

    /// The triggers that name a column that is dropped go with it, or keep it.
    pub(crate) fn drop_triggers_of_column(
        &self,
        table: Oid,
        number: i16,
        behavior: ast::Behavior,
    ) -> Result<()> {
        let relation = self.relation(table);
        let triggers = self.triggers_of_column(&relation, number);
        if triggers.is_empty() {
            return Ok(());
        }
        let name = relation.column(number).map_or("", |column| &column.name);
        let column = format!("column {name} of table {}", relation.name);
        let shown = |trigger: &Arc<str>| format!("trigger {trigger} on table {}", relation.name);
        if behavior == ast::Behavior::Restrict {
            let lines: Vec<String> =
                triggers.iter().map(|trigger| format!("{} depends on {column}", shown(trigger))).collect();
            return Err(Error::new(
                SqlState::DEPENDENT_OBJECTS_STILL_EXIST,
                format!("cannot drop {column} because other objects depend on it"),
            )
            .detail(lines.join("\n"))
            .hint("Use DROP ... CASCADE to drop the dependent objects too."));
        }
        for trigger in &triggers {
            self.state.notice(Error::with_severity(
                Severity::Notice,
                SqlState::SUCCESSFUL_COMPLETION,
                format!("drop cascades to {}", shown(trigger)),
            ));
        }
        let mut changed = (*relation).clone();
        changed.triggers.retain(|trigger| !triggers.contains(&trigger.name));
        self.put_relation(changed)?;
        Ok(())
    }

    /// Fires a table's triggers of TRUNCATE.
    pub(crate) fn fire_truncate(&self, table: &Arc<RelationDescriptor>, timing: TriggerTiming) -> Result<()> {
        let fires = |trigger: &&Arc<TriggerDescriptor>| {
            trigger.truncate && trigger.timing == timing && matches!(trigger.enabled, b'O' | b'A')
        };
        for trigger in table.triggers.iter().filter(fires) {
            let firing = Firing {
                table: Arc::clone(table),
                trigger: Arc::clone(trigger),
                event: TriggerEvent::Truncate,
                old: None,
                new: None,
                transitions: None,
            };
            if crate::routine::applies(self, &firing)? {
                crate::routine::fire(self, &firing)?;
            }
        }
        Ok(())
    }
}

/// The columns of NEW and OLD that a condition's text names, each with its place.
fn condition_columns(text: &str) -> Vec<(String, std::ops::Range<usize>)> {
    use ochre_parser::scan::{self, Tok};
    let tokens = scan::lex(text).tokens;
    let raw = |at: usize| &text[tokens[at].start as usize..tokens[at].end as usize];
    let is_word = |at: usize| matches!(tokens[at].tok, Tok::Ident | Tok::Kw(_));
    let mut found = Vec::new();
    for at in 0..tokens.len().saturating_sub(2) {
        let is_row = is_word(at) && ["old", "new"].iter().any(|row| raw(at).eq_ignore_ascii_case(row));
        let is_first = at == 0 || tokens[at - 1].tok != Tok::Dot;
        if !is_row || !is_first || tokens[at + 1].tok != Tok::Dot {
            continue;
        }
        let name = match tokens[at + 2].tok {
            Tok::QuotedIdent => scan::quoted_identifier(raw(at + 2)).to_string(),
            _ if is_word(at + 2) => scan::fold_identifier(raw(at + 2)).to_string(),
            _ => continue,
        };
        found.push((name, tokens[at + 2].start as usize..tokens[at + 2].end as usize));
    }
    found
}
