import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'

/** What a child answers: of these, what the question was about. */
export interface Answer {
  readonly port?: number
  readonly ms?: number
  readonly bytes?: number
  /** Milliseconds, one per repetition. */
  readonly samples?: readonly number[]
  readonly rss?: number
  readonly heapUsed?: number
  readonly external?: number
}

export interface Question {
  readonly ask: string
  readonly [argument: string]: string | number | boolean
}

const running = new Set<Child>()
process.once('exit', () => {
  for (const child of running) child.process.kill('SIGKILL')
})

/** One of our own programs in a process of its own, so that its CPU time and memory are its own. */
export class Child {
  readonly process: ChildProcess
  #nextId = 1

  private constructor(process: ChildProcess) {
    this.process = process
  }

  /** Resolves when the child has said that it is ready, with what it said. */
  static async start(
    file: string,
    config: object,
    nodeOptions: readonly string[] = [],
  ): Promise<{ child: Child; ready: Answer }> {
    const forked = fork(file, [JSON.stringify(config)], { execArgv: [...nodeOptions], stdio: 'inherit' })
    const child = new Child(forked)
    running.add(child)
    return { child, ready: await child.#answer(0) }
  }

  get pid(): number {
    return this.process.pid as number
  }

  ask(question: Question): Promise<Answer> {
    const id = this.#nextId++
    this.process.send({ ...question, id })
    return this.#answer(id)
  }

  async stop(): Promise<void> {
    running.delete(this)
    if (this.process.exitCode !== null || this.process.signalCode !== null) return
    const gone = once(this.process, 'exit')
    this.process.kill('SIGKILL')
    await gone
  }

  #answer(id: number): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const onMessage = (message: { id: number; answer: Answer; error?: string }): void => {
        if (message.id !== id) return
        done()
        if (message.error === undefined) resolve(message.answer)
        else reject(new Error(message.error))
      }
      const onExit = (): void => {
        done()
        reject(new Error(`\`${this.process.spawnargs.join(' ')}\` ended before it answered`))
      }
      const done = (): void => {
        this.process.off('message', onMessage)
        this.process.off('exit', onExit)
      }
      this.process.on('message', onMessage)
      this.process.on('exit', onExit)
    })
  }
}

/** CPU time of a process so far, all its threads, in microseconds. */
export function cpuUs(pid: number): number {
  let nanoseconds = 0
  for (const task of readdirSync(`/proc/${pid}/task`)) {
    nanoseconds += Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'utf8').split(' ')[0])
  }
  return nanoseconds / 1000
}

/** Most resident memory since {@link resetPeak}, in bytes. */
export function peakBytes(pid: number): number {
  return statusBytes(pid, 'VmHWM')
}

export function residentBytes(pid: number): number {
  return statusBytes(pid, 'VmRSS')
}

/** From here on the peak is counted anew. */
export function resetPeak(pid: number): void {
  writeFileSync(`/proc/${pid}/clear_refs`, '5')
}

function statusBytes(pid: number, field: string): number {
  const match = new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8'))
  return Number(match?.[1]) * 1024
}
