import type { Hmac } from 'node:crypto'
import type { ByteWriter, DetectorMaskSpec, MaskStrategy } from '../core/index.js'
import { compileDetectors, type Detector, type DetectorTable, Scanner } from './detectors/index.js'
import type { KeyedHash } from './keyed-hash.js'
import { appendPartial } from './partial.js'
import { keptOf, REDACTED, stricter } from './strategies.js'

const NUMBER_DETECTORS = ['card', 'us-ssn', 'phone', 'iban']
const HASH_HEX = 16

/** How the text around a value is written: what a replacement must not break. */
export type Surroundings = 'plain' | 'json' | 'markup'

/**
 * What stands in place of a detected value. No replacement is itself detected: `[redacted]` has no such form, a hash
 * stands in brackets with a letter before it, and a partial mask that still looks like a value becomes `[redacted]`.
 */
export class Replacer {
  readonly table: DetectorTable
  /** False when a constant is itself a value: masking twice would then change the text again. */
  readonly isStable: boolean
  readonly #strategies: (MaskStrategy | undefined)[]
  readonly #hash: KeyedHash
  readonly #check: Scanner
  /** By surroundings and kind: made once, copied per value. */
  readonly #fixed: Readonly<Record<Surroundings, readonly Buffer[]>>

  constructor(specs: readonly DetectorMaskSpec[], custom: readonly Detector[], hash: KeyedHash) {
    this.table = compileDetectors(
      specs.map((spec) => spec.detector),
      custom,
    )
    this.#hash = hash
    this.#strategies = this.table.names.map(() => undefined)
    for (const spec of specs) {
      keptOf(spec.strategy)
      const kind = this.table.names.indexOf(spec.detector)
      this.#strategies[kind] = stricter(this.#strategies[kind], spec.strategy)
    }
    this.#check = new Scanner(this.table)
    const fixed = (surroundings: Surroundings): Buffer[] =>
      this.#strategies.map((strategy) => Buffer.from(fixedText(strategy, surroundings)))
    this.#fixed = { plain: fixed('plain'), json: fixed('json'), markup: fixed('markup') }
    this.isStable = specs.every(({ strategy }) => strategy.kind !== 'constant' || !this.#isDetected(strategy.value))
  }

  #isDetected(text: string): boolean {
    const bytes = Buffer.from(text)
    this.#check.start(0)
    this.#check.hasContextOfSsn = true
    return this.#check.next(bytes, 0, bytes.length, true) >= 0
  }

  strategy(kind: number): MaskStrategy {
    return this.#strategies[kind] as MaskStrategy
  }

  /** Whether a value of this kind takes its whole cell with it. */
  isNull(kind: number): boolean {
    return this.#strategies[kind]?.kind === 'null'
  }

  /** Appends the replacement of `bytes[start, end)`. */
  write(
    kind: number,
    bytes: Uint8Array,
    start: number,
    end: number,
    target: ByteWriter,
    surroundings: Surroundings = 'plain',
  ): void {
    const strategy = this.strategy(kind)
    if (strategy.kind === 'partial') return this.#writePartial(kind, strategy, bytes, start, end, target)
    if (strategy.kind === 'hash') {
      this.writeHash(this.#hash.digest(this.#domain(kind), bytes, start, end), target)
      return
    }
    this.writeFixed(kind, target, surroundings)
  }

  /** For a value whose end is not known yet: a hash to feed, or undefined where the replacement does not depend on it. */
  beginHash(kind: number): Hmac | undefined {
    return this.strategy(kind).kind === 'hash' ? this.#hash.begin(this.#domain(kind)) : undefined
  }

  writeHash(digest: Buffer, target: ByteWriter): void {
    target.utf8(`[hash:h${digest.toString('hex').slice(0, HASH_HEX)}]`)
  }

  /** The replacement that tells nothing of the value: also for partial masks and null in running text. */
  writeFixed(kind: number, target: ByteWriter, surroundings: Surroundings = 'plain'): void {
    target.append(this.#fixed[surroundings][kind] as Buffer)
  }

  /** A keyed whole number of up to twelve digits, for places where only a number can stand. */
  hashNumber(kind: number, bytes: Uint8Array, start: number, end: number): number {
    return this.#hash.digest(this.#domain(kind), bytes, start, end).readUIntBE(0, 6) % 1_000_000_000_000
  }

  #writePartial(
    kind: number,
    strategy: MaskStrategy,
    bytes: Uint8Array,
    start: number,
    end: number,
    target: ByteWriter,
  ): void {
    const before = target.length
    const digitMask = NUMBER_DETECTORS.includes(this.table.names[kind] as string) ? 'X' : '*'
    appendPartial(bytes, start, end, keptOf(strategy), target, digitMask)
    this.#check.start(before)
    this.#check.hasContextOfSsn = true
    if (this.#check.next(target.bytes, before, target.length, true) < 0) return
    target.length = before
    target.utf8(REDACTED)
  }

  #domain(kind: number): string {
    return `detected:${this.table.names[kind]}`
  }
}

function fixedText(strategy: MaskStrategy | undefined, surroundings: Surroundings): string {
  if (strategy?.kind !== 'constant') return REDACTED
  if (surroundings === 'json') return JSON.stringify(strategy.value).slice(1, -1)
  return surroundings === 'markup' && /[^\w .:*@/+-]/.test(strategy.value) ? REDACTED : strategy.value
}
