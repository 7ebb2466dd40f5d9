import { spawn, type ChildProcess } from 'node:child_process'
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type {
  CommandAnswer,
  Denial,
  FileContent,
  FileTransfer,
  Obligations,
  SallyportError,
  SftpCommand,
  Side,
} from '../../../core/index.js'
import type { Chunking } from '../../../testing/index.js'
import type { FileChannelEvent, FileMachine } from './events.js'

/** A denial refuses, obligations permit, undefined leaves the command waiting. */
export type Judge = (command: SftpCommand) => Denial | Obligations | undefined

/** Drives a file machine without any transport. */
export class FileHarness {
  readonly machine: FileMachine
  readonly commands: SftpCommand[] = []
  readonly answers: { commandId: number; answer: CommandAnswer }[] = []
  readonly transfers: FileTransfer[] = []
  readonly refused: { via: string; denial: Denial }[] = []
  readonly content: (FileContent & { readonly bytes: Buffer })[] = []
  readonly ended: Side[] = []
  readonly withdrawn: number[] = []
  closed: SallyportError | 'closed' | undefined
  readonly #judge: Judge
  readonly #written: Record<Side, Buffer[]> = { downstream: [], upstream: [] }

  constructor(machine: FileMachine, judge: Judge = () => ({})) {
    this.machine = machine
    this.#judge = judge
  }

  /** Gives the bytes in chunks, each lent: overwritten as soon as the machine has come to rest. */
  receive(from: Side, bytes: Uint8Array, chunking?: Chunking): void {
    for (const chunk of chunking === undefined ? [bytes] : chunking(bytes)) {
      const lent = Buffer.from(chunk)
      this.machine.receive(from, lent, true)
      this.pump()
      lent.fill(0xee)
    }
  }

  end(from: Side): void {
    this.machine.end(from)
    this.pump()
  }

  /** What was written to this side since the last call. */
  take(to: Side): Buffer {
    const bytes = Buffer.concat(this.#written[to])
    this.#written[to] = []
    return bytes
  }

  pump(): void {
    for (let event = this.machine.next(); event !== undefined; event = this.machine.next()) this.#handle(event)
  }

  #handle(event: FileChannelEvent): void {
    switch (event.type) {
      case 'write':
        this.#written[event.to].push(Buffer.from(event.bytes))
        return
      case 'command': {
        this.commands.push(event.command)
        const verdict = this.#judge(event.command)
        if (verdict === undefined) return
        if ('reason' in verdict) this.machine.refuse(event.command.id, verdict)
        else this.machine.permit(event.command.id, verdict)
        return
      }
      case 'answer':
        this.answers.push({ commandId: event.commandId, answer: event.answer })
        return
      case 'transfer':
        this.transfers.push(event.transfer)
        return
      case 'content':
        this.content.push({ ...event.content, bytes: Buffer.from(event.content.bytes) })
        return
      case 'refused':
        this.refused.push({ via: event.via, denial: event.denial })
        return
      case 'withdraw':
        this.withdrawn.push(event.commandId)
        return
      case 'end':
        this.ended.push(event.to)
        return
      case 'close':
        this.closed = event.error ?? 'closed'
        return
    }
  }
}

export function counter(): () => number {
  let id = 0
  return () => ++id
}

/** What one connection of a relay is made of. */
export interface Relayed {
  /** The server's program and its arguments. */
  readonly server: readonly string[]
  readonly machine: FileMachine
  readonly judge: Judge
}

/**
 * Stands between a real client and a real server: the client runs `command`, a program that hands its standard streams to
 * this process, where the machine sits on them; the server is a child process.
 */
export class Relay {
  readonly directory = mkdtempSync(join(tmpdir(), 'sallyport-files-'))
  /** A program for the client to run in the server's place. Its last argument is the command line. */
  readonly command = join(this.directory, 'relay.mjs')
  readonly harnesses: FileHarness[] = []
  readonly #server: Server
  readonly #children = new Set<ChildProcess>()
  readonly #sockets = new Set<Socket>()

  private constructor(cwd: string | undefined, make: (commandLine: string) => Relayed) {
    const path = join(this.directory, 'socket')
    writeFileSync(
      this.command,
      `#!${process.execPath}
import { writeFileSync } from 'node:fs'
import { connect } from 'node:net'
writeFileSync(${JSON.stringify(join(this.directory, 'line'))}, process.argv.at(-1))
const socket = connect({ path: ${JSON.stringify(path)}, allowHalfOpen: true })
process.stdin.pipe(socket)
socket.pipe(process.stdout)
socket.on('end', () => process.exit(0))
socket.on('close', () => process.exit(0))
process.stdout.on('error', () => process.exit(0))
`,
    )
    chmodSync(this.command, 0o755)
    this.#server = createServer({ allowHalfOpen: true }, (socket) => {
      const { machine, judge, server } = make(readFileSync(join(this.directory, 'line'), 'utf8'))
      const [program = '', ...args] = server
      const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'], ...(cwd === undefined ? {} : { cwd }) })
      this.#children.add(child)
      this.#sockets.add(socket)
      this.#join(socket, child, machine, judge)
    })
    this.#server.listen(path)
  }

  static async start(make: (commandLine: string) => Relayed, cwd?: string): Promise<Relay> {
    const relay = new Relay(cwd, make)
    if (!relay.#server.listening) await new Promise((resolve) => relay.#server.once('listening', resolve))
    return relay
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    for (const child of this.#children) child.kill()
    await new Promise((resolve) => this.#server.close(resolve))
    rmSync(this.directory, { recursive: true, force: true })
  }

  #join(socket: Socket, child: ChildProcess, machine: FileMachine, judge: Judge): void {
    const harness = new FileHarness(machine, judge)
    this.harnesses.push(harness)
    const { stdin, stdout } = child
    if (stdin === null || stdout === null) throw new Error('the server has no streams')
    const move = (): void => {
      harness.pump()
      const toServer = harness.take('upstream')
      const toClient = harness.take('downstream')
      if (toServer.length > 0) stdin.write(toServer)
      if (toClient.length > 0) socket.write(toClient)
      if (harness.ended.includes('upstream') || harness.closed !== undefined) stdin.end()
      if (harness.ended.includes('downstream') || harness.closed !== undefined) socket.end()
      if (machine.wantsRead('downstream')) socket.resume()
      else socket.pause()
      if (machine.wantsRead('upstream')) stdout.resume()
      else stdout.pause()
    }
    const feed = (from: Side) => (chunk: Buffer) => {
      machine.receive(from, chunk)
      move()
    }
    socket.on('data', feed('downstream'))
    stdout.on('data', feed('upstream'))
    socket.on('end', () => {
      machine.end('downstream')
      move()
    })
    stdout.on('end', () => {
      machine.end('upstream')
      move()
    })
    socket.on('error', () => child.kill())
    stdin.on('error', () => undefined)
    socket.on('close', () => {
      machine.abandon()
      harness.pump()
    })
  }
}

/** Runs a program to its end. */
export function run(
  program: string,
  args: readonly string[],
  options: { readonly input?: string; readonly cwd?: string; readonly env?: NodeJS.ProcessEnv } = {},
): Promise<{ readonly code: number | null; readonly stdout: string; readonly stderr: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'], cwd: options.cwd, env: options.env })
    let stdout = ''
    let stderr = ''
    child.stdout.on('data', (chunk: Buffer) => {
      stdout += chunk.toString()
    })
    child.stderr.on('data', (chunk: Buffer) => {
      stderr += chunk.toString()
    })
    child.on('error', reject)
    child.on('close', (code) => resolve({ code, stdout, stderr }))
    child.stdin.end(options.input ?? '')
  })
}
