import type { ColumnAccess, Relation, RelationReference, SqlFacts, TableAccess } from '../../core/index.js'
import { RelationLineage } from './relation-lineage.js'

/** The relations whose rows a command has to do with: any of them may be a view. */
export function namedRelations(facts: SqlFacts): readonly RelationReference[] {
  const used = facts.tables.filter(({ modes }) => modes.some((mode) => mode !== 'ddl'))
  return used.map(({ schema, table }) => (schema === undefined ? { name: table } : { schema, name: table }))
}

/**
 * The facts of a command with all that it reads and writes through views, and by inheritance, added to what it names.
 * `unknown`: a view among them that cannot be told.
 */
export function factsBehind(facts: SqlFacts, relations: readonly Relation[]): SqlFacts | 'unknown' {
  const lineage = new RelationLineage(relations)
  const columns: ColumnAccess[] = []
  const tables: TableAccess[] = [...facts.tables]
  for (const { mode, ...source } of facts.columns) {
    const expanded = lineage.expand([source])
    if (expanded === 'unknown') return 'unknown'
    for (const behind of expanded) columns.push({ ...behind, mode })
  }
  for (const access of facts.tables) {
    const { schema, table, modes } = access
    const behind = lineage.relationsBehind(schema === undefined ? { name: table } : { schema, name: table })
    if (behind === 'unknown') return 'unknown'
    for (const relation of behind) {
      tables.push({ schema: relation.schema, table: relation.name, modes })
      if (relation.relatives === 'unknown') return 'unknown'
      for (const relative of relation.relatives ?? [])
        tables.push({ schema: relative.schema, table: relative.name, modes })
      // A view's own conditions are evaluated whatever is asked of it.
      for (const predicate of relation.reads?.predicates ?? []) {
        const expanded = lineage.expand([predicate])
        if (expanded === 'unknown') return 'unknown'
        for (const source of expanded) columns.push({ ...source, mode: 'predicate' })
      }
    }
  }
  return { ...facts, columns, tables }
}
