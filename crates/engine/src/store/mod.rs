//! The catalog store: descriptors as rows of `pg_class` and its sisters, under the same MVCC as everything else.
