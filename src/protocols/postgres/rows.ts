import { type ByteWriter, CELL_NULL, CELL_UNCHANGED, type RowPlan, SallyportError } from '../../core/index.js'
import { Backend } from './message-types.js'

const HEADER_BYTES = 5
const MAX_MESSAGE_BYTES = 0x7fff_ffff

/**
 * Masks one DataRow: Int16 count, then for each column Int32 length (-1: NULL) and Byte[n] value.
 *
 * Bytes between masked cells are copied in runs, and not before a mask has something to look at; nothing is allocated.
 *
 * @param start of the body, behind the five bytes of the message's header
 * @param plan one entry per column
 * @param out gets the whole new message when a cell changed, and nothing otherwise
 * @returns whether a cell changed
 * @throws SallyportError `upstream_protocol_violation` when row and plan do not fit, or lengths do not add up. `out` is
 *   as it was.
 */
export function maskDataRow(buffer: Buffer, start: number, end: number, plan: RowPlan, out: ByteWriter): boolean {
  const base = out.length
  let isChanged = false
  try {
    isChanged = maskCells(buffer, start, end, plan, out)
  } finally {
    if (!isChanged) out.length = base
  }
  return isChanged
}

function maskCells(buffer: Buffer, start: number, end: number, plan: RowPlan, out: ByteWriter): boolean {
  if (end - start < 2) throw violation('ends before its number of columns')
  const count = ((buffer[start] as number) << 8) | (buffer[start + 1] as number)
  if (count !== plan.length) throw violation(`has ${count} columns, expected ${plan.length}`)

  const base = out.length
  let isChanged = false
  /** Everything before this offset is in `out`. */
  let copied = start
  let position = start + 2
  for (let column = 0; column < count; column++) {
    if (end - position < 4) throw violation('ends before the length of a value')
    const lengthAt = position
    const length = readInt32(buffer, position)
    position += 4
    if (length === -1) continue
    if (length < 0 || length > end - position) throw violation(`has a value of invalid length ${length}`)
    const valueStart = position
    position += length

    const mask = plan[column]
    if (mask === undefined) continue
    if (out.length === base) {
      out.reserve(HEADER_BYTES + end - start)
      out.length += HEADER_BYTES
    }
    out.appendRun(buffer, copied, valueStart)
    copied = valueStart
    const maskedStart = out.length
    const masked = mask.apply(buffer, valueStart, position, out)
    if (masked === CELL_UNCHANGED) {
      out.length = maskedStart
      continue
    }
    isChanged = true
    copied = position
    if (masked === CELL_NULL) out.length = maskedStart
    else if (masked !== out.length - maskedStart) throw new SallyportError('internal', 'a mask miscounts its bytes')
    writeInt32(out.bytes, maskedStart - (valueStart - lengthAt), masked === CELL_NULL ? -1 : masked)
  }
  if (position !== end) throw violation(`has ${end - position} bytes behind its last value`)
  if (!isChanged) return false

  out.appendRun(buffer, copied, end)
  const total = out.length - base - 1
  if (total > MAX_MESSAGE_BYTES) throw new SallyportError('limit_exceeded', 'masked row does not fit into a message')
  out.bytes[base] = Backend.DataRow
  writeInt32(out.bytes, base + 1, total)
  return true
}

function readInt32(bytes: Uint8Array, at: number): number {
  return (
    ((bytes[at] as number) << 24) |
    ((bytes[at + 1] as number) << 16) |
    ((bytes[at + 2] as number) << 8) |
    (bytes[at + 3] as number)
  )
}

function writeInt32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 24
  bytes[at + 1] = value >>> 16
  bytes[at + 2] = value >>> 8
  bytes[at + 3] = value
}

function violation(what: string): SallyportError {
  return new SallyportError('upstream_protocol_violation', `DataRow ${what}`)
}
