import type { ColumnSource } from './sql-facts.js'

/** A table, view or the like, as the server's catalogue has it. */
export interface Relation {
  readonly oid: number
  readonly schema: string
  readonly name: string
  /**
   * Column names by attribute number (index 0 is unused, dropped columns are holes). May be empty for a table that was
   * asked for by name: that there is one is all that its name tells.
   */
  readonly columns: readonly (string | undefined)[]
  /**
   * Given for a view: what its own definition makes each column of, by attribute number. `unknown`: nobody can tell, so
   * that they count as coming from everywhere. Views among the sources are not followed: they are relations of their own.
   */
  readonly derived?: readonly (DerivedColumn | undefined)[] | 'unknown'
  /** Given for a view whose definition was understood: what it reads, also for the sake of choosing rows alone. */
  readonly reads?: { readonly tables: readonly RelationName[]; readonly predicates: readonly ColumnSource[] }
  /**
   * Given for a table that inherits or is inherited from, partitions included: all its ancestors and descendants. A row
   * of one may be a row of the other, under the same column names. `unknown`: too many to name.
   */
  readonly relatives?: readonly RelationName[] | 'unknown'
}

/** A view's column. */
export interface DerivedColumn {
  /** With schema and table each. */
  readonly sources: readonly ColumnSource[] | 'unknown'
  /** True when the value is that of a source column itself. */
  readonly isPlain: boolean
}

export interface RelationName {
  readonly schema: string
  readonly name: string
}

/** A relation as a statement names it. Without a schema all relations of that name are meant: which one only the session knows. */
export interface RelationReference {
  readonly schema?: string
  readonly name: string
}
