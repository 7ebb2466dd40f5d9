/** Longer texts are cheap to parse compared with what they do, and keys of them would fill the cache. */
const MAX_LENGTH = 4_096

const OTHER = 0
const WORD = 1
const DIGIT = 2
const QUOTE = 3
/** Whatever makes a text too special for this reader: it gets no key. */
const STRANGE = 4

const CLASSES: Uint8Array = (() => {
  const classes = new Uint8Array(128)
  for (let code = 0; code < 32; code++) classes[code] = STRANGE
  for (const blank of '\t\n\r ') classes[blank.charCodeAt(0)] = OTHER
  for (let code = 0x30; code <= 0x39; code++) classes[code] = DIGIT
  for (let code = 0x41; code <= 0x5a; code++) classes[code] = WORD
  for (let code = 0x61; code <= 0x7a; code++) classes[code] = WORD
  classes[0x5f] = WORD // _
  classes[0x27] = QUOTE // '
  for (const special of '"$\\@&`~\x7f') classes[special.charCodeAt(0)] = STRANGE
  return classes
})()

/**
 * The text with each plain literal replaced by its kind, so that texts which differ in nothing else share a key. Undefined for
 * a text with anything but plain words, signs and literals in it: comments, quoted names, dollar quotes, escapes, prefixes, parameters.
 *
 * INVARIANT: of two texts with one key, both have the same tokens but for the values of integers of up to nine digits and of
 * quoted strings without a backslash.
 */
export function shapeKey(text: string): string | undefined {
  const { length } = text
  if (length > MAX_LENGTH) return undefined
  let key = ''
  let copied = 0
  for (let at = 0; at < length; ) {
    const code = text.charCodeAt(at)
    const kind = code < 128 ? CLASSES[code] : STRANGE
    switch (kind) {
      case WORD: {
        do at++
        while (at < length && isWordPart(text.charCodeAt(at)))
        // A word that touches a quote may be a prefix that changes what the quotes mean (E'', B'', N'', U&'').
        if (at < length && text.charCodeAt(at) === 0x27) return undefined
        break
      }
      case DIGIT: {
        const start = at
        do at++
        while (at < length && isDigit(text.charCodeAt(at)))
        const next = at < length ? text.charCodeAt(at) : 0x20
        const previous = start > 0 ? text.charCodeAt(start - 1) : 0x20
        // 1.5, .5, 1e3, 1_000, 0x10 and what is no number at all keep their text.
        if (next === 0x2e || next === 0x27 || isWordPart(next) || previous === 0x2e) return undefined
        if (at - start <= 9) {
          key += `${text.slice(copied, start)}0`
          copied = at
        }
        break
      }
      case QUOTE: {
        const start = at
        const end = stringEnd(text, at)
        if (end === -1) return undefined
        key += `${text.slice(copied, start)}''`
        copied = end
        at = end
        break
      }
      case OTHER: {
        // Comments.
        const next = at + 1 < length ? text.charCodeAt(at + 1) : 0
        if ((code === 0x2d && next === 0x2d) || (code === 0x2f && next === 0x2a)) return undefined
        at++
        break
      }
      default:
        return undefined
    }
  }
  return copied === 0 ? text : key + text.slice(copied)
}

/** Behind the closing quote of the string that opens at `at`; -1 where there is none, or the string is not a plain one. */
function stringEnd(text: string, at: number): number {
  let end = at + 1
  for (;;) {
    end = text.indexOf("'", end)
    if (end === -1) return -1
    if (text.charCodeAt(end + 1) !== 0x27) break
    end += 2
  }
  for (let i = at + 1; i < end; i++) {
    const code = text.charCodeAt(i)
    if (code === 0x5c || code === 0) return -1
  }
  return end + 1
}

function isDigit(code: number): boolean {
  return code >= 0x30 && code <= 0x39
}

function isWordPart(code: number): boolean {
  return code >= 128 || CLASSES[code] === WORD || CLASSES[code] === DIGIT
}
