import { randomBytes } from 'node:crypto'
import { connect as connectTls } from 'node:tls'
import pg from 'pg'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { Secret } from '../../src/core/index.js'
import { type Certificates, makeCertificates } from '../../src/gateway/gateway.test-support.js'
import type { ListenerTls, TargetTls } from '../../src/gateway/index.js'
import { clientCertificates, createToken, tokens, TokenStore } from '../../src/identity/index.js'
import type { PostgresOptions } from '../../src/protocols/postgres/index.js'
import * as m from '../../src/protocols/postgres/messages.js'
import { AGENT, startGateway, type TestGateway, type TestGatewayOptions } from '../support/gateway.js'
import { type PostgresServer, startPostgres } from '../support/postgres.js'
import { libpqEnvironment, run } from '../support/programs.js'
import { errorFields, Wire, type WireMessage } from '../support/wire.js'

let server: PostgresServer
let certificates: Certificates
const gateways: TestGateway[] = []

/** Accounts of the target, each let in by one method only. */
const ACCOUNTS = {
  scram: 'scram-secret',
  md5: 'md5-secret',
  clear: 'clear-secret',
  agent: undefined,
  trusted: undefined,
} as const

beforeAll(async () => {
  certificates = makeCertificates()
  server = await startPostgres({
    ssl: { cert: certificates.cert, key: certificates.key, ca: certificates.ca },
    hba: [
      'host all scram all scram-sha-256',
      'host all postgres all scram-sha-256',
      'host all md5 all md5',
      'host all clear all password',
      'hostssl all agent all cert',
      'host all trusted all trust',
    ],
    settings: { log_connections: 'on' },
    sql: `create role scram login password 'scram-secret'; create role clear login password 'clear-secret'; create role agent login;
      create role trusted login; set password_encryption = 'md5'; create role md5 login password 'md5-secret'`,
  })
})

afterEach(async () => {
  await Promise.all(gateways.splice(0).map((gateway) => gateway.stop()))
})

afterAll(async () => {
  await server?.stop()
  certificates?.remove()
})

async function arrange(options: Partial<TestGatewayOptions> = {}): Promise<TestGateway> {
  const gateway = await startGateway({ server, ...options })
  gateways.push(gateway)
  return gateway
}

const listenerTls = (more: Partial<ListenerTls> = {}): ListenerTls => ({
  key: certificates.key,
  cert: certificates.cert,
  ...more,
})

/** Everything that a log-in is told before the connection is closed. */
async function failure(gateway: TestGateway, config: pg.ClientConfig): Promise<Record<string, unknown>> {
  const client = new pg.Client({ host: '127.0.0.1', port: gateway.port, database: 'postgres', ...config })
  client.on('error', () => undefined)
  const error: unknown = await client.connect().then(
    () => undefined,
    (reason: unknown) => reason,
  )
  if (error === undefined) {
    await client.end()
    throw new Error('the log-in was expected to fail')
  }
  return { ...(error as object), message: (error as Error).message }
}

async function one(gateway: TestGateway, text: string, config: pg.ClientConfig = {}): Promise<unknown> {
  const client = new pg.Client({ host: '127.0.0.1', port: gateway.port, database: 'postgres', ...AGENT, ...config })
  await client.connect()
  const { rows } = await client.query({ text, rowMode: 'array' })
  await client.end()
  return rows[0]?.[0]
}

describe('who asks', () => {
  it('PG-17 is refused alike for a wrong password and an unknown user', async () => {
    const gateway = await arrange()
    const wrong = await failure(gateway, { user: AGENT.user, password: 'wrong' })
    const unknown = await failure(gateway, { user: 'ghost', password: 'wrong' })
    expect(wrong).toMatchObject({ code: '28P01', severity: 'FATAL' })
    expect({ ...unknown, message: '' }).toEqual({ ...wrong, message: '', length: unknown['length'] })
    expect(String(unknown['message']).replace('ghost', AGENT.user)).toBe(wrong['message'])
  })

  it('PG-17 is challenged alike, known or unknown, and with the same salt each time', async () => {
    const gateway = await arrange()
    const challenge = async (user: string): Promise<string> => {
      const wire = await Wire.dial(gateway.port)
      wire.send(m.startupMessage(0, [['user', user]]))
      const [request] = await wire.until('R')
      expect(request?.body.toString('latin1')).toBe('\0\0\0\x0aSCRAM-SHA-256\0\0')
      wire.send(m.saslInitialResponse('SCRAM-SHA-256', Buffer.from('n,,n=,r=clientnonce')))
      const [answer] = await wire.until('R')
      wire.close()
      return (answer as WireMessage).body
        .subarray(4)
        .toString()
        .replace(/^r=[^,]*,/, '')
    }
    const [known, unknown] = [await challenge(AGENT.user), await challenge('ghost')]
    expect(await challenge('ghost')).toBe(unknown)
    expect(unknown.length).toBe(known.length)
    expect(unknown.split(',')[1]).toBe(known.split(',')[1])
  })

  it('is let in by a token over TLS, and by nothing else', async () => {
    const store = new TokenStore()
    const token = createToken((count) => randomBytes(count))
    store.issue(new Secret(token), { subject: { id: 'agent-7' }, expiresAtUnixMs: Date.now() + 60_000, user: 'agent' })
    const identity = tokens({ find: store.find, clock: { nowUnixMs: () => Date.now() } })
    const ssl = { ca: certificates.ca }
    const gateway = await arrange({ identity, listenerTls: listenerTls({ isRequired: false }) })
    expect(await one(gateway, 'select 1', { password: token, ssl, host: 'localhost' })).toBe(1)
    expect(await failure(gateway, { user: 'agent', password: `${token}x`, ssl, host: 'localhost' })).toMatchObject({
      code: '28000',
    })
    expect(await failure(gateway, { user: 'other', password: token, ssl, host: 'localhost' })).toMatchObject({
      code: '28000',
    })
    const wire = await Wire.dial(gateway.port)
    wire.send(m.startupMessage(0, [['user', 'agent']]))
    const answer = await wire.untilClosed()
    expect(answer.map(({ type }) => type)).toEqual(['E'])
    expect(errorFields(answer[0] as WireMessage)).toMatchObject({ C: '28000', S: 'FATAL' })
  })

  it('is let in by client certificate, for the name in it', async () => {
    const identity = clientCertificates({ subject: (name, user) => (name === user ? { id: name } : undefined) })
    const gateway = await arrange({ identity, listenerTls: listenerTls({ clientCa: certificates.ca }) })
    const folder = certificates.dir
    const psql = (user: string, more: NodeJS.ProcessEnv) =>
      run('psql', ['-X', '-A', '-t', '-c', 'select 1'], { env: libpqEnvironment({ port: gateway.port, user, more }) })
    const verified = { PGSSLMODE: 'verify-full', PGSSLROOTCERT: `${folder}/ca.crt` }
    const own = { ...verified, PGSSLCERT: `${folder}/client.crt`, PGSSLKEY: `${folder}/client.key` }
    expect(await psql('agent', own)).toMatchObject({ code: 0, stdout: '1\n' })
    expect((await psql('root', own)).stderr).toContain('FATAL')
    expect((await psql('agent', verified)).stderr).toContain('certificate')
  })

  it('PG-14 comes by direct TLS with ALPN, and not without', async () => {
    const gateway = await arrange({ listenerTls: listenerTls() })
    const attempt = async (ALPNProtocols?: string[]): Promise<string> => {
      const socket = connectTls({
        port: gateway.port,
        host: '127.0.0.1',
        ca: certificates.ca,
        ...(ALPNProtocols && { ALPNProtocols }),
      })
      let answer = ''
      socket.on('error', () => undefined)
      socket.on('data', (chunk: Buffer) => {
        answer += chunk.toString('latin1')
        socket.end()
      })
      socket.write(m.startupMessage(0, [['user', AGENT.user]]))
      await new Promise((resolve) => socket.once('close', resolve))
      return answer
    }
    expect(await attempt(['postgresql'])).toContain('SCRAM-SHA-256')
    expect(await attempt()).toBe('')
    expect(await attempt(['h2'])).toBe('')
  })

  it('PG-15 may not ask for replication, a search_path or a role, and never reaches the target with them', async () => {
    const gateway = await arrange()
    for (const [name, value] of [
      ['replication', 'database'],
      ['replication', 'true'],
      ['search_path', 'evil'],
      ['role', 'postgres'],
      ['session_authorization', 'postgres'],
      ['options', '-c search_path=evil'],
      ['options', '-c standard_conforming_strings=off'],
      ['options', '--session-preload-libraries=evil'],
      ['options', '-W 5'],
      ['local_preload_libraries', 'evil'],
      ['client_encoding', 'SJIS'],
    ] as const) {
      const wire = await Wire.dial(gateway.port)
      wire.send(
        m.startupMessage(0, [
          ['user', AGENT.user],
          ['database', 'postgres'],
          [name, value],
        ]),
      )
      expect(
        (await wire.untilClosed()).map(({ type }) => type),
        `${name}=${value}`,
      ).toEqual(['E'])
    }
  })

  it('PG-14 negotiates what is newer than 3.2, and protocol options it does not know', async () => {
    const gateway = await arrange()
    const wire = await Wire.dial(gateway.port)
    const startup = m.startupMessage(2, [
      ['user', AGENT.user],
      ['_pq_.future', 'yes'],
    ])
    startup.writeInt16BE(9, 6)
    wire.send(startup)
    const [negotiate] = await wire.until('v')
    expect(negotiate?.body.readInt32BE(0)).toBe(0x0003_0002)
    expect(negotiate?.body.subarray(8).toString()).toBe('_pq_.future\0')
    await wire.until('R')
    wire.close()
  })
})

describe('how the target lets the gateway in', () => {
  interface Way {
    readonly user: keyof typeof ACCOUNTS
    readonly methods?: PostgresOptions['upstreamAuth']
    readonly tls?: TargetTls
    readonly password?: string
    readonly minor?: 0 | 2
  }

  async function through({ user, methods, tls, password, minor }: Way): Promise<TestGateway> {
    const secret = password ?? ACCOUNTS[user]
    return await arrange({
      server: { ...server, user, ...(secret === undefined ? {} : { password: secret }) },
      protocol: { ...(methods && { upstreamAuth: methods }), ...(minor && { upstreamMinor: minor }) },
      ...(tls && { targetTls: tls }),
    })
  }

  const verified = (): TargetTls => ({ mode: 'verify-full', ca: certificates.ca, serverName: 'localhost' })

  it('by SCRAM, in the clear and inside TLS', async () => {
    expect(await one(await through({ user: 'scram' }), 'select current_user')).toBe('scram')
    const inside = await through({ user: 'scram', tls: verified(), methods: ['scram-sha-256'] })
    expect(await one(inside, 'select ssl from pg_stat_ssl where pid = pg_backend_pid()')).toBe(true)
  })

  it('by SCRAM bound to the channel', async () => {
    const gateway = await through({ user: 'scram', tls: verified(), methods: ['scram-sha-256-plus'] })
    expect(await one(gateway, 'select current_user')).toBe('scram')
    // Without TLS there is no channel to bind to, and nothing weaker is configured.
    const plain = await through({ user: 'scram', methods: ['scram-sha-256-plus'] })
    expect(await failure(plain, AGENT)).toMatchObject({ code: '08006' })
  })

  it('by protocol 3.2 where the server speaks it, and by 3.0 where not', async () => {
    expect(await one(await through({ user: 'scram', minor: 2 }), 'select 1')).toBe(1)
  })

  it('PG-17 by md5 only where that is configured', async () => {
    expect(await one(await through({ user: 'md5', methods: ['md5'] }), 'select current_user')).toBe('md5')
    expect(await failure(await through({ user: 'md5' }), AGENT)).toMatchObject({ code: '08006' })
  })

  it('CRED-1 by the password itself only inside verified TLS', async () => {
    const inside = await through({ user: 'clear', methods: ['password'], tls: verified() })
    expect(await one(inside, 'select current_user')).toBe('clear')
    for (const tls of [undefined, { mode: 'require' }] as const) {
      const gateway = await through({ user: 'clear', methods: ['password'], ...(tls && { tls }) })
      expect(await failure(gateway, AGENT)).toMatchObject({ code: '08006' })
    }
    expect(await failure(await through({ user: 'clear', tls: verified() }), AGENT)).toMatchObject({ code: '08006' })
  })

  it('by client certificate, without any password', async () => {
    const tls = { ...verified(), cert: certificates.clientCert, key: certificates.clientKey }
    const gateway = await through({ user: 'agent', methods: ['none'], tls })
    expect(await one(gateway, 'select current_user')).toBe('agent')
    expect(await failure(await through({ user: 'agent', methods: ['none'], tls: verified() }), AGENT)).toMatchObject({
      code: '08006',
    })
  })

  it('PG-17 not without any proof, unless that is configured', async () => {
    expect(await failure(await through({ user: 'trusted' }), AGENT)).toMatchObject({ code: '08006' })
    expect(await one(await through({ user: 'trusted', methods: ['none'] }), 'select current_user')).toBe('trusted')
  })

  it('CRED-1 not at a target whose certificate names another', async () => {
    for (const tls of [{ ...verified(), serverName: 'other.example' }, { mode: 'verify-full' }] as const) {
      const before = server.log().length
      const told = await failure(await through({ user: 'scram', tls }), AGENT)
      expect(told['code']).toBe('08006')
      expect(server.log().slice(before)).not.toContain('user=scram')
    }
  })

  it('CRED-2 a wrong password of the gateway is told without its account', async () => {
    const told = await failure(await through({ user: 'scram', password: 'not-it' }), AGENT)
    expect(told).toMatchObject({ code: '08006', severity: 'FATAL' })
    expect(JSON.stringify(told)).not.toMatch(/"scram"|not-it|pg_hba/)
  })

  it('a database that is not there is told by its name', async () => {
    const told = await failure(await through({ user: 'scram' }), { ...AGENT, database: 'nowhere' })
    expect(told).toMatchObject({ code: '3D000' })
    expect(told['message']).toContain('nowhere')
  })

  it("CRED-4 the client's own password never reaches the target", async () => {
    const gateway = await through({ user: 'scram' })
    expect(await failure(gateway, { user: 'scram', password: 'scram-secret' })).toMatchObject({ code: '28P01' })
  })
})
