//! What is built in: namespaces, roles, and the relations of `pg_catalog` and `information_schema`.
//!
//! A built-in relation's descriptor comes from `data/relations.tsv`, which lists every relation and column that
//! PostgreSQL 18 has, and from `data/own.tsv`. The few that hold rows for user objects are named in [`STORED`] and have a file of a fixed id in
//! each database; views that have a definition here are in [`views`]; all others are empty. What they show of built-in
//! objects is in [`rows`].

mod privilege_views;
mod relations;
pub mod rows;
pub mod views;

use std::sync::Arc;

use ochre_base::{FileId, Oid};
use ochre_expr::Function;

use crate::authority::{Acl, AclItem, AclKind, Privileges};
use crate::descriptor::{Membership, NamespaceDescriptor, RoleDescriptor};
use crate::oids;

pub use relations::{relation, relations};

/// The catalogs that store rows of user objects, with the file that each has in every database. Shared catalogs keep
/// theirs in the database with id 0. File ids below [`FIRST_USER_FILE`] are never given to anything else.
pub const STORED: [(Oid, FileId); 24] = [
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
    (oids::PG_AUTH_MEMBERS, FileId(22)),
    (oids::PG_DEFAULT_ACL, FileId(23)),
    (oids::PG_AGGREGATE, FileId(24)),
];

/// The first file id of a user relation.
pub const FIRST_USER_FILE: FileId = FileId(1024);

/// An access list of the bootstrap superuser and everybody.
fn list_of(own: Privileges, public: Privileges) -> Acl {
    let item = |grantee, privileges| AclItem {
        grantee,
        grantor: oids::BOOTSTRAP_ROLE,
        privileges,
        options: Privileges::NONE,
    };
    let public = (!public.is_empty()).then(|| item(Oid::INVALID, public));
    [item(oids::BOOTSTRAP_ROLE, own)].into_iter().chain(public).collect()
}

/// The namespace of a built-in function.
pub fn namespace_of(function: &Function) -> Oid {
    if function.is_of_information_schema() { oids::INFORMATION_SCHEMA } else { oids::PG_CATALOG }
}

/// The namespaces every database has.
pub fn namespaces() -> Vec<Arc<NamespaceDescriptor>> {
    let namespace = |oid, name: &str, comment: &str, acl| {
        Arc::new(NamespaceDescriptor {
            oid,
            name: name.into(),
            owner: oids::BOOTSTRAP_ROLE,
            comment: Some(comment.into()),
            acl,
        })
    };
    let readable = || Some(list_of(AclKind::Namespace.all(), Privileges::USAGE));
    vec![
        namespace(oids::PG_CATALOG, "pg_catalog", "system catalog schema", readable()),
        namespace(oids::PG_TOAST, "pg_toast", "reserved schema for TOAST tables", None),
        namespace(oids::INFORMATION_SCHEMA, "information_schema", "SQL standard views", readable()),
    ]
}

/// The namespace `public` as a new database has it: its owner is whoever owns the database, and everybody may use it.
pub fn public_namespace() -> NamespaceDescriptor {
    let item = |grantee, privileges| AclItem {
        grantee,
        grantor: oids::PG_DATABASE_OWNER,
        privileges,
        options: Privileges::NONE,
    };
    let acl =
        [item(oids::PG_DATABASE_OWNER, AclKind::Namespace.all()), item(Oid::INVALID, Privileges::USAGE)];
    NamespaceDescriptor {
        oid: oids::PUBLIC,
        name: "public".into(),
        owner: oids::PG_DATABASE_OWNER,
        comment: Some("standard public schema".into()),
        acl: Some(Arc::new(acl)),
    }
}

/// The access list of a built-in relation: everybody reads it, but for those that tell secrets.
pub(crate) fn relation_acl(name: &str) -> Acl {
    const SECRET: [&str; 16] = [
        "pg_authid",
        "pg_shadow",
        "pg_statistic",
        "pg_statistic_ext_data",
        "pg_subscription",
        "pg_user_mapping",
        "pg_largeobject",
        "pg_config",
        "pg_hba_file_rules",
        "pg_ident_file_mappings",
        "pg_file_settings",
        "pg_backend_memory_contexts",
        "pg_shmem_allocations",
        "pg_shmem_allocations_numa",
        "pg_replication_origin_status",
        "pg_aios",
    ];
    let public = if SECRET.contains(&name) { Privileges::NONE } else { Privileges::SELECT };
    list_of(AclKind::Relation.all(), public)
}

/// The roles every installation has: the bootstrap superuser, which is stored so that it can be changed, and those that
/// stand for what their members may do, which are not.
pub fn roles() -> Vec<Arc<RoleDescriptor>> {
    let role = |oid: Oid, name: &str, memberships: &[(u32, Oid)]| RoleDescriptor {
        oid,
        name: name.into(),
        superuser: false,
        inherit: true,
        create_role: false,
        create_database: false,
        can_login: false,
        replication: false,
        bypass_rls: false,
        connection_limit: -1,
        password: None,
        valid_until: None,
        comment: None,
        memberships: memberships
            .iter()
            .map(|(oid, role)| Membership {
                oid: Oid(*oid),
                role: *role,
                grantor: oids::BOOTSTRAP_ROLE,
                admin: false,
                inherit: true,
                set: true,
            })
            .collect(),
    };
    let bootstrap = RoleDescriptor {
        superuser: true,
        create_role: true,
        create_database: true,
        can_login: true,
        replication: true,
        bypass_rls: true,
        ..role(oids::BOOTSTRAP_ROLE, "postgres", &[])
    };
    let monitors = [
        (13_950, oids::PG_READ_ALL_SETTINGS),
        (13_951, oids::PG_READ_ALL_STATS),
        (13_952, oids::PG_STAT_SCAN_TABLES),
    ];
    [
        bootstrap,
        role(oids::PG_DATABASE_OWNER, "pg_database_owner", &[]),
        role(oids::PG_READ_ALL_DATA, "pg_read_all_data", &[]),
        role(oids::PG_WRITE_ALL_DATA, "pg_write_all_data", &[]),
        role(oids::PG_MONITOR, "pg_monitor", &monitors),
        role(oids::PG_READ_ALL_SETTINGS, "pg_read_all_settings", &[]),
        role(oids::PG_READ_ALL_STATS, "pg_read_all_stats", &[]),
        role(oids::PG_STAT_SCAN_TABLES, "pg_stat_scan_tables", &[]),
        role(oids::PG_READ_SERVER_FILES, "pg_read_server_files", &[]),
        role(oids::PG_WRITE_SERVER_FILES, "pg_write_server_files", &[]),
        role(Oid(4571), "pg_execute_server_program", &[]),
        role(oids::PG_SIGNAL_BACKEND, "pg_signal_backend", &[]),
        role(oids::PG_CHECKPOINT, "pg_checkpoint", &[]),
        role(oids::PG_MAINTAIN, "pg_maintain", &[]),
        role(Oid(4550), "pg_use_reserved_connections", &[]),
        role(Oid(6304), "pg_create_subscription", &[]),
        role(Oid(6392), "pg_signal_autovacuum_worker", &[]),
    ]
    .into_iter()
    .map(Arc::new)
    .collect()
}
