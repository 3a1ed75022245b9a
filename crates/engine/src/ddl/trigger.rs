//! CREATE, DROP, ENABLE and DISABLE of triggers.

use std::sync::Arc;

use ochre_base::{Error, Oid, Result, Severity, SqlState};
use ochre_catalog::{RelationDescriptor, RelationKind, TriggerDescriptor, TriggerTiming};
use ochre_exec::{Firing, TriggerEvent};
use ochre_parser::ast::{
    self, CreateTriggerStmt, DropStmt, EnableMode, ObjectKind, ObjectName, ObjectRef, TriggerNames,
};
use ochre_txn::locks::RelationLockMode;
use ochre_types::oids;

use crate::session::Session;
use crate::tag::CommandTag;

/// 42704 for a trigger.
pub(crate) fn undefined_trigger(name: &str, table: &RelationDescriptor) -> Error {
    Error::new(
        SqlState::UNDEFINED_OBJECT,
        format!("trigger \"{name}\" for table \"{}\" does not exist", table.name),
    )
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(SqlState::INVALID_OBJECT_DEFINITION, message)
}

impl Session {
    pub(crate) fn create_trigger(&mut self, statement: &CreateTriggerStmt) -> Result<CommandTag> {
        let table = self.require_and_lock(&statement.table, RelationLockMode::ShareRowExclusive)?;
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
        if statement.constraint && (statement.attributes.deferrable || statement.from_table.is_some()) {
            return Err(Error::unsupported("CREATE CONSTRAINT TRIGGER … DEFERRABLE"));
        }
        if !statement.transitions.is_empty() {
            return Err(Error::unsupported("REFERENCING in CREATE TRIGGER"));
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
            condition: statement.when.as_ref().map(|when| when.to_string().into()),
            constraint: Oid::INVALID,
            deferrable: false,
            initially_deferred: false,
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
        if let Some(when) = &statement.when {
            self.check_condition(&table, &trigger, when)?;
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
                vec![found.ok_or_else(|| crate::errors::undefined_schema(schema))?]
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
        Ok(routine.oid)
    }

    /// Refuses what a WHEN condition cannot mention.
    fn check_condition(
        &self,
        table: &Arc<RelationDescriptor>,
        trigger: &TriggerDescriptor,
        when: &ast::Expr,
    ) -> Result<()> {
        let text = when.to_string().to_lowercase();
        let mentions = |name: &str| {
            text.match_indices(name).any(|(at, _)| {
                let before = text[..at].chars().next_back();
                before.is_none_or(|c| !c.is_alphanumeric() && c != '_' && c != '.')
            })
        };
        let (old, new) = (mentions("old."), mentions("new."));
        if !trigger.row && (old || new) {
            return Err(invalid("statement trigger's WHEN condition cannot reference column values"));
        }
        if trigger.insert && old {
            return Err(invalid("INSERT trigger's WHEN condition cannot reference OLD values"));
        }
        if trigger.delete && new {
            return Err(invalid("DELETE trigger's WHEN condition cannot reference NEW values"));
        }
        let nulls: Arc<[ochre_types::Datum]> =
            table.live_columns().map(|_| ochre_types::Datum::Null).collect();
        // A condition that does not bind is found out now, by a look at rows of NULLs.
        let firing = Firing {
            table: Arc::clone(table),
            trigger: Arc::new(trigger.clone()),
            event: TriggerEvent::Update,
            old: trigger.row.then(|| Arc::clone(&nulls)),
            new: trigger.row.then_some(nulls),
        };
        crate::routine::applies(self, &firing).map(|_| ()).map_err(|mut error| {
            error.fields_mut().context = None;
            error
        })
    }

    pub(crate) fn drop_triggers(&mut self, statement: &DropStmt) -> Result<CommandTag> {
        let tag = CommandTag::Plain("DROP TRIGGER");
        for object in &statement.objects {
            let ObjectRef::OnTable { kind: ObjectKind::Trigger, name, table } = object else {
                return Err(Error::internal("a trigger is dropped by its name and table"));
            };
            let notice = |message: String| {
                Error::with_severity(Severity::Notice, SqlState::SUCCESSFUL_COMPLETION, message)
            };
            let Some(found) = self.find_and_lock(table, RelationLockMode::AccessExclusive)? else {
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
    pub(crate) fn enable_triggers(
        &mut self,
        table: Oid,
        which: &TriggerNames,
        mode: EnableMode,
    ) -> Result<()> {
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

    pub(crate) fn rename_trigger(&mut self, name: &str, table: &ObjectName, new: &str) -> Result<CommandTag> {
        let found = self.require_and_lock(table, RelationLockMode::AccessExclusive)?;
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
            };
            if crate::routine::applies(self, &firing)? {
                crate::routine::fire(self, &firing)?;
            }
        }
        Ok(())
    }
}
