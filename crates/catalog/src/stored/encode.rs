//! Descriptors as rows of the stored catalogs.
//!
//! Every descriptor becomes a set of [`CatalogRow`]s, each with a key that is unique in its catalog. Writing a change
//! is the difference between the sets before and after; [`super::relations`] is the way back.

use std::sync::Arc;

use crate::authority::{Acl, AclItem};
use crate::descriptor::{
    ColumnDescriptor, ColumnList, ConstraintDescriptor, ConstraintKind, DatabaseDescriptor,
    DefaultAclDescriptor, ForeignKey, GeneratedKind, IdentityKind, IndexDescriptor, NamespaceDescriptor,
    Persistence, ReferentialAction, RelationDescriptor, RelationKind, RoleDescriptor,
};
use crate::oids;
use ochre_base::Oid;
use ochre_types::{Datum, SqlType, oids as type_oids, type_info};

use super::row::{RowWriter, vector};
use smallvec::{SmallVec, smallvec};

/// What tells a row from the others of its catalog: one to three numbers.
pub type RowKey = SmallVec<[i64; 3]>;

/// A row of a stored catalog.
#[derive(Debug, Clone, PartialEq)]
pub struct CatalogRow {
    pub catalog: Oid,
    pub key: RowKey,
    pub values: Vec<Datum>,
}

fn int2_array(numbers: impl IntoIterator<Item = i16>) -> Datum {
    vector(SqlType::INT2, 1, numbers.into_iter().map(Datum::Int16).collect())
}

/// An `int2vector`.
pub(super) fn int2_vector(numbers: impl IntoIterator<Item = i16>) -> Datum {
    vector(SqlType::INT2, 0, numbers.into_iter().map(Datum::Int16).collect())
}

/// An `oidvector`.
pub(crate) fn oid_vector(ids: impl IntoIterator<Item = Oid>) -> Datum {
    vector(SqlType::OID, 0, ids.into_iter().map(|oid| Datum::UInt32(oid.0)).collect())
}

/// An access list; NULL where there is none.
pub(crate) fn acl_array(acl: Option<&Acl>) -> Datum {
    acl.map_or(Datum::Null, |acl| acl_datum(acl))
}

/// A list as an array of `aclitem`.
pub fn acl_datum(acl: &[AclItem]) -> Datum {
    let items = acl.iter().map(|item| Datum::Bytes(item.to_bytes().as_slice().into()));
    vector(SqlType::new(type_oids::ACLITEM, -1), 1, items.collect())
}

pub(super) fn text_array(texts: &[Arc<str>]) -> Datum {
    if texts.is_empty() {
        return Datum::Null;
    }
    vector(SqlType::TEXT, 1, texts.iter().map(|text| Datum::text(&**text)).collect())
}

/// Several expressions in one text: each behind its length.
pub(super) fn join_expressions<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    texts.into_iter().map(|text| format!("{}:{text}", text.len())).collect()
}

/// The reverse of [`join_expressions`].
pub fn split_expressions(mut joined: &str) -> Option<Vec<&str>> {
    let mut texts = Vec::new();
    while !joined.is_empty() {
        let (length, rest) = joined.split_once(':')?;
        let (text, rest) = rest.split_at_checked(length.parse().ok()?)?;
        texts.push(text);
        joined = rest;
    }
    Some(texts)
}

/// A relation's rows in every catalog, those of its constraints and column lists included. Indexes are relations of
/// their own.
pub fn relation_rows(relation: &RelationDescriptor) -> Vec<CatalogRow> {
    let mut rows = vec![class_row(relation)];
    if let Some(file) = relation.file {
        let usable_from = relation.index.as_ref().map_or(0, |index| index.usable_from.0 as i64);
        rows.push(
            RowWriter::new(oids::OCHRE_RELATION)
                .set("relid", relation.oid)
                .set("relfile", file.0 as i64)
                .set("schemaversion", i32::from(relation.schema_version))
                .set("usablefrom", usable_from)
                .row(smallvec![i64::from(relation.oid.0)]),
        );
    }
    for column in &relation.columns {
        rows.push(attribute_row(relation, column));
        if let Some((oid, text)) = &column.default {
            rows.push(
                RowWriter::new(oids::PG_ATTRDEF)
                    .set("oid", *oid)
                    .set("adrelid", relation.oid)
                    .set("adnum", column.number)
                    .set("adbin", text)
                    .row(smallvec![i64::from(oid.0)]),
            );
        }
        if let Some(comment) = &column.comment {
            rows.push(comment_row(relation.oid, oids::PG_CLASS, i32::from(column.number), comment));
        }
        if let Some(statistics) = &column.statistics {
            rows.push(super::statistics::encode(relation, column, statistics));
        }
    }
    rows.extend(relation.constraints.iter().map(|constraint| constraint_row(constraint)));
    rows.extend(
        relation
            .constraints
            .iter()
            .filter_map(|c| Some(comment_row(c.oid, oids::PG_CONSTRAINT, 0, c.comment.as_ref()?))),
    );
    rows.extend(relation.triggers.iter().flat_map(|trigger| super::trigger::encode(trigger)));
    if let Some(comment) = &relation.comment {
        rows.push(comment_row(relation.oid, oids::PG_CLASS, 0, comment));
    }
    if relation.row_type.is_valid() {
        rows.extend(type_rows(relation));
    }
    if let Some(index) = &relation.index {
        rows.push(index_row(index));
    }
    if let Some(sequence) = &relation.sequence {
        rows.push(
            RowWriter::new(oids::PG_SEQUENCE)
                .set("seqrelid", relation.oid)
                .set("seqtypid", sequence.ty.oid)
                .set("seqstart", sequence.start)
                .set("seqincrement", sequence.increment)
                .set("seqmax", sequence.maximum)
                .set("seqmin", sequence.minimum)
                .set("seqcache", sequence.cache)
                .set("seqcycle", sequence.cycle)
                .row(smallvec![i64::from(relation.oid.0)]),
        );
        if let Some((table, column)) = sequence.owned_by {
            rows.push(depend_row(relation.oid, table, column, sequence.identity));
        }
    }
    rows.extend(super::inheritance::encode(relation));
    if let Some(query) = &relation.view_query {
        rows.push(
            RowWriter::new(oids::PG_REWRITE)
                .set("oid", relation.oid)
                .set("rulename", "_RETURN")
                .set("ev_class", relation.oid)
                .set("ev_type", b'1')
                .set("ev_enabled", b'O')
                .set("is_instead", true)
                .set("ev_qual", "<>")
                .set("ev_action", query)
                .row(smallvec![i64::from(relation.oid.0)]),
        );
    }
    rows
}

/// The row of one column list. Written once, outside any transaction that could take it back.
pub fn column_list_row(relation: Oid, list: &ColumnList) -> CatalogRow {
    let fields = &list.fields;
    RowWriter::new(oids::OCHRE_COLUMN_LIST)
        .set("relid", relation)
        .set("schemaversion", i32::from(list.version))
        .set("attnums", int2_array(fields.iter().map(|field| field.number)))
        .set("typids", vector(SqlType::OID, 1, fields.iter().map(|f| Datum::UInt32(f.ty.oid.0)).collect()))
        .set("typmods", vector(SqlType::INT4, 1, fields.iter().map(|f| Datum::Int32(f.ty.typmod)).collect()))
        .row(smallvec![i64::from(relation.0), i64::from(list.version)])
}

/// A relation's `pg_class` row.
pub(crate) fn class_row(relation: &RelationDescriptor) -> CatalogRow {
    let access_method = match relation.kind {
        RelationKind::Table | RelationKind::MaterializedView => oids::HEAP_AM,
        RelationKind::Index | RelationKind::PartitionedIndex => {
            relation.index.as_ref().map_or(oids::BTREE_AM, |index| index.method.oid())
        }
        RelationKind::Sequence
        | RelationKind::View
        | RelationKind::PartitionedTable
        | RelationKind::CompositeType => Oid::INVALID,
    };
    let options = relation.index.as_ref().map_or(&relation.options, |index| &index.options);
    let checks = relation.constraints.iter().filter(|c| c.kind == ConstraintKind::Check).count();
    RowWriter::new(oids::PG_CLASS)
        .set("oid", relation.oid)
        .set("relname", &relation.name)
        .set("relnamespace", relation.namespace)
        .set("reltype", relation.row_type)
        .set("reloftype", 0_u32)
        .set("relowner", relation.owner)
        .set("relam", access_method)
        .set("relfilenode", relation.file.map_or(0, |file| file.0 as u32))
        .set("reltablespace", 0_u32)
        .set("relpages", relation.page_estimate as i32)
        .set("reltuples", relation.row_estimate as f32)
        .set("relallvisible", 0)
        .set("relallfrozen", 0)
        .set("reltoastrelid", 0_u32)
        .set("relhasindex", relation.has_indexes)
        .set("relisshared", relation.shared)
        .set("relpersistence", if relation.persistence == Persistence::Temporary { b't' } else { b'p' })
        .set("relkind", relation.kind.letter())
        .set("relnatts", relation.columns.len() as i16)
        .set("relchecks", checks as i16)
        .set("relhasrules", relation.view_query.is_some())
        .set("relhastriggers", relation.has_triggers)
        .set("relhassubclass", relation.inheritance.has_children)
        .set("relrowsecurity", false)
        .set("relforcerowsecurity", false)
        .set("relispopulated", relation.populated)
        .set("relreplident", if relation.kind.is_table() { b'd' } else { b'n' })
        .set("relispartition", relation.is_partition())
        .set("relrewrite", 0_u32)
        .set("relfrozenxid", 0_u32)
        .set("relminmxid", 0_u32)
        .set("reloptions", text_array(options))
        .set("relacl", acl_array(relation.acl.as_ref()))
        .set("relpartbound", relation.inheritance.bound.as_ref().map(|bound| Datum::text(bound.to_string())))
        .row(smallvec![i64::from(relation.oid.0)])
}

/// The letter of `attstorage` for columns of a type, unless they say otherwise.
pub(crate) fn type_storage(ty: Oid) -> u8 {
    type_info(ty).map_or(b'x', |info| info.storage)
}

/// A column's `pg_attribute` row; built-in relations' columns are shown by the same function.
pub(crate) fn attribute_row(relation: &RelationDescriptor, column: &ColumnDescriptor) -> CatalogRow {
    let info = type_info(column.ty.oid);
    let live = !column.dropped;
    RowWriter::new(oids::PG_ATTRIBUTE)
        .set("attrelid", relation.oid)
        .set("attname", &column.name)
        // A dropped column's type is kept: old rows still have its field.
        .set("atttypid", column.ty.oid)
        .set("attlen", info.map_or(-1, |info| info.length))
        .set("attnum", column.number)
        .set("atttypmod", column.ty.typmod)
        .set("attndims", i16::from(column.ty.element().is_some()))
        .set("attbyval", info.is_some_and(|info| info.by_value))
        .set("attalign", info.map_or(b'd', |info| info.align))
        .set("attstorage", column.storage.unwrap_or_else(|| type_storage(column.ty.oid)))
        .set("attcompression", 0_u8)
        .set("attnotnull", column.not_null && live)
        .set("atthasdef", column.default.is_some())
        .set("atthasmissing", column.missing.is_some())
        .set("attidentity", identity_letter(column.identity))
        .set("attgenerated", generated_letter(column.generated))
        .set("attisdropped", column.dropped)
        .set("attislocal", column.origin.local)
        .set("attinhcount", column.origin.inherited)
        .set("attcollation", column.collation)
        .set("attacl", acl_array(column.acl.as_ref()))
        .set("attmissingval", column.missing.clone().map(|value| vector(column.ty, 1, vec![value])))
        .row(smallvec![i64::from(relation.oid.0), i64::from(column.number)])
}

fn identity_letter(identity: Option<IdentityKind>) -> u8 {
    match identity {
        None => 0,
        Some(IdentityKind::Always) => b'a',
        Some(IdentityKind::ByDefault) => b'd',
    }
}

fn generated_letter(generated: Option<GeneratedKind>) -> u8 {
    match generated {
        None => 0,
        Some(GeneratedKind::Stored) => b's',
        Some(GeneratedKind::Virtual) => b'v',
    }
}

fn index_row(index: &IndexDescriptor) -> CatalogRow {
    let expressions: Vec<&str> = index.keys.iter().filter_map(|key| key.expression.as_deref()).collect();
    let expressions = (!expressions.is_empty()).then(|| join_expressions(expressions));
    let columns = index.keys.iter().map(|key| key.number).chain(index.included.iter().copied());
    RowWriter::new(oids::PG_INDEX)
        .set("indexrelid", index.oid)
        .set("indrelid", index.table)
        .set("indnatts", (index.keys.len() + index.included.len()) as i16)
        .set("indnkeyatts", index.keys.len() as i16)
        .set("indisunique", index.unique)
        .set("indnullsnotdistinct", index.nulls_not_distinct)
        .set("indisprimary", index.primary)
        .set("indisexclusion", false)
        .set("indimmediate", index.immediate)
        .set("indisclustered", index.clustered)
        .set("indisvalid", index.valid)
        .set("indcheckxmin", false)
        .set("indisready", index.ready)
        .set("indislive", true)
        .set("indisreplident", false)
        .set("indkey", int2_vector(columns))
        .set("indcollation", oid_vector(index.keys.iter().map(|key| key.collation)))
        .set("indclass", oid_vector(index.keys.iter().map(|key| key.operator_class)))
        .set(
            "indoption",
            int2_vector(
                index.keys.iter().map(|key| i16::from(key.descending) | i16::from(key.nulls_first) << 1),
            ),
        )
        .set("indexprs", expressions.as_deref())
        .set("indpred", index.predicate.as_ref())
        .row(smallvec![i64::from(index.oid.0)])
}

fn action_letter(action: ReferentialAction) -> u8 {
    match action {
        ReferentialAction::NoAction => b'a',
        ReferentialAction::Restrict => b'r',
        ReferentialAction::Cascade => b'c',
        ReferentialAction::SetNull => b'n',
        ReferentialAction::SetDefault => b'd',
    }
}

fn constraint_row(constraint: &ConstraintDescriptor) -> CatalogRow {
    let foreign = constraint.foreign.as_ref();
    let letter = |action: fn(&ForeignKey) -> u8| foreign.map_or(b' ', action);
    RowWriter::new(oids::PG_CONSTRAINT)
        .set("oid", constraint.oid)
        .set("conname", &constraint.name)
        .set("connamespace", constraint.namespace)
        .set("contype", constraint.kind.letter())
        .set("condeferrable", constraint.deferrable)
        .set("condeferred", constraint.initially_deferred)
        .set("conenforced", constraint.enforced)
        .set("convalidated", constraint.validated)
        .set("conrelid", constraint.table)
        .set("contypid", 0_u32)
        .set("conindid", constraint.index)
        .set("conparentid", constraint.parent)
        .set("confrelid", foreign.map_or(Oid::INVALID, |foreign| foreign.table))
        .set("confupdtype", letter(|foreign| action_letter(foreign.on_update)))
        .set("confdeltype", letter(|foreign| action_letter(foreign.on_delete)))
        .set("confmatchtype", letter(|foreign| if foreign.match_full { b'f' } else { b's' }))
        .set("conislocal", constraint.origin.local)
        .set("coninhcount", constraint.origin.inherited)
        .set("connoinherit", constraint.no_inherit)
        .set("conperiod", false)
        .set("conkey", int2_array(constraint.columns.iter().copied()))
        .set("confkey", foreign.map(|foreign| int2_array(foreign.columns.iter().copied())))
        .set(
            "confdelsetcols",
            foreign
                .filter(|foreign| !foreign.delete_columns.is_empty())
                .map(|foreign| int2_array(foreign.delete_columns.iter().copied())),
        )
        .set("conbin", constraint.expression.as_ref())
        .row(smallvec![i64::from(constraint.oid.0)])
}

/// The row type of a table or view, and the array type over it.
fn type_rows(relation: &RelationDescriptor) -> [CatalogRow; 2] {
    let base = |oid: Oid, name: &str| {
        RowWriter::new(oids::PG_TYPE)
            .set("oid", oid)
            .set("typname", name)
            .set("typnamespace", relation.namespace)
            .set("typowner", relation.owner)
            .set("typlen", -1_i16)
            .set("typbyval", false)
            .set("typispreferred", false)
            .set("typisdefined", true)
            .set("typdelim", b',')
            .set("typmodin", 0_u32)
            .set("typmodout", 0_u32)
            .set("typalign", b'd')
            .set("typstorage", b'x')
            .set("typnotnull", false)
            .set("typbasetype", 0_u32)
            .set("typtypmod", -1)
            .set("typndims", 0)
            .set("typcollation", 0_u32)
    };
    let functions = |row: RowWriter, like: SqlType| {
        let info = type_info(like.oid).expect("record types are built in");
        row.set("typinput", info.input.0)
            .set("typoutput", info.output.0)
            .set("typreceive", info.receive.0)
            .set("typsend", info.send.0)
            .set("typanalyze", info.analyze.0)
            .set("typsubscript", info.subscript.0)
    };
    let array_name: String = format!("_{}", relation.name).chars().take(63).collect();
    [
        functions(base(relation.row_type, &relation.name), SqlType::RECORD)
            .set("typtype", b'c')
            .set("typcategory", b'C')
            .set("typrelid", relation.oid)
            .set("typelem", 0_u32)
            .set("typarray", relation.array_type)
            .row(smallvec![i64::from(relation.row_type.0)]),
        functions(base(relation.array_type, &array_name), SqlType::RECORD_ARRAY)
            .set("typtype", b'b')
            .set("typcategory", b'A')
            .set("typrelid", 0_u32)
            .set("typelem", relation.row_type)
            .set("typarray", 0_u32)
            .row(smallvec![i64::from(relation.array_type.0)]),
    ]
}

fn depend_row(sequence: Oid, table: Oid, column: i16, identity: bool) -> CatalogRow {
    RowWriter::new(oids::PG_DEPEND)
        .set("classid", oids::PG_CLASS)
        .set("objid", sequence)
        .set("objsubid", 0)
        .set("refclassid", oids::PG_CLASS)
        .set("refobjid", table)
        .set("refobjsubid", i32::from(column))
        .set("deptype", if identity { b'i' } else { b'a' })
        .row(smallvec![i64::from(sequence.0), i64::from(table.0)])
}

pub(super) fn comment_row(object: Oid, class: Oid, part: i32, comment: &Arc<str>) -> CatalogRow {
    RowWriter::new(oids::PG_DESCRIPTION)
        .set("objoid", object)
        .set("classoid", class)
        .set("objsubid", part)
        .set("description", comment)
        .row(smallvec![i64::from(object.0), i64::from(class.0), i64::from(part)])
}

fn shared_comment_row(object: Oid, class: Oid, comment: &Arc<str>) -> CatalogRow {
    RowWriter::new(oids::PG_SHDESCRIPTION)
        .set("objoid", object)
        .set("classoid", class)
        .set("description", comment)
        .row(smallvec![i64::from(object.0), i64::from(class.0)])
}

/// A namespace's rows.
pub fn namespace_rows(namespace: &NamespaceDescriptor) -> Vec<CatalogRow> {
    let mut rows = vec![
        RowWriter::new(oids::PG_NAMESPACE)
            .set("oid", namespace.oid)
            .set("nspname", &namespace.name)
            .set("nspowner", namespace.owner)
            .set("nspacl", acl_array(namespace.acl.as_ref()))
            .row(smallvec![i64::from(namespace.oid.0)]),
    ];
    if let Some(comment) = &namespace.comment {
        rows.push(comment_row(namespace.oid, oids::PG_NAMESPACE, 0, comment));
    }
    rows
}

/// A role's rows.
pub fn role_rows(role: &RoleDescriptor) -> Vec<CatalogRow> {
    let mut rows = vec![
        RowWriter::new(oids::PG_AUTHID)
            .set("oid", role.oid)
            .set("rolname", &role.name)
            .set("rolsuper", role.superuser)
            .set("rolinherit", role.inherit)
            .set("rolcreaterole", role.create_role)
            .set("rolcreatedb", role.create_database)
            .set("rolcanlogin", role.can_login)
            .set("rolreplication", role.replication)
            .set("rolbypassrls", role.bypass_rls)
            .set("rolconnlimit", role.connection_limit)
            .set("rolpassword", role.password.as_ref())
            .set("rolvaliduntil", role.valid_until.map(Datum::Int64))
            .row(smallvec![i64::from(role.oid.0)]),
    ];
    rows.extend(role.memberships.iter().map(|membership| {
        RowWriter::new(oids::PG_AUTH_MEMBERS)
            .set("oid", membership.oid)
            .set("roleid", membership.role)
            .set("member", role.oid)
            .set("grantor", membership.grantor)
            .set("admin_option", membership.admin)
            .set("inherit_option", membership.inherit)
            .set("set_option", membership.set)
            .row(smallvec![i64::from(membership.oid.0)])
    }));
    if let Some(comment) = &role.comment {
        rows.push(shared_comment_row(role.oid, oids::PG_AUTHID, comment));
    }
    rows
}

/// The row of what ALTER DEFAULT PRIVILEGES has laid down.
pub fn default_acl_rows(default: &DefaultAclDescriptor) -> Vec<CatalogRow> {
    vec![
        RowWriter::new(oids::PG_DEFAULT_ACL)
            .set("oid", default.oid)
            .set("defaclrole", default.role)
            .set("defaclnamespace", default.namespace)
            .set("defaclobjtype", default.kind)
            .set("defaclacl", acl_array(Some(&default.acl)))
            .row(smallvec![i64::from(default.oid.0)]),
    ]
}

/// A database's rows.
pub fn database_rows(database: &DatabaseDescriptor) -> Vec<CatalogRow> {
    let mut rows = vec![
        RowWriter::new(oids::PG_DATABASE)
            .set("oid", database.oid)
            .set("datname", &database.name)
            .set("datdba", database.owner)
            .set("encoding", 6)
            .set("datlocprovider", b'b')
            .set("datistemplate", database.is_template)
            .set("datallowconn", database.allow_connections)
            .set("dathasloginevt", false)
            .set("datconnlimit", database.connection_limit)
            .set("datfrozenxid", 0_u32)
            .set("datminmxid", 0_u32)
            .set("dattablespace", oids::PG_DEFAULT_TABLESPACE)
            .set("datcollate", "C.UTF-8")
            .set("datctype", "C.UTF-8")
            .set("datlocale", "C.UTF-8")
            .set("datacl", acl_array(database.acl.as_ref()))
            .row(smallvec![i64::from(database.oid.0)]),
    ];
    if let Some(comment) = &database.comment {
        rows.push(shared_comment_row(database.oid, oids::PG_DATABASE, comment));
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_join_and_split() {
        let texts = ["lower(name)", "", "':' || x"];
        assert_eq!(split_expressions(&join_expressions(texts)).expect("joined"), texts);
        assert_eq!(split_expressions("9:x"), None);
        assert_eq!(split_expressions("x"), None);
    }
}
