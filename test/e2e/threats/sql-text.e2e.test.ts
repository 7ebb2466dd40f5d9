import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { attack, leaks, startWorld, WAYS, WRAPPED, type World } from './support.js'

/** Texts under which the server itself gives the secret away, each by the line of attack it belongs to. */
const REVEALING: Readonly<Record<string, readonly string[]>> = {
  'SQL-1 a backslash is a plain character in a standard string': [
    String.raw`select 'a\', ssn from secret --'`,
    String.raw`select 'a\' as a, ssn from secret --'`,
    String.raw`select 'a\\', ssn from secret -- '`,
    String.raw`select '\', s from secret s --\'`,
    String.raw`select E'a\\', ssn from secret --'`,
    String.raw`select e'\'', ssn from secret --'`,
    String.raw`select 'it''s \', ssn from secret --'`,
    String.raw`select B'101', ssn from secret --'\'`,
  ],
  'SQL-5 ONLY is not a table': [
    'select * from only secret',
    'select * from only (secret)',
    'select ssn from ONLY"secret"',
    'select * from only(public.secret)',
    'select * from secret *',
    'select x.* from only secret as x',
    'select * from only public . secret',
  ],
  'SQL-6 TABLE is a query': [
    'table secret',
    'TABLE ONLY secret',
    '(table secret)',
    'table public.secret limit 5',
    'table item union all table secret_like',
    'select (t).ssn from (table secret) t',
    'values ((select ssn from secret limit 1))',
    'with x as (table secret) table x',
    'table secret order by 1 fetch first 2 rows only',
  ],
  'SQL-7 a name can be spelt in escapes': [
    `select U&"!0073sn" UESCAPE '!' from U&"\\0073ecret"`,
    String.raw`select U&"\0073\0073\006E" from U&"secre\0074"`,
    String.raw`select * from U&"\+000073ecret"`,
    String.raw`select * from u&"\0073\0065\0063\0072\0065\0074"`,
    `select * from U&"z0073ecret" UESCAPE 'z'`,
    `select * from U&"\\0073ecret" /* c */ UESCAPE /* d */ '\\'`,
  ],
  'SQL-8 comments nest': [
    'select 1 /* a /* b */ */ , ssn from secret',
    "select '/*', ssn from secret --*/",
    'select /* /* */ */ ssn /**/ from/**/secret',
    'select 1 /*/**/*/, ssn from secret',
    'select 1 -- /*\n, ssn from secret -- */',
    'select/*!50000 1,*/ssn from secret',
    'select ssn /*+ hint */ from /* item */ secret -- from item',
    'select 1 as "--", ssn from secret',
    'select 1 as "/*", ssn from secret --*/"',
  ],
  'SQL-9 a line comment ends at CR': [
    'select 1 -- x\r, ssn from secret',
    'select 1 --\r\n, ssn from secret',
    '--\rtable secret',
    '-- /*\rtable secret',
    "select 1 --'\r, ssn from secret --'",
  ],
  'SQL-10 dollar quotes have tags': [
    "select $$a'$$, ssn from secret --'",
    'select $é$ $é$, ssn from secret --$é$',
    'select $a$ $b$ $a$, ssn from secret --$b$',
    'select $a$ $a $ab$ $a$, ssn from secret',
    'select $_1$$1$_1$, ssn from secret',
    'select $A$ $a$ $A$, ssn from secret --$a$',
    "select '$a$', ssn from secret --$a$'",
    'select 1 as a$b$, ssn from secret --$b$',
  ],
  'SQL-11 a literal goes on behind a line break': [
    "select 'a'\n'b', ssn from secret",
    "select 'a' -- c\n 'b', ssn from secret",
    "select 'a' -- '\n ', ssn from item --', ssn from secret",
    "select E'a\\''\n'\\'', ssn from secret --'",
    "select 'a'\r'b', ssn from secret",
    "select 'a'\f\n\t'', ssn from secret",
  ],
  'SQL-12 names are folded, and cut at 63 bytes': [
    'select SSN from SECRET',
    'select "ssn" from "secret"',
    'select SsN FROM public."secret"',
    `select * from ${'v'.repeat(63)}`,
    `select * from ${'v'.repeat(80)}`,
    `select * from ${'V'.repeat(64)}`,
    `select * from "${'v'.repeat(70)}"`,
    `with ${'c'.repeat(63)}x as (select 1 as a), ${'d'.repeat(70)} as (table secret) select * from ${'d'.repeat(63)}`,
  ],
  'SQL-14 a name has up to three parts, and blanks around its dots': [
    'select * from postgres.public.secret',
    'select * from public . secret',
    'select postgres . public . secret . ssn from postgres . public . secret',
    'select * from public/**/./**/secret',
    'select * from"public"."secret"',
    'select secret.ssn from public.secret, item',
    'select public.secret.* from public.secret',
    'select (secret).ssn from secret',
    'select (secret.*).ssn from secret',
    'select (public.secret.*)::text from public.secret',
  ],
  'SQL-26 blanks are where one wants them': [
    'select(ssn)from(select*from"secret")_',
    'select(ssn)from/**/secret',
    'select+level,ssn from secret',
    'select\tssn\ffrom\nsecret',
    'select.1,ssn from secret',
    "select''||ssn from secret",
    'select"ssn"from"secret"',
    'select all ssn from secret',
    'select distinct on(ssn)ssn from secret',
    'select 1e1,ssn from secret',
  ],
  'SQL-27 a query need not begin with its verb': [
    '/* x */ select ssn from secret',
    '-- x\nselect ssn from secret',
    ';;; select ssn from secret',
    '((((select ssn from secret))))',
    '\n\t\f\r select ssn from secret',
    'with x as (select 1) select ssn from secret',
    '(select 1::text) union (select ssn from secret)',
    '(with y as (table secret) select ssn from y)',
    'with recursive r(a) as (select ssn from secret union all select a from r where false) select * from r',
    'with secret as (select * from secret) select * from secret',
    'with item as (select * from secret) select * from item',
    'with a as (with b as (select * from secret) select * from b) select * from a',
    'with a as materialized (select ssn from secret) select * from a, item',
  ],
  'SQL-29 what keyword lists do not know': [
    'SeLeCt ssn FrOm SeCrEt',
    'select/**/ssn/**/from/**/secret',
    'select ssn from secret where \'{"a":1}\'::jsonb @> \'{"a":1}\'',
    "select ssn from secret where '{\"a\":1}'::jsonb ? 'a'",
    'select ssn from secret where 1e0=1.0 and 0.1e1=1',
    "select ssn from secret where chr(65)||chr(66)='AB'",
    "select ssn from secret where 'a' similar to 'a' and 'a' ~ 'a'",
    "select ssn from secret where '1'::int is distinct from 2",
    'select ssn from secret natural join (select 1 as one) one',
    'select ssn from item left join secret on true',
    'select ssn from item cross join lateral (select ssn from secret) l',
    'select l.* from item, lateral (select secret.* from secret where item.id > 0) l',
    'select ssn from secret tablesample system (100)',
    'select ssn from secret for update',
    'select (select ssn from secret limit 1) from item',
    'select case when true then (select ssn from secret limit 1) end',
    'select ssn from secret where (select true)',
    'select * from item where exists (select 1) union select 9, (select ssn from secret limit 1), 0',
    'select array(select ssn from secret)',
    'select * from unnest(array(select ssn from secret))',
    'select * from generate_series(1, (select count(*) from secret)), secret',
    'select * from rows from (unnest(array(select ssn from secret)), generate_series(1, 2)) as r(a, b)',
    "select x.* from secret s, xmltable('/a' passing xmlelement(name a, s.ssn) columns t text path '.') x",
    "select p[1] from secret, regexp_matches(ssn, '.*') p",
    'select max(ssn) over () from secret',
    'select ssn from secret group by grouping sets ((ssn), ())',
    'select ssn from secret window w as (order by ssn)',
    'select coalesce(null, ssn) from secret',
    'select * from (values ((select ssn from secret limit 1))) v(a)',
  ],
}

/** Several statements in one text, or data changed on the way. Only sent as they are. */
const STACKED: Readonly<Record<string, readonly string[]>> = {
  'SQL-2 a string ends sooner than it seems': [
    String.raw`select 'a\' ; table secret --'`,
    String.raw`select 'a\' ; drop table secret --'`,
    String.raw`select 'a\'; update secret set ssn = '0' where true; --'`,
    'select 1; table secret',
    'select 1;;;; select ssn from secret;',
    'select $a$;$a$; table secret',
    'begin; table secret; commit',
    'select 1; /* ; */ table secret',
    "select ';' ; table secret --;",
  ],
  'SQL-27 data leaves through changes of data': [
    'with x as (delete from secret where true returning *) select * from x',
    'with x as (update secret set level = 1 where level > 0 returning ssn) select * from x',
    'delete from secret where level > 0 returning ssn',
    'delete from item using secret where item.id = 99 returning secret.ssn',
    'update secret set level = level where level > 0 returning *',
    'update item set label = (select ssn from secret limit 1) where id = 1 returning label',
    'update item set label = ssn from secret where id = 1 returning label',
    'insert into item select 99, ssn, 0 from secret limit 1 returning label',
    'insert into item values (98, (select ssn from secret limit 1)) returning *',
    "insert into item values (1, 'x') on conflict (id) do update set label = (select ssn from secret limit 1) returning label",
    'merge into item using secret on item.id = 1 when matched then update set label = secret.ssn',
    'merge into item using (values (97)) v(id) on item.id = v.id when not matched then insert values (97, (select ssn from secret limit 1), 0)',
    'select ssn into temp stolen from secret',
    'create temp table stolen2 as table secret',
    'create table stolen3 (like secret including all)',
    'explain analyze delete from secret where level > 0',
    'copy secret to stdout',
    'copy secret (ssn) to stdout csv',
    'copy (delete from secret where level > 0 returning ssn) to stdout',
    'truncate secret',
    'truncate item, secret',
    'lock table secret',
    'drop table item, secret',
    'alter table secret rename to harmless',
    'alter table secret rename column ssn to label',
    "comment on table secret is 'x'",
    'create index on secret (ssn)',
    'create view v_secret as table secret',
    'alter table item add constraint fk foreign key (label) references secret (ssn)',
    'create table part () inherits (secret)',
    'create trigger t after insert on secret execute function suppress_redundant_updates_trigger()',
    'grant select on secret to public',
    'alter table secret disable row level security',
    'vacuum analyze secret',
    'analyze secret',
    'cluster secret using secret_ssn',
    'reindex table secret',
    "security label on table secret is 'x'",
    'alter table secret owner to current_user',
    'create publication p for table secret',
    'create statistics st on ssn, email from secret',
    'create rule r as on insert to item do also delete from secret',
    'create policy po on secret using (true)',
    'alter table secret set schema pg_catalog',
    'alter table if exists only secret set (fillfactor = 50)',
    'declare c cursor with hold for table secret',
    'prepare p as table secret',
    'explain table secret',
    'create function f() returns setof secret language sql begin atomic; select * from secret; end',
    'create materialized view mv as table secret',
    'create table child partition of secret default',
    'alter table item inherit secret',
    'alter table item attach partition secret default',
  ],
}

/** SQL that is not in the text, or code of the server's. Nobody but an administrator has any use for it here. */
const DYNAMIC: Readonly<Record<string, readonly string[]>> = {
  'SQL-28 SQL hides in strings and in the code that runs it': [
    "select query_to_xml('select ssn from secret', true, true, '')",
    "select pg_catalog.query_to_xml('select ssn from sec'||'ret', true, true, '')",
    "select query_to_xml_and_xmlschema('table secret', true, true, '')",
    "select table_to_xml('secret', true, true, '')",
    "select table_to_xml('sec' || 'ret', true, true, '')",
    "select schema_to_xml('public', true, true, '')",
    "select database_to_xml(true, true, '')",
    "select \"query_to_xml\"(U&'\\0073elect ssn from secret', true, true, '')",
    "select * from ts_stat('select to_tsvector(ssn) from secret')",
    'do $$ begin perform 1 from secret; end $$',
    "do language plpgsql 'begin raise notice ''%'', (select ssn from secret limit 1); end'",
    "do $$ begin raise exception '%', (select ssn from secret limit 1); end $$",
    "select * from dblink('', 'table secret') as t(a text)",
    "copy item to program 'cat'",
    "copy item from program 'cat /etc/passwd'",
    "copy item to '/tmp/x'",
    "copy plain from '/etc/passwd'",
    "copy (select 1) to program 'psql -c ''table secret'''",
    "select pg_read_file('/etc/passwd')",
    "select pg_read_binary_file('base/1/1259')",
    "select pg_ls_dir('.')",
    'select * from pg_ls_waldir()',
    "select lo_import('/etc/passwd')",
    "select lo_export(1, '/tmp/x')",
    "select lo_from_bytea(0, 'x')",
    "alter system set log_statement = 'none'",
    "load 'auto_explain'",
    'create extension dblink',
    'create extension file_fdw',
    "create function x() returns text language c as '/tmp/x.so', 'x'",
    'create language plpython3u',
    'create server s foreign data wrapper postgres_fdw',
    "create subscription s connection 'host=x' publication p",
    'create event trigger e on ddl_command_start execute function pg_catalog.pg_event_trigger_dropped_objects()',
    'select pg_reload_conf()',
    'select pg_terminate_backend(pg_backend_pid())',
    'select pg_sleep(0)',
    'select pg_advisory_lock(1)',
    "select cursor_to_xml('c', 1, true, true, '')",
    "explain select query_to_xml('table secret', true, true, '')",
    "select * from item where label = (query_to_xml('select ssn from secret', true, true, ''))::text",
    "select * from item order by query_to_xml('select ssn from secret', true, true, '')::text",
    "create view vx as select query_to_xml('select ssn from secret', true, true, '') as x",
    "prepare px as select query_to_xml('select ssn from secret', true, true, '')",
    "copy (select query_to_xml('select ssn from secret', true, true, '')) to stdout",
    "update item set label = query_to_xml('select ssn from secret', true, true, '')::text where id = 1",
    'select users_function()',
    'select public.users_function()',
    'select u.users_function from users u, users_function() as u',
    'select 1 <<<>>> 1',
    'select 1 operator(public.<<<>>>) 1',
    "select 'x'::users_domain",
    'call users_procedure()',
    "select pg_catalog.set_config('search_path', 'x', false), query_to_xml('table secret', true, true, '')",
    "select pg_logical_slot_peek_changes('x', null, null)",
    "select pg_stat_file('postgresql.conf')",
    'select * from pg_hba_file_rules()',
    'select pg_promote()',
    'select setting from pg_show_all_file_settings()',
  ],
}

let world: World

beforeAll(async () => {
  world = await startWorld({
    sql: `
      create view ${'v'.repeat(63)} as table secret;
      create view secret_like as select 1 as id, ssn as label, 0::numeric as price from secret;
      create function users_function() returns text language sql as $$ select ssn from secret limit 1 $$;
      create function users_operator(int, int) returns text language sql as $$ select ssn from secret limit 1 $$;
      create operator <<<>>> (leftarg = int, rightarg = int, function = users_operator);
      create function users_check(text) returns bool language plpgsql as
        $$ begin raise notice '%', (select ssn from secret limit 1); return true; end $$;
      create domain users_domain as text check (users_check(value));
      create procedure users_procedure() language plpgsql as
        $$ begin raise notice '%', (select ssn from secret limit 1); end $$;
    `,
  })
})

afterAll(async () => world?.stop())

const FORBIDDEN = /secret|ssn|vvvv/i

describe('texts that a filter reads otherwise than the server', () => {
  for (const [line, texts] of Object.entries(REVEALING)) {
    describe(`${line}`, () => {
      for (const text of texts) {
        it(`${line.slice(0, line.indexOf(' '))} ${JSON.stringify(text.length > 90 ? `${text.slice(0, 90)}...` : text)}`, async () => {
          const isView = /secret_like|vvvv/i.test(text)
          const bare = await attack(world, 'direct', text, { simple: WAYS['simple'] as never })
          expect(leaks(bare.bytes), 'the attack works without a gateway').not.toEqual([])
          const mark = await world.mark()
          for (const user of isView ? ['narrow'] : ['wide', 'narrow']) {
            const { outcomes, bytes } = await attack(world, user, text, { ...WAYS, ...WRAPPED })
            expect(leaks(bytes), user).toEqual([])
            expect(
              outcomes.filter(({ fate }) => fate === 'ran'),
              user,
            ).toEqual([])
            expect(
              outcomes.filter(({ way, fate }) => fate !== 'denied' && way in WAYS && !text.startsWith(';')),
              user,
            ).toEqual([])
          }
          expect(
            (await world.logSince(mark))
              .split('\n')
              .filter((line) => FORBIDDEN.test(line))
              .join('\n'),
          ).toBe('')
        })
      }
    })
  }

  for (const [line, texts] of Object.entries({ ...STACKED, ...DYNAMIC })) {
    describe(`${line}`, () => {
      for (const text of texts) {
        it(`${line.slice(0, line.indexOf(' '))} ${JSON.stringify(text.length > 90 ? `${text.slice(0, 90)}...` : text)}`, async () => {
          const mark = await world.mark()
          for (const user of ['wide', 'narrow', 'masked']) {
            // What is done to the data with masks on is another test's matter.
            if (user === 'masked' && !(line in DYNAMIC)) continue
            const { outcomes, bytes } = await attack(world, user, text, WAYS)
            expect(leaks(bytes), user).toEqual([])
            expect(
              outcomes.filter(({ fate }) => fate !== 'denied'),
              user,
            ).toEqual([])
          }
          expect(
            (await world.logSince(mark))
              .split('\n')
              .filter((line) => /LOG: .*(?:statement: (?!select .log-mark|BEGIN$|rollback$)|execute )/.test(line))
              .join('\n'),
          ).toBe('')
          expect(await world.truth('select count(*) from secret')).toEqual([['2']])
        })
      }
    })
  }
})
