/**
 * Whether a name or address fits a pattern in which `*` is any run of characters and `?` one, as in ssh_config(5). Takes at most
 * the product of both lengths.
 */
export function fitsWildcards(text: string, pattern: string): boolean {
  let [at, from, star, mark] = [0, 0, -1, 0]
  while (at < text.length) {
    if (from < pattern.length && pattern[from] === '*') {
      star = from++
      mark = at
    } else if (from < pattern.length && (pattern[from] === '?' || pattern[from] === text[at])) {
      from++
      at++
    } else if (star >= 0) {
      from = star + 1
      at = ++mark
    } else {
      return false
    }
  }
  while (pattern[from] === '*') from++
  return from === pattern.length
}
