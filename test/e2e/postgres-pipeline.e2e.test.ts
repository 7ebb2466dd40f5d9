import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Rule } from '../../src/policy/index.js'
import * as m from '../../src/protocols/postgres/messages.js'
import { AGENT, ALLOW_ALL, startGateway, type TestGateway } from '../support/gateway.js'
import { type PostgresServer, startPostgres } from '../support/postgres.js'
import { bind, cellsOf, errorFields, execute, typesOf, Wire, type WireMessage } from '../support/wire.js'

const REFUSED = 'sallyport refused a command'

const RULES: readonly Rule[] = [
  ALLOW_ALL,
  {
    id: 'no-forbidden',
    effect: 'deny',
    match: { text: 'forbidden' },
    message: 'no forbidden things',
  },
]

let server: PostgresServer
let gateway: TestGateway

beforeAll(async () => {
  server = await startPostgres({
    sql: "create table log (id serial, note text); create table secret (ssn text); insert into secret values ('078-05-1120')",
  })
  gateway = await startGateway({ server, rules: RULES })
})

afterAll(async () => {
  await gateway?.stop()
  await server?.stop()
})

const guarded = (): Promise<Wire> => Wire.login({ port: gateway.port, ...AGENT, database: 'postgres' })
const direct = (): Promise<Wire> =>
  Wire.login({ port: server.port, user: server.user, password: server.password, database: 'postgres' })

/** What is comparable of an answer: types, tags, cells, statuses; of errors only that they are there. */
function essence(list: readonly WireMessage[]): string[] {
  return list
    .filter((message) => message.type !== 'S' && message.type !== 'N')
    .map((message) => {
      switch (message.type) {
        case 'D':
          return `D ${cellsOf(message).join('|')}`
        case 'C':
        case 'Z':
          return `${message.type} ${message.body.toString('latin1').replace('\0', '')}`
        default:
          return message.type
      }
    })
}

/** Does the same on both connections, the forbidden text replaced by a syntax error on the direct one. */
async function both(script: (wire: Wire, forbidden: string) => Promise<WireMessage[]>): Promise<[string[], string[]]> {
  const [a, b] = await Promise.all([guarded(), direct()])
  try {
    // One after the other: both write to the same table.
    const through = essence(await script(a, "insert into log (note) values ('forbidden')"))
    const straight = essence(await script(b, REFUSED))
    return [through, straight]
  } finally {
    a.close()
    b.close()
  }
}

const insert = (note: string): string => `insert into log (note) values ('${note}') returning note`

describe('a refusal anywhere in a pipeline', () => {
  const POSITIONS = [0, 1, 2, 3]

  for (const inTransaction of [false, true]) {
    for (const position of POSITIONS) {
      const where = `${inTransaction ? 'inside' : 'outside'} a transaction, at position ${position}`

      it(`PG-4 answers simple queries as the server's own error would, ${where}`, async () => {
        const [through, straight] = await both(async (wire, forbidden) => {
          const texts = POSITIONS.map((i) => (i === position ? forbidden : insert(`s${i}`)))
          const all = [...(inTransaction ? ['begin'] : []), ...texts, ...(inTransaction ? ['commit'] : [])]
          wire.send(...all.map(m.query))
          const answers: WireMessage[] = []
          for (let i = 0; i < all.length; i++) answers.push(...(await wire.until('Z')))
          answers.push(...(await wire.query("select count(*) from log where note like 's%'")))
          await wire.query('truncate log')
          return answers
        })
        expect(through).toEqual(straight)
      })

      it(`PG-2 PG-4 discards extended queries up to Sync, ${where}`, async () => {
        const [through, straight] = await both(async (wire, forbidden) => {
          const answers: WireMessage[] = []
          if (inTransaction) answers.push(...(await wire.query('begin')))
          const parts = POSITIONS.flatMap((i) => [
            m.parse('', i === position ? forbidden : insert(`e${i}`)),
            bind('', ''),
            m.describe('P', ''),
            execute(''),
          ])
          wire.send(...parts, m.sync())
          answers.push(...(await wire.until('Z')))
          // The session goes on, and the implicit transaction was rolled back as a whole.
          wire.send(m.parse('', insert('after')), bind('', ''), execute(''), m.sync())
          answers.push(...(await wire.until('Z')))
          if (inTransaction) answers.push(...(await wire.query('rollback')))
          answers.push(...(await wire.query('select note from log order by id')))
          await wire.query('truncate log')
          return answers
        })
        expect(through).toEqual(straight)
      })

      it(`PG-4 answers several pipelined segments, ${where}`, async () => {
        const [through, straight] = await both(async (wire, forbidden) => {
          const parts = POSITIONS.flatMap((i) => [
            m.parse(`st${i}`, i === position ? forbidden : insert(`p${i}`)),
            bind(`po${i}`, `st${i}`),
            execute(`po${i}`),
            m.closeMessage('S', `st${i}`),
            m.sync(),
          ])
          const answers: WireMessage[] = []
          if (inTransaction) answers.push(...(await wire.query('begin')))
          wire.send(...parts)
          for (let i = 0; i < POSITIONS.length; i++) answers.push(...(await wire.until('Z')))
          if (inTransaction) answers.push(...(await wire.query('commit')))
          answers.push(...(await wire.query('select note from log order by id')))
          await wire.query('truncate log')
          return answers
        })
        expect(through).toEqual(straight)
      })
    }
  }

  it('PG-2 a refused Parse does not let its Bind run the unnamed statement from before', async () => {
    const wire = await guarded()
    wire.send(m.parse('', insert('older')), m.sync())
    await wire.until('Z')
    wire.send(m.parse('', 'select forbidden'), bind('', ''), execute(''), m.sync())
    expect(typesOf(await wire.until('Z'))).toBe('EZ')
    wire.send(bind('', ''), execute(''), m.sync())
    const answer = await wire.until('Z')
    expect(typesOf(answer)).toBe('EZ')
    expect(errorFields(answer[0] as WireMessage)).toMatchObject({ C: '26000' })
    expect(essence(await wire.query('select count(*) from log'))).toContain('D 0')
    wire.close()
  })

  it('PG-4 tells why, by which rule, with the code of a missing privilege', async () => {
    const wire = await guarded()
    const [error, ready] = await wire.query('select forbidden')
    expect(errorFields(error as WireMessage)).toMatchObject({
      S: 'ERROR',
      C: '42501',
      M: 'no forbidden things',
      D: expect.stringContaining('no-forbidden'),
    })
    expect((ready as WireMessage).body.toString()).toBe('I')
    wire.close()
  })

  it('PG-5 an error does not land inside the result of the statement before', async () => {
    const wire = await guarded()
    wire.send(m.query('select g from generate_series(1, 5000) g'), m.query('select forbidden'))
    const first = typesOf(await wire.until('Z'))
    expect(first).toBe(`T${'D'.repeat(5000)}CZ`)
    expect(typesOf(await wire.until('Z'))).toBe('EZ')
    wire.close()
  })

  it('PG-18 a refused statement refuses the whole text of a simple query', async () => {
    const wire = await guarded()
    expect(typesOf(await wire.query(`${insert('one')}; select 'forbidden'; ${insert('two')}`))).toBe('EZ')
    expect(essence(await wire.query('select count(*) from log'))).toContain('D 0')
    wire.close()
  })

  it('PG-11 Flush brings the answer of a refusal without a Sync', async () => {
    const wire = await guarded()
    wire.send(m.parse('', 'select forbidden'), m.flush())
    expect(typesOf(await wire.until('E'))).toBe('E')
    wire.send(m.sync())
    expect(typesOf(await wire.until('Z'))).toBe('Z')
    wire.close()
  })
})

describe('names of statements and portals', () => {
  it('PG-6 SQL-level PREPARE is judged when the protocol binds it, and the other way round', async () => {
    const wire = await guarded()
    expect(typesOf(await wire.query("prepare s1 as insert into log (note) values ('prepared')"))).toBe('CZ')
    wire.send(bind('', 's1'), execute(''), m.sync())
    expect(typesOf(await wire.until('Z'))).toBe('2CZ')
    wire.send(m.parse('s2', 'select 42'), m.sync())
    await wire.until('Z')
    expect(essence(await wire.query('execute s2'))).toContain('D 42')
    expect(typesOf(await wire.query('execute never_prepared'))).toBe('EZ')
    await wire.query('truncate log')
    wire.close()
  })

  it('PG-6 a cursor by DECLARE is run by the protocol, and gone with its transaction', async () => {
    const wire = await guarded()
    await wire.query('begin')
    await wire.query('declare c1 cursor for select g from generate_series(1, 10) g')
    wire.send(execute('c1', 3), m.sync())
    expect(typesOf(await wire.until('Z'))).toBe('DDDsZ')
    expect(essence(await wire.query('fetch 2 from c1'))).toEqual(['T', 'D 4', 'D 5', 'C FETCH 2', 'Z T'])
    await wire.query('commit')
    wire.send(execute('c1', 3), m.sync())
    const answer = await wire.until('Z')
    expect(errorFields(answer[0] as WireMessage)).toMatchObject({ C: '34000' })
    wire.close()
  })

  it('PG-6 a name is taken until it is closed or deallocated, and then free', async () => {
    const wire = await guarded()
    wire.send(m.parse('n', 'select 1'), m.parse('n', 'select 2'), m.sync())
    const twice = await wire.until('Z')
    expect(typesOf(twice)).toBe('1EZ')
    expect(errorFields(twice[1] as WireMessage)).toMatchObject({ C: '42P05' })
    wire.send(m.closeMessage('S', 'n'), m.parse('n', 'select 2'), bind('', 'n'), execute(''), m.sync())
    expect(essence(await wire.until('Z'))).toContain('D 2')
    for (const text of ['deallocate n', 'discard all', 'deallocate all']) {
      await wire.query(text)
      wire.send(m.parse('n', 'select 3'), bind('', 'n'), execute(''), m.sync())
      expect(essence(await wire.until('Z'))).toContain('D 3')
    }
    wire.close()
  })

  it('PG-6 a failed Parse leaves what was there before', async () => {
    const wire = await guarded()
    wire.send(m.parse('keep', 'select 7'), m.sync())
    await wire.until('Z')
    wire.send(m.parse('other', 'select from nowhere_at_all'), m.parse('keep2', 'select 8'), m.sync())
    expect(typesOf(await wire.until('Z'))).toBe('EZ')
    wire.send(bind('', 'keep'), execute(''), m.sync())
    expect(essence(await wire.until('Z'))).toContain('D 7')
    wire.send(bind('', 'keep2'), execute(''), m.sync())
    expect(typesOf(await wire.until('Z'))).toBe('EZ')
    wire.close()
  })

  it('PG-9 an execution in steps goes on where it stopped', async () => {
    const wire = await guarded()
    wire.send(
      m.parse('', 'select g from generate_series(1, 5) g'),
      bind('p', ''),
      execute('p', 2),
      execute('p', 2),
      execute('p', 2),
      m.sync(),
    )
    expect(typesOf(await wire.until('Z'))).toBe('12DDsDDsDCZ')
    wire.close()
  })
})

describe('what a text means can change under way', () => {
  it('SQL-3 the second of two pipelined queries is judged as the server will lex it', async () => {
    const wire = await guarded()
    const text = "select 'a\\', ssn from secret --'"
    wire.send(m.query('set standard_conforming_strings = off'), m.query(text))
    await wire.until('Z')
    const answer = await wire.until('Z')
    // Allow-all lets it pass; what counts is that it was judged with the new state, as unparsed.
    const lexedOff = await new Promise<boolean>((resolve) => {
      gateway.gateway.events.once('judged', (_info, command) => {
        resolve(
          'state' in command && !command.state.standardConformingStrings && command.facts.certainty === 'unparsed',
        )
      })
      wire.send(m.query(text))
    })
    expect(lexedOff).toBe(true)
    expect(typesOf(answer)).toMatch(/^[TDCEZSN]+$/)
    wire.close()
  })

  it('SQL-3 a rollback brings the old meaning back', async () => {
    const wire = await guarded()
    const states: boolean[] = []
    gateway.gateway.events.on('judged', (_info, command) => {
      if ('state' in command) states.push(command.state.standardConformingStrings)
    })
    wire.send(
      m.query('begin'),
      m.query('set standard_conforming_strings = off'),
      m.query('select 1'),
      m.query('rollback'),
      m.query('select 2'),
    )
    for (let i = 0; i < 5; i++) await wire.until('Z')
    gateway.gateway.events.removeAllListeners('judged')
    expect(states).toEqual([true, true, false, false, true])
    wire.close()
  })

  it('SQL-3 within one segment a backslash behind a change is refused', async () => {
    const wire = await guarded()
    const denied: (string | undefined)[] = []
    gateway.gateway.events.on('judged', (_info, command) => {
      if ('facts' in command) denied.push(command.facts.problem)
    })
    wire.send(
      m.parse('', 'set standard_conforming_strings = off'),
      bind('', ''),
      execute(''),
      m.parse('', "select 'a\\', ssn from secret --'"),
      m.sync(),
    )
    await wire.until('Z')
    gateway.gateway.events.removeAllListeners('judged')
    expect(denied.at(-1)).toContain('backslash')
    wire.close()
  })
})
