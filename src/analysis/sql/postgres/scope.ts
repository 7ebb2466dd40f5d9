import type { OutputColumn } from '../../../core/index.js'
import { allSources, findColumn, type Sources, star, unionSources } from './sources.js'

/** One thing in a FROM list that columns can be asked of. */
export interface FromItem {
  /** Undefined: it can only be reached by unqualified names. */
  readonly name: string | undefined
  /** The schema it is a table of, for `schema.table.column`; derived tables have none. */
  readonly schema?: string
  readonly columns: readonly OutputColumn[]
  /** Reached by its name alone (the alias of a USING list). */
  readonly isHidden?: boolean
}

/** The columns of a table nobody has described to us: all of them, by their own names. */
export function tableColumns(schema: string | undefined, table: string): readonly OutputColumn[] {
  return [star([schema === undefined ? { table, column: '*' } : { schema, table, column: '*' }], true)]
}

export interface Resolved {
  readonly sources: Sources
  readonly isPlain: boolean
}

/** Names that a WITH clause gives, the inner hiding the outer. */
export class CteScope {
  private readonly known = new Map<string, readonly OutputColumn[]>()
  private readonly outer: CteScope | undefined

  constructor(outer?: CteScope) {
    this.outer = outer
  }

  define(name: string, columns: readonly OutputColumn[]): void {
    this.known.set(name, columns)
  }

  find(name: string): readonly OutputColumn[] | undefined {
    return this.known.get(name) ?? this.outer?.find(name)
  }
}

/** What names mean at one query level. */
export class Scope {
  readonly items: FromItem[] = []
  /** Columns that JOIN USING or NATURAL merged: an unqualified name may then be of several items. */
  hasMergedColumns = false
  readonly outer: Scope | undefined
  readonly ctes: CteScope

  constructor(outer: Scope | undefined, ctes: CteScope) {
    this.outer = outer
    this.ctes = ctes
  }

  /** An unqualified column. Undefined: no level has it. Includes every candidate the server might choose. */
  column(name: string): Resolved | undefined {
    const parts: Sources[] = []
    let isPlain = true
    let isCertain = false
    for (const item of this.items) {
      if (item.isHidden === true) continue
      const found = findColumn(item.columns, name)
      if (found !== undefined) {
        // Two certain ones are an error unless merged; a certain one beside possible ones is the one.
        if (found.isCertain && !isCertain && !this.hasMergedColumns) parts.length = 0
        if (isCertain && !found.isCertain && !this.hasMergedColumns) continue
        isCertain ||= found.isCertain
        parts.push(found.sources)
        isPlain &&= found.isPlain
      }
    }
    if (isCertain) return { sources: unionSources(parts), isPlain: isPlain && parts.length === 1 }
    // `select c from customers c` is the whole row, unless the row has a column of that name.
    for (const item of this.items) {
      if (item.name === name) {
        parts.push(allSources(item.columns))
        isPlain = false
      }
    }
    // Where a table's columns are not known, the name may as well be one of an outer level.
    const outer = this.outer?.column(name)
    if (outer !== undefined) {
      parts.push(outer.sources)
      isPlain &&= outer.isPlain
    }
    if (parts.length === 0) return undefined
    return { sources: unionSources(parts), isPlain: isPlain && parts.length === 1 }
  }

  /** The FROM item `qualifier` names: the innermost level that has one. */
  item(qualifier: string, schema: string | undefined): FromItem | undefined {
    for (const item of this.items) {
      if (item.name !== qualifier) continue
      if (schema === undefined || item.schema === undefined || item.schema === schema) return item
    }
    return this.outer?.item(qualifier, schema)
  }

  /** What looking a name up may cost, in the unit of visiting a node. */
  lookupCost(): number {
    return this.countColumns() >> 3
  }

  private countColumns(): number {
    let columns = this.outer?.countColumns() ?? 0
    for (const item of this.items) columns += item.columns.length
    return columns
  }

  /** What `*` stands for at this level. */
  star(): readonly OutputColumn[] {
    const columns = this.items.flatMap((item) => (item.isHidden === true ? [] : item.columns))
    if (!this.hasMergedColumns) return columns
    // Merged columns come first and once: neither order nor number is that of the items.
    const isPlain = columns.every((column) => column.isPlain && column.isStar === true)
    return [star(allSources(columns), isPlain)]
  }
}
