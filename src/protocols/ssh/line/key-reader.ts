/** What a key on the client's keyboard asks for. */
export type KeyName =
  | 'text'
  | 'enter'
  | 'tab'
  | 'interrupt'
  | 'endOfInput'
  | 'suspend'
  | 'quit'
  | 'left'
  | 'right'
  | 'wordLeft'
  | 'wordRight'
  | 'home'
  | 'end'
  | 'backspace'
  | 'delete'
  | 'killToEnd'
  | 'killToStart'
  | 'killBlankWordLeft'
  | 'killWordLeft'
  | 'killWordRight'
  | 'yank'
  | 'transpose'
  | 'clearScreen'
  | 'historyPrevious'
  | 'historyNext'
  | 'pasteStart'
  | 'pasteEnd'
  | 'ignored'
  /** Bytes that are no character, or cannot stand in a line. */
  | 'damaged'

const MAX_SEQUENCE_BYTES = 32

const GROUND = 0
const ESCAPE = 1
const CSI = 2
const SS3 = 3
/** A report that a terminal was made to send: its content is nobody's key. */
const STRING = 4
const STRING_ESCAPE = 5

const CONTROL_KEYS: Readonly<Record<number, KeyName>> = {
  1: 'home', // Ctrl-A
  2: 'left',
  3: 'interrupt',
  4: 'endOfInput',
  5: 'end',
  6: 'right',
  8: 'backspace',
  9: 'tab',
  10: 'enter',
  11: 'killToEnd',
  12: 'clearScreen',
  13: 'enter',
  14: 'historyNext',
  16: 'historyPrevious',
  20: 'transpose',
  21: 'killToStart',
  23: 'killBlankWordLeft',
  25: 'yank',
  26: 'suspend',
  28: 'quit',
  127: 'backspace',
}

const FINAL_KEYS: Readonly<Record<string, KeyName>> = {
  A: 'historyPrevious',
  B: 'historyNext',
  C: 'right',
  D: 'left',
  H: 'home',
  F: 'end',
}

const TILDE_KEYS: Readonly<Record<string, KeyName>> = {
  '1': 'home',
  '3': 'delete',
  '4': 'end',
  '7': 'home',
  '8': 'end',
  '200': 'pasteStart',
  '201': 'pasteEnd',
}

const META_KEYS: Readonly<Record<number, KeyName>> = {
  0x62: 'wordLeft', // b
  0x66: 'wordRight', // f
  0x64: 'killWordRight', // d
  0x7f: 'killWordLeft',
  0x08: 'killWordLeft',
}

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Reads keys out of what a client's terminal sends, cut anywhere. Keeps at most 32 bytes. */
export class KeyReader {
  /** Where the last key ended. */
  keyEnd = 0
  /** The character of the last `text` key. */
  text = ''
  isPasting = false

  #state = GROUND
  #sequence = ''
  #character: number[] = []
  #needed = 0
  #isAfterReturn = false
  /** The last byte broke a character and is not part of it: it is read again. */
  #isRejected = false

  /** The next key, or undefined when `bytes[at, end)` has no whole one: it is then remembered. */
  next(bytes: Uint8Array, at: number, end: number): KeyName | undefined {
    for (let i = at; i < end; i++) {
      const byte = bytes[i] as number
      this.keyEnd = i + 1
      const key = this.#take(byte)
      if (key === undefined) continue
      if (this.#isRejected) this.keyEnd = i
      return key
    }
    this.keyEnd = end
    return undefined
  }

  #take(byte: number): KeyName | undefined {
    this.#isRejected = false
    const isAfterReturn = this.#isAfterReturn
    this.#isAfterReturn = false
    if (this.#needed > 0) return this.#continue(byte)
    switch (this.#state) {
      case ESCAPE:
        return this.#escape(byte)
      case CSI:
        return this.#csi(byte)
      case SS3:
        this.#state = GROUND
        return FINAL_KEYS[String.fromCharCode(byte)] ?? 'ignored'
      case STRING:
        if (byte === 0x1b) this.#state = STRING_ESCAPE
        else if (byte === 0x07 || byte === 0x18 || byte === 0x1a || byte === 0x03) this.#state = GROUND
        return byte === 0x03 ? 'interrupt' : undefined
      case STRING_ESCAPE:
        this.#state = GROUND
        return byte === 0x5c ? 'ignored' : this.#escape(byte)
      default:
        // CR LF is one line end.
        return byte === 0x0a && isAfterReturn ? undefined : this.#ground(byte)
    }
  }

  #ground(byte: number): KeyName | undefined {
    if (byte === 0x1b) {
      this.#state = ESCAPE
      return undefined
    }
    if (byte === 0x0d) this.#isAfterReturn = true
    if (byte < 0x20 || byte === 0x7f) {
      // Also inside a paste: whose end may never come.
      if (byte === 0x03) this.isPasting = false
      if (!this.isPasting) return CONTROL_KEYS[byte] ?? 'ignored'
      return byte === 0x0d || byte === 0x0a ? 'enter' : byte === 0x09 ? 'tab' : 'damaged'
    }
    if (byte < 0x80) {
      this.text = String.fromCharCode(byte)
      return 'text'
    }
    this.#needed = byte < 0xc2 || byte > 0xf4 ? 0 : byte < 0xe0 ? 1 : byte < 0xf0 ? 2 : 3
    if (this.#needed === 0) return 'damaged'
    this.#character = [byte]
    return undefined
  }

  #continue(byte: number): KeyName | undefined {
    if ((byte & 0xc0) !== 0x80) {
      this.#needed = 0
      this.#isRejected = true
      return 'damaged'
    }
    this.#character.push(byte)
    if (--this.#needed > 0) return undefined
    try {
      this.text = decoder.decode(Uint8Array.from(this.#character))
    } catch {
      return 'damaged'
    }
    const code = this.text.codePointAt(0) as number
    return code < 0xa0 || code === 0x2028 || code === 0x2029 || code === 0xfeff ? 'damaged' : 'text'
  }

  #escape(byte: number): KeyName | undefined {
    this.#state = GROUND
    this.#sequence = ''
    if (this.isPasting && byte >= 0x20 && byte !== 0x5b) return 'damaged'
    switch (byte) {
      case 0x1b:
        this.#state = ESCAPE
        return undefined
      case 0x5b: // [
        this.#state = CSI
        return undefined
      case 0x4f: // O
        this.#state = SS3
        return undefined
      case 0x50: // P
      case 0x58: // X
      case 0x5d: // ]
      case 0x5e: // ^
      case 0x5f: // _
        this.#state = STRING
        return undefined
      default: {
        const meta = META_KEYS[byte]
        if (meta !== undefined) return meta
        return byte < 0x20 ? this.#ground(byte) : 'ignored'
      }
    }
  }

  #csi(byte: number): KeyName | undefined {
    if (byte < 0x20 || byte >= 0x7f) {
      this.#state = GROUND
      return this.#ground(byte)
    }
    if (byte < 0x40 || (byte === 0x5b && this.#sequence === '')) {
      if (this.#sequence.length < MAX_SEQUENCE_BYTES) this.#sequence += String.fromCharCode(byte)
      return undefined
    }
    this.#state = GROUND
    const key = this.#csiKey(String.fromCharCode(byte))
    if (key === 'pasteStart') this.isPasting = true
    else if (key === 'pasteEnd') this.isPasting = false
    else if (this.isPasting) return 'damaged'
    return key
  }

  #csiKey(final: string): KeyName {
    const [first = '', modifier = '1'] = this.#sequence.split(';')
    if (final === '~') return TILDE_KEYS[first] ?? 'ignored'
    // With Ctrl or Alt, arrows move by words.
    if (modifier !== '1' && final === 'C') return 'wordRight'
    if (modifier !== '1' && final === 'D') return 'wordLeft'
    return first === '' || first === '1' ? (FINAL_KEYS[final] ?? 'ignored') : 'ignored'
  }
}
