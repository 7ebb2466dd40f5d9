import { type Denial, printableText } from '../../core/index.js'

/** As shells say that a program was found and may not run. */
export const REFUSED_EXIT_STATUS = 126

/**
 * What a client is told on stderr, or on its terminal.
 *
 * @param lineEnd `\r\n` on terminals, which are raw
 */
export function denialText(denial: Denial, lineEnd: '\n' | '\r\n'): Buffer {
  const rule = denial.ruleId === undefined ? '' : ` (rule ${printableText(denial.ruleId)})`
  const hint = denial.hint === undefined ? '' : `sallyport: ${printableText(denial.hint)}${lineEnd}`
  return Buffer.from(`sallyport: refused: ${printableText(denial.message)}${rule}${lineEnd}${hint}`)
}

export function noticeText(text: string, lineEnd: '\n' | '\r\n'): Buffer {
  return Buffer.from(`sallyport: ${printableText(text)}${lineEnd}`)
}
