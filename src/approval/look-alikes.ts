/** Letters and signs of other scripts that pass for an ASCII one, by the character they pass for. */
const BY_ASCII: Readonly<Record<string, string>> = {
  a: 'аɑα',
  b: 'Ььƅ',
  c: 'сϲᴄ',
  d: 'ԁɗ',
  e: 'еҽ',
  f: 'ſ',
  g: 'ɡցƍ',
  h: 'һհ',
  i: 'іıɩιӏ',
  j: 'јϳ',
  k: 'κк',
  l: 'ӏǀꓲ',
  m: 'м',
  n: 'ոη',
  o: 'оοօσ',
  p: 'рρ',
  q: 'ԛզ',
  r: 'г',
  s: 'ѕꜱ',
  t: 'тτ',
  u: 'սυʋ',
  v: 'ѵν',
  w: 'ԝѡω',
  x: 'хχ',
  y: 'уүγ',
  z: 'ᴢ',
  A: 'АΑᎪꓮ',
  B: 'ВΒᏴꓐ',
  C: 'СϹᏟꓚ',
  D: 'Ꭰꓓ',
  E: 'ЕΕᎬꓰ',
  F: 'Ϝꓝ',
  G: 'ԌᏀꓖ',
  H: 'НΗᎻꓧ',
  I: 'ІΙӀ',
  J: 'ЈᎫꓙ',
  K: 'КΚᏦꓗ',
  L: 'Ꮮꓡ',
  M: 'МΜᎷꓟ',
  N: 'Νꓠ',
  O: 'ОΟՕꓳ',
  P: 'РΡᏢꓑ',
  Q: 'Ԛ',
  R: 'ᎡᏒꓣ',
  S: 'ЅՏᏚꓢ',
  T: 'ТΤᎢꓔ',
  U: 'Սꓴ',
  V: 'ѴᏙꓦ',
  W: 'ԜᎳꓪ',
  X: 'ХΧꓫ',
  Y: 'ҮΥꓬ',
  Z: 'ΖᏃꓜ',
  "'": '‘’‚‛′ʹʻʼʽˈ՚׳ꞌ',
  '"': '“”„‟″ʺ״',
  '`': '‵ˋ',
  '-': '‐‑‒–—―−⁃﹘',
  '*': '∗⁎٭',
  '/': '⁄∕╱⧸',
  '\\': '∖⧵⧹',
  ';': ';⁏؛',
  ':': '։∶ː׃',
  ',': '‚٫،ꓹ',
  '.': '․۔ꓸ',
  '=': '᐀⹀゠',
  '<': '‹ᐸ',
  '>': '›ᐳ',
  '|': '∣ǀ⏐',
  '!': 'ǃⵑ',
  '~': '∼˜',
  '^': 'ˆ',
  '#': '',
  '(': '❨⟮',
  ')': '❩⟯',
  '%': '٪',
  $: '',
}

const LOOK_ALIKES: ReadonlyMap<string, string> = new Map(
  Object.entries(BY_ASCII).flatMap(([ascii, others]) => [...others].map((other): [string, string] => [other, ascii])),
)

const ASCII_ONLY = /^[\x20-\x7e]+$/

/**
 * The ASCII text that a non-ASCII character passes for; undefined when it passes for none. The list is not
 * complete and no such list can be: full-width, mathematical and other compatibility forms are found by rule.
 */
export function looksLikeAscii(character: string): string | undefined {
  const listed = LOOK_ALIKES.get(character)
  if (listed !== undefined) return listed
  const folded = character.normalize('NFKC')
  return folded !== character && ASCII_ONLY.test(folded) ? folded : undefined
}
