import { kafkaFault, rootKafkaError } from '../../kafka/kafka-error.ts'

/** Why the Kafka client ended by itself, with what to try where starting again does not mend it. */
export function crashReason(cause: Error): string {
  const reason = `the Kafka client gave up (${cause.message})`
  if (rootKafkaError(cause).type === 'INCONSISTENT_GROUP_PROTOCOL') {
    return `${reason}: the group has members that are no Sidereal workers; set SIDEREAL_GROUP to a name that nothing else uses`
  }
  if (kafkaFault(cause) === 'authentication') {
    return `${reason}: the brokers refuse the credentials; check SIDEREAL_KAFKA_SASL_USERNAME and SIDEREAL_KAFKA_SASL_PASSWORD`
  }
  return reason
}
