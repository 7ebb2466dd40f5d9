import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Certificates, makeCertificates } from '../../../src/gateway/gateway.test-support.js'
import { startGateway, type TestGateway } from '../../support/gateway.js'
import { type PostgresServer, startPostgres } from '../../support/postgres.js'
import { libpqEnvironment, type ProgramResult, run } from '../../support/programs.js'

let server: PostgresServer
let certificates: Certificates
let plain: TestGateway
let encrypted: TestGateway
let folder: string

beforeAll(async () => {
  certificates = makeCertificates()
  folder = mkdtempSync(join(tmpdir(), 'sallyport-pgbench-'))
  server = await startPostgres({ ssl: { cert: certificates.cert, key: certificates.key } })
  plain = await startGateway({ server })
  encrypted = await startGateway({
    server,
    listenerTls: { key: certificates.key, cert: certificates.cert },
    targetTls: { mode: 'require' },
  })
})

afterAll(async () => {
  await Promise.all([plain?.stop(), encrypted?.stop()])
  await server?.stop()
  certificates?.remove()
  rmSync(folder, { recursive: true, force: true })
})

function pgbench(gateway: TestGateway, ...args: string[]): Promise<ProgramResult> {
  const more = { PGSSLMODE: gateway === encrypted ? 'require' : 'disable' }
  return run('pgbench', args, { env: libpqEnvironment({ port: gateway.port, more }) })
}

/** Every client did all its transactions. */
function expectAll(result: ProgramResult, count: number): void {
  expect(result.stderr).not.toMatch(/error|abort|failed/i)
  expect(result.code).toBe(0)
  expect(result.stdout).toContain(`number of transactions actually processed: ${count}/${count}`)
  expect(result.stdout).toMatch(/number of failed transactions: 0 /)
}

describe.each([
  ['in the clear', () => plain],
  ['inside TLS', () => encrypted],
])('pgbench, %s', (_name, gateway) => {
  it('makes its tables', async () => {
    const result = await pgbench(gateway(), '-i', '-s', '1', '-q')
    expect(result.code).toBe(0)
    expect(result.stderr).toContain('done in')
  })

  it.each(['simple', 'extended', 'prepared'])('runs 8 clients by the %s protocol', async (mode) => {
    expectAll(await pgbench(gateway(), '-n', '-M', mode, '-S', '-c', '8', '-t', '100'), 800)
    expectAll(await pgbench(gateway(), '-n', '-M', mode, '-c', '8', '-t', '25'), 200)
  })

  it.each(['extended', 'prepared'])('pipelines by the %s protocol', async (mode) => {
    const file = join(folder, 'pipeline.sql')
    const lines = ['\\set id random(1, 100000)', '\\startpipeline', 'begin;']
    for (let i = 0; i < 5; i++) {
      lines.push('select abalance from pgbench_accounts where aid = :id;')
      lines.push('update pgbench_accounts set abalance = abalance + 1 where aid = :id;')
    }
    lines.push('end;', '\\endpipeline')
    writeFileSync(file, `${lines.join('\n')}\n`)
    expectAll(await pgbench(gateway(), '-n', '-M', mode, '-f', file, '-c', '4', '-t', '25'), 100)
  })

  it('reconnects for every transaction', async () => {
    expectAll(await pgbench(gateway(), '-n', '-C', '-S', '-c', '2', '-t', '10'), 20)
  })
})
