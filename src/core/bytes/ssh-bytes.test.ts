import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { SallyportError } from '../errors.js'
import { SshReader } from './ssh-reader.js'
import { SshWriter } from './ssh-writer.js'

const read = (bytes: Uint8Array, more: { maxStringBytes?: number; maxNames?: number } = {}): SshReader =>
  new SshReader(bytes, { message: 'message', code: 'protocol_violation', ...more })
const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex')

const codeOf = (run: () => unknown): string | undefined => {
  try {
    run()
  } catch (error) {
    return error instanceof SallyportError ? `${error.blame} ${error.code}` : `other: ${String(error)}`
  }
  return undefined
}

const name = fc.stringMatching(/^[!-+\--~]{1,20}$/)
const field = fc.oneof(
  fc.record({ type: fc.constant('byte' as const), value: fc.nat(255) }),
  fc.record({ type: fc.constant('boolean' as const), value: fc.boolean() }),
  fc.record({ type: fc.constant('uint32' as const), value: fc.nat(0xffffffff) }),
  fc.record({ type: fc.constant('uint64' as const), value: fc.bigInt({ min: 0n, max: 0xffffffffffffffffn }) }),
  fc.record({ type: fc.constant('string' as const), value: fc.uint8Array({ maxLength: 40 }) }),
  fc.record({ type: fc.constant('text' as const), value: fc.string({ unit: 'grapheme', maxLength: 20 }) }),
  fc.record({ type: fc.constant('mpint' as const), value: fc.uint8Array({ maxLength: 40 }) }),
  fc.record({ type: fc.constant('nameList' as const), value: fc.array(name, { maxLength: 5 }) }),
)
type Field = typeof field extends fc.Arbitrary<infer T> ? T : never

function write(writer: SshWriter, each: Field): void {
  switch (each.type) {
    case 'byte':
      writer.u8(each.value)
      break
    case 'boolean':
      writer.boolean(each.value)
      break
    case 'uint32':
      writer.u32(each.value)
      break
    case 'uint64':
      writer.u64(each.value)
      break
    case 'string':
      writer.string(each.value)
      break
    case 'text':
      writer.text(each.value)
      break
    case 'mpint':
      writer.mpint(each.value)
      break
    case 'nameList':
      writer.nameList(each.value)
      break
  }
}

describe('SshReader and SshWriter', () => {
  it('read what was written, to the last byte, and notice every cut', () => {
    fc.assert(
      fc.property(fc.array(field, { minLength: 1, maxLength: 8 }), (fields) => {
        const writer = new SshWriter()
        for (const each of fields) write(writer, each)
        const bytes = writer.take()
        const readAll = (source: Uint8Array): unknown[] => {
          const reader = read(source)
          const values = fields.map((each) => reader[each.type]())
          reader.finish()
          return values
        }
        expect(readAll(bytes)).toEqual(
          fields.map((each) => {
            if (each.type === 'string') return Buffer.from(each.value)
            if (each.type !== 'mpint') return each.value
            const start = each.value.findIndex((byte) => byte !== 0)
            return start < 0 ? Buffer.alloc(0) : Buffer.from(each.value.subarray(start))
          }),
        )
        for (let end = 0; end < bytes.length; end++) {
          expect(codeOf(() => readAll(bytes.subarray(0, end)))).toBe('downstream protocol_violation')
        }
        expect(codeOf(() => readAll(Buffer.concat([bytes, Buffer.alloc(1)])))).toBe('downstream protocol_violation')
      }),
    )
  })

  it('write and read the numbers of the specification', () => {
    const numbers: [string, string][] = [
      ['', '00000000'],
      ['09a378f9b2e332a7', '00000008 09a378f9b2e332a7'],
      ['80', '00000002 0080'],
    ]
    for (const [magnitude, encoded] of numbers) {
      expect(new SshWriter().mpint(hex(magnitude)).take()).toEqual(hex(encoded))
      expect(read(hex(encoded)).mpint()).toEqual(hex(magnitude))
    }
    // Negative, and not the shortest.
    for (const wrong of ['00000002 edcc', '00000001 00', '00000002 0001', '00000003 000080']) {
      expect(codeOf(() => read(hex(wrong)).mpint())).toBe('downstream protocol_violation')
    }
  })

  it('give every garbage a value or an error of theirs, and never read past the end', () => {
    const methods = ['byte', 'boolean', 'uint32', 'uint64', 'string', 'text', 'name', 'mpint', 'nameList'] as const
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 30 }), fc.array(fc.constantFrom(...methods)), (bytes, steps) => {
        const reader = read(bytes, { maxStringBytes: 8, maxNames: 2 })
        for (const step of steps) {
          const code = codeOf(() => reader[step]())
          expect([undefined, 'downstream protocol_violation', 'downstream limit_exceeded']).toContain(code)
          expect(reader.position).toBeLessThanOrEqual(bytes.length)
          if (code !== undefined) return
        }
      }),
    )
  })

  it('hold strings, lists and names to their limits', () => {
    const long = new SshWriter().string(Buffer.alloc(9)).take()
    expect(codeOf(() => read(long, { maxStringBytes: 8 }).string())).toBe('downstream limit_exceeded')
    expect(codeOf(() => read(long).string(8))).toBe('downstream limit_exceeded')
    expect(codeOf(() => read(hex('ffffffff 00')).string())).toBe('downstream protocol_violation')
    const list = new SshWriter().text('a,b,c').take()
    expect(codeOf(() => read(list, { maxNames: 2 }).nameList())).toBe('downstream limit_exceeded')
    for (const wrong of [',', 'a,', ',a', 'a,,b', 'a b', 'é', 'a\0']) {
      expect(codeOf(() => read(new SshWriter().text(wrong).take()).nameList())).toBe('downstream protocol_violation')
    }
    for (const wrong of ['a,b', 'a b', 'é', 'a\0']) {
      expect(codeOf(() => read(new SshWriter().text(wrong).take()).name())).toBe('downstream protocol_violation')
    }
    expect(codeOf(() => read(hex('00000002 c328')).text())).toBe('downstream protocol_violation')
    const upstream = new SshReader(long, { message: 'x', code: 'upstream_protocol_violation', maxStringBytes: 1 })
    expect(codeOf(() => upstream.string())).toBe('upstream limit_exceeded')
    expect(codeOf(() => new SshReader(long, { message: 'x', code: 'upstream_protocol_violation' }).uint64())).toBe(
      undefined,
    )
  })

  it('do not write what cannot be read back', () => {
    expect(codeOf(() => new SshWriter().u64(-1n))).toBe('internal internal')
    expect(codeOf(() => new SshWriter().u64(1n << 64n))).toBe('internal internal')
    expect(codeOf(() => new SshWriter().nameList(['a,b']))).toBe('internal internal')
  })
})
