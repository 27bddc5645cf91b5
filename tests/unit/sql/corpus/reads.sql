SELECT 1
SELECT abalance FROM pgbench_accounts WHERE aid = $1
SELECT c FROM sbtest1 WHERE id BETWEEN $1 AND $2 ORDER BY c
SELECT DISTINCT c FROM sbtest1 WHERE id BETWEEN 1 AND 100 ORDER BY c
SELECT u.id, u.name FROM users u WHERE u.email = 'x' LIMIT 10 OFFSET 5
SELECT "django_session"."session_key", "django_session"."session_data" FROM "django_session" WHERE ("django_session"."expire_date" > '2020-01-01T00:00:00'::timestamptz AND "django_session"."session_key" = 'abc') LIMIT 21
SELECT COUNT(*) AS "__count" FROM "auth_user" WHERE UPPER("auth_user"."username"::text) LIKE UPPER('%x%')
SELECT (1) AS "a" FROM "t" WHERE "t"."id" = 1 LIMIT 1
SELECT a, b FROM t WHERE (a, b) IN ((1, 2), (3, 4))
SELECT a FROM t WHERE a = ANY($1::int[])
SELECT a FROM t WHERE a = ANY(ARRAY[1,2,3])
SELECT a FROM t WHERE NOT (a IS NULL) AND b IS NOT NULL AND c IS TRUE AND d IS NOT FALSE AND e IS UNKNOWN
SELECT a FROM t WHERE a IS DISTINCT FROM b OR a IS NOT DISTINCT FROM c
SELECT a FROM t WHERE b ILIKE '%x%' AND c NOT LIKE 'x' ESCAPE '!' AND d SIMILAR TO 'x' AND e ~ 'x' AND f !~* 'y'
SELECT CASE WHEN a > 1 THEN 'x' WHEN a < 0 THEN 'y' ELSE 'z' END, CASE a WHEN 1 THEN 2 END FROM t
SELECT COALESCE(a, b, 0), NULLIF(a, b), GREATEST(a, b), LEAST(a, b) FROM t
SELECT count(*), count(DISTINCT a), sum(b), avg(c), min(d), max(e), array_agg(f ORDER BY g DESC NULLS LAST), string_agg(h, ',' ORDER BY i) FROM t GROUP BY j HAVING count(*) > 1
SELECT a, row_number() OVER (PARTITION BY b ORDER BY c DESC), rank() OVER w, lag(a, 1) OVER (ORDER BY b ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) FROM t WINDOW w AS (PARTITION BY d)
SELECT first_value(a) OVER (ORDER BY b RANGE BETWEEN 1 PRECEDING AND 1 FOLLOWING EXCLUDE TIES) FROM t
SELECT * FROM a JOIN b ON a.id = b.id LEFT JOIN c USING (id) RIGHT OUTER JOIN d ON true FULL JOIN e ON false CROSS JOIN f NATURAL JOIN g
SELECT * FROM a, b, c WHERE a.x = b.x
SELECT * FROM (SELECT * FROM t) AS q WHERE EXISTS (SELECT 1 FROM u WHERE u.id = q.id)
SELECT (SELECT max(x) FROM u WHERE u.id = t.id) FROM t
WITH a AS (SELECT 1 AS x), b AS (SELECT * FROM a) SELECT * FROM b
WITH a(x, y) AS MATERIALIZED (SELECT 1, 2) SELECT * FROM a
WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 10) SELECT sum(n) FROM r
SELECT 1 UNION SELECT 2 UNION ALL SELECT 3 INTERSECT SELECT 4 EXCEPT SELECT 5 ORDER BY 1 LIMIT 3
(SELECT 1 LIMIT 1) UNION ALL (SELECT 2 LIMIT 1)
VALUES (1, 'a'), (2, 'b')
SELECT * FROM (VALUES (1, 'a'), (2, 'b')) AS v(x, y)
TABLE t
SELECT a::int, b::varchar(10), c::numeric(10, 2), d::text[], e::timestamp with time zone, f::double precision, CAST(g AS bigint), h::jsonb FROM t
SELECT date '2020-01-01', timestamp '2020-01-01 00:00', interval '1 day', timestamptz '2020-01-01'
SELECT now() - interval '1 day', current_date, current_timestamp, CURRENT_USER, localtimestamp
SELECT extract(epoch FROM a), date_trunc('day', b), date_part('hour', c), age(d), to_char(e, 'YYYY'), a AT TIME ZONE 'UTC' FROM t
SELECT substring(a FROM 1 FOR 2), substring(a, 1, 2), position('x' IN a), trim(BOTH 'x' FROM a), trim(a), overlay(a PLACING 'x' FROM 1 FOR 2), upper(a), lower(b), length(c), left(d, 2), right(e, 3), replace(f, 'a', 'b'), split_part(g, ',', 1), lpad(h, 5, '0'), concat(i, j), a || b, md5(k), initcap(a), reverse(b), strpos(a,b), translate(a,b,c), repeat(a,2), format('%s', x), concat_ws(',', a, b), regexp_replace(a, 'b', 'c'), regexp_matches(a, 'b') FROM t
SELECT abs(a), round(b, 2), ceil(c), floor(d), power(e, 2), sqrt(f), mod(g, 2), a % 2, a ^ 2, ln(a), log(b), exp(c), sign(d), trunc(e), random(), greatest(1,2), width_bucket(a,1,2,3), div(a,b) FROM t
SELECT a -> 'b' ->> 'c', a #> '{x}', a #>> '{y}', a @> '{}', a <@ '{}', a ? 'k', a ?| array['k'], a ?& array['k'] FROM t
SELECT jsonb_build_object('a', b), jsonb_agg(c), json_agg(t), row_to_json(t), to_jsonb(t), jsonb_array_elements(d), json_build_array(1,2), jsonb_set(a, '{b}', c), jsonb_path_query(a, '$.x'), json_object_agg(a, b) FROM t
SELECT a[1], a[1:2], b[2][3], array_length(c, 1), unnest(d), array_append(e, 1), cardinality(f), array_to_string(g, ','), ARRAY[[1,2],[3,4]], ARRAY(SELECT id FROM u) FROM t
SELECT ROW(1, 2), (t.c).f, t.*, (t).* FROM t
SELECT DISTINCT ON (a, b) a, b, c FROM t ORDER BY a, b, c DESC
SELECT a, sum(b) FROM t GROUP BY ROLLUP (a), CUBE (b, c), GROUPING SETS ((a), (b), ())
SELECT a FROM t GROUP BY a, 2 ORDER BY 1 NULLS FIRST FETCH FIRST 5 ROWS ONLY
SELECT a FROM t ORDER BY a OFFSET 10 ROWS FETCH NEXT 5 ROWS ONLY
SELECT * FROM generate_series(1, 10) AS g(i)
SELECT * FROM generate_series('2020-01-01'::timestamp, '2020-02-01', '1 day') d
SELECT * FROM unnest(ARRAY[1,2]) WITH ORDINALITY AS u(x, n)
SELECT * FROM t, LATERAL (SELECT * FROM u WHERE u.id = t.id LIMIT 1) x
SELECT * FROM t LEFT JOIN LATERAL jsonb_array_elements(t.a) AS e ON true
SELECT * FROM json_to_recordset('[]') AS x(a int, b text)
SELECT count(*) FILTER (WHERE a > 1), percentile_cont(0.5) WITHIN GROUP (ORDER BY b), mode() WITHIN GROUP (ORDER BY c) FROM t
SELECT a FROM t TABLESAMPLE SYSTEM (10)
SELECT * FROM ONLY t
SELECT a COLLATE "C" FROM t ORDER BY a COLLATE "de_DE"
SELECT a FROM s.t AS x WHERE x.b = s.f(x.c)
SELECT myfunc(a, b => 1, c := 2) FROM t
SELECT f(VARIADIC ARRAY[1,2]) FROM t
SELECT -a, +b, ~c, NOT d, @ e, |/ f, a & b, a | b, a # b, a << 1, a >> 1 FROM t
SELECT a && b, a <-> b, a @@ to_tsquery('x'), ts_rank(b, plainto_tsquery('y')) FROM t ORDER BY a <-> 'point' LIMIT 5
SELECT a BETWEEN SYMMETRIC 1 AND 2, a NOT BETWEEN 1 AND 2, a NOT IN (1, 2) FROM t
SELECT a OPERATOR(pg_catalog.+) b FROM t
SELECT (a, b) = (1, 2), (a, b) < (c, d), (a, b) OVERLAPS (c, d) FROM t
SELECT true, false, null, 1.5e10, .5, 'x', E'x', B'101'
SELECT "select"."from" FROM "select"
SELECT a AS "Weird Name", b AS select FROM t
SELECT x.a FROM t x INNER JOIN u y ON (x.id = y.tid AND y.k = 1) WHERE x.b > ALL (SELECT c FROM v) AND x.c < SOME (SELECT d FROM w)
SELECT ST_Distance(a, ST_MakePoint(1, 2)::geography), ST_DWithin(b, c, 100) FROM places
SELECT similarity(a, 'x'), word_similarity('x', a), a % 'x' FROM t ORDER BY similarity(a, 'x') DESC
SELECT a FROM t WHERE b @> ARRAY['x']::text[] AND c = '{}'::jsonb
SELECT make_interval(days => 3), make_date(2020, 1, 1), to_timestamp(0), to_date('x', 'y'), justify_days(interval '1 day')
SELECT bool_and(a), bool_or(b), every(c), stddev(d), variance(e), corr(f, g), regr_slope(a, b), bit_and(c) FROM t
SELECT ntile(4) OVER (ORDER BY a), dense_rank() OVER (), nth_value(b, 2) OVER (ORDER BY c), cume_dist() OVER (ORDER BY d), lead(a) OVER (ORDER BY b) FROM t
SELECT a FROM t WHERE created_at >= now() - interval '7 days' AND created_at < date_trunc('month', now()) + interval '1 month'
SELECT t.a FROM public.t WHERE t.b = 1 AND (t.c ->> 'x')::int > 5
SELECT encode(a, 'hex'), decode('00', 'hex'), sha256(b), octet_length(c), chr(65), ascii('a'), to_hex(255), quote_literal(a), crc32(a) FROM t
SELECT array_agg(DISTINCT a ORDER BY a) FROM t
SELECT sum(a) OVER (PARTITION BY b ORDER BY c ROWS 2 PRECEDING) FROM t
SELECT * FROM t WHERE a::date = '2020-01-01'::date AND b = '10:00'::time
SELECT * FROM crosstab('select 1') AS ct(a int, b int)
SELECT 1 FROM t FETCH FIRST ROW ONLY
SELECT a FROM t FETCH FIRST 5 ROWS WITH TIES
SELECT lower(a) = lower($1), a = lower($2) FROM t
SELECT a.b.c FROM a.b
SELECT EXISTS(SELECT 1 FROM t WHERE a = 1), NOT EXISTS (SELECT 2 FROM u)
SELECT a FROM t WHERE (a = 1 OR b = 2) AND NOT (c = 3)
SELECT a, b FROM t WHERE a IN (SELECT b FROM u UNION SELECT c FROM v)
SELECT interval '1' day, interval '1 day' * 3, a + interval '1 month' FROM t
SELECT timezone('UTC', a), a AT TIME ZONE b FROM t
SELECT setweight(to_tsvector('english', a), 'A') @@ to_tsquery('x'), ts_headline(a, to_tsquery('y')) FROM t
SELECT lower(r), upper(r), r @> 1, isempty(r), int4range(1, 10), tstzrange(a, b, '[)') FROM t
SELECT inet '1.2.3.4', a::inet << '1.0.0.0/8', host(b), point(1,2), box(a) FROM t
SELECT grouping(a), sum(b) FROM t GROUP BY GROUPING SETS (a, ())
SELECT a FROM t WHERE b LIKE ANY (ARRAY['x', 'y']) AND c <> ALL ('{1,2}')
SELECT bit_length(a), b'10' & c, x'ff' FROM t
SELECT normalize(a, NFC), a IS NORMALIZED FROM t
SELECT * FROM t1 a JOIN (t2 b JOIN t3 c ON b.id = c.id) ON a.id = b.id
SELECT * FROM ((SELECT 1) UNION (SELECT 2)) q
SELECT ((SELECT 1)), ((1 + 2) * 3)
SELECT count(*) FROM (SELECT DISTINCT a FROM t) x
SELECT a FROM t LIMIT ALL
SELECT a FROM t LIMIT (SELECT 5) OFFSET $1
SELECT user, session_user
SELECT * FROM t AS a (x, y) JOIN u AS b (z) ON x = z
SELECT json_build_object('a', (SELECT json_agg(q) FROM (SELECT * FROM u) q)) FROM t
SELECT a FROM t WHERE a > $1 AND ($2::text IS NULL OR b = $2)
SELECT name, year, month, day, time, date, value, key, type, status, position, level, count FROM t
SELECT t.time, t.user, t.order, t.group FROM t
