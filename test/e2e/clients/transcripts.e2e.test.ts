import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Connection, Protocol, ProtocolContext } from '../../../src/core/index.js'
import { postgres } from '../../../src/protocols/postgres/index.js'
import * as m from '../../../src/protocols/postgres/messages.js'
import {
  byteByByte,
  type Chunking,
  countingBytes,
  randomly,
  recordTranscript,
  replayTranscript,
  seeded,
  type Transcript,
  whole,
} from '../../../src/testing/index.js'
import { AGENT, ALLOW_ALL, startGateway, type TestGateway } from '../../support/gateway.js'
import { type PostgresServer, startPostgres } from '../../support/postgres.js'
import { bind, errorFields, execute, frame, Wire, type WireMessage } from '../../support/wire.js'

const RULES = [
  ALLOW_ALL,
  {
    id: 'masks',
    mask: { columns: ['person.ssn', { column: 'person.email', strategy: 'hash' }], detectors: ['us-ssn', 'email'] },
  },
  { id: 'no-forbidden', effect: 'deny', match: { text: 'forbidden' }, message: 'no forbidden things' },
  { id: 'hold', effect: 'hold', match: { text: 'to_be_held' } },
] as const

let server: PostgresServer
let gateway: TestGateway
const recorded: { transcript: Transcript; context: ProtocolContext }[] = []

/** As postgres(), but every connection draws the same random bytes, and what goes through is kept. */
function recording(): Protocol {
  const protocol = postgres()
  return {
    ...protocol,
    createConnection(context: ProtocolContext): Connection {
      const repeatable = { ...context, random: countingBytes(7), clock: { nowUnixMs: () => 1_700_000_000_000 } }
      const { connection, transcript } = recordTranscript(protocol.createConnection(repeatable))
      recorded.push({ transcript, context })
      return connection
    },
  }
}

beforeAll(async () => {
  server = await startPostgres({
    sql: `create table person (id int, ssn text, email text, note text);
      insert into person select n, '078-05-' || (1000 + n), 'p' || n || '@example.com', 'call p' || n || '@example.com' from generate_series(1, 60) n;
      create function complain() returns void language plpgsql as $$ begin raise notice 'about 078-05-1120'; raise exception 'no 078-05-1120'; end $$`,
  })
  gateway = await startGateway({ server, rules: RULES, protocolOverride: recording() })
})

afterAll(async () => {
  await gateway?.stop()
  await server?.stop()
})

const PERSON = 'select id, ssn, email, note from person order by id limit 7'

/** Everything that keeps state in a connection. */
async function work(): Promise<void> {
  const wire = await Wire.login({ port: gateway.port, ...AGENT, database: 'postgres' })
  const key = (wire.greeting.find(({ type }) => type === 'K') as WireMessage).body
  const sendAndWait = async (count: number, ...parts: Buffer[]): Promise<void> => {
    wire.send(...parts)
    for (let i = 0; i < count; i++) await wire.until('Z')
  }
  await sendAndWait(1, m.query(PERSON))
  await sendAndWait(1, m.parse('p', PERSON), m.sync())
  for (const formats of [[], [1], [0, 1, 0, 1]])
    await sendAndWait(1, bind('', 'p', [], formats), execute('', 3), execute('', 10), m.sync())
  await sendAndWait(3, m.query('select 1'), m.query('select forbidden'), m.query(PERSON))
  await sendAndWait(
    1,
    m.parse('', PERSON),
    bind('', ''),
    execute(''),
    m.parse('', 'select forbidden'),
    bind('', ''),
    execute(''),
    m.sync(),
  )
  for (const options of ['', 'with csv header', '(format binary)'])
    await sendAndWait(1, m.query(`copy person to stdout ${options}`))
  await sendAndWait(1, m.query('begin'))
  await sendAndWait(1, m.query('declare c cursor for select * from person'))
  await sendAndWait(1, m.query('fetch 3 from c'))
  await sendAndWait(1, execute('c', 2), m.sync())
  await sendAndWait(1, m.query('select forbidden'))
  await sendAndWait(1, m.query('rollback'))
  await sendAndWait(1, m.query('prepare s as select * from person where id < $1'))
  await sendAndWait(2, m.query('execute s(4)'), bind('', 's', ['3']), execute(''), m.sync())
  await sendAndWait(2, m.query('set standard_conforming_strings = off'), m.query("select 'a\\'b'"))
  await sendAndWait(1, m.query('select complain()'))
  await sendAndWait(1, m.query('listen news'))
  await sendAndWait(1, m.query("notify news, 'from 078-05-1120'"))
  wire.send(m.query('copy person (id, note) from stdin'))
  await wire.until('G')
  await sendAndWait(1, frame('d', Buffer.from('61\tnew\n')), frame('c'))
  await sendAndWait(1, m.query('copy person (id, note) from stdin'), frame('d', Buffer.from('62\tnew\n')), frame('c'))
  await sendAndWait(1, m.parse('p', 'select 1'), m.sync())
  await sendAndWait(1, bind('', 'nobody'), m.sync())
  const held = new Promise<{ id: string }>((resolve) => gateway.broker.events.once('requested', resolve))
  wire.send(m.query("select 'to_be_held'"), m.query(PERSON))
  gateway.broker.approve((await held).id, { id: 'boss', type: 'human' })
  await wire.until('Z')
  await wire.until('Z')
  wire.send(m.query('select pg_sleep(20)'))
  await sleep(200)
  const other = await Wire.dial(gateway.port)
  other.send(m.cancelRequest(key.readInt32BE(0), key.subarray(4)))
  const cancelled = await wire.until('Z')
  expect(errorFields(cancelled[0] as WireMessage)['C'] ?? errorFields(cancelled[1] as WireMessage)['C']).toBe('57014')
  wire.send(m.terminate())
  await wire.untilClosed()
}

function firstDifference(actual: Buffer, expected: Buffer): string {
  if (actual.equals(expected)) return 'none'
  const at = actual.findIndex((byte, i) => byte !== expected[i])
  const show = (bytes: Buffer): string => JSON.stringify(bytes.toString('latin1', Math.max(0, at - 150), at + 150))
  return `at ${at} of ${actual.length} and ${expected.length}: ${show(actual)} instead of ${show(expected)}`
}

describe('a real session, played again', () => {
  it('PG-19 gives the same bytes on both sides, however its bytes are cut', async () => {
    await work()
    const { transcript, context } = recorded[0] as (typeof recorded)[number]
    const expected = {
      downstream: Buffer.concat(transcript.written.downstream),
      upstream: Buffer.concat(transcript.written.upstream),
    }
    expect(expected.downstream.includes('078-05-1')).toBe(false)
    expect(expected.downstream.length).toBeGreaterThan(5_000)
    const draw = seeded(99)
    const chunkings: Chunking[] = [
      whole,
      byteByByte,
      ...Array.from({ length: 20 }, (_, i) => randomly(draw, 1 + i * 20)),
    ]
    for (const chunking of chunkings) {
      const repeatable = { ...context, random: countingBytes(7), clock: { nowUnixMs: () => 1_700_000_000_000 } }
      const replayed = replayTranscript(postgres().createConnection(repeatable), transcript, chunking)
      expect(firstDifference(replayed.upstream, expected.upstream)).toBe('none')
      expect(firstDifference(replayed.downstream, expected.downstream)).toBe('none')
    }
  })
})
