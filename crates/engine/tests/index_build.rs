//! Building indexes of a table that is large enough for several threads: they work over real files only.

#[allow(dead_code, reason = "each test file uses a part of what they share")]
mod common;

use ochre_engine::{Instance, InstanceConfig};
use ochre_env::Env;

use common::{fails, run, table};

#[test]
fn indexes_of_a_large_table_hold_its_rows() {
    let directory = std::env::temp_dir().join(format!("ochre-index-build-{}", std::process::id()));
    {
        let instance = Instance::open(Env::os(), &directory, InstanceConfig::default())
            .expect("an empty directory opens");
        let mut session = instance.session("postgres", "postgres").expect("a session");
        // So little memory that runs are spilled; rows of two column lists, some dead, some long.
        run(&mut session, "SET maintenance_work_mem = '1MB'");
        run(&mut session, "CREATE TABLE t (id int, grp int, gone text, name text)");
        run(
            &mut session,
            "INSERT INTO t SELECT i, (i * 7919) % 1000, 'x', 'name ' || (i * 31) % 90000 \
             FROM generate_series(1, 90000) i",
        );
        run(&mut session, "ALTER TABLE t DROP COLUMN gone; ALTER TABLE t ADD COLUMN extra int DEFAULT 5");
        run(&mut session, "UPDATE t SET name = repeat('long', 1000) WHERE id % 30000 = 0");
        run(&mut session, "UPDATE t SET grp = NULL WHERE id % 1000 = 1; DELETE FROM t WHERE id % 10 = 2");
        run(&mut session, "CREATE UNIQUE INDEX t_id ON t (id)");
        run(&mut session, "CREATE INDEX t_grp ON t (grp DESC, extra)");
        run(&mut session, "CREATE INDEX t_name ON t (upper(name)) INCLUDE (id) WHERE length(name) < 100");
        assert_eq!(fails(&mut session, "CREATE UNIQUE INDEX t_dup ON t (grp)").sqlstate().as_str(), "23505");
        assert_eq!(
            fails(&mut session, "CREATE INDEX t_bad ON t ((1 / (id - 77777)))").sqlstate().as_str(),
            "22012"
        );
        for setting in ["enable_seqscan", "enable_indexscan"] {
            run(&mut session, &format!("SET {setting} = off"));
            for (query, expected) in [
                ("SELECT count(*), sum(id) FROM t WHERE id BETWEEN 0 AND 100000", "81000|3645072000"),
                ("SELECT count(*) FROM t WHERE grp IS NULL", "90"),
                ("SELECT count(*), sum(extra) FROM t WHERE grp = 7 AND extra = 5", "90|450"),
                ("SELECT id FROM t WHERE upper(name) = 'NAME 31' AND length(name) < 100", "1"),
            ] {
                assert_eq!(table(&mut session, query), [expected], "{setting} off: {query}");
            }
            run(&mut session, &format!("RESET {setting}"));
        }
        drop(session);
        instance.close().expect("closes");
    }
    std::fs::remove_dir_all(&directory).expect("the directory is ours");
}
