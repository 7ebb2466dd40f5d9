import { describe, expect, it } from 'vitest'
import type { DecisionContext, PolicyOutcome } from '../core/index.js'
import { createPolicy, type Match, type Rule } from './index.js'
import { contextOf, statement } from './facts.test-support.js'
import {
  ANY_PROGRAM,
  file,
  forward,
  inexact,
  line,
  request,
  sftp,
  shell,
  simple,
  terminal,
  tree,
  UNPARSED_LINE,
} from './channels.test-support.js'

function decide(rules: readonly Rule[], context: DecisionContext): PolicyOutcome {
  const outcome = createPolicy({ rules }).decide(context)
  if (outcome instanceof Promise) throw new Error('expected a synchronous outcome')
  return outcome
}

const allows = (match: Match, context: DecisionContext): boolean =>
  decide([{ id: 'a', effect: 'allow', match }], context).effect === 'allow'

const denies = (match: Match, context: DecisionContext): boolean =>
  decide(
    [
      { id: 'd', effect: 'deny', match },
      { id: 'all', effect: 'allow' },
    ],
    context,
  ).effect === 'deny'

const set = (name: string) => ({ assignments: [{ name, value: 'x' }] })

describe('a command line', () => {
  it('is judged command by command: one denied denies it, and each needs a permission', () => {
    const both = shell(line(['ls', 'wc']))
    expect(allows({ programs: 'ls' }, both)).toBe(false)
    expect(allows({ programs: ['ls', 'wc'] }, both)).toBe(true)
    const apart: Rule[] = [
      { id: 'a', effect: 'allow', match: { programs: 'ls' } },
      { id: 'b', effect: 'allow', match: { programs: 'wc' } },
    ]
    expect(decide(apart, both).effect).toBe('allow')
    expect(decide(apart, shell(line(['ls', 'rm', 'wc']))).effect).toBe('deny')
    expect(denies({ programs: 'rm' }, shell(line(['ls', 'rm'])))).toBe(true)
    expect(denies({ programs: 'rm' }, both)).toBe(false)
    expect(denies({ not: { programs: ['ls', 'wc'] } }, both)).toBe(false)
    expect(denies({ not: { programs: ['ls'] } }, both)).toBe(true)
  })

  it('that only running it would tell is everything to a prohibition and nothing to a permission', () => {
    const unknown = shell(line(['ls', ANY_PROGRAM]))
    for (const match of [
      { programs: 'rm' },
      { programs: { programs: 'rm', flags: 'force' } },
      { hazards: 'shutdown' },
      { files: '/etc/shadow' },
      { hosts: 'example.com' },
      { ports: 22 },
      { wrappers: 'sudo' },
      { isPrivileged: true },
      { isRemote: true },
      { environment: 'LD_PRELOAD' },
    ] satisfies Match[]) {
      expect(denies(match, unknown), JSON.stringify(match)).toBe(true)
      expect(denies(match, shell(line('ls'))), JSON.stringify(match)).toBe(false)
    }
    expect(allows({ programs: '*' }, unknown)).toBe(false)
    expect(allows({ kinds: 'shell', not: { hazards: 'shutdown' } }, unknown)).toBe(false)
    expect(allows({ kinds: 'shell' }, unknown)).toBe(true)
  })

  it('that is not exact is never permitted by what it does', () => {
    const unsure = shell(line([simple('ls', { certainty: 'conservative' })]))
    expect(allows({ programs: 'ls' }, unsure)).toBe(false)
    expect(allows({ programs: 'ls' }, shell(line('ls', { certainty: 'conservative' })))).toBe(false)
    expect(allows({ kinds: 'shell', isPrivileged: false }, unsure)).toBe(false)
    expect(allows({ kinds: 'shell', text: 'ls' }, unsure)).toBe(true)
    expect(denies({ programs: 'rm' }, unsure)).toBe(false)
  })

  it('that could not be parsed is denied unless a rule says so by name', () => {
    const broken = shell(UNPARSED_LINE, { text: 'ls "' })
    expect(decide([{ id: 'a', effect: 'allow' }], broken)).toMatchObject({ effect: 'deny', reason: 'unparsed' })
    expect(decide([{ id: 'a', effect: 'allow', match: { programs: '*' } }], broken)).toMatchObject({
      reason: 'unparsed',
    })
    const even: Rule = { id: 'a', effect: 'hold', evenIfUnparsed: true, match: { kinds: 'shell', text: 'ls "' } }
    expect(decide([even], broken).effect).toBe('hold')
    expect(decide([even, { id: 'd', effect: 'deny', match: { certainty: 'unparsed' } }], broken)).toMatchObject({
      reason: 'rule',
      ruleId: 'd',
    })
    // But a harm that is known of it all the same is forbidden.
    const harmful = shell({ ...UNPARSED_LINE, hazards: ['reverse-shell'] }, { text: 'ls "' })
    const forbid: Rule = { id: 'd', effect: 'deny', match: { hazards: 'reverse-shell' } }
    expect(decide([forbid, even], harmful)).toMatchObject({ effect: 'deny', ruleId: 'd' })
    expect(decide([forbid, even], broken).effect).toBe('hold')
    expect(decide([{ ...forbid, match: { hazards: 'reverse-shell', programs: 'nc' } }, even], harmful).effect).toBe(
      'hold',
    )
    const inner = shell(line(['ls', simple('x', { certainty: 'unparsed' })]))
    expect(decide([{ id: 'a', effect: 'allow' }], inner)).toMatchObject({ reason: 'unparsed' })
    // Caps of rules that might have matched hold; their denials do not.
    const cap: Rule = { id: 'c', maxBytes: 5, match: { programs: 'ls' } }
    expect(decide([cap, even], broken).maxBytes).toBe(5)
    expect(decide([{ id: 'd', effect: 'deny', match: { hazards: 'shutdown' } }, even], broken).effect).toBe('hold')
  })

  it('without any command is permitted by no program, and touches what it touches', () => {
    const redirect = shell(line([], { files: [file('/etc/motd', 'write', 'create')] }))
    expect(allows({ programs: '*' }, redirect)).toBe(false)
    expect(denies({ files: '/etc/**' }, redirect)).toBe(true)
    const assignment = shell(line([simple('', { program: undefined, ...set('PATH') }), 'ls']))
    expect(allows({ programs: '*' }, assignment)).toBe(false)
    expect(denies({ programs: 'rm' }, assignment)).toBe(false)
    expect(denies({ environment: 'PATH' }, assignment)).toBe(true)
  })
})

describe('programs', () => {
  it('are the ones found under their name, not others of that name', () => {
    expect(allows({ programs: 'ls' }, shell(line('/usr/bin/ls')))).toBe(true)
    for (const word of ['/tmp/ls', './ls', '/usr/bin/../../tmp/ls', '~/bin/ls', 'LS']) {
      expect(allows({ programs: 'ls' }, shell(line(word))), word).toBe(false)
      expect(denies({ programs: 'ls' }, shell(line(word))), word).toBe(true)
    }
    expect(allows({ programs: '/opt/app/bin/*' }, shell(line('/opt/app/bin/deploy')))).toBe(true)
    expect(allows({ programs: '/opt/app/bin/*' }, shell(line('/opt/app/bin/../../x/deploy')))).toBe(false)
    expect(allows({ programs: '/opt/app/bin/deploy' }, shell(line('deploy')))).toBe(false)
    expect(denies({ programs: '/opt/app/bin/deploy' }, shell(line('deploy')))).toBe(true)
  })

  it('come with all flags of a prohibition, and with no others than those of a permission', () => {
    const forced: Match = { programs: { programs: 'rm', flags: ['recursive', 'force'] } }
    expect(denies(forced, shell(line('rm force recursive verbose')))).toBe(true)
    expect(denies(forced, shell(line('rm force')))).toBe(false)
    expect(denies(forced, shell(line('cp force recursive')))).toBe(false)
    expect(denies({ programs: { programs: 'x', flags: 'output' } }, shell(line('x --output=y')))).toBe(true)
    expect(denies(forced, shell(line([simple('rm', { certainty: 'conservative' })])))).toBe(true)
    expect(allows(forced, shell(line('rm force recursive')))).toBe(true)
    expect(allows(forced, shell(line('rm force recursive verbose')))).toBe(false)
    expect(allows(forced, shell(line('rm force')))).toBe(false)
    expect(allows({ programs: [forced.programs as 'rm', 'ls'] }, shell(line(['rm force recursive', 'ls all'])))).toBe(
      true,
    )
  })

  it('are permitted without what stands around them, what is set for them, and what harm they do', () => {
    const wrapped = shell(line([simple('ls', { wrappers: ['sudo', 'sh -c'] })], { isPrivileged: true }))
    expect(allows({ programs: 'ls' }, wrapped)).toBe(false)
    expect(allows({ programs: 'ls', wrappers: 'sudo' }, wrapped)).toBe(false)
    expect(allows({ programs: 'ls', wrappers: ['sudo', 'sh'] }, wrapped)).toBe(true)
    expect(denies({ wrappers: 'sh' }, wrapped)).toBe(true)
    expect(denies({ wrappers: 's' }, wrapped)).toBe(false)
    const preloaded = shell(line([simple('ls', set('LD_PRELOAD'))]))
    expect(allows({ programs: 'ls' }, preloaded)).toBe(false)
    expect(allows({ programs: 'ls', environment: 'LC_*' }, preloaded)).toBe(false)
    expect(allows({ programs: 'ls', environment: 'LC_*' }, shell(line('ls')))).toBe(true)
    expect(allows({ programs: 'ls', environment: 'LC_*' }, shell(line([simple('ls', set('LC_ALL'))])))).toBe(true)
    const harmful = shell(line('rm recursive', { hazards: ['destructive-delete'] }))
    expect(allows({ programs: 'rm' }, harmful)).toBe(false)
    expect(allows({ programs: 'rm', hazards: 'shutdown' }, harmful)).toBe(false)
    expect(allows({ programs: 'rm', hazards: ['destructive-delete'] }, harmful)).toBe(true)
    expect(denies({ not: { programs: 'ls' } }, wrapped)).toBe(true)
  })

  it('are not what a permission by side effects alone is about', () => {
    const touching = shell(line('frobnicate', { files: [file('/tmp/x')] }))
    const either: Match = { files: '/tmp/**' }
    expect(allows(either, touching)).toBe(false)
    expect(allows({ ...either, programs: 'frobnicate' }, touching)).toBe(true)
    expect(allows(either, sftp('open', file('/tmp/x')))).toBe(true)
    expect(allows({ hazards: 'unseen-code' }, shell(line('ls')))).toBe(false)
    expect(allows({ wrappers: 'sudo' }, shell(line('ls')))).toBe(false)
  })
})

describe('hosts and ports', () => {
  const to = (host: string | undefined, port?: number): DecisionContext =>
    shell(line('curl', { network: [{ host, direction: 'connect', ...(port === undefined ? {} : { port }) }] }))

  it('are those of one target', () => {
    const match: Match = { hosts: 'db.internal', ports: 5432 }
    expect(denies(match, forward('direct-tcpip', { host: 'db.internal', port: 5432 }))).toBe(true)
    expect(denies(match, forward('direct-tcpip', { host: 'db.internal', port: 22 }))).toBe(false)
    const apart = line('x', {
      network: [
        { host: 'db.internal', port: 22, direction: 'connect' },
        { host: 'other', port: 5432, direction: 'connect' },
      ],
    })
    expect(denies(match, shell(apart))).toBe(false)
    expect(allows(match, forward('direct-tcpip', { host: 'DB.internal.', port: 5432 }))).toBe(true)
    expect(allows({ ...match, programs: 'curl' }, to('db.internal', 5432))).toBe(true)
    expect(allows(match, to('db.internal', 5432))).toBe(false)
    expect(allows({ ...match, programs: 'curl' }, shell(line('curl')))).toBe(false)
  })

  it('are compared however they are spelled', () => {
    for (const host of ['127.0.0.1', '0x7f.1', '2130706433', '017700000001', '[::ffff:127.0.0.1]', '127.0.0.1.']) {
      expect(denies({ hosts: '127.0.0.*' }, to(host)), host).toBe(true)
    }
    expect(denies({ hosts: '::1' }, to('[0:0:0:0:0:0:0:1]'))).toBe(true)
    expect(denies({ hosts: '*.Example.com' }, to('API.example.com'))).toBe(true)
    expect(denies({ hosts: 'example.com' }, to('notexample.com'))).toBe(false)
  })

  it('that are not known may be any to a prohibition', () => {
    for (const context of [to(undefined), forward('tcpip-forward', { host: '', port: 0 })]) {
      expect(denies({ hosts: 'example.com', ports: 22 }, context)).toBe(true)
      expect(allows({ hosts: ['example.com', 'x*'], ports: 22, text: '.*' }, context)).toBe(false)
    }
    const socket = forward('direct-streamlocal@openssh.com', { socketPath: '/run/docker.sock' })
    expect(denies({ hosts: 'example.com' }, socket)).toBe(false)
    expect(denies({ files: '/run/docker.sock' }, socket)).toBe(true)
    expect(allows({ files: { files: '/run/app/*', access: ['read', 'write'] } }, socket)).toBe(false)
  })
})

describe('SSH requests', () => {
  it('SSH-1 are told apart by their names, and by what they name', () => {
    expect(denies({ requests: 'x11-req' }, request('x11-req'))).toBe(true)
    expect(denies({ requests: 'auth-agent-req@*' }, request('auth-agent-req@openssh.com'))).toBe(true)
    expect(denies({ requests: '*-tcpip' }, forward('direct-tcpip', { host: 'h', port: 1 }))).toBe(true)
    expect(denies({ requests: 'shell' }, terminal())).toBe(true)
    expect(denies({ requests: '*' }, shell(line('ls')))).toBe(false)
    expect(denies({ requests: '*' }, contextOf(statement('select')))).toBe(false)
    expect(allows({ requests: 'env', names: ['LANG', 'LC_*'] }, request('env', 'LC_ALL'))).toBe(true)
    expect(allows({ requests: 'env', names: ['LANG', 'LC_*'] }, request('env', 'lc_all'))).toBe(false)
    expect(allows({ requests: 'env', names: ['LANG', 'LC_*'] }, request('env', 'LD_PRELOAD'))).toBe(false)
    expect(denies({ requests: 'env', names: 'LD_*' }, request('env', 'ld_preload'))).toBe(true)
    expect(denies({ requests: 'env', not: { names: 'LANG' } }, request('env', 'BASH_ENV'))).toBe(true)
    expect(denies({ requests: 'env', not: { names: 'LANG' } }, request('env', 'LANG'))).toBe(false)
    expect(allows({ requests: 'subsystem', names: 'sftp' }, request('subsystem', 'netconf'))).toBe(false)
  })

  it('a terminal and what is set for it can be asked for', () => {
    const environment = [{ name: 'LD_PRELOAD', value: 'x' }]
    expect(denies({ hasTerminal: true }, terminal())).toBe(true)
    expect(denies({ hasTerminal: true }, shell(line('ls')))).toBe(false)
    expect(denies({ hasTerminal: false }, shell(UNPARSED_LINE))).toBe(true)
    expect(denies({ hasTerminal: true }, sftp('stat', file('/')))).toBe(false)
    expect(denies({ environment: 'LD_*' }, terminal({ environment }))).toBe(true)
    expect(denies({ environment: 'LD_*' }, shell(line('ls'), { environment }))).toBe(true)
    expect(allows({ kinds: 'terminal', environment: 'LANG' }, terminal({ environment }))).toBe(false)
    expect(allows({ kinds: 'terminal', not: { environment: 'LD_*' } }, terminal())).toBe(true)
  })

  it('SSH-2 operations on files are told apart', () => {
    expect(denies({ operations: ['remove', 'symlink'] }, sftp('symlink', file('/a', 'create')))).toBe(true)
    expect(denies({ operations: 'remove' }, sftp('open', file('/a')))).toBe(false)
    expect(denies({ operations: 'remove' }, shell(line('rm')))).toBe(false)
    expect(allows({ operations: 'open', files: { files: '/a', access: 'read' } }, sftp('open', file('/a')))).toBe(true)
    expect(
      allows({ operations: 'open', files: { files: '/a', access: 'read' } }, sftp('open', file('/a', 'read', 'write'))),
    ).toBe(false)
  })

  it('SSH-2 moving a directory takes along what is below it', () => {
    const keys: Match = { files: '**/.ssh/id_*' }
    expect(denies(keys, sftp('rename', file('/home/ann/.ssh', 'delete'), file('/tmp/x', 'create')))).toBe(true)
    expect(denies(keys, sftp('symlink', tree('/home/ann/.ssh', 'read'), file('/tmp/x', 'create')))).toBe(true)
    // What has a name below it that is none of the pattern's has it after the move too.
    expect(denies(keys, sftp('rename', tree('/srv/in/a.part', 'read', 'delete'), tree('/srv/in/a', 'create')))).toBe(
      false,
    )
    expect(denies(keys, sftp('opendir', file('/home/ann/.ssh', 'list')))).toBe(false)
    const moves: Match = { files: { files: '/in/*', access: ['create', 'delete'] } }
    expect(allows(moves, sftp('rename', file('/in/a', 'delete'), file('/in/b', 'create')))).toBe(true)
  })
})

describe('what an interactive shell is let through as', () => {
  const terminalOf = (...rules: readonly Partial<Rule>[]): Pick<PolicyOutcome, 'terminal' | 'allowsRawTerminal'> => {
    const { terminal: mode, allowsRawTerminal } = decide(
      [{ id: 'all', effect: 'allow' }, ...rules.map((rule, index): Rule => ({ id: `r${index}`, ...rule }))],
      terminal(),
    )
    return {
      ...(mode === undefined ? {} : { terminal: mode }),
      ...(allowsRawTerminal === undefined ? {} : { allowsRawTerminal }),
    }
  }

  it('is the strictest that any rule says, in any order', () => {
    expect(terminalOf()).toEqual({})
    expect(terminalOf({ terminal: 'record' })).toEqual({ terminal: 'record' })
    expect(terminalOf({ terminal: 'record' }, { terminal: 'guarded' })).toEqual({ terminal: 'guarded' })
    expect(terminalOf({ terminal: 'guarded' }, { terminal: 'record' })).toEqual({ terminal: 'guarded' })
    expect(terminalOf({ allowsRawTerminal: true })).toEqual({ allowsRawTerminal: true })
    expect(terminalOf({ allowsRawTerminal: true }, { allowsRawTerminal: false })).toEqual({ allowsRawTerminal: false })
    expect(terminalOf({ terminal: 'guarded', match: { subjects: 'somebody-else' } })).toEqual({})
    expect(terminalOf({ terminal: 'guarded', mode: 'observe' })).toEqual({})
  })

  it('is nothing that an observing policy restricts', () => {
    const rules: Rule[] = [{ id: 'a', terminal: 'guarded', allowsRawTerminal: false }]
    expect(createPolicy({ rules, mode: 'observe' }).decide(terminal())).toMatchObject({
      effect: 'allow',
      wouldBe: 'deny',
      allowsRawTerminal: true,
    })
  })
})

describe('decisions are remembered', () => {
  it('by facts, and told apart by everything else that a rule can see', () => {
    let asked = 0
    const facts = line('ls', { files: [file('notes.txt')] })
    const rules: Rule[] = [
      { id: 'all', effect: 'allow' },
      { id: 'etc', effect: 'deny', match: { files: '/etc/**' } },
      { id: 'tty', effect: 'deny', match: { kinds: 'shell', hasTerminal: true } },
      { id: 'env', effect: 'deny', match: { environment: 'LD_*' } },
      { id: 'text', effect: 'deny', match: { kinds: 'shell', text: 'secret' } },
      {
        id: 'when',
        alert: 'x',
        match: { kinds: 'shell', subjects: 'agent-7' },
        when: () => {
          asked++
          return true
        },
      },
    ]
    const policy = createPolicy({ rules })
    const base = shell(facts)
    const variants: [DecisionContext, string][] = [
      [base, 'all'],
      [shell(facts, { via: 'line' }), 'etc'],
      [shell(facts, { hasTerminal: true }), 'tty'],
      [shell(facts, { environment: [{ name: 'LD_PRELOAD', value: 'x' }] }), 'env'],
      [shell(facts, { environment: [{ name: 'LANG', value: 'x' }] }), 'all'],
      [shell(facts, { text: 'cat secret' }), 'text'],
    ]
    for (const [context, ruleId] of [...variants, ...variants.toReversed(), ...variants]) {
      // The same subject and resource objects throughout, so that nothing but the command differs.
      const same = { ...context, subject: base.subject, resource: base.resource }
      expect(policy.decide(same)).toMatchObject({ ruleId })
    }
    expect(asked).toBe(18)
  })
})

describe('paths that are not exact', () => {
  it('hold for no permission and may be anything to a prohibition', () => {
    for (const path of ['$X', '/tmp/$X', '/tmp/`x`', '/tmp/{a,b}', '/tmp/.*', '/tmp/x', '~root$X']) {
      const context = shell(line('cat', { files: [inexact(path)] }))
      expect(denies({ files: '/etc/shadow' }, context), path).toBe(true)
      expect(allows({ programs: 'cat', files: '/tmp/**' }, context), path).toBe(false)
    }
    expect(denies({ files: '/etc/shadow' }, sftp('open', inexact('/tmp/notes')))).toBe(true)
    expect(allows({ files: ['/tmp/**'] }, sftp('open', inexact('/tmp/notes')))).toBe(false)
  })

  it('of a pattern are what the pattern can be', () => {
    const globbed = (path: string, access = inexact(path)): DecisionContext => shell(line('cat', { files: [access] }))
    for (const path of ['/etc/pass*', '/etc/[o-q]asswd', '/*/passwd', '/e??/p*d', '*', 'pass*', '/ETC/PASS*']) {
      expect(denies({ files: '/etc/passwd' }, globbed(path)), path).toBe(true)
    }
    for (const path of ['/etc/*.conf', '/tmp/*', '*.log', '/etc/*/passwd']) {
      expect(denies({ files: '/etc/passwd' }, globbed(path)), path).toBe(false)
    }
    expect(denies({ files: '/etc/passwd' }, globbed('', { ...inexact('/e*'), isRecursive: true }))).toBe(true)
    expect(denies({ files: '/etc/passwd' }, globbed('', { ...tree('/et'), isExact: true }))).toBe(false)
  })
})
