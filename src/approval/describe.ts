import { isUtf8 } from 'node:buffer'
import type { BoundValue, Command, SqlFacts } from '../core/index.js'
import {
  describeEnvironment,
  describeForward,
  describeRequest,
  describeSftp,
  describeShellFacts,
  TERMINAL_EFFECTS,
} from './describe-shell.js'
import { plain } from './plain.js'
import { renderForDisplay, type RenderOptions } from './render.js'

/** A command in words that a person can decide on: exact text, every value, and what it does. */
export interface CommandDescription {
  /** The exact text, untouched. Never show it without rendering it. */
  readonly text: string
  /** The text rendered by `renderForDisplay`. */
  readonly display: string
  /** One per bound value or variable of the environment, in order, rendered: `$1 = 'x' (text)`, `LANG = 'C'`. */
  readonly values: readonly string[]
  /** What it does by the analysis, rendered: not what its comments claim. Empty when nothing is known. */
  readonly effects: readonly string[]
  readonly warnings: readonly string[]
}

/** Values shown at most; the protocol limits a statement to 65535. */
const MAX_VALUES = 256
/** Characters shown of one value. */
const MAX_VALUE_CHARACTERS = 1024
const MAX_EFFECTS = 64

/** Describes a command for its approvers. Unmasked: people decide on what will run. */
export function describeCommand(command: Command, options: RenderOptions = {}): CommandDescription {
  const warnings = new Set<string>()
  const text = textOf(command)
  const rendering = renderForDisplay(text, options)
  for (const warning of rendering.warnings) warnings.add(warning)
  const values = valuesOf(command, warnings)
  const effects = atMost(effectsOf(command))
  return { text, display: rendering.text, values, effects, warnings: [...warnings] }
}

function textOf(command: Command): string {
  switch (command.kind) {
    case 'sql':
    case 'shell':
    case 'terminal':
    case 'sftp':
    case 'port-forward':
    case 'ssh-request':
      return command.text
    default:
      command satisfies never
      return genericText(command)
  }
}

function valuesOf(command: Command, warnings: Set<string>): string[] {
  if (command.kind === 'sql') return describeValues(command.parameters, warnings)
  if (command.kind !== 'shell' && command.kind !== 'terminal') return []
  const { environment } = command
  const shown = describeEnvironment(environment.slice(0, MAX_VALUES), warnings)
  if (environment.length <= MAX_VALUES) return shown
  const missing = environment.length - MAX_VALUES
  warnings.add(`${missing} of ${environment.length} variables are not shown`)
  return [...shown, `⟦${missing} variables not shown⟧`]
}

function effectsOf(command: Command): readonly string[] {
  switch (command.kind) {
    case 'sql':
      return describeFacts(command.facts)
    case 'shell':
      return describeShellFacts(command.facts)
    case 'terminal':
      return TERMINAL_EFFECTS
    case 'sftp':
      return describeSftp(command)
    case 'port-forward':
      return describeForward(command)
    case 'ssh-request':
      return describeRequest(command)
    default:
      command satisfies never
      return []
  }
}

function atMost(lines: readonly string[]): readonly string[] {
  if (lines.length <= MAX_EFFECTS) return lines
  return [...lines.slice(0, MAX_EFFECTS), `⟦${lines.length - MAX_EFFECTS} lines not shown⟧`]
}

function describeValues(parameters: readonly BoundValue[], warnings: Set<string>): string[] {
  const shown = parameters.length <= MAX_VALUES ? parameters : parameters.slice(0, MAX_VALUES)
  const lines = shown.map((value, index) => `$${index + 1} = ${describeValue(value, warnings)}`)
  if (shown.length < parameters.length) {
    const missing = parameters.length - shown.length
    lines.push(`⟦${missing} values not shown⟧`)
    warnings.add(`${missing} of ${parameters.length} values are not shown`)
  }
  return lines
}

/** `NULL` bare, text in quotes, everything else as a number or as hexadecimal: no two kinds look alike. */
function describeValue(value: BoundValue, warnings: Set<string>): string {
  if (value.bytes === undefined) return 'NULL'
  const bytes = Buffer.from(value.bytes.buffer, value.bytes.byteOffset, value.bytes.byteLength)
  const note = `(type ${value.type}, ${value.format}, ${bytes.length} bytes)`
  if (value.format === 'binary') {
    const decoded = decodeBinary(value.type, bytes)
    if (decoded !== undefined) return `${decoded} ${note}`
    if (!TEXT_TYPES.has(value.type)) return `${hexOf(bytes, warnings)} ${note}`
  }
  if (!isUtf8(bytes)) return `${hexOf(bytes, warnings)} ${note}`
  const rendering = renderForDisplay(bytes.toString('utf8'), { maxCharacters: MAX_VALUE_CHARACTERS })
  for (const warning of rendering.warnings) warnings.add(`in a value: ${warning}`)
  return `'${rendering.text.replaceAll("'", "''")}' ${note}`
}

/** PostgreSQL types whose binary form is their text: char, name, text, json, xml, unknown, bpchar, varchar. */
const TEXT_TYPES: ReadonlySet<number> = new Set([18, 19, 25, 114, 142, 705, 1042, 1043])

/** The fixed-size PostgreSQL types that people read as numbers. */
function decodeBinary(type: number, bytes: Buffer): string | undefined {
  if (type === 16 && bytes.length === 1) return bytes[0] === 0 ? 'false' : 'true'
  if (type === 21 && bytes.length === 2) return String(bytes.readInt16BE())
  if (type === 23 && bytes.length === 4) return String(bytes.readInt32BE())
  if (type === 26 && bytes.length === 4) return String(bytes.readUInt32BE())
  if (type === 20 && bytes.length === 8) return String(bytes.readBigInt64BE())
  if (type === 700 && bytes.length === 4) return String(bytes.readFloatBE())
  if (type === 701 && bytes.length === 8) return String(bytes.readDoubleBE())
  if (type === 2950 && bytes.length === 16) {
    return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
  }
  return undefined
}

function hexOf(bytes: Buffer, warnings: Set<string>): string {
  const half = MAX_VALUE_CHARACTERS / 4
  if (bytes.length <= 2 * half) return `0x${bytes.toString('hex')}`
  const missing = bytes.length - 2 * half
  warnings.add(`${missing} bytes of a value are not shown`)
  return `0x${bytes.toString('hex', 0, half)}⟦${missing} bytes not shown⟧${bytes.toString('hex', bytes.length - half)}`
}

function describeFacts(facts: SqlFacts): string[] {
  const lines: string[] = []
  if (facts.certainty === 'unparsed') lines.push(`not understood: ${plain(facts.problem ?? 'no reason given')}`)
  else if (facts.certainty === 'conservative') lines.push('may do less than what follows, not more')
  if (facts.verbs.length > 0) lines.push(`${facts.class}: ${plain(facts.verbs.join(', '))}`)
  for (const table of facts.tables) {
    const name = table.schema === undefined ? table.table : `${table.schema}.${table.table}`
    lines.push(`${table.modes.join(', ')}: ${plain(name)}`)
  }
  if (!facts.hasWhere && facts.verbs.some((verb) => verb === 'update' || verb === 'delete')) {
    lines.push('changes every row: no WHERE, or one that is always true')
  }
  if (facts.touchesFiles) lines.push('reads or writes files of the server')
  if (facts.touchesPrograms) lines.push('runs programs on the server')
  if (facts.isDynamic) lines.push('runs SQL that is not in the text')
  for (const call of facts.functions) {
    if (call.hazards.length > 0) lines.push(`calls ${plain(call.name)}: ${call.hazards.join(', ')}`)
  }
  return lines
}

/** A plug-in's command, as JSON of its own fields. Bytes as hexadecimal. */
function genericText(command: object): string {
  const fields = Object.entries(command).filter(([key]) => key !== 'facts' && key !== 'id')
  return JSON.stringify(Object.fromEntries(fields), (_key, part: unknown) => {
    if (part instanceof Uint8Array) return `0x${Buffer.from(part).toString('hex')}`
    return typeof part === 'bigint' ? `${part}n` : part
  })
}
