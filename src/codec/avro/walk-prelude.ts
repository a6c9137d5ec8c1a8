/**
 * What every generated walk starts with. `b`, `p`, `e` are the bytes, the position and the end of the record; `H` and `L` hold the last
 * long that was read (upper signed, lower unsigned 32 bits), `N` the last length, `Q` the end of the last sized block.
 *
 * A read of one byte is not checked against `e`: past the buffer it gives `undefined`, which no fast path takes, and past the end of the
 * record it is found out at the next length, item or end check, since positions only grow.
 */
export const WALK_PRELUDE = `
let H = 0, L = 0, N = 0, Q = -1, P = 0

function readLong(b, p, e) {
  let x = b[p++], low = x & 127, middle = 0, high = 0
  if (x > 127) {
    x = b[p++]; low |= (x & 127) << 7
    if (x > 127) {
      x = b[p++]; low |= (x & 127) << 14
      if (x > 127) {
        x = b[p++]; low |= (x & 127) << 21
        if (x > 127) {
          x = b[p++]; middle = x & 127
          if (x > 127) {
            x = b[p++]; middle |= (x & 127) << 7
            if (x > 127) {
              x = b[p++]; middle |= (x & 127) << 14
              if (x > 127) {
                x = b[p++]; middle |= (x & 127) << 21
                if (x > 127) {
                  x = b[p++]; high = x & 127
                  if (x > 127) {
                    x = b[p++]; high |= x << 7
                    if (x > 1) bad(p, 'an integer is longer than 64 bits')
                  }
                }
              }
            }
          }
        }
      }
    }
  }
  if (p > e) bad(p, 'it ends within an integer')
  const l = low | (middle << 28), h = (middle >>> 4) | (high << 24), sign = -(l & 1)
  L = (((l >>> 1) | (h << 31)) ^ sign) >>> 0
  H = (h >>> 1) ^ sign
  return p
}

function readNumber(b, p, e) {
  p = readLong(b, p, e)
  if (H > 0x1fffff || H < -0x200000 || (H === -0x200000 && L === 0)) bad(p, 'an integer is beyond 2^53')
  N = H * 4294967296 + L
  return p
}

function readInt(b, p, e) {
  p = readLong(b, p, e)
  if (H !== (L | 0) >> 31) bad(p, 'an int is beyond 32 bits')
  N = L | 0
  return p
}

function readLength(b, p, e) {
  p = readLong(b, p, e)
  if (H !== 0 || L > e - p) bad(p, 'a length is negative or beyond the end')
  N = L
  return p
}

function readBlock(b, p, e) {
  p = readLong(b, p, e)
  Q = -1
  if (H < 0) {
    if (H !== -1 || L === 0) bad(p, 'a block count is beyond the end')
    const count = 4294967296 - L
    p = readLength(b, p, e)
    Q = p + N
    N = count
  } else {
    if (H !== 0) bad(p, 'a block count is beyond the end')
    N = L
  }
  return p
}

function readTag(b, p, e) {
  p = readLong(b, p, e)
  N = H === 0 ? L * 2 : -1
  return p
}
`
