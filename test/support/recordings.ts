import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Durability } from '../../src/recording/index.js'
import type { PostgresServer } from './postgres.js'

/** A line of a recording, as far as tests look at it. */
export interface RecordedLine {
  readonly type: string
  readonly [member: string]: unknown
}

/** The files of recordings in a directory. */
export function recordingFiles(directory: string): string[] {
  return readdirSync(directory)
    .filter((name) => name.endsWith('.jsonl'))
    .sort()
    .map((name) => join(directory, name))
}

/** All lines of a recording file, without the last one where that may be incomplete and is. */
export function recordedLines(file: string, mayBeTorn = false): RecordedLine[] {
  const text = readFileSync(file, 'utf8')
  return parseLines(mayBeTorn ? text.slice(0, text.lastIndexOf('\n') + 1) : text)
}

/** All lines of a recording's text. */
export function parseLines(text: string): RecordedLine[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as RecordedLine)
}

export interface RecordingGateway {
  readonly child: ChildProcess
  readonly port: number
  readonly leftOpen: readonly { readonly name: string; readonly tornBytes: number; readonly error?: string }[]
  /** Ends it in order. Answers with its exit code. */
  stop(): Promise<number | null>
  /** Ends it at once, as a crash would. */
  kill(): Promise<void>
}

export interface RecordingGatewayOptions {
  readonly server: PostgresServer
  readonly directory: string
  readonly durability?: Durability
  /** No file may grow beyond this: stands for a full disk. */
  readonly maxFileKiB?: number
}

/** Starts `recording-gateway-process.ts`. */
export async function startRecordingGateway(options: RecordingGatewayOptions): Promise<RecordingGateway> {
  const { server, directory, durability = 'durable', maxFileKiB } = options
  const program = join(import.meta.dirname, 'recording-gateway-process.ts')
  const args = ['--import', 'tsx', program, JSON.stringify(server), directory, durability]
  const limit = maxFileKiB === undefined ? '' : `ulimit -f ${maxFileKiB}; `
  const child = spawn('bash', ['-c', `${limit}exec "$@"`, 'bash', process.execPath, ...args], {
    stdio: ['pipe', 'pipe', 'pipe'],
    // Its cache of compiled files would meet the limit too.
    env: { ...process.env, TSX_DISABLE_CACHE: '1' },
  })
  const exited = once(child, 'exit')
  let out = ''
  let errors = ''
  child.stderr.on('data', (chunk) => (errors += String(chunk)))
  const first = await new Promise<string>((resolve, reject) => {
    child.stdout.on('data', (chunk) => {
      out += String(chunk)
      if (out.includes('\n')) resolve(out)
    })
    child.once('exit', (code) => reject(new Error(`the gateway ended with ${code}: ${errors}`)))
  })
  return {
    child,
    ...(JSON.parse(first) as Pick<RecordingGateway, 'port' | 'leftOpen'>),
    async stop() {
      child.stdin.end()
      return (await exited)[0] as number | null
    },
    async kill() {
      child.kill('SIGKILL')
      await exited
    },
  }
}
