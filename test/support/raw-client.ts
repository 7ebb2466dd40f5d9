import { randomBytes } from 'node:crypto'
import { connect, type Socket } from 'node:net'
import { setImmediate as turn } from 'node:timers/promises'
import { Secret } from '../../src/core/index.js'
import * as messages from '../../src/protocols/postgres/messages.js'
import { ScramClient } from '../../src/protocols/postgres/scram.js'
import type { Chunking } from '../../src/testing/index.js'
import { frame, int16, int32, type WireLogin } from './wire.js'

/** Says bytes and keeps every byte that comes back. For comparing what two servers send to the last bit. */
export class RawClient {
  readonly #socket: Socket
  readonly #chunking: Chunking | undefined
  #chunks: Buffer[] = []
  #bytes: Buffer = Buffer.alloc(0)
  /** Where the next message begins that was not waited for yet. */
  #position = 0
  #isClosed = false
  #wake: () => void = () => undefined

  private constructor(socket: Socket, chunking: Chunking | undefined) {
    this.#socket = socket
    this.#chunking = chunking
    socket.setNoDelay(true)
    socket.on('data', (chunk: Buffer) => {
      this.#chunks.push(chunk)
      this.#wake()
    })
    socket.on('error', () => undefined)
    socket.on('close', () => {
      this.#isClosed = true
      this.#wake()
    })
  }

  /** @param chunking how everything that is said, the log-in too, is cut; each piece leaves in a turn of its own */
  static async login(login: WireLogin, chunking?: Chunking): Promise<RawClient> {
    const socket = connect(login.port, login.host ?? '127.0.0.1')
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve)
      socket.once('error', reject)
    })
    const client = new RawClient(socket, chunking)
    await client.send(
      messages.startupMessage(login.minor ?? 0, [
        ['user', login.user],
        ['database', login.database],
        ...(login.parameters ?? []),
      ]),
    )
    const scram = new ScramClient({
      mechanism: 'SCRAM-SHA-256',
      password: new Secret(login.password ?? ''),
      random: randomBytes,
    })
    await client.until('R')
    const first = scram.first()
    await client.send(messages.saslInitialResponse(first.mechanism, first.data))
    const challenge = await client.until('R')
    await client.send(messages.saslResponse(scram.continue(challenge.subarray(9))))
    const proof = await client.until('R')
    scram.final(proof.subarray(9))
    await client.until('R')
    await client.until('Z')
    return client
  }

  async send(bytes: Buffer): Promise<void> {
    if (this.#chunking === undefined) {
      this.#socket.write(bytes)
      return
    }
    for (const chunk of this.#chunking(bytes)) {
      this.#socket.write(chunk)
      await turn()
    }
  }

  /** Waits for the next message of this type and returns it whole. */
  async until(type: string, timeoutMs = 20_000): Promise<Buffer> {
    const deadline = Date.now() + timeoutMs
    for (;;) {
      this.#join()
      for (let end = this.#end(); end !== undefined; end = this.#end()) {
        const message = this.#bytes.subarray(this.#position, end)
        this.#position = end
        if (message[0] === type.charCodeAt(0)) return message
      }
      if (this.#isClosed) throw new Error(`closed while waiting for ${type}`)
      const leftMs = deadline - Date.now()
      if (leftMs <= 0) throw new Error(`timed out waiting for ${type}`)
      await this.#something(leftMs)
    }
  }

  /** Everything that came since the last call, up to where was waited for. */
  take(): Buffer {
    const taken = this.#bytes.subarray(0, this.#position)
    this.#bytes = this.#bytes.subarray(this.#position)
    this.#position = 0
    return taken
  }

  /** What came behind that until the other side closed. */
  async rest(): Promise<Buffer> {
    while (!this.#isClosed) await this.#something(20_000)
    this.#join()
    return this.#bytes.subarray(this.#position)
  }

  close(): void {
    this.#socket.destroy()
  }

  #join(): void {
    if (this.#chunks.length === 0) return
    this.#bytes = Buffer.concat([this.#bytes, ...this.#chunks])
    this.#chunks = []
  }

  #end(): number | undefined {
    const at = this.#position
    if (this.#bytes.length < at + 5) return undefined
    const end = at + 1 + this.#bytes.readInt32BE(at + 1)
    return end <= this.#bytes.length ? end : undefined
  }

  #something(timeoutMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, timeoutMs)
      this.#wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }
}

/** 'P' with types of its parameters. */
export function parseTyped(name: string, text: string, types: readonly number[] = []): Buffer {
  return frame('P', Buffer.concat([Buffer.from(`${name}\0${text}\0`), int16(types.length), ...types.map(int32)]))
}

export interface RawBind {
  readonly portal?: string
  readonly statement?: string
  readonly formats?: readonly number[]
  readonly values?: readonly (Buffer | string | null)[]
  readonly results?: readonly number[]
}

/** 'B' with everything a client can say in it. */
export function bindRaw({ portal = '', statement = '', formats = [], values = [], results = [] }: RawBind): Buffer {
  const parts = [Buffer.from(`${portal}\0${statement}\0`), int16(formats.length), ...formats.map(int16)]
  parts.push(int16(values.length))
  for (const value of values) {
    const bytes = value === null ? undefined : Buffer.from(value)
    parts.push(int32(bytes === undefined ? -1 : bytes.length), bytes ?? Buffer.alloc(0))
  }
  parts.push(int16(results.length), ...results.map(int16))
  return frame('B', Buffer.concat(parts))
}

/** Cuts bytes into messages. */
export function splitMessages(bytes: Buffer): Buffer[] {
  const list: Buffer[] = []
  for (let at = 0; at < bytes.length; ) {
    const end = at + 1 + bytes.readInt32BE(at + 1)
    list.push(bytes.subarray(at, end))
    at = end
  }
  return list
}
