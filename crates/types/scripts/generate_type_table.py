#!/usr/bin/env python3
"""Writes src/type_table.rs from the pg_type of a reference server.

usage: generate_type_table.py PSQL_ARGUMENTS... > src/type_table.rs
"""
import subprocess
import sys

QUERY = """
select oid, typname, typlen, typbyval, typtype, typcategory, typispreferred, typdelim, typelem, typarray,
       typinput::oid, typinput, typoutput::oid, typoutput, typreceive::oid, typreceive, typsend::oid, typsend,
       typmodin::oid, typmodin, typmodout::oid, typmodout, typanalyze::oid, typanalyze,
       typsubscript::oid, typsubscript, typalign, typstorage, typcollation
from pg_type
where typnamespace = 'pg_catalog'::regnamespace and typrelid = 0
  and typelem not in (select oid from pg_type where typrelid <> 0)
order by oid
"""


def main():
    rows = subprocess.run(
        ["psql", "-XAtq", "-F", "\t", *sys.argv[1:], "-c", QUERY], check=True, capture_output=True, text=True
    ).stdout.splitlines()
    print("//! The built-in rows of `pg_type`; written by `scripts/generate_type_table.py`.\n")
    print("use ochre_base::Oid;\n")
    print("use crate::TypeInfo;\n")
    print("#[rustfmt::skip]")
    print(f"pub(crate) static TYPES: [TypeInfo; {len(rows)}] = [")
    for row in rows:
        f = row.split("\t")
        b = lambda x: "true" if x == "t" else "false"
        fn = lambda i: f"({f[i]}, \"{'' if f[i + 1] == '-' else f[i + 1]}\")"
        print(
            f'    TypeInfo {{ oid: Oid({f[0]}), name: "{f[1]}", length: {f[2]}, by_value: {b(f[3])}, kind: b\'{f[4]}\', '
            f"category: b'{f[5]}', preferred: {b(f[6])}, delimiter: b'{f[7]}', element: Oid({f[8]}), array: Oid({f[9]}), "
            f"input: {fn(10)}, output: {fn(12)}, receive: {fn(14)}, send: {fn(16)}, "
            f"typmod_in: {fn(18)}, typmod_out: {fn(20)}, analyze: {fn(22)}, subscript: {fn(24)}, "
            f"align: b'{f[26]}', storage: b'{f[27]}', collation: Oid({f[28]}) }},"
        )
    print("];")


main()
