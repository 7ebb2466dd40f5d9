import { describe, expect, it } from 'vitest'
import type { PolicyOutcome, SqlStatementFacts } from '../core/index.js'
import { createPolicy, packs } from './index.js'
import { call, contextOf, statement, table } from './facts.test-support.js'

const policy = createPolicy({ rules: [...packs.postgresBaseline, { id: 'all', effect: 'allow' }] })

function decide(each: SqlStatementFacts): PolicyOutcome | Promise<PolicyOutcome> {
  return policy.decide(contextOf(each))
}

describe('the PostgreSQL baseline', () => {
  it('allows nothing by itself', () => {
    const alone = createPolicy({ rules: packs.postgresBaseline })
    expect(alone.decide(contextOf(statement('select')))).toMatchObject({ effect: 'deny', reason: 'default' })
  })

  it('SQL-28 denies files, programs and SQL hidden in strings', () => {
    const copy = statement('copy', { class: 'admin', touchesFiles: true, touchesPrograms: true })
    expect(decide(copy)).toMatchObject({ effect: 'deny', ruleId: 'baseline/privileges' })
    expect(decide({ ...copy, class: 'write' })).toMatchObject({ effect: 'deny', ruleId: 'baseline/server-files' })
    const dblink = statement('select', { functions: [call('dblink', { hazards: ['network', 'dynamic-sql'] })] })
    expect(decide(dblink)).toMatchObject({ effect: 'deny', ruleId: 'baseline/hazardous-functions' })
    expect(decide(statement('do', { class: 'procedural', isDynamic: true }))).toMatchObject({
      effect: 'deny',
      ruleId: 'baseline/dynamic-sql',
    })
  })

  it('denies roles, grants, settings of the server and catalogues of secrets', () => {
    expect(decide(statement('grant'))).toMatchObject({ effect: 'deny' })
    expect(decide(statement('alter system', { class: 'admin' }))).toMatchObject({ effect: 'deny' })
    for (const name of ['pg_authid', 'pg_catalog.pg_shadow', 'pg_stats', 'pg_stats_ext_exprs']) {
      expect(decide(statement('select', { tables: [table(name)] }))).toMatchObject({
        effect: 'deny',
        ruleId: 'baseline/credential-catalogs',
      })
    }
  })

  it('leaves functions of unknown body to the rules that allow them', () => {
    const unknown = statement('select', { class: 'unknown', functions: [call('app_total')] })
    expect(decide(unknown)).toMatchObject({ effect: 'allow', ruleId: 'all' })
    const created = { ...unknown, verb: 'create table', tables: [table('copy', 'ddl')] }
    expect(decide(created)).toMatchObject({ effect: 'hold', ruleId: 'baseline/schema-changes' })
  })

  it('holds changes of schema and writes to whole tables', () => {
    expect(decide(statement('create table'))).toMatchObject({ effect: 'hold', ruleId: 'baseline/schema-changes' })
    expect(decide(statement('delete', { hasWhere: false }))).toMatchObject({ effect: 'hold' })
    expect(decide(statement('truncate', { tables: [table('orders', 'truncate')] }))).toMatchObject({ effect: 'hold' })
    expect(decide(statement('delete'))).toMatchObject({ effect: 'allow' })
  })
})
