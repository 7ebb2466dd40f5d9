import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { policyJsonSchema } from '../../src/policy/index.js'
import { resolveSshLimits } from '../../src/protocols/ssh/options.js'
import { SFTP_EXTENSIONS } from '../../src/protocols/ssh/sftp/extensions.js'

const page = (name: string): string => readFileSync(new URL(`../../docs/${name}`, import.meta.url), 'utf8')

/** As a table of limits writes a number. */
function written(value: number): string {
  if (value % 1_048_576 === 0) return `${value / 1_048_576} MiB`
  if (value % 1_024 === 0) return `${value / 1_024} KiB`
  return String(value)
}

describe('docs/ssh.md', () => {
  const text = page('ssh.md')
  const section = text.split(/^## /m).find((part) => part.startsWith('Limits')) ?? ''

  it.each(Object.entries(resolveSshLimits()))('says what %s is by default', (name, value) => {
    const row = section.split('\n').find((line) => line.startsWith('|') && line.includes(`\`${name}\``)) ?? ''
    const [, names = '', defaults = ''] = row.split('|')
    const at = names.split(',').findIndex((each) => each.includes(`\`${name}\``))
    expect(defaults.split(',')[at]?.trim()).toMatch(new RegExp(`^${written(value)}\\b`))
  })

  it('names every extension of SFTP that is decoded', () => {
    expect(SFTP_EXTENSIONS.filter((name) => !text.includes(`\`${name}\``))).toEqual([])
  })
})

describe('docs/shell-analysis.md', () => {
  it('names every hazard and no other', () => {
    const section =
      page('shell-analysis.md')
        .split(/^## /m)
        .find((part) => part.startsWith('Hazards')) ?? ''
    const named = [...section.matchAll(/^\| (`[^|]*`) \|/gm)].flatMap(([, cell = '']) =>
      [...cell.matchAll(/`([^`]+)`/g)].map((match) => match[1] as string),
    )
    const schema = JSON.stringify(policyJsonSchema())
    const hazards = /"enum":(\["destructive-delete"[^\]]*\])/.exec(schema)?.[1] ?? '[]'
    expect(named.sort()).toEqual((JSON.parse(hazards) as string[]).sort())
  })
})
