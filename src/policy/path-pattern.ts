import type { FileAccess } from '../core/index.js'
import { compileGlob, globCovers, globsMeet, type Glob } from './glob.js'
import type { Complaint } from './shape.js'

/** Any number of parts, also none. */
const MANY = Symbol('many')
/**
 * What is below a path that gets another name. A pattern that begins anywhere still matches it there, as long as the path
 * that moved reaches into no other part of the pattern.
 */
const MOVED = Symbol('moved')
/** The parts of a home directory: any, but for those of directories that no home is in. */
const HOME = Symbol('home')

/** A part is compared without regard to case by prohibitions, and exactly by permissions. */
interface PatternPart {
  readonly exact: Glob
  readonly folded: Glob
}

/** A glob over normalised paths. */
export interface PathPattern {
  readonly source: string
  /** `absolute`: from `/`. `home`: from a home directory. `anywhere`: below any directory. */
  readonly root: 'absolute' | 'home' | 'anywhere'
  /** `~` or `~name`, for root `home`. */
  readonly home: string
  readonly parts: readonly (PatternPart | typeof MANY)[]
  /** The same as a prohibition searches for them, from the root on. */
  readonly searched: readonly SearchedPart[]
}

/** Where a relative path begins: in the account's home directory, or in any. */
export type PathBase = 'home' | 'unknown'

/** First parts of paths (and the second, for those of `/var`) where nobody's home directory is. */
const NO_HOMES = new Set(
  'bin boot dev etc lib lib32 lib64 libx32 proc run sbin sys usr var/log var/spool var/run var/cache'.split(' '),
)

/** Parses a pattern of paths. @returns a complaint where it could never match */
export function parsePathPattern(source: string): PathPattern | Complaint {
  if (/\p{Cc}/u.test(source)) return { message: 'a path pattern has no control characters' }
  if (/^\$\{?HOME/.test(source))
    return { message: `\`${source}\` can never match`, hint: 'write `~` for home directories' }
  const root = source.startsWith('/') ? 'absolute' : source.startsWith('~') ? 'home' : 'anywhere'
  const texts = source.split('/')
  const home = root === 'home' ? (texts[0] ?? '') : ''
  if (root !== 'anywhere') texts.shift()
  if (source.endsWith('/') && source !== '/') {
    const bare = source.replace(/\/+$/, '')
    return {
      message: `\`${source}\` ends with a slash`,
      hint: `write \`${bare}\` for it and \`${bare}/**\` for what is in it`,
    }
  }
  const parts: (PatternPart | typeof MANY)[] = []
  for (const text of source === '/' ? [] : texts) {
    if (text === '' || text === '.' || text === '..') {
      return { message: `\`${source}\` can never match`, hint: 'paths are compared without empty, `.` and `..` parts' }
    }
    if (text === '**') {
      if (parts.at(-1) !== MANY) parts.push(MANY)
      continue
    }
    if (text.includes('**')) {
      return { message: `\`${source}\`: \`**\` stands for whole parts`, hint: 'write it between slashes, or `*`' }
    }
    parts.push({ exact: compileGlob(text), folded: compileGlob(fold(text)) })
  }
  return { source, root, home, parts, searched: searchedParts(root, parts) }
}

/** The pattern of a source that was checked before. */
export function pathPattern(source: string): PathPattern {
  const parsed = parsePathPattern(source)
  // INVARIANT: matches are validated before they are compiled. A part that is no name matches nothing.
  if ('message' in parsed)
    return { source, root: 'absolute', home: '', parts: [impossible, impossible], searched: [impossible] }
  return parsed
}

const impossible: PatternPart = { exact: compileGlob('/'), folded: compileGlob('/') }

type PathToken = { readonly text: string; readonly isLiteral: boolean } | typeof MANY | typeof MOVED | typeof HOME

/** A path as far as it is known. */
export interface ReadPath {
  /** What it may be, for prohibitions. */
  readonly tokens: readonly PathToken[]
  /** What it certainly is, for permissions. Undefined: that is not certain. */
  readonly certain:
    | { readonly root: 'absolute' | 'home' | 'relative'; readonly home: string; readonly parts: readonly string[] }
    | undefined
  readonly isRecursive: boolean
}

/** What a word keeps of the shell's own characters when its value is not known. */
const UNKNOWN = /[$`'"\\(){}<>|!\p{Cc}]/u

export interface ReadPathOptions {
  readonly base: PathBase
  /** Whether an inexact path shows, in the shell's own characters, what is not known of it. */
  readonly showsUnknown: boolean
  /** The path gets another name, with all that is below it. */
  readonly isMoved?: boolean
}

/**
 * Reads the path of an access. Normalises it anew, so that a rule does not depend on who wrote it.
 *
 * What is not known of a path may be anything; so may what comes before a `..`, as that may follow a link.
 */
export function readPath(access: FileAccess, { base, showsUnknown, isMoved = false }: ReadPathOptions): ReadPath {
  const { path, isExact, isRecursive } = access
  const root = path.startsWith('/') ? 'absolute' : path.startsWith('~') ? 'home' : 'relative'
  const [first = '', ...others] = path.split('/')
  const texts = (root === 'home' ? others : [first, ...others]).filter((part) => part !== '' && part !== '.')
  const up = texts.lastIndexOf('..')
  const certain: ReadPath['certain'] =
    isExact && up < 0 ? { root, home: root === 'home' ? first : '', parts: texts } : undefined
  if (!isExact && (!showsUnknown || isAnything(path, texts, root))) return { tokens: [MANY], certain, isRecursive }
  const tokens: PathToken[] = [...startOf()]
  for (const text of texts.slice(up + 1)) tokens.push(isExact ? { text: fold(text), isLiteral: true } : tokenOf(text))
  if (isMoved) tokens.push(MOVED)
  else if (isRecursive) tokens.push(MANY)
  return { tokens, certain, isRecursive }

  function startOf(): readonly PathToken[] {
    if (up >= 0) return [MANY]
    if (root === 'absolute') return []
    // A relative path that is not exact may have lost its beginning.
    return root === 'home' || (base === 'home' && isExact) ? [HOME] : [MANY]
  }
}

/** Whether an inexact path leaves open where it leads to. What is neither a pattern nor relative hides why it is inexact. */
function isAnything(path: string, texts: readonly string[], root: 'absolute' | 'home' | 'relative'): boolean {
  return UNKNOWN.test(path) || texts.some(isWild) || (root !== 'relative' && !/[*?[]/.test(path))
}

/** A pattern that can stand for more than one name, or for `..`. */
function isWild(text: string): boolean {
  return text.includes('**') || (text.startsWith('.') && /[*?[]/.test(text))
}

function tokenOf(text: string): PathToken {
  const bracket = text.indexOf('[')
  const glob = bracket < 0 ? text : `${text.slice(0, bracket)}*`
  return { text: fold(glob), isLiteral: false }
}

/** Letter by letter, so that `?` stays one letter. */
function fold(text: string): string {
  const lower = text.normalize('NFC').toLowerCase()
  if (lower.length === text.length) return lower
  return [...text.normalize('NFC')]
    .map((letter) => (letter.toLowerCase().length === letter.length ? letter.toLowerCase() : letter))
    .join('')
}

/** Whether the path may be one that is meant, or have one below it that is touched along with it. */
export function mayTouch(pattern: PathPattern, path: ReadPath): boolean {
  const wanted = pattern.searched
  const given = path.tokens
  // Most pairs part company at their ends.
  const lastPart = wanted.at(-1)
  const lastToken = given.at(-1)
  if (lastPart !== undefined && !isRun(lastPart) && lastToken !== undefined && !isRun(lastToken)) {
    if (!partsMeet(lastPart, lastToken)) return false
  }
  const firstNamed = wanted.findIndex((part) => !isRun(part))
  // reached[j]: the pattern from i on and the path from j on have a path in common.
  let reached: boolean[] = []
  for (let i = wanted.length; i >= 0; i--) {
    const next = reached
    reached = []
    const part = wanted[i]
    for (let j = given.length; j >= 0; j--) {
      const token = given[j]
      const skipsPart = part !== undefined && next[j] === true && mayBeIn(token, wanted, i)
      const skipsToken = token !== undefined && reached[j + 1] === true && mayBeIn(part, given, j)
      if (part === undefined && token === undefined) reached[j] = true
      else if (isRun(part)) {
        // A home directory that is the root of all is meant by the names in it, not by `~/**`.
        const mayBeNone = part === MANY || j > 0 || literalOf(wanted[i + 1] ?? MANY) !== ''
        reached[j] = (next[j] === true && mayBeNone) || (skipsToken && (token !== MOVED || firstNamed < i))
      } else if (token === MOVED && i > 0 && i === firstNamed) reached[j] = reached[j + 1] === true
      else if (isRun(token)) reached[j] = reached[j + 1] === true || skipsPart
      else if (part === undefined || token === undefined) reached[j] = false
      else {
        reached[j] = next[j + 1] === true && partsMeet(part, token)
      }
    }
  }
  return reached[0] === true
}

function partsMeet({ folded }: PatternPart, token: Extract<PathToken, object>): boolean {
  return token.isLiteral ? folded.test(token.text) : globsMeet(folded.source, token.text)
}

type SearchedPart = PatternPart | typeof MANY | typeof HOME

function searchedParts(root: PathPattern['root'], parts: PathPattern['parts']): readonly SearchedPart[] {
  if (root === 'absolute') return parts
  if (root === 'anywhere' && parts[0] === MANY) return parts
  return [root === 'home' ? HOME : MANY, ...parts]
}

function isRun(part: SearchedPart | PathToken | undefined): part is typeof MANY | typeof MOVED | typeof HOME {
  return part === MANY || part === HOME || part === MOVED
}

/** Whether a run of parts may go over the part at the index: a home directory is not in directories where none is. */
function mayBeIn(
  run: SearchedPart | PathToken | undefined,
  parts: readonly (SearchedPart | PathToken)[],
  index: number,
): boolean {
  if (run !== HOME) return true
  const part = parts[index]
  if (part !== undefined && literalOf(part).startsWith('.')) return false
  if (index > 1) return true
  return !NO_HOMES.has(
    parts
      .slice(0, index + 1)
      .map(literalOf)
      .join('/'),
  )
}

function literalOf(part: SearchedPart | PathToken): string {
  if (isRun(part)) return ''
  if ('folded' in part) return part.folded.literal ?? ''
  return part.isLiteral ? part.text : ''
}

/** Whether the path is certainly one that is meant. */
export function mustTouch(pattern: PathPattern, path: ReadPath): boolean {
  if (isEverything(pattern)) return true
  return matchesCertain(pattern, path, pattern.parts, { mayBeLast: false })
}

/** Whether everything below the path certainly is meant. */
export function mustTouchBelow(pattern: PathPattern, path: ReadPath): boolean {
  if (isEverything(pattern)) return true
  return pattern.parts.at(-1) === MANY && matchesCertain(pattern, path, pattern.parts, { mayBeLast: true })
}

function isEverything({ root, parts }: PathPattern): boolean {
  return root === 'anywhere' && parts.length === 1 && parts[0] === MANY
}

/** @param mayBeLast whether a `**` at the end also stands for nothing: not for the directory itself, else */
function matchesCertain(
  { root, home }: PathPattern,
  { certain }: ReadPath,
  parts: PathPattern['parts'],
  { mayBeLast }: { readonly mayBeLast: boolean },
): boolean {
  if (certain === undefined) return false
  if (root !== 'anywhere' && (certain.root !== root || certain.home !== home)) return false
  const wanted: PathPattern['parts'] = root === 'anywhere' ? [MANY, ...parts] : parts
  const names = certain.parts
  let reached: boolean[] = []
  for (let i = wanted.length; i >= 0; i--) {
    const next = reached
    reached = []
    const part = wanted[i]
    const needsOne = part === MANY && i === wanted.length - 1 && !mayBeLast
    for (let j = names.length; j >= 0; j--) {
      const name = names[j]
      if (part === undefined) reached[j] = name === undefined
      else if (part !== MANY) reached[j] = name !== undefined && part.exact.test(name) && (next[j + 1] ?? false)
      else if (needsOne) reached[j] = name !== undefined
      else reached[j] = (next[j] ?? false) || (name !== undefined && (reached[j + 1] ?? false))
    }
  }
  return reached[0] ?? false
}

/** True when every path that `inner` matches is also matched by `outer`, as a prohibition. May say false where it cannot tell. */
export function pathCovers(outer: PathPattern, inner: PathPattern): boolean {
  if (outer.source === inner.source || isEverything(outer)) return true
  if (outer.root === 'home' || inner.root === 'home' || (outer.root === 'absolute' && inner.root !== 'absolute'))
    return false
  const outerParts: PathPattern['parts'] = outer.root === 'anywhere' ? [MANY, ...outer.parts] : outer.parts
  const innerParts: PathPattern['parts'] = inner.root === 'anywhere' ? [MANY, ...inner.parts] : inner.parts
  const covers = (i: number, j: number): boolean => {
    const wanted = outerParts[i]
    const given = innerParts[j]
    if (wanted === undefined) return given === undefined
    if (wanted === MANY) return covers(i + 1, j) || (given !== undefined && covers(i, j + 1))
    return given !== undefined && given !== MANY && globCovers(wanted.folded, given.folded) && covers(i + 1, j + 1)
  }
  // Patterns with very many `**` are left alone: to try every way would take too long.
  return outerParts.filter((part) => part === MANY).length <= 3 && covers(0, 0)
}
