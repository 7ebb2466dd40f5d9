import { directoryOf, joinPath, normalizePath, type ResolvedPath } from '../files/paths.js'
import type { ScpCommand } from './parse-command.js'

/** Of the target's shell: what stands for more or other than itself. */
const PATTERN = /[*?[\]{}$`\\!]/

/** Where the files of one scp are: each list holds every path that a name may turn out to be. */
export class ScpPaths {
  readonly #command: ScpCommand
  readonly #directories: (readonly ResolvedPath[])[] = []

  constructor(command: ScpCommand) {
    this.#command = command
  }

  get depth(): number {
    return this.#directories.length
  }

  enter(candidates: readonly ResolvedPath[]): void {
    this.#directories.push(candidates)
  }

  leave(): void {
    this.#directories.pop()
  }

  /** @returns none where the command line does not name such a file */
  candidates(name: string, isUtf8: boolean): readonly ResolvedPath[] {
    const found = this.#found(name)
    return isUtf8 ? found : found.map(({ path }) => ({ path, isExact: false }))
  }

  #found(name: string): readonly ResolvedPath[] {
    const inside = this.#directories.at(-1)
    if (inside !== undefined) return inside.map((directory) => child(directory, name))
    const { mode, paths, expectsDirectory } = this.#command
    if (mode === 'source') return paths.flatMap((word) => sourcePaths(word, name))
    const word = paths[0] ?? '.'
    const target = wordPath(word)
    // Only the target knows whether this is a directory, so that it may be either.
    const isDirectory = expectsDirectory || /(?:^|\/)\.{0,2}$/.test(word) || word === '~'
    return isDirectory ? [child(target, name)] : [target, child(target, name)]
  }
}

function child({ path, isExact }: ResolvedPath, name: string): ResolvedPath {
  return { path: joinPath(path, name), isExact }
}

/** What a word of the command line names, as far as it tells. */
function wordPath(word: string): ResolvedPath {
  const isPattern = PATTERN.test(word) || word.startsWith('~')
  const { path, isExact } = normalizePath(word)
  return { path: word.startsWith('~') ? path.replace(/^\.\//, '') : path, isExact: isExact && !isPattern }
}

/** A source names each file by the last part of its path. */
function sourcePaths(word: string, name: string): readonly ResolvedPath[] {
  const path = wordPath(word)
  if (path.path.slice(path.path.lastIndexOf('/') + 1) === name) return [path]
  if (/^~[^/]*\/*$/.test(word)) return [{ path: path.path, isExact: false }]
  if (PATTERN.test(word)) return [{ path: joinPath(directoryOf(path.path), name), isExact: false }]
  return []
}
