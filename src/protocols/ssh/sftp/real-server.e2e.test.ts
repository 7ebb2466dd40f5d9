import { createHash, randomBytes } from 'node:crypto'
import { existsSync, lstatSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Denial, SftpCommand } from '../../../core/index.js'
import { counter, type FileHarness, type Judge, Relay, run } from '../files/files.test-support.js'
import { createSftpMachine, type SftpMachineOptions } from './index.js'

const SERVER = '/usr/lib/openssh/sftp-server'

/** OpenSSH's client and server, with the machine between them. */
describe('OpenSSH through the machine', () => {
  let root: string
  let relay: Relay
  let judge: Judge = () => ({})
  let options: Partial<SftpMachineOptions> = {}
  let locals: string
  let remotes: string

  beforeEach(async () => {
    root = mkdtempSync(join(tmpdir(), 'sallyport-sftp-'))
    locals = join(root, 'local')
    remotes = join(root, 'remote')
    mkdirSync(locals)
    mkdirSync(remotes)
    judge = () => ({})
    options = {}
    relay = await Relay.start(
      () => ({
        server: [SERVER],
        machine: createSftpMachine({ nextCommandId: counter(), ...options }),
        judge: (command) => judge(command),
      }),
      remotes,
    )
  })

  afterEach(async () => {
    await relay.stop()
    rmSync(root, { recursive: true, force: true })
  })

  const batch = async (...lines: string[]): Promise<{ code: number | null; stdout: string; stderr: string }> =>
    run('sftp', ['-D', relay.command, '-b', '-'], { input: `${lines.join('\n')}\n`, cwd: locals })
  const last = (): FileHarness => relay.harnesses.at(-1) as FileHarness
  const refuse = (message: string): Denial => ({ reason: 'rule', message })
  const texts = (): string[] => last().commands.map((command) => command.text)

  it('moves files both ways byte for byte, with their digests', async () => {
    const content = randomBytes(5_000_003)
    writeFileSync(join(locals, 'up'), content)
    const { code, stderr } = await batch('put up', 'get up down', 'put -p up other', 'rename other third', 'ls -l')
    expect(stderr).toBe('')
    expect(code).toBe(0)
    expect(readFileSync(join(remotes, 'up')).equals(content)).toBe(true)
    expect(readFileSync(join(locals, 'down')).equals(content)).toBe(true)
    expect(existsSync(join(remotes, 'third'))).toBe(true)
    const sha256 = createHash('sha256').update(content).digest('hex')
    const whole = { bytes: content.length, sha256, runs: [{ offset: 0, bytes: content.length }], omittedRuns: 0 }
    expect(last().transfers).toEqual([
      { direction: 'write', path: join(remotes, 'up'), ...whole },
      { direction: 'read', path: join(remotes, 'up'), ...whole },
      { direction: 'write', path: join(remotes, 'other'), ...whole },
    ])
    expect(last().closed).toBe('closed')
    // Every permitted command was answered once.
    expect(
      last()
        .answers.map((each) => each.commandId)
        .sort((a, b) => a - b),
    ).toEqual(last().commands.map((command) => command.id))
    expect(new Set(last().answers.map((each) => each.answer.outcome))).toEqual(new Set(['completed', 'failed']))
  })

  it('does what a batch can do', async () => {
    writeFileSync(join(locals, 'f'), 'content')
    const { code, stderr } = await batch(
      'mkdir d',
      'put f d/f',
      'chmod 600 d/f',
      'symlink f d/link',
      'ln d/f d/hard',
      'cp d/f d/copy',
      'df',
      'cd d',
      'pwd',
      'get ../d/f ../got',
      'cd ..',
      'rm d/hard',
      'mkdir e',
      'rmdir e',
      'mput f*',
    )
    expect(stderr).toBe('')
    expect(code).toBe(0)
    expect(statSync(join(remotes, 'd/f')).mode & 0o777).toBe(0o600)
    expect(lstatSync(join(remotes, 'd/link')).isSymbolicLink()).toBe(true)
    expect(readFileSync(join(remotes, 'd/copy'), 'utf8')).toBe('content')
    expect(readFileSync(join(root, 'got'), 'utf8')).toBe('content')
    const d = join(remotes, 'd')
    for (const text of [
      `mkdir ${d}`,
      `setstat ${d}/f (mode 0600)`,
      `symlink ${d}/link to ${d}/f`,
      `hardlink ${d}/f as ${d}/hard`,
      `copy ${d}/f to ${d}/copy`,
      `open ${d}/f for reading`,
      `rmdir ${join(remotes, 'e')}`,
    ]) {
      expect(texts()).toContain(text)
    }
    // The client's own `..` behind a directory that the server has named is as good as none.
    expect(
      last()
        .commands.flatMap((command) => command.files)
        .every((file) => file.isExact),
    ).toBe(true)
    expect(last().refused).toEqual([])
  })

  it('goes through a tree', async () => {
    mkdirSync(join(locals, 'tree/sub'), { recursive: true })
    for (let i = 0; i < 40; i++) writeFileSync(join(locals, 'tree/sub', `f${i}`), randomBytes(i * 1_000))
    const { code, stderr } = await batch('put -r tree', 'get -r tree back')
    expect(stderr).toBe('')
    expect(code).toBe(0)
    for (let i = 0; i < 40; i++) {
      expect(readFileSync(join(locals, 'back/sub', `f${i}`))).toEqual(readFileSync(join(locals, 'tree/sub', `f${i}`)))
    }
  })

  it('SSH-2 refuses one file, and the batch goes on', async () => {
    writeFileSync(join(remotes, 'secret'), 'secret')
    writeFileSync(join(remotes, 'public'), 'public')
    judge = (command) => (command.operation === 'open' && names(command, 'secret') ? refuse('not this one') : {})
    const { code, stderr } = await batch('-get secret', '-put /etc/hostname secret', 'get public')
    expect(code).toBe(0)
    expect(stderr.toLowerCase()).toContain('permission denied')
    expect(existsSync(join(locals, 'secret'))).toBe(false)
    expect(readFileSync(join(locals, 'public'), 'utf8')).toBe('public')
    expect(readFileSync(join(remotes, 'secret'), 'utf8')).toBe('secret')
  })

  it('refuses everything but the working directory without ending the session', async () => {
    judge = () => refuse('no')
    writeFileSync(join(locals, 'f'), 'x')
    writeFileSync(join(remotes, 'r'), 'x')
    const lines = ['ls', 'get r', 'put f', 'rm r', 'mkdir d', 'chmod 777 r', 'ln -s a b', 'df', 'rename r s', 'rmdir x']
    const { code } = await batch(...lines.map((line) => `-${line}`), 'pwd')
    expect(code).toBe(0)
    expect(existsSync(join(remotes, 'r'))).toBe(true)
    expect(existsSync(join(remotes, 'f'))).toBe(false)
  })

  it('stops a file at its cap, and the batch goes on', async () => {
    writeFileSync(join(remotes, 'big'), randomBytes(3_000_000))
    writeFileSync(join(locals, 'bigger'), randomBytes(3_000_000))
    writeFileSync(join(remotes, 'small'), 'small')
    judge = () => ({ maxBytes: 1_000_000 })
    const { code } = await batch('-get big', '-put bigger', 'get small')
    expect(code).toBe(0)
    expect(readFileSync(join(locals, 'small'), 'utf8')).toBe('small')
    expect(statSync(join(remotes, 'bigger')).size).toBeLessThanOrEqual(1_000_000)
    expect(last().refused.map((each) => each.denial.reason)).toEqual(['limit', 'limit'])
  })

  it('does not read files that would have to be masked', async () => {
    writeFileSync(join(remotes, 'f'), 'x')
    const masker = {
      planRows: () => undefined,
      maskText: (text: Uint8Array) => text,
      stream: () => ({
        push: (chunk: Uint8Array) => chunk,
        flush: () => new Uint8Array(),
        heldBackBytes: 0,
      }),
    }
    judge = () => ({ masker })
    const { stderr, code } = await batch('-get f', 'ls', 'put /etc/hostname')
    expect(stderr.toLowerCase()).toContain('permission denied')
    expect(code).toBe(0)
    expect(last().refused.map((each) => each.denial.reason)).toEqual(['masking'])
    options = { maskedReads: 'pass' }
    expect((await batch('get f')).code).toBe(0)
  })

  it('works with a client that asks for much at a time, and with one that asks for little', async () => {
    const content = randomBytes(2_000_000)
    writeFileSync(join(remotes, 'f'), content)
    options = { maxRequests: 4 }
    for (const args of [
      ['-R', '256', '-B', '1000'],
      ['-R', '1', '-B', '200000'],
    ]) {
      const { code } = await run('sftp', ['-D', relay.command, ...args, '-b', '-'], { input: 'get f\n', cwd: locals })
      expect(code).toBe(0)
      expect(readFileSync(join(locals, 'f')).equals(content)).toBe(true)
    }
  })

  it('keeps what was recorded in full', async () => {
    const content = randomBytes(300_000)
    writeFileSync(join(remotes, 'f'), content)
    judge = () => ({ recordLevel: 'full' })
    await batch('get f')
    expect(Buffer.concat(last().content.map((each) => each.bytes)).equals(content)).toBe(true)
  })

  it('lists users and groups by number where asking for their names is refused', async () => {
    writeFileSync(join(remotes, 'f'), 'x')
    judge = (command) => (command.operation === 'extension' ? refuse('no names') : {})
    const { code, stdout } = await batch('ls -l')
    expect(code).toBe(0)
    expect(stdout).toMatch(/\bf\n/)
  })
})

function names(command: SftpCommand, name: string): boolean {
  return command.files.some((file) => file.path.endsWith(`/${name}`))
}
