/** What a sed script does beside printing lines. Undefined: it is not understood. */
export interface SedEffects {
  readonly runsCommands: boolean
  readonly reads: readonly string[]
  readonly writes: readonly string[]
}

/**
 * Reads a script of GNU sed, in time of its length: addresses, commands, and what stands behind those that take a text,
 * a label or a file name.
 *
 * @see https://www.gnu.org/software/sed/manual/sed.html#sed-scripts
 */
export function sedEffects(script: string): SedEffects | undefined {
  const reads: string[] = []
  const writes: string[] = []
  let runsCommands = false
  let at = 0

  const lineEnd = (): number => {
    const end = script.indexOf('\n', at)
    return end < 0 ? script.length : end
  }
  const restOfLine = (): string => {
    const end = lineEnd()
    const rest = script.slice(at, end).trim()
    at = end
    return rest
  }
  const skip = (characters: string): void => {
    while (at < script.length && characters.includes(script[at] ?? '')) at++
  }
  /** To behind the next delimiter that is not escaped, nor in brackets. */
  const section = (delimiter: string, hasBrackets: boolean): boolean => {
    for (; at < script.length; at++) {
      const character = script[at]
      if (character === '\\') at++
      else if (character === delimiter) {
        at++
        return true
      } else if (character === '[' && hasBrackets) {
        const close = script.indexOf(']', at + (script[at + 1] === '^' ? 3 : 2))
        if (close < 0) return false
        at = close
      }
    }
    return false
  }
  const address = (): boolean => {
    const character = script[at]
    if (character === '/' || character === '\\') {
      const delimiter = character === '/' ? '/' : script[++at]
      at++
      if (delimiter === undefined || !section(delimiter, true)) return false
      skip('IM')
      return true
    }
    if (character === '$') at++
    else skip('0123456789~+')
    return true
  }

  while (at < script.length) {
    skip(' \t\n;{}')
    if (at >= script.length) break
    if (!address()) return undefined
    skip(' \t')
    if (script[at] === ',') {
      at++
      skip(' \t')
      if (!address()) return undefined
    }
    skip(' \t!')
    const command = script[at++]
    if (command === undefined) return undefined
    if (command === 's' || command === 'y') {
      const delimiter = script[at++]
      if (delimiter === undefined || !section(delimiter, command === 's') || !section(delimiter, false))
        return undefined
      if (command === 'y') continue
      for (; /[a-zA-Z0-9]/.test(script[at] ?? ''); at++) {
        if (script[at] === 'e') runsCommands = true
        if (script[at] === 'w') {
          at++
          writes.push(restOfLine())
        }
      }
    } else if (command === 'r' || command === 'R') reads.push(restOfLine())
    else if (command === 'w' || command === 'W') writes.push(restOfLine())
    else if (command === 'e') {
      runsCommands = true
      restOfLine()
    } else if ('aic'.includes(command)) {
      do {
        at = lineEnd() + 1
      } while (script[at - 2] === '\\' && at < script.length)
    } else if (':btT'.includes(command)) {
      while (at < script.length && !';\n}'.includes(script[at] ?? '')) at++
    } else if (command === '#') at = lineEnd()
    else if ('qQlL'.includes(command)) skip(' \t0123456789')
    else if (!'dDgGhHnNpPxzF=v{}'.includes(command)) return undefined
  }
  return { runsCommands, reads, writes }
}
