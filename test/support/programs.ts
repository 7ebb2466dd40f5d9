import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createReadStream } from 'node:fs'
import { AGENT } from './gateway.js'

export interface ProgramOptions {
  readonly env: NodeJS.ProcessEnv
  readonly input?: string
  readonly inputFile?: string
  /** Told when the program runs, to send it signals. */
  readonly started?: (child: ChildProcess) => void
}

export interface ProgramResult {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** Runs a client program to its end. Fails where it is not installed: a test that needs it must not pass without. */
export async function run(program: string, args: readonly string[], options: ProgramOptions): Promise<ProgramResult> {
  const child = spawn(program, args, { env: options.env, stdio: ['pipe', 'pipe', 'pipe'] })
  const stdout: Buffer[] = []
  const stderr: Buffer[] = []
  child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk))
  child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk))
  child.stdin.on('error', () => undefined)
  if (options.inputFile === undefined) child.stdin.end(options.input ?? '')
  else createReadStream(options.inputFile).pipe(child.stdin)
  options.started?.(child)
  await once(child, 'close')
  return { code: child.exitCode, stdout: Buffer.concat(stdout).toString(), stderr: Buffer.concat(stderr).toString() }
}

export interface Login {
  readonly port: number
  readonly host?: string
  readonly user?: string
  readonly password?: string
  readonly database?: string
  readonly more?: NodeJS.ProcessEnv
}

/** What libpq's programs read their log-in from. */
export function libpqEnvironment(login: Login): NodeJS.ProcessEnv {
  return {
    PATH: process.env['PATH'],
    HOME: '/nonexistent',
    PGHOST: login.host ?? 'localhost',
    PGPORT: String(login.port),
    PGUSER: login.user ?? AGENT.user,
    PGPASSWORD: login.password ?? AGENT.password,
    PGDATABASE: login.database ?? 'postgres',
    PGCONNECT_TIMEOUT: '20',
    PGSSLMODE: 'disable',
    PGGSSENCMODE: 'disable',
    ...login.more,
  }
}
