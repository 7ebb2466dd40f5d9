import { describe, expect, it } from 'vitest'
import { combineStatementFacts, type Relation, type SqlFacts, type SqlStatementFacts } from '../../core/index.js'
import { factsBehind, namedRelations } from './facts-behind.js'

const TABLE: Relation = {
  oid: 1,
  schema: 'public',
  name: 'customers',
  columns: [],
  relatives: [{ schema: 'public', name: 'people' }],
}
const VIEW: Relation = {
  oid: 2,
  schema: 'public',
  name: 'v',
  columns: [undefined, 'code'],
  derived: [undefined, { sources: [{ schema: 'public', table: 'customers', column: 'name' }], isPlain: true }],
  reads: {
    tables: [{ schema: 'public', name: 'customers' }],
    predicates: [{ schema: 'public', table: 'customers', column: 'ssn' }],
  },
}

function facts(changes: Partial<SqlStatementFacts>): SqlFacts {
  const statement: SqlStatementFacts = {
    verb: 'select',
    class: 'read',
    certainty: 'exact',
    tables: [{ table: 'v', modes: ['update'] }],
    columns: [{ table: 'v', column: 'code', mode: 'read' }],
    functions: [],
    output: [],
    hasWhere: true,
    touchesFiles: false,
    touchesPrograms: false,
    isDynamic: false,
    launders: [],
    effects: [],
    ...changes,
  }
  return combineStatementFacts([statement], '')
}

describe('what a command reads and writes behind the names it uses', () => {
  it('MASK-4 is what views pass on, what they choose rows by, and the tables that share rows', () => {
    const behind = factsBehind(facts({}), [VIEW, TABLE])
    if (behind === 'unknown') throw new Error('expected facts')
    expect(behind.columns).toEqual(
      expect.arrayContaining([
        { table: 'v', column: 'code', mode: 'read' },
        { schema: 'public', table: 'customers', column: 'name', mode: 'read' },
        { schema: 'public', table: 'people', column: 'name', mode: 'read' },
        { schema: 'public', table: 'customers', column: 'ssn', mode: 'predicate' },
      ]),
    )
    expect(behind.tables).toEqual(
      expect.arrayContaining([
        { schema: 'public', table: 'customers', modes: ['update'] },
        { schema: 'public', table: 'people', modes: ['update'] },
      ]),
    )
  })

  it('cannot be told where a view cannot', () => {
    expect(factsBehind(facts({}), [VIEW])).toBe('unknown')
    expect(factsBehind(facts({ columns: [] }), [{ ...VIEW, derived: 'unknown' }, TABLE])).toBe('unknown')
    expect(factsBehind(facts({ columns: [] }), [VIEW, { ...TABLE, relatives: 'unknown' }])).toBe('unknown')
  })

  it('is what the text says where nothing is known of a name', () => {
    expect(factsBehind(facts({}), [])).toMatchObject({ tables: [{ table: 'v' }], columns: [{ table: 'v' }] })
  })

  it('asks for tables whose rows are used, not for those that are only defined', () => {
    const tables = [
      { table: 'made', modes: ['ddl'] },
      { schema: 's', table: 'read', modes: ['ddl', 'read'] },
    ] as const
    expect(namedRelations(facts({ tables }))).toEqual([{ schema: 's', name: 'read' }])
  })
})
