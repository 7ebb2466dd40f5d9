import type { Match } from './match.js'

const SQL = ['sql'] as const
const SHELL = ['shell'] as const

/** Keys of a match that only the parse of a SQL command can answer. */
const SQL_FACT_KEYS = [
  'verbs',
  'classes',
  'tables',
  'columns',
  'functions',
  'functionHazards',
  'missingWhere',
  'noRowLimit',
  'rowLimitOver',
  'isDynamic',
  'touchesFiles',
  'touchesPrograms',
  'launders',
] as const satisfies readonly (keyof Match)[]

/** Keys that need the parse of a command line, where the command is one. */
const CHANNEL_FACT_KEYS = [
  'programs',
  'hazards',
  'files',
  'hosts',
  'ports',
  'isPrivileged',
  'isRemote',
  'wrappers',
  'environment',
] as const satisfies readonly (keyof Match)[]

/** Keys of a match that only a parse can answer. */
export const FACT_KEYS = [...SQL_FACT_KEYS, ...CHANNEL_FACT_KEYS] as const

/** The kinds of command that have what a key speaks of. A key that is not here speaks of every kind. */
const KINDS_OF_KEYS: Readonly<Partial<Record<keyof Match, readonly string[]>>> = {
  ...Object.fromEntries(SQL_FACT_KEYS.map((key) => [key, SQL])),
  dialects: SQL,
  phases: SQL,
  certainty: ['sql', 'shell'],
  programs: SHELL,
  hazards: SHELL,
  isPrivileged: SHELL,
  isRemote: SHELL,
  wrappers: SHELL,
  files: ['shell', 'sftp', 'port-forward'],
  hosts: ['shell', 'port-forward'],
  ports: ['shell', 'port-forward'],
  operations: ['sftp'],
  requests: ['ssh-request', 'port-forward', 'terminal'],
  names: ['ssh-request'],
  hasTerminal: ['shell', 'terminal'],
  environment: ['shell', 'terminal'],
}

/** Kinds of command that the built-in protocols carry. */
export const KINDS_OF_PROTOCOLS: Readonly<Record<string, readonly string[]>> = {
  postgres: SQL,
  mysql: SQL,
  mariadb: SQL,
  ssh: ['shell', 'terminal', 'sftp', 'port-forward', 'ssh-request'],
}

/** The keys of a match, and of what it excludes, that speak of certain kinds of command only. */
export function scopedKeys(match: Match): readonly (keyof Match)[] {
  const keys = Object.keys(KINDS_OF_KEYS).filter(isScopedKey)
  const own = keys.filter((key) => match[key] !== undefined)
  return match.not === undefined ? own : [...own, ...scopedKeys(match.not)]
}

function isScopedKey(key: string): key is keyof Match {
  return Object.hasOwn(KINDS_OF_KEYS, key)
}

/**
 * The only kinds of command that a match can be about, because its keys (also those under `not`) speak of what no other
 * kind has. Undefined: any kind.
 */
export function kindsOf(match: Match): ReadonlySet<string> | undefined {
  let kinds: readonly string[] | undefined
  for (const key of scopedKeys(match)) {
    const known = KINDS_OF_KEYS[key] ?? []
    kinds = kinds === undefined ? known : kinds.filter((kind) => known.includes(kind))
  }
  return kinds === undefined ? undefined : new Set(kinds)
}

/** Whether the match, or what it excludes, has one of the keys. */
export function usesKey(match: Match, keys: readonly (keyof Match)[]): boolean {
  return keys.some((key) => match[key] !== undefined) || (match.not !== undefined && usesKey(match.not, keys))
}
