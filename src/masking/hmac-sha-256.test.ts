import { createHmac } from 'node:crypto'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { HmacSha256 } from './hmac-sha-256.js'

it('is what node:crypto says, whatever the key, the prefix and the message', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 150 }),
      fc.uint8Array({ maxLength: 80 }),
      fc.uint8Array({ maxLength: 300 }),
      fc.nat(20),
      (key, prefix, bytes, start) => {
        const from = Math.min(start, bytes.length)
        const expected = createHmac('sha256', key).update(prefix).update(bytes.subarray(from)).digest('hex')
        expect(new HmacSha256(key).digest(prefix, bytes, from, bytes.length).toString('hex')).toBe(expected)
      },
    ),
    { numRuns: 500 },
  )
})

it('is right at every length around the block size', () => {
  const hmac = new HmacSha256(Buffer.from('key'))
  for (let length = 0; length <= 200; length++) {
    const bytes = Buffer.alloc(length, length)
    const expected = createHmac('sha256', 'key').update(bytes).digest('hex')
    expect(hmac.digest(new Uint8Array(0), bytes, 0, length).toString('hex')).toBe(expected)
  }
})
