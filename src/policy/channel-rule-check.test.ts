import { describe, expect, it } from 'vitest'
import { checkPolicy, createPolicy, defineRule, formatProblem, type Match, type Rule } from './index.js'

const reject = (rule: Rule, pattern: RegExp): void =>
  expect(() => defineRule(rule), JSON.stringify(rule)).toThrow(pattern)

describe('a rule about shells, files or channels that can never fire is refused', () => {
  const impossible: readonly [Match, RegExp][] = [
    [{ kinds: 'shell', verbs: 'select' }, /not SQL/],
    [{ kinds: 'sql', programs: 'rm' }, /not of kind `shell`/],
    [{ kinds: ['sql', 'terminal'], hazards: 'shutdown' }, /not of kind `shell`/],
    [{ kinds: 'my-kind', files: '/x' }, /not of kind/],
    [{ programs: 'rm', tables: 'orders' }, /no command has all of/],
    [{ programs: 'scp', operations: 'open' }, /no command has all of/],
    [{ hosts: 'h', operations: 'open' }, /no command has all of/],
    [{ requests: 'env', files: '/x', programs: 'ls' }, /no command has all of/],
    [{ programs: 'rm', not: { tables: 'orders' } }, /no command has all of/],
    [{ programs: 'rm', not: { operations: 'open', hazards: 'shutdown' } }, /no command has all of/],
    [{ protocols: 'postgres', programs: 'rm' }, /none of the protocols carries/],
    [{ protocols: 'ssh', tables: 'orders' }, /none of the protocols carries/],
    [{ kinds: 'terminal', requests: 'env' }, /the request `shell`/],
    [{ programs: [] }, /empty list/],
    [{ programs: 'rm -rf' }, /is no program/],
    [{ programs: '/opt/**' }, /names no program/],
    [{ programs: { programs: 'rm', flags: 'a=b' } }, /is no flag/],
    [{ files: '/etc/' }, /ends with a slash/],
    [{ files: '/etc/../x' }, /can never match/],
    [{ files: { files: 'a**b' } }, /whole parts/],
    [{ hosts: 'http://x' }, /is no host/],
    [{ ports: 0 }, /from 1 to 65535/],
    [{ certainty: 'unparsed', programs: 'x' }, /nothing is known/],
  ]
  it.each(impossible)('%j', (match, pattern) => reject({ id: 'r', effect: 'deny', match }, pattern))

  it('also a permission of command lines that names no program', () => {
    reject({ id: 'r', effect: 'allow', match: { kinds: 'shell', files: '/tmp/**' } }, /which programs may run/)
    reject({ id: 'r', effect: 'allow', match: { hosts: 'x', isRemote: true } }, /which programs may run/)
    defineRule({ id: 'r', effect: 'allow', match: { files: '/tmp/**' } })
    defineRule({ id: 'r', effect: 'allow', match: { kinds: 'shell', files: '/tmp/**', programs: '*' } })
    reject({ id: 'r', effect: 'allow', match: { programs: 'rm', not: { programs: '*' } } }, /`not` excludes everything/)
    reject({ id: 'r', effect: 'allow', evenIfUnparsed: true, match: { programs: 'rm' } }, /could not be parsed/)
  })

  it('also what a rule says about terminals where its match is not about any', () => {
    reject({ id: 'r', terminal: 'record', match: { kinds: 'shell' } }, /about interactive shells/)
    reject({ id: 'r', allowsRawTerminal: true, match: { programs: 'vim' } }, /about interactive shells/)
    reject({ id: 'r', terminal: 'raw' as 'record' }, /expected `guarded`, `record`/)
    defineRule({ id: 'r', terminal: 'record', match: { requests: 'shell' } })
    defineRule({ id: 'r', allowsRawTerminal: false })
  })

  it('and told with its line in a file', () => {
    const text = `version: 1
rules:
  - id: a
    effect: deny
    match:
      programs: [ls, { programs: rm, flag: force }]
  - id: b
    effect: deny
    match:
      hazards: shutdwn
  - id: c
    effect: deny
    match:
      kinds: sftp
      programs: rm
`
    expect(checkPolicy(text, { fileName: 'p.yaml' }).map(formatProblem)).toEqual([
      expect.stringMatching(/^p\.yaml:6:38: unknown key `flag` in program matcher \(did you mean `flags`\?\)/),
      expect.stringMatching(/^p\.yaml:10:16: .*did you mean `shutdown`/),
      expect.stringMatching(/^p\.yaml:14:14: can never fire/),
    ])
  })

  it('but not one about a kind that only a plug-in knows', () => {
    defineRule({ id: 'r', effect: 'deny', match: { kinds: 'fax', text: 'x' } })
  })
})

describe('rules about shells that a denial always outdoes', () => {
  const shadowed = (deny: Match, other: Match, effect: 'allow' | 'hold' = 'allow'): boolean => {
    try {
      createPolicy({
        rules: [
          { id: 'a', effect, match: other },
          { id: 'd', effect: 'deny', match: deny },
        ],
      })
      return false
    } catch (error) {
      expect(String(error)).toMatch(/can never fire: whatever it matches is denied by `d`/)
      return true
    }
  }

  it('are refused', () => {
    expect(shadowed({ programs: 'rm' }, { programs: { programs: 'rm', flags: 'force' } })).toBe(true)
    expect(shadowed({ programs: 'rm' }, { programs: '/opt/bin/rm' })).toBe(true)
    expect(shadowed({ programs: 'mkfs.*' }, { programs: ['mkfs.ext4', 'mkfs.xfs'] }, 'hold')).toBe(true)
    expect(shadowed({ files: '/etc/**' }, { kinds: 'sftp', files: '/etc/ssh/*' })).toBe(true)
    expect(
      shadowed(
        { files: { files: '**', access: 'change' } },
        { files: { files: '/tmp/*', access: ['write', 'delete'] } },
      ),
    ).toBe(true)
    expect(shadowed({ requests: '*-tcpip' }, { requests: 'direct-tcpip', hosts: 'db' })).toBe(true)
    expect(shadowed({ hosts: '*.internal' }, { requests: 'direct-tcpip', hosts: 'db.internal' })).toBe(true)
    expect(shadowed({ hazards: ['shutdown', 'firewall'] }, { hazards: 'shutdown' }, 'hold')).toBe(true)
    expect(shadowed({ isPrivileged: true }, { isPrivileged: true, programs: 'ls' })).toBe(true)
  })

  it('are kept where something is left to them', () => {
    expect(shadowed({ programs: { programs: 'rm', flags: 'force' } }, { programs: 'rm' })).toBe(false)
    expect(shadowed({ programs: 'rm' }, { programs: ['rm', 'ls'] })).toBe(false)
    expect(shadowed({ hazards: 'shutdown' }, { programs: 'ls', hazards: 'shutdown' })).toBe(false)
    expect(shadowed({ wrappers: 'sudo' }, { programs: 'ls', wrappers: 'sudo' })).toBe(false)
    expect(shadowed({ files: '/etc/*' }, { files: '/etc/**' })).toBe(false)
    expect(shadowed({ files: { files: '/etc/**', access: 'change' } }, { files: '/etc/**' })).toBe(false)
    expect(shadowed({ requests: 'env', not: { names: 'LANG' } }, { requests: 'env', names: 'LANG' })).toBe(false)
    expect(shadowed({ hosts: 'db', ports: 22 }, { requests: 'direct-*', hosts: 'db' })).toBe(false)
  })
})
