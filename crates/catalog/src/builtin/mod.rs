//! What is built in: namespaces, roles, and the relations of `pg_catalog` and `information_schema`.
//!
//! A built-in relation's descriptor comes from `data/relations.tsv`, which lists every relation and column that
//! PostgreSQL 18 has, and from `data/own.tsv`. The few that hold rows for user objects are named in [`STORED`] and have a file of a fixed id in
//! each database; views that have a definition here are in [`views`]; all others are empty. What they show of built-in
//! objects is in [`rows`].

mod relations;
pub mod rows;
pub mod views;

use std::sync::Arc;

use ochre_base::{FileId, Oid};

use crate::descriptor::{NamespaceDescriptor, RoleDescriptor};
use crate::oids;

pub use relations::{relation, relations};

/// The catalogs that store rows of user objects, with the file that each has in every database. Shared catalogs keep
/// theirs in the database with id 0. File ids below [`FIRST_USER_FILE`] are never given to anything else.
pub const STORED: [(Oid, FileId); 21] = [
    (oids::PG_CLASS, FileId(1)),
    (oids::PG_ATTRIBUTE, FileId(2)),
    (oids::PG_TYPE, FileId(3)),
    (oids::PG_INDEX, FileId(4)),
    (oids::PG_CONSTRAINT, FileId(5)),
    (oids::PG_ATTRDEF, FileId(6)),
    (oids::PG_SEQUENCE, FileId(7)),
    (oids::PG_NAMESPACE, FileId(8)),
    (oids::PG_DESCRIPTION, FileId(9)),
    (oids::PG_REWRITE, FileId(10)),
    (oids::PG_STATISTIC, FileId(11)),
    (oids::PG_DATABASE, FileId(12)),
    (oids::PG_AUTHID, FileId(13)),
    (oids::OCHRE_RELATION, FileId(14)),
    (oids::OCHRE_COLUMN_LIST, FileId(15)),
    (oids::PG_SHDESCRIPTION, FileId(16)),
    (oids::PG_DEPEND, FileId(17)),
    (oids::PG_PROC, FileId(18)),
    (oids::PG_TRIGGER, FileId(19)),
    (oids::PG_INHERITS, FileId(20)),
    (oids::PG_PARTITIONED_TABLE, FileId(21)),
];

/// The first file id of a user relation.
pub const FIRST_USER_FILE: FileId = FileId(1024);

/// The namespaces every database has.
pub fn namespaces() -> Vec<Arc<NamespaceDescriptor>> {
    let namespace = |oid, name: &str, comment: &str| {
        Arc::new(NamespaceDescriptor {
            oid,
            name: name.into(),
            owner: oids::BOOTSTRAP_ROLE,
            comment: Some(comment.into()),
        })
    };
    vec![
        namespace(oids::PG_CATALOG, "pg_catalog", "system catalog schema"),
        namespace(oids::PG_TOAST, "pg_toast", "reserved schema for TOAST tables"),
        namespace(oids::INFORMATION_SCHEMA, "information_schema", "SQL standard views"),
    ]
}

/// The roles every installation has: the bootstrap superuser.
pub fn roles() -> Vec<Arc<RoleDescriptor>> {
    vec![Arc::new(RoleDescriptor {
        oid: oids::BOOTSTRAP_ROLE,
        name: "postgres".into(),
        superuser: true,
        inherit: true,
        create_role: true,
        create_database: true,
        can_login: true,
        replication: true,
        bypass_rls: true,
        connection_limit: -1,
        password: None,
        valid_until: None,
        comment: None,
    })]
}
