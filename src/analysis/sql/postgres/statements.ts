import type { SqlStatementFacts } from '../../../core/index.js'
import { Collector, type Output } from './collector.js'
import { constantLimit } from './conditions.js'
import { copyFacts, optionText } from './copy.js'
import { walkData } from './data-statements.js'
import { CteScope, Scope } from './scope.js'
import { shownNames, walkSetting } from './settings.js'
import { allSources, computed, NO_SOURCES, type Sources, unionSources } from './sources.js'
import { type Fields, fieldsOf, listOf, namesOf, nodeFields, nodeOf, textOf } from './tree.js'
import { plainClass, verbOf } from './verbs.js'
import type { Walker } from './walker.js'

/** DECLARE ... WITH HOLD, among the cursor's option bits. */
const CURSOR_HOLD = 0x20

/** Walks any statement, wherever it stands, and says what it returns. Class and names go to the walker's collector. */
export function walkStatement(walker: Walker, kind: string, fields: Fields, ctes: CteScope, outer?: Scope): Output {
  const { collector } = walker
  const scope = new Scope(outer, ctes)
  switch (kind) {
    case 'SelectStmt':
      return walker.query(fields, outer, ctes)
    case 'InsertStmt':
    case 'UpdateStmt':
    case 'DeleteStmt':
    case 'MergeStmt':
      return walkData(walker, kind, fields, ctes, outer)
    case 'ExplainStmt':
      return walkExplain(walker, fields, ctes)
    case 'CopyStmt':
      return walkCopy(walker, fields, scope)
    case 'PrepareStmt':
      return walkPrepare(walker, fields)
    case 'DeclareCursorStmt':
      return walkDeclare(walker, fields)
    case 'ExecuteStmt':
      // Whoever tracks prepared statements must add what this one does: until then it may be anything.
      walker.expression(fields['params'], scope, 'read')
      collector.raise('unknown')
      collector.doubt()
      collector.runs = { kind: 'prepared', name: textOf(fields['name']) ?? '' }
      return 'unknown'
    case 'FetchStmt':
      collector.raise('unknown')
      collector.doubt()
      collector.runs = { kind: 'cursor', name: textOf(fields['portalname']) ?? '' }
      return fields['ismove'] === true ? undefined : 'unknown'
    case 'CreateTableAsStmt':
      return walkCreateTableAs(walker, fields, ctes)
    case 'ViewStmt': {
      collector.raise('ddl')
      defined(walker, fields['view'])
      collector.launder(allSources(walker.subquery(fields['query'], undefined, ctes)))
      return undefined
    }
    case 'RuleStmt':
      collector.raise('ddl')
      walker.parts(fields, scope, 'predicate')
      collector.raise('ddl')
      // NEW and OLD stand for any row of a table that has yet to be changed.
      collector.launder('unknown')
      return undefined
    case 'CreateFunctionStmt':
      return walkCreateFunction(walker, fields, scope)
    case 'DoStmt':
      collector.raise('procedural')
      collector.doubt()
      collector.isDynamic = true
      collector.unknownEffect()
      return undefined
    case 'CallStmt':
      collector.raise('procedural')
      walker.expression(fields['funccall'], scope, 'read')
      collector.unknownEffect()
      return 'unknown'
    case 'VariableSetStmt':
      walkSetting(collector, fields)
      return undefined
    case 'VariableShowStmt':
      return shownNames(fields).map((name) => computed(name, NO_SOURCES))
    case 'TransactionStmt':
      walkTransaction(collector, fields)
      return undefined
    case 'DropStmt':
      walkDrop(collector, fields)
      return undefined
  }
  if (walkSessionStatement(walker, kind, fields)) return undefined
  const plain = plainClass(kind)
  if (plain === undefined) {
    // Fails closed: a statement that nobody here has thought about.
    collector.raise('unknown')
    collector.doubt()
    collector.unknownEffect()
  } else collector.raise(plain)
  walkDefinition(walker, kind, fields, scope)
  return undefined
}

/**
 * The facts of one statement on its own.
 *
 * @param source the statement's text; without it a COPY's format is not told
 */
export function statementFacts(walker: Walker, tree: unknown, source?: () => string): SqlStatementFacts {
  const node = nodeOf(tree)
  if (node === undefined) {
    walker.collector.raise('unknown')
    walker.collector.doubt()
    return walker.collector.facts('unknown', 'unknown')
  }
  const output = walker.walkStatement(walker, node.kind, node.fields, new CteScope())
  if (node.kind === 'SelectStmt') walker.collector.rowLimit = constantLimit(node.fields)
  if (node.kind === 'CopyStmt') {
    walker.collector.copy = source === undefined ? undefined : copyFacts(node.fields, source())
    if (walker.collector.copy === undefined) walker.collector.doubt()
  }
  return walker.collector.facts(verbOf(node.kind, node.fields), output)
}

/** Expressions in definitions (defaults, checks, policies) run later, if at all: the statement is what its kind says. */
function walkDefinition(walker: Walker, kind: string, fields: Fields, scope: Scope): void {
  const { collector } = walker
  const inner = walker.into(new Collector())
  inner.parts(fields, scope, 'predicate')
  const evaluates = kind === 'AlterTableStmt' || kind === 'IndexStmt' || plainClass(kind) === undefined
  collector.includeDefinition(inner.collector, { evaluates })
  for (const relation of renamedRelations(kind, fields)) {
    const schema = textOf(relation['schemaname'])
    const isColumn = fields['renameType'] === 'OBJECT_COLUMN'
    const column = isColumn ? (textOf(fields['subname']) ?? '*') : '*'
    const source = { table: textOf(relation['relname']) ?? '', column }
    collector.launder([schema === undefined ? source : { schema, ...source }])
  }
  if (kind === 'GrantStmt' && fields['objtype'] === 'OBJECT_TABLE') return
  if (kind === 'CommentStmt' || kind === 'SecLabelStmt') nameObjects(collector, fields['objtype'], [fields['object']])
  if (kind === 'LoadStmt' || kind === 'CreateExtensionStmt' || kind === 'AlterSystemStmt') collector.touchesFiles = true
  // SET clauses and new types: what later names mean may change, but what the session has set does not.
  if (kind === 'LoadStmt') collector.unknownEffect()
  if (kind === 'VacuumStmt' || kind === 'ReindexStmt') collector.doubt()
  if (kind === 'CreateSubscriptionStmt' || kind === 'CreateForeignServerStmt') collector.doubt()
}

/** Tables whose rows will be read under another name: no rule and no mask that names them would see that. */
function renamedRelations(kind: string, fields: Fields): readonly Fields[] {
  if (kind === 'RenameStmt' || kind === 'AlterObjectSchemaStmt') {
    const relation = fields['relation']
    return relation === undefined ? [] : [fieldsOf(relation)]
  }
  if (kind === 'CreateStmt') {
    return listOf(fields['inhRelations']).map((item) => fieldsOf(nodeFields(item, 'RangeVar')))
  }
  if (kind !== 'AlterTableStmt') return []
  return listOf(fields['cmds']).flatMap((item): readonly Fields[] => {
    const command = nodeFields(item, 'AlterTableCmd')
    const added = command?.['def']
    if (command?.['subtype'] === 'AT_AddInherit') return [fieldsOf(nodeFields(added, 'RangeVar'))]
    if (command?.['subtype'] !== 'AT_AttachPartition') return []
    // The parent's readers will see the partition's rows.
    return [fieldsOf(nodeFields(added, 'PartitionCmd')?.['name'])]
  })
}

function walkSessionStatement(walker: Walker, kind: string, fields: Fields): boolean {
  const { collector } = walker
  switch (kind) {
    case 'DeallocateStmt': {
      collector.raise('session')
      const name = textOf(fields['name'])
      collector.effect(name === undefined ? { kind: 'deallocate' } : { kind: 'deallocate', name })
      return true
    }
    case 'ClosePortalStmt': {
      collector.raise('session')
      const name = textOf(fields['portalname'])
      collector.effect(name === undefined ? { kind: 'close-cursor' } : { kind: 'close-cursor', name })
      return true
    }
    case 'DiscardStmt':
      collector.raise('session')
      if (fields['target'] === 'DISCARD_ALL' || fields['target'] === undefined)
        collector.effect({ kind: 'discard-all' })
      else if (fields['target'] === 'DISCARD_TEMP') collector.raise('ddl')
      return true
    case 'ListenStmt':
    case 'UnlistenStmt':
      collector.raise('session')
      return true
    case 'NotifyStmt':
      collector.raise('write')
      return true
    case 'LockStmt':
      collector.raise('write')
      nameRelations(collector, fields['relations'], 'lock')
      return true
    case 'TruncateStmt':
      collector.raise('write')
      nameRelations(collector, fields['relations'], 'truncate')
      return true
    case 'RefreshMatViewStmt':
      collector.raise('ddl')
      defined(walker, fields['relation'])
      // Runs the view's query, which the text does not show.
      collector.doubt()
      return true
  }
  return false
}

function walkExplain(walker: Walker, fields: Fields, ctes: CteScope): Output {
  const inner = walker.into(new Collector())
  const node = nodeOf(fields['query'])
  if (node !== undefined) inner.walkStatement(inner, node.kind, node.fields, ctes)
  // The last ANALYZE of several would count; any that is not plainly off is taken for one here.
  const isRun = listOf(fields['options']).some((item) => {
    const option = nodeFields(item, 'DefElem')
    if (option?.['defname'] !== 'analyze') return false
    return !/^(?:false|off|0)$/i.test(optionText(option['arg']) ?? 'true')
  })
  if (isRun) walker.collector.include(inner.collector)
  else walker.collector.includePlanned(inner.collector)
  return [computed('QUERY PLAN', NO_SOURCES)]
}

/** What the prepared statement does counts at PREPARE too, so that a rule about it need not know of PREPARE. */
function walkPrepare(walker: Walker, fields: Fields): Output {
  const { collector } = walker
  const inner = walker.into(new Collector())
  const statement = statementFacts(inner, fields['query'])
  walker.expression(fields['argtypes'], new Scope(undefined, new CteScope()), 'read')
  collector.include(inner.collector)
  collector.raise('session')
  collector.effect({ kind: 'prepare', name: textOf(fields['name']) ?? '', statement })
  return undefined
}

function walkDeclare(walker: Walker, fields: Fields): Output {
  const { collector } = walker
  const inner = walker.into(new Collector())
  const statement = statementFacts(inner, fields['query'])
  const holds = (Number(fields['options'] ?? 0) & CURSOR_HOLD) !== 0
  collector.include(inner.collector)
  collector.raise('session')
  collector.effect({ kind: 'declare-cursor', name: textOf(fields['portalname']) ?? '', statement, holds })
  return undefined
}

function walkCreateTableAs(walker: Walker, fields: Fields, ctes: CteScope): Output {
  const { collector } = walker
  collector.raise('ddl')
  defined(walker, fieldsOf(fields['into'])['rel'])
  const node = nodeOf(fields['query'])
  if (node === undefined) return undefined
  const output = walker.walkStatement(walker, node.kind, node.fields, ctes)
  collector.launder(output === 'unknown' ? 'unknown' : allSources(output ?? []))
  return undefined
}

/** A body in the SQL-standard form is walked; one in a string is somebody's program. */
function walkCreateFunction(walker: Walker, fields: Fields, scope: Scope): Output {
  const { collector } = walker
  collector.raise('ddl')
  for (const key of ['parameters', 'returnType']) walker.expression(fields[key], scope, 'predicate')
  const body = fields['sql_body']
  if (body === undefined) collector.doubt()
  else collector.launder(walkBody(walker, body, scope))
  // A function's types may be anybody's: that does not make its definition worse than a definition.
  collector.class = collector.class === 'unknown' ? 'ddl' : collector.class
  const language = listOf(fields['options'])
    .map((item) => nodeFields(item, 'DefElem'))
    .find((option) => option?.['defname'] === 'language')
  walkLanguage(collector, optionText(language?.['arg'])?.toLowerCase() ?? 'sql')
  return undefined
}

/** C code comes out of a file of the server's; what is called untrusted may do all that the server's user may. */
function walkLanguage(collector: Collector, language: string): void {
  const isUntrusted = language.endsWith('u')
  if (language === 'c' || isUntrusted) collector.touchesFiles = true
  if (isUntrusted) collector.touchesPrograms = true
  if (language === 'c' || language === 'internal' || isUntrusted) collector.raise('admin')
}

/** Says where what the body returns comes from: whoever calls the function gets it under another name. */
function walkBody(walker: Walker, body: unknown, scope: Scope): Sources {
  const returned = nodeFields(body, 'ReturnStmt')
  if (returned !== undefined) return walker.expression(returned['returnval'], scope, 'read')
  const list = Array.isArray(body) ? body : listOf(nodeFields(body, 'List')?.['items'])
  if (list.length > 0) return unionSources(list.map((item) => walkBody(walker, item, scope)))
  const node = nodeOf(body)
  if (node === undefined) return NO_SOURCES
  const output = walker.walkStatement(walker, node.kind, node.fields, scope.ctes, scope)
  return output === 'unknown' ? 'unknown' : allSources(output ?? [])
}

function walkCopy(walker: Walker, fields: Fields, scope: Scope): Output {
  const { collector } = walker
  const isFrom = fields['is_from'] === true
  const isOutside = 'filename' in fields
  if (fields['is_program'] === true) collector.touchesPrograms = true
  else if (isOutside) collector.touchesFiles = true
  let output: Output
  if ('query' in fields) output = walker.subquery(fields['query'], undefined, scope.ctes)
  else {
    const relation = fieldsOf(fields['relation'])
    const table = textOf(relation['relname']) ?? ''
    const schema = textOf(relation['schemaname'])
    const place = schema === undefined ? { table } : { schema, table }
    collector.table(schema, table, isFrom ? 'insert' : 'read')
    const names = namesOf(fields['attlist'])
    for (const column of names.length === 0 ? ['*'] : names) {
      collector.column({ ...place, column }, isFrom ? 'write' : 'read')
    }
    if (!isFrom) {
      output =
        names.length === 0
          ? [{ sources: [{ ...place, column: '*' }], isPlain: true, isStar: true }]
          : names.map((column) => ({ name: column, sources: [{ ...place, column }], isPlain: true }))
    }
  }
  walker.expression(fields['whereClause'], scope, 'predicate')
  if (isFrom) collector.raise('write')
  if (isOutside) {
    collector.raise('admin')
    if (!isFrom && output !== 'unknown') collector.launder(allSources(output ?? []))
  }
  return output
}

const TRANSACTIONS: Readonly<Record<string, NonNullable<SqlStatementFacts['transaction']>>> = {
  TRANS_STMT_BEGIN: 'begin',
  TRANS_STMT_START: 'begin',
  TRANS_STMT_COMMIT: 'commit',
  TRANS_STMT_ROLLBACK: 'rollback',
  TRANS_STMT_SAVEPOINT: 'savepoint',
  TRANS_STMT_RELEASE: 'release',
  TRANS_STMT_ROLLBACK_TO: 'rollback-to',
  TRANS_STMT_PREPARE: 'prepare',
  TRANS_STMT_COMMIT_PREPARED: 'commit-prepared',
  TRANS_STMT_ROLLBACK_PREPARED: 'rollback-prepared',
}

/** A rollback takes settings back; so does a COMMIT of a failed transaction, and any end takes SET LOCAL and cursors. */
function walkTransaction(collector: Collector, fields: Fields): void {
  collector.raise('transaction')
  const transaction = TRANSACTIONS[textOf(fields['kind']) ?? '']
  if (transaction === undefined) {
    collector.raise('unknown')
    collector.unknownEffect()
    return
  }
  collector.transaction = transaction
  if (transaction === 'rollback' || transaction === 'rollback-to') collector.unknownEffect()
  for (const item of listOf(fields['options'])) {
    const option = nodeFields(item, 'DefElem')
    const name = textOf(option?.['defname'])
    const value = optionText(option?.['arg'])
    if (name === undefined) continue
    const effect = { kind: 'set', name, scope: 'local' } as const
    collector.effect(value === undefined ? effect : { ...effect, value })
  }
}

const RELATION_KINDS = new Set(
  'OBJECT_TABLE OBJECT_VIEW OBJECT_MATVIEW OBJECT_FOREIGN_TABLE OBJECT_SEQUENCE OBJECT_INDEX OBJECT_TRIGGER OBJECT_RULE OBJECT_POLICY OBJECT_COLUMN'.split(
    ' ',
  ),
)
/** Named by a relation's name and one more. */
const OF_RELATION = new Set(['OBJECT_TRIGGER', 'OBJECT_RULE', 'OBJECT_POLICY', 'OBJECT_COLUMN'])

const ADMIN_OBJECTS = /EXTENSION|FDW|FOREIGN_SERVER|LANGUAGE|EVENT_TRIGGER|PUBLICATION|ACCESS_METHOD/

function walkDrop(collector: Collector, fields: Fields): void {
  const type = textOf(fields['removeType']) ?? ''
  collector.raise(ADMIN_OBJECTS.test(type) ? 'admin' : type === 'OBJECT_POLICY' ? 'dcl' : 'ddl')
  nameObjects(collector, type, listOf(fields['objects']))
  // CASCADE and DROP SCHEMA take more than they name.
  if (fields['behavior'] === 'DROP_CASCADE') collector.doubt()
}

function nameObjects(collector: Collector, type: unknown, objects: readonly unknown[]): void {
  if (typeof type !== 'string' || !RELATION_KINDS.has(type)) return
  for (const object of objects) {
    const names = namesOf(nodeFields(object, 'List')?.['items'])
    const relation = OF_RELATION.has(type) ? names.slice(0, -1) : names
    const table = relation.at(-1)
    if (table !== undefined) collector.table(relation.at(-2), table, 'ddl')
  }
}

function nameRelations(collector: Collector, list: unknown, mode: 'lock' | 'truncate'): void {
  for (const item of listOf(list)) {
    const relation = nodeFields(item, 'RangeVar')
    if (relation !== undefined) collector.table(textOf(relation['schemaname']), textOf(relation['relname']) ?? '', mode)
  }
}

function defined(walker: Walker, relation: unknown): void {
  const fields = fieldsOf(relation)
  walker.collector.table(textOf(fields['schemaname']), textOf(fields['relname']) ?? '', 'ddl')
}
