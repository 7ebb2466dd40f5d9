/** Card numbers: Luhn's check digit, an issuer range in use, and a length that issuer uses. */
export function isCardNumber(digits: Uint8Array, count: number): boolean {
  return count >= 13 && count <= 19 && hasIssuer(digits, count) && passesLuhn(digits, count)
}

function passesLuhn(digits: Uint8Array, count: number): boolean {
  let sum = 0
  for (let i = count - 1, isDoubled = false; i >= 0; i--, isDoubled = !isDoubled) {
    const digit = digits[i] as number
    const doubled = digit * 2
    sum += isDoubled ? (doubled > 9 ? doubled - 9 : doubled) : digit
  }
  return sum % 10 === 0
}

function hasIssuer(digits: Uint8Array, count: number): boolean {
  const two = (digits[0] as number) * 10 + (digits[1] as number)
  const four = two * 100 + (digits[2] as number) * 10 + (digits[3] as number)
  switch (digits[0]) {
    case 4: // Visa
      return count === 13 || count === 16 || count === 19
    case 2: // Mastercard, Mir
      return (four >= 2221 && four <= 2720 && count === 16) || (four >= 2200 && four <= 2204 && count >= 16)
    case 3:
      if (two === 34 || two === 37) return count === 15 // American Express
      if (two === 36) return count >= 14 // Diners Club
      if ((four >= 3000 && four <= 3059) || four === 3095 || two === 38 || two === 39)
        return count === 14 || count >= 16
      return four >= 3528 && four <= 3589 && count >= 16 // JCB
    case 5:
      if (two >= 51 && two <= 55) return count === 16 // Mastercard
      if (four === 5019) return count === 16 // Dankort
      return two === 50 || two >= 56 // Maestro and its relatives
    case 6:
      if (four === 6304 || four === 6390 || (four >= 6759 && four <= 6763)) return true // Maestro
      return count >= 16 && (two === 60 || two === 62 || two === 63 || two === 64 || two === 65) // Discover, UnionPay, RuPay, Elo
    case 8:
      return two <= 82 && count >= 16 // UnionPay, RuPay
    case 9:
      return four === 9792 && count === 16 // Troy
    default:
      return false
  }
}
