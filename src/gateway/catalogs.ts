import type { Duplex } from 'node:stream'
import type { Clock, SqlAnalyzer } from '../core/index.js'
import type { CatalogSource } from '../streams/driver-types.js'
import { createPostgresCatalog, type PostgresCatalogOptions } from '../streams/postgres-catalog.js'

/** What a catalogue is made of: a way to talk to the target as the gateway itself. */
export interface CatalogSurroundings {
  /** A stream on which the protocol can be spoken in the clear, already let in. */
  open(): Duplex
  readonly database: string | undefined
  readonly user: string
  readonly clock: Clock
  /** Of the resource's protocol. */
  readonly analyzer: SqlAnalyzer
}

/** Made once per resource and database; shared by its sessions. */
export type CatalogFactory = (surroundings: CatalogSurroundings) => CatalogSource & { close(): void }

/** For PostgreSQL. The options are those of {@link createPostgresCatalog}. */
export function postgresCatalog(
  options: Pick<PostgresCatalogOptions, 'ttlMs' | 'maxEntries' | 'idleMs' | 'timeoutMs'> = {},
): CatalogFactory {
  return ({ open, database, user, clock, analyzer }) =>
    createPostgresCatalog({ ...options, open, user, clock, analyzer, ...(database === undefined ? {} : { database }) })
}
