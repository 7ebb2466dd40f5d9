import { createHash } from 'node:crypto'

const MAX_ENCODED_LENGTH = 120

/**
 * The name under which a session's segment is stored. Session ids may hold what users chose, so every
 * character but letters, digits, `-` and `_` is written as `~` and four hex digits: no separator, no `..`, no leading dot,
 * and two different ids never share a name. Over-long ids end in a digest of the whole id.
 *
 * @param index counted from 1
 * @example segmentName('../etc', 1) // 'session-~002e~002e~002fetc.000001.jsonl'
 */
export function segmentName(sessionId: string, index: number): string {
  return `session-${encode(sessionId)}.${String(index).padStart(6, '0')}.jsonl`
}

function encode(id: string): string {
  let encoded = ''
  for (let i = 0; i < id.length && encoded.length <= MAX_ENCODED_LENGTH; i++) {
    // Code units, not code points: a lone surrogate keeps its own name.
    const unit = id.charAt(i)
    encoded += /[A-Za-z0-9_-]/.test(unit) ? unit : `~${unit.charCodeAt(0).toString(16).padStart(4, '0')}`
  }
  if (encoded.length <= MAX_ENCODED_LENGTH) return encoded
  // `~~` occurs in no short name, so a long id cannot be made to meet one.
  return `${encoded.slice(0, 48)}~~${createHash('sha256').update(Buffer.from(id, 'utf16le')).digest('hex')}`
}
