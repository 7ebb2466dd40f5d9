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
  const code = await runCli(args, '1.2.3', {
    stdin: (async function* () {
      yield* input
    })(),
    out: async (text) => void (out += text),
    error: (line) => void (errors += `${line}\n`),
  })
  return { code, out, errors }
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

describe('the command line', () => {
  it('explains itself', async () => {
    expect(await run(['--help'])).toMatchObject({ code: 0, errors: '' })
    expect((await run(['--version'])).out).toBe('sallyport 1.2.3\n')
    for (const name of ['verify', 'replay', 'seal', 'policy check']) {
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
