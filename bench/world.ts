import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { spawnSync } from 'node:child_process'
import { startPostgres, type PostgresServer } from '../test/support/postgres.js'
import { buildChildren, type ChildFiles } from './build-children.js'
import { Child } from './child.js'
import { startPgBouncer } from './pgbouncer.js'

export const USER = 'postgres'
export const DATABASE = 'postgres'
export const RULE_COUNT = 1_000
const PGBENCH_SCALE = '2'

/** One way from a client to the server. */
export interface Contender {
  readonly name: 'direct' | 'relay' | 'gateway' | 'pgbouncer'
  readonly port: number
  readonly user: string
  /** Of the process in between. Undefined: there is none. */
  readonly pid?: number
}

export interface Proxy {
  readonly contender: Contender
  readonly child: Child
}

/** Everything that is measured, up and running. */
export interface World {
  readonly server: PostgresServer
  readonly reader: Child
  readonly contenders: readonly Contender[]
  readonly rows: number
  /** A relay before the server, or before another port. */
  startRelay(port?: number): Promise<Proxy>
  /** A gateway with the full policy. */
  startGateway(options?: { readonly port?: number; readonly isRecording?: boolean }): Promise<Proxy>
  startNullServer(): Promise<{ readonly port: number; readonly child: Child }>
  stop(): Promise<void>
}

/** @param rows of the table that bulk reads read */
export async function createWorld(rows: number): Promise<World> {
  const files: ChildFiles = await buildChildren()
  const server = await startPostgres({
    hba: ['host all all 127.0.0.1/32 trust'],
    settings: { max_connections: '700', shared_buffers: '512MB', max_wal_size: '4GB', jit: 'off', autovacuum: 'off' },
    sql: peopleSql(rows),
  })
  const directory = mkdtempSync(join(tmpdir(), 'sallyport-bench-'))
  const children: Child[] = []
  const start = async (file: string, config: object, nodeOptions: readonly string[] = []) => {
    const started = await Child.start(file, config, nodeOptions)
    children.push(started.child)
    return started
  }
  const proxy = (name: Contender['name'], user: string, child: Child, port: number | undefined): Proxy => ({
    contender: { name, user, port: port as number, pid: child.pid },
    child,
  })
  const startRelay: World['startRelay'] = async (port = server.port) => {
    const { child, ready } = await start(files.relay, { port }, ['--expose-gc'])
    return proxy('relay', USER, child, ready.port)
  }
  const startGateway: World['startGateway'] = async ({ port = server.port, isRecording = true } = {}) => {
    const recordings = join(directory, `recordings-${children.length}`)
    mkdirSync(recordings, { mode: 0o700 })
    const config = { port, user: USER, ruleCount: RULE_COUNT, ...(isRecording ? { recordings } : {}) }
    const { child, ready } = await start(files.gateway, config, ['--expose-gc', '--enable-source-maps'])
    return proxy('gateway', 'open', child, ready.port)
  }
  initialisePgbench(server)
  const { child: reader } = await start(files.reader, {})
  const relay = await startRelay()
  const gateway = await startGateway()
  const bouncer = await startPgBouncer(server, USER)
  return {
    server,
    reader,
    rows,
    contenders: [
      { name: 'direct', port: server.port, user: USER },
      relay.contender,
      gateway.contender,
      ...(bouncer === undefined
        ? []
        : [{ name: 'pgbouncer', port: bouncer.port, user: USER, pid: bouncer.pid } as const]),
    ],
    startRelay,
    startGateway,
    startNullServer: async () => {
      const { child, ready } = await start(files['null-server'], {})
      return { child, port: ready.port as number }
    },
    stop: async () => {
      bouncer?.stop()
      for (const child of children) await child.stop()
      await server.stop()
      rmSync(directory, { recursive: true, force: true })
      rmSync(join(files.relay, '..'), { recursive: true, force: true })
    },
  }
}

/** The contender of that name, where there is one. */
export function contenderOf(world: World, name: Contender['name']): Contender {
  const found = world.contenders.find((contender) => contender.name === name)
  if (found === undefined) throw new Error(`there is no ${name}`)
  return found
}

function peopleSql(rows: number): string {
  return `
    CREATE TABLE customers (id int PRIMARY KEY, ssn text, card text, email text);
    CREATE TABLE people AS SELECT
      g AS id,
      'Ada Lovelace ' || g AS name,
      'ada.lovelace.' || g || '@example.com' AS email,
      '4111 1111 1111 1111' AS card,
      'Street ' || g % 500 || ', 10115 Berlin' AS address,
      'order ' || g || ' was shipped to the warehouse and is waiting for a signature' AS note,
      timestamptz '2024-01-01' + g * interval '1 minute' AS created_at
    FROM generate_series(1, ${rows}) AS g;
    ALTER TABLE people ADD PRIMARY KEY (id);
    ANALYZE people;`
}

function initialisePgbench(server: PostgresServer): void {
  const args = ['-i', '-q', '-s', PGBENCH_SCALE, '-h', '127.0.0.1', '-p', String(server.port), '-U', USER, DATABASE]
  const answer = spawnSync('pgbench', args, { encoding: 'utf8' })
  if (answer.status !== 0) throw new Error(`pgbench -i failed: ${answer.error ?? answer.stderr}`)
}
