/** What one look over a text's characters tells, before the parser sees it. */
export interface LexicalFacts {
  /** The text is not even lexically whole, or too large or too deep to be parsed. Undefined: parse it. */
  readonly problem: string | undefined
  /** A backslash inside '...': standard_conforming_strings = off gives the text another meaning. */
  readonly hasBackslashInPlainString: boolean
  /** A vertical tab outside strings and comments: white space since version 16, an error before. */
  readonly hasVerticalTab: boolean
  readonly hasNonAscii: boolean
  /**
   * Comments between the parts of one literal, from and to in turn. The server skips them; the parser takes them for
   * tokens of their own and so the parts for two literals: it must be given blanks in their place.
   */
  readonly commentsInLiterals: readonly number[]
  /** The text with literals replaced by `$n`, comments dropped and white space collapsed. Cut at {@link MAX_SHAPE_LENGTH}. */
  readonly shape: string
}

export interface LexerLimits {
  /** UTF-16 code units. Texts above it are refused unparsed. */
  readonly maxTextLength: number
  /** Operators, joins, set operations and brackets on the longest path from a statement to its innermost expression. */
  readonly maxDepth: number
  /** Words, literals and signs: what the time to judge a text grows with. */
  readonly maxTokens: number
  readonly maxStatements: number
}

/** A shape is for people and for grouping: longer ones say nothing more. */
export const MAX_SHAPE_LENGTH = 4096

/** Characters that the parser's scanner may read more than once: about a tenth of a second's work. */
const MAX_SIGNS_COST = 20_000_000

/** Words that make a tree deeper without a bracket. */
const DEEPENING_WORDS = new Set(
  'and or not is isnull notnull like ilike similar between in collate at case join escape operator overlaps any all some'.split(
    ' ',
  ),
)
const SET_OPERATIONS = new Set(['union', 'intersect', 'except'])

/**
 * Reads `text` by PostgreSQL's lexical rules with standard_conforming_strings = on, in one pass and linear time.
 * Where the server reads it with the setting off, both readings agree up to the first backslash in a plain string.
 */
export function lex(text: string, limits: LexerLimits): LexicalFacts {
  if (text.length > limits.maxTextLength) return refusal('the text is too long')
  const scan = new Scan(text)
  while (scan.problem === undefined && scan.at < text.length) {
    scan.token()
    if (scan.tokens > limits.maxTokens) scan.problem = 'the text has too many parts'
    if (scan.statements > limits.maxStatements) scan.problem = 'the text has too many statements'
  }
  if (scan.problem === undefined && scan.depthReached() > limits.maxDepth) scan.problem = 'the text nests too deeply'
  return {
    problem: scan.problem,
    hasBackslashInPlainString: scan.hasBackslash,
    hasVerticalTab: scan.hasVerticalTab,
    hasNonAscii: scan.hasNonAscii,
    commentsInLiterals: scan.commentsInLiterals,
    shape: scan.shape(),
  }
}

function refusal(problem: string): LexicalFacts {
  return {
    problem,
    hasBackslashInPlainString: false,
    hasVerticalTab: false,
    hasNonAscii: false,
    commentsInLiterals: [],
    shape: '',
  }
}

// Character classes, one byte per ASCII code. Everything above is an identifier character, as in the server.
const OTHER = 0
const SPACE = 1
const WORD = 2
const DIGIT = 3
const OPERATOR = 4
const CLASSES = new Uint8Array(128)
for (let code = 0; code < 128; code++) {
  const character = String.fromCharCode(code)
  if (/[ \t\n\r\f]/.test(character)) CLASSES[code] = SPACE
  else if (/[A-Za-z_]/.test(character)) CLASSES[code] = WORD
  else if (/[0-9]/.test(character)) CLASSES[code] = DIGIT
  else if (/[~!@#^&|`?+\-*/%<>=]/.test(character)) CLASSES[code] = OPERATOR
}

function classOf(code: number): number {
  // The end of the text (NaN) is OTHER.
  return code >= 128 ? WORD : (CLASSES[code] ?? OTHER)
}

function isWordPart(code: number): boolean {
  const kind = classOf(code)
  return kind === WORD || kind === DIGIT || code === 0x24 // $
}

/** What stands between the first opening bracket of a statement and the one that closes it. Undefined: no such pair. */
export function insideFirstBracket(text: string): string | undefined {
  const scan = new Scan(text)
  let start = -1
  while (scan.problem === undefined && scan.at < text.length) {
    const isBracket = text[scan.at] === '(' || text[scan.at] === ')'
    scan.token()
    if (!isBracket) continue
    if (start === -1) start = scan.at
    else if (scan.bracketDepth === 0) return text.slice(start, scan.at - 1)
  }
  return undefined
}

/** One bracket level: how deep the tree under it may be. */
interface Level {
  operators: number
  setOperations: number
  inner: number
  deepest: number
}

class Scan {
  at = 0
  problem: string | undefined
  hasBackslash = false
  hasVerticalTab = false
  hasNonAscii = false
  readonly commentsInLiterals: number[] = []
  tokens = 0
  private signsEnd = 0
  private signsCost = 0
  statements = 1
  private readonly pieces: string[] = []
  private piecesLength = 0
  private gap = false
  private literals = 0
  private highestParameter = 0
  private readonly levels: Level[] = [newLevel()]
  private deepest = 0
  private readonly text: string

  constructor(text: string) {
    this.text = text
  }

  token(): void {
    const { text } = this
    const start = this.at
    const code = text.charCodeAt(start)
    const next = text.charCodeAt(start + 1)
    switch (classOf(code)) {
      case SPACE:
        this.at++
        this.gap = true
        return
      case WORD:
        return this.word(code, next)
      case DIGIT:
        return this.number()
      case OPERATOR:
        if (code === 0x2d /* - */ && next === 0x2d) return this.lineComment()
        if (code === 0x2f /* / */ && next === 0x2a) return this.blockComment()
        this.chargeSigns(start)
        this.at++
        this.level().operators++
        return this.emit(text[start] ?? '')
      default:
        return this.punctuation(code, next)
    }
  }

  get bracketDepth(): number {
    return this.levels.length - 1
  }

  shape(): string {
    let number = this.highestParameter
    let result = ''
    for (const piece of this.pieces) result += piece === LITERAL ? `$${++number}` : piece
    return this.piecesLength > MAX_SHAPE_LENGTH ? `${result}...` : result
  }

  depthReached(): number {
    while (this.levels.length > 1) this.close()
    this.endStatement()
    return this.deepest
  }

  private punctuation(code: number, next: number): void {
    const { text } = this
    switch (code) {
      case 0x27: // '
        return this.plainString()
      case 0x22: // "
        return this.quotedIdentifier(this.at)
      case 0x24: // $
        return this.dollar(next)
      case 0x28: // (
      case 0x5b: // [
        this.levels.push(newLevel())
        break
      case 0x29: // )
      case 0x5d: // ]
        if (this.levels.length > 1) this.close()
        break
      case 0x2c: // ,
        this.endItem()
        break
      case 0x3b: // ;
        this.endStatement()
        break
      case 0x2e: // .
        if (classOf(next) === DIGIT) return this.number()
        break
      case 0x3a: // :
        if (next === 0x3a) this.level().operators++
        break
      case 0x0b: // vertical tab
        this.hasVerticalTab = true
        this.gap = true
        this.at++
        return
      case 0x00:
        this.problem = 'the text contains a NUL character'
        return
    }
    this.at++
    this.emit(text[this.at - 1] ?? '')
  }

  private word(code: number, next: number): void {
    if (next === 0x27 /* ' */) {
      // e'..' has escapes; b'..', x'..' and n'..' are as plain as '..'.
      if (code === 0x45 || code === 0x65) return this.escapeString(this.at + 1)
      if (code === 0x42 || code === 0x62 || code === 0x58 || code === 0x78 || code === 0x4e || code === 0x6e) {
        this.at++
        return this.plainString()
      }
    }
    if ((code === 0x55 || code === 0x75) /* u */ && next === 0x26 /* & */) {
      const quote = this.text.charCodeAt(this.at + 2)
      if (quote === 0x27) {
        this.at += 2
        return this.plainString()
      }
      if (quote === 0x22) return this.quotedIdentifier(this.at + 2)
    }
    const start = this.at
    let end = start
    for (let part = code; isWordPart(part); part = this.text.charCodeAt(++end)) {
      if (part >= 128) this.hasNonAscii = true
    }
    this.at = end
    const word = this.text.slice(start, end)
    this.emit(word)
    if (word.length > 9) return
    const folded = word.toLowerCase()
    if (DEEPENING_WORDS.has(folded)) this.level().operators++
    else if (SET_OPERATIONS.has(folded)) this.level().setOperations++
  }

  /** Junk behind a number is left to the parser; `1..2` is two numbers there and looks like one here, which is harmless. */
  private number(): void {
    let end = this.at
    for (let code = this.text.charCodeAt(end); isWordPart(code) || code === 0x2e; code = this.text.charCodeAt(++end)) {
      const isExponent = code === 0x65 || code === 0x45
      const sign = this.text.charCodeAt(end + 1)
      if (isExponent && (sign === 0x2b || sign === 0x2d) && classOf(this.text.charCodeAt(end + 2)) === DIGIT) end++
      if (code >= 128) this.hasNonAscii = true
    }
    this.at = end
    this.emit(LITERAL)
  }

  private plainString(): void {
    const { text } = this
    let from = this.at + 1
    for (;;) {
      const end = text.indexOf("'", from)
      if (end === -1) return this.unfinished()
      this.note(from, end, true)
      const continued = text.charCodeAt(end + 1) === 0x27 ? end + 1 : this.continuation(end + 1)
      if (continued === -1) {
        this.at = end + 1
        return this.emit(LITERAL)
      }
      from = continued + 1
    }
  }

  private escapeString(quote: number): void {
    const { text } = this
    let end = quote + 1
    for (;;) {
      const code = text.charCodeAt(end)
      if (Number.isNaN(code)) return this.unfinished()
      if (code === 0x00) return this.unfinished()
      if (code >= 128) this.hasNonAscii = true
      if (code === 0x5c /* \ */) end += 2
      else if (code !== 0x27) end++
      else if (text.charCodeAt(end + 1) === 0x27) end += 2
      else {
        const continued = this.continuation(end + 1)
        if (continued === -1) break
        end = continued + 1
      }
    }
    this.at = end + 1
    this.emit(LITERAL)
  }

  /** A literal goes on in the next line: white space and line comments with at least one line end, then a quote. Its place, or -1. */
  private continuation(from: number): number {
    const { text } = this
    const comments: number[] = []
    let sawLineEnd = false
    for (let at = from; ; at++) {
      const code = text.charCodeAt(at)
      if (code === 0x0a || code === 0x0d) sawLineEnd = true
      else if (code === 0x2d && text.charCodeAt(at + 1) === 0x2d) {
        const end = this.lineEnd(at)
        comments.push(at, end)
        at = end - 1
      } else if (code === 0x27) {
        if (!sawLineEnd) return -1
        for (const place of comments) this.commentsInLiterals.push(place)
        return at
      } else if (classOf(code) !== SPACE && code !== 0x0b) return -1
    }
  }

  private quotedIdentifier(quote: number): void {
    const start = this.at
    let from = quote + 1
    for (;;) {
      const end = this.text.indexOf('"', from)
      if (end === -1) return this.unfinished()
      this.note(from, end, false)
      from = end + 1
      if (this.text.charCodeAt(from) !== 0x22) break
      from++
    }
    this.at = from
    this.emit(this.text.slice(start, from))
  }

  private dollar(next: number): void {
    const { text } = this
    if (classOf(next) === DIGIT) {
      let end = this.at + 1
      while (classOf(text.charCodeAt(end)) === DIGIT) end++
      const parameter = text.slice(this.at, end)
      this.highestParameter = Math.max(this.highestParameter, Math.min(Number(parameter.slice(1)), 65_535))
      this.at = end
      return this.emit(parameter)
    }
    let tagEnd = this.at + 1
    while (isWordPart(text.charCodeAt(tagEnd)) && text.charCodeAt(tagEnd) !== 0x24) tagEnd++
    if (text.charCodeAt(tagEnd) !== 0x24) {
      this.at++
      return this.emit('$')
    }
    const tag = text.slice(this.at, tagEnd + 1)
    const end = text.indexOf(tag, tagEnd + 1)
    if (end === -1) return this.unfinished()
    this.note(this.at, end, false)
    this.at = end + tag.length
    this.emit(LITERAL)
  }

  private lineComment(): void {
    const end = this.lineEnd(this.at)
    this.note(this.at, end, false)
    this.at = end
    this.gap = true
  }

  private lineEnd(from: number): number {
    let end = from
    for (let code = this.text.charCodeAt(end); code !== 0x0a && code !== 0x0d && end < this.text.length; ) {
      code = this.text.charCodeAt(++end)
    }
    return end
  }

  /** PostgreSQL's scanner reads a run of operator characters to its end, again for every operator or comment that begins in it. */
  private chargeSigns(from: number): void {
    if (from >= this.signsEnd) {
      let end = from
      while (classOf(this.text.charCodeAt(end)) === OPERATOR) end++
      this.signsEnd = end
    }
    this.signsCost += this.signsEnd - from
    if (this.signsCost > MAX_SIGNS_COST) this.problem = 'the text has too many operator characters in a row'
  }

  /** They nest. */
  private blockComment(): void {
    const { text } = this
    let depth = 1
    let at = this.at + 2
    this.chargeSigns(this.at)
    while (depth > 0) {
      if (at >= text.length) return this.unfinished()
      const code = text.charCodeAt(at)
      const next = text.charCodeAt(at + 1)
      if (code === 0x2a /* * */ && next === 0x2f) {
        depth--
        at += 2
      } else if (code === 0x2f && next === 0x2a) {
        depth++
        this.chargeSigns(at)
        if (this.problem !== undefined) return
        at += 2
      } else at++
    }
    this.note(this.at, at, false)
    this.at = at
    this.gap = true
  }

  private note(from: number, to: number, isPlainString: boolean): void {
    for (let at = from; at < to; at++) {
      const code = this.text.charCodeAt(at)
      if (code >= 128) this.hasNonAscii = true
      else if (code === 0x5c && isPlainString) this.hasBackslash = true
      else if (code === 0) this.problem = 'the text contains a NUL character'
    }
  }

  private unfinished(): void {
    this.problem = this.text.includes('\0', this.at)
      ? 'the text contains a NUL character'
      : 'a string, quoted name or comment has no end'
  }

  private emit(piece: string): void {
    this.tokens++
    if (this.piecesLength > MAX_SHAPE_LENGTH) return
    if (this.gap && this.pieces.length > 0) this.pieces.push(' ')
    this.gap = false
    this.pieces.push(piece)
    this.piecesLength += piece.length + 2
  }

  private level(): Level {
    return this.levels[this.levels.length - 1] ?? newLevel()
  }

  /** A comma ends a chain of operators, but not one of set operations. */
  private endItem(): void {
    const level = this.level()
    level.deepest = Math.max(level.deepest, level.operators + level.inner)
    level.operators = 0
    level.inner = 0
  }

  private close(): void {
    this.endItem()
    const level = this.levels.pop() ?? newLevel()
    const outer = this.level()
    outer.inner = Math.max(outer.inner, level.deepest + level.setOperations + 1)
  }

  private endStatement(): void {
    this.statements++
    this.endItem()
    const level = this.level()
    this.deepest = Math.max(this.deepest, level.deepest + level.setOperations)
    level.deepest = 0
    level.setOperations = 0
  }
}

/** Stands for a literal until the numbers that are free are known. No token of a text is this. */
const LITERAL = '\0'

function newLevel(): Level {
  return { operators: 0, setOperations: 0, inner: 0, deepest: 0 }
}
