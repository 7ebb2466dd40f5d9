import type { DerivedColumn, Relation, RelationReference, SqlAnalyzer, SqlSessionState } from '../core/index.js'

/** How the catalogue's own connection writes definitions down, whatever its clients have set. */
const DEFINITION_STATE: SqlSessionState = {
  standardConformingStrings: true,
  clientEncoding: 'UTF8',
  searchPath: 'pg_catalog',
}

/**
 * What a view's definition makes each of its columns of, by attribute number.
 *
 * @param definition as `pg_get_viewdef` writes it with `pg_catalog` alone on the search path: every other name is qualified
 */
export function viewColumns(
  definition: string | undefined,
  columns: readonly (string | undefined)[],
  analyzer: SqlAnalyzer,
  serverVersion: string | undefined,
): NonNullable<Relation['derived']> {
  if (definition === undefined) return 'unknown'
  const state = serverVersion === undefined ? DEFINITION_STATE : { ...DEFINITION_STATE, serverVersion }
  const { certainty, statements } = analyzer.analyze(definition, state)
  const output = statements[0]?.output
  // Fails closed: what was not understood may come from anywhere.
  if (certainty === 'unparsed' || statements.length !== 1 || output === undefined || output === 'unknown') {
    return 'unknown'
  }
  // Stars are written out in definitions: columns and attributes pair up.
  if (output.length !== columns.length - 1) return 'unknown'
  const derived: (DerivedColumn | undefined)[] = [undefined]
  for (const [index, { name, sources, isPlain, isStar }] of output.entries()) {
    const isPaired = isStar !== true && (name === undefined || name === columns[index + 1])
    derived.push(isPaired ? { sources: qualified(sources), isPlain } : { sources: 'unknown', isPlain: false })
  }
  return derived
}

function qualified(sources: DerivedColumn['sources']): DerivedColumn['sources'] {
  if (sources === 'unknown' || sources.some((source) => source.table === undefined)) return 'unknown'
  return sources.map((source) => (source.schema === undefined ? { ...source, schema: 'pg_catalog' } : source))
}

/** The relations that a view's columns come from. */
export function sourceRelations({ derived }: Relation): readonly RelationReference[] {
  if (derived === undefined || derived === 'unknown') return []
  const names = new Map<string, RelationReference>()
  for (const column of derived) {
    if (column === undefined || column.sources === 'unknown') continue
    for (const { schema, table } of column.sources) {
      if (schema !== undefined && table !== undefined)
        names.set(referenceKey({ schema, name: table }), { schema, name: table })
    }
  }
  return [...names.values()]
}

/** Equal for references to the same. */
export function referenceKey({ schema, name }: RelationReference): string {
  return `${schema ?? ''}\0${name}`
}
