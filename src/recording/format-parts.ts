import { printableLines, printableText } from '../core/index.js'

/** What a line of a recording says, by name. Raw: everything shown of it goes through the functions below. */
export type Members = Readonly<Record<string, unknown>>

export function part(word: string, value: unknown): string | undefined {
  return value === undefined ? undefined : `${word} ${show(value)}`
}

export function words(...parts: readonly unknown[]): string {
  return parts
    .filter((each) => each !== undefined && each !== '')
    .map(show)
    .join(' ')
}

export function show(value: unknown): string {
  return printableText(typeof value === 'string' ? value : (JSON.stringify(value) ?? 'unknown'))
}

export function textLines(value: unknown): string[] {
  return typeof value === 'string' ? quoted(value) : []
}

/** Behind a bar, which no line of ours begins with. */
export function quoted(text: string): string[] {
  return printableLines(text).map((line) => `| ${line}`)
}

export function isMembers(value: unknown): value is Members {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** A headline, and recorded bytes behind it: as text where they are UTF-8, otherwise byte by byte. */
export function payloadLines(event: Members, head: string): string[] {
  const { utf8, base64 } = event
  if (typeof utf8 === 'string') return [head, ...quoted(utf8)]
  const bytes = Buffer.from(typeof base64 === 'string' ? base64 : '', 'base64')
  // What is not text must not become text by a decoder's guess.
  return [`${head}, ${bytes.length} bytes`, ...quoted(bytes.toString('latin1'))]
}
