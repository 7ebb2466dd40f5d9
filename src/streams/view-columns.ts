import type {
  ColumnSource,
  DerivedColumn,
  Relation,
  RelationReference,
  SqlAnalyzer,
  SqlSessionState,
} from '../core/index.js'

/** How the catalogue's own connection writes definitions down, whatever its clients have set. */
const DEFINITION_STATE: SqlSessionState = {
  standardConformingStrings: true,
  clientEncoding: 'UTF8',
  searchPath: 'pg_catalog',
}

/** What a definition tells of a view; see {@link Relation}. */
export type ViewFacts = Pick<Relation, 'reads'> & Required<Pick<Relation, 'derived'>>

const UNKNOWN_VIEW: ViewFacts = { derived: 'unknown' }

/**
 * What a view's definition makes each of its columns of, by attribute number, and all that it reads.
 *
 * @param definition as `pg_get_viewdef` writes it with `pg_catalog` alone on the search path: every other name is qualified
 */
export function viewFacts(
  definition: string | undefined,
  columns: readonly (string | undefined)[],
  analyzer: SqlAnalyzer,
  serverVersion: string | undefined,
): ViewFacts {
  if (definition === undefined) return UNKNOWN_VIEW
  const state = serverVersion === undefined ? DEFINITION_STATE : { ...DEFINITION_STATE, serverVersion }
  const facts = analyzer.analyze(definition, state)
  const output = facts.statements[0]?.output
  // Fails closed: what was not understood may come from anywhere.
  if (facts.certainty === 'unparsed' || facts.statements.length !== 1 || output === undefined || output === 'unknown') {
    return UNKNOWN_VIEW
  }
  // Stars are written out in definitions: columns and attributes pair up.
  if (output.length !== columns.length - 1) return UNKNOWN_VIEW
  const derived: (DerivedColumn | undefined)[] = [undefined]
  for (const [index, { name, sources, isPlain, isStar }] of output.entries()) {
    const isPaired = isStar !== true && (name === undefined || name === columns[index + 1])
    derived.push(isPaired ? { sources: qualified(sources), isPlain } : { sources: 'unknown', isPlain: false })
  }
  const tables = facts.tables.map(({ schema = 'pg_catalog', table }) => ({ schema, name: table }))
  const predicates = facts.columns.filter(({ mode }) => mode === 'predicate')
  return { derived, reads: { tables, predicates: predicates.map(withSchema) } }
}

function qualified(sources: DerivedColumn['sources']): DerivedColumn['sources'] {
  if (sources === 'unknown' || sources.some((source) => source.table === undefined)) return 'unknown'
  return sources.map(withSchema)
}

function withSchema({ schema, table, column }: ColumnSource): ColumnSource {
  return table === undefined ? { column } : { schema: schema ?? 'pg_catalog', table, column }
}

/** Equal for references to the same. */
export function referenceKey({ schema, name }: RelationReference): string {
  return `${schema ?? ''}\0${name}`
}
