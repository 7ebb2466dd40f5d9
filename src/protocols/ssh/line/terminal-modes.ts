/** No character of that meaning. */
const DISABLED = 255

/**
 * How a guarded terminal reads its input: opcode and value (RFC 4254 section 8, RFC 8160 for 42). Lines end with CR, and
 * only control characters, which no judged line has, mean anything else than themselves. Nothing is repeated.
 */
export const GUARDED_TERMINAL_MODES: readonly (readonly [opcode: number, value: number])[] = [
  [1, 0x03], // VINTR
  [2, 0x1c], // VQUIT
  [3, 0x7f], // VERASE
  [4, 0x15], // VKILL
  [5, 0x04], // VEOF
  [6, DISABLED], // VEOL
  [7, DISABLED], // VEOL2
  [8, 0x11], // VSTART
  [9, 0x13], // VSTOP
  [10, 0x1a], // VSUSP
  [11, DISABLED], // VDSUSP
  [12, 0x12], // VREPRINT
  [13, 0x17], // VWERASE
  [14, 0x16], // VLNEXT
  [15, DISABLED], // VFLUSH
  [16, DISABLED], // VSWTCH
  [17, DISABLED], // VSTATUS
  [18, 0x0f], // VDISCARD
  [30, 0], // IGNPAR
  [31, 0], // PARMRK
  [32, 0], // INPCK
  [33, 0], // ISTRIP
  [34, 0], // INLCR
  [35, 0], // IGNCR
  [36, 1], // ICRNL
  [37, 0], // IUCLC
  [38, 1], // IXON
  [39, 0], // IXANY
  [40, 0], // IXOFF
  [41, 1], // IMAXBEL
  [42, 1], // IUTF8
  [50, 1], // ISIG
  [51, 1], // ICANON
  [52, 0], // XCASE
  [53, 0], // ECHO
  [54, 0], // ECHOE
  [55, 0], // ECHOK
  [56, 0], // ECHONL
  [57, 0], // NOFLSH
  [58, 0], // TOSTOP
  [59, 1], // IEXTEN
  [60, 0], // ECHOCTL
  [61, 0], // ECHOKE
  [62, 0], // PENDIN
  [90, 0], // CS7
  [91, 1], // CS8
  [92, 0], // PARENB
  [93, 0], // PARODD
]
