import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createPostgresAnalyzer } from '../../src/analysis/sql/postgres/index.js'
import { outputSources, type SqlAnalyzer, type SqlSessionState } from '../../src/core/index.js'
import { type PostgresServer, startPostgres } from '../support/postgres.js'

const SCHEMA = `
  CREATE TABLE customers (id int PRIMARY KEY, name text, ssn text, boss int, doc jsonb, "Odd ""name" text);
  CREATE TABLE orders (id int PRIMARY KEY, customer_id int, total numeric, twice numeric GENERATED ALWAYS AS (total * 2) STORED);
  CREATE TABLE counters (n int);
  CREATE SEQUENCE seq;
  CREATE VIEW people AS SELECT id, name, ssn FROM customers;
  CREATE TYPE mood AS ENUM ('sad', 'ok');
  CREATE FUNCTION sneaky(int) RETURNS int LANGUAGE sql AS 'INSERT INTO counters VALUES ($1) RETURNING n';
  CREATE FUNCTION sneaky_pl(int, int) RETURNS int LANGUAGE plpgsql AS
    'BEGIN INSERT INTO counters VALUES ($1); RETURN $2; END';
  CREATE OPERATOR +!+ (leftarg = int, rightarg = int, function = sneaky_pl);
  CREATE MATERIALIZED VIEW mat AS SELECT 1 AS a;
  INSERT INTO customers SELECT g, 'name ' || g, '123-45-' || g, g - 1, '{"a": 1}', 'odd' FROM generate_series(1, 5) g;
  INSERT INTO orders (id, customer_id, total) SELECT g, g, g FROM generate_series(1, 5) g;
`

/** Statements that change nothing, and that had better be judged so. */
const READS = [
  'select 1',
  'select * from customers',
  'table customers',
  'values (1, 2), (3, 4)',
  'select id, ssn as x from customers c where c.id = 1',
  'select c.*, o.total from customers c join orders o on o.customer_id = c.id',
  'select * from customers join orders using (id)',
  'select * from customers natural join orders',
  'select id from customers left join orders using (id)',
  'select o.*, c.ssn, c.* from orders o, customers c',
  'select x.* from (select id, ssn from customers) x',
  'select x.a, x.b from (select id, ssn from customers) x (a, b)',
  'select * from (select * from customers) x (a, b)',
  'with x as (select ssn, id from customers) select id, ssn from x',
  'with recursive r as (select id, boss from customers where id = 1 union all select c.id, c.boss from customers c join r on c.boss = r.id) select * from r',
  'select ssn from customers union select name from customers',
  'select * from customers union all select * from customers order by id limit 2',
  'select count(*) from customers',
  "select name, count(*), string_agg(ssn, ',') from customers group by name having count(*) > 0 order by 1",
  'select row_to_json(c) from customers c',
  'select c from customers c',
  'select c::text from customers c',
  'select (c).ssn from customers c',
  'select (c).* from customers c',
  'select c.row_to_json from customers c',
  'select id, (select max(total) from orders o where o.customer_id = c.id) from customers c',
  'select id from customers where exists (select 1 from orders where customer_id = customers.id)',
  'select z.ssn from orders o, lateral (select ssn from customers where id = o.customer_id) z',
  'select rank() over (partition by name order by ssn), lag(ssn) over w from customers window w as (order by id)',
  'select case when id > 1 then ssn else name end from customers',
  "select doc ->> 'a', doc @> '{\"a\": 1}', doc #>> array['a'] from customers",
  'select g from generate_series(1, 3) g',
  'select * from unnest(array(select ssn from customers)) with ordinality as u (v, n)',
  'select * from customers tablesample bernoulli (50)',
  'select random() >= 0, clock_timestamp() is null, gen_random_uuid() is null, now() is null, timeofday() is null',
  'select upper(name) || lower(ssn), md5(ssn), substr(ssn, 1, 3), coalesce(name, ssn), nullif(name, ssn), greatest(name, ssn) from customers',
  "select extract(year from now()), now() at time zone 'utc', cast('1' as int), date '2020-01-01', interval '1 day'",
  "select name like 'a%', name ~ 'x', name similar to 'b', id between 1 and 2, id in (1, 2), id = any (array[1]) from customers",
  "select current_user, session_user, current_date, current_schema, current_setting('work_mem'), version() is null",
  'select people.ssn from people',
  'select public.customers.ssn from public.customers',
  'select * from only customers',
  'select relname from pg_class limit 1',
  'select table_name from information_schema.tables limit 1',
  "select pg_get_viewdef('people'::regclass), pg_table_size('customers')",
  'select xmlforest(name, ssn), xmlelement(name x, ssn) from customers',
  "select json_build_object('a', ssn), jsonb_agg(c), to_jsonb(c) from customers c group by c, ssn",
  'select distinct on (name) name, ssn from customers order by name, id',
  'select id, sum(total) from orders group by grouping sets ((id), ())',
  'select a.id, b.ssn from (customers a cross join orders o) join customers b on b.id = a.id',
  'select j.ssn from (customers join orders using (id)) j',
  'select k.id from customers join orders using (id) as k',
  'explain select * from customers',
  'explain delete from customers',
  'explain (format json, costs off) update customers set ssn = null',
  'explain analyze select count(*) from customers',
  'show work_mem',
  'show all',
  'select pg_typeof(c), num_nulls(name, ssn) from customers c',
  'select * from customers order by id fetch first 2 rows only',
  "select to_tsvector(name) @@ to_tsquery('a') from customers",
  'select oid::regclass from pg_class limit 1',
  'select * from json_to_recordset(\'[{"a": 1}]\') as x (a int)',
  "select * from xmltable('/a' passing xml '<a/>' columns b text)",
  'select * from rows from (generate_series(1, 2), generate_series(1, 3)) as f (a, b)',
]

/** Statements that write, lock, notify or run unseen code. */
const OTHERS = [
  'insert into counters values (1)',
  'insert into customers (id, name) select id + 10, ssn from customers returning id, name as n, *',
  'insert into customers (id) values (1) on conflict (id) do update set name = excluded.name returning customers.ssn',
  'update customers set name = ssn returning id, name, ssn as s',
  'update customers c set name = o.total::text from orders o where o.customer_id = c.id returning c.*, o.total',
  'delete from orders using customers c where c.id = orders.customer_id returning orders.*, c.ssn',
  'merge into orders o using customers c on o.id = c.id when matched then update set total = 0 when not matched then insert (id) values (c.id)',
  'with d as (delete from orders returning id, total) select * from d',
  'with i as (insert into counters values (1)) select 1',
  'select * from customers for update',
  'select * from customers for share',
  'select * from (select * from customers for key share) x',
  "select nextval('seq')",
  "select setval('seq', 5)",
  'select sneaky(1)',
  'select 1 +!+ 2',
  'select * from sneaky(2)',
  'select id from customers order by sneaky(3) limit 1',
  'select count(*) filter (where sneaky(1) > 0) from customers',
  "select query_to_xml('select ssn from customers', true, true, '')",
  'select txid_current()',
  'select pg_current_xact_id()',
  'select lo_create(0)',
  "select lo_from_bytea(0, 'x')",
  "select pg_notify('a', 'b')",
  "select set_config('work_mem', '1MB', true)",
  'select pg_advisory_xact_lock(1)',
  "select pg_logical_emit_message(true, 'a', 'b')",
  'select pg_stat_reset()',
  'explain analyze insert into counters values (1)',
  'explain (analyze, timing off) select sneaky(1)',
  'explain select sneaky(1)',
  'prepare p1 as insert into counters values (1)',
  'declare c1 cursor for select * from customers for update',
  'create table t2 as select * from customers',
  'select * into t3 from customers',
  'create temp table t4 (a int)',
  'create view v2 as select ssn from customers',
  'create index on customers (name)',
  'alter table customers add column extra int default 1',
  'drop view people',
  'truncate counters',
  'refresh materialized view mat',
  "comment on table customers is 'x'",
  'grant select on customers to public',
  'do $$ begin insert into counters values (1); end $$',
  'lock table customers in access exclusive mode',
  "notify a, 'b'",
  'listen a',
  "update pg_settings set setting = '2MB' where name = 'work_mem'",
  "set local work_mem = '1MB'",
  "create function f2() returns int language sql as 'select 1'",
  'analyze customers',
  'execute missing',
]

let server: PostgresServer | undefined
let client: pg.Client
let analyzer: SqlAnalyzer
let state: SqlSessionState

beforeAll(async () => {
  analyzer = await createPostgresAnalyzer()
  server = await startPostgres({ databases: ['facts'], sql: SCHEMA })
  client = new pg.Client({ host: server.socketDir, port: server.port, user: server.user, database: 'facts' })
  await client.connect()
  const version = await client.query('show server_version')
  state = {
    standardConformingStrings: true,
    clientEncoding: 'UTF8',
    serverVersion: String(version.rows[0]?.server_version),
  }
})

afterAll(async () => {
  await client?.end()
  await server?.stop()
})

interface Evidence {
  readonly fields: readonly pg.FieldDef[]
  readonly error?: string
  readonly assignedTransactionId: boolean
  readonly tuplesWritten: number
}

const WRITTEN = 'select coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0)::int as n from pg_stat_xact_all_tables'

/** Runs a statement in a transaction that is taken back, and asks the server what it did. */
async function run(sql: string, options: { readonly readOnly: boolean }): Promise<Evidence> {
  await client.query(options.readOnly ? 'begin read only' : 'begin')
  try {
    const before = Number((await client.query(WRITTEN)).rows[0]?.n)
    const result = await client.query(sql)
    const after = Number((await client.query(WRITTEN)).rows[0]?.n)
    const xid = (await client.query('select txid_current_if_assigned() is not null as x')).rows[0]?.x === true
    return { fields: result.fields, assignedTransactionId: xid, tuplesWritten: after - before }
  } catch (error) {
    const code = error instanceof pg.DatabaseError ? String(error.code) : String(error)
    return { fields: [], error: code, assignedTransactionId: false, tuplesWritten: 0 }
  } finally {
    await client.query('rollback')
  }
}

const READ_ONLY_TRANSACTION = '25006'

describe('facts against what the server really does', () => {
  it.each(READS)('is a read for both: %s', async (sql) => {
    const facts = analyzer.analyze(sql, state)
    const evidence = await run(sql, { readOnly: false })
    expect(evidence.error).toBeUndefined()
    expect(evidence).toMatchObject({ assignedTransactionId: false, tuplesWritten: 0 })
    expect((await run(sql, { readOnly: true })).error).toBeUndefined()
    expect(facts).toMatchObject({ class: 'read', certainty: 'exact', mayChangeSession: false })
  })

  it.each(OTHERS)('SQL-28 is never a read: %s', async (sql) => {
    const facts = analyzer.analyze(sql, state)
    expect(facts.certainty).not.toBe('unparsed')
    expect(facts.class).not.toBe('read')
    const evidence = await run(sql, { readOnly: true })
    // The list itself is checked: whatever the server calls a write is here, and nothing misspelt.
    expect([undefined, READ_ONLY_TRANSACTION, '26000', '25001']).toContain(evidence.error)
  })

  it.each([...READS, ...OTHERS])('MASK-10 names the origin that the server reports: %s', async (sql) => {
    const { fields } = await run(sql, { readOnly: false })
    const statement = analyzer.analyze(sql, state).statements[0]
    const origins = fields.map((field) => `${field.tableID}.${field.columnID}`)
    for (const [index, field] of fields.entries()) {
      if (field.tableID === 0) continue
      const sources = outputSources(statement?.output, index, fields.length, field.name)
      if (sources === 'unknown') continue
      const origin = await client.query(
        'select relname, attname from pg_class c join pg_attribute a on attrelid = c.oid where c.oid = $1 and attnum = $2',
        [field.tableID, field.columnID],
      )
      // Attribute 0 is the whole row.
      const { relname, attname } = origin.rows[0] ?? { relname: 'customers', attname: '*' }
      const named = sources.some(
        (source) =>
          (source.table === undefined || source.table === relname) &&
          (source.column === '*' || source.column === attname),
      )
      expect(named, `${relname}.${attname} of ${origins.join()} in ${JSON.stringify(sources)}`).toBe(true)
    }
  })
})

describe('COPY and the statement that describes it', () => {
  it.each([
    'copy customers (ssn, id) to stdout (format csv, header)',
    'copy public.customers ("Odd ""name", doc) to stdout (format csv, header)',
    'copy (select id as "a b", ssn from customers where name <> \')\' /* ) */) to stdout (format csv, header)',
    'copy /* ( */ (values (1, 2)) to stdout with csv header',
    'copy (with x as (select * from orders) select * from x) to stdout (header, format csv)',
    'copy customers to stdout (format csv, header true)',
    'copy (delete from orders returning id, total) to stdout (format csv, header)',
  ])('agree on the columns: %s', async (sql) => {
    const copy = analyzer.analyze(sql, state).statements[0]?.copy
    expect(copy).toMatchObject({ direction: 'to', endpoint: 'client', format: 'csv', header: true })
    const file = join(server?.dataDir ?? '', 'copied')
    const toFile = sql.replace('to stdout', `to '${file}'`)
    expect(analyzer.analyze(toFile, state)).toMatchObject({ touchesFiles: true, class: 'admin' })
    await client.query('begin')
    await client.query(toFile)
    const described = await client.query(copy?.describeText ?? '')
    await client.query('rollback')
    const header = readFileSync(file, 'utf8').split('\n')[0]
    const quoted = described.fields.map(({ name }) => (/["\n]/.test(name) ? `"${name.replaceAll('"', '""')}"` : name))
    expect(header).toBe(quoted.join(','))
  })
})
