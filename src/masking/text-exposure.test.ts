import { describe, expect, it } from 'vitest'
import { combineStatementFacts, type SqlStatementFacts, unparsedFacts } from '../core/index.js'
import { compileSpec } from './match-columns.js'
import { textExposure } from './text-exposure.js'

const SPECS = [compileSpec({ table: 'secret', column: 'ssn', strategy: { kind: 'redact' } })]

const statement = (parts: Partial<SqlStatementFacts>): SqlStatementFacts => ({
  verb: 'select',
  class: 'read',
  certainty: 'exact',
  tables: [],
  columns: [],
  functions: [],
  output: undefined,
  hasWhere: true,
  touchesFiles: false,
  touchesPrograms: false,
  isDynamic: false,
  launders: [],
  effects: [],
  ...parts,
})

const exposed = (parts: Partial<SqlStatementFacts>): string =>
  textExposure(combineStatementFacts([statement({}), statement(parts)], ''), SPECS)

describe('what messages may quote of masked columns', () => {
  it('MASK-3 is everything where such a column is read or asked about', () => {
    expect(exposed({ columns: [{ table: 'secret', column: 'ssn', mode: 'read' }] })).toBe('all')
    expect(exposed({ columns: [{ table: 'secret', column: '*', mode: 'predicate' }] })).toBe('all')
    expect(exposed({ columns: [{ column: 'ssn', mode: 'read' }] })).toBe('all')
  })

  it('MASK-3 is everything where code runs that nobody has seen', () => {
    expect(exposed({ functions: [{ name: 'f', volatility: 'unknown', hazards: [] }] })).toBe('all')
    expect(exposed({ isDynamic: true })).toBe('all')
    expect(textExposure(unparsedFacts('no'), SPECS)).toBe('all')
  })

  it('MASK-3 is the row in the detail where its table is written', () => {
    expect(exposed({ tables: [{ table: 'secret', modes: ['update'] }] })).toBe('detail')
    expect(exposed({ columns: [{ table: 'secret', column: 'ssn', mode: 'write' }] })).toBe('detail')
    expect(exposed({ transaction: 'commit' })).toBe('detail')
  })

  it('is nothing elsewhere, and where no column is masked', () => {
    expect(exposed({ columns: [{ table: 'item', column: 'ssn', mode: 'read' }] })).toBe('none')
    expect(exposed({ columns: [{ table: 'secret', column: 'name', mode: 'read' }] })).toBe('none')
    expect(exposed({ tables: [{ table: 'secret', modes: ['read'] }] })).toBe('none')
    expect(textExposure(unparsedFacts('no'), [])).toBe('none')
  })
})
