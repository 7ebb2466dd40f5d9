import { describe, expect, it } from 'vitest'
import type { OutputColumn, Relation, ResultColumn, ResultMasker, SqlStatementFacts } from '../../core/index.js'
import { catalogTrustAfter, neededLookUps, type PlanRequest, ResultPlans } from './results.js'

const TEXT = 25

/** A RowDescription's body. */
function description(...columns: readonly (readonly [name: string, oid: number, number: number])[]): Buffer {
  const parts = [Buffer.from([0, columns.length])]
  for (const [name, oid, number] of columns) {
    const tail = Buffer.alloc(18)
    tail.writeUInt32BE(oid, 0)
    tail.writeInt16BE(number, 4)
    tail.writeUInt32BE(TEXT, 6)
    tail.writeInt16BE(-1, 10)
    tail.writeInt32BE(-1, 12)
    parts.push(Buffer.from(`${name}\0`), tail)
  }
  return Buffer.concat(parts)
}

function facts(...output: readonly OutputColumn[]): SqlStatementFacts {
  return {
    verb: 'select',
    class: 'read',
    certainty: 'exact',
    tables: [],
    columns: [],
    functions: [],
    output,
    hasWhere: true,
    touchesFiles: false,
    touchesPrograms: false,
    isDynamic: false,
    launders: [],
    effects: [],
  }
}

const made = (table: string, column: string): OutputColumn => ({ sources: [{ table, column }], isPlain: false })

class Onlooker implements ResultMasker {
  columns: readonly ResultColumn[] = []
  plans = 0
  readonly readsSources?: boolean
  constructor(readsSources?: boolean) {
    if (readsSources !== undefined) this.readsSources = readsSources
  }
  planRows(columns: readonly ResultColumn[]): undefined {
    this.columns = columns
    this.plans++
  }
  maskText(text: Uint8Array): Uint8Array {
    return text
  }
}

const source = (table: string, column: string, schema = 'public') => ({ schema, table, column })

const CUSTOMERS: Relation = { oid: 1, schema: 'public', name: 'customers', columns: [undefined, 'id', 'ssn'] }
const VIEW: Relation = {
  oid: 2,
  schema: 'public',
  name: 'v',
  columns: [undefined, 'code', 'half', 'free', 'odd'],
  derived: [
    undefined,
    { sources: [source('customers', 'ssn')], isPlain: true },
    { sources: [source('customers', 'ssn')], isPlain: false },
    { sources: [], isPlain: false },
    { sources: 'unknown', isPlain: false },
  ],
}
const OVER: Relation = {
  oid: 3,
  schema: 's',
  name: 'over',
  columns: [undefined, 'a', 'b'],
  derived: [
    undefined,
    { sources: [source('v', 'code')], isPlain: true },
    { sources: [source('v', 'half')], isPlain: true },
  ],
}
const PART: Relation = {
  oid: 4,
  schema: 'public',
  name: 'part',
  columns: [undefined, 'ssn'],
  relatives: [{ schema: 'public', name: 'whole' }],
}
const ALL = [CUSTOMERS, VIEW, OVER, PART]

function planned(
  request: Omit<PlanRequest, 'masker' | 'formats' | 'catalogTrust'> & { catalogTrust?: PlanRequest['catalogTrust'] },
  relations: readonly Relation[] = ALL,
): readonly ResultColumn[] {
  const masker = new Onlooker()
  new ResultPlans().make({ catalogTrust: 'all', ...request, masker, formats: [] }, relations, {
    epoch: 0,
    nowUnixMs: 0,
  })
  return masker.columns
}

const one = (column: readonly [string, number, number], relations?: readonly Relation[]): ResultColumn | undefined =>
  planned(
    { statement: facts({ name: column[0], sources: [], isPlain: true }), description: description(column) },
    relations,
  )[0]

describe('columns of a result', () => {
  it('are what the catalogue says they are', () => {
    expect(one(['x', 1, 2])).toMatchObject({ origin: source('customers', 'ssn') })
    expect(one(['x', 1, 2])).not.toHaveProperty('origins')
  })

  it("MASK-10 are the view's and the table's where a view passes them on", () => {
    expect(one(['x', 2, 1])).toMatchObject({
      origin: source('v', 'code'),
      origins: [source('v', 'code'), source('customers', 'ssn')],
    })
    expect(one(['x', 3, 1])).toMatchObject({
      origin: source('over', 'a', 's'),
      origins: [source('over', 'a', 's'), source('v', 'code'), source('customers', 'ssn')],
    })
  })

  it('MASK-10 come from the table where a view makes something of them', () => {
    for (const column of [
      ['x', 2, 2],
      ['x', 3, 2],
    ] as const) {
      const result = one(column)
      expect(result).not.toHaveProperty('origin')
      expect(result?.sources).toEqual([source('customers', 'ssn')])
    }
    expect(one(['x', 2, 3])).toMatchObject({ origin: source('v', 'free'), origins: [source('v', 'free')] })
  })

  it('come from anywhere where a definition cannot be told', () => {
    expect(one(['x', 2, 4])).toMatchObject({ origins: [source('v', 'odd')], sources: 'unknown' })
    expect(one(['x', 2, 1], [{ ...VIEW, derived: 'unknown' }])).toMatchObject({ sources: 'unknown' })
    // The table, or the column, was renamed between two looks.
    expect(one(['x', 2, 1], [VIEW])).toMatchObject({ sources: 'unknown' })
    expect(one(['x', 3, 1], [OVER, CUSTOMERS, { ...VIEW, columns: [undefined, 'other'] }])).toMatchObject({
      sources: 'unknown',
    })
    expect(one(['x', 2, 9])).toMatchObject({ sources: 'unknown' })
  })

  it('are those of the tables that share rows with theirs', () => {
    expect(one(['x', 4, 1])).toMatchObject({
      origin: source('part', 'ssn'),
      origins: [source('part', 'ssn'), source('whole', 'ssn')],
    })
    // Too many to name: a table of any name may be one.
    expect(one(['x', 4, 1], [{ ...PART, relatives: 'unknown' }])).toMatchObject({ sources: [{ column: 'ssn' }] })
  })

  it("MASK-10 of whole rows are all of the view's", () => {
    expect(one(['v', 3, 0])?.sources).toContainEqual(source('customers', 'ssn'))
    expect(one(['v', 2, 0])?.sources).toBe('unknown')
  })

  it("MASK-10 made from a view's are made from the table's, whatever schema the view may be of", () => {
    const [first, second, third] = planned({
      statement: facts(made('over', 'a'), made('nothing', 'a'), made('over', '*')),
      description: description(['a', 0, 0], ['b', 0, 0], ['c', 0, 0]),
    })
    expect(first?.sources).toContainEqual(source('customers', 'ssn'))
    expect(second?.sources).toEqual([{ table: 'nothing', column: 'a' }])
    expect(third?.sources).toContainEqual(source('customers', 'ssn'))
    const other = planned({
      statement: facts({ sources: [source('over', 'a', 'elsewhere')], isPlain: false }),
      description: description(['a', 0, 0]),
    })
    expect(other[0]?.sources).toEqual([source('over', 'a', 'elsewhere')])
  })
})

describe('what a transaction has changed', () => {
  const statement = facts(made('customers', 'id'), { sources: [], isPlain: false }, made('over', 'a'))
  const body = description(['x', 0, 0], ['one', 0, 0], ['y', 0, 0], ['z', 1, 2], ['w', 2, 1], ['u', 9, 1])

  it('definitions: only plain columns of tables are believed', () => {
    const wide = {
      ...statement,
      output: [...(statement.output as OutputColumn[]), ...[1, 2, 3].map(() => made('t', 'c'))],
    }
    const columns = planned({ statement: wide, description: body, catalogTrust: 'tables' })
    expect(columns.map((column) => column.sources === 'unknown')).toEqual([true, false, true, false, true, true])
    expect(columns[3]).toMatchObject({ origin: source('customers', 'ssn') })
    expect(columns[4]).not.toHaveProperty('origin')
  })

  it('code that may have made relations: those not known may be any', () => {
    const columns = planned({
      statement,
      description: description(['x', 0, 0], ['y', 9, 1], ['z', 0, 0]),
      catalogTrust: 'known',
    })
    expect(columns[0]?.sources).not.toBe('unknown')
    expect(columns[1]?.sources).toBe('unknown')
  })

  it('is told by class and verb', () => {
    const after = (verb: string, kind: SqlStatementFacts['class'], before: PlanRequest['catalogTrust'] = 'all') =>
      catalogTrustAfter({ ...statement, verb, class: kind }, before)
    expect(after('select', 'read')).toBe('all')
    expect(after('select', 'read', 'known')).toBe('known')
    expect(after('select', 'unknown')).toBe('known')
    expect(after('select', 'unknown', 'tables')).toBe('tables')
    for (const verb of ['create table', 'create table as', 'create index', 'drop table', 'drop view', 'comment']) {
      expect(after(verb, 'ddl')).toBe('all')
    }
    for (const verb of [
      'create view',
      'create materialized view',
      'create rule',
      'create schema',
      'alter table',
      'alter view',
    ]) {
      expect(after(verb, 'ddl')).toBe('tables')
    }
    expect(after('do', 'procedural')).toBe('tables')
  })

  it('is no plan for anybody else', () => {
    const plans = new ResultPlans()
    const masker = new Onlooker()
    const request: PlanRequest = { statement, description: body, formats: [], masker, catalogTrust: 'all' }
    plans.make({ ...request, catalogTrust: 'tables' }, ALL, { epoch: plans.epoch, nowUnixMs: 0 })
    expect(plans.find(request, 0)).toBe('unknown')
    plans.make(request, ALL, { epoch: plans.epoch, nowUnixMs: 0 })
    expect(plans.find(request, 0)).toBeUndefined()
    expect(plans.find({ ...request, catalogTrust: 'known' }, 0)).toBe('unknown')
    // What was asked for before a change is not believed after it.
    const { epoch } = plans
    plans.forget()
    plans.make(request, ALL, { epoch, nowUnixMs: 0 })
    expect(plans.find(request, 0)).toBe('unknown')
  })
})

describe('look-ups', () => {
  const request = (changes: Partial<PlanRequest>): PlanRequest => ({
    statement: facts(made('v', 'a'), { sources: [source('t', 'a', 's')], isPlain: true }),
    description: description(['a', 0, 0], ['b', 0, 0]),
    formats: [],
    masker: new Onlooker(),
    catalogTrust: 'all',
    ...changes,
  })

  it('ask for names only where the server names no table', () => {
    expect(neededLookUps(request({}))).toEqual({ oids: [], names: [{ name: 'v' }, { schema: 's', name: 't' }] })
    expect(neededLookUps(request({ description: description(['a', 1, 1], ['b', 2, 1]) }))).toEqual({
      oids: [1, 2],
      names: [],
    })
    expect(neededLookUps(request({ description: description(['a', 1, 1], ['b', 0, 0]) }))).toEqual({
      oids: [1],
      names: [{ schema: 's', name: 't' }],
    })
  })

  it('do not ask for names that no mask depends on', () => {
    expect(neededLookUps(request({ masker: new Onlooker(false) })).names).toEqual([])
    expect(neededLookUps(request({ catalogTrust: 'tables' })).names).toEqual([])
    expect(neededLookUps(request({ statement: undefined })).names).toEqual([])
    const constants = facts({ sources: [], isPlain: false }, { sources: 'unknown', isPlain: false })
    expect(neededLookUps(request({ statement: constants })).names).toEqual([])
  })
})
