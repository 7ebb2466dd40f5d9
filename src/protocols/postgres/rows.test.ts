import fc from 'fast-check'
import { Parser } from 'pg-protocol/dist/parser.js'
import { describe, expect, it } from 'vitest'
import { ByteWriter, CELL_NULL, CELL_UNCHANGED, type CellMask, type RowPlan, SallyportError } from '../../core/index.js'
import { maskDataRow } from './rows.js'

type Cell = Buffer | null

/** A whole DataRow message. */
function dataRow(cells: readonly Cell[]): Buffer {
  const writer = new ByteWriter().u8(0x44).i32(0).i16(cells.length)
  for (const cell of cells) {
    if (cell === null) writer.i32(-1)
    else writer.i32(cell.length).append(cell)
  }
  const message = writer.take()
  message.writeInt32BE(message.length - 1, 1)
  return message
}

/** Replaces a cell by `replacement(cell)`; undefined leaves it. */
function mask(replacement: (cell: Buffer) => Buffer | null | undefined): CellMask {
  return {
    apply(source, start, end, target) {
      const replaced = replacement(Buffer.from(source.subarray(start, end)))
      if (replaced === undefined) return CELL_UNCHANGED
      if (replaced === null) return CELL_NULL
      target.append(replaced)
      return replaced.length
    },
  }
}

const cell = fc.option(fc.uint8Array({ maxLength: 400 }).map((bytes) => Buffer.from(bytes)))
const replacement = fc.oneof(
  fc.constant(undefined),
  fc.constant(null),
  fc.uint8Array({ maxLength: 400 }).map((bytes) => Buffer.from(bytes)),
)
/** A cell, whether it has a mask, and what the mask makes of it. */
const column = fc.record({ cell, replacement, isMasked: fc.boolean() })

describe('maskDataRow', () => {
  it('PG-8 MASK-14 writes the row that a naive rewriting would', () => {
    fc.assert(
      fc.property(fc.array(column, { maxLength: 12 }), fc.nat(9), fc.nat(9), (columns, before, behind) => {
        const cells = columns.map((one) => one.cell)
        const plan: RowPlan = columns.map((one) => (one.isMasked ? mask(() => one.replacement) : undefined))
        const expected = columns.map((one) =>
          one.cell !== null && one.isMasked && one.replacement !== undefined ? one.replacement : one.cell,
        )
        const isChanged = columns.some((one) => one.cell !== null && one.isMasked && one.replacement !== undefined)

        const message = dataRow(cells)
        const buffer = Buffer.concat([Buffer.alloc(before, 1), message, Buffer.alloc(behind, 2)])
        const out = new ByteWriter(8).append(Buffer.from('kept'))
        expect(maskDataRow(buffer, before + 5, before + message.length, plan, out)).toBe(isChanged)
        expect(out.take()).toEqual(
          Buffer.concat([Buffer.from('kept'), isChanged ? dataRow(expected) : Buffer.alloc(0)]),
        )
      }),
    )
  })

  it('hands the mask the bytes of its cell and nothing else', () => {
    const seen: string[] = []
    const plan = [undefined, mask((bytes) => (seen.push(bytes.toString()), undefined))]
    const message = dataRow([Buffer.from('other'), Buffer.from('secret')])
    expect(maskDataRow(message, 5, message.length, plan, new ByteWriter())).toBe(false)
    expect(seen).toEqual(['secret'])
  })

  it('is read by pg-protocol as the masked row', () => {
    const out = new ByteWriter()
    const message = dataRow([Buffer.from('078-05-1120'), null, Buffer.from('x'), Buffer.alloc(0)])
    const hide = mask(() => Buffer.from('***'))
    expect(maskDataRow(message, 5, message.length, [hide, hide, undefined, mask(() => null)], out)).toBe(true)
    const seen: unknown[] = []
    new Parser().parse(out.take(), (parsed) => seen.push(parsed))
    expect(seen).toMatchObject([{ name: 'dataRow', fields: ['***', null, 'x', null] }])
  })

  it('MASK-14 keeps the empty string and NULL apart', () => {
    const message = dataRow([Buffer.alloc(0), null])
    const out = new ByteWriter()
    const plan = [mask(() => null), mask(() => Buffer.alloc(0))]
    maskDataRow(message, 5, message.length, plan, out)
    expect(out.take()).toEqual(dataRow([null, null]))
    maskDataRow(dataRow([Buffer.from('x'), null]), 5, dataRow([Buffer.from('x'), null]).length, [plan[1], plan[1]], out)
    expect(out.take()).toEqual(dataRow([Buffer.alloc(0), null]))
  })

  it('PG-12 refuses rows that do not fit the plan or do not add up, and leaves the output as it was', () => {
    const good = dataRow([Buffer.from('one'), Buffer.from('two')])
    const hide = mask(() => Buffer.from('***'))
    const plan: RowPlan = [hide, hide]
    const refused = (message: Buffer, end = message.length, withPlan = plan): void => {
      const out = new ByteWriter().append(Buffer.from('kept'))
      expect(() => maskDataRow(message, 5, end, withPlan, out)).toThrow(SallyportError)
      expect(out.view().toString()).toBe('kept')
    }
    for (let end = 5; end < good.length; end++) refused(good, end)
    refused(Buffer.concat([good, Buffer.alloc(1)]))
    refused(good, good.length, [hide])
    refused(good, good.length, [hide, hide, hide])
    for (const length of [-2, 4, 0x7fff_ffff, -0x8000_0000]) {
      const bad = Buffer.from(good)
      bad.writeInt32BE(length, 14)
      refused(bad)
    }
  })

  it('takes garbage or throws a SallyportError, nothing else', () => {
    const hide = mask(() => Buffer.from('***'))
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), fc.nat(3), (bytes, columns) => {
        const plan = Array.from({ length: columns }, () => hide)
        const buffer = Buffer.concat([Buffer.alloc(5), Buffer.from([0, columns]), bytes])
        const out = new ByteWriter()
        try {
          maskDataRow(buffer, 5, buffer.length, plan, out)
        } catch (error) {
          expect(error).toBeInstanceOf(SallyportError)
          expect(error).toHaveProperty('code', 'upstream_protocol_violation')
          expect(out.length).toBe(0)
        }
      }),
    )
  })

  it('does not trust a mask that miscounts', () => {
    const liar: CellMask = { apply: (_source, _start, _end, target) => (target.u8(0), 7) }
    const message = dataRow([Buffer.from('x')])
    expect(() => maskDataRow(message, 5, message.length, [liar], new ByteWriter())).toThrow('miscounts')
  })
})
