import { type ByteWriter, CELL_NULL, CELL_UNCHANGED, type CellMask } from '../core/index.js'
import { Scanner } from './detectors/index.js'
import type { Replacer, Surroundings } from './replacer.js'
import { UnescapedText } from './unescaped-text.js'

/** Replaces detected values inside a text and leaves the rest as it is. */
export class DetectingMask implements CellMask {
  readonly #replacer: Replacer
  readonly #scanner: Scanner
  readonly #unescaped = new UnescapedText()
  readonly #surroundings: Surroundings
  readonly #isNullable: boolean

  constructor(
    replacer: Replacer,
    options: { surroundings?: Surroundings; isNullable?: boolean; hasContextOfSsn?: boolean } = {},
  ) {
    this.#replacer = replacer
    this.#scanner = new Scanner(replacer.table)
    this.#scanner.hasContextOfSsn = options.hasContextOfSsn ?? false
    this.#surroundings = options.surroundings ?? 'plain'
    this.#isNullable = options.isNullable ?? true
  }

  apply(source: Uint8Array, start: number, end: number, target: ByteWriter): number {
    const scanner = this.#scanner
    scanner.start(start)
    const kind = scanner.next(source, start, end, true)
    if (kind < 0 && !scanner.sawBackslash) return CELL_UNCHANGED
    const before = target.length
    const written = kind < 0 ? CELL_UNCHANGED : this.#replace(kind, source, start, end, undefined, target)
    if (!scanner.sawBackslash || !hasUnicodeEscape(source, start, end)) return written
    // There are escapes: the whole text again, with them undone.
    target.length = before
    const text = this.#unescaped
    text.read(source, start, end, false)
    scanner.start(0)
    const first = scanner.next(text.bytes, 0, text.length, true)
    return first < 0 ? CELL_UNCHANGED : this.#replace(first, source, start, end, text, target)
  }

  #replace(
    first: number,
    source: Uint8Array,
    start: number,
    end: number,
    text: UnescapedText | undefined,
    target: ByteWriter,
  ): number {
    const scanner = this.#scanner
    const bytes = text?.bytes ?? source
    const low = text === undefined ? start : 0
    const high = text === undefined ? end : text.length
    const before = target.length
    let copied = start
    for (let kind = first; kind >= 0; kind = scanner.next(bytes, low, high, true)) {
      if (this.#isNullable && this.#replacer.isNull(kind)) {
        target.length = before
        return CELL_NULL
      }
      const isOpen = scanner.isOpen
      if (isOpen) scanner.extend(bytes, high)
      const { matchStart, matchEnd } = scanner
      target.append(source, copied, text === undefined ? matchStart : (text.offsets[matchStart] as number))
      if (isOpen && this.#replacer.strategy(kind).kind === 'partial')
        this.#replacer.writeFixed(kind, target, this.#surroundings)
      else this.#replacer.write(kind, bytes, matchStart, matchEnd, target, this.#surroundings)
      copied = text === undefined ? matchEnd : (text.offsets[matchEnd] as number)
    }
    target.append(source, copied, end)
    return target.length - before
  }
}

function hasUnicodeEscape(source: Uint8Array, start: number, end: number): boolean {
  for (let i = start; i + 5 < end; i++) if (source[i] === 0x5c && source[i + 1] === 0x75) return true
  return false
}
