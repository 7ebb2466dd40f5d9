import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { createPostgresAnalyzer } from '../../src/analysis/sql/postgres/index.js'
import { Secret, type PolicyOutcome, type SqlAnalyzer, type SqlSessionState } from '../../src/core/index.js'
import { createEnforcer, type Enforcer } from '../../src/enforcement/index.js'
import { createMasking } from '../../src/masking/index.js'
import { loadPolicy } from '../../src/policy/index.js'

const state: SqlSessionState = { standardConformingStrings: true, clientEncoding: 'UTF8' }
let analyzer: SqlAnalyzer
let enforcer: Enforcer

beforeAll(async () => {
  analyzer = await createPostgresAnalyzer()
  enforcer = createEnforcer({
    policy: loadPolicy(readFileSync(join(import.meta.dirname, 'policy.yaml'), 'utf8')),
    analyzers: { postgres: analyzer },
    masking: createMasking({ key: new Secret(new Uint8Array(32)) }),
    clock: { nowUnixMs: () => 0 },
    schedule: () => () => {},
    randomBytes,
  })
})

async function judged(text: string): Promise<PolicyOutcome> {
  const { outcome } = await enforcer.explain(
    {
      id: 1,
      protocol: 'postgres',
      kind: 'sql',
      dialect: 'postgres',
      phase: 'execute',
      via: 'Query',
      text,
      parameters: [],
      facts: analyzer.analyze(text, state),
      state,
      transaction: 'idle',
      transactionSerial: 0,
    },
    { id: 'demo-agent', type: 'agent', groups: ['agents'] },
    { name: 'shop', protocol: 'postgres' },
  )
  return outcome
}

describe("the demo's policy", () => {
  it.each([
    ['select name, ssn from customers', 'demo/read-shop'],
    ['select count(*) from orders o join customers c on c.id = o.customer_id', 'demo/read-shop'],
    ['select relname from pg_catalog.pg_class', 'demo/read-catalogue'],
    ['select 1', 'demo/no-table'],
    ['begin', 'demo/no-table'],
    ["insert into orders (customer_id, item, total) values (1, 'tape', 2)", 'demo/place-orders'],
  ])('allows `%s`', async (text, ruleId) => {
    expect(await judged(text)).toMatchObject({ effect: 'allow', ruleId })
  })

  it.each([
    ["update orders set status = 'paid' where id = 1", 'demo/changes-wait'],
    ['delete from orders where id = 1', 'demo/changes-wait'],
    ['truncate orders', 'demo/changes-wait'],
    ['create table t (a int)', 'demo/schema-changes-wait'],
    ['drop table customers', 'demo/schema-changes-wait'],
  ])('holds `%s`', async (text, ruleId) => {
    expect(await judged(text)).toMatchObject({ effect: 'hold', ruleId })
  })

  it.each([
    ['delete from orders'],
    ['select * from something_else'],
    ['select * from customers, something_else'],
    ["select pg_read_file('/etc/passwd')"],
    ["copy customers to '/tmp/x'"],
    ["copy customers to program 'cat'"],
    ['select pg_sleep(100)'],
    ["select set_config('role', 'postgres', false)"],
    ["select query_to_xml('select 1', true, true, '')"],
    ["select name from customers where ssn like '2%'"],
    ['select name from employees order by salary'],
    ['insert into orders (customer_id, item, total) select id, ssn, 1 from customers'],
    ['select rolpassword from pg_catalog.pg_authid'],
    ['select most_common_vals from pg_stats'],
    ['grant all on orders to public'],
    ['set role postgres'],
    ['do $$ begin end $$'],
    ['nonsense'],
  ])('denies `%s`', async (text) => {
    expect((await judged(text)).effect).toBe('deny')
  })

  it('masks personal data wherever it is read', async () => {
    const { masks } = await judged('select * from customers')
    expect(masks.columns.map((mask) => mask.column)).toContain('ssn')
    expect(masks.detectors.map((mask) => mask.detector)).toContain('email')
  })
})
