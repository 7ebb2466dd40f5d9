import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  combineStatementFacts,
  type Obligations,
  type ResultMasker,
  type SqlAnalyzer,
  type SqlFacts,
  type SqlStatementFacts,
} from '../../core/index.js'
import { ConnectionHarness, countingBytes, FakeClock } from '../../testing/index.js'
import { postgres } from './index.js'
import * as m from './messages.js'
import { SessionState } from './session-state.js'

/** Both sides say what they like, well formed each, in any order. What they cannot do is to confuse the books. */

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

const COPY = { format: 'text', header: false, delimiter: '\t', nullText: '\\N', quote: '"', escape: '"' } as const

const STATEMENTS: Readonly<Record<string, SqlStatementFacts>> = {
  read: READ,
  write: { ...READ, verb: 'insert', class: 'write' },
  set: { ...READ, verb: 'set', class: 'session', output: undefined, effects: [{ kind: 'unknown' }] },
  closeall: { ...READ, verb: 'close', output: undefined, effects: [{ kind: 'close-cursor' }] },
  load: {
    ...READ,
    verb: 'copy',
    class: 'write',
    output: undefined,
    copy: { ...COPY, direction: 'from', endpoint: 'client' },
  },
  unload: {
    ...READ,
    verb: 'copy',
    copy: { ...COPY, direction: 'to', endpoint: 'client', describeText: 'table t' },
  },
}

function analyzer(): SqlAnalyzer {
  const cache = new Map<string, SqlFacts>()
  return {
    dialect: 'postgres',
    analyze(text) {
      const facts =
        cache.get(text) ??
        combineStatementFacts(
          text.split(';').map((part) => STATEMENTS[part] ?? READ),
          text,
        )
      cache.set(text, facts)
      return facts
    },
  }
}

const MASKER: ResultMasker = {
  maskText: (text) => text,
  planRows: (columns) => columns.map(() => undefined),
}

const frame = (type: string, ...body: number[]): Buffer => {
  const bytes = Buffer.alloc(5 + body.length)
  bytes.write(type, 'latin1')
  bytes.writeInt32BE(4 + body.length, 1)
  bytes.set(body, 5)
  return bytes
}

const name = fc.constantFrom('', 'a', 'b')
const text = fc.constantFrom(...Object.keys(STATEMENTS), 'read;write', 'set;read', 'forbidden', 'later')
const fromClient = fc.oneof(
  text.map((sql) => m.query(sql)),
  fc.tuple(name, text).map(([to, sql]) => m.parse(to, sql)),
  fc.tuple(name, name).map(([to, from]) => frame('B', ...Buffer.from(`${to}\0${from}\0`), 0, 0, 0, 0, 0, 0)),
  fc.tuple(fc.constantFrom('S', 'P'), name).map(([kind, of]) => m.describe(kind as 'S', of)),
  fc.tuple(fc.constantFrom('S', 'P'), name).map(([kind, of]) => m.closeMessage(kind as 'S', of)),
  name.map((of) => frame('E', ...Buffer.from(`${of}\0`), 0, 0, 0, 0)),
  fc.constantFrom(m.sync(), m.flush(), frame('d', 1), frame('c'), frame('f', 0)),
)

const error = (severity: string): Buffer => m.errorResponse({ severity, code: '22012', message: 'no' })
const ROW = [0, 1, 0, 0, 0, 1, 0x31]
const DESCRIPTION = [0, 1, ...Buffer.from('c\0'), 0, 0, 0, 0, 0, 0, 0, 0, 0, 25, 255, 255, 255, 255, 255, 255, 0, 0]
const fromServer = fc.constantFrom(
  frame('1'),
  frame('2'),
  frame('3'),
  frame('n'),
  frame('s'),
  frame('I'),
  frame('t', 0, 0),
  frame('T', ...DESCRIPTION),
  frame('D', ...ROW),
  frame('C', ...Buffer.from('SELECT 1\0')),
  frame('G', 0, 0, 1, 0, 0),
  frame('H', 0, 0, 1, 0, 0),
  frame('d', 0x31, 0x0a),
  frame('c'),
  m.readyForQuery('I'),
  m.readyForQuery('T'),
  m.readyForQuery('E'),
  error('ERROR'),
  error('FATAL'),
  m.noticeResponse({ severity: 'NOTICE', code: '00000', message: 'x' }),
)

/** What a server owes for the oldest message it has not answered, so that conversations get somewhere. */
function answersTo(sent: Buffer): Buffer[] {
  const answers: Buffer[] = []
  for (let at = 0; at + 5 <= sent.length; at += sent.readInt32BE(at + 1) + 1) {
    const type = String.fromCharCode(sent[at] as number)
    if (type === 'P') answers.push(frame('1'))
    if (type === 'B') answers.push(frame('2'))
    if (type === 'C') answers.push(frame('3'))
    if (type === 'D') answers.push(frame('T', ...DESCRIPTION))
    if (type === 'E') answers.push(frame('D', ...ROW), frame('C', ...Buffer.from('SELECT 1\0')))
    if (type === 'Q')
      answers.push(frame('T', ...DESCRIPTION), frame('C', ...Buffer.from('SELECT 0\0')), m.readyForQuery('I'))
    if (type === 'S') answers.push(m.readyForQuery('I'))
  }
  return answers
}

describe('a hostile client and a hostile server', () => {
  it('cannot make a connection throw, nor a permitted command go without its one answer', () => {
    const obligations: Obligations[] = [{}, { masker: MASKER }, { maxRows: 1 }, { recordLevel: 'full', masker: MASKER }]
    const move = fc.oneof(
      { weight: 5, arbitrary: fromClient.map((bytes) => ({ side: 'downstream', bytes }) as const) },
      { weight: 4, arbitrary: fc.constant({ side: 'honest' } as const) },
      { weight: 1, arbitrary: fromServer.map((bytes) => ({ side: 'upstream', bytes }) as const) },
      { weight: 1, arbitrary: fc.constant({ side: 'verdict' } as const) },
      { weight: 1, arbitrary: fc.boolean().map((isPaused) => ({ side: 'pause', isPaused }) as const) },
    )
    const ending = fc.constantFrom('client', 'server', 'shutdown')
    fc.assert(
      fc.property(fc.array(move, { maxLength: 60, size: 'max' }), fc.nat(3), ending, (moves, which, end) => {
        const permitted: number[] = []
        const waiting: number[] = []
        const grant = obligations[which] as Obligations
        const connection = postgres({ upstreamAuth: ['none'], maxPipeline: 8 }).createConnection({
          random: countingBytes(),
          clock: new FakeClock(),
          downstreamTls: 'offered',
          upstreamTls: 'unavailable',
          cancelKey: { processId: 1, secretKey: new Uint8Array(32) },
        })
        const h = new ConnectionHarness(connection, {
          admission: { subject: { id: 'agent' }, analyzer: analyzer(), textMasker: undefined },
          credentials: { user: 'owner' },
          judge: (command) => {
            if (command.text === 'forbidden') return { reason: 'rule', message: 'no' }
            if (command.text === 'later') {
              waiting.push(command.id)
              return undefined
            }
            permitted.push(command.id)
            return grant
          },
        })
        h.receive('downstream', m.startupMessage(0, [['user', 'agent']]))
        h.receive('upstream', Buffer.concat([m.authenticationOk(), m.readyForQuery('I')]))
        h.take('upstream')
        let owed: Buffer[] = []
        for (const one of moves) {
          if (one.side === 'honest') {
            for (const answer of owed) h.receive('upstream', answer)
            owed = []
          } else if (one.side === 'verdict') {
            const id = waiting.shift()
            if (id !== undefined && h.closed('downstream') === undefined) {
              permitted.push(id)
              connection.permit(id, grant)
              h.pump()
            }
          } else if (one.side === 'pause') {
            connection.pauseCommands?.(one.isPaused)
            h.pump()
          } else {
            h.receive(one.side, one.bytes)
          }
          owed.push(...answersTo(h.take('upstream')))
          expect(h.take('upstream').includes('forbidden')).toBe(false)
        }
        if (end === 'client') h.end('downstream')
        if (end === 'server') h.end('upstream')
        connection.shutdown({ reason: 'revoked', message: 'over' })
        h.pump()
        const closed = h.closed('downstream')
        expect(closed === 'closed' ? '' : closed?.message).not.toBe('the connection failed')
        expect(h.answers.map(({ commandId }) => commandId).sort((a, b) => a - b)).toEqual(
          permitted.sort((a, b) => a - b),
        )
      }),
      { numRuns: 2_000 },
    )
  })
})

describe('a search_path that the server reports', () => {
  it('SQL-3 is not believed while a later text has set another one', () => {
    const state = new SessionState()
    state.report('search_path', 'public')
    state.apply({ kind: 'set', name: 'search_path', value: 'private', scope: 'session' })
    expect(state.current.searchPath).toBe('private')
    state.apply({ kind: 'unknown' })
    expect(state.current.searchPath).toBeUndefined()
    state.ready('idle')
    expect(state.current.searchPath).toBe('public')
  })
})
