import {
  LEFT_TO_RIGHT,
  MAPPED_TO_NOTHING,
  NON_ASCII_SPACE,
  PROHIBITED,
  RIGHT_TO_LEFT,
  UNASSIGNED,
} from './saslprep-tables.generated.js'

const nonAsciiSpace = unpack(NON_ASCII_SPACE)
const mappedToNothing = unpack(MAPPED_TO_NOTHING)
const prohibited = unpack(PROHIBITED)
const unassigned = unpack(UNASSIGNED)
const rightToLeft = unpack(RIGHT_TO_LEFT)
const leftToRight = unpack(LEFT_TO_RIGHT)

/**
 * The password as both ends of SCRAM hash it: SASLprep where it applies, and otherwise the password as it is, which is
 * what PostgreSQL does with a password that SASLprep forbids.
 *
 * @see https://www.rfc-editor.org/rfc/rfc4013
 */
export function preparePassword(password: string): string {
  // ASCII, control characters included, is never prepared: the server does not either.
  if (!/[^\x00-\x7f]/.test(password)) return password
  if (/\p{Surrogate}/u.test(password)) return password

  let mapped = ''
  for (const character of password) {
    const point = character.codePointAt(0) as number
    if (contains(nonAsciiSpace, point)) mapped += ' '
    else if (!contains(mappedToNothing, point)) mapped += character
  }
  const prepared = mapped.normalize('NFKC')
  return prepared !== '' && isAllowed(prepared) ? prepared : password
}

/** Prohibited and unassigned characters (RFC 4013 sections 2.3 and 2.5), and mixed directions (RFC 3454 section 6). */
function isAllowed(text: string): boolean {
  const points = Array.from(text, (character) => character.codePointAt(0) as number)
  let hasRightToLeft = false
  let hasLeftToRight = false
  for (const point of points) {
    if (point < 0x20 || point === 0x7f) return false
    if (contains(prohibited, point) || contains(unassigned, point)) return false
    hasRightToLeft ||= contains(rightToLeft, point)
    hasLeftToRight ||= isLeftToRight(point)
  }
  if (!hasRightToLeft) return true
  const first = points[0] as number
  const last = points[points.length - 1] as number
  return !hasLeftToRight && contains(rightToLeft, first) && contains(rightToLeft, last)
}

function isLeftToRight(point: number): boolean {
  if (point < 0x80) return (point >= 0x41 && point <= 0x5a) || (point >= 0x61 && point <= 0x7a)
  return contains(leftToRight, point)
}

/** Ascending pairs of first and last code point. */
function unpack(packed: string): readonly number[] {
  const ranges: number[] = []
  let previous = 0
  for (const entry of packed.split(' ')) {
    const [gap, more] = entry.split('.')
    const first = previous + Number.parseInt(gap as string, 36)
    previous = first + (more === undefined ? 0 : Number.parseInt(more, 36))
    ranges.push(first, previous)
  }
  return ranges
}

function contains(ranges: readonly number[], point: number): boolean {
  let low = 0
  let high = ranges.length / 2
  while (low < high) {
    const middle = (low + high) >>> 1
    if (point > (ranges[2 * middle + 1] as number)) low = middle + 1
    else high = middle
  }
  return low < ranges.length / 2 && point >= (ranges[2 * low] as number)
}
