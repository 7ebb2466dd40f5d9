import pg from 'pg'
import postgresJs from 'postgres'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startPostgres, type PostgresServer } from '../../test/support/postgres.js'
import { createPostgresAnalyzer } from '../analysis/sql/postgres/index.js'
import { Secret, type ResultColumn, type SqlAnalyzer } from '../core/index.js'
import type { Judgement, Session } from '../enforcement/types.js'
import { postgres } from '../protocols/postgres/index.js'
import { guardedStream } from '../streams/guarded-stream.js'
import { housekeepingSession } from '../streams/housekeeping.js'
import { createPostgresCatalog, type PostgresCatalog } from '../streams/postgres-catalog.js'
import { targetTransport } from './target.js'

const resource = { name: 'db', protocol: 'postgres' }
const clock = { nowUnixMs: () => Date.now() }

let server: PostgresServer
let catalog: PostgresCatalog
let analyzer: SqlAnalyzer
let opened = 0

beforeAll(async () => {
  analyzer = await createPostgresAnalyzer()
  server = await startPostgres({
    sql: 'CREATE SCHEMA s; CREATE TABLE s.people (id int, gone int, "Full Name" text); ALTER TABLE s.people DROP COLUMN gone; CREATE VIEW s.v AS SELECT id FROM s.people',
  })
  catalog = createPostgresCatalog({
    user: 'catalog',
    database: 'postgres',
    clock,
    analyzer,
    idleMs: 300,
    open: () => {
      opened++
      return guard(housekeepingSession(resource, analyzer))
    },
  })
})

afterAll(async () => {
  catalog?.close()
  await server?.stop()
})

function guard(session: Session, source?: PostgresCatalog) {
  return guardedStream({
    protocol: postgres(),
    session,
    ...targetTransport({ host: server.host, port: server.port }),
    credentials: { user: server.user, password: new Secret(server.password) },
    ...(source === undefined ? {} : { catalog: source }),
  })
}

/** Notes what a masker is told of the columns of each result. */
function onlooker(): { session: Session; columns: ResultColumn[][]; ended: string[] } {
  const columns: ResultColumn[][] = []
  const ended: string[] = []
  const base = housekeepingSession(resource, analyzer)
  const masker = {
    planRows: (described: readonly ResultColumn[]) => {
      columns.push([...described])
      return undefined
    },
    maskText: (text: Uint8Array) => text,
  }
  const session: Session = {
    ...base,
    judge: (command, inform) =>
      ({ ...(base.judge(command, inform) as Judgement), obligations: { masker } }) as Judgement,
    end: (reason) => {
      ended.push(reason)
      return Promise.resolve()
    },
  }
  return { session, columns, ended }
}

describe('a guarded stream under a client', () => {
  it('serves pg, which never holds a password', async () => {
    const { session, columns, ended } = onlooker()
    const client = new pg.Client({ user: 'agent', database: 'postgres', stream: () => guard(session, catalog) })
    await client.connect()
    expect((await client.query('select $1::int + 1 as two', [1])).rows).toEqual([{ two: 2 }])
    await client.query('select p."Full Name", id as x, 1 as y from s.people p')
    const origins = columns.at(-1)?.map((column) => column.origin)
    expect(origins).toEqual([
      { schema: 's', table: 'people', column: 'Full Name' },
      { schema: 's', table: 'people', column: 'id' },
      undefined,
    ])
    await client.end()
    await expect.poll(() => ended.length).toBe(1)
  })

  it('serves postgres.js, which never holds a password', async () => {
    const { session } = onlooker()
    // `socket` is not in its types.
    const options = { user: 'agent', database: 'postgres', max: 1, socket: () => guard(session) }
    const sql = postgresJs(options as postgresJs.Options<Record<string, never>>)
    expect([...(await sql`select ${41}::int + 1 as answer`)]).toEqual([{ answer: 42 }])
    await sql.end()
  })
})

describe('a catalogue', () => {
  it('names relations and columns by number, leaves out what it does not know, and remembers', async () => {
    const oid = await oidOf('s.people')
    const before = opened
    const [relation] = await catalog.relations([oid, 4_000_000_000])
    expect(relation).toMatchObject({ oid, schema: 's', name: 'people' })
    expect(relation?.columns[1]).toBe('id')
    expect(relation?.columns[2]).toBeUndefined()
    expect(relation?.columns[3]).toBe('Full Name')
    expect((await catalog.relations([oid])).length).toBe(1)
    expect(opened - before).toBeLessThanOrEqual(1)
  })

  it('sees a rename after it was told that the catalogue changed', async () => {
    const oid = await oidOf('s.people')
    await catalog.relations([oid])
    await run('ALTER TABLE s.people RENAME COLUMN "Full Name" TO nick')
    expect((await catalog.relations([oid]))[0]?.columns[3]).toBe('Full Name')
    catalog.invalidate()
    expect((await catalog.relations([oid]))[0]?.columns[3]).toBe('nick')
  })

  it('opens one connection for look-ups that come together, and closes it when idle', async () => {
    const [people, view] = [await oidOf('s.people'), await oidOf('s.v')]
    await expect.poll(() => sideConnections(), { timeout: 5_000 }).toBe(0)
    catalog.invalidate()
    const before = opened
    const answers = await Promise.all([
      catalog.relations([people]),
      catalog.relations([view]),
      catalog.relations([view]),
    ])
    expect(answers.map((answer) => answer[0]?.name)).toEqual(['people', 'v', 'v'])
    expect(opened - before).toBe(1)
    await expect.poll(() => sideConnections(), { timeout: 5_000 }).toBe(0)
  })

  it('PG-15 is not misled by what a user of the database created', async () => {
    await run(`
      CREATE FUNCTION s.lie(oid, oid) RETURNS bool LANGUAGE sql AS 'select true';
      CREATE OPERATOR s.= (leftarg = oid, rightarg = oid, function = s.lie);
      CREATE TABLE s.pg_class (oid oid, relnamespace oid, relname name);
      ALTER ROLE postgres SET search_path = s, pg_catalog`)
    try {
      const fresh = createPostgresCatalog({
        user: 'catalog',
        database: 'postgres',
        clock,
        analyzer,
        open: () => guard(housekeepingSession(resource, analyzer)),
      })
      const oid = await oidOf('s.people')
      expect(await fresh.relations([oid])).toMatchObject([{ name: 'people', oid }])
      fresh.close()
    } finally {
      await run('ALTER ROLE postgres RESET search_path')
    }
  })

  it('fails where the catalogue cannot be read', async () => {
    const broken = createPostgresCatalog({
      user: 'catalog',
      database: 'no such database',
      clock,
      analyzer,
      open: () => guard(housekeepingSession(resource, analyzer)),
    })
    await expect(broken.relations([1])).rejects.toThrow('3D000')
    await expect(broken.relations([1])).rejects.toThrow('3D000')
    broken.close()
  })
})

async function run(text: string): Promise<pg.QueryResult> {
  const client = new pg.Client({ host: server.socketDir, port: server.port, user: server.user, database: 'postgres' })
  await client.connect()
  try {
    return await client.query(text)
  } finally {
    await client.end()
  }
}

async function oidOf(name: string): Promise<number> {
  return (await run(`select '${name}'::regclass::oid::int as oid`)).rows[0].oid
}

async function sideConnections(): Promise<number> {
  const text = "select count(*)::int as n from pg_stat_activity where application_name = 'sallyport catalogue'"
  return (await run(text)).rows[0].n
}
