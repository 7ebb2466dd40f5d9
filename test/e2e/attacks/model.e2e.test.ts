import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Rule } from '../../../src/policy/index.js'
import { WITHHELD_TEXT } from '../../../src/protocols/postgres/mask-messages.js'
import * as m from '../../../src/protocols/postgres/messages.js'
import { AGENT, ALLOW_ALL, startGateway, type TestGateway } from '../../support/gateway.js'
import { type PostgresServer, startPostgres } from '../../support/postgres.js'
import { bind, cellsOf, errorFields, execute, frame, int16, int32, Wire, type WireMessage } from '../../support/wire.js'

/**
 * Random conversations with a real server. The server itself is the model: through a gateway that allows everything every
 * answer is the same byte for byte, and through one that does not, what it refuses never runs, whatever surrounds it.
 */

const RUNS = Number(process.env['MODEL_RUNS'] ?? 300)
/**
 * The same conversations every time, so that whoever changes something else is not surprised by them. Whoever changes the
 * state machine runs more, with other seeds: `MODEL_RUNS=5000 MODEL_SEED=$RANDOM`.
 */
const SEED = Number(process.env['MODEL_SEED'] ?? 4_711)

const SSN = '078-05-1120'
const SCHEMA = `
  create table kept (a int primary key, b text);
  create table deferred (a int unique deferrable initially deferred);
  create table secret (ssn text); insert into secret values ('${SSN}');
  create schema other; create table other.secret (ssn text); insert into other.secret values ('open');
  create table forbidden (a int);
  create table guarded (a int); insert into guarded values (1);
  create sequence deletes;
  create function count_delete() returns trigger language plpgsql as 'begin perform nextval(''deletes''); return null; end';
  create trigger counted before delete on guarded for each statement execute function count_delete();
`
const RESET =
  'truncate kept, deferred; insert into kept values (1, $$x$$), (2, $$y$$), (3, $$z$$); insert into deferred values (1)'

/** What anybody may do. */
const HARMLESS = [
  'select 1 as one',
  'select a, b from kept order by a',
  'select $1::int + 1 as sum',
  'select 1 / $1::int as quotient',
  'select $1::int, generate_series(1, 5)',
  "select '\\', b from kept order by a",
  "select set_config('search_path', 'other, public', false)",
  'show search_path',
  'show standard_conforming_strings',
  'selec',
  'select nothing from nowhere',
  'insert into kept values (4, null)',
  'insert into kept values (5, null) returning a, b',
  'insert into deferred values (1)',
  'update kept set b = upper(b)',
  'begin',
  'commit',
  'commit and chain',
  'rollback',
  'savepoint s',
  'rollback to s',
  'release s',
  'set search_path to other, public',
  'set local search_path to other, public',
  'set standard_conforming_strings to off',
  'reset all',
  'discard all',
  'discard plans',
  'prepare a as select a from kept order by a',
  'prepare b as insert into kept values (6, null)',
  'prepare b as select $1::int',
  'execute a',
  'execute b',
  'execute b (7)',
  'deallocate a',
  'deallocate b',
  'deallocate all',
  'declare p cursor for select a from kept order by a',
  'declare q cursor with hold for select generate_series(1, 3) as n',
  'fetch 2 from p',
  'fetch q',
  'move p',
  'close p',
  'close all',
  'select 1; ; select 2',
  'select 1; select 1/0; select 3',
  'begin; insert into kept values (8, null); commit',
  'set search_path to other, public; select 1/0',
  'prepare a as select 3; execute a; deallocate a',
  'deallocate all; prepare a as select 4',
  'explain (costs off) execute a',
  'copy kept to stdout',
  'do $$ begin null; end $$',
  'lock kept',
] as const

/** What runs into a rule: denied outright, held where it runs, or masked. */
const HARMFUL = [
  'select a from forbidden',
  'select 1; select a from forbidden',
  'prepare a as select a from forbidden',
  'declare p cursor for select a from forbidden',
  'delete from guarded',
  'with d as (delete from guarded returning a) select a from d',
  'prepare a as delete from guarded',
  'prepare b as delete from guarded',
  'deallocate all; prepare a as delete from guarded',
  'select ssn from secret',
  'select ssn, 1 from public.secret',
  'select ssn from other.secret',
  'prepare a as select ssn from secret',
  'prepare b as select ssn || $$!$$ as s from secret',
  'declare p cursor for select ssn from secret',
  'declare q cursor with hold for select ssn from secret',
  'copy secret to stdout',
  'copy (select ssn from secret) to stdout',
] as const

const DENIALS: readonly Rule[] = [
  { ...ALLOW_ALL, mask: { columns: ['public.secret.ssn'] } },
  { id: 'deny', effect: 'deny', match: { tables: 'forbidden' } },
  { id: 'hold', effect: 'hold', match: { tables: 'guarded' }, hold: { timeoutMs: 1 } },
]

/** One or more messages, and how they read when a sequence fails. */
interface Step {
  readonly says: string
  readonly bytes: Buffer
}

const STATEMENTS = ['', 'a', 'b'] as const
const PORTALS = ['', 'p', 'q'] as const
const statement = fc.constantFrom(...STATEMENTS)
const portal = fc.constantFrom(...PORTALS)
const step = (says: string, ...parts: Buffer[]): Step => ({ says, bytes: Buffer.concat(parts) })

function stepsOf(texts: readonly string[]): fc.Arbitrary<Step> {
  const text = fc.constantFrom(...texts)
  // PostgreSQL ends the session where EXECUTE runs the first of these, and crashes where it runs one of the others.
  const kept = fc.constantFrom(
    ...texts.filter((one) => !/^(?:begin|commit|rollback|savepoint|release)|deallocate|discard|close/.test(one)),
  )
  const parse = (name: string, sql: string): Step => step(`P ${name}=${sql}`, m.parse(name, sql))
  const value = fc.constantFrom(null, '0', '2', 'x')
  const bound = fc.tuple(portal, statement, fc.option(value, { nil: undefined }), fc.constantFrom(0, 1))
  return fc.oneof(
    { weight: 4, arbitrary: fc.tuple(statement, kept).map(([name, sql]) => parse(name, sql)) },
    {
      weight: 4,
      arbitrary: bound.map(([to, from, given, format]) =>
        step(`B ${to}<-${from} ${given} ${format}`, bind(to, from, given === undefined ? [] : [given], [format])),
      ),
    },
    {
      weight: 4,
      arbitrary: fc
        .tuple(portal, fc.constantFrom(0, 0, 1, 2))
        .map(([name, rows]) => step(`E ${name} ${rows}`, execute(name, rows))),
    },
    {
      weight: 4,
      arbitrary: fc
        .tuple(fc.oneof(fc.tuple(fc.constant(''), text), fc.tuple(statement, kept)), portal, fc.constantFrom(0, 2))
        .map(([[from, sql], to, rows]) =>
          step(`PBE ${from}=${sql} ${to} ${rows}`, m.parse(from, sql), bind(to, from), execute(to, rows)),
        ),
    },
    { weight: 1, arbitrary: statement.map((name) => step(`DS ${name}`, m.describe('S', name))) },
    { weight: 1, arbitrary: portal.map((name) => step(`DP ${name}`, m.describe('P', name))) },
    { weight: 2, arbitrary: statement.map((name) => step(`CS ${name}`, m.closeMessage('S', name))) },
    { weight: 2, arbitrary: portal.map((name) => step(`CP ${name}`, m.closeMessage('P', name))) },
    { weight: 4, arbitrary: fc.constant(step('S', m.sync())) },
    { weight: 1, arbitrary: fc.constant(step('H', m.flush())) },
    // Behind a Sync: a Query that an error discards does not do away with the unnamed statement, and we hold that it does.
    { weight: 4, arbitrary: text.map((sql) => step(`S Q ${sql}`, m.sync(), m.query(sql))) },
    {
      weight: 1,
      arbitrary: fc.constantFrom('9\t\\N\n', 'x\n').map((data) => {
        const copy = m.query('copy kept from stdin')
        return step(`S Q copy ${JSON.stringify(data)}`, m.sync(), copy, frame('d', Buffer.from(data)), frame('c'))
      }),
    },
    {
      weight: 1,
      arbitrary: fc.constantFrom('9\t\\N\n', 'x\n').map((data) => {
        const parts = [m.parse('', 'copy kept from stdin'), bind('', ''), execute('')]
        // Bound again, it would wait for data and take the messages behind it for some.
        const gone = m.closeMessage('S', '')
        return step(
          `PBE copy ${JSON.stringify(data)}`,
          ...parts,
          frame('d', Buffer.from(data)),
          frame('c'),
          m.sync(),
          gone,
        )
      }),
    },
    // int4pl
    {
      weight: 1,
      arbitrary: fc.constant(
        step(
          'S F 177',
          m.sync(),
          frame('F', Buffer.concat([int32(177), int16(0), int16(1), int32(1), Buffer.from('2'), int16(0)])),
        ),
      ),
    },
  )
}

/** Few names, few texts and many failures: what stands for what is all that happens here. */
function confusingSteps(): fc.Arbitrary<Step> {
  const text = fc.constantFrom('select 1 as one', 'delete from guarded', 'select ssn from secret')
  const settings = fc.constantFrom('set standard_conforming_strings to off', 'reset all')
  const backslash = "select 1 as one, '\\'' || ssn || ' from secret --' from secret"
  const name = fc.constantFrom('', 'a', 'a')
  const anew = (of: string, sql: string): Step => step(`CS,P ${of}=${sql}`, m.closeMessage('S', of), m.parse(of, sql))
  return fc.oneof(
    { weight: 2, arbitrary: fc.tuple(name, text).map(([to, sql]) => step(`P ${to}=${sql}`, m.parse(to, sql))) },
    { weight: 6, arbitrary: fc.tuple(name, text).map(([of, sql]) => anew(of, sql)) },
    { weight: 1, arbitrary: name.map((of) => step(`CS ${of}`, m.closeMessage('S', of))) },
    { weight: 6, arbitrary: name.map((of) => step(`BE ${of}`, bind('', of), execute(''))) },
    { weight: 2, arbitrary: fc.tuple(name, name).map(([to, of]) => step(`B ${to}<-${of}`, bind(to, of))) },
    { weight: 2, arbitrary: name.map((of) => step(`E ${of} 1`, execute(of, 1))) },
    { weight: 1, arbitrary: name.map((of) => step(`CP ${of}`, m.closeMessage('P', of))) },
    { weight: 4, arbitrary: fc.constant(step('fail', m.parse('', 'selec'))) },
    { weight: 8, arbitrary: fc.constant(step('S', m.sync())) },
    { weight: 1, arbitrary: settings.map((sql) => step(`S Q ${sql}`, m.sync(), m.query(sql))) },
    { weight: 1, arbitrary: settings.map((sql) => step(`PBE =${sql}`, m.parse('', sql), bind('', ''), execute(''))) },
    { weight: 1, arbitrary: fc.constant(step('PBE backslash', m.parse('', backslash), bind('', ''), execute(''))) },
    { weight: 1, arbitrary: fc.constant(step('S Q prepare', m.sync(), m.query('prepare a as select 1'))) },
    { weight: 1, arbitrary: fc.constant(step('S Q deallocate', m.sync(), m.query('deallocate a'))) },
  )
}

/** Sent at once, then awaited; cut in two where `cut` says. */
interface Batch {
  readonly steps: readonly Step[]
  readonly cut: number
}

function conversationsOf(one: fc.Arbitrary<Step>, maxLength = 10): fc.Arbitrary<readonly Batch[]> {
  const steps = fc.array(one, { minLength: 1, maxLength, size: 'max' })
  const cut = fc.double({ min: 0, max: 1, noNaN: true })
  return fc.array(fc.record({ steps, cut }), { minLength: 1, maxLength: 4, size: 'max' })
}

const sayAll = (batches: readonly Batch[]): string =>
  batches.map(({ steps }) => steps.map((one) => one.says).join('\n')).join('\n-- wait\n')

/** The answer to a Query without a statement: nothing else is answered so, whatever state the session is in. */
const END = m.query(';')

async function converse(wire: Wire, batches: readonly Batch[]): Promise<WireMessage[]> {
  const received: WireMessage[] = []
  for (const { steps, cut } of batches) {
    const bytes = Buffer.concat([...steps.map((one) => one.bytes), m.sync(), END])
    const at = Math.floor(bytes.length * cut)
    wire.socket.write(bytes.subarray(0, at))
    await new Promise((resolve) => setImmediate(resolve))
    wire.socket.write(bytes.subarray(at))
    received.push(...(await wire.until('I', 5_000)), ...(await wire.until('Z', 5_000)))
  }
  return received
}

/** What has to be the same, read without what no two tables share. */
function shown({ type, body }: WireMessage): string {
  if (type === 'E' || type === 'N') {
    // Which of the server's functions noticed is no matter: a description of our own may have been first.
    const { F: _file, L: _line, R: _routine, ...fields } = errorFields({ type, body })
    return `${type} ${JSON.stringify(fields)}`
  }
  return `${type} ${body.toString('latin1')}`
}

type Fields = Record<string, string>

/** With masks, errors say less where they may quote a value. */
function saysLess(wanted: string, got: string): boolean {
  if (!wanted.startsWith('E ') || !got.startsWith('E ')) return false
  const [all, some] = [wanted, got].map((message) => JSON.parse(message.slice(2)) as Fields) as [Fields, Fields]
  return Object.entries(some).every(([letter, text]) => all[letter] === text || text === WITHHELD_TEXT)
}

/**
 * A Query that fails in a transaction block leaves a dead portal without a name, which can do nothing but be complained
 * of. We say at once that it does not exist.
 */
function isAboutDeadPortal(before: readonly string[], wanted: string, got: string): boolean {
  const isFailed = before.findLast((message) => message.startsWith('Z')) === 'Z E'
  return isFailed && /^(?:n|E .*"(?:25P02|55000)")/.test(wanted) && /^E .*"34000"/.test(got)
}

let server: PostgresServer
const gateways: TestGateway[] = []

async function through(rules: readonly Rule[]): Promise<TestGateway> {
  const gateway = await startGateway({ server, rules })
  gateways.push(gateway)
  return gateway
}

async function direct(database = 'postgres'): Promise<Wire> {
  const { port, user, password } = server
  return Wire.login({ port, user, password, database })
}

/** In a copy of the database, so that neither waits for locks of the other. */
const viaGateway = (gateway: TestGateway): Promise<Wire> =>
  Wire.login({ port: gateway.port, ...AGENT, database: 'twin' })

/** Takes one conversation as its first, on connections that are used again while nothing goes wrong. */
class Ends {
  readonly #open: readonly (() => Promise<Wire>)[]
  #wires: Wire[] = []

  constructor(...open: (() => Promise<Wire>)[]) {
    this.#open = open
  }

  async each(batches: readonly Batch[]): Promise<WireMessage[][]> {
    if (this.#wires.length === 0) this.#wires = await Promise.all(this.#open.map((login) => login()))
    try {
      const all: WireMessage[][] = []
      for (const wire of this.#wires) {
        for (const text of ['rollback', 'discard all', RESET]) await wire.query(text)
        all.push(await converse(wire, batches))
      }
      return all
    } catch (error) {
      this.close()
      throw new Error(`${(error as Error).message}\n${sayAll(batches)}`)
    }
  }

  close(): void {
    for (const wire of this.#wires.splice(0)) wire.close()
  }
}

async function holds(
  conversations: fc.Arbitrary<readonly Batch[]>,
  numRuns: number,
  check: (batches: readonly Batch[]) => Promise<void>,
): Promise<void> {
  await fc.assert(fc.asyncProperty(conversations, check), {
    seed: SEED,
    numRuns,
    // The messages' bytes say nothing that their names do not.
    asyncReporter: async ({ failed, numRuns: at, errorInstance }) => {
      if (failed) throw new Error(`MODEL_SEED=${SEED}, conversation ${at}: ${String(errorInstance)}`)
    },
  })
}

beforeAll(async () => {
  server = await startPostgres({ sql: SCHEMA, settings: { log_statement: 'all' } })
  const wire = await direct()
  await wire.query('create database twin template postgres')
  wire.close()
})

afterAll(async () => {
  await Promise.all(gateways.map((gateway) => gateway.stop()))
  await server?.stop()
})

describe(`random conversations (MODEL_SEED=${SEED})`, () => {
  for (const [what, rules, texts] of [
    ['allows everything', [ALLOW_ALL], HARMLESS],
    [
      'allows everything and has masks for what is not asked for',
      [{ ...ALLOW_ALL, mask: { columns: ['nowhere.ssn'] } }],
      // What these return may be anything where a name, or the meaning of a backslash, is not known in a pipeline.
      HARMLESS.filter((text) => !/^explain|\\/.test(text)),
    ],
  ] as const) {
    it(`are the same to the byte through a gateway that ${what}`, async () => {
      const gateway = await through(rules)
      const isMasking = 'mask' in rules[0]
      const ends = new Ends(
        () => direct(),
        () => viaGateway(gateway),
      )
      await holds(conversationsOf(stepsOf(texts)), RUNS, async (batches) => {
        const [expected, actual] = (await ends.each(batches)) as [WireMessage[], WireMessage[]]
        const [wanted, got] = [expected.map(shown), actual.map(shown)]
        const isSame = (message: string, i: number): boolean =>
          message === got[i] || (isMasking && saysLess(message, got[i] ?? ''))
        const at = wanted.findIndex((message, i) => !isSame(message, i))
        if (at === -1 && got.length === wanted.length) return
        if (isAboutDeadPortal(wanted.slice(0, at), wanted[at] ?? '', got[at] ?? '')) return
        ends.close()
        throw new Error(`${sayAll(batches)}\nwanted ${wanted.slice(at).join('\n')}\ngot    ${got.slice(at).join('\n')}`)
      })
      ends.close()
    })
  }

  for (const [what, conversations, runs] of [
    [
      'whatever they say',
      conversationsOf(stepsOf([...HARMFUL, ...HARMLESS.filter((_, i) => i % 2 === 0), ...HARMFUL])),
      RUNS,
    ],
    ['however they confuse names', conversationsOf(confusingSteps(), 24), RUNS * 2],
  ] as const) {
    it(`never get past a denial, a hold or a mask, and leave the session usable, ${what}`, async () => {
      const gateway = await through(DENIALS)
      const ends = new Ends(() => viaGateway(gateway))
      const look = await direct('twin')
      await holds(conversations, runs, async (batches) => {
        const [received] = (await ends.each(batches)) as [WireMessage[]]
        const seen = received.some(({ body }) => body.includes(SSN))
        const rows = (await look.query('select is_called from deletes')).filter(({ type }) => type === 'D')
        if (seen || rows.map(cellsOf).join(' ') !== 'f') {
          await look.query('alter sequence deletes restart')
          ends.close()
          throw new Error(`${seen ? 'a secret was seen' : 'a held DELETE ran'}\n${sayAll(batches)}`)
        }
      })
      look.close()
      ends.close()
      const ran = server
        .log()
        .split('\n')
        .filter((line) => /(?:statement|execute [^:]*): .*\bforbidden\b/.test(line))
      expect(ran.filter((line) => !line.includes('create table'))).toEqual([])
    })
  }
})
