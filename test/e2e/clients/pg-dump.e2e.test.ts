import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Certificates, makeCertificates } from '../../../src/gateway/gateway.test-support.js'
import { startGateway, type TestGateway } from '../../support/gateway.js'
import { type PostgresServer, startPostgres } from '../../support/postgres.js'
import { libpqEnvironment, run } from '../../support/programs.js'

const SCHEMA = `
  create extension if not exists plpgsql;
  create role reader;
  create schema "Odd Schema";
  create type mood as enum ('sad', 'it''s "ok"');
  create type pair as (a int, b text);
  create domain positive as int check (value > 0);
  create table person (id int generated always as identity primary key, name text not null, born date, feeling mood, score positive,
    tags text[], matrix int[][], doc json, docb jsonb, raw bytea, made timestamptz default now(), span tstzrange, address inet, pairs pair,
    amount numeric(20, 5), ratio float8, full_text tsvector, flags bit(4), id2 uuid default gen_random_uuid(),
    double_score int generated always as (score * 2) stored);
  insert into person (name, born, feeling, score, tags, matrix, doc, docb, raw, span, address, pairs, amount, ratio, full_text, flags)
    select 'person ' || n || E' \\\\ tab\\t newline\\n "quoted" ü 🐘', date '2000-01-01' + n, 'it''s "ok"', n, array['a', null, 'c,"d'], array[[n, 2], [3, 4]],
      '{"a": [1, "x\\u0041"]}', '{"b": null}', decode(md5(n::text), 'hex'), tstzrange(now(), null), '10.0.0.1/8', row(n, null)::pair,
      n / 7.0, n / 3.0, to_tsvector('a fat cat'), B'1010' from generate_series(1, 2000) n;
  insert into person (name, score) values ('', 1), (E'\\\\.', 2), ('\\N', 3);
  create table "Odd Schema"."Odd ""Table""" ("a b" int, "select" text, "ünï" text default 'de''fault');
  insert into "Odd Schema"."Odd ""Table""" values (1, 'x', 'y'), (null, null, null);
  create table "Odd Schema".empty ();
  create table event (id bigserial, at date not null, what text) partition by range (at);
  create table event_2023 partition of event for values from ('2023-01-01') to ('2024-01-01');
  create table event_rest partition of event default;
  insert into event (at, what) select date '2023-06-01' + n, 'event ' || n from generate_series(1, 500) n;
  create table child (extra int) inherits ("Odd Schema".empty);
  create view grown as select id, name from person where born < '2002-01-01' with check option;
  create materialized view per_year as select extract(year from at) as year, count(*) from event group by 1;
  create function touch() returns trigger language plpgsql as $body$ begin new.made := now(); return new; end $body$;
  create trigger touching before update on person for each row execute function touch();
  create function sum_of(variadic numbers int[]) returns int language sql immutable as $$ select sum(n)::int from unnest(numbers) n $$;
  create procedure noop() language plpgsql as 'begin null; end';
  create aggregate product(int) (sfunc = int4mul, stype = int, initcond = '1');
  create index on person using gin (tags); create unique index named on person (lower(name), id);
  alter table event_2023 add constraint checked check (what <> '');
  create rule ignored as on delete to "Odd Schema".empty do instead nothing;
  alter table person enable row level security; create policy own on person for select to reader using (name = current_user);
  grant select on person to reader; revoke all on procedure noop from public;
  comment on table person is 'people; -- "all" of them'; comment on column person.name is E'with\\nnewline';
  create statistics stats (dependencies) on born, score from person;
  create publication pub for table person;
  select lo_from_bytea(50001, '\\x00010203'); select lo_from_bytea(50002, convert_to(repeat('large', 20000), 'UTF8')); comment on large object 50001 is 'blob';
`

let server: PostgresServer
let certificates: Certificates
let plain: TestGateway
let encrypted: TestGateway
let folder: string

beforeAll(async () => {
  certificates = makeCertificates()
  folder = mkdtempSync(join(tmpdir(), 'sallyport-dump-'))
  server = await startPostgres({
    ssl: { cert: certificates.cert, key: certificates.key },
    settings: { wal_level: 'logical' },
    databases: ['source', 'plain_copy', 'custom_copy', 'tls_copy'],
    sql: SCHEMA,
  })
  plain = await startGateway({ server })
  encrypted = await startGateway({
    server,
    listenerTls: { key: certificates.key, cert: certificates.cert },
    targetTls: { mode: 'require' },
  })
})

afterAll(async () => {
  await Promise.all([plain?.stop(), encrypted?.stop()])
  await server?.stop()
  certificates?.remove()
  rmSync(folder, { recursive: true, force: true })
})

/** What pg_dump says of a database when nobody stands between. */
async function direct(database: string): Promise<string[]> {
  const env = libpqEnvironment({ port: server.port, user: server.user, password: server.password, database })
  const { stdout, stderr, code } = await run('pg_dump', [], { env })
  expect(stderr).toBe('')
  expect(code).toBe(0)
  return meaningful(stdout)
}

/** Newer versions put a random key into these lines. */
function meaningful(dump: string): string[] {
  return dump.split('\n').filter((line) => !/^\\(un)?restrict /.test(line))
}

function environment(gateway: TestGateway, database: string): NodeJS.ProcessEnv {
  const more = { PGSSLMODE: gateway === encrypted ? 'require' : 'disable' }
  return libpqEnvironment({ port: gateway.port, database, more })
}

async function succeed(program: string, args: string[], env: NodeJS.ProcessEnv, inputFile?: string): Promise<string> {
  const { stdout, stderr, code } = await run(program, args, { env, ...(inputFile === undefined ? {} : { inputFile }) })
  expect(stderr).toBe('')
  expect(code).toBe(0)
  return stdout
}

describe('pg_dump through the gateway, and what it dumped through the gateway into another database', () => {
  it.each([
    ['in the clear', () => plain, 'plain_copy'],
    ['inside TLS', () => encrypted, 'tls_copy'],
  ])('is the same schema and data, %s', async (_name, gateway, copy) => {
    const dump = await succeed('pg_dump', [], environment(gateway(), 'source'))
    const expected = await direct('source')
    expect(meaningful(dump)).toEqual(expected)
    const file = join(folder, `${copy}.sql`)
    writeFileSync(file, dump)
    await succeed('psql', ['-X', '-q', '-v', 'ON_ERROR_STOP=1', '-o', '/dev/null'], environment(gateway(), copy), file)
    expect(await direct(copy)).toEqual(expected)
  })

  it('is so in the custom format with parallel pg_restore', async () => {
    const file = join(folder, 'custom.dump')
    await succeed('pg_dump', ['-Fc', '-f', file], environment(plain, 'source'))
    await succeed('pg_restore', ['-j', '3', '-d', 'custom_copy', file], environment(plain, 'custom_copy'))
    expect(await direct('custom_copy')).toEqual(await direct('source'))
  })

  it('is the same as rows of INSERT, with and without columns', async () => {
    for (const args of [['--inserts'], ['--column-inserts', '--rows-per-insert=50']]) {
      const env = libpqEnvironment({
        port: server.port,
        user: server.user,
        password: server.password,
        database: 'source',
      })
      const expected = meaningful(await succeed('pg_dump', args, env))
      expect(meaningful(await succeed('pg_dump', args, environment(plain, 'source')))).toEqual(expected)
    }
  })
})
