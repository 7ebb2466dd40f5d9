import type { ColumnMaskSpec, DetectorMaskSpec, MaskSet, MaskStrategy } from '../core/index.js'
import { isComplaint, parseNamePattern, partSources } from './name-pattern.js'
import type { MaskStrategyInput, RuleMasks } from './rule.js'

export const NO_MASKS: MaskSet = Object.freeze({ columns: Object.freeze([]), detectors: Object.freeze([]) })

/** From the strictest: which strategy is kept where several are asked for one column. */
const STRICTNESS = ['null', 'redact', 'constant', 'hash', 'partial'] as const satisfies readonly MaskStrategy['kind'][]

/** The masks that a validated rule asks for. */
export function maskSetOf(masks: RuleMasks | undefined): MaskSet {
  if (masks === undefined) return NO_MASKS
  const columns = (masks.columns ?? []).flatMap((entry) =>
    typeof entry === 'string'
      ? columnSpecs(entry, { kind: 'redact' })
      : columnSpecs(entry.column, strategyOf(entry.strategy)),
  )
  const detectors = (masks.detectors ?? []).map((entry) =>
    typeof entry === 'string'
      ? { detector: entry, strategy: { kind: 'redact' } as const }
      : { detector: entry.detector, strategy: strategyOf(entry.strategy) },
  )
  return unionOfMasks([{ columns, detectors }])
}

function strategyOf(input: MaskStrategyInput | undefined): MaskStrategy {
  if (input === undefined) return { kind: 'redact' }
  return typeof input === 'string' ? { kind: input } : input
}

/**
 * Names are as the server folds them, but rules are written by people: a name in capitals also stands for
 * the folded one, because a mask that misses its column for that would be laxer than meant.
 */
function columnSpecs(source: string, strategy: MaskStrategy): readonly ColumnMaskSpec[] {
  const pattern = parseNamePattern(source, 3)
  // INVARIANT: rules are validated before they are compiled.
  if (isComplaint(pattern)) return []
  const parts = partSources(pattern).map((glob) => glob.literal ?? '*')
  return [parts, parts.map((part) => part.toLowerCase())].map((names) => {
    const [column = '*', table, schema] = names.toReversed()
    return {
      ...(schema === undefined || schema === '*' ? {} : { schema }),
      ...(table === undefined || table === '*' ? {} : { table }),
      column,
      strategy,
    }
  })
}

/** All masks of the sets, one per column specification and detector: the strictest. Sorted. */
export function unionOfMasks(sets: readonly MaskSet[]): MaskSet {
  const columns = new Map<string, ColumnMaskSpec>()
  const detectors = new Map<string, DetectorMaskSpec>()
  for (const set of sets) {
    for (const spec of set.columns) {
      const key = JSON.stringify([spec.schema ?? null, spec.table ?? null, spec.column])
      const other = columns.get(key)
      columns.set(key, other === undefined ? spec : { ...spec, strategy: stricter(spec.strategy, other.strategy) })
    }
    for (const spec of set.detectors) {
      const other = detectors.get(spec.detector)
      const strategy = other === undefined ? spec.strategy : stricter(spec.strategy, other.strategy)
      detectors.set(spec.detector, { detector: spec.detector, strategy })
    }
  }
  if (columns.size === 0 && detectors.size === 0) return NO_MASKS
  return { columns: sortedValues(columns), detectors: sortedValues(detectors) }
}

/** The stricter of two strategies by the fixed rank null > redact > constant > hash > partial. */
export function stricter(left: MaskStrategy, right: MaskStrategy): MaskStrategy {
  const difference = STRICTNESS.indexOf(left.kind) - STRICTNESS.indexOf(right.kind)
  if (difference !== 0) return difference < 0 ? left : right
  if (left.kind === 'constant' && right.kind === 'constant') return left.value <= right.value ? left : right
  if (left.kind === 'partial' && right.kind === 'partial') {
    return {
      kind: 'partial',
      keepFirst: Math.min(left.keepFirst ?? 0, right.keepFirst ?? 0),
      keepLast: Math.min(left.keepLast ?? 0, right.keepLast ?? 0),
    }
  }
  return left
}

function sortedValues<T>(map: ReadonlyMap<string, T>): readonly T[] {
  return [...map].sort(([left], [right]) => (left < right ? -1 : 1)).map(([, value]) => value)
}
