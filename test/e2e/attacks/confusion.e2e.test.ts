import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { CommandAnswer, SqlCommand } from '../../../src/core/index.js'
import type { Rule } from '../../../src/policy/index.js'
import * as m from '../../../src/protocols/postgres/messages.js'
import { AGENT, ALLOW_ALL, startGateway, type TestGateway } from '../../support/gateway.js'
import { type PostgresServer, startPostgres } from '../../support/postgres.js'
import { bind, cellsOf, errorFields, execute, frame, typesOf, Wire, type WireMessage } from '../../support/wire.js'

/** Held only when it runs: what a name is taken for at that moment is what counts. */
const RULES: readonly Rule[] = [
  { ...ALLOW_ALL, mask: { columns: ['secret.ssn', 'late.ssn', 'b.t.x'] } },
  { id: 'hold-deletes', effect: 'hold', match: { verbs: 'DELETE' }, hold: { timeoutMs: 300 } },
  { id: 'caps', effect: 'allow', match: { text: '(?s).*capped.*' }, maxRows: 3 },
]

const SSN = '078-05-1120'
const SCHEMA = `
  create table kept (a int); insert into kept values (1), (2);
  create table secret (ssn text); insert into secret values ('${SSN}');
  create table loaded (a text);
  create schema a; create schema b;
  create table a.t (x text); insert into a.t values ('open');
  create table b.t (x text); insert into b.t values ('${SSN}');
  create table ruled (a int);
  create rule two_results as on insert to ruled do also (select a from kept; select ssn from secret);
  create table late (ssn text unique deferrable initially deferred); insert into late select ssn from secret;
`

let server: PostgresServer
let gateway: TestGateway
let wire: Wire
const judged: string[] = []
const answers = new Map<number, CommandAnswer>()
const commands = new Map<number, SqlCommand>()

beforeAll(async () => {
  server = await startPostgres({ sql: SCHEMA })
  gateway = await startGateway({ server, rules: RULES })
  gateway.gateway.events.on('judged', (_info, command, judgement) => {
    judged.push(command.text)
    if (judgement.permitted && command.kind === 'sql') commands.set(command.id, command)
  })
  gateway.gateway.events.on('answered', (_info, id, answer) => answers.set(id, answer))
})

beforeEach(async () => {
  judged.length = 0
  answers.clear()
  commands.clear()
  wire = await Wire.login({ port: gateway.port, ...AGENT, database: 'postgres' })
})

afterEach(async () => {
  wire.close()
  const rows = await direct('select count(*) from kept')
  await direct('truncate kept; insert into kept values (1), (2)')
  if (rows.join() !== '2') throw new Error('a held DELETE ran')
})

afterAll(async () => {
  await gateway?.stop()
  await server?.stop()
})

async function direct(text: string): Promise<(string | null)[]> {
  const { port, user, password } = server
  const look = await Wire.login({ port, user, password, database: 'postgres' })
  const messages = await look.query(text)
  look.close()
  return messages.filter((message) => message.type === 'D').flatMap(cellsOf)
}

async function ready(count: number): Promise<WireMessage[]> {
  const all: WireMessage[] = []
  for (let i = 0; i < count; i++) all.push(...(await wire.until('Z', 4_000)))
  return all
}

const codesOf = (list: readonly WireMessage[]): (string | undefined)[] =>
  list.filter((message) => message.type === 'E').map((message) => errorFields(message)['C'])
const rowsOf = (list: readonly WireMessage[]): (string | null)[] =>
  list.filter((message) => message.type === 'D').flatMap(cellsOf)

const DELETE = 'delete from kept'
const failing = (): Buffer[] => [m.parse('failing', 'select 1 / $1::int'), bind('', 'failing', ['0']), execute('')]

describe('PG-6 what a name stands for', () => {
  const long = 'n'.repeat(63)

  it('counts the 63 bytes of a name that the server looks at', async () => {
    wire.send(m.parse(`${long}x`, 'select 1'), m.closeMessage('S', `${long}y`), m.parse(`${long}z`, DELETE), m.sync())
    await ready(1)
    wire.send(bind('', `${long}x`), execute(''), m.sync())
    expect(codesOf(await ready(1))).toEqual(['42501'])
  })

  it('counts them of a portal too', async () => {
    wire.send(m.query('begin'), m.parse('s', 'select ssn from secret'), m.parse('h', 'select 1'))
    wire.send(
      bind(`${long}x`, 'h'),
      m.closeMessage('P', `${long}y`),
      bind(`${long}z`, 's'),
      execute(`${long}x`),
      m.sync(),
    )
    expect(rowsOf(await ready(2))).not.toContain(SSN)
  })

  it('is not given back by a failure after a later segment gave it anew', async () => {
    wire.send(m.parse('s', 'select 1'), m.sync())
    await ready(1)
    wire.send(m.parse('s', 'select 2'), m.sync(), m.closeMessage('S', 's'), m.parse('s', DELETE), m.sync())
    expect(codesOf(await ready(2))).toEqual(['42P05'])
    wire.send(bind('', 's'), execute(''), m.sync())
    expect(codesOf(await ready(1))).toEqual(['42501'])
  })

  it('survives two failed segments in a row', async () => {
    wire.send(m.parse('', DELETE), m.sync())
    await ready(1)
    wire.send(...failing(), m.parse('', 'select 1'), m.sync(), ...failing(), m.parse('', 'select 2'), m.sync())
    await ready(2)
    wire.send(bind('', ''), execute(''), m.sync())
    expect(codesOf(await ready(1))).toEqual(['42501'])
  })

  it('is the same in every encoding', async () => {
    const name = Buffer.from([0xc3, 0xa9])
    const parseRaw = (text: string): Buffer => frame('P', Buffer.concat([name, Buffer.from(`\0${text}\0\0\0`)]))
    await wire.query('set client_encoding to latin1')
    wire.send(parseRaw('select 1'), m.sync())
    await ready(1)
    const raw = (text: string): Buffer => frame('Q', Buffer.concat([Buffer.from(text, 'latin1'), Buffer.from([0])]))
    wire.send(raw('deallocate "\u00c3\u00a9"'))
    await ready(1)
    wire.send(raw(`prepare "\u00c3\u00a9" as ${DELETE}`))
    await ready(1)
    wire.send(
      frame('B', Buffer.concat([Buffer.from([0]), name, Buffer.from([0, 0, 0, 0, 0, 0, 0])])),
      execute(''),
      m.sync(),
    )
    expect(codesOf(await ready(1)).length).toBe(1)
  })
})

describe('an answer belongs to its own command', () => {
  it('when a Query follows a COPY FROM STDIN at once', async () => {
    wire.send(m.query('copy loaded from stdin'), m.query('select 7'), m.query('select ssn from secret'))
    const all = await ready(2).catch(() => [])
    expect(rowsOf([...all, ...wire.received])).not.toContain(SSN)
  })

  it('when a COPY FROM STDIN fails on the server while data comes', async () => {
    wire.send(m.query('copy kept from stdin'), frame('d', Buffer.from('x\n')), frame('d', Buffer.from('y\n')))
    wire.send(frame('c'), m.query('select 1'), m.query('select ssn from secret'))
    const all = await ready(3)
    expect(typesOf(all)).toMatch(/^GEZTDCZTDCZ$/)
    expect(rowsOf(all)).not.toContain(SSN)
  })

  it('when Sync and a Query follow an Execute of COPY FROM STDIN', async () => {
    wire.send(m.parse('', 'copy loaded from stdin'), bind('', ''), execute(''), m.sync())
    wire.send(frame('d', Buffer.from('x\n')), frame('c'), m.sync(), m.query('select ssn from secret'))
    const all = await ready(2)
    expect(typesOf(all)).toBe('12GCZTDCZ')
    expect(rowsOf(all)).not.toContain(SSN)
  })
})

describe('MASK-10 a plan belongs to the rows it was made for', () => {
  it('where a rule adds a second result to one statement', async () => {
    const all = await wire.query('insert into ruled select 1 from secret')
    expect(typesOf(all)).toMatch(/^TD*TDCZ$/)
    expect(rowsOf(all)).not.toContain(SSN)
  })

  it('where search_path changed since the statement was described', async () => {
    await wire.query('set search_path to a')
    wire.send(m.parse('s', 'select x from t'), m.describe('S', 's'), m.sync())
    await ready(1)
    await wire.query('set search_path to b')
    wire.send(bind('', 's'), execute(''), m.sync())
    const rows = rowsOf(await ready(1))
    expect(rows).toHaveLength(1)
    expect(rows).not.toContain(SSN)
  })

  it('where a temporary table stood in its place when it was described', async () => {
    await wire.query('create temp table t (x text)')
    await wire.query('set search_path to b')
    wire.send(m.parse('s', 'select x from t'), m.describe('S', 's'), m.sync())
    await ready(1)
    await wire.query('drop table pg_temp.t')
    wire.send(bind('', 's'), execute(''), m.sync())
    const rows = rowsOf(await ready(1))
    expect(rows).toHaveLength(1)
    expect(rows).not.toContain(SSN)
  })
})

describe('MASK-3 an error belongs to what it is about', () => {
  it('where a constraint is looked at when the client syncs', async () => {
    wire.send(m.parse('', 'insert into late select ssn from secret'), bind('', ''), execute(''), m.sync())
    const [error] = (await ready(1)).filter((message) => message.type === 'E')
    expect(errorFields(error as WireMessage)['C']).toBe('23505')
    expect(JSON.stringify(errorFields(error as WireMessage))).not.toContain(SSN)
  })
})

describe('a cut', () => {
  const answerOf = (): CommandAnswer | undefined => answers.get([...commands.keys()].at(-1) as number)

  it('undoes what ran in its pipeline, also where the server was done by then', async () => {
    await wire.query('create temp table w (a int)')
    wire.send(
      m.parse('', 'insert into w select generate_series(1, 4) returning a as capped'),
      bind('', ''),
      execute(''),
      m.sync(),
    )
    expect(typesOf(await ready(1))).toBe('12DDDEZ')
    expect(rowsOf(await wire.query('select count(*) from w'))).toEqual(['0'])
  })

  it('is recorded as completed where the server was done by then', async () => {
    await wire.query('create temp table w (a int)')
    expect(typesOf(await wire.query('insert into w select generate_series(1, 4) returning a as capped'))).toBe('TDDDEZ')
    const answer = answerOf()
    const [count] = rowsOf(await wire.query('select count(*) from w'))
    expect(answer).toMatchObject({ outcome: count === '4' ? 'completed' : 'failed', errorCode: '54000' })
  })

  it('does not hide what else ran in the Query', async () => {
    await wire.query('set search_path to b')
    await wire.query('select generate_series(1, 4) as capped; set search_path to a')
    const [path] = rowsOf(await wire.query('show search_path'))
    expect([undefined, path]).toContain([...commands.values()].at(-1)?.state.searchPath)
  })
})

describe('SQL-3 settings that were undone', () => {
  const pathOf = (): string | undefined => [...commands.values()].at(-1)?.state.searchPath

  for (const [what, text] of [
    ['by an error in the same Query', 'set search_path to a; select 1/0'],
    ['by the end of a transaction in the same Query', 'begin; set local search_path to a; commit'],
    ['by the end of the implicit transaction', 'set local search_path to a; select 1'],
    ['by ROLLBACK in the same Query', 'begin; set search_path to a; rollback'],
  ] as const) {
    it(`are not believed any more: ${what}`, async () => {
      await wire.query(text)
      await wire.query('select 1')
      expect(pathOf()).toBeUndefined()
    })
  }

  it('are not believed any more: by COMMIT AND CHAIN', async () => {
    await wire.query('begin')
    await wire.query('set local search_path to a')
    await wire.query('commit and chain')
    await wire.query('select 1')
    expect(pathOf()).toBeUndefined()
  })

  it('are not believed any more: by an error in the same segment', async () => {
    wire.send(m.parse('', 'set search_path to a'), bind('', ''), execute(''), ...failing(), m.sync())
    await ready(1)
    await wire.query('select 1')
    expect(pathOf()).toBeUndefined()
  })
})

describe('nothing waits for what nobody will send', () => {
  it('a backslash behind a write in a pipeline', async () => {
    wire.send(m.parse('', "insert into loaded values ('a')"), bind('', ''), execute(''), m.sync())
    wire.send(m.parse('x', 'select 1'), m.parse('y', "select '\\'"), m.sync())
    expect(typesOf(await ready(2))).toBe('12CZ11Z')
  })
})

describe('the record', () => {
  it('has an answer for a command whose client vanished', async () => {
    wire.send(m.query('select pg_sleep(0.3)'))
    await new Promise((resolve) => setTimeout(resolve, 100))
    wire.socket.resetAndDestroy()
    await new Promise((resolve) => setTimeout(resolve, 600))
    expect([...commands.keys()].every((id) => answers.has(id))).toBe(true)
  })
})
