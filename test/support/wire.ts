import { randomBytes } from 'node:crypto'
import { connect, type Socket } from 'node:net'
import { Secret } from '../../src/core/index.js'
import * as messages from '../../src/protocols/postgres/messages.js'
import { ScramClient } from '../../src/protocols/postgres/scram.js'

/** One message as it came: type letter and body without the length. */
export interface WireMessage {
  readonly type: string
  readonly body: Buffer
}

export interface WireLogin {
  readonly port: number
  readonly host?: string
  readonly user: string
  readonly password?: string
  readonly database: string
  readonly minor?: 0 | 2
  readonly parameters?: readonly (readonly [string, string])[]
}

/**
 * A PostgreSQL client that does nothing by itself: a test says each byte, and sees each message. For what real clients
 * do not send.
 */
export class Wire {
  readonly socket: Socket
  readonly received: WireMessage[] = []
  /** What came between the log-in and the first ReadyForQuery. */
  greeting: readonly WireMessage[] = []
  #tail: Buffer = Buffer.alloc(0)
  #waiters: (() => void)[] = []
  isClosed = false

  constructor(socket: Socket) {
    this.socket = socket
    socket.setNoDelay(true)
    socket.on('data', (chunk: Buffer) => this.#take(chunk))
    socket.on('error', () => undefined)
    socket.on('close', () => {
      this.isClosed = true
      this.#wake()
    })
  }

  /** A bare TCP connection. */
  static async dial(port: number, host = '127.0.0.1'): Promise<Wire> {
    const socket = connect(port, host)
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve)
      socket.once('error', reject)
    })
    return new Wire(socket)
  }

  /** A connection that is logged in and ready. */
  static async login(login: WireLogin): Promise<Wire> {
    const wire = await Wire.dial(login.port, login.host)
    wire.send(
      messages.startupMessage(login.minor ?? 0, [
        ['user', login.user],
        ['database', login.database],
        ...(login.parameters ?? []),
      ]),
    )
    await wire.#authenticate(login)
    wire.greeting = await wire.until('Z')
    return wire
  }

  send(...parts: Uint8Array[]): void {
    this.socket.write(Buffer.concat(parts))
  }

  /** The messages up to and including the first of this type, taken from what has come. Rejects when the connection closes before. */
  async until(type: string, timeoutMs = 10_000): Promise<WireMessage[]> {
    const deadline = Date.now() + timeoutMs
    for (;;) {
      const index = this.received.findIndex((message) => message.type === type)
      if (index !== -1) return this.received.splice(0, index + 1)
      const seen = this.received.map((message) => message.type).join('')
      if (this.isClosed) throw new Error(`closed while waiting for ${type}, after \`${seen}\` ${this.#errors()}`)
      const left = deadline - Date.now()
      if (left <= 0) throw new Error(`timed out waiting for ${type}, after \`${seen}\``)
      await this.#something(left)
    }
  }

  /** Everything that comes until the other side closes. */
  async untilClosed(timeoutMs = 10_000): Promise<WireMessage[]> {
    const deadline = Date.now() + timeoutMs
    while (!this.isClosed) {
      if (Date.now() > deadline) throw new Error('timed out waiting for the connection to close')
      await this.#something(deadline - Date.now())
    }
    return this.received.splice(0)
  }

  /** Runs a simple query to its ReadyForQuery. */
  query(text: string): Promise<WireMessage[]> {
    this.send(messages.query(text))
    return this.until('Z')
  }

  close(): void {
    this.socket.destroy()
  }

  async #authenticate({ password = '' }: WireLogin): Promise<void> {
    let scram: ScramClient | undefined
    for (;;) {
      const request = (await this.until('R')).at(-1) as WireMessage
      switch (request.body.readInt32BE(0)) {
        case 0:
          return
        case 3:
          this.send(messages.passwordMessage(password))
          break
        case 10: {
          scram = new ScramClient({ mechanism: 'SCRAM-SHA-256', password: new Secret(password), random: randomBytes })
          const first = scram.first()
          this.send(messages.saslInitialResponse(first.mechanism, first.data))
          break
        }
        case 11:
          this.send(messages.saslResponse((scram as ScramClient).continue(request.body.subarray(4))))
          break
        case 12:
          ;(scram as ScramClient).final(request.body.subarray(4))
          break
        default:
          throw new Error(`authentication request ${request.body.readInt32BE(0)} is not known to this client`)
      }
    }
  }

  #take(chunk: Buffer): void {
    let buffer = this.#tail.length === 0 ? chunk : Buffer.concat([this.#tail, chunk])
    while (buffer.length >= 5 && buffer.length >= buffer.readInt32BE(1) + 1) {
      const end = buffer.readInt32BE(1) + 1
      this.received.push({ type: String.fromCharCode(buffer[0] as number), body: Buffer.from(buffer.subarray(5, end)) })
      buffer = buffer.subarray(end)
    }
    this.#tail = buffer
    this.#wake()
  }

  #something(timeoutMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, timeoutMs)
      this.#waiters.push(() => {
        clearTimeout(timer)
        resolve()
      })
    })
  }

  #wake(): void {
    for (const waiter of this.#waiters.splice(0)) waiter()
  }

  #errors(): string {
    return this.received
      .filter((message) => message.type === 'E')
      .map((message) => JSON.stringify(errorFields(message)))
      .join(' ')
  }
}

/** The letters of the messages, in order: `1 2 D C Z`. */
export function typesOf(list: readonly WireMessage[]): string {
  return list.map((message) => message.type).join('')
}

/** The fields of an ErrorResponse or NoticeResponse by letter. */
export function errorFields(message: WireMessage): Record<string, string> {
  const fields: Record<string, string> = {}
  for (const part of message.body.toString('utf8').split('\0')) {
    if (part !== '') fields[part[0] as string] = part.slice(1)
  }
  return fields
}

/** The cells of a DataRow as text. */
export function cellsOf(message: WireMessage): (string | null)[] {
  const cells: (string | null)[] = []
  let at = 2
  for (let i = 0; i < message.body.readInt16BE(0); i++) {
    const length = message.body.readInt32BE(at)
    at += 4
    cells.push(length < 0 ? null : message.body.toString('utf8', at, at + length))
    at += Math.max(length, 0)
  }
  return cells
}

/** 'B' with text parameters. */
export function bind(
  portal: string,
  statement: string,
  values: readonly (string | null)[] = [],
  resultFormats: readonly number[] = [],
): Buffer {
  const parts: Buffer[] = [Buffer.from(`${portal}\0${statement}\0`), int16(0), int16(values.length)]
  for (const value of values) {
    if (value === null) parts.push(int32(-1))
    else parts.push(int32(Buffer.byteLength(value)), Buffer.from(value))
  }
  parts.push(int16(resultFormats.length), ...resultFormats.map(int16))
  return frame('B', Buffer.concat(parts))
}

/** 'E'. */
export function execute(portal: string, maxRows = 0): Buffer {
  return frame('E', Buffer.concat([Buffer.from(`${portal}\0`), int32(maxRows)]))
}

/** Any message. */
export function frame(type: string, body: Uint8Array = Buffer.alloc(0)): Buffer {
  return Buffer.concat([Buffer.from(type, 'latin1'), int32(body.length + 4), body])
}

export function int16(value: number): Buffer {
  const bytes = Buffer.alloc(2)
  bytes.writeInt16BE(value)
  return bytes
}

export function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(value)
  return bytes
}
