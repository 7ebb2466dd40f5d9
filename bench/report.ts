/** One measured thing: a row of a table. */
export interface Line {
  readonly name: string
  /** By column. */
  readonly cells: Readonly<Record<string, string | number>>
  readonly checks?: readonly Check[]
}

/** A target and whether it was reached. */
export interface Check {
  readonly text: string
  readonly isMet: boolean
}

export interface Table {
  readonly title: string
  readonly notes?: readonly string[]
  readonly lines: readonly Line[]
}

/** A ratio held against its target. */
export function atLeast(what: string, value: number, target: number): Check {
  return { text: `${what} ${shown(value)} >= ${target}`, isMet: value >= target }
}

export function atMost(what: string, value: number, target: number): Check {
  return { text: `${what} ${shown(value)} <= ${target}`, isMet: value <= target }
}

/** A number with as many digits as it deserves. */
export function shown(value: number | string): string {
  if (typeof value === 'string') return value
  if (!Number.isFinite(value)) return '-'
  const size = Math.abs(value)
  if (size >= 1_000_000) return `${(value / 1_000_000).toFixed(2)}M`
  if (size >= 100) return Math.round(value).toLocaleString('en-US')
  return value.toFixed(size >= 10 ? 1 : 2)
}

/** For a terminal. */
export function toText(table: Table): string {
  const rows = rowsOf(table)
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length)))
  const text = rows.map((row) =>
    row
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0)))
      .join('  ')
      .trimEnd(),
  )
  const checks = checksOf(table).map(({ line, check }) => `  ${check.isMet ? 'pass' : 'MISS'}  ${line}: ${check.text}`)
  return [`== ${table.title}`, ...(table.notes ?? []), '', ...text, '', ...checks, ''].join('\n')
}

/** For a document. */
export function toMarkdown(table: Table): string {
  const [head = [], ...rows] = rowsOf(table)
  const row = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`
  const checks = checksOf(table).map(
    ({ line, check }) => `- ${check.isMet ? 'pass' : '**miss**'}: ${line}: ${check.text}`,
  )
  return [
    `### ${table.title}`,
    '',
    ...(table.notes ?? []).flatMap((note) => [note, '']),
    row(head),
    row(head.map((_, column) => (column === 0 ? '---' : '---:'))),
    ...rows.map(row),
    '',
    ...(checks.length === 0 ? [] : [...checks, '']),
  ].join('\n')
}

function checksOf(table: Table): readonly { readonly line: string; readonly check: Check }[] {
  return table.lines.flatMap((line) => (line.checks ?? []).map((check) => ({ line: line.name, check })))
}

function rowsOf(table: Table): readonly (readonly string[])[] {
  const columns = [...new Set(table.lines.flatMap((line) => Object.keys(line.cells)))]
  return [
    ['', ...columns],
    ...table.lines.map((line) => [line.name, ...columns.map((column) => shown(line.cells[column] ?? ''))]),
  ]
}
