import { writeFileSync } from 'node:fs'
import { spawnSync } from 'node:child_process'
import { describeMachine, load, loadWarning } from './machine.js'
import { type BenchOptions, readOptions, USAGE } from './options.js'
import { pgBouncerVersion } from './pgbouncer.js'
import { profileGateway } from './profile.js'
import { profileSshGateway } from './profile-ssh.js'
import { toMarkdown, toText, type Table } from './report.js'
import { measureBulk } from './suites/bulk.js'
import { measureConnects } from './suites/connect.js'
import { measureDecisions } from './suites/decisions.js'
import { measureMasking } from './suites/masking.js'
import { measureMemory } from './suites/memory.js'
import { measurePgbench } from './suites/pgbench.js'
import { measureRecording } from './suites/recording.js'
import { measureSshBulk } from './suites/ssh-bulk.js'
import { measureSshExec } from './suites/ssh-exec.js'
import { measureSshMemory } from './suites/ssh-memory.js'
import { createSshWorld, type SshWorld } from './ssh-world.js'
import { createWorld, type World } from './world.js'

const ROWS = 1_000_000
const QUICK_ROWS = 100_000

async function main(): Promise<void> {
  const args = process.argv.slice(2)
  const options = readOptions(args)
  if (options === 'help') {
    process.stdout.write(USAGE)
    return
  }
  const head = [
    ...describeMachine(),
    `${pgBouncerVersion()}; ${spawnSync('pgbench', ['--version'], { encoding: 'utf8' }).stdout.trim()}`,
    `npm run bench${args.length === 0 ? '' : ` -- ${args.join(' ')}`}`,
  ]
  const warning = loadWarning()
  if (warning !== undefined) head.push(warning)
  print(`${head.join('\n')}\n\n`)
  const tables: Table[] = []
  const show = (...shown: readonly Table[]): void => {
    for (const table of shown) {
      tables.push(table)
      print(`${toText(table)}\n`)
    }
  }
  if (options.isProfile) await profile(options)
  else await measure(options, show)
  head.push(`load average at the end ${load()}, our own work included`)
  print(`${head.at(-1) ?? ''}\n`)
  const { markdownFile } = options
  if (markdownFile !== undefined) {
    const lines = head.map((line) => `- ${line}`)
    writeFileSync(markdownFile, `${lines.join('\n')}\n\n${tables.map(toMarkdown).join('\n')}`)
  }
}

async function measure(options: BenchOptions, show: (...tables: readonly Table[]) => void): Promise<void> {
  const { isQuick, only } = options
  const needsWorld = (['pgbench', 'bulk', 'connect', 'memory'] as const).filter((name) => only.includes(name))
  if (needsWorld.length > 0) {
    await withWorld(options, async (world) => {
      for (const name of needsWorld) {
        if (name === 'pgbench') show(await measurePgbench(world, isQuick, tell))
        if (name === 'bulk') show(...(await measureBulk(world, isQuick, tell)))
        if (name === 'connect') show(await measureConnects(world, isQuick, tell))
        if (name === 'memory') show(...(await measureMemory(world, isQuick, tell)))
      }
    })
  }
  if (only.includes('decisions')) show(measureDecisions(isQuick))
  if (only.includes('masking')) show(await measureMasking(isQuick))
  if (only.includes('recording')) show(await measureRecording(isQuick))
  if (only.includes('ssh')) {
    await withSshWorld(async (world) => {
      show(...(await measureSshExec(world, isQuick, tell)))
      show(...(await measureSshBulk(world, isQuick, tell)))
      show(...(await measureSshMemory(world, isQuick, tell)))
    })
  }
}

async function profile(options: BenchOptions): Promise<void> {
  const isSshOnly = options.only.every((name) => name === 'ssh')
  if (!isSshOnly) await withWorld(options, (world) => profileGateway(world, print))
  if (options.only.includes('ssh')) await withSshWorld((world) => profileSshGateway(world, print))
}

async function withWorld(options: BenchOptions, run: (world: World) => Promise<void>): Promise<void> {
  tell('building, and starting servers')
  const world = await createWorld(options.isQuick ? QUICK_ROWS : ROWS)
  try {
    await run(world)
  } finally {
    await world.stop()
  }
}

async function withSshWorld(run: (world: SshWorld) => Promise<void>): Promise<void> {
  tell('building, and starting SSH servers')
  const world = await createSshWorld()
  try {
    await run(world)
  } finally {
    await world.stop()
  }
}

/** Progress, for whoever waits. */
function tell(text: string): void {
  process.stderr.write(`... ${text}\n`)
}

function print(text: string): void {
  process.stdout.write(text)
}

main().then(
  () => process.exit(0),
  (error: unknown) => {
    process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`)
    process.exit(1)
  },
)
