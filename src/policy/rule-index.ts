import { literalPart, parseNamePattern, isComplaint } from './name-pattern.js'
import { programEntries } from './channel-tests.js'
import { columnEntries, tableEntries } from './fact-tests.js'
import type { CompiledRule } from './compile-rule.js'
import { many } from './match.js'
import type { View } from './view.js'

/** Rules about one table, by the first word of the verb they ask for. */
interface TableBucket {
  readonly anyVerb: CompiledRule[]
  readonly byVerb: Map<string, CompiledRule[]>
}

type Buckets = Map<string, CompiledRule[]>

/**
 * Finds the rules that could match, so that the cost of a decision does not grow with those that cannot.
 * Each rule stands in the buckets of one dimension: that of its keys which fewest commands share.
 * A candidate need not match; a rule that is no candidate cannot.
 */
export interface RuleIndex {
  /** Appends every rule that could match the view, each once. */
  collect(view: View, into: CompiledRule[]): void
}

export function createRuleIndex(rules: readonly CompiledRule[]): RuleIndex {
  const tables = new Map<string, TableBucket>()
  const functions: Buckets = new Map()
  const columns: Buckets = new Map()
  const subjects: Buckets = new Map()
  const groups: Buckets = new Map()
  const resources: Buckets = new Map()
  const verbs: Buckets = new Map()
  const classes: Buckets = new Map()
  const programs: Buckets = new Map()
  const kinds: Buckets = new Map()
  const protocols: Buckets = new Map()
  const others: CompiledRule[] = []
  /** Rules in `columns` and `classes`, for facts that name no column or class in particular. */
  const columnRules: CompiledRule[] = []
  const classRules: CompiledRule[] = []
  /** Rules in `programs`, for programs of which only running them would tell the name. */
  const programRules: CompiledRule[] = []
  /** Rules that may have something to say on commands that could not be parsed. */
  const withoutFacts: CompiledRule[] = []

  for (const rule of rules) {
    if (isAboutAnyUnparsed(rule)) withoutFacts.push(rule)
    if (!place(rule)) others.push(rule)
  }

  function place(rule: CompiledRule): boolean {
    const { match } = rule
    const verbHeads = many(match.verbs).map(headOf)
    const tableNames = literals(tableEntries(match).map(({ pattern }) => literalPart(pattern, 0)))
    if (tableNames !== undefined) {
      for (const name of tableNames) {
        let bucket = tables.get(name)
        if (bucket === undefined) tables.set(name, (bucket = { anyVerb: [], byVerb: new Map() }))
        if (verbHeads.length === 0) bucket.anyVerb.push(rule)
        for (const head of new Set(verbHeads)) add(bucket.byVerb, head, rule)
      }
      return true
    }
    // A permission's functions and columns may hold for want of any, so they lead to no bucket.
    if (rule.effect !== 'allow') {
      const functionNames = literals(many(match.functions).map((source) => lastLiteral(source)))
      if (functionNames !== undefined) return addAll(functions, functionNames, rule)
      const columnNames = literals(columnEntries(match).map(({ pattern }) => literalPart(pattern, 0)))
      if (columnNames !== undefined) {
        columnRules.push(rule)
        return addAll(columns, columnNames, rule)
      }
    }
    const programNames = literals(programEntries(match).map(({ base }) => base.literal))
    if (programNames !== undefined) {
      programRules.push(rule)
      return addAll(programs, programNames, rule)
    }
    const subjectIds = literals(many(match.subjects).map(globLiteral))
    if (subjectIds !== undefined) return addAll(subjects, subjectIds, rule)
    const groupNames = literals(many(match.groups).map(globLiteral))
    if (groupNames !== undefined) return addAll(groups, groupNames, rule)
    const resourceNames = literals(many(match.resources).map(globLiteral))
    if (resourceNames !== undefined) return addAll(resources, resourceNames, rule)
    if (verbHeads.length > 0) return addAll(verbs, verbHeads, rule)
    if (match.classes !== undefined) {
      classRules.push(rule)
      return addAll(classes, many(match.classes), rule)
    }
    if (match.kinds !== undefined) return addAll(kinds, many(match.kinds), rule)
    if (match.protocols !== undefined) return addAll(protocols, many(match.protocols), rule)
    if (rule.kinds !== undefined && !rule.kinds.has('sql')) return addAll(kinds, [...rule.kinds], rule)
    return false
  }

  // A rule can stand in several buckets: stamps tell which were collected in this run.
  const stamps = new Float64Array(rules.length)
  let run = 0

  function take(bucket: readonly CompiledRule[] | undefined, into: CompiledRule[]): void {
    if (bucket === undefined) return
    for (const rule of bucket) {
      if (stamps[rule.order] === run) continue
      stamps[rule.order] = run
      into.push(rule)
    }
  }

  return {
    collect(view, into) {
      run++
      const { sql, channel, kind, protocol, subject, resource, certainty } = view
      if (certainty === 'unparsed') return take(withoutFacts, into)
      take(others, into)
      if (subjects.size > 0) take(subjects.get(subject.id), into)
      if (groups.size > 0) for (const group of subject.groups ?? []) take(groups.get(group), into)
      if (resources.size > 0) take(resources.get(resource.name), into)
      if (kinds.size > 0) take(kinds.get(kind), into)
      if (protocols.size > 0) take(protocols.get(protocol), into)
      if (channel?.simple !== undefined && programs.size > 0) {
        const { program } = channel.simple
        take(program === undefined ? programRules : programs.get(program.toLowerCase()), into)
      }
      if (sql === undefined) return
      const { statement } = sql
      if (tables.size > 0) {
        for (const access of statement.tables) {
          const bucket = tables.get(access.table.toLowerCase())
          if (bucket === undefined) continue
          take(bucket.anyVerb, into)
          if (bucket.byVerb.size > 0) for (const verb of sql.verbs) take(bucket.byVerb.get(headOf(verb)), into)
        }
      }
      if (functions.size > 0) for (const call of statement.functions) take(functions.get(call.name.toLowerCase()), into)
      if (columns.size > 0) {
        for (const { column } of statement.columns) {
          take(column === '*' ? columnRules : columns.get(column.toLowerCase()), into)
        }
      }
      if (verbs.size > 0) for (const verb of sql.verbs) take(verbs.get(headOf(verb)), into)
      if (classes.size > 0) {
        for (const name of sql.classes) take(name === 'unknown' ? classRules : classes.get(name), into)
      }
    },
  }
}

function isAboutAnyUnparsed(rule: CompiledRule): boolean {
  if (!rule.needsFacts || rule.forbidden !== undefined) return true
  return (
    rule.masks.columns.length > 0 ||
    rule.masks.detectors.length > 0 ||
    rule.maxRows !== undefined ||
    rule.maxBytes !== undefined ||
    rule.recordLevel !== undefined
  )
}

function headOf(verb: string): string {
  const space = verb.indexOf(' ')
  return (space < 0 ? verb : verb.slice(0, space)).toLowerCase()
}

/** All of them, if each is a literal and there is at least one. */
function literals(names: readonly (string | undefined)[]): readonly string[] | undefined {
  const known = names.filter((name) => name !== undefined)
  return known.length > 0 && known.length === names.length ? known : undefined
}

function globLiteral(source: string): string | undefined {
  return /[*?]/.test(source) ? undefined : source
}

function lastLiteral(source: string): string | undefined {
  const pattern = parseNamePattern(source, 2)
  return isComplaint(pattern) ? undefined : literalPart(pattern, 0)
}

function add(buckets: Buckets, key: string, rule: CompiledRule): void {
  const bucket = buckets.get(key)
  if (bucket === undefined) buckets.set(key, [rule])
  else bucket.push(rule)
}

function addAll(buckets: Buckets, keys: readonly string[], rule: CompiledRule): boolean {
  for (const key of new Set(keys)) add(buckets, key, rule)
  return true
}
