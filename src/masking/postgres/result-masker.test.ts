import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  ByteWriter,
  CELL_NULL,
  CELL_UNCHANGED,
  type CellMask,
  type ColumnMaskSpec,
  type MaskSet,
  type MaskStrategy,
  type ResultColumn,
  Secret,
} from '../../core/index.js'
import { createMasking, DETECTOR_NAMES } from '../index.js'

const masking = createMasking({ key: new Secret(Buffer.alloc(32, 1)) })
const REDACT: MaskStrategy = { kind: 'redact' }
const HIDDEN = Buffer.from('hidden')

function detecting(strategy: MaskStrategy = REDACT): MaskSet {
  return { columns: [], detectors: DETECTOR_NAMES.map((detector) => ({ detector, strategy })) }
}

function columns(...specs: ColumnMaskSpec[]): MaskSet {
  return { columns: specs, detectors: [] }
}

function column(over: Partial<ResultColumn> = {}): ResultColumn {
  return { name: 'c', type: 25, format: 'text', sources: [], ...over }
}

/** The cell after masking: a string or bytes, null for NULL. */
function apply(set: MaskSet, over: Partial<ResultColumn>, cell: string | Buffer): Buffer | null {
  const mask = masking.compile(set, 'postgres').planRows([column(over)])?.[0]
  const bytes = Buffer.from(cell)
  if (mask === undefined) return bytes
  // Cells stand in the middle of a row, replacements behind others.
  const source = Buffer.concat([HIDDEN, bytes, HIDDEN])
  const target = new ByteWriter(4).utf8('before')
  const written = mask.apply(source, HIDDEN.length, HIDDEN.length + bytes.length, target)
  if (written < 0) expect(target.length).toBe(6)
  if (written === CELL_NULL) return null
  if (written === CELL_UNCHANGED) return bytes
  expect(target.length).toBe(6 + written)
  return Buffer.from(target.view().subarray(6))
}

function text(set: MaskSet, over: Partial<ResultColumn>, cell: string | Buffer): string | null {
  return apply(set, over, cell)?.toString() ?? null
}

describe('column masks', () => {
  const origin = { schema: 'public', table: 'users', column: 'ssn' }
  const partial: MaskStrategy = { kind: 'partial', keepLast: 4 }
  const set = columns({ schema: 'public', table: 'users', column: 'ssn', strategy: partial })

  it('apply their strategy to the column itself, whatever it is called', () => {
    expect(text(set, { name: 'harmless', origin }, '123-45-6789')).toBe('***-**-6789')
    expect(text(set, { origin: { ...origin, column: 'name' } }, '123-45-6789')).toBe('123-45-6789')
    expect(text(set, { name: 'ssn', origin: { ...origin, table: 'orders' } }, 'x')).toBe('x')
  })

  it('MASK-10 redact what is only made from the column', () => {
    for (const sources of [
      [origin],
      [{ table: 'users', column: 'ssn' }],
      [{ ...origin, column: '*' }],
      [{ column: 'ssn' }],
      'unknown',
    ] as const) {
      expect(text(set, { sources }, '123-45-6789')).toBe('[redacted]')
    }
    expect(text(set, { sources: [{ ...origin, column: 'name' }] }, 'Ada')).toBe('Ada')
    expect(text(columns({ column: 'ssn', strategy: { kind: 'null' } }), { sources: 'unknown' }, 'x')).toBeNull()
  })

  it('take the origin as the truth when the server gives it', () => {
    expect(text(set, { origin: { ...origin, column: 'name' }, sources: 'unknown' }, 'Ada')).toBe('Ada')
    expect(text(set, { origin: { table: 'users', column: 'ssn' } }, '123-45-6789')).toBe('[redacted]')
  })

  it('MASK-10 hold for all that a value is, and for all it is made of, behind a view', () => {
    const view = { schema: 'public', table: 'v', column: 'code' }
    const other = columns({ schema: 'public', table: 'v', column: 'code', strategy: partial })
    for (const masks of [set, other]) {
      expect(text(masks, { origin: view, origins: [view, origin], sources: 'unknown' }, '123-45-6789')).toBe(
        '***-**-6789',
      )
      expect(text(masks, { origin, origins: [view], sources: [] }, '123-45-6789')).toBe('***-**-6789')
    }
    expect(text(set, { origins: [view], sources: [origin] }, '123-45-6789')).toBe('[redacted]')
    expect(text(other, { origins: [view], sources: [origin] }, '123-45-6789')).toBe('***-**-6789')
    expect(text(set, { origins: [view], sources: [] }, 'free')).toBe('free')
    expect(text(set, { origins: [view], sources: 'unknown' }, 'free')).toBe('[redacted]')
    expect(text(set, { origin: view, origins: [{ table: 'users', column: 'ssn' }] }, 'x')).toBe('[redacted]')
  })

  it('match globs and missing parts', () => {
    for (const spec of [
      { column: 's*n' },
      { table: 'us*', column: '*' },
      { schema: '*', column: 'ssn' },
      { column: '*' },
    ]) {
      expect(text(columns({ ...spec, strategy: partial }), { origin }, '123-45-6789')).toBe('***-**-6789')
    }
    expect(text(columns({ column: 's*s*n*n', strategy: partial }), { origin }, 'x1')).toBe('x1')
  })

  it('take the strictest of several', () => {
    const hash = columns({ column: 'ssn', strategy: partial }, { column: '*', strategy: { kind: 'hash' } })
    expect(text(hash, { origin }, '123-45-6789')).toMatch(/^[0-9a-f]{32}$/)
    const nothing = columns({ column: 'ssn', strategy: { kind: 'null' } }, { column: '*', strategy: REDACT })
    expect(text(nothing, { origin }, '123-45-6789')).toBeNull()
  })

  it('plan nothing for results that no mask concerns', () => {
    expect(masking.compile(set, 'postgres').planRows([column()])).toBeUndefined()
    expect(masking.compile({ columns: [], detectors: [] }, 'postgres').planRows([column()])).toBeUndefined()
  })

  it('compile equal sets once', () => {
    expect(masking.compile(columns({ column: 'a', strategy: REDACT }), 'postgres')).toBe(
      masking.compile(columns({ column: 'a', strategy: REDACT }), 'postgres'),
    )
  })

  it('MASK-14 give NULL for types that cannot be rebuilt and constants that do not fit', () => {
    const all = columns({ column: '*', strategy: REDACT })
    for (const type of [600, 2249, 3904, 20_000, 0, 1017]) expect(text(all, { type, origin }, 'x')).toBeNull()
    const constant = columns({ column: '*', strategy: { kind: 'constant', value: 'none' } })
    expect(text(constant, { type: 23, origin }, '5')).toBeNull()
    expect(text(constant, { type: 25, origin }, '5')).toBe('none')
    expect(
      text(columns({ column: '*', strategy: { kind: 'constant', value: '2024-02-30' } }), { type: 1082, origin }, 'x'),
    ).toBeNull()
  })

  it('MASK-14 hash to the same value in both formats', () => {
    const hash = columns({ column: '*', strategy: { kind: 'hash' } })
    const asText = text(hash, { type: 23, origin }, '1234')
    const asBinary = apply(hash, { type: 23, format: 'binary', origin }, Buffer.from([0, 0, 4, 0xd2]))
    expect(asBinary?.readInt32BE(0)).toBe(Number(asText))
    const uuid = '00112233-4455-6677-8899-aabbccddeeff'
    const binaryUuid = apply(
      hash,
      { type: 2950, format: 'binary', origin },
      Buffer.from(uuid.replaceAll('-', ''), 'hex'),
    )
    expect(text(hash, { type: 2950, origin }, uuid)?.replaceAll('-', '')).toBe(binaryUuid?.toString('hex'))
    expect(text(hash, { type: 1042, origin }, 'ada   ')).toBe(text(hash, { type: 25, origin }, 'ada'))
  })

  it('mask every element of an array and keep its shape', () => {
    const all = columns({ column: '*', strategy: partial })
    expect(text(all, { type: 1009, origin }, '{abcdef,NULL,"a,\\"b","NULL"}')).toBe('{"**cdef",NULL,"*,\\"*","****"}')
    expect(
      text(columns({ column: '*', strategy: REDACT }), { type: 1007, origin }, '[0:1][1:2]={{1,2},{3,NULL}}'),
    ).toBe('[0:1][1:2]={{0,0},{0,NULL}}')
    expect(text(all, { type: 1009, origin }, '{broken')).toBeNull()
    expect(text(all, { type: 1009, origin }, '{a}b')).toBeNull()
    expect(text(all, { type: 1009, origin }, '{}')).toBe('{}')
  })
})

describe('detectors in results', () => {
  it('read text-like columns and leave the others', () => {
    for (const type of [25, 1043, 1042, 19, 142, 0, 20_000, 2277])
      expect(text(detecting(), { type }, 'to ada@example.com')).toBe('to [redacted]')
    expect(
      masking.compile(detecting(), 'postgres').planRows([column({ type: 23 }), column({ type: 17 })]),
    ).toBeUndefined()
  })

  it('MASK-14 keep JSON valid', () => {
    expect(
      text(detecting(), { type: 114 }, '{"a": "ada@example.com", "b": [4111111111111111, -4111111111111111.0, 5]}'),
    ).toBe('{"a": "[redacted]", "b": [0, 0, 5]}')
    const quoted = detecting({ kind: 'constant', value: 'say "x"\\' })
    expect(
      JSON.parse(text(quoted, { type: 114 }, '{"a\\n": "ada@example.com \\"q\\"", "b": 4111111111111111}') ?? ''),
    ).toEqual({
      'a\n': 'say "x"\\ "q"',
      b: 'say "x"\\',
    })
    expect(
      apply(detecting(), { type: 3802, format: 'binary' }, Buffer.from('\x01{"a": "ada@example.com"}'))?.toString(),
    ).toBe('\x01{"a": "[redacted]"}')
  })

  it('MASK-13 look behind escapes in JSON', () => {
    expect(
      text(detecting(), { type: 3802 }, '{"a": "\\u0034111\\u00201111 1111 1111", "t": "x\\nada@example.com"}'),
    ).toBe('{"a": "[redacted]", "t": "x\\n[redacted]"}')
    expect(text(detecting(), { type: 114 }, '"\\uff14111111111111111"')).toBe('"[redacted]"')
  })

  it('MASK-14 never turn valid JSON invalid', () => {
    const words = fc.constantFrom(
      'ada@example.com',
      '4111111111111111',
      '"',
      '\\',
      '\n',
      '-----BEGIN PRIVATE KEY-----',
      'ssn 123456789',
      '+14155552671',
      'é',
      'x',
      '１',
    )
    const value = fc.letrec((tie) => ({
      node: fc.oneof(
        fc.array(words, { maxLength: 5 }).map((parts) => parts.join('')),
        fc.constantFrom(4111111111111111, 123456789, -1.5e10, null, true),
        fc.array(tie('node'), { maxLength: 3 }),
        fc.dictionary(
          fc.array(words, { maxLength: 3 }).map((parts) => parts.join('')),
          tie('node'),
          { maxKeys: 3 },
        ),
      ),
    })).node
    for (const strategy of [
      REDACT,
      { kind: 'hash' },
      { kind: 'partial', keepLast: 4 },
      { kind: 'constant', value: '"\\' },
    ] as const) {
      fc.assert(
        fc.property(value, (node) => {
          const masked = text(detecting(strategy), { type: 114 }, JSON.stringify(node)) ?? 'null'
          expect(() => JSON.parse(masked)).not.toThrow()
          expect(masked).not.toContain('ada@example.com')
        }),
        { numRuns: 800 },
      )
    }
  })

  it('MASK-13 find card numbers kept as numbers', () => {
    const card = 4_111_111_111_111_111n
    const int8 = Buffer.alloc(8)
    int8.writeBigInt64BE(card)
    const float8 = Buffer.alloc(8)
    float8.writeDoubleBE(Number(card))
    expect(text(detecting(), { type: 20 }, String(card))).toBe('0')
    expect(text(detecting(), { type: 20 }, '-4111111111111111')).toBe('0')
    expect(text(detecting(), { type: 20 }, '4111111111111112')).toBe('4111111111111112')
    expect(apply(detecting(), { type: 20, format: 'binary' }, int8)).toEqual(Buffer.alloc(8))
    expect(text(detecting(), { type: 1700 }, '4111111111111111.00')).toBe('0')
    // 4111 1111 1111 1111 in base 10000
    expect(
      apply(detecting(), { type: 1700, format: 'binary' }, Buffer.from('000400030000000010' + '0f045704570457', 'hex')),
    ).toEqual(Buffer.alloc(8))
    expect(text(detecting(), { type: 701 }, '4.111111111111111e+15')).toBe('0')
    expect(apply(detecting(), { type: 701, format: 'binary' }, float8)).toEqual(Buffer.alloc(8))
  })

  it('keep arrays valid in both formats', () => {
    expect(text(detecting(), { type: 1009 }, '{a,"ada@example.com","x \\"4111 1111 1111 1111\\"",NULL}')).toBe(
      '{a,"[redacted]","x \\"[redacted]\\"",NULL}',
    )
    const element = (value: string) => Buffer.concat([Buffer.from([0, 0, 0, value.length]), Buffer.from(value)])
    const array = (...values: string[]) => {
      const header = Buffer.alloc(20)
      header.writeInt32BE(1, 0)
      header.writeInt32BE(25, 8)
      header.writeInt32BE(values.length, 12)
      header.writeInt32BE(1, 16)
      return Buffer.concat([header, ...values.map(element)])
    }
    expect(apply(detecting(), { type: 1009, format: 'binary' }, array('a', 'ada@example.com', 'b'))).toEqual(
      array('a', '[redacted]', 'b'),
    )
    expect(apply(detecting(), { type: 1009, format: 'binary' }, array('a', 'b'))).toEqual(array('a', 'b'))
    expect(apply(detecting(), { type: 1009, format: 'binary' }, Buffer.from('garbage that is no array'))).toBeNull()
  })

  it('MASK-8 give NULL for binary forms that are not rebuilt when they carry a value', () => {
    expect(apply(detecting(), { type: 2249, format: 'binary' }, Buffer.from('\x00\x01ada@example.com'))).toBeNull()
    expect(apply(detecting(), { type: 20_000, format: 'binary' }, Buffer.from('plain'))).toEqual(Buffer.from('plain'))
    expect(text(detecting(), { type: 2249 }, '(1,"ada@example.com",x)')).toBe('(1,"[redacted]",x)')
  })

  it('take the label as context for bare numbers', () => {
    expect(text(detecting(), { name: 'ssn' }, '123456789')).toBe('[redacted]')
    expect(text(detecting(), { name: 'id' }, '123456789')).toBe('123456789')
    expect(text(detecting(), { name: 'x', origin: { table: 't', column: 'tax_id' } }, '123456789')).toBe('[redacted]')
  })

  it('make the cell NULL where the strategy says so', () => {
    expect(text(detecting({ kind: 'null' }), {}, 'to ada@example.com')).toBeNull()
  })

  it('MASK-9 mask names and messages as text', () => {
    const masker = masking.compile(detecting(), 'postgres')
    expect(Buffer.from(masker.maskText(Buffer.from('Key (email)=(ada@example.com) already exists.'))).toString()).toBe(
      'Key (email)=([redacted]) already exists.',
    )
    const plain = Buffer.from('nothing')
    expect(masker.maskText(plain)).toBe(plain)
  })

  it('look at nothing outside the cell', () => {
    const piece = fc.constantFrom(
      'ada@example',
      '.com',
      '4111 1111 1111',
      ' 1111',
      '123-45',
      '-6789',
      'ssn ',
      '123456789',
      '-----',
      '\\',
      'u0031',
      '+1415',
      '5552671',
      'DE',
      '89370400440532013000',
      '==',
      '１',
      'x',
    )
    const cell = fc.array(piece, { maxLength: 5 }).map((parts) => Buffer.from(parts.join('')))
    const mask = masking.compile(detecting(), 'postgres').planRows([column()])?.[0] as CellMask
    const masked = (source: Buffer, start: number, end: number) => {
      const target = new ByteWriter()
      return mask.apply(source, start, end, target) === CELL_UNCHANGED
        ? source.toString('hex', start, end)
        : target.view().toString('hex')
    }
    fc.assert(
      fc.property(cell, cell, cell, (before, bytes, after) => {
        const row = Buffer.concat([before, bytes, after])
        expect(masked(row, before.length, before.length + bytes.length)).toBe(masked(bytes, 0, bytes.length))
      }),
      { numRuns: 5_000 },
    )
  })

  it('never fail on garbage, in any type or format', () => {
    const types = [
      16, 17, 18, 20, 21, 23, 25, 114, 142, 600, 700, 701, 1000, 1007, 1009, 1016, 1082, 1186, 1231, 1700, 2249, 2950,
      3802, 3807, 20_000,
    ]
    const sets = [
      detecting(),
      columns({ column: '*', strategy: { kind: 'hash' } }),
      columns({ column: '*', strategy: { kind: 'partial', keepFirst: 2 } }),
    ]
    fc.assert(
      fc.property(
        fc.constantFrom(...types),
        fc.constantFrom('text', 'binary'),
        fc.nat(2),
        fc.uint8Array({ maxLength: 60 }),
        (type, format, set, bytes) => {
          apply(sets[set] as MaskSet, { type, format, sources: 'unknown' }, Buffer.from(bytes))
        },
      ),
      { numRuns: 5_000 },
    )
  })
})
