//! What the database knows of itself: descriptors of relations, constraints, sequences, roles and databases, the
//! immutable snapshot of them that a statement binds against, and the built-in relations and rows of `pg_catalog` and
//! `information_schema`.
//!
//! # Role
//! The binder looks names up here, the planner reads statistics, the engine builds new snapshots when DDL commits. The
//! crate does no I/O: [`stored`] says how descriptors become rows of `pg_class` and its sisters, the engine keeps them.
//!
//! # Invariants
//! - C1: a descriptor is never changed once it is in a snapshot; a change makes a new one.
//! - C2: `columns[i].number == i + 1`: dropped columns keep their place, so an attribute number is an index.
//! - C3: an index's and a constraint's table is in the same snapshot; what else belongs together is said in [`fit`].

pub mod authority;
pub mod builtin;
mod descriptor;
pub mod fit;
mod partition;
mod snapshot;
pub mod stored;
mod types;

pub use descriptor::{
    AggregateDescriptor, ColumnDescriptor, ColumnList, ColumnStatistics, ConstraintDescriptor,
    ConstraintKind, DatabaseDescriptor, DefaultAclDescriptor, Field, ForeignKey, GeneratedKind, IdentityKind,
    IndexDescriptor, IndexKey, IndexMethod, Inheritance, Membership, NamespaceDescriptor, Origin, Owner,
    Persistence, ReferentialAction, RelationDescriptor, RelationKind, RoleDescriptor, RoutineDescriptor,
    SequenceDescriptor, TriggerDescriptor, TriggerTiming,
};
pub use partition::{BoundValue, PartitionBound, PartitionColumn, PartitionKey, PartitionStrategy};
pub use snapshot::{CatalogChange, CatalogSnapshot};

/// Object ids that the code names.
pub mod oids {
    use ochre_base::Oid;

    /// Namespace `pg_catalog`.
    pub const PG_CATALOG: Oid = Oid(11);
    /// Namespace `pg_toast`.
    pub const PG_TOAST: Oid = Oid(99);
    /// Namespace `public`.
    pub const PUBLIC: Oid = Oid(2200);
    /// Namespace `information_schema`.
    pub const INFORMATION_SCHEMA: Oid = Oid(13_144);
    /// The bootstrap superuser.
    pub const BOOTSTRAP_ROLE: Oid = Oid(10);
    /// Database `template1`.
    pub const TEMPLATE1: Oid = Oid(1);
    /// Database `template0`.
    pub const TEMPLATE0: Oid = Oid(4);
    /// Database `postgres`.
    pub const POSTGRES: Oid = Oid(5);
    /// Access method `heap`.
    pub const HEAP_AM: Oid = Oid(2);
    /// Access method `btree`.
    pub const BTREE_AM: Oid = Oid(403);
    /// The hash access method of indexes.
    pub const HASH_AM: Oid = Oid(405);
    /// The access method `gin`.
    pub const GIN_AM: Oid = Oid(2742);
    /// Catalog `pg_class`, and so the class of every relation in `pg_description` and `pg_depend`.
    pub const PG_CLASS: Oid = Oid(1259);
    /// Catalog `pg_attribute`.
    pub const PG_ATTRIBUTE: Oid = Oid(1249);
    /// Catalog `pg_type`.
    pub const PG_TYPE: Oid = Oid(1247);
    /// Catalog `pg_index`.
    pub const PG_INDEX: Oid = Oid(2610);
    /// Catalog `pg_constraint`.
    pub const PG_CONSTRAINT: Oid = Oid(2606);
    /// Catalog `pg_attrdef`.
    pub const PG_ATTRDEF: Oid = Oid(2604);
    /// Catalog `pg_sequence`.
    pub const PG_SEQUENCE: Oid = Oid(2224);
    /// Catalog `pg_namespace`.
    pub const PG_NAMESPACE: Oid = Oid(2615);
    /// Catalog `pg_database`.
    pub const PG_DATABASE: Oid = Oid(1262);
    /// Catalog `pg_authid`.
    pub const PG_AUTHID: Oid = Oid(1260);
    /// Catalog `pg_auth_members`.
    pub const PG_AUTH_MEMBERS: Oid = Oid(1261);
    /// Catalog `pg_default_acl`.
    pub const PG_DEFAULT_ACL: Oid = Oid(826);
    /// Role `pg_database_owner`.
    pub const PG_DATABASE_OWNER: Oid = Oid(6171);
    /// Role `pg_read_all_data`.
    pub const PG_READ_ALL_DATA: Oid = Oid(6181);
    /// Role `pg_write_all_data`.
    pub const PG_WRITE_ALL_DATA: Oid = Oid(6182);
    /// Role `pg_monitor`.
    pub const PG_MONITOR: Oid = Oid(3373);
    /// Role `pg_read_all_settings`.
    pub const PG_READ_ALL_SETTINGS: Oid = Oid(3374);
    /// Role `pg_read_all_stats`.
    pub const PG_READ_ALL_STATS: Oid = Oid(3375);
    /// Role `pg_stat_scan_tables`.
    pub const PG_STAT_SCAN_TABLES: Oid = Oid(3377);
    /// Role `pg_read_server_files`.
    pub const PG_READ_SERVER_FILES: Oid = Oid(4569);
    /// Role `pg_write_server_files`.
    pub const PG_WRITE_SERVER_FILES: Oid = Oid(4570);
    /// Role `pg_signal_backend`.
    pub const PG_SIGNAL_BACKEND: Oid = Oid(4200);
    /// Role `pg_checkpoint`.
    pub const PG_CHECKPOINT: Oid = Oid(4544);
    /// Role `pg_maintain`.
    pub const PG_MAINTAIN: Oid = Oid(6337);
    /// Catalog `pg_description`.
    pub const PG_DESCRIPTION: Oid = Oid(2609);
    /// Catalog `pg_shdescription`.
    pub const PG_SHDESCRIPTION: Oid = Oid(2396);
    /// Catalog `pg_statistic`.
    pub const PG_STATISTIC: Oid = Oid(2619);
    /// Catalog `pg_depend`.
    pub const PG_DEPEND: Oid = Oid(2608);
    /// Catalog `pg_rewrite`.
    pub const PG_REWRITE: Oid = Oid(2618);
    /// Catalog `pg_proc`.
    pub const PG_PROC: Oid = Oid(1255);
    /// Catalog `pg_trigger`.
    pub const PG_TRIGGER: Oid = Oid(2620);
    /// Catalog `pg_inherits`.
    pub const PG_INHERITS: Oid = Oid(2611);
    /// Catalog `pg_partitioned_table`.
    pub const PG_PARTITIONED_TABLE: Oid = Oid(3350);
    /// Language `sql`.
    pub const SQL_LANGUAGE: Oid = Oid(14);
    /// Language `plpgsql`.
    pub const PLPGSQL_LANGUAGE: Oid = Oid(13_498);
    /// Catalog `pg_am`.
    pub const PG_AM: Oid = Oid(2601);
    /// Catalog `pg_language`.
    pub const PG_LANGUAGE: Oid = Oid(2612);
    /// Catalog `pg_tablespace`.
    pub const PG_TABLESPACE: Oid = Oid(1213);
    /// Catalog `pg_collation`.
    pub const PG_COLLATION: Oid = Oid(3456);
    /// Catalog `pg_aggregate`.
    pub const PG_AGGREGATE: Oid = Oid(2600);
    /// Catalog `pg_operator`.
    pub const PG_OPERATOR: Oid = Oid(2617);
    /// Catalog `pg_cast`.
    pub const PG_CAST: Oid = Oid(2605);
    /// Catalog `pg_opclass`.
    pub const PG_OPCLASS: Oid = Oid(2616);
    /// Catalog `pg_opfamily`.
    pub const PG_OPFAMILY: Oid = Oid(2753);
    /// Catalog `pg_amop`.
    pub const PG_AMOP: Oid = Oid(2602);
    /// Catalog `pg_amproc`.
    pub const PG_AMPROC: Oid = Oid(2603);
    /// Our own: file and schema version of each stored relation.
    pub const OCHRE_RELATION: Oid = Oid(8001);
    /// Our own: the column lists that rows were written under.
    pub const OCHRE_COLUMN_LIST: Oid = Oid(8002);
    /// Tablespace `pg_default`.
    pub const PG_DEFAULT_TABLESPACE: Oid = Oid(1663);
    /// Tablespace `pg_global`.
    pub const PG_GLOBAL_TABLESPACE: Oid = Oid(1664);
    /// Collation `default`.
    pub const DEFAULT_COLLATION: Oid = Oid(100);
    /// Collation `C`.
    pub const C_COLLATION: Oid = Oid(950);
}

/// The namespaces that are searched before a path that does not name them.
pub const IMPLICIT_NAMESPACES: [ochre_base::Oid; 1] = [oids::PG_CATALOG];

/// What the names of sessions' namespaces of temporary relations begin with; a number follows.
pub const TEMPORARY_PREFIX: &str = "pg_temp_";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_builtin_catalog_is_whole() {
        let catalog = CatalogSnapshot::new(oids::POSTGRES);
        let class = catalog.relation_in(oids::PG_CATALOG, "pg_class").expect("pg_class");
        assert_eq!(class.oid, oids::PG_CLASS);
        assert_eq!(class.columns.len(), 34);
        assert_eq!(class.column_named("relname").map(|c| c.number), Some(2));
        assert!(catalog.relation_in(oids::INFORMATION_SCHEMA, "columns").is_some());
        for (oid, _) in builtin::STORED {
            assert!(catalog.relation(oid).is_some_and(|relation| relation.file.is_some()), "{oid}");
        }
        for relation in catalog.relations() {
            for (i, column) in relation.columns.iter().enumerate() {
                assert_eq!(column.number as usize, i + 1, "C2");
            }
        }
    }

    #[test]
    fn a_renamed_relation_is_found_by_its_new_name_alone() {
        let mut catalog = CatalogSnapshot::new(oids::POSTGRES);
        let mut relation = (**catalog.relation(oids::PG_CLASS).expect("pg_class")).clone();
        relation.oid = ochre_base::Oid(20_000);
        relation.name = "old".into();
        catalog.apply(&CatalogChange::PutRelation(relation.clone().into()));
        relation.name = "new".into();
        catalog.apply(&CatalogChange::PutRelation(relation.clone().into()));
        assert!(catalog.relation_in(oids::PG_CATALOG, "old").is_none());
        assert!(catalog.relation_in(oids::PG_CATALOG, "new").is_some());
        catalog.apply(&CatalogChange::DropRelation(relation.oid));
        assert!(catalog.relation_in(oids::PG_CATALOG, "new").is_none());
    }
}
