import type { SessionEffect, SqlFacts, SqlStatementFacts } from '../../src/core/index.js'

/** The facts of a text on one line, for tables of expectations: only what is not the usual is said. */
export function summarize(facts: SqlFacts): string {
  if (facts.certainty === 'unparsed') return `unparsed: ${facts.problem}`
  return facts.statements.map(statementSummary).join(' ; ')
}

function statementSummary(facts: SqlStatementFacts): string {
  const parts = [`${facts.verb} [${facts.class}${facts.certainty === 'exact' ? '' : '?'}]`]
  if (facts.tables.length > 0) {
    parts.push(
      facts.tables.map(({ schema, table, modes }) => `${path({ schema, table })}:${modes.join('+')}`).join(' '),
    )
  }
  if (facts.output !== undefined) parts.push(`-> ${outputSummary(facts.output)}`)
  const accesses = (mode: string): string[] =>
    facts.columns.filter((column) => column.mode === mode).map((part) => path(part))
  if (accesses('predicate').length > 0) parts.push(`by ${accesses('predicate').join(' ')}`)
  if (accesses('write').length > 0) parts.push(`sets ${accesses('write').join(' ')}`)
  const calls = facts.functions.map(({ schema, name, volatility, hazards }) => {
    return `${path({ schema, table: name })}/${volatility[0]}${hazards.length === 0 ? '' : `!${hazards.join('!')}`}`
  })
  if (calls.length > 0) parts.push(`calls ${calls.join(' ')}`)
  if (facts.launders.length > 0) parts.push(`launders ${facts.launders.map((part) => path(part)).join(' ')}`)
  if (facts.effects.length > 0) parts.push(`effects ${facts.effects.map(effectSummary).join(' ')}`)
  if (facts.rowLimit !== undefined) parts.push(`limit ${facts.rowLimit}`)
  const flags = [
    facts.hasWhere ? '' : 'no-where',
    facts.touchesFiles ? 'files' : '',
    facts.touchesPrograms ? 'programs' : '',
    facts.isDynamic ? 'dynamic' : '',
    facts.runs === undefined ? '' : `runs-${facts.runs.kind}:${facts.runs.name}`,
    facts.copy === undefined ? '' : `copy-${facts.copy.direction}-${facts.copy.endpoint}-${facts.copy.format}`,
  ].filter((flag) => flag !== '')
  if (flags.length > 0) parts.push(flags.join(' '))
  return parts.join(' | ')
}

function outputSummary(output: NonNullable<SqlStatementFacts['output']>): string {
  if (output === 'unknown') return 'unknown'
  const columns = output.map(({ name, sources, isPlain, isStar }) => {
    const from = sources === 'unknown' ? '?' : sources.map((part) => path(part)).join(' ')
    return `${isStar === true ? '*' : (name ?? '_')}${isPlain ? '=' : '<'}${from}`
  })
  return `(${columns.join(', ')})`
}

function effectSummary(effect: SessionEffect): string {
  switch (effect.kind) {
    case 'set':
      return `${effect.scope === 'local' ? 'local ' : ''}${effect.name}=${effect.value ?? '?'}`
    case 'prepare':
    case 'declare-cursor':
      return `${effect.kind}:${effect.name}{${effect.statement.verb} ${effect.statement.class}}`
    case 'deallocate':
    case 'close-cursor':
      return `${effect.kind}:${effect.name ?? 'all'}`
    default:
      return effect.kind
  }
}

interface Path {
  readonly schema?: string | undefined
  readonly table?: string | undefined
  readonly column?: string | undefined
}

function path({ schema, table, column }: Path): string {
  return [schema, table, column].filter((part) => part !== undefined).join('.')
}
