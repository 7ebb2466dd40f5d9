import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { ConnectionEvent } from '../connection.js'
import { Fifo } from '../fifo.js'
import { ChunkReader } from './chunk-reader.js'
import { Outbox } from './outbox.js'
import { ByteWriter } from './writer.js'

describe('ChunkReader', () => {
  /** Frames of one length byte and that many bytes. */
  const frames = fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 12 })

  it('gives the same frames however the bytes are cut, also when lent memory is overwritten', () => {
    fc.assert(
      fc.property(
        frames,
        fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1 }),
        fc.boolean(),
        (list, cuts, isLent) => {
          const bytes = Buffer.concat(list.flatMap((body) => [Buffer.from([body.length]), body]))
          const reader = new ChunkReader()
          const found: Buffer[] = []
          for (let at = 0, i = 0; at < bytes.length; i++) {
            const count = cuts[i % cuts.length] as number
            const chunk = Buffer.from(bytes.subarray(at, at + count))
            at += count
            reader.push(chunk, isLent)
            while (reader.fill(1)) {
              const length = reader.bytes[reader.position] as number
              if (!reader.fill(1 + length)) break
              found.push(Buffer.from(reader.bytes.subarray(reader.position + 1, reader.position + 1 + length)))
              reader.position += 1 + length
            }
            reader.settle()
            if (isLent) chunk.fill(0xee)
          }
          expect(found).toEqual(list.map((body) => Buffer.from(body)))
          expect(reader.available).toBe(0)
        },
      ),
    )
  })

  it('joins a long frame that comes in small pieces in linear time', () => {
    const size = 8 * 1024 * 1024
    const reader = new ChunkReader()
    const piece = Buffer.alloc(256)
    let copies = 0
    for (let sent = 0; sent < size; sent += piece.length) {
      reader.push(piece, true)
      const before = reader.bytes
      if (reader.fill(size)) break
      reader.settle()
      if (reader.bytes !== before) copies++
    }
    expect(reader.fill(size)).toBe(true)
    // The window is copied out of lent memory once; the rest waits in pieces until all of it is there.
    expect(copies).toBeLessThanOrEqual(1)
  })

  it('lets a used-up chunk go', () => {
    const reader = new ChunkReader()
    reader.push(Buffer.alloc(100_000), false)
    reader.position = reader.limit
    reader.settle()
    expect(reader.bytes.length).toBe(0)
  })
})

describe('Outbox', () => {
  it('keeps the order of forwarded runs and own bytes, in few writes', () => {
    const chunk = Buffer.from('abcdefghij')
    const step = fc.oneof(
      fc.record({ kind: fc.constant('forward' as const), start: fc.nat(9), count: fc.integer({ min: 1, max: 5 }) }),
      fc.record({
        kind: fc.constant('send' as const),
        text: fc.string({ minLength: 1, maxLength: 4, unit: 'grapheme-ascii' }),
      }),
      fc.record({ kind: fc.constant('flush' as const) }),
    )
    fc.assert(
      fc.property(fc.array(step, { maxLength: 20 }), (steps) => {
        const events = new Fifo<ConnectionEvent>()
        const outbox = new Outbox('upstream', events)
        let expected = ''
        for (const each of steps) {
          if (each.kind === 'flush') outbox.flush()
          else if (each.kind === 'send') {
            outbox.send(Buffer.from(each.text))
            expected += each.text
          } else {
            const end = Math.min(chunk.length, each.start + each.count)
            outbox.forward(chunk, each.start, end)
            expected += chunk.toString('latin1', each.start, end)
          }
        }
        while (!outbox.isEmpty) outbox.flush()
        let written = ''
        for (let event = events.shift(); event !== undefined; event = events.shift()) {
          if (event.type === 'write') written += Buffer.from(event.bytes).toString('latin1')
        }
        expect(written).toBe(expected)
      }),
    )
  })

  it('forwards neighbours as one view of the chunk they came in', () => {
    const events = new Fifo<ConnectionEvent>()
    const outbox = new Outbox('upstream', events)
    const chunk = Buffer.alloc(10_000)
    outbox.forward(chunk, 0, 4_000)
    outbox.forward(chunk, 4_000, 9_000)
    outbox.flush()
    const event = events.shift()
    expect(event).toMatchObject({ type: 'write', to: 'upstream' })
    expect(event?.type === 'write' && event.bytes.buffer === chunk.buffer && event.bytes.length).toBe(9_000)
    expect(events.length).toBe(0)
  })
})

describe('ByteWriter', () => {
  it('writes what it is told, whatever its size', () => {
    const writer = new ByteWriter(1)
    writer.u8(1).i16(-2).i32(-3).u32(0xffffffff).append(Buffer.alloc(100, 7)).utf8('é').cstring('x')
    const expected = '01fffefffffffdffffffff' + '07'.repeat(100) + 'c3a97800'
    expect(writer.view().toString('hex')).toBe(expected)
    expect(() => writer.cstring('a\0b')).toThrow(/NUL/)
  })

  it('gives its bytes away once', () => {
    const writer = new ByteWriter()
    writer.utf8('first')
    const first = writer.take()
    writer.utf8('second')
    expect(first.toString()).toBe('first')
    expect(writer.take().toString()).toBe('second')
    expect(writer.length).toBe(0)
  })
})

describe('Fifo', () => {
  it('is a queue', () => {
    fc.assert(
      fc.property(fc.array(fc.option(fc.integer()), { maxLength: 2_000 }), (steps) => {
        const fifo = new Fifo<number>()
        const model: number[] = []
        for (const each of steps) {
          if (each === null) expect(fifo.shift()).toBe(model.shift())
          else {
            fifo.push(each)
            model.push(each)
          }
          expect(fifo.length).toBe(model.length)
          expect(fifo.peek()).toBe(model[0])
          expect(fifo.at(model.length - 1)).toBe(model.at(-1))
        }
      }),
      { numRuns: 30 },
    )
  })
})
