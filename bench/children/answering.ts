import type { Answer, Question } from '../child.js'

type Ask = Question & { readonly id: number }

/** Tells the parent that this child is ready, and answers its questions from then on. */
export function answerParent(
  ready: Answer,
  handlers: Readonly<Record<string, (question: Question) => Promise<Answer> | Answer>>,
): void {
  process.on('message', (question: Ask) => {
    const { id } = question
    const handler = handlers[question.ask]
    Promise.resolve()
      .then(() => {
        if (handler === undefined) throw new Error(`no answer to \`${question.ask}\``)
        return handler(question)
      })
      .then(
        (answer) => process.send?.({ id, answer }),
        (error: unknown) =>
          process.send?.({ id, error: error instanceof Error ? (error.stack ?? error.message) : String(error) }),
      )
  })
  process.on('disconnect', () => process.exit())
  process.send?.({ id: 0, answer: ready })
}

/** What the parent started this child with. */
export function readConfig<T>(): T {
  return JSON.parse(process.argv[2] as string) as T
}

/** Memory in use after a full collection. Needs `--expose-gc`. */
export function memory(): Answer {
  for (let i = 0; i < 3; i++) globalThis.gc?.()
  const { rss, heapUsed, external } = process.memoryUsage()
  return { rss, heapUsed, external }
}
