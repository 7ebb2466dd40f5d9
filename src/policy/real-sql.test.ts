import { describe, expect, it } from 'vitest'
import { createPostgresAnalyzer } from '../analysis/sql/postgres/index.js'
import { contextOf } from './facts.test-support.js'
import { createPolicy, packs } from './index.js'

const policy = createPolicy({
  rules: [
    ...packs.postgresBaseline,
    { id: 'read', effect: 'allow', match: { classes: ['read', 'transaction'], not: { tables: 'secrets' } } },
    {
      id: 'work',
      effect: 'allow',
      match: {
        verbs: ['select', 'insert', 'update', 'delete'],
        tables: { tables: ['orders', 'people'], access: ['read', 'write'] },
      },
    },
    { id: 'no-guessing', effect: 'deny', match: { columns: { columns: 'people.ssn', access: 'predicate' } } },
  ],
})

const expected: readonly [sql: string, effect: string, by: string | undefined][] = [
  ['select 1', 'allow', 'read'],
  ['', 'allow', 'read'],
  ['begin; select id from orders; commit', 'allow', 'read'],
  ['begin; select * from secrets; commit', 'deny', undefined],
  ['SQL-5 select * from only (secrets)', 'deny', undefined],
  ['SQL-6 table secrets', 'deny', undefined],
  ['SQL-2 select 1; drop table people', 'hold', 'baseline/schema-changes'],
  ['SQL-27 with gone as (delete from orders returning *) select * from gone', 'hold', 'baseline/whole-table-writes'],
  ['SQL-27 explain analyze delete from orders', 'hold', 'baseline/whole-table-writes'],
  ["SQL-28 copy orders from program 'id'", 'deny', 'baseline/privileges'],
  ["SQL-28 select pg_read_file('/etc/passwd')", 'deny', 'baseline/hazardous-functions'],
  ['SQL-28 do $$ begin end $$', 'deny', 'baseline/dynamic-sql'],
  ['MASK-11 select id from people where ssn = $1', 'deny', 'no-guessing'],
  ['MASK-12 insert into orders select * from secrets', 'deny', undefined],
  ['delete from orders where id = 1', 'allow', 'work'],
  ['insert into orders values (1) on conflict (id) do update set a = 2', 'allow', 'work'],
  ['select app_total()', 'deny', undefined],
  ['execute something', 'deny', undefined],
]

describe('the policy over what PostgreSQL statements really do', async () => {
  const analyzer = await createPostgresAnalyzer()
  it.each(expected)('%s', (name, effect, by) => {
    const sql = name.replace(/^[A-Z]+-\d+ /, '')
    const facts = analyzer.analyze(sql, { standardConformingStrings: true, clientEncoding: 'UTF8' })
    const outcome = policy.decide(contextOf(facts, { text: sql }))
    expect(outcome).toMatchObject({ effect })
    expect('ruleId' in outcome ? outcome.ruleId : undefined).toBe(by)
  })
})
