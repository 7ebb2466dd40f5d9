import { describe, expect, it } from 'vitest'
import { GenerationCache } from './generation-cache.js'

describe('GenerationCache', () => {
  it('never holds more entries than its limit, and keeps those in use', () => {
    const cache = new GenerationCache<number>({ maxEntries: 100, maxBytes: 1e9 }, () => 1)
    cache.set('hot', 1)
    for (let index = 0; index < 10_000; index++) {
      cache.set(`cold ${index}`, index)
      expect(cache.get('hot')).toBe(1)
      expect(cache.size).toBeLessThanOrEqual(101)
    }
    expect(cache.get('cold 1')).toBeUndefined()
  })

  it('never holds more bytes than its limit', () => {
    const cache = new GenerationCache<string>({ maxEntries: 1e6, maxBytes: 1000 }, (text) => text.length)
    cache.set('x'.repeat(501), 'too large')
    expect(cache.size).toBe(0)
    for (let index = 0; index < 100; index++) cache.set(`${index}`.padEnd(100), 'fits')
    expect(cache.size).toBeLessThanOrEqual(10)
  })
})
