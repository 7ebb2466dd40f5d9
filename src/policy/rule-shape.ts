import { type FileAccessMode, type SftpOperation, type ShellHazard, SQL_CLASSES } from '../core/index.js'
import { parseNamePattern, isComplaint } from './name-pattern.js'
import { parsePathPattern } from './path-pattern.js'
import { type Complaint, type Field, printable, type Shape } from './shape.js'
import { isTimeZone, parseTimeOfDay, WEEKDAYS } from './time-window.js'

/** Longer than any pattern a person wrote; a bound on what one rule can cost. */
const MAX_PATTERN_LENGTH = 4096
const MAX_TEXT_LENGTH = 500
/** The longest delay a Node timer can keep. */
const MAX_TIMEOUT_MS = 2 ** 31 - 1

export const EFFECTS = ['deny', 'hold', 'allow'] as const
export const MODES = ['enforce', 'observe'] as const
export const RECORD_LEVELS = ['none', 'statement', 'full'] as const
export const SUBJECT_TYPES = ['agent', 'human', 'service'] as const
export const DIALECTS = ['postgres', 'mysql', 'mariadb'] as const
export const PHASES = ['prepare', 'execute'] as const
export const CERTAINTIES = ['exact', 'conservative', 'unparsed'] as const
export const CLASSES = SQL_CLASSES
export const WRITE_MODES = ['insert', 'update', 'delete', 'truncate'] as const
export const TABLE_ACCESS = ['read', 'write', ...WRITE_MODES, 'lock', 'ddl'] as const
export const COLUMN_ACCESS = ['read', 'write', 'predicate'] as const
export const HAZARDS = [
  'dynamic-sql',
  'file',
  'program',
  'network',
  'setting',
  'admin',
  'notify',
  'large-object',
  'sleep',
  'lock',
  'sequence',
] as const
export const SHELL_HAZARDS = Object.keys({
  'destructive-delete': true,
  'disk-overwrite': true,
  'credential-file': true,
  'reverse-shell': true,
  'download-and-run': true,
  firewall: true,
  'log-tampering': true,
  'service-stop': true,
  shutdown: true,
  'fork-bomb': true,
  'privilege-change': true,
  persistence: true,
  exfiltration: true,
  'unseen-code': true,
  redefinition: true,
} satisfies Record<ShellHazard, true>)
export const FILE_ACCESS = Object.keys({
  read: true,
  write: true,
  create: true,
  delete: true,
  execute: true,
  metadata: true,
  list: true,
  change: true,
} satisfies Record<FileAccessMode | 'change', true>)
export const SFTP_OPERATIONS = Object.keys({
  open: true,
  opendir: true,
  stat: true,
  setstat: true,
  remove: true,
  mkdir: true,
  rmdir: true,
  rename: true,
  readlink: true,
  symlink: true,
  hardlink: true,
  realpath: true,
  copy: true,
  statvfs: true,
  fsync: true,
  extension: true,
} satisfies Record<SftpOperation, true>)
export const TERMINAL_MODES = ['guarded', 'record'] as const
export const STRATEGIES = ['redact', 'partial', 'hash', 'null', 'constant'] as const

const boolean: Shape = { kind: 'boolean' }
const words: Shape = { kind: 'string', maxLength: MAX_PATTERN_LENGTH }
const count: Shape = { kind: 'integer', min: 0, max: Number.MAX_SAFE_INTEGER }

const line: Shape = {
  kind: 'string',
  maxLength: MAX_TEXT_LENGTH,
  check: (value) =>
    /\p{Cc}|[\u2028\u2029]/u.test(value) ? { message: 'expected one line without control characters' } : undefined,
}

const id: Shape = {
  kind: 'string',
  maxLength: 128,
  pattern: '^[A-Za-z0-9][A-Za-z0-9._/-]*$',
  check: (value) =>
    /^[A-Za-z0-9][A-Za-z0-9._/-]*$/.test(value)
      ? undefined
      : {
          message: `\`${value}\` is no rule id`,
          hint: 'use letters, digits and `. _ / -`, starting with a letter or digit',
        },
}

const verb: Shape = {
  kind: 'string',
  maxLength: 64,
  pattern: '^[A-Za-z]+( [A-Za-z]+)*$',
  check: (value) =>
    /^[A-Za-z]+( [A-Za-z]+)*$/.test(value)
      ? undefined
      : {
          message: `\`${value}\` is no verb`,
          hint: 'write words such as `select` or `drop table`; leave `verbs` out for all',
        },
}

const path: Shape = {
  kind: 'string',
  maxLength: MAX_PATTERN_LENGTH,
  check(value) {
    const pattern = parsePathPattern(value)
    return 'message' in pattern ? pattern : undefined
  },
}

const program: Shape = {
  kind: 'string',
  maxLength: 256,
  check(value) {
    if (/[\s\p{Cc}]/u.test(value)) {
      return { message: `\`${printable(value)}\` is no program`, hint: 'put flags under `flags`, or match by `text`' }
    }
    if (!value.includes('/')) return undefined
    const pattern = parsePathPattern(value)
    if ('message' in pattern) return pattern
    return value.endsWith('**') ? { message: `\`${value}\` names no program`, hint: 'end it with `/*`' } : undefined
  },
}

const flag: Shape = {
  kind: 'string',
  maxLength: 256,
  check: (value) =>
    /[\s\p{Cc}=]/u.test(value)
      ? { message: `\`${printable(value)}\` is no flag`, hint: 'write its name alone, such as `recursive`' }
      : undefined,
}

const host: Shape = {
  kind: 'string',
  maxLength: 256,
  check: (value) =>
    /[\s/@\p{Cc}]/u.test(value)
      ? {
          message: `\`${printable(value)}\` is no host`,
          hint: 'write a name or address alone, such as `*.example.com`',
        }
      : undefined,
}

const port: Shape = { kind: 'integer', min: 1, max: 65_535 }

const tableName = name(2)
const columnName = name(3)

const time: Shape = {
  kind: 'string',
  maxLength: 5,
  pattern: '^([01][0-9]|2[0-4]):[0-5][0-9]$',
  check: (value) =>
    parseTimeOfDay(value) === undefined
      ? { message: `expected \`HH:MM\` up to \`24:00\`, got \`${value}\`` }
      : undefined,
}

const timeZone: Shape = {
  kind: 'string',
  maxLength: 64,
  check: (value) =>
    isTimeZone(value)
      ? undefined
      : { message: `\`${value}\` is no known time zone`, hint: 'write an IANA name such as `Europe/Berlin`' },
}

const maskColumn: Shape = {
  kind: 'string',
  maxLength: 256,
  check(value) {
    const pattern = parseNamePattern(value, 3)
    if (isComplaint(pattern)) return pattern
    const isGlob = pattern.parts.some((part) => part.exact.literal === undefined && !part.exact.matchesAll)
    return isGlob
      ? { message: `\`${value}\`: a masked column takes exact names, or \`*\` for a whole part` }
      : undefined
  },
}

const strategyFields: Readonly<Record<string, Field>> = {
  kind: { shape: oneOf(STRATEGIES), doc: 'the strategy', required: true },
  keepFirst: { shape: { kind: 'integer', min: 0, max: 64 }, doc: '`partial`: characters kept at the start' },
  keepLast: { shape: { kind: 'integer', min: 0, max: 64 }, doc: '`partial`: characters kept at the end' },
  value: { shape: { kind: 'string', maxLength: MAX_TEXT_LENGTH }, doc: '`constant`: what to show instead' },
}

const strategy: Shape = {
  kind: 'either',
  text: oneOf(['redact', 'partial', 'hash', 'null']),
  object: object('mask strategy', strategyFields),
}

const holdTerms = object('hold terms', {
  approverGroups: {
    shape: { kind: 'list', item: words, orOne: false, mayBeEmpty: true },
    doc: 'groups whose members may approve; empty: anybody but the requester',
  },
  approvalsNeeded: { shape: { kind: 'integer', min: 1, max: 16 }, doc: 'how many people must approve' },
  timeoutMs: { shape: { kind: 'integer', min: 1, max: MAX_TIMEOUT_MS }, doc: 'no answer within this is a denial' },
})

const matchFields: Readonly<Record<string, Field>> = {
  protocols: { shape: some(words), doc: 'protocol names, such as `postgres`' },
  kinds: { shape: some(words), doc: 'kinds of command, such as `sql` or `shell`' },
  resources: { shape: some(words), doc: 'globs over the resource name' },
  tags: { shape: { kind: 'record', value: some(words) }, doc: 'globs over resource tags; every tag must be there' },
  subjects: { shape: some(words), doc: 'globs over the subject id' },
  subjectTypes: { shape: some(oneOf(SUBJECT_TYPES)), doc: 'what the subject is' },
  groups: { shape: some(words), doc: 'globs; the subject is in one of these groups' },
  dialects: { shape: some(oneOf(DIALECTS)), doc: 'SQL dialects' },
  phases: { shape: some(oneOf(PHASES)), doc: 'whether the text is only planned or runs' },
  verbs: { shape: some(verb), doc: 'leading words of statements; `drop` covers `drop table`' },
  classes: { shape: some(oneOf(CLASSES)), doc: 'classes of statements' },
  tables: {
    shape: some({
      kind: 'either',
      text: tableName,
      object: object('table matcher', {
        tables: { shape: some(tableName), doc: 'globs `schema.table` or `table`', required: true },
        access: { shape: some(oneOf(TABLE_ACCESS)), doc: 'how the table is used' },
      }),
    }),
    doc: 'tables, by glob `schema.table` or `table`',
  },
  columns: {
    shape: some({
      kind: 'either',
      text: columnName,
      object: object('column matcher', {
        columns: { shape: some(columnName), doc: 'globs `schema.table.column`', required: true },
        access: { shape: some(oneOf(COLUMN_ACCESS)), doc: 'how the column is used' },
      }),
    }),
    doc: 'columns, by glob `schema.table.column`, `table.column` or `column`',
  },
  functions: { shape: some(tableName), doc: 'functions, by glob `schema.function` or `function`' },
  functionHazards: { shape: some(oneOf(HAZARDS)), doc: 'what called functions are known to do' },
  missingWhere: { shape: boolean, doc: 'UPDATE or DELETE without WHERE, or with one that is always true' },
  noRowLimit: { shape: boolean, doc: 'returns rows without a constant row limit' },
  rowLimitOver: { shape: count, doc: 'returns rows with a limit above this, or without one' },
  text: {
    shape: some({
      kind: 'either',
      text: words,
      object: object('text matcher', {
        patterns: { shape: some(words), doc: 'RE2 patterns', required: true },
        caseSensitive: { shape: boolean, doc: 'default false' },
      }),
    }),
    doc: 'RE2 patterns over the text',
  },
  certainty: { shape: some(oneOf(CERTAINTIES)), doc: 'how sure the analysis is of what the command does' },
  isDynamic: { shape: boolean, doc: 'runs SQL that is not in the text' },
  touchesFiles: { shape: boolean, doc: 'reads or writes server files, or runs server programs' },
  touchesPrograms: { shape: boolean, doc: 'runs server programs' },
  launders: { shape: some(columnName), doc: 'copies values of these columns to another place' },
  programs: {
    shape: some({
      kind: 'either',
      text: program,
      object: object('program matcher', {
        programs: { shape: some(program), doc: 'globs over base names, or paths', required: true },
        flags: { shape: some(flag), doc: 'all of these; a permission: and no others' },
      }),
    }),
    doc: 'programs of a command line, by glob over the base name, or over the path where it has a slash',
  },
  hazards: { shape: some(oneOf(SHELL_HAZARDS)), doc: 'what makes a command line dangerous' },
  files: {
    shape: some({
      kind: 'either',
      text: path,
      object: object('file matcher', {
        files: { shape: some(path), doc: 'globs over paths', required: true },
        access: {
          shape: some(oneOf(FILE_ACCESS)),
          doc: 'how the file is used; `change` is write, create, delete, metadata',
        },
      }),
    }),
    doc: 'files that are touched, by glob over the path: `*` within a part, `**` for any number of parts',
  },
  hosts: { shape: some(host), doc: 'globs over hosts that are talked to, listened on or forwarded to' },
  ports: { shape: some(port), doc: 'ports of the same' },
  isPrivileged: { shape: boolean, doc: 'runs something as somebody else' },
  isRemote: { shape: boolean, doc: 'runs on another machine or in a container' },
  wrappers: { shape: some(words), doc: 'globs over what stands around a program: `sudo`, `env`, `xargs`' },
  operations: { shape: some(oneOf(SFTP_OPERATIONS)), doc: 'operations on files by SFTP or scp' },
  requests: { shape: some(words), doc: 'globs over the names of SSH requests, such as `env` or `x11-req`' },
  names: { shape: some(words), doc: 'globs over what an SSH request names: a variable, a subsystem, a signal' },
  hasTerminal: { shape: boolean, doc: 'a terminal is attached' },
  environment: { shape: some(words), doc: 'globs over names of environment variables that are set' },
  time: {
    shape: some(
      object('time window', {
        days: { shape: some(oneOf(WEEKDAYS)), doc: 'default: every day' },
        from: { shape: time, doc: '`HH:MM`, included; default `00:00`' },
        to: { shape: time, doc: '`HH:MM`, excluded; default `24:00`' },
        timeZone: { shape: timeZone, doc: 'IANA name; default `UTC`' },
      }),
    ),
    doc: 'wall-clock windows',
  },
  not: { shape: { kind: 'object', name: 'match', fields: () => matchFields }, doc: 'holds when this does not' },
}

const fileRuleFields: Readonly<Record<string, Field>> = {
  id: { shape: id, doc: 'a unique name, told to the client and put on record', required: true },
  description: { shape: { kind: 'string', maxLength: 4000 }, doc: 'for people' },
  effect: { shape: oneOf(EFFECTS), doc: 'without one the rule carries obligations only' },
  match: { shape: { kind: 'object', name: 'match', fields: () => matchFields }, doc: 'without one: every command' },
  message: { shape: line, doc: 'one line for the client, when this rule decides' },
  hint: { shape: line, doc: 'what the client may do about it' },
  hold: { shape: holdTerms, doc: 'how a hold is decided' },
  mask: {
    shape: object('mask', {
      columns: {
        shape: {
          kind: 'list',
          orOne: false,
          item: {
            kind: 'either',
            text: maskColumn,
            object: object('column mask', {
              column: { shape: maskColumn, doc: '`schema.table.column`, a part may be `*`', required: true },
              strategy: { shape: strategy, doc: 'default `redact`' },
            }),
          },
        },
        doc: 'columns to mask',
      },
      detectors: {
        shape: {
          kind: 'list',
          orOne: false,
          item: {
            kind: 'either',
            text: words,
            object: object('detector mask', {
              detector: { shape: words, doc: 'the detector', required: true },
              strategy: { shape: strategy, doc: 'default `redact`' },
            }),
          },
        },
        doc: 'classes of values to mask in every text',
      },
    }),
    doc: 'what to mask in results',
  },
  maxRows: { shape: count, doc: 'at most this many rows may come back' },
  maxBytes: { shape: count, doc: 'at most this many bytes may come back' },
  recordLevel: { shape: oneOf(RECORD_LEVELS), doc: 'how much is recorded' },
  terminal: { shape: oneOf(TERMINAL_MODES), doc: 'how an interactive shell is let through; default `guarded`' },
  allowsRawTerminal: { shape: boolean, doc: 'full-screen programs may run in a guarded terminal; default false' },
  alert: { shape: line, doc: 'text of an alert to emit' },
  mode: { shape: oneOf(MODES), doc: '`observe`: reported, not acted upon' },
  evenIfUnparsed: { shape: boolean, doc: 'the allow or hold also covers commands that could not be parsed' },
}

const defaultsFields: Readonly<Record<string, Field>> = {
  hold: { shape: holdTerms, doc: 'terms that hold rules leave out' },
  recordLevel: { shape: oneOf(RECORD_LEVELS), doc: 'when no rule says; default `statement`' },
  maxRows: { shape: count, doc: 'a cap on every command' },
  maxBytes: { shape: count, doc: 'a cap on every command' },
  message: { shape: line, doc: 'for the client when no rule allows its command' },
  hint: { shape: line, doc: 'what the client may do about it' },
}

export const defaultsShape: Shape = object('defaults', defaultsFields)

/** A rule in a policy file. */
export const fileRuleShape: Shape = object('rule', fileRuleFields)

/** A rule in TypeScript. */
export const ruleShape: Shape = object('rule', {
  ...fileRuleFields,
  when: { shape: { kind: 'function' }, doc: 'asked after `match` holds' },
})

export const policyFileShape: Shape = object('policy', {
  version: { shape: { kind: 'enum', values: [1] }, doc: 'the version of this format: 1', required: true },
  mode: { shape: oneOf(MODES), doc: '`observe`: everything is reported, nothing acted upon' },
  defaults: { shape: defaultsShape, doc: 'values that rules leave out' },
  rules: { shape: { kind: 'list', item: fileRuleShape, orOne: false }, doc: 'the rules, in any order', required: true },
})

function object(name: string, fields: Readonly<Record<string, Field>>): Shape {
  return { kind: 'object', name, fields: () => fields }
}

function oneOf(values: readonly string[]): Shape {
  return { kind: 'enum', values }
}

function some(item: Shape): Shape {
  return { kind: 'list', item, orOne: true }
}

function name(maxParts: number): Shape {
  return {
    kind: 'string',
    maxLength: 256,
    check(value): Complaint | undefined {
      const pattern = parseNamePattern(value, maxParts)
      return isComplaint(pattern) ? pattern : undefined
    },
  }
}
