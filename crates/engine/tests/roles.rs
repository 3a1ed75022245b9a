//! Several roles, each with a session of its own: what one grants and revokes is felt by the others at their next
//! statement, by plans that are shared and prepared, and what was granted is there after a restart.

#[allow(dead_code, reason = "each test file uses a part of what they share")]
mod common;

use std::sync::Arc;

use ochre_base::SqlState;
use ochre_engine::{Instance, Session};

use common::{Machine, fails, open, run, table};

fn connect(instance: &Arc<Instance>, user: &str) -> Session {
    instance.session("postgres", user).expect("a session")
}

fn denied(session: &mut Session, sql: &str) {
    let error = fails(session, sql);
    assert_eq!(error.sqlstate(), SqlState::INSUFFICIENT_PRIVILEGE, "{sql}: {error:?}");
}

#[test]
fn grants_and_revokes_are_felt_by_other_sessions() {
    let machine = Machine::new(7);
    let instance = open(&machine.env);
    let mut owner = connect(&instance, "postgres");
    run(&mut owner, "CREATE ROLE ann LOGIN; CREATE ROLE ben LOGIN; CREATE ROLE staff");
    run(&mut owner, "CREATE TABLE t (a int PRIMARY KEY, b int); INSERT INTO t VALUES (1, 2)");
    run(&mut owner, "CREATE TABLE u (a int REFERENCES t); GRANT INSERT ON u TO ann");
    let (mut ann, mut ben) = (connect(&instance, "ann"), connect(&instance, "ben"));
    // The plan of the superuser is shared by text, and must not be worth more than its user.
    for _ in 0..4 {
        assert_eq!(table(&mut owner, "SELECT b FROM t WHERE a = 1"), ["2"]);
    }
    denied(&mut ann, "SELECT b FROM t WHERE a = 1");
    run(&mut ann, "PREPARE p AS SELECT b FROM t WHERE a = $1");
    denied(&mut ann, "EXECUTE p(1)");
    run(&mut owner, "GRANT SELECT ON t TO staff; GRANT staff TO ann");
    assert_eq!(table(&mut ann, "SELECT b FROM t WHERE a = 1"), ["2"]);
    assert_eq!(table(&mut ann, "EXECUTE p(1)"), ["2"]);
    denied(&mut ben, "SELECT b FROM t WHERE a = 1");
    // References are looked up for the owner of the table.
    run(&mut ann, "INSERT INTO u VALUES (1)");
    run(&mut owner, "REVOKE staff FROM ann");
    denied(&mut ann, "SELECT b FROM t WHERE a = 1");
    denied(&mut ann, "EXECUTE p(1)");
    run(&mut ann, "INSERT INTO u VALUES (1)");
    // Nothing is felt of what is rolled back.
    run(&mut owner, "BEGIN; GRANT SELECT ON t TO ben");
    denied(&mut ben, "SELECT b FROM t");
    run(&mut owner, "ROLLBACK");
    denied(&mut ben, "SELECT b FROM t");
    // A schema is felt by plans that were made when it was open.
    run(
        &mut owner,
        "CREATE SCHEMA s; CREATE TABLE s.x (a int); GRANT SELECT ON s.x TO ann; GRANT USAGE ON SCHEMA s TO ann",
    );
    run(&mut ann, "PREPARE x AS SELECT * FROM s.x");
    assert_eq!(table(&mut ann, "EXECUTE x").len(), 0);
    run(&mut owner, "REVOKE USAGE ON SCHEMA s FROM ann");
    denied(&mut ann, "EXECUTE x");
    // Becoming a superuser and ceasing to be one.
    run(&mut owner, "ALTER ROLE ben SUPERUSER");
    assert_eq!(table(&mut ben, "SELECT b FROM t WHERE a = 1"), ["2"]);
    run(&mut owner, "ALTER ROLE ben NOSUPERUSER");
    denied(&mut ben, "SELECT b FROM t WHERE a = 1");
    // A role that goes takes its sessions' privileges along.
    run(&mut owner, "CREATE ROLE gone LOGIN SUPERUSER");
    let mut gone = connect(&instance, "gone");
    assert_eq!(table(&mut gone, "SELECT b FROM t WHERE a = 1"), ["2"]);
    run(&mut owner, "DROP ROLE gone");
    denied(&mut gone, "SELECT b FROM t WHERE a = 1");
}

#[test]
fn who_may_connect() {
    let machine = Machine::new(8);
    let instance = open(&machine.env);
    let mut owner = connect(&instance, "postgres");
    run(&mut owner, "CREATE ROLE ann LOGIN; CREATE ROLE dumb; CREATE ROLE one LOGIN CONNECTION LIMIT 1");
    let refusal = |user: &str| {
        let error = instance.session("postgres", user).err().expect("refused");
        (error.sqlstate(), error.message().to_owned())
    };
    let no_authorization = SqlState::INVALID_AUTHORIZATION_SPECIFICATION;
    assert_eq!(refusal("nobody"), (no_authorization, "role \"nobody\" does not exist".to_owned()));
    assert_eq!(refusal("dumb"), (no_authorization, "role \"dumb\" is not permitted to log in".to_owned()));
    let first = connect(&instance, "one");
    assert_eq!(refusal("one").0, SqlState::TOO_MANY_CONNECTIONS);
    drop(first);
    drop(connect(&instance, "one"));
    run(&mut owner, "REVOKE CONNECT ON DATABASE postgres FROM PUBLIC");
    let message = "permission denied for database \"postgres\"".to_owned();
    assert_eq!(refusal("ann"), (SqlState::INSUFFICIENT_PRIVILEGE, message));
    run(&mut owner, "GRANT CONNECT ON DATABASE postgres TO ann");
    let mut ann = connect(&instance, "ann");
    assert_eq!(table(&mut ann, "SELECT current_user, session_user"), ["ann|ann"]);
    run(&mut owner, "ALTER ROLE ann RENAME TO anna");
    assert_eq!(table(&mut ann, "SELECT current_user, session_user"), ["anna|anna"]);
}

#[test]
fn what_was_granted_is_there_after_a_restart() {
    let machine = Machine::new(9);
    let instance = open(&machine.env);
    let mut owner = connect(&instance, "postgres");
    run(
        &mut owner,
        "CREATE ROLE ann LOGIN; CREATE ROLE staff; GRANT staff TO ann WITH ADMIN TRUE;
         CREATE TABLE t (a int, b int); GRANT SELECT (a) ON t TO staff; GRANT CREATE ON SCHEMA public TO ann;
         CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'; REVOKE ALL ON FUNCTION f() FROM PUBLIC;
         ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO ann",
    );
    drop(owner);
    instance.close().expect("closes");
    drop(instance);
    let instance = open(&machine.env);
    let mut ann = connect(&instance, "ann");
    assert_eq!(table(&mut ann, "SELECT a FROM t").len(), 0);
    denied(&mut ann, "SELECT b FROM t");
    denied(&mut ann, "SELECT f()");
    run(&mut ann, "CREATE TABLE own (a int)");
    run(&mut connect(&instance, "postgres"), "CREATE TABLE later (a int)");
    assert_eq!(table(&mut ann, "SELECT * FROM later").len(), 0);
    let query = "SELECT admin_option, inherit_option FROM pg_auth_members WHERE member = 'ann'::regrole";
    assert_eq!(table(&mut ann, query), ["t|t"]);
}
