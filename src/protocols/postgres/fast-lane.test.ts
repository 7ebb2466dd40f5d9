import fc from 'fast-check'
import { afterEach, describe, expect, it, vi } from 'vitest'
import {
  combineStatementFacts,
  type Obligations,
  type ResultColumn,
  type ResultMasker,
  type SqlAnalyzer,
  type SqlFacts,
  type SqlStatementFacts,
  type TextMasker,
  unparsedFacts,
} from '../../core/index.js'
import { ConnectionHarness, countingBytes, FakeClock } from '../../testing/index.js'
import { PostgresConnection } from './connection.js'
import { BackendHalf } from './connection-backend.js'
import { FrontendHalf } from './connection-frontend.js'
import * as m from './messages.js'
import type { PostgresOptions } from './options.js'
import { ResultPlans } from './results.js'

const READ: SqlStatementFacts = {
  verb: 'select',
  class: 'read',
  certainty: 'exact',
  tables: [],
  columns: [],
  functions: [],
  output: 'unknown',
  hasWhere: true,
  touchesFiles: false,
  touchesPrograms: false,
  isDynamic: false,
  launders: [],
  effects: [],
}

const STATEMENTS: Readonly<Record<string, SqlStatementFacts>> = {
  write: { ...READ, verb: 'insert', class: 'write' },
  define: { ...READ, verb: 'create view', class: 'ddl', output: undefined },
  set: { ...READ, verb: 'set', class: 'session', output: undefined, effects: [{ kind: 'unknown' }] },
  begin: { ...READ, verb: 'begin', class: 'session', output: undefined, transaction: 'begin' },
  commit: { ...READ, verb: 'commit', class: 'session', output: undefined, transaction: 'commit' },
  run: { ...READ, verb: 'execute', runs: { kind: 'prepared', name: 'a' } },
  unload: {
    ...READ,
    verb: 'copy',
    copy: {
      ...{ format: 'text', header: false, delimiter: '\t', nullText: '\\N', quote: '"', escape: '"' },
      ...{ direction: 'to', endpoint: 'client', describeText: 'table t' },
    },
  },
}

/** One for both ways, so that facts are the same objects. */
function toyAnalyzer(): SqlAnalyzer {
  const cache = new Map<string, SqlFacts>()
  return {
    dialect: 'postgres',
    analyze(text) {
      let facts = cache.get(text)
      if (facts === undefined) {
        const parts = text.split(';').map((part) => STATEMENTS[part] ?? READ)
        facts = text === 'gibberish' ? unparsedFacts('it is not known') : combineStatementFacts(parts, text)
        cache.set(text, facts)
      }
      return facts
    },
  }
}

const cellMask = {
  apply(_source: Uint8Array, _start: number, _end: number, target: { append(bytes: Uint8Array): unknown }): number {
    target.append(Buffer.from('***'))
    return 3
  },
}

/** Masks columns that `isMasked` picks. */
function maskerOf(isMasked: (column: ResultColumn) => boolean): ResultMasker {
  return {
    maskText: (text) => text,
    planRows: (columns) =>
      columns.some(isMasked) ? columns.map((column) => (isMasked(column) ? cellMask : undefined)) : undefined,
  }
}
const MASKER = maskerOf(({ name, format }) => name === 'secret' || (name === 'other' && format === 'binary'))
const STRICT = maskerOf(({ name }) => name !== 'spoken')
const TEXT_MASKER: TextMasker = {
  maskText: (text) => {
    const said = Buffer.from(text).toString('latin1')
    return said.includes('spoken') ? Buffer.from(said.replaceAll('spoken', '******'), 'latin1') : text
  },
}

function frame(type: string, ...parts: (string | Buffer | readonly number[])[]): Buffer {
  const body = Buffer.concat(
    parts.map((part) => (typeof part === 'string' ? Buffer.from(`${part}\0`) : Buffer.from(part))),
  )
  const head = Buffer.alloc(5)
  head.write(type, 'latin1')
  head.writeInt32BE(4 + body.length, 1)
  return Buffer.concat([head, body])
}

const bind = (portal: string, statement: string, value?: string): Buffer =>
  value === 'binary'
    ? frame('B', portal, statement, [0, 1, 0, 1, 0, 1, 255, 255, 255, 255, 0, 1, 0, 1])
    : value === undefined
      ? frame('B', portal, statement, [0, 0, 0, 0, 0, 0])
      : frame('B', portal, statement, [0, 1, 0, 0, 0, 1, 0, 0, 0, value.length], Buffer.from(value), [0, 1, 0, 0])
const execute = (portal: string, maxRows = 0): Buffer => frame('E', portal, [0, 0, 0, maxRows])
const describeColumn = (name: string): Buffer =>
  frame('T', [0, 1], name, [0, 0, 64, 0, 0, 1, 0, 0, 0, 25, 255, 255, 255, 255, 255, 255, 0, 0])
const row = (value: string): Buffer => frame('D', [0, 1, 0, 0, 0, value.length], Buffer.from(value))

interface Style {
  readonly column: 'plain' | 'secret' | 'spoken' | 'other'
  readonly rows: number
  readonly extra: 'none' | 'error' | 'notice' | 'parameter' | 'swapped' | 'missing' | 'nodata' | 'suspended'
  readonly status: 'I' | 'T' | 'E'
}

/** What a server says to this. Well behaved where nothing extra is asked for. */
function answersTo(sent: Buffer, style: Style): Buffer[] {
  const answers: Buffer[] = []
  const rows = Array.from({ length: style.rows }, (_, index) => row(`value ${index}`))
  const tag = frame('C', `SELECT ${style.rows}`)
  const error = m.errorResponse({ severity: 'ERROR', code: '22012', message: 'no' })
  let isDiscarding = false
  for (let at = 0; at + 5 <= sent.length; at += sent.readInt32BE(at + 1) + 1) {
    const type = String.fromCharCode(sent[at] as number)
    if (isDiscarding && type !== 'S') continue
    if (type === 'P') answers.push(frame('1'))
    if (type === 'B') answers.push(frame('2'))
    if (type === 'C') answers.push(frame('3'))
    if (type === 'D' && sent[at + 5] === 0x53) answers.push(frame('t', [0, 0]))
    if (type === 'D') answers.push(style.extra === 'nodata' ? frame('n') : describeColumn(style.column))
    if (type === 'Q') answers.push(describeColumn(style.column))
    if (type === 'E' || type === 'Q') {
      isDiscarding = style.extra === 'error' && type === 'E'
      if (style.extra === 'error') answers.push(error)
      else answers.push(...rows, type === 'E' && style.extra === 'suspended' ? frame('s') : tag)
    }
    if (type === 'Q' || type === 'S') {
      isDiscarding = false
      answers.push(m.readyForQuery(style.status))
    }
  }
  const middle = answers.length >> 1
  if (style.extra === 'notice') {
    answers.splice(middle, 0, m.noticeResponse({ severity: 'NOTICE', code: '00000', message: 'spoken' }))
  }
  if (style.extra === 'parameter') answers.splice(middle, 0, frame('S', 'standard_conforming_strings', 'off'))
  if (style.extra === 'missing') answers.splice(middle, 1)
  if (style.extra === 'swapped' && answers.length > 1)
    answers.splice(middle - 1, 2, answers[middle] as Buffer, answers[middle - 1] as Buffer)
  return answers
}

class Difference extends Error {
  constructor(lane: unknown, plain: unknown) {
    super(`in the lane: ${JSON.stringify(lane)}\nwithout it: ${JSON.stringify(plain)}`)
  }
}

/** The same conversation with and without the lane. */
class Twins {
  readonly clock = new FakeClock()
  readonly plans: readonly ResultPlans[]
  readonly both: readonly ConnectionHarness[]
  readonly waiting: number[] = []
  grant: Obligations = {}
  #owed: Buffer = Buffer.alloc(0)

  constructor(textMasker: TextMasker | undefined, options: PostgresOptions = {}) {
    const analyzer = toyAnalyzer()
    this.plans = [new ResultPlans(), new ResultPlans()]
    this.both = this.plans.map((plans, index) => {
      const connection = new PostgresConnection(
        {
          random: countingBytes(),
          clock: this.clock,
          downstreamTls: 'offered',
          upstreamTls: 'unavailable',
          cancelKey: { processId: 1, secretKey: new Uint8Array(32) },
        },
        { upstreamAuth: ['none'], maxPipeline: 8, ...options },
        plans,
        index === 0,
      )
      const harness = new ConnectionHarness(connection, {
        admission: { subject: { id: 'agent' }, analyzer, textMasker },
        credentials: { user: 'owner' },
        relations: () => [],
        judge: (command) => {
          const text = command.kind === 'sql' ? command.text : ''
          if (text === 'forbidden' || (text === 'half' && command.kind === 'sql' && command.phase === 'execute')) {
            return { reason: 'rule', message: 'no' }
          }
          if (text !== 'later') return this.grant
          if (index === 0) this.waiting.push(command.id)
          return undefined
        },
      })
      harness.receive('downstream', m.startupMessage(0, [['user', 'agent']]))
      harness.receive(
        'upstream',
        Buffer.concat([m.authenticationOk(), frame('S', 'client_encoding', 'UTF8'), m.readyForQuery('I')]),
      )
      return harness
    })
    this.check()
    this.#owed = Buffer.alloc(0)
  }

  each(act: (harness: ConnectionHarness) => void): void {
    for (const harness of this.both) {
      act(harness)
      harness.pump()
    }
    this.check()
  }

  receive(side: 'downstream' | 'upstream', chunks: readonly Buffer[]): void {
    for (const chunk of chunks) if (chunk.length > 0) this.each((harness) => harness.receive(side, chunk))
  }

  make(one: Move): void {
    switch (one.kind) {
      case 'client':
        this.receive('downstream', cut(one.bytes, one.at))
        break
      case 'server':
        this.receive('upstream', cut(Buffer.concat(answersTo(this.takeOwed(), one.how)), one.at))
        this.permitWaiting()
        break
      case 'turn':
        this.receive('downstream', [one.bytes])
        this.permitWaiting()
        this.receive('upstream', [Buffer.concat(answersTo(this.takeOwed(), one.how))])
        break
      case 'pause':
        if (one.isFirst) this.pause(true)
        this.receive('downstream', [one.bytes])
        if (!one.isFirst) this.pause(true)
        this.permitWaiting()
        this.pause(false)
        break
      case 'grant':
        this.grant = one.grant
        break
      case 'time':
        this.clock.advance(one.byMs)
        break
      case 'forget':
        for (const plans of this.plans) plans.forget()
        break
      case 'inform':
        this.each(({ connection }) => connection.inform(1, 'by the way'))
        break
    }
  }

  pause(isPaused: boolean): void {
    this.each(({ connection }) => connection.pauseCommands?.(isPaused))
  }

  permitWaiting(): void {
    for (const id of this.waiting.splice(0)) this.each(({ connection }) => connection.permit(id, this.grant))
  }

  /** Both have said the same to both sides, and asked and told the same. */
  check(): void {
    const [lane, plain] = this.both.map((harness) => {
      const { connection } = harness
      const said = {
        upstream: harness.take('upstream').toString('latin1'),
        downstream: harness.take('downstream').toString('latin1'),
        events: harness.events.splice(0).map(shown),
        wants: [connection.wantsRead('downstream'), connection.wantsRead('upstream')],
        cancels: connection.cancelTarget?.() !== undefined,
      }
      return said
    })
    if (JSON.stringify(lane) !== JSON.stringify(plain)) throw new Difference(lane, plain)
    this.#owed = Buffer.concat([this.#owed, Buffer.from(lane?.upstream ?? '', 'latin1')])
  }

  /** What the target has been sent and not been asked to answer yet. */
  takeOwed(): Buffer {
    const owed = this.#owed
    this.#owed = Buffer.alloc(0)
    return owed
  }
}

/** Facts are the same objects on both sides, and long. */
function shown(event: object): string {
  return JSON.stringify(event, (key, value: unknown) =>
    key === 'facts' ? (value as SqlFacts).shape : value instanceof Error ? value.message : value,
  )
}

function cut(bytes: Buffer, places: readonly number[]): Buffer[] {
  const at = [...new Set(places.map((place) => place % (bytes.length + 1)))].sort((a, b) => a - b)
  return [...at, bytes.length].map((end, index) => bytes.subarray(at[index - 1] ?? 0, end))
}

const text = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom('read', 'select 1', 'select 2') },
  {
    weight: 4,
    arbitrary: fc.constantFrom(
      ...Object.keys(STATEMENTS),
      'read;read',
      'gibberish',
      'forbidden',
      'half',
      'later',
      'a\\b',
      'schön',
      '',
    ),
  },
)
const name = fc.constantFrom('', 'a', 'b')
const value = fc.option(fc.constantFrom('7', 'schön', '', 'binary'), { nil: undefined })
const tail = fc.constantFrom(
  Buffer.concat([m.describe('P', ''), execute(''), m.sync()]),
  Buffer.concat([execute(''), m.sync()]),
  Buffer.concat([execute('', 1), m.sync()]),
  Buffer.concat([m.describe('P', ''), execute('')]),
)
const lanePiece = fc.oneof(
  text.map((sql) => m.query(sql)),
  fc.constantFrom(frame('Q', Buffer.from('sch\xf6n\0', 'latin1')), frame('Q', 'read', [0])),
  fc.tuple(name, value, tail).map(([from, of, rest]) => Buffer.concat([bind('', from, of), rest])),
  fc.tuple(text, value, tail).map(([sql, of, rest]) => Buffer.concat([m.parse('', sql), bind('', '', of), rest])),
)
const message = fc.oneof(
  text.map((sql) => m.query(sql)),
  fc.tuple(name, text).map(([to, sql]) => m.parse(to, sql)),
  fc.tuple(name, name, value).map(([to, from, of]) => bind(to, from, of)),
  fc.tuple(fc.constantFrom('S' as const, 'P' as const), name).map(([kind, of]) => m.describe(kind, of)),
  fc.tuple(fc.constantFrom('S' as const, 'P' as const), name).map(([kind, of]) => m.closeMessage(kind, of)),
  name.map((of) => execute(of)),
  fc.constantFrom(m.sync(), m.sync(), m.flush()),
)
const named = fc.tuple(name, text).map(([to, sql]) => Buffer.concat([m.parse(to, sql), m.describe('S', to), m.sync()]))
const cuts = fc.oneof(
  { weight: 4, arbitrary: fc.constant([]) },
  { weight: 1, arbitrary: fc.array(fc.nat(200), { maxLength: 4 }) },
)
const style: fc.Arbitrary<Style> = fc.record({
  column: fc.oneof(
    { weight: 4, arbitrary: fc.constant('plain' as const) },
    fc.constantFrom('secret', 'spoken', 'other'),
  ),
  rows: fc.nat(2),
  extra: fc.oneof(
    { weight: 8, arbitrary: fc.constant('none' as const) },
    fc.constantFrom('error', 'notice', 'parameter', 'swapped', 'missing', 'nodata', 'suspended'),
  ),
  status: fc.oneof({ weight: 8, arbitrary: fc.constant('I' as const) }, fc.constantFrom('T', 'E')),
})
const move = fc.oneof(
  { weight: 10, arbitrary: fc.tuple(lanePiece, cuts).map(([bytes, at]) => ({ kind: 'client', bytes, at }) as const) },
  { weight: 2, arbitrary: fc.tuple(message, cuts).map(([bytes, at]) => ({ kind: 'client', bytes, at }) as const) },
  { weight: 3, arbitrary: named.map((bytes) => ({ kind: 'client', bytes, at: [] as number[] }) as const) },
  { weight: 14, arbitrary: fc.tuple(style, cuts).map(([how, at]) => ({ kind: 'server', how, at }) as const) },
  { weight: 10, arbitrary: fc.tuple(lanePiece, style).map(([bytes, how]) => ({ kind: 'turn', bytes, how }) as const) },
  { weight: 2, arbitrary: fc.tuple(named, style).map(([bytes, how]) => ({ kind: 'turn', bytes, how }) as const) },
  {
    weight: 1,
    arbitrary: fc
      .tuple(lanePiece, fc.boolean())
      .map(([bytes, isFirst]) => ({ kind: 'pause', bytes, isFirst }) as const),
  },
  { weight: 1, arbitrary: fc.constantFrom(1, 31_000).map((byMs) => ({ kind: 'time', byMs }) as const) },
  { weight: 1, arbitrary: fc.constant({ kind: 'forget' } as const) },
  { weight: 1, arbitrary: fc.constant({ kind: 'inform' } as const) },
  {
    weight: 2,
    arbitrary: fc
      .constantFrom<Obligations>(
        {},
        { masker: MASKER },
        { masker: MASKER },
        { maxRows: 1 },
        { maxBytes: 20 },
        { recordLevel: 'full', masker: MASKER },
      )
      .map((grant) => ({ kind: 'grant', grant }) as const),
  },
)

type Move = typeof move extends fc.Arbitrary<infer Made> ? Made : never

afterEach(() => {
  vi.restoreAllMocks()
})

describe('the fast lane', () => {
  it('says, asks and tells the same as the two halves, whatever both sides do', () => {
    const ending = fc.constantFrom('client', 'server', 'shutdown')
    fc.assert(
      fc.property(fc.array(move, { maxLength: 40, size: 'max' }), fc.boolean(), ending, (moves, isMasked, end) => {
        const twins = new Twins(isMasked ? TEXT_MASKER : undefined)
        for (const one of moves) twins.make(one)
        if (end !== 'shutdown') twins.each((harness) => harness.end(end === 'client' ? 'downstream' : 'upstream'))
        twins.each(({ connection }) => connection.shutdown({ reason: 'revoked', message: 'over' }))
      }),
      { numRuns: 3_000 },
    )
  })

  const plain: Style = { column: 'plain', rows: 1, extra: 'none', status: 'I' }
  const pieces: Readonly<Record<string, Buffer>> = {
    'a Query': m.query('select 1'),
    'Bind to Sync of a statement by name': Buffer.concat([
      bind('', 'a', '7'),
      m.describe('P', ''),
      execute(''),
      m.sync(),
    ]),
    'Parse to Sync': Buffer.concat([
      m.parse('', 'select 1'),
      bind('', '', '7'),
      m.describe('P', ''),
      execute(''),
      m.sync(),
    ]),
  }

  for (const [what, piece] of Object.entries(pieces)) {
    it(`takes ${what} and its answer without the two halves`, () => {
      const { twins, steps } = spied()
      for (let i = 0; i < 3; i++) {
        twins.receive('downstream', [piece])
        twins.receive('upstream', [Buffer.concat(answersTo(twins.takeOwed(), plain))])
      }
      // The first time a plan has to be made.
      const before = steps()
      twins.both[0]?.receive('downstream', piece)
      twins.both[0]?.receive('upstream', Buffer.concat(answersTo(twins.both[0].take('upstream'), plain)))
      expect(steps()).toBe(before)
      expect(twins.both[0]?.answers.at(-1)?.answer).toEqual({
        outcome: 'completed',
        tags: ['SELECT 1'],
        rows: 1,
        bytes: 18,
      })
    })

    it(`is the same wherever ${what} and its answer are cut`, () => {
      for (let at = 0; at < piece.length; at++) {
        const { twins } = spied()
        twins.receive('downstream', cut(piece, [at]))
        const answer = Buffer.concat(answersTo(twins.takeOwed(), plain))
        twins.receive('upstream', cut(answer, [at]))
        twins.receive('downstream', [piece])
        for (const byte of Buffer.concat(answersTo(twins.takeOwed(), plain)))
          twins.receive('upstream', [Buffer.from([byte])])
      }
    })

    it(`is the same with any one byte of ${what} or of its answer changed`, () => {
      for (const change of [0x01, 0x20, 0x80, 0xff]) {
        for (let at = 0; at < piece.length; at++) {
          const { twins } = spied()
          twins.receive('downstream', [changed(piece, at, change)])
          twins.receive('downstream', [piece])
        }
        const answer = Buffer.concat(answersTo(piece, plain))
        for (let at = 0; at < answer.length; at++) {
          const { twins } = spied()
          for (let i = 0; i < 2; i++) {
            twins.receive('downstream', [piece])
            twins.receive('upstream', [Buffer.concat(answersTo(twins.takeOwed(), plain))])
          }
          twins.receive('downstream', [piece])
          twins.receive('upstream', [changed(answer, at, change)])
          twins.receive('downstream', [piece])
        }
      }
    })
  }

  it('does not take bytes for a text that they only resemble', () => {
    const { twins } = spied()
    for (const bytes of [m.query('sch\u00f6n'), frame('Q', Buffer.from('sch\xf6n\0', 'latin1'))]) {
      twins.receive('downstream', [bytes])
      const command = twins.both[0]?.commands.at(-1)
      expect(command?.kind === 'sql' && command.facts.certainty).toBe(bytes.length === 12 ? 'exact' : 'unparsed')
      twins.receive('upstream', [Buffer.concat(answersTo(twins.takeOwed(), plain))])
    }
  })

  it('masks a name that the masks of a new policy find, though it passed before', () => {
    const inForce: { masker?: TextMasker } = {}
    const following: TextMasker = {
      maskText: (text) => inForce.masker?.maskText(text) ?? text,
      get current() {
        return inForce.masker
      },
    }
    const twins = new Twins(following)
    const spoken: Style = { ...plain, column: 'spoken' }
    const ask = (): string => {
      twins.both[0]?.receive('downstream', m.query('select 1'))
      twins.both[0]?.take('upstream')
      twins.both[0]?.receive('upstream', Buffer.concat(answersTo(m.query('select 1'), spoken)))
      return twins.both[0]?.take('downstream').toString('latin1') ?? ''
    }
    expect(ask()).toContain('spoken')
    expect(ask()).toContain('spoken')
    inForce.masker = TEXT_MASKER
    expect(ask()).not.toContain('spoken')
    expect(ask()).not.toContain('spoken')
  })

  const changes: Readonly<Record<string, (twins: Twins) => void>> = {
    'other masks': (twins) => twins.make({ kind: 'grant', grant: { masker: STRICT } }),
    'another catalogue': (twins) => twins.make({ kind: 'forget' }),
    'half a minute': (twins) => twins.make({ kind: 'time', byMs: 31_000 }),
  }
  for (const [what, change] of Object.entries(changes)) {
    it(`knows a plan no longer after ${what}`, () => {
      for (const bytes of Object.values(pieces)) {
        const { twins, steps } = spied()
        const turn: Move = { kind: 'turn', bytes, how: plain }
        for (let i = 0; i < 4; i++) twins.make(turn)
        change(twins)
        const before = steps()
        twins.both[0]?.receive('downstream', bytes)
        twins.both[0]?.receive('upstream', Buffer.concat(answersTo(bytes, plain)))
        expect(steps()).toBeGreaterThan(before)
        for (const harness of twins.both.slice(1)) {
          harness.receive('downstream', bytes)
          harness.receive('upstream', Buffer.concat(answersTo(bytes, plain)))
        }
        twins.check()
        twins.make(turn)
      }
    })
  }

  it('hands over the formats of a result with a command that has to wait', () => {
    const { twins } = spied()
    const how: Style = { ...plain, column: 'other' }
    const described = Buffer.concat([m.parse('b', 'later'), m.describe('S', 'b'), m.sync()])
    const bytes = Buffer.concat([bind('', 'b', 'binary'), execute(''), m.sync()])
    for (let i = 0; i < 3; i++) {
      twins.make({ kind: 'turn', bytes: described, how })
      twins.receive('downstream', [bytes])
      twins.permitWaiting()
      const answer = Buffer.concat(answersTo(twins.takeOwed(), how))
      for (const harness of twins.both) {
        harness.receive('upstream', answer)
        expect(harness.written('downstream').includes('value')).toBe(false)
      }
      twins.check()
    }
  })

  it('masks a column once the same statement returns it under a mask', () => {
    const { twins } = spied()
    const piece = pieces['a Query'] as Buffer
    for (const column of ['plain', 'secret', 'plain', 'other', 'secret'] as const) {
      twins.receive('downstream', [piece])
      twins.takeOwed()
      const { both } = twins
      for (const harness of both) harness.receive('upstream', Buffer.concat(answersTo(piece, { ...plain, column })))
      for (const harness of both) {
        expect(harness.take('downstream').includes('value 0')).toBe(column !== 'secret')
        harness.events.length = 0
      }
    }
  })
})

/** A pair with a statement of the name `a`, and how often the halves of the first one were asked to move. */
function spied(): { readonly twins: Twins; readonly steps: () => number } {
  const twins = new Twins(TEXT_MASKER)
  twins.grant = { masker: MASKER }
  twins.receive('downstream', [Buffer.concat([m.parse('a', 'select 1'), m.sync()])])
  twins.receive('upstream', [Buffer.concat([frame('1'), m.readyForQuery('I')])])
  twins.takeOwed()
  const spies = [vi.spyOn(FrontendHalf.prototype, 'step'), vi.spyOn(BackendHalf.prototype, 'step')]
  return { twins, steps: () => spies.reduce((sum, { mock }) => sum + mock.calls.length, 0) }
}

function changed(bytes: Buffer, at: number, change: number): Buffer {
  const copy = Buffer.from(bytes)
  copy[at] = (copy[at] as number) ^ change
  return copy
}
