import { SallyportError, type MaskStrategy } from '../core/index.js'
import type { Kept } from './partial.js'

/** What stands in place of a text value. */
export const REDACTED = '[redacted]'
export const REDACT: MaskStrategy = { kind: 'redact' }

const RANK = { partial: 0, hash: 1, constant: 2, redact: 3, null: 4 } as const

/** The strategy that tells less: null, redact, constant, hash, partial. */
export function stricter(a: MaskStrategy | undefined, b: MaskStrategy): MaskStrategy {
  if (a === undefined || RANK[b.kind] > RANK[a.kind]) return b
  if (a.kind === 'partial' && b.kind === 'partial') {
    // Neither end may show more than either of them allows.
    const [one, two] = [keptOf(a), keptOf(b)]
    return { kind: 'partial', keepFirst: Math.min(one.first, two.first), keepLast: Math.min(one.last, two.last) }
  }
  return a
}

/** @throws SallyportError `invalid_policy` for counts that are none */
export function keptOf(strategy: MaskStrategy): Kept {
  if (strategy.kind !== 'partial') return { first: 0, last: 0 }
  const kept = { first: strategy.keepFirst ?? 0, last: strategy.keepLast ?? 0 }
  if (!Number.isSafeInteger(kept.first) || !Number.isSafeInteger(kept.last) || kept.first < 0 || kept.last < 0) {
    throw new SallyportError('invalid_policy', 'a partial mask keeps a whole number of characters, zero or more')
  }
  return kept
}
