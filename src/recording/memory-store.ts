import { SallyportError } from '../core/index.js'
import type { RecordStore, SegmentWriter } from './store.js'

/** Keeps recordings in memory: for tests, and for embedders that ship them elsewhere. Grows without bound. */
export class MemoryRecordStore implements RecordStore {
  readonly #segments = new Map<string, Buffer[]>()

  async openSegment(name: string): Promise<SegmentWriter> {
    if (this.#segments.has(name)) {
      throw new SallyportError('recorder_unavailable', `a recording named \`${name}\` exists already`)
    }
    const chunks: Buffer[] = []
    this.#segments.set(name, chunks)
    return {
      write: async (bytes) => {
        chunks.push(Buffer.from(bytes))
      },
      sync: async () => undefined,
      close: async () => undefined,
    }
  }

  async *read(name: string): AsyncIterable<Uint8Array> {
    yield* this.#chunks(name)
  }

  async list(): Promise<readonly string[]> {
    return [...this.#segments.keys()].sort()
  }

  async replaceTail(name: string, keepBytes: number, bytes: Uint8Array): Promise<void> {
    const whole = this.bytes(name)
    this.#segments.set(name, [whole.subarray(0, keepBytes), Buffer.from(bytes)])
  }

  /** A segment's bytes so far, joined. */
  bytes(name: string): Buffer {
    return Buffer.concat(this.#chunks(name))
  }

  /** Puts a segment in place, as found elsewhere. */
  put(name: string, bytes: Uint8Array): void {
    this.#segments.set(name, [Buffer.from(bytes)])
  }

  #chunks(name: string): Buffer[] {
    const chunks = this.#segments.get(name)
    if (chunks === undefined) throw new SallyportError('misuse', `there is no recording named \`${name}\``)
    return chunks
  }
}
