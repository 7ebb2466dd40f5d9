import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createCommandHints } from './index.js'
import { KeyReader } from './key-reader.js'
import { OutputLine } from './output-line.js'

function keysOf(chunks: readonly Uint8Array[]): string[] {
  const reader = new KeyReader()
  const keys: string[] = []
  for (const chunk of chunks) {
    for (let at = 0; at < chunk.length; at = reader.keyEnd) {
      const key = reader.next(chunk, at, chunk.length)
      if (key !== undefined) keys.push(key === 'text' ? `text ${reader.text}` : key)
    }
  }
  return keys
}

describe('key reader', () => {
  it('reads garbage to its end, the same in pieces as in one, and no text that controls anything', () => {
    const byte = fc.oneof(fc.constantFrom(...Buffer.from('\x1b\x1b[]PO~;0123\r\n\x03\x07漢é', 'utf8')), fc.nat(255))
    fc.assert(
      fc.property(fc.array(byte, { maxLength: 60 }), fc.nat(60), (list, cut) => {
        const bytes = Buffer.from(list)
        const whole = keysOf([bytes])
        expect(keysOf([bytes.subarray(0, cut), bytes.subarray(cut)])).toEqual(whole)
        for (const key of whole) expect(key).not.toMatch(/[\p{Cc}\u2028\u2029]/u)
      }),
      { numRuns: 3_000 },
    )
  })
  it('finds Ctrl-C in whatever it stands', () => {
    for (const before of ['', '\x1b', '\x1b[', '\x1b[1;', '\x1b]0;x', '\x1bPx', 'a', '\x1b[200~'])
      expect(keysOf([Buffer.from(`${before}\x03`)]).at(-1), JSON.stringify(before)).toBe('interrupt')
    expect(keysOf([Buffer.from([0xe2, 0x82, 0x03])]).at(-1)).toBe('interrupt')
  })
})

describe('output line', () => {
  const after = (...chunks: string[]) => {
    const line = new OutputLine(20)
    for (const chunk of chunks) {
      const bytes = Buffer.from(chunk)
      for (let at = 0; at < bytes.length; ) at += line.push(bytes.subarray(at), () => false)
    }
    return line
  }
  it.each([
    ['a prompt', 'x\r\n$ ', '$ ', 2],
    ['colours', 'x\r\n\x1b[1;32mada\x1b[0m:~$ ', 'ada:~$ ', 7],
    ['a title', '\x1b]0;ada@web\x07$ ', '$ ', 2],
    ['wide characters', '漢字 ', '漢 字  ', 5],
    ['a line written again', '50%\r100%', '100%', 4],
    ['erasing', 'abcdef\r\x1b[2C\x1b[K', 'ab', 2],
    ['backspaces', 'abc\b\bX', 'aXc', 2],
    ['absolute moves', 'abc\x1b[5;3HX', '  X', 3],
  ])('knows %s', (_name, text, shown, column) => {
    const line = after(text)
    expect(line.column).toBe(column)
    if (!text.includes('漢')) expect(line.text).toBe(shown)
    const pieces = after(...Array.from(Buffer.from(text).toString('latin1'), (one) => one).map((one) => one)).column
    if (!text.includes('漢')) expect(pieces).toBe(column)
  })
  it('keeps a bounded line', () => {
    const line = after('x'.repeat(100_000))
    expect(line.bytes).toHaveLength(0)
    expect(line.text.length).toBeLessThanOrEqual(1_024)
  })
})

describe('command hints', () => {
  it('are what stood behind the prompt when the line was ended', () => {
    const hints = createCommandHints()
    expect(hints.output(Buffer.from('motd\r\n$ '))).toEqual([])
    hints.input(Buffer.from('lx'))
    hints.output(Buffer.from('lx'))
    hints.input(Buffer.from('\x7fs\t'))
    hints.output(Buffer.from('\b \bs notes.txt'))
    hints.input(Buffer.from('\r'))
    expect(hints.output(Buffer.from('\r\nfile\r\n'))).toEqual(['ls notes.txt'])
    hints.output(Buffer.from('$ '))
    hints.input(Buffer.from('\x1b[A'))
    hints.output(Buffer.from('reboot'))
    hints.input(Buffer.from('\r'))
    expect(hints.output(Buffer.from('\r\n$ '))).toEqual(['reboot'])
  })
  it('never show what was not shown, such as passwords', () => {
    const hints = createCommandHints()
    hints.output(Buffer.from('Password: '))
    hints.input(Buffer.from('hunter2\r'))
    expect(hints.output(Buffer.from('\r\n$ '))).toEqual([])
  })
})
