// The first minute with a client whose types openapi-typescript makes of the document: `node first_minute.js URL KEY`.
import createClient from "openapi-fetch";
import type { components, paths } from "./schema.js";

const [url, key] = process.argv.slice(2) as [string, string];
const client = createClient<paths>({ baseUrl: url, headers: { "X-API-Key": key } });

function expect(holds: boolean, what: string): void {
  if (!holds) throw new Error(what);
}

const stream = await client.POST("/streams", { body: { name: "shop" } });
expect(stream.data?.name === "shop", "the stream is made");
const topic = await client.POST("/streams/{stream}/topics", {
  params: { path: { stream: "shop" } },
  body: { name: "orders", partitions: 1 },
});
expect(topic.data?.partitions_count === 1, "the topic is made");

const event: components["schemas"]["Event"] = {
  id: crypto.randomUUID(),
  event_type: "order.paid",
  timestamp: new Date().toISOString(),
  payload: { type: "Generic", data: { order: 1 } },
};
const place = { stream: "shop", topic: "orders" };
const receipt = await client.POST("/streams/{stream}/topics/{topic}/messages", {
  params: { path: place },
  body: { event },
});
expect(receipt.response.status === 201, "the event is stored");

const page = await client.GET("/streams/{stream}/topics/{topic}/messages", {
  params: { path: place, query: { offset: 0 } },
});
const answer = page.data as components["schemas"]["PageAnswer"];
expect(answer.count === 1 && answer.messages[0]?.event?.id === event.id, "the event is read");

const stored = await client.PUT("/streams/{stream}/topics/{topic}/consumers/{consumer}/offsets/{partition}", {
  params: { path: { ...place, consumer: "mailer", partition: 0 } },
  body: { offset: 0 },
});
expect(stored.data?.offset === 0 && stored.data.lag === 0, "the offset is stored");

const again = await client.POST("/streams", { body: { name: "shop" } });
expect(again.error?.error === "already_exists", "a problem tells its code");
