import { once } from 'node:events'
import { connect as connectTcp } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect as connectTls } from 'node:tls'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { HoldView } from '../../../src/approval/index.js'
import { type Certificates, makeCertificates } from '../../../src/gateway/gateway.test-support.js'
import type { Rule } from '../../../src/policy/index.js'
import * as m from '../../../src/protocols/postgres/messages.js'
import { AGENT, ALLOW_ALL, startGateway, type TestGateway } from '../../support/gateway.js'
import { type PostgresServer, startPostgres } from '../../support/postgres.js'
import { bind, cellsOf, errorFields, execute, typesOf, Wire, type WireMessage } from '../../support/wire.js'

const RULES: readonly Rule[] = [
  ALLOW_ALL,
  { id: 'hold', effect: 'hold', match: { text: 'to_be_held' }, hold: { timeoutMs: 20_000 } },
  { id: 'hold-briefly', effect: 'hold', match: { text: 'to_expire' }, hold: { timeoutMs: 300 } },
]
const BOSS = { id: 'boss', type: 'human' } as const

let server: PostgresServer
let certificates: Certificates
let gateway: TestGateway

beforeAll(async () => {
  certificates = makeCertificates()
  server = await startPostgres({ sql: 'create table log (note text)' })
  gateway = await startGateway({
    server,
    rules: RULES,
    listenerTls: { key: certificates.key, cert: certificates.cert, isRequired: false },
  })
})

afterAll(async () => {
  await gateway?.stop()
  await server?.stop()
  certificates?.remove()
})

interface Keyed {
  readonly wire: Wire
  readonly processId: number
  readonly secretKey: Buffer
}

/** Logged in, with what it takes to cancel. */
async function login(minor: 0 | 2 = 0, port = gateway.port): Promise<Keyed> {
  const wire = await Wire.login({ port, ...AGENT, database: 'postgres', minor })
  const { body } = wire.greeting.find((message) => message.type === 'K') as WireMessage
  return { wire, processId: body.readInt32BE(0), secretKey: body.subarray(4) }
}

/** Asks to cancel, and tells what was answered by when the connection is closed. */
async function cancel(processId: number, secretKey: Uint8Array, isEncrypted = false): Promise<Buffer> {
  let socket = connectTcp(gateway.port, '127.0.0.1')
  socket.on('error', () => undefined)
  const answer: Buffer[] = []
  if (isEncrypted) {
    socket.write(m.sslRequest())
    expect((await once(socket, 'data'))[0].toString()).toBe('S')
    socket = connectTls({ socket, ca: certificates.ca, servername: 'localhost' })
    socket.on('error', () => undefined)
  }
  socket.on('data', (chunk: Buffer) => answer.push(chunk))
  const closed = new Promise((resolve) => socket.once('close', resolve))
  socket.write(m.cancelRequest(processId, secretKey))
  await closed
  return Buffer.concat(answer)
}

async function held(): Promise<HoldView> {
  return await new Promise((resolve) => gateway.broker.events.once('requested', resolve))
}

const codes = (messages: readonly WireMessage[]): (string | undefined)[] =>
  messages.filter(({ type }) => type === 'E').map((message) => errorFields(message)['C'])

describe('PG-16 a request to cancel', () => {
  it.each([
    ['in the clear', 0, false],
    ['inside TLS', 0, true],
    ['of protocol 3.2 in the clear', 2, false],
    ['of protocol 3.2 inside TLS', 2, true],
  ] as const)('ends what runs, %s', async (_name, minor, isEncrypted) => {
    const { wire, processId, secretKey } = await login(minor)
    expect(secretKey.length).toBe(minor === 2 ? 32 : 4)
    wire.send(m.query('select pg_sleep(30)'))
    await sleep(200)
    expect(await cancel(processId, secretKey, isEncrypted)).toHaveLength(0)
    expect(codes(await wire.until('Z'))).toEqual(['57014'])
    expect(typesOf(await wire.query('select 1'))).toBe('TDCZ')
    wire.close()
  })

  it("never carries the server's own key", async () => {
    const { wire, processId } = await login()
    const pid = (await wire.query('select pg_backend_pid()')).filter(({ type }) => type === 'D').map(cellsOf)[0]?.[0]
    expect(String(processId)).not.toBe(pid)
    wire.close()
  })

  it('with a forged key has no effect and no answer', async () => {
    const { wire, processId, secretKey } = await login()
    wire.send(m.query("select pg_sleep(1.5), 'unharmed'"))
    await sleep(200)
    const wrong = Buffer.from(secretKey.map((byte) => byte ^ 1))
    for (const [id, key] of [
      [processId, wrong],
      [processId + 1, secretKey],
      [processId, Buffer.concat([secretKey, secretKey])],
      [processId, Buffer.alloc(256)],
      [0, Buffer.alloc(4)],
    ] as const) {
      expect(await cancel(id, key)).toHaveLength(0)
    }
    expect(codes(await wire.until('Z'))).toEqual([])
    wire.close()
  })

  it('with the key of a session that is gone has no effect', async () => {
    const gone = await login()
    gone.wire.close()
    await sleep(100)
    expect(await cancel(gone.processId, gone.secretKey)).toHaveLength(0)
  })

  it('withdraws what is held', async () => {
    const { wire, processId, secretKey } = await login()
    const request = held()
    wire.send(m.query("select 'to_be_held'"))
    const hold = await request
    await cancel(processId, secretKey)
    expect(codes(await wire.until('Z'))).toEqual(['57014'])
    expect(gateway.broker.approve(hold.id, BOSS).ok).toBe(false)
    wire.close()
  })

  it('does not hit the next statement', async () => {
    const { wire, processId, secretKey } = await login()
    for (let i = 0; i < 200; i++) {
      wire.send(m.query('select pg_sleep(0.002)'))
      // Sometimes before, sometimes after its end.
      await sleep(i % 5)
      await cancel(processId, secretKey)
      wire.send(m.query('select 1 from pg_sleep(0.003)'))
      await wire.until('Z')
      expect(codes(await wire.until('Z'))).toEqual([])
    }
    wire.close()
  })
})

describe('a held command', () => {
  it('is told of, runs when it is approved, and what came behind it is answered in order', async () => {
    const { wire } = await login()
    const request = held()
    wire.send(
      m.query('select 1'),
      m.query("select 'to_be_held'"),
      m.query('select 3'),
      m.parse('', 'select 4'),
      bind('', ''),
      execute(''),
      m.sync(),
    )
    const before = await wire.until('Z')
    const hold = await request
    await expect.poll(() => [...before, ...wire.received].filter(({ type }) => type === 'N').length).toBe(1)
    expect(hold.requester.id).toBe(AGENT.user)
    await sleep(100)
    expect(wire.received.filter(({ type }) => type !== 'N')).toEqual([])
    expect(gateway.broker.approve(hold.id, BOSS)).toMatchObject({ ok: true })
    const rows: unknown[] = []
    for (let i = 0; i < 3; i++) rows.push(...(await wire.until('Z')).filter(({ type }) => type === 'D').map(cellsOf))
    expect(rows).toEqual([['to_be_held'], ['3'], ['4']])
    wire.close()
  })

  it('PG-3 nothing behind it reaches the server before it', async () => {
    const { wire } = await login()
    const request = held()
    wire.send(m.query("insert into log values ('to_be_held')"), m.query("insert into log values ('behind')"))
    const hold = await request
    await sleep(200)
    const look = await login()
    expect((await look.wire.query('select * from log')).filter(({ type }) => type === 'D')).toEqual([])
    gateway.broker.approve(hold.id, BOSS)
    await wire.until('Z')
    await wire.until('Z')
    expect((await look.wire.query('select * from log')).filter(({ type }) => type === 'D').map(cellsOf)).toEqual([
      ['to_be_held'],
      ['behind'],
    ])
    await look.wire.query('truncate log')
    look.wire.close()
    wire.close()
  })

  it('APP-8 shows its values, and is refused when it is rejected', async () => {
    const { wire } = await login()
    const request = held()
    wire.send(m.parse('', 'select $1::text as to_be_held'), bind('', '', ['the value']), execute(''), m.sync())
    const hold = await request
    expect(JSON.stringify(hold)).toContain('the value')
    gateway.broker.reject(hold.id, BOSS, 'not today')
    const answer = await wire.until('Z')
    expect(codes(answer)).toEqual(['42501'])
    expect(errorFields(answer.find(({ type }) => type === 'E') as WireMessage)['M']).toContain('not today')
    expect(typesOf(await wire.query('select 1'))).toBe('TDCZ')
    wire.close()
  })

  it('APP-5 is refused when its time is over', async () => {
    const { wire } = await login()
    const answer = await wire.query("select 'to_expire'")
    expect(codes(answer)).toEqual(['42501'])
    wire.close()
  })

  it('APP-3 is not approved by who asked', async () => {
    const { wire } = await login()
    const request = held()
    wire.send(m.query("select 'to_be_held'"))
    const hold = await request
    expect(gateway.broker.approve(hold.id, hold.requester)).toMatchObject({ ok: false })
    gateway.broker.reject(hold.id, BOSS, 'no')
    await wire.until('Z')
    wire.close()
  })

  it('APP-5 is withdrawn when its client leaves, and never runs', async () => {
    const { wire } = await login()
    const request = held()
    wire.send(m.query("insert into log values ('to_be_held')"))
    const hold = await request
    wire.close()
    await expect.poll(() => gateway.broker.list()).toEqual([])
    expect(gateway.broker.approve(hold.id, BOSS).ok).toBe(false)
    await sleep(100)
    const look = await login()
    expect((await look.wire.query('select * from log')).filter(({ type }) => type === 'D')).toEqual([])
    look.wire.close()
  })
})

describe('a gateway that drains', () => {
  it('lets a busy session finish its command, and tells an idle one at once', async () => {
    const draining = await startGateway({ server, rules: RULES })
    const idle = await login(0, draining.port)
    const busy = await login(0, draining.port)
    busy.wire.send(m.query("select pg_sleep(0.7), 'finished'"))
    await sleep(200)
    const drained = draining.gateway.drain(10_000)
    expect(codes(await idle.wire.untilClosed())).toEqual(['57P01'])
    const last = await busy.wire.untilClosed()
    expect(typesOf(last)).toBe('TDCZE')
    expect(codes(last)).toEqual(['57P01'])
    await drained
    await expect(Wire.dial(draining.port)).rejects.toThrow('ECONNREFUSED')
  })
})
