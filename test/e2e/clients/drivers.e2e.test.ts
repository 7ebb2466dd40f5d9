import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import pg from 'pg'
import QueryStream from 'pg-query-stream'
import postgresJs from 'postgres'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Certificates, makeCertificates } from '../../../src/gateway/gateway.test-support.js'
import { AGENT, ALLOW_ALL, startGateway, type TestGateway } from '../../support/gateway.js'
import { type PostgresServer, startPostgres } from '../../support/postgres.js'

const RULES = [
  ALLOW_ALL,
  { id: 'no-forbidden', effect: 'deny', match: { text: 'forbidden' }, message: 'no forbidden things' },
] as const

let server: PostgresServer
let certificates: Certificates
const gateways: Record<string, TestGateway> = {}

beforeAll(async () => {
  certificates = makeCertificates()
  server = await startPostgres({
    ssl: { cert: certificates.cert, key: certificates.key },
    sql: 'create table note (id serial primary key, body text unique, at timestamptz, tags text[], doc jsonb)',
  })
  gateways['in the clear'] = await startGateway({ server, rules: RULES })
  gateways['inside TLS'] = await startGateway({
    server,
    rules: RULES,
    listenerTls: { key: certificates.key, cert: certificates.cert },
    targetTls: { mode: 'verify-full', ca: certificates.ca, serverName: 'localhost' },
  })
})

afterAll(async () => {
  await Promise.all(Object.values(gateways).map((gateway) => gateway.stop()))
  await server?.stop()
  certificates?.remove()
})

const WAYS = ['in the clear', 'inside TLS'] as const

function options(way: string) {
  const { port } = gateways[way] as TestGateway
  const ssl = way === 'inside TLS' ? { ca: certificates.ca } : undefined
  return {
    host: 'localhost',
    port,
    database: 'postgres',
    user: AGENT.user,
    password: AGENT.password,
    ...(ssl && { ssl }),
  }
}

describe.each(WAYS)('pg, %s', (way) => {
  async function connected<T>(use: (client: pg.Client) => Promise<T>): Promise<T> {
    const client = new pg.Client(options(way))
    await client.connect()
    try {
      return await use(client)
    } finally {
      await client.end()
    }
  }

  it('asks simply, with parameters, and by name', () =>
    connected(async (client) => {
      expect((await client.query('select 1 as one; select 2 as two')) as unknown).toMatchObject([
        { rows: [{ one: 1 }] },
        { rows: [{ two: 2 }] },
      ])
      const typed = await client.query(
        'select $1::int as i, $2::text as t, $3::timestamptz as d, $4::jsonb as j, $5::text[] as a, $6::bytea as b',
        [7, 'sieben', new Date(0), { a: 1 }, ['x', 'y'], Buffer.from([0, 255])],
      )
      expect(typed.rows).toEqual([
        { i: 7, t: 'sieben', d: new Date(0), j: { a: 1 }, a: ['x', 'y'], b: Buffer.from([0, 255]) },
      ])
      for (let i = 0; i < 20; i++) {
        const { rows } = await client.query({ name: 'named', text: 'select $1::int * 2 as n', values: [i] })
        expect(rows).toEqual([{ n: i * 2 }])
      }
      expect((await client.query({ text: 'select 1 as a, 2 as b', rowMode: 'array' })).rows).toEqual([[1, 2]])
      expect((await client.query('')).rows).toEqual([])
    }))

  it('takes errors and refusals, and goes on', () =>
    connected(async (client) => {
      await expect(client.query('select 1/0')).rejects.toMatchObject({ code: '22012' })
      await expect(client.query('select $1::int', ['x'])).rejects.toMatchObject({ code: '22P02' })
      for (const query of ['select 1 as forbidden', { name: 'n', text: 'select $1::int as forbidden', values: [1] }]) {
        await expect(client.query(query)).rejects.toMatchObject({ code: '42501', message: 'no forbidden things' })
      }
      expect((await client.query('select 1 as one')).rows).toEqual([{ one: 1 }])
    }))

  it('commits, rolls back, and is aborted by a refusal', () =>
    connected(async (client) => {
      await client.query('begin')
      await client.query('insert into note (body) values ($1)', ['gone'])
      await expect(client.query('select 1 as forbidden')).rejects.toThrow('no forbidden things')
      await expect(client.query('select 1')).rejects.toMatchObject({ code: '25P02' })
      await client.query('commit')
      expect((await client.query('select count(*)::int as n from note')).rows).toEqual([{ n: 0 }])
    }))

  it('queues on one connection, and shares ten of a pool', async () => {
    const pool = new pg.Pool({ ...options(way), max: 10 })
    const answers = await Promise.all(
      Array.from({ length: 200 }, (_, i) => pool.query('select $1::int as i, pg_backend_pid() as pid', [i])),
    )
    expect(answers.map(({ rows }) => rows[0].i)).toEqual(Array.from({ length: 200 }, (_, i) => i))
    expect(new Set(answers.map(({ rows }) => rows[0].pid)).size).toBeGreaterThan(1)
    await pool.end()
  })

  it('listens and notifies', () =>
    connected(async (listener) => {
      const heard: string[] = []
      listener.on('notification', ({ payload }) => heard.push(payload ?? ''))
      await listener.query('listen news')
      await connected((client) => client.query("select pg_notify('news', 'hello'), pg_notify('news', 'again')"))
      await expect.poll(() => heard).toEqual(['hello', 'again'])
    }))

  it('streams 200 000 rows by a cursor, and gives up in the middle', () =>
    connected(async (client) => {
      let sum = 0
      for await (const row of client.query(
        new QueryStream('select g from generate_series(1, $1) g', [200_000], { batchSize: 1_000 }),
      ))
        sum += row.g
      expect(sum).toBe(20_000_100_000)
      let seen = 0
      for await (const _row of client.query(new QueryStream('select g from generate_series(1, 100000) g')))
        if (++seen === 250) break
      expect((await client.query('select 1 as one')).rows).toEqual([{ one: 1 }])
    }))
})

describe.each(WAYS)('postgres.js, %s', (way) => {
  async function connected<T>(use: (sql: postgresJs.Sql) => Promise<T>, max = 1): Promise<T> {
    const { user, ...rest } = options(way)
    const sql = postgresJs({ ...rest, username: user, max, onnotice: () => undefined })
    try {
      return await use(sql)
    } finally {
      await sql.end()
    }
  }

  it('asks by tagged templates, with arrays, JSON and dates', () =>
    connected(async (sql) => {
      const at = new Date(1_700_000_000_000)
      const tags = ['a', 'b"c', 'd,e']
      const [row] =
        await sql`insert into note (body, at, tags, doc) values (${`${way} é`}, ${at}, ${tags}, ${sql.json({ n: [1, null] })}) returning *`
      expect(row).toMatchObject({ body: `${way} é`, at, tags, doc: { n: [1, null] } })
      expect(await sql`select ${1}::int + ${2}::int as three, ${sql.array([1, 2])}::int[] as list`).toMatchObject([
        { three: 3, list: [1, 2] },
      ])
      expect(await sql`select * from ${sql('note')} where ${sql('body')} in ${sql([`${way} é`])}`).toHaveLength(1)
      expect((await sql`select 1; select 2`.simple()) as unknown).toMatchObject([[{}], [{}]])
      await sql`delete from note`
    }))

  it('prepares once and pipelines many', () =>
    connected(async (sql) => {
      const answers = await Promise.all(Array.from({ length: 500 }, (_, i) => sql`select ${i}::int as i`))
      expect(answers.map(([row]) => row?.['i'])).toEqual(Array.from({ length: 500 }, (_, i) => i))
      const mixed = await Promise.allSettled([
        sql`select 1 as a`,
        sql`select 1/0`,
        sql`select 'forbidden'`,
        sql`select 2 as b`,
        sql`select nothing`,
      ])
      expect(mixed.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'rejected', 'fulfilled', 'rejected'])
    }))

  it('does transactions and savepoints', () =>
    connected(async (sql) => {
      await sql.begin(async (tx) => {
        await tx`insert into note (body) values ('kept')`
        await tx
          .savepoint(async (inner) => {
            await inner`insert into note (body) values ('dropped')`
            await inner`select 'forbidden'`
          })
          .catch((error: Error) => expect(error.message).toBe('no forbidden things'))
      })
      expect(await sql`select body from note`).toEqual([{ body: 'kept' }])
      await expect(sql.begin(async (tx) => [await tx`delete from note`, await tx`select 'forbidden'`])).rejects.toThrow(
        'no forbidden',
      )
      expect(await sql`delete from note returning body`).toEqual([{ body: 'kept' }])
    }))

  it('reads by cursor and row by row', () =>
    connected(async (sql) => {
      let count = 0
      for await (const rows of sql`select generate_series(1, 10000) as g`.cursor(333)) count += rows.length
      expect(count).toBe(10_000)
      await sql`select generate_series(1, 10000) as g`.cursor(10, () => sql.CLOSE)
      let sum = 0
      await sql`select generate_series(1, 10000) as g`.forEach((row) => (sum += row['g']))
      expect(sum).toBe(50_005_000)
    }))

  it('copies in and out as streams', () =>
    connected(async (sql) => {
      await sql`create temp table copied (a int, b text)`
      const lines = Array.from({ length: 20_000 }, (_, i) => `${i}\trow ${i}\n`)
      await pipeline(Readable.from(lines), await sql`copy copied from stdin`.writable())
      expect(await sql`select count(*)::int as n, sum(a)::int as sum from copied`).toEqual([
        { n: 20_000, sum: 199_990_000 },
      ])
      const out: Buffer[] = []
      for await (const chunk of await sql`copy (select * from copied order by a) to stdout`.readable()) out.push(chunk)
      expect(Buffer.concat(out).toString()).toBe(lines.join(''))
    }))

  it('listens', () =>
    connected(async (sql) => {
      const heard: string[] = []
      await sql.listen('words', (word) => heard.push(word))
      await sql.notify('words', 'heard')
      await expect.poll(() => heard).toEqual(['heard'])
    }, 3))

  it('cancels a query', () =>
    connected(async (sql) => {
      await sql`select 1`
      const slow = sql`select pg_sleep(30)`
      setTimeout(() => slow.cancel(), 300)
      await expect(slow).rejects.toMatchObject({ code: '57014' })
      expect(await sql`select 1 as one`).toEqual([{ one: 1 }])
    }))
})
