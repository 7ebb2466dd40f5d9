import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createTextCompiler } from './compile-match.js'
import { re2jsEngine } from './regex-engine.js'

describe('patterns of a policy', () => {
  it('answer together what each answers alone', () => {
    const pattern = fc.constantFrom(
      'drop',
      '^select',
      'a+b',
      '(?i)X',
      'x$',
      'sel.ct',
      '\\bt\\b',
      '(?m)^b',
      '',
      '[[:digit:]]{2}',
      '(?P<n>c)',
    )
    const text = fc.stringMatching(/^[a-dxXtsel0-9 \n]{0,20}$/)
    fc.assert(
      fc.property(
        fc.array(fc.record({ pattern, caseSensitive: fc.boolean(), isWhole: fc.boolean() }), {
          minLength: 1,
          maxLength: 6,
        }),
        fc.array(text, { minLength: 1, maxLength: 4 }),
        (asked, texts) => {
          const together = createTextCompiler(re2jsEngine)
          const compiled = asked.map(({ pattern: source, ...options }) => together.compile(source, options))
          for (const each of texts) {
            const alone = asked.map(({ pattern: source, ...options }) =>
              createTextCompiler(re2jsEngine).compile(source, options).test(each),
            )
            expect(compiled.map((regex) => regex.test(each))).toEqual(alone)
          }
        },
      ),
      { numRuns: 400 },
    )
  })
})
