import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { printableLines, printableText } from './printable.js'

describe('printableText', () => {
  it('leaves ordinary text of any script as it is', () => {
    const text = "SELECT 'grüße', '日本語', 'Ελλάδα' -- done\\"
    expect(printableText(text)).toBe(text)
  })

  it('TTY-2 shows escape sequences instead of obeying them', () => {
    expect(printableText('\x1b]52;c;ZXZpbA==\x07')).toBe('\\u{1b}]52;c;ZXZpbA==\\u{7}')
    expect(printableText('\u009b2J')).toBe('\\u{9b}2J')
    expect(printableText('\x1bP$q"p\x1b\\')).toBe('\\u{1b}P$q"p\\u{1b}\\')
  })

  it('APP-7 shows bidi controls, zero-width characters and look-alike spaces', () => {
    expect(printableText('a\u202eb\u2066c\u200bd\u2060e\ufefff\u00a0g\u3164h')).toBe(
      'a\\u{202e}b\\u{2066}c\\u{200b}d\\u{2060}e\\u{feff}f\\u{a0}g\\u{3164}h',
    )
    expect(printableText('\u{e0041}\ud800')).toBe('\\u{e0041}\\u{d800}')
  })

  it('keeps no character that a terminal would act on, whatever comes', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        for (const line of [printableText(text), ...printableLines(text)]) {
          expect(line).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u)
        }
      }),
    )
  })

  it('splits lines at newlines only', () => {
    expect(printableLines('a\r\nb\u2028c\td')).toEqual(['a\\u{d}', 'b\\u{2028}c d'])
  })
})
