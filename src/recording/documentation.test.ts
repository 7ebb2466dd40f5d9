import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { command, header, START_UNIX_MS, TestWorld } from './recording.test-support.js'
import type { LineType } from './types.js'
import { verifyRecording } from './verify.js'

const document = readFileSync(join(import.meta.dirname, '../../docs/recording.md'), 'utf8')
const script = /```js\n(\/\/ verify\.mjs[\s\S]*?)```/.exec(document)?.[1] ?? ''

let bytes: Buffer

function runScript(input: Uint8Array): { status: number | null; out: string } {
  const { status, stdout } = spawnSync(process.execPath, ['--input-type=module', '--eval', script], { input })
  return { status, out: stdout.toString().trim() }
}

beforeAll(async () => {
  const world = new TestWorld()
  const session = world.recorder({ durability: 'batch' }).open(header('s1'))
  for (let id = 1; id <= 4; id++) session.command(command(id, `select ${id}, 'ü"hash":"' ,"hash":"`))
  session.append({ type: 'output', atUnixMs: START_UNIX_MS, commandId: 1, channel: 'rows', bytes: Buffer.from([0xff]) })
  await session.close('done')
  bytes = world.store.bytes('session-s1.000001.jsonl')
})

describe('docs/recording.md', () => {
  it('has a verifier that agrees with ours on good files', async () => {
    const { head } = await verifyRecording([bytes])
    expect(runScript(bytes)).toEqual({ status: 0, out: `ok, head ${head}` })
  })

  it('has a verifier that names the same first bad line as ours', async () => {
    const lines = bytes.toString('latin1').trimEnd().split('\n')
    const bad = [
      bytes.toString('latin1').replace('select 3', 'select 9'),
      `${lines.filter((_, i) => i !== 2).join('\n')}\n`,
      `${[...lines.slice(0, 3), lines[2] ?? '', ...lines.slice(3)].join('\n')}\n`,
      `${lines.slice(0, 4).join('\n')}\n`,
      lines.join('\n'),
      bytes.toString('latin1').slice(0, -30),
      `${lines.join('\n')}\n${lines.at(-1) ?? ''}\n`,
    ]
    for (const text of bad) {
      const input = Buffer.from(text, 'latin1')
      const { problem } = await verifyRecording([input])
      const { status, out } = runScript(input)
      expect(status).toBe(1)
      expect(out).toMatch(new RegExp(`^line ${problem?.line}: `))
    }
  })

  it('names every type of line', () => {
    const types: Record<LineType, true> = {
      header: true,
      command: true,
      answer: true,
      output: true,
      hold: true,
      approval: true,
      note: true,
      alert: true,
      resize: true,
      input: true,
      detected: true,
      transfer: true,
      content: true,
      continued: true,
      end: true,
      seal: true,
    }
    for (const type of Object.keys(types)) expect(document).toMatch(new RegExp(`^\\| .*\`${type}\``, 'm'))
  })
})
