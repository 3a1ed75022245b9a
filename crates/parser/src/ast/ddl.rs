//! Objects of every kind: names of them, DROP, RENAME, OWNER, SCHEMA; namespaces, databases, types, foreign data,
//! replication.

use super::{
    ColumnConstraint, ColumnDef, DefElem, Expr, GenericOption, Name, NumericValue, ObjectName,
    OperatorSignature, Pos, Relation, RoleSpec, RoutineSignature, SetStmt, Statement, TableConstraint,
    TypeName,
};

/// CASCADE or RESTRICT; RESTRICT where neither is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Behavior {
    #[default]
    Restrict,
    Cascade,
}

/// A kind of object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ObjectKind {
    AccessMethod,
    Aggregate,
    Cast,
    Collation,
    Column,
    Constraint,
    Conversion,
    Database,
    Domain,
    EventTrigger,
    Extension,
    ForeignDataWrapper,
    ForeignTable,
    Function,
    Index,
    Language,
    LargeObject,
    MaterializedView,
    Operator,
    OperatorClass,
    OperatorFamily,
    Parameter,
    Policy,
    Procedure,
    Publication,
    Role,
    Routine,
    Rule,
    Schema,
    Sequence,
    Server,
    Statistics,
    Subscription,
    Table,
    Tablespace,
    TextSearchConfiguration,
    TextSearchDictionary,
    TextSearchParser,
    TextSearchTemplate,
    Transform,
    Trigger,
    Type,
    View,
}

impl ObjectKind {
    /// The words of the grammar, for instance `MATERIALIZED VIEW`.
    pub fn as_sql(self) -> &'static str {
        match self {
            ObjectKind::AccessMethod => "ACCESS METHOD",
            ObjectKind::Aggregate => "AGGREGATE",
            ObjectKind::Cast => "CAST",
            ObjectKind::Collation => "COLLATION",
            ObjectKind::Column => "COLUMN",
            ObjectKind::Constraint => "CONSTRAINT",
            ObjectKind::Conversion => "CONVERSION",
            ObjectKind::Database => "DATABASE",
            ObjectKind::Domain => "DOMAIN",
            ObjectKind::EventTrigger => "EVENT TRIGGER",
            ObjectKind::Extension => "EXTENSION",
            ObjectKind::ForeignDataWrapper => "FOREIGN DATA WRAPPER",
            ObjectKind::ForeignTable => "FOREIGN TABLE",
            ObjectKind::Function => "FUNCTION",
            ObjectKind::Index => "INDEX",
            ObjectKind::Language => "LANGUAGE",
            ObjectKind::LargeObject => "LARGE OBJECT",
            ObjectKind::MaterializedView => "MATERIALIZED VIEW",
            ObjectKind::Operator => "OPERATOR",
            ObjectKind::OperatorClass => "OPERATOR CLASS",
            ObjectKind::OperatorFamily => "OPERATOR FAMILY",
            ObjectKind::Parameter => "PARAMETER",
            ObjectKind::Policy => "POLICY",
            ObjectKind::Procedure => "PROCEDURE",
            ObjectKind::Publication => "PUBLICATION",
            ObjectKind::Role => "ROLE",
            ObjectKind::Routine => "ROUTINE",
            ObjectKind::Rule => "RULE",
            ObjectKind::Schema => "SCHEMA",
            ObjectKind::Sequence => "SEQUENCE",
            ObjectKind::Server => "SERVER",
            ObjectKind::Statistics => "STATISTICS",
            ObjectKind::Subscription => "SUBSCRIPTION",
            ObjectKind::Table => "TABLE",
            ObjectKind::Tablespace => "TABLESPACE",
            ObjectKind::TextSearchConfiguration => "TEXT SEARCH CONFIGURATION",
            ObjectKind::TextSearchDictionary => "TEXT SEARCH DICTIONARY",
            ObjectKind::TextSearchParser => "TEXT SEARCH PARSER",
            ObjectKind::TextSearchTemplate => "TEXT SEARCH TEMPLATE",
            ObjectKind::Transform => "TRANSFORM",
            ObjectKind::Trigger => "TRIGGER",
            ObjectKind::Type => "TYPE",
            ObjectKind::View => "VIEW",
        }
    }
}

/// An object that a command is about.
#[derive(Debug, Clone, PartialEq)]
pub enum ObjectRef {
    /// Anything that has just a name.
    Named {
        kind: ObjectKind,
        name: ObjectName,
    },
    /// `COLUMN relation.column`.
    Column {
        relation: ObjectName,
        column: Name,
    },
    /// TYPE or DOMAIN.
    Type {
        kind: ObjectKind,
        type_name: TypeName,
    },
    /// FUNCTION, PROCEDURE, ROUTINE or AGGREGATE.
    Routine {
        kind: ObjectKind,
        signature: RoutineSignature,
    },
    Operator(OperatorSignature),
    /// OPERATOR CLASS or FAMILY with USING.
    OperatorSet {
        kind: ObjectKind,
        name: ObjectName,
        method: Name,
    },
    /// CONSTRAINT, POLICY, RULE, TRIGGER `name ON table`.
    OnTable {
        kind: ObjectKind,
        name: Name,
        table: ObjectName,
    },
    DomainConstraint {
        name: Name,
        domain: ObjectName,
    },
    Cast {
        source: TypeName,
        target: TypeName,
    },
    Transform {
        type_name: TypeName,
        language: Name,
    },
    LargeObject(NumericValue),
}

/// DROP of one or more objects of one kind.
#[derive(Debug, Clone, PartialEq)]
pub struct DropStmt {
    pub kind: ObjectKind,
    pub objects: Vec<ObjectRef>,
    pub if_exists: bool,
    pub behavior: Behavior,
    /// DROP INDEX CONCURRENTLY.
    pub concurrently: bool,
}

/// ALTER … RENAME.
#[derive(Debug, Clone, PartialEq)]
pub struct RenameStmt {
    pub target: RenameTarget,
    pub new_name: Name,
    pub if_exists: bool,
    /// Of attributes.
    pub behavior: Behavior,
}

#[derive(Debug, Clone, PartialEq)]
pub enum RenameTarget {
    Object(ObjectRef),
    /// TABLE, INDEX, SEQUENCE, VIEW, MATERIALIZED VIEW, FOREIGN TABLE.
    Relation {
        kind: ObjectKind,
        relation: Relation,
    },
    Column {
        kind: ObjectKind,
        relation: Relation,
        column: Name,
    },
    TableConstraint {
        relation: Relation,
        constraint: Name,
    },
    /// An attribute of a composite type.
    Attribute {
        type_name: ObjectName,
        attribute: Name,
    },
}

/// ALTER … SET SCHEMA.
#[derive(Debug, Clone, PartialEq)]
pub struct AlterObjectSchemaStmt {
    pub object: ObjectRef,
    /// `ONLY` is read before relations and means nothing here.
    pub only: bool,
    pub schema: Name,
    pub if_exists: bool,
}

/// ALTER … OWNER TO, for everything that is not a relation.
#[derive(Debug, Clone, PartialEq)]
pub struct AlterOwnerStmt {
    pub object: ObjectRef,
    pub owner: RoleSpec,
}

/// ALTER … [NO] DEPENDS ON EXTENSION.
#[derive(Debug, Clone, PartialEq)]
pub struct AlterObjectDependsStmt {
    pub object: ObjectRef,
    pub remove: bool,
    pub extension: Name,
}

#[derive(Debug, Clone, PartialEq)]
pub struct CreateSchemaStmt {
    /// Absent with only AUTHORIZATION: the role's name.
    pub name: Option<Name>,
    pub authorization: Option<RoleSpec>,
    pub if_not_exists: bool,
    /// CREATE TABLE, INDEX, SEQUENCE, VIEW, TRIGGER and GRANT statements in it.
    pub elements: Vec<Statement>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct CreateDatabaseStmt {
    pub name: Name,
    /// With names in lower case; a missing value is DEFAULT.
    pub options: Vec<DefElem>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct AlterDatabaseStmt {
    pub name: Name,
    pub action: AlterDatabaseAction,
}

#[derive(Debug, Clone, PartialEq)]
pub enum AlterDatabaseAction {
    /// Also `SET TABLESPACE`, as option `tablespace`.
    Options(Vec<DefElem>),
    Set(SetStmt),
    RefreshCollationVersion,
}

#[derive(Debug, Clone, PartialEq)]
pub struct DropDatabaseStmt {
    pub name: Name,
    pub if_exists: bool,
    /// `WITH (FORCE)`.
    pub options: Vec<DefElem>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct CreateTablespaceStmt {
    pub name: Name,
    pub owner: Option<RoleSpec>,
    pub location: Box<str>,
    pub options: Vec<DefElem>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct AlterTablespaceStmt {
    pub name: Name,
    pub reset: bool,
    pub options: Vec<DefElem>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct DropTablespaceStmt {
    pub name: Name,
    pub if_exists: bool,
}

/// Composite, enum and range types.
#[derive(Debug, Clone, PartialEq)]
pub struct CreateTypeStmt {
    pub name: ObjectName,
    pub kind: CreateTypeKind,
}

#[derive(Debug, Clone, PartialEq)]
pub enum CreateTypeKind {
    Composite(Vec<ColumnDef>),
    Enum(Vec<Box<str>>),
    Range(Vec<DefElem>),
}

/// `ALTER TYPE name SET (options)`.
#[derive(Debug, Clone, PartialEq)]
pub struct AlterTypeStmt {
    pub name: ObjectName,
    pub options: Vec<DefElem>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct AlterEnumStmt {
    pub name: ObjectName,
    pub action: AlterEnumAction,
}

#[derive(Debug, Clone, PartialEq)]
pub enum AlterEnumAction {
    Add { value: Box<str>, if_not_exists: bool, place: Option<EnumPlace> },
    Rename { from: Box<str>, to: Box<str> },
}

#[derive(Debug, Clone, PartialEq)]
pub enum EnumPlace {
    Before(Box<str>),
    After(Box<str>),
}

#[derive(Debug, Clone, PartialEq)]
pub struct CreateDomainStmt {
    pub name: ObjectName,
    pub type_name: TypeName,
    pub collation: Option<ObjectName>,
    pub constraints: Vec<ColumnConstraint>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct AlterDomainStmt {
    pub name: ObjectName,
    pub action: AlterDomainAction,
}

#[derive(Debug, Clone, PartialEq)]
pub enum AlterDomainAction {
    /// `None` for DROP DEFAULT.
    Default(Option<Expr>),
    SetNotNull,
    DropNotNull,
    AddConstraint(TableConstraint),
    DropConstraint {
        name: Name,
        if_exists: bool,
        behavior: Behavior,
    },
    ValidateConstraint(Name),
}

#[derive(Debug, Clone, PartialEq)]
pub struct CreateAssertionStmt {
    pub name: ObjectName,
    pub check: Expr,
}

#[derive(Debug, Clone, PartialEq)]
pub struct CreateExtensionStmt {
    pub name: Name,
    pub if_not_exists: bool,
    /// `schema`, `new_version`, `cascade`.
    pub options: Vec<DefElem>,
}

/// `ALTER EXTENSION name UPDATE [TO version]`.
#[derive(Debug, Clone, PartialEq)]
pub struct AlterExtensionStmt {
    pub name: Name,
    pub options: Vec<DefElem>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct AlterExtensionContentsStmt {
    pub name: Name,
    pub add: bool,
    pub object: ObjectRef,
}

#[derive(Debug, Clone, PartialEq)]
pub struct AlterTextSearchDictionaryStmt {
    pub name: ObjectName,
    pub options: Vec<DefElem>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct AlterTextSearchConfigurationStmt {
    pub name: ObjectName,
    pub action: TextSearchMapping,
}

#[derive(Debug, Clone, PartialEq)]
pub enum TextSearchMapping {
    /// ADD (or, with `alter`, ALTER) MAPPING FOR tokens WITH dictionaries.
    Set {
        alter: bool,
        tokens: Vec<Name>,
        dictionaries: Vec<ObjectName>,
    },
    /// ALTER MAPPING [FOR tokens] REPLACE old WITH new.
    Replace {
        tokens: Vec<Name>,
        old: ObjectName,
        new: ObjectName,
    },
    Drop {
        tokens: Vec<Name>,
        if_exists: bool,
    },
}

#[derive(Debug, Clone, PartialEq)]
pub struct CreateForeignDataWrapperStmt {
    pub name: Name,
    pub handlers: Vec<FdwHandler>,
    pub options: Vec<GenericOption>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum FdwHandler {
    Handler(ObjectName),
    NoHandler,
    Validator(ObjectName),
    NoValidator,
}

#[derive(Debug, Clone, PartialEq)]
pub struct AlterForeignDataWrapperStmt {
    pub name: Name,
    pub handlers: Vec<FdwHandler>,
    pub options: Vec<GenericOption>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct CreateServerStmt {
    pub name: Name,
    pub if_not_exists: bool,
    pub server_type: Option<Box<str>>,
    /// `VERSION NULL` is `None` too.
    pub version: Option<Box<str>>,
    pub wrapper: Name,
    pub options: Vec<GenericOption>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct AlterServerStmt {
    pub name: Name,
    /// The outer option: whether VERSION was given.
    pub version: Option<Option<Box<str>>>,
    pub options: Vec<GenericOption>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct CreateUserMappingStmt {
    pub if_not_exists: bool,
    pub user: RoleSpec,
    pub server: Name,
    pub options: Vec<GenericOption>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct AlterUserMappingStmt {
    pub user: RoleSpec,
    pub server: Name,
    pub options: Vec<GenericOption>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct DropUserMappingStmt {
    pub if_exists: bool,
    pub user: RoleSpec,
    pub server: Name,
}

#[derive(Debug, Clone, PartialEq)]
pub struct ImportForeignSchemaStmt {
    pub remote_schema: Name,
    pub filter: ImportFilter,
    pub server: Name,
    pub local_schema: Name,
    pub options: Vec<GenericOption>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum ImportFilter {
    All,
    LimitTo(Vec<ObjectName>),
    Except(Vec<ObjectName>),
}

#[derive(Debug, Clone, PartialEq)]
pub struct CreatePublicationStmt {
    pub name: Name,
    pub all_tables: bool,
    pub objects: Vec<PublicationObject>,
    pub options: Vec<DefElem>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum PublicationObject {
    Table {
        relation: Relation,
        columns: Vec<Name>,
        where_clause: Option<Expr>,
        pos: Pos,
    },
    /// `TABLES IN SCHEMA name`; `None` is CURRENT_SCHEMA.
    Schema(Option<Name>, Pos),
}

#[derive(Debug, Clone, PartialEq)]
pub struct AlterPublicationStmt {
    pub name: Name,
    pub action: AlterPublicationAction,
}

#[derive(Debug, Clone, PartialEq)]
pub enum AlterPublicationAction {
    Options(Vec<DefElem>),
    Add(Vec<PublicationObject>),
    Set(Vec<PublicationObject>),
    Drop(Vec<PublicationObject>),
}

#[derive(Debug, Clone, PartialEq)]
pub struct CreateSubscriptionStmt {
    pub name: Name,
    pub connection: Box<str>,
    pub publications: Vec<Name>,
    pub options: Vec<DefElem>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct AlterSubscriptionStmt {
    pub name: Name,
    pub action: AlterSubscriptionAction,
}

#[derive(Debug, Clone, PartialEq)]
pub enum AlterSubscriptionAction {
    Options(Vec<DefElem>),
    Connection(Box<str>),
    Refresh(Vec<DefElem>),
    AddPublication(Vec<Name>, Vec<DefElem>),
    DropPublication(Vec<Name>, Vec<DefElem>),
    SetPublication(Vec<Name>, Vec<DefElem>),
    Enable,
    Disable,
    /// `SKIP (lsn = …)`.
    Skip(Vec<DefElem>),
}

#[derive(Debug, Clone, PartialEq)]
pub struct DropSubscriptionStmt {
    pub name: Name,
    pub if_exists: bool,
    pub behavior: Behavior,
}
