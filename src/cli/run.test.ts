import { spawn } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { command, header, START_UNIX_MS, TestWorld } from '../recording/recording.test-support.js'
import { runCli } from './run.js'

let directory: string

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'sallyport-cli-'))
})

afterEach(async () => {
  await rm(directory, { recursive: true })
})

async function run(args: readonly string[], input: readonly Uint8Array[] = []) {
  let out = ''
  let errors = ''
  const waits: number[] = []
  const code = await runCli(args, '1.2.3', {
    stdin: (async function* () {
      yield* input
    })(),
    out: async (text) => void (out += typeof text === 'string' ? text : Buffer.from(text).toString('latin1')),
    wait: async (delayMs) => void waits.push(delayMs),
    error: (line) => void (errors += `${line}\n`),
  })
  return { code, out, errors, waits }
}

/** Records a session and writes its segments to files; answers with their paths. */
async function record(id: string, commands: number, maxSegmentBytes = 1_000_000): Promise<string[]> {
  const world = new TestWorld()
  const session = world.recorder({ durability: 'batch', maxSegmentBytes }).open(header(id))
  for (let i = 1; i <= commands; i++) session.command(command(i, `select ${i}, '\u202e'`))
  session.append({
    type: 'output',
    atUnixMs: START_UNIX_MS,
    commandId: 1,
    channel: 'rows',
    bytes: Buffer.from('\x1b[2J'),
  })
  await session.close('done')
  const paths: string[] = []
  for (const name of await world.store.list()) {
    const path = join(directory, name)
    await writeFile(path, world.store.bytes(name))
    paths.push(path)
  }
  return paths
}

const HOSTILE = 'a\x1b]52;c;eA==\x07\x1b[6n\x1b[?1049h\x1b[31mb'

/** Records a shell whose output is hostile, and writes its segments to files; answers with their paths. */
async function recordShell(id: string, maxSegmentBytes = 1_000_000): Promise<string[]> {
  const world = new TestWorld()
  const session = world.recorder({ durability: 'batch', maxSegmentBytes }).open(header(id))
  const at = (ms: number) => ({ atUnixMs: START_UNIX_MS + ms, commandId: 1 })
  const detail = { channelId: 1, hasTerminal: true }
  session.command(command(1, 'interactive shell', { kind: 'terminal', via: 'shell', detail }))
  session.append({ type: 'resize', ...at(1), columns: 90, rows: 20 })
  session.append({ type: 'output', ...at(501), channel: 'stdout', bytes: Buffer.from(HOSTILE) })
  session.append({ type: 'output', ...at(60_501), channel: 'stdout', bytes: Buffer.from([0xff, 0x63]) })
  session.answer(1, { outcome: 'completed', tags: [], rows: 0, bytes: 1, exitCode: 2 }, START_UNIX_MS + 60_600)
  await session.close('done')
  const paths: string[] = []
  for (const name of await world.store.list()) {
    const path = join(directory, name)
    await writeFile(path, world.store.bytes(name))
    paths.push(path)
  }
  return paths
}

describe('the command line', () => {
  it('explains itself', async () => {
    expect(await run(['--help'])).toMatchObject({ code: 0, errors: '' })
    expect((await run(['--version'])).out).toBe('sallyport 1.2.3\n')
    for (const name of ['verify', 'replay', 'export', 'seal', 'policy check']) {
      expect((await run(['--help'])).out).toContain(name)
      const { code, out } = await run([...name.split(' '), '--help'])
      expect(code).toBe(0)
      expect(out).toContain(`Usage: sallyport ${name}`)
    }
  })

  it('refuses what it does not know with status 2', async () => {
    for (const args of [
      [],
      ['frobnicate'],
      ['policy'],
      ['verify'],
      ['verify', '--frob', 'x'],
      ['replay'],
      ['replay', 'a', 'b'],
      ['seal', '--json', 'x'],
      ['export'],
      ['export', '--format', 'mp4', 'x'],
      ['export', '--command', '0', 'x'],
      ['export', 'x', '-'],
      ['replay', '--raw', 'x'],
      ['replay', '--play', '--json', 'x'],
      ['replay', '--play', '--speed', '-1', 'x'],
    ]) {
      const { code, out, errors } = await run(args)
      expect(code).toBe(2)
      expect(out).toBe('')
      expect(errors).not.toBe('')
    }
    expect((await run(['verify', join(directory, 'missing')])).code).toBe(2)
  })

  it('verifies a recording from a file and from standard input', async () => {
    const [path = ''] = await record('s1', 3)
    const result = await run(['verify', path])
    expect(result).toMatchObject({ code: 0 })
    expect(result.out).toMatch(/: ok, session s1, 6 lines, ended, head [0-9a-f]{64}\n$/)
    expect((await run(['verify', '-'], [await readFile(path)])).code).toBe(0)
    const { ok, files } = JSON.parse((await run(['verify', '--json', path])).out) as {
      ok: boolean
      files: { head: string }[]
    }
    expect(ok).toBe(true)
    expect((await run(['verify', '--head', files[0]?.head ?? '', '--session', 's1', path])).code).toBe(0)
    expect((await run(['verify', '--head', '0'.repeat(64), path])).code).toBe(1)
    expect((await run(['verify', '--session', 's2', path])).code).toBe(1)
  })

  it('REC-3 names the first bad line', async () => {
    const [path = ''] = await record('s1', 3)
    await writeFile(path, (await readFile(path, 'latin1')).replace('select 2', 'select 9'))
    const { code, out } = await run(['verify', path])
    expect(code).toBe(1)
    expect(out).toContain('NOT OK, line 3:')
    const json = JSON.parse((await run(['verify', '--json', path])).out) as {
      ok: boolean
      files: { problem: unknown }[]
    }
    expect(json).toMatchObject({ ok: false, files: [{ problem: { line: 3, kind: 'hash' } }] })
  })

  it('verifies all segments of a session in any order and notices a missing one', async () => {
    const paths = await record('s1', 20, 2_000)
    expect(paths.length).toBeGreaterThan(3)
    expect((await run(['verify', ...paths.toReversed()])).code).toBe(0)
    for (let i = 0; i < paths.length; i++) {
      const some = paths.filter((_, each) => each !== i)
      expect((await run(['verify', ...some])).code).toBe(1)
      expect((await run(['verify', '--partial', ...some])).code).toBe(0)
    }
    const others = await record('s2', 2)
    expect((await run(['verify', ...others, ...paths])).code).toBe(0)
  })

  it('REC-7 replays without letting the record act on the terminal', async () => {
    const [path = ''] = await record('s1', 2)
    const { code, out } = await run(['replay', path])
    expect(code).toBe(0)
    expect(out).toContain("| select 1, '\\u{202e}'")
    expect(out).toContain('| \\u{1b}[2J')
    expect(out).not.toMatch(/[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]/)
    expect((await run(['replay', '--no-output', path])).out).not.toContain('2J')
    expect((await run(['replay', '--json', path])).out).toBe(await readFile(path, 'latin1'))
    const changed = (await readFile(path, 'latin1')).replace('select 1', '\x1b[2J\x9b1')
    const json = await run(['replay', '--json', '-'], [Buffer.from(changed, 'latin1')])
    expect(json.code).toBe(1)
    expect(json.out).not.toMatch(/[\x00-\x09\x0b-\x1f\x7f-\x9f]/)
  })

  it('exports a terminal for players, and says what it left out', async () => {
    const [path = ''] = await recordShell('s1')
    const two = await run(['export', '--format', 'asciicast', path])
    expect(two.code).toBe(0)
    expect(two.out.split('\n')[0]).toBe(
      '{"version":2,"width":90,"height":20,"timestamp":1767323045,"command":"interactive shell"}',
    )
    expect(two.out).toContain('[0.500, "o", "a\\u001b[?1049h\\u001b[31mb"]\n[60.500, "o", "\\ufffdc"]\n')
    expect(two.errors).toMatch(/1 times U\+FFFD .*\n.* bytes that act on a terminal were taken out/)
    const three = await run(['export', '--format', 'asciicast-v3', '--raw', '--title', 'x', path])
    expect(three.out).toContain('"term":{"cols":90,"rows":20}')
    expect(three.out).toContain('\\u001b]52;c;eA==\\u0007')
    expect(three.out).toContain('[0.099, "x", "2"]\n')
    expect((await run(['export', '--command', '7', path])).code).toBe(1)
    expect((await run(['export', '-'], [await readFile(path)])).out).toBe(two.out)
  })

  it('exports all segments of a session in any order, and none with one missing', async () => {
    const whole = await run(['export', ...(await recordShell('s1'))])
    const paths = await recordShell('s2', 400)
    expect(paths.length).toBeGreaterThan(2)
    const parts = await run(['export', ...paths.toReversed()])
    expect(parts).toMatchObject({ code: 0, out: whole.out })
    const missing = await run(['export', ...paths.filter((_, index) => index !== 1)])
    expect(missing).toMatchObject({ code: 1, out: '' })
    expect((await run(['export', paths[0] ?? '', ...(await recordShell('s3'))])).code).toBe(2)
  })

  it('TTY-2 plays a terminal at its own pace without letting it act on the one it is played on', async () => {
    const [path = ''] = await recordShell('s1')
    const played = await run(['replay', '--play', path])
    expect(played).toMatchObject({ code: 0, waits: [500, 2_000] })
    expect(played.out).toBe('a\x1b[?1049h\x1b[31mb\ufffdc\x1b[?1049l\x1b7\x1b[m\x1b(B\x1b[r\x1b8\x1b[?7h\x1b[?25h\n')
    const raw = await run(['replay', '--play', '--raw', '--speed', '2', '--idle', '100', path])
    expect(raw.waits).toEqual([250, 30_000])
    expect(raw.out.startsWith(`${HOSTILE}\xffc`)).toBe(true)
    expect(await run(['replay', '--play', '--command', '9', path])).toMatchObject({ code: 1, out: '' })
    const changed = (await readFile(path, 'latin1')).replace('[31mb', '[31mX')
    const bad = await run(['replay', '--play', '-'], [Buffer.from(changed, 'latin1')])
    expect(bad).toMatchObject({ code: 1, out: '' })
    expect(bad.errors).toContain('does not verify, line 4')
  })

  it('seals what a crash left open', async () => {
    const [path = ''] = await record('s1', 3)
    await writeFile(path, (await readFile(path)).subarray(0, -20))
    expect((await run(['verify', path])).code).toBe(1)
    const { code, out } = await run(['seal', path])
    expect(code).toBe(0)
    expect(out).toContain('sealed')
    const verified = await run(['verify', path])
    expect(verified).toMatchObject({ code: 0 })
    expect(verified.out).toContain('sealed after a crash')
    expect((await run(['seal', path])).out).toContain('closed already')
    await writeFile(path, (await readFile(path, 'latin1')).replace('select 2', 'select 9'))
    expect((await run(['seal', path])).code).toBe(1)
  })

  it('checks a policy file', async () => {
    const path = join(directory, 'policy.yaml')
    await writeFile(path, 'version: 1\nrules:\n  - id: "\u202e"\n    effect: maybe\n')
    const bad = await run(['policy', 'check', path])
    expect(bad.code).toBe(1)
    expect(bad.out).toContain('policy.yaml:')
    expect(bad.out).not.toContain('\u202e')
  })

  it('stays quiet when its reader leaves', async () => {
    const [path = ''] = await record('s1', 3_000)
    const main = join(import.meta.dirname, 'main.ts')
    const child = spawn(process.execPath, ['--import', 'tsx', main, 'replay', path], {
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let errors = ''
    child.stderr.on('data', (text: Buffer) => {
      errors += text.toString()
    })
    child.stdout.once('data', () => child.stdout.destroy())
    const code = await new Promise((resolve) => child.on('close', resolve))
    expect(errors).toBe('')
    expect(code).toBe(0)
  })
})
