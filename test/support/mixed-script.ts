import * as m from '../../src/protocols/postgres/messages.js'
import { bindRaw, parseTyped, type RawBind } from './raw-client.js'
import { execute, frame, int16, int32 } from './wire.js'

/** Something to say, and the messages to wait for before the next is said. */
export interface Step {
  readonly name: string
  readonly send: Buffer
  /** Types of messages to wait for, one after the other. */
  readonly until: string
}

/** What the script finds. Persistent, so that both runs see the same OIDs. */
export const MIXED_SCHEMA = `
  create table item (id int primary key, name text, price numeric(10, 2), tags text[], data jsonb, raw bytea,
    made timestamptz default '2024-05-06 07:08:09.123456+00', ok boolean, parent int references item deferrable);
  create table note (id serial primary key, body text not null check (body <> 'bad'), item int references item (id) deferrable initially deferred);
  create table wide (${Array.from({ length: 300 }, (_, i) => `c${i} int default ${i}`).join(', ')});
  insert into wide default values;
  insert into item (id, name, price, tags, data, raw, ok)
    select n, 'item ' || n, n * 1.5, array['a', 'b' || n], jsonb_build_object('n', n), decode(lpad(to_hex(n), 8, '0'), 'hex'), n % 2 = 0
    from generate_series(1, 500) n;
  create view cheap as select id, name from item where price < 30;
  create function shout(text) returns text language plpgsql as $$ begin raise notice 'shouting %', $1 using detail = 'some detail', hint = 'some hint'; return upper($1); end $$;
  create function fail(text) returns int language plpgsql as $$ begin raise exception 'failed: %', $1 using errcode = 'P0042', detail = 'why', hint = 'do not', column = 'c', table = 't', schema = 's', datatype = 'd', constraint = 'k'; end $$;
  create procedure swap(inout a int, inout b int) language plpgsql as $$ declare c int := a; begin a := b; b := c; end $$;
  create function two_cursors() returns setof refcursor language plpgsql as $$ declare a refcursor := 'ca'; b refcursor := 'cb'; begin open a for select 1; return next a; open b for select 2; return next b; end $$;
  create type mood as enum ('sad', 'happy');
  create type pair as (a int, b text);
`

const steps: Step[] = []

function step(name: string, parts: readonly Buffer[], until: string): void {
  steps.push({ name, send: Buffer.concat(parts), until })
}

/** A simple query. */
function q(...texts: string[]): void {
  for (const text of texts) step(text.slice(0, 80), [m.query(text)], 'Z')
}

/** Parse, Bind, Describe, Execute, Sync. */
function x(text: string, bind: RawBind = {}, types: readonly number[] = []): void {
  step(
    `extended ${text}`.slice(0, 80),
    [parseTyped('', text, types), bindRaw(bind), m.describe('P', ''), execute(''), m.sync()],
    'Z',
  )
}

/** Any messages with one Sync behind them. */
function pipe(name: string, ...parts: readonly Buffer[]): void {
  step(name, [...parts, m.sync()], 'Z')
}

const copyData = (text: string | Buffer): Buffer => frame('d', Buffer.from(text))
const copyDone = frame('c')
const callFunction = (oid: number, values: readonly (Buffer | null)[], format = 1): Buffer =>
  frame(
    'F',
    Buffer.concat([
      int32(oid),
      int16(1),
      int16(format),
      int16(values.length),
      ...values.flatMap((value) => (value === null ? [int32(-1)] : [int32(value.length), value])),
      int16(format),
    ]),
  )

function simpleQueries(): void {
  q(
    'select 1',
    'select 1 as one, null as nothing, true as yes',
    '',
    ';',
    ';;',
    ' -- only a comment',
    '/* and /* nested */ */',
    'select',
    'select 1; select 2; select 3',
    'select 1;; select 2',
    "select 'ünïcödé 🐘', U&'d\\0061t\\+000061', E'tab\\there'",
    'select $$dollar$$, $tag$ $$ $tag$',
    'values (1, 2), (3, null)',
    'table cheap',
    'select * from only item where id = 3',
    'select id, name, price, tags, data, raw, made, ok from item order by id limit 20',
    'select * from wide',
    'select i, i from item i where id = 1',
    'select count(*) over (), row_number() over (order by id) from item limit 3',
    'with recursive t(n) as (values (1) union all select n + 1 from t where n < 50) select sum(n) from t',
    'select a.id, l.x from item a, lateral (select a.id * 2 as x) l where a.id < 4',
    'select row_to_json(i) from item i where id = 5',
    'select array_agg(id) from item where id < 10',
    'select xmlforest(1 as a)',
    "select '{\"a\": [1, 2]}'::jsonb -> 'a', '192.168.0.1/24'::inet, '1 day 02:03'::interval, '[1,5)'::int4range",
    "select '550e8400-e29b-41d4-a716-446655440000'::uuid, 'happy'::mood, row(1, 'x')::pair, 'NaN'::float8, '-Infinity'::float4",
    "select '2024-01-01'::date, '12:34:56'::time, '12:34:56+02'::timetz, B'101', '(1,2)'::point, 'a'::name, 1::money",
    'explain (costs off) select * from item where id = 1',
    'explain (format json, costs off) select 1',
    'select generate_series(1, 5000)',
    "select repeat('x', 100000)",
    "select repeat('y', 3000000)",
    'select pg_sleep(0)',
    "select n, repeat('z', n) from generate_series(1, 300) n",
    'select from generate_series(1, 3)',
  )
}

function errors(): void {
  q(
    'select 1/0',
    'selec 1',
    'select * from nowhere',
    'select nothing from item',
    'select nofunction(1)',
    "select 'x'::int",
    "insert into item (id, name) values (1, 'twice')",
    "insert into note (body) values ('bad')",
    'insert into note (body) values (null)',
    "select fail('loud')",
    "select shout('hey')",
    "do $$ begin raise warning 'careful'; raise info 'so'; raise log 'unseen'; end $$",
    'select 1; select 1/0; select 2',
    'drop table if exists never_was',
    'drop table never_was',
    "select '",
    'select "',
    'select $$',
    'create table item (id int)',
    'create table if not exists item (id int)',
    'vacuum; select 1',
    'commit',
    'rollback',
    'begin; begin; commit',
    "prepare transaction 'x'",
    'fetch 1 from nothing',
    'execute nothing',
    'deallocate nothing',
    'set nothing to 1',
    'show nothing',
    'set statement_timeout = 20',
    'select pg_sleep(5)',
    'set statement_timeout = 0',
    "select set_config('statement_timeout', '0', false)",
    'select * from item where id = (select id from item)',
    "select to_date('x', 'YYYY')",
    'lock table item',
    "select '\\xZZ'::bytea",
    "select jsonb '{'",
    "select E'\\xff'",
    'select 1 where 1',
    'select 99999999999999999999::int',
    "select '2024-13-01'::date",
  )
  // Not valid UTF-8.
  step(
    'bytes that are no text',
    [frame('Q', Buffer.from([0x73, 0x65, 0x6c, 0x65, 0x63, 0x74, 0x20, 0x27, 0xff, 0x27, 0]))],
    'Z',
  )
}

function transactions(): void {
  q(
    'begin',
    "insert into note (body) values ('in')",
    'savepoint a',
    'select 1/0',
    'select 1',
    'rollback to a',
    'release a',
    'select count(*) from note',
    'rollback',
    'begin isolation level serializable read only',
    "insert into note (body) values ('x')",
    'rollback',
    "start transaction; insert into note (body, item) values ('x', 12345); select 1; commit",
    'begin; select 1; commit; select 2',
    'begin; select 1/0; commit',
    'rollback',
    'begin',
    'selec',
    'commit',
    'begin',
    "set local work_mem = '5MB'",
    'show work_mem',
    'commit',
    'show work_mem',
    'begin',
    'set constraints all immediate',
    "insert into note (body, item) values ('x', 12345)",
    'rollback and chain',
    'rollback',
    'set transaction isolation level serializable',
    "insert into note (body, item) values ('x', 12345)",
    'create table made (a int)',
    'alter table made add b text',
    'create index on made (a)',
    'comment on table made is $$x$$',
    'truncate made',
    'drop table made',
    'create temp table t (a int) on commit drop',
    'lock table pg_class in share mode',
    'begin; create temp table t (a int) on commit drop; insert into t values (1); select a + 0 from t; commit',
    'analyze note',
    'vacuum note',
    'with moved as (delete from note returning body) select count(*) from moved',
    'select txid_current() > 0',
  )
}

function settings(): void {
  q(
    "set application_name = 'mixed'",
    'show application_name',
    "select set_config('application_name', 'again', false)",
    'reset application_name',
    'set datestyle = german',
    "select date '2024-05-06'",
    'set datestyle = iso',
    "set timezone = 'Asia/Tokyo'",
    'select made from item where id = 1',
    'reset timezone',
    'set client_min_messages = error',
    "select shout('unheard')",
    'reset client_min_messages',
    "set intervalstyle = 'iso_8601'",
    "select '1 day'::interval",
    'reset intervalstyle',
    'set standard_conforming_strings = off',
    "select 'a\\'b'",
    "select 'a\\\\b'",
    'set standard_conforming_strings = on',
    "select 'a\\'",
    'set search_path = pg_catalog',
    'select * from item',
    'reset search_path',
    'set client_encoding = latin1',
    "select 'caf' || chr(233)",
    'set client_encoding = utf8',
    'set role pg_monitor',
    'select current_user',
    'reset role',
    'set session characteristics as transaction read only',
    'delete from note',
    'set session characteristics as transaction read write',
    'show all_of_it',
    'begin; set standard_conforming_strings = off; rollback',
    'show standard_conforming_strings',
    'set my.own = 5',
    'show my.own',
    'discard all',
    'discard plans',
    'show server_version',
  )
}

function preparedAndCursors(): void {
  q(
    'prepare p as select $1::int + 1',
    'execute p(41)',
    'execute p',
    "execute p('x')",
    'prepare p as select 1',
    'deallocate p',
    'execute p(1)',
    'declare c cursor for select 1',
    'begin',
    'declare c scroll cursor for select id from item order by id',
    'fetch 3 from c',
    'fetch backward 1 from c',
    'move 10 in c',
    'fetch all from c',
    'fetch absolute 5 from c',
    'close c',
    'declare d cursor with hold for select id from item order by id limit 3',
    'commit',
    'fetch 2 from d',
    'close all',
    'begin',
    'declare b binary cursor for select id, name from item where id < 3',
    'fetch all from b',
    'commit',
    'begin; select two_cursors(); fetch all from ca; fetch all from cb; commit',
    'call swap(1, 2)',
    "do 'begin perform 1; end'",
    "select lo_from_bytea(424242, '\\x0102')",
    'select lo_get(424242)',
    'select lo_unlink(424242)',
    'select pg_advisory_lock(1)',
    'select pg_advisory_unlock(1), pg_advisory_unlock(1)',
    'merge into note n using (select 1 as id) s on n.id = s.id when not matched then do nothing',
    "insert into item (id, name) values (9000, 'r') returning id, name, made",
    "update item set name = 'rr' where id = 9000 returning *",
    'delete from item where id = 9000 returning id',
    'begin',
    'insert into item (id) values (1) on conflict (id) do update set ok = excluded.ok returning (xmax = 0)',
    'rollback',
    'listen channel',
    "notify channel, 'hello'",
    "begin; notify channel, 'a'; notify channel, 'b'; commit",
    "select pg_notify('channel', 'from a function')",
    "notify other, 'unheard'",
    'unlisten *',
    "notify channel, 'unheard too'",
  )
}

function extended(): void {
  x('select 1')
  x('')
  x('select $1::int + $2::int', { values: ['40', '2'] })
  x('select $1::int + $2::int', { formats: [1, 0], values: [int32(40), '2'], results: [1] }, [23, 23])
  x('select $1', { values: ['untyped'] })
  x('select $1::text is null', { values: [null] })
  x('select id, name, price, tags, data, raw, made, ok from item order by id limit 7', { results: [1] })
  x('select id, name, price from item order by id limit 7', { results: [1, 0, 1] })
  x('select id, name from item', { results: [1, 0, 1] })
  x('select $1::int', { values: ['1', '2'] })
  x('select $1::int', { values: ['x'] })
  x('select $1::int', { formats: [1], values: [Buffer.from([1, 2])] })
  x('select 1; select 2')
  x('selec')
  x('select * from nowhere')
  x('select 1/$1::int', { values: ['0'] })
  x('insert into note (body) values ($1)', { values: ['extended'] })
  x('insert into note (body, item) values ($1, 12345)', { values: ['deferred'] })
  x('insert into note (body) values ($1) returning body, item', { values: ['returned'], results: [1] })
  x('update note set item = null')
  x('delete from note')
  x('begin')
  x('select 1/0')
  x('select 1')
  x('rollback')
  x("set application_name = 'extended'")
  x('reset application_name')
  x("select shout('extended')")
  x('select fail($1)', { values: ['extended'] })
  x('explain (costs off) select $1::int', { values: ['1'] })
  x('show datestyle')
  x('call swap($1, $2)', { values: ['1', '2'] }, [23, 23])
  x('select $1::int[]', { values: ['{1,2,3}'], results: [1] })
  x('select $1::jsonb, $2::bytea, $3::uuid, $4::timestamptz', {
    values: ['{"a":1}', '\\x00ff', '550e8400-e29b-41d4-a716-446655440000', '2024-01-01T00:00:00Z'],
    results: [1],
  })
  x('select length($1::text)', { values: ['v'.repeat(50_000)] })
  x('select generate_series(1, 3000)', { results: [1] })
  x('vacuum note')
  x('fetch 1 from nothing')
  x('select $65000::int')
  x('select from item limit 2')
}

function pipelines(): void {
  const run = (text: string): Buffer[] => [m.parse('', text), bindRaw({}), execute('')]
  pipe('three runs without Describe', ...run('select 1'), ...run('select 2'), ...run('select 3'))
  pipe(
    'an error in the middle',
    ...run("insert into note (body) values ('gone')"),
    ...run('select 1/0'),
    ...run('select 3'),
  )
  pipe('what was rolled back', ...run('select count(*) from note'))
  pipe(
    'begin and commit inside',
    ...run('begin'),
    ...run("insert into note (body) values ('kept')"),
    ...run('commit'),
    ...run('select count(*) from note'),
  )
  pipe('described statement', m.parse('s1', 'select id, name from item where id = $1'), m.describe('S', 's1'))
  pipe(
    'used twice',
    bindRaw({ statement: 's1', values: ['1'] }),
    execute(''),
    bindRaw({ statement: 's1', values: ['2'], results: [1] }),
    m.describe('P', ''),
    execute(''),
  )
  pipe('parsed twice', m.parse('s1', 'select 2'))
  pipe('parsed twice with a syntax error', m.parse('s1', 'selec'))
  pipe('still the first', bindRaw({ statement: 's1', values: ['3'] }), execute(''))
  pipe('closed', m.closeMessage('S', 's1'), m.closeMessage('S', 's1'), m.closeMessage('P', 'nobody'))
  pipe('gone', bindRaw({ statement: 's1' }))
  pipe('describe what is not there', m.describe('S', 's1'))
  pipe('describe the unnamed that is not there', m.closeMessage('S', ''), m.describe('S', ''))
  pipe('bind the unnamed that is not there', bindRaw({}), execute(''))
  pipe('describe a portal that is not there', m.describe('P', 'p'))
  pipe('describe the unnamed portal that is not there', m.describe('P', ''))
  pipe('execute what is not there', execute('p'))
  pipe('execute the unnamed that is not there', execute(''))
  pipe(
    'in steps',
    m.parse('', 'select generate_series(1, 10)'),
    bindRaw({ portal: 'steps' }),
    execute('steps', 3),
    execute('steps', 3),
    execute('steps', 100),
    execute('steps', 1),
  )
  pipe('exactly as many rows', m.parse('', 'select generate_series(1, 3)'), bindRaw({}), execute('', 3), execute('', 3))
  pipe('the same portal twice', m.parse('', 'select 1'), bindRaw({ portal: 'p' }), bindRaw({ portal: 'p' }))
  q('begin')
  pipe(
    'portals within a transaction',
    m.parse('', 'select id from item order by id'),
    bindRaw({ portal: 'a' }),
    bindRaw({ portal: 'b', results: [1] }),
    execute('a', 2),
    execute('b', 2),
  )
  pipe('bound again', bindRaw({ portal: 'a' }))
  q('rollback', 'begin')
  pipe(
    'cursor of SQL level',
    ...run('declare c cursor for select id from item order by id'),
    m.describe('P', 'c'),
    execute('c', 2),
    execute('c', 2),
  )
  q('fetch 1 from c', 'commit')
  pipe('and gone', execute('c', 1))
  pipe(
    'statement of SQL level',
    ...run('prepare s2 as select 5 as five'),
    m.describe('S', 's2'),
    bindRaw({ statement: 's2' }),
    execute(''),
  )
  pipe('discarded', ...run('discard all'), bindRaw({ statement: 's2' }))
  pipe(
    'settings inside',
    ...run("set application_name = 'pipeline'"),
    ...run('show application_name'),
    ...run('reset application_name'),
  )
  pipe('empty', m.parse('', ''), m.describe('S', ''), bindRaw({}), m.describe('P', ''), execute(''))
  pipe('nothing at all')
  pipe('only closes', m.closeMessage('P', ''), m.closeMessage('S', ''))
  pipe('types of parameters', parseTyped('', 'select $1, $2, $3', [23, 25, 0]), m.describe('S', ''))
  pipe('types that cannot be told', m.parse('', 'select $1 + $2'), m.describe('S', ''))
  pipe(
    'no result',
    m.parse('', 'update note set body = body'),
    m.describe('S', ''),
    bindRaw({}),
    m.describe('P', ''),
    execute(''),
  )
  step('Flush brings what is there', [m.parse('', 'select 1'), m.flush()], '1')
  step('and more', [bindRaw({}), m.flush()], '2')
  step('and more of it', [m.describe('P', ''), m.flush()], 'T')
  step('and rows', [execute(''), m.flush()], 'C')
  step('and the end', [m.sync()], 'Z')
  step('error by Flush', [m.parse('', 'selec'), m.flush()], 'E')
  step('dropped up to Sync', [bindRaw({}), execute(''), m.sync()], 'Z')
  step(
    'many Syncs',
    [...run('select 1'), m.sync(), m.sync(), ...run('select 1/0'), m.sync(), ...run('select 2'), m.sync()],
    'ZZZZ',
  )
  step(
    'simple queries at once',
    [m.query('select 1'), m.query('select 1/0'), m.query('begin'), m.query('select 2'), m.query('rollback')],
    'ZZZZZ',
  )
  step(
    'both kinds at once',
    [m.query('begin'), ...run('select 1'), m.sync(), m.query('select 2'), ...run('commit'), m.sync()],
    'ZZZZ',
  )
  step('a query amid extended ones', [m.parse('', 'select 1'), m.query('select 2'), bindRaw({}), m.sync()], 'ZZ')
  step(
    'a hundred at once',
    Array.from({ length: 100 }, (_, i) => [...run(`select ${i}`), m.sync()]).flat(),
    'Z'.repeat(100),
  )
  step(
    'settings and backslashes in simple queries',
    [
      m.query('set standard_conforming_strings = off'),
      m.query("select 'a\\'b'"),
      m.query('reset standard_conforming_strings'),
      m.query("select 'a\\'"),
    ],
    'ZZZZ',
  )
}

function copies(): void {
  q(
    'copy (select id, name, tags from item order by id limit 50) to stdout',
    'copy item to stdout',
    'copy item (id, name) to stdout with csv header',
    "copy (select * from item order by id limit 5) to stdout (format csv, delimiter ';', quote '''', force_quote *, null 'none')",
    'copy item to stdout (format binary)',
    'copy (select 1/0) to stdout',
    'copy (select 1 / (5 - g) from generate_series(1, 10) g) to stdout',
    'copy nowhere to stdout',
    'copy (select 1 where false) to stdout',
    'select 1; copy (select 2) to stdout; select 3',
    "copy (select E'a\\tb\\nc\\\\d', null, '') to stdout",
    "copy (select repeat('w', 500000)) to stdout",
    'create table copied (a int, b text)',
  )
  step('copy in', [m.query('copy copied from stdin')], 'G')
  step('two rows', [copyData('1\tone\n2\t'), copyData('two\n'), copyDone], 'Z')
  step(
    'copy in at once',
    [m.query('copy copied from stdin with csv header'), copyData('a,b\n3,"th\nree"\n'), copyDone],
    'Z',
  )
  step('copy in that fails', [m.query('copy copied from stdin')], 'G')
  step('with bad data', [copyData('x\ty\n'), copyData('4\tfour\n'), copyDone], 'Z')
  step('copy in given up', [m.query('copy copied from stdin')], 'G')
  step('with a reason', [copyData('5\tfive\n'), m.copyFail('changed my mind')], 'Z')
  step('copy in with the end marker', [m.query('copy copied from stdin')], 'G')
  step('as the old protocol had it', [copyData('6\tsix\n\\.\n'), copyDone], 'Z')
  step('copy in among others', [m.query('select 1; copy copied from stdin; select 2')], 'G')
  step('and on', [copyData('7\tseven\n'), copyDone], 'Z')
  step('Sync and Flush are ignored meanwhile', [m.query('copy copied from stdin')], 'G')
  step('until it is done', [copyData('8\teight\n'), m.sync(), m.flush(), copyData('9\tnine\n'), copyDone], 'Z')
  step('extended copy in', [m.parse('', 'copy copied from stdin'), bindRaw({}), execute(''), m.flush()], 'G')
  step('extended, and done', [copyData('10\tten\n'), copyDone, m.sync()], 'Z')
  step(
    'extended copy in with its Sync',
    [m.parse('', 'copy copied from stdin'), bindRaw({}), execute(''), m.sync()],
    'G',
  )
  step('as some clients do', [copyData('11\televen\n'), copyDone, m.sync()], 'Z')
  step('extended copy in that fails', [m.parse('', 'copy copied from stdin'), bindRaw({}), execute(''), m.flush()], 'G')
  step('with bad extended data', [copyData('x\n'), copyDone, m.sync()], 'Z')
  step('binary copy in', [m.query('copy copied from stdin (format binary)')], 'G')
  step(
    'in pieces',
    [
      copyData(Buffer.concat([Buffer.from('PGCOPY\n\xff\r\n\0', 'latin1'), int32(0), int32(0), int16(2), int32(4)])),
      copyData(Buffer.concat([int32(12), int32(-1), int16(-1)])),
      copyDone,
    ],
    'Z',
  )
  pipe('extended copy out', m.parse('', 'copy copied to stdout'), bindRaw({}), m.describe('P', ''), execute(''))
  step('a long copy in', [m.query('copy copied from stdin')], 'G')
  step('of many rows', [...Array.from({ length: 200 }, (_, i) => copyData(`${i}\t${'r'.repeat(i)}\n`)), copyDone], 'Z')
  q(
    'select count(*), sum(a), sum(length(b)) from copied',
    'copy (select a, length(b) from copied order by a, b) to stdout csv',
    'drop table copied',
  )
  step('copy data outside of any copy', [copyData('stray'), copyDone, m.query('select 1')], 'Z')
}

function functionCalls(): void {
  step('a function called by number', [callFunction(177, [int32(40), int32(2)])], 'Z') // int4pl
  step('with texts', [callFunction(177, [Buffer.from('40'), Buffer.from('2')], 0)], 'Z')
  step('that returns null', [callFunction(177, [null, int32(2)])], 'Z')
  step('that fails', [callFunction(154, [int32(1), int32(0)])], 'Z') // int4div
  step('that is none', [callFunction(1, [])], 'Z')
}

simpleQueries()
errors()
transactions()
settings()
preparedAndCursors()
extended()
pipelines()
copies()
functionCalls()
q("select setval('note_id_seq', 1, false)", 'truncate note', 'select 1')

/** A long session of everything that the protocol knows. Run twice, it gives the same bytes twice. */
export const MIXED_SCRIPT: readonly Step[] = steps

/** Too large to be cut into single bytes. */
export const LARGE_SCRIPT: readonly Step[] = [
  { name: 'a long text', send: m.query(`select length('${'l'.repeat(1_500_000)}')`), until: 'Z' },
  {
    name: 'a large value',
    send: Buffer.concat([
      m.parse('', 'select length($1::text)'),
      bindRaw({ values: ['v'.repeat(5_000_000)] }),
      execute(''),
      m.sync(),
    ]),
    until: 'Z',
  },
  { name: 'a large row', send: m.query("select repeat('r', 20000000)"), until: 'Z' },
  {
    name: 'a notice of 100 kB',
    send: m.query("do $$ begin raise notice '%', repeat('n', 100000); end $$"),
    until: 'Z',
  },
  { name: 'many columns', send: m.query(`select ${Array.from({ length: 1600 }, (_, i) => i).join(', ')}`), until: 'Z' },
  { name: 'many rows', send: m.query("select g, 'row ' || g from generate_series(1, 200000) g"), until: 'Z' },
]
