import { type Denial, printableText } from '../../../core/index.js'

/** One line for the client, short enough for any of them. */
export function denialText(denial: Denial): string {
  const hint = denial.hint === undefined ? '' : ` (${denial.hint})`
  return printableText(`${denial.message}${hint}`).slice(0, 512)
}
