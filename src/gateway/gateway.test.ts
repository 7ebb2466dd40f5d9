import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { connect as connectTcp } from 'node:net'
import { connect as connectTls } from 'node:tls'
import pg from 'pg'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { startPostgres, type PostgresServer } from '../../test/support/postgres.js'
import { Secret } from '../core/index.js'
import { staticCredentials } from '../credentials/index.js'
import { clientCertificates } from '../identity/index.js'
import { postgres } from '../protocols/postgres/index.js'
import { postgresCatalog } from './catalogs.js'
import { createGateway, type Gateway, type GatewayOptions } from './gateway.js'
import { agents, makeCertificates, StandInEnforcer, type Certificates } from './gateway.test-support.js'
import type { GatewayLimits, ListenerTls, TargetTls } from './types.js'

let server: PostgresServer
let certificates: Certificates
const gateways: Gateway[] = []

beforeAll(async () => {
  certificates = makeCertificates()
  server = await startPostgres({
    ssl: { cert: certificates.cert, key: certificates.key },
    sql: 'CREATE TABLE t (id int PRIMARY KEY, name text); INSERT INTO t SELECT n, repeat(chr(97), 100) FROM generate_series(1, 100000) n',
  })
})

afterEach(async () => {
  await Promise.all(gateways.splice(0).map((gateway) => gateway.close()))
})

afterAll(async () => {
  certificates?.remove()
  await server?.stop()
})

interface Arrangement {
  readonly listenerTls?: ListenerTls
  readonly targetTls?: TargetTls
  readonly limits?: GatewayLimits
  readonly identity?: GatewayOptions['identity']
}

async function arrange(options: Arrangement = {}) {
  const enforcer = new StandInEnforcer()
  const gateway = createGateway({
    listeners: [
      { resource: 'db', port: 0, ...(options.listenerTls === undefined ? {} : { tls: options.listenerTls }) },
    ],
    resources: [
      {
        resource: { name: 'db', protocol: 'postgres' },
        protocol: postgres(),
        target: {
          host: server.host,
          port: server.port,
          ...(options.targetTls === undefined ? {} : { tls: options.targetTls }),
        },
        credentials: staticCredentials({ db: { user: server.user, password: new Secret(server.password) } }),
        catalog: postgresCatalog(),
      },
    ],
    enforcer,
    identity: options.identity ?? agents,
    ...(options.limits === undefined ? {} : { limits: options.limits }),
  })
  gateways.push(gateway)
  const [address] = await gateway.listen()
  const port = address?.port as number
  const client = (more: pg.ClientConfig = {}) =>
    new pg.Client({ host: '127.0.0.1', port, user: 'agent', password: 'agent-pass', database: 'postgres', ...more })
  return { enforcer, gateway, port, client }
}

async function psql(port: number, text: string, env: NodeJS.ProcessEnv = {}) {
  const child = spawn('psql', ['-X', '-A', '-t', '-v', 'ON_ERROR_STOP=0', '-c', text], {
    env: {
      PATH: process.env['PATH'],
      PGHOST: 'localhost',
      PGPORT: String(port),
      PGUSER: 'agent',
      PGPASSWORD: 'agent-pass',
      PGDATABASE: 'postgres',
      ...env,
    },
  })
  let stdout = ''
  let stderr = ''
  child.stdout.on('data', (chunk) => (stdout += chunk))
  child.stderr.on('data', (chunk) => (stderr += chunk))
  await once(child, 'close')
  return { stdout, stderr }
}

describe('a gateway in front of PostgreSQL', () => {
  it('serves psql without the client ever seeing the credential of the target', async () => {
    const { port, enforcer } = await arrange()
    const { stdout, stderr } = await psql(port, 'select current_user, 1 + 1')
    expect(stderr).toBe('')
    expect(stdout).toBe('postgres|2\n')
    expect(enforcer.seen).toContain('select current_user, 1 + 1')
  })

  it('refuses a command politely and leaves the session usable', async () => {
    const { client } = await arrange()
    const connection = client()
    await connection.connect()
    await expect(connection.query('select forbidden')).rejects.toThrow('forbidden')
    expect((await connection.query('select 1 as one')).rows).toEqual([{ one: 1 }])
    await connection.end()
  })

  it('refuses a wrong password', async () => {
    const { client } = await arrange()
    await expect(client({ password: 'wrong' }).connect()).rejects.toBeInstanceOf(Error)
    await expect(client({ user: 'ghost' }).connect()).rejects.toBeInstanceOf(Error)
  })

  it('carries a large result with lent memory without changing a byte', async () => {
    const { client } = await arrange()
    const connection = client()
    await connection.connect()
    const { rows } = await connection.query('select id, name from t order by id')
    expect(rows.length).toBe(100_000)
    expect(rows.every((row, index) => row.id === index + 1 && row.name === 'a'.repeat(100))).toBe(true)
    await connection.end()
  })

  it('carries it to a client that reads in fits and starts, too', async () => {
    const { port } = await arrange()
    const digest = async (env: NodeJS.ProcessEnv, pauseMs: number): Promise<string> => {
      const text = "copy (select n, md5(n::text), repeat('x', n % 3000) from generate_series(1, 15000) n) to stdout"
      const child = spawn('psql', ['-X', '-c', text], {
        env: { PATH: process.env['PATH'], PGDATABASE: 'postgres', ...env },
      })
      const hash = createHash('sha256')
      let bytes = 0
      for await (const chunk of child.stdout as AsyncIterable<Buffer>) {
        hash.update(chunk)
        bytes += chunk.length
        if (pauseMs > 0 && bytes % 64 === 0) await new Promise((resolve) => setTimeout(resolve, pauseMs))
      }
      expect(bytes).toBeGreaterThan(20_000_000)
      return hash.digest('hex')
    }
    const guarded = { PGHOST: '127.0.0.1', PGPORT: String(port), PGUSER: 'agent', PGPASSWORD: 'agent-pass' }
    const direct = { PGHOST: server.socketDir, PGPORT: String(server.port), PGUSER: server.user }
    const expected = await digest(direct, 0)
    expect(await digest(guarded, 0)).toBe(expected)
    expect(await digest(guarded, 2)).toBe(expected)
    expect(
      (await Promise.all([digest(guarded, 1), digest(guarded, 0), digest(guarded, 1)])).every((it) => it === expected),
    ).toBe(true)
  })

  it('holds a command, tells the client, and runs it when it is approved', async () => {
    const { client, enforcer } = await arrange()
    const connection = client()
    const notices: string[] = []
    connection.on('notice', (notice) => notices.push(notice.message ?? ''))
    await connection.connect()
    const answer = connection.query('select 1 as approval')
    await expect.poll(() => notices).toEqual(['this waits for approval'])
    enforcer.release(true)
    expect((await answer).rows).toEqual([{ approval: 1 }])
    await connection.end()
  })

  it('APP-5 ends a hold when its client disconnects', async () => {
    const { client, enforcer } = await arrange()
    const connection = client()
    connection.on('error', () => {})
    await connection.connect()
    connection.query('select 1 as approval').catch(() => {})
    await expect.poll(() => enforcer.seen).toContain('select 1 as approval')
    ;(connection as unknown as { connection: { stream: { destroy(): void } } }).connection.stream.destroy()
    await expect.poll(() => enforcer.withdrawn.length).toBeGreaterThan(0)
    await expect.poll(() => enforcer.ended.length).toBe(1)
  })

  it.each([
    ['in the clear', {}, {}],
    ['inside TLS on both sides', { PGSSLMODE: 'verify-full' }, { tls: true }],
  ])(
    "PG-16 cancels a running and a held command by the gateway's own key, %s",
    async (_name, env, { tls }: { tls?: boolean }) => {
      const { port, enforcer } = await arrange(
        tls === true
          ? {
              listenerTls: { key: certificates.key, cert: certificates.cert },
              targetTls: { mode: 'verify-full', ca: certificates.ca, serverName: 'localhost' },
            }
          : {},
      )
      const run = async (text: string) => {
        const child = spawn('psql', ['-X', '-A', '-t', '-c', text], {
          env: {
            PATH: process.env['PATH'],
            PGHOST: 'localhost',
            PGPORT: String(port),
            PGUSER: 'agent',
            PGPASSWORD: 'agent-pass',
            PGDATABASE: 'postgres',
            PGSSLROOTCERT: `${certificates.dir}/ca.crt`,
            ...env,
          },
        })
        let stderr = ''
        child.stderr.on('data', (chunk) => (stderr += chunk))
        await expect.poll(() => enforcer.seen, { timeout: 5_000 }).toContain(text)
        await new Promise((resolve) => setTimeout(resolve, 200))
        child.kill('SIGINT')
        await once(child, 'close')
        return stderr
      }
      expect(await run('select pg_sleep(20)')).toContain('canceling statement due to user request')
      await run('select 2 as approval')
      expect(enforcer.withdrawn.length).toBeGreaterThan(0)
    },
  )

  it('does not cancel anything for a forged key', async () => {
    const { client, port } = await arrange()
    const connection = client()
    await connection.connect()
    const { processID } = connection as unknown as { processID: number }
    const answer = connection.query('select pg_sleep(0.5), 7 as seven')
    const socket = connectTcp(port, '127.0.0.1')
    const request = Buffer.alloc(16)
    request.writeInt32BE(16, 0)
    request.writeInt32BE(80_877_102, 4)
    request.writeInt32BE(processID, 8)
    socket.on('error', () => {})
    socket.write(request)
    await once(socket.resume(), 'close')
    expect((await answer).rows[0].seven).toBe(7)
    await connection.end()
  })

  it('speaks TLS on both sides, with the modes of psql', async () => {
    const { port } = await arrange({
      listenerTls: { key: certificates.key, cert: certificates.cert },
      targetTls: { mode: 'verify-full', ca: certificates.ca, serverName: 'localhost' },
    })
    const sslrootcert = `${certificates.dir}/ca.crt`
    const text = 'select ssl from pg_stat_ssl where pid = pg_backend_pid()'
    expect((await psql(port, text, { PGSSLMODE: 'verify-full', PGSSLROOTCERT: sslrootcert })).stdout).toBe('t\n')
    const plain = await psql(port, text, { PGSSLMODE: 'disable' })
    expect(plain.stdout).toBe('')
    expect(plain.stderr).not.toBe('')
  })

  it('CRED-1 does not log in at a target whose certificate does not verify', async () => {
    for (const targetTls of [
      { mode: 'verify-full', ca: certificates.ca, serverName: 'other.example' },
      { mode: 'verify-full' },
    ] as const) {
      const { client } = await arrange({ targetTls })
      await expect(client().connect()).rejects.toBeInstanceOf(Error)
    }
    const { client } = await arrange({ targetTls: { mode: 'require' } })
    const connection = client()
    await connection.connect()
    await connection.end()
  })

  it('PG-14 takes direct TLS with the ALPN name, and refuses it without', async () => {
    const { port } = await arrange({ listenerTls: { key: certificates.key, cert: certificates.cert } })
    const startup = Buffer.from('\0\0\0\x20\0\x03\0\0user\0agent\0database\0db\0\0', 'latin1')
    startup.writeInt32BE(startup.length, 0)
    const attempt = async (ALPNProtocols?: string[]): Promise<string> => {
      const socket = connectTls({
        port,
        host: '127.0.0.1',
        ca: certificates.ca,
        ...(ALPNProtocols === undefined ? {} : { ALPNProtocols }),
      })
      let answer = ''
      socket.on('error', () => {})
      socket.on('data', (chunk: Buffer) => {
        answer += chunk.toString('latin1')
        socket.end()
      })
      const closed = new Promise((resolve) => socket.once('close', resolve))
      socket.write(startup)
      await closed
      return answer
    }
    expect(await attempt(['postgresql'])).toContain('SCRAM-SHA-256')
    expect(await attempt()).toBe('')
    expect(await attempt(['http/1.1'])).toBe('')
  })

  it('PG-14 ends a connection with plaintext stuffed behind its request for TLS', async () => {
    const { port } = await arrange({ listenerTls: { key: certificates.key, cert: certificates.cert } })
    const request = Buffer.from([0, 0, 0, 8, 4, 210, 22, 47])
    for (const isTogether of [true, false]) {
      const socket = connectTcp(port, '127.0.0.1')
      const received: Buffer[] = []
      socket.on('error', () => {})
      socket.on('data', (chunk: Buffer) => received.push(chunk))
      const stuffed = Buffer.from('\0\0\0\x14\0\x03\0\0user\0agent\0\0', 'latin1')
      if (isTogether) {
        socket.write(Buffer.concat([request, stuffed]))
      } else {
        socket.write(request)
        await expect.poll(() => Buffer.concat(received).toString('latin1')).toBe('S')
        socket.write(stuffed)
      }
      await once(socket, 'close')
      expect(Buffer.concat(received).toString('latin1')).not.toContain('R\0\0\0')
    }
  })

  it('lets in by client certificate, by the name in it', async () => {
    const { client } = await arrange({
      listenerTls: { key: certificates.key, cert: certificates.cert, clientCa: certificates.ca },
      identity: clientCertificates({ subject: (name, user) => (name === user ? { id: name } : undefined) }),
    })
    const ssl = { ca: certificates.ca, key: certificates.clientKey, cert: certificates.clientCert }
    const connection = client({ ssl, host: 'localhost' })
    await connection.connect()
    expect((await connection.query('select 1 as one')).rows).toEqual([{ one: 1 }])
    await connection.end()
    await expect(client({ ssl: { ca: certificates.ca }, host: 'localhost' }).connect()).rejects.toBeInstanceOf(Error)
    await expect(client({ ssl, host: 'localhost', user: 'root' }).connect()).rejects.toBeInstanceOf(Error)
  })

  it('drains: idle sessions at once, busy ones after their command', async () => {
    const { client, gateway, enforcer } = await arrange()
    const idle = client()
    const busy = client()
    const codes: (string | undefined)[] = []
    for (const connection of [idle, busy]) {
      connection.on('error', (error) => codes.push((error as { code?: string }).code))
      await connection.connect()
    }
    const answer = busy.query('select pg_sleep(0.5), 3 as three')
    await new Promise((resolve) => setTimeout(resolve, 100))
    const drained = gateway.drain(5_000)
    await expect.poll(() => codes.length).toBeGreaterThan(0)
    expect((await answer).rows[0].three).toBe(3)
    await drained
    expect(codes.filter((code) => code === '57P01').length).toBe(2)
    expect(enforcer.ended.length).toBe(2)
    expect(gateway.connections.length).toBe(0)
  })

  it('forces what is busy after the deadline of a drain', async () => {
    const { client, gateway } = await arrange()
    const busy = client()
    busy.on('error', () => {})
    await busy.connect()
    busy.query('select pg_sleep(30)').catch(() => {})
    await new Promise((resolve) => setTimeout(resolve, 100))
    const before = Date.now()
    await gateway.drain(200)
    expect(Date.now() - before).toBeLessThan(5_000)
  })

  it('ends sessions that are idle for too long, and clients that never log in', async () => {
    const { client, port } = await arrange({ limits: { idleTimeoutMs: 1_000, authenticationTimeoutMs: 500 } })
    const idle = client()
    const ended = new Promise((resolve) => idle.once('end', resolve))
    idle.on('error', () => {})
    await idle.connect()
    const silent = connectTcp(port, '127.0.0.1')
    silent.on('error', () => {})
    await once(silent.resume(), 'close')
    await ended
  })

  it('keeps places for others while somebody does not log in', async () => {
    const { gateway, port, client } = await arrange({ limits: { maxLoginsPerAddress: 2 } })
    const admitted = client()
    await admitted.connect()
    const strangers = [connectTcp(port, '127.0.0.1'), connectTcp(port, '127.0.0.1')]
    await Promise.all(strangers.map((stranger) => once(stranger, 'connect')))
    await expect(client().connect()).rejects.toBeInstanceOf(Error)
    expect(gateway.connections).toHaveLength(3)
    for (const stranger of strangers) stranger.destroy()
    await expect.poll(() => gateway.connections.length).toBe(1)
    const another = client()
    await another.connect()
    await Promise.all([another.end(), admitted.end()])
  })

  it('turns away what exceeds its limits', async () => {
    const { client } = await arrange({ limits: { maxConnections: 1 } })
    const first = client()
    await first.connect()
    await expect(client().connect()).rejects.toBeInstanceOf(Error)
    await first.end()
  })

  it('says so politely where the target cannot be reached', async () => {
    const { client } = await arrange()
    const gateway = createGateway({
      listeners: [{ resource: 'db', port: 0 }],
      resources: [
        {
          resource: { name: 'db', protocol: 'postgres' },
          protocol: postgres(),
          target: { host: '127.0.0.1', port: 1 },
          credentials: staticCredentials({ db: { user: 'x' } }),
        },
      ],
      enforcer: new StandInEnforcer(),
      identity: agents,
    })
    gateways.push(gateway)
    const [address] = await gateway.listen()
    await expect(client({ port: address?.port as number }).connect()).rejects.toThrow('the target cannot be reached')
  })
})
