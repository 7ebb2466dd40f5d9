import type { OutputColumn, TableAccessMode } from '../../../core/index.js'
import type { Collector, Output } from './collector.js'
import { hasConstantPart, restricts } from './conditions.js'
import { type CteScope, type FromItem, Scope, tableColumns } from './scope.js'
import { allSources, NO_SOURCES, type Sources } from './sources.js'
import { type Fields, fieldsOf, listOf, nodeFields, textOf } from './tree.js'
import type { Walker } from './walker.js'

/** The table that a statement changes: never a WITH name, always a relation (which may be a view). */
interface Target {
  readonly schema: string | undefined
  readonly table: string
  readonly item: FromItem
}

/**
 * INSERT, UPDATE, DELETE and MERGE. Triggers, rules and foreign keys may do more than the text says, and may even
 * change settings: the server reports those that matter to reading text by itself, so they are not counted here.
 */
export function walkData(
  walker: Walker,
  kind: 'InsertStmt' | 'UpdateStmt' | 'DeleteStmt' | 'MergeStmt',
  fields: Fields,
  outerCtes: CteScope,
  outer: Scope | undefined,
): Output {
  walker.collector.raise('write')
  const ctes = walker.withClause(fields['withClause'], outer, outerCtes)
  const scope = new Scope(outer, ctes)
  const target = targetOf(walker.collector, fieldsOf(fields['relation']))
  switch (kind) {
    case 'InsertStmt':
      return walkInsert(walker, fields, target, scope)
    case 'UpdateStmt':
      return walkUpdate(walker, fields, target, scope)
    case 'DeleteStmt':
      return walkDelete(walker, fields, target, scope)
    case 'MergeStmt':
      return walkMerge(walker, fields, target, scope)
  }
}

function targetOf(collector: Collector, relation: Fields): Target {
  const table = textOf(relation['relname']) ?? ''
  const schema = textOf(relation['schemaname'])
  const alias = textOf(fieldsOf(relation['alias'])['aliasname'])
  // Writing to this view calls set_config, and which settings it changes depends on its rows: the role may be among them.
  if (table === 'pg_settings') {
    collector.unknownEffect()
    collector.raise('dcl')
  }
  const item = { name: alias ?? table, columns: tableColumns(schema, table) }
  return { schema, table, item: schema === undefined || alias !== undefined ? item : { ...item, schema } }
}

function mark(walker: Walker, target: Target, mode: TableAccessMode): void {
  walker.collector.table(target.schema, target.table, mode)
}

function walkInsert(walker: Walker, fields: Fields, target: Target, scope: Scope): Output {
  const { collector } = walker
  mark(walker, target, 'insert')
  const columns = listOf(fields['cols'])
  if (columns.length === 0) written(collector, target, '*')
  for (const column of columns) assigned(walker, target, column, scope)
  if ('selectStmt' in fields) {
    // The inserted query sees neither the target nor its alias.
    collector.launder(allSources(walker.subquery(fields['selectStmt'], scope.outer, scope.ctes)))
  }
  scope.items.push(target.item)
  if ('onConflictClause' in fields) walkConflict(walker, fieldsOf(fields['onConflictClause']), target, scope)
  return returning(walker, fields, target, scope)
}

function walkConflict(walker: Walker, clause: Fields, target: Target, scope: Scope): void {
  walker.expression(clause['infer'], scope, 'predicate')
  if (clause['action'] !== 'ONCONFLICT_UPDATE') return
  mark(walker, target, 'update')
  const inner = new Scope(scope.outer, scope.ctes)
  inner.items.push(target.item, { name: 'excluded', columns: target.item.columns, isHidden: true })
  assignments(walker, clause['targetList'], target, inner)
  walker.expression(clause['whereClause'], inner, 'predicate')
}

function walkUpdate(walker: Walker, fields: Fields, target: Target, scope: Scope): Output {
  mark(walker, target, 'update')
  scope.items.push(target.item)
  for (const item of listOf(fields['fromClause'])) walker.from(item, scope, false)
  assignments(walker, fields['targetList'], target, scope)
  walkWhere(walker, fields, target, scope)
  return returning(walker, fields, target, scope)
}

function walkDelete(walker: Walker, fields: Fields, target: Target, scope: Scope): Output {
  mark(walker, target, 'delete')
  scope.items.push(target.item)
  for (const item of listOf(fields['usingClause'])) walker.from(item, scope, false)
  walkWhere(walker, fields, target, scope)
  return returning(walker, fields, target, scope)
}

function walkWhere(walker: Walker, fields: Fields, target: Target, scope: Scope): void {
  if (!restricts(fields['whereClause'])) walker.collector.hasWhere = false
  if (hasConstantPart(fields['whereClause'])) walker.collector.isLiteralDependent = true
  if (!('whereClause' in fields)) return
  mark(walker, target, 'read')
  walker.expression(fields['whereClause'], scope, 'predicate')
}

const MERGE_MODES: Readonly<Record<string, TableAccessMode>> = {
  CMD_INSERT: 'insert',
  CMD_UPDATE: 'update',
  CMD_DELETE: 'delete',
}

function walkMerge(walker: Walker, fields: Fields, target: Target, scope: Scope): Output {
  const { collector } = walker
  mark(walker, target, 'read')
  walker.from(fields['sourceRelation'], scope, false)
  const source = new Scope(scope.outer, scope.ctes)
  source.items.push(...scope.items)
  scope.items.unshift(target.item)
  walker.expression(fields['joinCondition'], scope, 'predicate')
  for (const item of listOf(fields['mergeWhenClauses'])) {
    const clause = fieldsOf(nodeFields(item, 'MergeWhenClause'))
    const command = textOf(clause['commandType']) ?? ''
    walker.expression(clause['condition'], scope, 'predicate')
    const mode = MERGE_MODES[command]
    if (mode === undefined) continue
    mark(walker, target, mode)
    if (mode === 'insert') {
      const columns = listOf(clause['targetList'])
      if (columns.length === 0) written(collector, target, '*')
      for (const column of columns) assigned(walker, target, column, scope)
      collector.launder(walker.expression(clause['values'], source, 'read'))
      continue
    }
    // The condition that pairs rows, or the one of this arm, must choose.
    if (hasConstantPart(clause['condition']) || hasConstantPart(fields['joinCondition'])) {
      collector.isLiteralDependent = true
    }
    if (!restricts(fields['joinCondition']) && !restricts(clause['condition'])) collector.hasWhere = false
    if (mode === 'update') assignments(walker, clause['targetList'], target, scope)
  }
  return returning(walker, fields, target, scope)
}

/** SET a = x: what is written, and what values get there. */
function assignments(walker: Walker, list: unknown, target: Target, scope: Scope): void {
  for (const item of listOf(list)) {
    const column = assigned(walker, target, item, scope)
    const value = nodeFields(item, 'ResTarget')?.['val']
    const row = nodeFields(value, 'MultiAssignRef')
    const sources: Sources = walker.expression(row === undefined ? value : row['source'], scope, 'read')
    if (sources !== NO_SOURCES) mark(walker, target, 'read')
    const place = target.schema === undefined ? { table: target.table } : { schema: target.schema, table: target.table }
    walker.collector.launder(sources, { ...place, column })
  }
}

/** The written column that a target names; subscripts of it are read. */
function assigned(walker: Walker, target: Target, value: unknown, scope: Scope): string {
  const fields = fieldsOf(nodeFields(value, 'ResTarget'))
  const column = textOf(fields['name']) ?? '*'
  written(walker.collector, target, column)
  walker.expression(fields['indirection'], scope, 'read')
  return column
}

function written(collector: Collector, target: Target, column: string): void {
  const source = { table: target.table, column }
  collector.column(target.schema === undefined ? source : { schema: target.schema, ...source }, 'write')
}

function returning(walker: Walker, fields: Fields, target: Target, scope: Scope): readonly OutputColumn[] | undefined {
  const clause = fieldsOf(fields['returningClause'])
  const list = listOf(clause['exprs'])
  if (list.length === 0) return undefined
  mark(walker, target, 'read')
  const inner = new Scope(scope.outer, scope.ctes)
  inner.items.push(...scope.items)
  // RETURNING WITH (OLD AS o): both name the target's row.
  const names = new Set(['old', 'new'])
  for (const item of listOf(clause['options'])) {
    const name = textOf(nodeFields(item, 'ReturningOption')?.['value'])
    if (name !== undefined) names.add(name)
  }
  for (const name of names) {
    if (!inner.items.some((item) => item.name === name)) {
      inner.items.push({ name, columns: target.item.columns, isHidden: true })
    }
  }
  return walker.targets(list, inner)
}
