import { inspect } from 'node:util'
import { expect, it } from 'vitest'
import { Secret } from './secret.js'

it('CRED-3 tells its value to nobody who does not ask for it by name', () => {
  const secret = new Secret('hunter2')
  const shown = [
    String(secret),
    'in a text: '.concat(secret as unknown as string),
    JSON.stringify({ secret }),
    inspect(secret),
    inspect({ secret }, { showHidden: true, depth: 9 }),
  ]
  for (const text of shown) expect(text).not.toContain('hunter2')
  expect(secret.expose()).toBe('hunter2')
})
