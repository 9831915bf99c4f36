// The page's connection to the gateway: a ResClient, a badge that shows how it is
// doing, and a `get` that waits for gateway and service to come up.

const ResClient = window.resclient.default;

/** Milliseconds between attempts to reach a gateway that is away. */
const RETRY = 1000;

const LABELS = {
  connecting: "Connecting…",
  live: "Live",
  lost: "Reconnecting…",
};

/**
 * Connects to the gateway that the server of this page names.
 * `onState` is called with `connecting`, `live` or `lost`.
 */
export async function openClient(badge, onState = () => {}) {
  const show = (state) => {
    badge.dataset.state = state;
    badge.textContent = LABELS[state];
    onState(state);
  };
  show("connecting");
  const response = await fetch("/config.json");
  const { gateway } = await response.json();
  const client = new ResClient(gateway, { reconnectDelay: RETRY });
  client.on("connect", () => show("live"));
  client.on("disconnect", () => show("lost"));
  return client;
}

/**
 * Gets a resource. While the gateway or the service is away it tells `onWait` why
 * and tries again.
 */
export async function getResource(client, rid, onWait) {
  for (;;) {
    try {
      return await client.get(rid);
    } catch (error) {
      onWait(
        error.code === "system.connectionError"
          ? "The gateway does not answer yet. Is it running?"
          : `The service does not answer yet (${error.message}). Is it running?`,
      );
    }
    await new Promise((resolve) => setTimeout(resolve, RETRY));
  }
}
