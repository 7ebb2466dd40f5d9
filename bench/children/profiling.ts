import { writeFileSync } from 'node:fs'
import { Session } from 'node:inspector/promises'
import type { Answer, Question } from '../child.js'

const SAMPLING_INTERVAL_US = 200

/** Answers of a child that can be asked where its time goes. */
export function profiling(): Readonly<Record<'startProfile' | 'stopProfile', (question: Question) => Promise<Answer>>> {
  const inspector = new Session()
  return {
    startProfile: async () => {
      inspector.connect()
      await inspector.post('Profiler.enable')
      await inspector.post('Profiler.setSamplingInterval', { interval: SAMPLING_INTERVAL_US })
      await inspector.post('Profiler.start')
      return {}
    },
    stopProfile: async ({ file }) => {
      const { profile } = await inspector.post('Profiler.stop')
      inspector.disconnect()
      writeFileSync(String(file), JSON.stringify(profile))
      return {}
    },
  }
}
