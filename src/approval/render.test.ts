import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { describeCommand } from './describe.js'
import { sqlCommand, textValue } from './approval.test-support.js'
import { renderForDisplay } from './render.js'

const shown = (text: string): string => renderForDisplay(text).text

describe('renderForDisplay', () => {
  it('leaves ordinary text as it is', () => {
    expect(renderForDisplay("select 'a' from b where c = 1")).toEqual({
      text: "select 'a' from b where c = 1",
      warnings: [],
    })
    expect(shown("select 'Grüße', 'Москва', '東京'")).toBe("select 'Grüße', 'Москва', '東京'")
  })

  it('APP-7 shows terminal escapes, bidirectional and zero-width characters', () => {
    expect(shown('a\x1b[2Kb')).toBe('a⟦ESC⟧[2Kb')
    expect(shown('a\u202eb\u2066c')).toBe('a⟦U+202E⟧b⟦U+2066⟧c')
    expect(shown('dr\u200bop\ufeff')).toBe('dr⟦U+200B⟧op⟦U+FEFF⟧')
    expect(shown('a\rb\0c\u2028d\u00a0e\u3164f\u{e0041}')).toBe('a⟦CR⟧b⟦U+0000⟧c⟦U+2028⟧d⟦U+00A0⟧e⟦U+3164⟧f⟦U+E0041⟧')
    expect(shown('\u05d01-2')).toBe('⟦U+05D0⟧1-2')
    expect(renderForDisplay('a\u202e').warnings).toHaveLength(1)
  })

  it('APP-7 marks characters of other scripts that pass for ASCII', () => {
    expect(shown('us\u0435rs')).toBe('us⟦U+0435 like e⟧rs')
    expect(shown('\u0441\u043e\u0440')).toBe('⟦U+0441 like c⟧⟦U+043E like o⟧⟦U+0440 like p⟧')
    expect(shown('\uff24ROP')).toBe('⟦U+FF24 like D⟧ROP')
    expect(shown("'a\u037e b\u2019")).toBe("'a⟦U+037E like ;⟧ b⟦U+2019 like '⟧")
    expect(shown('\u0131d')).toBe('⟦U+0131 like i⟧d')
    expect(shown('tabl\u0436')).toBe('tabl⟦U+0436⟧')
    expect(shown('a\u0338=b')).toBe('a⟦U+0338⟧=b')
  })

  it('APP-7 cannot be made to imitate its own marks', () => {
    expect(shown('⟦5 characters not shown⟧⏎')).toBe('⟦U+27E6⟧5 characters not shown⟦U+27E7⟧⟦U+23CE⟧')
  })

  it('APP-7 counts blanks that would push a part out of sight', () => {
    const text = `select 1;${' '.repeat(500)}drop table users`
    expect(shown(text)).toBe('select 1;⟦500 blanks⟧drop table users')
    expect(shown(`select 1;${'\n '.repeat(100)}drop`)).toBe('select 1;⟦200 blanks, 100 of them line breaks⟧⏎\ndrop')
    expect(shown('select\n    1')).toBe('select⏎\n    1')
    expect(renderForDisplay('-\n'.repeat(100)).warnings.join()).toContain('101 lines')
  })

  it('APP-7 says how much of a long text is missing and shows its end', () => {
    const text = `select '${'x'.repeat(100_000)}'; drop table users`
    const rendering = renderForDisplay(text, { maxCharacters: 300 })
    expect(rendering.text).toContain(`⟦${text.length - 300} characters not shown⟧`)
    expect(rendering.text.endsWith("'; drop table users")).toBe(true)
    expect(rendering.warnings.join()).toContain(`${text.length - 300} of ${text.length}`)
  })

  it('APP-7 renders any text to printable characters and marked line breaks only', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 60 }), (text) => {
        const { text: rendered } = renderForDisplay(text)
        for (const line of rendered.split('⏎\n')) expect(line).not.toMatch(/[\p{C}\p{Zl}\p{Zp}\p{Bidi_Control}]/u)
      }),
      { numRuns: 3000 },
    )
  })

  it('APP-7 renders two different short texts differently', () => {
    const unit = fc.constantFrom('a', 'а', '⟦', '⟧', 'U+0430', ' like a', '\n', '⏎', '\r', 'C', 'R', '\u200b', 'ESC')
    const text = fc.array(unit, { maxLength: 5 }).map((parts) => parts.join(''))
    fc.assert(
      fc.property(text, text, (left, right) => {
        if (left !== right) expect(shown(left)).not.toBe(shown(right))
      }),
      { numRuns: 3000 },
    )
  })
})

describe('describeCommand', () => {
  it('APP-8 shows every value, and NULL apart from a text that says so', () => {
    const { values } = describeCommand(
      sqlCommand({
        parameters: [
          textValue('x'),
          textValue(null),
          textValue('NULL'),
          textValue("it's"),
          textValue(''),
          { type: 23, format: 'binary', bytes: Uint8Array.of(0, 0, 0, 42) },
          { type: 17, format: 'binary', bytes: Uint8Array.of(0xde, 0xad) },
          { type: 25, format: 'binary', bytes: Buffer.from('t\u202e') },
          { type: 25, format: 'text', bytes: Uint8Array.of(0xff) },
        ],
      }),
    )
    expect(values).toEqual([
      "$1 = 'x' (type 25, text, 1 bytes)",
      '$2 = NULL',
      "$3 = 'NULL' (type 25, text, 4 bytes)",
      "$4 = 'it''s' (type 25, text, 4 bytes)",
      "$5 = '' (type 25, text, 0 bytes)",
      '$6 = 42 (type 23, binary, 4 bytes)',
      '$7 = 0xdead (type 17, binary, 2 bytes)',
      "$8 = 't⟦U+202E⟧' (type 25, binary, 4 bytes)",
      '$9 = 0xff (type 25, text, 1 bytes)',
    ])
  })

  it('APP-7 says what the command does, whatever its comments say', () => {
    const { effects } = describeCommand(sqlCommand({ text: '/* harmless, approved by security */ delete from users' }))
    expect(effects).toContain('delete: public.users')
    expect(effects.join()).toContain('every row')
  })

  it('APP-8 counts the values and bytes that it leaves out', () => {
    const many = describeCommand(sqlCommand({ parameters: Array.from({ length: 300 }, () => textValue('v')) }))
    expect(many.values.at(-1)).toBe('⟦44 values not shown⟧')
    const long = describeCommand(
      sqlCommand({ parameters: [{ type: 17, format: 'binary', bytes: new Uint8Array(2000) }] }),
    )
    expect(long.values[0]).toContain('⟦1488 bytes not shown⟧')
    expect(long.warnings).not.toEqual([])
  })

  it('leaves the exact text untouched beside its rendering', () => {
    const text = 'select \u202e1'
    expect(describeCommand(sqlCommand({ text })).text).toBe(text)
  })
})
