import { constantOf, fieldsOf, listOf, namesOf, nodeFields, nodeOf } from './tree.js'

/** Whether a WHERE clause chooses: it is there, and does not hold for every row whatever the rows are. */
export function restricts(where: unknown): boolean {
  return where !== undefined && !isAlwaysTrue(where)
}

/** Whether what {@link restricts} says of it may be another for other literals: no row has a say in some part of it. */
export function hasConstantPart(where: unknown): boolean {
  if (where === undefined) return false
  const bool = nodeFields(where, 'BoolExpr')
  return bool === undefined ? !dependsOnRow(where) : listOf(bool['args']).some(hasConstantPart)
}

/** Conservative: a condition that no row has a say in, and that is not plainly false, counts as true. */
function isAlwaysTrue(condition: unknown): boolean {
  const bool = nodeFields(condition, 'BoolExpr')
  if (bool !== undefined) {
    const args = listOf(bool['args'])
    if (bool['boolop'] === 'OR_EXPR') return args.some(isAlwaysTrue)
    if (bool['boolop'] === 'AND_EXPR') return args.every(isAlwaysTrue)
    return args.every(isAlwaysFalse)
  }
  return !dependsOnRow(condition) && !isAlwaysFalse(condition)
}

function isAlwaysFalse(condition: unknown): boolean {
  const bool = nodeFields(condition, 'BoolExpr')
  if (bool !== undefined) {
    const args = listOf(bool['args'])
    if (bool['boolop'] === 'OR_EXPR') return args.every(isAlwaysFalse)
    if (bool['boolop'] === 'AND_EXPR') return args.some(isAlwaysFalse)
    return args.every(isAlwaysTrue)
  }
  const cast = nodeFields(condition, 'TypeCast')
  if (cast !== undefined) return isAlwaysFalse(cast['arg'])
  const value = constantOf(condition)
  if (typeof value === 'boolean') return !value
  if (typeof value === 'string') return /^\s*(?:f|fa|fal|fals|false|n|no|of|off|0)\s*$/i.test(value)
  return isFalseComparison(condition)
}

function isFalseComparison(condition: unknown): boolean {
  const comparison = nodeFields(condition, 'A_Expr')
  if (comparison === undefined || comparison['kind'] !== 'AEXPR_OP') return false
  const left = constantOf(comparison['lexpr'])
  const right = constantOf(comparison['rexpr'])
  if (left === undefined || right === undefined || typeof left !== typeof right) return false
  const operator = namesOf(comparison['name']).at(-1)
  if (operator === '=') return left !== right
  if (operator === '<>') return left === right
  if (typeof left !== 'number' || typeof right !== 'number') return false
  if (operator === '<') return left >= right
  if (operator === '>') return left <= right
  return false
}

const ROW_NODES = new Set(['ColumnRef', 'CurrentOfExpr'])

function dependsOnRow(value: unknown): boolean {
  if (Array.isArray(value)) return value.some(dependsOnRow)
  const node = nodeOf(value)
  if (node !== undefined) return ROW_NODES.has(node.kind) || dependsOnFields(node.fields)
  return typeof value === 'object' && value !== null && dependsOnFields(fieldsOf(value))
}

function dependsOnFields(fields: Readonly<Record<string, unknown>>): boolean {
  for (const key in fields) if (dependsOnRow(fields[key])) return true
  return false
}

/** A LIMIT or FETCH FIRST that is a plain number, and not WITH TIES. */
export function constantLimit(select: Readonly<Record<string, unknown>>): number | undefined {
  if (select['limitOption'] === 'LIMIT_OPTION_WITH_TIES') return undefined
  const limit = constantOf(select['limitCount'])
  return typeof limit === 'number' ? limit : undefined
}
