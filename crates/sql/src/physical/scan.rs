//! Nodes without inputs: table scans and functions in FROM.

use std::sync::Arc;

use ochre_catalog::{IndexDescriptor, RelationDescriptor};
use ochre_expr::{Expr, FunctionRef};
use ochre_types::SqlType;

/// What every scan of a table has.
///
/// The scan reads the values of [`fetch`](ScanSource::fetch); expressions of the scan (its filter and its index
/// conditions that need a recheck) read them by position. Its output is the *first* `columns.len()` of them: what only
/// the filter needs stands behind and is dropped.
#[derive(Debug, Clone)]
pub struct ScanSource {
    /// The table.
    pub table: Arc<RelationDescriptor>,
    /// The name in the query (its alias or the table's name), for EXPLAIN.
    pub alias: Arc<str>,
    /// What to read of a row.
    pub fetch: Vec<ScanColumn>,
    /// Rows that do not satisfy it are left out. Reads the fetched columns.
    pub filter: Option<Expr>,
}

/// One thing that a scan reads of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ScanColumn {
    /// A column, by its position in `RelationDescriptor::columns` (from 0).
    Table(usize),
    /// The row's id as a `tid`.
    RowId,
    /// The table's oid.
    TableOid,
    /// The creator of the version.
    Xmin,
    /// The transaction that deleted or locked the version; 0 when none.
    Xmax,
    /// The command that created the version.
    Cmin,
    /// The command that deleted the version.
    Cmax,
    /// The whole row as a record.
    WholeRow,
}

/// Every row of a table, in no particular order.
#[derive(Debug, Clone)]
pub struct SeqScanPlan {
    /// Table, columns, filter.
    pub source: ScanSource,
    /// Below a gather: each row goes to one of the threads that run it.
    pub parallel: bool,
    /// Only some rows, chosen by chance before the filter is asked.
    pub sample: Option<Box<SampleClause>>,
}

/// TABLESAMPLE: the expressions read no columns and are evaluated each time the scan is opened or rescanned.
#[derive(Debug, Clone)]
pub struct SampleClause {
    /// How rows are chosen.
    pub method: SampleMethod,
    /// Per cent of the rows: a real between 0 and 100 (2202H).
    pub percent: Expr,
    /// REPEATABLE: a double precision, not NULL (2202G). Without it each execution chooses differently.
    pub seed: Option<Expr>,
}

/// How TABLESAMPLE chooses rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SampleMethod {
    /// Each row by itself.
    Bernoulli,
    /// Blocks with all their rows.
    System,
}

impl SampleMethod {
    /// The method's name in SQL.
    pub const fn name(self) -> &'static str {
        match self {
            SampleMethod::Bernoulli => "bernoulli",
            SampleMethod::System => "system",
        }
    }
}

/// Rows of a table by an index.
///
/// A *point lookup* is an index scan for which [`IndexScanPlan::is_point_lookup`] holds: at most one row. When the plan's
/// root is one, the executor may take its fast path.
#[derive(Debug, Clone)]
pub struct IndexScanPlan {
    /// Table, columns, filter. With `index_only` every fetched column is in the index.
    pub source: ScanSource,
    /// The index.
    pub index: Arc<IndexDescriptor>,
    /// Which part of the index.
    pub bounds: IndexBounds,
    /// Forward for rows in index order, backward for the reverse.
    pub direction: ScanDirection,
    /// The values can be taken from the index where the page is all visible.
    pub index_only: bool,
    /// A unique index with an equality (not a list) on every key column, so at most one row.
    pub unique_match: bool,
}

impl IndexScanPlan {
    /// At most one row, found by one descent, and no filter to apply.
    pub fn is_point_lookup(&self) -> bool {
        self.unique_match && self.source.filter.is_none()
    }
}

/// The way an index is walked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScanDirection {
    /// In index order.
    Forward,
    /// Against index order.
    Backward,
}

/// Which entries of an index: conditions on leading key columns, then at most one range on the next.
///
/// Key column `i` for `i < keys.len()` is bound by `keys[i]`; `range` bounds key column `keys.len()`. No key and no range:
/// the whole index. A comparison with NULL selects nothing: when an `Equal` or a bound of `range` evaluates to NULL the
/// scan is empty. Null keys are never between the bounds of a range.
#[derive(Debug, Clone, Default)]
pub struct IndexBounds {
    /// Conditions on the leading key columns.
    pub keys: Vec<KeyCondition>,
    /// A range of the column after them.
    pub range: Option<KeyRange>,
    /// A comparison of several key columns, from `keys.len()` on, with as many values. `range` bounds the first of them on
    /// the other side, if there is one.
    pub row: Option<RowBound>,
    /// Of a GIN index, which has neither of the two: conditions that all hold.
    pub gin: Vec<GinCondition>,
}

/// A condition on a column of a GIN index.
#[derive(Debug, Clone)]
pub struct GinCondition {
    /// Which of the index's columns.
    pub column: usize,
    /// What the value is asked.
    pub strategy: GinStrategy,
    /// What it is compared with; as in [`KeyValue`].
    pub value: Expr,
}

/// What a GIN index can be asked: `column operator value`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GinStrategy {
    /// `&&`
    Overlap,
    /// `@>`
    Contains,
    /// `<@`
    Contained,
    /// `=`
    Equal,
    /// `?`
    Exists,
    /// `?|`
    ExistsAny,
    /// `?&`
    ExistsAll,
}

impl GinStrategy {
    /// The operator.
    pub fn operator(self) -> &'static str {
        match self {
            GinStrategy::Overlap => "&&",
            GinStrategy::Contains => "@>",
            GinStrategy::Contained => "<@",
            GinStrategy::Equal => "=",
            GinStrategy::Exists => "?",
            GinStrategy::ExistsAny => "?|",
            GinStrategy::ExistsAll => "?&",
        }
    }
}

/// A condition on one leading key column of an index.
#[derive(Debug, Clone)]
pub enum KeyCondition {
    /// `key = value`.
    Equal(KeyValue),
    /// `key = ANY (array)`: one range for each distinct element, in index order; null elements match nothing.
    Any(KeyValue),
    /// `key IS NULL`.
    IsNull,
}

/// A range of one key column. Values and not positions: for a `DESC` key column the executor swaps the ends.
#[derive(Debug, Clone, Default)]
pub struct KeyRange {
    /// The smallest value.
    pub lower: Option<KeyBound>,
    /// The largest value.
    pub upper: Option<KeyBound>,
    /// No bound at all but `key IS NOT NULL`; the executor skips null keys in every range.
    pub not_null: bool,
}

/// One end of a range.
#[derive(Debug, Clone)]
pub struct KeyBound {
    /// The value.
    pub value: KeyValue,
    /// Whether the value itself belongs to the range.
    pub inclusive: bool,
}

/// `(key, next key, …) op (value, value, …)`, lexicographic: a row whose first columns equal the values before a null key or
/// a null value is not among them.
#[derive(Debug, Clone)]
pub struct RowBound {
    /// The values, at least two.
    pub values: Vec<KeyValue>,
    /// `<` or `<=` and not `>` or `>=`.
    pub upper: bool,
    /// Whether the values themselves satisfy it.
    pub inclusive: bool,
}

/// A value that a key is compared with. The expression reads no columns: constants, parameters, correlated slots and
/// calls over them; it is evaluated once each time the scan is opened or rescanned.
#[derive(Debug, Clone)]
pub struct KeyValue {
    /// The value; for [`KeyCondition::Any`] an array.
    pub expr: Expr,
    /// How to bring it to the key column's type.
    pub conversion: BoundConversion,
}

/// How a compared value becomes a value of the key column's type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BoundConversion {
    /// It has the key's type (or one with the same stored form) already.
    None,
    /// The value is a smallint, integer or bigint and the key another of these: converted exactly; a value outside the
    /// key type's range equals no key, lies above (or below) all keys as a bound.
    Integer,
}

/// Rows of a table found by bitmaps; read in page order, each once.
#[derive(Debug, Clone)]
pub struct BitmapScanPlan {
    /// Table, columns, filter (which does not repeat the index conditions).
    pub source: ScanSource,
    /// Where the bitmap comes from.
    pub bitmap: BitmapSource,
    /// The condition that the bitmap stands for, over the fetched columns; for EXPLAIN ("Recheck Cond") and for row
    /// versions whose keys may have changed.
    pub recheck: Option<Expr>,
}

/// A set of row ids.
#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant)]
pub enum BitmapSource {
    /// From one index.
    Index {
        /// The index.
        index: Arc<IndexDescriptor>,
        /// Which part of it.
        bounds: IndexBounds,
        /// Rows expected.
        rows: f64,
        /// Cost of making the bitmap.
        cost: f64,
    },
    /// Rows in all of them.
    And(Vec<BitmapSource>),
    /// Rows in any of them.
    Or(Vec<BitmapSource>),
}

/// Rows of a table by row id: `WHERE ctid = …`.
#[derive(Debug, Clone)]
pub struct TidScanPlan {
    /// Table, columns, filter.
    pub source: ScanSource,
    /// Which rows.
    pub condition: TidCondition,
}

/// Which row ids a [`TidScanPlan`] reads.
#[derive(Debug, Clone)]
pub enum TidCondition {
    /// One `tid`.
    Equal(Expr),
    /// An array of `tid`.
    Any(Expr),
}

/// One row with one column: the smallest or largest non-null key of an index (`min`, `max`), or NULL.
#[derive(Debug, Clone)]
pub struct MinMaxIndexPlan {
    /// A scan whose only fetched column is the key, walked in the direction in which the wanted value comes first.
    pub scan: IndexScanPlan,
}

/// Set-returning functions in FROM: one function, or several side by side (`ROWS FROM`), padded with nulls to the longest.
///
/// Output: the columns of each function in turn, then the row number (bigint, from 1) when `ordinality`.
#[derive(Debug, Clone)]
pub struct FunctionScanPlan {
    /// The name in the query.
    pub alias: Arc<str>,
    /// The functions.
    pub functions: Vec<FunctionInScan>,
    /// WITH ORDINALITY.
    pub ordinality: bool,
    /// Rows that do not satisfy it are left out. Reads the output columns.
    pub filter: Option<Expr>,
}

/// One function of a [`FunctionScanPlan`]. Its arguments read no columns (correlated slots instead).
#[derive(Debug, Clone)]
pub enum FunctionInScan {
    /// A set-returning function of the registry.
    Set {
        /// The function.
        function: FunctionRef,
        /// Its arguments.
        args: Vec<Expr>,
        /// The type that it returns; the columns are the fields where that is a row.
        result: SqlType,
        /// How many columns of the scan it yields; more than one when it returns records.
        columns: usize,
    },
    /// Any other expression: one row. A record result with `columns > 1` is spread.
    Scalar {
        /// The expression.
        expr: Expr,
        /// How many columns of the scan it yields.
        columns: usize,
    },
}
