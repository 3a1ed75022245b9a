//! A small engine for the executor's tests: tables in memory, transactions, hand-made plans.

#![allow(dead_code, reason = "each test file uses a part")]

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use ochre_access::btree::{BTreeManager, BTreeOptions, BTrees};
use ochre_access::heap::{Heap, HeapLog, Heaps};
use ochre_base::{Lsn, Oid, Result};
use ochre_catalog::{
    ColumnDescriptor, ColumnList, Field, IndexDescriptor, IndexKey, Persistence, RelationDescriptor,
    RelationKind,
};
use ochre_env::Env;
use ochre_exec::{
    Execution, IndexAccess, IndexExpressions, RelationSource, StatementContext, TableAccess, TempFiles,
    build_index,
};
use ochre_expr::{Expr, NoSession, operators_named};
use ochre_sql::physical::{
    CommandKind, IndexMaintenance, OutputColumn, PhysicalPlan, PlanNode, PlannedStatement, TargetTable,
};
use ochre_storage::{RelationKey, ResourceManager, Storage, StorageConfig};
use ochre_txn::{
    IsolationLevel, Snapshot, Transaction, TransactionLog, TransactionManager, TransactionOptions,
};
use ochre_types::{Batch, Datum, SqlType};

/// The database of all relations.
const DATABASE: Oid = Oid(5);

pub struct Database {
    pub storage: Arc<Storage>,
    pub manager: Arc<TransactionManager>,
    pub heaps: Heaps,
    pub trees: BTrees,
    pub temp: Arc<TempFiles>,
    pub session: NoSession,
    pub tables: HashMap<Oid, Arc<TableAccess>>,
    pub work_mem_bytes: usize,
    pub batch_rows: usize,
    next_oid: u32,
}

/// A column of an index: position in the table, descending.
pub struct Index<'a> {
    pub name: &'a str,
    pub columns: &'a [(usize, bool)],
    pub included: &'a [usize],
    pub unique: bool,
}

impl Database {
    pub fn new() -> Database {
        let env = Env::in_memory();
        let config = StorageConfig { background_threads: false, ..StorageConfig::default() };
        let log = TransactionLog::new();
        let managers: Vec<Arc<dyn ResourceManager>> =
            vec![log.clone(), HeapLog::new(), Arc::new(BTreeManager)];
        let storage = Storage::open(env.clone(), "/data".as_ref(), config, managers).unwrap();
        let manager = TransactionManager::new(storage.clone(), &log);
        let dir = PathBuf::from("/data/tmp");
        TempFiles::clear(&env, &dir).unwrap();
        Database {
            heaps: Heaps::new(manager.clone()),
            trees: BTrees::new(storage.clone()),
            storage,
            manager,
            temp: Arc::new(TempFiles::new(env, dir)),
            session: NoSession::default(),
            tables: HashMap::new(),
            work_mem_bytes: 4 << 20,
            batch_rows: 2048,
            next_oid: 20_000,
        }
    }

    fn oid(&mut self) -> Oid {
        self.next_oid += 1;
        Oid(self.next_oid)
    }

    pub fn begin(&self, isolation: IsolationLevel) -> Transaction {
        self.manager.begin(TransactionOptions { isolation, ..TransactionOptions::default() })
    }

    /// A committed table; every column may be NULL.
    pub fn create_table(
        &mut self,
        name: &str,
        columns: &[(&str, SqlType)],
        indexes: &[Index<'_>],
    ) -> Arc<RelationDescriptor> {
        let oid = self.oid();
        let txn = self.begin(IsolationLevel::ReadCommitted);
        let key = RelationKey::new(DATABASE, self.storage.files().next_file_id());
        Heap::create(&txn, key).unwrap();
        let columns: Vec<ColumnDescriptor> = columns
            .iter()
            .enumerate()
            .map(|(i, (name, ty))| ColumnDescriptor {
                acl: None,
                number: i as i16 + 1,
                name: (*name).into(),
                ty: *ty,
                collation: Oid::INVALID,
                not_null: false,
                dropped: false,
                default: None,
                identity: None,
                generated: None,
                missing: None,
                comment: None,
                statistics: None,
                storage: None,
                origin: ochre_catalog::Origin::LOCAL,
            })
            .collect();
        let fields = columns.iter().map(|column| Field { number: column.number, ty: column.ty }).collect();
        let mut descriptors = Vec::new();
        let mut trees = Vec::new();
        for index in indexes {
            let index_key = RelationKey::new(DATABASE, self.storage.files().next_file_id());
            let xid = txn.assign_xid().unwrap();
            trees.push(self.trees.create(index_key, xid, BTreeOptions::default()).unwrap());
            txn.note_created(index_key);
            let keys = index.columns.iter().map(|(column, descending)| IndexKey {
                number: *column as i16 + 1,
                expression: None,
                ty: columns[*column].ty,
                collation: Oid::INVALID,
                operator_class: Oid::INVALID,
                descending: *descending,
                nulls_first: *descending,
            });
            descriptors.push(Arc::new(IndexDescriptor {
                oid: self.oid(),
                namespace: Oid(2200),
                name: index.name.into(),
                table: oid,
                owner: Oid(10),
                method: ochre_catalog::IndexMethod::BTree,
                file: index_key.file,
                keys: keys.collect(),
                included: index.included.iter().map(|column| *column as i16 + 1).collect(),
                unique: index.unique,
                primary: false,
                nulls_not_distinct: false,
                clustered: false,
                immediate: true,
                predicate: None,
                valid: true,
                ready: true,
                usable_from: Lsn::ZERO,
                constraint: None,
                column_names: Vec::new(),
                page_estimate: 1,
                row_estimate: 0.0,
                comment: None,
                options: Vec::new(),
            }));
        }
        let descriptor = Arc::new(RelationDescriptor {
            acl: None,
            oid,
            namespace: Oid(2200),
            name: name.into(),
            kind: RelationKind::Table,
            persistence: Persistence::Permanent,
            owner: Oid(10),
            shared: false,
            builtin: false,
            file: Some(key.file),
            columns,
            column_lists: vec![Arc::new(ColumnList { version: 1, fields })],
            schema_version: 1,
            indexes: descriptors,
            constraints: Vec::new(),
            view_query: None,
            has_triggers: false,
            populated: true,
            has_indexes: false,
            triggers: Vec::new(),
            sequence: None,
            index: None,
            row_type: Oid::INVALID,
            array_type: Oid::INVALID,
            row_estimate: -1.0,
            page_estimate: 0,
            comment: None,
            options: Vec::new(),
            inheritance: ochre_catalog::Inheritance::default(),
        });
        self.manager.commit(txn).unwrap().wait().unwrap();
        let heap = self.heaps.open(key);
        let open = descriptor.indexes.iter().zip(trees).map(|(index, tree)| {
            let exprs = IndexExpressions::plain(&descriptor, index).unwrap();
            Arc::new(IndexAccess::new(&descriptor, index, tree, exprs))
        });
        let access = Arc::new(TableAccess::new(&descriptor, Some(heap), open.collect()));
        self.tables.insert(oid, access);
        descriptor
    }

    /// What DML needs to know of a table.
    pub fn target(&self, table: &Arc<RelationDescriptor>) -> TargetTable {
        let access = &self.tables[&table.oid];
        TargetTable {
            table: table.clone(),
            alias: table.name.clone(),
            not_null: Vec::new(),
            generated: Vec::new(),
            checks: Vec::new(),
            indexes: access
                .indexes
                .iter()
                .map(|index| IndexMaintenance {
                    index: index.descriptor.clone(),
                    exprs: index.exprs.columns.clone(),
                    predicate: None,
                    columns_read: index.exprs.columns_read(),
                })
                .collect(),
            foreign_keys: Vec::new(),
            referenced_by: Vec::new(),
            partition: None,
        }
    }

    pub fn with_context<R>(
        &self,
        txn: &Transaction,
        snapshot: &Snapshot,
        params: &[Datum],
        run: impl FnOnce(&StatementContext<'_>) -> R,
    ) -> R {
        run(&StatementContext {
            params,
            session: &self.session,
            relations: self,
            txn,
            snapshot,
            temp: &self.temp,
            work_mem_bytes: self.work_mem_bytes,
            hash_mem_bytes: self.work_mem_bytes,
            batch_rows: self.batch_rows,
            workers: None,
        })
    }

    /// Runs a plan in a transaction; its rows, and how many it changed.
    pub fn run_in(
        &self,
        txn: &mut Transaction,
        plan: &Arc<PlannedStatement>,
        params: &[Datum],
    ) -> Result<(Vec<Vec<Datum>>, u64)> {
        let snapshot = txn.snapshot()?;
        let (rows, changed) = self.with_context(txn, &snapshot, params, |context| -> Result<_> {
            let mut execution = Execution::new(plan, self)?;
            let mut rows = Vec::new();
            while let Some(batch) = execution.next(context)? {
                assert!(!batch.is_empty(), "batches are never empty");
                rows.extend(batch.active().map(|row| batch.row(row)));
            }
            Ok((rows, execution.rows_changed()))
        })?;
        drop(snapshot);
        txn.advance_command()?;
        Ok((rows, changed))
    }

    /// Runs a plan in a transaction of its own.
    pub fn run(&self, plan: &Arc<PlannedStatement>) -> Result<Vec<Vec<Datum>>> {
        self.run_with(plan, &[]).map(|(rows, _)| rows)
    }

    pub fn run_with(&self, plan: &Arc<PlannedStatement>, params: &[Datum]) -> Result<(Vec<Vec<Datum>>, u64)> {
        let mut txn = self.begin(IsolationLevel::ReadCommitted);
        let result = self.run_in(&mut txn, plan, params);
        match result {
            Ok(_) => drop(self.manager.commit(txn)?),
            Err(_) => self.manager.abort(txn),
        }
        result
    }

    /// Builds an index anew, as CREATE INDEX does.
    pub fn build(&self, table: &Arc<RelationDescriptor>, index: usize) -> Result<u64> {
        let txn = self.begin(IsolationLevel::ReadCommitted);
        let access = &self.tables[&table.oid];
        let snapshot = txn.snapshot()?;
        let report = self.with_context(&txn, &snapshot, &[], |context| {
            build_index(context, access, &access.indexes[index], 1 << 20)
        });
        drop(snapshot);
        self.manager.commit(txn)?.wait()?;
        report.map(|report| report.entries)
    }
}

impl RelationSource for Database {
    fn table(&self, descriptor: &Arc<RelationDescriptor>) -> Result<Arc<TableAccess>> {
        self.table_by_oid(descriptor.oid)
    }

    fn table_by_oid(&self, oid: Oid) -> Result<Arc<TableAccess>> {
        Ok(self.tables[&oid].clone())
    }

    fn namespace_name(&self, _namespace: Oid) -> String {
        "public".to_owned()
    }

    fn builtin_rows(&self, _table: &TableAccess, _statement: &StatementContext<'_>) -> Result<Vec<Batch>> {
        Ok(Vec::new())
    }
}

/// Output columns of these types.
pub fn columns(types: &[SqlType]) -> Vec<OutputColumn> {
    types.iter().map(|ty| OutputColumn { name: "?column?".into(), ty: *ty, origin: None }).collect()
}

pub fn node(node: PlanNode, types: &[SqlType]) -> Arc<PhysicalPlan> {
    Arc::new(PhysicalPlan::new(node, columns(types)))
}

/// A statement with `slots` slots in its main frame.
pub fn statement(command: CommandKind, plan: Arc<PhysicalPlan>, slots: usize) -> Arc<PlannedStatement> {
    Arc::new(PlannedStatement {
        command,
        row_shape: plan.columns.clone(),
        returns_rows: !plan.columns.is_empty(),
        plan,
        slots,
        subplans: Vec::new(),
        ctes: Vec::new(),
        work_tables: 0,
        parameters: Vec::new(),
        relations: Vec::new(),
        requirements: Box::default(),
        namespaces: Box::default(),
        read_only: command == CommandKind::Select,
        cursor_tables: Box::default(),
        disabled: ochre_sql::DisabledMethods::default(),
        rules: Box::default(),
    })
}

pub fn select(plan: Arc<PhysicalPlan>) -> Arc<PlannedStatement> {
    statement(CommandKind::Select, plan, 0)
}

/// `left operator right` on one type.
pub fn op(name: &str, left: Expr, right: Expr) -> Expr {
    let (l, r) = (left.ty().oid, right.ty().oid);
    let operator = operators_named(name)
        .iter()
        .find(|operator| operator.left == l && operator.right == r)
        .unwrap_or_else(|| panic!("{l} {name} {r}"));
    Expr::call(operator.function, vec![left, right], SqlType::new(operator.result, -1))
}

pub fn int(value: i32) -> Expr {
    Expr::constant(Datum::Int32(value), SqlType::INT4)
}

pub fn text(value: &str) -> Expr {
    Expr::constant(Datum::text(value), SqlType::TEXT)
}

pub fn col(index: usize, ty: SqlType) -> Expr {
    Expr::column(index, ty)
}
