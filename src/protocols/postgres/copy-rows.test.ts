import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ByteWriter, CELL_NULL, CELL_UNCHANGED, type CellMask, type RowPlan, SallyportError } from '../../core/index.js'
import { createCopyMasker } from './copy-rows.js'

type Cell = Buffer | null

const TEXT = { format: 'text', delimiter: '\t', nullText: '\\N', quote: '"', escape: '"' } as const
const CSV = { format: 'csv', delimiter: ',', nullText: '', quote: '"', escape: '"' } as const
const CSV_ODD = { format: 'csv', delimiter: ';', nullText: 'NULL', quote: "'", escape: '\\' } as const
const BINARY = { ...TEXT, format: 'binary' } as const
const STYLES = [TEXT, CSV, CSV_ODD, BINARY] as const
type Style = (typeof STYLES)[number]

const IDENTITY: CellMask = { apply: () => CELL_UNCHANGED }

/** Replaces what a cell holds by `=` and the same reversed, `null` by NULL, and leaves cells that begin with `k`. */
const REVERSE: CellMask = {
  apply(source, start, end, target) {
    const text = Buffer.from(source.subarray(start, end))
    if (text[0] === 0x6b) return CELL_UNCHANGED
    if (text.equals(Buffer.from('null'))) return CELL_NULL
    target.append(reversed(text))
    return text.length + 1
  },
}

function reversed(text: Buffer): Buffer {
  return Buffer.concat([Buffer.from('='), Buffer.from(text).reverse()])
}

function afterReverse(cell: Cell): Cell {
  if (cell === null || cell.equals(Buffer.from('null'))) return null
  return cell[0] === 0x6b ? cell : reversed(cell)
}

/** Writes rows the way the server's COPY TO does. */
function encode(style: Style, rows: readonly (readonly Cell[])[]): Buffer {
  if (style.format === 'binary') return encodeBinary(rows)
  const cell = style.format === 'text' ? encodeTextCell : encodeCsvCell
  const lines = rows.map((row) => row.map((one) => cell(style, one, row.length === 1)).join(style.delimiter))
  return Buffer.from(lines.map((line) => `${line}\n`).join(''), 'latin1')
}

function encodeTextCell(style: Style, cell: Cell): string {
  if (cell === null) return style.nullText
  const letters: Record<string, string> = {
    '\b': 'b',
    '\f': 'f',
    '\n': 'n',
    '\r': 'r',
    '\t': 't',
    '\v': 'v',
    '\\': '\\',
  }
  return cell.toString('latin1').replace(/[\b\f\n\r\t\v\\]/g, (character) => `\\${letters[character] as string}`)
}

function encodeCsvCell(style: Style, cell: Cell, isOnly: boolean): string {
  if (cell === null) return style.nullText
  const text = cell.toString('latin1')
  const needsQuotes =
    text === style.nullText || [style.delimiter, style.quote, '\n', '\r'].some((special) => text.includes(special))
  if (!needsQuotes && !(isOnly && text === '\\.')) return text
  return (
    style.quote +
    text.replace(/["'\\]/g, (c) => (c === style.quote || c === style.escape ? style.escape + c : c)) +
    style.quote
  )
}

function encodeBinary(rows: readonly (readonly Cell[])[]): Buffer {
  const writer = new ByteWriter().append(Buffer.from('PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0', 'latin1'))
  for (const row of rows) {
    writer.i16(row.length)
    for (const cell of row) {
      if (cell === null) writer.i32(-1)
      else writer.i32(cell.length).append(cell)
    }
  }
  return writer.i16(-1).take()
}

interface MaskOptions {
  readonly cuts?: readonly number[]
  readonly header?: boolean
  readonly maxRowBytes?: number
  readonly nullText?: string
  /** By pushTo instead of push. */
  readonly into?: ByteWriter
}

function maskCopy(style: Style, plan: RowPlan, data: Buffer, options: MaskOptions = {}): Buffer {
  const { cuts = [], into, ...rest } = options
  const masker = createCopyMasker({ ...style, header: false, maxRowBytes: 100_000, ...rest, plan })
  const ends = [...cuts.map((cut) => cut % (data.length + 1)).sort((a, b) => a - b), data.length]
  const pieces: Buffer[] = []
  let start = 0
  for (const end of ends) {
    if (into !== undefined) {
      masker.pushTo(data, start, end, into)
      start = end
      continue
    }
    // A copy: what a masker returns must not depend on the chunk staying as it is, once it has been used.
    const chunk = Buffer.from(data.subarray(start, end))
    pieces.push(Buffer.from(masker.push(chunk)))
    chunk.fill(0x21)
    start = end
  }
  pieces.push(masker.end())
  return Buffer.concat(into === undefined ? pieces : [into.take(), ...pieces])
}

/** Latin-1 on purpose: bytes that are no valid UTF-8 must pass through. No NUL: it has no place in a text value. */
const character = fc.oneof(
  fc.constantFrom(...Array.from('\t\n\r\b\f\v\\"\',;k.Nx7')),
  fc.integer({ min: 1, max: 255 }).map((code) => String.fromCharCode(code)),
)
const text = fc.oneof(
  fc.constantFrom('', '\\.', '\\N', 'null', 'NULL', '\\', '"', '""', "\\'"),
  fc.array(character, { maxLength: 12 }).map((characters) => characters.join('')),
)
const cell = fc.option(text.map((latin1) => Buffer.from(latin1, 'latin1')))
const rows = fc
  .integer({ min: 1, max: 4 })
  .chain((width) => fc.array(fc.array(cell, { minLength: width, maxLength: width }), { minLength: 1, maxLength: 6 }))
const cuts = fc.array(fc.nat(500), { maxLength: 20 })
const style = fc.constantFrom(...STYLES)

function codeOf(action: () => unknown): string {
  try {
    action()
  } catch (error) {
    if (error instanceof SallyportError) return error.code
    throw error
  }
  return 'nothing was thrown'
}

describe('copy masker', () => {
  it('PG-10 MASK-13 masks what the cells mean, wherever the data are cut', () => {
    fc.assert(
      fc.property(
        style,
        rows,
        cuts,
        fc.array(fc.boolean(), { minLength: 4, maxLength: 4 }),
        (as, table, at, masked) => {
          const plan = (table[0] as Cell[]).map((_, column) => (masked[column] ? REVERSE : undefined))
          const expected = table.map((row) => row.map((one, column) => (plan[column] ? afterReverse(one) : one)))
          const data = encode(as, table)
          const once = maskCopy(as, plan, data)
          expect(maskCopy(as, plan, data, { cuts: at })).toEqual(once)
          expect(maskCopy(as, plan, data, { cuts: Array.from(data.keys()) })).toEqual(once)
          expect(maskCopy(as, plan, data, { cuts: at, into: new ByteWriter(1) })).toEqual(once)
          expect(decode(as, once)).toEqual(expected)
        },
      ),
      { numRuns: 300 },
    )
  })

  it('leaves every byte as it is when nothing is masked', () => {
    fc.assert(
      fc.property(style, rows, cuts, (as, table, at) => {
        const data = encode(as, table)
        const plan = (table[0] as Cell[]).map(() => IDENTITY)
        expect(maskCopy(as, plan, data, { cuts: at })).toEqual(data)
      }),
    )
  })

  it('gives back a view of a chunk in which nothing changed', () => {
    const chunk = encode(TEXT, [[Buffer.from('a')], [Buffer.from('b')]])
    const masker = createCopyMasker({ ...TEXT, header: false, plan: [IDENTITY], maxRowBytes: 100 })
    expect(masker.push(chunk).buffer).toBe(chunk.buffer)
  })

  it('PG-10 lets through whole rows only', () => {
    const masker = createCopyMasker({ ...TEXT, header: false, plan: [REVERSE], maxRowBytes: 100 })
    expect(masker.push(Buffer.from('ab\ncd')).toString()).toBe('=ba\n')
    expect(masker.push(Buffer.from('e')).toString()).toBe('')
    expect(masker.push(Buffer.from('f\n\n')).toString()).toBe('=fedc\n=\n')
    expect(masker.push(Buffer.from('last')).toString()).toBe('')
    expect(masker.end().toString()).toBe('=tsal')
  })

  it('PG-10 MASK-13 sees through every escape that a reader of the text format knows', () => {
    const seen: string[] = []
    const spy: CellMask = {
      apply(source, start, end) {
        seen.push(Buffer.from(source.subarray(start, end)).toString('latin1'))
        return CELL_UNCHANGED
      },
    }
    maskCopy(TEXT, [spy], Buffer.from('\\x30\\67\\070-\\8\\x4g\\q\\\\\\t\\\t\n'))
    expect(seen).toEqual(['078-8\x04gq\\\t\t'])
  })

  it('MASK-14 keeps NULL apart from values, quoted ones included', () => {
    expect(maskCopy(CSV, [REVERSE, REVERSE], Buffer.from(',""\n')).toString()).toBe(',"="\n')
    expect(maskCopy(CSV_ODD, [REVERSE, REVERSE], Buffer.from("NULL;'NULL'\n")).toString()).toBe("NULL;'=LLUN'\n")
    expect(maskCopy(TEXT, [REVERSE, REVERSE], Buffer.from('\\N\t\\\\N\n')).toString()).toBe('\\N\t=N\\\\\n')
    const toNull: CellMask = { apply: (_source, _start, _end, target) => (target.append(Buffer.from('NULL')), 4) }
    expect(maskCopy(CSV_ODD, [toNull], Buffer.from('x\n')).toString()).toBe("'NULL'\n")
  })

  it('MASK-13 masks a text that reads like the NULL marker and may be the value it was copied from', () => {
    const nullText = '078-05-1120'
    expect(maskCopy(TEXT, [REVERSE], Buffer.from('078-05-1120\n'), { nullText }).toString()).toBe('=0211-50-870\n')
  })

  it('PG-10 keeps a header line, and masks its names where it is told to', () => {
    for (const as of [TEXT, CSV]) {
      const data = encode(as, [
        [Buffer.from('id'), Buffer.from('078-05-1120')],
        [Buffer.from('1'), Buffer.from('x')],
      ])
      const expected = (name: string) =>
        encode(as, [
          [Buffer.from('id'), Buffer.from(name)],
          [Buffer.from('=1'), Buffer.from('=x')],
        ])
      expect(maskCopy(as, [REVERSE, REVERSE], data, { header: true })).toEqual(expected('078-05-1120'))
      const headerMasker = {
        maskText: (name: Uint8Array) => (name.length === 11 ? Buffer.from('a\tb"c') : name),
      }
      const masker = createCopyMasker({ ...as, header: true, headerMasker, plan: [REVERSE, REVERSE], maxRowBytes: 100 })
      expect(masker.push(data)).toEqual(expected('a\tb"c'))
    }
  })

  it('PG-10 understands OIDs and an extended header in the binary format, and refuses what it does not know', () => {
    const row = Buffer.from([0, 1, 0, 0, 0, 4, 0, 0, 0, 9, 0, 0, 0, 1, 65, 255, 255])
    const header = (flags: number) =>
      Buffer.concat([Buffer.from('PGCOPY\n\xff\r\n\0', 'latin1'), Buffer.from([0, flags, 0, 0, 0, 0, 0, 2, 7, 7])])
    const masked = Buffer.from([0, 1, 0, 0, 0, 4, 0, 0, 0, 9, 0, 0, 0, 2, 61, 65, 255, 255])
    expect(maskCopy(BINARY, [REVERSE], Buffer.concat([header(1), row]))).toEqual(Buffer.concat([header(1), masked]))
    expect(codeOf(() => maskCopy(BINARY, [REVERSE], Buffer.concat([header(2), row])))).toBe(
      'upstream_protocol_violation',
    )
  })

  it('copies rows of no columns', () => {
    expect(maskCopy(TEXT, [], Buffer.from('\n\n')).toString()).toBe('\n\n')
    expect(maskCopy(CSV, [], Buffer.from('\n\n')).toString()).toBe('\n\n')
    const binary = encodeBinary([[], []])
    expect(maskCopy(BINARY, [], binary)).toEqual(binary)
  })

  it.each([
    ['too few cells', TEXT, 'a\n'],
    ['too many cells', TEXT, 'a\tb\tc\n'],
    ['a cell in a row of no columns', TEXT, 'a\tb\n\n'],
    ['a backslash before the line end', TEXT, 'a\tb\\\nc\td\n'],
    ['too few cells', CSV, 'a\n'],
    ['too many cells', CSV, 'a,b,c\n'],
    ['a quote in the middle of a cell', CSV, 'a,b"c"\n'],
    ['text behind a closing quote', CSV, 'a,"b"c\n'],
    ['quotes without an end', CSV, 'a,"b\n'],
    ['a wrong signature', BINARY, 'PGCOPX\n\xff\r\n\0\0\0\0\0\0\0\0\0\xff\xff'],
    ['no trailer', BINARY, 'PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0'],
    ['nothing at all', BINARY, ''],
    ['bytes behind the trailer', BINARY, 'PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0\xff\xff\0'],
    ['a wrong number of columns', BINARY, 'PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0\0\x03'],
    ['a value of length -2', BINARY, 'PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0\0\x02\xff\xff\xff\xfe'],
  ] as const)('PG-10 refuses data with %s (%#)', (_, as, data) => {
    for (const at of [[], Array.from({ length: data.length }, (_unused, index) => index)]) {
      const action = () => maskCopy(as, [REVERSE, REVERSE], Buffer.from(data, 'latin1'), { cuts: at })
      expect(codeOf(action)).toBe('upstream_protocol_violation')
    }
  })

  it('PG-12 refuses a row that is too long before it has kept it', () => {
    for (const as of STYLES) {
      const data = encode(as, [[Buffer.alloc(2000, 0x61)]])
      const every = Array.from(data.keys())
      expect(codeOf(() => maskCopy(as, [REVERSE], data, { maxRowBytes: 1000 }))).toBe('limit_exceeded')
      expect(codeOf(() => maskCopy(as, [REVERSE], data, { maxRowBytes: 1000, cuts: every }))).toBe('limit_exceeded')
      expect(maskCopy(as, [REVERSE], data, { maxRowBytes: 3000, cuts: every })).toEqual(maskCopy(as, [REVERSE], data))
    }
  })

  it('MASK-13 takes time in proportion to its input, in pieces as small as they come', () => {
    const timeOf = (cells: number): number => {
      const data = encode(CSV, [Array.from({ length: cells }, () => Buffer.from('a"b'))])
      const plan = Array.from({ length: cells }, () => REVERSE)
      const startedAt = process.cpuUsage()
      maskCopy(CSV, plan, data, { cuts: Array.from(data.keys()), maxRowBytes: 1e9 })
      return process.cpuUsage(startedAt).user
    }
    timeOf(1000)
    expect(timeOf(20_000) / timeOf(5000)).toBeLessThan(12)
  })

  it('takes garbage or throws a SallyportError, nothing else', () => {
    const garbage = fc.oneof(
      fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes)),
      fc.array(character, { maxLength: 60 }).map((characters) => Buffer.from(characters.join(''), 'latin1')),
    )
    fc.assert(
      fc.property(style, garbage, cuts, fc.boolean(), (as, bytes, at, hasHeader) => {
        const data =
          as.format === 'binary' && hasHeader ? Buffer.concat([encodeBinary([]).subarray(0, 19), bytes]) : bytes
        try {
          maskCopy(as, [REVERSE, undefined], data, { cuts: at })
        } catch (error) {
          expect(error).toBeInstanceOf(SallyportError)
          expect(error).toHaveProperty('code', 'upstream_protocol_violation')
        }
      }),
    )
  })

  it('refuses options that the server would refuse', () => {
    for (const wrong of [
      { delimiter: '' },
      { delimiter: '\n' },
      { delimiter: 'ab' },
      { quote: 'é' },
      { escape: '\0' },
    ]) {
      const options = { ...CSV, header: false, plan: [], maxRowBytes: 1, ...wrong }
      expect(codeOf(() => createCopyMasker(options))).toBe('invalid_option')
    }
  })
})

/** Reads rows the way COPY FROM does: written anew for the tests, from the manual. */
function decode(style: Style, data: Buffer): Cell[][] {
  if (style.format === 'binary') return decodeBinary(data)
  return style.format === 'text'
    ? decodeText(style, data.toString('latin1'))
    : decodeCsv(style, data.toString('latin1'))
}

function decodeText(style: Style, data: string): Cell[][] {
  const letters: Record<string, string> = { b: '\b', f: '\f', n: '\n', r: '\r', t: '\t', v: '\v' }
  return data
    .slice(0, -1)
    .split('\n')
    .map((line) =>
      line.split(style.delimiter).map((raw) => {
        if (raw === style.nullText) return null
        return Buffer.from(
          raw.replace(/\\(.)/gs, (_, letter: string) => letters[letter] ?? letter),
          'latin1',
        )
      }),
    )
}

function decodeCsv(style: Style, data: string): Cell[][] {
  const table: Cell[][] = []
  let row: Cell[] = []
  for (let i = 0; i < data.length; ) {
    let value = ''
    let isQuoted = false
    if (data[i] === style.quote) {
      isQuoted = true
      for (i++; ; i++) {
        const next = data[i + 1]
        if (data[i] === style.escape && (next === style.quote || next === style.escape)) value += data[++i]
        else if (data[i] === style.quote) break
        else value += data[i]
      }
      i++
    } else {
      while (data[i] !== style.delimiter && data[i] !== '\n') value += data[i++]
    }
    row.push(!isQuoted && value === style.nullText ? null : Buffer.from(value, 'latin1'))
    if (data[i++] === '\n') {
      table.push(row)
      row = []
    }
  }
  return table
}

function decodeBinary(data: Buffer): Cell[][] {
  const table: Cell[][] = []
  let i = 19
  for (let count = data.readInt16BE(i); count !== -1; count = data.readInt16BE(i)) {
    i += 2
    const row: Cell[] = []
    for (let column = 0; column < count; column++) {
      const length = data.readInt32BE(i)
      i += 4
      row.push(length < 0 ? null : Buffer.from(data.subarray(i, i + length)))
      i += Math.max(length, 0)
    }
    table.push(row)
  }
  return table
}
