//! The tree that the parser makes of a text.
//!
//! # Conventions
//! - Every tree is owned: no lifetimes. Recursive places go through [`P`], a box whose drop, clone, comparison and
//!   debug output grow the stack where a deep tree needs it, so no tree can overflow it.
//! - A node that an error may point at has a [`Pos`], the byte offset PostgreSQL would report. Positions do not take
//!   part in comparison: `==` says that two trees mean the same.
//! - Names are [`Name`]s, already folded to lower case or unquoted, and truncated to 63 bytes.
//! - What PostgreSQL's grammar rewrites (`int` to `pg_catalog.int4`, `EXTRACT` to a call of `pg_catalog.extract`) is
//!   rewritten here too, with enough kept to print the SQL spelling again.

mod ddl;
mod dml;
mod expr;
mod json;
mod name;
mod pointer;
mod role;
mod routine;
mod select;
mod table;
mod type_name;
mod utility;

pub use ddl::*;
pub use dml::*;
pub use expr::*;
pub use json::*;
pub use name::{Name, NameParts, ObjectName, Pos};
pub use pointer::P;
pub use role::*;
pub use routine::*;
pub use select::*;
pub use table::*;
pub use type_name::*;
pub use utility::*;

/// One statement of a text, and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct RawStatement {
    pub stmt: Statement,
    /// Byte offset of its first token.
    pub start: usize,
    /// Bytes from there to the end of its last token (the semicolon is not part of it).
    pub len: usize,
}

/// A statement. `SELECT`, `VALUES` and `TABLE` are all [`Statement::Select`].
#[derive(Debug, Clone, PartialEq)]
pub enum Statement {
    // Queries and changes of rows.
    Select(P<SelectStmt>),
    Insert(P<InsertStmt>),
    Update(P<UpdateStmt>),
    Delete(P<DeleteStmt>),
    Merge(P<MergeStmt>),
    Copy(P<CopyStmt>),
    Truncate(P<TruncateStmt>),
    // Transactions, sessions and other utilities.
    Transaction(P<TransactionStmt>),
    Set(P<SetStmt>),
    Show(P<ShowStmt>),
    Explain(P<ExplainStmt>),
    Prepare(P<PrepareStmt>),
    Execute(P<ExecuteStmt>),
    Deallocate(P<DeallocateStmt>),
    DeclareCursor(P<DeclareCursorStmt>),
    Fetch(P<FetchStmt>),
    ClosePortal(P<ClosePortalStmt>),
    Discard(DiscardTarget),
    Lock(P<LockStmt>),
    Listen(Name),
    /// `UNLISTEN name`, or `UNLISTEN *` (`None`).
    Unlisten(Option<Name>),
    Notify(P<NotifyStmt>),
    Load(Box<str>),
    Checkpoint,
    Vacuum(P<VacuumStmt>),
    Cluster(P<ClusterStmt>),
    Reindex(P<ReindexStmt>),
    SetConstraints(P<SetConstraintsStmt>),
    Do(P<DoStmt>),
    /// `CALL name(args)`; the expression is always a function call.
    Call(P<FuncCall>),
    Comment(P<CommentStmt>),
    SecurityLabel(P<SecurityLabelStmt>),
    // Tables and what hangs on them.
    CreateTable(P<CreateTableStmt>),
    CreateTableAs(P<CreateTableAsStmt>),
    AlterTable(P<AlterTableStmt>),
    AlterTableMoveAll(P<AlterTableMoveAllStmt>),
    CreateIndex(P<CreateIndexStmt>),
    CreateSequence(P<CreateSequenceStmt>),
    AlterSequence(P<AlterSequenceStmt>),
    CreateView(P<CreateViewStmt>),
    RefreshMaterializedView(P<RefreshMaterializedViewStmt>),
    CreateStatistics(P<CreateStatisticsStmt>),
    AlterStatistics(P<AlterStatisticsStmt>),
    CreateTrigger(P<CreateTriggerStmt>),
    CreateEventTrigger(P<CreateEventTriggerStmt>),
    AlterEventTrigger(P<AlterEventTriggerStmt>),
    CreateRule(P<CreateRuleStmt>),
    CreatePolicy(P<CreatePolicyStmt>),
    AlterPolicy(P<AlterPolicyStmt>),
    // Things of every kind.
    Drop(P<DropStmt>),
    Rename(P<RenameStmt>),
    AlterObjectSchema(P<AlterObjectSchemaStmt>),
    AlterOwner(P<AlterOwnerStmt>),
    AlterObjectDepends(P<AlterObjectDependsStmt>),
    // Namespaces, databases, tablespaces.
    CreateSchema(P<CreateSchemaStmt>),
    CreateDatabase(P<CreateDatabaseStmt>),
    AlterDatabase(P<AlterDatabaseStmt>),
    DropDatabase(P<DropDatabaseStmt>),
    AlterSystem(P<SetStmt>),
    CreateTablespace(P<CreateTablespaceStmt>),
    AlterTablespace(P<AlterTablespaceStmt>),
    DropTablespace(P<DropTablespaceStmt>),
    // Roles and privileges.
    CreateRole(P<CreateRoleStmt>),
    AlterRole(P<AlterRoleStmt>),
    AlterRoleSet(P<AlterRoleSetStmt>),
    AlterGroup(P<AlterGroupStmt>),
    DropRole(P<DropRoleStmt>),
    Grant(P<GrantStmt>),
    GrantRole(P<GrantRoleStmt>),
    AlterDefaultPrivileges(P<AlterDefaultPrivilegesStmt>),
    ReassignOwned(P<ReassignOwnedStmt>),
    DropOwned(P<DropOwnedStmt>),
    // Routines, types, operators and the rest of the catalog.
    CreateFunction(P<CreateFunctionStmt>),
    AlterFunction(P<AlterFunctionStmt>),
    /// `RETURN expr` in an SQL-standard function body.
    Return(P<Expr>),
    /// `CREATE AGGREGATE`, `OPERATOR`, `TYPE name (...)`, `TEXT SEARCH ...` and `COLLATION`.
    Define(P<DefineStmt>),
    CreateType(P<CreateTypeStmt>),
    AlterType(P<AlterTypeStmt>),
    AlterEnum(P<AlterEnumStmt>),
    CreateDomain(P<CreateDomainStmt>),
    AlterDomain(P<AlterDomainStmt>),
    AlterOperator(P<AlterOperatorStmt>),
    CreateOperatorClass(P<CreateOperatorClassStmt>),
    CreateOperatorFamily(P<CreateOperatorFamilyStmt>),
    AlterOperatorFamily(P<AlterOperatorFamilyStmt>),
    CreateCast(P<CreateCastStmt>),
    CreateConversion(P<CreateConversionStmt>),
    CreateTransform(P<CreateTransformStmt>),
    CreateLanguage(P<CreateLanguageStmt>),
    CreateAccessMethod(P<CreateAccessMethodStmt>),
    CreateAssertion(P<CreateAssertionStmt>),
    CreateExtension(P<CreateExtensionStmt>),
    AlterExtension(P<AlterExtensionStmt>),
    AlterExtensionContents(P<AlterExtensionContentsStmt>),
    AlterCollationRefresh(P<ObjectName>),
    AlterTextSearchDictionary(P<AlterTextSearchDictionaryStmt>),
    AlterTextSearchConfiguration(P<AlterTextSearchConfigurationStmt>),
    // Foreign data.
    CreateForeignDataWrapper(P<CreateForeignDataWrapperStmt>),
    AlterForeignDataWrapper(P<AlterForeignDataWrapperStmt>),
    CreateServer(P<CreateServerStmt>),
    AlterServer(P<AlterServerStmt>),
    CreateUserMapping(P<CreateUserMappingStmt>),
    AlterUserMapping(P<AlterUserMappingStmt>),
    DropUserMapping(P<DropUserMappingStmt>),
    ImportForeignSchema(P<ImportForeignSchemaStmt>),
    // Logical replication.
    CreatePublication(P<CreatePublicationStmt>),
    AlterPublication(P<AlterPublicationStmt>),
    CreateSubscription(P<CreateSubscriptionStmt>),
    AlterSubscription(P<AlterSubscriptionStmt>),
    DropSubscription(P<DropSubscriptionStmt>),
}
