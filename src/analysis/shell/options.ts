import { knownPrefix, type WordValue, wordFrom } from './word-value.js'

/** What the value of an option, or an operand, is to its program. */
export type WordRole = 'read' | 'write' | 'create' | 'delete' | 'execute' | 'metadata' | 'list' | 'command' | 'script'

export interface OptionSpec {
  readonly name: string
  /** `optional`: only where it is attached, as in `-i.bak`. */
  readonly value: 'none' | 'required' | 'optional'
  readonly role: WordRole | undefined
}

/**
 * `gnu`: options anywhere, single letters in clusters, long names with two dashes.
 * `posix`: the same, but they end at the first operand.
 * `long`: names of several letters behind one dash, as `openssl` and `java` have them.
 */
export type OptionStyle = 'gnu' | 'posix' | 'long'

export type OptionTable = ReadonlyMap<string, OptionSpec>

/**
 * Reads a table such as `recursive|r|R output|o=@write backup|b=?`: all names of an option, the first of which it goes by,
 * `=` where it takes a value, `=?` where it may, and after `@` what that value is.
 */
export function optionTable(text: string): OptionTable {
  const table = new Map<string, OptionSpec>()
  for (const entry of text.split(/\s+/)) {
    const match = /^([^=@]+)(=\??)?(?:@(\w+))?$/.exec(entry)
    if (match === null) continue
    const names = (match[1] ?? '').split('|')
    const value = match[2] === undefined ? 'none' : match[2] === '=' ? 'required' : 'optional'
    const spec: OptionSpec = { name: names[0] ?? '', value, role: match[3] as WordRole | undefined }
    for (const name of names) table.set(name, spec)
  }
  return table
}

export interface OptionValue {
  readonly spec: OptionSpec
  readonly word: WordValue
}

export interface ParsedOptions {
  /** Canonical names; options not in the table as they are written. */
  readonly flags: ReadonlySet<string>
  readonly values: readonly OptionValue[]
  readonly operands: readonly WordValue[]
  /** Some option is not in the table, so that a word may belong to it. */
  readonly hasUnknown: boolean
}

export function parseOptions(words: readonly WordValue[], table: OptionTable, style: OptionStyle): ParsedOptions {
  const flags = new Set<string>()
  const values: OptionValue[] = []
  const operands: WordValue[] = []
  let hasUnknown = false
  let index = 0

  const unknown = (written: string): void => {
    flags.add(written)
    hasUnknown = true
  }
  const take = (spec: OptionSpec, attached: WordValue | undefined): void => {
    flags.add(spec.name)
    if (attached !== undefined) values.push({ spec, word: attached })
    else if (spec.value === 'required') {
      const next = words[++index]
      if (next !== undefined) values.push({ spec, word: next })
    }
  }
  const cluster = (word: WordValue, prefix: string): void => {
    for (let at = 1; at < prefix.length; at++) {
      const letter = prefix[at] ?? ''
      const spec = table.get(letter)
      if (spec === undefined) {
        // `-9`, `-20`: a number is one word for those that read it.
        if (/\d/.test(letter) && !table.has('NUM')) return unknown(`-${prefix.slice(at)}`)
        if (/\d/.test(letter)) return
        unknown(`-${letter}`)
      } else if (spec.value === 'none') {
        flags.add(spec.name)
      } else {
        const isLast = at + 1 >= word.shape.length
        return take(spec, isLast ? undefined : wordFrom(word, at + 1))
      }
    }
  }

  for (; index < words.length; index++) {
    const word = words[index]
    if (word === undefined) break
    const prefix = knownPrefix(word)
    if (prefix === '--' && word.isKnown) {
      operands.push(...words.slice(index + 1))
      break
    }
    const isOption = prefix.length > 1 && prefix.startsWith('-')
    if (!isOption) {
      operands.push(word)
      if (style !== 'posix') continue
      operands.push(...words.slice(index + 1))
      break
    }
    const isLong = prefix.startsWith('--') || (style === 'long' && longName(prefix.slice(1), table) !== undefined)
    if (!isLong) {
      if (style === 'long') unknown(prefix)
      else cluster(word, prefix)
      continue
    }
    const dashes = prefix.startsWith('--') ? 2 : 1
    const equals = prefix.indexOf('=')
    const name = equals < 0 ? prefix.slice(dashes) : prefix.slice(dashes, equals)
    const spec = longName(name, table)
    if (spec === undefined) unknown(equals < 0 ? prefix : prefix.slice(0, equals))
    else take(spec, equals < 0 ? undefined : wordFrom(word, equals + 1))
  }
  return { flags, values, operands, hasUnknown }
}

/** As getopt reads it: a beginning that fits one option only is that option. */
function longName(name: string, table: OptionTable): OptionSpec | undefined {
  const exact = table.get(name)
  if (exact !== undefined || name.length < 2) return exact
  let found: OptionSpec | undefined
  for (const [key, spec] of table) {
    if (key.length < 2 || !key.startsWith(name)) continue
    if (found !== undefined && found !== spec) return undefined
    found = spec
  }
  return found
}
