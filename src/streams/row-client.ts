import type { Duplex } from 'node:stream'
import { SallyportError } from '../core/index.js'

/** An answer of the catalogue beyond this is not read: it is asked for at most some hundred relations at a time. */
const MAX_ANSWER_BYTES = 16 * 1024 * 1024

type Row = readonly (string | undefined)[]

interface Question {
  readonly resolve: (rows: Row[]) => void
  readonly reject: (error: Error) => void
  readonly rows: Row[]
  error: string | undefined
}

/**
 * As much of a PostgreSQL client as it takes to ask for rows of text. It speaks in the clear and knows no
 * password: what it talks to is a guarded stream in the same process, which does the rest.
 */
export class RowClient {
  readonly #stream: Duplex
  #buffered: Buffer = Buffer.alloc(0)
  #question: Question | undefined
  #isClosed = false

  constructor(stream: Duplex) {
    this.#stream = stream
    stream.on('data', (chunk: Buffer) => this.#receive(chunk))
    stream.on('error', (error) => this.#fail(error))
    stream.on('close', () =>
      this.#fail(new SallyportError('upstream_unavailable', 'the catalogue connection was closed')),
    )
  }

  get isClosed(): boolean {
    return this.#isClosed
  }

  /** StartupMessage 3.0; resolves at the first ReadyForQuery. */
  async start(parameters: Readonly<Record<string, string>>): Promise<void> {
    const pairs = Object.entries(parameters).map(([name, value]) => `${name}\0${value}\0`)
    const body = Buffer.from(`${pairs.join('')}\0`)
    const head = Buffer.alloc(8)
    head.writeInt32BE(8 + body.length, 0)
    head.writeInt32BE(196_608, 4)
    await this.#ask(Buffer.concat([head, body]))
  }

  /** One simple Query; one at a time. */
  query(text: string): Promise<Row[]> {
    return this.#ask(frame(0x51, Buffer.from(`${text}\0`))) // Q
  }

  end(): void {
    this.#isClosed = true
    if (!this.#stream.destroyed) this.#stream.end(frame(0x58, Buffer.alloc(0))) // X
  }

  destroy(): void {
    this.#isClosed = true
    this.#stream.destroy()
  }

  #ask(message: Buffer): Promise<Row[]> {
    if (this.#isClosed || this.#question !== undefined) {
      return Promise.reject(new SallyportError('misuse', 'the catalogue connection is closed or busy'))
    }
    return new Promise((resolve, reject) => {
      this.#question = { resolve, reject, rows: [], error: undefined }
      this.#stream.write(message)
    })
  }

  #receive(chunk: Buffer): void {
    this.#buffered = this.#buffered.length === 0 ? chunk : Buffer.concat([this.#buffered, chunk])
    if (this.#buffered.length > MAX_ANSWER_BYTES) {
      this.#fail(new SallyportError('limit_exceeded', 'the catalogue answered with too much', { blame: 'upstream' }))
      return
    }
    let at = 0
    while (this.#buffered.length - at >= 5) {
      const bytes = this.#buffered.readInt32BE(at + 1)
      if (bytes < 4) return this.#fail(new SallyportError('upstream_protocol_violation', 'a length is too small'))
      if (this.#buffered.length - at < 1 + bytes) break
      this.#message(this.#buffered[at] as number, this.#buffered.subarray(at + 5, at + 1 + bytes))
      at += 1 + bytes
    }
    this.#buffered = this.#buffered.subarray(at)
  }

  #message(type: number, body: Buffer): void {
    const question = this.#question
    if (question === undefined) return
    if (type === 0x44) {
      question.rows.push(readRow(body)) // D
    } else if (type === 0x45) {
      question.error = sqlState(body) // E
      // Before the first ReadyForQuery, or with FATAL, nothing else may follow.
    } else if (type === 0x5a) {
      this.#question = undefined // Z
      if (question.error === undefined) question.resolve(question.rows)
      else question.reject(refused(question.error))
    }
  }

  #fail(error: Error): void {
    this.#isClosed = true
    const question = this.#question
    this.#question = undefined
    this.#stream.destroy()
    question?.reject(question.error === undefined ? error : refused(question.error))
  }
}

function refused(code: string): SallyportError {
  return new SallyportError('upstream_unavailable', `the catalogue refused a look-up with SQLSTATE \`${code}\``)
}

function frame(type: number, body: Buffer): Buffer {
  const head = Buffer.alloc(5)
  head[0] = type
  head.writeInt32BE(4 + body.length, 1)
  return Buffer.concat([head, body])
}

/** 'D': Int16 columns, then for each Int32 length (-1: NULL) and Byte[n] value. */
function readRow(body: Buffer): Row {
  const row: (string | undefined)[] = []
  let at = 2
  for (let left = body.readInt16BE(0); left > 0; left--) {
    const bytes = body.readInt32BE(at)
    at += 4
    row.push(bytes < 0 ? undefined : body.toString('utf8', at, at + bytes))
    if (bytes > 0) at += bytes
  }
  return row
}

/** 'E': fields of Byte letter, String text; `C` (0x43) is the SQLSTATE. */
function sqlState(body: Buffer): string {
  for (let at = 0; at < body.length && body[at] !== 0; ) {
    const end = body.indexOf(0, at + 1)
    if (end < 0) break
    if (body[at] === 0x43) return body.toString('latin1', at + 1, end)
    at = end + 1
  }
  return 'XX000'
}
