import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { segmentName } from './segment-name.js'

const SAFE = /^session-[A-Za-z0-9_~-]{0,120}\.\d{6}\.jsonl$/

describe('segmentName', () => {
  it('leaves ordinary ids readable', () => {
    expect(segmentName('0190-ab_C', 12)).toBe('session-0190-ab_C.000012.jsonl')
  })

  it('REC-6 leaves no way out of the directory', () => {
    for (const id of [
      '../../etc/passwd',
      '/etc/passwd',
      '..',
      '.',
      '',
      'a/b',
      'a\\b',
      'a\0b',
      'C:\\x',
      '~root',
      'a\nb',
      '%2e%2e',
    ]) {
      expect(segmentName(id, 1)).toMatch(SAFE)
    }
  })

  it('REC-6 gives no two ids one name', () => {
    const id = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.stringMatching(/^[a-z0-9~./]{0,6}$/),
      fc.string({ minLength: 100, maxLength: 200 }),
    )
    fc.assert(
      fc.property(id, id, (left, right) => {
        expect(segmentName(left, 1)).toMatch(SAFE)
        expect(segmentName(left, 1) === segmentName(right, 1)).toBe(left === right)
      }),
      { numRuns: 2_000 },
    )
    expect(segmentName('~000a', 1)).not.toBe(segmentName('\n', 1))
    expect(segmentName('a'.repeat(200), 1)).not.toBe(segmentName(`${'a'.repeat(199)}b`, 1))
  })
})
