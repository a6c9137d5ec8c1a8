import { createHash } from 'node:crypto'

/** A member of the group, as the assignor sees it. */
export interface AssignableMember {
  readonly memberId: string
  /** Stable over rejoins of one process, over restarts when it is set by hand. */
  readonly instanceId: string
}

/**
 * Gives each partition to one member by rendezvous hashing over the instance id, with a load cap: no member has more than one
 * partition more than another, and few partitions move when a member comes or goes. A function of its arguments' content alone:
 * their order does not matter, and nothing of earlier assignments is needed.
 */
export function assignPartitions(
  topic: string,
  partitions: readonly number[],
  members: readonly AssignableMember[],
): Map<string, number[]> {
  const assignment = new Map<string, number[]>(members.map((member) => [member.memberId, []]))
  if (members.length === 0) return assignment
  const pairs = partitions.flatMap((partition) =>
    members.map((member) => ({
      partition,
      member,
      score: score(`${topic}/${partition}/${member.instanceId}`),
    })),
  )
  pairs.sort(
    (a, b) =>
      b.score - a.score || a.partition - b.partition || (a.member.memberId < b.member.memberId ? -1 : 1),
  )
  const floor = Math.floor(partitions.length / members.length)
  let larger = partitions.length % members.length
  const taken = new Set<number>()
  for (const { partition, member } of pairs) {
    if (taken.has(partition)) continue
    const own = assignment.get(member.memberId)!
    if (own.length > floor || (own.length === floor && larger === 0)) continue
    if (own.length === floor) larger -= 1
    own.push(partition)
    taken.add(partition)
  }
  for (const own of assignment.values()) own.sort((a, b) => a - b)
  return assignment
}

/** 48 bits of SHA-256: exact in a number, and equal in every version of Sidereal. */
function score(text: string): number {
  return createHash('sha256').update(text).digest().readUIntBE(0, 6)
}
