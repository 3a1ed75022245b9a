//! Names of objects, ALTER TABLE, and the common ALTERs and DROPs.

use super::Printer;
use crate::ast::*;

impl Printer {
    /// An object with the words of its kind.
    pub(super) fn object(&mut self, object: &ObjectRef) {
        let kind = match object {
            ObjectRef::Named { kind, .. }
            | ObjectRef::Type { kind, .. }
            | ObjectRef::Routine { kind, .. }
            | ObjectRef::OperatorSet { kind, .. }
            | ObjectRef::OnTable { kind, .. } => *kind,
            ObjectRef::Column { .. } => ObjectKind::Column,
            ObjectRef::Operator(_) => ObjectKind::Operator,
            ObjectRef::DomainConstraint { .. } => ObjectKind::Constraint,
            ObjectRef::Cast { .. } => ObjectKind::Cast,
            ObjectRef::Transform { .. } => ObjectKind::Transform,
            ObjectRef::LargeObject(_) => ObjectKind::LargeObject,
        };
        self.word(kind.as_sql());
        self.bare_object(object);
    }

    /// An object without the words of its kind.
    fn bare_object(&mut self, object: &ObjectRef) {
        match object {
            ObjectRef::Named { name, .. } => self.object_name(name),
            ObjectRef::Column { relation, column } => {
                self.object_name(relation);
                self.joint(".");
                self.name(column);
            }
            ObjectRef::Type { type_name, .. } => self.type_name(type_name),
            ObjectRef::Routine { signature, .. } => self.routine_signature(signature),
            ObjectRef::Operator(signature) => self.operator_signature(signature),
            ObjectRef::OperatorSet { name, method, .. } => {
                self.object_name(name);
                self.words_and_name("USING", method);
            }
            ObjectRef::OnTable { name, table, .. } => {
                self.name(name);
                self.word("ON");
                self.object_name(table);
            }
            ObjectRef::DomainConstraint { name, domain } => {
                self.name(name);
                self.word("ON DOMAIN");
                self.object_name(domain);
            }
            ObjectRef::Cast { source, target } => self.cast_types(source, target),
            ObjectRef::Transform { type_name, language } => {
                self.word("FOR");
                self.type_name(type_name);
                self.words_and_name("LANGUAGE", language);
            }
            ObjectRef::LargeObject(number) => self.number(number),
        }
    }

    pub(super) fn cast_types(&mut self, source: &TypeName, target: &TypeName) {
        self.parens(|p| {
            p.type_name(source);
            p.word("AS");
            p.type_name(target);
        });
    }

    pub(super) fn drop_objects(&mut self, stmt: &DropStmt) {
        self.word("DROP");
        self.word(stmt.kind.as_sql());
        self.word_if(stmt.concurrently, "CONCURRENTLY");
        self.word_if(stmt.if_exists, "IF EXISTS");
        self.list(&stmt.objects, |p, object| p.bare_object(object));
        self.behavior(stmt.behavior);
    }

    pub(super) fn rename(&mut self, stmt: &RenameStmt) {
        self.word("ALTER");
        let if_exists = |p: &mut Self| p.word_if(stmt.if_exists, "IF EXISTS");
        match &stmt.target {
            RenameTarget::Object(ObjectRef::DomainConstraint { name, domain }) => {
                self.word("DOMAIN");
                self.object_name(domain);
                self.words_and_name("RENAME CONSTRAINT", name);
                self.word("TO");
            }
            RenameTarget::Object(object) => {
                if stmt.if_exists {
                    // Only of kinds that are named without more words: POLICY, STATISTICS.
                    if let ObjectRef::Named { kind, .. } | ObjectRef::OnTable { kind, .. } = object {
                        self.word(kind.as_sql());
                    }
                    self.word("IF EXISTS");
                    self.bare_object(object);
                } else {
                    self.object(object);
                }
                self.word("RENAME TO");
            }
            RenameTarget::Relation { kind, relation } => {
                self.word(kind.as_sql());
                if_exists(self);
                self.relation(relation);
                self.word("RENAME TO");
            }
            RenameTarget::Column { kind, relation, column } => {
                self.word(kind.as_sql());
                if_exists(self);
                self.relation(relation);
                self.words_and_name("RENAME COLUMN", column);
                self.word("TO");
            }
            RenameTarget::TableConstraint { relation, constraint } => {
                self.word("TABLE");
                if_exists(self);
                self.relation(relation);
                self.words_and_name("RENAME CONSTRAINT", constraint);
                self.word("TO");
            }
            RenameTarget::Attribute { type_name, attribute } => {
                self.word("TYPE");
                self.object_name(type_name);
                self.words_and_name("RENAME ATTRIBUTE", attribute);
                self.word("TO");
            }
        }
        self.name(&stmt.new_name);
        self.behavior(stmt.behavior);
    }

    pub(super) fn alter_object_schema(&mut self, stmt: &AlterObjectSchemaStmt) {
        self.word("ALTER");
        if let (true, ObjectRef::Named { kind, .. }) = (stmt.if_exists || stmt.only, &stmt.object) {
            self.word(kind.as_sql());
            self.word_if(stmt.if_exists, "IF EXISTS");
            self.word_if(stmt.only, "ONLY");
            self.bare_object(&stmt.object);
        } else {
            self.object(&stmt.object);
        }
        self.words_and_name("SET SCHEMA", &stmt.schema);
    }

    pub(super) fn alter_owner(&mut self, stmt: &AlterOwnerStmt) {
        self.word("ALTER");
        self.object(&stmt.object);
        self.word("OWNER TO");
        self.role(&stmt.owner);
    }

    pub(super) fn alter_object_depends(&mut self, stmt: &AlterObjectDependsStmt) {
        self.word("ALTER");
        self.object(&stmt.object);
        self.word_if(stmt.remove, "NO");
        self.words_and_name("DEPENDS ON EXTENSION", &stmt.extension);
    }

    pub(super) fn alter_table(&mut self, stmt: &AlterTableStmt) {
        self.word("ALTER");
        self.word(stmt.kind.as_sql());
        self.word_if(stmt.if_exists, "IF EXISTS");
        self.relation(&stmt.relation);
        let attribute = stmt.kind == ObjectKind::Type;
        self.list(&stmt.commands, |p, command| p.alter_table_action(&command.action, attribute));
    }

    fn alter_table_action(&mut self, action: &AlterTableAction, attribute: bool) {
        use AlterTableAction as A;
        let column = if attribute { "ATTRIBUTE" } else { "COLUMN" };
        match action {
            A::AddColumn { column: definition, if_not_exists, behavior } => {
                self.word("ADD");
                self.word(column);
                self.word_if(*if_not_exists, "IF NOT EXISTS");
                self.column_def(definition);
                self.behavior(*behavior);
            }
            A::DropColumn { name, if_exists, behavior } => {
                self.word("DROP");
                self.word(column);
                self.word_if(*if_exists, "IF EXISTS");
                self.name(name);
                self.behavior(*behavior);
            }
            A::AlterColumnType { name, type_name, collation, using, behavior } => {
                self.word("ALTER");
                self.words_and_name(column, name);
                self.word("TYPE");
                self.type_name(type_name);
                self.collation(collation.as_ref());
                if let Some(using) = using {
                    self.word("USING");
                    self.expr(using);
                }
                self.behavior(*behavior);
            }
            A::AddConstraint(constraint) => {
                self.word("ADD");
                self.table_constraint(constraint);
            }
            A::AlterConstraint(constraint) => self.alter_constraint(constraint),
            A::ValidateConstraint(name) => self.words_and_name("VALIDATE CONSTRAINT", name),
            A::DropConstraint { name, if_exists, behavior } => {
                self.word("DROP CONSTRAINT");
                self.word_if(*if_exists, "IF EXISTS");
                self.name(name);
                self.behavior(*behavior);
            }
            A::ClusterOn(name) => self.words_and_name("CLUSTER ON", name),
            A::SetWithoutCluster => self.word("SET WITHOUT CLUSTER"),
            A::SetWithoutOids => self.word("SET WITHOUT OIDS"),
            A::SetLogged => self.word("SET LOGGED"),
            A::SetUnlogged => self.word("SET UNLOGGED"),
            A::Trigger { which, mode } => {
                self.enable_mode(*mode);
                match which {
                    TriggerNames::Name(name) => self.words_and_name("TRIGGER", name),
                    TriggerNames::All => self.word("TRIGGER ALL"),
                    TriggerNames::User => self.word("TRIGGER USER"),
                }
            }
            A::Rule { name, mode } => {
                self.enable_mode(*mode);
                self.words_and_name("RULE", name);
            }
            A::Inherit(parent) => self.words_and_object("INHERIT", parent),
            A::NoInherit(parent) => self.words_and_object("NO INHERIT", parent),
            A::OfType(name) => {
                self.word("OF");
                self.parts(&name.parts);
            }
            A::NotOf => self.word("NOT OF"),
            A::Owner(role) => {
                self.word("OWNER TO");
                self.role(role);
            }
            A::SetAccessMethod(Some(method)) => self.words_and_name("SET ACCESS METHOD", method),
            A::SetAccessMethod(None) => self.word("SET ACCESS METHOD DEFAULT"),
            A::SetTablespace(name) => self.words_and_name("SET TABLESPACE", name),
            A::SetOptions(options) => {
                self.word("SET");
                self.definition(options);
            }
            A::ResetOptions(options) => {
                self.word("RESET");
                self.definition(options);
            }
            A::ReplicaIdentity(identity) => {
                self.word("REPLICA IDENTITY");
                match identity {
                    ReplicaIdentity::Default => self.word("DEFAULT"),
                    ReplicaIdentity::Full => self.word("FULL"),
                    ReplicaIdentity::Nothing => self.word("NOTHING"),
                    ReplicaIdentity::Index(name) => self.words_and_name("USING INDEX", name),
                }
            }
            A::RowSecurity(security) => self.word(match security {
                RowSecurity::Enable => "ENABLE ROW LEVEL SECURITY",
                RowSecurity::Disable => "DISABLE ROW LEVEL SECURITY",
                RowSecurity::Force => "FORCE ROW LEVEL SECURITY",
                RowSecurity::NoForce => "NO FORCE ROW LEVEL SECURITY",
            }),
            A::GenericOptions(options) => self.generic_options(options),
            A::AttachPartition { partition, bound } => {
                self.words_and_object("ATTACH PARTITION", partition);
                self.partition_bound(bound);
            }
            A::AttachIndexPartition(partition) => self.words_and_object("ATTACH PARTITION", partition),
            A::DetachPartition { partition, concurrently, finalize } => {
                self.words_and_object("DETACH PARTITION", partition);
                self.word_if(*concurrently, "CONCURRENTLY");
                self.word_if(*finalize, "FINALIZE");
            }
            A::SetStatistics { column, target } => {
                self.word("ALTER COLUMN");
                match column {
                    ColumnByNameOrNumber::Name(name) => self.name(name),
                    ColumnByNameOrNumber::Number(number) => self.word(&number.to_string()),
                }
                self.word("SET STATISTICS");
                self.statistics_target(*target);
            }
            column_action => self.alter_column(column_action),
        }
    }

    pub(super) fn statistics_target(&mut self, target: Option<i32>) {
        match target {
            Some(target) => self.word(&target.to_string()),
            None => self.word("DEFAULT"),
        }
    }

    /// The actions that all begin with ALTER COLUMN and the column's name.
    fn alter_column(&mut self, action: &AlterTableAction) {
        use AlterTableAction as A;
        let column = |p: &mut Self, name: &Name, words: &str| {
            p.words_and_name("ALTER COLUMN", name);
            p.word(words);
        };
        match action {
            A::ColumnDefault { name, default: Some(default) } => {
                column(self, name, "SET DEFAULT");
                self.expr(default);
            }
            A::ColumnDefault { name, default: None } => column(self, name, "DROP DEFAULT"),
            A::SetNotNull(name) => column(self, name, "SET NOT NULL"),
            A::DropNotNull(name) => column(self, name, "DROP NOT NULL"),
            A::SetExpression { name, expr } => {
                column(self, name, "SET EXPRESSION AS");
                self.parens(|p| p.expr(expr));
            }
            A::DropExpression { name, if_exists } => {
                column(self, name, "DROP EXPRESSION");
                self.word_if(*if_exists, "IF EXISTS");
            }
            A::SetColumnOptions { name, options } => {
                column(self, name, "SET");
                self.definition(options);
            }
            A::ResetColumnOptions { name, options } => {
                column(self, name, "RESET");
                self.definition(options);
            }
            A::SetStorage { name, storage } => {
                column(self, name, "SET STORAGE");
                self.name_or_default(storage);
            }
            A::SetCompression { name, method } => {
                column(self, name, "SET COMPRESSION");
                self.name_or_default(method);
            }
            A::AddIdentity { name, always, options } => {
                column(self, name, "ADD GENERATED");
                self.word(if *always { "ALWAYS AS IDENTITY" } else { "BY DEFAULT AS IDENTITY" });
                if !options.is_empty() {
                    self.parens(|p| p.sequence_options(options));
                }
            }
            A::SetIdentity { name, options } => {
                self.words_and_name("ALTER COLUMN", name);
                for option in options {
                    match option {
                        AlterIdentityOption::Generated { always: true } => self.word("SET GENERATED ALWAYS"),
                        AlterIdentityOption::Generated { always: false } => {
                            self.word("SET GENERATED BY DEFAULT")
                        }
                        AlterIdentityOption::Sequence(option) => {
                            let restart = matches!(option.kind, SequenceOptionKind::Restart(_));
                            self.word_if(!restart, "SET");
                            self.sequence_option(option);
                        }
                    }
                }
            }
            A::DropIdentity { name, if_exists } => {
                column(self, name, "DROP IDENTITY");
                self.word_if(*if_exists, "IF EXISTS");
            }
            A::AlterColumnGenericOptions { name, options } => {
                self.words_and_name("ALTER COLUMN", name);
                self.generic_options(options);
            }
            _ => {}
        }
    }

    fn alter_constraint(&mut self, constraint: &AlterConstraint) {
        self.words_and_name("ALTER CONSTRAINT", &constraint.name);
        let mut flag = |value: Option<bool>, yes: &str, no: &str| {
            if let Some(value) = value {
                self.word(if value { yes } else { no });
            }
        };
        flag(constraint.deferrable, "DEFERRABLE", "NOT DEFERRABLE");
        flag(constraint.initially_deferred, "INITIALLY DEFERRED", "INITIALLY IMMEDIATE");
        flag(constraint.enforced, "ENFORCED", "NOT ENFORCED");
        flag(constraint.inherit, "INHERIT", "NO INHERIT");
    }

    fn enable_mode(&mut self, mode: EnableMode) {
        self.word(match mode {
            EnableMode::Enable => "ENABLE",
            EnableMode::Always => "ENABLE ALWAYS",
            EnableMode::Replica => "ENABLE REPLICA",
            EnableMode::Disable => "DISABLE",
        });
    }

    pub(super) fn words_and_object(&mut self, words: &str, name: &ObjectName) {
        self.word(words);
        self.object_name(name);
    }

    pub(super) fn alter_table_move_all(&mut self, stmt: &AlterTableMoveAllStmt) {
        self.word("ALTER");
        self.word(stmt.kind.as_sql());
        self.words_and_name("ALL IN TABLESPACE", &stmt.tablespace);
        if !stmt.owned_by.is_empty() {
            self.word("OWNED BY");
            self.roles(&stmt.owned_by);
        }
        self.words_and_name("SET TABLESPACE", &stmt.new_tablespace);
        self.word_if(stmt.nowait, "NOWAIT");
    }

    pub(super) fn alter_event_trigger(&mut self, stmt: &AlterEventTriggerStmt) {
        self.words_and_name("ALTER EVENT TRIGGER", &stmt.name);
        self.enable_mode(stmt.mode);
    }

    pub(super) fn alter_domain(&mut self, stmt: &AlterDomainStmt) {
        use AlterDomainAction as A;
        self.words_and_object("ALTER DOMAIN", &stmt.name);
        match &stmt.action {
            A::Default(Some(expr)) => {
                self.word("SET DEFAULT");
                self.expr(expr);
            }
            A::Default(None) => self.word("DROP DEFAULT"),
            A::SetNotNull => self.word("SET NOT NULL"),
            A::DropNotNull => self.word("DROP NOT NULL"),
            A::AddConstraint(constraint) => {
                self.word("ADD");
                if let TableConstraintKind::NotNull(_) = constraint.kind {
                    if let Some(name) = &constraint.name {
                        self.words_and_name("CONSTRAINT", name);
                    }
                    self.word("NOT NULL");
                    self.constraint_attributes(constraint.attributes);
                } else {
                    self.table_constraint(constraint);
                }
            }
            A::DropConstraint { name, if_exists, behavior } => {
                self.word("DROP CONSTRAINT");
                self.word_if(*if_exists, "IF EXISTS");
                self.name(name);
                self.behavior(*behavior);
            }
            A::ValidateConstraint(name) => self.words_and_name("VALIDATE CONSTRAINT", name),
        }
    }
}
