import type { Duplex } from 'node:stream'
import { SallyportError, type Clock, type Relation, type RelationReference, type SqlAnalyzer } from '../core/index.js'
import type { CatalogSource } from './driver-types.js'
import {
  type Ask,
  type BareRelation,
  MAX_NAMED_RELATIONS,
  relationsByName,
  relationsByOid,
  tableRelatives,
  viewDefinitions,
} from './postgres-relations.js'
import { type Needs, RelationSet } from './relation-set.js'
import { RowClient } from './row-client.js'
import { referenceKey, viewFacts } from './view-columns.js'

/** Views over views are followed so deep. Beyond, they count as not known. */
const MAX_VIEW_DEPTH = 32

export interface PostgresCatalogOptions {
  /** A stream that PostgreSQL can be spoken on in the clear without a password, such as a guarded stream. */
  open(): Duplex | Promise<Duplex>
  /** Names for the log-in on that stream. */
  readonly user: string
  readonly database?: string
  readonly clock: Clock
  /** Reads the definitions of views. */
  readonly analyzer: SqlAnalyzer
  /** What was looked up counts for this long. Default 30 000: the time a rename outside this gateway takes to be seen. */
  readonly ttlMs?: number
  /** Relations remembered. Default 10 000, some 10 MB at a hundred columns each. */
  readonly maxEntries?: number
  /** The side connection is closed after this long without a look-up. Default 60 000. */
  readonly idleMs?: number
  /** A look-up that takes longer fails. Default 5 000. */
  readonly timeoutMs?: number
}

interface Batch {
  readonly oids: Set<number>
  readonly names: Map<string, RelationReference>
  readonly done: Promise<RelationSet>
}

/**
 * Names of relations and their columns from PostgreSQL's catalogue, and what views are made of, over one side connection
 * that is opened when it is first needed. Look-ups that come while one is under way travel together in the next one.
 */
export function createPostgresCatalog(options: PostgresCatalogOptions): PostgresCatalog {
  return new PostgresCatalog(options)
}

export class PostgresCatalog implements CatalogSource {
  readonly #options: PostgresCatalogOptions
  readonly #ttlMs: number
  readonly #known: RelationSet
  /** Counts invalidations: what was asked for before one must not be remembered after it. */
  #generation = 0
  #client: Promise<RowClient> | undefined
  #serverVersion: string | undefined
  #running: Promise<unknown> | undefined
  #next: Batch | undefined
  #idleTimer: NodeJS.Timeout | undefined
  #isClosed = false

  constructor(options: PostgresCatalogOptions) {
    this.#options = options
    this.#ttlMs = options.ttlMs ?? 30_000
    this.#known = new RelationSet(options.maxEntries ?? 10_000)
  }

  /** @throws SallyportError `upstream_unavailable` when the catalogue cannot be read */
  async relations(oids: readonly number[], names: readonly RelationReference[] = []): Promise<readonly Relation[]> {
    const { relations, missing } = this.#known.gather({ oids, names }, this.#options.clock.nowUnixMs())
    if (missing === undefined) return relations
    const answer = await this.#enqueue(missing)
    return [...relations, ...answer.gather(missing, 0).relations]
  }

  invalidate(): void {
    this.#generation++
    this.#known.clear()
    // A batch that has not left yet sees the new state; one under way may not, and is not remembered.
  }

  /** Closes the side connection. Look-ups fail from here on. */
  close(): void {
    this.#isClosed = true
    this.#disconnect()
  }

  #enqueue(needs: Needs): Promise<RelationSet> {
    if (this.#next === undefined) {
      const oids = new Set<number>()
      const names = new Map<string, RelationReference>()
      const before = this.#running ?? Promise.resolve()
      const done = before
        .catch(() => {})
        .then(() => {
          this.#next = undefined
          return this.#lookUp({ oids: [...oids], names: [...names.values()] })
        })
      this.#next = { oids, names, done }
      this.#running = done
      // Whoever asked hears of a failure; the chain itself must not.
      done.catch(() => {})
    }
    for (const oid of needs.oids) this.#next.oids.add(oid)
    for (const name of needs.names) this.#next.names.set(referenceKey(name), name)
    return this.#next.done
  }

  /** Level by level: what was asked for, then what its views are made of, and so on. */
  async #lookUp(asked: Needs): Promise<RelationSet> {
    const generation = this.#generation
    const found = new RelationSet(Number.POSITIVE_INFINITY)
    const ask: Ask = (text) => this.#query(text)
    let needs = asked
    for (let depth = 0; depth <= MAX_VIEW_DEPTH && found.size <= MAX_NAMED_RELATIONS; depth++) {
      const byOid = await relationsByOid(ask, needs.oids)
      const { found: byName, crowded } = await relationsByName(ask, needs.names)
      const complete = await this.#completer(ask, [...byOid, ...byName])
      const added = byOid.map(complete)
      for (const relation of added) found.add(relation, Number.POSITIVE_INFINITY)
      const named = byName.map(complete)
      for (const name of needs.names) {
        const relations = crowded.includes(name)
          ? [crowd(name)]
          : named.filter(({ schema, name: own }) => own === name.name && (name.schema ?? schema) === schema)
        if (relations.length > 0) found.addNamed(name, relations, Number.POSITIVE_INFINITY)
      }
      const wanted = new Map<string, RelationReference>()
      for (const relation of [...added, ...named]) {
        for (const name of relation.reads?.tables ?? []) if (!found.hasNamed(name)) wanted.set(referenceKey(name), name)
      }
      if (wanted.size === 0) break
      needs = { oids: [], names: [...wanted.values()] }
    }
    if (generation === this.#generation) this.#known.addAll(found, this.#options.clock.nowUnixMs() + this.#ttlMs)
    return found
  }

  /** Asks for all that these relations lack, and says how they are made whole. */
  async #completer(ask: Ask, relations: readonly BareRelation[]): Promise<(bare: BareRelation) => Relation> {
    const oidsOf = (list: readonly BareRelation[]): number[] => [...new Set(list.map((relation) => relation.oid))]
    const definitions = await viewDefinitions(ask, oidsOf(relations.filter((relation) => relation.isView)))
    const relativesOf = await tableRelatives(ask, oidsOf(relations.filter((relation) => relation.hasRelatives)))
    return ({ oid, schema, name, columns, isView, hasRelatives }) => {
      if (isView) {
        const facts = viewFacts(definitions.get(oid), columns, this.#options.analyzer, this.#serverVersion)
        return { oid, schema, name, columns, ...facts }
      }
      return hasRelatives ? { oid, schema, name, columns, relatives: relativesOf(oid) } : { oid, schema, name, columns }
    }
  }

  async #query(text: string): Promise<readonly (readonly (string | undefined)[])[]> {
    if (this.#isClosed) throw new SallyportError('misuse', 'the catalogue is closed')
    clearTimeout(this.#idleTimer)
    let timer: NodeJS.Timeout | undefined
    try {
      const late = new Promise<never>((_, reject) => {
        timer = setTimeout(() => {
          reject(new SallyportError('upstream_unavailable', 'the catalogue did not answer in time'))
        }, this.#options.timeoutMs ?? 5_000)
      })
      return await Promise.race([this.#ask(text), late])
    } catch (error) {
      this.#disconnect()
      throw error
    } finally {
      clearTimeout(timer)
      this.#idleTimer = setTimeout(() => this.#disconnect(), this.#options.idleMs ?? 60_000)
      this.#idleTimer.unref()
    }
  }

  async #ask(text: string): Promise<readonly (readonly (string | undefined)[])[]> {
    if (this.#client !== undefined && (await this.#client).isClosed) this.#client = undefined
    this.#client ??= this.#connect()
    return (await this.#client).query(text)
  }

  async #connect(): Promise<RowClient> {
    const { user, database } = this.#options
    const client = new RowClient(await this.#options.open())
    await client.start({
      user,
      ...(database === undefined ? {} : { database }),
      application_name: 'sallyport catalogue',
      client_encoding: 'UTF8',
    })
    await client.query('SET search_path = pg_catalog')
    // Literals in definitions are written by it, and ours are read by it.
    await client.query('SET standard_conforming_strings = on')
    this.#serverVersion = (await client.query('SHOW server_version'))[0]?.[0]
    return client
  }

  #disconnect(): void {
    clearTimeout(this.#idleTimer)
    const client = this.#client
    this.#client = undefined
    client?.then(
      (open) => open.end(),
      () => {},
    )
  }
}

/** Fails closed: among so many of a name there may be any view. */
function crowd({ schema, name }: RelationReference): Relation {
  return { oid: 0, schema: schema ?? '', name, columns: [], derived: 'unknown' }
}
