import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  sanitizeTerminal,
  TERMINAL_PART,
  TerminalModeWatch,
  TerminalParser,
  TerminalSanitizer,
  type TerminalPart,
} from './index.js'

const latin1 = (text: string): Buffer => Buffer.from(text, 'latin1')
const NAMES = ['text', 'control', 'sequence', 'payload', 'partial'] as const

/** Every byte's part, and a line per completed sequence. */
function parse(chunks: readonly Uint8Array[]): { kinds: string; sequences: string[] } {
  const parser = new TerminalParser()
  let kinds = ''
  const sequences: string[] = []
  let rest: Uint8Array = Buffer.alloc(0)
  chunks.forEach((chunk, index) => {
    const bytes = Buffer.concat([rest, chunk])
    rest = Buffer.alloc(0)
    for (let at = 0; at < bytes.length; at = parser.partEnd) {
      const part: TerminalPart = parser.next(bytes, at, bytes.length, index === chunks.length - 1)
      if (part === TERMINAL_PART.partial) {
        rest = bytes.subarray(at)
        break
      }
      kinds += (NAMES[part]?.[0] ?? '?').repeat(parser.partEnd - at)
      if (part === TERMINAL_PART.sequence && parser.isComplete)
        sequences.push(
          `${parser.sequenceType} ${String.fromCharCode(parser.final)} ${parser.parameters.subarray(0, parser.parameterCount).join(';')}`,
        )
    }
  })
  return { kinds, sequences }
}

const CASES: readonly [string, Buffer, string, string[]][] = [
  ['plain text', latin1('abc'), 'ttt', []],
  ['controls', latin1('a\r\nb'), 'tcct', []],
  ['colours', latin1('\x1b[1;31mA\x1b[m'), 'ssssssstsss', ['csi m 1;31', 'csi m ']],
  ['private modes', latin1('\x1b[?1049h'), 'ssssssss', ['csi h 1049']],
  ['two-character escapes', latin1('\x1b7\x1b(B'), 'sssss', ['escape 7 ', 'escape B ']],
  ['a title ended by BEL', latin1('\x1b]0;x\x07y'), 'sspppst', ['osc \0 ', 'osc \0 ']],
  ['a title ended by ST', latin1('\x1b]0;x\x1b\\y'), 'sspppsst', ['osc \0 ', 'osc \0 ']],
  ['a device string', latin1('\x1bP1$r0m\x1b\\y'), 'ssssspp' + 'sst', ['dcs r 1', 'dcs r 1']],
  ['a string broken by a new sequence', latin1('\x1b]0\x1b[mz'), 'sspssst', ['osc \0 ', 'csi m ']],
  ['a string broken by CAN', latin1('\x1b_ab\x18z'), 'ssppst', ['string _ ']],
  ['8-bit controls by themselves', latin1('a\x9b1mb'), 'tssst', ['csi m 1']],
  ['8-bit controls as characters', Buffer.from('a\u009b1mb'), 'tsssst', ['csi m 1']],
  ['the same bytes inside characters', Buffer.from('✓Û›\u00a0'), 'tttttttttt', []],
  ['a check mark in a title', Buffer.from('\x1b]0;✓\x07y'), 'sspppppst', ['osc \0 ', 'osc \0 ']],
  ['controls inside a sequence', latin1('\x1b[1\nmx'), 'ssssst', ['csi m 1']],
  ['a sequence aborted by another', latin1('\x1b[1\x1b[2mx'), 'ssssssst', ['csi m 2']],
  ['a parameter longer than any', latin1('\x1b[4111111111111111m'), `${'s'.repeat(11)}${'t'.repeat(8)}`, []],
]

describe('terminal parser', () => {
  it.each(CASES)('tells %s', (_name, bytes, kinds, sequences) => {
    expect(parse([bytes])).toEqual({ kinds, sequences })
  })

  it.each(CASES)('tells %s however it is cut', (_name, bytes) => {
    const whole = parse([bytes])
    for (let cut = 0; cut <= bytes.length; cut++)
      expect(parse([bytes.subarray(0, cut), bytes.subarray(cut)])).toEqual(whole)
    expect(parse([...bytes].map((byte) => Uint8Array.of(byte)))).toEqual(whole)
  })

  it('reads garbage to its end, the same in pieces as in one', () => {
    const byte = fc.oneof(fc.constantFrom(...latin1('\x1b\x1b[]P_?;1m\x07\x18\x9b\x9d\x9c\xc2\xe2\\hl')), fc.nat(255))
    fc.assert(
      fc.property(fc.array(byte, { maxLength: 80 }), fc.array(fc.nat(79), { maxLength: 4 }), (list, cuts) => {
        const bytes = Buffer.from(list)
        const edges = [0, ...cuts.map((cut) => Math.min(cut, bytes.length)).sort((a, b) => a - b), bytes.length]
        const chunks = edges.slice(1).map((edge, i) => bytes.subarray(edges[i], edge))
        const whole = parse([bytes])
        expect(whole.kinds).toHaveLength(bytes.length)
        // The last chunk is final only if it has bytes: then it settles a lone 0xc2.
        expect(parse([...chunks.filter((chunk) => chunk.length > 0)])).toEqual(whole)
      }),
      { numRuns: 2_000 },
    )
  })
})

describe('terminal modes', () => {
  const after = (text: string) => {
    const watch = new TerminalModeWatch()
    for (const byte of latin1(text)) watch.push(Uint8Array.of(byte))
    return watch.modes
  }
  it('sees programs that take the screen or the keys', () => {
    expect(after('\x1b[?1049h').isAlternateScreen).toBe(true)
    expect(after('\x1b[?25;1047h').isAlternateScreen).toBe(true)
    expect(after('\x9b?47h').isAlternateScreen).toBe(true)
    expect(after('\x1b[?1h\x1b=').hasApplicationCursor).toBe(true)
    expect(after('\x1b[?1h\x1b=').hasApplicationKeypad).toBe(true)
    expect(after('\x1b[?1002;1006h').hasMouse).toBe(true)
    expect(after('\x1b[?2004h').hasBracketedPaste).toBe(true)
  })
  it('sees them leave', () => {
    expect(after('\x1b[?1049h\x1b[?47l').isAlternateScreen).toBe(false)
    expect(after('\x1b[?1049h\x1bc').isAlternateScreen).toBe(false)
    expect(after('\x1b[?1h\x1b=\x1b[!p').hasApplicationCursor).toBe(false)
    expect(after('\x1b]0;\x1b[?1049h').isAlternateScreen).toBe(true)
    expect(after('\x1b]0;?1049h\x07').isAlternateScreen).toBe(false)
  })
  it('sees a mode that is brought back by restoring it', () => {
    expect(after('\x1b[?1049h\x1b[?1049s\x1b[?1049l\x1b[?1049r').isAlternateScreen).toBe(true)
  })
})

describe('sanitizer', () => {
  const clean = (text: string | Buffer): string => Buffer.from(sanitizeTerminal(Buffer.from(text))).toString()

  it('keeps text, colours, movements and the alternate screen', () => {
    const kept = 'a\tb\r\n\x1b[1;38;5;196mred\x1b[0m\x1b[2J\x1b[H\x1b[?25l\x1b[?1049h✓\x1b[K\x1b(0q\x1b(B\x1b7\x1b8'
    expect(clean(kept)).toBe(kept)
  })
  it.each([
    ['the clipboard', '\x1b]52;c;cm0gLXJm\x07'],
    ['links', '\x1b]8;;http://evil\x1b\\'],
    ['titles', '\x1b]2;x\x07'],
    ['DECRQSS', '\x1bP$qm\x1b\\'],
    ['sixel', '\x1bPq#0;2;0;0;0\x1b\\'],
    ['status reports', '\x1b[6n\x1b[c\x1b[>c\x1b[21t\x1b[?1$p\x1bZ\x05'],
    ['mouse and paste modes', '\x1b[?1000h\x1b[?2004h\x1b[?1h\x1b=\x1b[>4;1m'],
    ['mixed modes', '\x1b[?25;1000h'],
    ['APC, PM, SOS', '\x1b_G\x1b\\\x1b^x\x1b\\\x1bXx\x1b\\'],
    ['8-bit strings', '\u009d52;c;eA==\u009c'],
    ['bell, shifts, nul', '\x07\x0e\x0f\0\x7f'],
    ['reading order', '\u202e\u2066'],
  ])('TTY-2 takes out %s', (_name, text) => {
    expect(clean(`a${text}b`)).toBe('ab')
  })
  it('TTY-2 survives an escape of a megabyte, invalid UTF-8 and bare 8-bit controls', () => {
    expect(clean(`a\x1b]52;c;${'A'.repeat(1 << 20)}\x07b`)).toBe('ab')
    expect(clean(`a\x1b[${'1;'.repeat(1 << 19)}mb`).length).toBeLessThan(1 << 20)
    expect(clean(latin1('a\xff\xc3b'))).toBe('a\ufffd\ufffdb')
    expect(clean(latin1('a\x9d52;c;eA==\x9cb\x9b31mc'))).toBe('ab\x1b[31mc')
    expect(clean(Buffer.from([0xe2, 0x1b, 0x5b, 0x6d, 0x82, 0xac]))).toContain('\x1b[m')
  })
  it('TTY-2 leaves nothing behind that it would take out, however the bytes are cut', () => {
    const byte = fc.oneof(fc.constantFrom(...latin1('\x1b\x1b[]P_?;1mnc\x07\x18\x9b\x9d\x9c\xc2\xe2\\hl')), fc.nat(255))
    fc.assert(
      fc.property(fc.array(byte, { maxLength: 80 }), fc.nat(80), (list, cut) => {
        const bytes = Buffer.from(list)
        const whole = Buffer.from(sanitizeTerminal(bytes))
        expect(Buffer.from(sanitizeTerminal(whole))).toEqual(whole)
        const sanitizer = new TerminalSanitizer()
        const pieces = [sanitizer.push(bytes.subarray(0, cut)), sanitizer.push(bytes.subarray(cut)), sanitizer.flush()]
        expect(Buffer.concat(pieces)).toEqual(whole)
        for (const { type, prefix, final } of sequencesOf(whole)) {
          expect(['csi', 'escape']).toContain(type)
          expect(`${prefix}${final}`).not.toMatch(/^0[nctxqyp]$/)
        }
      }),
      { numRuns: 3_000 },
    )
  })
})

function sequencesOf(bytes: Uint8Array): { type: string; prefix: number; final: string }[] {
  const parser = new TerminalParser()
  const list: { type: string; prefix: number; final: string }[] = []
  for (let at = 0; at < bytes.length; at = parser.partEnd) {
    if (parser.next(bytes, at, bytes.length, true) !== TERMINAL_PART.sequence || !parser.isComplete) continue
    const { sequenceType, prefix, final } = parser
    list.push({
      type: sequenceType,
      prefix: sequenceType === 'csi' ? prefix : 1,
      final: String.fromCharCode(final),
    })
  }
  return list
}
