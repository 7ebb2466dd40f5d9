import { type ChildProcess, spawn, type StdioOptions } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, existsSync, openSync } from 'node:fs'
import { join } from 'node:path'
import type { SshContender, SshWorld } from './ssh-world.js'

const START_TIMEOUT_MS = 10_000
/** What all contenders can, so that all do the same work. */
const ALGORITHMS = ['-c', 'aes128-gcm@openssh.com', '-o', 'KexAlgorithms=curve25519-sha256']

let count = 0

/**
 * A connection of OpenSSH's client that stays open. Its commands are started on it without another log-in, and their bytes
 * go from and to files without passing through Node.
 */
export class OpenSshConnection {
  readonly #master: ChildProcess
  readonly #options: readonly string[]

  private constructor(master: ChildProcess, options: readonly string[]) {
    this.#master = master
    this.#options = options
  }

  static async open({ keyFile, folder }: SshWorld, { port, user }: SshContender): Promise<OpenSshConnection> {
    const control = join(folder, `control-${count++}`)
    const options = [
      ['-F', '/dev/null'],
      ['-o', 'StrictHostKeyChecking=no'],
      ['-o', 'UserKnownHostsFile=/dev/null'],
      ['-o', 'GlobalKnownHostsFile=/dev/null'],
      ['-o', 'IdentitiesOnly=yes'],
      ['-o', 'IdentityAgent=none'],
      ['-o', `IdentityFile=${keyFile}`],
      ['-o', 'BatchMode=yes'],
      ['-o', 'LogLevel=ERROR'],
      ['-o', `Port=${port}`],
      ['-o', `User=${user}`],
      ['-o', `ControlPath=${control}`],
      ALGORITHMS,
    ].flat()
    const master = spawn('ssh', ['-M', '-N', ...options, '127.0.0.1'], { stdio: ['ignore', 'ignore', 'inherit'] })
    for (const end = Date.now() + START_TIMEOUT_MS; !existsSync(control); ) {
      if (Date.now() > end || master.exitCode !== null) throw new Error(`ssh did not connect to port ${port}`)
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    return new OpenSshConnection(master, options)
  }

  /** Runs a command, with `input` as its stdin, and lets go of what it says. Returns milliseconds. */
  async run(command: string, input?: string): Promise<number> {
    const stdin = input === undefined ? undefined : openSync(input, 'r')
    try {
      return await timed('ssh', [...this.#options, '127.0.0.1', command], [stdin ?? 'ignore', 'ignore', 'inherit'])
    } finally {
      if (stdin !== undefined) closeSync(stdin)
    }
  }

  /** Runs one line of `sftp`. Returns milliseconds. */
  sftp(line: string): Promise<number> {
    return timed('sftp', ['-q', '-b', '-', ...this.#options, '127.0.0.1'], ['pipe', 'ignore', 'inherit'], `${line}\n`)
  }

  async close(): Promise<void> {
    const gone = once(this.#master, 'exit')
    this.#master.kill('SIGTERM')
    await gone
  }
}

function timed(program: string, args: readonly string[], stdio: StdioOptions, input?: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const started = performance.now()
    const child = spawn(program, args, { stdio })
    child.stdin?.end(input)
    child.once('error', reject)
    child.once('exit', (code) => {
      if (code === 0) resolve(performance.now() - started)
      else reject(new Error(`\`${program} ${args.at(-1)}\` ended with ${code}`))
    })
  })
}
