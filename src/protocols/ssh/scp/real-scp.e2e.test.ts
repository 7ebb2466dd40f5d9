import { createHash, randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Denial, SftpCommand } from '../../../core/index.js'
import { counter, type FileHarness, type Judge, Relay, run } from '../files/files.test-support.js'
import { createScpMachine, parseScpCommand, type ScpCommand } from './index.js'

const SCP = '/usr/bin/scp'

/** OpenSSH's scp in its legacy mode on both ends, with the machine between them. */
describe('scp -O through the machine', () => {
  let root: string
  let relay: Relay
  let judge: Judge = () => ({})
  let locals: string
  let remotes: string

  beforeEach(async () => {
    root = mkdtempSync(join(tmpdir(), 'sallyport-scp-'))
    locals = join(root, 'local')
    remotes = join(root, 'remote')
    mkdirSync(locals)
    mkdirSync(remotes)
    judge = () => ({})
    relay = await Relay.start((line) => {
      const command = parseScpCommand(line.split(' ')) as ScpCommand
      return {
        server: ['/bin/sh', '-c', line],
        machine: createScpMachine({ command, nextCommandId: counter() }),
        judge: (each) => judge(each),
      }
    }, remotes)
  })

  afterEach(async () => {
    await relay.stop()
    rmSync(root, { recursive: true, force: true })
  })

  const scp = (...args: string[]): Promise<{ code: number | null; stdout: string; stderr: string }> =>
    run(SCP, ['-O', '-S', relay.command, ...args], { cwd: locals })
  const last = (): FileHarness => relay.harnesses.at(-1) as FileHarness
  const refuse = (message: string): Denial => ({ reason: 'rule', message })
  const names = (command: SftpCommand, name: string): boolean =>
    command.files.some((file) => file.path.endsWith(`/${name}`))

  it('moves files both ways byte for byte, with their digests', async () => {
    const content = randomBytes(3_000_001)
    writeFileSync(join(locals, 'f'), content)
    writeFileSync(join(locals, 'empty'), '')
    expect(await scp('f', 'empty', `h:${remotes}/`)).toEqual({ code: 0, stdout: '', stderr: '' })
    expect(readFileSync(join(remotes, 'f')).equals(content)).toBe(true)
    expect(statSync(join(remotes, 'empty')).size).toBe(0)
    const sha256 = createHash('sha256').update(content).digest('hex')
    expect(last().transfers[0]).toEqual({
      direction: 'write',
      path: join(remotes, 'f'),
      bytes: content.length,
      sha256,
      runs: [{ offset: 0, bytes: content.length }],
      omittedRuns: 0,
    })
    expect(await scp(`h:${remotes}/f`, 'back')).toEqual({ code: 0, stdout: '', stderr: '' })
    expect(readFileSync(join(locals, 'back')).equals(content)).toBe(true)
    expect(last().transfers).toMatchObject([{ direction: 'read', path: join(remotes, 'f'), sha256 }])
    expect(last().answers.map((each) => each.answer.outcome)).toEqual(['completed'])
  })

  it('goes through trees with times and modes', async () => {
    mkdirSync(join(locals, 'tree/sub'), { recursive: true })
    for (let i = 0; i < 10; i++) writeFileSync(join(locals, 'tree/sub', `f${i}`), randomBytes(i * 10_000))
    utimesSync(join(locals, 'tree/sub/f3'), 1_000_000_000, 1_000_000_000)
    expect(await scp('-r', '-p', 'tree', `h:${remotes}`)).toEqual({ code: 0, stdout: '', stderr: '' })
    expect(statSync(join(remotes, 'tree/sub/f3')).mtimeMs).toBe(1_000_000_000_000)
    expect(last().commands.map((command) => command.text)).toContain(
      `open ${remotes}/sub/f3 or ${remotes}/tree/sub/f3 for writing (create)`,
    )
    expect(await scp('-r', '-p', `h:${remotes}/tree`, 'back')).toEqual({ code: 0, stdout: '', stderr: '' })
    for (let i = 0; i < 10; i++) {
      expect(readFileSync(join(locals, 'back/sub', `f${i}`))).toEqual(readFileSync(join(locals, 'tree/sub', `f${i}`)))
    }
    expect(last().commands.map((command) => command.text)).toContain(`open ${remotes}/tree/sub/f3 for reading`)
    expect(statSync(join(locals, 'back/sub/f3')).mtimeMs).toBe(1_000_000_000_000)
  })

  it('SSH-2 refuses one file of several, in both directions, and the others go on', async () => {
    for (const name of ['a', 'secret', 'z']) {
      writeFileSync(join(locals, name), name)
      writeFileSync(join(remotes, `r-${name}`), name)
    }
    judge = (command) => (names(command, 'secret') || names(command, 'r-secret') ? refuse('not this one') : {})
    const up = await scp('-p', 'a', 'secret', 'z', `h:${remotes}`)
    expect(up.code).toBe(1)
    expect(up.stderr).toContain('not this one')
    expect(existsSync(join(remotes, 'z'))).toBe(true)
    expect(existsSync(join(remotes, 'secret'))).toBe(false)
    const down = await scp('-p', `h:${remotes}/r-*`, '.')
    expect(down.code).toBe(1)
    expect(down.stderr).toContain('not this one')
    expect(readFileSync(join(locals, 'r-z'), 'utf8')).toBe('z')
    expect(existsSync(join(locals, 'r-secret'))).toBe(false)
    expect(last().commands.every((command) => command.files.every((file) => !file.isExact))).toBe(true)
  })

  it('refuses a directory, and what is in it is not sent', async () => {
    mkdirSync(join(locals, 'tree/private'), { recursive: true })
    mkdirSync(join(locals, 'tree/public'))
    writeFileSync(join(locals, 'tree/private/f'), 'f')
    writeFileSync(join(locals, 'tree/public/g'), 'g')
    judge = (command) => (names(command, 'private') ? refuse('no') : {})
    expect((await scp('-r', 'tree', `h:${remotes}/`)).code).toBe(1)
    expect(existsSync(join(remotes, 'tree/public/g'))).toBe(true)
    expect(existsSync(join(remotes, 'tree/private'))).toBe(false)
    judge = (command) => (names(command, 'public') ? refuse('no') : {})
    mkdirSync(join(remotes, 'tree/private'))
    expect((await scp('-r', `h:${remotes}/tree`, 'back')).code).toBe(1)
    expect(existsSync(join(locals, 'back/private'))).toBe(true)
    expect(existsSync(join(locals, 'back/public'))).toBe(false)
  })

  it('refuses what is larger than its cap before a byte of it', async () => {
    writeFileSync(join(locals, 'big'), randomBytes(10_000))
    writeFileSync(join(locals, 'small'), 'small')
    judge = () => ({ maxBytes: 1_000 })
    const { code, stderr } = await scp('big', 'small', `h:${remotes}/`)
    expect(code).toBe(1)
    expect(stderr).toContain('more than 1000 bytes')
    expect(existsSync(join(remotes, 'big'))).toBe(false)
    expect(existsSync(join(remotes, 'small'))).toBe(true)
  })

  it('passes on what the target says when something is not there or may not be written', async () => {
    writeFileSync(join(locals, 'f'), 'f')
    const missing = await scp(`h:${remotes}/missing`, '.')
    expect(missing.code).toBe(1)
    expect(missing.stderr).toContain('No such file')
    const nowhere = await scp('f', `h:${remotes}/no/such/place`)
    expect(nowhere.code).toBe(1)
    expect(last().answers).toMatchObject([{ answer: { outcome: 'failed' } }])
  })
})
