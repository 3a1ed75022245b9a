//! Tables: inserts, scans by every path, updates, deletes, conflicts, isolation.

mod common;

use std::sync::Arc;

use common::{Database, Index, col, int, node, op, select, statement, text};
use ochre_base::SqlState;
use ochre_catalog::RelationDescriptor;
use ochre_exec::PointLookup;
use ochre_expr::Expr;
use ochre_sql::physical::{
    Assignment, BoundConversion, CheckExpression, CommandKind, ConflictAction, DeletePlan, IndexBounds,
    IndexScanPlan, InsertPlan, KeyBound, KeyCondition, KeyRange, KeyValue, OnConflict, PhysicalPlan,
    PlanNode, PlannedStatement, RowRecheck, ScanColumn, ScanDirection, ScanSource, SeqScanPlan, UpdatePlan,
    ValuesPlan,
};
use ochre_txn::IsolationLevel;
use ochre_types::{Datum, SqlType};

const ROW: [SqlType; 2] = [SqlType::INT4, SqlType::TEXT];

fn two_columns(db: &mut Database) -> Arc<RelationDescriptor> {
    db.create_table(
        "t",
        &[("id", SqlType::INT4), ("name", SqlType::TEXT)],
        &[
            Index { name: "t_pkey", columns: &[(0, false)], included: &[], unique: true },
            Index { name: "t_name", columns: &[(1, true), (0, false)], included: &[], unique: false },
        ],
    )
}

fn values(rows: &[(i32, Option<&str>)]) -> Arc<PhysicalPlan> {
    let rows =
        rows.iter().map(|(id, name)| vec![int(*id), name.map_or(Expr::null(SqlType::TEXT), text)]).collect();
    node(PlanNode::Values(ValuesPlan { rows, alias: "v".into() }), &ROW)
}

fn insert(db: &Database, table: &Arc<RelationDescriptor>, rows: &[(i32, Option<&str>)]) -> InsertPlan {
    InsertPlan {
        target: db.target(table),
        source: values(rows),
        on_conflict: None,
        returning: None,
        routing: None,
    }
}

fn insert_statement(plan: InsertPlan) -> Arc<PlannedStatement> {
    let types = if plan.returning.is_some() { &ROW[..] } else { &[] };
    statement(CommandKind::Insert, node(PlanNode::Insert(Box::new(plan)), types), 0)
}

fn source(table: &Arc<RelationDescriptor>, fetch: &[ScanColumn], filter: Option<Expr>) -> ScanSource {
    ScanSource { table: table.clone(), alias: table.name.clone(), fetch: fetch.to_vec(), filter }
}

const BOTH: [ScanColumn; 2] = [ScanColumn::Table(0), ScanColumn::Table(1)];

fn seq_scan(table: &Arc<RelationDescriptor>, filter: Option<Expr>) -> Arc<PhysicalPlan> {
    node(
        PlanNode::SeqScan(SeqScanPlan {
            source: source(table, &BOTH, filter),
            parallel: false,
            sample: None,
        }),
        &ROW,
    )
}

fn key(expr: Expr) -> KeyValue {
    KeyValue { expr, conversion: BoundConversion::None }
}

fn index_scan(
    table: &Arc<RelationDescriptor>,
    index: usize,
    bounds: IndexBounds,
    direction: ScanDirection,
    index_only: bool,
) -> IndexScanPlan {
    IndexScanPlan {
        source: source(table, &BOTH, None),
        index: table.indexes[index].clone(),
        bounds,
        direction,
        index_only,
        unique_match: false,
    }
}

fn names(rows: &[Vec<Datum>]) -> Vec<(i64, String)> {
    rows.iter().map(|row| (row[0].as_i64().unwrap(), row[1].as_str().unwrap_or("NULL").to_owned())).collect()
}

fn sorted(mut rows: Vec<(i64, String)>) -> Vec<(i64, String)> {
    rows.sort();
    rows
}

fn fill(db: &Database, table: &Arc<RelationDescriptor>, count: i32) {
    let rows: Vec<(i32, String)> = (0..count).map(|i| (i, format!("name {}", i % 10))).collect();
    let rows: Vec<(i32, Option<&str>)> = rows.iter().map(|(i, name)| (*i, Some(name.as_str()))).collect();
    let plan = insert_statement(insert(db, table, &rows));
    assert_eq!(db.run_with(&plan, &[]).unwrap().1, count as u64);
}

/// `UPDATE t SET assignments WHERE filter RETURNING id, name`.
fn update(
    db: &Database,
    table: &Arc<RelationDescriptor>,
    filter: Option<Expr>,
    assignments: Vec<(usize, Expr)>,
) -> Arc<PlannedStatement> {
    let fetch = [ScanColumn::Table(0), ScanColumn::Table(1), ScanColumn::RowId];
    let types = [SqlType::INT4, SqlType::TEXT, SqlType::TID];
    let scan = node(
        PlanNode::SeqScan(SeqScanPlan {
            source: source(table, &fetch, filter.clone()),
            parallel: false,
            sample: None,
        }),
        &types,
    );
    let plan = UpdatePlan {
        target: db.target(table),
        source: scan,
        row_id: 2,
        old_columns: vec![Some(0), Some(1)],
        assignments: assignments.into_iter().map(|(column, value)| Assignment { column, value }).collect(),
        recheck: RowRecheck {
            columns: vec![(0, ScanColumn::Table(0)), (1, ScanColumn::Table(1))],
            predicate: filter,
        },
        returning: Some(vec![col(0, SqlType::INT4), col(1, SqlType::TEXT)]),
    };
    statement(CommandKind::Update, node(PlanNode::Update(Box::new(plan)), &ROW), 0)
}

fn delete(db: &Database, table: &Arc<RelationDescriptor>, filter: Option<Expr>) -> Arc<PlannedStatement> {
    let fetch = [ScanColumn::Table(0), ScanColumn::Table(1), ScanColumn::RowId];
    let types = [SqlType::INT4, SqlType::TEXT, SqlType::TID];
    let scan = node(
        PlanNode::SeqScan(SeqScanPlan {
            source: source(table, &fetch, filter.clone()),
            parallel: false,
            sample: None,
        }),
        &types,
    );
    let plan = DeletePlan {
        target: db.target(table),
        source: scan,
        row_id: 2,
        recheck: RowRecheck {
            columns: vec![(0, ScanColumn::Table(0)), (1, ScanColumn::Table(1))],
            predicate: filter,
        },
        returning: Some(vec![col(0, SqlType::INT4), col(1, SqlType::TEXT)]),
    };
    statement(CommandKind::Delete, node(PlanNode::Delete(Box::new(plan)), &ROW), 0)
}

fn id() -> Expr {
    col(0, SqlType::INT4)
}

#[test]
fn inserted_rows_are_found_by_every_path() {
    let mut db = Database::new();
    let table = two_columns(&mut db);
    fill(&db, &table, 5000);
    let all = names(&db.run(&select(seq_scan(&table, None))).unwrap());
    assert_eq!(all.len(), 5000);
    assert_eq!(all[4321], (4321, "name 1".to_owned()));

    let some = seq_scan(&table, Some(op("<", id(), int(3))));
    assert_eq!(names(&db.run(&select(some)).unwrap()).len(), 3);

    for index_only in [false, true] {
        // Equality on a unique key.
        let bounds = IndexBounds { keys: vec![KeyCondition::Equal(key(int(77)))], ..IndexBounds::default() };
        let scan = index_scan(&table, 0, bounds, ScanDirection::Forward, false);
        let found = db.run(&select(node(PlanNode::IndexScan(scan), &ROW))).unwrap();
        assert_eq!(names(&found), [(77, "name 7".to_owned())]);

        // The whole descending index, both ways.
        let by_name = |direction| {
            let scan = index_scan(&table, 1, IndexBounds::default(), direction, index_only);
            names(&db.run(&select(node(PlanNode::IndexScan(scan), &ROW))).unwrap())
        };
        let forward = by_name(ScanDirection::Forward);
        let mut expected = all.clone();
        expected.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
        assert_eq!(forward, expected);
        expected.reverse();
        assert_eq!(by_name(ScanDirection::Backward), expected);

        // A prefix and a range behind it.
        let range = KeyRange {
            lower: Some(KeyBound { value: key(int(100)), inclusive: false }),
            upper: Some(KeyBound { value: key(int(140)), inclusive: true }),
            not_null: false,
        };
        let bounds = IndexBounds {
            keys: vec![KeyCondition::Equal(key(text("name 0")))],
            range: Some(range),
            ..IndexBounds::default()
        };
        let scan = index_scan(&table, 1, bounds, ScanDirection::Forward, index_only);
        let found = names(&db.run(&select(node(PlanNode::IndexScan(scan), &ROW))).unwrap());
        assert_eq!(found.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [110, 120, 130, 140]);

        // A range over the descending column.
        let range = KeyRange {
            lower: Some(KeyBound { value: key(text("name 8")), inclusive: true }),
            upper: None,
            not_null: false,
        };
        let bounds = IndexBounds { range: Some(range), ..IndexBounds::default() };
        let scan = index_scan(&table, 1, bounds, ScanDirection::Forward, index_only);
        let found = names(&db.run(&select(node(PlanNode::IndexScan(scan), &ROW))).unwrap());
        assert_eq!(found.len(), 1000);
        assert_eq!((found[0].1.as_str(), found[999].1.as_str()), ("name 9", "name 8"));
    }
}

#[test]
fn a_point_lookup_gives_the_row() {
    let mut db = Database::new();
    let table = two_columns(&mut db);
    fill(&db, &table, 100);
    let parameter = Expr::Parameter { index: 0, ty: SqlType::INT4 };
    let bounds = IndexBounds { keys: vec![KeyCondition::Equal(key(parameter))], ..IndexBounds::default() };
    let mut scan = index_scan(&table, 0, bounds, ScanDirection::Forward, false);
    scan.unique_match = true;
    let plan = select(node(PlanNode::IndexScan(scan), &ROW));
    let mut lookup = PointLookup::new(&plan, &db).unwrap().expect("it is one");
    let txn = db.begin(IsolationLevel::ReadCommitted);
    for wanted in [5, 99, 100] {
        let snapshot = txn.snapshot().unwrap();
        let row = db.with_context(&txn, &snapshot, &[Datum::Int32(wanted)], |context| {
            lookup.run(context).unwrap().map(|row| row.to_vec())
        });
        assert_eq!(row.map(|row| row[0].clone()), (wanted < 100).then_some(Datum::Int32(wanted)));
    }
    // After its key has changed a row is found under the new key only.
    db.run(&update(&db, &table, Some(op("=", id(), int(5))), vec![(0, int(500))])).unwrap();
    let snapshot = txn.snapshot().unwrap();
    for (wanted, found) in [(5, false), (500, true)] {
        db.with_context(&txn, &snapshot, &[Datum::Int32(wanted)], |context| {
            assert_eq!(lookup.run(context).unwrap().is_some(), found, "{wanted}");
        });
    }
}

#[test]
fn duplicate_keys_are_refused() {
    let mut db = Database::new();
    let table = two_columns(&mut db);
    fill(&db, &table, 10);
    for rows in [&[(3, Some("x"))][..], &[(20, None), (21, None), (22, None), (23, None), (3, None)]] {
        let error = db.run(&insert_statement(insert(&db, &table, rows))).unwrap_err();
        assert_eq!(error.sqlstate(), SqlState::UNIQUE_VIOLATION);
        assert_eq!(error.message(), "duplicate key value violates unique constraint \"t_pkey\"");
        let fields = error.fields();
        assert_eq!(fields.detail.as_deref(), Some("Key (id)=(3) already exists."));
        assert_eq!(fields.schema.as_deref(), Some("public"));
        assert_eq!(fields.table.as_deref(), Some("t"));
        assert_eq!(fields.constraint.as_deref(), Some("t_pkey"));
    }
    assert_eq!(db.run(&select(seq_scan(&table, None))).unwrap().len(), 10);
    // The keys of a transaction that rolled back are free.
    db.run(&insert_statement(insert(&db, &table, &[(20, None), (21, None)]))).unwrap();
}

#[test]
fn violated_constraints_name_the_row() {
    let mut db = Database::new();
    let table = two_columns(&mut db);
    let mut plan = insert(&db, &table, &[(1, Some("a")), (2, None)]);
    plan.target.not_null = vec![1];
    let error = db.run(&insert_statement(plan)).unwrap_err();
    assert_eq!(error.sqlstate(), SqlState::NOT_NULL_VIOLATION);
    assert_eq!(
        error.message(),
        "null value in column \"name\" of relation \"t\" violates not-null constraint"
    );
    assert_eq!(error.fields().detail.as_deref(), Some("Failing row contains (2, null)."));
    let mut plan = insert(&db, &table, &[(1, Some("a")), (-2, None)]);
    plan.target.checks =
        vec![CheckExpression { name: "positive".into(), expr: op(">", id(), int(0)), of_view: false }];
    let error = db.run(&insert_statement(plan)).unwrap_err();
    assert_eq!(error.sqlstate(), SqlState::CHECK_VIOLATION);
    assert_eq!(error.message(), "new row for relation \"t\" violates check constraint \"positive\"");
    assert_eq!(error.fields().detail.as_deref(), Some("Failing row contains (-2, null)."));
}

#[test]
fn an_update_moves_index_entries_and_does_not_meet_itself() {
    let mut db = Database::new();
    let table = two_columns(&mut db);
    fill(&db, &table, 1000);
    // Every row gets a larger key while the table is scanned: each is updated once.
    let plan = update(&db, &table, None, vec![(0, op("+", id(), int(100_000)))]);
    let (rows, changed) = db.run_with(&plan, &[]).unwrap();
    assert_eq!((rows.len(), changed), (1000, 1000));
    assert_eq!(sorted(names(&rows))[0].0, 100_000);
    let by_id = |low: i32| {
        let range = KeyRange {
            lower: Some(KeyBound { value: key(int(low)), inclusive: true }),
            upper: None,
            not_null: false,
        };
        let bounds = IndexBounds { range: Some(range), ..IndexBounds::default() };
        let scan = index_scan(&table, 0, bounds, ScanDirection::Forward, false);
        names(&db.run(&select(node(PlanNode::IndexScan(scan), &ROW))).unwrap())
    };
    let found = by_id(0);
    assert_eq!(found.len(), 1000, "each row once, by its new key");
    assert_eq!((found[0].0, found[999].0), (100_000, 100_999));
    // An old snapshot finds them by their old keys.
    let mut old = db.begin(IsolationLevel::RepeatableRead);
    let all = select(seq_scan(&table, None));
    db.run_in(&mut old, &all, &[]).unwrap();
    db.run(&update(&db, &table, Some(op("=", id(), int(100_500))), vec![(0, int(7))])).unwrap();
    let bounds = IndexBounds::default();
    let scan = index_scan(&table, 0, bounds, ScanDirection::Forward, false);
    let whole = select(node(PlanNode::IndexScan(scan), &ROW));
    let (rows, _) = db.run_in(&mut old, &whole, &[]).unwrap();
    assert_eq!(names(&rows)[500].0, 100_500);
    assert_eq!(rows.len(), 1000);
    assert_eq!(by_id(0)[0].0, 7);
}

#[test]
fn deleted_rows_are_gone_and_their_keys_free() {
    let mut db = Database::new();
    let table = two_columns(&mut db);
    fill(&db, &table, 100);
    let (rows, changed) = db.run_with(&delete(&db, &table, Some(op("<", id(), int(40)))), &[]).unwrap();
    assert_eq!((rows.len(), changed), (40, 40));
    assert_eq!(db.run(&select(seq_scan(&table, None))).unwrap().len(), 60);
    db.run(&insert_statement(insert(&db, &table, &[(7, Some("again"))]))).unwrap();
    assert_eq!(db.run(&select(seq_scan(&table, None))).unwrap().len(), 61);
}

#[test]
fn a_changed_row_is_looked_at_again() {
    let mut db = Database::new();
    let table = two_columns(&mut db);
    fill(&db, &table, 10);
    let bump = update(
        &db,
        &table,
        Some(op("=", col(1, SqlType::TEXT), text("name 3"))),
        vec![(0, op("+", id(), int(1000)))],
    );
    // The snapshot is older than a change that keeps the condition true, then than one that makes it false.
    for (change, expected) in
        [(vec![(0, int(50))], vec![(1050, "name 3".to_owned())]), (vec![(1, text("gone"))], vec![])]
    {
        let txn = db.begin(IsolationLevel::ReadCommitted);
        let snapshot = txn.snapshot().unwrap();
        let filter = op("=", col(1, SqlType::TEXT), text("name 3"));
        db.run(&update(&db, &table, Some(filter), change)).unwrap();
        let rows = db.with_context(&txn, &snapshot, &[], |context| {
            let mut execution = ochre_exec::Execution::new(&bump, &db).unwrap();
            let mut rows = Vec::new();
            while let Some(batch) = execution.next(context).unwrap() {
                rows.extend(batch.active().map(|row| batch.row(row)));
            }
            rows
        });
        drop(snapshot);
        assert_eq!(names(&rows), expected);
        db.manager.commit(txn).unwrap();
    }
    // Under REPEATABLE READ the same is an error.
    let mut txn = db.begin(IsolationLevel::RepeatableRead);
    let all = select(seq_scan(&table, None));
    db.run_in(&mut txn, &all, &[]).unwrap();
    db.run(&update(&db, &table, Some(op("=", id(), int(5))), vec![(1, text("other"))])).unwrap();
    let plan = update(&db, &table, Some(op("=", id(), int(5))), vec![(1, text("mine"))]);
    let error = db.run_in(&mut txn, &plan, &[]).unwrap_err();
    assert_eq!(error.sqlstate(), SqlState::SERIALIZATION_FAILURE);
    assert_eq!(error.message(), "could not serialize access due to concurrent update");
}

#[test]
fn on_conflict() {
    let mut db = Database::new();
    let table = two_columns(&mut db);
    fill(&db, &table, 5);
    let with = |rows: &[(i32, Option<&str>)], action: ConflictAction| {
        let mut plan = insert(&db, &table, rows);
        plan.on_conflict = Some(OnConflict { arbiters: vec![table.indexes[0].oid], action });
        plan.returning = Some(vec![id(), col(1, SqlType::TEXT)]);
        db.run_with(&insert_statement(plan), &[])
    };
    let (rows, changed) =
        with(&[(3, Some("x")), (30, Some("y")), (30, Some("z"))], ConflictAction::Nothing).unwrap();
    assert_eq!((names(&rows), changed), (vec![(30, "y".to_owned())], 1));
    // SET name = excluded.name || old name WHERE id <> 2; the image is id, name, row id, then the proposed row.
    let set = || ConflictAction::Update {
        assignments: vec![Assignment {
            column: 1,
            value: op("||", col(4, SqlType::TEXT), col(1, SqlType::TEXT)),
        }],
        filter: Some(op("<>", id(), int(2))),
    };
    let (rows, changed) = with(&[(1, Some("new ")), (2, Some("no ")), (40, Some("in"))], set()).unwrap();
    assert_eq!(names(&rows), [(1, "new name 1".to_owned()), (40, "in".to_owned())]);
    assert_eq!(changed, 2);
    let error = with(&[(50, Some("a")), (50, Some("b"))], set()).unwrap_err();
    assert_eq!(error.sqlstate(), SqlState::CARDINALITY_VIOLATION);
    let all = sorted(names(&db.run(&select(seq_scan(&table, None))).unwrap()));
    assert_eq!(all.len(), 7);
    assert_eq!(all[1], (1, "new name 1".to_owned()));
    assert_eq!(all[2], (2, "name 2".to_owned()));
}

#[test]
fn large_values_come_back() {
    let mut db = Database::new();
    let table = db.create_table("large", &[("id", SqlType::INT4), ("name", SqlType::TEXT)], &[]);
    // Not compressible, so that it goes to overflow pages.
    let mut state = 7u64;
    let long: String = (0..50_000)
        .map(|_| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            char::from(b'!' + (state >> 58) as u8)
        })
        .collect();
    let repeated = "abc".repeat(20_000);
    let rows = [(1, Some(long.as_str())), (2, Some("short")), (3, None), (4, Some(repeated.as_str()))];
    db.run(&insert_statement(insert(&db, &table, &rows))).unwrap();
    let back = db.run(&select(seq_scan(&table, None))).unwrap();
    assert_eq!(back.len(), 4);
    for (row, (id, name)) in back.iter().zip(rows) {
        assert_eq!(row[0], Datum::Int32(id));
        assert_eq!(row[1].as_str(), name);
    }
    // They survive an update of another column.
    db.run(&update(&db, &table, None, vec![(0, op("+", id(), int(10)))])).unwrap();
    let back = db.run(&select(seq_scan(&table, None))).unwrap();
    assert_eq!(back[0][1].as_str(), Some(long.as_str()));
    assert_eq!(back[3][0], Datum::Int32(14));
}

#[test]
fn an_index_is_built_from_the_table() {
    let mut db = Database::new();
    let table = db.create_table("built", &[("id", SqlType::INT4), ("name", SqlType::TEXT)], &[]);
    fill(&db, &table, 3000);
    // The same rows under a descriptor with an index that is still empty.
    let with_index = db.create_table(
        "built",
        &[("id", SqlType::INT4), ("name", SqlType::TEXT)],
        &[
            Index { name: "built_name", columns: &[(1, false)], included: &[0], unique: false },
            Index { name: "built_unique", columns: &[(1, false)], included: &[], unique: true },
        ],
    );
    let heap = db.tables[&table.oid].heap.clone();
    let indexes = db.tables[&with_index.oid].indexes.clone();
    let access = ochre_exec::TableAccess::new(&with_index, heap, indexes);
    db.tables.insert(with_index.oid, Arc::new(access));
    assert_eq!(db.build(&with_index, 0).unwrap(), 3000);
    let bounds =
        IndexBounds { keys: vec![KeyCondition::Equal(key(text("name 4")))], ..IndexBounds::default() };
    for index_only in [false, true] {
        let scan = index_scan(&with_index, 0, bounds.clone(), ScanDirection::Forward, index_only);
        let found = names(&db.run(&select(node(PlanNode::IndexScan(scan), &ROW))).unwrap());
        assert_eq!(found.len(), 300);
        assert!(found.iter().all(|(id, name)| id % 10 == 4 && name == "name 4"));
    }
    let error = db.build(&with_index, 1).unwrap_err();
    assert_eq!(error.sqlstate(), SqlState::UNIQUE_VIOLATION);
    assert_eq!(error.message(), "could not create unique index \"built_unique\"");
    assert_eq!(error.fields().detail.as_deref(), Some("Key (name)=(name 0) is duplicated."));
}
