import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import * as m from '../../../src/protocols/postgres/messages.js'
import { AGENT, startGateway, type TestGateway } from '../../support/gateway.js'
import { type PostgresServer, startPostgres } from '../../support/postgres.js'
import { bind, errorFields, execute, typesOf, Wire } from '../../support/wire.js'

let server: PostgresServer
let gateway: TestGateway

beforeAll(async () => {
  const columns = Array.from({ length: 400 }, (_, i) => `column_number_${i} int`).join(', ')
  server = await startPostgres({ sql: `create table wide (${columns})` })
  gateway = await startGateway({ server, protocol: { maxNamesBytes: 100_000, maxNames: 50 } })
})

afterAll(async () => {
  await gateway?.stop()
  await server?.stop()
})

/** How often `ask` was let pass before it was refused, of a hundred times. */
async function countPassed(wire: Wire, ask: (i: number) => Buffer[], isSimple = false): Promise<number> {
  for (let i = 0; i < 100; i++) {
    wire.send(...ask(i), ...(isSimple ? [] : [m.sync()]))
    const error = (await wire.until('Z')).find(({ type }) => type === 'E')
    if (error === undefined) continue
    expect(errorFields(error)).toMatchObject({ C: '54000' })
    return i
  }
  return 100
}

describe('what a client can make the gateway remember is bounded', () => {
  const login = (): Promise<Wire> => Wire.login({ port: gateway.port, ...AGENT, database: 'postgres' })
  const padding = 'x'.repeat(9_000)

  for (const [what, ask, isSimple, least, most] of [
    ['texts of statements', (i) => [m.parse(`s${i}`, `select 1 /* ${padding} */`)], false, 5, 12],
    ['statements by Parse', (i) => [m.parse(`s${i}`, 'select 1')], false, 50, 50],
    ['statements by PREPARE', (i) => [m.query(`prepare s${i} as select 1`)], true, 50, 50],
    ['cursors', (i) => [m.query(`declare c${i} cursor with hold for select 1`)], true, 50, 50],
    ['descriptions', (i) => [m.parse(`s${i}`, 'table wide'), m.describe('S', `s${i}`)], false, 3, 12],
  ] as const satisfies readonly (readonly [string, (i: number) => Buffer[], boolean, number, number])[]) {
    it(`${what}, and the session stays usable`, async () => {
      const wire = await login()
      const passed = await countPassed(wire, ask, isSimple)
      expect(passed).toBeGreaterThanOrEqual(least)
      expect(passed).toBeLessThanOrEqual(most)
      await wire.query('discard all')
      expect(await countPassed(wire, ask, isSimple)).toBe(passed)
      wire.send(m.parse('', 'select 1'), bind('', ''), execute(''), m.sync())
      expect(typesOf(await wire.until('Z'))).toBe('12DCZ')
      wire.close()
    })
  }

  it('and a pipeline of ten thousand messages and more gets all its answers', async () => {
    const wire = await login()
    const parts: Buffer[] = []
    for (let i = 0; i < 12_000; i++) parts.push(m.parse('', 'select 1'))
    wire.send(...parts, m.sync())
    expect(await wire.until('Z', 30_000)).toHaveLength(12_001)
    wire.send(...Array.from({ length: 3_000 }, () => [bind('', ''), m.sync()]).flat())
    for (let i = 0; i < 3_000; i++) await wire.until('Z')
    wire.close()
  })
})
