import {
  type DetectorMaskSpec,
  type MaskSet,
  type ResultMasker,
  SallyportError,
  type Secret,
  type StreamMasker,
  type TextMasker,
} from '../core/index.js'
import type { Detector } from './detectors/index.js'
import { KeyedHash } from './keyed-hash.js'
import { PostgresResultMasker } from './postgres/result-masker.js'
import { Replacer } from './replacer.js'
import { keptOf } from './strategies.js'
import { DetectingStreamMasker } from './stream-masker.js'
import { TerminalStreamMasker } from './terminal-masker.js'
import { DetectingTextMasker } from './text-masker.js'
import { TextResultMasker } from './text-result-masker.js'

/** Sets of masks kept compiled. A policy has few; more come only from attributes put into masks. */
const MAX_CACHED = 256

export interface MaskingOptions {
  /** Keys every hash: 16 bytes or more, the same everywhere hashes are to be comparable. */
  readonly key: Secret<Uint8Array>
  /** Detectors of your own besides the built-in ones. */
  readonly detectors?: readonly Detector[]
}

/** Turns the masks of a decision into what a protocol applies. */
export interface Masking {
  /**
   * The masker for results of a PostgreSQL server. Sets with the same contents share one.
   *
   * @throws SallyportError `invalid_policy` for an unknown detector or a malformed strategy
   */
  compile(set: MaskSet, dialect: 'postgres'): ResultMasker
  /**
   * The masker for output that is text: of shells, programs, files. Masks of columns have nothing to act on there.
   * Undefined when there is nothing to look for.
   *
   * @throws SallyportError `invalid_policy` for an unknown detector or a malformed strategy
   */
  compileText(set: MaskSet): ResultMasker | undefined
  /** For text outside results. Undefined when there is nothing to look for. */
  textMasker(specs: readonly DetectorMaskSpec[]): TextMasker | undefined
  /**
   * For text that comes in pieces: one per stream. A value split anywhere is still found.
   *
   * @throws SallyportError `invalid_option` when so few bytes may be held back that values could slip through
   */
  stream(specs: readonly DetectorMaskSpec[], options: { readonly maxHoldBackBytes: number }): StreamMasker
  /**
   * For a terminal's output, or any that may have escape sequences in it: values are found across them, and they stay.
   * Text that was flushed is remembered: a value that is complete only later is masked from there on, so what can have
   * left of it is the beginning that was flushed. Values drawn by moving the cursor about are not found.
   *
   * @param options bytes held back at most, default 4096
   * @throws SallyportError `invalid_option` when so few bytes may be held back that values could slip through
   */
  terminal(specs: readonly DetectorMaskSpec[], options?: { readonly maxHoldBackBytes?: number }): StreamMasker
}

/**
 * The masking layer: no I/O, no state but what it has compiled.
 *
 * @example
 * const masking = createMasking({ key: new Secret(randomBytes(32)) })
 * const masker = masking.compile({ columns: [{ table: 'users', column: 'ssn', strategy: { kind: 'null' } }], detectors: [] }, 'postgres')
 */
export function createMasking(options: MaskingOptions): Masking {
  const hash = new KeyedHash(options.key)
  const custom = options.detectors ?? []
  // Reports a custom detector that cannot work now, not at the first result.
  new Replacer([], custom, hash)
  const replacers = new Map<string, Replacer>()
  const maskers = new Map<string, ResultMasker>()
  const texts = new Map<string, TextMasker>()

  const replacer = (specs: readonly DetectorMaskSpec[]): Replacer =>
    cached(replacers, JSON.stringify(specs), () => new Replacer(specs, custom, hash))
  const textMasker = (specs: readonly DetectorMaskSpec[]): TextMasker | undefined =>
    specs.length === 0
      ? undefined
      : cached(texts, JSON.stringify(specs), () => new DetectingTextMasker(replacer(specs)))

  return {
    compile(set, dialect) {
      if (dialect !== 'postgres')
        throw new SallyportError('invalid_option', `no masks for dialect \`${String(dialect)}\`, expected \`postgres\``)
      return cached(maskers, JSON.stringify([set.columns, set.detectors]), () => {
        for (const spec of set.columns) keptOf(spec.strategy)
        const detecting = set.detectors.length === 0 ? undefined : replacer(set.detectors)
        return new PostgresResultMasker(set, hash, detecting, textMasker(set.detectors))
      })
    },
    compileText(set) {
      const text = textMasker(set.detectors)
      return text === undefined ? undefined : new TextResultMasker(replacer(set.detectors), text)
    },
    textMasker,
    stream: (specs, streamOptions) => new DetectingStreamMasker(replacer(specs), streamOptions),
    terminal: (specs, terminalOptions) => new TerminalStreamMasker(replacer(specs), terminalOptions),
  }
}

function cached<T>(map: Map<string, T>, key: string, make: () => T): T {
  const known = map.get(key)
  if (known !== undefined) return known
  const made = make()
  const oldest = map.size >= MAX_CACHED ? map.keys().next().value : undefined
  if (oldest !== undefined) map.delete(oldest)
  map.set(key, made)
  return made
}
