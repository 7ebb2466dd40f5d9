import { SallyportError } from '../core/index.js'

/** One line of a recording, without its newline. A view: valid until the splitter is fed again. */
export type LineSink = (line: Buffer) => void

/** Cuts a stream of bytes into lines, holding back one incomplete line at most. */
export class LineSplitter {
  readonly #sink: LineSink
  readonly #maxLineBytes: number
  #held: Buffer[] = []
  #heldBytes = 0

  constructor(maxLineBytes: number, sink: LineSink) {
    this.#maxLineBytes = maxLineBytes
    this.#sink = sink
  }

  /** @throws SallyportError `limit_exceeded` when a line is longer than allowed */
  push(chunk: Uint8Array): void {
    const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)
    let start = 0
    for (let end = bytes.indexOf(0x0a); end !== -1; end = bytes.indexOf(0x0a, start)) {
      const piece = bytes.subarray(start, end)
      start = end + 1
      this.#check(piece.length)
      if (this.#heldBytes === 0) {
        this.#sink(piece)
        continue
      }
      this.#held.push(piece)
      const line = Buffer.concat(this.#held)
      this.#held = []
      this.#heldBytes = 0
      this.#sink(line)
    }
    if (start === bytes.length) return
    this.#check(bytes.length - start)
    // Copied: the source may reuse its chunk.
    this.#held.push(Buffer.from(bytes.subarray(start)))
    this.#heldBytes += bytes.length - start
  }

  /** What came after the last newline. */
  rest(): Buffer {
    return Buffer.concat(this.#held)
  }

  #check(more: number): void {
    if (this.#heldBytes + more <= this.#maxLineBytes) return
    throw new SallyportError('limit_exceeded', `expected lines of at most ${this.#maxLineBytes} bytes`)
  }
}
