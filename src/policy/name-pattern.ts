import type { ColumnSource } from '../core/index.js'
import { compileGlob, globCovers, type Glob } from './glob.js'
import type { Complaint } from './shape.js'

/** PostgreSQL cuts longer names, so a longer pattern would never match. */
const MAX_NAME_BYTES = 63

/**
 * One part of a dotted name. Prohibitions compare without regard to case, because a rule that misses a
 * table for its capitals would be laxer than meant; permissions compare exactly.
 */
interface Part {
  readonly exact: Glob
  readonly folded: Glob
}

/** `schema.object.column`, filled from the right: leading parts may be missing and then match any name. */
export interface NamePattern {
  readonly source: string
  readonly parts: readonly Part[]
}

/**
 * Parses a dotted pattern of at most `maxParts` parts. A part in double quotes is taken as it stands.
 *
 * @returns a complaint where the pattern could never match
 */
export function parseNamePattern(source: string, maxParts: number): NamePattern | Complaint {
  const texts = splitName(source)
  if (texts === undefined) return { message: `\`${source}\` has an unfinished or misplaced double quote` }
  if (texts.length > maxParts) {
    return {
      message: `\`${source}\` has ${texts.length} parts and can never match`,
      hint: `write at most ${maxParts}: ${['column or table', 'schema.table', 'schema.table.column'][maxParts - 1]}`,
    }
  }
  const parts: Part[] = []
  for (const { text, isQuoted } of texts) {
    if (text === '') return { message: `\`${source}\` has an empty part and can never match` }
    if (!isQuoted && /[\s"'();]/.test(text)) {
      return { message: `\`${source}\` is no name`, hint: 'put a name with such characters in double quotes' }
    }
    const exact = compileGlob(text, { isLiteral: isQuoted })
    if (exact.literal !== undefined && Buffer.byteLength(exact.literal) > MAX_NAME_BYTES) {
      return {
        message: `\`${text}\` is longer than ${MAX_NAME_BYTES} bytes and can never match`,
        hint: 'the server cuts names there: write the cut name, or end it with `*`',
      }
    }
    parts.push({ exact, folded: compileGlob(text.toLowerCase(), { isLiteral: isQuoted }) })
  }
  return { source, parts }
}

export function isComplaint(value: NamePattern | Complaint): value is Complaint {
  return 'message' in value
}

function splitName(source: string): readonly { text: string; isQuoted: boolean }[] | undefined {
  const parts: { text: string; isQuoted: boolean }[] = []
  let index = 0
  for (;;) {
    if (source[index] === '"') {
      let text = ''
      for (index++; ; index++) {
        const character = source[index]
        if (character === undefined) return undefined
        if (character !== '"') text += character
        else if (source[index + 1] === '"') text += source[index++]
        else break
      }
      index++
      if (index < source.length && source[index] !== '.') return undefined
      parts.push({ text, isQuoted: true })
    } else {
      const dot = source.indexOf('.', index)
      const end = dot < 0 ? source.length : dot
      parts.push({ text: source.slice(index, end), isQuoted: false })
      index = end
    }
    if (index >= source.length) return parts
    index++
  }
}

/** The literal of a pattern's part counted from the right (0 is the last), lower case; undefined for globs and missing parts. */
export function literalPart(pattern: NamePattern, fromRight: number): string | undefined {
  return pattern.parts[pattern.parts.length - 1 - fromRight]?.folded.literal
}

/** The parts as written, for specifications that take exact names only. */
export function partSources(pattern: NamePattern): readonly Glob[] {
  return pattern.parts.map((part) => part.exact)
}

/** Whether a name that may be this one is meant: what is not known matches. */
export function mayMatch(pattern: NamePattern, schema: string | undefined, name: string): boolean {
  return foldedTest(pattern, 0, name) && foldedTest(pattern, 1, schema)
}

/**
 * Whether the name is certainly meant. An unknown schema is replaced by what the search path leaves no
 * doubt about.
 */
export function mustMatch(
  pattern: NamePattern,
  schema: string | undefined,
  name: string,
  searchPath: readonly string[] | undefined,
): boolean {
  return exactTest(pattern, 0, name) && mustMatchSchema(pattern, 1, schema, name, searchPath)
}

export function mayMatchColumn(pattern: NamePattern, source: ColumnSource): boolean {
  // `*` is every column of the table, so also the one that is meant.
  if (source.column !== '*' && !foldedTest(pattern, 0, source.column)) return false
  return foldedTest(pattern, 1, source.table) && foldedTest(pattern, 2, source.schema)
}

export function mustMatchColumn(
  pattern: NamePattern,
  source: ColumnSource,
  searchPath: readonly string[] | undefined,
): boolean {
  const column = pattern.parts[pattern.parts.length - 1]
  if (column === undefined) return false
  if (source.column === '*' ? !column.exact.matchesAll : !column.exact.test(source.column)) return false
  if (!exactTest(pattern, 1, source.table)) return false
  return mustMatchSchema(pattern, 2, source.schema, source.table, searchPath)
}

/** Whether a column pattern's table part certainly covers a table. */
export function mustMatchTableOf(
  pattern: NamePattern,
  schema: string | undefined,
  table: string,
  searchPath: readonly string[] | undefined,
): boolean {
  return exactTest(pattern, 1, table) && mustMatchSchema(pattern, 2, schema, table, searchPath)
}

function mustMatchSchema(
  pattern: NamePattern,
  fromRight: number,
  schema: string | undefined,
  name: string | undefined,
  searchPath: readonly string[] | undefined,
): boolean {
  const part = pattern.parts[pattern.parts.length - 1 - fromRight]
  if (part === undefined || part.exact.matchesAll) return true
  if (schema !== undefined) return part.exact.test(schema)
  // Fails closed: the server looks in pg_catalog first, and in every schema of the path in turn.
  if (name === undefined || /^pg_/i.test(name)) return false
  if (searchPath === undefined || searchPath.length === 0) return false
  return searchPath.every((entry) => part.exact.test(entry))
}

function exactTest(pattern: NamePattern, fromRight: number, name: string | undefined): boolean {
  const part = pattern.parts[pattern.parts.length - 1 - fromRight]
  if (part === undefined || part.exact.matchesAll) return true
  return name !== undefined && part.exact.test(name)
}

function foldedTest(pattern: NamePattern, fromRight: number, name: string | undefined): boolean {
  const part = pattern.parts[pattern.parts.length - 1 - fromRight]
  if (part === undefined || name === undefined) return true
  return part.folded.matchesAll || part.folded.test(name.toLowerCase()) || part.exact.test(name)
}

/** True when every name that `inner` may match is also matched by `outer`. May say false where it cannot tell. */
export function patternCovers(outer: NamePattern, inner: NamePattern): boolean {
  return outer.parts.every((part, index) => {
    if (part.folded.matchesAll) return true
    const other = inner.parts[inner.parts.length - outer.parts.length + index]
    return other !== undefined && globCovers(part.folded, other.folded)
  })
}
