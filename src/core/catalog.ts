/** A table, view or the like, as the server's catalogue has it. */
export interface Relation {
  readonly oid: number
  readonly schema: string
  readonly name: string
  /** Column names by attribute number (index 0 is unused, dropped columns are holes). */
  readonly columns: readonly (string | undefined)[]
}
