/** A way to cut bytes into chunks. Every decoder has to give the same whatever it is. */
export type Chunking = (bytes: Uint8Array) => readonly Uint8Array[]

export const whole: Chunking = (bytes) => (bytes.length === 0 ? [] : [bytes])

export const byteByByte: Chunking = (bytes) => Array.from(bytes, (_, i) => bytes.subarray(i, i + 1))

/** Two chunks: `[0, at)` and the rest. */
export function cutAt(at: number): Chunking {
  return (bytes) => [bytes.subarray(0, at), bytes.subarray(at)].filter((chunk) => chunk.length > 0)
}

/** @param draw gives numbers in `[0, 1)`; with a seeded one the cuts can be repeated */
export function randomly(draw: () => number, maxChunkBytes = 64): Chunking {
  return (bytes) => {
    const chunks: Uint8Array[] = []
    for (let start = 0; start < bytes.length; ) {
      const end = Math.min(bytes.length, start + 1 + Math.floor(draw() * maxChunkBytes))
      chunks.push(bytes.subarray(start, end))
      start = end
    }
    return chunks
  }
}

/** A small seeded generator (mulberry32): the same seed draws the same numbers. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}
