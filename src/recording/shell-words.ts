import type { Range } from './redaction-ranges.js'

/** A word of a command line by how it looks. */
export interface ShellWord extends Range {
  /** Without quotes and backslashes. */
  readonly text: string
  /** The insides of its quoted parts. */
  readonly quoted: readonly Range[]
}

/** A simple command by how it looks: nothing is expanded, and keywords are words. */
export interface ShellWords {
  readonly words: readonly ShellWord[]
  /** Words behind `<<<`. */
  readonly hereStrings: readonly ShellWord[]
  readonly hasHereDocument: boolean
  readonly end: number
  /** What it reads comes out of the command before it. */
  readonly isPiped: boolean
}

const BLANKS = ' \t\r'
const BREAKS = ' \t\r\n\f\v;&|()<>`'

/**
 * Cuts a command line into words. Never fails: where readings differ any will do, since what follows only looks for secrets.
 *
 * @param isNested the text stands inside quotes, so that a quote behind backslashes opens and closes as well
 */
export function shellWords(text: string, range: Range, isNested: boolean): ShellWords[] {
  const commands: ShellWords[] = []
  let words: ShellWord[] = []
  let hereStrings: ShellWord[] = []
  let hasHereDocument = false
  let isPiped = false
  let isHereString = false
  let at = range.start
  const finish = (byPipe: boolean): void => {
    if (words.length > 0) commands.push({ words, hereStrings, hasHereDocument, end: at, isPiped })
    words = []
    hereStrings = []
    hasHereDocument = false
    isPiped = byPipe
  }
  while (at < range.end) {
    const character = text.charAt(at)
    if (BLANKS.includes(character) || (character === '\\' && text[at + 1] === '\n')) {
      at += character === '\\' ? 2 : 1
      continue
    }
    if (character === '<') {
      let end = at
      while (text[end] === '<' && end < range.end) end++
      isHereString = end - at === 3
      hasHereDocument ||= end - at === 2
      at = end
      continue
    }
    if (character === '>') {
      at++
      continue
    }
    if (BREAKS.includes(character)) {
      const isPipe = character === '|' && text[at + 1] !== '|' && text[at - 1] !== '|'
      finish(isPipe)
      at++
      continue
    }
    const word = wordAt(text, at, range.end, isNested)
    words.push(word)
    if (isHereString) hereStrings.push(word)
    isHereString = false
    at = word.end
  }
  finish(false)
  return commands
}

function wordAt(text: string, start: number, limit: number, isNested: boolean): ShellWord {
  const quoted: Range[] = []
  let plain = ''
  let at = start
  while (at < limit) {
    const character = text.charAt(at)
    const opening = openingAt(text, at, isNested)
    if (opening !== undefined) {
      const inside = at + opening.length
      const close = closingAt(text, inside, limit, opening)
      const end = Math.min(limit, close)
      quoted.push({ start: inside, end })
      plain += opening.endsWith("'") ? text.slice(inside, end) : text.slice(inside, end).replace(/\\([\s\S])/g, '$1')
      at = Math.min(limit, end + (opening.startsWith('$') ? 1 : opening.length))
      continue
    }
    if (character === '\\') {
      plain += text.slice(at + 1, Math.min(limit, at + 2))
      at += 2
      continue
    }
    if (BREAKS.includes(character)) break
    plain += character
    at++
  }
  return { start, end: Math.max(start + 1, Math.min(at, limit)), text: plain, quoted }
}

/** What opens a quote here: `'`, `"`, `$'`, `$"`, or in quoted text the same behind backslashes. */
function openingAt(text: string, at: number, isNested: boolean): string | undefined {
  const character = text[at]
  if (character === "'" || character === '"') return character
  if (character === '$' && (text[at + 1] === "'" || text[at + 1] === '"')) return text.slice(at, at + 2)
  if (!isNested || character !== '\\') return undefined
  let end = at
  while (text[end] === '\\') end++
  return text[end] === '"' || text[end] === "'" ? text.slice(at, end + 1) : undefined
}

function closingAt(text: string, from: number, limit: number, opening: string): number {
  if (opening === "'" || opening.startsWith('\\')) {
    let close = text.indexOf(opening, from)
    // One behind more backslashes belongs to what is inside.
    while (opening !== "'" && close > from && text[close - 1] === '\\')
      close = text.indexOf(opening, close + opening.length)
    return close === -1 ? limit : close
  }
  const quote = opening.at(-1)
  let at = from
  while (at < limit && text[at] !== quote) at += text[at] === '\\' ? 2 : 1
  return at
}
