-- Functions that take large values by pieces, by hashes or with growing precision give what PostgreSQL gives: across the ends of
-- pieces, with characters of several bytes, with NULLs and duplicates, and where rounding turns.

-- 1. Texts longer than a piece.
select length(s), octet_length(s), strpos(s, 'x'), strpos(s, 'é'), length(left(s, -3)), right(s, 3), substr(s, 65530, 10),
  md5(reverse(s)), md5(upper(repeat('ab c', 30000))), md5(initcap(repeat('ab c', 30000))), md5(lpad(s, 200000, 'äb')), md5(rpad(s, 200000, 'äb'))
  from (values (repeat('aé€😀', 20000) || 'x')) v(s);
select split_part(s, ',', 1), split_part(s, ',', 30000), split_part(s, ',', 30001), split_part(s, ',', -1), split_part(s, ',', -2),
  split_part(s, ',', -30000), split_part(s, ',', -30001), split_part(s, 'abc,', 3), length(split_part(s, ';', 1))
  from (values (repeat('abc,', 29999) || 'z')) v(s);
select cardinality(string_to_array(s, ',')), cardinality(string_to_array(s, null)), md5(array_to_string(string_to_array(s, ','), '#', '*')),
  (string_to_array(s, ',', 'abc'))[1:2], (select count(*) from string_to_table(s, ',')), (select max(t) from string_to_table(s, ',') t)
  from (values (repeat('abc,', 29999) || 'z')) v(s);
select string_to_array('', ','), string_to_array('a,b,', ','), string_to_array('a,b', ''), string_to_array('aé', null), string_to_array(null, ','),
  string_to_array(',', ','), string_to_array('xxaxxbxx', 'xx', 'a');
select t from string_to_table('a,,b', ',', '') t;
select btrim('xéaébxé', 'éx'), ltrim('  é a '), rtrim('aéé', 'é'), btrim('éé', 'é'), btrim('', 'a'), btrim('abc', ''), btrim('\x00010200'::bytea, '\x0002'::bytea);
select md5(btrim(repeat('ab', 100000) || 'c' || repeat('ba', 100000), 'ab')), length(btrim(repeat(' ', 100000)));
select quote_literal('a''b\c'), quote_literal(null), quote_nullable(null), quote_nullable('x'), quote_ident('a"b'), quote_ident('select'), quote_ident('abc'),
  quote_ident(''), quote_literal(42), md5(quote_literal(repeat('''\', 50000)));
select format('%s|%5s|%-5s|%%|%I|%L|%2$s|%1$s', 'é', 'b', 'c', 'D d', null), format('%*s|%-*s', 4, 'é', 4, 'x'), format('é%sé', '€'), format('%s', null);
select format('%');
select format('%5-s', 1);
select format('%y', 1);
select format('%1$', 1);
select overlay('aéb€c' placing 'XY' from 2 for 3), overlay('abc' placing 'é' from 2), replace('aéa', 'é', '€€'), replace('aaa', 'aa', 'b'), replace('abc', '', 'x'),
  translate('aéb', 'éb', 'x'), translate('aab', 'aa', 'xy'), repeat('é', 0), repeat('é', -1), repeat('ab', 3);
select position('é' in 'aé'), position('' in 'abc'), position('abc' in 'ab'), position('\x02'::bytea in '\x000102'::bytea);
select md5(replace(repeat('aé', 60000), 'éa', '-')), md5(translate(repeat('aé', 60000), 'é', 'e'));

-- 2. Bytes as text and back.
select encode('\x000102feff5c41'::bytea, 'hex'), encode('\x000102feff5c41'::bytea, 'base64'), encode('\x000102feff5c41'::bytea, 'escape');
select md5(encode(b, 'hex')), md5(encode(b, 'base64')), md5(encode(b, 'escape')), decode(encode(b, 'base64'), 'base64') = b,
  decode(encode(b, 'hex'), 'hex') = b, decode(encode(b, 'escape'), 'escape') = b, md5(reverse(b)), bit_count(b)
  from (select convert_to(repeat('aé\€', 30000), 'UTF8')) v(b);
select decode('6 1', 'hex');
select decode('61 62', 'hex'), decode(E'61\n62', 'hex'), decode('', 'hex'), decode('YQ==', 'base64'), decode(E'Y Q\n==', 'base64');
select decode('616', 'hex');
select decode('6é', 'hex');
select decode('YQé=', 'base64');
select decode('YQ', 'base64');
select decode('=', 'base64');
select decode('\9', 'escape');
select '\x6 1'::bytea;
select convert_from('\x61c3'::bytea, 'UTF8');
select convert_from('\x61ff62'::bytea, 'UTF8');
select length('\x61c3a9'::bytea, 'UTF8');

-- 3. Arrays: overlap and containment, large and small.
select a && b, a @> b, a <@ b, b && a, b @> a from (values
  (array(select generate_series(1, 3000)), array(select generate_series(3001, 6000))),
  (array(select generate_series(1, 3000)), array(select generate_series(3000, 6000))),
  (array(select generate_series(1, 3000)), array(select generate_series(2, 2999))),
  (array(select generate_series(1, 3000)), array(select generate_series(1, 3000) union all select null)),
  (array(select generate_series(1, 3000)) || null::int, array[null::int]),
  (array(select generate_series(1, 3000)), '{}'),
  (array(select g % 7 from generate_series(1, 3000) g), array[0, 6, 3, 3, 3]),
  (array_fill(null::int, array[100]), array_fill(null::int, array[100]))) v(a, b);
select a && b, a @> b, b @> a from (values
  (array(select (g || '.0')::numeric from generate_series(1, 100) g), array(select (g || '.000')::numeric from generate_series(100, 1, -1) g)),
  (array(select 'NaN'::numeric from generate_series(1, 40)), array(select 'NaN'::numeric from generate_series(1, 40)))) v(a, b);
select a && b, a @> b, b @> a from (values
  (array(select case g % 3 when 0 then '-0'::float8 when 1 then 'NaN' else g end from generate_series(1, 60) g),
   array(select case g % 2 when 0 then '0'::float8 else 'NaN' end from generate_series(1, 60) g))) v(a, b);
select a && b, a @> b, b @> a from (values
  (array(select (g || ' ')::char(6) from generate_series(1, 60) g), array(select g::char(6) from generate_series(1, 60) g))) v(a, b);
select a && b, a @> b, b @> a from (values
  (array(select jsonb_build_object('a', g::numeric) from generate_series(1, 60) g), array(select ('{"a":' || g || '.00}')::jsonb from generate_series(1, 60) g))) v(a, b);
select a && b, a @> b, b @> a from (values
  (array(select int4range(g, g + 5) from generate_series(1, 60) g), array(select int4range(g, g + 4, '[]') from generate_series(1, 60) g))) v(a, b);
select array_positions(a, 3), array_position(a, 3), array_position(a, 3, 4), array_positions(a, null), array_remove(a, 3), array_remove(a, null), array_replace(a, 3, 9),
  array_replace(a, null, 0), array_sort(a), array_sort(a, true), array_sort(a, false, true), array_reverse(a), trim_array(a, least(cardinality(a), 2)), a || 5, 5 || a, a[2:4], num_nulls(variadic a)
  from (values ('[0:5]={1,3,NULL,3,2,3}'::int[]), ('{}'), ('{3,3}')) v(a);
select md5(array_sort(array(select (g * 7919) % 20011 from generate_series(1, 20000) g))::text), md5(array_sort(array(select ((g * 7919) % 20011)::text from generate_series(1, 20000) g), true)::text);
select array_fill(7, array[2, 3]), array_fill(null::text, array[2]), array_fill(1, array[2], array[5]), array_fill(1, '{}'), (array_fill(1, array[100000]))[99999:];
select array(select generate_series(1, 100000)) = array(select generate_series(1, 100000)), array[1, 2] < array[1, 2, 3], array[1, null] = array[1, null], array[1, null] < array[1, 5],
  '[2:3]={1,2}'::int[] = '{1,2}'::int[], array[[1, 2]] = array[1, 2];

-- 4. Bit strings.
select b & ~b, b << 3, b >> 3, b << 100, b || b'101', substring(b from 3 for 5), overlay(b placing b'000' from 4), position(b'011' in b), position(b'111' in b), set_bit(b, 2, 1),
  position(b'' in b), get_bit(b, 10), bit_count(b) from (values (b'1001101100010')) v(b);
select position(repeat('10', 40)::varbit in (repeat('01', 300) || repeat('10', 50))::varbit), position((repeat('0', 29) || '1')::varbit in (repeat('0', 1000) || '1')::varbit),
  md5(((repeat('110', 1001)::varbit << 7) || (repeat('01', 777)::varbit >> 13))::text), (-3)::bit(70), 5::bit(2), (-1::bigint)::bit(80);

-- 5. Numbers.
select to_char(12.5, '999D99'), length(to_char(12.5, repeat('9', 70000))), md5(to_char(-12.5, repeat('9', 70000) || 'PR')), to_char(5, '9th'), to_char(112, '9999TH'), to_char(now()::timestamp, '"é"') ;
select sqrt(v), sqrt(v * v), length(sqrt(repeat('9', 20000)::numeric)::text), md5(sqrt(repeat('7', 30001)::numeric)::text), md5(sqrt(repeat('3', 5000)::numeric * repeat('3', 5000)::numeric)::text)
  from (values (1234567890123456789.0123456789)) t(v);
select ln(repeat('9', 60000)::numeric), log(repeat('9', 60000)::numeric), log(3, repeat('8', 50000)::numeric), md5(power(99999.99999, 2000)::text), md5((repeat('9', 9000)::numeric * repeat('8', 12000)::numeric)::text);
select md5('0x123456789abcdef0123456789abcdef0123456789abcdef'::numeric::text), '1e5'::numeric, '1e-5'::numeric, '1e1_0'::numeric;
select ('0x' || repeat('f', 200000))::numeric;
select ('1e' || repeat('9', 50))::numeric;
select ('1e-' || repeat('9', 50))::numeric;

-- 6. JSON.
select json_array_length(j), j -> 0, j -> -1, j -> 20000, j ->> 1, j -> 20001, j -> -20002 from (select ('[' || repeat('"aé\n",', 20000) || '{"b":[1,null]}]')::json) v(j);
select json_strip_nulls('{"a":null,"b":[1,null,{"c":null}],"d":{"e":null}}'), json_strip_nulls('[null,{"a":null}]', true), json_strip_nulls(' [ 1 , 2 ] ');
select json_extract_path('{"a":[1,{"b":2}]}', 'a', '1', 'b'), json_extract_path_text('{"a":[1,{"b":"x\u00e9"}]}', 'a', '-1', 'b'), json_extract_path('[1]', 'x'), '{"a":1,"a":2}'::json -> 'a';
select key, value from json_each('{"a":1,"b":{"c":[2]},"a":"é"}');
select json_object_keys('{"a":1,"b":2}'), json_array_elements_text('["a\"b",null,{"c": 1}]');
select md5(to_json(repeat(E'a"\\é\n', 30000))::text), md5(to_jsonb(repeat(E'a"\\é\n', 30000))::text), md5(row_to_json(row(repeat('"', 100000)))::text), md5(row(repeat('a "', 50000))::text);
select (repeat(' ', 100000) || '[1' || repeat(' ', 100000) || ',2]')::json ->> 1, ('[' || repeat('7', 100) || ']')::json -> 0;
select '[1, 2'::json;
select ('["' || repeat('é', 70000) || '\q"]')::json is null;

-- 7. Patterns.
select s like '%c%', s like 'ab%ab', s like '%b_b%', s like '%b__b%', s like '%é', s ilike '%BAB%', s similar to '(ab)+', s ~ 'b{3}', s ~ '(ab)+$', regexp_count(s, 'ba'),
  length(regexp_replace(s, 'b', 'é', 'g')), length(regexp_replace(s, '(a)(b)', '[\2\1\&\\]', 'g')), cardinality(regexp_split_to_array(s, 'b')), regexp_instr(s, 'ba', 1, 100)
  from (values (repeat('ab', 40000))) v(s);
select regexp_replace('aéb', 'é', 'x\y\'), regexp_match('foobarbequebaz', '(bar)(beque)'), regexp_substr('aéééb', 'é+'), regexp_instr('aéb', 'b'), substring('aéb' from 'é(.)');
select 'a' ~ '\w{20}', repeat('ab', 15) ~ '^\w{30}$', 'abc' ~ '[[:alpha:]]{1,60}x', repeat('x', 50) ~ '^[[:alpha:]]{1,60}$';
