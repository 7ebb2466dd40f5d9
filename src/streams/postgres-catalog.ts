import type { Duplex } from 'node:stream'
import { SallyportError, type Clock, type Relation } from '../core/index.js'
import type { CatalogSource } from './driver-types.js'
import { RowClient } from './row-client.js'

export interface PostgresCatalogOptions {
  /** A stream that PostgreSQL can be spoken on in the clear without a password, such as a guarded stream. */
  open(): Duplex | Promise<Duplex>
  /** Names for the log-in on that stream. */
  readonly user: string
  readonly database?: string
  readonly clock: Clock
  /** What was looked up counts for this long. Default 30 000: the time a rename outside this gateway takes to be seen. */
  readonly ttlMs?: number
  /** Relations remembered. Default 10 000, some 10 MB at a hundred columns each. */
  readonly maxEntries?: number
  /** The side connection is closed after this long without a look-up. Default 60 000. */
  readonly idleMs?: number
  /** A look-up that takes longer fails. Default 5 000. */
  readonly timeoutMs?: number
}

interface Entry {
  readonly relation: Relation
  readonly expiresAtUnixMs: number
}

interface Batch {
  readonly oids: Set<number>
  readonly done: Promise<ReadonlyMap<number, Relation>>
}

/**
 * Names of relations and their columns from PostgreSQL's catalogue, over one side connection that is opened
 * when it is first needed. Look-ups that come while one is under way travel together in the next one.
 *
 * Every name in its query is qualified, operators too: nothing that a user of the database created can stand
 * in for what is meant (CVE-2018-1058, CVE-2025-12819).
 */
export function createPostgresCatalog(options: PostgresCatalogOptions): PostgresCatalog {
  return new PostgresCatalog(options)
}

export class PostgresCatalog implements CatalogSource {
  readonly #options: PostgresCatalogOptions
  readonly #ttlMs: number
  readonly #maxEntries: number
  readonly #entries = new Map<number, Entry>()
  /** Counts invalidations: what was asked for before one must not be remembered after it. */
  #generation = 0
  #client: Promise<RowClient> | undefined
  #running: Promise<unknown> | undefined
  #next: Batch | undefined
  #idleTimer: NodeJS.Timeout | undefined
  #isClosed = false

  constructor(options: PostgresCatalogOptions) {
    this.#options = options
    this.#ttlMs = options.ttlMs ?? 30_000
    this.#maxEntries = options.maxEntries ?? 10_000
  }

  /** @throws SallyportError `upstream_unavailable` when the catalogue cannot be read */
  async relations(oids: readonly number[]): Promise<readonly Relation[]> {
    const found: Relation[] = []
    const missing: number[] = []
    const now = this.#options.clock.nowUnixMs()
    for (const oid of oids) {
      const entry = this.#entries.get(oid)
      if (entry !== undefined && entry.expiresAtUnixMs > now) found.push(entry.relation)
      else missing.push(oid)
    }
    if (missing.length === 0) return found
    const answer = await this.#enqueue(missing)
    for (const oid of missing) {
      const relation = answer.get(oid)
      if (relation !== undefined) found.push(relation)
    }
    return found
  }

  invalidate(): void {
    this.#generation++
    this.#entries.clear()
    // A batch that has not left yet sees the new state; one under way may not, and is not remembered.
  }

  /** Closes the side connection. Look-ups fail from here on. */
  close(): void {
    this.#isClosed = true
    this.#disconnect()
  }

  #enqueue(oids: readonly number[]): Promise<ReadonlyMap<number, Relation>> {
    if (this.#next === undefined) {
      const wanted = new Set<number>()
      const before = this.#running ?? Promise.resolve()
      const done = before
        .catch(() => {})
        .then(() => {
          this.#next = undefined
          return this.#lookUp([...wanted])
        })
      this.#next = { oids: wanted, done }
      this.#running = done
      // Whoever asked hears of a failure; the chain itself must not.
      done.catch(() => {})
    }
    for (const oid of oids) this.#next.oids.add(oid)
    return this.#next.done
  }

  async #lookUp(oids: readonly number[]): Promise<ReadonlyMap<number, Relation>> {
    const generation = this.#generation
    const rows = await this.#query(lookUpText(oids))
    const relations = new Map<number, { oid: number; schema: string; name: string; columns: (string | undefined)[] }>()
    for (const [oidText, schema, name, attribute, column] of rows) {
      const oid = Number(oidText)
      if (schema === undefined || name === undefined || !Number.isSafeInteger(oid)) continue
      let relation = relations.get(oid)
      if (relation === undefined) relations.set(oid, (relation = { oid, schema, name, columns: [] }))
      if (attribute !== undefined && column !== undefined) relation.columns[Number(attribute)] = column
    }
    if (generation === this.#generation) this.#remember(relations)
    return relations
  }

  #remember(relations: ReadonlyMap<number, Relation>): void {
    const expiresAtUnixMs = this.#options.clock.nowUnixMs() + this.#ttlMs
    for (const [oid, relation] of relations) {
      if (this.#entries.size >= this.#maxEntries) {
        const [oldest] = this.#entries.keys()
        if (oldest !== undefined) this.#entries.delete(oldest)
      }
      this.#entries.delete(oid)
      this.#entries.set(oid, { relation, expiresAtUnixMs })
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

function lookUpText(oids: readonly number[]): string {
  for (const oid of oids) {
    if (!Number.isInteger(oid) || oid < 0 || oid > 0xffff_ffff) {
      throw new SallyportError('internal', 'an object identifier is a number of 32 bits')
    }
  }
  return (
    'SELECT c.oid, n.nspname, c.relname, a.attnum, a.attname FROM pg_catalog.pg_class c ' +
    'JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace ' +
    'LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid OPERATOR(pg_catalog.=) c.oid ' +
    'AND a.attnum OPERATOR(pg_catalog.>) 0 AND NOT a.attisdropped ' +
    `WHERE c.oid OPERATOR(pg_catalog.=) ANY (ARRAY[${oids.join(',')}]::pg_catalog.oid[])`
  )
}
