/**
 * Gives memory off the heap back to the system, at once: the garbage collector is in no hurry with it. All of the memory that `view` lies in goes; every
 * view of it that somebody kept is empty from now on. Never for a small buffer of Node's own pool, which others lie in, too.
 */
export function giveBack({ buffer }: Uint8Array): void {
  ;(buffer as ArrayBuffer).transfer(0)
}
