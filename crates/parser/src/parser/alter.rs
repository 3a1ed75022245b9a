//! ALTER of everything: which object, and the changes that all have in common.

use ochre_base::Result;

use super::{K, Parser};
use crate::ast::*;
use crate::lexer::Tok;

impl Parser<'_> {
    /// Every ALTER.
    pub(super) fn alter(&mut self) -> Result<Statement> {
        self.advance();
        let Some(kw) = self.kw() else { return Err(self.unexpected()) };
        match kw {
            K::Table => self.alter_relation(ObjectKind::Table),
            K::Index => self.alter_relation(ObjectKind::Index),
            K::Sequence => self.alter_relation(ObjectKind::Sequence),
            K::View => self.alter_relation(ObjectKind::View),
            K::Materialized => {
                self.advance();
                if !self.is_kw(K::View) {
                    return Err(self.unexpected());
                }
                self.alter_relation(ObjectKind::MaterializedView)
            }
            K::Foreign if self.peek_kw(1, K::Table) => {
                self.advance();
                self.alter_relation(ObjectKind::ForeignTable)
            }
            K::Foreign => self.alter_fdw(),
            K::Type => self.alter_type(),
            K::Domain => self.alter_domain(),
            K::User if self.peek_kw(1, K::Mapping) => self.alter_user_mapping(),
            K::Role | K::User => self.alter_role(),
            K::Group => self.alter_group(),
            K::Database => self.alter_database(),
            K::System => self.alter_system(),
            K::Default => self.alter_default_privileges(),
            K::Extension => self.alter_extension(),
            K::Function | K::Procedure | K::Routine => self.alter_function(),
            K::Operator => self.alter_operator(),
            K::Server => self.alter_server(),
            K::Statistics => self.alter_statistics(),
            K::Subscription => self.alter_subscription(),
            K::Publication => self.alter_publication(),
            K::Tablespace => self.alter_tablespace(),
            K::Text => self.alter_text_search(),
            K::Event => self.alter_event_trigger(),
            K::Policy => self.alter_policy(),
            K::Constraint | K::Rule | K::Trigger => self.alter_on_table(kw),
            K::Collation => self.alter_collation(),
            K::Aggregate | K::Conversion | K::Language | K::Procedural | K::Large | K::Schema => {
                let kind = self.object_kind()?;
                let object = self.object_of_kind(kind)?;
                self.alter_common(object, false)
            }
            _ => Err(self.unexpected()),
        }
    }

    /// RENAME TO, OWNER TO, SET SCHEMA and DEPENDS ON EXTENSION, as far as the kind of object has them.
    pub(super) fn alter_common(&mut self, object: ObjectRef, if_exists: bool) -> Result<Statement> {
        use ObjectKind as O;
        let kind = match &object {
            ObjectRef::Named { kind, .. }
            | ObjectRef::Type { kind, .. }
            | ObjectRef::Routine { kind, .. }
            | ObjectRef::OperatorSet { kind, .. }
            | ObjectRef::OnTable { kind, .. } => *kind,
            ObjectRef::Operator(_) => O::Operator,
            _ => O::LargeObject,
        };
        let renamed = !matches!(kind, O::Operator | O::LargeObject);
        let owned = !matches!(kind, O::Policy | O::Rule | O::Trigger | O::Constraint);
        let in_schema = !matches!(
            kind,
            O::Database
                | O::Language
                | O::LargeObject
                | O::Schema
                | O::Server
                | O::Tablespace
                | O::ForeignDataWrapper
                | O::EventTrigger
                | O::Publication
                | O::Subscription
                | O::Policy
                | O::Rule
                | O::Trigger
        );
        if renamed && self.eat_words(&[K::Rename, K::To]) {
            let new_name = self.col_id()?;
            return Self::rename(RenameTarget::Object(object), new_name, if_exists);
        }
        if owned && self.eat_words(&[K::Owner, K::To]) {
            let owner = self.role()?;
            return Ok(Statement::AlterOwner(P::new(AlterOwnerStmt { object, owner })));
        }
        if in_schema && self.eat_words(&[K::Set, K::Schema]) {
            return self.set_schema(object, false, if_exists);
        }
        let depends = matches!(kind, O::Function | O::Procedure | O::Routine | O::Trigger);
        if depends && (self.is_kw(K::Depends) || self.at_words(&[K::No, K::Depends])) {
            return self.depends(object);
        }
        Err(self.unexpected())
    }

    pub(super) fn rename(target: RenameTarget, new_name: Name, if_exists: bool) -> Result<Statement> {
        let stmt = RenameStmt { target, new_name, if_exists, behavior: Behavior::Restrict };
        Ok(Statement::Rename(P::new(stmt)))
    }

    fn set_schema(&mut self, object: ObjectRef, only: bool, if_exists: bool) -> Result<Statement> {
        let schema = self.col_id()?;
        let stmt = AlterObjectSchemaStmt { object, only, schema, if_exists };
        Ok(Statement::AlterObjectSchema(P::new(stmt)))
    }

    fn depends(&mut self, object: ObjectRef) -> Result<Statement> {
        let remove = self.eat_kw(K::No);
        self.expect_words(&[K::Depends, K::On, K::Extension])?;
        let extension = self.col_id()?;
        Ok(Statement::AlterObjectDepends(P::new(AlterObjectDependsStmt { object, remove, extension })))
    }

    /// ALTER of a relation; the current token is the last word of its kind.
    fn alter_relation(&mut self, kind: ObjectKind) -> Result<Statement> {
        use ObjectKind as O;
        self.advance();
        let can_move = matches!(kind, O::Table | O::Index | O::MaterializedView);
        if can_move && self.at_words(&[K::All, K::In, K::Tablespace]) {
            return self.move_all(kind);
        }
        let if_exists = self.if_exists();
        let relation = match kind {
            O::Table | O::ForeignTable => self.relation()?,
            _ => Relation { name: self.qualified_name()?, only: false },
        };
        if self.is_kw(K::Rename) {
            return self.rename_relation(kind, relation, if_exists);
        }
        if self.at_words(&[K::Set, K::Schema]) && kind != O::Index {
            self.at += 2;
            let object = ObjectRef::Named { kind, name: relation.name };
            return self.set_schema(object, relation.only, if_exists);
        }
        let depends = matches!(kind, O::Index | O::MaterializedView);
        if depends && (self.is_kw(K::Depends) || self.at_words(&[K::No, K::Depends])) {
            return self.depends(ObjectRef::Named { kind, name: relation.name });
        }
        if kind == O::Sequence {
            let options = self.sequence_options()?;
            if !options.is_empty() {
                let stmt = AlterSequenceStmt { name: relation.name, if_exists, options };
                return Ok(Statement::AlterSequence(P::new(stmt)));
            }
        }
        let commands = self.alter_table_commands(kind)?;
        Ok(Statement::AlterTable(P::new(AlterTableStmt { kind, relation, if_exists, commands })))
    }

    fn move_all(&mut self, kind: ObjectKind) -> Result<Statement> {
        self.at += 3;
        let tablespace = self.col_id()?;
        let owned_by = if self.eat_words(&[K::Owned, K::By]) { self.role_list()? } else { Vec::new() };
        self.expect_words(&[K::Set, K::Tablespace])?;
        let new_tablespace = self.col_id()?;
        let nowait = self.eat_kw(K::Nowait);
        let stmt = AlterTableMoveAllStmt { kind, tablespace, owned_by, new_tablespace, nowait };
        Ok(Statement::AlterTableMoveAll(P::new(stmt)))
    }

    fn rename_relation(
        &mut self,
        kind: ObjectKind,
        relation: Relation,
        if_exists: bool,
    ) -> Result<Statement> {
        use ObjectKind as O;
        self.advance();
        if self.is_kw(K::To) {
            self.advance();
            let new_name = self.col_id()?;
            return Self::rename(RenameTarget::Relation { kind, relation }, new_name, if_exists);
        }
        if kind == O::Table && self.eat_kw(K::Constraint) {
            let constraint = self.col_id()?;
            self.expect_kw(K::To)?;
            let new_name = self.col_id()?;
            return Self::rename(RenameTarget::TableConstraint { relation, constraint }, new_name, if_exists);
        }
        if matches!(kind, O::Index | O::Sequence) {
            return Err(self.unexpected());
        }
        self.eat_kw(K::Column);
        let column = self.col_id()?;
        self.expect_kw(K::To)?;
        let new_name = self.col_id()?;
        Self::rename(RenameTarget::Column { kind, relation, column }, new_name, if_exists)
    }

    /// CONSTRAINT has no ALTER of its own; RULE and TRIGGER do.
    fn alter_on_table(&mut self, kw: K) -> Result<Statement> {
        if kw == K::Constraint {
            return Err(self.unexpected());
        }
        self.advance();
        let kind = if kw == K::Rule { ObjectKind::Rule } else { ObjectKind::Trigger };
        let name = self.col_id()?;
        self.expect_kw(K::On)?;
        let table = self.qualified_name()?;
        self.alter_common(ObjectRef::OnTable { kind, name, table }, false)
    }

    fn alter_type(&mut self) -> Result<Statement> {
        self.advance();
        let name = self.any_name()?;
        match (self.kw(), self.peek(1)) {
            (Some(K::Add), Tok::Kw(K::Value)) => self.add_enum_value(name),
            (Some(K::Rename), Tok::Kw(K::Value)) => {
                self.at += 2;
                let from = self.string()?;
                self.expect_kw(K::To)?;
                let action = AlterEnumAction::Rename { from, to: self.string()? };
                Ok(Statement::AlterEnum(P::new(AlterEnumStmt { name, action })))
            }
            (Some(K::Drop), Tok::Kw(K::Value)) => {
                let pos = self.pos();
                self.at += 2;
                self.string()?;
                Err(Self::unsupported("dropping an enum value is not implemented", pos))
            }
            (Some(K::Rename), Tok::Kw(K::Attribute)) => {
                self.at += 2;
                let attribute = self.col_id()?;
                self.expect_kw(K::To)?;
                let new_name = self.col_id()?;
                let behavior = self.behavior();
                let target = RenameTarget::Attribute { type_name: name, attribute };
                let stmt = RenameStmt { target, new_name, if_exists: false, behavior };
                Ok(Statement::Rename(P::new(stmt)))
            }
            (Some(K::Set), Tok::LeftParen) => {
                self.advance();
                let options = self.operator_options()?;
                Ok(Statement::AlterType(P::new(AlterTypeStmt { name, options })))
            }
            (Some(K::Add | K::Drop | K::Alter), _) => {
                let commands = self.alter_attributes()?;
                let relation = Relation { name, only: false };
                let stmt = AlterTableStmt { kind: ObjectKind::Type, relation, if_exists: false, commands };
                Ok(Statement::AlterTable(P::new(stmt)))
            }
            _ => {
                let type_name = Self::type_from_object_name(name);
                self.alter_common(ObjectRef::Type { kind: ObjectKind::Type, type_name }, false)
            }
        }
    }

    fn add_enum_value(&mut self, name: ObjectName) -> Result<Statement> {
        self.at += 2;
        let if_not_exists = self.if_not_exists();
        let value = self.string()?;
        let place = if self.eat_kw(K::Before) {
            Some(EnumPlace::Before(self.string()?))
        } else if self.eat_kw(K::After) {
            Some(EnumPlace::After(self.string()?))
        } else {
            None
        };
        let action = AlterEnumAction::Add { value, if_not_exists, place };
        Ok(Statement::AlterEnum(P::new(AlterEnumStmt { name, action })))
    }

    fn alter_domain(&mut self) -> Result<Statement> {
        use AlterDomainAction as A;
        self.advance();
        let name = self.any_name()?;
        let action = match (self.kw(), self.peek(1)) {
            (Some(K::Set), Tok::Kw(K::Default)) => {
                self.at += 2;
                A::Default(Some(self.expr()?))
            }
            (Some(K::Set), Tok::Kw(K::Not)) => {
                self.at += 2;
                self.expect_kw(K::Null)?;
                A::SetNotNull
            }
            (Some(K::Drop), Tok::Kw(K::Default)) => {
                self.at += 2;
                A::Default(None)
            }
            (Some(K::Drop), Tok::Kw(K::Not)) => {
                self.at += 2;
                self.expect_kw(K::Null)?;
                A::DropNotNull
            }
            (Some(K::Add), _) => {
                self.advance();
                A::AddConstraint(self.domain_constraint()?)
            }
            (Some(K::Drop), Tok::Kw(K::Constraint)) => {
                self.at += 2;
                let if_exists = self.if_exists();
                let name = self.col_id()?;
                A::DropConstraint { name, if_exists, behavior: self.behavior() }
            }
            (Some(K::Validate), _) => {
                self.advance();
                self.expect_kw(K::Constraint)?;
                A::ValidateConstraint(self.col_id()?)
            }
            (Some(K::Rename), Tok::Kw(K::Constraint)) => {
                self.at += 2;
                let constraint = self.col_id()?;
                self.expect_kw(K::To)?;
                let new_name = self.col_id()?;
                let object = ObjectRef::DomainConstraint { name: constraint, domain: name };
                return Self::rename(RenameTarget::Object(object), new_name, false);
            }
            _ => {
                let type_name = Self::type_from_object_name(name);
                return self.alter_common(ObjectRef::Type { kind: ObjectKind::Domain, type_name }, false);
            }
        };
        Ok(Statement::AlterDomain(P::new(AlterDomainStmt { name, action })))
    }

    /// DomainConstraint.
    fn domain_constraint(&mut self) -> Result<TableConstraint> {
        let pos = self.pos();
        let name = if self.eat_kw(K::Constraint) { Some(self.col_id()?) } else { None };
        let (kind, what) = if self.eat_kw(K::Check) {
            (TableConstraintKind::Check(self.paren_expr()?), "CHECK")
        } else {
            self.expect_words(&[K::Not, K::Null])?;
            (TableConstraintKind::NotNull(Name::from_static("value")), "NOT NULL")
        };
        let attributes = self.constraint_attributes()?.checked(what)?;
        Ok(TableConstraint { name, kind, attributes, pos })
    }

    fn alter_database(&mut self) -> Result<Statement> {
        self.advance();
        let pos = self.pos();
        let name = self.col_id()?;
        let action = match (self.kw(), self.peek(1)) {
            (Some(K::Rename | K::Owner), _) => {
                let name = ObjectName::unqualified(name, pos);
                return self.alter_common(ObjectRef::Named { kind: ObjectKind::Database, name }, false);
            }
            (Some(K::Refresh), _) => {
                self.expect_words(&[K::Refresh, K::Collation, K::Version])?;
                AlterDatabaseAction::RefreshCollationVersion
            }
            (Some(K::Set), Tok::Kw(K::Tablespace)) => {
                self.advance();
                let pos = self.take();
                let value = DefValue::Word(self.col_id()?);
                AlterDatabaseAction::Options(vec![Self::option("tablespace", value, pos)])
            }
            (Some(K::Set | K::Reset), _) => AlterDatabaseAction::Set(self.set_or_reset()?),
            _ => {
                self.eat_kw(K::With);
                let options = self.database_options()?;
                AlterDatabaseAction::Options(options)
            }
        };
        Ok(Statement::AlterDatabase(P::new(AlterDatabaseStmt { name, action })))
    }

    fn alter_system(&mut self) -> Result<Statement> {
        self.advance();
        if self.is_kw(K::Reset) {
            return Ok(Statement::AlterSystem(P::new(self.reset()?)));
        }
        let pos = self.pos();
        self.expect_kw(K::Set)?;
        let action = self.generic_set()?;
        Ok(Statement::AlterSystem(P::new(SetStmt { scope: SetScope::Session, action, pos })))
    }

    fn alter_collation(&mut self) -> Result<Statement> {
        self.advance();
        let name = self.any_name()?;
        if self.eat_words(&[K::Refresh, K::Version]) {
            return Ok(Statement::AlterCollationRefresh(P::new(name)));
        }
        self.alter_common(ObjectRef::Named { kind: ObjectKind::Collation, name }, false)
    }

    fn alter_statistics(&mut self) -> Result<Statement> {
        self.advance();
        let if_exists = self.if_exists();
        let name = self.any_name()?;
        if self.eat_words(&[K::Set, K::Statistics]) {
            let target = self.statistics_target()?;
            return Ok(Statement::AlterStatistics(P::new(AlterStatisticsStmt { name, if_exists, target })));
        }
        self.alter_common(ObjectRef::Named { kind: ObjectKind::Statistics, name }, if_exists)
    }

    fn alter_tablespace(&mut self) -> Result<Statement> {
        self.advance();
        let pos = self.pos();
        let name = self.col_id()?;
        let reset = self.is_kw(K::Reset);
        if reset || self.is_kw(K::Set) {
            self.advance();
            let options = self.reloptions()?;
            return Ok(Statement::AlterTablespace(P::new(AlterTablespaceStmt { name, reset, options })));
        }
        let name = ObjectName::unqualified(name, pos);
        self.alter_common(ObjectRef::Named { kind: ObjectKind::Tablespace, name }, false)
    }

    fn alter_event_trigger(&mut self) -> Result<Statement> {
        self.advance();
        self.expect_kw(K::Trigger)?;
        let pos = self.pos();
        let name = self.col_id()?;
        let mode = match self.kw() {
            Some(K::Disable) => EnableMode::Disable,
            Some(K::Enable) => match self.peek(1) {
                Tok::Kw(K::Replica) => EnableMode::Replica,
                Tok::Kw(K::Always) => EnableMode::Always,
                _ => EnableMode::Enable,
            },
            _ => {
                let name = ObjectName::unqualified(name, pos);
                return self.alter_common(ObjectRef::Named { kind: ObjectKind::EventTrigger, name }, false);
            }
        };
        self.at += if matches!(mode, EnableMode::Replica | EnableMode::Always) { 2 } else { 1 };
        Ok(Statement::AlterEventTrigger(P::new(AlterEventTriggerStmt { name, mode })))
    }
}
