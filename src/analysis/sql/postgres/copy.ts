import type { CopyFacts } from '../../../core/index.js'
import { insideFirstBracket } from './lexer.js'
import { constantOf, type Fields, fieldsOf, listOf, namesOf, nodeFields, stringOf, textOf } from './tree.js'

/**
 * What a COPY statement moves and how it is written. Undefined: an option that nobody here knows, so that the
 * format cannot be told.
 *
 * @param source the statement's text, which must begin at COPY (white space and comments apart)
 */
export function copyFacts(fields: Fields, source: string): CopyFacts | undefined {
  const options = readOptions(fields['options'])
  if (options === undefined) return undefined
  const direction = fields['is_from'] === true ? 'from' : 'to'
  const program = fields['is_program'] === true
  const endpoint = program ? 'program' : 'filename' in fields ? 'file' : 'client'
  const isCsv = options.format === 'csv'
  const quote = options.quote ?? '"'
  const described = direction === 'to' ? describeText(fields, source) : undefined
  return {
    direction,
    endpoint,
    format: options.format,
    header: options.header,
    delimiter: options.delimiter ?? (isCsv ? ',' : '\t'),
    nullText: options.nullText ?? (isCsv ? '' : '\\N'),
    quote,
    escape: options.escape ?? quote,
    ...(described === undefined ? {} : { describeText: described }),
  }
}

interface Options {
  format: CopyFacts['format']
  header: boolean
  delimiter?: string
  nullText?: string
  quote?: string
  escape?: string
}

/** Options without a say in how output is written. */
const NEUTRAL = new Set([
  'freeze',
  'force_not_null',
  'force_null',
  'on_error',
  'log_verbosity',
  'reject_limit',
  'default',
  'force_quote',
])

function readOptions(list: unknown): Options | undefined {
  const options: Options = { format: 'text', header: false }
  for (const item of listOf(list)) {
    const option = nodeFields(item, 'DefElem')
    const name = textOf(option?.['defname']) ?? ''
    const text = optionText(option?.['arg'])
    switch (name) {
      case 'format':
        if (text !== 'text' && text !== 'csv' && text !== 'binary') return undefined
        options.format = text
        break
      case 'header':
        options.header = text === undefined || !/^(?:false|off|0)$/i.test(text)
        break
      case 'delimiter':
        if (text !== undefined) options.delimiter = text
        break
      case 'null':
        if (text !== undefined) options.nullText = text
        break
      case 'quote':
        if (text !== undefined) options.quote = text
        break
      case 'escape':
        if (text !== undefined) options.escape = text
        break
      case 'encoding':
        // The data would not be in the session's encoding any more.
        if (!/^utf-?8$/i.test(text ?? '')) return undefined
        break
      default:
        if (!NEUTRAL.has(name)) return undefined
    }
  }
  return options
}

/** An option's value as the server's defGetString would have it. */
export function optionText(value: unknown): string | undefined {
  const text = stringOf(value)
  if (text !== undefined) return text
  const truth = nodeFields(value, 'Boolean')
  if (truth !== undefined) return String(truth['boolval'] === true)
  const number = nodeFields(value, 'Integer')
  if (number !== undefined) return String(Number(number['ival'] ?? 0))
  const constant = constantOf(value)
  return constant === undefined ? undefined : String(constant)
}

/**
 * A statement with the same columns. For a table without a column list the server leaves generated columns out and
 * `*` does not: where there are any, the numbers of columns differ, and the reader of both must notice.
 */
function describeText(fields: Fields, source: string): string | undefined {
  if ('query' in fields) return insideFirstBracket(source)
  const relation = fieldsOf(fields['relation'])
  const table = [relation['catalogname'], relation['schemaname'], relation['relname']].filter(
    (part) => typeof part === 'string',
  )
  const columns = namesOf(fields['attlist']).map(quoteName)
  return `SELECT ${columns.length === 0 ? '*' : columns.join(', ')} FROM ONLY ${table.map(quoteName).join('.')}`
}

function quoteName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}
