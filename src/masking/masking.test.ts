import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type MaskStrategy, Secret } from '../core/index.js'
import { createMasking, DETECTOR_NAMES } from './index.js'

const masking = createMasking({ key: new Secret(Buffer.alloc(32, 1)) })
const JWT = 'eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N'
const PEM = `-----BEGIN RSA PRIVATE KEY-----\n${'MIIEowIBAAKCAQEA\n'.repeat(40)}-----END RSA PRIVATE KEY-----`

/** Values, halves of values, and what makes or breaks them, in any order. */
const fragment = fc.oneof(
  fc.constantFrom(
    'ada@example.com',
    '4111 1111 1111 1111',
    '4111111111111111',
    '４１１１１１１１１１１１１１１１',
    '123-45-6789',
    '123 45 6789',
    '+1 415 555 2671',
    '(415) 555-2671',
    'DE89 3704 0044 0532 0130 00',
    'GB82WEST12345698765432',
    JWT,
    PEM,
    '-----BEGIN PRIVATE KEY-----',
    'AKIAIOSFODNN7EXAMPLE',
    `ghp_${'aB3'.repeat(12)}`,
    `xoxb-${'1a-'.repeat(100)}`,
    `aws_secret_access_key=${'aB3/'.repeat(10)}`,
    `${'Ab3+/'.repeat(17)}x==`,
  ),
  fc.constantFrom(
    '4111',
    '1111',
    '4111-',
    '123',
    '-45-',
    '6789',
    '@',
    'example.com',
    'a',
    'b.c',
    'eyJ',
    'AKIA',
    '+',
    '(',
    ')',
    ' ',
    '\n',
    '-',
    '.',
    ',',
    ':',
    '"',
    '=',
    '==',
    '_',
    'ssn ',
    'phone: ',
    '１',
    'é',
    '日本',
    '\\',
    'n',
    'u0031',
    '-----',
    'DE',
    'X',
    '*',
    '[redacted]',
    '415',
    '555',
    '1',
    'x'.repeat(130),
  ),
  fc.string({ maxLength: 6, unit: 'binary' }),
)
const text = fc.array(fragment, { maxLength: 14 }).map((parts) => Buffer.from(parts.join('')))

const strategies: MaskStrategy[] = [
  { kind: 'redact' },
  { kind: 'hash' },
  { kind: 'null' },
  { kind: 'constant', value: 'gone' },
  { kind: 'partial', keepLast: 4 },
  { kind: 'partial', keepFirst: 6, keepLast: 4 },
  { kind: 'partial', keepFirst: 1 },
]

function all(strategy: MaskStrategy) {
  return DETECTOR_NAMES.map((detector) => ({ detector, strategy }))
}

function mask(value: string, strategy: MaskStrategy): string {
  return Buffer.from(masking.textMasker(all(strategy))?.maskText(Buffer.from(value)) ?? []).toString()
}

describe('text masker', () => {
  it('replaces values and leaves the rest', () => {
    expect(mask('mail ada@example.com now', { kind: 'redact' })).toBe('mail [redacted] now')
    expect(mask('card 4111-1111-1111-1111.', { kind: 'partial', keepLast: 4 })).toBe('card XXXX-XXXX-XXXX-1111.')
    expect(mask('mail ada@example.com', { kind: 'partial', keepFirst: 1 })).toBe('mail a**@*******.***')
    expect(mask('mail ada@example.com', { kind: 'constant', value: 'nobody' })).toBe('mail nobody')
    expect(mask('mail ada@example.com', { kind: 'null' })).toBe('mail [redacted]')
    expect(mask('mail ada@example.com', { kind: 'hash' })).toMatch(/^mail \[hash:h[0-9a-f]{16}\]$/)
  })

  it('gives back the same object when nothing is found', () => {
    const bytes = Buffer.from('nothing to see')
    expect(masking.textMasker(all({ kind: 'redact' }))?.maskText(bytes)).toBe(bytes)
    expect(masking.textMasker([])).toBeUndefined()
  })

  it('hashes equal values to equal replacements, and others to others', () => {
    expect(mask('ada@example.com', { kind: 'hash' })).toBe(mask('ada@example.com', { kind: 'hash' }))
    expect(mask('ada@example.com', { kind: 'hash' })).not.toBe(mask('bob@example.com', { kind: 'hash' }))
    const other = createMasking({ key: new Secret(Buffer.alloc(32, 2)) })
    const theirs = other.textMasker(all({ kind: 'hash' }))?.maskText(Buffer.from('ada@example.com')) ?? Buffer.alloc(0)
    expect(Buffer.from(theirs).toString()).not.toBe(mask('ada@example.com', { kind: 'hash' }))
  })

  it('applies the stricter of two strategies for one detector', () => {
    const masker = masking.textMasker([
      { detector: 'email', strategy: { kind: 'partial', keepFirst: 3 } },
      { detector: 'email', strategy: { kind: 'redact' } },
    ])
    expect(Buffer.from(masker?.maskText(Buffer.from('ada@example.com')) ?? []).toString()).toBe('[redacted]')
  })

  it('never shows a partly masked value that is still a value', () => {
    expect(mask('ada@example.com', { kind: 'partial', keepLast: 11 })).toBe('[redacted]')
  })

  it('MASK-13 finds full-width digits and digits escaped as JSON does', () => {
    expect(mask('４１１１１１１１１１１１１１１１', { kind: 'redact' })).toBe('[redacted]')
    expect(mask('{"card": "\\u0034111111111111111"}', { kind: 'redact' })).toBe('{"card": "[redacted]"}')
    expect(mask('ada\\u0040example.com', { kind: 'redact' })).toBe('[redacted]')
  })

  for (const strategy of strategies) {
    it(`masks nothing more the second time: ${JSON.stringify(strategy)}`, () => {
      const masker = masking.textMasker(all(strategy))
      fc.assert(
        fc.property(text, (bytes) => {
          const once = masker?.maskText(bytes) ?? bytes
          expect(Buffer.from(masker?.maskText(once) ?? once).toString()).toBe(Buffer.from(once).toString())
        }),
        { numRuns: 2_000 },
      )
    })
  }

  it('refuses unknown detectors, malformed strategies and short keys', () => {
    expect(() => masking.textMasker([{ detector: 'shoe-size', strategy: { kind: 'redact' } }])).toThrow(
      /no detector is called `shoe-size`/,
    )
    expect(() => masking.textMasker([{ detector: 'email', strategy: { kind: 'partial', keepLast: -1 } }])).toThrow(
      /whole number/,
    )
    expect(() => createMasking({ key: new Secret(Buffer.alloc(4)) })).toThrow(/at least 16 bytes/)
    expect(() =>
      createMasking({ key: new Secret(Buffer.alloc(32)), detectors: [{ name: 'x', prefixes: ['a'], minLength: 3 }] }),
    ).toThrow(/`x`/)
  })

  it('runs detectors of your own', () => {
    const own = createMasking({
      key: new Secret(Buffer.alloc(32)),
      detectors: [{ name: 'acme', prefixes: ['acme_live_'], minLength: 8 }],
    })
    const masker = own.textMasker([{ detector: 'acme', strategy: { kind: 'redact' } }])
    expect(Buffer.from(masker?.maskText(Buffer.from('key acme_live_12345678, ada@example.com')) ?? []).toString()).toBe(
      'key [redacted], ada@example.com',
    )
  })
})

describe('stream masker', () => {
  const HOLD = 2_048

  function streamed(bytes: Buffer, cuts: readonly number[], strategy: MaskStrategy): Buffer {
    const stream = masking.stream(all(strategy), { maxHoldBackBytes: HOLD })
    const out: Uint8Array[] = []
    let at = 0
    for (const cut of [...cuts].sort((a, b) => a - b)) {
      const to = Math.min(bytes.length, Math.max(at, cut))
      out.push(stream.push(bytes.subarray(at, to)))
      expect(stream.heldBackBytes).toBeLessThanOrEqual(HOLD)
      at = to
    }
    out.push(stream.push(bytes.subarray(at)))
    out.push(stream.flush())
    return Buffer.concat(out)
  }

  for (const strategy of strategies) {
    it(`MASK-13 gives the same result wherever the text is cut: ${JSON.stringify(strategy)}`, () => {
      fc.assert(
        fc.property(text, fc.array(fc.nat(1_500), { maxLength: 12 }), (bytes, cuts) => {
          expect(streamed(bytes, cuts, strategy).toString('latin1')).toBe(
            streamed(bytes, [], strategy).toString('latin1'),
          )
        }),
        { numRuns: 1_500 },
      )
    })
  }

  it('MASK-13 finds every value when the text comes byte by byte', () => {
    const bytes = Buffer.from(`x ada@example.com y ４１１１１１１１１１１１１１１１ ${JWT}\n${PEM}\nend 123-45-6789`)
    const cuts = Array.from({ length: bytes.length }, (_, i) => i)
    expect(streamed(bytes, cuts, { kind: 'redact' }).toString()).toBe(
      'x [redacted] y [redacted] [redacted]\n[redacted]\nend [redacted]',
    )
    expect(streamed(bytes, cuts, { kind: 'hash' })).toEqual(Buffer.from(mask(bytes.toString(), { kind: 'hash' })))
  })

  it('gives what the text masker gives where values stand apart', () => {
    const apart = fc.array(fragment, { maxLength: 14 }).map((parts) => Buffer.from(parts.join(' \n')))
    fc.assert(
      fc.property(apart, fc.array(fc.nat(900), { maxLength: 8 }), (bytes, cuts) => {
        fc.pre(!bytes.includes('\\u'))
        const whole = masking.textMasker(all({ kind: 'hash' }))?.maskText(bytes) ?? bytes
        expect(streamed(bytes, cuts, { kind: 'hash' }).toString('latin1')).toBe(Buffer.from(whole).toString('latin1'))
      }),
      { numRuns: 1_500 },
    )
  })

  it('holds nothing back behind the end of a line, and stays bounded in a key that never ends', () => {
    const stream = masking.stream(all({ kind: 'redact' }), { maxHoldBackBytes: HOLD })
    expect(Buffer.from(stream.push(Buffer.from('hello, world\n'))).toString()).toBe('hello, world\n')
    stream.push(Buffer.from('-----BEGIN PRIVATE KEY-----\n'))
    stream.push(Buffer.alloc(HOLD, 'x'))
    for (let i = 0; i < 1_000; i++) {
      stream.push(Buffer.alloc(1_000, 'MIIE'))
      expect(stream.heldBackBytes).toBeLessThanOrEqual(HOLD)
    }
  })

  it('keeps masking a private key across a flush in the middle of it', () => {
    const stream = masking.stream(all({ kind: 'redact' }), { maxHoldBackBytes: HOLD })
    const half = Math.floor(PEM.length / 2)
    const out = [
      stream.push(Buffer.from(PEM.slice(0, half))),
      stream.flush(),
      stream.push(Buffer.from(`${PEM.slice(half)} ok`)),
      stream.flush(),
    ]
    expect(Buffer.concat(out).toString()).toBe('[redacted] ok')
  })

  it('refuses a hold-back in which values could slip through', () => {
    expect(() => masking.stream(all({ kind: 'redact' }), { maxHoldBackBytes: 100 })).toThrow(
      /maxHoldBackBytes must be at least/,
    )
  })
})
