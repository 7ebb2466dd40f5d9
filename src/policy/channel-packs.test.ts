import { describe, expect, it } from 'vitest'
import type { DecisionContext, PolicyOutcome, ShellHazard } from '../core/index.js'
import { createPolicy, packs, type Rule } from './index.js'
import { file, forward, line, request, sftp, shell, simple, terminal, tree } from './channels.test-support.js'

const decider =
  (rules: readonly Rule[]) =>
  (context: DecisionContext): PolicyOutcome => {
    const outcome = createPolicy({ rules }).decide(context)
    if (outcome instanceof Promise) throw new Error('expected a synchronous outcome')
    return outcome
  }
const everything: Rule = { id: 'zz-all', effect: 'allow' }
const inShell = decider([...packs.shellBaseline, everything])
const overSsh = decider([...packs.sshBaseline, everything])

describe('the shell baseline', () => {
  const hazards: readonly (readonly [ShellHazard, 'deny' | 'hold' | 'allow', string])[] = [
    ['destructive-delete', 'deny', 'shell/destructive-deletion'],
    ['disk-overwrite', 'deny', 'shell/disk-overwrite'],
    ['credential-file', 'deny', 'shell/credentials'],
    ['reverse-shell', 'deny', 'shell/reverse-shells'],
    ['download-and-run', 'deny', 'shell/download-and-run'],
    ['firewall', 'hold', 'shell/firewall'],
    ['log-tampering', 'deny', 'shell/log-tampering'],
    ['service-stop', 'hold', 'shell/service-stop'],
    ['shutdown', 'hold', 'shell/shutdown'],
    ['fork-bomb', 'deny', 'shell/fork-bombs'],
    ['privilege-change', 'hold', 'shell/privilege-change'],
    ['persistence', 'hold', 'shell/persistence'],
    ['exfiltration', 'allow', 'zz-all'],
    ['unseen-code', 'allow', 'zz-all'],
  ]
  it.each(hazards)('answers %s with %s', (hazard, effect, ruleId) => {
    expect(inShell(shell(line('x', { hazards: [hazard] })))).toMatchObject({ effect, ruleId })
  })

  it('allows nothing by itself', () => {
    expect(decider(packs.shellBaseline)(shell(line('ls')))).toMatchObject({ effect: 'deny', reason: 'default' })
  })

  it('lets ordinary work be', () => {
    expect(
      inShell(shell(line(['ls', 'grep', 'tar'], { files: [file('/etc/hosts'), file('notes.txt', 'write')] }))),
    ).toMatchObject({
      effect: 'allow',
    })
    for (const context of [
      sftp('open', file('/home/ann/notes.txt', 'write', 'create')),
      sftp('open', file('notes.txt', 'write', 'create')),
      sftp('open', file('~/notes.txt')),
      sftp('open', file('/etc/hosts')),
      sftp('stat', file('/home/ann/.ssh/id_rsa', 'list')),
      sftp('opendir', file('/home/ann/.ssh', 'list')),
      sftp('rename', tree('/srv/in/a.part', 'read', 'delete'), tree('/srv/in/a', 'create', 'write')),
      terminal(),
    ]) {
      expect(inShell(context)).toMatchObject({ effect: 'allow' })
    }
  })

  it('holds what runs as somebody else', () => {
    const sudo = shell(line([simple('ls', { wrappers: ['sudo'] })], { isPrivileged: true }))
    expect(inShell(sudo)).toMatchObject({ effect: 'hold', ruleId: 'shell/privileged' })
  })

  it('SSH-2 keeps keys and passwords from file transfer, in every spelling', () => {
    for (const path of [
      '/home/ann/.ssh/id_ed25519',
      '/root/.ssh/id_rsa',
      '~/.ssh/id_rsa',
      '.ssh/id_rsa',
      '/home/ann/../bob/.ssh//id_rsa',
      '/home/ann/.ssh/../.ssh/ID_RSA',
      '/etc/shadow',
      '/etc/shadow-',
      '/tmp/../etc/shadow',
      '/etc/ssh/ssh_host_ed25519_key',
      '~/.aws/credentials',
      '~/.kube/config',
      '/home/ann/.pgpass',
    ]) {
      expect(inShell(sftp('open', file(path))), path).toMatchObject({
        effect: 'deny',
        ruleId: 'shell/credential-files',
      })
    }
    // Moved away with its directory, it could be read from there.
    expect(
      inShell(sftp('rename', tree('/home/ann/.ssh', 'read', 'delete'), tree('/tmp/x', 'create', 'write'))),
    ).toMatchObject({
      effect: 'deny',
    })
    expect(inShell(sftp('symlink', file('/tmp/x', 'create'), tree('/etc', 'read', 'write')))).toMatchObject({
      effect: 'deny',
    })
    expect(inShell(sftp('open', file('/home/ann/.ssh/id_rsa.d/../id_rsa', 'write')))).toMatchObject({ effect: 'deny' })
  })

  it('keeps devices, logs and what runs by itself from being written', () => {
    for (const [path, effect] of [
      ['/dev/sda', 'deny'],
      ['/proc/sysrq-trigger', 'deny'],
      ['/var/log/auth.log', 'deny'],
      ['~/.bash_history', 'deny'],
      ['/etc/cron.d/x', 'hold'],
      ['/etc/systemd/system/x.service', 'hold'],
      ['/home/ann/.ssh/authorized_keys', 'hold'],
      ['.bashrc', 'hold'],
      ['/usr/local/bin/ls', 'hold'],
      ['/srv/app/.git/hooks/pre-commit', 'hold'],
    ] as const) {
      expect(inShell(sftp('open', file(path, 'write', 'create'))), path).toMatchObject({ effect })
    }
    expect(inShell(sftp('open', file('/var/log/syslog')))).toMatchObject({ effect: 'allow' })
  })
})

describe('the SSH baseline', () => {
  it('SSH-1 refuses forwarded ports, agents, displays and tunnels', () => {
    for (const [context, ruleId] of [
      [forward('direct-tcpip', { host: 'db', port: 5432 }), 'ssh/port-forwarding'],
      [forward('tcpip-forward', { host: '', port: 0 }), 'ssh/port-forwarding'],
      [forward('direct-streamlocal@openssh.com', { socketPath: '/run/docker.sock' }), 'ssh/port-forwarding'],
      [request('auth-agent-req@openssh.com'), 'ssh/agent-forwarding'],
      [request('auth-agent-req'), 'ssh/agent-forwarding'],
      [request('x11-req'), 'ssh/x11-forwarding'],
      [request('tun@openssh.com'), 'ssh/tunnels'],
      [request('subsystem', 'netconf'), 'ssh/other-subsystems'],
    ] as const) {
      expect(overSsh(context)).toMatchObject({ effect: 'deny', ruleId })
    }
    expect(overSsh(request('subsystem', 'sftp'))).toMatchObject({ effect: 'allow' })
  })

  it('SSH-3 passes on variables of language and terminal, and no others', () => {
    const alone = decider(packs.sshBaseline)
    for (const name of ['LANG', 'LC_ALL', 'LC_CTYPE', 'TERM']) {
      expect(alone(request('env', name)), name).toMatchObject({ effect: 'allow', ruleId: 'ssh/variables' })
    }
    for (const name of ['LD_PRELOAD', 'BASH_ENV', 'GIT_SSH_COMMAND', 'PS4', 'PATH', 'lang', 'LANGX', '']) {
      expect(overSsh(request('env', name)), name).toMatchObject({ effect: 'deny', ruleId: 'ssh/other-variables' })
    }
  })

  it('allows the requests of a terminal, and no command', () => {
    const alone = decider(packs.sshBaseline)
    for (const via of ['pty-req', 'signal']) expect(alone(request(via))).toMatchObject({ effect: 'allow' })
    for (const context of [
      shell(line('ls')),
      terminal(),
      sftp('open', file('/x')),
      request('break'),
      request('subsystem', 'sftp'),
    ]) {
      expect(alone(context)).toMatchObject({ effect: 'deny', reason: 'default' })
    }
  })
})
