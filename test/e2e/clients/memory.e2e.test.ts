import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface, type Interface } from 'node:readline'
import pg from 'pg'
import QueryStream from 'pg-query-stream'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { AGENT } from '../../support/gateway.js'
import { type PostgresServer, startPostgres } from '../../support/postgres.js'
import { libpqEnvironment } from '../../support/programs.js'

const MEBIBYTE = 1024 * 1024
/** What a garbage collector may leave lying about. The results are larger by far. */
const MOST_GROWTH = 80 * MEBIBYTE
const SOURCE = join(import.meta.dirname, '../../support/gateway-process.ts')

let server: PostgresServer

beforeAll(async () => {
  server = await startPostgres({
    sql: `create table person as select n as id, 'person number ' || n as name, 'p' || n || '@example.com' as email, repeat('x', 100) as filler
      from generate_series(1, 1000000) n`,
  })
})

afterAll(async () => {
  await server?.stop()
})

class GatewayProcess {
  readonly #child: ChildProcess
  readonly #lines: AsyncIterator<string>
  port = 0

  private constructor(child: ChildProcess, lines: Interface) {
    this.#child = child
    this.#lines = lines[Symbol.asyncIterator]()
  }

  static async start(mode: 'plain' | 'masked'): Promise<GatewayProcess> {
    const { host, port, user, password } = server
    const args = ['--import', 'tsx', SOURCE, JSON.stringify({ host, port, user, password }), mode]
    const child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] })
    const self = new GatewayProcess(child, createInterface({ input: child.stdout as NodeJS.ReadableStream }))
    self.port = Number((await self.#lines.next()).value)
    return self
  }

  async residentBytes(): Promise<number> {
    this.#child.stdin?.write('\n')
    return Number((await this.#lines.next()).value)
  }

  async stop(): Promise<void> {
    this.#child.stdin?.end()
    if (this.#child.exitCode === null) await once(this.#child, 'exit')
  }
}

/** Lets psql read a result, and counts its bytes without keeping them. */
async function readByPsql(port: number, text: string): Promise<number> {
  const args = ['-X', '-A', '-t', '-v', 'FETCH_COUNT=0', '-c', text]
  const child = spawn('psql', args, { env: libpqEnvironment({ port }), stdio: ['ignore', 'pipe', 'inherit'] })
  let bytes = 0
  child.stdout.on('data', (chunk: Buffer) => (bytes += chunk.length))
  await once(child, 'close')
  expect(child.exitCode).toBe(0)
  return bytes
}

async function readByCursor(port: number, rows: number): Promise<number> {
  const client = new pg.Client({ port, host: '127.0.0.1', database: 'postgres', ...AGENT })
  await client.connect()
  const stream = client.query(
    new QueryStream('select id, name, email, filler from person limit $1', [rows], {
      batchSize: 5_000,
      rowMode: 'array',
    }),
  )
  let count = 0
  for await (const _row of stream) count++
  await client.end()
  return count
}

describe.each(['plain', 'masked'] as const)('the memory of a gateway, %s', (mode) => {
  it('does not grow with the result', async () => {
    const gateway = await GatewayProcess.start(mode)
    try {
      await readByPsql(gateway.port, 'copy (select * from person limit 10000) to stdout')
      await readByPsql(gateway.port, 'select * from person limit 10000')
      expect(await readByCursor(gateway.port, 10_000)).toBe(10_000)
      const before = await gateway.residentBytes()
      const growth: number[] = []
      const bytes = await readByPsql(gateway.port, 'copy (select * from person) to stdout')
      expect(bytes).toBeGreaterThan(110 * MEBIBYTE)
      growth.push((await gateway.residentBytes()) - before)
      await readByPsql(gateway.port, 'select * from person limit 1000000')
      growth.push((await gateway.residentBytes()) - before)
      expect(await readByCursor(gateway.port, 1_000_000)).toBe(1_000_000)
      growth.push((await gateway.residentBytes()) - before)
      expect(Math.max(...growth)).toBeLessThan(MOST_GROWTH)
    } finally {
      await gateway.stop()
    }
  })
})
