import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { corpusCases, summarizeShell } from './corpus.test-support.js'
import { createShellAnalyzer } from './index.js'

const analyzer = createShellAnalyzer()
const read = (name: string) => corpusCases(readFileSync(join(import.meta.dirname, name), 'utf8'))
const DANGEROUS = read('corpus-dangerous.txt')
const HARMLESS = read('corpus-harmless.txt')

describe('lines that do harm', () => {
  it('are at least 200', () => {
    expect(DANGEROUS.length).toBeGreaterThanOrEqual(200)
  })

  it.each(DANGEROUS)('$section: $text', ({ section, text, expected }) => {
    const facts = analyzer.analyze(text)
    expect(facts.hazards).toContain(section)
    expect(summarizeShell(facts)).toBe(expected)
  })
})

describe('lines of everyday work', () => {
  it('are at least 200', () => {
    expect(HARMLESS.length).toBeGreaterThanOrEqual(200)
  })

  it.each(HARMLESS)('$text', ({ text, expected }) => {
    const facts = analyzer.analyze(text)
    expect(facts.hazards).toEqual([])
    expect(facts.certainty).not.toBe('unparsed')
    expect(summarizeShell(facts)).toBe(expected)
  })
})
