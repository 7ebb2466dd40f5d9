import { ANY, isKnownShape, ONE, type WordValue } from './word-value.js'

/**
 * Directories that a command may find itself in: absolute, beginning with `~`, `''` for the one the line starts in,
 * or undefined for one that nobody here knows.
 */
export type Places = readonly (string | undefined)[]

export const START: Places = ['']

const MAX_PLACES = 4

/** No system has longer paths. */
export const MAX_PATH_LENGTH = 4096

export function mergePlaces(a: Places, b: Places): Places {
  const merged = [...new Set([...a, ...b])]
  return merged.length > MAX_PLACES ? [undefined] : merged
}

export interface ResolvedPath {
  readonly path: string
  readonly shape: string
  readonly isExact: boolean
}

/** What a word names as a path, from each of the places. */
export function resolvePath(word: WordValue, places: Places): readonly ResolvedPath[] {
  const { shape } = word
  // A tilde in quotes is a file of that name.
  const isLiteralTilde = word.isKnown && word.text.startsWith('~') && !word.hasTilde
  const text = isLiteralTilde ? `./${word.text}` : shape.startsWith('~') && !word.hasTilde ? shape : word.text
  const path = word.isKnown ? normalizePath(text) : display(word)
  const isAnchored = shape.startsWith('/') || word.hasTilde || shape.startsWith('~/') || shape.startsWith(ANY)
  const isExact = word.isKnown && !climbs(text)
  if (isAnchored && !isLiteralTilde) return [{ path, shape: normalizePath(shape), isExact }]
  return places.map((place) => {
    if (place === undefined) return { path, shape: `${ANY}/${normalizePath(shape)}`, isExact: false }
    if (place === '') return { path: isLiteralTilde ? `./${path}` : path, shape: normalizePath(shape), isExact }
    const joined = normalizePath(`${place}/${shape}`)
    return {
      path: word.isKnown ? joined : normalizePath(`${place}/${path}`),
      shape: joined,
      isExact: isKnownShape(joined) && !climbs(text),
    }
  })
}

/** Where a part with a name is a link, `..` behind it leads elsewhere than to where the link stands. */
export function climbs(path: string): boolean {
  let isNamed = false
  for (const part of path.split('/')) {
    if (part === '..' && isNamed) return true
    isNamed ||= part !== '' && part !== '.' && part !== '..'
  }
  return false
}

/** `$HOME/x` reads better, and matches better, as `~/x`. */
function display({ text, shape }: WordValue): string {
  if (!shape.startsWith('~')) return normalizePath(text)
  return normalizePath(text.replace(/^(?:\$HOME|\$\{HOME\})(?=\/|$)/, '~'))
}

/** Without empty and `.` parts, with `..` taken back where the part before is a plain name, without a slash at the end. */
export function normalizePath(path: string): string {
  const isAbsolute = path.startsWith('/')
  const parts: string[] = []
  for (const part of path.split('/')) {
    if (part === '' || part === '.') continue
    const last = parts.at(-1)
    if (part !== '..') parts.push(part)
    else if (last === undefined ? !isAbsolute : last === '..' || !isPlain(last)) parts.push(part)
    else parts.pop()
  }
  if (isAbsolute) return `/${parts.join('/')}`
  return parts.length === 0 ? '.' : parts.join('/')
}

function isPlain(part: string): boolean {
  return !part.startsWith('~') && !part.includes(ANY) && !part.includes(ONE) && !/[$*?[`{]/.test(part)
}
