import { describe, expect, it } from 'vitest'
import { outputSources } from './output-sources.js'
import type { OutputColumn } from './sql-facts.js'

const column = (name: string): OutputColumn => ({ name, sources: [{ table: 't', column: name }], isPlain: true })
const star = (table: string, isPlain = true): OutputColumn => ({
  sources: [{ table, column: '*' }],
  isPlain,
  isStar: true,
})

describe('outputSources', () => {
  it('goes by position where there is no star', () => {
    expect(outputSources([column('a'), column('b')], 1, 2, 'x')).toEqual([{ table: 't', column: 'b' }])
  })

  it('knows nothing of a result of another width', () => {
    expect(outputSources([column('a')], 0, 2, 'a')).toBe('unknown')
    expect(outputSources([column('a'), star('u'), column('b')], 0, 1, 'a')).toBe('unknown')
    expect(outputSources(undefined, 0, 1, 'a')).toBe('unknown')
    expect(outputSources('unknown', 0, 1, 'a')).toBe('unknown')
  })

  it('gives one star the columns that are left over', () => {
    const output = [column('a'), star('u'), column('b')]
    expect(outputSources(output, 0, 4, 'a')).toEqual([{ table: 't', column: 'a' }])
    expect(outputSources(output, 2, 4, 'ssn')).toEqual([{ table: 'u', column: 'ssn' }])
    expect(outputSources(output, 3, 4, 'whatever')).toEqual([{ table: 't', column: 'b' }])
  })

  it('unites what may stand between two stars', () => {
    const output = [star('u'), column('b'), star('v', false), column('c')]
    expect(outputSources(output, 1, 5, 'ssn')).toEqual([
      { table: 'u', column: 'ssn' },
      { table: 'v', column: '*' },
    ])
    expect(outputSources(output, 1, 5, 'b')).toEqual([
      { table: 'u', column: 'b' },
      { table: 't', column: 'b' },
      { table: 'v', column: '*' },
    ])
    expect(outputSources(output, 4, 5, 'x')).toEqual([{ table: 't', column: 'c' }])
  })
})
