/**
 * Whether an interactive shell may put something else in the text's place before it runs: bash and zsh expand `!` and,
 * at the beginning of a line, `^`. Says yes too often rather than too seldom: what stands in single quotes is harmless
 * only where nothing else quotes, and of what may follow a `!`, only a blank, `=` and `(`.
 */
export function hasHistoryExpansion(text: string): boolean {
  // Some shells look at each line by itself, others at what is open from the line before.
  return mayExpand(text) || (text.includes('\n') && text.split('\n').some(mayExpand))
}

function mayExpand(text: string): boolean {
  if (/^\s*\^/.test(text)) return true
  const unquoted = /["\\`]|\$'/.test(text) ? text : text.replace(/'[^']*'/g, "''")
  return /!(?![\s=(]|$)/.test(unquoted)
}
