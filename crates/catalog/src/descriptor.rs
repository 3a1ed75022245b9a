//! Descriptors: what one relation, index, constraint, sequence, namespace, role or database is.

use std::sync::Arc;

use ochre_base::{FileId, Lsn, Oid};
use ochre_expr::Function;
use ochre_types::{Datum, SqlType};

use crate::authority::Acl;
use crate::oids;
use crate::partition::{PartitionBound, PartitionKey};

/// A role's id, as the owner of an object.
pub type Owner = Oid;

/// What kind of relation a `pg_class` row is; the letters are PostgreSQL's `relkind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RelationKind {
    Table,
    Index,
    Sequence,
    View,
    MaterializedView,
    /// A table without rows of its own: its partitions have them.
    PartitionedTable,
    /// An index without entries of its own, of a partitioned table: its partitions' indexes have them.
    PartitionedIndex,
    /// A type of rows that are nowhere by themselves.
    CompositeType,
}

impl RelationKind {
    /// The letter in `pg_class.relkind`.
    pub const fn letter(self) -> u8 {
        match self {
            RelationKind::Table => b'r',
            RelationKind::Index => b'i',
            RelationKind::Sequence => b'S',
            RelationKind::View => b'v',
            RelationKind::MaterializedView => b'm',
            RelationKind::PartitionedTable => b'p',
            RelationKind::PartitionedIndex => b'I',
            RelationKind::CompositeType => b'c',
        }
    }

    /// The kind with this letter.
    pub const fn from_letter(letter: u8) -> Option<RelationKind> {
        Some(match letter {
            b'r' => RelationKind::Table,
            b'i' => RelationKind::Index,
            b'S' => RelationKind::Sequence,
            b'v' => RelationKind::View,
            b'm' => RelationKind::MaterializedView,
            b'p' => RelationKind::PartitionedTable,
            b'I' => RelationKind::PartitionedIndex,
            b'c' => RelationKind::CompositeType,
            _ => return None,
        })
    }

    /// The word in messages: `table`, `index` …
    pub const fn word(self) -> &'static str {
        match self {
            RelationKind::Table | RelationKind::PartitionedTable => "table",
            RelationKind::Index | RelationKind::PartitionedIndex => "index",
            RelationKind::Sequence => "sequence",
            RelationKind::View => "view",
            RelationKind::MaterializedView => "materialized view",
            RelationKind::CompositeType => "type",
        }
    }

    /// As PostgreSQL's details name the kind in the plural: `tables`, `partitioned tables` …
    pub const fn plural(self) -> &'static str {
        match self {
            RelationKind::Table => "tables",
            RelationKind::Index => "indexes",
            RelationKind::Sequence => "sequences",
            RelationKind::View => "views",
            RelationKind::MaterializedView => "materialized views",
            RelationKind::PartitionedTable => "partitioned tables",
            RelationKind::PartitionedIndex => "partitioned indexes",
            RelationKind::CompositeType => "composite types",
        }
    }

    /// A table, with rows of its own or in partitions.
    pub const fn is_table(self) -> bool {
        matches!(self, RelationKind::Table | RelationKind::PartitionedTable)
    }

    /// An index, with entries of its own or in those of partitions.
    pub const fn is_index(self) -> bool {
        matches!(self, RelationKind::Index | RelationKind::PartitionedIndex)
    }
}

/// A relation's place in trees of inheritance.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Inheritance {
    /// The relations that it inherits from, in order; a partition, or a partition's index, has one.
    pub parents: Vec<Oid>,
    /// Whether anything inherits, or has inherited, from it; `relhassubclass`.
    pub has_children: bool,
    /// How the rows of a partitioned table are divided.
    pub key: Option<Arc<PartitionKey>>,
    /// Which rows of its parent a partition takes.
    pub bound: Option<Arc<PartitionBound>>,
    /// Of a partition that is being detached: the commit that began it. Snapshots from there on see the table without it.
    pub detaching: Option<Lsn>,
}

/// Where a part of a relation (a column, a constraint) comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// It was defined for the relation itself.
    pub local: bool,
    /// How many parents have it.
    pub inherited: i16,
}

impl Origin {
    /// Of what is the relation's own.
    pub const LOCAL: Origin = Origin { local: true, inherited: 0 };
    /// Of what one parent hands down.
    pub const INHERITED: Origin = Origin { local: false, inherited: 1 };

    /// Whether a parent hands it down.
    pub const fn is_inherited(self) -> bool {
        self.inherited > 0
    }
}

/// How long a relation's rows live; the letters are PostgreSQL's `relpersistence`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Persistence {
    Permanent,
    Temporary,
}

/// How an identity column treats a value that a statement gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdentityKind {
    Always,
    ByDefault,
}

/// Where a generated column's value is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GeneratedKind {
    Stored,
    Virtual,
}

/// One column of a relation. Dropped columns keep their place.
#[derive(Debug, Clone)]
pub struct ColumnDescriptor {
    /// Attribute number, from 1; a column keeps it for life.
    pub number: i16,
    pub name: Arc<str>,
    pub ty: SqlType,
    pub collation: Oid,
    pub not_null: bool,
    pub dropped: bool,
    /// The default's or generation expression's SQL text, and its `pg_attrdef` id.
    pub default: Option<(Oid, Arc<str>)>,
    pub identity: Option<IdentityKind>,
    pub generated: Option<GeneratedKind>,
    /// What rows written before the column existed have in it; `None` is NULL.
    pub missing: Option<Datum>,
    pub comment: Option<Arc<str>>,
    pub statistics: Option<Arc<ColumnStatistics>>,
    /// `attstorage`, where it is another letter than the type's.
    pub storage: Option<u8>,
    pub origin: Origin,
    /// What was granted on the column besides what was on the relation.
    pub acl: Option<Acl>,
}

/// One stored field of a column list: which column it is, and the type it was written with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    pub number: i16,
    pub ty: SqlType,
}

/// A column list: the fields that a row written under one schema version has, in order. Append-only: an id is never
/// given to another list, whatever becomes of the transaction that made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnList {
    pub version: u16,
    pub fields: Vec<Field>,
}

/// What ANALYZE found out about a column.
#[derive(Debug, Clone, Default)]
pub struct ColumnStatistics {
    /// Share of NULLs, 0 to 1.
    pub null_fraction: f64,
    /// Average width in bytes.
    pub average_width: f64,
    /// Distinct values: a count, or minus a share of the rows, as in `pg_stats.n_distinct`.
    pub distinct: f64,
    /// Most common values with their share of the rows.
    pub most_common: Vec<(Datum, f64)>,
    /// Bounds of equally filled buckets over the other values, ascending.
    pub histogram: Vec<Datum>,
    /// Correlation between the order of values and of rows, -1 to 1; `None` of less than two values, and of types without an
    /// order.
    pub correlation: Option<f64>,
}

/// A table, view, materialized view, sequence or index as `pg_class` knows it. An index has an [`IndexDescriptor`]
/// besides, a sequence a [`SequenceDescriptor`].
#[derive(Debug, Clone)]
pub struct RelationDescriptor {
    pub oid: Oid,
    pub namespace: Oid,
    pub name: Arc<str>,
    pub kind: RelationKind,
    pub persistence: Persistence,
    pub owner: Owner,
    /// Whether every database sees the same rows (`pg_database`, `pg_authid`).
    pub shared: bool,
    /// Whether the relation is part of the product, its descriptor in the binary.
    pub builtin: bool,
    /// The file of rows; `None` for a view and for a built-in relation whose rows are all in the binary or computed.
    pub file: Option<FileId>,
    /// Every column, dropped ones too: `columns[i].number == i + 1` (C2).
    pub columns: Vec<ColumnDescriptor>,
    /// Every list that a stored row may have been written under, by version.
    pub column_lists: Vec<Arc<ColumnList>>,
    /// The version that new rows are written under.
    pub schema_version: u16,
    pub indexes: Vec<Arc<IndexDescriptor>>,
    pub constraints: Vec<Arc<ConstraintDescriptor>>,
    /// A view's query as SQL text.
    pub view_query: Option<Arc<str>>,
    pub sequence: Option<Arc<SequenceDescriptor>>,
    /// The index that this relation is, when its kind is [`RelationKind::Index`].
    pub index: Option<Arc<IndexDescriptor>>,
    /// Row type, zero for indexes and sequences.
    pub row_type: Oid,
    /// Array type over the row type.
    pub array_type: Oid,
    /// Rows at the last ANALYZE or index build; -1 when never counted.
    pub row_estimate: f64,
    /// Pages at the last ANALYZE.
    pub page_estimate: u32,
    pub comment: Option<Arc<str>>,
    /// Storage parameters as given (`name=value`).
    pub options: Vec<Arc<str>>,
    /// Whether the relation has or had a foreign key, or was referred to by one; `relhastriggers`.
    pub has_triggers: bool,
    /// Its own row says that it has indexes, or had some. Never taken back.
    pub has_indexes: bool,
    /// Whether it may be read: a materialized view has no rows before it is refreshed, nor after WITH NO DATA.
    pub populated: bool,
    /// Its triggers, by name: the order in which they fire.
    pub triggers: Vec<Arc<TriggerDescriptor>>,
    pub inheritance: Inheritance,
    /// Who may do what; `None` until something is granted or revoked.
    pub acl: Option<Acl>,
}

impl RelationDescriptor {
    /// The column with this attribute number, dropped or not.
    pub fn column(&self, number: i16) -> Option<&ColumnDescriptor> {
        usize::try_from(i32::from(number) - 1).ok().and_then(|i| self.columns.get(i))
    }

    /// The live column with this name.
    pub fn column_named(&self, name: &str) -> Option<&ColumnDescriptor> {
        self.live_columns().find(|column| &*column.name == name)
    }

    /// The columns that are not dropped, in order.
    pub fn live_columns(&self) -> impl Iterator<Item = &ColumnDescriptor> {
        self.columns.iter().filter(|column| !column.dropped)
    }

    /// The column list with this version.
    pub fn column_list(&self, version: u16) -> Option<&Arc<ColumnList>> {
        self.column_lists.iter().find(|list| list.version == version)
    }

    /// Whether it is a partition of another table, or of its index.
    pub fn is_partition(&self) -> bool {
        self.inheritance.bound.is_some() || self.kind.is_index() && !self.inheritance.parents.is_empty()
    }

    /// The primary key's index.
    pub fn primary_key(&self) -> Option<&Arc<IndexDescriptor>> {
        self.indexes.iter().find(|index| index.primary)
    }
}

/// One key column of an index.
#[derive(Debug, Clone)]
pub struct IndexKey {
    /// The table's column, or 0 for an expression.
    pub number: i16,
    /// The expression's SQL text when `number` is 0.
    pub expression: Option<Arc<str>>,
    pub ty: SqlType,
    pub collation: Oid,
    pub operator_class: Oid,
    pub descending: bool,
    pub nulls_first: bool,
}

/// An index.
#[derive(Debug, Clone)]
pub struct IndexDescriptor {
    pub oid: Oid,
    pub namespace: Oid,
    pub name: Arc<str>,
    pub table: Oid,
    pub owner: Owner,
    pub method: IndexMethod,
    pub file: FileId,
    pub keys: Vec<IndexKey>,
    /// INCLUDE columns.
    pub included: Vec<i16>,
    pub unique: bool,
    pub primary: bool,
    pub nulls_not_distinct: bool,
    /// Whether CLUSTER goes by it.
    pub clustered: bool,
    /// A unique check at each row (`true`) or deferrable to the end of the transaction.
    pub immediate: bool,
    /// The WHERE clause of a partial index as SQL text.
    pub predicate: Option<Arc<str>>,
    /// Whether queries may use it.
    pub valid: bool,
    /// Whether writers maintain it. One that is not ready is not valid either.
    pub ready: bool,
    /// Only snapshots at or after this position may use the index: older ones could miss rows in it.
    pub usable_from: Lsn,
    /// The constraint that the index implements.
    pub constraint: Option<Oid>,
    /// Key columns' names as `pg_attribute` shows them for the index, included columns after them.
    pub column_names: Vec<Arc<str>>,
    pub page_estimate: u32,
    pub row_estimate: f64,
    pub comment: Option<Arc<str>>,
    pub options: Vec<Arc<str>>,
}

/// What an index can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IndexMethod {
    /// Equality, ranges and order.
    BTree,
    /// Equality of one key: the entries of a B-tree hold a hash of it.
    Hash,
    /// What values are made of, such as the elements of an array: a row has several entries.
    Gin,
}

impl IndexMethod {
    /// All there are.
    pub const ALL: [IndexMethod; 3] = [IndexMethod::BTree, IndexMethod::Hash, IndexMethod::Gin];

    /// Its name in USING.
    pub fn name(self) -> &'static str {
        match self {
            IndexMethod::BTree => "btree",
            IndexMethod::Hash => "hash",
            IndexMethod::Gin => "gin",
        }
    }

    /// The method of a name.
    pub fn named(name: &str) -> Option<IndexMethod> {
        IndexMethod::ALL.into_iter().find(|method| method.name() == name)
    }

    /// Its row in `pg_am`.
    pub fn oid(self) -> Oid {
        match self {
            IndexMethod::BTree => oids::BTREE_AM,
            IndexMethod::Hash => oids::HASH_AM,
            IndexMethod::Gin => oids::GIN_AM,
        }
    }
}

impl IndexDescriptor {
    /// Whether its entries are in the order of the keys' values.
    pub fn is_ordered(&self) -> bool {
        self.method == IndexMethod::BTree
    }

    /// Whether a serializable scan of a GIN index locks all of it: one that says `fastupdate = on`, as in PostgreSQL, where
    /// new entries wait in a list that has no place for each key.
    pub fn is_locked_as_a_whole(&self) -> bool {
        let is_on = |text: &str| {
            let value = text.strip_prefix("fastupdate=").unwrap_or_default();
            ["on", "true", "yes", "1"].contains(&value)
        };
        self.method == IndexMethod::Gin && self.options.iter().any(|option| is_on(option))
    }

    /// Whether any key column is an expression.
    pub fn has_expressions(&self) -> bool {
        self.keys.iter().any(|key| key.number == 0)
    }
}

/// What a foreign key does when the row it points at goes or changes; the letters are PostgreSQL's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReferentialAction {
    NoAction,
    Restrict,
    Cascade,
    SetNull,
    SetDefault,
}

/// The other half of a foreign key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignKey {
    pub table: Oid,
    pub columns: Vec<i16>,
    pub on_update: ReferentialAction,
    pub on_delete: ReferentialAction,
    pub match_full: bool,
    /// The columns that ON DELETE SET NULL or SET DEFAULT sets; empty for all of them.
    pub delete_columns: Vec<i16>,
}

/// What a constraint demands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConstraintKind {
    Check,
    NotNull,
    PrimaryKey,
    Unique,
    ForeignKey,
}

impl ConstraintKind {
    /// The letter in `pg_constraint.contype`.
    pub const fn letter(self) -> u8 {
        match self {
            ConstraintKind::Check => b'c',
            ConstraintKind::NotNull => b'n',
            ConstraintKind::PrimaryKey => b'p',
            ConstraintKind::Unique => b'u',
            ConstraintKind::ForeignKey => b'f',
        }
    }

    /// The kind with this letter.
    pub const fn from_letter(letter: u8) -> Option<ConstraintKind> {
        Some(match letter {
            b'c' => ConstraintKind::Check,
            b'n' => ConstraintKind::NotNull,
            b'p' => ConstraintKind::PrimaryKey,
            b'u' => ConstraintKind::Unique,
            b'f' => ConstraintKind::ForeignKey,
            _ => return None,
        })
    }
}

/// A constraint of a table.
#[derive(Debug, Clone)]
pub struct ConstraintDescriptor {
    pub oid: Oid,
    pub name: Arc<str>,
    pub namespace: Oid,
    pub table: Oid,
    pub kind: ConstraintKind,
    /// The columns concerned: keys in order for a key, those mentioned for a check.
    pub columns: Vec<i16>,
    /// The index of a primary key or unique constraint; the referenced index of a foreign key; else zero.
    pub index: Oid,
    /// A check's expression as SQL text.
    pub expression: Option<Arc<str>>,
    pub foreign: Option<ForeignKey>,
    pub deferrable: bool,
    pub initially_deferred: bool,
    /// Whether it is checked at all.
    pub enforced: bool,
    pub validated: bool,
    pub no_inherit: bool,
    pub origin: Origin,
    /// The constraint of the partitioned table that this one is a part of, or zero.
    pub parent: Oid,
    pub comment: Option<Arc<str>>,
}

/// A function or procedure that a user made.
#[derive(Debug, Clone)]
pub struct RoutineDescriptor {
    pub oid: Oid,
    pub namespace: Oid,
    pub owner: Owner,
    /// What expressions see of it. Its source is the body as given, empty for one in SQL's own form.
    pub function: Arc<Function>,
    /// The body in SQL's own form as text: `RETURN expr` or `BEGIN ATOMIC … END`, objects named in full.
    pub sql_body: Option<Arc<str>>,
    /// Settings that hold while it runs, as `name=value`.
    pub settings: Arc<[Box<str>]>,
    pub comment: Option<Arc<str>>,
    pub acl: Option<Acl>,
    /// Of an aggregate: what it is made of.
    pub aggregate: Option<Arc<AggregateDescriptor>>,
}

/// A user's aggregate: its row of `pg_aggregate`.
#[derive(Debug, Clone)]
pub struct AggregateDescriptor {
    /// aggtransfn, aggfinalfn, aggcombinefn, aggserialfn, aggdeserialfn, aggmtransfn, aggminvtransfn, aggmfinalfn.
    pub functions: [Oid; 8],
    /// Whether the final function gets NULLs for the arguments, too.
    pub final_extra: bool,
    pub moving_final_extra: bool,
    /// `r`, `s` or `w`.
    pub final_modify: u8,
    pub moving_final_modify: u8,
    pub sort_operator: Oid,
    pub state: Oid,
    pub state_space: i32,
    pub moving_state: Oid,
    pub moving_state_space: i32,
    pub initial: Option<Arc<str>>,
    pub moving_initial: Option<Arc<str>>,
}

impl AggregateDescriptor {
    /// The names of the columns of [`AggregateDescriptor::functions`].
    pub const FUNCTION_COLUMNS: [&'static str; 8] = [
        "aggtransfn",
        "aggfinalfn",
        "aggcombinefn",
        "aggserialfn",
        "aggdeserialfn",
        "aggmtransfn",
        "aggminvtransfn",
        "aggmfinalfn",
    ];
}

impl RoutineDescriptor {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.function.name
    }
}

/// When a trigger fires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TriggerTiming {
    Before,
    After,
    InsteadOf,
}

/// A trigger of a table or view.
#[derive(Debug, Clone)]
pub struct TriggerDescriptor {
    pub oid: Oid,
    pub table: Oid,
    pub name: Arc<str>,
    pub function: Oid,
    pub timing: TriggerTiming,
    /// FOR EACH ROW; otherwise once a statement.
    pub row: bool,
    pub insert: bool,
    pub update: bool,
    pub delete: bool,
    pub truncate: bool,
    /// `tgenabled`: O, D, R or A.
    pub enabled: u8,
    /// The columns of UPDATE OF; empty for all.
    pub columns: Vec<i16>,
    pub arguments: Vec<Arc<str>>,
    /// The WHEN condition as SQL text.
    pub condition: Option<Arc<str>>,
    /// The constraint of a constraint trigger, else zero.
    pub constraint: Oid,
    pub deferrable: bool,
    pub initially_deferred: bool,
    /// The names of the transition tables.
    pub old_table: Option<Arc<str>>,
    pub new_table: Option<Arc<str>>,
    /// The trigger of the partitioned table that this one is a part of, or zero.
    pub parent: Oid,
    pub comment: Option<Arc<str>>,
}

impl TriggerDescriptor {
    /// `pg_trigger.tgtype`.
    pub fn type_bits(&self) -> i16 {
        let bit = |on: bool, bit: i16| if on { bit } else { 0 };
        bit(self.row, 1)
            | bit(self.timing == TriggerTiming::Before, 2)
            | bit(self.insert, 4)
            | bit(self.delete, 8)
            | bit(self.update, 16)
            | bit(self.truncate, 32)
            | bit(self.timing == TriggerTiming::InsteadOf, 64)
    }
}

/// A sequence's parameters; its current value lives in its file.
#[derive(Debug, Clone)]
pub struct SequenceDescriptor {
    pub ty: SqlType,
    pub start: i64,
    pub increment: i64,
    pub minimum: i64,
    pub maximum: i64,
    pub cache: i64,
    pub cycle: bool,
    /// The column that the sequence is dropped with, and whether it is that column's identity.
    pub owned_by: Option<(Oid, i16)>,
    pub identity: bool,
}

/// A namespace (what SQL calls a schema).
#[derive(Debug, Clone)]
pub struct NamespaceDescriptor {
    pub oid: Oid,
    pub name: Arc<str>,
    pub owner: Owner,
    pub comment: Option<Arc<str>>,
    pub acl: Option<Acl>,
}

/// That a role is a member of another: a row of `pg_auth_members`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Membership {
    pub oid: Oid,
    /// The role that it is a member of.
    pub role: Oid,
    pub grantor: Oid,
    pub admin: bool,
    pub inherit: bool,
    pub set: bool,
}

/// What ALTER DEFAULT PRIVILEGES has laid down for what a role will make: a row of `pg_default_acl`.
#[derive(Debug, Clone)]
pub struct DefaultAclDescriptor {
    pub oid: Oid,
    pub role: Oid,
    /// The namespace of the objects; zero for all.
    pub namespace: Oid,
    /// The kind of object: `r`, `S`, `f`, `T`, `n`.
    pub kind: u8,
    pub acl: Acl,
}

/// A role.
#[derive(Debug, Clone)]
pub struct RoleDescriptor {
    pub oid: Oid,
    pub name: Arc<str>,
    pub superuser: bool,
    pub inherit: bool,
    pub create_role: bool,
    pub create_database: bool,
    pub can_login: bool,
    pub replication: bool,
    pub bypass_rls: bool,
    pub connection_limit: i32,
    pub password: Option<Arc<str>>,
    pub valid_until: Option<i64>,
    pub comment: Option<Arc<str>>,
    /// The roles that it is a member of.
    pub memberships: Vec<Membership>,
}

/// A database.
#[derive(Debug, Clone)]
pub struct DatabaseDescriptor {
    pub oid: Oid,
    pub name: Arc<str>,
    pub owner: Owner,
    pub is_template: bool,
    pub allow_connections: bool,
    pub connection_limit: i32,
    pub comment: Option<Arc<str>>,
    pub acl: Option<Acl>,
}
