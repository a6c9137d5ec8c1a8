import { isBefore } from '../../model/time.ts'

/** Earliest and latest of some times, as halves of Unix nanoseconds (upper signed, lower unsigned). Reused. */
export class TimeBounds {
  minHigh = 0x7fffffff
  minLow = 0xffffffff
  maxHigh = 0
  maxLow = 0

  reset(): void {
    this.minHigh = 0x7fffffff
    this.minLow = 0xffffffff
    this.maxHigh = 0
    this.maxLow = 0
  }

  include(high: number, low: number): void {
    if (isBefore(high, low, this.minHigh, this.minLow)) {
      this.minHigh = high
      this.minLow = low
    }
    if (isBefore(this.maxHigh, this.maxLow, high, low)) {
      this.maxHigh = high
      this.maxLow = low
    }
  }

  includeNs(timeNs: bigint): void {
    this.include(Number(timeNs >> 32n), Number(timeNs & 0xffffffffn))
  }
}
