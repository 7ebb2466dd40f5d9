/**
 * The parse tree as libpg-query prints it: JSON of PostgreSQL's raw parse nodes. A field declared as a general node
 * holds `{ NodeKind: { ...fields } }`; a field of one fixed kind holds the fields alone; zero values are left out.
 */
export type Fields = { readonly [name: string]: unknown }

const NOTHING: Fields = Object.freeze({})
const EMPTY: readonly unknown[] = Object.freeze([])

export function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** The fields of a sub-node of one fixed kind; none when absent. */
export function fieldsOf(value: unknown): Fields {
  return isFields(value) ? value : NOTHING
}

export function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : EMPTY
}

export function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined
}

export interface TreeNode {
  readonly kind: string
  readonly fields: Fields
}

/** A `{ NodeKind: fields }` wrapper taken apart; undefined for everything else. */
export function nodeOf(value: unknown): TreeNode | undefined {
  if (!isFields(value)) return undefined
  for (const key in value) {
    const first = key.charCodeAt(0)
    if (first < 0x41 /* A */ || first > 0x5a /* Z */) return undefined
    return { kind: key, fields: fieldsOf(value[key]) }
  }
  return undefined
}

/** The fields of `value` when it is a node of that kind. */
export function nodeFields(value: unknown, kind: string): Fields | undefined {
  const node = nodeOf(value)
  return node?.kind === kind ? node.fields : undefined
}

/** A `String` node's text. */
export function stringOf(value: unknown): string | undefined {
  const fields = nodeFields(value, 'String')
  return fields === undefined ? undefined : (textOf(fields['sval']) ?? '')
}

/** The texts of a list of `String` nodes, such as a qualified name. */
export function namesOf(value: unknown): string[] {
  return listOf(value).flatMap((item) => stringOf(item) ?? [])
}

/** A constant as text (`A_Const`), with its type where that matters. Undefined: not a constant, or NULL. */
export function constantOf(value: unknown): string | number | boolean | undefined {
  const fields = nodeFields(value, 'A_Const')
  if (fields === undefined || fields['isnull'] === true) return undefined
  if ('sval' in fields) return textOf(fieldsOf(fields['sval'])['sval']) ?? ''
  if ('ival' in fields) return Number(fieldsOf(fields['ival'])['ival'] ?? 0)
  if ('fval' in fields) return textOf(fieldsOf(fields['fval'])['fval']) ?? ''
  if ('boolval' in fields) return fieldsOf(fields['boolval'])['boolval'] === true
  if ('bsval' in fields) return textOf(fieldsOf(fields['bsval'])['bsval']) ?? ''
  return undefined
}
