import type { ColumnSource, Relation, RelationReference } from '../../core/index.js'

/** Steps from view to view and from table to table for one column. Real definitions take some dozens. */
const MAX_STEPS = 20_000

/** What stands behind a column of a relation. */
export interface Behind {
  /** Columns whose value it is, unchanged, itself included. */
  readonly same: readonly ColumnSource[]
  /** Columns that its value is made from. */
  readonly made: readonly ColumnSource[] | 'unknown'
}

/** Follows columns through views to the tables that hold them, and along inheritance, by what the catalogue told. */
export class RelationLineage {
  readonly #byOid = new Map<number, Relation>()
  readonly #byName = new Map<string, Relation[]>()

  constructor(relations: readonly Relation[]) {
    for (const relation of relations) {
      const known = this.#byName.get(relation.name)
      if (known === undefined) this.#byName.set(relation.name, [relation])
      else known.push(relation)
      // What was asked for by name alone may come without its columns.
      const isFuller = (this.#byOid.get(relation.oid)?.columns.length ?? 0) <= relation.columns.length
      if (isFuller) this.#byOid.set(relation.oid, relation)
    }
  }

  relation(oid: number): Relation | undefined {
    return this.#byOid.get(oid)
  }

  knows(reference: RelationReference): boolean {
    return this.#named(reference.schema, reference.name).length > 0
  }

  /** @param column `*`: any of them */
  behind(relation: Relation, column: string): Behind {
    const walk = new Walk()
    this.#follow(relation, column, column !== '*', walk)
    return { same: walk.same, made: walk.isUnknown ? 'unknown' : walk.made }
  }

  /** Adds to the sources of a column all that stands behind them. A relation that is not known stands for itself. */
  expand(sources: readonly ColumnSource[]): readonly ColumnSource[] | 'unknown' {
    const walk = new Walk()
    for (const source of sources) {
      walk.made.push(source)
      if (source.table === undefined) continue
      for (const relation of this.#named(source.schema, source.table)) {
        this.#follow(relation, source.column, false, walk)
      }
    }
    return walk.isUnknown ? 'unknown' : walk.made
  }

  /**
   * All relations that are read, or written to, where these are, themselves included. `unknown`: a view among them
   * that cannot be told.
   */
  relationsBehind(reference: RelationReference): readonly Relation[] | 'unknown' {
    const found = new Set(this.#named(reference.schema, reference.name))
    // What is added while it is walked is walked, too.
    for (const relation of found) {
      if (relation.derived === 'unknown' || found.size > MAX_STEPS) return 'unknown'
      for (const { schema, name } of relation.reads?.tables ?? []) {
        const read = this.#named(schema, name)
        if (read.length === 0) return 'unknown'
        for (const inner of read) found.add(inner)
      }
    }
    return [...found]
  }

  #named(schema: string | undefined, name: string): readonly Relation[] {
    const found = this.#byName.get(name) ?? []
    return schema === undefined ? found : found.filter((relation) => relation.schema === schema)
  }

  #follow(relation: Relation, column: string, isSame: boolean, walk: Walk): void {
    const { schema, name: table, relatives, derived } = relation
    if (!walk.enter(relation, column, isSame)) return
    walk.add({ schema, table, column }, isSame)
    if (relatives === 'unknown') walk.add({ column }, false)
    else
      for (const relative of relatives ?? [])
        walk.add({ schema: relative.schema, table: relative.name, column }, isSame)
    if (derived === undefined) return
    if (derived === 'unknown') {
      walk.isUnknown = true
      return
    }
    for (let number = 1; number < relation.columns.length; number++) {
      if (column !== '*' && relation.columns[number] !== column) continue
      const made = derived[number]
      if (made === undefined || made.sources === 'unknown') {
        walk.isUnknown = true
        return
      }
      for (const source of made.sources) this.#followSource(source, isSame && made.isPlain, walk)
    }
  }

  #followSource(source: ColumnSource, isSame: boolean, walk: Walk): void {
    const relations = source.table === undefined ? [] : this.#named(source.schema, source.table)
    // Fails closed: the definition names what the catalogue did not find any more.
    if (relations.length === 0) walk.isUnknown = true
    for (const relation of relations) {
      const isView = relation.derived !== undefined
      if (isView && source.column !== '*' && !relation.columns.includes(source.column)) walk.isUnknown = true
      this.#follow(relation, source.column, isSame && source.column !== '*', walk)
    }
  }
}

class Walk {
  readonly same: ColumnSource[] = []
  readonly made: ColumnSource[] = []
  readonly #entered = new Set<string>()
  isUnknown = false

  /** Whether there is anything to be found that has not been. */
  enter(relation: Relation, column: string, isSame: boolean): boolean {
    const key = `${isSame ? '=' : '~'}${relation.schema}\0${relation.name}\0${column}`
    if (this.isUnknown || this.#entered.has(key)) return false
    this.#entered.add(key)
    if (this.#entered.size > MAX_STEPS) this.isUnknown = true
    return !this.isUnknown
  }

  add(source: ColumnSource, isSame: boolean): void {
    if (isSame) this.same.push(source)
    else this.made.push(source)
  }
}
