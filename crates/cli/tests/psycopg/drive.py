"""Drives a server with psycopg 3 and psycopg2, as applications do: python drive.py HOST PORT.

Prints a line for each test that passed; the first failure ends it with a traceback.
"""

import datetime
import decimal
import io
import json
import sys
import threading
import time
import uuid

import psycopg
import psycopg2
import psycopg2.errors
import psycopg2.extras
from psycopg.rows import dict_row, namedtuple_row
from psycopg.types.json import Json, Jsonb

HOST, PORT = sys.argv[1], sys.argv[2]
DSN = f"host={HOST} port={PORT} user=postgres dbname=postgres"

UTC = datetime.timezone.utc
VALUES = [
    ("bool", True),
    ("int2", -32767),
    ("int4", 2147483647),
    ("int8", -9223372036854775807),
    ("float4", 1.5),
    ("float8", -1.25e300),
    ("numeric", decimal.Decimal("-12345678901234567890.00012300")),
    ("numeric(10,3)", decimal.Decimal("7.250")),
    ("text", "Zürich 'x' \\ 東京"),
    ("varchar(20)", "short"),
    ("bytea", bytes(range(256))),
    ("date", datetime.date(2024, 2, 29)),
    ("time", datetime.time(23, 59, 59, 123456)),
    ("timestamp", datetime.datetime(1999, 12, 31, 23, 59, 59, 999999)),
    ("timestamptz", datetime.datetime(2024, 7, 1, 12, 30, tzinfo=UTC)),
    ("interval", datetime.timedelta(days=-3, seconds=5, microseconds=7)),
    ("uuid", uuid.UUID("12345678-1234-5678-1234-567812345678")),
    ("json", {"a": [1, None, "x"]}),
    ("jsonb", {"b": {"c": 1.5}, "a": []}),
    ("int4[]", [1, None, 3]),
    ("int8[]", [[1, 2], [3, 4]]),
    ("text[]", ["a", "b,c", '"d"', None, ""]),
    ("float8[]", [1.5, -2.25]),
    ("bool[]", [True, False, None]),
    ("numeric[]", [decimal.Decimal("1.10"), decimal.Decimal("NaN")]),
    ("uuid[]", [uuid.UUID(int=1)]),
    ("timestamptz[]", [datetime.datetime(2001, 1, 1, tzinfo=UTC)]),
    ("date[]", [datetime.date(2000, 1, 1)]),
]

TESTS = []


def test(function):
    TESTS.append(function)
    return function


def same(a, b):
    if isinstance(a, list):
        return isinstance(b, list) and len(a) == len(b) and all(same(x, y) for x, y in zip(a, b))
    if isinstance(a, decimal.Decimal) and a.is_nan():
        return isinstance(b, decimal.Decimal) and b.is_nan()
    if isinstance(a, decimal.Decimal):
        return isinstance(b, decimal.Decimal) and str(a) == str(b)
    return a == b and type(a) is type(b)


def adapted(type_name, value):
    if type_name == "json":
        return Json(value)
    if type_name == "jsonb":
        return Jsonb(value)
    return value


@test
def types_round_trip_in_text_and_binary():
    with psycopg.connect(DSN) as connection:
        for type_name, value in VALUES:
            for binary in (False, True):
                marker = "%b" if binary else "%t"
                if isinstance(value, list) and value and isinstance(value[0], str):
                    marker = "%s"
                cursor = connection.cursor(binary=binary)
                got = cursor.execute(f"SELECT {marker}::{type_name}", [adapted(type_name, value)]).fetchone()[0]
                assert same(value, got), (type_name, binary, value, got)
                null = cursor.execute(f"SELECT {marker}::{type_name}", [None]).fetchone()[0]
                assert null is None, (type_name, binary)


@test
def types_round_trip_through_a_table():
    columns = ", ".join(f"c{i} {name}" for i, (name, _) in enumerate(VALUES))
    marks = ", ".join("%s" for _ in VALUES)
    with psycopg.connect(DSN, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS every_type")
        connection.execute(f"CREATE TABLE every_type (id int PRIMARY KEY, {columns})")
        row = [adapted(name, value) for name, value in VALUES]
        connection.execute(f"INSERT INTO every_type VALUES (1, {marks})", row)
        connection.execute(f"INSERT INTO every_type VALUES (2, {marks})", [None] * len(row))
        for binary in (False, True):
            cursor = connection.cursor(binary=binary)
            got = cursor.execute("SELECT * FROM every_type ORDER BY id").fetchall()
            for (name, value), back in zip(VALUES, got[0][1:]):
                assert same(value, back), (name, binary, value, back)
            assert got[1][1:] == (None,) * len(VALUES)


@test
def psycopg2_reads_and_writes_the_same():
    connection = psycopg2.connect(DSN)
    psycopg2.extras.register_uuid(conn_or_curs=connection)
    cursor = connection.cursor()
    for type_name, value in VALUES:
        given = psycopg2.extras.Json(value) if type_name in ("json", "jsonb") else value
        if type_name == "uuid[]":
            continue
        cursor.execute(f"SELECT %s::{type_name}", [given])
        got = cursor.fetchone()[0]
        if isinstance(got, memoryview):
            got = got.tobytes()
        assert same(value, got), (type_name, value, got)
    cursor.execute("SELECT 1 WHERE false")
    assert cursor.fetchall() == [] and cursor.rowcount == 0
    connection.close()


@test
def a_duplicate_key_names_its_constraint():
    with psycopg.connect(DSN) as connection:
        connection.execute("DROP TABLE IF EXISTS unique_rows")
        connection.execute("CREATE TABLE unique_rows (id int PRIMARY KEY, name text, CONSTRAINT one_name UNIQUE (name))")
        connection.execute("INSERT INTO unique_rows VALUES (1, 'a')")
        connection.commit()
        try:
            connection.execute("INSERT INTO unique_rows VALUES (2, 'a')")
            raise AssertionError("accepted")
        except psycopg.errors.UniqueViolation as error:
            assert error.sqlstate == "23505"
            assert error.diag.constraint_name == "one_name", error.diag.constraint_name
            assert error.diag.table_name == "unique_rows" and error.diag.schema_name == "public"
            assert error.diag.message_detail == "Key (name)=(a) already exists."
        # Everything in the failed transaction but its end is refused.
        try:
            connection.execute("SELECT 1")
            raise AssertionError("accepted")
        except psycopg.errors.InFailedSqlTransaction as error:
            assert error.sqlstate == "25P02"
        connection.rollback()
        assert connection.execute("SELECT count(*) FROM unique_rows").fetchone() == (1,)
    connection = psycopg2.connect(DSN)
    cursor = connection.cursor()
    try:
        cursor.execute("INSERT INTO unique_rows VALUES (1, 'b')")
        raise AssertionError("accepted")
    except psycopg2.errors.UniqueViolation as error:
        assert error.pgcode == "23505" and error.diag.constraint_name == "unique_rows_pkey"
    try:
        cursor.execute("SELECT 1")
        raise AssertionError("accepted")
    except psycopg2.errors.InFailedSqlTransaction as error:
        assert error.pgcode == "25P02"
    connection.close()


@test
def errors_have_their_fields():
    with psycopg.connect(DSN, autocommit=True) as connection:
        for sql, state, position in [
            ("SELECT * FROM nowhere", "42P01", "15"),
            ("SELECT nothing", "42703", "8"),
            ("SELEC 1", "42601", "1"),
            ("SELECT 1/0", "22012", None),
            ("SELECT 'ä', no_function()", "42883", "13"),
            ("INSERT INTO unique_rows VALUES (NULL)", "23502", None),
        ]:
            try:
                connection.execute(sql)
                raise AssertionError(sql)
            except psycopg.Error as error:
                found = (error.sqlstate, error.diag.statement_position)
                assert found == (state, position), (sql, found)


@test
def parameters_are_bound_by_the_server():
    with psycopg.connect(DSN) as connection:
        connection.execute("DROP TABLE IF EXISTS bound")
        connection.execute("CREATE TABLE bound (id int PRIMARY KEY, v text, n numeric)")
        hostile = "'; DROP TABLE bound; --"
        connection.execute("INSERT INTO bound VALUES (%s, %s, %s)", [1, hostile, decimal.Decimal("1.5")])
        assert connection.execute("SELECT v FROM bound WHERE id = %s AND v = %s", [1, hostile]).fetchone() == (hostile,)
        assert connection.execute("SELECT %s", ["untyped"]).fetchone() == ("untyped",)
        assert connection.execute("SELECT %s + 1", [41]).fetchone() == (42,)
        assert connection.execute("SELECT id FROM bound WHERE id = ANY(%s)", [[1, 2]]).fetchall() == [(1,)]
        assert connection.execute("SELECT v FROM bound LIMIT %s OFFSET %s", [1, 0]).fetchall() == [(hostile,)]
        assert connection.execute("UPDATE bound SET n = n + %s WHERE id = %s", [1, 1]).rowcount == 1
        rows = connection.execute("INSERT INTO bound (id, v) SELECT i, %s FROM generate_series(2, %s) AS i RETURNING id", ["x", 5])
        assert rows.fetchall() == [(2,), (3,), (4,), (5,)]
        cursor = connection.cursor(row_factory=dict_row)
        assert cursor.execute("SELECT id, n FROM bound WHERE id = 1").fetchone() == {"id": 1, "n": decimal.Decimal("2.5")}
        cursor = connection.cursor(row_factory=namedtuple_row)
        assert cursor.execute("SELECT max(id) AS top FROM bound").fetchone().top == 5
        described = connection.execute("SELECT id, v, n FROM bound").description
        assert [(column.name, column.type_code) for column in described] == [("id", 23), ("v", 25), ("n", 1700)]


@test
def named_statements_are_prepared_once():
    with psycopg.connect(DSN, autocommit=True) as connection:
        connection.prepare_threshold = 2
        for i in range(20):
            assert connection.execute("SELECT %s::int * 2", [i]).fetchone() == (i * 2,)
        assert connection.execute("SELECT %s::int + 1", [1], prepare=True).fetchone() == (2,)
        # A table that changes under a prepared statement.
        connection.execute("DROP TABLE IF EXISTS changing")
        connection.execute("CREATE TABLE changing (a int)")
        connection.execute("INSERT INTO changing VALUES (1)")
        for _ in range(4):
            assert connection.execute("SELECT a FROM changing WHERE a = %s", [1]).fetchone() == (1,)
        connection.execute("ALTER TABLE changing ADD COLUMN b text DEFAULT 'new'")
        assert connection.execute("SELECT a FROM changing WHERE a = %s", [1]).fetchone() == (1,)
        connection.execute("DISCARD ALL")
        assert connection.execute("SELECT 1").fetchone() == (1,)
        connection.execute("PREPARE own (int) AS SELECT $1 + 1")
        assert connection.execute("EXECUTE own (4)").fetchone() == (5,)
        connection.execute("DEALLOCATE own")


@test
def many_rows_at_once():
    with psycopg.connect(DSN) as connection:
        connection.execute("DROP TABLE IF EXISTS many")
        connection.execute("CREATE TABLE many (id int PRIMARY KEY, v text)")
        cursor = connection.cursor()
        cursor.executemany("INSERT INTO many VALUES (%s, %s)", [(i, f"v{i}") for i in range(1000)])
        assert cursor.rowcount == 1000
        cursor.executemany("UPDATE many SET v = %s WHERE id = %s RETURNING id", [("w", i) for i in range(5)], returning=True)
        got = []
        while True:
            got.append(cursor.fetchone())
            if not cursor.nextset():
                break
        assert got == [(i,) for i in range(5)]
        assert connection.execute("SELECT count(*), sum(id) FROM many").fetchone() == (1000, 499500)
    connection = psycopg2.connect(DSN)
    with connection, connection.cursor() as cursor:
        psycopg2.extras.execute_values(cursor, "INSERT INTO many VALUES %s", [(i, "x") for i in range(1000, 1500)])
        psycopg2.extras.execute_batch(cursor, "DELETE FROM many WHERE id = %s", [(i,) for i in range(100)])
        cursor.execute("SELECT count(*) FROM many")
        assert cursor.fetchone() == (1400,)
    connection.close()


@test
def pipelines():
    with psycopg.connect(DSN, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS piped")
        connection.execute("CREATE TABLE piped (id int PRIMARY KEY)")
        with connection.pipeline():
            cursors = [connection.execute("INSERT INTO piped VALUES (%s) RETURNING id", [i]) for i in range(50)]
        assert [cursor.fetchone()[0] for cursor in cursors] == list(range(50))
        # An error skips what comes after it, up to the next point of synchronisation.
        try:
            with connection.pipeline() as pipeline:
                connection.execute("INSERT INTO piped VALUES (100)")
                pipeline.sync()
                connection.execute("INSERT INTO piped VALUES (1)")
                connection.execute("INSERT INTO piped VALUES (101)")
                pipeline.sync()
                connection.execute("INSERT INTO piped VALUES (102)")
            raise AssertionError("accepted")
        except psycopg.errors.UniqueViolation:
            pass
        got = connection.execute("SELECT id FROM piped WHERE id >= 100 ORDER BY id").fetchall()
        assert got in ([(100,)], [(100,), (102,)]), got


@test
def copy_in_and_out():
    with psycopg.connect(DSN) as connection:
        connection.execute("DROP TABLE IF EXISTS copied")
        connection.execute("CREATE TABLE copied (id int PRIMARY KEY, v text, d date)")
        cursor = connection.cursor()
        rows = [(1, "tab\there", datetime.date(2020, 1, 1)), (2, None, None), (3, "back\\slash\nline", None)]
        with cursor.copy("COPY copied FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)
        assert cursor.rowcount == 3
        assert connection.execute("SELECT * FROM copied ORDER BY id").fetchall() == rows
        with cursor.copy("COPY (SELECT * FROM copied ORDER BY id) TO STDOUT") as copy:
            copy.set_types(["int4", "text", "date"])
            assert list(copy.rows()) == rows
        with cursor.copy("COPY copied (id, v) FROM STDIN (FORMAT csv, HEADER true)") as copy:
            copy.write('id,v\n10,"a, ""b"""\n11,\n')
        assert connection.execute("SELECT v FROM copied WHERE id >= 10 ORDER BY id").fetchall() == [('a, "b"',), (None,)]
        with cursor.copy("COPY copied TO STDOUT (FORMAT csv)") as copy:
            out = b"".join(bytes(block) for block in copy)
        assert out.count(b"\n") == 6, out
        connection.commit()
        # A client that gives up, and a row that is wrong.
        try:
            with cursor.copy("COPY copied FROM STDIN") as copy:
                copy.write_row((20, "never", None))
                raise ZeroDivisionError("gives up")
        except ZeroDivisionError:
            pass
        connection.rollback()
        try:
            with cursor.copy("COPY copied FROM STDIN") as copy:
                copy.write("30\tx\t2020-01-01\nbad\tx\t\\N\n")
            raise AssertionError("accepted")
        except psycopg.errors.InvalidTextRepresentation as error:
            assert "copied, line 2, column id" in error.diag.context, error.diag.context
        connection.rollback()
        assert connection.execute("SELECT count(*) FROM copied").fetchone() == (5,)
    connection = psycopg2.connect(DSN)
    with connection, connection.cursor() as cursor:
        cursor.copy_expert("COPY copied (id, v) FROM STDIN", io.StringIO("40\tforty\n"))
        out = io.StringIO()
        cursor.copy_expert("COPY (SELECT id, v FROM copied WHERE id = 40) TO STDOUT", out)
        assert out.getvalue() == "40\tforty\n"
    connection.close()


@test
def transactions_and_savepoints():
    with psycopg.connect(DSN) as connection:
        connection.execute("DROP TABLE IF EXISTS nested")
        connection.execute("CREATE TABLE nested (id int)")
        connection.commit()
        with connection.transaction():
            connection.execute("INSERT INTO nested VALUES (1)")
            try:
                with connection.transaction():
                    connection.execute("INSERT INTO nested VALUES (2)")
                    connection.execute("SELECT 1/0")
            except psycopg.errors.DivisionByZero:
                pass
            connection.execute("INSERT INTO nested VALUES (3)")
        assert connection.execute("SELECT id FROM nested ORDER BY id").fetchall() == [(1,), (3,)]
        connection.rollback()
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        assert connection.execute("SHOW transaction_isolation").fetchone() == ("repeatable read",)
        connection.rollback()
        connection.read_only = True
        try:
            connection.execute("INSERT INTO nested VALUES (4)")
            raise AssertionError("accepted")
        except psycopg.errors.ReadOnlySqlTransaction:
            connection.rollback()
        assert connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE


@test
def a_running_statement_is_cancelled():
    with psycopg.connect(DSN, autocommit=True) as connection:
        timer = threading.Timer(0.3, connection.cancel)
        timer.start()
        started = time.monotonic()
        try:
            connection.execute("SELECT pg_sleep(30)")
            raise AssertionError("not cancelled")
        except psycopg.errors.QueryCanceled as error:
            assert error.sqlstate == "57014"
        assert time.monotonic() - started < 10
        timer.join()
        assert connection.execute("SELECT 1").fetchone() == (1,)
        connection.execute("SET statement_timeout = '100ms'")
        try:
            connection.execute("SELECT pg_sleep(30)")
            raise AssertionError("not cancelled")
        except psycopg.errors.QueryCanceled as error:
            assert "statement timeout" in str(error)


@test
def sessions_tell_what_they_are():
    with psycopg.connect(DSN, application_name="drive", options="-c statement_timeout=12345") as connection:
        info = connection.info
        assert info.server_version >= 180000, info.server_version
        assert info.encoding == "utf-8" and info.dbname == "postgres" and info.user == "postgres"
        assert info.parameter_status("integer_datetimes") == "on"
        assert info.parameter_status("application_name") == "drive"
        assert connection.execute("SHOW statement_timeout").fetchone() == ("12345ms",)
        connection.execute("SET TIME ZONE 'Europe/Zurich'")
        assert info.parameter_status("TimeZone") == "Europe/Zurich"
        assert str(info.timezone) == "Europe/Zurich"
        got = connection.execute("SELECT '2024-07-01 12:00+02'::timestamptz").fetchone()[0]
        assert got.utcoffset() == datetime.timedelta(hours=2), got
        notices = []
        connection.add_notice_handler(lambda notice: notices.append(notice.message_primary))
        connection.execute("DROP TABLE IF EXISTS never_was")
        assert notices == ['table "never_was" does not exist, skipping']
        several = connection.execute("SELECT 1; SELECT 2, 3")
        assert several.fetchone() == (1,) and several.nextset() and several.fetchone() == (2, 3)
        assert connection.execute("").description is None
    try:
        psycopg.connect(DSN.replace("dbname=postgres", "dbname=nowhere"))
        raise AssertionError("accepted")
    except psycopg.OperationalError as error:
        assert 'database "nowhere" does not exist' in str(error), error


@test
def client_side_cursors_and_streams():
    with psycopg.connect(DSN) as connection:
        cursor = psycopg.ClientCursor(connection)
        assert cursor.execute("SELECT %s, %s", ["it's", [1, 2]]).fetchone() == ("it's", [1, 2])
        raw = psycopg.RawCursor(connection)
        assert raw.execute("SELECT $1::int + $1", [4]).fetchone() == (8,)
        streamed = connection.cursor().stream("SELECT i FROM generate_series(1, 5000) AS i")
        assert sum(row[0] for row in streamed) == 12502500


@test
def utilities_take_parameters():
    with psycopg.connect(DSN, autocommit=True) as connection:
        connection.execute(
            "CREATE PROCEDURE moves(a int, INOUT b text, OUT c numeric) LANGUAGE plpgsql"
            " AS $$ BEGIN b := b || a; c := a / 4.0; END $$"
        )
        for binary in (False, True):
            cursor = connection.cursor(binary=binary)
            got = cursor.execute("CALL moves(%s, %s, NULL)", [3, "x"])
            assert [column.name for column in got.description] == ["b", "c"]
            assert got.fetchall() == [("x3", decimal.Decimal("0.75000000000000000000"))]
        raw = psycopg.RawCursor(connection)
        assert raw.execute("CALL moves($1, b => $2, c => $3)", [4, "y", None]).fetchone()[0] == "y4"
        connection.execute("CREATE PROCEDURE says(a int) LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE '%', a; END $$")
        notices = []
        connection.add_notice_handler(lambda notice: notices.append(notice.message_primary))
        assert connection.execute("CALL says(%s)", [5]).description is None
        assert notices == ["5"], notices
        try:
            raw.execute("CALL moves($1, $2)", [1, 2])
            raise AssertionError("accepted")
        except psycopg.errors.UndefinedFunction:
            pass
        connection.execute("CREATE TEMP TABLE made AS SELECT %s::int AS v, g FROM generate_series(1, %s) AS g", [7, 3])
        assert connection.execute("SELECT sum(v), sum(g) FROM made").fetchone() == (21, 6)
        connection.execute("SELECT %s::text AS t INTO TEMP into_it", ["q"])
        assert connection.execute("TABLE into_it").fetchall() == [("q",)]
        plan = connection.execute("EXPLAIN ANALYZE SELECT * FROM made WHERE g = %s", [2]).fetchall()
        assert any("rows=1" in line for (line,) in plan), plan
        with connection.transaction():
            connection.execute("DECLARE few CURSOR FOR SELECT g FROM made WHERE g >= %s ORDER BY 1", [2])
            assert connection.execute("FETCH ALL FROM few").fetchall() == [(2,), (3,)]
        connection.execute("DROP PROCEDURE moves, says")


def main():
    for function in TESTS:
        function()
        print("ok", function.__name__)


main()
