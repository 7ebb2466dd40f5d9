import type { Collector } from './collector.js'
import { constantOf, type Fields, fieldsOf, listOf, nodeFields, textOf } from './tree.js'

/** SET, SET LOCAL and RESET. Setting names are folded as the server compares them. */
export function walkSetting(collector: Collector, fields: Fields): void {
  collector.raise('session')
  const scope = fields['is_local'] === true ? 'local' : 'session'
  const name = (textOf(fields['name']) ?? '').toLowerCase()
  // Another identity, or another meaning of rights: more than the session's own comfort.
  if (name === 'role' || name === 'session_authorization') collector.raise('dcl')
  switch (fields['kind']) {
    case 'VAR_SET_VALUE': {
      const value = settingText(fields['args'])
      collector.effect(value === undefined ? { kind: 'set', name, scope } : { kind: 'set', name, value, scope })
      return
    }
    case 'VAR_SET_MULTI':
      setMany(collector, name, listOf(fields['args']))
      return
    case 'VAR_SET_DEFAULT':
    case 'VAR_RESET':
      collector.effect({ kind: 'set', name, scope })
      return
    case 'VAR_RESET_ALL':
      collector.effect({ kind: 'reset-all' })
      return
    default:
      // SET ... FROM CURRENT and whatever comes after it.
      collector.doubt()
      collector.unknownEffect()
  }
}

/** SET TRANSACTION and SET SESSION CHARACTERISTICS. */
function setMany(collector: Collector, name: string, args: readonly unknown[]): void {
  const isSession = name.includes('session')
  for (const item of args) {
    const option = nodeFields(item, 'DefElem')
    const setting = textOf(option?.['defname'])
    const value = constantOf(option?.['arg'])
    if (setting === undefined) {
      collector.unknownEffect()
      continue
    }
    const prefix = isSession ? 'default_' : ''
    const effect = { kind: 'set', name: `${prefix}${setting}`, scope: isSession ? 'session' : 'local' } as const
    collector.effect(value === undefined ? effect : { ...effect, value: String(value) })
  }
}

/** The value as SHOW would give it back; a list of names is quoted where a name needs it. Undefined: not to be told. */
function settingText(args: unknown): string | undefined {
  const list = listOf(args)
  const parts: string[] = []
  for (const item of list) {
    const value = constantOf(item)
    if (value === undefined) return undefined
    const text = typeof value === 'boolean' ? (value ? 'on' : 'off') : String(value)
    parts.push(list.length > 1 && !/^[a-z_][a-z0-9_]*$/.test(text) ? `"${text.replaceAll('"', '""')}"` : text)
  }
  return parts.join(', ')
}

/** The name that SHOW gives to its one column; SHOW ALL has three of fixed names. */
export function shownNames(fields: Fields): readonly string[] {
  const name = textOf(fieldsOf(fields)['name']) ?? ''
  return name === 'all' ? ['name', 'setting', 'description'] : [name]
}
