import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import pg from 'pg'
import { DATABASE, demoSchema } from './demo-data.js'
import { type EmbeddedServer, startEmbeddedServer } from './embedded-server.js'

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
 * Starts a real PostgreSQL from npm packages and fills it with made-up people.
 */
export async function startDemoDatabase(options: {
  readonly dataDir: string | undefined
  readonly isKept: boolean
}): Promise<DemoDatabase> {
  const directory = options.dataDir === undefined ? await temporaryFolder() : resolve(options.dataDir)
  let server: EmbeddedServer | undefined
  const stop = async (): Promise<void> => {
    await server?.stop()
    if (options.dataDir === undefined && !options.isKept) await rm(directory, { recursive: true, force: true })
  }
  try {
    await mkdir(directory, { recursive: true })
    const password = await keptSecret(join(directory, 'gateway-password'))
    const port = await freePort()
    server = await startEmbeddedServer({ directory, port, password })
    if (server.isNew) await fill(port, password)
    return { host: '127.0.0.1', port, database: DATABASE, user: GATEWAY_USER, password, directory, stop }
  } catch (error) {
    await stop()
    throw error
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

async function fill(port: number, password: string): Promise<void> {
  const login = { host: '127.0.0.1', port, user: 'postgres', password }
  const admin = new pg.Client({ ...login, database: 'postgres' })
  await admin.connect()
  await admin.query(`CREATE ROLE ${GATEWAY_USER} LOGIN PASSWORD '${password}'`)
  await admin.query(`CREATE DATABASE ${DATABASE} OWNER ${GATEWAY_USER}`)
  await admin.end()
  const owner = new pg.Client({ ...login, database: DATABASE })
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
