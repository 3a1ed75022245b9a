//! The commands of ALTER TABLE and of its kin.

use ochre_base::{Error, Result, SqlState};

use super::{K, Parser};
use crate::ast::*;
use crate::lexer::Tok;

impl Parser<'_> {
    /// alter_table_cmds or partition_cmd.
    pub(super) fn alter_table_commands(&mut self, kind: ObjectKind) -> Result<Vec<AlterTableCommand>> {
        let pos = self.pos();
        if self.eat_words(&[K::Attach, K::Partition]) {
            let partition = self.qualified_name()?;
            let action = if kind == ObjectKind::Index {
                AlterTableAction::AttachIndexPartition(partition)
            } else {
                AlterTableAction::AttachPartition { partition, bound: self.partition_bound()? }
            };
            return Ok(vec![AlterTableCommand { action, pos }]);
        }
        if self.eat_words(&[K::Detach, K::Partition]) {
            let partition = self.qualified_name()?;
            let concurrently = self.eat_kw(K::Concurrently);
            let finalize = !concurrently && self.eat_kw(K::Finalize);
            let action = AlterTableAction::DetachPartition { partition, concurrently, finalize };
            return Ok(vec![AlterTableCommand { action, pos }]);
        }
        self.comma_list(|p| {
            let pos = p.pos();
            Ok(AlterTableCommand { action: p.alter_table_action()?, pos })
        })
    }

    /// alter_table_cmd.
    fn alter_table_action(&mut self) -> Result<AlterTableAction> {
        use AlterTableAction as A;
        let Some(kw) = self.kw() else { return Err(self.unexpected()) };
        self.advance();
        match kw {
            K::Add => self.alter_table_add(),
            K::Alter => self.alter_table_alter(),
            K::Drop => self.alter_table_drop(),
            K::Validate => {
                self.expect_kw(K::Constraint)?;
                Ok(A::ValidateConstraint(self.col_id()?))
            }
            K::Cluster => {
                self.expect_kw(K::On)?;
                Ok(A::ClusterOn(self.col_id()?))
            }
            K::Set => self.alter_table_set(),
            K::Reset => Ok(A::ResetOptions(self.reloptions()?)),
            K::Enable | K::Disable => self.enable_or_disable(kw == K::Enable),
            K::Force => {
                self.expect_words(&[K::Row, K::Level, K::Security])?;
                Ok(A::RowSecurity(RowSecurity::Force))
            }
            K::No if self.is_kw(K::Force) => {
                self.advance();
                self.expect_words(&[K::Row, K::Level, K::Security])?;
                Ok(A::RowSecurity(RowSecurity::NoForce))
            }
            K::No => {
                self.expect_kw(K::Inherit)?;
                Ok(A::NoInherit(self.qualified_name()?))
            }
            K::Inherit => Ok(A::Inherit(self.qualified_name()?)),
            K::Of => {
                let name = self.any_name()?;
                Ok(A::OfType(Self::type_from_object_name(name)))
            }
            K::Not => {
                self.expect_kw(K::Of)?;
                Ok(A::NotOf)
            }
            K::Owner => {
                self.expect_kw(K::To)?;
                Ok(A::Owner(self.role()?))
            }
            K::Replica => {
                self.expect_kw(K::Identity)?;
                self.replica_identity()
            }
            K::Options => {
                self.at -= 1;
                Ok(A::GenericOptions(self.alter_generic_options()?))
            }
            _ => {
                self.at -= 1;
                Err(self.unexpected())
            }
        }
    }

    fn alter_table_add(&mut self) -> Result<AlterTableAction> {
        if self.at_table_constraint() {
            return Ok(AlterTableAction::AddConstraint(P::new(self.table_constraint()?)));
        }
        self.eat_kw(K::Column);
        let if_not_exists = self.if_not_exists();
        let column = P::new(self.column_def()?);
        Ok(AlterTableAction::AddColumn { column, if_not_exists, behavior: Behavior::Restrict })
    }

    fn alter_table_drop(&mut self) -> Result<AlterTableAction> {
        if self.eat_kw(K::Constraint) {
            let if_exists = self.if_exists();
            let name = self.col_id()?;
            return Ok(AlterTableAction::DropConstraint { name, if_exists, behavior: self.behavior() });
        }
        self.eat_kw(K::Column);
        let if_exists = self.if_exists();
        let name = self.col_id()?;
        Ok(AlterTableAction::DropColumn { name, if_exists, behavior: self.behavior() })
    }

    fn alter_table_set(&mut self) -> Result<AlterTableAction> {
        use AlterTableAction as A;
        if self.is(Tok::LeftParen) {
            return Ok(A::SetOptions(self.reloptions()?));
        }
        let Some(kw) = self.kw() else { return Err(self.unexpected()) };
        match kw {
            K::Logged => {
                self.advance();
                Ok(A::SetLogged)
            }
            K::Unlogged => {
                self.advance();
                Ok(A::SetUnlogged)
            }
            K::Without => {
                self.advance();
                if self.eat_kw(K::Cluster) {
                    return Ok(A::SetWithoutCluster);
                }
                self.expect_kw(K::Oids)?;
                Ok(A::SetWithoutOids)
            }
            K::Access => {
                self.advance();
                self.expect_kw(K::Method)?;
                if self.eat_kw(K::Default) {
                    return Ok(A::SetAccessMethod(None));
                }
                Ok(A::SetAccessMethod(Some(self.col_id()?)))
            }
            K::Tablespace => {
                self.advance();
                Ok(A::SetTablespace(self.col_id()?))
            }
            _ => Err(self.unexpected()),
        }
    }

    fn enable_or_disable(&mut self, enable: bool) -> Result<AlterTableAction> {
        use AlterTableAction as A;
        if self.eat_words(&[K::Row, K::Level, K::Security]) {
            return Ok(A::RowSecurity(if enable { RowSecurity::Enable } else { RowSecurity::Disable }));
        }
        let mode = if !enable {
            EnableMode::Disable
        } else if self.eat_kw(K::Always) {
            EnableMode::Always
        } else if self.eat_kw(K::Replica) {
            EnableMode::Replica
        } else {
            EnableMode::Enable
        };
        if self.eat_kw(K::Rule) {
            return Ok(A::Rule { name: self.col_id()?, mode });
        }
        self.expect_kw(K::Trigger)?;
        let plain = matches!(mode, EnableMode::Enable | EnableMode::Disable);
        let which = if plain && self.eat_kw(K::All) {
            TriggerNames::All
        } else if plain && self.eat_kw(K::User) {
            TriggerNames::User
        } else {
            TriggerNames::Name(self.col_id()?)
        };
        Ok(A::Trigger { which, mode })
    }

    fn replica_identity(&mut self) -> Result<AlterTableAction> {
        let identity = if self.eat_kw(K::Nothing) {
            ReplicaIdentity::Nothing
        } else if self.eat_kw(K::Full) {
            ReplicaIdentity::Full
        } else if self.eat_kw(K::Default) {
            ReplicaIdentity::Default
        } else {
            self.expect_words(&[K::Using, K::Index])?;
            ReplicaIdentity::Index(self.col_id()?)
        };
        Ok(AlterTableAction::ReplicaIdentity(identity))
    }

    /// ALTER CONSTRAINT and ALTER [COLUMN].
    fn alter_table_alter(&mut self) -> Result<AlterTableAction> {
        if self.eat_kw(K::Constraint) {
            return self.alter_constraint();
        }
        self.eat_kw(K::Column);
        if self.is(Tok::Integer) {
            let pos = self.pos();
            let number = self.integer()?;
            self.expect_words(&[K::Set, K::Statistics])?;
            let target = self.statistics_target()?;
            if number <= 0 || number > i32::from(i16::MAX) {
                let message = format!("column number must be in range from 1 to {}", i16::MAX);
                return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message).at(pos.offset()));
            }
            return Ok(AlterTableAction::SetStatistics {
                column: ColumnByNameOrNumber::Number(number),
                target,
            });
        }
        let name = self.col_id()?;
        self.alter_column(name)
    }

    /// set_statistics_value.
    pub(super) fn statistics_target(&mut self) -> Result<Option<i32>> {
        if self.eat_kw(K::Default) { Ok(None) } else { Ok(Some(self.signed_integer()?)) }
    }

    fn alter_constraint(&mut self) -> Result<AlterTableAction> {
        let name = self.col_id()?;
        if self.eat_kw(K::Inherit) {
            return Ok(AlterTableAction::AlterConstraint(AlterConstraint {
                name,
                deferrable: None,
                initially_deferred: None,
                enforced: None,
                inherit: Some(true),
            }));
        }
        let given = self.constraint_attributes()?;
        if given.not_valid.is_some() {
            let message = "constraints cannot be altered to be NOT VALID";
            return Err(Self::unsupported(message, given.pos));
        }
        Ok(AlterTableAction::AlterConstraint(AlterConstraint {
            name,
            deferrable: given.deferrable,
            initially_deferred: given.initially_deferred,
            enforced: given.enforced,
            inherit: given.no_inherit.map(|_| false),
        }))
    }

    fn alter_column(&mut self, name: Name) -> Result<AlterTableAction> {
        use AlterTableAction as A;
        let Some(kw) = self.kw() else { return Err(self.unexpected()) };
        self.advance();
        match kw {
            K::Type => self.alter_column_type(name),
            K::Set => self.alter_column_set(name),
            K::Drop => match self.kw() {
                Some(K::Default) => {
                    self.advance();
                    Ok(A::ColumnDefault { name, default: None })
                }
                Some(K::Not) => {
                    self.advance();
                    self.expect_kw(K::Null)?;
                    Ok(A::DropNotNull(name))
                }
                Some(K::Expression) => {
                    self.advance();
                    let if_exists = self.if_exists();
                    Ok(A::DropExpression { name, if_exists })
                }
                Some(K::Identity) => {
                    self.advance();
                    let if_exists = self.if_exists();
                    Ok(A::DropIdentity { name, if_exists })
                }
                _ => Err(self.unexpected()),
            },
            K::Reset => Ok(A::ResetColumnOptions { name, options: self.reloptions()? }),
            K::Add => {
                self.expect_kw(K::Generated)?;
                let always = self.generated_always()?;
                self.expect_words(&[K::As, K::Identity])?;
                let options = if self.eat(Tok::LeftParen) {
                    let options = self.sequence_options()?;
                    self.expect(Tok::RightParen)?;
                    options
                } else {
                    Vec::new()
                };
                Ok(A::AddIdentity { name, always, options })
            }
            K::Restart => {
                self.at -= 1;
                self.alter_identity(name)
            }
            K::Options => {
                self.at -= 1;
                Ok(A::AlterColumnGenericOptions { name, options: self.alter_generic_options()? })
            }
            _ => {
                self.at -= 1;
                Err(self.unexpected())
            }
        }
    }

    /// generated_when: whether it is ALWAYS.
    fn generated_always(&mut self) -> Result<bool> {
        if self.eat_kw(K::Always) {
            return Ok(true);
        }
        self.expect_words(&[K::By, K::Default])?;
        Ok(false)
    }

    fn alter_column_type(&mut self, name: Name) -> Result<AlterTableAction> {
        let type_name = self.type_name()?;
        let collation = if self.eat_kw(K::Collate) { Some(self.any_name()?) } else { None };
        let using = if self.eat_kw(K::Using) { Some(self.expr()?) } else { None };
        let behavior = Behavior::Restrict;
        Ok(AlterTableAction::AlterColumnType { name, type_name, collation, using, behavior })
    }

    fn alter_column_set(&mut self, name: Name) -> Result<AlterTableAction> {
        use AlterTableAction as A;
        if self.is(Tok::LeftParen) {
            return Ok(A::SetColumnOptions { name, options: self.reloptions()? });
        }
        let Some(kw) = self.kw() else { return Err(self.unexpected()) };
        match kw {
            K::Data => {
                self.advance();
                self.expect_kw(K::Type)?;
                self.alter_column_type(name)
            }
            K::Default => {
                self.advance();
                Ok(A::ColumnDefault { name, default: Some(self.expr()?) })
            }
            K::Not => {
                self.advance();
                self.expect_kw(K::Null)?;
                Ok(A::SetNotNull(name))
            }
            K::Expression => {
                self.advance();
                self.expect_kw(K::As)?;
                Ok(A::SetExpression { name, expr: self.paren_expr()? })
            }
            K::Statistics => {
                self.advance();
                let target = self.statistics_target()?;
                Ok(A::SetStatistics { column: ColumnByNameOrNumber::Name(name), target })
            }
            K::Storage => {
                self.advance();
                let storage =
                    if self.eat_kw(K::Default) { Name::from_static("default") } else { self.col_id()? };
                Ok(A::SetStorage { name, storage })
            }
            K::Compression => {
                self.advance();
                let method =
                    if self.eat_kw(K::Default) { Name::from_static("default") } else { self.col_id()? };
                Ok(A::SetCompression { name, method })
            }
            _ => {
                self.at -= 1;
                self.alter_identity(name)
            }
        }
    }

    /// alter_identity_column_option_list.
    fn alter_identity(&mut self, name: Name) -> Result<AlterTableAction> {
        let mut options = Vec::new();
        loop {
            let pos = self.pos();
            if self.eat_kw(K::Restart) {
                let with = self.eat_kw(K::With);
                let number = matches!(self.tok(), Tok::Integer | Tok::Numeric | Tok::Plus | Tok::Minus);
                let value = if with || number { Some(self.numeric()?) } else { None };
                let option = SequenceOption { kind: SequenceOptionKind::Restart(value), pos };
                options.push(AlterIdentityOption::Sequence(option));
            } else if self.eat_kw(K::Set) {
                if self.eat_kw(K::Generated) {
                    options.push(AlterIdentityOption::Generated { always: self.generated_always()? });
                } else if let Some(option) = self.sequence_option()? {
                    options.push(AlterIdentityOption::Sequence(option));
                } else {
                    return Err(self.unexpected());
                }
            } else if options.is_empty() {
                return Err(self.unexpected());
            } else {
                return Ok(AlterTableAction::SetIdentity { name, options });
            }
        }
    }

    /// alter_type_cmds: attributes of a composite type.
    pub(super) fn alter_attributes(&mut self) -> Result<Vec<AlterTableCommand>> {
        self.comma_list(|p| {
            let pos = p.pos();
            Ok(AlterTableCommand { action: p.alter_attribute()?, pos })
        })
    }

    fn alter_attribute(&mut self) -> Result<AlterTableAction> {
        if self.eat_words(&[K::Add, K::Attribute]) {
            let pos = self.pos();
            let name = self.col_id()?;
            let type_name = self.type_name()?;
            let collation = if self.eat_kw(K::Collate) { Some(self.any_name()?) } else { None };
            let column = P::new(ColumnDef { collation, ..ColumnDef::new(name, Some(type_name), pos) });
            return Ok(AlterTableAction::AddColumn {
                column,
                if_not_exists: false,
                behavior: self.behavior(),
            });
        }
        if self.eat_words(&[K::Drop, K::Attribute]) {
            let if_exists = self.if_exists();
            let name = self.col_id()?;
            return Ok(AlterTableAction::DropColumn { name, if_exists, behavior: self.behavior() });
        }
        self.expect_words(&[K::Alter, K::Attribute])?;
        let name = self.col_id()?;
        if self.eat_kw(K::Set) {
            self.expect_kw(K::Data)?;
        }
        self.expect_kw(K::Type)?;
        let type_name = self.type_name()?;
        let collation = if self.eat_kw(K::Collate) { Some(self.any_name()?) } else { None };
        let behavior = self.behavior();
        Ok(AlterTableAction::AlterColumnType { name, type_name, collation, using: None, behavior })
    }
}
