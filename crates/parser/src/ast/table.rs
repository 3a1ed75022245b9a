//! Tables, indexes, sequences, views and the commands on them.

use super::{
    Behavior, DefElem, Expr, IntoClause, Name, NullsOrder, ObjectKind, ObjectName, P, Persistence, Pos,
    Relation, RoleSpec, SelectStmt, SortDirection, Statement, TypeName,
};

/// `CREATE [FOREIGN] TABLE`.
#[derive(Debug, Clone, PartialEq)]
pub struct CreateTableStmt {
    pub name: ObjectName,
    pub persistence: Persistence,
    pub if_not_exists: bool,
    /// Columns, constraints and LIKE clauses in the order of the text.
    pub elements: Vec<TableElement>,
    pub inherits: Vec<ObjectName>,
    /// `OF type`.
    pub of_type: Option<TypeName>,
    /// `PARTITION OF parent FOR VALUES …`.
    pub partition_of: Option<(ObjectName, PartitionBound)>,
    pub partition_by: Option<PartitionSpec>,
    /// `USING method`.
    pub access_method: Option<Name>,
    /// `WITH (…)`; `WITHOUT OIDS` leaves no trace.
    pub options: Vec<DefElem>,
    pub on_commit: OnCommit,
    pub tablespace: Option<Name>,
    /// CREATE FOREIGN TABLE: server and options.
    pub foreign: Option<ForeignTable>,
    pub pos: Pos,
}

#[derive(Debug, Clone, PartialEq)]
pub struct ForeignTable {
    pub server: Name,
    pub options: Vec<GenericOption>,
}

/// `OPTIONS (name 'value')` of foreign data wrappers; in ALTER with an action.
#[derive(Debug, Clone, PartialEq)]
pub struct GenericOption {
    pub action: GenericOptionAction,
    pub name: Name,
    /// `None` for DROP.
    pub value: Option<Box<str>>,
    pub pos: Pos,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GenericOptionAction {
    /// Written without a word.
    Unspecified,
    Set,
    Add,
    Drop,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnCommit {
    /// Not given.
    Noop,
    PreserveRows,
    DeleteRows,
    Drop,
}

#[derive(Debug, Clone, PartialEq)]
pub enum TableElement {
    Column(P<ColumnDef>),
    Constraint(P<TableConstraint>),
    Like(P<LikeClause>),
}

/// A column: of a table, of a composite type, or of a column definition list in FROM.
#[derive(Debug, Clone, PartialEq)]
pub struct ColumnDef {
    pub name: Name,
    /// `None` in `OF type` and `PARTITION OF` tables, where the type is given elsewhere.
    pub type_name: Option<TypeName>,
    /// `STORAGE main`.
    pub storage: Option<Name>,
    /// `COMPRESSION lz4`.
    pub compression: Option<Name>,
    /// `OPTIONS (…)` of foreign tables.
    pub fdw_options: Vec<GenericOption>,
    pub collation: Option<ObjectName>,
    pub constraints: Vec<ColumnConstraint>,
    pub pos: Pos,
}

impl ColumnDef {
    /// A column with nothing but a name and a type.
    pub fn new(name: Name, type_name: Option<TypeName>, pos: Pos) -> ColumnDef {
        ColumnDef {
            name,
            type_name,
            storage: None,
            compression: None,
            fdw_options: Vec::new(),
            collation: None,
            constraints: Vec::new(),
            pos,
        }
    }
}

/// A constraint, default or attribute clause of a column.
#[derive(Debug, Clone, PartialEq)]
pub struct ColumnConstraint {
    /// `CONSTRAINT name`.
    pub name: Option<Name>,
    pub kind: ColumnConstraintKind,
    pub pos: Pos,
}

#[derive(Debug, Clone, PartialEq)]
pub enum ColumnConstraintKind {
    Null,
    NotNull {
        no_inherit: bool,
    },
    Default(Expr),
    Check {
        expr: Expr,
        no_inherit: bool,
    },
    /// `GENERATED … AS IDENTITY (options)`.
    Identity {
        always: bool,
        options: Vec<SequenceOption>,
    },
    /// `GENERATED ALWAYS AS (expr) STORED | VIRTUAL`; virtual where neither is written.
    Generated {
        expr: Expr,
        stored: bool,
    },
    Unique {
        nulls_not_distinct: bool,
        index: IndexParameters,
    },
    PrimaryKey {
        index: IndexParameters,
    },
    References(P<References>),
    /// The clauses below are attributes of the constraint before them, as in PostgreSQL.
    Deferrable,
    NotDeferrable,
    InitiallyDeferred,
    InitiallyImmediate,
    Enforced,
    NotEnforced,
}

/// What may follow UNIQUE and PRIMARY KEY.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct IndexParameters {
    /// `INCLUDE (columns)`; only for table constraints.
    pub include: Vec<Name>,
    /// `WITH (…)`.
    pub options: Vec<DefElem>,
    /// `USING INDEX TABLESPACE name`.
    pub tablespace: Option<Name>,
}

/// The referenced side of a foreign key.
#[derive(Debug, Clone, PartialEq)]
pub struct References {
    pub table: ObjectName,
    /// Empty: the primary key.
    pub columns: Vec<Name>,
    /// The last of `columns` is marked PERIOD.
    pub period: bool,
    pub match_type: MatchType,
    pub on_delete: ReferentialAction,
    pub on_update: ReferentialAction,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MatchType {
    Simple,
    Full,
}

#[derive(Debug, Clone, PartialEq)]
pub enum ReferentialAction {
    NoAction,
    Restrict,
    Cascade,
    /// With the columns concerned; empty: all.
    SetNull(Vec<Name>),
    SetDefault(Vec<Name>),
}

/// A constraint that stands among a table's elements, in ALTER TABLE … ADD, or on a domain.
#[derive(Debug, Clone, PartialEq)]
pub struct TableConstraint {
    pub name: Option<Name>,
    pub kind: TableConstraintKind,
    pub attributes: ConstraintAttributes,
    pub pos: Pos,
}

/// What may follow a constraint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConstraintAttributes {
    pub deferrable: bool,
    pub initially_deferred: bool,
    pub not_valid: bool,
    pub no_inherit: bool,
    pub enforced: bool,
}

impl Default for ConstraintAttributes {
    fn default() -> ConstraintAttributes {
        ConstraintAttributes {
            deferrable: false,
            initially_deferred: false,
            not_valid: false,
            no_inherit: false,
            enforced: true,
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub enum TableConstraintKind {
    Check(Expr),
    NotNull(Name),
    Unique { columns: Vec<Name>, nulls_not_distinct: bool, without_overlaps: bool, index: IndexParameters },
    UniqueUsingIndex(Name),
    PrimaryKey { columns: Vec<Name>, without_overlaps: bool, index: IndexParameters },
    PrimaryKeyUsingIndex(Name),
    Exclude(P<Exclude>),
    ForeignKey { columns: Vec<Name>, period: bool, references: P<References> },
}

/// `EXCLUDE USING method (element WITH operator, …) WHERE (predicate)`.
#[derive(Debug, Clone, PartialEq)]
pub struct Exclude {
    /// The default method of indexes applies where none is written.
    pub method: Option<Name>,
    pub elements: Vec<(IndexElem, super::Operator)>,
    pub index: IndexParameters,
    pub predicate: Option<Expr>,
}

/// `LIKE table INCLUDING …`.
#[derive(Debug, Clone, PartialEq)]
pub struct LikeClause {
    pub table: ObjectName,
    /// Bits of [`like_option`] after all INCLUDING and EXCLUDING.
    pub options: u32,
    pub pos: Pos,
}

/// The bits of [`LikeClause::options`].
pub mod like_option {
    pub const COMMENTS: u32 = 1 << 0;
    pub const COMPRESSION: u32 = 1 << 1;
    pub const CONSTRAINTS: u32 = 1 << 2;
    pub const DEFAULTS: u32 = 1 << 3;
    pub const GENERATED: u32 = 1 << 4;
    pub const IDENTITY: u32 = 1 << 5;
    pub const INDEXES: u32 = 1 << 6;
    pub const STATISTICS: u32 = 1 << 7;
    pub const STORAGE: u32 = 1 << 8;
    pub const ALL: u32 = 0x7FFF_FFFF;
}

/// `PARTITION BY strategy (keys)`.
#[derive(Debug, Clone, PartialEq)]
pub struct PartitionSpec {
    pub strategy: PartitionStrategy,
    pub keys: Vec<PartitionElem>,
    pub pos: Pos,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartitionStrategy {
    List,
    Range,
    Hash,
}

#[derive(Debug, Clone, PartialEq)]
pub struct PartitionElem {
    pub key: IndexKey,
    pub collation: Option<ObjectName>,
    pub opclass: Option<ObjectName>,
    pub pos: Pos,
}

#[derive(Debug, Clone, PartialEq)]
pub enum PartitionBound {
    Default,
    /// `IN (values)`.
    List(Vec<Expr>, Pos),
    /// `FROM (…) TO (…)`; MINVALUE and MAXVALUE are column references, as in PostgreSQL.
    Range {
        from: Vec<Expr>,
        to: Vec<Expr>,
        pos: Pos,
    },
    Hash {
        modulus: i32,
        remainder: i32,
        pos: Pos,
    },
}

/// `CREATE TABLE AS`, `CREATE MATERIALIZED VIEW`.
#[derive(Debug, Clone, PartialEq)]
pub struct CreateTableAsStmt {
    pub into: IntoClause,
    pub columns: Vec<Name>,
    pub materialized_view: bool,
    pub if_not_exists: bool,
    pub access_method: Option<Name>,
    pub options: Vec<DefElem>,
    pub on_commit: OnCommit,
    pub tablespace: Option<Name>,
    /// A SELECT, or an EXECUTE.
    pub query: Statement,
    /// `WITH NO DATA` is false.
    pub with_data: bool,
    pub pos: Pos,
}

/// ALTER TABLE, INDEX, SEQUENCE, VIEW, MATERIALIZED VIEW, FOREIGN TABLE, and TYPE for composite types.
#[derive(Debug, Clone, PartialEq)]
pub struct AlterTableStmt {
    pub kind: ObjectKind,
    pub relation: Relation,
    pub if_exists: bool,
    pub commands: Vec<AlterTableCommand>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct AlterTableCommand {
    pub action: AlterTableAction,
    pub pos: Pos,
}

#[derive(Debug, Clone, PartialEq)]
pub enum AlterTableAction {
    /// `ADD [COLUMN]`, `ADD ATTRIBUTE` (with a behaviour).
    AddColumn {
        column: P<ColumnDef>,
        if_not_exists: bool,
        behavior: Behavior,
    },
    DropColumn {
        name: Name,
        if_exists: bool,
        behavior: Behavior,
    },
    /// `None` for DROP DEFAULT.
    ColumnDefault {
        name: Name,
        default: Option<Expr>,
    },
    SetNotNull(Name),
    DropNotNull(Name),
    SetExpression {
        name: Name,
        expr: Expr,
    },
    DropExpression {
        name: Name,
        if_exists: bool,
    },
    /// `SET STATISTICS n`; `None` for DEFAULT.
    SetStatistics {
        column: ColumnByNameOrNumber,
        target: Option<i32>,
    },
    SetColumnOptions {
        name: Name,
        options: Vec<DefElem>,
    },
    ResetColumnOptions {
        name: Name,
        options: Vec<DefElem>,
    },
    SetStorage {
        name: Name,
        storage: Name,
    },
    SetCompression {
        name: Name,
        method: Name,
    },
    AddIdentity {
        name: Name,
        always: bool,
        options: Vec<SequenceOption>,
    },
    SetIdentity {
        name: Name,
        options: Vec<AlterIdentityOption>,
    },
    DropIdentity {
        name: Name,
        if_exists: bool,
    },
    AlterColumnType {
        name: Name,
        type_name: TypeName,
        collation: Option<ObjectName>,
        using: Option<Expr>,
        behavior: Behavior,
    },
    AlterColumnGenericOptions {
        name: Name,
        options: Vec<GenericOption>,
    },
    AddConstraint(P<TableConstraint>),
    AlterConstraint(AlterConstraint),
    ValidateConstraint(Name),
    DropConstraint {
        name: Name,
        if_exists: bool,
        behavior: Behavior,
    },
    ClusterOn(Name),
    SetWithoutCluster,
    SetWithoutOids,
    SetLogged,
    SetUnlogged,
    Trigger {
        which: TriggerNames,
        mode: EnableMode,
    },
    Rule {
        name: Name,
        mode: EnableMode,
    },
    Inherit(ObjectName),
    NoInherit(ObjectName),
    OfType(TypeName),
    NotOf,
    Owner(RoleSpec),
    /// `None` for DEFAULT.
    SetAccessMethod(Option<Name>),
    SetTablespace(Name),
    SetOptions(Vec<DefElem>),
    ResetOptions(Vec<DefElem>),
    ReplicaIdentity(ReplicaIdentity),
    RowSecurity(RowSecurity),
    GenericOptions(Vec<GenericOption>),
    AttachPartition {
        partition: ObjectName,
        bound: PartitionBound,
    },
    /// ALTER INDEX … ATTACH PARTITION.
    AttachIndexPartition(ObjectName),
    DetachPartition {
        partition: ObjectName,
        concurrently: bool,
        finalize: bool,
    },
}

/// A column by its name, or an index column by its number.
#[derive(Debug, Clone, PartialEq)]
pub enum ColumnByNameOrNumber {
    Name(Name),
    Number(i32),
}

/// `ALTER CONSTRAINT name …`.
#[derive(Debug, Clone, PartialEq)]
pub struct AlterConstraint {
    pub name: Name,
    /// `None` where nothing about it is said.
    pub deferrable: Option<bool>,
    pub initially_deferred: Option<bool>,
    pub enforced: Option<bool>,
    /// `[NO] INHERIT`.
    pub inherit: Option<bool>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum AlterIdentityOption {
    /// `RESTART [WITH n]`, and `SET` of a sequence option.
    Sequence(SequenceOption),
    /// `SET GENERATED ALWAYS | BY DEFAULT`.
    Generated { always: bool },
}

#[derive(Debug, Clone, PartialEq)]
pub enum TriggerNames {
    Name(Name),
    All,
    User,
}

/// ENABLE, ENABLE ALWAYS, ENABLE REPLICA, DISABLE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EnableMode {
    Enable,
    Always,
    Replica,
    Disable,
}

#[derive(Debug, Clone, PartialEq)]
pub enum ReplicaIdentity {
    Default,
    Full,
    Nothing,
    Index(Name),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowSecurity {
    Enable,
    Disable,
    Force,
    NoForce,
}

/// `ALTER TABLE ALL IN TABLESPACE …`.
#[derive(Debug, Clone, PartialEq)]
pub struct AlterTableMoveAllStmt {
    /// Table, Index or MaterializedView.
    pub kind: ObjectKind,
    pub tablespace: Name,
    pub owned_by: Vec<RoleSpec>,
    pub new_tablespace: Name,
    pub nowait: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub struct CreateIndexStmt {
    /// Generated by the engine where not given.
    pub name: Option<Name>,
    pub unique: bool,
    pub concurrently: bool,
    pub if_not_exists: bool,
    pub table: Relation,
    /// `btree` where not given.
    pub method: Option<Name>,
    pub elements: Vec<IndexElem>,
    pub include: Vec<IndexElem>,
    pub nulls_not_distinct: bool,
    pub options: Vec<DefElem>,
    pub tablespace: Option<Name>,
    pub predicate: Option<Expr>,
    pub pos: Pos,
}

/// A key of an index, of ON CONFLICT, or of EXCLUDE.
#[derive(Debug, Clone, PartialEq)]
pub struct IndexElem {
    pub key: IndexKey,
    pub collation: Option<ObjectName>,
    pub opclass: Option<ObjectName>,
    pub opclass_options: Vec<DefElem>,
    /// Default, Asc or Desc.
    pub direction: SortDirection,
    pub nulls: NullsOrder,
    pub pos: Pos,
}

#[derive(Debug, Clone, PartialEq)]
pub enum IndexKey {
    Column(Name),
    Expr(Expr),
}

#[derive(Debug, Clone, PartialEq)]
pub struct CreateSequenceStmt {
    pub name: ObjectName,
    pub persistence: Persistence,
    pub if_not_exists: bool,
    pub options: Vec<SequenceOption>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct AlterSequenceStmt {
    pub name: ObjectName,
    pub if_exists: bool,
    pub options: Vec<SequenceOption>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct SequenceOption {
    pub kind: SequenceOptionKind,
    pub pos: Pos,
}

/// Numbers are [`NumericValue`]s, as they may be beyond `int4`.
#[derive(Debug, Clone, PartialEq)]
pub enum SequenceOptionKind {
    As(TypeName),
    Increment(NumericValue),
    /// `None`: NO MINVALUE.
    MinValue(Option<NumericValue>),
    MaxValue(Option<NumericValue>),
    Start(NumericValue),
    /// `None`: from the start value.
    Restart(Option<NumericValue>),
    Cache(NumericValue),
    /// CYCLE, NO CYCLE.
    Cycle(bool),
    OwnedBy(ObjectName),
    /// Of identity columns.
    SequenceName(ObjectName),
    Logged(bool),
}

/// A signed number in a clause.
#[derive(Debug, Clone, PartialEq)]
pub enum NumericValue {
    Integer(i64),
    /// Anything else, as decimal text.
    Other(Box<str>),
}

#[derive(Debug, Clone, PartialEq)]
pub struct CreateViewStmt {
    pub name: ObjectName,
    pub persistence: Persistence,
    pub or_replace: bool,
    /// A recursive view is rewritten: its query is `WITH RECURSIVE name(columns) AS (query) SELECT columns FROM name`.
    pub recursive: bool,
    pub columns: Vec<Name>,
    pub options: Vec<DefElem>,
    pub query: P<SelectStmt>,
    pub check_option: ViewCheckOption,
    pub pos: Pos,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ViewCheckOption {
    None,
    Local,
    Cascaded,
}

#[derive(Debug, Clone, PartialEq)]
pub struct RefreshMaterializedViewStmt {
    pub name: ObjectName,
    pub concurrently: bool,
    pub with_data: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub struct CreateStatisticsStmt {
    pub name: Option<ObjectName>,
    pub if_not_exists: bool,
    pub kinds: Vec<Name>,
    pub exprs: Vec<IndexKey>,
    pub from: Vec<super::FromItem>,
}

/// `ALTER STATISTICS name SET STATISTICS n`.
#[derive(Debug, Clone, PartialEq)]
pub struct AlterStatisticsStmt {
    pub name: ObjectName,
    pub if_exists: bool,
    /// `None` for DEFAULT.
    pub target: Option<i32>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct CreateTriggerStmt {
    pub name: Name,
    pub or_replace: bool,
    pub constraint: bool,
    pub timing: TriggerTiming,
    pub events: Vec<TriggerEvent>,
    pub table: ObjectName,
    /// `FROM table` of constraint triggers.
    pub from_table: Option<ObjectName>,
    pub attributes: ConstraintAttributes,
    pub transitions: Vec<TriggerTransition>,
    pub for_each_row: bool,
    pub when: Option<Expr>,
    pub function: ObjectName,
    pub args: Vec<Box<str>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TriggerTiming {
    Before,
    After,
    InsteadOf,
}

#[derive(Debug, Clone, PartialEq)]
pub enum TriggerEvent {
    Insert,
    Delete,
    /// With the columns of `UPDATE OF`.
    Update(Vec<Name>),
    Truncate,
}

/// `REFERENCING OLD TABLE AS name`.
#[derive(Debug, Clone, PartialEq)]
pub struct TriggerTransition {
    pub new: bool,
    pub table: bool,
    pub name: Name,
}

#[derive(Debug, Clone, PartialEq)]
pub struct CreateEventTriggerStmt {
    pub name: Name,
    pub event: Name,
    /// `WHEN tag IN ('…')`.
    pub filters: Vec<(Name, Vec<Box<str>>)>,
    pub function: ObjectName,
}

#[derive(Debug, Clone, PartialEq)]
pub struct AlterEventTriggerStmt {
    pub name: Name,
    pub mode: EnableMode,
}

#[derive(Debug, Clone, PartialEq)]
pub struct CreateRuleStmt {
    pub name: Name,
    pub or_replace: bool,
    pub event: RuleEvent,
    pub table: ObjectName,
    pub where_clause: Option<Expr>,
    pub instead: bool,
    /// Empty for NOTHING.
    pub actions: Vec<Statement>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuleEvent {
    Select,
    Update,
    Delete,
    Insert,
}

#[derive(Debug, Clone, PartialEq)]
pub struct CreatePolicyStmt {
    pub name: Name,
    pub table: ObjectName,
    pub permissive: bool,
    pub command: PolicyCommand,
    pub roles: Vec<RoleSpec>,
    pub using: Option<Expr>,
    pub check: Option<Expr>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PolicyCommand {
    All,
    Select,
    Insert,
    Update,
    Delete,
}

#[derive(Debug, Clone, PartialEq)]
pub struct AlterPolicyStmt {
    pub name: Name,
    pub table: ObjectName,
    pub roles: Option<Vec<RoleSpec>>,
    pub using: Option<Expr>,
    pub check: Option<Expr>,
}
