//! A small catalog in memory, built from lines of text.
//!
//! `name(column type [pk|unique|index] [notnull] [default=…] [distinct=n], …) rows=n pages=n`

use std::sync::Arc;

use ochre_base::{FileId, Lsn, Oid};
use ochre_catalog::{
    CatalogChange, CatalogSnapshot, ColumnDescriptor, ColumnStatistics, ConstraintDescriptor, ConstraintKind,
    IndexDescriptor, IndexKey, Persistence, RelationDescriptor, RelationKind, oids,
};
use ochre_expr::NoSession;
use ochre_parser::ast::Statement;
use ochre_sql::physical::PlannedStatement;
use ochre_sql::{ParamTypes, Planner, PlannerSettings};
use ochre_types::SqlType;

/// The tables of the tests.
const TABLES: &str = "
pgbench_accounts(aid int4 pk, bid int4, abalance int4, filler bpchar) rows=1000000 pages=16394
pgbench_branches(bid int4 pk, bbalance int4, filler bpchar) rows=10 pages=1
pgbench_tellers(tid int4 pk, bid int4, tbalance int4, filler bpchar) rows=100 pages=1
pgbench_history(tid int4, bid int4, aid int4, delta int4, mtime timestamp, filler bpchar) rows=0 pages=0
emp(id int4 pk, name text notnull, dept int4 index, salary numeric, hired date, manager int4) rows=10000 pages=100
dept(id int4 pk, name text unique, city text) rows=100 pages=1
orders(id int8 pk, customer int4 index, placed timestamptz index, total numeric, status varchar index) rows=500000 pages=6000
customer(id int4 pk, name text index, city text) rows=50000 pages=500
item(order_id int8 index, line int4, product text, qty int4) rows=2000000 pages=20000
t(a int4, b text, c bool, d float8, e int8, f int2, j int4[]) rows=1000 pages=10
";

fn type_of(name: &str) -> SqlType {
    if let Some(element) = name.strip_suffix("[]") {
        return type_of(element).array_of().expect("an array type");
    }
    SqlType::new(ochre_types::type_info_named(name).expect("a type").oid, -1)
}

/// The catalog.
pub fn catalog() -> CatalogSnapshot {
    let mut snapshot = CatalogSnapshot::new(Oid(5));
    let mut next = 16_384u32;
    for line in TABLES.lines().filter(|line| !line.trim().is_empty()) {
        let (name, rest) = line.split_once('(').expect("a column list");
        let (columns, options) = rest.rsplit_once(')').expect("the end of the column list");
        let option = |wanted: &str| -> f64 {
            let found = options.split_whitespace().find_map(|o| o.strip_prefix(wanted)?.strip_prefix('='));
            found.map_or(0.0, |text| text.parse().expect("a number"))
        };
        let rows = option("rows");
        let table = Oid(next);
        next += 1;
        let mut descriptors = Vec::new();
        let mut indexes = Vec::new();
        let mut constraints = Vec::new();
        for (i, column) in columns.split(',').enumerate() {
            let words: Vec<&str> = column.split_whitespace().collect();
            let number = i as i16 + 1;
            let ty = type_of(words[1]);
            let primary = words.contains(&"pk");
            let unique = primary || words.contains(&"unique");
            let statistics = ColumnStatistics {
                distinct: if unique { -1.0 } else { (rows / 20.0).clamp(1.0, 1000.0) },
                ..ColumnStatistics::default()
            };
            descriptors.push(ColumnDescriptor {
                acl: None,
                number,
                name: words[0].into(),
                ty,
                collation: Oid(0),
                not_null: primary || words.contains(&"notnull"),
                dropped: false,
                default: None,
                identity: None,
                generated: None,
                missing: None,
                comment: None,
                statistics: (rows > 0.0).then(|| Arc::new(statistics)),
                storage: None,
                origin: ochre_catalog::Origin::LOCAL,
            });
            if unique || words.contains(&"index") {
                let suffix = if primary { "pkey".to_owned() } else { format!("{}_idx", words[0]) };
                let oid = Oid(next);
                next += 1;
                let index_name = if primary { format!("{name}_pkey") } else { format!("{name}_{suffix}") };
                indexes.push(Arc::new(IndexDescriptor {
                    oid,
                    namespace: oids::PUBLIC,
                    name: index_name.as_str().into(),
                    table,
                    owner: Oid(10),
                    method: ochre_catalog::IndexMethod::BTree,
                    file: FileId(u64::from(oid.0)),
                    keys: vec![IndexKey {
                        number,
                        expression: None,
                        ty,
                        collation: Oid(0),
                        operator_class: Oid(0),
                        descending: false,
                        nulls_first: false,
                    }],
                    included: Vec::new(),
                    unique,
                    primary,
                    nulls_not_distinct: false,
                    clustered: false,
                    immediate: true,
                    predicate: None,
                    valid: true,
                    ready: true,
                    usable_from: Lsn::ZERO,
                    constraint: None,
                    column_names: vec![words[0].into()],
                    page_estimate: (rows / 300.0).ceil().max(1.0) as u32,
                    row_estimate: rows,
                    comment: None,
                    options: Vec::new(),
                }));
                if unique {
                    constraints.push(Arc::new(ConstraintDescriptor {
                        oid: Oid(next + 1_000_000),
                        name: index_name.as_str().into(),
                        namespace: oids::PUBLIC,
                        table,
                        kind: if primary { ConstraintKind::PrimaryKey } else { ConstraintKind::Unique },
                        columns: vec![number],
                        index: oid,
                        expression: None,
                        foreign: None,
                        deferrable: false,
                        initially_deferred: false,
                        enforced: true,
                        validated: true,
                        no_inherit: false,
                        origin: ochre_catalog::Origin::LOCAL,
                        parent: Oid::INVALID,
                        comment: None,
                    }));
                }
            }
        }
        snapshot.apply(&CatalogChange::PutRelation(Arc::new(RelationDescriptor {
            acl: None,
            oid: table,
            namespace: oids::PUBLIC,
            name: name.trim().into(),
            kind: RelationKind::Table,
            persistence: Persistence::Permanent,
            owner: Oid(10),
            shared: false,
            builtin: false,
            file: Some(FileId(u64::from(table.0))),
            columns: descriptors,
            column_lists: Vec::new(),
            schema_version: 0,
            indexes,
            constraints,
            view_query: None,
            has_triggers: false,
            populated: true,
            has_indexes: false,
            triggers: Vec::new(),
            sequence: None,
            index: None,
            row_type: Oid(0),
            array_type: Oid(0),
            row_estimate: rows,
            page_estimate: option("pages") as u32,
            comment: None,
            options: Vec::new(),
            inheritance: ochre_catalog::Inheritance::default(),
        })));
    }
    snapshot
}

/// Plans one statement under settings.
pub fn plan_with(
    catalog: &CatalogSnapshot,
    sql: &str,
    settings: &PlannerSettings,
) -> ochre_base::Result<PlannedStatement> {
    let statements = ochre_parser::parse(sql)?;
    let session = NoSession::default();
    let path = [oids::PG_CATALOG, oids::PUBLIC];
    let planner = Planner::new(catalog, &path, &session, settings);
    let mut params = ParamTypes::new(catalog, &[]);
    let statement = match &statements[0].stmt {
        Statement::Explain(explain) => &explain.query,
        other => other,
    };
    planner.plan(statement, &mut params)
}
