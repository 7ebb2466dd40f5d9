import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type MaskStrategy, Secret, type StreamMasker } from '../core/index.js'
import { createMasking } from './index.js'

const masking = createMasking({ key: new Secret(Buffer.alloc(32, 7)) })
const DETECTORS = ['email', 'card', 'us-ssn', 'jwt', 'aws-access-key', 'private-key', 'github']
const HOLD = 4_096
const all = (strategy: MaskStrategy) => DETECTORS.map((detector) => ({ detector, strategy }))
const REDACT: MaskStrategy = { kind: 'redact' }
const PEM = `-----BEGIN PRIVATE KEY-----\n${'MIIEvQ'.repeat(30)}\n-----END PRIVATE KEY-----`
const CARD = '4111 1111 1111 1111'

function streamed(bytes: Uint8Array, cuts: readonly number[] = [], strategy: MaskStrategy = REDACT): string {
  const stream = masking.terminal(all(strategy), { maxHoldBackBytes: HOLD })
  const edges = [0, ...cuts.map((cut) => Math.min(cut, bytes.length)).sort((a, b) => a - b), bytes.length]
  const out: Uint8Array[] = []
  for (let i = 1; i < edges.length; i++) {
    out.push(stream.push(bytes.subarray(edges[i - 1], edges[i])))
    expect(stream.heldBackBytes).toBeLessThanOrEqual(HOLD)
  }
  out.push(stream.flush())
  expect(stream.heldBackBytes).toBe(0)
  return Buffer.concat(out).toString('latin1')
}

const masked = (text: string): string => streamed(Buffer.from(text))
const push = (stream: StreamMasker, text: string): string => Buffer.from(stream.push(Buffer.from(text))).toString()
const flush = (stream: StreamMasker): string => Buffer.from(stream.flush()).toString()

describe('terminal masker', () => {
  it.each([
    ['colours in the middle', 'a 4111\x1b[31m 1111 \x1b[0m1111 1111 b', 'a [redacted]\x1b[31m\x1b[0m b'],
    ['colours around', '\x1b[1mada@example.com\x1b[0m!', '\x1b[1m[redacted]\x1b[0m!'],
    [
      'a title in the middle',
      '4111 1111 \x1b]0;t\x07 1111 1111'.replace('  ', ' '),
      '4111 1111 \x1b]0;t\x07 1111 1111',
    ],
    ['a title in a value', '4111 1111 \x1b]0;t\x071111 1111.', '[redacted]\x1b]0;t\x07.'],
    ['a cursor moved to the right', '4111\x1b[C1111\x1b[1C1111\x1b[C1111 ', '[redacted]\x1b[C\x1b[1C\x1b[C '],
    ['another line', 'id\x1b[2;1H4111 1111 1111 1111\x1b[K', 'id\x1b[2;1H[redacted]\x1b[K'],
    ['a repeated digit', '41\x1b[14b.', '[redacted].'],
    ['a value behind repeated letters', 'x\x1b[3b 123-45-6789', 'x\x1b[3b [redacted]'],
    ['8-bit colours', '4111 1111\u009b1m 1111 1111', '[redacted]\u009b1m'],
    ['a value in a title', '\x1b]0;ada@example.com\x07$ ', '\x1b]0;[redacted]\x07$ '],
    ['a value in a link', '\x1b]8;;http://x/?ada@example.com\x1b\\x', '\x1b]8;;http://x/?[redacted]\x1b\\x'],
    ['a value that passes for a parameter', '\x1b[4111111111111111;1m', '\x1b[[redacted];1m'],
    ['a string without end', '\x1b]0;a 123-45-6789 b', '\x1b]0;a [redacted] b'],
    ['a key in colours', `\x1b[32m${PEM.replaceAll('\n', '\x1b[0m\r\n\x1b[32m')}\x1b[0m ok`, undefined],
    [
      'no values',
      '\x1b[1;31mls\x1b[0m\x1b[K\x1b[?25h\x1b7\x1b[10;20Hx\x1b8',
      '\x1b[1;31mls\x1b[0m\x1b[K\x1b[?25h\x1b7\x1b[10;20Hx\x1b8',
    ],
  ])('MASK-13 reads across %s', (_name, text, expected) => {
    const result = Buffer.from(masked(text), 'latin1').toString()
    if (expected === undefined) {
      expect(result).not.toContain('MIIE')
      expect(result.endsWith('\x1b[0m ok')).toBe(true)
    } else expect(result).toBe(expected)
    const bytes = Buffer.from(text)
    for (let cut = 0; cut <= bytes.length; cut++)
      expect(Buffer.from(streamed(bytes, [cut]), 'latin1').toString()).toBe(result)
    expect(streamed(bytes, [...bytes.keys()])).toBe(Buffer.from(result).toString('latin1'))
  })

  const noise = fc.constantFrom(
    '\x1b[31m',
    '\x1b[0m',
    '\x1b[C',
    '\x1b[K',
    '\x1b[2;3H',
    '\x1b]0;ada@example.com\x07',
    '\x1bP$qm\x1b\\',
    '\x1b(B',
    '\x1b[3b',
    '\x9b1m',
    '\xc2\x9b1m',
    '\x1b',
    '\x1b[',
    '\x1b[12345678901',
    '\xc2',
    '\xe2',
    '\x18',
    '\x9d',
    '\x9c',
    '\r\n',
    ' ',
    '\b',
  )
  const value = fc.constantFrom(
    CARD,
    '4111111111111111',
    '123-45-6789',
    'ada@example.com',
    'AKIAIOSFODNN7EXAMPLE',
    PEM,
    'ghp_0123456789abcdefghijklmnopqrstuvwxyzAB',
    'word',
    '12',
    'x@',
    '-',
  )
  const mixed = fc
    .array(
      fc.oneof(
        noise,
        value,
        fc.tuple(value, noise, fc.nat(20)).map(([v, n, at]) => v.slice(0, at) + n + v.slice(at)),
      ),
      { maxLength: 10 },
    )
    .map((parts) => Buffer.from(parts.join(''), 'latin1'))

  for (const strategy of [REDACT, { kind: 'hash' }, { kind: 'partial', keepLast: 4 }] as MaskStrategy[]) {
    it(`MASK-13 gives the same result wherever it is cut: ${strategy.kind}`, () => {
      fc.assert(
        fc.property(mixed, fc.array(fc.nat(400), { maxLength: 8 }), (bytes, cuts) => {
          expect(streamed(bytes, cuts, strategy)).toBe(streamed(bytes, [], strategy))
        }),
        { numRuns: 1_500 },
      )
    })
  }

  it('gives what the plain stream masker gives where there is no sequence', () => {
    const plain = fc.array(fc.oneof(value, fc.constantFrom(' ', '\n', 'é', '漢', 'word ')), { maxLength: 12 })
    fc.assert(
      fc.property(plain, fc.array(fc.nat(400), { maxLength: 6 }), (parts, cuts) => {
        const bytes = Buffer.from(parts.join(''))
        const stream = masking.stream(all({ kind: 'hash' }), { maxHoldBackBytes: HOLD })
        const expected = Buffer.concat([stream.push(bytes), stream.flush()]).toString('latin1')
        expect(streamed(bytes, cuts, { kind: 'hash' })).toBe(expected)
      }),
      { numRuns: 1_000 },
    )
  })

  it('passes whatever has no value in it, byte for byte', () => {
    const byte = fc.oneof(
      fc.constantFrom(...Buffer.from('\x1b\x1b[]P_;1mHCb\x07\x18\x9b\x9d\x9c\xc2\xe2', 'latin1')),
      fc.nat(255),
    )
    fc.assert(
      fc.property(fc.array(byte, { maxLength: 200 }), fc.array(fc.nat(200), { maxLength: 4 }), (list, cuts) => {
        const bytes = Buffer.from(list.map((one) => (one >= 0x30 && one <= 0x39 ? 0x31 : one === 0x40 ? 0x41 : one)))
        const whole = streamed(bytes, cuts)
        if (!whole.includes('[redacted]')) expect(whole).toBe(bytes.toString('latin1'))
      }),
      { numRuns: 1_500 },
    )
  })

  it('lets a prompt go when told to, and nothing twice', () => {
    const stream = masking.terminal(all(REDACT))
    expect(push(stream, '\x1b[32mada@web-1\x1b[0m:~$ ') + flush(stream)).toBe('\x1b[32mada@web-1\x1b[0m:~$ ')
    expect(flush(stream)).toBe('')
    expect(push(stream, 'ls\r\n') + flush(stream)).toBe('ls\r\n')
  })

  it('masks the rest of a value whose beginning had to go', () => {
    const stream = masking.terminal(all({ kind: 'hash' }))
    expect(push(stream, 'card 4111 1111 ') + flush(stream)).toBe('card 4111 1111 ')
    expect(push(stream, '1111 ') + flush(stream)).toBe('1111 ')
    expect(push(stream, '1111 next') + flush(stream)).toBe('[redacted] next')
    expect(push(stream, 'mail ada@exam') + flush(stream)).toBe('mail ada@exam')
    expect(push(stream, 'ple.com ') + flush(stream)).toBe('[redacted] ')
  })

  it('says nothing more of a value that it had masked and that goes on', () => {
    const stream = masking.terminal(all(REDACT))
    expect(push(stream, 'ada@example.co') + flush(stream)).toBe('[redacted]')
    expect(push(stream, 'm.au x') + flush(stream)).toBe(' x')
    expect(push(stream, PEM.slice(0, 60)) + flush(stream)).toBe('[redacted]')
    expect(push(stream, PEM.slice(60, 100)) + flush(stream)).toBe('')
    expect(push(stream, `${PEM.slice(100)} ok`) + flush(stream)).toBe(' ok')
  })

  it('flushed at random, never shows a value whole and never loses what is none', () => {
    fc.assert(
      fc.property(
        fc.array(fc.oneof(fc.constantFrom(CARD, 'ada@example.com', ' x ', '\x1b[1m', '\r\n'), fc.constant('|')), {
          maxLength: 12,
        }),
        fc.array(fc.nat(300), { maxLength: 10 }),
        (parts, cuts) => {
          const bytes = Buffer.from(` ${parts.join(' ')} `)
          const stream = masking.terminal(all(REDACT))
          let out = ''
          let at = 0
          for (const cut of [...cuts, bytes.length].sort((a, b) => a - b)) {
            out += Buffer.from(stream.push(bytes.subarray(at, Math.min(cut, bytes.length)))).toString()
            out += flush(stream)
            at = Math.max(at, Math.min(cut, bytes.length))
          }
          expect(out).not.toContain(CARD)
          expect(out).not.toContain('ada@example.com')
          const rest = (text: string) => text.replaceAll(/[^|\x1b\r]/g, '')
          expect(rest(out)).toBe(rest(bytes.toString()))
        },
      ),
      { numRuns: 1_500 },
    )
  })

  it('stays bounded where controls outnumber text by far', () => {
    const stream = masking.terminal(all(REDACT))
    let out = push(stream, '4111 1111 ')
    for (let i = 0; i < 2_000; i++) {
      out += push(stream, '\x1b[38;2;1;2;3m')
      expect(stream.heldBackBytes).toBeLessThanOrEqual(HOLD)
    }
    out += push(stream, '1111 1111 ') + flush(stream)
    expect(out.replaceAll('\x1b[38;2;1;2;3m', '')).toBe('4111 1111 [redacted] ')
  })

  it('refuses a hold-back in which values could slip through', () => {
    expect(() => masking.terminal(all(REDACT), { maxHoldBackBytes: 500 })).toThrow(/maxHoldBackBytes must be at least/)
  })

  it('is what masks the output of commands without columns', () => {
    const masker = masking.compileText({ columns: [], detectors: all(REDACT) })
    expect(masker?.planRows([])).toBeUndefined()
    expect(Buffer.from(masker?.maskText(Buffer.from(CARD)) ?? '').toString()).toBe('[redacted]')
    const stream = masker?.stream?.({ maxHoldBackBytes: HOLD }) as StreamMasker
    expect(push(stream, '4111 1111 \x1b[m1111 1111') + flush(stream)).toBe('[redacted]\x1b[m')
    expect(masking.compileText({ columns: [], detectors: [] })).toBeUndefined()
  })
})
