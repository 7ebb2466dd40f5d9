import { type Relation, type RelationName, type RelationReference, SallyportError } from '../core/index.js'

/** Relations of one name, or of a list of names, that are looked at. Schemas per tenant may hold thousands of views of a name. */
export const MAX_NAMED_RELATIONS = 2_000

/** Ancestors and descendants that are named. A table with a partition per hour has 8,760 a year. */
const MAX_RELATIVES = 20_000

/** Longer definitions are not read. In characters: the largest that people write have some ten thousand. */
const MAX_DEFINITION_LENGTH = 262_144

/** So many of the longest definitions fit into one answer of the catalogue. */
const DEFINITIONS_PER_QUERY = 15

/** What `initdb` makes has lower numbers: system views hold no values of users' tables but samples of them. */
const FIRST_USER_OID = 16_384

export type Ask = (text: string) => Promise<readonly (readonly (string | undefined)[])[]>

/** A relation without what it takes further questions to know. */
export interface BareRelation {
  readonly oid: number
  readonly schema: string
  readonly name: string
  readonly isView: boolean
  readonly hasRelatives: boolean
  readonly columns: (string | undefined)[]
}

/**
 * Every name in these queries is qualified, operators too: nothing that a user of the database created can stand
 * in for what is meant (CVE-2018-1058, CVE-2025-12819).
 */
const IS_VIEW = `c.relkind OPERATOR(pg_catalog.=) ANY (ARRAY['v','m']::pg_catalog."char"[]) AND c.oid OPERATOR(pg_catalog.>=) ${FIRST_USER_OID}::pg_catalog.oid`
const IS_RELATED =
  `c.relkind OPERATOR(pg_catalog.=) ANY (ARRAY['r','p','f']::pg_catalog."char"[]) AND (c.relhassubclass OR EXISTS ` +
  '(SELECT 1 FROM pg_catalog.pg_inherits i WHERE i.inhrelid OPERATOR(pg_catalog.=) c.oid))'
const COLUMNS =
  'LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid OPERATOR(pg_catalog.=) r.oid ' +
  'AND a.attnum OPERATOR(pg_catalog.>) 0 AND NOT a.attisdropped'
const FROM_CLASSES =
  'FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace'
const CLASS = `c.oid, n.nspname, c.relname, ${IS_VIEW} AS view, ${IS_RELATED} AS related`

/** Relations with all of their columns. */
export async function relationsByOid(ask: Ask, oids: readonly number[]): Promise<readonly BareRelation[]> {
  if (oids.length === 0) return []
  const rows = await ask(
    `SELECT r.*, a.attnum, a.attname FROM (SELECT ${CLASS} ${FROM_CLASSES} WHERE c.oid OPERATOR(pg_catalog.=) ` +
      `ANY (${oidArray(oids)})) r ${COLUMNS}`,
  )
  return gather(rows)
}

export interface NamedRelations {
  /** Views with their columns, tables without, and of tables that have nothing to do with others one for each name. */
  readonly found: readonly BareRelation[]
  /** Names that too many relations have. */
  readonly crowded: readonly RelationReference[]
}

export async function relationsByName(ask: Ask, names: readonly RelationReference[]): Promise<NamedRelations> {
  if (names.length === 0) return { found: [], crowded: [] }
  const found = await fewRelationsByName(ask, names)
  if (found !== undefined) return { found, crowded: [] }
  if (names.length === 1) return { found: [], crowded: names }
  const half = names.length >> 1
  const left = await relationsByName(ask, names.slice(0, half))
  const right = await relationsByName(ask, names.slice(half))
  return { found: [...left.found, ...right.found], crowded: [...left.crowded, ...right.crowded] }
}

/** Undefined when there are too many. */
async function fewRelationsByName(
  ask: Ask,
  names: readonly RelationReference[],
): Promise<readonly BareRelation[] | undefined> {
  const bare = names.filter((name) => name.schema === undefined)
  const qualified = names.filter((name) => name.schema !== undefined)
  const parts: string[] = []
  if (bare.length > 0) {
    const isNamed = `c.relname OPERATOR(pg_catalog.=) ANY (${nameArray(bare.map(({ name }) => name))})`
    parts.push(namedRelations(isNamed, 'c.relname'))
  }
  if (qualified.length > 0) {
    // Both lists narrow; which pairs are meant is told apart afterwards.
    const isNamed =
      `c.relname OPERATOR(pg_catalog.=) ANY (${nameArray(qualified.map(({ name }) => name))}) AND ` +
      `n.nspname OPERATOR(pg_catalog.=) ANY (${nameArray(qualified.map(({ schema }) => schema ?? ''))})`
    parts.push(namedRelations(isNamed, 'c.relname, n.nspname'))
  }
  const rows = await ask(
    `SELECT r.*, a.attnum, a.attname FROM (${parts.join(' UNION ')} LIMIT ${MAX_NAMED_RELATIONS + 1}) r ` +
      `${COLUMNS} AND r.view`,
  )
  const found = gather(rows)
  return found.length > MAX_NAMED_RELATIONS ? undefined : found
}

function namedRelations(isNamed: string, name: string): string {
  const isSpecial = `((${IS_VIEW}) OR (${IS_RELATED}))`
  return (
    `(SELECT ${CLASS} ${FROM_CLASSES} WHERE ${isNamed} AND ${isSpecial}) UNION ` +
    `(SELECT DISTINCT ON (${name}) ${CLASS} ${FROM_CLASSES} WHERE ${isNamed} AND NOT ${isSpecial})`
  )
}

/** Definitions of views by OID. A view that is gone, or too long, has none. */
export async function viewDefinitions(ask: Ask, oids: readonly number[]): Promise<ReadonlyMap<number, string>> {
  const definitions = new Map<number, string>()
  for (let at = 0; at < oids.length; at += DEFINITIONS_PER_QUERY) {
    const rows = await ask(
      'SELECT d.oid, d.definition FROM (SELECT o.oid, pg_catalog.pg_get_viewdef(o.oid) AS definition FROM ' +
        `pg_catalog.unnest(${oidArray(oids.slice(at, at + DEFINITIONS_PER_QUERY))}) AS o(oid)) d ` +
        `WHERE pg_catalog.length(d.definition) OPERATOR(pg_catalog.<=) ${MAX_DEFINITION_LENGTH}`,
    )
    for (const [oid, definition] of rows) if (definition !== undefined) definitions.set(Number(oid), definition)
  }
  return definitions
}

/** Ancestors and descendants of tables, by OID. */
export async function tableRelatives(
  ask: Ask,
  oids: readonly number[],
): Promise<(oid: number) => NonNullable<Relation['relatives']>> {
  const relatives = new Map<number, RelationName[]>()
  if (oids.length === 0) return () => []
  const line = (name: string, from: string, to: string): string =>
    `${name}(start, oid) AS (SELECT i.${from}, i.${to} FROM pg_catalog.pg_inherits i WHERE i.${from} ` +
    `OPERATOR(pg_catalog.=) ANY (${oidArray(oids)}) UNION SELECT l.start, i.${to} FROM ${name} l JOIN ` +
    `pg_catalog.pg_inherits i ON i.${from} OPERATOR(pg_catalog.=) l.oid)`
  const rows = await ask(
    `WITH RECURSIVE ${line('up', 'inhrelid', 'inhparent')}, ${line('down', 'inhparent', 'inhrelid')} ` +
      'SELECT l.start, n.nspname, c.relname FROM (SELECT * FROM up UNION ALL SELECT * FROM down) l ' +
      'JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) l.oid ' +
      `JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace LIMIT ${MAX_RELATIVES + 1}`,
  )
  // Fails closed: nobody knows whose are missing.
  if (rows.length > MAX_RELATIVES) return () => 'unknown'
  for (const [start, schema, name] of rows) {
    if (schema === undefined || name === undefined) continue
    const known = relatives.get(Number(start))
    if (known === undefined) relatives.set(Number(start), [{ schema, name }])
    else known.push({ schema, name })
  }
  return (oid) => relatives.get(oid) ?? []
}

function gather(rows: readonly (readonly (string | undefined)[])[]): readonly BareRelation[] {
  const relations = new Map<number, BareRelation>()
  for (const [oidText, schema, name, view, related, attribute, column] of rows) {
    const oid = Number(oidText)
    if (schema === undefined || name === undefined || !Number.isSafeInteger(oid)) continue
    let relation = relations.get(oid)
    if (relation === undefined) {
      relation = { oid, schema, name, isView: view === 't', hasRelatives: related === 't', columns: [] }
      relations.set(oid, relation)
    }
    if (attribute !== undefined && column !== undefined) relation.columns[Number(attribute)] = column
  }
  return [...relations.values()]
}

function oidArray(oids: readonly number[]): string {
  for (const oid of oids) {
    if (!Number.isInteger(oid) || oid < 0 || oid > 0xffff_ffff) {
      throw new SallyportError('internal', 'an object identifier is a number of 32 bits')
    }
  }
  return `ARRAY[${oids.join(',')}]::pg_catalog.oid[]`
}

/** Strings in which a backslash is one, as the connection has set, and NUL cannot stand. */
function nameArray(names: readonly string[]): string {
  const literals = names.map((name) => `'${name.replaceAll('\0', '').replaceAll("'", "''")}'`)
  return `ARRAY[${literals.join(',')}]::pg_catalog.name[]`
}
