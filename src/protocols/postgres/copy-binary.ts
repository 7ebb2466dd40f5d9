import { ByteWriter, CELL_NULL, CELL_UNCHANGED, type RowPlan } from '../../core/index.js'
import { applyMask, type CopyFormat, copyViolation } from './copy-format.js'

const SIGNATURE = Buffer.from('PGCOPY\n\xff\r\n\0', 'latin1')
const FLAGS_AT = 11
/** Signature, Int32 flags, Int32 length of the header's extension. */
const HEADER_BYTES = 19
/** Of the flags, the upper half must be understood by whoever reads the data. */
const OIDS_FLAG = 0x0001_0000
const CRITICAL_FLAGS = 0xffff_0000

/** What is read next, and what follows it. */
type Expected = 'header' | 'extension' | 'count' | 'length' | 'value' | 'nothing'

/**
 * The binary format: a header, then for each row Int16 count and for each column Int32 length (-1: NULL) and Byte[n]
 * value, at last Int16 -1. Servers before 12 can put an OID before the columns of a row, which the count leaves out.
 *
 * @see https://www.postgresql.org/docs/18/sql-copy.html, "Binary Format"
 */
export class BinaryCopyFormat implements CopyFormat {
  readonly #plan: RowPlan
  readonly #masked = new ByteWriter()
  #expected: Expected = 'header'
  /** Bytes of what is expected that have not come, and the number that the last four of those that came make. */
  #missing = HEADER_BYTES
  #number = 0
  #flags = 0
  /** Values of the present row still to come. */
  #values = 0
  #hasOids = false
  #isRow = false

  constructor(plan: RowPlan) {
    this.#plan = plan
  }

  findRowEnd(chunk: Buffer, from: number, to: number): number {
    let position = from
    for (;;) {
      if (this.#missing > 0) {
        if (position === to) return -1
        position += this.#take(chunk, position, to)
      }
      if (this.#missing === 0 && this.#advance()) return position
    }
  }

  finish(pendingBytes: number): boolean {
    if (this.#expected !== 'nothing' || pendingBytes > 0) throw copyViolation('the end comes before the trailer')
    return false
  }

  maskRow(buffer: Buffer, start: number, end: number, copied: number, out: ByteWriter): number {
    if (!this.#isRow) return copied
    let reached = copied
    let position = start + 2
    for (let value = this.#hasOids ? -1 : 0; value < this.#plan.length; value++) {
      const lengthAt = position
      const length = buffer.readInt32BE(position)
      position += 4 + Math.max(length, 0)
      const mask = value < 0 ? undefined : this.#plan[value]
      if (mask === undefined || length < 0) continue
      const result = applyMask(mask, buffer, lengthAt + 4, position, this.#masked)
      if (result === CELL_UNCHANGED) continue
      out.appendRun(buffer, reached, lengthAt)
      if (result === CELL_NULL) out.i32(-1)
      else out.i32(result).append(this.#masked.bytes, 0, result)
      reached = position
    }
    if (position !== end) throw copyViolation('a row does not end where its lengths say')
    return reached
  }

  /** Consumes what it can of the bytes missing, and returns how many. */
  #take(chunk: Buffer, position: number, to: number): number {
    const count = Math.min(this.#missing, to - position)
    if (this.#expected === 'nothing') throw copyViolation('bytes follow the trailer')
    if (this.#expected !== 'value' && this.#expected !== 'extension') {
      for (let i = 0; i < count; i++) this.#takeByte(chunk[position + i] as number, this.#missing - i)
    }
    this.#missing -= count
    return count
  }

  #takeByte(byte: number, missing: number): void {
    this.#number = (this.#number << 8) | byte
    if (this.#expected !== 'header') return
    const at = HEADER_BYTES - missing
    if (at < FLAGS_AT && byte !== SIGNATURE[at]) throw copyViolation('the signature is wrong')
    if (at === FLAGS_AT + 3) this.#flags = this.#number
  }

  /** What was expected is complete. Returns whether a row, the header or the trailer ends with it. */
  #advance(): boolean {
    switch (this.#expected) {
      case 'header': {
        if ((this.#flags & CRITICAL_FLAGS & ~OIDS_FLAG) !== 0) throw copyViolation('the header has unknown flags')
        if (this.#number < 0) throw copyViolation('the header has a negative length')
        this.#hasOids = (this.#flags & OIDS_FLAG) !== 0
        this.#expect('extension', this.#number)
        return false
      }
      case 'extension':
        this.#isRow = false
        this.#expect('count', 2)
        return true
      case 'count':
        return this.#startRow((this.#number << 16) >> 16)
      case 'length': {
        const length = this.#number
        if (length < -1) throw copyViolation('a value has a negative length')
        this.#expect('value', Math.max(length, 0))
        return false
      }
      case 'value':
        this.#values--
        if (this.#values > 0) {
          this.#expect('length', 4)
          return false
        }
        this.#isRow = true
        this.#expect('count', 2)
        return true
      case 'nothing':
        return false
    }
  }

  #startRow(count: number): boolean {
    if (count === -1) {
      this.#isRow = false
      this.#expect('nothing', 1)
      return true
    }
    if (count !== this.#plan.length)
      throw copyViolation(`a row does not have the ${this.#plan.length} columns expected`)
    this.#values = count + (this.#hasOids ? 1 : 0)
    if (this.#values > 0) {
      this.#expect('length', 4)
      return false
    }
    this.#isRow = true
    this.#expect('count', 2)
    return true
  }

  #expect(expected: Expected, missing: number): void {
    this.#expected = expected
    this.#missing = missing
    this.#number = 0
  }
}
