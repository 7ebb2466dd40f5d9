import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { join } from 'node:path'
import { until } from './until.js'

export interface TerminalOptions {
  readonly env: NodeJS.ProcessEnv
  readonly columns?: number
  readonly rows?: number
}

const DRIVER = join(import.meta.dirname, 'terminal.py')

/** A program on a terminal of its own, as a person has it. Needs python3. */
export class TestTerminal {
  readonly #child: ChildProcessWithoutNullStreams
  #bytes: Buffer[] = []
  #position = 0
  /** The program's status; 128 and its signal where that ended it. */
  readonly exited: Promise<number | null>

  constructor(program: string, args: readonly string[], options: TerminalOptions) {
    const { columns = 80, rows = 24 } = options
    this.#child = spawn('python3', [DRIVER, String(columns), String(rows), program, ...args], {
      env: { PATH: process.env['PATH'], TERM: 'xterm', ...options.env },
      stdio: 'pipe',
    })
    this.#child.stdin.on('error', () => undefined)
    this.#child.stdout.on('data', (chunk: Buffer) => this.#bytes.push(chunk))
    this.#child.stderr.on('data', (chunk: Buffer) => this.#bytes.push(chunk))
    this.exited = new Promise((resolve, reject) => {
      this.#child.once('error', reject)
      this.#child.once('close', (code) => resolve(code))
    })
  }

  /** Everything on the screen since the beginning. */
  get bytes(): Buffer {
    if (this.#bytes.length > 1) this.#bytes = [Buffer.concat(this.#bytes)]
    return this.#bytes[0] ?? Buffer.alloc(0)
  }

  get shown(): string {
    return this.bytes.toString()
  }

  /** What has come since the last text waited for. */
  get rest(): string {
    return this.shown.slice(this.#position)
  }

  /** Waits for a text behind the last one waited for. @returns what came before it */
  async shows(text: string, timeoutMs?: number): Promise<string> {
    try {
      await until(() => this.rest.includes(text), timeoutMs)
    } catch {
      throw new Error(`the terminal does not show ${JSON.stringify(text)} but ${JSON.stringify(this.rest)}`)
    }
    const before = this.rest.slice(0, this.rest.indexOf(text))
    this.#position += before.length + text.length
    return before
  }

  type(text: string): void {
    this.#frame('d', Buffer.from(text))
  }

  resize(columns: number, rows: number): void {
    this.#frame('w', Buffer.from([columns >> 8, columns & 255, rows >> 8, rows & 255]))
  }

  /** Takes the terminal away, as a window that is closed. */
  kill(): void {
    this.#child.kill('SIGKILL')
  }

  #frame(type: string, bytes: Buffer): void {
    const header = Buffer.alloc(5)
    header.write(type)
    header.writeUInt32BE(bytes.length, 1)
    this.#child.stdin.write(Buffer.concat([header, bytes]))
  }
}
