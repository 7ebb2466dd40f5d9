import {
  type ColumnSource,
  outputSources,
  type Relation,
  type RelationReference,
  type ResultColumn,
  type ResultMasker,
  type RowPlan,
  type SqlStatementFacts,
} from '../../core/index.js'
import { type ColumnDescription, decodeRowDescription } from './backend.js'
import { RelationLineage } from './relation-lineage.js'

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
    if (request.statement === undefined || request.catalogTrust !== 'all') return 'unknown'
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

  /** Until when a plan made before says that nothing of these rows is masked; 0 where there is none that does. */
  plainUntil(request: PlanRequest, nowUnixMs: number): number {
    if (request.statement === undefined || this.find(request, nowUnixMs) !== undefined) return 0
    return (this.#cached.get(request.statement)?.madeAtUnixMs ?? -MAX_PLAN_AGE_MS) + MAX_PLAN_AGE_MS
  }

  /** Changes with every {@link forget}. */
  get epoch(): number {
    return this.#epoch
  }

  /** @param asked the epoch at which the relations were asked for, and the time now */
  make(
    request: PlanRequest,
    relations: readonly Relation[],
    asked: { readonly epoch: number; readonly nowUnixMs: number },
  ): RowPlan | undefined {
    const described = decodeRowDescription(request.description, 0, request.description.length)
    const lineage = new RelationLineage(relations)
    const columns = described.map((column, index) => resultColumn(request, described.length, column, index, lineage))
    const plan = request.masker.planRows(columns)
    // What holds within one transaction alone is nobody else's.
    if (request.statement !== undefined && request.catalogTrust === 'all') {
      this.#cached.set(request.statement, {
        description: Buffer.from(request.description),
        formats: request.formats,
        masker: request.masker,
        plan,
        epoch: asked.epoch,
        madeAtUnixMs: asked.nowUnixMs,
      })
    }
    return plan
  }
}

/**
 * How far the catalogue, which sees only what is committed, tells what names mean in this transaction. `known`: code that
 * nobody has seen ran in it, and may have made relations. `tables`: views were made or names were changed in it.
 */
export type CatalogTrust = 'all' | 'known' | 'tables'

/** Definitions that make no view and give no relation another name. */
const HARMLESS_DDL =
  /^(?:create (?:table|table as|foreign table|index|sequence|statistics|type|domain|function|procedure|trigger)|drop\b.*|alter (?:sequence|function|statistics)|comment|reindex|cluster|truncate|refresh materialized view|select)$/

/** What remains of the trust in the catalogue once this statement has run in a transaction. */
export function catalogTrustAfter(statement: SqlStatementFacts, before: CatalogTrust): CatalogTrust {
  if (before === 'tables') return before
  if (statement.class === 'unknown') return 'known'
  const defines = statement.class === 'procedural' || (statement.class === 'ddl' && !HARMLESS_DDL.test(statement.verb))
  return defines ? 'tables' : before
}

export interface PlanRequest {
  /** Undefined: nothing is known of where the rows come from. */
  readonly statement: SqlStatementFacts | undefined
  /** The body of a RowDescription. */
  readonly description: Buffer
  /** Result format codes of Bind, which replace those of the description. Empty: the description's own. */
  readonly formats: readonly number[]
  readonly masker: ResultMasker
  readonly catalogTrust: CatalogTrust
}

export interface LookUps {
  readonly oids: readonly number[]
  readonly names: readonly RelationReference[]
}

/**
 * What has to be looked up before a plan can be made: the tables whose columns the description names, and for columns
 * that it gives no table for, the tables they are made from: any of those may be a view.
 */
export function neededLookUps(request: PlanRequest): LookUps {
  const columns = decodeRowDescription(request.description, 0, request.description.length)
  const oids = new Set<number>()
  const names = new Map<string, RelationReference>()
  const readsSources = request.masker.readsSources !== false && request.catalogTrust !== 'tables'
  for (const [index, column] of columns.entries()) {
    if (column.tableOid !== 0) oids.add(column.tableOid)
    else if (readsSources) {
      const sources = outputSources(request.statement?.output, index, columns.length, column.name)
      for (const { schema, table } of sources === 'unknown' ? [] : sources) {
        if (table === undefined) continue
        names.set(`${schema ?? ''}\0${table}`, schema === undefined ? { name: table } : { schema, name: table })
      }
    }
  }
  return { oids: [...oids], names: [...names.values()] }
}

type Sources = ResultColumn['sources']

function resultColumn(
  request: PlanRequest,
  total: number,
  column: ColumnDescription,
  index: number,
  lineage: RelationLineage,
): ResultColumn {
  const code =
    request.formats.length === 0 ? column.format : (request.formats[request.formats.length === 1 ? 0 : index] ?? 0)
  const described = { name: column.name, type: column.typeOid, format: code === 1 ? 'binary' : 'text' } as const
  const sources = outputSources(request.statement?.output, index, total, column.name)
  if (column.tableOid === 0) return { ...described, sources: sourcesByName(sources, request.catalogTrust, lineage) }
  const relation = lineage.relation(column.tableOid)
  // A table nobody can look up was made in this transaction: lineage has to do, unless it may be a view.
  if (relation === undefined) return { ...described, sources: request.catalogTrust === 'all' ? sources : 'unknown' }
  const isTrusted = relation.derived === undefined || request.catalogTrust !== 'tables'
  // A whole row (`select c from customers c`): the server names the table and no column.
  if (column.columnNumber === 0) {
    return { ...described, sources: isTrusted ? lineage.behind(relation, '*').made : 'unknown' }
  }
  // System columns (ctid, xmin, ...) have negative numbers and their own names.
  const name = column.columnNumber > 0 ? relation.columns[column.columnNumber] : column.name
  if (name === undefined) return { ...described, sources: relation.derived === undefined ? sources : 'unknown' }
  const origin = { schema: relation.schema, table: relation.name, column: name }
  if (relation.derived === undefined && relation.relatives === undefined) return { ...described, origin, sources }
  const { same, made } = lineage.behind(relation, name)
  if (isTrusted && made !== 'unknown' && made.length === 0) return { ...described, origin, origins: same, sources }
  return { ...described, origins: same, sources: isTrusted ? made : 'unknown' }
}

function sourcesByName(sources: Sources, trust: CatalogTrust, lineage: RelationLineage): Sources {
  if (sources === 'unknown' || sources.length === 0) return sources
  if (trust === 'tables') return 'unknown'
  const isKnown = ({ schema, table }: ColumnSource): boolean =>
    table === undefined || lineage.knows(schema === undefined ? { name: table } : { schema, name: table })
  if (trust === 'known' && !sources.every(isKnown)) return 'unknown'
  return lineage.expand(sources)
}

function sameFormats(a: readonly number[], b: readonly number[]): boolean {
  if (a === b) return true
  if (a.length !== b.length) return false
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false
  return true
}
