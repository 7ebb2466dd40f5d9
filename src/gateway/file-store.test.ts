import { spawn } from 'node:child_process'
import { appendFile, chmod, mkdir, mkdtemp, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createRecorder, segmentName, verifyRecording, type Recorder } from '../recording/index.js'
import { command, header, TestWorld } from '../recording/recording.test-support.js'
import { LOCK_FILE } from './directory-lock.js'
import { openFileRecordStore, type FileRecordStore } from './file-store.js'
import { system } from './system.js'

const clock = { nowUnixMs: () => Date.now() }
const FIRST = segmentName('s1', 1)

let parent: string
let directory: string
let opened: FileRecordStore[]

beforeEach(async () => {
  parent = await mkdtemp(join(tmpdir(), 'sallyport-records-'))
  directory = join(parent, 'records')
  opened = []
})

afterEach(async () => {
  for (const store of opened) await store.close()
  await rm(parent, { recursive: true })
})

async function openStore(): Promise<FileRecordStore> {
  const store = await openFileRecordStore({ directory, clock })
  opened.push(store)
  return store
}

function recorderOver(store: FileRecordStore): Recorder {
  return createRecorder({ ...system, store })
}

describe('openFileRecordStore', () => {
  it('keeps recordings for their owner alone', async () => {
    const store = await openStore()
    const session = recorderOver(store).open(header('s1'))
    session.command(command(1, 'select 1'))
    await session.close('done')
    expect((await stat(directory)).mode & 0o777).toBe(0o700)
    expect((await stat(join(directory, FIRST))).mode & 0o777).toBe(0o600)
    expect(await store.list()).toEqual([FIRST])
    expect(await verifyRecording(store.read(FIRST))).toMatchObject({ ok: true, lines: 3, head: session.head })
  })

  it('refuses a directory that others can look into', async () => {
    await mkdir(directory)
    await chmod(directory, 0o755)
    await expect(openStore()).rejects.toMatchObject({ code: 'invalid_option' })
  })

  it('REC-6 never writes over, follows a link, or leaves its directory', async () => {
    const store = await openStore()
    const target = join(parent, 'target')
    await writeFile(target, 'before')
    await symlink(target, join(directory, FIRST))
    await expect(recorderOver(store).open(header('s1')).flushed()).rejects.toMatchObject({
      code: 'recorder_unavailable',
    })
    expect(await readFile(target, 'utf8')).toBe('before')

    const session = recorderOver(store).open(header('../../target'))
    await session.close('done')
    expect(await store.list()).toContain(segmentName('../../target', 1))
    for (const name of ['../target.jsonl', '/etc/x.jsonl', '.x.jsonl', 'a/b.jsonl', 'x.txt', 'a\0.jsonl', '']) {
      await expect(store.openSegment(name)).rejects.toMatchObject({ code: 'misuse' })
    }

    const again = recorderOver(store)
    await expect(again.open(header('../../target')).flushed()).rejects.toMatchObject({ code: 'recorder_unavailable' })
  })

  it('is for one process at a time, and takes over from one that is gone', async () => {
    const store = await openStore()
    await expect(openFileRecordStore({ directory, clock })).rejects.toMatchObject({ code: 'recorder_unavailable' })
    await store.close()
    await writeFile(join(directory, LOCK_FILE), JSON.stringify({ pid: 1, startedAtUnixMs: 1 }))
    await expect(openStore()).rejects.toMatchObject({ code: 'recorder_unavailable' })
    await writeFile(join(directory, LOCK_FILE), JSON.stringify({ pid: 2 ** 30, startedAtUnixMs: 1 }))
    await openStore()
  })

  it('REC-4 seals at start what a crash left open, and leaves alone what was changed', async () => {
    const store = await openStore()
    const recorder = recorderOver(store)
    const world = new TestWorld()
    for (const id of ['whole', 'torn', 'changed']) {
      const session = world.recorder().open(header(id))
      session.command(command(1, 'select 1'))
      await session.flushed()
      await writeFile(join(directory, segmentName(id, 1)), world.store.bytes(segmentName(id, 1)))
    }
    await recorder.open(header('closed')).close('done')
    await appendFile(join(directory, segmentName('torn', 1)), '{"seq":3,"type":"comm')
    const changed = join(directory, segmentName('changed', 1))
    await writeFile(changed, (await readFile(changed, 'utf8')).replace('select 1', 'select 2'))
    await store.close()

    const next = await openStore()
    expect(next.leftOpen).toMatchObject([
      { name: segmentName('changed', 1), error: { code: 'recording_invalid' } },
      { name: segmentName('torn', 1), tornBytes: 21 },
      { name: segmentName('whole', 1), tornBytes: 0 },
    ])
    for (const id of ['whole', 'torn']) {
      expect(await verifyRecording(next.read(segmentName(id, 1)))).toMatchObject({ ok: true, ending: 'seal' })
    }
    expect((await verifyRecording(next.read(segmentName('changed', 1)))).problem).toMatchObject({
      kind: 'hash',
      line: 2,
    })
  })

  it('REC-1 fails the session when the disk is full', async () => {
    const store = await openStore()
    const session = createRecorder({
      store: {
        openSegment: async () => {
          // /dev/full answers every write with ENOSPC.
          const { open } = await import('node:fs/promises')
          const file = await open('/dev/full', 'w')
          return {
            write: async (bytes) => void (await file.write(bytes)),
            sync: () => file.datasync(),
            close: () => file.close(),
          }
        },
        read: (name) => store.read(name),
        list: () => store.list(),
        replaceTail: (name, keep, bytes) => store.replaceTail(name, keep, bytes),
      },
      clock,
      schedule: () => () => undefined,
    }).open(header('s1'))
    await expect(session.flushed()).rejects.toMatchObject({ code: 'recorder_unavailable', cause: { code: 'ENOSPC' } })
  })

  it('REC-4 kill -9 loses no command whose wait was over', async () => {
    const script = join(import.meta.dirname, 'file-store-crash.test-support.ts')
    for (let round = 0; round < 4; round++) {
      const child = spawn(process.execPath, ['--import', 'tsx', script, directory, `crash-${round}`], {
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      let told = ''
      child.stdout.setEncoding('latin1')
      await new Promise<void>((resolve) => {
        child.stdout.on('data', (text: string) => {
          told += text
          if (told.length > 300 + round * 700) child.kill('SIGKILL')
        })
        child.on('close', () => resolve())
      })
      expect(child.signalCode).toBe('SIGKILL')
      const acknowledged = told.split('\n').slice(0, -1).map(Number)
      expect(acknowledged.length).toBeGreaterThan(50)

      const store = await openStore()
      const name = segmentName(`crash-${round}`, 1)
      expect(store.leftOpen.map((each) => each.name)).toEqual([name])
      expect(await verifyRecording(store.read(name))).toMatchObject({ ok: true, ending: 'seal' })
      const ids = new Set<number>()
      for (const line of (await readFile(join(directory, name), 'latin1')).split('\n')) {
        const event = line === '' ? {} : (JSON.parse(line) as { type?: string; id?: number })
        if (event.type === 'command' && event.id !== undefined) ids.add(event.id)
      }
      for (const id of acknowledged) expect(ids.has(id)).toBe(true)
      await store.close()
    }
  })
})
