import {
  type ColumnSource,
  outputSources,
  type Relation,
  type ResultColumn,
  type ResultMasker,
  type RowPlan,
  type SqlStatementFacts,
} from '../../core/index.js'
import { type ColumnDescription, decodeRowDescription } from './backend.js'

/** After this long a plan is made anew: names behind OIDs may have changed by a way that did not pass here. */
const MAX_PLAN_AGE_MS = 30_000

interface CachedPlan {
  readonly description: Buffer
  readonly formats: readonly number[]
  readonly masker: ResultMasker
  readonly plan: RowPlan | undefined
  readonly epoch: number
  readonly madeAtUnixMs: number
}

/**
 * Which masks stand over which columns of a result, compiled once per statement, description and set of masks, and
 * shared by all connections of a protocol.
 */
export class ResultPlans {
  readonly #cached = new WeakMap<SqlStatementFacts, CachedPlan>()
  #epoch = 0

  /** The target's catalogue may have changed. */
  forget(): void {
    this.#epoch++
  }

  /** A plan made before from the same bytes. `unknown` when there is none. */
  find(request: PlanRequest, nowUnixMs: number): RowPlan | undefined | 'unknown' {
    if (request.statement === undefined) return 'unknown'
    const cached = this.#cached.get(request.statement)
    if (
      cached === undefined ||
      cached.masker !== request.masker ||
      cached.epoch !== this.#epoch ||
      nowUnixMs - cached.madeAtUnixMs > MAX_PLAN_AGE_MS ||
      !sameFormats(cached.formats, request.formats) ||
      !cached.description.equals(request.description)
    ) {
      return 'unknown'
    }
    return cached.plan
  }

  make(request: PlanRequest, relations: ReadonlyMap<number, Relation>, nowUnixMs: number): RowPlan | undefined {
    const described = decodeRowDescription(request.description, 0, request.description.length)
    const columns = described.map((column, index) => resultColumn(request, described.length, column, index, relations))
    const plan = request.masker.planRows(columns)
    if (request.statement !== undefined) {
      this.#cached.set(request.statement, {
        description: Buffer.from(request.description),
        formats: request.formats,
        masker: request.masker,
        plan,
        epoch: this.#epoch,
        madeAtUnixMs: nowUnixMs,
      })
    }
    return plan
  }
}

export interface PlanRequest {
  /** Undefined: nothing is known of where the rows come from. */
  readonly statement: SqlStatementFacts | undefined
  /** The body of a RowDescription. */
  readonly description: Buffer
  /** Result format codes of Bind, which replace those of the description. Empty: the description's own. */
  readonly formats: readonly number[]
  readonly masker: ResultMasker
}

/** The tables whose columns the description names: what has to be looked up before a plan can be made. */
export function describedTables(description: Buffer): number[] {
  const oids = new Set<number>()
  for (const column of decodeRowDescription(description, 0, description.length)) {
    if (column.tableOid !== 0) oids.add(column.tableOid)
  }
  return [...oids]
}

function resultColumn(
  request: PlanRequest,
  total: number,
  column: ColumnDescription,
  index: number,
  relations: ReadonlyMap<number, Relation>,
): ResultColumn {
  const code =
    request.formats.length === 0 ? column.format : (request.formats[request.formats.length === 1 ? 0 : index] ?? 0)
  const relation = column.tableOid === 0 ? undefined : relations.get(column.tableOid)
  const described = { name: column.name, type: column.typeOid, format: code === 1 ? 'binary' : 'text' } as const
  // A whole row (`select c from customers c`): the server names the table and no column.
  if (relation !== undefined && column.columnNumber === 0) {
    return { ...described, sources: [{ schema: relation.schema, table: relation.name, column: '*' }] }
  }
  const origin = relation === undefined ? undefined : originOf(column, relation)
  return {
    ...described,
    sources: outputSources(request.statement?.output, index, total, column.name),
    ...(origin === undefined ? {} : { origin }),
  }
}

/** Undefined for a table nobody can look up (made in this transaction, or temporary): lineage has to do. */
function originOf(column: ColumnDescription, relation: Relation): ColumnSource | undefined {
  // System columns (ctid, xmin, ...) have negative numbers and their own names.
  const name = column.columnNumber > 0 ? relation.columns[column.columnNumber] : column.name
  return name === undefined ? undefined : { schema: relation.schema, table: relation.name, column: name }
}

function sameFormats(a: readonly number[], b: readonly number[]): boolean {
  if (a === b) return true
  if (a.length !== b.length) return false
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false
  return true
}
