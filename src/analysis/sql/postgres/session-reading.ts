import type { SqlSessionState } from '../../../core/index.js'
import type { LexicalFacts } from './lexer.js'
import type { WalkEnvironment } from './walker.js'

/** What of the session state changes how a text is read. */
export interface SessionReading extends WalkEnvironment {
  readonly standardConformingStrings: boolean
  /** `utf8`; `ascii-safe`: no byte of a longer character looks like ASCII; `unsafe`: some do, or it is not known. */
  readonly encoding: 'utf8' | 'ascii-safe' | 'unsafe'
  readonly acceptsVerticalTab: boolean
}

/** Every encoding a client may ask for in which a byte below 128 is always the ASCII character. */
const ASCII_SAFE =
  /^(?:sqlascii|latin\d+|iso8859\d*|win\d+|windows\d+|koi8|koi8r|koi8u|euccn|eucjp|eucjis2004|euckr|euctw|muleinternal|abc|alt|tcvn\d*|vscii|win|unicode)$/

export function sessionReading(state: SqlSessionState): SessionReading {
  const version = Number.parseInt(state.serverVersion ?? '', 10)
  return {
    standardConformingStrings: state.standardConformingStrings,
    encoding: encodingKind(state.clientEncoding),
    acceptsVerticalTab: version >= 16,
    hasSqlJson: version >= 17,
    trustsBuiltins: searchesBuiltinsFirst(state.searchPath),
  }
}

/** Equal for states under which every text is read the same. */
export function readingKey(reading: SessionReading): number {
  const encoding = reading.encoding === 'utf8' ? 0 : reading.encoding === 'ascii-safe' ? 1 : 2
  return (
    encoding +
    (reading.standardConformingStrings ? 4 : 0) +
    (reading.acceptsVerticalTab ? 8 : 0) +
    (reading.hasSqlJson ? 16 : 0) +
    (reading.trustsBuiltins ? 32 : 0)
  )
}

/** Why a text cannot be judged under this reading by a parser that has settings of its own. Undefined: it can. */
export function readingProblem(reading: SessionReading, facts: LexicalFacts, text: string): string | undefined {
  if (facts.hasBackslashInPlainString && !reading.standardConformingStrings) {
    return 'a string holds a backslash, and standard_conforming_strings is off'
  }
  if (facts.hasVerticalTab && !reading.acceptsVerticalTab) return 'a vertical tab, which not every server version reads'
  if (facts.hasNonAscii && reading.encoding === 'unsafe') {
    return 'a character beyond ASCII, in a client encoding whose bytes may look like ASCII'
  }
  // Names are cut at 63 bytes of the server's encoding; the parser counts in UTF-8.
  if (facts.hasNonAscii && reading.encoding !== 'utf8' && /[\w$\u0080-\uffff]{32}/.test(text)) {
    return 'a long name beyond ASCII, in a client encoding other than UTF8'
  }
  return undefined
}

function encodingKind(name: string): SessionReading['encoding'] {
  const folded = name.toLowerCase().replace(/[^a-z0-9]/g, '')
  if (folded === 'utf8' || folded === 'unicode') return 'utf8'
  return ASCII_SAFE.test(folded) ? 'ascii-safe' : 'unsafe'
}

/** pg_catalog comes first unless search_path names it further back. An unknown search_path is taken not to. */
function searchesBuiltinsFirst(searchPath: string | undefined): boolean {
  if (searchPath === undefined) return true
  const schemas = searchPath.split(',').map((part) => part.trim().replace(/^"(.*)"$/, '$1'))
  const place = schemas.findIndex((schema) => schema.toLowerCase() === 'pg_catalog')
  return place <= 0
}
