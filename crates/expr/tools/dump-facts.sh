#!/bin/sh
# Writes data/*.tsv from a running PostgreSQL: the facts of pg_proc, pg_operator, pg_cast, pg_aggregate and the
# operator classes of B-tree and hash indexes. Usage: tools/dump-facts.sh <psql options>, for instance -h /tmp -p 5432.
set -eu
cd "$(dirname "$0")/../data"
clean() { printf "replace(replace(replace(coalesce(%s,''),E'\\\\t',' '),E'\\\\n',' '),E'\\\\r',' ')" "$1"; }
run() { psql "$@" -X -q -At -F "$(printf '\t')" -d postgres; }
run "$@" > pg_proc.tsv <<SQL
select p.oid::int8, proname, prokind, l.lanname, proisstrict, proretset, provolatile, proparallel, proleakproof,
  prosecdef, pronargdefaults, prorettype::int8, array_to_string(proargtypes::int8[], ' '),
  array_to_string(proallargtypes::int8[], ' '), array_to_string(proargmodes, ''), array_to_string(proargnames, ' '),
  $(clean "pg_get_expr(proargdefaults, 0)"), provariadic::int8, prosupport, procost, prorows,
  case when l.lanname = 'internal' then prosrc else '' end
from pg_proc p join pg_language l on l.oid = prolang where pronamespace = 11 order by p.oid;
SQL
run "$@" > pg_operator.tsv <<SQL
select oid::int8, oprname, oprkind, oprcanmerge, oprcanhash, oprleft::int8, oprright::int8, oprresult::int8,
  oprcom::int8, oprnegate::int8, oprcode::oid::int8, oprrest, oprjoin
from pg_operator where oprnamespace = 11 order by oid;
SQL
run "$@" > pg_cast.tsv <<SQL
select oid::int8, castsource::int8, casttarget::int8, castfunc::int8, castcontext, castmethod
from pg_cast where oid < 16384 order by oid;
SQL
run "$@" > pg_aggregate.tsv <<SQL
select aggfnoid::oid::int8, aggkind, aggnumdirectargs, aggtransfn::oid::int8, aggfinalfn::oid::int8,
  aggcombinefn::oid::int8, aggserialfn::oid::int8, aggdeserialfn::oid::int8, aggmtransfn::oid::int8,
  aggminvtransfn::oid::int8, aggmfinalfn::oid::int8, aggfinalextra, aggmfinalextra, aggfinalmodify, aggmfinalmodify,
  aggsortop::int8, aggtranstype::int8, aggtransspace, aggmtranstype::int8, aggmtransspace,
  agginitval, aggminitval
from pg_aggregate where aggfnoid::oid < 16384 order by 1;
SQL
run "$@" > pg_opclass.tsv <<SQL
select c.oid::int8, m.amname, c.opcname, c.opcfamily::int8, f.opfname, c.opcintype::int8, c.opcdefault, c.opckeytype::int8
from pg_opclass c join pg_am m on m.oid = c.opcmethod join pg_opfamily f on f.oid = c.opcfamily
where c.oid < 16384 order by c.oid;
SQL
run "$@" > pg_amop.tsv <<SQL
select a.oid::int8, m.amname, amopfamily::int8, amoplefttype::int8, amoprighttype::int8, amopstrategy, amoppurpose,
  amopopr::int8, amopsortfamily::int8
from pg_amop a join pg_am m on m.oid = amopmethod where a.oid < 16384 order by a.oid;
SQL
run "$@" > pg_amproc.tsv <<SQL
select a.oid::int8, amprocfamily::int8, amproclefttype::int8, amprocrighttype::int8, amprocnum, amproc::oid::int8
from pg_amproc a where a.oid < 16384 order by a.oid;
SQL
