//! Tables and indexes as the executor opens them.

use std::cell::RefCell;
use std::sync::Arc;

use crate::modify::triggers::{Firing, TriggerRow};
use ochre_access::btree::BTree;
use ochre_access::heap::Heap;
use ochre_base::{Error, Oid, Result};
use ochre_catalog::{ConstraintDescriptor, IndexDescriptor, IndexMethod, RelationDescriptor};
use ochre_expr::{Expr, Implementation};
use ochre_sql::physical::{ForeignKeyCheck, PlannedStatement};
use ochre_types::{Batch, KeyOrder, PhysicalType, SqlType, key};

use crate::codec::RowCodec;
use crate::context::StatementContext;
use crate::gin::{GinClass, gin_classes};
use crate::modify::deferred::DeferredChecks;

/// Opens what plans name. The engine implements it.
///
/// A handle is asked for once for each node when an [`crate::Execution`] is made. Implementations keep the handles of a
/// relation behind `Arc`s beside its descriptor, so that opening one is a look-up: making a [`TableAccess`] computes
/// the codecs of all its schema versions.
pub trait RelationSource {
    /// The table with this id, under the very descriptor that the plan was made with.
    ///
    /// # Errors
    /// When there is none (42P01), or its files cannot be opened.
    fn table(&self, descriptor: &Arc<RelationDescriptor>) -> Result<Arc<TableAccess>>;

    /// The table with this id, under its present descriptor.
    ///
    /// # Errors
    /// As [`RelationSource::table`].
    fn table_by_oid(&self, oid: Oid) -> Result<Arc<TableAccess>>;

    /// The name of a namespace, for the fields of error messages; empty when there is none.
    fn namespace_name(&self, namespace: Oid) -> String;

    /// The rows of a built-in relation that are not stored: those of built-in objects, and of relations that are computed
    /// when they are read. A scan returns them before the stored rows. All columns of the table by position; batches
    /// of at most 2,048 rows. Nothing for other tables.
    ///
    /// # Errors
    /// Those of computing them.
    fn builtin_rows(&self, table: &TableAccess, statement: &StatementContext<'_>) -> Result<Vec<Batch>>;

    /// What the transaction checks at its end; `None` when nothing waits for that.
    fn deferred(&self) -> Option<&RefCell<DeferredChecks>> {
        None
    }

    /// The constraint with this id, if it is there.
    fn constraint(&self, _oid: Oid) -> Option<Arc<ConstraintDescriptor>> {
        None
    }

    /// What checking a foreign key needs; `None` for other constraints.
    ///
    /// # Errors
    /// Those of binding conversions.
    fn foreign_key(&self, _constraint: &Arc<ConstraintDescriptor>) -> Result<Option<Arc<ForeignKeyCheck>>> {
        Ok(None)
    }

    /// Whether a trigger's WHEN condition holds.
    ///
    /// # Errors
    /// Those of the condition.
    fn trigger_applies(&self, _firing: &Firing) -> Result<bool> {
        Ok(true)
    }

    /// Fires a trigger: the row that its function returns, `None` for NULL.
    ///
    /// # Errors
    /// The function's.
    fn fire_trigger(&self, firing: &Firing) -> Result<Option<TriggerRow>> {
        Err(Error::unsupported(format_args!("trigger \"{}\" here", firing.trigger.name)))
    }

    /// The plan of a query over the table that has a foreign key, with its locks taken. Parameters are the referenced key's
    /// old values in the constraint's order, then its new ones where there are some.
    ///
    /// # Errors
    /// Those of planning and of waiting for locks.
    fn referential_plan(
        &self,
        constraint: &ConstraintDescriptor,
        _query: ReferentialQuery,
    ) -> Result<Arc<PlannedStatement>> {
        Err(Error::internal(format!("there is no plan for the foreign key \"{}\"", constraint.name)))
    }
}

/// What is done with the rows that refer to a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReferentialQuery {
    /// One of them is looked for and locked.
    Find,
    /// They are deleted.
    Delete,
    /// They get the new key.
    UpdateKey,
    /// Their columns become NULL.
    SetNull { on_delete: bool },
    /// Their columns get their defaults.
    SetDefault { on_delete: bool },
}

/// A table that is open.
pub struct TableAccess {
    /// What it is.
    pub descriptor: Arc<RelationDescriptor>,
    /// Its rows; `None` for a built-in relation without stored rows.
    pub heap: Option<Arc<Heap>>,
    /// How rows are stored.
    pub codec: Arc<RowCodec>,
    /// Its indexes that are ready.
    pub indexes: Vec<Arc<IndexAccess>>,
}

/// An index that is open.
pub struct IndexAccess {
    /// What it is.
    pub descriptor: Arc<IndexDescriptor>,
    /// Its entries.
    pub tree: Arc<BTree>,
    /// Its columns and predicate over the target image.
    pub exprs: IndexExpressions,
    /// The key columns' types and orders.
    pub keys: Vec<(SqlType, KeyOrder)>,
    /// The types of what an entry's payload holds: for each key column whose key form may differ from the value, unless it is
    /// hashed, the value; then the included columns.
    pub payload: Vec<PayloadColumn>,
    /// Of a GIN index: how keys are extracted from each of its columns.
    pub gin: Option<Vec<GinClass>>,
    /// Of an index whose keys functions of users compute: the table's columns (by position) that they are computed from.
    /// What the functions gave for a version is kept in the index, and they are not asked again
    /// ([`crate::index_entry`], E2).
    pub remembered_inputs: Option<Vec<usize>>,
    /// Whether the index remembers, too, which rows it does not hold: its condition calls functions of users.
    pub remembers_absence: bool,
}

/// What an index stores of a row, as expressions over the target image: the table's columns by position, then the row id.
/// (`ochre_sql::physical::IndexMaintenance` holds the same.)
#[derive(Debug, Clone)]
pub struct IndexExpressions {
    /// Key columns, then included columns; a plain column is `Expr::Column`.
    pub columns: Vec<Expr>,
    /// The condition of a partial index.
    pub predicate: Option<Expr>,
}

impl IndexExpressions {
    /// Those of an index over plain columns without a condition; `None` for others, whose SQL texts must be bound.
    pub fn plain(table: &RelationDescriptor, index: &IndexDescriptor) -> Option<IndexExpressions> {
        if index.predicate.is_some() {
            return None;
        }
        let numbers = index.keys.iter().map(|key| key.number).chain(index.included.iter().copied());
        let columns = numbers
            .map(|number| {
                let column = table.column(number)?;
                Some(Expr::column(number as usize - 1, column.ty))
            })
            .collect::<Option<Vec<Expr>>>()?;
        Some(IndexExpressions { columns, predicate: None })
    }

    /// Whether a function of a user takes part.
    pub fn call_routines(&self) -> bool {
        self.columns.iter().chain(&self.predicate).any(calls_routine)
    }

    /// Positions of the table's columns that entries depend on, sorted.
    pub fn columns_read(&self) -> Vec<usize> {
        let mut read: Vec<usize> =
            self.columns.iter().chain(&self.predicate).flat_map(|expr| expr.columns()).collect();
        read.sort_unstable();
        read.dedup();
        read
    }
}

fn calls_routine(expr: &Expr) -> bool {
    expr.any(|node| match node {
        Expr::Call { function, .. } => matches!(function.implementation, Implementation::Routine),
        _ => false,
    })
}

/// A value in the payload of an index's entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PayloadColumn {
    /// Which of the index's columns (keys first, included ones after them).
    pub column: usize,
    /// How it is stored.
    pub physical: PhysicalType,
}

impl TableAccess {
    /// A table with its rows and those indexes that are ready.
    pub fn new(
        descriptor: &Arc<RelationDescriptor>,
        heap: Option<Arc<Heap>>,
        indexes: Vec<Arc<IndexAccess>>,
    ) -> TableAccess {
        TableAccess::with_codec(descriptor, RowCodec::new(descriptor), heap, indexes)
    }

    /// As [`TableAccess::new`], with a codec that knows more than the descriptor.
    pub fn with_codec(
        descriptor: &Arc<RelationDescriptor>,
        codec: RowCodec,
        heap: Option<Arc<Heap>>,
        indexes: Vec<Arc<IndexAccess>>,
    ) -> TableAccess {
        let known = |oid: Oid| descriptor.indexes.iter().any(|index| index.oid == oid && index.ready);
        debug_assert!(indexes.iter().all(|index| known(index.descriptor.oid)));
        TableAccess { descriptor: Arc::clone(descriptor), heap, codec: Arc::new(codec), indexes }
    }

    /// The table's rows, of a table that has some.
    ///
    /// # Errors
    /// 0A000 for a built-in relation whose rows are not stored: they can be read, not locked or fetched by place.
    pub fn heap(&self) -> Result<&Arc<Heap>> {
        let name = &self.descriptor.name;
        self.heap.as_ref().ok_or_else(|| {
            Error::unsupported(format_args!("access to single rows of the built-in relation \"{name}\""))
        })
    }

    /// The index with this id.
    ///
    /// # Errors
    /// XX000 when the table has none.
    pub fn index(&self, oid: Oid) -> Result<&Arc<IndexAccess>> {
        self.indexes.iter().find(|index| index.descriptor.oid == oid).ok_or_else(|| {
            Error::internal(format!("relation \"{}\" has no index {oid}", self.descriptor.name))
        })
    }
}

impl IndexAccess {
    /// An index of a table, with its expressions: [`IndexExpressions::plain`], or bound from its SQL texts.
    pub fn new(
        table: &RelationDescriptor,
        descriptor: &Arc<IndexDescriptor>,
        tree: Arc<BTree>,
        exprs: IndexExpressions,
    ) -> IndexAccess {
        let keys = key_orders(descriptor);
        let gin = gin_classes(descriptor);
        let mut payload: Vec<PayloadColumn> = keys
            .iter()
            .enumerate()
            .filter(|(_, (ty, order))| gin.is_none() && !order.hashed && !key::is_lossless(*ty))
            .map(|(column, (ty, _))| PayloadColumn { column, physical: ty.physical })
            .collect();
        for (i, number) in descriptor.included.iter().enumerate() {
            let ty = table.column(*number).map_or(SqlType::TEXT, |column| column.ty);
            payload.push(PayloadColumn { column: keys.len() + i, physical: ty.physical });
        }
        let remembered_inputs = exprs.call_routines().then(|| exprs.columns_read());
        let remembers_absence = exprs.predicate.as_ref().is_some_and(calls_routine);
        let descriptor = Arc::clone(descriptor);
        IndexAccess { descriptor, tree, exprs, keys, payload, gin, remembered_inputs, remembers_absence }
    }
}

/// The types and orders of an index's key columns.
pub fn key_orders(index: &IndexDescriptor) -> Vec<(SqlType, KeyOrder)> {
    let order = |key: &ochre_catalog::IndexKey| match index.method {
        IndexMethod::BTree | IndexMethod::Gin => KeyOrder::new(key.ty, key.descending, key.nulls_first),
        IndexMethod::Hash => KeyOrder::hashed(key.ty),
    };
    index.keys.iter().map(|key| (key.ty, order(key))).collect()
}
