import { type ByteWriter, CELL_NULL, CELL_UNCHANGED, type CellMask } from '../core/index.js'
import { Scanner } from './detectors/index.js'
import type { Replacer } from './replacer.js'
import { UnescapedText } from './unescaped-text.js'

/**
 * Replaces detected values inside JSON text and keeps it valid: escapes are undone before looking, replacements
 * stand escaped inside their string, and a number that is a value becomes another number.
 */
export class JsonMask implements CellMask {
  readonly #replacer: Replacer
  readonly #scanner: Scanner
  readonly #text = new UnescapedText()
  readonly #prefixBytes: number

  /** @param prefixBytes bytes before the text that are kept as they are: the version of binary jsonb */
  constructor(replacer: Replacer, options: { prefixBytes: number }) {
    this.#replacer = replacer
    this.#scanner = new Scanner(replacer.table)
    this.#prefixBytes = options.prefixBytes
  }

  apply(source: Uint8Array, start: number, end: number, target: ByteWriter): number {
    const scanner = this.#scanner
    const from = Math.min(end, start + this.#prefixBytes)
    scanner.start(from)
    let kind = scanner.next(source, from, end, true)
    if (kind < 0 && !scanner.sawBackslash) return CELL_UNCHANGED
    const text = this.#text
    text.read(source, from, end, true)
    scanner.start(0)
    const before = target.length
    let copied = start
    let read = from
    let isInString = false
    while ((kind = scanner.next(text.bytes, 0, text.length, true)) >= 0) {
      if (this.#replacer.isNull(kind)) {
        target.length = before
        return CELL_NULL
      }
      const isOpen = scanner.isOpen
      if (isOpen) scanner.extend(text.bytes, text.length)
      const matchStart = text.offsets[scanner.matchStart] as number
      let matchEnd = text.offsets[scanner.matchEnd] as number
      if (matchStart < copied) continue
      for (; read < matchStart; read++) {
        if (source[read] === 0x5c) read++
        else if (source[read] === 0x22) isInString = !isInString
      }
      if (isInString) {
        // A match never reaches over its string's end, except through text that only looks like escapes.
        const closing = closingQuote(source, matchStart, matchEnd)
        matchEnd = closing
        target.append(source, copied, matchStart)
        if (isOpen && this.#replacer.strategy(kind).kind === 'partial') this.#replacer.writeFixed(kind, target, 'json')
        else this.#replacer.write(kind, text.bytes, scanner.matchStart, scanner.matchEnd, target, 'json')
        read = matchEnd
      } else {
        const tokenStart = numberStart(source, matchStart, copied)
        matchEnd = numberEnd(source, matchEnd, end)
        target.append(source, copied, tokenStart)
        this.#writeNumber(kind, text.bytes, scanner.matchStart, scanner.matchEnd, target)
        read = Math.max(read, matchEnd)
      }
      copied = matchEnd
    }
    if (copied === start) return CELL_UNCHANGED
    target.append(source, copied, end)
    return target.length - before
  }

  #writeNumber(kind: number, bytes: Uint8Array, start: number, end: number, target: ByteWriter): void {
    const strategy = this.#replacer.strategy(kind)
    if (strategy.kind === 'hash') target.utf8(String(this.#replacer.hashNumber(kind, bytes, start, end)))
    else if (strategy.kind === 'constant') target.utf8(JSON.stringify(strategy.value))
    else target.u8(0x30)
  }
}

function closingQuote(source: Uint8Array, start: number, end: number): number {
  for (let i = start; i < end; i++) {
    if (source[i] === 0x5c) i++
    else if (source[i] === 0x22) return i
  }
  return end
}

function isNumberByte(byte: number | undefined): boolean {
  return (
    byte !== undefined &&
    ((byte >= 0x30 && byte <= 0x39) || byte === 0x2b || byte === 0x2d || byte === 0x2e || (byte | 0x20) === 0x65)
  )
}

function numberStart(source: Uint8Array, at: number, low: number): number {
  let start = at
  while (start > low && isNumberByte(source[start - 1])) start--
  return start
}

function numberEnd(source: Uint8Array, at: number, end: number): number {
  let i = at
  while (i < end && isNumberByte(source[i])) i++
  return i
}
