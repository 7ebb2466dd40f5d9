import { isUtf8 } from 'node:buffer'

/** A path as rules see it. */
export interface ResolvedPath {
  readonly path: string
  readonly isExact: boolean
}

/** A path as it came. */
export interface DecodedPath {
  readonly text: string
  /** False: `text` shows some bytes as `\xHH`, and another path may look the same. */
  readonly isUtf8: boolean
}

/** Answers to REALPATH that are remembered: as many as a person changes directories, far from what costs memory. */
const MAX_CANONICAL = 64

/** @returns undefined for a path with a NUL byte: where it ends is for the server to say, so nobody may send one */
export function decodePath(bytes: Buffer): DecodedPath | undefined {
  if (bytes.includes(0)) return undefined
  if (isUtf8(bytes)) return { text: bytes.toString('utf8'), isUtf8: true }
  let text = ''
  for (const byte of bytes) text += byte < 0x80 ? String.fromCharCode(byte) : `\\x${byte.toString(16)}`
  return { text, isUtf8: false }
}

/** The part before the last slash; `/` and `.` where there is none. */
export function directoryOf(path: string): string {
  const slash = path.lastIndexOf('/')
  if (slash > 0) return path.slice(0, slash)
  return slash === 0 ? '/' : '.'
}

export function joinPath(directory: string, name: string): string {
  if (directory === '.') return name
  return directory.endsWith('/') ? `${directory}${name}` : `${directory}/${name}`
}

/**
 * Takes empty, `.` and `..` parts out of a path without knowing anything about it.
 *
 * @returns `isExact` false for a relative path, and where a `..` follows a name: if that is a symbolic link, the server goes
 *   somewhere else
 */
export function normalizePath(text: string): ResolvedPath {
  return new PathResolver().resolve({ text, isUtf8: true })
}

/**
 * Turns what a client sends into the paths that rules see, with what the server has said about its directories.
 *
 * Symbolic links are not seen: a path is where the client points, and the server may follow a link from there.
 */
export class PathResolver {
  #workingDirectory: string | undefined
  readonly #canonical = new Set<string>()
  /** A relative path was resolved while the working directory was not known. Cleared by whoever looks. */
  hasMissedWorkingDirectory = false

  /** Undefined until the server has told it. */
  get workingDirectory(): string | undefined {
    return this.#workingDirectory
  }

  /** @param base what a relative path is relative to; default: the server's working directory */
  resolve({ text, isUtf8: isExactText }: DecodedPath, base?: ResolvedPath): ResolvedPath {
    let isExact = isExactText
    let parts: string[] = []
    let isRooted = true
    if (!text.startsWith('/')) {
      if (base === undefined && this.#workingDirectory === undefined) this.hasMissedWorkingDirectory = true
      const from = base?.path ?? this.#workingDirectory
      isExact &&= base?.isExact ?? from !== undefined
      isRooted = from?.startsWith('/') ?? false
      parts = from === undefined ? [] : from.split('/').filter((part) => part !== '' && part !== '.')
    }
    for (const part of text.split('/')) {
      if (part === '' || part === '.') continue
      if (part !== '..') parts.push(part)
      else if (parts.length === 0 || parts.at(-1) === '..') {
        if (!isRooted) parts.push(part)
      } else {
        isExact &&= this.#isDirectory(`/${parts.join('/')}`)
        parts.pop()
      }
    }
    const path = parts.join('/')
    if (isRooted) return { path: `/${path}`, isExact }
    if (path === '') return { path: '.', isExact }
    // A file of that name, not somebody's home.
    return { path: path.startsWith('~') ? `./${path}` : path, isExact }
  }

  /** The server's answer to REALPATH: no part of it is a symbolic link, so that `..` may be taken out behind it. */
  learn(answer: string, options: { readonly isWorkingDirectory: boolean }): void {
    const { path } = normalizePath(answer)
    if (!answer.startsWith('/') || path !== answer) return
    if (options.isWorkingDirectory) this.#workingDirectory ??= path
    this.#canonical.delete(path)
    this.#canonical.add(path)
    if (this.#canonical.size > MAX_CANONICAL) {
      for (const oldest of this.#canonical) {
        this.#canonical.delete(oldest)
        break
      }
    }
  }

  /** Names may mean something else from now on: something was renamed, removed or linked. */
  forget(movedPath?: string): void {
    this.#canonical.clear()
    const directory = this.#workingDirectory
    if (movedPath === undefined || directory === undefined) return
    if (directory === movedPath || directory.startsWith(movedPath === '/' ? '/' : `${movedPath}/`)) {
      this.#workingDirectory = undefined
    }
  }

  #isDirectory(path: string): boolean {
    if (this.#workingDirectory === path) return true
    for (const known of this.#canonical) if (known === path || known.startsWith(`${path}/`)) return true
    return false
  }
}
