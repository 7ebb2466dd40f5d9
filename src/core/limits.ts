import { SallyportError } from './errors.js'

/** The same limits, each of them above zero. @throws SallyportError `invalid_option` */
export function positiveLimits<Limits extends object>(limits: Limits): Limits {
  for (const [name, value] of Object.entries(limits)) {
    if (!(value > 0))
      throw new SallyportError('invalid_option', `expected \`${name}\` to be positive, got \`${value}\``)
  }
  return limits
}
