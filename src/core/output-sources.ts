import type { ColumnSource, OutputColumn, SqlStatementFacts } from './sql-facts.js'

/**
 * Where column `index` of a result that has `total` columns may come from.
 *
 * Without a star the facts name every column by position. One star takes the columns that the others leave over;
 * between two stars nothing is positional, and the answer is the union of all that could stand there.
 *
 * @param output the facts of the statement whose result it is
 * @param index zero-based position in the RowDescription
 * @param name the column's name as the server reports it
 */
export function outputSources(
  output: SqlStatementFacts['output'],
  index: number,
  total: number,
  name: string,
): readonly ColumnSource[] | 'unknown' {
  // Fails closed: a result that the text did not promise may hold anything.
  if (output === undefined || output === 'unknown' || index < 0 || index >= total) return 'unknown'
  const first = output.findIndex((column) => column.isStar === true)
  if (first === -1) return output.length === total ? (output[index]?.sources ?? 'unknown') : 'unknown'
  const last = output.findLastIndex((column) => column.isStar === true)
  const fixed = output.filter((column) => column.isStar !== true).length
  if (total < fixed) return 'unknown'
  if (index < first) return output[index]?.sources ?? 'unknown'
  const fromEnd = total - index
  if (fromEnd < output.length - last) return output[output.length - fromEnd]?.sources ?? 'unknown'
  return unionOf(output.slice(first, last + 1), name)
}

function unionOf(columns: readonly OutputColumn[], name: string): readonly ColumnSource[] | 'unknown' {
  const result: ColumnSource[] = []
  for (const column of columns) {
    if (column.isStar !== true && column.name !== undefined && column.name !== name) continue
    if (column.sources === 'unknown') return 'unknown'
    const narrows = column.isStar === true && column.isPlain
    for (const source of column.sources) {
      result.push(narrows && source.column === '*' ? { ...source, column: name } : source)
    }
  }
  return result
}
