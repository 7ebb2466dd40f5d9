import { looksLikeAscii } from './look-alikes.js'

/** Text made safe to decide on, and what is odd about it. */
export interface Rendering {
  /**
   * Printable characters and line breaks only, each break marked with `⏎`. Everything else stands as
   * `⟦...⟧`, and those brackets and `⏎` themselves do so where the text has them: no text can imitate a mark.
   */
  readonly text: string
  /** One line each, for people. Empty: the text is what it looks like. */
  readonly warnings: readonly string[]
}

export interface RenderOptions {
  /** Code points of the text that are shown. Default 8192: some pages, all of which a person can be expected to read. */
  readonly maxCharacters?: number
}

export const DEFAULT_MAX_CHARACTERS = 8192

/** Blanks in a row that are shown as they are; more would push what follows out of sight. */
const MAX_BLANKS = 8
/** The same for a run with line breaks in it: indented text has some. */
const MAX_INDENTED_BLANKS = 64
const MAX_BREAKS = 2
/** A text with more lines than this asks for scrolling. */
const MAX_LINES = 60

// Letters that run from right to left move the signs and digits around them; the brackets are our own marks.
const HIDDEN =
  /[\p{C}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\p{Script=Hebrew}\p{Script=Arabic}\p{Script=Syriac}\p{Script=Thaana}\p{Script=Nko}\p{Script=Adlam}\u2800⟦⟧⏎]|[^\P{Zs} ]/u
const FOREIGN_LETTER = /[^\P{L}\p{Script=Latin}]/u
const ASCII_LETTER = /[a-z]/i
const MARK = /\p{M}/u
const TOKEN = /[\p{L}\p{M}\p{N}_]+|[^\p{L}\p{M}\p{N}_]/uy
const PLAIN = /^[\x20-\x7e]*$/
const SPACE_RUN = / {9,}/
const BLANKS = /[ \n\t]+/y

interface Tally {
  hidden: number
  lookAlikes: number
  runs: number
}

/**
 * Renders text for a person who decides on it: controls, terminal escapes, bidirectional and zero-width
 * characters are visible, characters that pass for ASCII are named, long runs of blanks are counted
 * instead of shown. Too long a text keeps its beginning and its end, and says how much is missing between.
 */
export function renderForDisplay(text: string, options: RenderOptions = {}): Rendering {
  const limit = Math.max(16, options.maxCharacters ?? DEFAULT_MAX_CHARACTERS)
  if (text.length <= limit && PLAIN.test(text) && !SPACE_RUN.test(text)) return { text, warnings: [] }
  const tally: Tally = { hidden: 0, lookAlikes: 0, runs: 0 }
  const points = text.length > limit ? [...text] : undefined
  const warnings: string[] = []
  let rendered: string
  if (points === undefined || points.length <= limit) {
    rendered = renderPart(text, tally)
  } else {
    // The end is where a long harmless beginning wants to hide something.
    const tailCount = Math.floor(limit / 3)
    const headCount = limit - tailCount
    const missing = points.length - limit
    const head = renderPart(points.slice(0, headCount).join(''), tally)
    const tail = renderPart(points.slice(points.length - tailCount).join(''), tally)
    rendered = `${head}⟦${missing} characters not shown⟧${tail}`
    warnings.push(`${missing} of ${points.length} characters are not shown: read the whole text before deciding`)
  }
  const lines = text.split('\n').length
  if (lines > MAX_LINES) warnings.push(`${lines} lines: scroll to the end before deciding`)
  if (tally.hidden > 0) warnings.push(`${tally.hidden} characters that are invisible or change how text is shown`)
  if (tally.lookAlikes > 0) warnings.push(`${tally.lookAlikes} characters that pass for others`)
  if (tally.runs > 0) warnings.push(`${tally.runs} long runs of blanks`)
  return { text: rendered, warnings }
}

function renderPart(text: string, tally: Tally): string {
  let rendered = ''
  let at = 0
  while (at < text.length) {
    const run = blankRun(text, at, tally)
    if (run !== undefined) {
      rendered += run.text
      at = run.end
      continue
    }
    TOKEN.lastIndex = at
    // Matches whatever stands there: the two halves of the pattern are complements.
    const token = TOKEN.exec(text)?.[0] ?? text.slice(at)
    rendered += renderToken(token, tally)
    at += token.length
  }
  return rendered
}

function blankRun(text: string, start: number, tally: Tally): { text: string; end: number } | undefined {
  BLANKS.lastIndex = start
  const run = BLANKS.exec(text)?.[0]
  if (run === undefined) return undefined
  const breaks = run.split('\n').length - 1
  const end = start + run.length
  if (breaks <= MAX_BREAKS && run.length <= (breaks === 0 ? MAX_BLANKS : MAX_INDENTED_BLANKS)) {
    return { text: run.replaceAll('\t', '⟦TAB⟧').replaceAll('\n', '⏎\n'), end }
  }
  tally.runs++
  const note = breaks === 0 ? '' : `, ${breaks} of them line breaks`
  return { text: `⟦${run.length} blanks${note}⟧${breaks === 0 ? '' : '⏎\n'}`, end }
}

function renderToken(token: string, tally: Tally): string {
  if (PLAIN.test(token)) return token
  const characters = [...token]
  // A foreign letter among ASCII ones, or a word made of look-alikes only, is there to deceive.
  const isMixed = ASCII_LETTER.test(token) && FOREIGN_LETTER.test(token)
  const isDisguise = characters.every((one) => one <= '\x7f' || looksLikeAscii(one) !== undefined)
  let rendered = ''
  let marksInARow = 0
  for (let i = 0; i < characters.length; i++) {
    const one = characters[i] as string
    marksInARow = MARK.test(one) ? marksInARow + 1 : 0
    if (one <= '\x7f' && !HIDDEN.test(one)) {
      rendered += one
      continue
    }
    if (
      HIDDEN.test(one) ||
      marksInARow > 2 ||
      (marksInARow > 0 && (i === 0 || (characters[i - 1] as string) <= '\x7f'))
    ) {
      tally.hidden++
      rendered += `⟦${codePoint(one)}⟧`
      continue
    }
    const likeness = looksLikeAscii(one)
    const isForeign = FOREIGN_LETTER.test(one)
    if (likeness !== undefined && (isMixed || isDisguise || !isForeign)) {
      tally.lookAlikes++
      rendered += `⟦${codePoint(one)} like ${likeness}⟧`
    } else if (isMixed && isForeign) {
      tally.lookAlikes++
      rendered += `⟦${codePoint(one)}⟧`
    } else {
      rendered += one
    }
  }
  return rendered
}

function codePoint(character: string): string {
  const code = character.codePointAt(0) as number
  if (code === 0x0d) return 'CR'
  if (code === 0x1b) return 'ESC'
  return `U+${code.toString(16).toUpperCase().padStart(4, '0')}`
}
