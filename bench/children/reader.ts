import type { Question, Answer } from '../child.js'
import * as messages from '../../src/protocols/postgres/messages.js'
import { Wire } from '../../test/support/wire.js'
import { answerParent } from './answering.js'

/**
 * A client that costs next to nothing: it counts bytes and looks only at the last six of each chunk, for the
 * ReadyForQuery that ends an answer.
 */
const READY = Buffer.from('5a0000000549', 'hex') // 'Z', length 5, 'I': idle

class Reader {
  readonly #wire: Wire
  #tail: Uint8Array = new Uint8Array(0)
  bytes = 0
  #done: (error?: Error) => void = () => {}

  private constructor(wire: Wire) {
    this.#wire = wire
    wire.socket.removeAllListeners('data')
    wire.socket.on('data', (chunk: Buffer) => this.#take(chunk))
    wire.socket.on('close', () => this.#done(new Error('the connection closed under a query')))
  }

  static async open(question: Question): Promise<Reader> {
    return new Reader(await Wire.login(loginOf(question)))
  }

  async run(sql: string): Promise<void> {
    this.bytes = 0
    this.#tail = new Uint8Array(0)
    const done = new Promise<void>((resolve, reject) => {
      this.#done = (error) => (error === undefined ? resolve() : reject(error))
    })
    this.#wire.socket.write(messages.query(sql))
    await done
  }

  close(): void {
    this.#done = () => {}
    this.#wire.close()
  }

  #take(chunk: Buffer): void {
    if (this.bytes === 0 && chunk[0] === 0x45 /* E */) this.#done(new Error(chunk.toString('latin1')))
    this.bytes += chunk.length
    const tail = chunk.length >= READY.length ? chunk.subarray(-READY.length) : Buffer.concat([this.#tail, chunk])
    this.#tail = tail.subarray(-READY.length)
    if (READY.equals(this.#tail)) this.#done()
  }
}

function loginOf(question: Question): { port: number; user: string; database: string } {
  return { port: Number(question.port), user: String(question.user), database: String(question.database) }
}

/** Runs one statement `count` times: milliseconds of each, and bytes of the last. */
async function query(question: Question): Promise<Answer> {
  const reader = await Reader.open(question)
  const samples: number[] = []
  for (let i = 0; i < Number(question.count ?? 1); i++) {
    const started = performance.now()
    await reader.run(String(question.sql))
    samples.push(performance.now() - started)
  }
  reader.close()
  return { bytes: reader.bytes, samples }
}

/** Opens and closes `count` connections, `clients` at a time. */
async function connects(question: Question): Promise<Answer> {
  let left = Number(question.count)
  const started = performance.now()
  const worker = async (): Promise<void> => {
    while (left-- > 0) {
      const wire = await Wire.login(loginOf(question))
      const closed = new Promise((resolve) => wire.socket.once('close', resolve))
      wire.socket.end(messages.terminate())
      await closed
    }
  }
  await Promise.all(Array.from({ length: Number(question.clients) }, worker))
  return { ms: performance.now() - started }
}

const idle: Wire[] = []

/** Opens `count` sessions that run one statement each and then stay. */
async function hold(question: Question): Promise<Answer> {
  for (let i = 0; i < Number(question.count); i++) {
    const wire = await Wire.login(loginOf(question))
    await wire.query(String(question.sql))
    idle.push(wire)
  }
  return {}
}

async function letGo(): Promise<Answer> {
  const closed = idle.splice(0).map((wire) => {
    const gone = new Promise((resolve) => wire.socket.once('close', resolve))
    wire.socket.end(messages.terminate())
    return gone
  })
  await Promise.all(closed)
  return {}
}

answerParent({}, { query, connects, hold, letGo })
