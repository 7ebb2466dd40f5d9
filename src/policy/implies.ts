import { bareFlag, fileEntries, hostGlobs, type ProgramEntry, programEntries } from './channel-tests.js'
import { compileGlob, globCovers } from './glob.js'
import { textPatterns } from './compile-match.js'
import { columnEntries, tableEntries } from './fact-tests.js'
import { many, type Match, type OneOrMany } from './match.js'
import { canonicalJson } from './canonical-json.js'
import { type NamePattern, patternCovers } from './name-pattern.js'
import { pathCovers } from './path-pattern.js'

export interface ImpliesOptions {
  /** How `inner` is read: as a permission's match, or as a prohibition's like `outer`. */
  readonly isPermission: boolean
}

/**
 * True when every command that `inner` matches is also matched by `outer`, read as a prohibition's match.
 * Works on what is written, so it says false where it cannot tell.
 */
export function matchImplies(inner: Match, outer: Match, options: ImpliesOptions): boolean {
  for (const key of matchKeys(outer)) {
    if (inner[key] === undefined || !keyImplies(key, inner, outer, options)) return false
  }
  return true
}

function matchKeys(match: Match): readonly (keyof Match)[] {
  return MATCH_KEYS.filter((key) => match[key] !== undefined)
}

const MATCH_KEYS = [
  'protocols',
  'kinds',
  'resources',
  'tags',
  'subjects',
  'subjectTypes',
  'groups',
  'dialects',
  'phases',
  'verbs',
  'classes',
  'tables',
  'columns',
  'functions',
  'functionHazards',
  'missingWhere',
  'noRowLimit',
  'rowLimitOver',
  'text',
  'certainty',
  'isDynamic',
  'touchesFiles',
  'touchesPrograms',
  'launders',
  'programs',
  'hazards',
  'files',
  'hosts',
  'ports',
  'isPrivileged',
  'isRemote',
  'wrappers',
  'operations',
  'requests',
  'names',
  'hasTerminal',
  'environment',
  'time',
  'not',
] as const satisfies readonly (keyof Match)[]

const FACT_LISTS = [
  'tables',
  'columns',
  'functions',
  'functionHazards',
  'launders',
  'programs',
  'hazards',
  'files',
  'hosts',
  'ports',
  'isPrivileged',
  'isRemote',
  'wrappers',
  'environment',
  'not',
  'text',
  'subjectTypes',
]

function keyImplies(key: keyof Match, inner: Match, outer: Match, options: ImpliesOptions): boolean {
  switch (key) {
    case 'protocols':
    case 'kinds':
    case 'subjectTypes':
    case 'dialects':
    case 'phases':
    case 'certainty':
    case 'classes':
    case 'operations':
      return isSubset(inner[key], outer[key])
    case 'functionHazards':
    case 'hazards':
      // A permission's list may hold for want of any function; then the prohibition's does not.
      return !options.isPermission && isSubset(inner[key], outer[key])
    case 'verbs': {
      const verbs = many(outer.verbs).map((verb) => verb.toLowerCase())
      return many(inner.verbs).every((verb) =>
        verbs.some((entry) => verb.toLowerCase() === entry || verb.toLowerCase().startsWith(`${entry} `)),
      )
    }
    case 'resources':
    case 'subjects':
    case 'groups':
    case 'requests':
    case 'names':
      return globsCover(outer[key], inner[key])
    case 'wrappers':
    case 'environment':
      return !options.isPermission && globsCover(outer[key], inner[key])
    case 'programs': {
      const covering = programEntries(outer)
      return programEntries(inner).every((entry) => covering.some((other) => programCovers(other, entry)))
    }
    case 'files': {
      const covering = fileEntries(outer)
      return fileEntries(inner).every((entry) =>
        covering.some((other) => modesCover(other.modes, entry.modes) && pathCovers(other.pattern, entry.pattern)),
      )
    }
    case 'hosts': {
      const covering = hostGlobs(outer.hosts ?? [])
      return hostGlobs(inner.hosts ?? []).every((glob) => covering.some((other) => globCovers(other, glob)))
    }
    case 'ports': {
      const ports = new Set(many(outer.ports))
      return many(inner.ports).every((port) => ports.has(port))
    }
    case 'tags':
      return Object.entries(outer.tags ?? {}).every(([tag, values]) => {
        const narrower = inner.tags?.[tag]
        return narrower !== undefined && globsCover(values, narrower)
      })
    case 'tables': {
      const covering = tableEntries(outer)
      return tableEntries(inner).every((entry) => covering.some((other) => entryCovers(other, entry)))
    }
    case 'columns': {
      const covering = columnEntries(outer)
      return (
        !options.isPermission &&
        columnEntries(inner).every((entry) => covering.some((other) => entryCovers(other, entry)))
      )
    }
    case 'text': {
      const patterns = new Set(textPatterns(outer.text ?? []).map((entry) => canonicalJson(entry)))
      return textPatterns(inner.text ?? []).every((entry) => patterns.has(canonicalJson(entry)))
    }
    case 'rowLimitOver':
      return (inner.rowLimitOver ?? 0) >= (outer.rowLimitOver ?? 0)
    case 'missingWhere':
    case 'noRowLimit':
    case 'isDynamic':
    case 'touchesFiles':
    case 'touchesPrograms':
    case 'isPrivileged':
    case 'isRemote':
    case 'hasTerminal':
      return inner[key] === outer[key]
    case 'functions':
    case 'launders':
      return !options.isPermission && canonicalJson(inner[key]) === canonicalJson(outer[key])
    case 'not':
      // Read as a permission, the same words under `not` can hold where those of the prohibition do not.
      if (options.isPermission && inner.not !== undefined && FACT_LISTS.some((list) => list in (inner.not ?? {})))
        return false
      return canonicalJson(inner.not) === canonicalJson(outer.not)
    case 'time':
      return canonicalJson(inner[key]) === canonicalJson(outer[key])
    default:
      return key satisfies never
  }
}

interface Entry {
  readonly pattern: NamePattern
  readonly modes: ReadonlySet<string> | undefined
}

function entryCovers(outer: Entry, inner: Entry): boolean {
  return modesCover(outer.modes, inner.modes) && patternCovers(outer.pattern, inner.pattern)
}

function modesCover(outer: ReadonlySet<string> | undefined, inner: ReadonlySet<string> | undefined): boolean {
  if (outer === undefined) return true
  return inner !== undefined && [...inner].every((mode) => outer.has(mode))
}

function programCovers(outer: ProgramEntry, inner: ProgramEntry): boolean {
  if (!globCovers(outer.base, inner.base)) return false
  const flags = new Set(inner.flags?.map(bareFlag))
  return outer.flags === undefined || outer.flags.every((flag) => flags.has(bareFlag(flag)))
}

function isSubset(inner: OneOrMany<string> | undefined, outer: OneOrMany<string> | undefined): boolean {
  const allowed = new Set(many(outer))
  return many(inner).every((entry) => allowed.has(entry))
}

function globsCover(outer: OneOrMany<string> | undefined, inner: OneOrMany<string> | undefined): boolean {
  const covering = many(outer).map((source) => compileGlob(source))
  return many(inner).every((source) => covering.some((glob) => globCovers(glob, compileGlob(source))))
}
