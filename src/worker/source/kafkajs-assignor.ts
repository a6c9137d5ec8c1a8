import { AssignerProtocol, type Cluster, type PartitionAssigner } from 'kafkajs'
import { type AssignableMember, assignPartitions } from './assign-partitions.ts'

const NAME = 'sidereal-rendezvous'
const VERSION = 1

/**
 * Our assignor in kafkajs's form. The user data is the instance id and nothing that changes: a member that rejoins with equal bytes
 * disturbs nobody. `onJoinStarting` is called before each JoinGroup, on every path: the only call that kafkajs makes without fail.
 */
export function kafkajsAssignor(deps: {
  instanceId: string
  onJoinStarting: () => void
  onCluster: (cluster: Cluster) => void
}): PartitionAssigner {
  return ({ cluster }) => {
    deps.onCluster(cluster)
    return {
      name: NAME,
      version: VERSION,
      protocol({ topics }) {
        deps.onJoinStarting()
        const userData = Buffer.from(deps.instanceId)
        return {
          name: NAME,
          metadata: AssignerProtocol.MemberMetadata.encode({ version: VERSION, topics, userData }),
        }
      },
      async assign({ members, topics }) {
        const byMember = new Map(members.map(({ memberId }) => [memberId, {} as Record<string, number[]>]))
        for (const topic of topics) {
          const partitions = cluster.findTopicPartitionMetadata(topic).map(({ partitionId }) => partitionId)
          const subscribers = members.flatMap((member) => subscriber(member, topic))
          for (const [memberId, own] of assignPartitions(topic, partitions, subscribers)) {
            if (own.length > 0) byMember.get(memberId)![topic] = own
          }
        }
        return [...byMember].map(([memberId, assignment]) => ({
          memberId,
          memberAssignment: AssignerProtocol.MemberAssignment.encode({
            version: VERSION,
            assignment,
            userData: Buffer.alloc(0),
          }),
        }))
      },
    }
  }
}

function subscriber(member: { memberId: string; memberMetadata: Buffer }, topic: string): AssignableMember[] {
  const metadata = AssignerProtocol.MemberMetadata.decode(member.memberMetadata)
  if (metadata === null || !metadata.topics.includes(topic)) return []
  const instanceId = metadata.userData?.toString() ?? ''
  return [{ memberId: member.memberId, instanceId: instanceId === '' ? member.memberId : instanceId }]
}
