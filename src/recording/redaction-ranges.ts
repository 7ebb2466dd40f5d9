/** What stands for a secret in a record. */
export const MARK = '[redacted]'

/** Half-open, in UTF-16 units. */
export interface Range {
  readonly start: number
  readonly end: number
}

/** The text with a mark in place of each range; ranges may overlap and come in any order. */
export function cutRanges(text: string, ranges: Range[]): string {
  if (ranges.length === 0) return text
  ranges.sort((left, right) => left.start - right.start)
  let result = ''
  let position = 0
  for (const { start, end } of ranges) {
    if (end <= position) continue
    if (start >= position) result += text.slice(position, start) + MARK
    position = end
  }
  return result + text.slice(position)
}
