import { describe, expect, it } from 'vitest'
import { createPolicy, loadRe2, re2jsEngine } from './index.js'
import { contextOf, statement } from './facts.test-support.js'

describe('the two engines', () => {
  const texts = [
    '',
    'select 1',
    'DROP\n TABLE x',
    '\u017felect',
    'a\u212ab',
    'b\nc',
    'x'.repeat(1000),
    '\ud800',
    '\u{1f600}',
  ]
  const patterns = ['drop\\s+table', '^select', 's', 'k', '\\Ab\\nc\\z', '[^a-z]', '.', '\\bx+$', '(?s)b.c', '\\p{L}']

  it('agree', async () => {
    const re2 = await loadRe2()
    for (const caseSensitive of [true, false]) {
      for (const pattern of patterns) {
        const [one, two] = [re2jsEngine, re2].map((engine) => engine.compile(pattern, { caseSensitive }))
        for (const text of texts) expect([pattern, text, one?.test(text)]).toEqual([pattern, text, two?.test(text)])
      }
    }
  })

  it('refuse the same', async () => {
    const re2 = await loadRe2()
    for (const pattern of ['(', '(?=a)', '(a)\\1', 'a{1001}', '[z-a]']) {
      for (const engine of [re2jsEngine, re2])
        expect(() => engine.compile(pattern, { caseSensitive: true })).toThrow(/./)
    }
  })

  it('can be chosen', async () => {
    const policy = createPolicy({
      rules: [{ id: 'a', effect: 'allow', match: { text: 'select.*' } }],
      regexEngine: await loadRe2(),
    })
    expect(policy.decide(contextOf(statement('select'), { text: 'SELECT 1' }))).toMatchObject({ effect: 'allow' })
  })
})
