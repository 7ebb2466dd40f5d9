export interface CacheLimits {
  readonly maxEntries: number
  readonly maxBytes: number
}

/**
 * Remembers values by text, at least the recently used ones, in two generations: the young one fills up to half the
 * limits, then it becomes the old one and the old one goes. A hit in the young one, the common case, writes nothing.
 */
export class GenerationCache<Value> {
  private young = new Map<string, Value>()
  private old = new Map<string, Value>()
  private youngBytes = 0
  private readonly maxEntries: number
  private readonly maxBytes: number
  private readonly sizeOf: (text: string, value: Value) => number

  constructor(limits: CacheLimits, sizeOf: (text: string, value: Value) => number) {
    this.maxEntries = Math.max(1, Math.floor(limits.maxEntries / 2))
    this.maxBytes = Math.floor(limits.maxBytes / 2)
    this.sizeOf = sizeOf
  }

  get size(): number {
    return this.young.size + this.old.size
  }

  get(text: string): Value | undefined {
    const found = this.young.get(text)
    if (found !== undefined) return found
    const former = this.old.get(text)
    if (former === undefined) return undefined
    this.old.delete(text)
    this.set(text, former)
    return former
  }

  /** A value too large for the cache is not kept. */
  set(text: string, value: Value): void {
    const bytes = this.sizeOf(text, value)
    if (bytes > this.maxBytes) return
    if (this.young.size >= this.maxEntries || this.youngBytes + bytes > this.maxBytes) {
      this.old = this.young
      this.young = new Map()
      this.youngBytes = 0
    }
    this.young.set(text, value)
    this.youngBytes += bytes
  }
}
