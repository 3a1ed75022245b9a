//! Descriptors of built-in relations, read once from `data/relations.tsv`.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use ochre_base::Oid;
use ochre_types::SqlType;

use super::{STORED, views};
use crate::descriptor::{
    ColumnDescriptor, ColumnList, Field, Inheritance, Origin, Persistence, RelationDescriptor, RelationKind,
};
use crate::oids;

static POSTGRESQL: &str = include_str!("../../data/relations.tsv");
static OWN: &str = include_str!("../../data/own.tsv");

static RELATIONS: LazyLock<Vec<Arc<RelationDescriptor>>> = LazyLock::new(parse);

static BY_OID: LazyLock<HashMap<Oid, usize>> =
    LazyLock::new(|| RELATIONS.iter().enumerate().map(|(i, relation)| (relation.oid, i)).collect());

/// Every built-in relation.
pub fn relations() -> &'static [Arc<RelationDescriptor>] {
    &RELATIONS
}

/// The built-in relation with this id.
pub fn relation(oid: Oid) -> Option<&'static Arc<RelationDescriptor>> {
    BY_OID.get(&oid).map(|i| &RELATIONS[*i])
}

fn parse() -> Vec<Arc<RelationDescriptor>> {
    let mut relations: Vec<RelationDescriptor> = Vec::new();
    for line in POSTGRESQL.lines().chain(OWN.lines()) {
        let mut fields = line.split('\t');
        match fields.next() {
            Some("R") => relations.push(parse_relation(&mut fields)),
            Some("C") => {
                let relation = relations.last_mut().expect("the file starts with a relation");
                let number = relation.columns.len() as i16 + 1;
                relation.columns.push(parse_column(number, &mut fields));
            }
            _ => {}
        }
    }
    relations
        .into_iter()
        .map(|mut relation| {
            let fields =
                relation.columns.iter().map(|c| Field { number: c.number, ty: c.ty }).collect::<Vec<_>>();
            relation.column_lists.push(Arc::new(ColumnList { version: 1, fields }));
            if relation.kind == RelationKind::View && relation.view_query.is_none() {
                relation.view_query = Some(empty_query(&relation.columns).into());
            }
            Arc::new(relation)
        })
        .collect()
}

/// The query of a view that has nothing to show here: its columns, and no row.
fn empty_query(columns: &[ColumnDescriptor]) -> String {
    let columns: Vec<String> = columns
        .iter()
        .map(|column| {
            // A pseudo-type has no values, not even NULL.
            let ty = if column.ty.name() == "anyarray" { "_text" } else { column.ty.name() };
            format!("NULL::pg_catalog.\"{ty}\" AS \"{}\"", column.name)
        })
        .collect();
    format!("SELECT {} WHERE false", columns.join(", "))
}

fn next<'a>(fields: &mut impl Iterator<Item = &'a str>) -> &'a str {
    fields.next().expect("the file's lines are complete")
}

fn number<'a, T: std::str::FromStr>(fields: &mut impl Iterator<Item = &'a str>) -> T {
    match next(fields).parse() {
        Ok(number) => number,
        Err(_) => unreachable!("the file's numbers are numbers"),
    }
}

fn parse_relation<'a>(fields: &mut impl Iterator<Item = &'a str>) -> RelationDescriptor {
    let oid = Oid(number(fields));
    let namespace = match next(fields) {
        "pg_catalog" => oids::PG_CATALOG,
        _ => oids::INFORMATION_SCHEMA,
    };
    let name: Arc<str> = next(fields).into();
    let kind = RelationKind::from_letter(next(fields).as_bytes()[0]).expect("the file's kinds are known");
    let shared = next(fields) == "1";
    let row_type = Oid(number(fields));
    let view_query = match kind {
        RelationKind::View => views::query(namespace, &name).map(Arc::from),
        _ => None,
    };
    RelationDescriptor {
        acl: Some(super::relation_acl(&name)),
        oid,
        namespace,
        name,
        // A view without a definition of ours reads as an empty table.
        kind,
        persistence: Persistence::Permanent,
        owner: oids::BOOTSTRAP_ROLE,
        shared,
        builtin: true,
        file: STORED.iter().find(|(stored, _)| *stored == oid).map(|(_, file)| *file),
        columns: Vec::new(),
        column_lists: Vec::new(),
        schema_version: 1,
        indexes: Vec::new(),
        constraints: Vec::new(),
        view_query,
        has_triggers: false,
        populated: true,
        has_indexes: false,
        triggers: Vec::new(),
        inheritance: Inheritance::default(),
        sequence: None,
        index: None,
        row_type,
        array_type: if ochre_types::type_info(row_type).is_some() {
            Oid::INVALID
        } else {
            ochre_types::row_array(row_type)
        },
        row_estimate: -1.0,
        page_estimate: 0,
        comment: None,
        options: Vec::new(),
    }
}

fn parse_column<'a>(position: i16, fields: &mut impl Iterator<Item = &'a str>) -> ColumnDescriptor {
    let name: Arc<str> = next(fields).into();
    let oid = Oid(number(fields));
    let typmod = number(fields);
    let not_null = next(fields) == "1";
    ColumnDescriptor {
        number: position,
        name,
        ty: SqlType::new(oid, typmod),
        collation: Oid::INVALID,
        not_null,
        dropped: false,
        default: None,
        identity: None,
        generated: None,
        missing: None,
        comment: None,
        statistics: None,
        storage: None,
        origin: Origin::LOCAL,
        acl: None,
    }
}
