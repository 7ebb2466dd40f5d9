import { characterWidth, hasNoSequences, TERMINAL_PART, TerminalModes, TerminalParser } from '../../../core/index.js'

const MAX_BYTES = 2_048
const MAX_CELLS = 1_024
const TAB_WIDTH = 8

/** The line that a target's output stands in: the prompt, as a rule. Also follows the terminal's modes. */
export class OutputLine {
  columns: number
  /** The cursor's column. */
  column = 0
  readonly modes = new TerminalModes()
  readonly #parser = new TerminalParser()
  #bytes: number[] = []
  #isOverlong = false
  #cells: string[] = []
  #decoder = new TextDecoder()
  #partial: Uint8Array = Buffer.alloc(0)

  constructor(columns: number) {
    this.columns = columns
  }

  /** What stands in the line, without colours and trailing blanks cut by nobody. */
  get text(): string {
    return this.#cells.join('')
  }

  /** The line's bytes, for drawing it again. Empty when it has too many. */
  get bytes(): Uint8Array {
    return this.#isOverlong ? Buffer.alloc(0) : Buffer.from(this.#bytes)
  }

  /** The line is over, whoever ended it. */
  newLine(): void {
    this.#startLine()
    this.column = 0
  }

  /**
   * @param onModes told the offset in `chunk` behind a sequence that could have changed modes. Answers true to stop there
   * @returns how much of the chunk was taken
   */
  push(chunk: Uint8Array, onModes: () => boolean): number {
    if (this.#partial.length === 0 && this.#parser.isGround && hasNoSequences(chunk)) {
      const start = chunk.lastIndexOf(0x0a)
      if (start > 0) {
        this.#startLine()
        this.column = 0
        this.#run(chunk, start - (chunk[start - 1] === 0x0d ? 1 : 0), onModes)
        return chunk.length
      }
    }
    const carried = this.#partial.length
    const bytes = carried === 0 ? chunk : Buffer.concat([this.#partial, chunk])
    this.#partial = Buffer.alloc(0)
    return this.#run(bytes, 0, onModes) - carried
  }

  #run(bytes: Uint8Array, from: number, onModes: () => boolean): number {
    const parser = this.#parser
    for (let at = from; at < bytes.length; at = parser.partEnd) {
      const part = parser.next(bytes, at, bytes.length)
      if (part === TERMINAL_PART.partial) {
        this.#partial = Buffer.from(bytes.subarray(at))
        break
      }
      if (part === TERMINAL_PART.control) {
        this.#control(bytes[at] as number)
        continue
      }
      this.#keep(bytes, at, parser.partEnd)
      if (part === TERMINAL_PART.text) this.#text(bytes.subarray(at, parser.partEnd))
      else if (part === TERMINAL_PART.sequence && parser.isComplete) {
        if (this.modes.apply(parser)) {
          if (onModes()) return parser.partEnd
        } else if (parser.sequenceType === 'csi' && parser.prefix === 0 && parser.intermediate === 0) this.#csi()
      }
    }
    return bytes.length
  }

  #startLine(): void {
    this.#bytes = []
    this.#isOverlong = false
    this.#cells = []
    this.#decoder = new TextDecoder()
  }

  #keep(bytes: Uint8Array, from: number, to: number): void {
    if (this.#isOverlong) return
    if (this.#bytes.length + to - from > MAX_BYTES) {
      this.#isOverlong = true
      this.#bytes = []
      return
    }
    for (let i = from; i < to; i++) this.#bytes.push(bytes[i] as number)
  }

  #text(bytes: Uint8Array): void {
    for (const character of this.#decoder.decode(bytes, { stream: true })) {
      const width = characterWidth(character.codePointAt(0) as number)
      if (width === 0) continue
      if (this.column + width > this.columns) this.column = 0
      this.#put(character)
      this.column += width
    }
  }

  #put(character: string): void {
    if (this.column >= MAX_CELLS) return
    while (this.#cells.length < this.column) this.#cells.push(' ')
    this.#cells[this.column] = character
  }

  #control(byte: number): void {
    if (byte === 0x0a) return this.#startLine()
    if (byte === 0x0d) this.column = 0
    else if (byte === 0x08) this.column = Math.max(0, this.column - 1)
    else if (byte === 0x09)
      this.column = Math.min(this.columns - 1, (Math.floor(this.column / TAB_WIDTH) + 1) * TAB_WIDTH)
    else return
    this.#keep(Uint8Array.of(byte), 0, 1)
  }

  #csi(): void {
    const parser = this.#parser
    const count = parser.parameter(0, 1)
    switch (parser.final) {
      case 0x43: // C
        this.column += count
        break
      case 0x44: // D
        this.column -= count
        break
      case 0x47: // G
        this.column = count - 1
        break
      case 0x48: // H
      case 0x66: // f
        this.#startLine()
        this.column = parser.parameter(1, 1) - 1
        break
      case 0x45: // E
      case 0x46: // F
        this.#startLine()
        this.column = 0
        break
      case 0x4a: // J
      case 0x4b: // K
        if (parser.parameter(0, 0) === 0) this.#cells.length = Math.min(this.#cells.length, this.column)
        else this.#cells.fill(' ')
        break
      case 0x50: // P
        this.#cells.splice(this.column, count)
        break
      case 0x40: // @
        this.#cells.splice(this.column, 0, ...new Array<string>(Math.min(count, this.columns)).fill(' '))
        this.#cells.length = Math.min(this.#cells.length, MAX_CELLS)
        break
      default:
    }
    this.column = Math.max(0, Math.min(this.column, this.columns - 1))
  }
}
