import { beforeEach, describe, expect, it } from 'vitest'
import type { Command, CommandAnswer } from '../core/index.js'
import { PlannedStatements } from './planned-statements.js'

let lines: string[]
let planned: PlannedStatements<string>

const command = (id: number, text: string): Command => ({ id, kind: 'sql', text }) as unknown as Command
const answer = (outcome: CommandAnswer['outcome']): CommandAnswer => ({ outcome, tags: [], rows: 0, bytes: 0 })

beforeEach(() => {
  lines = []
  planned = new PlannedStatements({
    command: ({ id }, note) => lines.push(`command ${id} ${note}`),
    answer: (id, { outcome }) => lines.push(`answer ${id} ${outcome}`),
  })
})

describe('planned statements', () => {
  it('leave no line of their own when they run', () => {
    planned.plan(command(1, 'select $1'), 'a')
    planned.before(command(2, 'select $1'))
    expect(planned.answered(1, answer('completed'))).toBe(true)
    expect(planned.answered(2, answer('completed'))).toBe(false)
    planned.settle()
    expect(lines).toEqual([])
  })

  it('are recorded, with their answer, before whatever else happens', () => {
    planned.plan(command(1, 'select $1'), 'a')
    expect(planned.answered(1, answer('completed'))).toBe(true)
    planned.before(command(2, 'select 2'))
    expect(lines).toEqual(['command 1 a', 'answer 1 completed'])
  })

  it('are recorded when the session ends', () => {
    planned.plan(command(1, 'select $1'), 'a')
    planned.settle()
    expect(lines).toEqual(['command 1 a'])
    expect(planned.answered(1, answer('interrupted'))).toBe(false)
  })

  it('are recorded when planning fails, also behind their run', () => {
    planned.plan(command(1, 'select $1'), 'a')
    planned.before(command(2, 'select $1'))
    expect(planned.answered(1, answer('failed'))).toBe(true)
    expect(lines).toEqual(['command 1 a', 'answer 1 failed'])
  })

  it('are recorded one after the other', () => {
    planned.plan(command(1, 'a'), 'a')
    planned.plan(command(2, 'b'), 'b')
    planned.before(command(3, 'a'))
    expect(lines).toEqual(['command 1 a', 'command 2 b'])
  })
})
