import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import * as m from '../../../src/protocols/postgres/messages.js'
import { AGENT, ALLOW_ALL, startGateway, type TestGateway } from '../../support/gateway.js'
import { type PostgresServer, startPostgres } from '../../support/postgres.js'
import { bind, cellsOf, errorFields, execute, typesOf, Wire, type WireMessage } from '../../support/wire.js'

/** Held only when it runs: what a name is taken for at that moment is what counts. */
const RULES = [
  ALLOW_ALL,
  { id: 'hold-deletes', effect: 'hold', match: { verbs: 'DELETE' }, hold: { timeoutMs: 300 } },
] as const

const DELETE = 'delete from kept'

let server: PostgresServer
let gateway: TestGateway
let wire: Wire

beforeAll(async () => {
  server = await startPostgres({ sql: 'create table kept (a int); insert into kept values (1), (2)' })
  gateway = await startGateway({ server, rules: RULES })
})

afterEach(async () => {
  wire.close()
  const look = await Wire.login({
    port: server.port,
    user: server.user,
    password: server.password,
    database: 'postgres',
  })
  const rows = (await look.query('select count(*) from kept')).filter((message) => message.type === 'D')
  await look.query('truncate kept; insert into kept values (1), (2)')
  look.close()
  if (rows.map(cellsOf).join(' ') !== '2') throw new Error('a held DELETE ran')
})

afterAll(async () => {
  await gateway?.stop()
  await server?.stop()
})

async function login(): Promise<void> {
  wire = await Wire.login({ port: gateway.port, ...AGENT, database: 'postgres' })
}

async function ready(count: number): Promise<WireMessage[]> {
  const all: WireMessage[] = []
  for (let i = 0; i < count; i++) all.push(...(await wire.until('Z')))
  return all
}

async function codes(count: number): Promise<(string | undefined)[]> {
  return (await ready(count)).filter((message) => message.type === 'E').map((message) => errorFields(message)['C'])
}

/** Fails only when it runs: what stands behind it is never seen by the server. */
const failing = (): Buffer[] => [m.parse('failing', 'select 1 / $1::int'), bind('', 'failing', ['0']), execute('')]

describe('PG-6 a name given again behind a failure still stands for what it stood for', () => {
  it('as a named statement that was closed and parsed anew', async () => {
    await login()
    wire.send(m.parse('n', DELETE), m.sync())
    await ready(1)
    wire.send(
      ...failing(),
      m.closeMessage('S', 'n'),
      m.parse('n', 'select 1'),
      m.sync(),
      bind('', 'n'),
      execute(''),
      m.sync(),
    )
    expect(await codes(2)).toEqual(['22012', '42501'])
  })

  it('as the unnamed statement', async () => {
    await login()
    wire.send(m.parse('', DELETE), m.sync())
    await ready(1)
    wire.send(...failing(), m.parse('', 'select 1'), m.sync(), bind('', ''), execute(''), m.sync())
    expect(await codes(2)).toEqual(['22012', '42501'])
  })

  it('when it is run by SQL', async () => {
    await login()
    wire.send(m.parse('n', DELETE), m.sync())
    await ready(1)
    wire.send(...failing(), m.closeMessage('S', 'n'), m.parse('n', 'select 1'), m.sync(), m.query('execute n'))
    expect(await codes(2)).toEqual(['22012', '42501'])
  })

  it('when the name was taken', async () => {
    await login()
    wire.send(m.parse('n', DELETE), m.sync())
    await ready(1)
    wire.send(m.parse('n', 'select 1'), m.sync(), m.query('execute n'), bind('', 'n'), execute(''), m.sync())
    expect(await codes(3)).toEqual(['42P05', '42501', '42501'])
  })
})

describe('PG-6 EXECUTE stands for what its name means when it runs', () => {
  it('not for what the name meant when the EXECUTE was parsed', async () => {
    await login()
    await wire.query('prepare n as select 1')
    wire.send(m.parse('outer', 'execute n'), m.sync())
    await ready(1)
    await wire.query('deallocate n')
    wire.send(m.parse('n', DELETE), m.sync())
    await ready(1)
    wire.send(bind('', 'outer'), execute(''), m.sync())
    expect(await codes(1)).toEqual(['42501'])
  })

  it('not for what the name meant when the EXECUTE was bound', async () => {
    await login()
    await wire.query('prepare n as select 1')
    await wire.query('begin')
    wire.send(m.parse('outer', 'execute n'), bind('p', 'outer'), m.sync())
    await ready(1)
    await wire.query('deallocate n')
    wire.send(m.parse('n', DELETE), m.sync())
    await ready(1)
    wire.send(execute('p'), m.sync())
    expect(await codes(1)).toEqual(['42501'])
  })

  it('through another EXECUTE', async () => {
    await login()
    wire.send(m.parse('inner', DELETE), m.parse('outer', 'execute "inner"'), m.sync())
    await ready(1)
    wire.send(m.query('execute "outer"'))
    expect(await codes(1)).toEqual(['42501'])
  })
})

describe('PG-6 EXECUTE inside another statement runs what its name stands for', () => {
  it.each(['explain analyze execute n', 'explain (analyze, costs off) execute n'])('%s', async (text) => {
    await login()
    wire.send(m.parse('n', DELETE), m.sync())
    await ready(1)
    wire.send(m.query(text))
    expect(await codes(1)).toEqual(['42501'])
    wire.send(m.parse('', text), bind('', ''), execute(''), m.sync())
    expect(await codes(1)).toEqual(['42501'])
  })

  it('create table as execute', async () => {
    await login()
    wire.send(m.parse('n', `${DELETE} returning a`), m.sync())
    await ready(1)
    wire.send(m.query('create table taken as execute n'))
    // The server takes only SELECT here; what counts is that it was not asked before the hold ended.
    expect(await codes(1)).toEqual(['42501'])
  })
})

it('a name is free again at once where nothing went wrong', async () => {
  await login()
  wire.send(
    m.parse('n', 'select 1'),
    m.sync(),
    m.closeMessage('S', 'n'),
    m.parse('n', 'select 2'),
    m.sync(),
    bind('', 'n'),
    execute(''),
    m.sync(),
  )
  const answers = await ready(3)
  expect(typesOf(answers)).toBe('1Z31Z2DCZ')
  expect(answers.filter((message) => message.type === 'D').map(cellsOf)).toEqual([['2']])
})
