import fc from 'fast-check'
import { beforeAll, describe, expect, it } from 'vitest'
import type { SqlAnalyzer, SqlFacts } from '../../../core/index.js'
import { createPostgresAnalyzer } from './analyzer.js'
import { shapeKey } from './shape-key.js'

const STATE = { standardConformingStrings: true, clientEncoding: 'UTF8' }

describe('shapeKey', () => {
  it('is the same for texts that differ in plain literals', () => {
    expect(shapeKey('select a from t where b = 1')).toBe(shapeKey('select a from t where b = 234'))
    expect(shapeKey("select 'x' || 'it''s'")).toBe(shapeKey("select '' || 'other; drop table t --'"))
  })

  it('differs where anything else does', () => {
    const texts = [
      'select a',
      'select b',
      'select 1',
      "select '1'",
      'select 1, 2',
      'select 1 2',
      "select '1' '2'",
      "select '1'\n'2'",
    ]
    expect(new Set(texts.map(shapeKey)).size).toBe(texts.length)
  })

  it.each([
    "select E'\\''",
    "select 'a\\'",
    "select e'x'",
    "select U&'x'",
    "select n'x'",
    'select "a"',
    'select $1',
    'select $$x$$',
    'select 1 -- x',
    'select /* x */ 1',
    'select 1.5',
    'select .5',
    'select 1.',
    'select 1e5',
    'select 0x10',
    'select 1_000',
    'select 1a',
    "select 1'x'",
    "select 'open",
    'select \0 1',
    'select \v 1',
    'select é',
  ])('is not given for %j', (text) => {
    expect(shapeKey(text)).toBeUndefined()
  })

  it('keeps integers that the server may read as another type', () => {
    expect(shapeKey('select 12345678901')).toBe('select 12345678901')
  })
})

describe('facts by shape', () => {
  let shared: SqlAnalyzer
  beforeAll(async () => {
    shared = await createPostgresAnalyzer()
  })

  it('are one object for texts that differ in literals only', () => {
    expect(shared.analyze('select a from t where id = 1', STATE)).toBe(
      shared.analyze('select a from t where id = 2', STATE),
    )
    expect(shared.analyze("insert into t values ('a', 1)", STATE)).toBe(
      shared.analyze("insert into t values ('b', 2)", STATE),
    )
  })

  it('are the same as those of a fresh analysis, whichever literals came first', async () => {
    const pieces = fc.constantFrom(
      'select a from t where b = %',
      'delete from t where % = %',
      'update t set a = % where b = 1 or % = %',
      'delete from t where not % = %',
      'select a from t limit %',
      "select set_config('search_path', %, false)",
      'select * from t where a in (%, %)',
      'insert into t values (%, %)',
      'merge into t using s on % = % when matched then delete',
      'select pg_sleep(%)',
      'with d as (delete from t where % = % returning a) select * from d',
      'set search_path to %',
      'select a from t; delete from s where % < %',
      'select currval(%)',
      'explain analyze delete from t where %',
    )
    const literal = fc.constantFrom('0', '1', '2', "'t'", "'f'", "''", "'x'", '123456789')
    const without = await Promise.all(Array.from({ length: 1 }, () => createPostgresAnalyzer({ maxCachedBytes: 0 })))
    fc.assert(
      fc.property(pieces, fc.array(literal, { minLength: 3, maxLength: 3 }), (piece, literals) => {
        let next = 0
        const text = piece.replace(/%/g, () => literals[next++ % literals.length] as string)
        const strip = ({ shape: _shape, ...facts }: SqlFacts): object => facts
        expect(strip(shared.analyze(text, STATE))).toEqual(strip((without[0] as SqlAnalyzer).analyze(text, STATE)))
      }),
      { numRuns: 1_500 },
    )
  })
})
