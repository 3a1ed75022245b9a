#!/usr/bin/env python3
"""Writes testdata/text.tsv: texts of every type, and a reference server's reading of them.

Each line: settings (DateStyle;IntervalStyle;extra_float_digits;bytea_output), type, its oid and modifier, the text, what
it prints as (or ! with SQLSTATE and message), its binary form, and its rank among the values of its group (0: none).

usage: generate_text_cases.py PSQL_ARGUMENTS... > testdata/text.tsv
"""
import subprocess
import sys

ISO = "ISO, MDY;postgres;1;hex"

NUMBERS = ["0", "1", "-1", "+5", " 42 ", "\t7", "32767", "32768", "-32768", "-32769", "2147483647", "2147483648",
           "-2147483648", "-2147483649", "9223372036854775807", "9223372036854775808", "-9223372036854775808",
           "-9223372036854775809", "99999999999999999999999999999999999999999", "", " ", "abc", "1a", "1 2", "- 1", "--1",
           "1.5", "1e3", "0x1F", "0xg", "0o17", "0b101", "0b2", "1_000", "1__0", "_1", "1_", "0x_1f", "-0x10", "00012", "NaN"]
FLOATS = ["0", "-0", "1", "0.1", "-2.5", "1e10", "123456789012345", "1234567890123456", "1e15", "1e14", "999999", "1e6",
          "1234567", "0.0001", "0.00001", "1.5e-10", "1e300", "1e308", "1e309", "1e-320", "1e-400", "3.4e38", "1e39", "1e-46", "NaN", "nan", "infinity",
          "-Infinity", "inf", "+inf", " 1.5 ", "1.", ".5", ".", "", "e5", "1e", "1x", "0.30000000000000004", "3.141592653589793",
          "2.2250738585072014e-308", "5e-324", "1.17549435e-38", "16777217", "33554432.5", "1e22", "1e23", "-1e-7"]
NUMERICS = ["0", "0.0", "-0", "1.50", "1e5", "1E-5", "1.5e3", "-12.345", "NaN", "nan", "Infinity", "-inf", "+inf", "", " ", "abc", "1.2.3", "1e", "1e+",
            ".5", "5.", ".", "0x1F", "0b11", "0o7", "1_000.5", "1_000_", "1e1_0", "1_.5", "1._5", "123456789012345678901234567890.123456789", "1e131071", "1e131072", "1e-16383", "1e-16384",
            "0.00000000000000000000000000000000000000000001", "99999999999999999999999999999999999999", "100000000000000000000000000000000000000", " 7 ", "- 1", "+NaN"]
TEXTS = ["", "a", "abc", "abcd", "ab ", "abc  ", "ä", "äöü", "äöüß", "\\", "'", "A", "b", "aa", "Ab", "a b"]
BOOLS = ["t", "f", "true", "FALSE", "tru", "y", "yes", "n", "no", "on", "off", "of", "o", "1", "0", "", "2", " true ", "truex", "yess"]
BYTEAS = ["", "abc", "\\\\", "\\001\\377", "\\x", "\\xDEADbeef", "\\xde ad", "\\xd", "\\xzz", "\\x0", "\\9", "a\\", "\\400", "ä"]
UUIDS = ["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", "{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}",
         "a0eebc999c0b4ef8bb6d6bb9bd380a11", "a0ee-bc99-9c0b-4ef8-bb6d-6bb9-bd38-0a11", "{a0eebc99-9c0b4ef8-bb6d6bb9-bd380a11}", "", "x", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1",
         "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11x", "{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "00000000-0000-0000-0000-000000000000"]
DATES = ["1999-01-08", "January 8, 1999", "1/8/1999", "1/18/1999", "01/02/03", "1999-Jan-08", "Jan-08-1999", "08-Jan-1999", "99-Jan-08", "08-Jan-99", "Jan-08-99",
         "19990108", "990108", "1999.008", "J2451187", "January 8, 99 BC", "0001-01-01", "0001-01-01 BC", "4714-11-24 BC", "4714-11-23 BC", "5874897-12-31", "5874898-01-01",
         "infinity", "-infinity", "epoch", "2000-02-29", "1900-02-29", "2000-02-30", "2000-13-01", "2000-00-10", "2000-01-00", "0000-01-01", "", " ", "abc", "2000", "2000-01", "1999 08 01",
         "1999 Jan 08", "Jan 08 1999", "08 Jan 1999", "99 08 01", "8 Jan 99", "2020-06-30 12:34:56", "2020-06-30T12:34:56Z", "  2020-06-30  ", "30.06.2020", "2020/06/30", "13/14/2020", "31/12/2020",
         "Mon Jan 08 1999", "Friday", "2020-1-5", "99999-01-01", "12/31/99", "Jan 8 1999 BC", "1999-01-08 AD", "2001-02-03 foo", "2001-02-03 04", "1e5", "+2000-01-01", "20010203040506", "january 32 2000"]
TIMES = ["04:05:06.789", "04:05:06", "04:05", "040506", "0405", "04:05 AM", "04:05 PM", "12:00 AM", "12:00 PM", "13:00 PM", "04:05:06.789-8", "04:05:06-08:00", "04:05-08:00", "040506-08",
         "24:00:00", "24:00:01", "23:59:60", "23:59:61", "23:59:59.9999999", "25:00", "12:60", "allballs", "", "abc", "2003-04-12 04:05:06", "04:05:06 PST", "1:2:3", "00:00:00", "4:5", "04:05:06.1234567", "11 PM",
         "040506.789", "T04:05:06", "12:34:56 2020-01-01", "-04:05"]
TIMETZS = ["04:05:06.789-8", "04:05:06-08:00", "04:05-08:00", "040506-08", "04:05:06 PST", "04:05:06+5:30", "04:05:06.5 UTC", "04:05:06z", "2003-04-12 04:05:06 America/New_York",
           "23:59:59+15:59", "23:59+16", "04:05:06", "24:00:00+00", "04:05:06-08:00:30", "", "abc", "04:05 PM+01", "03:05:06-09", "allballs"]
STAMPS = ["1999-01-08 04:05:06", "1999-01-08 04:05:06.789", "1999-01-08T04:05:06", "1999-01-08 04:05:06 -8:00", "January 8 04:05:06 1999 PST", "19990108T040506", "19990108 040506", "1999-01-08 04:05",
          "1999-01-08 04:05:06.1234565", "1999-01-08 04:05:06.1234575", "1999-01-08 23:59:59.9999999", "2000-01-01 24:00:00", "2000-01-01 24:00:01", "294276-12-31 23:59:59.999999", "294277-01-01", "4714-11-24 00:00:00 BC", "4714-11-23 23:59 BC",
          "infinity", "-infinity", "epoch", "", "foo", "2020-02-30 00:00:00", "2020-01-01 25:00:00", "2020-01-01 12:61", "Wed Jul 17 07:08:09 1996", "Wed 17 Jul 07:08:09 1996", "Wed Jul 17 07:08:09.5 1996 EST",
          "1997-02-10 17:32:01-0800", "1997-02-10 17:32:01 -08:00", "1997-02-10 5:32PM", "10 Feb 1997 17:32 PST", "Feb 10 17:32:01 1997 +05:30", "1997.041 17:32:01", "97FEB10 17:32:01", "J2450490 17:32", "2001-09-22T18:19:20",
          "2000-03-15 08:14:01 GMT+8", "2000-03-15 13:14:02 GMT-1", "2000-03-15 12:14:03 GMT-2", "2020-07-04 12:00 America/New_York", "2020-01-04 12:00 America/New_York", "2020-07-04 12:00 Europe/Berlin", "2020-01-01 12:00 Foo/Bar",
          "2020-01-01 12:00 FOO", "2020-01-01 12:00:00+16", "2020-01-01 12:00:00+15:59:59", "2023-03-12 02:30 America/New_York", "2023-11-05 01:30 America/New_York", "0097-02-16 BC 17:32", "97-02-16 17:32", "1997-02-10 17:32:01 MET DST",
          "2020-01-01 12:00 zulu", "2020-01-01T12:00:00Z", "2020-01-01 12:00:00 UTC", "2020-01-01 12:00:00.5z", "12:00 2020-01-01", "2020-01-01 12:00 AM", "2020-01-01 13:00 PM", "1999-01-08 04:05:06 now", "5874897-01-01 00:00", "1901-12-13 20:45:52", "0001-01-01 00:00:00", "0044-03-15 12:00 BC",
          "Wed 1996-07-17", "BC 1999-01-08", "12:00 Jan 8 1999", "PST 1999-01-08 04:05", "on 1999-01-08", "T 1999-01-08", "1999-01-08 T04:05", "1999-01-08 T040506", "1999-01-08 T04", "20200101 T 040506", "1999-01-08 04:05:06 PST8PDT", "1999-01-08 04:05:06 utc+3",
          "1999-01-08 04:05 +053015", "1999-01-08 04:05 +0530", "1999-01-08 04:05 +530", "1999-01-08 04:05 +5:", "1999-01-08 at 04:05", "1999-01-08, 04:05", "1999-01-08 04:05:06:07", "1999-01-08 4", "1999-01-08 04:05 bc ad", "today now", "1999-01-08 epoch", "January 1999", "8 January", "Jan 8 04:05", "1999 jan 8 04:05", "2020-W01-1", "2020-1", "1/1", "1.1.1", "2020.1.2", "2020-01-01 00:00:00.0000005", "2020-01-01 00:00:00.", "2020-01-01 00:00:.5", "2020-01-01 00:0:0", "J0", "J2451187.5", "J-1", "99991231", "1000101", "0101", "2020-01-01 -0"]
INTERVALS = ["1 year", "1 year 2 months", "1 year 2 mons 3 days 04:05:06.789", "-1 day", "1 day ago", "1 day -01:00:00", "-1 year +2 mons", "@ 1 hour", "1 2:03:04", "1-2", "-1-2", "1-2 3 4:05:06", "P1Y2M3DT4H5M6S", "P1W", "PT1.5S", "P0001-02-03T04:05:06", "P1.5Y", "P", "PT", "P1",
             "1.5 hours", "1.5 days", "1.5 months", "1.5 years", "1.25 weeks", "0.1 months", "2 weeks", "1 decade", "1 century", "1 millennium", "100 ms", "5 us", "1 s", "10", "1.5", "-1.5", "01:02", "01:02:03", "1:2:3.456", "-01:02:03", "+1:00", "100:00:00", "00:60:00", "00:00:61",
             "", "foo", "1 foo", "1 year 1 year", "days", "1 day 2", "1 day ago 2", "178000000 years", "178956970 years", "178956971 years", "2147483647 days", "2147483648 days", "2562047788:00:54.775807", "2562047788:00:54.775808", "infinity", "-infinity", "1 month -1 day", "-1 month 1 day 1 sec", "0", "0 days", "1 mon 30 days", "-0.5 sec", "1 min", "90 sec", "-90 sec",
             "1 year -1 mon 5 days -00:00:01", "14 days 1 hour ago", "1 qtr", "1y2mon3d", "1d 2h 3m 4s", "6 years 5 days", "0.5 ms", "1.9 us", "1 day 12:00", "1 12:00", "- 1 day", "1 +2:00", "1e3 s", "PT-5M", "P-1Y-2M", "1 hour 30", "3 days 10", "+5 days", "1 week 2 days", "12:34.5", "5 minutes 10 milliseconds", "1 d", "5d", "2 dec", "3c", "1 mil", "1 mon.", "1.5.5 days", ".5 day", "5. days", "-.5 day", "1 hour -5 min", "-1 hour -5 min", "1 day -5:00:00.5", "P1Y-2M", "P1DT", "P1D2H", "p1y", "P1YT1H30M", "P00010203T040506", "P1-2-3", "PT04:05", "P1Y2", "0.0000005 sec", "0.0000015 sec", "2.5 us", "1 microsecond", "9223372036854775807 us", "9223372036854775808 us", "1e6 us", "1 second ago", "ago", "infinity ago", "infinity 1 day", "+infinity", "1 year infinity"]
ARRAYS = ["{}", "{1,2,3}", "{1,NULL,3}", " { 1 , 2 } ", "{{1,2},{3,4}}", "{{1,2},{3}}", "[2:3]={1,2}", "[0:1][1:2]={{1,2},{3,4}}", "[2:1]={1}", "[1:3]={1,2}", "{1,2", "1,2", "", "{1,,2}", "{,1}", "{1,}", "{1}x", "{{}}", "{{},{}}", "{\"1\",\"2\"}", "{a}", "{1 2}", "[1:2]{1,2}", "[a]={1}",
          "{{1,2},3}", "{1,{2}}", "{{{{{{1}}}}}}", "{{{{{{{1}}}}}}}", "[-2:-1]={5,6}", "{null}", "{99999999999}", "[1:1]={}", "{2,1}", "{1,2,3,4}", "{1,2,NULL}"]
TEXT_ARRAYS = ["{a,b}", "{\"a b\",c}", "{a b,c}", "{\"\"}", "{NULL,\"NULL\",null}", "{\"a\\\"b\",\"c\\\\d\"}", "{a\\,b}", "{\"{}\",\"x,y\"}", "{ab\"c}", "{\"ab\"c}", "{\"a\"\"b\"}", "{ä}", "{a{b}", "{a}b}", "{ a , b }", "{a\\ ,b}", "{\\NULL}", "{'a'}", "{\"a", "{A,a,B,b}", "{[}"]
BITS = ["", "1", "101", "b101", "x1f", "X1F", "102", "xg", "11111111", "111111111", "10", "100"]
JSONS = ["{}", "[1, 2]", " {\"a\": 1} ", "\"x\"", "null", "1.5e3", "true", "", "{", "{a:1}", "[1,]", "nul", "'x'", "{\"a\" 1}", "01", "[1] 2"]
JSONBS = ['[]', '1', '"a"', 'false', '[1]', '[1,2]', '{"a":1}', '[null]', '[[]]', '[{}]', '{"b":1}', '{"aa":0}', '"B"', '1.0', '-5', '["a"]', '[true]', '{"a":1,"b":2}', '{"b":1,"aa":2, "b":3, "a":"\\u00e4\\n\\/\\u0007"}',
          '{"a":}', '{,}', '1 2', '"\\u0000"', '"\\ud83d\\ude00"', '{"a":{"b":[1,2,{"c":null}]}}', '[1e3, 1.50, 1E-2]', '1e200000', '""', '{"":1}', '[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,x]']
NETWORKS = ["10", "10/8", "10.1/16", "10.1", "192.168", "192.168/24", "224", "240.1", "128.1", "1.2.3.4", "1.2.3.4/0", "1.2.3.4/33", "1.2.3.4/", "1.2.3.256", "1.2.3.04", "::1", "::1.2.3.4", "::ffff:1.2.3.4", "2001:db8::/32", "2001:db8::1/32", "1::2::3", "192.168.1.0/25",
            "10.0.0.0/8", "::2", "0:0:0:0:0:0:0:0", " 1.2.3.4", "1.2.3", "191.5.5", "10.0.0.0/16", "10.5.0.0/16", "10.0.0.0", "0.0.0.0/0", "::/0", "fe80::1:2:0:0:3", "1:0:0:2:0:0:0:3", "1.2.3.4/24", "1.2.3.5/24", "1.2.3.4/032", ""]
MACS = ["08:00:2b:01:02:03", "08-00-2b-01-02-03", "08002b:010203", "0800.2b01.0203", "08002b010203", "0800-2b01-0203", "8:0:2b:1:2:3", "08:00:2b:01:02", "08:00:2b:01:02:gg", "08:00:2b:01:02:03:04", "", "FF:FF:FF:FF:FF:FF", "00:00:00:00:00:00"]
MONEY = ["1", "1.5", "$1,234.56", "-5.555", "(5)", "92233720368547758.07", "92233720368547758.08", "-92233720368547758.08", "abc", "", "1,2,3", "$-5", "-$5", "5$", " 5 ", "1.005", "1.", "0.004", "(5", "5)", "1 2"]
OIDS = ["0", "1", "4294967295", "4294967296", "-1", "-2147483648", "-2147483649", "abc", "", " 5 ", "0x10", "010", "1.5"]
CHARS = ["", "a", "ab", "\\101", "\\377", "ä"]
NAMES = ["", "abc", "x" * 63, "x" * 64, "ä" * 32]
TIDS = ["(0,1)", "(4294967295,65535)", "(1,2", "(1)", "( 5 , 6 )", "x"]
LSNS = ["0/0", "16/B374D848", "FFFFFFFF/FFFFFFFF", "G/0", "0", "123456789/0"]
VECTORS = ["", "1", "1 2 3", " 1  2 ", "a", "1 99999999999"]


def groups():
    yield ISO, "int2", NUMBERS
    yield ISO, "int4", NUMBERS
    yield ISO, "int8", NUMBERS
    yield ISO, "float4", FLOATS
    yield ISO, "float8", FLOATS
    for digits in [0, -3, -15, 3]:
        yield f"ISO, MDY;postgres;{digits};hex", "float8", ["0.1", "0.3333333333333333", "1e15", "123456789012345678", "1e-5", "100", "1.5", "0.30000000000000004", "2e-310"]
        yield f"ISO, MDY;postgres;{digits};hex", "float4", ["0.1", "0.33333334", "1e6", "123456789", "1e-5", "100", "1.5"]
    yield ISO, "numeric", NUMERICS
    yield ISO, "numeric(5,2)", ["1", "1.005", "999.994", "999.995", "-999.995", "NaN", "inf", "abc", "0.001", "1e2"]
    yield ISO, "numeric(3,5)", ["0.00999", "0.01", "0.000005"]
    yield ISO, "numeric(2,-3)", ["12345", "99499", "99500"]
    for t in ["text", "varchar", "bpchar", "varchar(3)", "char(3)"]:
        yield ISO, t, TEXTS
    yield ISO, "bool", BOOLS
    yield ISO, "bytea", BYTEAS
    yield "ISO, MDY;postgres;1;escape", "bytea", BYTEAS
    yield ISO, "uuid", UUIDS
    for style in ["ISO, MDY", "ISO, DMY", "ISO, YMD", "Postgres, MDY", "Postgres, DMY", "SQL, MDY", "SQL, DMY", "German, DMY"]:
        setting = f"{style};postgres;1;hex"
        yield setting, "date", DATES
        yield setting, "timestamp", STAMPS
        yield setting, "timestamptz", STAMPS
    yield ISO, "timestamp(2)", STAMPS[:12]
    yield ISO, "timestamptz(0)", STAMPS[:12]
    yield ISO, "time", TIMES
    yield ISO, "time(1)", TIMES[:6]
    yield ISO, "timetz", TIMETZS
    for style in ["postgres", "postgres_verbose", "sql_standard", "iso_8601"]:
        yield f"ISO, MDY;{style};1;hex", "interval", INTERVALS
    for t in ["interval year", "interval month", "interval day", "interval hour", "interval minute", "interval second", "interval year to month", "interval day to hour", "interval hour to minute", "interval minute to second", "interval day to second(1)", "interval(2)"]:
        yield ISO, t, ["10", "1-2", "1 2:03:04.567", "1 year 2 mons 3 days 4:05:06.789", "5:06", "-1.5"]
    yield ISO, "int4[]", ARRAYS
    yield ISO, "text[]", TEXT_ARRAYS
    yield ISO, "numeric(4,1)[]", ["{1.25,2}", "{12345}"]
    yield ISO, "varchar(2)[]", ["{ab,c}", "{abc}"]
    yield ISO, "bool[]", ["{t,f}", "{x}"]
    yield ISO, "timestamp[]", ["{2020-01-01 00:00,infinity}"]
    yield ISO, "bit(3)", BITS
    yield ISO, "varbit", BITS
    yield ISO, "varbit(4)", BITS
    yield ISO, "json", JSONS
    yield ISO, "jsonb", JSONS + JSONBS
    yield ISO, "jsonb[]", ['{"{\\"a\\":1}",null}', "{x}"]
    yield ISO, "inet", NETWORKS
    yield ISO, "cidr", NETWORKS
    yield ISO, "macaddr", MACS
    yield ISO, "money", MONEY
    yield ISO, "oid", OIDS
    yield ISO, "xid", OIDS
    yield ISO, "xid8", OIDS
    yield ISO, '"char"', CHARS
    yield ISO, "name", NAMES
    yield ISO, "tid", TIDS
    yield ISO, "pg_lsn", LSNS
    yield ISO, "int2vector", VECTORS
    yield ISO, "oidvector", VECTORS


UNSORTED = {"json", "xid"}

SETUP = """
set timezone = 'America/New_York';
create table pg_temp.answers(id int, ok bool, text text, bin text, value text);
create function pg_temp.try(id int, type text, value text) returns void language plpgsql as $$
declare t text; b text; send text; begin
  select typsend::regproc::text into send from pg_type where oid = (select atttypid from pg_attribute a join pg_class c on c.oid = a.attrelid where c.relname = 'probe' and c.relnamespace = pg_my_temp_schema() and attname = 'x');
  execute format('insert into probe values (%L) returning format(''%%s'', x)', value) into t;
  execute format('select encode(%s(x), ''hex'') from probe', send) into b;
  delete from probe;
  insert into answers values (id, true, t, b, value);
exception when others then
  insert into answers values (id, false, '!' || sqlstate || ' ' || sqlerrm, '', value);
end $$;
"""


def q(text):
    return "'" + text.replace("'", "''") + "'"


def main():
    script = [SETUP]
    rows = []
    for settings, type_name, values in groups():
        style, interval, digits, bytea = settings.split(";")
        script.append(f"set datestyle = '{style}'; set intervalstyle = '{interval}'; set extra_float_digits = {digits}; set bytea_output = '{bytea}';")
        script.append(f"drop table if exists probe; create temp table probe(x {type_name}); truncate answers; discard plans;")
        first = len(rows)
        for value in values:
            rows.append((settings, type_name, value))
            # A column's modifier applies as in an assignment: the literal is read with it.
            script.append(f"select pg_temp.try({len(rows) - 1}, {q(type_name)}, {q(value)});")
        bare = type_name
        script.append("select 'T', atttypid, atttypmod from pg_attribute where attrelid = 'probe'::regclass and attname = 'x';")
        if type_name not in UNSORTED and not type_name.startswith(("interval ", "interval(")) and settings == ISO:
            collate = ' collate "C"' if type_name in ("text", "varchar", "bpchar", "varchar(3)", "char(3)", "text[]", "varchar(2)[]", "name") else ""
            script.append(f"create temp table ranked as select id, ({q('')})::text as t, bin, ok, text, value from answers; alter table ranked add v {bare};"
                          f" update ranked set v = value::{bare} where ok; select 'R', id, bin, text, case when ok then dense_rank() over (order by ok desc, v{collate}) else 0 end from ranked order by id; drop table ranked;")
        else:
            script.append("select 'R', id, bin, text, 0 from answers order by id;")
    out = subprocess.run(["psql", "-XAtq", "-F", "\t", *sys.argv[1:]], input="\n".join(script), capture_output=True, text=True)
    sys.stderr.write(out.stderr[:3000])
    oid = typmod = None
    seen = 0
    for line in out.stdout.split("\n"):
        f = line.split("\t")
        if f[0] == "T":
            oid, typmod = f[1], f[2]
        elif f[0] == "R":
            settings, type_name, value = rows[int(f[1])]
            seen += 1
            escape = lambda s: s.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n")
            print(settings, type_name, oid, typmod, escape(value), escape(f[3]), f[2], f[4], sep="\t")
    assert seen == len(rows), (seen, len(rows))


main()
