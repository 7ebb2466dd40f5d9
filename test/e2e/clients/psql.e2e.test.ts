import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Certificates, makeCertificates } from '../../../src/gateway/gateway.test-support.js'
import type { Rule } from '../../../src/policy/index.js'
import { ALLOW_ALL, startGateway, type TestGateway } from '../../support/gateway.js'
import { type PostgresServer, startPostgres } from '../../support/postgres.js'
import { libpqEnvironment, type ProgramOptions, type ProgramResult, run } from '../../support/programs.js'

const RULES: readonly Rule[] = [
  ALLOW_ALL,
  {
    id: 'no-forbidden',
    effect: 'deny',
    match: { text: 'forbidden' },
    message: 'no forbidden things',
    hint: 'leave it',
  },
  { id: 'hold-held', effect: 'hold', match: { text: 'to_be_held' } },
]

let server: PostgresServer
let certificates: Certificates
let plain: TestGateway
let encrypted: TestGateway
let folder: string

beforeAll(async () => {
  certificates = makeCertificates()
  folder = mkdtempSync(join(tmpdir(), 'sallyport-psql-'))
  server = await startPostgres({
    ssl: { cert: certificates.cert, key: certificates.key },
    sql: `
      create table item (id int primary key, name text not null, price numeric);
      comment on table item is 'things';
      insert into item select n, 'item ' || n, n * 1.5 from generate_series(1, 100) n;
      create view cheap as select * from item where price < 10;
      create function twice(int) returns int language sql immutable as 'select $1 * 2';
      create schema shop; create index on item (name); create sequence counter; create role helper;
    `,
  })
  plain = await startGateway({ server, rules: RULES })
  encrypted = await startGateway({
    server,
    rules: RULES,
    listenerTls: { key: certificates.key, cert: certificates.cert },
    targetTls: { mode: 'verify-full', ca: certificates.ca, serverName: 'localhost' },
  })
})

afterAll(async () => {
  await Promise.all([plain?.stop(), encrypted?.stop()])
  await server?.stop()
  certificates?.remove()
  rmSync(folder, { recursive: true, force: true })
})

type Way = 'direct' | 'in the clear' | 'inside TLS'

function environment(way: Way): NodeJS.ProcessEnv {
  if (way === 'direct') {
    return libpqEnvironment({ port: server.port, user: server.user, password: server.password })
  }
  if (way === 'in the clear') return libpqEnvironment({ port: plain.port })
  const more = { PGSSLMODE: 'verify-full', PGSSLROOTCERT: join(certificates.dir, 'ca.crt') }
  return libpqEnvironment({ port: encrypted.port, more })
}

/** Runs a script from stdin. */
function psql(way: Way, input: string, more: Omit<ProgramOptions, 'env'> = {}): Promise<ProgramResult> {
  return run('psql', ['-X', '-a', '-f', '-'], { env: environment(way), input, ...more })
}

const META_COMMANDS = String.raw`
\d
\d item
\d+ item
\d cheap
\d+ cheap
\dt+
\di
\ds
\dv
\dn+
\df
\df+ twice
\sf twice
\du
\dp
\l
\dT
\dx
\dc
\dd
\do+ +
\dconfig datestyle
\encoding
select 1 as one, 'zwei' as two \gset
\echo :one :two
select :one + 1 as sum, :'two' as quoted, :"one" from (select 1 as "1") s;
select id, name, null::jsonb as data from item \gdesc
select id % 3 as a, id % 2 as b, count(*) from item group by 1, 2 order by 1, 2 \crosstabview
select format('select %s as n', n) from generate_series(1, 3) n \gexec
\x on
select * from item where id = 1;
\x off
\pset null '(null)'
select null;
select id from item where id < 4 \g (format=csv)
\set AUTOCOMMIT off
insert into item values (1000, 'x', 0);
rollback;
\set AUTOCOMMIT on
\set FETCH_COUNT 7
select id from item order by id;
\set FETCH_COUNT 0
\if :{?one} \echo yes \endif
select 1 \; select 2 \; select 3;
\errverbose
select 1 / 0;
\errverbose
\lo_list
`

describe.each(['in the clear', 'inside TLS'] as const)('psql, %s', (way) => {
  it('answers its meta commands as the server itself', async () => {
    const direct = await psql('direct', META_COMMANDS)
    expect(direct.stdout).toContain('item 1')
    expect(await psql(way, META_COMMANDS)).toEqual(direct)
  })

  it('copies out and in again, in every format', async () => {
    for (const [i, options] of [
      '',
      'with (format csv, header)',
      "with (format csv, delimiter ';', null 'N')",
      'with (format binary)',
    ].entries()) {
      const file = join(folder, `${way}-${i}`)
      const script = [
        `\\copy (select * from item order by id) to '${file}' ${options}`,
        'begin;',
        'create table again (like item);',
        `\\copy again from '${file}' ${options}`,
        'select count(*), sum(price), md5(string_agg(name, chr(10) order by id)) from again;',
        'rollback;',
        'select count(*), sum(price), md5(string_agg(name, chr(10) order by id)) from item;',
        `\\copy item to program 'cat' ${options.replace('binary', 'text')}`,
      ].join('\n')
      const { stdout, stderr } = await psql(way, script)
      expect(stderr).toBe('')
      expect(stdout).toContain('COPY 100')
      const sums = stdout.split('\n').filter((line) => /[0-9a-f]{32}/.test(line))
      expect(sums.length).toBe(2)
      expect(sums[0]).toBe(sums[1])
      await run('psql', ['-X', '-c', `\\copy (select * from item order by id) to '${file}.direct' ${options}`], {
        env: environment('direct'),
      })
      expect(readFileSync(file).equals(readFileSync(`${file}.direct`))).toBe(true)
    }
  })

  it('copies by -c, from stdin and to stdout', async () => {
    const env = environment(way)
    const out = await run('psql', ['-X', '-c', 'copy (select id from item order by id limit 3) to stdout'], { env })
    expect(out).toEqual({ code: 0, stdout: '1\n2\n3\n', stderr: '' })
    const args = [
      '-X',
      '-q',
      '-c',
      'create temp table t (a int, b text)',
      '-c',
      'copy t from stdin csv',
      '-c',
      'select sum(a), max(b) from t',
    ]
    const copied = await run('psql', [...args, '-A', '-t'], { env, input: '1,one\n2,two\n' })
    expect(copied).toEqual({ code: 0, stdout: '3|two\n', stderr: '' })
    const wrong = await run('psql', [...args, '-A', '-t'], { env, input: '1,one\nx,two\n' })
    expect(wrong.stderr).toContain('invalid input syntax')
  })

  it('tells of a refusal, with \\errverbose, and goes on', async () => {
    const { stdout, stderr } = await psql(way, "select 'forbidden';\n\\errverbose\nselect 'and on';\n")
    expect(stderr).toContain('ERROR:  no forbidden things')
    expect(stderr).toContain('HINT:  leave it')
    expect(stdout + stderr).toContain('42501')
    expect(stdout).toContain('and on')
  })

  it('rolls back only the refused statement with ON_ERROR_ROLLBACK', async () => {
    const script = String.raw`
\set ON_ERROR_ROLLBACK on
begin;
insert into item values (2000, 'kept', 1);
select 'forbidden';
select 1/0;
select name from item where id = 2000;
commit;
delete from item where id = 2000 returning name;
`
    const { stdout, stderr } = await psql(way, script)
    expect(stderr).toContain('no forbidden things')
    expect(stdout.match(/kept/g)?.length).toBe(3)
    expect(stdout).toContain('DELETE 1')
  })

  it('stops a script at a refusal with ON_ERROR_STOP', async () => {
    const result = await run('psql', ['-X', '-v', 'ON_ERROR_STOP=1', '-f', '-'], {
      env: environment(way),
      input: "select 'forbidden';\nselect 'never';\n",
    })
    expect(result.code).toBe(3)
    expect(result.stdout).not.toContain('never')
  })

  it('takes a big script from stdin', async () => {
    const file = join(folder, `${way}.sql`)
    const lines = Array.from({ length: 3_000 }, (_, i) => `insert into t values (${i}, '${'v'.repeat(i % 200)}');`)
    writeFileSync(
      file,
      [
        'create temp table t (a int, b text);',
        'begin;',
        ...lines,
        'commit;',
        'select count(*), sum(a), sum(length(b)) from t;',
      ].join('\n'),
    )
    const { stdout, stderr } = await run('psql', ['-X', '-q', '-A', '-t'], { env: environment(way), inputFile: file })
    expect(stderr).toBe('')
    expect(stdout).toBe('3000|4498500|298500\n')
  })

  it('takes a long line with many statements by -c', async () => {
    const text = Array.from({ length: 500 }, (_, i) => `select ${i}`).join(';')
    const { stdout } = await run('psql', ['-X', '-A', '-t', '-c', text], { env: environment(way) })
    expect(stdout.split('\n').length).toBe(501)
  })

  it('PG-16 Ctrl-C ends what runs', async () => {
    const before = Date.now()
    const result = await psql(way, "select pg_sleep(30);\nselect 'and on';\n", {
      started: (child) => setTimeout(() => child.kill('SIGINT'), 700),
    })
    expect(result.stderr).toContain('canceling statement due to user request')
    expect(Date.now() - before).toBeLessThan(15_000)
  })

  it('PG-16 Ctrl-C withdraws what is held', async () => {
    const gateway = way === 'inside TLS' ? encrypted : plain
    const held = new Promise<void>((resolve) => gateway.broker.events.once('requested', () => resolve()))
    const result = await psql(way, "select 'to_be_held';\nselect 'and on';\n", {
      started: (child) => void held.then(() => sleep(200)).then(() => child.kill('SIGINT')),
    })
    expect(result.stderr).toContain('NOTICE')
    expect(result.stderr).toContain('ERROR')
    expect(gateway.broker.list()).toEqual([])
  })

  it('\\watch repeats and is ended by Ctrl-C', async () => {
    const result = await psql(way, 'select 41 + 1 as answer \\watch 0.1\n', {
      started: (child) => setTimeout(() => child.kill('SIGINT'), 1_200),
    })
    expect(result.stdout.match(/42/g)?.length).toBeGreaterThan(2)
  })
})

describe('psql and TLS', () => {
  const attempt = (gateway: TestGateway, more: NodeJS.ProcessEnv): Promise<ProgramResult> =>
    run('psql', ['-X', '-A', '-t', '-c', 'select 1'], { env: libpqEnvironment({ port: gateway.port, more }) })

  it('connects in every sslmode that fits the listener', async () => {
    const PGSSLROOTCERT = join(certificates.dir, 'ca.crt')
    for (const PGSSLMODE of ['require', 'verify-ca', 'verify-full', 'prefer']) {
      expect(await attempt(encrypted, { PGSSLMODE, PGSSLROOTCERT })).toMatchObject({ code: 0, stdout: '1\n' })
    }
    for (const PGSSLMODE of ['disable', 'allow', 'prefer']) {
      expect(await attempt(plain, { PGSSLMODE })).toMatchObject({ code: 0, stdout: '1\n' })
    }
  })

  it('PG-14 is told politely where its sslmode does not fit', async () => {
    const refused = await attempt(encrypted, { PGSSLMODE: 'disable' })
    expect(refused.stderr).toContain('this gateway is reached over TLS only')
    expect((await attempt(plain, { PGSSLMODE: 'require' })).stderr).toContain('does not support SSL')
    const other = { PGSSLMODE: 'verify-full', PGSSLROOTCERT: join(certificates.dir, 'client.crt') }
    expect((await attempt(encrypted, other)).stderr).toContain('certificate verify failed')
  })

  it('PG-17 is not offered a channel that ends at the gateway', async () => {
    const more = { PGSSLMODE: 'require', PGCHANNELBINDING: 'require' }
    const { code, stderr } = await attempt(encrypted, more)
    expect(code).not.toBe(0)
    expect(stderr).toContain('channel binding')
  })

  it('PG-14 a request for GSS encryption is declined and the log-in goes on', async () => {
    expect(await attempt(plain, { PGGSSENCMODE: 'prefer', PGSSLMODE: 'prefer' })).toMatchObject({ stdout: '1\n' })
  })
})
