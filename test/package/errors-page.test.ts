import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { ERROR_CODES, REASON_CODES } from '../../src/core/index.js'

const page = readFileSync(new URL('../../docs/errors.md', import.meta.url), 'utf8')

/** First cells of the rows under a heading. */
function namesUnder(heading: string): string[] {
  const section = page.split(/^## /m).find((part) => part.startsWith(heading)) ?? ''
  return [...section.matchAll(/^\| `([^`]+)` \|/gm)].map((match) => match[1] as string)
}

describe('docs/errors.md', () => {
  it('names every reason and no other', () => {
    expect(namesUnder('Reasons').sort()).toEqual([...REASON_CODES].sort())
  })

  it('names every code with its blame and no other', () => {
    expect(namesUnder('Codes').sort()).toEqual(Object.keys(ERROR_CODES).sort())
    for (const [code, blame] of Object.entries(ERROR_CODES)) expect(page).toContain(`| \`${code}\` | ${blame} |`)
  })
})
