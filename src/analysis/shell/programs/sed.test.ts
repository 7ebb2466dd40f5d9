import { describe, expect, it } from 'vitest'
import { sedEffects } from './sed.js'

const NOTHING = { runsCommands: false, reads: [], writes: [] }

describe('sedEffects', () => {
  it.each([
    's/a/b/',
    's/[/]/x/g',
    's|a|b|2gI',
    '1,10p',
    '/a/,/b/{s/x/y/;d}',
    '\\,a,d',
    '$!N;P;D',
    ':a;N;$!ba;s/\\n/ /g',
    'y/abc/xyz/',
    '/a/i\\\nw x\np',
    '5q',
    '# w x',
    's/e/w/',
    '0~3d',
  ])('finds nothing in %s', (script) => {
    expect(sedEffects(script)).toEqual(NOTHING)
  })

  it('finds commands that run', () => {
    for (const script of ['e', '1e id', 's/a/id/e', 's/a/b/ge', '/x/{p;e id\n}']) {
      expect(sedEffects(script)?.runsCommands, script).toBe(true)
    }
  })

  it('finds files', () => {
    expect(sedEffects('s/a/b/w /etc/passwd')?.writes).toEqual(['/etc/passwd'])
    expect(sedEffects('1,3w x; y')?.writes).toEqual(['x; y'])
    expect(sedEffects('$r /etc/shadow')?.reads).toEqual(['/etc/shadow'])
  })

  it('says when it does not understand', () => {
    for (const script of ['s/a', 's/[/x/', '/a', 'k', '1,']) expect(sedEffects(script), script).toBeUndefined()
  })
})
