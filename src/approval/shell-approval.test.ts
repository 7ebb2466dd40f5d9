import { describe, expect, it } from 'vitest'
import type {
  Command,
  PortForwardCommand,
  SftpCommand,
  ShellCommand,
  ShellFacts,
  SshRequestCommand,
  TerminalCommand,
} from '../core/index.js'
import { agent } from './approval.test-support.js'
import { describeCommand } from './describe.js'
import { holdDigest, type DigestInput } from './digest.js'

const FACTS: ShellFacts = {
  certainty: 'exact',
  commands: [
    {
      program: 'rm',
      word: '/bin/rm',
      arguments: ['-rf', '/etc'],
      flags: ['force', 'recursive'],
      operands: ['/etc'],
      assignments: [],
      wrappers: ['sudo'],
      isRemote: false,
      certainty: 'exact',
    },
  ],
  files: [
    { path: '/var/log/x', modes: ['read'], isRecursive: false, isExact: false },
    { path: '/etc', modes: ['delete'], isRecursive: true, isExact: true },
  ],
  network: [
    { host: 'x.example', port: 443, direction: 'connect' },
    { host: undefined, direction: 'listen' },
  ],
  isPrivileged: true,
  hazards: ['destructive-delete'],
}

const shell = (changes: Partial<ShellCommand> = {}): ShellCommand => ({
  id: 1,
  protocol: 'ssh',
  channelId: 1,
  kind: 'shell',
  via: 'exec',
  text: 'sudo rm -rf /etc',
  facts: FACTS,
  environment: [{ name: 'LANG', value: 'C' }],
  hasTerminal: false,
  ...changes,
})

const terminal = (changes: Partial<TerminalCommand> = {}): TerminalCommand => ({
  id: 1,
  protocol: 'ssh',
  channelId: 1,
  kind: 'terminal',
  via: 'shell',
  text: 'interactive shell',
  environment: [],
  hasTerminal: true,
  ...changes,
})

const sftp = (changes: Partial<SftpCommand> = {}): SftpCommand => ({
  id: 1,
  protocol: 'ssh',
  channelId: 1,
  kind: 'sftp',
  via: 'sftp',
  operation: 'open',
  text: 'open /etc/passwd for reading',
  files: [{ path: '/etc/passwd', modes: ['read'], isRecursive: false, isExact: true }],
  ...changes,
})

const forward = (changes: Partial<PortForwardCommand> = {}): PortForwardCommand => ({
  id: 1,
  protocol: 'ssh',
  kind: 'port-forward',
  via: 'direct-tcpip',
  text: 'connect to 10.0.0.1 port 22',
  direction: 'local',
  host: '10.0.0.1',
  port: 22,
  ...changes,
})

const request = (changes: Partial<SshRequestCommand> = {}): SshRequestCommand => ({
  id: 1,
  protocol: 'ssh',
  kind: 'ssh-request',
  via: 'env',
  name: 'LANG',
  text: 'env LANG=C',
  ...changes,
})

const input = (command: Command, changes: Partial<DigestInput> = {}): DigestInput => ({
  subject: agent,
  resource: { name: 'web-1', protocol: 'ssh' },
  sessionId: 's',
  command,
  policyDigest: 'p',
  ...changes,
})

describe('the digest of a shell, a file operation or a channel', () => {
  it('APP-2 changes with every part that gives the command its meaning', () => {
    const variants: DigestInput[] = [
      input(shell()),
      input(shell(), { sessionId: 't' }),
      input(shell(), { subject: { ...agent, id: 'agent-8' } }),
      input(shell(), { resource: { name: 'web-2', protocol: 'ssh' } }),
      input(shell({ text: 'sudo rm -rf /etc ' })),
      input(shell({ text: 'sudo rm -rf  /etc' })),
      input(shell({ channelId: 2 })),
      input(shell({ hasTerminal: true })),
      input(shell({ via: 'line' })),
      input(shell({ environment: [] })),
      input(shell({ environment: [{ name: 'LANG', value: '' }] })),
      input(
        shell({
          environment: [
            { name: 'LANG', value: 'C' },
            { name: 'LD_PRELOAD', value: './x.so' },
          ],
        }),
      ),
      input(shell({ environment: [{ name: 'LAN', value: 'GC' }] })),
      input(terminal()),
      input(terminal({ hasTerminal: false })),
      input(terminal({ environment: [{ name: 'BASH_ENV', value: 'x' }] })),
      input(sftp()),
      input(sftp({ operation: 'stat' })),
      input(sftp({ via: 'scp' })),
      input(sftp({ files: [{ path: '/etc/passwd', modes: ['write'], isRecursive: false, isExact: true }] })),
      input(sftp({ operation: 'extension', extension: 'a' })),
      input(sftp({ operation: 'extension', extension: 'b' })),
      input(forward()),
      input(forward({ port: 23 })),
      input(forward({ host: '10.0.0.2' })),
      input(forward({ direction: 'remote' })),
      input(forward({ socketPath: '/run/docker.sock' })),
      input(request()),
      input(request({ name: 'LC_ALL' })),
      input(request({ via: 'subsystem' })),
      input(request({ text: 'env LANG=D' })),
    ]
    expect(new Set(variants.map(holdDigest)).size).toBe(variants.length)
  })

  it('is the same for the same line sent again, also from a lazily analysed command', () => {
    class Lazy implements ShellCommand {
      readonly id = 7
      readonly protocol = 'ssh'
      readonly channelId = 1
      readonly kind = 'shell'
      readonly via = 'exec'
      readonly text = 'sudo rm -rf /etc'
      readonly environment = [{ name: 'LANG', value: 'C' }]
      readonly hasTerminal = false
      get facts(): ShellFacts {
        throw new Error('not needed')
      }
    }
    expect(holdDigest(input(new Lazy()))).toBe(holdDigest(input(shell())))
  })
})

describe('describing a shell, a file operation or a channel', () => {
  it('APP-7 APP-8 says what a line does, the worst first, and every variable', () => {
    expect(describeCommand(shell())).toEqual({
      text: 'sudo rm -rf /etc',
      display: 'sudo rm -rf /etc',
      values: ["LANG = 'C'"],
      effects: [
        'DELETES what may not come back: recursively, by pattern, or what the system needs (destructive-delete)',
        'runs as another user',
        'runs: rm',
        'deletes /etc recursively',
        'reads /var/log/x, or other files: only running it would tell',
        'connects to x.example, port 443',
        'listens for connections: a host not known from the text',
      ],
      warnings: [],
    })
  })

  it('APP-7 shows escapes, hidden characters and look-alikes, and no text can pass for a line of ours', () => {
    const evil = 'x\u202e\x1b[2K\rrm\n⏎\nruns: ls'
    const { text, display, values, effects, warnings } = describeCommand(
      shell({
        text: `ls # ${evil}${' '.repeat(300)}; rm -rf /`,
        environment: [{ name: evil, value: evil }],
        facts: {
          ...FACTS,
          commands: [{ ...(FACTS.commands[0] as ShellFacts['commands'][number]), program: undefined, word: evil }],
          files: [{ path: evil, modes: ['delete'], isRecursive: false, isExact: true }],
          network: [{ host: 'p\u0430ypal.example', direction: 'connect' }],
        },
      }),
    )
    expect(text).toContain(evil)
    expect(display).toContain('⟦U+202E⟧⟦ESC⟧[2K⟦CR⟧rm')
    expect(display).toContain('⟦300 blanks⟧; rm -rf /')
    for (const line of [...values, ...effects]) expect(line).not.toMatch(/[\p{Cc}\p{Cf}⏎]/u)
    expect(effects).toContain('connects to p⟦U+0430 like a⟧ypal.example')
    expect(effects.filter((line) => line.startsWith('runs:'))).toHaveLength(1)
    expect(warnings).not.toEqual([])
  })

  it('says that it does not know', () => {
    const facts: ShellFacts = { ...FACTS, certainty: 'unparsed', problem: 'unclosed quote' }
    expect(describeCommand(shell({ facts })).effects[0]).toBe('not understood: unclosed quote')
    const half: ShellFacts = { ...FACTS, certainty: 'conservative' }
    expect(describeCommand(shell({ facts: half })).effects[0]).toBe('parts of it are known only when it runs')
  })

  it('APP-8 counts the variables and effects that it leaves out', () => {
    const environment = Array.from({ length: 300 }, (_, index) => ({ name: `V${index}`, value: 'x' }))
    const files = Array.from({ length: 100 }, (_, index) => ({
      path: `/f${index}`,
      modes: ['read'] as const,
      isRecursive: false,
      isExact: true,
    }))
    const { values, effects, warnings } = describeCommand(
      shell({ environment, facts: { ...FACTS, files: [...files, ...FACTS.files] } }),
    )
    expect(values.at(-1)).toBe('⟦44 variables not shown⟧')
    expect(effects.at(-1)).toMatch(/^⟦\d+ lines not shown⟧$/)
    expect(effects).toContain('deletes /etc recursively')
    expect(warnings).toContain('44 of 300 variables are not shown')
  })

  it('describes the other kinds by what they touch', () => {
    expect(describeCommand(terminal()).effects.join()).toContain('no part of this approval')
    expect(describeCommand(sftp()).effects).toEqual(['reads /etc/passwd'])
    expect(describeCommand(sftp({ operation: 'extension', extension: 'copy-data' })).effects[0]).toContain('copy-data')
    expect(describeCommand(forward()).effects).toEqual([
      'lets the client talk to 10.0.0.1, port 22, as if from the target',
    ])
    expect(describeCommand(forward({ direction: 'remote', host: '', port: 80 })).effects).toEqual([
      'has the target listen on every address, port 80, and lets whoever connects talk to the client',
    ])
    expect(describeCommand(forward({ socketPath: '/run/docker.sock' })).effects.join()).toContain('/run/docker.sock')
    expect(describeCommand(request()).effects).toEqual(['env: LANG'])
    expect(describeCommand(request()).text).toBe('env LANG=C')
  })
})
