import type { ColumnSource, OutputColumn } from '../../../core/index.js'

/** Where a value comes from; `unknown` counts as everywhere. */
export type Sources = readonly ColumnSource[] | 'unknown'

export const NO_SOURCES: readonly ColumnSource[] = Object.freeze([])

export function sourceKey(source: ColumnSource): string {
  return `${source.schema ?? ''}\0${source.table ?? ''}\0${source.column}`
}

export function unionSources(parts: readonly Sources[]): Sources {
  let only: Sources = NO_SOURCES
  let filled = 0
  for (const part of parts) {
    if (part === 'unknown') return 'unknown'
    if (part.length > 0) {
      only = part
      filled++
    }
  }
  if (filled <= 1) return only
  const merged = new Map<string, ColumnSource>()
  for (const part of parts) {
    if (part === 'unknown') continue
    for (const source of part) merged.set(sourceKey(source), source)
  }
  return [...merged.values()]
}

/** An output column whose value is computed. */
export function computed(name: string | undefined, sources: Sources): OutputColumn {
  return name === undefined ? { sources, isPlain: false } : { name, sources, isPlain: false }
}

/** Any number of columns that come from `sources`; `isPlain` when each keeps its own name. */
export function star(sources: Sources, isPlain: boolean): OutputColumn {
  return { sources, isPlain, isStar: true }
}

export function allSources(columns: readonly OutputColumn[]): Sources {
  return unionSources(columns.map((column) => column.sources))
}

/** The columns of a set operation: by position where both sides are countable, else all from anywhere in both. */
export function mergeOutputs(left: readonly OutputColumn[], right: readonly OutputColumn[]): readonly OutputColumn[] {
  const isCountable = left.length === right.length && ![...left, ...right].some((column) => column.isStar === true)
  if (!isCountable) return [star(unionSources([allSources(left), allSources(right)]), false)]
  return left.map((column, index) => {
    const other = right[index] ?? column
    const sources = unionSources([column.sources, other.sources])
    return {
      ...(column.name === undefined ? {} : { name: column.name }),
      sources,
      isPlain: column.isPlain && other.isPlain,
    }
  })
}

/** What `column` of a derived table may be. Undefined: it certainly has no column of that name. */
export function findColumn(
  columns: readonly OutputColumn[],
  name: string,
): { readonly sources: Sources; readonly isPlain: boolean; readonly isCertain: boolean } | undefined {
  const parts: Sources[] = []
  let isCertain = false
  let isPlain = true
  for (const column of columns) {
    if (column.isStar === true) {
      parts.push(column.isPlain && column.sources !== 'unknown' ? narrow(column.sources, name) : column.sources)
      isPlain &&= column.isPlain
    } else if (column.name === name || column.name === undefined) {
      parts.push(column.sources)
      isPlain &&= column.isPlain
      isCertain ||= column.name === name
    }
  }
  if (parts.length === 0) return undefined
  return { sources: unionSources(parts), isPlain: isPlain && parts.length === 1, isCertain }
}

function narrow(sources: readonly ColumnSource[], name: string): readonly ColumnSource[] {
  return sources.map((source) => (source.column === '*' ? { ...source, column: name } : source))
}

/** A derived table's columns under the names of its alias list, `t (a, b)`. */
export function renamed(columns: readonly OutputColumn[], names: readonly string[]): readonly OutputColumn[] {
  if (names.length === 0) return columns
  const first = columns.findIndex((column) => column.isStar === true)
  // A star takes an unknown number of the names: from there on names and columns no longer pair up.
  if (first !== -1 && first < names.length) {
    const rest = star(allSources(columns.slice(first)), false)
    return [...columns.slice(0, first).map((column, index) => ({ ...column, name: names[index] ?? '' })), rest]
  }
  return columns.map((column, index) => {
    const name = names[index]
    return name === undefined ? column : { ...column, name }
  })
}
