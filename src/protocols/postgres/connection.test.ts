import { describe, expect, it } from 'vitest'
import fc from 'fast-check'
import {
  combineStatementFacts,
  Secret,
  type SqlAnalyzer,
  type SqlFacts,
  type SqlStatementFacts,
  unparsedFacts,
} from '../../core/index.js'
import {
  byteByByte,
  ConnectionHarness,
  countingBytes,
  FakeClock,
  type HarnessAnswers,
  randomly,
  seeded,
} from '../../testing/index.js'
import { postgres, type PostgresOptions } from './index.js'
import { makeScramVerifier, ScramClient, ScramServer } from './scram.js'
import * as m from './messages.js'

const SELECT: SqlStatementFacts = {
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

/** Knows no SQL: every statement reads, and `set` changes the session. */
function toyAnalyzer(): SqlAnalyzer {
  const cache = new Map<string, SqlFacts>()
  return {
    dialect: 'postgres',
    analyze(text) {
      let facts = cache.get(text)
      if (facts === undefined) {
        const statement: SqlStatementFacts = /^set/i.test(text)
          ? { ...SELECT, verb: 'set', class: 'session', output: undefined, effects: [{ kind: 'unknown' }] }
          : SELECT
        facts = combineStatementFacts([statement], text)
        cache.set(text, facts)
      }
      return facts
    },
  }
}

const password = new Secret('upstream-secret')

function harness(options: PostgresOptions = {}, answers: HarnessAnswers = {}, context: object = {}): ConnectionHarness {
  const connection = postgres(options).createConnection({
    random: countingBytes(),
    clock: new FakeClock(),
    downstreamTls: 'offered',
    upstreamTls: 'unavailable',
    cancelKey: { processId: 4711, secretKey: new Uint8Array(32).fill(9) },
    ...context,
  })
  return new ConnectionHarness(connection, {
    admission: { subject: { id: 'agent' }, analyzer: toyAnalyzer(), textMasker: undefined },
    credentials: { user: 'owner', password },
    ...answers,
  })
}

const STARTUP = m.startupMessage(0, [
  ['user', 'agent'],
  ['database', 'shop'],
])

/** What a server without a password says to let somebody in. */
const WELCOME = Buffer.concat([
  m.authenticationOk(),
  m.parameterStatus('client_encoding', 'UTF8'),
  m.parameterStatus('standard_conforming_strings', 'on'),
  m.backendKeyData(1, Uint8Array.of(1, 2, 3, 4)),
  m.readyForQuery('I'),
])

function ready(options: PostgresOptions = {}, answers: HarnessAnswers = {}, context: object = {}): ConnectionHarness {
  const h = harness({ upstreamAuth: ['none'], ...options }, answers, context)
  h.receive('downstream', STARTUP)
  h.receive('upstream', WELCOME)
  expect(h.events.some((event) => event.type === 'ready')).toBe(true)
  h.take('downstream')
  h.take('upstream')
  return h
}

const types = (bytes: Buffer): string => {
  let text = ''
  for (let at = 0; at < bytes.length; at += bytes.readInt32BE(at + 1) + 1)
    text += String.fromCharCode(bytes[at] as number)
  return text
}

describe('the client logs in', () => {
  it('PG-14 bytes sent in the clear behind SSLRequest end the connection', () => {
    const h = harness()
    h.receive('downstream', Buffer.concat([m.sslRequest(), STARTUP]))
    expect(h.closed('downstream')).toMatchObject({ code: 'protocol_violation' })
    expect(h.events.some((event) => event.type === 'startTls')).toBe(false)
  })

  it('PG-14 bytes sent behind GSSENCRequest end the connection', () => {
    const h = harness()
    h.receive('downstream', Buffer.concat([Buffer.from([0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x30]), STARTUP]))
    expect(h.closed('downstream')).toMatchObject({ code: 'protocol_violation' })
  })

  it('declines GSSENCRequest politely and goes on with SSLRequest', () => {
    const h = harness({}, { tls: { downstream: { isVerified: false } } })
    h.receive('downstream', Buffer.from([0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x30]))
    expect(h.take('downstream').toString()).toBe('N')
    h.receive('downstream', m.sslRequest())
    expect(h.take('downstream').toString()).toBe('S')
    h.receive('downstream', STARTUP)
    expect(h.events.at(-1)).toMatchObject({ type: 'connect' })
  })

  it('PG-14 SSLRequest inside TLS and a second SSLRequest end the connection', () => {
    const inside = harness({}, {}, { downstreamTls: 'established' })
    inside.receive('downstream', m.sslRequest())
    expect(inside.closed('downstream')).toMatchObject({ code: 'protocol_violation' })
    const twice = harness({}, {}, { downstreamTls: 'unavailable' })
    twice.receive('downstream', m.sslRequest())
    expect(twice.take('downstream').toString()).toBe('N')
    twice.receive('downstream', m.sslRequest())
    expect(twice.closed('downstream')).toMatchObject({ code: 'protocol_violation' })
  })

  it('PG-14 a startup packet in the clear is refused where TLS is required', () => {
    const h = harness({}, {}, { downstreamTls: 'required' })
    h.receive('downstream', STARTUP)
    expect(types(h.take('downstream'))).toBe('E')
    expect(h.closed('downstream')).toMatchObject({ code: 'tls_required' })
  })

  it.each([
    ['PG-15 replication is refused', [['replication', 'database']]],
    ['PG-15 search_path is not in the allow-list', [['search_path', 'evil']]],
    ['PG-15 options are parsed and their settings held to the same list', [['options', '-c role=postgres']]],
    ['PG-15 options that are no settings are refused', [['options', '-B 5']]],
    [
      'SQL-3 standard_conforming_strings cannot be set at start-up',
      [['options', '-c standard_conforming_strings=off']],
    ],
    ['SQL-4 an encoding that is not ASCII-safe is refused', [['client_encoding', 'SJIS']]],
  ] as const)('%s', (_name, parameters) => {
    const h = harness()
    h.receive('downstream', m.startupMessage(0, [['user', 'agent'], ['database', 'shop'], ...parameters]))
    expect(types(h.take('downstream'))).toBe('E')
    expect(h.closed('downstream')).toBeDefined()
    expect(h.events.some((event) => event.type === 'identify')).toBe(false)
  })

  it('PG-14 protocol 3.2 is spoken, and newer versions and unknown options are negotiated down', () => {
    const h = harness()
    h.receive(
      'downstream',
      m.startupMessage(2, [
        ['user', 'agent'],
        ['_pq_.grease', 'x'],
      ]),
    )
    const bytes = h.take('downstream')
    expect(types(bytes)).toBe('vR')
    expect(bytes.toString('latin1')).toContain('_pq_.grease')
  })

  it('PG-14 protocol 2 and absurd lengths are refused', () => {
    const old = harness()
    old.receive('downstream', Buffer.from([0, 0, 0, 12, 0, 2, 0, 0, 0, 0, 0, 0]))
    expect(old.closed('downstream')).toBeDefined()
    for (const length of [0, 7, 10_001, 0x7fffffff, -1]) {
      const h = harness()
      const header = Buffer.alloc(8)
      header.writeInt32BE(length)
      h.receive('downstream', header)
      expect(h.closed('downstream')).toMatchObject({ code: 'protocol_violation' })
    }
  })

  it('PG-16 a cancel request is passed to the driver and nothing is answered', () => {
    const h = harness()
    h.receive('downstream', m.cancelRequest(4711, new Uint8Array(32).fill(9)))
    expect(h.events[0]).toMatchObject({ type: 'cancelRequest', processId: 4711 })
    expect(h.take('downstream')).toHaveLength(0)
    expect(h.closed('downstream')).toBe('closed')
  })

  it('gives clients of 3.0 four bytes of the cancel key and those of 3.2 all', () => {
    for (const [minor, length] of [
      [0, 4],
      [2, 32],
    ] as const) {
      const h = harness({ upstreamAuth: ['none'] })
      h.receive('downstream', m.startupMessage(minor, [['user', 'agent']]))
      h.receive('upstream', WELCOME)
      const bytes = h.take('downstream')
      const at = bytes.indexOf(Buffer.from([0x4b, 0, 0, 0, 8 + length]))
      expect(at).toBeGreaterThan(0)
      expect(bytes.readInt32BE(at + 5)).toBe(4711)
    }
  })

  it('takes a password in the clear inside TLS only', () => {
    const challenge = (): { method: 'password' } => ({ method: 'password' })
    const plain = harness({}, { challenge })
    plain.receive('downstream', STARTUP)
    expect(types(plain.take('downstream'))).toBe('E')
    const inside = harness({}, { challenge }, { downstreamTls: 'established' })
    inside.receive('downstream', STARTUP)
    expect(types(inside.take('downstream'))).toBe('R')
    inside.receive('downstream', m.passwordMessage('token'))
    const proof = inside.events.find((event) => event.type === 'authenticate')
    expect(proof).toMatchObject({ proof: { method: 'password', user: 'agent' } })
    expect(JSON.stringify(proof)).not.toContain('token')
  })

  it('PG-17 lets a SCRAM client in that knows the secret, never offers channel binding, and refuses one that does not', () => {
    const verifier = makeScramVerifier(new Secret('right'), new Uint8Array(16).fill(1), 4096)
    for (const [secret, isRight] of [
      ['right', true],
      ['wrong', false],
    ] as const) {
      const h = harness({}, { challenge: () => ({ method: 'scram-sha-256', verifier }) })
      h.receive('downstream', STARTUP)
      expect(h.take('downstream').toString('latin1')).not.toContain('PLUS')
      const client = new ScramClient({
        mechanism: 'SCRAM-SHA-256',
        password: new Secret(secret),
        random: countingBytes(7),
      })
      const first = client.first()
      h.receive('downstream', m.saslInitialResponse(first.mechanism, first.data), byteByByte)
      h.receive('downstream', m.saslResponse(client.continue(h.take('downstream').subarray(9))))
      if (isRight) {
        expect(types(h.take('downstream'))).toBe('RR')
        expect(h.events.at(-1)).toMatchObject({ type: 'connect' })
      } else {
        expect(types(h.take('downstream'))).toBe('E')
        expect(h.closed('downstream')).toMatchObject({ code: 'authentication_failed' })
      }
    }
  })
})

describe('the gateway logs in to the target', () => {
  const begin = (options: PostgresOptions, context: object = {}, answers: HarnessAnswers = {}): ConnectionHarness => {
    const h = harness(options, answers, context)
    h.receive('downstream', STARTUP)
    h.take('downstream')
    return h
  }

  it.each([
    ['PG-17 a password in the clear', m.authenticationCleartext()],
    ['PG-17 md5', Buffer.from([0x52, 0, 0, 0, 12, 0, 0, 0, 5, 1, 2, 3, 4])],
    ['PG-17 nothing at all', m.authenticationOk()],
    ['PG-17 unknown mechanisms', m.authenticationSasl(['SCRAM-SHA-1'])],
    ['PG-17 GSS', Buffer.from([0x52, 0, 0, 0, 8, 0, 0, 0, 7])],
  ])('refuses a target that asks for %s', (_name, request) => {
    const h = begin({})
    h.take('upstream')
    h.receive('upstream', request)
    expect(h.take('upstream')).toHaveLength(0)
    expect(h.closed('upstream')).toMatchObject({ code: 'upstream_authentication_failed' })
    expect(types(h.take('downstream'))).toBe('E')
  })

  it('CRED-1 gives a password in the clear only inside verified TLS', () => {
    for (const isVerified of [true, false]) {
      const h = begin(
        { upstreamAuth: ['password'] },
        { upstreamTls: 'required' },
        { tls: { upstream: { isVerified } } },
      )
      expect(h.take('upstream')).toEqual(m.sslRequest())
      h.receive('upstream', Buffer.from('S'))
      h.take('upstream')
      h.receive('upstream', m.authenticationCleartext())
      expect(h.take('upstream').includes('upstream-secret')).toBe(isVerified)
    }
  })

  it('PG-14 bytes that a target sends in the clear behind its answer to SSLRequest end the session', () => {
    const h = begin({}, { upstreamTls: 'required' })
    h.receive('upstream', Buffer.concat([Buffer.from('S'), m.authenticationOk()]))
    expect(h.closed('upstream')).toMatchObject({ code: 'upstream_protocol_violation' })
    expect(h.events.some((event) => event.type === 'startTls')).toBe(false)
  })

  it('ends the session where the target has no TLS and it is required', () => {
    const h = begin({}, { upstreamTls: 'required' })
    h.receive('upstream', Buffer.from('N'))
    expect(h.closed('upstream')).toMatchObject({ code: 'upstream_tls_required' })
  })

  it('PG-17 proves itself by SCRAM and believes only a server that proves itself, too', () => {
    const verifier = makeScramVerifier(password, new Uint8Array(16).fill(3), 4096)
    const exchange = (h: ConnectionHarness): ScramServer => {
      const server = new ScramServer(verifier, countingBytes(99))
      h.take('upstream')
      h.receive('upstream', m.authenticationSasl(['SCRAM-SHA-256']))
      const initial = h.take('upstream')
      const data = initial.subarray(initial.indexOf(0) === -1 ? 0 : initial.indexOf('n,,'))
      h.receive('upstream', m.authenticationSaslContinue(server.first(data)))
      return server
    }
    const honest = begin({})
    const server = exchange(honest)
    const final = server.final(honest.take('upstream').subarray(5))
    honest.receive('upstream', Buffer.concat([m.authenticationSaslFinal(final), WELCOME]))
    expect(honest.events.some((event) => event.type === 'ready')).toBe(true)

    const silent = begin({})
    exchange(silent)
    silent.receive('upstream', WELCOME)
    expect(silent.closed('upstream')).toMatchObject({ code: 'upstream_authentication_failed' })
  })

  it('CRED-2 does not tell the client whom the gateway logs in as', () => {
    const h = begin({})
    h.receive(
      'upstream',
      m.errorResponse({ severity: 'FATAL', code: '28P01', message: 'password authentication failed for user "owner"' }),
    )
    const told = h.take('downstream').toString()
    expect(told).not.toContain('owner')
    expect(told).not.toContain('upstream-secret')
    expect(h.closed('downstream')).toBeDefined()
  })
})

describe('messages of an established connection', () => {
  const row = (text: string): Buffer =>
    Buffer.concat([
      Buffer.from([0x44]),
      be32(10 + text.length),
      Buffer.from([0, 1]),
      be32(text.length),
      Buffer.from(text),
    ])
  const be32 = (value: number): Buffer => {
    const bytes = Buffer.alloc(4)
    bytes.writeInt32BE(value)
    return bytes
  }
  const DESCRIPTION = Buffer.from(
    '540000001a0001' +
      Buffer.from('a').toString('hex') +
      '00' +
      '00000000' +
      '0000' +
      '00000019' +
      'ffff' +
      'ffffffff' +
      '0000',
    'hex',
  )
  const done = (tag: string): Buffer =>
    Buffer.concat([Buffer.from([0x43]), be32(5 + tag.length), Buffer.from(`${tag}\0`)])

  it('nothing of a command reaches the target before it is permitted', () => {
    const h = ready({}, { judge: () => undefined })
    h.receive('downstream', m.query('select 1'))
    expect(h.take('upstream')).toHaveLength(0)
    h.connection.permit(h.commands[0]?.id as number)
    h.pump()
    expect(h.take('upstream')).toEqual(m.query('select 1'))
  })

  it('PG-3 what stands behind a held command waits', () => {
    const h = ready({}, { judge: (command) => ('text' in command && command.text === 'hold' ? undefined : {}) })
    h.receive('downstream', Buffer.concat([m.query('hold'), m.query('select 2'), m.terminate()]))
    expect(h.take('upstream')).toHaveLength(0)
    h.connection.permit(1)
    h.pump()
    expect(h.take('upstream')).toEqual(Buffer.concat([m.query('hold'), m.query('select 2'), m.terminate()]))
  })

  it.each([3, 0, -1, -2147483648])('PG-12 a message of length %i ends the session', (length) => {
    for (const side of ['downstream', 'upstream'] as const) {
      const h = ready()
      h.receive(side, Buffer.concat([Buffer.from(side === 'downstream' ? 'Q' : 'D'), be32(length)]))
      expect(h.closed('downstream')).toBeDefined()
      expect(h.closed('upstream')).toBeDefined()
    }
  })

  it('PG-12 a message that claims two gigabytes is refused from its header, and the session lives on', () => {
    const h = ready({ maxCommandBytes: 1000 })
    h.receive('downstream', Buffer.concat([Buffer.from('Q'), be32(0x7ffffff0)]))
    expect(h.take('upstream')).toEqual(m.query('sallyport refused a command'))
    h.receive(
      'upstream',
      Buffer.concat([m.errorResponse({ severity: 'ERROR', code: '42601', message: 'x' }), m.readyForQuery('I')]),
    )
    const told = h.take('downstream')
    expect(types(told)).toBe('EZ')
    expect(told.toString()).toContain('54000')
    expect(h.closed('downstream')).toBeUndefined()
  })

  it('a message that the target sends unasked ends the session', () => {
    for (const bytes of [
      row('x'),
      DESCRIPTION,
      done('SELECT 1'),
      m.readyForQuery('I'),
      frameOf('W'),
      frameOf('1'),
      frameOf('K'),
    ]) {
      const h = ready()
      h.receive('upstream', bytes)
      expect(h.closed('upstream')).toMatchObject({ code: 'upstream_protocol_violation' })
      expect(types(h.take('downstream'))).toBe('E')
    }
  })

  const frameOf = (type: string): Buffer => Buffer.concat([Buffer.from(type), be32(4)])

  it.each(['p', 'R', '\0', 'z', '1'])('PG-11 message type `%s` of a client ends the session', (type) => {
    const h = ready()
    h.receive('downstream', frameOf(type))
    expect(h.closed('downstream')).toMatchObject({ code: 'protocol_violation' })
    expect(h.take('upstream').includes(Buffer.from(type))).toBe(false)
  })

  it('PG-11 CopyData, CopyDone and CopyFail outside COPY go nowhere', () => {
    const h = ready()
    h.receive(
      'downstream',
      Buffer.concat([
        Buffer.from('d'),
        be32(8),
        Buffer.from('abcd'),
        frameOf('c'),
        Buffer.from('f'),
        be32(5),
        Buffer.from([0]),
      ]),
    )
    expect(h.take('upstream')).toHaveLength(0)
    expect(h.closed('downstream')).toBeUndefined()
  })

  it('SQL-3 a query behind one that may change its meaning is not looked at before that is answered', () => {
    const h = ready()
    h.receive(
      'downstream',
      Buffer.concat([m.query('set standard_conforming_strings=off'), m.query("select 'a\\', ssn from secret --'")]),
    )
    expect(h.commands).toHaveLength(1)
    h.receive(
      'upstream',
      Buffer.concat([done('SET'), m.parameterStatus('standard_conforming_strings', 'off'), m.readyForQuery('I')]),
    )
    expect(h.commands).toHaveLength(2)
    expect(h.commands[1]).toMatchObject({ state: { standardConformingStrings: false } })
  })

  it('SQL-4 a client_encoding that is not ASCII-safe ends the session', () => {
    const h = ready()
    h.receive('upstream', m.parameterStatus('client_encoding', 'SJIS'))
    expect(h.closed('upstream')).toMatchObject({ code: 'limit_exceeded' })
  })

  it('lets rows pass in the pieces they come in', () => {
    const h = ready()
    h.receive('downstream', m.query('select 1'))
    const answer = Buffer.concat([DESCRIPTION, row('x'.repeat(1000)), done('SELECT 1'), m.readyForQuery('I')])
    for (let at = 0; at < answer.length; at++) {
      h.receive('upstream', answer.subarray(at, at + 1))
      // All but the header of a message leaves at once.
      if (at === 500) expect(h.written('downstream').length).toBe(501)
    }
    expect(h.take('downstream')).toEqual(answer)
    expect(h.answers).toEqual([
      {
        type: 'answer',
        commandId: 1,
        answer: { outcome: 'completed', tags: ['SELECT 1'], rows: 1, bytes: row('x'.repeat(1000)).length },
      },
    ])
  })

  it('cuts a result at its cap with an error, and goes on', () => {
    const h = ready({}, { judge: () => ({ maxRows: 2 }) })
    h.receive('downstream', m.query('select 1'))
    h.receive('upstream', Buffer.concat([DESCRIPTION, row('1'), row('2'), row('3'), row('4')]))
    expect(types(h.take('downstream'))).toBe('TDDE')
    expect(h.events.some((event) => event.type === 'cancelUpstream')).toBe(true)
    h.receive(
      'upstream',
      Buffer.concat([
        m.errorResponse({ severity: 'ERROR', code: '57014', message: 'cancelled' }),
        m.readyForQuery('I'),
      ]),
    )
    expect(types(h.take('downstream'))).toBe('Z')
    expect(h.answers[0]).toMatchObject({ answer: { outcome: 'failed', errorCode: '54000' } })
    h.receive('downstream', m.query('select 2'))
    h.receive('upstream', Buffer.concat([DESCRIPTION, row('1'), done('SELECT 1'), m.readyForQuery('I')]))
    expect(types(h.take('downstream'))).toBe('TDCZ')
  })

  it('records what passes where that is wanted', () => {
    const h = ready({}, { judge: () => ({ recordLevel: 'full' }) })
    h.receive('downstream', m.query('select 1'))
    const result = Buffer.concat([DESCRIPTION, row('1'), done('SELECT 1')])
    h.receive('upstream', Buffer.concat([result, m.readyForQuery('I')]))
    const output = h.events.filter((event) => event.type === 'output')
    expect(output.length).toBeGreaterThan(0)
    expect(h.written('downstream').includes(result)).toBe(true)
  })

  it('plans a result of an unparsed command once, and waits for its tables to be looked up', () => {
    let plans = 0
    const masker = { maskText: (text: Uint8Array) => text, planRows: () => ((plans += 1), undefined) }
    const analyzer: SqlAnalyzer = { dialect: 'postgres', analyze: () => unparsedFacts('for a test') }
    const h = ready(
      {},
      {
        judge: () => ({ masker }),
        admission: { subject: { id: 'agent' }, analyzer, textMasker: undefined },
        relations: () => [{ oid: 0x4000, schema: 'public', name: 't', columns: [undefined, 'a'] }],
      },
    )
    const fromTable = Buffer.from(DESCRIPTION)
    fromTable.writeInt32BE(0x4000, 9)
    fromTable.writeInt16BE(1, 13)
    h.receive('downstream', m.query('anything'))
    h.receive(
      'upstream',
      Buffer.concat([
        fromTable,
        row('1'),
        done('SELECT 1'),
        fromTable,
        row('2'),
        done('SELECT 1'),
        m.readyForQuery('I'),
      ]),
    )
    expect(types(h.take('downstream'))).toBe('TDCTDCZ')
    expect(plans).toBe(2)
  })

  it('every command that was permitted is answered once, also when the connection breaks', () => {
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom('select 1', 'set x', 'hold'), { maxLength: 6 }),
        fc.boolean(),
        (texts, isUpstream) => {
          const permitted: number[] = []
          const h = ready(
            {},
            {
              judge: (command) => {
                if ('text' in command && command.text === 'hold') return undefined
                permitted.push(command.id)
                return {}
              },
            },
          )
          for (const text of texts) h.receive('downstream', m.query(text))
          h.end(isUpstream ? 'upstream' : 'downstream')
          if (!isUpstream) h.end('upstream')
          const byNumber = (a: number, b: number): number => a - b
          expect(h.answers.map((answer) => answer.commandId).sort(byNumber)).toEqual(permitted.sort(byNumber))
        },
      ),
    )
  })

  it('garbage from either side ends the session or waits, and never throws', () => {
    fc.assert(
      fc.property(
        fc.constantFrom('downstream' as const, 'upstream' as const),
        fc.uint8Array({ maxLength: 300 }),
        fc.integer(),
        (side, bytes, seed) => {
          for (const h of [harness(), ready()]) {
            h.receive(side, bytes, randomly(seeded(seed), 16))
            h.end('upstream')
            h.end('downstream')
          }
        },
      ),
      { numRuns: 300 },
    )
  })

  it('garbage in the frames of known messages ends the session or is refused, and never throws', () => {
    const message = fc
      .tuple(fc.constantFrom(...'QPBDECHSFXdcf'), fc.uint8Array({ maxLength: 40 }))
      .map(([type, body]) => Buffer.concat([Buffer.from(type), be32(body.length + 4), body]))
    fc.assert(
      fc.property(fc.array(message, { maxLength: 8 }), fc.integer(), (list, seed) => {
        const h = ready()
        h.receive('downstream', Buffer.concat(list), randomly(seeded(seed), 16))
        h.end('downstream')
        h.end('upstream')
        expect(h.closed('downstream')).toBeDefined()
      }),
      { numRuns: 300 },
    )
  })
})
