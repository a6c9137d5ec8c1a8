/** What kafkajs's cluster object can do; its own types leave it out. */
export interface BrokerCluster<Broker> {
  findBroker(node: { nodeId: string }): Promise<Broker>
}

/**
 * kafkajs asks its cluster for a broker before each request: so each broker object can be seen once, and its methods wrapped, before anything
 * is asked of it.
 */
export function observeBrokers<Broker extends object>(
  cluster: BrokerCluster<Broker>,
  observe: (broker: Broker) => void,
): void {
  const observed = new WeakSet<Broker>()
  const find = cluster.findBroker.bind(cluster)
  cluster.findBroker = async (node) => {
    const broker = await find(node)
    if (!observed.has(broker)) {
      observed.add(broker)
      observe(broker)
    }
    return broker
  }
}
