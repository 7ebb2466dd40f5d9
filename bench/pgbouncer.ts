import { spawn, spawnSync } from 'node:child_process'
import { chownSync, existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import type { PostgresServer } from '../test/support/postgres.js'

const PLACES = ['/usr/sbin/pgbouncer', '/usr/bin/pgbouncer', '/usr/local/bin/pgbouncer', '/opt/homebrew/bin/pgbouncer']

export interface PgBouncer {
  readonly port: number
  readonly pid: number
  stop(): void
}

/** pgbouncer before the server, one server session per client session. Undefined: it is not installed and cannot be. */
export async function startPgBouncer(server: PostgresServer, user: string): Promise<PgBouncer | undefined> {
  const binary = findPgBouncer()
  if (binary === undefined) return undefined
  const directory = mkdtempSync('/tmp/sallyport-pgbouncer-')
  const port = 20_000 + (process.pid % 10_000)
  const usersFile = join(directory, 'users.txt')
  writeFileSync(usersFile, `"${user}" ""\n`)
  const configFile = join(directory, 'pgbouncer.ini')
  writeFileSync(
    configFile,
    `[databases]
* = host=127.0.0.1 port=${server.port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = trust
auth_file = ${usersFile}
pool_mode = session
default_pool_size = 600
max_client_conn = 1000
ignore_startup_parameters = extra_float_digits
log_connections = 0
log_disconnections = 0
`,
  )
  // It refuses to run as root.
  const owner = ownerOf(server.socketDir)
  for (const path of [directory, usersFile, configFile]) if (owner !== undefined) chownSync(path, owner.uid, owner.gid)
  const child = spawn(binary, ['-q', configFile], { stdio: ['ignore', 'ignore', 'inherit'], ...owner })
  const stop = (): void => {
    child.kill('SIGKILL')
    rmSync(directory, { recursive: true, force: true })
  }
  process.once('exit', stop)
  await accepting(port)
  return { port, pid: child.pid as number, stop }
}

function findPgBouncer(): string | undefined {
  const installed = PLACES.find((path) => existsSync(path))
  if (installed !== undefined || process.getuid?.() !== 0 || !existsSync('/usr/bin/apt-get')) return installed
  process.stderr.write('installing pgbouncer with apt-get\n')
  const answer = spawnSync('apt-get', ['install', '-y', '--no-install-recommends', 'pgbouncer'], { stdio: 'ignore' })
  return answer.status === 0 ? PLACES.find((path) => existsSync(path)) : undefined
}

function ownerOf(path: string): { uid: number; gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined
  const { uid, gid } = statSync(path)
  return { uid, gid }
}

/** The first line that `pgbouncer --version` prints. */
export function pgBouncerVersion(): string {
  const binary = PLACES.find((path) => existsSync(path))
  if (binary === undefined) return 'pgbouncer not installed'
  return spawnSync(binary, ['--version'], { encoding: 'utf8' }).stdout.split('\n')[0] ?? ''
}

async function accepting(port: number): Promise<void> {
  for (let attempt = 0; attempt < 200; attempt++) {
    const isOpen = await new Promise<boolean>((resolve) => {
      const socket = connect(port, '127.0.0.1')
      socket.once('connect', () => {
        socket.destroy()
        resolve(true)
      })
      socket.once('error', () => resolve(false))
    })
    if (isOpen) return
    await new Promise((resolve) => setTimeout(resolve, 25))
  }
  throw new Error('pgbouncer did not start')
}
