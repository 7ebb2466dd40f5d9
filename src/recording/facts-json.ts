import type { FunctionCall, SqlFacts, TableAccess } from '../core/index.js'
import { asciiJson } from './line.js'

/** A record names at most this many tables and functions of one command; how many more there were is said. */
const MAX_NAMES = 64

/**
 * What of the facts is worth keeping for ever, as JSON: what the decision can be understood by, never a literal.
 * Put together by hand: this runs once for every new text.
 */
export function factsJson(facts: SqlFacts): string {
  let json = `{"class":"${facts.class}","certainty":"${facts.certainty}"`
  if (facts.problem !== undefined) json += `,"problem":${asciiJson(facts.problem)}`
  if (facts.verbs.length > 0) json += `,"verbs":[${list(facts.verbs, asciiJson)}]`
  if (facts.tables.length > 0) json += `,"tables":[${list(facts.tables, tableJson)}]`
  const functions = facts.functions.length === 0 ? facts.functions : facts.functions.filter(isTelling)
  if (functions.length > 0) json += `,"functions":[${list(functions, functionJson)}]`
  const omitted = excess(facts.verbs) + excess(facts.tables) + excess(functions)
  if (omitted > 0) json += `,"omitted":${omitted}`
  if (!facts.hasWhere) json += ',"hasWhere":false'
  if (facts.touchesFiles) json += ',"touchesFiles":true'
  if (facts.touchesPrograms) json += ',"touchesPrograms":true'
  if (facts.isDynamic) json += ',"isDynamic":true'
  if (facts.launders.length > 0) json += ',"launders":true'
  return `${json}}`
}

function tableJson(access: TableAccess): string {
  const schema = access.schema === undefined ? '' : `"schema":${asciiJson(access.schema)},`
  return `{${schema}"table":${asciiJson(access.table)},"modes":[${list(access.modes, asciiJson)}]}`
}

/** Built-in functions that only compute say nothing about what a command did. */
function isTelling(call: FunctionCall): boolean {
  return call.hazards.length > 0 || call.volatility === 'volatile' || call.volatility === 'unknown'
}

function functionJson(call: FunctionCall): string {
  return asciiJson(call.schema === undefined ? call.name : `${call.schema}.${call.name}`)
}

function list<T>(items: readonly T[], toJson: (item: T) => string): string {
  let json = ''
  for (let i = 0; i < items.length && i < MAX_NAMES; i++) json += (i === 0 ? '' : ',') + toJson(items[i] as T)
  return json
}

function excess(items: readonly unknown[]): number {
  return Math.max(0, items.length - MAX_NAMES)
}
