import type { ColumnAccess, OutputColumn } from '../../../core/index.js'
import type { Collector, Output } from './collector.js'
import { isBuiltinOperator, isBuiltinType, judgeFunction } from './function-data.js'
import { CteScope, type FromItem, type Resolved, Scope, tableColumns } from './scope.js'
import {
  allSources,
  computed,
  findColumn,
  mergeOutputs,
  NO_SOURCES,
  renamed,
  type Sources,
  sourceKey,
  star,
  unionSources,
} from './sources.js'
import {
  constantOf,
  type Fields,
  fieldsOf,
  isFields,
  listOf,
  namesOf,
  nodeFields,
  nodeOf,
  stringOf,
  textOf,
} from './tree.js'

/** What the session state says about how names are read. */
export interface WalkEnvironment {
  /** pg_catalog is searched first: an unqualified builtin name is the builtin. */
  readonly trustsBuiltins: boolean
  /** JSON_VALUE and its like are SQL syntax (17 and later); before, a user's function may bear the name. */
  readonly hasSqlJson: boolean
}

export type Mode = ColumnAccess['mode']

/**
 * What a walk may cost before the text counts as not parsed, in nodes visited and columns looked through. Stars double
 * with every `select x.*, y.*` over a WITH name, so a short text can ask for more memory than there is.
 */
const MAX_VISITS = 2_000_000

/** A recursive WITH is walked until its columns' sources stay the same, at most so often. */
const MAX_RECURSION_PASSES = 3

export class TooComplexError extends Error {}

/** Expressions that read nothing. */
const LEAVES = new Set(
  'A_Const SetToDefault ParamRef SQLValueFunction MergeSupportFunc CaseTestExpr CurrentOfExpr Integer Float Boolean String BitString A_Star'.split(
    ' ',
  ),
)

/** Nodes that mean no more than what they are made of. Every other kind makes a statement's class unknown. */
const COMPOSITES = new Set(
  `A_ArrayExpr A_Indices BoolExpr BooleanTest CaseExpr CaseWhen CoalesceExpr CollateClause GroupingFunc GroupingSet
  JsonAggConstructor JsonArgument JsonArrayAgg JsonArrayConstructor JsonArrayQueryConstructor JsonBehavior JsonFormat
  JsonIsPredicate JsonKeyValue JsonObjectAgg JsonObjectConstructor JsonOutput JsonReturning JsonTableColumn
  JsonTablePathSpec JsonValueExpr List MinMaxExpr MultiAssignRef NamedArgExpr NullTest RangeTableFuncCol ResTarget
  RowExpr SortBy TypeName WindowDef XmlExpr XmlSerialize IndexElem InferClause Alias AccessPriv CTECycleClause
  CTESearchClause ColumnDef Constraint CreateOpClassItem DefElem FunctionParameter ObjectWithArgs PartitionBoundSpec
  PartitionCmd PartitionElem PartitionRangeDatum PartitionSpec PublicationObjSpec PublicationTable ReturningOption
  RoleSpec StatsElem TableLikeClause TriggerTransition VacuumRelation AlterTableCmd ATAlterConstraint ReplicaIdentityStmt`
    .trim()
    .split(/\s+/),
)

/** SQL/JSON functions that came with version 17. */
const SQL_JSON = new Set(['JsonFuncExpr', 'JsonParseExpr', 'JsonScalarExpr', 'JsonSerializeExpr'])

/** Builtins that make something out of a whole row, so that `t.f` is worth reading as `f(t)`. */
const ROW_READERS = new Set(
  `row_to_json to_json to_jsonb concat format quote_literal quote_nullable json_build_array jsonb_build_array
  record_out record_send hash_record hash_record_extended json_strip_nulls xmlforest array_append`
    .trim()
    .split(/\s+/),
)

export type StatementWalk = (walker: Walker, kind: string, fields: Fields, ctes: CteScope, outer?: Scope) => Output

/** Walks queries and expressions, and notes in its collector all that they name. */
export class Walker {
  readonly collector: Collector
  readonly environment: WalkEnvironment
  readonly walkStatement: StatementWalk
  private readonly budget: { visits: number }

  constructor(
    collector: Collector,
    environment: WalkEnvironment,
    walkStatement: StatementWalk,
    budget = { visits: MAX_VISITS },
  ) {
    this.collector = collector
    this.environment = environment
    this.walkStatement = walkStatement
    this.budget = budget
  }

  /** The same walk with other facts to fill. */
  into(collector: Collector): Walker {
    return new Walker(collector, this.environment, this.walkStatement, this.budget)
  }

  private spend(visits: number): void {
    this.budget.visits -= visits
    if (this.budget.visits < 0) throw new TooComplexError('the walk costs too much')
  }

  /** Notes all that `value` names, whatever it is, and says where a value made of it comes from. */
  expression(value: unknown, scope: Scope, mode: Mode): Sources {
    if (typeof value !== 'object' || value === null) return NO_SOURCES
    this.spend(1)
    if (Array.isArray(value)) return value.length === 0 ? NO_SOURCES : this.list(value, scope, mode)
    const node = nodeOf(value)
    return node === undefined
      ? this.structure(fieldsOf(value), scope, mode)
      : this.node(node.kind, node.fields, scope, mode)
  }

  /** What an inner query only reads may be what the outer one asks about. */
  private noted(sources: Sources, mode: Mode): Sources {
    if (mode === 'predicate' && sources !== 'unknown') {
      for (const source of sources) this.collector.column(source, mode)
    }
    return sources
  }

  /** The parts of a node without a meaning of its own. */
  parts(fields: Fields, scope: Scope, mode: Mode): Sources {
    const found: Sources[] = []
    for (const key in fields) {
      const part = fields[key]
      if (typeof part === 'object' && part !== null) found.push(this.expression(part, scope, mode))
    }
    return unionSources(found)
  }

  private list(values: readonly unknown[], scope: Scope, mode: Mode): Sources {
    const found: Sources[] = []
    for (const item of values) {
      const sources = this.expression(item, scope, mode)
      if (sources !== NO_SOURCES) found.push(sources)
    }
    return found.length === 0 ? NO_SOURCES : unionSources(found)
  }

  /** A node whose kind is known from its place, and so not written. */
  private structure(fields: Fields, scope: Scope, mode: Mode): Sources {
    if ('relname' in fields) return this.strayTable(fields)
    if ('names' in fields && 'typemod' in fields) return this.type(fields, scope, mode)
    if ('funcname' in fields) return this.call(fields, scope, mode)
    if ('limitOption' in fields) return allSources(this.query(fields, scope, scope.ctes))
    return this.parts(fields, scope, mode)
  }

  private node(kind: string, fields: Fields, scope: Scope, mode: Mode): Sources {
    if (LEAVES.has(kind)) return NO_SOURCES
    switch (kind) {
      case 'ColumnRef':
        return this.columnReference(fields, scope, mode).sources
      case 'A_Expr':
        return this.operator(fields, scope, mode)
      case 'FuncCall':
        return this.call(fields, scope, mode)
      case 'TypeName':
        return this.type(fields, scope, mode)
      case 'TypeCast':
        this.expression(fields['typeName'], scope, mode)
        return this.expression(fields['arg'], scope, mode)
      case 'SubLink':
        this.operatorName(fields['operName'])
        this.expression(fields['testexpr'], scope, 'predicate')
        return this.noted(allSources(this.subquery(fields['subselect'], scope, scope.ctes)), mode)
      case 'A_Indirection':
        return this.parts(fields, scope, mode)
      case 'SortBy':
        this.operatorName(fields['useOp'])
        return this.expression(fields['node'], scope, mode)
      case 'RangeVar':
        return this.strayTable(fields)
    }
    if (COMPOSITES.has(kind)) return this.parts(fields, scope, mode)
    if (SQL_JSON.has(kind)) {
      const sources = this.parts(fields, scope, mode)
      if (this.environment.hasSqlJson) return sources
      this.collector.function(undefined, 'sql_json', judgeFunction(''))
      return 'unknown'
    }
    if (kind.endsWith('Stmt')) {
      const output = this.walkStatement(this, kind, fields, scope.ctes, scope)
      return output === 'unknown' ? 'unknown' : allSources(output ?? [])
    }
    // Fails closed: a kind that nobody here has thought about.
    this.collector.raise('unknown')
    this.collector.doubt()
    this.collector.unknownEffect()
    this.parts(fields, scope, mode)
    return 'unknown'
  }

  /** A table named in a place other than FROM and not as a target: its definition is what is meant. */
  private strayTable(fields: Fields): Sources {
    this.collector.table(textOf(fields['schemaname']), textOf(fields['relname']) ?? '', 'ddl')
    return NO_SOURCES
  }

  /**
   * Builtin operator names are taken for the builtin operators, whose functions are all known; one that a user
   * has put on search_path for other types cannot be seen in the text. A schema that is written out can.
   */
  private operatorName(name: unknown): void {
    const names = namesOf(name)
    const operator = names.at(-1)
    if (operator === undefined) return
    const schema = names.at(-2)
    const isBuiltin =
      schema === undefined
        ? this.environment.trustsBuiltins && isBuiltinOperator(operator)
        : schema === 'pg_catalog' && isBuiltinOperator(operator)
    if (!isBuiltin) this.collector.function(schema, operator, judgeFunction(''))
  }

  private operator(fields: Fields, scope: Scope, mode: Mode): Sources {
    const kind = fields['kind']
    // BETWEEN stands where the operator's name does.
    if (typeof kind !== 'string' || !kind.includes('BETWEEN')) this.operatorName(fields['name'])
    const sources = unionSources([
      this.expression(fields['lexpr'], scope, mode),
      this.expression(fields['rexpr'], scope, mode),
    ])
    const names = namesOf(fields['name'])
    return names.length > 1 && names[0] !== 'pg_catalog' ? 'unknown' : sources
  }

  private call(fields: Fields, scope: Scope, mode: Mode): Sources {
    const names = namesOf(fields['funcname'])
    const name = names.at(-1) ?? ''
    const schema = names.at(-2)
    const isBuiltin = schema === undefined ? this.environment.trustsBuiltins : schema === 'pg_catalog'
    // A user's function that hides a builtin in a schema searched before pg_catalog cannot be seen in the text.
    const judgement = judgeFunction(isBuiltin || isKnownHazard(name) ? name : '')
    this.collector.function(
      schema,
      name,
      isBuiltin ? judgement : { ...judgement, volatility: 'unknown', class: 'unknown' },
    )
    // An ordered-set aggregate's argument is what it is ordered by: mode() WITHIN GROUP (ORDER BY ssn) is an ssn.
    const isOrderedSet = fields['agg_within_group'] === true
    const sources = unionSources([
      this.expression(fields['args'], scope, mode),
      isOrderedSet ? this.expression(fields['agg_order'], scope, mode) : NO_SOURCES,
    ])
    for (const key of ['agg_order', 'agg_filter', 'over']) this.expression(fields[key], scope, 'predicate')
    if (name === 'set_config' && setsIdentity(listOf(fields['args'])[0])) this.collector.raise('dcl')
    if (judgement.hazards.length > 0 && LAUNDERING.some((hazard) => judgement.hazards.includes(hazard))) {
      this.collector.launder(sources)
    }
    if (!isBuiltin || judgement.volatility === 'unknown') return 'unknown'
    if (OPAQUE.some((hazard) => judgement.hazards.includes(hazard))) return 'unknown'
    return name === 'count' ? NO_SOURCES : sources
  }

  /** A type that is not builtin brings functions of its own: its input function, casts to it, a domain's checks. */
  private type(fields: Fields, scope: Scope, mode: Mode): Sources {
    const names = namesOf(fields['names'])
    const name = names.at(-1) ?? ''
    const schema = names.at(-2)
    const isBuiltin =
      isBuiltinType(name) && (schema === undefined ? this.environment.trustsBuiltins : schema === 'pg_catalog')
    if (!isBuiltin) this.collector.unknownType()
    this.expression(fields['typmods'], scope, mode)
    return NO_SOURCES
  }

  columnReference(fields: Fields, scope: Scope, mode: Mode): Resolved {
    const path = listOf(fields['fields'])
    const names = namesOf(path)
    this.spend(scope.lookupCost())
    const resolved = names.length < path.length ? this.wholeRows(names, scope) : this.resolve(names, scope)
    if (resolved.sources !== 'unknown') {
      this.spend(resolved.sources.length)
      for (const source of resolved.sources) this.collector.column(source, mode)
    }
    return resolved
  }

  private wholeRows(names: readonly string[], scope: Scope): Resolved {
    return { sources: allSources(this.expandStar(names, scope)), isPlain: false }
  }

  private resolve(names: readonly string[], scope: Scope): Resolved {
    const column = names.at(-1) ?? ''
    const qualifier = names.at(-2)
    if (qualifier === undefined) return scope.column(column) ?? { sources: [{ column }], isPlain: false }
    const item = scope.item(qualifier, names.at(-3))
    const schema = names.at(-3)
    if (item === undefined) {
      return {
        sources: [schema === undefined ? { table: qualifier, column } : { schema, table: qualifier, column }],
        isPlain: false,
      }
    }
    const found = findColumn(item.columns, column)
    // `t.f` means f(t) where t has no column f. For a user's function f nothing in the text tells.
    if (found === undefined || (!found.isCertain && ROW_READERS.has(column))) {
      return { sources: unionSources([found?.sources ?? NO_SOURCES, allSources(item.columns)]), isPlain: false }
    }
    return found
  }

  private expandStar(names: readonly string[], scope: Scope): readonly OutputColumn[] {
    const qualifier = names.at(-1)
    const columns =
      qualifier === undefined
        ? scope.star()
        : (scope.item(qualifier, names.at(-2))?.columns ?? [star('unknown', false)])
    this.spend(columns.length)
    return columns
  }

  /** A SELECT, VALUES or TABLE, in brackets or as a WITH query: also one that changes data. */
  subquery(value: unknown, outer: Scope | undefined, ctes: CteScope): readonly OutputColumn[] {
    const node = nodeOf(value)
    if (node === undefined) return isFields(value) ? this.query(value, outer, ctes) : []
    if (node.kind === 'SelectStmt') return this.query(node.fields, outer, ctes)
    const output = this.walkStatement(this, node.kind, node.fields, ctes, outer)
    return output === 'unknown' ? [star('unknown', false)] : (output ?? [])
  }

  /** The output columns of a SELECT; notes everything in it. */
  query(select: Fields, outer: Scope | undefined, outerCtes: CteScope): readonly OutputColumn[] {
    this.spend(1)
    const ctes = this.withClause(select['withClause'], outer, outerCtes)
    const output =
      select['op'] !== undefined && select['op'] !== 'SETOP_NONE'
        ? this.setOperation(select, outer, ctes)
        : 'valuesLists' in select
          ? this.values(select, outer, ctes)
          : this.plainSelect(select, outer, ctes)
    if ('lockingClause' in select) this.collector.raise('write')
    if ('intoClause' in select) this.selectInto(fieldsOf(select['intoClause']), output)
    return output
  }

  private setOperation(select: Fields, outer: Scope | undefined, ctes: CteScope): readonly OutputColumn[] {
    const left = this.query(fieldsOf(select['larg']), outer, ctes)
    const right = this.query(fieldsOf(select['rarg']), outer, ctes)
    const output = mergeOutputs(left, right)
    const scope = new Scope(outer, ctes)
    scope.items.push({ name: undefined, columns: output })
    this.tail(select, scope, output)
    return output
  }

  private values(select: Fields, outer: Scope | undefined, ctes: CteScope): readonly OutputColumn[] {
    const scope = new Scope(outer, ctes)
    const columns: Sources[][] = []
    for (const row of listOf(select['valuesLists'])) {
      listOf(nodeFields(row, 'List')?.['items']).forEach((cell, index) => {
        const sources = this.expression(cell, scope, 'read')
        if (sources !== NO_SOURCES) (columns[index] ??= []).push(sources)
        else columns[index] ??= []
      })
    }
    const output = columns.map((parts, index) => computed(`column${index + 1}`, unionSources(parts)))
    this.tail(select, scope, output)
    return output
  }

  private plainSelect(select: Fields, outer: Scope | undefined, ctes: CteScope): readonly OutputColumn[] {
    const scope = new Scope(outer, ctes)
    for (const item of listOf(select['fromClause'])) this.from(item, scope, 'lockingClause' in select)
    this.expression(select['whereClause'], scope, 'predicate')
    const output = this.targets(select['targetList'], scope)
    for (const key of ['distinctClause', 'groupClause']) this.namedOrComputed(select[key], scope, output)
    for (const key of ['havingClause', 'windowClause']) this.expression(select[key], scope, 'predicate')
    this.tail(select, scope, output)
    return output
  }

  /** ORDER BY and LIMIT. */
  private tail(select: Fields, scope: Scope, output: readonly OutputColumn[]): void {
    this.namedOrComputed(select['sortClause'], scope, output)
    this.expression(select['limitCount'], scope, 'predicate')
    this.expression(select['limitOffset'], scope, 'predicate')
  }

  /** A bare name in ORDER BY and GROUP BY may be that of an output column. */
  private namedOrComputed(items: unknown, scope: Scope, output: readonly OutputColumn[]): void {
    for (const item of listOf(items)) {
      const sort = nodeFields(item, 'SortBy')
      const reference = nodeFields(sort === undefined ? item : sort['node'], 'ColumnRef')
      const path = reference === undefined ? [] : listOf(reference['fields'])
      const name = path.length === 1 ? stringOf(path[0]) : undefined
      const columns = name === undefined ? [] : output.filter((column) => column.name === name)
      if (columns.length === 0) this.expression(item, scope, 'predicate')
      else {
        this.operatorName(sort?.['useOp'])
        const sources = allSources(columns)
        if (sources !== 'unknown') for (const source of sources) this.collector.column(source, 'predicate')
      }
    }
  }

  private selectInto(into: Fields, output: readonly OutputColumn[]): void {
    const target = fieldsOf(into['rel'])
    this.collector.raise('ddl')
    this.collector.table(textOf(target['schemaname']), textOf(target['relname']) ?? '', 'ddl')
    this.collector.launder(allSources(output))
  }

  /** A select list or RETURNING list as output columns. */
  targets(list: unknown, scope: Scope): readonly OutputColumn[] {
    return listOf(list).flatMap((item): readonly OutputColumn[] => {
      const target = nodeFields(item, 'ResTarget')
      if (target === undefined) return [computed(undefined, this.expression(item, scope, 'read'))]
      const value = target['val']
      const reference = nodeFields(value, 'ColumnRef')
      const alias = textOf(target['name'])
      if (reference !== undefined) return this.referencedColumns(reference, alias, scope)
      const sources = this.expression(value, scope, 'read')
      const indirection = nodeFields(value, 'A_Indirection')
      const isExpanded = nodeOf(listOf(indirection?.['indirection']).at(-1))?.kind === 'A_Star'
      return [isExpanded ? star(sources, false) : computed(alias ?? callName(value), sources)]
    })
  }

  private referencedColumns(reference: Fields, alias: string | undefined, scope: Scope): readonly OutputColumn[] {
    const resolved = this.columnReference(reference, scope, 'read')
    const path = listOf(reference['fields'])
    const names = namesOf(path)
    if (names.length < path.length) return this.expandStar(names, scope)
    const name = alias ?? names.at(-1) ?? ''
    return [{ name, sources: resolved.sources, isPlain: resolved.isPlain }]
  }

  /** Adds what a FROM item offers to the scope. */
  from(value: unknown, scope: Scope, isLocked: boolean): void {
    const node = nodeOf(value)
    if (node === undefined) return
    const { kind, fields } = node
    switch (kind) {
      case 'RangeVar':
        scope.items.push(this.fromTable(fields, scope, isLocked))
        return
      case 'RangeSubselect': {
        const outer = fields['lateral'] === true ? scope : scope.outer
        const columns = this.subquery(fields['subquery'], outer, scope.ctes)
        scope.items.push(aliased(fields, columns, undefined))
        return
      }
      case 'RangeFunction':
        scope.items.push(this.fromFunction(fields, scope))
        return
      case 'JoinExpr':
        this.fromJoin(fields, scope, isLocked)
        return
      case 'RangeTableSample':
        this.from(fields['relation'], scope, isLocked)
        // A sampling method is a function by its name; the two builtin ones are harmless.
        this.call({ funcname: fields['method'], args: fields['args'] }, scope, 'predicate')
        this.expression(fields['repeatable'], scope, 'predicate')
        return
      case 'RangeTableFunc':
      case 'JsonTable': {
        const { alias: _, ...rest } = fields
        scope.items.push(aliased(fields, [star(this.parts(rest, scope, 'read'), false)], undefined))
        return
      }
      default:
        scope.items.push(aliased(fields, [star(this.node(kind, fields, scope, 'read'), false)], undefined))
    }
  }

  private fromTable(fields: Fields, scope: Scope, isLocked: boolean): FromItem {
    const table = textOf(fields['relname']) ?? ''
    const schema = textOf(fields['schemaname'])
    const common = schema === undefined ? scope.ctes.find(table) : undefined
    if (common !== undefined) return aliased(fields, common, table)
    this.collector.table(schema, table, 'read')
    if (isLocked) this.collector.table(schema, table, 'lock')
    const item = aliased(fields, tableColumns(schema, table), table)
    return schema === undefined || 'alias' in fields ? item : { ...item, schema }
  }

  /** A table function's columns are as many and as named as its result type says, which the text does not. */
  private fromFunction(fields: Fields, scope: Scope): FromItem {
    const sources = this.expression(fields['functions'], scope, 'read')
    // How many rows there are depends on the arguments, whatever becomes of the rows.
    this.noted(sources, 'predicate')
    this.expression(fields['coldeflist'], scope, 'read')
    return aliased(fields, [star(sources, false)], functionName(fields))
  }

  private fromJoin(fields: Fields, scope: Scope, isLocked: boolean): void {
    const start = scope.items.length
    this.from(fields['larg'], scope, isLocked)
    this.from(fields['rarg'], scope, isLocked)
    const shared = namesOf(fields['usingClause'])
    const merges = shared.length > 0 || fields['isNatural'] === true
    if (merges) scope.hasMergedColumns = true
    const using = shared.map((name) => {
      const sources = scope.column(name)?.sources ?? 'unknown'
      if (sources !== 'unknown') for (const source of sources) this.collector.column(source, 'predicate')
      return computed(name, sources)
    })
    // Which columns a NATURAL join compares only the catalogue could tell.
    if (fields['isNatural'] === true) {
      for (const item of scope.items.slice(start)) this.noted(allSources(item.columns), 'predicate')
    }
    this.expression(fields['quals'], scope, 'predicate')
    const usingAlias = textOf(fieldsOf(fields['join_using_alias'])['aliasname'])
    if (usingAlias !== undefined) scope.items.push({ name: usingAlias, columns: using, isHidden: true })
    if (!('alias' in fields)) return
    // An alias hides the names of what was joined.
    const joined = scope.items.splice(start).flatMap((item) => (item.isHidden === true ? [] : item.columns))
    const isPlain = joined.every((column) => column.isStar === true && column.isPlain)
    scope.items.push(aliased(fields, merges ? [star(allSources(joined), isPlain)] : joined, undefined))
  }

  /** The scope that a WITH clause makes. */
  withClause(value: unknown, outer: Scope | undefined, outerCtes: CteScope): CteScope {
    const clause = fieldsOf(value)
    const list = listOf(clause['ctes'])
    if (list.length === 0) return outerCtes
    const ctes = new CteScope(outerCtes)
    const isRecursive = clause['recursive'] === true
    // Under RECURSIVE every name of the list hides outer ones throughout it; what it stands for is not known yet.
    if (isRecursive) {
      for (const item of list) {
        const name = textOf(nodeFields(item, 'CommonTableExpr')?.['ctename'])
        if (name !== undefined) ctes.define(name, [star('unknown', false)])
      }
    }
    for (const item of list) {
      const cte = nodeFields(item, 'CommonTableExpr')
      if (cte !== undefined) this.commonTable(cte, isRecursive, outer, ctes)
    }
    return ctes
  }

  private commonTable(cte: Fields, isRecursive: boolean, outer: Scope | undefined, ctes: CteScope): void {
    const name = textOf(cte['ctename']) ?? ''
    const aliases = namesOf(cte['aliascolnames'])
    const walk = (): readonly OutputColumn[] => renamed(this.subquery(cte['ctequery'], outer, ctes), aliases)
    const query = nodeFields(cte['ctequery'], 'SelectStmt')
    let columns: readonly OutputColumn[]
    if (isRecursive && query !== undefined && 'larg' in query) {
      const seedScope = this.withClause(query['withClause'], outer, ctes)
      ctes.define(name, renamed(this.query(fieldsOf(query['larg']), outer, seedScope), aliases))
      columns = this.fixpoint(name, walk, ctes)
    } else columns = walk()
    const search = fieldsOf(cte['search_clause'])
    const cycle = fieldsOf(cte['cycle_clause'])
    const added = [search['search_seq_column'], cycle['cycle_mark_column'], cycle['cycle_path_column']].flatMap(
      (column) => (typeof column === 'string' ? [computed(column, allSources(columns))] : []),
    )
    const scope = new Scope(outer, ctes)
    this.expression([cycle['cycle_mark_value'], cycle['cycle_mark_default']], scope, 'read')
    ctes.define(name, [...columns, ...added])
  }

  /** A recursive arm feeds on its own columns: repeated until no column gains a source, else every column may hold all. */
  private fixpoint(name: string, walk: () => readonly OutputColumn[], ctes: CteScope): readonly OutputColumn[] {
    let columns = ctes.find(name) ?? []
    for (let pass = 0; pass < MAX_RECURSION_PASSES; pass++) {
      const next = walk()
      if (sameSources(columns, next)) return next
      columns = next
      ctes.define(name, columns)
    }
    const sources = allSources(columns)
    return columns.map((column) => ({ ...column, sources, isPlain: false }))
  }
}

/** Functions through which an argument's value gets to where others can read it. */
const LAUNDERING = ['notify', 'setting', 'file', 'large-object', 'network', 'dynamic-sql', 'sequence', 'lock'] as const
/** Functions whose result does not come from their arguments. */
const OPAQUE = ['dynamic-sql', 'file', 'large-object', 'network'] as const

/** Whether set_config may do what SET ROLE does: the name of the setting says so, or is not known from the text. */
function setsIdentity(name: unknown): boolean {
  const cast = nodeFields(name, 'TypeCast')
  const setting = constantOf(cast === undefined ? name : cast['arg'])
  return typeof setting !== 'string' || /^(?:role|session_authorization)$/i.test(setting)
}

function isKnownHazard(name: string): boolean {
  return judgeFunction(name).hazards.length > 0
}

function sameSources(a: readonly OutputColumn[], b: readonly OutputColumn[]): boolean {
  const keys = (column: OutputColumn): string =>
    column.sources === 'unknown' ? '?' : column.sources.map(sourceKey).sort().join('\x01')
  return a.length === b.length && a.every((column, index) => b[index] !== undefined && keys(column) === keys(b[index]))
}

function aliased(fields: Fields, columns: readonly OutputColumn[], ownName: string | undefined): FromItem {
  const alias = fieldsOf(fields['alias'])
  return { name: textOf(alias['aliasname']) ?? ownName, columns: renamed(columns, namesOf(alias['colnames'])) }
}

function functionName(fields: Fields): string | undefined {
  const first = nodeFields(listOf(fields['functions'])[0], 'List')
  return callName(listOf(first?.['items'])[0])
}

/** The name that the server gives to the result column of a plain call. */
function callName(value: unknown): string | undefined {
  const call = nodeFields(value, 'FuncCall')
  return call === undefined ? undefined : namesOf(call['funcname']).at(-1)
}
